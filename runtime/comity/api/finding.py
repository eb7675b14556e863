"""Which actor a user means: by id, by the beginning of it, or by being the only one.

Owns: reading ids and prefixes as people type them, and the errors that say what there is. May
not know: how an actor is opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from comity.base.errors import UsageError
from comity.base.ids import short

if TYPE_CHECKING:
    from pathlib import Path

    from comity.actor.actor_type import ActorType
    from comity.base.ids import Topic
    from comity.node.commands import TopicStatus

__all__ = ["check_type", "find_actor", "id_prefix"]

_HEX_MIN = 8
_HEX_DIGITS = frozenset("0123456789abcdef")


def find_actor(
    path: Path,
    everything: tuple[TopicStatus, ...],
    actor_type: ActorType,
    link: str | bytes | None,
) -> Topic:
    """Return the actor of a store that is meant by an id, by its beginning, or by nothing.

    Raises: UsageError that says which actors there are.
    """
    prefix = link.hex() if isinstance(link, bytes) else link
    named = [t for t in everything if prefix and t.topic.hex().startswith(prefix)]
    if prefix is not None and not named:
        id_prefix(prefix, "invite ('comity:...') and no actor id")
    if len(named) == 1:  # of another type: activating it will say so
        return named[0].topic
    name = actor_type.name
    held = [t for t in (named or everything) if t.actor_type == name]
    if len(held) == 1 and prefix is None:
        return held[0].topic
    known = ", ".join(f"{t.actor_type} {short(t.topic)}" for t in held or everything)
    if held and not (prefix and not named):
        raise UsageError(
            f"{path} holds {len(held)} actors of type {name!r}: name one of them by "
            f"the beginning of its id ({known})"
        )
    what = f"no actor {prefix}" if prefix else f"no actor of type {name!r}"
    raise UsageError(
        f"{path} holds {what} (it holds: {known or 'none'}): create one, or join one "
        "with an invite"
    )


def check_type(topic: Topic, name: object, actor_type: ActorType) -> None:
    """Raise UsageError if an actor, whose type's name is given, is not of the type wanted."""
    if name != actor_type.name:
        raise UsageError(
            f"actor {short(topic)} is a {name!r}, not a {actor_type.name!r}: this device takes "
            "part in it, so open it with the class of that name"
        )


def id_prefix(text: str, what: str) -> bytes:
    """Return the whole bytes of an id's beginning. what: names it in the error.

    Raises: UsageError if the text is not 8 or more hexadecimal digits.
    """
    if len(text) < _HEX_MIN or not set(text) <= _HEX_DIGITS:
        raise UsageError(f"{text!r} is no {what}: give hexadecimal digits, 8 or more")
    return bytes.fromhex(text[: len(text) // 2 * 2])
