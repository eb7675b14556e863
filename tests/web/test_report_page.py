"""The fault lab's report in a real browser."""

from __future__ import annotations

from pathlib import Path

from comity_chaos.commands import scenario_of
from comity_chaos.film import Film
from comity_chaos.report.page import Told, page_of
from comity_chaos.runner import run_plan
from tests.chaos.filmed import PLAN
from tests.web.conftest import OpenBrowser, Shoot

_EMPTY = """[...document.querySelectorAll("canvas")].map((canvas) => {
  const all = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  return all.every((each) => each === 0);
})"""
"""Of the diagram and the plots: whether nothing is drawn on it."""


def test_the_page_is_looked_at(tmp_path: Path, browser: OpenBrowser, shoot: Shoot) -> None:
    """It draws, fits, finds, and shows what each replica held at a moment."""
    film = Film()
    outcome = run_plan(PLAN, scenario_of(PLAN), film=film)
    page = tmp_path / "page.html"
    page.write_text(page_of(Told(outcome), film), "utf-8")
    tab = browser()
    tab.open(f"file://{page}")
    tab.until("document.documentElement.dataset.ready === 'yes'")
    tab.text("PASS: no promise was broken")
    tab.text("loses power")
    assert tab.look("document.title") == "PASS"
    assert tab.look("document.querySelectorAll('#states article').length") == 1
    shoot(tab, "report")
    tab.type("#search", "runs a message")
    tab.text("3 found")
    tab.text("runs a message: writes items")
    tab.until("document.querySelector('#cursor').innerText.startsWith('At 0.1')")
    tab.click("#lanes button")
    tab.until("document.querySelector('#lanes [aria-pressed=true]').innerText === 'node 0'")
    tab.click("#wide")
    tab.click("#fit")
    assert tab.look(_EMPTY) == [False] * 4
    assert tab.look("document.documentElement.scrollWidth <= innerWidth")
    assert tab.errors() == []
