"""Timers on the dispatcher: turns that come by themselves, one at a time, and end."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from comity.actor.timers import TIMERS_MAX
from comity.base.clock import Instant
from comity.base.errors import UsageError
from comity.drivers.dispatch.alarms import Alarm, Alarms
from comity.drivers.system import SystemClock
from tests.actor.couriers import Courier
from tests.drivers.dispatch.house import PATIENCE, House


def test_every_is_a_turn_again_and_again(house: House) -> None:
    """Its writes are turns as those of messages, until it is cancelled."""
    topic = house.activate(Courier)
    house.tell(topic, "tick_every", 0.005)
    house.wait_for(lambda: len(house.turns(topic)) >= 3)
    house.tell(topic, "stop_ticking")
    count = house.ask(topic, "read").get(timeout=PATIENCE)
    assert count >= 3
    house.ask(topic, "rest", 0.03).get(timeout=PATIENCE)
    assert house.ask(topic, "read").get(timeout=PATIENCE) == count + 2


def test_after_is_a_turn_once(house: House) -> None:
    """With its keywords."""
    topic = house.activate(Courier)
    house.tell(topic, "tick_after", 0.001)
    house.wait_for_turns(topic, 1)
    house.ask(topic, "rest", 0.02).get(timeout=PATIENCE)
    assert house.ask(topic, "read").get(timeout=PATIENCE) == 102


def test_ticks_never_overlap(house: House) -> None:
    """A tick that outlasts its period is followed by the next, not joined by it."""
    topic = house.activate(Courier)
    house.tell(topic, "tick_slowly", 0.002, 0.01)
    house.wait_for(lambda: len(house.turns(topic)) >= 4)
    house.tell(topic, "stop_ticking")
    trace = house.ask(topic, "traces").get(timeout=PATIENCE)
    assert trace[:6] == ["begin", "end"] * 3


def test_timers_die_with_the_activation(house: House) -> None:
    """A stopped actor ticks no more."""
    topic = house.activate(Courier)
    house.tell(topic, "tick_every", 0.002)
    house.wait_for_turns(topic, 1)
    assert house.dispatcher.deactivate(topic).get(timeout=PATIENCE)
    timer = house.local(topic, "timer")
    assert getattr(timer, "is_over", False)


def test_a_timer_takes_the_actors_own_methods(house: House) -> None:
    """Another function is refused, and so is one timer too many."""
    topic = house.activate(Courier)
    actor = house.cells[topic]._actor
    assert isinstance(actor, Courier)
    with pytest.raises(UsageError, match="no method of this actor"):
        actor.after(1, print)
    for _ in range(TIMERS_MAX):
        actor.after(1000, actor._tick, 1)
    with pytest.raises(UsageError, match="cancel"):
        actor.after(1000, actor._tick, 1)


def test_now_and_random_are_the_machines(house: House) -> None:
    """The time is about now, and two numbers differ."""
    topic = house.activate(Courier)
    told = house.ask(topic, "time").get(timeout=PATIENCE)
    assert abs(datetime.now(UTC) - told) < timedelta(seconds=PATIENCE)
    rolls = [house.ask(topic, "roll").get(timeout=PATIENCE) for _ in range(4)]
    assert len(set(rolls)) > 1


def test_alarms_ring_in_the_order_of_their_instants() -> None:
    """Not in that in which they were set; a cancelled one not at all."""
    alarms, rung, done = Alarms(), list[int](), threading.Event()
    now = SystemClock().moment().instant
    alarms.at(Instant(now + 40_000_000), done.set)
    for number in (3, 1, 2):
        alarms.at(Instant(now + number * 5_000_000), partial(rung.append, number))
    cancelled = alarms.at(Instant(now + 10_000_000), lambda: rung.append(99))
    cancelled.cancel()
    cancelled.cancel()
    assert done.wait(PATIENCE)
    assert rung == [1, 2, 3]
    assert alarms.close(PATIENCE)


def test_cancelled_alarms_do_not_pile_up() -> None:
    """Of ten thousand far away that are cancelled few are kept."""
    alarms = Alarms()
    for _ in range(10_000):
        alarms.after(3600, lambda: None).cancel()
    assert len(alarms) < 2500
    assert alarms.close(PATIENCE)


def test_nothing_rings_after_the_end() -> None:
    """An alarm set too late is kept by nobody; closing twice is fine."""
    alarms = Alarms()
    assert alarms.close(PATIENCE)
    late: Alarm = alarms.after(0, lambda: None)
    assert not late.is_cancelled
    assert len(alarms) == 0
    assert alarms.close(PATIENCE)


def test_an_alarm_that_fails_does_not_end_the_others() -> None:
    """The error is logged, the thread goes on."""
    alarms, done = Alarms(), threading.Event()
    alarms.after(0, lambda: 1 // 0)  # type: ignore[arg-type]
    alarms.after(0.001, done.set)
    assert done.wait(PATIENCE)
    assert alarms.close(PATIENCE)
