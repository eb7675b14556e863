"""Chance for actors: the names of Python's `random`, the entropy of the node.

Owns: how bytes become numbers and choices. May not know: where the bytes come from. In the
fault lab they come from the seed of the run, so a handler that rolls dice is replayed exactly.
Source: API 'A whole application' (`self.random` is virtual in the lab).
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence
from typing import TypeVar

from comity.base.errors import UsageError
from comity.base.ports import Entropy

__all__ = ["Randomness"]

T = TypeVar("T")


class Randomness:
    """Unpredictable outside the lab, the same in every run within it."""

    __slots__ = ("_entropy",)

    def __init__(self, entropy: Entropy) -> None:
        """Draw from this source."""
        self._entropy = entropy

    def random(self) -> float:
        """Return a number of [0, 1), 53 bits of it drawn."""
        return (int.from_bytes(self._entropy.draw(7), "little") >> 3) / (1 << 53)

    def randbytes(self, count: int) -> bytes:
        """Return `count` bytes."""
        return self._entropy.draw(count)

    def randint(self, first: int, last: int) -> int:
        """Return an integer of first..last, both of them possible.

        Raises: UsageError if there is none.
        """
        if last < first:
            raise UsageError(f"there is no integer from {first} to {last}: swap them")
        span = last - first + 1
        bits = (span - 1).bit_length()
        while True:  # each draw is taken with a chance of a half or more
            drawn = int.from_bytes(self._entropy.draw((bits + 7) // 8), "little")
            drawn &= (1 << bits) - 1
            if drawn < span:
                return first + drawn

    def choice(self, items: Sequence[T]) -> T:
        """Return one of the items. Raises: UsageError if there are none."""
        if not items:
            raise UsageError("nothing can be chosen from an empty sequence")
        return items[self.randint(0, len(items) - 1)]

    def shuffle(self, items: MutableSequence[T]) -> None:
        """Bring the items into a random order, in place."""
        for last in range(len(items) - 1, 0, -1):
            other = self.randint(0, last)
            items[last], items[other] = items[other], items[last]
