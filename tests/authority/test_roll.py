"""The roll: branches are causal chains, and a removal's past cuts each of them once."""

from __future__ import annotations

import random

from comity.authority.ledger import Removal
from comity.authority.roll import NO_BACKLINK, Roll
from comity.base.clock import Wall
from comity.base.ids import CommitId
from comity.log.inner import Inner, RootGrant
from tests.authority.world import SetGraph, commit_id, device_id

AUTHOR = device_id("M")


def grow(seed: int) -> tuple[SetGraph, Roll]:
    """Return one author's log with forks, merges, acts, and two grants in turn."""
    pick = random.Random(seed).randrange
    graph = SetGraph()
    roll = Roll(graph)
    for index in range(80):
        name = commit_id(f"c{index}")
        links = [max(0, index - 1 - pick(1 + pick(4)))] if index else []
        if index and pick(4) == 0:
            links.append(pick(index))
        parents = tuple(graph.id_of(link) for link in links)
        backlink = links[0] if links and pick(20) else NO_BACKLINK
        if parents:
            inner = Inner(AUTHOR, 0, None, RootGrant(0), _ascending(parents), Wall(0), ())
            graph.insert(name, inner, gen=index)
        else:
            graph.ids.append(name)
            graph.indexes[name] = 0
            graph.pasts.append(0)
        roll.enter(pick(8) == 0, backlink, is_act=index == 0 or pick(6) == 0)
    return graph, roll


def _ascending(parents: tuple[CommitId, ...]) -> tuple[CommitId, ...]:
    return tuple(sorted(dict.fromkeys(parents)))


def test_bisecting_finds_what_asking_each_finds() -> None:
    """`count_before` is the number of a branch's commits in every killer's past."""
    cut = 0
    for seed in range(60):
        graph, roll = grow(seed)
        roll.check()
        pick = random.Random(seed).randrange
        for grant in (0, 1):
            for branch in roll.branches_of(grant):
                ends = [pick(80) for _ in range(pick(3))]
                killers = [Removal(0, end, AUTHOR, 0, is_self=False) for end in ends]
                asked = [all(graph.is_before(i, end) for end in ends) for i in branch]
                assert roll.count_before(branch, killers) == sum(asked)
                assert asked == sorted(asked, reverse=True)
                cut += 0 < sum(asked) < len(asked)
    assert cut > 20


def test_every_plain_commit_is_in_one_branch() -> None:
    """Branches hold each commit once; one author who never forks fills one branch a grant."""
    graph = SetGraph()
    roll = Roll(graph)
    graph.pasts = [(1 << index) - 1 for index in range(10)]
    for index in range(10):
        roll.enter(0, index - 1, is_act=index in {0, 4, 5})
    assert roll.branches_of(0) == [[1, 2, 3, 6, 7, 8, 9]]
    assert roll.branches_of(1) == ()
    roll.check()
