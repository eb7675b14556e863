"""Open codes: short codes that this device has shown to somebody, and the tries at each.

Owns: which codes are open, for what, how often each was tried. May not know: how a newcomer is
let in (`node.admission`), words, links.

    open --share--> tried once, twice, three times --10 min--> gone
    open, tried --somebody joined by a seed of it--> gone

Every answer is a try, right or wrong: which it was shows only when somebody joins. Codes live
in memory and end with the process; the invite that a right one became is durable like any.
Source: PROTOCOL section 9, decision 29.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from comity.base.clock import MILLISECOND, Instant, Wall, after
from comity.base.errors import Reason, Rejected, UsageError
from comity.base.ids import DeviceId, Topic
from comity.base.limits import PAIR_OPEN_MAX, PAIR_SLOTS, PAIR_TIME, PAIR_TRIES
from comity.base.ports import Entropy
from comity.crypto.port import Crypto
from comity.log.entries import Role
from comity.node.links import Link
from comity.node.rows import InviteRow
from comity.node.step import Step
from comity.protocol.pairing import Between, Code, Pairing, slot_secret
from comity.protocol.session import invite_id, invite_tag
from comity.wire.records import PairAnswer, PairShare

__all__ = ["Codes"]


@dataclass(slots=True)
class _Open:
    """A code that somebody may use. made: the invites that its tries led to, by name."""

    code: Code
    topic: Topic
    role: Role
    ends: Instant
    tries: int = 0
    made: list[bytes] = field(default_factory=list)


class Codes:
    """The codes of one node."""

    __slots__ = ("_codes", "_crypto", "_device", "_entropy")

    def __init__(self, device: DeviceId, crypto: Crypto, entropy: Entropy) -> None:
        """Start without a code."""
        self._device = device
        self._crypto = crypto
        self._entropy = entropy
        self._codes: dict[bytes, _Open] = {}

    def offer(self, step: Step, topic: Topic, role: Role) -> Code | UsageError:
        """Open a code for one device."""
        self._expire(step)
        if len(self._codes) >= PAIR_OPEN_MAX:
            return UsageError(
                f"{PAIR_OPEN_MAX} codes are open: wait until one is used, or ten minutes"
            )
        taken = [each.code.slot for each in self._codes.values()]
        free = [slot for slot in range(1, PAIR_SLOTS + 1) if slot not in taken]
        drawn = int.from_bytes(self._entropy.draw(2), "big")
        code = Code.draw(self._entropy, free[drawn % len(free)])
        name = invite_id(slot_secret(code.slot))
        self._codes[name] = _Open(code, topic, role, after(step.instant, PAIR_TIME))
        return code

    def secret_for(self, tag: bytes, ephemeral: bytes) -> bytes | None:
        """Return the public secret of the slot that a newcomer asks at."""
        for each in self._codes.values():
            secret = slot_secret(each.code.slot)
            if invite_tag(secret, ephemeral) == tag:
                return secret
        return None

    def answer(
        self, link: Link, said: PairShare, step: Step
    ) -> tuple[PairAnswer, bytes, InviteRow] | Rejected:
        """Answer one try; return also the invite that is open now if it was right."""
        self._expire(step)
        found = None if link.joined_by is None else self._codes.get(link.joined_by)
        if found is None:
            return Rejected(Reason.INVITE_UNKNOWN, "no such code is open any more")
        if found.tries >= PAIR_TRIES:
            return Rejected(
                Reason.INVITE_USED, f"code {found.code.slot} was tried {found.tries} times"
            )
        assert link.peer is not None
        found.tries += 1
        step.report(
            "code tried",
            topic=found.topic,
            device=link.peer,
            detail=f"try {found.tries} of {PAIR_TRIES} of code {found.code.slot}",
        )
        between = Between(link.key, link.peer, self._device)
        pairing = Pairing(self._crypto, self._entropy, found.code, between, inviting=True)
        made = pairing.answer(said.share)
        if made is None:
            return Rejected(Reason.MALFORMED, "a share that nobody honest sends")
        seed, proof = made
        name = invite_id(seed)
        found.made.append(name)
        expires = Wall(step.now.wall + PAIR_TIME // MILLISECOND)
        row = InviteRow(found.topic, found.role, seed, expires)
        return PairAnswer(pairing.share, proof), name, row

    def used(self, invite: bytes) -> tuple[bytes, ...]:
        """Somebody joined by this invite: close its code, return the others it led to."""
        for name, each in list(self._codes.items()):
            if invite in each.made:
                del self._codes[name]
                return tuple(other for other in each.made if other != invite)
        return ()

    def _expire(self, step: Step) -> None:
        for name, each in list(self._codes.items()):
            if each.ends <= step.instant:
                del self._codes[name]
