"""Visibility: which turns count, now and in the version that a commit was made on.

Owns: the one answer to what is hidden, whatever hides it: a removal (`authority`) or an undo
(`undos`), or another turn of the same cause (`causes`). May not know: what turns say, cells,
keys.

    visible(turn, V) = its commit is effective or adopted in V, no undo in force in V names it,
                       and it wins its cause in V

Source: PROTOCOL section 2; decisions 10 and 17.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from comity.authority.authority import Authority
from comity.authority.causes import Causes, Verify
from comity.authority.claim import Change, Claim, Standing
from comity.authority.undos import Place, Undos
from comity.base.ids import DeviceId, Topic, short
from comity.log.entries import Role, TurnEntry, UndoEntry
from comity.log.graph import Graph
from comity.log.inner import Inner

__all__ = ["WHOLE", "Flip", "Visibility"]

Flip = tuple[int, int, bool]
"""A turn, by commit and index, and whether it is visible now; or with WHOLE for the index a
commit, and whether it counts for authority."""

WHOLE: Final = -1
"""Stands for the index of a turn: the whole commit, as authority alone has it, undos aside."""

_NOTHING: Final[tuple[Place, ...]] = ()

_Known = tuple[tuple[int, ...], int, tuple[Place, ...], tuple[Place, ...]]
"""What was found of a version: hidden commits, undos, lost causes; and what all that hides."""


class Visibility:
    """What counts in one actor's log."""

    __slots__ = ("_authority", "_graph", "_hidden", "_visible", "causes", "undos")

    def __init__(self, graph: Graph, topic: Topic, verify: Verify) -> None:
        """Begin before the genesis. verify: checks signatures of hand-overs."""
        self._graph = graph
        self.causes = Causes(graph, topic, verify)
        self._authority: Authority | None = None
        self.undos = Undos(graph, graph.author_of)
        self._visible: list[bool] = []
        self._hidden: _Known = ((), 0, _NOTHING, _NOTHING)

    @property
    def authority(self) -> Authority | None:
        """Who counts; None before the genesis is here."""
        return self._authority

    def found(self, roots: Sequence[DeviceId]) -> Change:
        """Take in the genesis, which the graph has."""
        self._authority = Authority(self._graph, roots)
        self._visible.append(True)
        self.undos.enter((), self._graph.author_of(0), (), turns=0, is_admin=True)
        return Change(Standing.EFFECTIVE)

    def admit(self, index: int, claim: Claim, inner: Inner) -> tuple[Change, tuple[Flip, ...]]:
        """Take in the next commit, which was judged; return which earlier turns it turns over.

        Cost: that of what changes.
        """
        authority, undos = self._authority, self.undos
        assert authority is not None
        change = authority.admit(index, claim)
        turns = sum(isinstance(each, TurnEntry) for each in inner.entries)
        entries = [each for each in inner.entries if isinstance(each, UndoEntry)]
        is_admin = bool(entries) and authority.role_under(claim.auth) is Role.ADMIN
        undos.enter(claim.parents, claim.author, entries, turns=turns, is_admin=is_admin)
        rivals = self.causes.enter(index, claim.parents, claim.author, inner.entries)
        moved = (*change.hidden, *change.shown)
        if not moved and not entries and not rivals:
            self._visible.append(change.standing.visible)
            return change, ()
        touched: dict[Place, None] = dict.fromkeys(rivals)
        for commit in moved:
            touched.update(dict.fromkeys(self._turns(commit)))
            touched.update(dict.fromkeys(self.causes.rivals_of(commit)))
        for commit in (*moved, index):
            touched.update(dict.fromkeys(undo.turn for undo in undos.made_in(commit)))
        self._visible.append(False)
        # Its own turns are shown to whoever made them, until this says otherwise.
        before = {place: place[0] == index or self.shows(place) for place in touched}
        self._visible[index] = change.standing.visible
        undos.count(index, counts=change.standing.visible)
        for commits, counts in ((change.hidden, False), (change.shown, True)):
            for commit in commits:
                self._visible[commit] = counts
                undos.count(commit, counts=counts)
        after = {place: self.shows(place) for place in touched}
        flips = [(*at, after[at]) for at in touched if after[at] != before[at]]
        flips += [(commit, WHOLE, False) for commit in change.hidden]
        flips += [(commit, WHOLE, True) for commit in change.shown]
        return change, tuple(flips)

    def counts(self, commit: int) -> bool:
        """Tell whether a commit is effective or adopted now."""
        return self._visible[commit]

    def role_in(self, commit: int) -> Role:
        """Return the role of the grant that a commit was made under."""
        assert self._authority is not None
        return self._authority.role_in(commit)

    def shows(self, turn: Place) -> bool:
        """Tell whether a turn is visible now."""
        visible = self._visible
        return (
            visible[turn[0]]
            and not self.undos.hides(turn)
            and not self.causes.hides(turn, visible)
        )

    def hidden_count(self) -> int:
        """Return the number of quarantined commits. Linear: for status, not for hot paths."""
        return self._visible.count(False)

    def hidden_before(self, commit: int) -> tuple[Place, ...]:
        """Return the turns that are not visible where a commit was made, ascending.

        The same object as last time for the same turns.
        """
        parents = self._graph.parents_of(commit)
        return self.hidden_in(parents) if parents else _NOTHING

    def hidden_in(self, heads: Sequence[int]) -> tuple[Place, ...]:
        """Return the turns of a version that are not visible in it, ascending.

        With (commit, WHOLE) before those of each commit that authority hides there.
        """
        assert self._authority is not None
        commits = self._authority.hidden_in(heads)
        bits = self.undos.held(heads)
        lost = self.causes.hidden_in(heads, commits)
        known, known_bits, known_lost, turns = self._hidden
        if commits is not known or bits != known_bits or lost != known_lost:
            found = dict.fromkeys([turn for each in commits for turn in self._turns(each)])
            found.update(dict.fromkeys([(each, WHOLE) for each in commits]))
            if bits:
                found.update(dict.fromkeys(self.undos.hidden_in(bits, commits)))
            found.update(dict.fromkeys(lost))
            turns = tuple(sorted(found))
            self._hidden = commits, bits, lost, turns
        return turns

    def hidden_among(self, count: int) -> list[Place]:
        """Return what is hidden now of the first commits, as flips would say it."""
        whole = [commit for commit, seen in enumerate(self._visible[:count]) if not seen]
        found = dict.fromkeys([turn for commit in whole for turn in self._turns(commit)])
        undone = [undo.turn for undo in self.undos.all if undo.turn[0] < count]
        found.update(dict.fromkeys([turn for turn in undone if self.undos.hides(turn)]))
        found.update(dict.fromkeys(self.causes.hidden_among(count, self._visible)))
        found.update(dict.fromkeys([(commit, WHOLE) for commit in whole]))
        return list(found)

    def undone_why(self, commit: int) -> str:
        """Say which turns of a commit are undone or lost their cause; empty if none is."""
        told: list[str] = []
        for undo in self.undos.all:
            if undo.turn[0] == commit and self.undos.in_force(undo):
                where = short(self._graph.id_of(undo.commit))
                told.append(f" Turn {undo.turn[1]} of it is undone, by {where}.")
        told += [
            f" Turn {turn[1]} of it is hidden: {self.causes.why(turn)}."
            for turn in self._turns(commit)
            if self.causes.hides(turn, self._visible)
        ]
        return "".join(told)

    def heads(self, commits: Iterable[int]) -> list[int]:
        """Return the commits among these that count and that none of the others follows.

        Ascending. Linear in the log, however many there are.
        """
        counts = {commit: None for commit in commits if self._visible[commit]}
        followed = bytearray(len(self._graph))
        heads: list[int] = []
        for commit in range(len(self._graph) - 1, -1, -1):
            if commit in counts and not followed[commit]:
                heads.append(commit)
            if commit in counts or followed[commit]:
                for parent in self._graph.parents_of(commit):
                    followed[parent] = 1
        return heads[::-1]

    def check(self) -> None:
        """Assert that authority and undos agree with what is said to count. Slow."""
        assert len(self._visible) == len(self._graph)
        self.undos.check()
        if self._authority is not None:
            self._authority.check()
            for commit, visible in enumerate(self._visible):
                assert self._authority.standing(commit).visible == visible
                for undo in self.undos.made_in(commit):
                    assert self.undos.counts(undo) == visible

    def _turns(self, commit: int) -> list[Place]:
        return [(commit, index) for index in range(self.undos.turn_count(commit))]
