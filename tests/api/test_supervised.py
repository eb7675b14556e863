"""Supervised and waiting actors on a real node: store, core, threads and all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from comity import Node
from comity.drivers.dispatch.errors import ActorStopped
from tests.actor.couriers import Courier
from tests.actor.fragile import Boss, Fragile

PATIENCE = 30.0


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """Return a node that is on."""
    Fragile.starts.clear()
    Fragile.attempts.clear()
    with Node(tmp_path / "node", insecure_store=True, listen=None) as made:
        yield made


def test_a_restart_rebuilds_the_fields_from_the_log(node: Node) -> None:
    """What was acknowledged is there, the attributes are new, the poison is told of."""
    fragile = node.create(Fragile)
    assert fragile.ask(Fragile.add, 5).get(timeout=PATIENCE) == 5
    fragile.tell(Fragile.fail_until, 2)
    assert fragile.ask(Fragile.look).get(timeout=PATIENCE) == (105, 0)
    fragile.tell(Fragile.fail_until, 99)
    assert fragile.ask(Fragile.add, 1).get(timeout=PATIENCE) == 106
    (letter,) = node.dead_letters
    assert (letter.topic, letter.message.method) == (fragile.topic, "fail_until")
    assert fragile.snapshot() == {"total": 106}
    fragile.close()
    again = node.open(Fragile, fragile.topic)
    assert again.snapshot() == {"total": 106}


def test_children_are_refs_like_others(node: Node) -> None:
    """Asked by their parent, restarted with it, gone with it."""
    boss = node.create(Boss)
    assert boss.ask(Boss.delegate, 3).get(timeout=PATIENCE) == 3
    boss.tell(Boss.hurt)
    heard = boss.ask(Boss.get_heard).get(timeout=PATIENCE)
    assert isinstance(heard, list)
    found = 0
    while found != 1:  # the worker of before had done 3
        with suppress(ActorStopped):  # it has stopped, and the boss has not begun anew yet
            found = boss.ask(Boss.delegate, 1).get(timeout=PATIENCE)
    assert [ref.topic for ref in node.refs] == [boss.topic]


def test_handlers_wait_on_a_real_node(node: Node) -> None:
    """Stretches are durable turns; blocking work and asyncio come back."""
    courier = node.create(Courier)
    rest = courier.ask(Courier.rest, 0.01)
    assert courier.ask(Courier.add, 5).get(timeout=PATIENCE) == 7
    assert rest.get(timeout=PATIENCE) == 2
    assert courier.ask(Courier.outside, 4).get(timeout=PATIENCE) == [40, 40]
    courier.tell(Courier.tick_every, 0.005)
    while courier.snapshot()["count"] == 8:
        pass
    assert node.failure is None
