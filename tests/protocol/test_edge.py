"""Edges: each letter is handled once and in order, whatever the way between does."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.base.canonical import Malformed
from comity.base.clock import SECOND, Instant
from comity.base.errors import Rejected
from comity.base.ids import DeviceId
from comity.base.limits import (
    ACCEPTED_BYTES_MAX,
    ACCEPTED_COUNT_MAX,
    FLIGHT_COUNT_MAX,
    GAP_WAIT,
    RESEND_WAIT,
    RESEND_WAIT_MAX,
)
from comity.protocol.edge import Enclosed, Receiver, ReceiverRow, Sender
from comity.protocol.envelope import (
    CallHead,
    Envelope,
    decode_envelope,
    encode_envelope,
    envelope_hash,
)

A, B = DeviceId(b"a" * 32), DeviceId(b"b" * 32)
HEAD = CallHead(bytes(16), "add", bytes(8))
NOW = Instant(0)


def enclose(sender: Sender, count: int, mark: bytes = b"") -> Enclosed:
    """Have a sender send letters that say their own numbers."""
    first = sender.next_number
    letters = [(HEAD, mark + b"%d" % number) for number in range(first, first + count)]
    data = encode_envelope(first, sender.last_hash, 0, letters)
    made = Enclosed(first, first + count - 1, data, envelope_hash(A, B, data))
    sender.enclosed(made)
    return made


def opened(data: bytes) -> tuple[Envelope, bytes]:
    """Return an envelope as it arrives."""
    envelope = decode_envelope(data)
    assert isinstance(envelope, Envelope)
    return envelope, envelope_hash(A, B, data)


class End:
    """A receiver with its durable row and the effects of its turns, which are one write."""

    def __init__(self) -> None:
        self.row = ReceiverRow()
        self.effects: list[int] = []
        self.start()

    def start(self) -> None:
        """Begin anew from what is durable."""
        self.receiver = Receiver(ReceiverRow.decode(self.row.encode()))
        self.open: list[int] = []

    def arrive(self, data: bytes) -> None:
        """Take an envelope; its letters wait to be handled."""
        fresh = self.receiver.arrive(*opened(data), NOW)
        assert isinstance(fresh, list)
        for number, (_, body) in fresh:
            assert body == b"%d" % number
            self.open.append(number)

    def handle(self, number: int) -> None:
        """Handle one letter: the effect and the mark are durable together."""
        self.open.remove(number)
        self.receiver.done([number])
        self.effects.append(number)
        self.row = self.receiver.row()
        self.receiver.check()


@pytest.mark.parametrize("seed", range(30))
def test_every_letter_is_handled_once_through_loss_copies_disorder_and_crashes(
    seed: int,
) -> None:
    """Two ways that lose, copy and reorder; either end crashes; letters end out of order."""
    chance = random.Random(seed)
    sender, end = Sender(), End()
    stored: list[Enclosed] = []
    ways: list[list[bytes]] = [[], []]
    total, now = 0, 0
    while total < 200 or sender.count:
        now += SECOND // 4
        if sender.deadline is not None and not (any(ways) or end.open):
            now = max(now, sender.deadline)
        at = Instant(now)
        if total < 200 and chance.random() < 0.5:
            count = chance.randint(1, 9)
            stored.append(enclose(sender, count))
            total += count
        leaving = sender.fly(at, up_to=total)
        if sender.deadline is not None and sender.deadline <= at:
            leaving += sender.resend(at, 0, received=end.receiver.received)
        for data in leaving:
            for way in ways:
                for _ in range(chance.choice([0, 1, 1, 2])):
                    way.insert(chance.randint(0, len(way)), data)
        for way in ways:
            while way and chance.random() < 0.7:
                end.arrive(way.pop(0))
        while end.open and chance.random() < 0.8:
            end.handle(chance.choice(end.open))
        if chance.random() < 0.05:
            end.start()
            sender.grounded()
        if chance.random() < 0.05:
            sender = Sender(sender.next_number, sender.last_hash)
            for each in stored:
                sender.restore(each)
        if chance.random() < 0.7:
            gone = sender.acknowledged(end.row.first - 1, at)
            assert gone is not None
            stored = [each for each in stored if each not in gone]
        sender.check()
        assert now < 10**15, "it does not end"
    while end.open:
        end.handle(end.open[0])
    assert sorted(end.effects) == list(range(1, total + 1))


def test_without_the_mark_a_letter_is_handled_twice() -> None:
    """The twin whose mark is not written with the effect shows what the row is for."""
    sender, end = Sender(), End()
    made = enclose(sender, 3)
    before = end.row
    end.arrive(made.data)
    end.handle(1)
    end.row = before  # the crash of a node that writes its mark later
    end.start()
    end.arrive(made.data)
    end.handle(1)
    assert end.effects == [1, 1]


def test_an_envelope_that_names_another_before_it_is_an_alarm() -> None:
    """Somebody dropped one, or the sender's store was put back."""
    sender, other = Sender(), Sender()
    receiver = Receiver()
    enclose(other, 2, mark=b"other ")
    first, second = enclose(sender, 2), enclose(other, 1)
    assert len(receiver.arrive(*opened(first.data), NOW)) == 2  # type: ignore[arg-type]
    refused = receiver.arrive(*opened(second.data), NOW)
    assert isinstance(refused, Rejected)
    receiver.check()
    genuine = receiver.arrive(*opened(enclose(sender, 1).data), NOW)
    assert isinstance(genuine, list)
    assert [number for number, _ in genuine] == [3]


