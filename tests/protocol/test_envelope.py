"""Envelopes: what is written is read, and no bytes of a peer do more than be refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.base.canonical import varint
from comity.base.clock import Wall
from comity.base.endings import Ending
from comity.base.errors import Reason, Rejected
from comity.base.ids import DeviceId
from comity.base.limits import CHAIN_MAX, ENVELOPE_BYTES_MAX, LETTER_BYTES_MAX
from comity.protocol.envelope import (
    CallHead,
    Envelope,
    Letter,
    ReplyHead,
    decode_envelope,
    encode_envelope,
    envelope_hash,
    letter_size,
)

A, B = DeviceId(b"a" * 32), DeviceId(b"b" * 32)
HEAD = CallHead(bytes(16), "add", bytes(8))
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
words = st.binary(min_size=16, max_size=16)
calls = st.builds(
    CallHead,
    words,
    names,
    st.binary(min_size=8, max_size=8),
    st.booleans(),
    st.integers(0, 2**63).map(Wall),
    st.lists(words, max_size=3).map(tuple),
)
replies = st.builds(ReplyHead, st.integers(0, 2**63), st.sampled_from(Ending))
letters = st.tuples(calls | replies, st.binary(max_size=300))
many = st.lists(letters, min_size=1, max_size=6).flatmap(
    lambda found: st.lists(st.sampled_from(found), min_size=1, max_size=12)
)
envelopes = st.builds(
    Envelope,
    st.integers(2, 2**62),
    st.binary(min_size=32, max_size=32).filter(any),
    st.integers(0, 2**62),
    many.map(tuple),
)


def encoded(envelope: Envelope) -> bytes:
    """Return its bytes."""
    return encode_envelope(envelope.first, envelope.prev, envelope.ack, envelope.letters)


@given(envelopes)
def test_what_is_written_is_read(envelope: Envelope) -> None:
    """Every envelope comes back equal, and its letters are no larger than they say."""
    data = encoded(envelope)
    assert decode_envelope(data) == envelope
    assert len(data) <= sum(map(letter_size, envelope.letters)) + 64


@given(envelopes)
def test_no_part_and_no_continuation_of_an_envelope_is_one(envelope: Envelope) -> None:
    """Cut anywhere, or with bytes behind it, it is refused."""
    data = encoded(envelope)
    for size in range(len(data)):
        assert isinstance(decode_envelope(data[:size]), Rejected)
    assert isinstance(decode_envelope(data + b"\0"), Rejected)


@given(envelopes, st.data())
def test_no_damage_raises(envelope: Envelope, data: st.DataObject) -> None:
    """Whatever the bytes, they are an envelope or a refusal."""
    damaged = bytearray(encoded(envelope))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(damaged)))
        damaged[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    assert isinstance(decode_envelope(bytes(damaged)), Envelope | Rejected)


@given(st.binary(max_size=200))
def test_no_bytes_raise(data: bytes) -> None:
    """Nor do bytes that never were one."""
    assert isinstance(decode_envelope(data), Envelope | Rejected)
    assert isinstance(decode_envelope(b"\xc2\x01" + data), Envelope | Rejected)


def test_a_stream_to_one_method_costs_two_bytes_a_letter() -> None:
    """The head is written once."""
    stream: list[Letter] = [(HEAD, b"x" * 100)] * 1000
    assert len(encode_envelope(1, bytes(32), 0, stream)) < 102 * 1000 + 100


def test_a_letter_of_the_largest_fits_an_envelope_with_everything_in_its_head() -> None:
    """The limits agree with one another."""
    head = replace(HEAD, method="m" * 128, chain=(bytes(16),) * CHAIN_MAX, wants_reply=True)
    data = encode_envelope(2**60, b"x" * 32, 2**60, [(head, bytes(LETTER_BYTES_MAX))])
    assert isinstance(decode_envelope(data), Envelope)


START = b"\xc2\x01" + varint(1) + bytes(32) + varint(0)
CALL = b"\0" + bytes(24) + varint(0) + b"\0" + b"\x03add" + b"\0"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\xc1" + START[1:], Reason.MALFORMED),
        (b"\xc2\x02" + START[2:], Reason.UNSUPPORTED),
        (START + varint(0), Reason.MALFORMED),
        (START + varint(1025) + CALL * 1025, Reason.MALFORMED),
        (START + varint(1) + b"\x80\0", Reason.MALFORMED),
        (START + varint(1) + b"\x03" + CALL[1:], Reason.MALFORMED),
        (START + varint(1) + b"\x02\x01\x07\0", Reason.MALFORMED),
        (b"\xc2\x01\0" + START[3:] + varint(1) + CALL, Reason.MALFORMED),
        (b"\xc2\x01\x02" + START[3:] + varint(1) + CALL, Reason.MALFORMED),
        (START[:3] + b"x" * 32 + b"\0" + varint(1) + CALL, Reason.MALFORMED),
        (b"\xc2\x01" + bytes(ENVELOPE_BYTES_MAX), Reason.TOO_BIG),
    ],
)
def test_what_is_refused(data: bytes, reason: Reason) -> None:
    """Each rule of the layout has its refusal; without the fault it is an envelope."""
    found = decode_envelope(data)
    assert isinstance(found, Rejected)
    assert found.reason is reason
    assert isinstance(decode_envelope(START + varint(1) + CALL), Envelope)


def test_the_name_of_an_envelope_is_of_its_edge() -> None:
    """The same bytes on another edge, or the way back, are another envelope."""
    data = encode_envelope(1, bytes(32), 0, [(HEAD, b"")])
    assert envelope_hash(A, B, data) != envelope_hash(B, A, data)
    assert envelope_hash(A, B, data) != envelope_hash(A, A, data)
