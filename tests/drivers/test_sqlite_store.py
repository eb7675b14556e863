"""The SQLite store: durability, secrecy, and what it says about a file that is not right."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from comity.base.errors import StoreError
from comity.crypto.sodium import Sodium
from comity.drivers.sqlite_store import SCHEMA, SqliteStore
from comity.drivers.store import SECRET_TABLES, Protection, StoreKey
from comity.drivers.system import SystemEntropy
from comity.node.effects import Drop, Put, Table

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY = StoreKey(b"i" * 16, b"k" * 32, Protection.INSECURE)

CHILD = """
import os, resource, signal, sys
from pathlib import Path
from comity.base.errors import StoreError
from comity.crypto.sodium import Sodium
from comity.drivers.sqlite_store import SqliteStore
from comity.drivers.store import Protection, StoreKey
from comity.drivers.system import SystemEntropy
from comity.node.effects import Put, Table
key = StoreKey(b"i" * 16, b"k" * 32, Protection.INSECURE)
store = SqliteStore(Path(sys.argv[1]), key, Sodium(), SystemEntropy())
"""


def open_store(path: Path, key: StoreKey = KEY) -> SqliteStore:
    """Open or make a store."""
    return SqliteStore(path, key, Sodium(), SystemEntropy())


def child(path: Path, program: str) -> subprocess.CompletedProcess[str]:
    """Run a program on a store in another process."""
    return subprocess.run(
        [sys.executable, "-c", CHILD + program, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )


def rows(path: Path) -> dict[bytes, bytes]:
    """Open a store, check it, and return its commits."""
    store = open_store(path)
    try:
        store.check()
        return dict(store.read(Table.COMMIT, b"", b"\xff", 1 << 62))
    finally:
        store.close()


def test_what_was_applied_survives_a_kill(tmp_path: Path) -> None:
    """After kill -9 the store opens with all that `apply` returned from."""
    path = tmp_path / "store.db"
    ended = child(
        path,
        """
