"""Messages and how a turn ends: the values between whoever asks and the cell that answers.

Owns: `Message` and `Outcome`, and what a method declares about itself as a message. May not
know: mailboxes, futures, threads.
Source: API 'A whole application'.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, ParamSpec, TypeGuard, TypeVar, cast

from comity.actor.awaiting import Paused
from comity.base.errors import UsageError

__all__ = ["RAISES", "Message", "Outcome", "message", "size_of"]

P = ParamSpec("P")
R = TypeVar("R")

RAISES: Final = "comity_raises"
"""Where a method keeps the errors that it declares."""

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


def message(
    *, raises: tuple[type[Exception], ...]
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Declare which errors of a message its sender gets as they are, on other devices too.

        @message(raises=(Full,))
        def join(self, who: str) -> int: ...

    They travel by the name of their class and plain arguments, and are made anew by the class
    of that name which the sender's declaration has. Subclasses travel as what is declared.
    Any other error reaches another device as a `RemoteError`.

    Raises: UsageError for what is no class of errors, for all errors at once, for two of one
    name, or for a method that is no message.
    """
    given = cast("object", raises)
    kinds: tuple[object, ...] = tuple(given) if _is_box(given) else (given,)
    names = [getattr(each, "__name__", repr(each)) for each in kinds]
    for each, name in zip(kinds, names, strict=True):
        if not (isinstance(each, type) and issubclass(each, Exception)):
            raise UsageError(
                f"{name} is no class of errors: write @message(raises=(Full,)) with subclasses "
                "of Exception"
            )
        if each is Exception:
            raise UsageError(
                "raises=(Exception,) would show every fault of this device to others: declare "
                "the errors that senders can do something about"
            )
    if not kinds or len(dict.fromkeys(names)) < len(names):
        raise UsageError(
            f"@message(raises={raises!r}) must name one error or more, each name once: a "
            "name is all that travels"
        )

    def mark(function: Callable[P, R]) -> Callable[P, R]:
        name = getattr(function, "__name__", "?")
        if name.startswith("_"):
            raise UsageError(f"{name} cannot be sent, so it is no message: name it without _")
        setattr(function, RAISES, kinds)
        return function

    return mark


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
