"""Merge laws: how each replicated type records, encodes, folds and shows its operations.

Owns: the operations of each type and their bytes. May not know: users' classes (`views`),
which fields an actor has (`schema`), causality beyond handing it to `writes`.

    counter   zigzag varint                one increment, never 0
    register  value                        the last one set in the turn
    set       runs of values               0 add, 1 remove
    map       runs of key value | key      0 put, 1 delete

A run is varint(count << 2 | kind) followed by its entries; kinds ascend, a key stands once
in a turn. Entries are written in the order of their bytes, so that the order of a Python set
never shows. Kinds 2 and 3 are kept for values that are replicated types themselves.
No operation names another: each means 'given all that its turn has seen'.
`parse` raises `Malformed` before anything has changed; `fold` of what it returned cannot fail.
Source: PROTOCOL section 2, API 'Replicated types'.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from operator import index
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Protocol, SupportsIndex

from comity.base.canonical import Malformed, Reader, varint, zigzag
from comity.base.errors import UsageError
from comity.crdt.codec import SCALARS, Value, ValueType, wrong
from comity.crdt.tally import INCREMENT_MAX, Tally
from comity.crdt.writer import Entrant, OpenTurn
from comity.crdt.writes import ABSENT, Key, Writes

if TYPE_CHECKING:
    from comity.crdt.freezing import Freezer, Thawer

__all__ = ["CounterLaw", "KeyedLaw", "Law", "RegisterLaw", "give"]

_OUT: Final = -2
"""The turn of a field that has not entered one; no writer's turn is ever this."""

_PUT: Final = 0
_DELETE: Final = 1
_KIND_BITS: Final = 2
_ONE_PUT: Final = varint(1 << _KIND_BITS | _PUT)
_ONE_DELETE: Final = varint(1 << _KIND_BITS | _DELETE)

_INT: Final = SCALARS[int]


class Law(Entrant, Protocol):
    """The state of one field under its merge law."""

    def assign(self, value: object) -> None:
        """Do what `actor.field = value` stands for."""
        ...

    def parse(self, reader: Reader) -> Value:
        """Return the operations of a turn from the log, for `fold`; raise Malformed."""
        ...

    def fold(self, turn: int, parsed: Value) -> tuple[Key, ...]:
        """Apply what `parse` returned; return the keys that it wrote."""
        ...

    def bound(self, turn: int) -> None:
        """Learn that causality knows the place of a turn of this device."""
        ...

    def changed(self, turn: int) -> tuple[Key, ...] | None:
        """Decide anew after a turn was hidden or shown; None if it wrote nothing here."""
        ...

    def encode(self) -> bytes:
        """Return the canonical bytes of what is visible; empty if that is nothing."""
        ...

    def snapshot(self) -> object:
        """Return an immutable copy of what is visible."""
        ...

    def check(self, settled: int) -> None:
        """Assert the invariants; see `Writes.check`."""
        ...


