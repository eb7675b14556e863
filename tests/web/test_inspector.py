"""The inspector shows what the node has, and what is done in it is done to the node."""

from __future__ import annotations

import http.client
import json
from typing import Any

import pytest

from comity import Actor, Counter, Flag, List, Map, Node, Register, Set, Text
from comity.api.control import Control
from comity.web.inspector import ALLOWED, Inspector
from tests.web.browser import Browser
from tests.web.conftest import Network, OpenBrowser, Shoot


class Party(Actor):
    """One field of each kind."""

    title: Register[str]
    public: Flag
    coming: Counter
    guests: Set[str]
    brings: Map[str, str]
    steps: List[str]
    plan: Text

    def bring(self, who: str, what: str) -> int:
        """Note who brings what."""
        self.guests.add(who)
        self.brings[who] = what
        self.coming += 1
        return int(self.coming)


def _inspector(node: Node) -> Inspector:
    return Inspector(Control(node).handle)


def _ask(page: Inspector, fields: object) -> tuple[int, Any]:
    address, _, token = page.url.partition("/#")
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=10)
    headers = {"Authorization": f"Bearer {token}"}
    connection.request("POST", "/comity/ask", json.dumps(fields), headers)
    answer = connection.getresponse()
    told = answer.status, json.loads(answer.read())
    connection.close()
    return told


def _slide(tab: Browser, place: int) -> None:
    tab.look(
        "((slider) => { slider.value = " + str(place) + "; "
        "slider.dispatchEvent(new Event('input')); return 1; })"
        "(document.querySelector('#moment'))"
    )


@pytest.mark.parametrize("what", ["shutdown", "join", "status", "", None, 1, ["why"]])
def test_the_page_may_ask_what_is_listed_and_nothing_else(
    network: Network, what: object
) -> None:
    """It cannot stop the node, nor make it join anything, whatever it says."""
    assert what not in ALLOWED if isinstance(what, str) else True
    with _inspector(network.node("ann")) as page:
        status, told = _ask(page, {"do": what})
        assert (status, told["error"]["kind"]) == (400, "usage")


def test_what_goes_wrong_is_told_in_words(network: Network) -> None:
    """An id that is none, an actor that is not there, a message that does not fit."""
    node = network.node("ann")
    node.create(Party)
    with _inspector(node) as page:
        for wrong in (
            {"do": "why", "commit": "zz"},
            {"do": "snapshot", "actor": "ffffffff"},
            {"do": "message", "method": "bring", "words": ["ann"]},
            {"do": "invite", "role": "owner", "hours": 1},
        ):
            status, told = _ask(page, wrong)
            assert status == 400, wrong
            assert told["error"]["text"]


def test_an_owner_looks_and_edits(network: Network, browser: OpenBrowser) -> None:
    """What devices wrote is shown; a field is written, in a turn."""
    ann, bob = network.node("ann"), network.node("bob")
    ours = ann.create(Party)
    theirs = bob.open(Party, ours.invite())
    theirs.ask(Party.bring, "bob", "salad").get(timeout=10)
    ours.ask(Party.bring, "ann", "cake").get(timeout=10)
    with _inspector(ann) as page:
        tab = browser()
        tab.open(page.url)
        tab.text("bob: salad")
        tab.click('[data-field="title"] button')
        tab.type("dialog textarea", "Birthday")
        tab.click("dialog button.first")
        tab.until("!document.querySelector('dialog')")
        tab.text("Birthday")
        assert ours.snapshot()["title"] == "Birthday"
        tab.click("#undo")
        tab.until(
            "!document.querySelector('[data-field=\"title\"]').innerText.includes('Birth')"
        )
        tab.click("#redo")
        tab.text("Birthday")
        assert tab.errors() == []


