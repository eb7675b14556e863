"""A reply that may not be there yet: for threads, for asyncio, for callbacks.

Owns: the value or error of one reply, and who waits for it. May not know: actors,
mailboxes. A `pykka.Future` in every method, but light: no condition variable, and a waiting
thread costs one lock for as long as it waits.

    pending --set, set_exception--> done
    hooked (map, filter, join, reduce, set_get_hook) --get--> done

A hooked future is worked out in `get`, by whoever calls it, once: never on the thread that
sets its sources. It counts as done as soon as its sources are, so callbacks and `await`
need not call anything to learn that; only what stands behind `set_get_hook` is unknown to
us, and is waited for on a thread of its own.
Source: API (`ask` returns a future awaitable from asyncio and from threads); sketches,
'Facts about pykka' (`await` that blocks the loop, completion that never fires).
"""

from __future__ import annotations

import asyncio
import functools
import logging
import sys
import threading
from asyncio import _get_running_loop
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from time import monotonic
from types import TracebackType
from typing import Any, Final, TypeVar, cast

import pykka

from comity.actor.awaiting import Unknown
from comity.actor.waits import Answerer
from comity.base.errors import UsageError
from comity.drivers.dispatch.errors import ReplyTimeout
from comity.drivers.dispatch.pool import worker_here

__all__ = ["Future"]

T = TypeVar("T")
J = TypeVar("J")
M = TypeVar("M")
R = TypeVar("R")

_logger: Final = logging.getLogger(__name__)

_ExcInfo = tuple[type[BaseException] | None, BaseException | None, TracebackType | None]


