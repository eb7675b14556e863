"""One replicated text: read it, write it in turns of this device, fold turns of the log.

Owns: the open turn, the bytes of a stored text. May not know: how concurrent turns are merged
(`merge`), commits, users' classes.

    closed --begin--> open --commit or rollback--> closed
    closed --fold, hide, show--> closed

The open turn is a list of operations; the text with them is made only if it is read.
Source: PROTOCOL section 2, ARCHITECTURE 'The way of a message'.
"""

from __future__ import annotations

from typing import Final

from comity.base.canonical import Malformed, Reader, varint
from comity.base.errors import UsageError
from comity.crdt.text.columns import (
    decode_log,
    encode_log,
    read_spans,
    read_turns,
    write_spans,
    write_turns,
)
from comity.crdt.text.lineage import Floor, Past
from comity.crdt.text.merge import Merge, Outcome, perform
from comity.crdt.text.operations import DELETE, INSERT, Operation, encode
from comity.crdt.text.rope import Rope

__all__ = ["Document", "Outcome", "Past"]

_CLOSED: Final = -1

_JOIN_LENGTH_MAX: Final = 4096
"""Longest text of an open turn that is typed onto in place: each character copies it."""

_FORMAT: Final = 1
"""First byte of what `save` writes."""


class Document:
    """One text, written by turns of this device and of the log."""

    __slots__ = (
        "_flushed",
        "_length",
        "_merge",
        "_open",
        "_rope",
        "_turn",
    )

    def __init__(
        self, tag: bytes, past: Past, *, text: str = "", floor: Floor | None = None
    ) -> None:
        """Start with a text and without events.

        tag: of the field, for ties. floor: what `text` stands for; None if it is empty.
        """
        self._merge = Merge(tag, past, text, Floor() if floor is None else floor)
        self._turn = _CLOSED
        self._length = 0
        self._open: list[Operation] = []
        self._flushed = 0
        self._rope: Rope | None = None

    # ------------------------------------------------------------------ reading

    def __len__(self) -> int:
        if self._turn != _CLOSED:
            return self._length
        merge = self._merge
        if merge.dirty:
            merge.settle()
        return merge.length

    def __str__(self) -> str:
        return str(self._read())

    def slice(self, start: int, stop: int) -> str:
        """Return the characters of `start` <= index < `stop`, 0 <= start, stop <= length."""
        rope = self._read()
        assert start >= 0
        assert stop <= rope.length
        return rope.slice(start, stop)

    def encode_state(self) -> bytes:
        """Return canonical bytes: equal on replicas with the same visible log."""
        return str(self).encode()

    def _read(self) -> Rope:
        """Return the text, with what the open turn did."""
        merge = self._merge
        if merge.dirty:
            merge.settle()
        merge.materialize()
        if self._flushed < len(self._open):
            if self._rope is None:
                self._rope = merge.rope.copy()
            perform(self._open[self._flushed :], self._rope)
            self._flushed = len(self._open)
        return merge.rope if self._rope is None else self._rope

    # ------------------------------------------------------------------ turns of this device

    @property
    def run_count(self) -> int:
        """Number of operations of the open turn; what goes on from the last one joins it."""
        return len(self._open)

    def begin(self, turn: int) -> None:
        """Open a local turn: it is made on all that is here. turn: larger than all before."""
        assert self._turn == _CLOSED
        merge = self._merge
        if merge.dirty:
            merge.settle()
        self._turn = turn
        self._length = merge.length

    def insert(self, position: int, text: str) -> None:
        """Insert before the character at `position` in the open turn.

        Raises: UsageError if that is not 0..length, no turn is open, or `text` is not text.
        """
        length = self._length
        if self._turn < 0 or not 0 <= position <= length:
            raise self._misuse(position, 0)
        count = len(text)
        if not count:
            return
        if not text.isascii():
            _encodable(text)
        self._length = length + count
        operations = self._open
        if len(operations) > self._flushed:
            kind, start, before, typed = operations[-1]
            if kind == INSERT and start + before == position and before < _JOIN_LENGTH_MAX:
                operations[-1] = (INSERT, start, before + count, typed + text)
                return
        operations.append((INSERT, position, count, text))

    def delete(self, position: int, count: int) -> None:
        """Delete `count` >= 0 characters from `position` on in the open turn.

        Raises: UsageError if they are not all there, or no turn is open.
        """
        if self._turn < 0 or position < 0 or not 0 <= count <= self._length - position:
            raise self._misuse(position, count)
        if not count:
            return
        self._length -= count
        operations = self._open
        if len(operations) > self._flushed:
            kind, start, before, _ = operations[-1]
            if kind == DELETE and position <= start <= position + count:
                operations[-1] = (DELETE, position, before + count, "")
                return
        operations.append((DELETE, position, count, ""))

    def commit(self) -> bytes:
        """Close the turn and return its operations encoded; empty if it did nothing."""
        turn, operations = self._turn, self._open
        assert turn >= 0
        self._turn = _CLOSED
        if not operations:
            return b""
        self._open = []
        self._flushed = 0
        self._rope = None
        self._merge.extend(turn, operations, self._length)
        return encode(operations)

    def rollback(self) -> None:
        """Close the turn and take back what it did."""
        assert self._turn >= 0
        self._turn = _CLOSED
        self._open = []
        self._flushed = 0
        self._rope = None

    def _misuse(self, position: int, count: int) -> UsageError:
        if self._turn < 0:
            return UsageError("the text was written outside a turn")
        if count:
            return UsageError(
                f"{count} characters from {position} on cannot be deleted: the text has "
                f"{self._length}"
            )
        return UsageError(f"position {position} is not in 0..{self._length}, the text's length")

    # ------------------------------------------------------------------ turns of the log

    def fold(self, turn: int, operations: list[Operation]) -> Outcome:
        """Add a turn of the log, visible, after all in its past; `operations` were decoded.

        REFUSED and TOO_OLD change nothing. TAKEN does not promise that it fits, if it was
        made concurrently with another: it may turn out to be no-op.
        """
        assert self._turn == _CLOSED
        return self._merge.fold(turn, operations)

    def hide(self, turn: int) -> Outcome:
        """Stop counting a turn; hidden already is fine."""
        assert self._turn == _CLOSED
        return self._merge.look(turn, hidden=True)

    def show(self, turn: int) -> Outcome:
        """Count a hidden turn again; visible already is fine."""
        assert self._turn == _CLOSED
        return self._merge.look(turn, hidden=False)

    # ------------------------------------------------------------------ storing

    def save(self, *, history: bool) -> bytes:
        """Return bytes for this device's own disk, from which `load` goes on.

        history: keep the events too; else only turns made on all of this can be folded, and
        none of it can be hidden or shown. Turns of this device must be in commits by now.
        """
        assert self._turn == _CLOSED
        merge = self._merge
        merge.close_beat()
        text = str(self)
        log, floor = merge.log, merge.floor
        if not history and log.count:
            floor = merge.next_floor()
        parts = [
            bytes((_FORMAT, history)),
            write_turns(floor.heads),
            write_spans(floor.spans),
            write_turns(floor.hidden),
            _blob(text),
        ]
        if history:
            parts += [_blob(merge.start), write_turns(merge.shown), encode_log(log)]
        return b"".join(parts)

    @classmethod
    def load(cls, data: bytes, tag: bytes, past: Past) -> Document:
        """Return what was saved. Raises: Malformed if the bytes are not what `save` wrote."""
        reader = Reader(data)
        if reader.u8() != _FORMAT:
            raise Malformed("a text of another format")
        history = reader.u8()
        heads = read_turns(reader)
        floor = Floor(heads, read_spans(reader), read_turns(reader))
        text = reader.text(reader.left)
        if not history:
            reader.finish()
            return cls(tag, past, text=text, floor=floor)
        document = cls(tag, past, text=reader.text(reader.left), floor=floor)
        shown = read_turns(reader)
        log = decode_log(reader)
        reader.finish()
        if shown and shown[-1] >= log.count:
            raise Malformed(f"event {shown[-1]} is hidden, of {log.count}")
        document._merge.adopt(log, shown, text)
        return document

    def check(self) -> None:
        """Assert that the text follows from the events. Replays all of them: O(n^2)."""
        assert self._turn == _CLOSED
        self._read()
        self._merge.check()


def _blob(text: str) -> bytes:
    data = text.encode()
    return varint(len(data)) + data


def _encodable(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError(f"{text!r} holds half a surrogate pair: remove that") from None
