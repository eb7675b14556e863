"""A token bucket: so many at once, so many a second after that, and then only a delay.

Owns: its level. May not know: what is counted.
It may be overdrawn by one spending; who spent waits until it is level again.
"""

from __future__ import annotations

from comity.base.clock import SECOND, Duration, Instant, after

__all__ = ["Bucket"]


class Bucket:
    """Full in the beginning."""

    __slots__ = ("_at_once", "_full_at", "_rate")

    def __init__(self, *, at_once: int, rate: int) -> None:
        """Hold `at_once` tokens; `rate` come back in a second."""
        assert at_once > 0
        assert rate > 0
        self._at_once = at_once
        self._rate = rate
        self._full_at = Instant(0)

    def spend(self, tokens: int, now: Instant) -> Instant:
        """Take tokens; return when the bucket is not overdrawn any more: now, or later."""
        assert tokens >= 0
        needed = Duration(-(-tokens * SECOND // self._rate))
        self._full_at = after(max(self._full_at, now), needed)
        spare = Duration(self._at_once * SECOND // self._rate)
        return max(now, Instant(self._full_at - spare))

    def has(self, tokens: int, now: Instant) -> bool:
        """Tell whether so many may be taken now without overdrawing it."""
        assert 0 <= tokens <= self._at_once
        needed = -(-tokens * SECOND // self._rate)
        spare = self._at_once * SECOND // self._rate
        return max(self._full_at, now) + needed - spare <= now
