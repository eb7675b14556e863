"""The targets of `tests.fuzz` that read what this device wrote to its own disk to open faster.

Owns: as `tests.fuzz.targets`, whose list it adds to. Import it for that effect.
"""

from __future__ import annotations

import zlib
from functools import cache
from typing import Final

from comity.actor.cell import Cell
from comity.actor.fold import Folded
from comity.base.clock import Wall
from comity.base.errors import Rejected
from comity.base.ids import ID_BYTES, CommitId
from comity.log.seal import seal
from comity.node import index
from comity.node.index import Line, Piece, encode_piece, open_piece
from tests.actor import test_stored
from tests.fuzz.targets import CRYPTO, _member, target

FIRST: Final = 2
COUNT: Final = 3
IDS: Final = tuple([CommitId(bytes([number]) * ID_BYTES) for number in range(3, 3 + COUNT)])


@cache
def _pieces() -> tuple[bytes, ...]:
    """Return rows of the index of a log of four commits, of which the first is the genesis."""
    member, wall = _member(), Wall(1_790_000_000_000)
    plain = (
        Line(1, (1,), wall, 0),
        Line(2, (1, 2), wall, 0),
        Line(1, (1,), Wall(wall + 1), 0),
    )
    turns = ((b"one",), (b"", b"two" * 20), ())
    lines = (plain, (None, plain[1], None), (plain[0], None, plain[2]), (None, None, None))
    return tuple(
        [
            encode_piece(
                member.journal, FIRST, member.epoch, Piece(member.epoch, IDS, each, turns)
            )
            for each in lines
        ]
    )


def _columns() -> list[bytes]:
    """Return what rows hold, unpacked, and rows."""
    found: list[bytes] = []
    for row in _pieces():
        plain = index._open(_member().journal, _member().key, row)
        assert not isinstance(plain, Rejected)
        found.append(zlib.decompress(plain[(COUNT + 1) * ID_BYTES :], -zlib.MAX_WBITS))
    return [*found, *_pieces()]


@target(_columns)
def index_piece(data: bytes) -> object:
    """A row of the index, or columns sealed as one: none, or a piece that stays in its log."""
    member = _member()
    packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(data) + packer.flush()
    clear = index._clear(member.epoch, FIRST, COUNT)
    begin = b"".join((member.epoch, *IDS))
    rows = (data, *(seal(CRYPTO, member.key, clear, each) for each in (begin + packed, data)))
    for row in rows:
        piece = open_piece(member.journal, FIRST, row, COUNT)
        if piece is None:
            continue
        assert len(piece.ids) == len(piece.lines) == len(piece.turns) == COUNT
        for at, line in enumerate(piece.lines, start=FIRST - 1):
            if line is not None:
                assert 0 <= line.epoch < at
                assert line.parents
                assert all(0 < step <= at for step in (line.back, *line.parents))
        again = encode_piece(member.journal, FIRST, member.epoch, piece)
        assert open_piece(member.journal, FIRST, again, COUNT) == piece
    return None


@target(lambda: [test_stored.PLAIN, test_stored.DATA])
def stored_state(data: bytes) -> object:
    """A state that a cell begins from, packed or not: said to be damaged, or folded on."""
    packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    host = test_stored.HOST
    for row in (packer.compress(data) + packer.flush(), data):
        cell = Cell(test_stored.KIND, host.world.topic)
        event, _ = cell.fold(test_stored.beginning(host, row))
        assert isinstance(event, Folded)
    return None
