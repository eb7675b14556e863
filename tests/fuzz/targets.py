"""What is fuzzed: every decoder that reads what a peer, a person or a disk hands over.

Owns: one plain function and one corpus a decoder. A function takes any bytes and returns; it
raises only if the decoder does what it may not: anything but a value, a `Rejected`, or the
errors that its docstring names (for a person's text `UsageError`, for what only other decoders
read `Malformed`). What a decoder takes it must write again, to the same bytes where there is
one way to write them. Seeds are bytes that the real encoders made. May not know: who mutates.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final
from uuid import UUID

from comity import (
    Actor,
    BoundedCounter,
    Counter,
    Flag,
    Map,
    Record,
    Register,
    Set,
    Text,
    Tree,
    field,
)
from comity.actor.actor_type import ActorType
from comity.actor.cell import Cell
from comity.actor.fold import Fold, FoldCommit, Folded
from comity.base.canonical import Malformed, Reader
from comity.base.clock import Wall
from comity.base.errors import Rejected
from comity.base.ids import CommitId, DeviceId, Topic
from comity.crdt.bounded import BoundedLaw
from comity.crdt.escrow import Deed, Escrow
from comity.crdt.text import operations as text_operations
from comity.crdt.value import value_type
from comity.crdt.writer import Writer
from comity.crypto.keys import KeyPair
from comity.crypto.symbolic import Symbolic
from comity.log.build import Signer
from comity.log.entries import (
    AddEntry,
    AdoptEntry,
    Entry,
    GenesisEntry,
    PrekeyEntry,
    RemoveEntry,
    Role,
    TurnEntry,
    UndoEntry,
    decode_entries,
    encode_entries,
)
from comity.log.graph import Graph
from comity.log.inner import (
    ChainFacts,
    CommitGrant,
    Inner,
    RootGrant,
    decode_inner,
    encode_inner,
    padded_bytes,
    peek_parents,
)
from comity.log.runs import RUN_COMMITS_MAX, Run, decode_run, open_run, parse_run
from comity.log.seal import ContentKey, seal
from comity.log.sealed import assemble, clear_data, parse
from comity.log.wraps import check_wraps, unwrap_key
from comity.node.epochs import Epochs
from comity.node.journal import Checked, Hand, Inserted, Journal
from comity.node.prekeys import OwnPrekeys
from comity.node.step import Step
from comity.wire import records
from comity.wire.codec import ProtobufCodec
from tests.log import run_vectors, vectors
from tests.protocol import sessions

__all__ = ["TARGETS", "Target"]

TOPIC: Final = Topic(bytes(32))
CODEC: Final = ProtobufCodec()
CRYPTO: Final = Symbolic()


@dataclass(frozen=True, slots=True)
class Target:
    """A decoder. run: takes any bytes. corpus: bytes that real encoders made."""

    run: Callable[[bytes], object]
    corpus: Callable[[], Sequence[bytes]]


TARGETS: Final[dict[str, Target]] = {}
"""All of them, by name."""


def target(
    corpus: Callable[[], Sequence[bytes]],
) -> Callable[[Callable[[bytes], object]], Callable[[bytes], object]]:
    """Make a function a target under its name."""

    def add(run: Callable[[bytes], object]) -> Callable[[bytes], object]:
        TARGETS[run.__name__] = Target(run, cache(corpus))
        return run

    return add


# ---------------------------------------------------------------------------- the log


@cache
def _golden() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(vectors.FILE.read_text())
    return found


def _golden_commits(what: str) -> list[bytes]:
    return [bytes.fromhex(case[what]) for case in _golden()["commits"]]


@cache
def _golden_graph() -> Graph:
    return vectors.graph_of(_golden())


@target(lambda: _golden_commits("sealed"))
def sealed_commit(data: bytes) -> object:
    """`sealed.parse`, and what is done with the wraps before anybody is trusted."""
    sealed = parse(data)
    if isinstance(sealed, Rejected):
        return sealed
    assert assemble(sealed.clear, sealed.nonce, sealed.cipher) == data
    if sealed.wraps is not None and 0 < len(sealed.wraps.table) <= 64 * 56:
        found = unwrap_key(CRYPTO, TOPIC, sealed, bytes([3]) * 32)
        key = ContentKey(TOPIC, found if isinstance(found, bytes) else bytes(32))
        prekeys = [CRYPTO.exchange_public(bytes([3]) * 32)]
        ephemeral = sealed.wraps.ephemeral
        check_wraps(CRYPTO, key, sealed, ephemeral=ephemeral, prekeys=prekeys)
    return None


@target(lambda: _golden_commits("encoded"))
def inner(data: bytes) -> object:
    """`decode_inner` and `peek_parents`, with the golden commits known."""
    past = _golden_graph().facts
    peeked = peek_parents(data)
    found = decode_inner(data, past)
    if isinstance(found, Rejected):
        return found
    assert not isinstance(peeked, Rejected)
    assert peeked.parents == found.parents
    assert encode_inner(found, past) == data
    return None


def _bodies() -> list[bytes]:
    return [bytes.fromhex(case["bytes"]) for case in _golden()["entries"]]


@target(_bodies)
def entries(data: bytes) -> object:
    """`decode_entries`: every kind of entry there is."""
    found = decode_entries(data)
    if isinstance(found, Rejected):
        return found
    assert encode_entries(found) == data
    return None


@dataclass(frozen=True, slots=True)
class _Member:
    """A journal with a founder's first commits, and the key to seal more of them."""

    journal: Journal
    key: ContentKey
    epoch: CommitId
    inners: tuple[bytes, ...]


