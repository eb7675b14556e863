"""A log of several authors, and holders of it with a disk each, for the tests of cold history.

Owns: how such a log is made, and how effects are followed. May not know: what is tested.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from comity.base.clock import Instant, Moment, Wall, earliest
from comity.base.errors import Rejected
from comity.base.ids import CommitId, DeviceId, LinkId, Topic
from comity.crypto.keys import KeyPair
from comity.crypto.symbolic import Symbolic
from comity.log.build import Signer, make_commit
from comity.log.entries import AddEntry, Entry, Role, TurnEntry
from comity.log.graph import Graph
from comity.log.inner import CommitGrant, Grant, Inner, RootGrant, decode_inner
from comity.log.runs import Member, cut, make_run
from comity.log.seal import ContentKey, open_sealed
from comity.log.sealed import Sealed, parse
from comity.node import rows
from comity.node.effects import Drop, Effect, Put, Read, Table, VerifyBatch, Write
from comity.node.journal import Hand, Journal
from comity.node.loading import Saved
from comity.node.prekeys import OwnPrekeys
from comity.node.replica import Replica, Source
from comity.node.step import Step, Waiting
from comity.wire.records import Commit
from comity_chaos.keyed import SimEntropy

__all__ = ["CRYPTO", "PEER", "WALL", "Disk", "Heard", "Holder", "Log"]

CRYPTO: Final = Symbolic()
WALL: Final = Wall(1_790_000_000_000)
PEER: Final[Source] = (LinkId(1), DeviceId(bytes(32)))

Disk = dict[Table, dict[bytes, bytes]]


class Log:
    """A founder and two writers, who write stretches, often side by side."""

    def __init__(self, count: int, seed: int = 1) -> None:
        """Write so many commits beyond the genesis."""
        entropy = SimEntropy(seed, 1, 1)
        self.signers = [Signer(CRYPTO, entropy.draw(32)) for _ in range(3)]
        self.hand = Hand(
            self.signers[0], OwnPrekeys(KeyPair(CRYPTO, entropy.draw(32))), entropy
        )
        self.topic, self.genesis, self.content = Journal.found(self.hand, "Test", WALL)
        self.key = ContentKey(self.topic, self.content)
        self.graph = Graph()
        self.commits: list[Commit] = []
        self.ids: list[CommitId] = []
        self.lasts: list[CommitId | None] = [self.genesis.id, None, None]
        self.grants: list[Grant] = [RootGrant(0)]
        inner = decode_inner(self.plain(self.genesis.sealed), self.graph.facts)
        assert isinstance(inner, Inner)
        self.graph.insert(self.genesis.id, inner, gen=0)
        for signer in self.signers[1:]:
            added = AddEntry(
                signer.device, Role.WRITER, CRYPTO.exchange_public(entropy.draw(32))
            )
            self.grants.append(CommitGrant(self.write(0, (added,))))
        chance = random.Random(seed)
        while len(self.commits) < count:
            authors = chance.sample(range(3), chance.choice((1, 1, 2)))
            first = True
            for _ in range(chance.randint(1, 12)):
                for author in authors:
                    last = self.lasts[author]
                    alone = None if first or last is None else (last,)
                    self.write(author, parents=alone)
                first = False

    def plain(self, data: bytes) -> bytes:
        """Open a sealed commit."""
        sealed = parse(data)
        assert isinstance(sealed, Sealed)
        plain = open_sealed(CRYPTO, self.key, sealed)
        assert isinstance(plain, bytes)
        return plain

    def write(
        self,
        author: int,
        entries: tuple[Entry, ...] | None = None,
        parents: tuple[CommitId, ...] | None = None,
    ) -> CommitId:
        """Make one commit, on all heads if no parents are named."""
        last = self.lasts[author]
        facts = None if last is None else self.graph.facts(last)
        inner = Inner(
            self.signers[author].device,
            0 if facts is None else facts.seq + 1,
            last,
            self.grants[author],
            self.graph.heads if parents is None else parents,
            WALL,
            entries or (TurnEntry(len(self.commits).to_bytes(4, "little")),),
        )
        numbers = [self.graph.index_of(parent) for parent in inner.parents]
        gen = 1 + max(self.graph.gen_of(number) for number in numbers if number is not None)
        made = make_commit(
            self.signers[author],
            self.key,
            epoch=self.genesis.id,
            gen=gen,
            inner=inner,
            past=self.graph.facts,
        )
        self.graph.insert(made.id, inner, gen=gen)
        self.commits.append(Commit(made.sealed, made.beside))
        self.ids.append(made.id)
        self.lasts[author] = made.id
        return made.id

    def members(self, author: int) -> list[Member]:
        """Return all commits of an author as a run takes them."""
        device = self.signers[author].device
        return [
            Member(name, commit.sealed, self.plain(commit.sealed))
            for name, commit in zip(self.ids, self.commits, strict=True)
            if self.graph.author_of(self.graph.index_of(name) or 0) == device
        ]

    def longest(self, author: int) -> tuple[Member, ...]:
        """Return the longest stretch of an author that fits in a run."""
        return max(cut(self.members(author)), key=len)

    def run(self, members: Sequence[Member], beside: bytes | None = None) -> Commit:
        """Make a run. beside: the signature, that of the last if None."""
        last = self.commits[self.ids.index(members[-1].id)].beside
        return Commit(make_run(CRYPTO, self.key, members, beside or last), b"")


class Heard:
    """What a replica told its node."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.ids: list[CommitId] = []
        self.refusals: list[Rejected] = []
        self.lacked: list[CommitId] = []
        self.own: list[CommitId] = []

    def stored(
        self, step: Step, topic: Topic, ids: tuple[CommitId, ...], source: Source | None
    ) -> None:
        """Keep them."""
        assert step.instant >= 0, (topic, source)
        self.ids += ids

    def lacking(
        self, step: Step, topic: Topic, parents: tuple[CommitId, ...], source: Source
    ) -> None:
        """Keep them."""
        assert step.instant >= 0, (topic, source)
        self.lacked += parents

    def refused(
        self, step: Step, topic: Topic, commit: CommitId, refusal: Rejected, source: Source
    ) -> None:
        """Keep it."""
        assert step.instant >= 0, (topic, commit, source)
        self.refusals.append(refusal)

    def superseded(self, commit: CommitId) -> None:
        """Keep it."""
        self.own.append(commit)

    def keyless(self, step: Step, topic: Topic, epochs: tuple[CommitId, ...]) -> None:
        """The key of the one epoch is here."""
        raise AssertionError((step, topic, epochs))

    def renewed(self, step: Step, topic: Topic, commit: CommitId) -> None:
        """No copy of a commit is better than another."""
        raise AssertionError((step, topic, commit))

    def members_changed(
        self,
        step: Step,
        topic: Topic,
        commit: CommitId,
        joined: Iterable[DeviceId],
        left: Iterable[DeviceId],
    ) -> None:
        """Writers join."""
        assert step.instant >= 0, (topic, commit, joined, left)


