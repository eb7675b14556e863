"""Restarts, poison, children and watchers, on the dispatcher."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import pytest

from comity import Poisonous
from comity.actor.actor_type import ActorType
from comity.actor.fold import Fold
from comity.actor.message import Message
from comity.base.clock import Wall
from comity.base.ids import Topic
from comity.drivers.dispatch.dead_letters import LETTERS_MAX, DeadLetter, DeadLetters
from comity.drivers.dispatch.errors import ActorStopped, MailboxFull
from comity.drivers.dispatch.future import Future
from tests.actor.fragile import Boss, Fragile, Mortal, Worker
from tests.drivers.dispatch.house import PATIENCE, House, Probe, hold


@pytest.fixture(autouse=True)
def fresh() -> None:
    """Forget what other tests' actors remembered."""
    Fragile.starts.clear()
    Fragile.attempts.clear()


@dataclass(frozen=True)
class Refs:
    """As much of a ref as a test needs."""

    house: House
    actor_type: ActorType
    topic: Topic

    def ask(self, method: object, *arguments: object) -> Future[object]:
        """Ask."""
        message = Message(getattr(method, "__name__", ""), arguments)
        return self.house.dispatcher.ask(self.topic, message)

    def tell(self, method: object, *arguments: object) -> None:
        """Tell."""
        self.house.tell(self.topic, getattr(method, "__name__", ""), *arguments)


@pytest.fixture
def home(house: House) -> House:
    """Return a house whose core feeds a new cell nothing: what was written is lost in it."""

    def renew(topic: Topic) -> None:
        house.beats[topic] = 0
        house.fold(topic)

    house.dispatcher.on_renew = renew
    house.dispatcher.refer = lambda actor_type, topic: Refs(house, actor_type, topic)
    return house


def settle(house: House, topic: Topic) -> None:
    """Wait for an actor that may be resting, or full for the moment."""
    while True:
        with suppress(MailboxFull):
            house.dispatcher.call(topic, lambda _: None).get(timeout=PATIENCE)
            return


def test_a_restart_drops_what_is_local_and_keeps_the_mailbox(home: House) -> None:
    """Attributes and timers are new; the message that failed comes first, then the others."""
    topic = home.activate(Fragile)
    assert home.ask(topic, "add", 1).get(timeout=PATIENCE) == 1
    old = home.cells[topic]._actor
    home.tell(topic, "fail_until", 2)
    assert home.ask(topic, "look").get(timeout=PATIENCE) == (100, 0)
    assert Fragile.starts == ["start", "failure attempt 1", "start"]
    assert len(Fragile.attempts) == 2
    assert home.dispatcher.dead_letters.all() == ()
    assert getattr(old, "seen", None) == 1


def test_poison_is_tried_once_more_and_then_kept(home: House) -> None:
    """Among the dead letters, with the reason; the actor goes on without it."""
    topic = home.activate(Fragile)
    home.tell(topic, "fail_until", 99)
    assert home.ask(topic, "add", 1).get(timeout=PATIENCE) == 1
    assert len(Fragile.attempts) == 2
    (letter,) = home.dispatcher.dead_letters.all()
    assert (letter.topic, letter.actor, letter.message.method) == (
        topic,
        "Fragile",
        "fail_until",
    )
    assert "failed twice" in letter.reason
    assert "attempt 2" in letter.reason


def test_who_asks_for_poison_gets_it_back(home: House) -> None:
    """What no handler may raise restarts the actor too; its asker learns that it is poison."""
    topic = home.activate(Fragile)
    reply = home.ask(topic, "exit")
    with pytest.raises(Poisonous) as caught:
        reply.get(timeout=PATIENCE)
    assert isinstance(caught.value.__cause__, SystemExit)
    settle(home, topic)
    assert Fragile.starts == ["start"] * 3
    assert len(home.dispatcher.dead_letters.all()) == 1


def test_an_error_that_is_awaited_is_no_failure(home: House) -> None:
    """The asker gets it, the actor goes on as it is."""
    topic = home.activate(Fragile)
    with pytest.raises(ValueError, match="attempt 1"):
        home.ask(topic, "fail_until", 99).get(timeout=PATIENCE)
    assert Fragile.starts == ["start"]


def test_too_many_restarts_stop_the_actor(home: House) -> None:
    """What waits is refused, or kept among the dead letters."""
    topic = home.activate(Fragile)
    for _ in range(3):
        home.tell(topic, "fail_until", 99)
    behind = home.ask(topic, "look")
    with pytest.raises(ActorStopped):
        behind.get(timeout=PATIENCE)
    assert len(Fragile.attempts) == 4
    reasons = [letter.reason for letter in home.dispatcher.dead_letters.all()]
    assert len(reasons) == 3
    assert "its actor stopped" in reasons[-1]


def test_stop_stops_at_the_first_failure(home: House) -> None:
    """And says so."""
    topic = home.activate(Mortal)
    home.tell(topic, "fail_until", 99)
    home.wait_for(lambda: topic not in home.dispatcher.topics())
    assert Mortal.starts == ["start", "failure attempt 1"]
    (letter,) = home.dispatcher.dead_letters.all()
    assert "its actor stopped" in letter.reason


def test_folds_for_the_old_cell_are_dropped(home: House) -> None:
    """The core may have offered one while the actor rested."""
    topic = home.activate(Fragile)
    settle(home, topic)
    home.tell(topic, "fail_until", 2)
    home.wait_for(lambda: bool(home.failures))
    home.dispatcher.fold(Fold(topic, 2, 0, home.graph))
    assert home.ask(topic, "look").get(timeout=PATIENCE) == (100, 0)
    home.dispatcher.check()


