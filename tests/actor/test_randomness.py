"""Chance: every value possible, none twice as often, and a function of the entropy alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.actor.randomness import Randomness
from comity.base.errors import UsageError
from comity_chaos.keyed import SimEntropy


def seeded(seed: int) -> Randomness:
    """Return the chance of a seed."""
    return Randomness(SimEntropy(seed, 0, 1))


@given(st.integers(0, 1000), st.integers(-50, 50), st.integers(0, 300))
def test_integers_lie_in_their_range(seed: int, first: int, span: int) -> None:
    """Both ends belong to it, and nothing outside does."""
    chance = seeded(seed)
    assert all(first <= chance.randint(first, first + span) <= first + span for _ in range(20))


def test_every_integer_comes_about_as_often() -> None:
    """A span that is no power of two is not bent towards its beginning."""
    chance = seeded(1)
    drawn = [chance.randint(0, 4) for _ in range(5000)]
    assert all(900 < drawn.count(number) < 1100 for number in range(5))


def test_fractions_fill_the_unit() -> None:
    """They lie in [0, 1), half of them below a half."""
    chance = seeded(2)
    drawn = [chance.random() for _ in range(2000)]
    assert all(0 <= each < 1 for each in drawn)
    assert 900 < sum(each < 0.5 for each in drawn) < 1100


@given(st.integers(0, 1000), st.lists(st.integers(), min_size=1))
def test_a_choice_is_an_item_and_a_shuffle_keeps_them(seed: int, items: list[int]) -> None:
    """Nothing is lost, nothing invented; equal seeds agree."""
    assert seeded(seed).choice(items) in items
    one, two = list(items), list(items)
    seeded(seed).shuffle(one)
    seeded(seed).shuffle(two)
    assert sorted(one) == sorted(items)
    assert one == two


def test_bytes_are_as_many_as_were_asked_for() -> None:
    """And they differ."""
    chance = seeded(3)
    assert len(chance.randbytes(32)) == 32
    assert chance.randbytes(32) != chance.randbytes(32)


def test_what_cannot_be_drawn_is_refused() -> None:
    """No integers between 2 and 1, nothing to choose from."""
    with pytest.raises(UsageError, match="swap"):
        seeded(0).randint(2, 1)
    with pytest.raises(UsageError, match="empty"):
        seeded(0).choice([])
