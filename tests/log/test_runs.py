"""Runs: what is cut and sealed as one is rebuilt byte for byte; nothing else is taken."""

from __future__ import annotations

import hashlib
import json
import zlib
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comity.base.clock import Wall
from comity.base.errors import Reason, Rejected
from comity.base.ids import CommitId, DeviceId, Topic
from comity.log.entries import AddEntry, Entry, RemoveEntry, Role, TurnEntry
from comity.log.graph import Graph
from comity.log.inner import ChainFacts, Inner, Past, RootGrant
from comity.log.runs import (
    RUN_BYTES_MAX,
    RUN_COMMITS_MAX,
    Member,
    Run,
    cut,
    decode_run,
    make_run,
    open_run,
    parse_run,
    verify_run,
)
from comity.log.seal import ContentKey, seal
from tests.log import run_vectors, world
from tests.log.run_vectors import FILE, beside, columns_of, forged, member_of, stretch
from tests.log.world import World, each_port, flipped

if TYPE_CHECKING:
    from comity.crypto.port import Crypto

VECTORS: dict[str, Any] = json.loads(FILE.read_text())
CRYPTO = run_vectors.CRYPTO
SYMBOLIC = world.PORTS[1]

bodies = st.lists(world.plain, max_size=3).map(tuple)


def taken(found: World, data: bytes, past: Past | None = None) -> Run | Rejected:
    """Take a run as a receiver does, up to authority."""
    sealed = parse_run(data)
    if isinstance(sealed, Rejected):
        return sealed
    run = open_run(found.crypto, found.key, sealed)
    if isinstance(run, Rejected):
        return run
    inners = decode_run(run, found.graph.facts if past is None else past)
    return inners if isinstance(inners, Rejected) else run


def _fixed(facts: ChainFacts, _commit: CommitId) -> ChainFacts:
    """Know every commit alike."""
    return facts


def reason(refused: object) -> Reason:
    """Return why something that must be refused was."""
    assert isinstance(refused, Rejected), refused
    return refused.reason


# ---------------------------------------------------------------- golden vectors


def test_the_file_holds_what_this_code_makes() -> None:
    """A change of any byte of the format shows here; only DEFLATE may choose its bytes."""
    built = run_vectors.build()
    for made, case in zip(built["runs"], VECTORS["runs"], strict=True):
        assert {**made, "run": ""} == {**case, "run": ""}
    assert [each["name"] for each in built["refused"]] == [
        each["name"] for each in VECTORS["refused"]
    ]


def test_golden_runs_are_rebuilt_and_verified() -> None:
    """Opened, decoded and verified, every run of the file gives its commits."""
    key = ContentKey(Topic(bytes.fromhex(VECTORS["topic"])), bytes.fromhex(VECTORS["key"]))
    for case in VECTORS["runs"]:
        sealed = parse_run(bytes.fromhex(case["run"]))
        assert not isinstance(sealed, Rejected)
        run = open_run(CRYPTO, key, sealed)
        assert isinstance(run, Run)
        assert run.gen == case["gen"]
        assert [(each.id.hex(), each.sealed.hex()) for each in run.members] == [
            (each["id"], each["sealed"]) for each in case["commits"]
        ]
        author = DeviceId(bytes.fromhex(case["author"]))
        inners = decode_run(run, partial(_fixed, ChainFacts(author, 5, RootGrant(1))))
        assert not isinstance(inners, Rejected)
        assert [inner.author for inner in inners] == [author] * len(run.members)
        assert verify_run(CRYPTO, key, author, run) is None


@pytest.mark.parametrize("case", VECTORS["refused"], ids=lambda case: case["name"])
def test_golden_refusals(case: dict[str, str]) -> None:
    """What must be refused is, for the reason that is written."""
    found = World(CRYPTO, device_count=2)
    before = ChainFacts(found.signers[1].device, 5, RootGrant(1))
    refused = taken(found, bytes.fromhex(case["bytes"]), lambda _: before)
    assert reason(refused).name == case["reason"]


# ---------------------------------------------------------------- properties


