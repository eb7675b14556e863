"""Causal histories for tests: several replicas of one actor, and the naive twin of its types.

The twin works on whole histories with plain sets, straight from the definitions: what is
visible, what lies in whose past. It shares nothing with the code that it judges.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b

from hypothesis import strategies as st

from comity.base.canonical import Reader
from comity.base.errors import UsageError
from comity.base.ids import DeviceId
from comity.crdt.bounded import BoundedCounter
from comity.crdt.flag import Flag
from comity.crdt.list_law import ListLaw
from comity.crdt.list_view import List
from comity.crdt.schema import FieldOptions, Schema
from comity.crdt.state import State
from comity.crdt.text.operations import decode
from comity.crdt.views import Counter, Map, Register, Set, Text
from tests.crdt import bounded_twin, list_twin
from tests.crdt.text.twin import Event, Twin

AUTHORS = 3
FLOOR = 10
KEYS = "ab"
"""Few, so that writes meet."""

Action = tuple[str, str, int]
"""What a turn does: verb, key or element, number."""


class Board:
    """An actor with a field of every type."""

    title: Register[str]
    done: Counter
    tags: Set[str]
    items: Map[str, int]
    note: Text
    open: Flag
    row: List[str]
    seats: BoundedCounter
    _comity_cell: Replica


SCHEMA = Schema.from_hints(
    "Board",
    {
        "title": Register[str],
        "done": Counter,
        "tags": Set[str],
        "items": Map[str, int],
        "note": Text,
        "open": Flag,
        "row": List[str],
        "seats": BoundedCounter,
    },
    {"seats": FieldOptions(floor=FLOOR)},
)
SCHEMA.install(Board)
TAGS = {each.name: each.tag for each in SCHEMA.fields}


@dataclass
class Turn:
    """A turn of the history.

    past: serials of all turns before it, of its own commit too. hidden: those of them that its
    author did not see; undone: those of the hidden that are so only for being undone.
    """

    serial: int
    author: int
    commit: int
    past: frozenset[int]
    operations: bytes = b""
    hidden: frozenset[int] = frozenset()
    undone: frozenset[int] = frozenset()
    actions: list[Action] = field(default_factory=list)


def tie(tag: bytes, commit: int) -> bytes:
    """Order commits as hashes do: for no reason."""
    return blake2b(tag + commit.to_bytes(4, "big"), digest_size=32).digest()


def device(author: int) -> DeviceId:
    """Return the id of an author's device."""
    return DeviceId(bytes((author,)) * 32)


