"""A key from what a person remembers: Argon2id, slow and hungry for memory on purpose.

Owns: the call and its costs. May not know: what the key opens, or where the salt is kept.
Source: RFC 9106; libsodium's crypto_pwhash with ALG_ARGON2ID13.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Final

from nacl.pwhash import argon2id as _argon2id

from comity.crypto.port import KEY_BYTES

__all__ = ["COST_MAX", "COST_MIN", "MODERATE", "SALT_BYTES", "Cost", "argon2id"]

SALT_BYTES: Final = 16
"""Salt of libsodium's Argon2id: public, random, one for every key."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one guess costs. passes: times over the memory; memory_bytes: held meanwhile."""

    passes: int
    memory_bytes: int


MODERATE: Final = Cost(passes=3, memory_bytes=256 * 1024 * 1024)
"""libsodium's 'moderate': about 0.7 s and 256 MiB, once when a store is opened. Half makes
guessing twice as cheap; twice no longer fits small machines."""

COST_MIN: Final = Cost(passes=1, memory_bytes=8192)
"""The least that libsodium takes: for tests."""

COST_MAX: Final = Cost(passes=16, memory_bytes=1024 * 1024 * 1024)
"""The most that is taken from a file: an altered one must not stop the machine."""


def argon2id(passphrase: str, salt: bytes, cost: Cost) -> bytes:
    """Return the 32-byte key of a passphrase, which is taken in Unicode form NFC.

    Raises: `MemoryError` if the memory that the cost asks for is not there.
    """
    assert len(salt) == SALT_BYTES
    assert COST_MIN.passes <= cost.passes <= COST_MAX.passes
    assert COST_MIN.memory_bytes <= cost.memory_bytes <= COST_MAX.memory_bytes
    text = unicodedata.normalize("NFC", passphrase).encode()
    try:
        return _argon2id.kdf(
            KEY_BYTES, text, salt, opslimit=cost.passes, memlimit=cost.memory_bytes
        )
    except RuntimeError:  # PyNaCl: 'Key derivation failed', which is want of memory
        raise MemoryError(f"{cost.memory_bytes} bytes for Argon2id") from None
