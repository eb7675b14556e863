"""Processes that are killed, not closed: what was sent takes effect once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import pytest

from comity import Actor, Map, Node

KILLS = 4
SOAK_KILLS = 50


class Ledger(Actor):
    """Notes each message under its own number: one that comes twice is seen."""

    seen: Map[int, int]

    def note(self, number: int) -> None:
        """Count a message."""
        self.seen[number] = self.seen.get(number, 0) + 1

    def doubled(self) -> list[int]:
        """Return what took effect more than once."""
        return [number for number, count in self.seen.items() if count != 1]

    def count(self) -> int:
        """Return how many messages took effect."""
        return len(self.seen)


RECEIVER = """
import sys, logging
logging.disable(logging.CRITICAL)
from comity import Node
from tests.api.test_killed import Ledger
node = Node(sys.argv[1], insecure_store=True)
ledger = node.open_or_create(Ledger)
print(ledger.link(), flush=True)
sys.stdin.read()
"""

SENDER = """
import sys, logging
logging.disable(logging.CRITICAL)
from comity import Node
from tests.api.test_killed import Ledger
node = Node(sys.argv[1], insecure_store=True, listen=None)
far = node.ref(Ledger, sys.argv[2])
number = int(sys.argv[3])
while True:
    far.send(Ledger.note, number)
    print(number, flush=True)
    number += 1
"""


def _run(code: str, *arguments: str) -> tuple[subprocess.Popen[str], IO[str]]:
    """Start one side; return it and what it says."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, process.stdout


def _kill(process: subprocess.Popen[str]) -> str:
    """Kill a process as a crash would; return what it had said and nobody had read."""
    os.kill(process.pid, signal.SIGKILL)
    said, _ = process.communicate(timeout=30)
    return said


def _stream_through_kills(path: Path, kills: int) -> None:
    here, there = str(path / "here"), str(path / "there")
    receiver, heard = _run(RECEIVER, there)
    link = heard.readline().strip()
    first, stored = 0, 0
    for kill in range(kills):
        sender, said = _run(SENDER, here, link, str(first))
        assert said.readline(), "the sender did not begin"
        time.sleep(0.15 + 0.1 * (kill % 4))
        if kill % 2:
            _kill(receiver)
            receiver, heard = _run(RECEIVER, there)
            assert heard.readline()
            time.sleep(0.2)
        lines = _kill(sender).split()
        # The last one may have been stored and not said; its number is not used again.
        last = int(lines[-1]) if lines else first
        stored += last - first + 1
        first = last + 2
    _kill(receiver)
    with Node(there, insecure_store=True) as node, Node(here, insecure_store=True) as sending:
        ledger = node.open(Ledger)
        far = sending.ref(Ledger, link)
        count = far.ask(Ledger.count).get(timeout=60)
        assert ledger.ask(Ledger.doubled).get(timeout=10) == []
        assert stored <= count <= stored + kills
        assert stored > kills


def test_what_was_stored_takes_effect_once_whoever_is_killed(tmp_path: Path) -> None:
    """Either process is killed again and again under a stream of messages."""
    _stream_through_kills(tmp_path, KILLS)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_fifty_kills(tmp_path: Path) -> None:
    """The same, fifty times."""
    _stream_through_kills(tmp_path, SOAK_KILLS)
