"""The demonstration keeps its word, in time, and a claim that fails fails it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from comity.cli.demo.acts import Stage, set_up
from comity.cli.demo.play import ORDER, play
from comity.cli.demo.story import ACTS
from tests.cli.conftest import Run


@pytest.mark.timeout(180)
def test_every_claim_is_checked_and_holds(process: Run, tmp_path: Path) -> None:
    """On real processes, all acts, exit 0; no folder and no process is left behind."""
    done = process("demo", TMPDIR=str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"All (\d+) claims were checked and held in ([\d.]+) s", done.stdout)
    assert found, done.stdout
    assert int(found[1]) >= 30
    assert done.stdout.count("✓") == int(found[1])
    for act in ACTS.values():
        assert act.title in done.stdout
    assert list(tmp_path.glob("comity-demo-*")) == []
    for pid in re.findall(r"process (\d+)", done.stdout):
        assert not Path(f"/proc/{pid}").exists()


def test_a_claim_that_does_not_hold_fails_it(capsys: pytest.CaptureFixture[str]) -> None:
    """The exit code is 1, the claim is named with what was seen, later acts are not played."""

    def wrong(stage: Stage) -> None:
        stage.claims.check("two and two are five", held=False, seen=4)

    def later(_stage: Stage) -> None:
        pytest.fail("an act after a failed claim")

    assert play(keep=False, order=(wrong, later)) == 1
    shown = capsys.readouterr().out
    assert "failed: two and two are five -- 4" in shown
    folder = Path("".join(re.findall(r"kept for you in\s+(\S+)", shown)))
    assert (folder / "passphrase").stat().st_mode & 0o777 == 0o600
    (folder / "passphrase").unlink()
    folder.rmdir()


def test_the_order_is_the_whole_story() -> None:
    """Each act of the story is played once."""
    assert len(ORDER) == len(set(ORDER)) == len(ACTS)
    assert ORDER[0] is set_up


@pytest.mark.timeout(120)
def test_an_interrupt_ends_every_process(
    environment: dict[str, str], project: Path, tmp_path: Path
) -> None:
    """Ctrl-C in the middle: exit 130, and nothing is left running or lying about."""
    demo = subprocess.Popen(
        [sys.executable, "-u", "-m", "comity", "demo"],
        cwd=project,
        env=environment | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with demo:
        assert demo.stdout is not None
        started: list[str] = []
        for line in demo.stdout:
            started += re.findall(r"process (\d+)", line)
            if len(started) == 2:
                break
        demo.send_signal(signal.SIGINT)
        rest = demo.stdout.read()
        assert demo.wait(60) == 130, rest
    assert "interrupted" in rest
    assert list(tmp_path.glob("comity-demo-*")) == []
    end = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in started):
        assert time.monotonic() < end
        time.sleep(0.05)
