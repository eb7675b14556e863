"""Drafts that were sealed already, by a copy of the same disk: known again, counted once."""

from __future__ import annotations

from comity.base.clock import SECOND
from comity.node.effects import Table
from comity_chaos.sim import Sim, SimRef
from tests.node.ledger import Ledger, consistent

_SEEDS = 30


def _with_draft(sim: Sim, ref: SimRef[Ledger]) -> None:
    """Have two turns acknowledged, of which the second is a draft."""
    _ = ref.ask(Ledger.enter, "one", 1)
    sim.run(0.02)
    reply = ref.ask(Ledger.enter, "two", 2)
    sim.run(0.01)
    assert reply.done
    assert ref.node.disk.table(Table.DRAFT)


def _check(sim: Sim, ref: SimRef[Ledger], commits: int) -> None:
    """Check that all goes on and each entry counts once."""
    assert consistent(ref.state)
    assert ref.state["lines"] == {"one": 1, "two": 2}
    assert len(ref.node.disk.table(Table.COMMIT)) == commits
    assert not ref.node.disk.table(Table.DRAFT)
    again = ref.ask(Ledger.enter, "three", 3)
    sim.run(1)
    assert again.value == 3


def test_drafts_that_outlived_their_commit_count_once() -> None:
    """A disk with a commit and the drafts it was sealed from opens, and drops the drafts."""
    with Sim(seed=1, nodes=1) as sim:
        (ref,) = sim.share(Ledger)
        sim.run(1)
        _with_draft(sim, ref)
        drafts = dict(ref.node.disk.table(Table.DRAFT))
        sim.run(1)
        commits = len(ref.node.disk.table(Table.COMMIT))
        sim.crash(ref)
        image = ref.node.disk.image()
        ref.node.restore({**image, Table.DRAFT: drafts}, whole=True)
        sim.restart(ref)
        sim.run(1)
        _check(sim, ref, commits)


def test_a_draft_that_a_copy_sealed_first_is_known_when_its_commit_comes() -> None:
    """A cloned machine runs beside the original, whose open draft comes round by two peers."""
    brought = 0
    for seed in range(_SEEDS):
        with Sim(seed=seed, nodes=3) as sim:
            original, _, far = sim.share(Ledger)
            sim.run(3)
            _with_draft(sim, original)
            before = len(original.node.disk.table(Table.COMMIT))
            copy = sim.world.add()
            sim.world.crash(copy)
            copy.restore(original.node.disk.image(), whole=True)
            ends = copy.index, far.node.index
            # So the link between the far peer and the original stays.
            sim.world.network.cut([ends, (ends[1], ends[0])])
            sim.world.start(copy)
            end = sim.world.now + SECOND
            while sim.world.now < end and original.node.up:
                assert sim.world.run_one()
            if original.node.up:
                continue  # it sealed the same bytes itself, and they are one commit
            brought += 1
            sim.world.crash(copy)
            sim.run(5)
            disk = original.node.disk
            assert len(disk.table(Table.COMMIT)) == before + 1
            assert not disk.table(Table.DRAFT)
            assert not disk.table(Table.STRANDED)
            assert original.state["lines"] == {"one": 1, "two": 2}
    assert brought >= 3, "the commit was there before its drafts were sealed"
