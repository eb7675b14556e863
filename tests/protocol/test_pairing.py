"""Pairing: equal codes in one session agree on a seed, anything else on nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.base.ids import DeviceId
from comity.crypto.sodium import Sodium
from comity.protocol.pairing import Between, Code, Pairing, slot_secret

words = st.integers(0, 2047)
codes = st.builds(Code, st.integers(1, 99), st.tuples(words, words))
BETWEEN: Final = Between(bytes(64), DeviceId(bytes([1]) * 32), DeviceId(bytes([2]) * 32))


class Counter:
    """Entropy that never repeats."""

    def __init__(self, seed: int) -> None:
        self.count = seed << 32

    def draw(self, count: int) -> bytes:
        """Return the next bytes."""
        self.count += 1
        return self.count.to_bytes(32, "little")[:count].ljust(count, b"\x5a")


def sides(
    theirs: Code, ours: Code, there: Between = BETWEEN, here: Between = BETWEEN
) -> tuple[Pairing, Pairing]:
    """Return a newcomer's side and an inviter's."""
    newcomer = Pairing(Sodium(), Counter(1), theirs, there, inviting=False)
    return newcomer, Pairing(Sodium(), Counter(2), ours, here, inviting=True)


@given(codes)
def test_one_code_one_seed(code: Code) -> None:
    """Both sides have the same seed, and the proof is no part of it."""
    newcomer, inviter = sides(code, code)
    answer = inviter.answer(newcomer.share)
    assert answer is not None
    seed, proof = answer
    assert newcomer.seed(inviter.share, proof) == seed
    assert (len(seed), len(proof), seed != proof) == (16, 16, True)


@given(codes, codes)
def test_other_codes_no_seed(theirs: Code, ours: Code) -> None:
    """A code that differs in a word or in its slot is told from the right one."""
    newcomer, inviter = sides(theirs, ours)
    answer = inviter.answer(newcomer.share)
    assert answer is not None
    found = newcomer.seed(inviter.share, answer[1])
    assert (found is not None) == (theirs == ours)


@pytest.mark.parametrize(
    "there",
    [
        replace(BETWEEN, channel=bytes(63) + b"\1"),
        replace(BETWEEN, newcomer=DeviceId(bytes([3]) * 32)),
        replace(BETWEEN, inviter=DeviceId(bytes([3]) * 32)),
        Between(BETWEEN.channel, BETWEEN.inviter, BETWEEN.newcomer),
    ],
)
def test_who_stands_between_gets_nothing(there: Between) -> None:
    """Shares passed on between two sessions, or in another's name, agree on nothing."""
    code = Code(7, (3, 4))
    newcomer, inviter = sides(code, code, there)
    answer = inviter.answer(newcomer.share)
    assert answer is not None
    assert newcomer.seed(inviter.share, answer[1]) is None


@pytest.mark.parametrize("share", [bytes(32), b"\1" + bytes(31), b"\xff" * 32, b"", bytes(33)])
def test_bad_shares(share: bytes) -> None:
    """Neither side takes a share of low order, of another length, or that is not canonical."""
    newcomer, inviter = sides(Code(7, (3, 4)), Code(7, (3, 4)))
    assert inviter.answer(share) is None
    assert newcomer.seed(share, bytes(16)) is None


def test_codes_do_not_show_their_words() -> None:
    """What is logged tells the slot alone; slots have different public secrets."""
    assert repr(Code(17, (1234, 567))) == "Code(17)"
    assert len({slot_secret(slot) for slot in range(1, 100)}) == 99


def test_codes_are_drawn_evenly() -> None:
    """Every word can come in either place."""
    entropy = Counter(5)
    drawn = [Code.draw(entropy, 1).words for _ in range(400)]
    assert len({first for first, _ in drawn}) > 1
    assert all(0 <= word < 2048 for pair in drawn for word in pair)
