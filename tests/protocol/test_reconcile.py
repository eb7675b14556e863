"""Reconciliation finds exactly the differences, for few bytes, whatever the other side says."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comity.base.canonical import varint
from comity.base.errors import Reason, Rejected
from comity.base.ids import CommitId
from comity.base.limits import RANGES_MAX, RECONCILE_BYTES_MAX, RECONCILE_MESSAGES_MAX
from comity.protocol.reconcile import LIST_IDS_MAX, Item, Outcome, Reconciler

KEY = bytes(range(64))
seeds = st.integers(0, 2**32)
EMPTY = b"\x01"
SKIP, FINGERPRINT, LIST = 0x00, 0x40, 0x80
END = 63


def word(number: int) -> CommitId:
    """Return an id that starts with its number."""
    return CommitId(number.to_bytes(32, "big"))


def random_items(rng: random.Random, count: int, gens: int) -> list[Item]:
    """Return different items."""
    return [(rng.randrange(gens), CommitId(rng.randbytes(32))) for _ in range(count)]


class Run:
    """A whole reconciliation between two sets."""

    def __init__(self, ours: Sequence[Item], theirs: Sequence[Item]) -> None:
        sides = [
            Reconciler(sorted(ours), KEY, initiator=True),
            Reconciler(sorted(theirs), KEY, initiator=False),
        ]
        self.sizes: list[int] = []
        self.missing: list[dict[CommitId, None]] = [{}, {}]
        self.complete = False
        body: bytes | None = sides[0].initiate()
        turn = 1
        finished = [False, False]
        while body is not None:
            assert len(body) <= RECONCILE_BYTES_MAX
            self.sizes.append(len(body))
            outcome = sides[turn].receive(body)
            assert isinstance(outcome, Outcome), outcome
            self.missing[turn].update(dict.fromkeys(outcome.need))
            self.missing[1 - turn].update(dict.fromkeys(outcome.have))
            self.complete = outcome.complete
            finished[turn] = outcome.done
            body, turn = outcome.reply, 1 - turn
        assert all(finished)
        assert len(self.sizes) <= RECONCILE_MESSAGES_MAX
        assert sides[0].messages == sides[1].messages == len(self.sizes)

    @property
    def bytes(self) -> int:
        """All bytes, both directions."""
        return sum(self.sizes)


def ids_of(items: Sequence[Item]) -> set[CommitId]:
    """Return the ids."""
    return {identifier for _, identifier in items}


@settings(max_examples=150)
@given(
    seeds,
    st.integers(0, 400),
    st.integers(0, 60),
    st.integers(0, 60),
    st.sampled_from([1, 3, 50, 2**64]),
)
def test_exactly_the_differences_are_found(
    seed: int, common: int, only_ours: int, only_theirs: int, gens: int
) -> None:
    """Each side's lack is found, whole, and nothing that it has."""
    rng = random.Random(seed)
    both, ours, theirs = (
        random_items(rng, count, gens) for count in (common, only_ours, only_theirs)
    )
    run = Run(both + ours, both + theirs)
    assert run.complete
    assert set(run.missing[0]) == ids_of(theirs)
    assert set(run.missing[1]) == ids_of(ours)


@given(st.integers(0, 200), st.integers(0, 200), st.sampled_from([100, 10_000]))
def test_ids_that_share_long_beginnings_are_told_apart(
    ours: int, theirs: int, offset: int
) -> None:
    """Bounds are as long as they must be, up to the last byte of an id."""
    first = [(7, word(number)) for number in range(ours)]
    second = [(7, word(number + offset)) for number in range(theirs)]
    run = Run(first, second)
    assert set(run.missing[0]) == ids_of(second) - ids_of(first)
    assert set(run.missing[1]) == ids_of(first) - ids_of(second)


@given(seeds, st.integers(0, 3_000))
def test_equal_sets_take_one_round_trip(seed: int, count: int) -> None:
    """One message, and the empty one back."""
    items = random_items(random.Random(seed), count, 100)
    run = Run(items, items)
    assert run.complete
    assert len(run.sizes) == 2
    assert run.sizes[1] == 1
    assert run.missing == [{}, {}]
    assert count <= LIST_IDS_MAX or run.bytes < 500


@pytest.mark.parametrize(("kind", "bytes_max"), [("recent", 2_500), ("scattered", 15_000)])
def test_ten_differences_in_a_hundred_thousand(kind: str, bytes_max: int) -> None:
    """Recent ones, which is what happens, cost under 3 kB; scattered ones a list each."""
    rng = random.Random(1)
    common = [(gen, CommitId(rng.randbytes(32))) for gen in range(100_000)]
    gens = range(99_980, 100_000) if kind == "recent" else range(100_000)
    found = [(rng.choice(gens), CommitId(rng.randbytes(32))) for _ in range(10)]
    run = Run(common + found[:5], common + found[5:])
    assert run.complete
    assert set(run.missing[0]) | set(run.missing[1]) == ids_of(found)
    assert len(run.sizes) <= 6
    assert run.bytes <= bytes_max