class CounterLaw:
    """A counter: the sum of all increments."""

    __slots__ = ("_entered", "_writer", "label", "tag", "tally")

    def __init__(self, label: str, tag: bytes, writer: OpenTurn, hidden: set[int]) -> None:
        """Start at 0."""
        self.label = label
        self.tag = tag
        self.tally = Tally(hidden)
        self._writer = writer
        self._entered = _OUT

    def add(self, increment: SupportsIndex) -> None:
        """Add to the counter in the open turn."""
        if self._entered != self._writer.turn:
            self._writer.enter(self)
        if type(increment) is not int:
            increment = self._whole(increment)
        tally = self.tally
        pending = tally.pending + increment
        if not -INCREMENT_MAX <= pending <= INCREMENT_MAX:
            raise UsageError(
                f"{self.label}: {pending} in one turn, where {INCREMENT_MAX} either way is the "
                "most: use a Register[int] for such numbers"
            )
        tally.pending = pending
        tally.total += increment

    def _whole(self, increment: SupportsIndex) -> int:
        try:
            return index(increment)
        except TypeError:
            error = wrong(increment, "int", "a counter counts whole things: pass int(value)")
            raise UsageError(f"{self.label}: {error}") from None

    def assign(self, value: object) -> None:
        """Refuse: two concurrent assignments have no sum."""
        raise UsageError(
            f"{self.label} cannot be set to {value!r}: use += or -=, which merge; or a "
            "Register[int], of which one write wins"
        )

    def enter(self, turn: int) -> None:
        """Join a turn."""
        self._entered = turn

    def commit(self) -> bytes:
        """Keep the turn's increment."""
        turn, self._entered = self._entered, _OUT
        increment = self.tally.commit(turn)
        return varint(zigzag(increment)) if increment else b""

    def rollback(self) -> None:
        """Take back the turn's increment."""
        self._entered = _OUT
        self.tally.rollback()

    def parse(self, reader: Reader) -> int:
        """Read one increment."""
        increment = reader.zigzag()
        if increment == 0 or abs(increment) > INCREMENT_MAX:
            raise Malformed(f"an increment of {increment}")
        return increment

    def fold(self, turn: int, parsed: int) -> tuple[Key, ...]:
        """Add an increment."""
        self.tally.fold(turn, parsed)
        return ()

    def bound(self, turn: int) -> None:
        """Learn the place of a turn of this device: nothing here depends on it."""

    def changed(self, turn: int) -> tuple[Key, ...] | None:
        """Count a turn or no longer."""
        return () if self.tally.changed(turn) else None

    def encode(self) -> bytes:
        """Return the total, as an int value."""
        return _INT.encode(self.tally.total) if self.tally.total else b""

    def snapshot(self) -> int:
        """Return the total."""
        return self.tally.total

    def freeze(self, out: Freezer) -> None:
        """Write all increments."""
        self.tally.freeze(out)

    def thaw(self, data: Thawer) -> None:
        """Take what `freeze` wrote. Raises: Malformed."""
        self.tally.thaw(data)

    def check(self, settled: int) -> None:
        """Assert that the total is the sum of what is visible."""
        assert settled >= -1
        self.tally.check()


class RegisterLaw:
    """A register: the last value; of concurrent ones the largest tie, the others kept."""

    __slots__ = (
        "_entered",
        "_operation",
        "_type",
        "_writer",
        "default",
        "label",
        "tag",
        "writes",
    )

    def __init__(
        self,
        label: str,
        value_type: ValueType,
        default: Value,
        writer: OpenTurn,
        writes: Writes,
    ) -> None:
        """Start unset: reading gives `default`."""
        self.label = label
        self.tag = writes.tag
        self.default = default
        self.writes = writes
        self._type = value_type
        self._writer = writer
        self._operation = b""
        self._entered = _OUT

    def assign(self, value: Value) -> None:
        """Set the value in the open turn."""
        writer = self._writer
        if self._entered != writer.turn:
            writer.enter(self)
        try:
            operation = self._type.encode(value)
        except UsageError as error:
            raise UsageError(f"{self.label}: {error}") from None
        writer.charge(self, len(operation) - len(self._operation))
        self._operation = operation
        self.writes.put(
            writer.turn, None, value if self._type.exact else self._type.check(value)
        )

    def read(self) -> Value:
        """Return the value that counts."""
        return self.writes.values.get(None, self.default)

    def conflicts(self) -> tuple[Value, ...]:
        """Return the other values that were written concurrently, distinct, by tie."""
        return tuple(_distinct(self._type, self.writes.rivals(None)).values())[1:]

    def enter(self, turn: int) -> None:
        """Join a turn."""
        self._entered = turn
        self.writes.begin()

    def commit(self) -> bytes:
        """Keep the turn's value."""
        operation, self._operation = self._operation, b""
        self._entered = _OUT
        self.writes.commit()
        return operation

    def rollback(self) -> None:
        """Take back the turn's value."""
        self._operation = b""
        self._entered = _OUT
        self.writes.rollback()

    def parse(self, reader: Reader) -> Value:
        """Read one value."""
        return self._type.decode(reader)

    def fold(self, turn: int, parsed: Value) -> tuple[Key, ...]:
        """Write a value."""
        self.writes.fold(turn, None, parsed)
        return ()

    def bound(self, turn: int) -> None:
        """Learn that causality knows the place of a turn of this device."""
        self.writes.bound(turn)

    def changed(self, turn: int) -> tuple[Key, ...] | None:
        """Count a turn or no longer."""
        return () if self.writes.changed(turn) else None

    def encode(self) -> bytes:
        """Return the values that count, distinct, by tie."""
        return b"".join(_distinct(self._type, self.writes.rivals(None)))

    def snapshot(self) -> Value:
        """Return the value."""
        return self.read()

    def freeze(self, out: Freezer) -> None:
        """Write all writes."""
        self.writes.freeze(out, None, self._type)

    def thaw(self, data: Thawer) -> None:
        """Take what `freeze` wrote. Raises: Malformed."""
        self.writes.thaw(data, None, self._type)

    def check(self, settled: int) -> None:
        """Assert the invariants of the writes."""
        self.writes.check(settled)


