"""What a field, or a value inside one, is declared as: its type and how to make its state.

Owns: the reading of annotations of replicated types, their laws' names, names and tags of the
fields of one class, and the check of it with all errors at once. May not know: actors.

The law names the type and its parameters, such as 'map<str,bool>' or 'map<str,counter>'.
Of a record it names no fields, so that these can come and go: each has a tag of its own.
Source: API 'A whole application', decisions 7, 16, 31 and 36.
"""

from __future__ import annotations

import types
import typing
from collections import abc
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Protocol, runtime_checkable

from comity.base.errors import UsageError
from comity.crdt.bounded import BoundedCounter
from comity.crdt.causality import Causality
from comity.crdt.descriptor import UNSET, FieldOptions
from comity.crdt.elements import Elements
from comity.crdt.flag import Flag, FlagLaw
from comity.crdt.laws import CounterLaw, KeyedLaw, Law, RegisterLaw
from comity.crdt.list_law import ListLaw
from comity.crdt.list_view import List
from comity.crdt.nested_law import NestedLaw
from comity.crdt.nested_view import NestedMap
from comity.crdt.record_law import RecordLaw
from comity.crdt.rules import Rule, rule_of
from comity.crdt.tally import INCREMENT_MAX
from comity.crdt.text.law import TextLaw
from comity.crdt.tree_law import TreeLaw
from comity.crdt.tree_view import Tree
from comity.crdt.upgrade import Parse, Upgrade, upgraded
from comity.crdt.value import NO_ZERO, ValueClass, ValueType, value_type
from comity.crdt.views import Counter, Map, Register, Set, Text
from comity.crdt.writer import OpenTurn, Writer
from comity.crdt.writes import Writes
from comity.crypto.hashing import PERSON_FIELD, blake2b

__all__ = ["TAG_BYTES", "Member", "RecordClass", "Shape", "members_of", "shape_of"]

Hint = Any
"""An annotation; `typing` has no type for all of them."""

DEPTH_MAX: Final = 8
"""Types within types: as deep as anybody reads, shallow for the stack."""

TAG_BYTES: Final = 4
"""A field's tag: short, since every turn carries it; two of one class never share one."""

