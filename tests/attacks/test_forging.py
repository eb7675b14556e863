"""Commits that lie about author, place or bytes. PROTOCOL 12: 1 to 5, 26."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest

from comity.base.errors import Reason, Rejected
from comity.base.ids import CommitId, DeviceId
from comity.crypto.sodium import Sodium
from comity.log import inner as inner_module
from comity.log import structure as structure_module
from comity.log.build import SealedCommit
from comity.log.entries import AddEntry, Role, TurnEntry
from comity.log.graph import Graph
from comity.log.inner import CommitGrant, Inner
from comity.log.seal import ContentKey, seal, sign_beside, unmask
from comity.log.sealed import Sealed, assemble, clear_data, commit_id, parse
from comity.node import journal as journal_module
from comity.node.arrivals import Arrival
from comity.node.links import Links
from comity.node.replica import Replica, Source
from comity.node.step import Step
from comity.wire.records import Commit
from comity_chaos.sim import SimRef
from tests.attacks.attacker import Attacker, stage
from tests.attacks.claims import (
    agree,
    always,
    attack,
    both,
    claim,
    enter,
    journal_of,
    lines,
    refusal_of,
)
from tests.attacks.layouts import OUTER, inner_layouts
from tests.node.ledger import Ledger


def _equivocate(seed: int, variants: int) -> None:
    with stage(seed) as (sim, refs, mallory):
        first = mallory.turn("first")
        made = [
            mallory.make(
                mallory.draft(
                    TurnEntry(enter(f"variant {number}")),
                    parents=(first.id,),
                    backlink=first.id,
                ),
                keep=False,
            )
            for number in range(variants)
        ]
        keyed = sim.world.keyed
        for place, ref in enumerate(refs):
            mine = [c for n, c in enumerate(made) if keyed.below(3, "whom", n) in {place, 2}]
            order = sorted(range(len(mine)), key=lambda n: keyed.below(1 << 30, "order", n))
            mallory.push(ref, [mallory.sent(first), *(mallory.sent(mine[n]) for n in order)])
        refs[1].tell(Ledger.enter, "honest", 1)
        agree(sim, refs)
        for ref in refs:
            claim(len(lines(ref)) == variants + 2, "every variant and every honest turn shows")
            forks = journal_of(ref).graph.forks
            claim(list(forks) == [mallory.device], "one evidence is kept, against the forker")
            told = [report for report in ref.node.reports if report.what == "fork"]
            claim([each.device for each in told] == [mallory.device], "its owner is told once")


def _first_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patch tolerance of forks out: the first commit with a number is the only one."""
    judge = structure_module.check_structure

    def strict(graph: Graph, inner: Inner, sealed: Sealed) -> Rejected | None:
        last = graph.last_of(inner.author, graph.version)
        if last and graph.seq_of(last[-1]) >= inner.seq:
            return Rejected(Reason.WRONG_SEQ, "a second commit with this number")
        return judge(graph, inner, sealed)

    monkeypatch.setattr(journal_module, "check_structure", strict)


