"""What libraries import in turn, which import contracts cannot see, is seen in a process."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

WORLD = frozenset(
    {
        "asyncio",
        "concurrent",
        "google",
        "grpc",
        "logging",
        "multiprocessing",
        "nacl",
        "pykka",
        "queue",
        "random",
        "secrets",
        "selectors",
        "socket",
        "sqlite3",
        "ssl",
        "subprocess",
        "tempfile",
        "threading",
    }
)
"""What no machine may bring along; `os`, `time` and `uuid` come with Python's own types."""

LOOK = """
import importlib, pkgutil, sys
sys.path[:0] = sys.argv[2:]
package = importlib.import_module(sys.argv[1])
for each in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    importlib.import_module(each.name)
print(*sorted(sys.modules))
"""


def world_of(package: str, root: Path) -> set[str]:
    """Import a package with all its modules in a fresh interpreter; return what is too much.

    Site files run before any program and bring modules of their own, so there are none.
    """
    libraries = sysconfig.get_path("purelib")
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", LOOK, package, root, libraries],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split()) & WORLD


@pytest.mark.parametrize(
    "layer", ["base", "log", "authority", "crdt", "actor", "protocol", "node"]
)
def test_the_core_brings_nothing_of_the_world(layer: str, project: Path) -> None:
    """Every module of a layer of machines loads without threads, sockets or libraries."""
    assert world_of(f"comity.{layer}", project / "runtime") == set()


def test_what_a_library_brings_along_is_seen(tmp_path: Path) -> None:
    """The test above can fail: a harmless name that imports threads underneath is caught."""
    (tmp_path / "harmless.py").write_text("import threading, sqlite3\n", encoding="utf-8")
    (tmp_path / "comity/node").mkdir(parents=True)
    (tmp_path / "comity/__init__.py").touch()
    (tmp_path / "comity/node/__init__.py").touch()
    (tmp_path / "comity/node/step.py").write_text("import harmless\n", encoding="utf-8")
    assert world_of("comity.node", tmp_path) == {"sqlite3", "threading"}
