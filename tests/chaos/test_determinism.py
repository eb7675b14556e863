"""A run is a function of its plan: in any process, under any hash seed, clock or allocator."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from comity.actor.actor_type import ActorType
from comity_chaos.faults.catalogue import kinds_named
from comity_chaos.generate import Shape, draw_plan
from comity_chaos.keyed import Keyed, SimEntropy
from comity_chaos.plan import Plan, Turn
from comity_chaos.runner import name_of, run_plan, standard
from comity_chaos.timeline import CHECKPOINT_NOTES, Timeline, Trace
from comity_chaos.tripwires import Tripped, tripwires
from comity_chaos.twins import PERTURBED, compare, traced
from tests.chaos.planted import ClockedTodo, HashedTodo
from tests.node.ledger import Ledger

LEDGER = ActorType.of(Ledger)
SHAPE = Shape(
    actor=name_of(Ledger),
    nodes=4,
    relays=1,
    kinds=kinds_named("all", byzantine=True),
    byzantine=1,
)


def hashed(count: int) -> Plan:
    """Return a plan for an app that asks for hashes."""
    turns = tuple(Turn(10 + 40 * number, 0, "add", ("aubergine",)) for number in range(count))
    return Plan(seed=1, nodes=2, actor=name_of(HashedTodo), turns=turns, span_ms=3_000)


def test_twins_in_other_surroundings_are_equal() -> None:
    """Hash seed, allocator, time zone and locale of a process leave no trace in a run."""
    plan = draw_plan(5, SHAPE, LEDGER)
    assert plan.faults
    assert compare(plan) is None


def test_a_process_of_its_own_runs_what_this_one_runs() -> None:
    """The trace here, after whatever ran before, is the trace of a fresh process."""
    plan = draw_plan(7, SHAPE, LEDGER)
    here = [run_plan(plan, standard(LEDGER)).trace for _ in range(2)]
    assert here == [traced(plan, PERTURBED)["trace"]] * 2


def test_an_app_that_asks_for_hashes_is_found_out_and_the_place_is_shown() -> None:
    """Twins part, and the first note that differs is told with what both did there."""
    found = compare(hashed(4))
    assert found is not None
    assert found.note > 0
    assert found.ours != found.theirs
    assert "ran differently in another process, from note" in str(found)


def test_an_app_that_reads_the_clock_trips() -> None:
    """Inside a turn the real world is out of reach, and the wire is named."""
    plan = replace(hashed(1), actor=name_of(ClockedTodo))
    with tripwires() as tripped:
        outcome = run_plan(plan, standard(ActorType.of(ClockedTodo)))
    assert outcome.raised["add"].startswith("Tripped: time.time_ns was called inside a step")
    assert len(tripped) == 1


def test_a_run_trips_no_wire() -> None:
    """Neither the runtime nor the lab looks at the real world while a world runs."""
    with tripwires() as tripped:
        for seed in range(4):
            outcome = run_plan(draw_plan(seed, SHAPE, LEDGER), standard(LEDGER))
            assert not outcome.failed, outcome.text
    assert tripped == []


def test_a_wire_lets_go() -> None:
    """After the guard, and outside a step, everything works as ever."""
    import time  # noqa: PLC0415  (the module whose functions are wired)

    before = time.time
    with tripwires():
        assert time.time is not before
        assert time.time() > 0
    assert time.time is before
    assert issubclass(Tripped, AssertionError)


def test_another_seed_is_another_run() -> None:
    """The trace is not a constant: it depends on the seed, and on every thing that is done."""
    plan = draw_plan(7, SHAPE, LEDGER)
    others = (
        plan,
        replace(plan, seed=8),
        replace(plan, turns=plan.turns[1:]),
        replace(plan, faults=plan.faults[1:]),
        replace(plan, calm=True),
    )
    traces = [run_plan(each, standard(LEDGER)).trace for each in others]
    assert len(set(traces)) == len(others)


def test_a_trace_keeps_a_stretch_and_checkpoints() -> None:
    """Lines are kept for the notes asked for; a checkpoint stands after every 256."""
    trace = Trace(keep=(300, 303))
    for number in range(2 * CHECKPOINT_NOTES + 5):
        trace.note(number, number % 3, "turn", bytes((number % 7,)))
    assert [each.notes for each in trace.checkpoints] == [256, 512]
    assert [line.split()[:3] for line in trace.lines] == [
        [str(number), "node", str(number % 3)] for number in (300, 301, 302)
    ]


def test_what_is_planned_for_one_instant_happens_in_order() -> None:
    """By time, then by order of planning; what follows from it comes after."""
    time, seen = Timeline(), list[str]()
    time.at(5, seen.append, "second")
    time.at(5, lambda: time.after(0, seen.append, "fourth"))
    time.at(3, seen.append, "first")
    time.at(5, seen.append, "third")
    while time.run_one():
        pass
    assert seen == ["first", "second", "third", "fourth"]
    assert time.now == 5


def test_choices_depend_on_their_purpose_alone() -> None:
    """Nothing that was chosen before changes a choice; another key, purpose or seed does."""
    keyed = Keyed(9)
    first = [keyed.below(1 << 40, "latency", 1, number) for number in range(100)]
    other = Keyed(9)
    assert [other.below(1 << 40, "latency", 1, n) for n in reversed(range(100))] == first[::-1]
    assert len(set(first)) == 100
    assert keyed.below(1 << 40, "sync", 1, 0) != first[0]
    assert Keyed(10).below(1 << 40, "latency", 1, 0) != first[0]
    assert all(0 <= keyed.share("x", number) < 1 for number in range(50))


def test_entropy_is_fresh_in_every_life_and_the_same_in_every_run() -> None:
    """No two lives draw the same bytes; how a draw is cut does not matter to the next."""
    lives = [SimEntropy(1, node, life).draw(32) for node in range(4) for life in range(4)]
    assert len(set(lives)) == 16
    assert SimEntropy(1, 0, 0).draw(32) == lives[0]
    stream = SimEntropy(1, 0, 0)
    assert stream.draw(32) != stream.draw(32)
    assert [len(stream.draw(count)) for count in (0, 1, 63, 64, 65, 200)] == [
        0,
        1,
        63,
        64,
        65,
        200,
    ]


SEARCH = """
from tests.chaos.test_determinism import LEDGER, SHAPE
from comity_chaos.generate import draw_plan
from comity_chaos.runner import run_plan, standard

for seed in range({count}):
    print(seed, run_plan(draw_plan(seed, SHAPE, LEDGER), standard(LEDGER)).trace)
"""


def traces_of(
    project: Path, count: int, surroundings: Mapping[str, str]
) -> subprocess.Popen[str]:
    """Begin to run so many seeds in a process of its own."""
    path = os.pathsep.join(str(project / part) for part in ("runtime", "chaos", "."))
    return subprocess.Popen(
        [sys.executable, "-c", SEARCH.format(count=count)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": path, **surroundings},
        cwd=project,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.soak
def test_ten_thousand_seeds_run_alike_in_two_processes(project: Path) -> None:
    """A long search, twice at once, in surroundings that differ in all that must not matter."""
    count = 10_000
    one = traces_of(project, count, {"PYTHONHASHSEED": "1"})
    other = traces_of(project, count, PERTURBED)
    ours, theirs = one.communicate()[0].splitlines(), other.communicate()[0].splitlines()
    assert len(ours) == count
    assert ours == theirs