class Holder:
    """A replica over a disk. images: what the disk held after each write."""

    def __init__(self, log: Log, disk: Disk | None = None, hand: Hand | None = None) -> None:
        """Start with the genesis, or from a disk."""
        self.heard = Heard()
        self.waiting = Waiting()
        self.now = 0
        self.log = log
        self.settled: list[int] = []
        self.images: list[Disk] = []
        self.reports: list[object] = []
        genesis = rows.encode_commit(Commit(log.genesis.sealed, log.genesis.beside))
        self.disk = disk or {
            Table.COMMIT: {rows.commit_key(log.topic, 1): genesis},
            Table.RUN: {},
            Table.INDEX: {},
        }
        entropy = SimEntropy(2, 1, 1)
        signer = Signer(CRYPTO, entropy.draw(32))
        self.replica = Replica(
            log.topic,
            hand or Hand(signer, OwnPrekeys(KeyPair(CRYPTO, entropy.draw(32))), entropy),
            self.heard,
            row=rows.TopicRow("Test", b"", shelf=False),
            store=bytes(16),
            saved=Saved(
                ((log.genesis.id, log.content),),
                tuple(sorted(self.disk[Table.COMMIT].items())),
                tuple(sorted(self.disk[Table.RUN].items())),
                tuple(sorted(self.disk[Table.INDEX].items())),
            ),
        )

    def do(self, act: Callable[[Step], object]) -> None:
        """Act in one step, and follow what comes of it."""
        step = Step(Moment(Instant(self.now), WALL), self.waiting)
        act(step)
        self._follow(step.finish())

    def deliver(self, commits: Sequence[Commit], *, asked: bool = True) -> None:
        """Take what came together."""
        self.do(
            lambda step: self.replica.deliver(
                step, commits, PEER, lambda _: self.settled.append(len(commits)), asked=asked
            )
        )

    def rest(self) -> None:
        """Let time pass until nothing is due any more."""
        replica = self.replica
        while due := earliest(replica.packing.deadline, replica.indexing.deadline):
            self.now = due

            def tick(step: Step) -> None:
                replica.packing.tick(replica.beats.durable, step)
                replica.indexing.tick(replica.beats.durable, step)

            self.do(tick)

    def read(self, first: int, last: int) -> dict[int, Commit]:
        """Read commits by number."""
        found: list[dict[int, Commit]] = []
        self.do(
            lambda step: self.replica.cold.read(step, first, last, lambda _, r: found.append(r))
        )
        return found[0]

    def serve(self, numbers: Sequence[int]) -> list[Commit]:
        """Read what a member is served for these numbers."""
        found: list[list[Commit]] = []
        self.do(
            lambda step: self.replica.cold.serve(step, numbers, lambda _, r: found.append(r))
        )
        return found[0]

    def serve_relay(self, numbers: Sequence[int]) -> list[Commit]:
        """Read what a relay is served for these numbers."""
        found: list[list[Commit]] = []
        self.do(
            lambda step: self.replica.read_singles(step, numbers, lambda _, r: found.append(r))
        )
        return found[0]

    @property
    def ids(self) -> list[CommitId]:
        """The accepted commits in their order, without the genesis."""
        graph = self.replica.journal.graph
        return [graph.id_of(number) for number in range(1, len(graph))]

    def _follow(self, effects: list[Effect]) -> None:
        for effect in effects:
            step = Step(Moment(Instant(self.now), WALL), self.waiting)
            if isinstance(effect, Write):
                self._write(effect)
                for then in self.waiting.take_write(effect.token):
                    then(step)
            elif isinstance(effect, Read):
                table = self.disk[effect.table]
                keys = [key for key in sorted(table) if effect.start <= key < effect.stop]
                chosen = tuple([(key, table[key]) for key in keys[: effect.rows_max]])
                self.waiting.take_read(effect.token)(step, chosen)
            elif isinstance(effect, VerifyBatch):
                valid = tuple([CRYPTO.verify(*claim) for claim in effect.claims])
                self.waiting.take_check(effect.token)(step, valid)
            else:
                self.reports.append(effect)
            self._follow(step.finish())

    def _write(self, write: Write) -> None:
        for change in write.changes:
            table = self.disk.setdefault(change.table, {})
            if isinstance(change, Put):
                table[change.key] = change.value
            else:
                assert isinstance(change, Drop)
                table.pop(change.key, None)
        self.images.append({table: dict(found) for table, found in self.disk.items()})
