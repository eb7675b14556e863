"""Messages to actors elsewhere take effect once, whatever links and nodes do meanwhile."""

from __future__ import annotations

import pytest

from comity.actor.errand import RemoteError
from comity.actor.parcel import Refused
from comity.base.endings import Ending
from comity.base.ids import Token
from comity.node import commands
from comity.node.effects import Stage, Table
from comity_chaos.failing import nothing
from comity_chaos.sim import Sim
from tests.node.till import Far


def test_a_message_takes_effect_and_its_asker_gets_the_value() -> None:
    """By a link, on a node that has no replica."""
    with Sim(seed=1, nodes=2) as sim:
        far = Far(sim)
        assert far.ask("take", "milk", 3) == 1
        assert far.ask("count") == 1
        token = far.post("take", "eggs", 2)
        sim.run(2)
        assert far.stages(token) == [Stage.QUEUED, Stage.TAKEN]
        assert far.taken == {"milk": 3, "eggs": 2}
        assert far.unsent == 0
        far.check()


def test_errors_stay_where_they_were_raised() -> None:
    """The asker gets an id; the writes of the turn are gone."""
    with Sim(seed=2, nodes=2) as sim:
        far = Far(sim)
        error = far.ask("fail")
        assert isinstance(error, RemoteError)
        assert "secret" not in str(error)
        assert far.taken == {}


def test_a_link_lets_through_what_it_names_and_nothing_once_it_is_taken_back() -> None:
    """An allow-list that the callee checks, for good or until then."""
    with Sim(seed=3, nodes=2) as sim:
        far = Far(sim)
        narrow = far.give("count")
        assert isinstance(far.ask("count"), int)
        for grant in (narrow.grant, bytes(16)):
            token = far.post("take", "milk", 1, ask=True, grant=grant)
            sim.run(2)
            assert isinstance(far.reply("take", token), Refused)
        far.command(far.there, lambda token: commands.TakeBack(token, far.link.grant))
        assert isinstance(far.ask("take", "eggs", 1), Refused)
        assert far.taken == {}


def test_a_stranger_without_a_link_leaves_nothing() -> None:
    """Whoever shows no grant is refused, and no row is written for him."""
    with Sim(seed=4, nodes=2) as sim:
        far = Far(sim)
        far.post("take", "milk", 1, grant=bytes(16))
        sim.run(5)
        assert far.there.disk.rows()[Table.EDGE] == ()
        assert far.taken == {}


def test_what_is_sent_while_the_other_is_away_arrives_when_it_is_back() -> None:
    """The outbox keeps it, over a restart of the sender too."""
    with Sim(seed=5, nodes=2) as sim:
        far = Far(sim)
        sim.run(1)
        sim.world.crash(far.there)
        for number in range(20):
            far.post("take", f"{number}", 1)
        sim.run(30)
        assert far.unsent > 0
        sim.world.crash(far.here, kept=10**6)
        sim.run(5)
        sim.world.start(far.here)
        sim.restart(far.till)
        sim.run(120)
        assert far.taken == {f"{number}": 1 for number in range(20)}
        assert far.unsent == 0


def test_an_actor_that_is_not_open_gets_its_messages_when_it_is() -> None:
    """They are not acknowledged meanwhile: the sender keeps them."""
    with Sim(seed=6, nodes=2) as sim:
        far = Far(sim)
        topic = far.till.topic
        sim.world.crash(far.there)
        sim.run(1)
        sim.world.started, started = nothing, sim.world.started
        sim.world.start(far.there)
        token = far.post("take", "milk", 1)
        sim.run(120)
        assert far.stages(token) == [Stage.QUEUED]
        sim.world.started = started
        started(far.there)
        sim.run(5)
        assert far.stages(token) == [Stage.QUEUED, Stage.TAKEN]
        assert far.till.topic == topic
        assert far.taken == {"milk": 1}


def test_a_message_whose_deadline_has_passed_is_not_begun() -> None:
    """Its asker is told, if he still asks."""
    with Sim(seed=7, nodes=2) as sim:
        far = Far(sim)
        far.ask("count")
        token = far.post("take", "milk", 1, ask=True, deadline=1)
        sim.run(2)
        ends = [each for each in far.here.progress if each.token == token]
        assert [each.ending for each in ends] == [Ending.LATE]
        assert far.taken == {}


def test_an_open_handler_is_told_of_when_its_node_is_gone_and_not_run_again() -> None:
    """The first stretch stays, the asker gets Interrupted."""
    with Sim(seed=8, nodes=2) as sim:
        far = Far(sim)
        assert far.ask("slowly", "whole", seconds=8) == "whole"
        token = far.post("slowly", "cut", ask=True)
        sim.run(2)
        assert far.taken["cut"] == 1
        sim.world.crash(far.there, kept=10**6)
        sim.run(1)
        sim.restart(far.till)
        sim.run(60)
        ends = [each.ending for each in far.here.progress if each.token == token]
        assert ends == [Ending.INTERRUPTED]
        assert far.taken == {"whole": 2, "cut": 1}


@pytest.mark.parametrize("seed", range(12))
def test_every_effect_is_there_once_whatever_is_cut_and_crashed(seed: int) -> None:
    """Either end loses power in the middle of anything, links are cut; names tell doubles."""
    with Sim(seed=seed, nodes=2) as sim:
        far = Far(sim)
        keyed = sim.world.keyed
        durable: dict[str, Token] = {}
        for number in range(60):
            name = f"{number}"
            if far.here.up:
                durable[name] = far.post("take", name, 1)
            what = keyed.below(12, "what", number)
            if what == 0 and far.here.up:
                sim.world.crash(far.here)
            elif what == 1 and far.there.up:
                sim.world.crash(far.there)
            elif what == 2:
                sim.world.cut([[0], [1]])
            elif what == 3:
                sim.heal()
            sim.run(keyed.below(1000, "wait", number) / 1000)
            for node in (far.here, far.there):
                if not node.up and keyed.below(3, "on", number, node.index):
                    sim.world.start(node)
        sim.heal()
        for node in (far.here, far.there):
            if not node.up:
                sim.world.start(node)
        sim.run(200)
        queued = {name for name, token in durable.items() if Stage.QUEUED in far.stages(token)}
        assert queued <= set(far.taken)
        assert set(far.taken.values()) <= {1}
        assert far.unsent == 0
        assert len(queued) > 20
        far.check()
