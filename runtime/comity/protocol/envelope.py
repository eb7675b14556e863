"""Envelopes: the bytes that carry messages to actors of which their sender has no replica.

Owns: the layout of envelopes and letters, and the hash by which one envelope names the one
before. May not know: edges and their order (`protocol.edge`), who sent it: whoever brings an
envelope says so, a session or a seal.

    envelope = 0xC2 | version 1 | first varint | prev 32 | ack varint | count varint | letter*
    letter   = 0x80 | body blob                                     head as in the one before
             | 0 tell, 1 ask | grant 16 | shape 8 | deadline varint | chain u8 x 16 | method
               text | body blob
             | 2 reply | to varint | ending u8 | body blob

first: number on its edge of the first letter, from 1; the others follow without gaps. prev:
hash of the envelope before, zeros before the first. ack: every letter of the opposite edge up
to here has been handled. deadline: milliseconds since 1970, 0 for none. to: number of the ask,
on the opposite edge, that is answered.
A stream of messages to one method costs each two bytes beside its arguments.
Source: PROTOCOL section 7; decision 27.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from comity.base.canonical import Malformed, Reader, varint
from comity.base.clock import Wall
from comity.base.endings import Ending
from comity.base.errors import Reason, Rejected
from comity.base.ids import ID_BYTES, DeviceId
from comity.base.limits import (
    CHAIN_MAX,
    ENVELOPE_BYTES_MAX,
    ENVELOPE_COUNT_MAX,
    LETTER_BYTES_MAX,
)
from comity.base.values import made_fast
from comity.crypto.hashing import PERSON_ENVELOPE, blake2b

__all__ = [
    "CHAIN_BYTES",
    "GRANT_BYTES",
    "METHOD_BYTES_MAX",
    "NO_DEADLINE",
    "SHAPE_BYTES",
    "CallHead",
    "Envelope",
    "Head",
    "Letter",
    "ReplyHead",
    "decode_envelope",
    "encode_envelope",
    "envelope_hash",
    "letter_size",
]

GRANT_BYTES: Final = 16
"""The secret that a link to an actor holds: 128 random bits."""

SHAPE_BYTES: Final = 8
"""Tells versions of one message apart; no secret, and no attacker gains by a collision."""

CHAIN_BYTES: Final = 16
"""Names an actor on a device in a chain of waits."""

METHOD_BYTES_MAX: Final = 128

_MAGIC: Final = 0xC2
_VERSION: Final = 1
_TELL, _ASK, _REPLY, _SAME = 0, 1, 2, 0x80


NO_DEADLINE: Final = Wall(0)


@dataclass(frozen=True, slots=True)
class CallHead:
    """A message to an actor, but for its arguments.

    grant: 16 bytes, the right to send it. shape: 8 bytes. deadline: 0 for none. chain: 16
    bytes each, the actors that wait for the reply, at most 64.
    """

    grant: bytes = field(repr=False)
    method: str
    shape: bytes
    wants_reply: bool = False
    deadline: Wall = NO_DEADLINE
    chain: tuple[bytes, ...] = ()


@made_fast
@dataclass(frozen=True, slots=True)
class ReplyHead:
    """How an ask ended. to: its number on the edge that it came by."""

    to: int
    ending: Ending


Head = CallHead | ReplyHead

Letter = tuple[Head, bytes]
"""One message on its way: its head, and its arguments or what it brought."""


@made_fast
@dataclass(frozen=True, slots=True)
class Envelope:
    """Letters that travel together. first: from 1. prev: 32 bytes. letters: 1 to 1,024."""

    first: int
    prev: bytes
    ack: int
    letters: tuple[Letter, ...]

    @property
    def last(self) -> int:
        """Number of its last letter."""
        return self.first + len(self.letters) - 1


def letter_size(letter: Letter) -> int:
    """Return about how many bytes a letter takes, not less."""
    head, body = letter
    if isinstance(head, ReplyHead):
        return len(body) + 20
    return len(body) + 4 * len(head.method) + CHAIN_BYTES * len(head.chain) + 48


def encode_envelope(first: int, prev: bytes, ack: int, letters: Sequence[Letter]) -> bytes:
    """Write an envelope. The letters fit it: see the limits, and `letter_size`."""
    assert 1 <= len(letters) <= ENVELOPE_COUNT_MAX
    assert len(prev) == ID_BYTES
    out = [bytes((_MAGIC, _VERSION)), varint(first), prev, varint(ack), varint(len(letters))]
    before: Head | None = None
    for head, body in letters:
        out.append(b"\x80" if head is before else _head(head))
        out.append(varint(len(body)))
        out.append(body)
        before = head
    data = b"".join(out)
    assert len(data) <= ENVELOPE_BYTES_MAX, len(data)
    return data


def _head(head: Head) -> bytes:
    if isinstance(head, ReplyHead):
        return b"\x02" + varint(head.to) + bytes((head.ending,))
    assert len(head.grant) == GRANT_BYTES
    assert len(head.shape) == SHAPE_BYTES
    assert len(head.chain) <= CHAIN_MAX
    method = head.method.encode()
    assert len(method) <= METHOD_BYTES_MAX
    start = bytes((_ASK if head.wants_reply else _TELL,)) + head.grant + head.shape
    chain = bytes((len(head.chain),)) + b"".join(head.chain)
    return start + varint(head.deadline) + chain + varint(len(method)) + method


def decode_envelope(data: bytes) -> Envelope | Rejected:
    """Read an envelope of a peer. Rejected: TOO_BIG, MALFORMED, UNSUPPORTED."""
    if len(data) > ENVELOPE_BYTES_MAX:
        return Rejected(Reason.TOO_BIG, f"an envelope of {len(data)} bytes")
    reader = Reader(data)
    try:
        if reader.u8() != _MAGIC:
            return Rejected(Reason.MALFORMED, "not an envelope")
        if reader.u8() != _VERSION:
            return Rejected(Reason.UNSUPPORTED, "an envelope of another version")
        return _decode(reader)
    except Malformed as error:
        return Rejected(Reason.MALFORMED, str(error))


def _decode(reader: Reader) -> Envelope:
    first = reader.varint()
    prev = reader.take(ID_BYTES)
    ack = reader.varint()
    count = reader.varint()
    if not 1 <= count <= ENVELOPE_COUNT_MAX:
        raise Malformed(f"{count} letters in an envelope")
    if not 1 <= first < 1 << 63:
        raise Malformed(f"a letter of number {first}")
    if (first == 1) != (prev == bytes(ID_BYTES)):
        raise Malformed("an envelope that is first and names one before, or the reverse")
    letters: list[Letter] = []
    head: Head | None = None
    for _ in range(count):
        kind = reader.u8()
        if kind != _SAME:
            head = _decode_head(kind, reader)
        if head is None:
            raise Malformed("the first letter has no head")
        body = reader.short_blob()
        letters.append((head, reader.blob(LETTER_BYTES_MAX) if body is None else body))
    reader.finish()
    return Envelope(first, prev, ack, tuple(letters))


def _decode_head(kind: int, reader: Reader) -> Head:
    if kind == _REPLY:
        to, ending = reader.varint(), reader.u8()
        if ending > max(Ending):
            raise Malformed(f"an ending of number {ending}")
        return ReplyHead(to, Ending(ending))
    if kind not in {_TELL, _ASK}:
        raise Malformed(f"a letter of kind {kind}")
    grant, shape = reader.take(GRANT_BYTES), reader.take(SHAPE_BYTES)
    deadline = Wall(reader.varint())
    count = reader.u8()
    if count > CHAIN_MAX:
        raise Malformed(f"a chain of {count} waits")
    chain = tuple(reader.take(CHAIN_BYTES) for _ in range(count))
    method = reader.text(METHOD_BYTES_MAX)
    return CallHead(grant, method, shape, kind == _ASK, deadline, chain)


def envelope_hash(sender: DeviceId, recipient: DeviceId, data: bytes) -> bytes:
    """Return the 32 bytes by which the next envelope on this edge names this one."""
    return blake2b(sender + recipient + data, person=PERSON_ENVELOPE)
