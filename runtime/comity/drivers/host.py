"""The host: the one thread in which a node's core runs, and the hands of that core.

Owns: the queue of events, the order of effects, and the answer to every command. May not
know: what events and effects mean. Cells run on the dispatcher's threads and links on theirs;
both only append to the queue here.

    events --drain--> Core.step, once per batch --> effects, in order
        Write -> store, then `Stored` comes before any other event
        Read -> store, `ReadDone`      VerifyBatch -> verifier, `Verified` comes later
        Fold, Release -> cells
        Dial, Send, Hangup -> links    Answer, Report -> whoever asked, whoever listens

While a write is on its way to the disk, turns go on ending; they are the next batch. That is
the group commit: batch by what is waiting, never by a timer.
A store that fails for good stops the node: what waits is answered with the error, nothing is
acknowledged any more, and reopening starts from what is on the disk.
Source: ARCHITECTURE 'Who owns what', invariant 3.
"""

from __future__ import annotations

import itertools
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Final, Protocol, assert_never

from comity.actor.fold import CellEvent, Errands, Fold, TurnEnded
from comity.base.clock import Moment
from comity.base.errors import ComityError, DeadlineError, StoreError
from comity.base.ids import LinkId, Token, Topic
from comity.drivers.dispatch.dispatcher import is_in_loop
from comity.drivers.figures import HostTally
from comity.drivers.mailroom import Gathered, Mailroom
from comity.drivers.store import Store
from comity.drivers.verifier import Verifier
from comity.node.commands import Command
from comity.node.core import Core, Event
from comity.node.effects import (
    READ_LATER,
    Answer,
    AwaitRoom,
    Dial,
    Effect,
    Hangup,
    Progress,
    Read,
    Release,
    Report,
    Send,
    Stop,
    Table,
    Throttle,
    VerifyBatch,
    Write,
)
from comity.node.events import LinkDown, ReadDone, Stored, Verified, Woke, WriteFailed
from comity.node.step import Rows

__all__ = ["Cells", "Clock", "Host", "LinkDriver"]

_EVENTS_BATCH_MAX: Final = 4096
"""Events of one step: a step holds the thread for some 10 ms at most."""

_EVENTS_WAITING_MAX: Final = 50_000
"""Events in the queue; beyond it links are read no more until half of them are gone."""

_RETRY_SECONDS: Final = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
"""Waits of a store that is full or busy: some 40 s, then the node stops."""

_ROWS_ALL: Final = 1 << 62

_logger: Final = logging.getLogger("comity.node")


class Clock(Protocol):
    """Where the present comes from."""

    def moment(self) -> Moment:
        """Return the present."""
        ...


class Cells(Protocol):
    """Who hosts the cells."""

    def fold(self, fold: Fold) -> bool:
        """Give a fold to its cell; False if there is none."""
        ...

    def release(self, topic: Topic, serial: int) -> None:
        """Let replies out."""
        ...

    def deliver(self, errands: Errands) -> None:
        """Have messages of another device handled."""
        ...


class LinkDriver(Protocol):
    """Who carries frames."""

    def dial(self, link: LinkId, address: str) -> None:
        """Connect."""
        ...

    def send(self, link: LinkId, frame: bytes) -> None:
        """Queue a frame."""
        ...

    def await_room(self, link: LinkId) -> None:
        """Emit `LinkDrained` when little waits to be sent over a link."""
        ...

    def hangup(self, link: LinkId, why: str) -> None:
        """End a link."""
        ...

    def pause(self) -> None:
        """Read nothing."""
        ...

    def resume(self) -> None:
        """Read again."""
        ...


