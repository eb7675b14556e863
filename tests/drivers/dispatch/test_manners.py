"""One suite of pykka's manners, on pykka's own actors and on ours.

Where ours differ on purpose, a test of its own says so.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

import pykka
import pytest
from pykka import messages

from comity.actor.actor import Actor
from comity.actor.message import Message
from comity.base.errors import UsageError
from comity.drivers.dispatch.errors import ActorStopped
from tests.drivers.dispatch.house import PATIENCE, House


class Theirs(pykka.ThreadingActor):
    """The subject as a pykka actor; its messages are ours."""

    use_daemon_thread = True

    def __init__(self, log: list[str]) -> None:
        super().__init__()
        self.count = 0
        self.log = log

    def on_start(self) -> None:
        """Remember."""
        self.log.append("start")

    def on_stop(self) -> None:
        """Remember."""
        self.log.append("stop")

    def on_receive(self, message: Message) -> object:
        """Do as the method of this name does."""
        return getattr(self, message.method)(*message.arguments)

    def hit(self, number: int) -> int:
        """Count."""
        self.count += number
        return self.count

    def boom(self) -> None:
        """Raise."""
        raise ValueError("boom")

    def wait(self, function: Callable[[], object]) -> object:
        """Call a function."""
        return function()


class Subject(Actor):
    """The same as one of ours."""

    def on_start(self) -> None:
        """Start from nothing."""
        self.count = 0

    def hit(self, number: int) -> int:
        """Count."""
        self.count += number
        return self.count

    def boom(self) -> None:
        """Raise."""
        raise ValueError("boom")

    def wait(self, function: Callable[[], object]) -> object:
        """Call a function."""
        return function()


Ref = pykka.ActorRef[Any]


@pytest.fixture(params=["pykka", "comity"])
def start(
    request: pytest.FixtureRequest, build: Callable[..., House]
) -> Iterator[Callable[[list[str]], Ref]]:
    """Return a starter of subjects; it takes the list that hooks write to."""
    refs: list[Ref] = []
    house = build()

    def start_theirs(log: list[str]) -> Ref:
        refs.append(Theirs.start(log))
        return refs[-1]

    def start_ours(log: list[str]) -> Ref:
        class Logged(Subject):
            """A subject whose hooks write to a list."""

            def on_start(self) -> None:
                """Remember."""
                super().on_start()
                log.append("start")

            def on_stop(self) -> None:
                """Remember."""
                log.append("stop")

        return house.dispatcher.actor_ref(house.activate(Logged))

    yield start_theirs if request.param == "pykka" else start_ours
    for ref in refs:
        ref.stop()


Start = Callable[[list[str]], Ref]


def test_ask_and_tell_are_in_order(start: Start) -> None:
    """A reply counts every tell that was sent before."""
    ref = start([])
    for _ in range(10):
        ref.tell(Message("hit", (1,)))
    assert ref.ask(Message("hit", (5,)), timeout=PATIENCE) == 15


def test_ask_blocks_or_gives_a_future(start: Start) -> None:
    """Both give the same; get_all and map take the futures."""
    ref = start([])
    first = ref.ask(Message("hit", (1,)), block=False)
    second = ref.ask(Message("hit", (1,)), block=False).map(lambda value: value * 10)
    assert list(pykka.get_all([first, second], timeout=PATIENCE)) == [1, 20]


def test_an_asked_error_arrives_and_the_actor_lives(start: Start) -> None:
    """The asker has it; nothing else happens."""
    ref = start([])
    with pytest.raises(ValueError, match="boom"):
        ref.ask(Message("boom"), timeout=PATIENCE)
    assert ref.is_alive()
    assert ref.ask(Message("hit", (1,)), timeout=PATIENCE) == 1


def test_stop_lets_what_waits_run_and_says_whether_it_stopped(start: Start) -> None:
    """True the first time, False after; the hooks run once each."""
    log: list[str] = []
    ref = start(log)
    before = ref.ask(Message("hit", (1,)), block=False)
    assert ref.stop(timeout=PATIENCE) is True
    assert before.get(timeout=PATIENCE) == 1
    assert ref.stop(timeout=PATIENCE) is False
    assert not ref.is_alive()
    assert log == ["start", "stop"]


def test_stop_gives_a_future(start: Start) -> None:
    """It can be waited for later."""
    stopping = start([]).stop(block=False)
    assert stopping.get(timeout=PATIENCE) is True


def test_a_dead_actor_says_so(start: Start) -> None:
    """A tell raises, an ask gives a future that does."""
    ref = start([])
    ref.stop(timeout=PATIENCE)
    with pytest.raises(pykka.ActorDeadError):
        ref.tell(Message("hit", (1,)))
    with pytest.raises(pykka.ActorDeadError):
        ref.ask(Message("hit", (1,)), timeout=PATIENCE)
    reply = ref.ask(Message("hit", (1,)), block=False)
    with pytest.raises(pykka.ActorDeadError):
        reply.get(timeout=PATIENCE)


def test_a_timeout_is_pykkas(start: Start) -> None:
    """The reply may come later."""
    ref = start([])
    gate: pykka.Future[int] = pykka.ThreadingFuture()
    reply = ref.ask(Message("wait", (lambda: gate.get(timeout=PATIENCE),)), block=False)
    with pytest.raises(pykka.Timeout):
        reply.get(timeout=0)
    gate.set(9)
    assert reply.get(timeout=PATIENCE) == 9


def test_refs_name_their_actor(start: Start) -> None:
    """By class and by a URN of its own."""
    first, second = start([]), start([])
    assert first.actor_urn.startswith("urn:")
    assert first.actor_urn != second.actor_urn
    assert first.actor_urn in str(first)


def ours(build: Callable[..., House]) -> Ref:
    """Return a reference to a new subject of ours."""
    house = build()
    return house.dispatcher.actor_ref(house.activate(Subject))


def test_a_told_error_does_not_stop_ours(build: Callable[..., House]) -> None:
    """Decided otherwise than pykka: the turn is undone, so the actor is as it was."""
    ref = ours(build)
    ref.tell(Message("boom"))
    assert ref.ask(Message("hit", (1,)), timeout=PATIENCE) == 1


def test_an_idle_actor_is_not_collected(build: Callable[..., House]) -> None:
    """A pykka reference is weak; the dispatcher holds the actor while it is active."""
    ref = ours(build)
    gc.collect()
    assert ref.is_alive()
    assert ref.ask(Message("hit", (1,)), timeout=PATIENCE) == 1


def test_stop_completes_its_future(build: Callable[..., House]) -> None:
    """In pykka stop() is a lazy hook; a completion callback on it is called all the same."""
    ref = ours(build)
    stopping = ref.stop(block=False)
    called = pykka.ThreadingFuture[object]()
    stopping.add_done_callback(called.set)  # type: ignore[attr-defined]
    assert called.get(timeout=PATIENCE) is stopping
    assert stopping.get(timeout=PATIENCE) is True


@pytest.mark.parametrize(
    "message",
    [
        messages.ProxySetAttr(("cell",), None),
        messages.ProxyGetAttr(("cell",)),
        messages.ProxyCall(("cell", "stop"), (), {}),
        "anything",
    ],
)
def test_no_path_reaches_past_the_messages(
    build: Callable[..., House], message: object
) -> None:
    """The proxy messages of pykka name attributes, ours only methods that are messages."""
    ref = ours(build)
    with pytest.raises(UsageError, match="messages made from its methods"):
        ref.tell(message)
    with pytest.raises(UsageError):
        ref.ask(message)
    assert ref.ask(Message("hit", (1,)), timeout=PATIENCE) == 1


def test_a_put_that_races_with_stop_is_answered(build: Callable[..., House]) -> None:
    """A reference looks at the flag, then puts: what slips through between is told as well."""
    ref = ours(build)
    ref.stop(timeout=PATIENCE)
    inbox = ref.actor_inbox
    future = ref.actor_class._create_future()

    class Letter:
        """An envelope as pykka's."""

        message = Message("hit", (1,))
        reply_to: pykka.Future[Any] | None = future

    inbox.put(Letter())  # type: ignore[arg-type]
    with pytest.raises(ActorStopped):
        future.get(timeout=0)
    Letter.reply_to = None
    with pytest.raises(ActorStopped):
        inbox.put(Letter())  # type: ignore[arg-type]
