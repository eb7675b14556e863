"""What users derive their records from: a value of several fields, each of them replicated.

Owns: the Python face of a record, the reading of its class. May not know: causality, bytes,
turns.

    class Item(Record):                 self.items: Map[str, Item]
        title: Text                     self.items["a"] = Item(title="milk")
        done: Flag = field()            self.items["a"].title.insert(0, "oat ")

    given      made by its user: immutable plain values, to assign
    shown      what a field or a key holds: reads and writes go to its state
    frozen     in a snapshot: immutable plain values of all fields

All three are of the user's class, and equal if their fields read alike.
Source: API 'A whole application', decision 31.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from types import MappingProxyType
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    NoReturn,
    Self,
    cast,
    dataclass_transform,
)

from comity.base.errors import UsageError
from comity.crdt.descriptor import FieldOptions
from comity.crdt.flag import Flag
from comity.crdt.list_view import List
from comity.crdt.record_law import RecordLaw
from comity.crdt.shape import Member, shape_of
from comity.crdt.views import Counter, Register, Text

__all__ = ["Record", "fields_of"]


class _Kept:
    """The fields of a record that stands nowhere: values, which nobody changes.

    names: the fields that it was given.
    """

    __slots__ = ("label", "names", "views")

    def __init__(self, label: str, names: tuple[str, ...], views: tuple[object, ...]) -> None:
        self.label = label
        self.names = names
        self.views = views

    @property
    def comity_state(self) -> _Kept:
        """Return itself: it holds the fields."""
        return self

    @property
    def laws(self) -> Any:  # noqa: ANN401  (asked for only to write)
        """Refuse to be written."""
        raise UsageError(
            f"this {self.label} is a copy and does not change: assign it to a field or under a "
            "key, and change what is there"
        )


class _Shown:
    """The fields of a record that stands in an actor."""

    __slots__ = ("comity_state",)

    def __init__(self, law: RecordLaw) -> None:
        self.comity_state = law


@dataclass_transform(kw_only_default=True)
class Record:
    """Several replicated fields in one: `class Item(Record): title: Text; done: Flag`.

    It stands in a field, under a key or in a list: `items: Map[str, Item]`. Assigning
    `Item(title="milk")` puts a new one there, whose other fields are empty;
    `self.items["a"].done = True` changes what is there, and merges as such a field does.
    A copy, from `Item(...)` or from a snapshot, holds plain values and does not change.
    """

    __slots__ = ("_comity_cell",)
    __hash__ = None  # type: ignore[assignment]  # its fields change

    def __init__(self, **given: Any) -> None:
        """Hold values for some fields; those left out are empty."""
        cls = type(self)
        members = _members(cls)
        unknown = [name for name in given if name not in members]
        if unknown:
            known = ", ".join(members)
            raise UsageError(f"{cls.__name__} has no field {unknown[0]!r}; it has: {known}")
        values = tuple(
            _plain(given[name]) if name in given else each.shape.blank
            for name, each in members.items()
        )
        _hold(self, _Kept(cls.__name__, tuple(given), values))

    if not TYPE_CHECKING:  # it would allow any attribute

        def __setattr__(self, name: str, value: object) -> None:
            if name not in _members(type(self)):
                raise UsageError(
                    f"{type(self).__name__} has no field {name!r}: annotate it, as in "
                    f"`{name}: Text`"
                )
            object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> NoReturn:
        raise UsageError(f"{name!r} is a field: assign what it shall hold")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return _values(self) == _values(other)

    def __repr__(self) -> str:
        pairs = zip(_members(type(self)), _views(self), strict=True)
        inside = ", ".join([f"{name}={value!r}" for name, value in pairs])
        return f"{type(self).__name__}({inside})"

    # ------------------------------------------------------------------ for `shape`

    @classmethod
    def comity_declared(cls) -> tuple[dict[str, object], dict[str, FieldOptions]]:
        """Return the annotations and the options of a class of records.

        Raises: UsageError if an annotation does not resolve, or a field has a plain value.
        """
        hints: dict[str, object] = {}
        options: dict[str, FieldOptions] = {}
        for base in _bases(cls):
            resolved = _hints(base)
            for name in inspect.get_annotations(base):
                if typing.get_origin(resolved[name]) is not ClassVar:
                    hints[name] = resolved[name]
            for name, value in vars(base).items():
                if isinstance(value, FieldOptions):
                    options[name] = value
                elif name in hints and name in inspect.get_annotations(base):
                    raise UsageError(
                        f"{cls.__qualname__}.{name}: a field takes no plain value: write "
                        "field(default=...), or leave it out"
                    )
        return hints, options

    @classmethod
    def comity_install(cls, members: tuple[Member, ...]) -> None:
        """Make each field a descriptor of the class; doing it again is fine."""
        given = cls.comity_declared()[1]
        for index, each in enumerate(members):
            options = given.get(each.name, FieldOptions())
            setattr(cls, each.name, replace(options, index=index))
        _checked[cls] = {each.name: each for each in members}

    @classmethod
    def comity_given(cls, value: object, label: str) -> Mapping[str, object]:
        """Return what a record was given for its fields; all that it shows if it is a view.

        Raises: UsageError if `value` is no record of this class.
        """
        if not isinstance(value, cls):
            raise UsageError(
                f"{label} cannot be set to {value!r}: assign {cls.__name__}(...), or change "
                "its fields"
            )
        state = _state(value)
        names = tuple(_members(cls))
        pairs = dict(zip(names, _values(value), strict=True))
        return (
            {name: pairs[name] for name in state.names} if isinstance(state, _Kept) else pairs
        )

    @classmethod
    def comity_frozen(cls, values: tuple[object, ...]) -> Record:
        """Return an immutable record of the values of all fields."""
        made = cls.__new__(cls)
        _hold(made, _Kept(cls.__name__, tuple(_members(cls)), values))
        return made

    @classmethod
    def comity_view(cls, law: RecordLaw) -> Record:
        """Return a record that shows a state."""
        made = cls.__new__(cls)
        _hold(made, _Shown(law))
        return made

    def __copy__(self) -> Self:
        """Return an immutable copy."""
        return self.comity_frozen(_values(self))  # type: ignore[return-value]

    def __deepcopy__(self, memo: object) -> Self:
        """Return an immutable copy: what it holds is immutable itself."""
        _ = memo
        return self.__copy__()

    def __iter__(self) -> NoReturn:
        message = f"a {type(self).__name__} is no sequence: name its fields"
        raise TypeError(message)


def fields_of(record: Record) -> dict[str, object]:
    """Return the fields of a record by name, as immutable plain values."""
    return dict(zip(_members(type(record)), _values(record), strict=True))


_checked: dict[type[Record], dict[str, Member]] = {}
"""The fields of each class of records, checked at its first use."""


def _members(cls: type[Record]) -> dict[str, Member]:
    found = _checked.get(cls)
    if found is None:
        shape_of(cls)
        found = _checked[cls]
    return found


def _hold(record: Record, keeper: _Kept | _Shown) -> None:
    object.__setattr__(record, "_comity_cell", keeper)


def _state(record: Record) -> _Kept | RecordLaw:
    keeper: _Kept | _Shown = object.__getattribute__(record, "_comity_cell")
    return keeper.comity_state


def _views(record: Record) -> tuple[object, ...]:
    return _state(record).views


def _values(record: Record) -> tuple[object, ...]:
    """Return immutable values of all fields."""
    state = _state(record)
    if isinstance(state, _Kept):
        return state.views
    return tuple([law.snapshot() for law in state.laws])


def _plain(value: object) -> object:
    """Return what a user gave for a field as it is at this moment."""
    if isinstance(value, Record):
        return value.__copy__()
    if isinstance(value, Counter | Flag | Register | Text):
        return cast("Register[object]", value).value
    if isinstance(value, Mapping):
        pairs = cast("Mapping[object, object]", value).items()
        return MappingProxyType({key: _plain(each) for key, each in pairs})
    if isinstance(value, AbstractSet):
        return frozenset(cast("AbstractSet[object]", value))
    if isinstance(value, List | list):
        return tuple([_plain(each) for each in cast("Sequence[object]", value)])
    return value


def _bases(cls: type[Record]) -> Iterator[type[Record]]:
    for base in reversed(cls.__mro__):
        if base is not Record and issubclass(base, Record):
            yield base


def _hints(base: type[Record]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(base, include_extras=True)
    except (AttributeError, NameError) as error:
        raise UsageError(
            f"{base.__qualname__}: an annotation names something unknown ({error}): import it "
            "at the top of the module, not under TYPE_CHECKING"
        ) from None
    except (SyntaxError, TypeError) as error:
        raise UsageError(
            f"{base.__qualname__}: an annotation is not a type ({error}): write it like "
            "Register[str]"
        ) from None
