"""What a cold log takes as runs, beside loro, and how long a joiner rebuilds and verifies it.

Owns: the figures, with real crypto. One author types the automerge-paper trace; a beat of a
second holds five edits, each a turn of its own (`--turns 1`: one turn of all five), and is
sealed as one commit. The joiner opens every run, rebuilds and hashes every commit, checks
structure, authority and the last signature, and inserts into graph and authority; then it folds
the text. No disk. Then the same through the node: a member packs what is cold in its SQLite
store, and a joiner takes it from there by the wire's records into a store of its own, all in
one process. Reads the public trace beside the project, and says so where it is absent.
Run as `python benchmarks/bench_cold_log.py [--turns 1]`; takes a minute. Targets: at most
6 times the bytes of loro, less than 10 s.
"""

from __future__ import annotations

import argparse
import dataclasses
import gzip
import importlib
import json
import random
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any

from holder import Holder

from comity.authority.authority import Authority
from comity.authority.claim import claim_of
from comity.base.canonical import Reader
from comity.base.clock import Wall
from comity.base.errors import Rejected
from comity.crdt.text.document import Document
from comity.crdt.text.operations import decode
from comity.crypto.keys import KeyPair
from comity.crypto.sodium import Sodium
from comity.drivers.system import SystemEntropy
from comity.log.build import SealedCommit, Signer, make_commit
from comity.log.entries import Role, TurnEntry
from comity.log.graph import Graph
from comity.log.inner import Inner, RootGrant, decode_inner
from comity.log.runs import (
    Member,
    SealedRun,
    cut,
    decode_run,
    make_run,
    open_run,
    parse_run,
    verify_run,
)
from comity.log.seal import ContentKey, open_sealed
from comity.log.sealed import Sealed, parse
from comity.log.structure import check_structure
from comity.node.journal import Hand, Journal
from comity.node.prekeys import OwnPrekeys
from comity.wire.records import Commit

VECTORS = Path(__file__).resolve().parent.parent.parent / "shared" / "vectors"
EDITS_A_BEAT = 5
WALL = 1_700_000_000_000
LORO_BYTES = 251_800
"""Of loro 1.17.1, for where it is not installed."""


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--turns", type=int, choices=(1, EDITS_A_BEAT), default=EDITS_A_BEAT)
    turns: int = parser.parse_args().turns
    trace = VECTORS / "trace_automerge-paper.json.gz"
    if not trace.is_file():
        print(f"nothing measured: the public trace is not at {trace}")
        return
    recorded = json.loads(gzip.decompress(trace.read_bytes()))
    edits = [tuple(patch) for each in recorded["txns"] for patch in each["patches"]]
    author = Author()
    for beat in _beats(edits, turns):
        author.write(beat)
    began = perf_counter()
    runs = author.runs()
    packing = perf_counter() - began
    size, theirs = sum(map(len, runs)), _loro(edits)
    count = len(author.commits)
    print(f"{len(edits)} edits in {count} commits of one second, {turns} turns each")
    print(f"single {author.size:12,} bytes")
    print(f"runs   {size:12,} bytes  {len(runs)} of them, {size / count:.1f} a commit")
    print(f"loro   {theirs:12,} bytes  ours is {size / theirs:.2f} times that; target 6")
    print(f"packed {packing:12.2f} s")
    joiner = Joiner(author)
    began, busy = perf_counter(), process_time()
    for run in runs:
        joiner.take(run)
    wall, cpu = perf_counter() - began, process_time() - busy
    assert len(joiner.graph) == count + 1
    assert joiner.graph.heads == author.graph.heads
    each = cpu / count * 1e6
    print(f"joined {wall:12.2f} s      {cpu:.2f} s of CPU, {each:.0f} us a commit; target 10")
    began = perf_counter()
    text = joiner.text()
    print(f"folded {perf_counter() - began:12.2f} s")
    assert text == recorded["endContent"]
    _through_the_node(author, theirs)


def _through_the_node(author: Author, theirs: int) -> None:
    """Let a member pack the log on its disk, and a joiner get it from there."""
    singles = [Commit(made.sealed, made.beside) for made in author.commits]
    with TemporaryDirectory() as directory:
        keeper, joiner = (
            Holder(Path(directory) / name, author.topic, author.genesis, author.key.key)
            for name in ("keeper", "joiner")
        )
        keeper.take([[singles[at : at + 256]] for at in range(0, len(singles), 256)])
        before = keeper.table_bytes()
        began = perf_counter()
        keeper.rest()
        packing = perf_counter() - began
        size = keeper.table_bytes()
        print("through the node, two stores on disk")
        print(f"single {before:12,} bytes  rows with their keys")
        print(f"rows   {size:12,} bytes  {size / theirs:.2f} times loro's; target 6")
        print(f"packed {packing:12.2f} s      the newest 1,024 to 1,535 commits stay single")
        began, busy = perf_counter(), process_time()
        sent = 0
        for batch in keeper.serve():
            sent += len(batch)
            joiner.hear([batch])
        wall, cpu = perf_counter() - began, process_time() - busy
        print(f"sent   {sent:12,} bytes  {sent / theirs:.2f} times loro's; target 6")
        print(f"joined {wall:12.2f} s      {cpu:.2f} s of CPU, serving it too; target 10")
        graph = joiner.replica.journal.graph
        assert graph.heads == author.graph.heads
        assert len(graph) == len(singles) + 1
        assert not joiner.heard.refusals
        keeper.close()
        joiner.close()