def _ignore(inserted: Inserted, step: Step | None) -> None:
    """Take what a journal tells its replica."""


@cache
def _member() -> _Member:
    signer = Signer(CRYPTO, bytes([1]) * 32)
    hand = Hand(signer, OwnPrekeys(KeyPair(CRYPTO, bytes([2]) * 32)), sessions.Counted(b"fuzz"))
    topic, genesis, key = Journal.found(hand, "t", Wall(0))
    journal = Journal(topic, hand, actor_type="t", grant=b"", on_insert=_ignore)
    journal.learn_key(genesis.id, key, None)
    checked = journal.examine(records.Commit(genesis.sealed, genesis.beside))
    assert isinstance(checked, Checked)
    journal.insert(checked, None)
    other = DeviceId(bytes([9]) * 32)
    said: tuple[Entry, ...] = (
        TurnEntry(b"x" * 40),
        AddEntry(other, Role.WRITER, bytes([8]) * 32),
        RemoveEntry(signer.device),
        AdoptEntry(genesis.id),
        PrekeyEntry(bytes([7]) * 32),
        UndoEntry(genesis.id, 0),
    )
    made = [
        Inner(signer.device, 1, genesis.id, auth, (genesis.id,), Wall(5), (each,))
        for each in said
        for auth in (RootGrant(0), CommitGrant(genesis.id))
    ]
    made.append(Inner(other, 0, None, RootGrant(0), (genesis.id,), Wall(5), said[:1]))
    encoded = tuple(encode_inner(each, journal.graph.facts).rstrip(b"\0") for each in made)
    return _Member(journal, ContentKey(topic, key), genesis.id, encoded)


@target(lambda: _member().inners)
def acceptance(data: bytes) -> object:
    """`Journal.examine` of what a member who holds the key has sealed, signature aside."""
    member = _member()
    if not 0 < len(data) <= 4096:
        return None
    padded = data + bytes(padded_bytes(len(data)) - len(data))
    sealed = seal(CRYPTO, member.key, clear_data(1, member.epoch), padded)
    return member.journal.examine(records.Commit(sealed, bytes(64)), trusted=True)


def _columns() -> list[bytes]:
    cases = json.loads(run_vectors.FILE.read_text())["runs"]
    return [bytes.fromhex(case["columns"]) for case in cases]


@target(_columns)
def run(data: bytes) -> object:
    """`open_run` and `decode_run` of columns that a member has sealed, or junk."""
    member = _member()
    parse_run(data)
    packed = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    columns = packed.compress(data) + packed.flush()
    head = b"\xc2\1\0\0" + bytes([1]) * 8 + member.epoch[:16]
    for plain in (bytes(64) + columns, data):
        sealed = parse_run(seal(CRYPTO, member.key, head, plain))
        assert not isinstance(sealed, Rejected)
        found = open_run(CRYPTO, member.key, sealed)
        if isinstance(found, Run):
            assert len(found.members) <= RUN_COMMITS_MAX
            decode_run(found, lambda _: ChainFacts(DeviceId(bytes(32)), 0, RootGrant(0)))
    return None


