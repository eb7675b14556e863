"""Values as a person types and reads them: arguments from words, results as plain data.

Owns: the way from command-line words to the arguments of a message, by its annotations, and
from any value of a field or a reply to what JSON can say. May not know: nodes, terminals.

    word -> None, bool, int, float, str, bytes (hex), datetime (ISO), UUID, a Literal, a
            tuple (a JSON list), or a union of these: the first that fits, str last
    value -> null, true, number, text, list, object; bytes as hex, a set as a sorted list

A word that does not fit is a UsageError that names it, the parameter and what would fit.
Source: issue 2 (bad input); API 'The command line'.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import math
import types
import typing
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any, Final, cast
from uuid import UUID

from comity.actor.actor_type import ActorType
from comity.actor.message import Message
from comity.base.errors import UsageError
from comity.crdt.record import Record, fields_of

__all__ = ["message_from_words", "plain", "signatures"]

_TRUE: Final = ("true", "yes", "on", "1")
_FALSE: Final = ("false", "no", "off", "0")
_NONE: Final = ("none", "null")

_TEXTS: Final[dict[object, str]] = {
    type(None): "'none'",
    bool: "'true' or 'false'",
    int: "a whole number, such as 3",
    float: "a number, such as 2.5",
    bytes: "an even number of hexadecimal digits",
    datetime: "a time, such as 2030-01-31T12:00",
    UUID: "a UUID",
    str: "text",
}
"""What a word of each type looks like. In a union they are tried in this order."""


def message_from_words(actor_type: ActorType, method: str, words: Sequence[str]) -> Message:
    """Make a message from words as typed; `name=value` gives a keyword-only parameter.

    Raises: UsageError that names the word and the fix, and shows the signatures.
    """
    function = actor_type.methods.get(method)
    if function is None:
        raise UsageError(
            f"{actor_type.name} has no message {method!r}; its messages are"
            + "".join(f"\n  {each}" for each in signatures(actor_type))
        )
    hints = typing.get_type_hints(function)
    parameters = actor_type.parameters(method)
    named = {p.name: p for p in parameters if p.kind is p.KEYWORD_ONLY}
    positional: list[str] = []
    keywords: dict[str, Any] = {}
    for word in words:
        name, equals, rest = word.partition("=")
        if equals and name in named:
            keywords[name] = _parse(rest, hints.get(name, str), name)
        else:
            positional.append(word)
    arguments = _positional(actor_type, method, positional, hints)
    try:
        inspect.signature(function).bind(None, *arguments, **keywords)
    except TypeError as error:
        raise UsageError(f"{error}: the message is {_signature(actor_type, method)}") from None
    return Message(method, tuple(arguments), keywords)


def signatures(actor_type: ActorType) -> tuple[str, ...]:
    """Return every message as it is declared, without self, in order of names."""
    return tuple(_signature(actor_type, name) for name in sorted(actor_type.methods))


def plain(value: object) -> object:
    """Return a value as JSON can say it: equal values give equal results."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case bytes():
            return value.hex()
        case datetime():
            return value.isoformat()
        case Record():
            return {name: plain(each) for name, each in fields_of(value).items()}
        case Mapping():
            pairs = cast("Mapping[object, object]", value)
            found = {_key(key): plain(each) for key, each in pairs.items()}
            return dict(sorted(found.items()))
        case AbstractSet():
            members = [plain(each) for each in cast("AbstractSet[object]", value)]
            return sorted(members, key=lambda each: (type(each).__name__, json.dumps(each)))
        case list() | tuple():
            return [plain(each) for each in cast("Sequence[object]", value)]
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            names = (each.name for each in dataclasses.fields(value))
            return {name: plain(getattr(value, name)) for name in names}
        case _:
            return str(value)


def _key(key: object) -> str:
    said = plain(key)
    return said if isinstance(said, str) else json.dumps(said)


def _positional(
    actor_type: ActorType, method: str, words: Sequence[str], hints: Mapping[str, Any]
) -> list[Any]:
    """Parse words by the parameters that take positional arguments, in order."""
    taking = [
        each
        for each in actor_type.parameters(method)
        if each.kind is not each.KEYWORD_ONLY and each.kind is not each.VAR_KEYWORD
    ]
    found: list[Any] = []
    for place, word in enumerate(words):
        parameter = taking[min(place, len(taking) - 1)] if taking else None
        over = place >= len(taking) and (
            parameter is None or parameter.kind is not parameter.VAR_POSITIONAL
        )
        if parameter is None or over:
            raise UsageError(
                f"{word!r} is one argument too many: the message is "
                f"{_signature(actor_type, method)}"
            )
        found.append(_parse(word, hints.get(parameter.name, str), parameter.name))
    return found


