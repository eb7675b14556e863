"""The command as a person starts it: in a process, with a home of its own.

Owns: the fixtures that run it and wait for it. May not know: what commands print.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from comity.cli.main import comity as root
from comity.drivers.store import CONTROL_FILE

Run = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[..., subprocess.Popen[str]]

SECONDS = 100.0


@pytest.fixture
def environment(project: Path, tmp_path: Path) -> dict[str, str]:
    """Return an environment with an empty home, no keyring, and this checkout."""
    kept = {name: value for name, value in os.environ.items() if name != "COMITY_STORE"}
    home = tmp_path / "home"
    home.mkdir()
    return {
        **kept,
        "HOME": str(home),
        "PYTHONPATH": str(project / "runtime"),
        "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
    }


@pytest.fixture
def process(project: Path, environment: dict[str, str]) -> Run:
    """Run the command to its end in a process; standard input is no terminal."""

    def run(*words: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "comity", *words],
            cwd=project,
            env=environment | more,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    return run


@pytest.fixture
def comity(
    project: Path,
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Run]:
    """Run the command to its end in this process, which spares a second each time."""
    monkeypatch.chdir(project)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def run(*words: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
        done = CliRunner().invoke(
            root, [str(each) for each in words], prog_name="comity", env=environment | more
        )
        return subprocess.CompletedProcess(words, done.exit_code, done.stdout, done.stderr)

    yield run
    homes = (str(project / "examples"), str(tmp_path))
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(homes):
            del sys.modules[name]  # an app of this test


@pytest.fixture
def start(project: Path, environment: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    """Start the command in the background and wait until its store answers commands."""
    running: list[subprocess.Popen[str]] = []

    def begin(store: Path, *words: str | Path) -> subprocess.Popen[str]:
        log = tmp_path / f"{store.name}.log"
        with log.open("w", encoding="utf-8") as file:
            process = subprocess.Popen(
                [sys.executable, "-u", "-m", "comity", *words, "--store", store],
                cwd=project,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                text=True,
            )
        running.append(process)
        end = time.monotonic() + SECONDS
        while "Ctrl-C" not in log.read_text("utf-8") and "relay at" not in log.read_text(
            "utf-8"
        ):
            assert process.poll() is None, log.read_text("utf-8")
            assert time.monotonic() < end, log.read_text("utf-8")
            time.sleep(0.02)
        assert (store / CONTROL_FILE).exists()
        return process

    yield begin
    for process in running:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        with process:
            process.wait(SECONDS)
