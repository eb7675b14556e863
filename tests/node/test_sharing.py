"""Several nodes: invites, sync, partitions, crashes, relays and removals end in one state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import pytest

from comity.base.errors import LinkError, UsageError
from comity.log.entries import Role
from comity_chaos.sim import Sim, SimRef
from tests.node.ledger import Ledger, consistent


def _lines(ref: SimRef[Ledger]) -> Mapping[str, int]:
    return cast("Mapping[str, int]", ref.state["lines"])


@pytest.mark.parametrize("crypto", ["symbolic", "sodium"])
def test_three_nodes_converge_after_a_partition(crypto: str) -> None:
    """Everybody writes while nobody hears anybody; afterwards all have everything."""
    with Sim(seed=7, nodes=3, crypto=crypto) as sim:
        a, b, c = sim.share(Ledger)
        a.tell(Ledger.enter, "milk", 1)
        sim.cut(a, b, c)
        b.tell(Ledger.enter, "eggs", 2)
        c.tell(Ledger.enter, "salt", 3)
        sim.run(10)
        assert set(_lines(b)) != set(_lines(c))
        sim.heal()
        settled = sim.settle()
        assert settled.state["lines"] == {"milk": 1, "eggs": 2, "salt": 3}
        assert settled.state["total"] == 6
        assert consistent(settled.state)


def test_live_edits_arrive_within_a_beat() -> None:
    """Connected peers see a turn in well under a second."""
    with Sim(seed=8, nodes=3) as sim:
        a, b, c = sim.share(Ledger)
        a.tell(Ledger.enter, "milk", 1)
        sim.run(0.5)
        assert _lines(b) == _lines(c) == {"milk": 1}


def test_concurrent_writes_to_one_register_agree_and_both_show() -> None:
    """One value wins everywhere, the other is seen as a conflict, the next write settles it."""
    with Sim(seed=9, nodes=2) as sim:
        a, b = sim.share(Ledger)
        sim.cut(a, b)
        a.tell(Ledger.rename, "left")
        b.tell(Ledger.rename, "right")
        sim.run(5)
        sim.heal()
        title = sim.settle().state["title"]
        assert title in {"left", "right"}
        a.tell(Ledger.rename, "both")
        assert sim.settle().state["title"] == "both"


def test_a_burst_on_every_side_at_once() -> None:
    """Hundreds of turns on each node, folded while they run, lose nothing."""
    with Sim(seed=10, nodes=3) as sim:
        refs = sim.share(Ledger)
        for number in range(150):
            for place, ref in enumerate(refs):
                ref.tell(Ledger.enter, f"{place}/{number}", number)
            if number % 7 == 0:
                sim.run(0.05)
        settled = sim.settle()
        assert len(cast("Mapping[str, int]", settled.state["lines"])) == 450
        assert consistent(settled.state)


def test_a_relay_hands_over_between_two_that_never_meet() -> None:
    """One writes and leaves; the other comes later and finds it at the relay, sealed."""
    with Sim(seed=11, nodes=2, relay=True) as sim:
        a, b = sim.share(Ledger)
        assert sim.relay is not None
        sim.run(5)
        sim.crash(b)
        a.tell(Ledger.enter, "CANARY-left-at-the-relay", 1)
        sim.run(5)
        sim.crash(a)
        sim.restart(b)
        sim.run(70)
        assert _lines(b) == {"CANARY-left-at-the-relay": 1}
        assert b"CANARY" not in sim.relay.disk.bytes_of_everything()
        sim.restart(a)
        sim.settle()


def test_a_relay_that_restarts_has_kept_what_it_acknowledged() -> None:
    """The shelf is rebuilt from disk and serves on."""
    with Sim(seed=12, nodes=2, relay=True) as sim:
        a, b = sim.share(Ledger)
        assert sim.relay is not None
        sim.run(5)
        sim.world.crash(sim.relay)
        sim.run(1)
        sim.world.start(sim.relay)
        sim.cut(a, b)
        a.tell(Ledger.enter, "milk", 1)
        sim.run(120)
        assert _lines(b) == {"milk": 1}
        sim.heal()
        sim.settle()


@pytest.mark.parametrize("seed", range(8))
def test_crashes_and_cuts_at_random_converge(seed: int) -> None:
    """Power is lost and links are cut at keyed moments; what was acknowledged survives."""
    with Sim(seed=seed, nodes=3) as sim:
        refs = sim.share(Ledger)
        keyed = sim.world.keyed
        asked: list[tuple[str, object]] = []
        for number in range(40):
            place = keyed.below(3, "who", number)
            ref = refs[place]
            if ref.node.up:
                name = f"{place}/{number}"
                asked.append((name, ref.ask(Ledger.enter, name, number)))
            match keyed.below(8, "what", number):
                case 0 if ref.node.up:
                    sim.crash(ref)
                case 1 if not ref.node.up:
                    sim.restart(ref)
                case 2:
                    sim.cut(*refs)
                case 3:
                    sim.world.heal()
                case _:
                    pass
            sim.run(keyed.below(2000, "pause", number) / 1000)
        acknowledged = [name for name, reply in asked if reply.done]  # type: ignore[attr-defined]
        sim.heal()
        settled = sim.settle()
        lines = cast("Mapping[str, int]", settled.state["lines"])
        assert all(name in lines for name in acknowledged)
        assert consistent(settled.state)
        for node in sim.nodes:
            node.running()[0].check()


def test_a_removed_member_reads_and_writes_no_more() -> None:
    """After a removal the key moves on: what follows is neither readable nor accepted."""
    with Sim(seed=13, nodes=3) as sim:
        a, b, c = sim.share(Ledger)
        sim.remove(a, c)
        sim.run(5)
        a.tell(Ledger.enter, "after", 1)
        sim.run(5)
        assert _lines(b) == {"after": 1}
        assert _lines(c) == {}
        refused = c.ask(Ledger.enter, "still me", 1)
        sim.run(5)
        assert isinstance(refused.error, UsageError)
        assert "still me" not in _lines(b)


def test_what_a_removed_member_wrote_unknowing_is_hidden_everywhere() -> None:
    """He writes while cut off from his removal; his turns are quarantined on every replica."""
    with Sim(seed=14, nodes=3) as sim:
        a, b, c = sim.share(Ledger)
        c.tell(Ledger.enter, "before", 1)
        sim.settle()
        sim.cut(c, [a, b])
        sim.remove(a, c)
        c.tell(Ledger.enter, "unknowing", 2)
        sim.run(10)
        sim.heal()
        sim.run(120)
        assert _lines(a) == _lines(b) == {"before": 1}
        assert a.state_bytes == b.state_bytes


def test_a_reader_reads_and_may_not_write() -> None:
    """The handler of a reader's turn is told so, and nothing changes anywhere."""
    with Sim(seed=15, nodes=2) as sim:
        a, b = sim.share(Ledger, roles=[Role.READER])
        a.tell(Ledger.enter, "milk", 1)
        sim.run(2)
        assert _lines(b) == {"milk": 1}
        refused = b.ask(Ledger.enter, "eggs", 1)
        sim.run(2)
        assert isinstance(refused.error, UsageError)
        assert sim.settle().state["lines"] == {"milk": 1}


