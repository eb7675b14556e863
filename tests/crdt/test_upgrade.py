"""Old and new versions of a class write at the same time: what old ones write is upgraded."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.base.errors import Reason, UsageError
from comity.crdt.descriptor import FieldOptions, field
from comity.crdt.record import Record
from comity.crdt.schema import Schema
from comity.crdt.state import ChangeKind, State, fields_in
from comity.crdt.upgrade import Upgrade
from comity.crdt.views import Counter, Map, Register, Set
from tests.crdt.histories import Order, Turn


def euros(cents: int) -> str:
    """Return a price as it is written now."""
    if cents == 13:
        message = "no"
        raise ValueError(message)
    return f"{cents} c"


class OldGoods(Record):
    """A record with a number."""

    price: Register[int] = field()


class Goods(Record):
    """The same with a text."""

    cost: Register[str] = field(was="price", upgrades=Upgrade(Register[int], euros))


OLD = Schema.from_hints(
    "Shop",
    {"price": Register[int], "prices": Map[str, int], "goods": Map[str, OldGoods]},
    {},
)
NEW = Schema.from_hints(
    "Shop",
    {"cost": Register[str], "prices": Map[str, str], "goods": Map[str, Goods]},
    {
        "cost": FieldOptions(was="price", upgrades=Upgrade(Register[int], euros)),
        "prices": FieldOptions(upgrades=(Upgrade(Map[str, int], euros),)),
    },
)


class Device:
    """A replica with some version of the class."""

    def __init__(self, schema: Schema) -> None:
        owner = type("Shop", (object,), {})
        schema.install(owner)
        self.order = Order()
        self.comity_state = State(schema, self.order)
        self.shop: Any = owner()
        self.shop._comity_cell = self
        self.is_new = schema is NEW
        self.known: dict[int, None] = {}

    def write(self, what: str, key: str, number: int) -> bytes:
        """Write as the version of this device does."""
        self.comity_state.begin(len(self.order.turns))
        value: Any = f"{number} c" if self.is_new else number
        if what == "register":
            setattr(self.shop, "cost" if self.is_new else "price", value)
        elif what == "map":
            self.shop.prices[key] = value
        else:
            setattr(self.shop.goods[key], "cost" if self.is_new else "price", value)
        return self.comity_state.commit()

    def place(self, turn: Turn) -> None:
        """Give a turn of this device its place."""
        self.order.turns.append(turn)
        self.known[turn.serial] = None
        self.order.bound = len(self.order.turns)
        self.comity_state.bound(len(self.order.turns) - 1)

    def fold(self, turn: Turn, operations: bytes) -> None:
        """Take a turn."""
        self.order.turns.append(turn)
        self.known[turn.serial] = None
        self.order.bound = len(self.order.turns)
        for change in self.comity_state.fold(len(self.order.turns) - 1, operations):
            assert change.refusal is None
        self.comity_state.check()


writes = st.tuples(
    st.sampled_from(("register", "map", "record")), st.sampled_from("ab"), st.integers(0, 9)
)
Step = tuple[int, tuple[str, str, int] | int]
"""Whose step it is, and what is written, or whom it syncs from."""

steps: st.SearchStrategy[list[Step]] = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 2), writes),
        st.tuples(st.integers(0, 2), st.integers(0, 2)),
    ),
    max_size=25,
)


@given(steps)
def test_new_versions_hold_what_they_would_if_all_were_new(script: list[Step]) -> None:
    """Old turns and new ones, concurrent or not, merge as if each had been written anew."""
    devices = [Device(OLD), Device(NEW), Device(NEW)]
    anew = Device(NEW)
    turns: list[tuple[Turn, bytes, bytes]] = []
    for author, what in script:
        device = devices[author]
        if isinstance(what, int):
            for turn, operations, _ in turns:
                if turn.serial in devices[what].known and turn.serial not in device.known:
                    device.fold(turn, operations)
            continue
        turn = Turn(len(turns), author, len(turns), frozenset(device.known))
        turn.operations = device.write(*what)
        device.place(turn)
        turns.append((turn, turn.operations, Device(NEW).write(*what)))
    for turn, _, translated in turns:
        anew.fold(turn, translated)
    for device in devices[1:]:
        for turn, operations, _ in turns:
            if turn.serial not in device.known:
                device.fold(turn, operations)
        assert device.comity_state.encode_state() == anew.comity_state.encode_state()
        assert device.comity_state.snapshot() == anew.comity_state.snapshot()


def test_old_versions_keep_what_they_do_not_know() -> None:
    """They read their own, and count the rest as unknown."""
    old, new = Device(OLD), Device(NEW)
    turn = Turn(0, 0, 0, frozenset())
    old.fold(turn, new.write("register", "a", 5))
    assert old.comity_state.snapshot()["price"] == 0
    assert sum(old.comity_state.unknown.values()) == 1


def test_what_cannot_be_upgraded_is_refused_and_hides_as_others_do() -> None:
    """A value that the function raises for, one of a wrong type; an undone old turn."""
    old, new = Device(OLD), Device(NEW)
    for number, value in enumerate((7, 13)):
        turn = Turn(number, 0, number, frozenset(range(number)))
        operations = old.write("register", "a", value)
        old.place(turn)
        assert fields_in(NEW, operations) == ("cost",)
        new.order.turns.append(turn)
        new.order.bound = number + 1
        (change,) = new.comity_state.fold(number, operations)
        assert (change.field, change.kind is ChangeKind.REFUSED) == ("cost", value == 13)
        assert value != 13 or (change.refusal and change.refusal.reason is Reason.BAD_VALUE)
    assert new.comity_state.snapshot()["cost"] == "7 c"
    new.comity_state.hide(0)
    assert new.comity_state.snapshot()["cost"] == ""
    wrong = Schema.from_hints(
        "Shop",
        {"price": Register[str]},
        {"price": FieldOptions(upgrades=Upgrade(Register[int], int))},
    )
    device = Device(wrong)
    device.order.turns.append(Turn(0, 0, 0, frozenset()))
    device.order.bound = 1
    (change,) = device.comity_state.fold(0, Device(OLD).write("register", "a", 1))
    assert change.refusal is not None
    assert "became a wrong one" in change.refusal.detail


def test_where_a_turn_writes_both_the_present_type_counts() -> None:
    """Whatever a hostile version writes, a turn writes a field once."""
    both = b"".join(
        sorted((Device(OLD).write("register", "a", 5), Device(NEW).write("register", "a", 6)))
    )
    new = Device(NEW)
    new.fold(Turn(0, 0, 0, frozenset()), both)
    assert new.comity_state.snapshot()["cost"] == "6 c"


def test_an_upgrade_that_cannot_be_is_refused_with_its_fix() -> None:
    """Other kinds, other keys, the type that it is, two names."""
    wrong: dict[str, tuple[object, FieldOptions, str]] = {
        "a": (Counter, FieldOptions(upgrades=Upgrade(Register[int], int)), "copy others"),
        "b": (Set[str], FieldOptions(upgrades=Upgrade(Set[int], str)), "copy others"),
        "c": (Map[str, str], FieldOptions(upgrades=Upgrade(Map[int, str], str)), "copy others"),
        "d": (Map[str, str], FieldOptions(upgrades=Upgrade(Map[str, Counter], str)), "others"),
        "e": (
            Register[int],
            FieldOptions(upgrades=Upgrade(Register[int], int)),
            "upgrades what",
        ),
        "f": (Counter, FieldOptions(id="x", was="y"), "say the same"),
        "g": (Register[int], FieldOptions(upgrades=Upgrade(int, int)), "use Counter"),
    }
    hints = {name: hint for name, (hint, _, _) in wrong.items()}
    options = {name: given for name, (_, given, _) in wrong.items()}
    with pytest.raises(UsageError) as caught:
        Schema.from_hints("Shop", hints, options)
    lines = {line.strip()[0]: line for line in str(caught.value).split("\n  ")[1:]}
    for name, (_, _, fix) in wrong.items():
        assert fix in lines[name]
