"""What an owner is told of a refusal: in words of people first, of the format last."""

from __future__ import annotations

from comity.base.clock import Wall
from comity.base.errors import Reason, Rejected
from comity.base.ids import CommitId, DeviceId, Topic
from comity.node.describing import explain
from comity.node.refusals import Refusals, Refused

COMMIT = CommitId(b"c" * 32)
DEVICE = DeviceId(b"d" * 32)


def told(refusal: Rejected) -> str:
    """Say why a commit was refused."""
    refusals = Refusals()
    refusals.note(Refused(Topic(b"t" * 32), COMMIT, DEVICE, refusal, Wall(0)))
    said = explain((), refusals, COMMIT[:6])
    assert isinstance(said, str)
    return said


def test_what_is_forged_is_told_without_the_format() -> None:
    """Who wants to know more is told after that."""
    assert told(Rejected(Reason.WRONG_BACKLINK, "backlink of 4 names 2")) == (
        "Commit 63636363, brought by device 64646464, was refused: it passes over a commit "
        "that its author made before it. No honest program makes such a thing: it was altered "
        "on its way, or made to deceive. In the words of the commit format: backlink of 4 "
        "names 2."
    )
    assert told(Rejected(Reason.BAD_SIGNATURE)).endswith("or made to deceive.")


def test_what_may_happen_to_the_honest_names_what_was_seen() -> None:
    """The detail stands where it belongs, and what follows comes after."""
    assert told(Rejected(Reason.ROLE_TOO_LOW, "it needs writer")) == (
        "Commit 63636363, brought by device 64646464, was refused: its author's role does "
        "not permit it (it needs writer). Every device refuses it alike, and its author's own "
        "device would have said so."
    )
