"""Lists and flags in an actor, on nodes that are apart for a while."""

from __future__ import annotations

from typing import Any

from comity import Actor, Flag, List
from comity_chaos import Sim


class Agenda(Actor):
    """What there is to talk about, in order, and whether the door is open."""

    points: List[str]
    open: Flag

    def add(self, *points: str) -> None:
        """Add at the end."""
        self.points.extend(points)

    def first(self, point: str) -> None:
        """Move to the front."""
        self.points.move(self.points.index(point), 0)

    def insert(self, at: int, point: str) -> None:
        """Insert before another one."""
        self.points.insert(at, point)

    def drop(self, point: str) -> None:
        """Delete."""
        self.points.remove(point)

    def switch(self, *, on: bool) -> None:
        """Open or close."""
        self.open = on

    def fail(self) -> None:
        """Write, then raise: nothing of it may remain."""
        self.points.clear()
        raise ValueError


def test_a_list_is_shared() -> None:
    """Nodes that are cut off move, insert, delete; nothing is lost, nothing there twice."""
    with Sim(seed=5, nodes=3) as sim:
        a, b, c = sim.share(Agenda)
        a.tell(Agenda.add, "one", "two", "three", "four")
        a.tell(Agenda.switch, on=True)
        sim.settle()
        sim.cut(a, b, c)
        a.tell(Agenda.first, "three")
        b.tell(Agenda.first, "four")
        b.tell(Agenda.first, "three")
        c.tell(Agenda.drop, "two")
        c.tell(Agenda.insert, 1, "x")
        c.tell(Agenda.insert, 2, "y")
        c.tell(Agenda.fail)
        a.tell(Agenda.switch, on=False)
        b.tell(Agenda.switch, on=True)
        sim.heal()
        state = sim.settle().state
        points: Any = state["points"]
        assert sorted(points) == ["four", "one", "three", "x", "y"]
        assert points.index("y") == points.index("x") + 1
        assert state["open"] is True


def test_a_list_survives_a_crash() -> None:
    """A node that comes back folds its own turns and those of others to the same list."""
    with Sim(seed=6, nodes=2) as sim:
        a, b = sim.share(Agenda)
        a.tell(Agenda.add, "one", "three")
        sim.settle()
        b.tell(Agenda.insert, 1, "two")
        a.tell(Agenda.insert, 0, "zero")
        sim.settle()
        sim.crash(a)
        b.tell(Agenda.first, "three")
        sim.restart(a)
        assert sim.settle().state["points"] == ("three", "zero", "one", "two")


def test_what_a_removed_member_inserted_meanwhile_is_hidden() -> None:
    """Those who stay write on around it, and agree."""
    with Sim(seed=7, nodes=3) as sim:
        a, b, c = sim.share(Agenda)
        a.tell(Agenda.add, "one", "four")
        sim.settle()
        sim.cut(a, b, c)
        c.tell(Agenda.insert, 1, "secret")
        sim.remove(a, c)
        a.tell(Agenda.insert, 1, "two")
        sim.heal()
        sim.settle()
        b.tell(Agenda.insert, 2, "three")
        a.tell(Agenda.first, "four")
        sim.settle()
        assert a.state["points"] == b.state["points"] == ("four", "one", "two", "three")
