"""Errands: messages from other devices, while whoever hosts an actor has them.

Owns: their shapes in a mailbox and in an open handler, and what their sender is told of errors.
May not know: envelopes, edges, threads; what passes to and from the core is in `actor.fold`.

    core --Errands--> host --each is a turn--> Handled --> core: effect, mark, reply: one write
                      host, its actor stopped--> Returned --> core keeps them for later

An errand is named by its sender and its number on their edge. Of an `async def` handler the
first stretch carries the mark: `Handled` comes with it, and once more with the reply.
Source: PROTOCOL section 7; ARCHITECTURE 'The way of a message (hold a ref only)'.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from comity.actor.fold import Call, Errands, Handled, Returned, TurnEnded
from comity.actor.message import Message
from comity.base.canonical import varint
from comity.base.endings import Ending
from comity.base.errors import ComityError
from comity.base.ids import DeviceId, Topic, short
from comity.crypto.hashing import PERSON_SHAPE, blake2b

__all__ = [
    "Batch",
    "Errand",
    "RemoteError",
]


class RemoteError(ComityError):
    """A message to another device raised what it does not declare; the details stay there.

    id: what the log over there calls it by; the same for whoever looks for it.
    """

    def __init__(self, error_id: str) -> None:
        """Say where to look."""
        super().__init__(
            f"the other device could not handle the message: error {error_id} in its log; a "
            "message tells those errors that it declares: @message(raises=(...,))"
        )
        self.id = error_id


@dataclass(frozen=True, slots=True)
class Errand:
    """One errand that has begun."""

    topic: Topic
    sender: DeviceId
    number: int
    call: Call
    message: Message

    @property
    def error_id(self) -> str:
        """What an error is called by towards the sender, and in the log here."""
        return blake2b(self.sender + varint(self.number), size=4, person=PERSON_SHAPE).hex()

    @property
    def known_as(self) -> str:
        """A line for the log."""
        return f"told to device {short(self.sender)} as error {self.error_id}"

    def handled(
        self, turn: TurnEnded | None, ending: Ending | None, body: bytes = b""
    ) -> Handled:
        """Return what the core is told."""
        return Handled(self.topic, self.sender, ((self.number, turn, ending, body),))


class Batch:
    """Errands that wait in a mailbox: they are one piece of work as long as time allows."""

    __slots__ = ("left", "sender", "topic")

    def __init__(self, errands: Errands) -> None:
        """Keep them in order."""
        self.topic = errands.topic
        self.sender = errands.sender
        self.left = deque(errands.items)

    def returned(self) -> Returned:
        """Return what the core is told if they are not begun any more."""
        return Returned(self.topic, self.sender, tuple(self.left))
