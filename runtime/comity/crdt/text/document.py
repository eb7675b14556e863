"""One replicated text: read it, write it in turns of this device, fold turns of the log.

Owns: the open turn, the bytes of a stored text. May not know: how concurrent turns are merged
(`merge`), commits, users' classes.

    closed --begin--> open --commit or rollback--> closed
    closed --fold, hide, show--> closed

The open turn is a list of operations; the text with them is made only if it is read. A text
that was ever marked holds anchors, so positions are looked up in its layout.
Source: PROTOCOL section 2, ARCHITECTURE 'The way of a message'.
"""

from __future__ import annotations

from typing import Final

from comity.base.canonical import Malformed, Reader, varint
from comity.base.errors import UsageError
from comity.crdt.text.columns import (
    decode_deleted,
    decode_log,
    encode_deleted,
    encode_log,
    read_spans,
    read_turns,
    write_spans,
    write_turns,
)
from comity.crdt.text.lineage import Floor, Past
from comity.crdt.text.marks import ANCHORS, Layout, Mark, Marks, Span, written
from comity.crdt.text.merge import Merge, Outcome, perform
from comity.crdt.text.operations import (
    ANCHOR_LENGTH,
    DELETE,
    INSERT,
    MARK,
    Operation,
    anchor,
    encode,
)
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
        "_layout",
        "_length",
        "_marked",
        "_marks",
        "_merge",
        "_open",
        "_rope",
        "_turn",
        "_whole",
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
        self._marks = Marks(tag, past)
        self._marked = False
        self._layout: Layout | None = None
        self._whole: dict[int, Operation] = {}

    # ------------------------------------------------------------------ reading

    def __len__(self) -> int:
        if self._marked:
            return self._laid().length
        if self._turn != _CLOSED:
            return self._length
        merge = self._merge
        if merge.dirty:
            merge.settle()
        return merge.length

    def __str__(self) -> str:
        text = str(self._read())
        return ANCHORS.sub("", text) if self._marked else text

    def slice(self, start: int, stop: int) -> str:
        """Return the characters of `start` <= index < `stop`, 0 <= start, stop <= length."""
        rope = self._read()
        assert start >= 0
        if not self._marked:
            assert stop <= rope.length
            return rope.slice(start, stop)
        layout = self._laid()
        assert stop <= layout.length
        if start >= stop:
            return ""
        return ANCHORS.sub("", rope.slice(layout.gap(start)[1], layout.gap(stop)[0]))

    def spans(self) -> list[Span]:
        """Return the marked stretches, ascending. Cost: the text's size, if it is marked."""
        text, turn = str(self._read()), self._turn
        if not self._marked:
            return []
        counts = self._merge.counts
        return self._marks.spans(text, lambda each: each == turn or counts(each))

    def encode_state(self) -> bytes:
        """Return canonical bytes: equal on replicas with the same visible log."""
        text = str(self)
        if not text:
            return b""
        parts = [_blob(text)]
        for span in self.spans():
            parts.append(varint(span.start) + varint(span.stop) + varint(len(span.marks)))
            for name, values in span.marks.items():
                parts += (_blob(name), varint(len(values)), *map(_blob, values))
        return b"".join(parts)

    def _read(self) -> Rope:
        """Return the text with anchors, with what the open turn did."""
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

    def _laid(self) -> Layout:
        """Return where characters and anchors stand; the text is marked."""
        rope = self._read()
        if self._layout is None:
            self._layout = Layout(rope)
        return self._layout

    # ------------------------------------------------------------------ turns of this device

    @property
    def run_count(self) -> int:
        """Number of operations of the open turn; what goes on from the last one joins it."""
        return len(self._open)

    def pieces(self, start: int, stop: int) -> int:
        """Return how many operations delete a stretch, at most."""
        return len(self._laid().pieces(start, stop)) if self._marked else 1

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
        if self._marked and self._turn >= 0:
            layout = self._laid()
            if not 0 <= position <= layout.length:
                raise self._misuse(position, 0)
            start, stop = layout.gap(position)
            position = start + self._marks.gap(self._read().slice(start, stop))
            self._layout = None
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
        if self._turn < 0 or position < 0 or not 0 <= count <= len(self) - position:
            raise self._misuse(position, count)
        if not count:
            return
        if not self._marked:
            self._delete(position, count)
            return
        for at, size in reversed(self._laid().pieces(position, position + count)):
            self._delete(at, size)
        self._layout = None

    def _delete(self, position: int, count: int) -> None:
        self._length -= count
        operations = self._open
        if len(operations) > self._flushed:
            kind, start, before, _ = operations[-1]
            if kind == DELETE and position <= start <= position + count:
                operations[-1] = (DELETE, position, before + count, "")
                return
        operations.append((DELETE, position, count, ""))

    def mark(self, start: int, stop: int, mark: Mark, *, clears: bool) -> None:
        """Mark the characters of `start` <= index < `stop` in the open turn, or clear a mark.

        Raises: UsageError if they are not all there, no turn is open, or it is no mark.
        """
        if self._turn < 0:
            raise self._misuse(start, 0)
        if not 0 <= start < stop <= len(self):
            raise UsageError(f"{start}..{stop} cannot be marked in a text of {len(self)}")
        text = written(mark, clears=clears)
        layout, marks = Layout(self._read()), self._marks
        position = layout.gap(start)[1]
        length = layout.gap(stop)[1 if mark.grows else 0] - position
        code = 2 * marks.draw(position, length, text)
        whole = (MARK, position, length, anchor(code) + text)
        self._layout = None
        self._whole[len(self._open)] = whole
        self._open += marks.expand(self._turn, [whole])
        self._length += 2 * ANCHOR_LENGTH
        self._marked = True
        self._read()  # so that nothing typed joins an anchor

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
        if self._whole:
            whole = self._whole
            self._whole = {}
            operations = [
                whole.get(place, operation)
                for place, operation in enumerate(operations)
                if place - 1 not in whole
            ]
        return encode(operations)

    def rollback(self) -> None:
        """Close the turn and take back what it did."""
        assert self._turn >= 0
        self._turn = _CLOSED
        self._open = []
        self._flushed = 0
        self._rope = None
        self._layout = None
        if self._whole:
            self._marks.forget(len(self._marks) - len(self._whole))
            self._marked = len(self._marks) > 0
            self._whole = {}

    def _misuse(self, position: int, count: int) -> UsageError:
        if self._turn < 0:
            return UsageError("the text was written outside a turn")
        if count:
            return UsageError(
                f"{count} characters from {position} on cannot be deleted: the text has "
                f"{len(self)}"
            )
        return UsageError(f"position {position} is not in 0..{len(self)}, the text's length")

    # ------------------------------------------------------------------ turns of the log

    def fold(self, turn: int, operations: list[Operation]) -> Outcome:
        """Add a turn of the log, visible, after all in its past; `operations` were decoded.

        REFUSED and TOO_OLD change nothing. TAKEN does not promise that it fits, if it was
        made concurrently with another: it may turn out to be no-op.
        """
        assert self._turn == _CLOSED
        marks = self._marks
        operations = marks.expand(turn, operations)
        if marks:
            self._marked = True
            self._layout = None
            marks.bound = len(marks)
        return self._merge.fold(turn, operations)

    def hide(self, turn: int) -> Outcome:
        """Stop counting a turn; hidden already is fine."""
        assert self._turn == _CLOSED
        self._layout = None
        self._marks.bound = len(self._marks)
        return self._merge.look(turn, hidden=True)

    def show(self, turn: int) -> Outcome:
        """Count a hidden turn again; visible already is fine."""
        assert self._turn == _CLOSED
        self._layout = None
        self._marks.bound = len(self._marks)
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
        text = str(self._read())
        log, floor = merge.log, merge.floor
        if not history and log.count:
            floor = merge.next_floor()
        parts = [
            bytes((_FORMAT, history)),
            write_turns(floor.heads),
            write_spans(floor.spans),
            write_turns(floor.hidden),
            _blob(text),
            self._marks.encode((lambda turn: turn >= 0) if history else merge.counts),
        ]
        if history:
            parts += [_blob(merge.start), write_turns(merge.shown), encode_log(log)]
            parts.append(encode_deleted(log))
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
        text = _read_blob(reader)
        marks = Marks(tag, past)
        marks.decode(reader)
        document = cls(tag, past, text=_read_blob(reader) if history else text, floor=floor)
        document._marks = marks
        document._marked = len(marks) > 0
        if not history:
            reader.finish()
            return document
        shown = read_turns(reader)
        log = decode_log(reader)
        decode_deleted(reader, log)
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
    data = text.encode(errors="surrogatepass")
    return varint(len(data)) + data


def _read_blob(reader: Reader) -> str:
    try:
        return reader.blob(reader.left).decode(errors="surrogatepass")
    except UnicodeDecodeError as error:
        raise Malformed("a text is not UTF-8") from error


def _encodable(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError(f"{text!r} holds half a surrogate pair: remove that") from None
