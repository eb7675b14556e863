"""What an owner can ask of a node: the closed union of commands, each answered once.

Owns: the shapes of commands and of their results. May not know: how the owner asks (a call
of `comity.Node`, the control socket, the fault lab).
An answer is an `effects.Answer` with the command's token; its result is the value named in
the command's docstring, or a `UsageError`/`WorldError` instance to raise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from comity.actor.fold import FoldCommit
from comity.base.clock import Wall
from comity.base.errors import UsageError
from comity.base.ids import ID_BYTES, CommitId, DeviceId, Token, Topic
from comity.log.entries import Role
from comity.log.graph import Graph
from comity.node.effects import NONE_TO_GO, Amount
from comity.protocol.invite import Invite
from comity.protocol.pairing import Code
from comity.protocol.route import Route

__all__ = [
    "NO_MAIL",
    "Activate",
    "Adopt",
    "Command",
    "Create",
    "Deactivate",
    "DescribeLog",
    "DescribeMembers",
    "DescribeNode",
    "DescribeUnsent",
    "ExplainCommit",
    "ForgetRelay",
    "ForgetUnsent",
    "FormerDevice",
    "GiveLink",
    "Join",
    "LettersStatus",
    "Listening",
    "LogCommit",
    "Look",
    "MailStatus",
    "Member",
    "NodeStatus",
    "OfferCode",
    "OfferInvite",
    "Past",
    "Reach",
    "ReadPast",
    "Redo",
    "RelayStatus",
    "Remove",
    "TakeBack",
    "TopicStatus",
    "TurnId",
    "Undo",
    "UnsentTurn",
    "UseRelay",
]


@dataclass(frozen=True, slots=True)
class Create:
    """Found an actor with this device as its only root. Result: its `Topic`."""

    token: Token
    actor_type: str


@dataclass(frozen=True, slots=True)
class Activate:
    """Feed the actor's log to a cell, which the host has made. Result: its type's name."""

    token: Token
    topic: Topic


@dataclass(frozen=True, slots=True)
class Deactivate:
    """The cell is gone; seal what it left. Result: None."""

    token: Token
    topic: Topic


@dataclass(frozen=True, slots=True)
class OfferInvite:
    """Open an invite for one device. Result: an `Invite`."""

    token: Token
    topic: Topic
    role: Role
    expires: Wall


@dataclass(frozen=True, slots=True)
class OfferCode:
    """Open a short code for one device. Result: a `Code`."""

    token: Token
    topic: Topic
    role: Role


@dataclass(frozen=True, slots=True)
class Join:
    """Use an invite. Result: the `Topic`; a LinkError if the inviter cannot be reached.

    code: the short code that is to be proven first; the invite's seed is its slot's then.
    """

    token: Token
    invite: Invite
    code: Code | None = None


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove a device from an actor and move its key on. Result: the removal's CommitId."""

    token: Token
    topic: Topic
    device: DeviceId


@dataclass(frozen=True, slots=True)
class TurnId:
    """One turn for good: its commit, and its index among the turns there, from 0."""

    commit: CommitId
    index: int

    def __str__(self) -> str:
        """Write it as `parse` reads it: hexadecimal, a dot, a number."""
        return f"{self.commit.hex()}.{self.index}"

    @staticmethod
    def parse(text: str) -> TurnId:
        """Read what `str` wrote. Raises: UsageError for a text that is no turn's id."""
        commit, _, index = text.partition(".")
        try:
            found = TurnId(CommitId(bytes.fromhex(commit)), int(index or "0"))
        except ValueError:
            found = None
        if found is None or len(found.commit) != ID_BYTES or found.index < 0:
            raise UsageError(f"{text!r} is no turn: take an id of `comity history`")
        return found


@dataclass(frozen=True, slots=True)
class Undo:
    """Hide a turn; None for the newest of this device. Result: the `TurnId`."""

    token: Token
    topic: Topic
    turn: TurnId | None = None


@dataclass(frozen=True, slots=True)
class Redo:
    """Take an undo back; None for the newest of this device. Result: the `TurnId`."""

    token: Token
    topic: Topic
    turn: TurnId | None = None


@dataclass(frozen=True, slots=True)
class Adopt:
    """Let a hidden commit count, by 4 bytes or more of its id. Result: its `CommitId`."""

    token: Token
    topic: Topic
    prefix: bytes


@dataclass(frozen=True, slots=True)
class ReadPast:
    """Read turns from the log. Result: `Past`.

    newest: so many of the newest, hidden ones too; else all of a version.
    version: ids of its newest commits, empty for the present.
    """

    token: Token
    topic: Topic
    newest: int | None = None
    version: tuple[CommitId, ...] = ()


@dataclass(frozen=True, slots=True)
class Past:
    """Turns as they stand in the log, in an order that agrees with causality.

    hidden: those that are not visible, by commit and index; of a version, in that version.
    """

    graph: Graph
    commits: tuple[FoldCommit, ...]
    hidden: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class DescribeUnsent:
    """Result: tuple of `UnsentTurn`, of all former devices, in the order in which they ran."""

    token: Token
    topic: Topic


@dataclass(frozen=True, slots=True)
class ForgetUnsent:
    """Let go of them: they were done again, or nobody wants them. Result: how many."""

    token: Token
    topic: Topic


@dataclass(frozen=True, slots=True)
class UnsentTurn:
    """A turn that a former device of this node acknowledged and did not seal.

    parents: the version that it ran on, after those before it. wall: when, by that clock.
    """

    device: DeviceId
    parents: tuple[CommitId, ...]
    wall: Wall
    operations: bytes


