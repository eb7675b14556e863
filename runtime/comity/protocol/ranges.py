"""Range-based set reconciliation: find what two sets lack of each other, for little more.

Owns: the ranges, their fingerprints and messages. May not know: what the items are for, links.

    initiator                                 responder
    ranges with fingerprints  ------------->  equal: skip; few: list ids; many: split in 16
    lists: what each lacks    <-------------  likewise
    ... until the initiator has nothing left to ask

    message = range*        range = bound | mode u8 | payload
    bound   = 0 (the end), or 1 | gen varint | length u8 | prefix of an id: items below it
    mode    = 0 skip | 1 fingerprint 16 | 2 ids: varint n | n x 32 ascending
              a range begins where the one before it ends, the first one at the very beginning

A fingerprint is BLAKE2b-128, keyed with the handshake hash, over the ids of the range in
order: nobody can make two sets collide in advance, as additive fingerprints allow. A message
that would pass its limit ends with one fingerprint of all the rest, which the next round takes
up. Cost: a hash over the range for each fingerprint, so some n log n / 16 bytes in all.
Source: Meyer 2023, 'Range-Based Set Reconciliation'; PROTOCOL section 6.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from comity.base.canonical import Malformed, Reader, varint
from comity.base.errors import Reason, Rejected
from comity.base.ids import ID_BYTES, CommitId
from comity.base.limits import RANGES_MAX, RECONCILE_BYTES_MAX
from comity.crypto.hashing import PERSON_RANGE, blake2b

__all__ = ["Item", "Outcome", "Reconciler"]

Item = tuple[int, CommitId]
"""Generation and id; sets are sorted by both."""

_BUCKETS: Final = 16
"""Ways of a split: 4 rounds for 10^5 items; 32 would save one of them and double the bytes."""

_LIST_MAX: Final = 32
"""Ranges of fewer items are listed: less than the two rounds that splitting them would take."""

_FINGERPRINT_BYTES: Final = 16
_SKIP, _FINGERPRINT, _IDS = 0, 1, 2
_END: Final = (1 << 64, b"")
_MARGIN: Final = 2048
"""Room for a split or a list, and for the fingerprint of the rest."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one message brought.

    reply: to send back; empty if there is nothing left to ask. have: the peer lacks these.
    need: this side lacks these. Only the initiator learns either.
    """

    reply: bytes
    have: tuple[CommitId, ...]
    need: tuple[CommitId, ...]


class Reconciler:
    """One side of one reconciliation, over a set that does not change meanwhile."""

    __slots__ = ("_initiator", "_items", "_joined", "_key", "_limit", "_out", "_skipping")

    def __init__(
        self,
        items: Sequence[Item],
        key: bytes,
        *,
        initiator: bool,
        bytes_max: int = RECONCILE_BYTES_MAX,
    ) -> None:
        """Take the sorted items, a copy of which is kept, and the handshake hash."""
        assert bytes_max >= 2 * _MARGIN
        self._items = tuple(items)
        self._joined = b"".join([commit for _, commit in self._items])
        self._key = key
        self._initiator = initiator
        self._limit = bytes_max - _MARGIN
        self._out = bytearray()
        self._skipping: tuple[int, bytes] | None = None

    def initiate(self) -> bytes:
        """Return the first message."""
        assert self._initiator
        self._begin()
        self._split(0, len(self._items), _END)
        return bytes(self._out)

    def receive(self, body: bytes) -> Outcome | Rejected:
        """Take a message and say what follows. Rejected: MALFORMED."""
        self._begin()
        have: list[CommitId] = []
        need: list[CommitId] = []
        reader = Reader(body)
        lower, before, count = 0, (0, b""), 0
        try:
            while reader.left:
                count += 1
                bound = _read_bound(reader)
                if bound <= before or count > RANGES_MAX:
                    raise Malformed("ranges that overlap, or too many")
                upper = bisect_left(self._items, bound, lower)
                self._take(reader, (lower, upper), bound, (have, need))
                lower, before = upper, bound
                if len(self._out) > self._limit and bound != _END:
                    self._fingerprint(lower, len(self._items), _END)
                    break
        except Malformed as error:
            return Rejected(Reason.MALFORMED, f"reconciliation: {error}")
        return Outcome(bytes(self._out), tuple(have), tuple(need))

    def _begin(self) -> None:
        self._out = bytearray()
        self._skipping = None

    def _take(
        self,
        reader: Reader,
        span: tuple[int, int],
        bound: tuple[int, bytes],
        found: tuple[list[CommitId], list[CommitId]],
    ) -> None:
        """Answer one range."""
        lower, upper = span
        mode = reader.u8()
        if mode == _SKIP:
            self._skipping = bound
        elif mode == _FINGERPRINT:
            if reader.take(_FINGERPRINT_BYTES) == self._hash(lower, upper):
                self._skipping = bound
            else:
                self._split(lower, upper, bound)
        elif mode == _IDS:
            theirs = _read_ids(reader)
            if self._initiator:
                ours = dict.fromkeys(commit for _, commit in self._items[lower:upper])
                found[0].extend(commit for commit in ours if commit not in theirs)
                found[1].extend(commit for commit in theirs if commit not in ours)
                self._skipping = bound
            else:
                self._list(lower, upper, bound)
        else:
            raise Malformed(f"mode {mode}")

    def _split(self, lower: int, upper: int, bound: tuple[int, bytes]) -> None:
        count = upper - lower
        if count < _LIST_MAX:
            self._list(lower, upper, bound)
            return
        for bucket in range(_BUCKETS):
            start = lower + count * bucket // _BUCKETS
            stop = lower + count * (bucket + 1) // _BUCKETS
            ends = bound if stop == upper else self._between(stop)
            self._fingerprint(start, stop, ends)

    def _between(self, index: int) -> tuple[int, bytes]:
        """Return the shortest bound that has item `index` above it and the one before below."""
        before, item = self._items[index - 1], self._items[index]
        if before[0] != item[0]:
            return item[0], b""
        length = next(i for i in range(ID_BYTES) if before[1][i] != item[1][i]) + 1
        return item[0], item[1][:length]

    def _fingerprint(self, lower: int, upper: int, bound: tuple[int, bytes]) -> None:
        self._range(bound, _FINGERPRINT)
        self._out += self._hash(lower, upper)

    def _list(self, lower: int, upper: int, bound: tuple[int, bytes]) -> None:
        self._range(bound, _IDS)
        ids = sorted(commit for _, commit in self._items[lower:upper])
        self._out += varint(len(ids)) + b"".join(ids)

    def _range(self, bound: tuple[int, bytes], mode: int) -> None:
        if self._skipping is not None:
            self._out += _write_bound(self._skipping) + bytes((_SKIP,))
            self._skipping = None
        self._out += _write_bound(bound) + bytes((mode,))

    def _hash(self, lower: int, upper: int) -> bytes:
        ids = self._joined[lower * ID_BYTES : upper * ID_BYTES]
        return blake2b(ids, size=_FINGERPRINT_BYTES, person=PERSON_RANGE, key=self._key)


def _write_bound(bound: tuple[int, bytes]) -> bytes:
    if bound == _END:
        return b"\0"
    return b"\1" + varint(bound[0]) + bytes((len(bound[1]),)) + bound[1]


def _read_bound(reader: Reader) -> tuple[int, bytes]:
    kind = reader.u8()
    if kind == 0:
        return _END
    if kind != 1:
        raise Malformed(f"bound {kind}")
    gen = reader.varint()
    length = reader.u8()
    if length > ID_BYTES:
        raise Malformed(f"a prefix of {length} bytes")
    return gen, reader.take(length)


def _read_ids(reader: Reader) -> dict[CommitId, None]:
    count = reader.varint()
    if count * ID_BYTES > reader.left:
        raise Malformed(f"{count} ids in {reader.left} bytes")
    ids = [CommitId(reader.take(ID_BYTES)) for _ in range(count)]
    if any(ids[i - 1] >= ids[i] for i in range(1, count)):
        raise Malformed("ids that are not ascending")
    return dict.fromkeys(ids)
