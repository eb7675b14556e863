"""Tripwires: inside a step nothing may look at the real world.

Owns: which functions of Python read time, draw entropy, start threads or open files, and what
happens to who calls one while a world runs: `Tripped`, with the place. May not know: worlds.
The design forbids all of these from `base` to `node`, and import contracts see to it; this
catches what comes in through a library, or through an app's own handlers, which would make two
replicas differ.
Source: CHAOS 'Architecture', Determinism guard.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType, ModuleType
from typing import Any, Final

__all__ = ["WIRES", "Tripped", "tripwires"]

WIRES: Final = (
    ("time", ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "sleep")),
    ("os", ("urandom", "getpid", "listdir", "scandir", "open")),
    ("random", ("random", "randrange", "randint", "choice", "shuffle", "getrandbits")),
    ("secrets", ("token_bytes", "token_hex", "randbelow")),
    ("uuid", ("uuid1", "uuid4", "getnode")),
    ("threading", ("Thread",)),
    ("_thread", ("start_new_thread",)),
    ("socket", ("socket", "create_connection", "getaddrinfo")),
    ("subprocess", ("Popen",)),
    ("builtins", ("open", "input")),
)
"""Modules and what must not be called in them."""


class Tripped(AssertionError):
    """Something that ran inside a step looked at the real world."""


@contextmanager
def tripwires() -> Generator[list[str], None, None]:
    """Let every wire raise `Tripped` while a world runs; yield the list of what was tripped.

    Code that imports a module, and the lab itself, may go on reading files: only calls that
    come from `comity` or from an app's handlers trip.
    """
    tripped: list[str] = []
    saved: list[tuple[ModuleType, str, Any]] = []
    for name, functions in WIRES:
        module = importlib.import_module(name)
        for function in functions:
            original = getattr(module, function, None)
            if original is None:
                continue
            saved.append((module, function, original))
            setattr(module, function, _wire(f"{name}.{function}", original, tripped))
    try:
        yield tripped
    finally:
        for module, function, original in saved:
            setattr(module, function, original)


def _wire(name: str, original: Callable[..., Any], tripped: list[str]) -> Callable[..., Any]:
    def wire(*arguments: Any, **keywords: Any) -> Any:  # noqa: ANN401  (stands for any function)
        caller = _stepping()
        if caller is None:
            return original(*arguments, **keywords)
        tripped.append(f"{name} from {caller}")
        raise Tripped(
            f"{name} was called inside a step, by {caller}: two replicas would differ; take "
            "time and chance from the message, or do it outside the actor"
        )

    return wire


def _stepping() -> str | None:
    """Return who called, if the call comes from inside a step of a core or a turn of a cell.

    An import within a step reads files and is let through: what it loads is the same for all.
    """
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    assert frame is not None
    caller = f"{frame.f_code.co_qualname} ({frame.f_code.co_filename}:{frame.f_lineno})"
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module.startswith("importlib") or module == "linecache":
            return None
        if module in {"comity.node.core", "comity.actor.cell"}:
            return caller
        frame = frame.f_back
    return None
