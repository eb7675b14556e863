"""The rules of PROTOCOL section 3, told as stories; each is also played on the naive twin."""

from __future__ import annotations

from comity.authority.claim import Change, Claim, MemberChange, Standing
from comity.base.errors import Reason
from comity.log.entries import Role
from comity.log.inner import CommitGrant, RootGrant
from tests.authority.world import Replica, Story, commit_id, device_id

READER, WRITER, ADMIN = Role
REMOVAL = """
    a   R0  r0  g       add M writer
    m1  M   a   a       data
    r   R0  r0  m1      remove M
    m2  M   a   m1      data
    m3  M   a   a       data
"""


def test_what_a_removal_had_seen_stays_and_the_rest_is_hidden() -> None:
    """Attack 9: writes backdated past a removal are quarantined, whenever they arrive."""
    story = Story(REMOVAL)
    assert story.members == "R0 R1"
    assert story.effective == "a m1 r"
    assert story.quarantined == "m2 m3"


def test_backdated_adds_are_quarantined_with_all_that_rests_on_them() -> None:
    """Attack 9: an add of a removed admin gives nothing, nor do the adds below it."""
    story = Story("""
        a   R1  r1  g       add K admin
        r   R1  r1  a       remove K
        s   K   a   a       add S admin
        s1  S   s   s       data
        t   S   s   s       add T writer
        t1  T   t   t       data
    """)
    assert story.members == "R0 R1"
    assert story.quarantined == "s s1 t t1"


def test_backdated_removals_are_quarantined() -> None:
    """Attack 9: a removed admin cannot take his members along; what he hid comes back."""
    story = Story("""
        a   R0  r0  g       add K admin
        b   K   a   a       add M writer
        k   K   a   b       remove M
        m   M   b   b       data
    """)
    assert story.members == "K R0 R1"
    assert story.quarantined == "m"
    story.tell("r   R0  r0  b   remove K")
    assert story.members == "M R0 R1"
    assert story.role("M") is WRITER
    assert story.quarantined == "k"
    change = story.changes["r"]
    assert change is not None
    assert change.shown == (story.index("m"),)
    assert change.hidden == (story.index("k"),)


def test_backdated_adoptions_are_quarantined() -> None:
    """Attack 9: when the adopter is removed, what he un-hid is hidden again."""
    story = Story("""
        a   R0  r0  g       add K admin
        b   K   a   a       add M writer
        k   K   a   b       remove M
        m   M   b   b       data
        k2  K   a   k,m     adopt m
        r   R0  r0  k       remove K
    """)
    assert story.quarantined == "k2 m"
    change = story.changes["r"]
    assert change is not None
    assert change.hidden == (story.index("m"), story.index("k2"))


def test_who_had_seen_his_removal_is_refused() -> None:
    """STATIC: a grant that is killed in before(c) is no grant; so is all that follows."""
    story = Story(REMOVAL + "m4 M a r data\n m5 M a m4 data")
    assert story.rejected == {"m4": Reason.GRANT_KILLED, "m5": Reason.PARENT_REJECTED}


def test_duelling_roots() -> None:
    """Attack 10: of two roots that remove each other only the first stands above."""
    story = Story("""
        x   R0  r0  g       remove R1
        y   R1  r1  g       remove R0
    """)
    assert story.members == "R0"
    assert story.rejected == {"y": Reason.BAD_REMOVE}


def test_duelling_admins() -> None:
    """Attack 10: equals that stand beside each other cannot remove each other."""
    story = Story("""
        a   R0  r0  g       add K admin
        b   R0  r0  a       add L admin
        k   K   a   b       remove L
        l   L   b   b       remove K
    """)
    assert story.members == "K L R0 R1"
    assert story.rejected == {"k": Reason.BAD_REMOVE, "l": Reason.BAD_REMOVE}


def test_a_cycle_of_removals_has_one_outcome() -> None:
    """Attack 10: K over L over M over K, by three branches; depth decides, no duel."""
    story = Story("""
        a   R0  r0  g       add K admin
        b   R0  r0  g       add L admin
        c   R0  r0  g       add M admin
        d   R0  r0  a,b,c   add N admin
        kl  K   a   d       add L admin
        lm  L   b   d       add M admin
        mk  M   c   d       add K admin
        k   K   a   kl      remove L
        l   L   b   lm      remove M
        m   M   c   mk      remove K
    """)
    # Each kills only the redundant grant that the remover itself had given.
    assert story.members == "K L M N R0 R1"
    assert story.effective == "a b c d k kl l lm m mk"


