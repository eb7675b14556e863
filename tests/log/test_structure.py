"""A commit must fit where it says it hangs: every lie about its place has its reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from comity.base.errors import Reason, Rejected
from comity.base.ids import CommitId
from comity.log.entries import EpochEntry, GenesisEntry, TurnEntry
from comity.log.graph import Graph
from comity.log.inner import Inner
from comity.log.sealed import Sealed
from comity.log.structure import check_structure, missing_parents
from tests.log.world import PORTS, World, parsed

UNKNOWN = CommitId(b"?" * 32)


@pytest.fixture
def world() -> World:
    """Return an actor with two concurrent commits of two devices, and one on both."""
    world = World(PORTS[1])
    first = world.commit(0, (TurnEntry(b"a"),))
    second = world.commit(1, (TurnEntry(b"b"),), (world.epoch,))
    world.commit(0, (TurnEntry(b"c"),), (first, second))
    return world


def made(world: World, author: int) -> tuple[Inner, Sealed]:
    """Return a good commit of a device on all heads."""
    inner = world.inner(author, (TurnEntry(b"d"),))
    return inner, parsed(world.make(author, inner).sealed)


def reason(world: World, inner: Inner, sealed: Sealed) -> Reason:
    """Check what must be refused and return why."""
    refused = check_structure(world.graph, inner, sealed)
    assert isinstance(refused, Rejected)
    return refused.reason


def test_what_fits_is_taken(world: World) -> None:
    """Every device's next commit, on all heads or on old parents."""
    for author in range(3):
        inner, sealed = made(world, author)
        assert check_structure(world.graph, inner, sealed) is None
        inner = world.inner(author, (), (world.epoch,))
        sealed = parsed(world.make(author, inner).sealed)
        assert check_structure(world.graph, inner, sealed) is None


def test_a_missing_parent_is_named(world: World) -> None:
    """PARENT_UNKNOWN, and which ones."""
    inner, sealed = made(world, 0)
    parents = tuple(sorted((*inner.parents, UNKNOWN)))
    assert reason(world, replace(inner, parents=parents), sealed) is Reason.PARENT_UNKNOWN
    assert missing_parents(world.graph, parents) == (UNKNOWN,)


def test_a_parent_that_is_an_ancestor_of_another_is_refused(world: World) -> None:
    """Near or far above the other one."""
    inner, sealed = made(world, 0)
    head = world.number(inner.parents[0])
    for ancestor in range(head):
        parents = tuple(sorted((*inner.parents, world.graph.id_of(ancestor))))
        wide = replace(inner, parents=parents)
        assert reason(world, wide, sealed) is Reason.PARENTS_NOT_MINIMAL


def test_a_lie_in_gen_is_refused(world: World) -> None:
    """One more, one less, the largest, ground or not."""
    inner, sealed = made(world, 0)
    for gen in (sealed.gen - 1, sealed.gen + 1, (1 << 64) - 1, 1):
        assert reason(world, inner, replace(sealed, gen=gen)) is Reason.WRONG_GEN


def test_a_lie_in_the_chain_is_refused(world: World) -> None:
    """A backlink outside the past, of another author, or with another seq."""
    inner, sealed = made(world, 0)
    foreign = world.graph.id_of(2)
    assert world.graph.author_of(2) != inner.author
    assert reason(world, replace(inner, backlink=foreign), sealed) is Reason.WRONG_BACKLINK
    assert reason(world, replace(inner, backlink=UNKNOWN), sealed) is Reason.WRONG_BACKLINK
    outside = replace(inner, parents=(foreign,))
    low = replace(sealed, gen=2)
    assert reason(world, outside, low) is Reason.WRONG_BACKLINK
    for seq in (1, inner.seq - 1, inner.seq + 1):
        assert reason(world, replace(inner, seq=seq), sealed) is Reason.WRONG_SEQ


def test_a_fork_fits(world: World) -> None:
    """Two commits with one backlink, or a second seq 0, are evidence and not a refusal."""
    inner, sealed = made(world, 0)
    old = replace(inner, backlink=world.graph.id_of(1), seq=2)
    again = replace(inner, backlink=None, seq=0)
    for fork in (old, again):
        assert check_structure(world.graph, fork, sealed) is None


def test_the_kinds_inside_and_outside_agree(world: World) -> None:
    """Data, epoch and genesis cannot stand in each other's seal."""
    inner, sealed = made(world, 0)
    epoch = replace(inner, entries=(EpochEntry(b"e" * 32),))
    outer = parsed(world.make_epoch(0, epoch, [b"p" * 32]).sealed)
    genesis = world.inners[world.epoch]
    founding = parsed(world.sealed[world.epoch].sealed)
    assert check_structure(world.graph, epoch, outer) is None
    pairs = [(inner, sealed), (epoch, outer), (genesis, founding)]
    for mine, (inside, _) in enumerate(pairs):
        for other, (_, outside) in enumerate(pairs):
            if mine != other:
                assert reason(world, inside, outside) is Reason.MALFORMED


def test_a_genesis_comes_first_and_commits_to_one_key(world: World) -> None:
    """Into an empty graph only; the commitment inside is the one outside."""
    genesis = world.inners[world.epoch]
    founding = parsed(world.sealed[world.epoch].sealed)
    assert check_structure(Graph(), genesis, founding) is None
    assert reason(world, genesis, founding) is Reason.GENESIS_MISMATCH
    entry = genesis.entries[0]
    assert isinstance(entry, GenesisEntry)
    lying = replace(genesis, entries=(replace(entry, kcommit=b"l" * 32),))
    refused = check_structure(Graph(), lying, founding)
    assert isinstance(refused, Rejected)
    assert refused.reason is Reason.GENESIS_MISMATCH
