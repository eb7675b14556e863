"""What one turn does to a text, and its bytes.

Owns: the shape of operations, their bytes, whether they fit a text. May not know: turns.

    turn       runs, one after another, to the end
    run        varint(size << 2 | kind) | position | kinds 0, 2: `size` bytes
    kind       0 insert UTF-8, 1 delete `size` characters, 2 mark; 3 is kept
    position   first run: varint; then varint(zigzag(position - end of the run before))
    mark       varint(length) | varint(number) | UTF-8: flags, name, zero, value

A mark stands for two insertions of `ANCHOR_LENGTH` code points, at either end of a stretch;
positions count these code points too (`marks`). Its number is its author's choice.
Positions are indexes of code points in the text that the turn's author saw, as changed by
the runs before. A typed character takes 3 to 5 bytes.
Operations that reach beyond the text are for nobody to guess at: `fitted` says so, and the
whole turn is no-op. What decodes is bounded: no position is 2^32 or above, nor is the sum of
the lengths; no run is empty.
Source: PROTOCOL section 2; Gentle & Kleppmann 2024, section 3 (operations by index).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from comity.base.canonical import Malformed, Reader, varint, zigzag

__all__ = [
    "ANCHOR_LENGTH",
    "DELETE",
    "INSERT",
    "MARK",
    "MARK_BYTES_MAX",
    "MARK_NUMBER_MAX",
    "NAME_BYTES_MAX",
    "POSITION_MAX",
    "RUN_BYTES_MAX",
    "VALUE_BYTES_MAX",
    "Operation",
    "anchor",
    "anchor_code",
    "check_mark",
    "decode",
    "encode",
    "fitted",
]

INSERT: Final = 0
DELETE: Final = 1
MARK: Final = 2

Operation = tuple[int, int, int, str]
"""Kind, position, length in code points (never 0), and text: what an insertion inserts; of a
mark the anchor at its start, then flags, name, zero and value."""

ANCHOR_LENGTH: Final = 3
"""Code points of an anchor: ten bits in each."""

MARK_NUMBER_MAX: Final = (1 << 29) - 1
"""Largest number of a mark: with one bit for the end it marks, it fits an anchor."""

MARK_FLAGS_MAX: Final = 7
NAME_BYTES_MAX: Final = 255
VALUE_BYTES_MAX: Final = 4096
"""Of a mark: a link fits; longer things belong into a field of their own."""

POSITION_MAX: Final = (1 << 32) - 1
"""Largest position, and largest sum of lengths in a turn, that decodes: more than a device can
hold, and 2^31 turns of it still fit the columns of 64 bits."""

RUN_BYTES_MAX: Final = 10
"""What a run takes beside its text: head and position."""

MARK_BYTES_MAX: Final = 22
"""What a mark takes beside its name and value."""

_KIND_BITS: Final = 2
_KIND_MASK: Final = 3


def encode(operations: Sequence[Operation]) -> bytes:
    """Return the bytes of a turn; empty if it does nothing."""
    if len(operations) == 1 and operations[0][0] != MARK:  # as most turns
        kind, position, length, text = operations[0]
        data = text.encode()
        head = (len(data) if kind == INSERT else length) << _KIND_BITS | kind
        if head < 0x80 and 0x80 <= position < 0x20_0000:  # `varint` of both, inline
            low = position & 0x7F | 0x80
            if position < 0x4000:
                return bytes((head, low, position >> 7)) + data
            return bytes((head, low, position >> 7 & 0x7F | 0x80, position >> 14)) + data
        return varint(head) + varint(position) + data
    parts: list[bytes] = []
    end = 0
    for kind, position, length, text in operations:
        if kind == MARK:
            number = anchor_code(text[:ANCHOR_LENGTH]) >> 1
            data = varint(length) + varint(number) + text[ANCHOR_LENGTH:].encode()
        else:
            data = text.encode()
        size = len(data) if kind != DELETE else length
        parts.append(varint(size << _KIND_BITS | kind))
        parts.append(varint(zigzag(position - end) if len(parts) > 1 else position))
        parts.append(data)
        end = position + length if kind == INSERT else position
    return b"".join(parts)


def decode(reader: Reader) -> list[Operation]:
    """Read a turn to the end of the reader.

    Raises: Malformed if it is empty, or does not follow the format.
    """
    data = reader.rest()
    if len(data) > 2 and (head := data[0]) < 0x80 and (low := data[1]) > 0x7F:
        # one short run at a position of two bytes, as most turns; the same as below
        position = low & 0x7F | data[2] << 7
        kind, size = head & _KIND_MASK, head >> _KIND_BITS
        if 0x80 <= position < 0x4000 and size:
            if kind == DELETE and len(data) == 3:
                return [(DELETE, position, size, "")]
            if kind == INSERT and len(data) == 3 + size:
                text = _text(data[3:])
                return [(INSERT, position, len(text), text)]
    return _runs(Reader(data))


def _runs(reader: Reader) -> list[Operation]:
    operations: list[Operation] = []
    end = total = 0
    while True:
        head = reader.varint()
        kind, size = head & _KIND_MASK, head >> _KIND_BITS
        position = reader.varint() if not operations else end + reader.zigzag()
        total += size
        if not 0 <= position <= POSITION_MAX or not 0 < size <= total <= POSITION_MAX:
            raise Malformed(f"a run of {size} at position {position}")
        if kind == INSERT:
            text = _text(reader.take(size))
            end = position + len(text)
            operations.append((INSERT, position, len(text), text))
        elif kind == DELETE:
            end = position
            operations.append((DELETE, position, size, ""))
        elif kind == MARK:
            end = position
            total += 2 * ANCHOR_LENGTH
            operations.append(_mark(position, Reader(reader.take(size))))
        else:
            raise Malformed(f"a run of kind {kind}")
        if not reader.left:
            return operations


def _mark(position: int, reader: Reader) -> Operation:
    length, number = reader.varint(), reader.varint()
    text = _text(reader.rest())
    check_mark(text)
    if not 0 < length <= POSITION_MAX - position or number > MARK_NUMBER_MAX:
        raise Malformed(f"mark {number} on {length} at position {position}")
    return (MARK, position, length, anchor(number * 2) + text)


def check_mark(text: str) -> None:
    """Require that flags, name and value are as a device would write. Raises: Malformed."""
    if not text or ord(text[0]) > MARK_FLAGS_MAX:
        raise Malformed("a mark of a kind that there is not")
    name, zero, value = text[1:].partition("\0")
    if not 0 < len(name.encode()) <= NAME_BYTES_MAX or not zero:
        raise Malformed("a mark without a name")
    if len(value.encode()) > VALUE_BYTES_MAX:
        raise Malformed("the value of a mark is too long")


def anchor(code: int) -> str:
    """Return the code points that stand for the start (even) or end (odd) of a mark."""
    high, low = code >> 10 & 0x3FF, code & 0x3FF
    return chr(0xD800 | code >> 20) + chr(0xDC00 | high) + chr(0xDC00 | low)


def anchor_code(anchor: str) -> int:
    """Return the code of an anchor."""
    first, second, third = (ord(each) & 0x3FF for each in anchor)
    return first << 20 | second << 10 | third


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Malformed("inserted text is not UTF-8") from error


def fitted(operations: Sequence[Operation], length: int) -> int:
    """Return the length of a text of `length` after the operations; -1 if one does not fit."""
    for kind, position, count, _ in operations:
        if kind == INSERT:
            if position > length:
                return -1
            length += count
        else:
            if position + count > length:
                return -1
            length -= count
    return length
