"""What every test may rely on: where things are, and how Hypothesis searches.

Owns: fixtures for places, and the search profiles. May not know: any layer.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.database import DirectoryBasedExampleDatabase

ROOT = Path(__file__).resolve().parent.parent

# Nobody's keyring is asked, and none of ours is found in its place: keyring takes the first
# backend that it knows of for the whole process, also one that a test has defined.
os.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.fail.Keyring"

# What tells a store from its copies lies outside of it; here, where it goes with the tests.
_STATE = tempfile.TemporaryDirectory(prefix="comity-state-")
os.environ["XDG_STATE_HOME"] = _STATE.name

# No deadlines: the machine is shared, and a slow moment is not a broken property. In CI the
# search is the same each time, so that a red run is the change's; elsewhere it is fresh.
settings.register_profile(
    "comity",
    deadline=None,
    derandomize="CI" in os.environ,
    database=None
    if "CI" in os.environ
    else DirectoryBasedExampleDatabase(ROOT / ".cache" / "hypothesis"),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "soak", settings.get_profile("comity"), derandomize=False, max_examples=5_000
)
settings.load_profile("comity")


@pytest.fixture(scope="session")
def project() -> Path:
    """Return the root of the project."""
    return ROOT


@pytest.fixture(scope="session")
def vectors() -> Path:
    """Return the folder of published test vectors, or skip: it stands beside the project."""
    folder = ROOT.parent / "shared" / "vectors"
    if not folder.is_dir():
        pytest.skip(f"published test vectors are not at {folder}")
    return folder