class Order:
    """The causality of one replica, over its own numbering of turns."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self.bound = 0

    def before(self, a: int, b: int) -> bool:
        """Tell whether one turn is in the past of another."""
        assert max(a, b) < self.bound, "nobody asks about an unbound turn"
        return self.turns[a].serial in self.turns[b].past

    def tie(self, field_tag: bytes, turn: int) -> bytes:
        """Return what orders a turn among concurrent ones."""
        assert turn < self.bound, "nobody asks about an unbound turn"
        return tie(field_tag, self.turns[turn].commit)

    def parents_of(self, turn: int) -> tuple[int, ...]:
        """Return the turns of a past that are in the past of none of the others."""
        assert turn < self.bound, "nobody asks about an unbound turn"
        past = [
            each for each in range(turn) if self.turns[each].serial in self.turns[turn].past
        ]
        seen = frozenset[int]().union(*(self.turns[each].past for each in past))
        return tuple(each for each in past if self.turns[each].serial not in seen)

    def hidden_before(self, turn: int) -> tuple[int, ...]:
        """Return what the author of a turn did not see."""
        hidden = self.turns[turn].hidden
        return tuple(each for each in range(turn) if self.turns[each].serial in hidden)

    def withdrawn_before(self, turn: int) -> tuple[int, ...]:
        """Return what of it is not only undone."""
        hidden = self.turns[turn].hidden - self.turns[turn].undone
        return tuple(each for each in range(turn) if self.turns[each].serial in hidden)

    def role(self, turn: int) -> int:
        """Let everybody be a writer."""
        assert turn >= 0
        return 1

    def author(self, turn: int) -> DeviceId:
        """Return whose turn it is."""
        return device(self.turns[turn].author)


class Replica:
    """One device's copy: what the cell is in the runtime."""

    def __init__(self, author: int = 0) -> None:
        self.order = Order()
        self.comity_state = State(SCHEMA, self.order)
        self.comity_state.device = device(author)
        self.numbers: dict[int, int] = {}
        self.hidden: set[int] = set()
        self.board = Board()
        self.board._comity_cell = self

    def run(self, turn: Turn, actions: list[Action], *, keep: bool) -> bool:
        """Run a local turn; return whether it is in the history now."""
        state = self.comity_state
        number = len(self.order.turns)
        state.begin(number)
        for action in actions:
            if perform(self.board, action):
                turn.actions.append(action)
        if not keep:
            state.rollback()
            return False
        turn.operations = state.commit()
        if turn.operations:
            self.order.turns.append(turn)
            self.numbers[turn.serial] = number
        return bool(turn.operations)

    def fold(self, turn: Turn) -> None:
        """Take a turn of another replica."""
        number = len(self.order.turns)
        self.order.turns.append(turn)
        self.order.bound = number + 1
        self.numbers[turn.serial] = number
        changes = self.comity_state.fold(number, turn.operations)
        assert changes
        assert all(change.refusal is None for change in changes)

    def look(self, serial: int, *, visible: bool) -> None:
        """Hide or show a turn; doing what is done already is fine."""
        self.order.bound = len(self.order.turns)
        if visible:
            self.comity_state.show(self.numbers[serial])
            self.hidden.discard(serial)
        else:
            self.comity_state.hide(self.numbers[serial])
            self.hidden.add(serial)

    def seen(self) -> frozenset[int]:
        """Return the serials of all turns that are in here."""
        return frozenset(self.numbers)

    def observed(self) -> tuple[object, ...]:
        """All that a user can see."""
        board = self.board
        return (
            self.comity_state.encode_state(),
            dict(self.comity_state.snapshot()),
            board.title.conflicts,
            {key: board.items.conflicts(key) for key in KEYS},
            list(board.items.items()),
            list(board.tags),
            str(board.note),
            bool(board.open),
            list(board.row),
            dict(board.seats.holders),
            dict(board.seats.overdrawn),
        )


def perform(board: Board, action: Action) -> bool:
    """Do one action through the views; tell whether it recorded an operation."""
    verb, key, number = action
    match verb:
        case "set":
            board.title = key * number
        case "count":
            board.done += number
        case "add":
            board.tags.add(key)
        case "remove":
            present = key in board.tags
            board.tags.discard(key)
            return present
        case "put":
            board.items[key] = number
        case "delete":
            return board.items.pop(key, None) is not None
        case "on" | "off":
            board.open = verb == "on"
        case "push":
            board.row.insert(number - 1, key * number)
        case "drop" | "replace" | "first" | "last":
            return rearrange(board.row, action)
        case "gain" | "spend" | "give":
            return trade(board.seats, action)
        case "type":
            board.note.insert(number, key)
        case "erase":
            before = len(board.note)
            del board.note[number - 1 : number + 1]
            return len(board.note) < before
        case _:
            raise AssertionError(verb)
    return True


def trade(seats: BoundedCounter, action: Action) -> bool:
    """Change a bounded counter, if this device has the rights to."""
    verb, _, number = action
    try:
        if verb == "give":
            seats.transfer(device(number - 1), 1)
        elif verb == "gain":
            seats.increase(number)
        else:
            seats.decrease(number)
    except UsageError:
        return False
    return True


def rearrange(row: List[str], action: Action) -> bool:
    """Change an element, if there is such a one."""
    verb, key, number = action
    place = number - 1
    if place >= len(row):
        return False
    match verb:
        case "drop":
            del row[place : place + 2]
        case "replace":
            row[place] = key
        case "first":
            row.move(place, 0)
            return place > 0
        case _:
            row.move(place, -1)
            return place < len(row) - 1
    return True


# ---------------------------------------------------------------------------- the twin


