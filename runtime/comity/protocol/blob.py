"""Blobs: contents of any size as sealed pieces, each of which proves itself.

Owns: how contents are cut and sealed, and how pieces from whoever has them become contents
again. May not know: where pieces lie, who is asked for them, fields.

    leaf      65,536 bytes of the contents; the last one has the rest, with zeros to 4,096
    node      ids of the leaves or nodes below it, 1,024, the last one of a level the rest
    piece     nonce 24 | seal(key, nonce, leaf or node), with topic, level u8, index u64 as aad
    id        BLAKE2b-256(topic | piece), person comity/piece
    nonce     BLAKE2b-192(aad | leaf or node), keyed with the key, person comity/blob
    blob      id of the piece on top | size | type | key: for readers only

Leaves are level 0; a level of more than one has the next above it. The size says how many of
each there are and how long each is, so that nothing is taken on trust that was claimed.
A relay that keeps pieces sees ids and sizes, and cannot tell leaves of one blob from those of
another. It can only keep back: what it alters has another id. A piece with the right id that
does not open, or is not what its place demands, was made so by the author of the blob: that
is `broken`, and nobody's fault who passed it on.

    empty --wanted, received--> nodes opened, leaves held --take--> finished
    any --an author's lie--> broken

At most 16 leaves are held, and the ids of one node of each level. A reader that stops goes on
later from the leaves that it took (`first`).
Source: API 'Replicated types' (Blob); Merkle 1987; the nonce follows RFC 5297 in spirit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NewType

from comity.base.canonical import Malformed, Reader, varint
from comity.base.errors import Reason, Rejected, UsageError
from comity.base.ids import ID_BYTES, Topic
from comity.base.limits import BLOB_AHEAD_MAX, BLOB_BYTES_MAX, BLOB_LEAF_BYTES
from comity.crypto.hashing import PERSON_BLOB, PERSON_PIECE, blake2b
from comity.crypto.port import KEY_BYTES, NONCE_LONG_BYTES, TAG_BYTES, Crypto

__all__ = [
    "PIECE_BYTES_MAX",
    "Assembler",
    "Blob",
    "Cutter",
    "Piece",
    "PieceId",
    "decode_blob",
    "encode_blob",
    "piece_id",
]

PieceId = NewType("PieceId", bytes)

_FAN: Final = 1024
"""Ids in a node: 32 KiB, half of a leaf; two levels of them reach as far as sizes may."""

_PAD: Final = 4096
"""A last leaf is padded to a multiple of this: a relay learns sizes to 4 KiB only."""

_TYPE_BYTES: Final = 255
"""Bytes of a media type: the longest that is registered has 73."""

PIECE_BYTES_MAX: Final = NONCE_LONG_BYTES + BLOB_LEAF_BYTES + TAG_BYTES
"""Bytes of the largest piece, a whole leaf: whatever is longer is refused unhashed."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A sealed piece, as it is stored and sent."""

    id: PieceId
    sealed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Blob:
    """What a reader needs to find contents and open them.

    root: the id of the piece on top. size: in bytes. type: a media type, such as 'image/png';
    its author's word. key: 32 bytes, secret: whoever has it can read the pieces.
    """

    root: PieceId
    size: int
    type: str
    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Hold to the widths of the encoding."""
        assert len(self.root) == ID_BYTES
        assert len(self.key) == KEY_BYTES
        assert 0 <= self.size <= BLOB_BYTES_MAX
        assert len(self.type.encode()) <= _TYPE_BYTES


def encode_blob(blob: Blob) -> bytes:
    """Write a blob: root 32 | varint size | varint length | type | key 32."""
    said = blob.type.encode()
    return blob.root + varint(blob.size) + varint(len(said)) + said + blob.key


def decode_blob(reader: Reader) -> Blob:
    """Read what `encode_blob` wrote. Raises: Malformed; a size may be claimed up to 64 GiB."""
    root = PieceId(reader.take(ID_BYTES))
    size = reader.varint()
    if size > BLOB_BYTES_MAX:
        raise Malformed(f"a blob of {size} bytes")
    said = reader.text(_TYPE_BYTES)
    return Blob(root, size, said, reader.take(KEY_BYTES))


def piece_id(topic: Topic, sealed: bytes) -> PieceId:
    """Return the id of a sealed piece: the same bytes in another actor have another."""
    return PieceId(blake2b(topic + sealed, person=PERSON_PIECE))


def _counts(size: int) -> list[int]:
    """Return how many pieces each level has, leaves first; the last level has one."""
    counts = [max(1, -(-size // BLOB_LEAF_BYTES))]
    while counts[-1] > 1:
        counts.append(-(-counts[-1] // _FAN))
    return counts


def _aad(topic: Topic, level: int, index: int) -> bytes:
    return topic + bytes((level,)) + index.to_bytes(8, "little")


class _Sealer:
    """Seals and opens the pieces of one blob."""

    __slots__ = ("_crypto", "_key", "_topic")

    def __init__(self, crypto: Crypto, topic: Topic, key: bytes) -> None:
        assert len(key) == KEY_BYTES
        self._crypto = crypto
        self._topic = topic
        self._key = key

    def id_of(self, sealed: bytes) -> PieceId:
        return piece_id(self._topic, sealed)

    def seal(self, level: int, index: int, plain: bytes) -> Piece:
        aad = _aad(self._topic, level, index)
        nonce = self._nonce(aad, plain)
        sealed = nonce + self._crypto.seal(self._key, nonce, plain, aad)
        return Piece(self.id_of(sealed), sealed)

    def open(self, level: int, index: int, sealed: bytes) -> bytes | None:
        nonce, cipher = sealed[:NONCE_LONG_BYTES], sealed[NONCE_LONG_BYTES:]
        if len(cipher) < TAG_BYTES:
            return None
        return self._crypto.open(self._key, nonce, cipher, _aad(self._topic, level, index))

    def _nonce(self, aad: bytes, plain: bytes) -> bytes:
        return blake2b(aad + plain, size=NONCE_LONG_BYTES, person=PERSON_BLOB, key=self._key)


class Cutter:
    """Cuts contents that come bit by bit; holds less than a leaf, and a node of each level."""

    __slots__ = ("_key", "_pending", "_rest", "_sealer", "_sizes", "size")

    def __init__(self, crypto: Crypto, topic: Topic, key: bytes) -> None:
        """Begin. key: 32 bytes, secret; with the same key equal contents have equal pieces."""
        self._sealer = _Sealer(crypto, topic, key)
        self._key = key
        self._rest = bytearray()
        self._pending: list[list[PieceId]] = [[]]
        self._sizes: list[int] = [0]
        self.size = 0

    def feed(self, data: bytes) -> Iterator[Piece]:
        """Take what comes next, and return the pieces that are complete; exhaust it.

        Raises: UsageError if it is more than a blob may hold.
        """
        if self.size + len(data) > BLOB_BYTES_MAX:
            raise UsageError(f"an attachment holds at most {BLOB_BYTES_MAX} bytes")
        self.size += len(data)
        self._rest += data
        while len(self._rest) > BLOB_LEAF_BYTES:  # the last leaf waits for the end
            leaf = bytes(self._rest[:BLOB_LEAF_BYTES])
            del self._rest[:BLOB_LEAF_BYTES]
            yield from self._add(0, leaf)

    def finish(self, kind: str) -> tuple[list[Piece], Blob]:
        """Return the last pieces and the blob. kind: its media type.

        Raises: UsageError if the type is longer than 255 bytes.
        """
        if len(kind.encode()) > _TYPE_BYTES:
            raise UsageError(f"a media type has at most {_TYPE_BYTES} bytes: {kind[:80]!r}...")
        rest = bytes(self._rest)
        if len(rest) % _PAD or not rest:
            rest += bytes(_PAD - len(rest) % _PAD)
        last = list(self._add(0, rest))
        level = 0
        while level + 1 < len(self._pending) or len(self._pending[level]) > 1:
            if self._pending[level]:
                last += self._close(level)
            level += 1
        return last, Blob(self._pending[level][0], self.size, kind, self._key)

    def _add(self, level: int, plain: bytes) -> Iterator[Piece]:
        """Seal a piece, and the node above it if that is full with it."""
        if level == len(self._pending):
            self._pending.append([])
            self._sizes.append(0)
        if len(self._pending[level]) == _FAN:
            yield from self._close(level)
        piece = self._sealer.seal(level, self._sizes[level], plain)
        self._sizes[level] += 1
        self._pending[level].append(piece.id)
        yield piece

    def _close(self, level: int) -> list[Piece]:
        """Make the node above the pieces of a level that have none."""
        plain = b"".join(self._pending[level])
        self._pending[level] = []
        return list(self._add(level + 1, plain))


@dataclass(slots=True)
class _Slot:
    """A piece that is needed. data: of a leaf that came."""

    level: int
    index: int
    id: PieceId
    data: bytes | None = None


class Assembler:
    """Makes contents of pieces, in order; asks for what it needs next."""

    __slots__ = ("_blob", "_counts", "_first", "_sealer", "_slots", "broken")

    broken: Rejected | None
    """What is wrong with the blob itself: its author made it so, and it cannot be read."""

    def __init__(self, crypto: Crypto, topic: Topic, blob: Blob, *, first: int = 0) -> None:
        """Need everything from a leaf on. first: its number, not beyond the last."""
        self._blob = blob
        self._counts = _counts(blob.size)
        assert 0 <= first < self._counts[0], "there is no such leaf"
        self._first = first
        self._sealer = _Sealer(crypto, topic, blob.key)
        self._slots = [_Slot(len(self._counts) - 1, 0, blob.root)]
        self.broken = None

    @property
    def finished(self) -> bool:
        """Whether all was taken."""
        return not self._slots

    @property
    def wanted(self) -> tuple[PieceId, ...]:
        """The pieces that are needed next, the first one first; none if it is broken."""
        if self.broken is not None:
            return ()
        found: dict[PieceId, None] = {}
        for slot in self._slots[:BLOB_AHEAD_MAX]:
            if slot.data is None:
                found[slot.id] = None
            if slot.level:
                break  # what lies beyond it is asked for when that is known
        return tuple(found)

    def receive(self, wanted: PieceId, sealed: bytes) -> Rejected | None:
        """Take a piece that somebody gave for an id.

        Rejected: it is another one: TOO_BIG, MALFORMED; the fault of who gave it, and it is
        still wanted. What is not wanted any more is left.
        """
        if len(sealed) > PIECE_BYTES_MAX:
            return Rejected(Reason.TOO_BIG, f"a piece of {len(sealed)} bytes")
        if self._sealer.id_of(sealed) != wanted:
            return Rejected(Reason.MALFORMED, "a piece that has another id")
        while self.broken is None and wanted in self.wanted:
            place = next(
                n for n, slot in enumerate(self._slots) if slot.id == wanted and not slot.data
            )
            self._fill(place, sealed)
        return None

    def take(self) -> bytes | None:
        """Return the next leaf's contents and forget them; None if they have not come."""
        if not self._slots or self._slots[0].data is None:
            return None
        return self._slots.pop(0).data

    def check(self) -> None:
        """Assert that slots stand in order, and that no more is held than may be."""
        assert sum(slot.data is not None for slot in self._slots) <= BLOB_AHEAD_MAX
        assert len(self._slots) <= len(self._counts) * _FAN + 1
        starts = [slot.index * _FAN**slot.level for slot in self._slots]
        assert starts == sorted(starts)

    # ------------------------------------------------------------------ inside

    def _fill(self, place: int, sealed: bytes) -> None:
        slot = self._slots[place]
        plain = self._sealer.open(slot.level, slot.index, sealed)
        if plain is None:
            self._break("a piece does not open where it stands")
        elif slot.level:
            self._expand(place, plain)
        else:
            size = min(BLOB_LEAF_BYTES, self._blob.size - slot.index * BLOB_LEAF_BYTES)
            padded = max(_PAD, -(-size // _PAD) * _PAD)
            if len(plain) != padded or any(plain[size:]):
                self._break(f"a leaf of {len(plain)} bytes where {size} are due")
            else:
                slot.data = plain[:size]

    def _expand(self, place: int, plain: bytes) -> None:
        """Put what lies below a node in its place, but for what is not asked for."""
        slot = self._slots[place]
        begin = slot.index * _FAN
        end = min(begin + _FAN, self._counts[slot.level - 1])
        if len(plain) != (end - begin) * ID_BYTES:
            self._break(f"a node of {len(plain)} bytes over {end - begin} pieces")
            return
        below = slot.level - 1
        leaves = _FAN**below
        self._slots[place : place + 1] = [
            _Slot(below, index, PieceId(plain[at : at + ID_BYTES]))
            for at, index in zip(range(0, len(plain), ID_BYTES), range(begin, end), strict=True)
            if (index + 1) * leaves > self._first
        ]

    def _break(self, what: str) -> None:
        self.broken = Rejected(Reason.BAD_VALUE, what)
