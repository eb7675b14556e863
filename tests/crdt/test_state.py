"""State is a pure function of the turns, their causal order and which of them are visible."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comity.base.errors import Reason, UsageError
from comity.base.limits import TURN_BYTES_MAX, VALUE_BYTES_MAX
from comity.crdt.schema import Schema
from comity.crdt.state import Change, ChangeKind, State
from comity.crdt.views import Register
from tests.crdt.histories import (
    AUTHORS,
    KEYS,
    TAGS,
    Replica,
    Step,
    Turn,
    play,
    steps,
    twin,
)


def assert_is_twin(replica: Replica, turns: list[Turn]) -> None:
    """Assert that all that can be read is what the twin says."""
    expected = twin(turns, replica.hidden)
    board = replica.board
    snapshot = dict(replica.comity_state.snapshot())
    assert snapshot == {name: expected[name] for name in TAGS}
    assert board.title.conflicts == expected["conflicts"]
    assert {key: board.items.conflicts(key) for key in KEYS} == expected["rivals"]
    assert list(board.items) == sorted(board.items)


@given(steps)
def test_each_replica_holds_what_its_own_history_says(script: list[Step]) -> None:
    """At every replica, whatever it saw and hid, the fields equal the naive twin's."""
    history = play(script)
    for replica in history.replicas:
        seen = [turn for turn in history.turns if turn.serial in replica.numbers]
        replica.order.bound = len(seen)
        assert_is_twin(replica, seen)


@given(steps, st.data())
def test_delivery_order_and_time_of_hiding_do_not_show(
    script: list[Step], data: st.DataObject
) -> None:
    """Any causal order, with hiding and showing in between, ends in the same bytes."""
    turns = play(script).turns
    final = data.draw(st.sets(st.sampled_from(range(len(turns)))) if turns else st.just(set()))
    replicas = [deliver_at_random(turns, final, data) for _ in range(2)]
    in_order = Replica()
    for turn in turns:
        in_order.fold(turn)
    for serial in sorted(final):
        in_order.look(serial, visible=False)
    expected = in_order.comity_state.encode_state()
    for replica in [*replicas, in_order]:
        assert replica.comity_state.encode_state() == expected
        assert_is_twin(replica, turns)


def deliver_at_random(turns: list[Turn], final: set[int], data: st.DataObject) -> Replica:
    """Fold turns in a random causal order, hiding and showing on the way."""
    replica = Replica()
    waiting = list(turns)
    while waiting:
        ready = [turn for turn in waiting if turn.past <= replica.seen()]
        turn = data.draw(st.sampled_from(ready))
        waiting.remove(turn)
        replica.fold(turn)
        serial = data.draw(st.sampled_from(sorted(replica.numbers)))
        if data.draw(st.booleans()):
            replica.look(serial, visible=serial in replica.hidden)
            replica.comity_state.check()
    for serial in range(len(turns)):
        replica.look(serial, visible=serial not in final)
    replica.comity_state.check()
    return replica


@given(steps)
def test_those_who_wrote_end_where_those_who_read_do(script: list[Step]) -> None:
    """Replicas that ran turns themselves, after full sync, equal one that only folded."""
    everyone = [("sync", a, b) for a in (0, 1, 2) for b in (0, 1, 2)] * 2
    history = play([*script, *everyone])
    reader = Replica()
    for turn in history.turns:
        reader.fold(turn)
    for replica in history.replicas:
        for serial in sorted(replica.hidden):
            replica.look(serial, visible=True)
        assert replica.comity_state.encode_state() == reader.comity_state.encode_state()
        replica.comity_state.check()


@pytest.mark.soak
@settings(settings.get_profile("soak"))
@given(steps, st.data())
def test_delivery_order_at_length(script: list[Step], data: st.DataObject) -> None:
    """The same as above, searched for minutes."""
    test_delivery_order_and_time_of_hiding_do_not_show.hypothesis.inner_test(  # type: ignore[attr-defined]
        script, data
    )


@given(st.binary(max_size=40))
def test_hostile_turns_change_nothing_but_their_own_fields(noise: bytes) -> None:
    """Any bytes fold to changes or refusals, the same on every replica, and never raise."""
    first, second = Replica(), Replica()
    for replica in (first, second):
        folded(replica, noise)
        folded(replica, noise)
        replica.comity_state.check()
    assert first.comity_state.encode_state() == second.comity_state.encode_state()


