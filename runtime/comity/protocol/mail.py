"""Mail: letters sealed for a device that is off, so that a relay learns neither whose nor what.

Owns: the layout of what lies in a mailbox, its padding, and who is proven by it. May not know:
relays, edges; what is in an envelope (`protocol.envelope`).

    sealed   = Noise X to a prekey of the recipient's (192 bytes) | chunk*
    Noise X  = e 32 | s 48 | (device 32 | signature 64) + 16
    chunk    = at most 65,519 bytes of the inside, encrypted under the key of the initiator;
               + 16; all but the last are full
    inside   = handled varint | received varint | route blob | envelope blob | zeros

The whole has 512 x 2^k bytes up to 256 KiB, above that 384 KiB. handled, received: how far the
opposite edge has come, as an Acknowledge says. route: where the sender takes letters itself;
empty for none. envelope: empty if only that is to be said.
The static key is the sender's for mail, and its device signs for it, so only the sender can
have sealed it. The ephemeral is derived from the whole inside, the recipient and a secret: the
same mail sealed again has the same bytes, and a relay keeps one of them.
Source: PROTOCOL section 7; Noise revision 34 section 7.4, pattern X; decision 38.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from comity.base.canonical import Malformed, Reader, varint
from comity.base.errors import Reason, Rejected
from comity.base.ids import ID_BYTES, DeviceId
from comity.base.limits import ENVELOPE_BYTES_MAX, POST_BYTES_MAX, ROUTE_BYTES_MAX
from comity.crypto.hashing import PERSON_MAIL, blake2b
from comity.crypto.keys import Identity, KeyPair
from comity.crypto.noise import MESSAGE_BYTES_MAX, HandshakeKeys, HandshakeState
from comity.crypto.port import KEY_BYTES, SIGNATURE_BYTES, TAG_BYTES, Crypto

__all__ = ["SIZE_MIN", "Mail", "Opened", "Sealer", "decode_mail", "is_padded", "open_mail"]

SIZE_MIN: Final = 512
_DOUBLED_MAX: Final = 256 * 1024
_HEAD_BYTES: Final = 2 * KEY_BYTES + ID_BYTES + SIGNATURE_BYTES + 2 * TAG_BYTES
_CHUNK_BYTES: Final = MESSAGE_BYTES_MAX - TAG_BYTES
_PROTOCOL: Final = "Noise_X_25519_ChaChaPoly_BLAKE2b"
_PROLOGUE: Final = b"comity/mail/1"


@dataclass(frozen=True, slots=True)
class Mail:
    """What a mail says. route, envelope: encoded, empty for none."""

    handled: int
    received: int
    route: bytes
    envelope: bytes

    def encode(self) -> bytes:
        """Write it, without padding."""
        head = varint(self.handled) + varint(self.received)
        route = varint(len(self.route)) + self.route
        return head + route + varint(len(self.envelope)) + self.envelope


@dataclass(frozen=True, slots=True)
class Opened:
    """A mail, and who sealed it. prekey: the public half of what it was sealed to."""

    sender: DeviceId
    mail: Mail
    prekey: bytes


class Sealer:
    """This device's hand for mail."""

    __slots__ = ("_crypto", "_proof", "_secret", "_static")

    def __init__(self, crypto: Crypto, identity: Identity, secret: bytes) -> None:
        """Sign for the static key. secret: 32 bytes of this device, the same in every life."""
        self._crypto = crypto
        self._secret = secret
        static = blake2b(b"static", person=PERSON_MAIL, key=secret)
        self._static = KeyPair(crypto, static)
        self._proof = identity.device + identity.sign(_PROLOGUE + self._static.public)

    def seal(self, mail: Mail, recipient: DeviceId, prekey: bytes) -> bytes | None:
        """Seal a mail, deterministically; None if the prekey is of low order."""
        inside = mail.encode()
        size = _padded(len(inside))
        inside += bytes(_room(size) - len(inside))
        drawn = blake2b(recipient + prekey + inside, person=PERSON_MAIL, key=self._secret)
        keys = HandshakeKeys(self._static, KeyPair(self._crypto, drawn), remote_static=prekey)
        state = HandshakeState(
            self._crypto,
            _PROTOCOL,
            initiator=True,
            keys=keys,
            prologue=_prologue(self._crypto, recipient),
        )
        head = state.write(self._proof)
        if isinstance(head, Rejected):
            return None
        cipher = state.finish().send
        starts = range(0, len(inside), _CHUNK_BYTES)
        chunks = [cipher.encrypt(b"", inside[at : at + _CHUNK_BYTES]) for at in starts]
        sealed = b"".join((head, *chunks))
        assert len(sealed) == size
        return sealed


