"""A shelf: the sealed commits of one topic on a relay, which can read none of them.

Owns: what a relay checks without a key, the layout and the quota, and what it keeps. May not
know: keys, parents, authors; the order of arrival is all the order it has, and it serves by
generation. To sync it is a `protocol.sync.LogView` like a replica, without heads.

What stands beside a commit is not in its id, and a relay cannot check it, so it keeps distinct
pairs of one id and serves them all:

    first    whoever brought the id. It stays: nobody can push out a copy that was there first
    others   each source has one place and replaces only itself; if all places are taken, the
             oldest goes. So it takes `PAIRS_MAX` sources to push out another's, once

A member that is served garbage refuses it. That makes the id doubted: everybody else is asked
for it, whoever comes later too, until that member has stored it, or for an hour. Each further
copy is offered to all who refused one.
Source: PROTOCOL section 2 'Acceptance', section 8; decision 13.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from comity.base.clock import HOUR, MINUTE, Duration, Instant, after
from comity.base.errors import Reason, Rejected
from comity.base.ids import CommitId, DeviceId, Topic
from comity.crypto.port import SIGNATURE_BYTES
from comity.log.sealed import commit_id, parse
from comity.node import rows
from comity.node.cold import spans
from comity.node.effects import Table
from comity.node.holdings import Holdings
from comity.node.replica import Listener, Source
from comity.node.step import Rows, Step
from comity.wire.records import Commit

__all__ = ["DOUBTS_MAX", "PAIRS_MAX", "SHELF_BYTES_MAX", "SHELF_COMMITS_MAX", "Shelf"]

PAIRS_MAX: Final = 8
"""Distinct copies of one id: so many sources must agree to push a good one out, and whoever
fetches it then reads at most so many times its bytes."""

DOUBTS_MAX: Final = 256
"""Ids that members are asked for again; the oldest is forgotten, until it is refused again."""

DOUBTS_OF_ONE_MAX: Final = 32
"""Of these, ids that one source has refused: who refuses everything wastes little."""

SHELF_BYTES_MAX: Final = 256 * 1024 * 1024
"""Bytes of one topic: years of a large group; 1,000 such topics fill a common disk."""

SHELF_COMMITS_MAX: Final = 1_000_000
"""Commits of one topic: their book in memory costs about 350 bytes each."""


_ASK_AGAIN: Final = Duration(1 * MINUTE)
"""Least time between two rounds of asking for one id: members compare as often."""


_DOUBT_AGE_MAX: Final = Duration(1 * HOUR)
"""Who refused a copy and has not stored another by then has found it elsewhere, or lies."""


class Shelf:
    """One topic on a relay."""

    __slots__ = (
        "_besides",
        "_doubts",
        "_expected",
        "_givers",
        "_listener",
        "_size",
        "holdings",
        "topic",
    )

    def __init__(self, topic: Topic, listener: Listener, *, store: bytes, found: Rows) -> None:
        """Rebuild a shelf from its rows."""
        self.topic = topic
        self._listener = listener
        self._size = 0
        self.holdings = Holdings(store)
        self._besides: dict[CommitId, tuple[bytes, ...]] = {}
        self._givers: dict[CommitId, list[DeviceId | None]] = {}
        self._doubts: dict[CommitId, tuple[DeviceId, Instant]] = {}
        for _, value in found:
            pairs = rows.decode_pairs(value)
            sealed = parse(pairs[0].sealed)
            assert not isinstance(sealed, Rejected), "a stored commit was checked before"
            identifier = commit_id(topic, pairs[0].sealed)
            self.holdings.add(identifier, sealed.gen)
            self._besides[identifier] = tuple(pair.beside for pair in pairs)
            self._size += len(value)
        self._expected: dict[CommitId, int] = {}

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self._size

    def heads(self) -> tuple[CommitId, ...]:
        """Return nothing: a relay cannot tell who builds on whom."""
        return ()

    def missing_of(self, _peer: DeviceId) -> tuple[CommitId, ...]:
        """Return nothing: a relay waits for no parents."""
        return ()

    def deliver(
        self,
        step: Step,
        commits: Sequence[Commit],
        source: Source,
        then: Callable[[Step], None],
    ) -> None:
        """Take commits that came together, then call `then`: nothing here takes long."""
        for commit in commits:
            self.take(step, commit, source)
        then(step)

    def take(self, step: Step, commit: Commit, source: Source) -> None:
        """Keep a commit, or another copy of one, or refuse it with a reason."""
        identifier = commit_id(self.topic, commit.sealed)
        refusal = self._check(commit)
        number = self.holdings.arrival_of(identifier) or self._expected.get(identifier)
        if refusal is None and number is not None:
            self._pair(step, identifier, number, commit, source[1])
            return
        sealed = parse(commit.sealed)
        value = rows.encode_commit(commit)
        number = self.holdings.count + len(self._expected) + 1
        if refusal is None and (
            self._size + len(value) > SHELF_BYTES_MAX or number > SHELF_COMMITS_MAX
        ):
            refusal = Rejected(Reason.QUOTA, f"{self._size} bytes, {number - 1} commits")
        if refusal is not None or isinstance(sealed, Rejected):
            assert refusal is not None
            self._listener.refused(step, self.topic, identifier, refusal, source)
            return
        gen = sealed.gen
        self._size += len(value)
        self._expected[identifier] = number
        self._besides[identifier] = (commit.beside,)
        self._givers[identifier] = [source[1]]
        step.put(Table.COMMIT, rows.commit_key(self.topic, number), value)

        def durable(later: Step) -> None:
            del self._expected[identifier]
            self.holdings.add(identifier, gen)
            if len(self._besides[identifier]) == 1:
                self._givers.pop(identifier, None)
            self._listener.stored(later, self.topic, (identifier,), source)

        step.when_durable(durable)

    def read(
        self,
        step: Step,
        numbers: Sequence[int],
        then: Callable[[Step, list[Commit]], None],
    ) -> None:
        """Read commits by number, every copy of each, and go on with them in this order."""
        found: dict[int, tuple[Commit, ...]] = {}
        wanted = spans(sorted(numbers))
        left = len(wanted)

        def arrived(later: Step, read: Rows) -> None:
            nonlocal left
            left -= 1
            for key, value in read:
                found[rows.number_of(key)] = rows.decode_pairs(value)
            if left == 0:
                then(later, [pair for number in numbers for pair in found[number]])

        for first, last in wanted:
            keys = rows.commit_key(self.topic, first), rows.commit_key(self.topic, last + 1)
            step.read(Table.COMMIT, keys, last - first + 1, arrived)

    def doubt(self, commit: CommitId, source: DeviceId, now: Instant) -> bool:
        """Note that a member refused what is beside a commit; tell whether to ask others."""
        if not self.holdings.has(commit):
            return False
        for old, (_, since) in list(self._doubts.items()):
            if after(since, _DOUBT_AGE_MAX) <= now:
                del self._doubts[old]
        known = self._doubts.get(commit)
        if known is not None and now < after(known[1], _ASK_AGAIN):
            return False
        if sum(by == source for by, _ in self._doubts.values()) >= DOUBTS_OF_ONE_MAX:
            return False
        self._doubts.pop(commit, None)
        self._doubts[commit] = (source, now)
        if len(self._doubts) > DOUBTS_MAX:
            del self._doubts[next(iter(self._doubts))]
        return True

    def stored_by(self, commits: Sequence[CommitId], source: DeviceId) -> None:
        """Note that a peer has stored commits: if it had refused them, it is content now."""
        for commit in commits:
            if commit in self._doubts and self._doubts[commit][0] == source:
                del self._doubts[commit]

    @property
    def doubted(self) -> tuple[CommitId, ...]:
        """The ids of which another copy is wanted, the oldest doubt first."""
        return tuple(self._doubts)

    def check(self) -> None:
        """Assert that every commit has its pairs, and that bounds are kept."""
        self.holdings.check()
        assert len(self._besides) == self.holdings.count + len(self._expected)
        assert len(self._doubts) <= DOUBTS_MAX
        for identifier, besides in self._besides.items():
            assert 1 <= len(besides) <= PAIRS_MAX
            assert len(dict.fromkeys(besides)) == len(besides)
            givers = self._givers.get(identifier)
            assert givers is None or len(givers) == len(besides)

    def _check(self, commit: Commit) -> Rejected | None:
        """Check what can be checked without a key."""
        sealed = parse(commit.sealed)
        if isinstance(sealed, Rejected):
            return sealed
        if len(commit.beside) != SIGNATURE_BYTES:
            # Not MALFORMED: that is remembered by id, and the right copy has the same one.
            return Rejected(Reason.BAD_SIGNATURE, f"{len(commit.beside)} bytes beside it")
        return None

    def _pair(
        self, step: Step, identifier: CommitId, number: int, commit: Commit, giver: DeviceId
    ) -> None:
        """Keep another copy of an id that is held, where its source has a place."""
        besides = self._besides[identifier]
        if commit.beside in besides:
            return
        kept = list(besides)
        givers = self._givers.setdefault(identifier, [None] * len(kept))
        if giver in givers:
            place = givers.index(giver)
            del kept[place], givers[place]
        elif len(kept) == PAIRS_MAX:
            del kept[1], givers[1]
        kept.append(commit.beside)
        givers.append(giver)
        self._besides[identifier] = tuple(kept)
        self._size += SIGNATURE_BYTES * (len(kept) - len(besides))
        value = rows.encode_pairs(commit.sealed, kept)
        step.put(Table.COMMIT, rows.commit_key(self.topic, number), value)
        step.when_durable(lambda later: self._listener.renewed(later, self.topic, identifier))
