"""The sync of one topic over one session: each side pulls what it lacks.

Owns: the order of summary, cursor, reconciliation and live push. May not know: what commits
hold, who may see them, disks; it names ids, its owner reads and stores them.

    state      on                       does
    OPENING    start                    says its summary
               summary, equal           IN STEP
               summary, cursor known    asks Since                     -> PULLING
               summary, no cursor       asks Since 0 if either side is nearly empty,
                                        else the session's initiator begins -> RECONCILING
    PULLING    commits, not the last    asks for the next page
               commits, the last        says its summary again         -> IN STEP
    RECONCILING  message                answers; the initiator asks for what it lacks, page by
                                        page, and pushes what the peer lacks
               nothing left             says its summary again         -> IN STEP
    IN STEP    a commit became durable  pushes it, unless it came from here
               summary, still unequal   another pass, at most 4 a minute

Every page is asked for, so a slow side sets the pace. A Since of a peer whose store is known
costs one round trip beside the data; a lost session starts again by a summary and a cursor.
`arrival` in a Commits record claims that all up to it has been offered: only then does the
receiver move its cursor, and its owner stores that together with the commits.
A lying peer can only omit or waste: passes, pages and ids are bounded, commits are checked.
Source: PROTOCOL section 6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, unique
from typing import Final, Protocol

from comity.base.clock import MINUTE, Instant
from comity.base.errors import Reason, Rejected
from comity.base.ids import CommitId
from comity.base.limits import (
    PASSES_A_MINUTE_MAX,
    RECEIPT_IDS_MAX,
    RECONCILE_MESSAGES_MAX,
    SERVE_COUNT_MAX,
    WANT_IDS_MAX,
)
from comity.protocol.ranges import Item, Reconciler
from comity.wire.records import (
    Commit,
    Commits,
    Receipt,
    Reconcile,
    Record,
    Since,
    Summary,
    Want,
)

__all__ = ["LogView", "SaveCursor", "Say", "Serve", "SyncOutput", "Synced", "Take", "TopicSync"]

_SMALL: Final = 256
"""A log of so few commits is fetched whole: cheaper than finding out what is missing."""


class LogView(Protocol):
    """The durable commits of one topic, as their owner keeps them."""

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
        """Number of the newest commit."""
        ...

    def digest(self) -> bytes:
        """16 bytes, equal for equal sets."""
        ...

    def items(self) -> Sequence[Item]:
        """All, sorted by generation and id."""
        ...

    def has(self, commit: CommitId) -> bool:
        """Whether it is here."""
        ...

    def arrival_of(self, commit: CommitId) -> int | None:
        """Its number."""
        ...

    def arrivals_after(self, number: int, count_max: int) -> Sequence[tuple[int, CommitId]]:
        """What came after a number, in order."""
        ...


@dataclass(frozen=True, slots=True)
class Say:
    """Send this record."""

    record: Record


@dataclass(frozen=True, slots=True)
class Serve:
    """Read these commits and send them, in order.

    arrival, last: for the record that carries the last of them.
    """

    ids: tuple[CommitId, ...]
    arrival: int
    last: bool


@dataclass(frozen=True, slots=True)
class Take:
    """Check and store these commits."""

    commits: tuple[Commit, ...]


@dataclass(frozen=True, slots=True)
class SaveCursor:
    """Remember how far the peer's store has been read, in one transaction with the commits."""

    store: bytes
    arrival: int


@dataclass(frozen=True, slots=True)
class Synced:
    """Both sides hold the same set, as far as their summaries tell."""

    count: int


SyncOutput = Say | Serve | Take | SaveCursor | Synced | Rejected
"""Everything that a machine can ask for; a Rejected ends the session."""


@unique
class _State(Enum):
    OPENING = "opening"
    PULLING = "pulling"
    RECONCILING = "reconciling"
    IN_STEP = "in step"


