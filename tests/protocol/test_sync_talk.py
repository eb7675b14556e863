"""What is said when: pushes, pieces, cursors, receipts, comparisons, and the host's duties."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.base.clock import Instant
from comity.base.errors import Reason
from comity.base.ids import CommitId
from comity.base.limits import (
    COMMITS_COUNT_MAX,
    COMMITS_RECORD_BYTES_MAX,
    RUNS_COUNT_MAX,
)
from comity.protocol.sync import TopicSync
from comity.protocol.sync_port import (
    Compared,
    Delivered,
    Progress,
    SaveCursor,
    Say,
    Serve,
    Take,
    records_of,
)
from comity.wire.records import (
    Commit,
    Commits,
    Refusal,
    Runs,
    Want,
)
from tests.protocol.topics import (
    KEY,
    TAG,
    Link,
    Log,
    View,
    drive,
    grow,
    id_of,
    level,
    lie,
    live,
    make,
    pair,
    some_log,
)

NOW = Instant(0)


def test_live_commits_are_pushed_once_and_acknowledged() -> None:
    """A commit goes to the peer that lacks it, not back; the peer says that it is durable."""
    left, right = pair(random.Random(5), shared=5, apart=0)
    link = Link(left, right)
    drive(link)
    commit = left.write(b"new")
    drive(link)
    assert level(left, right)
    assert link.left.sent.commits == 1
    assert link.right.sent.commits == 0
    pushed = [each for each in link.left.sent.records if isinstance(each, Commits)]
    assert [each.last for each in pushed] == [True]
    assert Delivered((id_of(commit),)) in link.left.outputs


def test_a_slow_peer_gets_one_piece_at_a_time() -> None:
    """Until the host says that a piece has left, no other is asked for."""
    left, right = pair(random.Random(6), shared=5, apart=0)
    link = Link(left, right)
    drive(link)
    for number in range(20):
        left.write(bytes((number,)))
    serves = [each for each in link.left.outputs if isinstance(each, Serve)]
    assert [len(each.ids) for each in serves] == [1]
    drive(link)
    serves = [each for each in link.left.outputs if isinstance(each, Serve)]
    assert [len(each.ids) for each in serves] == [1, 19]
    assert level(left, right)


def test_parents_are_offered_before_children() -> None:
    """After a cursor or level summaries nothing waits for a parent, however fast both write."""
    rng = random.Random(7)
    for _ in range(20):
        left, right = pair(rng, shared=10, apart=20)
        links = [Link(left, right)]
        drive(links[0])
        for _ in range(3):
            links[-1].cut()
            grow(rng, [left, right], rng.randrange(20))
            links.append(Link(left, right))
            while steps := links[-1].steps():
                rng.choice(steps)()
                if rng.random() < 0.2:
                    grow(rng, [left, right], 1)
        assert level(left, right)
        assert not any(end.orphaned for link in links[1:] for end in link.ends)


def test_progress_counts_down() -> None:
    """What is to go shrinks to nothing; bytes and commits are those that came."""
    rng = random.Random(8)
    full, _ = pair(rng, shared=700, apart=0)
    link = Link(Log("newcomer"), full)
    drive(link)
    progress = [each for each in link.left.outputs if isinstance(each, Progress)]
    to_go = [each.commits_to_go for each in progress]
    assert to_go == sorted(to_go, reverse=True)
    assert to_go[-1] == 0
    assert progress[-1].commits_received == 701
    assert progress[-1].bytes_received == sum(
        len(each.sealed) + len(each.beside) for each in full.commits.values()
    )


def test_a_cursor_is_saved_only_when_all_before_it_is_durable() -> None:
    """While a batch is on its way to disk, or a parent is missing, the cursor stays."""
    full, _ = pair(random.Random(9), shared=20, apart=0)
    link = Link(Log("newcomer"), full)
    left = link.left
    while not any(isinstance(each, Take) for each in left.outputs):
        for step in link.steps()[:1]:
            step()
    assert not any(isinstance(each, SaveCursor) for each in left.outputs)
    drive(link)
    assert left.outputs.count(SaveCursor(full.store, 21)) == 1


def test_a_missing_parent_is_asked_for_once() -> None:
    """A host that names missing parents makes one want of each, and no cursor meanwhile."""
    left, right = pair(random.Random(10), shared=3, apart=0)
    link = Link(left, right)
    drive(link)
    machine = link.left.machine
    lost = CommitId(b"x" * 32)
    (said,) = machine.want([lost, lost], NOW)
    assert said == Say(Want(TAG, (lost,)))
    assert machine.want([lost], NOW) == ()
    commit = make([right.commits[right.heads[0]]], b"child")
    outputs = machine.receive(Commits(TAG, (commit,), 99, last=True), NOW)
    take = next(each for each in outputs if isinstance(each, Take))
    assert machine.settle(take.number, [lost], NOW) == ()
    outputs = machine.receive(Commits(TAG, (), 0, last=True), NOW)
    assert outputs == ()
    assert machine.want([lost], NOW) == ()
    outputs = machine.receive(Commits(TAG, (commit,), 100, last=True), NOW)
    take = next(each for each in outputs if isinstance(each, Take))
    assert machine.settle(take.number, [], NOW) == (SaveCursor(right.store, 100),)


def test_a_refused_commit_does_not_block_and_is_not_wanted() -> None:
    """Junk that one side refuses for good leaves the digests apart, the rest level."""
    member, _ = pair(random.Random(11), shared=40, apart=0)
    relay = member.copy("relay", relay=True)
    junk, good = make([], b"junk"), make([], b"good")
    relay.add(junk)
    relay.add(good)
    member.junk[id_of(junk)] = None
    link = Link(member, relay)
    drive(link)
    assert live(link)
    assert id_of(good) in member.commits
    assert id_of(junk) not in member.commits
    wants = [each for each in link.left.sent.records if isinstance(each, Want)]
    assert [each.ids for each in wants] == [(id_of(good),)]


def test_what_the_peer_refused_is_not_offered_again() -> None:
    """A refusal names it: the next pass of this session leaves it out."""
    member, _ = pair(random.Random(11), shared=5, apart=0)
    relay = member.copy("relay", relay=True)
    junk = make([], b"junk")
    relay.add(junk)
    member.junk[id_of(junk)] = None
    link = Link(member, relay)
    drive(link)
    assert link.right.sent.commits == 1
    refusal = Refusal(Reason.BAD_SIGNATURE, "", TAG, (id_of(junk),))
    assert link.right.machine.receive(refusal, NOW) == ()
    link.left.do(link.left.machine.compare(NOW))
    drive(link)
    assert live(link)
    assert link.right.sent.commits == 1


def test_only_the_end_of_an_answer_is_its_last() -> None:
    """An answer in several pieces says which one ends it, and each says how far it goes."""
    full, _ = pair(random.Random(17), shared=699, apart=0)
    link = Link(full, Log("newcomer"))
    drive(link)
    sent = [each for each in link.left.sent.records if isinstance(each, Commits)]
    assert [(each.arrival, each.last) for each in sent] == [
        (256, False),
        (512, False),
        (700, True),
    ]


def test_a_cursor_of_a_store_that_was_put_back_is_forgotten() -> None:
    """A cursor behind the end of the peer's store is no cursor, and is replaced."""
    left, right = pair(random.Random(18), shared=50, apart=20)
    left.cursors["right", right.store] = 10**9
    link = Link(left, right)
    drive(link)
    assert level(left, right)
    assert left.cursors["right", right.store] == len(right.order)


