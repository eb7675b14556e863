"""The page of the todo example, in two browsers on two devices."""

from __future__ import annotations

from typing import Any

from comity import Site
from tests.web.browser import Browser
from tests.web.conftest import LoadExample, Network, OpenBrowser, Shoot


def _items(page: Browser, shown: str) -> Any:
    return page.look(f"[...document.querySelectorAll('#{shown} span')].map(e => e.innerText)")


def test_two_people_edit_one_list(
    network: Network, browser: OpenBrowser, example: LoadExample, shoot: Shoot
) -> None:
    """What one adds, ticks off, renames or deletes, the other sees without reloading."""
    todo = example("todo")
    ann, bob = network.node("ann"), network.node("bob")
    ours = ann.create(todo.Todo)
    theirs = bob.open(todo.Todo, ours.invite())
    with Site(ann, ours, todo.PAGE) as one, Site(bob, theirs, todo.PAGE) as two:
        left, right = browser(), browser()
        left.open(one.url)
        right.open(two.url)
        left.text("shared with 1, 1 online")
        left.type("#what", "oat milk\n")
        right.text("oat milk")
        right.type("#what", "<b>bread</b>\n")
        left.text("<b>bread</b>")
        right.click('li[data-what="oat milk"] input')
        left.until("document.querySelector('#done').innerText.includes('oat milk')")
        left.clear("#title")
        left.type("#title", "Saturday\n")
        right.until("document.querySelector('#title').value === 'Saturday'")
        right.type("#what", "a new lamp for the hall\n")
        left.text("lamp")
        shoot(left, "todo")
        left.click('li[data-what="<b>bread</b>"] button')
        right.until("!document.body.innerText.includes('bread')")
        left.click("#undo")
        right.text("<b>bread</b>")
        left.click("#redo")
        right.until("!document.body.innerText.includes('bread')")
        right.click("#history")
        right.until("document.querySelectorAll('dialog li').length === 2")
        right.click("dialog .row button:last-child")
        assert left.look("document.querySelector('#share').hidden") is False
        assert right.look("document.querySelector('#share').hidden") is True
        left.click("#share")
        left.until("document.querySelector('dialog textarea').value.startsWith('comity:')")
        left.until("document.querySelector('dialog img').naturalWidth > 0")
        shoot(left, "todo-share")
        assert left.errors() == []
        assert right.errors() == []


def test_both_edit_while_cut_off_and_have_it_all_afterwards(
    network: Network, browser: OpenBrowser, example: LoadExample
) -> None:
    """The network is gone, both go on; when it is back, both lists are whole and equal."""
    todo = example("todo")
    ann, bob = network.node("ann"), network.node("bob")
    ours = ann.create(todo.Todo)
    theirs = bob.open(todo.Todo, ours.invite())
    with Site(ann, ours, todo.PAGE) as one, Site(bob, theirs, todo.PAGE) as two:
        left, right = browser(), browser()
        left.open(one.url)
        right.open(two.url)
        left.type("#what", "milk\n")
        right.text("milk")
        network.cut()
        left.text("offline: changes are kept")
        left.type("#what", "eggs\n")
        right.type("#what", "tea\n")
        right.click('li[data-what="milk"] input')
        left.text("eggs")
        right.text("tea")
        assert "tea" not in _items(left, "open")
        network.heal()
        left.text("tea")
        right.text("eggs")
        for page in (left, right):
            page.until("document.querySelector('#done').innerText.includes('milk')")
            assert _items(page, "open") == ["eggs", "tea"]
