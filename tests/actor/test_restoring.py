"""Restoring: what is written back is what was, by what differs and no more."""

from __future__ import annotations

from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from comity import Actor, BoundedCounter, Counter, Flag, List, Map, Register, Set, Text, field
from comity.actor.actor_type import ActorType
from comity.actor.cell import Cell
from comity.actor.fold import Fold
from comity.actor.message import Message
from comity.actor.restoring import RESTORE
from comity.base.ids import DeviceId, Topic
from comity.log.graph import Graph

_WORDS = st.sampled_from(["milk", "eggs", "", "a", "milk and eggs"])
_VALUES = st.fixed_dictionaries(
    {
        "title": _WORDS,
        "total": st.integers(-5, 5),
        "done": st.booleans(),
        "names": st.sets(_WORDS),
        "lines": st.dictionaries(_WORDS, st.integers(0, 3)),
        "steps": st.lists(_WORDS, max_size=5),
        "text": _WORDS,
        "pages": st.dictionaries(_WORDS, _WORDS),
        "scores": st.dictionaries(_WORDS, st.integers(-3, 3)),
    }
)


class House(Actor):
    """A field of each kind."""

    title: Register[str]
    total: Counter
    done: Flag
    names: Set[str]
    lines: Map[str, int]
    steps: List[str]
    text: Text
    pages: Map[str, Text]
    scores: Map[str, Counter]
    seats: BoundedCounter = field(floor=0)

    def sit(self, count: int) -> None:
        """Add seats."""
        self.seats += count


def _cell() -> Cell:
    cell = Cell(ActorType.of(House), Topic(bytes(32)))
    device = DeviceId(bytes([1]) * 32)
    cell.fold(Fold(cell.topic, 1, 0, Graph(), may_write=True, device=device))
    assert cell.start() is None
    return cell


def _restore(cell: Cell, wanted: dict[str, object]) -> object:
    outcome, _ = cell.run(Message(RESTORE, (wanted,)))
    assert outcome.error is None
    return outcome.value


def _shown(values: dict[str, object]) -> dict[str, object]:
    """Return values as a snapshot shows them."""
    names, steps = cast("set[str]", values["names"]), cast("list[str]", values["steps"])
    return {**values, "names": frozenset(names), "steps": tuple(steps), "seats": 0}


@given(st.lists(_VALUES, min_size=1, max_size=4))
def test_any_state_is_brought_back(states: list[dict[str, object]]) -> None:
    """From whatever state to whatever other; a second time there is nothing to write."""
    cell = _cell()
    for state in states:
        wanted = _shown(state)
        before = dict(cell.snapshot())
        differs = tuple(name for name in wanted if before[name] != wanted[name])
        assert _restore(cell, wanted) == differs
        assert dict(cell.snapshot()) == wanted
        assert _restore(cell, wanted) == ()


def test_rights_that_were_used_are_not_written_back() -> None:
    """A bounded counter stays as it is, and is not said to be restored."""
    cell = _cell()
    cell.run(cell.actor_type.message(House.sit, (3,), {}))
    assert _restore(cell, {**cell.snapshot(), "seats": 0, "title": "x"}) == ("title",)
    assert cell.snapshot()["seats"] == 3
