"""A cell with an open handler: each stretch is a turn, and nothing else is between them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from comity.actor.actor_type import ActorType
from comity.actor.awaiting import Interrupted, Paused, Sleep, not_awaitable
from comity.actor.cell import Cell
from comity.actor.fold import Fold, TurnEnded
from comity.actor.message import Message, Outcome, size_of
from comity.base.errors import UsageError
from comity.base.ids import Topic
from comity.log.graph import Graph
from tests.actor.couriers import Courier


@pytest.fixture
def cell() -> Cell:
    """Return a cell that has begun."""
    made = Cell(ActorType.of(Courier), Topic(bytes(32)))
    made.fold(Fold(made.topic, 1, 0, Graph()))
    assert made.start() is None
    return made


def send(cell: Cell, method: str, *arguments: Any) -> tuple[Outcome, TurnEnded | None]:
    """Run a message."""
    return cell.run(Message(method, arguments))


def test_each_stretch_is_a_turn_of_its_own(cell: Cell) -> None:
    """Its writes are encoded when it ends, with a serial of their own."""
    first, ended = send(cell, "rest", 3)
    assert first.awaits == Paused(Sleep(3))
    assert ended is not None
    assert (ended.serial, cell.stretch) == (1, 1)
    last, ended = cell.resume(None)
    assert ended is not None
    assert (last.value, last.awaits, ended.serial, cell.stretch) == (2, None, 2, 0)


def test_a_fold_lands_between_stretches(cell: Cell) -> None:
    """It finds the turns of the stretches that ended, and only those."""
    send(cell, "rest", 3)
    closed, _ = cell.fold(Fold(cell.topic, 2, 0, Graph()))
    assert getattr(closed, "serial", None) == 1


def test_a_stretch_that_raises_undoes_itself_alone(cell: Cell) -> None:
    """What ended before it stays."""
    send(cell, "stumble_later")
    last, ended = cell.resume(None)
    assert isinstance(last.error, ValueError)
    assert (ended, cell.stretch, cell.snapshot()) == (None, 0, {"count": 1})


def test_an_error_comes_to_the_await(cell: Cell) -> None:
    """The handler may catch it; if not, it ends with it."""
    send(cell, "rest", 3)
    last, _ = cell.resume(None, KeyError("gone"))
    assert isinstance(last.error, KeyError)
    assert cell.snapshot() == {"count": 1}


def test_what_is_cut_off_says_how_far_it_came(cell: Cell) -> None:
    """`finally` runs; the sender learns the number of stretches that stay."""
    send(cell, "clean_up", 3)
    cut = cell.interrupt("clean_up")
    assert cut is not None
    interrupted, unclean = cut
    assert isinstance(interrupted, Interrupted)
    assert (interrupted.stretch, interrupted.retry, unclean) == (1, False, None)
    assert send(cell, "traces")[0].value == ["cleaned up"]
    assert cell.interrupt("clean_up") is None


def test_asyncio_is_refused_with_what_there_is_instead(cell: Cell) -> None:
    """A handler runs in no loop: the error names the services, and undoes the stretch."""
    outcome, _ = send(cell, "stumble", lambda: asyncio.sleep(1))
    assert isinstance(outcome.error, UsageError)
    for name in ("self.sleep", "self.run", "self.io", "ref.ask"):
        assert name in str(outcome.error)
    assert cell.snapshot() == {"count": 0}


def test_a_bare_yield_is_a_wait_too(cell: Cell) -> None:
    """`asyncio.sleep(0)` yields None: the handler is open all the same, to be refused."""
    outcome, _ = send(cell, "stumble", lambda: asyncio.sleep(0))
    assert outcome.awaits == Paused(None)
    last, _ = cell.resume(None, not_awaitable(None))
    assert isinstance(last.error, UsageError)
    assert cell.snapshot() == {"count": 1}


def test_services_need_a_host(cell: Cell) -> None:
    """Without one there is an error that says where they work."""
    outcome, _ = send(cell, "roll")
    assert isinstance(outcome.error, UsageError)
    assert "not in __init__" in str(outcome.error)


def test_the_size_of_a_message_is_that_of_what_it_holds() -> None:
    """Texts and bytes, however deep; the boxes count a little, other objects nothing."""
    assert size_of(Message("m")) == 0
    assert size_of(Message("m", ("abc", b"de", 5))) == 5
    assert size_of(Message("m", (["abc"] * 10,), {"k": {"x": b"12345"}})) == 80 + 30 + 16 + 6
    assert size_of(Message("m", ({"abc"}, frozenset((b"d",)), bytearray(7)))) == 16 + 4 + 7
