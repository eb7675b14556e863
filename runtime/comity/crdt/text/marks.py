"""Marks on stretches of a text, such as bold, links, comments: where they stand, which count.

Owns: what marks there are, anchors, which mark wins. May not know: how texts merge, turns'
bytes.

    anchor     three code points that no text may hold, in the text that is merged, at either
               end of a mark: so marks move, merge, hide and come back as characters do
               ten bits each of number of the mark * 2 + is it the end
    gap        between two characters, what keeps to the left one (ends that do not grow)
               stands before what keeps to the right one (starts, and ends that grow)

The number of a mark is its author's choice, the same everywhere: so a hostile device that cuts
anchors to pieces, or takes another's number, does the same to all. All marks of a number are
on each stretch of that number; honest numbers are drawn from 2^29 by what the mark is.
What is typed between two characters goes between those two kinds. Of marks of one name on one
character the one that had seen the others counts, of concurrent ones the larger tie; marks that
may overlap are as different as their values. An end without its start marks nothing.
Source: Litt, Lim, Kleppmann, van Hardenberg 2022 (Peritext), sections 3 and 4.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Final

from comity.base.canonical import Malformed, Reader, varint
from comity.base.errors import UsageError
from comity.crdt.text.lineage import Past
from comity.crdt.text.operations import (
    ANCHOR_LENGTH,
    INSERT,
    MARK,
    MARK_NUMBER_MAX,
    NAME_BYTES_MAX,
    VALUE_BYTES_MAX,
    Operation,
    anchor,
    anchor_code,
    check_mark,
)
from comity.crdt.text.rope import Rope
from comity.crypto.hashing import PERSON_FIELD, blake2b

__all__ = ["ANCHORS", "Layout", "Mark", "Marks", "Span", "written"]

ANCHORS: Final = re.compile("[\ud800-\udfff]+")
"""What of a merged text its users never see."""

_ANCHOR: Final = re.compile("[\ud800-\udbff][\udc00-\udfff]{2}")
_GROWS: Final = 1
_OVERLAPS: Final = 2
_CLEARS: Final = 4
_ZERO: Final = "\0"


@dataclass(frozen=True, slots=True)
class Mark:
    """What a stretch of text may be marked with.

    name: what it is, such as "bold", "link" or "comment"; 1 to 255 bytes.
    value: more about it, such as an address, at most 4096 bytes.
    grows: whether what is typed at its end is marked too, as bold is and a link is not.
    overlaps: whether marks of this name with other values leave it alone, as comments do.
    """

    name: str
    value: str = ""
    grows: bool = True
    overlaps: bool = False


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch whose characters carry the same marks.

    start, stop: positions in the text. marks: name -> values, ascending; one value, unless the
    mark overlaps.
    """

    start: int
    stop: int
    marks: Mapping[str, tuple[str, ...]]


