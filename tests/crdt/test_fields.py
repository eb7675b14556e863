"""Schemas, descriptors and views: what a class declares is what its instances hold."""

from __future__ import annotations

from collections.abc import MutableMapping, MutableSet, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any
from uuid import UUID

import pytest

from comity.base.errors import UsageError
from comity.base.ids import DeviceId
from comity.base.limits import TURN_BYTES_MAX
from comity.crdt.descriptor import FieldOptions, field
from comity.crdt.schema import Schema
from comity.crdt.state import State
from comity.crdt.tally import INCREMENT_MAX
from comity.crdt.text.marks import Mark, Span
from comity.crdt.views import Counter, Map, Register, Set, Text


class Colour(Enum):
    """A type without a natural first value."""

    RED = 1


@dataclass(frozen=True)
class Place:
    """A key that is a record."""

    row: int
    name: str = ""


class Sequential:
    """The causality of one device alone."""

    def before(self, a: int, b: int) -> bool:
        """Tell that everything is in order."""
        return a < b

    def tie(self, field_tag: bytes, turn: int) -> bytes:
        """Never be asked: nothing is concurrent."""
        raise AssertionError(field_tag, turn)

    def parents_of(self, turn: int) -> tuple[int, ...]:
        """Never be asked."""
        raise AssertionError(turn)

    def hidden_before(self, turn: int) -> tuple[int, ...]:
        """Never be asked."""
        raise AssertionError(turn)

    def withdrawn_before(self, turn: int) -> tuple[int, ...]:
        """Return the same: nothing is undone."""
        return self.hidden_before(turn)

    def role(self, turn: int) -> int:
        """Never be asked."""
        raise AssertionError(turn)

    def author(self, turn: int) -> DeviceId:
        """Never be asked."""
        raise AssertionError(turn)


class Host:
    """What hosts an actor, with a turn open."""

    def __init__(self, schema: Schema) -> None:
        """Begin the first turn."""
        self.comity_state = State(schema, Sequential())
        self.comity_state.begin(0)


class Board:
    """One field of each type."""

    title: Register[str]
    done: Counter
    tags: Set[str]
    items: Map[str, float]
    places: Map[Place | None, tuple[int, ...]]
    colour: Register[Colour] = field(default=Colour.RED)
    note: Text
    _comity_cell: Host


HINTS: dict[str, object] = {
    "title": Register[str],
    "done": Counter,
    "tags": Set[str],
    "items": Map[str, float],
    "places": Map[Place | None, tuple[int, ...]],
    "colour": Register[Colour],
    "note": Text,
}
SCHEMA = Schema.from_hints("Board", HINTS, {"colour": FieldOptions(default=Colour.RED)})
SCHEMA.install(Board)


@pytest.fixture
def board() -> Board:
    """Return a board inside an open turn."""
    made = Board()
    made._comity_cell = Host(SCHEMA)
    return made


def test_a_register_reads_like_its_value(board: Board) -> None:
    """A register compares, tests and prints as what it holds."""
    assert not board.title
    assert board.title == ""
    board.title = "milk"
    assert board.title
    assert board.title == "milk"
    assert board.title != "eggs"
    assert (str(board.title), f"{board.title:>5}") == ("milk", " milk")
    assert repr(board.title) == "Register('milk')"
    assert board.title.conflicts == ()
    board.title.set("eggs")
    assert board.title.value == "eggs"
    assert board.colour.value is Colour.RED
    with pytest.raises(TypeError):
        hash(board.title)


def test_a_counter_reads_like_an_int(board: Board) -> None:
    """Arithmetic gives ints, comparisons work both ways, assignment is refused."""
    board.done += 3
    board.done -= 1
    board.done += board.done
    assert board.done == 4 == board.done.value == int(board.done)
    assert 3 < board.done <= 4.5
    assert (board.done + 1, 1 + board.done, board.done - 1, 1 - board.done) == (5, 5, 3, -3)
    assert -board.done == -4
    assert list(range(10))[board.done] == 4
    assert (f"{board.done:03}", repr(board.done)) == ("004", "Counter(4)")
    assert board.done >= board.done
    assert not board.done > 4
    with pytest.raises(UsageError, match=r"Counter 'done' cannot be set to 5: use \+="):
        board.done = 5  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(UsageError, match="pass int"):
        board.done += 1.5  # type: ignore[arg-type]  # pyright: ignore[reportOperatorIssue]
    with pytest.raises(UsageError, match="Register\\[int\\]"):
        board.done += INCREMENT_MAX
    assert board.done == 4


