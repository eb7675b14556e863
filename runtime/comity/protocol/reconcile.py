"""Range-based set reconciliation: which commits the other side lacks, and which this one does.

Owns: the messages of one reconciliation between two sorted sets of (gen, id). May not know:
what the ids stand for, who sends them (`protocol.sync`), links.

    state     input        next      says
    FRESH     initiate     TALKING   16 fingerprints, or a list        (initiator)
    FRESH     a message    TALKING   an answer                         (responder)
    TALKING   a message    TALKING   an answer: what still differs, finer
    TALKING   a message    OVER      the empty answer: nothing is left to ask
    TALKING   the empty    OVER      nothing
    TALKING   the 16th     OVER      nothing; what was not found is left to another pass

A message is a version byte and ranges that cover the order from its start; what is behind the
last one is agreed on. A range ends before its bound, (gen, prefix of an id), and says one of:

    SKIP          agreed on, or settled
    FINGERPRINT   16 bytes over the sender's ids in it. If the receiver's differs, it answers
                  with 16 finer ranges, or with a list if it has fewer than 32 ids there
    LIST          all the sender's ids in it, fewer than 32. The receiver now knows both
                  directions and acts on them; nobody speaks of this range again

    message = 0x01 | range*
    range   = u8: mode * 64 + bytes of prefix (0..32), or 63 for 'to the end' | [varint gen -
              gen of the bound before | prefix] | [fingerprint 16 | u8 count, ids 32 x count]

A fingerprint is BLAKE2b-128 over the ids in order, keyed with the handshake hash: sums of ids,
as others use, let a member make two sets that look equal; this lets nobody, and no third
party knows the key. What a message cannot hold of its answer becomes one fingerprint to the
end, which the next messages refine.
Cost: a message hashes each id at most twice, and while it lasts 40 bytes an id are held.
Source: Meyer, 'Range-Based Set Reconciliation' (2023), sections 3 and 4; the shape of
Negentropy version 1; PROTOCOL section 6.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from comity.base.canonical import Malformed, Reader, varint
from comity.base.errors import Reason, Rejected
from comity.base.ids import ID_BYTES, CommitId
from comity.base.limits import RANGES_MAX, RECONCILE_BYTES_MAX, RECONCILE_MESSAGES_MAX
from comity.crypto.hashing import PERSON_RANGE, blake2b

__all__ = ["BUCKETS", "LIST_IDS_MAX", "Item", "Outcome", "Reconciler"]

BUCKETS: Final = 16
"""Parts of a range that differs: twice as many save a level in logs of millions and cost 250
bytes a level; half as many cost another round trip at 10^5."""

LIST_IDS_MAX: Final = 2 * BUCKETS - 1
"""Ids in a list: a range with more is worth splitting, its parts would hold two or more."""

Item = tuple[int, CommitId]
"""Generation and id of a commit."""

_Bound = tuple[int, bytes]
_VERSION: Final = 1
_EMPTY: Final = bytes((_VERSION,))
_SKIP, _FINGERPRINT, _LIST = 0, 1, 2
_MODE_SHIFT: Final = 6
_TO_THE_END: Final = 63
_FINGERPRINT_BYTES: Final = 16
_RANGE_BYTES_MAX: Final = 1 + 10 + ID_BYTES + _FINGERPRINT_BYTES


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a message told.

    reply: to be sent. have: ids that only this side has; need: only the other side; in the
    order of generations, and only those that this message settled. done: no message comes or
    goes after this. complete: if done, whether all differences were found.
    """

    reply: bytes | None
    have: tuple[CommitId, ...]
    need: tuple[CommitId, ...]
    done: bool
    complete: bool


@dataclass(frozen=True, slots=True)
class _Range:
    """One range as it was read. upper: None is the end of the order."""

    upper: _Bound | None
    mode: int
    fingerprint: bytes
    ids: tuple[CommitId, ...]


