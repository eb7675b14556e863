"""Freezing: the bytes of a folded state, from which it goes on as if it had been folded.

Owns: how numbers, values and flags are written, and the question whether a law can be frozen.
May not know: what any law keeps; each writes its own columns, and derives what follows.

    field    columns and blobs, one after another, as its law writes them

A frozen state is for this device's own disk. It is no wire format: a law may change what it
writes whenever `FORMAT` changes, and what has another number is folded from the log again.
What is read is trusted to be this device's, and yet no length, order or number in it is:
`Thawer` fails only with Malformed.
Source: issue 3 item 5; decision 35.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate
from operator import sub
from typing import Any, Final, Protocol, runtime_checkable

from comity.base.canonical import Malformed, Reader, varint
from comity.crdt.codec import Value, ValueType
from comity.crdt.text.columns import read_column, write_column

__all__ = ["FORMAT", "Freezer", "Freezing", "Thawer", "freeze_law", "thaw_law"]

FORMAT: Final = 1
"""Version of what all laws write. It grows with any change of that, and with any change of what
a law makes of the same turns: what was folded the old way is then folded anew."""

_BITS: Final = 64


@runtime_checkable
class Freezing(Protocol):
    """A law that can be frozen, while no turn is open and each has its place."""

    def freeze(self, out: Freezer) -> None:
        """Write all that later turns may ask for."""
        ...

    def thaw(self, data: Thawer) -> None:
        """Take what `freeze` wrote, while still empty. Raises: Malformed."""
        ...


class Freezer:
    """Collects what laws write."""

    __slots__ = ("_parts", "refused")

    def __init__(self) -> None:
        """Start empty. refused: the label of what cannot be frozen, if something cannot."""
        self._parts: list[bytes] = []
        self.refused = ""

    def done(self) -> bytes | None:
        """Return all that was written; None if something cannot be frozen."""
        return None if self.refused else b"".join(self._parts)

    def number(self, number: int) -> None:
        """Write a number from 0 on."""
        self._parts.append(varint(number))

    def numbers(self, numbers: Sequence[int]) -> None:
        """Write numbers from 0 to 2^64 - 1."""
        self._parts.append(write_column(numbers))

    def signed(self, numbers: Sequence[int]) -> None:
        """Write numbers of 64 bits that may be negative."""
        self.numbers([each << 1 if each >= 0 else (-each << 1) - 1 for each in numbers])

    def ascending(self, numbers: Sequence[int]) -> None:
        """Write numbers from 0 on, none smaller than the one before."""
        self.numbers([*numbers[:1], *map(sub, numbers[1:], numbers)])

    def flags(self, flags: bytes | bytearray) -> None:
        """Write bytes that are 0 or 1."""
        self.blob(bytes(flags))

    def blob(self, data: bytes) -> None:
        """Write bytes."""
        self._parts += (varint(len(data)), data)

    def values(self, value_type: ValueType, values: Iterable[Value]) -> None:
        """Write values of a type; how many the reader knows."""
        encode = value_type.encode
        self.blob(b"".join([encode(each) for each in values]))

    def groups(self, groups: Iterable[Sequence[int]]) -> None:
        """Write how many numbers each group has, then all of them; as many as are known."""
        known = [*groups]
        self.numbers([len(each) for each in known])
        self.numbers([each for group in known for each in group])


class Thawer:
    """Reads what a `Freezer` collected. turns: of the whole state; each turn is below it."""

    __slots__ = ("_reader", "turns")

    def __init__(self, data: bytes, turns: int = 1 << _BITS - 1) -> None:
        """Begin to read."""
        self._reader = Reader(data)
        self.turns = turns

    def finish(self) -> None:
        """Raise Malformed if something is left."""
        self._reader.finish()

    def number(self) -> int:
        """Read a number."""
        return self._reader.varint()

    def numbers(self, count: int | None = None, below: int | None = None) -> list[int]:
        """Read numbers. count: how many there must be. below: what all must be smaller than."""
        found = read_column(self._reader)
        if count is not None and len(found) != count:
            raise Malformed(f"{len(found)} numbers, where {count} belong")
        if below is not None and found and max(found) >= below:
            raise Malformed(f"{max(found)}, where {below} is too large")
        return found

    def signed(self, count: int) -> list[int]:
        """Read numbers that may be negative."""
        return [-(n >> 1) - 1 if n & 1 else n >> 1 for n in self.numbers(count)]

    def ascending(self, count: int | None = None, *, strictly: bool = False) -> list[int]:
        """Read turns of the state, none smaller than the one before. strictly: nor equal."""
        steps = self.numbers(count)
        found = list(accumulate(steps))
        if found and found[-1] >= self.turns:
            raise Malformed(f"turn {found[-1]} of {self.turns}")
        if strictly and 0 in steps[1:]:
            raise Malformed("a turn stands twice")
        return found

    def flags(self, count: int) -> bytes:
        """Read so many bytes that are 0 or 1."""
        found = self.blob()
        if len(found) != count or found.strip(b"\x00\x01"):
            raise Malformed(f"{len(found)} flags, where {count} belong")
        return found

    def blob(self) -> bytes:
        """Read bytes."""
        return self._reader.blob(self._reader.left)

    def values(self, value_type: ValueType, count: int) -> list[Value]:
        """Read so many values."""
        reader, decode = Reader(self.blob()), value_type.decode
        found: list[Any] = [decode(reader) for _ in range(count)]
        reader.finish()
        return found

    def groups(self, below: int, count: int | None = None) -> list[list[int]]:
        """Read groups of numbers that are smaller than `below`. count: how many must be."""
        sizes = self.numbers(count)
        flat = self.numbers(sum(sizes), below)
        found: list[list[int]] = []
        start = 0
        for size in sizes:
            found.append(flat[start : start + size])
            start += size
        return found


def freeze_law(law: object, label: str, out: Freezer) -> None:
    """Write a law, or refuse all because it cannot be frozen."""
    if isinstance(law, Freezing):
        law.freeze(out)
    else:
        out.refused = out.refused or label


def thaw_law(law: object, data: Thawer) -> None:
    """Read a law. Raises: Malformed."""
    if not isinstance(law, Freezing):
        raise Malformed("a law that cannot be frozen")
    law.thaw(data)
