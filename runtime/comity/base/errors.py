"""Errors by whose fault they are: the peer's, the caller's, the world's. Ours are asserts.

Owns: the closed list of reasons for a refusal, and the exception types that users see.
May not know: who raises them.

    Rejected     a peer's fault: a value, counted, explainable (`comity why ID`)
    UsageError   the caller's fault: names the value and the fix
    WorldError   the environment's fault: raised only in drivers; `retry` says if trying
                 again can help
    assert       ours: the node stops and keeps the trace

Codes of `Reason` go over the wire and into stores: append-only, never renumbered.
Source: STYLE 'Errors', ARCHITECTURE invariant 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Final

from comity.base.ids import DeviceId

__all__ = [
    "ComityError",
    "DeadlineError",
    "LinkError",
    "Reason",
    "Rejected",
    "RightsError",
    "StoreError",
    "UsageError",
    "WorldError",
]


@unique
class Reason(IntEnum):
    """Why something from a peer was refused. The text is what a person reads."""

    MALFORMED = 1
    TOO_BIG = 2
    WRONG_TOPIC = 3
    NO_KEY = 4
    WRONG_KEY = 5
    WRONG_NONCE = 6
    PARENT_UNKNOWN = 7
    PARENT_REJECTED = 8
    PARENTS_NOT_MINIMAL = 9
    WRONG_GEN = 10
    WRONG_SEQ = 11
    WRONG_BACKLINK = 12
    NOT_CANONICAL = 13
    BAD_SIGNATURE = 14
    NO_GRANT = 15
    GRANT_NOT_YOURS = 16
    GRANT_KILLED = 17
    ROLE_TOO_LOW = 18
    GRANT_NOT_EFFECTIVE = 19
    BAD_ADD = 20
    BAD_REMOVE = 21
    BAD_ADOPT = 22
    EPOCH_UNKNOWN = 23
    BUFFER_FULL = 24
    HANDSHAKE_FAILED = 25
    WRONG_DEVICE = 26
    INVITE_UNKNOWN = 27
    INVITE_USED = 28
    INVITE_EXPIRED = 29
    QUOTA = 30
    OUT_OF_TURN = 31
    UNSUPPORTED = 32
    REMOVED_CONCURRENTLY = 33
    UNKNOWN_MESSAGE = 34
    BAD_VALUE = 35
    BAD_EPOCH = 36
    GENESIS_MISMATCH = 37
    RATE = 38
    RULE_BROKEN = 39
    NO_MAILBOX = 40

    @property
    def text(self) -> str:
        """A sentence fragment that a person can read."""
        return _TEXTS[self][0]

    @property
    def meaning(self) -> str:
        """What follows from it for who reads that; a sentence without its stop."""
        return _TEXTS[self][1]

    @property
    def is_deceit(self) -> bool:
        """Whether no honest program can be the cause; how it was seen is for experts."""
        return _TEXTS[self][1] is _CHEAT


_CHEAT: Final = (
    "No honest program makes such a thing: it was altered on its way, or made to deceive"
)
_RIGHTS: Final = "Every device refuses it alike, and its author's own device would have said so"
_LATER: Final = "It is taken when that has changed; nothing is to be done"
_ASK: Final = "Ask whoever let you in, or runs the other device"
_APP: Final = "The other device runs another version of the app, or was made to deceive"

_TEXTS: dict[Reason, tuple[str, str]] = {
    Reason.MALFORMED: ("its bytes do not follow the format", _CHEAT),
    Reason.TOO_BIG: ("it is larger than the limit", _CHEAT),
    Reason.WRONG_TOPIC: ("it belongs to another actor", _CHEAT),
    Reason.NO_KEY: ("no key that opens it is held here", _LATER),
    Reason.WRONG_KEY: ("it does not open with the key that it names", _CHEAT),
    Reason.WRONG_NONCE: ("its sealing is not the one that its content fixes", _CHEAT),
    Reason.PARENT_UNKNOWN: ("a commit that it builds on has not arrived", _LATER),
    Reason.PARENT_REJECTED: ("it builds on a refused commit", _CHEAT),
    Reason.PARENTS_NOT_MINIMAL: ("it names a commit that it builds on twice over", _CHEAT),
    Reason.WRONG_GEN: ("its place in the log is not where it says", _CHEAT),
    Reason.WRONG_SEQ: ("its number does not continue its author's commits", _CHEAT),
    Reason.WRONG_BACKLINK: ("it passes over a commit that its author made before it", _CHEAT),
    Reason.NOT_CANONICAL: ("it is not written in the one permitted way", _CHEAT),
    Reason.BAD_SIGNATURE: ("its signature is not its author's", _CHEAT),
    Reason.NO_GRANT: ("its author takes no part in the actor, as far as it shows", _RIGHTS),
    Reason.GRANT_NOT_YOURS: ("it claims a right that another device was given", _RIGHTS),
    Reason.GRANT_KILLED: ("its author had been removed before it was made", _RIGHTS),
    Reason.ROLE_TOO_LOW: ("its author's role does not permit it", _RIGHTS),
    Reason.GRANT_NOT_EFFECTIVE: (
        "whoever let its author in had been removed before, and could not",
        _RIGHTS,
    ),
    Reason.BAD_ADD: ("it lets a device in that its author may not let in like that", _RIGHTS),
    Reason.BAD_REMOVE: ("it removes nobody that its author may remove", _RIGHTS),
    Reason.BAD_ADOPT: ("it brings back a commit that its author may not bring back", _RIGHTS),
    Reason.EPOCH_UNKNOWN: ("it is sealed with a key that its author could not have", _CHEAT),
    Reason.BUFFER_FULL: ("too much waits here already that cannot be checked yet", _LATER),
    Reason.HANDSHAKE_FAILED: ("the two sides could not prove who they are", _ASK),
    Reason.WRONG_DEVICE: ("the device that answered is not the one that was called", _ASK),
    Reason.INVITE_UNKNOWN: ("no such invite is open here", _ASK),
    Reason.INVITE_USED: ("the invite was used already", _ASK),
    Reason.INVITE_EXPIRED: ("the invite has expired", _ASK),
    Reason.QUOTA: ("the quota is used up", _ASK),
    Reason.OUT_OF_TURN: ("it was said when nobody expects it", _CHEAT),
    Reason.UNSUPPORTED: ("the two sides speak no common version of the protocol", _ASK),
    Reason.REMOVED_CONCURRENTLY: (
        "its author was removed by somebody who had not seen it",
        _RIGHTS,
    ),
    Reason.UNKNOWN_MESSAGE: ("the actor has no such message", _APP),
    Reason.BAD_VALUE: ("a value in it is not of the declared type", _APP),
    Reason.BAD_EPOCH: ("it changes the key and leaves readers out, or lets others in", _CHEAT),
    Reason.GENESIS_MISMATCH: ("it is not the beginning that the actor's id names", _CHEAT),
    Reason.RATE: ("it came faster than is taken from one device", _LATER),
    Reason.RULE_BROKEN: ("what it does to a field breaks a rule of the field", _RIGHTS),
    Reason.NO_MAILBOX: ("no such mailbox is open here", _ASK),
}
assert len(_TEXTS) == len(Reason)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A refusal of something a peer sent: a value, never raised.

    detail: what was seen and what was expected; never holds a secret or plaintext.
    """

    reason: Reason
    detail: str = ""

    def __str__(self) -> str:
        """Say the reason, then the detail."""
        return f"{self.reason.text} ({self.detail})" if self.detail else self.reason.text


class ComityError(Exception):
    """Root of every exception that this package raises on purpose."""


class UsageError(ComityError):
    """The caller did something that cannot work; the text names the value and the fix."""


class RightsError(UsageError):
    """This device wants to take more from a `BoundedCounter` than it has the rights to.

    wanted, rights: how much, and how much it may take away; holders: who may, by device.
    """

    def __init__(
        self, message: str, *, wanted: int, rights: int, holders: Mapping[DeviceId, int]
    ) -> None:
        """Keep the message and who has which rights."""
        super().__init__(message)
        self.wanted = wanted
        self.rights = rights
        self.holders = holders


class WorldError(ComityError):
    """The environment failed. `retry` tells whether the same call may succeed later."""

    def __init__(self, message: str, *, retry: bool) -> None:
        """Keep the message and whether a retry can help."""
        super().__init__(message)
        self.retry = retry


class StoreError(WorldError):
    """A disk or database did not do what was asked."""


class LinkError(WorldError):
    """A connection could not be made or was lost."""


class DeadlineError(WorldError):
    """The time ran out before an answer came; the effect is not known."""

    def __init__(self, message: str) -> None:
        """Timing out is always worth another try."""
        super().__init__(message, retry=True)
