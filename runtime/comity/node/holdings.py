"""What is on this disk of one topic, as sync sees it: ids by arrival and by generation.

Owns: the numbering of durable commits and the digest of their set. May not know: what is in
them; a relay and a member keep the same book.
Arrival numbers start at 1 and have no gaps. The digest is recomputed when asked for after a
change: 1 ms per 30,000 commits, at most once per round of sync.
Source: PROTOCOL section 6.
"""

from __future__ import annotations

from bisect import insort
from typing import Final

from comity.base.ids import CommitId
from comity.crypto.hashing import PERSON_DIGEST, blake2b

__all__ = ["Holdings"]

_DIGEST_BYTES: Final = 16


class Holdings:
    """The durable commits of one topic."""

    __slots__ = ("_arrivals", "_digest", "_ids", "_items", "store")

    def __init__(self, store: bytes) -> None:
        """Start empty. store: 16 bytes, the instance that the arrival numbers belong to."""
        self.store = store
        self._ids: list[CommitId] = []
        self._arrivals: dict[CommitId, int] = {}
        self._items: list[tuple[int, CommitId]] = []
        self._digest: bytes | None = None

    @property
    def count(self) -> int:
        """Number of commits."""
        return len(self._ids)

    @property
    def arrival(self) -> int:
        """Number of the newest commit; 0 if there is none."""
        return len(self._ids)

    def add(self, commit: CommitId, gen: int) -> None:
        """Number one more commit."""
        assert commit not in self._arrivals
        self._ids.append(commit)
        self._arrivals[commit] = len(self._ids)
        insort(self._items, (gen, commit))
        self._digest = None

    def has(self, commit: CommitId) -> bool:
        """Tell whether a commit is on this disk."""
        return commit in self._arrivals

    def arrival_of(self, commit: CommitId) -> int | None:
        """Return the number of a commit; None if it is not here."""
        return self._arrivals.get(commit)

    def digest(self) -> bytes:
        """Return 16 bytes that two equal sets share and no two others do."""
        if self._digest is None:
            joined = b"".join(sorted(self._arrivals))
            self._digest = blake2b(joined, size=_DIGEST_BYTES, person=PERSON_DIGEST)
        return self._digest

    def items(self) -> list[tuple[int, CommitId]]:
        """Return (generation, id) of every commit, ascending; not to be changed."""
        return self._items

    def arrivals_after(self, number: int, count_max: int) -> list[tuple[int, CommitId]]:
        """Return (arrival, id) of the commits that came after `number`, in order."""
        chosen = self._ids[number : number + count_max]
        return list(enumerate(chosen, start=number + 1))

    def check(self) -> None:
        """Assert that the orders agree."""
        assert len(self._ids) == len(self._arrivals) == len(self._items)
        assert self._items == sorted(self._items)
        for number, commit in enumerate(self._ids, start=1):
            assert self._arrivals[commit] == number