def test_a_set_is_a_mutable_set(board: Board) -> None:
    """All of the collections interface works, operators give plain sets."""
    assert isinstance(board.tags, MutableSet)
    board.tags.add("b")
    board.tags.update(["a", "c"], {"d"})
    board.tags |= {"e"}
    board.tags -= {"d"}
    board.tags.discard("zz")
    assert list(board.tags) == ["a", "b", "c", "e"]
    assert board.tags == {"a", "b", "c", "e"}
    assert board.tags & {"a", "z"} == {"a"}
    assert type(board.tags | {"z"}) is set
    assert "a" in board.tags
    assert "z" not in board.tags
    with pytest.raises(KeyError):
        board.tags.remove("zz")
    board.tags = {"x", "a"}
    assert list(board.tags) == ["a", "x"]
    assert repr(board.tags) == "Set(['a', 'x'])"
    board.tags.clear()
    assert len(board.tags) == 0
    with pytest.raises(UsageError, match=r"Set 'tags': 3 .*str"):
        board.tags.add(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(UsageError, match="assign a set"):
        board.tags = "abc"  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]


def test_a_map_is_a_mutable_mapping(board: Board) -> None:
    """All of the collections interface works; an int for a float becomes one."""
    assert isinstance(board.items, MutableMapping)
    board.items["b"] = 1
    board.items.update(a=2.5, c=3)
    assert list(board.items.items()) == [("a", 2.5), ("b", 1.0), ("c", 3.0)]
    assert type(board.items["b"]) is float
    assert board.items.setdefault("a", 9) == 2.5
    assert board.items.pop("c") == 3.0
    assert board.items.get("zz") is None
    with pytest.raises(KeyError, match="zz"):
        del board.items["zz"]
    with pytest.raises(KeyError, match="zz"):
        board.items["zz"]
    assert repr(board.items) == "Map({'a': 2.5, 'b': 1.0})"
    board.items = {"q": 1}
    assert board.items == {"q": 1.0}
    board.items = board.items
    assert board.items.popitem() == ("q", 1.0)
    assert board.items.conflicts("q") == ()
    board.items.clear()
    assert not board.items
    with pytest.raises(UsageError, match=r"Map 'items': 'x' .*float"):
        board.items["a"] = "x"  # type: ignore[assignment]  # pyright: ignore[reportArgumentType]
    with pytest.raises(UsageError, match="assign a mapping"):
        board.items = [1]  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]


def test_a_text_reads_like_a_str(board: Board) -> None:
    """A text compares, slices, searches and prints as the str that it holds."""
    note = board.note
    assert (len(note), bool(note), str(note), note == "") == (0, False, "", True)
    board.note = "milk, eggs"
    assert isinstance(note, Sequence)
    assert note == "milk, eggs"
    assert note != "milk"
    assert note != 3
    assert (note[0], note[-1], note[:4], note[-4:], note[::-2]) == (
        "m",
        "s",
        "milk",
        "eggs",
        "sg ki",
    )
    assert (note[7:3], note[50:]) == ("", "")
    assert "milk" in note
    assert "soap" not in note
    assert (note.find("g"), note.index("k"), note.count("g")) == (7, 3, 2)
    assert "".join(note) == note.value == f"{note}" == note + "" == "" + note
    assert (f"{note:>12}", repr(note)) == ("  milk, eggs", "Text('milk, eggs')")
    for at in (10, -11):
        with pytest.raises(IndexError):
            note[at]
    with pytest.raises(ValueError, match="not found"):
        note.index("z")
    with pytest.raises(TypeError):
        hash(note)


