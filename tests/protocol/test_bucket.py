"""A bucket against the definition: in no stretch of time more than it holds, and its rate."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from comity.base.clock import SECOND, Duration, Instant, after
from comity.protocol.bucket import Bucket

_STEPS = st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 20 * SECOND)), max_size=40)


@given(_STEPS, st.integers(1, 10_000), st.integers(1, 2_000))
def test_who_waits_as_told_never_exceeds_the_rate(
    steps: list[tuple[int, int]], at_once: int, rate: int
) -> None:
    """Between two spendings no more goes than a full bucket, the rate, and one overdraft."""
    bucket = Bucket(at_once=at_once, rate=rate)
    now = Instant(10**9)
    spent: list[tuple[int, int]] = []
    for tokens, pause in steps:
        ready = bucket.spend(tokens, now)
        spent.append((now, tokens))
        now = after(max(now, ready), Duration(pause))
    for first, (begin, _) in enumerate(spent):
        total = 0
        for when, tokens in spent[first:]:
            assert total * SECOND <= at_once * SECOND + rate * (when - begin) + SECOND
            total += tokens


@given(_STEPS, st.integers(1, 10_000), st.integers(1, 2_000))
def test_nobody_waits_longer_than_the_rate_needs(
    steps: list[tuple[int, int]], at_once: int, rate: int
) -> None:
    """A naive bucket, filled by fractions, is level again at the same instant."""
    bucket = Bucket(at_once=at_once, rate=rate)
    now, level = Instant(10**9), float(at_once)
    for tokens, pause in steps:
        ready = bucket.spend(tokens, now)
        level -= tokens
        wait = max(0.0, -level / rate)
        assert abs((ready - now) / SECOND - wait) < 1e-3
        later = after(ready, Duration(pause))
        level = min(float(at_once), level + rate * (later - now) / SECOND)
        now = later
