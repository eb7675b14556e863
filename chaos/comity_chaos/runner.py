"""One run of one plan, from an empty world to a verdict.

Owns: what a run returns, and how actors and scenarios are found by name. May not know: how
plans are drawn, searched or shrunk.
Source: CHAOS 'Architecture', Verdict.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from comity.actor.actor import Actor
from comity.actor.actor_type import ActorType
from comity.base.errors import UsageError
from comity_chaos.film import Film
from comity_chaos.oracles.agreement import Invariant
from comity_chaos.oracles.oracle import Violation
from comity_chaos.plan import Plan
from comity_chaos.sim import Sim
from comity_chaos.timeline import Checkpoint
from comity_chaos.world import NodeFailed

__all__ = ["Outcome", "Scenario", "find", "find_actor", "name_of", "run_plan", "standard"]

Scenario = Callable[[Sim], object]
"""Drives a run: shares actors, sends messages, lets the plan happen, asserts."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run showed.

    oracle: whose promise was broken; '' if none was. text: what was seen, in plain words.
    ms: simulated, since the plan began, when it was seen. judged: by oracle, how often there
    was something to judge. bitten: by kind of fault, how often it changed what happened.
    fired_ms: by fault, when it came first, -1 if it never came.
    worked: by message, how often it was handled. raised: by message, what it raised, if it was
    never handled without.
    """

    plan: Plan
    oracle: str
    text: str
    ms: int
    judged: Mapping[str, int]
    bitten: Mapping[str, int]
    worked: Mapping[str, int]
    raised: Mapping[str, str]
    events: int
    turns: int
    frames: int
    trace: str
    fired_ms: tuple[int, ...] = ()
    checkpoints: tuple[Checkpoint, ...] = ()
    lines: tuple[str, ...] = ()
    error: BaseException | None = field(default=None, compare=False, repr=False)

    @property
    def failed(self) -> bool:
        """Whether a promise was broken."""
        return bool(self.oracle)


def standard(actor_type: ActorType, *invariants: Invariant) -> Scenario:
    """Return the lab's own scenario: share an actor, let the plan happen, judge."""

    def scenario(sim: Sim) -> None:
        for invariant in invariants:
            sim.always(invariant)
        sim.share(actor_type.cls)
        sim.survive()

    return scenario


def run_plan(
    plan: Plan,
    scenario: Scenario,
    *,
    keep: tuple[int, int] = (0, 0),
    complete: Callable[[ActorType], Plan] | None = None,
    film: Film | None = None,
) -> Outcome:
    """Run a plan and say what it showed.

    keep: notes of the trace to return as lines. complete: draws the work of the plan once the
    scenario has said for which actor. film: records it.

    Raises: UsageError if the plan or the scenario cannot be run.
    """
    sim = Sim(plan=plan, keep=keep)
    sim.complete = complete
    if film is not None:
        film.attach(sim)
    oracle, text = "", ""
    error: BaseException | None = None
    try:
        with sim:
            scenario(sim)
    except Violation as violation:
        oracle, text, error = violation.oracle, violation.text, violation
    except NodeFailed as failure:
        cause = failure.__cause__
        where = "" if cause is None else _where(cause)
        oracle, text, error = "crash", f"{failure}{where}", failure
    except UsageError:
        raise
    except Exception as raised:  # noqa: BLE001  (a scenario may assert, and raise, anything)
        said = f"{type(raised).__name__}: {raised}{_where(raised, scenario)}"
        oracle, text, error = "scenario", said, raised
    world = sim.world
    return Outcome(
        plan=sim.plan,
        oracle=oracle,
        text=text,
        ms=sim.elapsed_ms,
        judged=sim.judge.judged,
        bitten={} if sim.nemesis is None else sim.nemesis.bitten,
        worked=sim.worked,
        raised=sim.raised,
        events=world.events,
        turns=world.turns,
        frames=world.network.frames,
        trace=world.trace,
        fired_ms=() if sim.nemesis is None else tuple(sim.nemesis.fired_ms),
        checkpoints=tuple(world.log.checkpoints),
        lines=tuple(world.log.lines),
        error=error,
    )