def test_a_pass_offers_nothing_that_the_pump_will_bring() -> None:
    """Commits that wait for a slow link are not sent twice because a comparison found them."""
    left, right = pair(random.Random(19), shared=50, apart=0)
    link = Link(left, right)
    drive(link)
    for number in range(6):
        left.write(bytes((number,)))
    link.right.do(link.right.machine.compare(NOW))
    held, link.left.jobs = link.left.jobs, type(link.left.jobs)()
    drive(link)
    assert link.right.duplicates == 0
    link.left.jobs = held
    drive(link)
    assert level(left, right)
    assert live(link)
    assert link.right.duplicates <= 1  # the one that was on its way


def test_compared_tells_the_heads_of_a_member() -> None:
    """The opening is short; a later comparison names the heads, so that they can be judged."""
    left, right = pair(random.Random(12), shared=9, apart=0)
    link = Link(left, right)
    drive(link)
    link.left.do(link.left.machine.compare(NOW))
    drive(link)
    seen = [each for each in link.left.outputs if isinstance(each, Compared)]
    assert [each.theirs.heads for each in seen] == [(), right.heads]
    assert all(each.equal for each in seen)


def test_both_may_ask_to_compare_at_once() -> None:
    """Requests that cross answer one another."""
    left, right = pair(random.Random(13), shared=9, apart=0)
    link = Link(left, right)
    drive(link)
    for end in link.ends:
        end.do(end.machine.compare(NOW))
    drive(link)
    assert live(link)
    assert [len(each.sent.records) for each in link.ends] == [2, 2]


