"""Edges: the way of messages from one device to another, each in order and once.

Owns: the numbers of letters, the chain of envelopes, what is acknowledged, and when something
is sent again. May not know: who is at the ends, links, stores, what letters say.

    Sender:    enclosed --durable--> waiting --room in flight--> flown --acknowledged--> gone
                                     waiting <--link lost, patience over-- flown
    Receiver:  arrives --next in the chain--> accepted --each letter: `done`--> past
               arrives --behind a gap--> parked --the gap is filled--> accepted
               arrives again --> nothing, it is acknowledged once more

What is durable of a receiver is one row: up to where all letters are handled, which beyond that
are, and the envelope that the next one must name. It is written in the transaction of the
effects, so a crash between effect and acknowledgement brings a letter again, and it is known.
An envelope that names another one before, or one that differs from what came under its number,
proves that the sender's copy of this edge is not the one that was heard here.
Source: PROTOCOL section 7; decision 27.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from comity.base.canonical import Malformed, Reader, varint
from comity.base.clock import Duration, Instant, after
from comity.base.errors import Reason, Rejected
from comity.base.ids import ID_BYTES, ZERO_ID
from comity.base.limits import (
    ACCEPTED_BYTES_MAX,
    ACCEPTED_COUNT_MAX,
    ENVELOPE_COUNT_MAX,
    FLIGHT_BYTES_MAX,
    FLIGHT_COUNT_MAX,
    GAP_WAIT,
    RESEND_WAIT,
    RESEND_WAIT_MAX,
)
from comity.protocol.envelope import Envelope, Letter

__all__ = ["Enclosed", "Receiver", "ReceiverRow", "Sender"]

_PARKED_MAX = ACCEPTED_COUNT_MAX // ENVELOPE_COUNT_MAX * 4
"""Envelopes behind a gap: as many as are in flight when they are small."""


@dataclass(frozen=True, slots=True)
class Enclosed:
    """An envelope of ours that is not acknowledged. hash: its own."""

    first: int
    last: int
    data: bytes
    hash: bytes


class Sender:
    """Our end of an edge that leaves here."""

    __slots__ = (
        "_attempts",
        "_bytes",
        "_due",
        "_flown",
        "_flying_bytes",
        "_flying_count",
        "_hash",
        "_next",
        "_waiting",
    )

    def __init__(self, next_number: int = 1, last_hash: bytes = ZERO_ID) -> None:
        """Take up where the row says; `restore` brings the envelopes."""
        self._next = next_number
        self._hash = last_hash
        self._flown: deque[Enclosed] = deque()
        self._waiting: deque[Enclosed] = deque()
        self._flying_count = 0
        self._flying_bytes = 0
        self._bytes = 0
        self._due: Instant | None = None
        self._attempts = 0

    @property
    def next_number(self) -> int:
        """Number of the next letter."""
        return self._next

    @property
    def last_hash(self) -> bytes:
        """What the next envelope names as the one before."""
        return self._hash

    @property
    def count(self) -> int:
        """Letters that are not acknowledged."""
        oldest = self._flown or self._waiting
        return self._next - oldest[0].first if oldest else 0

    @property
    def size(self) -> int:
        """Bytes of the same."""
        return self._bytes

    @property
    def deadline(self) -> Instant | None:
        """When `resend` is due: while something flies."""
        return self._due

    def restore(self, enclosed: Enclosed) -> None:
        """Take an envelope from the store, in order."""
        self._waiting.append(enclosed)
        self._bytes += len(enclosed.data)

    def enclosed(self, enclosed: Enclosed) -> None:
        """An envelope with the next numbers has been made; it flies once it is durable."""
        assert enclosed.first == self._next
        self._next = enclosed.last + 1
        self._hash = enclosed.hash
        self.restore(enclosed)

    def fly(self, now: Instant, *, up_to: int) -> list[bytes]:
        """Return what may be sent now, oldest first. up_to: the last letter that is durable."""
        found: list[bytes] = []
        while self._waiting and self._waiting[0].last <= up_to:
            enclosed = self._waiting[0]
            count = enclosed.last - enclosed.first + 1
            full = (
                self._flying_count + count > FLIGHT_COUNT_MAX
                or self._flying_bytes + len(enclosed.data) > FLIGHT_BYTES_MAX
            )
            if self._flown and full:
                break
            self._waiting.popleft()
            self._flown.append(enclosed)
            self._flying_count += count
            self._flying_bytes += len(enclosed.data)
            found.append(enclosed.data)
        if found and self._due is None:
            self._due = after(now, RESEND_WAIT)
        return found

    def acknowledged(self, handled: int, now: Instant) -> list[Enclosed] | None:
        """The other end has handled every letter up to here; return what is gone with that.

        None if it claims letters that were never sent.
        """
        if handled >= self._next:
            return None
        gone: list[Enclosed] = []
        for queue in (self._flown, self._waiting):
            while queue and queue[0].last <= handled:
                enclosed = queue.popleft()
                self._bytes -= len(enclosed.data)
                gone.append(enclosed)
                if queue is self._flown:
                    self._flying_count -= enclosed.last - enclosed.first + 1
                    self._flying_bytes -= len(enclosed.data)
        if gone:
            self._attempts = 0
            self._due = after(now, RESEND_WAIT) if self._flown else None
        return gone

    def kept(self, *, up_to: int, most: tuple[int, int]) -> dict[int, bytes]:
        """Return the oldest envelopes that are not acknowledged, by their first letter.

        up_to: the last letter that is durable. most: envelopes, and bytes of them; one is
        returned in any case.
        """
        count, size = most
        found: dict[int, bytes] = {}
        for each in chain(self._flown, self._waiting):
            size -= len(each.data)
            if each.last > up_to or len(found) >= count or (found and size < 0):
                break
            found[each.first] = each.data
        return found

    def grounded(self) -> None:
        """The link is lost: what flew waits again, and flies at once by another one."""
        self._waiting.extendleft(reversed(self._flown))
        self._flown.clear()
        self._flying_count = self._flying_bytes = 0
        self._due = None
        self._attempts = 0

    def resend(self, now: Instant, jitter: int, *, received: int) -> list[bytes]:
        """Patience is over: return what to send again, what the other end has not, or one.

        jitter: nanoseconds below a quarter of the next wait (see `wait`). received: the
        last letter that the other end said it holds.
        """
        self._attempts += 1
        self._due = after(now, Duration(self.wait + jitter))
        lost = [each.data for each in self._flown if each.first > received]
        return lost or [each.data for each in list(self._flown)[:1]]

    @property
    def wait(self) -> Duration:
        """How long until the next attempt, without jitter."""
        return Duration(min(RESEND_WAIT << min(self._attempts, 20), RESEND_WAIT_MAX))

    def check(self) -> None:
        """Assert that numbers follow one another and the sums are right."""
        both = [*self._flown, *self._waiting]
        expected = both[0].first if both else self._next
        for enclosed in both:
            assert enclosed.first == expected
            expected = enclosed.last + 1
        assert expected == self._next
        assert self._bytes == sum(len(each.data) for each in both)
        assert self._flying_count == sum(each.last - each.first + 1 for each in self._flown)
        assert self._flying_bytes == sum(len(each.data) for each in self._flown)
        assert (self._due is not None) <= bool(self._flown)


@dataclass(frozen=True, slots=True)
class ReceiverRow:
    """What is durable of a receiver.

    first: number of the first letter of the envelope that is awaited. prev: hash of the one
    before it. handled: every letter up to here is. beyond: those after that, ascending.
    """

    first: int = 1
    prev: bytes = ZERO_ID
    handled: int = 0
    beyond: tuple[int, ...] = ()

    def encode(self) -> bytes:
        """Write the row: 40 bytes where letters are handled in order."""
        spans = _spans(self.beyond)
        out = [varint(self.first), self.prev, varint(self.handled), varint(len(spans))]
        at = self.handled
        for start, stop in spans:
            out.append(varint(start - at))
            out.append(varint(stop - start))
            at = stop
        return b"".join(out)

    @staticmethod
    def decode(data: bytes) -> ReceiverRow:
        """Read what `encode` wrote. Raises: Malformed."""
        reader = Reader(data)
        first, prev, handled = reader.varint(), reader.take(ID_BYTES), reader.varint()
        beyond: list[int] = []
        at = handled
        for _ in range(reader.varint()):
            start = at + reader.varint()
            at = start + reader.varint()
            if at - handled > ACCEPTED_COUNT_MAX + ENVELOPE_COUNT_MAX:
                raise Malformed("a row of letters far beyond those that are handled")
            beyond.extend(range(start, at))
        reader.finish()
        return ReceiverRow(first, prev, handled, tuple(beyond))


def _spans(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Return ascending numbers as stretches (first, last + 1)."""
    spans: list[tuple[int, int]] = []
    for number in numbers:
        if spans and spans[-1][1] == number:
            spans[-1] = spans[-1][0], number + 1
        else:
            spans.append((number, number + 1))
    return spans


