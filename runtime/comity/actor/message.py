"""Messages and how a turn ends: the values between whoever asks and the cell that answers.

Owns: `Message` and `Outcome`. May not know: mailboxes, futures, threads.
Source: API 'A whole application'.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, TypeGuard

from comity.actor.awaiting import Paused

__all__ = ["Message", "Outcome", "size_of"]

_NO_KEYWORDS: Final[Mapping[str, Any]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Message:
    """One call of one method of one actor."""

    method: str
    arguments: tuple[Any, ...] = ()
    keywords: Mapping[str, Any] = field(default_factory=lambda: _NO_KEYWORDS)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a turn ended.

    value: what the handler returned; None if it raised.
    error: what it raised; the turn's writes are gone then.
    serial: the last writing turn of the cell whose effect the value may show. The reply
        must wait until that turn is durable.
    operations: what the turn wrote, encoded; empty if nothing.
    awaits: what an `async def` handler waits for before it goes on; None if it is over.
    """

    value: Any
    error: Exception | None
    serial: int
    operations: bytes
    awaits: Paused | None = None


def size_of(message: Message) -> int:
    """Return about how many bytes the arguments of a message hold, without their boxes.

    Texts, bytes and the built-in containers of them count; of objects nothing is known.
    """
    total = 0
    waiting: list[object] = [*message.arguments, *message.keywords.values()]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str | bytes | bytearray):
            total += len(value)
        elif _is_box(value):
            total += 8 * len(value)
            waiting.extend(value)
        elif _is_dict(value):
            total += 16 * len(value)
            waiting.extend(value)
            waiting.extend(value.values())
    return total


def _is_box(value: object) -> TypeGuard[Collection[object]]:
    return isinstance(value, tuple | list | set | frozenset)


def _is_dict(value: object) -> TypeGuard[dict[object, object]]:
    return isinstance(value, dict)
