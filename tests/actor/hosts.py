"""Cells with their logs: a small core that seals turns, feeds folds and hides, by hand.

Owns: `Hosts`, three devices whose commits go into one world, and `Host`, one device's replica
of it with a graph of its own. May not know: stores, links, beats by time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from comity.actor.actor_type import ActorType
from comity.actor.cell import Cell
from comity.actor.fold import BeatClosed, Binding, Fold, FoldCommit, Folded, TurnEnded
from comity.actor.message import Outcome
from comity.base.ids import CommitId
from comity.crypto.symbolic import Symbolic
from comity.log.entries import TurnEntry
from comity.log.graph import Graph
from tests.log.world import World
from tests.node.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Host", "Hosts"]

Place = tuple[CommitId, int]
"""A turn by its commit and its index there."""


class Host:
    """One device: a cell, a graph, and what of the graph the cell has seen."""

    def __init__(self, world: World, author: int) -> None:
        """Start with an empty cell over an empty graph."""
        self.world = world
        self.author = author
        self.graph = Graph()
        self.cell = Cell(ActorType.of(Ledger), world.topic)
        self.draft: list[TurnEnded] = []
        self.bindings: list[Binding] = []
        self.sealed = 0
        self.shown: dict[CommitId, None] = {}
        self.unfed: list[CommitId] = []
        self.hidden: dict[Place, None] = {}

    # What the cell is asked

    def run(self, selector: Callable[..., Any], *arguments: object) -> Outcome:
        """Run a message as a turn and keep what it wrote for the next commit."""
        message = self.cell.actor_type.message(selector, arguments, {})
        outcome, ended = self.cell.run(message)
        if ended is not None:
            self.draft.append(ended)
        return outcome

    def fold(self, *, last: bool = True, hide: Sequence[Place] = ()) -> Folded:
        """Seal, then feed all that is not fed and hide these turns; both must be taken."""
        self.seal()
        event, _ = self.cell.fold(self.offer(last=last, hide=hide))
        assert isinstance(event, Folded)
        self.fed()
        self.hidden.update(dict.fromkeys(hide))
        return event

    def show(self, *places: Place) -> None:
        """Show hidden turns again."""
        self.seal()
        event, _ = self.cell.fold(self.offer(show=places))
        assert isinstance(event, Folded)
        self.fed()
        for place in places:
            del self.hidden[place]

    def offer(
        self,
        *,
        last: bool = True,
        hide: Sequence[Place] = (),
        show: Sequence[Place] = (),
        may_write: bool = True,
    ) -> Fold:
        """Return the next fold, which binds what is sealed and feeds what is not fed."""
        return Fold(
            self.world.topic,
            self.cell.beat + 1,
            self.sealed,
            self.graph,
            bindings=tuple(self.bindings),
            commits=tuple(
                FoldCommit(self.number(each), self.turns(each)) for each in self.unfed
            ),
            hide=tuple((self.number(commit), index) for commit, index in hide),
            show=tuple((self.number(commit), index) for commit, index in show),
            may_write=may_write,
            last=last,
        )

    def refused(self, fold: Fold) -> BeatClosed:
        """Offer a fold that the cell must refuse, without a change."""
        before = self.cell.state_bytes(), self.cell.beat, self.cell.serial
        event, changes = self.cell.fold(fold)
        assert isinstance(event, BeatClosed)
        assert changes == ()
        assert before == (self.cell.state_bytes(), self.cell.beat, self.cell.serial)
        return event

    def fed(self) -> None:
        """Note that the cell took the fold that `offer` made."""
        self.shown.update(dict.fromkeys(self.unfed))
        self.unfed, self.bindings = [], []

    # What the log is told

    def seal(self) -> CommitId | None:
        """Make a commit of the draft, on what its turns read; None if there is no draft."""
        if not self.draft:
            return None
        body = tuple(TurnEntry(ended.operations) for ended in self.draft)
        commit = self.world.commit(self.author, body, self.heads())
        first, last = self.draft[0].serial, self.draft[-1].serial
        self._insert(commit)
        self.bindings.append(Binding(first, last, self.number(commit)))
        self.sealed = last
        self.shown[commit] = None
        self.draft = []
        return commit

    def learn(self, commits: Sequence[CommitId]) -> None:
        """Take commits of others that are not here, parents first; the next fold feeds them."""
        for commit in commits:
            if self.graph.index_of(commit) is None:
                self._insert(commit)
                self.unfed.append(commit)

    def heads(self) -> tuple[CommitId, ...]:
        """Return the newest commits that the cell has seen or made."""
        parents = dict.fromkeys(
            parent for each in self.shown for parent in self.world.inners[each].parents
        )
        return tuple(sorted(each for each in self.shown if each not in parents))

    def number(self, commit: CommitId) -> int:
        """Return the number of a commit in this device's graph."""
        number = self.graph.index_of(commit)
        assert number is not None
        return number

    def turns(self, commit: CommitId) -> tuple[bytes, ...]:
        """Return the turns of a commit."""
        entries = self.world.inners[commit].entries
        return tuple(each.operations for each in entries if isinstance(each, TurnEntry))

    def _insert(self, commit: CommitId) -> None:
        gen = self.world.graph.gen_of(self.world.number(commit))
        self.graph.insert(commit, self.world.inners[commit], gen=gen)


class Hosts:
    """Three devices of one actor, each with a cell that has begun."""

    def __init__(self) -> None:
        """Found the actor and begin everywhere."""
        self.world = World(Symbolic())
        self.all = [self.begin(author) for author in range(3)]

    def begin(self, author: int = 0) -> Host:
        """Return a further replica that has seen the founding and nothing else."""
        host = Host(self.world, author)
        host.learn(self.log()[:1])
        host.fold()
        return host

    def log(self) -> tuple[CommitId, ...]:
        """Return every commit that was made, in the order in which they were."""
        return tuple(self.world.inners)

    def sync(self) -> None:
        """Bring every device to everything."""
        for host in self.all:
            host.seal()
        for host in self.all:
            host.learn(self.log())
            host.fold()
