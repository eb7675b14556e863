"""Apps with a planted bug, and what their authors promise."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import cast

from comity import Register
from examples.todo.todo import Todo

__all__ = ["ClockedTodo", "HashedTodo", "HastyTodo", "everything_has_its_place"]


class HastyTodo(Todo):
    """Keeps the order of the list in one register: of two writes at once one is lost."""

    order: Register[tuple[str, ...]]

    def add(self, what: str) -> int:
        """Put something on the list, at its end: read, append, write back."""
        if what not in self.order.value:
            self.order = (*self.order.value, what)
        return super().add(what)


def everything_has_its_place(state: Mapping[str, object]) -> bool:
    """Promise that whatever is on the list is in its order as well."""
    items = cast("Mapping[str, bool]", state["items"])
    return set(items) <= set(cast("tuple[str, ...]", state["order"]))


class HashedTodo(Todo):
    """Sorts by what differs between processes: the hash of a text."""

    def add(self, what: str) -> int:
        """Put something on the list, under a number of its own."""
        return super().add(f"{hash(what) % 1000} {what}")


class ClockedTodo(Todo):
    """Writes down when something was added, by the clock of whoever runs it."""

    def add(self, what: str) -> int:
        """Put something on the list, with the time."""
        return super().add(f"{what} {time.time_ns()}")
