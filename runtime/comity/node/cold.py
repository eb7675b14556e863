"""Cold history on disk: which commits of one actor lie in runs, and how they are read.

Owns: the runs of a topic by the arrival numbers of what they stand for, and every read of
commits by number. May not know: what turns say, who asks, when history becomes cold
(`node.packing`).

    COMMIT   number -> sealed form and signature            the tail, and what fits in no run
    RUN      number of its first -> all its numbers, run    the rest: rebuilt when it is read

Numbers have no gaps over both tables; where a commit is in both, its own row counts. A reader
may meet a conversion on its way: what it does not find by its own row it looks for once more.
Source: PROTOCOL section 2 'Runs'; decision 0025.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Container, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from comity.node import rows
from comity.node.effects import Table
from comity.wire.records import Commit

if TYPE_CHECKING:
    from comity.base.ids import Topic
    from comity.node.step import Rows, Step

__all__ = ["Cold", "spans"]

_ALONE: Final = 0
"""Stands for 'in no run' among the numbers of runs, which begin at 1."""

Then = Callable[["Step", dict[int, Commit]], None]
Rebuild = Callable[[bytes], Sequence[Commit]]


class Cold:
    """The commits of one actor by number of arrival, wherever they are on disk."""

    __slots__ = ("_firsts", "_numbers", "_rebuild", "_run_of", "_topic")

    def __init__(self, topic: Topic, rebuild: Rebuild) -> None:
        """Begin with no runs. rebuild: gives the commits of a run that was stored, in order."""
        self._topic = topic
        self._rebuild: Rebuild = rebuild
        self._run_of = array("Q")
        self._numbers: dict[int, tuple[int, ...]] = {}
        self._firsts: list[int] = []

    @property
    def upto(self) -> int:
        """The largest number that is in a run; 0 if there is none."""
        return len(self._run_of)

    @property
    def run_count(self) -> int:
        """Number of runs."""
        return len(self._firsts)

    def note(self, numbers: tuple[int, ...], alone: Container[int] = ()) -> None:
        """Learn of a run in the store. alone: numbers that have a row of their own as well."""
        first = numbers[0]
        if first not in self._numbers:
            insort(self._firsts, first)
        self._numbers[first] = numbers
        if numbers[-1] > len(self._run_of):
            self._run_of.extend([_ALONE] * (numbers[-1] - len(self._run_of)))
        for number in numbers:
            if number not in alone:
                self._run_of[number - 1] = first

    def run_of(self, number: int) -> int:
        """Return the number that the run of a commit goes by; 0 if it has its own row."""
        return self._run_of[number - 1] if number <= len(self._run_of) else _ALONE

    def read(self, step: Step, first: int, last: int, then: Then) -> None:
        """Read the commits with these numbers and go on with them, by number.

        What was rebuilt has no signature beside it, but for the last of its run.
        """
        span = range(first, last + 1)
        runs = list(dict.fromkeys([self.run_of(number) for number in span]))
        self._fetch(
            step,
            [(first, last)] if _ALONE in runs else [],
            [run for run in runs if run != _ALONE],
            lambda later, alone, packed: self._gather(later, span, alone, packed, then),
        )

    def serve(
        self, step: Step, numbers: Sequence[int], then: Callable[[Step, list[Commit]], None]
    ) -> None:
        """Read what stands for these commits, in this order, and go on with it.

        A run comes whole, where the first of its commits stands, as a `Commit` with nothing
        beside it.
        """
        alone = sorted([each for each in numbers if self.run_of(each) == _ALONE])
        runs = [self.run_of(each) for each in numbers if self.run_of(each) != _ALONE]
        self._fetch(
            step,
            spans(alone),
            list(dict.fromkeys(runs)),
            lambda later, found, packed: self._stand_in(later, numbers, found, packed, then),
        )

    def beyond(self, numbers: Sequence[int]) -> tuple[int, ...]:
        """Return the runs that stand for some of these commits and for later ones too."""
        runs = dict.fromkeys([self.run_of(number) for number in numbers])
        last = max(numbers, default=0)
        return tuple([r for r in runs if r != _ALONE and self._numbers[r][-1] > last])

    def without(self, numbers: Sequence[int], runs: Container[int]) -> list[int]:
        """Return these commits without those that lie in any of these runs."""
        return [number for number in numbers if self.run_of(number) not in runs]

    def check(self) -> None:
        """Assert that the runs ascend, and that each number is in the run that it names."""
        assert self._firsts == sorted(self._numbers)
        for first, numbers in self._numbers.items():
            assert numbers[0] == first
            assert list(numbers) == sorted(dict.fromkeys(numbers))
        for number, run in enumerate(self._run_of, start=1):
            assert run == _ALONE or number in self._numbers[run]

    def _gather(
        self,
        step: Step,
        span: range,
        alone: dict[int, Commit],
        packed: dict[int, bytes],
        then: Then,
    ) -> None:
        found = {number: alone[number] for number in span if number in alone}
        for value in packed.values():
            numbers, data = rows.decode_run(value)
            for number, commit in zip(numbers, self._rebuild(data), strict=True):
                if number in span:
                    found.setdefault(number, commit)
        if len(found) < len(span):
            self.read(step, span[0], span[-1], then)  # they have become part of a run
            return
        then(step, {number: found[number] for number in span})

    def _stand_in(
        self,
        step: Step,
        numbers: Sequence[int],
        alone: dict[int, Commit],
        packed: dict[int, bytes],
        then: Callable[[Step, list[Commit]], None],
    ) -> None:
        chosen: list[Commit] = []
        said: dict[int, None] = {}
        for number in numbers:
            run = self.run_of(number)
            if number in alone:
                chosen.append(alone[number])
            elif run not in packed:
                self.serve(step, numbers, then)  # it has become part of a run
                return
            elif run not in said:
                said[run] = None
                chosen.append(Commit(rows.decode_run(packed[run])[1], b""))
        then(step, chosen)

    def _fetch(
        self,
        step: Step,
        alone: list[tuple[int, int]],
        runs: list[int],
        then: Callable[[Step, dict[int, Commit], dict[int, bytes]], None],
    ) -> None:
        """Read spans of rows and these runs, then go on with both."""
        singles: dict[int, Commit] = {}
        packed: dict[int, bytes] = {}
        reads = [(Table.COMMIT, *span, span[1] - span[0] + 1) for span in alone]
        if runs:
            low, high = min(runs), max(runs)
            here = bisect_right(self._firsts, high) - bisect_left(self._firsts, low)
            reads.append((Table.RUN, low, high, here))
        wanted = dict.fromkeys(runs)
        left = len(reads)

        def arrived(table: Table, later: Step, found: Rows) -> None:
            nonlocal left
            left -= 1
            for key, value in found:
                number = rows.number_of(key)
                if table is Table.COMMIT:
                    singles[number] = rows.decode_commit(value)
                elif number in wanted:
                    packed[number] = value
            if left == 0:
                then(later, singles, packed)

        if not reads:
            then(step, singles, packed)
        for table, first, last, most in reads:
            keys = rows.commit_key(self._topic, first), rows.commit_key(self._topic, last + 1)
            step.read(table, keys, most, partial(arrived, table))


def spans(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Join ascending numbers into ranges without gaps."""
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1] = found[-1][0], number
        else:
            found.append((number, number))
    return found
