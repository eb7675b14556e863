"""Bounded counters: rights follow from deeds, and the floor holds while nobody forks.

`test_state` plays them beside all other types; here authors fork and lie, and turns are undone.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comity.base.canonical import varint, zigzag
from comity.base.errors import Reason, RightsError, UsageError
from comity.crdt.bounded import BoundedCounter
from comity.crdt.descriptor import FieldOptions
from comity.crdt.schema import Schema
from comity.crdt.state import ChangeKind, State
from comity.crdt.tally import INCREMENT_MAX
from tests.crdt import bounded_twin
from tests.crdt.histories import Order, Turn, deed, device

SCHEMA = Schema.from_hints("Pool", {"seats": BoundedCounter}, {})
TAG = SCHEMA.fields[0].tag

AUTHORS = (0, 1, 1, 2)
"""Of each replica: two are of one device, which forks."""


class Pool:
    """One replica, and what it has hidden for which reason."""

    def __init__(self, author: int = 0) -> None:
        self.author = author
        self.order = Order()
        self.state = State(SCHEMA, self.order)
        self.state.device = device(author)
        view = self.state.views[0]
        assert isinstance(view, BoundedCounter)
        self.seats = view
        self.numbers: dict[int, int] = {}
        self.withdrawn: set[int] = set()
        self.undone: set[int] = set()

    def turn(self, serial: int) -> Turn:
        """Return a turn of this replica, which sees what it has."""
        hidden = frozenset(self.withdrawn | self.undone)
        undone = hidden - self.withdrawn
        past = frozenset(self.numbers)
        return Turn(serial, self.author, serial, past, hidden=hidden, undone=undone)

    def run(self, turn: Turn, *actions: tuple[str, int]) -> bool:
        """Run a turn through the view; one without the rights for it does nothing."""
        number = len(self.order.turns)
        before = self.observed()
        self.state.begin(number)
        try:
            for verb, amount in actions:
                if verb == "give":
                    self.seats.transfer(device(amount), 1)
                else:
                    self.seats.increase(amount if verb == "gain" else -amount)
        except UsageError:
            self.state.rollback()
            assert self.observed() == before
            return False
        turn.actions = [(verb, "", n + 1 if verb == "give" else n) for verb, n in actions]
        turn.operations = self.state.commit()
        if turn.operations:
            self.order.turns.append(turn)
            self.numbers[turn.serial] = number
        return bool(turn.operations)

    def fold(self, turn: Turn) -> ChangeKind:
        """Take a turn of another replica."""
        number = len(self.order.turns)
        self.order.turns.append(turn)
        self.order.bound = number + 1
        self.numbers[turn.serial] = number
        (change,) = self.state.fold(number, turn.operations)
        return change.kind

    def look(self, serial: int, *, undone: bool) -> None:
        """Give or take a reason to hide a turn."""
        self.order.bound = len(self.order.turns)
        reasons = self.undone if undone else self.withdrawn
        number = self.numbers[serial]
        if serial in reasons:
            self.state.show(number, undone=undone)
            assert not self.state.show(number, undone=undone)
        else:
            self.state.hide(number, undone=undone)
            assert not self.state.hide(number, undone=undone)
        reasons ^= {serial}

    def observed(self) -> tuple[object, ...]:
        """All that a user can see."""
        seats = self.seats
        return self.state.encode_state(), seats.value, seats.rights, dict(seats.holders)


def assert_is_twin(pool: Pool, turns: list[Turn]) -> None:
    """Assert that all that can be read is what the twin says."""
    pool.order.bound = len(pool.order.turns)
    pool.state.check()
    deeds = [deed(turn) for turn in turns if turn.serial in pool.numbers]
    rights = bounded_twin.rights(deeds, pool.withdrawn)
    holders = {device(each): n for each, n in rights.items() if n > 0}
    assert pool.seats.holders == holders
    assert pool.seats.rights == max(0, rights.get(pool.author, 0))
    assert pool.seats.rights == holders.get(pool.seats.device, 0)
    assert pool.seats.value == sum(rights.values())
    overdrawn = bounded_twin.overdrawn(deeds, pool.withdrawn)
    assert pool.seats.overdrawn == {device(each): n for each, n in overdrawn.items()}


amounts = st.integers(1, 3)
trades = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(("gain", "spend")), amounts),
        st.tuples(st.just("give"), st.integers(0, 2)),
    ),
    min_size=1,
    max_size=3,
)
replicas = st.integers(0, len(AUTHORS) - 1)
Step = tuple[str, int, int | tuple[int, int] | list[tuple[str, int]]]
scripts: st.SearchStrategy[list[Step]] = st.lists(
    st.one_of(
        st.tuples(st.just("turn"), replicas, trades),
        st.tuples(st.just("turn"), replicas, trades),
        st.tuples(st.just("lie"), replicas, st.tuples(amounts, st.integers(0, 3))),
        st.tuples(st.just("sync"), replicas, replicas),
        st.tuples(st.just("sync"), replicas, replicas),
        st.tuples(st.sampled_from(("hide", "undo")), replicas, st.integers(0, 99)),
    ),
    max_size=40,
)


def lie(turn: Turn, *, spent: int, taker: int) -> None:
    """Make a turn that spends, and gives to a device, whatever its author has."""
    turn.actions = [("spend", "", spent)]
    data = varint(zigzag(-spent))
    if taker < 3:
        turn.actions.append(("give", "", taker + 1))
        data += device(taker) + b"\x01"
    turn.operations = TAG + varint(len(data)) + data


def play(script: list[Step]) -> tuple[list[Turn], list[Pool]]:
    """Run steps on replicas that trade, lie, sync and hide as they are told."""
    pools = [Pool(author) for author in AUTHORS]
    turns: list[Turn] = []
    for verb, at, what in script:
        pool = pools[at]
        turn = pool.turn(len(turns))
        if verb == "turn":
            assert isinstance(what, list)
            if pool.run(turn, *what):
                turns.append(turn)
        elif verb == "lie":
            assert isinstance(what, tuple)
            lie(turn, spent=what[0], taker=what[1])
            turns.append(turn)
            pool.fold(turn)
        elif verb == "sync":
            assert isinstance(what, int)
            for serial in sorted(pools[what].numbers.keys() - pool.numbers.keys()):
                pool.fold(turns[serial])
        elif pool.numbers:
            assert isinstance(what, int)
            serial = sorted(pool.numbers)[what % len(pool.numbers)]
            pool.look(serial, undone=verb == "undo")
    return turns, pools


@given(scripts)
def test_each_replica_holds_what_its_own_history_says(script: list[Step]) -> None:
    """With forks, lies, hiding and undoing: rights, value and overdrafts are the twin's."""
    turns, pools = play(script)
    for pool in pools:
        assert_is_twin(pool, turns)