class Author:
    """One device: it founds an actor, and seals a commit a beat."""

    def __init__(self) -> None:
        """Found it."""
        crypto, entropy = Sodium(), SystemEntropy()
        self.crypto = crypto
        self.signer = Signer(crypto, entropy.draw(32))
        hand = Hand(self.signer, OwnPrekeys(KeyPair(crypto, entropy.draw(32))), entropy)
        self.topic, self.genesis, content = Journal.found(hand, "Bench", Wall(WALL))
        self.key = ContentKey(self.topic, content)
        self.graph = Graph()
        self.graph.insert(self.genesis.id, founding(self), gen=0)
        self.commits: list[SealedCommit] = []
        self.size = 0
        self._wall = WALL
        self._chance = random.Random(1)

    def write(self, turns: Sequence[bytes]) -> None:
        """Seal a beat."""
        self._wall += 1000 + self._chance.randint(-50, 50)
        last = self.commits[-1].id if self.commits else self.genesis.id
        gen = len(self.graph)
        entries = tuple([TurnEntry(turn) for turn in turns])
        wall = Wall(self._wall)
        inner = Inner(self.signer.device, gen, last, RootGrant(0), (last,), wall, entries)
        made = make_commit(
            self.signer,
            self.key,
            epoch=self.genesis.id,
            gen=gen,
            inner=inner,
            past=self.graph.facts,
        )
        self.graph.insert(made.id, inner, gen=gen)
        self.commits.append(made)
        self.size += len(made.sealed) + len(made.beside)

    def runs(self) -> list[bytes]:
        """Pack the whole log, as a store does with what is cold."""
        besides = {made.id: made.beside for made in self.commits}
        members = (
            Member(made.id, made.sealed, _plain(self, made.sealed)) for made in self.commits
        )
        return [
            make_run(self.crypto, self.key, piece, besides[piece[-1].id])
            for piece in cut(members)
        ]


class Joiner:
    """Whoever holds the genesis and its key, and nothing else."""

    def __init__(self, author: Author) -> None:
        """Insert the genesis."""
        self.graph = Graph()
        self.graph.insert(author.genesis.id, founding(author), gen=0)
        self._authority = Authority(self.graph, (author.signer.device,))
        self._key = author.key
        self._crypto = author.crypto
        self._turns: list[tuple[bytes, ...]] = []

    def take(self, data: bytes) -> None:
        """Check a run whole, then insert it."""
        sealed = parse_run(data)
        assert isinstance(sealed, SealedRun)
        run = open_run(self._crypto, self._key, sealed)
        assert not isinstance(run, Rejected)
        inners = decode_run(run, self.graph.facts)
        assert not isinstance(inners, Rejected)
        first = run.members[0]
        outer = parse(first.sealed)
        assert isinstance(outer, Sealed)
        assert check_structure(self.graph, inners[0], outer) is None
        claim = claim_of(self.graph, inners[0], 0)
        assert self._authority.judge(dataclasses.replace(claim, needs=Role.WRITER)) is None
        assert verify_run(self._crypto, self._key, inners[0].author, run) is None
        for gen, (member, inner) in enumerate(
            zip(run.members, inners, strict=True), start=run.gen
        ):
            index = self.graph.insert(member.id, inner, gen=gen)
            change = self._authority.admit(index, claim_of(self.graph, inner, 0))
            assert change.standing.visible
            self._turns.append(
                tuple(each.operations for each in inner.entries if isinstance(each, TurnEntry))
            )

    def text(self) -> str:
        """Fold what was taken."""
        document = Document(b"", _Line())
        number = 0
        for turns in self._turns:
            for turn in turns:
                document.fold(number, decode(Reader(turn)))
                number += 1
        return str(document)


class _Line:
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


def founding(author: Author) -> Inner:
    """Return the inner part of the genesis."""
    inner = decode_inner(_plain(author, author.genesis.sealed), Graph().facts)
    assert isinstance(inner, Inner)
    return inner


def _plain(author: Author, data: bytes) -> bytes:
    sealed = parse(data)
    assert isinstance(sealed, Sealed)
    plain = open_sealed(author.crypto, author.key, sealed)
    assert isinstance(plain, bytes)
    return plain


def _beats(edits: Sequence[Any], turns: int) -> list[list[bytes]]:
    """Return the encoded turns of every beat."""
    document = Document(b"", _Line())
    beats: list[list[bytes]] = []
    edits_a_turn = EDITS_A_BEAT // turns
    number = 0
    for start in range(0, len(edits), EDITS_A_BEAT):
        beat: list[bytes] = []
        stop = min(start + EDITS_A_BEAT, len(edits))
        for place in range(start, stop, edits_a_turn):
            document.begin(number)
            for position, deleted, text in edits[place : min(place + edits_a_turn, stop)]:
                if deleted:
                    document.delete(position, deleted)
                if text:
                    document.insert(position, text)
            beat.append(document.commit())
            number += 1
        beats.append(beat)
    return beats


def _loro(edits: Sequence[Any]) -> int:
    """Return the bytes of loro's whole history of the same edits."""
    try:
        loro: Any = importlib.import_module("loro")
    except ModuleNotFoundError:
        print("loro is not installed: its bytes are those of 1.17.1, measured before")
        return LORO_BYTES
    document = loro.LoroDoc()
    text = document.get_text("t")
    for place, (position, deleted, inserted) in enumerate(edits, start=1):
        if deleted:
            text.delete(position, deleted)
        if inserted:
            text.insert(position, inserted)
        if place % EDITS_A_BEAT == 0:
            document.commit()
    document.commit()
    return len(document.export(loro.ExportMode.Updates(loro.VersionVector())))


if __name__ == "__main__":
    main()
