"""The merge law of a list field: an open turn's operations, and the bytes of a turn.

Owns: the bytes of operations. May not know: users' classes (`list_view`), how edits merge.

    turn       operations, one after another, to the end
    operation  varint(n << 2 | kind) | varint(position) | what follows
    kind       0 insert n values    1 delete n elements    2 set n elements to n values
               3 move one element, to the position n that it has afterwards

Positions are those of the list that the turn's author saw, as changed by the operations
before. No n but that of a move is 0, and no position is 2^32 or above.
Source: decision 4 (operations name no ids), API 'Replicated types'.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from comity.base.canonical import Malformed, Reader, varint
from comity.base.errors import UsageError
from comity.crdt.codec import Value, ValueType
from comity.crdt.element_columns import freeze_elements, thaw_elements
from comity.crdt.elements import DELETE, INSERT, MOVE, SET, Elements, Operation
from comity.crdt.freezing import Freezer, Thawer
from comity.crdt.writer import OpenTurn

__all__ = ["ListLaw"]

_OUT: Final = -2
"""The turn of a field that has not entered one; no writer's turn is ever this."""

_KIND_BITS: Final = 2
_ONE_INSERT: Final = 1 << _KIND_BITS | INSERT
_ONE_INSERT_HEAD: Final = varint(_ONE_INSERT)

_operation: Final[Callable[[type[Operation], tuple[object, ...]], Operation]] = tuple.__new__  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
"""Makes a named tuple in half the time: one is made for most turns of every replica."""

_POSITION_MAX: Final = (1 << 32) - 1
"""Largest position or count that decodes: more than a device can hold."""

_HEAD_BYTES_MAX: Final = 10
"""What an operation takes beside its values: two numbers below 2^35."""


