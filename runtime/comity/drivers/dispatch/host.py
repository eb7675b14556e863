"""The pykka actor that hosts one cell: gives it what its mailbox holds, one at a time.

Owns: one cell and its mailbox and replies; what happens when a handler raises. May not
know: other actors, the core. A worker that runs `run_batch` holds the cell; nobody else
touches it.

    starting --first fold with `last`: on_create if asked for, on_start--> running
    running --fold--> running          running --fold refused--> waiting --fold--> running
    any --stop: on_stop--> stopped --all replies given--> gone
    any --a hook of the start raised, or what no handler may raise--> stopped

A turn that raises is undone and the actor goes on: its asker gets the error; for a `tell`,
`on_failure` runs and the node is told. SystemExit and KeyboardInterrupt in a handler stop
this actor only; pykka would stop all, from within one of them.

Of pykka's machinery the three extension points are used, not its loop: pykka answers inside
its loop, and here an answer waits for the disk. Nor is anything entered in pykka's global
registry, one list under one lock.
Source: ARCHITECTURE 'Layers', 'Who owns what'; sketches, 'Facts about pykka'.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic_ns
from typing import Any, Final, NoReturn, assert_never, cast

import pykka

from comity.actor.cell import Cell, Phase
from comity.actor.fold import CellEvent, Fold, TurnEnded
from comity.actor.message import Message, Outcome
from comity.base.clock import MILLISECOND, Duration
from comity.base.errors import UsageError
from comity.base.ids import Topic, short
from comity.drivers.dispatch.errors import ActorStopped
from comity.drivers.dispatch.future import Future
from comity.drivers.dispatch.mailbox import Call, Create, Item, Mailbox, Stop, Work
from comity.drivers.dispatch.pool import Job
from comity.drivers.dispatch.replies import Replies
from comity.drivers.dispatch.waits import Awaited

__all__ = ["BATCH_BUDGET", "CellHost", "Hosting"]

BATCH_BUDGET: Final = Duration(2 * MILLISECOND)
"""Time that an actor has before others get their turn. A count of messages would not do: a
hundred that sleep 20 ms each delay the rest by 2 s. Half costs throughput where handlers
are short, twice is felt by others where they are long."""

_logger: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Hosting:
    """What all hosts of one dispatcher share.

    submit: has a worker run a batch of a host.
    emit: takes each cell event, in the order of that cell's turns; cheap, from any worker.
    on_failure: is told what a message raised that nobody awaits, or what stopped an actor.
    forget: is called once when a stopped host has given its last reply.
    mailbox_max: messages that may wait in one mailbox.
    """

    submit: Callable[[Job], None]
    emit: Callable[[CellEvent], None]
    on_failure: Callable[[Topic, BaseException, Message], None]
    forget: Callable[[CellHost], None]
    mailbox_max: int


class CellHost(pykka.Actor):
    """One hosted actor. Made and kept by the dispatcher, which holds the strong reference."""

    __slots__ = ("_hosting", "_is_begun", "_mailbox", "_replies", "awaits", "cell")

    awaits: Awaited | None
    """The future that a handler of this actor blocks on."""

    def __init__(self, cell: Cell, hosting: Hosting) -> None:
        """Host a cell; it runs from `_start_actor_loop` on.

        pykka's own fields are properties here: an idle actor then costs no name, event or
        reference until somebody asks for it.
        """
        self.cell = cell
        self.awaits = None
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
        self._mailbox.bind(self, self._hosting.submit, capacity=self._hosting.mailbox_max)

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
        return self._mailbox.post_stop()

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
                if isinstance(item, Fold):
                    self._fold(item)
                else:
                    self._do(item)
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
        if reply_to is not None:
            self._replies.post(outcome.serial, reply_to, outcome.value, outcome.error)
        elif outcome.error is not None:
            self._failed(outcome.error, _named(work))

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

    def _failed(self, error: Exception, message: Message) -> None:
        second = self.cell.failed(error)
        self._report(error, message)
        if second is not None:
            self._report(second, Message("on_failure"))

    def _crash(self, item: Fold | Item, error: BaseException) -> None:
        """Stop the actor after what no handler may raise, or a fault of ours."""
        work, reply_to = (item, None) if isinstance(item, Fold) else item
        message = _named(work)
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
        self._hosting.forget(self)
        with suppress(UsageError):  # two threads may bring the last reply and the closing
            self._mailbox.stopped.set(True)

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


def _named(work: Work | Fold) -> Message:
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
        case Fold():
            return Message("fold")
        case _:
            assert_never(work)
