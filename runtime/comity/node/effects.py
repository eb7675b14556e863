"""What a node wants done: the closed union of outputs of `Core.step`.

Owns: the shapes of effects. May not know: who carries them out. A driver carries out the
effects of one step in order; `Write`s are durable in the order they were asked for, and a
driver may put several into one transaction.

    store      Write -> Stored | WriteFailed; Read -> ReadDone
    links      Dial -> LinkUp | LinkDown; Send; Hangup
    cells      Fold -> Folded | BeatClosed; Release
    owner      Answer, Report
Source: ARCHITECTURE 'Who owns what', 'The way of a message'.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, unique
from typing import TYPE_CHECKING

from comity.base.errors import Rejected
from comity.base.ids import CommitId, DeviceId, LinkId, Token, Topic

if TYPE_CHECKING:
    from comity.log.graph import Graph

__all__ = [
    "Answer",
    "Binding",
    "Dial",
    "Drop",
    "Effect",
    "Fold",
    "FoldCommit",
    "Hangup",
    "Put",
    "Read",
    "Release",
    "Report",
    "Send",
    "Table",
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
    DRAFT = "draft"
    EPOCH = "epoch_key"
    CURSOR = "cursor"
    INVITE = "invite"
    PEER = "peer"
    RELAY = "relay"


@dataclass(frozen=True, slots=True)
class Put:
    """Set one key of one table."""

    table: Table
    key: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Drop:
    """Delete one key of one table; absent is fine."""

    table: Table
    key: bytes


@dataclass(frozen=True, slots=True)
class Write:
    """Make all changes durable, or none."""

    token: Token
    changes: tuple[Put | Drop, ...]


@dataclass(frozen=True, slots=True)
class Read:
    """Read rows with start <= key < stop in key order, at most `rows_max`."""

    token: Token
    table: Table
    start: bytes
    stop: bytes
    rows_max: int


@dataclass(frozen=True, slots=True)
class Dial:
    """Connect to an address, as link `link`."""

    link: LinkId
    address: str


@dataclass(frozen=True, slots=True)
class Send:
    """Send one frame over a link; dropped if the link is down."""

    link: LinkId
    frame: bytes


@dataclass(frozen=True, slots=True)
class Hangup:
    """Close a link after what was sent before has left."""

    link: LinkId
    why: str


@dataclass(frozen=True, slots=True)
class Binding:
    """The cell's turns `first`..`last` are now the turns of a sealed commit, in order."""

    first: int
    last: int
    commit: int


@dataclass(frozen=True, slots=True)
class FoldCommit:
    """One commit for the fold: its number in the graph and its turns' operations."""

    commit: int
    author: DeviceId
    turns: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Fold:
    """Bring a cell from beat `beat - 1` to `beat`.

    serial: the last turn of the cell that `bindings` (of this and earlier folds) cover. If
        the cell has run a later one it changes nothing and answers `BeatClosed`.
    hide, show: (commit, turn index) whose visibility changed.
    may_write: whether this device's role lets its turns write, from now on.
    graph: read-only; the core alone appends to it.
    last: no more history follows: a cell that is being activated may start.
    """

    topic: Topic
    beat: int
    serial: int
    graph: Graph
    bindings: tuple[Binding, ...] = ()
    commits: tuple[FoldCommit, ...] = ()
    hide: tuple[tuple[int, int], ...] = ()
    show: tuple[tuple[int, int], ...] = ()
    may_write: bool = True
    last: bool = True


@dataclass(frozen=True, slots=True)
class Release:
    """Turns up to `serial` are durable: their replies may go out."""

    topic: Topic
    serial: int


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a command: its result, or why it cannot be."""

    token: Token
    result: object


@dataclass(frozen=True, slots=True)
class Report:
    """Something the owner should know: counted, kept for `comity why`, given to handlers.

    what: a stable word, for example 'refused', 'fork', 'accepted', 'linked'.
    """

    what: str
    topic: Topic | None = None
    commit: CommitId | None = None
    device: DeviceId | None = None
    refusal: Rejected | None = None
    detail: str = ""


Effect = Write | Read | Dial | Send | Hangup | Fold | Release | Answer | Report
"""Everything a core can ask for."""
