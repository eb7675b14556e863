"""What one peer's sync sees of one topic: the durable commits, and what was read of that peer.

Owns: nothing of its own; it puts together what `protocol.sync_port.LogView` asks for. May not
know: links. A cursor counts for the peer it was learnt from only: a store's name is no secret,
and another peer could claim it.
Source: PROTOCOL section 6.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from comity.base.ids import CommitId
from comity.node.holdings import Holdings
from comity.protocol.reconcile import Item

__all__ = ["PeerView"]


class PeerView:
    """Implements `protocol.sync_port.LogView`."""

    __slots__ = ("_cursors", "_heads", "_holdings", "_refused")

    def __init__(
        self,
        holdings: Holdings,
        heads: Callable[[], tuple[CommitId, ...]],
        cursors: Mapping[bytes, int],
        refused: Mapping[CommitId, None],
    ) -> None:
        """Look at these. cursors: by store, of this peer. refused: for good, by anybody."""
        self._holdings = holdings
        self._heads = heads
        self._cursors = cursors
        self._refused = refused

    @property
    def store(self) -> bytes:
        """The store instance."""
        return self._holdings.store

    @property
    def count(self) -> int:
        """Number of commits."""
        return self._holdings.count

    @property
    def arrival(self) -> int:
        """Number of the newest commit."""
        return self._holdings.arrival

    def digest(self) -> bytes:
        """16 bytes, equal for equal sets."""
        return self._holdings.digest()

    def heads(self) -> tuple[CommitId, ...]:
        """Commits that none builds on; none from a relay."""
        return self._heads()

    def arrival_of(self, commit: CommitId) -> int | None:
        """Number of a commit."""
        return self._holdings.arrival_of(commit)

    def refused(self, commit: CommitId) -> bool:
        """Whether a commit was refused for good."""
        return commit in self._refused

    def items(self) -> Sequence[Item]:
        """Generation and id of every commit, ascending."""
        return self._holdings.items()

    def arrivals_after(self, number: int, count_max: int) -> Sequence[tuple[int, CommitId]]:
        """What arrived after a number, in order."""
        return self._holdings.arrivals_after(number, count_max)

    def cursor_of(self, store: bytes) -> int | None:
        """How far this peer's store was read."""
        return self._cursors.get(store)
