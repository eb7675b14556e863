"""What a note promises to people who type at the same time."""

from typing import Protocol, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity_chaos import Sim, chaos
from examples.notes.notes import Notes, difference

T_co = TypeVar("T_co", covariant=True)

TEXTS = st.text("ab \n😀", max_size=12)


@chaos(nodes=3, faults="all", seeds=3)
def test_a_note_survives(sim: Sim) -> None:
    """All devices show the same text in the end, and nothing acknowledged is lost."""
    sim.share(Notes)


def test_what_two_people_type_in_different_places_is_all_there() -> None:
    """Cut off from one another, both go on in the same text."""
    with Sim(seed=3, nodes=2) as sim:
        ann, bob = sim.share(Notes)
        ann.tell(Notes.write, "", "Dear all, see you.")
        sim.settle()
        sim.cut([ann], [bob])
        ann.tell(Notes.write, "Dear all, see you.", "Dear friends, see you.")
        bob.tell(Notes.write, "Dear all, see you.", "Dear all, see you soon.")
        sim.heal()
        assert str(sim.settle().state["text"]) == "Dear friends, see you soon."


def test_what_two_people_mark_apart_is_all_there() -> None:
    """One makes words bold, the other says something about them and types within them."""
    with Sim(seed=4, nodes=2) as sim:
        ann, bob = sim.share(Notes)
        ann.tell(Notes.write, "", "Dear all")
        sim.settle()
        sim.cut([ann], [bob])
        ann.tell(Notes.bold, "Dear all", 0, 8)
        bob.tell(Notes.comment, "Dear all", 0, 4, "too stiff?")
        bob.tell(Notes.write, "Dear all", "Dear, dear all")
        sim.heal()
        sim.settle()
        seen = ann.ask(Notes.marked), bob.ask(Notes.marked)
        sim.run(1)
        assert seen[0].value == seen[1].value
        assert seen[0].value == [
            (0, 4, {"bold": [""], "comment": ["too stiff?"]}),
            (4, 14, {"bold": [""]}),
        ]


def test_a_mark_on_an_old_text_lands_on_the_same_words() -> None:
    """The page was shown a text, others typed, then its mark arrives; what is gone is told."""
    with Sim(seed=1, nodes=1) as sim:
        (note,) = sim.share(Notes)
        note.tell(Notes.write, "", "Hi, see you")
        assert _reply(sim, note.ask(Notes.italic, "see you", 4, 7)) is True
        assert _reply(sim, note.ask(Notes.marked)) == [(8, 11, {"italic": [""]})]
        assert _reply(sim, note.ask(Notes.italic, "see you", 4, 7)) is True
        assert _reply(sim, note.ask(Notes.marked)) == []
        with pytest.raises(ValueError, match="no address"):
            _reply(sim, note.ask(Notes.link, "Hi, see you", 0, 2, "javascript:alert(1)"))
        assert not _reply(sim, note.ask(Notes.comment, "Hi, I do see you", 6, 8, "gone"))
        note.tell(Notes.comment, "Hi, see you", 0, 2, "what?")
        note.tell(Notes.resolve, "what?")
        note.tell(Notes.link, "Hi, see you", 0, 2, "https://example.org")
        note.tell(Notes.link, "Hi, see you", 0, 2, "")
        assert _reply(sim, note.ask(Notes.marked)) == []


class _Asked(Protocol[T_co]):
    @property
    def value(self) -> T_co: ...


def _reply(sim: Sim, asked: _Asked[T_co]) -> T_co:
    sim.run(1)
    return asked.value


@given(TEXTS, TEXTS)
def test_adifference_leads_from_one_text_to_the_other(before: str, after: str) -> None:
    """Whatever they are; equal texts do not differ."""
    start, end, inserted = difference(before, after)
    assert before[:start] + inserted + before[end:] == after
    assert 0 <= start <= end <= len(before)
    if before == after:
        assert (start == end, inserted) == (True, "")


def test_an_edit_on_an_old_text_keeps_what_came_since() -> None:
    """The page was shown a text, others typed, then its edit arrives."""
    cases = {
        ("abc", "Xabc", "abcY"): "XabcY",
        ("abc", "abcX", "Yabc"): "YabcX",
        ("abc", "ac", "abcY"): "acY",
        ("abc", "", "aYbc"): "Y",
        ("abcdef", "abXf", "abcYdef"): "abXYf",
        ("abc", "aXc", "ac"): "aXc",
        ("abc", "abc", "x"): "x",
        ("", "X", "Y"): "XY",
        ("abcd", "aXd", "abYd"): "aXYd",
    }
    for (shown, mine, theirs), expected in cases.items():
        with Sim(seed=1, nodes=1) as sim:
            (note,) = sim.share(Notes)
            note.tell(Notes.write, "", shown)
            note.tell(Notes.write, shown, theirs)
            reply = note.ask(Notes.write, shown, mine)
            sim.run(1)
            assert reply.value == expected, (shown, mine, theirs)
