"""What the chat promises, whatever happens to devices and network."""

from collections.abc import Mapping
from typing import Any, cast

from comity_chaos import Sim, SimRef, chaos
from examples.chat.chat import Chat


def said(state: Mapping[str, object]) -> list[tuple[int, str, str]]:
    """Return what was said, in the order in which everybody sees it."""
    messages = cast("Mapping[str, Any]", state["messages"])
    return sorted((each.place, key, each.text) for key, each in messages.items())


def nobody_has_read_what_was_not_said(state: Mapping[str, object]) -> bool:
    """Read marks point at messages that are there."""
    places = {(key[:64], place) for place, key, _ in said(state)}
    seen = cast("Mapping[str, int]", state["seen"])
    return all((key.partition("/")[2], place) in places for key, place in seen.items())


def messages_are_of_who_said_them(state: Mapping[str, object]) -> bool:
    """A key begins with its author's device, and its place is in it."""
    return all(key == f"{key[:64]}/{place:09}" for place, key, _ in said(state))


class Pointing(Chat):
    """The chat of people who point at messages by number."""

    def edit(self, number: int, text: str) -> None:  # type: ignore[override]
        """Say it in other words."""
        super().edit(self._message(number), text)

    def take_back(self, number: int) -> None:  # type: ignore[override]
        """Take a message back."""
        super().take_back(self._message(number))

    def _message(self, number: int) -> str:
        keys = sorted(self.messages)
        return keys[number % len(keys)]


@chaos(nodes=3, faults="all", seeds=5, relays=1)
def test_everybody_reads_the_same(sim: Sim) -> None:
    """After cuts, crashes, broken disks, with a relay that comes and goes."""
    sim.always(nobody_has_read_what_was_not_said)
    sim.always(messages_are_of_who_said_them)
    for ref in sim.share(Pointing):
        ref.tell(Pointing.say, "hello")


def texts(ref: SimRef[Chat]) -> list[str]:
    """Return what a device shows."""
    return [text for _, _, text in said(ref.state)]


def shown_by(ref: SimRef[Chat]) -> tuple[tuple[str, int], ...]:
    """Return what a page that shows everything reports."""
    return tuple({key[:64]: place for place, key, _ in said(ref.state)}.items())


def test_an_answer_comes_after_what_it_answers() -> None:
    """Though the clock of who answers is a day behind."""
    with Sim(seed=8, nodes=3) as sim:
        ann, bob, eve = sim.share(Chat)
        ann.tell(Chat.say, "who comes?")
        sim.settle()
        sim.cut([ann, eve], bob)
        bob.tell(Chat.say, "I do")
        eve.tell(Chat.say, "not me")
        sim.run(5)
        sim.heal()
        sim.settle()
        assert texts(ann) == texts(bob) == texts(eve)
        assert texts(ann)[0] == "who comes?"
        assert sorted(texts(ann)[1:]) == ["I do", "not me"]


def test_a_message_reaches_who_is_never_on_at_the_same_time() -> None:
    """By a relay, which keeps it and cannot read it."""
    with Sim(seed=9, nodes=2, relay=True) as sim:
        ann, bob = sim.share(Chat)
        sim.crash(bob)
        ann.tell(Chat.say, "call me tomorrow")
        sim.run(10)
        sim.crash(ann)
        sim.restart(bob)
        sim.run(10)
        assert texts(bob) == ["call me tomorrow"]
        count = bob.ask(Chat.unread)
        sim.run(1)
        assert count.value == 1
        bob.tell(Chat.see, shown_by(bob))
        count = bob.ask(Chat.unread)
        sim.run(1)
        assert count.value == 0
        sim.restart(ann)
        assert bob.state["seen"] == sim.settle().state["seen"]


def test_nobody_edits_what_another_said() -> None:
    """Not by a message, and the rule of the field stops one that does not ask."""

    class Rude(Chat):
        """A program of somebody's own."""

        def twist(self, key: str) -> None:
            """Put words into somebody's mouth."""
            self.messages[key].text = "I lied"

    with Sim(seed=10, nodes=2) as sim:
        ann, bob = sim.share(Rude)
        key = ann.ask(Rude.say, "the truth")
        sim.settle()
        refused = bob.ask(Rude.edit, key.value, "a lie"), bob.ask(Rude.twist, key.value)
        sim.run(1)
        assert "somebody else said this" in repr(refused[0].error)
        assert "not its author's own" in repr(refused[1].error)
        ann.tell(Rude.take_back, key.value)
        assert [text for _, _, text in said(sim.settle().state)] == [""]


def test_two_who_say_something_at_once_are_both_heard() -> None:
    """In one order everywhere; none takes the other's place."""
    with Sim(seed=11, nodes=2) as sim:
        ann, bob = sim.share(Chat)
        sim.cut(ann, bob)
        for number in range(5):
            ann.tell(Chat.say, f"ann {number}")
            bob.tell(Chat.say, f"bob {number}")
        sim.run(2)
        sim.heal()
        sim.settle()
        assert texts(ann) == texts(bob)
        assert len(texts(ann)) == 10
        for name in ("ann", "bob"):
            mine = [text for text in texts(ann) if text.startswith(name)]
            assert mine == [f"{name} {number}" for number in range(5)]


def test_what_was_said_out_of_hearing_is_new_to_who_comes_back() -> None:
    """Though he said more meanwhile himself, and read it: of each author it is told apart."""
    with Sim(seed=12, nodes=2) as sim:
        ann, bob = sim.share(Chat)
        sim.cut(ann, bob)
        for number in range(5):
            bob.tell(Chat.say, f"bob {number}")
        sim.run(1)
        bob.tell(Chat.see, shown_by(bob))
        ann.tell(Chat.say, "urgent")
        sim.run(2)
        sim.heal()
        sim.settle()
        count = bob.ask(Chat.unread), ann.ask(Chat.unread)
        sim.run(1)
        assert [each.value for each in count] == [1, 5]
        bob.tell(Chat.see, shown_by(bob))
        count = bob.ask(Chat.unread), ann.ask(Chat.unread)
        sim.run(1)
        assert [each.value for each in count] == [0, 5]


def test_what_was_taken_back_stays_so() -> None:
    """It is not brought back by an edit that comes late."""
    with Sim(seed=13, nodes=1) as sim:
        (ann,) = sim.share(Chat)
        key = ann.ask(Chat.say, "oh")
        sim.run(1)
        ann.tell(Chat.take_back, key.value)
        late = ann.ask(Chat.edit, key.value, "no")
        sim.run(1)
        assert "it was taken back" in repr(late.error)
        assert texts(ann) == [""]