class Reconciler:
    """One side of one reconciliation, over a copy of its set."""

    __slots__ = ("_initiator", "_items", "_joined", "_key", "_messages", "_over")

    def __init__(self, items: Sequence[Item], key: bytes, *, initiator: bool) -> None:
        """Copy the set. items: ascending, no duplicates. key: both sides' handshake hash."""
        self._items = list(items)
        self._joined = b"".join([identifier for _, identifier in self._items])
        self._key = key
        self._initiator = initiator
        self._messages = 0
        self._over = False
        assert len(self._joined) == ID_BYTES * len(self._items)

    @property
    def messages(self) -> int:
        """Number of messages sent and received so far."""
        return self._messages

    def initiate(self) -> bytes:
        """Return the first message.

        Raises: AssertionError unless called once, first, by the initiator.
        """
        assert self._initiator
        assert self._messages == 0
        self._messages = 1
        writer = _Writer()
        self._split(writer, 0, len(self._items), None)
        return writer.finish()

    def receive(self, body: bytes) -> Outcome | Rejected:
        """Take a message. Rejected: MALFORMED, TOO_BIG, OUT_OF_TURN; then it is over."""
        if self._over or (self._initiator and self._messages == 0):
            self._over = True
            return Rejected(Reason.OUT_OF_TURN, "a message of no reconciliation")
        ranges = _read(body)
        if isinstance(ranges, Rejected):
            self._over = True
            return ranges
        self._messages += 1
        have: list[CommitId] = []
        need: list[CommitId] = []
        reply = self._answer(ranges, have, need)
        found = tuple(have), tuple(need)
        complete = reply == _EMPTY
        if not ranges or self._messages == RECONCILE_MESSAGES_MAX:
            self._over = True
            return Outcome(None, *found, done=True, complete=complete)
        self._messages += 1
        self._over = complete or self._messages == RECONCILE_MESSAGES_MAX
        return Outcome(reply, *found, done=self._over, complete=complete)

    def _answer(
        self, ranges: Sequence[_Range], have: list[CommitId], need: list[CommitId]
    ) -> bytes:
        """Write the answer to these ranges, and settle those that are lists."""
        items = self._items
        writer = _Writer()
        lower = 0
        for each in ranges:
            bound = each.upper
            upper = len(items) if bound is None else bisect_left(items, bound, lower)
            if each.mode == _FINGERPRINT and each.fingerprint != self._print(lower, upper):
                if not writer.has_room:
                    writer.add(None, _FINGERPRINT, self._print(lower, len(items)))
                    break
                self._split(writer, lower, upper, bound)
            else:
                if each.mode == _LIST:
                    self._settle(lower, upper, each.ids, (have, need))
                writer.skip(bound)
            lower = upper
        return writer.finish()

    def _settle(
        self,
        lower: int,
        upper: int,
        theirs: Sequence[CommitId],
        found: tuple[list[CommitId], list[CommitId]],
    ) -> None:
        ours = [identifier for _, identifier in self._items[lower:upper]]
        known = dict.fromkeys(ours)
        listed = dict.fromkeys(theirs)
        found[0].extend(each for each in ours if each not in listed)
        found[1].extend(each for each in theirs if each not in known)

    def _print(self, lower: int, upper: int) -> bytes:
        return blake2b(
            self._joined[lower * ID_BYTES : upper * ID_BYTES],
            size=_FINGERPRINT_BYTES,
            person=PERSON_RANGE,
            key=self._key,
        )

    def _split(self, writer: _Writer, lower: int, upper: int, bound: _Bound | None) -> None:
        """Say what this side has in a range: a list if it is short, else fingerprints."""
        count = upper - lower
        if count <= LIST_IDS_MAX:
            ids = self._joined[lower * ID_BYTES : upper * ID_BYTES]
            writer.add(bound, _LIST, bytes((count,)) + ids)
            return
        edges = [lower + count * part // BUCKETS for part in range(BUCKETS + 1)]
        for start, stop in pairwise(edges):
            between = bound if stop == upper else self._between(stop)
            writer.add(between, _FINGERPRINT, self._print(start, stop))

    def _between(self, index: int) -> _Bound:
        """Return the shortest bound that parts item `index` from the one before it."""
        (gen_before, before), (gen, identifier) = self._items[index - 1], self._items[index]
        if gen_before != gen:
            return gen, b""
        size = 1
        while before[:size] == identifier[:size]:
            size += 1
        return gen, identifier[:size]


class _Writer:
    """Ranges on their way into a message; runs of skipped ones become one."""

    __slots__ = ("_gen", "_out", "_skipped")

    def __init__(self) -> None:
        self._out = bytearray(_EMPTY)
        self._gen = 0
        self._skipped: _Bound | None = None

    @property
    def has_room(self) -> bool:
        """Tell whether one more range fits, split or listed, and one to the end after it."""
        list_bytes = _RANGE_BYTES_MAX + LIST_IDS_MAX * ID_BYTES
        split_bytes = BUCKETS * _RANGE_BYTES_MAX
        more = max(list_bytes, split_bytes) + 3 * _RANGE_BYTES_MAX
        return len(self._out) + more <= RECONCILE_BYTES_MAX

    def skip(self, upper: _Bound | None) -> None:
        """Agree on everything up to here; up to the end goes without saying."""
        self._skipped = upper

    def add(self, upper: _Bound | None, mode: int, payload: bytes) -> None:
        """Say something about the range up to here."""
        if self._skipped is not None:
            self._head(self._skipped, _SKIP)
            self._skipped = None
        self._head(upper, mode)
        self._out += payload

    def finish(self) -> bytes:
        """Return the message."""
        assert len(self._out) <= RECONCILE_BYTES_MAX
        return bytes(self._out)

    def _head(self, upper: _Bound | None, mode: int) -> None:
        if upper is None:
            self._out.append(mode << _MODE_SHIFT | _TO_THE_END)
            return
        gen, prefix = upper
        self._out.append(mode << _MODE_SHIFT | len(prefix))
        self._out += varint(gen - self._gen)
        self._out += prefix
        self._gen = gen


def _read(body: bytes) -> list[_Range] | Rejected:
    """Decode a message from a peer. There is one way to write each."""
    if len(body) > RECONCILE_BYTES_MAX:
        return Rejected(Reason.TOO_BIG, f"a message of {len(body)} bytes")
    found: list[_Range] = []
    reader = Reader(body)
    try:
        if reader.u8() != _VERSION:
            return Rejected(Reason.UNSUPPORTED, f"version {body[0]} of reconciliation")
        before: _Bound = (0, b"")
        while reader.left:
            if len(found) == RANGES_MAX:
                return Rejected(Reason.TOO_BIG, f"more than {RANGES_MAX} ranges")
            each = _read_range(reader, before)
            if each.upper is None:
                reader.finish()
            else:
                before = each.upper
            found.append(each)
    except Malformed as error:
        return Rejected(Reason.MALFORMED, str(error))
    if found and found[-1].mode == _SKIP:
        return Rejected(Reason.MALFORMED, "a skipped range at the end")
    if any(one.mode == _SKIP == following.mode for one, following in pairwise(found)):
        return Rejected(Reason.MALFORMED, "two skipped ranges where one is due")
    return found


def _read_range(reader: Reader, before: _Bound) -> _Range:
    head = reader.u8()
    mode, size = head >> _MODE_SHIFT, head & _TO_THE_END
    upper: _Bound | None = None
    if size != _TO_THE_END:
        if size > ID_BYTES:
            raise Malformed(f"a prefix of {size} bytes")
        gen = before[0] + reader.varint()
        if gen >> 64:
            raise Malformed("a generation larger than 64 bits")
        upper = gen, reader.take(size)
        if upper <= before:
            raise Malformed("ranges overlap or are out of order")
    if mode == _SKIP:
        return _Range(upper, mode, b"", ())
    if mode == _FINGERPRINT:
        return _Range(upper, mode, reader.take(_FINGERPRINT_BYTES), ())
    if mode != _LIST:
        raise Malformed(f"mode {mode} of a range")
    count = reader.u8()
    if count > LIST_IDS_MAX:
        raise Malformed(f"{count} ids in a list where {LIST_IDS_MAX} are the most")
    ids = tuple(CommitId(reader.take(ID_BYTES)) for _ in range(count))
    if len(dict.fromkeys(ids)) != count:
        raise Malformed("an id is listed twice")
    return _Range(upper, mode, b"", ids)
