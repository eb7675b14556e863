"""The named scenarios: each bites, each is judged whole, and finds what it is there for."""

from __future__ import annotations

from pathlib import Path

import pytest

from comity_chaos.__main__ import main
from comity_chaos.campaign import Verdict, search
from comity_chaos.faults.catalogue import kinds_named
from comity_chaos.generate import Shape, draw_plan
from comity_chaos.promises import PROMISES
from comity_chaos.runner import find_actor, run_plan, standard
from tests.chaos.mutants import MUTANTS, planted

TODO = "examples/todo/todo.py:Todo"
LEDGER = "tests.node.ledger:Ledger"
Printed = pytest.CaptureFixture[str]


def shape_of(name: str, actor: str) -> Shape:
    """Return what plans of a scenario are drawn for."""
    promise = PROMISES[name]
    return Shape(
        actor=actor,
        turns=20,
        kinds=kinds_named(promise.faults, byzantine=promise.byzantine > 0),
        relays=promise.relays,
        byzantine=promise.byzantine,
    )


@pytest.mark.parametrize("name", PROMISES)
def test_each_scenario_bites_and_is_judged(name: str) -> None:
    """A sound app passes it, every oracle had something to judge, most of its faults bit."""
    shape, actor_type = shape_of(name, TODO), find_actor(TODO)
    campaign = search(range(6), shape, standard(actor_type), actor_type)
    assert campaign.verdict is Verdict.PASS, str(campaign)
    assert not campaign.vacuous
    assert 2 * len(campaign.toothless) < len(shape.kinds), campaign.toothless


@pytest.mark.parametrize(
    ("name", "bug", "oracle"),
    [
        ("outage", "ack before fsync", "durability"),
        ("restore-from-backup", "ack before fsync", "durability"),
        ("untrusted", "skip signature", "integrity"),
        ("surveillance", "plaintext in a report", "confidentiality"),
    ],
)
def test_a_scenario_finds_what_it_is_there_for(name: str, bug: str, oracle: str) -> None:
    """With a bug planted in the runtime some seed fails, by the oracle that is to see it."""
    (mutant,) = [each for each in MUTANTS if each.name == bug]
    shape, actor_type = shape_of(name, LEDGER), find_actor(LEDGER)
    with planted(mutant):
        for seed in range(40):
            outcome = run_plan(draw_plan(seed, shape, actor_type), standard(actor_type))
            if outcome.failed:
                assert outcome.oracle == oracle, outcome.text
                return
    pytest.fail("40 seeds do not show it")


def test_scenarios_are_listed_and_named_in_errors(capsys: Printed) -> None:
    """Who mistypes one sees all; what a scenario says is not said twice."""
    assert main(["scenarios"]) == 0
    told = capsys.readouterr().out
    assert all(f"  {name} " in told for name in PROMISES)
    assert main(["run", TODO, "--scenario", "rain"]) == 64
    assert "there is no scenario 'rain'. There are:\n" in capsys.readouterr().err
    assert main(["run", TODO, "--scenario", "outage", "--faults", "kill"]) == 64
    assert "leave out --faults" in capsys.readouterr().err
    assert main(["run", TODO, "--scenario", "outage", "--seeds", "2", "--turns", "15"]) == 0
    assert capsys.readouterr().out.startswith("outage: the network fails")


def test_the_reference_lists_every_scenario(project: Path) -> None:
    """With the words that the command says."""
    text = (project / "docs/reference/chaos.md").read_text(encoding="utf-8")
    for name, promise in PROMISES.items():
        assert f"| `{name}` | {promise.says} |" in text