def test_a_newcomer_lists_nothing() -> None:
    """Whoever has all learns from an empty list that the other side has none."""
    rng = random.Random(2)
    items = [(gen, CommitId(rng.randbytes(32))) for gen in range(20_000)]
    for run in (Run(items, []), Run([], items)):
        assert run.complete
        assert run.bytes < 1_000
        assert len(run.missing[0]) + len(run.missing[1]) == 20_000


def test_sets_that_share_little_get_nearer_with_every_pass() -> None:
    """A pass ends at 16 messages; what it found is exchanged, and a few passes find all."""
    rng = random.Random(3)
    ours, theirs = ([(g, CommitId(rng.randbytes(32))) for g in range(40_000)] for _ in "ab")
    passes = 0
    while True:
        run = Run(ours, theirs)
        passes += 1
        if run.complete:
            break
        assert len(run.sizes) == RECONCILE_MESSAGES_MAX
        assert run.missing[0]
        assert run.missing[1]
        mine = [each for each in theirs if each[1] in run.missing[0]]
        theirs += [each for each in ours if each[1] in run.missing[1]]
        ours += mine
    assert 2 <= passes <= 4
    assert set(run.missing[0]) == ids_of(theirs) - ids_of(ours)


def test_another_key_makes_other_fingerprints() -> None:
    """What was seen in one session says nothing in another."""
    items = [(gen, word(gen)) for gen in range(100)]
    one, other = (Reconciler(items, key, initiator=True).initiate() for key in (KEY, KEY[::-1]))
    assert len(one) == len(other)
    assert one != other


def test_the_set_is_copied() -> None:
    """Commits that come while it lasts do not disturb it."""
    items = [(gen, word(gen)) for gen in range(100)]
    ours = Reconciler(items, KEY, initiator=True)
    theirs = Reconciler(items, KEY, initiator=False)
    first = ours.initiate()
    items.append((100, word(100)))
    outcome = theirs.receive(first)
    assert isinstance(outcome, Outcome)
    assert outcome.complete


# Hostile peers


def head(mode: int, gen: int, prefix: bytes = b"") -> bytes:
    """Write the head of a range."""
    return bytes((mode | len(prefix),)) + varint(gen) + prefix


def to_the_end(mode: int) -> bytes:
    """Write the head of the last range."""
    return bytes((mode | END,))


PRINT = bytes(16)
REFUSED = {
    "nothing": (b"", Reason.MALFORMED),
    "version": (b"\x02", Reason.UNSUPPORTED),
    "mode": (EMPTY + head(0xC0, 1), Reason.MALFORMED),
    "empty range": (EMPTY + head(FINGERPRINT, 0) + PRINT, Reason.MALFORMED),
    "same bound": (
        EMPTY + head(FINGERPRINT, 5) + PRINT + head(LIST, 0) + b"\0",
        Reason.MALFORMED,
    ),
    "prefix falls": (
        EMPTY + head(FINGERPRINT, 5, b"b") + PRINT + head(LIST, 0, b"a") + b"\0",
        Reason.MALFORMED,
    ),
    "prefix too long": (EMPTY + bytes((LIST | 33,)) + b"\1" + bytes(34), Reason.MALFORMED),
    "after the end": (
        EMPTY + to_the_end(FINGERPRINT) + PRINT + head(FINGERPRINT, 9) + PRINT,
        Reason.MALFORMED,
    ),
    "gen overflows": (
        EMPTY + head(LIST, 2**64 - 1) + b"\0" + head(LIST, 1) + b"\0",
        Reason.MALFORMED,
    ),
    "long list": (EMPTY + to_the_end(LIST) + b"\x20" + bytes(32 * 32), Reason.MALFORMED),
    "id twice": (EMPTY + to_the_end(LIST) + b"\2" + bytes(64), Reason.MALFORMED),
    "cut list": (EMPTY + to_the_end(LIST) + b"\2" + bytes(63), Reason.MALFORMED),
    "cut fingerprint": (EMPTY + to_the_end(FINGERPRINT) + bytes(15), Reason.MALFORMED),
    "skip at the end": (EMPTY + head(SKIP, 1), Reason.MALFORMED),
    "two skips": (
        EMPTY + head(SKIP, 1) + head(SKIP, 1) + to_the_end(LIST) + b"\0",
        Reason.MALFORMED,
    ),
    "padded number": (EMPTY + bytes((LIST,)) + b"\x81\x00" + b"\0", Reason.MALFORMED),
    "too many ranges": (EMPTY + (head(LIST, 1) + b"\0") * (RANGES_MAX + 1), Reason.TOO_BIG),
    "too many bytes": (EMPTY + bytes(RECONCILE_BYTES_MAX), Reason.TOO_BIG),
}


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_what_breaks_the_form_is_refused_and_ends_it(case: str) -> None:
    """Overlaps, wrong order, bombs: a value names the reason, and nothing follows."""
    body, reason = REFUSED[case]
    side = Reconciler([(1, word(1))], KEY, initiator=False)
    refusal = side.receive(body)
    assert isinstance(refusal, Rejected)
    assert refusal.reason is reason
    after = side.receive(EMPTY)
    assert isinstance(after, Rejected)
    assert after.reason is Reason.OUT_OF_TURN


