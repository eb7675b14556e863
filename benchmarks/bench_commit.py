"""What a commit costs: bytes beside its operations, time to make, time to check.

Owns: the figures, with real crypto: the log's part alone, and the whole path in a journal.
Run as `python benchmarks/bench_commit.py`; takes some seconds. Targets: at most 190 bytes,
120 us, 200 us (medians).
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from time import perf_counter

from comity.base.clock import Instant, Moment, Wall
from comity.base.ids import Topic
from comity.crypto.keys import KeyPair
from comity.crypto.sodium import Sodium
from comity.drivers.system import SystemEntropy
from comity.log.build import Signer, make_commit
from comity.log.entries import TurnEntry
from comity.log.inner import Inner, decode_inner
from comity.log.seal import ContentKey, open_sealed, verify_beside
from comity.log.sealed import Sealed, commit_id, parse
from comity.log.structure import check_structure
from comity.node.journal import Checked, Hand, Inserted, Journal
from comity.node.prekeys import OwnPrekeys
from comity.node.step import Step, Waiting
from comity.wire.records import Commit

COMMITS = 3_000
OPERATIONS = b"\1" * 40
WALL = Wall(1_700_000_000_000)
ROWS = {
    "seal": "encode, seal, hash, sign; target 120",
    "open": "parse, open, decode, check structure, verify; target 200",
    "make": "the same as seal in a journal: choose epoch and grant, judge, insert",
    "check": "the same as open in a journal: known, authority",
}


def main() -> None:
    """Print the figures."""
    author, reader, bench = _found()
    spent: dict[str, list[float]] = {name: [] for name in ROWS}
    step = Step(Moment(Instant(0), WALL), Waiting())
    parent = author.graph.id_of(0)
    epoch = parent
    for number in range(1, COMMITS + 1):
        began = perf_counter()
        entries = (TurnEntry(OPERATIONS),)
        made = author.append(step, entries=entries, parents=(parent,), wall=WALL)
        spent["make"].append(perf_counter() - began)
        assert made == number
        commit = bench.commits[-1]
        began = perf_counter()
        inner = _open(bench, reader, commit)
        spent["open"].append(perf_counter() - began)
        began = perf_counter()
        past = reader.graph.facts
        again = make_commit(
            bench.hand.signer, bench.key, epoch=epoch, gen=number, inner=inner, past=past
        )
        spent["seal"].append(perf_counter() - began)
        assert again.sealed == commit.sealed, "sealing is deterministic"
        began = perf_counter()
        checked = reader.examine(commit)
        spent["check"].append(perf_counter() - began)
        assert isinstance(checked, Checked)
        reader.insert(checked, None)
        parent = author.graph.id_of(number)
    _show(bench, reader, spent)


@dataclass
class _Bench:
    """What both sides share. commits: in the order in which they were made."""

    hand: Hand
    key: ContentKey
    commits: list[Commit]


def _found() -> tuple[Journal, Journal, _Bench]:
    crypto, entropy = Sodium(), SystemEntropy()
    hand = Hand(
        Signer(crypto, entropy.draw(32)), OwnPrekeys(KeyPair(crypto, entropy.draw(32))), entropy
    )
    topic, genesis, key = Journal.found(hand, "Bench", WALL)
    commits: list[Commit] = []
    author = _journal(topic, hand, commits)
    reader = _journal(topic, hand, [])
    for journal in (author, reader):
        journal.learn_key(genesis.id, key, None)
        first = journal.examine(Commit(genesis.sealed, genesis.beside))
        assert isinstance(first, Checked)
        journal.insert(first, None)
    return author, reader, _Bench(hand, ContentKey(topic, key), commits)


def _journal(topic: Topic, hand: Hand, kept: list[Commit]) -> Journal:
    def keep(inserted: Inserted, _: Step | None) -> None:
        kept.append(inserted.commit)

    return Journal(topic, hand, actor_type="Bench", grant=b"", on_insert=keep)


def _show(bench: _Bench, journal: Journal, spent: dict[str, list[float]]) -> None:
    commit = bench.commits[-1]
    sealed = parse(commit.sealed)
    assert isinstance(sealed, Sealed)
    plain = open_sealed(bench.hand.crypto, bench.key, sealed)
    assert isinstance(plain, bytes)
    size = len(commit.sealed) + len(commit.beside)
    padding = len(plain) - len(plain.rstrip(b"\0"))
    beside = size - padding - len(OPERATIONS)
    print(f"{len(journal.graph)} chained commits with one turn of {len(OPERATIONS)} bytes each")
    print(f"bytes {beside:7}     beside operations and padding ({size} in all); target 190")
    for name, what in ROWS.items():
        median = statistics.median(spent[name]) * 1e6
        print(f"{name:6}{median:7.1f} us  {what}")


def _open(bench: _Bench, journal: Journal, commit: Commit) -> Inner:
    """Open and verify, as a log without authority would."""
    crypto, key = bench.hand.crypto, bench.key
    sealed = parse(commit.sealed)
    assert isinstance(sealed, Sealed)
    plain = open_sealed(crypto, key, sealed)
    assert isinstance(plain, bytes)
    inner = decode_inner(plain, journal.graph.facts)
    assert isinstance(inner, Inner)
    assert check_structure(journal.graph, inner, sealed) is None
    identifier = commit_id(key.topic, commit.sealed)
    assert verify_beside(crypto, key, inner.author, identifier, commit.beside) is None
    return inner


if __name__ == "__main__":
    main()
