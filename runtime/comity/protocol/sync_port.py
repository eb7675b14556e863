"""What the sync of a topic sees and says: the log as it shows it, and the outputs.

Owns: the shapes between `protocol.sync` and whoever hosts it, a replica or a relay. May not
know: how either works.

    Say         send this record
    Serve       read these commits, send them (`records_of`), then call `served`
    Take        check and store these commits, tell `stored` of each, then call `settle`
    SaveCursor  remember how far the peer's store was read
    Compared    two summaries met; Lacks: what the peer has not
    Synced      both sides are level; Progress: on the way there
    Delivered   these are durable at the peer
    Fail        the peer broke the protocol: the session ends
Source: PROTOCOL section 6; ARCHITECTURE invariants 3 and 6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, unique
from typing import Protocol

from comity.base.errors import Rejected
from comity.base.ids import CommitId
from comity.base.limits import COMMITS_COUNT_MAX, COMMITS_RECORD_BYTES_MAX, RUNS_COUNT_MAX
from comity.base.values import made_fast
from comity.protocol.reconcile import Item
from comity.wire.records import (
    Commit,
    Commits,
    Receipt,
    Reconcile,
    Refusal,
    Runs,
    Since,
    Summary,
    Want,
)

__all__ = [
    "Compared",
    "Delivered",
    "Fail",
    "Lacks",
    "LogView",
    "Output",
    "Phase",
    "Progress",
    "SaveCursor",
    "Say",
    "Serve",
    "SyncRecord",
    "Synced",
    "Take",
    "records_of",
]

SyncRecord = Summary | Since | Reconcile | Want | Commits | Runs | Receipt | Refusal
"""The records that are about one topic."""


class LogView(Protocol):
    """The durable commits of one topic; the same for a replica and for a relay.

    Arrival numbers start at 1, rise by one, and belong to one store instance. Commits that
    were refused, or wait for their parents, are not part of it.
    """

    @property
    def store(self) -> bytes:
        """The store instance, 16 bytes."""
        ...

    @property
    def count(self) -> int:
        """Number of commits."""
        ...

    @property
    def arrival(self) -> int:
        """Number of the newest commit; 0 if there is none."""
        ...

    def digest(self) -> bytes:
        """Return 16 bytes, equal for equal sets; cached by the owner."""
        ...

    def heads(self) -> tuple[CommitId, ...]:
        """Return the commits that no other builds on, ascending; a relay returns none."""
        ...

    def arrival_of(self, commit: CommitId) -> int | None:
        """Return the number of a commit; None if it is not here."""
        ...

    def refused(self, commit: CommitId) -> bool:
        """Tell whether a commit was refused for good: it is not wanted again."""
        ...

    def items(self) -> Sequence[Item]:
        """Return (generation, id) of every commit, ascending; the caller copies."""
        ...

    def arrivals_after(self, number: int, count_max: int) -> Sequence[tuple[int, CommitId]]:
        """Return (arrival, id) of the first commits after `number`, in order."""
        ...

    def cursor_of(self, store: bytes) -> int | None:
        """Return the number up to which this peer's store was read; None if it never was."""
        ...


@unique
class Phase(Enum):
    """Where the sync of a topic with a peer stands; the table is in `protocol.sync`."""

    READY = "ready"
    OPENING = "opening"
    PULLING = "pulling"
    COMPARING = "comparing"
    RECONCILING = "reconciling"
    EXCHANGING = "exchanging"
    LIVE = "live"
    OVER = "over"


@made_fast
@dataclass(frozen=True, slots=True)
class Say:
    """Send this record, after what was said before."""

    record: SyncRecord


@made_fast
@dataclass(frozen=True, slots=True)
class Serve:
    """Read these commits and send them in this order; one is out at a time.

    arrival, last: of the record that carries the last of them; the others say 0 and False.
    """

    ids: tuple[CommitId, ...]
    arrival: int
    last: bool


@made_fast
@dataclass(frozen=True, slots=True)
class Take:
    """Check and store these commits, or runs. number: names this batch in `settle`; ascending.

    asked: this side wanted them, or they may be its answer; else the peer pushed them.
    """

    number: int
    commits: tuple[Commit, ...]
    asked: bool


@made_fast
@dataclass(frozen=True, slots=True)
class SaveCursor:
    """Remember that all of the peer's store `store` up to `arrival` is durable here."""

    store: bytes
    arrival: int


@made_fast
@dataclass(frozen=True, slots=True)
class Compared:
    """Two summaries met; if equal, everything here up to `ours.arrival` is durable there.

    theirs: also tells a member's heads, except in the opening.
    """

    equal: bool
    ours: Summary
    theirs: Summary


@dataclass(frozen=True, slots=True)
class Lacks:
    """A reconciliation ended whole: the peer had not these, and they were given to it."""

    ids: tuple[CommitId, ...]


@made_fast
@dataclass(frozen=True, slots=True)
class Progress:
    """Commits will come, or came. To go is an estimate, by what the peer says that it holds.

    commits_received: a run counts as one.
    """

    commits_received: int
    bytes_received: int
    commits_to_go: int
    bytes_to_go: int


@made_fast
@dataclass(frozen=True, slots=True)
class Synced:
    """Both sides hold what either held when the pass began; what is newer follows live.

    received: commits that came over this session so far. fresh: those that were not here.
    complete: False if reconciliation ran out of messages; another pass follows by itself.
    """

    received: int
    fresh: int
    complete: bool


@made_fast
@dataclass(frozen=True, slots=True)
class Delivered:
    """The peer says that these are durable there."""

    ids: tuple[CommitId, ...]


@dataclass(frozen=True, slots=True)
class Fail:
    """The peer broke the protocol; this machine does nothing more."""

    refusal: Rejected


Output = (
    Say | Serve | Take | SaveCursor | Compared | Lacks | Progress | Synced | Delivered | Fail
)
"""Everything that the sync of a topic can ask of its host, to be done in order."""


def records_of(
    tag: bytes, serve: Serve, commits: Sequence[Commit]
) -> tuple[Commits | Runs, ...]:
    """Cut what was read for a `Serve` into records of bounded count and size; at least one.

    commits: what stands for those of `serve.ids` that were found, in that order; some may be
    runs. The last record is a `Commits` always: it says how far they go.
    """
    said: list[Commits | Runs] = []
    page: list[Commit] = []
    size = 0

    def turn() -> None:
        nonlocal size
        if page and page[0].is_run:
            said.append(Runs(tag, tuple([each.sealed for each in page])))
        elif page:
            said.append(Commits(tag, tuple(page), 0, last=False))
        page.clear()
        size = 0

    for commit in commits:
        more = len(commit.sealed) + len(commit.beside)
        most = RUNS_COUNT_MAX if commit.is_run else COMMITS_COUNT_MAX
        full = size + more > COMMITS_RECORD_BYTES_MAX or len(page) == most
        if page and (full or page[0].is_run != commit.is_run):
            turn()
        page.append(commit)
        size += more
    if page and page[0].is_run:
        turn()
    return (*said, Commits(tag, tuple(page), serve.arrival, last=serve.last))
