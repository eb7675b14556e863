"""Bounded counters in an actor: what undoing, removing and adopting do to rights."""

from __future__ import annotations

from comity import Actor, BoundedCounter, Register, RightsError, field
from comity_chaos import Sim


class Pool(Actor):
    """Something that may run out."""

    left: BoundedCounter = field(floor=0)
    note: Register[str]
    names: Register[tuple[bytes, ...]]

    def on_create(self) -> None:
        """Put ten in."""
        self.left += 10

    def enrol(self) -> None:
        """Say which device this is."""
        self.names = (*self.names.value, self.left.device)

    def give(self, number: int, amount: int) -> None:
        """Hand rights on."""
        self.left.transfer(self.names.value[number], amount)

    def put(self, amount: int) -> None:
        """Add some."""
        self.left += amount

    def take(self, amount: int, note: str) -> int:
        """Take some, if this device may; return what it may still take."""
        try:
            self.left -= amount
            self.note = note
        except RightsError as error:
            return error.rights - error.wanted
        return self.left.rights

    def debts(self) -> dict[bytes, int]:
        """Return who took too much."""
        return {device: much for device, much in self.left.overdrawn.items()}  # noqa: C416


def test_what_was_taken_cannot_be_had_back_by_undoing() -> None:
    """An undone turn takes back its other fields; its rights stay used, everywhere."""
    with Sim(seed=3, nodes=2) as sim:
        a, b = sim.share(Pool)
        b.tell(Pool.enrol)
        sim.settle()
        a.tell(Pool.give, 0, 4)
        sim.settle()
        sim.undo(a)
        b.tell(Pool.take, 3, "b took three")
        sim.settle()
        sim.undo(b)
        state = sim.settle().state
        assert (state["left"], state["note"]) == (7, "")
        sim.redo(b)
        state = sim.settle().state
        assert (state["left"], state["note"]) == (7, "b took three")
        for ref, least in ((b, 1), (a, 6)):
            more, rest = (
                ref.ask(Pool.take, least + 1, "more"),
                ref.ask(Pool.take, least, "rest"),
            )
            sim.run(2)
            assert (more.value, rest.value) == (-1, 0)
        state = sim.settle().state
        assert (state["left"], state["note"]) == (0, "rest")


def test_rights_made_behind_the_back_of_a_removal_do_not_count() -> None:
    """What a removed device puts in is hidden, also if it is undone; a restart agrees."""
    with Sim(seed=4, nodes=3) as sim:
        a, b, c = sim.share(Pool)
        b.tell(Pool.enrol)
        sim.settle()
        c.tell(Pool.enrol)
        sim.settle()
        sim.cut(a, [b, c])
        sim.remove(a, b)
        b.tell(Pool.put, 100)
        sim.run(5)
        b.tell(Pool.give, 1, 60)
        sim.run(5)
        sim.undo(b)
        sim.run(5)
        took = c.ask(Pool.take, 50, "too late")
        sim.run(5)
        assert took.value == 10
        sim.heal()
        sim.settle()
        state = dict(a.state)
        assert state == dict(c.state)
        assert state["left"] == 10 - 50
        debts = a.ask(Pool.debts)
        sim.run(1)
        assert debts.value == {}
        again = c.ask(Pool.take, 1, "not any more")
        sim.run(1)
        assert again.value == -1  # it has none, and may not owe more
        sim.crash(c)
        sim.restart(c)
        sim.settle()
        assert c.state_bytes == a.state_bytes
