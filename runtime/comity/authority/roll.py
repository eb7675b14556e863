"""The roll: which commit was made under which grant, and in which causal chain.

Owns: one grant number and one backlink per commit, and the commits of each grant in branches.
May not know: which of them count.

    branch = plain commits of one author under one grant, each in the past of the next

A branch follows backlinks; a second commit with the same backlink (a fork), or a change of
grant, begins another. What has seen a removal is therefore one suffix of each branch, and
bisecting finds it: a removal in a log of 10^5 commits costs some twenty questions a branch.
Acts are passed through, not listed: they are few, and self-removals obey another rule.
Source: PROTOCOL section 2 (`seq`/`backlink`), section 3.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from comity.authority.claim import Ancestry
from comity.authority.ledger import Removal

__all__ = ["NO_BACKLINK", "Roll"]

NO_BACKLINK: Final = -1
"""Stands for 'none' among graph indexes."""


class Roll:
    """Per-commit facts by graph index, and the branches of each grant; append-only."""

    __slots__ = ("_branches", "_graph", "_tails", "backlinks", "grants")

    def __init__(self, graph: Ancestry) -> None:
        """Begin empty; the genesis is the first to enter."""
        self._graph = graph
        self.grants: list[int] = []
        self.backlinks: list[int] = []
        self._branches: dict[int, list[list[int]]] = {}
        self._tails: dict[int, list[int]] = {}

    def enter(self, grant: int, backlink: int, *, is_act: bool) -> None:
        """Enter the next commit by graph index. O(1)."""
        index = len(self.grants)
        branch: list[int] | None = None
        if backlink != NO_BACKLINK and self.grants[backlink] == grant:
            branch = self._tails.pop(backlink, None)
        self.grants.append(grant)
        self.backlinks.append(backlink)
        if not is_act:
            if branch is None:
                branch = []
                self._branches.setdefault(grant, []).append(branch)
            branch.append(index)
        if branch is not None:
            self._tails[index] = branch

    def branches_of(self, grant: int) -> Sequence[Sequence[int]]:
        """Return the plain commits under a grant, each branch ascending."""
        return self._branches.get(grant, ())

    def count_before(self, branch: Sequence[int], killers: Iterable[Removal]) -> int:
        """Return how many of a branch lie in the past of every killer: a prefix of it."""
        count = len(branch)
        for killer in killers:
            low = 0
            while low < count:
                middle = (low + count) // 2
                if self._graph.is_before(branch[middle], killer.commit):
                    low = middle + 1
                else:
                    count = middle
        return count

    def check(self) -> None:
        """Hold that branches are chains, disjoint, each of one grant."""
        seen: dict[int, None] = {}
        for grant, branches in self._branches.items():
            for branch in branches:
                for place, index in enumerate(branch):
                    assert self.grants[index] == grant
                    assert index not in seen
                    assert not place or self._graph.is_before(branch[place - 1], index)
                    seen[index] = None
        assert all(tail[-1] <= index for index, tail in self._tails.items())
