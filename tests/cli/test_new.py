"""An app that `comity new` makes runs, passes its own tests, and has a page."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from comity.cli.commands.new import FILES
from tests.cli.conftest import Run

OPEN = "--insecure-store"


@pytest.fixture
def made(comity: Run, tmp_path: Path) -> Path:
    """Make an app."""
    folder = tmp_path / "apps" / "rose_garden"
    done = comity("new", folder)
    assert done.returncode == 0, done.stderr
    assert "comity run" in done.stdout
    return folder


def test_nothing_of_the_template_is_left_unfilled(made: Path) -> None:
    """Every file is there, with the names of this app."""
    files = [each for each in made.rglob("*") if each.is_file()]
    assert len(files) == len(FILES)
    for each in files:
        assert "@@" not in each.read_text(encoding="utf-8")
    assert "class RoseGarden(Actor)" in (made / "rose_garden.py").read_text(encoding="utf-8")


def test_it_takes_messages(made: Path, comity: Run, tmp_path: Path) -> None:
    """From the command line, at once."""
    store = tmp_path / "store"
    done = comity("run", made, "add", "tulip", "--store", store, OPEN)
    assert (done.returncode, done.stdout) == (0, "1\n")
    refused = comity("run", made, "add", " ", "--store", store, OPEN)
    assert "a thing needs a name" in refused.stderr


def test_its_own_tests_pass(made: Path, project: Path) -> None:
    """As its README says to run them, in a directory that is no checkout."""
    paths = os.pathsep.join([str(project / "runtime"), str(project / "chaos")])
    installed = {each.name for each in entry_points(group="pytest11")}
    plugin = [] if "comity" in installed else ["-p", "comity_chaos.pytest_plugin"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugin, made.name],
        cwd=made.parent,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


@pytest.mark.parametrize("name", ["My-App", "1st", "class", "json", "comity", "Upper", "a b"])
def test_a_name_that_is_no_module_is_refused(comity: Run, tmp_path: Path, name: str) -> None:
    """Before anything is written, with what would do."""
    refused = comity("new", tmp_path / name)
    assert refused.returncode == 2
    assert "name" in refused.stderr
    assert not (tmp_path / name).exists()


def test_what_is_there_is_not_written_over(comity: Run, made: Path) -> None:
    """A second `new` changes nothing."""
    before = (made / "rose_garden.py").read_text(encoding="utf-8")
    refused = comity("new", made)
    assert refused.returncode == 2
    assert "exists already" in refused.stderr
    assert (made / "rose_garden.py").read_text(encoding="utf-8") == before
