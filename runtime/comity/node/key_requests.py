"""Asking for keys: epochs whose commits are parked here and do not open.

Owns: which keys are asked for, when again, and what a right answer is. May not know: links,
orphans beyond their epochs, what a key opens.

    parked --due--> asked of every member in reach --wait, doubling--> asked again
    answered rightly, or no longer parked -> forgotten

The id of an epoch commit fixes its sealed bytes and with them the commitment to its key: so an
answer proves itself, whoever gives it, and whoever lies wastes his breath. Of the epochs that
one peer brought only so many are asked for at a time, for anybody can make some that nobody
can open; others' are asked for as if those were not there.
Source: PROTOCOL section 4 (KEYREQ); decision 0011.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from comity.base.clock import Duration, Instant, after
from comity.base.ids import CommitId, DeviceId
from comity.base.limits import KEY_ASK_WAIT, KEY_ASK_WAIT_MAX, KEYS_ASKED_MAX
from comity.log.seal import kcommit_of
from comity.log.sealed import Sealed, parse

__all__ = ["KeyRequests"]


@dataclass(slots=True)
class _Asked:
    """One key that is missing. wait: until it is asked for once more after the next time."""

    source: DeviceId
    kcommit: bytes
    due: Instant
    wait: Duration = KEY_ASK_WAIT


class KeyRequests:
    """The keys that one replica lacks."""

    __slots__ = ("_missing",)

    def __init__(self) -> None:
        """Lack nothing."""
        self._missing: dict[CommitId, _Asked] = {}

    def __len__(self) -> int:
        """Return how many keys are asked for."""
        return len(self._missing)

    @property
    def deadline(self) -> Instant | None:
        """When some key is to be asked for, first or again."""
        return min((each.due for each in self._missing.values()), default=None)

    def want(self, epoch: CommitId, sealed: bytes, source: DeviceId, now: Instant) -> None:
        """Ask, from now on, for the key of an epoch commit that a peer brought.

        sealed: its bytes, well-formed. A peer that brought many is served in the order of its
        commits, as far as they come again.
        """
        if epoch in self._missing:
            return
        if sum(each.source == source for each in self._missing.values()) >= KEYS_ASKED_MAX:
            return
        parsed = parse(sealed)
        assert isinstance(parsed, Sealed), "it was parked, so it was read"
        assert parsed.wraps is not None, "it is an epoch commit"
        self._missing[epoch] = _Asked(source, parsed.wraps.kcommit, now)

    def due(self, now: Instant, parked: Callable[[CommitId], bool]) -> tuple[CommitId, ...]:
        """Return the epochs to ask for now, ascending; put off their next time.

        parked: whether a commit still waits. What does not is forgotten.
        """
        for epoch in [epoch for epoch in self._missing if not parked(epoch)]:
            del self._missing[epoch]
        found: list[CommitId] = []
        for epoch, each in self._missing.items():
            if each.due <= now:
                found.append(epoch)
                each.due = after(now, each.wait)
                each.wait = min(Duration(2 * each.wait), KEY_ASK_WAIT_MAX)
        return tuple(sorted(found))

    def hasten(self, now: Instant) -> None:
        """Ask for everything at once: somebody came who may know."""
        for each in self._missing.values():
            each.due, each.wait = now, KEY_ASK_WAIT

    def answered(self, epoch: CommitId, key: bytes) -> bool:
        """Tell whether this is the key of an epoch that was asked for; then it is forgotten."""
        asked = self._missing.get(epoch)
        if asked is None or kcommit_of(key) != asked.kcommit:
            return False
        del self._missing[epoch]
        return True