_KINDS: Final[dict[object, int]] = {
    Register: 1,
    Counter: 0,
    BoundedCounter: 0,
    Set: 1,
    Map: 2,
    Text: 0,
    Flag: 0,
    List: 1,
    Tree: 1,
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


@runtime_checkable
class RecordClass(Protocol):
    """A class of records; `record.Record` is what users derive them from."""

    def comity_declared(self) -> tuple[dict[str, object], dict[str, FieldOptions]]:
        """Return its annotations and the options of its fields. Raises: UsageError."""
        ...

    def comity_install(self, members: tuple[Member, ...]) -> None:
        """Take the checked fields."""
        ...

    def comity_given(self, value: object, label: str) -> Mapping[str, object]:
        """Return what a record was given for its fields. Raises: UsageError if it is none."""
        ...

    def comity_frozen(self, values: tuple[object, ...]) -> object:
        """Return an immutable record of the values of all fields."""
        ...

    def comity_view(self, law: RecordLaw) -> object:
        """Return what shows the state of a record."""
        ...


@dataclass(frozen=True, slots=True)
class Member:
    """One field of an actor or of a record.

    name: the attribute. tag: 4 bytes, in every operation. shape: what it was declared as.
    rule: what may be written to it and by whom; None for no rule.
    former: by tag, what reads the operations that older versions wrote.
    """

    name: str
    tag: bytes
    shape: Shape
    rule: Rule | None = None
    former: Mapping[bytes, Parse] = field(default_factory=dict[bytes, Parse])


@dataclass(frozen=True, slots=True)
class Shape:
    """A replicated type with its parameters. Implements `nested_law.Maker`.

    law: the type and its parameters. key: type of the keys of a map or the elements of a set.
    value: of a register, a list or a map. inner: of a map of replicated values, what they
    are; `value` is None then. default: what an unset register reads; the floor of a bounded
    counter. members: of a record, its fields. record: of a record, its class.
    bare: the attribute reads as the register's value. needed: and never as None.
    """

    law: str
    kind: type
    key: ValueType | None = None
    value: ValueType | None = None
    inner: Shape | None = None
    default: object = None
    members: tuple[Member, ...] = ()
    record: RecordClass | None = None
    bare: bool = False
    needed: bool = False

    @property
    def is_replaced(self) -> bool:
        """Whether assigning puts a new value in the place of the present one."""
        return self.record is not None

    @property
    def blank(self) -> object:
        """What a snapshot of it is while nothing was written."""
        if self.record is not None:
            return self.record.comity_frozen(tuple(each.shape.blank for each in self.members))
        if self.kind in _BLANKS:
            return _BLANKS[self.kind]
        return self.default

    def make(
        self, label: str, tag: bytes, writer: OpenTurn, causality: Causality, hidden: set[int]
    ) -> tuple[Law, object]:
        """Return an empty state, and the view of it; of a bounded counter, `Field` does."""
        assert self.kind is not BoundedCounter
        if self.record is not None:
            return self._record(self.record, label, tag, writer, (causality, hidden))
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
        if self.kind is Tree:
            assert self.value is not None
            nodes = TreeLaw(label, self.value, writer, Elements(tag, causality), hidden)
            tree: Tree[Any] = Tree(nodes)
            return nodes, tree
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

    def _record(
        self,
        record: RecordClass,
        label: str,
        tag: bytes,
        writer: OpenTurn,
        scope: tuple[Causality, set[int]],
    ) -> tuple[Law, object]:
        law = RecordLaw(label, tag, writer, record.comity_given, record.comity_frozen)
        members = self.members
        law.join(
            tuple([each.name for each in members]),
            [
                each.shape.make(f"{label}.{each.name}", each.tag, law.inside, *scope)
                for each in members
            ],
            tuple([each.shape.blank for each in members]),
            {tag: (each.name, read) for each in members for tag, read in each.former.items()},
        )
        return law, record.comity_view(law)


_BLANKS: Final[dict[type, object]] = {
    Counter: 0,
    Text: "",
    Flag: False,
    Set: frozenset(),
    Map: MappingProxyType({}),
    List: (),
    Tree: (),
}
"""What is in a snapshot of each type while nothing was written; of a register its default."""


def members_of(
    said: str,
    hints: Mapping[str, object],
    options: Mapping[str, FieldOptions],
    *,
    depth: int = 0,
) -> tuple[Member, ...]:
    """Return the fields that resolved annotations and their options declare.

    said: what an error begins with. depth: how many types are around them.
    Raises: UsageError with one line for each wrong field, and the fix of each.
    """
    members: list[Member] = []
    wrong: list[str] = []
    for name, hint in hints.items():
        try:
            members.append(_member(name, hint, options.get(name, FieldOptions()), depth))
        except UsageError as error:
            wrong.append(f"{name}: {error}")
    wrong.extend(
        f"{name}: has options but no annotation: write {name}: Register[...] = field(...)"
        for name in options
        if name not in hints
    )
    wrong.extend(_collisions(members))
    if wrong:
        raise UsageError(f"{said}:\n  " + "\n  ".join(wrong))
    return tuple(members)


def _member(name: str, hint: object, options: FieldOptions, depth: int) -> Member:
    shape = shape_of(hint, options.default, options.floor, depth=depth)
    renamed = name if options.was is None else options.was
    known = renamed if options.id is None else options.id
    if options.id is not None and options.was is not None:
        raise UsageError(f"id={options.id!r} and was={options.was!r} say the same: give one")
    former: dict[bytes, Parse] = {}
    given = options.upgrades
    for each in given if isinstance(given, tuple) else (given,):
        old_name = each.name or known
        old = shape_of(each.old, _ANYTHING, depth=depth)
        former[_tag(old_name, old)] = _former(shape, old, each)
    rule = None if options.rule is None else rule_of(options.rule)
    if rule is not None and depth:
        raise UsageError(
            "a rule stands on a field of the actor, and holds for all that is in it: "
            "move it there"
        )
    return Member(name, _tag(known, shape), shape, rule, former)


_ANYTHING: Final = object()
"""The default of a former type: nobody reads it."""


def _tag(known: str, shape: Shape) -> bytes:
    if not 0 < len(known.encode()) <= 255:
        raise UsageError(f"the id {known!r} must have 1 to 255 bytes")
    data = known.encode() + b"\0" + shape.law.encode()
    return blake2b(data, person=PERSON_FIELD)[:TAG_BYTES]


def _former(new: Shape, old: Shape, upgrade: Upgrade) -> Parse:
    same = new.kind is old.kind and _law_of(new.key) == _law_of(old.key)
    if new.kind not in {Register, Map} or not same or old.value is None:
        raise UsageError(
            f"{old.law} cannot be upgraded to {new.law}: the values of a Register or of a Map "
            "can be, while the rest stays what it is; copy others in a message"
        )
    assert new.value is not None
    nowhere: Any = None  # parsing asks for no causality
    law, _ = old.make("", b"", Writer(), nowhere, set())
    return upgraded(new.kind.__name__, law, upgrade.convert, new.value)


def _law_of(key: ValueType | None) -> str:
    return "" if key is None else key.name


def _collisions(members: list[Member]) -> list[str]:
    first: dict[bytes, str] = {}
    wrong: list[str] = []
    for each in members:
        other = first.setdefault(each.tag, each.name)
        if other != each.name:
            wrong.append(
                f"{each.name}: has the tag of {other}: give one of them another field(id=...)"
            )
    for each in members:
        for tag in each.former:
            other = first.setdefault(tag, each.name)
            if other != each.name or tag == each.tag:
                wrong.append(f"{each.name}: upgrades what {other} is: leave one of them out")
    return wrong


def shape_of(
    hint: Hint, default: object = UNSET, floor: int | None = None, *, depth: int = 0
) -> Shape:
    """Return what an annotation of a replicated type stands for.

    default: what an unset register reads; UNSET for the zero of its type. floor: of a bounded
    counter; None for 0. depth: how many types are around it.
    Raises: UsageError if it is none, or its parameters do not fit; it names the fix.
    """
    origin = _origin(hint)
    arguments = typing.get_args(hint)
    if (named := _reference(hint)) is not None:
        return _reference_shape(
            named, hint, plain=default is UNSET and floor is None and not depth
        )
    if not _is_replicated(origin):
        raise UsageError(_not_replicated(hint, origin))
    if depth > DEPTH_MAX:
        raise UsageError(
            f"{hint} lies deeper than {DEPTH_MAX} levels: flatten it; a type cannot be inside "
            "itself"
        )
    if depth and origin is BoundedCounter:
        raise UsageError(
            "a BoundedCounter cannot be inside a map or a record, where a deletion would take "
            "rights from devices that have not seen it: make it a field of its own, or use "
            "Counter"
        )
    if isinstance(origin, RecordClass):
        return _record_shape(origin, default, floor, depth)
    parameters = _KINDS[origin]
    if len(arguments) != parameters:
        needed = ", ".join(("T",) if parameters == 1 else ("K", "V"))
        raise UsageError(
            f"{origin.__name__} must say what is in it: {origin.__name__}[{needed}]"
        )
    inner = None
    if origin is Map and _is_replicated(_origin(arguments[1])):
        inner = shape_of(arguments[1], depth=depth + 1)
    parts = tuple(_parameter(each, origin) for each in arguments[: 1 if inner else None])
    names = [each.name for each in parts] + ([inner.law] if inner else [])
    law = origin.__name__.lower() + (f"<{','.join(names)}>" if names else "")
    given = _default(origin, None if inner or not parts else parts[-1], default)
    if origin is BoundedCounter:
        given = _floor(floor)
        law += f"<{given}>"
    elif floor is not None:
        raise UsageError(f"a {origin.__name__} has no floor: declare a BoundedCounter")
    key = parts[0] if origin in (Set, Map) else None
    value = parts[-1] if origin in (Register, Map, List, Tree) and inner is None else None
    if key is not None and not key.key:
        raise UsageError(
            f"{key.name} has values that Python calls equal and bytes do not (such as 0.0 and "
            "-0.0, or 1 and True), so it cannot be a key: use int, str or a tuple of them"
        )
    return Shape(law, origin, key, value, inner, given)


def _record_shape(record: RecordClass, default: object, floor: int | None, depth: int) -> Shape:
    assert isinstance(record, type)
    if default is not UNSET or floor is not None:
        raise UsageError(f"{record.__name__} starts empty: leave out default= and floor=")
    said = f"the record {record.__qualname__} cannot be replicated"
    declared = record.comity_declared()
    if not declared[0]:
        raise UsageError(f"{said}: it has no fields: annotate some, as in `title: Text`")
    members = members_of(said, *declared, depth=depth + 1)
    record.comity_install(members)
    return Shape("record", record, members=members, record=record)


def _reference(hint: Hint) -> Hint | None:
    """Return the member of `Ref[A]` or of `Ref[A] | None` that is no None, if it is one."""
    origin: object = typing.get_origin(hint)
    found: list[Hint] = [hint]
    if origin is typing.Union or origin is types.UnionType:
        found = [each for each in typing.get_args(hint) if each is not types.NoneType]
    own = _origin(found[0])
    is_one = len(found) == 1 and isinstance(own, type) and isinstance(own, ValueClass)
    return found[0] if is_one else None


def _reference_shape(named: Hint, hint: Hint, *, plain: bool) -> Shape:
    """Return a register that reads as its value. plain: no options, and of an actor."""
    if not plain:
        raise UsageError(
            f"{hint} starts as None, without default= and floor=, and stands on an actor: "
            f"inside a record, or where older versions had it, write Register[{named} | None]"
        )
    value = value_type(typing.Optional[named])  # noqa: UP045  (of a value, not in a hint)
    needed = typing.get_origin(hint) is typing.get_origin(named)
    return Shape(f"register<{value.name}>", Register, value=value, bare=True, needed=needed)


def _is_replicated(origin: Hint) -> bool:
    return isinstance(origin, type) and (origin in _KINDS or isinstance(origin, RecordClass))


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
        if default is not UNSET and default is not _ANYTHING:
            raise UsageError(f"a {origin.__name__} starts empty: leave out default=")
        return None
    assert value is not None
    if default is _ANYTHING:
        return None
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
            "use Register[T], Flag, Counter, BoundedCounter, Set[T], Map[K, V], List[T], Text, "
            "Tree[T] or a Record; for plain local state assign it in on_start, or annotate it "
            "ClassVar"
        )
    shown = hint.__name__ if isinstance(hint, type) else hint
    return f"{shown} is not a replicated type: {fix}"