def twin(turns: list[Turn], hidden: set[int]) -> dict[str, object]:
    """Return what the fields hold, by definition."""
    visible = [turn for turn in turns if turn.serial not in hidden]
    register = live(visible, "title", ("set",), None)
    keys = sorted({action[1] for turn in visible for action in turn.actions})
    items: dict[str, list[int]] = {}
    for key in keys:
        found = live(visible, "items", ("put", "delete"), key)
        values = [action[2] for action in found if action[0] == "put"]
        if values:
            items[key] = list(dict.fromkeys(values))
    titles = list(dict.fromkeys(action[1] * action[2] for action in register))
    return {
        "title": titles[0] if titles else "",
        "conflicts": tuple(titles[1:]),
        "done": sum(a[2] for turn in visible for a in turn.actions if a[0] == "count"),
        "tags": frozenset(key for key in keys if is_in_set(visible, key, ("add", "remove"))),
        "open": is_in_set(visible, "", ("on", "off")),
        "items": {key: values[0] for key, values in items.items()},
        "rivals": {key: tuple(items.get(key, [0])[1:]) for key in KEYS},
        "note": note(turns, frozenset(hidden)),
        "row": tuple(row(turns, frozenset(hidden))),
        "seats": FLOOR + sum(bounded_twin.rights(map(deed, turns), hidden).values()),
    }


def deed(turn: Turn) -> bounded_twin.Deed:
    """Return what a turn did to the bounded counter."""
    effects: dict[int, int] = {}
    is_to_self = ("give", "", turn.author + 1) in turn.actions
    for verb, _, number in turn.actions:
        if verb == "give":
            effects[number - 1] = effects.get(number - 1, 0) + 1
        if verb in {"gain", "spend", "give"}:
            change = {"gain": number, "spend": -number, "give": -1}[verb]
            effects[turn.author] = effects.get(turn.author, 0) + change
    return bounded_twin.Deed(
        turn.serial, turn.author, turn.past, turn.hidden - turn.undone, effects, is_to_self
    )


def note(turns: list[Turn], hidden: frozenset[int]) -> str:
    """Return what the text comes to, as its own twin has it."""
    twin = Twin()
    for turn in turns:
        data = group(turn.operations, TAGS["note"])
        if data:
            order = tie(TAGS["note"], turn.commit)
            seen = turn.hidden
            twin.apply(Event(turn.serial, turn.past, decode(Reader(data)), order, seen))
    return twin.text(hidden)


def row(turns: list[Turn], hidden: frozenset[int]) -> list[str]:
    """Return what the list comes to, as its own twin has it."""
    twin = list_twin.ListTwin()
    law = State(SCHEMA, Order()).laws[[*TAGS].index("row")]
    assert isinstance(law, ListLaw)
    for turn in turns:
        data = group(turn.operations, TAGS["row"])
        if data:
            order = tie(TAGS["row"], turn.commit)
            parsed = law.parse(Reader(data))
            twin.apply(list_twin.Event(turn.serial, turn.past, parsed, order, turn.hidden))
    assert not twin.refused
    return twin.values(hidden)


def group(operations: bytes, tag: bytes) -> bytes:
    """Return a field's operations in those of a turn, empty if it has none."""
    reader = Reader(operations)
    while reader.left:
        found, data = reader.take(4), reader.blob(1 << 20)
        if found == tag:
            return data
    return b""


def live(
    visible: list[Turn], name: str, verbs: tuple[str, ...], key: str | None
) -> list[Action]:
    """Return the last writes of turns that no other such turn has in its past, by tie."""
    last: list[tuple[Turn, Action]] = []
    for turn in visible:
        mine = [a for a in turn.actions if a[0] in verbs and key in {None, a[1]}]
        last += [(turn, each) for each in mine[-1:]]
    top = [
        (turn, action)
        for turn, action in last
        if not any(turn.serial in other.past for other, _ in last)
    ]
    top.sort(key=lambda pair: tie(TAGS[name], pair[0].commit), reverse=True)
    return [action for _, action in top]


def is_in_set(visible: list[Turn], key: str, verbs: tuple[str, str]) -> bool:
    """Add wins: some add is in the past of no remove (an OR-set's definition)."""
    last: dict[int, str] = {}
    for turn in visible:
        for verb, element, _ in turn.actions:
            if element == key and verb in verbs:
                last[turn.serial] = verb
    pasts = {turn.serial: turn.past for turn in visible}
    return any(
        verb == verbs[0]
        and not any(other == verbs[1] and serial in pasts[at] for at, other in last.items())
        for serial, verb in last.items()
    )


