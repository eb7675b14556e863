"""Timers of an actor: turns that it sends itself, later, once or again and again.

Owns: when a timer is due next, and whether it still counts. May not know: what time it is,
who wakes whom. Whoever hosts the cell arms a timer, runs its turn like a message's, and arms
it again after that turn: so one timer never has two turns waiting, or running.

    armed --due--> ringing --its turn ended, every--> armed
                           --its turn ended, once--> over
    armed, ringing --cancel, or the activation ends--> over
Source: API 'Time, failure, limits' (`every` dies with the activation, never overlaps).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from comity.base.clock import Duration, Instant
from comity.base.errors import UsageError

__all__ = ["TIMERS_MAX", "Timer", "nanoseconds"]

TIMERS_MAX: Final = 1000
"""Timers of one actor that are not over: as many as messages in its mailbox, beside which
their turns wait. More of them is nearly always a timer started again in each turn."""

_SECONDS_MAX: Final = 400 * 366 * 86_400
"""Four hundred years fit the clocks; beyond it somebody meant milliseconds or infinity."""


class Timer:
    """What `self.after` and `self.every` return."""

    __slots__ = ("arguments", "due", "function", "is_over", "keywords", "period")

    def __init__(
        self,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        keywords: Mapping[str, Any],
        *,
        due: Instant,
        period: Duration | None,
    ) -> None:
        """Make an armed timer. period: of one that goes on; None for once."""
        self.function = function
        self.arguments = arguments
        self.keywords = keywords
        self.due = due
        self.period = period
        self.is_over = False

    def __repr__(self) -> str:
        """Show what it will do."""
        name = getattr(self.function, "__name__", "?")
        return f"<Timer {name}{', over' if self.is_over else ''}>"

    def cancel(self) -> None:
        """Let it not ring any more; a turn of it that has begun goes on. Safe to repeat."""
        self.is_over = True

    def rang(self, now: Instant) -> bool:
        """Learn that its turn ended; return whether it is to be armed for `due` again.

        Beats that passed meanwhile are skipped, and the rhythm is kept.
        """
        if self.period is None:
            self.is_over = True
        if self.is_over:
            return False
        assert self.period is not None
        late = max(0, now - self.due)
        self.due = Instant(self.due + (late // self.period + 1) * self.period)
        return True


def nanoseconds(seconds: float, *, least: float = 0.0) -> Duration:
    """Return a duration. Raises: UsageError if it is below `least`, or no sensible time."""
    if not least <= seconds <= _SECONDS_MAX:
        raise UsageError(f"{seconds} seconds is no time to wait: give {least:g} or more")
    return Duration(int(seconds * 1_000_000_000))
