"""What it costs to take in a long log from a peer, and to decide a removal in it.

Owns: the figures, with real crypto, through `Replica.deliver`: parse, open, structure,
authority, signature (first in a process of its own, then in this one), graph, the rows of the
store and what follows once they are durable. No disk. `member` is what a joiner gets from
another member: cold history as runs, through the wire's codec, into a store on disk.
The log: a founder adds 50 devices; then four write at a time, in bursts that begin by merging
all heads; each commit holds one turn of 40 bytes. Ingest is by steps of 256 commits, as a
session delivers them.
Run as `python benchmarks/bench_ingest.py [--commits 100000]`. Targets: 6,000 commits/s on two
cores, a removal in less than 1 s. CPU time is printed as well: the machine may be shared.
"""

from __future__ import annotations

import argparse
import queue
import random
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time

from holder import Holder

from comity.base.clock import Instant, Moment, Wall
from comity.base.errors import Rejected
from comity.base.ids import CommitId, DeviceId, LinkId, Token, Topic
from comity.crypto.keys import KeyPair
from comity.crypto.sodium import Sodium
from comity.drivers.system import SystemEntropy
from comity.drivers.verifier import Verifier
from comity.log.build import Signer, make_commit
from comity.log.entries import AddEntry, Entry, RemoveEntry, Role, TurnEntry
from comity.log.graph import Graph
from comity.log.inner import CommitGrant, Grant, Inner, RootGrant, decode_inner
from comity.log.seal import ContentKey, open_sealed
from comity.log.sealed import Sealed, parse
from comity.node import rows
from comity.node.effects import Effect, VerifyBatch, Write
from comity.node.journal import Hand, Journal
from comity.node.prekeys import OwnPrekeys
from comity.node.replica import Replica, Saved
from comity.node.step import Step, Waiting
from comity.wire.records import Commit

AUTHORS = 50
ACTIVE = 4
BURST = 20
BATCH = 256
COMMITS = 20_000
OPERATIONS = b"\1" * 40
WALL = Wall(1_700_000_000_000)
NOW = Moment(Instant(0), WALL)
BATCHES_AHEAD = 4


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--commits", type=int, default=COMMITS)
    count: int = parser.parse_args().commits
    log = Log()
    log.write(count)
    taken = len(log.commits)
    print(f"{taken} commits by {AUTHORS} authors, {log.merges} of them merges")
    with closing(Verifier(Sodium(), elsewhere=True)) as elsewhere:
        _ingest("split", log, elsewhere)
    _from_a_member(log)
    here = Verifier(Sodium(), elsewhere=False)
    replica, listener, source = _ingest("ingest", log, here)
    devices = [log.signers[1].device, log.signers[2].device]
    for what, removal in (
        ("which has seen none of its commits", log.removal(devices[0], concurrent=True)),
        ("which has seen them all", log.removal(devices[1], concurrent=False)),
    ):
        hidden = replica.status().hidden
        began = perf_counter()
        _take(replica, [removal], source)
        span = perf_counter() - began
        hidden = replica.status().hidden - hidden
        print(f"removal {span * 1e3:9.1f} ms      {what}: hides {hidden}; target 1,000")
    assert listener.left == devices
    assert not listener.refusals


def _from_a_member(log: Log) -> None:
    """Take the log from the store of a member, who has packed what is cold, into a store."""
    with TemporaryDirectory() as directory:
        keeper, joiner = (
            Holder(Path(directory) / name, log.topic, log.genesis, log.content)
            for name in ("keeper", "joiner")
        )
        with closing(keeper), closing(joiner):
            keeper.take(
                [[log.commits[at : at + BATCH]] for at in range(0, len(log.commits), BATCH)]
            )
            keeper.rest()
            batches = list(keeper.serve())
            joiner.elsewhere()
            began, busy = perf_counter(), process_time()
            joiner.hear(batches)
            wall, cpu = perf_counter() - began, process_time() - busy
            taken = len(log.commits)
            assert len(joiner.replica.journal.graph) == taken + 1
            assert not joiner.heard.refusals
            runs = joiner.replica.cold.run_count
            print(f"member  {taken / wall:9,.0f} /s      {runs} runs; from records to the disk")
            print(f"        {taken / cpu:9,.0f} /s      of its CPU time")


