"""The replicated fields of one actor class, from its annotations.

Owns: names, tags and merge laws of fields, and the check of a class with all errors at once.
May not know: actors, cells, how annotations are collected.

A field's tag is the first 4 bytes of BLAKE2b(name || 0 || law): the law names the type and
its parameters ('map<str,bool>'), so devices whose declarations merge differently never mix
operations; they keep and relay what they do not know.
Source: PROTOCOL section 2 (field id), API 'A whole application'.
"""

from __future__ import annotations

import typing
from collections import abc
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from comity.base.errors import UsageError
from comity.crdt.bounded import BoundedCounter, BoundedLaw
from comity.crdt.causality import Causality
from comity.crdt.descriptor import UNSET, FieldOptions, field
from comity.crdt.elements import Elements
from comity.crdt.escrow import Escrow
from comity.crdt.flag import Flag, FlagLaw
from comity.crdt.laws import CounterLaw, KeyedLaw, Law, RegisterLaw
from comity.crdt.list_law import ListLaw
from comity.crdt.list_view import List
from comity.crdt.tally import INCREMENT_MAX
from comity.crdt.text.law import TextLaw
from comity.crdt.value import NO_ZERO, ValueType, value_type
from comity.crdt.views import Counter, Map, Register, Set, Text
from comity.crdt.writer import Writer
from comity.crdt.writes import Writes
from comity.crypto.hashing import PERSON_FIELD, blake2b

__all__ = ["TAG_BYTES", "Field", "FieldOptions", "Schema", "field"]

TAG_BYTES: Final = 4
"""A field's tag: short, since every turn carries it; two of one actor never share one."""

Hint = Any
"""An annotation; `typing` has no type for all of them."""

_KINDS: Final[dict[object, int]] = {
    Register: 1,
    Counter: 0,
    BoundedCounter: 0,
    Set: 1,
    Map: 2,
    Text: 0,
    Flag: 0,
    List: 1,
}
"""The replicated types and how many parameters each takes."""

_FIXES: Final[dict[object, str]] = {
    list: "use comity's List[T], or Register[tuple[T, ...]] if it is replaced as a whole",
    abc.Sequence: "use List[T], or Register[tuple[T, ...]] if it is replaced as a whole",
    abc.MutableSequence: "use List[T]",
    tuple: "use Register[tuple[...]]",
    set: "use Set[T]",
    frozenset: "use Set[T]",
    abc.Set: "use comity's Set[T], not that of collections.abc",
    abc.MutableSet: "use Set[T]",
    dict: "use Map[K, V]",
    abc.Mapping: "use Map[K, V]",
    abc.MutableMapping: "use Map[K, V]",
    int: "use Counter if it is added to, BoundedCounter if it may not fall below a floor, "
    "Register[int] if it is set",
    bool: "use Flag",
    str: "use Register[str] if it is set, Text if several people type in it",
    float: "use Register[float]",
    bytes: "use Register[bytes]",
}


@dataclass(frozen=True, slots=True)
class Field:
    """One replicated field.

    name: the attribute. law: the type and its parameters. tag: 4 bytes, in every operation.
    key: type of the keys of a map or the elements of a set. value: of a register or a map.
    default: what an unset register reads; of a bounded counter the floor.
    """

    name: str
    law: str
    tag: bytes
    kind: type
    key: ValueType | None
    value: ValueType | None
    default: object

    def make(
        self, writer: Writer, causality: Causality, hidden: set[int], withdrawn: set[int]
    ) -> tuple[Law, object]:
        """Return the empty state of the field in one actor, and the view of it.

        hidden, withdrawn: as in `State`.
        """
        label = f"{self.kind.__name__} {self.name!r}"
        if self.kind is BoundedCounter:
            assert isinstance(self.default, int)
            escrow = Escrow(causality, withdrawn)
            bounded = BoundedLaw(label, self.tag, self.default, writer, escrow)
            return bounded, BoundedCounter(bounded)
        if self.kind is Counter:
            counter = CounterLaw(label, self.tag, writer, hidden)
            return counter, Counter(counter)
        if self.kind is Text:
            text = TextLaw(label, self.tag, writer, causality, hidden)
            return text, Text(text)
        if self.kind is Flag:
            flag = FlagLaw(label, writer, Writes(self.tag, causality, hidden, None))
            return flag, Flag(flag)
        if self.kind is Register:
            assert self.value is not None
            writes = Writes(self.tag, causality, hidden, None)
            register = RegisterLaw(label, self.value, self.default, writer, writes)
            view: Register[Any] = Register(register)
            return register, view
        if self.kind is List:
            assert self.value is not None
            elements = Elements(self.tag, causality)
            items = ListLaw(label, self.value, writer, elements, hidden)
            listed: List[Any] = List(items)
            return items, listed
        assert self.key is not None
        order = None if self.key.ordered else self.key.encode
        writes = Writes(self.tag, causality, hidden, order)
        keyed = KeyedLaw(label, self.key, self.value, writer, writes)
        both: Map[Any, Any] | Set[Any] = Set(keyed) if self.kind is Set else Map(keyed)
        return keyed, both