@settings(max_examples=60, deadline=None)
@given(st.lists(bodies, min_size=1, max_size=12), st.lists(world.numbers, min_size=12))
def test_a_run_gives_back_its_commits(
    contents: list[tuple[Entry, ...]], walls: list[int]
) -> None:
    """Sealed bytes, ids, plain bytes and meaning of every commit, whatever stands in them."""
    found = World(SYMBOLIC)
    for body, wall in zip(contents, walls, strict=False):
        inner = found.inner(1, body)
        moved = Inner(
            inner.author, inner.seq, inner.backlink, inner.auth, inner.parents, Wall(wall), body
        )
        made = found.make(1, moved)
        found.sealed[made.id], found.inners[made.id] = made, moved
        found.graph.insert(made.id, moved, gen=found.gen(moved.parents))
    commits = [found.graph.id_of(number) for number in range(1, len(found.graph))]
    members = [member_of(found, commit) for commit in commits]
    (piece,) = cut(members)
    assert list(piece) == members
    run = taken(found, make_run(SYMBOLIC, found.key, piece, beside(found, members)))
    assert isinstance(run, Run)
    assert run == Run(1, piece, beside(found, members))
    inners = decode_run(run, found.graph.facts)
    assert inners == tuple(found.inners[commit] for commit in commits)
    assert verify_run(SYMBOLIC, found.key, found.signers[1].device, run) is None


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 2), max_size=40))
def test_cutting_loses_nothing_and_joins_what_follows(authors: list[int]) -> None:
    """Pieces are the stretches in which one author follows itself: the naive way finds them."""
    found = World(SYMBOLIC)
    members: list[Member] = []
    for author in authors:
        members += stretch(found, author, [(TurnEntry(b"x"),)])
    pieces = list(cut(members))
    assert [each for piece in pieces for each in piece] == members
    starts = [place for place, author in enumerate(authors) if authors[:place][-1:] != [author]]
    assert [len(found.inners[piece[0].id].parents) for piece in pieces] == [1] * len(pieces)
    assert [members.index(piece[0]) for piece in pieces] == starts


def test_a_stretch_is_cut_at_the_bounds() -> None:
    """By count, by bytes, and around what stands alone."""
    found = World(SYMBOLIC)
    many = stretch(found, 0, [(TurnEntry(b"x"),)] * (2 * RUN_COMMITS_MAX + 1))
    assert [len(piece) for piece in cut(many)] == [RUN_COMMITS_MAX, RUN_COMMITS_MAX, 1]
    large = stretch(found, 0, [(TurnEntry(bytes(200_000)),)] * 5)
    pieces = list(cut(large))
    assert [len(piece) for piece in pieces] == [2, 2, 1]
    for piece in pieces:
        data = make_run(SYMBOLIC, found.key, piece, beside(found, list(piece)))
        assert isinstance(taken(found, data), Run)
    added: Entry = AddEntry(DeviceId(bytes(32)), Role.READER, bytes(32))
    turn: Entry = TurnEntry(b"x")
    around = stretch(found, 0, [(turn,), (added,), (turn,), (turn,)])
    assert [len(piece) for piece in cut(around)] == [1, 2]
    genesis = member_of(found, found.graph.id_of(0))
    assert list(cut([genesis])) == []


