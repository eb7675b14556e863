"""The dispatcher: order, ownership, durability before replies, limits, fairness."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from itertools import chain
from queue import Queue
from time import monotonic_ns

import pytest

from comity.actor.fold import BeatClosed, Binding, Fold, Folded, TurnEnded
from comity.actor.message import Message
from comity.actor.waits import DeadlockError
from comity.base.clock import MILLISECOND
from comity.base.errors import UsageError, WorldError
from comity.base.ids import Topic
from comity.drivers.dispatch.dispatcher import Dispatcher
from comity.drivers.dispatch.errors import ActorStopped, MailboxFull
from comity.drivers.dispatch.future import Future
from comity.drivers.dispatch.hosting import BATCH_BUDGET
from tests.drivers.dispatch.house import PATIENCE, Gate, House, Probe, hold


class Created(Probe):
    """Writes when it is created."""

    def on_create(self) -> None:
        """Start from 100."""
        self.count += 100


class Stillborn(Probe):
    """Cannot be created."""

    def on_create(self) -> None:
        """Fail."""
        raise ValueError("unborn")


class Lame(Probe):
    """Cannot be started."""

    def on_start(self) -> None:
        """Fail."""
        raise ValueError("lame")


class Clumsy(Probe):
    """Fails in its hooks."""

    def on_failure(self, error: Exception) -> None:
        """Fail again."""
        raise KeyError("second") from error

    def on_stop(self) -> None:
        """Fail at the end."""
        raise KeyError("last")


# --------------------------------------------------------------------- turns


def test_messages_of_one_actor_run_in_order(house: House) -> None:
    """Tells and asks of one sender are turns in the order in which they were sent."""
    topic = house.activate(Probe)
    order: list[int] = []
    for number in range(100):
        house.tell(topic, "do", lambda n=number: order.append(n))
    house.ask(topic, "read").get(timeout=PATIENCE)
    assert order == list(range(100))


def test_the_handlers_error_arrives_and_its_turn_is_gone(house: House) -> None:
    """`get` raises what the handler raised; the next turn sees nothing of the writes."""
    topic = house.activate(Probe)
    with pytest.raises(ValueError, match="spoilt"):
        house.ask(topic, "spoil").get(timeout=PATIENCE)
    assert house.ask(topic, "read").get(timeout=PATIENCE) == 0
    assert house.turns(topic) == []
    assert house.failures == []


def test_a_tell_that_fails_is_undone_told_and_survived(house: House) -> None:
    """The actor's `on_failure` runs, the node hears of it, the actor goes on."""
    topic = house.activate(Probe)
    house.tell(topic, "spoil")
    assert house.ask(topic, "read").get(timeout=PATIENCE) == 0
    assert house.ask(topic, "get_log").get(timeout=PATIENCE) == ["start", "failure spoilt"]
    (failure,) = house.failures
    assert (failure.topic, failure.message.method) == (topic, "spoil")
    assert isinstance(failure.error, ValueError)


def test_a_hook_that_fails_is_told_too(house: House) -> None:
    """`on_failure` and `on_stop` may raise: the node hears the message's error first."""
    topic = house.activate(Clumsy)
    house.tell(topic, "spoil")
    assert house.dispatcher.deactivate(topic).get(timeout=PATIENCE)
    assert [failure.message.method for failure in house.failures] == [
        "spoil",
        "on_failure",
        "on_stop",
    ]


def test_an_unknown_message_is_the_askers_fault(house: House) -> None:
    """The error names the message; a hook or a private name is no message either."""
    topic = house.activate(Probe)
    for name in ("nothing", "on_stop", "_comity_cell", "__init__"):
        with pytest.raises(UsageError, match=name):
            house.ask(topic, name).get(timeout=PATIENCE)


