"""The report of a run: what it says is what happened, it needs nothing else, and it is seen."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from comity_chaos.__main__ import main
from comity_chaos.commands import read_plan, scenario_of
from comity_chaos.film import Film
from comity_chaos.plan import Plan
from comity_chaos.plan_file import dump
from comity_chaos.report.page import Told, page_of
from comity_chaos.runner import Outcome, run_plan
from tests.chaos.filmed import EVIL, PLAN

HASTY = "tests.chaos.planted:HastyTodo"
PROMISE = "tests.chaos.planted:everything_has_its_place"


def _filmed(plan: Plan) -> tuple[Outcome, Film, dict[str, Any]]:
    film = Film()
    outcome = run_plan(plan, scenario_of(plan), film=film)
    page = page_of(Told(outcome), film)
    found = re.search(
        r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL
    )
    assert found is not None
    data: dict[str, Any] = json.loads(found.group(1))
    return outcome, film, data


def test_who_films_changes_nothing() -> None:
    """The trace of a run is the same before a camera."""
    alone = run_plan(PLAN, scenario_of(PLAN))
    filmed, _, _ = _filmed(PLAN)
    assert filmed == alone


def test_a_film_holds_what_happened() -> None:
    """Every frame and life, what each replica showed, what each fault did and when."""
    outcome, film, data = _filmed(PLAN)
    assert not outcome.failed, outcome.text
    assert 0 <= outcome.frames - len(film.frames) < 10, "but what is sent at the very start"
    assert all(frame.arrives == -1 or frame.arrives > frame.left for frame in film.frames)
    kinds = [moment.kind for moment in film.moments]
    assert (kinds.count("stop"), kinds.count("start")) == (1, 1)
    assert kinds.count("turn") == 3
    assert [lane[0] for lane in data["lanes"]] == ["node", "node", "node", "relay"]
    last = {lane: text for _, lane, _, text in data["states"]}
    assert len(last) == 3
    assert {*last.values()} == {last[0]}
    assert {*json.loads(last[0])["items"]} == {"milk", "eggs", EVIL}
    came = {each["kind"]: (each["from"], each["to"]) for each in data["faults"]}
    assert came == {"power": (700, 1600), "isolate": (1200, 1800)}
    assert all(each["bites"] for each in data["faults"])
    assert {name for name, _, _ in data["oracles"]} == {*outcome.judged}


def test_what_is_plotted_is_what_was() -> None:
    """In the end nobody is behind and nothing waits; before that somebody was."""
    _, _, data = _filmed(PLAN)
    last = {node: (commits, waiting) for _, node, commits, waiting in data["measures"]}
    assert {*last} == {0, 1, 2}
    most = max(commits for commits, _ in last.values())
    assert {*last.values()} == {(most, 0)}
    assert any(commits < most for _, _, commits, _ in data["measures"])
    assert [each[0] for each in data["measures"]] == sorted(
        each[0] for each in data["measures"]
    )


class _Links(HTMLParser):
    """Finds everything that a page would fetch."""

    def __init__(self) -> None:
        """Start with nothing found."""
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(
        self,
        tag: str,  # noqa: ARG002
        attrs: list[tuple[str, str | None]],
    ) -> None:
        """Keep addresses."""
        self.found += [value or "" for name, value in attrs if name in {"src", "href"}]


def test_the_page_needs_nothing_else() -> None:
    """No address in it, and a policy that lets nothing be fetched; texts of apps are texts."""
    film = Film()
    outcome = run_plan(PLAN, scenario_of(PLAN), film=film)
    page = page_of(Told(outcome), film)
    links = _Links()
    links.feed(page)
    assert links.found == ["data:,"]
    assert "default-src 'none'" in page
    assert EVIL not in page
    assert not re.search(r"@import|url\(|https?://", page)


def test_a_failure_is_reported_with_what_repeats_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the search itself, and from a plan; the test in it fails as the run did."""
    page, again = tmp_path / "a.html", tmp_path / "b.html"
    words = ["run", HASTY, "--promise", PROMISE, "--seeds", "10", "--report", str(page)]
    assert main(words) == 1
    said = capsys.readouterr().out
    assert said.rstrip().endswith(f"The report is in {page}: open it in a browser.")
    data = _data(page)
    assert (data["oracle"], data["minimal"], data["size"]) == ("invariant", True, 2)
    assert data["before"] == 46
    assert data["repro"] in said
    scope: dict[str, Any] = {}
    exec(data["test"], scope)  # noqa: S102  (it is for pasting into a file)
    with pytest.raises(AssertionError, match="everything_has_its_place"):
        scope["test_it_stays_mended"]()
    (tmp_path / "plan.toml").write_text(dump(read_plan(data["repro"].split()[-1])), "utf-8")
    assert main(["report", str(tmp_path / "plan.toml"), "--output", str(again)]) == 1
    assert _data(again)["states"] == data["states"]


def test_a_run_that_breaks_nothing_is_reported_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """PASS, and 0."""
    (tmp_path / "plan.toml").write_text(dump(PLAN), "utf-8")
    page = tmp_path / "page.html"
    assert main(["report", str(tmp_path / "plan.toml"), "--output", str(page)]) == 0
    assert "PASS" in capsys.readouterr().out
    assert _data(page)["failed"] is False


def _data(page: Path) -> dict[str, Any]:
    text = page.read_text("utf-8")
    found = re.search(r'id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    data: dict[str, Any] = json.loads(found.group(1))
    return data
