"""Every kind of fault bites, is undone by its inverse, and hurts no promise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from comity.actor.actor_type import ActorType
from comity.base.errors import UsageError
from comity_chaos.faults.catalogue import CATALOGUE, GROUPS, kinds_named
from comity_chaos.faults.kind import FaultKind, Model
from comity_chaos.generate import Shape, draw_plan
from comity_chaos.node import FOREVER
from comity_chaos.plan import At, Buggify, Fault, Plan, Trigger, When
from comity_chaos.runner import name_of, run_plan, standard
from comity_chaos.sim import Sim
from tests.node.ledger import Ledger

LEDGER = ActorType.of(Ledger)
LIAR = 3
COMPANIONS = {
    "no-answer": Fault("kill", At(1_500), (1,), ms=500),
    "lying-summary": Fault("reset", At(1_500), (LIAR,)),
    "reorder": Fault("isolate", At(0), (LIAR,), ms=1_500),
}
"""What some kinds need to bite: calls to make, summaries to send, a backlog to catch up on."""

LASTING = sorted(name for name, kind in CATALOGUE.items() if kind.lasts)


def plan_of(kind: FaultKind, trigger: Trigger, *, ms: int) -> Plan:
    """Return a busy plan of four nodes in which one fault happens."""
    shape = Shape(actor=name_of(Ledger), turns=20, span_ms=5_000)
    drawn = draw_plan(11, replace(shape, nodes=2), LEDGER)
    turns = tuple(replace(turn, node=place % 4) for place, turn in enumerate(drawn.turns))
    lies = kind.model is Model.BYZANTINE and kind.nodes == 1
    first = LIAR if lies else 1
    nodes = (first, 2, 0)[: kind.nodes]
    amount = kind.amounts[-1] if kind.amounts else 0
    fault = Fault(kind.name, trigger, nodes, amount, ms)
    return Plan(
        seed=11,
        nodes=4,
        actor=name_of(Ledger),
        turns=turns,
        faults=(fault,),
        span_ms=5_000,
        byzantine=(LIAR,) if lies else (),
    )


def triggers_of(kind: FaultKind) -> Iterator[Trigger]:
    """Yield what may set a fault off, the most telling first."""
    node = LIAR if kind.model is Model.BYZANTINE and kind.nodes == 1 else 1
    yield At(1_000)
    for event in kind.events:
        yield When(event, node, 2)
    yield At(0)


def wounds(sim: Sim) -> list[str]:
    """Return what is wrong in a world, whatever made it so."""
    found: list[str] = []
    network, now = sim.world.network, sim.world.now
    found += ["a direction is cut"] * bool(network._cuts)
    for path in network._paths.values():
        wrong = (path.delay, path.rate, path.silent, path.deaf, path.meddler)
        found += [f"a path is {wrong}"] * any(wrong)
    for node in sim.world.nodes:
        found += [f"{node.index} is off"] * (not node.up)
        found += [f"{node.index} is held"] * (node.held_until >= FOREVER)
        found += [f"{node.index} is slow"] * bool(node.lag)
        found += [f"{node.index} has a bad disk"] * (node.disk.full or node.disk.slowness != 1)
        clock = node.clock
        found += [f"{node.index} has a bad clock"] * bool(
            clock._offset or clock._ppm or clock._frozen is not None
        )
        found += [f"{node.index} has moved"] * (node.address != f"node-{node.index}")
        found += [f"{node.index} lies"] * bool(getattr(node.codec, "lies", ()))
    assert now >= 0
    return found


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_kind_bites_and_breaks_no_promise(name: str) -> None:
    """For each kind there is a plan in which it changes what happens, and all recover."""
    kind = CATALOGUE[name]
    for trigger in triggers_of(kind):
        plan = plan_of(kind, trigger, ms=2_000)
        if name in COMPANIONS:
            alone = replace(plan.faults[0], ms=5_000)
            plan = replace(plan, faults=(alone, COMPANIONS[name]))
        outcome = run_plan(plan, standard(LEDGER))
        assert not outcome.failed, f"{trigger}: {outcome.oracle}: {outcome.text}"
        if outcome.bitten[name]:
            return
    pytest.fail(f"{name} never bit")


@pytest.mark.parametrize("name", LASTING)
def test_every_lasting_kind_is_undone_when_its_time_is_over(name: str) -> None:
    """Nothing is left of a fault after its time, before anybody heals the world."""
    sim = Sim(plan=plan_of(CATALOGUE[name], At(0), ms=1_000))
    sim.share(Ledger)
    sim.run(3)
    assert wounds(sim) == []


@pytest.mark.parametrize("name", LASTING)
def test_every_lasting_kind_is_undone_by_healing(name: str) -> None:
    """A fault without an end ends when the nemesis heals, and undoing it twice is harmless."""
    sim = Sim(plan=plan_of(CATALOGUE[name], At(0), ms=0))
    sim.share(Ledger)
    sim.run(2)
    assert sim.nemesis is not None
    assert sim.nemesis.worked == [1]
    sim.nemesis.heal()
    sim.nemesis.heal()
    sim.run(1)
    assert wounds(sim) == []


@pytest.mark.parametrize("name", ["partition", "silence", "kill", "suspend", "disk-full"])
def test_a_wound_shows_while_the_fault_lasts(name: str) -> None:
    """What the tests above look for is there before the inverse is applied."""
    sim = Sim(plan=plan_of(CATALOGUE[name], At(0), ms=0))
    sim.share(Ledger)
    sim.run(1)
    assert wounds(sim)


def test_a_chance_comes_often_and_is_bounded() -> None:
    """A fault by chance comes at some of the events, and not for ever."""
    kind = CATALOGUE["reset"]
    plan = plan_of(kind, Buggify("send", 1, 400), ms=0)
    with Sim(plan=plan) as sim:
        sim.share(Ledger)
        sim.survive()
        assert sim.nemesis is not None
        assert 3 < sim.nemesis.worked[0] <= 40


def test_triggers_count_from_their_own_time() -> None:
    """`nth` counts events after `after_ms` only."""
    kind = CATALOGUE["kill"]
    plan = plan_of(kind, When("turn", 1, 1, after_ms=3_000), ms=500)
    with Sim(plan=plan) as sim:
        sim.share(Ledger)
        sim.run(1.9)
        assert sim.nemesis is not None
        assert sim.nemesis.worked == [0]
        sim.survive()
        assert sim.nemesis.worked == [1]


def test_names_of_kinds_and_groups() -> None:
    """Groups, kinds, 'all' and 'none' can be named; what does not exist is named back."""
    assert kinds_named("none", byzantine=True) == ()
    assert kinds_named("clock, kill", byzantine=False) == (
        *GROUPS["clock"],
        CATALOGUE["kill"],
    )
    every = kinds_named("all", byzantine=True)
    honest = kinds_named("all", byzantine=False)
    assert {kind.name for kind in every} == set(CATALOGUE)
    assert set(every) - set(honest) == set(GROUPS["byzantine"])
    with pytest.raises(UsageError, match=r"no fault 'fire'.*network.*partition"):
        kinds_named("fire", byzantine=False)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault("fire", At(0), (0,)), "no fault 'fire'"),
        (Fault("kill", At(0), (9,)), r"'kill' hits nodes \(9,\) of 4"),
        (Fault("one-way", At(0), (1,)), "hits nodes"),
    ],
)
def test_faults_that_cannot_happen_are_refused(fault: Fault, said: str) -> None:
    """A plan that names what is not there is the caller's error, told at once."""
    plan = replace(plan_of(CATALOGUE["kill"], At(0), ms=0), faults=(fault,))
    sim = Sim(plan=plan)
    with pytest.raises(UsageError, match=said):
        sim.share(Ledger)
