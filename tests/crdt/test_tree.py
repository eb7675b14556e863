"""Trees: one tree everywhere, whatever is moved where at the same time, hidden and shown."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comity.base.errors import Reason, UsageError
from comity.crdt.schema import Schema
from comity.crdt.state import ChangeKind, State
from comity.crdt.tree_view import Tree
from tests.crdt.histories import Order
from tests.crdt.nested_histories import (
    KEYS,
    Action,
    Replica,
    Step,
    World,
    expected,
    plain,
    scripts_of,
)

doings: st.SearchStrategy[list[Action]] = st.lists(
    st.tuples(
        st.sampled_from(("tree", "tree", "tree", "trees")),
        st.sampled_from(("more", "more", "move", "move", "move", "less", "drop", "delete")),
        st.sampled_from(KEYS),
        st.integers(1, 12),
    ),
    max_size=3,
)
tree_scripts = scripts_of(doings, 30)


@given(tree_scripts, st.booleans())
def test_each_replica_holds_what_its_own_history_says(
    script: list[Step],
    aside: bool,  # noqa: FBT001  (drawn)
) -> None:
    """Whatever a replica saw, hid and wrote in open beats, its trees equal the naive twin."""
    world = World(aside=aside).play(script)
    for replica in world.replicas:
        seen = [turn for turn in world.turns if turn.serial in replica.numbers]
        found = plain(replica.comity_state.snapshot())
        assert found == expected(seen, frozenset(replica.hidden))
        replica.bind()
        replica.comity_state.check()
        assert plain(replica.comity_state.snapshot()) == found


@given(tree_scripts, st.booleans(), st.data())
def test_delivery_order_and_time_of_hiding_do_not_show(
    script: list[Step],
    aside: bool,  # noqa: FBT001  (drawn)
    data: st.DataObject,
) -> None:
    """Any causal order, with hiding and showing in between, ends in the same bytes."""
    turns = World(aside=aside).play(script).turns
    final = data.draw(st.sets(st.sampled_from(range(len(turns)))) if turns else st.just(set()))
    replica = Replica()
    waiting = list(turns)
    while waiting:
        ready = [turn for turn in waiting if turn.past <= replica.numbers.keys()]
        turn = data.draw(st.sampled_from(ready))
        waiting.remove(turn)
        replica.fold(turn)
        if data.draw(st.booleans()):
            serial = data.draw(st.sampled_from(sorted(replica.numbers)))
            replica.look(serial, visible=serial in replica.hidden)
    straight = Replica()
    for turn in turns:
        straight.fold(turn)
        replica.look(turn.serial, visible=turn.serial not in final)
    for serial in sorted(final):
        straight.look(serial, visible=False)
    replica.comity_state.check()
    assert replica.observed() == straight.observed()
    assert plain(straight.comity_state.snapshot()) == expected(turns, frozenset(final))


@pytest.mark.soak
@settings(max_examples=20_000)
@given(tree_scripts, st.booleans())
def test_long_search_for_a_replica_that_differs(
    script: list[Step],
    aside: bool,  # noqa: FBT001  (drawn)
) -> None:
    """The first property, for as long as `make soak` has."""
    world = World(aside=aside).play(script)
    for replica in world.replicas:
        seen = [turn for turn in world.turns if turn.serial in replica.numbers]
        twin = expected(seen, frozenset(replica.hidden))
        assert plain(replica.comity_state.snapshot()) == twin


SCHEMA = Schema.from_hints("Files", {"tree": Tree[str]}, {})


def opened() -> tuple[State, Tree[str]]:
    """Return the state of an actor with one tree, in a turn, and the tree."""
    state = State(SCHEMA, Order())
    tree: Tree[str] = Tree(state.laws[0])  # type: ignore[arg-type]
    state.begin(0)
    return state, tree


def test_nodes_are_added_moved_renamed_and_deleted() -> None:
    """What is read is what was done; a node stays the same one wherever it stands."""
    state, tree = opened()
    docs = tree.add("docs")
    music = tree.add("music", 0)
    a, b = docs.add("a"), docs.add("b", 0)
    below = a.add("below")
    assert tree.outline == ((0, "music"), (0, "docs"), (1, "b"), (1, "a"), (2, "below"))
    assert [node.value for node in tree] == ["music", "docs", "b", "a", "below"]
    assert (len(tree), below.path, tree.at((1, 1, 0)) == below) == (5, (1, 1, 0), True)
    assert (a.parent, docs.parent, a.index, docs.children) == (docs, None, 1, (b, a))
    a.move(music)
    b.move(None, 0)
    docs.move(below, -1)
    assert tree == [(0, "b"), (0, "music"), (1, "a"), (2, "below"), (3, "docs")]
    b.move(None, 1)
    b.value = "B"
    state.check()
    assert tree.find("B") == b
    assert (tree.find("x"), docs in tree, 3 in tree) == (None, True, False)
    a.delete()
    assert tree == [(0, "music"), (0, "B")]
    assert (docs.is_there, repr(docs)) == (False, "TreeNode(deleted)")
    assert (repr(b), repr(tree)) == ("TreeNode('B')", "Tree([(0, 'music'), (0, 'B')])")
    state.check()
    tree.clear()
    assert (list(tree), state.encode_state()) == ([], b"")


def test_it_is_set_to_an_outline() -> None:
    """What a snapshot has can be assigned, and says the same."""
    state, tree = opened()
    outline = ((0, "a"), (1, "b"), (2, "c"), (1, "d"), (0, "e"))
    for _ in range(2):
        state.laws[0].assign(outline)
        assert state.snapshot()["tree"] == outline
    state.laws[0].assign([(0, "e")])
    assert tree == [(0, "e")]
    state.check()
    wrong: tuple[Any, ...] = ("ab", 3, [(1, "a")], [(0, "a"), (2, "b")], [(0,)], [("0", "a")])
    for each in wrong:
        with pytest.raises(UsageError, match="of each node, the parents first"):
            state.laws[0].assign(each)


def test_what_cannot_be_is_refused_with_its_fix() -> None:
    """Moves to below itself, nodes that are gone, values of another type, no turn."""
    state, tree = opened()
    node = tree.add("a")
    below = node.add("b")
    for target in (node, below):
        with pytest.raises(UsageError, match="cannot be moved to below itself"):
            node.move(target)
    wrong: Any = 3
    with pytest.raises(UsageError, match=r"Tree 'tree'.*str"):
        tree.add(wrong)
    with pytest.raises(UsageError, match=r"Tree 'tree'.*str"):
        node.value = wrong
    with pytest.raises(IndexError):
        tree.at(())
    with pytest.raises(IndexError):
        tree.at((0, 1))
    node.delete()
    for use in (below.delete, lambda: below.value, lambda: below.add("x"), lambda: below.path):
        with pytest.raises(UsageError, match="no longer there"):
            use()
    state.rollback()
    assert list(tree) == []
    with pytest.raises(UsageError, match="outside a turn"):
        tree.add("a")


def test_operations_are_compact() -> None:
    """A node costs its value and three bytes."""
    state, tree = opened()
    tree.add("milk")
    assert state.commit()[4:] == b"\x08" + bytes((1 << 2, 0, 0, 4)) + b"milk"


HOSTILE = (
    b"",
    b"\x04\x00",  # no parent
    b"\x04\x00\x00",  # no value
    b"\x00\x00\x00",  # nothing inserted
    b"\x28\x00\x00\x01a",  # more than there is
    b"\x01\x00",  # nothing deleted
    b"\x03\xff\xff\xff\xff\x7f\x00",  # a move from far away
    b"\x04\x00\xff\xff\xff\xff\x7f\x01a",  # under what is far away
)


@pytest.mark.parametrize("data", HOSTILE)
def test_malformed_operations_are_refused(data: bytes) -> None:
    """What breaks the format changes nothing."""
    replica = Replica()
    tag = next(each.tag for each in replica.comity_state.schema.fields if each.name == "tree")
    before = replica.observed()
    (change,) = replica.comity_state.fold(0, tag + bytes((len(data),)) + data)
    assert change.kind is ChangeKind.REFUSED
    assert change.refusal is not None
    assert change.refusal.reason in {Reason.MALFORMED, Reason.BAD_VALUE}
    assert replica.observed() == before


@given(tree_scripts, st.data())
def test_no_bytes_break_the_fold(script: list[Step], data: st.DataObject) -> None:
    """Operations with changed bytes, cycles among them, are taken alike, or refused."""
    turns = World(aside=False).play(script).turns
    two = Replica(), Replica()
    for number, turn in enumerate(turns):
        bad = bytearray(turn.operations)
        for _ in range(data.draw(st.integers(0, 3))):
            place = data.draw(st.integers(0, len(bad) - 1))
            bad[place] = data.draw(st.integers(0, 12))
        turn.operations = bytes(bad)
        for replica in two:
            replica.order.turns.append(turn)
            replica.order.bound = number + 1
            replica.numbers[turn.serial] = number
            replica.comity_state.fold(number, turn.operations)
    two[0].comity_state.check()
    assert two[0].observed() == two[1].observed()


def test_a_deep_tree_is_read_without_recursion() -> None:
    """Ten thousand levels are as good as ten."""
    state, tree = opened()
    node = tree.add("x")
    for _ in range(10_000):
        node = node.add("x")
    assert len(node.path) == 10_001
    assert tree.outline[-1] == (10_000, "x")
    state.commit()
    assert len(state.encode_state()) > 10_000
