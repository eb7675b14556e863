"""A replica over a real store, driven as a host drives it: for benchmarks of the log.

Owns: how effects are carried out (SQLite with full syncs, signatures in a process of their own
if asked), and what a member serves another, through the wire's codec. No links, no sessions.
"""

from __future__ import annotations

import queue
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter

from comity.base.clock import Instant, Moment, Wall, earliest
from comity.base.errors import Rejected
from comity.base.ids import CommitId, DeviceId, LinkId, Token, Topic
from comity.base.limits import SERVE_COUNT_MAX
from comity.crypto.keys import KeyPair
from comity.crypto.sodium import Sodium
from comity.drivers.sqlite_store import SqliteStore
from comity.drivers.store import Protection, StoreKey
from comity.drivers.system import SystemEntropy
from comity.drivers.verifier import Verifier
from comity.log.build import SealedCommit, Signer
from comity.node import rows
from comity.node.effects import Effect, Put, Read, Table, VerifyBatch, Write
from comity.node.journal import Hand
from comity.node.loading import Saved
from comity.node.prekeys import OwnPrekeys
from comity.node.replica import Replica, Source
from comity.node.step import Step, Waiting
from comity.protocol.sync_port import Serve, records_of
from comity.wire.codec import ProtobufCodec
from comity.wire.records import Commit, Commits, Runs

__all__ = ["Heard", "Holder"]

WALL = Wall(1_700_000_000_000)
TAG = bytes(16)
_ALL = 1 << 40
_RECORDS_AHEAD = 4


