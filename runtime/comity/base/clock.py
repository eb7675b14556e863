"""Time as an argument: instants, durations and the wall clock.

Owns: the types of time and their arithmetic. May not know: what time it is; `now` is always
a parameter and only `comity.drivers` reads clocks.
Two clocks exist and are never mixed: `Instant` is monotonic and decides; `Wall` is what the
owner's clock says, may lie, and is only displayed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NewType

from comity.base.values import made_fast

__all__ = [
    "HOUR",
    "MILLISECOND",
    "MINUTE",
    "SECOND",
    "Duration",
    "Instant",
    "Moment",
    "Wall",
    "after",
    "earliest",
]

Instant = NewType("Instant", int)
"""Monotonic nanoseconds since an arbitrary start of this process."""

Duration = NewType("Duration", int)
"""Nanoseconds, never negative."""

Wall = NewType("Wall", int)
"""Milliseconds since 1970-01-01 UTC by the device's own clock: advisory."""

MILLISECOND: Final = Duration(1_000_000)
SECOND: Final = Duration(1_000_000_000)
MINUTE: Final = Duration(60 * SECOND)
HOUR: Final = Duration(60 * MINUTE)


@made_fast
@dataclass(frozen=True, slots=True)
class Moment:
    """The present, as a driver tells it to the core."""

    instant: Instant
    wall: Wall


def after(now: Instant, wait: Duration) -> Instant:
    """Return the instant `wait` later than `now`."""
    return Instant(now + wait)


def earliest(first: Instant | None, second: Instant | None) -> Instant | None:
    """Return the sooner of two deadlines, where None means 'never'."""
    if first is None:
        return second
    if second is None:
        return first
    return min(first, second)
