"""How much is still on its way: told while much comes, right at the end."""

from __future__ import annotations

import pytest

from comity.base.clock import Instant, Moment, Wall
from comity.base.ids import DeviceId, LinkId, Topic
from comity.node.coming import Coming
from comity.node.effects import NONE_TO_GO, Amount, Report
from comity.node.step import Step, Waiting
from comity.protocol.sync_port import Progress
from comity_chaos.sim import Sim, SimRef
from tests.node.ledger import Ledger

TOPIC = Topic(b"t" * 32)
PEER = DeviceId(b"p" * 32)
LINK = LinkId(1)
SECOND = 1_000_000_000


def told(coming: Coming, seconds: float, to_go: int, link: LinkId = LINK) -> list[Amount]:
    """Note a progress at a time and return what the owner was told."""
    step = Step(Moment(Instant(int(seconds * SECOND)), Wall(0)), Waiting())
    coming.note(link, PEER, TOPIC, Progress(1, 1000 - to_go, to_go, 7 * to_go), step)
    effects = step.finish()
    return [each.amount for each in effects if isinstance(each, Report) and each.amount]


def test_much_is_told_of_ten_times_a_second_and_when_it_is_over() -> None:
    """Small passes are silent; the last word of a large one says that nothing is to go."""
    coming = Coming()
    assert told(coming, 0.0, 150) == []
    assert coming.of(TOPIC) == Amount(150, 1050, 850)
    assert told(coming, 1.0, 900) == [Amount(900, 6300, 100)]
    assert told(coming, 1.05, 800) == []
    assert told(coming, 1.1, 700) == [Amount(700, 4900, 300)]
    assert told(coming, 1.11, 0) == [Amount(0, 0, 1000)]
    assert coming.of(TOPIC) == NONE_TO_GO
    assert told(coming, 1.2, 0) == []


def test_of_several_peers_the_most_counts_and_a_lost_link_does_not() -> None:
    """Two peers give the same history: it is not added up."""
    coming = Coming()
    told(coming, 0.0, 500)
    told(coming, 0.0, 900, LinkId(2))
    assert coming.of(TOPIC).commits == 900
    coming.closed(LinkId(2))
    assert coming.of(TOPIC).commits == 500
    coming.closed(LINK)
    assert coming.of(TOPIC) == NONE_TO_GO


@pytest.mark.parametrize("packed", [False, True])
def test_who_was_away_is_told_how_much_comes(
    *, packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It shrinks to nothing, for single commits and for runs, whose number counts too."""
    if packed:
        monkeypatch.setattr("comity.node.packing.COLD_TAIL", 10)
        monkeypatch.setattr("comity.node.packing.COLD_PIECE", 40)
    with Sim(seed=11, nodes=2) as sim:
        a, b = sim.share(Ledger)
        sim.cut(a, b)
        for number in range(400):
            a.tell(Ledger.enter, f"n{number}", number)
            sim.run(0.3)
        sim.run(60)
        before = len(amounts(b))
        sim.heal()
        sim.settle()
        found = amounts(b)[before:]
        assert found[0].commits > 250
        to_go = [each.commits for each in found]
        assert to_go == sorted(to_go, reverse=True)
        assert to_go[-1] == 0


def amounts(ref: SimRef[Ledger]) -> list[Amount]:
    """Return what a node told its owner of what comes."""
    return [each.amount for each in ref.node.reports if each.amount is not None]
