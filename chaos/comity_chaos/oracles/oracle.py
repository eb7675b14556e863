"""What an oracle is: it samples a run, judges it at the end, and counts what it judged.

Owns: the shape, and `Violation`. May not know: any one promise.
An oracle that has judged nothing says nothing about a run: it is vacuous, and the verdict of
a campaign without failures is UNKNOWN then, not PASS.
Source: CHAOS 'Oracles', 'Verdict'.
"""

from __future__ import annotations

from typing import Protocol

__all__ = ["Oracle", "Violation"]


class Violation(AssertionError):
    """A promise is broken. oracle: whose promise; said in plain words."""

    def __init__(self, oracle: str, text: str) -> None:
        """Keep which oracle, and what it saw."""
        super().__init__(f"{oracle}: {text}")
        self.oracle = oracle
        self.text = text


class Oracle(Protocol):
    """Judges one promise."""

    @property
    def name(self) -> str:
        """Two or three words, for example 'convergence'."""
        ...

    @property
    def judged(self) -> int:
        """How many times there was something to judge."""
        ...

    def sample(self) -> None:
        """Look at the run as it is now. Raises: Violation."""
        ...

    def conclude(self) -> None:
        """Judge the whole run, after everything is healed and agreed. Raises: Violation."""
        ...
