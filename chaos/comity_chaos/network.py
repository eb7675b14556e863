"""The simulated network: who can reach whom, how long it takes, and what is on its way.

Owns: links between nodes, their latencies and the cuts. May not know: what frames mean.
A link is a stream: frames arrive whole and in order, or the link breaks. A cut breaks the
links across it, after the time that a real peer needs to notice, and fails new dials.
Source: CHAOS 'Faults', Network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from comity.base.clock import MILLISECOND, SECOND, Duration, Instant
from comity.base.ids import LinkId
from comity_chaos.keyed import Keyed

__all__ = ["Network", "Wire"]

_LATENCY_MIN: Final = Duration(1 * MILLISECOND)
_LATENCY_SPREAD: Final = 19
"""Milliseconds of keyed jitter on top: a LAN on a bad day."""

NOTICE: Final = Duration(2 * SECOND)
"""How long a peer takes to notice that a link is dead, as keepalives do."""


@dataclass(slots=True, eq=False)
class Wire:
    """One link between two nodes, seen from both ends.

    ends: (node, life, that node's number of the link), the dialling side first.
    """

    number: int
    ends: tuple[tuple[int, int, LinkId], tuple[int, int, LinkId]]
    open: bool = True
    sent: int = 0
    clear_at: tuple[Instant, Instant] = (Instant(0), Instant(0))


class Network:
    """All links of one world."""

    __slots__ = ("_cuts", "_keyed", "_number", "_wires", "frames", "octets")

    def __init__(self, keyed: Keyed) -> None:
        """Start with everybody reachable and nobody connected."""
        self._keyed = keyed
        self._cuts: dict[tuple[int, int], None] = {}
        self._wires: dict[tuple[int, LinkId], Wire] = {}
        self._number = 0
        self.frames = 0
        self.octets = 0

    def reachable(self, source: int, target: int) -> bool:
        """Tell whether frames pass from one node to another."""
        return (source, target) not in self._cuts

    def connect(self, source: tuple[int, int, LinkId], target: tuple[int, int, LinkId]) -> Wire:
        """Make a link; both ends learn of it when the world says so."""
        self._number += 1
        wire = Wire(self._number, (source, target))
        self._wires[source[0], source[2]] = wire
        self._wires[target[0], target[2]] = wire
        return wire

    def wire(self, node: int, link: LinkId) -> Wire | None:
        """Return the open link that a node knows by this number."""
        found = self._wires.get((node, link))
        return found if found is not None and found.open else None

    def arrival(self, wire: Wire, sender: int, size: int, now: Instant) -> Instant:
        """Return when a frame that is sent now arrives: in order, after keyed latency."""
        wire.sent += 1
        self.frames += 1
        self.octets += size
        jitter = self._keyed.below(_LATENCY_SPREAD * 1000, "latency", wire.number, wire.sent)
        arrives = Instant(now + _LATENCY_MIN + jitter * 1000)
        side = 0 if wire.ends[0][0] == sender else 1
        clear = list(wire.clear_at)
        clear[side] = Instant(max(arrives, clear[side] + 1))
        wire.clear_at = clear[0], clear[1]
        return clear[side]

    def close(self, wire: Wire) -> None:
        """Take a link out."""
        wire.open = False
        for node, _, link in wire.ends:
            self._wires.pop((node, link), None)

    def wires_of(self, node: int) -> list[Wire]:
        """Return the open links of a node, oldest first."""
        found = {wire.number: wire for (n, _), wire in self._wires.items() if n == node}
        return [found[number] for number in sorted(found)]

    def cut(self, groups: list[list[int]]) -> list[Wire]:
        """Let nothing pass between different groups; return the links that this breaks."""
        for place, group in enumerate(groups):
            for other in groups[:place]:
                for a in group:
                    for b in other:
                        self._cuts[a, b] = None
                        self._cuts[b, a] = None
        broken = {
            wire.number: wire
            for wire in self._wires.values()
            if (wire.ends[0][0], wire.ends[1][0]) in self._cuts
        }
        return [broken[number] for number in sorted(broken)]

    def heal(self) -> None:
        """Let everything pass again; broken links stay broken until somebody dials."""
        self._cuts.clear()
