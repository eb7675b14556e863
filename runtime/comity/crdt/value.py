"""From a type hint to a `ValueType`: what users may declare a value as.

Owns: the reading of hints. May not know: bytes (`codec`), fields, turns.

Values are immutable, and mean the same on every device:
- None, bool, int (up to 512 bytes), float, str, bytes, UUID;
- datetime with a time zone; it is kept, and read, in UTC. Without one it is refused: devices
  differ in their zones;
- tuple[A, B], tuple[A, ...], A | B, Literal, Enum;
- frozen dataclasses and frozen msgspec structs, by their declared fields, without
  `__post_init__`: a peer's bytes never run code. msgspec is not needed, and not imported;
- generic classes of Comity itself that say how they are written (`ValueClass`), as `Ref[A]`.
Types match exactly: a subclass of str or a bool for an int is refused, since the subclass
would be lost; only an int for a float is converted, as type checkers accept it.
The name of a type is part of the law of a field, and holds members and fields: adding a
member to an Enum makes another law.
Source: API 'Replicated types' (values).
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections import abc
from collections.abc import Callable
from enum import Enum, Flag
from typing import Any, Final, Protocol, runtime_checkable

from comity.base.canonical import Reader
from comity.base.errors import UsageError
from comity.crdt import codec, composite
from comity.crdt.codec import NO_ZERO, BadValue, Value, ValueType

__all__ = ["NO_ZERO", "BadValue", "Reader", "ValueClass", "ValueType", "value_type"]

Hint = Any
"""A type as users spell it; `typing` has no type for all of them."""

DEPTH_MAX: Final = 16
"""Types within types: deeper than any record that is read, shallow for the stack."""

_MEMBERS_MAX: Final = 127
"""Types in a union: the index is one byte."""

_TUPLE_FIX: Final = "use tuple[T, ...], which is immutable"
_FIXES: Final[dict[object, str]] = {
    list: _TUPLE_FIX,
    abc.Sequence: _TUPLE_FIX,
    set: "use a Set field, or tuple[T, ...]",
    frozenset: "use a Set field, or tuple[T, ...]",
    dict: "use a Map field, or a frozen dataclass",
    abc.Mapping: "use a Map field, or a frozen dataclass",
    bytearray: "use bytes",
    memoryview: "use bytes",
    complex: "use tuple[float, float]",
    object: "say which types it may have, for example int | str",
    Any: "say which types it may have, for example int | str",
    tuple: "say what is in it: tuple[int, ...] or tuple[str, int]",
}


@runtime_checkable
class ValueClass(Protocol):
    """A generic class that says itself how its values are written."""

    def comity_value(self, parameters: tuple[object, ...]) -> ValueType:
        """Return the type of its values, of these parameters. Raises: UsageError."""
        ...


def value_type(hint: object) -> ValueType:
    """Return how values of the declared type are checked, written and read.

    Raises: UsageError if values of it cannot be replicated; it names the fix.
    """
    return _resolve(hint, ())


def _resolve(hint: Hint, path: tuple[type[Any], ...]) -> ValueType:
    if len(path) > DEPTH_MAX:
        raise UsageError(f"{_show(hint)} lies deeper than {DEPTH_MAX} levels: flatten the type")
    if hint is None:
        return codec.NONE
    origin: object = typing.get_origin(hint)
    arguments = typing.get_args(hint)
    inner = (*path, _Level)
    if origin is typing.Annotated:
        return _resolve(arguments[0], path)
    if isinstance(hint, typing.NewType):
        return _resolve(hint.__supertype__, path)
    if origin is typing.Union or origin is types.UnionType:
        return _union(hint, arguments, inner)
    if origin is tuple:
        return _tuple(hint, arguments, inner)
    if origin is typing.Literal:
        return _literal(hint, arguments)
    named: object = hint if origin is None else origin
    if isinstance(named, type) and isinstance(named, ValueClass):
        return named.comity_value(arguments)
    if origin is None and isinstance(hint, type):
        return _class(hint, path)
    alias = getattr(hint, "__value__", None)  # `type X = ...` of Python 3.12
    if alias is not None:
        return _resolve(alias, inner)
    raise _unsupported(hint, origin)


class _Level:
    """Stands in a path for a level that is not a class."""


def _class(hint: type[Any], path: tuple[type[Any], ...]) -> ValueType:
    scalar = codec.SCALARS.get(hint)
    if scalar is not None:
        return scalar
    if hint in path:
        raise UsageError(f"{_show(hint)} refers to itself: a value is a finite tree of values")
    if issubclass(hint, Enum):
        return _enum(hint)
    inner = (*path, hint)
    if hasattr(hint, "__dataclass_fields__"):
        return _dataclass(hint, inner)
    if hasattr(hint, "__struct_fields__"):
        return _struct(hint, inner)
    raise _unsupported(hint, None)


def _unsupported(hint: Hint, origin: object) -> UsageError:
    fix = _FIXES.get(origin if origin is not None else hint) if _is_hashable(hint) else None
    if fix is None and isinstance(hint, type) and issubclass(hint, tuple):
        fix = "use a frozen dataclass"
    if fix is None and isinstance(hint, type):
        fix = "declare a frozen dataclass with what is to be kept of it"
    if fix is None:
        fix = (
            "use None, bool, int, float, str, bytes, datetime, UUID, tuples or records of them"
        )
    return UsageError(f"{_show(hint)} is not a value: {fix}")


def _is_hashable(hint: object) -> bool:
    return isinstance(hint, abc.Hashable)


def _show(hint: Hint) -> str:
    return str(getattr(hint, "__name__", hint)) if isinstance(hint, type) else str(hint)


def _union(hint: object, arguments: tuple[Any, ...], path: tuple[type[Any], ...]) -> ValueType:
    found = {item.name: item for item in (_resolve(each, path) for each in arguments)}
    if len(found) < len(arguments):
        raise UsageError(
            f"{_show(hint)} names two types that are written alike: use one of them"
        )
    if len(found) > _MEMBERS_MAX:
        raise UsageError(f"{_show(hint)} has {len(found)} types, the most is {_MEMBERS_MAX}")
    if len(found) == 2 and codec.NONE.name in found:
        del found[codec.NONE.name]
        return composite.optional(next(iter(found.values())))
    return composite.union(tuple(found.values()))


def _tuple(hint: object, arguments: tuple[Any, ...], path: tuple[type[Any], ...]) -> ValueType:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return composite.homogeneous(_resolve(arguments[0], path))
    if not arguments:
        raise UsageError(f"{_show(hint)} holds nothing: use None")
    return composite.sequence(tuple(_resolve(each, path) for each in arguments))


def _literal(hint: object, arguments: tuple[Any, ...]) -> ValueType:
    odd = [each for each in arguments if type(each) not in {type(None), bool, int, str, bytes}]
    if odd:
        raise UsageError(f"{_show(hint)}: {odd[0]!r} cannot be a constant: use the Enum itself")
    return composite.literal(arguments)


def _enum(hint: type[Enum]) -> ValueType:
    if issubclass(hint, Flag):
        raise UsageError(f"{_show(hint)} is a Flag, whose members combine: use int, or a Set")
    if not len(hint):
        raise UsageError(f"{_show(hint)} has no members: add some")
    return composite.enum(hint)


def _no_code(hint: type[Any]) -> None:
    if hasattr(hint, "__post_init__"):
        raise UsageError(
            f"{_show(hint)} has a __post_init__, which would not run on other devices: check "
            "values where a message is handled"
        )


def _hints(hint: type[Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(hint, include_extras=True)
    except NameError as error:
        raise UsageError(
            f"{_show(hint)}: an annotation names something unknown ({error}): import it at "
            "the top of the module, not under TYPE_CHECKING"
        ) from None


def _dataclass(hint: type[Any], path: tuple[type[Any], ...]) -> ValueType:
    parameters: Any = getattr(hint, "__dataclass_params__")  # noqa: B009  (not in the stubs)
    if not parameters.frozen:
        raise UsageError(f"{_show(hint)} can change: declare it @dataclass(frozen=True)")
    _no_code(hint)
    fields = dataclasses.fields(hint)
    if not fields or not all(each.init for each in fields):
        raise UsageError(f"{_show(hint)} needs fields, all of them arguments of its __init__")
    hints = _hints(hint)
    names = tuple(each.name for each in fields)

    def make(values: tuple[Value, ...]) -> Value:
        made: Value = object.__new__(hint)
        for name, value in zip(names, values, strict=True):
            object.__setattr__(made, name, value)
        return made

    return composite.record(
        hint,
        {name: _resolve(hints[name], path) for name in names},
        make,
        key=parameters.eq and all(each.compare for each in fields),
    )


def _struct(hint: Hint, path: tuple[type[Any], ...]) -> ValueType:
    config = hint.__struct_config__
    if not config.frozen:
        raise UsageError(f"{_show(hint)} can change: declare it with frozen=True")
    _no_code(hint)
    names: tuple[str, ...] = hint.__struct_fields__
    if not names:
        raise UsageError(f"{_show(hint)} has no fields: add some")
    hints = _hints(hint)
    build: Callable[..., Any] = hint

    def make(values: tuple[Value, ...]) -> Value:
        return build(**dict(zip(names, values, strict=True)))

    fields = {name: _resolve(hints[name], path) for name in names}
    return composite.record(hint, fields, make, key=bool(config.eq))
