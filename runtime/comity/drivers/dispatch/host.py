"""The pykka actor that hosts one cell: gives it what its mailbox holds, one at a time.

Owns: one cell and its mailbox and replies; what happens when a handler raises. May not
know: other actors, the core. A worker that runs `run_batch` holds the cell; nobody else
touches it.

    starting --first fold with `last`: on_create if asked for, on_start--> running
    running --fold--> running          running --fold refused--> waiting --fold--> running
    running --a handler awaits--> open --what it awaited, its end--> running
    any --stop: on_stop--> stopped --all replies given--> gone
    any --a hook of the start raised, or what no handler may raise--> stopped

A turn that raises is undone and the actor goes on: its asker gets the error; for a `tell`,
`on_failure` runs and the node is told. SystemExit and KeyboardInterrupt in a handler stop
this actor only; pykka would stop all, from within one of them.

While a handler is open, its next stretch comes before any message; folds land between
stretches. Who stops the actor gives an open handler `STOP_GRACE` to end, then cuts it off.

Of pykka's machinery the three extension points are used, not its loop: pykka answers inside
its loop, and here an answer waits for the disk. Nor is anything entered in pykka's global
registry, one list under one lock.
Source: ARCHITECTURE 'Layers', 'Who owns what'; sketches, 'Facts about pykka'.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from time import monotonic_ns
from typing import Any, Final, NoReturn, assert_never, cast

import pykka

from comity.actor.awaiting import Paused
from comity.actor.cell import Cell, Phase
from comity.actor.changes import FieldChange, Listener
from comity.actor.fold import Fold, TurnEnded
from comity.actor.message import Message, Outcome
from comity.actor.randomness import Randomness
from comity.actor.timers import TIMERS_MAX, Timer
from comity.actor.waits import Awaited
from comity.base.clock import Duration, Instant, Moment
from comity.base.errors import UsageError
from comity.base.ids import short
from comity.drivers.dispatch.errors import ActorStopped
from comity.drivers.dispatch.future import Future
from comity.drivers.dispatch.hosting import (
    BATCH_BUDGET,
    MAILBOX_BYTES_MAX,
    STOP_GRACE,
    Hosting,
)
from comity.drivers.dispatch.mailbox import (
    Call,
    Create,
    Item,
    Mailbox,
    Resume,
    Ring,
    Stop,
    Work,
)
from comity.drivers.dispatch.open_handler import Hurried, OpenHandler
from comity.drivers.dispatch.replies import Replies

__all__ = ["CellHost"]

_logger: Final = logging.getLogger(__name__)


class CellHost(pykka.Actor):
    """One hosted actor. Made and kept by the dispatcher, which holds the strong reference."""

    __slots__ = (
        "_hosting",
        "_is_begun",
        "_mailbox",
        "_open",
        "_replies",
        "_timers",
        "awaits",
        "cell",
    )

    awaits: Awaited | None
    """The future that a handler of this actor blocks on, or awaits."""

    def __init__(self, cell: Cell, hosting: Hosting) -> None:
        """Host a cell; it runs from `_start_actor_loop` on.

        pykka's own fields are properties here: an idle actor then costs no name, event or
        reference until somebody asks for it.
        """
        self.cell = cell
        cell.surroundings = self
        self.awaits = None
        self._open: OpenHandler | None = None
        self._timers: list[Timer] | None = None
        self._hosting = hosting
        self._mailbox = self._create_actor_inbox()
        self._replies = Replies()
        self._is_begun = False

    # ----------------------------------------------------------------- pykka's points

    @classmethod
    def start(cls, *_args: object, **_keywords: object) -> NoReturn:
        """Refuse: pykka's start would enter the actor in its global registry."""
        raise UsageError("cells are hosted with Dispatcher.activate(cell), not with start()")

    @staticmethod
    def _create_actor_inbox() -> Mailbox:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        return Mailbox()

    @staticmethod
    def _create_future() -> Future[Any]:
        return Future()

    def _start_actor_loop(self) -> None:
        policy = self.cell.actor_type.cls.comity_mailbox
        self._mailbox.bind(
            self,
            self._hosting.submit,
            capacity=policy.count or self._hosting.mailbox_max,
            bytes_max=policy.size or MAILBOX_BYTES_MAX,
        )

    @property
    def actor_urn(self) -> str:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        """Name the actor as pykka does."""
        return f"urn:comity:{self.cell.topic.hex()}"

    @property
    def actor_inbox(self) -> Mailbox:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        """The mailbox, for pykka's references."""
        return self._mailbox

    @property
    def actor_stopped(self) -> threading.Event:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether the actor takes messages no more, as pykka's references ask for it."""
        return cast("threading.Event", _StoppedFlag(self._mailbox))

    @property
    def _actor_ref(self) -> pykka.ActorRef[CellHost]:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        return pykka.ActorRef(self)

    def __str__(self) -> str:
        return self.label

    # ----------------------------------------------------------------- any thread

    @property
    def label(self) -> str:
        """Name the actor for people: its type and the start of its topic."""
        return f"{self.cell.actor_type.name} {short(self.cell.topic)}"

    @property
    def is_stopped(self) -> bool:
        """Whether the actor takes messages no more."""
        return self._mailbox.is_closed

    def post(self, work: Work, reply_to: Future[Any] | None) -> bool:
        """Put work into the mailbox; False if the actor stopped. Raises: MailboxFull."""
        if reply_to is not None:
            reply_to.answerer = self
        return self._mailbox.post((work, reply_to))

    def room(self) -> Future[None]:
        """Return the future of the moment when there is room for many messages again."""
        return self._mailbox.room()

    def accept(self, message: Message, reply_to: Future[Any] | None) -> None:
        """Take a message from a pykka reference.

        Raises: MailboxFull; ActorStopped if there is nobody to give it to as a reply.
        """
        if not self.post(message, reply_to):
            error = ActorStopped(f"{self.label} has stopped", retry=True)
            if reply_to is None:
                raise error
            reply_to.fail(error)

    def post_fold(self, fold: Fold) -> bool:
        """Have the cell folded between turns; False if the actor stopped."""
        return self._mailbox.post_fold(fold)

    def release(self, serial: int) -> None:
        """Turns up to `serial` are durable: give the replies that waited for them."""
        self._replies.release(serial)

    def stop_soon(self) -> Future[bool]:
        """Stop after what waits already; the future is set when all replies are given.

        A cell that is starting or waits for a fold is stopped at once: the fold may never
        come. Asking again returns the same future.
        """
        stopped = self._mailbox.post_stop()
        if self._open is not None:
            self._hosting.alarms.after(STOP_GRACE, self._hurry)
        return stopped

    def _hurry(self) -> None:
        self._mailbox.post_resume(Resume(None, Hurried()))

    def abandon(self) -> None:
        """Fail whatever waits: the dispatcher closes and no release will come."""
        left = self._mailbox.close()
        self._replies.abandon(
            ActorStopped(
                f"{self.label} was closed before its turn was known to be durable", retry=False
            )
        )
        error = ActorStopped(f"{self.label} has stopped", retry=True)
        for work, reply_to in left:
            if reply_to is not None:
                reply_to.fail(error)
            else:
                self._report(error, _named(work))
        self._leave()

    def check(self) -> None:
        """Assert the invariants of mailbox and replies."""
        self._mailbox.check()
        self._replies.check()

    # ----------------------------------------------------------------- the holder

    def run_batch(self) -> bool:
        """Hold the cell for one batch; return whether more is to be done. For workers."""
        mailbox = self._mailbox
        ends = monotonic_ns() + BATCH_BUDGET
        while (item := mailbox.take()) is not None:
            try:
                if isinstance(item, tuple):
                    self._do(item)
                elif isinstance(item, Fold):
                    self._fold(item)
                else:
                    self._go_on(item)
                if self.cell.has_news:
                    self._tell_news()
            except BaseException as error:  # noqa: BLE001  (a worker outlives any handler)
                self._crash(item, error)
            if monotonic_ns() >= ends:
                break
        return mailbox.end_batch()

    def _do(self, item: Item) -> None:
        work, reply_to = item
        match work:
            case Message():
                self._ended(self.cell.run(work), work, reply_to)
            case Call(function):
                self._call(function, reply_to)
            case Ring(timer):
                if not timer.is_over:
                    self._ended(self.cell.ring(timer), work, None)
            case Create():
                self._ended(self.cell.create(), work, reply_to)
            case Stop():
                self._end(None)
            case _:
                assert_never(work)

    def _ended(
        self, turn: tuple[Outcome, TurnEnded | None], work: Work, reply_to: Future[Any] | None
    ) -> None:
        outcome, ended = turn
        if ended is not None:
            self._hosting.emit(ended)
        if outcome.awaits is not None:
            self._pause(outcome.awaits, work, reply_to)
            return
        self._open = None
        if type(work) is Ring:
            self._rang(work.timer)
        if reply_to is not None:
            self._replies.post(outcome.serial, reply_to, outcome.value, outcome.error)
        elif outcome.error is not None:
            self._failed(outcome.error, _named(work))

    def _pause(self, paused: Paused, work: Work, reply_to: Future[Any] | None) -> None:
        """Wait for what the open handler awaits; it goes on in `_go_on`."""
        if self._open is None:
            self._open = OpenHandler(self._mailbox, work, reply_to)
        self._open.wait(self, paused, self._hosting.outside)
        if self._mailbox.is_stopping:
            self._hosting.alarms.after(STOP_GRACE, self._hurry)

    def _go_on(self, resume: Resume) -> None:
        """Run the next stretch of the open handler."""
        opened = self._open
        assert opened is not None
        value, error = opened.take(self, resume)
        if type(error) is Hurried:
            self._end(None)
            return
        self._ended(self.cell.resume(value, error), opened.work, opened.reply_to)

    def _interrupt(self) -> None:
        """Cut off the open handler, if one is: whoever sent the message gets Interrupted."""
        opened, self._open = self._open, None
        if opened is None:
            return
        opened.cut(self)
        message = _named(opened.work)
        cut = self.cell.interrupt(message.method)
        if cut is None:
            return
        interrupted, unclean = cut
        if unclean is not None:
            self._report(unclean, message)
        if opened.reply_to is not None:
            self._replies.post(self.cell.serial, opened.reply_to, None, interrupted)
        else:
            self._report(interrupted, message)

    def _call(self, function: Callable[[Cell], Any], reply_to: Future[Any] | None) -> None:
        value, error = None, None
        try:
            value = function(self.cell)
        except Exception as raised:  # noqa: BLE001  (the asker gets it)
            error = raised
        assert reply_to is not None
        self._replies.post(self.cell.serial, reply_to, value, error)

    def _fold(self, fold: Fold) -> None:
        answer, _ = self.cell.fold(fold)
        self._hosting.emit(answer)
        is_open = self.cell.phase is Phase.RUNNING
        if is_open and not self._is_begun:
            self._begin()
        self._mailbox.set_open(is_open=is_open)

    def _begin(self) -> None:
        """Run `on_create`, if that was asked for, then `on_start`; stop if one raises.

        Without `on_stop` then: there is nothing to end.
        """
        self._is_begun = True
        create = self._mailbox.take_create()
        if create is not None:
            _, reply_to = create
            assert reply_to is not None
            outcome, ended = self.cell.create()
            self._ended((outcome, ended), create[0], reply_to)
            if outcome.error is not None:
                self._is_begun = False  # on_start has not run, so on_stop must not
                self._end(outcome.error)
                return
        error = self.cell.start()
        if error is not None:
            self._is_begun = False  # as in pykka: on_stop ends what on_start began
            self._report(error, Message("on_start"))
            self._end(error)

    def _tell_news(self) -> None:
        """Let the actor react to changes, and tell who listens once they are durable."""
        news = self.cell.take_news()
        for method, error in self.cell.react(news):
            self._failed(error, Message(method))
        listeners = self.cell.listeners
        if not listeners:
            return
        durable: Future[None] = Future()
        durable.add_done_callback(lambda _: _tell(listeners, news))
        self._replies.post(self.cell.serial, durable, None, None)

    def _failed(self, error: Exception, message: Message) -> None:
        second = self.cell.failed(error)
        self._report(error, message)
        if second is not None:
            self._report(second, Message("on_failure"))

    def _crash(self, item: Fold | Item | Resume, error: BaseException) -> None:
        """Stop the actor after what no handler may raise, or a fault of ours."""
        reply_to: Future[Any] | None = None
        if isinstance(item, tuple):
            message, reply_to = _named(item[0]), item[1]
        elif isinstance(item, Resume) and self._open is not None:
            message, reply_to = _named(self._open.work), self._open.reply_to
        else:
            message = Message("fold" if isinstance(item, Fold) else "resume")
        self._open = None
        if reply_to is not None and reply_to.answerer is not None:
            stopped = ActorStopped(
                f"{self.label} stopped: {message.method} raised {error!r}", retry=False
            )
            stopped.__cause__ = error
            self._replies.post(self.cell.serial, reply_to, None, stopped)
        self._report(error, message)
        self._end(error)

    def _end(self, cause: BaseException | None) -> None:
        """Stop: on_stop, an answer to all that waits, and in the end to who asked for it."""
        self._interrupt()
        for timer in self._timers or ():
            timer.cancel()
        self._timers = None
        if self._is_begun:
            self._is_begun = False
            error = self.cell.stop()
            if error is not None:
                self._report(error, Message("on_stop"))
        left = self._mailbox.close()
        why = "" if cause is None else f" because of {cause!r}"
        refusal = ActorStopped(f"{self.label} has stopped{why}", retry=True)
        refusal.__cause__ = cause
        for work, reply_to in left:
            if reply_to is not None:
                self._replies.post(self.cell.serial, reply_to, None, refusal)
            else:
                self._report(refusal, _named(work))
        self._mailbox.stopped.answerer = None
        gone: Future[None] = Future()
        gone.add_done_callback(lambda _: self._leave())
        self._replies.post(self.cell.serial, gone, None, None)

    def _leave(self) -> None:
        """Be forgotten first, so that who hears of the stop may activate the topic anew."""
        for listener in self.cell.listeners:
            listener.end()
        self._hosting.forget(self)
        with suppress(UsageError):  # two threads may bring the last reply and the closing
            self._mailbox.stopped.set(True)

    # ----------------------------------------------------------------- the actor's services

    def moment(self) -> Moment:
        """Return the present."""
        return self._hosting.moment()

    def randomness(self) -> Randomness:
        """Return the chance of this node."""
        return self._hosting.randomness

    def start_timer(
        self,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        keywords: Mapping[str, Any],
        *,
        wait: Duration,
        period: Duration | None,
    ) -> Timer:
        """Have a bound method of the actor run as a turn later.

        Raises: UsageError at TIMERS_MAX.
        """
        timers = [each for each in self._timers or () if not each.is_over]
        if len(timers) >= TIMERS_MAX:
            raise UsageError(
                f"{self.label} has {TIMERS_MAX} timers: use every() instead of many after(), "
                "and cancel() what is not needed"
            )
        due = Instant(self.moment().instant + wait)
        timer = Timer(function, arguments, keywords, due=due, period=period)
        self._timers = [*timers, timer]
        self._arm(timer)
        return timer

    def _arm(self, timer: Timer) -> None:
        self._hosting.alarms.at(timer.due, partial(self._mailbox.post_ring, timer))

    def _rang(self, timer: Timer) -> None:
        if timer.rang(self.moment().instant):
            self._arm(timer)

    def _report(self, error: BaseException, message: Message) -> None:
        try:
            self._hosting.on_failure(self.cell.topic, error, message)
        except Exception:
            _logger.exception("telling of a failure of %s failed", self.label)


class _StoppedFlag:
    """As much of `threading.Event` as pykka's references use."""

    __slots__ = ("_mailbox",)

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    def is_set(self) -> bool:
        """Whether the actor takes messages no more."""
        return self._mailbox.is_closed


def _tell(listeners: Sequence[Listener], news: Sequence[FieldChange]) -> None:
    for listener in listeners:
        listener.tell(news)


def _named(work: Work) -> Message:
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
        case _:
            assert_never(work)
