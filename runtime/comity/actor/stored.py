"""A stored state: what a cell had folded, in bytes from which another one goes on.

Owns: the bytes of it, places and fields and broken rules together. May not know: where it is
kept, when it is made, whether the log it stands for is still the one that is there.

    state = format | places | of commits that broke a rule: number, how | fields
            in raw DEFLATE

It is made while each turn has its place. What cannot be read, or is of another version of the
class, is Malformed: then the log is folded.
Source: issue 3 item 5; decision 35.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final

from comity.actor.places import Places
from comity.base.canonical import Malformed
from comity.base.errors import Reason, Rejected
from comity.base.limits import STATE_BYTES_MAX
from comity.crdt.freezing import FORMAT, Freezer, Thawer
from comity.crdt.state import State

__all__ = ["freeze", "thaw"]

_RAW_DEFLATE: Final = -zlib.MAX_WBITS
_LEVEL: Final = 1
"""Columns are mostly noughts; a higher level takes three times as long for a tenth less."""

Broken = tuple[int, Rejected]
"""A commit, and what it did that breaks a rule."""


def freeze(places: Places, broken: Sequence[Broken], state: State) -> bytes | None:
    """Return what a cell folded; None if some field cannot be stored, or it is too large."""
    out = Freezer()
    out.number(FORMAT)
    places.freeze(out)
    out.number(len(broken))
    for commit, refusal in broken:
        out.number(commit)
        out.blob(refusal.detail.encode(errors="replace"))
    state.freeze(out)
    data = out.done()
    if data is None or len(data) > STATE_BYTES_MAX:
        return None
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _RAW_DEFLATE)
    return packer.compress(data) + packer.flush()


def thaw(data: bytes, places: Places, state: State) -> list[Broken]:
    """Fill empty places and an empty state; return what broke a rule.

    places: has the graph of the log. Raises: Malformed; then both are good for nothing.
    """
    assert places.graph is not None
    unpacker = zlib.decompressobj(_RAW_DEFLATE)
    try:
        plain = unpacker.decompress(data, STATE_BYTES_MAX + 1)
    except zlib.error as error:
        raise Malformed(f"a state that does not unpack: {error}") from error
    if len(plain) > STATE_BYTES_MAX or not unpacker.eof or unpacker.unused_data:
        raise Malformed("a state of the wrong length")
    reader = Thawer(plain)
    version = reader.number()
    if version != FORMAT:
        raise Malformed(f"a state of format {version}")
    places.thaw(reader)
    reader.turns = len(places.commits)
    broken: list[Broken] = []
    for _ in range(reader.number()):
        commit = reader.number()
        if commit not in places.first_turns:
            raise Malformed("a commit without turns broke a rule")
        detail = reader.blob().decode(errors="replace")
        broken.append((commit, Rejected(Reason.RULE_BROKEN, detail)))
    state.thaw(reader)
    reader.finish()
    return broken
