"""The cryptographic port: what Comity asks of a crypto library.

Owns: the shape that `sodium` (libsodium through PyNaCl) and `symbolic` (fast, insecure,
for simulation only) both have. May not know: commits, sessions, anything above.
Every operation is a pure function of its arguments; nonces and keys come from the caller.
An opening that fails returns None: the caller knows whose fault that is.
Source: PROTOCOL sections 1, 2, 4, 5.
"""

from __future__ import annotations

from typing import Final, Protocol

__all__ = [
    "KEY_BYTES",
    "NONCE_LONG_BYTES",
    "NONCE_SHORT_BYTES",
    "SIGNATURE_BYTES",
    "TAG_BYTES",
    "Crypto",
]

KEY_BYTES: Final = 32
"""Length of every key, public or secret."""

SIGNATURE_BYTES: Final = 64
"""Length of an Ed25519 signature."""

TAG_BYTES: Final = 16
"""Length of a Poly1305 tag, added by both AEADs."""

NONCE_LONG_BYTES: Final = 24
"""Nonce of `seal`: long enough to be derived or random without a collision."""

NONCE_SHORT_BYTES: Final = 12
"""Nonce of `seal_short`: a counter, or a constant under a key that is used once."""


class Crypto(Protocol):
    """Signatures, Diffie-Hellman and two AEADs. Hashes are BLAKE2b in `crypto.hashing`."""

    @property
    def name(self) -> str:
        """'sodium' or 'symbolic': shown in status, mixed into the handshake's prologue."""
        ...

    def sign_public(self, seed: bytes) -> bytes:
        """Return the 32-byte Ed25519 public key of a 32-byte seed."""
        ...

    def sign(self, seed: bytes, message: bytes) -> bytes:
        """Return the 64-byte Ed25519 signature of `message`. Deterministic."""
        ...

    def verify(self, public: bytes, message: bytes, signature: bytes) -> bool:
        """Tell whether the signature is valid by libsodium's rules. Never raises on bytes."""
        ...

    def exchange_public(self, secret: bytes) -> bytes:
        """Return the 32-byte X25519 public key of a 32-byte secret."""
        ...

    def exchange(self, secret: bytes, public: bytes) -> bytes | None:
        """Return the 32-byte X25519 shared secret; None if `public` is of low order."""
        ...

    def seal(self, key: bytes, nonce: bytes, plain: bytes, aad: bytes) -> bytes:
        """Encrypt with XChaCha20-Poly1305 (24-byte nonce); 16 bytes longer than `plain`."""
        ...

    def open(self, key: bytes, nonce: bytes, sealed: bytes, aad: bytes) -> bytes | None:
        """Decrypt what `seal` made; None if it was altered or the key is another."""
        ...

    def seal_short(self, key: bytes, nonce: bytes, plain: bytes, aad: bytes) -> bytes:
        """Encrypt with ChaCha20-Poly1305 (IETF, 12-byte nonce): sessions and wraps."""
        ...

    def open_short(self, key: bytes, nonce: bytes, sealed: bytes, aad: bytes) -> bytes | None:
        """Decrypt what `seal_short` made; None if altered or the key is another."""
        ...
