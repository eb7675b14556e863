"""Values as JSON, read by a type: arguments of messages by annotations, values of fields.

Owns: that reading. May not know: requests, nodes.

    null, true, number, text   None, bool, int, float, str, and what text stands for:
                               bytes (hex), datetime (ISO), UUID, a Literal, an Enum by value
    a list                     tuple, list, set, frozenset
    an object                  dict with texts as keys, a dataclass by its fields

As for values in fields, types match exactly, and only an int is taken for a float. Of a
union the first member that fits is taken.
Source: API 'Capabilities' (values decode by schema); the way back is `api.text.plain`.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from enum import Enum
from typing import Any, Final, cast
from uuid import UUID

from comity.actor.actor_type import ActorType
from comity.base.errors import UsageError

__all__ = ["arguments_from_json", "value_from_json"]

_DEPTH_MAX: Final = 16
"""Types within types: as deep as those of values in fields."""

_PARSED: Final[dict[object, Callable[[str], Any]]] = {
    bytes: bytes.fromhex,
    datetime: datetime.fromisoformat,
    UUID: UUID,
}
"""What stands in JSON as a text."""

_MADE: Final[dict[object, Callable[[list[Any]], Any]]] = {
    tuple: tuple,
    list: list,
    set: set,
    frozenset: frozenset,
    Sequence: tuple,
    AbstractSet: frozenset,
}
"""What stands in JSON as a list, by the type or what it is a form of."""


class _Unfit(Exception):
    """A value does not fit a type."""


def arguments_from_json(
    actor_type: ActorType, method: str, found: Sequence[object]
) -> tuple[Any, ...]:
    """Return the arguments of a message; how many it takes is checked by who makes it.

    Raises: UsageError that names the parameter, the value and the type.
    """
    function = actor_type.methods[method]
    hints = typing.get_type_hints(function)
    parameters = actor_type.parameters(method)
    arguments: list[Any] = []
    for place, value in enumerate(found):
        parameter = parameters[min(place, len(parameters) - 1)] if parameters else None
        if parameter is None or (
            place >= len(parameters) and parameter.kind is not parameter.VAR_POSITIONAL
        ):
            raise UsageError(
                f"{actor_type.name}.{method} takes {len(parameters)} arguments, "
                f"not {len(found)}"
            )
        hint = hints.get(parameter.name, Any)
        try:
            arguments.append(_read(value, hint, 0))
        except _Unfit:
            raise UsageError(
                f"{value!r} does not fit the parameter {parameter.name!r} of "
                f"{actor_type.name}.{method}: it is a {_named(hint)}"
            ) from None
    return tuple(arguments)


def value_from_json(value: object, hint: object) -> Any:  # noqa: ANN401  (of that type)
    """Return a value of the type that a hint names. Raises: UsageError if it is none."""
    try:
        return _read(value, hint, 0)
    except _Unfit:
        raise UsageError(f"{value!r} does not fit: give a {_named(hint)}") from None


def _named(hint: object) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint)


def _read(value: object, hint: Any, depth: int) -> Any:  # noqa: ANN401
    """Read one value. Raises: _Unfit."""
    if depth > _DEPTH_MAX:
        raise _Unfit
    origin = typing.get_origin(hint)
    inner = typing.get_args(hint)
    if hint is Any:
        return value
    if origin is typing.Annotated:
        return _read(value, inner[0], depth + 1)
    if isinstance(hint, typing.NewType):
        return _read(value, hint.__supertype__, depth + 1)
    if origin is typing.Union or origin is types.UnionType:
        return _first(value, inner, depth + 1)
    if origin is typing.Literal:
        for each in inner:
            if type(each) is type(value) and each == value:
                return each
        raise _Unfit
    if (origin or hint) in _MADE:
        return _sequence(value, origin or hint, inner, depth + 1)
    if origin is dict or hint is dict or origin is Mapping:
        return _mapping(value, inner, depth + 1)
    return _scalar(value, hint, depth + 1)


def _first(value: object, members: tuple[Any, ...], depth: int) -> Any:  # noqa: ANN401
    for member in members:
        try:
            return _read(value, member, depth)
        except _Unfit:
            continue
    raise _Unfit


def _sequence(value: object, kind: object, inner: tuple[Any, ...], depth: int) -> Any:  # noqa: ANN401
    if not isinstance(value, list):
        raise _Unfit
    values = cast("list[object]", value)
    if kind is tuple and inner and inner[-1] is not Ellipsis:
        if len(values) != len(inner):
            raise _Unfit
        pairs = zip(values, inner, strict=True)
        return tuple(_read(each, hint, depth) for each, hint in pairs)
    hint = inner[0] if inner else Any
    return _MADE[kind]([_read(each, hint, depth) for each in values])


def _mapping(value: object, inner: tuple[Any, ...], depth: int) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise _Unfit
    key_hint, value_hint = inner or (str, Any)
    pairs = cast("dict[str, object]", value)
    return {
        _read(key, key_hint, depth): _read(each, value_hint, depth)
        for key, each in pairs.items()
    }


def _scalar(value: object, hint: Any, depth: int) -> Any:  # noqa: ANN401
    if hint is None or hint is types.NoneType:
        hint = types.NoneType
    if hint in {types.NoneType, bool, int, str} and type(value) is hint:
        return value
    if hint is float and type(value) in {int, float}:
        return float(cast("float", value))
    parse = _PARSED.get(hint)
    if parse is not None and isinstance(value, str):
        try:
            return parse(value)
        except ValueError:
            raise _Unfit from None
    if isinstance(hint, type) and issubclass(hint, Enum):
        found = [each for each in hint if type(each.value) is type(value)]
        for each in found:
            if each.value == value:
                return each
    if isinstance(hint, type) and dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return _record(cast("dict[str, object]", value), hint, depth)
    raise _Unfit


def _record(value: dict[str, object], made: type[Any], depth: int) -> Any:  # noqa: ANN401
    hints = typing.get_type_hints(made)
    names = {each.name for each in dataclasses.fields(made) if each.init}
    if not set(value) <= names:
        raise _Unfit
    read = {name: _read(each, hints[name], depth) for name, each in value.items()}
    try:
        return made(**read)
    except (TypeError, ValueError):
        raise _Unfit from None
