"""A feed tells every listener the newest state, once, and looks only while one listens."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from comity import LinkError
from comity.web.feed import Feed


class Thing:
    """Something to look at, which counts how often that is done."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.state: Any = 0
        self.looks = 0

    def look(self) -> Any:
        """Return the state, or raise it."""
        self.looks += 1
        if isinstance(self.state, Exception):
            raise self.state
        return self.state


async def _next(states: Any) -> Any:
    return json.loads(await asyncio.wait_for(anext(states), 10))


def test_a_listener_gets_the_state_at_once_and_then_changes() -> None:
    """Equal looks are not told; a poke brings the next at once."""

    async def scene() -> None:
        thing = Thing()
        feed = Feed(thing.look, seconds=60)
        states = feed.listen()
        assert await _next(states) == 0
        thing.state = {"b": [1]}
        feed.poke()
        assert await _next(states) == {"b": [1]}
        await states.aclose()

    asyncio.run(scene())


def test_without_a_poke_it_looks_now_and_then() -> None:
    """What comes from elsewhere is seen too."""

    async def scene() -> None:
        thing = Thing()
        feed = Feed(thing.look, seconds=0.01)
        states = feed.listen()
        assert await _next(states) == 0
        thing.state = 1
        assert await _next(states) == 1
        await states.aclose()

    asyncio.run(scene())


def test_a_slow_listener_skips_states_and_a_second_one_gets_the_same() -> None:
    """Nothing queues up for who does not read."""

    async def scene() -> None:
        thing = Thing()
        feed = Feed(thing.look, seconds=60)
        quick, slow = feed.listen(), feed.listen()
        assert await _next(quick) == 0
        assert await _next(slow) == 0
        for state in (1, 2, 3):
            thing.state = state
            feed.poke()
            assert await _next(quick) == state
        assert await _next(slow) == 3
        await quick.aclose()
        await slow.aclose()

    asyncio.run(scene())


def test_nobody_looks_while_nobody_listens() -> None:
    """The last one to leave ends it, and the next gets a fresh state, never the old one."""

    async def scene() -> None:
        thing = Thing()
        feed = Feed(thing.look, seconds=0.01)
        assert thing.looks == 0
        states = feed.listen()
        assert await _next(states) == 0
        await states.aclose()
        await asyncio.sleep(0)
        looks = thing.looks
        thing.state = 7
        await asyncio.sleep(0.05)
        assert thing.looks <= looks + 1  # one may have been under way
        states = feed.listen()
        assert await _next(states) == 7
        await states.aclose()

    asyncio.run(scene())


def test_an_error_of_ours_is_told_and_gets_over() -> None:
    """A node that is closing says so; a page does not go blank."""

    async def scene() -> None:
        thing = Thing()
        feed = Feed(thing.look, seconds=60)
        states = feed.listen()
        thing.state = LinkError("gone", retry=True)
        assert await _next(states) == {"error": "gone"}
        thing.state = 1
        feed.poke()
        assert await _next(states) == 1
        await states.aclose()

    asyncio.run(scene())


def test_closing_lets_every_listener_go() -> None:
    """Streams end, so that the server can."""

    async def scene() -> None:
        feed = Feed(Thing().look, seconds=60)

        async def listen() -> int:
            return len([each async for each in feed.listen()])

        listening = [asyncio.create_task(listen()) for _ in range(3)]
        await asyncio.sleep(0.05)
        feed.close()
        assert await asyncio.wait_for(asyncio.gather(*listening), 10) == [1, 1, 1]

    asyncio.run(scene())
