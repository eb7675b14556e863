"""What a note promises to people who type at the same time."""

from hypothesis import given
from hypothesis import strategies as st

from comity_chaos import Sim, chaos
from examples.notes.notes import Notes, difference

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
