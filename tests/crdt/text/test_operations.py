"""The bytes of a turn on a text: one form, bounded, and only Malformed on anything else."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from comity.base.canonical import Malformed, Reader
from comity.crdt.text.operations import (
    DELETE,
    INSERT,
    MARK,
    MARK_NUMBER_MAX,
    POSITION_MAX,
    Operation,
    anchor,
    decode,
    encode,
    fitted,
)

positions = st.one_of(
    st.integers(0, 300), st.integers(0, 1 << 20), st.just(POSITION_MAX - 9000)
)
inserts: st.SearchStrategy[Operation] = st.tuples(
    positions, st.text(min_size=1, max_size=40)
).map(lambda pair: (INSERT, pair[0], len(pair[1]), pair[1]))
deletes: st.SearchStrategy[Operation] = st.tuples(
    positions, st.one_of(st.integers(1, 100), st.integers(1, 9000))
).map(lambda pair: (DELETE, *pair, ""))
marks: st.SearchStrategy[Operation] = st.tuples(
    positions,
    st.integers(1, 5000),
    st.integers(0, MARK_NUMBER_MAX),
    st.integers(0, 7),
    st.text("abé", min_size=1, max_size=9),
    st.text(max_size=9),
).map(lambda m: (MARK, *m[:2], anchor(2 * m[2]) + chr(m[3]) + m[4] + "\0" + m[5]))
turns: st.SearchStrategy[list[Operation]] = st.lists(
    inserts | deletes | marks, min_size=1, max_size=4
)


@given(turns)
def test_what_is_written_is_read(operations: list[Operation]) -> None:
    """A turn comes back as it was; cut anywhere it is shorter, or refused; never another."""
    data = encode(operations)
    assert decode(Reader(data)) == operations
    for cut in range(len(data)):
        try:
            found = decode(Reader(data[:cut]))
        except Malformed:
            continue
        assert encode(found) == data[:cut]


@given(st.binary(max_size=24))
@example(b"\x04\x80\x00a")
@example(b"\x04\xff\x7fa")
@example(b"\x05\x80\x01")
@example(b"\x00\x00")
def test_any_bytes_are_a_turn_or_malformed(data: bytes) -> None:
    """Whatever decodes is within bounds, and encodes to the same bytes: one form only."""
    try:
        operations = decode(Reader(data))
    except Malformed:
        return
    assert operations
    assert encode(operations) == data
    assert sum(each[2] for each in operations if each[0] != MARK) <= POSITION_MAX
    for kind, position, length, text in operations:
        assert 0 <= position <= POSITION_MAX
        assert length > 0
        assert kind in {INSERT, DELETE, MARK}
        assert kind == MARK or len(text) == (length if kind == INSERT else 0)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00\x00",  # an insertion of nothing
        b"\x01\x00",  # a deletion of nothing
        b"\x04\x00",  # text that is not there
        b"\x04\x00\xff",  # not UTF-8
        b"\x0c\x00\xed\xa0\x80",  # half a surrogate pair
        b"\x07\x00",  # a kind that there is not
        b"\x16\x00\x00\x05\x01b\x00",  # a mark on nothing
        b"\x12\x00\x01\x05\x01\x00",  # a mark without a name
        b"\x12\x00\x01\x05\x01b",  # a mark without its zero
        b"\x16\x00\x01\x05\x08b\x00",  # a flag that there is not
        b"\x22\x00\x01\x80\x80\x80\x80\x02\x01b\x00",  # a number of 2^29
        b"\x05\x05\x05\x0b",  # a position below 0
        b"\x05\x80\x80\x80\x80\x10",  # a position of 2^32
        b"\x05\x85\x00",  # not the shortest form
    ],
)
def test_one_form(data: bytes) -> None:
    """What an honest device would not write is malformed."""
    with pytest.raises(Malformed):
        decode(Reader(data))


def test_a_typed_character_takes_four_bytes() -> None:
    """The budget of a live edit is kept: head, position of two bytes, character."""
    assert encode([(INSERT, 5000, 1, "a")]) == b"\x04\x88\x27a"
    assert encode([]) == b""


def test_operations_fit_or_not() -> None:
    """Insertions reach to the end, deletions not beyond it; each sees those before it."""
    assert fitted([(INSERT, 3, 2, "ab"), (DELETE, 0, 5, "")], 3) == 0
    assert fitted([(INSERT, 4, 1, "a")], 3) == -1
    assert fitted([(DELETE, 2, 2, "")], 3) == -1
    assert fitted([(DELETE, 0, 3, ""), (INSERT, 1, 1, "a")], 3) == -1
