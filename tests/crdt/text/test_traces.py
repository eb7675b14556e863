"""Recorded and published histories end in the texts that others found."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from comity.base.canonical import Reader
from comity.crdt.text.document import Document, Outcome
from comity.crdt.text.operations import DELETE, INSERT, Operation, decode

CASES = 600


class Graph:
    """The causality of a recording: parents, and a tie for each turn. Implements `Past`."""

    def __init__(self) -> None:
        self.parents: list[tuple[int, ...]] = []
        self.ties: list[bytes] = []
        self.pasts: list[int] = []

    def add(self, parents: Sequence[int], tie: bytes) -> None:
        """Add a turn; of its parents those count that are in the past of no other."""
        pasts = self.pasts
        ordered = sorted(parents)
        past = 0
        for each in ordered:
            past |= pasts[each] | 1 << each
        top = tuple(a for a in ordered if not any(pasts[b] >> a & 1 for b in ordered))
        self.parents.append(top)
        self.ties.append(tie)
        pasts.append(past)

    def parents_of(self, turn: int) -> tuple[int, ...]:
        """Return what the recording says."""
        return self.parents[turn]

    def before(self, a: int, b: int) -> bool:
        """Tell whether a turn is in the past of another."""
        return bool(self.pasts[b] >> a & 1)

    def tie(self, field_tag: bytes, turn: int) -> bytes:
        """Return the turn's tie."""
        return field_tag + self.ties[turn]

    def hidden_before(self, turn: int) -> tuple[int, ...]:
        """Return nothing: all is visible."""
        assert turn >= 0
        return ()


def operations(patches: list[Any]) -> list[Operation]:
    """Return patches (position, deleted, inserted) as operations."""
    found: list[Operation] = []
    for position, deleted, text in patches:
        if deleted:
            found.append((DELETE, position, deleted, ""))
        if text:
            found.append((INSERT, position, len(text), text))
    return found


def recording(vectors: Path, name: str) -> Any:  # noqa: ANN401
    """Read a trace."""
    return json.loads(gzip.decompress((vectors / f"trace_{name}.json.gz").read_bytes()))


@pytest.mark.parametrize("name", ["automerge-paper", "sveltecomponent"])
def test_sequential_traces(vectors: Path, name: str) -> None:
    """Who types, one turn per edit, and who folds each of them have the text that was typed."""
    trace = recording(vectors, name)
    count = sum(len(each["patches"]) for each in trace["txns"])
    past = Graph()
    past.parents = [()] + [(turn - 1,) for turn in range(1, count)]
    ours, theirs = Document(b"", past), Document(b"", past)
    turn = 0
    for each in trace["txns"]:
        for position, deleted, text in each["patches"]:
            ours.begin(turn)
            if deleted:
                ours.delete(position, deleted)
            if text:
                ours.insert(position, text)
            data = ours.commit()
            assert theirs.fold(turn, decode(Reader(data))) is Outcome.TAKEN
            turn += 1
    assert str(ours) == str(theirs) == trace["endContent"]


def test_concurrent_trace(vectors: Path) -> None:
    """Two people in one document: whether each turn is read or only the last, one text."""
    trace = recording(vectors, "concurrent_friendsforever")
    transactions = trace["txns"]
    past = Graph()
    for each in transactions:
        past.add(each["parents"], each["agent"].to_bytes(4))
    live, lazy = Document(b"", past), Document(b"", past)
    for turn, each in enumerate(transactions):
        done = operations(each["patches"])
        assert live.fold(turn, done) is lazy.fold(turn, done) is Outcome.TAKEN
        len(live)
    assert str(live) == str(lazy) == trace["endContent"]


def test_conformance(vectors: Path) -> None:
    """All published concurrent cases come out, with ties broken by the name of the agent."""
    cases = json.loads((vectors / "text_concurrent_conformance_600.json").read_text())
    assert len(cases) == CASES
    for number, case in enumerate(cases):
        transactions = case["txns"]
        ends = {each["span"][1] - 1: turn for turn, each in enumerate(transactions)}
        graph = Graph()
        for each in transactions:
            tie = each["agent"].encode() + each["seqStart"].to_bytes(4)
            graph.add([ends[parent] for parent in each["parents"]], tie)
        for lazily in (False, True):
            document = Document(b"", graph)
            for turn, each in enumerate(transactions):
                document.fold(turn, operations(each["ops"]))
                assert lazily or len(document) >= 0
            assert str(document) == case["endContent"], number
            if number % 40 == 0:
                document.check()
