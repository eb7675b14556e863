"""Values and their bytes: `ValueType`, and one for each type without parameters.

Owns: the encoding of scalars, and what any encoding has to keep to. May not know: how users
spell types (`value` reads hints), fields, turns.

    None        00                       float     8 bytes, little-endian; one NaN
    bool        00 | 01                  str       varint length | UTF-8
    int         varint(zigzag); beyond   bytes     varint length | bytes
                64 bits the escape       datetime  varint(zigzag(microseconds of 1970, UTC))
                ff..01 | length | bytes  UUID      16 bytes

Every value takes at least one byte, so no count can ask for more items than there are bytes.
What a decoder accepts an encoder can encode again: size and range are checked on both sides.
`encode` and `check` raise `UsageError`, `decode` raises `Malformed` and nothing else, and
no code of a user ever runs on a peer's bytes.
Source: PROTOCOL section 2, API 'Replicated types' (values).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from comity.base.canonical import Malformed, Reader, varint, zigzag
from comity.base.errors import UsageError
from comity.base.limits import VALUE_BYTES_MAX

__all__ = [
    "INT_BYTES_MAX",
    "NONE",
    "NO_ZERO",
    "SCALARS",
    "BadValue",
    "Check",
    "Decode",
    "Encode",
    "Value",
    "ValueType",
    "checked",
    "too_big",
    "wrong",
]

INT_BYTES_MAX: Final = 512
"""A number's own bytes: 4096 bits hold any key; printing a number costs its square."""

NO_ZERO: Final = object()
"""Stands where a type has no natural first value."""

Value = Any
"""A value of the declared type: which that is, only running code knows."""

Encode = Callable[[Value], bytes]
Decode = Callable[[Reader], Value]
Check = Callable[[Value], Value]


class BadValue(Malformed):
    """Bytes of the right layout that stand for no value of the declared type."""


@dataclass(frozen=True, slots=True, eq=False)
class ValueType:
    """How values of one declared type are checked, written and read.

    name: as it stands in the law of a field; equal names have equal encodings.
    python: the exact class of its values, None where there are several.
    encode: value -> bytes; raises UsageError for a wrong value.
    decode: reader -> value; raises Malformed.
    check: value -> the value as every replica will read it; raises UsageError.
    exact: `check` returns what it was given; only None, int for float, and times change.
    key: values that are equal in Python have equal bytes, and are hashable.
    ordered: values can be sorted by '<'.
    zero: what an unset register of it reads; NO_ZERO if the declaration must say.
    """

    name: str
    python: type | None
    encode: Encode
    decode: Decode
    check: Check
    exact: bool = True
    key: bool = True
    ordered: bool = True
    zero: object = NO_ZERO


_BYTE: Final = tuple(bytes((n,)) for n in range(128))
_INT: Final = {n: varint(zigzag(n)) for n in range(-64, 64)}


def wrong(value: object, declared: str, fix: str) -> UsageError:
    """Make the error for a value of a wrong type; it names value, type and fix."""
    text = repr(value)
    shown = text if len(text) <= 80 else text[:77] + "..."
    return UsageError(f"{shown} ({type(value).__name__}) where {declared} is declared: {fix}")


def too_big(declared: str, size: int) -> UsageError:
    """Make the error for a value whose encoding is larger than one value may be."""
    return UsageError(
        f"a {declared} of {size} bytes, where {VALUE_BYTES_MAX} is the most for one value: "
        "cut it up into several values"
    )


def checked(encode: Encode) -> Check:
    """Return the check of an exact type: what can be encoded is stored as it is."""

    def check(value: Value) -> Value:
        encode(value)
        return value

    return check


def _encode_none(value: object) -> bytes:
    if value is not None:
        raise wrong(value, "None", "pass None")
    return b"\x00"


def _decode_none(reader: Reader) -> None:
    if reader.u8():
        raise BadValue(f"None is not 00 at {reader.position}")


def _encode_bool(value: object) -> bytes:
    if value is True:
        return b"\x01"
    if value is False:
        return b"\x00"
    raise wrong(value, "bool", "pass True or False, or bool(value)")


def _decode_bool(reader: Reader) -> bool:
    byte = reader.u8()
    if byte > 1:
        raise BadValue(f"a bool is {byte} at {reader.position}")
    return byte == 1


_ESCAPE: Final = varint((1 << 64) - 1)
"""zigzag(-2^63): a number outside -2^63 < n < 2^63 follows, two's complement, shortest."""


def _encode_int(value: int) -> bytes:
    if type(value) is not int:
        raise wrong(value, "int", "pass int(value)")
    small = _INT.get(value)
    if small is not None:
        return small
    if -(1 << 63) < value < 1 << 63:
        return varint(zigzag(value))
    data = value.to_bytes(_int_size(value), "little", signed=True)
    if len(data) > INT_BYTES_MAX:
        raise UsageError(
            f"an int of {len(data)} bytes, where {INT_BYTES_MAX} is the most: store it as bytes"
        )
    return _ESCAPE + varint(len(data)) + data


def _int_size(value: int) -> int:
    return (value if value >= 0 else ~value).bit_length() // 8 + 1


