"""The pykka actor that hosts one cell: gives it what its mailbox holds, one at a time.

Owns: one cell and its mailbox and replies; what happens when a handler raises. May not
know: other actors, the core. A worker that runs `run_batch` holds the cell; nobody else
touches it.

    starting --first fold with `last`: on_create if asked for, on_start--> running
    running --fold--> running          running --fold refused--> waiting --fold--> running
    running --a handler awaits--> open --what it awaited, its end--> running
    running --idle, on_stop--> dozing --anything comes--> starting
    any --stop: on_stop--> stopped --all replies given--> gone
    any --a hook of the start raised, or what no handler may raise--> stopped

A turn that raises is undone and the actor goes on: its asker gets the error; for a `tell`,
`on_failure` runs and the node is told. SystemExit and KeyboardInterrupt in a handler stop
this actor only; pykka would stop all, from within one of them.

While a handler is open, its next stretch comes before any message; folds land between
stretches. Who stops the actor gives an open handler `STOP_GRACE` to end, then cuts it off.

Source: ARCHITECTURE 'Layers', 'Who owns what'; sketches, 'Facts about pykka'.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic_ns
from typing import Any, assert_never

from comity.actor.awaiting import Paused
from comity.actor.cell import Cell, Phase
from comity.actor.changes import FieldChange, Listener
from comity.actor.clerk import open_errand, results_in_id, told, told_of_end
from comity.actor.errand import Batch, Errand
from comity.actor.fold import Fold, Handled, Result, TurnEnded
from comity.actor.message import Message, Outcome
from comity.actor.supervision import Escalate, Poisonous, Rest
from comity.actor.waits import Awaited
from comity.base.clock import Duration, Instant
from comity.base.endings import Ending
from comity.base.errors import UsageError
from comity.drivers.dispatch.doorway import refused
from comity.drivers.dispatch.errors import ActorStopped
from comity.drivers.dispatch.family import Family
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
    Doze,
    Item,
    Renew,
    Resume,
    Ring,
    Stop,
    Work,
    named,
)
from comity.drivers.dispatch.open_handler import Hurried, OpenHandler
from comity.drivers.dispatch.replies import Replies
from comity.drivers.dispatch.services import Services

__all__ = ["CellHost"]


class CellHost(Services):
    """One hosted actor. Made and kept by the dispatcher, which holds the strong reference."""

    __slots__ = (
        "_is_begun",
        "_open",
        "_replies",
        "awaits",
        "cell",
        "is_used",
    )

    awaits: Awaited | None
    """The future that a handler of this actor blocks on, or awaits."""

    def __init__(self, cell: Cell, hosting: Hosting, *, parent: CellHost | None = None) -> None:
        """Host a cell; it runs from `_start_actor_loop` on.

        pykka's own fields are properties here: an idle actor then costs no name, event or
        reference until somebody asks for it.
        """
        self.cell = cell
        cell.surroundings = self
        self.awaits = None
        self._open: OpenHandler | None = None
        self._family: Family | None = None
        if parent is not None:
            self._family = Family(cell.actor_type.cls.supervise, parent)
        self._hosting = hosting
        self._mailbox = self._create_actor_inbox()
        self._replies = Replies(self._mailbox.lock)
        self._is_begun = False
        self.is_used = True

    def _start_actor_loop(self) -> None:
        policy = self.cell.actor_type.cls.comity_mailbox
        self._mailbox.bind(
            self,
            self._hosting.submit,
            capacity=policy.count or self._hosting.mailbox_max,
            bytes_max=policy.size or MAILBOX_BYTES_MAX,
        )

    # ----------------------------------------------------------------- any thread

    @property
    def is_local(self) -> bool:
        """Whether it is a child, which the core does not know."""
        return self._family is not None and self._family.parent is not None

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
                self._report(error, named(work))
                self._bury(named(work), "the node closed before it was handled")
        self._leave(error)

    def check(self) -> None:
        """Assert the invariants of mailbox and replies."""
        self._mailbox.check()
        self._replies.check()

    # ----------------------------------------------------------------- the holder

    def run_batch(self) -> bool:
        """Hold the cell for one batch; return whether more is to be done. For workers."""
        mailbox = self._mailbox
        self.is_used = True
        ends = monotonic_ns() + BATCH_BUDGET
        while (item := mailbox.take()) is not None:
            cell = self.cell
            try:
                if type(item) is tuple:
                    work, reply_to = item
                    if type(work) is not Message or reply_to is not None:
                        self._do(work, reply_to)
                    elif (
                        turn := cell.run(work)
                    ) is not cell.silent or self._family is not None:
                        self._ended(turn, work, None)  # else there is nothing to be done
                elif isinstance(item, Fold):
                    self._fold(item)
                elif isinstance(item, Resume):
                    self._go_on(item)
                elif isinstance(item, Doze):
                    self._doze()
                else:
                    self._renew()
                if cell.news is not None and self.cell.has_news:
                    self._tell_news()
            except BaseException as error:  # noqa: BLE001  (a worker outlives any handler)
                self._crash(item, error)
            if monotonic_ns() >= ends:
                break
        return mailbox.end_batch()

    def _do(self, work: Work, reply_to: Future[Any] | None) -> None:
        match work:
            case Message():
                if reply_to is not None and reply_to.is_expired:
                    self._bury(work, "its deadline passed before it was handled")
                else:
                    self._ended(self.cell.run(work), work, reply_to)
            case Call(function):
                self._call(function, reply_to)
            case Ring(timer):
                if not timer.is_over and self.cell.serves(timer.function):
                    self._ended(self.cell.ring(timer), work, None)
            case Create():
                self._ended(self.cell.create(), work, reply_to)
            case Stop():
                self._end(None)
            case Batch():
                self._errands(work)
            case Errand():
                raise AssertionError("an errand is part of a batch until it is begun")
            case _:
                assert_never(work)

    def _errands(self, batch: Batch) -> None:
        """Run messages of another device, each as a turn, while there is time.

        What they did, that they did, and what their senders are told is one event for the core.
        """
        results: list[Result] = []
        ends = monotonic_ns() + BATCH_BUDGET
        try:
            while batch.left and not self._mailbox.is_closed:
                results += self._errand(batch)
                resting = self._family is not None and self._family.is_resting
                paused = self._open is not None or self.cell.has_news
                if paused or resting or monotonic_ns() >= ends:
                    break
        finally:
            if results:
                self._hosting.emit(Handled(batch.topic, batch.sender, tuple(results)))
        if batch.left and self._mailbox.is_closed:
            self._hosting.emit(batch.returned())
        elif batch.left:
            self._mailbox.put_back((batch, None))

    def _errand(self, batch: Batch) -> tuple[Result, ...]:
        number, call, body = batch.left.popleft()
        message = open_errand(self.cell.actor_type, call, body)
        if isinstance(message, str):
            if not call.wants_reply:
                self._report(UsageError(message), Message(call.method))
            return refused(batch, number, call, Ending.REFUSED, message).results
        errand = Errand(batch.topic, batch.sender, number, call, message)
        if call.wants_reply:
            self._hosting.doorway.began(self, errand)
        try:
            outcome, ended = self.cell.run(message)
        except BaseException as error:
            self._hosting.emit(self._failure(errand, error))
            raise
        results = told(self.cell.actor_type, errand, outcome, ended).results
        if outcome.awaits is not None:
            self._pause(outcome.awaits, errand, None)
            return results
        self._over(errand, outcome)
        return results

    def _over(self, errand: Errand, outcome: Outcome) -> None:
        """Do what is to be done about an errand whose handler has ended."""
        if errand.call.wants_reply:
            self._hosting.doorway.ended(self)
            if outcome.error is not None and results_in_id(
                self.cell.actor_type, errand, outcome
            ):
                outcome.error.add_note(errand.known_as)
                self._report(outcome.error, errand.message)
        elif outcome.error is not None:
            self._bury(errand.message, f"it failed: {outcome.error!r}")
            self._failed(outcome.error, errand)

    def _failure(self, errand: Errand, error: BaseException) -> Handled:
        """Return what the core is told of an errand that stops its actor."""
        self._hosting.doorway.ended(self)
        return told_of_end(errand, error)

    def _ended(
        self, turn: tuple[Outcome, TurnEnded | None], work: Work, reply_to: Future[Any] | None
    ) -> None:
        outcome, ended = turn
        if type(work) is Errand:
            self._hosting.emit(told(self.cell.actor_type, work, outcome, ended))
        elif ended is not None:
            self._hosting.emit(ended)
        if outcome.awaits is not None:
            self._pause(outcome.awaits, work, reply_to)
            return
        self._open = None
        if type(work) is Ring:
            self._rang(work.timer)
        if type(work) is Errand:
            self._over(work, outcome)
            return
        if reply_to is not None:
            self._replies.post(outcome.serial, reply_to, outcome.value, outcome.error)
        elif outcome.error is not None:
            self._failed(outcome.error, work)
            return
        if self._family is not None and self._family.tried is work:
            self._family.tried = None

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
        message = named(opened.work)
        cut = self.cell.interrupt(message.method)
        if cut is None:
            return
        interrupted, unclean = cut
        if unclean is not None:
            self._report(unclean, message)
        if opened.reply_to is not None:
            self._replies.post(self.cell.serial, opened.reply_to, None, interrupted)
        elif type(opened.work) is Errand and opened.work.call.wants_reply:
            self._hosting.emit(self._failure(opened.work, interrupted))
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
        if self._family is not None:
            is_stale = fold.beat > 1 and self.cell.beat == 0
            if is_stale or self._family.is_resting:
                return  # it was for the cell that is gone; the new one gets all from the first
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
            self._supervise(error, None)
        elif self.cell.actor_type.cls.comity_mailbox.idle is not None:
            self._look_idle()

    def _doze(self) -> None:
        """Leave memory until anything comes, if nothing is lost by that."""
        cell, family = self.cell, self._family
        is_free = (
            self._is_begun
            and self._open is None
            and not cell.actor_type.reactions
            and not cell.listeners
            and (family is None or not family.is_bound)
            and self._replies.is_all_given(cell.serial)
        )
        if not is_free or not self._mailbox.doze():
            self._look_idle()
            return
        self._is_begun = False
        error = cell.stop()
        if error is not None:
            self._report(error, Message("on_stop"))
        family = self._relations()
        family.scatter()
        family.is_resting = True
        self.cell = self._empty()

    def _tell_news(self) -> None:
        """Let the actor react to changes, and tell who listens once they are durable."""
        cell = self.cell
        news = cell.take_news()
        failed = cell.react(news)
        for method, error in failed:
            self._regret(error, Message(method))
        if failed and cell.actor_type.cls.supervise is not None:
            self._supervise(failed[0][1], None)
        listeners = cell.listeners
        if not listeners:
            return
        durable: Future[None] = Future()
        durable.add_done_callback(lambda _: _tell(listeners, news))
        self._replies.post(cell.serial, durable, None, None)

    def _failed(self, error: Exception, work: Work) -> None:
        """Do what is to be done about a failure that nobody awaits."""
        self._regret(error, named(work))
        if self.cell.actor_type.cls.supervise is not None:
            self._supervise(error, (work, None))

    def _regret(self, error: Exception, message: Message) -> None:
        second = self.cell.failed(error)
        self._report(error, message)
        if second is not None:
            self._report(second, Message("on_failure"))

    def _supervise(self, error: BaseException, item: Item | None) -> None:
        """Restart, stop or escalate after a failure, as the class of the actor says."""
        family = self._relations()
        verdict = family.supervisor.failed(self.moment().instant)
        if item is not None:
            item = self._tried(item, error, is_over=not isinstance(verdict, Rest))
        if isinstance(verdict, Rest):
            self._rest(verdict.wait, item)
            return
        if isinstance(verdict, Escalate) and family.parent is not None:
            family.parent.escalate(self, error)
        self._is_begun = False  # as in pykka: on_stop ends what goes well
        self._end(error)

    def _tried(self, item: Item, error: BaseException, *, is_over: bool) -> Item | None:
        """Return a message that failed if it is to be tried once more; else bury it."""
        family = self._relations()
        work, reply_to = item
        if not isinstance(work, Message):
            return None  # a timer dies with the activation
        if not is_over and family.tried is not work:
            family.tried = work
            return item
        family.tried = None
        again = "it failed, and its actor stopped" if is_over else "it failed twice"
        self._bury(work, f"{again}: {error!r}")
        if reply_to is not None and reply_to.answerer is not None:
            poison = Poisonous(f"{work.method} to {self.label}: {again}: {error!r}")
            poison.__cause__ = error
            self._replies.post(self.cell.serial, reply_to, None, poison)
        return None

    def _rest(self, wait: Duration, item: Item | None) -> None:
        """Drop all that is local; be made anew after a while.

        Not before the last turn is durable, since that is all that the new cell will be fed.
        """
        self._is_begun = False
        self._interrupt()
        family = self._relations()
        family.scatter()
        family.is_resting = True
        self._mailbox.set_open(is_open=False)
        self._mailbox.drop_folds()
        if item is not None:
            self._mailbox.put_back(item)
        due = Instant(self.moment().instant + wait)
        durable: Future[None] = Future()

        def renew() -> None:
            self._mailbox.post_fold(Renew())

        durable.add_done_callback(lambda _: self._hosting.alarms.at(due, renew))
        self._replies.post(self.cell.serial, durable, None, None)

    def _renew(self) -> None:
        """Begin anew with an empty cell: its first folds bring what it was."""
        cell = self._empty()
        for listener in self.cell.listeners:
            cell.listen(listener)
        self.cell = cell
        self._replies = Replies(self._mailbox.lock)
        self._relations().is_resting = False
        self._hosting.renew(self)

    def _crash(self, item: Fold | Renew | Doze | Item | Resume, error: BaseException) -> None:
        """Stop the actor after what no handler may raise, or a fault of ours."""
        failed: Item | None = None
        if isinstance(item, tuple):
            failed = item
        elif isinstance(item, Resume) and self._open is not None:
            failed = (self._open.work, self._open.reply_to)
        message = named(failed[0]) if failed else Message(type(item).__name__.lower())
        if self._open is not None and type(self._open.work) is Errand:
            self._hosting.emit(self._failure(self._open.work, error))
        self._open = None
        self._report(error, message)
        if failed is not None and self.cell.actor_type.cls.supervise is not None:
            self._supervise(error, failed)
            return
        if failed is not None and failed[1] is not None and failed[1].answerer is not None:
            stopped = ActorStopped(
                f"{self.label} stopped: {message.method} raised {error!r}", retry=False
            )
            stopped.__cause__ = error
            self._replies.post(self.cell.serial, failed[1], None, stopped)
        self._end(error)

    def _end(self, cause: BaseException | None) -> None:
        """Stop: on_stop, an answer to all that waits, and in the end to who asked for it."""
        self._interrupt()
        family = self._family
        if family is not None:
            family.scatter()
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
            elif isinstance(work, Batch):
                self._hosting.emit(work.returned())
            else:
                self._report(refusal, named(work))
                self._bury(named(work), "its actor stopped before it was handled")
        self._mailbox.stopped.answerer = None
        gone: Future[None] = Future()
        gone.add_done_callback(lambda _: self._leave(cause))
        self._replies.post(self.cell.serial, gone, None, None)

    def _leave(self, cause: BaseException | None = None) -> None:
        """Be forgotten first, so that who hears of the stop may activate the topic anew."""
        for listener in self.cell.listeners:
            listener.end()
        self._hosting.forget(self)
        if self._family is not None:
            watchers, self._family.watchers = self._family.watchers, []
            for watcher in watchers:
                watcher(cause)
        with suppress(UsageError):  # two threads may bring the last reply and the closing
            self._mailbox.stopped.set(True)


def _tell(listeners: Sequence[Listener], news: Sequence[FieldChange]) -> None:
    for listener in listeners:
        listener.tell(news)
