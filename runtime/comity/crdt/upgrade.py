"""What an older version of a class wrote to a field, read as what the field is now.

Owns: the declaration of an upgrade, and how operations of the former type become those of the
present one. May not know: actors, records, tags.

    price: Register[str] = field(upgrades=Upgrade(Register[int], str))

    bytes of the former field --its law parses--> values --convert--> operations of the field

So a write of an old version merges with those of new ones as any write of its moment would, and
is undone and hidden like any other. Old versions do not see what new ones write: they keep it
and pass it on. A value that cannot be converted is refused everywhere alike.
Lists and texts cannot be upgraded: positions count in what their author saw, and an old version
does not see what new ones inserted.
Source: decision 7.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from comity.base.canonical import Reader
from comity.base.errors import UsageError
from comity.crdt.codec import BadValue, Value, ValueType
from comity.crdt.laws import Law
from comity.crdt.writes import ABSENT

__all__ = ["Parse", "Upgrade", "upgraded"]

Parse = Callable[[Reader], Value]
"""Reads the operations of a turn, for the `fold` of a law; raises Malformed."""


@dataclass(frozen=True, slots=True)
class Upgrade:
    """A type that a field had in an older version of the class, and what becomes of a value.

    old: the annotation then, such as `Register[int]`; a Register or a Map of plain values, as
    the field is now. convert: returns the new value for an old one; it is run on every
    device, so it must return the same on all and depend on nothing else. name: of the field
    then, if it had another one.
    """

    old: object
    convert: Callable[[Any], Any]
    name: str | None = None


def upgraded(kind: str, old: Law, convert: Callable[[Any], Any], new: ValueType) -> Parse:
    """Return what reads operations of a former law as those of the present one.

    kind: 'Register' or 'Map'. old: any state of the former law. new: the type of values now.
    """

    def value(former: Value) -> Value:
        try:
            return new.check(convert(former))
        except UsageError as error:
            raise BadValue(f"an old value became a wrong one: {error}") from None
        except Exception as error:  # noqa: BLE001  (the user's function, on a peer's value)
            name = type(error).__name__
            raise BadValue(f"an old value could not be upgraded: {name}") from None

    def parse_register(reader: Reader) -> Value:
        return value(old.parse(reader))

    def parse_map(reader: Reader) -> Value:
        entries: dict[Any, Any] = old.parse(reader)
        return {key: each if each is ABSENT else value(each) for key, each in entries.items()}

    return parse_map if kind == "Map" else parse_register
