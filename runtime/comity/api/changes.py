"""`Changes`: what an app hears of one actor, in threads and in asyncio.

Owns: who waits for the next change. May not know: cells, and what changed why.

    told --next--> nobody waits --none pending: wait--> told
    any --close, or the actor is closed--> ended: what is pending is still given

Bounded by the number of fields: what is not taken is joined (`actor.changes.Pending`).
Source: API 'A whole application'.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from comity.actor.changes import FieldChange, Pending
from comity.base.errors import DeadlineError

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Changes", "Feed"]


class Changes:
    """The changes of one actor, one field at a time; `for` and `async for` both take them.

        async for change in todo.changes():
            draw(change.field, change.keys)

    Several threads and tasks may take from one, each change goes to one of them. It ends when
    the actor is closed, and hears nothing more once it is closed itself or forgotten.
    """

    def __init__(self, leave: Callable[[Feed], None]) -> None:
        """Only refs make these. leave: is called once by `close`."""
        self._leave = leave
        self._ready = threading.Condition()
        self._pending = Pending()
        self._ended = False
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self.feed = Feed(self)

    def __iter__(self) -> Self:
        """Return itself."""
        return self

    def __next__(self) -> FieldChange:
        """Wait for the next change. Raises: StopIteration in the end."""
        found = self.get()
        if found is None:
            raise StopIteration
        return found

    def get(self, timeout: float | None = None) -> FieldChange | None:
        """Wait for the next change; None in the end.

        timeout: seconds. Raises: DeadlineError if none came in time.
        """
        with self._ready:
            if not self._ready.wait_for(lambda: len(self._pending) or self._ended, timeout):
                raise DeadlineError(f"no change in {timeout:g} s")
            return self._pending.pop() if len(self._pending) else None

    def __aiter__(self) -> Self:
        """Return itself."""
        return self

    async def __anext__(self) -> FieldChange:
        """Await the next change. Raises: StopAsyncIteration in the end."""
        loop = asyncio.get_running_loop()
        while True:
            with self._ready:
                if len(self._pending):
                    return self._pending.pop()
                if self._ended:
                    raise StopAsyncIteration
                woken: asyncio.Future[None] = loop.create_future()
                self._waiting.append((loop, woken))
            await woken

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Hear nothing more; whoever waits is told of the end. Safe to repeat."""
        if not self._ended:
            self._leave(self.feed)
        self.end()

    def tell(self, changes: Sequence[FieldChange]) -> None:
        """Take changes, from the thread that drives the actor."""
        with self._ready:
            if not self._ended:
                self._pending.add(changes)
            self._wake()

    def end(self) -> None:
        """Learn that no more will come."""
        with self._ready:
            self._ended = True
            self._wake()

    def _wake(self) -> None:
        self._ready.notify_all()
        waiting, self._waiting = self._waiting, []
        for loop, woken in waiting:
            with suppress(RuntimeError):  # that loop is closed: nobody waits in it
                loop.call_soon_threadsafe(_set, woken)


class Feed:
    """What a cell holds of a `Changes`: it forgets the one that everybody has forgotten."""

    __slots__ = ("_changes",)

    def __init__(self, changes: Changes) -> None:
        """Stand for a listener without keeping it alive."""
        self._changes = weakref.ref(changes)

    @property
    def wanted(self) -> bool:
        """Whether anybody has it still."""
        return self._changes() is not None

    def tell(self, changes: Sequence[FieldChange]) -> None:
        """Pass changes on."""
        found = self._changes()
        if found is not None:
            found.tell(changes)

    def end(self) -> None:
        """Pass the end on."""
        found = self._changes()
        if found is not None:
            found.end()


def _set(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)
