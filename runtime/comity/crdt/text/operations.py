"""What one turn does to a text, and its bytes.

Owns: the shape of operations, their bytes, whether they fit a text. May not know: turns.

    turn       runs, one after another, to the end
    run        varint(size << 2 | kind) | position | kind 0: UTF-8 of `size` bytes
    kind       0 insert, 1 delete `size` characters; 2 and 3 are kept for marks
    position   first run: varint; then varint(zigzag(position - end of the run before))

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
    "DELETE",
    "INSERT",
    "POSITION_MAX",
    "RUN_BYTES_MAX",
    "Operation",
    "decode",
    "encode",
    "fitted",
]

INSERT: Final = 0
DELETE: Final = 1

Operation = tuple[int, int, int, str]
"""Kind, position, length in code points (never 0), and what an insertion inserts."""

POSITION_MAX: Final = (1 << 32) - 1
"""Largest position, and largest sum of lengths in a turn, that decodes: more than a device can
hold, and 2^31 turns of it still fit the columns of 64 bits."""

RUN_BYTES_MAX: Final = 10
"""What a run takes beside its text: head and position."""

_KIND_BITS: Final = 2
_KIND_MASK: Final = 3


def encode(operations: Sequence[Operation]) -> bytes:
    """Return the bytes of a turn; empty if it does nothing."""
    if len(operations) == 1:  # as most turns
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
        data = text.encode()
        size = len(data) if kind == INSERT else length
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
        else:
            raise Malformed(f"a run of kind {kind}")
        if not reader.left:
            return operations


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
