"""Who waits for a reply: in a handler without harm, in a cycle not at all, in asyncio."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from comity.actor.message import Message
from comity.actor.waits import DeadlockError
from comity.base.ids import Topic
from tests.drivers.dispatch.house import PATIENCE, House, Probe

# --------------------------------------------------------------------- waiting in a handler


def test_asks_inside_handlers_need_no_thread_of_their_own(
    build: Callable[..., House],
) -> None:
    """A chain of twenty actors, each waiting for the next, on a single worker."""
    house = build(workers=1)
    topics = [house.activate(Probe) for _ in range(20)]

    def descend(rest: list[Topic]) -> int:
        if not rest:
            return 0
        reply = house.ask(rest[0], "do", lambda: descend(rest[1:]))
        return 1 + int(str(reply.get(timeout=PATIENCE)))

    assert house.ask(topics[0], "do", lambda: descend(topics[1:])).get(timeout=PATIENCE) == 19


def test_waiting_for_oneself_is_refused(house: House) -> None:
    """Whatever it is that only this actor can do; with or without a timeout."""
    topic = house.activate(Probe)
    waits: list[Callable[[], object]] = [
        lambda: house.ask(topic, "read").get(),
        lambda: house.ask(topic, "read").get(timeout=PATIENCE),
        lambda: house.ask(topic, "read").map(str).get(),
        lambda: house.dispatcher.call(topic, lambda cell: cell.serial).get(),
        lambda: house.dispatcher.run_create(topic).get(),
        lambda: house.dispatcher.actor_ref(topic).ask(Message("read")),
    ]
    for wait in waits:
        with pytest.raises(DeadlockError, match="Probe 00000000 waits for Probe 00000000"):
            house.ask(topic, "do", wait).get(timeout=PATIENCE)
    assert house.ask(topic, "read").get(timeout=PATIENCE) == 0


def test_waiting_for_ones_own_end_is_refused(house: House) -> None:
    """An actor may ask to be stopped, but not wait for it."""
    topic = house.activate(Probe)
    with pytest.raises(DeadlockError):
        house.ask(
            topic, "do", lambda: house.dispatcher.deactivate(topic).get(timeout=PATIENCE)
        ).get(timeout=PATIENCE)
    assert house.dispatcher.deactivate(topic).get(timeout=PATIENCE) in {True, False}


@pytest.mark.parametrize("length", [2, 3, 5])
def test_a_cycle_of_waiting_actors_is_named(build: Callable[..., House], length: int) -> None:
    """Whoever would close the cycle is told; the error comes back through all the others."""
    house = build(workers=1)
    topics = [house.activate(Probe) for _ in range(length)]

    def ask_next(number: int) -> object:
        following = (number + 1) % length
        return house.ask(topics[following], "do", lambda: ask_next(following)).get()

    with pytest.raises(DeadlockError) as caught:
        house.ask(topics[0], "do", lambda: ask_next(0)).get(timeout=PATIENCE)
    assert str(caught.value).count("waits for") == length
    for topic in topics:
        assert house.ask(topic, "read").get(timeout=PATIENCE) == 0


def test_waiting_for_a_turn_that_is_over_is_no_cycle(build: Callable[..., House]) -> None:
    """A reply that waits for the disk needs no actor, though its actor waits for us."""
    house = build(releases=False)
    first, second = house.activate(Probe), house.activate(Probe)
    held = house.ask(second, "add")
    house.wait_for_turns(second, 1)
    inside = threading.Event()

    def wait_for_held() -> object:
        inside.set()
        return held.get(timeout=PATIENCE)

    reply = house.ask(
        second,
        "do",
        lambda: house.ask(first, "do", wait_for_held).get(timeout=PATIENCE),
    )
    assert inside.wait(PATIENCE)
    house.dispatcher.release(second, 1)
    assert reply.get(timeout=PATIENCE) == 1


def test_a_cycle_across_two_dispatchers_is_found(build: Callable[..., House]) -> None:
    """They share nothing, yet the futures know who answers them."""
    ours, theirs = build(), build()
    here, there = ours.activate(Probe), theirs.activate(Probe)

    def back() -> object:
        return ours.ask(here, "read").get()

    with pytest.raises(DeadlockError):
        ours.ask(here, "do", lambda: theirs.ask(there, "do", back).get()).get(timeout=PATIENCE)


# --------------------------------------------------------------------- asyncio


def test_replies_are_awaited_without_a_thread_each(house: House) -> None:
    """A thousand awaits at once on one loop, which stays free to run other tasks."""
    topics = [house.activate(Probe) for _ in range(10)]

    async def ask(number: int) -> int:
        return int(await house.ask(topics[number % 10], "add"))

    async def main() -> list[int]:
        return await asyncio.gather(*(ask(number) for number in range(1000)))

    values = asyncio.run(asyncio.wait_for(main(), PATIENCE))
    assert sorted(values) == sorted(list(range(1, 101)) * 10)