def test_a_chain_of_concurrent_removals_alternates() -> None:
    """Attack 10: R0 removes K removes L removes M, all at once: M was removed by nobody."""
    story = Story("""
        a   R0  r0  g       add K admin
        b   K   a   a       add L admin
        c   L   b   b       add M writer
        k   K   a   c       remove L
        l   L   b   c       remove M
        m   M   c   c       data
    """)
    assert story.members == "K M R0 R1"
    assert story.effective == "a b c k m"
    story.tell("r  R0  r0  c  remove K")
    assert story.members == "L R0 R1"
    assert story.effective == "a b c l r"
    assert story.quarantined == "k m"
    change = story.changes["r"]
    assert change is not None
    assert change.members == tuple(
        sorted(
            [
                MemberChange(device_id("K"), ADMIN, None),
                MemberChange(device_id("L"), None, ADMIN),
                MemberChange(device_id("M"), WRITER, None),
            ],
            key=lambda each: each.device,
        )
    )


def test_a_junior_gains_nothing_by_adding_his_senior() -> None:
    """Attack 11: J under K adds K; K still removes J, and J's grant to K kills nothing."""
    story = Story("""
        a   R0  r0  g       add K admin
        b   K   a   a       add J admin
        j   J   b   b       add K admin
        k   K   a   j       remove J
        j2  J   b   j       remove K
    """)
    assert story.members == "K R0 R1"
    assert story.role("K") is ADMIN
    assert story.quarantined == "j2"


def test_a_redundant_add_buys_no_power_over_a_peer() -> None:
    """Attack 11: K adds L, whom R0 had added, and removes L: only K's own grant dies."""
    story = Story("""
        a   R0  r0  g       add K admin
        b   R0  r0  a       add L admin
        k1  K   a   b       add L reader
        k2  K   a   k1      remove L
        l   L   b   b       data
        l2  L   k1  k1      prekey
    """)
    assert story.role("L") is ADMIN
    assert story.effective == "a b k1 k2 l"
    assert story.quarantined == "l2"


def test_a_concurrent_re_add_loses_and_a_later_one_works() -> None:
    """Attack 12: R1's re-add had not seen R0's removal; R0's had. The old grant stays dead."""
    story = Story("""
        a   R0  r0  g       add M writer
        r   R0  r0  a       remove M
        z   R1  r1  a       add M writer
    """)
    assert story.members == "R0 R1"
    story.tell("z2  R0  r0  r,z   add M writer")
    assert story.members == "M R0 R1"
    story.tell("""
        n   M   z2  z2      data
        n2  M   a   z2      data
    """)
    assert story.effective == "a n r z z2"
    assert story.rejected == {"n2": Reason.GRANT_KILLED}


def test_a_re_add_by_the_senior_survives_the_juniors_removal() -> None:
    """Attack 12, the other way: R1 stands below R0, so his removal kills no grant of R0's."""
    story = Story("""
        a   R1  r1  g       add M writer
        r   R1  r1  a       remove M
        z   R0  r0  a       add M writer
    """)
    assert story.role("M") is WRITER


def test_adopt_shows_a_commit_and_its_authors_chain() -> None:
    """Attack 13: the target and what its author wrote before it are shown; m3 is not."""
    story = Story(REMOVAL + "m4 M a m2 data\n ad R0 r0 r,m4 adopt m4")
    assert story.effective == "a ad m1 r"
    assert story.adopted == "m2 m4"
    assert story.quarantined == "m3"
    change = story.changes["ad"]
    assert change == Change(Standing.EFFECTIVE, shown=(story.index("m2"), story.index("m4")))
    assert story.replica.authority.adopter(story.index("m2")) == story.index("ad")


def test_what_follows_an_adopted_commit_stays_hidden() -> None:
    """Attack 13: adopt gives no grant; later commits under the dead one remain quarantined."""
    story = Story(REMOVAL + "ad R0 r0 r,m2 adopt m2\n m4 M a m2 data")
    assert story.adopted == "m2"
    assert story.quarantined == "m3 m4"
    assert story.members == "R0 R1"


def test_an_adopted_add_is_shown_and_gives_nothing() -> None:
    """Attack 13: adopted is visible, not effective; grants count only if effective."""
    story = Story("""
        a   R0  r0  g       add K admin
        r   R0  r0  a       remove K
        s   K   a   a       add S writer
        s1  S   s   s       data
        ad  R0  r0  r,s     adopt s
    """)
    assert story.adopted == "s"
    assert story.members == "R0 R1"
    assert story.quarantined == "s1"
    # s1 rests on s, so the removal that hid s hid s1 as well: it can be adopted likewise.
    story.tell("ad2 R0 r0 ad,s1 adopt s1")
    assert story.adopted == "s s1"