def test_a_text_is_written_like_a_list_of_characters(board: Board) -> None:
    """Insertions, deletions and replacements at any place, and the refusals name the fix."""
    note = board.note
    note.insert(0, "bc")
    note.insert(-9, "a")
    note.insert(99, "e")
    note.insert(-1, "d")
    assert note == "abcde"
    note.append("f")
    board.note += "gh"
    note.extend(["i", "jk"])
    assert note == "abcdefghijk"
    del note[0]
    del note[-1]
    note.delete(1, 3)
    assert note == "befghij"
    note[0] = "BB"
    note[-2:] = ["x", "y"]
    note[2:2] = "--"
    note[5:2] = "!"
    assert note == "BB--e!fghxy"
    note.insert(3, "")
    board.note = board.note
    board.title = "copied"
    note[:] = board.title.value
    board.note = board.title  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    assert note == "copied"
    board.note = "bb--e!fghxy"
    board.note = note.value.upper()
    assert note == "BB--E!FGHXY"
    note.clear()
    assert not note
    with pytest.raises(UsageError, match=r"Text 'note': 3 .*is not text"):
        board.note = 3  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(UsageError, match="without a step"):
        note[::2] = "x"
    with pytest.raises(UsageError, match="surrogate"):
        note.append("\ud800")
    assert not note


def test_a_text_has_marks(board: Board) -> None:
    """Stretches are marked and cleared as slices are taken; what is no mark names the fix."""
    note = board.note
    note.append("milk, eggs")
    note.mark(0, 4, Mark("bold"))
    note.mark(-4, 99, Mark("link", "https://example.org", grows=False))
    note.mark(3, 3, Mark("bold"))
    note.unmark(0, 1, Mark("bold"))
    assert note.spans() == [
        Span(1, 4, {"bold": ("",)}),
        Span(6, 10, {"link": ("https://example.org",)}),
    ]
    note.insert(4, "y")
    note[0] = "s"
    del note[5:7]
    assert note == "silkyeggs"
    assert (len(note), note[1:5], note[-1]) == (9, "ilky", "s")
    assert note.spans()[0] == Span(1, 5, {"bold": ("",)})
    board.note = "silk"
    assert note.spans() == [Span(1, 4, {"bold": ("",)})]
    with pytest.raises(UsageError, match=r"Text 'note': 'bold' is no mark: pass Mark"):
        note.mark(0, 1, "bold")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(UsageError, match=r"Text 'note': .*1 to 255 bytes"):
        note.mark(0, 1, Mark(""))
    assert board._comity_cell.comity_state.commit()


def test_assigning_a_text_changes_what_differs() -> None:
    """The operations of an assignment are those of the smallest single edit."""
    host, made = Host(SCHEMA), Board()
    made._comity_cell = host
    made.note = "one two three"
    host.comity_state.commit()
    host.comity_state.begin(1)
    made.note = "one 2 three"
    group = host.comity_state.commit()[4:]
    assert group == bytes((2 + 3, 3 << 2 | 1, 4, 1 << 2, 0)) + b"2"
    assert made.note == "one 2 three"


def test_a_long_turn_of_typing_has_room() -> None:
    """What is typed on takes its own bytes only; what is too much is refused, and stays out."""
    host, made = Host(SCHEMA), Board()
    made._comity_cell = host
    for _ in range(20_000):
        made.note.append("abcdefgh")
    length = len(made.note)
    with pytest.raises(UsageError, match="several messages"):
        made.note.append("x" * TURN_BYTES_MAX)
    assert len(made.note) == length == 160_000
    assert len(host.comity_state.commit()) < length + 1000


def test_keys_without_an_order_come_by_their_bytes(board: Board) -> None:
    """Iteration is the same on every replica for every type of key."""
    board.places[Place(2)] = (1, 2)
    board.places[None] = ()
    board.places[Place(1)] = (3,)
    assert list(board.places) == [None, Place(1), Place(2)]
    board.places = {key: (*value, 0) for key, value in board.places.items()}
    assert board.places[Place(2)] == (1, 2, 0)


def test_the_order_of_python_sets_does_not_show() -> None:
    """Equal turns have equal bytes, however the program happened to walk its sets."""
    written: list[bytes] = []
    for names in (["a", "b", "c"], ["c", "b", "a"]):
        host, made = Host(SCHEMA), Board()
        made._comity_cell = host
        for name in names:
            made.tags.add(name)
            made.items[name] = 1
        written.append(host.comity_state.commit())
    assert written[0] == written[1]


