"""The reply to one message of a simulated actor.

Owns: its outcome, and who waits for it. May not know: how cells run, time. A handler awaits
it as it does the futures of `comity.drivers.dispatch`; a test reads it once the simulation ran.
Source: API 'Testing, the same classes'.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, Generic, TypeVar, cast

from comity.actor.cell import Cell
from comity.actor.changes import FieldChange
from comity.actor.message import Outcome
from comity.actor.waits import Answerer
from comity.base.errors import UsageError

__all__ = ["Reply", "Told"]

T = TypeVar("T")


class Reply(Generic[T]):
    """Not there yet, or there for good.

    answerer: the actor whose turn will make it; None once that turn is over.
    """

    __slots__ = ("_waiting", "answerer", "done", "outcome")

    def __init__(self, answerer: Answerer | None = None) -> None:
        """Start without an outcome."""
        self.done = False
        self.outcome: Outcome | None = None
        self.answerer = answerer
        self._waiting: list[Callable[[Reply[Any]], None]] = []

    def settle(self, outcome: Outcome) -> None:
        """Give the outcome; once."""
        assert not self.done
        self.done = True
        self.outcome = outcome
        self.answerer = None
        waiting, self._waiting = self._waiting, []
        for then in waiting:
            then(self)

    def then(self, act: Callable[[Reply[Any]], None]) -> None:
        """Call back when it is there; at once if it is."""
        if self.done:
            act(self)
        else:
            self._waiting.append(act)

    def __await__(self) -> Generator[Reply[T], Any, T]:
        return cast("T", (yield self))

    def get(self, *, timeout: float | None = None) -> T:
        """Return the value, as a future does; there is nothing to wait with.

        Raises: what the handler raised; UsageError if there is no reply yet.
        """
        if not self.done:
            raise UsageError(
                f"no reply yet, and get(timeout={timeout}) cannot wait in the fault lab: await "
                "it in a handler; in a test let the simulation run, for example by settle()"
            )
        return self.value

    @property
    def value(self) -> T:
        """The value. Raises: what the handler raised; UsageError if there is none yet."""
        if self.outcome is None:
            raise UsageError("no reply yet: let the simulation run, for example by settle()")
        if self.outcome.error is not None:
            raise self.outcome.error
        value: T = self.outcome.value
        return value

    @property
    def error(self) -> Exception | None:
        """What the handler raised, if it is known and did."""
        return None if self.outcome is None else self.outcome.error


class Told(Reply[None]):
    """What is said to who listens, in the order of the replies."""

    __slots__ = ("_cell", "_news")

    def __init__(self, cell: Cell, news: Sequence[FieldChange]) -> None:
        """Start without an outcome."""
        super().__init__()
        self._cell = cell
        self._news = news

    def settle(self, outcome: Outcome) -> None:
        """Tell all who listen."""
        super().settle(outcome)
        for listener in self._cell.listeners:
            listener.tell(self._news)
