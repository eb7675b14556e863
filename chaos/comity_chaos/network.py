"""The simulated network: who can reach whom, how long it takes, and what is on its way.

Owns: links between nodes, the paths that they take, and what is wrong with these. May not
know: what frames mean, nodes. A link is a stream: frames arrive whole and in order, or the
link breaks. A cut breaks the links across it, after the time that a real peer needs to notice,
and fails new dials; on a silent path frames vanish and nobody is told.
Source: CHAOS 'Faults', Network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from comity.base.clock import MILLISECOND, SECOND, Duration
from comity.base.ids import LinkId
from comity_chaos.keyed import Keyed

__all__ = ["NOTICE", "Meddler", "Network", "Path", "Wire"]

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
    clear_at: list[int] = field(default_factory=lambda: [0, 0])

    def side_of(self, node: int, link: LinkId) -> int:
        """Return which end this node's link number is: 0 dialled, 1 was dialled."""
        first = self.ends[0]
        return 0 if first[0] == node and first[2] == link else 1


Meddler = Callable[[Wire, int, bytes], Sequence[bytes]]
"""Gets (wire, the sending side, frame); returns the frames that arrive in its place."""


@dataclass(slots=True)
class Path:
    """What is wrong on the way from one node to another.

    delay: nanoseconds on top of every frame. rate: bytes a second, 0 for no limit. silent:
    frames vanish. deaf: dials get no answer. vanished: frames that did.
    """

    delay: int = 0
    rate: int = 0
    silent: bool = False
    deaf: bool = False
    meddler: Meddler | None = None
    vanished: int = 0
    delayed: int = 0
    unanswered: int = 0


class Network:
    """All links of one world.

    calm: every frame takes the same time. refused: calls that a cut kept from an answer, by
    direction. frames, octets: sent so far.
    """

    __slots__ = (
        "_cuts",
        "_keyed",
        "_number",
        "_paths",
        "_sent",
        "_wires",
        "calm",
        "frames",
        "octets",
        "refused",
    )

    def __init__(self, keyed: Keyed) -> None:
        """Start with everybody reachable and nobody connected."""
        self._keyed = keyed
        self._cuts: dict[tuple[int, int], int] = {}
        self._paths: dict[tuple[int, int], Path] = {}
        self._wires: dict[tuple[int, LinkId], Wire] = {}
        self._sent: dict[tuple[int, int], int] = {}
        self._number = 0
        self.calm = False
        self.refused: dict[tuple[int, int], int] = {}
        self.frames = 0
        self.octets = 0

    # Reachability

    def reachable(self, source: int, target: int) -> bool:
        """Tell whether a connection can be made from one node to another, and kept."""
        return (source, target) not in self._cuts and (target, source) not in self._cuts

    def answers(self, source: int, target: int) -> bool:
        """Tell whether a dial is answered; count it if a fault says no."""
        path = self._paths.get((source, target))
        if path is not None and path.deaf:
            path.unanswered += 1
            return False
        if self.reachable(source, target):
            return True
        for pair in ((source, target), (target, source)):
            self.refused[pair] = self.refused.get(pair, 0) + 1
        return False

    def path(self, source: int, target: int) -> Path:
        """Return the path from one node to another, to change what is wrong with it."""
        return self._paths.setdefault((source, target), Path())

    def cut(self, pairs: Sequence[tuple[int, int]]) -> list[Wire]:
        """Let nothing pass in these directions; return the links that this breaks.

        Cuts add up: each needs its own `mend`.
        """
        for pair in pairs:
            self._cuts[pair] = self._cuts.get(pair, 0) + 1
        broken = {
            wire.number: wire
            for wire in self._wires.values()
            if not self.reachable(wire.ends[0][0], wire.ends[1][0])
        }
        return [broken[number] for number in sorted(broken)]

    def mend(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Take one cut in each of these directions back."""
        for pair in pairs:
            left = self._cuts.get(pair, 0) - 1
            if left > 0:
                self._cuts[pair] = left
            else:
                self._cuts.pop(pair, None)

    def heal(self) -> None:
        """Let everything pass again; broken links stay broken until somebody dials."""
        self._cuts.clear()
        self._paths.clear()

    # Links

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

    def close(self, wire: Wire) -> None:
        """Take a link out."""
        wire.open = False
        for node, _, link in wire.ends:
            self._wires.pop((node, link), None)

    def wires_of(self, node: int) -> list[Wire]:
        """Return the open links of a node, oldest first."""
        found = {wire.number: wire for (n, _), wire in self._wires.items() if n == node}
        return [found[number] for number in sorted(found)]

    def wires_between(self, one: int, other: int) -> list[Wire]:
        """Return the open links between two nodes, oldest first."""
        return [
            wire for wire in self.wires_of(one) if other in {wire.ends[0][0], wire.ends[1][0]}
        ]

    # Frames

    def pass_on(self, wire: Wire, side: int, frame: bytes, now: int) -> list[tuple[int, bytes]]:
        """Return what arrives at the other end of a frame that is sent now, and when."""
        self.frames += 1
        self.octets += len(frame)
        source, target = wire.ends[side][0], wire.ends[1 - side][0]
        path = self._paths.get((source, target)) if self._paths else None
        if path is None:
            return [(self._arrival(wire, side, now, None, len(frame)), frame)]
        if path.silent:
            path.vanished += 1
            return []
        frames: Sequence[bytes] = (frame,)
        if path.meddler is not None:
            frames = path.meddler(wire, side, frame)
        return [(self._arrival(wire, side, now, path, len(each)), each) for each in frames]

    def _arrival(self, wire: Wire, side: int, now: int, path: Path | None, size: int) -> int:
        """Return when a frame is there: in order, after keyed latency and what is wrong."""
        jitter = 0
        if not self.calm:
            pair = wire.ends[side][0], wire.ends[1 - side][0]
            sent = self._sent[pair] = self._sent.get(pair, 0) + 1
            jitter = self._keyed.below(_LATENCY_SPREAD * 1000, "latency", *pair, sent) * 1000
        arrives = now + _LATENCY_MIN + jitter
        if path is None:
            arrives = max(arrives, wire.clear_at[side] + 1)
        else:
            sending = size * SECOND // path.rate if path.rate else 0
            arrives = max(arrives + path.delay, wire.clear_at[side] + 1) + sending
            if path.delay or sending:
                path.delayed += 1
        wire.clear_at[side] = arrives
        return arrives
