"""The outer layout: one form, checked without a key."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.base.errors import Reason, Rejected
from comity.base.ids import CommitId, Topic
from comity.base.limits import COMMIT_BYTES_MAX
from comity.crypto.hashing import PERSON_COMMIT, blake2b
from comity.log.inner import padded_bytes
from comity.log.sealed import (
    Sealed,
    Wraps,
    assemble,
    clear_data,
    clear_epoch,
    commit_id,
    parse,
)
from tests.log.world import U64_MAX, flipped, parsed

NONCE = b"n" * 24
EPOCH = CommitId(b"e" * 32)
CIPHER = bytes(32 + 16)
DATA = assemble(clear_data(5, EPOCH), NONCE, CIPHER)


def wrapped(count: int, gen: int = 9) -> bytes:
    """Return an epoch commit with so many wraps."""
    public = b"E" * 32 if count else bytes(32)
    clear = clear_epoch(gen, ephemeral=public, kcommit=b"K" * 32, count=count)
    return assemble(clear + bytes(range(56)) * count, NONCE, CIPHER)


def refusal(data: bytes) -> Reason:
    """Parse what must be refused and return why."""
    refused = parse(data)
    assert isinstance(refused, Rejected), refused
    return refused.reason


@given(st.integers(1, U64_MAX), st.binary(min_size=32, max_size=32), st.integers(1, 2000))
def test_a_data_commit_comes_apart_as_it_was_put_together(
    gen: int, epoch: bytes, size: int
) -> None:
    """Every field is where the layout says."""
    cipher = bytes(padded_bytes(size) + 16)
    clear = clear_data(gen, CommitId(b"\x01" + epoch[1:]))
    sealed = parsed(assemble(clear, NONCE, cipher))
    assert sealed == Sealed(gen, b"\x01" + epoch[1:16], None, clear, NONCE, cipher)
    assert not sealed.is_epoch
    assert not sealed.is_genesis


@pytest.mark.parametrize("count", [0, 1, 2, 4, 64])
def test_an_epoch_commit_comes_apart_as_it_was_put_together(count: int) -> None:
    """Its wraps are a table; without any it is a genesis."""
    data = wrapped(count, gen=9 if count else 0)
    sealed = parsed(data)
    assert sealed.is_epoch
    assert sealed.is_genesis == (count == 0)
    assert sealed.wraps is not None
    assert sealed.wraps.count == count
    assert sealed.clear + NONCE + b"\x30\0\0\0" + CIPHER == data
    assert sealed.wraps.find(bytes(range(8))) == (bytes(range(8, 56)),) * count
    assert sealed.wraps.find(bytes(range(1, 9))) == ()


def test_the_bytes_are_the_documented_ones() -> None:
    """Both kinds written out by hand from the reference."""
    head = b"\xc1\x01\x01\x00" + b"\x05" + bytes(7) + b"e" * 16
    assert head + NONCE + b"\x30\0\0\0" + CIPHER == DATA
    head = b"\xc1\x01\x00\x00" + b"\x09" + bytes(23) + b"E" * 32 + b"K" * 32 + b"\x02\x00"
    assert wrapped(2) == head + bytes(range(56)) * 2 + NONCE + b"\x30\0\0\0" + CIPHER


@pytest.mark.parametrize("data", [DATA, wrapped(2), wrapped(0, gen=0)])
def test_every_cut_and_every_addition_is_refused(data: bytes) -> None:
    """Fed in part or with more behind, it is never taken."""
    for length in range(len(data)):
        assert refusal(data[:length]) in {Reason.MALFORMED, Reason.NOT_CANONICAL}
    for more in (b"\0", b"\xff", bytes(32), data):
        assert refusal(data + more) is Reason.MALFORMED


@given(st.binary(max_size=400))
def test_any_bytes_give_a_commit_or_a_refusal(noise: bytes) -> None:
    """No input raises; a true beginning does not help it."""
    for data in (noise, DATA[:4] + noise, DATA[:28] + noise, wrapped(2)[:94] + noise):
        sealed = parse(data)
        if isinstance(sealed, Sealed):
            assert assemble(sealed.clear, sealed.nonce, sealed.cipher) == data


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (flipped(DATA, 0), Reason.MALFORMED),
        (flipped(DATA, 1), Reason.UNSUPPORTED),
        (DATA[:2] + b"\x02" + DATA[3:], Reason.MALFORMED),
        (flipped(DATA, 2), Reason.MALFORMED),  # an epoch commit that names an epoch
        (flipped(DATA, 3), Reason.MALFORMED),
        (flipped(DATA, 4, 0)[:4] + bytes(8) + DATA[12:], Reason.MALFORMED),  # gen 0
        (DATA[:12] + bytes(16) + DATA[28:], Reason.MALFORMED),  # epoch zero
        (wrapped(2)[:12] + b"\x01" + wrapped(2)[13:], Reason.MALFORMED),
        (wrapped(2)[:4] + bytes(8) + wrapped(2)[12:], Reason.MALFORMED),
        (wrapped(2)[:28] + bytes(32) + wrapped(2)[60:], Reason.MALFORMED),
        (flipped(wrapped(0, gen=0), 4), Reason.MALFORMED),
        (flipped(wrapped(0, gen=0), 28), Reason.MALFORMED),
        (wrapped(2)[:92] + b"\x03\x00" + wrapped(2)[94:], Reason.NOT_CANONICAL),
        (wrapped(2)[:92] + b"\xff\xff" + wrapped(2)[94:], Reason.MALFORMED),
        (DATA[:52] + b"\x31\0\0\0" + CIPHER + b"\0", Reason.NOT_CANONICAL),
        (DATA[:52] + b"\x10\0\0\0" + bytes(16), Reason.NOT_CANONICAL),
        (DATA[:52] + b"\xff\xff\xff\xff" + CIPHER, Reason.MALFORMED),
        (DATA + bytes(COMMIT_BYTES_MAX), Reason.TOO_BIG),
    ],
)
def test_other_forms_are_refused(data: bytes, reason: Reason) -> None:
    """Each rule of the layout, broken alone."""
    assert refusal(data) is reason


def test_an_id_depends_on_every_byte_and_on_the_topic() -> None:
    """It is one personalised hash of both."""
    topic = Topic(b"t" * 32)
    assert commit_id(topic, DATA) == blake2b(topic + DATA, size=32, person=PERSON_COMMIT)
    others = {commit_id(topic, flipped(DATA, place)) for place in range(len(DATA))}
    others |= {commit_id(Topic(b"u" * 32), DATA), commit_id(topic, DATA)}
    assert len(others) == len(DATA) + 2


def test_wraps_hold_their_layout() -> None:
    """What could not be encoded cannot be made."""
    for table, public in ((bytes(55), b"E" * 32), (bytes(56 * 3), b"E" * 32), (b"", b"E" * 32)):
        with pytest.raises(AssertionError):
            Wraps(public, b"K" * 32, table)
