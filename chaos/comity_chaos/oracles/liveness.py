"""Liveness: what should happen does, within a bound.

Owns: `Mechanisms`, `Reach`. May not know: what agreement is; `Sim` waits for that. Redundancy
hides a dead mechanism, so each is watched by itself: deadlines are kept, nobody calls without
pause, and after everything is healed every pair of members finds each other again.
Source: CHAOS 'Oracles', Liveness; 'convergence never saw a stalled timer'.
"""

from __future__ import annotations

from typing import Final

from comity.base.clock import MINUTE, SECOND
from comity_chaos.history import History
from comity_chaos.oracles.oracle import Violation
from comity_chaos.scene import Scene

__all__ = ["REACH_MAX", "Mechanisms", "Reach"]

_OVERDUE: Final = 2 * SECOND
"""A deadline that is older has been forgotten."""

_DIALS_MAX: Final = 120
"""Calls of one node in a minute, for each other node: two a second."""

REACH_MAX: Final = 5 * MINUTE
"""How long after healing until every pair is connected: backoff and postponement twice."""


class Mechanisms:
    """Every deadline is kept, and waiting is done between calls."""

    __slots__ = ("_history", "_overdue", "_scene", "judged")

    name = "mechanisms"

    def __init__(self, scene: Scene, history: History) -> None:
        """Start without having judged anything."""
        self.judged = 0
        self._scene = scene
        self._history = history
        self._overdue: dict[int, tuple[int, int]] = {}

    def sample(self) -> None:
        """Look at the deadline of every running node, and at its calls."""
        world = self._scene.world
        for node in world.nodes:
            if not node.up or node.held_until > world.now or node.inbox:
                continue
            core, _ = node.running()
            deadline = core.deadline
            self.judged += 1
            if deadline is None or node.clock.when(deadline) > world.now:
                self._overdue.pop(node.index, None)
            else:
                since = self._overdue.setdefault(node.index, (deadline, world.now))
                if since[0] != deadline:
                    self._overdue[node.index] = deadline, world.now
                elif world.now - since[1] > _OVERDUE:
                    raise Violation(self.name, f"node {node.index} lets a deadline pass")
            dials = self._history.dials.get(node.index, [])
            dials[:] = [when for when in dials if when > world.now - MINUTE]
            if len(dials) > _DIALS_MAX * len(world.nodes):
                raise Violation(
                    self.name, f"node {node.index} made {len(dials)} calls in a minute"
                )

    def conclude(self) -> None:
        """Look once more."""
        self.sample()


class Reach:
    """Every pair of members is connected, some minutes after everything is healed."""

    __slots__ = ("_history", "_scene", "judged")

    name = "reach"

    def __init__(self, scene: Scene, history: History) -> None:
        """Start without having judged anything."""
        self.judged = 0
        self._scene = scene
        self._history = history

    def missing(self) -> tuple[int, int] | None:
        """Return two members of whom one has no proven link to the other; None if all have."""
        found = [part.node for part in self._scene.members()]
        honest = [node.index for node in found if self._scene.honest(node)]
        linked = self._history.linked
        for device, index in self._scene.devices.items():
            for other in honest:
                if index in honest and index != other and device not in linked[other]:
                    return min(index, other), max(index, other)
        return None

    def sample(self) -> None:
        """Only the end is judged."""

    def conclude(self) -> None:
        """Judge after the wait that `Sim` grants."""
        if len(list(self._scene.members())) > 1:
            self.judged += 1
        missing = self.missing()
        if missing is not None:
            raise Violation(
                self.name,
                f"nodes {missing[0]} and {missing[1]} did not find each other again within "
                f"{REACH_MAX // MINUTE} minutes after everything was healed",
            )
