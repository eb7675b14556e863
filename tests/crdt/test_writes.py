"""The kernel's costs: what is asked of causality, and what of memory."""

from __future__ import annotations

import pytest

from comity.base.ids import DeviceId
from comity.crdt.tally import Tally
from comity.crdt.writes import ABSENT, Writes


class Counting:
    """A causality of one author, or of many that never meet, that counts what it is asked."""

    def __init__(self, *, concurrent: bool) -> None:
        """Order turns by their numbers, or not at all."""
        self.concurrent = concurrent
        self.asked = 0

    def before(self, a: int, b: int) -> bool:
        """Count, and answer."""
        self.asked += 1
        return a < b and not self.concurrent

    def tie(self, field_tag: bytes, turn: int) -> bytes:
        """Let the later turn win."""
        assert len(field_tag) == 4
        return turn.to_bytes(32, "big")

    def parents_of(self, turn: int) -> tuple[int, ...]:
        """Never be asked."""
        raise AssertionError(turn)

    def hidden_before(self, turn: int) -> tuple[int, ...]:
        """Never be asked."""
        raise AssertionError(turn)

    def withdrawn_before(self, turn: int) -> tuple[int, ...]:
        """Return the same: nothing is undone."""
        return self.hidden_before(turn)

    def role(self, turn: int) -> int:
        """Never be asked."""
        raise AssertionError(turn)

    def author(self, turn: int) -> DeviceId:
        """Never be asked: no law of these types cares."""
        raise AssertionError(turn)


def make(causality: Counting) -> tuple[Writes, set[int]]:
    """Return an empty kernel and its hidden turns."""
    hidden: set[int] = set()
    return Writes(b"tag.", causality, hidden, None), hidden


def test_local_writes_ask_nobody() -> None:
    """A local turn comes after everything; so it costs no question."""
    causality = Counting(concurrent=False)
    writes, _ = make(causality)
    for turn in range(100):
        writes.begin()
        writes.put(turn, "k", turn)
        writes.commit()
    assert causality.asked == 0
    assert writes.values == {"k": 99}
    assert len(writes) == 100
    writes.check(-1)


def test_sequential_turns_of_others_ask_once() -> None:
    """A turn that has seen all of a key is compared with the newest write only."""
    causality = Counting(concurrent=False)
    writes, _ = make(causality)
    for turn in range(100):
        writes.fold(turn, "k", turn)
    assert causality.asked == 99


def test_hiding_the_latest_turn_does_not_walk_the_history() -> None:
    """Undo and redo of the newest write cost the same after ten writes as after thousands."""
    causality = Counting(concurrent=False)
    writes, hidden = make(causality)
    for turn in range(5000):
        writes.fold(turn, "k", turn)
    causality.asked = 0
    hidden.add(4999)
    assert writes.changed(4999) == ("k",)
    assert writes.values["k"] == 4998
    hidden.clear()
    writes.changed(4999)
    assert writes.values["k"] == 4999
    assert causality.asked == 0


def test_concurrent_values_are_ranked_by_tie_and_deletions_lose() -> None:
    """Among concurrent writes any value beats a deletion; then the largest tie wins."""
    writes, hidden = make(Counting(concurrent=True))
    for turn, value in enumerate((1, ABSENT, 2, ABSENT)):
        writes.fold(turn, "k", value)
        writes.check(turn)
    assert writes.values == {"k": 2}
    assert writes.rivals("k") == (2, 1)
    hidden.update({0, 2})
    writes.changed(0)
    writes.changed(2)
    assert writes.values == {}
    assert writes.rivals("k") == ()
    assert writes.rivals("unknown") == ()
    writes.check(3)


def test_a_turn_that_saw_a_conflict_settles_it() -> None:
    """A write after several concurrent ones stands alone, until it is hidden."""
    causality = Counting(concurrent=True)
    writes, hidden = make(causality)
    writes.fold(0, "k", 1)
    writes.fold(1, "k", 2)
    causality.concurrent = False
    writes.fold(2, "k", 3)
    causality.concurrent = True
    assert writes.rivals("k") == (3,)
    hidden.add(2)
    writes.changed(2)
    assert writes.rivals("k") == (2, 1)


def test_a_rollback_gives_back_conflicts() -> None:
    """A local write settles a conflict; taken back, the conflict is there again."""
    writes, _ = make(Counting(concurrent=True))
    writes.fold(0, "k", 1)
    writes.fold(1, "k", 2)
    writes.begin()
    assert writes.put(2, "k", 3) == 0
    assert writes.put(2, "new", 4) == 1
    assert writes.put(2, "k", ABSENT) == 0
    assert writes.order() == ("new",)
    writes.rollback()
    assert writes.rivals("k") == (2, 1)
    assert writes.values == {"k": 2}
    assert len(writes) == 2
    writes.check(1)


class Known(Counting):
    """A causality in which every turn has seen all before it but turn 0."""

    def before(self, a: int, b: int) -> bool:
        """Count, and answer."""
        return 0 < a < b and super().before(a, b)


def test_a_local_write_is_concurrent_with_what_was_hidden_from_it() -> None:
    """Whoever wrote and whoever read the write show the same when the hidden one is back."""
    ours, hidden = make(Known(concurrent=False))
    theirs, hidden_there = make(Known(concurrent=False))
    for writes, unseen in ((ours, hidden), (theirs, hidden_there)):
        writes.fold(0, "k", "old")
        unseen.add(0)
        writes.changed(0)
    for turn in (1, 2):
        ours.begin()
        ours.put(turn, "k", turn)
        ours.commit()
        theirs.fold(turn, "k", turn)
    ours.check(0)  # as long as nobody knows their place, they come after everything
    ours.bound(1)
    ours.bound(2)
    for writes, unseen in ((ours, hidden), (theirs, hidden_there)):
        writes.check(2)
        unseen.remove(0)
        writes.changed(0)
        writes.check(2)
    assert ours.rivals("k") == theirs.rivals("k") == (2, "old")


def test_check_sees_a_wrong_state() -> None:
    """`check` is worth calling: a value, an order or a total that is off is caught."""
    writes, _ = make(Counting(concurrent=False))
    writes.fold(0, "k", 1)
    writes.values["k"] = 2
    with pytest.raises(AssertionError):
        writes.check(0)
    tally = Tally(set())
    tally.fold(0, 5)
    tally.check()
    tally.total = 4
    with pytest.raises(AssertionError):
        tally.check()
