"""Supervised actors in the lab: the same classes, in virtual time."""

from __future__ import annotations

import pytest

from comity_chaos import Sim
from tests.actor.fragile import Boss, Fragile, Mortal


@pytest.fixture(autouse=True)
def fresh() -> None:
    """Forget what other tests' actors remembered."""
    Fragile.starts.clear()
    Fragile.attempts.clear()


def test_a_restart_rebuilds_the_fields_from_the_log() -> None:
    """What was written is there, what was local is not, and the replicas agree."""
    with Sim(seed=1, nodes=2) as sim:
        a, b = sim.share(Fragile)
        a.tell(Fragile.add, 5)
        b.tell(Fragile.add, 7)
        sim.settle()
        a.tell(Fragile.fail_until, 2)
        look = a.ask(Fragile.look)
        a.tell(Fragile.add, 1)
        sim.run(5)
        assert look.value == (112, 0)
        assert sim.settle().state == {"total": 113}


def test_poison_is_kept_and_the_actor_lives() -> None:
    """Tried twice, then a dead letter."""
    with Sim(seed=2, nodes=1) as sim:
        (a,) = sim.share(Fragile)
        a.tell(Fragile.fail_until, 99)
        added = a.ask(Fragile.add, 1)
        sim.run(5)
        assert added.value == 1
        assert len(Fragile.attempts) == 2
        letters = a.node.running()[1].dead_letters
        assert [message.method for message, _ in letters] == ["fail_until"]


def test_a_stopped_actor_refuses() -> None:
    """What waits for it is answered."""
    with Sim(seed=3, nodes=1) as sim:
        (a,) = sim.share(Mortal)
        a.tell(Mortal.fail_until, 99)
        look = a.ask(Mortal.look)
        sim.run(5)
        assert "has stopped" in str(look.error)


def test_children_and_escalation() -> None:
    """A child's failure restarts its parent, which has a new child then."""
    with Sim(seed=4, nodes=1) as sim:
        (a,) = sim.share(Boss)
        first = a.ask(Boss.delegate, 3)
        sim.run(1)
        assert first.value == 3
        a.tell(Boss.hurt)
        sim.run(1)
        again = a.ask(Boss.delegate, 4)
        sim.run(1)
        assert again.value == 4
        assert sim.settle().state["downs"] in {0, 1}
