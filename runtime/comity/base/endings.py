"""How the work on a message from another device ended: the closed list that goes over the wire.

Owns: the codes. May not know: who sends them, what a body beside them holds.
Append-only, never renumbered.
Source: API 'Capabilities'; decision 27.
"""

from __future__ import annotations

from enum import IntEnum, unique

__all__ = ["Ending"]


@unique
class Ending(IntEnum):
    """What became of a message, and what the bytes beside it are.

    VALUE: what the handler returned. DECLARED: an error that the message declares. FAILED:
    another error; the body is an id under which it is told of where it was raised. REFUSED: it
    was not handled; a sentence. LATE: its deadline had passed; nothing. DEADLOCK: its handler
    waits for the sender; a sentence. INTERRUPTED: it was cut off; the stretches that ended.
    """

    VALUE = 0
    DECLARED = 1
    FAILED = 2
    REFUSED = 3
    LATE = 4
    DEADLOCK = 5
    INTERRUPTED = 6
