"""How actors and dispatchers end, and that nobody is left waiting when they do."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pykka
import pytest

from comity.actor.fold import CellEvent, Fold, TurnEnded
from comity.actor.message import Message
from comity.base.errors import UsageError
from comity.base.ids import Topic
from comity.drivers.dispatch.dispatcher import Dispatcher
from comity.drivers.dispatch.errors import ActorStopped
from comity.drivers.dispatch.future import Future
from comity.drivers.dispatch.host import CellHost
from tests.drivers.dispatch.house import PATIENCE, House, Probe, ended, hold

# --------------------------------------------------------------------- ends


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_what_no_handler_may_raise_stops_its_actor_only(
    house: House, kind: type[BaseException]
) -> None:
    """In pykka every actor would be stopped, by one of them: here the others go on."""
    topic, other = house.activate(Probe), house.activate(Probe)
    gate, _ = hold(house, topic)

    def leave() -> None:
        raise kind("out")

    reply = house.ask(topic, "do", leave)
    waiting = house.ask(topic, "read")
    gate.opened.set()
    with pytest.raises(ActorStopped, match="out") as caught:
        reply.get(timeout=PATIENCE)
    assert isinstance(caught.value.__cause__, kind)
    assert not caught.value.retry
    with pytest.raises(ActorStopped) as refused:
        waiting.get(timeout=PATIENCE)
    assert refused.value.retry
    assert house.ask(other, "read").get(timeout=PATIENCE) == 0
    house.dispatcher.deactivate(topic).get(timeout=PATIENCE)
    assert house.dispatcher.topics() == (other,)
    assert [type(failure.error) for failure in house.failures] == [kind]
    assert house.local(topic, "log") == ["start", "stop"]


def test_a_told_exit_stops_its_actor_only(house: House) -> None:
    """The same for a message that nobody awaits; the messages behind it are reported."""
    topic, other = house.activate(Probe), house.activate(Probe)
    gate, _ = hold(house, topic)

    def leave() -> None:
        raise SystemExit(3)

    house.tell(topic, "do", leave)
    house.tell(topic, "add")
    gate.opened.set()
    house.dispatcher.deactivate(topic).get(timeout=PATIENCE)
    assert [type(failure.error) for failure in house.failures] == [SystemExit, ActorStopped]
    assert house.failures[1].message.method == "add"
    assert house.ask(other, "read").get(timeout=PATIENCE) == 0


def test_a_fault_of_ours_stops_the_actor_and_is_told(build: Callable[..., House]) -> None:
    """If an event cannot be emitted its turn is unknown to the core: nothing goes on."""
    house = build()
    told: Future[BaseException] = Future()

    def emit(event: CellEvent) -> None:
        assert not isinstance(event, TurnEnded), "ours"

    dispatcher = Dispatcher(emit=emit, on_failure=lambda _, error, __: told.set(error))
    topic = house.activate(Probe, starts=False)
    house.dispatcher.deactivate(topic).get(timeout=PATIENCE)
    dispatcher.activate(house.cells[topic])
    dispatcher.fold(Fold(topic, 1, 0, house.graph))
    reply = dispatcher.ask(topic, Message("add"))
    assert isinstance(told.get(timeout=PATIENCE), AssertionError)
    assert not reply.done()
    dispatcher.release(topic, 1)
    with pytest.raises(ActorStopped, match="ours"):
        reply.get(timeout=PATIENCE)
    assert dispatcher.close(PATIENCE)


def test_deactivation_lets_waiting_messages_run_first(house: House) -> None:
    """As pykka's stop: what was sent before runs, what comes later is told so."""
    topic = house.activate(Probe)
    gate, _ = hold(house, topic)
    before = house.ask(topic, "add")
    stopped = house.dispatcher.deactivate(topic)
    assert house.dispatcher.deactivate(topic) is stopped
    after = house.ask(topic, "add")
    house.tell(topic, "read")
    gate.opened.set()
    assert before.get(timeout=PATIENCE) == 1
    with pytest.raises(ActorStopped) as caught:
        after.get(timeout=PATIENCE)
    assert isinstance(caught.value, pykka.ActorDeadError)
    assert caught.value.retry
    assert stopped.get(timeout=PATIENCE) is True
    assert house.dispatcher.deactivate(topic).get(timeout=PATIENCE) is False
    assert [failure.message.method for failure in house.failures] == ["read"]
    assert house.local(topic, "log") == ["start", "stop"]
    with pytest.raises(ActorStopped):
        house.tell(topic, "add")
    with pytest.raises(ActorStopped):
        house.ask(topic, "add").get(timeout=PATIENCE)


def test_a_cell_that_never_started_stops_at_once(house: House) -> None:
    """Without `on_stop`; messages and creation are told."""
    topic = house.activate(Probe, starts=False)
    created = house.dispatcher.run_create(topic)
    reply = house.ask(topic, "read")
    assert house.dispatcher.deactivate(topic).get(timeout=PATIENCE)
    for future in (created, reply):
        with pytest.raises(ActorStopped):
            future.get(timeout=PATIENCE)
    assert house.local(topic, "log") is None


def test_a_cell_that_waits_for_a_fold_stops_at_once(house: House) -> None:
    """The fold may never come; `on_stop` runs, messages are told."""
    topic = house.activate(Probe)
    house.ask(topic, "add").get(timeout=PATIENCE)
    house.dispatcher.fold(Fold(topic, 2, 0, house.graph))
    house.wait_for(lambda: bool(house.refusals(topic)))
    reply = house.ask(topic, "read")
    assert house.dispatcher.deactivate(topic).get(timeout=PATIENCE)
    with pytest.raises(ActorStopped):
        reply.get(timeout=PATIENCE)
    assert house.local(topic, "log") == ["start", "stop"]