@target(lambda: [bytes(64), bytes(range(64)) * 2, b""])
def history(data: bytes) -> object:
    """`Epochs.read_history`: the older keys inside an epoch commit, sealed by its maker."""
    epochs = Epochs(CRYPTO, TOPIC)
    key = bytes([4]) * 32
    closed = CRYPTO.seal(epochs._history_key(key), bytes(24), data, TOPIC)
    assert epochs.read_history(key, data) == ()
    return epochs.read_history(key, closed)


# ---------------------------------------------------------------------------- turns


class Item(Record):
    """Replicated fields in one."""

    title: Text
    done: Flag = field()
    count: Counter = field()


class Everything(Actor):
    """One field of every type, over values of every type."""

    title: Register[str]
    maybe: Register[int | None]
    total: Counter
    names: Set[str]
    lines: Map[str, int]
    notes: Map[tuple[int, str], tuple[float, ...]]
    text: Text
    seats: BoundedCounter
    items: Map[str, Item]
    best: Item
    tree: Tree[str]

    def write(self, number: int) -> None:
        """Write all fields."""
        self.title = f"t{number}"
        self.maybe = number if number % 2 else None
        self.total += number
        self.names.add(f"n{number % 3}")
        self.lines[f"l{number % 3}"] = number
        self.notes[number, "n"] = (0.5 * number,)
        self.seats += number
        self.items[f"i{number % 2}"] = Item(title="x" * number, done=True)
        self.items["i0"].count += number
        self.best.title.append("y")
        node = self.tree.add(f"t{number}", 0)
        node.add("below").move(None)
        node.move(self.tree.children[-1])
        node.value = "set"
        self.seats.transfer(DeviceId(bytes([number]) * 32), 1)
        self.text.insert(len(self.text) // 2, "ab\u00e9" * number)

    def take(self) -> None:
        """Take things away again."""
        self.names.clear()
        self.lines.clear()
        self.seats -= 1
        del self.items["i0"]
        self.tree.children[0].delete()
        del self.text[1:3]


EVERYTHING: Final = ActorType.of(Everything)


def _cell() -> Cell:
    cell = Cell(EVERYTHING, TOPIC)
    cell.fold(Fold(TOPIC, 1, 0, Graph()))
    return cell


@cache
def _turns() -> tuple[bytes, ...]:
    cell = _cell()
    messages = [EVERYTHING.message(Everything.write, (n,), {}) for n in range(1, 5)]
    made: list[bytes] = []
    for message in [*messages, EVERYTHING.message(Everything.take, (), {}), messages[0]]:
        outcome, _ = cell.run(message)
        assert outcome.error is None
        made.append(outcome.operations)
    return tuple(made)


@cache
def _line() -> Graph:
    graph = Graph()
    parents: tuple[CommitId, ...] = ()
    for number in range(2):
        name = CommitId(bytes([number + 1]) * 32)
        author = DeviceId(bytes([number + 1]) * 32)
        said: tuple[Entry, ...] = (TurnEntry(b"x"),)
        if not parents:
            said = (GenesisEntry(bytes(32), "t", (author,), bytes(32)),)
        one = Inner(author, 0, None, RootGrant(0), parents, Wall(0), said)
        graph.insert(name, one, gen=number)
        parents = (name,)
    return graph


@target(_turns)
def turn(data: bytes) -> object:
    """`Cell.fold` of a turn after a real one: never an error, and a state that checks."""
    cell = Cell(EVERYTHING, TOPIC)
    commits = FoldCommit(0, _turns()[:1]), FoldCommit(1, (data,))
    event, changes = cell.fold(Fold(TOPIC, 1, 0, _line(), commits=commits))
    assert isinstance(event, Folded)
    cell.check()
    cell.snapshot()
    before = cell.state_bytes()
    cell.fold(Fold(TOPIC, 2, 0, _line(), hide=((1, 0),)))
    cell.fold(Fold(TOPIC, 3, 0, _line(), show=((1, 0),)))
    assert cell.state_bytes() == before
    return changes


def _bounded() -> tuple[BoundedLaw, Escrow]:
    escrow = Escrow(_OneAuthor(), set())
    return BoundedLaw("seats", b"tag.", 0, Writer(), escrow), escrow


class _OneAuthor:
    """The causality of turns of one device, one after another."""

    def before(self, a: int, b: int) -> bool:
        """Compare numbers."""
        return a < b

    def tie(self, field_tag: bytes, turn: int) -> bytes:
        """Never be asked."""
        raise AssertionError(field_tag, turn)

    def parents_of(self, turn: int) -> tuple[int, ...]:
        """Never be asked."""
        raise AssertionError(turn)

    def hidden_before(self, turn: int) -> tuple[int, ...]:
        """Return nothing."""
        return () if turn >= 0 else (turn,)

    def withdrawn_before(self, turn: int) -> tuple[int, ...]:
        """Return nothing."""
        return self.hidden_before(turn)

    def role(self, turn: int) -> int:
        """Return an admin's."""
        assert turn >= 0
        return 2

    def author(self, turn: int) -> DeviceId:
        """Return the one device."""
        assert turn >= 0
        return DeviceId(bytes([1]) * 32)


def _deeds() -> list[bytes]:
    return [
        b"\x0a", b"\x03", b"\x00" + bytes(32) + b"\x02",
        b"\x09" + bytes(32) + b"\x02" + bytes([1]) * 32 + b"\xac\x02",
    ]  # fmt: skip


@target(_deeds)
def bounded(data: bytes) -> object:
    """A deed of a bounded counter: `Malformed`, or rights that add up and never below zero."""
    law, escrow = _bounded()
    try:
        deed = law.parse(Reader(data))
    except Malformed as error:
        return error
    escrow.fold(0, Deed(7))
    for turn in (1, 2):
        escrow.fold(turn, deed)
    escrow.check()
    assert min(escrow.rights.values(), default=0) >= 0
    assert not escrow.overdrafts()
    return deed


def _texts() -> list[bytes]:
    insert, delete = text_operations.INSERT, text_operations.DELETE
    return [
        text_operations.encode([(insert, 0, 2, "ab")]),
        text_operations.encode([(insert, 300, 3, "\u00e9\U0001f600x"), (delete, 1, 7, "")]),
        text_operations.encode([(delete, 70_000, 1, ""), (insert, 5, 1, "\n")]),
    ]


@target(_texts)
def text(data: bytes) -> object:
    """The operations of a text: `Malformed`, or as many code points as are said."""
    try:
        found = text_operations.decode(Reader(data))
    except Malformed as error:
        return error
    again = text_operations.decode(Reader(text_operations.encode(found)))
    assert again == found
    return None


_HINTS: Final[tuple[Any, ...]] = (
    None, bool, int, float, str, bytes, datetime, UUID, int | None, tuple[int, ...],
    tuple[int, str], tuple[tuple[int, bytes | None], ...],
)  # fmt: skip
_VALUES: Final[tuple[Any, ...]] = (
    None, True, -(1 << 70), 0.5, "caf\u00e9", b"\0\1", datetime(2026, 1, 1, tzinfo=UTC),
    UUID(int=7), 5, (1, -1, 300), (3, "x"), ((1, b"v"), (2, None)),
)  # fmt: skip


@cache
def _types() -> tuple[Any, ...]:
    return tuple(map(value_type, _HINTS))


def _values() -> list[bytes]:
    pairs = zip(_types(), _VALUES, strict=True)
    return [bytes((n,)) + kind.encode(value) for n, (kind, value) in enumerate(pairs)]


@target(_values)
def value(data: bytes) -> object:
    """A value of a declared type; the first byte chooses the type."""
    if not data:
        return None
    kind = _types()[data[0] % len(_types())]
    reader = Reader(data, 1)
    try:
        found = kind.decode(reader)
    except Malformed as error:
        return error
    assert kind.encode(found) == data[1 : reader.position]
    return None
