"""The deterministic dispatcher: cells without threads, one item of work at a time.

Owns: the mailboxes and held replies of one node's cells. May not know: time, the network, the
core; it hands cell events to `emit` and says whether there is work. The same cells run on
pykka in `comity.drivers.dispatch`; the rules of order are the same here: folds go ahead of
messages, a waiting cell runs nothing, a reply waits until its turn is durable.
Source: ARCHITECTURE 'Who owns what'.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from comity.actor.cell import Cell, Phase
from comity.actor.fold import CellEvent, Fold
from comity.actor.message import Message, Outcome
from comity.base.errors import UsageError
from comity.base.ids import Topic

__all__ = ["Cells", "Reply"]

T = TypeVar("T")


class Reply(Generic[T]):
    """The reply to one message of a simulated actor."""

    __slots__ = ("_outcome", "done")

    def __init__(self) -> None:
        """Start without an outcome."""
        self.done = False
        self._outcome: Outcome | None = None

    def settle(self, outcome: Outcome) -> None:
        """Give the outcome; once."""
        assert not self.done
        self.done = True
        self._outcome = outcome

    @property
    def value(self) -> T:
        """The value. Raises: what the handler raised; UsageError if there is none yet."""
        if self._outcome is None:
            raise UsageError("no reply yet: let the simulation run, for example by settle()")
        if self._outcome.error is not None:
            raise self._outcome.error
        value: T = self._outcome.value
        return value

    @property
    def error(self) -> Exception | None:
        """What the handler raised, if it is known and did."""
        return None if self._outcome is None else self._outcome.error


class _Hosted:
    """One cell with its mailbox and the replies that wait for the disk."""

    __slots__ = ("cell", "folds", "held", "mailbox", "released")

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.folds: deque[Fold] = deque()
        self.mailbox: deque[tuple[Message | None, Reply[Any] | None]] = deque()
        self.held: deque[tuple[int, Reply[Any], Outcome]] = deque()
        self.released = 0


class Cells:
    """The cells of one life of one node."""

    __slots__ = ("_emit", "_hosted", "on_failure")

    def __init__(
        self,
        emit: Callable[[CellEvent], None],
        on_failure: Callable[[Topic, Exception], None],
    ) -> None:
        """Give events to `emit`, in the order of the turns."""
        self._emit = emit
        self._hosted: dict[Topic, _Hosted] = {}
        self.on_failure = on_failure

    def activate(self, cell: Cell, *, create: bool) -> Reply[None] | None:
        """Host a cell; it runs nothing before its first folds. create: run `on_create`."""
        assert cell.topic not in self._hosted
        hosted = self._hosted[cell.topic] = _Hosted(cell)
        if not create:
            return None
        reply: Reply[None] = Reply()
        hosted.mailbox.append((None, reply))
        return reply

    def cell(self, topic: Topic) -> Cell:
        """Return a hosted cell."""
        return self._hosted[topic].cell

    def post(self, topic: Topic, message: Message, reply: Reply[Any] | None) -> None:
        """Put a message into a mailbox."""
        self._hosted[topic].mailbox.append((message, reply))

    def fold(self, fold: Fold) -> None:
        """Take a fold; it goes ahead of the messages."""
        hosted = self._hosted.get(fold.topic)
        if hosted is not None:
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
            reply.settle(outcome)
            count += 1
        return count

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
        """Return how many messages wait in mailboxes, and how many replies for the disk."""
        return sum(len(each.mailbox) + len(each.held) for each in self._hosted.values())

    def run(self, topic: Topic) -> str:
        """Do one item of a cell's work; say what it was."""
        hosted = self._hosted[topic]
        cell = hosted.cell
        if hosted.folds:
            starting = cell.phase is Phase.STARTING
            event, _ = cell.fold(hosted.folds.popleft())
            self._emit(event)
            if starting and cell.phase is Phase.RUNNING:
                cell.start()
            return "fold"
        message, reply = hosted.mailbox.popleft()
        outcome, ended = cell.create() if message is None else cell.run(message)
        if ended is not None:
            self._emit(ended)
        if outcome.error is not None and reply is None:
            cell.failed(outcome.error)
            self.on_failure(topic, outcome.error)
        if reply is not None:
            if outcome.serial > hosted.released or hosted.held:
                hosted.held.append((outcome.serial, reply, outcome))
            else:
                reply.settle(outcome)
        return "create" if message is None else message.method

    def check(self) -> None:
        """Assert the invariants of every cell."""
        for hosted in self._hosted.values():
            hosted.cell.check()


def _has_work(hosted: _Hosted) -> bool:
    if hosted.folds:
        return True
    return hosted.cell.phase is Phase.RUNNING and bool(hosted.mailbox)
