"""The search for plaintext finds every disguise, wherever it stands, and nothing else."""

from __future__ import annotations

import base64

from hypothesis import given
from hypothesis import strategies as st

from comity.cli.demo.evidence import forms, search, self_test

words = st.text(st.characters(codec="utf-8"), min_size=6, max_size=30)


@given(word=words, before=st.binary(max_size=20), after=st.binary(max_size=20))
def test_a_word_is_found_in_base64_at_any_place(word: str, before: bytes, after: bytes) -> None:
    """Whatever is encoded together with it."""
    content = base64.b64encode(before + word.encode() + after)
    assert any("base64" in line for line in search((word,), {"here": content}))


@given(word=words, before=st.binary(max_size=20))
def test_a_word_is_found_as_text_and_hex(word: str, before: bytes) -> None:
    """In each of the plain forms."""
    for content in (word.encode(), word.encode("utf-16-le"), word.encode().hex().encode()):
        assert search((word,), {"here": before + content})


def test_a_word_that_is_not_there_is_not_found() -> None:
    """No false alarm, and the place and the form are named if there is one."""
    assert search(("canary bird",), {"here": b"a sparrow"}) == []
    assert search(("canary bird",), {"here": b"x canary bird x"}) == [
        "'canary bird' as text in here"
    ]


@given(content=st.binary(min_size=50, max_size=200))
def test_the_self_test_counts_every_form(content: bytes) -> None:
    """Planted in any content, all forms of all words are found."""
    assert self_test(("canary bird", "telescope"), content) == 2 * len(forms("x"))
