"""Replicated values in maps: each key merges by itself, deletion takes away what it saw."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comity.base.errors import Reason, UsageError
from comity.crdt.bounded import BoundedCounter
from comity.crdt.schema import Schema
from comity.crdt.state import ChangeKind, State
from comity.crdt.views import Counter, Map, Text
from tests.crdt.histories import Turn
from tests.crdt.nested_histories import (
    SCHEMA,
    Replica,
    Step,
    World,
    expected,
    perform,
    plain,
    scripts,
)


@given(scripts, st.booleans())
def test_each_replica_holds_what_its_own_history_says(
    script: list[Step],
    aside: bool,  # noqa: FBT001  (drawn)
) -> None:
    """Whatever a replica saw, hid and wrote in open beats, it equals the naive twin."""
    world = World(aside=aside).play(script)
    for replica in world.replicas:
        seen = [turn for turn in world.turns if turn.serial in replica.numbers]
        found = plain(replica.comity_state.snapshot())
        assert found == expected(seen, frozenset(replica.hidden))
        replica.bind()
        replica.comity_state.check()
        assert plain(replica.comity_state.snapshot()) == found


@given(scripts, st.booleans(), st.data())
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
@given(scripts, st.booleans())
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


def written(replica: Replica, *actions: tuple[str, str, str, int]) -> Turn:
    """Return a turn that a replica makes on all that it has."""
    turn = Turn(len(replica.numbers), 0, len(replica.numbers), frozenset(replica.numbers))
    turn.hidden = frozenset(replica.hidden)
    assert replica.run(turn, list(actions), keep=True)
    return turn


def test_a_deletion_takes_away_what_it_saw_and_an_update_wins() -> None:
    """Of 5 + 1 the deletion saw the 5; what comes after starts anew; undoing it adds up."""
    here, there = Replica(), Replica()
    there.fold(written(here, ("counts", "more", "a", 5)))
    here.bind()
    update = Turn(1, 1, 1, frozenset({0}))
    there.run(update, [("counts", "more", "a", 1)], keep=True)
    there.bind()
    deletion = Turn(2, 0, 2, frozenset({0}))
    here.run(deletion, [("counts", "delete", "a", 0)], keep=True)
    assert "a" not in here.nest.counts
    assert here.nest.counts["a"] == 0
    here.fold(update)
    there.fold(deletion)
    assert here.observed() == there.observed()
    assert here.nest.counts["a"] == 1
    here.look(2, visible=False)
    assert here.nest.counts["a"] == 6
    assert dict(here.comity_state.snapshot())["counts"] == {"a": 6}


def test_a_turn_that_deletes_and_writes_again_starts_anew() -> None:
    """Within one turn, and in later turns of the same beat."""
    here, there = Replica(), Replica()
    there.fold(written(here, ("pages", "more", "a", 3), ("counts", "more", "a", 2)))
    again = (("pages", "delete", "a", 0), ("pages", "more", "a", 1))
    there.fold(written(here, ("pages", "more", "a", 1), *again, *again))
    assert here.nest.pages["a"] == there.nest.pages["a"] == "a"
    there.fold(written(here, ("pages", "more", "a", 2)))
    there.fold(written(here, ("pages", "delete", "a", 0), ("counts", "delete", "a", 0)))
    there.fold(written(here, ("pages", "more", "a", 2)))
    assert here.nest.pages["a"] == there.nest.pages["a"] == "aa"
    assert here.observed() == there.observed()
    here.bind()
    here.comity_state.check()
    assert here.observed() == there.observed()


BLANK = {
    "page": "",
    "count": 0,
    "tags": frozenset[str](),
    "row": (),
    "deep": {},
    "place": {"flag": False, "count": 0},
}


def opened() -> tuple[State, Any]:
    """Return a nest with a turn open."""
    replica = Replica()
    replica.comity_state.begin(0)
    return replica.comity_state, replica.nest


def test_it_behaves_like_a_map_that_has_a_value_under_every_key() -> None:
    """Reading an absent key makes nothing present; the first write does."""
    state, nest = opened()
    assert nest.counts["a"] == 0
    assert nest.counts.get("a") is None
    assert list(nest.counts) == []
    nest.counts["a"] += 0
    assert list(nest.counts.items()) == [("a", 0)]
    assert nest.counts.get("a") == 0
    nest.counts.setdefault("b").add(3)
    assert nest.counts == {"a": 0, "b": 3}
    assert nest.pages.setdefault("home", "x") == "x"
    assert nest.pages.setdefault("home", "y") == "x"
    nest.pages["home"] = "xy"
    nest.tags["t"] = {"p", "q"}
    nest.tags["t"] |= {"r"}
    nest.rows["r"] = ["1", "2"]
    nest.flags["f"] = True
    shelves: dict[str, dict[str, int]] = {"x": {}}
    nest.deep = shelves
    nest.deep["x"]["y"] += 2
    assert nest.counts.conflicts("a") == ()
    assert repr(nest.deep) == "Map({'x': Map({'y': Counter(2)})})"
    assert plain(state.snapshot()) == {
        "counts": {"a": 0, "b": 3},
        "pages": {"home": "xy"},
        "tags": {"t": frozenset("pqr")},
        "rows": {"r": ("1", "2")},
        "flags": {"f": True},
        "deep": {"x": {"y": 2}},
        "books": {},
        "items": {},
        "home": BLANK,
        "tree": (),
        "trees": {},
    }
    del nest.counts["a"]
    with pytest.raises(KeyError):
        del nest.counts["a"]
    nest.rows.clear()
    assert (len(nest.counts), len(nest.rows)) == (1, 0)
    nothing: dict[str, str] = {}
    nest.pages = nothing
    assert "home" not in nest.pages


def test_what_cannot_be_is_refused_with_its_fix() -> None:
    """Keys and values of other types, pop, and a value held across its deletion."""
    _, nest = opened()
    with pytest.raises(UsageError, match=r"Map 'counts'.*int.*str"):
        nest.counts[3] += 1
    with pytest.raises(UsageError, match=r"'counts'\['a'\] cannot be set to 3: use \+="):
        nest.counts["a"] = 3
    with pytest.raises(UsageError, match="assign a mapping"):
        nest.counts = 3
    nest.pages["a"] = "x"
    for call in (lambda: nest.pages.pop("a"), nest.pages.popitem):
        with pytest.raises(UsageError, match="read"):
            call()
    page = nest.pages["a"]
    del nest.pages["a"]
    with pytest.raises(UsageError, match=r"'pages'\['a'\] was deleted.*look it up again"):
        page.append("y")
    replica = Replica()
    with pytest.raises(UsageError, match="outside a turn"):
        replica.nest.counts["a"] += 1


def test_operations_are_compact() -> None:
    """An increment under a key costs the key and three bytes more than one of a field."""
    state, nest = opened()
    nest.counts["ann"] += 1
    operations = state.commit()
    assert operations[4:] == bytes((7, 1 << 2 | 2, 3)) + b"ann" + b"\x01\x02"


HOSTILE = (
    b"",
    b"\x04",  # a run without its key
    b"\x00",  # a run of nothing
    b"\x06\x01a\x00",  # written, but nothing
    b"\x06\x01a\x01\x00",  # an increment of 0
    b"\x06\x01a\x02\x02\x02",  # two increments
    b"\x06\x01a\x05\x02",  # longer than there is
    b"\x04\x01a\x04\x01b",  # two runs of one kind
    b"\x04\x01a\x05\x01a",  # a key twice
    b"\x06\x01a\x01\x02\x04\x01b",  # kinds that fall
)


@pytest.mark.parametrize("data", HOSTILE)
def test_malformed_operations_are_refused_as_a_whole(data: bytes) -> None:
    """A field's operations that break the format at any depth change nothing."""
    replica = Replica()
    before = replica.observed()
    tag = SCHEMA.fields[0].tag
    (change,) = replica.comity_state.fold(0, tag + bytes((len(data),)) + data)
    assert change.kind is ChangeKind.REFUSED
    assert change.refusal is not None
    assert change.refusal.reason in {Reason.MALFORMED, Reason.BAD_VALUE}
    assert replica.observed() == before
    replica.comity_state.check()