@both
def test_01_equivocation(*, defended: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many bodies with one number, other ones to each victim: all converge, one evidence."""
    if not defended:
        _first_wins(monkeypatch)
    with attack(defended=defended, breaks="the honest replicas agree"):
        _equivocate(seed=101, variants=60)


@pytest.mark.soak
def test_01_equivocation_in_a_thousand_variants() -> None:
    """The same with the number that the protocol names."""
    _equivocate(seed=102, variants=1000)


@both
def test_02_a_bad_copy_first(*, defended: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Garbage beside a good commit, delivered first, does not keep the right copy out."""
    if not defended:
        _remember_bad_copies(monkeypatch)
    breaks = "the honest replicas agree"
    with attack(defended=defended, breaks=breaks), stage(103) as (sim, refs, mallory):
        a, b, c = refs
        sim.cut(c, [a, b])
        b.tell(Ledger.enter, "good", 1)
        known = len(mallory.library)
        assert sim.world.wait_for(lambda: len(mallory.library) > known, 10**10)  # type: ignore[arg-type]
        commit, right = list(mallory.library.items())[-1]
        mallory.push(c, [Commit(right.sealed, bytes(64)), Commit(right.sealed, b"\xff" * 64)])
        sim.run(1)
        claim(refusal_of(c, commit) is Reason.BAD_SIGNATURE, "a bad copy is refused")
        mallory.push(c, [_with_other_nonce(mallory, right)])
        sim.heal()
        agree(sim, refs)
        claim(lines(c) == {"good": 1}, "the right copy is taken")
        said = [refusal_of(c, each) for each in _refused_ids(c) if each != commit]
        claim(Reason.WRONG_NONCE in said, "another nonce is another commit, and refused")


def _refused_ids(ref: SimRef[Ledger]) -> list[CommitId]:
    desk = ref.node.running()[0]._desk
    assert desk is not None
    return [kept.commit for kept in desk.refusals.newest(100) if kept.commit is not None]


def _with_other_nonce(mallory: Attacker, commit: Commit) -> Commit:
    """Seal what a commit holds once more, under another nonce."""
    sealed = parse(commit.sealed)
    assert isinstance(sealed, Sealed)
    journal = mallory.journal
    ((_, key),) = journal.epochs.matching(sealed.epoch)
    aad = key.topic + sealed.clear
    plain = mallory.crypto.open(key.sealing, sealed.nonce, sealed.cipher, aad)
    assert plain is not None
    nonce = bytes(24)
    cipher = mallory.crypto.seal(key.sealing, nonce, plain, aad)
    return Commit(assemble(sealed.clear, nonce, cipher), commit.beside)


def _remember_bad_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patch out that a signature is never remembered by id."""
    take = Replica._arrived
    bad: dict[tuple[int, CommitId], None] = {}

    def forgetful(self: Replica, step: Step, arrival: Arrival, source: Source) -> None:
        name = id(self), arrival.id
        if name in bad:
            return
        take(self, step, arrival, source)
        if self.journal.graph.index_of(name[1]) is None:
            bad[name] = None

    monkeypatch.setattr(Replica, "_arrived", forgetful)


# 3: signatures that libraries disagree about

_SMALL_ORDER: Final = {
    "the neutral element": bytes([1]) + bytes(31),
    "order 2": bytes([0xEC]) + b"\xff" * 30 + b"\x7f",
    "order 4": bytes(32),
    "order 8": bytes.fromhex(
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"
    ),
    "order 8, not canonical": bytes([0xEE]) + b"\xff" * 30 + b"\xff",
}
"""Keys for which a signature of zeros holds for any message, for who multiplies by eight."""


def _cofactored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Verify as the letter of RFC 8032 allows: eight times such a key is zero."""
    verify = Sodium.verify
    zeros = _SMALL_ORDER["the neutral element"] + bytes(32)

    def lenient(self: Sodium, public: bytes, message: bytes, signature: bytes) -> bool:
        small = public in _SMALL_ORDER.values() and signature == zeros
        return small or verify(self, public, message, signature)

    monkeypatch.setattr(Sodium, "verify", lenient)


@both
def test_03_a_key_that_signs_everything(
    *, defended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No library may take a signature that another refuses: one in whose name all could write.

    The speccheck row `XXXVXXXXXXXX` of the vectors says so of single signatures; this is what
    the first of its rows would be good for.
    """
    if not defended:
        _cofactored(monkeypatch)
    breaks = "is refused everywhere"
    admin = Role.ADMIN
    with (
        attack(defended=defended, breaks=breaks),
        stage(103, role=admin, crypto="sodium") as (sim, refs, mallory),
    ):
        forged: dict[str, CommitId] = {}
        for name, point in _SMALL_ORDER.items():
            ghost = DeviceId(point)
            added = mallory.make(
                mallory.draft(AddEntry(ghost, Role.WRITER, mallory.prekey.public))
            )
            draft = mallory.draft(
                TurnEntry(enter(name)),
                parents=(added.id,),
                backlink=None,
                auth=CommitGrant(added.id),
                author=ghost,
            )
            made = mallory.make(draft, keep=False)
            key = ContentKey(mallory.journal.topic, draft.key)
            zeros = unmask(key, made.id, _SMALL_ORDER["the neutral element"] + bytes(32))
            forged[name] = made.id
            for ref in refs:
                mallory.push(ref, [mallory.sent(added), Commit(made.sealed, zeros)])
            sim.run(1)
        for name, commit in forged.items():
            said = {refusal_of(ref, commit) for ref in refs}
            claim(said == {Reason.BAD_SIGNATURE}, f"'{name}' is refused everywhere: {said}")
        refs[1].tell(Ledger.enter, "honest", 1)
        agree(sim, refs)
        claim(set(lines(refs[0])) == {"honest"}, "nothing of it shows")


# 4: layouts


def _sealed(mallory: Attacker, plain: bytes) -> Commit:
    """Seal and sign an inner part as it is."""
    draft = mallory.draft()
    assert mallory.topic is not None
    assert draft.epoch is not None
    key = ContentKey(mallory.topic, draft.key)
    gen = 1 + max(map(mallory.gen, draft.parents))
    sealed = seal(mallory.crypto, key, clear_data(gen, draft.epoch), plain)
    identifier = commit_id(mallory.topic, sealed)
    return Commit(sealed, sign_beside(mallory.crypto, key, mallory.seed, identifier))


@both
def test_04_malformed_layouts(*, defended: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each wrong layout is refused for the same reason everywhere, and stops nobody."""
    if not defended:
        monkeypatch.setattr(inner_module, "_misplaced", always(answer=""))
    breaks = "is refused everywhere|node . failed"
    with attack(defended=defended, breaks=breaks), stage(104) as (sim, refs, mallory):
        assert mallory.topic is not None
        good = mallory.make(mallory.draft(TurnEntry(enter("outer"))), keep=False)
        wrong = {
            name: Commit(change(good.sealed), good.beside) for name, change in OUTER.items()
        }
        assert isinstance(mallory.auth, CommitGrant)
        inner = inner_layouts(mallory.device, mallory.auth.commit, mallory.journal.graph)
        wrong |= {name: _sealed(mallory, plain) for name, plain in inner.items()}
        for ref in refs:
            for commit in wrong.values():
                mallory.push(ref, [commit])
        sim.run(3)
        for name, commit in wrong.items():
            identifier = commit_id(mallory.topic, commit.sealed)
            said = [refusal_of(ref, identifier) for ref in refs]
            claim(None not in said and len({*said}) == 1, f"'{name}' is refused everywhere")
        for place, ref in enumerate(refs):
            ref.tell(Ledger.enter, f"honest {place}", 1)
        agree(sim, refs)
        claim(len(lines(refs[0])) == len(refs), "nothing of it shows, all that is honest does")
        claim(all(line.open for line in mallory.lines.values()), "a commit ends no session")


@both
def test_04_what_is_no_record(*, defended: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that are no batch end the session that they came over, and nothing else."""
    if not defended:
        monkeypatch.setattr(Links, "refuse", always(answer=None))
    breaks = "the session is over"
    with attack(defended=defended, breaks=breaks), stage(105) as (sim, refs, mallory):
        for number, raw in enumerate((b"\xff" * 100, b"\x0a\x01\x00", bytes(70_000))):
            line = mallory.line_to(refs[0])
            mallory.say_raw(line, raw)
            sim.run(1)
            claim(bool(line.over), "the session is over")
            refs[1].tell(Ledger.enter, str(number), 1)
        agree(sim, refs)
        claim(len(lines(refs[0])) == 3, "the others go on")


@both
def test_05_lies_about_place(*, defended: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong gen, foreign or future backlinks, parents that follow one another: all refused."""
    if not defended:
        monkeypatch.setattr(journal_module, "check_structure", always(answer=None))
    breaks = "is refused everywhere|the invariants hold"
    with attack(defended=defended, breaks=breaks), stage(106) as (sim, refs, mallory):
        a, b, _ = refs
        b.tell(Ledger.enter, "honest", 1)
        agree(sim, refs)
        first = mallory.turn("first")
        second = mallory.turn("second", parents=(first.id,))
        graph = journal_of(a).graph
        of_b = graph.heads[0]
        old = graph.id_of(0)

        def lie(**changes: Any) -> SealedCommit:
            changes = {"parents": (second.id,), **changes}
            draft = mallory.draft(TurnEntry(enter("lie")), **changes)
            return mallory.make(draft, keep=False)

        truth = mallory.gen(second.id) + 1
        lies = {
            "gen too small": (lie(gen=truth - 1), Reason.WRONG_GEN),
            "gen too large": (lie(gen=truth + 1), Reason.WRONG_GEN),
            "gen at its end": (lie(gen=(1 << 64) - 1), Reason.WRONG_GEN),
            "a backlink beside its past": (
                lie(parents=(of_b,), backlink=second.id),
                Reason.WRONG_BACKLINK,
            ),
            "a backlink of another": (
                lie(parents=(of_b,), backlink=of_b, auth=graph.auth_of(graph.version[0])),
                Reason.BAD_SIGNATURE,
            ),
            "parents in a row": (
                lie(parents=(first.id, second.id)),
                Reason.PARENTS_NOT_MINIMAL,
            ),
            "parents with the genesis": (
                lie(parents=(second.id, old)),
                Reason.PARENTS_NOT_MINIMAL,
            ),
        }
        children = {
            name: lie(parents=(made.id,), backlink=made.id) for name, (made, _) in lies.items()
        }
        for ref in refs:
            mallory.push(ref, map(mallory.sent, (first, second)))
            mallory.push(ref, [mallory.sent(made) for made, _ in lies.values()])
            mallory.push(ref, map(mallory.sent, children.values()))
        agree(sim, refs)
        for name, (made, reason) in lies.items():
            said = [refusal_of(ref, made.id) for ref in refs]
            claim(said == [reason] * len(refs), f"'{name}' is refused everywhere: {said}")
            if reason is not Reason.BAD_SIGNATURE:
                said = [refusal_of(ref, children[name].id) for ref in refs]
                claim({*said} == {Reason.PARENT_REJECTED}, f"what follows '{name}' is too")
        claim(set(lines(a)) == {"honest", "first", "second"}, "the truth shows, and no lie")


@both
def test_26_in_anothers_name(*, defended: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commits sealed in an honest member's name block nothing and are no evidence."""
    if not defended:
        monkeypatch.setattr(journal_module, "verify_beside", always(answer=None))
    breaks = "no evidence"
    with attack(defended=defended, breaks=breaks), stage(107) as (sim, refs, mallory):
        a, b, c = refs
        b.tell(Ledger.enter, "mine", 1)
        agree(sim, refs)
        graph = journal_of(a).graph
        last = graph.id_of(journal_of(b).own_last or 0)
        victim = b.node.running()[0].device
        forged: list[SealedCommit] = []
        for number in range(40):
            draft = mallory.draft(TurnEntry(enter(f"forged {number}")), backlink=last)
            named = replace(
                draft, author=victim, auth=graph.auth_of(journal_of(b).own_last or 0)
            )
            forged.append(mallory.make(named, keep=False))
        for ref in (a, c, b):
            mallory.push(ref, map(mallory.sent, forged))
        sim.run(2)
        b.tell(Ledger.enter, "mine too", 1)
        agree(sim, refs)
        for ref in refs:
            claim(not journal_of(ref).graph.forks, "there is no evidence against the victim")
            claim(set(lines(ref)) == {"mine", "mine too"}, "nothing is blocked, nothing shows")
        said = [refusal_of(ref, forged[0].id) for ref in refs]
        claim(said == [Reason.BAD_SIGNATURE] * 3, "each is refused for its signature")
