"""From a failure to its smallest story, and the line that repeats it anywhere."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from comity.actor.actor_type import ActorType
from comity_chaos.campaign import Verdict, repro_line, search
from comity_chaos.faults.catalogue import CATALOGUE, kinds_named
from comity_chaos.generate import Shape, draw_plan
from comity_chaos.plan import At, Buggify, Fault, Plan, Turn, When
from comity_chaos.runner import Outcome, name_of, run_plan, standard
from comity_chaos.shrink import shrink
from comity_chaos.story import tell, tell_item, tell_plan
from tests.chaos.planted import HastyTodo, everything_has_its_place

HASTY = ActorType.of(HastyTodo)
SCENARIO = standard(HASTY, everything_has_its_place)
SHAPE = Shape(
    actor=name_of(HastyTodo),
    promises=(name_of(everything_has_its_place),),
    kinds=kinds_named("all", byzantine=False),
)


def repeated(line: str, project: Path, **surroundings: str) -> subprocess.CompletedProcess[str]:
    """Run a line that a report gave, in a fresh process, as a shell would."""
    words = shlex.split(line)
    assert words[:3] == ["python", "-m", "comity_chaos"]
    path = os.pathsep.join(str(project / part) for part in ("runtime", "chaos"))
    return subprocess.run(
        [sys.executable, *words[1:]],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": path, **surroundings},
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("first_seed", [0, 100, 200])
def test_a_planted_bug_becomes_three_steps(first_seed: int) -> None:
    """A write that does not commute: two messages on two nodes, nothing else, whatever seed."""
    campaign = search(range(first_seed, first_seed + 20), SHAPE, SCENARIO, HASTY)
    assert campaign.verdict is Verdict.FAIL
    shrunk = campaign.failure
    assert shrunk is not None
    assert shrunk.minimal
    assert shrunk.plan.size <= 3
    assert shrunk.plan.nodes == 2
    assert shrunk.plan.calm
    assert shrunk.outcome.oracle == "invariant"
    assert shrunk.runs < 400


def test_the_report_is_plain_and_its_line_repeats_it(project: Path) -> None:
    """The story names who did what; the printed line fails alike under another hash seed."""
    campaign = search(range(20), SHAPE, SCENARIO, HASTY)
    report = str(campaign)
    first = campaign.first
    assert first is not None
    assert report.startswith(
        f"FAIL: seed {first.plan.seed}, run {campaign.runs} of this search."
    )
    assert "2 nodes share HastyTodo.\n1. at 0.000 s: node " in report
    assert "invariant is broken: 'everything_has_its_place' does not hold on node" in report
    assert "Without this it does not happen: " in report
    said = report.splitlines()[-1]
    assert said.startswith("Repeat it: ")
    assert campaign.failure is not None
    traces: list[str] = []
    for seed in ("0", "77"):
        done = repeated(said.removeprefix("Repeat it: "), project, PYTHONHASHSEED=seed)
        assert done.returncode == Verdict.FAIL, done.stderr
        assert "FAIL: invariant: 'everything_has_its_place'" in done.stdout
        traces.append(done.stdout.splitlines()[-1])
    assert traces == [f"trace {campaign.failure.outcome.trace}"] * 2


def test_the_neighbour_of_a_minimal_plan_passes() -> None:
    """Without the thing that is named it does not happen; without any other neither."""
    outcome = next(
        outcome
        for outcome in (run_plan(draw_plan(s, SHAPE, HASTY), SCENARIO) for s in range(20))
        if outcome.failed
    )
    shrunk = shrink(outcome, lambda plan: run_plan(plan, SCENARIO))
    assert shrunk.neighbour is not None
    assert shrunk.neighbour.size == shrunk.plan.size - 1
    assert not run_plan(shrunk.neighbour, SCENARIO).failed
    assert shrunk.without in {*shrunk.plan.turns, *shrunk.plan.faults}
    for place in range(len(shrunk.plan.turns)):
        turns = shrunk.plan.turns[:place] + shrunk.plan.turns[place + 1 :]
        assert not run_plan(replace(shrunk.plan, turns=turns), SCENARIO).failed


# The search alone, over made-up failures


def judged(plan: Plan, needed: Mapping[str, int]) -> Outcome:
    """Return the outcome of a plan that fails if it holds so many of each thing."""
    names = [turn.method for turn in plan.turns] + [fault.kind for fault in plan.faults]
    fails = all(names.count(name) >= count for name, count in needed.items())
    oracle = "invariant" if fails else ""
    return Outcome(plan, oracle, oracle, 10_000, {}, {}, {}, {}, 0, 0, 0, "")


@pytest.mark.parametrize(
    "needed",
    [{}, {"kill": 1}, {"a": 1}, {"a": 3}, {"a": 2, "kill": 1, "isolate": 2}, {"a": 20}],
)
def test_exactly_what_is_needed_is_left(needed: Mapping[str, int]) -> None:
    """Of eighty things those remain that the failure needs, in one node and without waiting."""
    turns = tuple(Turn(100 * n, n % 4, "ab"[n % 2], ("fennelseed", n)) for n in range(40))
    faults = tuple(
        Fault(("kill", "isolate")[n % 2], At(90 * n), (n % 4,), ms=5_000) for n in range(40)
    )
    plan = Plan(seed=1, nodes=4, turns=turns, faults=faults, span_ms=12_000, relays=2)
    shrunk = shrink(judged(plan, needed), lambda each: judged(each, needed))
    left = [turn.method for turn in shrunk.plan.turns]
    left += [fault.kind for fault in shrunk.plan.faults]
    assert sorted(left) == sorted(name for name, count in needed.items() for _ in range(count))
    assert shrunk.minimal
    assert shrunk.plan.relays == 0
    assert all(turn.arguments == ("aubergine", 1) for turn in shrunk.plan.turns if turn.ms)
    assert all(fault.ms <= 500 for fault in shrunk.plan.faults)


def test_the_search_is_bounded_and_says_so() -> None:
    """When the runs are used up, the best so far is returned and told as unsure."""
    turns = tuple(Turn(n, 0, "a") for n in range(30))
    plan = Plan(seed=1, nodes=2, turns=turns, span_ms=1_000)
    needed = {"a": 17}
    shrunk = shrink(judged(plan, needed), lambda each: judged(each, needed), runs_max=12)
    assert shrunk.runs == 12
    assert not shrunk.minimal
    assert 17 <= shrunk.plan.size < 30
    assert "The search ended before it was sure" in tell(shrunk)


def test_another_broken_promise_is_another_story() -> None:
    """What breaks a different promise on the way is not taken for the same failure."""
    turns = tuple(Turn(n, 0, "ab"[n % 2]) for n in range(10))
    plan = Plan(seed=1, nodes=2, turns=turns, span_ms=1_000)

    def run(each: Plan) -> Outcome:
        outcome = judged(each, {"a": 1, "b": 1})
        return outcome if outcome.failed else replace(outcome, oracle="liveness")

    assert shrink(run(plan), run).plan.size == 2


# Stories


def test_every_kind_is_told_in_a_sentence() -> None:
    """No kind of the catalogue leaves a gap in its sentence."""
    for kind in CATALOGUE.values():
        nodes = tuple(range(kind.nodes))
        amount = kind.amounts[0] if kind.amounts else 0
        told = tell_item(
            Fault(kind.name, At(1_500), nodes, amount, kind.lasts[0] if kind.lasts else 0)
        )
        assert told.startswith("at 1.500 s: ")
        assert "node 0" in told
        assert "{" not in told


@pytest.mark.parametrize(
    ("trigger", "said"),
    [
        (When("ack", 1, 1), "as soon as node 1 has acknowledged a message: "),
        (
            When("fsync", 1, 2, 40),
            "safely on its disk for the second time, counted from 0.040 s on: ",
        ),
        (When("send", 1, 21), "as soon as node 1 has sent something for the 21st time: "),
        (
            Buggify("send", 0, 25, 1_000),
            "2.5 % of the times that node 0 has sent something, from 1.000 s on: ",
        ),
    ],
)
def test_triggers_are_told_as_people_say_them(trigger: At | When | Buggify, said: str) -> None:
    """Ordinals, chances and times are words."""
    assert said in tell_item(Fault("kill", trigger, (1,), ms=500))


def test_a_plan_is_told_in_the_order_of_time() -> None:
    """Messages and faults are one story."""
    plan = Plan(
        seed=1,
        nodes=1,
        relays=1,
        actor="app:Todo",
        turns=(Turn(900, 0, "add", ("aubergine",)),),
        faults=(Fault("kill", At(100), (0,)),),
    )
    assert tell_plan(plan) == [
        "1 node and 1 relay share Todo.",
        "1. at 0.100 s: the process of node 0 is killed, until everything is healed.",
        "2. at 0.900 s: node 0 runs add('aubergine').",
    ]
    assert repro_line(plan).startswith("python -m comity_chaos replay plan:")
