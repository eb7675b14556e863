"""What becomes of an actor that fails: it goes on, is restarted, stops, or its parent decides.

Owns: the declarations of a class (`supervise = Restart(...)`), the count of restarts, what is
done with the message that failed. May not know: who hosts cells, what time it is.

    fine --a message fails--> resting --backoff--> fine, anew: its message once more
         --it fails again--> resting, without the message        --too often--> stopped

A restart drops what is local to the device: attributes, timers, children. The fields need no
repair, since a turn that fails is undone; they are built from the log again all the same, so
that nothing in memory survives that could be the cause.
Source: API 'Time, failure, limits'; decisions 0009 and 0019.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from comity.base.clock import SECOND, Duration, Instant
from comity.base.errors import UsageError, WorldError

__all__ = ["Down", "Escalate", "GoOn", "Poisonous", "Rest", "Restart", "Stop", "Supervise"]
__all__ += ["Supervisor", "Verdict"]

_EXPONENT_MAX: Final = 32


@dataclass(frozen=True, slots=True)
class Restart:
    """Begin anew, at most `max` times within so many seconds; then stop.

    backoff: seconds of rest before the first restart, doubling up to the second number.
    """

    max: int = 3
    within: float = 60.0
    backoff: tuple[float, float] = (0.1, 10.0)

    def __post_init__(self) -> None:
        """Raises: UsageError for numbers that make no sense."""
        first, most = self.backoff
        if self.max < 1 or not self.within > 0:
            raise UsageError(f"{self} allows no restart: give max=1 or more, within=1 or more")
        if not 0 <= first <= most:
            raise UsageError(f"{self}: backoff is (first, most), in seconds, rising")


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop at the first failure."""


@dataclass(frozen=True, slots=True)
class Escalate:
    """Stop, and let the parent fail with the same error; without one, stop."""


Supervise = Restart | Stop | Escalate
"""What a class declares; None undoes the turn that failed and goes on."""


class Poisonous(WorldError):
    """A message that failed, and failed again on a fresh actor: it is not tried any more.

    It is kept among the dead letters of its node.
    """

    def __init__(self, message: str) -> None:
        """A retry would do the same again."""
        super().__init__(message, retry=False)


@dataclass(frozen=True, slots=True)
class Down:
    """What a watcher is told: an actor on this node stopped. error: why, if it failed."""

    ref: object
    error: BaseException | None


@dataclass(frozen=True, slots=True)
class GoOn:
    """The turn is undone; the next message is taken."""


@dataclass(frozen=True, slots=True)
class Rest:
    """Be made anew after a while."""

    wait: Duration


Verdict = GoOn | Rest | Stop | Escalate


class Supervisor:
    """The restarts of one actor."""

    __slots__ = ("_policy", "_restarts")

    def __init__(self, policy: Supervise | None) -> None:
        """Start without a failure."""
        self._policy = policy
        self._restarts: deque[int] = deque()

    def failed(self, now: Instant) -> Verdict:
        """Decide what becomes of the actor after a failure."""
        match self._policy:
            case None:
                return GoOn()
            case Restart(most, within, (first, longest)):
                restarts = self._restarts
                while restarts and restarts[0] < now - int(within * SECOND):
                    restarts.popleft()
                if len(restarts) >= most:
                    return Stop()
                doubled = min(first * 2.0 ** min(len(restarts), _EXPONENT_MAX), longest)
                restarts.append(now)
                return Rest(Duration(int(doubled * SECOND)))
            case policy:
                return policy
