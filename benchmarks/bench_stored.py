"""What opening an actor costs by its stored state, beside folding its log; and waking many.

Owns: the figures, on real nodes with real crypto and SQLite. Each history is written once, the
node closed and opened again: `start` is what the node does with its log (`bench_open`), `state`
the first answer of the actor, `fold` the same without the stored state. `wake` is one message
to each of many actors that had left memory.
Run as `python benchmarks/bench_stored.py [--turns 100000] [--actors 2000]`.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from comity import Actor, Counter, Map, Node, Ref, Text
from comity.drivers.store import STORE_FILE

PAPER = Path("../shared/vectors/trace_automerge-paper.json.gz")
PATIENCE = 600.0
REST = 5.0


class Desk(Actor):
    """A small state with a long history."""

    total: Counter
    items: Map[str, int]

    def enter(self, number: int) -> None:
        """Write two fields."""
        self.total += 1
        self.items[f"k{number % 100}"] = number

    def look(self) -> int:
        """Read."""
        return int(self.total)


class Page(Actor):
    """A text that is typed."""

    text: Text

    def edit(self, at: int, gone: int, typed: str) -> None:
        """Replace a stretch."""
        if gone:
            del self.text[at : at + gone]
        if typed:
            self.text.insert(at, typed)

    def look(self) -> int:
        """Read."""
        return len(self.text)


class Dozer(Actor, idle_seconds=0.5):
    """Leaves memory."""

    total: Counter

    def add(self, number: int) -> int:
        """Add."""
        self.total += number
        return int(self.total)

    def look(self) -> int:
        """Read."""
        return int(self.total)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--turns", type=int, default=100_000)
    parser.add_argument("--actors", type=int, default=2_000)
    given = parser.parse_args()
    turns: int = given.turns

    def enter(ref: Ref[Desk]) -> None:
        for number in range(turns):
            ref.tell(Desk.enter, number)

    _measure(f"{turns} turns on a map and a counter", Desk, enter)
    if PAPER.exists():
        trace = json.loads(gzip.decompress(PAPER.read_bytes()))
        edits = [edit for txn in trace["txns"] for edit in txn["patches"]]

        def write(ref: Ref[Page]) -> None:
            for at, gone, typed in edits:
                ref.tell(Page.edit, at, gone, typed)

        _measure(f"automerge-paper, {len(edits)} turns", Page, write)
    else:
        print(f"{PAPER} IS NOT HERE: no text was measured")
    _wake(given.actors)


def _measure(name: str, kind: type[Any], write: Callable[[Ref[Any]], None]) -> None:
    """Write a history, then open it with its stored state and without."""
    print(name)
    with TemporaryDirectory() as directory:
        path = Path(directory) / "node"
        with Node(path, insecure_store=True, listen=None) as node:
            ref = node.create(kind)
            write(ref)
            ref.ask(kind.look).get(timeout=PATIENCE)
            commits = node.status().topics[0].commits
            time.sleep(REST)
        size = _row(path, drop=False)
        for what in ("state", "fold"):
            began = perf_counter()
            with Node(path, insecure_store=True, listen=None) as node:
                start = perf_counter() - began
                ref = node.open(kind)
                found = ref.ask(kind.look).get(timeout=PATIENCE)
                opened = perf_counter() - began - start
            print(
                f"  {what:6} start {start:6.2f} s   open {opened:7.3f} s   "
                f"{commits} commits, state of {size:,} bytes, shows {found}"
            )
            size = _row(path, drop=True)


def _row(path: Path, *, drop: bool) -> int:
    """Return the size of the stored state; and take it away, if asked to."""
    with closing(sqlite3.connect(path / STORE_FILE)) as store:
        (size,) = store.execute("SELECT coalesce(sum(length(value)), 0) FROM state").fetchone()
        if drop:
            store.execute("DELETE FROM state")
            store.commit()
    return int(size)


def _wake(count: int) -> None:
    """Wake actors that had left memory, all at once."""
    with (
        TemporaryDirectory() as directory,
        Node(Path(directory) / "node", insecure_store=True, listen=None) as node,
    ):
        refs = [node.create(Dozer) for _ in range(count)]
        for _ in range(2):
            for each in [ref.ask(Dozer.add, 1) for ref in refs]:
                each.get(timeout=PATIENCE)
            time.sleep(REST)
        began = perf_counter()
        for each in [ref.ask(Dozer.look) for ref in refs]:
            assert each.get(timeout=PATIENCE) == 2
        span = perf_counter() - began
        print(f"wake    {count / span:9,.0f} /s      {count} actors; target 5,000")


if __name__ == "__main__":
    main()
