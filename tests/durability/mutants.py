"""Planted bugs: each breaks one promise about the disk, and every one must be caught.

Owns: what is patched, in a process that does nothing else. May not know: how it is caught.
Nothing of this is in the runtime: a recorded process is told the name of its mutant.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Final
from weakref import WeakKeyDictionary

from comity.base.clock import Wall
from comity.drivers.host import Host
from comity.drivers.sqlite_store import SqliteStore
from comity.node import rows
from comity.node.core import Event
from comity.node.effects import Drop, Effect, Put, Read, Table, Write
from comity.node.events import Stored

__all__ = ["MUTANTS"]


def _synchronous(level: str) -> None:
    """Have SQLite sync less than it was told to."""
    as_it_was = SqliteStore._check_key

    def check_key(self: SqliteStore, connection: sqlite3.Connection) -> None:
        as_it_was(self, connection)
        connection.execute(f"PRAGMA synchronous={level}")

    _put(SqliteStore, "_check_key", check_key)


def _answer_before_commit() -> None:
    """Take a write for stored at once, and write it before the host waits again."""
    act, wait, close, write = Host._act, Host._wait, Host.close, Host._write
    late: WeakKeyDictionary[Host, list[Write]] = WeakKeyDictionary()

    def write_late(self: Host) -> None:
        for each in late.pop(self, ()):
            write(self, each)

    def acted(self: Host, effect: Effect) -> Event | None:
        if isinstance(effect, Write):
            late.setdefault(self, []).append(effect)
            return Stored(effect.token)
        if isinstance(effect, Read):
            write_late(self)
        return act(self, effect)

    def waited(self: Host) -> list[Event]:
        write_late(self)
        return wait(self)

    def closed(self: Host) -> None:
        close(self)
        write_late(self)

    _put(Host, "_act", acted)
    _put(Host, "_wait", waited)
    _put(Host, "close", closed)


def _apart(first: type[Put | Drop]) -> None:
    """Make two transactions of each: one of all puts and one of all drops."""
    apply = SqliteStore.apply

    def applied(self: SqliteStore, changes: Sequence[Put | Drop]) -> None:
        final = {(each.table, each.key): each for each in changes}.values()
        apply(self, [each for each in final if isinstance(each, first)])
        apply(self, [each for each in final if not isinstance(each, first)])

    _put(SqliteStore, "apply", applied)


def _drafts_dropped_late() -> None:
    """Delete drafts in a transaction after the one that stores their commit.

    Alone that does no harm: recovery seals the same bytes, and knows the commit.
    """
    _drafts_unlike_their_commit()
    _apart(Put)


def _drafts_unlike_their_commit() -> None:
    """Write drafts that say another time than their commit does: other bytes are sealed."""
    encode = rows.encode_draft

    def encoded(row: rows.DraftRow) -> bytes:
        return encode(replace(row, wall=Wall(row.wall + 1)))

    _put(rows, "encode_draft", encoded)


def _push_before_stored() -> None:
    """Show commits to who reads the store, to push them, one write before they are stored.

    Alone that does no harm: drafts are on the disk, from which recovery seals the same bytes.
    """
    _drafts_unlike_their_commit()
    apply, read, close = SqliteStore.apply, SqliteStore.read, SqliteStore.close
    late: dict[Path, list[Put | Drop]] = {}

    def applied(self: SqliteStore, changes: Sequence[Put | Drop]) -> None:
        before = late.pop(self.path, [])
        sealed = any(isinstance(each, Drop) and each.table is Table.DRAFT for each in changes)
        apply(self, [*before, *(() if sealed else changes)])
        if sealed:
            late[self.path] = list(changes)

    def seen(
        self: SqliteStore, table: Table, start: bytes, stop: bytes, rows_max: int
    ) -> tuple[tuple[bytes, bytes], ...]:
        found = dict(read(self, table, start, stop, rows_max))
        for change in late.get(self.path, ()):
            if change.table is table and start <= change.key < stop:
                assert isinstance(change, Put), "drafts are dropped and never read like this"
                found[change.key] = change.value
        return tuple(sorted(found.items())[:rows_max])

    def closed(self: SqliteStore) -> None:
        if self.path in late:
            applied(self, ())
        close(self)

    _put(SqliteStore, "apply", applied)
    _put(SqliteStore, "read", seen)
    _put(SqliteStore, "close", closed)


def _put(owner: type | ModuleType, name: str, function: Callable[..., object]) -> None:
    setattr(owner, name, function)


_LOST: Final = "an acknowledged entry is gone"

MUTANTS: Final[dict[str, tuple[Callable[[], None], str]]] = {
    "synchronous=OFF": (lambda: _synchronous("OFF"), "the actor that was founded is gone"),
    "synchronous=NORMAL": (lambda: _synchronous("NORMAL"), _LOST),
    "answer before commit": (_answer_before_commit, _LOST),
    "push before stored": (_push_before_stored, "a commit that a peer has is gone"),
    "drafts dropped before the commit": (lambda: _apart(Drop), _LOST),
    "drafts dropped after the commit": (_drafts_dropped_late, "a turn counts twice"),
}
"""By name: what plants it, and what must be found wrong because of it."""
