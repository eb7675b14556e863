"""Members who abuse what they may do, or once might. PROTOCOL 12: 9 to 13, 28."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from comity.authority.authority import Authority
from comity.authority.ledger import Grant, Ledger, Removal
from comity.authority.view import View
from comity.base.errors import Reason
from comity.base.ids import DeviceId
from comity.log.build import SealedCommit
from comity.log.entries import AddEntry, AdoptEntry, RemoveEntry, Role, TurnEntry
from comity.log.inner import CommitGrant
from comity_chaos.sim import Sim, SimRef
from tests.attacks.attacker import Attacker, accomplice, stage
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
)
from tests.node.ledger import Ledger as Shared

_Refs = Sequence[SimRef[Any]]


def _members(ref: SimRef[Any]) -> dict[DeviceId, Role]:
    authority = journal_of(ref).authority
    assert authority is not None
    return authority.members()


def _devices(refs: _Refs) -> list[DeviceId]:
    return [ref.node.running()[0].device for ref in refs]


def _refused(refs: _Refs, commit: SealedCommit, reason: Reason, what: str) -> None:
    said = [refusal_of(ref, commit.id) for ref in refs]
    claim(said == [reason] * len(refs), f"{what}: {said}")


def _deliver(refs: _Refs, postman: Attacker, commits: Sequence[SealedCommit]) -> None:
    """Push commits to every node, in another order to each."""
    for place, ref in enumerate(refs):
        order = [*commits[place:], *commits[:place], *commits]
        postman.push(ref, map(postman.sent, order))


@both
def test_09_backdating(*, defended: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a removed admin backdates, writes, adds or removals, is hidden on every replica."""
    if not defended:
        monkeypatch.setattr(View, "is_effective", always(answer=True))
        monkeypatch.setattr(View, "is_live", always(answer=True))
    breaks = "nothing that was backdated"
    with (
        attack(defended=defended, breaks=breaks),
        stage(301, role=Role.ADMIN) as (sim, refs, mallory),
    ):
        a, b, _ = refs
        trent = accomplice(sim, a, refs, "trent")
        early = mallory.turn("early")
        mallory.push(a, [mallory.sent(early)])
        agree(sim, refs)
        puppet = Attacker(sim, "puppet")
        given = mallory.make(mallory.draft(AddEntry(puppet.device, Role.ADMIN, bytes(32))))
        mallory.push(b, [mallory.sent(given)])
        agree(sim, refs)
        old = (given.id,)
        removal = expel(sim, a, mallory.device)
        agree(sim, refs)
        epoch = mallory.journal.choose_epoch([mallory.journal._index(given.id)])
        late = [
            mallory.turn("late", parents=old, epoch=epoch),
            mallory.make(
                mallory.draft(
                    AddEntry(DeviceId(bytes([9]) * 32), Role.ADMIN, bytes(32)),
                    parents=old,
                    epoch=epoch,
                    backlink=given.id,
                )
            ),
            mallory.make(
                mallory.draft(
                    RemoveEntry(puppet.device), parents=old, epoch=epoch, backlink=given.id
                )
            ),
        ]
        seen = mallory.make(
            mallory.draft(
                TurnEntry(enter("seen")), parents=(removal,), epoch=epoch, backlink=given.id
            ),
            keep=False,
        )
        _deliver(refs, trent, [*late, seen])
        b.tell(Shared.enter, "honest", 1)
        agree(sim, refs)
        for ref in refs:
            members = _members(ref)
            claim(set(lines(ref)) == {"early", "honest"}, "nothing that was backdated shows")
            claim(DeviceId(bytes([9]) * 32) not in members, "nothing that was backdated adds")
            claim(puppet.device in members, "nothing that was backdated removes")
            claim(mallory.device not in members, "the removed is removed")
        _refused(refs, seen, Reason.GRANT_KILLED, "who has seen his removal is refused")


