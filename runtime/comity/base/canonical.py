"""Canonical bytes: one way to write every number and string, and a reader that holds to it.

Owns: varints (LEB128, shortest form only), fixed integers (little-endian) and
length-prefixed strings. May not know: what is written with them.
`Reader` never raises on a peer's bytes except `Malformed`, which the nearest decoder turns
into a `Rejected` value; it never reads past its end and never allocates by a length that
the input merely claims.
Source: PROTOCOL section 2 (one sealed form), STYLE 'Tests' (decoders).
"""

from __future__ import annotations

from typing import Final

from comity.base.errors import ComityError

__all__ = ["VARINT_BYTES_MAX", "Malformed", "Reader", "varint", "zigzag"]

VARINT_BYTES_MAX: Final = 10
"""A varint holds at most 64 bits: 10 groups of 7."""


class Malformed(ComityError):
    """Bytes do not follow the format. Internal to decoders: it never crosses a layer."""


def varint(value: int) -> bytes:
    """Encode a number of 0..2^64-1 in LEB128, shortest form."""
    assert 0 <= value < 1 << 64, value
    if value < 0x80:
        return bytes((value,))
    if value < 0x4000:
        return bytes((value & 0x7F | 0x80, value >> 7))
    if value < 0x20_0000:
        return bytes((value & 0x7F | 0x80, value >> 7 & 0x7F | 0x80, value >> 14))
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def zigzag(value: int) -> int:
    """Map a signed number of 64 bits to an unsigned one, small magnitudes to small numbers."""
    assert -(1 << 63) <= value < 1 << 63, value
    return value << 1 if value >= 0 else (-value << 1) - 1


class Reader:
    """A cursor over bytes. Every method advances it or raises `Malformed`."""

    __slots__ = ("_data", "_end", "_position")

    def __init__(self, data: bytes, start: int = 0, end: int | None = None) -> None:
        """Read `data[start:end]`."""
        self._data = data
        self._position: int = start
        self._end = len(data) if end is None else end
        assert 0 <= start <= self._end <= len(data)

    @property
    def position(self) -> int:
        """Offset of the next byte in the whole of the data."""
        return self._position

    @property
    def left(self) -> int:
        """Number of bytes that are still unread."""
        return self._end - self._position

    def take(self, count: int) -> bytes:
        """Return exactly `count` bytes."""
        start = self._position
        stop = start + count
        if stop > self._end:
            raise Malformed(f"{count} bytes wanted at {start}, {self._end - start} left")
        self._position = stop
        return self._data[start:stop]

    def u8(self) -> int:
        """Return one byte as a number."""
        position = self._position
        if position >= self._end:
            raise Malformed(f"a byte wanted at the end, {position}")
        self._position = position + 1
        return self._data[position]

    def u16(self) -> int:
        """Return two bytes, little-endian."""
        return int.from_bytes(self.take(2), "little")

    def u32(self) -> int:
        """Return four bytes, little-endian."""
        return int.from_bytes(self.take(4), "little")

    def u64(self) -> int:
        """Return eight bytes, little-endian."""
        return int.from_bytes(self.take(8), "little")

    def varint(self) -> int:
        """Return a number of at most 64 bits; longer or padded forms are malformed."""
        data, position, end = self._data, self._position, self._end
        if position < end and data[position] < 0x80:  # most lengths and counts are small
            self._position = position + 1
            return data[position]
        if position + 1 < end:  # two or three bytes, as below
            second = data[position + 1]
            if 0 < second < 0x80:
                self._position = position + 2
                return data[position] & 0x7F | second << 7
            if (
                position + 2 < end
                and second > 0x7F
                and 0 < (third := data[position + 2]) < 0x80
            ):
                self._position = position + 3
                return data[position] & 0x7F | (second & 0x7F) << 7 | third << 14
        value = shift = 0
        for _ in range(VARINT_BYTES_MAX):
            if position >= end:
                raise Malformed(f"a varint is cut off at {position}")
            byte = data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if byte == 0 and shift:
                    raise Malformed(f"a varint is not in its shortest form at {position}")
                if value >> 64:
                    raise Malformed(f"a varint is larger than 64 bits at {position}")
                self._position = position
                return value
            shift += 7
        raise Malformed(f"a varint is longer than {VARINT_BYTES_MAX} bytes at {position}")

    def zigzag(self) -> int:
        """Return a signed number written as `varint(zigzag(n))`."""
        value = self.varint()
        return value >> 1 if not value & 1 else -((value + 1) >> 1)

    def blob(self, bytes_max: int) -> bytes:
        """Return bytes written as `varint(length) || bytes`, at most `bytes_max` of them."""
        length = self.varint()
        if length > bytes_max:
            raise Malformed(f"{length} bytes where {bytes_max} is the most")
        return self.take(length)

    def short_blob(self) -> bytes | None:
        """Return a blob of less than 128 bytes; if none is next, None, and nothing is read."""
        data, position = self._data, self._position
        if position < self._end and data[position] < 0x80:
            start = position + 1
            stop = start + data[position]
            if stop <= self._end:
                self._position = stop
                return data[start:stop]
        return None

    def text(self, bytes_max: int) -> str:
        """Return a string written as a blob of UTF-8; surrogates are malformed."""
        try:
            return self.blob(bytes_max).decode("utf-8")
        except UnicodeDecodeError as error:
            raise Malformed("a string is not UTF-8") from error

    def rest(self) -> bytes:
        """Return all that is left."""
        return self.take(self._end - self._position)

    def finish(self) -> None:
        """Require that nothing is left."""
        if self._position != self._end:
            raise Malformed(f"{self._end - self._position} bytes too many")
