"""Parcels: the arguments and replies of messages as bytes, by their declared types.

Owns: what may travel, how a message is told from another version of it, and which errors
travel. May not know: devices, envelopes, who may send what.

Types travel as values of fields do (`crdt.value`), and beside them list, dict, set and
frozenset of them. Both sides go by their own declaration; the `shape`, a hash of names and
types, travels along, so that two that differ refuse each other instead of misreading. A
receiver takes also the shapes that leave out its last parameters with defaults: an older or a
narrower sender.
Nothing in the bytes names a class or a module.
Source: API 'Capabilities' ('Values decode by schema, never by import path'); decision 27.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import FunctionType, NoneType
from typing import Any, ClassVar, Final

from comity.actor.awaiting import Interrupted
from comity.actor.errand import RemoteError
from comity.actor.message import RAISES
from comity.actor.waits import DeadlockError
from comity.base.canonical import Malformed, Reader, varint
from comity.base.endings import Ending
from comity.base.errors import UsageError
from comity.base.limits import LETTER_BYTES_MAX
from comity.crdt.value import ValueType, value_type
from comity.crypto.hashing import PERSON_SHAPE, blake2b

__all__ = ["Parcels", "Refused", "declared_errors"]

_SHAPE_BYTES: Final = 8
_COUNT_MAX: Final = 1 << 16
_ERROR_NAME_BYTES: Final = 256

Hint = Any


class Refused(UsageError):
    """The other device does not take the message; the text is what it says."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """How values of one declared type travel."""

    name: str
    encode: Callable[[Any], bytes]
    decode: Callable[[Reader], Any]


def _kind(hint: Hint) -> _Kind:
    origin: Any = typing.get_origin(hint)
    arguments = typing.get_args(hint)
    if origin in {list, set, frozenset} and len(arguments) == 1:
        return _many(origin, _kind(arguments[0]))
    if origin is dict and len(arguments) == 2:
        return _dict(_kind(arguments[0]), _kind(arguments[1]))
    bare: object = hint
    if bare is list or bare is dict or bare is set or bare is frozenset:
        name = hint.__name__
        raise UsageError(f"{name} does not say what is in it: write {name}[...]")
    plain: ValueType = value_type(hint)
    return _Kind(plain.name, plain.encode, plain.decode)


def _many(make: type[Any], item: _Kind) -> _Kind:
    def encode(value: Iterable[Any]) -> bytes:
        if type(value) is not make:
            raise UsageError(f"{value!r} where {make.__name__} is declared")
        parts = [item.encode(each) for each in value]
        if make is not list:
            parts.sort()
        return varint(len(parts)) + b"".join(parts)

    def decode(reader: Reader) -> object:
        return make(item.decode(reader) for _ in range(_count(reader)))

    return _Kind(f"{make.__name__}[{item.name}]", encode, decode)


def _dict(key: _Kind, value: _Kind) -> _Kind:
    def encode(given: dict[Any, Any]) -> bytes:
        if type(given) is not dict:
            raise UsageError(f"{given!r} where dict is declared")
        parts = [key.encode(k) + value.encode(v) for k, v in given.items()]
        return varint(len(parts)) + b"".join(parts)

    def decode(reader: Reader) -> object:
        return {key.decode(reader): value.decode(reader) for _ in range(_count(reader))}

    return _Kind(f"dict[{key.name},{value.name}]", encode, decode)


def _count(reader: Reader) -> int:
    count = reader.varint()
    if count > min(reader.left, _COUNT_MAX):  # each takes a byte or more
        raise Malformed(f"{count} items in {reader.left} bytes")
    return count


_ARGUMENT: Final = value_type(bool | int | float | str | bytes | None)
"""What the arguments of an error that travels may be."""


def declared_errors(function: Callable[..., Any]) -> tuple[type[Exception], ...]:
    """Return the errors that a message declares: those travel to its sender."""
    found: tuple[type[Exception], ...] = getattr(function, RAISES, ())
    return found


class Parcels:
    """The parcels of one message, as one side declares it."""

    __slots__ = (
        "_errors",
        "_kinds",
        "_names",
        "_positional",
        "_result",
        "_signature",
        "shapes",
    )

    _made: ClassVar[dict[Callable[..., Any], Parcels]] = {}

    def __init__(self, function: FunctionType) -> None:
        """Read a declaration. Raises: UsageError that says what cannot travel, and the fix."""
        name = function.__qualname__
        parameters = list(inspect.signature(function).parameters.values())[1:]
        odd = [
            each for each in parameters if each.kind in {each.VAR_KEYWORD, each.VAR_POSITIONAL}
        ]
        if odd:
            raise UsageError(
                f"{name}: *{odd[0].name} cannot travel to another device: name its parameters"
            )
        hints = _hints(function)
        missing = [each.name for each in parameters if each.name not in hints]
        if missing or "return" not in hints:
            what = missing[0] if missing else "what it returns"
            raise UsageError(
                f"{name}: annotate {what}, so that other devices know how to write it"
            )
        self._names = tuple(each.name for each in parameters)
        try:
            self._kinds = tuple(_kind(hints[each]) for each in self._names)
            self._result = _kind(hints["return"])
        except UsageError as error:
            raise UsageError(f"{name} cannot travel to another device: {error}") from None
        self._signature = inspect.signature(function)
        self._errors = {each.__name__: each for each in declared_errors(function)}
        required = sum(each.default is each.empty for each in parameters)
        own = function.__name__
        self._positional = all(each.kind is not each.KEYWORD_ONLY for each in parameters)
        self.shapes: dict[bytes, int] = {
            self._shape(own, count): count for count in range(required, len(parameters) + 1)
        }

    @classmethod
    def of(cls, function: Callable[..., Any]) -> Parcels:
        """Return the parcels of a message, read at its first use."""
        made = cls._made.get(function)
        if made is None:
            assert isinstance(function, FunctionType)
            made = cls._made[function] = cls(function)
        return made

    def _shape(self, name: str, count: int) -> bytes:
        parts = [name]
        for own, kind in zip(self._names[:count], self._kinds, strict=False):
            parts += [own, kind.name]
        parts.append(self._result.name)
        return blake2b("\n".join(parts).encode(), size=_SHAPE_BYTES, person=PERSON_SHAPE)

    @property
    def shape(self) -> bytes:
        """The shape of a message that is sent from here."""
        return next(reversed(self.shapes))

    def pack(self, arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> bytes:
        """Write arguments. Raises: UsageError for a wrong value, or too many bytes."""
        kinds = self._kinds
        if keywords or len(arguments) != len(kinds):
            try:
                bound = self._signature.bind(None, *arguments, **keywords)
            except TypeError as error:
                raise UsageError(str(error)) from None
            bound.apply_defaults()
            arguments = tuple([bound.arguments[name] for name in self._names])
        parts = [kind.encode(value) for kind, value in zip(kinds, arguments, strict=True)]
        return _bounded(parts[0] if len(parts) == 1 else b"".join(parts), "the arguments")

    def unpack(self, count: int, body: bytes) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Read the first arguments, as a peer wrote them. Raises: Malformed."""
        reader = Reader(body)
        values = [kind.decode(reader) for kind in self._kinds[:count]]
        reader.finish()
        if self._positional:
            return tuple(values), {}
        return (), dict(zip(self._names, values, strict=False))

    def pack_value(self, value: object) -> bytes:
        """Write what the handler returned. Raises: UsageError if that is not as declared."""
        return _bounded(self._result.encode(value), "the reply")

    def pack_error(self, error: Exception) -> bytes | None:
        """Write an error if it is declared, else None: the details stay here."""
        name = next(
            (each.__name__ for each in type(error).__mro__ if each.__name__ in self._errors),
            None,
        )
        if name is None or not isinstance(error, self._errors[name]):
            return None
        given = [
            each if type(each) in {bool, int, float, str, bytes, NoneType} else repr(each)
            for each in error.args
        ]
        written = name.encode()
        head = varint(len(written)) + written + varint(len(given))
        try:
            return _bounded(head + b"".join(map(_ARGUMENT.encode, given)), "the error")
        except UsageError:
            return None

    def open_reply(self, ending: Ending, body: bytes) -> tuple[object, Exception | None]:
        """Read how an ask ended: its value, or the error that its asker gets."""
        try:
            return self._open(ending, Reader(body))
        except Malformed as error:
            return None, Refused(f"the reply of the other device cannot be read: {error}")

    def _open(self, ending: Ending, reader: Reader) -> tuple[object, Exception | None]:
        match ending:
            case Ending.VALUE:
                value = self._result.decode(reader)
                reader.finish()
                return value, None
            case Ending.DECLARED:
                return None, self._open_error(reader)
            case Ending.FAILED:
                return None, RemoteError(_text(reader))
            case Ending.INTERRUPTED:
                return None, Interrupted(self._signature_name(), max(1, reader.varint()))
            case Ending.DEADLOCK:
                return None, DeadlockError(_text(reader))
            case _:
                return None, Refused(_text(reader) or "the other device refused the message")

    def _signature_name(self) -> str:
        return "the message"

    def _open_error(self, reader: Reader) -> Exception:
        name = reader.text(_ERROR_NAME_BYTES)
        arguments = [_ARGUMENT.decode(reader) for _ in range(_count(reader))]
        reader.finish()
        kind = self._errors.get(name)
        if kind is not None:
            try:
                return kind(*arguments)
            except Exception:  # noqa: BLE001  (the class is the app's, the arguments a peer's)
                return RemoteError(name)
        return RemoteError(name)


def _text(reader: Reader) -> str:
    return reader.rest()[:1024].decode("utf-8", "replace")


def _bounded(data: bytes, what: str) -> bytes:
    if len(data) > LETTER_BYTES_MAX:
        raise UsageError(
            f"{what} of {len(data)} bytes, where {LETTER_BYTES_MAX} is the most that travels: "
            "send several messages, or share an actor"
        )
    return data


def _hints(function: FunctionType) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{function.__qualname__}: an annotation cannot be resolved ({error}): import what "
            "it names at the top of the module, not under TYPE_CHECKING"
        ) from None
