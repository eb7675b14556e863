"""Edits: a field written by the owner himself, as an admin page does, and by no method.

Owns: which edits there are, and what each does to a view. May not know: who asks; how values
are read. An edit is a turn like any other: all of it or nothing, judged by every replica.

    set    Register, Flag, Text, Counter (to that total)     value
    put    Map (key), List (index)                           key, value
    add    Set, List (at its end)                            value
    drop   Map (key), List (index), Set (element)            key

Its name begins with '_', so no message of an app is called so, and nobody else can send it.
Source: issue 8, 'the inspector'.
"""

from __future__ import annotations

from collections.abc import MutableMapping, MutableSequence, MutableSet
from typing import Any, Final

from comity.actor.actor import Actor
from comity.base.errors import UsageError
from comity.crdt.descriptor import view_of
from comity.crdt.views import Counter

__all__ = ["EDIT", "RULES", "edit_field", "publish_rules"]

EDIT: Final = "_edit"
"""The message that is an edit; its arguments are those of `edit_field`."""


RULES: Final = "_rules"
"""The message by which an admin makes the rules of the class those in force."""


def publish_rules(actor: Actor) -> None:
    """Write the rules that the class declares, within a turn; a no-op if they are in force."""
    vars(actor)["_comity_cell"].comity_state.publish_rules()


def edit_field(actor: Actor, name: str, action: str, key: Any, value: Any) -> None:  # noqa: ANN401
    """Carry out one edit, within a turn.

    Raises: UsageError if the field takes no such edit; what the view raises.
    """
    view: Any = view_of(actor, name)
    elements: Any = view
    match action, view:
        case "set", Counter():
            view.add(value - view.value)
        case "set", _:
            setattr(actor, name, value)
        case "put", MutableMapping() | MutableSequence():
            elements[key] = value
        case "add", MutableSet():
            elements.add(value)
        case "add", MutableSequence():
            elements.append(value)
        case "drop", MutableSet():
            elements.discard(key)
        case "drop", MutableMapping() | MutableSequence():
            del elements[key]
        case _:
            raise UsageError(f"{name} is a {type(view).__name__}: it takes no {action!r}")