class Schema:
    """The fields of one actor class, in the order of their declaration."""

    __slots__ = ("_options", "fields", "owner")

    def __init__(
        self, owner: str, fields: tuple[Field, ...], options: dict[str, FieldOptions]
    ) -> None:
        """Keep checked fields; see `from_hints`."""
        self.owner = owner
        self.fields = fields
        self._options = options

    @classmethod
    def from_hints(
        cls, owner: str, hints: Mapping[str, object], options: Mapping[str, FieldOptions]
    ) -> Schema:
        """Check resolved annotations and make their schema.

        owner: name of the class, for errors.
        Raises: UsageError with one line for each wrong field, and the fix of each.
        """
        fields: list[Field] = []
        wrong: list[str] = []
        for name, hint in hints.items():
            try:
                fields.append(_field(name, hint, options.get(name, FieldOptions())))
            except UsageError as error:
                wrong.append(f"{name}: {error}")
        wrong.extend(
            f"{name}: has options but no annotation: write {name}: Register[...] = field(...)"
            for name in options
            if name not in hints
        )
        wrong.extend(_collisions(fields))
        if wrong:
            raise UsageError(f"{owner} cannot be replicated:\n  " + "\n  ".join(wrong))
        return cls(owner, tuple(fields), dict(options))

    def install(self, owner: type) -> None:
        """Make each field a descriptor of the class; doing it again is fine."""
        for index, each in enumerate(self.fields):
            given = self._options.get(each.name, FieldOptions())
            setattr(owner, each.name, replace(given, index=index))


def _field(name: str, hint: Hint, options: FieldOptions) -> Field:
    origin = _origin(hint)
    arguments = typing.get_args(hint)
    parameters = _KINDS.get(origin) if isinstance(origin, abc.Hashable) else None
    if parameters is None or not isinstance(origin, type):
        raise UsageError(_not_replicated(hint, origin))
    if len(arguments) != parameters:
        needed = ", ".join(("T",) if parameters == 1 else ("K", "V"))
        raise UsageError(
            f"{origin.__name__} must say what is in it: {origin.__name__}[{needed}]"
        )
    types = tuple(_parameter(each) for each in arguments)
    law = origin.__name__.lower()
    if types:
        law += "<" + ",".join(each.name for each in types) + ">"
    floor = _floor(origin, options)
    if origin is BoundedCounter:
        law += f"<{floor}>"
    key = types[0] if origin in (Set, Map) else None
    value = types[-1] if origin in (Register, Map, List) else None
    if key is not None and not key.key:
        raise UsageError(
            f"{key.name} has values that Python calls equal and bytes do not (such as 0.0 and "
            "-0.0, or 1 and True), so it cannot be a key: use int, str or a tuple of them"
        )
    known = name if options.id is None else options.id
    if not 0 < len(known.encode()) <= 255:
        raise UsageError(f"the id {known!r} must have 1 to 255 bytes")
    tag = blake2b(known.encode() + b"\0" + law.encode(), person=PERSON_FIELD)[:TAG_BYTES]
    default = _default(origin, value, options)
    return Field(name, law, tag, origin, key, value, default if floor is None else floor)


def _origin(hint: Hint) -> Hint:
    origin: Hint = typing.get_origin(hint)
    return hint if origin is None else origin


def _parameter(hint: Hint) -> ValueType:
    origin = _origin(hint)
    if isinstance(origin, abc.Hashable) and origin in _KINDS:
        raise UsageError(
            f"{hint} cannot be inside another field: use a tuple as the key, such as "
            "Map[tuple[str, str], int]"
        )
    return value_type(hint)


def _floor(origin: type, options: FieldOptions) -> int | None:
    """Return the floor of a bounded counter, None for other types."""
    if origin is not BoundedCounter:
        if options.floor is not None:
            raise UsageError(f"a {origin.__name__} has no floor: declare a BoundedCounter")
        return None
    floor = 0 if options.floor is None else options.floor
    if type(floor) is not int or abs(floor) > INCREMENT_MAX:
        raise UsageError(
            f"the floor {floor!r} must be an int, {INCREMENT_MAX} either way at most"
        )
    return floor


def _default(origin: type, value: ValueType | None, options: FieldOptions) -> object:
    if origin is not Register:
        if options.default is not UNSET:
            raise UsageError(f"a {origin.__name__} starts empty: leave out default=")
        return None
    assert value is not None
    if options.default is not UNSET:
        return value.check(options.default)
    if value.zero is NO_ZERO:
        raise UsageError(
            f"{value.name} has no natural first value: give one with field(default=...), or "
            "declare it | None"
        )
    return value.zero


def _not_replicated(hint: Hint, origin: Hint) -> str:
    fix = _FIXES.get(origin) if isinstance(origin, abc.Hashable) else None
    if fix is None:
        fix = (
            "use Register[T], Flag, Counter, BoundedCounter, Set[T], Map[K, V], List[T] or "
            "Text; for plain local state assign it in on_start, or annotate it ClassVar"
        )
    shown = hint.__name__ if isinstance(hint, type) else hint
    return f"{shown} is not a replicated type: {fix}"


def _collisions(fields: list[Field]) -> list[str]:
    first: dict[bytes, str] = {}
    wrong: list[str] = []
    for each in fields:
        other = first.setdefault(each.tag, each.name)
        if other != each.name:
            wrong.append(
                f"{each.name}: has the tag of {other}: give one of them another field(id=...)"
            )
    return wrong
