"""The page of the ledger example, in two browsers on two devices."""

from __future__ import annotations

from typing import Any

from comity import Site
from tests.web.browser import Browser
from tests.web.conftest import LoadExample, Network, OpenBrowser, Shoot


def _pay(page: Browser, what: str, amount: str, button: str = "pay") -> None:
    page.clear("#what")
    page.type("#what", what)
    page.clear("#amount")
    page.type("#amount", amount)
    page.click(f"#adding button[value={button}]")


def _standing(page: Browser) -> Any:
    return page.look(
        "Object.fromEntries([...document.querySelectorAll('#standing li')].map(e => "
        "[e.children[0].innerText.replace(' (you)', ''), e.children[1].innerText]))"
    )


def _stands(page: Browser, **sums: str) -> None:
    for name, amount in sums.items():
        page.until(
            "[...document.querySelectorAll('#standing li')].some(e => e.children[0].innerText"
            f".replace(' (you)', '') === '{name}' && e.children[1].innerText === '{amount}')"
        )


def _purse(left: Browser, right: Browser, shoot: Shoot) -> None:
    """One puts money in, lets the other spend some, and he does."""
    left.type("#fill", "50\n")
    left.until("document.querySelector('#held').innerText === '50.00'")
    right.text("You can spend 0.00 of it")
    left.type("#fill", "20")
    left.click("#filling button[value=hand_on]")
    right.text("You can spend 20.00 of it")
    _pay(right, "Museum", "12.50", "spend")
    left.until("document.querySelector('#held').innerText === '37.50'")
    left.type("#fill", "nonsense\n")
    left.text("“nonsense” is no amount")
    left.clear("#fill")
    left.type("#fill", "1\n")
    left.until("document.querySelector('#held').innerText === '38.50'")
    left.look("window.scrollTo(0, 0)")
    shoot(left, "ledger")


def test_two_people_keep_one_ledger(
    network: Network, browser: OpenBrowser, example: LoadExample, shoot: Shoot
) -> None:
    """What one pays the other sees and owes; the purse has two who spend from it."""
    module = example("ledger")
    ann, bob = network.node("ann"), network.node("bob")
    ours = ann.create(module.Ledger)
    theirs = bob.open(module.Ledger, ours.invite())
    with Site(ann, ours, module.PAGE) as one, Site(bob, theirs, module.PAGE) as two:
        left, right = browser(), browser()
        left.open(one.url)
        right.open(two.url)
        left.text("shared with 1, 1 online")
        left.type("#name", "Ann\n")
        right.type("#name", "<b>Bob</b>\n")
        left.text("<b>Bob</b>")
        right.text("Ann")
        left.type("#title", "Lisbon\n")
        right.until("document.querySelector('#title').value === 'Lisbon'")
        _pay(left, "Dinner by the river", "30,00")
        right.text("Ann paid for all")
        _pay(right, "Tram tickets", "4")
        left.text("Tram tickets")
        _purse(left, right, shoot)
        own = "#entries li:last-child"
        assert left.look(f"document.querySelectorAll('{own} button').length") == 2
        assert right.look(f"document.querySelectorAll('{own} button').length") == 0
        left.click(f"{own} button")
        left.clear(f"{own} form input")
        left.type(f"{own} form input", "Dinner\n")
        right.until(f"document.querySelector('{own}').innerText.startsWith('Dinner')")
        right.click("#entries button[aria-label='Strike Tram tickets']")
        left.text("· struck")
        _stands(left, **{"<b>Bob</b>": "-21.25"})
        assert left.errors() == []
        assert right.errors() == []


def test_both_pay_while_cut_off_and_everything_counts_once(
    network: Network, browser: OpenBrowser, example: LoadExample
) -> None:
    """The network is gone, both write; when it is back, it is all there, and it is settled."""
    module = example("ledger")
    ann, bob = network.node("ann"), network.node("bob")
    ours = ann.create(module.Ledger)
    theirs = bob.open(module.Ledger, ours.invite())
    with Site(ann, ours, module.PAGE) as one, Site(bob, theirs, module.PAGE) as two:
        left, right = browser(), browser()
        left.open(one.url)
        right.open(two.url)
        left.type("#name", "ann\n")
        right.type("#name", "bob\n")
        left.text("bob")
        right.text("ann")
        network.cut()
        left.text("offline: changes are kept")
        _pay(left, "Bread", "10")
        _pay(right, "Wine", "6")
        _stands(left, ann="+5.00", bob="-5.00")
        _stands(right, ann="-3.00", bob="+3.00")
        network.heal()
        for page in (left, right):
            _stands(page, ann="+2.00", bob="-2.00")
        right.click("#repay button")
        for page in (left, right):
            _stands(page, ann="0.00", bob="0.00")
            assert _standing(page) == {"ann": "0.00", "bob": "0.00"}
            page.text("bob paid it back")