class ListLaw:
    """A list: concurrent insertions all count, and those of one device stay side by side."""

    __slots__ = (
        "_encoded",
        "_entered",
        "_growing",
        "_hidden",
        "_operations",
        "_single",
        "_type",
        "_writer",
        "elements",
        "label",
        "tag",
    )

    def __init__(
        self,
        label: str,
        value_type: ValueType,
        writer: OpenTurn,
        elements: Elements,
        hidden: set[int],
    ) -> None:
        """Start empty."""
        self.label = label
        self.tag = elements.tag
        self.elements = elements
        self._type = value_type
        self._hidden = hidden
        self._writer = writer
        self._operations: list[Operation] = []
        self._encoded: list[list[bytes]] = []
        self._growing: list[Value] = []
        self._single: tuple[int, Value, bytes] | None = None
        self._entered = _OUT

    # ------------------------------------------------------------------ writing

    def insert(self, position: int, values: Sequence[Value]) -> None:
        """Insert values in the open turn, before the element at `position`."""
        encoded, values = self._values(values)
        if not values:
            return
        self._charge(len(encoded))
        number = len(values)
        self.elements.write(self._entered, Operation(INSERT, position, number, values))
        operations = self._operations
        if operations:
            last = operations[-1]
            if last.kind == INSERT and last.position + last.number == position:
                self._growing.extend(values)
                number += last.number
                operations[-1] = Operation(INSERT, last.position, number, self._growing)
                self._encoded[-1].append(encoded)
                return
        self._growing = values
        operations.append(Operation(INSERT, position, number, values))
        self._encoded.append([encoded])

    def delete(self, position: int, count: int) -> None:
        """Delete elements in the open turn."""
        self._charge(0)
        if not count:
            return
        self.elements.write(self._entered, Operation(DELETE, position, count))
        operations = self._operations
        if operations and operations[-1][:2] == (DELETE, position):
            operations[-1] = Operation(DELETE, position, operations[-1].number + count)
            return
        operations.append(Operation(DELETE, position, count))
        self._encoded.append([])

    def set(self, position: int, values: Sequence[Value]) -> None:
        """Set elements in the open turn; each stays what and where it is."""
        encoded, values = self._values(values)
        if values:
            self._charge(len(encoded))
            self._do(Operation(SET, position, len(values), values), encoded)

    def move(self, source: int, target: int) -> None:
        """Move an element in the open turn, to the position that it has afterwards."""
        self._charge(0)
        if source != target:
            self._do(Operation(MOVE, source, target), b"")

    def assign(self, value: object) -> None:
        """Make it hold what `value` holds; what both have at their ends stays as it is.

        Raises: UsageError if `value` is no sequence, or a str or bytes.
        """
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            raise UsageError(f"{self.label} cannot be set to {value!r}: assign a list")
        wanted = self._values(value)[1]  # pyright: ignore[reportUnknownArgumentType]
        present = self.elements.values()
        head = _shared(present, wanted)
        tail = _shared(present[head:][::-1], wanted[head:][::-1])
        middle = wanted[head : len(wanted) - tail]
        self.delete(head, len(present) - head - tail)
        self.insert(head, middle)

    def _do(self, operation: Operation, encoded: bytes) -> None:
        self.elements.write(self._entered, operation)
        self._operations.append(operation)
        self._encoded.append([encoded])

    def insert_one(self, position: int, value: Value) -> None:
        """Insert a value in the open turn; the same as `insert`, and faster."""
        if self._entered == self._writer.turn:
            self.insert(position, (value,))
            return
        value_type = self._type
        try:
            encoded = value_type.encode(value)
        except UsageError as error:
            raise UsageError(f"{self.label}: {error}") from None
        if not value_type.exact:
            value = value_type.check(value)
        writer = self._writer
        writer.enter(self)
        size = len(encoded) + _HEAD_BYTES_MAX
        if size > writer.bytes_left:
            writer.charge(self, size)  # raises
        writer.bytes_left -= size
        self.elements.insert(self._entered, position, value)
        self._single = position, value, encoded

    def _values(self, values: Sequence[Value]) -> tuple[bytes, list[Value]]:
        """Return the bytes of values, and the values as every replica will read them."""
        value_type = self._type
        try:
            encoded = b"".join([value_type.encode(each) for each in values])
        except UsageError as error:
            raise UsageError(f"{self.label}: {error}") from None
        if value_type.exact:
            return encoded, list(values)
        return encoded, [value_type.check(each) for each in values]

    def _charge(self, size: int) -> None:
        if self._entered != self._writer.turn:
            self._writer.enter(self)
        elif self._single is not None:
            position, value, encoded = self._single
            self._single = None
            self._growing = [value]
            self._operations.append(Operation(INSERT, position, 1, self._growing))
            self._encoded.append([encoded])
        self._writer.charge(self, size + _HEAD_BYTES_MAX)

    # ------------------------------------------------------------------ turns

    def enter(self, turn: int) -> None:
        """Join a turn."""
        self._entered = turn
        self.elements.begin()

    def commit(self) -> bytes:
        """Keep the turn's operations."""
        turn, self._entered = self._entered, _OUT
        if self._single is not None:  # as most turns
            position, value, data = self._single
            self._single = None
            if self._hidden:
                self.elements.commit(turn, (Operation(INSERT, position, 1, (value,)),))
            return _ONE_INSERT_HEAD + varint(position) + data
        operations, self._operations = self._operations, []
        if not operations:
            return b""
        if len(operations) == 1:
            ((kind, position, count, _),) = operations
            ((*values,),) = self._encoded
            self._encoded.clear()
            self.elements.commit(turn, operations)
            return varint(count << _KIND_BITS | kind) + varint(position) + b"".join(values)
        parts: list[bytes] = []
        for (kind, position, count, _), values in zip(operations, self._encoded, strict=True):
            parts += (varint(count << _KIND_BITS | kind), varint(position), *values)
        self._encoded.clear()
        self.elements.commit(turn, operations)
        return b"".join(parts)

    def pending(self) -> list[Operation]:
        """Return what the open turn did."""
        if self._single is not None:
            position, value, _ = self._single
            return [Operation(INSERT, position, 1, (value,))]
        return [*self._operations]

    def rollback(self) -> None:
        """Take back the turn's operations."""
        self.elements.rollback(self._entered)
        self._entered = _OUT
        self._single = None
        self._operations.clear()
        self._encoded.clear()

    def parse(self, reader: Reader) -> list[Operation]:
        """Read the operations of a turn."""
        decode = self._type.decode
        operations: list[Operation] = []
        while True:
            head = reader.varint()
            if head == _ONE_INSERT:  # as in most turns
                position = reader.varint()
                if position > _POSITION_MAX:
                    raise Malformed(f"one element at position {position}")
                operations.append(
                    _operation(Operation, (INSERT, position, 1, (decode(reader),)))
                )
                if not reader.left:
                    return operations
                continue
            kind, count = head & (1 << _KIND_BITS) - 1, head >> _KIND_BITS
            position = reader.varint()
            if (
                position > _POSITION_MAX
                or count > _POSITION_MAX
                or (kind != MOVE and not count)
            ):
                raise Malformed(f"{count} elements at position {position}")
            values: tuple[Value, ...] = ()
            if kind in {INSERT, SET}:
                if count > reader.left:
                    raise Malformed(f"{count} values in {reader.left} bytes")
                values = tuple([decode(reader) for _ in range(count)])
            elif kind == MOVE and count == position:
                raise Malformed(f"a move to where it is, {position}")
            operations.append(Operation(kind, position, count, values))
            if not reader.left:
                return operations

    def fold(self, turn: int, parsed: list[Operation]) -> tuple[()]:
        """Take a turn; if it does not fit the list it was made on, it is no-op everywhere."""
        self.elements.fold(turn, parsed)
        return ()

    def bound(self, turn: int) -> None:
        """Learn that causality knows the place of a turn of this device."""
        self.elements.bound(turn)

    def changed(self, turn: int) -> tuple[()] | None:
        """Count a turn or no longer."""
        return () if self.elements.look(turn, hidden=turn in self._hidden) else None

    def encode(self) -> bytes:
        """Return the values in order."""
        return b"".join([self._type.encode(each) for each in self.elements.values()])

    def snapshot(self) -> tuple[Value, ...]:
        """Return the values in order."""
        return tuple(self.elements.values())

    def freeze(self, out: Freezer) -> None:
        """Write all that was done."""
        self.elements.slots.freeze(out)
        freeze_elements(self.elements.kept(), self._type, out)

    def thaw(self, data: Thawer) -> None:
        """Take what `freeze` wrote. Raises: Malformed."""
        self.elements.slots.thaw(data)
        kept = thaw_elements(self._type, data)
        if len(kept.slots) != len(self.elements.slots):
            raise Malformed("slots and elements differ")
        self.elements.take(kept)

    def check(self, settled: int) -> None:
        """Assert the invariants of the elements."""
        assert settled >= -1
        self.elements.check()


def _shared(a: Sequence[Value], b: Sequence[Value]) -> int:
    """Return how many first values two lists share."""
    count = 0
    for one, other in zip(a, b, strict=False):
        if one != other:
            break
        count += 1
    return count
