"""The store as a port: what a node keeps on disk, and where the files of a store lie.

Owns: the shape of a store, its key, the names and modes of the files in a store directory.
May not know: SQLite, locks, keyrings, sockets; what the rows mean.

    DIR 0700 / lock           who has the store open          `drivers.lock`
             / vault          the wrapped store key           `drivers.vault`
             / store.db[-wal] tables of `comity.node.effects`  `drivers.sqlite_store`
             / control.sock   commands to the running node    `drivers.control`
             / new            the store is being made, and may lack anything that it needs

The drivers know one another only through this module.
Source: ARCHITECTURE 'Who owns what' and invariant 3; issue 2, item 6.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from enum import StrEnum, unique
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn, Protocol

from comity.base.errors import StoreError, UsageError
from comity.node.effects import Drop, Put, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "CONTROL_FILE",
    "LOCK_FILE",
    "SECRET_TABLES",
    "STORE_FILE",
    "VAULT_FILE",
    "Held",
    "Making",
    "Protection",
    "Store",
    "StoreKey",
    "open_directory",
    "sync_directory",
]

LOCK_FILE: Final = "lock"
VAULT_FILE: Final = "vault"
STORE_FILE: Final = "store.db"
CONTROL_FILE: Final = "control.sock"
_NEW_FILE: Final = "new"

SECRET_TABLES: Final = (
    Table.SECRET,
    Table.TOPIC,
    Table.DRAFT,
    Table.STRANDED,
    Table.GRANT,
    Table.EDGE,
    Table.OUTBOX,
    Table.ROUTE,
    Table.EPOCH,
    Table.INVITE,
)
"""Tables whose values are encrypted under the store key: device keys, the types of actors,
content keys, invites, keys of mailboxes, and the operations of drafts, which are plaintext
until they are sealed. Keys of rows are not: they are identifiers and numbers, never content."""

_OTHERS: Final = 0o077


class Store(Protocol):
    """Ordered maps from bytes to bytes, one a table; one owner, calls from any thread."""

    def apply(self, changes: Sequence[Put | Drop]) -> None:
        """Make all changes durable, or none; of two to one key the later counts.

        Raises: `StoreError`; with `retry` nothing was kept and the same call may succeed.
        """
        ...

    def read(
        self, table: Table, start: bytes, stop: bytes, rows_max: int
    ) -> tuple[tuple[bytes, bytes], ...]:
        """Return the rows with start <= key < stop in key order, at most `rows_max`."""
        ...

    def get(self, table: Table, key: bytes) -> bytes | None:
        """Return the value of one key, or None."""
        ...

    def close(self) -> None:
        """Give up files and memory; safe to repeat."""
        ...


class Held(Protocol):
    """Proof that this process alone has the store open."""

    @property
    def held(self) -> bool:
        """Whether it still has."""
        ...


@unique
class Protection(StrEnum):
    """What keeps the store key from whoever takes the disk."""

    KEYRING = "keyring"
    PASSPHRASE = "passphrase"
    INSECURE = "insecure"


@dataclass(frozen=True, slots=True, eq=False)
class StoreKey:
    """The key that secret tables are encrypted under; it never shows in a text.

    instance: 16 bytes, names the store; public. key: 32 bytes. protection: to be announced
    by the owner if it is `INSECURE`.
    """

    instance: bytes
    key: bytes = field(repr=False)
    protection: Protection

    def __post_init__(self) -> None:
        """Check the shapes."""
        assert len(self.instance) == 16
        assert len(self.key) == 32


class Making:
    """Whether the store in a directory is being made, also by a process that crashed at it.

        nothing --begin--> new --the first rows are durable: end--> made

    A store that is made has its rows. Where they are gone, an empty new one in their place
    would hide the loss, under a new device key.
    """

    __slots__ = ("_directory", "is_new")

    def __init__(self, directory: Path) -> None:
        """Begin, unless there is a store. Raises: StoreError if what is there lacks a part."""
        self._directory = directory
        new, rows = directory / _NEW_FILE, directory / STORE_FILE
        if not (directory / VAULT_FILE).exists() and not rows.exists():
            new.touch(mode=0o600)
            sync_directory(directory)
        self.is_new = new.exists()
        if not self.is_new and (not rows.exists() or rows.stat().st_size == 0):
            self.refuse("missing" if not rows.exists() else "empty")

    def refuse(self, what: str) -> NoReturn:
        """Raise: the rows of this store are not there."""
        raise StoreError(
            f"{self._directory / STORE_FILE} is {what}, beside the vault of a store that was "
            f"made: put it back, or name another directory to begin as a new device",
            retry=False,
        )

    def end(self) -> None:
        """Say that the first rows are durable; safe to repeat."""
        if self.is_new:
            (self._directory / _NEW_FILE).unlink(missing_ok=True)
            sync_directory(self._directory)
            self.is_new = False


def open_directory(path: Path) -> Path:
    """Make the directory of a store, or check it: ours, and closed to everybody else.

    An empty directory is closed (0700) here; one with files in it is left as it is, since
    shutting others out of it may not be what its owner wants.

    Raises: `UsageError` if it is no directory, somebody else's, or open to others;
    `StoreError` if it cannot be made.
    """
    path = path.expanduser().absolute()
    try:
        if not path.exists():
            path.mkdir(mode=0o700, parents=True)
            path.chmod(0o700)  # a narrow umask may have taken bits that we need
            sync_directory(path.parent)
        elif not path.is_dir():
            raise UsageError(f"{path} is a file: name a directory for the store")
        status = path.stat()
        if status.st_uid != os.geteuid():
            raise UsageError(
                f"the store directory {path} belongs to user {status.st_uid}, and this "
                f"process runs as {os.geteuid()}: run it as its owner or name another one"
            )
        if status.st_mode & _OTHERS:
            if any(path.iterdir()):
                raise UsageError(
                    f"the store directory {path} is open to other users "
                    f"(mode {status.st_mode & 0o777:o}): run `chmod 700 {path}`, or name "
                    f"another directory"
                )
            path.chmod(0o700)
    except OSError as error:
        raise StoreError(
            f"cannot open the store directory {path}: {error.strerror}; "
            f"name a directory that you may write to",
            retry=False,
        ) from error
    return path


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable: files made, renamed or deleted in it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
