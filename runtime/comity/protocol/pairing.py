"""Pairing: two who know one short code agree on the seed of an invite.

Owns: what a code is, and the exchange that turns it into a seed which only these two know. May
not know: words (a code has their numbers), how many tries there are, links, admission.

    newcomer  --share--> answer heard --seed--> joins by it as by a link
    inviter   share heard --share, proof--> holds the seed

The exchange is inside a session, and bound to it: to its handshake hash and to both devices.
So whoever stands between the two has two sessions, and gets one guess of the code for each
answer of the inviter, as anybody does. The proof lets the newcomer tell a wrong code at once;
the inviter learns that the code was right when somebody joins by the seed.
Source: PROTOCOL section 9; draft-irtf-cfrg-cpace; decision 29.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

from comity.base.ids import DeviceId
from comity.base.limits import PAIR_SLOTS, PAIR_WORDS
from comity.base.ports import Entropy
from comity.crypto.cpace import Public, Round
from comity.crypto.hashing import PERSON_PAIRED, PERSON_PAIRING, blake2b
from comity.crypto.port import KEY_BYTES, Crypto
from comity.protocol.session import SEED_BYTES

__all__ = ["PROOF_BYTES", "Between", "Code", "Pairing", "slot_secret"]

PROOF_BYTES: Final = 16
"""Of the answer: whoever guesses it has no use for it, the seed is another hash."""


@dataclass(frozen=True, slots=True)
class Code:
    """A short code: which of the inviter's codes is meant, and the secret.

    slot: 1..99, said in the clear. words: two numbers below 2048, 22 random bits: with three
    tries one code in 1.4 million is guessed.
    """

    slot: int
    words: tuple[int, int]

    def __post_init__(self) -> None:
        """Hold to what can be said."""
        assert 1 <= self.slot <= PAIR_SLOTS
        assert all(0 <= word < PAIR_WORDS for word in self.words)

    def __repr__(self) -> str:
        """Show the slot; never the words."""
        return f"Code({self.slot})"

    @staticmethod
    def draw(entropy: Entropy, slot: int) -> Code:
        """Make a code for a slot."""
        first, second = (
            int.from_bytes(entropy.draw(2), "big") % PAIR_WORDS for _ in range(2)
        )  # 2^16 is a multiple of 2^11: no word is likelier than another
        return Code(slot, (first, second))

    @property
    def secret(self) -> bytes:
        """What both sides put into the exchange: 4 bytes."""
        return b"".join(word.to_bytes(2, "big") for word in self.words)


@dataclass(frozen=True, slots=True)
class Between:
    """The session that two sides pair in. channel: its handshake hash, of 64 bytes."""

    channel: bytes
    newcomer: DeviceId
    inviter: DeviceId


@final
class Pairing:
    """One side of one try."""

    __slots__ = ("_between", "_inviting", "_round")

    def __init__(
        self,
        crypto: Crypto,
        entropy: Entropy,
        code: Code,
        between: Between,
        *,
        inviting: bool,
    ) -> None:
        """Draw a share. crypto: must be the real port, see `comity.crypto.cpace`."""
        self._between = between
        self._inviting = inviting
        self._round = Round(
            crypto,
            code=code.secret,
            public=Public(bytes((code.slot,)), between.channel),
            scalar=entropy.draw(KEY_BYTES),
            label=between.inviter if inviting else between.newcomer,
            initiator=not inviting,
        )

    @property
    def share(self) -> bytes:
        """What the other side is told: 32 bytes, of which nothing can be learnt."""
        return self._round.share

    def answer(self, theirs: bytes) -> tuple[bytes, bytes] | None:
        """Return the seed and the proof of it, for a newcomer's share; None if it is bad."""
        assert self._inviting
        key = self._round.finish(theirs, label=self._between.newcomer)
        return None if key is None else _derived(key)

    def seed(self, theirs: bytes, proof: bytes) -> bytes | None:
        """Return the seed that the inviter holds now; None if the codes differ."""
        assert not self._inviting
        key = self._round.finish(theirs, label=self._between.inviter)
        if key is None:
            return None
        seed, expected = _derived(key)
        return seed if proof == expected else None


def slot_secret(slot: int) -> bytes:
    """Return what keys the session that a code is tried in: 16 bytes that anybody can tell.

    It says which code is meant, and makes that session one by which somebody joins.
    """
    return blake2b(bytes((slot,)), size=SEED_BYTES, person=PERSON_PAIRING)


def _derived(key: bytes) -> tuple[bytes, bytes]:
    """Return the seed and the proof that a key stands for."""
    seed = blake2b(b"", size=SEED_BYTES, person=PERSON_PAIRED, key=key)
    proof = blake2b(b"", size=PROOF_BYTES, person=PERSON_PAIRING, key=key)
    return seed, proof