def _decode_int(reader: Reader) -> int:
    code = reader.varint()
    if code != (1 << 64) - 1:  # the escape
        return code >> 1 if not code & 1 else -((code + 1) >> 1)
    data = reader.blob(INT_BYTES_MAX)
    value = int.from_bytes(data, "little", signed=True)
    if -(1 << 63) < value < 1 << 63 or len(data) != _int_size(value):
        raise BadValue(f"a number is not in its shortest form at {reader.position}")
    return value


_FLOAT: Final = struct.Struct("<d")
_NAN: Final = _FLOAT.pack(math.nan)


def _check_float(value: Value) -> float:
    if type(value) is float:
        return value if value == value else math.nan  # noqa: PLR0124  (every NaN is the one NaN)
    if type(value) is int and abs(value) <= 1 << 53:
        return float(value)
    raise wrong(value, "float", "pass float(value)")


def _encode_float(value: float) -> bytes:
    checked = _check_float(value)
    return _FLOAT.pack(checked) if not math.isnan(checked) else _NAN


def _decode_float(reader: Reader) -> float:
    data = reader.take(8)
    value: float = _FLOAT.unpack(data)[0]
    if math.isnan(value) and data != _NAN:
        raise BadValue(f"a NaN is not the one that is written at {reader.position}")
    return value


def _encode_str(value: str) -> bytes:
    if type(value) is not str:
        is_plain = isinstance(value, bool | int | float)
        raise wrong(value, "str", "pass str(value)" if is_plain else "make a text of it first")
    try:
        data = value.encode()
    except UnicodeEncodeError:
        raise wrong(value, "str", "it holds half a surrogate pair; remove that") from None
    size = len(data)
    if size < 128:
        return _BYTE[size] + data
    if size > VALUE_BYTES_MAX - 3:
        raise too_big("str", size)
    return varint(size) + data


def _decode_str(reader: Reader) -> str:
    data = reader.short_blob()
    if data is None:
        size = reader.varint()
        if size > VALUE_BYTES_MAX - 3:
            raise BadValue(f"a str of {size} bytes at {reader.position}")
        data = reader.take(size)
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise BadValue(f"a str is not UTF-8 before {reader.position}") from None


def _encode_bytes(value: bytes) -> bytes:
    if type(value) is not bytes:
        raise wrong(value, "bytes", "pass bytes(value)")
    if len(value) > VALUE_BYTES_MAX - 3:
        raise too_big("bytes", len(value))
    return varint(len(value)) + value


def _decode_bytes(reader: Reader) -> bytes:
    return reader.blob(VALUE_BYTES_MAX - 3)


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def _check_datetime(value: Value) -> datetime:
    if type(value) is not datetime:
        raise wrong(value, "datetime", "pass a datetime")
    if value.utcoffset() is None:
        raise wrong(
            value,
            "datetime",
            "devices differ in their time zones, so name one: value.replace(tzinfo=UTC)",
        )
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise wrong(value, "datetime", "in UTC it is outside the years 1 to 9999") from None


def _encode_datetime(value: datetime) -> bytes:
    return varint(zigzag((_check_datetime(value) - _EPOCH) // _MICROSECOND))


def _decode_datetime(reader: Reader) -> datetime:
    microseconds = reader.zigzag()
    try:
        return _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        raise BadValue(f"a time outside the years 1 to 9999 at {reader.position}") from None


def _encode_uuid(value: UUID) -> bytes:
    if type(value) is not UUID:
        raise wrong(value, "UUID", "pass UUID(value)")
    return value.bytes


def _decode_uuid(reader: Reader) -> UUID:
    return UUID(bytes=reader.take(16))


def _scalar(name: str, python: type, encode: Encode, decode: Decode, zero: object) -> ValueType:
    return ValueType(name, python, encode, decode, checked(encode), zero=zero)


_FLOAT_TYPE: Final = ValueType(
    "float",
    float,
    _encode_float,
    _decode_float,
    _check_float,
    exact=False,
    key=False,  # NaN is unequal to itself, and -0.0 equal to 0.0
    zero=0.0,
)
_DATETIME_TYPE: Final = ValueType(
    "datetime", datetime, _encode_datetime, _decode_datetime, _check_datetime, exact=False
)
NONE: Final = ValueType(
    "none",
    type(None),
    _encode_none,
    _decode_none,
    checked(_encode_none),
    ordered=False,
    zero=None,
)

SCALARS: Final[dict[type, ValueType]] = {
    bool: _scalar("bool", bool, _encode_bool, _decode_bool, zero=False),
    int: _scalar("int", int, _encode_int, _decode_int, 0),
    float: _FLOAT_TYPE,
    str: _scalar("str", str, _encode_str, _decode_str, ""),
    bytes: _scalar("bytes", bytes, _encode_bytes, _decode_bytes, b""),
    datetime: _DATETIME_TYPE,
    UUID: _scalar("uuid", UUID, _encode_uuid, _decode_uuid, NO_ZERO),
    type(None): NONE,
}
"""The types without parameters, by the class that declares them."""