def test_a_snapshot_is_plain_and_apart(board: Board) -> None:
    """A snapshot does not change with the actor, and nobody can change it."""
    board.tags.add("a")
    board.items["k"] = 1
    board.title = "t"
    snapshot = board._comity_cell.comity_state.snapshot()
    board._comity_cell.comity_state.rollback()
    assert snapshot["title"] == "t"
    assert snapshot["tags"] == frozenset({"a"})
    assert snapshot["items"] == {"k": 1.0}
    items: Any = snapshot["items"]
    with pytest.raises(TypeError):
        items["k"] = 2
    assert board._comity_cell.comity_state.snapshot()["title"] == ""


def test_an_instance_without_a_host_says_so() -> None:
    """An actor made by calling its class names the ways that work."""
    with pytest.raises(UsageError, match=r"node.create\(Board\)"):
        len(Board().tags)
    with pytest.raises(UsageError, match=r"node.create\(Board\)"):
        Board().title = "x"


def test_the_class_has_the_descriptor() -> None:
    """A field read from the class is its description; a subclass has its own."""
    assert isinstance(Board.title, FieldOptions)

    class Wide(Board):
        extra: Counter

    schema = Schema.from_hints("Wide", {"extra": Counter, **HINTS}, {"colour": Board.colour})
    schema.install(Wide)
    wide = Wide()
    wide._comity_cell = Host(schema)
    wide.title = "x"
    wide.extra += 1
    assert (wide.title.value, wide.extra.value) == ("x", 1)
    assert (Board.title.index, Wide.title.index) == (0, 1)
    assert [each.tag for each in schema.fields[1:]] == [each.tag for each in SCHEMA.fields]
    assert wide.colour.value is Colour.RED


def test_tags_are_for_good() -> None:
    """A tag depends on the name or id and the law, and stands in logs."""
    laws = [each.law for each in SCHEMA.fields]
    assert laws[:4] == ["register<str>", "counter", "set<str>", "map<str,float>"]
    assert [each.tag.hex() for each in SCHEMA.fields[:2]] == ["3866a1d5", "2350296c"]
    renamed = Schema.from_hints("B", {"name": Register[str]}, {"name": FieldOptions("title")})
    assert renamed.fields[0].tag == SCHEMA.fields[0].tag
    other = Schema.from_hints("B", {"title": Register[int]}, {})
    assert other.fields[0].tag != SCHEMA.fields[0].tag


def test_all_errors_of_a_class_come_together() -> None:
    """One error has a line for each wrong field, with its fix."""
    wrong: dict[str, tuple[object, str]] = {
        "a": (list[str], "use comity's List[T], or Register[tuple"),
        "b": (dict[str, int], "use Map[K, V]"),
        "c": (str, "use Register[str]"),
        "d": (Register, "Register[T]"),
        "e": (Map, "Map[K, V]"),
        "f": (Set[float], "cannot be a key"),
        "g": (Register[Set[str]], "cannot be inside a Register"),
        "h": (Register[list[int]], "tuple[T, ...]"),
        "i": (Register[UUID], "field(default=...)"),
        "j": (object(), "use Register[T], Flag"),
        "k": (set[str], "use Set[T]"),
        "l": ([1], "use Register[T], Flag"),
        "m": (Counter, "starts empty"),
        "s": (Text, "starts empty"),
        "n": (Register[int], "int(value)"),
        "p": (Counter, "1 to 255 bytes"),
        "r": (Counter, "has the tag of q"),
    }
    hints: dict[str, object] = {"q": Counter}
    hints |= {name: hint for name, (hint, _) in wrong.items()}
    options = {
        "m": FieldOptions(default=3),
        "s": FieldOptions(default="x"),
        "n": FieldOptions(default="3"),
        "o": FieldOptions(),
        "p": FieldOptions(""),
        "r": FieldOptions("q"),
    }
    with pytest.raises(UsageError) as caught:
        Schema.from_hints("Board", hints, options)
    lines = str(caught.value).split("\n  ")
    assert lines[0] == "Board cannot be replicated:"
    found = {line.split(":")[0]: line for line in lines[1:]}
    assert sorted(found) == sorted([*wrong, "o"])
    assert all(fix in found[name] for name, (_, fix) in wrong.items())
    assert "no annotation" in found["o"]
