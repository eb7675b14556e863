"""A store that forgets: for tests of drivers, never for a node that promises durability.

Owns: one sorted list of keys and one dict a table. May not know: files, encryption.
Source: the port `comity.drivers.store.Store`.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, insort
from typing import TYPE_CHECKING

from comity.base.errors import StoreError
from comity.node.effects import Drop, Put, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MemoryStore"]


class MemoryStore:
    """Tables in memory. A drop or a new key costs O(rows of the table), a read O(log)."""

    __slots__ = ("_closed", "_keys", "_lock", "_values")

    def __init__(self) -> None:
        """Start empty."""
        self._lock = threading.Lock()
        self._closed = False
        self._keys: dict[Table, list[bytes]] = {table: [] for table in Table}
        self._values: dict[Table, dict[bytes, bytes]] = {table: {} for table in Table}

    def apply(self, changes: Sequence[Put | Drop]) -> None:
        """Make all changes."""
        with self._lock:
            self._check_open()
            for change in changes:
                keys, values = self._keys[change.table], self._values[change.table]
                if isinstance(change, Put):
                    if change.key not in values:
                        insort(keys, change.key)
                    values[change.key] = change.value
                elif change.key in values:
                    del values[change.key]
                    del keys[bisect_left(keys, change.key)]

    def read(
        self, table: Table, start: bytes, stop: bytes, rows_max: int
    ) -> tuple[tuple[bytes, bytes], ...]:
        """Return the rows with start <= key < stop in key order, at most `rows_max`."""
        assert rows_max > 0, rows_max
        with self._lock:
            self._check_open()
            keys, values = self._keys[table], self._values[table]
            first = bisect_left(keys, start)
            end = min(bisect_left(keys, stop), first + rows_max)
            return tuple((key, values[key]) for key in keys[first:end])

    def get(self, table: Table, key: bytes) -> bytes | None:
        """Return the value of one key, or None."""
        with self._lock:
            self._check_open()
            return self._values[table].get(key)

    def close(self) -> None:
        """Refuse every later call; safe to repeat."""
        with self._lock:
            self._closed = True

    def check(self) -> None:
        """Assert that the sorted keys are those of the values."""
        with self._lock:
            for table in Table:
                assert self._keys[table] == sorted(self._values[table]), table

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("the store in memory is closed: open another one", retry=False)