def _where(error: BaseException, scenario: Scenario | None = None) -> str:
    """Say where an error was raised; in the scenario's own file, if one is given."""
    code = getattr(scenario, "__code__", None)
    own = None if code is None else code.co_filename
    trace, chosen = error.__traceback__, None
    while trace is not None:
        if own is None or trace.tb_frame.f_code.co_filename == own:
            chosen = trace
        trace = trace.tb_next
    if chosen is None:
        return "" if own is None else _where(error)
    found = chosen.tb_frame.f_code
    return f" (in {found.co_qualname}, {Path(found.co_filename).name}:{chosen.tb_lineno})"


# Names


def name_of(thing: Any) -> str:  # noqa: ANN401  (a class or a function)
    """Return the name by which another process finds a class or function of a module."""
    module = sys.modules.get(thing.__module__)
    place = thing.__module__
    origin = getattr(module, "__file__", None)
    if origin is not None:
        here, path = Path.cwd(), Path(origin).resolve()
        inside = path.is_relative_to(here)
        # A test's folder is on the path of pytest, and of no other process.
        if place == "__main__" or ("." not in place and inside and path.parent != here):
            place = str(path.relative_to(here) if inside else path)
    return f"{place}:{thing.__qualname__}"


def find(name: str) -> Any:  # noqa: ANN401  (whatever has the name)
    """Return what 'module:Name' or 'path/file.py:Name' names.

    Raises: UsageError if there is no such thing, or it is inside a function.
    """
    place, _, path = name.rpartition(":")
    if not place or not path:
        raise UsageError(f"{name!r} names nothing: write 'module:Class' or 'file.py:Class'")
    if "<locals>" in path:
        raise UsageError(
            f"{path} is defined inside a function, where no other process finds it: move it to "
            "the top of its module"
        )
    try:
        found: Any = _load_file(Path(place)) if place.endswith(".py") else _load_module(place)
        for part in path.split("."):
            found = getattr(found, part)
    except AttributeError:
        raise UsageError(f"{place} has no {path!r}") from None
    except (ModuleNotFoundError, OSError) as error:
        raise UsageError(f"{name!r} cannot be loaded: {error}") from error
    except Exception as error:  # whatever a module of the user's raises
        raise UsageError(
            f"{name!r} cannot be loaded: {type(error).__name__}: {error}{_where(error)}"
        ) from error
    return found


def named_in_full(name: str) -> str:
    """Return 'file.py:Class' for a file, or for a folder of one, that has one actor class.

    Any other name is returned as it is. Raises: UsageError naming the classes that there are.
    """
    path = Path(name)
    if path.is_dir():
        own = path / f"{path.absolute().name}.py"
        files = [own] if own.is_file() else sorted(path.glob("*.py"))
        if len(files) != 1:
            raise UsageError(
                f"the folder {name} has {len(files)} Python files and no {own.name}: name the "
                "one with the actor class"
            )
        path = files[0]
    if not path.is_file():
        return name
    try:
        module = _load_file(path)
    except Exception as error:  # whatever a module of the user's raises
        raise UsageError(
            f"{name!r} cannot be loaded: {type(error).__name__}: {error}{_where(error)}"
        ) from error
    found = [
        each.__name__
        for each in vars(module).values()
        if isinstance(each, type)
        and issubclass(each, Actor)
        and each.__module__ == module.__name__
    ]
    if len(found) != 1:
        known = ", ".join(found) or "none"
        fix = f"choose one as '{path}:{found[0]}'" if found else "derive one from comity.Actor"
        raise UsageError(f"{path} has {len(found)} actor classes ({known}): {fix}")
    return f"{path}:{found[0]}"


def find_actor(name: str) -> ActorType:
    """Return the actor that a name stands for. Raises: UsageError if it is none."""
    found = find(name)
    if not (isinstance(found, type) and issubclass(found, Actor)):
        raise UsageError(f"{name!r} is no actor class")
    return ActorType.of(found)


def _load_module(name: str) -> ModuleType:
    _look_in(Path.cwd())
    return importlib.import_module(name)


def _look_in(folder: Path) -> None:
    """Let modules of a folder be found, as Python lets those beside a script be."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _load_file(path: Path) -> ModuleType:
    name = "chaos_" + path.stem
    known = sys.modules.get(name)
    if known is not None and Path(str(known.__file__)) == path.resolve():
        return known
    _look_in(Path.cwd())
    _look_in(path.resolve().parent)
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None:
        raise OSError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
