"""Who is told of a run while it happens: the oracles, by way of their judge.

Owns: the shape of what the world tells. May not know: who listens, and what is judged.
Source: CHAOS 'Oracles'.
"""

from __future__ import annotations

from typing import Protocol

from comity.actor.fold import CellEvent
from comity.base.ids import Topic
from comity.node.effects import Report
from comity_chaos.node import SimNode

__all__ = ["Witness"]


class Witness(Protocol):
    """Who is told what happens, to judge it."""

    def started(self, node: SimNode) -> None:
        """A life of a node begins."""
        ...

    def stopped(self, node: SimNode) -> None:
        """A life ends now; all that it held in memory is still there to be looked at."""
        ...

    def ran(self, node: SimNode, event: CellEvent) -> None:
        """A cell ended a turn, folded, or refused to."""
        ...

    def released(self, node: SimNode, topic: Topic, serial: int) -> None:
        """The core said that turns up to this one are durable."""
        ...

    def sent(self, node: SimNode, frame: bytes) -> None:
        """A frame left a node."""
        ...

    def reported(self, node: SimNode, report: Report) -> None:
        """A node told its owner something."""
        ...

    def dialled(self, node: SimNode) -> None:
        """A node called another."""
        ...
