"""Every small graph there is, against the naive twin.

After a prelude, each further commit takes all its parents, grants and meanings from a tiny
alphabet; what is refused is compared and not built upon. Small scopes find most rule bugs:
a rule that fails at all fails on few commits. Concurrent commits come in every order, so that
every delivery order of every such graph is among them.

What an hour of `make soak` checks whole (`DEPTHS`): every graph of four more commits on two
roots, of three more on two roots and an admin, of three more on two roots, an admin and an
admin below that one; so all graphs of at most five commits that begin in one of these ways.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import combinations

import pytest

from comity.base.ids import CommitId
from comity.log.entries import AddEntry, AdoptEntry, AuthorityEntry, RemoveEntry, Role
from comity.log.inner import CommitGrant, Grant, RootGrant
from tests.authority.naive import Commit, Naive
from tests.authority.world import GENESIS, Replica, commit_id, device_id, founding

R0, R1, A, B = DEVICES = [device_id(name) for name in ("R0", "R1", "A", "B")]

DEPTHS = {"two roots": 4, "an admin": 3, "an admin below an admin": 3}
"""Commits after each prelude; one more would multiply the graphs by fifty to a hundred."""

DEEPER = int(os.environ.get("COMITY_SOAK_DEEPER", "0"))
"""Further commits, for who has days."""


def _add(name: str, parent: bytes, author: bytes, auth: Grant, device: bytes) -> Commit:
    entry = AddEntry(device, Role.ADMIN, bytes(32))  # type: ignore[arg-type]
    back = parent if author == R0 and parent == GENESIS else None
    return Commit(commit_id(name), author, auth, (parent,), back, entry)


FIRST = _add("a", GENESIS, R0, RootGrant(0), A)
SECOND = _add("b", commit_id("a"), A, CommitGrant(commit_id("a")), B)
PRELUDES = {
    "two roots": [],
    "an admin": [FIRST],
    "an admin below an admin": [FIRST, SECOND],
}


def next_commits(naive: Naive) -> Iterator[Commit]:
    """Yield every commit that the alphabet can put on a graph."""
    accepted = [name for name in naive.commits if name not in naive.rejected]
    name = commit_id(f"c{len(naive.commits)}")
    for parents in _antichains(naive, accepted):
        before = frozenset(parents).union(*(naive.past[parent] for parent in parents))
        for auth in naive.grants(frozenset(accepted)):
            author = naive.device(auth)
            own = [one for one in before if naive.commits[one].author == author]
            tips = [one for one in own if not any(one in naive.past[other] for other in own)]
            for entry, needs in _meanings(naive, before):
                tip = min(tips, default=None)
                yield Commit(name, author, auth, parents, tip, entry, needs)


def _antichains(naive: Naive, accepted: list[bytes]) -> Iterator[tuple[bytes, ...]]:
    for size in (1, 2):
        for parents in combinations(accepted, size):
            if not any(one in naive.past[other] for one in parents for other in parents):
                yield tuple(sorted(parents))


def _meanings(
    naive: Naive, before: frozenset[bytes]
) -> Iterator[tuple[AuthorityEntry | None, Role]]:
    yield None, Role.WRITER
    for device in (A, B):
        yield AddEntry(device, Role.ADMIN, bytes(32)), Role.READER
    for device in DEVICES:
        yield RemoveEntry(device), Role.READER
    effective = naive.dynamic(before)
    for name in sorted(before - effective):
        yield AdoptEntry(CommitId(name)), Role.READER


def explore(naive: Naive, commits: int) -> int:
    """Compare every graph with up to so many more commits; return how many there were."""
    if not commits:
        return 0
    seen = 0
    base = list(naive.commits.values())
    for commit in next_commits(naive):
        grown = Naive(naive.roots, ())
        grown.commits = {**naive.commits}
        grown.past = {**naive.past}
        grown.rejected = {*naive.rejected}
        grown.take(commit)
        replica = Replica([R0, R1])
        for each in (*base[1:], commit):
            replica.take(each)
        assert replica.result() == grown.result(), (base, commit)
        seen += 1
        if commit.name not in grown.rejected:
            seen += explore(grown, commits - 1)
    return seen


def begin(prelude: str) -> Naive:
    """Return the graph to start from."""
    return Naive([R0, R1], [founding([R0, R1]), *PRELUDES[prelude]])


@pytest.mark.parametrize("prelude", PRELUDES)
def test_every_graph_of_one_more_commit(prelude: str) -> None:
    """One more commit on each prelude, two more on the shortest."""
    assert explore(begin(prelude), 2 if prelude == "two roots" else 1) > 10


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("prelude", PRELUDES)
def test_every_graph_that_an_hour_allows(
    prelude: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every graph of as many more commits as `DEPTHS` says; tells how many there were."""
    depth = DEPTHS[prelude] + DEEPER
    seen = explore(begin(prelude), depth)
    with capsys.disabled():
        print(f"\n{prelude}: {seen} graphs of up to {depth} more commits")  # noqa: T201
    assert seen > 10_000
