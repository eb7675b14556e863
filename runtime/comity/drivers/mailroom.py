"""The mailroom: messages to other devices, from whoever sends them to the core and back.

Owns: who waits for what becomes of a message, and who is held up while too much waits. May not
know: links, what a message says.

    post --Post--> core --Progress: queued, taken, ended--> the future or receipt of the sender

A sender is held up while more is on its way than a device takes, or the core is behind; one
that must not wait gets `MailboxFull`.
Source: PROTOCOL section 7; API 'Capabilities'; decision 27.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any, Final, Protocol

from comity.base.errors import UsageError
from comity.base.ids import DeviceId, Token
from comity.drivers.dispatch.errors import MailboxFull
from comity.drivers.dispatch.future import Future
from comity.node.effects import Progress, Throttle
from comity.node.events import Post
from comity.protocol.envelope import CallHead, Letter

__all__ = ["Gathered", "Mailroom", "Waiter", "settle"]

_BACKLOG_MAX: Final = 20_000
"""Events that wait for the core before senders are held up: a tenth of a second of them."""

_PATIENCE: Final = 30.0
"""Seconds that a sender is held up: as long as by an actor on this node."""

_LOOK: Final = 0.002

_TAKE_MAX: Final = 4096
"""Messages that the core takes at a time: what it takes of other events."""


class Waiter(Protocol):
    """Who is told what becomes of a message."""

    def progressed(self, progress: Progress) -> bool:
        """Take news, on the core's thread; return whether it was the last."""
        ...


class Gathered:
    """Messages for one device that wait for the core: one event, however many they are."""

    __slots__ = ("_device", "is_told", "letters")

    def __init__(self, device: DeviceId) -> None:
        """Start without any."""
        self._device = device
        self.letters: deque[tuple[Letter, Token | None]] = deque()
        self.is_told = False

    def take(self) -> Post:
        """Return what waits, on the core's thread; what comes meanwhile is told of anew."""
        self.is_told = False
        letters: list[tuple[Letter, Token | None]] = []
        with suppress(IndexError):
            while len(letters) < _TAKE_MAX:
                letters.append(self.letters.popleft())
        return Post(self._device, tuple(letters))


class Mailroom:
    """One of each node."""

    __slots__ = (
        "_backlog",
        "_emit",
        "_failure",
        "_full",
        "_gathered",
        "_lock",
        "_tokens",
        "_waiters",
        "may_wait",
    )

    def __init__(
        self,
        emit: Callable[[Gathered], None],
        backlog: Callable[[], int],
        may_wait: Callable[[], bool],
    ) -> None:
        """Give messages to `emit`. backlog: of events. may_wait: of whoever sends."""
        self._emit = emit
        self._backlog = backlog
        self.may_wait = may_wait
        self._lock = threading.Lock()
        self._tokens = itertools.count(1)
        self._waiters: dict[Token, Waiter] = {}
        self._gathered: dict[DeviceId, Gathered] = {}
        self._full: dict[DeviceId, threading.Event] = {}
        self._failure: Exception | None = None

    def post(
        self, device: DeviceId, head: CallHead, body: bytes, waiter: Waiter | None = None
    ) -> None:
        """Send a message. Raises: MailboxFull; why the node stopped."""
        if self._failure is not None:
            raise self._failure
        gathered = self._gathered.get(device)
        if device in self._full or self._is_behind(gathered):
            self._hold_up(device)
        token = None
        if waiter is not None:
            token = Token(next(self._tokens))
            self._waiters[token] = waiter
        if gathered is None:
            gathered = self._gathered.setdefault(device, Gathered(device))
        gathered.letters.append(((head, body), token))
        if not gathered.is_told:
            gathered.is_told = True
            self._emit(gathered)

    def _is_behind(self, gathered: Gathered | None) -> bool:
        waiting = 0 if gathered is None else len(gathered.letters)
        return waiting > _BACKLOG_MAX or self._backlog() > _BACKLOG_MAX

    def _hold_up(self, device: DeviceId) -> None:
        ends = monotonic() + _PATIENCE
        while True:
            full = self._full.get(device)
            if full is None and not self._is_behind(self._gathered.get(device)):
                return
            if not self.may_wait() or monotonic() >= ends:
                raise MailboxFull(
                    "more messages wait for the other device than it takes: send this one "
                    "again later"
                )
            if full is None:
                threading.Event().wait(_LOOK)
            else:
                full.wait(0.1)

    # ----------------------------------------------------------------- the host's thread

    def progressed(self, progress: Progress) -> None:
        """Tell who waits."""
        waiter = self._waiters.get(progress.token)
        if waiter is not None and waiter.progressed(progress):
            del self._waiters[progress.token]

    def throttle(self, throttle: Throttle) -> None:
        """Hold senders up, or no longer."""
        if throttle.is_full:
            self._full[throttle.device] = threading.Event()
        else:
            freed = self._full.pop(throttle.device, None)
            if freed is not None:
                freed.set()

    def fail(self, error: Exception) -> None:
        """The node has stopped: whoever waits learns why, whoever sends too."""
        self._failure = error
        waiters, self._waiters = self._waiters, {}
        for waiter in waiters.values():
            fail: Callable[[Exception], Any] | None = getattr(waiter, "fail", None)
            if fail is not None:
                with suppress(UsageError):
                    fail(error)


def settle(future: Future[Any], value: object, error: Exception | None) -> None:
    """Give a reply, unless its deadline was quicker."""
    with suppress(UsageError):
        if error is None:
            future.set(value)
        else:
            future.fail(error)
