"""A state that was frozen and thawed goes on as the one that it was made from."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comity.base.canonical import Malformed
from comity.crdt.descriptor import FieldOptions
from comity.crdt.freezing import Freezer, Thawer
from comity.crdt.list_view import List
from comity.crdt.rules import Owner, Role
from comity.crdt.schema import Schema
from comity.crdt.state import ChangeKind, State
from comity.crdt.text.marks import Mark
from comity.crdt.upgrade import Upgrade
from comity.crdt.views import Map, Register
from tests.crdt import histories, nested_histories
from tests.crdt.histories import Step, play, steps
from tests.crdt.nested_histories import World, expected, plain, scripts
from tests.crdt.test_random_histories import IN_BRIEF, MIXES, script_of

Replica = histories.Replica | nested_histories.Replica


def frozen(state: State) -> bytes:
    """Return what a state is frozen to."""
    out = Freezer()
    state.freeze(out)
    data = out.done()
    assert data is not None
    return data


def thawed(data: bytes, schema: Schema, order: histories.Order, author: int = 0) -> State:
    """Return a new state of what was frozen."""
    state = State(schema, order)
    state.device = histories.device(author)
    reader = Thawer(data, len(order.turns))
    state.thaw(reader)
    reader.finish()
    return state


def renew(replica: Replica) -> None:
    """Put in the place of a replica's state what becomes of it when it is stored."""
    if isinstance(replica, nested_histories.Replica):
        replica.bind()
    replica.order.bound = len(replica.order.turns)
    before = replica.comity_state
    data = frozen(before)
    state = thawed(data, before.schema, replica.order)
    state.device = before.device
    state.check()
    assert frozen(state) == data
    shown = replica.observed()
    replica.comity_state = state
    assert replica.observed() == shown


@given(steps, st.sets(st.integers(0, 39)))
@settings(deadline=None)
def test_a_stored_state_goes_on_as_it_was(script: list[Step], places: set[int]) -> None:
    """Fields of every type, thawed in the midst of any history, end as if they had not been."""
    count = 0

    def now_and_then(replica: histories.Replica) -> None:
        nonlocal count
        count += 1
        if count in places:
            renew(replica)

    usual = play(script, lambda _: None)
    stored = play(script, now_and_then)
    assert [each.operations for each in usual.turns] == [
        each.operations for each in stored.turns
    ]
    for one, other in zip(usual.replicas, stored.replicas, strict=True):
        for replica in (one, other):
            replica.order.bound = len(replica.order.turns)
        other.comity_state.check()
        assert one.observed() == other.observed()


def meet(script: list[nested_histories.Step], chance: Random, *, aside: bool) -> None:
    """Play a history twice, in one world with stored states, and compare all along."""
    usual, stored = World(aside=aside), World(aside=aside)
    for step in script:
        author = step[1]
        if chance.randrange(3) == 0:
            usual.replicas[author].bind()
            renew(stored.replicas[author])
            usual.open_commit[author] = stored.open_commit[author] = -1
        for world in (usual, stored):
            world.play([step])
    for _ in range(2):
        for one, other in zip(usual.replicas, stored.replicas, strict=True):
            assert one.observed() == other.observed()
            seen = [turn for turn in stored.turns if turn.serial in other.numbers]
            found = plain(other.comity_state.snapshot())
            assert found == expected(seen, frozenset(other.hidden))
        for world in (usual, stored):
            world.sync(0, 1)
            world.sync(0, 2)
            world.sync(1, 0)
            renew(world.replicas[0])


@given(scripts, st.integers(0, 1000))
@settings(deadline=None)
def test_what_is_nested_goes_on_as_it_was(
    script: list[nested_histories.Step], seed: int
) -> None:
    """Maps of everything, records and trees are after thawing what their twin says."""
    meet(script, Random(seed), aside=seed % 2 == 1)