class Log:
    """The peer: it makes a log without keeping authority, which the joiner does."""

    def __init__(self) -> None:
        """Found an actor and add the authors."""
        crypto, entropy = Sodium(), SystemEntropy()
        seeds = [entropy.draw(32) for _ in range(AUTHORS + 1)]
        self.signers = [Signer(crypto, seed) for seed in seeds]
        self.hand = Hand(
            self.signers[0], OwnPrekeys(KeyPair(crypto, entropy.draw(32))), entropy
        )
        self.topic, self.genesis, self.content = Journal.found(self.hand, "Bench", WALL)
        self.key = ContentKey(self.topic, self.content)
        self.graph = Graph()
        self.commits: list[Commit] = []
        self.merges = 0
        self._chance = random.Random(1)
        self._lasts: list[CommitId | None] = [None] * (AUTHORS + 1)
        self._grants: list[Grant] = [RootGrant(0)]
        sealed = parse(self.genesis.sealed)
        assert isinstance(sealed, Sealed)
        plain = open_sealed(crypto, self.key, sealed)
        assert isinstance(plain, bytes)
        inner = decode_inner(plain, self.graph.facts)
        assert isinstance(inner, Inner)
        self.graph.insert(self.genesis.id, inner, gen=0)
        self._lasts[0] = self.genesis.id
        prekey = crypto.exchange_public(entropy.draw(32))
        for signer in self.signers[1:]:
            added = AddEntry(signer.device, Role.WRITER, prekey)
            self._grants.append(CommitGrant(self._commit(0, (added,), self.graph.heads)))
        self._added = self.graph.heads

    def write(self, count: int) -> None:
        """Make commits, parents first."""
        writers: dict[int, int] = {}
        turn = (TurnEntry(OPERATIONS),)
        for _ in range(count):
            while len(writers) < ACTIVE:
                writers[self._chance.randint(1, AUTHORS)] = 0
            author = self._chance.choice(list(writers))
            last = self._lasts[author]
            if writers[author] and last is not None:
                self._commit(author, turn, (last,))
            else:
                self._commit(author, turn, self.graph.heads)
            writers[author] += 1
            if writers[author] == self._chance.randint(writers[author], BURST):
                del writers[author]

    def removal(self, device: DeviceId, *, concurrent: bool) -> Commit:
        """Remove a device, on what the founder had seen: the adds alone, or everything."""
        parents = self._added if concurrent else self.graph.heads
        self._commit(0, (RemoveEntry(device),), parents)
        return self.commits[-1]

    def _commit(
        self, author: int, entries: tuple[Entry, ...], parents: tuple[CommitId, ...]
    ) -> CommitId:
        last = self._lasts[author]
        seq = 0
        if last is not None:
            known = self.graph.facts(last)
            assert known is not None
            seq = known.seq + 1
        device, auth = self.signers[author].device, self._grants[author]
        inner = Inner(device, seq, last, auth, parents, WALL, entries)
        numbers = [number for number in map(self.graph.index_of, parents) if number is not None]
        gen = 1 + max(map(self.graph.gen_of, numbers))
        made = make_commit(
            self.signers[author],
            self.key,
            epoch=self.genesis.id,
            gen=gen,
            inner=inner,
            past=self.graph.facts,
        )
        self.graph.insert(made.id, inner, gen=gen)
        self._lasts[author] = made.id
        self.commits.append(Commit(made.sealed, made.beside))
        self.merges += len(parents) > 1
        return made.id


