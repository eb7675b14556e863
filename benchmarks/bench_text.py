"""What text costs: our `Document` beside loro and pycrdt, in one run.

Owns: the figures. Reads the public traces beside the project, and says so where they, or a
peer, are absent: then ours stands alone. The machine as it is: quote ratios, not numbers. Each
row is the median of `REPEATS` rounds, in which the three take turns. Nothing is signed or
sealed by any of them. A target in the last column is the ratio to reach, to loro or pycrdt.
Run as `python benchmarks/bench_text.py [REPEATS]`; takes some minutes.

    local edit      every edit is a turn (a commit, a transaction) of its own
    live            and its bytes are applied at a peer
    each merged     every transaction of a concurrent trace is applied by itself, to one text
    replay          the whole concurrent trace is applied, then read once
"""

from __future__ import annotations

import gc
import gzip
import importlib
import json
import statistics
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

from comity.base.canonical import Reader
from comity.crdt.text.columns import encode_log
from comity.crdt.text.document import Document
from comity.crdt.text.operations import DELETE, INSERT, Operation, decode

VECTORS = Path(__file__).resolve().parent.parent.parent / "shared" / "vectors"
LOADS = 25
"""Loading is short, and the machine noisy: so often."""

Patch = tuple[int, int, str]
Peer = Any
"""A library without types of ours, or None where it is not installed."""


def _peer(name: str) -> Peer:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        print(f"{name} is not installed: nothing here is measured beside it")
        return None


loro: Peer = _peer("loro")
pycrdt: Peer = _peer("pycrdt")


class Row(NamedTuple):
    """One line of the table; None where a peer is absent or has no such thing.

    target: what the ratios are to be.
    """

    name: str
    figures: tuple[float | None, ...]
    target: str = ""


class Line:
    """The causality of turns that come one after another."""

    def parents_of(self, turn: int) -> tuple[int, ...]:
        """Return the turn before."""
        return (turn - 1,) if turn else ()

    def before(self, a: int, b: int) -> bool:
        """Compare numbers."""
        return a < b

    def tie(self, field_tag: bytes, turn: int) -> bytes:
        """Never be asked: there are no ties."""
        raise AssertionError((field_tag, turn))

    def hidden_before(self, turn: int) -> tuple[int, ...]:
        """Return nothing."""
        return () if turn >= 0 else (turn,)


class Web(Line):
    """The causality of a concurrent trace."""

    def __init__(self, transactions: list[Any]) -> None:
        """Keep parents and agents."""
        self.parents = [tuple(each["parents"]) for each in transactions]
        self.agents = [each["agent"] for each in transactions]

    def parents_of(self, turn: int) -> tuple[int, ...]:
        """Return what the trace says."""
        parents: tuple[int, ...] = self.parents[turn]
        return parents

    def tie(self, field_tag: bytes, turn: int) -> bytes:
        """Order by agent."""
        agent: int = self.agents[turn]
        return field_tag + agent.to_bytes(4) + turn.to_bytes(8)


def main() -> None:
    """Measure and print a table."""
    if sys.argv[1:2] == ["--memory"]:
        _print_memory(sys.argv[2])
        return
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    trace = VECTORS / "trace_automerge-paper.json.gz"
    if not trace.is_file():
        print(f"nothing measured: the public traces are not at {VECTORS}")
        return
    print(f"{'':38}{'comity':>10}{'loro':>10}{'pycrdt':>10}{'/loro':>8}{'/pycrdt':>8}  target")
    recorded = json.loads(gzip.decompress(trace.read_bytes()))
    edits = [tuple(p) for t in recorded["txns"] for p in t["patches"]]
    sequential = Sequential(edits, recorded["endContent"], repeats)
    for row in sequential.rows():
        _print(row)
    for path in sorted(VECTORS.glob("trace_concurrent_*.json.gz")):
        recorded = json.loads(gzip.decompress(path.read_bytes()))
        name = path.name.removeprefix("trace_concurrent_").removesuffix(".json.gz")
        for row in Concurrent(name, recorded, repeats).rows():
            _print(row)


