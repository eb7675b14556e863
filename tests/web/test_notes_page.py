"""The page of the notes example: two people type in one text, and cut off from one another."""

from __future__ import annotations

from comity import Site
from tests.web.conftest import LoadExample, Network, OpenBrowser, Shoot

_END = "document.querySelector('#text').setSelectionRange(9999, 9999)"


def test_two_people_type_in_one_note(
    network: Network, browser: OpenBrowser, example: LoadExample, shoot: Shoot
) -> None:
    """Each sees the other's words without losing its own, or its caret; after a cut too."""
    notes = example("notes")
    ann, bob = network.node("ann"), network.node("bob")
    ours = ann.create(notes.Notes)
    theirs = bob.open(notes.Notes, ours.invite())
    with Site(ann, ours, notes.PAGE) as one, Site(bob, theirs, notes.PAGE) as two:
        left, right = browser(), browser()
        left.open(one.url)
        right.open(two.url)
        left.text("shared with 1, 1 online")
        left.type("#text", "Dear all. ")
        right.until("document.querySelector('#text').value === 'Dear all. '")
        right.type("#text", "See you soon.")
        left.until("document.querySelector('#text').value === 'Dear all. See you soon.'")
        left.until("document.querySelector('#text').selectionStart === 10")
        shoot(left, "notes")
        network.cut()
        left.text("0 online")
        left.look("document.querySelector('#text').setSelectionRange(0, 0)")
        left.type("#text", "Hello! ")
        right.look(_END)
        right.type("#text", " Bob")
        right.until("document.querySelector('#text').value.endsWith('soon. Bob')")
        network.heal()
        for page in (left, right):
            page.until(
                "document.querySelector('#text').value === 'Hello! Dear all. See you soon. Bob'"
            )
        assert str(ours.snapshot()["text"]) == "Hello! Dear all. See you soon. Bob"
        assert left.errors() == []
        assert right.errors() == []
