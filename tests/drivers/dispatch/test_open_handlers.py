"""Handlers that await, on the dispatcher: order, errors, endings, and who may be waited for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable
from functools import partial
from time import monotonic, sleep
from typing import Any

import pytest

from comity.actor.awaiting import Interrupted
from comity.actor.waits import DeadlockError
from comity.base.errors import UsageError
from comity.base.ids import Topic
from comity.drivers.dispatch.errors import ActorStopped
from comity.drivers.dispatch.future import Future
from tests.actor.couriers import Courier
from tests.drivers.dispatch.house import PATIENCE, Gate, House, Probe, hold


def value(reply: Future[Any]) -> Any:  # noqa: ANN401  (whatever it is)
    """Return what an ask brought."""
    return reply.get(timeout=PATIENCE)


def test_messages_wait_for_the_end_of_an_open_handler(house: House) -> None:
    """None runs between two stretches, and no thread waits meanwhile."""
    topic = house.activate(Courier)
    rest = house.ask(topic, "rest", 0.05)
    house.tell(topic, "add", 5)
    assert value(rest) == 2
    assert value(house.ask(topic, "read")) == 7
    assert value(house.ask(topic, "traces")) == ["falls asleep", "wakes", "add 5"]


def test_a_fold_lands_between_two_stretches(house: House) -> None:
    """It is refused if a stretch wrote, and then no stretch runs before it is offered again."""
    topic = house.activate(Courier)
    gate, other = Gate(), house.activate(Probe)
    rest = house.ask(topic, "relay", lambda: house.ask(other, "do", gate.pass_through))
    house.wait_for_turns(topic, 1)
    assert gate.entered.wait(PATIENCE)
    house.fold(topic, serial=0)
    house.wait_for(lambda: bool(house.refusals(topic)))
    gate.opened.set()
    house.settle(other)
    assert not rest.done()
    assert house.turns(topic) == [1]


def test_an_awaited_ask_brings_its_value_or_its_error(house: House) -> None:
    """Of another actor, without holding a thread."""
    topic, other = house.activate(Courier), house.activate(Probe)
    assert value(house.ask(topic, "relay", partial(house.ask, other, "add", 3))) == 3
    with pytest.raises(ValueError, match="spoilt"):
        value(house.ask(topic, "relay", partial(house.ask, other, "spoil")))
    assert value(house.ask(topic, "read")) == 5  # 1 and 3, then 1


def test_a_thousand_open_handlers_need_no_threads(house: House) -> None:
    """Each waits for one actor that is held."""
    other = house.activate(Probe)
    gate, _ = hold(house, other)
    topics = [house.activate(Courier) for _ in range(300)]
    replies = [
        house.ask(topic, "relay", partial(house.ask, other, "add", 1)) for topic in topics
    ]
    for topic in topics:
        house.wait_for_turns(topic, 1)
    assert threading.active_count() < 20
    gate.opened.set()
    assert sorted(value(each) for each in replies) == list(range(1, 301))


def test_work_outside_comes_back(house: House) -> None:
    """`run` on another thread, `io` in a loop of asyncio; errors come to the await."""
    topic = house.activate(Courier)
    assert value(house.ask(topic, "outside", 4)) == [40, 40]
    with pytest.raises(ValueError, match="nothing there"):
        value(house.ask(topic, "outside", -1))
    assert value(house.ask(topic, "read")) == 1


@pytest.mark.parametrize("make", [lambda: asyncio.sleep(0), lambda: asyncio.sleep(1)])
def test_what_cannot_be_awaited_is_refused_by_name(house: House, make: object) -> None:
    """The error names what can be."""
    topic = house.activate(Courier)
    with pytest.raises(UsageError, match=r"self\.sleep.*self\.run.*self\.io"):
        value(house.ask(topic, "stumble", make))
    assert value(house.ask(topic, "add", 1)) in {1, 2}


def test_a_handler_that_awaits_itself_is_told(house: House) -> None:
    """It would wait for ever; its earlier stretches stay."""
    topic = house.activate(Courier)
    with pytest.raises(DeadlockError, match="Courier"):
        value(house.ask(topic, "relay", partial(house.ask, topic, "read")))
    assert value(house.ask(topic, "read")) == 1


def test_a_cycle_of_awaits_and_blocking_waits_is_found(house: House) -> None:
    """One awaits the other, which blocks on the first: the second is told, both go on."""
    one, two = house.activate(Courier), house.activate(Probe)

    def block() -> object:
        try:
            return house.ask(one, "read").get(timeout=PATIENCE)
        except DeadlockError:
            return 7

    assert value(house.ask(one, "relay", partial(house.ask, two, "do", block))) == 7


def test_a_tell_that_fails_late_is_told(house: House) -> None:
    """In the second stretch: on_failure and the node hear of it once."""
    topic = house.activate(Courier)
    house.tell(topic, "stumble_later")
    house.wait_for(lambda: bool(house.failures))
    (failure,) = house.failures
    assert (failure.message.method, str(failure.error)) == ("stumble_later", "stumbled")
    assert value(house.ask(topic, "read")) == 1


def test_a_stop_lets_an_open_handler_end(house: House) -> None:
    """As long as it does so soon."""
    topic = house.activate(Courier)
    rest = house.ask(topic, "rest", 0.05)
    house.wait_for_turns(topic, 1)
    assert value(house.dispatcher.deactivate(topic)) is True
    assert rest.get(timeout=0) == 2


def test_a_stop_cuts_off_a_handler_that_does_not_end(house: House) -> None:
    """Its sender gets Interrupted, those behind it ActorStopped; `finally` has run."""
    topic = house.activate(Courier)
    rest = house.ask(topic, "clean_up", 3600)
    behind = house.ask(topic, "read")
    house.wait_for_turns(topic, 1)
    stopped = house.dispatcher.deactivate(topic)
    after = house.ask(topic, "read")
    assert value(stopped) is True
    with pytest.raises(Interrupted) as caught:
        rest.get(timeout=0)
    assert caught.value.stretch == 1
    for each in (behind, after):
        with pytest.raises(ActorStopped) as refused:
            each.get(timeout=PATIENCE)
        assert refused.value.retry
    assert house.local(topic, "trace") == ["cleaned up"]


def test_what_a_cut_off_handler_waited_for_comes_to_nobody(house: House) -> None:
    """A reply that comes after the end resumes nothing."""
    topic, other = house.activate(Courier), house.activate(Probe)
    gate, _ = hold(house, other)
    waits = house.ask(topic, "relay", partial(house.ask, other, "add", 1))
    house.wait_for_turns(topic, 1)
    assert value(house.dispatcher.deactivate(topic)) is True
    gate.opened.set()
    house.settle(other)
    with pytest.raises(Interrupted):
        waits.get(timeout=0)


def test_a_crash_in_a_late_stretch_stops_the_actor_alone(house: House) -> None:
    """SystemExit after an await is SystemExit."""
    topic = house.activate(Courier)

    def leave() -> Awaitable[None]:
        raise SystemExit(3)

    with pytest.raises(ActorStopped):
        value(house.ask(topic, "stumble", leave))
    other = house.activate(Courier)
    assert value(house.ask(other, "add", 2)) == 2


def test_blocking_work_of_many_actors_runs_at_once(house: House) -> None:
    """`run` holds up neither other actors nor other work."""
    topics = [house.activate(Courier) for _ in range(20)]

    class Snooze:
        """Sleeps on an errand."""

        def __init__(self, topic: Topic) -> None:
            self.actor = house.cells[topic]._actor

        def __call__(self) -> Awaitable[None]:
            return self.actor.run(sleep, 0.2)

    started = monotonic()
    replies = [house.ask(topic, "stumble", Snooze(topic)) for topic in topics]
    quick = house.activate(Probe)
    assert value(house.ask(quick, "add")) == 1
    for each in replies:
        value(each)
    assert monotonic() - started < 2  # one after the other: four seconds