def _print(row: Row) -> None:
    ours, *theirs = (*row.figures, None, None)[:3]
    shown = [f"{each:10,.2f}" if each is not None else f"{'-':>10}" for each in (ours, *theirs)]
    shown += [f"{ours / each:8.3f}" if ours and each else f"{'-':>8}" for each in theirs]
    print(f"{row.name:38}{''.join(shown)}  {row.target}", flush=True)


def _seconds(run: Callable[[], object]) -> float:
    gc.collect()
    started = perf_counter()
    run()
    return perf_counter() - started


def _median(spans: list[float], scale: float) -> float | None:
    return statistics.median(spans) * scale if spans else None


class Sequential:
    """The rows of one trace by one author."""

    def __init__(self, edits: list[Any], end: str, repeats: int) -> None:
        """Keep the edits and what must come out."""
        self.edits: list[Patch] = edits
        self.end = end
        self.repeats = repeats
        self.exported: list[list[bytes]] = [[], [], []]
        self.documents: list[Any] = [None, None, None]

    def rows(self) -> Iterator[Row]:
        """Give all rows, each as soon as it is there."""
        scale = 1e6 / len(self.edits)
        local = (_ours, loro and _loro, pycrdt and _pycrdt)
        bulk = (_ours_bulk, loro and _loro_bulk)
        live = (_ours_live, loro and _loro_live, pycrdt and _pycrdt_live)
        yield self._row("local edit, one turn each, us", local, scale, "loro 1.5")
        yield self._row("local edits in one turn, us", bulk, scale)
        yield self._row("live, us an edit", live, scale, "loro 0.67, pycrdt 0.25")
        yield self._sizes()
        yield from self._stored()
        yield self._hiding()

    def _row(self, name: str, runs: tuple[Any, ...], scale: float, target: str = "") -> Row:
        spans: list[list[float]] = [[], [], []]
        for _ in range(self.repeats):
            for at, run in enumerate(runs):
                if run is not None:
                    spans[at].append(self._round(at, run))
        return Row(name, tuple(_median(each, scale) for each in spans), target)

    def _round(self, at: int, run: Callable[..., Any]) -> float:
        exported: list[bytes] = []
        found: list[Any] = []
        seconds = _seconds(lambda: found.append(run(self.edits, exported)))
        document, text = found[0]
        assert text() == self.end, at
        self.documents[at] = document
        if exported:
            self.exported[at] = exported
        return seconds

    def _sizes(self) -> Row:
        sizes = [sum(map(len, each)) / len(self.edits) or None for each in self.exported]
        return Row("bytes of a live edit", tuple(sizes))

    def _stored(self) -> list[Row]:
        """Return the rows on bytes, loading and memory; what loads here is what was live."""
        ours, first, second = self.documents
        log = encode_log(ours._merge.log)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        snapshots, histories = [ours.save(history=False)], [ours.save(history=True)]
        encoded = [log]
        if first is not None:
            snapshots.append(first.export(loro.ExportMode.Snapshot()))
            encoded.append(first.export(loro.ExportMode.Updates(loro.VersionVector())))
            histories.append(encoded[-1])
        else:
            for each in (snapshots, histories, encoded):
                each.append(b"")
        if second is not None:
            for each in (snapshots, histories, encoded):
                each.append(second.get_update())
        raw = [float(len(each)) or None for each in encoded]
        packed = [float(len(zlib.compress(each, 9))) if each else None for each in encoded]
        return [
            Row("whole history, bytes (ours in zlib)", (packed[0], *raw[1:]), "loro 0.5"),
            Row("the same, all in zlib", tuple(packed), "loro 0.75"),
            *self._load("load from a snapshot", snapshots, "loro 1"),
            *self._load("load a whole history", histories),
            Row("memory, loaded with history, MB", _memory(histories), "pycrdt 2"),
        ]

    def _load(self, name: str, data: list[bytes], target: str = "") -> list[Row]:
        """Measure loading, and the first edit after it."""
        loads: list[list[float]] = [[], [], []]
        firsts: list[list[float]] = [[], [], []]
        for at, stored in enumerate(data):
            if stored:  # one after another: a big load leaves cold caches to the next
                for _ in range(LOADS):
                    load, edit = _first_edit(at, stored)
                    loads[at].append(load)
                    firsts[at].append(edit)
        return [
            Row(f"{name}, ms", tuple(_median(each, 1e3) for each in loads), target),
            Row(
                "  first edit after it, ms",
                tuple(_median(each, 1e3) for each in firsts),
                "loro 0.025" if target else "",
            ),
        ]

    def _hiding(self) -> Row:
        """Hide and show the latest turn: it costs its size, however long the text is."""
        spans: list[float] = []
        document, _ = _ours(self.edits, [])
        last = len(self.edits) - 1
        str(document)
        for _ in range(101):
            started = perf_counter()
            document.hide(last)
            len(document)
            document.show(last)
            len(document)
            spans.append(perf_counter() - started)
        return Row("hide and show the latest turn, us", (_median(spans, 1e6),))


