"""One thread that waits for whoever wants to be woken at an instant.

Owns: the heap of alarms and the thread, which starts with the first of them. May not know:
what is to be done; it calls, on its own thread, what must be quick and must not wait.

    set --due--> called          set --cancelled--> forgotten, at the latest when it is due

Calls come in the order of their instants, equal ones in the order in which they were set.
Source: API 'Time, failure, limits'.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Final

from comity.base.clock import SECOND, Instant
from comity.drivers.system import SystemClock

__all__ = ["Alarm", "Alarms"]

_FORGOTTEN_MAX: Final = 1000
"""Cancelled alarms that are kept until they are due: then the heap is cleaned of them, if they
are more than half of it."""

_logger: Final = logging.getLogger(__name__)


class Alarm:
    """One call to come."""

    __slots__ = ("_act", "_alarms", "due", "number")

    def __init__(
        self, alarms: Alarms, due: Instant, number: int, act: Callable[[], None]
    ) -> None:
        """Only `Alarms` makes these."""
        self._alarms = alarms
        self.due = due
        self.number = number
        self._act: Callable[[], None] | None = act

    def __lt__(self, other: Alarm) -> bool:
        """Order by instant, then by who was first."""
        return (self.due, self.number) < (other.due, other.number)

    @property
    def is_cancelled(self) -> bool:
        """Whether nothing is to be called, or has been already."""
        return self._act is None

    def cancel(self) -> None:
        """Call nothing; a call that has begun goes on. Safe to repeat."""
        if self._act is not None:
            self._act = None
            self._alarms.forget_one()

    def ring(self) -> None:
        """Call. For the thread."""
        act, self._act = self._act, None
        if act is not None:
            act()


class Alarms:
    """All alarms of one dispatcher."""

    __slots__ = ("_clock", "_forgotten", "_heap", "_is_closed", "_news", "_number", "_thread")

    def __init__(self) -> None:
        """Start without a thread."""
        self._clock = SystemClock()
        self._news = threading.Condition()
        self._heap: list[Alarm] = []
        self._number = 0
        self._forgotten = 0
        self._is_closed = False
        self._thread: threading.Thread | None = None

    def __len__(self) -> int:
        """Return how many are set, cancelled ones that are kept included."""
        return len(self._heap)

    def at(self, due: Instant, act: Callable[[], None]) -> Alarm:
        """Call `act` at an instant, at once if it has passed; never after `close`."""
        with self._news:
            self._number += 1
            alarm = Alarm(self, due, self._number, act)
            if self._is_closed:
                return alarm
            heappush(self._heap, alarm)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="comity-alarms", daemon=True
                )
                self._thread.start()
            elif self._heap[0] is alarm:
                self._news.notify()
        return alarm

    def after(self, seconds: float, act: Callable[[], None]) -> Alarm:
        """Call `act` after a while."""
        return self.at(Instant(self._clock.moment().instant + int(seconds * SECOND)), act)

    def forget_one(self) -> None:
        """Count a cancelled alarm. For alarms."""
        with self._news:
            self._forgotten += 1
            if self._forgotten > max(_FORGOTTEN_MAX, len(self._heap) // 2):
                self._heap = [each for each in self._heap if not each.is_cancelled]
                heapify(self._heap)
                self._forgotten = 0

    def close(self, timeout: float) -> bool:
        """End the thread; return whether it ended within so many seconds. Safe to repeat."""
        with self._news:
            self._is_closed = True
            self._heap.clear()
            self._news.notify()
            thread = self._thread
        if thread is None:
            return True
        thread.join(timeout)
        return not thread.is_alive()

    def _run(self) -> None:
        while (alarm := self._next()) is not None:
            try:
                alarm.ring()
            except Exception:
                _logger.exception("an alarm failed")

    def _next(self) -> Alarm | None:
        """Wait for the next alarm that is due; None when all is over."""
        with self._news:
            while not self._is_closed:
                if not self._heap:
                    self._news.wait()
                    continue
                left = self._heap[0].due - self._clock.moment().instant
                if left > 0:
                    self._news.wait(min(left / SECOND, threading.TIMEOUT_MAX))
                    continue
                alarm = heappop(self._heap)
                if not alarm.is_cancelled:
                    return alarm
                self._forgotten = max(0, self._forgotten - 1)
        return None
