"""What tells a store from its copies, in files: the witness outside, the count inside.

Owns: the files of a witness, and a store that counts its writes for it. May not know: what is
compared, and what follows (`node.generation`).
Source: PROTOCOL section 1 (store-generation secret); decision 12.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from comity.base.errors import StoreError
from comity.drivers.store import Store, sync_directory
from comity.node.effects import Drop, Put, Table
from comity.node.generation import NAME_BYTES, TOKEN_BYTES, Witness

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Copied", "FileWitness", "GuardedStore", "state_directory"]

_log = logging.getLogger("comity.store")

_WRITES: Final = b"writes"
"""A row of `Table.META` that the core does not know."""

_COUNT_BYTES: Final = 8


class Copied(Store, Protocol):
    """A store that a copy of it shares name and token with."""

    @property
    def generation(self) -> bytes:
        """The name and the token, or nothing in a new store."""
        ...

    def renew(self, generation: bytes) -> None:
        """Make another name and token durable."""
        ...


class FileWitness:
    """Tokens in files of a directory outside of any store; its owner says which one."""

    __slots__ = ("directory",)

    def __init__(self, directory: Path) -> None:
        """Name the directory; it is made when it is needed."""
        self.directory = directory

    def recall(self, name: bytes) -> bytes:
        """Return what was kept; nothing if it was never here."""
        path = self._path(name)
        try:
            return path.read_bytes()[: 2 * TOKEN_BYTES]
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise self._failed("read", path, error) from error

    def remember(self, name: bytes, tokens: bytes) -> None:
        """Make the tokens durable, instead of the old ones."""
        path = self._path(name)
        beside = path.with_name(path.name + ".new")
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(tokens)
                file.flush()
                os.fsync(file.fileno())
            beside.rename(path)
            sync_directory(self.directory)
        except OSError as error:
            raise self._failed("write", path, error) from error

    def counted(self, name: bytes) -> int:
        """Return how many writes are known of; 0 if it was never said."""
        path = self._count_path(name)
        try:
            return int.from_bytes(path.read_bytes()[:_COUNT_BYTES], "big")
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise self._failed("read", path, error) from error

    def count(self, name: bytes, writes: int) -> None:
        """Note that so many writes are durable, without waiting for this to be so itself."""
        path = self._count_path(name)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
            try:
                os.pwrite(descriptor, writes.to_bytes(_COUNT_BYTES, "big"), 0)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise self._failed("write", path, error) from error

    def _path(self, name: bytes) -> Path:
        return self.directory / name.hex()

    def _count_path(self, name: bytes) -> Path:
        return self.directory / f"{name.hex()}.writes"

    def _failed(self, verb: str, path: Path, error: OSError) -> StoreError:
        return StoreError(
            f"cannot {verb} {path}, which tells this store from its copies: "
            f"{error.strerror}; check its owner and mode, or set XDG_STATE_HOME to a directory "
            f"that stays, and that backups of the store leave out",
            retry=False,
        )


class GuardedStore:
    """A store that counts its writes, inside and outside. A `Store` and `Generational`."""

    __slots__ = ("_name", "_store", "_witness", "_writes")

    def __init__(self, store: Copied, witness: Witness) -> None:
        """Go on from the count that the store holds.

        Nothing is counted outside before `renew`: until then it may be a copy, under the name
        of a store whose count is another.
        """
        self._store = store
        self._witness = witness
        self._name = b""
        found = store.get(Table.META, _WRITES)
        self._writes = 0 if found is None else int.from_bytes(found, "big")

    @property
    def generation(self) -> bytes:
        """The name and the token."""
        return self._store.generation

    @property
    def written(self) -> int:
        """How many writes it has made."""
        return self._writes

    def renew(self, generation: bytes) -> None:
        """Make another name and token durable."""
        self._store.renew(generation)
        self._name = generation[:NAME_BYTES]

    def apply(self, changes: Sequence[Put | Drop]) -> None:
        """Make all changes durable, or none. A witness that fails only sees less."""
        writes = self._writes + 1
        count = Put(Table.META, _WRITES, writes.to_bytes(_COUNT_BYTES, "big"))
        self._store.apply((*changes, count))
        self._writes = writes
        if not self._name:
            return
        try:
            self._witness.count(self._name, writes)
        except StoreError as error:
            _log.warning("a copy of this store may not be recognised: %s", error)

    def read(
        self, table: Table, start: bytes, stop: bytes, rows_max: int
    ) -> tuple[tuple[bytes, bytes], ...]:
        """Return rows in key order."""
        return self._store.read(table, start, stop, rows_max)

    def get(self, table: Table, key: bytes) -> bytes | None:
        """Return the value of one key, or None."""
        return self._store.get(table, key)

    def close(self) -> None:
        """Close the store; safe to repeat."""
        self._store.close()


def state_directory() -> Path:
    """Return where witnesses are kept: the state directory of this user, by the XDG rules."""
    told = os.environ.get("XDG_STATE_HOME", "")
    base = Path(told) if told.startswith("/") else Path.home() / ".local" / "state"
    return base / "comity"
