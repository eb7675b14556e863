"""The mailbox of a hosted actor: what it is given next, and that it is given in order.

Owns: the waiting messages of one actor, the folds that go ahead of them, and whether the
actor is in the pool's queue. May not know: what a message does.

    shut --fold applied--> open --beat closed--> shut      folds pass, messages wait
    open, shut --closed--> closed                          nothing is taken any more

    idle --something may run--> scheduled --batch ends, nothing may run--> idle

    open --doze--> dozing --anything comes: Renew--> shut

    free --handler awaits--> held --resume--> ready --taken--> free, or held again
        while held or ready, folds pass and messages wait

A message counts against the bounds, of messages and of their bytes, and a full mailbox
refuses: it never grows. Whoever may wait does so for `room`. Outside of them are folds, since
the core offers one and awaits the answer, except for the history of a cell that is being
activated; and rings, of which an actor has one for each of its timers. An idle mailbox keeps
no queue.
Source: ARCHITECTURE 'Who owns what'; API 'Time, failure, limits'.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol, assert_never, cast

import pykka
from pykka import messages

from comity.actor.cell import Cell
from comity.actor.errand import Batch, Errand
from comity.actor.fold import Fold
from comity.actor.message import Message, size_of
from comity.actor.timers import TIMERS_MAX, Timer
from comity.base.errors import UsageError
from comity.drivers.dispatch.errors import MailboxFull
from comity.drivers.dispatch.future import Future
from comity.drivers.dispatch.pool import Job

__all__ = [
    "Call",
    "Create",
    "Doze",
    "Heavy",
    "Item",
    "Mailbox",
    "Renew",
    "Resume",
    "Ring",
    "Stop",
    "Work",
    "named",
]

_LIGHT_BYTES: Final = 1024
"""A message with less in it is not counted in bytes: the bound of messages holds it."""


@dataclass(frozen=True, slots=True)
class Call:
    """Run a function that reads the cell."""

    function: Callable[[Cell], Any]


@dataclass(frozen=True, slots=True)
class Create:
    """Run the actor's first turn."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop the actor."""


@dataclass(frozen=True, slots=True)
class Ring:
    """Run the turn of a timer."""

    timer: Timer


@dataclass(frozen=True, slots=True)
class Heavy:
    """A message that counts in bytes, on its way through the mailbox."""

    message: Message
    size: int


@dataclass(frozen=True, slots=True)
class Resume:
    """Run the next stretch of the open handler.

    value, error: what it awaited; or reply, which is done and has either.
    """

    value: object
    error: BaseException | None = None
    reply: Future[Any] | None = None


@dataclass(frozen=True, slots=True)
class Renew:
    """Make the actor anew: goes the way of folds, past the messages."""


@dataclass(frozen=True, slots=True)
class Doze:
    """Let the actor leave memory if it is idle: goes the way of folds."""


_HELD: Final = Resume(None)
"""Stands for the resume that has not come."""

Work = Message | Call | Create | Stop | Ring | Batch | Errand
"""What waits in a mailbox."""

Item = tuple[Work, Future[Any] | None]
"""One piece of work, and who is told how it ended; nobody, for a `tell`."""


class Envelope(Protocol):
    """What `pykka.ActorRef` puts into an inbox."""

    @property
    def message(self) -> object:
        """What is sent."""
        ...

    @property
    def reply_to(self) -> pykka.Future[Any] | None:
        """Who is told how it ended."""
        ...


class Owner(Job, Protocol):
    """What the mailbox belongs to."""

    def accept(self, message: Message, reply_to: Future[Any] | None) -> None:
        """Take a message, or answer or raise why not."""
        ...

    def stop_soon(self) -> Future[bool]:
        """Stop after what waits already."""
        ...