@given(scripts, st.data())
def test_no_bytes_break_the_fold(script: list[Step], data: st.DataObject) -> None:
    """Operations with changed, lost and added bytes are taken alike everywhere, or refused."""
    turns = World(aside=False).play(script).turns
    two = Replica(), Replica()
    for number, turn in enumerate(turns):
        bad = bytearray(turn.operations)
        for _ in range(data.draw(st.integers(0, 2))):
            place = data.draw(st.integers(0, len(bad) - 1))
            bad[place] = data.draw(st.integers(0, 255))
        if data.draw(st.integers(0, 9)) == 0:
            del bad[data.draw(st.integers(0, len(bad))) :]
        turn.operations = bytes(bad)
        for replica in two:
            replica.order.turns.append(turn)
            replica.order.bound = number + 1
            replica.numbers[turn.serial] = number
            replica.comity_state.fold(number, turn.operations)
    two[0].comity_state.check()
    assert two[0].observed() == two[1].observed()


def test_types_that_cannot_stand_inside_say_where_they_can() -> None:
    """Keys, sets and registers hold values; a map of values without a zero is refused."""
    wrong: dict[str, object] = {
        "a": Map[str, Map[str, list[int]]],
        "b": Map[Counter, Counter],
        "c": Map[str, Map[float, Counter]],
        "d": Map[str, BoundedCounter],
    }
    with pytest.raises(UsageError) as caught:
        Schema.from_hints("Board", wrong, {})
    lines = str(caught.value).split("\n  ")[1:]
    assert "tuple[T, ...]" in lines[0]
    assert "cannot be inside a Map, nor a key" in lines[1]
    assert "cannot be a key" in lines[2]
    assert "a field of its own" in lines[3]
    assert Schema.from_hints("B", {"x": Map[str, Map[int, Text]]}, {}).fields[0].law == (
        "map<str,map<int,text>>"
    )


def test_many_cycles_of_one_key_leave_nothing() -> None:
    """Writing and deleting one key hundreds of times, each turn placed at once."""
    replica = Replica()
    state = replica.comity_state
    for number in range(0, 400, 2):
        for step, verb in enumerate(("more", "delete")):
            turn = Turn(number + step, 0, number + step, frozenset())
            state.begin(number + step)
            perform(replica.nest, ("counts", verb, "a", 1))
            turn.operations = state.commit()
            replica.order.turns.append(turn)
            replica.order.bound = number + step + 1
            turn.past = frozenset(range(number + step))
            state.bound(number + step)
    assert plain(state.snapshot())["counts"] == {}
    state.check()
