"""Replicas that show an actor: what authority decides, folded by a real cell.

Owns: `FoldingReplica`, which hands a cell what the node would, and `play_turns`, which gives
the data commits of a graph turns that a cell really ran. May not know: how graphs are made.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from comity import Actor, Counter, List, Map, Register, Set, Text
from comity.actor.actor_type import ActorType
from comity.actor.cell import Cell
from comity.actor.fold import Fold, FoldCommit, Folded
from comity.authority.claim import Change
from comity.base.ids import CommitId, DeviceId, Topic
from comity.log.entries import Role
from comity.log.graph import Graph
from tests.authority.naive import Commit, Naive
from tests.authority.world import Pick, Replica

__all__ = ["Board", "FoldingReplica", "play_turns", "shown_by"]

TOPIC: Final = Topic(bytes(32))


class Board(Actor):
    """One field of every type; every message reads before it writes."""

    title: Register[str]
    total: Counter
    names: Set[str]
    lines: Map[str, int]
    text: Text
    steps: List[str]

    def enter(self, name: str, amount: int) -> None:
        """Write four fields at once."""
        self.names.add(name)
        self.total += amount - self.lines.get(name, 0)
        self.lines[name] = amount
        self.title = f"{name} of {len(self.lines)}"

    def strike(self, name: str) -> None:
        """Take an entry away, if it is shown."""
        if name in self.lines:
            self.total -= self.lines.pop(name)
            self.names.remove(name)

    def type(self, at: int, what: str) -> None:
        """Type somewhere in what is shown."""
        self.text.insert(at % (len(self.text) + 1), what)

    def erase(self, at: int) -> None:
        """Erase a character that is shown."""
        if len(self.text):
            start = at % len(self.text)
            del self.text[start : start + 1]

    def step(self, at: int, what: str) -> None:
        """Put a step somewhere into the list as it is shown."""
        self.steps.insert(at % (len(self.steps) + 1), what)

    def shuffle(self, at: int, to: int) -> None:
        """Take away, replace or move a step that is shown."""
        if len(self.steps):
            start = at % len(self.steps)
            if to % 3 == 0:
                del self.steps[start]
            elif to % 3 == 1:
                self.steps[start] = f"no. {to}"
            else:
                self.steps.move(start, to % len(self.steps))


BOARD: Final = ActorType.of(Board)


class FoldingReplica(Replica):
    """A replica with a cell, which is told what `node.beats` would tell it."""

    def __init__(self, roots: Sequence[DeviceId]) -> None:
        """Found the actor and wake an empty cell."""
        self.roots, self.log = tuple(roots), Graph()
        super().__init__(roots, self.log)
        self.cell = Cell(BOARD, TOPIC)
        self.turns: list[tuple[bytes, ...]] = [()]
        self.fed = 0
        self.flips: dict[int, bool] = {}
        self.naive: Naive | None = None
        self.forgets = False

    def take(self, commit: Commit) -> Change | None:
        """Judge, admit, and keep the turn for the next fold."""
        change = super().take(commit)
        if change is not None:
            writes = commit.entry is None and commit.needs is not Role.READER
            self.turns.append((commit.turn,) if writes else ())
            for commits, is_shown in ((change.hidden, False), (change.shown, True)):
                for index in commits:
                    # Two changes since the last fold cancel out; what is not fed needs none.
                    if index < self.fed and self.flips.pop(index, None) is None:
                        self.flips[index] = is_shown
        return change

    def fold(self) -> bytes:
        """Bring the cell up to date and return the bytes of its state."""
        fresh = range(self.fed, len(self.turns))
        hide = [each for each in fresh if not self.authority.standing(each).visible]
        self._feed(fresh, hide)
        return self.cell.state_bytes()

    def fold_at_once(self, naive: Naive, shown: frozenset[bytes]) -> bytes:
        """Let a new cell fold everything in one go; these commits are shown, by decree.

        The twin of `fold`: no authority is asked, and nothing is taken back. The naive twin
        says what each commit did not see.
        """
        twin = FoldingReplica(self.roots)
        twin.log, twin.turns = self.log, self.turns
        twin.naive = naive
        hide = [each for each in range(len(self.turns)) if self.log.id_of(each) not in shown]
        twin._feed(range(len(self.turns)), hide)
        return twin.cell.state_bytes()

    def hidden_before(self, commit: int) -> tuple[tuple[int, int], ...]:
        """Return the turns that were not visible where a commit was made."""
        if self.forgets:
            return ()
        if self.naive is None:
            parents = self.log.parents_of(commit)
            found = self.authority.hidden_in(parents) if parents else ()
        else:
            version = self.naive.past[self.log.id_of(commit)]
            seen = self.naive.dynamic(version) | self.naive.adopted(version)
            indexes = [self.log.index_of(CommitId(each)) for each in version - seen]
            found = tuple(sorted([each for each in indexes if each is not None]))
        return tuple([(each, 0) for each in found if self.turns[each]])

    def _feed(self, fresh: Iterable[int], hide: list[int]) -> None:
        hide += [each for each, is_shown in self.flips.items() if not is_shown]
        show = [each for each, is_shown in self.flips.items() if is_shown]
        fold = Fold(
            TOPIC,
            self.cell.beat + 1,
            0,
            self.log,
            commits=tuple(
                FoldCommit(each, self.turns[each], self.hidden_before(each)) for each in fresh
            ),
            hide=tuple((each, 0) for each in hide if self.turns[each]),
            show=tuple((each, 0) for each in show if self.turns[each]),
        )
        event, _ = self.cell.fold(fold)
        assert isinstance(event, Folded)
        self.fed, self.flips = len(self.turns), {}


def shown_by(naive: Naive) -> frozenset[bytes]:
    """Return what the naive twin shows."""
    result = naive.result()
    return result.effective | result.adopted


def play_turns(
    pick: Pick, naive: Naive, kinds: Sequence[int] = (0, 0, 1, 2, 2, 3, 4, 4, 5)
) -> list[Commit]:
    """Return the commits of a graph, each data commit with what its author wrote there.

    The turn runs in a cell that shows the past of its commit. One in twelve is a copy of what
    another wrote elsewhere, or bytes that no cell wrote. kinds: of messages; from 2,
    positional.
    """
    commits = list(naive.commits.values())
    played = commits[:1]
    written: list[bytes] = [b"\xff?"]
    for commit in commits[1:]:
        turn = commit.turn
        if commit.entry is None and commit.needs is not Role.READER:
            if pick(12) == 0:
                turn = written[pick(len(written))]
            else:
                before = naive.past[commit.name]
                turn = _write(
                    pick, naive.roots, [c for c in played[1:] if c.name in before], kinds
                )
                written.append(turn)
        played.append(replace(commit, turn=turn))
    return played


def _write(
    pick: Pick, roots: Sequence[bytes], past: Sequence[Commit], kinds: Sequence[int]
) -> bytes:
    replica = FoldingReplica([DeviceId(root) for root in roots])
    for commit in past:
        replica.take(commit)
    replica.fold()
    name = "abc"[pick(3)]
    message = (
        BOARD.message(Board.enter, (name, 1 + pick(9)), {}),
        BOARD.message(Board.strike, (name,), {}),
        BOARD.message(Board.type, (pick(40), name * (1 + pick(3))), {}),
        BOARD.message(Board.erase, (pick(40),), {}),
        BOARD.message(Board.step, (pick(40), name), {}),
        BOARD.message(Board.shuffle, (pick(40), pick(40)), {}),
    )[kinds[pick(len(kinds))]]
    outcome, _ = replica.cell.run(message)
    assert outcome.error is None
    return outcome.operations or b"x"
