"""The commands of the lab, as functions: search, replay, report, shrink, show, trace.

Owns: what each command does with words and files. May not know: how a command line is parsed
(`comity_chaos.__main__`, `comity chaos`); each function returns what to print and how to exit.
Source: CHAOS 'User surface'.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from comity.actor.actor_type import ActorType
from comity.base.errors import UsageError
from comity_chaos.campaign import Campaign, Progress, Verdict, repro_line, search, watched
from comity_chaos.faults.catalogue import kinds_named
from comity_chaos.film import Film
from comity_chaos.generate import Shape
from comity_chaos.oracles.agreement import Invariant
from comity_chaos.plan import Plan
from comity_chaos.plan_file import WORD_PREFIX, dump, load
from comity_chaos.promises import promise_named, promises_told
from comity_chaos.report.page import Told, page_of
from comity_chaos.runner import (
    Scenario,
    find,
    find_actor,
    name_of,
    named_in_full,
    run_plan,
    standard,
)
from comity_chaos.shrink import Shrunk, shrink
from comity_chaos.story import tell, tell_item, tell_plan
from comity_chaos.testing import ATTRIBUTE

__all__ = [
    "Request",
    "Said",
    "check",
    "read_plan",
    "replay_command",
    "report_command",
    "run_command",
    "scenario_of",
    "scenarios_command",
    "show_command",
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
    """A search, as somebody asks for it.

    promises: invariants, by name. only: messages to send, all if none. save: a folder for the
    plan of a failure; '' for none. report: a file for the page of a failure, likewise. named:
    a scenario of `comity_chaos.promises`, which says what faults, relays and liars there are.
    """

    actor: str
    seeds: int = 100
    first_seed: int = 0
    faults: str = "all"
    nodes: int = 4
    turns: int = 40
    relays: int = 0
    byzantine: int = 0
    crypto: str = "symbolic"
    only: tuple[str, ...] = ()
    promises: tuple[str, ...] = ()
    save: str = ""
    report: str = ""
    named: str = ""


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


def run_command(
    request: Request, progress: Progress | None = None, shrinking: Progress | None = None
) -> Said:
    """Search seeds for a broken promise. Raises: UsageError; OSError if it cannot save."""
    request = replace(request, actor=named_in_full(request.actor))
    actor_type = find_actor(request.actor)
    unknown = [name for name in request.only if name not in actor_type.methods]
    if unknown:
        known = ", ".join(actor_type.methods)
        raise UsageError(f"{actor_type.name} has no message {unknown[0]!r}; it has: {known}")
    tried = ""
    if request.named:
        named = promise_named(request.named)
        request = replace(
            request, faults=named.faults, relays=named.relays, byzantine=named.byzantine
        )
        tried = f"{request.named}: {named.says}.\n"
    promises: list[Invariant] = [_promise(name) for name in request.promises]
    shape = Shape(
        actor=request.actor,
        promises=request.promises,
        nodes=request.nodes,
        relays=request.relays,
        turns=request.turns,
        kinds=kinds_named(request.faults, byzantine=request.byzantine > 0),
        only=request.only,
        byzantine=request.byzantine,
        crypto=request.crypto,
        beyond=True,
    )
    seeds = range(request.first_seed, request.first_seed + request.seeds)
    scenario = standard(actor_type, *promises)
    campaign = search(
        seeds, shape, scenario, actor_type, progress=progress, shrinking=shrinking
    )
    text = tried + str(campaign)
    if request.save and campaign.failure is not None:
        text += f"\nThe plan is in {_saved(campaign.failure, Path(request.save))}"
    if request.report and campaign.failure is not None and campaign.first is not None:
        before = campaign.first.plan.size
        text += f"\n{_reported(campaign.failure, scenario, Path(request.report), before)}"
    elif request.report:
        text += "\nNothing failed, so there is no report."
    return Said(text, campaign.verdict)


def scenarios_command() -> Said:
    """List the named scenarios."""
    return Said(promises_told(), Verdict.PASS)


def _promise(name: str) -> Invariant:
    found = find(name)
    if not callable(found):
        raise UsageError(f"{name!r} is no promise: name a function of a state")
    promise: Invariant = found
    return promise


def _saved(failure: Shrunk, folder: Path) -> Path:
    """Write the plan of a failure into a folder, with its story."""
    plan = failure.plan
    story = f"{failure.outcome.oracle}: {failure.outcome.text}"
    path = folder / f"{failure.outcome.oracle}-{plan.seed}.toml"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(dump(replace(plan, notes={**plan.notes, "story": story})), "utf-8")
    return path


def report_command(plan: Plan, path: Path, shrinking: Progress | None = None) -> Said:
    """Run a plan, shrink it if it fails, and write the page of that; see `report.page`.

    Raises: UsageError; OSError if the file cannot be written.
    """
    scenario = scenario_of(plan)
    outcome = run_plan(plan, scenario)
    if outcome.failed:
        shrunk = shrink(outcome, watched(scenario, shrinking))
        said = _reported(shrunk, scenario, path, plan.size)
        return Said(f"{tell(shrunk)}\n{said}", Verdict.FAIL)
    film = Film()
    outcome = run_plan(plan, scenario, film=film)
    path.write_text(page_of(Told(outcome), film), "utf-8")
    return Said(f"PASS: no promise was broken.\n{_is_in(path)}", Verdict.PASS)


def _reported(failure: Shrunk, scenario: Scenario, path: Path, before: int) -> str:
    """Run a failure once more before a camera, and write its page."""
    film = Film()
    outcome = run_plan(failure.plan, scenario, film=film)
    neighbour = "" if failure.without is None else tell_item(failure.without)
    told = Told(outcome, neighbour, failure.minimal, before)
    path.write_text(page_of(told, film), "utf-8")
    return _is_in(path)


def _is_in(path: Path) -> str:
    return f"The report is in {path}: open it in a browser."


def show_command(plan: Plan) -> Said:
    """Tell what a plan does, and give it as TOML."""
    return Said("\n".join((*tell_plan(plan), "", dump(plan).rstrip())), Verdict.PASS)


def read_plan(word: str, read: Callable[[], str] | None = None) -> Plan:
    """Return the plan that a word is, a file holds, or, for '-', `read` returns.

    Raises: UsageError; OSError if the file cannot be read.
    """
    if word == "-" and read is not None:
        return load(read())
    if word.startswith(WORD_PREFIX):
        return load(word)
    try:
        return load(Path(word).read_text("utf-8"))
    except UnicodeDecodeError as error:
        raise UsageError(f"{word} is no plan: {error}") from None
    except UsageError as error:
        raise UsageError(f"{word}: {error}") from None


def scenario_of(plan: Plan) -> Scenario:
    """Return what drives a plan: its own scenario, or the lab's. Raises: UsageError."""
    if plan.scenario:
        found = find(plan.scenario)
        test = getattr(found, ATTRIBUTE, None)
        scenario: Scenario = found if test is None else test.scenario
        return scenario
    promises: Sequence[Invariant] = [_promise(name) for name in plan.promises]
    if not plan.actor:
        raise UsageError("this plan names no actor and no scenario: nothing can run it")
    return standard(find_actor(plan.actor), *promises)


def replay_command(plan: Plan) -> Said:
    """Run a plan once more and tell what it does and shows. Raises: UsageError."""
    outcome = run_plan(plan, scenario_of(plan))
    story = "\n".join(tell_plan(plan))
    if outcome.failed:
        text = f"{story}\nFAIL: {outcome.oracle}: {outcome.text}\ntrace {outcome.trace}"
        return Said(text, Verdict.FAIL)
    return Said(f"{story}\nPASS: no promise was broken.\ntrace {outcome.trace}", Verdict.PASS)


def shrink_command(plan: Plan, shrinking: Progress | None = None) -> Said:
    """Shrink a plan that fails; the text ends with the smaller plan as TOML."""
    scenario = scenario_of(plan)
    outcome = run_plan(plan, scenario)
    if not outcome.failed:
        return Said(
            "PASS: this plan breaks no promise: there is nothing to shrink.", Verdict.PASS
        )
    shrunk = shrink(outcome, watched(scenario, shrinking))
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
