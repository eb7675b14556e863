"""Plans from seeds: a workload, and a swarm of faults around it.

Owns: how a plan is drawn. May not know: how it is run. Half of the seeds draw from all kinds
of faults that were asked for, half from a swarm subset of them, because kinds hide one another;
1 in 10 goes beyond what the model allows, and is judged for safety only.
Source: CHAOS 'Architecture', Plan; Groce et al. 2012, "Swarm testing".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from comity.actor.actor_type import ActorType
from comity_chaos.faults.kind import FaultKind, Model
from comity_chaos.keyed import Keyed
from comity_chaos.plan import At, Buggify, Fault, Plan, Trigger, Turn, When
from comity_chaos.workload import draw_turn, messages

__all__ = ["Shape", "draw_plan"]

_BURSTS_PERCENT = 35
_RACES_PERCENT = 35
_BEYOND_PERCENT = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What plans are drawn for.

    actor, scenario, promises: as in a plan. nodes: at most so many; 2 at least, if not 1.
    turns, faults: how many, at most. only: send these messages alone, if any are named.
    byzantine: at most so many nodes lie. beyond: 1 in 10 plans goes beyond the model.
    """

    actor: str = ""
    scenario: str = ""
    promises: tuple[str, ...] = ()
    nodes: int = 4
    relays: int = 0
    turns: int = 40
    faults: int = 8
    span_ms: int = 12_000
    kinds: tuple[FaultKind, ...] = ()
    only: tuple[str, ...] = ()
    byzantine: int = 0
    crypto: str = "symbolic"
    beyond: bool = False


def draw_plan(seed: int, shape: Shape, actor_type: ActorType | None) -> Plan:
    """Return the plan of a seed. actor_type: whose messages are sent; None for none."""
    keyed = Keyed(seed)
    nodes = shape.nodes
    if nodes > 2:
        nodes -= keyed.below(min(nodes - 1, 3), "nodes")
    liars = min(keyed.below(shape.byzantine + 1, "liars"), nodes - 2) if nodes > 2 else 0
    byzantine = tuple(sorted(nodes - 1 - place for place in range(liars)))
    plan = Plan(
        seed=seed,
        nodes=nodes,
        actor=shape.actor,
        scenario=shape.scenario,
        promises=shape.promises,
        relays=shape.relays,
        span_ms=shape.span_ms,
        byzantine=byzantine,
        crypto=shape.crypto,
        beyond=shape.beyond and keyed.below(100, "beyond") < _BEYOND_PERCENT,
    )
    kinds = _swarm(keyed, [kind for kind in shape.kinds if _fits(kind, plan)])
    faults = _draw_faults(keyed, kinds, shape, plan)
    turns: tuple[Turn, ...] = ()
    if actor_type is not None and shape.turns:
        turns = _draw_turns(keyed, actor_type, shape, nodes)
    if actor_type is not None and not shape.actor:
        plan = replace(plan, notes={"actor": actor_type.name})
    return replace(plan, turns=turns, faults=faults)


def _fits(kind: FaultKind, plan: Plan) -> bool:
    """Tell whether a kind can happen to a deployment of this size."""
    spared = kind.model in {Model.OWNER, Model.AMNESIA}  # the founder keeps the actor
    if kind.needs > plan.nodes - spared:
        return False
    lies = kind.model is Model.BYZANTINE and kind.nodes == 1
    return bool(plan.byzantine) if lies else True


def _swarm(keyed: Keyed, kinds: Sequence[FaultKind]) -> list[FaultKind]:
    if not kinds or keyed.below(2, "swarm") == 0:
        return list(kinds)
    some = [kind for place, kind in enumerate(kinds) if keyed.below(3, "kind", place) == 0]
    return some or [kinds[keyed.below(len(kinds), "one kind")]]


def _draw_turns(
    keyed: Keyed, actor_type: ActorType, shape: Shape, nodes: int
) -> tuple[Turn, ...]:
    """Draw messages: in bursts at one node, in races between nodes, or alone.

    A swarm of them as well: each plan leaves out a quarter of the kinds.
    """
    known = messages(actor_type, shape.only)
    names = [name for place, name in enumerate(known) if keyed.below(4, "name", place)]
    names = names or [known[keyed.below(len(known), "one name")]]
    turns: list[Turn] = []
    ms, node = 0, 0
    for number in range(shape.turns):
        how = keyed.below(100, "how", number)
        if not turns or how >= _BURSTS_PERCENT + _RACES_PERCENT:
            ms = keyed.below(max(shape.span_ms * 9 // 10, 1), "when", number)
            node = keyed.below(nodes, "who", number)
        elif how >= _BURSTS_PERCENT:
            node = (node + 1 + keyed.below(max(nodes - 1, 1), "rival", number)) % nodes
        else:
            ms += keyed.below(20, "gap", number)
        turn = draw_turn(keyed, actor_type, names, number, node)
        turns.append(replace(turn, ms=ms))
    return tuple(sorted(turns, key=lambda turn: turn.ms))


def _draw_faults(
    keyed: Keyed, kinds: Sequence[FaultKind], shape: Shape, plan: Plan
) -> tuple[Fault, ...]:
    if not kinds or not shape.faults:
        return ()
    count = 1 + keyed.below(shape.faults, "faults")
    return tuple(
        _draw_fault(keyed, kinds[keyed.below(len(kinds), "which", place)], plan, place)
        for place in range(count)
    )


def _draw_fault(keyed: Keyed, kind: FaultKind, plan: Plan, place: int) -> Fault:
    if kind.model is Model.BYZANTINE and kind.nodes == 1:
        liar = plan.byzantine[keyed.below(len(plan.byzantine), "liar", place)]
        nodes: tuple[int, ...] = (liar,)
    else:
        rest = list(range(plan.nodes + (plan.relays if kind.nodes == 1 else 0)))
        if kind.model in {Model.OWNER, Model.AMNESIA}:
            rest = list(range(1, plan.nodes))
        nodes = tuple(
            rest.pop(keyed.below(len(rest), "victim", place, number))
            for number in range(min(kind.nodes, max(len(rest) - kind.fewer, kind.needs)))
        )
    amount = (
        kind.amounts[keyed.below(len(kind.amounts), "amount", place)] if kind.amounts else 0
    )
    ms = kind.lasts[keyed.below(len(kind.lasts), "lasts", place)] if kind.lasts else 0
    if plan.beyond and keyed.below(2, "for ever", place):
        ms = 0
    trigger = _draw_trigger(keyed, kind, plan, (place, nodes[0]))
    return Fault(kind.name, trigger, nodes, amount, ms)


def _draw_trigger(keyed: Keyed, kind: FaultKind, plan: Plan, who: tuple[int, int]) -> Trigger:
    """Draw when: two of three times at an event, where the kind can wait for one."""
    place, node = who
    ms = keyed.below(max(plan.span_ms * 9 // 10, 1), "at", place)
    if not kind.events or keyed.below(3, "form", place) == 0:
        return At(ms)
    event = kind.events[keyed.below(len(kind.events), "event", place)]
    if kind.often and keyed.below(3, "often", place) == 0:
        return Buggify(event, node, (20, 100)[keyed.below(2, "permille", place)], ms)
    return When(event, node, 1 + keyed.below(4, "nth", place), ms)
