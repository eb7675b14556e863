"""Errors: every refusal has words, codes are for good, a fault is told by its kind."""

from __future__ import annotations

import re
from typing import Final

import pytest

from comity.base.errors import (
    ComityError,
    DeadlineError,
    LinkError,
    Reason,
    Rejected,
    StoreError,
    UsageError,
    WorldError,
)

CODES: Final = {
    1: "MALFORMED",
    2: "TOO_BIG",
    3: "WRONG_TOPIC",
    4: "NO_KEY",
    5: "WRONG_KEY",
    6: "WRONG_NONCE",
    7: "PARENT_UNKNOWN",
    8: "PARENT_REJECTED",
    9: "PARENTS_NOT_MINIMAL",
    10: "WRONG_GEN",
    11: "WRONG_SEQ",
    12: "WRONG_BACKLINK",
    13: "NOT_CANONICAL",
    14: "BAD_SIGNATURE",
    15: "NO_GRANT",
    16: "GRANT_NOT_YOURS",
    17: "GRANT_KILLED",
    18: "ROLE_TOO_LOW",
    19: "GRANT_NOT_EFFECTIVE",
    20: "BAD_ADD",
    21: "BAD_REMOVE",
    22: "BAD_ADOPT",
    23: "EPOCH_UNKNOWN",
    24: "BUFFER_FULL",
    25: "HANDSHAKE_FAILED",
    26: "WRONG_DEVICE",
    27: "INVITE_UNKNOWN",
    28: "INVITE_USED",
    29: "INVITE_EXPIRED",
    30: "QUOTA",
    31: "OUT_OF_TURN",
    32: "UNSUPPORTED",
    33: "REMOVED_CONCURRENTLY",
    34: "UNKNOWN_MESSAGE",
    35: "BAD_VALUE",
    36: "BAD_EPOCH",
    37: "GENESIS_MISMATCH",
    38: "RATE",
    39: "RULE_BROKEN",
    40: "NO_MAILBOX",
}
"""Codes that have been on the wire. Lines are added at the end; none is ever changed."""


def test_codes_are_append_only() -> None:
    """What a peer or a store of an older version says still means the same."""
    assert {reason.value: reason.name for reason in Reason} == CODES
    assert list(CODES) == list(range(1, len(CODES) + 1))


def test_every_reason_reads_as_the_end_of_a_sentence() -> None:
    """Each has a text of its own: a fragment, without capital or full stop."""
    texts = [reason.text for reason in Reason]
    assert len(dict.fromkeys(texts)) == len(texts)
    for text in texts:
        assert re.fullmatch(r"[a-z][^.\n]{10,}[^.\s]", text), text


_JARGON: Final = (
    "nonce", "backlink", "generation", "sequence", "parent", "ancestor", "epoch", "wrap",
    "genesis", "topic", "canonical", "grant", "handshake", "kcommit", "static", "frontier",
)  # fmt: skip
"""Words of the protocol that its users need not know."""


@pytest.mark.parametrize("reason", list(Reason))
def test_a_user_understands_every_reason(reason: Reason) -> None:
    """No word of the protocol is in it, and it says what follows from it."""
    said = f"{reason.text}. {reason.meaning}.".lower()
    assert not [word for word in _JARGON if word in said]
    assert re.fullmatch(r"[A-Z][^.\n]{20,}[^.\s]", reason.meaning), reason.meaning


def test_deceit_is_told_from_what_may_happen_to_the_honest() -> None:
    """A bad signature is nobody's accident; a removal that was not seen is."""
    assert Reason.BAD_SIGNATURE.is_deceit
    assert Reason.WRONG_BACKLINK.is_deceit
    for honest in (Reason.NO_KEY, Reason.QUOTA, Reason.REMOVED_CONCURRENTLY, Reason.BAD_VALUE):
        assert not honest.is_deceit


def test_a_refusal_says_its_reason_then_its_detail() -> None:
    """Without a detail there are no empty brackets."""
    assert str(Rejected(Reason.QUOTA)) == "the quota is used up"
    assert str(Rejected(Reason.QUOTA, "9 of 8")) == "the quota is used up (9 of 8)"


def test_refusals_are_values() -> None:
    """Equal by what they say, usable as keys, and never raised: they are no exceptions."""
    first, second = Rejected(Reason.RATE, "a"), Rejected(Reason.RATE, "a")
    assert {first: 1} == {second: 1}
    assert first != Rejected(Reason.RATE, "b")
    assert not issubclass(Rejected, BaseException)


def test_faults_are_told_by_kind() -> None:
    """Caller and world never share a class below the root; `retry` tells if waiting helps."""
    for kind in (StoreError, LinkError):
        for retry in (True, False):
            error = kind("gone", retry=retry)
            assert isinstance(error, WorldError)
            assert (str(error), error.retry) == ("gone", retry)
    late = DeadlineError("2 s passed")
    assert isinstance(late, WorldError)
    assert (str(late), late.retry) == ("2 s passed", True)
    assert not issubclass(UsageError, WorldError)
    for root in (UsageError, WorldError):
        assert issubclass(root, ComityError)
        assert not issubclass(root, AssertionError)


def test_the_world_must_say_whether_to_retry() -> None:
    """Nobody can raise a WorldError without having thought of it."""
    with pytest.raises(TypeError, match="retry"):
        WorldError("gone")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
