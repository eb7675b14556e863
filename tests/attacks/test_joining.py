"""Invites, welcomes and strangers: who gets in, with what, and what a hostile host can do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from comity.actor.actor_type import ActorType
from comity.authority.authority import Authority
from comity.base.errors import Reason, UsageError
from comity.base.ids import CommitId, DeviceId, Topic
from comity.log.entries import AddEntry, Role, TurnEntry
from comity.node import admission as admission_module
from comity.node.admission import Admission
from comity.node.desk import Desk
from comity.node.effects import Table
from comity.node.links import Link
from comity.node.step import Step
from comity.protocol.invite import Invite
from comity.wire import records
from comity_chaos.sim import Sim, SimRef
from tests.attacks.attacker import Attacker, Line, accomplice, stage
from tests.attacks.claims import (
    agree,
    always,
    attack,
    both,
    claim,
    enter,
    expel,
    journal_of,
    lines,
    refusal_of,
    replica_of,
)
from tests.attacks.test_keys import believe
from tests.node.ledger import Ledger


def _answer(attacker: Attacker, line: Line) -> records.Record | None:
    answers = attacker.answers(line)
    return answers[-1] if answers else None


def _says(answer: records.Record | None, reason: Reason) -> bool:
    return isinstance(answer, records.Refusal) and answer.reason is reason


@both
def test_a_stolen_invite(*, defended: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes first is in, once; who comes second learns it, whoever was meant."""
    if not defended:
        admit = Admission.admit

        def again(self: Admission, *rest: Any) -> object:
            for handle, row in self._invites.items():
                self._invites[handle] = replace(row, spent_by=b"", grant=b"")
            return admit(self, *rest)

        monkeypatch.setattr(Admission, "admit", again)
    breaks = "an invite lets one device in"
    with attack(defended=defended, breaks=breaks), Sim(seed=501, nodes=3) as sim:
        a, b = sim.share(Ledger, on=2)
        stolen = sim.invite(a)
        mallory, trent = Attacker(sim), Attacker(sim, "trent")
        first = mallory.use(stolen, a)
        claim(isinstance(_answer(mallory, first), records.Welcome), "the first is let in")
        second = trent.use(stolen, a)
        claim(_says(_answer(trent, second), Reason.INVITE_USED), "an invite lets one device in")
        try:
            sim.join(sim.nodes[2], stolen)
        except UsageError as refused:
            claim("used already" in str(refused), "the one it was meant for is told")
        else:
            claim(holds=False, what="an invite lets one device in")
        agree(sim, [a, b])
        claim(len(_members(b)) == 3, "two honest members and the thief")
        expel(sim, a, mallory.device)
        agree(sim, [a, b])
        claim(len(_members(b)) == 2, "the thief can be removed")


def _members(ref: SimRef[Any]) -> dict[Any, Role]:
    authority = journal_of(ref).authority
    assert authority is not None
    return authority.members()