for number in range(50):
    store.apply([Put(Table.COMMIT, b"%d" % number, b"v" * 5000),
                 Put(Table.SECRET, b"%d" % number, b"s")])
    print(number, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
""",
    )
    assert ended.returncode == -signal.SIGKILL
    assert path.with_name("store.db-wal").exists()
    assert sorted(rows(path)) == sorted(b"%d" % number for number in range(50))


def test_every_commit_waits_for_the_disk(tmp_path: Path) -> None:
    """The settings that make `apply` durable are the ones in force."""
    store = open_store(tmp_path / "store.db")
    assert store._connection is not None
    found = [
        store._connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "locking_mode")
    ]
    store.close()
    assert found == ["wal", 2, "exclusive"]


def test_values_of_secret_tables_never_reach_the_file(tmp_path: Path) -> None:
    """The bytes of file and log hold no secret value; those of other tables they do."""
    path = tmp_path / "store.db"
    store = open_store(path)
    for table in Table:
        store.apply([Put(table, b"key", b"plaintext of " + table.value.encode())])
    found = b"".join(file.read_bytes() for file in sorted(tmp_path.iterdir()))
    store.close()
    found += b"".join(file.read_bytes() for file in sorted(tmp_path.iterdir()))
    for table in Table:
        seen = b"plaintext of " + table.value.encode() in found
        assert seen == (table not in SECRET_TABLES), table
    assert KEY.key not in found


def test_equal_secrets_do_not_look_equal(tmp_path: Path) -> None:
    """The same value written twice gives two ciphertexts, so rewriting it tells nothing."""
    path = tmp_path / "store.db"
    seen: list[bytes] = []
    for _ in range(2):
        store = open_store(path)
        store.apply([Put(Table.SECRET, b"key", b"value")])
        store.close()
        seen.append(raw(path, "SELECT value FROM secret")[0][0])
    assert seen[0] != seen[1]


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE secret SET value = (SELECT value FROM secret WHERE key = x'62')",
        "UPDATE secret SET value = (SELECT value FROM epoch_key WHERE key = x'61')",
        "UPDATE secret SET value = x'00'",
        "UPDATE secret SET value = substr(value, 1, length(value) - 1) || x'aa'",
    ],
)
def test_altered_and_swapped_secrets_are_refused(tmp_path: Path, damage: str) -> None:
    """A secret row opens only under its own key in its own table, unaltered."""
    path = tmp_path / "store.db"
    store = open_store(path)
    store.apply([Put(Table.SECRET, b"a", b"1"), Put(Table.SECRET, b"b", b"2"),
                 Put(Table.EPOCH, b"a", b"3")])  # fmt: skip
    store.close()
    raw(path, damage + " WHERE key = x'61'")
    store = open_store(path)
    for read in (
        lambda: store.get(Table.SECRET, b"a"),
        lambda: store.read(Table.SECRET, b"", b"z", 9),
        store.check,
    ):
        with pytest.raises(StoreError, match="row 61 of secret does not decrypt") as caught:
            read()
        assert not caught.value.retry
    store.close()


def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    """File and log are 0600, even if the file had been opened up."""
    path = tmp_path / "store.db"
    open_store(path).close()
    path.chmod(0o644)
    store = open_store(path)
    store.apply([Put(Table.META, b"a", b"1")])
    modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
    store.close()
    assert modes == {"store.db": 0o600, "store.db-wal": 0o600}


def test_no_other_program_can_look_or_write(tmp_path: Path) -> None:
    """While a store is open the database is locked, not only the lock file."""
    path = tmp_path / "store.db"
    store = open_store(path)
    stranger = sqlite3.connect(path, timeout=0)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        stranger.execute("SELECT count(*) FROM secret")
    stranger.close()
    store.close()


def make_foreign(path: Path) -> None:
    """Make a database that names another program."""
    raw(path, "PRAGMA application_id = 77", "CREATE TABLE theirs (a)")


def make_nameless(path: Path) -> None:
    """Make a database that names no program."""
    raw(path, "CREATE TABLE theirs (a)")


def make_newer(path: Path) -> None:
    """Make a store of a later layout."""
    open_store(path).close()
    raw(path, "PRAGMA user_version = 99")


def make_text(path: Path) -> None:
    """Make a file of text."""
    path.write_text("not a database at all\n" * 500)


def make_torn(path: Path) -> None:
    """Make a store and overwrite two pages in its middle."""
    store = open_store(path)
    store.apply([Put(Table.COMMIT, b"%05d" % n, b"v" * 500) for n in range(500)])
    store.close()
    data = bytearray(path.read_bytes())
    middle = len(data) // 2 // 4096 * 4096
    data[middle : middle + 8192] = b"\xaa" * 8192
    path.write_bytes(data)


def make_cut(path: Path) -> None:
    """Make a torn store and cut off its end."""
    make_torn(path)
    os.truncate(path, path.stat().st_size // 3)


def make_directory(path: Path) -> None:
    """Make no file at all."""
    path.mkdir()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (make_foreign, "database of another program.*name another directory"),
        (make_nameless, "database of another program.*name another directory"),
        (make_newer, "layout 99.*newer"),
        (make_text, "not a store of Comity, or it is corrupt.*move it away"),
        (make_torn, "not a store of Comity, or it is corrupt.*move it away"),
        (make_cut, "not a store of Comity, or it is corrupt.*move it away"),
        (make_directory, "cannot open .*: Is a directory"),
    ],
)
def test_a_file_that_is_no_store_of_ours_is_named_and_left_as_it_is(
    tmp_path: Path, make: Callable[[Path], None], says: str
) -> None:
    """Foreign, newer and corrupt files raise an error with the fix, and are not written to."""
    path = tmp_path / "store.db"
    make(path)
    before = path.read_bytes() if path.is_file() else b""
    for _ in range(2):
        with pytest.raises(StoreError, match=says) as caught:
            open_store(path)
        assert str(path) in str(caught.value)
        assert not caught.value.retry
    assert (path.read_bytes() if path.is_file() else b"") == before


def test_another_store_key_is_refused(tmp_path: Path) -> None:
    """A vault and a store that do not belong together are not mixed."""
    path = tmp_path / "store.db"
    open_store(path).close()
    other = StoreKey(b"j" * 16, b"o" * 32, Protection.INSECURE)
    with pytest.raises(StoreError, match=r"does not fit.*restore the vault"):
        open_store(path, other)
    open_store(path).close()


def test_a_store_that_a_crash_left_empty_is_new(tmp_path: Path) -> None:
    """A crash before the first transaction leaves a file that opens as a new store."""
    empty, bare = tmp_path / "empty.db", tmp_path / "bare.db"
    empty.touch()
    raw(bare, "PRAGMA journal_mode=WAL")
    for path in (empty, bare):
        store = open_store(path)
        store.apply([Put(Table.META, b"a", b"1")])
        assert store.get(Table.META, b"a") == b"1"
        store.close()


def test_a_table_that_came_later_is_added(tmp_path: Path) -> None:
    """A store without a newer table gets it, and keeps its rows."""
    path = tmp_path / "store.db"
    store = open_store(path)
    store.apply([Put(Table.META, b"a", b"1")])
    store.close()
    raw(path, "DROP TABLE relay")
    store = open_store(path)
    store.apply([Put(Table.RELAY, b"r", b"2")])
    assert (store.get(Table.META, b"a"), store.get(Table.RELAY, b"r")) == (b"1", b"2")
    store.close()


def test_a_full_disk_keeps_nothing_half_and_heals(tmp_path: Path) -> None:
    """At the size limit `apply` raises with `retry`, changes nothing, and later succeeds."""
    path = tmp_path / "store.db"
    store = open_store(path)
    store.apply([Put(Table.COMMIT, b"old", b"1"), Put(Table.COMMIT, b"gone", b"1")])
    assert store._connection is not None
    (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
    store._connection.execute(f"PRAGMA max_page_count = {pages + 3}")
    large: list[Put | Drop] = [Put(Table.COMMIT, b"%d" % n, b"v" * 4000) for n in range(10)]
    changes = [Put(Table.COMMIT, b"old", b"2"), Drop(Table.COMMIT, b"gone"), *large]
    for _ in range(2):
        with pytest.raises(StoreError, match=r"no room left for .*store.db") as caught:
            store.apply(changes)
        assert caught.value.retry
        assert store.read(Table.COMMIT, b"", b"z", 99) == ((b"gone", b"1"), (b"old", b"1"))
    store.apply([Put(Table.COMMIT, b"old", b"3")])
    store._connection.execute(f"PRAGMA max_page_count = {pages + 1000}")
    store.apply(changes)
    store.close()
    assert len(rows(path)) == 11


def test_a_file_size_limit_is_a_full_disk(tmp_path: Path) -> None:
    """The kernel refuses to write: what was acknowledged stays, the rest may be tried again."""
    path = tmp_path / "store.db"
    ended = child(
        path,
        """
store.apply([Put(Table.COMMIT, b"old", b"1")])
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
changes = [Put(Table.COMMIT, b"%d" % n, b"v" * 4000) for n in range(100)]
try:
    store.apply(changes)
except StoreError as error:
    assert store.read(Table.COMMIT, b"", b"z", 999) == ((b"old", b"1"),)
    store.apply([Put(Table.COMMIT, b"small", b"1")])
    print(error.retry, error, flush=True)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
store.apply(changes)
os.kill(os.getpid(), signal.SIGKILL)
""",
    )
    assert ended.stdout.startswith("True no room left for ")
    assert len(rows(path)) == 102


def test_a_broken_store_stays_broken_until_it_is_reopened(tmp_path: Path) -> None:
    """After corruption is met nothing is written any more."""
    path = tmp_path / "store.db"
    store = open_store(path)
    store.apply([Put(Table.COMMIT, b"%05d" % n, b"v" * 500) for n in range(500)])
    assert store._connection is not None
    store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store._connection.execute("PRAGMA cache_size=0")
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xaa" * (size - 4096))
    with pytest.raises(StoreError, match="corrupt"):
        store.read(Table.COMMIT, b"", b"z", 999)
    with pytest.raises(StoreError, match=r"stopped after an error.*restart the node"):
        store.apply([Put(Table.META, b"a", b"1")])
    with pytest.raises(StoreError, match=r"stopped after an error.*restart the node"):
        store.get(Table.META, b"a")
    store.close()


def test_a_store_of_an_older_layout_opens_and_older_programs_refuse_it(tmp_path: Path) -> None:
    """Its rows are as they were, what it lacks is added, and its number says so."""
    path = tmp_path / "store.db"
    with closing(open_store(path)) as store:
        store.apply([Put(Table.COMMIT, b"key", b"value")])
    for made in (Table.RUN, Table.INDEX):
        raw(path, f'DROP TABLE "{made.value}"')
    raw(path, "PRAGMA user_version = 1")
    with closing(open_store(path)) as store:
        assert store.get(Table.COMMIT, b"key") == b"value"
        assert store.get(Table.RUN, b"key") is None
        store.apply([Put(Table.INDEX, b"key", b"value")])
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (SCHEMA,)


def raw(path: Path, *statements: str) -> list[tuple[bytes]]:
    """Run SQL on the file behind the store's back; return the rows of the last statement."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        found: list[tuple[bytes]] = []
        for statement in statements:
            found = connection.execute(statement).fetchall()
        return found
    finally:
        connection.close()
