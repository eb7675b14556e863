"""`Actor`: what users subclass.

Owns: the base class and its hooks. May not know: pykka, threads, nodes. An instance belongs
to one cell (`comity.actor.cell`), which sets `_comity_cell` before any hook runs; replicated
fields are descriptors that find their state through it.
Source: API 'A whole application'; names of hooks follow pykka.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final, ParamSpec, TypeVar, cast

from comity.actor.awaiting import Foreign, Sleep, Work
from comity.actor.policy import MailboxPolicy, OnFull
from comity.actor.randomness import Randomness
from comity.actor.reminding import Reminders, Tick, entry_of
from comity.actor.supervision import Down, Supervise
from comity.actor.surroundings import Surroundings
from comity.actor.timers import Timer, nanoseconds
from comity.base.clock import Duration
from comity.base.errors import UsageError

if TYPE_CHECKING:
    from comity.api.ref import Ref

__all__ = ["Actor"]

A = TypeVar("A", bound="Actor")
P = ParamSpec("P")
T = TypeVar("T")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_PERIOD_MIN: Final = 0.001
"""Seconds between two rings of one timer: below it an actor would do nothing else."""


class Actor:
    """Base of every actor: replicated fields by annotation, methods as messages.

        class Todo(Actor):
            items: Map[str, bool]
            done: Counter

            def add(self, what: str) -> int:
                self.items[what] = False
                return len(self.items)

    One message is one turn: all that it writes becomes visible and durable together, or,
    if the method raises, not at all. Class-level annotations declare replicated fields; any
    other attribute is plain local state of this device, which does not roll back.

    A class keyword names the type for other devices: `class Todo(Actor, name="todo")`;
    the default is the name of the class. All devices that share an actor must agree on it.
    `mailbox=1000`, `mailbox_bytes=2**24`, `on_full="wait"` bound what may wait for an actor.
    `idle_seconds=60` lets it leave memory when nothing comes; the next message loads it.
    """

    _comity_cell: Any
    comity_name: ClassVar[str] = "Actor"
    comity_mailbox: ClassVar[MailboxPolicy] = MailboxPolicy()

    supervise: ClassVar[Supervise | None] = None
    """What becomes of the actor when a message fails that nobody awaits: `Restart(...)`,
    `Stop()`, `Escalate()`; None undoes the turn and goes on."""

    def __init_subclass__(
        cls,
        *,
        name: str | None = None,
        mailbox: int | None = None,
        mailbox_bytes: int | None = None,
        on_full: OnFull | None = None,
        idle_seconds: float | None = None,
        **keywords: Any,
    ) -> None:
        """Take the type's name and mailbox; fields are resolved at the first use of the class.

        mailbox, mailbox_bytes: how many messages may wait, and what their arguments may hold.
        on_full: 'wait' holds senders up for a while, 'reject' refuses at once.
        idle_seconds: without a message for so long, at most twice, `on_stop` runs and the
            actor leaves memory; the next message, or change from elsewhere, loads it from the
            log and runs `on_start`. Who has timers, children, watches, listeners or
            `on_change` methods stays.
        """
        super().__init_subclass__(**keywords)
        cls.comity_mailbox = cls.comity_mailbox.changed(
            mailbox, mailbox_bytes, on_full, idle_seconds
        )
        if name is not None and not (0 < len(name.encode()) <= 255):
            raise UsageError(
                f"the name of actor type {cls.__qualname__} must have 1 to 255 bytes, "
                f"not {len(name.encode())}"
            )
        cls.comity_name = name if name is not None else cls.__name__

    def __init__(self) -> None:
        """Take no arguments: state comes from the log, arguments come in messages."""

    def on_create(self) -> None:
        """Run once in the life of the actor, in its first turn; may write fields."""

    def on_start(self) -> None:
        """Run whenever this device begins to host the actor; may set plain attributes."""

    def on_stop(self) -> None:
        """Run when this device stops hosting the actor; may not write fields."""

    def on_failure(self, error: Exception) -> None:
        """Run when a message sent with `tell` raised; its writes are gone already."""

    # ----------------------------------------------------------------- services

    @property
    def now(self) -> datetime:
        """The present by this device's clock, in UTC; simulated in the fault lab.

        To stamp and to show: clocks of devices differ, and may be set back.
        """
        return _EPOCH + timedelta(milliseconds=self._surroundings.moment().wall)

    @property
    def device(self) -> bytes:
        """This device, 32 bytes; as text `self.device.hex()`.

        It has the rights of BoundedCounters here, and keys under `OwnKey` begin with it.
        """
        cell = getattr(self, "_comity_cell", None)
        if cell is None:
            raise UsageError("an actor has a device in its messages and hooks, not in __init__")
        return cast("bytes", cell.comity_state.device)

    @property
    def random(self) -> Randomness:
        """Chance, with the names of Python's `random`; the same in every run of a lab."""
        return self._surroundings.randomness()

    async def sleep(self, seconds: float) -> None:
        """Wait, in an `async def` handler: the stretch ends, later messages wait on.

        Raises: UsageError if the time is negative.
        """
        nanoseconds(seconds)
        await Sleep(seconds)

    async def run(
        self, function: Callable[P, T], /, *arguments: P.args, **keywords: P.kwargs
    ) -> T:
        """Await a call that blocks: it runs on another thread, and returns or raises here.

        The function must not touch the actor: give it what it needs. In the fault lab it
        needs a fake (`sim.fake`).
        """
        return cast("T", await Work(function, arguments, keywords))

    async def io(self, awaitable: Awaitable[T], /) -> T:
        """Await something of asyncio: it runs in a loop beside the actors.

        In the fault lab the coroutine's function needs a fake (`sim.fake`).
        """
        return cast("T", await Foreign(awaitable))

    def after(
        self,
        seconds: float,
        method: Callable[P, Any],
        /,
        *arguments: P.args,
        **keywords: P.kwargs,
    ) -> Timer:
        """Run a method of this actor once, as a turn, when this time has passed.

        It dies with the activation: a restarted actor has no timers. The method may be private.

        Raises: UsageError if the time is negative, the method is not one of this very actor,
            or too many timers are running.
        """
        return self._start_timer(method, (arguments, keywords), nanoseconds(seconds), None)

    def every(
        self,
        seconds: float,
        method: Callable[P, Any],
        /,
        *arguments: P.args,
        **keywords: P.kwargs,
    ) -> Timer:
        """Run a method of this actor again and again, as turns that never overlap.

        The first comes after one period; a beat that comes while an earlier one is still
        being handled is skipped. Otherwise as `after`.
        """
        period = nanoseconds(seconds, least=_PERIOD_MIN)
        return self._start_timer(method, (arguments, keywords), period, period)

    def remind(
        self,
        name: str,
        method: Callable[[Tick], Any] | Callable[[], Any],
        /,
        *,
        every: timedelta | None = None,
        at: datetime | None = None,
    ) -> None:
        """Run a method of this actor as a turn at a time, on one device, over restarts.

        The class has a field for it: `reminders: Reminders`. The method is given a `Tick`, if
        it takes anything: it says how many beats were missed while nobody was there. Setting
        the same again changes nothing; a name that is used for something else is set anew.

        every: the period, from now on or from `at` on, a second or more. at: when, with a
            time zone; without a period it is once.
        Raises: UsageError if the class has no such field, the method is not one of this very
            actor, or the times make no sense.
        """
        wanted = entry_of(self._own(method).__name__, every, at, self.now)
        reminders = self._reminders()
        if not reminders.runner.value:
            reminders.runner = self.device
        known = reminders.entries.get(name)
        is_same = known is not None and at is None and known[::2] == wanted[::2]
        if known != wanted and not is_same:
            reminders.entries[name] = wanted
            reminders.done.pop(name, None)
        self._comity_cell.look_at_reminders()

    def forget(self, name: str, /) -> bool:
        """Run a reminder no more; return whether there was one of this name."""
        reminders = self._reminders()
        reminders.done.pop(name, None)
        return reminders.entries.pop(name, None) is not None

    def _reminders(self) -> Reminders:
        field = self._comity_cell.actor_type.reminders
        if not field:
            kind = type(self).__name__
            raise UsageError(
                f"{kind} has nowhere to keep reminders: declare a field `reminders: Reminders`"
            )
        return cast("Reminders", getattr(self, field))

    def child(self, actor_class: type[A], /) -> Ref[A]:
        """Start an actor of this device that lives and ends with this one; return its ref.

        It has no replicated fields: what it is to keep belongs to its parent, or to an actor
        of its own. Started in `on_start`, it is there whenever this actor is.

        Raises: UsageError if the class has fields.
        """
        return cast("Ref[A]", self._surroundings.adopt(actor_class))

    def watch(self, ref: Ref[Any], method: Callable[[Down], Any], /) -> None:
        """Run a method of this actor, as a turn, when another actor of this node stops.

        It is given a `Down`; at once if that actor does not run. A restart is no stop.
        """
        self._surroundings.watch(ref, self._own(method))

    def _own(self, method: Callable[..., Any]) -> Callable[..., Any]:
        owner: object = getattr(method, "__self__", None)
        if owner is not self:
            raise UsageError(
                f"{method!r} is no method of this actor: pass one of its own, as self.tick"
            )
        return method

    def _start_timer(
        self,
        method: Callable[..., Any],
        call: tuple[tuple[Any, ...], dict[str, Any]],
        wait: Duration,
        period: Duration | None,
    ) -> Timer:
        surroundings = self._surroundings
        return surroundings.start_timer(self._own(method), *call, wait=wait, period=period)

    @property
    def _surroundings(self) -> Surroundings:
        cell = getattr(self, "_comity_cell", None)
        if cell is None or cell.surroundings is None:
            raise UsageError(
                "the services of an actor work in its messages and hooks, not in __init__"
            )
        return cast("Surroundings", cell.surroundings)
