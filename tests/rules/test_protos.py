"""The committed wire code is what its source generates, and nothing else."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
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


def test_whoever_installs_the_project_can_load_the_code(project: Path) -> None:
    """The generated code refuses older libraries, so older ones are not allowed."""
    with (project / "pyproject.toml").open("rb") as file:
        bounds = tomllib.load(file)["project"]["dependencies"]
    code = read(project / COMMITTED)
    (protobuf,) = re.findall(r"# Protobuf Python Version: ([\d.]+)", code["wire_pb2.py"])
    assert f"protobuf>={protobuf}" in bounds
    (grpcio,) = re.findall(r"GENERATED_VERSION = '([\d.]+)'", code["wire_pb2_grpc.py"])
    assert f"grpcio>={grpcio}" in bounds


def test_an_edit_of_either_side_is_seen(project: Path, tmp_path: Path) -> None:
    """The comparison can fail: a message more in the source changes what is generated."""
    copy = tmp_path / "project"
    (copy / "scripts").mkdir(parents=True)
    shutil.copytree(project / "protos", copy / "protos")
    shutil.copy(project / "scripts/protos", copy / "scripts/protos")
    with (copy / SOURCES / "wire.proto").open("a", encoding="utf-8") as source:
        source.write("message Planted {}\n")
    (tmp_path / "out").mkdir()
    code = generate(copy, tmp_path / "out")
    assert code["wire_pb2.py"] != read(project / COMMITTED)["wire_pb2.py"]
