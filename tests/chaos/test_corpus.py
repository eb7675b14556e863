"""Old failures stay mended, and a healthy build raises no false alarm."""

from __future__ import annotations

from pathlib import Path

import pytest

from comity.actor.actor_type import ActorType
from comity_chaos.campaign import Campaign, Verdict, search
from comity_chaos.commands import read_plan, scenario_of
from comity_chaos.faults.catalogue import CATALOGUE, kinds_named
from comity_chaos.generate import Shape
from comity_chaos.runner import name_of, run_plan, standard
from tests.node.ledger import Ledger

CORPUS = sorted((Path(__file__).parent / "corpus").glob("*.toml"))
LEDGER = ActorType.of(Ledger)
SHAPE = Shape(
    actor=name_of(Ledger),
    turns=20,
    relays=1,
    kinds=kinds_named("all", byzantine=True),
    only=("enter", "strike", "rename", "count"),
    byzantine=1,
    beyond=True,
)


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_old_failures_stay_mended(path: Path) -> None:
    """Every plan that once broke a promise breaks none, and says what it had broken."""
    plan = read_plan(str(path))
    assert plan.notes["story"]
    outcome = run_plan(plan, scenario_of(plan))
    assert not outcome.failed, f"{outcome.oracle}: {outcome.text}"
    assert any(outcome.bitten.values()), outcome.bitten


def healthy(seeds: range) -> Campaign:
    """Search the healthy build; whatever is found is told with its story."""
    campaign = search(seeds, SHAPE, standard(LEDGER), LEDGER)
    assert campaign.verdict is Verdict.PASS, str(campaign)
    return campaign


def test_a_healthy_build_raises_no_false_alarm() -> None:
    """Sixty seeds of everything at once: no promise is broken, every oracle judged."""
    campaign = healthy(range(60))
    assert campaign.runs == 60
    assert campaign.failure is None
    judged = {name for name, count in campaign.judged.items() if count}
    assert judged == set(campaign.judged) - {"invariant"}
    assert sum(campaign.bitten.values()) > 60


@pytest.mark.soak
def test_three_thousand_seeds_raise_no_false_alarm() -> None:
    """A long search of the healthy build: silence, and every kind of fault bit."""
    campaign = healthy(range(1_000, 4_000))
    assert {kind for kind, count in campaign.bitten.items() if count} == set(CATALOGUE)
