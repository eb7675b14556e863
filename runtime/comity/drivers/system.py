"""The machine's clocks and its source of random bytes.

Owns: reading them. May not know: what for. The fault lab has its own clock and entropy.
Source: ARCHITECTURE 'Layers' (time is an argument, randomness is bytes passed in).
"""

from __future__ import annotations

import os
import time

from comity.base.clock import Instant, Moment, Wall

__all__ = ["SystemClock", "SystemEntropy"]


class SystemClock:
    """The present by this machine: CLOCK_MONOTONIC decides, CLOCK_REALTIME is shown.

    The first does not count the time that the machine sleeps, so that no deadline passes
    while nobody can keep it.
    """

    __slots__ = ()

    def moment(self) -> Moment:
        """Return now: the instant never goes back, the wall may."""
        return Moment(Instant(time.monotonic_ns()), Wall(time.time_ns() // 1_000_000))


class SystemEntropy:
    """The kernel's generator: it waits at boot until it is seeded, and never runs dry."""

    __slots__ = ()

    def draw(self, count: int) -> bytes:
        """Return `count` fresh bytes, unpredictable to everybody else."""
        return os.urandom(count)
