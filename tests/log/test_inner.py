"""The inner part: what can be implied must be, what is not canonical is refused."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.base.canonical import varint
from comity.base.clock import Wall
from comity.base.errors import Reason, Rejected
from comity.base.ids import CommitId, DeviceId
from comity.log.entries import (
    AdoptEntry,
    Entry,
    EpochEntry,
    GenesisEntry,
    RemoveEntry,
    TurnEntry,
    UndoEntry,
    encode_entries,
)
from comity.log.inner import (
    ChainFacts,
    CommitGrant,
    Inner,
    Past,
    Peeked,
    RootGrant,
    decode_inner,
    encode_inner,
    padded_bytes,
    peek_parents,
)
from tests.log.world import U64_MAX, inners

A, B, C = (CommitId(bytes([n]) * 32) for n in (0xA0, 0xB0, 0xC0))
ME = DeviceId(b"m" * 32)
ROOT_1 = RootGrant(1)
BEFORE = ChainFacts(ME, 6, ROOT_1)
FOUNDING = GenesisEntry(b"s" * 32, "T", (ME,), b"k" * 32)
TAIL = b"\x07\x00"  # wall 7, no body


def known(*commits: CommitId) -> dict[CommitId, ChainFacts]:
    """Return a past in which each of these is the same author's commit of seq 6."""
    return dict.fromkeys(commits, BEFORE)


def padded(raw: bytes) -> bytes:
    """Pad as the format says."""
    return raw + bytes(padded_bytes(len(raw)) - len(raw))


def refusal(data: bytes, past: dict[CommitId, ChainFacts] | None = None) -> Reason:
    """Decode what must be refused and return why."""
    refused = decode_inner(data, (past or {}).get)
    assert isinstance(refused, Rejected), refused
    return refused.reason


@given(inners())
def test_inners_come_back_as_they_were(drawn: tuple[Inner, dict[CommitId, ChainFacts]]) -> None:
    """Decoding is the inverse of encoding, for every form of chain and grant."""
    inner, past = drawn
    encoded = encode_inner(inner, past.get)
    assert decode_inner(encoded, past.get) == inner
    assert len(encoded) == padded_bytes(len(encoded))
    peeked = peek_parents(encoded)
    assert isinstance(peeked, Peeked)
    assert peeked.parents == inner.parents
    assert peeked.backlink == (None if inner.backlink in inner.parents else inner.backlink)


@given(inners(), st.data())
def test_what_decodes_has_one_encoding(
    drawn: tuple[Inner, dict[CommitId, ChainFacts]], data: st.DataObject
) -> None:
    """Bytes that decode after a change are the encoding of what they decode to."""
    inner, past = drawn
    encoded = bytearray(encode_inner(inner, past.get))
    place = data.draw(st.integers(0, min(80, len(encoded) - 1)) | st.just(len(encoded) - 1))
    encoded[place] = data.draw(st.integers(0, 255))
    decoded = decode_inner(bytes(encoded), past.get)
    if not isinstance(decoded, Rejected):
        assert encode_inner(decoded, past.get) == encoded


@given(st.binary(max_size=300))
def test_any_bytes_give_an_inner_or_a_refusal(noise: bytes) -> None:
    """No input raises, with a past that knows everything or nothing."""
    pasts: list[Past] = [lambda _commit: BEFORE, lambda _commit: None]
    for past in pasts:
        decoded = decode_inner(noise, past)
        if not isinstance(decoded, Rejected):
            assert encode_inner(decoded, past) == noise
    peek_parents(noise)


@given(inners())
def test_cut_or_lengthened_bytes_are_refused(
    drawn: tuple[Inner, dict[CommitId, ChainFacts]],
) -> None:
    """Every proper prefix and every added byte or block is refused."""
    inner, past = drawn
    encoded = encode_inner(inner, past.get)
    cuts = [encoded[:length] for length in range(len(encoded))]
    for other in (*cuts, encoded + b"\0", encoded + bytes(32), encoded + b"\x01"):
        assert isinstance(decode_inner(other, past.get), Rejected)


def test_a_commit_on_its_own_predecessor_implies_everything() -> None:
    """Flags, parents, wall and body are all that is left."""
    inner = Inner(ME, 7, A, ROOT_1, (A,), Wall(7), (TurnEntry(b"op"),))
    by_hand = b"\x01" + b"\x01" + A + b"\x07" + b"\x05" + b"\x02\x03\x00op"
    assert encode_inner(inner, known(A).get) == by_hand + bytes(64 - len(by_hand))


def test_among_several_parents_the_backlink_is_an_index() -> None:
    """One byte after the parents."""
    inner = Inner(ME, 7, B, ROOT_1, (A, B), Wall(7), ())
    assert encode_inner(inner, known(B).get) == padded(b"\x01\x02" + A + B + b"\x01" + TAIL)


def test_other_forms_of_chain_and_grant() -> None:
    """A stated backlink, a first commit, a root's and a commit's grant, by hand."""
    stated = Inner(ME, 7, C, CommitGrant(A), (A, B), Wall(7), ())
    by_hand = b"\x0a" + C + A + b"\x02" + A + B + TAIL
    assert encode_inner(stated, known(C).get) == padded(by_hand)
    first = Inner(ME, 0, None, RootGrant(15), (A,), Wall(7), ())
    assert encode_inner(first, known().get) == padded(b"\x04" + ME + b"\x0f\x01" + A + TAIL)
    genesis = Inner(ME, 0, None, RootGrant(0), (), Wall(7), (FOUNDING,))
    body = encode_entries((FOUNDING,))
    by_hand = b"\x03\x00\x07" + varint(len(body)) + body
    assert encode_inner(genesis, known().get) == padded(by_hand)