def test_another_envelope_under_a_number_that_came_is_an_alarm_a_copy_is_not() -> None:
    """A sender that says two things under one number is told."""
    sender, other = Sender(), Sender()
    receiver = Receiver()
    first, forged = enclose(sender, 2), enclose(other, 2, mark=b"not ")
    receiver.arrive(*opened(first.data), NOW)
    assert receiver.arrive(*opened(first.data), NOW) == []
    assert isinstance(receiver.arrive(*opened(forged.data), NOW), Rejected)


def test_a_gap_that_stands_is_an_alarm_once() -> None:
    """What is missing is named when other ways have had their time."""
    sender, receiver = Sender(), Receiver()
    one, two, three = enclose(sender, 2), enclose(sender, 3), enclose(sender, 1)
    receiver.arrive(*opened(one.data), NOW)
    assert receiver.arrive(*opened(three.data), NOW) == []
    assert receiver.deadline == Instant(GAP_WAIT)
    assert receiver.overdue(Instant(GAP_WAIT - 1)) is None
    assert receiver.overdue(Instant(GAP_WAIT)) == (3, 5)
    assert receiver.overdue(Instant(2 * GAP_WAIT)) is None
    found = receiver.arrive(*opened(two.data), NOW)
    assert isinstance(found, list)
    assert [number for number, _ in found] == [3, 4, 5, 6]
    assert receiver.deadline is None


def test_parked_envelopes_are_bounded() -> None:
    """Whoever leaves a gap fills no memory."""
    sender, receiver = Sender(), Receiver()
    made = [enclose(sender, 1) for _ in range(1000)]
    for each in made[1:]:
        receiver.arrive(*opened(each.data), NOW)
    found = receiver.arrive(*opened(made[0].data), NOW)
    assert isinstance(found, list)
    assert 1 < len(found) <= 100


def test_a_receiver_takes_no_more_than_it_may_hold() -> None:
    """A sender that does not wait is not listened to; nothing is lost by it."""
    sender, receiver = Sender(), Receiver()
    taken = 0
    while taken < 2 * ACCEPTED_COUNT_MAX:
        found = receiver.arrive(*opened(enclose(sender, 1000).data), NOW)
        assert isinstance(found, list)
        if not found:
            break
        taken += len(found)
    assert ACCEPTED_COUNT_MAX - 1000 < taken <= ACCEPTED_COUNT_MAX
    assert receiver.received == taken


