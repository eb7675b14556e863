"""What a handler awaits that is no reply: time, work that blocks, asyncio.

Owns: the alarm of a sleep, the errand that a worker runs for `self.run`, the one loop of
asyncio for `self.io`, on a thread that starts with its first coroutine. May not know: who
waits; it calls back, from any thread, once, unless what it began was cancelled before.

    begin(wait, done) --> cancel          done(value, None) or done(None, error)
Source: API 'A whole application' (awaitable: asks, `self.sleep`, `self.run`, `self.io`).
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Final

from comity.actor.awaiting import Foreign, Sleep, Work, not_awaitable
from comity.actor.waits import Answerer, Awaited
from comity.base.errors import UsageError
from comity.drivers.dispatch.alarms import Alarms
from comity.drivers.dispatch.pool import Job, WorkerPool, worker_here

__all__ = ["Done", "Outside"]

Done = Callable[[object, BaseException | None], None]
"""Is told the value, or the error."""


class _Nobody:
    """What an errand waits for: the world, and no actor."""

    __slots__ = ()

    @property
    def answerer(self) -> Answerer | None:
        return None


_NOBODY: Final = _Nobody()


class _Errand:
    """One call that blocks, as a job of the pool: its worker is counted out meanwhile."""

    __slots__ = ("_done", "_work", "awaits")

    awaits: Awaited | None

    def __init__(self, work: Work, done: Done) -> None:
        self._work = work
        self._done: Done | None = done
        self.awaits = None

    @property
    def label(self) -> str:
        return f"run({getattr(self._work.function, '__qualname__', self._work.function)!s})"

    def cancel(self) -> None:
        """Tell nobody; a call that has begun goes on, one that has not never will."""
        self._done = None

    def run_batch(self) -> bool:
        done = self._done
        if done is None:
            return False
        here = worker_here()
        assert here is not None
        value, error = None, None
        try:
            with here[0].blocked(self, _NOBODY):
                value = self._work.call()
        except BaseException as raised:  # noqa: BLE001  (the handler gets it)
            error = raised
        if self._done is not None:
            done(value, error)
        return False


class Outside:
    """The world beyond the actors of one dispatcher."""

    __slots__ = ("_alarms", "_is_closed", "_lock", "_loop", "_pool", "_thread")

    def __init__(self, pool: WorkerPool, alarms: Alarms) -> None:
        """Begin nothing yet."""
        self._pool = pool
        self._alarms = alarms
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def begin(self, wait: object, done: Done) -> Callable[[], object]:
        """Begin what a handler awaits; return what cancels it."""
        match wait:
            case Sleep(seconds):
                return self._alarms.after(seconds, lambda: done(None, None)).cancel
            case Work():
                errand = _Errand(wait, done)
                job: Job = errand
                self._pool.submit(job)
                return errand.cancel
            case Foreign(awaitable):
                return self._foreign(awaitable, done)
            case _:
                done(None, not_awaitable(wait))
                return _nothing

    def close(self, timeout: float) -> bool:
        """Cancel what runs in the loop, and end it; whether that took at most `timeout`."""
        with self._lock:
            self._is_closed = True
            loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return True
        if not loop.is_closed():
            loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout)
        return not thread.is_alive()

    def _foreign(self, awaitable: Awaitable[Any], done: Done) -> Callable[[], object]:
        try:
            running = asyncio.run_coroutine_threadsafe(_await(awaitable), self._running_loop())
        except UsageError as error:
            done(None, error)
            return _nothing
        running.add_done_callback(lambda ended: _tell(ended, done))
        return running.cancel

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._is_closed:
                raise UsageError("the node is closing: nothing new begins")
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=_run_loop, args=(self._loop,), name="comity-asyncio", daemon=True
                )
                self._thread.start()
            return self._loop


def _run_loop(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()


async def _await(awaitable: Awaitable[Any]) -> object:
    return await awaitable


def _tell(ended: concurrent.futures.Future[object], done: Done) -> None:
    if ended.cancelled():
        done(None, asyncio.CancelledError("what self.io awaited was cancelled"))
        return
    error = ended.exception()
    done(None if error is not None else ended.result(), error)


def _nothing() -> None:
    return None
