"""Turns that claim to answer a message of somebody else's. PROTOCOL 12: 27."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from comity.authority.causes import Causes, handover_claim
from comity.base.ids import DeviceId
from comity.log.build import SealedCommit
from comity.log.entries import Cause, TurnEntry
from comity_chaos.sim import Sim, SimRef
from tests.attacks.attacker import Attacker, accomplice, stage
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

_SEED = bytes([77]) * 32
"""Of the sender: a device that holds no replica, and takes no part in the actor."""


def sent_to(who: Attacker, number: int) -> Cause:
    """Return the cause of a message that the sender sent to a device first."""
    return Cause(DeviceId(who.crypto.sign_public(_SEED)), who.device, number)


def handed(cause: Cause, to: Attacker) -> Cause:
    """Return it as the sender has handed it over."""
    assert to.topic is not None
    signature = to.crypto.sign(_SEED, handover_claim(to.topic, cause, to.device))
    return Cause(cause.sender, cause.recipient, cause.edge_seq, signature)


def answer(who: Attacker, name: str, cause: Cause, *, below: bytes = b"") -> SealedCommit:
    """Make the turn by which a device answers; below: grind until the id is smaller."""
    draft = who.draft(TurnEntry(enter(name), cause))
    if not below:
        return who.make(draft)
    for wall in range(draft.wall, draft.wall + 10_000):
        trial = who.make(who.draft(TurnEntry(enter(name), cause), wall=wall), keep=False)
        if trial.id < below:
            who.last = trial.id
            return trial
    raise AssertionError("no such id was found")


def shown(refs: Sequence[SimRef[Ledger]]) -> list[list[str]]:
    """Return the lines that each replica shows."""
    return [sorted(lines(ref)) for ref in refs]


def reload(sim: Sim, ref: SimRef[Ledger]) -> None:
    """Have a node read its log from the disk again."""
    sim.world.crash(ref.node, kept=10**6)
    sim.run(3)
    sim.restart(ref)
    sim.run(3)


@both
def test_27_a_copied_cause_hides_nobodys_turn(
    *, defended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mallory names the cause of a message to Trent first, so that Trent's answer is late."""
    if not defended:
        monkeypatch.setattr(Causes, "_may_answer", always(answer=True))
    breaks = "Trent's answer counts"
    with attack(defended=defended, breaks=breaks), stage(271) as (sim, refs, mallory):
        trent = accomplice(sim, refs[0], refs, "trent")
        for number in range(1, 6):
            cause = sent_to(trent, number)
            copies = [cause, Cause(cause.sender, cause.recipient, number, bytes(64))]
            for place, copied in enumerate(copies):
                stolen = answer(mallory, f"stolen {number} {place}", copied)
                mallory.push(refs[number % 3], [mallory.sent(stolen)])
                agree(sim, refs)
            mine = answer(trent, f"answer {number}", cause)
            trent.push(refs[0], [trent.sent(mine)])
            agree(sim, refs)
        expected = [f"answer {number}" for number in range(1, 6)]
        claim(shown(refs) == [expected] * 3, f"Trent's answer counts: {shown(refs)}")
        reload(sim, refs[2])
        agree(sim, refs)
        claim(shown(refs) == [expected] * 3, f"Trent's answer counts: {shown(refs)}")


