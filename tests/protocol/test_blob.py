"""Blobs: what was cut is put together again, whatever comes in between, and nothing else is."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import comity.protocol.blob
from comity.base.canonical import Malformed, Reader
from comity.base.errors import Reason, Rejected, UsageError
from comity.base.ids import Topic
from comity.base.limits import BLOB_AHEAD_MAX, BLOB_BYTES_MAX, BLOB_LEAF_BYTES
from comity.crypto.hashing import PERSON_BLOB, PERSON_PIECE, blake2b
from comity.crypto.sodium import Sodium
from comity.protocol.blob import (
    PIECE_BYTES_MAX,
    Assembler,
    Blob,
    Cutter,
    Piece,
    PieceId,
    decode_blob,
    encode_blob,
    piece_id,
)

TOPIC: Final = Topic(bytes([5]) * 32)
KEY: Final = bytes([9]) * 32
CRYPTO: Final = Sodium()
LEAF: Final = BLOB_LEAF_BYTES
FAN: Final = 1024

sizes = st.one_of(
    st.integers(0, 10_000),
    st.integers(0, 5).flatmap(lambda n: st.integers(-2, 2).map(lambda d: max(0, n * LEAF + d))),
)


def contents(size: int) -> bytes:
    """Return bytes of which no two leaves are alike."""
    block = b"".join(n.to_bytes(4, "little") for n in range(-(-min(size, 1 << 20) // 4)))
    return (block * (-(-size // len(block))))[:size] if block else b""


def cut(data: bytes, step: int = 100_000) -> tuple[list[Piece], Blob]:
    """Return all pieces and the blob."""
    cutter = Cutter(CRYPTO, TOPIC, KEY)
    pieces: list[Piece] = []
    for start in range(0, len(data), step):
        pieces += cutter.feed(data[start : start + step])
    last, blob = cutter.finish("image/png")
    return pieces + last, blob


def twin(data: bytes, leaf: int = LEAF, fan: int = FAN) -> tuple[dict[PieceId, bytes], PieceId]:
    """Return pieces and root, level by level, with everything in memory."""
    store: dict[PieceId, bytes] = {}

    def seal(level: int, index: int, plain: bytes) -> PieceId:
        aad = TOPIC + bytes([level]) + index.to_bytes(8, "little")
        nonce = blake2b(aad + plain, size=24, person=PERSON_BLOB, key=KEY)
        sealed = nonce + CRYPTO.seal(KEY, nonce, plain, aad)
        name = PieceId(blake2b(TOPIC + sealed, person=PERSON_PIECE))
        store[name] = sealed
        return name

    padded = data + bytes(-len(data) % 4096 if data else 4096)
    row = [
        seal(0, n, padded[at : at + leaf]) for n, at in enumerate(range(0, len(padded), leaf))
    ]
    level = 0
    while len(row) > 1:
        level += 1
        groups = [row[at : at + fan] for at in range(0, len(row), fan)]
        row = [seal(level, n, b"".join(group)) for n, group in enumerate(groups)]
    return store, row[0]


def read(assembler: Assembler, store: dict[PieceId, bytes]) -> bytes:
    """Return all contents, from pieces in any order but that in which they are wanted."""
    found = b""
    while not assembler.finished:
        assert assembler.broken is None
        for wanted in reversed(assembler.wanted):
            assert assembler.receive(wanted, store[wanted]) is None
        assembler.check()
        while (data := assembler.take()) is not None:
            found += data
    return found


@settings(max_examples=30)
@given(sizes, st.integers(1, 200_000))
@example(0, 1)
@example(3 * LEAF, LEAF)
def test_cutting_is_that_of_the_twin_and_is_read_back(size: int, step: int) -> None:
    """However it comes in: the same pieces, and the same contents out of them."""
    data = contents(size)
    pieces, blob = cut(data, max(step, size // 100 + 1))
    store, root = twin(data)
    assert {each.id: each.sealed for each in pieces} == store
    assert blob == Blob(root, size, "image/png", KEY)
    assert read(Assembler(CRYPTO, TOPIC, blob), store) == data
    assert all(len(each.sealed) <= PIECE_BYTES_MAX for each in pieces)


@pytest.mark.parametrize("leaves", [1, 2, 3, 4, 5, 16, 17, 63, 65, 150])
def test_levels_and_going_on_later(leaves: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small nodes, many levels; a reader that stops reads the rest, and no leaf twice."""
    monkeypatch.setattr(comity.protocol.blob, "BLOB_LEAF_BYTES", 4096)
    monkeypatch.setattr(comity.protocol.blob, "_FAN", 4)
    data = contents((leaves - 1) * 4096 + 1)
    pieces, blob = cut(data)
    store = {each.id: each.sealed for each in pieces}
    assert (store, blob.root) == twin(data, leaf=4096, fan=4)
    assert len(store) == len(pieces)
    assert read(Assembler(CRYPTO, TOPIC, blob), store) == data
    for first in range(leaves):
        assembler = Assembler(CRYPTO, TOPIC, blob, first=first)
        asked: dict[PieceId, None] = {}
        rest = b""
        while not assembler.finished:
            asked.update(dict.fromkeys(assembler.wanted))
            assert len(assembler.wanted) <= BLOB_AHEAD_MAX
            for wanted in assembler.wanted:
                assembler.receive(wanted, store[wanted])
            rest += assembler.take() or b""
        assert rest == data[first * 4096 :]
        assert not set(leaves_of(pieces, first)) & set(asked)


