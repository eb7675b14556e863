"""How refs are written into fields and messages: links, with what lets messages in.

Owns: the type of such values, and their bytes: varint length | link (`protocol.capability`).
May not know: refs; `api.ref` gives what makes them. Fields and letters are sealed to those who
may read them, so that a relay learns of no link. Nothing is opened by reading one.
Source: API 'Capabilities' (refs travel in messages and in fields); decision 36.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from comity.actor.actor import Actor
from comity.base.canonical import Reader, varint
from comity.base.errors import UsageError
from comity.crdt.codec import Value, ValueType
from comity.protocol.capability import LINK_BYTES_MAX, RefLink, encode_link, read_link

__all__ = ["actor_class", "held_type"]


def actor_class(parameters: tuple[object, ...]) -> type[Actor]:
    """Return the actor that `Ref[A]` is of. Raises: UsageError if it names none."""
    if len(parameters) != 1:
        raise UsageError("Ref must say of which actor: Ref[A]")
    (found,) = parameters
    if not isinstance(found, type) or not issubclass(found, Actor):
        raise UsageError(f"{found} is no actor: write Ref[A] with the actor's class")
    return found


def held_type(
    actor: type[Actor], make: Callable[[RefLink], object], keep: Callable[[Value], Value]
) -> ValueType:
    """Return the type of refs to an actor.

    make: from a link to what is read; it opens nothing. keep: from what is written to what
    will be read, with the attribute `held_link`; raises UsageError if it is no ref to `actor`.
    """

    def encode(value: Value) -> bytes:
        link: RefLink = keep(value).held_link
        data = encode_link(link)
        return varint(len(data)) + data

    def decode(reader: Reader) -> Any:  # noqa: ANN401  (what `make` makes)
        return make(read_link(reader.blob(LINK_BYTES_MAX)))

    name = f"ref<{actor.comity_name}>"
    return ValueType(name, None, encode, decode, keep, exact=False, key=False, ordered=False)
