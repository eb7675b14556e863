"""Random Byzantine members, delivery orders and crashes end in one state. PROTOCOL 12: 14."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

from comity.base.ids import CommitId, DeviceId
from comity.log.build import SealedCommit
from comity.log.entries import (
    AddEntry,
    AdoptEntry,
    Entry,
    PrekeyEntry,
    RemoveEntry,
    Role,
    TurnEntry,
    UndoEntry,
    UnknownEntry,
)
from comity.log.inner import CommitGrant, Grant
from comity.node import rows
from comity.node.beats import Beats
from comity.node.effects import Table
from comity.node.journal import Checked, Hand, Journal
from comity.node.prekeys import OwnPrekeys
from comity_chaos.sim import Sim, SimRef
from tests.attacks.attacker import Attacker, accomplice
from tests.attacks.claims import (
    agree,
    always,
    attack,
    both,
    claim,
    enter,
    journal_of,
    lines,
)
from tests.node.ledger import Ledger

_COMMITS = 36


class _Chaos:
    """A handful of attackers who build on one another's commits, at random."""

    def __init__(
        self, rng: random.Random, attackers: Sequence[Attacker], honest: list[DeviceId]
    ) -> None:
        """Share all that is forged among the attackers."""
        self.rng = rng
        self.attackers = attackers
        self.honest = honest
        self.made: list[SealedCommit] = []
        self.good: list[SealedCommit] = []
        self.shadow = _shadow(attackers[0])
        self.past: dict[CommitId, frozenset[CommitId]] = {}
        self.grants: dict[DeviceId, list[Grant]] = {}
        for each in attackers:
            assert each.auth is not None
            self.grants[each.device] = [each.auth]
            each._facts, each._gens = attackers[0]._facts, attackers[0]._gens

    def before(self, commit: CommitId) -> frozenset[CommitId]:
        """Return the past of a commit, itself included."""
        if commit not in self.past:
            graph = self.attackers[0].journal.graph
            index = graph.index_of(commit)
            assert index is not None
            inside = graph.difference(before=(), after=(index,))
            self.past[commit] = frozenset(map(graph.id_of, inside))
        return self.past[commit]

    def parents(self, base: Sequence[CommitId]) -> tuple[CommitId, ...]:
        """Choose commits of which none follows another, seldom one that was refused."""
        made = self.made if self.rng.randrange(20) == 0 else self.good
        pool = [*base, *(each.id for each in made)]
        chosen = self.rng.sample(pool, min(len(pool), self.rng.choice((1, 1, 2, 3))))
        return tuple(
            sorted(
                each
                for each in chosen
                if not any(each != o and each in self.before(o) for o in chosen)
            )
        )

    def entry(self, author: Attacker) -> Entry:
        """Choose what to say."""
        rng = self.rng
        someone = rng.choice([*(each.device for each in self.attackers), *self.honest])
        match rng.randrange(10):
            case 0 | 1:
                fresh = DeviceId(rng.randbytes(32))
                device = rng.choice([fresh, someone])
                return AddEntry(device, rng.choice(list(Role)), rng.randbytes(32))
            case 2 | 3:
                return RemoveEntry(someone)
            case 4 if self.made:
                return AdoptEntry(rng.choice(self.made).id)
            case 5:
                return RemoveEntry(author.device)
            case 6:
                odd: list[Entry] = [
                    PrekeyEntry(rng.randbytes(32)),
                    UnknownEntry(77, b"?"),
                    UndoEntry(CommitId(bytes(32)), 0),
                ]
                return rng.choice(odd)
            case _:
                return TurnEntry(enter(f"{author.device.hex()[:2]} {len(self.made)}"))

    def step(self, base: Sequence[CommitId]) -> None:
        """Let one attacker make one commit; one in 25 lies about its place."""
        rng = self.rng
        author = rng.choice(self.attackers)
        parents = self.parents(base)
        inside = frozenset[CommitId]().union(*map(self.before, parents))
        own = [
            each
            for each in inside
            if each in author._facts and author._facts[each].author == author.device
        ]
        own.sort(key=lambda each: (author._facts[each].seq, each))
        lie = rng.randrange(25) == 0
        entry = self.entry(author)
        draft = author.draft(
            entry,
            parents=parents,
            backlink=own[-1] if own and rng.randrange(12) else None,
            auth=rng.choice(self.grants[author.device]),
            epoch=_root(author),
            gen=rng.choice((1, 99)) if lie else None,
            wall=len(self.made),
        )
        made = author.make(draft, keep=False)
        self.made.append(made)
        self.past[made.id] = inside | {made.id}
        checked = self.shadow.examine(author.sent(made))
        if not isinstance(checked, Checked):
            return
        self.shadow.insert(checked, None)
        self.good.append(made)
        if isinstance(entry, AddEntry) and entry.device in self.grants:
            self.grants[entry.device].append(CommitGrant(made.id))


