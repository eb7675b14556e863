"""The deterministic dispatcher: cells without threads, one item of work at a time.

Owns: the mailboxes, open handlers, timers and held replies of one node's cells. May not know:
the network, the core; it hands cell events to `emit` and says whether there is work; time is
the node's (`Clockwork`). The same cells run on pykka in `comity.drivers.dispatch`; the rules
of order are the same here: folds go ahead of messages, a waiting cell runs nothing, while a
handler is open messages wait for its end, a reply waits until its turn is durable.

    free --handler awaits--> open --what it awaited--> ready --its next stretch--> open, free
Source: ARCHITECTURE 'Who owns what'; decision 0018.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from comity.actor.actor_type import ActorType
from comity.actor.awaiting import (
    Foreign,
    Sleep,
    Unknown,
    Work,
    not_awaitable,
)
from comity.actor.cell import Cell, Phase
from comity.actor.clerk import told
from comity.actor.errand import Batch, Errand
from comity.actor.fold import CellEvent, Errands, Fold, TurnEnded
from comity.actor.message import Message, Outcome
from comity.actor.randomness import Randomness
from comity.actor.supervision import Down, Escalate, GoOn, Rest, Supervisor
from comity.actor.timers import TIMERS_MAX, Timer, nanoseconds
from comity.actor.waits import Awaited, DeadlockError, refuse_cycle
from comity.base.clock import MILLISECOND, Duration, Instant, Moment
from comity.base.errors import UsageError
from comity.base.ids import Topic, short
from comity.log.graph import Graph
from comity_chaos.items import Item
from comity_chaos.replies import Reply, Told

__all__ = ["Cells", "Clockwork", "Reply"]

T = TypeVar("T")


class Clockwork(Protocol):
    """The time, the chance and the fakes of one life of one node."""

    @property
    def randomness(self) -> Randomness:
        """What actors get as `self.random`."""
        ...

    def moment(self) -> Moment:
        """Return the present, as the node sees it."""
        ...

    def later(self, wait: Duration, act: Callable[[], None]) -> None:
        """Do something after a while, unless the node's life is over by then."""
        ...

    def fake(self, wait: Work | Foreign) -> Callable[[], object]:
        """Return what stands for outside work. Raises: UsageError if there is nothing."""
        ...

    def outside(self) -> Duration:
        """Return how long the next outside work takes."""
        ...

    def renew(self, topic: Topic) -> None:
        """Have the core forget the cell of an actor, and feed its log to a new one."""
        ...

    def refer(self, actor_type: ActorType, topic: Topic) -> object:
        """Make the ref of a child."""
        ...


