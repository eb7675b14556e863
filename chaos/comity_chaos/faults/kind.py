"""What a kind of fault is: how it is drawn, worked, undone, counted and told.

Owns: the shape of the catalogue's entries, and the stage that faults work on. May not know:
any one fault.

    drawn --trigger--> worked --its time, or the end--> undone
Source: CHAOS 'Architecture', Plan: 'an inverse, a counter did it bite, a declared model'.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, unique

from comity_chaos.disk import Image
from comity_chaos.node import SimNode
from comity_chaos.plan import Fault
from comity_chaos.scene import Part, Scene
from comity_chaos.treason import Traitor
from comity_chaos.world import World

__all__ = ["Bit", "FaultKind", "Model", "Stage", "Undo", "Work", "undone"]

Bit = Callable[[], None]
"""Called whenever a fault changed what happened."""

Undo = Callable[[], None]
"""The inverse of a fault; safe to call when there is nothing left to undo."""


@unique
class Model(Enum):
    """What a fault assumes of the world. Promises hold under all of them, for who is honest."""

    OMISSION = "what is sent is late, lost or cut off"
    CRASH = "a node stops, or runs at another speed, and comes back with its disk"
    CLOCK = "a clock is wrong"
    DISK = "a disk fails, in a way that it says"
    AMNESIA = "a disk is put back or copied: its device forks"
    BYZANTINE = "a node or the network does anything"
    OWNER = "no fault: somebody with the right to it changes who is a member"


class Stage:
    """What faults work on."""

    __slots__ = ("backups", "scene", "traitors", "world")

    def __init__(self, scene: Scene) -> None:
        """Take the scene; keep what every disk holds now, as backups."""
        self.scene = scene
        self.world: World = scene.world
        self.backups: dict[int, Image] = {
            node.index: node.disk.image() for node in self.world.nodes
        }
        self.traitors: dict[int, Traitor] = {
            node.index: node.codec
            for node in self.world.nodes
            if isinstance(node.codec, Traitor)
        }

    def node(self, fault: Fault, place: int = 0) -> SimNode:
        """Return a node that a fault hits."""
        return self.world.nodes[fault.nodes[place]]

    def part(self, node: SimNode) -> Part | None:
        """Return a node's part in the first shared actor."""
        return next((part for part in self.scene.parts if part.node is node), None)

    def stop(self, node: SimNode, kept: int | None = None) -> bool:
        """Stop a node, if it is up; tell whether it was."""
        if node.up:
            self.world.crash(node, kept=kept)
            return True
        return False

    def start(self, node: SimNode) -> None:
        """Start a node, if it is off."""
        if not node.up:
            self.world.start(node)


Work = Callable[[Stage, Fault, Bit], Undo]
"""Works a fault and returns its inverse."""


def undone() -> None:
    """Undo nothing: what happened is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultKind:
    """One kind of fault.

    nodes: how many it hits. fewer: it may hit fewer, one at least. amounts: to draw from, the
    mildest first; empty if there is none. lasts: milliseconds to draw from, the shortest first;
    empty if it is over at once. events: what it may wait for. often: it may also come by chance
    at each event. tells: a sentence about nodes {a}, {b}, all of them {all}, and {amount}.
    """

    name: str
    model: Model
    work: Work
    tells: str
    nodes: int = 1
    fewer: bool = False
    amounts: tuple[int, ...] = ()
    lasts: tuple[int, ...] = ()
    events: tuple[str, ...] = ()
    often: bool = False

    @property
    def needs(self) -> int:
        """The least number of nodes."""
        return 1 if self.fewer else self.nodes
