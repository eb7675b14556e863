"""Letters reach a device that is off by its relays, once, though both ends never meet."""

from __future__ import annotations

from functools import partial

import pytest

from comity.base.clock import HOUR, SECOND, Duration
from comity.base.ids import Token
from comity.base.limits import (
    MAIL_AGE_MAX,
    MAIL_AHEAD_COUNT,
    MAILBOX_COUNT_MAX,
    PREKEY_AGE_MAX,
)
from comity.node import commands
from comity.node.dialer import Purpose
from comity.node.effects import Stage, Table
from comity_chaos.failing import nothing
from comity_chaos.sim import Sim
from tests.node.post_office import PostOffice


@pytest.mark.parametrize("replies", [None, 0, 1], ids=["shared", "none", "own"])
@pytest.mark.parametrize("crypto", ["symbolic", "sodium"])
def test_both_ends_are_never_on_at_the_same_time(crypto: str, replies: int | None) -> None:
    """What one sends while the other is off is there when that one is; so are the answers."""
    with Sim(seed=1, nodes=2, crypto=crypto) as sim:
        far = PostOffice(sim, replies=replies)
        far.off(far.there)
        tells = [far.post("take", f"{n}", 1) for n in range(10)]
        ask = far.post("count", ask=True)
        sim.run(3)
        assert far.lying(0) == far.lying(1) > 0
        assert far.unsent > 0  # a relay's receipt is not the device's
        assert far.stages(ask) == []
        far.off(far.here)
        sim.restart(far.till)
        sim.run(10)
        assert far.taken == {f"{n}": 1 for n in range(10)}
        far.off(far.there)
        far.on(far.here)
        sim.run(10)
        if replies == 0:  # nothing can reach it while the other is off
            assert far.unsent > 0
            sim.restart(far.till)
            sim.run(70)
        assert far.unsent == 0
        assert len(tells) == 10
        far.check()


def test_an_answer_comes_by_mail_while_the_asker_is_on() -> None:
    """Two that cannot reach each other, each on: tell, ask, and errors go by relays."""
    with Sim(seed=2, nodes=2) as sim:
        far = PostOffice(sim)
        far.part()
        assert far.ask("take", "milk", 3, seconds=10) == 1
        token = far.post("take", "eggs", 2)
        sim.run(10)
        assert far.stages(token) == [Stage.QUEUED, Stage.TAKEN]
        assert far.taken == {"milk": 3, "eggs": 2}
        sim.run(30)
        assert far.unsent == 0
        assert far.lying(0) == far.lying(1) == 0
        far.check()


def test_a_link_without_an_address_is_enough() -> None:
    """Its giver need never have been on at the same time as its holder."""
    with Sim(seed=3, nodes=2) as sim:
        far = PostOffice(sim)
        there, here = far.there, far.here
        far.part()
        for node in (there, here):
            far.command(node, partial(commands.Listening, address=""))
        far.link = far.give("take")
        assert far.link.addresses == ()
        assert far.link.relays == tuple(relay.address for relay in far.relays)
        sim.run(1)
        far.off(there)
        route = far.link.route
        device = far.link.device
        far.command(here, lambda token: commands.Reach(token, device, (), route))
        far.post("take", "milk", 1)
        sim.run(5)
        far.off(here)
        sim.restart(far.till)
        sim.run(5)
        assert far.taken == {"milk": 1}


def test_relays_of_others_are_hung_up_on_when_there_is_nothing_to_leave() -> None:
    """And our actors are not told to them: they get mail and nothing else."""
    with Sim(seed=4, nodes=2) as sim:
        far = PostOffice(sim, replies=1)
        far.off(far.there)
        far.post("take", "milk", 1)
        sim.run(4)
        assert far.here.core is not None
        desk = far.here.core._desk
        assert desk is not None
        purposes = [link.purpose for link in desk.links.open]
        assert purposes.count(Purpose.POST) == 2
        sim.run(30)
        purposes = [link.purpose for link in desk.links.open]
        assert purposes == [Purpose.RELAY]
        assert far.lying() == 1
        assert far.unsent == 1


