"""The intake: what one side of a sync has taken, still lacks, and may claim to have read.

Owns: the batches that are being stored, the wants, the receipts and the cursor of one topic on
one session. May not know: phases, what this side sends (`protocol.supply`).

    Commits --take--> being stored --settle, oldest first--> settled: its claim counts
    want --at most 4 open--> Want said --the last Commits of the answer--> answered

A claim is the `arrival` of a record. It becomes the cursor when every batch up to its own is
settled and nothing is missing or wanted, so what a cursor stands for is durable.
Source: PROTOCOL section 6; ARCHITECTURE invariant 3.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import TYPE_CHECKING, Final

from comity.base.limits import (
    ORPHANS_COUNT_MAX,
    PARENTS_MAX,
    RECEIPT_IDS_MAX,
    WANT_IDS_MAX,
    WANTS_OPEN_MAX,
)
from comity.protocol.sync_port import Progress, SaveCursor, Say, Take
from comity.wire.records import Commits, Receipt, Want

if TYPE_CHECKING:
    from comity.base.ids import CommitId
    from comity.protocol.sync_port import LogView

__all__ = ["Intake"]

_ASKED_MAX: Final = ORPHANS_COUNT_MAX * PARENTS_MAX
"""Missing parents asked for in one session, each once: a peer that sends children without
parents would else keep both sides busy for ever."""


@dataclass(slots=True)
class _Batch:
    """One record's commits on their way to disk.

    claim: of that record, 0 is none. answered: the wants whose answer ended with it.
    """

    number: int
    claim: int
    settled: bool
    answered: list[CommitId] = field(default_factory=list)


class Intake:
    """What comes from one peer."""

    __slots__ = (
        "_again",
        "_asked",
        "_awaited",
        "_batches",
        "_claim",
        "_durable",
        "_expected",
        "_missing",
        "_number",
        "_open",
        "_saved",
        "_size",
        "_size_before",
        "_store",
        "_tag",
        "_to_go",
        "_until",
        "_view",
        "_wanting",
        "fresh",
        "received",
    )

    def __init__(self, view: LogView, tag: bytes) -> None:
        """Start with nothing taken."""
        self._view = view
        self._tag = tag
        self._batches: deque[_Batch] = deque()
        self._number = 0
        self._store = b""
        self._saved = 0
        self._claim = 0
        self._missing = False
        self._wanting: dict[CommitId, None] = {}
        self._open: deque[tuple[CommitId, ...]] = deque()
        self._awaited: dict[CommitId, None] = {}
        self._again: dict[CommitId, None] = {}
        self._asked: dict[CommitId, None] = {}
        self._durable: dict[CommitId, None] = {}
        self._expected = self._to_go = 0
        self._until = 0
        self._size = self._size_before = 0
        self.received = 0
        self.fresh = 0

    @property
    def storing(self) -> bool:
        """Tell whether a batch is not settled yet."""
        return bool(self._batches)

    @property
    def wanting(self) -> bool:
        """Tell whether something wanted is not answered yet."""
        return bool(self._wanting) or bool(self._open)

    def reads(self, store: bytes, cursor: int | None) -> None:
        """Learn which store the peer has, and how far it was read before."""
        self._store = store
        self._saved = cursor or 0

    def expect(self, count: int, *, until: int = 0) -> Progress:
        """Learn about how many commits will come.

        until: the peer's number of the last of them, if they come in the order of its store:
        then its claims tell how far it is, also where one run stands for many commits.
        """
        self._expected = self._to_go = count
        self._until = until
        self._size_before = self._size
        return self._progress()

    def claim(self, arrival: int) -> None:
        """Learn that everything up to this number of the peer's store is here."""
        self._claim = max(self._claim, arrival)

    def take(self, record: Commits, *, asked: bool) -> tuple[Take | Progress, ...]:
        """Take the commits of a record, and its claim. asked: by more than a want."""
        claims = bool(record.arrival)
        if claims and not record.commits and not self._batches:
            self.claim(record.arrival)
        elif claims or record.commits:
            self._number += 1
            settled = not record.commits
            self._batches.append(_Batch(self._number, record.arrival, settled))
        count = len(record.commits)
        self.received += count
        self._size += sum(len(each.sealed) + len(each.beside) for each in record.commits)
        before = self._to_go
        if not self._until:
            self._to_go = max(0, self._to_go - count)
        elif record.arrival:
            self._to_go = max(0, min(self._to_go, self._until - record.arrival))
        took = (Take(self._number, record.commits, asked or bool(self._open)),) if count else ()
        return (*took, self._progress()) if count or self._to_go != before else took

    def _progress(self) -> Progress:
        """Say how far it is. Bytes to go are guessed from those that came."""
        done = self._expected - self._to_go
        size = self._size - self._size_before
        bytes_to_go = size * self._to_go // done if done else 0
        return Progress(self.received, self._size, self._to_go, bytes_to_go)

    def stored(self, ids: Sequence[CommitId], *, receipt: bool) -> None:
        """Note commits of this session that were new and are durable now."""
        self.fresh += len(ids)
        if receipt:
            self._durable.update(dict.fromkeys(ids))

    def settle(self, number: int, missing: Sequence[CommitId]) -> None:
        """Note that a batch is done with. missing: parents that commits of this peer lack.

        Raises: AssertionError if the number is not that of a batch, or was settled.
        """
        batch = next((each for each in self._batches if each.number == number), None)
        assert batch is not None, "no such batch"
        assert not batch.settled
        batch.settled = True
        self._missing = bool(missing)
        while self._batches and self._batches[0].settled:
            done = self._batches.popleft()
            self.claim(done.claim)
            self._forget(done.answered)
        self.want_missing(missing)

    def want(self, ids: Iterable[CommitId]) -> None:
        """Ask for commits that reconciliation found, in this order."""
        self._wanting.update(dict.fromkeys(ids))

    def want_missing(self, ids: Iterable[CommitId]) -> None:
        """Ask for parents; each is asked for once in a session."""
        for each in ids:
            if each in self._asked or len(self._asked) >= _ASKED_MAX:
                continue
            if self._view.arrival_of(each) is None:
                self._asked[each] = None
                self._wanting[each] = None

    def want_again(self, ids: Iterable[CommitId]) -> None:
        """Ask for other copies of commits that are here; whoever asks bounds how often."""
        for each in ids:
            self._again[each] = None
            self._wanting[each] = None

    def answered(self) -> bool:
        """Count an answer to a want; False if none was open."""
        if not self._open:
            return False
        ids = self._open.popleft()
        if self._batches:  # they may be in it, and are not missing until it is settled
            self._batches[-1].answered += ids
        else:
            self._forget(ids)
        return True

    def _forget(self, ids: Iterable[CommitId]) -> None:
        for each in ids:
            self._awaited.pop(each, None)

    def next(self) -> tuple[Say | SaveCursor, ...]:
        """Return the wants, receipts and cursor that are due."""
        said: list[Say | SaveCursor] = []
        while self._wanting and len(self._open) < WANTS_OPEN_MAX:
            queue = tuple(islice(self._wanting, WANT_IDS_MAX))
            for each in queue:
                del self._wanting[each]
            ids = tuple(
                each
                for each in queue
                if each not in self._awaited
                and (each in self._again or self._view.arrival_of(each) is None)
            )
            for each in queue:
                self._again.pop(each, None)
            if ids:
                self._open.append(ids)
                self._awaited.update(dict.fromkeys(ids))
                said.append(Say(Want(self._tag, ids)))
        if not self._batches or len(self._durable) >= RECEIPT_IDS_MAX:
            said += self._receipts()
        quiet = not self._missing and not self.wanting
        if quiet and self._store and self._claim > self._saved:
            self._saved = self._claim
            said.append(SaveCursor(self._store, self._claim))
        return tuple(said)

    def _receipts(self) -> list[Say]:
        if not self._durable:
            return []
        durable = sorted(self._durable)
        self._durable.clear()
        return [
            Say(Receipt(self._tag, tuple(durable[start : start + RECEIPT_IDS_MAX])))
            for start in range(0, len(durable), RECEIPT_IDS_MAX)
        ]

    def check(self) -> None:
        """Assert the invariants of the queues."""
        assert len(self._open) <= WANTS_OPEN_MAX
        answered = (each.answered for each in self._batches)
        assert set(self._awaited) == set(chain(*self._open, *answered))
        assert len(self._asked) <= _ASKED_MAX
        numbers = [each.number for each in self._batches]
        assert numbers == sorted(numbers)
