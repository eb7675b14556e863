"""What passes between a cell and the core are values with safe defaults."""

from __future__ import annotations

import dataclasses
from typing import get_args

import pytest

from comity.actor.fold import (
    BeatClosed,
    Binding,
    CellEvent,
    Fold,
    FoldCommit,
    Folded,
    Handled,
    Returned,
    TurnEnded,
)
from comity.base.ids import Topic
from comity.log.graph import Graph

TOPIC = Topic(bytes(32))
VALUES: list[CellEvent | Binding | FoldCommit | Fold] = [
    TurnEnded(TOPIC, 1, 0, b"x"),
    BeatClosed(TOPIC, 0, 1),
    Folded(TOPIC, 1),
    Binding(1, 2, 3),
    FoldCommit(3, (b"x",)),
    Fold(TOPIC, 1, 0, Graph()),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda each: type(each).__name__)
def test_they_do_not_change(value: CellEvent | Binding | FoldCommit | Fold) -> None:
    """Another thread may hold one: none has a field that can be set, or a place for more."""
    for each in dataclasses.fields(value):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, each.name, None)
    assert not hasattr(value, "__dict__")


def test_a_bare_fold_ends_history_and_lets_write() -> None:
    """A fold that says no more hides nothing, binds nothing, and lets the cell start."""
    fold = Fold(TOPIC, 1, 0, Graph())
    assert (fold.bindings, fold.commits, fold.hide, fold.show) == ((), (), (), ())
    assert fold.last
    assert fold.may_write


def test_a_cell_says_what_is_listed_here() -> None:
    """The union that hosts and core match on is closed."""
    assert set(get_args(CellEvent)) == {TurnEnded, BeatClosed, Folded, Handled, Returned}
