"""Randomness by key: every choice is a function of the seed and of what it is for.

Owns: the derivation. May not know: what is chosen. A choice depends on (seed, purpose, keys)
alone and not on how many others were made before it, so that deleting one step of a plan
leaves the rest of the run as it was: readable differences, fast shrinking.
Source: CHAOS 'What was measured' (keyed 72 % against sequential 43 % of deliveries kept).
"""

from __future__ import annotations

import hashlib
import struct
from typing import Final

__all__ = ["Keyed", "SimEntropy"]

_NUMBERS: Final = struct.Struct("<Q")


class Keyed:
    """The choices of one run."""

    __slots__ = ("_prefix",)

    def __init__(self, seed: int) -> None:
        """Take the seed of the run, 0..2^64-1."""
        self._prefix = _NUMBERS.pack(seed)

    def below(self, bound: int, purpose: str, *keys: int) -> int:
        """Return a number of 0..bound-1. Cost: 1 us."""
        return int.from_bytes(self._digest(purpose, keys)[:8], "little") % bound

    def share(self, purpose: str, *keys: int) -> float:
        """Return a number of [0, 1)."""
        return int.from_bytes(self._digest(purpose, keys)[:7], "little") / (1 << 56)

    def _digest(self, purpose: str, keys: tuple[int, ...]) -> bytes:
        data = b"".join((self._prefix, *map(_NUMBERS.pack, keys), purpose.encode()))
        return hashlib.blake2b(data, digest_size=8).digest()


class SimEntropy:
    """Bytes that are fresh for each node and each of its lives, and the same in every run."""

    __slots__ = ("_count", "_prefix")

    def __init__(self, seed: int, node: int, life: int) -> None:
        """Begin the stream of one life of one node."""
        self._prefix = struct.pack("<QQQ", seed, node, life)
        self._count = 0

    def draw(self, count: int) -> bytes:
        """Return the next `count` bytes."""
        out = b""
        while len(out) < count:
            data = self._prefix + _NUMBERS.pack(self._count)
            out += hashlib.blake2b(data, person=b"sim/entropy").digest()
            self._count += 1
        return out[:count]
