"""The clerk: opens errands into messages, and closes how they ended into bytes.

Owns: what an actor answers to another device, whatever its handler did. May not know: how the
turn was run, when it is durable.
Errors that a message does not declare are told by an id alone; what they were is for the log
of this device.
Source: API 'Capabilities'; decision 27.
"""

from __future__ import annotations

from comity.actor.actor_type import ActorType
from comity.actor.awaiting import Interrupted
from comity.actor.errand import Errand
from comity.actor.fold import Call, Handled, TurnEnded
from comity.actor.message import Message, Outcome
from comity.actor.parcel import Parcels
from comity.base.canonical import Malformed, varint
from comity.base.endings import Ending
from comity.base.errors import UsageError

__all__ = ["close_errand", "open_errand", "results_in_id", "told", "told_of_end"]

_NOTHING = (None, b"")


def open_errand(actor_type: ActorType, call: Call, body: bytes) -> Message | str:
    """Read an errand as a message; a sentence if it is none of this actor."""
    function = actor_type.methods.get(call.method)
    if function is None:
        return f"{actor_type.name} has no message {call.method!r}"
    try:
        parcels = Parcels.of(function)
    except UsageError as error:
        return str(error)
    count = parcels.shapes.get(call.shape)
    if count is None:
        return (
            f"{actor_type.name}.{call.method} takes other arguments, or returns something "
            "else, on the device that has the actor: update the older one of the two"
        )
    try:
        arguments, keywords = parcels.unpack(count, body)
    except Malformed as error:
        return f"the arguments of {actor_type.name}.{call.method} cannot be read: {error}"
    return (
        Message(call.method, arguments, keywords)
        if keywords
        else Message(call.method, arguments)
    )


def close_errand(
    actor_type: ActorType, errand: Errand, outcome: Outcome
) -> tuple[Ending | None, bytes]:
    """Write what the sender is told of an errand that is over; None if it is told nothing."""
    if not errand.call.wants_reply:
        return _NOTHING
    parcels = Parcels.of(actor_type.methods[errand.call.method])
    error = outcome.error
    if error is None:
        try:
            return Ending.VALUE, parcels.pack_value(outcome.value)
        except UsageError as wrong:
            error = wrong
    written = parcels.pack_error(error)
    if written is not None:
        return Ending.DECLARED, written
    return Ending.FAILED, errand.error_id.encode()


def told(
    actor_type: ActorType, errand: Errand, outcome: Outcome, turn: TurnEnded | None
) -> Handled:
    """Return what the core is told of a stretch of an errand: its end, or that it awaits."""
    if outcome.awaits is None:
        return errand.handled(turn, *close_errand(actor_type, errand, outcome))
    return errand.handled(turn, Ending.INTERRUPTED if errand.call.wants_reply else None)


def told_of_end(errand: Errand, error: BaseException) -> Handled:
    """Return what the core is told of an errand whose handler did not come to its end."""
    if not errand.call.wants_reply:
        return errand.handled(None, None)
    if isinstance(error, Interrupted):
        return errand.handled(None, Ending.INTERRUPTED, varint(error.stretch))
    return errand.handled(None, Ending.FAILED, errand.error_id.encode())


def results_in_id(actor_type: ActorType, errand: Errand, outcome: Outcome) -> bool:
    """Whether the sender is told of an error by an id alone, so that the log here needs it."""
    return close_errand(actor_type, errand, outcome)[0] is Ending.FAILED
