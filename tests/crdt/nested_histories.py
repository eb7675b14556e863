"""Histories of actors whose fields are replicated values in others, for tests."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from hypothesis import strategies as st

from comity.base.canonical import Reader
from comity.base.errors import UsageError
from comity.crdt.flag import Flag
from comity.crdt.list_view import List
from comity.crdt.record import Record, fields_of
from comity.crdt.schema import Schema
from comity.crdt.state import State
from comity.crdt.tree_view import Tree
from comity.crdt.views import Counter, Map, Set, Text
from tests.crdt.histories import AUTHORS, Order, Turn, group
from tests.crdt.nested_twin import Act, value

KEYS = "ab"
"""Few, so that writes meet."""

Action = tuple[str, str, str, int]
"""What a turn does: field, verb, key, number."""


class Place(Record):
    """A record inside a record."""

    flag: Flag
    count: Counter


class Item(Record):
    """A record with a field of every kind."""

    page: Text
    count: Counter
    tags: Set[str]
    row: List[str]
    deep: Map[str, Counter]
    place: Place


begun: Any = Item
"""For what checkers refuse: fields left out, a counter that begins with a number."""


class Nest:
    """An actor with replicated values of every type in maps."""

    counts: Map[str, Counter]
    tags: Map[str, Set[str]]
    pages: Map[str, Text]
    rows: Map[str, List[str]]
    flags: Map[str, Flag]
    deep: Map[str, Map[str, Counter]]
    books: Map[str, Map[str, Text]]
    items: Map[str, Item]
    home: Item
    tree: Tree[str]
    trees: Map[str, Tree[str]]
    _comity_cell: Replica


SCHEMA = Schema.from_hints(
    "Nest",
    {
        "counts": Map[str, Counter],
        "tags": Map[str, Set[str]],
        "pages": Map[str, Text],
        "rows": Map[str, List[str]],
        "flags": Map[str, Flag],
        "deep": Map[str, Map[str, Counter]],
        "books": Map[str, Map[str, Text]],
        "items": Map[str, Item],
        "home": Item,
        "tree": Tree[str],
        "trees": Map[str, Tree[str]],
    },
    {},
)
SCHEMA.install(Nest)


class Replica:
    """One device's copy, bound as the cell binds it."""

    def __init__(self) -> None:
        self.order = Order()
        self.comity_state = State(SCHEMA, self.order)
        self.numbers: dict[int, int] = {}
        self.hidden: set[int] = set()
        self.nest = Nest()
        self.nest._comity_cell = self

    def run(self, turn: Turn, actions: list[Action], *, keep: bool) -> bool:
        """Run a local turn; return whether it is in the history now."""
        state = self.comity_state
        number = len(self.order.turns)
        state.begin(number)
        for action in actions:
            perform(self.nest, action)
        if not keep:
            state.rollback()
            return False
        turn.operations = state.commit()
        if turn.operations:
            self.order.turns.append(turn)
            self.numbers[turn.serial] = number
        return bool(turn.operations)

    def bind(self) -> None:
        """Give this device's turns their places."""
        for number in range(self.order.bound, len(self.order.turns)):
            self.order.bound = number + 1
            self.comity_state.bound(number)

    def fold(self, turn: Turn) -> None:
        """Take a turn of another replica."""
        self.bind()
        number = len(self.order.turns)
        self.order.turns.append(turn)
        self.order.bound = number + 1
        self.numbers[turn.serial] = number
        changes = self.comity_state.fold(number, turn.operations)
        assert changes
        assert all(change.refusal is None for change in changes)

    def look(self, serial: int, *, visible: bool) -> None:
        """Hide or show a turn; doing what is done already is fine."""
        self.bind()
        if visible:
            self.comity_state.show(self.numbers[serial])
            self.hidden.discard(serial)
        else:
            self.comity_state.hide(self.numbers[serial])
            self.hidden.add(serial)

    def observed(self) -> object:
        """All that a user can see."""
        return self.comity_state.encode_state(), plain(self.comity_state.snapshot())


def plain(value: Any) -> Any:  # noqa: ANN401  (of any shape)
    """Return a snapshot with dicts for read-only mappings and records."""
    if isinstance(value, Record):
        return {name: plain(each) for name, each in fields_of(value).items()}
    if hasattr(value, "keys"):
        return {key: plain(value[key]) for key in value.keys()}  # noqa: SIM118
    return value


def perform(nest: Nest, action: Action) -> None:
    """Do one action through the views, if it fits."""
    name, verb, key, number = action
    field: Any = getattr(nest, name)
    if name == "tree":
        rearrange(field, verb, key, number)
        return
    if name in {"deep", "books"} and verb != "delete":
        field = field[key]
        key = KEYS[number % 2]
        verb = "delete" if verb == "inner" else verb
    if verb == "inner":
        return
    if verb == "delete":
        if name == "home":
            if not field.place.count:
                field.place = Place(flag=False)  # type: ignore[call-arg]
        elif key in field:
            del field[key]
        return
    if name in {"items", "home"}:
        if name == "items" and verb == "more" and number == 1:
            field[key] = begun(page=key, count=2)
        else:
            _change(field[key] if name == "items" else field, verb, number)
    else:
        _write(field, action, key)


def _write(field: Any, action: Action, key: str) -> None:  # noqa: ANN401  (of any type)
    """Change what is under a key."""
    name, verb, _, number = action
    match name:
        case "counts" | "deep":
            field[key] += number
        case "tags":
            change = field[key].add if verb == "more" else field[key].discard
            change("xyz"[number % 3])
        case "flags":
            field[key] = verb == "more"
        case "rows":
            row = field[key]
            if verb == "more":
                row.insert(number % 3, key * number)
            elif len(row):
                del row[number % len(row)]
        case "pages" | "books":
            page = field[key]
            if verb == "more":
                page.insert(number % 3, key * number)
            else:
                del page[number % 3 : number % 3 + 1]
        case "trees":
            rearrange(field[key], verb, key, number)
        case _:
            raise AssertionError(name)