@pytest.mark.parametrize(
    "raw",
    [
        b"\x01\x02" + B + A + b"\x01" + TAIL,  # parents descend
        b"\x01\x02" + A + A + b"\x01" + TAIL,  # a parent twice
        b"\x02" + A + b"\x02" + A + B + TAIL,  # a stated backlink is a parent
        b"\x05\x01" + b"\x01" + A + TAIL,  # a stated grant is the implied one
        b"\x06" + C + b"\x01" + b"\x01" + A + TAIL,  # the same with a stated backlink
    ],
)
def test_what_is_not_canonical_is_refused(raw: bytes) -> None:
    """What can be implied is stated, or an order is another than the one permitted."""
    assert refusal(padded(raw), known(A, B, C)) is Reason.NOT_CANONICAL


@pytest.mark.parametrize(
    "data",
    [
        b"\x01\x01" + A + TAIL,  # none
        padded(b"\x01\x01" + A + TAIL) + bytes(32),  # a block too many
        padded(b"\x01\x01" + A + TAIL)[:-1] + b"\x01",  # not zero
        padded(b"\x01\x01" + A + TAIL)[:-1],  # a byte short
    ],
)
def test_padding_is_exact(data: bytes) -> None:
    """Length and content of the padding are part of the one form."""
    assert refusal(data, known(A)) is Reason.NOT_CANONICAL


@pytest.mark.parametrize(
    "raw",
    [
        b"\x11\x01" + A + TAIL,  # a flag that has no meaning
        b"\x0d\x01" + A + TAIL,  # a form of grant that there is not
        b"\x01\x00" + TAIL,  # a backlink among no parents
        b"\x03\x01" + A + TAIL,  # a genesis with a parent
        b"\x07\x00\x00" + TAIL,  # a genesis that states its grant
        b"\x00" + ME + b"\x01" + A + TAIL,  # a first commit that implies its grant
        b"\x04" + ME + b"\x10\x01" + A + TAIL,  # root 16
        b"\x01\x02" + A + B + b"\x02" + TAIL,  # parent 2 of 2
        b"\x01\x11" + b"".join(bytes([n]) * 32 for n in range(17)) + b"\x00" + TAIL,
        b"\x01\x01" + A + b"\x87\x00" + b"\x00",  # a wall time that is not shortest
        b"\x01\x01" + A + b"\x07" + b"\x80\x00",  # a length that is not shortest
    ],
)
def test_what_has_no_meaning_is_malformed(raw: bytes) -> None:
    """Flags, counts, indices and numbers outside the format."""
    assert refusal(padded(raw), known(A, B)) is Reason.MALFORMED


TURN = TurnEntry(b"")
ADOPT = AdoptEntry(A)
EPOCH = EpochEntry(b"e" * 32)


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (b"\x03\x00", ()),
        (b"\x03\x00", (TURN, FOUNDING)),
        (b"\x03\x00", (FOUNDING, FOUNDING)),
        (b"\x03\x00", (FOUNDING, ADOPT)),
        (b"\x03\x00", (FOUNDING, UndoEntry(A, 0))),
        (b"\x03\x00", (FOUNDING, EPOCH)),
        (b"\x01\x01" + A, (FOUNDING,)),
        (b"\x01\x01" + A, (TURN, EPOCH)),
        (b"\x01\x01" + A, (EPOCH, EPOCH)),
        (b"\x01\x01" + A, (ADOPT, TURN, RemoveEntry(ME))),
    ],
)
def test_entries_stand_where_they_may(head: bytes, body: tuple[Entry, ...]) -> None:
    """Founding and epoch entries first and alone, one authority entry, a genesis but founds."""
    encoded = encode_entries(body)
    raw = head + b"\x07" + varint(len(encoded)) + encoded
    assert refusal(padded(raw), known(A)) is Reason.MALFORMED


def test_a_missing_backlink_may_come_unless_nothing_is_missing() -> None:
    """PARENT_UNKNOWN asks to wait; WRONG_BACKLINK is final, and only if no parent lacks."""
    implied = padded(b"\x01\x02" + A + B + b"\x00" + TAIL)
    assert refusal(implied, known(B)) is Reason.PARENT_UNKNOWN
    stated = padded(b"\x02" + C + b"\x02" + A + B + TAIL)
    assert refusal(stated, known(A)) is Reason.PARENT_UNKNOWN
    assert refusal(stated, known(A, B)) is Reason.WRONG_BACKLINK
    assert peek_parents(stated) == Peeked((A, B), C)
    assert peek_parents(implied) == Peeked((A, B), None)


def test_a_chain_cannot_overflow() -> None:
    """After the last number that fits there is none."""
    last = {A: ChainFacts(ME, U64_MAX, ROOT_1)}
    assert refusal(padded(b"\x01\x01" + A + TAIL), last) is Reason.WRONG_SEQ


def test_padding_is_idempotent_and_small() -> None:
    """Multiples of 32 up to 256, then Padme: below 12 % more, O(log log n) bits told."""
    for length in (*range(1, 5000), *range(5000, 520_000, 977)):
        out = padded_bytes(length)
        assert out >= length
        assert padded_bytes(out) == out
        if length <= 256:
            assert out % 32 == 0
            assert out - length < 32
        else:
            assert out <= length * 1.12
            step = 1 << (int(math.log2(length)) - int(math.log2(int(math.log2(length)))) - 1)
            assert out == -(-length // step) * step
