"""Identifiers: plain bytes of one width, shown to people by their beginning."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from comity.base.ids import ID_BYTES, ZERO_ID, CommitId, short


@given(st.binary(min_size=ID_BYTES, max_size=ID_BYTES))
def test_a_short_id_is_the_beginning_of_the_long_one(identifier: bytes) -> None:
    """Eight hex digits that the whole id begins with, so that a person can look it up."""
    shown = short(identifier)
    assert len(shown) == 8
    assert bytes.fromhex(shown) == identifier[:4]
    assert identifier.hex().startswith(shown)


@given(st.lists(st.binary(min_size=ID_BYTES, max_size=ID_BYTES), unique=True))
def test_ids_sort_as_their_bytes_do(raw: list[bytes]) -> None:
    """Sorting ids is canonical: every device and language that compares bytes agrees."""
    found = sorted(map(CommitId, raw))
    assert found == sorted(raw, key=lambda each: int.from_bytes(each, "big"))
    assert all(each >= ZERO_ID for each in found)


def test_none_has_the_width_of_an_id() -> None:
    """What stands for 'none' fills a field of fixed width, and sorts first."""
    assert ZERO_ID == b"\0" * ID_BYTES == bytes(32)