def test_a_restart_waits_until_its_last_turn_is_durable(build: type[House]) -> None:
    """The new cell is fed what is on disk: nothing acknowledged may be missing."""
    home = build(releases=False)
    renewed: list[Topic] = []
    home.dispatcher.on_renew = renewed.append
    topic = home.activate(Fragile)
    reply = home.ask(topic, "add", 1)
    home.tell(topic, "fail_until", 99)
    home.wait_for(lambda: bool(home.failures))
    home.dispatcher.call(home.activate(Probe), lambda _: None).get(timeout=PATIENCE)
    assert renewed == []
    home.dispatcher.release(topic, 1)
    assert reply.get(timeout=PATIENCE) == 1
    home.wait_for(lambda: True)
    while not renewed:
        settle(home, home.activate(Probe))
    assert renewed == [topic]
    home.releases = True


def test_a_resting_actor_can_be_stopped(home: House) -> None:
    """It does not come back."""
    topic = home.activate(Fragile)
    home.tell(topic, "fail_until", 99)
    home.wait_for(lambda: bool(home.failures))
    assert home.dispatcher.deactivate(topic).get(timeout=PATIENCE)
    assert topic not in home.dispatcher.topics()


def test_a_child_works_and_ends_with_its_parent(home: House) -> None:
    """Its handlers run as any actor's, unknown to the core."""
    topic = home.activate(Boss)
    assert home.ask(topic, "delegate", 3).get(timeout=PATIENCE) == 3
    assert len(home.dispatcher.topics()) == 2
    assert home.dispatcher.deactivate(topic).get(timeout=PATIENCE)
    home.wait_for(lambda: home.dispatcher.topics() == ())
    assert {event.topic for event in home.events} == {topic}


def test_a_childs_failure_comes_to_its_parent(home: House) -> None:
    """Escalated, it restarts the parent, which has a new child then."""
    topic = home.activate(Boss)
    assert home.ask(topic, "delegate", 3).get(timeout=PATIENCE) == 3
    home.tell(topic, "hurt")
    home.wait_for(lambda: len(home.failures) >= 2)
    child, parent = home.failures[:2]
    assert (child.message.method, str(child.error)) == ("work", "no work")
    assert parent.topic == topic
    assert parent.message.method.startswith("child Worker")
    home.wait_for(lambda: home.beats[topic] == 1)
    assert home.ask(topic, "delegate", 4).get(timeout=PATIENCE) == 4


def test_a_watcher_is_told_once(home: House) -> None:
    """When the other stops, or at once if it is gone; and not when it did well before."""
    one, two = home.activate(Watcher), home.activate(Probe)
    home.ask(one, "look_after", Refs(home, ActorType.of(Probe), two)).get(timeout=PATIENCE)
    assert home.ask(one, "get_heard").get(timeout=PATIENCE) == []
    assert home.dispatcher.deactivate(two).get(timeout=PATIENCE)
    assert home.ask(one, "get_heard").get(timeout=PATIENCE) == [None]
    home.ask(one, "look_after", Refs(home, ActorType.of(Probe), two)).get(timeout=PATIENCE)
    assert home.ask(one, "get_heard").get(timeout=PATIENCE) == [None, None]


class Watcher(Worker):
    """Watches what it is given."""

    def on_start(self) -> None:
        """Begin with nothing heard."""
        self.heard: list[object] = []

    def look_after(self, ref: object) -> None:
        """Watch."""
        self.watch(ref, self.gone)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    def gone(self, down: object) -> None:
        """Hear."""
        self.heard.append(getattr(down, "error", "?"))

    def get_heard(self) -> list[object]:
        """Return what was heard."""
        return self.heard


def test_dead_letters_are_bounded_and_counted() -> None:
    """The oldest go first."""
    letters = DeadLetters()
    for number in range(LETTERS_MAX + 5):
        topic = Topic(number.to_bytes(32))
        letters.add(DeadLetter(topic, "A", Message("m"), "so", wall(number)))
    kept = letters.all()
    assert (len(kept), letters.count) == (LETTERS_MAX, LETTERS_MAX + 5)
    assert kept[0].at == 5


def wall(number: int) -> Wall:
    """Return a time."""
    return Wall(number)


class Small(Probe, mailbox=2, mailbox_bytes=10_000, on_full="reject"):
    """Has little room."""


def test_a_class_bounds_its_mailbox_and_may_refuse_at_once(build: type[House]) -> None:
    """By count; the sender is not held up, however patient it is."""
    home = build(patience=3600.0)
    topic = home.activate(Small)
    gate, _ = hold(home, topic)
    home.tell(topic, "read")
    home.tell(topic, "read")
    with pytest.raises(MailboxFull, match="2 messages"):
        home.tell(topic, "read")
    gate.opened.set()
    settle(home, topic)


def test_a_class_bounds_the_bytes_in_its_mailbox(build: type[House]) -> None:
    """One large message is always taken by an empty mailbox; light ones are only counted."""
    home = build(patience=3600.0)
    topic = home.activate(Small)
    gate, _ = hold(home, topic)
    home.tell(topic, "do", b"x" * 9_000)
    with pytest.raises(MailboxFull, match="9000 bytes"):
        home.tell(topic, "do", ["y" * 2_000])
    home.tell(topic, "do", b"z" * 500)
    gate.opened.set()
    settle(home, topic)
    gate, _ = hold(home, topic)
    home.tell(topic, "do", b"x" * 50_000)
    gate.opened.set()
    settle(home, topic)
    home.dispatcher.check()
