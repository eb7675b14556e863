"""Two logs become level, whatever order things happen in, and for little beside the data."""

from __future__ import annotations

import random
from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st

from comity.base.clock import Instant
from comity.protocol.sync_port import (
    Synced,
)
from comity.wire.records import (
    Reconcile,
    Since,
    Summary,
)
from tests.protocol.topics import (
    Link,
    Log,
    grow,
    half_trips,
    level,
    live,
    make,
    pair,
    settle,
)

seeds = st.integers(0, 2**32)
NOW = Instant(0)


@settings(max_examples=100)
@given(seeds, st.integers(0, 40), st.integers(0, 60))
@example(0, 25, 42)  # parents were asked for again while their answer was being stored
def test_both_directions_converge_while_both_write(seed: int, shared: int, apart: int) -> None:
    """Random pasts, random order of delivery and disk, commits made in between: level."""
    rng = random.Random(seed)
    left, right = pair(rng, shared=shared, apart=apart)
    link = Link(left, right)
    for _ in range(rng.randrange(40)):
        for step in link.steps()[:1]:
            step()
        grow(rng, [left, right], rng.randrange(2))
    settle([link], rng)
    assert level(left, right)
    assert live(link)
    for end in link.ends:
        assert not end.failed
        assert end.synced
        assert end.duplicates == 0


@settings(max_examples=60)
@given(seeds)
def test_synced_is_said_when_everything_is_here(seed: int) -> None:
    """Each end says it once, not before all that the other had is on its disk."""
    rng = random.Random(seed)
    left, right = pair(rng, shared=20, apart=60)
    union = len({**left.commits, **right.commits})
    link = Link(left, right)
    settle([link], rng)
    for end in link.ends:
        assert len(end.synced) == 1
        assert end.held_when_synced == union


@settings(max_examples=60)
@given(seeds, st.integers(1, 60))
def test_a_newcomer_gets_everything_by_arrival(seed: int, count: int) -> None:
    """Whoever has nothing reads from the start; nothing comes twice, nothing goes back."""
    rng = random.Random(seed)
    full, empty = pair(rng, shared=count, apart=0)
    empty = Log("newcomer")
    link = Link(*((full, empty) if rng.random() < 0.5 else (empty, full)))
    settle([link], rng)
    assert level(full, empty)
    assert live(link)
    newcomer = link.ends[link.ends[0].log is full]
    assert newcomer.sent.commits == 0
    assert newcomer.duplicates == 0
    assert not any(isinstance(each, Reconcile) for each in newcomer.sent.records)


@settings(max_examples=60)
@given(seeds)
def test_a_relay_between_two_members_brings_them_together(seed: int) -> None:
    """Members that never meet are level through a relay, which looks at nothing."""
    rng = random.Random(seed)
    left, right = pair(rng, shared=rng.randrange(10), apart=30)
    relay = Log("relay", relay=True)
    links = [Link(left, relay), Link(right, relay)]
    for _ in range(rng.randrange(60)):
        possible = [step for link in links for step in link.steps()]
        rng.choice(possible or [lambda: None])()
        grow(rng, [left, right], rng.randrange(2))
    settle(links, rng)
    assert level(left, right, relay)
    assert live(*links)


@settings(max_examples=40)
@given(seeds, st.integers(2, 4))
def test_a_chain_and_a_ring_of_members_converge(seed: int, count: int) -> None:
    """Live commits travel on; in a ring some arrive twice, and the second one ends there."""
    rng = random.Random(seed)
    left, right = pair(rng, shared=5, apart=10)
    logs = [left, right, *(Log(f"more {number}") for number in range(count))]
    links = [Link(one, other) for one, other in pairwise(logs)]
    if rng.random() < 0.5:
        links.append(Link(logs[-1], logs[0]))
    settle(links, rng)
    grow(rng, logs, 20)
    settle(links, rng)
    assert level(*logs)
    assert live(*links)


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_a_session_lost_at_any_message_is_begun_again(seed: int) -> None:
    """For every k: the session is lost after k messages; the next one completes it."""
    rng = random.Random(seed)
    start = pair(rng, shared=8, apart=12)
    cuts = 0
    while True:
        left, right = (log.copy() for log in start)
        link = Link(left, right)
        steps = 0
        while link.steps() and steps < cuts:
            rng.choice(link.steps())()
            steps += 1
        finished = not link.steps()
        link.cut()
        again = Link(right, left) if rng.random() < 0.5 else Link(left, right)
        settle([again], rng)
        assert level(left, right)
        assert live(again)
        if finished:
            break
        cuts += 1 + cuts // 8
    assert cuts > 5 or level(*start)


