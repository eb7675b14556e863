"""What happened to each node of a run, as its owner would have seen it.

Owns: the turns that ran, which of them were said to be durable, and what left the nodes. May
not know: what is right (`comity_chaos.oracles`).
Source: CHAOS 'Oracles', Durability and Order.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from comity.actor.fold import CellEvent, TurnEnded
from comity.base.ids import DeviceId, Topic
from comity.node.effects import Report
from comity_chaos.node import SimNode
from comity_chaos.world import World

__all__ = ["History", "Life"]


@dataclass(slots=True)
class Life:
    """The turns of one actor in one life of one node, or since its last restart there.

    turns: what each wrote, in order. durable: how many of them were said to be.
    """

    turns: list[bytes] = field(default_factory=list)
    durable: int = 0


class History:
    """Everything that oracles ask about the past. Implements `witness.Witness`.

    linked: by node, the devices that it knows to be at the other end of an open link.
    """

    __slots__ = ("_current", "_world", "dials", "frames", "linked", "lives", "reports")

    def __init__(self, world: World) -> None:
        """Start watching a world."""
        self._world = world
        self._current: dict[tuple[int, Topic], Life] = {}
        self.lives: dict[tuple[int, Topic], list[Life]] = {}
        self.frames: list[bytes] = []
        self.reports: list[tuple[int, Report]] = []
        self.dials: dict[int, list[int]] = {}
        self.linked: dict[int, dict[DeviceId, None]] = {}
        world.witness = self

    def started(self, node: SimNode) -> None:
        """Begin a life of every actor on a node; it has reached nobody yet."""
        self.linked[node.index] = {}
        for name in [name for name in self._current if name[0] == node.index]:
            del self._current[name]

    def stopped(self, node: SimNode) -> None:
        """End a life."""

    def ran(self, node: SimNode, event: CellEvent) -> None:
        """Keep what a turn wrote."""
        if not isinstance(event, TurnEnded):
            return
        name = node.index, event.topic
        life = self._current.get(name)
        if life is not None and event.serial == 1:
            assert life.durable == len(life.turns), "restarted before its turns were durable"
            life = None
        if life is None:
            life = self._current[name] = Life()
            self.lives.setdefault(name, []).append(life)
        assert event.serial == len(life.turns) + 1
        life.turns.append(event.operations)

    def released(self, node: SimNode, topic: Topic, serial: int) -> None:
        """Keep up to where turns were said to be durable."""
        life = self._current.get((node.index, topic))
        if life is not None:
            life.durable = max(life.durable, serial)

    def sent(self, node: SimNode, frame: bytes) -> None:
        """Keep what left a node, until it is looked at."""
        del node
        self.frames.append(frame)

    def reported(self, node: SimNode, report: Report) -> None:
        """Keep what a node told its owner, and whom it has a proven link to."""
        self.reports.append((node.index, report))
        if report.device is not None and report.what == "linked":
            self.linked[node.index][report.device] = None
        elif report.device is not None and report.what == "unlinked":
            self.linked[node.index].pop(report.device, None)

    def dialled(self, node: SimNode) -> None:
        """Keep when a node called."""
        self.dials.setdefault(node.index, []).append(self._world.now)
