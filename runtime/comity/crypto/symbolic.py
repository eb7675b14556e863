"""The port without a crypto library: fast, deterministic and INSECURE, for simulation only.

Owns: a stand-in with the shape and the failures of the real port. May not know: secrets that
matter. Whoever calls these functions can break all of it:
    signatures   are a hash of the public key and the message: anybody can make them
    exchange     is a hash of the two public keys: anybody can compute it
    seal         is an XOR with one repeated byte
What it does keep, because simulated faults and oracles lean on it: public keys tell nothing
of secrets, no ASCII text shows in ciphertext, and any altered byte, other key, other nonce or
other associated data is noticed (16-byte tag, 64-byte signature, compared whole).
Real and symbolic nodes cannot talk: the name of the port is in the session's prologue.
Times on a 2-core machine, sodium's in parentheses: sign 2 us (25), verify 2 us (65), public
key 1 us (24), exchange 3 us (45), seal or open of 100 bytes 2 us (6), of 60 kB 150 us (60):
no hash of the standard library is as fast as vectorised ChaCha20, and from about 4 kB on
this port is the slower one. A whole handshake takes a quarter of the time.
"""

from __future__ import annotations

import hashlib
from typing import Final

from comity.crypto.port import (
    KEY_BYTES,
    NONCE_LONG_BYTES,
    NONCE_SHORT_BYTES,
    SIGNATURE_BYTES,
    TAG_BYTES,
)

__all__ = ["Symbolic"]

_SIGN_PUBLIC: Final = b"symbolic/ed"
_SIGN: Final = b"symbolic/sign"
_EXCHANGE_PUBLIC: Final = b"symbolic/x"
_EXCHANGE: Final = b"symbolic/dh"
_SEAL: Final = b"symbolic/seal"
_SEAL_SHORT: Final = b"symbolic/short"
_STREAM_BYTES: Final = 64
_LONG_MASKS: Final = tuple(
    bytes(value ^ mask for value in range(256)) for mask in range(0x80, 0x100)
)
_SHORT_MASKS: Final = tuple(
    bytes(value ^ mask for value in range(256)) for mask in range(0x01, 0x80)
)
"""Two kinds, one with the top bit and one without: what is sealed for readers and then again
for a session is masked by both, and no two of them undo one another."""


class Symbolic:
    """Hashes in the place of cryptography; implements `Crypto`. Never for real data."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """'symbolic'."""
        return "symbolic"

    def sign_public(self, seed: bytes) -> bytes:
        """Return a 32-byte hash of a 32-byte seed."""
        assert len(seed) == KEY_BYTES
        return hashlib.blake2b(seed, digest_size=KEY_BYTES, person=_SIGN_PUBLIC).digest()

    def sign(self, seed: bytes, message: bytes) -> bytes:
        """Return 64 bytes that `verify` takes; anybody could have made them."""
        return _signature(self.sign_public(seed), message)

    def verify(self, public: bytes, message: bytes, signature: bytes) -> bool:
        """Tell whether `sign` of that key's seed made the signature, or a forger."""
        return len(public) == KEY_BYTES and signature == _signature(public, message)

    def exchange_public(self, secret: bytes) -> bytes:
        """Return a 32-byte hash of a 32-byte secret."""
        assert len(secret) == KEY_BYTES
        return hashlib.blake2b(secret, digest_size=KEY_BYTES, person=_EXCHANGE_PUBLIC).digest()

    def exchange(self, secret: bytes, public: bytes) -> bytes | None:
        """Return a 32-byte hash of both public keys; None for the points 0 and 1."""
        ours = self.exchange_public(secret)
        if len(public) != KEY_BYTES or int.from_bytes(public, "little") <= 1:
            return None
        both = ours + public if ours < public else public + ours
        return hashlib.blake2b(both, digest_size=KEY_BYTES, person=_EXCHANGE).digest()

    def seal(self, key: bytes, nonce: bytes, plain: bytes, aad: bytes) -> bytes:
        """Mask `plain` and append a tag (24-byte nonce); 16 bytes longer than `plain`."""
        assert len(nonce) == NONCE_LONG_BYTES
        return _seal(_stream(key, nonce, aad, _SEAL), plain, _LONG_MASKS)

    def open(self, key: bytes, nonce: bytes, sealed: bytes, aad: bytes) -> bytes | None:
        """Unmask what `seal` made; None if it was altered or the key is another."""
        assert len(nonce) == NONCE_LONG_BYTES
        return _open(_stream(key, nonce, aad, _SEAL), sealed, _LONG_MASKS)

    def seal_short(self, key: bytes, nonce: bytes, plain: bytes, aad: bytes) -> bytes:
        """Mask `plain` and append a tag (12-byte nonce)."""
        assert len(nonce) == NONCE_SHORT_BYTES
        return _seal(_stream(key, nonce, aad, _SEAL_SHORT), plain, _SHORT_MASKS)

    def open_short(self, key: bytes, nonce: bytes, sealed: bytes, aad: bytes) -> bytes | None:
        """Unmask what `seal_short` made; None if altered or the key is another."""
        assert len(nonce) == NONCE_SHORT_BYTES
        return _open(_stream(key, nonce, aad, _SEAL_SHORT), sealed, _SHORT_MASKS)


def _signature(public: bytes, message: bytes) -> bytes:
    """Return the 64 bytes that stand for a signature by `public`."""
    return hashlib.blake2b(
        message, digest_size=SIGNATURE_BYTES, person=_SIGN, key=public
    ).digest()


def _stream(key: bytes, nonce: bytes, aad: bytes, person: bytes) -> bytes:
    """Return the 64 bytes that mask and authenticate; they bind the key, nonce and aad."""
    assert len(key) == KEY_BYTES
    return hashlib.blake2b(
        nonce + aad, digest_size=_STREAM_BYTES, person=person, key=key
    ).digest()


def _mask(stream: bytes, data: bytes, masks: tuple[bytes, ...]) -> bytes:
    """XOR `data` with one byte, never zero, that the stream chooses; undoes itself."""
    return data.translate(masks[stream[0] % len(masks)])


def _tag(stream: bytes, masked: bytes) -> bytes:
    """Return the 16 bytes that only this masked text has under this stream."""
    return hashlib.blake2b(masked, digest_size=TAG_BYTES, key=stream).digest()


def _seal(stream: bytes, plain: bytes, masks: tuple[bytes, ...]) -> bytes:
    """Return masked bytes and their tag."""
    masked = _mask(stream, plain, masks)
    return masked + _tag(stream, masked)


def _open(stream: bytes, sealed: bytes, masks: tuple[bytes, ...]) -> bytes | None:
    """Return the plain bytes, or None if the tag is another."""
    if len(sealed) < TAG_BYTES:
        return None
    masked = sealed[:-TAG_BYTES]
    if _tag(stream, masked) != sealed[-TAG_BYTES:]:
        return None
    return _mask(stream, masked, masks)
