"""What happens next: the heap of everything that is to come, and the trace of what was.

Owns: simulated time, the order of things at one instant, the rolling digest of a run. May not
know: nodes. Things at one instant happen in the order in which they were planned, so a run is
a function of what plans them.
Source: CHAOS 'Architecture', World and Determinism guard.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any, Final

from comity.base.clock import Duration, Instant

__all__ = ["CHECKPOINT_NOTES", "Checkpoint", "Timeline", "Trace"]

CHECKPOINT_NOTES: Final = 256
"""Notes between two checkpoints of a trace: a divergence is found by reading so many lines."""


class Timeline:
    """The heap of what is planned, by time and then by order of planning."""

    __slots__ = ("_heap", "_planned", "now")

    def __init__(self) -> None:
        """Start at instant 0 with nothing planned."""
        self.now = Instant(0)
        self._heap: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._planned = 0

    def __len__(self) -> int:
        """Return how much is planned."""
        return len(self._heap)

    def at(self, when: int, act: Callable[..., None], *arguments: Any) -> None:
        """Plan something, after all that was planned for that instant before."""
        self._planned += 1
        heappush(self._heap, (max(when, self.now), self._planned, act, arguments))

    def after(self, wait: int, act: Callable[..., None], *arguments: Any) -> None:
        """Plan something after a wait in nanoseconds."""
        self._planned += 1
        heappush(self._heap, (self.now + wait, self._planned, act, arguments))

    def run_one(self) -> bool:
        """Let the next thing happen; False if nothing ever will."""
        if not self._heap:
            return False
        when, _, act, arguments = heappop(self._heap)
        self.now = Instant(when)
        act(*arguments)
        return True

    def run_until(self, end: Instant) -> None:
        """Let everything happen that is planned up to `end`, and what follows from it."""
        heap = self._heap
        while heap and heap[0][0] <= end:
            self.run_one()
        self.now = max(self.now, end)

    def wait_for(self, ready: Callable[[], bool], limit: Duration) -> bool:
        """Let time pass until something is so; False if it is not within the limit."""
        end = self.now + limit
        while not ready():
            if not self._heap or self._heap[0][0] > end:
                return False
            self.run_one()
        return True


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The digest of a trace after so many notes."""

    notes: int
    digest: str


class Trace:
    """Everything that happened, as a rolling digest; a stretch of it also as lines."""

    __slots__ = ("_hash", "_keep", "checkpoints", "lines", "notes")

    def __init__(self, keep: tuple[int, int] = (0, 0)) -> None:
        """Start empty. keep: the first note to keep as a line, and the one after the last."""
        self._hash = hashlib.blake2b(digest_size=16)
        self._keep = keep
        self.notes = 0
        self.checkpoints: list[Checkpoint] = []
        self.lines: list[str] = []

    @property
    def digest(self) -> str:
        """The digest of all of it: equal runs have equal ones."""
        return self._hash.hexdigest()

    def note(self, now: int, node: int, what: str, detail: bytes = b"") -> None:
        """Add what happened at an instant to a node."""
        self._hash.update(b"%d %d %s %d " % (now, node, what.encode(), len(detail)) + detail)
        if self._keep[0] <= self.notes < self._keep[1]:
            told = hashlib.blake2b(detail, digest_size=6).hexdigest() if detail else ""
            self.lines.append(f"{now} node {node} {what} {told}".rstrip())
        self.notes += 1
        if self.notes % CHECKPOINT_NOTES == 0:
            self.checkpoints.append(Checkpoint(self.notes, self.digest))
