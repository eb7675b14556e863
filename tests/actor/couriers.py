"""An actor that waits in every way there is, for both of its hosts; see the tests of each.

Owns: `Courier`, `fetch` and `fetch_later`, which stand for the world. May not know: who hosts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from comity import Actor, Counter
from comity.actor.timers import Timer

__all__ = ["Courier", "fetch", "fetch_later"]


def fetch(number: int) -> int:
    """Stand for work that blocks."""
    if number < 0:
        raise ValueError("nothing there")
    return number * 10


async def fetch_later(number: int) -> int:
    """Stand for work of asyncio."""
    await asyncio.sleep(0)
    return fetch(number)


class Courier(Actor):
    """Counts in each stretch."""

    count: Counter

    def on_start(self) -> None:
        """Begin with no traces."""
        self.trace: list[str] = []
        self.timer: Timer | None = None

    def read(self) -> int:
        """Return the count."""
        return int(self.count)

    def add(self, number: int) -> int:
        """Count."""
        self.count += number
        self.trace.append(f"add {number}")
        return int(self.count)

    def traces(self) -> list[str]:
        """Return what ran."""
        return list(self.trace)

    async def rest(self, seconds: float) -> int:
        """Count, sleep, count."""
        self.count += 1
        self.trace.append("falls asleep")
        await self.sleep(seconds)
        self.trace.append("wakes")
        self.count += 1
        return int(self.count)

    async def relay(self, ask: Callable[[], Awaitable[int]]) -> int:
        """Ask another actor between two stretches."""
        self.count += 1
        found = await ask()
        self.count += found
        return found

    async def outside(self, number: int) -> list[int]:
        """Let work run outside, in both ways."""
        blocking = await self.run(fetch, number=number)
        self.count += 1
        return [blocking, await self.io(fetch_later(number))]

    async def stumble(self, awaitable: Callable[[], Any]) -> object:
        """Count, await whatever is made here, count."""
        self.count += 1
        found = await awaitable()
        self.count += 1000
        return found

    async def stumble_later(self) -> None:
        """Count, sleep, count and fail."""
        self.count += 1
        await self.sleep(0)
        self.count += 1000
        raise ValueError("stumbled")

    async def clean_up(self, seconds: float) -> None:
        """Leave a trace however it ends."""
        self.count += 1
        try:
            await self.sleep(seconds)
        finally:
            self.trace.append("cleaned up")

    def tick_every(self, seconds: float) -> None:
        """Begin to tick."""
        self.timer = self.every(seconds, self._tick, 1)

    def tick_after(self, seconds: float) -> None:
        """Tick once, later."""
        self.timer = self.after(seconds, self._tick, number=100)

    def tick_slowly(self, seconds: float, lasts: float) -> None:
        """Begin to tick, each tick longer than the time between two."""
        self.timer = self.every(seconds, self._slow_tick, lasts)

    def stop_ticking(self) -> None:
        """Cancel the timer."""
        assert self.timer is not None
        self.timer.cancel()

    def _tick(self, number: int) -> None:
        self.count += number

    async def _slow_tick(self, lasts: float) -> None:
        self.trace.append("begin")
        self.count += 1
        await self.sleep(lasts)
        self.trace.append("end")

    def roll(self) -> int:
        """Return a number of 0..10^9."""
        return self.random.randint(0, 10**9)

    def time(self) -> datetime:
        """Return the present."""
        return self.now
