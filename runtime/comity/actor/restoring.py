"""Restoring: fields written back to what they were, in one turn that others can undo.

Owns: what each view is told so that it shows a former value. May not know: which version that
was, or how it was read.

Only what differs is written, so what others do meanwhile elsewhere merges with it. History
stays as it is: to restore is to write, like any edit. What cannot be written back is left:
the rights of a `BoundedCounter` were spent or handed over, the marks of a text lie on
characters that are gone.
Source: issue 8, 'history with a time slider and restore'.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, MutableSequence, MutableSet, Sequence
from typing import Any, Final

from comity.actor.actor import Actor
from comity.actor.changes import difference
from comity.crdt.bounded import BoundedCounter
from comity.crdt.descriptor import view_of
from comity.crdt.flag import Flag
from comity.crdt.nested_view import NestedMap
from comity.crdt.views import Counter, Register, Text

__all__ = ["RESTORE", "restore_fields"]

RESTORE: Final = "_restore"
"""The message that restores; its argument is that of `restore_fields`."""


def restore_fields(actor: Actor, wanted: Mapping[str, object]) -> tuple[str, ...]:
    """Write fields back, within a turn; return the names of those that were written.

    wanted: values as a snapshot gives them, by name.
    """
    found = [name for name, value in wanted.items() if _bring(view_of(actor, name), value)]
    return tuple(found)


def _bring(view: Any, value: Any) -> bool:  # noqa: ANN401  (each kind has its own)
    """Make a view show a value; return whether anything had to be written for it."""
    elements: Any = view
    match view:
        case BoundedCounter():
            return False
        case Counter() | Flag() | Register():
            return _set(elements, value)
        case Text():
            return _splice(view, str(view), value)
        case MutableSequence():
            return _splice(elements, tuple(elements), value)
        case MutableSet():
            return _elements(elements, value)
        case MutableMapping():
            return _entries(elements, value)
        case _:
            return False


def _set(view: Counter | Flag | Register[Any], value: Any) -> bool:  # noqa: ANN401
    if view.value == value:
        return False
    match view:
        case Counter():
            view.add(value - view.value)
        case Flag():
            (view.enable if value else view.disable)()
        case Register():
            view.set(value)
    return True


def _splice(view: Any, now: Sequence[object], value: Sequence[object]) -> bool:  # noqa: ANN401
    where = difference(now, value)
    if where is None:
        return False
    start = where.start
    view[start : start + where.removed] = value[start : start + where.inserted]
    return True


def _elements(view: MutableSet[Any], value: Any) -> bool:  # noqa: ANN401  (a frozenset)
    now = list(view)
    gone = [each for each in now if each not in value]
    new = sorted((each for each in value if each not in view), key=repr)
    for each in gone:
        view.discard(each)
    for each in new:
        view.add(each)
    return bool(gone or new)


def _entries(view: MutableMapping[Any, Any], value: Mapping[Any, Any]) -> bool:
    gone = [key for key in view if key not in value]
    for key in gone:
        del view[key]
    wrote = bool(gone)
    for key, each in value.items():
        wrote |= _entry(view, key, each)
    return wrote


def _entry(view: MutableMapping[Any, Any], key: Any, value: Any) -> bool:  # noqa: ANN401
    if isinstance(view, NestedMap):
        is_new = key not in view
        return _bring(view.setdefault(key), value) or is_new
    if key in view and view[key] == value:
        return False
    view[key] = value
    return True
