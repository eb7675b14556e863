"""Messages that nobody will handle any more, each with the reason, for a person to read.

Owns: the last of them, and how many there were. May not know: why a message died.
Source: API 'Time, failure, limits'; invariant 'Nothing is dropped in silence'.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import Final

from comity.actor.message import Message
from comity.base.clock import Wall
from comity.base.ids import Topic

__all__ = ["LETTERS_MAX", "DeadLetter", "DeadLetters"]

LETTERS_MAX: Final = 1000
"""Dead letters that are kept: a mailbox of them. The oldest goes first, the count stays."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message that was taken and not handled.

    topic, actor: to whom it was sent. reason: a sentence. at: when it was given up.
    """

    topic: Topic
    actor: str
    message: Message
    reason: str
    at: Wall


class DeadLetters:
    """Those of one node."""

    __slots__ = ("_letters", "_lock", "count")

    def __init__(self) -> None:
        """Start empty."""
        self._lock = threading.Lock()
        self._letters: deque[DeadLetter] = deque(maxlen=LETTERS_MAX)
        self.count = 0

    def add(self, letter: DeadLetter) -> None:
        """Keep one."""
        with self._lock:
            self._letters.append(letter)
            self.count += 1

    def all(self) -> tuple[DeadLetter, ...]:
        """Return those that are kept, the oldest first."""
        with self._lock:
            return tuple(self._letters)