def _signature(actor_type: ActorType, method: str) -> str:
    function = actor_type.methods[method]
    hints = typing.get_type_hints(function)
    shown: list[str] = []
    starred = False
    for each in actor_type.parameters(method):
        if each.kind is each.KEYWORD_ONLY and not starred:
            shown.append("*")
        starred = starred or each.kind in {each.KEYWORD_ONLY, each.VAR_POSITIONAL}
        star = "*" if each.kind is each.VAR_POSITIONAL else ""
        hint = f": {_named(hints[each.name])}" if each.name in hints else ""
        default = "" if each.default is each.empty else f" = {each.default!r}"
        shown.append(f"{star}{each.name}{hint}{default}")
    returns = f" -> {_named(hints['return'])}" if "return" in hints else ""
    return f"{method}({', '.join(shown)}){returns}"


def _named(hint: object) -> str:
    if hint is type(None):
        return "None"
    return hint.__name__ if isinstance(hint, type) and not typing.get_args(hint) else str(hint)


def _parse(word: str, hint: object, name: str) -> object:
    """Read one word as a type says, or say what was expected for the parameter."""
    choices = _choices(hint)
    for choice in choices:
        try:
            return _parse_one(word, choice)
        except ValueError:
            continue
    fits = " or ".join(_expected(choice) for choice in choices)
    raise UsageError(f"{word!r} does not fit the parameter {name!r}: give {fits}")


def _choices(hint: object) -> list[object]:
    """Return the members of a union in the order in which they are tried."""
    origin = typing.get_origin(hint)
    if origin is typing.Union or origin is types.UnionType:
        members = [each for part in typing.get_args(hint) for each in _choices(part)]
        order = list(_TEXTS)
        known = sorted((m for m in members if m in order), key=order.index)
        others = [member for member in members if member not in order]
        return [*(k for k in known if k is not str), *others, *(k for k in known if k is str)]
    return [hint]


def _expected(choice: object) -> str:
    if choice in _TEXTS:
        return _TEXTS[choice]
    if typing.get_origin(choice) is typing.Literal:
        return " or ".join(repr(str(each)) for each in typing.get_args(choice))
    return f"a JSON list for {choice}"


def _parse_one(word: str, choice: object) -> object:
    """Read a word as one type. Raises: ValueError if it is none; UsageError for the type."""
    lowered = word.lower()
    if choice is str or choice is Any:
        return word
    if choice is type(None):
        if lowered in _NONE:
            return None
        raise ValueError(word)
    if choice is bool:
        if lowered in _TRUE or lowered in _FALSE:
            return lowered in _TRUE
        raise ValueError(word)
    if choice is int:
        return int(word)
    if choice is float:
        return float(word)
    if choice is bytes:
        return bytes.fromhex(word)
    if choice is datetime:
        return datetime.fromisoformat(word)
    if choice is UUID:
        return UUID(word)
    origin = typing.get_origin(choice)
    if origin is typing.Literal:
        for each in typing.get_args(choice):
            if str(each) == word:
                return each
        raise ValueError(word)
    if origin is tuple:
        return _parse_tuple(word, typing.get_args(choice))
    raise UsageError(
        f"a value of type {_named(choice)} cannot be typed as a word: send it from a program"
    )


def _parse_tuple(word: str, members: tuple[Any, ...]) -> tuple[Any, ...]:
    found: object = json.loads(word)
    if not isinstance(found, list):
        raise ValueError(word)  # noqa: TRY004  (a word that does not fit, as all others)
    words = [
        each if isinstance(each, str) else json.dumps(each)
        for each in cast("list[object]", found)
    ]
    if len(members) == 2 and members[1] is ...:
        members = (members[0],) * len(words)
    if len(members) != len(words):
        raise ValueError(word)
    return tuple(
        _parse(each, kind, "an element") for each, kind in zip(words, members, strict=True)
    )
