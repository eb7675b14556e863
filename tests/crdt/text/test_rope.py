"""A rope is a string that can be edited."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.crdt.text import rope as module
from comity.crdt.text.rope import Rope

edits = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 12), st.text("abcdé", max_size=20)), max_size=60
)


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make chunks so short that every edit meets their ends."""
    monkeypatch.setattr(module, "CHUNK_LENGTH_MIN", 4)


@given(st.text("xyz", max_size=40), edits)
def test_a_rope_is_a_string(start: str, script: list[tuple[float, int, str]]) -> None:
    """Any edits give the same as on a str; deletions return what went; copies stay apart."""
    rope, plain = Rope(start), start
    copies: list[tuple[Rope, str]] = []
    for share, count_max, text in script:
        at = int(share * len(plain))
        count = min(count_max, len(plain) - at)
        if count:
            assert rope.delete(at, count) == plain[at : at + count]
            plain = plain[:at] + plain[at + count :]
        if text:
            rope.insert(at, text)
            plain = plain[:at] + text + plain[at:]
        rope.check()
        assert str(rope) == plain
        end = min(at + 7, len(plain))
        assert rope.slice(at, end) == plain[at:end]
        copies.append((rope.copy(), plain))
    for copy, then in copies:
        assert str(copy) == then
        copy.insert(0, "!")
        copy.check()
    assert str(rope) == plain