class KeyedLaw:
    """A set or a map: each key for itself; whoever writes wins over who deletes.

    Under a key of a set stands True, and its entries carry no value.
    """

    __slots__ = (
        "_entered",
        "_key_type",
        "_operations",
        "_value_type",
        "_writer",
        "label",
        "tag",
        "writes",
    )

    def __init__(
        self,
        label: str,
        key_type: ValueType,
        value_type: ValueType | None,
        writer: OpenTurn,
        writes: Writes,
    ) -> None:
        """Start empty. value_type: None for a set."""
        assert key_type.key
        self.label = label
        self.tag = writes.tag
        self.writes = writes
        self._key_type = key_type
        self._value_type = value_type
        self._writer = writer
        self._operations: list[bytes] = []
        self._entered = _OUT

    def put(self, key: Key, value: Value) -> None:
        """Add or overwrite a key in the open turn."""
        key_type, value_type = self._key_type, self._value_type
        try:
            data = key_type.encode(key)
            if value_type is not None:
                data += value_type.encode(value)
                if not value_type.exact:
                    value = value_type.check(value)
        except UsageError as error:
            raise UsageError(f"{self.label}: {error}") from None
        self._record(data, key if key_type.exact else key_type.check(key), value)

    def delete(self, key: Key) -> None:
        """Delete a present key in the open turn."""
        try:
            data = self._key_type.encode(key)
        except UsageError as error:
            raise UsageError(f"{self.label}: {error}") from None
        self._record(data, key if self._key_type.exact else self._key_type.check(key), ABSENT)

    def clear(self) -> None:
        """Delete all that is present."""
        for key in self.writes.order():
            self.delete(key)

    def assign(self, value: object) -> None:
        """Make it hold exactly what `value` holds: all of it is written anew.

        Raises: UsageError if `value` is not a mapping (for a map) or a set (for a set).
        """
        entries = self._given(value)
        for key in self.writes.order():
            if key not in entries:
                self.delete(key)
        for key, each in entries.items():
            self.put(key, each)

    def rivals(self, key: Key) -> tuple[Value, ...]:
        """Return the values under a key that lost to the present one, distinct, by tie."""
        if self._value_type is None:
            return ()
        return tuple(_distinct(self._value_type, self.writes.rivals(key)).values())[1:]

    def enter(self, turn: int) -> None:
        """Join a turn."""
        self._entered = turn
        self.writes.begin()

    def commit(self) -> bytes:
        """Keep the turn's writes."""
        operations = self._operations
        self._entered = _OUT
        if not operations:
            return b""
        if len(operations) == 1:
            operation = (_ONE_DELETE if self.writes.is_delete() else _ONE_PUT) + operations[0]
            operations.clear()
            self.writes.commit()
            return operation
        runs: tuple[list[bytes], list[bytes]] = ([], [])
        for data, (_, value) in zip(operations, self.writes.written(), strict=True):
            runs[_DELETE if value is ABSENT else _PUT].append(data)
        operations.clear()
        self.writes.commit()
        return b"".join(
            varint(len(run) << _KIND_BITS | kind) + b"".join(sorted(run))
            for kind, run in enumerate(runs)
            if run
        )

    def rollback(self) -> None:
        """Take back the turn's writes."""
        self._entered = _OUT
        self._operations.clear()
        self.writes.rollback()

    def parse(self, reader: Reader) -> dict[Key, Value]:
        """Read runs; a dict of key -> value or ABSENT."""
        key_type, value_type = self._key_type, self._value_type
        found: dict[Key, Value] = {}
        kind_before = -1
        head = reader.varint()
        if head == 1 << _KIND_BITS:  # one put, as most turns are
            key = key_type.decode(reader)
            found[key] = True if value_type is None else value_type.decode(reader)
            kind_before = _PUT
            if not reader.left:
                return found
            head = reader.varint()
        while True:
            count, kind = head >> _KIND_BITS, head & (1 << _KIND_BITS) - 1
            if not kind_before < kind <= _DELETE:
                raise Malformed(f"a run of kind {kind} after {kind_before}")
            if not 0 < count <= reader.left:
                raise Malformed(f"a run of {count} entries in {reader.left} bytes")
            kind_before = kind
            for _ in range(count):
                key = key_type.decode(reader)
                if key in found:
                    raise Malformed(f"a key stands twice, at {reader.position}")
                if kind == _DELETE:
                    found[key] = ABSENT
                else:
                    found[key] = True if value_type is None else value_type.decode(reader)
            if not reader.left:
                return found
            head = reader.varint()

    def fold(self, turn: int, parsed: dict[Key, Value]) -> tuple[Key, ...]:
        """Write all entries."""
        write = self.writes.fold
        if len(parsed) == 1:  # as most turns
            ((key, value),) = parsed.items()
            write(turn, key, value)
            return (key,)
        for key, value in parsed.items():
            write(turn, key, value)
        return tuple(parsed)

    def bound(self, turn: int) -> None:
        """Learn that causality knows the place of a turn of this device."""
        self.writes.bound(turn)

    def changed(self, turn: int) -> tuple[Key, ...] | None:
        """Count a turn or no longer."""
        return self.writes.changed(turn) or None

    def encode(self) -> bytes:
        """Return the entries by their keys' bytes: key, and for a map count and values."""
        key_type, value_type = self._key_type, self._value_type
        entries: list[bytes] = []
        for key in self.writes.values:
            entry = key_type.encode(key)
            if value_type is not None:
                values = _distinct(value_type, self.writes.rivals(key))
                entry += varint(len(values)) + b"".join(values)
            entries.append(entry)
        return b"".join(sorted(entries))

    def snapshot(self) -> object:
        """Return a frozenset, or a read-only mapping in the order of its keys."""
        values = self.writes.values
        if self._value_type is None:
            return frozenset(values)
        return MappingProxyType({key: values[key] for key in self.writes.order()})

    def freeze(self, out: Freezer) -> None:
        """Write all writes."""
        self.writes.freeze(out, self._key_type, self._value_type)

    def thaw(self, data: Thawer) -> None:
        """Take what `freeze` wrote. Raises: Malformed."""
        self.writes.thaw(data, self._key_type, self._value_type)

    def check(self, settled: int) -> None:
        """Assert the invariants of the writes."""
        self.writes.check(settled)

    def _record(self, data: bytes, key: Key, value: Value) -> None:
        writer = self._writer
        if self._entered != writer.turn:
            writer.enter(self)
        size = len(data)
        if size > writer.bytes_left:
            writer.charge(self, size)
        writer.bytes_left -= size
        operations = self._operations
        number = self.writes.put(writer.turn, key, value)
        if number == len(operations):
            operations.append(data)
        else:
            writer.bytes_left += len(operations[number])
            operations[number] = data

    def _given(self, value: object) -> dict[Key, Value]:
        wanted, kind = (
            (AbstractSet, "set") if self._value_type is None else (Mapping, "mapping")
        )
        if not isinstance(value, wanted):
            raise UsageError(f"{self.label} cannot be set to {value!r}: assign a {kind}")
        return _entries(value, keys_only=self._value_type is None)


def _entries(value: Value, *, keys_only: bool) -> dict[Key, Value]:
    return dict.fromkeys(value, True) if keys_only else dict(value)


def _distinct(value_type: ValueType, values: tuple[Value, ...]) -> dict[bytes, Value]:
    """Return values by their bytes, in the given order, equal ones once."""
    found: dict[bytes, Value] = {}
    for value in values:
        found.setdefault(value_type.encode(value), value)
    return found


def give(law: Law, value: object) -> None:
    """Assign to a state in the open turn; a counter that is at 0 is begun with a number."""
    if isinstance(law, CounterLaw) and type(value) is int:
        total = law.tally.total
        if value == total:
            return
        if not total:
            law.add(value)
            return
    law.assign(value)
