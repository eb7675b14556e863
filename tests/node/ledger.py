"""The actor that the node's tests run, and what must always be true of its state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from comity import Actor, Counter, Map, Register, Set

__all__ = ["Ledger", "consistent"]


class Ledger(Actor):
    """One field of every type, and messages that leave more than one trace each."""

    title: Register[str]
    total: Counter
    names: Set[str]
    lines: Map[str, int]

    def on_create(self) -> None:
        """Leave a trace of the first turn."""
        self.title = "new"

    def enter(self, name: str, amount: int) -> int:
        """Write three fields at once: all of them, or none."""
        self.names.add(name)
        self.total += amount - self.lines.get(name, 0)
        self.lines[name] = amount
        return len(self.lines)

    def enter_and_fail(self, name: str) -> None:
        """Write, then raise: nothing of it may remain."""
        self.enter(name, 1_000_000)
        raise ValueError(name)

    def strike(self, name: str) -> None:
        """Take an entry away."""
        self.total -= self.lines.pop(name)
        self.names.remove(name)

    def rename(self, title: str) -> None:
        """Set the title."""
        self.title = title

    def count(self) -> int:
        """Read only."""
        return len(self.lines)


def consistent(state: Mapping[str, object]) -> bool:
    """Tell whether every turn shows whole, where each name was entered by one device only."""
    lines = cast("Mapping[str, int]", state["lines"])
    return state["names"] == frozenset(lines) and state["total"] == sum(lines.values())
