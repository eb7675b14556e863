"""A list reads like Python's, and merges as its twin does, whatever is moved where."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comity.base.errors import Reason, UsageError
from comity.crdt.elements import Elements, Operation
from comity.crdt.list_view import List
from comity.crdt.schema import Schema
from comity.crdt.state import ChangeKind, State
from tests.crdt.histories import KEYS, TAGS, Action, Order, Replica, Step, Turn, play, scripts
from tests.crdt.test_state import assert_is_twin, deliver_at_random

SCHEMA = Schema.from_hints("A", {"row": List[int]}, {})
CHANGES = ("push", "push", "push", "drop", "replace", "first", "last")
list_actions: st.SearchStrategy[list[Action]] = st.lists(
    st.tuples(st.sampled_from(CHANGES), st.sampled_from(KEYS), st.integers(1, 5)),
    min_size=1,
    max_size=4,
)


def opened() -> tuple[State, List[int]]:
    """Return the state of an actor with one list, in a turn, and the list."""
    state = State(SCHEMA, Order())
    row: List[int] = List(state.laws[0])  # type: ignore[arg-type]
    state.begin(0)
    return state, row


# ---------------------------------------------------------------------------- merging


@given(scripts(list_actions), st.data())
def test_any_order_of_delivery_is_what_the_twin_says(
    script: list[Step], data: st.DataObject
) -> None:
    """Replicas that wrote, and one that folded in any order, hold what the twin does."""
    history = play(script)
    for replica in history.replicas:
        seen = [turn for turn in history.turns if turn.serial in replica.numbers]
        replica.order.bound = len(seen)
        assert_is_twin(replica, seen)
    turns = history.turns
    final = data.draw(st.sets(st.sampled_from(range(len(turns)))) if turns else st.just(set()))
    assert_is_twin(deliver_at_random(turns, final, data), turns)


@pytest.mark.soak
@settings(settings.get_profile("soak"))
@given(scripts(list_actions), st.data())
def test_orders_of_delivery_at_length(script: list[Step], data: st.DataObject) -> None:
    """The same as above, searched for minutes."""
    test_any_order_of_delivery_is_what_the_twin_says.hypothesis.inner_test(  # type: ignore[attr-defined]
        script, data
    )


def concurrent(first: list[str], *branches: Callable[[List[str]], None]) -> list[str]:
    """Return what becomes of a list that each of some devices changes on its own."""
    writers = [Replica() for _ in branches]
    start = Turn(0, 0, 0, frozenset())
    reader = Replica()
    for replica in (*writers, reader):
        if replica is writers[0]:
            replica.comity_state.begin(0)
            replica.board.row.extend(first)
            start.operations = replica.comity_state.commit()
            replica.order.turns.append(start)
            replica.numbers[0] = 0
        else:
            replica.fold(start)
    turns: list[Turn] = []
    for place, (replica, change) in enumerate(zip(writers, branches, strict=True), 1):
        replica.comity_state.begin(1)
        change(replica.board.row)
        turns.append(Turn(place, place, place, frozenset({0}), replica.comity_state.commit()))
    found: list[list[str]] = []
    for order in (turns, turns[::-1]):
        reader = Replica()
        for turn in (start, *order):
            reader.fold(turn)
            reader.comity_state.check()
        found.append(list(reader.board.row))
    assert found[0] == found[1]
    return found[0]


def test_concurrent_moves_neither_duplicate_nor_lose() -> None:
    """Everybody moves the same element elsewhere: it is in one of the places, once."""
    merged = concurrent(
        list("abcde"),
        lambda row: row.move(0, 4),
        lambda row: row.move(0, 2),
        lambda row: row.move(0, 1),
    )
    assert sorted(merged) == list("abcde")
    assert merged.index("a") > 0
    swapped = concurrent(list("ab"), lambda row: row.move(0, 1), lambda row: row.move(1, 0))
    assert sorted(swapped) == ["a", "b"]


def test_concurrent_insertions_at_one_place_do_not_interleave() -> None:
    """Runs stay together: appended ones, one by one, and ones typed backwards."""

    def forwards(row: List[str]) -> None:
        for value in "123":
            row.insert(1 + int(value) - 1, value)

    def backwards(row: List[str]) -> None:
        for value in "zyx":
            row.insert(1, value)

    merged = "".join(concurrent(["a", "b"], forwards, backwards, lambda r: r.insert(1, "-")))
    assert merged[0] == "a"
    assert merged[-1] == "b"
    assert "123" in merged
    assert "xyz" in merged


def test_a_set_wins_over_a_deletion_and_a_deletion_over_a_move() -> None:
    """What somebody changed stays; what was only moved goes."""

    def change(row: List[str]) -> None:
        row[1] = "B"

    def delete(row: List[str]) -> None:
        row.pop(1)

    assert concurrent(list("abc"), change, delete) == ["a", "B", "c"]
    assert concurrent(list("abc"), lambda row: row.move(1, 0), delete) == ["a", "c"]
    assert concurrent(list("abc"), lambda row: row.move(1, 0), change) == ["B", "a", "c"]


def test_what_a_removal_hid_is_no_part_of_a_later_turn() -> None:
    """A turn of this device that stands on less than is here merges as others merge it."""
    ours, theirs = Replica(), Replica()
    start = Turn(0, 0, 0, frozenset())
    theirs.comity_state.begin(0)
    theirs.board.row.extend(["a", "b"])
    start.operations = theirs.comity_state.commit()
    theirs.order.turns.append(start)
    theirs.comity_state.begin(1)
    theirs.board.row.insert(1, "hidden")
    removed = Turn(1, 1, 1, frozenset({0}), theirs.comity_state.commit())
    for turn in (start, removed):
        ours.fold(turn)
    ours.look(1, visible=False)
    made = [Turn(2, 0, 2, frozenset({0})), Turn(3, 0, 2, frozenset({0, 2}))]
    for number, value in enumerate("xy", 2):
        turn = made[number - 2]
        ours.comity_state.begin(number)
        ours.board.row.insert(1, value)
        turn.operations = ours.comity_state.commit()
        ours.order.turns.append(turn)
    for number in (2, 3):
        ours.order.bound = number + 1
        ours.comity_state.bound(number)
        ours.comity_state.check()
    assert list(ours.board.row) == ["a", "y", "x", "b"]
    ours.look(1, visible=True)
    reader = Replica()
    for turn in (start, *made, removed):
        reader.fold(turn)
    assert list(reader.board.row) == list(ours.board.row)


# ---------------------------------------------------------------------------- bytes


@given(st.lists(st.binary(max_size=12), max_size=4))
def test_hostile_operations_are_refused_or_no_op(noise: list[bytes]) -> None:
    """Any bytes change a list in the same way everywhere, or nothing, and never raise."""
    first, second = State(SCHEMA, _Line()), State(SCHEMA, _Line())
    tag = SCHEMA.fields[0].tag
    for turn, data in enumerate([b"\x0c\x00\x02\x04\x06", *noise]):
        for state in (first, second):
            (change,) = state.fold(turn, tag + bytes((len(data),)) + data)
            if change.refusal is not None:
                assert change.refusal.reason in {Reason.MALFORMED, Reason.BAD_VALUE}
            state.check()
    assert first.encode_state() == second.encode_state()
    assert len(tuple(first.snapshot()["row"])) >= 0  # type: ignore[arg-type]


class _Line(Order):
    """One turn after another."""

    def before(self, a: int, b: int) -> bool:
        return a < b

    def hidden_before(self, turn: int) -> tuple[int, ...]:
        assert turn >= 0
        return ()


@pytest.mark.parametrize(
    "operation",
    [
        b"\x04\x04\x02",  # insert beyond the end
        b"\x05\x03",  # delete beyond the end
        b"\x0d\x01",  # delete more than there is
        b"\x06\x03\x02",  # set beyond the end
        b"\x0f\x00",  # move to beyond the end
        b"\x03\x03",  # move from where it is, beyond the end
        b"\x04\x00\x02\x05\x09",  # one that fits, then one that does not
    ],
)
def test_a_turn_that_does_not_fit_is_no_op(operation: bytes) -> None:
    """Positions outside what the author can have seen change nothing; later turns count."""
    state = State(SCHEMA, _Line())
    tag = SCHEMA.fields[0].tag
    state.fold(0, tag + b"\x05" + b"\x0c\x00\x02\x04\x06")
    state.fold(1, tag + bytes((len(operation),)) + operation)
    assert state.snapshot()["row"] == (1, 2, 3)
    state.fold(2, tag + b"\x03" + b"\x04\x03\x08")
    assert state.snapshot()["row"] == (1, 2, 3, 4)
    state.check()


def test_truncated_and_trailing_operations_are_refused() -> None:
    """Each prefix of a turn is refused or another turn, and so are empty operations."""
    state, row = opened()
    row.extend([1, 2, 300])
    row.move(0, 2)
    turn = state.commit()
    data = turn[5:]
    for size in range(len(data)):
        other = State(SCHEMA, _Line())
        (change,) = other.fold(0, turn[:4] + bytes((size,)) + data[:size])
        whole = size == len(data) - 2  # without the move
        assert (change.kind is ChangeKind.REFUSED) != whole
    (change,) = State(SCHEMA, _Line()).fold(0, turn[:4] + b"\x02\x01\x00")
    assert change.kind is ChangeKind.REFUSED


def test_appending_costs_a_few_bytes() -> None:
    """Those of one turn are one operation."""
    state, row = opened()
    for value in (1, 2, 3):
        row.append(value)
    assert state.commit() == SCHEMA.fields[0].tag + b"\x05\x0c\x00\x02\x04\x06"


# ---------------------------------------------------------------------------- reading


commands = st.lists(
    st.tuples(
        st.sampled_from(
            (
                "insert",
                "append",
                "extend",
                "pop",
                "set",
                "move",
                "cut",
                "paste",
                "assign",
                "del2",
            )
        ),
        st.integers(-6, 6),
        st.integers(-6, 6),
    ),
    max_size=20,
)


def change(row: List[int] | list[int], command: tuple[str, int, int]) -> None:
    """Do to either list the same thing."""
    verb, a, b = command
    match verb:
        case "insert":
            row.insert(a, b)
        case "append":
            row.append(a)
        case "extend":
            row.extend([a, b])
        case "pop":
            row.pop(a)
        case "set":
            row[a] = b
        case "move" if isinstance(row, List):
            row.move(a, b)
        case "move":
            value = row[a]
            place = range(len(row))[b]
            del row[a]
            row.insert(place, value)
        case "cut":
            del row[a:b]
        case "paste":
            row[a:b] = [a, b]
        case "del2":
            del row[::2]
        case _:
            row[::2] = [a] * len(row[::2])


@given(commands, st.sampled_from(("commit", "rollback")))
def test_it_is_a_list(script: list[tuple[str, int, int]], end: str) -> None:
    """Every method does what it does to a list of Python, and raises when that does."""
    state, row = opened()
    plain: list[int] = []
    row.extend([7, 8, 9])
    state.commit()
    state.begin(1)
    plain = [7, 8, 9]
    for command in script:
        try:
            change(plain, command)
        except IndexError:
            with pytest.raises(IndexError):
                change(row, command)
        else:
            change(row, command)
        assert row == plain
        assert len(row) == len(plain)
    assert [row[at] for at in range(-len(plain), len(plain))] == plain + plain
    assert row[1:4] == plain[1:4]
    state.check()
    if end == "commit":
        other = State(SCHEMA, _Line())
        other.fold(0, SCHEMA.fields[0].tag + b"\x05\x0c\x00\x0e\x10\x12")
        if turn := state.commit():
            other.fold(1, turn)
        assert other.snapshot()["row"] == tuple(plain)
        assert other.encode_state() == state.encode_state()
    else:
        state.rollback()
        assert row == [7, 8, 9]
    state.check()


def test_assigning_changes_what_differs() -> None:
    """Elements that both lists have at their ends stay the same elements."""
    state, row = opened()
    row.extend([1, 2, 3, 4])
    state.commit()
    state.begin(1)
    state.laws[0].assign([1, 9, 4])
    assert row == [1, 9, 4]
    assert state.commit()[5:] == b"\x09\x01\x04\x01\x12"
    with pytest.raises(UsageError, match="assign a list"):
        state.laws[0].assign(3)
    state.begin(2)
    with pytest.raises(UsageError, match=r"List 'row'.*int\(value\)"):
        row.append("x")  # type: ignore[arg-type]
    assert (repr(row), 9 in row, row.index(4)) == ("List([1, 9, 4])", True, 2)


@pytest.mark.parametrize("size", [3000])
def test_large_lists_keep_their_counts(size: int) -> None:
    """Blocks split and empty, and positions stay right."""
    state, row = opened()
    plain: list[int] = []
    for number in range(size):
        place = number * 7919 % (len(plain) + 1)
        row.insert(place, number)
        plain.insert(place, number)
    assert list(row) == plain
    state.check()
    del row[10:2500]
    del plain[10:2500]
    row.move(0, -1)
    plain.append(plain.pop(0))
    assert [row[at] for at in range(len(row))] == plain
    state.rollback()
    assert len(row) == 0
    state.check()


def test_a_long_offline_branch_is_merged() -> None:
    """Hundreds of concurrent turns on each side end alike, in whatever order they arrive."""
    turns: list[Turn] = []
    for author in (0, 1):
        replica = Replica()
        past: frozenset[int] = frozenset()
        for number in range(60):
            serial = author * 1000 + number
            replica.comity_state.begin(number)
            replica.board.row.insert(number // 2, f"{author}{number}")
            turn = Turn(serial, author, serial, past, replica.comity_state.commit())
            replica.order.turns.append(turn)
            past |= {serial}
            turns.append(turn)
    mixed = [turn for pair in zip(turns[:60], turns[60:], strict=True) for turn in pair]
    found: list[bytes] = []
    for order in (turns, turns[60:] + turns[:60], mixed):
        reader = Replica()
        for turn in order:
            reader.fold(turn)
        reader.comity_state.check()
        found.append(reader.comity_state.encode_state())
    assert found[0] == found[1] == found[2]
    assert TAGS["row"] in found[0]


def test_an_operation_is_a_value() -> None:
    """The kernel can be used without a schema."""
    elements = Elements(b"tag!", _Line())
    assert elements.fold(0, [Operation(0, 0, 2, ("a", "b"))])
    assert not elements.fold(1, [Operation(1, 2, 1)])
    assert elements.values() == ["a", "b"]
    elements.check()