class Mailbox:
    """Any thread puts; only the worker that holds the actor takes.

    lock: held for moments, never while anything else is called; the replies share it.
    """

    __slots__ = (
        "_bytes",
        "_bytes_max",
        "_capacity",
        "_folds",
        "_is_closed",
        "_is_dozing",
        "_is_open",
        "_is_scheduled",
        "_items",
        "_owner",
        "_resume",
        "_room",
        "_stop",
        "_stopped",
        "_submit_job",
        "lock",
    )

    def __init__(self) -> None:
        """Make a mailbox that takes nothing before `bind`."""
        self.lock = threading.Lock()
        self._items: deque[tuple[Work | Heavy, Future[Any] | None]] | None = None
        self._folds: deque[Fold | Renew | Doze] | None = None
        self._stop: Item | None = None
        self._stopped: Future[bool] | None = None
        self._is_open = False
        self._is_dozing = False
        self._is_closed = True
        self._is_scheduled = False
        self._capacity = 0
        self._bytes_max = 0
        self._bytes = 0
        self._resume: Resume | None = None
        self._room: Future[None] | None = None
        self._owner: Owner | None = None
        self._submit_job: Callable[[Job], None] | None = None

    def bind(
        self, owner: Owner, submit: Callable[[Job], None], *, capacity: int, bytes_max: int
    ) -> None:
        """Belong to an actor from now on, shut, and take up to `capacity` messages.

        submit: has a worker run a batch of the owner. bytes_max: what they may hold together;
        a single one may hold more.
        """
        assert self._owner is None
        assert capacity > 0, capacity
        self._bytes_max = bytes_max
        self._owner = owner
        self._submit_job = submit
        self._capacity = capacity
        self._is_closed = False

    @property
    def is_closed(self) -> bool:
        """Whether nothing is taken any more."""
        return self._is_closed

    def post(self, item: Item) -> bool:
        """Add work behind what waits; False if the mailbox is closed.

        Raises: MailboxFull, and the item is not taken.
        """
        work = item[0]
        size = size_of(work) if type(work) is Message and work.arguments else 0
        with self.lock:
            if self._is_closed:
                return False
            items = self._items
            if items is None:
                items = self._items = deque()
            elif len(items) >= self._capacity:
                raise MailboxFull(self._full())
            if size > _LIGHT_BYTES:
                self._append_heavy(item, size)
            else:
                items.append(item)
            if self._is_scheduled or not self._is_open or self._resume is not None:
                if not self._is_dozing:
                    return True
                self._wake()
                if self._is_scheduled:
                    return True
            self._is_scheduled = True
            assert self._submit_job is not None
            assert self._owner is not None
        self._submit_job(self._owner)
        return True

    def post_ring(self, timer: Timer) -> None:
        """Add the turn of a timer behind what waits; nothing if the mailbox is closed."""
        with self.lock:
            if self._is_closed:
                return
            if self._items is None:
                self._items = deque()
            self._items.append((Ring(timer), None))
            self._wake()
            must_submit = self._must_schedule()
        if must_submit:
            self._submit()

    def post_resume(self, resume: Resume) -> None:
        """Let the open handler go on; nothing if none waits any more."""
        with self.lock:
            if self._resume is not _HELD:
                return
            self._resume = resume
            must_submit = self._must_schedule()
        if must_submit:
            self._submit()

    def room(self) -> Future[None]:
        """Return the future of the moment when half of the mailbox is empty, or it closes.

        Half, so that who waits is woken for many messages at once.
        """
        with self.lock:
            room = self._room
            if room is None:
                room = self._room = Future(self._owner)
        self._let_in()  # the holder may have looked just before it was there to be seen
        return room

    def post_fold(self, fold: Fold | Renew | Doze) -> bool:
        """Add a fold ahead of all messages; False if the mailbox is closed."""
        with self.lock:
            if self._is_closed:
                return False
            self._wake()
            if self._folds is None:
                self._folds = deque()
            self._folds.append(fold)
            must_submit = self._must_schedule()
        if must_submit:
            self._submit()
        return True

    def post_stop(self) -> Future[bool]:
        """Add the one stop, which no bound refuses; return the future of its end.

        It waits for the messages before it while the mailbox is open; a shut one, which may
        stay so, is stopped at once. Later calls, also after `close`, return the same future.
        """
        with self.lock:
            if self._stopped is not None or self._is_closed:
                return self._stopped_future()
            stop: Item = (Stop(), None)
            self._stop = stop
            if self._items is None:
                self._items = deque()
            self._items.append(stop)
            self._is_dozing = False
            must_submit = self._must_schedule()
            stopped = self._stopped_future()
        if must_submit:
            self._submit()
        return stopped

    @property
    def stopped(self) -> Future[bool]:
        """The future that `post_stop` returns."""
        with self.lock:
            return self._stopped_future()

    def put(self, envelope: Envelope, /) -> None:
        """Take what a `pykka.ActorRef` sends: a `Message`, or its request to stop.

        Raises: UsageError for anything else: calls by attribute path would reach past the
            messages that the actor's class declares. MailboxFull, ActorStopped.
        """
        assert self._owner is not None
        reply_to = envelope.reply_to
        assert reply_to is None or isinstance(reply_to, Future)
        match envelope.message:
            case Message() as message:
                self._owner.accept(message, reply_to)
            case messages._ActorStop():  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
                stopped = self._owner.stop_soon()
                if reply_to is not None:
                    stopped.add_done_callback(lambda _: reply_to.set(None))
            case other:
                raise UsageError(
                    f"an actor takes messages made from its methods, not {other!r}: "
                    "use tell(Actor.method, ...) or ask(Actor.method, ...)"
                )

    # ----------------------------------------------------------------- for the holder

    def take(self) -> Fold | Renew | Doze | Item | Resume | None:
        """Return what is to be done next, or None if nothing may be done now."""
        folds, items = self._folds, self._items
        if folds:
            return folds.popleft()
        if not self._is_open:
            return self._stop
        if self._resume is not None:
            return self._take_resume()
        try:
            item = items.popleft() if items else None
        except IndexError:  # `close` was called from outside just now
            return None
        if item is not None and type(item[0]) is Heavy:
            with self.lock:
                self._bytes -= item[0].size
            item = (item[0].message, item[1])
        if self._room is not None:
            self._let_in()
        return cast("Item | None", item)

    @property
    def is_stopping(self) -> bool:
        """Whether the actor is to stop when it comes to that."""
        return self._stop is not None

    def put_back(self, item: Item) -> None:
        """Let a message that was taken come first again."""
        with self.lock:
            if self._items is None:
                self._items = deque()
            self._items.appendleft(item)

    def doze(self) -> bool:
        """Be shut until anything comes, which begins with a `Renew`; False if it has come."""
        with self.lock:
            if self._items or self._folds or self._stop is not None or self._is_closed:
                return False
            self._is_open = False
            self._is_dozing = True
            return True

    def drop_folds(self) -> None:
        """Forget the folds that wait: the cell that they were for is gone."""
        with self.lock:
            self._folds = None

    def hold(self) -> None:
        """Let messages wait for the end of the open handler, and it for its resume."""
        assert self._resume is None
        self._resume = _HELD

    def free(self) -> None:
        """Forget the open handler: it will not be resumed."""
        self._resume = None

    def take_create(self) -> Item | None:
        """Take the first item if it is the creation of the actor."""
        if self._items and isinstance(self._items[0][0], Create):
            return cast("Item", self._items.popleft())
        return None

    def set_open(self, *, is_open: bool) -> None:
        """Let messages pass, or not; folds always do."""
        self._is_open = is_open

    def end_batch(self) -> bool:
        """Return whether there is more to do; if not, whoever adds something schedules."""
        with self.lock:
            if self._may_run():
                return True
            if not self._items:
                self._items = None
            if not self._folds:
                self._folds = None
            self._is_scheduled = False
            return False

    def close(self) -> list[Item]:
        """Take nothing any more; return the items that waited, without the stop.

        The one call that need not be the holder's: each item is either taken or returned.
        """
        left: list[Item] = []
        with self.lock:
            self._is_closed = True
            self._is_dozing = False
            items, stop = self._items, self._stop
            self._items = self._folds = self._stop = self._resume = None
            self._bytes = 0
            with suppress(IndexError):
                while items:
                    item = items.popleft()
                    work, reply_to = item
                    if isinstance(work, Heavy):
                        left.append((work.message, reply_to))
                    elif item is not stop and not isinstance(work, Ring):
                        left.append((work, reply_to))
        self._let_in()
        return left

    def check(self) -> None:
        """Assert the invariants: bounded, and never work that nobody is to run."""
        with self.lock:
            stops = 0 if self._stop is None else 1
            assert len(self._items or ()) <= self._capacity + stops + TIMERS_MAX
            assert self._is_scheduled or not self._may_run()
            assert not self._is_closed or not self._items
            assert not self._is_dozing or not (self._is_open or self._items or self._folds)

    def _wake(self) -> None:
        """Have the actor made anew, if it left memory."""
        assert self.lock.locked()
        if self._is_dozing:
            self._is_dozing = False
            if self._folds is None:
                self._folds = deque()
            self._folds.append(Renew())

    def _let_in(self) -> None:
        """Wake who waits for room, if there is enough."""
        with self.lock:
            if (
                self._room is None
                or len(self._items or ()) > self._capacity // 2
                or self._bytes > self._bytes_max // 2
            ):
                return
            room, self._room = self._room, None
        room.set(None)

    def _stopped_future(self) -> Future[bool]:
        assert self.lock.locked()
        if self._stopped is None:
            self._stopped = Future(None if self._is_closed else self._owner)
        return self._stopped

    def _may_run(self) -> bool:
        if self._folds:
            return True
        if not self._is_open:
            return self._stop is not None
        if self._resume is not None:
            return self._resume is not _HELD
        return bool(self._items)

    def _take_resume(self) -> Resume | None:
        with self.lock:
            resume = self._resume
            if resume is None or resume is _HELD:
                return None
            self._resume = None
        return resume

    def _append_heavy(self, item: Item, size: int) -> None:
        """Add a message that counts in bytes. Raises: MailboxFull."""
        assert self.lock.locked()
        assert self._items is not None
        if self._items and self._bytes + size > self._bytes_max:
            raise MailboxFull(self._full())
        work, reply_to = item
        assert isinstance(work, Message)
        self._bytes += size
        self._items.append((Heavy(work, size), reply_to))

    def _must_schedule(self) -> bool:
        assert self.lock.locked()
        if self._is_scheduled or not self._may_run():
            return False
        self._is_scheduled = True
        return True

    def _submit(self) -> None:
        assert self._submit_job is not None
        assert self._owner is not None
        self._submit_job(self._owner)

    def _full(self) -> str:
        label = "?" if self._owner is None else self._owner.label
        waiting = f"{len(self._items or ())} messages waiting"
        if self._bytes:
            waiting += f", {self._bytes} bytes of them"
        return f"{label} has {waiting}: send this one again later"


def named(work: Work) -> Message:
    """Return the message, or one that names what was done instead."""
    match work:
        case Message():
            return work
        case Call():
            return Message("call")
        case Create():
            return Message("on_create")
        case Stop():
            return Message("on_stop")
        case Ring(timer):
            return Message(getattr(timer.function, "__name__", "?"))
        case Errand():
            return work.message
        case Batch():
            return Message("messages of another device")
        case _:
            assert_never(work)
