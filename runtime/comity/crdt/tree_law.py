"""The merge law of a tree: an open turn's operations, and the bytes of a turn.

Owns: the bytes of operations. May not know: users' classes (`tree_view`), how edits merge.

    turn       operations, one after another, to the end
    operation  varint(n << 2 | kind) | varint(position) | what follows
    kind       0 insert n nodes, as siblings: varint(parent) | values
               1 delete n nodes    2 set n nodes to n values
               3 move a node, to the position n that it has afterwards: varint(parent)
    parent     0 for the top, else the position of a node, and 1
    state      of each node, the parents first: varint(depth) | value

Positions are those of the list of all nodes that the turn's author saw, as changed by the
operations before; it orders siblings, and says nothing else. Deleting a node names it and
every node that its author saw below it.
Source: decision 32, decision 4 (operations name no ids).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from comity.base.canonical import Malformed, Reader, varint
from comity.base.errors import UsageError
from comity.crdt.codec import Value, ValueType
from comity.crdt.element_columns import freeze_elements, thaw_elements
from comity.crdt.elements import DELETE, INSERT, MOVE, SET, UNDER, Elements, Operation
from comity.crdt.forest import TOP, Forest
from comity.crdt.freezing import Freezer, Thawer
from comity.crdt.writer import OpenTurn

__all__ = ["TOP", "TreeLaw"]

_OUT: Final = -2
"""The turn of a field that has not entered one; no writer's turn is ever this."""

_KIND_BITS: Final = 2

_POSITION_MAX: Final = (1 << 32) - 1
"""Largest position or count that decodes: more than a device can hold."""

_HEAD_BYTES_MAX: Final = 15
"""What an operation takes beside its values: three numbers below 2^35."""


