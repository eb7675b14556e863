"""The past from the command line: what was done is listed, undone, redone."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Run
from tests.cli.test_run import OPEN, TODO


def test_the_newest_turn_is_undone_and_redone(comity: Run, tmp_path: Path) -> None:
    """Without any node; the list shows what is hidden, and names turns for `undo`."""
    store = tmp_path / "store"
    for what in ("milk", "eggs"):
        assert comity("run", TODO, "add", what, "--store", store, OPEN).returncode == 0
    undone = comity("undo", "--store", store, OPEN)
    assert undone.stdout.startswith("undone: turn ")
    shown = comity("snapshot", TODO, "--store", store, OPEN)
    assert "milk" in shown.stdout
    assert "eggs" not in shown.stdout
    listed = comity("history", TODO, "--store", store, OPEN, "--json")
    turns = json.loads(listed.stdout)["turns"]
    assert [each["visible"] for each in turns][-2:] == [True, False]
    assert undone.stdout == f"undone: turn {turns[-1]['turn']}\n"
    short = comity("history", TODO, "--store", store, OPEN).stdout.splitlines()[-1].split()[0]
    assert turns[-1]["turn"].startswith(short.partition(".")[0])
    assert len(short) == 14
    already = comity("undo", short, "--store", store, OPEN)
    assert already.returncode == 2
    assert comity("why", short, "--store", store, OPEN).stdout.startswith("Commit ")
    unknown = comity("undo", "0123456789", "--store", store, OPEN)
    assert "0 commits" in unknown.stderr
    nowhere = comity("history", "--store", tmp_path / "nowhere", OPEN)
    assert "there is no store at" in nowhere.stderr
    assert "(hidden)" in comity("history", TODO, "--store", store, OPEN).stdout
    assert comity("redo", "--store", store, OPEN).stdout.startswith("redone: turn ")
    assert "eggs" in comity("snapshot", TODO, "--store", store, OPEN).stdout
    first = turns[-2]["turn"]
    then = comity("snapshot", TODO, "--at", first, "--store", store, OPEN)
    assert "milk" in then.stdout
    assert "eggs" not in then.stdout
    restored = comity("restore", first, TODO, "--store", store, OPEN)
    assert restored.stdout == "restored: items\n"
    assert "eggs" not in comity("snapshot", TODO, "--store", store, OPEN).stdout
    again = comity("restore", first, TODO, "--store", store, OPEN)
    assert again.stdout == "restored: nothing differed\n"
    wrong = comity("undo", "nonsense", "--store", store, OPEN)
    assert wrong.returncode == 2
    assert "'nonsense' is no turn" in wrong.stderr
    none = comity("adopt", "0" * 8, "--store", store, OPEN)
    assert none.returncode == 2
    assert "no commit" in none.stderr
