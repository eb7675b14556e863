"""The port on libsodium: the crypto that real nodes use.

Owns: the calls into libsodium and the meaning of its failures. May not know: anything above
the port. The one verifier of Comity: no other library may check a signature, since
libraries disagree on edge cases and one such signature would fork the replicas.
Our own keys, nonces and messages are asserted; what a peer chose (public keys, signatures,
ciphertexts, of any length) gives False or None.
Times on a 2-core machine: sign 25 us, verify 65 us, exchange 45 us, seal and open of
100 bytes 6 us each, of 60 kB 60 us each.
Source: PROTOCOL section 1; RFC 8032, 7748, 8439.
"""

from __future__ import annotations

from typing import Final

from nacl.bindings import (
    crypto_aead_chacha20poly1305_ietf_decrypt,
    crypto_aead_chacha20poly1305_ietf_encrypt,
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
    crypto_scalarmult,
    crypto_scalarmult_base,
    crypto_sign,
    crypto_sign_open,
    crypto_sign_seed_keypair,
)
from nacl.exceptions import CryptoError

from comity.crypto.port import (
    KEY_BYTES,
    NONCE_LONG_BYTES,
    NONCE_SHORT_BYTES,
    SIGNATURE_BYTES,
    TAG_BYTES,
)

__all__ = ["EXPANDED_KEPT_MAX", "Sodium"]

EXPANDED_KEPT_MAX: Final = 64
"""Expanded signing keys that are remembered: a node has one, a simulation one a device.
Each spares 25 us a signature; below the number of devices of a simulation none would."""


class Sodium:
    """Ed25519, X25519 and two ChaCha20-Poly1305 by libsodium; implements `Crypto`."""

    __slots__ = ("_expanded",)

    def __init__(self) -> None:
        self._expanded: dict[bytes, bytes] = {}

    @property
    def name(self) -> str:
        """'sodium'."""
        return "sodium"

    def sign_public(self, seed: bytes) -> bytes:
        """Return the 32-byte Ed25519 public key of a 32-byte seed."""
        return self._expand(seed)[KEY_BYTES:]

    def sign(self, seed: bytes, message: bytes) -> bytes:
        """Return the 64-byte Ed25519 signature of `message`. Deterministic."""
        expanded = self._expanded.get(seed) or self._expand(seed)
        return crypto_sign(message, expanded)[:SIGNATURE_BYTES]

    def verify(self, public: bytes, message: bytes, signature: bytes) -> bool:
        """Tell whether the signature is valid by libsodium's rules. Never raises on bytes."""
        if len(public) != KEY_BYTES or len(signature) != SIGNATURE_BYTES:
            return False
        try:
            crypto_sign_open(signature + message, public)
        except CryptoError:
            return False
        return True

    def exchange_public(self, secret: bytes) -> bytes:
        """Return the 32-byte X25519 public key of a 32-byte secret."""
        assert len(secret) == KEY_BYTES
        return crypto_scalarmult_base(secret)

    def exchange(self, secret: bytes, public: bytes) -> bytes | None:
        """Return the 32-byte X25519 shared secret; None if `public` is of low order."""
        assert len(secret) == KEY_BYTES
        if len(public) != KEY_BYTES:
            return None
        try:
            return crypto_scalarmult(secret, public)
        except CryptoError:
            return None

    def seal(self, key: bytes, nonce: bytes, plain: bytes, aad: bytes) -> bytes:
        """Encrypt with XChaCha20-Poly1305 (24-byte nonce); 16 bytes longer than `plain`."""
        assert len(key) == KEY_BYTES
        assert len(nonce) == NONCE_LONG_BYTES
        return crypto_aead_xchacha20poly1305_ietf_encrypt(plain, aad, nonce, key)

    def open(self, key: bytes, nonce: bytes, sealed: bytes, aad: bytes) -> bytes | None:
        """Decrypt what `seal` made; None if it was altered or the key is another."""
        assert len(key) == KEY_BYTES
        assert len(nonce) == NONCE_LONG_BYTES
        if len(sealed) < TAG_BYTES:
            return None
        try:
            return crypto_aead_xchacha20poly1305_ietf_decrypt(sealed, aad, nonce, key)
        except CryptoError:
            return None

    def seal_short(self, key: bytes, nonce: bytes, plain: bytes, aad: bytes) -> bytes:
        """Encrypt with ChaCha20-Poly1305 (IETF, 12-byte nonce): sessions and wraps."""
        assert len(key) == KEY_BYTES
        assert len(nonce) == NONCE_SHORT_BYTES
        return crypto_aead_chacha20poly1305_ietf_encrypt(plain, aad, nonce, key)

    def open_short(self, key: bytes, nonce: bytes, sealed: bytes, aad: bytes) -> bytes | None:
        """Decrypt what `seal_short` made; None if altered or the key is another."""
        assert len(key) == KEY_BYTES
        assert len(nonce) == NONCE_SHORT_BYTES
        if len(sealed) < TAG_BYTES:
            return None
        try:
            return crypto_aead_chacha20poly1305_ietf_decrypt(sealed, aad, nonce, key)
        except CryptoError:
            return None

    def _expand(self, seed: bytes) -> bytes:
        """Return seed || public key, from memory or computed; the oldest is forgotten."""
        assert len(seed) == KEY_BYTES
        known = self._expanded.get(seed)
        if known is not None:
            return known
        _, expanded = crypto_sign_seed_keypair(seed)
        if len(self._expanded) >= EXPANDED_KEPT_MAX:
            self._expanded.pop(next(iter(self._expanded)), None)
        self._expanded[seed] = expanded
        return expanded