class Marks:
    """All marks that ever were on one text, in the order in which they came to this device."""

    __slots__ = ("_entries", "_past", "_places", "_tag", "bound")

    def __init__(self, tag: bytes, past: Past) -> None:
        """Start without marks. bound: how many are of turns that may be asked about."""
        self._tag = tag
        self._past = past
        self._entries: list[tuple[int, str]] = []
        self._places: dict[int, list[int]] = {}
        self.bound = 0

    def __len__(self) -> int:
        return len(self._entries)

    def draw(self, position: int, length: int, text: str) -> int:
        """Return a number that no other mark has, but for one that is the same elsewhere."""
        seed = varint(position) + varint(length) + varint(len(self._entries)) + text.encode()
        while True:
            data = blake2b(self._tag + seed, person=PERSON_FIELD)
            number = int.from_bytes(data[:4], "little") & MARK_NUMBER_MAX
            if number not in self._places:
                return number
            seed += b"\0"

    def expand(self, turn: int, operations: list[Operation]) -> list[Operation]:
        """Take the marks of a turn, and return its operations with anchors in their place."""
        if all(operation[0] != MARK for operation in operations):
            return operations
        expanded: list[Operation] = []
        for operation in operations:
            kind, position, length, text = operation
            if kind != MARK:
                expanded.append(operation)
                continue
            start, end = text[:ANCHOR_LENGTH], position + length + ANCHOR_LENGTH
            code = anchor_code(start)
            self._take(turn, code >> 1, text[ANCHOR_LENGTH:])
            expanded.append((INSERT, position, ANCHOR_LENGTH, start))
            expanded.append((INSERT, end, ANCHOR_LENGTH, anchor(code + 1)))
        return expanded

    def _take(self, turn: int, number: int, text: str) -> None:
        self._places.setdefault(number, []).append(len(self._entries))
        self._entries.append((turn, text))

    def forget(self, count: int) -> None:
        """Keep the first marks only: the others are of a turn that was rolled back."""
        del self._entries[count:]
        for number, places in list(self._places.items()):
            kept = [place for place in places if place < count]
            if kept:
                self._places[number] = kept
            else:
                del self._places[number]

    def gap(self, anchors: str) -> int:
        """Return where between two characters to type, among the anchors there."""
        for found in _ANCHOR.finditer(anchors):
            number, is_end = divmod(anchor_code(found[0]), 2)
            places = self._places.get(number)
            if places is not None:
                grows = ord(self._entries[places[0]][1][0]) & _GROWS
                if grows or not is_end:
                    return found.start()
        return len(anchors)

    # ------------------------------------------------------------------ reading

    def spans(self, text: str, counts: Callable[[int], bool]) -> list[Span]:
        """Return the marked stretches of a merged text, ascending.

        counts: tells whether a turn is visible, and fits.
        """
        stretches = self._stretches(text, counts)
        edges = sorted({edge for stretch in stretches for edge in stretch[1:]})
        spans: list[Span] = []
        for start, stop in pairwise(edges):
            found = [place for place, a, b in stretches if a <= start and stop <= b]
            marks = self._counting(found)
            if marks and spans and spans[-1].stop == start and spans[-1].marks == marks:
                spans[-1] = Span(spans[-1].start, stop, marks)
            elif marks:
                spans.append(Span(start, stop, marks))
        return spans

    def _stretches(
        self, text: str, counts: Callable[[int], bool]
    ) -> list[tuple[int, int, int]]:
        """Return (place, start, stop) of the marks on a text that have both their ends."""
        starts: dict[int, int] = {}
        found: list[tuple[int, int, int]] = []
        passed = 0
        for run in ANCHORS.finditer(text):
            position = run.start() - passed
            passed += run.end() - run.start()
            for each in _ANCHOR.finditer(run[0]):
                number, is_end = divmod(anchor_code(each[0]), 2)
                if not is_end:
                    starts.setdefault(number, position)
                    continue
                start = starts.pop(number, position)
                if start < position:
                    places = self._places.get(number, ())
                    found += [
                        (place, start, position)
                        for place in places
                        if counts(self._entries[place][0])
                    ]
        return found

    def _counting(self, places: Sequence[int]) -> dict[str, tuple[str, ...]]:
        """Return what counts of the marks on one character, names ascending."""
        rivals: dict[tuple[str, str], list[int]] = {}
        for place in sorted(places):
            flags, name, value = _parts(self._entries[place][1])
            rivals.setdefault((name, value if flags & _OVERLAPS else _ZERO), []).append(place)
        found: dict[str, tuple[str, ...]] = {}
        for (name, _), those in sorted(rivals.items()):
            flags, _, value = _parts(self._winner(those))
            if not flags & _CLEARS:
                found[name] = tuple(sorted((*found.get(name, ()), value)))
        return found

    def _winner(self, places: list[int]) -> str:
        """Return the mark that no other saw; of several the one with the largest tie."""
        last = [a for a in places if not any(self._before(a, b) for b in places)]
        if len(last) > 1:
            tie, entries = self._past.tie, self._entries
            last.sort(key=lambda each: tie(self._tag, entries[each][0]))
        return self._entries[last[-1]][1]

    def _before(self, a: int, b: int) -> bool:
        """Tell whether a mark was seen by another; those not bound are the latest here."""
        first, second = self._entries[a][0], self._entries[b][0]
        if first == second or b >= self.bound:
            return a < b
        return a < self.bound and self._past.before(first, second)

    # ------------------------------------------------------------------ storing

    def encode(self, counts: Callable[[int], bool]) -> bytes:
        """Return the marks of the turns that count, for this device's own disk."""
        numbers = {place: number for number, those in self._places.items() for place in those}
        parts: list[bytes] = []
        for place, (turn, text) in enumerate(self._entries):
            if counts(turn):
                data = text.encode()
                parts.append(varint(turn) + varint(numbers[place]) + varint(len(data)) + data)
        return varint(len(parts)) + b"".join(parts)

    def decode(self, reader: Reader) -> None:
        """Take what `encode` wrote. Raises: Malformed if the bytes are not that."""
        for _ in range(reader.varint()):
            turn, number, text = reader.varint(), reader.varint(), reader.text(reader.left)
            check_mark(text)
            self._take(turn, number, text)
        self.bound = len(self._entries)


class Layout:
    """Where the characters of a merged text stand among its anchors."""

    __slots__ = ("_counts", "_positions", "_runs", "length")

    def __init__(self, rope: Rope) -> None:
        """Look at a text as it is now. length: of the text without anchors."""
        self._runs = rope.find(ANCHORS)
        lengths = [length for _, length in self._runs]
        self._counts = list(accumulate(lengths, initial=0))
        counted = zip(self._runs, self._counts, strict=False)
        self._positions = [start - count for (start, _), count in counted]
        self.length = rope.length - self._counts[-1]

    def gap(self, position: int) -> tuple[int, int]:
        """Return from where to where the gap before a character goes, in the merged text."""
        at = bisect_left(self._positions, position)
        start = position + self._counts[at]
        if at < len(self._runs) and self._positions[at] == position:
            return start, start + self._runs[at][1]
        return start, start

    def pieces(self, start: int, stop: int) -> list[tuple[int, int]]:
        """Return where characters stand in the merged text: (position, how many), ascending."""
        first = bisect_left(self._positions, start + 1)
        last = bisect_left(self._positions, stop, first)
        edges = [start, *self._positions[first:last], stop]
        return [
            (a + self._counts[first + place], b - a)
            for place, (a, b) in enumerate(pairwise(edges))
        ]


def written(mark: Mark, *, clears: bool) -> str:
    """Return a mark as it stands in an operation; `clears`: it takes such marks away.

    Raises: UsageError if it has no name, or is too long.
    """
    flags = mark.grows * _GROWS | mark.overlaps * _OVERLAPS | clears * _CLEARS
    text = chr(flags) + mark.name + _ZERO + mark.value
    try:
        check_mark(text)
        wrong = _ZERO in mark.name
    except (Malformed, UnicodeEncodeError):
        wrong = True
    if wrong:
        raise UsageError(
            f"{mark} cannot be written: its name must have 1 to {NAME_BYTES_MAX} bytes without "
            f"a zero, its value at most {VALUE_BYTES_MAX}"
        )
    return text


def _parts(text: str) -> tuple[int, str, str]:
    name, _, value = text[1:].partition(_ZERO)
    return ord(text[0]), name, value
