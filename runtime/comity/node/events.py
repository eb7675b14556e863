"""What can happen to a node: the closed union of inputs to `Core.step`.

Owns: the shapes of events. May not know: who produces them. Each event is a frozen value, so
that a trace of events replays a run exactly.

Who sends what:
    cells      TurnEnded, BeatClosed, Folded
    links      LinkUp, LinkDown, FrameArrived
    store      Stored, ReadDone
    clock      Woke
    owner      Activate, Passivate and the commands in `comity.node.commands`
Source: ARCHITECTURE 'Who owns what'.
"""

from __future__ import annotations

from dataclasses import dataclass

from comity.base.ids import LinkId, Token, Topic

__all__ = [
    "BeatClosed",
    "CellEvent",
    "Folded",
    "FrameArrived",
    "LinkDown",
    "LinkUp",
    "ReadDone",
    "Stored",
    "TurnEnded",
    "Woke",
    "WriteFailed",
]


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """A turn of an actor's cell is over and changed something, or must wait for one that did.

    serial: number of the turn in its cell, from 1, without gaps.
    beat: number of folds that the cell had applied; it names the frontier that was read.
    operations: the turn's encoded operations; empty if it only read.
    """

    topic: Topic
    serial: int
    beat: int
    operations: bytes


@dataclass(frozen=True, slots=True)
class BeatClosed:
    """The cell could not fold: it had run turns that the fold did not bind. It now waits.

    serial: the last turn that ran; the core seals up to it and offers the fold again.
    """

    topic: Topic
    beat: int
    serial: int


@dataclass(frozen=True, slots=True)
class Folded:
    """The cell applied the fold that leads to `beat`; turns from now on read its frontier."""

    topic: Topic
    beat: int


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


@dataclass(frozen=True, slots=True)
class FrameArrived:
    """One frame came in, as the peer's session sent it: opaque and untrusted."""

    link: LinkId
    frame: bytes


@dataclass(frozen=True, slots=True)
class Stored:
    """The `Write` of this token is on disk."""

    token: Token


@dataclass(frozen=True, slots=True)
class WriteFailed:
    """The `Write` of this token did not reach the disk; nothing after it did either."""

    token: Token
    why: str


@dataclass(frozen=True, slots=True)
class ReadDone:
    """Rows for a `Read`, in key order."""

    token: Token
    rows: tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Woke:
    """The instant that `Core.deadline` named has come."""


CellEvent = TurnEnded | BeatClosed | Folded
"""What a cell tells the core."""
