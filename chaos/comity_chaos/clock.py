"""A node's clock: what it says at each instant of the world, right or wrong.

Owns: offset, drift, jumps and freezes of one node's two clocks. May not know: nodes, plans.
The monotonic clock of each life starts anywhere and may run fast or slow, but never goes back;
the wall clock may say anything, stand still, or jump.

    steady --drift--> faster or slower --drift(0)--> steady
    right --jump, freeze--> wrong --mend--> right
Source: CHAOS 'Faults', Clock.
"""

from __future__ import annotations

from typing import Final

from comity.base.clock import MILLISECOND, Instant, Moment, Wall

__all__ = ["WALL_MAX", "WORLD_WALL", "NodeClock"]

WORLD_WALL: Final = Wall(1_700_000_000_000)
"""Wall clock at the beginning of every world: a date in the past, the same for all."""

WALL_MAX: Final = Wall(253_402_300_799_999)
"""The last millisecond of the year 9999: what a wrong clock can say at most."""

_MILLION: Final = 1_000_000


class NodeClock:
    """The two clocks of one node."""

    __slots__ = ("_base", "_frozen", "_offset", "_origin", "_ppm")

    def __init__(self) -> None:
        """Start right."""
        self._base = 0
        self._origin = 0
        self._ppm = 0
        self._offset = 0
        self._frozen: int | None = None

    def begin(self, now: Instant, base: int) -> None:
        """Start the monotonic clock of a new life at `base`."""
        self._origin = now
        self._base = base

    def moment(self, now: Instant) -> Moment:
        """Return the present as the node sees it at world time `now`."""
        elapsed = now - self._origin
        if self._ppm:
            elapsed += elapsed * self._ppm // _MILLION
        wall = self._frozen
        if wall is None:
            wall = WORLD_WALL + now // MILLISECOND + self._offset
        return Moment(Instant(self._base + elapsed), Wall(min(max(wall, 0), WALL_MAX)))

    def when(self, instant: Instant) -> Instant:
        """Return the first world time at which the node's monotonic clock says `instant`."""
        elapsed = instant - self._base
        if self._ppm:
            elapsed = -(-elapsed * _MILLION // (_MILLION + self._ppm))
        return Instant(self._origin + elapsed)

    def drift(self, now: Instant, ppm: int) -> None:
        """Run fast by so many parts in a million from now on, slow if negative."""
        assert ppm > -_MILLION
        self._base = self.moment(now).instant
        self._origin = now
        self._ppm = ppm

    def jump(self, milliseconds: int) -> None:
        """Put the wall clock forward, or back."""
        self._offset += milliseconds

    def freeze(self, now: Instant) -> None:
        """Let the wall clock stand still."""
        self._frozen = self.moment(now).wall

    def mend(self) -> None:
        """Set the wall clock right."""
        self._offset = 0
        self._frozen = None