def open_mail(
    crypto: Crypto, recipient: DeviceId, prekeys: Iterable[KeyPair], sealed: bytes
) -> Opened | Rejected:
    """Open what lay in a mailbox. prekeys: those of the recipient, tried in this order.

    Rejected: TOO_BIG, MALFORMED, WRONG_KEY, BAD_SIGNATURE.
    """
    if len(sealed) > POST_BYTES_MAX:
        return Rejected(Reason.TOO_BIG, f"a mail of {len(sealed)} bytes")
    if not is_padded(len(sealed)):
        return Rejected(Reason.MALFORMED, f"a mail of {len(sealed)} bytes")
    for prekey in prekeys:
        state = HandshakeState(
            crypto,
            _PROTOCOL,
            initiator=False,
            keys=HandshakeKeys(prekey),
            prologue=_prologue(crypto, recipient),
        )
        proof = state.read(sealed[:_HEAD_BYTES])
        if not isinstance(proof, Rejected):
            return _open(crypto, state, proof, prekey.public, sealed)
    return Rejected(Reason.WRONG_KEY, "a mail that no prekey of this device opens")


def _open(
    crypto: Crypto, state: HandshakeState, proof: bytes, prekey: bytes, sealed: bytes
) -> Opened | Rejected:
    sender, signature = DeviceId(proof[:ID_BYTES]), proof[ID_BYTES:]
    static = state.remote_static
    assert static is not None
    if not crypto.verify(sender, _PROLOGUE + static, signature):
        return Rejected(Reason.BAD_SIGNATURE, "a mail whose sender is another")
    cipher = state.finish().receive
    chunks: list[bytes] = []
    for at in range(_HEAD_BYTES, len(sealed), MESSAGE_BYTES_MAX):
        chunk = cipher.decrypt(b"", sealed[at : at + MESSAGE_BYTES_MAX])
        if chunk is None:
            return Rejected(Reason.WRONG_KEY, "a mail that was altered")
        chunks.append(chunk)
    try:
        return Opened(sender, decode_mail(Reader(b"".join(chunks))), prekey)
    except Malformed as error:
        return Rejected(Reason.MALFORMED, str(error))


def decode_mail(reader: Reader) -> Mail:
    """Read the inside of a mail, padding and all. Raises: Malformed."""
    handled, received = reader.varint(), reader.varint()
    route, envelope = reader.blob(ROUTE_BYTES_MAX), reader.blob(ENVELOPE_BYTES_MAX)
    if any(reader.rest()):
        raise Malformed("a mail with something in its padding")
    return Mail(handled, received, route, envelope)


def is_padded(size: int) -> bool:
    """Tell whether a mail can have so many bytes."""
    doubled = SIZE_MIN <= size <= _DOUBLED_MAX and size & (size - 1) == 0
    return doubled or size == POST_BYTES_MAX


def _padded(inside: int) -> int:
    """Return the size of a mail with so many bytes inside."""
    size = SIZE_MIN
    while size <= _DOUBLED_MAX:
        if _room(size) >= inside:
            return size
        size *= 2
    assert _room(POST_BYTES_MAX) >= inside
    return POST_BYTES_MAX


def _room(size: int) -> int:
    """Return how many bytes fit inside a mail of this size."""
    rest = size - _HEAD_BYTES
    return rest - -(-rest // MESSAGE_BYTES_MAX) * TAG_BYTES


def _prologue(crypto: Crypto, recipient: DeviceId) -> bytes:
    port = crypto.name.encode("ascii")
    return _PROLOGUE + bytes((len(port),)) + port + recipient
