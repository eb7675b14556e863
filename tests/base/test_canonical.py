"""Canonical bytes: one form for each value, and a reader that never leaves its bounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.base.canonical import VARINT_BYTES_MAX, Malformed, Reader, varint, zigzag

U64_MAX: Final = (1 << 64) - 1
BIG: Final = 1 << 30

numbers = st.one_of(st.integers(0, 300), st.integers(0, U64_MAX))
signed = st.one_of(st.integers(-200, 200), st.integers(-(1 << 63), (1 << 63) - 1))

READS: Final[dict[str, Callable[[Reader], object]]] = {
    "take": lambda reader: reader.take(5),
    "u8": Reader.u8,
    "u16": Reader.u16,
    "u32": Reader.u32,
    "u64": Reader.u64,
    "varint": Reader.varint,
    "zigzag": Reader.zigzag,
    "blob": lambda reader: reader.blob(BIG),
    "text": lambda reader: reader.text(BIG),
}


def naive_varint(value: int) -> bytes:
    """Cut a number into groups of 7 bits, the low ones first, all but the last marked."""
    groups = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([group | 0x80 for group in groups[:-1]] + groups[-1:])


@given(numbers)
def test_a_varint_is_its_groups_of_seven_bits(value: int) -> None:
    """The encoding equals the naive one, and the reader takes exactly it."""
    encoded = varint(value)
    assert encoded == naive_varint(value)
    assert len(encoded) <= VARINT_BYTES_MAX
    reader = Reader(encoded + b"\x07")
    assert reader.varint() == value
    assert (reader.position, reader.left) == (len(encoded), 1)


@pytest.mark.parametrize("value", [-1, U64_MAX + 1])
def test_a_number_out_of_range_is_our_own_mistake(value: int) -> None:
    """Neither a negative number nor one of 65 bits is encoded."""
    with pytest.raises(AssertionError):
        varint(value)


@given(st.binary(max_size=12))
def test_bytes_that_read_as_a_varint_are_its_only_form(noise: bytes) -> None:
    """Whatever the reader accepts, `varint` writes byte for byte."""
    reader = Reader(noise)
    try:
        value = reader.varint()
    except Malformed:
        assert reader.position == 0
        return
    assert varint(value) == noise[: reader.position]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "cut off"),
        (b"\x80", "cut off"),
        (b"\x80" * 9, "cut off"),
        (b"\x80\x00", "shortest form"),
        (b"\xff\x80\x00", "shortest form"),
        (b"\x80" * 9 + b"\x02", "larger than 64 bits"),
        (b"\xff" * 9 + b"\x7f", "larger than 64 bits"),
        (b"\x80" * 10, "longer than 10 bytes"),
        (b"\x80" * 10 + b"\x01", "longer than 10 bytes"),
    ],
)
def test_a_wrong_varint_is_told_from_others(data: bytes, text: str) -> None:
    """Cut off, padded, too large and too long each have their word; the cursor stays."""
    reader = Reader(data)
    with pytest.raises(Malformed, match=text):
        reader.varint()
    assert reader.position == 0


@given(signed)
def test_zigzag_comes_back(value: int) -> None:
    """Signed numbers come back, and small magnitudes take small codes."""
    code = zigzag(value)
    assert code in {2 * abs(value), 2 * abs(value) - 1}
    assert Reader(varint(code)).zigzag() == value


def test_zigzag_has_the_range_of_64_bits() -> None:
    """Its ends are the ends of the code; one more asserts."""
    assert (zigzag(-(1 << 63)), zigzag((1 << 63) - 1)) == (U64_MAX, U64_MAX - 1)
    for value in (-(1 << 63) - 1, 1 << 63):
        with pytest.raises(AssertionError):
            zigzag(value)


def test_fixed_numbers_are_little_endian() -> None:
    """One, two, four and eight bytes, the low byte first."""
    reader = Reader(bytes(range(1, 16)))
    assert reader.u8() == 0x01
    assert reader.u16() == 0x0302
    assert reader.u32() == 0x07060504
    assert reader.u64() == 0x0F0E0D0C0B0A0908
    reader.finish()


@given(st.text(max_size=40), st.binary(max_size=200))
def test_what_is_written_is_read_whole_and_nothing_more(name: str, blob: bytes) -> None:
    """Length-prefixed strings and bytes come back in order; `finish` sees the end."""
    encoded = name.encode()
    data = varint(len(encoded)) + encoded + varint(len(blob)) + blob + b"rest"
    reader = Reader(data)
    assert reader.text(200) == name
    assert reader.blob(200) == blob
    with pytest.raises(Malformed, match="4 bytes too many"):
        reader.finish()
    assert reader.rest() == b"rest"
    assert reader.rest() == b""
    reader.finish()


@pytest.mark.parametrize("read", READS.values(), ids=READS)
@given(data=st.binary(max_size=40), start=st.integers(0, 40), length=st.integers(0, 40))
def test_no_read_leaves_its_part(
    read: Callable[[Reader], object], data: bytes, start: int, length: int
) -> None:
    """Inside a part of the data every read goes on or is Malformed, as in the part alone."""
    start = min(start, len(data))
    end = min(start + length, len(data))
    inside, alone = Reader(data, start, end), Reader(data[start:end])
    for _ in range(4):
        outcomes: list[object] = []
        for reader in (inside, alone):
            before = reader.position
            try:
                outcomes.append(read(reader))
            except Malformed as error:
                outcomes.append(type(error))
            else:
                assert reader.position > before
        assert outcomes[0] == outcomes[1]
        assert inside.position - start == alone.position
        assert inside.left == alone.left >= 0


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_nothing_is_read_at_the_end(read: Callable[[Reader], object]) -> None:
    """Every read of no bytes is malformed."""
    with pytest.raises(Malformed):
        read(Reader(b""))


def test_a_claimed_length_allocates_nothing() -> None:
    """A blob that claims more than it may, or more than is there, is refused by number."""
    with pytest.raises(Malformed, match="1000 bytes where 999 is the most"):
        Reader(varint(1000) + bytes(1000)).blob(999)
    with pytest.raises(Malformed, match=f"{1 << 60} bytes wanted at 9, 3 left"):
        Reader(varint(1 << 60) + b"abc").blob(1 << 61)
    assert Reader(varint(999) + bytes(999)).blob(999) == bytes(999)


@pytest.mark.parametrize("text", [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xe2\x82"])
def test_a_string_is_utf8(text: bytes) -> None:
    """Stray bytes, overlong forms, surrogates and cut characters are malformed."""
    with pytest.raises(Malformed, match="not UTF-8"):
        Reader(varint(len(text)) + text).text(10)


@pytest.mark.parametrize(("start", "end"), [(-1, 2), (2, 1), (0, 4), (4, None)])
def test_a_part_outside_the_data_is_our_own_mistake(start: int, end: int | None) -> None:
    """A reader is never made over bytes that are not there."""
    with pytest.raises(AssertionError):
        Reader(b"abc", start, end)
