"""A copied or restored store is told from the one that ran last, whatever crashed when."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from comity.base.errors import StoreError
from comity.crypto.sodium import Sodium
from comity.drivers.generation import FileWitness, GuardedStore, state_directory
from comity.drivers.sqlite_store import SqliteStore
from comity.drivers.store import Protection, StoreKey
from comity.drivers.system import SystemEntropy
from comity.node.effects import Put, Table
from comity.node.generation import Generation, begin, compare

if TYPE_CHECKING:
    from pathlib import Path

KEY = StoreKey(bytes(16), bytes(32), Protection.INSECURE)


class PowerCut(Exception):
    """The process ends here."""


class CutOff:
    """A store and a witness in one, which loses power after some number of writes."""

    def __init__(self, store: GuardedStore, witness: FileWitness, writes: int) -> None:
        self.store, self.witness, self.writes = store, witness, writes

    @property
    def generation(self) -> bytes:
        """Return the token inside."""
        return self.store.generation

    @property
    def written(self) -> int:
        """Return the count inside."""
        return self.store.written

    def counted(self, name: bytes) -> int:
        """Return the count outside."""
        return self.witness.counted(name)

    def count(self, name: bytes, writes: int) -> None:
        """Count outside."""
        self.witness.count(name, writes)

    def recall(self, name: bytes) -> bytes:
        """Return the tokens outside."""
        return self.witness.recall(name)

    def renew(self, generation: bytes) -> None:
        """Write inside, unless the power is gone."""
        self._spend()
        self.store.renew(generation)

    def remember(self, name: bytes, tokens: bytes) -> None:
        """Write outside, unless the power is gone."""
        self._spend()
        self.witness.remember(name, tokens)

    def _spend(self) -> None:
        if self.writes == 0:
            raise PowerCut
        self.writes -= 1


def opened(path: Path, witness: FileWitness) -> GuardedStore:
    """Open a store."""
    return GuardedStore(SqliteStore(path, KEY, Sodium(), SystemEntropy()), witness)


def start(path: Path, witness: FileWitness, *, anew: bool = False) -> Generation:
    """Open a store, compare, become a new device if it is a copy and that is asked for."""
    store = opened(path, witness)
    try:
        said = compare(store, witness, SystemEntropy())
        if anew and said is Generation.COPIED:
            begin(store, witness, SystemEntropy())
        return said
    finally:
        store.close()


def test_the_same_store_goes_on(tmp_path: Path) -> None:
    """A new store, then the same one, time after time, each with another token."""
    witness = FileWitness(tmp_path / "away" / "witness")
    seen: list[tuple[Generation, bytes]] = []
    for _ in range(4):
        said = start(tmp_path / "a.db", witness)
        (kept,) = witness.directory.iterdir()
        seen.append((said, kept.read_bytes()))
        assert kept.stat().st_mode & 0o777 == 0o600
    assert [said for said, _ in seen] == [Generation.NEW, *[Generation.SAME] * 3]
    assert len({token for _, token in seen}) == 4


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


def test_a_copy_and_its_original_live_side_by_side(tmp_path: Path) -> None:
    """Once a copy has begun anew, each is known on its own, by one witness."""
    path, copy, witness = tmp_path / "a.db", tmp_path / "c.db", FileWitness(tmp_path / "w")
    start(path, witness)
    shutil.copy(path, copy)
    start(path, witness)
    assert start(copy, witness, anew=True) is Generation.COPIED
    for _ in range(2):
        assert start(copy, witness) is Generation.SAME
        assert start(path, witness) is Generation.SAME


def test_a_backup_of_the_same_run_is_a_copy(tmp_path: Path) -> None:
    """It holds fewer writes than the witness has counted, though the token is the same."""
    path, witness = tmp_path / "a.db", FileWitness(tmp_path / "witness")
    store = opened(path, witness)
    compare(store, witness, SystemEntropy())
    row = Put(Table.CURSOR, b"here", b"1")
    store.apply([row])
    shutil.copy(path, tmp_path / "same.db")
    shutil.copy(f"{path}-wal", tmp_path / "same.db-wal")
    for _ in range(3):
        store.apply([row])
    shutil.copy(path, tmp_path / "older.db")
    shutil.copy(f"{path}-wal", tmp_path / "older.db-wal")
    store.apply([row])
    store.close()
    (tmp_path / "last.db").write_bytes(path.read_bytes())
    assert start(tmp_path / "older.db", witness) is Generation.COPIED
    assert start(tmp_path / "same.db", witness) is Generation.COPIED
    assert start(tmp_path / "last.db", witness) is Generation.SAME


def test_a_witness_that_fails_in_the_middle_stops_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What was asked for is durable; that copies may go unnoticed is said."""
    path, witness = tmp_path / "a.db", FileWitness(tmp_path / "witness")
    store = opened(path, witness)
    compare(store, witness, SystemEntropy())
    shutil.rmtree(witness.directory)
    store.apply([Put(Table.CURSOR, b"here", b"1")])
    assert store.get(Table.CURSOR, b"here") == b"1"
    assert "a copy of this store may not be recognised" in caplog.text
    store.close()


@pytest.mark.parametrize("writes", range(4))
@pytest.mark.parametrize("before", [0, 1])
def test_a_crash_at_any_write_does_not_make_it_a_copy(
    tmp_path: Path, writes: int, before: int
) -> None:
    """After the power was cut between any two writes the store is still itself."""
    path, witness = tmp_path / "a.db", FileWitness(tmp_path / "witness")
    for _ in range(before):
        start(path, witness)
    store = opened(path, witness)
    both = CutOff(store, witness, writes)
    if writes < 2 + before:
        with pytest.raises(PowerCut):
            compare(both, both, SystemEntropy())
    else:
        compare(both, both, SystemEntropy())
    store.close()
    assert start(path, witness) is not Generation.COPIED


@pytest.mark.parametrize("writes", range(2))
def test_a_crash_while_a_copy_begins_anew_leaves_it_a_copy(tmp_path: Path, writes: int) -> None:
    """Half a renewal is none: the next start finds a copy again, and begins again."""
    path, witness = tmp_path / "a.db", FileWitness(tmp_path / "witness")
    start(path, FileWitness(tmp_path / "elsewhere"))
    store = opened(path, witness)
    both = CutOff(store, witness, writes)
    with pytest.raises(PowerCut):
        begin(both, both, SystemEntropy())
    store.close()
    assert start(path, witness, anew=True) is Generation.COPIED
    assert start(path, witness) is Generation.SAME


def test_a_witness_that_cannot_be_kept_is_no_copy(tmp_path: Path) -> None:
    """An error of the file system is said, not taken for an answer."""
    (tmp_path / "file").write_bytes(b"")
    witness = FileWitness(tmp_path / "file")
    with pytest.raises(StoreError, match="tells this store from its copies"):
        start(tmp_path / "a.db", witness)


@pytest.mark.parametrize(
    ("told", "kept"),
    [("/away", "/away/comity"), ("", "/home/ann/.local/state/comity"), ("away", None)],
)
def test_the_state_of_a_user_is_where_the_system_says(
    monkeypatch: pytest.MonkeyPatch, told: str, kept: str | None
) -> None:
    """XDG_STATE_HOME if it is absolute, else under the home directory."""
    monkeypatch.setenv("HOME", "/home/ann")
    monkeypatch.setenv("XDG_STATE_HOME", told)
    assert str(state_directory()) == (kept or "/home/ann/.local/state/comity")
