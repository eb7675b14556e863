"""Messages between nodes that are never on at the same time, by real relays on loopback."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import cast

import pytest

from comity import Actor, Map, Node, Ref


class Desk(Actor):
    """Takes notes, each under its number."""

    notes: Map[int, int]

    def note(self, number: int) -> int:
        """Count a note; return how many there are."""
        self.notes[number] = self.notes.get(number, 0) + 1
        return len(self.notes)


def notes_of(desk: Ref[Desk]) -> dict[int, int]:
    """Return what a desk has."""
    return dict(cast("Mapping[int, int]", desk.snapshot()["notes"]))


def until(reached: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for something that another thread or process brings about."""
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)


@contextmanager
def relay(path: Path) -> Generator[str]:
    """Run `comity relay` as a process; yield its address."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "comity", "relay", "--insecure-store"),
            *("--store", str(path), "--listen", "127.0.0.1:0"),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("relay at "), line
        yield line.split()[2].rstrip(",")
    finally:
        process.terminate()
        process.communicate(timeout=20)


def mailboxes(store: Path) -> int:
    """Ask a relay that runs on a store how many mailboxes it keeps."""
    command = [sys.executable, "-m", "comity", "status", "--json", "--store", str(store)]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(json.loads(said.stdout)["mail"]["mailboxes"])


def left_at(node: Node, relays: int) -> bool:
    """Tell whether all that waits here lies at so many relays."""
    return all(each.relays == relays for each in node.status().letters)


@pytest.fixture
def relays(tmp_path: Path) -> Iterator[list[str]]:
    """Two relays, each a process of its own."""
    with ExitStack() as stack:
        yield [stack.enter_context(relay(tmp_path / f"relay{n}")) for n in (1, 2)]


@pytest.mark.timeout(120)
def test_both_ends_are_never_on_at_the_same_time(tmp_path: Path, relays: list[str]) -> None:
    """A link goes from hand to hand; a message, then its answer, by relays alone."""
    here, there = str(tmp_path / "here"), str(tmp_path / "there")
    with Node(there, insecure_store=True, listen=None, relays=relays) as node:
        link = node.create(Desk).link()
        until(lambda: all(each.device for each in node.status().relays))
        until(lambda: all(mailboxes(tmp_path / f"relay{n}") for n in (1, 2)))
    with Node(here, insecure_store=True, listen=None, relays=relays[:1]) as node:
        far = node.ref(Desk, link)
        for number in range(20):
            far.send(Desk.note, number)
        asked = far.ask(Desk.note, 20)
        until(lambda: node.status().letters != () and left_at(node, 2))
        assert not asked.done()
    with Node(there, insecure_store=True, listen=None, relays=relays) as node:
        desk = node.open(Desk)
        until(lambda: len(notes_of(desk)) == 21)
        assert set(notes_of(desk).values()) == {1}
        until(lambda: node.status().letters != () and left_at(node, 1))  # the answer waits
    with Node(here, insecure_store=True, listen=None, relays=relays[:1]) as node:
        until(lambda: node.status().letters == ())


@pytest.mark.timeout(120)
def test_an_answer_comes_while_both_are_on_and_cannot_reach_each_other(
    tmp_path: Path, relays: list[str]
) -> None:
    """Neither takes connections: relays carry the question and the answer."""
    with (
        Node(tmp_path / "there", insecure_store=True, listen=None, relays=relays) as there,
        Node(tmp_path / "here", insecure_store=True, listen=None, relays=relays) as here,
    ):
        desk = there.create(Desk)
        link = desk.link()
        until(lambda: all(each.device for each in there.status().relays))
        far = here.ref(Desk, link)
        assert far.ask(Desk.note, 1).get(timeout=60) == 1
        assert far.ask(Desk.note, 2).get(timeout=60) == 2
        assert notes_of(desk) == {1: 1, 2: 1}
