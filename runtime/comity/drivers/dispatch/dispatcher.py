"""All actors that a node hosts: many cells, a few threads, one door for each kind of call.

Owns: which topic is hosted by whom, and the pool. May not know: the core, the store, how a
message is written on the wire. No process globals: two dispatchers share nothing.

    activate(cell), run_create, fold ...     from the node, as the core asks for it
    tell, ask, call                          from anybody, any thread
    emit(event), release(topic, serial)      to the core; from the core once it is durable

Order: for one cell, events are emitted in the order of its turns, each before any later
turn runs, and replies are given in the order of its turns. Between cells there is none.
Source: ARCHITECTURE 'Who owns what', 'The way of a message'; decisions 0009, 0018.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from time import monotonic
from typing import Any, Final, TypeVar, cast

import pykka

from comity.actor.actor import Actor
from comity.actor.actor_type import ActorType
from comity.actor.awaiting import Unknown
from comity.actor.cell import Cell
from comity.actor.fold import CellEvent, Errands, Fold, Folded
from comity.actor.message import Message
from comity.actor.randomness import Randomness
from comity.actor.waits import DeadlockError
from comity.base.errors import UsageError
from comity.base.ids import Topic, short
from comity.drivers.dispatch.alarms import Alarms
from comity.drivers.dispatch.dead_letters import DeadLetters
from comity.drivers.dispatch.doorway import Doorway
from comity.drivers.dispatch.errors import ActorStopped, MailboxFull
from comity.drivers.dispatch.future import Future
from comity.drivers.dispatch.host import CellHost
from comity.drivers.dispatch.hosting import Hosting
from comity.drivers.dispatch.mailbox import Call, Create, Work
from comity.drivers.dispatch.outside import Outside
from comity.drivers.dispatch.pool import WorkerPool, worker_here
from comity.drivers.system import SystemClock, SystemEntropy
from comity.log.graph import Graph

__all__ = ["MAILBOX_MAX", "PATIENCE", "Dispatcher", "is_in_loop"]

T = TypeVar("T")

MAILBOX_MAX: Final = 1000
"""Messages waiting for one actor: a burst of one batch from a busy peer. Half refuses
bursts that take a few milliseconds to work off, twice only makes the queue's end staler."""

PATIENCE: Final = 30.0
"""Seconds that a sender waits while a mailbox is full: longer than a busy actor takes for a
mailbox of slow messages, and short enough to say that an actor has come to a standstill."""

_STOP_GRACE: Final = 1.0
"""Seconds for idle threads to end, beyond the caller's timeout for the actors: never used
up unless the machine stands still."""


def _anybody() -> bool:
    return True