class Heard:
    """Counts what a node would be told."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.stored_count = 0
        self.refusals: list[Rejected] = []
        self.left: list[DeviceId] = []

    def stored(
        self, step: Step, topic: Topic, ids: tuple[CommitId, ...], source: object
    ) -> None:
        """Count."""
        assert step.instant >= 0, (topic, source)
        self.stored_count += len(ids)

    def lacking(self, step: Step, topic: Topic, parents: object, source: object) -> None:
        """Never be told: logs come parents first."""
        raise AssertionError((step, topic, parents, source))

    def keyless(self, step: Step, topic: Topic, epochs: object) -> None:
        """Never be told: all keys are held."""
        raise AssertionError((step, topic, epochs))

    def refused(
        self, step: Step, topic: Topic, commit: CommitId, refusal: Rejected, source: object
    ) -> None:
        """Keep the refusal."""
        assert step.instant >= 0, (topic, commit, source)
        self.refusals.append(refusal)

    def renewed(self, step: Step, topic: Topic, commit: CommitId) -> None:
        """Never be told: only a relay keeps copies."""
        raise AssertionError((step, topic, commit))

    def superseded(self, commit: CommitId) -> None:
        """Never be told: nobody else writes as this device."""
        raise AssertionError(commit)

    def members_changed(
        self,
        step: Step,
        topic: Topic,
        commit: CommitId,
        joined: object,
        left: Iterable[DeviceId],
    ) -> None:
        """Keep who left."""
        assert step.instant >= 0, (topic, commit, joined)
        self.left += left


class Holder:
    """One device that holds one actor."""

    def __init__(self, path: Path, topic: Topic, genesis: SealedCommit, key: bytes) -> None:
        """Make a store with a genesis in it."""
        self._crypto, self._entropy = Sodium(), SystemEntropy()
        self._path, self._topic = path, topic
        self._key = StoreKey(bytes(16), bytes(32), Protection.INSECURE)
        self._keys = ((genesis.id, key),)
        self.store = SqliteStore(path, self._key, self._crypto, self._entropy)
        row = rows.encode_commit(Commit(genesis.sealed, genesis.beside))
        self.store.apply([Put(Table.COMMIT, rows.commit_key(topic, 1), row)])
        self.verifier = Verifier(self._crypto, elsewhere=False)
        self._came: queue.SimpleQueue[tuple[Token, tuple[bool, ...]]] = queue.SimpleQueue()
        self._asked = self._settled = 0
        self._now = 0
        self.open()

    def open(self) -> float:
        """Open the actor from its store, as a start does; return the seconds."""
        began = perf_counter()
        entropy = self._entropy
        signer = Signer(self._crypto, entropy.draw(32))
        self.heard = Heard()
        self._waiting = Waiting()
        ends = self._topic, self._topic + b"\xff" * 9
        tables = Table.COMMIT, Table.RUN, Table.INDEX
        found = [self.store.read(each, *ends, _ALL) for each in tables]
        self.replica = Replica(
            self._topic,
            Hand(signer, OwnPrekeys(KeyPair(self._crypto, entropy.draw(32))), entropy),
            self.heard,
            row=rows.TopicRow("Bench", b"", shelf=False),
            store=bytes(16),
            saved=Saved(self._keys, *found),
        )
        return perf_counter() - began

    def elsewhere(self) -> None:
        """Have signatures checked in another process, and wait until it is there."""
        self.verifier = Verifier(self._crypto, elsewhere=True)
        self.verifier.check((), lambda _: self._came.put((Token(0), ())))
        self._came.get()

    def take(self, steps: Iterable[Sequence[Sequence[Commit]]]) -> None:
        """Take what comes, step by step, a few of them ahead of their signatures.

        steps: of each the records that come in it, of each of these its commits.
        """
        source: Source = LinkId(1), DeviceId(bytes(32))

        def then(_: Step) -> None:
            self._settled += 1

        for records in steps:
            step = self._step()
            for record in records:
                self._asked += 1
                self.replica.deliver(step, record, source, then)
            self._act(step.finish())
            while not self._came.empty() or self._asked - self._settled > _RECORDS_AHEAD:
                self._hear()
        while self._settled < self._asked:
            self._hear()

    def rest(self) -> None:
        """Let time pass until all that is cold is packed, and indexed."""
        replica = self.replica
        while due := earliest(replica.packing.deadline, replica.indexing.deadline):
            self._now = due
            step = self._step()
            replica.packing.tick(replica.beats.durable, step)
            replica.indexing.tick(replica.beats.durable, step)
            self._act(step.finish())

    def resume(self) -> None:
        """Begin to rest, as whoever has just taken something."""
        step = self._step()
        self.replica.packing.grown(self.replica.beats.durable, step)
        self.replica.indexing.grown(self.replica.beats.durable, step)
        self._act(step.finish())

    def read_turns(self) -> int:
        """Read all turns as activation does; return how many there are."""
        count = 0
        last = len(self.replica.journal.graph)

        def then(_: Step, found: dict[int, tuple[bytes, ...]]) -> None:
            nonlocal count
            count += sum(map(len, found.values()))

        for first in range(1, last + 1, SERVE_COUNT_MAX):
            step = self._step()
            stop = min(last, first + SERVE_COUNT_MAX - 1)
            self.replica.indexing.read_turns(step, first, stop, then)
            self._act(step.finish())
        return count

    def index_bytes(self) -> int:
        """Return the bytes of the index, keys included."""
        ends = self._topic, self._topic + b"\xff" * 9
        return sum(len(k) + len(v) for k, v in self.store.read(Table.INDEX, *ends, _ALL))

    def serve(self) -> Iterator[bytes]:
        """Yield all commits as another member is sent them: a batch for each page."""
        codec, last = ProtobufCodec(), self.replica.holdings.arrival
        sent: tuple[int, ...] = ()
        for first in range(2, last + 1, SERVE_COUNT_MAX):
            numbers = range(first, min(last + 1, first + SERVE_COUNT_MAX))
            found: list[Commit] = []
            step = self._step()
            cold = self.replica.cold
            cold.serve(step, cold.without(numbers, sent), partial(_keep, found))
            sent = cold.beyond(numbers)
            self._act(step.finish())
            yield codec.encode(records_of(TAG, Serve((), numbers[-1], last=False), found))

    def hear(self, batches: Iterable[bytes]) -> None:
        """Take what another member serves."""
        self.take(_records(batches))

    def table_bytes(self) -> int:
        """Return the bytes of all rows of the log, keys included."""
        ends = self._topic, self._topic + b"\xff" * 9
        found = [self.store.read(each, *ends, _ALL) for each in (Table.COMMIT, Table.RUN)]
        return sum(len(key) + len(value) for table in found for key, value in table)

    def close(self) -> None:
        """Close the store, end the process."""
        self.verifier.close()
        self.store.close()

    def _step(self) -> Step:
        return Step(Moment(Instant(self._now), WALL), self._waiting)

    def _hear(self) -> None:
        token, valid = self._came.get()
        step = self._step()
        self._waiting.take_check(token)(step, valid)
        self._act(step.finish())

    def _answer(self, token: Token, valid: tuple[bool, ...]) -> None:
        self._came.put((token, valid))

    def _act(self, effects: list[Effect]) -> None:
        for effect in effects:
            later = self._step()
            if isinstance(effect, VerifyBatch):
                self.verifier.check(effect.claims, partial(self._answer, effect.token))
            elif isinstance(effect, Write):
                self.store.apply(effect.changes)
                for done in self._waiting.take_write(effect.token):
                    done(later)
            elif isinstance(effect, Read):
                found = self.store.read(
                    effect.table, effect.start, effect.stop, effect.rows_max
                )
                self._waiting.take_read(effect.token)(later, found)
            self._act(later.finish())


def _keep(found: list[Commit], _: Step, read: list[Commit]) -> None:
    found += read


def _records(batches: Iterable[bytes]) -> Iterator[list[Sequence[Commit]]]:
    codec = ProtobufCodec()
    for batch in batches:
        records = codec.decode(batch)
        assert not isinstance(records, Rejected)
        found: list[Sequence[Commit]] = []
        for record in records:
            if isinstance(record, Runs):
                found.append([Commit(run, b"") for run in record.runs])
            elif isinstance(record, Commits) and record.commits:
                found.append(record.commits)
        yield found
