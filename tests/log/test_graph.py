"""The graph against a naive twin that keeps whole pasts as sets, on graphs with forks."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.base.clock import Wall
from comity.base.ids import CommitId, DeviceId
from comity.crypto.hashing import PERSON_COMMIT, blake2b
from comity.log.chains import Chains
from comity.log.entries import GenesisEntry
from comity.log.graph import Graph
from comity.log.inner import ChainFacts, CommitGrant, Inner, RootGrant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

AUTHORS: Final = [DeviceId(bytes([n + 1]) * 32) for n in range(5)]
FOUNDING: Final = GenesisEntry(b"s" * 32, "T", (AUTHORS[0],), b"k" * 32)


@dataclass
class Twin:
    """A graph, and the same told naively: every commit's past as a set."""

    graph: Graph = field(default_factory=Graph)
    pasts: list[frozenset[int]] = field(default_factory=list[frozenset[int]])
    inners: list[Inner] = field(default_factory=list[Inner])

    def insert(self, inner: Inner) -> int:
        """Insert into both; the id is the hash of the number."""
        number = len(self.inners)
        parents = [self.graph.index_of(parent) for parent in inner.parents]
        known = [parent for parent in parents if parent is not None]
        assert len(known) == len(parents)
        past = frozenset(known).union(*(self.pasts[parent] for parent in known))
        gen = max((self.graph.gen_of(parent) + 1 for parent in known), default=0)
        commit = CommitId(blake2b(number.to_bytes(4, "little"), person=PERSON_COMMIT))
        assert self.graph.insert(commit, inner, gen=gen) == number
        self.pasts.append(past)
        self.inners.append(inner)
        return number

    def grow(self, author: int, parents: Iterable[int], backlink: int | None) -> int:
        """Insert a commit of an author; its seq follows from the backlink."""
        graph = self.graph
        links = tuple(sorted(graph.id_of(parent) for parent in parents))
        seq = 0 if backlink is None else graph.seq_of(backlink) + 1
        link = None if backlink is None else graph.id_of(backlink)
        auth = RootGrant(author)
        return self.insert(Inner(AUTHORS[author], seq, link, auth, links, Wall(seq), ()))

    def minimal(self, commits: Iterable[int]) -> tuple[int, ...]:
        """Return those that are in the past of no other."""
        chosen = sorted(dict.fromkeys(commits))
        return tuple(c for c in chosen if not any(c in self.pasts[other] for other in chosen))

    def past_of(self, version: Iterable[int]) -> frozenset[int]:
        """Return the past of a version, its heads included."""
        heads = frozenset(version)
        return heads.union(*(self.pasts[head] for head in heads))

    def own(self, author: int, version: Iterable[int]) -> list[int]:
        """Return an author's commits in the past of a version."""
        return [
            c for c in sorted(self.past_of(version)) if self.inners[c].author == AUTHORS[author]
        ]


def grown(random: Random, count: int, *, fork_rate: float, width: int) -> Twin:
    """Grow a random graph: few or many parents, authors that fork now and then."""
    twin = Twin()
    twin.insert(Inner(AUTHORS[0], 0, None, RootGrant(0), (), Wall(0), (FOUNDING,)))
    while len(twin.inners) < count:
        author = random.randrange(len(AUTHORS))
        number = len(twin.inners)
        recent = max(0, number - width)
        picks = random.choices(range(recent, number), k=random.randint(1, 4))
        own = [c for c in range(number) if twin.inners[c].author == AUTHORS[author]]
        forks = random.random() < fork_rate
        if own and not forks:
            picks.append(own[-1])
        parents = twin.minimal(picks)
        mine = twin.own(author, parents)
        backlink = random.choice([None, *mine]) if forks else next(reversed(mine), None)
        twin.grow(author, parents, backlink)
    return twin


shapes = st.tuples(
    st.randoms(use_true_random=False),
    st.integers(1, 60),
    st.sampled_from([0.0, 0.05, 0.5, 1.0]),
    st.sampled_from([1, 3, 12, 60]),
)


def grow(shape: tuple[Random, int, float, int]) -> Twin:
    """Grow the graph that a drawn shape describes."""
    random, count, fork_rate, width = shape
    return grown(random, count, fork_rate=fork_rate, width=width)


@given(shapes)
def test_ancestry_is_exact(shape: tuple[Random, int, float, int]) -> None:
    """`is_before` agrees with the twin on every pair, forks or not."""
    twin = grow(shape)
    everyone = range(len(twin.inners))
    for second in everyone:
        before = {first for first in everyone if twin.graph.is_before(first, second)}
        assert before == twin.pasts[second]
    twin.graph.check()


