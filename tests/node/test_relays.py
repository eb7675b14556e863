"""Relays are watched: who withholds is named, whoever is only slow, full or away is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, cast

import pytest

from comity.base.clock import Instant
from comity.base.ids import CommitId
from comity.node import commands
from comity.node import shelf as shelf_module
from comity.node.effects import Report
from comity.node.relays import Relays
from comity.node.replica import Source
from comity.node.shelf import Shelf
from comity.node.step import Step
from comity.protocol.sync import TopicSync
from comity.protocol.sync_port import Output, SyncRecord
from comity.wire.records import Commit, Summary
from comity_chaos.node import SimNode
from comity_chaos.plan import Plan
from comity_chaos.sim import Sim, SimRef
from tests.attacks.claims import always, attack, both, claim
from tests.node.ledger import Ledger

_MINUTES: Final = 60


class Stage:
    """Two members and two relays; what one of the relays does not keep is chosen by a test."""

    def __init__(self, seed: int) -> None:
        self.sim = Sim(plan=Plan(seed=seed, nodes=2, relays=2))
        self.refs = self.sim.share(Ledger)
        self.relays = self.sim.world.nodes[2:]
        self.evil = self.relays[0].running()[0].device
        self.dropped = 0

    def describe(self, ref: SimRef[Any]) -> dict[str, commands.RelayStatus]:
        """Return the relays as a member sees them."""
        status = self.sim._command(ref.node, commands.DescribeNode)
        assert isinstance(status, commands.NodeStatus)
        return {each.address: each for each in status.relays}

    def alarms(self, ref: SimRef[Any]) -> dict[str, str]:
        """Return which relays a member is alarmed about."""
        return {a: each.alarm for a, each in self.describe(ref).items() if each.alarm}

    def withhold(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let one relay drop what it is given, and say nothing."""
        take = Shelf.take

        def drop(shelf: Shelf, step: Step, commit: Commit, source: Source) -> None:
            syncing: Any = shelf._listener
            if syncing._desk.device == self.evil:
                self.dropped += 1
                return
            take(shelf, step, commit, source)

        monkeypatch.setattr(Shelf, "take", drop)


@pytest.fixture
def stage() -> Iterator[Stage]:
    """Return the stage, of two members who have met."""
    found = Stage(2301)
    with found.sim:
        found.sim.run(5)
        yield found


