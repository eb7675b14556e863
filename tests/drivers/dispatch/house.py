"""A core in miniature for the tests of the dispatcher, and an actor that does as told.

Owns: `House`, which folds, releases and listens; `Probe`; `Gate`, which holds a handler. May
not know: how the dispatcher works inside.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from comity.actor.actor import Actor
from comity.actor.actor_type import ActorType
from comity.actor.cell import Cell
from comity.actor.fold import BeatClosed, CellEvent, Fold, Folded, TurnEnded
from comity.actor.message import Message
from comity.base.ids import Topic
from comity.crdt.views import Counter
from comity.drivers.dispatch.dispatcher import Dispatcher
from comity.drivers.dispatch.errors import ActorStopped
from comity.drivers.dispatch.future import Future
from comity.log.graph import Graph

PATIENCE = 30.0
"""Seconds after which a test is taken to hang; none waits that long when all is well."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What the node was told."""

    topic: Topic
    error: BaseException
    message: Message


class House:
    """A dispatcher, and a core that keeps what it hears.

    patience: seconds for which a sender waits for room.
    releases: whether each turn is durable as soon as it ended.
    """

    def __init__(
        self,
        *,
        workers: int = 2,
        mailbox_max: int = 1000,
        patience: float = PATIENCE,
        releases: bool = True,
    ) -> None:
        self.events: list[CellEvent] = []
        self.failures: list[Failure] = []
        self.releases = releases
        self.may_wait = True
        self.heard = threading.Condition()
        self.graph = Graph()
        self.cells: dict[Topic, Cell] = {}
        self.beats: dict[Topic, int] = {}
        self.dispatcher = Dispatcher(
            emit=self._emit,
            on_failure=self._failed,
            may_wait=lambda: self.may_wait,
            patience=patience,
            workers=workers,
            mailbox_max=mailbox_max,
        )

    def activate(self, actor: type[Actor], *, starts: bool = True) -> Topic:
        """Host a new actor of a class; started, unless its first fold is to come later."""
        topic = Topic(len(self.cells).to_bytes(32))
        self.cells[topic] = Cell(ActorType.of(actor), topic)
        self.beats[topic] = 0
        self.dispatcher.activate(self.cells[topic])
        if starts:
            self.fold(topic)
        return topic

    def fold(self, topic: Topic, *, serial: int = 0, last: bool = True) -> bool:
        """Offer an empty fold that leads to the next beat."""
        self.beats[topic] += 1
        beat = self.beats[topic]
        return self.dispatcher.fold(Fold(topic, beat, serial, self.graph, last=last))

    def tell(self, topic: Topic, method: str, *arguments: Any) -> None:
        """Tell by the method's name."""
        self.dispatcher.tell(topic, Message(method, arguments))

    def ask(self, topic: Topic, method: str, *arguments: Any) -> Future[Any]:
        """Ask by the method's name."""
        return self.dispatcher.ask(topic, Message(method, arguments))

    def wait_for(self, what: Callable[[], bool]) -> None:
        """Wait until the core has heard enough."""
        with self.heard:
            assert self.heard.wait_for(what, PATIENCE)

    def wait_for_turns(self, topic: Topic, serial: int) -> None:
        """Wait until so many turns that write have ended."""
        self.wait_for(lambda: self.turns(topic)[-1:] == [serial])

    def wait_for_beat(self, topic: Topic, beat: int) -> None:
        """Wait until a fold has been applied."""
        self.wait_for(lambda: Folded(topic, beat) in self.events)

    def turns(self, topic: Topic) -> list[int]:
        """Return the serials of the turns of an actor, as they were heard."""
        events = [each for each in self.events if each.topic == topic]
        return [each.serial for each in events if isinstance(each, TurnEnded)]

    def refusals(self, topic: Topic) -> list[BeatClosed]:
        """Return the folds that an actor refused."""
        events = [each for each in self.events if each.topic == topic]
        return [each for each in events if isinstance(each, BeatClosed)]

    def local(self, topic: Topic, name: str) -> object:
        """Return a plain attribute of an actor, whether or not it is active."""
        return getattr(self.cells[topic]._actor, name, None)

    def settle(self, topic: Topic) -> None:
        """Wait until an actor has done what it was sent before."""
        self.dispatcher.call(topic, lambda _: None).get(timeout=PATIENCE)

    def _emit(self, event: CellEvent) -> None:
        with self.heard:
            self.events.append(event)
            self.heard.notify_all()
        if self.releases and isinstance(event, TurnEnded):
            self.dispatcher.release(event.topic, event.serial)

    def _failed(self, topic: Topic, error: BaseException, message: Message) -> None:
        with self.heard:
            self.failures.append(Failure(topic, error, message))
            self.heard.notify_all()


class Probe(Actor):
    """Does what a test wants, within a turn."""

    count: Counter

    def on_start(self) -> None:
        """Remember the hooks."""
        self.log = ["start"]
        self.seen = int(self.count)

    def on_stop(self) -> None:
        """Remember the hooks."""
        self.log.append("stop")

    def on_failure(self, error: Exception) -> None:
        """Remember the hooks."""
        self.log.append(f"failure {error}")

    def add(self, number: int = 1) -> int:
        """Write."""
        self.count += number
        return int(self.count)

    def read(self) -> int:
        """Return what was written."""
        return int(self.count)

    def spoil(self) -> None:
        """Write and raise: nothing must be left of it."""
        self.count += 1000
        raise ValueError("spoilt")

    def do(self, function: Callable[[], object]) -> object:
        """Call a function."""
        return function()

    def get_log(self) -> list[str]:
        """Return the hooks that ran."""
        return self.log


class Gate:
    """Holds a handler until it is opened, and tells when the handler has come."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    def pass_through(self) -> None:
        """Wait to be opened."""
        self.entered.set()
        assert self.opened.wait(PATIENCE)


def hold(house: House, topic: Topic) -> tuple[Gate, Future[object]]:
    """Have an actor held by a handler until the gate is opened."""
    gate = Gate()
    reply = house.ask(topic, "do", gate.pass_through)
    assert gate.entered.wait(PATIENCE)
    return gate, reply


def ended(reply: Future[object]) -> tuple[object, ActorStopped | None]:
    """Return how an ask ended: its value, or that the actor had stopped."""
    try:
        return reply.get(timeout=PATIENCE), None
    except ActorStopped as error:
        return None, error
