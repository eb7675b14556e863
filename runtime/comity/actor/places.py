"""Where each turn of a cell stands in the log: its commit, its past, its author, its role.

Owns: the places, and the answers that fields need (`crdt.causality`). May not know: fields,
messages; it reads the graph, which the core alone appends to.

    unbound --bind, its commit is sealed--> placed        folded turns are placed at once
Source: ARCHITECTURE 'Who owns what'; decision 3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from comity.authority.visibility import WHOLE
from comity.base.canonical import Malformed
from comity.base.ids import ZERO_ID, DeviceId
from comity.crypto.hashing import PERSON_TIE, blake2b
from comity.log.graph import Graph

if TYPE_CHECKING:
    from comity.crdt.freezing import Freezer, Thawer

__all__ = ["Places"]

_NO_TURNS: Final[dict[int, int]] = {}
_NOTHING_HIDDEN: Final[dict[int, tuple[int, ...]]] = {}
"""What an idle actor has, shared by all and never written: most actors are idle."""


class Places:
    """Where each turn of a cell stands in the log. Implements `crdt.causality.Causality`.

    A turn of an open beat has no place yet; nobody asks for one, because it comes after all
    that was folded and a fold needs every turn placed.
    """

    __slots__ = (
        "_given",
        "_hidden",
        "_roles",
        "_withdrawn",
        "commits",
        "device",
        "first_turns",
        "graph",
        "indexes",
        "last_turns",
    )

    def __init__(self) -> None:
        """Start without turns; the first fold brings the graph."""
        self.graph: Graph | None = None
        self.device = DeviceId(ZERO_ID)
        self._roles: dict[int, int] | None = None
        self.commits: list[int] = []
        self.indexes: list[int] = []
        self.first_turns = self.last_turns = _NO_TURNS
        self._hidden = self._withdrawn = _NOTHING_HIDDEN
        self._given: tuple[tuple[tuple[int, int], ...], tuple[int, ...], tuple[int, ...]] = (
            (),
            (),
            (),
        )

    def parents_of(self, turn: int) -> tuple[int, ...]:
        """Return the turns that a placed turn was made directly on."""
        commit = self.commits[turn]
        if self.indexes[turn]:
            return (turn - 1,)
        assert self.graph is not None
        found: dict[int, None] = {}
        waiting = dict.fromkeys(self.graph.parents_of(commit))
        passed: dict[int, None] = {}
        while waiting:
            parent, _ = waiting.popitem()
            last = self.last_turns.get(parent)
            if last is not None:
                found[last] = None
            elif parent not in passed:
                passed[parent] = None
                waiting.update(dict.fromkeys(self.graph.parents_of(parent)))
        if len(found) < 2:
            return tuple(found)
        return tuple([a for a in found if not any(self.before(a, b) for b in found)])

    def hidden_before(self, turn: int) -> tuple[int, ...]:
        """Return the turns that were not visible where a turn was made, ascending."""
        return self._hidden.get(self.commits[turn], ())

    def hide_before(self, commit: int, hidden: tuple[tuple[int, int], ...]) -> None:
        """Learn which turns were not visible where a commit was made; all are placed."""
        if not hidden:
            return
        given, turns, withdrawn = self._given
        if hidden is not given:
            turns = tuple(
                sorted(
                    [self.first_turns[each] + index for each, index in hidden if index != WHOLE]
                )
            )
            withdrawn = tuple(
                [
                    turn
                    for each, index in hidden
                    if index == WHOLE
                    for turn in self.turns_of(each)
                ]
            )
            self._given = hidden, turns, withdrawn
        if self._hidden is _NOTHING_HIDDEN:
            self._hidden, self._withdrawn = {}, {}
        self._hidden[commit] = turns
        if withdrawn:
            self._withdrawn[commit] = withdrawn

    def withdrawn_before(self, turn: int) -> tuple[int, ...]:
        """Return the turns that authority hid where a turn was made."""
        return self._withdrawn.get(self.commits[turn], ())

    def turns_of(self, commit: int) -> range:
        """Return the turns of a commit; none if it has none."""
        first = self.first_turns.get(commit)
        return range(0) if first is None else range(first, self.last_turns[commit] + 1)

    def before(self, a: int, b: int) -> bool:
        """Tell whether turn `a` lies in the past of turn `b`."""
        commit_a, commit_b = self.commits[a], self.commits[b]
        if commit_a == commit_b:
            return self.indexes[a] < self.indexes[b]
        assert self.graph is not None
        return self.graph.is_before(commit_a, commit_b)

    def tie(self, field_tag: bytes, turn: int) -> bytes:
        """Return the 32 bytes that order concurrent turns on one field; larger wins."""
        assert self.graph is not None
        return blake2b(field_tag + self.graph.id_of(self.commits[turn]), person=PERSON_TIE)

    def author(self, turn: int) -> DeviceId:
        """Return the device that made a turn; of an unbound one, this device."""
        commit = self.commits[turn]
        if commit < 0:
            return self.device
        assert self.graph is not None
        return self.graph.author_of(commit)

    def role(self, turn: int) -> int:
        """Return the role under which a placed turn was made."""
        return 1 if self._roles is None else self._roles.get(self.commits[turn], 1)

    def learn_role(self, commit: int, role: int) -> None:
        """Learn the role under which a commit was made; most are writers'."""
        if role != 1:
            if self._roles is None:
                self._roles = {}
            self._roles[commit] = role

    def append(self, commit: int, index: int) -> int:
        """Place a further turn and return its number. commit: -1 while it is unbound."""
        turn = len(self.commits)
        self.commits.append(commit)
        self.indexes.append(index)
        if commit >= 0:
            self._note(turn, commit, index)
        return turn

    def bind(self, turn: int, commit: int, index: int) -> None:
        """Give an unbound turn its place."""
        assert self.commits[turn] == -1
        self.commits[turn] = commit
        self.indexes[turn] = index
        self._note(turn, commit, index)

    def freeze(self, out: Freezer) -> None:
        """Write all places, all of them known."""
        out.numbers(self.commits)
        out.numbers(self.indexes)
        roles = self._roles or {}
        out.numbers([*roles])
        out.numbers([*roles.values()])
        contexts: dict[tuple[int, ...], int] = {(): 0}
        for each in (*self._hidden.values(), *self._withdrawn.values()):
            contexts.setdefault(each, len(contexts))
        out.groups(contexts)
        for found in (self._hidden, self._withdrawn):
            out.numbers([*found])
            out.numbers([contexts[each] for each in found.values()])

    def thaw(self, data: Thawer) -> None:
        """Take what `freeze` wrote, while empty; the graph is there. Raises: Malformed."""
        assert self.graph is not None
        known = len(self.graph)
        self.commits = data.numbers(None, known)
        self.indexes = data.numbers(len(self.commits))
        if self.commits:
            pairs = zip(self.commits, self.indexes, strict=True)
            self.first_turns = {
                commit: turn for turn, (commit, index) in enumerate(pairs) if not index
            }
            self.last_turns = {commit: turn for turn, commit in enumerate(self.commits)}
            if len(self.first_turns) != len(self.last_turns):
                raise Malformed("a commit without its first turn")
        commits = data.numbers(None, known)
        if commits:
            self._roles = dict(zip(commits, data.numbers(len(commits)), strict=True))
        elif data.numbers():
            raise Malformed("roles of nobody")
        contexts = [tuple(each) for each in data.groups(max(1, len(self.commits)))]
        for place in (0, 1):
            commits = data.numbers(None, known)
            chosen = data.numbers(len(commits), len(contexts))
            found = {
                commit: contexts[each] for commit, each in zip(commits, chosen, strict=True)
            }
            if found and place == 0:
                self._hidden, self._withdrawn = found, {}
            elif found:
                self._withdrawn = found

    def _note(self, turn: int, commit: int, index: int) -> None:
        if self.last_turns is _NO_TURNS:
            self.first_turns, self.last_turns = {}, {}
        self.last_turns[commit] = turn
        if index == 0:
            self.first_turns[commit] = turn