def _size(envelope: Envelope) -> int:
    """Return how many bytes of arguments and results an envelope holds."""
    return sum([len(body) for _, body in envelope.letters])


class Receiver:
    """Our end of an edge that comes in."""

    __slots__ = (
        "_beyond",
        "_bytes",
        "_first",
        "_gap",
        "_handled",
        "_next",
        "_next_prev",
        "_parked",
        "_prev",
        "_sizes",
        "_spans",
    )

    def __init__(self, row: ReceiverRow | None = None) -> None:
        """Take up where the row says."""
        row = row or ReceiverRow()
        self._first, self._prev = row.first, row.prev
        self._handled = row.handled
        self._beyond: dict[int, None] = dict.fromkeys(row.beyond)
        self._next, self._next_prev = row.first, row.prev
        self._spans: deque[tuple[int, int, bytes]] = deque()
        self._sizes: deque[int] = deque()
        self._bytes = 0
        self._parked: dict[int, tuple[Envelope, bytes]] = {}
        self._gap: Instant | None = None

    @property
    def acknowledged(self) -> int:
        """Every envelope up to this letter is handled whole, and the next one is awaited.

        Not simply up to where all are handled: after a restart that may be beyond what has
        come again, and the sender must not let go of what the chain still needs.
        """
        return self._first - 1

    @property
    def received(self) -> int:
        """Every letter up to here has come."""
        return self._next - 1

    @property
    def deadline(self) -> Instant | None:
        """When a gap becomes an alarm."""
        return self._gap

    def row(self) -> ReceiverRow:
        """Return what is to be durable."""
        beyond = tuple(sorted(self._beyond))
        return ReceiverRow(self._first, self._prev, self._handled, beyond)

    def arrive(
        self, envelope: Envelope, digest: bytes, now: Instant
    ) -> list[tuple[int, Letter]] | Rejected:
        """Take an envelope; return the letters that are to be handled now, in order.

        digest: its `envelope_hash`. Rejected, and nothing changes: OUT_OF_TURN, if it
        contradicts what came before.
        """
        if envelope.first < self._next:
            return self._again(envelope, digest)
        if envelope.first > self._next:
            if len(self._parked) < _PARKED_MAX:
                self._parked[envelope.first] = envelope, digest
                if self._gap is None:
                    self._gap = after(now, GAP_WAIT)
            return []
        if envelope.prev != self._next_prev:
            return Rejected(
                Reason.OUT_OF_TURN,
                f"letter {envelope.first} follows an envelope that did not come here",
            )
        fresh: list[tuple[int, Letter]] = []
        found: tuple[Envelope, bytes] | None = (envelope, digest)
        while found is not None:
            envelope, digest = found
            if envelope.prev != self._next_prev or not self._has_room(envelope):
                break  # what was parked is another's, or too much: it will be sent again
            self._accept(envelope, digest, fresh)
            found = self._parked.pop(self._next, None)
        self._tidy(now)
        return fresh

    def _has_room(self, envelope: Envelope) -> bool:
        """Whether an envelope may be held beside what is not handled yet."""
        if envelope.last - self._handled > ACCEPTED_COUNT_MAX:
            return False
        return not self._spans or self._bytes + _size(envelope) <= ACCEPTED_BYTES_MAX

    def _accept(
        self, envelope: Envelope, digest: bytes, fresh: list[tuple[int, Letter]]
    ) -> None:
        handled, beyond = self._handled, self._beyond
        for number, letter in enumerate(envelope.letters, start=envelope.first):
            if number > handled and number not in beyond:
                fresh.append((number, letter))
        self._spans.append((envelope.first, envelope.last, digest))
        self._sizes.append(_size(envelope))
        self._bytes += self._sizes[-1]
        self._next, self._next_prev = envelope.last + 1, digest
        self._advance()

    def _again(self, envelope: Envelope, digest: bytes) -> list[tuple[int, Letter]] | Rejected:
        """Tell a copy of what came before from something else under its number."""
        for first, _, known in self._spans:
            if first == envelope.first and known != digest:
                return Rejected(
                    Reason.OUT_OF_TURN, f"letter {first} came before, and was another"
                )
        return []

    def _tidy(self, now: Instant) -> None:
        for first in [each for each in self._parked if each < self._next]:
            del self._parked[first]
        if not self._parked:
            self._gap = None
        elif self._gap is None:
            self._gap = after(now, GAP_WAIT)

    def overdue(self, now: Instant) -> tuple[int, int] | None:
        """Return the letters that have been missing for too long, once: first and last."""
        if self._gap is None or self._gap > now:
            return None
        self._gap = None
        return self._next, min(self._parked) - 1

    def done(self, numbers: Iterable[int]) -> None:
        """These letters have been handled: what they did, and that, becomes durable now."""
        handled, beyond = self._handled, self._beyond
        for number in numbers:
            if number == handled + 1 and not beyond:
                handled = number
            elif number > handled:
                beyond[number] = None
                while handled + 1 in beyond:
                    handled += 1
                    del beyond[handled]
        self._handled = handled
        self._advance()

    def _advance(self) -> None:
        while self._spans and self._spans[0][1] <= self._handled:
            _, last, digest = self._spans.popleft()
            self._bytes -= self._sizes.popleft()
            self._first, self._prev = last + 1, digest

    def check(self) -> None:
        """Assert that the row is tight, and the chain without gaps.

        After a restart letters may be handled that have to come again with their envelope.
        """
        assert all(self._handled < number for number in self._beyond)
        assert self._handled + 1 not in self._beyond
        expected = self._first
        for first, last, _ in self._spans:
            assert first == expected
            expected = last + 1
        assert expected == self._next
        assert all(first > self._next for first in self._parked)
        assert len(self._sizes) == len(self._spans)
        assert self._bytes == sum(self._sizes)