@given(st.binary(max_size=200), st.integers(0, 100))
def test_no_bytes_raise(body: bytes, count: int) -> None:
    """Whatever comes is an outcome or a refusal, and ids that are had are had."""
    items = [(gen, word(gen)) for gen in range(count)]
    outcome = Reconciler(items, KEY, initiator=False).receive(EMPTY[:1] + body)
    if isinstance(outcome, Outcome):
        assert ids_of(items).issuperset(outcome.have)
        assert ids_of(items).isdisjoint(outcome.need)


@given(seeds, st.integers(0, 200), st.integers(0, 20))
def test_a_real_message_cut_anywhere_is_refused_or_shorter(
    seed: int, count: int, extra: int
) -> None:
    """Truncated messages never find what is not different; trailing bytes are refused."""
    rng = random.Random(seed)
    common = random_items(rng, count, 50)
    ours = sorted(common + random_items(rng, extra, 50))
    body = Reconciler(ours, KEY, initiator=True).initiate()
    for size in range(0, len(body), 7):
        outcome = Reconciler(sorted(common), KEY, initiator=False).receive(body[:size])
        if isinstance(outcome, Outcome):
            assert not outcome.have
    outcome = Reconciler(sorted(common), KEY, initiator=False).receive(body + b"\0")
    assert isinstance(outcome, Rejected)


def test_a_peer_that_always_disagrees_gets_sixteen_messages() -> None:
    """Ping-pong ends; the seventeenth message is out of turn."""
    items = [(gen, word(gen)) for gen in range(1_000)]
    side = Reconciler(items, KEY, initiator=False)
    lie = EMPTY + to_the_end(FINGERPRINT) + PRINT
    for number in range(1, RECONCILE_MESSAGES_MAX, 2):
        outcome = side.receive(lie)
        assert isinstance(outcome, Outcome)
        assert outcome.reply is not None
        assert outcome.done == (number + 1 == RECONCILE_MESSAGES_MAX)
        assert not outcome.complete
    refusal = side.receive(lie)
    assert isinstance(refusal, Rejected)
    assert refusal.reason is Reason.OUT_OF_TURN


def test_the_largest_answer_keeps_the_limit() -> None:
    """Thousands of ranges that differ: what does not fit becomes one fingerprint at the end."""
    rng = random.Random(4)
    items = sorted((g, CommitId(rng.randbytes(32))) for g in range(60_000))
    side = Reconciler(items, KEY, initiator=False)
    lie = EMPTY + (head(FINGERPRINT, 6) + PRINT) * 9_999 + to_the_end(FINGERPRINT) + PRINT
    outcome = side.receive(lie)
    assert isinstance(outcome, Outcome)
    assert outcome.reply is not None
    assert RECONCILE_BYTES_MAX - 2_000 < len(outcome.reply) <= RECONCILE_BYTES_MAX
    assert outcome.reply[-17] == FINGERPRINT | END


def test_only_the_initiator_begins() -> None:
    """An initiator that has said nothing takes nothing; a responder begins nothing."""
    ours = Reconciler([], KEY, initiator=True)
    assert isinstance(ours.receive(EMPTY), Rejected)
    with pytest.raises(AssertionError):
        Reconciler([], KEY, initiator=False).initiate()


@given(st.lists(st.tuples(st.integers(0, 5), st.binary(min_size=2, max_size=2)), max_size=80))
def test_bounds_part_what_they_are_to_part(pairs: list[tuple[int, bytes]]) -> None:
    """The bound between two items is above the lower and not above the upper one."""
    items = sorted({(gen, CommitId(short + bytes(30))) for gen, short in pairs})
    side = Reconciler(items, KEY, initiator=True)
    for index in range(1, len(items)):
        bound = side._between(index)
        assert items[index - 1] < bound <= items[index]
        assert bisect_left(items, bound) == index
