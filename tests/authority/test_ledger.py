"""The ledger: chains, and which removal can kill which grant."""

from __future__ import annotations

import random
from typing import Any, SupportsIndex

from comity.authority.ledger import TOP, Grant, Ledger
from comity.base.clock import Wall
from comity.log.entries import AddEntry, RemoveEntry, Role
from comity.log.inner import CommitGrant, Inner, RootGrant
from tests.authority.world import SetGraph, commit_id, device_id

ROOTS = [device_id(name) for name in ("R0", "R1", "R2")]


def line(count: int) -> SetGraph:
    """Return a graph of `count` commits, each after the one before."""
    graph = SetGraph()
    for index in range(count):
        parents = (commit_id(f"c{index - 1}"),) if index else (commit_id("none"),)
        graph.indexes.setdefault(commit_id("none"), 0)
        inner = Inner(ROOTS[0], 0, None, RootGrant(0), parents, Wall(0), ())
        if index:
            graph.insert(commit_id(f"c{index}"), inner, gen=index)
        else:
            graph.ids.append(commit_id("c0"))
            graph.indexes[commit_id("c0")] = 0
            graph.pasts.append(0)
    return graph


def test_roots_stand_under_one_another() -> None:
    """root_0 is on top of root_1, which is on top of root_2; none above itself."""
    ledger = Ledger(line(1), ROOTS)
    assert [grant.above for grant in ledger.grants] == [TOP, 0, 1]
    for high in range(3):
        for low in range(3):
            assert ledger.is_above(high, low) == (high < low)
    assert ledger.find(RootGrant(3)) is None
    assert ledger.is_root_device(ROOTS[2])
    assert not ledger.is_root_device(device_id("M"))


def test_jumps_find_what_walking_finds() -> None:
    """`is_above` equals walking the chain, in trees deep and wide."""
    for seed in range(20):
        pick = random.Random(seed).randrange
        count = 200
        ledger = Ledger(line(count), ROOTS)
        for index in range(1, count):
            known = len(ledger.grants)
            under = ledger.grants[known - 1 - pick(3 if seed % 2 else known)]
            ledger.record(index, under, AddEntry(device_id(f"d{index}"), Role.ADMIN, bytes(32)))
        ledger.check()
        for _ in range(2000):
            high, low = pick(len(ledger.grants)), pick(len(ledger.grants))
            node = ledger.grants[low].above
            while node not in {TOP, high}:
                node = ledger.grants[node].above
            assert ledger.is_above(high, low) == (node == high)


class Counted(list[Grant]):
    """A list that counts what is read from it."""

    reads = 0

    def __getitem__(self, place: SupportsIndex | slice) -> Any:  # noqa: ANN401  # as typeshed has it for both overloads
        self.reads += 1
        return super().__getitem__(place)


def test_a_deep_chain_is_climbed_in_few_steps() -> None:
    """4,096 grants below one another: some log2 of that is read, not the whole chain."""
    count = 4096
    ledger = Ledger(line(count), ROOTS)
    for index in range(1, count):
        add = AddEntry(device_id(f"d{index}"), Role.ADMIN, bytes(32))
        ledger.record(index, ledger.grants[-1], add)
    grants = Counted(ledger.grants)
    ledger.grants = grants
    for high in range(0, count, 61):
        grants.reads = 0
        assert ledger.is_above(high, count)
        assert grants.reads < 80


def test_what_a_removal_can_kill() -> None:
    """Grants of its device, strictly below its own, that had not seen it; or its own."""
    ledger = Ledger(line(8), ROOTS)
    member = device_id("M")
    add = AddEntry(member, Role.ADMIN, bytes(32))
    first = ledger.record(1, ledger.grants[1], add).says
    elder = ledger.record(2, ledger.grants[0], add).says
    removal = ledger.record(3, ledger.grants[1], RemoveEntry(member)).says
    later = ledger.record(4, ledger.grants[1], add).says
    assert first == ledger.find(CommitGrant(commit_id("c1")))
    leaving = ledger.record(5, ledger.grants[3], RemoveEntry(member)).says
    kills = {
        (name, number): ledger.kills(one, ledger.grants[number])  # type: ignore[arg-type]
        for name, one in (("removal", removal), ("leaving", leaving))
        for number in range(len(ledger.grants))
    }
    assert [key for key, does in kills.items() if does] == [("removal", 3), ("leaving", 3)]
    assert [grant.number for grant in ledger.grants_of(member)] == [3, 4, 5]
    assert [elder, later] == ledger.grants[4:]
    assert ledger.removals_of(member) == [removal, leaving]
    assert [act.commit for act in ledger.acts_under(1)] == [1, 3, 4]
    assert ledger.acts[5].leaves
    assert not ledger.acts[3].leaves
    ledger.check()