def test_a_relay_that_is_called_for_mail_may_become_one_of_ours() -> None:
    """It is called as such from then on, and takes the mail that waits all the same."""
    with Sim(seed=14, nodes=2) as sim:
        far = PostOffice(sim, relays=1, replies=0)
        far.off(far.there)
        sim.world.crash(far.relays[0], kept=10**6)
        far.post("take", "milk", 1)
        sim.run(3)
        assert far.here.core is not None
        desk = far.here.core._desk
        assert desk is not None
        address = far.relays[0].address
        far.command(far.here, partial(commands.UseRelay, address=address))
        sim.world.start(far.relays[0])
        sim.run(90)
        assert [link.purpose for link in desk.links.open] == [Purpose.RELAY]
        assert far.lying() == 1
        far.command(far.here, partial(commands.ForgetRelay, address=address))
        far.post("take", "eggs", 1)
        sim.run(10)
        assert [link.purpose for link in desk.links.open] == [Purpose.POST]
        assert far.lying() == 2
        far.check()


def test_one_of_two_relays_is_enough() -> None:
    """One is off, and loses its disk; the other one delivers."""
    with Sim(seed=5, nodes=2) as sim:
        far = PostOffice(sim)
        far.off(far.there)
        sim.world.crash(far.relays[0])
        for number in range(5):
            far.post("take", f"{number}", 1)
        sim.run(5)
        far.off(far.here)
        sim.restart(far.till)
        sim.run(10)
        assert far.taken == {f"{n}": 1 for n in range(5)}
        far.check()


