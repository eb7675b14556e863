"""Soundness: nothing forged counts, nothing grows without bound, nothing inside is broken.

Owns: `Integrity`, `Bounds`, `Structure`. May not know: who forged, or how.
Source: PROTOCOL section 2 'Acceptance'; ARCHITECTURE invariant 6; CHAOS 'Oracles'.
"""

from __future__ import annotations

from typing import Final

from comity.base.limits import ORPHANS_COUNT_MAX
from comity_chaos.history import History
from comity_chaos.oracles.oracle import Violation
from comity_chaos.scene import Scene

__all__ = ["Bounds", "Integrity", "Structure"]

_PLANNED_MAX: Final = 5_000
"""Things that are to come, for each node: more means that something plans itself."""

_WAITING_MAX: Final = 20_000
"""Messages and replies that wait on one node: far more than a plan sends."""


class Integrity:
    """No honest node accepts what was forged."""

    __slots__ = ("_scene", "judged")

    name = "integrity"

    def __init__(self, scene: Scene) -> None:
        """Start without having judged anything."""
        self.judged = 0
        self._scene = scene

    def sample(self) -> None:
        """Look for every forged commit on every trusted node."""
        if not self._scene.forged:
            return
        for part in self._scene.parts:
            replica = part.replica
            if replica is None or not self._scene.trusted(part.node):
                continue
            for commit, wrong in self._scene.forged.items():
                self.judged += 1
                if replica.journal.graph.index_of(commit) is not None:
                    raise Violation(
                        self.name, f"node {part.node.index} accepted a forged commit: {wrong}"
                    )

    def conclude(self) -> None:
        """Look once more."""
        self.sample()


class Bounds:
    """Every buffer keeps its bound, whoever floods it."""

    __slots__ = ("_history", "_scene", "judged")

    name = "bounds"

    def __init__(self, scene: Scene, history: History) -> None:
        """Start without having judged anything."""
        self.judged = 0
        self._scene = scene
        self._history = history

    def sample(self) -> None:
        """Look at what waits on every node."""
        world = self._scene.world
        self.judged += 1
        if len(world.time) > _PLANNED_MAX * len(world.nodes):
            raise Violation(self.name, f"{len(world.time)} things are on their way")
        for part in self._scene.parts:
            replica = part.replica
            if replica is None or not self._scene.trusted(part.node):
                continue
            orphans = replica.status().orphans
            sources = len(world.nodes) - 1
            if orphans > ORPHANS_COUNT_MAX * sources:
                raise Violation(
                    self.name,
                    f"node {part.node.index} keeps {orphans} commits that it cannot check; "
                    f"{ORPHANS_COUNT_MAX} from each of {sources} peers is the most",
                )
            waiting = part.node.running()[1].waiting()
            if waiting > _WAITING_MAX:
                raise Violation(self.name, f"{waiting} messages wait on node {part.node.index}")

    def conclude(self) -> None:
        """Look once more; among the honest, nothing is left that waits for what is there."""
        self.sample()
        if self._scene.byzantine:
            return
        for part in self._scene.members():
            replica = part.replica
            if replica is not None and replica.status().orphans:
                raise Violation(
                    self.name,
                    f"node {part.node.index} has all that the others have and still keeps "
                    f"{replica.status().orphans} commits that it says it cannot check",
                )


class Structure:
    """Every derived field is what it is derived from."""

    __slots__ = ("_scene", "judged")

    name = "structure"

    def __init__(self, scene: Scene) -> None:
        """Start without having judged anything."""
        self.judged = 0
        self._scene = scene

    def sample(self) -> None:
        """Only the end is judged: it costs more than the run."""

    def conclude(self) -> None:
        """Let every node check itself."""
        for node in self._scene.world.nodes:
            if not node.up or not self._scene.trusted(node):
                continue
            self.judged += 1
            core, cells = node.running()
            try:
                core.check()
                cells.check()
            except AssertionError as error:
                raise Violation(self.name, f"node {node.index}: {error!r}") from error
