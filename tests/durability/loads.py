"""The hand on the process under test: starts plans, reads what it says, kills it.

Owns: the server process of `load` and the pipe from it. May not know: what a plan means.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Final, Self

from tests.durability.record import Entry, Kind

__all__ = ["Loads"]

_SECONDS: Final = 60.0
"""A load that takes longer hangs."""


class Loads:
    """Runs one plan at a time, each in a fresh process. A context manager."""

    def __init__(self, project: Path, errors: Path) -> None:
        """Start the server. errors: where it and its processes write what they log."""
        with errors.open("wb") as log:
            self._server = subprocess.Popen(
                [sys.executable, "-m", "tests.durability.load"],
                cwd=project,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        self._errors = errors
        self._process = 0
        self._buffer = b""

    def start(self, plan: Mapping[str, object]) -> None:
        """Begin a plan; returns when its process exists."""
        assert self._process == 0, "one at a time"
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps(plan).encode() + b"\n")
        self._server.stdin.flush()
        words = self._line(monotonic() + _SECONDS)
        assert words is not None, self._said()
        assert words[0] == "started", words
        self._process = int(words[1])

    def hear(self, seconds: float = _SECONDS) -> Iterator[Entry]:
        """Yield what the process says until it has ended, or for a while."""
        until = monotonic() + seconds
        while self._process:
            words = self._line(until)
            if words is None:
                return
            if words[0] == "ended":
                self._process = 0
                assert words[1] in ("0", str(-signal.SIGKILL)), self._said()
            else:
                kind, name, number = words
                yield Entry(Kind(kind), name, int(number))

    def run(self, plan: Mapping[str, object]) -> None:
        """Carry out a plan to its end."""
        self.start(plan)
        assert not list(self.hear())
        assert self._process == 0, "the load hangs"

    def kill(self) -> list[Entry]:
        """Kill the process; return what it had said and nobody had heard."""
        if self._process:
            with suppress(ProcessLookupError):  # it failed by itself: `hear` says so
                os.kill(self._process, signal.SIGKILL)
        heard = list(self.hear())
        assert self._process == 0
        return heard

    def _line(self, until: float) -> list[str] | None:
        """Return the words of the next line; None if there is none in time."""
        assert self._server.stdout is not None
        descriptor = self._server.stdout.fileno()
        while b"\n" not in self._buffer:
            ready, _, _ = select.select([descriptor], [], [], max(0.0, until - monotonic()))
            if not ready:
                return None
            read = os.read(descriptor, 65_536)
            assert read, self._said()
            self._buffer += read
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode().split(" ")

    def _said(self) -> str:
        return self._errors.read_text(errors="replace")[-4000:]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process:
            os.kill(self._process, signal.SIGKILL)
        self._server.stdin.close()  # type: ignore[union-attr]
        self._server.wait(_SECONDS)
        self._server.stdout.close()  # type: ignore[union-attr]