def test_who_may_adopt() -> None:
    """Attack 13: the remover and those above him; not a peer, a stranger, or the hidden one."""
    story = Story("""
        a   R1  r1  g       add K admin
        b   K   a   a       add M writer
        c   R1  r1  b       add L admin
        r   K   a   c       remove M
        m   M   b   c       data
        k   K   a   r,m     adopt m
        u   R1  r1  r,m     adopt m
        v   R0  r0  r,m     adopt m
        l   L   c   r,m     adopt m
        n   R0  r0  r       adopt m
        o   R0  r0  r,m     adopt a
    """)
    assert story.effective == "a b c k r u v"
    refused = dict.fromkeys(["l", "n", "o"], Reason.BAD_ADOPT)
    assert story.rejected == refused


def test_adopting_what_a_self_removal_hid_needs_someone_above() -> None:
    """The text on self-removals: above the removed grant, so never the one that left."""
    story = Story("""
        a   R0  r0  g       add K admin
        b   K   a   a       add M admin
        m   M   b   b       data
        r   M   b   b       remove M
        k   K   a   r,m     adopt m
    """)
    assert story.adopted == "m"
    story.tell("""
        d   R0  r0  r       add M admin
        m2  M   d   d,m     adopt m
        m3  M   b   r,m     adopt m
    """)
    assert story.rejected == {"m2": Reason.BAD_ADOPT, "m3": Reason.GRANT_KILLED}


def test_self_removals_in_concert() -> None:
    """Attack 28: all of them stand, whatever else is hidden; one fixpoint on every order."""
    story = Story("""
        a   R0  r0  g       add M writer
        m1  M   a   a       data
        x   M   a   m1      remove M
        y   M   a   m1      remove M
        m2  M   a   m1      data
        z   M   a   m2      remove M
    """)
    assert story.members == "R0 R1"
    assert story.effective == "a m1 x y z"
    # m2 lies in the past of z alone: every effective killer must have seen it.
    assert story.quarantined == "m2"


def test_a_self_removal_does_not_spare_others() -> None:
    """Attack 28: a removal from above hides a self-removal that it had not seen."""
    story = Story("""
        a   R0  r0  g       add M writer
        m1  M   a   a       data
        r   R0  r0  a       remove M
        x   M   a   m1      remove M
    """)
    assert story.effective == "a r"
    assert story.quarantined == "m1 x"


def test_leaving_takes_nobody_along() -> None:
    """A self-removal keeps what one wrote and whom one added; only the grant ends."""
    story = Story("""
        a   R0  r0  g       add K admin
        b   K   a   a       add M writer
        x   K   a   b       remove K
        m   M   b   x       data
    """)
    assert story.members == "M R0 R1"
    assert story.effective == "a b m x"


def test_a_self_removal_kills_only_the_grant_it_is_made_under() -> None:
    """With a second grant, even one further down the same chain, one stays a member."""
    story = Story("""
        a   R0  r0  g       add K admin
        b   K   a   a       add L admin
        c   L   b   b       add K writer
        x   K   a   c       remove K
    """)
    assert story.role("K") is WRITER


def test_a_root_may_leave() -> None:
    """Even root_0: what it gave stays, and nobody stands in its place."""
    story = Story("""
        a   R0  r0  g       add M writer
        x   R0  r0  a       remove R0
        m   M   a   a       data
        z   R0  r0  g       data
    """)
    assert story.members == "M R1"
    assert story.quarantined == "z"


def test_a_removed_admins_earlier_adds_stay() -> None:
    """A removal does not cascade: whom K added before it stays, whom K added late never was."""
    story = Story("""
        a   R0  r0  g       add K admin
        b   K   a   a       add M writer
        r   R0  r0  b       remove K
        c   K   a   b       add N writer
    """)
    assert story.members == "M R0 R1"


def test_descendants_are_not_hidden_for_their_ancestry() -> None:
    """An honest commit that builds on a quarantined one counts."""
    story = Story(REMOVAL + "h R1 r1 m2 data")
    assert story.effective == "a h m1 r"


def test_refusals_of_grants() -> None:
    """STATIC: the grant exists in before(c), is effective, and names the author."""
    story = Story("""
        a   R0  r0  g       add K admin
        d   R0  r0  a       data
        x1  K   a   g       data
        x2  M   a   a       data
        x3  K   r0  a       data
        x4  K   zz  a       data
        x5  K   d   d       data
        r   R0  r0  a       remove K
        s   K   a   a       add S writer
        x6  S   s   r,s     data
    """)
    assert story.rejected == {
        "x1": Reason.NO_GRANT,
        "x2": Reason.GRANT_NOT_YOURS,
        "x3": Reason.GRANT_NOT_YOURS,
        "x4": Reason.NO_GRANT,
        "x5": Reason.NO_GRANT,
        "x6": Reason.GRANT_NOT_EFFECTIVE,
    }


