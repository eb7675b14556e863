"""Making commits: small, the same each time, and held to the format."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from comity.base.ids import CommitId
from comity.base.limits import (
    COMMIT_BYTES_MAX,
    DRAFT_BYTES_MAX,
    DRAFT_TURNS_MAX,
    TURN_BYTES_MAX,
)
from comity.log.build import SealedCommit, make_commit
from comity.log.entries import EpochEntry, TurnEntry
from comity.log.inner import Inner, decode_inner, peek_parents
from comity.log.seal import ContentKey, kcommit_of, open_sealed, verify_beside
from comity.log.sealed import commit_id
from comity.log.structure import check_structure
from comity.log.wraps import check_wraps, unwrap_key
from tests.log.world import PORTS, World, each_port, parsed

if TYPE_CHECKING:
    from comity.crypto.port import Crypto

OVERHEAD_BYTES_MAX = 190


def opened(world: World, made: SealedCommit) -> Inner:
    """Take a commit in as a receiver does, short of authority."""
    sealed = parsed(made.sealed)
    assert commit_id(world.topic, made.sealed) == made.id
    plain = open_sealed(world.crypto, world.key, sealed)
    assert isinstance(plain, bytes)
    peek_parents(plain)
    inner = decode_inner(plain, world.graph.facts)
    assert isinstance(inner, Inner)
    assert check_structure(world.graph, inner, sealed) is None
    beside = made.beside
    assert verify_beside(world.crypto, world.key, inner.author, made.id, beside) is None
    return inner


@each_port
def test_a_commit_is_taken_as_it_was_meant(crypto: Crypto) -> None:
    """Data commits of several authors, on one and on several parents."""
    world = World(crypto)
    first = world.commit(0, (TurnEntry(b"a"),))
    second = world.commit(1, (TurnEntry(b"b"),), (world.epoch,))
    for author, parents in ((0, (first, second)), (1, (second,)), (2, (first,)), (0, (first,))):
        inner = world.inner(author, (TurnEntry(b"c"),), parents)
        assert opened(world, world.make(author, inner)) == inner


@each_port
def test_an_epoch_commit_is_taken_as_it_was_meant(crypto: Crypto) -> None:
    """Its readers unwrap the key that it is sealed under, and its wraps check."""
    world = World(crypto)
    world.commit(0, (TurnEntry(b"a"),))
    secrets = [bytes([n]) * 32 for n in (1, 2, 3)]
    prekeys = [crypto.exchange_public(secret) for secret in secrets]
    inner = world.inner(1, (EpochEntry(b"e" * 32, b"older"),))
    made = world.make_epoch(1, inner, prekeys)
    assert opened(world, made) == inner
    sealed = parsed(made.sealed)
    assert [unwrap_key(crypto, world.topic, sealed, secret) for secret in secrets] == [
        world.key.key
    ] * 3
    checked = check_wraps(crypto, world.key, sealed, ephemeral=b"e" * 32, prekeys=prekeys)
    assert checked is None


@each_port
def test_making_a_commit_twice_gives_the_same_bytes(crypto: Crypto) -> None:
    """A draft that is sealed again after a crash is the same commit."""
    made: list[dict[CommitId, SealedCommit]] = []
    for _ in range(2):
        world = World(crypto)
        world.commit(0, (TurnEntry(b"a"),))
        made.append(world.sealed)
    assert made[0] == made[1]


@pytest.mark.parametrize("operations_bytes", [0, 1, 40, 126, 127, 200, 1000, 16_000])
def test_a_commit_costs_little_beside_its_operations(operations_bytes: int) -> None:
    """At most 190 bytes beside operations and padding, the signature included."""
    world = World(PORTS[0])
    for _ in range(3):
        world.commit(0, (TurnEntry(b"before"),))
    inner = world.inner(0, (TurnEntry(bytes([0xFF]) * operations_bytes),))
    made = world.make(0, inner)
    plain = open_sealed(world.crypto, world.key, parsed(made.sealed))
    assert isinstance(plain, bytes)
    padding = len(plain) - len(plain.rstrip(b"\0")) if operations_bytes else len(plain) - 44
    overhead = len(made.sealed) + len(made.beside) - operations_bytes - padding
    assert overhead <= OVERHEAD_BYTES_MAX


def test_the_largest_draft_fits() -> None:
    """A full draft and one full turn stay below the limit of a commit."""
    world = World(PORTS[1])
    each = DRAFT_BYTES_MAX // DRAFT_TURNS_MAX
    turns = [TurnEntry(bytes(each))] * (DRAFT_TURNS_MAX - 1) + [
        TurnEntry(bytes(TURN_BYTES_MAX))
    ]
    made = world.make(0, world.inner(0, tuple(turns)))
    assert len(made.sealed) <= COMMIT_BYTES_MAX
    assert len(opened(world, made).entries) == DRAFT_TURNS_MAX


def test_a_device_signs_for_itself_alone() -> None:
    """Making a commit in another's name is our own fault, not an input."""
    world = World(PORTS[1])
    inner = world.inner(0, (TurnEntry(b""),))
    with pytest.raises(AssertionError):
        world.make(1, inner)


def test_a_chain_that_does_not_follow_is_not_encoded() -> None:
    """The seq must be one more than the backlink commit's."""
    world = World(PORTS[1])
    inner = world.inner(0, ())
    wrong = Inner(inner.author, 5, inner.backlink, inner.auth, inner.parents, inner.wall, ())
    with pytest.raises(AssertionError):
        make_commit(
            world.signers[0], world.key, epoch=world.epoch, gen=1, inner=wrong,
            past=world.graph.facts,
        )  # fmt: skip


def test_the_topic_fixes_the_genesis() -> None:
    """Another key, salt, type or order of roots founds another actor."""
    world = World(PORTS[1])
    assert ContentKey(world.topic, world.key.key) == world.key
    genesis = parsed(world.sealed[world.epoch].sealed)
    assert genesis.wraps is not None
    assert genesis.wraps.kcommit == kcommit_of(world.key.key)
    assert genesis.gen == 0
    assert World(PORTS[1], device_count=2).topic != world.topic
