"""The store on SQLite: one table of bytes to bytes for each table of the core.

Owns: the file `store.db`, its durability, and the encryption of secret rows. May not know:
what rows mean, who asks, where the store key comes from.

    absent or empty --create--> open --apply, read--> open --close--> closed
                                  | a sync failed, a page is corrupt
                                  v
                               broken: every call raises until the file is opened anew

Durable: WAL with synchronous=FULL, so that a commit returns after its fsync. A failed fsync
leaves the disk in a state that nobody knows (Rebello et al. 2020, 'Can Applications Recover
from fsync Failures?'), so it breaks the store; a full disk does not: the commit frame was
not written, nothing is half-applied, and the same call may succeed later.
Locked: locking_mode=EXCLUSIVE keeps every other process out even if it ignores
`drivers.lock`, and needs no shared memory file.
Checked on opening: the header, the tables, the key, and SQLite's quick_check while the file
is at most `QUICK_CHECK_BYTES_MAX`; beyond it pages are checked when they are read, and
`check` reads them all. Flipped bits inside a value show above: commits are hashed and
signed, secret rows are authenticated.
Secret rows: value = nonce (24) || XChaCha20-Poly1305(store key, value, table NUL key). The
nonce is random: 192 bits never collide, equal values do not show, and no counter can be
rolled back by restoring a file. The key of the row is authenticated, so rows cannot be
swapped; an older value of the same row can be put back, which `drivers.generation` detects.
Source: ARCHITECTURE invariants 3 and 4; sqlite.org/wal.html, /pragma.html, /fileformat.html.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from typing import TYPE_CHECKING, Final

from comity.base.errors import StoreError
from comity.drivers.store import SECRET_TABLES, StoreKey, sync_directory
from comity.node.effects import Drop, Put, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from comity.base.ports import Entropy
    from comity.crypto.port import Crypto

__all__ = ["APPLICATION_ID", "QUICK_CHECK_BYTES_MAX", "SCHEMA", "SqliteStore"]

APPLICATION_ID: Final = 0x434D5459
"""'CMTY' in the header of the file: other databases are refused before they are touched."""

SCHEMA: Final = 2
"""Layout of the file. Tables may be added under the same number; a change of what is there
takes a new one, and older programs then refuse the file: since 2 commits may lie in runs,
where a program of layout 1 would find them gone."""

QUICK_CHECK_BYTES_MAX: Final = 64 * 1024 * 1024
"""quick_check reads the whole file, 2 ms a MiB from memory: 130 ms at this size. Twice as
much would make a start feel slow; half would leave ordinary stores unchecked."""

_BUSY_SECONDS: Final = 5.0
"""Wait for a stranger's lock on the file, for example of a backup program."""

_CHECKPOINT_PAGES: Final = 4000
"""WAL pages before they move to the main file: 16 MiB. Half doubles how often a write waits
for it; twice makes the file and the recovery after a crash longer."""

_MAGIC: Final = b"SQLite format 3\0"
_HEADER_BYTES: Final = 100
_NONCE_BYTES: Final = 24
_CHECK_AAD: Final = b"comity/store/check"
_PROPERTIES: Final = "comity"
_VALUE: Final = "CAST(value AS BLOB)"  # a file that was tampered with may hold other types
_ROW: Final = f"CAST(key AS BLOB), {_VALUE}"