def test_a_root_that_the_genesis_lacks() -> None:
    """STATIC: root 1 of a genesis that names one root does not exist."""
    story = Story("x R1 r1 g data", roots="R0")
    assert story.rejected == {"x": Reason.NO_GRANT}


def test_roles() -> None:
    """STATIC: readers publish prekeys and leave; writers write; admins add, remove, adopt."""
    story = Story("""
        a   R0  r0  g       add R reader
        b   R0  r0  a       add W writer
        p   R   a   b       prekey
        x1  R   a   p       data
        x2  R   a   p       remove W
        x3  W   b   p       add N reader
        x4  W   b   p       remove R
        x5  W   b   p       adopt p
        w   W   b   p       data
        q   R   a   p       remove R
    """)
    assert story.rejected == dict.fromkeys(["x1", "x2", "x3", "x4", "x5"], Reason.ROLE_TOO_LOW)
    assert story.effective == "a b p q w"


def test_adds_that_the_rules_forbid() -> None:
    """STATIC: an add names neither its author nor a root."""
    story = Story("""
        a   R0  r0  g       add K admin
        x1  K   a   a       add K admin
        x2  K   a   a       add R0 reader
        x3  R0  r0  a       add R1 writer
        x4  R0  r0  a       add R0 writer
    """)
    assert story.rejected == dict.fromkeys(["x1", "x2", "x3", "x4"], Reason.BAD_ADD)


def test_a_removal_must_kill_something_live() -> None:
    """STATIC: not a stranger, not one above, not a grant that before(c) knows to be dead."""
    story = Story(
        REMOVAL
        + """
        x1  R0  r0  r       remove M
        x2  R0  r0  g       remove M
        x3  R0  r0  r       remove X
        x4  R1  r1  a       remove M
    """
    )
    assert story.rejected == dict.fromkeys(["x1", "x2", "x3", "x4"], Reason.BAD_REMOVE)


def test_a_second_removal_by_the_one_who_left_is_refused() -> None:
    """STATIC: it had seen the first one, so its grant is dead."""
    story = Story("""
        a   R0  r0  g       add M writer
        x   M   a   a       remove M
        y   M   a   x       remove M
    """)
    assert story.rejected == {"y": Reason.GRANT_KILLED}


def test_an_epoch_must_lie_in_the_past() -> None:
    """STATIC: sealed under an epoch that its parents do not know, a commit is refused."""
    replica = Replica([device_id("R0"), device_id("R1")])
    graph, authority = replica.graph, replica.authority
    story = Story("e R0 r0 g data\n f R1 r1 g data")
    for commit in story.commits[1:]:
        replica.take(commit)
    epoch, other = (graph.index_of(commit_id(name)) for name in "ef")
    assert epoch is not None
    assert other is not None

    def claim(*parents: int, backlink: int | None = None) -> Claim:
        return Claim(device_id("R1"), RootGrant(1), parents, backlink, epoch, WRITER)

    refusal = authority.judge(claim(other, backlink=other))
    assert refusal is not None
    assert refusal.reason is Reason.EPOCH_UNKNOWN
    assert authority.judge(claim(epoch)) is None
    assert authority.judge(claim(epoch, other, backlink=other)) is None


def test_the_grant_to_act_under() -> None:
    """The highest live role; among equals the grant nearest the top; None for no member."""
    story = Story("""
        a   R0  r0  g       add K admin
        b   K   a   a       add M writer
        c   R0  r0  b       add M writer
        d   K   a   c       add M reader
    """)
    authority = story.replica.authority
    assert authority.grant_for(device_id("M")) == CommitGrant(commit_id("c"))
    assert authority.grant_for(device_id("R1")) == RootGrant(1)
    assert authority.grant_for(device_id("X")) is None
    story.tell("e K a d add M admin")
    assert authority.grant_for(device_id("M")) == CommitGrant(commit_id("e"))
    story.tell("r K a e remove M")
    assert authority.grant_for(device_id("M")) == CommitGrant(commit_id("c"))
    assert authority.removals() == (story.index("r"),)


def test_members_of_a_version() -> None:
    """A version knows only what lies in it, heads included."""
    story = Story(REMOVAL)
    authority = story.replica.authority
    m, r = story.index("m1"), story.index("r")
    assert list(authority.members_at([0]).values()) == [ADMIN, ADMIN]
    assert authority.members_at([m])[device_id("M")] is WRITER
    assert device_id("M") not in authority.members_at([m, r])
    assert list(authority.members_at([m])) == sorted(authority.members_at([m]))
