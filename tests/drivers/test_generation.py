"""A copied or restored store is told from the one that ran last, whatever crashed when."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from comity.base.errors import StoreError
from comity.crypto.sodium import Sodium
from comity.drivers.generation import FileWitness, Generation, compare
from comity.drivers.sqlite_store import SqliteStore
from comity.drivers.store import Protection, StoreKey
from comity.drivers.system import SystemEntropy

if TYPE_CHECKING:
    from pathlib import Path

KEY = StoreKey(bytes(16), bytes(32), Protection.INSECURE)


class PowerCut(Exception):
    """The process ends here."""


class CutOff:
    """A store and a witness in one, which loses power after some number of writes."""

    def __init__(self, store: SqliteStore, witness: FileWitness, writes: int) -> None:
        self.store, self.witness, self.writes = store, witness, writes

    @property
    def generation(self) -> bytes:
        """Return the token inside."""
        return self.store.generation

    def recall(self) -> bytes:
        """Return the tokens outside."""
        return self.witness.recall()

    def renew(self, token: bytes) -> None:
        """Write inside, unless the power is gone."""
        self._spend()
        self.store.renew(token)

    def remember(self, tokens: bytes) -> None:
        """Write outside, unless the power is gone."""
        self._spend()
        self.witness.remember(tokens)

    def _spend(self) -> None:
        if self.writes == 0:
            raise PowerCut
        self.writes -= 1


def start(path: Path, witness: FileWitness) -> Generation:
    """Open a store, compare, close it."""
    store = SqliteStore(path, KEY, Sodium(), SystemEntropy())
    try:
        return compare(store, witness, SystemEntropy())
    finally:
        store.close()


def test_the_same_store_goes_on(tmp_path: Path) -> None:
    """A new store, then the same one, time after time, each with another token."""
    witness = FileWitness(tmp_path / "away" / "witness")
    seen = [(start(tmp_path / "a.db", witness), witness.recall()) for _ in range(4)]
    assert [said for said, _ in seen] == [Generation.NEW, *[Generation.SAME] * 3]
    assert len({token for _, token in seen}) == 4
    assert witness.path.stat().st_mode & 0o777 == 0o600


def test_a_restored_backup_and_a_copy_elsewhere_are_copies(tmp_path: Path) -> None:
    """An older file, or the file beside another witness or none, is refused for good."""
    path, witness = tmp_path / "a.db", FileWitness(tmp_path / "witness")
    start(path, witness)
    shutil.copy(path, tmp_path / "backup.db")
    assert start(path, witness) is Generation.SAME
    other = FileWitness(tmp_path / "other")
    start(tmp_path / "b.db", other)
    for _ in range(2):
        assert start(tmp_path / "backup.db", witness) is Generation.COPIED
        assert start(path, other) is Generation.COPIED
        assert start(path, FileWitness(tmp_path / "none")) is Generation.COPIED
    assert start(path, witness) is Generation.SAME


@pytest.mark.parametrize("writes", range(4))
@pytest.mark.parametrize("before", [0, 1])
def test_a_crash_at_any_write_does_not_make_it_a_copy(
    tmp_path: Path, writes: int, before: int
) -> None:
    """After the power was cut between any two writes the store is still itself."""
    path, witness = tmp_path / "a.db", FileWitness(tmp_path / "witness")
    for _ in range(before):
        start(path, witness)
    store = SqliteStore(path, KEY, Sodium(), SystemEntropy())
    both = CutOff(store, witness, writes)
    if writes < 3:
        with pytest.raises(PowerCut):
            compare(both, both, SystemEntropy())
    else:
        compare(both, both, SystemEntropy())
    store.close()
    assert start(path, witness) is not Generation.COPIED


def test_a_witness_that_cannot_be_read_is_no_copy(tmp_path: Path) -> None:
    """An error of the file system is said, not taken for an answer."""
    witness = FileWitness(tmp_path)
    with pytest.raises(StoreError, match="tells this store from its copies"):
        start(tmp_path / "a.db", witness)
