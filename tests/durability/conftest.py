"""What the tests of durability share: the process under test, and a quick place for images."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.durability.loads import Loads


@pytest.fixture(scope="session")
def loads(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loads]:
    """Return the hand on the process under test."""
    with Loads(project, tmp_path_factory.mktemp("loads") / "errors") as loads:
        yield loads


@pytest.fixture(autouse=True)
def _no_warning_an_image(caplog: pytest.LogCaptureFixture) -> None:
    """Every store here is insecure, and says so each time it is opened."""
    caplog.set_level(logging.ERROR, "comity.vault")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Return a folder in memory, if this machine has one: images need to survive nothing."""
    memory = Path("/dev/shm")  # noqa: S108  (the files have random names and mode 0700)
    if not memory.is_dir():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)
