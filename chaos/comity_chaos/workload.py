"""Work for an actor: messages with arguments made from the types of its methods.

Owns: which messages are sent and with what. May not know: worlds, faults. The same key draws
the same value; values are few, so that nodes collide, and short, so that a story can be told.
Every word is one that occurs nowhere else: the secrecy oracle looks for it in what leaves a
node (`CANARIES`).
Source: CHAOS 'User surface', 'Oracles', Confidentiality.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import inspect
import types
import typing
import uuid
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

from comity.actor.actor_type import ActorType
from comity.base.errors import UsageError
from comity_chaos.keyed import Keyed
from comity_chaos.plan import Drawn, Turn

__all__ = ["CANARIES", "draw_turn", "messages", "resolve"]

CANARIES: Final = (
    "aubergine",
    "buttermilk",
    "cardamom",
    "dandelion",
    "elderberry",
    "fennelseed",
)
"""The strings that work is done with."""

_INTS: Final = (1, 0, 2, 3, 10, -1)
_FLOATS: Final = (1.0, 0.0, -1.5, 0.1)
_BLOBS: Final = (b"", b"\x00", b"horseradish")
_MUTABLE: Final = (list, set, frozenset)
_DEPTH_MAX: Final = 4


def messages(actor_type: ActorType, only: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the messages that work is made of, in the order of the class.

    only: of these names. Raises: UsageError if there is none, or a parameter has no type.
    """
    names = tuple(name for name in actor_type.methods if not only or name in only)
    if not names:
        raise UsageError(f"{actor_type.name} has no message to send: give it a public method")
    for name in names:
        _parameters(actor_type, name)
    return names


def draw_turn(
    keyed: Keyed, actor_type: ActorType, names: Sequence[str], number: int, node: int
) -> Turn:
    """Return turn `number` of a run, for a node; its time is 0."""
    method = names[keyed.below(len(names), "method", number)]
    arguments = tuple(
        _plain(keyed, hint, number * 64 + place)
        for place, (_, hint) in enumerate(_parameters(actor_type, method))
    )
    return Turn(0, node, method, arguments)


def resolve(keyed: Keyed, actor_type: ActorType, turn: Turn) -> tuple[Any, ...]:
    """Return a turn's arguments, with what is only drawn by key drawn now."""
    if not any(isinstance(argument, Drawn) for argument in turn.arguments):
        return turn.arguments
    hints = [hint for _, hint in _parameters(actor_type, turn.method)]
    return tuple(
        _draw(keyed, hints[place], each.key, 0) if isinstance(each, Drawn) else each
        for place, each in enumerate(turn.arguments)
    )


def _parameters(actor_type: ActorType, method: str) -> list[tuple[str, Any]]:
    """Return (name, type) of each parameter that has to be given."""
    function = actor_type.methods[method]
    hints = typing.get_type_hints(function)
    found: list[tuple[str, Any]] = []
    for parameter in actor_type.parameters(method):
        given_by_place = parameter.kind in {
            inspect.Parameter.POSITIONAL_ONLY,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
        }
        if parameter.default is not inspect.Parameter.empty or not given_by_place:
            continue
        if parameter.name not in hints:
            raise UsageError(
                f"{actor_type.name}.{method}: parameter {parameter.name!r} has no type, so no "
                "value can be made for it: annotate it"
            )
        found.append((parameter.name, hints[parameter.name]))
    return found


def _plain(keyed: Keyed, hint: Any, key: int) -> Any:  # noqa: ANN401
    """Return a value that a plan can hold as it is, or a `Drawn`."""
    value = _draw(keyed, hint, key, 0)
    return value if _is_plain(value) else Drawn(key)


def _is_plain(value: object) -> bool:
    if isinstance(value, enum.Enum):
        return False
    if isinstance(value, tuple):
        parts = cast("tuple[object, ...]", value)
        return not hasattr(parts, "_fields") and all(map(_is_plain, parts))
    return value is None or isinstance(value, bool | int | float | str | bytes)


def _draw(keyed: Keyed, hint: Any, key: int, depth: int) -> Any:  # noqa: ANN401
    """Draw a value of a type."""
    simple: dict[Any, Sequence[Any]] = {
        bool: (True, False),
        int: _INTS,
        float: _FLOATS,
        str: CANARIES,
        bytes: _BLOBS,
        types.NoneType: (None,),
        None: (None,),
        Any: CANARIES,
        object: CANARIES,
    }
    found = simple.get(hint)
    if found is not None:
        return found[keyed.below(len(found), "value", key, depth)]
    if hint is dt.datetime:
        return dt.datetime(2026, 1, 1 + keyed.below(28, "day", key), tzinfo=dt.UTC)
    if hint is uuid.UUID:
        return uuid.UUID(int=keyed.below(4, "uuid", key))
    if inspect.isclass(hint) and issubclass(hint, enum.Enum):
        members: list[Any] = list(hint)
        return members[keyed.below(len(members), "member", key)]
    return _draw_compound(keyed, hint, key, depth + 1)


def _draw_compound(keyed: Keyed, hint: Any, key: int, depth: int) -> Any:  # noqa: ANN401
    if depth > _DEPTH_MAX:
        raise UsageError(f"{hint!r} is nested too deeply to make values of")
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    inner = key * 8
    if origin in {typing.Union, types.UnionType}:
        return _draw(keyed, arguments[keyed.below(len(arguments), "arm", key)], inner, depth)
    if origin is typing.Literal:
        return arguments[keyed.below(len(arguments), "arm", key)]
    if origin is typing.Annotated:
        return _draw(keyed, arguments[0], key, depth)
    if origin is tuple and not (len(arguments) == 2 and arguments[1] is Ellipsis):
        return tuple(
            _draw(keyed, each, inner + place, depth) for place, each in enumerate(arguments)
        )
    if origin in {tuple, list, set, frozenset, Sequence}:
        count = keyed.below(3, "count", key)
        values = [_draw(keyed, arguments[0], inner + place, depth) for place in range(count)]
        kind = cast("Callable[[list[Any]], Any]", origin if origin in _MUTABLE else tuple)
        return kind(values)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        hints = typing.get_type_hints(hint)
        return hint(
            **{
                each.name: _draw(keyed, hints[each.name], inner + place, depth)
                for place, each in enumerate(dataclasses.fields(hint))
                if each.init and each.default is dataclasses.MISSING
            }
        )
    raise UsageError(
        f"no values can be made of type {hint!r}: name the messages to send, or send "
        "them from a scenario of your own"
    )
