"""Random graphs in which anybody does anything: the runtime against the naive twin."""

from __future__ import annotations

import os
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comity.authority.claim import Standing, claim_of
from comity.base.ids import CommitId, DeviceId
from comity.log.entries import AddEntry, AdoptEntry, RemoveEntry, Role
from comity.log.graph import Graph
from comity.log.inner import CommitGrant, Grant, RootGrant
from tests.authority.folding import FoldingReplica, play_turns, shown_by
from tests.authority.naive import Commit, Naive, Result
from tests.authority.world import (
    Pick,
    Replica,
    Story,
    byzantine,
    device_id,
    extend,
    inner_of,
    shuffled,
)

DEVICES = [device_id(name) for name in ("R0", "R1", "A", "B", "C", "D")]

GRAPHS = 200
"""Random graphs in `make test`."""

EVIL_COMMITS = 8
"""What one attacker adds to a graph: enough to try several removals that are backdated."""

GRAPHS_SOAK = int(os.environ.get("COMITY_SOAK_GRAPHS", "5000"))
ORDERS_SOAK = 20


def pick_from(seed: int) -> Pick:
    """Return a source of choices that a seed fixes."""
    return random.Random(seed).randrange


def graph_of(seed: int, *, most: int = 32) -> Naive:
    """Return the random graph of a seed."""
    pick = pick_from(seed)
    return byzantine(pick, DEVICES, 6 + pick(most - 6))


def listed(naive: Naive) -> list[Commit]:
    """Return the commits of a graph, the genesis first."""
    return list(naive.commits.values())


def play(commits: list[Commit], *, real: bool = False) -> Replica:
    """Feed commits in a given order, to a replica that has the genesis."""
    replica = Replica(DEVICES[:2], Graph() if real else None)
    for commit in commits:
        replica.take(commit)
    return replica


def check_orders(seed: int, orders: int) -> tuple[Result, int]:
    """Hold that every delivery order ends as the twin says, in members, turns and state bytes.

    Returns the twin's result, and how often a turn that a cell had folded was taken back.
    """
    naive = graph_of(seed)
    pick = pick_from(seed + 1)
    commits, expected = play_turns(pick, naive), naive.result()
    state, flips = b"", 0
    for order in range(orders):
        replica = FoldingReplica(DEVICES[:2])
        for commit in shuffled(commits, pick):
            replica.take(commit)
            if pick(4) == 0:
                flips += len(replica.flips)
                replica.fold()
        assert replica.result() == expected, seed
        folded = replica.fold()
        if order == 0:
            replica.authority.check()
            replica.cell.check()
            state = replica.fold_at_once(naive, shown_by(naive))
        assert folded == state, seed
    return expected, flips


def test_every_order_ends_as_the_naive_twin_says() -> None:
    """Members, effective, adopted, quarantined, rejected, state bytes: equal on every order.

    All of them occur, states differ from graph to graph, and cells did have to take back.
    """
    totals = [0, 0, 0, 0]
    taken_back = 0
    for seed in range(GRAPHS):
        result, flips = check_orders(seed, 3)
        taken_back += flips
        kinds = (result.effective, result.adopted, result.quarantined, result.rejected)
        totals = [total + len(kind) for total, kind in zip(totals, kinds, strict=True)]
    assert min(totals) > GRAPHS // 10, totals
    assert taken_back > GRAPHS // 4, taken_back


