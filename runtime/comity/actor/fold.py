"""What passes between cells and the core: turns one way, folds and errands the other.

Owns: the shapes. May not know: who carries them. All are frozen values; the graph inside a
`Fold` is the one shared structure, append-only, written by the core alone.
Source: ARCHITECTURE 'Who owns what'.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from comity.base.endings import Ending
from comity.base.errors import Rejected
from comity.base.ids import DeviceId, Topic
from comity.base.values import made_fast

if TYPE_CHECKING:
    from comity.log.graph import Graph

__all__ = [
    "REFUSED_MAX",
    "BeatClosed",
    "Binding",
    "Call",
    "CellEvent",
    "Errands",
    "Fold",
    "FoldCommit",
    "Folded",
    "Handled",
    "Result",
    "Returned",
    "TurnEnded",
]


REFUSED_MAX: Final = 64
"""Turns that broke a rule, told of one fold: a forger may send as many as he likes."""


@made_fast
@dataclass(frozen=True, slots=True)
class TurnEnded:
    """A turn that wrote something is over.

    serial: number of the writing turn in its cell, from 1, without gaps.
    beat: number of folds that the cell had applied; it names the frontier that was read.
    operations: the turn's encoded operations, never empty.
    """

    topic: Topic
    serial: int
    beat: int
    operations: bytes


@made_fast
@dataclass(frozen=True, slots=True)
class BeatClosed:
    """The cell could not fold: it had run turns that the fold does not bind. It now waits.

    serial: the last turn that ran; the core seals up to it and offers the fold again.
    """

    topic: Topic
    beat: int
    serial: int


@made_fast
@dataclass(frozen=True, slots=True)
class Folded:
    """The cell applied the fold that leads to `beat`; turns from now on read its frontier.

    refused: (commit, what it did that breaks a rule), of the first `REFUSED_MAX` such turns.
    frozen: its state, if that was asked for and can be stored.
    thawed: whether the state that the fold brought could be read; if not, nothing was applied.
    """

    topic: Topic
    beat: int
    refused: tuple[tuple[int, Rejected], ...] = ()
    frozen: bytes | None = None
    thawed: bool = True


@dataclass(frozen=True, slots=True)
class Call:
    """What many errands share: one method, called in one way. chain: who waits for it."""

    method: str
    shape: bytes
    wants_reply: bool
    chain: tuple[bytes, ...] = ()


@made_fast
@dataclass(frozen=True, slots=True)
class Errands:
    """Have an actor handle messages of one device, in this order.

    items: number on the edge, call, arguments.
    """

    topic: Topic
    sender: DeviceId
    items: tuple[tuple[int, Call, bytes], ...]


Result = tuple[int, TurnEnded | None, Ending | None, bytes]
"""Number of an errand, what its turn wrote, how it ended, and what its sender is told.

The ending is None if nobody is told. INTERRUPTED without a body: its handler awaits something,
and its sender is told later, or of a crash until then.
"""


@made_fast
@dataclass(frozen=True, slots=True)
class Handled:
    """These errands have had their turn, in this order."""

    topic: Topic
    sender: DeviceId
    results: tuple[Result, ...]


@made_fast
@dataclass(frozen=True, slots=True)
class Returned:
    """These errands have not begun, and will not here: the actor is not hosted any more.

    items: as in `Errands`.
    """

    topic: Topic
    sender: DeviceId
    items: tuple[tuple[int, Call, bytes], ...]


CellEvent = TurnEnded | BeatClosed | Folded | Handled | Returned
"""What a cell, or who hosts it, tells the core."""


@made_fast
@dataclass(frozen=True, slots=True)
class Binding:
    """The cell's turns `first`..`last` are now the turns of a sealed commit, in order.

    hidden, role: as in `FoldCommit`.
    """

    first: int
    last: int
    commit: int
    hidden: tuple[tuple[int, int], ...] = ()
    role: int = 0


@made_fast
@dataclass(frozen=True, slots=True)
class FoldCommit:
    """One commit for the fold: its number in the graph and its turns' operations.

    hidden: (commit, turn index), ascending, of the turns that are not visible in the version
        that it was made on, and (commit, `visibility.WHOLE`) of what authority hides there;
        the same object for commits that see the same hidden.
    role: that of its author under the grant that it names: 0 reader, 1 writer, 2 admin.
    """

    commit: int
    turns: tuple[bytes, ...]
    hidden: tuple[tuple[int, int], ...] = ()
    role: int = 0


@made_fast
@dataclass(frozen=True, slots=True)
class Fold:
    """Bring a cell from beat `beat - 1` to `beat`.

    serial: the last writing turn of the cell that `bindings` (of this and earlier folds)
        cover. If the cell has run a later one it changes nothing and answers `BeatClosed`.
    commits: in an order that agrees with causality, none given before.
    hide, show: (commit, turn index) whose visibility changed, in this order, whatever hides
        them; and (commit, WHOLE) if authority changed its mind.
    may_write: whether this device's role lets its turns write, from now on.
    last: no more history follows: a cell that is being activated may start.
    hold: run no turn until the next fold: this device is about to hide or show something.
    device: this one, which makes the turns of the cell.
    role: what it makes them as: 0 reader, 1 writer, 2 admin.
    frozen: what an earlier cell answered: this one, empty yet, goes on from that. `hide` then
        names all that is hidden now of what it stands for.
    freeze: answer with the state, to be stored. All turns of the cell are bound by then.
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
    hold: bool = False
    device: DeviceId | None = None
    role: int = 0
    frozen: bytes | None = None
    freeze: bool = False