def test_a_listener_that_fails_is_logged_and_survived(
    build: Callable[..., House], caplog: pytest.LogCaptureFixture
) -> None:
    """If the node's `on_failure` raises, the actor and the worker go on all the same."""
    house = build()

    def fail(*_: object) -> None:
        raise RuntimeError("listener")

    dispatcher = Dispatcher(emit=lambda _: None, on_failure=fail)
    topic = house.activate(Probe, starts=False)
    house.dispatcher.deactivate(topic).get(timeout=PATIENCE)
    dispatcher.activate(house.cells[topic])
    dispatcher.fold(Fold(topic, 1, 0, house.graph))
    with caplog.at_level(logging.ERROR):
        dispatcher.tell(topic, Message("spoil"))
        assert dispatcher.ask(topic, Message("read")).get(timeout=PATIENCE) == 0
    assert "listener" in caplog.text
    assert dispatcher.close(PATIENCE)


# --------------------------------------------------------------------- start and creation


def test_nothing_runs_before_the_last_fold_of_the_history(house: House) -> None:
    """Folds without `last` are applied, messages wait, then all run in order."""
    topic = house.activate(Probe, starts=False)
    reply = house.ask(topic, "get_log")
    house.fold(topic, last=False)
    house.fold(topic, last=False)
    house.wait_for_beat(topic, 2)
    assert not reply.done()
    house.fold(topic)
    assert reply.get(timeout=PATIENCE) == ["start"]
    assert house.events == [Folded(topic, 1), Folded(topic, 2), Folded(topic, 3)]


def test_creation_comes_first_and_start_sees_it(house: House) -> None:
    """`on_create` is the first turn, before messages that were already waiting."""
    topic = house.activate(Created, starts=False)
    created = house.dispatcher.run_create(topic)
    reply = house.ask(topic, "read")
    house.fold(topic)
    assert created.get(timeout=PATIENCE) is None
    assert reply.get(timeout=PATIENCE) == 100
    assert house.ask(topic, "do", lambda: None).get(timeout=PATIENCE) is None
    assert house.local(topic, "seen") == 100
    assert house.turns(topic) == [1]


def test_creation_of_a_started_actor_is_a_turn_like_others(house: House) -> None:
    """The node may also ask for it later; it takes its place in the mailbox."""
    topic = house.activate(Created)
    house.dispatcher.run_create(topic).get(timeout=PATIENCE)
    assert house.ask(topic, "read").get(timeout=PATIENCE) == 100


def test_creation_waits_for_the_disk(build: Callable[..., House]) -> None:
    """Nobody is told of an actor that a crash could still undo."""
    house = build(releases=False)
    topic = house.activate(Created, starts=False)
    created = house.dispatcher.run_create(topic)
    house.fold(topic)
    house.wait_for_turns(topic, 1)
    house.wait_for(lambda: Folded(topic, 1) in house.events)
    assert not created.done()
    house.dispatcher.release(topic, 1)
    created.get(timeout=PATIENCE)


def test_an_actor_whose_creation_fails_is_stopped(house: House) -> None:
    """The creator gets the error, whoever waits ActorStopped; `on_stop` does not run."""
    topic = house.activate(Stillborn, starts=False)
    created = house.dispatcher.run_create(topic)
    reply = house.ask(topic, "read")
    house.fold(topic)
    with pytest.raises(ValueError, match="unborn"):
        created.get(timeout=PATIENCE)
    with pytest.raises(ActorStopped, match="unborn"):
        reply.get(timeout=PATIENCE)
    house.dispatcher.deactivate(topic).get(timeout=PATIENCE)
    assert house.dispatcher.topics() == ()


def test_an_actor_that_cannot_start_is_stopped(house: House) -> None:
    """As in pykka; the node hears why, and so does whoever waits."""
    topic = house.activate(Lame, starts=False)
    reply = house.ask(topic, "read")
    house.tell(topic, "read")
    house.fold(topic)
    with pytest.raises(ActorStopped, match="lame"):
        reply.get(timeout=PATIENCE)
    house.dispatcher.deactivate(topic).get(timeout=PATIENCE)
    assert [failure.message.method for failure in house.failures] == ["on_start", "read"]


