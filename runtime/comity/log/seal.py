"""Sealing, opening and signing: what a content key and a device key do to a commit.

Owns: the derivations from a content key, the nonce rule, the masked signature. May not know:
layouts beyond the clear part, the graph, who may write.

    nonce  = BLAKE2b-192(key K, `comity/nonce`, topic || clear || inner)
    cipher = XChaCha20-Poly1305(BLAKE2b(K, `comity/seal`), nonce, inner, aad = topic || clear)
    beside = Ed25519(device, `comity/commit/1` || id) XOR BLAKE2b-512(K, `comity/sig`, id)

The nonce is a function of what is sealed: a draft that is sealed twice gives the same bytes,
and two contents never share a nonce. The opener recomputes it, so that whoever holds K can
make only one sealed form of one content. The mask keeps a relay from testing a signature
against device keys that it knows.
Source: PROTOCOL section 2.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from comity.base.errors import Reason, Rejected
from comity.base.ids import CommitId, DeviceId, Topic, short
from comity.crypto.hashing import (
    PERSON_KCOMMIT,
    PERSON_NONCE,
    PERSON_SEAL,
    PERSON_SIGNATURE,
    blake2b,
)
from comity.crypto.port import KEY_BYTES, NONCE_LONG_BYTES, SIGNATURE_BYTES, Crypto
from comity.log.sealed import assemble, topic_of

if TYPE_CHECKING:
    from comity.log.sealed import Sealed

__all__ = [
    "ContentKey",
    "claim_beside",
    "kcommit_of",
    "open_sealed",
    "seal",
    "sign_beside",
    "signed_message",
    "unmask",
    "verify_beside",
]

_SIGNED_PREFIX: Final = b"comity/commit/1"


def kcommit_of(key: bytes) -> bytes:
    """Return the public commitment to a content key, 32 bytes."""
    return blake2b(b"", key=key, person=PERSON_KCOMMIT)


@dataclass(frozen=True, slots=True)
class ContentKey:
    """The key of an epoch in one topic, with what is derived from it once.

    key: 32 bytes, secret. Never shown.
    """

    topic: Topic
    key: bytes = field(repr=False)
    sealing: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Derive the key that seals."""
        assert len(self.key) == KEY_BYTES
        object.__setattr__(self, "sealing", blake2b(b"", key=self.key, person=PERSON_SEAL))


def seal(crypto: Crypto, key: ContentKey, clear: bytes, inner: bytes) -> bytes:
    """Return the sealed form of an encoded inner. Deterministic: same arguments, same bytes."""
    aad = key.topic + clear
    nonce = _nonce(key, aad, inner)
    return assemble(clear, nonce, crypto.seal(key.sealing, nonce, inner, aad))


def open_sealed(crypto: Crypto, key: ContentKey, sealed: Sealed) -> bytes | Rejected:
    """Return the encoded inner.

    Rejected: WRONG_KEY if it was altered, or sealed under another key or topic; WRONG_NONCE;
    GENESIS_MISMATCH if it claims to be the genesis and founds another topic.
    """
    if sealed.wraps is not None and sealed.wraps.kcommit != kcommit_of(key.key):
        return Rejected(Reason.WRONG_KEY, "the key is not the one it commits to")
    aad = key.topic + sealed.clear
    inner = crypto.open(key.sealing, sealed.nonce, sealed.cipher, aad)
    if inner is None:
        return Rejected(Reason.WRONG_KEY)
    if sealed.nonce != _nonce(key, aad, inner):
        return Rejected(Reason.WRONG_NONCE)
    if sealed.is_genesis and topic_of(inner) != key.topic:
        return Rejected(Reason.GENESIS_MISMATCH, f"topic {short(key.topic)}")
    return inner


def signed_message(commit: CommitId) -> bytes:
    """Return what a device signs for a commit."""
    return _SIGNED_PREFIX + commit


def sign_beside(crypto: Crypto, key: ContentKey, seed: bytes, commit: CommitId) -> bytes:
    """Return the masked signature, 64 bytes, of the device whose Ed25519 seed this is."""
    return unmask(key, commit, crypto.sign(seed, signed_message(commit)))


def unmask(key: ContentKey, commit: CommitId, beside: bytes) -> bytes:
    """Turn a masked signature into the signature, and back."""
    mask = blake2b(commit, size=SIGNATURE_BYTES, key=key.key, person=PERSON_SIGNATURE)
    both = int.from_bytes(beside, "little") ^ int.from_bytes(mask, "little")
    return both.to_bytes(SIGNATURE_BYTES, "little")


def verify_beside(
    crypto: Crypto, key: ContentKey, author: DeviceId, commit: CommitId, beside: bytes
) -> Rejected | None:
    """Check the masked signature of a commit; None if it is its author's.

    Never remembered as 'bad' by id: the bytes beside are not part of the id.
    """
    if len(beside) != SIGNATURE_BYTES:
        return Rejected(Reason.BAD_SIGNATURE, f"{len(beside)} bytes")
    if crypto.verify(author, signed_message(commit), unmask(key, commit, beside)):
        return None
    return Rejected(Reason.BAD_SIGNATURE, f"of device {short(author)}")


def claim_beside(
    key: ContentKey, author: DeviceId, commit: CommitId, beside: bytes
) -> tuple[bytes, bytes, bytes]:
    """Return what is to be verified, and how: public key, message, signature.

    For those who verify in batches, or elsewhere. A signature of another length stays so.
    """
    signature = unmask(key, commit, beside) if len(beside) == SIGNATURE_BYTES else beside
    return author, signed_message(commit), signature


def _nonce(key: ContentKey, aad: bytes, inner: bytes) -> bytes:
    return blake2b(aad + inner, size=NONCE_LONG_BYTES, key=key.key, person=PERSON_NONCE)