class SqliteStore:
    """Tables in one file; implements `Store`. Calls from any thread, one at a time."""

    __slots__ = ("_broken", "_connection", "_crypto", "_entropy", "_key", "_lock", "path")

    def __init__(self, path: Path, key: StoreKey, crypto: Crypto, entropy: Entropy) -> None:
        """Open the file, or make it; its directory exists and is locked by this process.

        Raises: `StoreError` that names the file and the fix: foreign, corrupt, made with
        another key or by a newer Comity, in use, or not writable.
        """
        self.path = path
        self._key = key
        self._crypto = crypto
        self._entropy = entropy
        self._lock = threading.Lock()
        self._broken = ""
        self._connection: sqlite3.Connection | None = None
        bytes_before = _prepare(path)
        try:
            self._connection = sqlite3.connect(
                path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._open(bytes_before)
        except sqlite3.Error as error:
            failure = self._failure(error)
            self.close()
            raise failure from error
        except BaseException:
            self.close()
            raise

    def apply(self, changes: Sequence[Put | Drop]) -> None:
        """Make all changes durable, or none; of two to one key the later counts.

        Raises: `StoreError`; with `retry` nothing was kept and the same call may succeed.
        """
        final: dict[Table, dict[bytes, bytes | None]] = {}
        for change in changes:
            value = change.value if isinstance(change, Put) else None
            final.setdefault(change.table, {})[change.key] = value
        with self._lock:
            connection = self._usable()
            if not final:
                return
            try:
                connection.execute("BEGIN IMMEDIATE")
                for table, rows in final.items():
                    self._write(connection, table, rows)
                connection.execute("COMMIT")
            except sqlite3.Error as error:
                raise self._failure(error) from error
            finally:
                self._abandon(connection)

    def read(
        self, table: Table, start: bytes, stop: bytes, rows_max: int
    ) -> tuple[tuple[bytes, bytes], ...]:
        """Return the rows with start <= key < stop in key order, at most `rows_max`."""
        assert rows_max > 0, rows_max
        with self._lock:
            connection = self._usable()
            try:
                rows: list[tuple[bytes, bytes]] = connection.execute(
                    f'SELECT {_ROW} FROM "{table.value}" '  # noqa: S608 - a closed enum
                    f"WHERE key >= ? AND key < ? ORDER BY key LIMIT ?",
                    (start, stop, rows_max),
                ).fetchall()
            except sqlite3.Error as error:
                raise self._failure(error) from error
        if table not in SECRET_TABLES:
            return tuple(rows)
        return tuple((key, self._unseal(table, key, value)) for key, value in rows)

    def get(self, table: Table, key: bytes) -> bytes | None:
        """Return the value of one key, or None."""
        with self._lock:
            connection = self._usable()
            try:
                row: tuple[bytes] | None = connection.execute(
                    f'SELECT {_VALUE} FROM "{table.value}" WHERE key = ?',  # noqa: S608 - the same
                    (key,),
                ).fetchone()
            except sqlite3.Error as error:
                raise self._failure(error) from error
        if row is None:
            return None
        return self._unseal(table, key, row[0]) if table in SECRET_TABLES else row[0]

    @property
    def generation(self) -> bytes:
        """What tells this store from a copy; see `drivers.generation`."""
        with self._lock:
            return self._properties(self._usable()).get("generation", b"")

    def renew(self, generation: bytes) -> None:
        """Make another generation durable. Raises: `StoreError` as `apply`."""
        with self._lock:
            connection = self._usable()
            try:
                connection.execute(
                    f"REPLACE INTO {_PROPERTIES} VALUES ('generation', ?)",  # noqa: S608
                    (generation,),
                )
            except sqlite3.Error as error:
                raise self._failure(error) from error
            finally:
                self._abandon(connection)

    def check(self) -> None:
        """Read every page and decrypt every secret row; 2 ms a MiB and 6 us a secret row.

        Raises: `StoreError` that names what is corrupt.
        """
        with self._lock:
            connection = self._usable()
            try:
                self._check_pages(connection, "integrity_check")
                for table in SECRET_TABLES:
                    for key, value in connection.execute(
                        f'SELECT {_ROW} FROM "{table.value}"'  # noqa: S608 - the same
                    ):
                        self._unseal(table, key, value)
            except sqlite3.Error as error:
                raise self._failure(error) from error

    def close(self) -> None:
        """Close the file; safe to repeat. Whatever `apply` returned from stays durable."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def _open(self, bytes_before: int) -> None:
        """Check the file and lay it out if it is new; nothing foreign is written to."""
        connection = self._usable()
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (schema,) = connection.execute("PRAGMA user_version").fetchone()
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
        if application != APPLICATION_ID and (application or names):
            raise _foreign(self.path)
        if schema > SCHEMA:
            raise StoreError(
                f"{self.path} has layout {schema}, and this Comity knows up to {SCHEMA}: "
                f"it was written by a newer one; install that",
                retry=False,
            )
        if bytes_before <= QUICK_CHECK_BYTES_MAX:
            self._check_pages(connection, "quick_check")
        connection.execute("PRAGMA journal_mode=WAL")
        (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
        if mode != "wal":
            raise StoreError(
                f"SQLite cannot keep a write-ahead log beside {self.path}: "
                f"keep the store on a local disk",
                retry=False,
            )
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit={_CHECKPOINT_PAGES * 4096}")
        connection.execute("PRAGMA cache_size=-16000")
        if not names.issuperset((_PROPERTIES, *Table)):
            self._lay_out(connection, names)
        self._check_key(connection)

    def _lay_out(self, connection: sqlite3.Connection, names: set[str]) -> None:
        """Make the tables that are absent, all in one transaction."""
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version={SCHEMA}")
            for table in Table:
                connection.execute(
                    f'CREATE TABLE IF NOT EXISTS "{table.value}" '
                    f"(key BLOB PRIMARY KEY NOT NULL, value BLOB NOT NULL) WITHOUT ROWID"
                )
            if _PROPERTIES not in names:
                connection.execute(
                    f"CREATE TABLE {_PROPERTIES} "
                    f"(name TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL) WITHOUT ROWID"
                )
                nonce = self._entropy.draw(_NONCE_BYTES)
                sealed = nonce + self._crypto.seal(self._key.key, nonce, b"", _CHECK_AAD)
                connection.executemany(
                    f"INSERT INTO {_PROPERTIES} VALUES (?, ?)",  # noqa: S608 - a constant
                    (("instance", self._key.instance), ("key_check", sealed)),
                )
            connection.execute("COMMIT")
        finally:
            self._abandon(connection)
        sync_directory(self.path.parent)

    def _check_key(self, connection: sqlite3.Connection) -> None:
        """Make sure that the store key is the one that the file was made with."""
        found = self._properties(connection)
        sealed = found.get("key_check", b"")
        nonce, rest = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        if len(nonce) < _NONCE_BYTES or (
            self._crypto.open(self._key.key, nonce, rest, _CHECK_AAD) is None
        ):
            raise StoreError(
                f"the store key does not fit {self.path} (store "
                f"{found.get('instance', b'').hex()}, key of {self._key.instance.hex()}): "
                f"restore the vault and the store from the same copy",
                retry=False,
            )

    def _properties(self, connection: sqlite3.Connection) -> dict[str, bytes]:
        try:
            return dict(
                connection.execute(f"SELECT name, {_VALUE} FROM {_PROPERTIES}")  # noqa: S608
            )
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def _check_pages(self, connection: sqlite3.Connection, how: str) -> None:
        (verdict,) = connection.execute(f"PRAGMA {how}(1)").fetchone()
        if verdict != "ok":
            detail = " ".join(str(verdict).split())  # it comes in several lines
            self._broken = f"corrupt: {detail}"
            raise _corrupt(self.path, detail)

    def _write(
        self, connection: sqlite3.Connection, table: Table, rows: dict[bytes, bytes | None]
    ) -> None:
        """Write the last word on each key of one table, inside the transaction."""
        dropped = [(key,) for key, value in rows.items() if value is None]
        if dropped:
            connection.executemany(
                f'DELETE FROM "{table.value}" WHERE key = ?',  # noqa: S608 - a closed enum
                dropped,
            )
        if len(dropped) < len(rows):
            connection.executemany(
                f'REPLACE INTO "{table.value}" VALUES (?, ?)',  # noqa: S608 - the same
                self._sealed(table, rows) if table in SECRET_TABLES else _kept(rows),
            )

    def _sealed(
        self, table: Table, rows: dict[bytes, bytes | None]
    ) -> Iterator[tuple[bytes, bytes]]:
        for key, value in _kept(rows):
            nonce = self._entropy.draw(_NONCE_BYTES)
            sealed = self._crypto.seal(self._key.key, nonce, value, _aad(table, key))
            yield key, nonce + sealed

    def _unseal(self, table: Table, key: bytes, value: bytes) -> bytes:
        nonce, sealed = value[:_NONCE_BYTES], value[_NONCE_BYTES:]
        plain = None
        if len(nonce) == _NONCE_BYTES:
            plain = self._crypto.open(self._key.key, nonce, sealed, _aad(table, key))
        if plain is None:
            raise _corrupt(self.path, f"row {key.hex()} of {table.value} does not decrypt")
        return plain

    def _usable(self) -> sqlite3.Connection:
        if self._broken:
            raise StoreError(
                f"the store {self.path} stopped after an error ({self._broken}): check the "
                f"disk, then restart the node",
                retry=False,
            )
        if self._connection is None:
            raise StoreError(f"the store {self.path} is closed: open it again", retry=False)
        return self._connection

    def _abandon(self, connection: sqlite3.Connection) -> None:
        """Roll back what is still open after an error or an interrupt."""
        if not connection.in_transaction:
            return
        try:
            connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            self._broken = f"cannot roll back: {error}"

    def _failure(self, error: sqlite3.Error) -> StoreError:
        """Translate SQLite's error; break the store if what is on disk is not known."""
        code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        match code & 0xFF:
            case sqlite3.SQLITE_FULL:
                return _full(self.path, error)
            case sqlite3.SQLITE_IOERR if code == sqlite3.SQLITE_IOERR_WRITE:
                return _full(self.path, error)  # file size limit or quota: not written either
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                return StoreError(
                    f"{self.path} is locked by another program ({error}): "
                    f"close what reads it, a backup or a database browser",
                    retry=True,
                )
            case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
                self._broken = f"corrupt: {error}"
                return _corrupt(self.path, str(error))
            case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
                return StoreError(
                    f"cannot write to {self.path} ({error}): check the owner and mode of "
                    f"the file and its directory, and that the disk is not read-only",
                    retry=False,
                )
            case _:
                self._broken = str(error)
                return StoreError(
                    f"the disk failed under {self.path} ({error}): what the last call wrote "
                    f"may or may not be there; check the disk, then restart the node",
                    retry=False,
                )


def _prepare(path: Path) -> int:
    """Make the file with mode 0600 or check its header; return its size in bytes."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            status = os.fstat(descriptor)
            if status.st_mode & 0o077:
                os.fchmod(descriptor, 0o600)
            header = os.pread(descriptor, _HEADER_BYTES, 0)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StoreError(
            f"cannot open {path}: {error.strerror}; check the owner and mode of the file "
            f"and its directory",
            retry=False,
        ) from error
    if header and not header.startswith(_MAGIC):
        raise _corrupt(path, "it does not begin as a SQLite database does")
    # 0 may be a store whose first transaction is still in the log beside it
    if int.from_bytes(header[68:72], "big") not in {0, APPLICATION_ID}:
        raise _foreign(path)
    return status.st_size


def _aad(table: Table, key: bytes) -> bytes:
    return b"%b\0%b" % (table.value.encode(), key)


def _kept(rows: dict[bytes, bytes | None]) -> Iterator[tuple[bytes, bytes]]:
    return ((key, value) for key, value in rows.items() if value is not None)


def _foreign(path: Path) -> StoreError:
    return StoreError(
        f"{path} is a database of another program, it was left as it is: "
        f"name another directory for the store",
        retry=False,
    )


def _corrupt(path: Path, detail: str) -> StoreError:
    return StoreError(
        f"{path} is not a store of Comity, or it is corrupt ({detail}); it was left as it "
        f"is: move it away with the files beside it, and join again as a new device",
        retry=False,
    )


def _full(path: Path, error: sqlite3.Error) -> StoreError:
    return StoreError(
        f"no room left for {path} ({error}): free space on its disk, or raise the quota or "
        f"file size limit; nothing of the last write was kept",
        retry=True,
    )
