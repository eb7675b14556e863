"""The judge: all oracles of one run.

Owns: which oracles there are, and when they look. May not know: what each promises.
Source: CHAOS 'Oracles'.
"""

from __future__ import annotations

from collections.abc import Mapping

from comity_chaos.history import History
from comity_chaos.oracles.agreement import (
    Authority,
    Convergence,
    Invariant,
    Invariants,
    Recovery,
)
from comity_chaos.oracles.durability import Durability, Numbering
from comity_chaos.oracles.liveness import Mechanisms, Reach
from comity_chaos.oracles.oracle import Oracle
from comity_chaos.oracles.secrecy import Nonces, Readers, Secrecy
from comity_chaos.oracles.soundness import Bounds, Integrity, Structure
from comity_chaos.scene import Scene

__all__ = ["Judge"]


class Judge:
    """Every oracle of one run."""

    __slots__ = ("_invariants", "history", "oracles", "reach")

    def __init__(self, scene: Scene) -> None:
        """Begin to watch a scene."""
        self.history = History(scene.world)
        self.reach = Reach(scene, self.history)
        self._invariants = Invariants(scene)
        self.oracles: tuple[Oracle, ...] = (
            self._invariants,
            Convergence(scene),
            Authority(scene),
            Integrity(scene),
            Numbering(scene),
            Secrecy(scene, self.history),
            Bounds(scene, self.history),
            Mechanisms(scene, self.history),
            Durability(scene, self.history),
            Readers(scene),
            Nonces(scene),
            Recovery(scene),
            Structure(scene),
            self.reach,
        )

    def always(self, invariant: Invariant) -> None:
        """Judge a promise of the app as well."""
        self._invariants.invariants.append(invariant)

    def sample(self) -> None:
        """Let every oracle look at the run as it is now. Raises: Violation."""
        for oracle in self.oracles:
            oracle.sample()

    def conclude(self, *, safety_only: bool) -> None:
        """Let every oracle judge the whole run. Raises: Violation."""
        for oracle in self.oracles:
            if safety_only:
                oracle.sample()
            else:
                oracle.conclude()

    @property
    def judged(self) -> Mapping[str, int]:
        """How many times each oracle had something to judge."""
        return {oracle.name: oracle.judged for oracle in self.oracles}
