"""Shrinking: from a plan that breaks a promise to the smallest one that breaks it too.

Owns: the search. May not know: worlds; it is given a function that runs plans. Smaller means,
in this order: fewer things done, fewer nodes, no chance, no waiting, plainer arguments, one
latency. Every step keeps the broken promise the same, so that a shrunk plan tells the same
story; the search is bounded, and its result is checked: no single thing can be left out.
Source: Zeller & Hildebrandt 2002, "Simplifying and isolating failure-inducing input", ddmin;
CHAOS 'Architecture', Shrinker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from comity_chaos.faults.catalogue import CATALOGUE
from comity_chaos.plan import At, Buggify, Drawn, Fault, Plan, Trigger, Turn, When
from comity_chaos.runner import Outcome
from comity_chaos.workload import CANARIES

__all__ = ["EVENTS_MAX", "RUNS_MAX", "Shrunk", "shrink"]

RUNS_MAX: Final = 400
"""Runs of one search."""

EVENTS_MAX: Final = 200_000
"""Events in all runs of one search: half a minute at worst, a few seconds as a rule."""

_SLACK_MS: Final = 500
_ROUNDS_MAX: Final = 6

Item = Turn | Fault


@dataclass(frozen=True, slots=True)
class Shrunk:
    """The smallest plan that was found.

    minimal: nothing in it can be left out alone. neighbour: the plan without `without`, which
    passes; None if there is none. runs: how many it took.
    """

    outcome: Outcome
    minimal: bool
    runs: int
    neighbour: Plan | None = None
    without: Item | None = None

    @property
    def plan(self) -> Plan:
        """The plan."""
        return self.outcome.plan


class _Budget(Exception):
    """No run is left."""


class _Search:
    """The best plan so far, and how to try others."""

    __slots__ = ("_passed", "_run", "best", "events_left", "left", "runs")

    def __init__(self, outcome: Outcome, run: Callable[[Plan], Outcome], runs_max: int) -> None:
        """Start from a failure."""
        self.best = outcome
        self.left = runs_max
        self.events_left = EVENTS_MAX
        self.runs = 0
        self._run = run
        self._passed: dict[str, None] = {}

    @property
    def plan(self) -> Plan:
        """The best plan so far."""
        return self.best.plan

    def fails(self, plan: Plan) -> bool:
        """Try a plan, once; keep it if it breaks the same promise."""
        name = repr(plan)
        if name in self._passed:
            return False
        if self.left <= 0 or self.events_left <= 0:
            raise _Budget
        self.left -= 1
        self.runs += 1
        outcome = self._run(plan)
        self.events_left -= outcome.events
        if outcome.oracle == self.best.oracle:
            self.best = outcome
            return True
        self._passed[name] = None
        return False


def shrink(
    outcome: Outcome, run: Callable[[Plan], Outcome], *, runs_max: int = RUNS_MAX
) -> Shrunk:
    """Return the smallest failure that is found near one. run: runs a plan."""
    assert outcome.failed
    search = _Search(outcome, run, runs_max)
    minimal, neighbour, without = False, None, None
    try:
        _cut_the_end(search)
        _pin(search)
        for _ in range(_ROUNDS_MAX):
            before = search.plan
            _fewer_items(search)
            _fewer_nodes(search)
            _try_all(search, _simpler)
            _close_gaps(search)
            if search.plan == before:
                break
        minimal, neighbour, without = _check(search)
    except _Budget:
        pass
    return Shrunk(search.best, minimal, search.runs, neighbour, without)


# Items


def _items(plan: Plan) -> list[Item]:
    return [*plan.turns, *plan.faults]


def _with(plan: Plan, items: Sequence[Item]) -> Plan:
    return replace(
        plan,
        turns=tuple(item for item in items if isinstance(item, Turn)),
        faults=tuple(item for item in items if isinstance(item, Fault)),
    )


def _time_of(item: Item) -> int:
    if isinstance(item, Turn):
        return item.ms
    return item.trigger.ms if isinstance(item.trigger, At) else item.trigger.after_ms


def _at_time(item: Item, ms: int) -> Item:
    if isinstance(item, Turn):
        return replace(item, ms=ms)
    trigger = item.trigger
    if isinstance(trigger, At):
        return replace(item, trigger=At(ms))
    return replace(item, trigger=replace(trigger, after_ms=ms))


def _cut_the_end(search: _Search) -> None:
    """Leave out at once what came after the failure was seen."""
    plan = search.plan
    kept = [item for item in _items(plan) if _time_of(item) <= search.best.ms]
    span = min(plan.span_ms, search.best.ms + _SLACK_MS)
    if len(kept) < plan.size or span < plan.span_ms:
        search.fails(replace(_with(plan, kept), span_ms=span))


def _pin(search: _Search) -> None:
    """Let what waits for an nth event wait from shortly before it came, to be told by time.

    Counted from the beginning, the nth event is another one as soon as anything before it is
    left out, and nothing could be.
    """
    for place in range(len(search.plan.faults)):
        fault, fired = search.plan.faults[place], search.best.fired_ms
        if isinstance(fault.trigger, At) or len(fired) <= place or fired[place] < 0:
            continue
        event, node = fault.trigger.event, fault.trigger.node
        for nth in (1, 2, 3, 4):
            trigger = When(event, node, nth, fired[place])
            faults = list(search.plan.faults)
            faults[place] = replace(fault, trigger=trigger)
            if trigger == fault.trigger or search.fails(
                replace(search.plan, faults=tuple(faults))
            ):
                break


def _fewer_items(search: _Search) -> None:
    """Leave out as much as can be: first whole kinds of things, then by ddmin."""
    for kept in (search.plan.faults, search.plan.turns):
        if len(kept) < search.plan.size and search.fails(_with(search.plan, kept)):
            break
    size = max(search.plan.size // 2, 1)
    while search.plan.size:
        start, fewer = 0, False
        while start < search.plan.size:
            items = _items(search.plan)
            if search.fails(_with(search.plan, items[:start] + items[start + size :])):
                fewer = True
            else:
                start += size
        if size == 1 and not fewer:
            return
        size = max(size // 2, 1)


def _fewer_nodes(search: _Search) -> None:
    """Leave out nodes, with what is done to them; relays first."""
    if search.plan.relays and not _mentions(search.plan, search.plan.nodes):
        search.fails(replace(search.plan, relays=0))
    index = search.plan.nodes - 1
    while index >= 0 and search.plan.nodes > 1:
        without = _without_node(search.plan, index)
        if without is not None:
            search.fails(without)
        index -= 1


def _mentions(plan: Plan, at_least: int) -> bool:
    return any(
        node >= at_least for fault in plan.faults for node in (fault.nodes[0], *fault.nodes[1:])
    )


def _without_node(plan: Plan, index: int) -> Plan | None:
    """Return the plan for one node less; None if something only makes sense with it."""

    def renumber(node: int) -> int:
        return node - (node > index)

    turns = tuple(
        replace(turn, node=renumber(turn.node)) for turn in plan.turns if turn.node != index
    )
    faults: list[Fault] = []
    for fault in plan.faults:
        trigger = fault.trigger
        left = tuple(renumber(node) for node in fault.nodes if node != index)
        if len(left) < CATALOGUE[fault.kind].needs:
            return None
        if not isinstance(trigger, At):
            if trigger.node == index:
                return None
            trigger = replace(trigger, node=renumber(trigger.node))
        faults.append(replace(fault, nodes=left, trigger=trigger))
    return replace(
        plan,
        nodes=plan.nodes - 1,
        turns=turns,
        faults=tuple(faults),
        byzantine=tuple(renumber(node) for node in plan.byzantine if node != index),
    )


# Simpler


def _try_all(search: _Search, simpler: Callable[[Plan], Iterator[Plan]]) -> None:
    """Try each simpler plan in turn; from one that fails, go on with what is simpler yet."""
    place = 0
    while True:
        plans = list(simpler(search.plan))
        while place < len(plans) and not search.fails(plans[place]):
            place += 1
        if place == len(plans):
            return


def _simpler(plan: Plan) -> Iterator[Plan]:
    """Yield plans that do the same in a plainer way."""
    if not plan.calm:
        yield replace(plan, calm=True)
    if plan.byzantine and not any(
        node in plan.byzantine for fault in plan.faults for node in fault.nodes
    ):
        yield replace(plan, byzantine=())
    for place, fault in enumerate(plan.faults):
        for milder in _simpler_faults(fault):
            faults = (*plan.faults[:place], milder, *plan.faults[place + 1 :])
            yield replace(plan, faults=faults)
    for place, turn in enumerate(plan.turns):
        for plainer in _simpler_turns(turn):
            turns = (*plan.turns[:place], plainer, *plan.turns[place + 1 :])
            yield replace(plan, turns=turns)


def _simpler_faults(fault: Fault) -> Iterator[Fault]:
    kind = CATALOGUE[fault.kind]
    for trigger in _simpler_triggers(fault.trigger):
        yield replace(fault, trigger=trigger)
    known = fault.amount in kind.amounts
    for amount in kind.amounts[: kind.amounts.index(fault.amount) if known else 0]:
        yield replace(fault, amount=amount)
    for ms in kind.lasts:
        if ms < fault.ms:
            yield replace(fault, ms=ms)
    if len(fault.nodes) > kind.needs:
        yield replace(fault, nodes=fault.nodes[:-1])


def _simpler_triggers(trigger: Trigger) -> Iterator[Trigger]:
    if isinstance(trigger, Buggify):
        for nth in (1, 2, 3, 5, 8, 13, 21):
            yield When(trigger.event, trigger.node, nth, trigger.after_ms)
    elif isinstance(trigger, When) and trigger.nth > 1:
        yield replace(trigger, nth=1)
        yield replace(trigger, nth=trigger.nth - 1)


def _simpler_turns(turn: Turn) -> Iterator[Turn]:
    for place, argument in enumerate(turn.arguments):
        for plainer in _plainer(argument):
            arguments = (*turn.arguments[:place], plainer, *turn.arguments[place + 1 :])
            yield replace(turn, arguments=arguments)


def _plainer(value: Any) -> Iterator[Any]:  # noqa: ANN401  (whatever an argument may be)
    if isinstance(value, bool | Drawn) or value is None:
        return
    if isinstance(value, str) and value in CANARIES:
        yield from CANARIES[: CANARIES.index(value)]
    elif isinstance(value, int) and value not in {0, 1}:
        yield 1
    elif isinstance(value, float) and value != 1.0:
        yield 1.0
    elif isinstance(value, bytes) and value:
        yield b""
    elif isinstance(value, tuple) and value:
        yield value[:1]  # pyright: ignore[reportUnknownVariableType]


def _close_gaps(search: _Search) -> None:
    """Let everything come sooner, and the end as well."""
    times = sorted({_time_of(item) for item in _items(search.plan)})
    before = 0
    for time in times:
        for gap in (time - before, (time - before) // 2):
            if gap <= 0:
                break
            moved = [
                _at_time(item, _time_of(item) - gap) if _time_of(item) >= time else item
                for item in _items(search.plan)
            ]
            if search.fails(_with(search.plan, moved)):
                times = [each - gap if each >= time else each for each in times]
                time -= gap  # noqa: PLW2901  (where it stands now)
                break
        before = time
    last = max((_time_of(item) for item in _items(search.plan)), default=0)
    for span in (last + 100, last + _SLACK_MS, last + 4 * _SLACK_MS):
        if span < search.plan.span_ms and search.fails(replace(search.plan, span_ms=span)):
            return


def _check(search: _Search) -> tuple[bool, Plan | None, Item | None]:
    """Leave out each thing alone: all these plans must pass; return the last as a neighbour."""
    items = _items(search.plan)
    neighbour: Plan | None = None
    without: Item | None = None
    for place, item in enumerate(items):
        plan = _with(search.plan, items[:place] + items[place + 1 :])
        if search.fails(plan):
            return False, None, None
        neighbour, without = plan, item
    return True, neighbour, without
