"""Pacing: how much of one author is taken in a minute without having been asked for.

Owns: the account of each author's minute, and the checked commits that wait for the next one.
May not know: who asks for what (`node.syncing`), how a commit is accepted (`node.replica`).

    pushed, the author has room --> taken and charged
    pushed, it has none ----------> waits --the minute is over--> taken and charged
                                    no place to wait either: left out, for a comparison to find

What builds on a late commit is late as well: it waits as an orphan, and nobody is asked for its
parents, or a chain of commits would be its own way around.

Only accepted commits are charged, so nobody uses up another's minute in its name. Nothing is
refused: what is left out here comes as history that this replica asks for.
Source: PROTOCOL section 2 'Flood control'.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from comity.base.clock import MINUTE, Instant, after
from comity.base.ids import CommitId, DeviceId, LinkId
from comity.base.limits import (
    LIVE_BYTES_MAX,
    LIVE_COMMITS_MAX,
    PACED_BYTES_MAX,
    PACED_COUNT_MAX,
)
from comity.node.journal import Checked

__all__ = ["Pacing"]

_LATE_MAX: Final = 8192
"""Late commits whose ids are remembered: several peers' waiting ones and their orphans."""

_Source = tuple[LinkId, DeviceId]


@dataclass(slots=True)
class _Minute:
    """What one author has had since `began`, and what of it waits, in the order it came."""

    began: Instant
    count: int = 0
    size: int = 0
    waiting: deque[tuple[Checked, _Source]] = field(default_factory=deque)

    def full(self, size: int) -> bool:
        return self.count >= LIVE_COMMITS_MAX or (
            self.count > 0 and self.size + size > LIVE_BYTES_MAX
        )


class Pacing:
    """The pushes of all authors of one topic."""

    __slots__ = ("_held", "_late", "_minutes")

    def __init__(self) -> None:
        """Start with a fresh minute for everybody."""
        self._minutes: dict[DeviceId, _Minute] = {}
        self._held: dict[DeviceId, tuple[int, int]] = {}
        self._late: dict[CommitId, None] = {}

    def __len__(self) -> int:
        """Return how many commits wait."""
        return sum(len(minute.waiting) for minute in self._minutes.values())

    @property
    def deadline(self) -> Instant | None:
        """When the next minute of an author begins of whom something waits."""
        ends = [after(each.began, MINUTE) for each in self._minutes.values() if each.waiting]
        return min(ends, default=None)

    def admits(self, checked: Checked, now: Instant) -> bool:
        """Tell whether a pushed commit is taken now, and charge it to its author if so."""
        author, size = checked.inner.author, _size(checked)
        minute = self._minutes.get(author)
        if minute is None or (after(minute.began, MINUTE) <= now and not minute.waiting):
            minute = self._minutes[author] = _Minute(now)
        if minute.waiting or minute.full(size):
            return False
        minute.count += 1
        minute.size += size
        return True

    def hold(self, checked: Checked, source: _Source) -> bool:
        """Let a commit wait that was not admitted; False if its deliverer has no place left."""
        self.late(checked.id)
        count, size = self._held.get(source[1], (0, 0))
        size += _size(checked)
        if count >= PACED_COUNT_MAX or size > PACED_BYTES_MAX:
            return False
        self._held[source[1]] = count + 1, size
        self._minutes[checked.inner.author].waiting.append((checked, source))
        return True

    def late(self, commit: CommitId) -> None:
        """Note that a commit comes later; the oldest note makes room."""
        self._late[commit] = None
        if len(self._late) > _LATE_MAX:
            del self._late[next(iter(self._late))]

    def is_late(self, commit: CommitId) -> bool:
        """Tell whether a commit is here, or was, and is taken later."""
        return commit in self._late

    def arrived(self, commit: CommitId) -> None:
        """Note that a commit has been accepted."""
        self._late.pop(commit, None)

    def take_out(self, commit: CommitId) -> tuple[Checked, _Source] | None:
        """Return a commit that waits, for something that was asked for builds on it."""
        if commit in self._late:
            for minute in self._minutes.values():
                for entry in minute.waiting:
                    if entry[0].id == commit:
                        minute.waiting.remove(entry)
                        self._forget(entry[1][1], _size(entry[0]))
                        return entry
        return None

    def release(self, now: Instant) -> list[tuple[Checked, _Source]]:
        """Begin the minutes that are due; return what is taken in them, charged."""
        found: list[tuple[Checked, _Source]] = []
        for author, minute in list(self._minutes.items()):
            if after(minute.began, MINUTE) > now:
                continue
            if not minute.waiting:
                del self._minutes[author]
                continue
            minute.began, minute.count, minute.size = now, 0, 0
            while minute.waiting and not minute.full(_size(minute.waiting[0][0])):
                checked, source = minute.waiting.popleft()
                minute.count += 1
                minute.size += _size(checked)
                self._forget(source[1], _size(checked))
                found.append((checked, source))
        return found

    def check(self) -> None:
        """Assert that accounts agree with what waits, and keep their bounds."""
        held: dict[DeviceId, tuple[int, int]] = {}
        for minute in self._minutes.values():
            assert minute.count <= LIVE_COMMITS_MAX
            assert minute.count == 1 or minute.size <= LIVE_BYTES_MAX
            for checked, (_, source) in minute.waiting:
                count, size = held.get(source, (0, 0))
                held[source] = count + 1, size + _size(checked)
        assert held == self._held
        for count, size in held.values():
            assert count <= PACED_COUNT_MAX
            assert size <= PACED_BYTES_MAX

    def _forget(self, source: DeviceId, size: int) -> None:
        count, held = self._held.pop(source)
        if count > 1:
            self._held[source] = count - 1, held - size


def _size(checked: Checked) -> int:
    return len(checked.commit.sealed) + len(checked.commit.beside)
