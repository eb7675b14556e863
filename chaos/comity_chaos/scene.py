"""The scene of a run: the world, who plays in it, and who may be trusted to be judged.

Owns: which actors are shared where, and which nodes have lost their innocence. May not know:
plans, faults, oracles; faults write here what oracles must know.

    honest    everything is promised to it and expected of it
    tainted   its disk was put back or copied: it runs right, on a memory that is not its own
    byzantine it may do anything; nothing is expected of it
Source: CHAOS 'Faults'.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from comity.actor.actor_type import ActorType
from comity.actor.cell import Cell
from comity.base.ids import CommitId, DeviceId, Topic
from comity.node.replica import Replica
from comity_chaos.node import SimNode
from comity_chaos.world import World

__all__ = ["Part", "Scene"]


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One node's replica of one shared actor."""

    node: SimNode
    topic: Topic
    actor_type: ActorType

    @property
    def replica(self) -> Replica | None:
        """What the running core holds; None while the node is off, or was never let in."""
        return None if self.node.core is None else self.node.core.replica(self.topic)

    @property
    def cell(self) -> Cell:
        """The cell of a node that is up."""
        return self.node.running()[1].cell(self.topic)

    @property
    def idle(self) -> bool:
        """Whether the node is up and its cell shows all of its log, with nothing under way."""
        if not self.node.up or self.node.inbox:
            return False
        replica = self.replica
        return (
            replica is not None and replica.beats.idle and not self.node.running()[1].waiting()
        )


class Scene:
    """Who plays in a run.

    byzantine, tainted, removed: by node index, with the reason in words. forged: commits that
    no honest node may accept, with what is wrong with them.
    """

    __slots__ = ("byzantine", "devices", "forged", "parts", "removed", "tainted", "world")

    def __init__(self, world: World) -> None:
        """Start with an empty stage."""
        self.world = world
        self.parts: list[Part] = []
        self.byzantine: dict[int, str] = {}
        self.tainted: dict[int, str] = {}
        self.removed: dict[int, str] = {}
        self.forged: dict[CommitId, str] = {}
        self.devices: dict[DeviceId, int] = {}

    def trusted(self, node: SimNode) -> bool:
        """Whether a node runs right; its memory may have been put back."""
        return node.index not in self.byzantine

    def honest(self, node: SimNode) -> bool:
        """Whether a node runs right on its own memory."""
        return self.trusted(node) and node.index not in self.tainted

    def members(self) -> Iterator[Part]:
        """Yield the parts that must agree in the end: trusted, and not removed."""
        for part in self.parts:
            if self.trusted(part.node) and part.node.index not in self.removed:
                yield part

    def known_as(self, device: DeviceId) -> str:
        """Name a device as a story does."""
        index = self.devices.get(device)
        return f"device {device.hex()[:8]}" if index is None else f"node {index}"
