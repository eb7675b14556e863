"""Replicas that write what the rules of fields forbid: nobody's state shows any of it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import pytest

from comity import UsageError
from comity.actor.actor_type import ActorType
from comity.base.canonical import varint
from comity.base.errors import Reason
from comity.base.ids import DeviceId
from comity.crdt import verdict as verdict_module
from comity.crdt.laws import KeyedLaw
from comity.crdt.rules import MaxLength, encode_rule
from comity.crdt.verdict import RULES_TAG
from comity.log.entries import TurnEntry, UndoEntry
from comity.log.inner import CommitGrant
from comity.node import commands
from comity_chaos.sim import Sim, SimRef
from tests.attacks.attacker import Attacker
from tests.attacks.claims import agree, always, attack, both, claim, command, refusal_of
from tests.attacks.club import Club, Lawless, forged

_LAWLESS = (
    Lawless.overwrite_post,
    Lawless.delete_posts,
    Lawless.move_post,
    Lawless.write_card,
    Lawless.delete_card,
    Lawless.overwrite_note,
    Lawless.delete_note,
    Lawless.set_notice,
    Lawless.shrink,
    Lawless.touch_points,
    Lawless.many_points,
    Lawless.odd_state,
    Lawless.unmark,
)


@contextmanager
def _club(seed: int) -> Generator[tuple[Sim, list[SimRef[Club]], Attacker], None, None]:
    """Let honest nodes write something of every kind, beside an attacker who is a writer."""
    with Sim(seed=seed, nodes=3) as sim:
        refs = sim.share(Club)
        alice = refs[1]
        mallory = Attacker(sim)
        mallory.join(refs[0])
        mallory.connect(*refs)
        agree(sim, refs)
        alice.tell(Club.post, "first")
        alice.tell(Club.post, "second")
        alice.tell(Club.greet, "hello")
        alice.tell(Club.note, "mine", "alice's")
        alice.tell(Club.score, "alice", 1)
        refs[0].tell(Club.announce, "welcome")
        agree(sim, refs)
        claim(alice.state["notes"] == {"mine": "alice's"}, "the honest may write")
        claim(alice.state["notice"] == "welcome", "an admin may write")
        yield sim, refs, mallory


def _device(ref: SimRef[Any]) -> DeviceId:
    return ref.node.running()[0].device


def _state(refs: Sequence[SimRef[Any]]) -> list[Mapping[str, object]]:
    return [{**ref.state} for ref in refs]


def _patch(monkeypatch: pytest.MonkeyPatch, *, defended: bool) -> None:
    if not defended:
        monkeypatch.setattr(verdict_module, "_broken", always(answer=""))


@both
@pytest.mark.parametrize("method", _LAWLESS, ids=lambda each: each.__name__)
def test_a_turn_that_breaks_a_rule_does_nothing(
    method: Callable[..., None], *, defended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every kind of breach, alone: no replica shows it, all say why, its commit stands."""
    _patch(monkeypatch, defended=defended)
    broken = attack(defended=defended, breaks="nothing of it shows")
    with _club(401) as (sim, refs, mallory), broken:
        before = _state(refs)
        made = mallory.make(mallory.draft(TurnEntry(forged(method, _device(refs[1])))))
        mallory.push(refs[2], [mallory.sent(made)])
        agree(sim, refs)
        claim(_state(refs) == before, "nothing of it shows")
        for ref in refs:
            claim(refusal_of(ref, made.id) is Reason.RULE_BROKEN, "it is counted, and why")
        told = command(sim, refs[0], lambda t: commands.ExplainCommit(t, made.id[:8]))
        claim("does nothing" in cast("str", told), "its reason can be asked for")


