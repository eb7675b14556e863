"""The index of a log on disk: what opening an actor needs of commits accepted long ago.

Owns: the bytes of a piece of the index, and their way back into a journal. May not know: when
a piece is written, what turns say.

    piece = clear | nonce | length | cipher     sealed as a commit is, under a key of the log
    clear = 0xC4 | version | epoch 32 | number of its first commit u64 | count u32
    plain = id of the commit before it 32 | ids, 32 each | columns in raw DEFLATE
    columns = count | back | parents: counts, steps | walls | epochs | turns: counts, lengths
              | operations of all turns, joined          all numbers in arrays of one width

A plain commit holds nothing but turns, goes on from its author's last under the same grant, and
so follows from numbers alone: no opening, no hashing, no decoding. Every other one is marked
(back 0) and read from its own row, as ever. The index decides nothing: it says again what this
very store accepted. A piece that cannot be opened, is of another version, does not follow what
is here, or names what has no row ends the index; from there on the rows are read.
Source: issue 3 item 5; decision 0026.
"""

from __future__ import annotations

import sys
import zlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from comity.authority.claim import Claim
from comity.base.clock import Wall
from comity.base.errors import Rejected
from comity.base.ids import ID_BYTES, CommitId
from comity.base.limits import COMMIT_BYTES_MAX
from comity.crypto.port import NONCE_LONG_BYTES
from comity.log.entries import Role, TurnEntry
from comity.log.inner import Inner
from comity.log.seal import ContentKey, open_sealed, seal
from comity.log.sealed import Sealed
from comity.node.holdings import Holdings
from comity.node.journal import Journal

__all__ = ["Line", "Piece", "encode_piece", "line_of", "open_piece", "reinsert"]

_MAGIC: Final = 0xC4
_VERSION: Final = 1 if sys.byteorder == "little" else 2
"""Arrays are written as this machine has them: a store that moved begins its index anew."""

_HEAD: Final = bytes((_MAGIC, _VERSION))
_CLEAR_BYTES: Final = len(_HEAD) + ID_BYTES + 8 + 4
_START: Final = _CLEAR_BYTES + NONCE_LONG_BYTES + 4
_RAW_DEFLATE: Final = -zlib.MAX_WBITS
_TURN: Final = TurnEntry(b"")


@dataclass(frozen=True, slots=True)
class Line:
    """A plain commit by numbers. back, parents: steps down; epoch: the number that seals it."""

    back: int
    parents: tuple[int, ...]
    wall: Wall
    epoch: int


@dataclass(frozen=True, slots=True)
class Piece:
    """Commits in order of arrival. lines: None for one that is not plain."""

    before: CommitId
    ids: tuple[CommitId, ...]
    lines: tuple[Line | None, ...]
    turns: tuple[tuple[bytes, ...], ...]


def line_of(journal: Journal, index: int, inner: Inner, epoch: int | None) -> Line | None:
    """Return an accepted commit by numbers; None if it is not plain."""
    graph = journal.graph
    back = graph.backlink_of(index)
    if back is None or epoch is None or graph.auth_of(back) != inner.auth:
        return None
    if any(type(each) is not TurnEntry or each.cause is not None for each in inner.entries):
        return None
    parents = tuple([index - parent for parent in graph.parents_of(index)])
    return Line(index - back, parents, inner.wall, epoch)


def encode_piece(journal: Journal, first: int, epoch: CommitId, piece: Piece) -> bytes:
    """Return the row of a piece. first: number of its first commit. epoch: its key seals it."""
    key = journal.epochs.key(epoch)
    assert key is not None
    lines = [line or Line(0, (), Wall(0), 0) for line in piece.lines]
    columns = [
        array("I", [len(lines)]),
        array("I", [line.back for line in lines]),
        array("B", [len(line.parents) for line in lines]),
        array("I", [step for line in lines for step in line.parents]),
        array("Q", [line.wall for line in lines]),
        array("I", [line.epoch for line in lines]),
        array("I", [len(turns) for turns in piece.turns]),
        array("I", [len(turn) for turns in piece.turns for turn in turns]),
    ]
    packer = zlib.compressobj(6, zlib.DEFLATED, _RAW_DEFLATE)
    parts = [*(column.tobytes() for column in columns), *(t for ts in piece.turns for t in ts)]
    packed = packer.compress(b"".join(parts)) + packer.flush()
    clear = _clear(epoch, first, len(lines))
    return seal(journal.crypto, key, clear, b"".join((piece.before, *piece.ids, packed)))


