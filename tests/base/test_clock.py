"""Time as an argument: whole nanoseconds, and 'never' that loses to every deadline."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.base.clock import (
    HOUR,
    MILLISECOND,
    MINUTE,
    SECOND,
    Duration,
    Instant,
    Moment,
    Wall,
    after,
    earliest,
)

deadlines = st.none() | st.integers(0, 1 << 62).map(Instant)


def test_units_are_nanoseconds() -> None:
    """A duration is a count of nanoseconds, exact as an int."""
    assert [MILLISECOND, SECOND, MINUTE, HOUR] == [10**6, 10**9, 60 * 10**9, 3600 * 10**9]
    assert after(Instant(5), Duration(2 * HOUR)) == 7_200_000_000_005


@given(deadlines, deadlines, deadlines)
def test_earliest_is_the_minimum_with_never_last(
    first: Instant | None, second: Instant | None, third: Instant | None
) -> None:
    """It equals min() of those that are not None; order and grouping do not matter."""
    some = [each for each in (first, second, third) if each is not None]
    expected = min(some, default=None)
    assert earliest(earliest(first, second), third) == expected
    assert earliest(third, earliest(second, first)) == expected


def test_the_start_of_time_is_a_deadline() -> None:
    """Instant 0 is due at once, not 'never'."""
    assert earliest(Instant(0), None) == 0
    assert earliest(None, Instant(0)) == 0


def test_a_moment_does_not_change() -> None:
    """What a driver told the core stays told."""
    moment = Moment(Instant(1), Wall(2))
    with pytest.raises(dataclasses.FrozenInstanceError):
        moment.wall = Wall(3)  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
