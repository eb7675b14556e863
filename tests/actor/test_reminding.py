"""Reminders: at their time, once, on one device, over restarts; what was missed is told."""

from __future__ import annotations

import time
from pathlib import Path
from typing import cast

import pytest

from comity import Node
from comity_chaos import Sim, SimRef
from tests.actor.reminded import Forgetful, Garden

PERIOD = 300


def watered(ref: SimRef[Garden]) -> list[str]:
    """Return what was done."""
    return list(cast("tuple[str, ...]", ref.state["watered"]))


def test_it_comes_at_every_beat_on_one_device() -> None:
    """Three devices are on for seven beats: seven waterings, none twice, all by the creator."""
    with Sim(seed=1, nodes=3) as sim:
        a, b, c = sim.share(Garden)
        sim.run(7 * PERIOD + 60)
        sim.settle()
        assert len(watered(a)) == 7
        assert len({*watered(a)}) == 7
        assert all(each.endswith(" missed 0") for each in watered(a))
        assert watered(a) == watered(b) == watered(c)


def test_what_was_missed_is_one_turn_that_says_so() -> None:
    """The creator is off for five beats and a half: nobody takes over, one turn follows."""
    with Sim(seed=2, nodes=2) as sim:
        a, b = sim.share(Garden)
        sim.run(1.5 * PERIOD)
        sim.crash(a)
        sim.run(5.5 * PERIOD)
        assert len(watered(b)) == 1
        sim.restart(a)
        sim.run(60)
        sim.settle()
        assert len(watered(b)) == 2
        assert watered(b)[1].endswith(" missed 5")
        sim.run(PERIOD)
        assert watered(a)[2].endswith(" missed 0")


def test_crashes_at_any_time_repeat_no_beat() -> None:
    """A beat and what it wrote are one write: both are there after a crash, or neither."""
    with Sim(seed=3, nodes=2) as sim:
        a, _ = sim.share(Garden)
        for life in range(12):
            sim.run(PERIOD - 3 + life * 0.5)
            sim.crash(a)
            sim.run(0.1)
            sim.restart(a)
        sim.run(PERIOD)
        sim.settle()
        beats = [each.partition(" ")[0] for each in watered(a)]
        assert len(beats) == len({*beats}) >= 12


def test_another_device_can_be_made_the_runner() -> None:
    """From then on it does what is due; the first one does not any more."""
    with Sim(seed=4, nodes=2) as sim:
        a, b = sim.share(Garden)
        sim.run(1.5 * PERIOD)
        a.tell(Garden.run_on, b.node.running()[0].device)
        sim.settle()
        sim.crash(a)
        sim.run(2 * PERIOD)
        assert len(watered(b)) == 3


def test_once_is_once_and_is_gone() -> None:
    """At its time; forgotten ones do not come."""
    with Sim(seed=5, nodes=1) as sim:
        (a,) = sim.share(Garden)
        a.tell(Garden.plan, "call", 100)
        a.tell(Garden.plan, "never", 200)
        sim.run(90)
        assert watered(a) == []
        kept = a.ask(Garden.stop_it, "never")
        again = a.ask(Garden.stop_it, "never")
        sim.run(11)
        assert watered(a) == ["call"]
        assert (kept.value, again.value) == (True, False)
        sim.crash(a)
        sim.restart(a)
        sim.run(500)
        assert [each for each in watered(a) if each == "call"] == ["call"]
        assert [*cast("dict[str, object]", a.state["reminders"].entries)] == ["water"]  # type: ignore[attr-defined]


def test_a_turn_that_fails_is_reported_and_the_next_beat_comes() -> None:
    """Nothing of it is kept, and it is not tried over and over."""
    with Sim(seed=6, nodes=1) as sim:
        (a,) = sim.share(Garden)
        a.tell(Garden.plan_failure)
        sim.run(35)
        assert watered(a) == []
        failed = [each for each in a.node.reports if each.what == "handler failed"]
        assert len(failed) == 3
        assert "no water" in failed[0].detail


def test_a_clock_that_is_set_back_repeats_nothing() -> None:
    """What was done stays done; the rhythm goes on when the clock is there again."""
    with Sim(seed=7, nodes=1) as sim:
        (a,) = sim.share(Garden)
        sim.run(3.5 * PERIOD)
        assert len(watered(a)) == 3
        a.node.clock.jump(-2 * PERIOD * 1_000)
        sim.run(1.8 * PERIOD)
        assert len(watered(a)) == 3
        sim.run(1.5 * PERIOD)
        assert len(watered(a)) == 4


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("no time", "give every=timedelta(...), at=..., or both"),
        ("naive", "has no time zone"),
        ("short", "give a second or more"),
        ("foreign", "is no method of this actor"),
    ],
)
def test_misuse_is_told(what: str, says: str) -> None:
    """With the value and the fix; nothing is kept."""
    with Sim(seed=8, nodes=1) as sim:
        (a,) = sim.share(Garden)
        refused = a.ask(Garden.misuse, what)
        sim.run(1)
        assert says in repr(refused.error)


def test_a_class_without_a_field_for_them_is_told_so() -> None:
    """It names the field that is to be declared."""
    with Sim(seed=9, nodes=1) as sim:
        (a,) = sim.share(Forgetful)
        refused = a.ask(Forgetful.plan)
        sim.run(1)
        assert "declare a field `reminders: Reminders`" in repr(refused.error)


def test_a_real_node_keeps_them_over_a_restart(tmp_path: Path) -> None:
    """What was due while it was off is done when it is on again."""
    for life in range(2):
        with Node(tmp_path / "store", insecure_store=True) as node:
            ref = node.open_or_create(Garden)
            if not life:
                ref.ask(Garden.plan, "soon", 0.3).get(timeout=10)
                continue
            ends = time.monotonic() + 20
            while ref.snapshot()["watered"] != ("soon",):
                assert time.monotonic() < ends
                time.sleep(0.05)
