"""The committed wire code is what its source generates, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMITTED = "runtime/comity/wire/v1"
SOURCES = "protos/comity/wire/v1"


def generate(project: Path, target: Path) -> dict[str, str]:
    """Run the script of `make protos` into a folder; return the files by name."""
    done = subprocess.run(
        [project / "scripts/protos", target],
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return read(target / "comity/wire/v1")


def read(folder: Path) -> dict[str, str]:
    """Return the generated files in a folder by name."""
    files = [each for each in folder.iterdir() if each.suffix in {".py", ".pyi"}]
    return {each.name: each.read_text(encoding="utf-8") for each in files}


@pytest.fixture
def generated(project: Path, tmp_path: Path) -> dict[str, str]:
    """Return what the committed source generates today."""
    if not list((project / SOURCES).glob("*.proto")):
        pytest.skip(f"there is no source in {SOURCES}")
    return generate(project, tmp_path)


def test_what_is_committed_is_what_is_generated(
    project: Path, generated: dict[str, str]
) -> None:
    """Nobody edited the generated code, nor the source without generating; `make protos`."""
    committed = {
        name: text for name, text in read(project / COMMITTED).items() if name != "__init__.py"
    }
    assert sorted(committed) == sorted(generated)
    assert committed == generated
