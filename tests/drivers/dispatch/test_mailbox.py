"""The mailbox: bounded, in order, folds first, and never work that nobody is to run."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from comity.actor.fold import Fold
from comity.actor.message import Message
from comity.actor.timers import Timer
from comity.actor.waits import Awaited
from comity.base.clock import Instant
from comity.base.ids import Topic
from comity.drivers.dispatch.errors import MailboxFull
from comity.drivers.dispatch.future import Future
from comity.drivers.dispatch.mailbox import Create, Item, Mailbox, Renew, Stop
from comity.drivers.dispatch.pool import Job
from comity.log.graph import Graph

PATIENCE = 30.0
CAPACITY = 3


class Owner:
    """What a mailbox belongs to, here without an actor."""

    label = "owner"

    def __init__(self) -> None:
        self.awaits: Awaited | None = None

    def run_batch(self) -> bool:
        """Do nothing: the tests take."""
        return False

    def accept(self, message: Message, reply_to: Future[object] | None) -> None:
        """Take nothing: the tests post."""
        raise AssertionError((message, reply_to))

    def stop_soon(self) -> Future[bool]:
        """Take nothing: the tests post."""
        raise AssertionError


class MailboxMachine(RuleBasedStateMachine):
    """Puts and takes in any order, beside lists."""

    def __init__(self) -> None:
        super().__init__()
        self.submitted: list[Job] = []
        self.mailbox = Mailbox()
        self.mailbox.bind(Owner(), self.submitted.append, capacity=CAPACITY, bytes_max=1 << 20)
        self.items: list[Item] = []
        self.folds: list[Fold] = []
        self.rooms: list[Future[None]] = []
        self.is_open = self.is_closed = self.is_stopping = False
        self.count = 0

    def expected(self) -> Fold | Item | str | None:
        """Return what the next take must return."""
        if self.folds:
            return self.folds[0]
        if self.is_open:
            return self.items[0] if self.items else None
        return "stop" if self.is_stopping and not self.is_closed else None

    @rule(is_create=st.booleans())
    def post(self, *, is_create: bool) -> None:
        """A full mailbox refuses, a closed one declines, others append."""
        self.count += 1
        item: Item = (Create() if is_create else Message(str(self.count)), None)
        if not self.is_closed and len(self.items) >= CAPACITY:
            with pytest.raises(MailboxFull) as caught:
                self.mailbox.post(item)
            assert caught.value.retry
            return
        assert self.mailbox.post(item) is not self.is_closed
        if not self.is_closed:
            self.items.append(item)

    @rule()
    def wait_for_room(self) -> None:
        """There is room while no more than half of the mailbox waits, or when it closed."""
        room = self.mailbox.room()
        assert room.done() is (self.is_closed or len(self.items) <= CAPACITY // 2)
        self.rooms.append(room)

    @invariant()
    def nobody_waits_for_room_that_is_there(self) -> None:
        """Who waits is woken by whatever makes room."""
        if self.is_closed or len(self.items) <= CAPACITY // 2:
            assert all(room.done() for room in self.rooms)

    @rule()
    def fold(self) -> None:
        """No bound, but not after closing."""
        self.count += 1
        fold = Fold(Topic(bytes(32)), self.count, 0, GRAPH)
        assert self.mailbox.post_fold(fold) is not self.is_closed
        if not self.is_closed:
            self.folds.append(fold)

    @rule()
    def stop(self) -> None:
        """One stop, the same future each time."""
        assert self.mailbox.post_stop() is self.mailbox.stopped
        if not self.is_stopping and not self.is_closed:
            self.items.append((Stop(), None))
        self.is_stopping = True

    @rule()
    @precondition(lambda self: self.submitted)
    def take(self) -> None:
        """Folds first, then in order while open; a stop at once while shut."""
        expected, taken = self.expected(), self.mailbox.take()
        if expected == "stop" or (isinstance(taken, tuple) and isinstance(taken[0], Stop)):
            assert isinstance(taken, tuple)
            assert isinstance(taken[0], Stop)
            self.close()
        elif isinstance(expected, Fold):
            assert taken is self.folds.pop(0)
        else:
            assert taken is expected
            if taken is not None:
                del self.items[0]

    @rule(is_open=st.booleans())
    @precondition(lambda self: self.submitted)
    def set_open(self, *, is_open: bool) -> None:
        """Only the holder opens and shuts."""
        self.mailbox.set_open(is_open=is_open)
        self.is_open = is_open

    @rule()
    @precondition(lambda self: self.submitted)
    def end_batch(self) -> None:
        """The holder lets go exactly if there is nothing to do."""
        more = self.mailbox.end_batch()
        assert more is (self.expected() is not None)
        if not more:
            self.submitted.clear()

    @rule()
    def close(self) -> None:
        """Everything but the stop is handed back, once."""
        left = self.mailbox.close()
        assert left == [item for item in self.items if not isinstance(item[0], Stop)]
        self.items, self.folds = [], []
        self.is_closed = True

    @invariant()
    def is_scheduled_once(self) -> None:
        """Work that may run has been submitted, and never twice."""
        assert len(self.submitted) <= 1
        assert self.submitted or self.expected() is None
        self.mailbox.check()


GRAPH = Graph()

TestMailbox = MailboxMachine.TestCase


def test_an_idle_mailbox_keeps_no_queue() -> None:
    """An empty deque is 0.6 kB: a million idle actors would pay for it."""
    mailbox = Mailbox()
    mailbox.bind(Owner(), list[Job]().append, capacity=CAPACITY, bytes_max=1 << 20)
    mailbox.set_open(is_open=True)
    mailbox.post((Message("hit"), None))
    assert mailbox.take() is not None
    assert not mailbox.end_batch()
    assert mailbox._items is None
    assert mailbox._folds is None


def test_each_item_is_taken_or_handed_back_when_closed_from_outside() -> None:
    """A holder that takes while another thread closes: nothing lost, nothing twice."""
    for _ in range(200):
        mailbox = Mailbox()
        mailbox.bind(Owner(), list[Job]().append, capacity=100, bytes_max=1 << 20)
        mailbox.set_open(is_open=True)
        items: Sequence[Item] = [(Message(str(number)), None) for number in range(100)]
        for item in items:
            mailbox.post(item)
        taken: list[object] = []

        def take(mailbox: Mailbox = mailbox, taken: list[object] = taken) -> None:
            while (item := mailbox.take()) is not None:
                taken.append(item)

        thread = threading.Thread(target=take)
        thread.start()
        left = mailbox.close()
        thread.join(PATIENCE)
        assert [*taken, *left] == list(items)


@pytest.mark.parametrize("what", ["message", "fold", "ring"])
def test_whatever_comes_to_a_dozing_mailbox_comes_after_a_renewal(what: str) -> None:
    """It is scheduled once, made anew once, and shut until it is opened; a doze is refused."""
    submitted: list[Job] = []
    mailbox = Mailbox()
    mailbox.bind(Owner(), submitted.append, capacity=CAPACITY, bytes_max=1 << 20)
    mailbox.set_open(is_open=True)
    assert mailbox.doze()
    mailbox.check()
    assert mailbox.take() is None
    fold = Fold(Topic(bytes(32)), 2, 0, Graph())
    for _ in range(2):
        if what == "message":
            assert mailbox.post((Message("hit"), None))
        elif what == "fold":
            assert mailbox.post_fold(fold)
        else:
            mailbox.post_ring(Timer(print, (), {}, due=Instant(0), period=None))
    assert len(submitted) == 1
    mailbox.check()
    assert not mailbox.doze()
    assert mailbox.take() == Renew()
    assert [mailbox.take(), mailbox.take()] == ([fold] * 2 if what == "fold" else [None] * 2)
    mailbox.set_open(is_open=True)
    left = [mailbox.take(), mailbox.take(), mailbox.take()]
    assert [each is None for each in left] == ([True] * 3 if what == "fold" else [0, 0, 1])


def test_a_dozing_mailbox_is_stopped_without_a_renewal() -> None:
    """Nobody loads an actor to stop it."""
    submitted: list[Job] = []
    mailbox = Mailbox()
    mailbox.bind(Owner(), submitted.append, capacity=CAPACITY, bytes_max=1 << 20)
    mailbox.set_open(is_open=True)
    assert mailbox.doze()
    _ = mailbox.post_stop()
    mailbox.check()
    item = mailbox.take()
    assert isinstance(item, tuple)
    assert isinstance(item[0], Stop)
    assert len(submitted) == 1
    assert mailbox.close() == []
    assert not mailbox.doze()
