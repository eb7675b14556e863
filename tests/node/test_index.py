"""Opening by the index is opening by the rows; whatever is wrong with it, the rows count."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comity.base.clock import Wall
from comity.log.entries import PrekeyEntry, RemoveEntry, TurnEntry, UndoEntry
from comity.node import indexing, loading, packing, rows
from comity.node.effects import Table
from comity.node.index import Line, encode_piece, open_piece
from comity_chaos.sim import Sim
from tests.node.ledger import Ledger, consistent
from tests.node.shelving import Disk, Holder, Log

PIECE = 32


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make pieces small, and history cold early."""
    monkeypatch.setattr(indexing, "INDEX_PIECE", PIECE)
    monkeypatch.setattr(loading, "INDEX_PIECE", PIECE)
    monkeypatch.setattr(packing, "COLD_TAIL", 20)
    monkeypatch.setattr(packing, "COLD_PIECE", 50)


def eventful(seed: int = 1) -> Log:
    """Return a log with undos, prekeys, forks, several turns in one, merges and a removal."""
    log = Log(60, seed)
    chance = random.Random(seed)
    for number in range(160):
        author = chance.randrange(3)
        last = log.lasts[author]
        assert last is not None
        kind = chance.randrange(12)
        entries = tuple([TurnEntry(bytes((number, each))) for each in range(kind % 3 + 1)])
        if kind == 0:
            log.write(author, (UndoEntry(last, 0),))
        elif kind == 1:
            log.write(author, (PrekeyEntry(bytes((number,)) * 32),))
        elif kind == 3:
            log.write(author, entries, (last,))
            log.lasts[author] = last  # the next one is a fork
        elif kind == 4 and number > 120:
            log.write(0, (RemoveEntry(log.signers[2].device),), (log.lasts[0],))  # type: ignore[arg-type]
            log.write(2, entries, (log.lasts[2],))  # type: ignore[arg-type]
            break
        else:
            log.write(author, entries, (last,) if kind < 9 else None)
    return log


LOG = eventful()


def indexed(log: Log = LOG) -> Holder:
    """Return a holder of the whole log, packed and indexed."""
    holder = Holder(log)
    for start in range(0, len(log.commits), 31):
        holder.deliver(log.commits[start : start + 31])
    assert not holder.heard.refusals
    holder.rest()
    return holder


def without(disk: Disk) -> Disk:
    """Return a disk that has no index."""
    return {**disk, Table.INDEX: {}}


def assert_same(one: Holder, other: Holder) -> None:
    """Assert that two holders know the same of a log, to the last detail."""
    one.replica.check()
    assert one.ids == other.ids
    ours, theirs = one.replica.journal, other.replica.journal
    assert one.replica.holdings.items() == other.replica.holdings.items()
    assert ours.graph.forks == theirs.graph.forks
    assert ours.graph.heads == theirs.graph.heads
    assert (ours.own_last, ours.epochs.held) == (theirs.own_last, theirs.epochs.held)
    assert ours.authority is not None
    assert theirs.authority is not None
    for index in range(len(ours.graph)):
        for facts in ("parents_of", "author_of", "seq_of", "gen_of", "auth_of", "wall_of"):
            assert getattr(ours.graph, facts)(index) == getattr(theirs.graph, facts)(index)
        assert ours.authority.standing(index) == theirs.authority.standing(index)
        assert ours.authority.why(index) == theirs.authority.why(index)
        assert ours.turn_count(index) == theirs.turn_count(index)
        hidden = ours.visibility.hidden_before(index)
        assert hidden == theirs.visibility.hidden_before(index)
        for turn in range(ours.turn_count(index)):
            shown = ours.visibility.shows((index, turn))
            assert shown == theirs.visibility.shows((index, turn))


def turns(holder: Holder, first: int, last: int) -> dict[int, tuple[bytes, ...]]:
    """Read turns as a cell that is opened does."""
    found: list[dict[int, tuple[bytes, ...]]] = []
    read = holder.replica.indexing.read_turns
    holder.do(lambda step: read(step, first, last, lambda _, got: found.append(got)))
    return found[0]


@pytest.mark.parametrize("seed", range(1, 7))
def test_opening_by_the_index_is_opening_by_the_rows(seed: int) -> None:
    """Graph, authority, visibility, forks and turns are the same; little is read by rows."""
    holder = indexed(eventful(seed))
    again = Holder(holder.log, holder.disk)
    assert again.replica.indexing.upto == holder.replica.indexing.upto > 4 * PIECE
    plain = Holder(holder.log, without(holder.disk))
    assert plain.replica.indexing.upto == 1
    assert_same(again, plain)
    assert_same(again, holder)
    last = len(holder.log.commits) + 1
    everything = turns(plain, 2, last)
    for first in (2, 3, PIECE, PIECE + 1, PIECE + 2, 3 * PIECE):
        for stop in (first, first + 1, first + PIECE, last):
            some = {number: everything[number] for number in range(first, stop + 1)}
            assert turns(again, first, stop) == some


def test_what_comes_later_is_judged_the_same() -> None:
    """A log that was opened by the index goes on as if it had been read."""
    whole = eventful(3)
    cut = len(whole.commits) - 40
    holder = Holder(whole)
    holder.deliver(whole.commits[:cut])
    holder.rest()
    assert holder.replica.indexing.upto > PIECE
    again = Holder(whole, holder.disk)
    again.deliver(whole.commits[cut:])
    assert not again.heard.refusals
    assert_same(again, indexed(whole))