@given(shapes, st.data())
def test_versions_differ_as_their_pasts_do(
    shape: tuple[Random, int, float, int], data: st.DataObject
) -> None:
    """`difference`, `contains`, `before_any`, `is_minimal` and `last_of` against sets."""
    twin = grow(shape)
    graph, numbers = twin.graph, st.integers(0, len(twin.inners) - 1)
    picks = [data.draw(st.lists(numbers, max_size=5, unique=True)) for _ in range(2)]
    before, after = (twin.minimal(pick) for pick in picks)
    for pick in picks:
        assert graph.is_minimal(pick) == (tuple(sorted(pick)) == twin.minimal(pick))
    old, new = twin.past_of(before), twin.past_of(after)
    assert graph.difference(before=before, after=after) == tuple(sorted(new - old))
    assert graph.difference(before=(), after=after) == tuple(sorted(new))
    for commit in range(len(twin.inners)):
        assert graph.contains(after, commit) == (commit in new)
        assert graph.before_any(commit, after) == any(commit in twin.pasts[h] for h in after)
    for author, device in enumerate(AUTHORS):
        assert graph.last_of(device, after) == twin.minimal(twin.own(author, after))


@given(shapes)
def test_rows_are_what_was_inserted(shape: tuple[Random, int, float, int]) -> None:
    """Every column, the heads, and the facts for a successor."""
    twin = grow(shape)
    graph = twin.graph
    assert len(graph) == len(twin.inners)
    for number, inner in enumerate(twin.inners):
        commit = graph.id_of(number)
        assert graph.index_of(commit) == number
        assert (
            tuple(graph.id_of(parent) for parent in graph.parents_of(number)) == inner.parents
        )
        assert graph.author_of(number) == inner.author
        assert graph.seq_of(number) == inner.seq
        assert graph.auth_of(number) == inner.auth
        assert graph.wall_of(number) == inner.wall
        backlink = graph.backlink_of(number)
        assert (None if backlink is None else graph.id_of(backlink)) == inner.backlink
        assert graph.facts(commit) == ChainFacts(inner.author, inner.seq, inner.auth)
    everyone = range(len(twin.inners))
    assert graph.version == twin.minimal(everyone)
    assert graph.heads == tuple(sorted(graph.id_of(head) for head in graph.version))
    assert graph.index_of(CommitId(bytes(32))) is None
    assert graph.facts(CommitId(bytes(32))) is None


@given(shapes)
def test_the_first_two_of_a_seq_are_the_evidence(shape: tuple[Random, int, float, int]) -> None:
    """One pair per author, at the first commit whose seq the author had used before."""
    twin = grow(shape)
    seen: dict[tuple[DeviceId, int], list[int]] = {}
    expected: dict[DeviceId, int] = {}
    for number, inner in enumerate(twin.inners):
        earlier = seen.setdefault((inner.author, inner.seq), [])
        if earlier:
            expected.setdefault(inner.author, number)
        earlier.append(number)
    forks = twin.graph.forks
    assert {author: pair[1] for author, pair in forks.items()} == expected
    for author, (first, second) in forks.items():
        assert first in seen[author, twin.inners[second].seq]
        assert first < second


def test_a_thousand_equivocations_are_one_evidence() -> None:
    """Variants of one commit: all kept, all heads, one pair."""
    twin = Twin()
    twin.insert(Inner(AUTHORS[0], 0, None, RootGrant(0), (), Wall(0), (FOUNDING,)))
    variants = [twin.grow(1, (0,), None) for _ in range(1000)]
    assert dict(twin.graph.forks) == {AUTHORS[1]: (1, 2)}
    assert twin.graph.version == tuple(variants)
    assert twin.graph.last_of(AUTHORS[1], variants) == tuple(variants)
    twin.graph.check()


def cells(chains: Chains) -> int:
    """Count the breakpoints that are kept."""
    return sum(len(chain.at) for chain in chains._chains)


def test_a_ladder_of_forks_stays_exact_and_small() -> None:
    """Each rung a fork on the one before: memory far below the square, answers exact."""
    twin = Twin()
    twin.insert(Inner(AUTHORS[0], 0, None, RootGrant(0), (), Wall(0), (FOUNDING,)))
    rungs = 400
    for _ in range(rungs):
        twin.grow(1, (len(twin.inners) - 1,), None)
    assert cells(twin.graph._chains) < rungs * rungs / 2 / 16
    top = len(twin.inners) - 1
    assert all(twin.graph.is_before(first, top) for first in range(top))
    honest = twin.grow(2, (top,), None)
    assert all(twin.graph.is_before(first, honest) for first in range(honest))
    twin.graph.check()