@pytest.mark.parametrize("kind", sorted(MIXES))
def test_random_histories_go_on_as_they_were(kind: str) -> None:
    """The same for long histories of one kind."""
    for seed in range(IN_BRIEF):
        chance = Random(f"frozen {kind} {seed}")
        meet(script_of(kind, chance), chance, aside=seed % 2 == 1)


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kind", sorted(MIXES))
def test_random_histories_at_length(kind: str) -> None:
    """Twenty thousand histories of each kind."""
    for seed in range(20_000):
        chance = Random(f"frozen {kind} {seed}")
        meet(script_of(kind, chance), chance, aside=seed % 2 == 1)


@pytest.mark.parametrize("seed", range(15))
def test_marks_go_on_as_they_were(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is bold, and grows, is so after thawing, whoever types or marks there later."""
    perform = histories.perform

    def marking(board: histories.Board, action: histories.Action) -> bool:
        verb, key, number = action
        if verb != "mark":
            return perform(board, action)
        start = number % (len(board.note) + 1)
        name = "bold" if key == "a" else "link"
        board.note.mark(start, min(start + 2, len(board.note)), Mark(name, grows=number > 2))
        return True

    monkeypatch.setattr(histories, "perform", marking)
    chance = Random(f"marks {seed}")
    script: list[Step] = []
    for _ in range(40):
        author, other = chance.randrange(3), chance.randrange(3)
        done: list[histories.Action] = [
            (chance.choice(("type", "type", "mark", "erase")), chance.choice("ab"), number)
            for number in (chance.randint(1, 3), chance.randint(1, 4))
        ]
        turn: Step = ("turn", author, done)
        script += [turn, chance.choice([("sync", author, other), ("look", author, other)])]
    places = [chance.randrange(4) == 0 for _ in script]
    usual = play(script, lambda _: None)
    left = iter(places)
    stored = play(script, lambda replica: renew(replica) if next(left) else None)
    for one, other_one in zip(usual.replicas, stored.replicas, strict=True):
        for replica in (one, other_one):
            replica.order.bound = len(replica.order.turns)
        assert one.board.note.spans() == other_one.board.note.spans()
        assert one.observed() == other_one.observed()


class Ruled(histories.Order):
    """An order in which the first author is an admin."""

    def role(self, turn: int) -> int:
        """Return his role."""
        return 1 if self.turns[turn].author else 2


RULED = Schema.from_hints(
    "Ruled",
    {"items": Map[str, int], "title": Register[str], "row": List[str]},
    {each: FieldOptions(rule=Owner | Role("admin")) for each in ("items", "title", "row")},
)


class RuledBoard:
    """An actor whose entries belong to who wrote them."""

    items: Map[str, int]
    title: Register[str]
    row: List[str]

    def __init__(self, state: State) -> None:
        self._comity_cell = self
        self.comity_state = state


RULED.install(RuledBoard)


def ruled_turns(order: Ruled) -> list[bytes]:
    """Return turns of three authors: who owns what is decided by who wrote it first."""
    made: list[bytes] = []
    source = State(RULED, order)
    board = RuledBoard(source)
    source.role = 2

    def turn(author: int, key: str, number: int, *, publish: bool = False) -> None:
        source.begin(len(made))
        if publish:
            source.publish_rules()
        else:
            board.items[key] = number
            board.title = f"{author}{number}"
            if board.row:
                board.row[0] = f"{author}{number}"
            else:
                board.row.append(key)
        serial = len(made)
        made.append(source.commit())
        past = frozenset(range(serial))
        order.turns.append(histories.Turn(serial, author, serial, past, made[-1]))
        order.bound = len(made)

    turn(1, "a", 1)
    turn(0, "", 0, publish=True)
    for number, author in enumerate((1, 2, 0, 1, 2, 0, 2, 1)):
        turn(author, "ab"[number % 2], number)
    return made


@pytest.mark.parametrize("stop", range(1, 10))
def test_who_owns_an_entry_is_kept(stop: int) -> None:
    """Rules in force, and whose an entry is that an admin wrote over, are as they were."""
    order = Ruled()
    turns = ruled_turns(order)
    usual = State(RULED, order)
    changes = [change for turn, each in enumerate(turns) for change in usual.fold(turn, each)]
    kinds = {change.kind for change in changes}
    assert kinds == {ChangeKind.WRITTEN, ChangeKind.REFUSED}
    state = State(RULED, order)
    found = [c for turn, each in enumerate(turns[:stop]) for c in state.fold(turn, each)]
    state = thawed(frozen(state), RULED, order)
    for turn, each in enumerate(turns[stop:], start=stop):
        found += state.fold(turn, each)
    assert found == changes
    assert state.rules == usual.rules
    assert state.encode_state() == usual.encode_state()
    assert frozen(state) == frozen(usual)
    state.check()


def busy() -> tuple[histories.Replica, bytes]:
    """Return a replica in which everything has happened, and its state frozen."""
    chance = Random(7)
    script: list[Step] = []
    for _ in range(60):
        author = chance.randrange(3)
        done: list[histories.Action] = [
            ("set", "a", 1 + chance.randrange(3)),
            ("put", chance.choice("ab"), 2),
            ("push", chance.choice("ab"), 1 + chance.randrange(3)),
            ("type", chance.choice("ab"), 1 + chance.randrange(3)),
            (chance.choice(("gain", "give", "first", "drop", "erase", "on")), "a", 1),
        ]
        script.append(("turn", author, done))
        script.append(("sync", author, chance.randrange(3)))
        script.append(("look", chance.randrange(3), chance.randrange(99)))
    replica = max(play(script).replicas, key=lambda each: len(each.numbers))
    replica.order.bound = len(replica.order.turns)
    return replica, frozen(replica.comity_state)


BUSY, DATA = busy()


@given(st.data())
@settings(deadline=None, max_examples=300)
def test_a_damaged_state_is_malformed_or_a_state(data: st.DataObject) -> None:
    """Whatever is done to the bytes, reading them raises nothing but Malformed."""
    noise = bytearray(DATA)
    for _ in range(data.draw(st.integers(1, 4))):
        if not noise:
            break
        at = data.draw(st.integers(0, len(noise) - 1))
        match data.draw(st.sampled_from(("flip", "cut", "drop", "add"))):
            case "flip":
                noise[at] = data.draw(st.integers(0, 255))
            case "cut":
                del noise[at + 1 :]
            case "drop":
                del noise[at]
            case _:
                noise.insert(at, data.draw(st.integers(0, 255)))
    try:
        thawed(bytes(noise), histories.SCHEMA, BUSY.order)
    except Malformed:
        return


def test_nothing_may_be_missing_or_left_over() -> None:
    """A beginning of a frozen state is none, nor is more than one."""
    for stop in range(len(DATA)):
        with pytest.raises(Malformed):
            thawed(DATA[:stop], histories.SCHEMA, BUSY.order)
    with pytest.raises(Malformed):
        thawed(DATA + b"\0", histories.SCHEMA, BUSY.order)


def test_a_state_is_of_one_declaration() -> None:
    """What was frozen for other fields is refused; what depends on code is not frozen."""
    hints: dict[str, Any] = {"title": Register[str]}
    one = Schema.from_hints("One", hints, {})
    renamed = Schema.from_hints("One", {"name": Register[str]}, {})
    was = Schema.from_hints("One", {"name": Register[str]}, {"name": FieldOptions(was="title")})
    order = histories.Order()
    data = frozen(State(one, order))
    assert thawed(data, was, order).encode_state() == b""
    with pytest.raises(Malformed, match="declared otherwise"):
        thawed(data, renamed, order)
    upgrade = Upgrade(Register[int], str)
    upgraded = Schema.from_hints("One", hints, {"title": FieldOptions(upgrades=upgrade)})
    out = Freezer()
    State(upgraded, order).freeze(out)
    assert out.done() is None
    assert out.refused
