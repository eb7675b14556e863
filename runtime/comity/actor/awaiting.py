"""What a handler may wait for, and the handler that waits: one stretch after the other.

Owns: the shapes of waits that are no reply, `Handler`, which runs an `async def` message from
await to await, and `Interrupted`, which its sender gets if it never ends. May not know: who
keeps time, who runs blocking work, what a reply is; whoever hosts the cell does.

    begun --step: it awaits--> paused --step--> paused ... --step: it ends--> over
    begun, paused --interrupt--> over

A stretch is what runs between two awaits. It is one turn: its writes are kept when it ends,
whatever becomes of the stretches after it.
Source: API 'A whole application' (handlers are `def` or `async def`); decision 0018.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from dataclasses import dataclass
from types import CoroutineType
from typing import Any, Final, TypeGuard

from comity.base.errors import DeadlineError, UsageError, WorldError

__all__ = [
    "Foreign",
    "Handler",
    "Interrupted",
    "Paused",
    "Sleep",
    "Unknown",
    "Work",
    "is_coroutine",
    "not_awaitable",
]

_AWAITABLE: Final = (
    "a handler of an actor can await replies (ref.ask(...)), self.sleep(seconds), "
    "self.run(function, ...) for work that blocks and self.io(coroutine) for asyncio"
)


class Interrupted(WorldError):
    """A handler was cut off at an await: its actor stopped, was restarted, or its node died.

    What it wrote in the stretches that had ended stays; the rest of it will not run.
    stretch: how many of them there are, 1 or more.
    """

    def __init__(self, method: str, stretch: int) -> None:
        """Say how far it came. A retry would begin it anew: that is for its sender to judge."""
        super().__init__(
            f"{method} was cut off after stretch {stretch}: what it wrote up to there stays, "
            "the rest was not done",
            retry=False,
        )
        self.stretch = stretch


class Unknown(DeadlineError):
    """The deadline of a message passed without a reply.

    Whether it took effect, or will, is not known; one that had not begun is not begun.
    """


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait for a while. seconds: 0 or more."""

    seconds: float

    def __await__(self) -> Generator[Sleep, None, None]:
        yield self


@dataclass(frozen=True, slots=True)
class Work:
    """Wait for a call that blocks: it runs beside the actor, which may touch nothing of it."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any]

    def call(self) -> object:
        """Do it. Raises: whatever it does."""
        return self.function(*self.arguments, **self.keywords)

    def __await__(self) -> Generator[Work, Any, Any]:
        return (yield self)


@dataclass(frozen=True, slots=True)
class Foreign:
    """Wait for something of asyncio, which runs in a loop beside the actors."""

    awaitable: Awaitable[Any]

    def __await__(self) -> Generator[Foreign, Any, Any]:
        return (yield self)


@dataclass(frozen=True, slots=True)
class Paused:
    """A stretch ended at an await. wait: what the handler yielded, whatever it is."""

    wait: object


class Handler:
    """One `async def` message on its way through its stretches."""

    __slots__ = ("_coroutine", "stretch")

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Take a coroutine that has not begun."""
        self._coroutine = coroutine
        self.stretch = 0

    def step(self, value: object, error: BaseException | None) -> object:
        """Run the next stretch; return `Paused`, or what the handler returned.

        value, error: what the await brings, None at first. Raises: what the handler raises;
            UsageError if it needs an asyncio loop, naming what can be awaited.
        """
        self.stretch += 1
        try:
            if error is None:
                wait = self._coroutine.send(value)
            else:
                wait = self._coroutine.throw(error)
        except StopIteration as end:
            return end.value
        except RuntimeError as raised:
            if str(raised) == "no running event loop":
                raise UsageError(f"there is no asyncio loop here: {_AWAITABLE}") from raised
            raise
        return Paused(wait)

    def interrupt(self) -> Exception | None:
        """Run what the handler has to clean up; return what that raised.

        A handler that awaits while it cleans up is told that it may not.
        """
        try:
            self._coroutine.close()
        except Exception as error:  # noqa: BLE001  (the handler is the user's)
            return error
        return None


def is_coroutine(value: object) -> TypeGuard[CoroutineType[Any, Any, Any]]:
    """Tell whether a value is what the call of an `async def` function returns."""
    return type(value) is CoroutineType


def not_awaitable(wait: object) -> UsageError:
    """Return the error for a handler that awaits something else."""
    return UsageError(f"{wait!r} cannot be awaited in an actor: {_AWAITABLE}")