def test_a_receiver_holds_no_more_bytes_than_it_may() -> None:
    """Large messages that nobody handles are not taken, and are when there is room again."""
    sender, receiver = Sender(), Receiver()
    data = bytes(100_000)
    made: list[Enclosed] = []
    for number in range(1, 80):
        letters = [(HEAD, data)]
        written = encode_envelope(number, sender.last_hash, 0, letters)
        made.append(Enclosed(number, number, written, envelope_hash(A, B, written)))
        sender.enclosed(made[-1])
    taken = [each.first for each in made if receiver.arrive(*opened(each.data), NOW)]
    assert taken == list(range(1, ACCEPTED_BYTES_MAX // 100_000 + 1))
    receiver.check()
    receiver.done(taken)
    following = made[len(taken)]
    assert len(receiver.arrive(*opened(following.data), NOW)) > 0  # type: ignore[arg-type]
    receiver.check()


def test_no_more_than_the_window_flies() -> None:
    """What is not acknowledged bounds what is sent; acknowledgements let the next fly."""
    sender = Sender()
    for _ in range(20):
        enclose(sender, 1000)
    assert len(sender.fly(NOW, up_to=10**9)) == FLIGHT_COUNT_MAX // 1000
    assert sender.fly(NOW, up_to=10**9) == []
    assert len(sender.acknowledged(2500, NOW) or ()) == 2
    assert len(sender.fly(NOW, up_to=10**9)) == 2
    sender.check()


def test_nothing_flies_before_it_is_durable() -> None:
    """An envelope leaves when its last letter is on the disk."""
    sender = Sender()
    enclose(sender, 2)
    enclose(sender, 2)
    assert len(sender.fly(NOW, up_to=3)) == 1
    assert len(sender.fly(NOW, up_to=4)) == 1


def test_an_acknowledgement_of_what_was_never_sent_is_a_lie() -> None:
    """It is told from one that comes late, which changes nothing."""
    sender = Sender()
    enclose(sender, 2)
    assert sender.acknowledged(3, NOW) is None
    assert len(sender.acknowledged(2, NOW) or ()) == 1
    assert sender.acknowledged(1, NOW) == []


def test_patience_doubles_up_to_an_hour_and_begins_anew_with_progress() -> None:
    """What is not acknowledged is sent again ever more seldom."""
    sender = Sender()
    enclose(sender, 1)
    enclose(sender, 1)
    assert len(sender.fly(NOW, up_to=2)) == 2
    waits: list[int] = []
    for _ in range(20):
        due = sender.deadline
        assert due is not None
        assert len(sender.resend(due, 0, received=2)) == 1
        assert sender.deadline is not None
        waits.append(sender.deadline - due)
    assert waits[:3] == [2 * RESEND_WAIT, 4 * RESEND_WAIT, 8 * RESEND_WAIT]
    assert waits[-1] == RESEND_WAIT_MAX
    assert len(sender.resend(NOW, 0, received=0)) == 2
    sender.acknowledged(1, NOW)
    assert sender.deadline == Instant(RESEND_WAIT)
    sender.grounded()
    assert len(sender.fly(NOW, up_to=2)) == 1


@given(st.integers(0, 10**6), st.sets(st.integers(2, 300), max_size=40))
def test_a_row_is_read_as_it_was_written(handled: int, beyond: set[int]) -> None:
    """In order or not."""
    numbers = tuple(sorted(handled + each for each in beyond))
    row = ReceiverRow(handled + 1, b"x" * 32, handled, numbers)
    assert ReceiverRow.decode(row.encode()) == row
    with pytest.raises(Malformed):
        ReceiverRow.decode(row.encode() + b"\0")