class TopicSync:
    """One side of the sync of one topic over one session."""

    __slots__ = (
        "_cursor",
        "_have",
        "_initiator",
        "_key",
        "_messages",
        "_need",
        "_offered",
        "_passes",
        "_pulled",
        "_pushing",
        "_reconciler",
        "_state",
        "_tag",
        "_theirs",
        "_view",
        "_wanted",
    )

    def __init__(
        self,
        view: LogView,
        *,
        tag: bytes,
        key: bytes,
        initiator: bool,
        cursors: dict[bytes, int],
    ) -> None:
        """Prepare. key: the handshake hash. cursors: by store, what was read of others."""
        self._view = view
        self._tag = tag
        self._key = key
        self._initiator = initiator
        self._cursor = cursors
        self._state = _State.OPENING
        self._theirs: Summary | None = None
        self._offered = 0
        self._pulled = False
        self._passes: list[Instant] = []
        self._reconciler: Reconciler | None = None
        self._messages = 0
        self._need: list[CommitId] = []
        self._have: list[CommitId] = []
        self._pushing: dict[CommitId, None] = {}
        self._wanted: dict[CommitId, None] = {}

    def start(self) -> list[SyncOutput]:
        """Begin: say what is here."""
        return [Say(self.summary())]

    def receive(self, record: Record, now: Instant) -> list[SyncOutput]:
        """Take a record of this topic."""
        match record:
            case Summary():
                return self._compare(record, now)
            case Since(_, arrival):
                return self._serve_since(arrival)
            case Want(_, ids):
                return self._serve_ids(ids)
            case Commits():
                return self._take(record)
            case Reconcile(_, body):
                return self._reconcile(body)
            case Receipt(_, ids):
                return self._acknowledged(ids)
            case _:
                return [Rejected(Reason.OUT_OF_TURN, type(record).__name__)]

    def stored(self, ids: Sequence[CommitId], *, from_peer: bool) -> list[SyncOutput]:
        """Commits became durable here: push them, or acknowledge them to whom they came from."""
        fresh: list[CommitId] = []
        for commit in ids:
            number = self._view.arrival_of(commit)
            assert number is not None, "only durable commits are told of"
            if number == self._offered + 1:
                self._offered = number
            if not from_peer:
                fresh.append(commit)
        if from_peer:
            return [
                Say(Receipt(self._tag, tuple(sorted(ids[i : i + RECEIPT_IDS_MAX]))))
                for i in range(0, len(ids), RECEIPT_IDS_MAX)
            ]
        if self._theirs is None:
            return []  # the peer will ask for them, or reconcile
        claim = self._offered if self._offered == self._view.arrival else 0
        return [Serve(tuple(fresh), claim, last=True)] if fresh else []

    def missing(self, parents: Sequence[CommitId]) -> list[SyncOutput]:
        """A commit from this peer builds on these, which are not here: ask for them."""
        asked = [commit for commit in parents if commit not in self._wanted]
        room = WANT_IDS_MAX - len(self._wanted)
        asked = asked[: max(room, 0)]
        self._wanted.update(dict.fromkeys(asked))
        return [Say(Want(self._tag, tuple(asked)))] if asked else []

    # Comparing

    def summary(self) -> Summary:
        """What is here, now."""
        view = self._view
        return Summary(self._tag, view.count, view.digest(), (), view.store, view.arrival)

    def _compare(self, theirs: Summary, now: Instant) -> list[SyncOutput]:
        again = self._theirs is not None
        self._theirs = theirs
        if theirs.digest == self._view.digest():
            self._state = _State.IN_STEP
            self._offered = self._view.arrival
            return [*self._save(theirs.store, theirs.arrival), Synced(theirs.count)]
        if self._state in {_State.PULLING, _State.RECONCILING} or not self._may_pass(now):
            return []
        known = self._cursor.get(theirs.store)
        if known is not None and known > theirs.arrival:
            known = None  # that store was put back to an earlier state
        if known is not None and not (again and known == theirs.arrival):
            return self._pull(known)
        if known is None and (self._view.count <= _SMALL or theirs.count <= _SMALL):
            return self._pull(0)
        return self._begin_reconciling()

    def _may_pass(self, now: Instant) -> bool:
        self._passes = [then for then in self._passes if now - then < MINUTE]
        if len(self._passes) >= PASSES_A_MINUTE_MAX:
            return False
        self._passes.append(now)
        return True

    def _save(self, store: bytes, arrival: int) -> list[SyncOutput]:
        if self._cursor.get(store) == arrival:
            return []
        self._cursor[store] = arrival
        return [SaveCursor(store, arrival)]

    # Pulling by cursor

    def _pull(self, arrival: int) -> list[SyncOutput]:
        self._state = _State.PULLING
        return [Say(Since(self._tag, arrival))]

    def _serve_since(self, arrival: int) -> list[SyncOutput]:
        page = self._view.arrivals_after(arrival, SERVE_COUNT_MAX)
        reached = page[-1][0] if page else max(arrival, 0)
        last = reached >= self._view.arrival
        if last:
            self._offered = max(self._offered, self._view.arrival)
        ids = tuple(commit for _, commit in page)
        return [Serve(ids, min(reached, self._view.arrival), last)]

    def _serve_ids(self, ids: Sequence[CommitId]) -> list[SyncOutput]:
        held = tuple(commit for commit in ids if self._view.has(commit))
        return [Serve(held, 0, last=True)] if held else []

    def _take(self, record: Commits) -> list[SyncOutput]:
        outputs: list[SyncOutput] = [Take(record.commits)] if record.commits else []
        theirs = self._theirs
        if record.arrival and theirs is not None:
            outputs += self._save(theirs.store, record.arrival)
        if self._state is _State.PULLING and record.arrival:
            if not record.last:
                outputs.append(Say(Since(self._tag, record.arrival)))
            else:
                outputs += self._finish()
        elif self._state is _State.PULLING and record.last and not record.commits:
            outputs += self._finish()
        elif self._state is _State.RECONCILING and record.last and not record.arrival:
            outputs += self._want_more()
        return outputs

    def _finish(self) -> list[SyncOutput]:
        """Say what is here now; the owner lets it out after what was taken is durable."""
        self._state = _State.IN_STEP
        return [Say(self.summary())]

    # Reconciling

    def _begin_reconciling(self) -> list[SyncOutput]:
        if not self._initiator:
            return [Say(self.summary())] if self._state is _State.OPENING else []
        self._state = _State.RECONCILING
        self._messages = 1
        self._need, self._have = [], []
        self._reconciler = Reconciler(self._view.items(), self._key, initiator=True)
        return [Say(Reconcile(self._tag, self._reconciler.initiate()))]

    def _reconcile(self, body: bytes) -> list[SyncOutput]:
        if not self._initiator and self._state is not _State.RECONCILING:
            self._reconciler = Reconciler(self._view.items(), self._key, initiator=False)
            self._messages = 0
            self._state = _State.RECONCILING
        if self._reconciler is None or self._state is not _State.RECONCILING:
            return [Rejected(Reason.OUT_OF_TURN, "reconciliation that nobody began")]
        outcome = self._reconciler.receive(body)
        if isinstance(outcome, Rejected):
            return [outcome]
        self._messages += 2
        self._need += outcome.need
        self._have += outcome.have
        if not self._initiator:
            self._state = _State.RECONCILING if outcome.reply else _State.IN_STEP
            return [Say(Reconcile(self._tag, outcome.reply))]
        if outcome.reply and self._messages < RECONCILE_MESSAGES_MAX:
            return [Say(Reconcile(self._tag, outcome.reply))]
        self._reconciler = None
        return [*self._want_more(), *self._push_more()]

    def _want_more(self) -> list[SyncOutput]:
        """Ask for the next page of what is lacking; the initiator's end of a pass if none is."""
        page = [commit for commit in self._need if not self._view.has(commit)]
        self._need = page[SERVE_COUNT_MAX:]
        page = page[:SERVE_COUNT_MAX]
        if page:
            return [Say(Want(self._tag, tuple(page)))]
        return [] if self._pushing or self._have else self._finish()

    def _push_more(self) -> list[SyncOutput]:
        """Push the next page of what the peer lacks; the rest when it is acknowledged."""
        if self._pushing or not self._have:
            return []
        page = self._have[:SERVE_COUNT_MAX]
        self._have = self._have[SERVE_COUNT_MAX:]
        self._pushing = dict.fromkeys(page)
        return [Serve(tuple(page), 0, last=True)]

    def _acknowledged(self, ids: Sequence[CommitId]) -> list[SyncOutput]:
        if not self._pushing:
            return []
        for commit in ids:
            self._pushing.pop(commit, None)
        if self._pushing:
            return []
        more = self._push_more()
        if more or self._state is not _State.RECONCILING:
            return more
        return [] if self._need else self._finish()
