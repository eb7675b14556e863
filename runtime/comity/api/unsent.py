"""What a former device of this node acknowledged and could not send, as an app sees it.

Owns: running such turns on the version that they ran on, to show what they did. May not know:
where they are kept (`node.devices`), threads.

    turns of one draft --on its version--> a cell that nobody hosts --> differences

Nothing of it enters the log: who wants it does it again, by hand.
Source: decision 12.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from comity.actor.actor_type import ActorType
from comity.actor.cell import Cell
from comity.actor.fold import Fold, FoldCommit
from comity.api.history import Difference, cell_of, differences, time_of
from comity.base.ids import ZERO_ID, CommitId, DeviceId, Topic
from comity.log.graph import Graph
from comity.node.commands import Past, UnsentTurn

__all__ = ["Unsent", "unsent_turns"]


@dataclass(frozen=True, slots=True)
class Unsent:
    """A turn that was acknowledged on this node and is in no log.

    device: the one that this node was then. time: when. changes: what it did to the fields, by
    name, on the version that it ran on.
    """

    device: DeviceId
    time: datetime
    changes: Mapping[str, Difference]


class _OneMore(Graph):
    """A graph with one commit more, which nobody made: all that a cell asks of it."""

    __slots__ = ("_author", "_base", "_more", "_on")

    def __init__(self, base: Graph, on: tuple[int, ...], author: DeviceId) -> None:
        super().__init__()
        self._base = base
        self._on = on
        self._author = author
        self._more = len(base)

    def __len__(self) -> int:
        return self._more + 1

    def id_of(self, commit: int) -> CommitId:
        return CommitId(ZERO_ID) if commit == self._more else self._base.id_of(commit)

    def parents_of(self, commit: int) -> tuple[int, ...]:
        return self._on if commit == self._more else self._base.parents_of(commit)

    def author_of(self, commit: int) -> DeviceId:
        return self._author if commit == self._more else self._base.author_of(commit)

    def is_before(self, first: int, second: int) -> bool:
        if self._more in {first, second}:
            return second == self._more and self._base.contains(self._on, first)
        return self._base.is_before(first, second)


def unsent_turns(
    found: Sequence[UnsentTurn],
    read: Callable[[tuple[CommitId, ...]], Past],
    actor_type: ActorType,
    topic: Topic,
) -> tuple[Unsent, ...]:
    """Return what each turn did. read: gives a version. Cost: that version, for each draft."""
    shown: list[Unsent] = []
    for (device, parents), draft in groupby(found, lambda each: (each.device, each.parents)):
        past = read(parents)
        on = tuple([n for each in parents if (n := past.graph.index_of(each)) is not None])
        graph = _OneMore(past.graph, on, device)
        before: Mapping[str, object] = cell_of(past, actor_type, topic).snapshot()
        turns: list[bytes] = []
        for each in draft:
            turns.append(each.operations)
            after = _after(past, graph, tuple(turns), actor_type, topic)
            shown.append(Unsent(device, time_of(each.wall), differences(before, after)))
            before = after
    return tuple(shown)


def _after(
    past: Past, graph: Graph, turns: tuple[bytes, ...], actor_type: ActorType, topic: Topic
) -> Mapping[str, object]:
    """Return the fields of a version with these turns on top."""
    cell = Cell(actor_type, topic)
    made = FoldCommit(len(graph) - 1, turns, past.hidden, 1)
    commits = (*past.commits, made)
    cell.fold(Fold(topic, 1, 0, graph, commits=commits, hide=past.hidden))
    return cell.snapshot()
