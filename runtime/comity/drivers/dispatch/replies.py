"""Replies that wait until what they show is on disk.

Owns: the replies of one actor that are not given yet, in the order of its turns. May not
know: mailboxes, the store, who releases.

    post --released already, none before it held--> given
    post --> held --release covers its serial, and all before it are given--> given
    abandon: held ones fail, and so does whatever is posted after

A reply that wrote nothing waits too, for the turn whose effect it may show. Errors are
replies. One thread at a time gives, whichever came first, so the order holds even though
the worker posts and the core's thread releases.
Source: ARCHITECTURE 'The way of a message', 4; invariant 3.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
from typing import Any

from comity.base.errors import UsageError
from comity.drivers.dispatch.future import Future

__all__ = ["Replies"]

_Held = tuple[int, Future[Any], object, Exception | None]
"""Serial that it waits for, whose it is, value, error."""


class Replies:
    """First in, first out; the bound is that of what the core has not made durable."""

    __slots__ = ("_abandoned", "_held", "_is_giving", "_lock", "_released")

    def __init__(self, lock: threading.Lock) -> None:
        """Start with nothing released and nothing held. lock: held for moments only."""
        self._lock = lock
        self._held: deque[_Held] | None = None
        self._released = 0
        self._is_giving = False
        self._abandoned: Exception | None = None

    def post(
        self, serial: int, future: Future[Any], value: object, error: Exception | None
    ) -> None:
        """Give a reply when turns up to `serial` are released. For the actor's holder."""
        future.answerer = None  # from here it waits for the disk, for no actor
        with self._lock:
            if self._abandoned is not None:
                value, error = None, self._abandoned
            elif serial > self._released or self._held or self._is_giving:
                if self._held is None:
                    self._held = deque()
                self._held.append((serial, future, value, error))
                return
        _give(future, value, error)

    def release(self, serial: int) -> None:
        """Give the replies that waited for turns up to `serial`; an older serial is fine."""
        with self._lock:
            self._released = max(self._released, serial)
            if self._is_giving:
                return
            self._is_giving = True
        try:
            self._give_released()
        except BaseException:  # the caller is being interrupted, perhaps to try again
            self._is_giving = False
            raise

    def abandon(self, error: Exception) -> None:
        """Fail all that is held, and what will be posted: no release will come."""
        with self._lock:
            self._abandoned = error
            held, self._held = self._held or (), None
        for _, future, _, _ in held:
            _give(future, None, error)

    def is_all_given(self, serial: int) -> bool:
        """Whether turns up to `serial` are durable and no reply waits."""
        with self._lock:
            return self._released >= serial and not self._held and not self._is_giving

    @property
    def held(self) -> int:
        """How many replies wait."""
        return len(self._held or ())

    def check(self) -> None:
        """Assert that serials never fall along the queue, and that none is forgotten."""
        with self._lock:
            serials = [serial for serial, *_ in self._held or ()]
            assert serials == sorted(serials)
            assert self._is_giving or not serials or serials[0] > self._released

    def _give_released(self) -> None:
        while True:
            with self._lock:
                if not self._held or self._held[0][0] > self._released:
                    if not self._held:
                        self._held = None
                    self._is_giving = False
                    return
                _, future, value, error = self._held.popleft()
            _give(future, value, error)


def _give(future: Future[Any], value: object, error: Exception | None) -> None:
    with suppress(UsageError):  # whoever asked has set it: nobody waits for ours
        if error is None:
            future.set(value)
        else:
            future.fail(error)