def test_what_is_hidden_shows_in_the_state() -> None:
    """The bytes that are compared do tell a hidden turn from a shown one."""
    differ = 0
    for seed in range(GRAPHS // 4):
        naive = graph_of(seed)
        replica = FoldingReplica(DEVICES[:2])
        for commit in play_turns(pick_from(seed + 1), naive)[1:]:
            replica.take(commit)
        everything = frozenset(naive.commits)
        differ += replica.fold() != replica.fold_at_once(naive, everything)
    assert differ > GRAPHS // 40, differ


QUARANTINED_PAST = """
a   R0  r0  g      add A writer
b   R0  r0  a      add B writer
x1  A   a   b      data
x2  A   a   x1     data
y1  B   b   x1     data
r   R0  r0  b      remove A
y2  B   b   y1,r   data
z1  R0  r0  y2     data
y3  B   b   y2     data
z2  R0  r0  z1,y3  data
x3  A   a   x2     data
ad  R0  r0  z2,x2  adopt x2
w   R0  r0  ad     data
y4  B   b   y3     data
m   R0  r0  w,y4   data
"""
"""B wrote on what A wrote, not knowing of A's removal; then some wrote seeing it hidden, some
on what was adopted of it, and the last on all of that."""


def test_positions_are_read_in_the_version_that_their_author_saw() -> None:
    """Every order ends alike where hidden turns lie in the past, and to forget them would show.

    Who never gets the one that stays hidden sees the same.
    """
    story = Story(QUARANTINED_PAST)
    assert story.quarantined == "x3"
    assert story.adopted == "x1 x2"
    naive, shown = story.twin, shown_by(story.twin)
    forgetting = 0
    for seed in range(GRAPHS // 2):
        pick = pick_from(seed)
        commits = play_turns(pick, naive, kinds=(2, 3, 4, 4, 5))
        states: dict[bytes, None] = {}
        replica = FoldingReplica(DEVICES[:2])
        for _ in range(4):
            replica = FoldingReplica(DEVICES[:2])
            for commit in shuffled(commits, pick):
                replica.take(commit)
                if pick(4) == 0:
                    replica.fold()
            states[replica.fold()] = None
            replica.cell.check()
            states[replica.fold_at_once(naive, shown)] = None
        assert len(states) == 1, seed
        lacking = FoldingReplica(DEVICES[:2])
        for commit in commits[1:]:
            if commit.name not in naive.result().quarantined:
                lacking.take(commit)
                lacking.fold()
        assert lacking.cell.snapshot() == replica.cell.snapshot(), seed
        ignorant = FoldingReplica(DEVICES[:2])
        ignorant.log, ignorant.turns = replica.log, replica.turns
        ignorant.forgets = True
        hide = [i for i in range(len(replica.turns)) if replica.log.id_of(i) not in shown]
        ignorant._feed(range(len(replica.turns)), hide)
        forgetting += ignorant.cell.state_bytes() not in states
    assert forgetting > 2, forgetting


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(20))
def test_every_order_ends_as_the_naive_twin_says_at_length(part: int) -> None:
    """The same on 5,000 graphs (COMITY_SOAK_GRAPHS) in 20 orders each."""
    for seed in range(part, GRAPHS_SOAK, 20):
        check_orders(1_000_000 + seed, ORDERS_SOAK)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_counterexample_would_shrink(data: st.DataObject) -> None:
    """The same property under Hypothesis, which makes a small graph of a bad one."""

    def pick(count: int) -> int:
        return data.draw(st.integers(0, count - 1))

    naive = byzantine(pick, DEVICES[:5], 1 + pick(10))
    commits, expected = listed(naive), naive.result()
    assert play(shuffled(commits, pick)).result() == expected
    assert play(commits[1:]).result() == expected


def test_static_never_changes_its_mind() -> None:
    """What before(c) alone says, everything says: more commits change no verdict."""
    judged = 0
    for seed in range(5000, 5000 + GRAPHS // 2):
        whole = graph_of(seed)
        commits = listed(whole)
        everything = play(commits[1:])
        for commit in commits[1:]:
            before = whole.past[commit.name]
            alone = play([each for each in commits[1:] if each.name in before])
            alone.take(commit)
            expected = everything.refusals.get(commit.name)
            assert alone.refusals.get(commit.name) == expected
            judged += 1
            if any(parent in everything.refusals for parent in commit.parents):
                continue
            # Judging again, when all is known, finds the same.
            seq = 0 if commit.backlink is None else everything.seqs[commit.backlink] + 1
            claim = claim_of(everything.graph, inner_of(commit, seq), 0)
            refusal = everything.authority.judge(claim)
            assert (None if refusal is None else refusal.reason) == expected
    assert judged > GRAPHS


def taints(naive: Naive, grant: Grant, device: DeviceId) -> bool:
    """Tell whether a grant's chain holds a grant of a device."""
    return any(naive.device(each) == device for each in naive.chain(grant))


def check_no_harm(seed: int) -> int:
    """Let one device add anything anywhere; return how many honest commits were looked at."""
    pick = pick_from(seed)
    naive = graph_of(seed, most=24)
    before = naive.result()
    version = frozenset(naive.commits) - before.rejected
    live = [each for each in naive.grants(version) if naive.live(each, before.effective)]
    outsider = device_id("EVIL")
    members = [DeviceId(each) for each in sorted(before.members) if each != DEVICES[0]]
    evil = outsider if pick(8) == 0 or not members else members[pick(len(members))]
    for _ in range(EVIL_COMMITS):
        naive.take(extend(pick, [*DEVICES, outsider], naive, by=evil))
    after = naive.result()
    assert play(shuffled(listed(naive), pick)).result() == after
    for name in before.effective | before.adopted:
        commit = naive.commits[name]
        if name in after.effective | after.adopted or commit.author == evil:
            continue
        adopters = [
            naive.commits[other].auth
            for other in before.effective
            if isinstance(naive.commits[other].entry, AdoptEntry)
        ]
        # Hidden, or an adoption of it undone: only by one who stands above whoever acted.
        assert taints(naive, commit.auth, evil) or (
            name in before.adopted and any(taints(naive, each, evil) for each in adopters)
        ), (seed, evil)
    for grant in live:
        # What was dead before was not lost, so it is each grant that counts, not each device.
        assert naive.live(grant, after.effective) or taints(naive, grant, evil), (seed, evil)
    if evil == outsider:
        assert after.members == before.members
        assert after.effective == before.effective
        assert len(after.rejected) == len(before.rejected) + EVIL_COMMITS
    return len(before.effective)


def test_no_harm_but_from_above() -> None:
    """No commit is hidden, no grant lost, by one who stands nowhere in the chain."""
    assert sum(check_no_harm(9000 + seed) for seed in range(GRAPHS)) > 4 * GRAPHS


@pytest.mark.soak
def test_no_harm_but_from_above_at_length() -> None:
    """The same on many more graphs."""
    for seed in range(GRAPHS_SOAK):
        check_no_harm(2_000_000 + seed)


def test_the_first_root_is_safe() -> None:
    """Nothing that others do hides a commit of root_0 or ends its membership."""
    kept = 0
    for seed in range(20_000, 20_000 + GRAPHS):
        commits = listed(graph_of(seed))
        root = DEVICES[0]
        leaves = any(each.author == root and each.leaves for each in commits)
        if leaves:
            continue
        replica = play(commits[1:])
        result = replica.result()
        assert result.members[root] is Role.ADMIN
        own = {
            each.name for each in commits if each.author == root and each.auth == RootGrant(0)
        } - result.rejected
        assert own <= result.effective
        kept += len(own)
    assert kept > GRAPHS


def test_a_member_is_never_refused() -> None:
    """On all that is not quarantined, under the grant it is told to use, a member may act.

    And the members of that version are the members of the present: the removals that it lacks
    are quarantined ones, which count for nothing.
    """
    acted = 0
    for seed in range(30_000, 30_000 + GRAPHS):
        replica = play(listed(graph_of(seed))[1:])
        authority, graph = replica.authority, replica.graph
        count = len(authority)
        standing = [authority.standing(index) for index in range(count)]
        good = [index for index in range(count) if standing[index] is Standing.EFFECTIVE]
        heads = [i for i in good if not any(graph.is_before(i, other) for other in good)]
        assert authority.members_at(heads) == authority.members()
        for removal in authority.removals():
            assert any(removal == head or graph.is_before(removal, head) for head in heads)
        parents = tuple(sorted(graph.id_of(head) for head in heads))
        for device, role in authority.members().items():
            grant = authority.grant_for(device)
            assert grant is not None
            entry = None if role is not Role.ADMIN else RemoveEntry(device)
            commit = Commit(
                b"n" * 32, device, grant, parents, None, entry, role and Role.WRITER
            )
            claim = claim_of(graph, inner_of(commit, 0), 0)
            assert authority.judge(claim) is None, (seed, role)
            acted += 1
    assert acted > 2 * GRAPHS


def test_members_of_any_version() -> None:
    """`members_at` is what the twin says of the same past."""
    asked = 0
    for seed in range(40_000, 40_000 + GRAPHS // 2):
        naive = graph_of(seed)
        replica = play(listed(naive)[1:])
        pick = pick_from(seed)
        accepted = [name for name in naive.commits if name not in naive.rejected]
        for _ in range(4):
            heads = [accepted[pick(len(accepted))] for _ in range(1 + pick(3))]
            version = frozenset(heads).union(*(naive.past[head] for head in heads))
            indexes = [replica.graph.index_of(CommitId(head)) for head in heads]
            known = [index for index in indexes if index is not None]
            assert replica.authority.members_at(known) == naive.members(version)
            asked += 1
    assert asked == 4 * (GRAPHS // 2)


def test_what_any_version_hides() -> None:
    """`hidden_in` is what the twin says of the same past, of one head or several."""
    hid = shown = 0
    for seed in range(45_000, 45_000 + GRAPHS):
        naive = graph_of(seed)
        replica = play(listed(naive)[1:])
        pick = pick_from(seed)
        accepted = [name for name in naive.commits if name not in naive.rejected]
        for turn in range(8):
            heads = [accepted[pick(len(accepted))] for _ in range(1 + (turn % 2) * pick(3))]
            version = frozenset(heads).union(*(naive.past[head] for head in heads))
            visible = naive.dynamic(version) | naive.adopted(version)
            indexes = [replica.graph.index_of(CommitId(head)) for head in heads]
            known = [index for index in indexes if index is not None]
            hidden = replica.authority.hidden_in(known)
            assert {replica.graph.id_of(index) for index in hidden} == version - visible
            assert list(hidden) == sorted(hidden)
            hid += len(hidden)
            shown += len(naive.adopted(version) - naive.dynamic(version))
    assert hid > GRAPHS
    assert shown > GRAPHS // 20


def test_every_standing_is_explained() -> None:
    """`why` says counts, shown or hidden as the standing is, and names a removal for hidden."""
    words = {
        Standing.EFFECTIVE: " counts: ",
        Standing.ADOPTED: " is shown: ",
        Standing.QUARANTINED: " is hidden: ",
    }
    for seed in range(50_000, 50_000 + GRAPHS // 2):
        authority = play(listed(graph_of(seed))[1:]).authority
        for index in range(len(authority)):
            text = authority.why(index)
            assert words[authority.standing(index)] in text
            assert text.endswith(".")


def test_the_generator_reaches_depth() -> None:
    """Chains of three adds, killed adds and adoptions do occur: the tests above see them."""
    depth = adds_hidden = 0
    for seed in range(GRAPHS):
        naive = graph_of(seed)
        result = naive.result()
        for name in result.effective | result.quarantined:
            commit = naive.commits[name]
            is_add = isinstance(commit.entry, AddEntry)
            if is_add:
                depth = max(depth, len(naive.chain(CommitGrant(CommitId(name)))))
            adds_hidden += is_add and name in result.quarantined
    assert depth >= 4
    assert adds_hidden > 10
