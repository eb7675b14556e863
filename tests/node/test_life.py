"""One node alone: turns become durable, commits follow, a crash at any event loses nothing."""

from __future__ import annotations

import pytest

from comity.base.errors import UsageError
from comity_chaos.replies import Reply
from comity_chaos.sim import Sim, SimRef
from tests.node.ledger import Ledger, consistent


def _stranger(_self: Ledger) -> None:
    """A function that no class defines."""


def _load(ref: SimRef[Ledger]) -> list[tuple[str, Reply[int]]]:
    """Send a workload: bursts that share beats, failures among them."""
    asked: list[tuple[str, Reply[int]]] = []
    for number in range(12):
        name = f"entry {number}"
        asked.append((name, ref.ask(Ledger.enter, name, number)))
        if number % 4 == 3:
            ref.tell(Ledger.enter_and_fail, f"never {number}")
    return asked


def test_a_turn_is_all_or_nothing() -> None:
    """What a handler wrote before it raised is gone; its asker learns why."""
    with Sim(seed=1, nodes=1) as sim:
        (ref,) = sim.share(Ledger)
        sim.run(1)
        _ = ref.ask(Ledger.enter, "a", 3)
        failed = ref.ask(Ledger.enter_and_fail, "b")
        counted = ref.ask(Ledger.count)
        sim.run(1)
        assert isinstance(failed.error, ValueError)
        assert counted.value == 1
        assert consistent(ref.state)
        assert ref.state["title"] == "new"


def test_a_reply_comes_only_when_its_turn_is_durable() -> None:
    """Between the end of a turn and its sync nobody is answered, not even who only reads."""
    with Sim(seed=2, nodes=1) as sim:
        (ref,) = sim.share(Ledger)
        sim.run(1)
        written = ref.ask(Ledger.enter, "a", 1)
        read = ref.ask(Ledger.count)
        shown_before_reply = 0
        while not (replied := [written.done, read.done])[0]:
            if ref.state["lines"]:
                shown_before_reply += 1
                assert replied == [False, False]
            assert sim.world.run_one()
        assert shown_before_reply > 0
        sim.run(1)
        assert (written.value, read.value) == (1, 1)


def test_turns_that_end_together_share_a_commit() -> None:
    """A hundred turns in one burst make a handful of commits, not a hundred."""
    with Sim(seed=3, nodes=1) as sim:
        (ref,) = sim.share(Ledger)
        sim.run(1)
        before = sim.settle().commits
        for number in range(100):
            ref.tell(Ledger.enter, str(number), number)
        sim.run(5)
        assert len(ref.state["lines"]) == 100  # type: ignore[arg-type]
        assert 1 <= sim.settle().commits - before <= 5


@pytest.mark.parametrize("crypto", ["symbolic", "sodium"])
def test_a_crash_after_any_event_loses_no_acknowledged_turn(crypto: str) -> None:
    """For each event of a run: crash right after it; what was acknowledged is there, whole."""
    crash_points = 0
    after = 0
    while True:
        with Sim(seed=after, nodes=1, crypto=crypto) as sim:
            (ref,) = sim.share(Ledger)
            sim.run(0.5)
            asked = _load(ref)
            for _ in range(after):
                if not sim.world.run_one():
                    break
            acknowledged = [name for name, reply in asked if reply.done]
            finished = len(acknowledged) == len(asked) and sim.world.now > 3_000_000_000
            sim.crash(ref)
            sim.run(1)
            sim.restart(ref)
            sim.run(1)
            state = ref.state
            lines = state["lines"]
            assert consistent(state)
            assert state["title"] == "new"
            assert all(name in lines for name in acknowledged)  # type: ignore[operator]
            assert not any(name.startswith("never") for name in lines)  # type: ignore[attr-defined]
            again = ref.ask(Ledger.enter, "after the crash", 1)
            sim.run(1)
            assert again.done
            sim.settle()
        crash_points += 1
        after += 1 if crypto == "symbolic" else 3
        if finished or after > 120:
            break
    assert crash_points > 30


def test_an_open_draft_is_sealed_before_anything_else_after_a_crash() -> None:
    """Drafts on disk become a commit at the next start, whether or not a cell is opened."""
    with Sim(seed=5, nodes=1) as sim:
        (ref,) = sim.share(Ledger)
        sim.run(1)
        for number in range(3):
            ref.tell(Ledger.enter, str(number), number)
            sim.run(0.05)
        rows = ref.node.disk.rows()
        drafts = {table: found for table, found in rows.items() if table == "draft"}
        assert any(drafts.values()), "the workload leaves an open draft"
        sim.crash(ref)
        sim.world.start(ref.node)
        sim.run(1)
        assert not any(
            found for table, found in ref.node.disk.rows().items() if table == "draft"
        )


def test_what_cannot_be_sent_is_refused_with_the_fix() -> None:
    """A lambda, a hook, a foreign function and wrong arguments are the caller's errors."""
    with Sim(seed=6, nodes=1) as sim:
        (ref,) = sim.share(Ledger)
        for selector in (_stranger, Ledger.on_create, consistent):
            with pytest.raises(UsageError, match="pass a method of the class itself"):
                ref.tell(selector)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="missing a required argument: 'amount'"):
            ref.tell(Ledger.enter, "a")  # type: ignore[call-arg]
