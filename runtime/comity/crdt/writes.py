"""Writes of values under keys, and which of them count: the kernel of registers, sets, maps.

Owns: every write ever made, the causal order among those of one key, the values that are
present. May not know: bytes, fields' names, users' types.

A write is (turn, key, value); a deletion is a write of `ABSENT`. A write supersedes all that
was written under its key in its past. It counts while its turn is visible and no visible
write supersedes it: so a hidden write gives back what it had superseded. Of several
that count, concurrent ones, any value beats ABSENT, then the largest tie wins.

    tips of a key    writes superseded by no write, visible or not; usually one
    heads of a key   the same among visible writes; equal to the tips unless one is hidden
    alone            all earlier writes of the key are in its past: a walk back from the tips
                     that meets a visible one of these has seen enough

Writes are numbered in the order they came, and kept in columns: 25 bytes and a value each,
about 160 more for each key that was ever written. Superseded writes stay until pruning.
A local write costs O(1) and asks nobody; a remote one asks for each tip of its key; hiding
or showing a turn costs a walk over the concurrent stretch of each key it wrote.
Source: PROTOCOL section 2 (visible, ties); Shapiro et al. 2011, section 3.2 (multi-value).
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final

from comity.base.canonical import Malformed
from comity.crdt.causality import Causality

if TYPE_CHECKING:
    from comity.crdt.codec import ValueType
    from comity.crdt.freezing import Freezer, Thawer

__all__ = ["ABSENT", "Key", "Writes"]

Key = Any
Value = Any

ABSENT: Final = object()
"""Written under a key: it is deleted. Read: nothing is there."""


class Writes:
    """All writes of one field. `values` maps each present key to its value; read it only."""

    __slots__ = (
        "_alone",
        "_causality",
        "_hidden",
        "_keys",
        "_newest",
        "_order",
        "_previous",
        "_settled",
        "_shown",
        "_sort_key",
        "_start",
        "_tips",
        "_turns",
        "_values",
        "tag",
        "values",
    )

    def __init__(
        self,
        tag: bytes,
        causality: Causality,
        hidden: set[int],
        sort_key: Callable[[Key], Any] | None,
    ) -> None:
        """Start empty.

        tag: of the field, 4 bytes, for ties. hidden: the turns that do not count, owned and
        changed by the caller. sort_key: orders keys; None if they have an order themselves.
        """
        self.tag = tag
        self._causality = causality
        self._hidden = hidden
        self._sort_key = sort_key
        self._turns = array("q")
        self._keys: list[Key] = []
        self._values: list[Value] = []
        self._previous = array("q")
        self._alone = bytearray()
        self._newest: dict[Key, int] = {}
        self._tips: dict[Key, list[int]] = {}
        self._order: tuple[Key, ...] | None = None
        self._start = 0
        self._shown: list[Value] = []
        self._settled: dict[int, list[int]] = {}
        self.values: dict[Key, Value] = {}

    def __len__(self) -> int:
        """Return the number of writes, superseded ones too."""
        return len(self._turns)

    # ------------------------------------------------------------------ reading

    def order(self) -> tuple[Key, ...]:
        """Return the present keys, sorted: the same on every replica.

        O(1) while no key came or went, else O(n log n).
        """
        order = self._order
        if order is None:
            order = self._order = tuple(sorted(self.values, key=self._sort_key))
        return order

    def rivals(self, key: Key) -> tuple[Value, ...]:
        """Return all values that count under a key, the winner first."""
        if key not in self._newest:
            return ()
        return tuple(self._values[index] for index in self._ranked(key))

    def heads_in(self, key: Key, has: Callable[[int], bool]) -> list[tuple[int, Value]]:
        """Return (turn, value) of the writes of a key that nothing supersedes in a version.

        has: tells whether a turn is in the version and visible there.
        """
        before, turns = self._causality.before, self._turns
        heads: list[int] = []
        index = self._newest.get(key, -1)
        while index >= 0:
            turn = turns[index]
            if has(turn):
                if not any(before(turn, turns[head]) for head in heads):
                    heads.append(index)
                if self._alone[index]:
                    break
            index = self._previous[index]
        return [(turns[head], self._values[head]) for head in heads]

    # ------------------------------------------------------------------ a turn of this device

    def begin(self) -> None:
        """Begin to journal a local turn."""
        assert not self._shown
        self._start = len(self._turns)

    def put(self, turn: int, key: Key, value: Value) -> int:
        """Write in the open turn, and return how many writes of it came before this one.

        A second write of a turn under one key replaces the first.
        """
        values = self.values
        previous = self._newest.get(key, -1)
        shown = values.get(key, ABSENT)
        if previous >= self._start:
            index = previous
            self._values[index] = value
        else:
            index = self._newest[key] = len(self._keys)
            self._turns.append(turn)
            self._keys.append(key)
            self._values.append(value)
            self._previous.append(previous)
            self._alone.append(1)
            self._shown.append(shown)
            if self._tips and key in self._tips:
                self._settled[index] = self._tips.pop(key)
        if value is ABSENT:
            self._set(key, value)
        else:
            values[key] = value
            if shown is ABSENT:
                self._order = None
        return index - self._start

    def written(self) -> Iterable[tuple[Key, Value]]:
        """Return the writes of the open turn, in the order of `put`'s numbers."""
        start = self._start
        return zip(self._keys[start:], self._values[start:], strict=True)

    def is_delete(self) -> bool:
        """Tell whether the newest write is a deletion."""
        return self._values[-1] is ABSENT

    def commit(self) -> None:
        """Keep the writes of the open turn."""
        self._shown.clear()
        if self._settled:
            self._settled.clear()

    def rollback(self) -> None:
        """Take back the writes of the open turn."""
        for index in range(len(self._turns) - 1, self._start - 1, -1):
            key = self._keys[index]
            previous = self._previous[index]
            if previous < 0:
                del self._newest[key]
            else:
                self._newest[key] = previous
            if index in self._settled:
                self._tips[key] = self._settled.pop(index)
            self._set(key, self._shown.pop())
        start = self._start
        for column in (self._turns, self._keys, self._values, self._previous, self._alone):
            del column[start:]
        assert not self._shown
        assert not self._settled

    # ------------------------------------------------------------------ turns of the log

    def fold(self, turn: int, key: Key, value: Value) -> None:
        """Apply a write of a turn from the log; a turn writes a key at most once."""
        causality = self._causality
        turns = self._turns
        previous = self._newest.get(key, -1)
        tips = self._tips.get(key) if self._tips else None
        kept: list[int] | None = None
        if tips is not None:
            kept = [tip for tip in tips if not causality.before(turns[tip], turn)]
        elif previous >= 0 and not causality.before(turns[previous], turn):
            kept = [previous]
        index = self._newest[key] = len(self._keys)
        turns.append(turn)
        self._keys.append(key)
        self._values.append(value)
        self._previous.append(previous)
        if kept:
            self._alone.append(0)
            kept.append(index)
            self._tips[key] = kept
            self._decide(key)
            return
        self._alone.append(1)
        if tips is not None:
            del self._tips[key]
        if value is ABSENT:
            self._set(key, value)
            return
        if key not in self.values:
            self._order = None
        self.values[key] = value

    def changed(self, turn: int) -> tuple[Key, ...]:
        """Decide anew after a turn was hidden or shown; return the keys that it wrote."""
        turns = self._turns
        index = bisect_left(turns, turn)
        keys: list[Key] = []
        while index < len(turns) and turns[index] == turn:
            keys.append(self._keys[index])
            self._decide(self._keys[index])
            index += 1
        return tuple(keys)

    def keys_of(self, turn: int) -> tuple[Key, ...]:
        """Return the keys that a turn wrote."""
        first = bisect_left(self._turns, turn)
        return tuple(self._keys[first : bisect_left(self._turns, turn + 1, first)])

    def bound(self, turn: int) -> None:
        """Look again at what a turn of this device wrote, now that its place is known.

        `put` took all earlier writes for its past; hidden ones that its commit does not stand
        on are concurrent with it, as they are on every other replica.
        """
        before, turns, previous = self._causality.before, self._turns, self._previous
        index = bisect_left(turns, turn)
        while index < len(turns) and turns[index] == turn:
            tips: list[int] = []
            earlier = previous[index]
            while earlier >= 0:
                if not any(before(turns[earlier], turns[tip]) for tip in tips):
                    tips.append(earlier)
                earlier = -1 if self._alone[earlier] else previous[earlier]
            kept = sorted(tip for tip in tips if not before(turns[tip], turn))
            self._tips.pop(self._keys[index], None)
            if kept:
                self._alone[index] = 0
                self._tips[self._keys[index]] = [*kept, index]
            index += 1

    # ------------------------------------------------------------------ frozen

    def freeze(
        self, out: Freezer, key_type: ValueType | None, value_type: ValueType | None
    ) -> None:
        """Write all writes. key_type: None if all have one key; value_type: if all are True."""
        out.ascending(self._turns)
        names: dict[Key, int] = {}
        if key_type is not None:
            column = [names.setdefault(key, len(names)) for key in self._keys]
            out.number(len(names))
            out.values(key_type, names)
            out.numbers(column)
        kept = [value is not ABSENT for value in self._values]
        out.flags(bytes(kept))
        if value_type is not None:
            out.values(value_type, [each for each in self._values if each is not ABSENT])
        out.flags(self._alone)
        out.groups(self._tips.values())

    def thaw(
        self, data: Thawer, key_type: ValueType | None, value_type: ValueType | None
    ) -> None:
        """Take what `freeze` wrote. Raises: Malformed."""
        turns = data.ascending()
        count = len(turns)
        self._turns = array("q", turns)
        self._keys = _thaw_keys(data, key_type, count)
        kept = data.flags(count)
        given: Iterator[Value] = repeat(object=True)
        if value_type is not None:
            given = iter(data.values(value_type, sum(kept)))
        self._values = values = [next(given) if each else ABSENT for each in kept]
        self._alone = bytearray(data.flags(count))
        newest, previous = self._newest, self._previous
        for index, key in enumerate(self._keys):
            previous.append(newest.get(key, -1))
            newest[key] = index
        for tips in data.groups(count):
            if not tips or any(self._keys[tip] != self._keys[tips[0]] for tip in tips):
                raise Malformed("newest writes of several keys")
            self._tips[self._keys[tips[0]]] = tips
        self.values = {
            key: values[index] for key, index in newest.items() if values[index] is not ABSENT
        }
        for key in self._tips:
            self._decide(key)
        for turn in sorted(self._hidden):
            self.changed(turn)

    @property
    def ever(self) -> Iterable[Key]:
        """The keys that were ever written."""
        return self._newest

    # ------------------------------------------------------------------ inside

    def _set(self, key: Key, value: Value) -> None:
        values = self.values
        if value is ABSENT:
            if values.pop(key, ABSENT) is not ABSENT:
                self._order = None
        else:
            if key not in values:
                self._order = None
            values[key] = value

    def _heads(self, key: Key) -> list[int]:
        """Return the visible writes of a key that no visible write supersedes."""
        hidden, turns = self._hidden, self._turns
        newest = self._newest[key]
        tips = self._tips.get(key) or [newest]
        if not hidden or all(turns[tip] not in hidden for tip in tips):
            return tips
        before = self._causality.before
        heads: list[int] = []
        index = newest
        while index >= 0:
            turn = turns[index]
            if turn not in hidden:
                if not any(before(turn, turns[head]) for head in heads):
                    heads.append(index)
                if self._alone[index]:
                    break
            index = self._previous[index]
        return heads

    def _ranked(self, key: Key) -> list[int]:
        """Return the heads of a key that are values, the winner first."""
        heads = [head for head in self._heads(key) if self._values[head] is not ABSENT]
        if len(heads) > 1:
            tie, tag, turns = self._causality.tie, self.tag, self._turns
            heads.sort(key=lambda head: tie(tag, turns[head]), reverse=True)
        return heads

    def _decide(self, key: Key) -> None:
        ranked = self._ranked(key)
        self._set(key, self._values[ranked[0]] if ranked else ABSENT)

    def check(self, settled: int) -> None:
        """Assert that all derived state follows from the writes. O(n^2) per key.

        settled: turns with larger numbers are this device's own, after all smaller ones;
        they need not be bound.
        """

        def before(a: int, b: int) -> bool:
            turn = self._turns[b]
            return turn > settled or self._causality.before(self._turns[a], turn)

        def maximal(writes: list[int]) -> list[int]:
            return [a for a in writes if not any(before(a, b) for b in writes if b > a)]

        count = len(self._turns)
        assert len(self._keys) == len(self._values) == len(self._previous) == count
        assert len(self._alone) == count
        assert all(a <= b for a, b in zip(self._turns, self._turns[1:], strict=False))
        by_key: dict[Key, list[int]] = {}
        for index, key in enumerate(self._keys):
            mine = by_key.setdefault(key, [])
            assert self._previous[index] == (mine[-1] if mine else -1)
            assert self._alone[index] == all(before(each, index) for each in mine)
            mine.append(index)
        assert self._newest == {key: mine[-1] for key, mine in by_key.items()}
        present: dict[Key, Value] = {}
        for key, mine in by_key.items():
            assert self._tips.get(key, mine[-1:]) == maximal(mine)
            visible = [each for each in mine if self._turns[each] not in self._hidden]
            assert sorted(self._heads(key)) == maximal(visible)
            ranked = self._ranked(key)
            if ranked:
                present[key] = self._values[ranked[0]]
        assert present.keys() == self.values.keys()
        assert all(self.values[key] is value for key, value in present.items())
        assert self.order() == tuple(sorted(present, key=self._sort_key))


def _thaw_keys(data: Thawer, key_type: ValueType | None, count: int) -> list[Key]:
    """Return the key of each write."""
    if key_type is None:
        return [None] * count
    names = data.number()
    if names > count:
        raise Malformed(f"{names} keys of {count} writes")
    keys = data.values(key_type, names)
    if len(dict.fromkeys(keys)) != names:
        raise Malformed("a key stands twice")
    return [keys[each] for each in data.numbers(count, names)]
