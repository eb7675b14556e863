r"""The past of an actor as an app sees it: its turns, its fields then, what differs, a branch.

Owns: folding what was read of a log into a cell of its own, apart from the one that is
hosted. May not know: how the log was read, threads.

    Past of a version --> cell that nobody hosts --> fields as they were
                                                 \--> branch: turns that only it has seen

Source: API 'A whole application' (`history`, `at`, `diff`, `fork`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Concatenate, Final, Generic, ParamSpec, TypeVar, cast

from comity.actor.actor import Actor
from comity.actor.actor_type import ActorType
from comity.actor.cell import Cell
from comity.actor.changes import Range, difference
from comity.actor.fold import Fold
from comity.base.clock import Wall
from comity.base.errors import UsageError
from comity.base.ids import CommitId, DeviceId, Topic
from comity.crdt.record import Record, fields_of
from comity.crdt.rules import ADMIN
from comity.crdt.state import fields_in
from comity.node.commands import Past, TurnId

if TYPE_CHECKING:
    from comity.actor.message import Message, Outcome

__all__ = [
    "Branch",
    "Difference",
    "Turn",
    "Version",
    "cell_of",
    "differences",
    "fields_at",
    "time_of",
    "turns_of",
]

A = TypeVar("A", bound=Actor)
A_co = TypeVar("A_co", bound=Actor, covariant=True)
R = TypeVar("R")
P = ParamSpec("P")

Version = tuple[CommitId, ...]
"""The newest commits of a version, ascending: it holds them and all that they build on."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of the log.

    id: what `undo` and `at` take. time: what its author's clock said; to show, and no more.
    fields: those that it wrote, by name, of the ones that this class has.
    visible: whether it counts now; not if it is undone, or a removal hides it.
    """

    id: TurnId
    author: DeviceId
    time: datetime
    fields: tuple[str, ...]
    visible: bool


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs in one field between two versions.

    keys: of a map or a set, those that differ; of a record the names of its fields that do.
    range: of a text or a list, where.
    """

    before: object
    after: object
    keys: tuple[object, ...] = ()
    range: Range | None = None


def turns_of(past: Past, actor_type: ActorType) -> tuple[Turn, ...]:
    """Return turns that were read, the newest last."""
    graph, hidden = past.graph, dict.fromkeys(past.hidden)
    found: list[Turn] = []
    for each in past.commits:
        commit, author = graph.id_of(each.commit), graph.author_of(each.commit)
        time = time_of(graph.wall_of(each.commit))
        for index, operations in enumerate(each.turns):
            fields = fields_in(actor_type.schema, operations)
            visible = (each.commit, index) not in hidden
            found.append(Turn(TurnId(commit, index), author, time, fields, visible))
    return tuple(found)


_LATEST: Final = 253_402_300_799_000
"""The last millisecond that a datetime can name: a peer's clock may say anything."""


def time_of(wall: Wall) -> datetime:
    """Return what a clock said; to show, and no more."""
    return _EPOCH + timedelta(milliseconds=min(wall, _LATEST))


def fields_at(
    past: Past, actor_type: ActorType, topic: Topic, *, turn: TurnId | None = None
) -> Mapping[str, object]:
    """Return the fields of a version as plain immutable values. Cost: all of its turns.

    turn: the last one that counts in its commit, which is the newest of the version.
    """
    return cell_of(past, actor_type, topic, turn=turn).snapshot()


def cell_of(
    past: Past,
    actor_type: ActorType,
    topic: Topic,
    *,
    turn: TurnId | None = None,
    device: DeviceId | None = None,
) -> Cell:
    """Return a cell that shows a version; it may write if a device is given."""
    commits = list(past.commits)
    hide = [*past.hidden]
    if turn is not None and commits:
        newest = commits[-1]
        if past.graph.id_of(newest.commit) == turn.commit:
            later = range(turn.index + 1, len(newest.turns))
            places = [(newest.commit, at) for at in later]
            hide += [place for place in places if place not in hide]
    cell = Cell(actor_type, topic)
    fold = Fold(
        topic,
        1,
        0,
        past.graph,
        commits=tuple(commits),
        hide=tuple(hide),
        may_write=device is not None,
        device=device,
        role=ADMIN,
    )
    cell.fold(fold)
    return cell