@dataclass
class _Listener:
    """Counts what a node would be told."""

    stored_count: int
    refusals: list[Rejected]
    left: list[DeviceId]

    def stored(
        self, step: Step, topic: Topic, ids: tuple[CommitId, ...], source: object
    ) -> None:
        """Count."""
        assert step.instant == 0, (topic, source)
        self.stored_count += len(ids)

    def lacking(self, step: Step, topic: Topic, parents: object, source: object) -> None:
        """Never be told: the log comes parents first."""
        raise AssertionError((step, topic, parents, source))

    def keyless(self, step: Step, topic: Topic, epochs: object) -> None:
        """Never be told: all keys are held."""
        raise AssertionError((step, topic, epochs))

    def refused(
        self, step: Step, topic: Topic, commit: CommitId, refusal: Rejected, source: object
    ) -> None:
        """Keep the refusal."""
        assert step.instant == 0, (topic, commit, source)
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
        assert step.instant == 0, (topic, commit, joined)
        self.left += left


def _ingest(
    name: str, log: Log, verifier: Verifier
) -> tuple[Replica, _Listener, tuple[LinkId, DeviceId]]:
    """Take in all commits as a host does, and print how fast.

    It goes on while signatures are checked, with as many batches ahead as a session has pages.
    """
    replica, listener, source = _joiner(log)
    waiting = Waiting()
    came: queue.SimpleQueue[tuple[Token, tuple[bool, ...]]] = queue.SimpleQueue()
    verifier.check((), lambda _: came.put((Token(0), ())))
    came.get()  # the process is there
    settled = asked = 0

    def then(_: Step) -> None:
        nonlocal settled
        settled += 1

    def answer(token: Token, valid: tuple[bool, ...]) -> None:
        came.put((token, valid))

    def act(effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, VerifyBatch):
                verifier.check(effect.claims, partial(answer, effect.token))
            elif isinstance(effect, Write):
                later = Step(NOW, waiting)
                for done in waiting.take_write(effect.token):
                    done(later)
                act(later.finish())

    began, busy = perf_counter(), process_time()
    for start in range(0, len(log.commits), BATCH):
        step = Step(NOW, waiting)
        replica.deliver(step, log.commits[start : start + BATCH], source, then)
        asked += 1
        act(step.finish())
        while not came.empty() or asked - settled > BATCHES_AHEAD:
            token, valid = came.get()
            step = Step(NOW, waiting)
            waiting.take_check(token)(step, valid)
            act(step.finish())
    while settled < asked:
        token, valid = came.get()
        step = Step(NOW, waiting)
        waiting.take_check(token)(step, valid)
        act(step.finish())
    wall, cpu = perf_counter() - began, process_time() - busy
    taken = len(log.commits)
    assert len(replica.journal.graph) == replica.holdings.count == taken + 1
    where = "signatures in another process" if verifier.is_elsewhere else "one process"
    print(f"{name:7} {taken / wall:9,.0f} /s      {where}; target 6,000 on two cores")
    print(
        f"        {taken / cpu:9,.0f} /s      of its CPU time, {cpu / taken * 1e6:.0f} us each"
    )
    return replica, listener, source


def _joiner(log: Log) -> tuple[Replica, _Listener, tuple[LinkId, DeviceId]]:
    """Return a replica of another device that holds the genesis and its key."""
    crypto, entropy = Sodium(), SystemEntropy()
    hand = Hand(
        Signer(crypto, entropy.draw(32)), OwnPrekeys(KeyPair(crypto, entropy.draw(32))), entropy
    )
    listener = _Listener(0, [], [])
    genesis = rows.encode_commit(Commit(log.genesis.sealed, log.genesis.beside))
    replica = Replica(
        log.topic,
        hand,
        listener,
        row=rows.TopicRow("Bench", b"", shelf=False),
        store=bytes(16),
        saved=Saved(
            ((log.genesis.id, log.content),), ((rows.commit_key(log.topic, 1), genesis),)
        ),
    )
    return replica, listener, (LinkId(1), log.signers[0].device)


def _take(replica: Replica, commits: list[Commit], source: tuple[LinkId, DeviceId]) -> None:
    """Take commits in one step, and let what follows from their being durable happen."""
    waiting = Waiting()
    step = Step(NOW, waiting)
    for commit in commits:
        replica.take(step, commit, source)
    writes = [effect for effect in step.finish() if isinstance(effect, Write)]
    later = Step(NOW, waiting)
    for write in writes:
        for then in waiting.take_write(write.token):
            then(later)
    later.finish()


if __name__ == "__main__":
    main()