def _first_edit(at: int, data: bytes) -> tuple[float, float]:
    """Return the seconds that loading takes, and then one edit."""
    found: list[Callable[[], object]] = []
    load = _seconds(lambda: found.append(_loaded(at, data)))
    started = perf_counter()
    found[0]()
    return load, perf_counter() - started


def _loaded(at: int, data: bytes) -> Callable[[], object]:
    """Load what one of the three stored, and return what does one edit on it."""
    document: Any
    if at == 0:
        document = Document.load(data, b"", Line())

        def edit() -> None:
            document.begin(1 << 20)
            document.insert(50_000, "x")
            document.commit()

        return edit
    if at == 1:
        document = loro.LoroDoc()
        document.import_(data)
        text = document.get_text("t")

        def edit_loro() -> None:
            text.insert(50_000, "x")
            document.commit()

        return edit_loro
    document, shared = _pycrdt_new()
    document.apply_update(data)
    return lambda: shared.insert(50_000, "x")


def _memory(stored: list[bytes]) -> tuple[float | None, ...]:
    """Load in a process of its own each, and return how much that grew, in MB."""
    found: list[float | None] = []
    for at, data in enumerate(stored):
        if not data:
            found.append(None)
            continue
        done = subprocess.run(
            [sys.executable, __file__, "--memory", str(at)],
            input=data,
            capture_output=True,
            check=True,
        )
        found.append(float(done.stdout.split()[-1]))
    return tuple(found)


def _print_memory(at: str) -> None:
    data = sys.stdin.buffer.read()
    empty = (lambda: Document(b"", Line()), loro and loro.LoroDoc, pycrdt and _pycrdt_new)
    kept = [empty[int(at)]()]
    before = _resident()
    kept.append(_loaded(int(at), data))
    gc.collect()
    print((_resident() - before) / 1e6)


