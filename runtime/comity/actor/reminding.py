"""Reminders: turns at a time that survive restarts, on one device of all that share an actor.

Owns: the replicated field that says what is due and what was done, and the looks at it while
the actor is active. May not know: what time it is, threads, stores: what is due and done is
state like any other, so it is durable, and moves with the actor to whoever runs it next.

    entry --its time has come, this device is the runner--> due --its turn--> done, one write
    due --its turn failed--> reported, done: it is not tried again before the next beat

A beat is done in the very turn of its handler: what a handler wrote is kept, and its beat is
done, or neither. Beats that passed while nobody was there are one turn, which is told how many.
A look comes when something is due by this device's clock, and `_LOOK` after the last at most:
so a clock that is set, and a runner that is named elsewhere, are noticed.
Source: API 'Time, failure, limits'; decision 28.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, cast

from comity.base.clock import MILLISECOND, SECOND, Duration
from comity.base.errors import UsageError
from comity.crdt.record import Record
from comity.crdt.views import Map, Register

if TYPE_CHECKING:
    from comity.actor.actor import Actor
    from comity.actor.surroundings import Surroundings

__all__ = ["Reminders", "Reminding", "Tick", "entry_of"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_LOOK: Final = Duration(30 * SECOND)
"""So late, at most, is it noticed that a clock was set or another device named."""

_NOW: Final = Duration(0)

_AGAIN: Final = Duration(SECOND)
"""After a beat was begun: time for its turn, which comes behind what waits already."""

_PERIOD_LEAST: Final = timedelta(seconds=1)

_YEARS_MAX: Final = timedelta(days=400 * 366)


class Reminders(Record):
    """What an actor is to be reminded of: `reminders: Reminders` in its class.

    entries: by name: the method, when it is first due in milliseconds since 1970, and the
    period in milliseconds, 0 for once. done: by name, how many beats are over. runner: the
    device that runs them: the first that set one, until a turn writes another.
    """

    entries: Map[str, tuple[str, int, int]]
    done: Map[str, int]
    runner: Register[bytes]


@dataclass(frozen=True, slots=True)
class Tick:
    """One beat of a reminder, for its handler.

    due: when it was due, in UTC. missed: beats before it that nobody was there for.
    """

    name: str
    due: datetime
    missed: int


def entry_of(
    method: str, every: timedelta | None, at: datetime | None, now: datetime
) -> tuple[str, int, int]:
    """Return an entry. Raises: UsageError if the times make no sense."""
    if every is None and at is None:
        raise UsageError(f"when is {method} due? give every=timedelta(...), at=..., or both")
    if at is not None and at.tzinfo is None:
        raise UsageError(f"at={at!r} has no time zone: give one, as datetime.now(UTC) has")
    if every is not None and not _PERIOD_LEAST <= every <= _YEARS_MAX:
        raise UsageError(f"every={every!r} is no period: give a second or more; see self.every")
    if at is None:
        assert every is not None
        at = now + every
    first = (at - _EPOCH) // timedelta(milliseconds=1)
    return method, first, 0 if every is None else every // timedelta(milliseconds=1)


class Reminding:
    """The looks at the reminders of one active actor."""

    __slots__ = ("_actor", "_begun", "_field", "_looking", "_may_write")

    def __init__(self, actor: Actor, field: str, may_write: Callable[[], bool]) -> None:
        """Look nowhere yet. field: the name of the actor's `Reminders`."""
        self._may_write = may_write
        self._actor = actor
        self._field = field
        self._begun: dict[str, int] = {}
        self._looking = 0

    def arm(self, surroundings: Surroundings, wait: Duration = _NOW) -> None:
        """Look in a while; what was armed before does not look any more."""
        self._looking += 1
        number = self._looking

        def look() -> None:
            if number == self._looking:
                self._look(surroundings)

        surroundings.start_timer(look, (), {}, wait=wait, period=None)

    @property
    def _reminders(self) -> Reminders:
        return cast("Reminders", getattr(self._actor, self._field))

    def _look(self, surroundings: Surroundings) -> None:
        """Begin what is due, and plan the next look. A turn that writes only of failures."""
        wait = _LOOK
        try:
            if self._runs_here():
                wait = self._begin_due(surroundings)
        finally:
            self.arm(surroundings, wait)

    def _begin_due(self, surroundings: Surroundings) -> Duration:
        """Begin the turns that are due; return how long nothing else is."""
        reminders, now = self._reminders, surroundings.moment().wall
        wait = _LOOK
        for name, (_, first, period) in list(reminders.entries.items()):
            beat, done = _beat(first, period, now), reminders.done.get(name, 0)
            if beat < done:
                ahead = first + max(beat + 1, done) * period - now
                wait = min(wait, Duration(max(1, ahead) * MILLISECOND))
            elif self._begun.get(name) == beat:
                self._over(name, beat, period)  # its turn failed, and was reported
                wait = min(wait, _AGAIN)
            else:
                self._begun[name] = beat
                run = self._run_of(name)
                surroundings.start_timer(run, (), {}, wait=_NOW, period=None)
                wait = min(wait, _AGAIN)
        return wait

    def _runs_here(self) -> bool:
        return self._may_write() and self._reminders.runner.value == self._actor.device

    def _run_of(self, name: str) -> Callable[[], Any]:
        """Return the turn of a reminder that is due."""

        def run() -> Any:  # noqa: ANN401  (what the handler returns)
            return self._run(name)

        run.__name__ = f"reminder {name!r}"
        return run

    def _run(self, name: str) -> Any:  # noqa: ANN401
        reminders = self._reminders
        entry = reminders.entries.get(name)
        if entry is None:
            return None
        method, first, period = entry
        beat, done = self._begun[name], reminders.done.get(name, 0)
        if beat < done:
            return None
        handler = getattr(self._actor, method, None)
        if handler is None:
            raise UsageError(
                f"the reminder {name!r} calls {method}, which this version of the class lacks: "
                "keep the method, or forget the reminder"
            )
        self._over(name, beat, period)
        due = _EPOCH + timedelta(milliseconds=first + beat * period)
        tick = Tick(name, due, beat - done)
        return handler(tick) if inspect.signature(handler).parameters else handler()

    def _over(self, name: str, beat: int, period: int) -> None:
        if period:
            self._reminders.done[name] = beat + 1
        else:
            self._reminders.entries.pop(name, None)
            self._reminders.done.pop(name, None)


def _beat(first: int, period: int, now: int) -> int:
    """Return the number of the newest beat that is due; -1 before the first."""
    if now < first:
        return -1
    return (now - first) // period if period else 0
