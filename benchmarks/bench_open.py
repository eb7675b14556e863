"""What it costs to open an actor with a long history: by its rows, and by the index.

Owns: the figures, with real crypto and a SQLite store. `open` is what a node does with each
actor when it starts; `turns` is what activation reads besides, before it folds them. The log
is that of `bench_ingest`: 50 authors, four at a time.
Run as `python benchmarks/bench_open.py [--commits 100000]`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from bench_ingest import BATCH, Log
from holder import Holder

COMMITS = 10_000


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--commits", type=int, default=COMMITS)
    count: int = parser.parse_args().commits
    log = Log()
    log.write(count)
    with TemporaryDirectory() as directory:
        holder = Holder(Path(directory) / "store", log.topic, log.genesis, log.content)
        starts = range(0, len(log.commits), BATCH)
        holder.take([[log.commits[at : at + BATCH]] for at in starts])
        print(f"{len(log.commits)} commits")
        _measure("rows", holder)
        holder.resume()
        holder.rest()
        _measure("index", holder)
        runs, upto = holder.replica.cold.run_count, holder.replica.indexing.upto
        print(f"the index covers {upto} commits, {runs} runs hold what is cold")
        size, index = holder.table_bytes(), holder.index_bytes()
        print(f"{size:,} bytes of commits and runs, {index:,} of index")
        holder.close()


def _measure(name: str, holder: Holder) -> None:
    opening = min(holder.open() for _ in range(2))
    began = perf_counter()
    turns = holder.read_turns()
    reading = perf_counter() - began
    print(f"{name:6} open {opening:7.2f} s   {turns} turns {reading:7.2f} s")


if __name__ == "__main__":
    main()