@both
def test_27_ground_ids_gain_nothing(*, defended: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mallory answers beside Trent, under an id that is smaller than any tie would want."""
    if not defended:
        monkeypatch.setattr(Causes, "hides", always(answer=False))
        monkeypatch.setattr(Causes, "hidden_in", always(answer=()))
    breaks = "only Trent's answer counts"
    with attack(defended=defended, breaks=breaks), stage(272) as (sim, refs, mallory):
        trent = accomplice(sim, refs[0], refs, "trent")
        cause = sent_to(trent, 1)
        mine = answer(trent, "answer", cause)
        stolen = answer(mallory, "stolen", cause, below=mine.id)
        mallory.push(refs[1], [mallory.sent(stolen)])
        trent.push(refs[2], [trent.sent(mine)])
        agree(sim, refs)
        claim(shown(refs) == [["answer"]] * 3, f"only Trent's answer counts: {shown(refs)}")


@both
@pytest.mark.parametrize("first", ["original", "handed"])
def test_27_of_a_message_that_was_handed_over_the_original_counts(
    first: str, *, defended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both devices ran it, neither knew of the other; once all know, one effect is left."""
    if not defended:
        monkeypatch.setattr(Causes, "hides", always(answer=False))
        monkeypatch.setattr(Causes, "hidden_in", always(answer=()))
    breaks = "one effect"
    with attack(defended=defended, breaks=breaks), stage(273) as (sim, refs, mallory):
        trent = accomplice(sim, refs[0], refs, "trent")
        cause = sent_to(trent, 1)
        second = answer(mallory, "handed", handed(cause, mallory))
        made = {
            "original": (trent, answer(trent, "original", cause)),
            "handed": (mallory, second),
        }
        who, commit = made.pop(first)
        who.push(refs[0], [who.sent(commit)])
        agree(sim, refs)
        claim(shown(refs) == [[first]] * 3, f"the first one counts: {shown(refs)}")
        ((who, commit),) = made.values()
        who.push(refs[1], [who.sent(commit)])
        agree(sim, refs)
        claim(shown(refs) == [["original"]] * 3, f"one effect is left: {shown(refs)}")
        for ref in refs:  # what a stored state is brought up to date by says the same
            journal = journal_of(ref)
            hidden = journal.visibility.hidden_among(len(journal.graph))
            ids = [journal.graph.id_of(commit) for commit, _ in hidden]
            claim(ids == [second.id], "one effect is left, of a stored state as well")
        reload(sim, refs[1])
        agree(sim, refs)
        claim(shown(refs) == [["original"]] * 3, f"one effect is left: {shown(refs)}")
        refs[0].tell(Ledger.enter, "later", 1)
        agree(sim, refs)
        claim(shown(refs) == [["later", "original"]] * 3, "and others go on from it")


@both
def test_27_whoever_knows_that_it_was_answered_answers_no_more(
    *, defended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The handed answer is in the original's past: the original is no-op, and stays so."""
    if not defended:
        monkeypatch.setattr(Causes, "_is_in", always(answer=False))
    breaks = "was answered"
    with attack(defended=defended, breaks=breaks), stage(274) as (sim, refs, mallory):
        trent = accomplice(sim, refs[0], refs, "trent")
        cause = sent_to(trent, 1)
        second = answer(mallory, "handed", handed(cause, mallory))
        mallory.push(refs[0], [mallory.sent(second)])
        agree(sim, refs)
        late = answer(trent, "late", cause)
        trent.push(refs[0], [trent.sent(late)])
        agree(sim, refs)
        claim(shown(refs) == [["handed"]] * 3, f"what was answered stays: {shown(refs)}")


@both
def test_27_a_hand_over_is_for_one_device_one_actor_and_one_message(
    *, defended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mallory shows one that was made for another device, or for another message."""
    if not defended:
        monkeypatch.setattr(Causes, "_may_answer", always(answer=True))
    breaks = "nothing of it counts"
    with attack(defended=defended, breaks=breaks), stage(275) as (sim, refs, mallory):
        trent = accomplice(sim, refs[0], refs, "trent")
        ursula = accomplice(sim, refs[0], refs, "ursula")
        cause = sent_to(trent, 1)
        for_ursula = handed(cause, ursula)
        for_mallory = handed(cause, mallory)
        other = Cause(cause.sender, cause.recipient, 2, for_mallory.handover)
        for place, copied in enumerate((for_ursula, other)):
            stolen = answer(mallory, f"stolen {place}", copied)
            mallory.push(refs[0], [mallory.sent(stolen)])
            agree(sim, refs)
        claim(shown(refs) == [[]] * 3, f"nothing of it counts: {shown(refs)}")