def test_activation_twice_is_refused(house: House) -> None:
    """One cell, one holder."""
    topic = house.activate(Probe)
    with pytest.raises(UsageError, match="active already"):
        house.dispatcher.activate(house.cells[topic])


# --------------------------------------------------------------------- folds and beats


def test_a_fold_goes_ahead_of_waiting_messages(house: House) -> None:
    """Between two turns, before all that waits: later turns read the new frontier."""
    topic = house.activate(Probe)
    gate, _ = hold(house, topic)
    replies = [house.ask(topic, "add") for _ in range(3)]
    house.fold(topic)
    gate.opened.set()
    for reply in replies:
        reply.get(timeout=PATIENCE)
    assert house.events[1] == Folded(topic, 2)
    turns = [event for event in house.events if isinstance(event, TurnEnded)]
    assert [(turn.serial, turn.beat) for turn in turns] == [(1, 2), (2, 2), (3, 2)]


def test_a_cell_that_refused_a_fold_waits_for_the_next(build: Callable[..., House]) -> None:
    """After BeatClosed no message runs, until a fold that binds the turns is applied."""
    house = build(releases=True)
    topic = house.activate(Probe)
    assert house.ask(topic, "add").get(timeout=PATIENCE) == 1
    gate, _ = hold(house, topic)
    reply = house.ask(topic, "add")
    house.dispatcher.fold(Fold(topic, 2, 0, house.graph))
    gate.opened.set()
    house.wait_for(lambda: bool(house.refusals(topic)))
    late = house.ask(topic, "read")
    bound = Fold(topic, 2, 1, house.graph, bindings=(Binding(1, 1, 0),))
    assert not reply.done()
    assert not late.done()
    house.dispatcher.fold(bound)
    assert reply.get(timeout=PATIENCE) == 2
    assert late.get(timeout=PATIENCE) == 2
    assert [type(event) for event in house.events] == [
        Folded,
        TurnEnded,
        BeatClosed,
        Folded,
        TurnEnded,
    ]
    assert house.refusals(topic) == [BeatClosed(topic, 1, 1)]
    house.dispatcher.call(topic, lambda cell: cell.check()).get(timeout=PATIENCE)


