"""The Noise Protocol Framework, revision 34, over the crypto port.

Owns: handshake patterns, the symmetric state, transport ciphers. May not know: what a
payload means, who may talk to whom, entropy (ephemerals are passed in), time.
DH 25519 and cipher ChaChaPoly are the port's; the hash is one of BLAKE2b, BLAKE2s, SHA256,
SHA512. Comity itself uses `Noise_XX_25519_ChaChaPoly_BLAKE2b`, its psk3 variant and X.

    HandshakeState   write and read alternate, one message pattern each, until done:
                         initiator: write read write ...   responder: read write read ...
                     a message that does not verify: Rejected, and the state is spent
    finish           once done: two CipherStates and the handshake hash
    CipherState      counts its nonces; both sides count alike, so nothing may be lost,
                     repeated or reordered; nothing is counted when opening fails

Calls out of order are our own mistakes and assert; bytes of a peer never do.
Source: noiseprotocol.org/noise.html revision 34, sections 5, 7, 9.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from comity.base.errors import Reason, Rejected
from comity.crypto.port import KEY_BYTES, TAG_BYTES

if TYPE_CHECKING:
    from _hashlib import _HashObject  # pyright: ignore[reportPrivateUsage] # no public name
    from collections.abc import Callable

    from comity.crypto.keys import KeyPair
    from comity.crypto.port import Crypto

__all__ = [
    "MESSAGE_BYTES_MAX",
    "PATTERNS",
    "CipherState",
    "Finished",
    "HandshakeKeys",
    "HandshakeState",
]

MESSAGE_BYTES_MAX: Final = 65_535
"""Largest Noise message, section 3: a length fits two bytes."""

_NONCE_MAX: Final = 2**64 - 1
"""Reserved for rekeying; no message is ever sent under it."""

_NONCE_PREFIX: Final = bytes(4)
_REKEY_NONCE: Final = _NONCE_PREFIX + _NONCE_MAX.to_bytes(8, "little")

_HASHES: Final[dict[str, Callable[..., _HashObject]]] = {
    "BLAKE2b": hashlib.blake2b,
    "BLAKE2s": hashlib.blake2s,
    "SHA256": hashlib.sha256,
    "SHA512": hashlib.sha512,
}


class Pattern(NamedTuple):
    """A handshake pattern: what is known beforehand of each side, then the messages."""

    initiator_known: bool
    responder_known: bool
    messages: tuple[tuple[str, ...], ...]


def _pattern(before: str, *messages: str) -> Pattern:
    """Read a pattern: `before` names the statics known beforehand, 'i' and 'r'."""
    return Pattern("i" in before, "r" in before, tuple(tuple(m.split()) for m in messages))


PATTERNS: Final[dict[str, Pattern]] = {
    "N": _pattern("r", "e es"),
    "K": _pattern("ir", "e es ss"),
    "X": _pattern("r", "e es s ss"),
    "NN": _pattern("", "e", "e ee"),
    "NK": _pattern("r", "e es", "e ee"),
    "NX": _pattern("", "e", "e ee s es"),
    "XN": _pattern("", "e", "e ee", "s se"),
    "XK": _pattern("r", "e es", "e ee", "s se"),
    "XX": _pattern("", "e", "e ee s es", "s se"),
    "KN": _pattern("i", "e", "e ee se"),
    "KK": _pattern("ir", "e es ss", "e ee se"),
    "KX": _pattern("i", "e", "e ee se s es"),
    "IN": _pattern("", "e s", "e ee se"),
    "IK": _pattern("r", "e es s ss", "e ee se"),
    "IX": _pattern("", "e s", "e ee se s es"),
}
"""Sections 7.4 and 7.5; psk modifiers are applied to these."""


class CipherState:
    """A key and a counter, one direction of a channel. Without a key it passes bytes on."""

    __slots__ = ("_count", "_crypto", "_key")

    def __init__(self, crypto: Crypto, key: bytes | None = None) -> None:
        """Start counting from zero."""
        self._crypto = crypto
        self._key = key
        self._count = 0

    @property
    def has_key(self) -> bool:
        """Whether bytes are encrypted at all."""
        return self._key is not None

    def encrypt(self, aad: bytes, plain: bytes) -> bytes:
        """Return `plain`, encrypted under the next nonce; 16 bytes longer if there is a key."""
        if self._key is None:
            return plain
        count = self._count
        assert count < _NONCE_MAX
        self._count = count + 1
        nonce = _NONCE_PREFIX + count.to_bytes(8, "little")
        return self._crypto.seal_short(self._key, nonce, plain, aad)

    def decrypt(self, aad: bytes, sealed: bytes) -> bytes | None:
        """Return what was encrypted, or None: then nothing was counted."""
        if self._key is None:
            return sealed
        count = self._count
        assert count < _NONCE_MAX
        nonce = _NONCE_PREFIX + count.to_bytes(8, "little")
        plain = self._crypto.open_short(self._key, nonce, sealed, aad)
        if plain is not None:
            self._count = count + 1
        return plain

    def rekey(self) -> None:
        """Replace the key by a one-way function of itself; the counter goes on."""
        assert self._key is not None
        sealed = self._crypto.seal_short(self._key, _REKEY_NONCE, bytes(KEY_BYTES), b"")
        self._key = sealed[:KEY_BYTES]


class _SymmetricState:
    """The running hash and chaining key of a handshake: section 5.2."""

    __slots__ = ("_chaining", "_crypto", "_hash", "cipher", "digest")

    def __init__(self, crypto: Crypto, name: str) -> None:
        self._crypto = crypto
        self._hash = _HASHES[name.rsplit("_", 1)[1]]
        label = name.encode("ascii")
        size = self._hash(b"").digest_size
        self.digest = label.ljust(size, b"\0") if len(label) <= size else self._of(label)
        self._chaining = self.digest
        self.cipher = CipherState(crypto)

    def mix_hash(self, data: bytes) -> None:
        self.digest = self._of(self.digest + data)

    def mix_key(self, material: bytes) -> None:
        self._chaining, key = self._derive(material, 2)
        self.cipher = CipherState(self._crypto, key[:KEY_BYTES])

    def mix_key_and_hash(self, material: bytes) -> None:
        self._chaining, mixed, key = self._derive(material, 3)
        self.mix_hash(mixed)
        self.cipher = CipherState(self._crypto, key[:KEY_BYTES])

    def encrypt(self, plain: bytes) -> bytes:
        sealed = self.cipher.encrypt(self.digest, plain)
        self.mix_hash(sealed)
        return sealed

    def decrypt(self, sealed: bytes) -> bytes | None:
        plain = self.cipher.decrypt(self.digest, sealed)
        self.mix_hash(sealed)
        return plain

    def exchange(self, secret: bytes, public: bytes) -> bytes | None:
        return self._crypto.exchange(secret, public)

    def split(self) -> tuple[CipherState, CipherState]:
        first, second = self._derive(b"", 2)
        return (
            CipherState(self._crypto, first[:KEY_BYTES]),
            CipherState(self._crypto, second[:KEY_BYTES]),
        )

    def _of(self, data: bytes) -> bytes:
        return self._hash(data).digest()

    def _derive(self, material: bytes, count: int) -> list[bytes]:
        """HKDF of section 4.3."""
        secret = hmac.digest(self._chaining, material, self._hash)
        out: list[bytes] = []
        previous = b""
        for index in range(1, count + 1):
            previous = hmac.digest(secret, previous + bytes((index,)), self._hash)
            out.append(previous)
        return out


@dataclass(frozen=True, slots=True)
class HandshakeKeys:
    """What one side brings to a handshake; what its pattern does not use stays None.

    remote_static: 32 bytes, where the pattern says it is known beforehand.
    psks: 32 bytes each, in the order of the modifiers.
    """

    static: KeyPair | None = None
    ephemeral: KeyPair | None = None
    remote_static: bytes | None = None
    psks: tuple[bytes, ...] = field(default=(), repr=False)


class Finished(NamedTuple):
    """A completed handshake: ciphers of this side, and a hash that both sides share."""

    send: CipherState
    receive: CipherState
    handshake_hash: bytes


class HandshakeState:
    """One side of one handshake: section 5.3."""

    __slots__ = (
        "_index",
        "_initiator",
        "_keys",
        "_messages",
        "_psk_mode",
        "_psks_used",
        "_remote_ephemeral",
        "_spent",
        "_symmetric",
        "remote_static",
    )

    def __init__(
        self,
        crypto: Crypto,
        name: str,
        *,
        initiator: bool,
        keys: HandshakeKeys,
        prologue: bytes = b"",
    ) -> None:
        """Begin a handshake of the full Noise name, for example Noise_XX_25519_..."""
        pattern, self._messages, psk_count = _parse(name)
        assert len(keys.psks) == psk_count
        assert all(len(psk) == KEY_BYTES for psk in keys.psks)
        self._initiator = initiator
        self._keys = keys
        self._psk_mode = psk_count > 0
        self._psks_used = 0
        self._index = 0
        self._spent = False
        self._remote_ephemeral = b""
        self.remote_static = keys.remote_static
        self._symmetric = _SymmetricState(crypto, name)
        self._symmetric.mix_hash(prologue)
        if pattern.initiator_known:
            self._symmetric.mix_hash(self._static_of(initiator=True))
        if pattern.responder_known:
            self._symmetric.mix_hash(self._static_of(initiator=False))

    @property
    def done(self) -> bool:
        """Whether every message was written or read, and all of them verified."""
        return self._index == len(self._messages) and not self._spent

    @property
    def may_write(self) -> bool:
        """Whether the next message is this side's."""
        if self._spent or self._index == len(self._messages):
            return False
        return (self._index % 2 == 0) == self._initiator

    @property
    def may_read(self) -> bool:
        """Whether the next message is the other side's."""
        if self._spent or self._index == len(self._messages):
            return False
        return not self.may_write

    def write(self, payload: bytes) -> bytes | Rejected:
        """Return the next message; Rejected if a key of the peer's is of low order."""
        assert self.may_write
        symmetric = self._symmetric
        parts: list[bytes] = []
        for token in self._messages[self._index]:
            if token == "e":
                ephemeral = self._keys.ephemeral
                assert ephemeral is not None
                parts.append(ephemeral.public)
                self._mix_ephemeral(ephemeral.public)
            elif token == "s":
                static = self._keys.static
                assert static is not None
                parts.append(symmetric.encrypt(static.public))
            elif not self._mix(token):
                return self._refuse("a public key is of low order")
        parts.append(symmetric.encrypt(payload))
        message = b"".join(parts)
        assert len(message) <= MESSAGE_BYTES_MAX
        self._index += 1
        return message

    def read(self, message: bytes) -> bytes | Rejected:
        """Return the payload of the peer's next message, or why it does not verify."""
        assert self.may_read
        if len(message) > MESSAGE_BYTES_MAX:
            return self._refuse(f"{len(message)} bytes where {MESSAGE_BYTES_MAX} is the most")
        symmetric = self._symmetric
        position = 0
        for token in self._messages[self._index]:
            if token in {"e", "s"}:
                size = KEY_BYTES
                if token == "s" and symmetric.cipher.has_key:
                    size += TAG_BYTES
                part = message[position : position + size]
                position += size
                if len(part) != size:
                    return self._refuse("the message is cut off")
                if token == "e":
                    self._remote_ephemeral = part
                    self._mix_ephemeral(part)
                    continue
                self.remote_static = symmetric.decrypt(part)
                if self.remote_static is None:
                    return self._refuse("the static key does not decrypt")
            elif not self._mix(token):
                return self._refuse("a public key is of low order")
        payload = symmetric.decrypt(message[position:])
        if payload is None:
            return self._refuse("the payload does not decrypt")
        self._index += 1
        return payload

    def finish(self) -> Finished:
        """Return the ciphers and the hash, once; the handshake is spent."""
        assert self.done
        self._spent = True
        first, second = self._symmetric.split()
        if not self._initiator:
            first, second = second, first
        return Finished(first, second, self._symmetric.digest)

    def _refuse(self, detail: str) -> Rejected:
        self._spent = True
        return Rejected(Reason.HANDSHAKE_FAILED, f"message {self._index + 1}: {detail}")

    def _static_of(self, *, initiator: bool) -> bytes:
        """Return the static public key that is known beforehand, ours or theirs."""
        static = self._keys.static
        if initiator == self._initiator:
            assert static is not None
            return static.public
        assert self.remote_static is not None
        assert len(self.remote_static) == KEY_BYTES
        return self.remote_static

    def _mix_ephemeral(self, public: bytes) -> None:
        """Mix an ephemeral; with a psk it also keys, section 9.2."""
        self._symmetric.mix_hash(public)
        if self._psk_mode:
            self._symmetric.mix_key(public)

    def _mix(self, token: str) -> bool:
        """Mix a psk or the secret of a DH token; False if there is no secret."""
        if token == "psk":
            self._symmetric.mix_key_and_hash(self._keys.psks[self._psks_used])
            self._psks_used += 1
            return True
        ours, theirs = token[0], token[1]
        if not self._initiator:
            ours, theirs = theirs, ours
        pair = self._keys.ephemeral if ours == "e" else self._keys.static
        public = self._remote_ephemeral if theirs == "e" else self.remote_static
        assert pair is not None
        assert public is not None
        shared = self._symmetric.exchange(pair.secret, public)
        if shared is None:
            return False
        self._symmetric.mix_key(shared)
        return True


def _parse(name: str) -> tuple[Pattern, tuple[tuple[str, ...], ...], int]:
    """Split a Noise name into its pattern, the messages with psk tokens, and their count."""
    label, pattern_name, exchange, cipher, digest = name.split("_")
    assert (label, exchange, cipher) == ("Noise", "25519", "ChaChaPoly"), name
    assert digest in _HASHES, name
    base, psk, rest = pattern_name.partition("psk")
    pattern = PATTERNS[base]
    modifiers = (psk + rest).split("+") if psk else []
    messages = [list(tokens) for tokens in pattern.messages]
    for modifier in modifiers:
        number = int(modifier.removeprefix("psk"))
        assert number <= len(messages), name
        if number == 0:
            messages[0].insert(0, "psk")
        else:
            messages[number - 1].append("psk")
    return pattern, tuple(tuple(tokens) for tokens in messages), len(modifiers)