def open_piece(journal: Journal, first: int, row: bytes, count: int) -> Piece | None:
    """Read what `encode_piece` wrote; None if it is damaged, of another version or place.

    No number in it reaches before the log's first commit or beyond the piece, whoever made it.
    """
    epoch = CommitId(row[len(_HEAD) : len(_HEAD) + ID_BYTES])
    key = journal.epochs.key(epoch)
    if len(row) < _START or key is None:
        return None
    length = int.from_bytes(row[_START - 4 : _START], "little")
    if row[:_CLEAR_BYTES] != _clear(epoch, first, count) or _START + length != len(row):
        return None
    plain = _open(journal, key, row)
    if isinstance(plain, Rejected):
        return None
    ids = plain[ID_BYTES : (count + 1) * ID_BYTES]
    columns = _inflate(plain[(count + 1) * ID_BYTES :], count * COMMIT_BYTES_MAX)
    if columns is None:
        return None
    named = [CommitId(ids[at : at + ID_BYTES]) for at in range(0, len(ids), ID_BYTES)]
    try:
        return _read(CommitId(plain[:ID_BYTES]), tuple(named), columns, first)
    except ValueError:
        return None


def reinsert(
    journal: Journal, holdings: Holdings, identifier: CommitId, line: Line, turns: int
) -> None:
    """Make a plain commit part of a log that is being loaded. turns: how many it has."""
    graph = journal.graph
    index = len(graph)
    back = index - line.back
    parents = tuple([index - step for step in line.parents])
    author, auth = graph.author_of(back), graph.auth_of(back)
    inner = Inner(
        author,
        graph.seq_of(back) + 1,
        graph.id_of(back),
        auth,
        tuple([graph.id_of(parent) for parent in parents]),
        line.wall,
        (_TURN,) * turns,
    )
    gen = 1 + max([graph.gen_of(parent) for parent in parents])
    needs = Role.WRITER if turns else Role.READER
    graph.insert(identifier, inner, gen=gen)
    journal.visibility.admit(
        index, Claim(author, auth, parents, back, line.epoch, needs), inner
    )
    if author == journal.device:
        journal.own_last = index
    holdings.add(identifier, gen)


def _clear(epoch: CommitId, first: int, count: int) -> bytes:
    return _HEAD + epoch + first.to_bytes(8, "little") + count.to_bytes(4, "little")


def _open(journal: Journal, key: ContentKey, row: bytes) -> bytes | Rejected:
    clear, nonce = row[:_CLEAR_BYTES], row[_CLEAR_BYTES : _START - 4]
    return open_sealed(journal.crypto, key, Sealed(1, b"", None, clear, nonce, row[_START:]))


def _inflate(data: bytes, bytes_max: int) -> bytes | None:
    """Return the columns; None if they are cut off, followed by something, or too long."""
    unpack = zlib.decompressobj(_RAW_DEFLATE)
    try:
        columns = unpack.decompress(data, bytes_max + 1)
    except zlib.error:
        return None
    whole = unpack.eof and not unpack.unused_data and len(columns) <= bytes_max
    return columns if whole else None


def _read(before: CommitId, ids: tuple[CommitId, ...], data: bytes, first: int) -> Piece:
    """Read the columns of a piece. Raises: ValueError if they are none."""
    at = 0

    def take(kind: Literal["B", "I", "Q"], count: int) -> Sequence[int]:
        nonlocal at
        column: array[int] = array(kind)
        stop = at + count * column.itemsize
        if stop > len(data):
            raise ValueError("a column is cut off")
        column.frombytes(data[at:stop])
        at = stop
        return column

    (count,) = take("I", 1)
    if count != len(ids):
        raise ValueError("not as many lines as commits")
    backs, widths = take("I", count), take("B", count)
    steps = take("I", sum(widths))
    walls, epochs, many = take("Q", count), take("I", count), take("I", count)
    lengths = iter(take("I", sum(many)))
    lines = tuple(_lines(backs, widths, steps, walls, epochs, first - 1))
    turns: list[tuple[bytes, ...]] = []
    for number in many:
        own: list[bytes] = []
        for _ in range(number):
            stop = at + next(lengths)
            own.append(data[at:stop])
            at = stop
        turns.append(tuple(own))
    if at != len(data):
        raise ValueError("the turns are not as long as their lengths")
    return Piece(before, ids, lines, tuple(turns))


def _lines(
    backs: Sequence[int],
    widths: Sequence[int],
    steps: Sequence[int],
    walls: Sequence[int],
    epochs: Sequence[int],
    index: int,
) -> Iterator[Line | None]:
    """Yield what is written of each commit. index: of the first. Raises: ValueError."""
    if 0 in steps:
        raise ValueError("a commit builds on itself")
    start = 0
    for back, width, wall, epoch in zip(backs, widths, walls, epochs, strict=True):
        stop = start + width
        if back:
            parents = tuple(steps[start:stop])
            if not parents or max(back, epoch + 1, *parents) > index:
                raise ValueError("a commit builds on what is not before it")
            yield Line(back, parents, Wall(wall), epoch)
        else:
            yield None
        index += 1
        start = stop
