r"""The causal graph of an actor's accepted commits: append-only, numbered, exact.

Owns: numbers (insertion order, parents first, so ascending numbers are a topological order),
heads, ancestry, differences between versions, evidence of forks. May not know: sealed bytes,
keys, who may write, what turns say. Whether a commit may enter is decided before it does
(`comity.log.structure` for its shape).

A version is a tuple of numbers, none an ancestor of another; its past includes them.

    fork: two commits of one author with one seq, or a seq 0 beside its chain
          a0 <- a1 <- a2
             \- a1'          tolerated; the first pair per author is kept as evidence

Threads: one writer, the core. Every method that takes numbers may be called by other threads
for commits below a `len` that they have read: rows are only ever appended, the length is
published last. `heads`, `version`, `forks`, `facts` and `check` are the writer's.
Source: PROTOCOL section 2.
"""

from __future__ import annotations

from array import array
from types import MappingProxyType
from typing import TYPE_CHECKING

from comity.base.clock import Wall
from comity.base.ids import CommitId, DeviceId
from comity.log.chains import Chains
from comity.log.inner import ChainFacts, Grant, Inner

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Graph", "Version"]

Version = tuple[int, ...]
"""Heads of a past, by number, ascending, none an ancestor of another."""

_NONE = -1


class Graph:
    """Accepted commits by number. Rows never change."""

    __slots__ = (
        "_author_chains",
        "_author_numbers",
        "_author_of",
        "_authors",
        "_auths",
        "_backlinks",
        "_chains",
        "_count",
        "_forks",
        "_gens",
        "_heads",
        "_ids",
        "_numbers",
        "_parents",
        "_seqs",
        "_walls",
    )

    def __init__(self) -> None:
        """Start without commits: the first one is the genesis."""
        self._ids: list[CommitId] = []
        self._numbers: dict[CommitId, int] = {}
        self._parents: list[tuple[int, ...]] = []
        self._backlinks = array("q")
        self._seqs = array("Q")
        self._gens = array("Q")
        self._walls = array("Q")
        self._auths: list[Grant] = []
        self._author_of = array("I")
        self._authors: list[DeviceId] = []
        self._author_numbers: dict[DeviceId, int] = {}
        self._author_chains: list[list[int]] = []
        self._chains = Chains()
        self._heads: dict[int, None] = {}
        self._forks: dict[DeviceId, tuple[int, int]] = {}
        self._count = 0

    def __len__(self) -> int:
        """Return the number of commits: those below it can be asked for."""
        return self._count

    def index_of(self, commit: CommitId) -> int | None:
        """Return the number of a commit; None if it is not here."""
        number = self._numbers.get(commit)
        return number if number is not None and number < self._count else None

    def id_of(self, commit: int) -> CommitId:
        """Return a commit's id."""
        return self._ids[commit]

    def parents_of(self, commit: int) -> tuple[int, ...]:
        """Return a commit's parents, in the order of their ids."""
        return self._parents[commit]

    def author_of(self, commit: int) -> DeviceId:
        """Return the device that a commit names as its author."""
        return self._authors[self._author_of[commit]]

    def seq_of(self, commit: int) -> int:
        """Return a commit's place in its author's chain, from 0."""
        return self._seqs[commit]

    def gen_of(self, commit: int) -> int:
        """Return a commit's generation: 0 for the genesis, else 1 + its parents' largest."""
        return self._gens[commit]

    def auth_of(self, commit: int) -> Grant:
        """Return the grant that a commit is made under."""
        return self._auths[commit]

    def wall_of(self, commit: int) -> Wall:
        """Return what its author's clock said: for display only."""
        return Wall(self._walls[commit])

    def backlink_of(self, commit: int) -> int | None:
        """Return the author's previous commit; None at seq 0."""
        backlink = self._backlinks[commit]
        return None if backlink == _NONE else backlink

    def facts(self, commit: CommitId) -> ChainFacts | None:
        """Return what a successor takes from a commit; None if it is not here (a `Past`)."""
        number = self._numbers.get(commit)
        if number is None:
            return None
        return ChainFacts(self.author_of(number), self._seqs[number], self._auths[number])

    @property
    def heads(self) -> tuple[CommitId, ...]:
        """Ids of the commits that none builds on, ascending: the parents of a merge."""
        return tuple(sorted(self._ids[head] for head in self._heads))

    @property
    def version(self) -> Version:
        """The same commits by number, ascending."""
        return tuple(sorted(self._heads))

    @property
    def forks(self) -> Mapping[DeviceId, tuple[int, int]]:
        """Evidence by author: the first two commits with one seq, the earlier arrival first."""
        return MappingProxyType(self._forks)

    def insert(self, commit: CommitId, inner: Inner, *, gen: int) -> int:
        """Append an accepted commit and return its number.

        The caller has checked it (`check_structure`); it is not here yet. Cost: proportional
        to what the commit's chain learns by it.
        """
        assert commit not in self._numbers
        assert (self._count == 0) == inner.is_genesis
        parents = tuple([self._numbers[parent] for parent in inner.parents])
        backlink = None if inner.backlink is None else self._numbers[inner.backlink]
        number = self._count
        author = self._author_numbers.get(inner.author)
        if author is None:
            author = len(self._authors)
            self._authors.append(inner.author)
            self._author_chains.append([])
            self._author_numbers[inner.author] = author
        chains = self._author_chains[author]
        rival = None
        if backlink is not None:
            rival = self._chains.next_of(backlink)
        elif chains:
            rival = self._chains.at(chains[0], 0)
        if self._chains.append(parents, backlink, branch=bool(chains)):
            chains.append(self._chains.chain_of(number))
        if rival is not None:
            self._forks.setdefault(inner.author, (rival, number))
        self._ids.append(commit)
        self._parents.append(parents)
        self._backlinks.append(_NONE if backlink is None else backlink)
        self._seqs.append(inner.seq)
        self._gens.append(gen)
        self._walls.append(inner.wall)
        self._auths.append(inner.auth)
        self._author_of.append(author)
        for parent in parents:
            self._heads.pop(parent, None)
        self._heads[number] = None
        self._numbers[commit] = number
        self._count = number + 1
        return number

    def is_before(self, first: int, second: int) -> bool:
        """Tell whether `first` is in the past of `second`; no commit is in its own.

        O(log n) if the author of `second` did not fork, at most 64 times that else.
        """
        return self._chains.is_before(first, second)

    def before_any(self, commit: int, heads: Sequence[int]) -> bool:
        """Tell whether a commit is in the past of at least one of these."""
        return any(self._chains.is_before(commit, head) for head in heads)

    def contains(self, version: Sequence[int], commit: int) -> bool:
        """Tell whether a commit is one of the version's, or in the past of one."""
        return commit in version or self.before_any(commit, version)

    def is_minimal(self, commits: Sequence[int]) -> bool:
        """Tell whether none of these is an ancestor of another, or the same."""
        ordered = sorted(commits)
        return not any(
            first == second or self._chains.is_before(first, second)
            for place, second in enumerate(ordered)
            for first in ordered[:place]
        )

    def difference(self, *, before: Sequence[int], after: Sequence[int]) -> tuple[int, ...]:
        """Return the commits in the past of `after` and not of `before`, ascending.

        Cost: proportional to their number, to their parents, and to the heads of `before`.
        """
        cache: dict[int, int] = {}
        found: dict[int, None] = {}
        waiting = list(after)
        while waiting:
            commit = waiting.pop()
            if commit not in found and not self._chains.contains(before, commit, cache):
                found[commit] = None
                waiting += self._parents[commit]
        return tuple(sorted(found))

    def last_of(self, author: DeviceId, version: Sequence[int]) -> tuple[int, ...]:
        """Return an author's newest commits in the past of a version, ascending.

        None or one if the author did not fork; else the ends of all branches in that past.
        """
        number = self._author_numbers.get(author)
        if number is None:
            return ()
        ends: list[int] = []
        for chain in self._author_chains[number]:
            position = max((self._chains.known(chain, head) for head in version), default=_NONE)
            if position != _NONE:
                ends.append(self._chains.at(chain, position))
        if len(ends) > 1:
            ends = [end for end in ends if not self.before_any(end, ends)]
        return tuple(sorted(ends))

    def check(self) -> None:
        """Rebuild every derived field naively and compare. Cost: commits x chains."""
        assert len(self._ids) == len(self._parents) == len(self._auths) == self._count
        assert self._numbers == {commit: place for place, commit in enumerate(self._ids)}
        heads = dict.fromkeys(range(self._count))
        pairs: dict[tuple[int, int], int] = {}
        forks: dict[DeviceId, tuple[int, int]] = {}
        for number, parents in enumerate(self._parents):
            assert all(parent < number for parent in parents)
            assert self._gens[number] == max((self._gens[p] + 1 for p in parents), default=0)
            for parent in parents:
                heads.pop(parent, None)
            backlink = self._backlinks[number]
            if backlink == _NONE:
                assert self._seqs[number] == 0
            else:
                assert self._author_of[backlink] == self._author_of[number]
                assert self._seqs[number] == self._seqs[backlink] + 1
                assert self.contains(parents, backlink)
            place = self._author_of[number], self._seqs[number]
            if pairs.setdefault(place, number) != number:
                forks.setdefault(self.author_of(number), (pairs[place], number))
        assert heads == self._heads
        assert {author: pair[1] for author, pair in forks.items()} == {
            author: pair[1] for author, pair in self._forks.items()
        }
        for first, second in self._forks.values():
            assert first < second
            assert self._author_of[first] == self._author_of[second]
            assert self._seqs[first] == self._seqs[second]
        self._chains.check(self._parents)