@given(scripts, st.data())
def test_delivery_order_and_time_of_hiding_do_not_show(
    script: list[Step], data: st.DataObject
) -> None:
    """Any causal order, with hiding and undoing in between, ends in the same bytes."""
    turns, _ = play(script)
    final = data.draw(st.sets(st.sampled_from(range(len(turns)))) if turns else st.just(set()))
    pools = [deliver_at_random(turns, final, data) for _ in range(2)]
    assert pools[0].state.encode_state() == pools[1].state.encode_state()
    for pool in pools:
        assert_is_twin(pool, turns)


def deliver_at_random(turns: list[Turn], final: set[int], data: st.DataObject) -> Pool:
    """Fold turns in a random causal order, hiding and showing on the way."""
    pool = Pool(7)
    waiting = list(turns)
    while waiting:
        ready = [turn for turn in waiting if turn.past <= pool.numbers.keys()]
        turn = data.draw(st.sampled_from(ready))
        waiting.remove(turn)
        pool.fold(turn)
        if data.draw(st.booleans()):
            serial = data.draw(st.sampled_from(sorted(pool.numbers)))
            pool.look(serial, undone=data.draw(st.booleans()))
            pool.state.check()
    for serial in sorted(pool.withdrawn ^ final):
        pool.look(serial, undone=False)
    return pool