def test_entries_are_edited_and_messages_sent(
    network: Network, browser: OpenBrowser, shoot: Shoot
) -> None:
    """A wrong value is refused in words; what fits is there at once, with its commit."""
    ann, bob = network.node("ann"), network.node("bob")
    ours = ann.create(Party)
    theirs = bob.open(Party, ours.invite())
    theirs.ask(Party.bring, "bob", "salad").get(timeout=10)
    with _inspector(ann) as page:
        tab = browser()
        tab.open(page.url)
        tab.text("bob: salad")
        tab.click('[data-field="coming"] button')
        tab.clear("dialog textarea")
        tab.type("dialog textarea", "many")
        tab.click("dialog button.first")
        tab.text("does not fit: give a int")
        tab.clear("dialog textarea")
        tab.type("dialog textarea", "12")
        tab.click("dialog button.first")
        tab.until("document.querySelector('[data-field=\"coming\"] pre').innerText === '12'")
        tab.click('[data-field="brings"] header button')
        tab.type("dialog input", "eve")
        tab.type("dialog textarea", "<i>music</i>")
        tab.click("dialog button.first")
        tab.text("eve: <i>music</i>")
        tab.click('[data-field="guests"] .entry [aria-label="Delete bob"]')
        tab.until(
            "!document.querySelector('[data-field=\"guests\"]').innerText.includes('bob')"
        )
        tab.type("#words", 'joe "red wine"\n')
        tab.text("replied 13")
        tab.text("joe: red wine")
        tab.until("document.querySelectorAll('#log circle').length > 4")
        tab.until("document.querySelectorAll('#members tbody tr').length === 2")
        shoot(tab, "inspector")
        tab.click("#log li:first-child button")
        tab.text("counts")
        shoot(tab, "inspector-commit")
        tab.click("dialog button")
        assert tab.errors() == []


def test_an_owner_goes_back_and_restores(
    network: Network, browser: OpenBrowser, shoot: Shoot
) -> None:
    """The slider shows what was; restoring writes it, as a turn that can be undone."""
    node = network.node("ann")
    ours = node.create(Party)
    for who, what in (("ann", "cake"), ("bob", "salad"), ("eve", "music")):
        ours.ask(Party.bring, who, what).get(timeout=10)
    turn = ours.history()[0].id
    with _inspector(node) as page:
        tab = browser()
        tab.open(page.url)
        tab.text("eve: music")
        _slide(tab, 0)
        tab.until(
            "!document.querySelector('[data-field=\"brings\"]').innerText.includes('eve')"
        )
        tab.text("ann: cake")
        tab.text("after turn 1 of 3")
        assert tab.look("document.querySelectorAll('#fields button').length") == 0
        assert ours.snapshot()["brings"] == {"ann": "cake", "bob": "salad", "eve": "music"}
        shoot(tab, "inspector-past")
        tab.click("#restore")
        tab.until("document.querySelector('#moment').value === '4'")
        assert ours.snapshot() == ours.at(turn)
        tab.click("#undo")
        tab.text("eve: music")
        _slide(tab, 1)
        tab.text("after turn 2 of")
        tab.click("#now")
        tab.text("eve: music")
        assert tab.errors() == []


def test_an_owner_invites_and_removes(
    network: Network, browser: OpenBrowser, shoot: Shoot
) -> None:
    """The link comes with a QR code; a removed device is no member, nor shown as one."""
    ann, bob = network.node("ann"), network.node("bob")
    ours = ann.create(Party)
    with _inspector(ann) as page:
        tab = browser()
        tab.open(page.url)
        tab.click("#inviting button")
        tab.until("document.querySelector('dialog img').naturalWidth > 0")
        link = tab.look("document.querySelector('dialog textarea').value")
        assert isinstance(link, str)
        shoot(tab, "inspector-invite")
        tab.click("dialog .row button")
        bob.open(Party, link)
        tab.text("online")
        tab.click(f'[aria-label="Remove {bob.device.hex()[:8]}"]')
        tab.text("The key changes")
        tab.click("dialog button.first")
        tab.until("document.querySelectorAll('#members tbody tr').length === 1")
        assert [each.device for each in ours.members()] == [ann.device]
        tab.click("#actors button:last-child")
        tab.text(ann.device.hex())
        shoot(tab, "inspector-node")
        assert tab.errors() == []
