"""Orphans: commits that cannot be checked yet, because a parent or a key is not here.

Owns: a bounded buffer of them and what each waits for. May not know: how they are checked.
An orphan is nothing but bytes that a peer delivered: it is never a parent, a head, 'known',
part of a summary, charged to the author it names, or evidence of anything. Bounds are per
delivering peer; at the bound its newest is refused with BUFFER_FULL and nobody else notices.
Source: PROTOCOL section 2 'Acceptance'.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from comity.base.clock import Instant, after
from comity.base.errors import Reason, Rejected
from comity.base.ids import ID_BYTES, CommitId, DeviceId, LinkId
from comity.base.limits import ORPHAN_AGE_MAX, ORPHANS_BYTES_MAX, ORPHANS_COUNT_MAX
from comity.wire.records import Commit

__all__ = ["Orphan", "Orphans"]


@dataclass(frozen=True, slots=True)
class Orphan:
    """One parked commit. wants: an id, or the prefix of an epoch.

    link, source: the link that brought it, which may be gone, and the peer at its other end.
    """

    id: CommitId
    commit: Commit
    link: LinkId
    source: DeviceId
    wants: bytes
    expires: Instant


@dataclass(slots=True)
class _Account:
    """What one peer has parked here."""

    size: int = 0
    parked: dict[tuple[CommitId, bytes], Orphan] = field(default_factory=dict)


class Orphans:
    """The parked commits of one topic."""

    __slots__ = ("_accounts", "_waiting")

    def __init__(self) -> None:
        """Start empty."""
        self._accounts: dict[DeviceId, _Account] = {}
        self._waiting: dict[bytes, dict[tuple[DeviceId, CommitId, bytes], Orphan]] = {}

    def __len__(self) -> int:
        """Return how many are parked, by all peers."""
        return sum(len(account.parked) for account in self._accounts.values())

    @property
    def deadline(self) -> Instant | None:
        """When the oldest will have waited long enough."""
        if not self._accounts:
            return None
        oldest = [
            next(iter(account.parked.values())).expires
            for account in self._accounts.values()
            if account.parked
        ]
        return min(oldest, default=None)

    def park(
        self,
        identifier: CommitId,
        commit: Commit,
        origin: tuple[LinkId, DeviceId],
        wants: bytes,
        now: Instant,
    ) -> Rejected | None:
        """Keep a commit until what it wants is here. Parking the same bytes again is free.

        Two commits with one id and different signatures are both kept: the first may be bad.
        """
        link, source = origin
        account = self._accounts.setdefault(source, _Account())
        name = identifier, commit.beside
        if name in account.parked:
            return None
        size = len(commit.sealed) + len(commit.beside)
        if len(account.parked) >= ORPHANS_COUNT_MAX or account.size + size > ORPHANS_BYTES_MAX:
            return Rejected(Reason.BUFFER_FULL, f"{len(account.parked)} wait already")
        expires = after(now, ORPHAN_AGE_MAX)
        orphan = Orphan(identifier, commit, link, source, wants, expires)
        account.parked[name] = orphan
        account.size += size
        self._waiting.setdefault(wants, {})[source, *name] = orphan
        return None

    def wanted(self, wants: bytes) -> tuple[Orphan, ...]:
        """Take out all that waited for this id or epoch prefix, in the order they came."""
        found = tuple(self._waiting.get(wants, {}).values())
        for orphan in found:
            self._remove(orphan)
        return found

    def awaits(self, wants: bytes) -> bool:
        """Tell whether anything waits for this id or epoch prefix."""
        return wants in self._waiting

    def missing_of(self, source: DeviceId) -> tuple[CommitId, ...]:
        """Return the parents that a peer's commits wait for, in order, each once."""
        account = self._accounts.get(source)
        if account is None:
            return ()
        parked = account.parked.values()
        wanted = dict.fromkeys(o.wants for o in parked if len(o.wants) == ID_BYTES)
        return tuple(CommitId(each) for each in wanted)

    @property
    def awaited(self) -> tuple[bytes, ...]:
        """Return every id and epoch prefix that something waits for."""
        return tuple(self._waiting)

    def expire(self, now: Instant) -> tuple[Orphan, ...]:
        """Take out all that waited too long."""
        found = tuple(
            orphan
            for account in self._accounts.values()
            for orphan in account.parked.values()
            if orphan.expires <= now
        )
        for orphan in found:
            self._remove(orphan)
        return found

    def check(self) -> None:
        """Assert that the accounts and the index agree and keep their bounds."""
        listed = sum(len(waiting) for waiting in self._waiting.values())
        for account in self._accounts.values():
            assert len(account.parked) <= ORPHANS_COUNT_MAX
            assert account.size <= ORPHANS_BYTES_MAX
            sizes = (
                len(o.commit.sealed) + len(o.commit.beside) for o in account.parked.values()
            )
            assert account.size == sum(sizes)
        assert listed == len(self)

    def _remove(self, orphan: Orphan) -> None:
        account = self._accounts[orphan.source]
        name = orphan.id, orphan.commit.beside
        del account.parked[name]
        account.size -= len(orphan.commit.sealed) + len(orphan.commit.beside)
        if not account.parked:
            del self._accounts[orphan.source]
        waiting = self._waiting[orphan.wants]
        del waiting[orphan.source, *name]
        if not waiting:
            del self._waiting[orphan.wants]