@given(st.sampled_from(sorted(TAGS)), st.binary(max_size=12), st.sampled_from(KEYS))
def test_hostile_operations_of_a_known_field(name: str, noise: bytes, key: str) -> None:
    """A field refuses the whole of its group or takes it; others of the turn are folded."""
    other = "tags" if name != "tags" else "done"
    good = {"tags": b"\x04\x01" + key.encode(), "done": b"\x02"}[other]
    groups = sorted([(TAGS[name], noise), (TAGS[other], good)])
    turn = b"".join(tag + bytes((len(data),)) + data for tag, data in groups)
    replica = Replica()
    kinds = folded(replica, turn)
    assert kinds[other] is ChangeKind.WRITTEN
    if kinds[name] is ChangeKind.REFUSED:
        alone = Replica()
        folded(alone, TAGS[other] + bytes((len(good),)) + good)
        assert replica.comity_state.encode_state() == alone.comity_state.encode_state()
    replica.comity_state.check()
    replica.comity_state.hide(0)
    assert replica.comity_state.encode_state() == b""


def folded(replica: Replica, turn: bytes) -> dict[str, ChangeKind]:
    """Fold bytes as the next turn of one author, and return what became of each field."""
    number = len(replica.order.turns)
    past = frozenset(range(number))
    replica.order.turns.append(Turn(number, 0, number, past, turn))
    replica.order.bound = number + 1
    changes = replica.comity_state.fold(number, turn)
    for change in changes:
        assert (change.refusal is not None) == (change.kind is ChangeKind.REFUSED)
        if change.refusal is not None:
            assert change.refusal.reason in {Reason.MALFORMED, Reason.BAD_VALUE}
    return {change.field: change.kind for change in changes}


@given(steps, st.data())
def test_truncated_turns_are_refused_or_shorter(
    script: list[Step], data: st.DataObject
) -> None:
    """A turn cut anywhere folds without raising; a longer one is refused as a whole."""
    turns = play(script).turns
    if not turns:
        return
    turn = data.draw(st.sampled_from(turns)).operations
    for cut in range(len(turn)):
        replica = Replica()
        folded(replica, turn[:cut])
        replica.comity_state.check()
    replica = Replica()
    assert set(folded(replica, turn + b"\x00").values()) == {ChangeKind.REFUSED}
    assert replica.comity_state.encode_state() == b""


def test_unknown_fields_are_skipped() -> None:
    """A newer version's field does not disturb the known ones, wherever its tag sorts."""
    for unknown in (b"\0\0\0\0", b"\xff\xff\xff\xff"):
        groups = sorted([(unknown, b"what?"), (TAGS["done"], b"\x06")])
        replica = Replica()
        folded(replica, b"".join(tag + bytes((len(data),)) + data for tag, data in groups))
        assert replica.comity_state.snapshot()["done"] == 3


def test_groups_must_ascend() -> None:
    """A turn that names a field twice, or out of order, is no-op as a whole."""
    group = TAGS["done"] + b"\x01\x02"
    replica = Replica()
    assert folded(replica, group + group) == {"": ChangeKind.REFUSED}
    assert replica.comity_state.encode_state() == b""


@pytest.mark.parametrize(
    ("name", "operations"),
    [
        ("tags", b"\x08\x01a\x01a"),  # an element twice
        ("tags", b"\x04\x01a\x05\x01a"),  # added and removed
        ("tags", b"\x05\x01a\x04\x01b"),  # runs in the wrong order
        ("tags", b"\x04\x01a\x04\x01b"),  # two runs of a kind
        ("tags", b"\x00"),  # an empty run
        ("tags", b"\x06\x01a"),  # a kind of a later version
        ("tags", b""),
        ("items", b"\x04\x01a"),  # no value
        ("title", b"\x01a\x01b"),  # two values
        ("title", b""),
        ("done", b"\x00"),  # an increment of nothing
        ("done", b"\x82\x00"),  # not the shortest form
        ("done", b"\xff" * 9 + b"\x01"),  # -2^63
    ],
)
def test_operations_have_one_form(name: str, operations: bytes) -> None:
    """What an honest replica would not write is no-op, and said so."""
    replica = Replica()
    turn = TAGS[name] + bytes((len(operations),)) + operations
    assert folded(replica, turn) == {name: ChangeKind.REFUSED}
    assert replica.comity_state.encode_state() == b""


