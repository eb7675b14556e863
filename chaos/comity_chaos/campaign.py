"""A campaign: many seeds of one shape, until something breaks or all are done.

Owns: the search over seeds, the verdict, the line that repeats a failure. May not know: real
time; who waits for it watches `progress`.

    PASS     no promise was broken, and every oracle judged something
    FAIL     a promise was broken: there is a story, and a line that repeats it
    UNKNOWN  nothing was broken, and some promise was never judged, or some message never worked
Source: CHAOS 'Architecture', Verdict, 'User surface'.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum, unique
from functools import partial
from typing import Final

from comity.actor.actor_type import ActorType
from comity_chaos.generate import Shape, draw_plan
from comity_chaos.plan import Plan
from comity_chaos.plan_file import to_word
from comity_chaos.runner import Outcome, Scenario, run_plan
from comity_chaos.shrink import Shrunk, shrink
from comity_chaos.story import tell

__all__ = ["Campaign", "Progress", "Verdict", "repeat_it", "repro_line", "search", "watched"]

_OPTIONAL: Final = frozenset({"invariant", "integrity", "readers"})
"""Oracles that judge only what a plan may lack: promises of the app, traitors, removals."""

_BETWEEN: Final = frozenset({"convergence", "authority", "reach"})
"""Oracles that compare nodes."""


@unique
class Verdict(IntEnum):
    """What a campaign says; the value is the exit code."""

    PASS = 0
    FAIL = 1
    UNKNOWN = 2


Progress = Callable[[int, Outcome], None]
"""Called after every run, with the number of runs so far."""


@dataclass(frozen=True, slots=True)
class Campaign:
    """What a search showed.

    failure: the first, shrunk; None if there is none. vacuous: oracles that never had anything
    to judge. toothless: kinds of faults that were drawn and never bit. bitten, judged: sums.
    raised: messages that were never handled without an error, and the error.
    """

    verdict: Verdict
    runs: int
    failure: Shrunk | None
    first: Outcome | None
    vacuous: tuple[str, ...]
    toothless: tuple[str, ...]
    judged: Mapping[str, int]
    bitten: Mapping[str, int]
    raised: Mapping[str, str]

    def _shrunk(self) -> str:
        assert self.failure is not None
        assert self.first is not None
        before, after = self.first.plan.size, self.failure.plan.size
        return f"Shrunk from {before} to {after} things in {self.failure.runs} runs:"

    def __str__(self) -> str:
        """Say it in words."""
        if self.failure is not None and self.first is not None:
            return "\n".join(
                (
                    f"FAIL: seed {self.first.plan.seed}, run {self.runs} of this search.",
                    self._shrunk(),
                    tell(self.failure),
                    repeat_it(self.failure.plan),
                )
            )
        lines = [f"{self.verdict.name}: {self.runs} runs, no promise was broken."]
        if self.vacuous:
            lines.append(f"Never judged: {', '.join(self.vacuous)}.")
        lines += [
            f"Never worked: {name}, it raised {why}." for name, why in self.raised.items()
        ]
        if self.toothless:
            lines.append(f"Never bit: {', '.join(self.toothless)}.")
        if self.verdict is Verdict.UNKNOWN:
            lines.append("So this says too little: try more seeds, nodes or turns.")
        return "\n".join(lines)


def repro_line(plan: Plan) -> str:
    """Return a command that runs a plan again, in a fresh process, from the same folder."""
    return f"python -m comity_chaos replay {shlex.quote(to_word(plan))}"


def repeat_it(plan: Plan) -> str:
    """Say how to see a plan again."""
    if plan.repeatable:
        return f"Repeat it: {repro_line(plan)}"
    return (
        "Repeat it by this test: another process cannot, because its class or promise is not "
        "at the top of a module."
    )


def search(
    seeds: Iterable[int],
    shape: Shape,
    scenario: Scenario,
    actor_type: ActorType | None,
    *,
    progress: Progress | None = None,
    shrinking: Progress | None = None,
) -> Campaign:
    """Run the plans of seeds until one breaks a promise; shrink that one.

    actor_type: whose messages are sent; None if only the scenario knows. shrinking: called
    after every run of the shrinker.

    Raises: UsageError if the scenario, or the actor, cannot be run.
    """
    judged: Counter[str] = Counter()
    bitten: Counter[str] = Counter()
    worked: Counter[str] = Counter()
    raised: dict[str, str] = {}
    runs = 0
    for seed in seeds:
        complete = None if actor_type is not None else partial(draw_plan, seed, shape)
        outcome = run_plan(draw_plan(seed, shape, actor_type), scenario, complete=complete)
        runs += 1
        judged.update(outcome.judged)
        bitten.update(outcome.bitten)
        worked.update(outcome.worked)
        raised.update(outcome.raised)
        if progress is not None:
            progress(runs, outcome)
        if outcome.failed:
            failure = shrink(outcome, watched(scenario, shrinking))
            return Campaign(Verdict.FAIL, runs, failure, outcome, (), (), judged, bitten, {})
    vacuous = tuple(
        name for name, count in judged.items() if not count and _expected(name, shape)
    )
    toothless = tuple(sorted(kind for kind, count in bitten.items() if not count))
    never = {name: why for name, why in raised.items() if not worked[name]}
    verdict = Verdict.UNKNOWN if vacuous or never or not runs else Verdict.PASS
    return Campaign(verdict, runs, None, None, vacuous, toothless, judged, bitten, never)


def watched(scenario: Scenario, progress: Progress | None) -> Callable[[Plan], Outcome]:
    """Return what runs plans of a scenario, and tells after each how many there were."""
    runs = 0

    def run(plan: Plan) -> Outcome:
        nonlocal runs
        outcome = run_plan(plan, scenario)
        runs += 1
        if progress is not None:
            progress(runs, outcome)
        return outcome

    return run


def _expected(oracle: str, shape: Shape) -> bool:
    """Tell whether an oracle must have judged something in a campaign of this shape."""
    if oracle == "durability":
        return shape.turns > 0
    if oracle in _BETWEEN:
        return shape.nodes > 1
    return oracle not in _OPTIONAL