class TreeLaw:
    """A tree: nodes that are added, moved and deleted at once stay one tree everywhere."""

    __slots__ = (
        "_elements",
        "_encoded",
        "_entered",
        "_forest",
        "_hidden",
        "_operations",
        "_type",
        "_writer",
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
        self._elements = elements
        self._forest = Forest(elements)
        self._type = value_type
        self._hidden = hidden
        self._writer = writer
        self._operations: list[Operation] = []
        self._encoded: list[bytes] = []
        self._entered = _OUT

    # ------------------------------------------------------------------ reading

    def __len__(self) -> int:
        return len(self._elements)

    def children(self, node: int) -> list[int]:
        """Return what stands under a node, in order; of TOP, at the top. Read it only."""
        return self._forest.children(node)

    def parent(self, node: int) -> int:
        """Return what a node stands under. Raises: UsageError if it is not there."""
        return self._forest.parent(self._there(node))

    def value(self, node: int) -> Value:
        """Return the value of a node. Raises: UsageError if it is not there."""
        return self._elements.read(self._elements.shown(self._there(node)))

    def is_there(self, node: int) -> bool:
        """Tell whether a node is in the tree now."""
        return node == TOP or self._forest.is_shown(node)

    def is_within(self, node: int, around: int) -> bool:
        """Tell whether a node is another one, or below it."""
        return self._forest.is_within(node, around)

    def outline(self) -> list[tuple[int, Value]]:
        """Return depth and value of each node, parents first."""
        elements = self._elements
        return [
            (depth, elements.read(elements.shown(each)))
            for each, depth in self._forest.within(TOP)
        ]

    def nodes(self) -> list[int]:
        """Return all nodes, parents first."""
        return [each for each, _ in self._forest.within(TOP)]

    # ------------------------------------------------------------------ writing

    def add(self, parent: int, index: int, value: Value) -> int:
        """Add a node in the open turn under another one, or TOP; return it."""
        try:
            encoded = self._type.encode(value)
        except UsageError as error:
            raise UsageError(f"{self.label}: {error}") from None
        if not self._type.exact:
            value = self._type.check(value)
        under = self._under(parent)
        self._charge(len(encoded))
        siblings = self._forest.children(parent)
        if not siblings:
            position = len(self._elements)
        elif index:
            position = self._position(siblings[index - 1]) + 1
        else:
            position = self._position(siblings[0])
        node = len(self._elements.slots)
        self._do((under, Operation(INSERT, position, 1, (value,))), encoded)
        self._forest.added(node, parent, index)
        return node

    def move(self, node: int, parent: int, index: int) -> None:
        """Move a node in the open turn under another one, or TOP.

        index: its place among the children afterwards.
        Raises: UsageError if the node would stand below itself.
        """
        if self._forest.is_within(self._there(parent), self._there(node)):
            raise UsageError(f"{self.label}: a node cannot be moved to below itself")
        siblings = [each for each in self._forest.children(parent) if each != node]
        source = self._position(node)
        if not siblings:
            target = len(self._elements) - 1
        elif index:
            after = self._position(siblings[index - 1])
            target = after if source < after else after + 1
        else:
            before = self._position(siblings[0])
            target = before - 1 if source < before else before
        under = self._under(parent)
        self._charge(0)
        self._do((under, Operation(MOVE, source, target)), b"")
        self._forest.moved(node, parent, index)

    def delete(self, node: int) -> None:
        """Delete a node in the open turn, and all that is below it."""
        below = [each for each, _ in self._forest.within(self._there(node))]
        slots = {self._elements.shown(each) for each in (node, *below)}
        taken = enumerate(self._elements.slots.taken())
        positions = [position for position, slot in taken if slot in slots]
        for start, count in _runs(positions):
            self._charge(0)
            self._do((Operation(DELETE, start, count),), b"")
        self._forest.gone(node, below)

    def set(self, node: int, value: Value) -> None:
        """Set the value of a node in the open turn; it stays what and where it is."""
        try:
            encoded = self._type.encode(value)
        except UsageError as error:
            raise UsageError(f"{self.label}: {error}") from None
        if not self._type.exact:
            value = self._type.check(value)
        position = self._position(self._there(node))
        self._charge(len(encoded))
        self._do((Operation(SET, position, 1, (value,)),), encoded)

    def clear(self) -> None:
        """Delete all nodes that are there."""
        for node in list(self._forest.children(TOP)):
            self.delete(node)

    def assign(self, value: object) -> None:
        """Make it read as an outline does, as `snapshot` returns it: all nodes are new.

        Raises: UsageError if `value` is no outline.
        """
        outline = self._outline(value)
        if outline == self.outline():
            return
        self.clear()
        path: list[int] = [TOP]
        for depth, each in outline:
            del path[depth + 1 :]
            path.append(self.add(path[depth], len(self._forest.children(path[depth])), each))

    def _outline(self, value: Any) -> list[tuple[int, Value]]:  # noqa: ANN401  (given)
        fix = (
            f"{self.label} cannot be set to {value!r}: assign (depth, value) of each node, the "
            "parents first, as a snapshot has them"
        )
        if not _is_sequence(value):
            raise UsageError(fix)
        outline: list[tuple[int, Value]] = []
        for node in value:
            most = outline[-1][0] + 1 if outline else 0
            if not _is_sequence(node) or len(node) != 2 or node[0] not in range(most + 1):
                raise UsageError(fix)
            outline.append((int(node[0]), node[1]))
        return outline

    def _there(self, node: int) -> int:
        if not self.is_there(node):
            raise UsageError(f"{self.label}: this node is no longer there: look it up again")
        return node

    def _position(self, node: int) -> int:
        return self._elements.slots.position(self._elements.shown(node))

    def _under(self, parent: int) -> Operation:
        position = -1 if self._there(parent) == TOP else self._position(parent)
        return Operation(UNDER, position, 0)

    def _do(self, operations: tuple[Operation, ...], encoded: bytes) -> None:
        parent = b""
        for operation in operations:
            self._elements.write(self._entered, operation)
            kind, position, number, _ = operation
            if kind == UNDER:
                parent = varint(position + 1)
            else:
                head = varint(number << _KIND_BITS | kind) + varint(position)
                self._encoded.append(head + parent + encoded)
        self._operations += operations

    def _charge(self, size: int) -> None:
        if self._entered != self._writer.turn:
            self._writer.enter(self)
        self._writer.charge(self, size + _HEAD_BYTES_MAX)

    # ------------------------------------------------------------------ turns

    def enter(self, turn: int) -> None:
        """Join a turn."""
        self._entered = turn
        self._elements.begin()

    def commit(self) -> bytes:
        """Keep the turn's operations."""
        turn, self._entered = self._entered, _OUT
        operations, self._operations = self._operations, []
        if operations:
            self._elements.commit(turn, operations)
        data = b"".join(self._encoded)
        self._encoded.clear()
        return data

    def rollback(self) -> None:
        """Take back the turn's operations."""
        self._elements.rollback(self._entered)
        self._entered = _OUT
        self._operations.clear()
        self._encoded.clear()
        self._forest.forget()

    def parse(self, reader: Reader) -> list[Operation]:
        """Read the operations of a turn."""
        decode = self._type.decode
        operations: list[Operation] = []
        while True:
            head, position = reader.varint(), reader.varint()
            kind, count = head & (1 << _KIND_BITS) - 1, head >> _KIND_BITS
            if (
                position > _POSITION_MAX
                or count > _POSITION_MAX
                or (kind != MOVE and not count)
            ):
                raise Malformed(f"{count} nodes at position {position}")
            if kind in {INSERT, MOVE}:
                parent = reader.varint()
                if parent > _POSITION_MAX:
                    raise Malformed(f"under a node at position {parent}")
                operations.append(Operation(UNDER, parent - 1, 0))
            values: tuple[Value, ...] = ()
            if kind in {INSERT, SET}:
                if count > reader.left:
                    raise Malformed(f"{count} values in {reader.left} bytes")
                values = tuple([decode(reader) for _ in range(count)])
            operations.append(Operation(kind, position, count, values))
            if not reader.left:
                return operations

    def fold(self, turn: int, parsed: list[Operation]) -> tuple[()]:
        """Take a turn; if it does not fit the list it was made on, it is no-op everywhere."""
        self._forest.forget()
        self._elements.fold(turn, parsed)
        self._forest.forget()
        return ()

    def bound(self, turn: int) -> None:
        """Learn that causality knows the place of a turn of this device."""
        self._forest.forget()
        self._elements.bound(turn)
        self._forest.forget()

    def changed(self, turn: int) -> tuple[()] | None:
        """Count a turn or no longer."""
        self._forest.forget()
        return () if self._elements.look(turn, hidden=turn in self._hidden) else None

    def encode(self) -> bytes:
        """Return depth and value of each node, parents first."""
        encode = self._type.encode
        return b"".join([varint(depth) + encode(each) for depth, each in self.outline()])

    def snapshot(self) -> tuple[tuple[int, Value], ...]:
        """Return depth and value of each node, parents first."""
        return tuple(self.outline())

    def freeze(self, out: Freezer) -> None:
        """Write all that was done."""
        self._elements.slots.freeze(out)
        freeze_elements(self._elements.kept(), self._type, out)
        self._forest.freeze(out)

    def thaw(self, data: Thawer) -> None:
        """Take what `freeze` wrote. Raises: Malformed."""
        self._elements.slots.thaw(data)
        kept = thaw_elements(self._type, data)
        if len(kept.slots) != len(self._elements.slots):
            raise Malformed("slots and elements differ")
        self._elements.take(kept)
        self._forest.thaw(data)

    def check(self, settled: int) -> None:
        """Assert the invariants of the elements and of what is shown."""
        assert settled >= -1
        self._elements.check()
        self._forest.check()


def _is_sequence(value: object) -> bool:
    return isinstance(value, list | tuple)


def _runs(positions: Iterable[int]) -> list[tuple[int, int]]:
    """Return start and length of each run of ascending numbers, the last one first."""
    runs: list[tuple[int, int]] = []
    for position in positions:
        if runs and sum(runs[-1]) == position:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((position, 1))
    return runs[::-1]