@pytest.mark.soak
@settings(settings.get_profile("soak"))
@given(scripts, st.data())
def test_delivery_order_at_length(script: list[Step], data: st.DataObject) -> None:
    """The same as above, searched for minutes."""
    test_delivery_order_and_time_of_hiding_do_not_show.hypothesis.inner_test(  # type: ignore[attr-defined]
        script, data
    )


@given(scripts)
def test_the_floor_holds_while_nobody_forks(script: list[Step]) -> None:
    """Lies and undoing do no harm: without forks and withdrawals nobody is ever below zero."""
    tame = [step for step in script if step[0] != "hide" and 2 not in step[1:]]
    _, pools = play(tame)
    for pool in pools:
        assert pool.seats.value >= 0
        assert not pool.seats.overdrawn
        assert pool.seats.value == sum(pool.seats.holders.values())


@given(scripts)
def test_only_the_forker_is_named(script: list[Step]) -> None:
    """Whoever trades with a forker stays clean, and the floor is broken by what he owes."""
    _, pools = play([step for step in script if step[0] != "hide"])
    for pool in pools:
        assert pool.seats.overdrawn.keys() <= {device(1)}
        owed = sum(pool.seats.overdrawn.values())
        assert pool.seats.value == sum(pool.seats.holders.values()) - owed


def forked() -> tuple[list[Turn], Pool]:
    """Return a history in which device 1 gives the same right to 0 and to 2, who use it."""
    pools = [Pool(author) for author in AUTHORS]
    turns = [pools[1].turn(0)]
    assert pools[1].run(turns[0], ("gain", 1))
    pools[2].fold(turns[0])
    for giver, taker in ((1, 0), (2, 3)):
        gift = pools[giver].turn(len(turns))
        assert pools[giver].run(gift, ("give", AUTHORS[taker]))
        pools[taker].fold(turns[0])
        pools[taker].fold(gift)
        spent = pools[taker].turn(len(turns) + 1)
        assert pools[taker].run(spent, ("spend", 1))
        turns += [gift, spent]
    return turns, pools[0]


def test_a_fork_breaks_the_floor_by_what_was_used_twice_and_is_named() -> None:
    """The overdraft is the forker's, wherever and in whatever order it is folded."""
    turns, pool = forked()
    for turn in turns[3:]:
        pool.fold(turn)
    assert pool.seats.value == -1
    assert pool.seats.overdrawn == {device(1): 1}
    other = Pool(5)
    for turn in (turns[0], *turns[3:], *turns[1:3]):
        other.fold(turn)
    assert other.state.encode_state() == pool.state.encode_state()
    assert other.seats.overdrawn == {device(1): 1}
    remedy = Turn(5, 1, 5, frozenset(range(5)))
    remedy.operations = TAG + b"\x01\x04"
    other.fold(remedy)
    assert other.seats.overdrawn == {}
    assert other.seats.value == 1


@pytest.mark.parametrize("order", list(permutations(range(5))))
def test_each_branch_of_a_fork_has_its_own_rights(order: tuple[int, ...]) -> None:
    """What one branch has does not depend on how the other is mixed in among its turns."""
    pools = [Pool(1), Pool(1)]
    turns: list[Turn] = []
    for branch, action in ((0, "gain"), (1, "gain"), (0, "spend"), (1, "spend"), (0, "spend")):
        turn = pools[branch].turn(len(turns))
        lie(turn, spent=-1 if action == "gain" else 1, taker=3)
        pools[branch].fold(turn)
        turns.append(turn)
    reader = Pool(4)
    waiting = [turns[each] for each in order]
    while waiting:
        turn = next(each for each in waiting if each.past <= reader.numbers.keys())
        waiting.remove(turn)
        reader.fold(turn)
        reader.state.check()
    assert reader.seats.value == 0
    assert reader.seats.overdrawn == {}


def test_a_deed_of_this_device_is_judged_as_all_others_judge_it() -> None:
    """If its commit is made on less than the turn saw, it is no-op here as well."""
    pool = Pool()
    assert pool.run(pool.turn(0), ("gain", 3))
    assert pool.run(pool.turn(1), ("spend", 2))
    pool.order.turns[1].hidden = frozenset({0})
    assert pool.seats.value == 1
    last = Turn(2, 5, 2, frozenset({0, 1}), TAG + b"\x01\x02")
    pool.fold(last)
    assert pool.seats.value == 4
    pool.state.check()


