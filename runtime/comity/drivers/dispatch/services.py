"""What the actor of a host gets: time, chance, timers, watches, children. No turns.

Owns: these services, and the relations of one actor to others. May not know: what a turn does
(`dispatch.host`). Called by the holder of the actor, except where it is said.
Implements `comity.actor.surroundings`.
Source: API 'Time, failure, limits'; decisions 0018, 0019.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from comity.actor.cell import Cell
from comity.actor.message import Message
from comity.actor.randomness import Randomness
from comity.actor.supervision import Down
from comity.actor.timers import TIMERS_MAX, Timer
from comity.base.clock import Duration, Instant, Moment
from comity.base.errors import UsageError
from comity.base.ids import Topic, short
from comity.drivers.dispatch.dead_letters import DeadLetter
from comity.drivers.dispatch.family import CHILDREN_MAX, Family
from comity.drivers.dispatch.hosting import Hosting
from comity.drivers.dispatch.mailbox import Doze
from comity.drivers.dispatch.pykka_points import PykkaPoints

if TYPE_CHECKING:
    from comity.drivers.dispatch.host import CellHost

__all__ = ["Services"]

_logger: Final = logging.getLogger(__name__)


class Services(PykkaPoints):
    """The services of one host; `CellHost` adds the turns."""

    __slots__ = ("_family", "_hosting", "cell", "is_used")

    _family: Family | None
    _hosting: Hosting
    cell: Cell

    is_used: bool
    """Whether a batch ran since it was looked at last."""

    @property
    def topic(self) -> Topic:
        """The identity of the actor."""
        return self.cell.topic

    @property
    def label(self) -> str:
        """Name the actor for people: its type and the start of its topic."""
        return f"{self.cell.actor_type.name} {short(self.cell.topic)}"

    @property
    def is_stopped(self) -> bool:
        """Whether the actor takes messages no more."""
        return self._mailbox.is_closed

    def moment(self) -> Moment:
        """Return the present."""
        return self._hosting.moment()

    def randomness(self) -> Randomness:
        """Return the chance of this node."""
        return self._hosting.randomness

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
        family = self._relations()
        timers = [each for each in family.timers if not each.is_over]
        if len(timers) >= TIMERS_MAX:
            raise UsageError(
                f"{self.label} has {TIMERS_MAX} timers: use every() instead of many after(), "
                "and cancel() what is not needed"
            )
        due = Instant(self.moment().instant + wait)
        timer = Timer(function, arguments, keywords, due=due, period=period)
        family.timers = [*timers, timer]
        self._arm(timer)
        return timer

    def _arm(self, timer: Timer) -> None:
        self._hosting.alarms.at(timer.due, partial(self._mailbox.post_ring, timer))

    def _rang(self, timer: Timer) -> None:
        if timer.rang(self.moment().instant):
            self._arm(timer)

    def watch(self, ref: object, method: Callable[..., Any]) -> None:
        """Run a bound method of the actor as a turn when another actor stops.

        Raises: UsageError if it is no ref of this node.
        """
        watched = self._hosting.find(ref)

        def tell(cause: BaseException | None) -> None:
            self.post_call(method, Down(ref, cause))

        self._relations().is_watching = True
        if watched is None or not watched.watched_by(tell):
            tell(None)

    def watched_by(self, watcher: Callable[[BaseException | None], None]) -> bool:
        """Call a watcher, once, when the actor stops; False if it has. From any thread."""
        if self.is_stopped:
            return False
        self._relations().watchers.append(watcher)
        return not self.is_stopped

    def _relations(self) -> Family:
        family = self._family
        if family is None:
            family = self._family = Family(self.cell.actor_type.cls.supervise)
        return family

    def follow(self, ref: object) -> object:
        """Return what carries messages to what a field refers to. Raises: UsageError."""
        return self._hosting.follow(ref)

    def adopt(self, actor_class: type[Any]) -> object:
        """Start a child; return its ref. Raises: UsageError if its class has fields."""
        family = self._relations()
        family.children = [each for each in family.children if not each.is_stopped]
        if len(family.children) >= CHILDREN_MAX:
            raise UsageError(f"{self.label} has {CHILDREN_MAX} children: let some of them end")
        child, ref = self._hosting.adopt(cast("CellHost", self), actor_class)
        family.children.append(child)
        return ref

    def escalate(self, child: Services, error: BaseException) -> None:
        """Fail with what a child failed with, in a turn of its own. From any thread."""

        def fail() -> None:
            raise error

        fail.__name__ = f"child {child.label}"
        self.post_call(fail)

    def _empty(self) -> Cell:
        """Return a cell for the same actor, which the first folds fill."""
        cell = Cell(self.cell.actor_type, self.cell.topic)
        cell.surroundings = self
        return cell

    def _look_idle(self) -> None:
        """Look after a while whether the actor is idle; not while it is dozing."""
        seconds = self.cell.actor_type.cls.comity_mailbox.idle
        assert seconds is not None
        self.is_used = False
        self._hosting.alarms.after(seconds, partial(self._looked, self.cell))

    def _looked(self, cell: Cell) -> None:
        if self.is_stopped or self.cell is not cell:
            return  # an actor that was made anew is looked at anew
        if self.is_used:
            self._look_idle()
        else:
            self._mailbox.post_fold(Doze())

    def post_call(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Have a function run as a turn of the actor, past the bound of its mailbox."""
        ring = Timer(function, arguments, {}, due=Instant(0), period=None)
        self._mailbox.post_ring(ring)

    def _bury(self, message: Message, reason: str) -> None:
        name = self.cell.actor_type.name
        wall = self.moment().wall
        letter = DeadLetter(self.cell.topic, name, message, reason, wall)
        self._hosting.dead_letters.add(letter)

    def _report(self, error: BaseException, message: Message) -> None:
        try:
            self._hosting.on_failure(self.cell.topic, error, message)
        except Exception:
            _logger.exception("telling of a failure of %s failed", self.label)
