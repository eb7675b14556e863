"""What every store promises: one suite, run on every implementation of the port."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comity.base.errors import StoreError, UsageError
from comity.crypto.sodium import Sodium
from comity.drivers.memory_store import MemoryStore
from comity.drivers.sqlite_store import SqliteStore
from comity.drivers.store import Protection, Store, StoreKey, open_directory
from comity.drivers.system import SystemEntropy
from comity.node.effects import Drop, Put, Table

if TYPE_CHECKING:
    from collections.abc import Generator

KINDS = ("memory", "sqlite")
KEY = StoreKey(bytes(16), bytes(32), Protection.INSECURE)
TABLES = (Table.META, Table.COMMIT, Table.SECRET)  # plain and encrypted ones


@contextmanager
def opened(kind: str) -> Generator[MemoryStore | SqliteStore]:
    """Give an empty store of a kind."""
    with tempfile.TemporaryDirectory() as directory:
        store: MemoryStore | SqliteStore
        if kind == "memory":
            store = MemoryStore()
        else:
            store = SqliteStore(Path(directory, "store.db"), KEY, Sodium(), SystemEntropy())
        try:
            yield store
        finally:
            store.close()


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest) -> Generator[Store]:
    """Give an empty store of every kind."""
    with opened(str(request.param)) as store:
        yield store


def test_a_put_is_read_and_a_drop_is_not(store: Store) -> None:
    """`get` and `read` see what was put last, and nothing that was dropped."""
    for table in Table:
        store.apply([Put(table, b"k", b"1"), Put(table, b"l", b"")])
        store.apply([Put(table, b"k", b"2"), Drop(table, b"absent")])
        assert store.get(table, b"k") == b"2"
        assert store.read(table, b"", b"\xff", 10) == ((b"k", b"2"), (b"l", b""))
        store.apply([Drop(table, b"k")])
        assert store.get(table, b"k") is None
        assert store.read(table, b"", b"\xff", 10) == ((b"l", b""),)


def test_of_two_changes_to_one_key_the_later_counts(store: Store) -> None:
    """The order inside one call is kept, whatever the kinds of change."""
    table = Table.META
    store.apply([Put(table, b"a", b"1"), Drop(table, b"a"), Drop(table, b"b")])
    store.apply([Drop(table, b"b"), Put(table, b"b", b"1"), Put(table, b"b", b"2")])
    assert store.read(table, b"", b"\xff", 10) == ((b"b", b"2"),)


def test_bounds_are_half_open_in_order_of_bytes(store: Store) -> None:
    """A range has its start and not its stop; keys are ordered as bytes; rows are bounded."""
    keys = [b"", b"\0", b"\0\0", b"a", b"a\0", b"b", b"\x7f", b"\x80", b"\xff", b"\xff\xff"]
    store.apply([Put(Table.COMMIT, key, key) for key in reversed(keys)])
    read = store.read
    assert [key for key, _ in read(Table.COMMIT, b"", b"\xff" * 9, 100)] == keys
    assert [key for key, _ in read(Table.COMMIT, b"a", b"b", 100)] == [b"a", b"a\0"]
    assert read(Table.COMMIT, b"b", b"a", 100) == ()
    assert read(Table.COMMIT, b"", b"", 100) == ()
    assert [key for key, _ in read(Table.COMMIT, b"a", b"\xff" * 9, 2)] == [b"a", b"a\0"]
    assert len(read(Table.COMMIT, b"", b"\xff" * 9, 1 << 62)) == len(keys)


def test_tables_do_not_share_keys(store: Store) -> None:
    """The same key in two tables is two rows."""
    store.apply([Put(table, b"k", table.value.encode()) for table in Table])
    for table in Table:
        assert store.read(table, b"", b"\xff", 10) == ((b"k", table.value.encode()),)


def test_a_closed_store_refuses(store: Store) -> None:
    """After `close` every call raises, and closing again does not."""
    store.close()
    store.close()
    for call in (
        lambda: store.apply([]),
        lambda: store.get(Table.META, b"k"),
        lambda: store.read(Table.META, b"", b"k", 1),
    ):
        with pytest.raises(StoreError, match="closed"):
            call()


KEYS = st.binary(max_size=3)
CHANGES = st.one_of(
    st.builds(Put, st.sampled_from(TABLES), KEYS, st.binary(max_size=40)),
    st.builds(Drop, st.sampled_from(TABLES), KEYS),
)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=30, deadline=None)
@given(
    calls=st.lists(st.lists(CHANGES, max_size=12), max_size=6),
    ranges=st.lists(st.tuples(KEYS, KEYS, st.integers(1, 5)), max_size=6),
)
def test_it_equals_a_dict(
    kind: str, calls: list[list[Put | Drop]], ranges: list[tuple[bytes, bytes, int]]
) -> None:
    """Any changes leave what they leave in a dict, and any range reads the same."""
    twin: dict[Table, dict[bytes, bytes]] = {table: {} for table in TABLES}
    with opened(kind) as store:
        for call in calls:
            store.apply(call)
            for change in call:
                if isinstance(change, Put):
                    twin[change.table][change.key] = change.value
                else:
                    twin[change.table].pop(change.key, None)
        for table, rows in twin.items():
            for start, stop, rows_max in [*ranges, (b"", b"\xff" * 9, 1000)]:
                wanted = [row for row in sorted(rows.items()) if start <= row[0] < stop]
                assert store.read(table, start, stop, rows_max) == tuple(wanted[:rows_max])
        store.check()


def test_the_directory_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    """A new directory and an empty one end as 0700."""
    new = open_directory(tmp_path / "a" / "b")
    empty = tmp_path / "empty"
    empty.mkdir(mode=0o755)
    empty.chmod(0o755)
    assert open_directory(empty) == empty
    assert (new.stat().st_mode & 0o777, empty.stat().st_mode & 0o777) == (0o700, 0o700)


def test_an_open_directory_with_files_is_refused_and_left_alone(tmp_path: Path) -> None:
    """Shutting others out of it may not be wanted: the error says how to do it."""
    used = tmp_path / "used"
    used.mkdir()
    used.chmod(0o755)
    (used / "file").touch()
    with pytest.raises(UsageError, match=f"chmod 700 {used}"):
        open_directory(used)
    assert used.stat().st_mode & 0o777 == 0o755
    with pytest.raises(UsageError, match="is a file"):
        open_directory(used / "file")