def test_what_does_not_shrink_stays_in_bounds() -> None:
    """The largest columns that `cut` allows, of bytes that DEFLATE cannot shrink, fit a run."""
    found = World(SYMBOLIC)
    noise = hashlib.shake_256(b"").digest(RUN_BYTES_MAX)
    most = RUN_BYTES_MAX - 1024
    for sizes in ((516_000,), (most // 2 - 60, most // 2 - 60)):
        members = stretch(found, 0, [(TurnEntry(noise[:size]),) for size in sizes])
        (piece,) = cut(members)
        data = make_run(SYMBOLIC, found.key, piece, beside(found, members))
        assert sum(sizes) < len(data) <= RUN_BYTES_MAX
        assert isinstance(taken(found, data), Run)


@each_port
def test_the_last_signature_speaks_for_all(crypto: Crypto) -> None:
    """Another author, another signature, or one commit fewer is refused."""
    found = World(crypto)
    members = stretch(found, 1, [(TurnEntry(b"a"),), (TurnEntry(b"b"),), (TurnEntry(b"c"),)])
    author, right = found.signers[1].device, beside(found, members)
    for wrong, device, piece in (
        (right, found.signers[0].device, members),
        (flipped(right, 3), author, members),
        (right, author, members[:2]),
        (right, author, members[1:] + stretch(found, 1, [(TurnEntry(b"d"),)])),
    ):
        run = taken(found, make_run(crypto, found.key, piece, wrong))
        assert isinstance(run, Run)
        assert reason(verify_run(crypto, found.key, device, run)) is Reason.BAD_SIGNATURE


# ---------------------------------------------------------------- hostile bytes


def _good() -> tuple[World, bytes]:
    found = World(SYMBOLIC)
    members = stretch(found, 1, [(TurnEntry(b"some words"),), (), (TurnEntry(b"more"),)])
    return found, make_run(SYMBOLIC, found.key, members, beside(found, members))


def test_every_flip_and_every_cut_is_refused() -> None:
    """No bit of a run can be changed, none of its bytes be left away or added."""
    found, data = _good()
    assert isinstance(taken(found, data), Run)
    for position in range(len(data)):
        refused = taken(found, flipped(data, position, position % 8))
        assert isinstance(refused, Rejected), position
        assert isinstance(taken(found, data[:position]), Rejected)
    assert reason(taken(found, data + b"\0")) is Reason.MALFORMED
    assert reason(taken(found, data + bytes(RUN_BYTES_MAX))) is Reason.TOO_BIG


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_columns_of_a_member_who_lies(draw: st.DataObject) -> None:
    """Whatever a holder of the key writes there: a value or a refusal, and no more memory."""
    found, data = _good()
    columns = bytearray(columns_of(found, data))
    for _ in range(draw.draw(st.integers(1, 4))):
        place = draw.draw(st.integers(0, len(columns)))
        dropped = draw.draw(st.integers(0, 3))
        columns[place : place + dropped] = draw.draw(st.binary(max_size=4))
    run = taken(found, forged(found, data, bytes(columns)))
    if isinstance(run, Run):
        assert 0 < len(run.members) <= RUN_COMMITS_MAX
        again = make_run(SYMBOLIC, found.key, run.members, run.beside)
        assert taken(found, again) == run


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_plain_bytes_of_a_member_who_lies(plain: bytes) -> None:
    """No signature, no DEFLATE, nothing at all: refused, or a run that can be made again."""
    found, data = _good()
    run = taken(found, seal(SYMBOLIC, found.key, data[:28], plain))
    assert isinstance(run, Rejected | Run)


def test_a_bomb_is_not_unpacked() -> None:
    """A gigabyte of zeros in a run of one MiB at most: refused after 512 KiB of it."""
    found, data = _good()
    packed = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = b"".join(packed.compress(bytes(1 << 20)) for _ in range(256)) + packed.flush()
    hostile = seal(SYMBOLIC, found.key, data[:28], bytes(64) + bomb)
    assert len(hostile) < RUN_BYTES_MAX
    assert reason(taken(found, hostile)) is Reason.TOO_BIG


def test_no_authority_in_a_run() -> None:
    """What authority says of the first commit it says of all, so none may change it."""
    found = World(SYMBOLIC)
    members = stretch(
        found, 1, [(TurnEntry(b"a"),), (RemoveEntry(found.signers[2].device),), ()]
    )
    data = make_run(SYMBOLIC, found.key, members, beside(found, members))
    assert reason(taken(found, data)) is Reason.MALFORMED


def test_the_past_of_the_first_is_asked_for() -> None:
    """Whoever lacks what a run builds on, or its chain, learns that."""
    found, _ = _good()
    members = stretch(found, 1, [(TurnEntry(b"next"),), ()])
    data = make_run(SYMBOLIC, found.key, members, beside(found, members))
    assert reason(taken(found, data, Graph().facts)) is Reason.PARENT_UNKNOWN
    full = ChainFacts(found.signers[1].device, world.U64_MAX - 1, RootGrant(1))

    def almost(commit: CommitId) -> ChainFacts | None:
        return full if commit not in [each.id for each in members] else None

    assert reason(taken(found, data, almost)) is Reason.WRONG_SEQ