@both
def test_10_duelling_admins(*, defended: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Admins who remove one another, in a circle, through grants given to one another."""
    if not defended:
        monkeypatch.setattr(Ledger, "is_above", always(answer=True))
    breaks = "nobody is removed from beside or below|the invariants hold|failed"
    with attack(defended=defended, breaks=breaks), Sim(seed=302) as sim:
        refs = sim.share(Shared)
        duel = [Attacker(sim, f"admin {number}") for number in range(3)]
        for each in duel:
            each.join(refs[0], Role.ADMIN)
        agree(sim, refs)
        duel[0].connect(*refs)
        base = journal_of(refs[0]).graph.heads
        shots: list[SealedCommit] = []
        gifts: list[SealedCommit] = []
        for place, each in enumerate(duel):
            target = duel[(place + 1) % 3]
            root = _devices(refs)[0]
            shots += [
                each.make(each.draft(RemoveEntry(device), parents=base), keep=False)
                for device in (target.device, root)
            ]
            add = AddEntry(target.device, Role.ADMIN, target.prekey.public)
            gifts.append(each.make(each.draft(add, parents=base)))
        for place, each in enumerate(duel):
            gift = gifts[(place + 2) % 3]
            target = duel[(place + 1) % 3]
            # Under the grant that the one behind gave, strike the one ahead: a circle.
            for other in duel:
                each._facts.update(other._facts)
                each._gens.update(other._gens)
            gifts.append(
                each.make(
                    each.draft(
                        RemoveEntry(target.device),
                        parents=(gift.id, *(g.id for g in gifts[:3] if g is not gift)),
                        auth=CommitGrant(gift.id),
                    ),
                    keep=False,
                )
            )
        _deliver(refs, duel[0], [*shots, *gifts])
        agree(sim, refs)
        for shot in shots:
            _refused(refs, shot, Reason.BAD_REMOVE, "nobody is removed from beside or below")
        members = _members(refs[0])
        for each in duel:
            claim(members.get(each.device) is Role.ADMIN, "each keeps what the root gave him")
        refs[0].tell(Shared.enter, "honest", 1)
        expel(sim, refs[0], duel[1].device)
        agree(sim, refs)
        claim(duel[1].device not in _members(refs[2]), "who stands above all ends it")


@both
def test_11_a_junior_adds_a_senior(*, defended: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Adding those above gives no power over them."""
    if not defended:
        monkeypatch.setattr(Authority, "_judge_add", always(answer=None))
    breaks = "a root is not added"
    with (
        attack(defended=defended, breaks=breaks),
        stage(303, role=Role.ADMIN, roles=[Role.ADMIN]) as (sim, refs, mallory),
    ):
        root, senior, _ = _devices(refs)
        on_root = mallory.make(
            mallory.draft(AddEntry(root, Role.READER, bytes(32))), keep=False
        )
        on_self = mallory.make(
            mallory.draft(AddEntry(mallory.device, Role.ADMIN, bytes(32))), keep=False
        )
        add = mallory.make(mallory.draft(AddEntry(senior, Role.READER, bytes(32))))
        remove = mallory.make(mallory.draft(RemoveEntry(senior), parents=(add.id,)))
        _deliver(refs, mallory, [on_root, on_self, add, remove])
        agree(sim, refs)
        _refused(refs, on_root, Reason.BAD_ADD, "a root is not added")
        _refused(refs, on_self, Reason.BAD_ADD, "nobody adds himself")
        for ref in refs:
            claim(_members(ref)[root] is Role.ADMIN, "the root stands")
            claim(_members(ref)[senior] is Role.ADMIN, "the senior keeps what the root gave")
        refs[1].tell(Shared.enter, "senior", 1)
        agree(sim, refs)
        claim("senior" in lines(refs[2]), "the senior writes on")


@both
def test_12_concurrent_adding_again(*, defended: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A re-add that had not seen the removal does not undo it; one that has, works."""
    if not defended:

        def kills(ledger: Ledger, removal: Removal, grant: Grant) -> bool:
            before = ledger._graph.is_before(grant.commit, removal.commit)
            return removal.device == grant.device and (grant.commit == 0 or before)

        monkeypatch.setattr(Ledger, "kills", kills)
    breaks = "a concurrent re-add changes nothing|the invariants hold"
    with (
        attack(defended=defended, breaks=breaks),
        stage(304, role=Role.ADMIN) as (sim, refs, mallory),
    ):
        a = refs[0]
        trent = accomplice(sim, a, refs, "trent")
        base = journal_of(a).graph.heads
        again = mallory.make(
            mallory.draft(
                AddEntry(trent.device, Role.WRITER, trent.prekey.public), parents=base
            )
        )
        trent._facts.update(mallory._facts)
        trent._gens.update(mallory._gens)
        sly = trent.make(
            trent.draft(
                TurnEntry(enter("sly")), parents=(again.id,), auth=CommitGrant(again.id)
            )
        )
        expel(sim, a, trent.device)
        _deliver(refs, mallory, [again, sly])
        agree(sim, refs)
        for ref in refs:
            claim(trent.device not in _members(ref), "a concurrent re-add changes nothing")
            claim("sly" not in lines(ref), "a concurrent re-add changes nothing")
        knowing = mallory.make(
            mallory.draft(
                AddEntry(trent.device, Role.WRITER, trent.prekey.public), backlink=again.id
            )
        )
        _deliver(refs, mallory, [knowing])
        agree(sim, refs)
        claim(trent.device in _members(refs[1]), "a re-add after the removal works")


@both
def test_13_adopting(*, defended: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who removed may un-hide, and later turns go on from it; who stands beside may not."""
    if not defended:
        monkeypatch.setattr(Authority, "_judge_adopt", always(answer=None))
    breaks = "who did not hide it cannot show it"
    with (
        attack(defended=defended, breaks=breaks),
        stage(305, role=Role.ADMIN) as (sim, refs, mallory),
    ):
        a = refs[0]
        beside = Attacker(sim, "beside")
        beside.join(a, Role.ADMIN)
        lost = Attacker(sim, "lost")
        agree(sim, refs)
        gift = mallory.make(
            mallory.draft(AddEntry(lost.device, Role.WRITER, lost.prekey.public))
        )
        lost.topic, lost.spy, lost.auth = mallory.topic, a, CommitGrant(gift.id)
        lost._facts.update(mallory._facts)
        lost._gens.update(mallory._gens)
        one = lost.turn("one", parents=(gift.id,))
        two = lost.turn("two", parents=(one.id,))
        strike = mallory.make(mallory.draft(RemoveEntry(lost.device), parents=(gift.id,)))
        _deliver(refs, mallory, [gift, one, two, strike])
        agree(sim, refs)
        claim(not lines(a), "what the removed wrote beside his removal is hidden")
        a.tell(Shared.rename, "a turn, so that there is a key")
        agree(sim, refs)
        foreign = beside.make(beside.draft(AdoptEntry(two.id)), keep=False)
        _deliver(refs, mallory, [foreign])
        agree(sim, refs)
        _refused(refs, foreign, Reason.BAD_ADOPT, "who did not hide it cannot show it")
        claim(not lines(a), "who did not hide it cannot show it")
        adopt = mallory.make(mallory.draft(AdoptEntry(two.id)))
        _deliver(refs, mallory, [adopt])
        agree(sim, refs)
        claim(set(lines(refs[2])) == {"one", "two"}, "adopting shows the whole chain")
        refs[1].tell(Shared.strike, "one")
        refs[2].tell(Shared.enter, "three", 3)
        agree(sim, refs)
        claim(set(lines(a)) == {"two", "three"}, "later turns work on what was adopted")


@both
def test_28_leaving_in_concert(*, defended: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Self-removals at once, doubled and crossed, in any order: one outcome."""
    if not defended:

        def outlives(view: View, commit: int, killer: Removal) -> bool:
            return view._graph.is_before(commit, killer.commit)

        monkeypatch.setattr(View, "_outlives", outlives)
    breaks = "each self-removal is in force|the invariants hold|the honest replicas agree"
    with attack(defended=defended, breaks=breaks), Sim(seed=306) as sim:
        refs = sim.share(Shared)
        leavers = [Attacker(sim, f"leaver {number}") for number in range(3)]
        for each in leavers:
            each.join(refs[0])
        agree(sim, refs)
        postman = accomplice(sim, refs[0], refs, "postman")
        base = journal_of(refs[0]).graph.heads
        made: list[SealedCommit] = []
        for each in leavers:
            leave = each.draft(RemoveEntry(each.device), parents=base)
            made += [each.make(leave, keep=False)]
            made += [each.make(each.draft(RemoveEntry(each.device), parents=base, wall=1))]
            made += [
                each.make(each.draft(TurnEntry(enter("beside")), parents=base, backlink=None))
            ]
        _deliver(refs, postman, made)
        refs[1].tell(Shared.enter, "honest", 1)
        agree(sim, refs)
        for ref in refs:
            authority = journal_of(ref).authority
            assert authority is not None
            claim(len(authority.removals()) == 6, "each self-removal is in force")
            claim(not {e.device for e in leavers} & {*_members(ref)}, "who left is gone")
            claim(set(lines(ref)) == {"honest"}, "what was beside it is hidden")
