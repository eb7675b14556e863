"""Actors that leave memory while nothing comes, on real nodes: store, core, threads and all."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from comity import Actor, Counter, Node, UsageError, on_change

PATIENCE = 30.0


class Dozer(Actor, idle_seconds=0.03):
    """Adds, and remembers beside itself when it came and went."""

    total: Counter

    heard: ClassVar[threading.Condition] = threading.Condition()
    hooks: ClassVar[list[tuple[str, str]]] = []
    loaded: ClassVar[list[weakref.ref[Dozer]]] = []

    def on_start(self) -> None:
        """Come."""
        self.local = 0
        Dozer.loaded.append(weakref.ref(self))
        self.note("start")

    def on_stop(self) -> None:
        """Go."""
        self.note("stop")

    def add(self, count: int) -> int:
        """Add; return the total."""
        self.total.add(count)
        self.local += 1
        return int(self.total)

    def look(self) -> tuple[int, int]:
        """Return the total, and how many additions this activation made."""
        return int(self.total), self.local

    def note(self, hook: str) -> None:
        """Tell the test of a hook."""
        with Dozer.heard:
            Dozer.hooks.append((type(self).__name__, hook))
            Dozer.heard.notify_all()


class Ticker(Dozer):
    """Has a timer."""

    def on_start(self) -> None:
        """Come, and start it."""
        super().on_start()
        self.every(3600, self.look)


class Parent(Dozer):
    """Has a child."""

    def on_start(self) -> None:
        """Come, and start it."""
        super().on_start()
        self.hand = self.child(Hand)


class Hand(Actor):
    """Does nothing."""


class Reactor(Dozer):
    """Reacts to changes."""

    @on_change("total")
    def react(self) -> None:
        """React."""


@pytest.fixture(autouse=True)
def fresh() -> None:
    """Forget what other tests' actors remembered."""
    Dozer.hooks.clear()
    Dozer.loaded.clear()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """Return a node that is on."""
    with Node(tmp_path / "node", insecure_store=True, listen=None) as made:
        yield made


def wait_for_stops(count: int, name: str = "Dozer") -> None:
    """Wait until the actors of a class went so often."""
    with Dozer.heard:
        assert Dozer.heard.wait_for(
            lambda: Dozer.hooks.count((name, "stop")) >= count, PATIENCE
        )


def test_an_idle_actor_leaves_memory_and_a_message_loads_it(node: Node) -> None:
    """What was acknowledged is there again, attributes are new, hooks ran in order."""
    dozer = node.create(Dozer)
    assert dozer.ask(Dozer.add, 5).get(timeout=PATIENCE) == 5
    wait_for_stops(1)
    assert dozer.ask(Dozer.look).get(timeout=PATIENCE) == (5, 0)
    gc.collect()
    assert Dozer.loaded[0]() is None
    assert dozer.ask(Dozer.add, 2).get(timeout=PATIENCE) == 7
    wait_for_stops(2)
    assert Dozer.hooks[:4] == [("Dozer", "start"), ("Dozer", "stop")] * 2
    assert node.refs == (dozer,)


def test_whatever_is_asked_of_it_loads_it(node: Node) -> None:
    """Tells, snapshots and the log find what messages find."""
    dozer = node.create(Dozer)
    dozer.tell(Dozer.add, 1)
    wait_for_stops(1)
    assert dozer.snapshot() == {"total": 1}
    wait_for_stops(2)
    dozer.tell(Dozer.add, 1)
    assert dozer.ask(Dozer.look).get(timeout=PATIENCE)[0] == 2
    wait_for_stops(3)
    assert dozer.undo() is not None
    assert dozer.snapshot() == {"total": 1}


def test_no_message_is_lost_however_it_meets_the_dozing(node: Node) -> None:
    """Each of two threads adds one after another; all is counted, in order of each."""
    dozer = node.create(Dozer)
    seen: list[list[int]] = [[], []]

    def send(mine: list[int], pace: threading.Event) -> None:
        for number in range(40):
            mine.append(dozer.ask(Dozer.add, 1).get(timeout=PATIENCE))
            pace.wait(0.03 + number % 5 * 0.003)

    pace = threading.Event()
    threads = [threading.Thread(target=send, args=(mine, pace)) for mine in seen]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(seen[0] + seen[1]) == list(range(1, 81))
    assert seen == [sorted(mine) for mine in seen]
    assert node.dead_letters == ()


@pytest.mark.parametrize("kind", [Ticker, Parent, Reactor])
def test_who_has_something_to_lose_stays(node: Node, kind: type[Dozer]) -> None:
    """Timers, children and reactions keep an actor in memory while its neighbour goes."""
    stays = node.create(kind)
    assert stays.ask(kind.add, 1).get(timeout=PATIENCE) == 1
    neighbour = node.create(Dozer)
    wait_for_stops(1)
    assert neighbour.ask(Dozer.add, 1).get(timeout=PATIENCE) == 1
    wait_for_stops(2)
    assert stays.ask(kind.look).get(timeout=PATIENCE) == (1, 1)


def test_who_is_listened_to_stays_until_nobody_listens(node: Node) -> None:
    """A stream of changes misses nothing; when it is closed the actor goes."""
    dozer = node.create(Dozer)
    neighbour = node.create(Dozer)
    with dozer.changes() as changes:
        wait_for_stops(1)
        assert neighbour.snapshot() == {"total": 0}
        wait_for_stops(2)
        assert dozer.ask(Dozer.add, 1).get(timeout=PATIENCE) == 1
        assert next(iter(changes)).field == "total"
    wait_for_stops(3)


def test_a_dozing_actor_is_closed_and_opened_like_others(node: Node) -> None:
    """`on_stop` has run and does not run again; what was written is there."""
    dozer = node.create(Dozer)
    assert dozer.ask(Dozer.add, 3).get(timeout=PATIENCE) == 3
    wait_for_stops(1)
    dozer.close()
    assert Dozer.hooks == [("Dozer", "start"), ("Dozer", "stop")]
    assert node.open(Dozer).snapshot() == {"total": 3}


def test_devices_wake_it_too(tmp_path: Path) -> None:
    """A change of another replica is folded, a message by a link is handled, as if awake."""
    with (
        Node(tmp_path / "a", insecure_store=True) as home,
        Node(tmp_path / "b", insecure_store=True) as away,
    ):
        dozer = home.create(Dozer)
        link = dozer.link()
        other = away.open(Dozer, dozer.invite())
        wait_for_stops(1)
        assert other.ask(Dozer.add, 4).get(timeout=PATIENCE) == 4
        while dozer.snapshot() != {"total": 4}:
            pass
        wait_for_stops(3)
        assert away.ref(Dozer, link).ask(Dozer.add, 1).get(timeout=PATIENCE) == 5


@pytest.mark.parametrize("seconds", [0, -1, 0.001, float("nan"), float("inf"), 1e12])
def test_the_time_is_judged_at_the_definition(seconds: float) -> None:
    """Too short, too long and no number at all are refused, with what to give instead."""
    with pytest.raises(UsageError, match=r"give 0\.01 or more, or leave it out"):
        type("Restless", (Actor,), {}, idle_seconds=seconds)


def test_the_time_is_inherited() -> None:
    """As the other class keywords are."""
    assert Ticker.comity_mailbox.idle == 0.03
    assert Hand.comity_mailbox.idle is None
