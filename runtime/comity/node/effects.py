"""What a node wants done: the closed union of outputs of `Core.step`.

Owns: the shapes of effects. May not know: who carries them out. A driver carries out the
effects of one step in order; `Write`s are durable in the order they were asked for, and a
driver may put several into one transaction.

    cores      VerifyBatch -> Verified
    store      Write -> Stored | WriteFailed; Read -> ReadDone
    links      Dial -> LinkUp | LinkDown; Send; AwaitRoom -> LinkDrained; Hangup
    cells      Fold (`comity.actor.fold`) -> Folded | BeatClosed; Release
               Errands (`comity.actor.fold`) -> Handled | Returned
    senders    Progress, Throttle
    owner      Answer, Report, Stop
Source: ARCHITECTURE 'Who owns what', 'The way of a message'.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum, unique
from typing import Final

from comity.actor.fold import Errands, Fold
from comity.base.endings import Ending
from comity.base.errors import Rejected
from comity.base.ids import CommitId, DeviceId, LinkId, Token, Topic
from comity.base.values import made_fast

__all__ = [
    "NONE_TO_GO",
    "READ_LATER",
    "Amount",
    "Answer",
    "AwaitRoom",
    "Dial",
    "Drop",
    "Effect",
    "Hangup",
    "Progress",
    "Put",
    "Read",
    "Release",
    "Report",
    "Send",
    "Stage",
    "Stop",
    "Table",
    "Throttle",
    "VerifyBatch",
    "Write",
]


@unique
class Table(StrEnum):
    """The tables of a store: ordered maps from bytes to bytes. Names are for good.

    secret tables are encrypted under the store key by the driver.
    """

    META = "meta"
    SECRET = "secret"
    TOPIC = "topic"
    COMMIT = "commit_log"
    RUN = "run"
    INDEX = "log_index"
    STATE = "state"
    DRAFT = "draft"
    EPOCH = "epoch_key"
    CURSOR = "cursor"
    INVITE = "invite"
    PEER = "peer"
    RELAY = "relay"
    STRANDED = "stranded"
    GRANT = "grant"
    EDGE = "edge"
    OUTBOX = "outbox"
    ROUTE = "route"
    MAILBOX = "mailbox"
    MAIL = "mail"


READ_LATER: Final = (Table.MAIL,)
"""Tables that a node does not need when it starts, and reads from when it must."""


@made_fast
@dataclass(frozen=True, slots=True)
class Put:
    """Set one key of one table."""

    table: Table
    key: bytes
    value: bytes = field(repr=False)


@made_fast
@dataclass(frozen=True, slots=True)
class Drop:
    """Delete one key of one table; absent is fine."""

    table: Table
    key: bytes


@made_fast
@dataclass(frozen=True, slots=True)
class Write:
    """Make all changes durable, or none."""

    token: Token
    changes: tuple[Put | Drop, ...]


@made_fast
@dataclass(frozen=True, slots=True)
class Read:
    """Read rows with start <= key < stop in key order, at most `rows_max`."""

    token: Token
    table: Table
    start: bytes
    stop: bytes
    rows_max: int


@made_fast
@dataclass(frozen=True, slots=True)
class VerifyBatch:
    """Check signatures, in another process if there is one: it is work and no promise.

    claims: (public key, message, signature) each; the first and the last may be of any length.
    """

    token: Token
    claims: tuple[tuple[bytes, bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Dial:
    """Connect to an address, as link `link`."""

    link: LinkId
    address: str


@made_fast
@dataclass(frozen=True, slots=True)
class Send:
    """Send one frame over a link; dropped if the link is down."""

    link: LinkId
    frame: bytes


@made_fast
@dataclass(frozen=True, slots=True)
class AwaitRoom:
    """Say `LinkDrained` once what was sent over a link has mostly left."""

    link: LinkId


@dataclass(frozen=True, slots=True)
class Hangup:
    """Close a link after what was sent before has left."""

    link: LinkId
    why: str


@made_fast
@dataclass(frozen=True, slots=True)
class Release:
    """Turns up to `serial` are durable: their replies may go out."""

    topic: Topic
    serial: int


@made_fast
@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a command: its result, or why it cannot be."""

    token: Token
    result: object


@dataclass(frozen=True, slots=True)
class Amount:
    """What of an actor is on its way here: an estimate, by what the peer says that it holds.

    commits, bytes: to go. received: bytes that came in this session.
    """

    commits: int
    bytes: int
    received: int


NONE_TO_GO: Final = Amount(0, 0, 0)
"""Nothing is known to be on its way."""


@made_fast
@dataclass(frozen=True, slots=True)
class Report:
    """Something the owner should know: counted, kept for `comity why`, given to handlers.

    what: a stable word, for example 'refused', 'fork', 'accepted', 'linked'. amount: of
    'coming', how much of the actor is still on its way.
    """

    what: str
    topic: Topic | None = None
    commit: CommitId | None = None
    device: DeviceId | None = None
    refusal: Rejected | None = None
    detail: str = ""
    amount: Amount | None = None


@unique
class Stage(StrEnum):
    """What became of a message to another device.

    QUEUED: it is durable here. TAKEN: its effect is durable there. ENDED: an ask has its reply.
    """

    QUEUED = "queued"
    TAKEN = "taken"
    ENDED = "ended"


@made_fast
@dataclass(frozen=True, slots=True)
class Progress:
    """A message that was posted with this token has come further.

    ending, body: of an ask that ended (`comity.protocol.envelope`).
    """

    token: Token
    stage: Stage
    ending: Ending = Ending.VALUE
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Throttle:
    """Too much waits for a device: have who writes to it wait, or no longer."""

    device: DeviceId
    is_full: bool


@dataclass(frozen=True, slots=True)
class Stop:
    """The core does nothing any more: carry out what it asked for before, and begin anew."""

    why: str


Effect = (
    Write
    | Read
    | VerifyBatch
    | Dial
    | Send
    | AwaitRoom
    | Hangup
    | Fold
    | Release
    | Errands
    | Progress
    | Throttle
    | Answer
    | Report
    | Stop
)
"""Everything a core can ask for."""