def leaves_of(pieces: list[Piece], first: int) -> list[PieceId]:
    """Return the leaves before one, of small pieces: nodes are shorter than leaves."""
    return [each.id for each in pieces if len(each.sealed) == 4096 + 40][:first]


def test_pieces_of_lying_peers_are_refused_and_wanted_from_others() -> None:
    """Altered, cut, another piece, one of another blob or actor, too long: nothing is lost."""
    data = contents(3 * LEAF)
    pieces, blob = cut(data)
    store = {each.id: each.sealed for each in pieces}
    other, _ = cut(data[1:])
    assembler = Assembler(CRYPTO, TOPIC, blob)
    found = b""
    while not assembler.finished:
        for wanted in assembler.wanted:
            right = store[wanted]
            lies = [
                b"",
                right[:-1],
                right + b"\x00",
                bytes([right[0] ^ 1]) + right[1:],
                right[:-1] + bytes([right[-1] ^ 1]),
                other[0].sealed,
                bytes(PIECE_BYTES_MAX),
                *(each for each in store.values() if each is not right),
            ]
            for lie in lies:
                refusal = assembler.receive(wanted, lie)
                assert isinstance(refusal, Rejected)
                assert refusal.reason in {Reason.MALFORMED, Reason.TOO_BIG}
            refusal = assembler.receive(wanted, bytes(PIECE_BYTES_MAX + 1))
            assert isinstance(refusal, Rejected)
            assert refusal.reason is Reason.TOO_BIG
            assert wanted in assembler.wanted
            assert assembler.receive(wanted, right) is None
            assert wanted not in assembler.wanted
            assert assembler.receive(wanted, right) is None, "a second copy is left"
        while (more := assembler.take()) is not None:
            found += more
    assert found == data
    assert piece_id(Topic(bytes(32)), pieces[0].sealed) != pieces[0].id


def test_what_is_not_wanted_is_left() -> None:
    """Pieces in another order than asked for do not fill memory."""
    data = contents(40 * LEAF)
    pieces, blob = cut(data)
    assembler = Assembler(CRYPTO, TOPIC, blob)
    for each in pieces:  # the node on top comes last
        assert assembler.receive(each.id, each.sealed) is None
        assembler.check()
    assert len(assembler.wanted) == BLOB_AHEAD_MAX
    for each in [*pieces, *pieces]:
        assert assembler.receive(each.id, each.sealed) is None
        assembler.check()
    assert assembler.wanted == ()
    assert sum(assembler.take() is not None for _ in range(40)) == BLOB_AHEAD_MAX


def lie(blob: Blob, **changed: object) -> Blob:
    """Return the blob with what its author says changed."""
    said = {"root": blob.root, "size": blob.size, "type": blob.type, "key": blob.key, **changed}
    return Blob(**said)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def outcome(blob: Blob, pieces: list[Piece]) -> Rejected | None:
    """Return what is found to be wrong with a blob, as far as pieces go."""
    store = {each.id: each.sealed for each in pieces}
    assembler = Assembler(CRYPTO, TOPIC, blob)
    while not assembler.finished and assembler.broken is None:
        wanted = [each for each in assembler.wanted if each in store]
        assert wanted, "the author named pieces that there are not"
        for each in wanted:
            assert assembler.receive(each, store[each]) is None, "who passes it on is innocent"
            assembler.check()
        while assembler.take() is not None:
            pass
    assert assembler.wanted == ()
    return assembler.broken


