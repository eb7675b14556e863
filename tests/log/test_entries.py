"""Entries: one encoding each, every other form refused, later kinds kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.base.canonical import varint
from comity.base.errors import Reason, Rejected
from comity.base.ids import DeviceId
from comity.log.entries import (
    ENTRIES_MAX,
    HANDOVER_BYTES_MAX,
    AddEntry,
    Cause,
    Entry,
    GenesisEntry,
    RemoveEntry,
    Role,
    TurnEntry,
    UnknownEntry,
    decode_entries,
    encode_entries,
)
from tests.log.world import entries

if TYPE_CHECKING:
    from collections.abc import Callable

ID = bytes(range(32))


def entry(kind: int, payload: bytes) -> bytes:
    """Encode an entry by hand."""
    return varint(kind) + varint(len(payload)) + payload


@given(st.lists(entries, max_size=6).map(tuple))
def test_entries_come_back_as_they_were(body: tuple[Entry, ...]) -> None:
    """Decoding is the inverse of encoding."""
    assert decode_entries(encode_entries(body)) == body


@given(st.lists(entries, max_size=3).map(tuple), st.data())
def test_what_decodes_has_one_encoding(body: tuple[Entry, ...], data: st.DataObject) -> None:
    """Bytes that decode after any change are the encoding of what they decode to."""
    encoded = bytearray(encode_entries(body) or b"\0")
    place = data.draw(st.integers(0, len(encoded) - 1))
    encoded[place] = data.draw(st.integers(0, 255))
    changed = bytes(encoded)
    decoded = decode_entries(changed)
    if not isinstance(decoded, Rejected):
        assert encode_entries(decoded) == changed


@given(st.binary(max_size=200))
def test_any_bytes_give_entries_or_a_refusal(noise: bytes) -> None:
    """No input raises; what is taken encodes back to the same bytes."""
    decoded = decode_entries(noise)
    if not isinstance(decoded, Rejected):
        assert encode_entries(decoded) == noise


@given(entries)
def test_a_cut_entry_is_refused(one: Entry) -> None:
    """Every proper prefix of a single entry is malformed, the empty one aside."""
    encoded = encode_entries((one,))
    for length in range(1, len(encoded)):
        refused = decode_entries(encoded[:length])
        assert isinstance(refused, Rejected)
        assert refused.reason is Reason.MALFORMED


GENESIS = ID + ID + b"\x01T"


@pytest.mark.parametrize(
    "body",
    [
        entry(0, b""),
        b"\x82\x00\x01\x00",  # kind 2, not in its shortest form
        b"\x02\x81\x00\x00",  # length 1, not in its shortest form
        entry(1, GENESIS + b"\x00"),
        entry(1, GENESIS + b"\x11" + b"".join(bytes([n]) * 32 for n in range(17))),
        entry(1, GENESIS + b"\x02" + ID + ID),
        entry(1, ID + ID + b"\x00\x01" + ID),
        entry(1, ID + ID + b"\x01\xff\x01" + ID),
        entry(1, GENESIS + b"\x01" + ID + b"\x00"),
        entry(2, b""),
        entry(2, b"\x02"),
        entry(2, b"\x01" + ID + ID),
        entry(2, b"\x01" + ID + ID + b"\x80\x00\x00"),
        entry(2, b"\x01" + ID + ID + b"\x05\x81\x04" + bytes(HANDOVER_BYTES_MAX + 1)),
        entry(3, ID + b"\x03" + ID),
        entry(3, ID + b"\x02" + ID[1:]),
        entry(3, ID + b"\x02" + ID + b"\x00"),
        entry(4, ID[1:]),
        entry(4, ID + b"\x00"),
        entry(5, ID[1:]),
        entry(6, ID + b"\x00"),
        entry(7, ID[1:]),
        entry(8, ID),
        entry(8, ID + b"\x01\x00"),
        entry(8, ID + b"\x80\x00"),
    ],
)
def test_other_forms_are_malformed(body: bytes) -> None:
    """Wrong widths, unknown roles and forms, doubled roots, padded numbers are refused."""
    refused = decode_entries(body)
    assert isinstance(refused, Rejected)
    assert refused.reason is Reason.MALFORMED


def test_a_kind_of_a_later_version_is_kept_byte_for_byte() -> None:
    """It decodes to itself between entries that are understood."""
    body = entry(4, ID) + entry(9, b"later") + entry(1 << 60, b"") + entry(2, b"\x00now")
    decoded = decode_entries(body)
    assert decoded == (
        RemoveEntry(DeviceId(ID)),
        UnknownEntry(9, b"later"),
        UnknownEntry(1 << 60, b""),
        TurnEntry(b"now"),
    )
    assert isinstance(decoded, tuple)
    assert encode_entries(decoded) == body


def test_there_is_a_most() -> None:
    """One entry more than the limit is refused before it is kept."""
    most = entry(9, b"") * ENTRIES_MAX
    assert len(decode_entries(most)) == ENTRIES_MAX  # type: ignore[arg-type]
    refused = decode_entries(most + entry(9, b""))
    assert isinstance(refused, Rejected)
    assert refused.reason is Reason.TOO_BIG


def test_the_bytes_are_the_documented_ones() -> None:
    """Two entries written out by hand from the reference."""
    cause = Cause(DeviceId(b"s" * 32), DeviceId(b"r" * 32), 300, b"H")
    by_hand = b"\x02\x47\x01" + b"s" * 32 + b"r" * 32 + b"\xac\x02" + b"\x01H" + b"op"
    assert encode_entries((TurnEntry(b"op", cause),)) == by_hand
    add = AddEntry(DeviceId(b"d" * 32), Role.WRITER, b"p" * 32)
    assert encode_entries((add,)) == b"\x03\x41" + b"d" * 32 + b"\x01" + b"p" * 32


@pytest.mark.parametrize(
    "make",
    [
        lambda: GenesisEntry(ID, "", (DeviceId(ID),), ID),
        lambda: GenesisEntry(ID, "T", (), ID),
        lambda: GenesisEntry(ID, "T", (DeviceId(ID), DeviceId(ID)), ID),
        lambda: UnknownEntry(2, b""),
        lambda: UnknownEntry(0, b""),
        lambda: Cause(DeviceId(ID), DeviceId(ID), -1),
        lambda: RemoveEntry(DeviceId(b"short")),
    ],
)
def test_a_value_without_an_encoding_cannot_be_made(make: Callable[[], object]) -> None:
    """Constructors assert: such a value would be our own fault."""
    with pytest.raises(AssertionError):
        make()
