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

    @property
    def text(self) -> str:
        """A sentence fragment that a person can read."""
        return _TEXTS[self]


_TEXTS: dict[Reason, str] = {
    Reason.MALFORMED: "its bytes do not follow the format",
    Reason.TOO_BIG: "it is larger than the limit",
    Reason.WRONG_TOPIC: "it belongs to another actor",
    Reason.NO_KEY: "no key that opens it is held here",
    Reason.WRONG_KEY: "it does not open with the key that it names: altered or forged",
    Reason.WRONG_NONCE: "its nonce is not the one that its content fixes",
    Reason.PARENT_UNKNOWN: "a commit that it builds on has not arrived",
    Reason.PARENT_REJECTED: "it builds on a refused commit",
    Reason.PARENTS_NOT_MINIMAL: "one of its parents is an ancestor of another",
    Reason.WRONG_GEN: "its generation is not one more than its parents' largest",
    Reason.WRONG_SEQ: "its sequence number does not continue its author's chain",
    Reason.WRONG_BACKLINK: "its backlink is not its author's previous commit in its past",
    Reason.NOT_CANONICAL: "it is not encoded in the one permitted way",
    Reason.BAD_SIGNATURE: "its signature is not its author's",
    Reason.NO_GRANT: "the grant that it names does not exist in its past",
    Reason.GRANT_NOT_YOURS: "the grant that it names was given to another device",
    Reason.GRANT_KILLED: "its author had been removed before it was made",
    Reason.ROLE_TOO_LOW: "its author's role does not permit it",
    Reason.GRANT_NOT_EFFECTIVE: "the grant that it names was itself not effective",
    Reason.BAD_ADD: "it adds a device in a way that the rules forbid",
    Reason.BAD_REMOVE: "it removes nobody that its author may remove",
    Reason.BAD_ADOPT: "it adopts a commit that its author may not adopt",
    Reason.EPOCH_UNKNOWN: "its epoch is not in its past",
    Reason.BUFFER_FULL: "the buffer for commits that cannot be checked yet is full",
    Reason.HANDSHAKE_FAILED: "the handshake did not verify",
    Reason.WRONG_DEVICE: "the device that answered is not the one that was called",
    Reason.INVITE_UNKNOWN: "no such invite is open here",
    Reason.INVITE_USED: "the invite was used already",
    Reason.INVITE_EXPIRED: "the invite has expired",
    Reason.QUOTA: "the quota is used up",
    Reason.OUT_OF_TURN: "the protocol does not expect it now",
    Reason.UNSUPPORTED: "no common protocol version",
    Reason.REMOVED_CONCURRENTLY: "its author was removed by somebody who had not seen it",
    Reason.UNKNOWN_MESSAGE: "the actor has no such message",
    Reason.BAD_VALUE: "a value in it is not of the declared type",
    Reason.BAD_EPOCH: "its key wraps do not match the readers in its past",
    Reason.GENESIS_MISMATCH: "it is not the genesis that the topic names",
    Reason.RATE: "it came faster than the rate that is taken from one peer",
    Reason.RULE_BROKEN: "what it does to a field breaks a rule of the field",
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