@pytest.mark.parametrize("room", [MAILBOX_COUNT_MAX, 16])
def test_what_does_not_fit_the_mailbox_stays_with_its_sender(
    room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full mailbox is an answer; the rest comes when there is room, each once."""
    monkeypatch.setattr("comity.node.mailboxes.MAILBOX_COUNT_MAX", room)
    with Sim(seed=6, nodes=2) as sim:
        far = PostOffice(sim, relays=1)
        far.off(far.there)
        count = MAIL_AHEAD_COUNT + 20 if room > MAIL_AHEAD_COUNT else room + 20
        names = [f"{number}" for number in range(count)]
        for name in names:
            far.post("take", name, 1)
            sim.run(1.1)
        sim.run(60)
        assert far.lying() == min(room, MAIL_AHEAD_COUNT)
        assert far.unsent == len(names)
        told = [str(each.refusal) for each in far.heard(far.here, "told")]
        assert any("quota" in each for each in told) is (room < MAIL_AHEAD_COUNT)
        sim.world.cut([[far.here.index], [far.there.index]])
        sim.restart(far.till)
        sim.run(2 * 3600)
        assert far.taken == dict.fromkeys(names, 1)
        assert far.unsent == 0
        far.check()


def test_a_burst_is_slowed_down_and_arrives() -> None:
    """A hundred envelopes at once: twenty go, then one a second, and none is refused."""
    with Sim(seed=7, nodes=2) as sim:
        far = PostOffice(sim, relays=1)
        far.off(far.there)
        for number in range(100):
            far.post("take", f"{number}", 1)
            sim.run(0.01)
        sim.run(10)
        assert 20 <= far.lying() <= 40
        sim.run(100)
        assert far.lying() == 100
        assert far.heard(far.here, "told") == []


def test_a_link_that_is_taken_back_has_no_mailbox_any_more() -> None:
    """What lay there is gone, what comes is refused; the sender is told why."""
    with Sim(seed=8, nodes=2) as sim:
        far = PostOffice(sim)
        narrow = far.give("count")
        sim.run(1)
        before = far.keeper().amounts[0]
        far.command(far.there, lambda token: commands.TakeBack(token, narrow.grant))
        sim.run(1)
        assert far.keeper().amounts[0] == before - 1
        far.command(far.there, lambda token: commands.TakeBack(token, far.link.grant))
        sim.run(1)
        far.off(far.there)
        far.post("take", "milk", 1)
        sim.run(5)
        assert far.lying() == 0
        assert any("mailbox" in str(each.refusal) for each in far.heard(far.here, "told"))


def test_mails_do_not_lie_for_ever() -> None:
    """After thirty days the relay lets go; the sender, who has it, leaves it again."""
    with Sim(seed=9, nodes=2) as sim:
        far = PostOffice(sim, relays=1)
        far.off(far.there)
        far.post("take", "milk", 1)
        sim.run(5)
        assert far.lying() == 1
        far.off(far.here)
        sim.world.run_for(Duration(MAIL_AGE_MAX + 3 * HOUR))
        assert far.lying() == 0
        far.on(far.here)
        sim.run(30)
        assert far.lying() == 1
        far.off(far.here)
        sim.restart(far.till)
        sim.run(10)
        assert far.taken == {"milk": 1}


def test_a_sleeping_actor_leaves_its_mail_at_the_relay() -> None:
    """Nothing is collected before it is handled; then it is."""
    with Sim(seed=10, nodes=2) as sim:
        far = PostOffice(sim)
        far.part()
        sim.world.crash(far.there)
        started, sim.world.started = sim.world.started, nothing
        sim.world.start(far.there)
        sim.world.started = started
        token = far.post("take", "milk", 1)
        sim.run(100)
        assert far.lying() == 2  # in the link's mailbox, then in that of the edge
        assert far.stages(token) == [Stage.QUEUED]
        started(far.there)
        sim.run(10)
        assert far.stages(token) == [Stage.QUEUED, Stage.TAKEN]
        assert far.taken == {"milk": 1}
        sim.run(100)
        assert far.lying() == 0


def test_a_new_prekey_is_told_by_mail_and_the_old_one_goes() -> None:
    """Whoever wrote once seals to the newest; a link keeps the one that stands in it."""
    with Sim(seed=11, nodes=2) as sim:
        far = PostOffice(sim)
        far.part()
        far.post("take", "milk", 1)
        sim.run(10)
        assert far.there.core is not None
        assert far.here.core is not None
        desk = far.there.core._desk
        assert desk is not None
        old = desk.hand.prekeys.newest.public
        far.off(far.there)
        far.off(far.here)
        sim.world.run_for(Duration(PREKEY_AGE_MAX + HOUR))
        sim.restart(far.till)
        sim.run(5)
        far.on(far.here)
        sim.run(20)
        desk = far.there.core._desk
        assert desk is not None
        new = desk.hand.prekeys.newest.public
        assert new != old
        far.post("take", "eggs", 1)
        sim.run(20)
        assert far.taken == {"milk": 1, "eggs": 1}
        routes = dict(far.here.disk.rows()[Table.ROUTE])
        assert any(new in value for value in routes.values())
        assert old in [pair.public for pair in desk.hand.prekeys.all]


@pytest.mark.parametrize("seed", range(10))
def test_every_effect_is_there_once_by_two_relays(seed: int) -> None:
    """Ends and relays lose power, links are cut, both ends rarely meet; names tell doubles."""
    with Sim(seed=seed, nodes=2) as sim:
        far = PostOffice(sim)
        keyed = sim.world.keyed
        far.part()
        durable: dict[str, Token] = {}
        everyone = [far.here, far.there, *far.relays]
        for number in range(60):
            name = f"{number}"
            if far.here.up:
                durable[name] = far.post("take", name, 1)
            what = keyed.below(12, "what", number)
            if what < 4 and everyone[what].up:
                sim.world.crash(everyone[what])
            elif what == 5:
                sim.world.cut([[2], [0, 1]])
            elif what == 6:
                sim.heal()
                far.part()
            sim.run(keyed.below(3000, "wait", number) / 1000)
            for node in everyone:
                if not node.up and keyed.below(3, "on", number, node.index):
                    sim.world.start(node)
        sim.world.heal()
        sim.world.cut([[far.here.index], [far.there.index]])
        for node in everyone:
            if not node.up:
                sim.world.start(node)
        sim.world.run_for(Duration(8 * HOUR))
        queued = {name for name, token in durable.items() if Stage.QUEUED in far.stages(token)}
        assert queued <= set(far.taken)
        assert set(far.taken.values()) <= {1}
        assert far.unsent == 0
        assert len(queued) > 20
        far.check()


def test_waiting_costs_nothing() -> None:
    """Two who cannot meet, nothing to say: no mail comes and goes."""
    with Sim(seed=12, nodes=2) as sim:
        far = PostOffice(sim)
        far.part()
        far.post("take", "milk", 1)
        sim.run(60)
        counts = [relay.disk.written for relay in far.relays]
        sim.world.run_for(Duration(7 * HOUR + 60 * SECOND))
        assert [relay.disk.written for relay in far.relays] == counts
        assert far.lying() == 0