def _shadow(attacker: Attacker) -> Journal:
    """Return a journal of the attackers' own, with all that the spy holds."""
    assert attacker.spy is not None
    assert attacker.topic is not None
    hand = Hand(attacker.signer, OwnPrekeys(attacker.prekey), attacker.entropy)
    name = attacker.journal.actor_type
    journal = Journal(
        attacker.topic, hand, actor_type=name, grant=b"", on_insert=always(answer=None)
    )
    disk = attacker.spy.node.disk
    for key, value in disk.table(Table.EPOCH):
        journal.learn_key(rows.split_epoch_key(key)[1], value, None)
    for _, value in disk.table(Table.COMMIT):
        checked = journal.examine(rows.decode_commit(value), trusted=True)
        assert isinstance(checked, Checked)
        journal.insert(checked, None)
    return journal


def _root(author: Attacker) -> CommitId:
    """Return the first epoch: it lies in every past."""
    return author.journal.graph.id_of(0)


def _happen(sim: Sim, refs: Sequence[SimRef[Any]], rng: random.Random, number: int) -> None:
    """Let something honest or unfortunate happen."""
    ref = rng.choice(refs)
    match rng.randrange(4):
        case 0:
            sim.crash(ref)
            sim.run(rng.random())
            sim.restart(ref)
        case 1:
            ref.tell(Ledger.enter, f"honest {number}", 1)
        case 2:
            sim.cut(*refs)
            sim.run(rng.random())
            sim.world.heal()
        case _:
            pass
    sim.run(rng.random())


def _byzantine(seed: int) -> None:
    rng = random.Random(seed)
    with Sim(seed=seed) as sim:
        refs = sim.share(Ledger)
        postman = Attacker(sim, "postman")
        postman.join(refs[0])
        attackers: list[Attacker] = []
        for number, role in enumerate((Role.ADMIN, Role.ADMIN, Role.WRITER)):
            each = Attacker(sim, f"attacker {number}")
            each.join(refs[0], role)
            agree(sim, refs)
            attackers.append(each)
        attackers[0].spy = refs[0]
        postman.connect(*refs)
        base = journal_of(refs[0]).graph.heads
        chaos = _Chaos(rng, attackers, [ref.node.running()[0].device for ref in refs])
        for _ in range(_COMMITS):
            chaos.step(base)
        waiting = {ref.node.index: rng.sample(chaos.made, len(chaos.made)) for ref in refs}
        rounds = 0
        while any(waiting.values()):
            for ref in refs:
                order = waiting[ref.node.index]
                count = min(len(order), rng.choice((0, 3, 7)))
                batch = [order.pop() for _ in range(count)]
                if batch:
                    postman.push(ref, map(postman.sent, batch))
            _happen(sim, refs, rng, rounds)
            rounds += 1
            postman.connect(*refs)
        for ref in refs:
            postman.push(ref, map(postman.sent, chaos.made))
        agree(sim, refs, minutes=10)
        for number, ref in enumerate(refs):
            claim(
                ref.node.running()[0].device in journal_of(ref).authority.members(),  # type: ignore[union-attr]
                "no honest member is removed by those below",
            )
            ref.tell(Ledger.enter, f"last {number}", 1)
        agree(sim, refs)
        shown = lines(refs[0])
        claim(all(f"last {n}" in shown for n in range(3)), "nothing honest is hidden")


@pytest.mark.parametrize("seed", range(700, 704))
def test_14_random_byzantine_graphs(seed: int) -> None:
    """Any forged graph, in any order, with crashes: the same members and state bytes."""
    _byzantine(seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(710, 910))
def test_14_many_random_byzantine_graphs(seed: int) -> None:
    """The same, for as long as one likes to wait."""
    _byzantine(seed)


@both
def test_14_what_was_shown_is_taken_back(
    *, defended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without taking back what was folded before its removal came, the order would show."""
    if not defended:
        monkeypatch.setattr(Beats, "_flip", always(answer=None))
    breaks = "the honest replicas agree"
    with attack(defended=defended, breaks=breaks), Sim(seed=720) as sim:
        refs = sim.share(Ledger)
        boss = Attacker(sim, "boss")
        boss.join(refs[0], Role.ADMIN)
        agree(sim, refs)
        boss.connect(*refs)
        minion = accomplice(sim, refs[0], refs, "minion")
        minion.join(refs[0])
        gift = boss.make(boss.draft(AddEntry(minion.device, Role.WRITER, minion.prekey.public)))
        minion._facts, minion._gens = boss._facts, boss._gens
        turn = minion.turn("late", parents=(gift.id,), auth=CommitGrant(gift.id))
        strike = boss.make(boss.draft(RemoveEntry(minion.device), parents=(gift.id,)))
        sim.cut(*refs)
        boss.push(refs[0], map(boss.sent, (gift, turn)))
        boss.push(refs[1], map(boss.sent, (gift, strike)))
        sim.run(2)
        claim("late" in lines(refs[0]), "it is shown while nobody knows of the removal")
        sim.heal()
        agree(sim, refs)
        claim("late" not in lines(refs[0]), "it is taken back")
