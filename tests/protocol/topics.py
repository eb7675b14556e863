"""Logs of sealed nothing and the links between them: the world in which sync is tested.

A commit is its generation, its parents and noise; a member holds it back until its parents are
there, a relay does not look. What a host was told to store becomes durable later, as the next
thing that may happen, or the one after that. Everything said goes through the real codec.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

from comity.base.clock import Instant
from comity.base.errors import Rejected
from comity.base.ids import CommitId
from comity.crypto.hashing import PERSON_COMMIT, PERSON_DIGEST, blake2b
from comity.protocol.sync import TopicSync
from comity.protocol.sync_port import (
    Fail,
    Output,
    Phase,
    SaveCursor,
    Say,
    Serve,
    Synced,
    SyncRecord,
    Take,
    records_of,
)
from comity.wire.codec import ProtobufCodec
from comity.wire.records import Commit, Commits, Summary

TAG = bytes(range(16))
KEY = bytes(range(64))
CODEC = ProtobufCodec()


def make(parents: Sequence[Commit], noise: bytes) -> Commit:
    """Return a commit that follows these."""
    gen = 1 + max((gen_of(each) for each in parents), default=-1)
    ids = sorted(id_of(each) for each in parents)
    sealed = gen.to_bytes(8, "little") + bytes((len(ids),)) + b"".join(ids) + noise
    return Commit(sealed, bytes(64))


def gen_of(commit: Commit) -> int:
    """Return its generation."""
    return int.from_bytes(commit.sealed[:8], "little")


def id_of(commit: Commit) -> CommitId:
    """Return its id."""
    return CommitId(blake2b(commit.sealed, person=PERSON_COMMIT))


def parents_of(commit: Commit) -> list[CommitId]:
    """Return the ids of its parents."""
    count = commit.sealed[8]
    return [CommitId(commit.sealed[9 + 32 * i : 41 + 32 * i]) for i in range(count)]


class Log:
    """What one host has on disk. Survives sessions."""

    def __init__(self, name: str, *, relay: bool = False) -> None:
        self.name = name
        self.relay = relay
        self.commits: dict[CommitId, Commit] = {}
        self.order: list[CommitId] = []
        self.arrivals: dict[CommitId, int] = {}
        self.orphans: dict[CommitId, Commit] = {}
        self.junk: dict[CommitId, None] = {}
        self.cursors: dict[tuple[str, bytes], int] = {}
        self.store = blake2b(name.encode(), size=16, person=PERSON_DIGEST)
        self.watchers: list[Callable[[Sequence[CommitId], object], None]] = []

    def copy(self, name: str = "", *, relay: bool = False) -> Log:
        """Return a log with the same commits in the same order."""
        made = Log(name or self.name, relay=relay or self.relay)
        for identifier in self.order:
            made.add(self.commits[identifier])
        return made

    @property
    def heads(self) -> tuple[CommitId, ...]:
        """Commits that no other builds on; none on a relay."""
        if self.relay:
            return ()
        inner = {parent for each in self.commits.values() for parent in parents_of(each)}
        return tuple(sorted(each for each in self.commits if each not in inner))

    def add(self, commit: Commit) -> None:
        """Make a commit durable, without telling anybody."""
        assert self.relay or all(parent in self.commits for parent in parents_of(commit))
        identifier = id_of(commit)
        if identifier not in self.commits:
            self.commits[identifier] = commit
            self.order.append(identifier)
            self.arrivals[identifier] = len(self.order)

    def write(self, noise: bytes, width: int = 2) -> Commit:
        """Make a commit on the newest heads and tell the sessions."""
        newest = [self.commits[each] for each in self.heads[:width]]
        commit = make(newest, noise)
        self.add(commit)
        self.tell([id_of(commit)], None)
        return commit

    def tell(self, ids: Sequence[CommitId], source: object) -> None:
        """Tell every session what became durable."""
        for watcher in list(self.watchers):
            watcher(ids, source)

    def keep(self, commits: Iterable[Commit], source: object) -> list[CommitId]:
        """Store what can be stored, tell of it; return the parents that are missing."""
        for commit in commits:
            identifier = id_of(commit)
            if identifier not in self.commits and identifier not in self.junk:
                self.orphans[identifier] = commit
        progress = True
        while progress:
            progress = False
            for identifier, commit in list(self.orphans.items()):
                if self.relay or all(p in self.commits for p in parents_of(commit)):
                    del self.orphans[identifier]
                    self.add(commit)
                    self.tell([identifier], source)
                    progress = True
        wanted = {p for each in self.orphans.values() for p in parents_of(each)}
        return sorted(wanted - set(self.commits) - set(self.orphans))


class View:
    """A log as one session sees it."""

    def __init__(self, log: Log, peer: str) -> None:
        self._log = log
        self._peer = peer

    @property
    def store(self) -> bytes:
        """The store instance."""
        return self._log.store

    @property
    def count(self) -> int:
        """Number of commits."""
        return len(self._log.order)

    @property
    def arrival(self) -> int:
        """Number of the newest."""
        return len(self._log.order)

    def digest(self) -> bytes:
        """Hash the ascending ids."""
        return blake2b(b"".join(sorted(self._log.order)), size=16, person=PERSON_DIGEST)

    def heads(self) -> tuple[CommitId, ...]:
        """Return those of the log."""
        return self._log.heads

    def arrival_of(self, commit: CommitId) -> int | None:
        """Look a number up."""
        return self._log.arrivals.get(commit)

    def refused(self, commit: CommitId) -> bool:
        """Tell junk."""
        return commit in self._log.junk

    def items(self) -> list[tuple[int, CommitId]]:
        """Sort all."""
        return sorted((gen_of(c), each) for each, c in self._log.commits.items())

    def arrivals_after(self, number: int, count_max: int) -> list[tuple[int, CommitId]]:
        """Slice the order."""
        chosen = self._log.order[number : number + count_max]
        return list(enumerate(chosen, start=number + 1))

    def cursor_of(self, store: bytes) -> int | None:
        """Look a cursor up."""
        return self._log.cursors.get((self._peer, store))


@dataclass
class Sent:
    """What one end has said. bytes: as encoded, one record a batch; overhead: less commits."""

    records: list[SyncRecord] = field(default_factory=list)
    bytes: int = 0
    overhead: int = 0
    commits: int = 0


class End:
    """One end of a session: the machine and a host that does what it says."""

    def __init__(self, log: Log, peer: str, *, initiator: bool) -> None:
        self.log = log
        self.peer = peer
        self.machine = TopicSync(View(log, peer), tag=TAG, key=KEY, initiator=initiator)
        self.outgoing: deque[bytes] = deque()
        self.jobs: deque[Callable[[], None]] = deque()
        self.sent = Sent()
        self.synced: list[Synced] = []
        self.failed: list[Rejected] = []
        self.outputs: list[Output] = []
        self.now = Instant(0)
        self.duplicates = 0
        self.orphaned = 0
        self.held_when_synced = 0

    def start(self) -> None:
        """Begin."""
        self.log.watchers.append(self.stored)
        self.do(self.machine.start(self.now))

    def stop(self) -> None:
        """Forget everything that was under way."""
        self.log.watchers.remove(self.stored)
        self.jobs.clear()
        self.outgoing.clear()

    def stored(self, ids: Sequence[CommitId], source: object) -> None:
        """Tell the machine what became durable."""
        self.do(self.machine.stored(ids, self.now, from_peer=source is self))

    def hear(self, data: bytes) -> None:
        """Decode and take a batch."""
        records = CODEC.decode(data)
        assert not isinstance(records, Rejected), records
        for record in records:
            self.do(self.machine.receive(record, self.now))  # type: ignore[arg-type]

    def do(self, outputs: tuple[Output, ...]) -> None:
        """Carry out what the machine says."""
        if len(self.log.order) < 1_000:  # it is slow
            self.machine.check()
        self.outputs += outputs
        for output in outputs:
            match output:
                case Say(record):
                    self.say(record)
                case Serve():
                    self.jobs.append(partial(self.serve, output))
                case Take(number, commits, _):
                    self.duplicates += sum(id_of(each) in self.log.commits for each in commits)
                    self.jobs.append(partial(self.take, number, commits))
                case SaveCursor(store, arrival):
                    assert arrival > 0
                    self.log.cursors[self.peer, store] = arrival
                case Synced():
                    self.synced.append(output)
                    self.held_when_synced = len(self.log.order)
                case Fail(refusal):
                    self.failed.append(refusal)
                case _:
                    pass

    def work(self) -> None:
        """Do the oldest job."""
        self.jobs.popleft()()

    def say(self, record: SyncRecord) -> None:
        """Encode and queue a record."""
        data = CODEC.encode((record,))
        self.sent.records.append(record)
        self.sent.bytes += len(data)
        self.sent.overhead += len(data)
        if isinstance(record, Commits):
            bulk = sum(len(each.sealed) + len(each.beside) for each in record.commits)
            self.sent.overhead -= bulk
            self.sent.commits += len(record.commits)
        self.outgoing.append(data)

    def serve(self, serve: Serve) -> None:
        """Read, cut and send."""
        found = [self.log.commits[each] for each in serve.ids]
        for record in records_of(TAG, serve, found):
            self.say(record)
        self.do(self.machine.served(self.now))

    def take(self, number: int, commits: Sequence[Commit]) -> None:
        """Store a batch."""
        missing = self.log.keep(commits, self)
        self.orphaned += len(missing)
        self.do(self.machine.settle(number, missing, self.now))


class Link:
    """A session between two logs: ordered, and lost as a whole."""

    def __init__(self, left: Log, right: Log) -> None:
        self.left = End(left, right.name, initiator=True)
        self.right = End(right, left.name, initiator=False)
        self.heard = 0
        self.left.start()
        self.right.start()

    @property
    def ends(self) -> tuple[End, End]:
        """Both, the initiator first."""
        return self.left, self.right

    def steps(self) -> list[Callable[[], None]]:
        """What could happen next."""
        found: list[Callable[[], None]] = []
        for source, target in ((self.left, self.right), (self.right, self.left)):
            if source.outgoing:
                found.append(partial(self.deliver, source, target))
            if source.jobs:
                found.append(source.work)
        return found

    def deliver(self, source: End, target: End) -> None:
        """Hand over the oldest batch."""
        self.heard += 1
        target.hear(source.outgoing.popleft())

    def cut(self) -> None:
        """Lose the session."""
        for end in self.ends:
            end.stop()


def settle(links: Iterable[Link], rng: random.Random, steps_max: int = 100_000) -> int:
    """Let things happen in random order until nothing can; return how many did."""
    links = list(links)
    for done in range(steps_max):
        possible = [step for link in links for step in link.steps()]
        if not possible:
            return done
        rng.choice(possible)()
    raise AssertionError("it does not come to rest")


def grow(rng: random.Random, logs: Sequence[Log], count: int) -> None:
    """Write commits to random ones of these logs."""
    for _ in range(count):
        rng.choice(logs).write(rng.randbytes(rng.randrange(8, 200)), rng.randrange(1, 4))


def level(*logs: Log) -> bool:
    """Tell whether all hold the same."""
    return all(set(each.commits) == set(logs[0].commits) for each in logs)


def half_trips(link: Link, until: Callable[[], bool] | None = None) -> int:
    """Let everything happen in waves, each one half a round trip; return how many."""
    count = 0
    while True:
        while any(end.jobs for end in link.ends):
            for end in link.ends:
                while end.jobs:
                    end.work()
        waves = [list(end.outgoing) for end in link.ends]
        if not any(waves) or (until is not None and until()):
            return count
        count += 1
        for end in link.ends:
            end.outgoing.clear()
        for end, wave in zip(link.ends[::-1], waves, strict=True):
            for data in wave:
                end.hear(data)


def live(*links: Link) -> bool:
    """Tell whether every end has come to the live phase."""
    return all(end.machine.phase is Phase.LIVE for link in links for end in link.ends)


def pair(rng: random.Random, *, shared: int, apart: int) -> tuple[Log, Log]:
    """Return two members with a common past and commits that only one has."""
    left, right = Log("left"), Log("right")
    past = Log("past")
    past.add(make([], b"genesis"))
    grow(rng, [past], shared)
    for log in (left, right):
        for commit in past.commits.values():
            log.add(commit)
        grow(rng, [log], rng.randrange(apart + 1))
    return left, right


def drive(link: Link) -> None:
    """Let everything happen on one link, in an order that is always the same."""
    settle([link], random.Random(0))


def lie(count: int = 10, arrival: int = 10, digest: bytes = bytes(16)) -> Summary:
    """Return a summary that nothing stands behind."""
    return Summary(TAG, count, digest, (), b"s" * 16, arrival)


def some_log(count: int = 60) -> Log:
    """Return a log of some commits."""
    return pair(random.Random(16), shared=count, apart=0)[0]
