"""Peers and relays that withhold, reorder, tamper. PROTOCOL 12: 15, 16."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from comity.actor.actor_type import ActorType
from comity.actor.cell import Cell
from comity.actor.fold import Fold
from comity.actor.places import Places
from comity.authority.authority import Authority
from comity.base.errors import Reason
from comity.base.ids import CommitId, DeviceId, Topic
from comity.log.entries import AdoptEntry, TurnEntry
from comity.log.graph import Graph
from comity.log.inner import CommitGrant
from comity.log.sealed import commit_id
from comity.node import commands
from comity.node.orphans import Orphan
from comity.node.replica import Replica, Source
from comity.node.shelf import Shelf
from comity.node.step import Step
from comity.node.syncing import Syncing
from comity.node.verdicts import Checked
from comity.wire.records import Commit
from comity_chaos.sim import Sim, SimRef
from tests.attacks.attacker import Attacker, accomplice, stage
from tests.attacks.claims import (
    agree,
    always,
    attack,
    both,
    claim,
    command,
    enter,
    journal_of,
    lines,
    refusal_of,
    replica_of,
)
from tests.node.ledger import Ledger


def _strike(name: str) -> bytes:
    """Return the operations of a turn that strikes a line where it has seen it."""
    actor_type = ActorType.of(Ledger)
    cell = Cell(actor_type, Topic(bytes(32)))
    cell.fold(Fold(cell.topic, 1, 0, Graph()))
    cell.run(actor_type.message(Ledger.enter, (name, 1), {}))
    outcome, _ = cell.run(actor_type.message(Ledger.strike, (name,), {}))
    return outcome.operations


@both
def test_15_operations_reach_only_their_past(
    *, defended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Operations name no ids: one that strikes a line which its past lacks strikes nothing."""
    if not defended:
        monkeypatch.setattr(Places, "before", always(answer=True))
    breaks = "what it had not seen|the honest replicas agree"
    with attack(defended=defended, breaks=breaks), stage(601) as (sim, refs, mallory):
        base = journal_of(refs[0]).graph.heads
        refs[1].tell(Ledger.enter, "line", 1)
        agree(sim, refs)
        strike = mallory.make(mallory.draft(TurnEntry(_strike("line")), parents=base))
        for ref in refs:
            mallory.push(ref, [mallory.sent(strike)])
        agree(sim, refs)
        for ref in refs:
            claim("line" in lines(ref), "it strikes nothing of what it had not seen")
            claim("line" in ref.state["names"], "nor in a set")  # type: ignore[operator]


