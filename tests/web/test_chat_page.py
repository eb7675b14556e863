"""The page of the chat example, in two browsers on two devices."""

from __future__ import annotations

from comity import Site
from tests.web.browser import Browser
from tests.web.conftest import LoadExample, Network, OpenBrowser, Shoot

_LOOK_AWAY = (
    "(Object.defineProperty(document, 'visibilityState', {{configurable: true, value: '{}'}}), "
    "document.dispatchEvent(new Event('visibilitychange')))"
)


def _names(left: Browser, right: Browser) -> None:
    left.type("#name", "Ann\n")
    right.type("#name", "Bob\n")
    left.text("online: Bob")
    right.text("online: Ann")


def test_two_people_talk(
    network: Network, browser: OpenBrowser, example: LoadExample, shoot: Shoot
) -> None:
    """What one says the other reads, and it shows; what is unread is counted, and marked."""
    module = example("chat")
    ann, bob = network.node("ann"), network.node("bob")
    ours = ann.create(module.Chat)
    theirs = bob.open(module.Chat, ours.invite())
    with Site(ann, ours, module.PAGE) as one, Site(bob, theirs, module.PAGE) as two:
        left, right = browser(), browser()
        left.open(one.url)
        right.open(two.url)
        _names(left, right)
        left.type("#title", "Hiking\n")
        right.until("document.title === 'Hiking'")
        left.type("#text", "Saturday at seven?\n")
        right.text("Saturday at seven?")
        left.text("read by Bob")
        right.look(_LOOK_AWAY.format("hidden"))
        left.type("#text", "<i>Bring water.</i>\n")
        left.type("#text", "And a hat\n")
        right.until("document.title === '(2) Hiking'")
        right.until("document.querySelectorAll('#messages li.new').length === 1")
        shoot(right, "chat")
        right.look(_LOOK_AWAY.format("visible"))
        right.until("document.title === 'Hiking'")
        right.type("#text", "I will be there\n")
        left.text("I will be there")
        assert right.look("document.querySelectorAll('#messages .mine').length") == 1
        left.click("[aria-label='Edit: And a hat']")
        left.type("#messages textarea", ", please")
        left.click("#messages form button")
        right.text("And a hat, please")
        right.text("edited")
        left.click("[aria-label='Take back: <i>Bring water.</i>']")
        right.text("taken back")
        right.until("!document.body.innerText.includes('Bring water')")
        shoot(left, "chat-mine")
        assert left.errors() == []
        assert right.errors() == []


def test_both_talk_while_cut_off_and_read_the_same_afterwards(
    network: Network, browser: OpenBrowser, example: LoadExample
) -> None:
    """The network is gone, both go on; when it is back both see it all, in one order."""
    module = example("chat")
    ann, bob = network.node("ann"), network.node("bob")
    ours = ann.create(module.Chat)
    theirs = bob.open(module.Chat, ours.invite())
    with Site(ann, ours, module.PAGE) as one, Site(bob, theirs, module.PAGE) as two:
        left, right = browser(), browser()
        left.open(one.url)
        right.open(two.url)
        _names(left, right)
        left.type("#text", "first\n")
        right.text("first")
        network.cut()
        left.text("offline: what you say is kept")
        left.type("#text", "from ann\n")
        right.type("#text", "from bob\n")
        left.text("from ann")
        right.text("from bob")
        network.heal()
        left.text("from bob")
        right.text("from ann")
        shown = "[...document.querySelectorAll('#messages .said')].map(e => e.innerText)"
        assert left.look(shown) == right.look(shown)
        assert left.look(shown)[0] == "first"
