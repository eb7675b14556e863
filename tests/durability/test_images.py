"""The model of the disk itself: it loses what a disk may lose, and nothing else."""

from __future__ import annotations

import random
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.durability.images import Disk
from tests.durability.record import Entry, Kind, load, save

_BYTES = 10_000


def _write(at: int, count: int, fill: int) -> Entry:
    return Entry(Kind.WRITE, "f", at, bytes((fill,)) * count)


def _entries() -> st.SearchStrategy[list[Entry]]:
    """Return what may happen to one file that exists."""
    write = st.builds(
        _write, st.integers(0, _BYTES), st.integers(1, _BYTES), st.integers(1, 255)
    )
    cut = st.builds(Entry, st.just(Kind.CUT), st.just("f"), st.integers(0, _BYTES))
    return st.lists(st.one_of(write, cut, st.just(Entry(Kind.SYNC, "f"))), max_size=12)


def _plain(entries: list[Entry]) -> bytes:
    """Return what a file holds after all entries: one byte at a time."""
    content: list[int] = []
    for entry in entries:
        if entry.kind is Kind.CUT:
            content = [*content, *[0] * entry.number][: entry.number]
        elif entry.kind is Kind.WRITE:
            content += [0] * (entry.number + len(entry.data) - len(content))
            for place, byte in enumerate(entry.data, start=entry.number):
                content[place] = byte
    return bytes(content)


def _disk(entries: list[Entry]) -> Disk:
    disk = Disk()
    disk.take(Entry(Kind.MAKE, "f"))
    disk.take(Entry(Kind.SYNC, "."))
    for entry in entries:
        disk.take(entry)
    return disk


@given(_entries())
def test_what_is_kept_is_everything_and_what_is_dropped_is_what_was_not_synced(
    entries: list[Entry],
) -> None:
    """The two ends of what a loss of power may leave, against a naive twin."""
    disk = _disk(entries)
    synced = max((i + 1 for i, each in enumerate(entries) if each.kind is Kind.SYNC), default=0)
    assert disk.kept() == {"f": _plain(entries)}
    assert disk.dropped() == {"f": _plain(entries[:synced])}
    assert disk.unsynced == len(entries) - synced


@given(_entries(), st.integers(0, 2**32))
def test_a_torn_image_holds_only_bytes_that_some_write_put_there(
    entries: list[Entry], seed: int
) -> None:
    """Each byte is the synced one, one of a later write to its place, or a hole's zero."""
    disk = _disk(entries)
    (synced,) = disk.dropped().values()
    (torn,) = disk.torn(random.Random(seed)).values()
    last = max((i for i, each in enumerate(entries) if each.kind is Kind.SYNC), default=-1)
    pending = [each for each in entries[last + 1 :] if each.kind is Kind.WRITE]
    if last == len(entries) - 1:
        assert torn == synced
    for place, byte in enumerate(torn):
        if place < len(synced) and byte == synced[place]:
            continue
        assert byte == 0 or any(
            each.number <= place < each.number + len(each.data) and each.data[0] == byte
            for each in pending
        )


def test_names_go_in_order_and_a_sync_keeps_them() -> None:
    """A rename that was not synced may be undone, but never before an older one."""
    disk = Disk()
    for entry in (
        Entry(Kind.MAKE, "new"),
        Entry(Kind.WRITE, "new", 0, b"x"),
        Entry(Kind.SYNC, "new"),
        Entry(Kind.RENAME, "new", data=b"name"),
        Entry(Kind.MAKE, "other"),
    ):
        disk.take(entry)
    assert disk.dropped() == {"new": b"x"}
    assert disk.kept() == {"name": b"x", "other": b""}
    found = {tuple(sorted(disk.torn(random.Random(seed)))) for seed in range(60)}
    assert found == {("new",), ("name",), ("name", "other")}
    disk.take(Entry(Kind.REMOVE, "name"))
    disk.take(Entry(Kind.SYNC, "other"))
    assert disk.dropped() == disk.kept() == {"other": b""}


def test_a_record_reads_back(tmp_path: Path) -> None:
    """What is saved is loaded."""
    entries = [Entry(Kind.WRITE, "f", 7, bytes(range(256))), Entry(Kind.TOLD, "1.2/3", 4)]
    save(entries, tmp_path / "record")
    assert load(tmp_path / "record") == entries