class _Hosted:
    """One cell with its mailbox, its open handler and the replies that wait for the disk."""

    __slots__ = (
        "awaits",
        "cell",
        "cells",
        "children",
        "clockwork",
        "folds",
        "held",
        "is_resting",
        "mailbox",
        "opened",
        "parent",
        "released",
        "resume",
        "supervisor",
        "timers",
        "tried",
        "watchers",
    )

    awaits: Awaited | None

    def __init__(self, cell: Cell, cells: Cells, parent: _Hosted | None = None) -> None:
        self.cell = cell
        self.cells = cells
        self.parent = parent
        clockwork = cells.clockwork
        self.children: list[_Hosted] = []
        self.watchers: list[Callable[[BaseException | None], None]] = []
        self.supervisor = Supervisor(cell.actor_type.cls.supervise)
        self.is_resting = False
        self.tried: Item | None = None
        cell.surroundings = self
        self.clockwork = clockwork
        self.folds: deque[Fold] = deque()
        self.mailbox: deque[Item] = deque()
        self.held: deque[tuple[int, Reply[Any], Outcome]] = deque()
        self.released = 0
        self.awaits = None
        self.opened: Item | None = None
        self.resume: tuple[object, BaseException | None] | None = None
        self.timers: list[Timer] = []

    @property
    def label(self) -> str:
        return f"{self.cell.actor_type.name} {short(self.cell.topic)}"

    @property
    def sleeps(self) -> bool:
        """Whether a handler is open that waits for time alone."""
        return self.opened is not None and self.opened.is_asleep

    def reply(self, reply: Reply[Any], outcome: Outcome) -> None:
        """Give a reply once what it shows is durable, unless nobody waits for it any more."""
        if reply.done:
            return
        if outcome.serial > self.released or self.held:
            self.held.append((outcome.serial, reply, outcome))
        else:
            reply.settle(outcome)

    # The actor's services

    def moment(self) -> Moment:
        return self.clockwork.moment()

    def randomness(self) -> Randomness:
        return self.clockwork.randomness

    def start_timer(
        self,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        keywords: Mapping[str, Any],
        *,
        wait: Duration,
        period: Duration | None,
    ) -> Timer:
        self.timers = [each for each in self.timers if not each.is_over]
        if len(self.timers) >= TIMERS_MAX:
            raise UsageError(f"{self.label} has {TIMERS_MAX} timers: cancel() some")
        due = Instant(self.moment().instant + wait)
        timer = Timer(function, arguments, keywords, due=due, period=period)
        self.timers.append(timer)
        self.arm(timer)
        return timer

    def arm(self, timer: Timer) -> None:
        wait = Duration(max(0, timer.due - self.moment().instant))
        self.clockwork.later(wait, partial(self._ring, timer))

    def _ring(self, timer: Timer) -> None:
        if not timer.is_over:
            self.mailbox.append(Item(timer, None))

    def adopt(self, actor_class: type[Any]) -> object:
        return self.cells.adopt(self, actor_class)

    def watch(self, ref: object, method: Callable[..., Any]) -> None:
        watched = self.cells.find(ref)

        def tell(cause: BaseException | None) -> None:
            self.post_call(method, Down(ref, cause))

        if watched is None:
            tell(None)
        else:
            watched.watchers.append(tell)

    def post_call(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Have a function run as a turn."""
        ring = Timer(function, arguments, {}, due=Instant(0), period=None)
        self.mailbox.append(Item(ring, None))

    def cut_off(self) -> None:
        """End the open handler, if one is: who sent the message learns how far it came."""
        item, self.opened, self.resume, self.awaits = self.opened, None, None, None
        if item is None:
            return
        cut = self.cell.interrupt(item.name)
        if cut is not None and item.reply is not None and not item.reply.done:
            item.reply.settle(Outcome(None, cut[0], 0, b""))

    def scatter(self) -> None:
        """End what dies with the activation."""
        for timer in self.timers:
            timer.cancel()
        self.timers = []
        children, self.children = self.children, []
        for child in children:
            self.cells.end(child, None)

    # What an open handler waits for

    def pause(self, item: Item, wait: object) -> None:
        """Wait for what a handler awaits."""
        self.opened = item
        item.pauses += 1
        item.is_asleep = False
        resume = partial(self._resume, item, item.pauses)
        match wait:
            case Reply():
                self.awaits = wait
                try:
                    refuse_cycle(self)
                except DeadlockError as error:
                    resume(None, error)
                else:
                    wait.then(partial(self._replied, resume))
            case Sleep(seconds):
                item.is_asleep = True
                self.clockwork.later(nanoseconds(seconds), partial(resume, None, None))
            case Work() | Foreign():
                self._outside(wait, resume)
            case _:
                resume(None, not_awaitable(wait))

    def _replied(self, resume: Callable[..., None], reply: Reply[Any]) -> None:
        """Go on in a step of its own: the reply may be one of another node's."""
        outcome = reply.outcome
        assert outcome is not None
        act = partial(resume, outcome.value, outcome.error)
        self.clockwork.later(Duration(0), act)

    def _outside(self, wait: Work | Foreign, resume: Callable[..., None]) -> None:
        try:
            fake = self.clockwork.fake(wait)
        except UsageError as error:
            resume(None, error)
            return

        def end() -> None:
            value, error = None, None
            try:
                value = fake()
            except Exception as raised:  # noqa: BLE001  (the handler gets it)
                error = raised
            resume(value, error)

        self.clockwork.later(self.clockwork.outside(), end)

    def _resume(
        self, item: Item, pauses: int, value: object, error: BaseException | None
    ) -> None:
        if self.opened is item and item.pauses == pauses:
            self.awaits = None
            item.is_asleep = False
            self.resume = (value, error)


class Cells:
    """The cells of one life of one node."""

    __slots__ = ("_children", "_emit", "_hosted", "clockwork", "dead_letters", "on_failure")

    def __init__(
        self,
        emit: Callable[[CellEvent], None],
        on_failure: Callable[[Topic, Exception], None],
        clockwork: Clockwork,
    ) -> None:
        """Give events to `emit`, in the order of the turns."""
        self._emit = emit
        self._hosted: dict[Topic, _Hosted] = {}
        self.clockwork = clockwork
        self.on_failure = on_failure
        self.dead_letters: list[tuple[Message, str]] = []
        self._children = 0

    def activate(self, cell: Cell, *, create: bool) -> Reply[None] | None:
        """Host a cell; it runs nothing before its first folds. create: run `on_create`."""
        assert cell.topic not in self._hosted
        hosted = self._hosted[cell.topic] = _Hosted(cell, self)
        if not create:
            return None
        reply: Reply[None] = Reply(hosted)
        hosted.mailbox.append(Item(None, reply))
        return reply

    def cell(self, topic: Topic) -> Cell:
        """Return a hosted cell."""
        return self._hosted[topic].cell

    def post(
        self,
        topic: Topic,
        message: Message,
        reply: Reply[Any] | None,
        *,
        deadline: float | None = None,
    ) -> None:
        """Put a message into a mailbox. deadline: seconds until its reply is Unknown."""
        hosted = self._hosted[topic]
        if reply is not None:
            reply.answerer = hosted
            if deadline is not None:
                late = Unknown(f"no reply to {message.method} within {deadline:g} seconds")
                expire = partial(_expire, reply, Outcome(None, late, 0, b""))
                self.clockwork.later(nanoseconds(deadline), expire)
        hosted.mailbox.append(Item(message, reply))

    def deliver(self, errands: Errands) -> None:
        """Put messages of another device into a mailbox, or give them back."""
        hosted = self._hosted.get(errands.topic)
        if hosted is None:
            self.clockwork.later(Duration(0), partial(self._emit, Batch(errands).returned()))
            return
        for item in errands.items:
            one = Errands(errands.topic, errands.sender, (item,))
            hosted.mailbox.append(Item(Batch(one), None))

    def fold(self, fold: Fold) -> None:
        """Take a fold; it goes ahead of the messages."""
        hosted = self._hosted.get(fold.topic)
        if hosted is None or hosted.is_resting or (fold.beat > 1 and not hosted.cell.beat):
            return  # it was for a cell that is gone; the new one gets all from the first
        hosted.folds.append(fold)

    def release(self, topic: Topic, serial: int) -> int:
        """Let the replies of durable turns out; return how many."""
        hosted = self._hosted.get(topic)
        if hosted is None:
            return 0
        hosted.released = max(hosted.released, serial)
        count = 0
        while hosted.held and hosted.held[0][0] <= hosted.released:
            _, reply, outcome = hosted.held.popleft()
            if not reply.done:
                reply.settle(outcome)
            count += 1
        return count

    def cut_off(self) -> None:
        """The life of the node ends: who sent what is being handled learns how far it came."""
        for hosted in self._hosted.values():
            hosted.cut_off()

    @property
    def busy(self) -> bool:
        """Whether any cell has work."""
        return any(map(_has_work, self._hosted.values()))

    def ready(self) -> list[Topic]:
        """Return the cells that have work, in the order in which they were activated."""
        return [topic for topic, hosted in self._hosted.items() if _has_work(hosted)]

    def topics(self) -> tuple[Topic, ...]:
        """Return the hosted cells, in the order in which they were activated."""
        return tuple(self._hosted)

    def waiting(self) -> int:
        """Return how much is under way: messages, handlers, replies that wait for the disk.

        A handler that sleeps is at rest, and so is what waits behind it.
        """
        return sum(
            len(each.held)
            + each.is_resting
            + (0 if each.sleeps else len(each.mailbox) + (each.opened is not None))
            for each in self._hosted.values()
        )

    def run(self, topic: Topic) -> str:
        """Do one item of a cell's work; say what it was."""
        hosted = self._hosted[topic]
        done = self._run(hosted)
        if hosted.cell.has_news:
            self._tell_news(topic, hosted)
        return done

    def _tell_news(self, topic: Topic, hosted: _Hosted) -> None:
        """Let the actor react to changes, and tell who listens once they are durable."""
        cell = hosted.cell
        news = cell.take_news()
        failed = cell.react(news)
        for _, error in failed:
            cell.failed(error)
            self.on_failure(topic, error)
        if failed:
            self._supervise(hosted, failed[0][1], None)
        if cell.listeners:
            hosted.reply(Told(cell, news), Outcome(None, None, cell.serial, b""))

    def _run(self, hosted: _Hosted) -> str:
        cell = hosted.cell
        if hosted.folds:
            starting = cell.phase is Phase.STARTING
            event, _ = cell.fold(hosted.folds.popleft())
            if hosted.parent is None:
                self._emit(event)
            if starting and cell.phase is Phase.RUNNING:
                failure = cell.start()
                if failure is not None:
                    self.on_failure(cell.topic, failure)
                    self._supervise(hosted, failure, None)
            return "fold"
        if hosted.opened is not None:
            item = hosted.opened
            assert hosted.resume is not None
            (value, error), hosted.resume, hosted.opened = hosted.resume, None, None
            self._ended(hosted, item, cell.resume(value, error))
            return f"{item.name} on"
        item = hosted.mailbox.popleft()
        refused = item.open(cell.actor_type)
        if refused is not None:
            self._emit(refused)
            return "refused"
        ring = item.work
        if isinstance(ring, Message) and item.reply is not None and item.reply.done:
            self.dead_letters.append((ring, "its deadline passed before it was handled"))
            return f"{item.name} late"
        if not (isinstance(ring, Timer) and (ring.is_over or not cell.serves(ring.function))):
            self._ended(hosted, item, item.begin(cell))
        return item.name

    def _ended(
        self, hosted: _Hosted, item: Item, turn: tuple[Outcome, TurnEnded | None]
    ) -> None:
        outcome, ended = turn
        if isinstance(item.work, Errand):
            self._emit(told(hosted.cell.actor_type, item.work, outcome, ended))
        elif ended is not None:
            self._emit(ended)
        if outcome.awaits is not None:
            hosted.pause(item, outcome.awaits.wait)
            return
        if isinstance(item.work, Timer) and item.work.rang(hosted.moment().instant):
            hosted.arm(item.work)
        reply = item.reply
        if reply is None:
            asked = isinstance(item.work, Errand) and item.work.call.wants_reply
            if outcome.error is not None and not asked:
                hosted.cell.failed(outcome.error)
                self.on_failure(hosted.cell.topic, outcome.error)
                self._supervise(hosted, outcome.error, item)
            elif hosted.tried is item:
                hosted.tried = None
            return
        reply.answerer = None
        hosted.reply(reply, outcome)

    # Supervision, as `comity.drivers.dispatch.host` does it

    def _supervise(self, hosted: _Hosted, error: Exception, item: Item | None) -> None:
        verdict = hosted.supervisor.failed(hosted.moment().instant)
        if isinstance(verdict, GoOn):
            return
        if item is not None and isinstance(item.work, Message):
            if isinstance(verdict, Rest) and hosted.tried is not item:
                hosted.tried = item
                hosted.mailbox.appendleft(item)
            else:
                hosted.tried = None
                self.dead_letters.append((item.work, f"it failed: {error!r}"))
        if isinstance(verdict, Rest):
            hosted.is_resting = True
            hosted.cut_off()
            hosted.folds.clear()
            hosted.scatter()
            self.clockwork.later(verdict.wait, partial(self._renew, hosted))
            return
        if isinstance(verdict, Escalate) and hosted.parent is not None:
            hosted.parent.post_call(_raising(error))
        self.end(hosted, error)

    def _renew(self, hosted: _Hosted) -> None:
        if self._hosted.get(hosted.cell.topic) is not hosted:
            return
        if hosted.parent is None and hosted.released < hosted.cell.serial:
            self.clockwork.later(_LOOK_AGAIN, partial(self._renew, hosted))
            return  # what is durable is all that the new cell will be fed
        cell = Cell(hosted.cell.actor_type, hosted.cell.topic)
        for listener in hosted.cell.listeners:
            cell.listen(listener)
        cell.surroundings = hosted
        hosted.cell = cell
        hosted.released = 0
        hosted.is_resting = False
        if hosted.parent is None:
            self.clockwork.renew(hosted.cell.topic)
        else:
            hosted.folds.append(Fold(hosted.cell.topic, 1, 0, Graph()))

    def adopt(self, parent: _Hosted, actor_class: type[Any]) -> object:
        """Host a child. Raises: UsageError if its class has fields."""
        actor_type = ActorType.of(actor_class)
        actor_type.check_child()
        self._children += 1
        topic = Topic(_CHILD + self._children.to_bytes(32 - len(_CHILD)))
        child = self._hosted[topic] = _Hosted(Cell(actor_type, topic), self, parent)
        child.folds.append(Fold(topic, 1, 0, Graph()))
        parent.children.append(child)
        return self.clockwork.refer(actor_type, topic)

    def find(self, ref: object) -> _Hosted | None:
        """Return what is behind a ref. Raises: UsageError if it is none."""
        topic = getattr(ref, "topic", None)
        if not isinstance(topic, bytes):
            raise UsageError(f"{ref!r} is no ref of an actor on this node")
        return self._hosted.get(Topic(topic))

    def end(self, hosted: _Hosted, cause: BaseException | None) -> None:
        """Stop an actor: what waits for it is refused, who watches it is told."""
        if self._hosted.pop(hosted.cell.topic, None) is None:
            return
        hosted.scatter()
        if cause is None:
            hosted.cell.stop()
        refusal = UsageError(f"{hosted.label} has stopped: {cause!r}")
        hosted.cut_off()
        for item in hosted.mailbox:
            if item.reply is not None and not item.reply.done:
                item.reply.settle(Outcome(None, refusal, 0, b""))
            elif isinstance(item.work, Message):
                self.dead_letters.append((item.work, "its actor stopped"))
            elif isinstance(item.work, Batch):
                self._emit(item.work.returned())
        hosted.mailbox.clear()
        for watcher in hosted.watchers:
            watcher(cause)

    def check(self) -> None:
        """Assert the invariants of every cell."""
        for hosted in self._hosted.values():
            assert hosted.resume is None or hosted.opened is not None
            hosted.cell.check()


_CHILD: Final = b"a child on this device: "
_LOOK_AGAIN: Final = Duration(MILLISECOND)


def _expire(reply: Reply[Any], late: Outcome) -> None:
    if not reply.done:
        reply.settle(late)


def _raising(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def _has_work(hosted: _Hosted) -> bool:
    if hosted.folds:
        return True
    if hosted.is_resting:
        return False
    if hosted.cell.phase is not Phase.RUNNING:
        return False
    return bool(hosted.mailbox) if hosted.opened is None else hosted.resume is not None
