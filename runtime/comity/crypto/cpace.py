"""CPace: two who know one short code agree on a key, and nobody else can test a guess offline.

Owns: suite CPACE-X25519-SHA512 of the draft: the generator of a code, the shares, the session
key, its confirmation by session id. May not know: what a code looks like, how many tries there
are, who is asking: `protocol` counts tries and feeds the key to the handshake as a psk.

    code --Round--> share out, share in --finish--> key of 64 bytes | None (a refused share)

Shares of low order and of a wrong length are refused: with them a peer would know the key
without the code. So is any share but the one way to write its number, which no honest side
sends. The scalar multiplications are the port's. The map from a code to a point is
done here on Python integers, which takes as long as its input asks for: who can time a device
to the microsecond while it pairs may learn of the code, which is used once and for minutes.
The port must be the real one: the symbolic exchange is no group, and its sides never agree.
Times on a 2-core machine: generator 0.1 ms, share and key 0.1 ms.
Source: draft-irtf-cfrg-cpace, sections 4 to 6 and appendix A; RFC 9380 section 6.7.1
(Elligator 2); PROTOCOL section 9.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from comity.crypto.port import KEY_BYTES, Crypto

__all__ = [
    "ISK_BYTES",
    "Public",
    "Round",
    "generator",
    "key_in_order",
    "key_symmetric",
    "output_id",
    "secret_point",
    "share",
]

ISK_BYTES: Final = 64
"""Length of the key that both sides get: a SHA-512 digest. Hash it down for a psk."""

_PRIME: Final = (1 << 255) - 19
_MONTGOMERY: Final = 486662
"""The coefficient A of curve25519: y^2 = x^3 + A x^2 + x."""

_DSI: Final = b"CPace255"
_BLOCK_BYTES: Final = 128
"""Input block of SHA-512: the code fills the first block, so that its length does not show."""


@dataclass(frozen=True, slots=True)
class Public:
    """What both sides know and anybody may. channel: names the parties. session: is unique."""

    channel: bytes
    session: bytes


class Round:
    """One try of one side. Use it once: a share that is used twice lets codes be tested.

    scalar: 32 fresh random bytes. label: whatever this side wants bound to the key, like its
    device id; the other side must be told it. initiator: both sides must be sure who that is.
    """

    __slots__ = ("_crypto", "_initiator", "_scalar", "_session", "label", "share")

    def __init__(
        self,
        crypto: Crypto,
        *,
        code: bytes,
        public: Public,
        scalar: bytes,
        label: bytes,
        initiator: bool,
    ) -> None:
        """Derive the share to send from the code."""
        self._crypto = crypto
        self._scalar = scalar
        self._session = public.session
        self._initiator = initiator
        self.label = label
        point = generator(code, channel=public.channel, session=public.session)
        made = share(crypto, scalar, point)
        assert made is not None, "a generator is of low order for no code that can be found"
        self.share = made

    def finish(self, theirs: bytes, *, label: bytes) -> bytes | None:
        """Return the 64-byte key from the peer's share and label; None if it is refused."""
        point = secret_point(self._crypto, self._scalar, theirs)
        if point is None:
            return None
        sides = [(self.share, self.label), (theirs, label)]
        first, second = sides if self._initiator else reversed(sides)
        return key_in_order(self._session, point, first, second)


def generator(code: bytes, *, channel: bytes, session: bytes) -> bytes:
    """Return the 32-byte base point of a code. code: the shared secret, of any length."""
    pad = max(0, _BLOCK_BYTES - 1 - len(_prepended(code)) - len(_prepended(_DSI)))
    seed = _joined((_DSI, code, bytes(pad), channel, session))
    return _elligator(hashlib.sha512(seed).digest()[:KEY_BYTES])


def share(crypto: Crypto, scalar: bytes, point: bytes) -> bytes | None:
    """Return the 32-byte share of a secret scalar; None if the point is of low order."""
    return crypto.exchange(scalar, point)


def secret_point(crypto: Crypto, scalar: bytes, theirs: bytes) -> bytes | None:
    """Return the 32 bytes that both sides have in common; None for a refused share.

    Refused: of low order, on the curve or on its twist; of another length than 32; not the
    smallest way to write its number, which X25519 alone would take.
    """
    if int.from_bytes(theirs, "little") >= _PRIME:
        return None
    return crypto.exchange(scalar, theirs)


def key_in_order(
    session: bytes, point: bytes, first: tuple[bytes, bytes], second: tuple[bytes, bytes]
) -> bytes:
    """Return the key where the roles are clear. first: share and label of the initiator."""
    spoken = _joined(first) + _joined(second)
    return _key(session, point, spoken)


def key_symmetric(
    session: bytes, point: bytes, one: tuple[bytes, bytes], other: tuple[bytes, bytes]
) -> bytes:
    """Return the key where nobody knows who came first: alike for both orders."""
    return _key(session, point, _symmetric(one, other))


def output_id(
    first: tuple[bytes, bytes], second: tuple[bytes, bytes], *, ordered: bool
) -> bytes:
    """Return the 64-byte public name of a finished session, for both sides to compare."""
    spoken = _joined(first) + _joined(second) if ordered else _symmetric(first, second)
    return hashlib.sha512(b"CPaceSidOutput" + spoken).digest()


def _key(session: bytes, point: bytes, spoken: bytes) -> bytes:
    return hashlib.sha512(_joined((_DSI + b"_ISK", session, point)) + spoken).digest()


def _symmetric(one: tuple[bytes, bytes], other: tuple[bytes, bytes]) -> bytes:
    low, high = sorted((_joined(one), _joined(other)))
    return b"oc" + high + low


def _prepended(data: bytes) -> bytes:
    """Return `data` after its length in LEB128."""
    length, head = len(data), bytearray()
    while length > 0x7F:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    return bytes(head) + data


def _joined(parts: Iterable[bytes]) -> bytes:
    return b"".join(map(_prepended, parts))


def _elligator(uniform: bytes) -> bytes:
    """Map 32 uniform bytes to the u-coordinate of a point of curve25519."""
    field = (int.from_bytes(uniform, "little") & ((1 << 255) - 1)) % _PRIME
    # 1 + 2 u^2 is never zero: -1/2 is no square modulo this prime.
    first = -_MONTGOMERY * pow(1 + 2 * field * field, _PRIME - 2, _PRIME) % _PRIME
    right = first * (first * (first + _MONTGOMERY) + 1) % _PRIME
    square = pow(right, (_PRIME - 1) // 2, _PRIME) in {0, 1}
    point = first if square else (-first - _MONTGOMERY) % _PRIME
    return point.to_bytes(KEY_BYTES, "little")
