"""A sum of increments: the kernel of counters.

Owns: each turn's increment, and the sum of the visible ones. May not know: bytes, names.
Increments commute, so no order is asked for: the state is a function of the visible turns.
16 bytes a turn, kept for hiding until pruning; a local increment is one addition.
Source: Shapiro et al. 2011, section 3.1 (operation-based counter).
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from comity.crdt.freezing import Freezer, Thawer

__all__ = ["INCREMENT_MAX", "Tally"]

INCREMENT_MAX: Final = (1 << 63) - 1
"""Largest increment of one turn, either way: what a column of 64 bits holds."""


class Tally:
    """The increments of one field."""

    __slots__ = ("_hidden", "_increments", "_turns", "pending", "total")

    def __init__(self, hidden: set[int]) -> None:
        """Start at 0. hidden: the turns that do not count, changed by the caller."""
        self._hidden = hidden
        self._turns = array("q")
        self._increments = array("q")
        self.pending = 0
        self.total = 0

    def commit(self, turn: int) -> int:
        """Keep what is pending as the increment of the open turn, and return it."""
        pending = self.pending
        if pending:
            self._turns.append(turn)
            self._increments.append(pending)
            self.pending = 0
        return pending

    def rollback(self) -> None:
        """Take back what is pending."""
        self.total -= self.pending
        self.pending = 0

    def fold(self, turn: int, increment: int) -> None:
        """Apply the increment of a turn from the log."""
        self._turns.append(turn)
        self._increments.append(increment)
        self.total += increment

    def changed(self, turn: int) -> bool:
        """Count a turn or no longer, after it was hidden or shown; tell if it is in here."""
        index = bisect_left(self._turns, turn)
        if index == len(self._turns) or self._turns[index] != turn:
            return False
        increment = self._increments[index]
        self.total += -increment if turn in self._hidden else increment
        return True

    def freeze(self, out: Freezer) -> None:
        """Write all increments."""
        out.ascending(self._turns)
        out.signed(self._increments)

    def thaw(self, data: Thawer) -> None:
        """Take what `freeze` wrote. Raises: Malformed."""
        turns = data.ascending(strictly=True)
        self._turns = array("q", turns)
        self._increments = array("q", data.signed(len(turns)))
        self.total = sum(self._increments)
        if self._hidden:
            pairs = zip(turns, self._increments, strict=True)
            self.total -= sum([each for turn, each in pairs if turn in self._hidden])

    def check(self) -> None:
        """Assert that the total is the sum of the visible increments."""
        assert len(self._turns) == len(self._increments)
        assert all(a < b for a, b in zip(self._turns, self._turns[1:], strict=False))
        pairs = zip(self._turns, self._increments, strict=True)
        visible = sum(increment for turn, increment in pairs if turn not in self._hidden)
        assert self.total == visible + self.pending