@pytest.mark.parametrize(
    "size",
    [0, 1, LEAF, 3 * LEAF - 4096, 3 * LEAF + 1, 4 * LEAF, 1024 * LEAF + 1, BLOB_BYTES_MAX],
)
def test_a_lie_about_the_size_is_the_authors(size: int) -> None:
    """Too little, too much, and as much as there may be: found as soon as a piece shows it.

    The twin: with its true size the same pieces are read.
    """
    pieces, blob = cut(contents(3 * LEAF))
    found = outcome(lie(blob, size=size), pieces)
    assert found is not None
    assert found.reason is Reason.BAD_VALUE
    assert outcome(blob, pieces) is None


def test_a_lie_about_the_key_or_the_root_is_the_authors() -> None:
    """A key that opens nothing; a leaf in the place of the top."""
    pieces, blob = cut(contents(3 * LEAF))
    for wrong in (lie(blob, key=bytes(32)), lie(blob, root=pieces[0].id)):
        found = outcome(wrong, pieces)
        assert found is not None
        assert found.reason is Reason.BAD_VALUE


def test_a_loop_of_nodes_is_not_walked() -> None:
    """An author cannot name a node below itself, nor one leaf in two places."""
    pieces, blob = cut(contents(3 * LEAF))
    leaf = pieces[0]
    aad = TOPIC + bytes([1]) + bytes(8)
    plain = leaf.id * 3
    nonce = bytes(24)
    sealed = nonce + CRYPTO.seal(KEY, nonce, plain, aad)
    root = Piece(piece_id(TOPIC, sealed), sealed)
    found = outcome(lie(blob, root=root.id), [root, leaf])
    assert found is not None
    assert found.reason is Reason.BAD_VALUE


def test_padding_hides_bytes_and_is_zero() -> None:
    """Sizes show to 4 KiB only; what an author hides in the padding is not passed on."""
    short, near, far = (cut(bytes(n))[0][0].sealed for n in (1, 4096, 4097))
    assert len(short) == len(near) < len(far)
    nonce, aad = bytes(24), TOPIC + bytes([0]) + bytes(8)
    sealed = nonce + CRYPTO.seal(KEY, nonce, b"x" + bytes(4094) + b"y", aad)
    piece = Piece(piece_id(TOPIC, sealed), sealed)
    assert outcome(Blob(piece.id, 1, "", KEY), [piece]) is not None
    assert outcome(Blob(piece.id, 4096, "", KEY), [piece]) is None


def test_no_secret_is_shown() -> None:
    """Neither the key nor contents stand in a repr."""
    pieces, blob = cut(b"secret")
    assert repr(KEY) not in repr(blob)
    assert "sealed" not in repr(pieces[0])


def test_what_is_too_much_is_refused() -> None:
    """More bytes than a blob may hold, and a type that is no type."""
    cutter = Cutter(CRYPTO, TOPIC, KEY)
    cutter.size = BLOB_BYTES_MAX
    with pytest.raises(UsageError, match="at most"):
        list(cutter.feed(b"x"))
    with pytest.raises(UsageError, match="255"):
        Cutter(CRYPTO, TOPIC, KEY).finish("x" * 256)


blobs = st.builds(
    Blob,
    st.binary(min_size=32, max_size=32).map(PieceId),
    st.integers(0, BLOB_BYTES_MAX),
    st.text(max_size=60),
    st.binary(min_size=32, max_size=32),
)


@given(blobs, st.binary(max_size=3))
def test_a_blob_is_read_back_whole_only(blob: Blob, more: bytes) -> None:
    """What is cut short is malformed; what follows is left."""
    data = encode_blob(blob)
    reader = Reader(data + more)
    assert decode_blob(reader) == blob
    assert reader.rest() == more
    for end in range(len(data)):
        with pytest.raises(Malformed):
            decode_blob(Reader(data[:end]))


@given(st.binary(max_size=120))
def test_any_bytes_are_a_blob_or_malformed(data: bytes) -> None:
    """A size beyond what there may be is none."""
    try:
        blob = decode_blob(Reader(data))
    except Malformed:
        return
    assert data.startswith(encode_blob(blob))