@both
def test_15_ids_outside_the_past(*, defended: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A grant, an epoch, an adopted commit outside of before(c): each refused, everywhere."""
    if not defended:
        monkeypatch.setattr(Authority, "judge", always(answer=None))
    breaks = "outside its past|failed|the invariants hold"
    with attack(defended=defended, breaks=breaks), stage(602) as (sim, refs, mallory):
        base = (mallory.auth.commit,)  # type: ignore[union-attr]
        trent = accomplice(sim, refs[0], refs, "trent")
        later = trent.auth
        epoch = trent.rotate()
        trent.push(refs[0], [trent.sent(epoch)])
        agree(sim, refs)
        assert later is not None
        ghost = CommitId(bytes([1]) * 32)
        turn = TurnEntry(enter("never"))
        wrong = {
            "a later grant": (
                mallory.draft(turn, parents=base, auth=later),
                Reason.NO_GRANT,
            ),
            "a grant of nobody": (
                mallory.draft(turn, auth=CommitGrant(ghost)),
                Reason.NO_GRANT,
            ),
            "another's grant": (mallory.draft(turn, auth=later), Reason.GRANT_NOT_YOURS),
            "a later epoch": (
                mallory.draft(turn, parents=base, epoch=epoch.id),
                Reason.EPOCH_UNKNOWN,
            ),
            "adopting what is not there": (
                mallory.draft(AdoptEntry(ghost)),
                Reason.ROLE_TOO_LOW,
            ),
        }
        made = {name: mallory.make(draft, keep=False) for name, (draft, _) in wrong.items()}
        for ref in refs:
            mallory.push(ref, map(mallory.sent, made.values()))
        agree(sim, refs)
        for name, (_, reason) in wrong.items():
            said = [refusal_of(ref, made[name].id) for ref in refs]
            claim(said == [reason] * 3, f"'{name}' is outside its past: {said}")
        claim(not lines(refs[0]), "nothing of it shows")


@both
def test_16_a_withheld_parent(*, defended: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who delivers a child and keeps its parent back is not waited for: others are asked."""
    if not defended:
        monkeypatch.setattr(Syncing, "lacking", always(answer=None))
    breaks = "fetched from another peer"
    with attack(defended=defended, breaks=breaks), stage(603) as (sim, refs, mallory):
        a = refs[0]
        lazy = accomplice(sim, a, refs, "lazy")
        grand = mallory.turn("grand")
        parent = mallory.turn("parent", parents=(grand.id,))
        child = mallory.turn("child", parents=(parent.id,))
        for each in (grand, parent):
            mallory.withheld[each.id] = None
            lazy.library[each.id] = mallory.sent(each)
        mallory.push(a, [mallory.sent(child)])
        sim.run(2)
        claim("child" in lines(a), "the parents are fetched from another peer")
        agree(sim, refs)


@both
def test_16_what_waited_is_passed_on(
    *, defended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child that waited here is given to whoever brought its parent: he may lack it."""
    if not defended:
        accept = Replica._accept

        def confused(
            self: Replica, step: Step, checked: Checked, source: Source
        ) -> list[Orphan]:
            found = accept(self, step, checked, source)
            return [replace(orphan, link=source[0]) for orphan in found]

        monkeypatch.setattr(Replica, "_accept", confused)
    breaks = "passed on"
    with attack(defended=defended, breaks=breaks), stage(604, nodes=2) as (sim, refs, mallory):
        a, b = refs
        parent = mallory.turn("parent")
        child = mallory.turn("child", parents=(parent.id,))
        mallory.withheld[parent.id] = None
        mallory.push(a, [mallory.sent(child)])
        sim.run(0.3)
        mallory.push(b, [mallory.sent(parent)])
        sim.run(2)
        claim("child" in lines(a), "the parent came from the other peer")
        claim("child" in lines(b), "what waited for it is passed on to that peer")
        agree(sim, refs)


# Relays


def _hostile_relay(sim: Sim, refs: list[SimRef[Any]]) -> Attacker:
    """Let nodes that cannot reach one another use one hostile relay."""
    relay = Attacker(sim, "relay")
    relay.relays = True
    relay.receipts = True
    sim.cut(*refs)
    for ref in refs:
        address = relay.node.address
        command(sim, ref, partial(commands.UseRelay, address=address))
    sim.run(5)
    return relay


@both
def test_a_relay_that_tampers_and_reorders(
    *, defended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Altered copies are refused, children before parents wait, an old prefix hides no more."""
    if not defended:
        monkeypatch.setattr(Replica, "_park", always(answer=None))
    breaks = "in any order"
    with attack(defended=defended, breaks=breaks), Sim(seed=605, nodes=2) as sim:
        refs = sim.share(Ledger)
        a, b = refs
        relay = _hostile_relay(sim, refs)
        for number in range(6):
            a.tell(Ledger.enter, str(number), 1)
            sim.run(1)
        device = a.node.running()[0].device
        assert relay.topic == a.topic
        news = [
            commit
            for identifier, commit in relay.library.items()
            if journal_of(b).graph.index_of(identifier) is None
        ]
        claim(len(news) == 6, "the relay was given everything")
        for place in (0, 30, 60, len(news[0].sealed) - 1):
            altered = bytearray(news[0].sealed)
            altered[place] ^= 0x10
            relay.push(b, [Commit(bytes(altered), news[0].beside)])
            sim.run(0.2)
            said = refusal_of(b, commit_id(a.topic, bytes(altered)))
            parked = len(replica_of(b)._orphans)
            claim(said is not None or parked, f"byte {place} altered: refused or kept out")
        relay.push(b, [Commit(news[1].sealed, bytes(64)), *news[::-1][:4], *news[:2]])
        sim.run(3)
        claim(len(lines(b)) == 6, "what it hands over counts, in any order")
        a.tell(Ledger.enter, "kept back", 1)
        sim.run(60)
        claim("kept back" not in lines(b), "a relay can keep back")
        sim.heal()
        agree(sim, refs)
        claim("kept back" in lines(b), "another path brings it")
        assert device != relay.device


_AT_RELAYS = {
    "a relay keeps the first copy only": (Shelf, "_pair"),
    "a relay asks nobody": (Syncing, "_ask_others"),
    "a relay asks only who is there": (Shelf, "doubted"),
}


def _garbage_at_a_relay(seed: int, *, junk: int) -> None:
    """Bring garbage beside a commit to a relay before its author can bring the commit.

    The author comes after a reader has refused the garbage. junk: if not 0, how many copies
    the attacker sends then, before the reader comes back, when the author is gone again.
    """
    with Sim(seed=seed, nodes=2, relay=True) as sim:
        a, b = refs = sim.share(Ledger)
        assert sim.relay is not None
        mallory = Attacker(sim)
        mallory.join(a)
        mallory.connect(a)
        agree(sim, refs)
        sim.world.cut([[a.node.index], [b.node.index, sim.relay.index]])
        a.tell(Ledger.enter, "good", 1)
        sim.run(2)
        identifier, good = list(mallory.library.items())[-1]
        mallory.withheld[identifier] = None
        line = mallory.call_node(sim.relay)
        mallory.subscribe(line)
        sim.run(1)
        mallory.push_on(line, [Commit(good.sealed, bytes(64))])
        sim.run(30)
        claim(refusal_of(b, identifier) is Reason.BAD_SIGNATURE, "the garbage was refused")
        there, back = (a.node.index, sim.relay.index), (sim.relay.index, a.node.index)
        if junk:
            sim.world.cut([[b.node.index], [sim.relay.index]])
        sim.world.network.mend([there, back])
        sim.run(120)
        if junk:
            sim.world.cut([[a.node.index], [sim.relay.index]])
            for number in range(1, junk + 1):
                mallory.push_on(line, [Commit(good.sealed, number.to_bytes(64, "big"))])
            sim.run(10)
            there, back = (b.node.index, sim.relay.index), (sim.relay.index, b.node.index)
            sim.world.network.mend([there, back])
            sim.run(120)
        claim("good" in lines(b), "the right copy comes through the relay")
        agree(sim, refs)
        sim.relay.running()[0].check()


@pytest.mark.parametrize("without", ["", *_AT_RELAYS])
def test_02_a_bad_copy_first_at_a_relay(without: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Garbage beside a commit, first at an honest relay, does not keep the right one out."""
    if without:
        owner, name = _AT_RELAYS[without]
        nothing = () if name == "doubted" else always(answer=None)
        monkeypatch.setattr(owner, name, nothing)
    with attack(defended=not without, breaks="the right copy comes through the relay"):
        _garbage_at_a_relay(606, junk=0)


@both
def test_02_bad_copies_do_not_push_out_the_right_one(
    *, defended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One device that sends a hundred copies replaces its own."""
    if not defended:
        pair = Shelf._pair
        count = iter(range(1 << 32))

        def nameless(
            self: Shelf,
            step: Step,
            identifier: CommitId,
            number: int,
            commit: Commit,
            _: DeviceId,
        ) -> None:
            """Take every copy as from another device."""
            source = DeviceId(next(count).to_bytes(32, "big"))
            pair(self, step, identifier, number, commit, source)

        monkeypatch.setattr(Shelf, "_pair", nameless)
    breaks = "the right copy comes through the relay"
    with attack(defended=defended, breaks=breaks):
        _garbage_at_a_relay(607, junk=100)