class Dispatcher:
    """Hosts cells. Make one a node; `close` it."""

    __slots__ = (
        "_alarms",
        "_children",
        "_hosting",
        "_hosts",
        "_is_closed",
        "_lock",
        "_may_wait",
        "_outside",
        "_patience",
        "_pool",
        "dead_letters",
        "doorway",
        "follow",
        "on_renew",
        "refer",
    )

    on_renew: Callable[[Topic], None]
    """Has the core forget the cell of an actor, and feed its log to a new one."""

    refer: Callable[[ActorType, Topic], object]
    """Makes the ref of a child; a ref has the `topic` of its actor."""

    follow: Callable[[object], object]
    """Returns what carries messages to what a field refers to."""

    def __init__(
        self,
        *,
        emit: Callable[[CellEvent], None],
        on_failure: Callable[[Topic, BaseException, Message], None],
        may_wait: Callable[[], bool] = _anybody,
        patience: float = PATIENCE,
        workers: int = 2,
        mailbox_max: int = MAILBOX_MAX,
    ) -> None:
        """Start the threads.

        emit: takes what cells tell the core; called on workers, so it must be quick and
            safe from any thread: append to a deque and wake whoever drains it.
        on_failure: is told, on a worker, what a message raised that nobody awaits, what a
            hook raised, what stopped an actor, and which message a stop left undone. An
            AssertionError of ours arrives here too: the node should stop on it.
        may_wait: tells, on the thread of a sender, whether it may be held up.
        patience: seconds for which a sender waits for room.
        workers: threads that run handlers while none blocks; more come while some do.
        mailbox_max: messages that may wait for one actor, if its class does not say.
        """
        self._lock = threading.Lock()
        self._hosts: dict[Topic, CellHost] = {}
        self._is_closed = False
        self._may_wait = may_wait
        self._patience = patience
        self._pool = WorkerPool(size=workers)
        self.dead_letters = DeadLetters()
        self.on_renew = _cannot_renew
        self.refer = _cannot_refer
        self.follow = _cannot_follow
        self._children = itertools.count(1)
        self._alarms = Alarms()
        self._outside = Outside(self._pool, self._alarms)
        self.doorway = Doorway(self._hosts.get, emit)
        self._hosting = Hosting(
            submit=self._pool.submit,
            emit=emit,
            on_failure=on_failure,
            forget=self._forget,
            renew=self._renew,
            adopt=self._adopt,
            find=self._find,
            follow=lambda ref: self.follow(ref),  # noqa: PLW0108  (it is set later)
            dead_letters=self.dead_letters,
            mailbox_max=mailbox_max,
            alarms=self._alarms,
            doorway=self.doorway,
            outside=self._outside,
            moment=SystemClock().moment,
            randomness=Randomness(SystemEntropy()),
        )

    # ----------------------------------------------------------------- the node

    def activate(self, cell: Cell) -> None:
        """Host a cell. Messages wait until its first fold with `last` has been applied.

        Raises: UsageError if the topic is hosted already or has not quite stopped, or the
            dispatcher is closed.
        """
        self._host(CellHost(cell, self._hosting))

    def _host(self, host: CellHost) -> None:
        topic = host.cell.topic
        with self._lock:
            if self._is_closed:
                raise UsageError("the dispatcher is closed: make another one")
            if topic in self._hosts:
                raise UsageError(
                    f"actor {short(topic)} is active already, or still stopping: wait "
                    "for the future of deactivate"
                )
            host._start_actor_loop()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
            self._hosts[topic] = host

    def run_create(self, topic: Topic) -> Future[None]:
        """Run `on_create` as the first turn; ask before the first fold, so that it is.

        It then runs before `on_start`, which finds the fields as they were created. If it
        raises, the future gets the error and the actor stops.
        """
        return self._post(topic, Create())

    def fold(self, fold: Fold) -> bool:
        """Have a cell folded, ahead of waiting messages; False if it is not hosted.

        The answer comes through `emit`; none comes from an actor that stops first.
        """
        host = self._hosts.get(fold.topic)
        return host is not None and host.post_fold(fold)

    def release(self, topic: Topic, serial: int) -> None:
        """Give the replies of turns up to `serial`, which are durable now.

        For a topic that is not hosted there is nothing to give.
        """
        host = self._hosts.get(topic)
        if host is not None:
            host.release(serial)

    def deliver(self, errands: Errands) -> None:
        """Give an actor messages of another device; the core hears how they end."""
        self.doorway.deliver(errands)

    def deactivate(self, topic: Topic) -> Future[bool]:
        """Stop an actor after the messages that wait already; later ones get ActorStopped.

        While the cell is starting or waits for a fold, it stops at once. The future is set
        when every reply is given: True, or False if the actor was not hosted.
        """
        host = self._hosts.get(topic)
        if host is not None:
            return host.stop_soon()
        gone: Future[bool] = Future()
        gone.set(False)
        return gone

    def close(self, timeout: float) -> bool:
        """Stop all actors and threads; return whether all came to rest in time.

        timeout: seconds. Replies are given as long as the core goes on releasing; what is
        left then fails with ActorStopped, whose `retry` says whether it had no effect. A
        handler that never returns keeps its thread, but not the process. Safe to repeat.

        Raises: UsageError if an actor calls it: it would wait for itself.
        """
        if worker_here() is not None:
            raise UsageError("an actor cannot close its own dispatcher: do it from outside")
        ends = monotonic() + timeout
        with self._lock:
            self._is_closed = True
            hosts = list(self._hosts.values())
        for stopped in [host.stop_soon() for host in hosts]:
            with suppress(pykka.Timeout):  # those that are late are abandoned below
                stopped.get(timeout=max(0.0, ends - monotonic()))
        with self._lock:
            late = list(self._hosts.values())
        for host in late:
            host.abandon()
        alarms = self._alarms.close(_STOP_GRACE)
        outside = self._outside.close(max(0.0, ends - monotonic()) + _STOP_GRACE)
        rested = self._pool.close(max(0.0, ends - monotonic()) + _STOP_GRACE)
        return rested and alarms and outside and not late

    # ----------------------------------------------------------------- anybody

    def tell(self, topic: Topic, message: Message) -> None:
        """Put a message into an actor's mailbox, waiting for room if it is full.

        Raises: ActorStopped if the actor is not hosted here; MailboxFull if there is no room
            in time, if the class says so, or if who sends must not wait: an asyncio loop,
            the core's thread, an actor for whom this one waits in turn.
        """
        host = self._hosts.get(topic)
        try:
            if host is not None and host.post(message, None):
                return
        except MailboxFull as full:
            assert host is not None
            if self._wait_and_put(host, message, None, full):
                return
        raise _stopped(topic)

    def ask(
        self, topic: Topic, message: Message, *, deadline: float | None = None
    ) -> Future[Any]:
        """Put a message into an actor's mailbox; return the future of its reply.

        deadline: seconds after which it is Unknown; a message that waits then is not handled.

        The reply is what the handler returns or raises, once it is durable; ActorStopped if
        the actor is not hosted here or stops first. Raises: MailboxFull, as `tell`.
        """
        future = self._post(topic, message)
        future.subject = message.method
        if deadline is not None:
            late = Unknown(f"no reply to {message.method} within {deadline:g} seconds")
            alarm = self._alarms.after(deadline, partial(future.expire, late))
            future.follow(lambda _: alarm.cancel())
        return future

    def call(self, topic: Topic, fn: Callable[[Cell], T]) -> Future[T]:
        """Run a function that only reads while holding the cell, between turns.

        The reply waits, as others do, until what the function may have seen is durable.
        Raises: MailboxFull, as `tell`.
        """
        return cast("Future[T]", self._post(topic, Call(fn)))

    def chain_here(self) -> tuple[bytes, ...]:
        """Return which actors, on any device, wait for what is asked on this thread."""
        here = worker_here()
        host = None if here is None else here[1]
        return self.doorway.chain_of(host) if isinstance(host, CellHost) else ()

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """Call back after a while, on the thread that keeps time: it must be quick."""
        self._alarms.after(seconds, act)

    def actor_ref(self, topic: Topic) -> pykka.ActorRef[Any]:
        """Return a reference as pykka has them, which takes `Message`s.

        Raises: ActorStopped if the actor is not hosted here.
        """
        host = self._hosts.get(topic)
        if host is None:
            raise _stopped(topic)
        return host.actor_ref

    def topics(self) -> tuple[Topic, ...]:
        """Return the topics of the actors that take messages, in order of activation."""
        with self._lock:
            hosts = list(self._hosts.items())
        return tuple(topic for topic, host in hosts if not host.is_stopped)

    def check(self) -> None:
        """Assert the invariants of every hosted actor."""
        with self._lock:
            hosts = list(self._hosts.items())
        for topic, host in hosts:
            assert host.cell.topic == topic
            host.check()

    def _post(self, topic: Topic, work: Work) -> Future[Any]:
        future: Future[Any] = Future()
        host = self._hosts.get(topic)
        if host is None or not self._put(host, work, future):
            future.fail(_stopped(topic))
        return future

    def _put(self, host: CellHost, work: Work, reply_to: Future[Any] | None) -> bool:
        """Post, and push back on the sender while the mailbox is full."""
        try:
            return host.post(work, reply_to)
        except MailboxFull as full:
            return self._wait_and_put(host, work, reply_to, full)

    def _wait_and_put(
        self, host: CellHost, work: Work, reply_to: Future[Any] | None, first: MailboxFull
    ) -> bool:
        rejects = host.cell.actor_type.cls.comity_mailbox.on_full == "reject"
        if rejects or is_in_loop() or not self._may_wait():
            raise first
        ends = monotonic() + self._patience
        while True:
            try:
                host.room().get(timeout=max(0.0, ends - monotonic()))
            except (pykka.Timeout, DeadlockError) as error:
                raise first from error
            try:
                return host.post(work, reply_to)
            except MailboxFull:  # others who waited were quicker
                if monotonic() >= ends:
                    raise

    def _renew(self, host: CellHost) -> None:
        if host.is_local:
            host.post_fold(Fold(host.cell.topic, 1, 0, Graph()))
        else:
            self.on_renew(host.cell.topic)

    def _adopt(self, parent: CellHost, actor_class: type[Actor]) -> tuple[CellHost, object]:
        """Host a child: the core does not know it, so it is fed an empty log here."""
        actor_type = ActorType.of(actor_class)
        actor_type.check_child()
        topic = Topic(_CHILD + next(self._children).to_bytes(32 - len(_CHILD)))
        ref = self.refer(actor_type, topic)
        hosting = replace(self._hosting, emit=_keep_to_oneself)
        host = CellHost(Cell(actor_type, topic), hosting, parent=parent)
        self._host(host)
        host.post_fold(Fold(topic, 1, 0, Graph()))
        return host, ref

    def _find(self, ref: object) -> CellHost | None:
        topic = getattr(ref, "topic", None)
        if not isinstance(topic, bytes):
            raise UsageError(f"{ref!r} is no ref of an actor on this node")
        return self._hosts.get(Topic(topic))

    def _forget(self, host: CellHost) -> None:
        with self._lock:
            if self._hosts.get(host.cell.topic) is host:
                del self._hosts[host.cell.topic]


_CHILD: Final = b"a child on this device: "
"""Topics of children begin with this, and never leave the process; others are hashes."""


def _keep_to_oneself(event: CellEvent) -> None:
    assert isinstance(event, Folded), "a child has nothing to write"


def _cannot_renew(topic: Topic) -> None:
    raise UsageError(f"nobody here can feed actor {short(topic)} anew: set on_renew")


def _cannot_refer(actor_type: ActorType, _: Topic) -> object:
    raise UsageError(f"nobody here makes refs to {actor_type.name}: set refer")


def _cannot_follow(ref: object) -> object:
    raise UsageError(f"nobody here follows {ref!r}: set follow")


def is_in_loop() -> bool:
    """Tell whether the caller runs in an asyncio loop, which a wait would stop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _stopped(topic: Topic) -> ActorStopped:
    return ActorStopped(
        f"actor {short(topic)} is not active on this node, or has stopped", retry=True
    )
