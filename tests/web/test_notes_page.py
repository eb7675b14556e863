"""The page of the notes example: two people type in one text, and cut off from one another."""

from __future__ import annotations

from comity import Site
from tests.web.browser import Browser
from tests.web.conftest import LoadExample, Network, OpenBrowser, Shoot

_END = "document.querySelector('#text').setSelectionRange(9999, 9999)"


def _marks(left: Browser, right: Browser, shoot: Shoot) -> None:
    """What one marks the other sees; it is undone, and what was is shown."""
    left.look(_choose(0, 5))
    left.click("[data-style=bold]")
    right.until("document.querySelector('#read strong')?.innerText === 'Hello'")
    right.look(_choose(7, 15))
    right.click("#comment")
    right.type("dialog input", "who is <b>all</b>?\n")
    left.text("who is <b>all</b>?")
    left.look(_choose(18, 21))
    left.click("#link")
    left.type("dialog input", "javascript:alert(1)\n")
    left.text("is no address")
    left.look(_choose(17, 20))
    left.click("#link")
    left.type("dialog input", "https://example.org\n")
    right.until("document.querySelector('#read a')?.href === 'https://example.org/'")
    shoot(right, "notes-marks")
    left.click("#undo")
    right.until("!document.querySelector('#read a')")
    left.click("#redo")
    right.until("document.querySelector('#read a')")
    right.click("#comments button")
    left.until("!document.querySelector('#comments li')")
    left.click("#history")
    left.until("document.querySelector('dialog input')")
    left.look(
        "((slider) => { slider.value = 0; slider.dispatchEvent(new Event('input')); "
        "return 1; })(document.querySelector('dialog input'))"
    )
    left.until("document.querySelector('dialog .past').innerText.length === 1")
    shoot(left, "notes-history")
    left.click("dialog .row button:last-child")


def _choose(start: int, stop: int) -> str:
    return f"document.querySelector('#text').setSelectionRange({start}, {stop})"


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
        _marks(left, right, shoot)
        assert left.errors() == []
        assert right.errors() == []
