r"""Who follows whom: ancestry by chains, exact, logarithmic where nobody forked.

Owns: the decomposition of a causal graph into chains, and what each chain knows of each other
one. May not know: ids, authors, what a commit says.

    chain a:   a0 <- a1 <- a2 <- a3        every commit follows the one before it
                ^           \
    chain b:     \---- b0 <- b1 <- b2      b knows of a:  own 0 -> 0, own 1 -> 2

A chain grows by commits whose `previous` is its last one; every other commit starts a chain. Of
each other chain it keeps breakpoints (own position -> position known), both ascending; since a
chain is totally ordered, `first` is before `second` iff second's chain, at second's position,
knows first's chain as far as first's position: one bisection.
An insert copies what the parents' chains learnt since they were last known: cost and memory
proportional to what is new to the chain. A fork starts with a `base`, the vector of a commit of
another chain, and keeps only what differs; at most `_DEPTH_MAX` bases are followed, then a
chain keeps its whole vector.

Threads: one writer; commits are published last. Readers may be other threads, provided that
they ask only for commits whose `append` has returned, and appends of lists, arrays and dicts
are atomic (CPython with its lock). `check` is for the writer.
Source: Jagadish 1990, "A compression technique to materialize transitive closure" (chains).
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from itertools import repeat
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Chains"]

_DEPTH_MAX: Final = 64
"""Bases followed by a query: twice as many are twice as slow in a forker's own branches; with
half, a ladder of k forks costs twice the memory, k^2 / 64 breakpoints of 20 bytes."""

_ABSENT: Final = -1


class _Known:
    """What one chain knows of one other, at which of its own positions it learnt it."""

    __slots__ = ("own", "theirs")

    def __init__(self) -> None:
        self.own = array("I")
        self.theirs = array("I")


class _Chain:
    """Commits of which each follows the one before, and all that they learnt, in order."""

    __slots__ = ("at", "base", "chain", "commits", "depth", "known", "latest", "value")

    def __init__(self, base: tuple[int, int] | None, depth: int) -> None:
        self.commits = array("I")
        self.base = base
        self.depth = depth
        self.known: dict[int, _Known] = {}
        # The end of each of them, and of this chain itself: for the writer.
        self.latest: dict[int, int] = {}
        # The same breakpoints as events: at position `at`, chain `chain` known to `value`.
        self.at = array("I")
        self.chain = array("I")
        self.value = array("I")

    def learn(self, position: int, facts: dict[int, int]) -> None:
        """Append breakpoints. `theirs` before `own`: a reader that finds one finds both."""
        for other, value in facts.items():
            known = self.known.get(other) or _Known()
            known.theirs.append(value)
            known.own.append(position)
            self.known[other] = known
        self.at.extend(repeat(position, len(facts)))
        self.chain.extend(facts)
        self.value.extend(facts.values())
        self.latest |= facts


class Chains:
    """The chains of one graph. Commits are numbered as they are appended, parents first."""

    __slots__ = ("_chain_of", "_chains", "_position_of")

    def __init__(self) -> None:
        """Start without commits."""
        self._chain_of = array("I")
        self._position_of = array("I")
        self._chains: list[_Chain] = []

    def __len__(self) -> int:
        """Return the number of commits."""
        return len(self._position_of)

    def chain_of(self, commit: int) -> int:
        """Return the number of a commit's chain."""
        return self._chain_of[commit]

    def at(self, chain: int, position: int) -> int:
        """Return the commit at a position of a chain, from 0."""
        return self._chains[chain].commits[position]

    def next_of(self, commit: int) -> int | None:
        """Return the commit that follows in the same chain; None at its end."""
        commits = self._chains[self._chain_of[commit]].commits
        position = self._position_of[commit] + 1
        return commits[position] if position < len(commits) else None

    def append(self, parents: Sequence[int], previous: int | None, *, branch: bool) -> bool:
        """Add a commit; tell whether it started a chain.

        previous: the commit that it continues, in the past of the parents, if there is one.
        branch: whether a new chain would be a fork, which keeps only what differs.
        """
        commit = len(self._position_of)
        number = self._chain_of[previous] if previous is not None else _ABSENT
        extends = previous is not None and self._chains[number].commits[-1] == previous
        facts: dict[int, int] = {}
        if extends:
            chain = self._chains[number]
            if len(parents) > 1 or parents[0] != previous:  # else there is nothing to learn
                facts = self._learnt(parents, chain.latest, chain.base)
        else:
            number = len(self._chains)
            chain, facts = self._start(parents, branch=branch)
        position = len(chain.commits)
        if facts:
            chain.learn(position, facts)
        chain.commits.append(commit)
        chain.latest[number] = position
        if not extends:
            self._chains.append(chain)
        self._chain_of.append(number)
        self._position_of.append(position)
        return not extends

    def is_before(self, first: int, second: int) -> bool:
        """Tell whether `first` is in the past of `second`; no commit is in its own."""
        if first >= second:
            return False
        number, position = self._chain_of[second], self._position_of[second]
        return self._known(self._chain_of[first], number, position) >= self._position_of[first]

    def known(self, chain: int, commit: int) -> int:
        """Return the last position of a chain in a commit's past or on it; -1 if none is."""
        number, position = self._chain_of[commit], self._position_of[commit]
        return self._known(chain, number, position)

    def contains(self, version: Sequence[int], commit: int, cache: dict[int, int]) -> bool:
        """Tell whether a commit is one of the version's, or in the past of one.

        cache: starts empty, kept by the caller for one version.
        """
        chain = self._chain_of[commit]
        position = cache.get(chain)
        if position is None:
            position = max((self.known(chain, head) for head in version), default=_ABSENT)
            cache[chain] = position
        return position >= self._position_of[commit]

    def check(self, parents: Sequence[Sequence[int]]) -> None:
        """Recompute every vector naively and compare. Cost: commits x chains."""
        assert len(parents) == len(self._chain_of) == len(self._position_of)
        children = [0] * len(parents)
        for links in parents:
            for parent in links:
                children[parent] += 1
        vectors: dict[int, dict[int, int]] = {}
        for commit, links in enumerate(parents):
            vector: dict[int, int] = {}
            for parent in links:
                for chain, position in vectors[parent].items():
                    vector[chain] = max(position, vector.get(chain, _ABSENT))
                children[parent] -= 1
                if not children[parent]:
                    del vectors[parent]
            number, position = self._chain_of[commit], self._position_of[commit]
            assert vector.get(number, _ABSENT) == position - 1
            assert self._chains[number].commits[position] == commit
            vector[number] = position
            assert self._vector(number, position) == vector
            assert all(self.known(chain, commit) == vector[chain] for chain in vector)
            vectors[commit] = vector
        for here in self._chains:
            assert here.depth <= _DEPTH_MAX
            assert (here.base is None) == (here.depth == 0)
            assert list(here.at) == sorted(here.at)
            assert here.latest == {
                **{other: known.theirs[-1] for other, known in here.known.items()},
                self._chain_of[here.commits[0]]: len(here.commits) - 1,
            }
            assert sum(len(known.own) for known in here.known.values()) == len(here.at)

    def _known(self, chain: int, number: int, position: int) -> int:
        while number != chain:
            here = self._chains[number]
            known = here.known.get(chain)
            if known is not None:
                place = bisect_right(known.own, position)
                if place:
                    return known.theirs[place - 1]
            if here.base is None:
                return _ABSENT
            number, position = here.base
        return position

    def _vector(self, number: int, position: int) -> dict[int, int]:
        """Return all that a commit knows, itself included: chain -> position."""
        vector: dict[int, int] = {}
        place: tuple[int, int] | None = (number, position)
        while place is not None:
            number, position = place
            here = self._chains[number]
            vector.setdefault(number, position)
            for other, known in here.known.items():
                found = bisect_right(known.own, position)
                if found:
                    vector.setdefault(other, known.theirs[found - 1])
            place = here.base
        return vector

    def _start(self, parents: Sequence[int], *, branch: bool) -> tuple[_Chain, dict[int, int]]:
        """Return a new chain and what its first commit adds to its base."""
        if not branch or not parents:
            return _Chain(None, 0), self._learnt(parents, {}, None)
        newest = max(parents)
        base = (self._chain_of[newest], self._position_of[newest])
        vector = self._vector(*base)
        facts = self._learnt(parents, vector, None)
        depth = self._chains[base[0]].depth + 1
        if depth > _DEPTH_MAX:
            return _Chain(None, 0), vector | facts
        return _Chain(base, depth), facts

    def _learnt(
        self, parents: Sequence[int], latest: dict[int, int], base: tuple[int, int] | None
    ) -> dict[int, int]:
        """Return what the parents know beyond `latest` and the vector of `base`.

        What a chain learnt up to a position that is known, is known; so only its later events
        are read, and those of its bases if nothing of it was known. Bases come first, so that
        what is known stays closed under ancestry after every step.
        """
        facts: dict[int, int] = {}
        had = latest.get

        def have(other: int) -> int:
            found = facts.get(other)
            if found is None:
                found = latest.get(other)
            if found is None:
                found = _ABSENT if base is None else self._known(other, *base)
            return found

        for parent in parents:
            path: list[tuple[int, int, int]] = []
            place: tuple[int, int] | None = self._chain_of[parent], self._position_of[parent]
            while place is not None:
                number, position = place
                known = have(number)
                if position <= known:
                    break
                path.append((number, known, position))
                place = self._chains[number].base if known == _ABSENT else None
            for number, known, position in reversed(path):
                facts[number] = position
                chain = self._chains[number]
                start = bisect_right(chain.at, known)
                stop = bisect_right(chain.at, position, start)
                # Values ascend for each chain: of several events the last one counts. One
                # plain lookup settles most; the rest may walk bases.
                events = dict(
                    zip(chain.chain[start:stop], chain.value[start:stop], strict=True)
                )
                for other in [o for o, v in events.items() if v > had(o, _ABSENT)]:
                    if events[other] > have(other):
                        facts[other] = events[other]
        return facts