def _resident() -> float:
    """Return the memory of this process, in bytes; as Linux tells it."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096.0


class Concurrent:
    """The rows of one trace by several authors."""

    def __init__(self, name: str, recorded: Any, repeats: int) -> None:  # noqa: ANN401
        """Make everybody's updates."""
        self.name = name
        self.end = recorded["endContent"]
        self.repeats = repeats
        self.transactions = recorded["txns"]
        self.turns = [_operations(each["patches"]) for each in self.transactions]
        self.loro, self.pycrdt = _updates(self.transactions)

    def rows(self) -> Iterator[Row]:
        """Give all rows, each as soon as it is there."""
        scale = 1e6 / len(self.transactions)
        yield self._row("each merged, us", scale, "loro 0.5", each=True)
        yield self._row("replay, ms", 1e3, "loro 1.5", each=False)

    def _row(self, name: str, scale: float, target: str, *, each: bool) -> Row:
        spans: list[list[float]] = [[], [], []]
        runs = (self._ours, loro and self._loro, pycrdt and self._pycrdt)
        for _ in range(self.repeats):
            for at, run in enumerate(runs):
                if run is not None:
                    spans[at].append(self._round(at, run, each=each))
        return Row(f"{self.name}: {name}", tuple(_median(s, scale) for s in spans), target)

    def _round(self, at: int, run: Callable[..., str], *, each: bool) -> float:
        texts: list[str] = []
        seconds = _seconds(lambda: texts.append(run(each=each)))
        assert len(texts[0]) == len(self.end), (self.name, at)
        assert at or texts[0] == self.end
        return seconds

    def _ours(self, *, each: bool) -> str:
        document = Document(b"", Web(self.transactions))
        for turn, operations in enumerate(self.turns):
            document.fold(turn, operations)
            if each:
                len(document)
        return str(document)

    def _loro(self, *, each: bool) -> str:
        document = loro.LoroDoc()
        text = document.get_text("t")
        if each:
            for update in self.loro:
                document.import_(update)
        else:
            document.import_batch(self.loro)
        return str(text.to_string())

    def _pycrdt(self, *, each: bool) -> str:
        document, text = _pycrdt_new()
        if each:
            for update in self.pycrdt:
                document.apply_update(update)
        else:
            document.apply_update(pycrdt.merge_updates(*self.pycrdt))
        return str(text)


def _operations(patches: list[Any]) -> list[Operation]:
    found: list[Operation] = []
    for position, deleted, text in patches:
        if deleted:
            found.append((DELETE, position, deleted, ""))
        if text:
            found.append((INSERT, position, len(text), text))
    return found


def _updates(transactions: list[Any]) -> tuple[list[bytes], list[bytes]]:
    """Let every agent write its transactions, in either peer, on what it had seen."""
    made: tuple[list[bytes], list[bytes]] = ([], [])
    for at, make in enumerate((loro and _LoroAgent, pycrdt and _PycrdtAgent)):
        if make is None:
            continue
        agents: dict[int, Any] = {}
        seen: dict[int, set[int]] = {}
        for number, each in enumerate(transactions):
            agent = each["agent"]
            if agent not in agents:
                agents[agent] = make(agent)
                seen[agent] = set()
            waiting, missing = list(each["parents"]), set[int]()
            while waiting:
                turn = waiting.pop()
                if turn not in seen[agent] and turn not in missing:
                    missing.add(turn)
                    waiting += transactions[turn]["parents"]
            for turn in sorted(missing):
                agents[agent].take(made[at][turn])
            seen[agent] |= missing | {number}
            made[at].append(agents[agent].write(each["patches"]))
    return made


class _LoroAgent:
    """One author with loro."""

    def __init__(self, agent: int) -> None:
        self.document = loro.LoroDoc()
        self.document.peer_id = agent + 1
        self.text = self.document.get_text("t")

    def take(self, update: bytes) -> None:
        self.document.import_(update)

    def write(self, patches: list[Patch]) -> bytes:
        before = self.document.state_vv
        for position, deleted, inserted in patches:
            if deleted:
                self.text.delete(position, deleted)
            if inserted:
                self.text.insert(position, inserted)
        self.document.commit()
        update: bytes = self.document.export(loro.ExportMode.Updates(before))
        return update


class _PycrdtAgent:
    """One author with pycrdt."""

    def __init__(self, _: int) -> None:
        self.document, self.text = _pycrdt_new()

    def take(self, update: bytes) -> None:
        self.document.apply_update(update)

    def write(self, patches: list[Patch]) -> bytes:
        before = self.document.get_state()
        with self.document.transaction():
            for position, deleted, inserted in patches:
                if deleted:
                    del self.text[position : position + deleted]
                if inserted:
                    self.text.insert(position, inserted)
        update: bytes = self.document.get_update(before)
        return update