def test_events_and_replies_keep_the_order_of_turns_under_load(
    build: Callable[..., House],
) -> None:
    """Four threads ask twenty actors on three workers: serials without a gap, in order."""
    house = build(workers=3)
    topics = [house.activate(Probe) for _ in range(20)]
    replies: dict[tuple[int, Topic], list[Future[int]]] = defaultdict(list)

    def ask(asker: int) -> None:
        for number in range(200):
            topic = topics[number % len(topics)]
            replies[asker, topic].append(house.ask(topic, "add"))

    threads = [threading.Thread(target=ask, args=(asker,)) for asker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    for topic in topics:
        house.settle(topic)
        assert house.turns(topic) == list(range(1, 41))
        values = [
            [reply.get(timeout=PATIENCE) for reply in replies[asker, topic]]
            for asker in range(4)
        ]
        assert all(each == sorted(each) for each in values)
        assert sorted(chain(*values)) == list(range(1, 41))


def test_a_fold_for_nobody_is_declined(house: House) -> None:
    """The core may be told of a stop later than it happens."""
    topic = house.activate(Probe)
    assert house.fold(topic)
    house.dispatcher.deactivate(topic).get(timeout=PATIENCE)
    assert not house.fold(topic)


# --------------------------------------------------------------------- durable, then answered


def test_replies_wait_for_what_they_show_to_be_durable(build: Callable[..., House]) -> None:
    """A write, a read of it, an error and a call after it: all held, then in order."""
    house = build(releases=False)
    topic = house.activate(Probe)
    assert house.ask(topic, "read").get(timeout=PATIENCE) == 0
    order: list[str] = []
    replies: dict[str, Future[object]] = {
        "write": house.ask(topic, "add"),
        "read": house.ask(topic, "read"),
        "error": house.ask(topic, "spoil"),
        "call": house.dispatcher.call(topic, lambda cell: cell.serial),
        "second": house.ask(topic, "add"),
    }

    def note(name: str, _: object) -> None:
        order.append(name)

    for name, reply in replies.items():
        reply.add_done_callback(partial(note, name))
    house.wait_for_turns(topic, 2)
    assert order == []
    house.dispatcher.release(topic, 1)
    with pytest.raises(ValueError, match="spoilt"):
        replies["error"].get(timeout=PATIENCE)
    assert replies["call"].get(timeout=PATIENCE) == 1
    assert order == ["write", "read", "error", "call"]
    house.dispatcher.release(topic, 2)
    assert replies["second"].get(timeout=PATIENCE) == 2


def test_release_for_nobody_is_nothing(house: House) -> None:
    """A release may come after the actor has gone."""
    house.dispatcher.release(Topic(bytes(32)), 5)


def test_call_reads_between_turns_and_hands_its_error_on(house: House) -> None:
    """A snapshot is consistent, and a function that raises harms nothing."""
    topic = house.activate(Probe)
    house.tell(topic, "add")
    snapshot = house.dispatcher.call(topic, lambda cell: cell.snapshot())
    assert int(str(snapshot.get(timeout=PATIENCE)["count"])) == 1
    with pytest.raises(ZeroDivisionError):
        house.dispatcher.call(topic, lambda _: 1 // 0).get(timeout=PATIENCE)
    assert house.ask(topic, "read").get(timeout=PATIENCE) == 1


# --------------------------------------------------------------------- limits and fairness


def test_a_full_mailbox_refuses_and_loses_nothing(build: Callable[..., House]) -> None:
    """Both tell and ask raise the same; what was taken runs; then there is room again."""
    house = build(mailbox_max=3, patience=0.01)
    topic = house.activate(Probe, starts=False)
    replies = [house.ask(topic, "add") for _ in range(3)]
    for send in (house.ask, house.tell):
        with pytest.raises(MailboxFull, match="3 messages") as caught:
            send(topic, "add")
        assert isinstance(caught.value, WorldError)
        assert caught.value.retry
    house.fold(topic)
    assert [reply.get(timeout=PATIENCE) for reply in replies] == [1, 2, 3]
    assert house.ask(topic, "add").get(timeout=PATIENCE) == 4


def test_a_full_mailbox_pushes_back_on_its_senders(build: Callable[..., House]) -> None:
    """Twenty threads with ten messages each for a mailbox of three: all arrive, none fails."""
    house = build(mailbox_max=3)
    topic = house.activate(Probe)

    def send() -> None:
        for _ in range(10):
            house.tell(topic, "add")

    senders = [threading.Thread(target=send) for _ in range(20)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join(PATIENCE)
    assert house.ask(topic, "add").get(timeout=PATIENCE) == 201
    house.dispatcher.check()


def test_a_sender_that_waits_for_room_hears_that_the_actor_stopped(
    build: Callable[..., House],
) -> None:
    """It does not wait for a mailbox that is no more."""
    house = build(mailbox_max=1)
    topic = house.activate(Probe, starts=False)
    house.tell(topic, "add")
    heard: Queue[BaseException] = Queue()

    def send() -> None:
        try:
            house.tell(topic, "add")
        except ActorStopped as error:
            heard.put(error)

    sender = threading.Thread(target=send)
    sender.start()
    assert house.dispatcher.deactivate(topic).get(timeout=PATIENCE)
    assert isinstance(heard.get(timeout=PATIENCE), ActorStopped)
    sender.join(PATIENCE)


def test_who_must_not_wait_is_told_at_once(build: Callable[..., House]) -> None:
    """An asyncio loop would stand still, and so would the core; an actor waits for itself."""
    house = build(mailbox_max=1)
    shut = house.activate(Probe, starts=False)
    house.tell(shut, "add")

    async def send() -> None:
        house.tell(shut, "add")

    with pytest.raises(MailboxFull):
        asyncio.run(send())
    house.may_wait = False
    with pytest.raises(MailboxFull):
        house.tell(shut, "add")
    house.may_wait = True
    house.fold(shut)
    seen: Queue[BaseException] = Queue()

    def flood() -> None:
        try:
            for _ in range(2):
                house.tell(shut, "add")
        except MailboxFull as error:
            seen.put(error)

    house.ask(shut, "do", flood).get(timeout=PATIENCE)
    assert isinstance(seen.get(timeout=PATIENCE).__cause__, DeadlockError)


def test_an_error_that_nobody_reads_is_logged(
    build: Callable[..., House], caplog: pytest.LogCaptureFixture
) -> None:
    """Once, when the future is dropped; not if somebody read it, nor for what went well."""
    house = build()
    topic = house.activate(Probe)
    for method in ("add", "spoil"):
        reply = house.ask(topic, method)
        house.settle(topic)
        del reply
    gc.collect()
    (record,) = [each for each in caplog.records if "nobody read" in each.message]
    assert record.message.startswith("spoil raised")
    caplog.clear()
    with pytest.raises(ValueError, match="spoilt"):
        house.ask(topic, "spoil").get(timeout=PATIENCE)
    gc.collect()
    assert "nobody read" not in caplog.text


def test_an_actor_that_uses_up_its_time_goes_to_the_back(build: Callable[..., House]) -> None:
    """Two actors with five long turns each, then a third: it waits for one turn of each."""
    house = build(workers=1)
    holder, first, second, third = (house.activate(Probe) for _ in range(4))
    order: list[str] = []

    def spin(name: str) -> None:
        order.append(name)
        ends = monotonic_ns() + BATCH_BUDGET + MILLISECOND
        while monotonic_ns() < ends:
            pass

    gate, _ = hold(house, holder)
    for _ in range(5):
        house.tell(first, "do", lambda: spin("first"))
        house.tell(second, "do", lambda: spin("second"))
    house.tell(third, "do", lambda: order.append("third"))
    gate.opened.set()
    for topic in (first, second, third):
        house.settle(topic)
    assert order.index("third") <= 2


def test_hot_actors_do_not_starve_a_third(build: Callable[..., House]) -> None:
    """Two actors that always have another message share one worker with a third."""
    house = build(workers=1)
    hot = [house.activate(Probe) for _ in range(2)]
    cold = house.activate(Probe)
    ended = threading.Event()

    def again(topic: Topic) -> None:
        if not ended.is_set():
            house.tell(topic, "do", lambda: again(topic))

    for topic in hot:
        house.tell(topic, "do", lambda t=topic: again(t))
    for _ in range(10):
        assert house.ask(cold, "read").get(timeout=PATIENCE) == 0
    ended.set()


def test_handlers_that_block_do_not_keep_others_waiting(house: House) -> None:
    """Five handlers block two workers without saying so; a sixth actor answers meanwhile."""
    gates = [Gate() for _ in range(5)]
    replies = [house.ask(house.activate(Probe), "do", gate.pass_through) for gate in gates]
    assert house.ask(house.activate(Probe), "read").get(timeout=PATIENCE) == 0
    assert not any(reply.done() for reply in replies)
    for gate in gates:
        gate.opened.set()
    for reply in replies:
        reply.get(timeout=PATIENCE)


def test_ten_thousand_actors_live_on_a_few_threads(build: Callable[..., House]) -> None:
    """None is collected though idle: pykka's references alone would let them go."""
    house = build()
    topics = [house.activate(Probe) for _ in range(10_000)]
    threads = threading.active_count()
    gc.collect()
    replies = [house.ask(topic, "add") for topic in topics]
    assert all(reply.get(timeout=PATIENCE) == 1 for reply in replies)
    assert threads < 20
    assert house.dispatcher.topics() == tuple(topics)
    house.dispatcher.check()