def test_turns_of_this_device_are_placed_one_by_one() -> None:
    """While something is hidden each turn is judged when it is bound, and none before."""
    pool = Pool()
    pool.fold(Turn(0, 5, 0, frozenset(), TAG + b"\x01\x02"))
    pool.look(0, undone=False)
    for serial, action in ((1, ("gain", 3)), (2, ("spend", 2)), (3, ("spend", 1))):
        assert pool.run(pool.turn(serial), action)
    for number in (1, 2, 3):
        pool.order.bound = number + 1
        pool.state.bound(number)
        pool.state.check()
    assert pool.seats.value == 0


def test_a_gift_that_is_withdrawn_is_not_held_against_who_got_it() -> None:
    """The giver's turn is hidden after the taker used it: the floor breaks, nobody is named."""
    turns, pool = forked()
    pool.look(1, undone=False)
    assert pool.seats.value == 0
    assert pool.seats.holders == {device(1): 1}
    assert pool.seats.overdrawn == {}
    assert dict(pool.state.snapshot()) == {"seats": 0}
    assert len(turns) == 5


def test_spends_and_transfers_cannot_be_undone() -> None:
    """An undone turn counts on in a bounded counter, and in nothing that follows from it."""
    pool = Pool()
    for serial, action in enumerate((("gain", 5), ("spend", 2), ("give", 1))):
        assert pool.run(pool.turn(serial), action)
    before = pool.observed()
    for serial in range(3):
        pool.look(serial, undone=True)
        assert pool.observed() == before
    assert not pool.run(pool.turn(3), ("spend", 3))
    assert pool.run(pool.turn(3), ("spend", 2))
    reader = Pool(4)
    for turn in pool.order.turns:
        reader.fold(turn)
    assert reader.state.encode_state() == pool.state.encode_state()
    pool.look(0, undone=False)
    assert pool.seats.overdrawn == {device(0): 5}


def test_taking_more_than_one_has_is_no_op_everywhere() -> None:
    """A device that skips the check, and does not fork, changes nothing."""
    pool, other = Pool(), Pool(1)
    gain = pool.turn(0)
    assert pool.run(gain, ("gain", 2))
    greedy = replace(pool.turn(1))
    lie(greedy, spent=3, taker=3)
    generous = Turn(2, 0, 2, frozenset({0, 1}))
    lie(generous, spent=2, taker=1)
    own = Turn(3, 0, 3, frozenset({0, 1, 2}))
    lie(own, spent=1, taker=0)
    other.fold(gain)
    for turn in (greedy, generous, own):
        for each in (pool, other):
            assert each.fold(turn) is ChangeKind.WRITTEN
            assert each.seats.holders == {device(0): 2}
            each.state.check()


def test_an_error_says_who_has_rights() -> None:
    """It has what is needed to ask somebody, as text and as values."""
    pool = Pool()
    with pytest.raises(RightsError, match=r"1 is more than the 0 .* as low as it may be"):
        begun(pool, 0).decrease(1)
    pool.state.rollback()
    for serial in range(8):
        turn = Turn(serial, serial, serial, frozenset(range(serial)))
        turn.operations = TAG + b"\x01" + varint(zigzag(serial + 1))
        pool.fold(turn)
    with pytest.raises(RightsError) as caught:
        begun(pool, 8).decrease(2)
    assert (caught.value.wanted, caught.value.rights) == (2, 1)
    assert caught.value.holders == {device(n): n + 1 for n in range(8)}
    assert "BoundedCounter 'seats'" in str(caught.value)
    assert "01010101 2, " in str(caught.value)
    assert "05050505 6, 2 more: let one of them transfer" in str(caught.value)


def begun(pool: Pool, number: int) -> BoundedCounter:
    """Open a turn."""
    pool.state.begin(number)
    return pool.seats