def test_memory_follows_what_is_learnt() -> None:
    """A sole author after others learns nothing: no breakpoint is added by its commits."""
    twin = Twin()
    twin.insert(Inner(AUTHORS[0], 0, None, RootGrant(0), (), Wall(0), (FOUNDING,)))
    for author in range(1, 5):
        twin.grow(author, (len(twin.inners) - 1,), None)
    kept = cells(twin.graph._chains)
    for _ in range(300):
        last = len(twin.inners) - 1
        twin.grow(4, (last,), last)
    assert cells(twin.graph._chains) == kept


def wrong_head(graph: Graph) -> None:
    """Forget a head."""
    graph._heads.popitem()


def wrong_gen(graph: Graph) -> None:
    """Claim a generation too many."""
    graph._gens[7] += 1


def wrong_fork(graph: Graph) -> None:
    """Accuse somebody who did not fork."""
    graph._forks[AUTHORS[0]] = (0, 3)


def wrong_breakpoint(graph: Graph) -> None:
    """Let a chain know less than it does."""
    chain = next(chain for chain in graph._chains._chains if chain.at)
    next(iter(chain.known.values())).own[0] += 1


def wrong_number(graph: Graph) -> None:
    """Mix up two ids."""
    graph._ids[3], graph._ids[4] = graph._ids[4], graph._ids[3]


@pytest.mark.parametrize(
    "corrupt", [wrong_head, wrong_gen, wrong_fork, wrong_breakpoint, wrong_number]
)
def test_check_notices_corruption(corrupt: Callable[[Graph], None]) -> None:
    """Each derived field, changed alone, fails the check that passed before."""
    twin = Twin()
    twin.insert(Inner(AUTHORS[0], 0, None, RootGrant(0), (), Wall(0), (FOUNDING,)))
    for step in range(12):
        author = step % 3
        own = twin.own(author, (len(twin.inners) - 1,))
        twin.grow(author, (len(twin.inners) - 1,), own[-1] if own else None)
    twin.graph.check()
    corrupt(twin.graph)
    with pytest.raises(AssertionError):
        twin.graph.check()


def test_a_commit_is_inserted_once_and_after_its_genesis() -> None:
    """A second insert, or a first commit that founds nothing, is our own fault."""
    twin = Twin()
    grant, parents = CommitGrant(CommitId(b"c" * 32)), (CommitId(b"p" * 32),)
    orphan = Inner(AUTHORS[1], 0, None, grant, parents, Wall(0), ())
    with pytest.raises(AssertionError):
        twin.graph.insert(CommitId(b"o" * 32), orphan, gen=1)
    genesis = Inner(AUTHORS[0], 0, None, RootGrant(0), (), Wall(0), (FOUNDING,))
    twin.graph.insert(CommitId(b"g" * 32), genesis, gen=0)
    with pytest.raises(AssertionError):
        twin.graph.insert(CommitId(b"g" * 32), genesis, gen=0)
    assert len(twin.graph) == 1


@pytest.mark.parametrize("seed", range(6))
def test_long_chains_of_bases_stay_exact(seed: int) -> None:
    """Graphs in which forkers build on one another's forks, deeper than bases are followed."""
    random, width = Random(seed), (1, 2, 4, 8, 20, 400)[seed]
    twin = grown(random, 10, fork_rate=0.0, width=10)
    for number in range(10, 400):
        picks = [random.randrange(max(0, number - width), number) for _ in range(3)]
        parents, author = twin.minimal(picks), random.randrange(1, 5)
        mine = twin.own(author, parents)
        twin.grow(author, parents, random.choice(mine) if mine and not number % 50 else None)
    depth = max(chain.depth for chain in twin.graph._chains._chains)
    assert depth == 64 or width > 4
    for second in range(0, 400, 3):
        past = {first for first in range(400) if twin.graph.is_before(first, second)}
        assert past == twin.pasts[second]
    twin.graph.check()


@pytest.mark.parametrize("seed", range(5))
def test_other_threads_may_read_while_one_writes(seed: int) -> None:
    """Answers about commits below a length that was read are right at any moment after."""
    model = grown(Random(seed), 300, fork_rate=0.1, width=12)
    graph, wrong, done = Graph(), list[tuple[int, int]](), threading.Event()

    def read() -> None:
        while not done.is_set():
            count = len(graph)
            for second in range(max(0, count - 8), count):
                for first in range(0, count, 7):
                    if graph.is_before(first, second) != (first in model.pasts[second]):
                        wrong.append((first, second))

    reader = threading.Thread(target=read)
    reader.start()
    for number, inner in enumerate(model.inners):
        graph.insert(model.graph.id_of(number), inner, gen=model.graph.gen_of(number))
    done.set()
    reader.join()
    assert not wrong
    graph.check()