@both
def test_23_a_relay_that_drops(*, defended: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other relay delivers; the one that drops is named after ten minutes, no other."""
    if not defended:
        monkeypatch.setattr(Relays, "_raise", always(answer=None))
    breaks = "is named"
    with attack(defended=defended, breaks=breaks):
        stage = Stage(2302)
        with stage.sim as sim:
            a, b = stage.refs
            stage.withhold(monkeypatch)
            sim.cut([a, *map(_ref, stage.relays)], [b])
            a.tell(Ledger.enter, "milk", 1)
            sim.run(9 * _MINUTES)
            claim(stage.dropped > 5, "it is offered again and again")
            claim(not stage.alarms(a), "not before ten minutes")
            sim.run(4 * _MINUTES)
            evil, good = (each.address for each in stage.relays)
            claim(list(stage.alarms(a)) == [evil], "the one that drops is named")
            claim(stage.describe(a)[evil].lacking >= 1, "with how much it lacks")
            claim(stage.describe(a)[good].lacking == 0, "the other lacks nothing")
            sim.crash(a)
            sim.heal()
            sim.crash(a)
            sim.run(2 * _MINUTES)
            claim("milk" in b.state["lines"], "the other one delivers")  # type: ignore[operator]
            sim.restart(a)


def _ref(node: SimNode) -> SimRef[Ledger]:
    named: Any = type("Named", (), {"node": node})()
    return cast("SimRef[Ledger]", named)


def test_it_is_told_once_and_told_when_mended(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One report while it lasts, one when the relay has caught up."""
    a, _ = stage.refs
    with monkeypatch.context() as patched:
        stage.withhold(patched)
        a.tell(Ledger.enter, "milk", 1)
        heard = _reports(stage, a, 25)
    assert [each.what for each in heard] == ["censored"]
    assert heard[0].device == stage.evil
    assert stage.relays[0].address in heard[0].detail
    heard = _reports(stage, a, 3)
    assert [each.what for each in heard] == ["uncensored"]
    assert not stage.alarms(a)


def _reports(stage: Stage, ref: SimRef[Any], minutes: int) -> list[Report]:
    """Let time pass and return what a member reports of relays."""
    before = len(ref.node.reports)
    stage.sim.run(minutes * _MINUTES)
    told = ref.node.reports[before:]
    return [each for each in told if each.what in {"censored", "uncensored"}]


def test_a_full_relay_is_no_censor(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever says why is not alarmed about."""
    monkeypatch.setattr(shelf_module, "SHELF_COMMITS_MAX", 0)
    a, _ = stage.refs
    a.tell(Ledger.enter, "milk", 1)
    stage.sim.run(25 * _MINUTES)
    assert stage.alarms(a) == {}


def test_a_relay_that_is_away_is_no_censor(stage: Stage) -> None:
    """Time without a link does not count, and it catches up when it is back."""
    a, _ = stage.refs
    stage.sim.world.crash(stage.relays[0])
    a.tell(Ledger.enter, "milk", 1)
    stage.sim.run(30 * _MINUTES)
    assert stage.alarms(a) == {}
    assert stage.describe(a)[stage.relays[0].address].device is None
    stage.sim.world.start(stage.relays[0])
    stage.sim.run(3 * _MINUTES)
    assert stage.alarms(a) == {}
    assert stage.describe(a)[stage.relays[0].address].device is not None


def test_a_relay_that_never_compares_is_named(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Silence is no way out."""
    a, _ = stage.refs
    receive = TopicSync.receive
    relay: Any = stage.relays[0].running()[0]
    machines = [
        machine
        for table in relay._desk.syncing._tables.values()
        for machine in table.machines.values()
    ]
    assert machines

    def deaf(machine: TopicSync, record: SyncRecord, now: Instant) -> tuple[Output, ...]:
        if any(machine is each for each in machines) and isinstance(record, Summary):
            return ()
        return receive(machine, record, now)

    monkeypatch.setattr(TopicSync, "receive", deaf)
    stage.sim.run(13 * _MINUTES)
    assert list(stage.alarms(a)) == [stage.relays[0].address]
    assert "compared nothing" in stage.alarms(a)[stage.relays[0].address]


def test_30_junk_at_a_relay_makes_nobody_guilty(stage: Stage) -> None:
    """What a relay holds beyond what counts is no sign against it."""
    a, b = stage.refs
    relay = stage.relays[0].running()[0]
    assert relay._desk is not None
    (shelf,) = relay._desk._shelves.values()
    for number in range(200):
        junk = CommitId(number.to_bytes(32, "big"))
        shelf.holdings.add(junk, 1 + number % 5)
        shelf._besides[junk] = (bytes(64),)
    b.tell(Ledger.enter, "milk", 1)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Shelf, "read", _serve_nothing)
        stage.sim.run(15 * _MINUTES)
    assert stage.alarms(a) == {}
    assert "milk" in a.state["lines"]  # type: ignore[operator]


def _serve_nothing(
    shelf: Shelf, step: Step, numbers: Sequence[int], then: Callable[[Step, list[Commit]], None]
) -> None:
    """Serve nothing: junk has no bytes here, and what is left out is permitted."""
    del shelf, numbers
    then(step, [])


def test_forgetting_a_relay(stage: Stage) -> None:
    """It is called no more, not handed on, and gone after a restart; others stay."""
    a, _ = stage.refs
    evil, good = (each.address for each in stage.relays)
    assert list(stage.describe(a)) == [evil, good]
    forget = stage.sim._command(a.node, lambda t: commands.ForgetRelay(t, evil))
    assert forget is True
    assert stage.sim._command(a.node, lambda t: commands.ForgetRelay(t, evil)) is False
    stage.sim.run(3 * _MINUTES)
    assert list(stage.describe(a)) == [good]
    core: Any = a.node.running()[0]
    linked = [link.address for link in core._desk.links.open]
    assert evil not in linked
    assert good in linked
    stage.sim.crash(a)
    stage.sim.restart(a)
    stage.sim.run(2 * _MINUTES)
    assert list(stage.describe(a)) == [good]
    stage.sim._command(a.node, lambda t: commands.UseRelay(t, evil))
    stage.sim.run(2 * _MINUTES)
    assert stage.describe(a)[evil].device is not None


def test_reasons_are_kept_apart_from_silence(stage: Stage) -> None:
    """What was refused with a reason is not counted as lacking; what was not, is."""
    a, _ = stage.refs
    core: Any = a.node.running()[0]
    desk = core._desk
    (link,) = [each for each in desk.links.open if each.address == stage.relays[0].address]
    now = stage.sim.world.moment(a.node)
    step = Step(now, core._waiting)
    ids = [CommitId(bytes([n]) * 32) for n in range(3)]
    desk.relays.refused(link, a.topic, ids[:1])
    desk.relays.lacks(link, a.topic, ids, step)
    assert stage.describe(a)[link.address].lacking == 2
    desk.relays.level(link, a.topic, step)
    assert stage.describe(a)[link.address].lacking == 0
    desk.relays.check()
