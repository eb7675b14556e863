"""Arrivals: what peers delivered of one topic and is not taken yet, in the order it came.

Owns: the queue while signatures are checked elsewhere, and what was read of commits before
their turn. May not know: what becomes of a commit when it is taken (`node.replica`).

    few commits, nothing waits --> taken at once
    many --read ahead--> `VerifyBatch` --> .. --> `Verified` --> taken when all before it are

A commit is read before its turn with the chain facts of those before it in the queue: ids are
hashes, so what it says does not depend on whether they are accepted; whether it is accepted is
decided at its turn, as ever. Only the signature is not looked at again if it was right; what
cannot be read ahead, and what was wrong, is examined whole. So the outcome is the same as if
all had been taken, one after the other, when the last answer came.
Beyond `VERIFY_AHEAD_MAX` commits the whole queue is taken in one step without the answers.
Source: ARCHITECTURE 'Layers' (`VerifyBatch`), decision 0014.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from comity.base.ids import CommitId, DeviceId, LinkId
from comity.base.limits import VERIFY_AHEAD_MAX, VERIFY_BATCH_MIN
from comity.base.values import made_fast
from comity.log.inner import ChainFacts
from comity.log.seal import claim_beside
from comity.node.journal import Journal
from comity.node.step import Step
from comity.node.verdicts import Ahead
from comity.wire.records import Commit

__all__ = ["Arrival", "Arrivals"]


@made_fast
@dataclass(frozen=True, slots=True)
class Arrival:
    """A commit that a peer delivered.

    ahead: what it says, if that is known already. is_verified: its signature is its author's.
    asked: this side wanted it.
    """

    commit: Commit
    id: CommitId
    ahead: Ahead | None = None
    is_verified: bool = False
    asked: bool = True


@dataclass(slots=True)
class _Batch:
    """Commits that came together. is_ready: they wait for nothing but their turn."""

    source: tuple[LinkId, DeviceId]
    then: Callable[[Step], None]
    asked: bool
    arrivals: list[Arrival] = field(default_factory=list[Arrival])
    is_ready: bool = False


class Arrivals:
    """The commits of one topic on their way in."""

    __slots__ = ("_batches", "_count", "_facts", "_journal", "_take")

    def __init__(
        self,
        journal: Journal,
        take: Callable[[Step, Arrival, tuple[LinkId, DeviceId]], None],
    ) -> None:
        """Start with nothing under way. take: what is done with a commit at its turn."""
        self._journal = journal
        self._take = take
        self._batches: deque[_Batch] = deque()
        self._facts: dict[CommitId, ChainFacts] = {}
        self._count = 0

    def deliver(
        self,
        step: Step,
        commits: Sequence[Commit],
        source: tuple[LinkId, DeviceId],
        then: Callable[[Step], None],
        *,
        asked: bool,
    ) -> None:
        """Take commits now, or when their signatures are checked; then call `then`."""
        name = self._journal.name
        if not self._batches and len(commits) < VERIFY_BATCH_MIN:
            for commit in commits:
                self._take(step, Arrival(commit, name(commit), asked=asked), source)
            then(step)
            return
        batch = _Batch(source, then, asked)
        self._batches.append(batch)
        self._count += len(commits)
        if self._count > VERIFY_AHEAD_MAX:
            batch.arrivals += [Arrival(each, name(each), asked=asked) for each in commits]
            self._advance(step, waiting=False)
            return
        places, claims = self._read(batch, commits)
        if len(claims) < VERIFY_BATCH_MIN:
            batch.is_ready = True
            self._advance(step, waiting=True)
            return

        def verified(later: Step, valid: tuple[bool, ...]) -> None:
            assert len(valid) == len(claims)
            if not batch.arrivals:
                return  # too much came: they were taken without the answer
            for place, is_right in zip(places, valid, strict=True):
                read = batch.arrivals[place]
                batch.arrivals[place] = Arrival(
                    read.commit, read.id, read.ahead, is_right, read.asked
                )
            batch.is_ready = True
            self._advance(later, waiting=True)

        step.verify(tuple(claims), verified)

    def check(self) -> None:
        """Assert that the queue and what is known of it agree."""
        inside = [each for batch in self._batches for each in batch.arrivals]
        assert self._count == len(inside) <= VERIFY_AHEAD_MAX
        assert set(self._facts) == {each.id for each in inside if each.ahead is not None}
        assert not (self._batches and self._batches[0].is_ready)

    def _read(
        self, batch: _Batch, commits: Sequence[Commit]
    ) -> tuple[list[int], list[tuple[bytes, bytes, bytes]]]:
        """Read ahead; return the places of those that were read, and what they claim."""
        asked: list[int] = []
        claims: list[tuple[bytes, bytes, bytes]] = []
        for place, commit in enumerate(commits):
            identifier = self._journal.name(commit)
            ahead: Ahead | None = None
            if self._past(identifier) is None:
                ahead = self._journal.look_ahead(identifier, commit, self._past)
            if ahead is not None:
                inner = ahead.inner
                self._facts[identifier] = ChainFacts(inner.author, inner.seq, inner.auth)
                asked.append(place)
                key = ahead.opened.key
                claims.append(claim_beside(key, inner.author, identifier, commit.beside))
            batch.arrivals.append(Arrival(commit, identifier, ahead, asked=batch.asked))
        return asked, claims

    def _past(self, commit: CommitId) -> ChainFacts | None:
        """Return the facts of a commit that is here or on its way."""
        return self._journal.graph.facts(commit) or self._facts.get(commit)

    def _advance(self, step: Step, *, waiting: bool) -> None:
        """Take what need not wait any more. waiting: stop at what has not been answered."""
        while self._batches and (self._batches[0].is_ready or not waiting):
            batch = self._batches.popleft()
            batch.is_ready = True
            self._count -= len(batch.arrivals)
            arrivals, batch.arrivals = batch.arrivals, []
            for arrival in arrivals:
                self._facts.pop(arrival.id, None)
                self._take(step, arrival, batch.source)
            batch.then(step)
