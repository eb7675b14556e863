"""What this node refused and why, so that it can be asked for.

Owns: a bounded memory of refusals and their counts. May not know: who refused.
The newest `REPORTS_KEPT_MAX` are kept, counts are kept for ever: nothing is dropped in
silence.
Source: ARCHITECTURE invariant 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from comity.base.clock import Wall
from comity.base.errors import Reason, Rejected
from comity.base.ids import CommitId, DeviceId, Topic
from comity.base.limits import REPORTS_KEPT_MAX

__all__ = ["PASSING", "Refusals", "Refused"]

PASSING: Final = frozenset(
    {
        Reason.BAD_SIGNATURE,
        Reason.BUFFER_FULL,
        Reason.NO_KEY,
        Reason.PARENT_UNKNOWN,
        Reason.QUOTA,
        Reason.RATE,
        Reason.WRONG_KEY,
    }
)
"""Refusals that another copy, another moment or another key may undo: not remembered by id."""


@dataclass(frozen=True, slots=True)
class Refused:
    """One refusal. source: the peer that delivered it."""

    topic: Topic | None
    commit: CommitId | None
    source: DeviceId | None
    refusal: Rejected
    wall: Wall


class Refusals:
    """The refusals of one node since it started."""

    __slots__ = ("_counts", "_kept", "_next")

    def __init__(self) -> None:
        """Start with none."""
        self._counts: dict[Reason, int] = {}
        self._kept: dict[int, Refused] = {}
        self._next = 0

    @property
    def counts(self) -> tuple[tuple[str, int], ...]:
        """Return (reason, how often), by reason."""
        ordered = sorted(self._counts.items())
        return tuple((reason.name.lower(), count) for reason, count in ordered)

    def note(self, refused: Refused) -> None:
        """Count a refusal and keep it; the oldest makes room."""
        reason = refused.refusal.reason
        self._counts[reason] = self._counts.get(reason, 0) + 1
        self._kept[self._next] = refused
        self._next += 1
        if len(self._kept) > REPORTS_KEPT_MAX:
            del self._kept[next(iter(self._kept))]

    def find(self, prefix: bytes) -> Refused | None:
        """Return the newest refusal of a commit whose id begins like this."""
        for refused in reversed(self._kept.values()):
            if refused.commit is not None and refused.commit.startswith(prefix):
                return refused
        return None

    def newest(self, count_max: int) -> tuple[Refused, ...]:
        """Return the newest refusals, newest first."""
        found: list[Refused] = []
        for refused in reversed(self._kept.values()):
            if len(found) == count_max:
                break
            found.append(refused)
        return tuple(found)
