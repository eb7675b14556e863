"""Undo, redo and adopt on whole nodes: everybody agrees, and so does whoever comes later."""

from __future__ import annotations

from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from comity import Actor, Counter, Flag, List, Map, Set, Text, UsageError
from comity.base.ids import CommitId
from comity.node.commands import TurnId
from comity_chaos import Sim
from comity_chaos.refs import SimRef


class Page(Actor):
    """Fields of most kinds."""

    title: Text
    points: List[str]
    items: Map[str, int]
    tags: Set[str]
    done: Counter
    open: Flag

    def write(self, at: int, text: str) -> int:
        """Insert into the text, as far to the right as it goes."""
        self.title.insert(min(at, len(self.title)), text)
        return len(self.title)

    def cut(self, start: int, stop: int) -> None:
        """Delete of the text."""
        size = len(self.title)
        del self.title[min(start, size) : min(stop, size)]

    def point(self, at: int, what: str) -> None:
        """Insert into the list."""
        self.points.insert(min(at, len(self.points)), what)

    def finish(self, what: str) -> None:
        """Write several fields at once."""
        self.items[what] = len(self.items)
        self.tags.add(what)
        self.done += 1
        self.open = not self.open


Refs = list[SimRef[Page]]


def _agree(sim: Sim, refs: Refs) -> str:
    """Return the text that all show, also whoever starts anew from what is on disk."""
    sim.heal()
    sim.settle()
    first = refs[0].state_bytes
    assert all(ref.state_bytes == first for ref in refs)
    sim.crash(refs[-1])
    sim.restart(refs[-1])
    sim.settle()
    assert refs[-1].state_bytes == first
    sim.check()
    return cast("str", refs[0].state["title"])


def test_undo_takes_back_the_newest_turn_of_this_device_alone() -> None:
    """What others wrote meanwhile stays; further undos go further back; redo comes forward."""
    with Sim(seed=1, nodes=2) as sim:
        a, b = sim.share(Page)
        a.tell(Page.write, 0, "one ")
        a.tell(Page.write, 4, "two ")
        sim.settle()
        b.tell(Page.write, 8, "three")
        sim.settle()
        sim.undo(a)
        assert _agree(sim, [a, b]) == "one three"
        sim.undo(a)
        assert _agree(sim, [a, b]) == "three"
        with pytest.raises(UsageError, match="nothing is left"):
            sim.undo(a)
        sim.redo(a)
        assert _agree(sim, [a, b]) == "one three"
        sim.redo(a)
        assert _agree(sim, [a, b]) == "one two three"
        with pytest.raises(UsageError, match="nothing to redo"):
            sim.redo(a)
        sim.undo(b)
        assert _agree(sim, [a, b]) == "one two "


def test_a_new_turn_ends_what_can_be_redone() -> None:
    """As in any editor; undoing goes on from the new turn."""
    with Sim(seed=2, nodes=2) as sim:
        a, b = sim.share(Page)
        a.tell(Page.write, 0, "one")
        sim.settle()
        sim.undo(a)
        a.tell(Page.write, 0, "two")
        sim.settle()
        with pytest.raises(UsageError, match="went on since"):
            sim.redo(a)
        assert _agree(sim, [a, b]) == "two"
        sim.undo(a)
        assert _agree(sim, [a, b]) == ""


def test_a_turn_of_every_field_is_undone_and_redone_after_a_restart() -> None:
    """The log alone decides, so a device that was switched off goes on where it was."""
    with Sim(seed=3, nodes=2) as sim:
        a, b = sim.share(Page)
        a.tell(Page.finish, "milk")
        sim.settle()
        full = a.state_bytes
        a.tell(Page.finish, "eggs")
        sim.settle()
        both = a.state_bytes
        sim.undo(a)
        _agree(sim, [a, b])
        assert a.state_bytes == full
        sim.crash(a)
        sim.restart(a)
        sim.settle()
        assert a.state_bytes == full
        sim.redo(a)
        _agree(sim, [a, b])
        assert a.state_bytes == both
        sim.undo(a)
        sim.undo(a)
        _agree(sim, [a, b])
        assert a.state["items"] == {}
        assert a.state["open"] is False


def test_an_admin_undoes_anybodys_turn_and_its_author_cannot_redo_that() -> None:
    """A writer undoes only what is its own; whoever undid takes it back."""
    with Sim(seed=4, nodes=2) as sim:
        a, b = sim.share(Page)
        a.tell(Page.write, 0, "mine ")
        sim.settle()
        mine = sim.undo(a)
        sim.redo(a)
        b.tell(Page.write, 5, "yours")
        sim.settle()
        with pytest.raises(UsageError, match="its author can undo it, or an admin"):
            sim.undo(b, mine)
        yours = sim.undo(b)
        sim.redo(b)
        assert sim.undo(a, yours) == yours
        assert _agree(sim, [a, b]) == "mine "
        with pytest.raises(UsageError, match="was undone by"):
            sim.redo(b, yours)
        sim.redo(a, yours)
        assert _agree(sim, [a, b]) == "mine yours"
        with pytest.raises(UsageError, match="no turn"):
            sim.undo(a, TurnId(CommitId(bytes(32)), 0))


