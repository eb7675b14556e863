"""Timers: a rhythm is kept, beats that passed are skipped, an end is an end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.actor.timers import Timer, nanoseconds
from comity.base.clock import SECOND, Duration, Instant
from comity.base.errors import UsageError


def timer(due: int, period: int | None) -> Timer:
    """Return an armed timer that does nothing."""
    return Timer(
        print, (), {}, due=Instant(due), period=None if period is None else Duration(period)
    )


@given(st.integers(0, 10**6), st.integers(1, 1000), st.lists(st.integers(0, 5000)))
def test_every_beat_is_on_the_rhythm_and_after_the_last(
    due: int, period: int, lateness: list[int]
) -> None:
    """However long turns take, the next beat is the first on the rhythm that is to come."""
    each, now = timer(due, period), due
    for late in lateness:
        now = max(now, each.due) + late
        before = each.due
        assert each.rang(Instant(now))
        assert each.due > max(now, before)
        assert each.due - now <= period
        assert (each.due - due) % period == 0


def test_once_is_once() -> None:
    """A timer without a period is over when it rang."""
    each = timer(5, None)
    assert not each.rang(Instant(6))
    assert each.is_over


def test_a_cancelled_timer_is_not_armed_again() -> None:
    """Also if it is cancelled while its turn runs."""
    each = timer(5, 10)
    each.cancel()
    assert not each.rang(Instant(6))
    assert "over" in repr(each)


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), 1e12])
def test_what_is_no_time_is_refused(seconds: float) -> None:
    """Negative, endless, not a number."""
    with pytest.raises(UsageError, match="no time to wait"):
        nanoseconds(seconds)


def test_seconds_become_nanoseconds() -> None:
    """With a least that is stated."""
    assert nanoseconds(1.5) == 1.5 * SECOND
    with pytest.raises(UsageError, match=r"0\.001 or more"):
        nanoseconds(0, least=0.001)
