"""The verdict on a store: does it open, does it keep every promise, does it go on?

Owns: the promises made by a run and the judgement of a directory by them. May not know: how
the directory came about.

A store is judged by what a node is made of, without its threads: lock, vault, SQLite, core,
cell. It must open, pass its own checks, hold one whole turn after another, first to last, with
all that were acknowledged and every commit that others have; then take one more, and
open once more.
Source: ARCHITECTURE invariant 3; CHAOS 'Oracles', Durability.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, cast

from comity import Actor, Counter, Map, Node, Register
from comity.actor.actor_type import ActorType
from comity.actor.awaiting import Foreign, Work
from comity.actor.cell import Cell
from comity.actor.fold import CellEvent, Fold
from comity.actor.randomness import Randomness
from comity.base.clock import SECOND, Duration, Instant, Moment, Wall
from comity.base.errors import ComityError, UsageError
from comity.base.ids import CommitId, Token, Topic
from comity.crypto.sodium import Sodium
from comity.drivers.generation import FileWitness, state_directory
from comity.drivers.lock import StoreLock
from comity.drivers.sqlite_store import SqliteStore
from comity.drivers.store import STORE_FILE, VAULT_FILE
from comity.drivers.system import SystemClock, SystemEntropy
from comity.drivers.vault import Vault
from comity.node import commands
from comity.node.core import Core, Event, Local, Ports
from comity.node.effects import Answer, Effect, Read, Release, Table, Write
from comity.node.events import ReadDone, Stored, Woke
from comity.wire.codec import ProtobufCodec
from comity_chaos.cells import Cells
from comity_chaos.replies import Reply
from tests.durability.record import Entry, Kind

__all__ = ["Promises", "Tally", "verdict"]

_ROWS_ALL: Final = 1 << 62
_SECONDS: Final = 20.0

_CELL_CHECK_LINES_MAX: Final = 30
"""Entries up to which the fields check themselves: 1 ms; 100 ms at five times as many."""


class Still:
    """A clockwork for actors that ask for nothing: no time passes but that of the messages."""

    randomness = Randomness(SystemEntropy())

    def moment(self) -> Moment:
        """Return the present."""
        return SystemClock().moment()

    def later(self, wait: Duration, act: Callable[[], None]) -> None:
        """Refuse: nobody is here to wait."""
        raise UsageError(f"nobody waits {wait} ns here for {act}")

    def fake(self, wait: Work | Foreign) -> Callable[[], object]:
        """Refuse."""
        raise UsageError(f"nothing stands for {wait} here")

    def renew(self, topic: Topic) -> None:
        """Refuse."""
        raise UsageError(f"nobody feeds {topic.hex()} anew here")

    def refer(self, actor_type: ActorType, topic: Topic) -> object:
        """Refuse."""
        raise UsageError(f"{actor_type.name} {topic.hex()} has no ref here")

    def outside(self) -> Duration:
        """Take no time."""
        return Duration(0)


class Tally(Actor):
    """Counts entries; each leaves a trace in every field."""

    count: Counter
    last: Register[str]
    note: Register[str]
    lines: Map[str, int]

    def enter(self, name: str, note: str) -> int:
        """Write four fields at once; return the number of the entry, from 1."""
        self.count += 1
        self.lines[name] = int(self.count)
        self.last = name
        self.note = note
        return int(self.count)


@dataclass(slots=True)
class Promises:
    """What the outside may rely on. told: numbers by name of the entry."""

    founded: bool = False
    sent: dict[str, None] = field(default_factory=dict)
    told: dict[str, int] = field(default_factory=dict)
    left: list[CommitId] = field(default_factory=list)

    def take(self, entry: Entry) -> None:
        """Note what an entry of a record promises, if it does."""
        match entry.kind:
            case Kind.FOUNDED:
                self.founded = True
            case Kind.SENT:
                self.sent[entry.name] = None
            case Kind.TOLD:
                assert entry.name not in self.told
                self.told[entry.name] = entry.number
            case Kind.LEFT:
                self.left.append(CommitId(entry.data))
            case _:
                pass


class _BrokenError(Exception):
    """A promise was broken, or the state is not one that any run passes through."""


def verdict(directory: Path, promises: Promises, *, by_node: bool = False) -> str:
    """Judge a store and write to it; '' if all is well, else what is wrong.

    by_node: open it with a whole node, threads and all, instead of its parts.
    """
    judge = _judge_by_node if by_node else _judge
    try:
        count = judge(directory, promises)
        again = judge(directory, promises)
    except _BrokenError as error:
        return str(error)
    except (AssertionError, ComityError, sqlite3.Error) as error:
        return f"{type(error).__name__}: {error}"
    return "" if again == count + 1 else f"{count} entries and one more became {again}"


def _judge(directory: Path, promises: Promises) -> int:
    """Open, check, write one entry, close. Returns how many entries there were before."""
    with ExitStack() as undo:
        undo.enter_context(StoreLock(directory))
        crypto, entropy = Sodium(), SystemEntropy()
        key = Vault(directory / VAULT_FILE, crypto, entropy).open(insecure=True)
        store = SqliteStore(directory / STORE_FILE, key, crypto, entropy)
        undo.callback(store.close)
        store.check()
        life = _Life(store, Core(Ports(crypto, ProtobufCodec(), entropy), Local()))
        topic = life.actor(founded=promises.founded)
        _check_state(life.snapshot(topic), promises)
        life.check_log()
        life.check_commits(topic, promises.left)
        count = len(_lines(life.snapshot(topic)))
        life.enter(topic, f"after/{count}")
        if count < _CELL_CHECK_LINES_MAX:
            life.check_cells()
        return count


def _judge_by_node(directory: Path, promises: Promises) -> int:
    """Do the same as an application would."""
    _witness(directory)
    with Node(directory, insecure_store=True, listen=None) as node:
        held = promises.founded or node.status().topics
        ref = node.open(Tally) if held else node.create(Tally)
        state = ref.snapshot()
        _check_state(state, promises)
        count = len(_lines(state))
        number = ref.ask(Tally.enter, f"after/{count}", "").get(timeout=_SECONDS)
        if number != count + 1:
            raise _BrokenError("the store takes no further write")
        return count


def _witness(directory: Path) -> None:
    """Put back what tells a store from its copies with it: the whole machine lost power."""
    with TemporaryDirectory() as folder:
        for path in directory.glob(f"{STORE_FILE}*"):
            shutil.copy(path, folder)
        with closing(sqlite3.connect(Path(folder) / STORE_FILE)) as connection:
            try:
                found = connection.execute(
                    "SELECT value FROM comity WHERE name = 'generation'"
                ).fetchone()
            except sqlite3.OperationalError:
                return  # it was not laid out yet
    if found is not None:
        witness, name = FileWitness(state_directory()), found[0][:16]
        witness.remember(name, found[0][16:])
        witness.count(name, 0)


class _Life:
    """One life of a node, one step at a time."""

    def __init__(self, store: SqliteStore, core: Core) -> None:
        self._store = store
        self._core = core
        self._instant = SystemClock().moment().instant
        self._events: deque[Event] = deque()
        self._answers: dict[Token, object] = {}
        self._token = Token(0)
        self._cells = Cells(self._emit, lambda _, error: self._fail(error), Still())
        found = {table: store.read(table, b"", b"\xff" * 80, _ROWS_ALL) for table in Table}
        self._perform(core.start(found, self._now()))
        self.settle()

    def actor(self, *, founded: bool) -> Topic:
        """Open the one actor; make it if nobody was told that it exists."""
        actor_type = ActorType.of(Tally)
        status = self._command(commands.DescribeNode)
        assert isinstance(status, commands.NodeStatus)
        topics = [each.topic for each in status.topics]
        if founded and not topics:
            raise _BrokenError("the actor that was founded is gone")
        if not topics:
            made = self._command(lambda token: commands.Create(token, actor_type.name))
            topics = [Topic(cast("bytes", made))]
        (topic,) = topics
        self._cells.activate(Cell(actor_type, topic), create=False)
        self._command(lambda token: commands.Activate(token, topic))
        return topic

    def snapshot(self, topic: Topic) -> Mapping[str, object]:
        """Return the fields."""
        return self._cells.cell(topic).snapshot()

    def enter(self, topic: Topic, name: str) -> None:
        """Write one entry and have it sealed: it is acknowledged, and no draft is left."""
        before = len(_lines(self.snapshot(topic)))
        reply = self._ask(topic, name)
        self.settle()
        if not reply.done or reply.value != before + 1:
            raise _BrokenError("the store takes no further write")
        self._instant = Instant(self._instant + SECOND)
        self._events.append(Woke())
        self.settle()
        if self._store.read(Table.DRAFT, b"", b"\xff" * 80, 1):
            raise _BrokenError("a draft is left after the beat was sealed")

    def check_commits(self, topic: Topic, commits: list[CommitId]) -> None:
        """Have every commit that another device has."""
        replica = self._core._desk.replica(topic)  # type: ignore[union-attr]
        assert replica is not None
        for commit in commits:
            if replica.journal.graph.index_of(commit) is None:
                raise _BrokenError("a commit that a peer has is gone")

    def check_log(self) -> None:
        """Assert the invariants of graph, authority and holdings."""
        self._core.check()

    def check_cells(self) -> None:
        """Assert the invariants of the fields; quadratic in their writes."""
        self._cells.check()

    def settle(self) -> None:
        """Go on until nothing is left to do."""
        while True:
            if self._events:
                self._perform(self._core.step((self._events.popleft(),), self._now()))
            elif ready := self._cells.ready():
                self._cells.run(ready[0])
            else:
                return

    def _ask(self, topic: Topic, name: str) -> Reply[int]:
        reply: Reply[int] = Reply()
        message = ActorType.of(Tally).message(Tally.enter, (name, ""), {})
        self._cells.post(topic, message, reply)
        return reply

    def _command(self, make: Callable[[Token], commands.Command]) -> object:
        self._token = token = Token(self._token + 1)
        self._events.append(make(token))
        self.settle()
        answer = self._answers.pop(token)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Write(token, changes):
                    self._store.apply(changes)
                    self._events.append(Stored(token))
                case Read(token, table, start, stop, rows_max):
                    rows = self._store.read(table, start, stop, rows_max)
                    self._events.append(ReadDone(token, rows))
                case Fold():
                    self._cells.fold(effect)
                case Release(topic, serial):
                    self._cells.release(topic, serial)
                case Answer(token, result):
                    self._answers[token] = result
                case _:
                    pass  # there are no links here, and nobody listens to reports

    def _emit(self, event: CellEvent) -> None:
        self._events.append(event)

    def _fail(self, error: Exception) -> None:
        raise error

    def _now(self) -> Moment:
        return Moment(self._instant, Wall(SystemClock().moment().wall))


def _lines(state: Mapping[str, object]) -> Mapping[str, int]:
    return cast("Mapping[str, int]", state["lines"])


def _check_state(state: Mapping[str, object], promises: Promises) -> None:
    """Check that the state is one after whole turns, and holds all that was promised."""
    lines = _lines(state)
    by_number = {number: name for name, number in lines.items()}
    for name, number in promises.told.items():
        if lines.get(name) != number:
            raise _BrokenError("an acknowledged entry is gone")
    if sorted(lines.values()) != list(range(1, len(lines) + 1)):
        raise _BrokenError("the entries are not the first ones that were made")
    if state["count"] != len(lines):
        raise _BrokenError("a turn counts twice, or in part")
    if lines and state["last"] != by_number[len(lines)]:
        raise _BrokenError("the last turn shows in part")
    seen: dict[str, int] = {}
    for number in range(1, len(lines) + 1):
        name = by_number[number]
        client, _, which = name.partition("/")
        if name not in promises.sent and client != "after":
            raise _BrokenError(f"nobody sent {name}")
        if client != "after":
            if int(which) != seen.get(client, -1) + 1:
                raise _BrokenError(f"entries of client {client} are out of order")
            seen[client] = int(which)
