"""What authority says of a commit, in words of people; `why` ends in them."""

from __future__ import annotations

import re

from comity.base.errors import Reason
from tests.authority.test_authority import REMOVAL
from tests.authority.world import Story, commit_id, device_id

_JARGON = re.compile(
    r"\b(grants?|root|adds?|past|live|parents?|backlink|epoch|static|effective|killed)\b"
)


def test_every_standing_is_told_in_words() -> None:
    """`why` names the removal, the adoption, or the grant, and what would help."""
    story = Story(
        REMOVAL
        + """
        ad  R1  r1  r       add K admin
        s   K   ad  ad      add S writer
        ad2 R0  r0  r,m2    adopt m2
        k   R1  r1  ad      remove K
        s1  S   s   s       data
        l   S   s   s       remove S
    """
    )
    assert story.why("g") == "Commit g counts: it founded the actor."
    assert story.why("m1") == (
        "Commit m1 of device M counts: its author was let in as writer by R0, in a."
    )
    assert story.why("r") == (
        "Commit r of device R0 counts: its author is a founder of the actor."
    )
    assert story.why("m3") == (
        "Commit m3 of device M is hidden: device R0 removed M in r, without having seen it. "
        "R0 can bring it back, with `comity adopt`."
    )
    assert story.why("m2") == (
        "Commit m2 of device M is shown: device R0 adopted it in ad2. Without that it would "
        "be hidden: device R0 removed M in r, without having seen it."
    )
    assert story.why("s1") == (
        "Commit s1 of device S is hidden: device R1 removed K in k, without having seen that "
        "its author was let in by K, or by who came through K. "
        "R1 can bring it back, with `comity adopt`."
    )


def test_leaving_is_told_in_words() -> None:
    """`why` says that somebody left, and counts further removals."""
    story = Story("""
        a   R0  r0  g       add M writer
        x   M   a   a       remove M
        y   M   a   a       remove M
        m   M   a   a       data
    """)
    assert story.why("m") == (
        "Commit m of device M is hidden: device M left in x, without having seen it "
        "(and 1 more removal). R0 can bring it back, with `comity adopt`."
    )


def test_refusals_say_what_was_seen() -> None:
    """Details name grants, devices and commits by their short ids, and the roles."""
    story = Story(
        REMOVAL
        + """
        m4  M   a   r       data
        x1  R1  a   a       data
        x2  M   a   a       remove R1
    """
    )
    details = story.replica.details
    assert str(details[commit_id("m4")]) == (
        "its author had been removed before it was made "
        f"(removed in {commit_id('r')[:4].hex()}, which it had seen)"
    )
    assert details[commit_id("x2")].detail == "it takes the role admin, its author is writer"
    assert commit_id("a")[:4].hex() in details[commit_id("x1")].detail


def test_every_refusal_of_authority_is_told_in_words() -> None:
    """No word of the protocol is in what is said of any of them; devices are named."""
    story = Story(
        REMOVAL
        + """
        k   R0  r0  r       add K admin
        l   R1  r1  k       add L admin
        no  M   zz  k       data
        nr  K   k   g       data
        his M   k   k       data
        fnd M   r0  k       data
        rw  M   a   r       data
        b1  K   k   k       add K admin
        b2  K   k   k       add R0 reader
        v   R1  r1  r       add V writer
        b3  V   v   v       add W admin
        rm  K   k   l       remove L
        ad  R0  r0  r,m2    adopt a
        as  R0  r0  r       adopt m3
        ab  K   k   k,m2    adopt m2
        q   R0  r0  a       remove K
        s   K   k   k       add S writer
        kk  R0  r0  k       remove K
        se  S   s   kk,s    data
    """
    )
    found = dict(story.replica.details)
    reasons = {refusal.reason for refusal in found.values()}
    assert reasons >= {
        Reason.NO_GRANT, Reason.GRANT_NOT_YOURS, Reason.GRANT_KILLED, Reason.ROLE_TOO_LOW,
        Reason.BAD_ADD, Reason.BAD_REMOVE, Reason.BAD_ADOPT, Reason.GRANT_NOT_EFFECTIVE,
    }  # fmt: skip
    for refusal in found.values():
        if refusal.reason is not Reason.PARENT_REJECTED:
            assert refusal.detail
            assert not _JARGON.search(str(refusal)), str(refusal)
    assert found[commit_id("rm")].detail == (
        f"device {device_id('L')[:4].hex()} takes no part, or was not let in through its author"
    )
    right, owner, liar = commit_id("k"), device_id("K"), device_id("M")
    assert found[commit_id("his")].detail == (
        f"the right given in {right[:4].hex()} is device {owner[:4].hex()}'s, "
        f"not {liar[:4].hex()}'s"
    )
