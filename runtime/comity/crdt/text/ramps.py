"""Columns of numbers that mostly grow in equal steps: a few bytes for any number of rows.

Owns: two such columns. May not know: what they number.

    Steps    ascending numbers, most one more than the one before: turns
    Ramp     ascending numbers with a distance to each next one, most alike: where events start

Both keep one entry for a stretch of rows, and find a row, or the row of a number, by bisection.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable

__all__ = ["Ramp", "Span", "Steps"]

Span = tuple[int, int]
"""First and last of numbers in a row."""


class Steps:
    """Ascending numbers by row, from row 0."""

    __slots__ = ("_firsts", "_rows", "count", "last")

    def __init__(self, spans: Iterable[Span] = ()) -> None:
        """Hold the numbers of ascending spans."""
        self._rows = array("q")
        self._firsts = array("q")
        self.count = 0
        self.last = -1
        for first, last in spans:
            assert self.last < first <= last
            self._rows.append(self.count)
            self._firsts.append(first)
            self.count += last - first + 1
            self.last = last

    def append(self, number: int) -> None:
        """Add a number larger than all before."""
        last = self.last
        if number != last + 1 or not self.count:
            assert number > last
            self._rows.append(self.count)
            self._firsts.append(number)
        self.last = number
        self.count += 1

    def __getitem__(self, row: int) -> int:
        """Return the number of a row, 0 <= row < count."""
        at = bisect_right(self._rows, row) - 1
        return self._firsts[at] + row - self._rows[at]

    def find(self, number: int) -> int:
        """Return the row of a number, -1 if it has none."""
        if number == self.last:
            return self.count - 1
        at = bisect_right(self._firsts, number) - 1
        if at < 0:
            return -1
        row = self._rows[at] + number - self._firsts[at]
        end = self._rows[at + 1] if at + 1 < len(self._rows) else self.count
        return row if row < end else -1

    def spans(self) -> tuple[Span, ...]:
        """Return the numbers as spans."""
        if not self.count:
            return ()
        ends = (*self._rows[1:], self.count)
        rows = zip(self._firsts, self._rows, ends, strict=True)
        return tuple([(first, first + end - row - 1) for first, row, end in rows])


class Ramp:
    """Where consecutive stretches start, by row, from row 0 at 0. end: after the last one."""

    __slots__ = ("_rows", "_sizes", "_starts", "count", "end", "size")

    def __init__(self) -> None:
        """Start without rows. size: of the last row; another one like it may be counted in."""
        self.size = 0
        self._rows = array("q")
        self._starts = array("q")
        self._sizes = array("q")
        self.count = 0
        self.end = 0

    def append(self, size: int, times: int = 1) -> None:
        """Add rows of a size."""
        if self.size != size or not self.count:
            self.size = size
            self._rows.append(self.count)
            self._starts.append(self.end)
            self._sizes.append(size)
        self.count += times
        self.end += size * times

    def __getitem__(self, row: int) -> int:
        """Return where a row starts, 0 <= row <= count."""
        if row == self.count:
            return self.end
        at = bisect_right(self._rows, row) - 1
        return self._starts[at] + (row - self._rows[at]) * self._sizes[at]

    def find(self, number: int) -> int:
        """Return the row that holds a number, 0 <= number < end."""
        at = bisect_right(self._starts, number) - 1
        return self._rows[at] + (number - self._starts[at]) // self._sizes[at]

    def sizes(self) -> list[tuple[int, int]]:
        """Return (size, how many rows have it) from row 0 on."""
        if not self.count:
            return []
        ends = (*self._rows[1:], self.count)
        rows = zip(self._sizes, self._rows, ends, strict=True)
        return [(size, end - row) for size, row, end in rows]