def test_a_lost_commit_is_found_by_the_next_comparison() -> None:
    """What a peer withheld from its pushes comes with the next pass, from either side."""
    for asks in (0, 1):
        left, right = pair(random.Random(14), shared=50, apart=0)
        link = Link(left, right)
        drive(link)
        for log, word in ((left, b"one"), (right, b"two")):
            log.add(make([log.commits[log.heads[0]]], word))  # nobody is told
        assert not level(left, right)
        end = link.ends[asks]
        end.do(end.machine.compare(NOW))
        drive(link)
        assert level(left, right)
        assert live(link)


def test_sets_that_share_little_take_several_passes() -> None:
    """An incomplete pass is followed by another by itself, and the deadline says when."""
    rng = random.Random(15)
    left, right = Log("left", relay=True), Log("right", relay=True)
    for log in (left, right):
        for number in range(34_000):
            log.add(Commit(number.to_bytes(8, "little") + b"\0" + rng.randbytes(16), bytes(64)))
    link = Link(left, right)
    drive(link)
    assert level(left, right)
    assert live(link)
    completes = [each.complete for each in link.left.synced]
    assert completes[-1]
    assert not all(completes)
    assert link.left.machine.deadline is None


# Hosts


def test_a_host_that_errs_is_told() -> None:
    """Our own mistakes are assertions, never silence."""
    log = some_log()
    machine = TopicSync(View(log, "x"), tag=TAG, key=KEY, initiator=True)
    with pytest.raises(AssertionError):
        machine.receive(lie(), NOW)
    machine.start(NOW)
    mistakes: list[Callable[[], object]] = [
        lambda: machine.start(NOW),
        lambda: machine.served(NOW),
        lambda: machine.settle(1, [], NOW),
        lambda: machine.stored([CommitId(bytes(32))], NOW, from_peer=True),
    ]
    for mistake in mistakes:
        with pytest.raises(AssertionError):
            mistake()


@given(
    sizes=st.lists(st.tuples(st.integers(1, 200_000), st.booleans()), max_size=30),
    last=st.booleans(),
)
def test_records_are_cut_to_size_and_the_last_tells(
    *, sizes: list[tuple[int, bool]], last: bool
) -> None:
    """Order is kept, runs stand apart, every bound holds, only the last carries the claim."""
    commits = [Commit(bytes(size), b"" if is_run else bytes(64)) for size, is_run in sizes]
    ids = tuple(id_of(each) for each in commits)
    cut = records_of(TAG, Serve(ids, 7, last), commits)
    assert [each for record in cut for each in inside(record)] == commits
    said = [each for each in cut if isinstance(each, Commits)]
    assert said[-1] is cut[-1]
    assert [(each.arrival, each.last) for each in said] == [(0, False)] * (len(said) - 1) + [
        (7, last)
    ]
    for record in cut:
        bulk = sum(len(each.sealed) + len(each.beside) for each in inside(record))
        assert bulk <= COMMITS_RECORD_BYTES_MAX or len(inside(record)) == 1
        assert all(each.is_run == isinstance(record, Runs) for each in inside(record))


def inside(record: Commits | Runs) -> tuple[Commit, ...]:
    """Return what a record holds, as it is read for it."""
    if isinstance(record, Runs):
        return tuple([Commit(run, b"") for run in record.runs])
    return record.commits


def test_a_record_holds_so_many_commits() -> None:
    """Small commits are bounded by their number."""
    commits = [Commit(b"x", bytes(64))] * (COMMITS_COUNT_MAX + 1)
    cut = records_of(TAG, Serve((), 7, last=True), commits)
    assert [len(inside(each)) for each in cut] == [COMMITS_COUNT_MAX, 1]
    runs = [Commit(b"x", b"")] * (RUNS_COUNT_MAX + 1)
    packed = records_of(TAG, Serve((), 7, last=True), runs)
    assert [len(inside(each)) for each in packed] == [RUNS_COUNT_MAX, 1, 0]
