"""A simulated disk: what is durable, what is on its way, and what a crash leaves.

Owns: the tables of one node's store and the writes that have not been synced. May not know:
the node. Writes become durable in the order in which they were asked for; a crash keeps a
prefix of those on their way, as a journal does, and each of them whole or not at all.
Source: CHAOS 'Faults', Disk; ARCHITECTURE invariant 3.
"""

from __future__ import annotations

from collections import deque

from comity.node.effects import Drop, Put, Read, Table, Write

__all__ = ["Disk"]

Rows = tuple[tuple[bytes, bytes], ...]


class Disk:
    """The disk of one node; it outlives the node's crashes."""

    __slots__ = ("_pending", "_tables", "reads", "writes")

    def __init__(self) -> None:
        """Start empty."""
        self._tables: dict[Table, dict[bytes, bytes]] = {table: {} for table in Table}
        self._pending: deque[Write] = deque()
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
            match change:
                case Put(_, key, value):
                    table[key] = value
                case Drop(_, key):
                    table.pop(key, None)
        return write

    def crash(self, kept: int) -> None:
        """Lose power: the first `kept` pending writes reached the disk, the rest did not."""
        for _ in range(min(kept, len(self._pending))):
            self.sync()
        self._pending.clear()

    def read(self, read: Read) -> Rows:
        """Return the rows that a read asks for, durable or not, as a page cache would."""
        self.reads += 1
        table = dict(self._tables[read.table])
        for write in self._pending:
            for change in write.changes:
                if change.table is not read.table:
                    continue
                if isinstance(change, Put):
                    table[change.key] = change.value
                else:
                    table.pop(change.key, None)
        keys = sorted(key for key in table if read.start <= key < read.stop)
        return tuple((key, table[key]) for key in keys[: read.rows_max])

    def rows(self) -> dict[Table, Rows]:
        """Return all that is durable, as a node finds it when it starts."""
        return {table: tuple(sorted(rows.items())) for table, rows in self._tables.items()}

    def image(self) -> dict[Table, dict[bytes, bytes]]:
        """Return a copy of what is durable: a backup."""
        return {table: dict(rows) for table, rows in self._tables.items()}

    def restore(self, image: dict[Table, dict[bytes, bytes]]) -> None:
        """Put a backup back; what was on its way is lost."""
        self._pending.clear()
        self._tables = {table: dict(rows) for table, rows in image.items()}

    def bytes_of_everything(self) -> bytes:
        """Return every byte that is durable: to search it for what must not be there."""
        parts: list[bytes] = []
        for rows in self._tables.values():
            for key, value in rows.items():
                parts += (key, value)
        return b"\n".join(parts)
