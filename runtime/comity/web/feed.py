"""The newest state of something, for any number of listeners: each gets the latest, once.

Owns: when it is looked at, and who is told. May not know: what it is, nor how it is sent.

    nobody listens --listen--> looking: now, when poked, and at least every so often
    looking --a look differs from the last--> every listener is given it
    looking --the last listener leaves--> nobody listens

A listener that is slow skips states, so that nothing queues up. Lives in one asyncio loop;
only `poke` and `close` may be called from other threads.
Source: decision 21 (live pages).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final

from comity.base.errors import ComityError

__all__ = ["LOOK_SECONDS", "Feed"]

LOOK_SECONDS: Final = 1.0
"""For what nobody pokes about: who is online. Half costs twice the looks."""


class Feed:
    """Looks at something for as long as somebody listens."""

    __slots__ = (
        "_changed",
        "_is_closed",
        "_listeners",
        "_look",
        "_looking",
        "_loop",
        "_poked",
        "_seconds",
        "_text",
        "_version",
    )  # fmt: skip

    def __init__(self, look: Callable[[], Any], *, seconds: float = LOOK_SECONDS) -> None:
        """Take what is called in a thread to look; it returns what JSON can say."""
        self._look = look
        self._seconds = seconds
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = asyncio.Event()
        self._poked = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._listeners = 0
        self._version = 0
        self._text = ""
        self._is_closed = False

    async def listen(self) -> AsyncGenerator[str]:
        """Yield the state as JSON: as it is now, and whenever it is another."""
        self._loop = asyncio.get_running_loop()
        self._listeners += 1
        if self._looking is None:
            self._looking = asyncio.create_task(self._keep_looking())
        seen = 0
        try:
            while not self._is_closed:
                if self._text and self._version != seen:
                    seen = self._version
                    yield self._text
                else:
                    await self._changed.wait()
        finally:
            self._listeners -= 1
            if not self._listeners:
                self._rest()

    def poke(self) -> None:
        """Look again at once: something was just changed."""
        self._soon(self._poked.set)

    def close(self) -> None:
        """Let every listener go."""
        self._is_closed = True
        self._soon(self._tell)

    def _soon(self, call: Callable[[], None]) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call)

    def _tell(self) -> None:
        """Wake every listener."""
        self._changed.set()
        self._changed = asyncio.Event()

    def _rest(self) -> None:
        """Look no more; what was seen grows old, so the next listener waits for a look."""
        if self._looking is not None:
            self._looking.cancel()
        self._looking = None
        self._text = ""

    async def _keep_looking(self) -> None:
        text = ""
        while not self._is_closed:
            self._poked.clear()
            found = await asyncio.to_thread(self._look_once)
            if found != text:
                text = self._text = found
                self._version += 1
                self._tell()
            try:
                await asyncio.wait_for(self._poked.wait(), self._seconds)
            except TimeoutError:
                continue

    def _look_once(self) -> str:
        try:
            found = self._look()
        except ComityError as error:  # the node is closing, or its actor is: say so
            found = {"error": str(error)}
        return json.dumps(found, ensure_ascii=False, separators=(",", ":"))
