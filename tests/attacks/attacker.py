"""A device that keeps to no rule: it holds keys, makes any commit, and says anything on a link.

Owns: the attacker's side of sessions, and the forging of commits. May not know: which attack
is on, or what would count as its success (`tests.attacks.claims`).

An `Attacker` is a node of the world whose core this class stands in for. It joins by a real
invite over a real session, then speaks records of its choice; what it says to a summary is
'we are equal', so that a victim takes what is pushed to it. What a member may know of the log
it reads from an honest replica (`spy`), which spares a second implementation of everything.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, cast

from comity.base.clock import MINUTE, Duration, Instant, Moment, Wall
from comity.base.errors import Rejected
from comity.base.ids import CommitId, DeviceId, LinkId, Topic
from comity.crypto.hashing import blake2b
from comity.crypto.keys import Identity, KeyPair
from comity.crypto.port import Crypto
from comity.log.build import SealedCommit, Signer, make_commit, make_epoch
from comity.log.entries import Entry, EpochEntry, Role, TurnEntry
from comity.log.inner import ChainFacts, CommitGrant, Grant, Inner
from comity.log.seal import ContentKey
from comity.log.sealed import commit_id
from comity.node.core import Core, Event
from comity.node.effects import Dial, Effect, Hangup, Send
from comity.node.events import FrameArrived, LinkDown, LinkUp
from comity.node.journal import Journal
from comity.protocol.invite import Invite
from comity.protocol.session import (
    Endpoint,
    Established,
    Failed,
    Received,
    SendFrame,
    Session,
    invite_tag,
)
from comity.wire import records
from comity.wire.codec import ProtobufCodec
from comity.wire.records import Commit, Record
from comity_chaos.clock import WORLD_WALL
from comity_chaos.node import SimNode
from comity_chaos.sim import Sim, SimRef
from tests.attacks.claims import agree, claim, enter, journal_of
from tests.node.ledger import Ledger

__all__ = ["Attacker", "Draft", "Line", "accomplice", "stage"]

_CHUNK: Final = 64
_CHUNK_BYTES: Final = 250_000
"""Commits, and their bytes, in one record of ours."""

_WAIT: Final = Duration(2 * MINUTE)


def accomplice(sim: Sim, host: SimRef[Any], refs: Sequence[SimRef[Any]], name: str) -> Attacker:
    """Let one more attacker in, connected to all."""
    trent = Attacker(sim, name)
    trent.join(host)
    agree(sim, refs)
    trent.connect(*refs)
    return trent


@contextmanager
def stage(
    seed: int,
    *,
    nodes: int = 3,
    role: Role = Role.WRITER,
    roles: Sequence[Role] = (),
    crypto: str = "symbolic",
) -> Generator[tuple[Sim, list[SimRef[Ledger]], Attacker], None, None]:
    """Share a `Ledger` among honest nodes and an attacker whom the first one let in."""
    with Sim(seed=seed, nodes=nodes, crypto=crypto) as sim:
        refs = sim.share(Ledger, roles=roles)
        mallory = Attacker(sim)
        mallory.join(refs[0], role)
        mallory.connect(*refs)
        agree(sim, refs)
        yield sim, refs, mallory


class Draws:
    """Bytes that are a function of a name: entropy for an attacker."""

    def __init__(self, name: str) -> None:
        """Begin at the first byte."""
        self._name = name.encode()
        self._drawn = 0

    def draw(self, count: int) -> bytes:
        """Return the next bytes, at most 64."""
        self._drawn += 1
        return blake2b(
            self._drawn.to_bytes(8, "big"), size=count, key=self._name, person=b"evil"
        )


# What the attacker makes


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A commit as the attacker wants it; every field may be a lie.

    epoch: whose key seals it, None for an epoch commit with `prekeys`. author, seq, gen: the
    truth if None; whatever it says, the attacker signs.
    """

    parents: tuple[CommitId, ...]
    auth: Grant
    backlink: CommitId | None
    epoch: CommitId | None
    key: bytes
    entries: tuple[Entry, ...] = ()
    author: DeviceId | None = None
    seq: int | None = None
    gen: int | None = None
    prekeys: tuple[bytes, ...] = ()
    wall: int = WORLD_WALL


@dataclass(slots=True, eq=False)
class Line:
    """One link of the attacker. session: None before it is up."""

    link: LinkId
    address: str
    expected: DeviceId | None = None
    seed: bytes | None = None
    session: Session | None = None
    peer: DeviceId | None = None
    over: str = ""
    tags: dict[bytes, None] = field(default_factory=dict)

    @property
    def open(self) -> bool:
        """Whether records can be said."""
        return self.session is not None and self.session.established and not self.over


