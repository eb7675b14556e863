"""A cell that goes on from a stored state is as one that folded it all; no row is believed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from comity.actor.cell import Cell
from comity.actor.fold import BeatClosed, Fold, Folded
from comity.crdt import freezing
from comity.crdt.state import Change
from comity.node import stored
from comity.node.commands import TurnId
from comity.node.effects import Table
from comity_chaos.sim import Sim, SimRef
from tests.node.ledger import Ledger, consistent

TURNS = 8


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Store states of short histories."""
    monkeypatch.setattr(stored, "STATE_TURNS", TURNS)


@pytest.fixture
def folds(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bool, int]]:
    """Watch what cells are fed: whether a stored state, and how many commits."""
    seen: list[tuple[bool, int]] = []
    fold = Cell.fold

    def watched(self: Cell, given: Fold) -> tuple[BeatClosed | Folded, tuple[Change, ...]]:
        seen.append((given.frozen is not None, len(given.commits)))
        return fold(self, given)

    monkeypatch.setattr(Cell, "fold", watched)
    return seen


def again(sim: Sim, ref: SimRef[Ledger]) -> None:
    """Cut the power of a node and switch it on."""
    sim.crash(ref)
    sim.restart(ref)
    sim.run(1)


def fill(
    sim: Sim, refs: list[SimRef[Ledger]], count: int = 40
) -> list[tuple[SimRef[Ledger], TurnId]]:
    """Write, undo now and then, be quiet until a state is stored; return what is undone."""
    undone: list[tuple[SimRef[Ledger], TurnId]] = []
    for number in range(count):
        ref = refs[number // 3 % len(refs)]
        ref.tell(Ledger.enter, f"n{number}", number)
        if number % 10 == 7:
            sim.run(0.6)
            undone.append((ref, sim.undo(ref)))
        sim.run(0.3)
    sim.run(10)
    return undone


@pytest.mark.parametrize("crypto", ["symbolic", "sodium"])
def test_opening_goes_on_from_what_was_stored(
    crypto: str, folds: list[tuple[bool, int]]
) -> None:
    """After a crash each node shows what it showed, and folds only the newest turns again."""
    with Sim(seed=6, nodes=3, crypto=crypto) as sim:
        refs = sim.share(Ledger)
        fill(sim, refs)
        before = sim.settle().state
        for ref in refs:
            assert len(ref.node.disk.table(Table.STATE)) == 1
            folds.clear()
            again(sim, ref)
            assert ref.state == before
            assert folds[0] == (True, 0)
            assert sum(count for _, count in folds) < 2 * TURNS
        fill(sim, refs, 20)
        sim.settle()
        assert all(ref.state == refs[0].state for ref in refs)
        assert consistent(refs[0].state)
        sim.check()


def test_what_is_hidden_or_shown_after_a_state_was_stored_is_so_when_it_is_opened() -> None:
    """Undone, redone and removed turns of the stored part are seen to be so."""
    with Sim(seed=8, nodes=3) as sim:
        a, b, c = sim.share(Ledger)
        undone = fill(sim, [a, b, c], 30)
        state = b.node.disk.table(Table.STATE)
        assert state
        for ref, turn in undone[:2]:
            sim.redo(ref, turn)
        sim.undo(a)
        sim.remove(a, c)
        sim.run(1.5)
        assert b.node.disk.table(Table.STATE) == state
        sim.crash(b)
        sim.restart(b)
        sim.run(1)
        assert b.state == a.state
        sim.check()


def _flip(row: bytes) -> bytes:
    return row[:-9] + bytes((row[-9] ^ 1,)) + row[-8:]


def _version(row: bytes) -> bytes:
    return row[:1] + bytes((row[1] + 1,)) + row[2:]


def _cut(row: bytes) -> bytes:
    return row[:50]


def _longer(row: bytes) -> bytes:
    return row + b"\0"


def _nothing(_: bytes) -> bytes:
    return b""


def _count(row: bytes) -> bytes:
    return row[:34] + (5).to_bytes(8, "little") + row[42:]


@pytest.mark.parametrize("spoil", [_flip, _version, _count, _cut, _longer, _nothing])
def test_a_row_that_is_not_right_is_left_out_and_said(
    spoil: Callable[[bytes], bytes], folds: list[tuple[bool, int]]
) -> None:
    """All is folded then, the owner is told, and another state is stored."""
    with Sim(seed=9, nodes=1) as sim:
        (ref,) = sim.share(Ledger)
        fill(sim, [ref], 30)
        before = ref.state
        disk = ref.node.disk
        ((key, row),) = disk.table(Table.STATE)
        sim.crash(ref)
        disk.restore({**disk.image(), Table.STATE: {key: spoil(row)}})
        folds.clear()
        sim.restart(ref)
        sim.run(5)
        assert ref.state == before
        assert not any(was_stored for was_stored, _ in folds)
        assert "stored state left out" in [report.what for report in ref.node.reports]
        ((_, new),) = disk.table(Table.STATE)
        assert new[:1] == row[:1]
        again(sim, ref)
        assert (True, 0) in folds
        assert ref.state == before


def test_a_state_of_another_format_is_folded_anew(
    monkeypatch: pytest.MonkeyPatch, folds: list[tuple[bool, int]]
) -> None:
    """What the cell cannot read it says; the log is folded, and stored in the new format."""
    from comity.actor import stored as bytes_of_states  # noqa: PLC0415

    with Sim(seed=10, nodes=1) as sim:
        (ref,) = sim.share(Ledger)
        fill(sim, [ref], 30)
        before = ref.state
        monkeypatch.setattr(bytes_of_states, "FORMAT", freezing.FORMAT + 1)
        folds.clear()
        again(sim, ref)
        assert ref.state == before
        assert folds[0] == (True, 0)
        assert sum(count for _, count in folds) > TURNS
        assert "stored state left out" in [report.what for report in ref.node.reports]
        ref.tell(Ledger.enter, "after", 1)
        sim.run(5)
        folds.clear()
        again(sim, ref)
        assert folds[0] == (True, 0)
        assert len(ref.state["lines"]) == len(before["lines"]) + 1  # type: ignore[arg-type]


def test_a_state_of_another_log_is_not_believed(folds: list[tuple[bool, int]]) -> None:
    """A row from a time before the store was put back stands for commits that are not here."""
    with Sim(seed=11, nodes=1) as sim:
        (ref,) = sim.share(Ledger)
        fill(sim, [ref], 20)
        disk = ref.node.disk
        early = disk.image()
        fill(sim, [ref], 20)
        late = dict(disk.table(Table.STATE))
        sim.crash(ref)
        disk.restore({**early, Table.META: disk.image()[Table.META], Table.STATE: late})
        folds.clear()
        sim.restart(ref)
        sim.run(3)
        assert len(ref.state["lines"]) <= 20  # type: ignore[arg-type]
        assert consistent(ref.state)
        assert folds[0] != (True, 0)


def test_a_crash_after_any_event_leaves_a_state_that_opens() -> None:
    """Whatever was the last event before the power went, the actor opens as it was."""
    after = 0
    opened = 0
    while True:
        with Sim(seed=12, nodes=1) as sim:
            (ref,) = sim.share(Ledger)
            for number in range(3 * TURNS):
                ref.tell(Ledger.enter, f"n{number}", number)
                sim.run(0.11)
            for _ in range(after):
                if not sim.world.run_one():
                    break
            lines = len(ref.state["lines"])  # type: ignore[arg-type]
            sim.crash(ref)
            sim.restart(ref)
            sim.run(1)
            assert consistent(ref.state)
            assert lines - 2 <= len(ref.state["lines"])  # type: ignore[arg-type]
            opened += bool(ref.node.disk.table(Table.STATE))
            sim.check()
        after += 3
        if after > 90:
            break
    assert opened > 3


def test_who_never_rests_is_stored_too() -> None:
    """A turn each half second, for ever: what has to be folded again stays a part of all."""
    with Sim(seed=14, nodes=1) as sim:
        (ref,) = sim.share(Ledger)
        rows: dict[bytes, None] = {}
        for number in range(120):
            ref.tell(Ledger.enter, f"n{number}", number)
            sim.run(0.5)
            rows.update(dict.fromkeys([row for _, row in ref.node.disk.table(Table.STATE)]))
        assert 2 <= len(rows) <= 120 // TURNS


def test_turn_ids_stay_what_they_were() -> None:
    """What was stored is named as before: an old turn can be undone after opening."""
    with Sim(seed=13, nodes=2) as sim:
        a, b = sim.share(Ledger)
        assert a.node.core is not None
        device = a.node.core.device
        fill(sim, [a, b], 20)
        old: TurnId = next(
            turn.id for turn in sim.history(a) if turn.visible and turn.author == device
        )
        for ref in (a, b):
            again(sim, ref)
        sim.undo(a, old)
        sim.run(5)
        assert a.state == b.state
        sim.redo(a, old)
        sim.run(5)
        assert a.state == b.state
        sim.check()
