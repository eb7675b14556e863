"""The commands of the lab, as functions: search, replay, shrink, trace.

Owns: what each command does with words and files. May not know: how a command line is parsed
(`comity_chaos.__main__`, `comity chaos`); each function returns what to print and how to exit.
Source: CHAOS 'User surface'.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from comity.actor.actor_type import ActorType
from comity_chaos.campaign import Campaign, Progress, Verdict, repro_line, search
from comity_chaos.faults.catalogue import kinds_named
from comity_chaos.generate import Shape
from comity_chaos.oracles.agreement import Invariant
from comity_chaos.plan import Plan
from comity_chaos.plan_file import WORD_PREFIX, dump, load
from comity_chaos.runner import Scenario, find, find_actor, name_of, run_plan, standard
from comity_chaos.shrink import shrink
from comity_chaos.story import tell, tell_plan
from comity_chaos.testing import ATTRIBUTE

__all__ = [
    "Request",
    "Said",
    "check",
    "read_plan",
    "replay_command",
    "run_command",
    "scenario_of",
    "shrink_command",
    "trace_command",
]


@dataclass(frozen=True, slots=True)
class Said:
    """What a command says, and how it exits."""

    text: str
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A search, as somebody asks for it. promises: invariants, by name."""

    actor: str
    seeds: int = 100
    first_seed: int = 0
    faults: str = "all"
    nodes: int = 4
    turns: int = 40
    relays: int = 0
    byzantine: int = 0
    crypto: str = "symbolic"
    promises: tuple[str, ...] = ()


def check(
    actor_class: type,
    *promises: Invariant,
    seeds: int = 25,
    faults: str = "all",
    nodes: int = 4,
    byzantine: int = 0,
) -> Campaign:
    """Put an actor through generated work and faults; promises: of its author.

    Raises: UsageError if the class is no actor, or has messages without types.
    """
    actor_type = ActorType.of(actor_class)
    shape = Shape(
        actor=name_of(actor_class),
        nodes=nodes,
        promises=tuple(map(name_of, promises)),
        kinds=kinds_named(faults, byzantine=byzantine > 0),
        byzantine=byzantine,
    )
    return search(range(seeds), shape, standard(actor_type, *promises), actor_type)


def run_command(request: Request, progress: Progress | None = None) -> Said:
    """Search seeds for a broken promise. Raises: UsageError."""
    actor_type = find_actor(request.actor)
    promises: list[Invariant] = [find(name) for name in request.promises]
    shape = Shape(
        actor=request.actor,
        promises=request.promises,
        nodes=request.nodes,
        relays=request.relays,
        turns=request.turns,
        kinds=kinds_named(request.faults, byzantine=request.byzantine > 0),
        byzantine=request.byzantine,
        crypto=request.crypto,
        beyond=True,
    )
    seeds = range(request.first_seed, request.first_seed + request.seeds)
    scenario = standard(actor_type, *promises)
    campaign = search(seeds, shape, scenario, actor_type, progress=progress)
    return Said(str(campaign), campaign.verdict)


def read_plan(word: str, read: Callable[[], str] | None = None) -> Plan:
    """Return the plan that a word is, a file holds, or, for '-', `read` returns.

    Raises: UsageError; OSError if the file cannot be read.
    """
    if word == "-" and read is not None:
        return load(read())
    return load(word if word.startswith(WORD_PREFIX) else Path(word).read_text("utf-8"))


def scenario_of(plan: Plan) -> Scenario:
    """Return what drives a plan: its own scenario, or the lab's. Raises: UsageError."""
    if plan.scenario:
        found = find(plan.scenario)
        test = getattr(found, ATTRIBUTE, None)
        scenario: Scenario = found if test is None else test.scenario
        return scenario
    promises: Sequence[Invariant] = [find(name) for name in plan.promises]
    return standard(find_actor(plan.actor), *promises)


def replay_command(plan: Plan) -> Said:
    """Run a plan once more and tell what it does and shows. Raises: UsageError."""
    outcome = run_plan(plan, scenario_of(plan))
    story = "\n".join(tell_plan(plan))
    if outcome.failed:
        text = f"{story}\nFAIL: {outcome.oracle}: {outcome.text}\ntrace {outcome.trace}"
        return Said(text, Verdict.FAIL)
    return Said(f"{story}\nPASS: no promise was broken.\ntrace {outcome.trace}", Verdict.PASS)


def shrink_command(plan: Plan) -> Said:
    """Shrink a plan that fails; the text ends with the smaller plan as TOML."""
    scenario = scenario_of(plan)
    outcome = run_plan(plan, scenario)
    if not outcome.failed:
        return Said(
            "PASS: this plan breaks no promise: there is nothing to shrink.", Verdict.PASS
        )
    shrunk = shrink(outcome, lambda smaller: run_plan(smaller, scenario))
    parts = (tell(shrunk), f"Repeat it: {repro_line(shrunk.plan)}", "", dump(shrunk.plan))
    return Said("\n".join(parts), Verdict.FAIL)


def trace_command(plan: Plan, keep: tuple[int, int]) -> Said:
    """Run a plan and return its trace as JSON, for a twin to compare."""
    outcome = run_plan(plan, scenario_of(plan), keep=keep)
    said = {
        "trace": outcome.trace,
        "oracle": outcome.oracle,
        "checkpoints": [[each.notes, each.digest] for each in outcome.checkpoints],
        "lines": outcome.lines,
    }
    return Said(json.dumps(said), Verdict.PASS)
