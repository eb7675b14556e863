"""Refusals: counted for ever, remembered up to a bound, found again by a person's prefix."""

from __future__ import annotations

from typing import Final

from comity.base.clock import Wall
from comity.base.errors import Reason, Rejected
from comity.base.ids import CommitId, DeviceId, Topic
from comity.base.limits import REPORTS_KEPT_MAX
from comity.node.refusals import PASSING, Refusals, Refused

TOPIC: Final = Topic(b"t" * 32)
PEER: Final = DeviceId(b"p" * 32)


def refused(number: int, reason: Reason = Reason.NO_GRANT, detail: str = "") -> Refused:
    """Return the refusal of one commit."""
    commit = CommitId(number.to_bytes(32, "big"))
    return Refused(TOPIC, commit, PEER, Rejected(reason, detail), Wall(number))


def test_counts_are_by_reason_and_kept_for_ever() -> None:
    """Forgetting a refusal does not forget that it happened."""
    assert Refusals().counts == ()
    refusals = Refusals()
    for number in range(REPORTS_KEPT_MAX + 10):
        refusals.note(refused(number))
    refusals.note(refused(1, Reason.MALFORMED))
    assert refusals.counts == (("malformed", 1), ("no_grant", REPORTS_KEPT_MAX + 10))


def test_the_oldest_makes_room() -> None:
    """The newest are kept, newest first; none beyond the bound."""
    refusals = Refusals()
    everyone = [refused(number) for number in range(REPORTS_KEPT_MAX + 3)]
    for each in everyone:
        refusals.note(each)
    kept = refusals.newest(REPORTS_KEPT_MAX * 2)
    assert list(kept) == everyone[:2:-1]
    assert refusals.newest(2) == (everyone[-1], everyone[-2])
    assert refusals.newest(0) == ()
    assert refusals.find(bytes(31) + b"\2") is None
    assert refusals.find(bytes(31) + b"\3") == everyone[3]


def test_a_commit_is_found_by_how_it_begins() -> None:
    """Of several refusals the newest answers; what has no commit is not found by any prefix."""
    refusals = Refusals()
    refusals.note(refused(7, detail="first"))
    refusals.note(refused(7, detail="second"))
    refusals.note(Refused(None, None, PEER, Rejected(Reason.RATE), Wall(0)))
    for prefix in (bytes(31) + b"\7", bytes(4), b""):
        found = refusals.find(prefix)
        assert found is not None
        assert found.refusal.detail == "second"
    assert refusals.find(b"\1") is None


def test_only_what_never_changes_is_remembered_by_id() -> None:
    """A bad signature, a full buffer, a missing key: another copy or moment may be fine."""
    final = [reason for reason in Reason if reason not in PASSING]
    assert Reason.BAD_SIGNATURE in PASSING, "the bytes beside a commit are not part of its id"
    assert Reason.WRONG_KEY in PASSING, "another key with the same prefix may open it"
    for reason in (Reason.MALFORMED, Reason.NO_GRANT, Reason.WRONG_GEN, Reason.PARENT_REJECTED):
        assert reason in final
