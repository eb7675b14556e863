"""Values made of values: unions, tuples, constants, enums and records.

Owns: the encoding of types with parameters. May not know: how users spell them.

    T | None        00 | 01 T
    A | B           index among the sorted names | value
    tuple[A, B]     A B
    tuple[A, ...]   varint count | values
    enum, literal   varint index among the sorted names
    record          its fields, in order

Source: API 'Replicated types' (values); the rules of `codec` hold here too.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, Final

from comity.base.canonical import Reader, varint
from comity.base.errors import UsageError
from comity.base.limits import VALUE_BYTES_MAX
from comity.crdt.codec import (
    NO_ZERO,
    NONE,
    BadValue,
    Decode,
    Encode,
    Value,
    ValueType,
    checked,
    too_big,
    wrong,
)

__all__ = ["enum", "homogeneous", "literal", "optional", "record", "sequence", "union"]


def _bounded(name: str, encode: Encode, decode: Decode) -> tuple[Encode, Decode]:
    """Hold a composite to the size of one value, on both sides."""

    def encode_bounded(value: Value) -> bytes:
        data = encode(value)
        if len(data) > VALUE_BYTES_MAX:
            raise too_big(name, len(data))
        return data

    def decode_bounded(reader: Reader) -> Value:
        start = reader.position
        value = decode(reader)
        if reader.position - start > VALUE_BYTES_MAX:
            raise BadValue(f"a value of {reader.position - start} bytes at {start}")
        return value

    return encode_bounded, decode_bounded


def optional(item: ValueType) -> ValueType:
    """Return the type of `item` or None."""
    name = f"{item.name}|none"

    def write(value: Value) -> bytes:
        return b"\x00" if value is None else b"\x01" + item.encode(value)

    def read(reader: Reader) -> Value:
        tag = reader.u8()
        if tag > 1:
            raise BadValue(f"neither None nor a value at {reader.position}")
        return item.decode(reader) if tag else None

    def check(value: Value) -> Value:
        return None if value is None else item.check(value)

    encode, decode = _bounded(name, write, read)
    return ValueType(
        name,
        None,
        encode,
        decode,
        check if not item.exact else checked(encode),
        exact=item.exact,
        key=item.key,
        ordered=False,
        zero=None,
    )


_APART: Final = frozenset({"none", "int", "str", "bytes", "datetime", "uuid"})
"""Types of which no value equals a value of another one of them."""


_COMPOSITE: Final = ("tuple<", "{")
"""How names of tuples and records begin: one of these is apart from all scalars."""


def union(items: tuple[ValueType, ...]) -> ValueType:
    """Return the type of a value that is of one of several types; order does not matter.

    A value takes the first type, by name, whose class is its own; else the first that fits.
    """
    types = tuple(sorted(items, key=lambda item: item.name))
    name = "(" + "|".join(item.name for item in types) + ")"
    assert len({item.name for item in types}) == len(types) > 1

    def find(value: Value) -> tuple[int, Value]:
        own = [i for i, item in enumerate(types) if item.python is type(value)]
        for index in own or range(len(types)):
            try:
                return index, types[index].check(value)
            except UsageError as error:
                last = error
                if len(own) == 1:
                    raise last from None
        raise wrong(value, name, "pass a value of one of these types")

    def write(value: Value) -> bytes:
        index, found = find(value)
        return bytes((index,)) + types[index].encode(found)

    def read(reader: Reader) -> Value:
        index = reader.u8()
        if index >= len(types):
            raise BadValue(f"type {index} of {len(types)} at {reader.position}")
        return types[index].decode(reader)

    encode, decode = _bounded(name, write, read)

    def check(value: Value) -> Value:
        encode(value)
        return find(value)[1]

    others = [item for item in types if item.name not in _APART]
    apart = len(others) <= 1 and all(item.name.startswith(_COMPOSITE) for item in others)
    return ValueType(
        name,
        None,
        encode,
        decode,
        check,
        exact=all(item.exact for item in types),
        key=apart and all(item.key for item in types),
        ordered=False,
        zero=None if NONE in types else NO_ZERO,
    )


def _is_tuple(value: object) -> bool:
    return type(value) is tuple


def sequence(items: tuple[ValueType, ...]) -> ValueType:
    """Return the type of a tuple of fixed length, at least 1."""
    assert items
    name = "tuple<" + ",".join(item.name for item in items) + ">"
    count = len(items)

    def fit(value: Value) -> None:
        if not _is_tuple(value) or len(value) != count:
            raise wrong(value, name, f"pass a tuple of {count} items")

    def write(value: Value) -> bytes:
        fit(value)
        return b"".join([item.encode(each) for item, each in zip(items, value, strict=True)])

    def read(reader: Reader) -> Value:
        return tuple([item.decode(reader) for item in items])

    encode, decode = _bounded(name, write, read)

    def check(value: Value) -> Value:
        encode(value)
        if exact:
            return value
        return tuple(item.check(each) for item, each in zip(items, value, strict=True))

    exact = all(item.exact for item in items)
    return ValueType(
        name,
        tuple,
        encode,
        decode,
        check,
        exact=exact,
        key=all(item.key for item in items),
        ordered=all(item.ordered for item in items),
    )


def homogeneous(item: ValueType) -> ValueType:
    """Return the type of a tuple of any length, all items of one type."""
    name = f"tuple<{item.name},...>"

    def write(value: Value) -> bytes:
        if not _is_tuple(value):
            raise wrong(value, name, "pass tuple(value)")
        return varint(len(value)) + b"".join([item.encode(each) for each in value])

    def read(reader: Reader) -> Value:
        count = reader.varint()
        if count > min(reader.left, VALUE_BYTES_MAX):
            raise BadValue(f"{count} items in {reader.left} bytes at {reader.position}")
        return tuple([item.decode(reader) for _ in range(count)])

    encode, decode = _bounded(name, write, read)

    def check(value: Value) -> Value:
        encode(value)
        return value if item.exact else tuple(item.check(each) for each in value)

    return ValueType(
        name,
        tuple,
        encode,
        decode,
        check,
        exact=item.exact,
        key=item.key,
        ordered=item.ordered,
        zero=(),
    )


def literal(values: tuple[Value, ...]) -> ValueType:
    """Return the type of one of a few constants: None, bool, int, str or bytes."""
    ordered = sorted(values, key=lambda value: (type(value).__name__, repr(value)))
    name = "literal<" + ",".join(repr(value) for value in ordered) + ">"
    index: dict[tuple[type[Any], Value], bytes] = {
        (type(value), value): varint(i) for i, value in enumerate(ordered)
    }

    def encode(value: Value) -> bytes:
        data = index.get((type(value), value)) if isinstance(value, _CONSTANT) else None
        if data is None:
            raise wrong(value, name, "pass one of these")
        return data

    def decode(reader: Reader) -> Value:
        at = reader.varint()
        if at >= len(ordered):
            raise BadValue(f"constant {at} of {len(ordered)} at {reader.position}")
        return ordered[at]

    return ValueType(
        name,
        None,
        encode,
        decode,
        checked(encode),
        key=len(set(ordered)) == len(ordered),
        ordered=False,
        zero=None if None in ordered else NO_ZERO,
    )


_CONSTANT: Final = (type(None), bool, int, str, bytes)


def enum(cls: type[Enum]) -> ValueType:
    """Return the type of the members of an Enum, which are written by their names' order."""
    members = sorted(cls, key=lambda member: member.name)
    name = "enum<" + ",".join(member.name for member in members) + ">"
    index = {member.name: varint(i) for i, member in enumerate(members)}

    def encode(value: Value) -> bytes:
        data = index.get(value.name) if type(value) is cls else None
        if data is None:
            raise wrong(value, name, f"pass a member of {cls.__name__}")
        return data

    def decode(reader: Reader) -> Value:
        at = reader.varint()
        if at >= len(members):
            raise BadValue(f"member {at} of {len(members)} at {reader.position}")
        return members[at]

    return ValueType(name, cls, encode, decode, checked(encode), ordered=False)


def record(
    cls: type,
    fields: dict[str, ValueType],
    make: Callable[[tuple[Value, ...]], Value],
    *,
    key: bool,
) -> ValueType:
    """Return the type of a frozen dataclass or struct.

    make: builds an instance from the values of the fields, in order, running no user code.
    """
    name = "{" + ",".join(f"{each}:{item.name}" for each, item in fields.items()) + "}"
    pairs = tuple(fields.items())
    items = tuple(fields.values())
    assert items

    def write(value: Value) -> bytes:
        if type(value) is not cls:
            raise wrong(value, cls.__name__, f"pass an instance of {cls.__name__}")
        return b"".join([item.encode(getattr(value, each)) for each, item in pairs])

    def read(reader: Reader) -> Value:
        return make(tuple([item.decode(reader) for item in items]))

    encode, decode = _bounded(name, write, read)

    def check(value: Value) -> Value:
        encode(value)
        if exact:
            return value
        return make(tuple(item.check(getattr(value, each)) for each, item in pairs))

    exact = all(item.exact for item in items)
    return ValueType(
        name,
        cls,
        encode,
        decode,
        check,
        exact=exact,
        key=key and all(item.key for item in items),
        ordered=False,
    )