# ---------------------------------------------------------------------------- histories

numbers = st.integers(1, 3)
actions: st.SearchStrategy[list[Action]] = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.sampled_from(KEYS), numbers),
        st.tuples(st.sampled_from(("on", "off")), st.just(""), st.just(0)),
        st.tuples(st.just("count"), st.just(""), st.integers(-3, 3).filter(bool)),
        st.tuples(st.sampled_from(("add", "remove")), st.sampled_from(KEYS), st.just(0)),
        st.tuples(st.sampled_from(("put", "delete")), st.sampled_from(KEYS), numbers),
        st.tuples(st.sampled_from(("gain", "gain", "spend", "give")), st.just(""), numbers),
        st.tuples(st.sampled_from(("push", "push", "drop")), st.sampled_from(KEYS), numbers),
        st.tuples(
            st.sampled_from(("replace", "first", "last")), st.sampled_from(KEYS), numbers
        ),
        st.tuples(st.sampled_from(("type", "type", "erase")), st.sampled_from(KEYS), numbers),
    ),
    min_size=1,
    max_size=3,
)
authors = st.integers(0, AUTHORS - 1)
Step = tuple[str, int, int | list[Action]]


def scripts(what: st.SearchStrategy[list[Action]]) -> st.SearchStrategy[list[Step]]:
    """Return histories of turns that do some actions, of syncs and of hiding."""
    return st.lists(
        st.one_of(
            st.tuples(st.just("turn"), authors, what),
            st.tuples(st.just("turn"), authors, what),
            st.tuples(st.just("abort"), authors, what),
            st.tuples(st.just("sync"), authors, authors),
            st.tuples(st.just("sync"), authors, authors),
            st.tuples(st.just("look"), authors, st.integers(0, 99)),
        ),
        min_size=6,
        max_size=40,
    )


steps = scripts(actions)


@dataclass
class History:
    """What came of a list of steps."""

    turns: list[Turn]
    replicas: list[Replica]


def play(script: list[Step], renew: Callable[[Replica], None] | None = None) -> History:
    """Run steps on replicas that write, sync and hide as they are told.

    renew: done to the replica of each step, after it.
    """
    world = _World()
    for verb, author, what in script:
        replica = world.replicas[author]
        if isinstance(what, list):
            world.run(author, what, keep=verb == "turn")
        elif verb == "sync":
            world.sync(author, what)
        elif replica.numbers:
            serial = sorted(replica.numbers)[what % len(replica.numbers)]
            replica.look(serial, visible=serial in replica.hidden)
            world.open_commit[author] = -1
        replica.comity_state.check()
        if renew is not None:
            world.open_commit[author] = -1
            renew(replica)
    return History(world.turns, world.replicas)


class _World:
    """Replicas in the making. open_commit: of each author; -1 if the next turn begins one."""

    def __init__(self) -> None:
        self.replicas = [Replica(author) for author in range(AUTHORS)]
        self.turns: list[Turn] = []
        self.open_commit = [-1] * AUTHORS
        self.commit_count = 0

    def run(self, author: int, what: list[Action], *, keep: bool) -> None:
        replica = self.replicas[author]
        if self.open_commit[author] < 0:
            self.open_commit[author] = self.commit_count
            self.commit_count += 1
        turn = Turn(len(self.turns), author, self.open_commit[author], replica.seen())
        turn.hidden = frozenset(replica.hidden)
        before = replica.observed()
        if replica.run(turn, what, keep=keep):
            self.turns.append(turn)
        if not keep:
            assert replica.observed() == before

    def sync(self, target: int, source: int) -> None:
        """Give the target all that the source has, which ends the commits concerned."""
        had, has = self.replicas[target].numbers, self.replicas[source].numbers
        for serial in sorted(has.keys() - had.keys()):
            self.open_commit[target] = self.open_commit[self.turns[serial].author] = -1
            self.replicas[target].fold(self.turns[serial])
