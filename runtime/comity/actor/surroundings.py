"""What hosts a cell, as the actor in it sees it: the port behind `self.now`, `self.after`, ...

Owns: the shape. May not know: its two implementations, `drivers.dispatch` and the fault lab.
Called by the holder of the cell only, from within a turn or a hook.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from comity.actor.randomness import Randomness
from comity.actor.timers import Timer
from comity.base.clock import Duration, Moment

__all__ = ["Surroundings"]


class Surroundings(Protocol):
    """The services of a host."""

    def moment(self) -> Moment:
        """Return the present."""
        ...

    def randomness(self) -> Randomness:
        """Return the chance of this node."""
        ...

    def start_timer(
        self,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        keywords: Mapping[str, Any],
        *,
        wait: Duration,
        period: Duration | None,
    ) -> Timer:
        """Have a bound method of the actor run as a turn later.

        Raises: UsageError at TIMERS_MAX.
        """
        ...

    def adopt(self, actor_class: type[Any]) -> object:
        """Start a child; return its ref. Raises: UsageError if its class has fields."""
        ...

    def watch(self, ref: object, method: Callable[..., Any]) -> None:
        """Run a bound method of the actor as a turn when another actor stops.

        Raises: UsageError if it is no ref of this node.
        """
        ...
