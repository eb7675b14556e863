"""What counters, maps, sets and lists cost: ours beside loro and pycrdt, in one run.

Owns: the figures. Where a peer is not installed it says so, and ours stands without it. The
machine as it is: quote ratios, not numbers. Each figure is the median of `REPEATS` rounds, in
which the three take turns. Nothing is signed or sealed by any of them; ours writes through the
fields of a class, as an actor does. Run as `python benchmarks/bench_types.py [REPEATS]`.

    local     every operation is a turn (a commit, a transaction) of its own
    live      and its bytes are applied at a peer
    bytes     what goes to the peer for one operation

A ratio is ours to theirs, in operations a second, or in bytes.
"""

from __future__ import annotations

import gc
import importlib
import statistics
import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any

from comity.base.ids import DeviceId
from comity.crdt.list_view import List
from comity.crdt.schema import Schema
from comity.crdt.state import State
from comity.crdt.views import Counter, Map, Set

OPERATIONS = 100_000
KINDS = ("counter", "map", "set", "list")
TARGETS = {"local": "loro 0.5", "live": "pycrdt 1.5", "bytes": "pycrdt 1"}

Peer = Any
"""A library without types of ours, or None where it is not installed."""

Write = Callable[[int], object]


def _peer(name: str) -> Peer:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        print(f"{name} is not installed: nothing here is measured beside it")
        return None


loro: Peer = _peer("loro")
pycrdt: Peer = _peer("pycrdt")


class Line:
    """The causality of turns that come one after another."""

    def before(self, a: int, b: int) -> bool:
        """Compare numbers."""
        return a < b

    def tie(self, field_tag: bytes, turn: int) -> bytes:
        """Never be asked: there are no ties."""
        raise AssertionError((field_tag, turn))

    def parents_of(self, turn: int) -> tuple[int, ...]:
        """Return the turn before."""
        return (turn - 1,) if turn else ()

    def hidden_before(self, turn: int) -> tuple[int, ...]:
        """Return nothing."""
        return () if turn >= 0 else (turn,)

    def withdrawn_before(self, turn: int) -> tuple[int, ...]:
        """Return the same: nothing is undone."""
        return self.hidden_before(turn)

    def role(self, turn: int) -> int:
        """Return a writer's."""
        assert turn >= 0
        return 1

    def author(self, turn: int) -> DeviceId:
        """Return the one device."""
        assert turn >= 0
        return DeviceId(bytes(32))


class Board:
    """A field of each type."""

    counter: Counter
    map: Map[str, int]
    set: Set[str]
    list: List[int]

    def __init__(self) -> None:
        """Host itself."""
        self.comity_state = State(SCHEMA, Line())
        self._comity_cell = self


SCHEMA = Schema.from_hints(
    "Board", {"counter": Counter, "map": Map[str, int], "set": Set[str], "list": List[int]}, {}
)
SCHEMA.install(Board)


def _writer(board: Board, kind: str) -> Write:
    def count(_: int) -> None:
        board.counter += 1

    def put(number: int) -> None:
        board.map[f"key{number % 1000}"] = number

    def add(number: int) -> None:
        board.set.add(f"key{number}")

    def append(number: int) -> None:
        board.list.append(number)

    return {"counter": count, "map": put, "set": add, "list": append}[kind]


def ours(kind: str, *, live: bool) -> tuple[float, int]:
    """Return seconds and bytes of one round of ours."""
    board, other = Board(), Board()
    state, fold = board.comity_state, other.comity_state.fold
    write = _writer(board, kind)
    size = 0
    started = perf_counter()
    for number in range(OPERATIONS):
        state.begin(number)
        write(number)
        turn = state.commit()
        if live:
            size += len(turn)
            fold(number, turn)
    seconds = perf_counter() - started
    assert not live or other.comity_state.encode_state() == state.encode_state()
    return seconds, size


def theirs_loro(kind: str, *, live: bool) -> tuple[float, int]:
    """Return seconds and bytes of one round of loro."""
    document, other = loro.LoroDoc(), loro.LoroDoc()
    counter, mapping = document.get_counter("c"), document.get_map("m")
    listed = document.get_list("l")
    writes: dict[str, Write] = {
        "counter": lambda _: counter.increment(1),
        "map": lambda number: mapping.insert(f"key{number % 1000}", number),
        "set": lambda number: mapping.insert(f"key{number}", 1),
        "list": listed.push,
    }
    write = writes[kind]
    size = 0
    seen = document.oplog_vv
    started = perf_counter()
    for number in range(OPERATIONS):
        write(number)
        document.commit()
        if live:
            update = document.export(loro.ExportMode.Updates(seen))
            seen = document.oplog_vv
            size += len(update)
            other.import_(update)
    return perf_counter() - started, size


def theirs_pycrdt(kind: str, *, live: bool) -> tuple[float, int]:
    """Return seconds and bytes of one round of pycrdt, whose counter is a map of one key."""
    document, other = pycrdt.Doc(), pycrdt.Doc()
    mapping = document.get("m", type=pycrdt.Map)
    listed = document.get("l", type=pycrdt.Array)
    writes: dict[str, Write] = {
        "counter": lambda number: mapping.__setitem__("c", number),
        "map": lambda number: mapping.__setitem__(f"key{number % 1000}", number),
        "set": lambda number: mapping.__setitem__(f"key{number}", 1),
        "list": listed.append,
    }
    write = writes[kind]
    sizes: list[int] = []

    def deliver(event: Any) -> None:  # noqa: ANN401  (pycrdt has no name for it)
        sizes.append(len(event.update))
        other.apply_update(event.update)

    subscription = document.observe(deliver) if live else None
    started = perf_counter()
    for number in range(OPERATIONS):
        write(number)
    seconds = perf_counter() - started
    del subscription
    return seconds, sum(sizes)


def main() -> None:
    """Measure and print a table."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    sides = (ours, loro and theirs_loro, pycrdt and theirs_pycrdt)
    print(f"{'':18}{'comity':>12}{'loro':>12}{'pycrdt':>12}{'/loro':>8}{'/pycrdt':>8}  target")
    for kind in KINDS:
        sizes: list[float | None] = [None, None, None]
        for name in ("local", "live"):
            rates: list[list[float]] = [[], [], []]
            for _ in range(repeats):
                for at, run in enumerate(sides):
                    if run is not None:
                        gc.collect()
                        seconds, size = run(kind, live=name == "live")
                        rates[at].append(OPERATIONS / seconds)
                        sizes[at] = size / OPERATIONS
            _print(f"{kind} {name} /s", [_median(each) for each in rates], TARGETS[name])
        _print(f"{kind} bytes", sizes, TARGETS["bytes"])


def _median(found: list[float]) -> float | None:
    return statistics.median(found) if found else None


def _print(name: str, figures: list[float | None], target: str) -> None:
    first, *others = figures
    shown = [f"{each:12,.1f}" if each is not None else f"{'-':>12}" for each in figures]
    shown += [f"{first / each:8.2f}" if first and each else f"{'-':>8}" for each in others]
    print(f"{name:18}{''.join(shown)}  {target}", flush=True)


if __name__ == "__main__":
    main()
