"""Messages and how a turn ends: the values between whoever asks and the cell that answers.

Owns: `Message` and `Outcome`. May not know: mailboxes, futures, threads.
Source: API 'A whole application'.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

__all__ = ["Message", "Outcome"]

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
    """

    value: Any
    error: Exception | None
    serial: int
    operations: bytes
