"""Actors that wait, in the lab: virtual time, virtual chance, fakes for the world, crashes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from comity import Interface, Revoked, Unknown, UsageError
from comity.actor.awaiting import Interrupted
from comity.actor.waits import DeadlockError
from comity_chaos import Sim
from tests.actor.couriers import Courier, fetch, fetch_later


def one_more(number: int) -> int:
    """Stand for work that blocks."""
    return number + 1


def two_more(number: int) -> int:
    """Stand for work of asyncio."""
    return number + 2


def test_a_sleeping_handler_takes_no_real_time() -> None:
    """An hour passes; what waits behind the handler runs after it; all replicas agree."""
    with Sim(seed=1, nodes=2) as sim:
        a, b = sim.share(Courier)
        rest = a.ask(Courier.rest, 3600)
        a.tell(Courier.add, 5)
        sim.run(3599)
        assert not rest.done
        assert b.state == {"count": 1}  # the first stretch is a turn, and has spread
        sim.run(2)
        assert rest.value == 2
        assert sim.settle().state == {"count": 7}


def test_an_awaited_ask_and_a_cycle() -> None:
    """Between replicas of two nodes; an actor that awaits itself is told."""
    with Sim(seed=2, nodes=2) as sim:
        a, b = sim.share(Courier)
        found = a.ask(Courier.relay, lambda: b.ask(Courier.add, 4))
        knot = a.ask(Courier.relay, lambda: a.ask(Courier.read))
        sim.run(5)
        assert found.value >= 4
        with pytest.raises(DeadlockError):
            _ = knot.value


def test_the_world_needs_fakes() -> None:
    """Without one the handler gets an error that says how to give it."""
    with Sim(seed=3, nodes=1) as sim:
        (a,) = sim.share(Courier)
        lost = a.ask(Courier.outside, 1)
        sim.run(1)
        with pytest.raises(UsageError, match=r"sim\.fake\(fetch"):
            _ = lost.value
        sim.fake(fetch, one_more)
        lost = a.ask(Courier.outside, 1)
        sim.run(1)
        with pytest.raises(UsageError, match=r"self\.io of fetch_later"):
            _ = lost.value
        sim.fake(fetch_later, two_more)
        assert sim.settle().state == {"count": 1}
        found = a.ask(Courier.outside, 1)
        sim.run(1)
        assert found.value == [2, 3]


def test_timers_keep_virtual_time() -> None:
    """Hours of ticks in no time, one at a time, gone with the activation."""
    with Sim(seed=4, nodes=1) as sim:
        (a,) = sim.share(Courier)
        a.tell(Courier.tick_every, 60)
        sim.run(60 * 60)
        assert a.state["count"] in {59, 60}
        a.tell(Courier.tick_slowly, 60, 200)  # one tick holds up the others for 200 s
        sim.run(60 * 60)
        assert 85 <= int(str(a.state["count"])) <= 95
        before = a.state["count"]
        sim.crash(a)
        sim.restart(a)
        sim.run(60 * 60)
        assert a.state["count"] == before


def test_after_a_crash_the_sender_learns_how_far_a_handler_came() -> None:
    """The handler is not resumed; the stretch that was durable stays."""
    with Sim(seed=5, nodes=1) as sim:
        (a,) = sim.share(Courier)
        rest = a.ask(Courier.rest, 3600)
        sim.run(10)
        sim.crash(a)
        with pytest.raises(Interrupted) as caught:
            _ = rest.value
        assert caught.value.stretch == 1
        sim.restart(a)
        sim.run(7200)
        assert sim.settle().state == {"count": 1}


def test_time_and_chance_are_those_of_the_seed() -> None:
    """Equal seeds roll the same, others do not; the clock goes with the simulation."""

    def rolls(seed: int) -> list[object]:
        with Sim(seed=seed, nodes=1) as sim:
            (a,) = sim.share(Courier)
            first = a.ask(Courier.time)
            sim.run(1)
            found = [a.ask(Courier.roll) for _ in range(3)]
            last = a.ask(Courier.time)
            sim.run(1)
            assert timedelta(0) < last.value - first.value < timedelta(seconds=2)
            return [first.value, *(each.value for each in found), sim.trace]

    assert rolls(6) == rolls(6)
    assert rolls(6) != rolls(7)


def test_a_deadline_passes_in_virtual_time() -> None:
    """What had not begun by then is not handled."""
    with Sim(seed=8, nodes=1) as sim:
        (a,) = sim.share(Courier)
        a.tell(Courier.rest, 100)
        late = a.options(deadline=50).ask(Courier.add, 5)
        fine = a.options(deadline=500).ask(Courier.add, 7)
        sim.run(51)
        with pytest.raises(Unknown):
            _ = late.value
        sim.run(100)
        assert fine.value == 9
        assert sim.settle().state == {"count": 9}


class Adder(Interface):
    """Adds."""

    def add(self, number: int) -> int:
        """Count."""
        raise NotImplementedError


def test_a_facet_of_a_simulated_actor() -> None:
    """Lets through what it names, until it is taken back."""
    with Sim(seed=9, nodes=1) as sim:
        (a,) = sim.share(Courier)
        adder, revoke = a.facet(Adder).revocable()
        adder.tell(Adder.add, 4)
        revoke()
        with pytest.raises(Revoked):
            adder.tell(Adder.add, 4)
        assert sim.settle().state == {"count": 4}