@settings(max_examples=60)
@given(seeds, st.integers(2, 6))
def test_many_lost_sessions_with_a_relay(seed: int, count: int) -> None:
    """Sessions come and go on both sides of a relay while members write."""
    rng = random.Random(seed)
    left, right = pair(rng, shared=3, apart=10)
    relay = Log("relay", relay=True)
    for _ in range(count):
        links = [Link(left, relay), Link(relay, right)]
        for _ in range(rng.randrange(80)):
            possible = [step for link in links for step in link.steps()]
            rng.choice(possible or [lambda: None])()
            if rng.random() < 0.1:
                grow(rng, [left, right], 1)
        for link in links:
            assert not link.left.failed
            assert not link.right.failed
            link.cut()
    settle([Link(left, relay), Link(relay, right)], rng)
    assert level(left, right, relay)


# What it costs


def test_equal_logs_exchange_one_record_each() -> None:
    """One round trip and under 200 bytes for both sides together."""
    left, right = pair(random.Random(1), shared=50, apart=0)
    link = Link(left, right)
    assert half_trips(link) == 1
    assert link.left.sent.bytes + link.right.sent.bytes <= 140
    assert live(link)
    assert link.left.synced == [Synced(0, 0, complete=True)]
    assert left.cursors == {("right", right.store): 51}


def test_a_cursor_brings_a_day_in_one_round_trip_beside_the_data() -> None:
    """Summaries cross, Since goes, everything comes; what else is said is small."""
    rng = random.Random(2)
    left, right = pair(rng, shared=300, apart=0)
    link = Link(left, right)
    settle([link], rng)
    link.cut()
    tip = next(right.commits[each] for each in right.heads)
    for _ in range(1_000):
        tip = make([tip], rng.randbytes(100))
        right.add(tip)
    link = Link(left, right)
    assert half_trips(link, until=lambda: level(left, right)) == 3
    assert half_trips(link) == 2
    assert live(link)
    assert link.left.sent.overhead < 200
    assert link.right.sent.commits == 1_000
    assert link.right.sent.overhead < 9_000
    assert link.left.duplicates == 0
    kinds = [type(each) for each in link.left.sent.records]
    assert kinds == [Summary, Since, Summary]


def test_ten_recent_differences_at_first_contact() -> None:
    """Under 3 kB for both sides, receipts included, and at most 4 round trips."""
    rng = random.Random(3)
    left, right = Log("left"), Log("right")
    tip = make([], b"genesis")
    for _ in range(20_000):
        left.add(tip)
        right.add(tip)
        tip = make([tip], rng.randbytes(16))
    for log in (left, right):
        log.add(tip)
        branch = tip
        for _ in range(5):
            branch = make([branch], rng.randbytes(100))
            log.add(branch)
    link = Link(left, right)
    assert half_trips(link, until=lambda: level(left, right)) <= 8
    half_trips(link)
    assert level(left, right)
    assert live(link)
    assert link.left.sent.overhead + link.right.sent.overhead <= 3_000
    assert link.left.duplicates + link.right.duplicates == 0


def test_what_was_written_here_is_not_fetched_back_by_the_cursor() -> None:
    """A peer tells how far its store has come when only our own commits moved it."""
    rng = random.Random(4)
    left, right = pair(rng, shared=3, apart=0)
    link = Link(left, right)
    settle([link], rng)
    grow(rng, [left], 50)
    settle([link], rng)
    link.cut()
    right.add(make([right.commits[right.heads[0]]], b"one more"))
    link = Link(left, right)
    settle([link], rng)
    assert level(left, right)
    assert link.right.sent.commits == 1