class Host:
    """Runs one core."""

    def __init__(self, core: Core, store: Store, clock: Clock, verifier: Verifier) -> None:
        """Keep the parts; nothing runs before `start`. The verifier ends with the host."""
        self._core = core
        self._store = store
        self._clock = clock
        self._verifier = verifier
        self._cells: Cells | None = None
        self._links: LinkDriver | None = None
        self._events: queue.SimpleQueue[Event | Gathered | None] = queue.SimpleQueue()
        self._answers: dict[Token, Future[object]] = {}
        self.tally = HostTally()
        self._listeners: list[Callable[[Report], None]] = []
        self._tokens = itertools.count(1)
        self._inbound = itertools.count(1, 2)
        self._lock = threading.Lock()
        self._failure: ComityError | None = None
        self._closing = False
        self._paused = False
        self.mailroom = Mailroom(self.emit, self._events.qsize, self._may_hold_up)
        self._thread = threading.Thread(target=self._run, name="comity-node", daemon=True)

    def start(self, cells: Cells, links: LinkDriver, *, copied: bool = False) -> None:
        """Boot the core from the store and run it. Raises: StoreError.

        copied: the store is not the one that ran last; see `Core.start`.
        """
        self._cells = cells
        self._links = links
        found: dict[Table, Rows] = {
            table: self._store.read(table, b"", b"\xff" * 80, _ROWS_ALL)
            for table in Table
            if table is not Table.STATE  # read when it is wanted
            if table not in READ_LATER
        }
        self._perform(self._core.start(found, self._clock.moment(), copied=copied))
        self._thread.start()

    def emit(self, event: CellEvent | LinkDown | Event | Gathered) -> None:
        """Take an event from any thread. Never blocks, never raises."""
        self._events.put(event)

    def next_link(self) -> LinkId:
        """Number a link that the other side opened; the core numbers its own, even."""
        return LinkId(next(self._inbound))

    def listen(self, listener: Callable[[Report], None]) -> None:
        """Call `listener` with every report, in the host's thread; it must not block."""
        self._listeners.append(listener)

    def ignore(self, listener: Callable[[Report], None]) -> None:
        """Call a listener no more, after the report that is being told now."""
        self._listeners = [each for each in self._listeners if each != listener]

    def ask(self, make: Callable[[Token], Command]) -> Future[object]:
        """Give a command to the core; the future ends as its answer or its error."""
        answer: Future[object] = Future()
        with self._lock:
            if self._failure is not None:
                answer.set_exception(self._failure)
                return answer
            token = Token(next(self._tokens))
            self._answers[token] = answer
        self._events.put(make(token))
        return answer

    def call(self, make: Callable[[Token], Command], *, seconds: float) -> object:
        """Give a command and wait for its answer.

        Raises: what the command's answer is, if that is an error; DeadlineError.
        """
        try:
            return self.ask(make).result(seconds)
        except TimeoutError:
            raise DeadlineError(f"no answer from the node in {seconds:g} s") from None

    def close(self) -> None:
        """Finish what is queued, then stop the thread; safe to repeat."""
        if not self._closing:
            self._closing = True
            self._events.put(None)
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join()
        self._verifier.close()
        self._fail(StoreError("the node has been closed", retry=False))

    @property
    def waiting(self) -> int:
        """How many events wait now, about."""
        return self._events.qsize()

    @property
    def is_here(self) -> bool:
        """Whether the caller runs in the host's thread, which must not wait for a cell."""
        return threading.current_thread() is self._thread

    def _may_hold_up(self) -> bool:
        return not (self.is_here or is_in_loop())

    @property
    def failure(self) -> ComityError | None:
        """Why the node stopped, if it did."""
        return self._failure

    def _run(self) -> None:
        try:
            while self._failure is None:
                if self._closing and self._events.empty():
                    return
                batch = self._wait()
                if batch:
                    began = time.perf_counter()
                    self._perform(self._core.step(batch, self._clock.moment()))
                    self._count(batch, time.perf_counter() - began)
        except Exception as error:
            _logger.exception("the node stops: this is a bug in Comity")
            self._fail(ComityError(f"the node stopped on an internal error: {error!r}"))
            raise

    def _count(self, batch: list[Event], seconds: float) -> None:
        tally = self.tally
        tally.steps += 1
        tally.step_seconds += seconds
        tally.events += len(batch)
        tally.turns += sum(type(event) is TurnEnded for event in batch)

    def _wait(self) -> list[Event]:
        """Return the events that are there, waiting for the first as long as nothing is due.

        What is due is told even while events never stop coming.
        """
        patience = self._patience()
        batch: list[Event] = [Woke()] if patience == 0.0 else []
        try:
            event = self._events.get(timeout=patience)
        except queue.Empty:
            return [Woke()]
        while True:
            if isinstance(event, Gathered):
                batch.append(self._gather(event))
            elif event is not None:
                batch.append(event)
            if len(batch) >= _EVENTS_BATCH_MAX:
                break
            try:
                event = self._events.get_nowait()
            except queue.Empty:
                break
        self._throttle()
        return batch

    def _gather(self, gathered: Gathered) -> Event:
        """Take what senders have gathered; if that was not all, come back to it."""
        post = gathered.take()
        if gathered.letters and not gathered.is_told:
            gathered.is_told = True
            self._events.put(gathered)
        return post

    def _patience(self) -> float | None:
        """Seconds until the core wants to be woken; None if it does not."""
        deadline = self._core.deadline
        if deadline is None:
            return None
        return max(0.0, (deadline - self._clock.moment().instant) / 1e9)

    def _throttle(self) -> None:
        """Stop reading links while the queue is long."""
        assert self._links is not None
        waiting = self._events.qsize()
        if not self._paused and waiting > _EVENTS_WAITING_MAX:
            self._paused = True
            self._links.pause()
        elif self._paused and waiting < _EVENTS_WAITING_MAX // 2:
            self._paused = False
            self._links.resume()

    def _perform(self, effects: list[Effect]) -> None:
        """Carry out effects; those that bring an event at once are stepped at once."""
        pending = deque([effects])
        while pending:
            at_once: list[Event] = []
            for effect in pending.popleft():
                event = self._act(effect)
                if event is not None:
                    at_once.append(event)
            if at_once:
                pending.append(self._core.step(at_once, self._clock.moment()))

    def _act(self, effect: Effect) -> Event | None:
        assert self._cells is not None
        assert self._links is not None
        match effect:
            case Write():
                return self._write(effect)
            case Read(token, table, start, stop, rows_max):
                return ReadDone(token, self._store.read(table, start, stop, rows_max))
            case VerifyBatch(token, claims):
                self._verifier.check(claims, lambda valid: self.emit(Verified(token, valid)))
            case Fold():
                self._cells.fold(effect)
            case Errands():
                self._cells.deliver(effect)
            case Progress() | Throttle():
                self._tell_senders(effect)
            case Release(topic, serial):
                self._cells.release(topic, serial)
            case Send(link, frame):
                self._links.send(link, frame)
            case Dial(link, address):
                self._dial(link, address)
            case AwaitRoom(link):
                self._links.await_room(link)
            case Hangup(link, why):
                self._links.hangup(link, why)
            case Answer(token, result):
                self._answer(token, result)
            case Stop(why):
                _logger.error("the node stops: %s", why)
                self._fail(StoreError(why, retry=False))
            case Report():
                for listener in self._listeners:
                    listener(effect)
            case _:
                assert_never(effect)
        return None

    def _tell_senders(self, effect: Progress | Throttle) -> None:
        if isinstance(effect, Progress):
            self.mailroom.progressed(effect)
        else:
            self.mailroom.throttle(effect)

    def _dial(self, link: LinkId, address: str) -> None:
        """Connect; an address that makes no sense came from a peer or an old row."""
        assert self._links is not None
        try:
            self._links.dial(link, address)
        except ComityError as error:
            self.emit(LinkDown(link, str(error)))

    def _write(self, write: Write) -> Event:
        began = time.perf_counter()
        for wait in (*_RETRY_SECONDS, None):
            try:
                self._store.apply(write.changes)
            except StoreError as error:
                if error.retry and wait is not None and not self._closing:
                    _logger.warning("the store cannot write, trying again: %s", error)
                    time.sleep(wait)
                    continue
                _logger.error("the node stops: %s", error)  # noqa: TRY400  (no bug: no trace)
                self._fail(error)
                return WriteFailed(write.token, str(error))
            self.tally.writes += 1
            self.tally.rows += len(write.changes)
            self.tally.write_seconds += time.perf_counter() - began
            return Stored(write.token)
        raise AssertionError("the last wait is None")

    def _answer(self, token: Token, result: object) -> None:
        with self._lock:
            answer = self._answers.pop(token, None)
        if answer is None:
            return
        if isinstance(result, BaseException):
            answer.set_exception(result)
        else:
            answer.set_result(result)

    def _fail(self, error: ComityError) -> None:
        """Give up: everybody who waits learns why, and so does everybody who asks later."""
        with self._lock:
            if self._failure is None:
                self._failure = error
            answers: Mapping[Token, Future[object]] = self._answers
            self._answers = {}
        for answer in answers.values():
            answer.set_exception(error)
        self.mailroom.fail(error)
