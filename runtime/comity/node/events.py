"""What can happen to a node: the closed union of inputs to `Core.step`.

Owns: the shapes of events. May not know: who produces them. Each event is a frozen value, so
that a trace of events replays a run exactly.

Who sends what:
    cells      TurnEnded, BeatClosed, Folded (`comity.actor.fold`)
               Handled, Returned (`comity.actor.fold`)
    senders    Post
    links      LinkUp, LinkDown, LinkDrained, FrameArrived
    store      Stored, ReadDone
    cores      Verified
    clock      Woke
    owner      Activate, Passivate and the commands in `comity.node.commands`
Source: ARCHITECTURE 'Who owns what'.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from comity.base.ids import DeviceId, LinkId, Token
from comity.base.values import made_fast
from comity.protocol.envelope import Letter

__all__ = [
    "FrameArrived",
    "LinkDown",
    "LinkDrained",
    "LinkUp",
    "Post",
    "ReadDone",
    "Stored",
    "Verified",
    "Woke",
    "WriteFailed",
]


@dataclass(frozen=True, slots=True)
class LinkUp:
    """A connection carries frames now.

    inbound: the other side dialled; otherwise this link was asked for by `Dial`.
    address: where the other side is, for people and logs; never an identity.
    """

    link: LinkId
    inbound: bool
    address: str


@dataclass(frozen=True, slots=True)
class LinkDown:
    """A connection ended, or could not be made. Nothing more comes from it."""

    link: LinkId
    why: str


@made_fast
@dataclass(frozen=True, slots=True)
class LinkDrained:
    """The answer to `AwaitRoom`: the link has room; never comes if the link goes down."""

    link: LinkId


@made_fast
@dataclass(frozen=True, slots=True)
class FrameArrived:
    """One frame came in, as the peer's session sent it: opaque and untrusted."""

    link: LinkId
    frame: bytes


@made_fast
@dataclass(frozen=True, slots=True)
class Stored:
    """The `Write` of this token is on disk."""

    token: Token


@dataclass(frozen=True, slots=True)
class WriteFailed:
    """The `Write` of this token did not reach the disk; nothing after it did either."""

    token: Token
    why: str


@made_fast
@dataclass(frozen=True, slots=True)
class ReadDone:
    """Rows for a `Read`, in key order."""

    token: Token
    rows: tuple[tuple[bytes, bytes], ...] = field(repr=False)


@made_fast
@dataclass(frozen=True, slots=True)
class Verified:
    """The answer to `VerifyBatch`: which of its signatures are right, in its order.

    Answers may come in another order than they were asked for.
    """

    token: Token
    valid: tuple[bool, ...]


@made_fast
@dataclass(frozen=True, slots=True)
class Post:
    """Messages for a device, in order: letters, each with the token that `Progress` names.

    Without a token nobody waits for what becomes of it.
    """

    device: DeviceId
    letters: tuple[tuple[Letter, Token | None], ...]


@dataclass(frozen=True, slots=True)
class Woke:
    """The instant that `Core.deadline` named has come."""