class Attacker:
    """One hostile device. `deadline`, `step`, `heads` and `check` stand in for a `Core`."""

    def __init__(self, sim: Sim, name: str = "mallory") -> None:
        """Add a node to the world and take its core's place."""
        self.sim = sim
        self.node: SimNode = sim.world.add()
        ports = sim.nodes[0].running()[0]._ports
        self.crypto: Crypto = ports.crypto
        self.codec = ProtobufCodec()
        self.entropy = Draws(name)
        self.seed = self.entropy.draw(32)
        self.signer = Signer(self.crypto, self.seed)
        self.device = self.signer.device
        self.prekey = KeyPair(self.crypto, self.entropy.draw(32))
        self.endpoint = Endpoint(
            crypto=self.crypto,
            entropy=self.entropy,
            identity=Identity(self.crypto, self.seed),
            static_secret=self.entropy.draw(32),
        )
        self.lines: dict[LinkId, Line] = {}
        self.heard: list[tuple[Line, Record]] = []
        self.topic: Topic | None = None
        self.auth: Grant | None = None
        self.last: CommitId | None = None
        self.keys: dict[CommitId, bytes] = {}
        self.library: dict[CommitId, Commit] = {}
        self.withheld: dict[CommitId, None] = {}
        self.receipts = True
        self.relays = False
        self.offers: list[bytes] = []
        self.welcome: records.Welcome | None = None
        self._facts: dict[CommitId, ChainFacts] = {}
        self._gens: dict[CommitId, int] = {}
        self._said: dict[tuple[LinkId, bytes], None] = {}
        self._level: dict[tuple[LinkId, bytes], None] = {}
        self._out: list[Effect] = []
        self._next = 1_000_000
        self.spy: SimRef[Any] | None = None
        self.node.core = cast("Core", self)

    # In the place of a core

    @property
    def deadline(self) -> Instant | None:
        """Now, while something is to be sent."""
        return self.sim.world.moment(self.node).instant if self._out else None

    def heads(self, _topic: Topic) -> tuple[CommitId, ...]:
        """Hold nothing."""
        return ()

    def check(self) -> None:
        """Keep no invariant."""

    def step(self, events: Sequence[Event], now: Moment) -> list[Effect]:
        """Carry on sessions and hear what is said."""
        for event in events:
            match event:
                case LinkUp(link, inbound, address):
                    line = self.lines.setdefault(link, Line(link, address))
                    line.session = Session(
                        self.endpoint,
                        initiator=not inbound,
                        now=now.instant,
                        expected=line.expected,
                        secret=line.seed,
                        secret_for=self._secret_for if inbound else None,
                    )
                    self._out += [Send(link, frame) for frame in line.session.start()]
                case LinkDown(link, why):
                    if link in self.lines:
                        self.lines[link].over = why
                case FrameArrived(link, frame):
                    self._frame(self.lines[link], frame, now)
                case _:
                    pass
        out, self._out = self._out, []
        return out

    def _secret_for(self, tag: bytes, ephemeral: bytes) -> bytes | None:
        return next((s for s in self.offers if invite_tag(s, ephemeral) == tag), None)

    def _frame(self, line: Line, frame: bytes, now: Moment) -> None:
        assert line.session is not None
        for event in line.session.receive(frame, now.instant):
            match event:
                case SendFrame(answer):
                    self._out.append(Send(line.link, answer))
                case Established(peer):
                    line.peer = peer
                case Received(plain):
                    heard = self.codec.decode(plain)
                    assert not isinstance(heard, Rejected)
                    for record in heard:
                        self._hear(line, record)
                case Failed(refusal):
                    line.over = str(refusal)

    def _hear(self, line: Line, record: Record) -> None:
        assert line.peer is not None
        self.heard.append((line, record))
        match record:
            case records.Announce(tags):
                line.tags.update(dict.fromkeys(tags))
                self.announce(line)
            case records.Subscribe(topics) if self.relays:
                self.topic = topics[0]
                line.tags[self.tag(line)] = None
                self.announce(line)
            case records.Summary(tag):
                self._level[line.link, tag] = None
                self.say(line, replace(record, store=bytes(16), arrival=0, heads=()))
            case records.Want(tag, ids):
                found = [i for i in ids if i in self.library and i not in self.withheld]
                commits = tuple(self.library[each] for each in found)
                self.say(line, records.Commits(tag, commits, 0, last=True))
            case records.Commits(tag, commits) if commits and self.receipts:
                assert self.topic is not None
                wanted = sorted(commit_id(self.topic, each.sealed) for each in commits)
                self.library.update(
                    {commit_id(self.topic, each.sealed): each for each in commits}
                )
                self.say(line, records.Receipt(tag, tuple(dict.fromkeys(wanted))))
            case records.JoinRequest() if self.welcome is not None:
                self.say(line, self.welcome)
            case records.Welcome():
                self.topic = record.topic
                self.auth = CommitGrant(record.grant)
                self.keys.update(record.keys)
                self.announce(line)
            case _:
                pass

    # Links

    def call(self, ref: SimRef[Any], *, seed: bytes | None = None) -> Line:
        """Open a session with a node, keyed by the seed of an invite if one is given."""
        return self.call_node(ref.node, seed=seed)

    def call_node(self, node: SimNode, *, seed: bytes | None = None) -> Line:
        """Open a session with any node of the world, a relay too."""
        self._next += 2
        link = LinkId(self._next)
        core = node.running()[0]
        line = Line(link, node.address, core.device, seed)
        self.lines[link] = line
        self._out.append(Dial(link, node.address))
        self.flush()
        self.sim.world.wait_for(lambda: line.open or bool(line.over), _WAIT)
        return line

    def line_to(self, ref: SimRef[Any]) -> Line:
        """Return a session with a node over which the shared actor is synced."""
        device = ref.node.running()[0].device
        for line in self.lines.values():
            if line.peer == device and line.open:
                break
        else:
            line = self.call(ref)
        claim(line.open, f"the attacker reaches node {ref.node.index}: {line.over}")
        return line

    def connect(self, *refs: SimRef[Any]) -> None:
        """Sync with these nodes, as any member would."""
        for ref in refs:
            line = self.line_to(ref)
            ready = self.sim.world.wait_for(partial(self.synced, line), _WAIT)
            claim(ready, f"node {ref.node.index} syncs with the attacker")

    def synced(self, line: Line) -> bool:
        """Whether a victim has said what it holds, and heard from us that we hold the same."""
        return self.topic is not None and (line.link, self.tag(line)) in self._level

    def tag(self, line: Line) -> bytes:
        """Return the name of the actor on a line."""
        assert line.session is not None
        assert self.topic is not None
        return line.session.tag(self.topic)

    def announce(self, line: Line) -> None:
        """Announce the actor where the victim has, once."""
        tag = b"" if self.topic is None else self.tag(line)
        if tag in line.tags and (line.link, tag) not in self._said:
            self._said[line.link, tag] = None
            self.say(line, records.Announce((tag,)))

    def subscribe(self, line: Line) -> None:
        """Ask a relay to keep the actor."""
        assert self.topic is not None
        self._said[line.link, self.tag(line)] = None
        self.say(line, records.Subscribe((self.topic,)))

    def say(self, line: Line, *said: Record) -> None:
        """Say records in one message."""
        if line.open:
            assert line.session is not None
            frames = line.session.seal(self.codec.encode(said))
            self._out += [Send(line.link, frame) for frame in frames]
            self.flush()

    def say_raw(self, line: Line, plain: bytes) -> None:
        """Say bytes that are no records."""
        assert line.session is not None
        self._out += [Send(line.link, frame) for frame in line.session.seal(plain)]
        self.flush()

    def hang_up(self, line: Line) -> None:
        """End a link."""
        line.over = "we hung up"
        self._out.append(Hangup(line.link, "done"))
        self.flush()

    def flush(self) -> None:
        """Let the world see what is to be sent."""
        self.sim.world.poke(self.node)

    def push(self, ref: SimRef[Any], commits: Iterable[Commit]) -> None:
        """Push commits to a node as if they were news."""
        self.push_on(self.line_to(ref), commits)

    def push_on(self, line: Line, commits: Iterable[Commit]) -> None:
        """Push commits over a line."""
        tag = self.tag(line)
        chunk: list[Commit] = []
        for commit in commits:
            size = sum(len(each.sealed) for each in chunk) + len(commit.sealed)
            if len(chunk) == _CHUNK or size > _CHUNK_BYTES:
                self.say(line, records.Commits(tag, tuple(chunk), 0, last=True))
                chunk = []
            chunk.append(commit)
        self.say(line, records.Commits(tag, tuple(chunk), 0, last=True))

    # Joining

    def join(self, host: SimRef[Any], role: Role = Role.WRITER) -> None:
        """Become a member by a real invite."""
        self.use(self.sim.invite(host, role), host)
        claim(self.topic is not None, "the attacker was let in")
        self.spy = host

    def use(self, invite: Invite, host: SimRef[Any]) -> Line:
        """Use an invite and wait for what comes of it."""
        line = self.call(host, seed=invite.seed)
        if line.open:
            self.say(line, records.JoinRequest(self.prekey.public))
            self.sim.world.wait_for(lambda: bool(self.answers(line)), Duration(10 * 10**9))
        return line

    def answers(self, line: Line) -> list[Record]:
        """Return the welcomes, and the refusals of no actor, that a line brought."""
        kinds = (records.Welcome, records.Refusal)
        found = [r for on, r in self.heard if on is line and isinstance(r, kinds)]
        return [r for r in found if isinstance(r, records.Welcome) or not r.tag]

    # Forging

    def draft(self, *entries: Entry, **changes: Any) -> Draft:
        """Return a draft of an honest member's next commit, but for the changes."""
        journal = self.journal
        heads: tuple[CommitId, ...] = changes.get("parents", journal.graph.heads)
        known = [each for each in map(journal.graph.index_of, heads) if each is not None]
        known = known or list(journal.graph.version)
        epoch: CommitId | None = changes.get("epoch", journal.choose_epoch(known))
        held = None if epoch is None else journal.epochs.key(epoch)
        key = b"" if epoch is None else self.keys.get(epoch) or (held.key if held else b"")
        assert self.auth is not None
        plain = Draft(
            parents=heads,
            auth=self.auth,
            backlink=self.last,
            epoch=epoch,
            key=key,
            entries=entries,
        )
        return replace(plain, **changes)

    def turn(self, name: str, **changes: Any) -> SealedCommit:
        """Make a commit with one turn that enters a line."""
        return self.make(self.draft(TurnEntry(enter(name)), **changes))

    def make(self, draft: Draft, *, keep: bool = True) -> SealedCommit:
        """Seal and sign a draft. keep: go on from it as the own last commit."""
        assert self.topic is not None
        author = draft.author or self.device
        seq = draft.seq
        if seq is None:
            seq = 0 if draft.backlink is None else self.facts(draft.backlink).seq + 1
        inner = Inner(
            author=author,
            seq=seq,
            backlink=draft.backlink,
            auth=draft.auth,
            parents=tuple(sorted(draft.parents)),
            wall=Wall(draft.wall),
            entries=draft.entries,
        )
        gen = draft.gen
        if gen is None:
            gen = min(1 + max(map(self.gen, draft.parents)), (1 << 64) - 1)
        made = self._seal(draft, inner, gen)
        self._facts[made.id] = ChainFacts(author, seq, draft.auth)
        self._gens[made.id] = gen
        self.library[made.id] = Commit(made.sealed, made.beside)
        if keep:
            self.last = made.id
        return made

    def _seal(self, draft: Draft, inner: Inner, gen: int) -> SealedCommit:
        """Seal, and sign as whoever we are, whatever the inner says."""
        assert self.topic is not None
        key = ContentKey(self.topic, draft.key)
        signer = cast("Signer", _Hand(self.crypto, self.seed, inner.author))

        def past(commit: CommitId) -> ChainFacts:
            facts = self.facts(commit)
            # The encoding implies author and seq: to lie about them it is told a lie.
            return ChainFacts(inner.author, inner.seq - 1, facts.auth)

        if inner.entries and isinstance(inner.entries[0], EpochEntry):
            return make_epoch(
                signer, key, gen=gen, inner=inner, past=past, prekeys=draft.prekeys
            )
        assert draft.epoch is not None
        return make_commit(signer, key, epoch=draft.epoch, gen=gen, inner=inner, past=past)

    def rotate(self, *entries: Entry, **changes: Any) -> SealedCommit:
        """Make an epoch commit; honest wraps unless `prekeys` or the entry say otherwise."""
        key = self.entropy.draw(32)
        history = changes.pop("history", b"")
        entry = EpochEntry(self.entropy.draw(32), history)
        if "prekeys" not in changes:
            changes["prekeys"] = self.prekeys_at(changes.get("parents"))
        made = self.make(self.draft(entry, *entries, key=key, **{**changes, "epoch": None}))
        self.keys[made.id] = key
        return made

    def prekeys_at(self, parents: tuple[CommitId, ...] | None = None) -> tuple[bytes, ...]:
        """Return the prekeys of the readers in a version that the spy knows."""
        graph = self.journal.graph
        found = map(graph.index_of, graph.heads if parents is None else parents)
        return self.journal._readers_prekeys([each for each in found if each is not None])

    @property
    def journal(self) -> Journal:
        """What a member knows."""
        assert self.spy is not None
        return journal_of(self.spy)

    def facts(self, commit: CommitId) -> ChainFacts:
        """Return what a commit says of its author's chain."""
        found = self._facts.get(commit) or self.journal.graph.facts(commit)
        assert found is not None, "the spy does not know that commit"
        return found

    def gen(self, commit: CommitId) -> int:
        """Return the generation of a commit."""
        if commit in self._gens:
            return self._gens[commit]
        index = self.journal.graph.index_of(commit)
        assert index is not None, "the spy does not know that commit"
        return self.journal.graph.gen_of(index)

    def sent(self, commit: SealedCommit) -> Commit:
        """Return a commit as it is sent."""
        return Commit(commit.sealed, commit.beside)


@dataclass(frozen=True, slots=True)
class _Hand:
    """A signer that signs under another's name."""

    crypto: Crypto
    seed: bytes
    device: DeviceId
