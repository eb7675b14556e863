"""The project can be set up, built, documented and released from what is committed."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent


def pins(project: Path) -> list[str]:
    """Return the entries of constraints.txt, each with its hashes, on one line."""
    text = (project / "constraints.txt").read_text(encoding="utf-8")
    return text.replace("\\\n", " ").splitlines()


def test_every_pin_has_a_version_and_hashes_and_names_no_host(project: Path) -> None:
    """What `make` installs is fixed to the byte, wherever it is fetched from."""
    listed = pins(project)
    for pin in listed:
        assert re.match(r"[\w.-]+==[\w.]+( ; [^:]+)?( +--hash=sha256:[0-9a-f]{64})+$", pin), pin
    assert len(listed) > 50


def test_all_that_the_project_names_is_pinned(project: Path) -> None:
    """Dependencies, every extra and the build backend are in constraints.txt."""
    with (project / "pyproject.toml").open("rb") as file:
        settings = tomllib.load(file)
    named = [*settings["build-system"]["requires"], *settings["project"]["dependencies"]]
    for extra in settings["project"]["optional-dependencies"].values():
        named += extra
    names = {re.split(r"[<>=\[ ]", each)[0].lower() for each in named} - {"comity"}
    assert names - {pin.split("==")[0] for pin in pins(project)} == set()


def test_the_wheel_holds_both_packages_and_their_types(project: Path, tmp_path: Path) -> None:
    """One wheel with the runtime, the fault lab, their markers, and the command."""
    subprocess.run(
        [BIN / "hatchling", "build", "-t", "wheel", "-d", tmp_path],
        cwd=project,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (commands,) = [each for each in names if each.endswith("entry_points.txt")]
        assert b"comity = comity.cli.main:main" in archive.read(commands)
    for package in ("comity", "comity_chaos"):
        assert {f"{package}/__init__.py", f"{package}/py.typed"} <= names
    tops = {each.split("/")[0] for each in names}
    assert tops == {"comity", "comity_chaos", wheel.name.rsplit("-py3", 1)[0] + ".dist-info"}
    assert any(each.endswith("licenses/LICENSE") for each in names)


def test_the_documentation_builds_without_warnings(project: Path, tmp_path: Path) -> None:
    """Each page is well formed, each link leads somewhere, and no page asks a far host."""
    done = subprocess.run(
        [BIN / "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path / "site"],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "site/index.html").read_text(encoding="utf-8")
    assert re.findall(r'<(?:script|link)[^>]+(?:src|href)="(?:https?:)?//[^"]+"', page) == []


def test_every_fragment_of_the_changelog_has_a_known_type(project: Path) -> None:
    """A file that the release would leave out in silence is refused here."""
    with (project / "pyproject.toml").open("rb") as file:
        settings = tomllib.load(file)["tool"]["towncrier"]
    known = {each["directory"] for each in settings["type"]}
    for fragment in (project / settings["directory"]).iterdir():
        if fragment.name != ".gitignore":
            parts = fragment.name.split(".")
            assert parts[-1] == "md", fragment.name
            assert parts[1] in known, fragment.name
    assert settings["start_string"] in (project / settings["filename"]).read_text("utf-8")


@pytest.mark.parametrize(
    "target", ["demo", "test", "lint", "types", "bench", "docs", "soak", "protos", "clean"]
)
def test_make_has_the_target_and_its_help_says_so(project: Path, target: str) -> None:
    """`make` alone says what there is."""
    done = subprocess.run(
        ["make", "--no-print-directory"],  # noqa: S607 - make is found where the system has it
        cwd=project,
        check=True,
        capture_output=True,
        text=True,
    )
    assert re.search(rf"^make {target} +\w", done.stdout, re.MULTILINE)


def test_continuous_integration_runs_what_developers_run(project: Path) -> None:
    """`.ci/run` is `make test`, and that is lint, types and every test."""
    script = (project / ".ci/run").read_text(encoding="utf-8")
    assert script.splitlines()[-1] == "exec make test"
    makefile = (project / "Makefile").read_text(encoding="utf-8")
    assert re.search(r"^test: lint types unit ", makefile, re.MULTILINE)