def test_what_is_refused() -> None:
    """Wrong numbers and devices are refused at once, naming the field and the fix."""
    pool = Pool()
    seats = begun(pool, 0)
    for wrong, text in ((b"x", "32 bytes"), (device(0), "this device")):
        with pytest.raises(UsageError, match=rf"BoundedCounter 'seats'.*{text}"):
            seats.transfer(wrong, 1)
    with pytest.raises(UsageError, match="given, not taken"):
        seats.transfer(device(1), -1)
    with pytest.raises(UsageError, match="cannot be set to 5"):
        pool.state.laws[0].assign(5)
    for number in ("x", 1.5):
        with pytest.raises(UsageError, match="pass int"):
            seats.increase(number)  # type: ignore[arg-type]
    seats.increase(INCREMENT_MAX)
    with pytest.raises(UsageError, match="in one turn"):
        seats.increase(1)
    seats.transfer(device(1), 0)
    assert seats.holders == {device(0): INCREMENT_MAX}
    seats.decrease(INCREMENT_MAX)
    assert pool.state.commit() == b""
    for hints, option, text in (
        ({"a": BoundedCounter}, FieldOptions(floor="x"), "must be an int"),  # type: ignore[arg-type]
        ({"a": BoundedCounter}, FieldOptions(default=1), "leave out default"),
        ({"a": int}, FieldOptions(), "BoundedCounter"),
    ):
        with pytest.raises(UsageError, match=text):
            Schema.from_hints("A", hints, {"a": option})


def test_a_bounded_counter_reads_like_an_int() -> None:
    """It compares, adds and prints as its value does, and starts at its floor."""
    schema = Schema.from_hints("A", {"left": BoundedCounter}, {"left": FieldOptions(floor=-2)})
    state = State(schema, Order())
    left = state.views[0]
    assert isinstance(left, BoundedCounter)
    assert (left.floor, left.value, left.rights) == (-2, -2, 0)
    state.begin(0)
    left += 5
    left -= 1
    assert left == 2
    assert left != 3
    assert left == left  # noqa: PLR0124  (fields compare by value)
    assert 1 < left <= 2 <= left < 2.5
    assert left >= 2 > left - 1
    assert left > 1
    assert (left + 1, 1 + left, 5 - left, int(left), [7, 8, 9][left]) == (3, 3, 3, 2, 9)
    assert (str(left), f"{left:>3}", repr(left)) == ("2", "  2", "BoundedCounter(2)")
    assert bool(left) is True
    left -= 2
    assert bool(left) is False
    assert len(state.commit()) == 6
    with pytest.raises(TypeError):
        hash(left)


def test_a_floor_is_part_of_the_law() -> None:
    """Devices that declare different floors keep different fields."""
    fields = [
        Schema.from_hints("A", {"a": BoundedCounter}, {"a": FieldOptions(floor=n)}).fields[0]
        for n in (0, 1)
    ]
    assert fields[0].tag != fields[1].tag
    assert fields[0].law == "boundedcounter<0>"


@pytest.mark.parametrize(
    "operations",
    [
        b"",
        b"\x00",  # nothing at all
        b"\xff" * 9 + b"\x01",  # -2^63
        b"\x02" + bytes(31),  # half a device
        b"\x02" + bytes(32) + b"\x00",  # a transfer of nothing
        b"\x02" + bytes(32) + b"\xff" * 9 + b"\x01",  # of more than there can be
        b"\x02" + (b"\x01" * 32 + b"\x01") * 2,  # a device twice
        b"\x02" + b"\x02" * 32 + b"\x01" + b"\x01" * 32 + b"\x01",  # out of order
        b"\x02" + b"\x01" * 32,  # no amount
    ],
)
def test_operations_have_one_form(operations: bytes) -> None:
    """What an honest replica would not write is refused, and changes nothing."""
    pool = Pool()
    number = len(operations)
    turn = Turn(0, 0, 0, frozenset(), TAG + varint(number) + operations)
    pool.order.turns.append(turn)
    pool.order.bound = 1
    (change,) = pool.state.fold(0, turn.operations)
    assert change.kind is ChangeKind.REFUSED
    assert change.refusal is not None
    assert change.refusal.reason is Reason.MALFORMED
    assert pool.state.encode_state() == b""