def test_an_invite_lets_one_device_in() -> None:
    """A second device with the same link is refused and told why; the first may ask again."""
    with Sim(seed=16, nodes=3) as sim:
        (a,) = sim.share(Ledger, on=1)
        link = sim.invite(a)
        sim.join(sim.nodes[1], link)
        with pytest.raises(UsageError, match="used already"):
            sim.join(sim.nodes[2], link)
        sim.join(sim.nodes[1], link)


def test_who_was_removed_while_away_is_told() -> None:
    """By whom it meets, once for each time; who was never let in is told nothing."""
    with Sim(seed=18, nodes=4) as sim:
        a, b, c, d = sim.share(Ledger)
        sim.settle()
        sim.cut([b], [a, c, d])
        sim.remove(a, b)
        sim.run(5)
        before = len(b.node.reports)
        sim.heal()
        sim.run(120)
        told = [each for each in b.node.reports[before:] if each.what == "told"]
        assert told
        assert {each.topic for each in told} == {b.topic}
        assert all("this device was removed from actor" in each.detail for each in told)
        for ref in (a, c, d):
            assert "told" not in [each.what for each in ref.node.reports]
        c.tell(Ledger.enter, "after", 1)
        sim.run(5)
        assert "after" not in b.state["lines"]  # type: ignore[operator]


def test_an_invite_whose_host_is_off_says_so() -> None:
    """Joining fails with the address that was tried and what to do."""
    with Sim(seed=17, nodes=2) as sim:
        (a,) = sim.share(Ledger, on=1)
        link = sim.invite(a)
        sim.crash(a)
        with pytest.raises(LinkError, match=r"cannot be reached .*node-0"):
            sim.join(sim.nodes[1], link)
        sim.restart(a)


def test_a_world_is_its_seed() -> None:
    """Equal seeds give equal traces, another seed another one."""

    def trace(seed: int) -> str:
        with Sim(seed=seed, nodes=3, relay=True) as sim:
            a, b, c = sim.share(Ledger)
            sim.cut(a, [b, c])
            for number in range(20):
                a.tell(Ledger.enter, f"a{number}", number)
                b.tell(Ledger.enter, f"b{number}", number)
            sim.crash(c)
            sim.run(3)
            sim.heal()
            sim.settle()
            return sim.trace

    assert trace(21) == trace(21)
    assert trace(21) != trace(22)
