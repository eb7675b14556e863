"""What an inspector asks of a node, beyond what commands ask: classes, logs, edits.

Owns: those requests of the control socket and their answers. May not know: sockets, pages.

    {"do": "describe"}                          -> {"fields", "messages"} of an open actor
    {"do": "log", "count": n}                   -> {"commits": newest last}
    {"do": "dead_letters"}                      -> {"letters": oldest first}, of all actors
    {"do": "edit", "field", "action", "key", "value"}   -> {}: see `actor.edits`

"actor" is as for every other request (`api.control`). Values are JSON, read by the types of
the fields; a key is a text as the snapshot shows it.
Source: issue 8, 'the inspector'; decision 22.
"""

from __future__ import annotations

import json
import typing
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from comity.actor.actor_type import ActorType
from comity.actor.edits import EDIT
from comity.actor.message import Message
from comity.api.arguments import value_from_json
from comity.api.text import signatures
from comity.base.errors import UsageError

if TYPE_CHECKING:
    from comity.actor.actor import Actor
    from comity.api.control import Request
    from comity.api.node import Node
    from comity.api.ref import Ref
    from comity.base.ids import Topic

__all__ = ["Inspection"]

_REPLY_SECONDS: Final = 30.0
_COUNT_MAX: Final = 1000
"""Commits of one answer: more than a person looks at."""

_LETTERS_MAX: Final = 100
"""Dead letters of one answer: the newest."""

_PLAIN: Final[Mapping[str, object]] = {"Flag": bool, "Counter": int, "Text": str}
"""What a field of a kind without parameters is set to."""

_EDITS: Final[Mapping[str, tuple[str, ...]]] = {
    "Register": ("set",),
    "Flag": ("set",),
    "Counter": ("set",),
    "Text": ("set",),
    "Map": ("put", "drop"),
    "List": ("put", "add", "drop"),
    "Set": ("add", "drop"),
}


class Inspection:
    """Answers for one node; called from several threads at once."""

    __slots__ = ("_held", "_node", "_opened")

    def __init__(
        self,
        node: Node,
        opened: Callable[[Request], Ref[Actor]],
        held: Callable[[Request], Topic],
    ) -> None:
        """Take the node, and how a request names an actor that is open, or held."""
        self._node = node
        self._opened = opened
        self._held = held

    def describe(self, request: Request) -> dict[str, Any]:
        """Tell fields and messages of an open actor."""
        actor_type = self._opened(request).actor_type
        shown = [_kind(hint) for hint in _fields(actor_type).values()]
        return {
            "type": actor_type.name,
            "fields": [
                {"name": name, "kind": kind, "of": [_named(each) for each in of],
                 "edits": list(_EDITS.get(kind, ()))}
                for name, (kind, of) in zip(_fields(actor_type), shown, strict=True)
            ],
            "messages": list(signatures(actor_type)),
        }  # fmt: skip

    def log(self, request: Request) -> dict[str, Any]:
        """Tell the newest commits of an actor."""
        count = int(request.number("count"))
        if count > _COUNT_MAX:
            raise UsageError(f"'count' is {count}: give {_COUNT_MAX} or less")
        topic = self._held(request)
        commits = [
            {
                "id": each.id.hex(),
                "author": each.author.hex(),
                "wall": each.wall,
                "parents": [parent.hex() for parent in each.parents],
                "turns": each.turns,
                "counts": each.counts,
                "why": each.why,
            }
            for each in self._node.log(topic, count)
        ]
        return {"actor": topic.hex(), "commits": commits}

    def dead_letters(self, _: Request) -> dict[str, Any]:
        """Tell the newest messages that were taken and not handled, and why."""
        letters = [
            {
                "actor": each.topic.hex(),
                "type": each.actor,
                "method": each.message.method,
                "reason": each.reason,
                "at": each.at,
            }
            for each in self._node.dead_letters[-_LETTERS_MAX:]
        ]
        return {"letters": letters}

    def edit(self, request: Request) -> dict[str, Any]:
        """Write a field of an open actor, in a turn of its own."""
        ref = self._opened(request)
        name, action = request.text("field"), request.text("action")
        hints = _fields(ref.actor_type)
        if name not in hints:
            raise UsageError(f"{ref.actor_type.name} has no field {name!r}")
        kind, of = _kind(hints[name])
        if action not in _EDITS.get(kind, ()):
            raise UsageError(f"{name} is a {kind}: its edits are {_EDITS.get(kind, ())}")
        key, value = None, None
        if action in {"put", "drop"}:
            key = _key(request.text("key"), int if kind == "List" else of[0])
        if action != "drop":
            value = value_from_json(request.any("value"), _PLAIN.get(kind) or of[-1])
        message = Message(EDIT, (name, action, key, value))
        self._node.deliver(ref.topic, message).get(timeout=_REPLY_SECONDS)
        return {"field": name}


def _fields(actor_type: ActorType) -> dict[str, Any]:
    """Return the annotations of the fields, by name, in the order of declaration."""
    hints = typing.get_type_hints(actor_type.cls)
    return {each.name: hints[each.name] for each in actor_type.schema.fields}


def _kind(hint: object) -> tuple[str, tuple[Any, ...]]:
    """Return the name of a type of field, and what it is of."""
    origin = typing.get_origin(hint) or hint
    return getattr(origin, "__name__", str(origin)), typing.get_args(hint)


def _named(hint: object) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint)


def _key(text: str, hint: object) -> Any:  # noqa: ANN401  (of the type of the keys)
    """Read a key as a snapshot shows it: a text, or the JSON of what is none."""
    try:
        return value_from_json(text, hint)
    except UsageError:
        pass
    try:
        found: object = json.loads(text)
    except ValueError:
        raise UsageError(f"{text!r} is no key: give a {_named(hint)}") from None
    return value_from_json(found, hint)
