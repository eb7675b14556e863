"""One process per store: the second is told who has it, and death frees it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from comity.base.errors import StoreError
from comity.drivers.lock import StoreLock
from comity.drivers.store import LOCK_FILE

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

HOLDER = """
import sys
from pathlib import Path
from comity.drivers.lock import StoreLock
lock = StoreLock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Generator[subprocess.Popen[str]]:
    """Run another process that holds the lock."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_second_process_learns_whom_to_talk_to(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    """The error names the pid, the directory and the command; trying later may help."""
    with pytest.raises(StoreError) as caught:
        StoreLock(tmp_path)
    assert f"in use by process {holder.pid}" in str(caught.value)
    assert f"comity status --store {tmp_path}" in str(caught.value)
    assert caught.value.retry


def test_death_frees_it_and_its_stale_pid_blocks_nobody(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    """After kill -9 the file still names the dead process, and the lock is free."""
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / LOCK_FILE).read_text() == f"{holder.pid}\n"
    with StoreLock(tmp_path) as lock:
        assert lock.held
        assert (tmp_path / LOCK_FILE).read_text() == f"{os.getpid()}\n"
        assert (tmp_path / LOCK_FILE).stat().st_mode & 0o777 == 0o600
    assert not lock.held


def test_twice_in_one_process_is_refused(tmp_path: Path) -> None:
    """The same process cannot open a store twice, and is told that it has."""
    with StoreLock(tmp_path), pytest.raises(StoreError, match="already open in this process"):
        StoreLock(tmp_path)
    with StoreLock(tmp_path) as lock:
        lock.release()
        lock.release()


def test_a_forked_child_does_not_keep_it(tmp_path: Path) -> None:
    """The lock ends with the process that took it, though a forked child lives on."""
    program = """
import os, sys
from pathlib import Path
from comity.drivers.lock import StoreLock
lock = StoreLock(Path(sys.argv[1]))
child = os.fork()
if child == 0:
    assert not lock.held
    print("child", flush=True)
    sys.stdin.readline()
    os._exit(0)
assert lock.held
os._exit(0)
"""
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "child\n"
        process.wait()
        with StoreLock(tmp_path) as lock:
            assert lock.held
        process.communicate("end\n")