@given(place=st.integers(0, 10_000), data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_damaged_index_is_no_index(place: int, data: st.DataObject) -> None:
    """Whichever byte is changed, cut off or added, the same log is opened."""
    disk = _disk()
    key = data.draw(st.sampled_from(sorted(disk[Table.INDEX])))
    row = bytearray(disk[Table.INDEX][key])
    where = place % len(row)
    how = data.draw(st.sampled_from(["flip", "cut", "add", "version"]))
    if how == "flip":
        row[where] ^= data.draw(st.integers(1, 255))
    elif how == "cut":
        del row[where:]
    elif how == "add":
        row += b"\0"
    else:
        row[1] += 1
    broken = {**disk, Table.INDEX: {**disk[Table.INDEX], key: bytes(row)}}
    again = Holder(LOG, broken)
    assert again.ids == _plain().ids
    assert again.replica.indexing.upto == rows.number_of(key) - 1
    last = len(LOG.commits) + 1
    assert turns(again, 2, last) == turns(_plain(), 2, last)
    again.do(lambda step: again.replica.indexing.grown(again.replica.beats.durable, step))
    again.rest()
    assert Holder(LOG, again.disk).replica.indexing.upto == _holder().replica.indexing.upto


_KEPT: dict[str, Holder] = {}


def _holder() -> Holder:
    if "indexed" not in _KEPT:
        _KEPT["indexed"] = indexed()
    return _KEPT["indexed"]


def _disk() -> Disk:
    return {table: dict(found) for table, found in _holder().disk.items()}


def _plain() -> Holder:
    if "plain" not in _KEPT:
        _KEPT["plain"] = Holder(LOG, without(_disk()))
    return _KEPT["plain"]


def test_pieces_that_changed_places_are_not_taken() -> None:
    """A piece says where it belongs, and what comes before it."""
    disk = _disk()
    index = disk[Table.INDEX]
    first, second, *_ = sorted(index)
    index[first], index[second] = index[second], index[first]
    assert_same(Holder(LOG, disk), _plain())


def test_an_index_of_more_than_there_is_is_not_taken() -> None:
    """Rows that were lost behind the index are not made up by it."""
    holder = Holder(LOG)
    holder.deliver(LOG.commits[: 3 * PIECE])
    short = {table: dict(found) for table, found in holder.disk.items()}
    short[Table.INDEX] = dict(_holder().disk[Table.INDEX])
    again = Holder(LOG, short)
    assert again.ids == LOG.ids[: 3 * PIECE]
    assert_same(again, holder)


def test_an_index_of_another_log_is_not_taken() -> None:
    """Without its key, and with it."""
    other = indexed(eventful(9))
    disk = without(_disk())
    disk[Table.INDEX] = {
        LOG.topic + key[32:]: value for key, value in other.disk[Table.INDEX].items()
    }
    again = Holder(LOG, disk)
    assert again.replica.indexing.upto == 1
    assert_same(again, _plain())


@pytest.mark.parametrize(
    "odd",
    [
        Line(PIECE + 9, (1,), Wall(0), 0),
        Line(1, (1, PIECE + 9), Wall(0), 0),
        Line(1, (0,), Wall(0), 0),
        Line(1, (), Wall(0), 0),
        Line(1, (1,), Wall(0), PIECE + 9),
    ],
)
def test_a_piece_that_reaches_out_of_its_log_is_not_taken(odd: Line) -> None:
    """Whoever sealed it: a number that names nothing before its commit ends the index."""
    disk, journal = _disk(), _holder().replica.journal
    key = min(disk[Table.INDEX])
    piece = open_piece(journal, 2, disk[Table.INDEX][key], PIECE)
    assert piece is not None
    place = next(at for at, line in enumerate(piece.lines) if line is not None)
    lines = (*piece.lines[:place], odd, *piece.lines[place + 1 :])
    disk[Table.INDEX][key] = encode_piece(
        journal, 2, journal.graph.id_of(0), replace(piece, lines=lines)
    )
    again = Holder(LOG, disk)
    assert again.replica.indexing.upto == 1
    assert_same(again, _plain())


def test_another_piece_size_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A version with other pieces reads the rows, and writes its own."""
    disk = _disk()
    monkeypatch.setattr(indexing, "INDEX_PIECE", PIECE + 8)
    monkeypatch.setattr(loading, "INDEX_PIECE", PIECE + 8)
    again = Holder(LOG, disk)
    assert again.replica.indexing.upto == 1
    assert_same(again, _plain())


def test_whatever_write_was_the_last_the_store_opens() -> None:
    """Every state between two writes holds the beginning of the log."""
    for image in _holder().images[::3]:
        found = Holder(LOG, {table: dict(kept) for table, kept in image.items()})
        assert found.ids == LOG.ids[: len(found.ids)]


@pytest.mark.parametrize("crypto", ["symbolic", "sodium"])
def test_snapshot_and_history_and_disk_agree(crypto: str) -> None:
    """Cells that are fed by the index show what those show that were never closed."""
    with Sim(seed=6, nodes=3, crypto=crypto) as sim:
        a, b, c = sim.share(Ledger)
        for number in range(130):
            ref = (a, b)[number // 9 % 2]
            ref.tell(Ledger.enter, f"n{number}", number)
            if number % 25 == 24:
                sim.run(1)
                sim.undo(ref)
            sim.run(0.4)
        sim.run(30)
        assert len(a.node.disk.table(Table.INDEX)) >= 3
        before = sim.settle().state
        for ref in (a, b):
            sim.crash(ref)
            sim.restart(ref)
        sim.run(5)
        assert a.state == b.state == c.state == before
        lines = cast("dict[str, int]", c.state["lines"])
        assert len(lines) == 125
        assert consistent(c.state)
        sim.remove(a, c)
        b.tell(Ledger.enter, "after", 1)
        sim.run(20)
        sim.crash(b)
        sim.restart(b)
        sim.run(5)
        assert a.state == b.state
        sim.check()