def rearrange(tree: Tree[str], verb: str, key: str, number: int) -> None:
    """Change a tree: add, rename, move or delete one of its nodes."""
    nodes = list(tree)
    if not nodes or (verb == "more" and number % 3 == 0):
        tree.add(key * number, number % 2)
        return
    node, other = nodes[number % len(nodes)], nodes[(number * 5 + ord(key)) % len(nodes)]
    match verb:
        case "more":
            node.add(key * number, number % 2)
        case "less":
            node.value = key
        case "delete" | "drop":
            node.delete()
        case _:
            with suppress(UsageError):
                node.move(None if number % 4 == 0 else other, number % 2)


def _change(item: Item, verb: str, number: int) -> None:
    """Change some of the fields of a record."""
    if verb == "less":
        item.place.count -= number
        item.place.flag = number == 2
        item.tags.discard("xyz"[number % 3])
        if len(item.row):
            del item.row[0]
        if "x" in item.deep:
            del item.deep["x"]
    else:
        item.page.insert(number % 2, "pq"[number % 2])
        item.count += number
        item.tags.add("xyz"[number % 3])
        item.row.append("r")
        item.deep["x"] += number


def expected(turns: list[Turn], hidden: frozenset[int]) -> dict[str, object]:
    """Return what the fields hold, by definition."""
    found: dict[str, object] = {}
    laws = State(SCHEMA, Order()).laws
    for field, law in zip(SCHEMA.fields, laws, strict=True):
        acts: list[Act] = []
        for turn in turns:
            data = group(turn.operations, field.tag)
            if data:
                parsed = law.parse(Reader(data))
                acts.append(
                    Act(turn.serial, turn.past, turn.hidden, field.tag, turn.commit, parsed)
                )
        found[field.name] = value(field.shape, acts, hidden)
    return found


# ---------------------------------------------------------------------------- histories

numbers = st.integers(1, 3)
names = st.sampled_from([each.name for each in SCHEMA.fields])
verbs = st.sampled_from(("more", "more", "more", "less", "delete", "inner"))
actions: st.SearchStrategy[list[Action]] = st.lists(
    st.tuples(names, verbs, st.sampled_from(KEYS), numbers), max_size=4
)
authors = st.integers(0, AUTHORS - 1)
Step = tuple[str, int, int | list[Action]]


def scripts_of(
    doings: st.SearchStrategy[list[Action]], most: int = 40
) -> st.SearchStrategy[list[Step]]:
    """Return histories whose turns do what is drawn."""
    return st.lists(
        st.one_of(
            st.tuples(st.just("turn"), authors, doings),
            st.tuples(st.just("turn"), authors, doings),
            st.tuples(st.just("abort"), authors, doings),
            st.tuples(st.just("sync"), authors, authors),
            st.tuples(st.just("sync"), authors, authors),
            st.tuples(st.just("look"), authors, st.integers(0, 99)),
        ),
        min_size=6,
        max_size=most,
    )


scripts = scripts_of(actions)


class World:
    """Replicas in the making.

    open_commit: of each author; -1 if the next turn begins one. aside: turns are not made on
    what their author does not see, as with what an authority hides.
    """

    def __init__(self, *, aside: bool) -> None:
        self.replicas = [Replica() for _ in range(AUTHORS)]
        self.turns: list[Turn] = []
        self.open_commit = [-1] * AUTHORS
        self.commit_count = 0
        self.aside = aside

    def play(self, script: list[Step]) -> World:
        """Do all steps."""
        for verb, author, what in script:
            replica = self.replicas[author]
            if isinstance(what, list):
                self.run(author, what, keep=verb == "turn")
            elif verb == "sync":
                self.sync(author, what)
            elif replica.numbers:
                serial = sorted(replica.numbers)[what % len(replica.numbers)]
                replica.look(serial, visible=serial in replica.hidden)
                self.open_commit[author] = -1
            replica.comity_state.check()
        return self

    def run(self, author: int, what: list[Action], *, keep: bool) -> None:
        """Let an author run a turn."""
        replica = self.replicas[author]
        if self.open_commit[author] < 0:
            self.open_commit[author] = self.commit_count
            self.commit_count += 1
        past = self.version(author)
        turn = Turn(len(self.turns), author, self.open_commit[author], past)
        turn.hidden = frozenset(replica.hidden) & past
        before = replica.observed()
        if replica.run(turn, what, keep=keep):
            self.turns.append(turn)
        if not keep:
            assert replica.observed() == before

    def version(self, author: int) -> frozenset[int]:
        """Return what a turn of an author is made on now."""
        replica = self.replicas[author]
        seen = frozenset(replica.numbers)
        if not self.aside:
            return seen
        tops = [
            self.turns[serial]
            for serial in seen
            if serial not in replica.hidden or self.turns[serial].author == author
        ]
        return frozenset(each.serial for each in tops).union(*(each.past for each in tops))

    def sync(self, target: int, source: int) -> None:
        """Give the target all that the source has, which ends the commits concerned."""
        had, has = self.replicas[target].numbers, self.replicas[source].numbers
        for serial in sorted(has.keys() - had.keys()):
            self.open_commit[target] = self.open_commit[self.turns[serial].author] = -1
            self.replicas[target].fold(self.turns[serial])
