"""Cold history between nodes: members give runs, relays single commits."""

from __future__ import annotations

import pytest

from comity.node import packing
from comity.node.effects import Table
from comity_chaos.sim import Sim, SimRef
from tests.node.ledger import Ledger, consistent


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make history cold early."""
    monkeypatch.setattr(packing, "COLD_TAIL", 10)
    monkeypatch.setattr(packing, "COLD_PIECE", 40)


def write(sim: Sim, *refs: SimRef[Ledger], turns: int = 120) -> None:
    """Have everybody write, each turn a commit of its own; then rest."""
    for number in range(turns):
        refs[number // 12 % len(refs)].tell(Ledger.enter, f"n{number}", number)
        sim.run(0.4)
    sim.run(30)


def runs_of(ref: SimRef[Ledger]) -> int:
    """Return how many runs a node has on its disk."""
    return len(ref.node.disk.table(Table.RUN))


@pytest.mark.parametrize("crypto", ["symbolic", "sodium"])
def test_a_member_who_was_away_gets_runs(crypto: str) -> None:
    """What he missed is packed by then; he ends with the same state, and keeps the runs."""
    with Sim(seed=3, nodes=3, crypto=crypto) as sim:
        a, b, c = sim.share(Ledger)
        sim.cut([a, b], c)
        write(sim, a, b)
        assert runs_of(a) >= 3
        assert runs_of(c) == 0
        sim.heal()
        settled = sim.settle()
        assert len(settled.state["lines"]) == 120  # type: ignore[arg-type]
        assert consistent(settled.state)
        assert runs_of(c) >= 3
        for ref in (a, b, c):
            sim.crash(ref)
            sim.restart(ref)
        c.tell(Ledger.enter, "after", 1)
        assert len(sim.settle().state["lines"]) == 121  # type: ignore[arg-type]
        sim.check()


def test_members_pack_while_they_write_and_crash() -> None:
    """Crashes at any time, before, in and after packing, leave every acknowledged turn."""
    with Sim(seed=4, nodes=2) as sim:
        a, b = sim.share(Ledger)
        for life in range(5):
            for number in range(30):
                ref = (a, b)[number // 10 % 2]
                ref.tell(Ledger.enter, f"{life}/{number}", number)
                sim.run(0.4)
            sim.run(2.0 + life * 0.003)
            sim.crash(a)
            sim.restart(a)
            sim.run(1)
        settled = sim.settle()
        assert len(settled.state["lines"]) == 150  # type: ignore[arg-type]
        assert runs_of(a) + runs_of(b) > 0
        sim.check()


def test_a_relay_is_given_single_commits() -> None:
    """A member whose history is packed still gives a relay what it wrote itself."""
    with Sim(seed=5, nodes=2, relay=True) as sim:
        a, b = sim.share(Ledger)
        assert sim.relay is not None
        sim.world.cut([[a.node.index], [b.node.index, sim.relay.index]])
        write(sim, a, turns=80)
        assert runs_of(a) > 0
        assert len(sim.relay.disk.table(Table.COMMIT)) < 10
        sim.heal()
        settled = sim.settle()
        assert len(settled.state["lines"]) == 80  # type: ignore[arg-type]
        assert sim.relay.disk.table(Table.RUN) == ()
        kept = len(sim.relay.disk.table(Table.COMMIT))
        assert a.node.core is not None
        replica = a.node.core.replica(a.topic)
        assert replica is not None
        assert kept == len(replica.journal.graph)
        assert b.state == a.state