def test_a_wrong_value_is_told_from_a_wrong_layout() -> None:
    """A value that stands for nothing is BAD_VALUE, and the detail names field and turn."""
    schema = Schema.from_hints("A", {"flag": Register[bool]}, {})
    state = State(schema, Replica().order)
    (change,) = state.fold(0, schema.fields[0].tag + b"\x01\x07")
    assert change.refusal is not None
    assert change.refusal.reason is Reason.BAD_VALUE
    assert "'flag' in turn 0" in change.refusal.detail


def test_changes_say_what_happened() -> None:
    """A fold, a hiding and a showing name the field and the keys."""
    replica = Replica()
    state = replica.comity_state
    turn = TAGS["items"] + b"\x07\x08\x01a\x02\x01b\x04"
    replica.order.turns.append(Turn(0, 0, 0, frozenset(), turn))
    replica.order.bound = 1
    assert state.fold(0, turn) == (Change("items", ChangeKind.WRITTEN, 0, ("a", "b")),)
    assert state.hide(0) == (Change("items", ChangeKind.HIDDEN, 0, ("a", "b")),)
    assert state.hide(0) == ()
    assert state.show(0) == (Change("items", ChangeKind.SHOWN, 0, ("a", "b")),)
    assert state.show(0) == ()
    with pytest.raises(AssertionError):
        state.fold(0, turn)


def test_a_turn_of_one_increment_costs_six_bytes() -> None:
    """The budget of eight bytes is kept, as is one byte of overhead for a map entry."""
    replica = Replica()
    turn = Turn(0, 0, 0, frozenset())
    replica.run(turn, [("count", "", 1)], keep=True)
    assert len(turn.operations) == 6
    turn = Turn(1, 0, 0, frozenset({0}))
    replica.run(turn, [("put", "a", 3)], keep=True)
    assert turn.operations == TAGS["items"] + b"\x04" + b"\x04" + b"\x01a" + b"\x06"


def test_a_turn_without_effect_leaves_no_operations() -> None:
    """Increments that cancel and removals of what is absent are no turn at all."""
    replica = Replica()
    turn = Turn(0, 0, 0, frozenset())
    assert not replica.run(
        turn, [("count", "", 2), ("count", "", -2), ("remove", "a", 0)], keep=True
    )
    assert turn.operations == b""


def test_a_turn_reads_its_own_writes_and_takes_them_back() -> None:
    """Writes apply at once, and a rollback restores what was there, conflicts too."""
    replica = Replica()
    board, state = replica.board, replica.comity_state
    state.begin(0)
    board.items["a"] = 1
    board.done += 2
    board.title = "x"
    assert (board.items["a"], board.done.value, board.title.value) == (1, 2, "x")
    state.rollback()
    assert not board.items
    assert (board.done.value, board.title.value) == (0, "")


def test_writes_outside_a_turn_are_refused() -> None:
    """Reads always work; a write without a turn, or as a reader, names the fix."""
    replica = Replica()
    with pytest.raises(UsageError, match=r"Map 'items' .* run by tell or ask"):
        replica.board.items["a"] = 1
    replica.comity_state.may_write = False
    replica.comity_state.begin(0)
    with pytest.raises(UsageError, match="may not write"):
        replica.board.done += 1
    assert replica.comity_state.commit() == b""


def test_a_turn_has_a_size() -> None:
    """The write that makes a turn too large is refused; what was written before stays."""
    replica = Replica()
    board = replica.board
    replica.comity_state.begin(0)
    piece = "x" * (VALUE_BYTES_MAX - 100)
    for _ in range(10):  # only the last write of a turn counts
        board.title = piece
    board.tags.add(piece + "a")
    for _ in range(10):
        board.tags.discard(piece + "a")
        board.tags.add(piece + "a")
    board.tags.add(piece + "b")
    with pytest.raises(UsageError, match="several messages"):
        board.tags.add(piece + "c")
    operations = replica.comity_state.commit()
    assert 3 * len(piece) < len(operations) <= TURN_BYTES_MAX
    assert board.tags == {piece + "a", piece + "b"}


def test_every_author_is_heard() -> None:
    """The histories above do have several authors, conflicts and hidden turns."""
    script: list[Step] = [("turn", author, [("set", "a", author + 1)]) for author in range(3)]
    script += [("sync", 0, 1), ("sync", 0, 2)]
    replica = play(script).replicas[0]
    assert len(replica.board.title.conflicts) == AUTHORS - 1
    winner = replica.board.title.value
    for serial in range(AUTHORS):
        replica.look(serial, visible=False)
    assert replica.board.title.value == ""
    for serial in range(AUTHORS):
        replica.look(serial, visible=True)
    assert replica.board.title.value == winner