def test_two_who_undo_the_same_turn_hide_it_both() -> None:
    """One who takes his undo back does not take back the other's."""
    with Sim(seed=5, nodes=2) as sim:
        a, b = sim.share(Page)
        b.tell(Page.write, 0, "x")
        sim.settle()
        turn = sim.undo(b)
        sim.redo(b)
        sim.settle()
        sim.cut(a, b)
        sim.undo(b)
        sim.undo(a, turn)
        assert _agree(sim, [a, b]) == ""
        sim.redo(b)
        assert _agree(sim, [a, b]) == ""
        sim.redo(a, turn)
        assert _agree(sim, [a, b]) == "x"


def test_who_had_not_seen_an_undo_counts_positions_with_the_turn() -> None:
    """And who had seen it without; all read both as they were meant."""
    with Sim(seed=6, nodes=3) as sim:
        a, b, c = sim.share(Page)
        a.tell(Page.write, 0, "hidden ")
        sim.settle()
        b.tell(Page.write, 7, "stays")
        sim.settle()
        sim.cut(a, [b, c])
        sim.undo(a)
        a.tell(Page.write, 5, "!")
        b.tell(Page.write, 7, "it ")
        c.tell(Page.write, 12, "?")
        assert _agree(sim, [a, b, c]) in {"it stays!?", "it stays?!"}


def test_every_version_shows_what_it_showed_then() -> None:
    """Whatever was undone or adopted since; and the turns are told in order, by author."""
    with Sim(seed=8, nodes=2) as sim:
        a, b = sim.share(Page)
        versions: list[tuple[tuple[CommitId, ...], object]] = []

        def note() -> None:
            settled = sim.settle()
            versions.append((settled.heads, dict(settled.state)))

        note()
        a.tell(Page.write, 0, "one ")
        note()
        b.tell(Page.finish, "milk")
        b.tell(Page.write, 4, "two")
        note()
        sim.undo(a)
        note()
        sim.cut(a, b)
        a.tell(Page.point, 0, "x")
        b.tell(Page.cut, 0, 1)
        sim.heal()
        note()
        sim.undo(b)
        note()
        for ref in (a, b):
            for heads, state in versions:
                assert dict(sim.at(ref, heads)) == state
        with pytest.raises(UsageError, match="is here"):
            sim.at(a, (CommitId(bytes(32)),))
        turns = sim.history(a)
        author = a.node.running()[0].device
        assert [each.fields for each in turns if each.author == author] == [
            ("title",),
            ("points",),
        ]
        assert [each.visible for each in turns].count(False) == 2
        (last,) = sim.history(a, 1)
        assert last == turns[-1]
        assert len(sim.history(b)) == len(turns) == 5


_ACTS = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.sampled_from(["write", "cut", "point", "finish", "undo", "redo", "meet", "run"]),
        st.integers(0, 6),
    ),
    max_size=24,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_ACTS, st.integers(0, 3))
def test_whatever_is_undone_when_all_replicas_agree(
    acts: list[tuple[int, str, int]], seed: int
) -> None:
    """Turns that wait or run while an undo is decided count what everybody counts."""
    with Sim(seed=seed, nodes=2) as sim:
        refs = sim.share(Page)
        sim.cut(*refs)
        for who, act, at in acts:
            ref = refs[who]
            match act:
                case "write":
                    ref.tell(Page.write, at, "abcdefg"[at])
                    ref.tell(Page.write, at + 1, "ABCDEFG"[at])
                case "cut":
                    ref.tell(Page.cut, at, at + 2)
                case "point":
                    ref.tell(Page.point, at, "abcdefg"[at])
                case "finish":
                    ref.tell(Page.finish, "abcdefg"[at])
                case "meet":
                    sim.heal()
                    sim.run(0.01 * at)
                    sim.cut(*refs)
                case "run":
                    sim.run(0.01 * at)
                case _:
                    try:
                        sim.undo(ref) if act == "undo" else sim.redo(ref)
                    except UsageError:
                        continue
        _agree(sim, refs)


def test_what_a_removal_hides_is_adopted() -> None:
    """The admin shows it again; what is written after counts positions in it."""
    with Sim(seed=7, nodes=3) as sim:
        a, b, c = sim.share(Page)
        a.tell(Page.write, 0, "ab")
        sim.settle()
        sim.cut(a, [b, c])
        b.tell(Page.write, 1, "XY")
        sim.run(2)
        own = b.part.replica
        assert own is not None
        (late,) = own.journal.graph.heads
        sim.remove(a, b)
        sim.run(2)
        with pytest.raises(UsageError, match="no commit"):
            sim.adopt(a, late)
        sim.heal()
        sim.run(120)
        assert a.state["title"] == c.state["title"] == "ab"
        with pytest.raises(UsageError, match="cannot adopt"):
            sim.adopt(c, late)
        sim.adopt(a, late)
        with pytest.raises(UsageError, match="counts already"):
            sim.adopt(a, late)
        c.tell(Page.write, 4, "!")
        sim.run(120)
        assert a.state["title"] == c.state["title"]
        assert sorted(str(a.state["title"])) == sorted("aXYb!")
