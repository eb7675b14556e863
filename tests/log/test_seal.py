"""Sealing: deterministic, bound to every byte and to the topic; signatures are masked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from comity.base.errors import Reason, Rejected
from comity.base.ids import CommitId, DeviceId, Topic
from comity.log.entries import EpochEntry, TurnEntry
from comity.log.inner import decode_inner
from comity.log.seal import (
    ContentKey,
    open_sealed,
    seal,
    sign_beside,
    signed_message,
    unmask,
    verify_beside,
)
from comity.log.sealed import assemble, clear_data, commit_id, parse
from tests.log.world import PORTS, World, each_port, flipped, parsed

if TYPE_CHECKING:
    from comity.crypto.port import Crypto

TOPIC = Topic(b"t" * 32)
KEY = ContentKey(TOPIC, b"k" * 32)
EPOCH = CommitId(b"e" * 32)
INNER = bytes(range(64))


def reason(refused: object) -> Reason:
    """Return why something that must be refused was."""
    assert isinstance(refused, Rejected), refused
    return refused.reason


@each_port
def test_what_is_sealed_opens(crypto: Crypto) -> None:
    """The same arguments give the same bytes, and they open to the same inner."""
    clear = clear_data(5, EPOCH)
    sealed = seal(crypto, KEY, clear, INNER)
    assert seal(crypto, KEY, clear, INNER) == sealed
    assert open_sealed(crypto, KEY, parsed(sealed)) == INNER
    assert INNER not in sealed


@each_port
def test_the_nonce_depends_on_all_that_is_sealed(crypto: Crypto) -> None:
    """Another inner, gen, epoch, key or topic gives another nonce: none is used twice."""
    nonces = [
        parsed(seal(crypto, key, clear_data(gen, epoch), inner)).nonce
        for key in (KEY, ContentKey(TOPIC, b"l" * 32), ContentKey(Topic(b"u" * 32), b"k" * 32))
        for gen in (5, 6)
        for epoch in (EPOCH, CommitId(b"f" * 32))
        for inner in (INNER, flipped(INNER, 63), INNER + bytes(32))
    ]
    assert len(dict.fromkeys(nonces)) == len(nonces) == 36


@each_port
def test_another_nonce_is_refused(crypto: Crypto) -> None:
    """Whoever holds the key cannot make a second sealed form of one content."""
    clear = clear_data(5, EPOCH)
    nonce = b"x" * 24
    data = assemble(clear, nonce, crypto.seal(KEY.sealing, nonce, INNER, TOPIC + clear))
    assert reason(open_sealed(crypto, KEY, parsed(data))) is Reason.WRONG_NONCE


@each_port
def test_another_key_or_topic_does_not_open(crypto: Crypto) -> None:
    """The key opens in its topic only."""
    sealed = parsed(seal(crypto, KEY, clear_data(5, EPOCH), INNER))
    for key in (ContentKey(TOPIC, b"l" * 32), ContentKey(Topic(b"u" * 32), b"k" * 32)):
        assert reason(open_sealed(crypto, key, sealed)) is Reason.WRONG_KEY


@pytest.mark.parametrize("crypto", PORTS, ids=lambda port: port.name)
def test_every_flip_of_a_sealed_commit_is_refused(crypto: Crypto) -> None:
    """Data, epoch and genesis commits: no altered byte is taken, in whichever place."""
    world = World(crypto)
    data = world.sealed[world.commit(0, (TurnEntry(b"milk"),))].sealed
    body = (EpochEntry(b"e" * 32),)
    prekeys = [crypto.exchange_public(bytes([n]) * 32) for n in (1, 2, 3)]
    epoch = world.make_epoch(1, world.inner(1, body), prekeys).sealed
    genesis = world.sealed[world.epoch].sealed
    for whole in (data, epoch, genesis):
        assert isinstance(open_sealed(crypto, world.key, parsed(whole)), bytes)
        for place in range(len(whole)):
            for bit in (0, 7):
                sealed = parse(flipped(whole, place, bit))
                if not isinstance(sealed, Rejected):
                    refused = open_sealed(crypto, world.key, sealed)
                    assert reason(refused) in {Reason.WRONG_KEY, Reason.WRONG_NONCE}


@each_port
def test_a_genesis_of_another_topic_is_no_genesis_here(crypto: Crypto) -> None:
    """Sealed under this topic's name, a foreign founding is told apart."""
    world = World(crypto)
    genuine = parsed(world.sealed[world.epoch].sealed)
    plain = open_sealed(crypto, world.key, genuine)
    assert isinstance(plain, bytes)
    inner = decode_inner(plain, world.graph.facts)
    assert inner == world.inners[world.epoch]
    usurped = ContentKey(Topic(b"u" * 32), world.key.key)
    forged = parsed(seal(crypto, usurped, genuine.clear, plain))
    assert reason(open_sealed(crypto, usurped, forged)) is Reason.GENESIS_MISMATCH


@each_port
def test_the_signature_beside_is_masked_and_checked(crypto: Crypto) -> None:
    """Only with the key is it a signature, and only of that commit by that device."""
    seed, commit = b"s" * 32, CommitId(b"c" * 32)
    device = DeviceId(crypto.sign_public(seed))
    beside = sign_beside(crypto, KEY, seed, commit)
    assert verify_beside(crypto, KEY, device, commit, beside) is None
    assert not crypto.verify(device, signed_message(commit), beside)
    assert crypto.verify(device, signed_message(commit), unmask(KEY, commit, beside))
    other = DeviceId(crypto.sign_public(b"o" * 32))
    wrong = [
        verify_beside(crypto, ContentKey(TOPIC, b"l" * 32), device, commit, beside),
        verify_beside(crypto, KEY, other, commit, beside),
        verify_beside(crypto, KEY, device, CommitId(b"d" * 32), beside),
        *(verify_beside(crypto, KEY, device, commit, flipped(beside, n)) for n in range(64)),
        verify_beside(crypto, KEY, device, commit, beside[:-1]),
        verify_beside(crypto, KEY, device, commit, beside + b"\0"),
        verify_beside(crypto, KEY, device, commit, b""),
    ]
    assert [reason(refused) for refused in wrong] == [Reason.BAD_SIGNATURE] * len(wrong)


@each_port
def test_garbage_beside_does_not_change_the_id(crypto: Crypto) -> None:
    """A bad signature first, the right copy later: one id, taken with the right one."""
    world = World(crypto)
    made = world.sealed[world.commit(0, (TurnEntry(b"milk"),))]
    device = world.signers[0].device
    commit = commit_id(world.topic, made.sealed)
    assert commit == made.id
    bad = verify_beside(crypto, world.key, device, commit, bytes(64))
    assert reason(bad) is Reason.BAD_SIGNATURE
    assert verify_beside(crypto, world.key, device, commit, made.beside) is None


def test_secrets_are_not_shown() -> None:
    """No key or seed stands in a repr."""
    world = World(PORTS[1])
    for secret in (world.key, world.signers[0]):
        text = repr(secret)
        for hidden in (world.key.key, world.key.sealing, world.signers[0].seed):
            assert repr(hidden) not in text
            assert hidden.hex() not in text