def differences(
    before: Mapping[str, object], after: Mapping[str, object]
) -> dict[str, Difference]:
    """Return what differs between two snapshots, by field."""
    found: dict[str, Difference] = {}
    for name, new in after.items():
        old = before[name]
        if old != new:
            found[name] = Difference(old, new, *_where(old, new))
    return found


def _where(old: object, new: object) -> tuple[tuple[object, ...], Range | None]:
    """Return the keys that differ in two maps or sets, the range in two texts or lists."""
    if isinstance(old, Record) and isinstance(new, Record):
        return _keys(fields_of(old), fields_of(new)), None
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        was = cast("Mapping[object, object]", old)
        return _keys(was, cast("Mapping[object, object]", new)), None
    if isinstance(old, AbstractSet) and isinstance(new, AbstractSet):
        one, other = cast("AbstractSet[object]", old), cast("AbstractSet[object]", new)
        return tuple(sorted(one ^ other, key=repr)), None
    if isinstance(old, str) and isinstance(new, str):
        return (), difference(old, new)
    if isinstance(old, tuple) and isinstance(new, tuple):
        first = cast("tuple[object, ...]", old)
        return (), difference(first, cast("tuple[object, ...]", new))
    return (), None


def _keys(old: Mapping[Any, object], new: Mapping[Any, object]) -> tuple[object, ...]:
    gone = [key for key in old if key not in new]
    return (*gone, *[key for key in new if key not in old or old[key] != new[key]])


class Branch(Generic[A_co]):
    """A version of an actor to try things on: what is written here stays here.

    Its messages run at once, in the caller's thread, on a copy of the fields; `merge` sends
    them to the actor itself. One thread at a time.
    """

    __slots__ = ("_base", "_cell", "_messages", "_send")

    def __init__(self, cell: Cell, send: Callable[[Message], Any]) -> None:
        """Only refs make these. send: gives a message to the actor and waits for the reply."""
        self._cell = cell
        self._base = cell.snapshot()
        self._messages: list[Message] = []
        self._send = send
        error = cell.start()
        if error is not None:
            raise error

    def ask(
        self: Branch[A],
        method: Callable[Concatenate[A, P], R],
        /,
        *arguments: P.args,
        **keywords: P.kwargs,
    ) -> R:
        """Run a message here and return what it returns.

        Raises: what the method raises, and nothing of it remains; UsageError if it waits.
        """
        message = self._cell.actor_type.message(method, arguments, keywords)
        outcome: Outcome = self._cell.run(message)[0]
        if outcome.awaits is not None:
            self._cell.interrupt(message.method)
            raise UsageError(f"{message.method} waits for something, which a branch cannot")
        if outcome.error is not None:
            raise outcome.error
        self._messages.append(message)
        return cast("R", outcome.value)

    def snapshot(self) -> Mapping[str, object]:
        """Return the fields of the branch as plain immutable values."""
        return self._cell.snapshot()

    def diff(self) -> dict[str, Difference]:
        """Return what the branch changed, by field."""
        return differences(self._base, self.snapshot())

    def merge(self) -> list[Any]:
        """Send the messages of the branch to the actor, in order; return their replies.

        They run on the actor as it is now, whatever has happened since. Those that were sent
        are not sent again by a further `merge`.

        Raises: what one of them raises; it and those after it stay with the branch.
        """
        replies: list[Any] = []
        while self._messages:
            replies.append(self._send(self._messages[0]))
            del self._messages[0]
        return replies