class Future(pykka.Future[T]):
    """A handle to a reply."""

    __slots__ = (
        "_callbacks",
        "_done",
        "_error",
        "_hook",
        "_hook_lock",
        "_is_read",
        "_lock",
        "_sources",
        "_trace",
        "_value",
        "answerer",
        "subject",
    )

    answerer: Answerer | None
    """The actor whose turn will make the reply; None once that turn is over."""

    subject: str
    """What was asked, if an error that nobody reads is to be logged; empty if not."""

    def __init__(self, answerer: Answerer | None = None) -> None:
        """Make a pending future."""
        self.answerer = answerer
        self.subject = ""
        self._is_read = False
        self._lock = threading.Lock()
        self._done = False
        self._value: T | None = None
        self._error: BaseException | None = None
        self._trace: TracebackType | None = None
        self._callbacks: list[Callable[[Future[T]], object]] | None = None
        self._hook: Callable[[float | None], T] | None = None
        self._hook_lock: threading.Lock | None = None
        self._sources: tuple[pykka.Future[Any], ...] | None = None

    def __del__(self) -> None:
        """Say what went wrong if nobody looked: an error is not dropped in silence."""
        if self._error is not None and self.subject and not self._is_read:
            _logger.error(
                "%s raised, and nobody read the reply: call .get(), await it, or use tell",
                self.subject,
                exc_info=self._error,
            )

    def __repr__(self) -> str:
        return f"<Future {'done' if self.done() else 'pending'}>"

    # ----------------------------------------------------------------- who answers

    def set(self, value: T | None = None) -> None:
        """Give the reply. Raises: UsageError if the future has one, or a hook."""
        self._settle(value, None)

    def set_exception(self, exc_info: _ExcInfo | None = None) -> None:
        """Give an error as the reply; default the one that is being handled.

        Raises: UsageError as `set`.
        """
        kind, error, _ = sys.exc_info() if exc_info is None else exc_info
        if error is None:
            if kind is None:
                raise UsageError("set_exception() without an error: pass one, as in exc_info")
            error = kind()
        self._settle(None, error)

    def fail(self, error: BaseException) -> None:
        """Give this error as the reply. Raises: UsageError as `set`."""
        self._settle(None, error)

    def set_get_hook(self, func: Callable[[float | None], T]) -> None:
        """Have `get` call a function with its timeout, once, and keep what it returns.

        Raises: UsageError if the future has a reply or a hook.
        """
        self.hook_to(func, None)

    # ----------------------------------------------------------------- who asks

    def done(self) -> bool:
        """Tell whether `get` would not wait for anybody."""
        if self._done:
            return True
        return self._sources is not None and all(map(_is_done, self._sources))

    def get(self, *, timeout: float | None = None) -> T:
        """Return the reply, waiting for it; raise it if it is an error.

        timeout: seconds. In a handler it blocks the actor but no other one: a worker takes
        the place of the one that waits.

        Raises: ReplyTimeout (also a pykka.Timeout) when the time is up; DeadlockError if
            the reply can only come after the caller's own turn.
        """
        if not self._done:
            if self._hook is not None:
                self._work_out(self._hook, timeout)
            else:
                self._wait(timeout)
        if self._error is not None:
            self._is_read = True
            raise self._error.with_traceback(self._trace)
        return cast("T", self._value)

    def add_done_callback(self, callback: Callable[[Future[T]], object]) -> None:
        """Call `callback(self)` once the reply is there; at once if it is.

        It runs on the thread that gives the reply, often the one that drives the node, so
        it must be quick and must not wait. What it raises is logged.
        """
        self._is_read = True  # or will be: whoever is called has it in hand
        self.follow(callback)

    def expire(self, error: Exception) -> None:
        """Give an error unless there is a reply; `is_expired` from then on."""
        with suppress(UsageError):
            self.fail(error)

    @property
    def is_expired(self) -> bool:
        """Whether nobody waits for the reply any more, since its deadline passed."""
        return self._done and type(self._error) is Unknown

    def follow(self, callback: Callable[[Future[T]], object]) -> None:
        """Call back as `add_done_callback` does; for who does not look at the reply."""
        with self._lock:
            if not self._done:
                is_first = self._callbacks is None
                if self._callbacks is None:
                    self._callbacks = []
                self._callbacks.append(callback)
                hook = self._hook if is_first else None
                callback_is_kept = True
            else:
                hook = None
                callback_is_kept = False
        if not callback_is_kept:
            self._call(callback)
        elif hook is not None:
            self._follow()

    def remove_done_callback(self, callback: Callable[[Future[T]], object]) -> None:
        """Do not call a callback that was added and has not been called."""
        with self._lock:
            if self._callbacks is not None and callback in self._callbacks:
                self._callbacks.remove(callback)

    def __await__(self) -> Generator[Any, None, T]:
        loop = _get_running_loop()
        if loop is not None:
            if not self.done():
                yield from self._await_done(loop)
        elif worker_here() is not None:
            return cast("T", (yield self))  # to the actor's host: the stretch ends here
        elif not self.done():
            raise UsageError(
                "await of a reply outside of actors and of a running asyncio loop: use .get()"
            )
        return self.get()

    __iter__ = __await__

    # ----------------------------------------------------------------- derived

    def map(self, func: Callable[[T], M]) -> Future[M]:
        """Return a future of `func` of the reply."""
        return _derived(lambda timeout: func(self.get(timeout=timeout)), self)

    def filter(self: Future[Iterable[J]], func: Callable[[J], bool]) -> Future[Iterable[J]]:
        """Return a future of the list of those items that `func` accepts."""
        return _derived(lambda timeout: list(filter(func, self.get(timeout=timeout))), self)

    def join(self: Future[Any], *futures: pykka.Future[Any]) -> Future[Iterable[Any]]:
        """Return a future of the list of all replies, in order."""

        def collect(timeout: float | None) -> Iterable[Any]:
            ends = _end(timeout)
            return [each.get(timeout=_remaining(ends)) for each in (self, *futures)]

        return _derived(collect, self, *futures)

    def reduce(self: Future[Iterable[J]], func: Callable[[R, J], R], *args: R) -> Future[R]:
        """Return a future of the items folded from the left, as functools.reduce does."""

        def fold(timeout: float | None) -> R:
            return functools.reduce(func, self.get(timeout=timeout), *args)

        return _derived(fold, self)

    # ----------------------------------------------------------------- inside

    def hook_to(
        self,
        hook: Callable[[float | None], T],
        sources: tuple[pykka.Future[Any], ...] | None,
    ) -> None:
        """Have `get` call a function of its timeout; `sources` tell when it need not wait.

        sources: None if that cannot be told. Raises: UsageError as `set_get_hook`.
        """
        with self._lock:
            if self._done or self._hook is not None:
                raise UsageError("the future has its reply, or a hook, already: make another")
            self._hook_lock = threading.Lock()
            self._sources = sources
            self._hook = hook
            is_awaited = bool(self._callbacks)
        if is_awaited:
            self._follow()

    def _settle(self, value: T | None, error: BaseException | None) -> None:
        with self._lock:
            if self._done or self._hook is not None:
                raise UsageError("the future has its reply, or a hook, already: make another")
            callbacks = self._finish(value, error)
        for callback in callbacks:
            self._call(callback)

    def _finish(
        self, value: T | None, error: BaseException | None
    ) -> list[Callable[[Future[T]], object]]:
        assert self._lock.locked()
        self.answerer = None
        self._value = value
        self._error = error
        self._trace = None if error is None else error.__traceback__
        self._done = True
        callbacks, self._callbacks = self._callbacks or [], None
        return callbacks

    def _call(self, callback: Callable[[Future[T]], object]) -> None:
        try:
            callback(self)
        except Exception:
            _logger.exception("a callback of %r failed", self)

    def _fire(self) -> None:
        """Call the callbacks of a hooked future whose sources are done."""
        with self._lock:
            callbacks, self._callbacks = self._callbacks or [], None
        for callback in callbacks:
            self._call(callback)

    def _wait(self, timeout: float | None) -> None:
        here = worker_here()
        if here is None or here[0].is_blocked:  # on an errand: it is counted out already
            self._wait_here(timeout)
        else:
            worker, job = here
            with worker.blocked(job, self):
                self._wait_here(timeout)

    def _wait_here(self, timeout: float | None) -> None:
        gate = threading.Lock()
        gate.acquire()

        def open_gate(_: object) -> None:
            gate.release()

        self.add_done_callback(open_gate)
        if not gate.acquire(timeout=_lock_timeout(timeout)) and not self._done:
            self.remove_done_callback(open_gate)
            raise ReplyTimeout(f"no reply within {timeout} seconds")

    def _work_out(self, hook: Callable[[float | None], T], timeout: float | None) -> None:
        """Call the hook unless another thread has; keep its value or error.

        A timeout that the caller asked for is not kept: it says nothing about the reply.
        """
        assert self._hook_lock is not None
        ends = _end(timeout)
        if not self._hook_lock.acquire(timeout=_lock_timeout(timeout)):
            raise ReplyTimeout(f"no reply within {timeout} seconds")
        try:
            if self._done:
                return
            value: T | None = None
            error: Exception | None = None
            try:
                value = hook(_remaining(ends))
            except pykka.Timeout as late:
                if timeout is not None:
                    raise
                error = late
            except Exception as raised:  # noqa: BLE001  (a reply may be any error)
                error = raised
            with self._lock:
                callbacks = self._finish(value, error)
        finally:
            self._hook_lock.release()
        for callback in callbacks:
            self._call(callback)

    def _follow(self) -> None:
        """See to it that the callbacks of a hooked future are called when it is done."""
        if self._sources is None:
            _on_thread(self, lambda _: None)
            return
        left = len(self._sources)
        lock = threading.Lock()

        def count(_: object) -> None:
            nonlocal left
            with lock:
                left -= 1
                is_last = left == 0
            if is_last:
                self._fire()

        for source in self._sources:
            if isinstance(source, Future):
                source.add_done_callback(count)
            else:
                _on_thread(source, count)

    def _await_done(self, loop: asyncio.AbstractEventLoop) -> Generator[Any, None, None]:
        waiter = loop.create_future()

        def arrive() -> None:
            if not waiter.done():
                waiter.set_result(None)

        def wake(_: object) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits there any more
                loop.call_soon_threadsafe(arrive)

        self.add_done_callback(wake)
        try:
            yield from waiter
        finally:
            self.remove_done_callback(wake)


def _derived(hook: Callable[[float | None], M], *sources: pykka.Future[Any]) -> Future[M]:
    future: Future[M] = Future()
    future.hook_to(hook, sources)
    return future


def _is_done(future: pykka.Future[Any]) -> bool:
    return isinstance(future, Future) and future.done()


def _on_thread(future: pykka.Future[Any], then: Callable[[object], None]) -> None:
    """Call `then` when a future is done that cannot say so itself."""

    def wait() -> None:
        try:
            future.get()
        except Exception as error:  # noqa: BLE001  (whoever gets the reply gets the error)
            _logger.debug("a reply that is waited for is an error: %r", error)
        then(future)

    threading.Thread(target=wait, name="comity-hook", daemon=True).start()


def _end(timeout: float | None) -> float | None:
    return None if timeout is None else monotonic() + timeout


def _remaining(ends: float | None) -> float | None:
    return None if ends is None else max(0.0, ends - monotonic())


def _lock_timeout(timeout: float | None) -> float:
    return -1 if timeout is None else min(max(0.0, timeout), threading.TIMEOUT_MAX)
