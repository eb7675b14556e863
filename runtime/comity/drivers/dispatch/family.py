"""What few actors have: timers, a parent, children, watchers, failures behind them.

Owns: these, of one hosted actor; made when the first of them is needed. May not know: cells,
mailboxes. All but `watchers` is touched by the holder of the actor alone.
Source: API 'Time, failure, limits'; decision 0019.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from comity.actor.supervision import Supervise, Supervisor
from comity.actor.timers import Timer
from comity.drivers.dispatch.mailbox import Work

if TYPE_CHECKING:
    from comity.drivers.dispatch.host import CellHost

__all__ = ["CHILDREN_MAX", "Family"]

CHILDREN_MAX: Final = 10_000
"""Children of one actor: more of them are found late where each message starts another."""


class Family:
    """One actor's.

    tried: the message that failed once, and is tried on a fresh actor. is_resting: whether
    it waits to be made anew. is_watching: whether it is told of the end of another.
    """

    __slots__ = (
        "children",
        "is_resting",
        "is_watching",
        "parent",
        "supervisor",
        "timers",
        "tried",
        "watchers",
    )

    def __init__(self, policy: Supervise | None, parent: CellHost | None = None) -> None:
        """Start with nothing of all this."""
        self.parent = parent
        self.children: list[CellHost] = []
        self.timers: list[Timer] = []
        self.watchers: list[Callable[[BaseException | None], None]] = []
        self.supervisor = Supervisor(policy)
        self.tried: Work | None = None
        self.is_resting = False
        self.is_watching = False

    @property
    def is_bound(self) -> bool:
        """Whether something would be lost if the actor left memory."""
        return (
            self.parent is not None
            or self.is_watching
            or bool(self.watchers)
            or any(not timer.is_over for timer in self.timers)
            or any(not child.is_stopped for child in self.children)
        )

    def scatter(self) -> None:
        """End what dies with the activation: timers and children."""
        for timer in self.timers:
            timer.cancel()
        self.timers = []
        children, self.children = self.children, []
        for child in children:
            _ = child.stop_soon()
