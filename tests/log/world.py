"""Commits for the log's tests: strategies for values, and a small actor with devices.

Owns: how tests make entries, inners and sealed commits. May not know: what they check.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import strategies as st

from comity.base.clock import Wall
from comity.base.ids import CommitId, DeviceId, Topic
from comity.crypto.sodium import Sodium
from comity.crypto.symbolic import Symbolic
from comity.log.build import SealedCommit, Signer, make_commit, make_epoch, make_genesis
from comity.log.entries import (
    AddEntry,
    AdoptEntry,
    Cause,
    Entry,
    EpochEntry,
    GenesisEntry,
    PrekeyEntry,
    RemoveEntry,
    Role,
    TurnEntry,
    UndoEntry,
    UnknownEntry,
)
from comity.log.graph import Graph
from comity.log.inner import ChainFacts, CommitGrant, Inner, RootGrant
from comity.log.seal import ContentKey, kcommit_of
from comity.log.sealed import Sealed, parse

if TYPE_CHECKING:
    from comity.crypto.port import Crypto

PORTS: Final[list[Crypto]] = [Sodium(), Symbolic()]
each_port = pytest.mark.parametrize("crypto", PORTS, ids=lambda port: port.name)

NOW: Final = Wall(1_790_000_000_000)
U64_MAX: Final = (1 << 64) - 1

ids = st.binary(min_size=32, max_size=32)
devices = ids.map(DeviceId)
commits = ids.map(CommitId)
numbers = st.one_of(st.integers(0, 300), st.integers(0, U64_MAX))
bodies = st.binary(max_size=400)
causes = st.builds(Cause, devices, devices, numbers, st.binary(max_size=512))
turns = st.builds(TurnEntry, bodies, st.none() | causes)
geneses = st.builds(
    GenesisEntry,
    ids,
    st.text(min_size=1, max_size=60).filter(lambda text: len(text.encode()) <= 256),
    st.lists(devices, min_size=1, max_size=16, unique=True).map(tuple),
    ids,
)
epochs = st.builds(EpochEntry, ids, bodies)
authorities = st.one_of(
    st.builds(AddEntry, devices, st.sampled_from(Role), ids),
    st.builds(RemoveEntry, devices),
    st.builds(AdoptEntry, commits),
)
unknowns = st.builds(UnknownEntry, st.integers(9, U64_MAX), bodies)
plain = st.one_of(
    turns, st.builds(PrekeyEntry, ids), st.builds(UndoEntry, commits, numbers), unknowns
)
entries = st.one_of(plain, authorities, geneses, epochs)
grants = st.one_of(
    st.integers(0, 15).map(RootGrant),
    commits.map(CommitGrant),
)


@st.composite
def bodies_of(draw: st.DrawFn, *, genesis: bool) -> tuple[Entry, ...]:
    """Draw the entries of a commit, all in places where they may stand."""
    if genesis:
        return (
            draw(geneses),
            *draw(st.lists(st.one_of(turns, st.builds(PrekeyEntry, ids), unknowns))),
        )
    rest: list[Entry] = [*draw(st.lists(plain, max_size=4))]
    if draw(st.booleans()):
        rest.insert(draw(st.integers(0, len(rest))), draw(authorities))
    first = [draw(epochs)] if draw(st.booleans()) else []
    return (*first, *rest)


@st.composite
def inners(draw: st.DrawFn) -> tuple[Inner, dict[CommitId, ChainFacts]]:
    """Draw an inner of any form, and the past that it needs."""
    wall = Wall(draw(numbers))
    if draw(st.integers(0, 4)) == 0:
        body = draw(bodies_of(genesis=True))
        founding = body[0]
        assert isinstance(founding, GenesisEntry)
        return Inner(founding.roots[0], 0, None, RootGrant(0), (), wall, body), {}
    body = draw(bodies_of(genesis=False))
    parents = tuple(sorted(draw(st.lists(commits, min_size=1, max_size=16, unique=True))))
    author, auth = draw(devices), draw(grants)
    form = draw(st.integers(0, 2))
    if form == 0:
        return Inner(author, 0, None, auth, parents, wall, body), {}
    backlink = draw(st.sampled_from(parents) if form == 1 else commits)
    before = ChainFacts(author, draw(numbers.filter(lambda seq: seq < U64_MAX)), draw(grants))
    if draw(st.booleans()):
        auth = before.auth
    inner = Inner(author, before.seq + 1, backlink, auth, parents, wall, body)
    return inner, {backlink: before}


class World:
    """One actor founded by its first device, and what its devices commit."""

    def __init__(self, crypto: Crypto, *, device_count: int = 3) -> None:
        """Found it; every device is a root."""
        self.crypto = crypto
        self.signers = [Signer(crypto, bytes([n + 1]) * 32) for n in range(device_count)]
        self.graph = Graph()
        self.sealed: dict[CommitId, SealedCommit] = {}
        self.inners: dict[CommitId, Inner] = {}
        key = bytes([0x4B]) * 32
        roots = tuple(signer.device for signer in self.signers)
        founding = GenesisEntry(bytes([0x53]) * 32, "tests.Todo", roots, kcommit_of(key))
        inner = Inner(roots[0], 0, None, RootGrant(0), (), NOW, (founding,))
        self.topic: Topic
        self.topic, made = make_genesis(self.signers[0], key, inner)
        self.key = ContentKey(self.topic, key)
        self.epoch = made.id
        self._keep(made, inner, 0)

    def inner(
        self, author: int, body: tuple[Entry, ...], parents: tuple[CommitId, ...] | None = None
    ) -> Inner:
        """Return what a device would commit on these parents; on all heads by default."""
        chosen = self.graph.heads if parents is None else tuple(sorted(parents))
        version = [self.number(parent) for parent in chosen]
        device = self.signers[author].device
        ends = self.graph.last_of(device, version)
        if not ends:
            return Inner(device, 0, None, RootGrant(author), chosen, NOW, body)
        seq, backlink = self.graph.seq_of(ends[0]) + 1, self.graph.id_of(ends[0])
        return Inner(device, seq, backlink, RootGrant(author), chosen, NOW, body)

    def make(self, author: int, inner: Inner) -> SealedCommit:
        """Seal and sign, without adding it to the graph."""
        gen = self.gen(inner.parents)
        signer = self.signers[author]
        past = self.graph.facts
        return make_commit(signer, self.key, epoch=self.epoch, gen=gen, inner=inner, past=past)

    def make_epoch(self, author: int, inner: Inner, prekeys: list[bytes]) -> SealedCommit:
        """Seal and sign an epoch commit under the key of this world."""
        gen = self.gen(inner.parents)
        past = self.graph.facts
        return make_epoch(
            self.signers[author], self.key, gen=gen, inner=inner, past=past, prekeys=prekeys
        )

    def commit(
        self, author: int, body: tuple[Entry, ...], parents: tuple[CommitId, ...] | None = None
    ) -> CommitId:
        """Make a commit and add it to the graph."""
        inner = self.inner(author, body, parents)
        made = self.make(author, inner)
        self._keep(made, inner, self.gen(inner.parents))
        return made.id

    def gen(self, parents: tuple[CommitId, ...]) -> int:
        """Return the generation of a commit on these parents."""
        return 1 + max(self.graph.gen_of(self.number(parent)) for parent in parents)

    def number(self, commit: CommitId) -> int:
        """Return the number of a commit that is in the graph."""
        number = self.graph.index_of(commit)
        assert number is not None
        return number

    def _keep(self, made: SealedCommit, inner: Inner, gen: int) -> None:
        self.graph.insert(made.id, inner, gen=gen)
        self.sealed[made.id] = made
        self.inners[made.id] = inner


def parsed(data: bytes) -> Sealed:
    """Take apart a sealed commit that must be well-formed."""
    sealed = parse(data)
    assert isinstance(sealed, Sealed)
    return sealed


def flipped(data: bytes, position: int, bit: int = 0) -> bytes:
    """Return `data` with one bit changed."""
    out = bytearray(data)
    out[position] ^= 1 << bit
    return bytes(out)
