"""A film of one run: what every node did and held, and every frame between them, with times.

Owns: the recording. May not know: what is broken, or how it is shown (`comity_chaos.report`).
It looks on and changes nothing, so a run that is filmed has the same trace as one that is not.
Source: CHAOS 'The report'.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from comity.actor.fold import CellEvent, Folded, TurnEnded
from comity.api.text import plain
from comity.base.ids import Topic, short
from comity.crypto.hashing import PERSON_DIGEST, blake2b
from comity_chaos.witness import Witness

if TYPE_CHECKING:
    from comity.node.effects import Report
    from comity_chaos.node import SimNode
    from comity_chaos.scene import Part
    from comity_chaos.sim import Sim

__all__ = ["EVENTS_MAX", "Film", "Frame", "Measured", "Moment", "Shown"]

EVENTS_MAX: Final = 200_000
"""Moments and frames of one film, each: what comes after is not filmed, and that is said."""

_STATE_BYTES_MAX: Final = 2_000
"""Of one state as text: enough to see what differs."""

_QUIET: Final = frozenset({"linked", "unlinked", "synced", "delivered"})
"""What nodes tell their owners all the time."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Something at one node. at: nanoseconds. kind: of what; text: in words."""

    at: int
    node: int
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame from one node to another. arrives: -1 if it never does."""

    source: int
    target: int
    left: int
    arrives: int
    size: int


@dataclass(frozen=True, slots=True)
class Shown:
    """What a replica shows from an instant on. digest: equal where the state is. text: JSON."""

    at: int
    node: int
    digest: str
    text: str


@dataclass(frozen=True, slots=True)
class Measured:
    """How far a replica is from an instant on: the commits of its log, and what waits there."""

    at: int
    node: int
    commits: int
    waiting: int


class Film:
    """Records one simulation, from `attach` on. Implements `witness.Witness`."""

    __slots__ = (
        "_next", "_sim", "cut_short", "frames", "measured", "moments", "shown",
    )  # fmt: skip

    def __init__(self) -> None:
        """Start empty."""
        self.moments: list[Moment] = []
        self.frames: list[Frame] = []
        self.shown: list[Shown] = []
        self.measured: list[Measured] = []
        self.cut_short = False
        self._sim: Sim | None = None
        self._next: Witness | None = None

    def attach(self, sim: Sim) -> None:
        """Record this one; whoever watched it before goes on doing so."""
        assert self._sim is None
        self._sim = sim
        self._next = sim.world.witness
        sim.world.witness = self
        sim.world.passed = self._passed

    @property
    def sim(self) -> Sim:
        """The simulation that is recorded."""
        assert self._sim is not None
        return self._sim

    # What the world tells

    def started(self, node: SimNode) -> None:
        """A life of a node begins."""
        self._note(node, "start", "is switched on")
        if self._next is not None:
            self._next.started(node)

    def stopped(self, node: SimNode) -> None:
        """A life ends now."""
        self._note(node, "stop", "is off")
        if self._next is not None:
            self._next.stopped(node)

    def ran(self, node: SimNode, event: CellEvent) -> None:
        """A cell ended a turn, folded, or refused to."""
        changed = self._look(node, event.topic)
        match event:
            case TurnEnded():
                self._note(node, "turn", f"runs a message: writes {changed or 'something'}")
            case Folded() if changed:
                self._note(node, "fold", f"takes in what others did: {changed}")
            case _:
                pass
        if self._next is not None:
            self._next.ran(node, event)

    def released(self, node: SimNode, topic: Topic, serial: int) -> None:
        """The core said that turns up to this one are durable."""
        self._note(node, "ack", f"acknowledges its turns up to {serial}")
        if self._next is not None:
            self._next.released(node, topic, serial)

    def sent(self, node: SimNode, frame: bytes) -> None:
        """A frame left a node."""
        if self._next is not None:
            self._next.sent(node, frame)

    def reported(self, node: SimNode, report: Report) -> None:
        """A node told its owner something."""
        if report.what not in _QUIET:
            parts = [report.what]
            if report.commit is not None:
                parts.append(f"commit {short(report.commit)}")
            if report.refusal is not None:
                parts.append(str(report.refusal.reason.value))
                parts.append(report.refusal.detail)
            elif report.detail:
                parts.append(report.detail)
            kind = "refusal" if report.what == "refused" else "report"
            self._note(node, kind, ": ".join(part for part in parts if part))
        if self._next is not None:
            self._next.reported(node, report)

    def dialled(self, node: SimNode) -> None:
        """A node called another."""
        if self._next is not None:
            self._next.dialled(node)

    def _passed(
        self, source: int, target: int, left: int, arrives: Sequence[int], size: int
    ) -> None:
        if len(self.frames) >= EVENTS_MAX:
            self.cut_short = True
            return
        for when in arrives or (-1,):
            self.frames.append(Frame(source, target, left, when, size))

    # Inside

    def _note(self, node: SimNode, kind: str, text: str) -> None:
        if len(self.moments) >= EVENTS_MAX:
            self.cut_short = True
            return
        self.moments.append(Moment(self.sim.world.now, node.index, kind, text))

    def _look(self, node: SimNode, topic: Topic) -> str:
        """Record what the replica shows now; return which fields changed."""
        part = next(
            (p for p in self.sim.scene.parts if p.node is node and p.topic == topic), None
        )
        if part is None or len(self.shown) >= EVENTS_MAX:
            return ""
        self._measure(part)
        cell = part.cell
        digest = blake2b(cell.state_bytes(), person=PERSON_DIGEST, size=16).hex()
        last = next((s for s in reversed(self.shown) if s.node == node.index), None)
        if last is not None and last.digest == digest:
            return ""
        state = cast("Mapping[str, object]", plain(cell.snapshot()))
        text = json.dumps(state, ensure_ascii=False, sort_keys=True)
        if len(text) > _STATE_BYTES_MAX:
            text = text[:_STATE_BYTES_MAX] + "…"
        self.shown.append(Shown(self.sim.world.now, node.index, digest, text))
        return ", ".join(_changed(last, state))

    def _measure(self, part: Part) -> None:
        """Record how much a replica holds, and how much waits on its node."""
        replica, node = part.replica, part.node
        if replica is None or len(self.measured) >= EVENTS_MAX:
            return
        waiting = node.running()[1].waiting() + replica.status().orphans + len(node.inbox)
        commits = len(replica.journal.graph)
        self.measured.append(Measured(self.sim.world.now, node.index, commits, waiting))


def _changed(last: Shown | None, state: Mapping[str, object]) -> list[str]:
    if last is None or last.text.endswith("…"):
        return list(state)
    before = cast("dict[str, object]", json.loads(last.text))
    return [name for name, value in state.items() if before.get(name) != value]
