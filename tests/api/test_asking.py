"""Deadlines, proxies and facets on a real node."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from comity import Actor, Counter, Interface, Node, Revoked, Unknown, UsageError

PATIENCE = 30.0


class Lock(Actor):
    """Can be held."""

    count: Counter

    def on_start(self) -> None:
        """Begin held by nobody."""
        self.entered = threading.Event()
        self.opened = threading.Event()

    def add(self, number: int = 1) -> int:
        """Count."""
        self.count += number
        return int(self.count)

    def hold(self) -> int:
        """Count, and stay until it is opened."""
        self.count += 1
        self.entered.set()
        assert self.opened.wait(PATIENCE)
        return int(self.count)

    def events(self) -> tuple[threading.Event, threading.Event]:
        """Return what it waits for."""
        return self.entered, self.opened


class Adder(Interface):
    """Adds."""

    def add(self, number: int = 1) -> int:
        """Count."""
        raise NotImplementedError


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """Return a node that is on."""
    with Node(tmp_path / "node", insecure_store=True, listen=None) as made:
        yield made


def test_a_deadline_ends_in_unknown(node: Node) -> None:
    """What had begun takes effect all the same; what had not never does, and is kept."""
    lock = node.create(Lock)
    entered, opened = lock.ask(Lock.events).get(timeout=PATIENCE)
    hasty = lock.options(deadline=0.05)
    begun = hasty.ask(Lock.hold)
    assert entered.wait(PATIENCE)
    behind = hasty.ask(Lock.add, 100)
    for each in (begun, behind):
        with pytest.raises(Unknown, match=r"within 0\.05 seconds"):
            each.get(timeout=PATIENCE)
    opened.set()
    assert lock.ask(Lock.add, 1).get(timeout=PATIENCE) == 2
    (letter,) = node.dead_letters
    assert (letter.message.method, letter.message.arguments) == ("add", (100,))
    assert "deadline" in letter.reason


def test_a_reply_in_time_is_the_reply(node: Node) -> None:
    """The deadline is forgotten then."""
    lock = node.create(Lock).options(deadline=PATIENCE)
    assert lock.ask(Lock.add, 3).get(timeout=PATIENCE) == 3
    with pytest.raises(UsageError):
        lock.options(deadline=-1)


def test_a_proxy_asks_and_tells(node: Node) -> None:
    """By name; fields and private names are not there, and nothing is set."""
    proxy = node.create(Lock).proxy()
    assert proxy.add(2).get(timeout=PATIENCE) == 2
    proxy.add.defer(number=3)
    assert proxy.add().get(timeout=PATIENCE) == 6
    for name in ("count", "_comity_cell", "on_start", "burn"):
        with pytest.raises(AttributeError, match="add, events, hold"):
            getattr(proxy, name)
    with pytest.raises(UsageError, match="send a message"):
        proxy.count = 7


def test_a_facet_is_a_ref_that_does_less(node: Node) -> None:
    """Its asks are futures like others; what owners do is not there."""
    lock = node.create(Lock)
    adder, revoke = lock.facet(Adder).revocable()
    assert adder.ask(Adder.add, 4).get(timeout=PATIENCE) == 4
    adder.tell(Adder.add)
    for name in ("invite", "snapshot", "remove", "proxy"):
        assert not hasattr(adder, name)
    revoke()
    with pytest.raises(Revoked):
        _ = adder.ask(Adder.add, 4)
    assert lock.ask(Lock.add, 0).get(timeout=PATIENCE) == 5