@dataclass(frozen=True, slots=True)
class DescribeMembers:
    """Result: tuple of `Member`, sorted by device."""

    token: Token
    topic: Topic


@dataclass(frozen=True, slots=True)
class DescribeLog:
    """Result: tuple of `LogCommit`, the newest at most `count`, parents before children."""

    token: Token
    topic: Topic
    count: int


@dataclass(frozen=True, slots=True)
class ExplainCommit:
    """Say why a commit counts, is hidden, or was refused. id: a prefix of 4 bytes or more.

    Result: a sentence.
    """

    token: Token
    prefix: bytes


@dataclass(frozen=True, slots=True)
class DescribeNode:
    """Result: `NodeStatus`."""

    token: Token


@dataclass(frozen=True, slots=True)
class GiveLink:
    """Let whoever holds a secret send these messages to an actor. Result: `RefLink`."""

    token: Token
    topic: Topic
    methods: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TakeBack:
    """Let a secret that `GiveLink` made open nothing any more. Result: True."""

    token: Token
    grant: bytes


@dataclass(frozen=True, slots=True)
class Reach:
    """Keep a link to a device, at one of these addresses. Result: True.

    route: where it takes letters while it is off, as a link to an actor of its says.
    """

    token: Token
    device: DeviceId
    addresses: tuple[str, ...]
    route: Route | None = None


@dataclass(frozen=True, slots=True)
class UseRelay:
    """Keep a link to a relay at this address, and store every topic there. Result: None."""

    token: Token
    address: str


@dataclass(frozen=True, slots=True)
class ForgetRelay:
    """Use the relay at this address no more. Result: whether it was used."""

    token: Token
    address: str


@dataclass(frozen=True, slots=True)
class Listening:
    """The host takes connections at this address now. Result: None."""

    token: Token
    address: str


Look = DescribeLog | DescribeMembers | DescribeUnsent | ExplainCommit | DescribeNode
"""What changes nothing."""

Command = (
    Create
    | Activate
    | Deactivate
    | OfferInvite
    | OfferCode
    | Join
    | Remove
    | Undo
    | Redo
    | Adopt
    | ReadPast
    | ForgetUnsent
    | GiveLink
    | TakeBack
    | Reach
    | UseRelay
    | ForgetRelay
    | Listening
    | Look
)
"""Everything that an owner can ask."""


@dataclass(frozen=True, slots=True)
class Member:
    """One device that counts, and whether a session with it is open now."""

    device: DeviceId
    role: Role
    online: bool


@dataclass(frozen=True, slots=True)
class LogCommit:
    """One accepted commit: who made it, when by that device's clock, and on what.

    turns: how many messages wrote in it. counts: they are visible in the present. why: a
    sentence about that.
    """

    id: CommitId
    author: DeviceId
    wall: Wall
    parents: tuple[CommitId, ...]
    turns: int
    counts: bool
    why: str


@dataclass(frozen=True, slots=True)
class TopicStatus:
    """One actor as this node holds it.

    commits: accepted. hidden: of those, quarantined. orphans: waiting for parents or keys.
    heads: the ids of the newest commits. active: a cell hosts it. coming: what is known to be
    on its way here.
    """

    topic: Topic
    actor_type: str
    commits: int
    hidden: int
    orphans: int
    heads: tuple[CommitId, ...]
    active: bool
    coming: Amount = NONE_TO_GO


@dataclass(frozen=True, slots=True)
class FormerDevice:
    """A device that this node was, until its store turned out to be a copy.

    ended: milliseconds since 1970. why: a sentence. unsent: of each actor where there are any,
    how many turns it left that have not been seen in a commit of its since.
    """

    device: DeviceId
    ended: Wall
    why: str
    unsent: tuple[tuple[Topic, int], ...]


@dataclass(frozen=True, slots=True)
class RelayStatus:
    """One relay that this node uses.

    device: None while there is no session with it. lacking: commits that it was found to lack
    at the last comparison. alarm: what it withholds, a phrase; empty if nothing.
    """

    address: str
    device: DeviceId | None
    lacking: int
    alarm: str


@dataclass(frozen=True, slots=True)
class LettersStatus:
    """Messages to one device that it has not acknowledged.

    count: how many. relays: of those where it takes letters while it is off, how many have
    them, or as many as they take; 0 while there is a link to it.
    """

    device: DeviceId
    count: int
    relays: int


@dataclass(frozen=True, slots=True)
class MailStatus:
    """What a relay keeps for devices that are off. bytes: of all mails."""

    mailboxes: int
    mails: int
    bytes: int


NO_MAIL: Final = MailStatus(0, 0, 0)
"""Of who is no relay."""


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """The node at a glance.

    links: (peer or None while shaking hands, address). shelves: of a relay, (topic, commits,
    bytes). refusals: (reason, how often). formers: the oldest first. letters: of each device
    for which some wait. mail: of a relay.
    """

    device: DeviceId
    crypto: str
    relay: bool
    address: str
    links: tuple[tuple[DeviceId | None, str], ...]
    topics: tuple[TopicStatus, ...]
    shelves: tuple[tuple[Topic, int, int], ...]
    refusals: tuple[tuple[str, int], ...]
    formers: tuple[FormerDevice, ...]
    relays: tuple[RelayStatus, ...]
    letters: tuple[LettersStatus, ...] = ()
    mail: MailStatus = NO_MAIL
