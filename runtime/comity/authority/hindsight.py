"""Hindsight: what was hidden in the version that a commit was made on.

Owns: for each admitted commit, the commits that are hidden in its own version, that is in its
past and itself. May not know: the present, turns, what positions mean.

    hidden in V = commits of V that are not effective in V and that no effective adopt of V
                  names, itself or through backlinks

A version is found from its parents' versions. Where all of these hold the same removals and
hide the same, so does it, and a log without removals asks nothing at all. Otherwise only the
grants that some removal kills are looked through.
Source: PROTOCOL section 2 (visible), section 3 (DYNAMIC, adopt).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from comity.authority.claim import Ancestry
from comity.authority.ledger import Ledger
from comity.authority.roll import NO_BACKLINK, Roll
from comity.authority.view import CLEAR, View

__all__ = ["Hindsight"]

_NOTHING: Final[tuple[int, ...]] = ()


class Hindsight:
    """What each version hides, by its newest commit; append-only."""

    __slots__ = ("_graph", "_hidden", "_ledger", "_roll", "_views")

    def __init__(
        self, graph: Ancestry, ledger: Ledger, roll: Roll, views: Sequence[View]
    ) -> None:
        """Begin with the genesis. views: of every version so far, by its newest commit."""
        self._graph = graph
        self._ledger = ledger
        self._roll = roll
        self._views = views
        self._hidden: list[tuple[int, ...]] = [_NOTHING]

    def enter(self, parents: Sequence[int], before: View, after: View) -> None:
        """Enter the next commit. before, after: the views without and with itself.

        An adopt that counts changes what is hidden without changing the view.
        """
        index = len(self._hidden)
        hidden = self.before(parents, before)
        if after.removals and (after is not before or index in self._ledger.acts):
            hidden = self._search((index,), after, hidden)
        self._hidden.append(hidden)

    def before(self, parents: Sequence[int], view: View) -> tuple[int, ...]:
        """Return the commits, ascending, that are hidden in the version of some heads.

        view: of that version. O(heads) where they agree, and then it is the same object.
        """
        if not view.removals:
            return _NOTHING
        hidden = self._hidden[parents[0]]
        for parent in parents:
            if self._views[parent] is not view or self._hidden[parent] != hidden:
                return self._search(parents, view, hidden)
        return hidden

    def _search(
        self, heads: Sequence[int], view: View, like: tuple[int, ...]
    ) -> tuple[int, ...]:
        def holds(commit: int) -> bool:
            return any(commit == head or self._graph.is_before(commit, head) for head in heads)

        found: list[int] = []
        for grant in self._ledger.grants:
            if view.state(grant.number) is not CLEAR:
                found += self._uncounted(grant.number, view, holds)
        if found:
            adopted = self._adopted(view, holds)
            found = sorted([commit for commit in found if commit not in adopted])
        hidden = tuple(found)
        return like if hidden == like else hidden

    def _uncounted(self, grant: int, view: View, holds: Callable[[int], bool]) -> list[int]:
        """Return the commits of a version, under one grant, that are not effective in it."""
        state = view.state(grant)
        found: list[int] = []
        for branch in self._roll.branches_of(grant):
            place = self._roll.count_before(branch, state.killers) if state.effective else 0
            while place < len(branch) and holds(branch[place]):
                found.append(branch[place])
                place += 1
        acts = [act.commit for act in self._ledger.acts_under(grant)]
        found += [a for a in acts if not view.is_effective(a, grant) and holds(a)]
        return found

    def _adopted(self, view: View, holds: Callable[[int], bool]) -> dict[int, None]:
        """Return what the effective adopts of a version show, as a set."""
        adopted: dict[int, None] = {}
        for act in self._ledger.acts.values():
            if not isinstance(act.says, int) or not holds(act.commit):
                continue
            if view.is_effective(act.commit, self._roll.grants[act.commit]):
                target = act.says
                while target != NO_BACKLINK and target not in adopted:
                    adopted[target] = None
                    target = self._roll.backlinks[target]
        return adopted

    def check(self) -> None:
        """Hold that nothing hidden lies outside its version, and that order is kept."""
        for index, hidden in enumerate(self._hidden):
            assert list(hidden) == sorted(set(hidden))
            for commit in hidden:
                assert commit == index or self._graph.is_before(commit, index)