@both
def test_asking_again_after_removal(*, defended: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that was removed asks by the invite that once let it in: it gets no key."""
    if not defended:
        monkeypatch.setattr(admission_module, "_is_member", always(answer=True))
    breaks = "no key of today"
    with attack(defended=defended, breaks=breaks), Sim(seed=502, nodes=2) as sim:
        refs = sim.share(Ledger)
        a = refs[0]
        mallory = Attacker(sim)
        invite = sim.invite(a)
        mallory.use(invite, a)
        agree(sim, refs)
        again = mallory.use(invite, a)
        claim(isinstance(_answer(mallory, again), records.Welcome), "a member may ask again")
        expel(sim, a, mallory.device)
        a.tell(Ledger.enter, "secret", 1)
        agree(sim, refs)
        today = journal_of(a).choose_epoch(journal_of(a).graph.version)
        line = mallory.use(invite, a)
        claim(today not in mallory.keys, "the removed gets no key of today")
        claim(_says(_answer(mallory, line), Reason.INVITE_USED), "it is told why")
        sim.run(2 * 3600)
        fresh = Attacker(sim, "late")
        late = fresh.use(Invite(a.node.running()[0].device, invite.seed, ()), a)
        claim(not isinstance(_answer(fresh, late), records.Welcome), "an old invite is closed")


@both
def test_joining_without_an_invite(*, defended: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session without the seed joins nothing, however often it asks."""
    if not defended:
        admit = Admission.admit

        def anybody(self: Admission, link: Link, *rest: Any) -> object:
            link.joined_by = next(iter(self._invites))
            return admit(self, link, *rest)

        monkeypatch.setattr(Admission, "admit", anybody)
    breaks = "nobody joins without"
    with attack(defended=defended, breaks=breaks), Sim(seed=503, nodes=2) as sim:
        refs = sim.share(Ledger)
        a = refs[0]
        sim.invite(a)
        mallory = Attacker(sim)
        line = mallory.call(a)
        mallory.say(line, *[records.JoinRequest(mallory.prekey.public)] * 5)
        sim.run(1)
        claim(
            _says(_answer(mallory, line), Reason.INVITE_UNKNOWN), "nobody joins without a seed"
        )
        wrong = mallory.call(a, seed=bytes(16))
        claim(not wrong.open, "a wrong seed opens no session")
        agree(sim, refs)
        claim(len(_members(a)) == 2, "nobody joined")


@both
def test_more_role_than_the_invite(*, defended: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who was let in to read can neither write nor let others in, on any replica."""
    if not defended:
        monkeypatch.setattr(Authority, "judge", always(answer=None))
    breaks = "a reader"
    with (
        attack(defended=defended, breaks=breaks),
        stage(504, role=Role.READER) as (sim, refs, mallory),
    ):
        turn = mallory.make(mallory.draft(TurnEntry(enter("by a reader"))), keep=False)
        adds = [
            mallory.make(mallory.draft(AddEntry(device, Role.ADMIN, bytes(32))), keep=False)
            for device in (mallory.device, DeviceId(mallory.device[::-1]))
        ]
        for ref in refs:
            mallory.push(ref, map(mallory.sent, [turn, *adds]))
        refs[1].tell(Ledger.enter, "honest", 1)
        agree(sim, refs)
        for commit in (turn, *adds):
            said = {refusal_of(ref, commit.id) for ref in refs}
            claim(said == {Reason.ROLE_TOO_LOW}, f"a reader may not: {said}")
        claim(set(lines(refs[2])) == {"honest"}, "a reader writes nothing")
        claim(len(_members(refs[2])) == 4, "a reader lets nobody in")


def _welcome(topic: Topic, **changes: Any) -> records.Welcome:
    name = ActorType.of(Ledger).name
    plain = records.Welcome(topic, name, CommitId(bytes(32)), (), (), ())
    return replace(plain, **changes)


@both
def test_a_welcome_nobody_asked_for(*, defended: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It makes no replica, first or replayed; the session ends."""
    if not defended:
        welcomed = Admission.welcomed

        def take(self: Admission, link: Link, said: records.Welcome, step: Step) -> object:
            if link.id in self._joins:
                return welcomed(self, link, said, step)
            return self._founded(step, said)

        monkeypatch.setattr(Admission, "welcomed", take)
    breaks = "nothing is founded"
    with attack(defended=defended, breaks=breaks), stage(505) as (sim, refs, mallory):
        foreign = Topic(bytes([3]) * 32)
        line = mallory.line_to(refs[1])
        mallory.say(line, _welcome(foreign))
        sim.run(1)
        desk = refs[1].node.running()[0]._desk
        assert desk is not None
        claim(desk.replica(foreign) is None, "nothing is founded unasked")
        claim(bool(line.over), "the session ends")
        # Replayed: the host of a real invite says its welcome twice.
        seed = bytes([5]) * 16
        mallory.offers.append(seed)
        mallory.welcome = _welcome(Topic(bytes([4]) * 32))
        sim.join(refs[1].node, Invite(mallory.device, seed, (mallory.node.address,)))
        inbound = [each for each in mallory.lines.values() if each.open][-1]
        mallory.say(inbound, _welcome(foreign))
        sim.run(1)
        claim(desk.replica(foreign) is None, "nothing is founded by a replay")
        refs[1].tell(Ledger.enter, "on", 1)
        agree(sim, refs)


@both
def test_a_welcome_to_what_is_held(*, defended: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hostile host 'lets in' a member, with wrong keys and addresses: nothing is lost."""
    if not defended:
        believe(monkeypatch)
    breaks = "the honest replicas agree|a stored commit is refused"
    with attack(defended=defended, breaks=breaks), stage(506) as (sim, refs, mallory):
        a, b, c = refs
        trent = accomplice(sim, a, refs, "trent")
        sim.cut(a, [b, c])
        expel(sim, a, trent.device)
        a.tell(Ledger.enter, "under the new key", 1)
        sim.run(1)
        honest = journal_of(a).choose_epoch(journal_of(a).graph.version)
        genesis = journal_of(a).graph.id_of(0)
        assert honest is not None
        assert mallory.topic is not None
        known = _addresses(b)
        others = tuple((ref.node.running()[0].device, "node-nowhere") for ref in refs)
        seed = bytes([6]) * 16
        mallory.offers.append(seed)
        lies = ((honest, bytes(32)), (genesis, bytes(32)))
        mallory.welcome = _welcome(
            mallory.topic, keys=tuple(sorted(lies)), peers=others, actor_type="x.Y"
        )
        invite = Invite(mallory.device, seed, (mallory.node.address,))
        claim(sim.join(b.node, invite) == mallory.topic, "the victim used the invite")
        sim.run(1)
        claim(_addresses(b) == known, "no address of a member is moved")
        claim(journal_of(b).actor_type == journal_of(a).actor_type, "its type stays")
        sim.crash(b)
        sim.restart(b)
        sim.heal()
        agree(sim, refs)
        claim("under the new key" in lines(b), "the true key counts")


def _addresses(ref: SimRef[Any]) -> dict[bytes, bytes]:
    return dict(ref.node.disk.table(Table.PEER))


@both
def test_strangers(*, defended: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stranger who knows the topic is told nothing, served nothing, believed nothing."""
    if not defended:
        monkeypatch.setattr(Desk, "trusts", always(answer=True))
    breaks = "a stranger is told nothing"
    with attack(defended=defended, breaks=breaks), Sim(seed=507, nodes=2) as sim:
        refs = sim.share(Ledger)
        a = refs[0]
        stranger = Attacker(sim, "stranger")
        stranger.topic = a.topic
        line = stranger.call(a)
        tag = stranger.tag(line)
        stranger.say(line, records.Announce((tag,)))
        sim.run(1)
        told = [r for _, r in stranger.heard if not isinstance(r, records.Peers)]
        claim(not told, "a stranger is told nothing")
        for record in (
            records.Summary(tag, 9, bytes(16), (), bytes(16), 9),
            records.Commits(tag, (records.Commit(b"x", bytes(64)),), 0, last=True),
            records.Want(tag, (journal_of(a).graph.id_of(0),)),
            records.Subscribe((a.topic,)),
        ):
            again = stranger.call(a)
            stranger.say(again, record)
            sim.run(1)
            claim(bool(again.over), f"{type(record).__name__} ends the session")
        heard = [r for _, r in stranger.heard if isinstance(r, records.Commits)]
        claim(not heard, "a stranger is served nothing")
        claim(len(replica_of(a)._orphans) == 0, "there are no buffers for strangers")
        agree(sim, refs)


@both
def test_addresses_from_strangers(*, defended: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody but a member says where members are."""
    if not defended:
        monkeypatch.setattr(Desk, "_shares", always(answer=True))
    breaks = "a stranger moves nobody"
    with attack(defended=defended, breaks=breaks), Sim(seed=508, nodes=3) as sim:
        refs = sim.share(Ledger)
        core = refs[0].node.running()[0]
        book = _addresses(refs[0])
        stranger = Attacker(sim, "stranger")
        line = stranger.call(refs[0])
        there = tuple((bytes([n]) * 32, f"trap-{n}") for n in range(200))
        stranger.say(line, records.Peers(there))  # type: ignore[arg-type]
        sim.run(1)
        claim(_addresses(refs[0]) == book, "a stranger moves nobody")
        claim(line.open, "it is no fault, only in vain")
        assert core is refs[0].node.core
        agree(sim, refs)
