"""Agreement: whoever has the same log has the same state, the same members, the same view.

Owns: `Convergence`, `Authority`, `Recovery`, `Invariants`. May not know: how logs spread.
Looked at whenever a cell is idle, at any node and at any time: what two nodes show at the
same heads must be equal even if they never meet.
Source: ARCHITECTURE invariant 1; CHAOS 'Oracles', Convergence and Integrity.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from comity.actor.cell import Cell
from comity.actor.fold import Fold
from comity.base.ids import CommitId, Token, Topic
from comity.node import commands
from comity.node.core import Core
from comity.node.effects import Effect, Read, Write
from comity.node.events import ReadDone, Stored
from comity_chaos.disk import Disk
from comity_chaos.oracles.oracle import Violation
from comity_chaos.scene import Part, Scene

__all__ = [
    "Authority",
    "Convergence",
    "Invariant",
    "Invariants",
    "Recovery",
    "difference",
    "plainly",
]

_REOPENED_MAX: Final = 2
"""Nodes of one run that are started anew: each costs as much as a tenth of the run."""

Invariant = Callable[[Mapping[str, object]], object]
"""A promise of an app: takes the fields as plain values; false, or raises, if it is broken."""


def plainly(value: object) -> object:
    """Return a value of a field as a person would write it."""
    if isinstance(value, Mapping):
        return {plainly(key): plainly(each) for key, each in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, frozenset):
        return {plainly(each) for each in sorted(value, key=repr)}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return value


def difference(one: Mapping[str, object], other: Mapping[str, object]) -> str:
    """Say which fields differ, and how."""
    parts = [
        f"{name} is {plainly(one[name])!r} here and {plainly(other[name])!r} there"
        for name in one
        if one[name] != other.get(name)
    ]
    return "; ".join(parts) or "the values look alike, their bytes differ"


class Convergence:
    """The same log gives the same state, to the byte."""

    __slots__ = ("_looked", "_scene", "_seen", "judged")

    name = "convergence"

    def __init__(self, scene: Scene) -> None:
        """Start without having seen anything."""
        self.judged = 0
        self._scene = scene
        self._looked: dict[tuple[int, int, Topic], tuple[CommitId, ...]] = {}
        self._seen: dict[
            tuple[Topic, tuple[CommitId, ...]], tuple[bytes, Part, dict[str, object]]
        ] = {}

    def sample(self) -> None:
        """Compare what idle cells show with what others showed at the same heads."""
        for part in self._scene.parts:
            if not part.idle or not self._scene.trusted(part.node):
                continue
            replica = part.replica
            assert replica is not None
            heads = replica.journal.graph.heads
            who = part.node.index, part.node.life, part.topic
            if self._looked.get(who) == heads:
                continue
            self._looked[who] = heads
            cell = part.cell
            state = cell.state_bytes()
            known = self._seen.get((part.topic, heads))
            if known is None:
                self._seen[part.topic, heads] = state, part, cell.snapshot()
                continue
            self.judged += 1
            if known[0] != state:
                raise Violation(
                    self.name,
                    f"nodes {part.node.index} and {known[1].node.index} have the same log of "
                    f"{len(replica.journal.graph)} commits and show different states: "
                    + difference(cell.snapshot(), known[2]),
                )

    def conclude(self) -> None:
        """Look once more."""
        self._looked.clear()
        self.sample()


class Authority:
    """The same log gives the same members and hides the same commits."""

    __slots__ = ("_scene", "_seen", "judged")

    name = "authority"

    def __init__(self, scene: Scene) -> None:
        """Start without having seen anything."""
        self.judged = 0
        self._scene = scene
        self._seen: dict[tuple[Topic, tuple[CommitId, ...]], tuple[str, int]] = {}

    def sample(self) -> None:
        """Compare members and hidden commits at equal heads."""
        for part in self._scene.parts:
            replica = part.replica
            if replica is None or not self._scene.trusted(part.node):
                continue
            journal = replica.journal
            if journal.authority is None:
                continue
            heads = journal.graph.heads
            members = {
                self._scene.known_as(device): role.name.lower()
                for device, role in journal.authority.members().items()
            }
            hidden = sorted(
                journal.graph.id_of(commit).hex()[:8]
                for commit in range(len(journal.graph))
                if not journal.effective(commit)
            )
            view = f"members {members}, hidden commits {hidden}"
            known = self._seen.setdefault((part.topic, heads), (view, part.node.index))
            if known[1] != part.node.index:
                self.judged += 1
            if known[0] != view:
                raise Violation(
                    self.name,
                    f"nodes {part.node.index} and {known[1]} have the same log and different "
                    f"views of who counts: {view} against {known[0]}",
                )

    def conclude(self) -> None:
        """Look once more."""
        self.sample()


class Recovery:
    """What a node shows is what it would show if it were started again from its disk."""

    __slots__ = ("_scene", "judged")

    name = "recovery"

    def __init__(self, scene: Scene) -> None:
        """Start without having judged anything."""
        self.judged = 0
        self._scene = scene

    def sample(self) -> None:
        """Only the end is judged: it costs a start of the node."""

    def conclude(self) -> None:
        """Start some nodes anew beside the world, and compare: others in another seed."""
        world = self._scene.world
        parts = [p for p in self._scene.members() if p.idle and not p.node.disk.pending]
        for number in range(min(len(parts), _REOPENED_MAX)):
            part = parts.pop(world.keyed.below(len(parts), "reopened", number))
            self.judged += 1
            again = reopened(self._scene, part)
            if again.state_bytes() != part.cell.state_bytes():
                raise Violation(
                    self.name,
                    f"node {part.node.index} shows another state after a restart: "
                    + difference(part.cell.snapshot(), again.snapshot()),
                )


def reopened(scene: Scene, part: Part) -> Cell:
    """Return the cell that a node would have if it were started now from what is durable."""
    world = scene.world
    disk = Disk()
    disk.restore(part.node.disk.image())
    core = Core(world.ports(part.node, life=1 << 32), part.node.local)
    cell = Cell(part.actor_type, part.topic)
    now = world.moment(part.node)
    effects: list[Effect] = core.start(disk.rows(), now)
    effects += core.step((commands.Activate(Token(0), part.topic),), now)
    for effect in effects:
        match effect:
            case Write():
                disk.write(effect)
                effects += core.step((Stored(disk.sync().token),), now)
            case Read():
                effects += core.step((ReadDone(effect.token, disk.read(effect)),), now)
            case Fold():
                effects += core.step((cell.fold(effect)[0],), now)
            case _:
                pass
    return cell


class Invariants:
    """What the author of an app says is always so."""

    __slots__ = ("_scene", "invariants", "judged")

    name = "invariant"

    def __init__(self, scene: Scene) -> None:
        """Start without an invariant."""
        self.judged = 0
        self._scene = scene
        self.invariants: list[Invariant] = []

    def sample(self) -> None:
        """Ask every invariant about what every idle cell shows."""
        if not self.invariants:
            return
        for part in self._scene.parts:
            if not part.idle or not self._scene.trusted(part.node):
                continue
            state = part.cell.snapshot()
            for invariant in self.invariants:
                self.judged += 1
                try:
                    holds = invariant(state)
                except AssertionError as error:
                    raise self._broken(part, invariant, state, f" ({error})") from error
                if holds is not None and not holds:
                    raise self._broken(part, invariant, state, "")

    def conclude(self) -> None:
        """Look once more."""
        self.sample()

    def _broken(
        self, part: Part, invariant: Invariant, state: Mapping[str, object], why: str
    ) -> Violation:
        name = getattr(invariant, "__name__", repr(invariant))
        name = "the app's promise" if name == "<lambda>" else f"'{name}'"
        return Violation(
            self.name, f"{name} does not hold on node {part.node.index}{why}: {plainly(state)}"
        )
