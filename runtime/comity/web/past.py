"""`Past`: what a page may ask about the past of its actor, and do about it.

Owns: those requests and their answers. May not know: sockets, browsers.

    {"do": "history", "newest": n}     -> [{"turn", "author", "time", "fields", "visible"}]
    {"do": "at", "turn": t}            -> the fields just after that turn
    {"do": "undo" | "redo"}            -> the turn, of this device, that was hidden or shown
    {"do": "restore", "turn": t}       -> names of the fields that were written back

Source: API 'A whole application' (`history`, `at`, `undo`, `redo`); decision 21.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from comity.api.text import plain
from comity.base.errors import UsageError
from comity.node.commands import TurnId

if TYPE_CHECKING:
    from comity.api.ref import Ref

__all__ = ["Past"]

_NEWEST_MAX: Final = 1000
"""Turns of one answer: more than a person slides over."""


class Past:
    """Answers for one actor; called from several threads at once."""

    __slots__ = ("_ref",)

    def __init__(self, ref: Ref[Any]) -> None:
        """Take the actor whose past it is."""
        self._ref = ref

    def answer(self, asked: dict[str, Any]) -> object:
        """Carry out one request. Raises: UsageError, and what the ref raises."""
        match asked.get("do"):
            case "history":
                return self._history(asked.get("newest", 100))
            case "at":
                return plain(self._ref.at(_turn(asked)))
            case "restore":
                return list(self._ref.restore(_turn(asked)))
            case "undo":
                return str(self._ref.undo())
            case "redo":
                return str(self._ref.redo())
            case what:
                raise UsageError(
                    f"{what!r} is nothing to do with the past: at, history, redo, restore, undo"
                )

    def _history(self, newest: object) -> list[dict[str, Any]]:
        if not isinstance(newest, int) or not 0 < newest <= _NEWEST_MAX:
            raise UsageError(f"'newest' is {newest!r}: give 1 to {_NEWEST_MAX}")
        return [
            {
                "turn": str(each.id),
                "author": each.author.hex(),
                "time": each.time.isoformat(),
                "fields": list(each.fields),
                "visible": each.visible,
            }
            for each in self._ref.history(newest)
        ]


def _turn(asked: dict[str, Any]) -> TurnId:
    found = asked.get("turn")
    if not isinstance(found, str):
        raise UsageError(f"'turn' is {found!r}: give one of the history")
    return TurnId.parse(found)
