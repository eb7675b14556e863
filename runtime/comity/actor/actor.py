"""`Actor`: what users subclass.

Owns: the base class and its hooks. May not know: pykka, threads, nodes. An instance belongs
to one cell (`comity.actor.cell`), which sets `_comity_cell` before any hook runs; replicated
fields are descriptors that find their state through it.
Source: API 'A whole application'; names of hooks follow pykka.
"""

from __future__ import annotations

from typing import Any, ClassVar

from comity.base.errors import UsageError

__all__ = ["Actor"]


class Actor:
    """Base of every actor: replicated fields by annotation, methods as messages.

        class Todo(Actor):
            items: Map[str, bool]
            done: Counter

            def add(self, what: str) -> int:
                self.items[what] = False
                return len(self.items)

    One message is one turn: all that it writes becomes visible and durable together, or,
    if the method raises, not at all. Class-level annotations declare replicated fields; any
    other attribute is plain local state of this device, which does not roll back.

    A class keyword names the type for other devices: `class Todo(Actor, name="todo")`;
    the default is the name of the class. All devices that share an actor must agree on it.
    """

    _comity_cell: Any
    comity_name: ClassVar[str] = "Actor"

    def __init_subclass__(cls, *, name: str | None = None, **keywords: Any) -> None:
        """Take the type's name; fields are resolved when the class is first used."""
        super().__init_subclass__(**keywords)
        if name is not None and not (0 < len(name.encode()) <= 255):
            raise UsageError(
                f"the name of actor type {cls.__qualname__} must have 1 to 255 bytes, "
                f"not {len(name.encode())}"
            )
        cls.comity_name = name if name is not None else cls.__name__

    def __init__(self) -> None:
        """Take no arguments: state comes from the log, arguments come in messages."""

    def on_create(self) -> None:
        """Run once in the life of the actor, in its first turn; may write fields."""

    def on_start(self) -> None:
        """Run whenever this device begins to host the actor; may set plain attributes."""

    def on_stop(self) -> None:
        """Run when this device stops hosting the actor; may not write fields."""

    def on_failure(self, error: Exception) -> None:
        """Run when a message sent with `tell` raised; its writes are gone already."""