@both
def test_other_fields_of_the_same_turn_count(
    *, defended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What breaks a rule is a field's operations: versions that lack the field must agree."""
    _patch(monkeypatch, defended=defended)
    with attack(defended=defended, breaks="only what is allowed shows"), _club(402) as all_of:
        sim, refs, mallory = all_of
        free = forged(Lawless.overwrite_note, _device(refs[1]))
        made = mallory.make(mallory.draft(TurnEntry(_with_free(free))))
        mallory.push(refs[0], [mallory.sent(made)])
        agree(sim, refs)
        for ref in refs:
            claim(ref.state["notes"] == {"mine": "alice's"}, "only what is allowed shows")
            claim("forged" in cast("Any", ref.state["free"]), "the rest shows")


def _with_free(operations: bytes) -> bytes:
    """Add a write to a field without rules to a turn with one group."""
    (free,) = [each for each in ActorType.of(Lawless).schema.fields if each.name == "free"]
    body = b"\x04\x06forged\x02"
    group = free.tag + varint(len(body)) + body
    return b"".join(sorted((operations, group)))


@both
def test_backdating_and_forking_do_not_help(
    *, defended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On an old version, or two versions of a turn: what others own is not touched."""
    _patch(monkeypatch, defended=defended)
    with attack(defended=defended, breaks="nothing of it shows"), _club(403) as all_of:
        sim, refs, mallory = all_of
        before = _state(refs)
        assert isinstance(mallory.auth, CommitGrant)
        old = (mallory.auth.commit,)
        alice = _device(refs[1])
        made = [
            mallory.make(
                mallory.draft(TurnEntry(forged(method, alice)), parents=old, backlink=None),
                keep=False,
            )
            for method in (Lawless.write_card, Lawless.set_notice, Lawless.shrink)
        ]
        new = [
            mallory.make(mallory.draft(TurnEntry(forged(method, alice))), keep=False)
            for method in (Lawless.delete_note, Lawless.overwrite_post)
        ]
        mallory.push(refs[0], [mallory.sent(each) for each in (*new, *made)])
        mallory.push(refs[2], [mallory.sent(each) for each in (*made, *new)])
        agree(sim, refs)
        claim(_state(refs) == before, "nothing of it shows")


@both
def test_a_rival_made_at_the_same_time_is_not_a_way_in(
    *, defended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever backdates an entry under another's key owns his own, and not the other's."""
    _patch(monkeypatch, defended=defended)
    with attack(defended=defended, breaks="his entry is not deleted"), _club(404) as all_of:
        sim, refs, mallory = all_of
        assert isinstance(mallory.auth, CommitGrant)
        alice = _device(refs[1])
        rival = mallory.make(
            mallory.draft(
                TurnEntry(forged(Lawless.overwrite_note, alice)),
                parents=(mallory.auth.commit,),
                backlink=None,
            )
        )
        mallory.push(refs[0], [mallory.sent(rival)])
        agree(sim, refs)
        kill = mallory.make(mallory.draft(TurnEntry(forged(Lawless.delete_note, alice))))
        mallory.push(refs[0], [mallory.sent(kill)])
        agree(sim, refs)
        for ref in refs:
            law = cast("KeyedLaw", ref.part.cell.comity_state.laws[2])
            claim("alice's" in law.writes.rivals("mine"), "his entry is not deleted")


@both
def test_rules_are_changed_by_admins_only(
    *, defended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer who empties the rules, or makes others, changes nothing."""
    if not defended:
        monkeypatch.setattr(verdict_module, "ADMIN", 0)
    with attack(defended=defended, breaks="the rules stay"), _club(405) as (sim, refs, mallory):
        before = [ref.part.cell.rules() for ref in refs]
        tags = [each.tag for each in refs[0].actor_type.schema.fields]
        rule = encode_rule(MaxLength(1))
        entries = sorted(varint(4) + tag + varint(len(rule)) + rule for tag in tags[:4])
        body = varint(len(entries) << 2) + b"".join(entries)
        operations = RULES_TAG + varint(len(body)) + body
        made = mallory.make(mallory.draft(TurnEntry(operations)))
        mallory.push(refs[1], [mallory.sent(made)])
        agree(sim, refs)
        claim([ref.part.cell.rules() for ref in refs] == before, "the rules stay")
        claim(refusal_of(refs[2], made.id) is Reason.RULE_BROKEN, "it is told")


@both
def test_undoing_what_others_wrote_is_no_way_round(
    *, defended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A forged undo of the turn that made the rules, or an entry, is not obeyed.

    And what is written where an own deletion was undone is still judged on what was there.
    """
    _patch(monkeypatch, defended=defended)
    with attack(defended=defended, breaks="nothing of it shows"), _club(406) as all_of:
        sim, refs, mallory = all_of
        before = _state(refs)
        graph = mallory.journal.graph
        turns = [
            graph.id_of(index)
            for index in range(len(graph))
            if mallory.journal.turn_count(index)
        ]
        undos = [UndoEntry(commit, 0) for commit in turns]
        mallory.push(refs[0], [mallory.sent(mallory.make(mallory.draft(*undos)))])
        agree(sim, refs)
        lawless = forged(Lawless.set_notice, _device(refs[1]))
        mallory.push(refs[0], [mallory.sent(mallory.make(mallory.draft(TurnEntry(lawless))))])
        agree(sim, refs)
        claim(_state(refs) == before, "nothing of it shows")


def test_an_admin_may_do_what_a_rule_leaves_to_admins_and_entries_stay_their_makers() -> None:
    """An admin moderates; who made an entry, made another's or nobody's, may go on with it."""
    with _club(407) as (sim, refs, _):
        admin, alice, bob = refs
        refused = bob.ask(Club.strike, 0)
        agree(sim, refs)
        with pytest.raises(UsageError, match="somebody else's"):
            _ = refused.value
        admin.tell(Club.strike, 0)
        agree(sim, refs)
        assert bob.state["posts"] == ("second",)
        alice.tell(Club.strike, 0)
        alice.tell(Club.drop, "mine")
        agree(sim, refs)
        bob.tell(Club.note, "mine", "now bob's")
        agree(sim, refs)
        lost = alice.ask(Club.note, "mine", "alice's again")
        agree(sim, refs)
        with pytest.raises(UsageError, match="nothing of this turn is kept"):
            _ = lost.value
        assert admin.state["notes"] == {"mine": "now bob's"}
