"""What a field, or a value inside one, is declared as: its type and how to make its state.

Owns: the reading of annotations of replicated types, their laws' names. May not know: fields'
names and tags (`schema`), actors.

The law names the type and its parameters, such as 'map<str,bool>' or 'map<str,counter>'.
Source: API 'A whole application', decision 16.
"""

from __future__ import annotations

import typing
from collections import abc
from dataclasses import dataclass
from typing import Any, Final

from comity.base.errors import UsageError
from comity.crdt.bounded import BoundedCounter
from comity.crdt.causality import Causality
from comity.crdt.descriptor import UNSET
from comity.crdt.elements import Elements
from comity.crdt.flag import Flag, FlagLaw
from comity.crdt.laws import CounterLaw, KeyedLaw, Law, RegisterLaw
from comity.crdt.list_law import ListLaw
from comity.crdt.list_view import List
from comity.crdt.nested_law import NestedLaw
from comity.crdt.nested_view import NestedMap
from comity.crdt.tally import INCREMENT_MAX
from comity.crdt.text.law import TextLaw
from comity.crdt.value import NO_ZERO, ValueType, value_type
from comity.crdt.views import Counter, Map, Register, Set, Text
from comity.crdt.writer import OpenTurn
from comity.crdt.writes import Writes

__all__ = ["Shape", "shape_of"]

Hint = Any
"""An annotation; `typing` has no type for all of them."""

DEPTH_MAX: Final = 8
"""Maps within maps: as deep as anybody reads, shallow for the stack."""

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
class Shape:
    """A replicated type with its parameters. Implements `nested_law.Maker`.

    law: the type and its parameters. key: type of the keys of a map or the elements of a set.
    value: of a register, a list or a map. inner: of a map of replicated values, what they
    are; `value` is None then. default: what an unset register reads; the floor of a bounded
    counter.
    """

    law: str
    kind: type
    key: ValueType | None = None
    value: ValueType | None = None
    inner: Shape | None = None
    default: object = None

    def make(
        self, label: str, tag: bytes, writer: OpenTurn, causality: Causality, hidden: set[int]
    ) -> tuple[Law, object]:
        """Return an empty state, and the view of it; of a bounded counter, `Field` does."""
        assert self.kind is not BoundedCounter
        if self.kind is Counter:
            counter = CounterLaw(label, tag, writer, hidden)
            return counter, Counter(counter)
        if self.kind is Text:
            text = TextLaw(label, tag, writer, causality, hidden)
            return text, Text(text)
        if self.kind is Flag:
            flag = FlagLaw(label, writer, Writes(tag, causality, hidden, None))
            return flag, Flag(flag)
        if self.kind is Register:
            assert self.value is not None
            writes = Writes(tag, causality, hidden, None)
            register = RegisterLaw(label, self.value, self.default, writer, writes)
            view: Register[Any] = Register(register)
            return register, view
        if self.kind is List:
            assert self.value is not None
            items = ListLaw(label, self.value, writer, Elements(tag, causality), hidden)
            listed: List[Any] = List(items)
            return items, listed
        assert self.key is not None
        order = None if self.key.ordered else self.key.encode
        writes = Writes(tag, causality, hidden, order)
        if self.inner is not None:
            scope = causality, hidden
            nested = NestedLaw(label, self.key, self.inner, writer, writes, scope)
            inside: NestedMap[Any, Any] = NestedMap(nested)
            return nested, inside
        keyed = KeyedLaw(label, self.key, self.value, writer, writes)
        both: Map[Any, Any] | Set[Any] = Set(keyed) if self.kind is Set else Map(keyed)
        return keyed, both


def shape_of(
    hint: Hint, default: object = UNSET, floor: int | None = None, *, depth: int = 0
) -> Shape:
    """Return what an annotation of a replicated type stands for.

    default: what an unset register reads; UNSET for the zero of its type. floor: of a bounded
    counter; None for 0. depth: how many maps are around it.
    Raises: UsageError if it is none, or its parameters do not fit; it names the fix.
    """
    origin = _origin(hint)
    arguments = typing.get_args(hint)
    if not _is_replicated(origin):
        raise UsageError(_not_replicated(hint, origin))
    if depth > DEPTH_MAX:
        raise UsageError(f"{hint} lies deeper than {DEPTH_MAX} levels: flatten it")
    if depth and origin is BoundedCounter:
        raise UsageError(
            "a BoundedCounter cannot be inside a map, where a deletion would take rights from "
            "devices that have not seen it: make it a field of its own, or use Counter"
        )
    parameters = _KINDS[origin]
    if len(arguments) != parameters:
        needed = ", ".join(("T",) if parameters == 1 else ("K", "V"))
        raise UsageError(
            f"{origin.__name__} must say what is in it: {origin.__name__}[{needed}]"
        )
    inner = None
    if origin is Map and _is_replicated(_origin(arguments[1])):
        inner = shape_of(arguments[1], depth=depth + 1)
    types = tuple(_parameter(each, origin) for each in arguments[: 1 if inner else None])
    names = [each.name for each in types] + ([inner.law] if inner else [])
    law = origin.__name__.lower() + (f"<{','.join(names)}>" if names else "")
    given = _default(origin, None if inner or not types else types[-1], default)
    if origin is BoundedCounter:
        given = _floor(floor)
        law += f"<{given}>"
    elif floor is not None:
        raise UsageError(f"a {origin.__name__} has no floor: declare a BoundedCounter")
    key = types[0] if origin in (Set, Map) else None
    value = types[-1] if origin in (Register, Map, List) and inner is None else None
    if key is not None and not key.key:
        raise UsageError(
            f"{key.name} has values that Python calls equal and bytes do not (such as 0.0 and "
            "-0.0, or 1 and True), so it cannot be a key: use int, str or a tuple of them"
        )
    return Shape(law, origin, key, value, inner, given)


def _is_replicated(origin: Hint) -> bool:
    return isinstance(origin, type) and origin in _KINDS


def _origin(hint: Hint) -> Hint:
    origin: Hint = typing.get_origin(hint)
    return hint if origin is None else origin


def _parameter(hint: Hint, around: type) -> ValueType:
    if _is_replicated(_origin(hint)):
        shown = hint.__name__ if isinstance(hint, type) else hint
        raise UsageError(
            f"{shown} cannot be inside a {around.__name__}, nor a key: replicated types stand "
            f"under the keys of a map, as in Map[str, {shown}]"
        )
    return value_type(hint)


def _floor(floor: int | None) -> int:
    floor = 0 if floor is None else floor
    if type(floor) is not int or abs(floor) > INCREMENT_MAX:
        raise UsageError(
            f"the floor {floor!r} must be an int, {INCREMENT_MAX} either way at most"
        )
    return floor


def _default(origin: type, value: ValueType | None, default: object) -> object:
    if origin is not Register:
        if default is not UNSET:
            raise UsageError(f"a {origin.__name__} starts empty: leave out default=")
        return None
    assert value is not None
    if default is not UNSET:
        return value.check(default)
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
