"""The lab's page names every kind of fault, every oracle, every option: no more, no less."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from comity_chaos.__main__ import main
from comity_chaos.faults.catalogue import CATALOGUE
from comity_chaos.plan import EVENTS
from comity_chaos.plan_file import load
from comity_chaos.sim import Sim


@pytest.fixture
def page(project: Path) -> str:
    """Return the page."""
    return (project / "docs" / "reference" / "chaos.md").read_text("utf-8")


def first_column(page: str, heading: str) -> list[str]:
    """Return what the tables of a section name."""
    section = page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| `([a-z-]+)`", section, re.MULTILINE)


def test_every_kind_of_fault_is_listed(page: str) -> None:
    """In the order of the catalogue."""
    assert first_column(page, "Faults") == list(CATALOGUE)


def test_every_oracle_is_listed(page: str) -> None:
    """Those of the judge, and the three that a run has besides."""
    judged = {oracle.name for oracle in Sim(nodes=1).judge.oracles}
    assert set(first_column(page, "Oracles")) == judged | {"liveness", "crash", "scenario"}


def test_every_option_and_event_is_listed(
    page: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What `--help` offers is on the page, and what the page shows as a plan is one."""
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    offered = set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) - {"--help"}
    assert offered <= set(re.findall(r"--[a-z-]+", page))
    assert all(f"`{event}`" in page for event in EVENTS)
    shown = load(page.partition("```toml\n")[2].partition("```")[0])
    assert shown.size == 2
