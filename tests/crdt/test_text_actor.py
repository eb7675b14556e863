"""A text in an actor, on nodes that are apart for a while: what everybody typed is there."""

from __future__ import annotations

from comity import Actor, Counter, Text
from comity_chaos import Sim


class Note(Actor):
    """A text that several people type in, and how often they did."""

    text: Text
    edits: Counter

    def type(self, at: int, what: str) -> int:
        """Insert, and return the length."""
        self.text.insert(at, what)
        self.edits += 1
        return len(self.text)

    def erase(self, start: int, stop: int) -> None:
        """Delete a stretch."""
        del self.text[start:stop]

    def type_and_fail(self) -> None:
        """Write, then raise: nothing of it may remain."""
        self.text = "nonsense"
        raise ValueError

    def edit(self) -> None:
        """Write another field."""
        self.edits += 1


def test_a_text_is_shared() -> None:
    """Two nodes that are cut off type into one word; healed, both words stand whole."""
    with Sim(seed=5, nodes=3) as sim:
        a, b, c = sim.share(Note)
        a.tell(Note.type, 0, "start end")
        sim.settle()
        sim.cut(a, b, c)
        for number, ref in enumerate((a, b, c)):
            for at, letter in enumerate("abc"[number] * 4):
                ref.tell(Note.edit)
                ref.tell(Note.type, 6 + at, letter)
        c.tell(Note.erase, 0, 6)
        c.tell(Note.type_and_fail)
        sim.heal()
        state = sim.settle().state
        text = str(state["text"])
        assert text.endswith("end")
        assert not text.startswith("start")
        assert sorted(text[at : at + 4] for at in (0, 4, 8)) == ["aaaa", "bbbb", "cccc"]
        assert state["edits"] == 25


def test_a_text_survives_a_crash() -> None:
    """A node that comes back folds its own turns and those of others to the same text."""
    with Sim(seed=6, nodes=2) as sim:
        a, b = sim.share(Note)
        a.tell(Note.type, 0, "one three")
        sim.settle()
        b.tell(Note.type, 4, "two ")
        a.tell(Note.type, 0, "zero ")
        sim.settle()
        sim.crash(a)
        b.tell(Note.erase, 0, 5)
        sim.restart(a)
        assert sim.settle().state["text"] == "one two three"


def test_what_a_removed_member_typed_meanwhile_is_hidden() -> None:
    """Those who stay type on around it, in a word that it is gone from, and agree."""
    with Sim(seed=7, nodes=3) as sim:
        a, b, c = sim.share(Note)
        a.tell(Note.type, 0, "(one)")
        sim.settle()
        sim.cut(a, b, c)
        c.tell(Note.type, 1, "secretly ")
        sim.remove(a, c)
        a.tell(Note.type, 4, " two")
        sim.heal()
        sim.settle()
        b.tell(Note.type, 8, " three")
        a.tell(Note.type, 0, "!")
        sim.settle()
        assert a.state["text"] == b.state["text"] == "!(one two three)"
