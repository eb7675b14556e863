"""Short codes: guessed, overheard, used twice, and told to somebody whose clock is off."""

from __future__ import annotations

from typing import Any

import pytest

from comity.base.errors import LinkError, Reason, UsageError
from comity.base.ids import Topic
from comity.log.entries import Role
from comity.node import codes as codes_module
from comity.node import commands
from comity.node.codes import Codes
from comity.protocol.pairing import Code, slot_secret
from comity.wire import records
from comity_chaos.scene import Part
from comity_chaos.sim import Sim, SimRef
from tests.attacks.attacker import Attacker
from tests.attacks.claims import agree, always, attack, both, claim, expel, journal_of
from tests.node.ledger import Ledger

_YEAR_MS = 365 * 24 * 3600 * 1000


def _members(ref: SimRef[Any]) -> dict[Any, Role]:
    authority = journal_of(ref).authority
    assert authority is not None
    return authority.members()


def _wrong(code: Code) -> Code:
    return Code(code.slot, ((code.words[0] + 1) % 2048, code.words[1]))


@both
def test_a_wrong_code_thrice(*, defended: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three tries are all there are: the fourth fails though it is right."""
    if not defended:
        monkeypatch.setattr(codes_module, "PAIR_TRIES", 1000)
    breaks = "a fourth try"
    with (
        attack(defended=defended, breaks=breaks),
        Sim(seed=2501, nodes=4, crypto="sodium") as sim,
    ):
        a, b = sim.share(Ledger, on=2)
        code = sim.code(a)
        for _ in range(3):
            with pytest.raises(UsageError, match="this is not the code"):
                sim.pair(sim.nodes[2], a, _wrong(code))
        try:
            sim.pair(sim.nodes[3], a, code)
        except UsageError as refused:
            claim("was tried 3 times" in str(refused), "whom it was meant for is told why")
        else:
            claim(holds=False, what="a fourth try is refused")
        agree(sim, [a, b])
        claim(len(_members(a)) == 2, "nobody joined")


@both
def test_a_code_used_twice(*, defended: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A code lets one device in, with the role that it was made for; the second learns it."""
    if not defended:
        monkeypatch.setattr(Codes, "used", always(answer=()))
    breaks = "a code lets one device in"
    with (
        attack(defended=defended, breaks=breaks),
        Sim(seed=2502, nodes=4, crypto="sodium") as sim,
    ):
        a, b = sim.share(Ledger, on=2)
        code = sim.code(a, Role.READER)
        topic = sim.pair(sim.nodes[2], a, code)
        claim(topic == a.topic, "the first is let in")
        try:
            sim.pair(sim.nodes[3], a, code)
        except (UsageError, LinkError):
            pass
        else:
            claim(holds=False, what="a code lets one device in")
        agree(sim, [a, b])
        device = sim.nodes[2].running()[0].device
        claim(_members(b)[device] is Role.READER, "as what it was invited")
        claim(len(_members(a)) == 3, "two and the newcomer")
        expel(sim, a, device)
        agree(sim, [a, b])
        claim(len(_members(b)) == 2, "and can be removed")


def test_answers_do_not_repeat() -> None:
    """The same try twice gets two shares and proofs: nothing to test further guesses with."""
    with Sim(seed=2503, nodes=1, crypto="sodium") as sim:
        (a,) = sim.share(Ledger)
        code = sim.code(a)
        heard: list[records.PairAnswer] = []
        for name in ("mallory", "trent"):
            attacker = Attacker(sim, name)
            line = attacker.call(a, seed=slot_secret(code.slot))
            attacker.say(line, records.PairShare(bytes([9]) + bytes(31)))
            sim.run(1)
            heard += [r for _, r in attacker.heard if isinstance(r, records.PairAnswer)]
        first, second = heard
        assert first.share != second.share
        assert first.proof != second.proof


def test_bad_shares_are_tries_that_tell_nothing() -> None:
    """Shares of low order and beyond the prime are refused, and count."""
    with Sim(seed=2504, nodes=1, crypto="sodium") as sim:
        (a,) = sim.share(Ledger)
        code = sim.code(a)
        said: list[Reason] = []
        for index, share in enumerate((bytes(32), b"\xff" * 32, b"\1" + bytes(31), bytes(32))):
            attacker = Attacker(sim, f"mallory{index}")
            line = attacker.call(a, seed=slot_secret(code.slot))
            attacker.say(line, records.PairShare(share))
            sim.run(1)
            said += [r.reason for _, r in attacker.heard if isinstance(r, records.Refusal)]
            assert not [r for _, r in attacker.heard if isinstance(r, records.PairAnswer)]
        assert said == [Reason.MALFORMED] * 3 + [Reason.INVITE_USED]


def test_an_answer_to_no_code_ends_the_session() -> None:
    """Nobody is paired unasked."""
    with Sim(seed=2505, nodes=2) as sim:
        refs = sim.share(Ledger)
        attacker = Attacker(sim)
        line = attacker.call(refs[0])
        attacker.say(line, records.PairAnswer(bytes(32), bytes(16)))
        sim.run(1)
        assert line.over
        again = attacker.call(refs[0])
        attacker.say(again, records.PairShare(bytes(32)))
        sim.run(1)
        heard = [r for _, r in attacker.heard if isinstance(r, records.Refusal)]
        assert [each.reason for each in heard] == [Reason.INVITE_UNKNOWN]
        agree(sim, refs)


@pytest.mark.parametrize("years", [-10, 10])
def test_clocks_off_by_ten_years(years: int) -> None:
    """Links and codes work between clocks that are ten years apart, either way."""
    with Sim(seed=2506, nodes=4, crypto="sodium") as sim:
        a, b = sim.share(Ledger, on=2, roles=(Role.ADMIN,))
        sim.nodes[1].clock.jump(years * _YEAR_MS)
        assert sim.pair(sim.nodes[2], b, sim.code(b)) == a.topic
        assert sim.join(sim.nodes[3], sim.invite(b)) == a.topic
        agree(sim, [a, b])
        assert len(_members(a)) == 4


def test_a_code_ends_after_ten_minutes() -> None:
    """It works until then, and not after; another may be made."""
    with Sim(seed=2507, nodes=3, crypto="sodium") as sim:
        (a,) = sim.share(Ledger, on=1)
        late = sim.code(a)
        sim.run(601)
        with pytest.raises((LinkError, UsageError)):
            sim.pair(sim.nodes[1], a, late)
        soon = sim.code(a)
        sim.run(590)
        assert sim.pair(sim.nodes[1], a, soon) == a.topic


@pytest.mark.parametrize("host", [0, 1])
def test_those_who_share_something_already_pair_for_another_actor(host: int) -> None:
    """An open session between the two does not get in the way of the one that pairs."""
    with Sim(seed=2508, nodes=2, crypto="sodium") as sim:
        refs = sim.share(Ledger)
        node, guest = sim.nodes[host], sim.nodes[1 - host]
        found = sim._command(node, lambda t: commands.Create(t, refs[0].actor_type.name))
        assert isinstance(found, bytes)
        ref: SimRef[Ledger] = SimRef(sim, Part(node, Topic(found), refs[0].actor_type))
        sim.run(5)
        assert sim.pair(guest, ref, sim.code(ref)) == ref.topic
        agree(sim, refs)