# --------------------------------------------------------------------------- one author


def _ours(edits: list[Patch], _: list[bytes]) -> Any:  # noqa: ANN401
    document = Document(b"", Line())
    begin, insert = document.begin, document.insert
    delete, commit = document.delete, document.commit
    for turn, (position, deleted, text) in enumerate(edits):
        begin(turn)
        if deleted:
            delete(position, deleted)
        if text:
            insert(position, text)
        commit()
    return document, lambda: str(document)


def _ours_bulk(edits: list[Patch], _: list[bytes]) -> Any:  # noqa: ANN401
    document = Document(b"", Line())
    document.begin(0)
    insert, delete = document.insert, document.delete
    for position, deleted, text in edits:
        if deleted:
            delete(position, deleted)
        if text:
            insert(position, text)
    document.commit()
    return document, lambda: str(document)


def _ours_live(edits: list[Patch], exported: list[bytes]) -> Any:  # noqa: ANN401
    document, peer = Document(b"", Line()), Document(b"", Line())
    begin, insert = document.begin, document.insert
    delete, commit = document.delete, document.commit
    fold = peer.fold
    for turn, (position, deleted, text) in enumerate(edits):
        begin(turn)
        if deleted:
            delete(position, deleted)
        if text:
            insert(position, text)
        data = commit()
        exported.append(data)
        fold(turn, decode(Reader(data)))
    return peer, lambda: str(peer)


def _loro(edits: list[Patch], _: list[bytes]) -> Any:  # noqa: ANN401
    document = loro.LoroDoc()
    text = document.get_text("t")
    insert, delete, commit = text.insert, text.delete, document.commit
    for position, deleted, inserted in edits:
        if deleted:
            delete(position, deleted)
        if inserted:
            insert(position, inserted)
        commit()
    return document, text.to_string


def _loro_bulk(edits: list[Patch], _: list[bytes]) -> Any:  # noqa: ANN401
    document = loro.LoroDoc()
    text = document.get_text("t")
    insert, delete = text.insert, text.delete
    for position, deleted, inserted in edits:
        if deleted:
            delete(position, deleted)
        if inserted:
            insert(position, inserted)
    document.commit()
    return document, text.to_string


def _loro_live(edits: list[Patch], exported: list[bytes]) -> Any:  # noqa: ANN401
    document, peer = loro.LoroDoc(), loro.LoroDoc()
    text, copy = document.get_text("t"), peer.get_text("t")
    updates = loro.ExportMode.Updates
    for position, deleted, inserted in edits:
        before = document.state_vv
        if deleted:
            text.delete(position, deleted)
        if inserted:
            text.insert(position, inserted)
        document.commit()
        data = document.export(updates(before))
        exported.append(data)
        peer.import_(data)
    return peer, copy.to_string


def _pycrdt_new() -> Any:  # noqa: ANN401
    document = pycrdt.Doc()
    document["t"] = text = pycrdt.Text()
    return document, text


def _pycrdt(edits: list[Patch], _: list[bytes]) -> Any:  # noqa: ANN401
    document, text = _pycrdt_new()
    for position, deleted, inserted in edits:
        with document.transaction():
            if deleted:
                del text[position : position + deleted]
            if inserted:
                text.insert(position, inserted)
    return document, lambda: str(text)


def _pycrdt_live(edits: list[Patch], exported: list[bytes]) -> Any:  # noqa: ANN401
    document, text = _pycrdt_new()
    peer, copy = _pycrdt_new()

    def keep(event: Any) -> None:  # noqa: ANN401
        exported.append(event.update)

    kept = document.observe(keep)
    for position, deleted, inserted in edits:
        with document.transaction():
            if deleted:
                del text[position : position + deleted]
            if inserted:
                text.insert(position, inserted)
        peer.apply_update(exported[-1])
    assert kept is not None
    return peer, lambda: str(copy)


if __name__ == "__main__":
    main()