def test_an_actor_is_gone_when_its_last_reply_is(build: Callable[..., House]) -> None:
    """Until then its topic is taken, for its serials are not those of the next cell."""
    house = build(releases=False)
    topic = house.activate(Probe)
    reply = house.ask(topic, "add")
    stopped = house.dispatcher.deactivate(topic)
    house.wait_for_turns(topic, 1)
    late = house.ask(topic, "read")
    assert not stopped.done()
    assert not reply.done()
    with pytest.raises(UsageError, match="still stopping"):
        house.dispatcher.activate(house.cells[topic])
    order: list[str] = []
    stopped.add_done_callback(lambda _: order.append("stopped"))
    reply.add_done_callback(lambda _: order.append("reply"))
    house.dispatcher.release(topic, 1)
    assert stopped.get(timeout=PATIENCE)
    assert reply.get(timeout=0) == 1
    with pytest.raises(ActorStopped):
        late.get(timeout=PATIENCE)
    assert order == ["reply", "stopped"]
    assert house.dispatcher.topics() == ()


def test_an_actor_whose_told_writes_are_not_durable_is_not_gone(
    build: Callable[..., House],
) -> None:
    """Nobody holds a reply of it, yet its serials may still be released."""
    house = build(releases=False)
    topic = house.activate(Probe)
    house.tell(topic, "add")
    stopped = house.dispatcher.deactivate(topic)
    house.wait_for_turns(topic, 1)
    late = house.ask(topic, "read")
    assert not stopped.done()
    house.dispatcher.release(topic, 1)
    assert stopped.get(timeout=PATIENCE)
    with pytest.raises(ActorStopped):
        late.get(timeout=PATIENCE)


def test_whoever_hears_of_the_stop_may_activate_again(house: House) -> None:
    """At once, in the callback itself."""
    for _ in range(50):
        topic = house.activate(Probe)
        again: Future[None] = Future()

        def activate(_: object, topic: Topic = topic, again: Future[None] = again) -> None:
            house.dispatcher.activate(house.cells[topic])
            again.set(None)

        stopped = house.dispatcher.deactivate(topic)
        stopped.add_done_callback(activate)
        again.get(timeout=PATIENCE)


def test_an_ask_that_races_with_stop_is_answered(house: House) -> None:
    """By a value or by ActorStopped: in pykka it may never be."""
    for _ in range(100):
        topic = house.activate(Probe)
        start = threading.Barrier(2)
        replies: list[Future[object]] = []

        def ask(
            topic: Topic = topic,
            start: threading.Barrier = start,
            replies: list[Future[object]] = replies,
        ) -> None:
            start.wait(PATIENCE)
            replies.extend(house.ask(topic, "read") for _ in range(20))

        thread = threading.Thread(target=ask)
        thread.start()
        start.wait(PATIENCE)
        stopped = house.dispatcher.deactivate(topic)
        thread.join(PATIENCE)
        for reply in replies:
            value, stop = ended(reply)
            assert value == 0 if stop is None else stop.retry
        assert stopped.get(timeout=PATIENCE)


def test_close_fails_what_can_no_longer_be_answered(build: Callable[..., House]) -> None:
    """Turns whose durability is not known; messages that never ran may be sent again."""
    house = build(releases=False)
    topic, waiting = house.activate(Probe), house.activate(Probe, starts=False)
    held = house.ask(topic, "add")
    unheard = house.ask(waiting, "add")
    house.wait_for_turns(topic, 1)
    assert not house.dispatcher.close(0.0)
    for reply, retry in ((held, False), (unheard, True)):
        with pytest.raises(ActorStopped) as caught:
            reply.get(timeout=0)
        assert caught.value.retry is retry
    assert house.dispatcher.topics() == ()
    assert house.dispatcher.close(0.0)


def test_close_does_not_wait_for_a_handler_that_stays(build: Callable[..., House]) -> None:
    """Its asker and those behind it are told; the late reply goes nowhere."""
    house = build()
    topic = house.activate(Probe)
    gate, reply = hold(house, topic)
    behind = house.ask(topic, "read")
    house.tell(topic, "read")
    assert not house.dispatcher.close(0.0)
    with pytest.raises(ActorStopped):
        behind.get(timeout=0)
    assert [failure.message.method for failure in house.failures] == ["read"]
    gate.opened.set()
    with pytest.raises(ActorStopped, match="durable"):
        reply.get(timeout=PATIENCE)
    assert house.dispatcher.close(PATIENCE)


def test_a_closed_dispatcher_says_so(house: House) -> None:
    """Nothing is taken after `close`, and a second close is fine."""
    topic = house.activate(Probe)
    assert house.dispatcher.close(PATIENCE)
    assert house.dispatcher.close(PATIENCE)
    with pytest.raises(UsageError, match="closed"):
        house.dispatcher.activate(house.cells[topic])
    with pytest.raises(ActorStopped):
        house.tell(topic, "read")
    with pytest.raises(ActorStopped):
        house.ask(topic, "read").get(timeout=PATIENCE)
    with pytest.raises(ActorStopped):
        house.dispatcher.actor_ref(topic)


def test_an_actor_cannot_close_its_dispatcher(house: House) -> None:
    """It would wait for itself; the error says where to do it."""
    topic = house.activate(Probe)
    with pytest.raises(UsageError, match="from outside"):
        house.ask(topic, "do", lambda: house.dispatcher.close(1.0)).get(timeout=PATIENCE)


def test_nothing_is_entered_in_pykkas_registry(house: House) -> None:
    """It is one list under one lock, shared by the process."""
    house.ask(house.activate(Probe), "read").get(timeout=PATIENCE)
    assert pykka.ActorRegistry.get_all() == []
    with pytest.raises(UsageError, match="activate"):
        CellHost.start()
