"""A simulated disk: what is durable, what is on its way, and what a crash leaves.

Owns: the tables of one node's store and the writes that have not been synced. May not know:
the node. Writes become durable in the order in which they were asked for; a crash keeps a
prefix of those on their way, as a journal does, and each of them whole or not at all.
Source: CHAOS 'Faults', Disk; ARCHITECTURE invariant 3.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from typing import Final

from comity.node.effects import Put, Read, Table, Write

__all__ = ["Disk", "Image"]

_GENERATION: Final = b"generation"
_WRITTEN: Final = b"written"
"""Where a store keeps these is its own affair; here in rows that the core does not know."""

Rows = tuple[tuple[bytes, bytes], ...]
Image = dict[Table, dict[bytes, bytes]]
"""A copy of all that is durable on a disk: a backup."""


class _Sorted:
    """One table: values by key, and the keys in order."""

    __slots__ = ("keys", "values")

    def __init__(self, values: dict[bytes, bytes]) -> None:
        self.values = values
        self.keys = sorted(values)

    def put(self, key: bytes, value: bytes) -> None:
        if key not in self.values:
            if self.keys and key > self.keys[-1]:
                self.keys.append(key)
            else:
                insort(self.keys, key)
        self.values[key] = value

    def drop(self, key: bytes) -> None:
        if self.values.pop(key, None) is not None:
            del self.keys[bisect_left(self.keys, key)]


class Disk:
    """The disk of one node; it outlives the node's crashes.

    full: it takes no more, and every write on its way fails. slowness: a sync takes so many
    times as long. writes, reads: how many there were.
    """

    __slots__ = ("_pending", "_tables", "full", "reads", "slowness", "writes")

    def __init__(self) -> None:
        """Start empty."""
        self._tables = {table: _Sorted({}) for table in Table}
        self._pending: deque[Write] = deque()
        self.full = False
        self.slowness = 1
        self.writes = 0
        self.reads = 0

    @property
    def pending(self) -> int:
        """Number of writes that are not durable yet."""
        return len(self._pending)

    def write(self, write: Write) -> None:
        """Take a write; it is durable after the `sync` that reaches it."""
        self._pending.append(write)
        self.writes += 1

    def sync(self) -> Write:
        """Make the oldest pending write durable and return it."""
        write = self._pending.popleft()
        for change in write.changes:
            table = self._tables[change.table]
            if isinstance(change, Put):
                table.put(change.key, change.value)
            else:
                table.drop(change.key)
        written = (self.written + 1).to_bytes(8, "big")
        self._tables[Table.META].put(_WRITTEN, written)
        return write

    def fail(self) -> Write:
        """Fail the oldest pending write, and with it all that came after; return it."""
        write = self._pending[0]
        self._pending.clear()
        return write

    def crash(self, kept: int) -> None:
        """Lose power: the first `kept` pending writes reached the disk, the rest did not."""
        for _ in range(min(kept, len(self._pending))):
            self.sync()
        self._pending.clear()

    def read(self, read: Read) -> Rows:
        """Return the rows that a read asks for, durable or not, as a page cache would."""
        self.reads += 1
        table = self._tables[read.table]
        first, stop = bisect_left(table.keys, read.start), bisect_left(table.keys, read.stop)
        if not self._pending:
            keys = table.keys[first : min(stop, first + read.rows_max)]
            return tuple([(key, table.values[key]) for key in keys])
        found = {key: table.values[key] for key in table.keys[first:stop]}
        for write in self._pending:
            for change in write.changes:
                if change.table is not read.table or not read.start <= change.key < read.stop:
                    continue
                if isinstance(change, Put):
                    found[change.key] = change.value
                else:
                    found.pop(change.key, None)
        return tuple(sorted(found.items())[: read.rows_max])

    @property
    def generation(self) -> bytes:
        """What tells this disk from a copy; a backup holds it too."""
        return self._tables[Table.META].values.get(_GENERATION, b"")

    @property
    def written(self) -> int:
        """How many writes have become durable; a backup holds it too."""
        return int.from_bytes(self._tables[Table.META].values.get(_WRITTEN, b""), "big")

    def renew(self, generation: bytes) -> None:
        """Take another generation, durably."""
        self._tables[Table.META].put(_GENERATION, generation)

    def rows(self) -> dict[Table, Rows]:
        """Return all that is durable, as a node finds it when it starts."""
        return {
            table: tuple([(key, rows.values[key]) for key in rows.keys])
            for table, rows in self._tables.items()
        }

    def table(self, table: Table) -> Rows:
        """Return what is durable of one table, in key order."""
        rows = self._tables[table]
        return tuple([(key, rows.values[key]) for key in rows.keys])

    def image(self) -> Image:
        """Return a copy of what is durable."""
        return {table: dict(rows.values) for table, rows in self._tables.items()}

    def restore(self, image: Image) -> None:
        """Put a backup back; what was on its way is lost."""
        self._pending.clear()
        self._tables = {table: _Sorted(dict(rows)) for table, rows in image.items()}

    def bytes_of_everything(self) -> bytes:
        """Return every byte that is durable: to search it for what must not be there."""
        parts: list[bytes] = []
        for rows in self._tables.values():
            for key, value in rows.values.items():
                parts += (key, value)
        return b"\n".join(parts)
