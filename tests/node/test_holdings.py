"""Holdings: one book of what is on disk, by arrival and by generation, like a naive list."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.base.ids import CommitId
from comity.crypto.hashing import PERSON_DIGEST, blake2b
from comity.node.holdings import Holdings

STORE: Final = b"s" * 16
books = st.dictionaries(
    st.binary(min_size=32, max_size=32).map(CommitId), st.integers(0, 5), max_size=20
)


def filled(book: dict[CommitId, int]) -> Holdings:
    """Return holdings to which these were added in this order."""
    holdings = Holdings(STORE)
    for commit, gen in book.items():
        holdings.add(commit, gen)
    return holdings


@given(books, st.integers(0, 25), st.integers(1, 25))
def test_holdings_are_a_list_that_is_searched(
    book: dict[CommitId, int], number: int, count_max: int
) -> None:
    """Numbers, orders and pages agree with a list in order of arrival, after every addition."""
    holdings = Holdings(STORE)
    arrived: list[CommitId] = []
    for commit, gen in book.items():
        assert not holdings.has(commit)
        assert holdings.arrival_of(commit) is None
        holdings.add(commit, gen)
        arrived.append(commit)
        assert holdings.count == holdings.arrival == len(arrived)
        assert holdings.arrival_of(commit) == len(arrived)
        assert holdings.has(commit)
        holdings.check()
    numbered = [(place + 1, commit) for place, commit in enumerate(arrived)]
    later = [each for each in numbered if each[0] > number]
    assert holdings.arrivals_after(number, count_max) == later[:count_max]
    assert holdings.items() == sorted((gen, commit) for commit, gen in book.items())


@given(books, st.data())
def test_a_digest_is_of_the_set(book: dict[CommitId, int], data: st.DataObject) -> None:
    """Order of arrival, generation, and having asked before do not show; any commit does."""
    holdings = filled(book)
    shuffled = Holdings(bytes(16))
    for commit in data.draw(st.permutations(list(book))):
        shuffled.add(commit, 0)
        shuffled.digest()
    expected = blake2b(b"".join(sorted(book)), size=16, person=PERSON_DIGEST)
    assert holdings.digest() == shuffled.digest() == holdings.digest() == expected
    more = CommitId(b"\xff" * 32)
    if more not in book:
        holdings.add(more, 0)
        assert holdings.digest() != expected


def test_an_empty_book_has_no_newest() -> None:
    """Number 0 stands for 'nothing yet', so a cursor of 0 asks for all."""
    holdings = Holdings(STORE)
    assert (holdings.count, holdings.arrival, holdings.store) == (0, 0, STORE)
    assert holdings.arrivals_after(0, 10) == []
    holdings.add(CommitId(bytes(32)), 7)
    assert holdings.arrivals_after(0, 10) == [(1, CommitId(bytes(32)))]


def test_a_commit_arrives_once() -> None:
    """Numbering one twice is our own mistake."""
    holdings = filled({CommitId(bytes(32)): 0})
    with pytest.raises(AssertionError):
        holdings.add(CommitId(bytes(32)), 0)
    holdings.check()
