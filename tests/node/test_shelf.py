"""A shelf: what a relay keeps without a key, each commit once, up to its quota."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import pytest

from comity.base.clock import HOUR, MINUTE, Instant, Moment, Wall, after
from comity.base.errors import Reason, Rejected
from comity.base.ids import CommitId, DeviceId, LinkId, Token, Topic
from comity.crypto.symbolic import Symbolic
from comity.log.entries import TurnEntry
from comity.node import rows, shelf
from comity.node.effects import Put, Table, Write
from comity.node.refusals import PASSING
from comity.node.shelf import Shelf
from comity.node.step import Rows, Step, Waiting
from comity.wire.records import Commit
from tests.log.world import World, flipped

NOW: Final = Moment(Instant(5), Wall(7))
STORE: Final = b"s" * 16
SOURCE: Final = (LinkId(3), DeviceId(b"p" * 32))


class Told:
    """A listener that remembers what it was told."""

    def __init__(self) -> None:
        """Start without news."""
        self.kept: list[CommitId] = []
        self.copies: list[CommitId] = []
        self.anybody = False
        self.refusals: list[tuple[CommitId, Reason]] = []

    def stored(
        self,
        step: Step,
        topic: Topic,
        ids: tuple[CommitId, ...],
        source: tuple[LinkId, DeviceId] | None,
    ) -> None:
        """Remember what is durable."""
        assert self.anybody or source == SOURCE
        step.report("stored", topic=topic)
        self.kept += ids

    def refused(
        self,
        step: Step,
        topic: Topic,
        commit: CommitId,
        refusal: Rejected,
        source: tuple[LinkId, DeviceId],
    ) -> None:
        """Remember what was not taken."""
        assert source == SOURCE
        step.report("refused", topic=topic)
        self.refusals.append((commit, refusal.reason))

    def keyless(self, step: Step, topic: Topic, epochs: tuple[CommitId, ...]) -> None:
        """Shelves hold no keys."""
        raise AssertionError((step, topic, epochs))

    def lacking(
        self,
        step: Step,
        topic: Topic,
        parents: tuple[CommitId, ...],
        source: tuple[LinkId, DeviceId],
    ) -> None:
        """Never come: a relay waits for no parents."""
        raise AssertionError(step, topic, parents, source)

    def renewed(self, step: Step, topic: Topic, commit: CommitId) -> None:
        """Remember of what there is another copy."""
        step.report("renewed", topic=topic)
        self.copies.append(commit)

    def superseded(self, commit: CommitId) -> None:
        """Never come: a relay writes no commits."""
        raise AssertionError(commit)

    def members_changed(
        self,
        step: Step,
        topic: Topic,
        commit: CommitId,
        joined: Iterable[DeviceId],
        left: Iterable[DeviceId],
    ) -> None:
        """Never come: a relay knows no members."""
        raise AssertionError(step, topic, commit, joined, left)


class Relay:
    """One shelf over a disk that answers when it is told to."""

    def __init__(self, world: World, found: Rows = ()) -> None:
        """Begin with what is on the disk."""
        self.told = Told()
        self.waiting = Waiting()
        self.disk = dict(found)
        self.on_way: list[Write] = []
        self.shelf = Shelf(world.topic, self.told, store=STORE, found=found)

    def take(self, *commits: Commit) -> None:
        """Take commits in one step."""
        step = Step(NOW, self.waiting)
        for commit in commits:
            self.shelf.take(step, commit, SOURCE)
        self.on_way += [each for each in step.finish() if isinstance(each, Write)]

    def sync(self, *, grow: bool = True) -> None:
        """Let all that is on its way reach the disk. grow: no row is written twice."""
        for write in self.on_way:
            for change in write.changes:
                assert isinstance(change, Put)
                assert change.table is Table.COMMIT
                assert not (grow and change.key in self.disk)
                self.disk[change.key] = change.value
            step = Step(NOW, self.waiting)
            for then in self.waiting.take_write(Token(write.token)):
                then(step)
            step.finish()
        self.on_way = []
        self.shelf.holdings.check()


@pytest.fixture
def world() -> World:
    """Make an actor with a handful of commits."""
    world = World(Symbolic())
    for number in range(5):
        world.commit(number % 3, (TurnEntry(b"%d" % number),))
    return world


def commits(world: World) -> list[Commit]:
    """Return all commits of an actor as they are sent."""
    return [Commit(each.sealed, each.beside) for each in world.sealed.values()]


def test_commits_are_kept_in_the_order_they_came(world: World) -> None:
    """Whatever that order is: numbers on disk and in the book agree, also after a restart."""
    relay = Relay(world)
    for commit in reversed(commits(world)):
        relay.take(commit)
    assert relay.shelf.holdings.count == 0, "nothing is said of what is not on disk"
    relay.sync()
    assert relay.told.kept == list(world.sealed)[::-1]
    again = Relay(world, tuple(sorted(relay.disk.items())))
    for each in (relay, again):
        assert [each.shelf.holdings.arrival_of(commit) for commit in world.sealed] == [
            6, 5, 4, 3, 2, 1,
        ]  # fmt: skip
        gens = [gen for gen, _ in each.shelf.holdings.items()]
        assert gens == [0, 1, 2, 3, 4, 5]
        assert each.shelf.size == sum(map(len, relay.disk.values()))
    assert again.shelf.holdings.digest() == relay.shelf.holdings.digest()
    assert [rows.number_of(key) for key in sorted(relay.disk)] == [1, 2, 3, 4, 5, 6]


def test_a_commit_is_kept_once(world: World) -> None:
    """Also if it comes again in the same step, while it is written, or after."""
    relay = Relay(world)
    first, second, *_ = commits(world)
    relay.take(first, first)
    relay.take(first, second)
    relay.sync()
    relay.take(second, first)
    relay.sync()
    assert relay.told.kept == list(world.sealed)[:2]
    assert len(relay.disk) == 2
    assert relay.told.refusals == []


def test_what_a_relay_can_check_it_checks(world: World) -> None:
    """Layout and the width of what is beside; a refusal is told and leaves no trace."""
    relay = Relay(world)
    good = commits(world)[1]
    relay.take(
        Commit(b"", good.beside),
        Commit(good.sealed[:30], good.beside),
        Commit(good.sealed, good.beside[:-1]),
        Commit(good.sealed, good.beside + b"\0"),
    )
    relay.sync()
    expected = [Reason.MALFORMED] * 2 + [Reason.BAD_SIGNATURE] * 2
    assert [reason for _, reason in relay.told.refusals] == expected
    assert Reason.BAD_SIGNATURE in PASSING, "the right copy has the same id"
    assert (relay.disk, relay.shelf.size, relay.shelf.holdings.count) == ({}, 0, 0)
    relay.take(good)
    relay.sync()
    assert relay.told.kept == [list(world.sealed)[1]], "a bad copy does not keep a good one out"


def test_what_a_relay_cannot_check_it_keeps(world: World) -> None:
    """It has no key: altered ciphertext is another commit to it, for members to refuse."""
    relay = Relay(world)
    good = commits(world)[1]
    relay.take(good, Commit(flipped(good.sealed, len(good.sealed) - 1), good.beside))
    relay.sync()
    assert relay.shelf.holdings.count == 2
    assert relay.shelf.heads() == ()
    assert relay.shelf.missing_of(SOURCE[1]) == ()


def test_a_topic_has_a_quota_of_bytes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is on its way counts; what is refused does not; smaller ones may still fit."""
    first, second, third, *_ = commits(world)
    sizes = [len(rows.encode_commit(each)) for each in (first, second, third)]
    monkeypatch.setattr(shelf, "SHELF_BYTES_MAX", sizes[0] + sizes[1])
    relay = Relay(world)
    relay.take(first)
    relay.take(second, third)
    assert [reason for _, reason in relay.told.refusals] == [Reason.QUOTA]
    relay.sync()
    assert relay.told.kept == list(world.sealed)[:2]
    assert relay.shelf.size == sizes[0] + sizes[1]
    monkeypatch.setattr(shelf, "SHELF_BYTES_MAX", sum(sizes))
    relay.take(third)
    relay.sync()
    assert relay.told.kept == list(world.sealed)[:3]


def test_a_topic_has_a_quota_of_commits(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, by number."""
    monkeypatch.setattr(shelf, "SHELF_COMMITS_MAX", 2)
    relay = Relay(world)
    relay.take(*commits(world)[:2])
    relay.take(commits(world)[2])
    relay.sync()
    relay.take(commits(world)[3])
    assert relay.told.kept == list(world.sealed)[:2]
    assert [reason for _, reason in relay.told.refusals] == [Reason.QUOTA] * 2


def test_a_store_that_holds_nonsense_is_not_served(world: World) -> None:
    """What was checked when it came and no longer parses is our own disk's fault."""
    value = rows.encode_commit(Commit(b"nonsense", bytes(64)))
    with pytest.raises(AssertionError, match="was checked before"):
        Relay(world, ((rows.commit_key(world.topic, 1), value),))


# Copies of one id


def device(number: int) -> DeviceId:
    """Name a source."""
    return DeviceId(bytes([number]) * 32)


def bring(relay: Relay, commit: Commit, beside: int, giver: int) -> None:
    """Bring a copy of a commit with other bytes beside it, from a source of this number."""
    step = Step(NOW, relay.waiting)
    copy = Commit(commit.sealed, bytes([beside]) * 64)
    relay.shelf.take(step, copy, (LinkId(giver), device(giver)))
    for write in step.finish():
        if isinstance(write, Write):
            relay.on_way.append(write)
    relay.sync(grow=False)
    relay.shelf.check()


def besides(relay: Relay, number: int = 1) -> list[int]:
    """Return what is served beside the commit of this number: the first byte of each copy."""
    found = rows.decode_pairs(relay.disk[sorted(relay.disk)[number - 1]])
    return [copy.beside[0] for copy in found]


def doubts(kept: Shelf) -> tuple[CommitId, ...]:
    """Return what is doubted now."""
    return kept.doubted


def test_distinct_copies_are_all_served_also_after_a_restart(world: World) -> None:
    """Each is kept once, in one row, and whoever serves the row serves them all."""
    relay = Relay(world)
    (good, *_) = commits(world)
    relay.told.anybody = True
    for beside, giver in ((9, 1), (8, 2), (9, 3), (8, 1)):
        bring(relay, good, beside, giver)
    assert besides(relay) == [9, 8]
    bring(relay, good, 7, 3)
    assert besides(relay) == [9, 8, 7]
    again = Relay(world, tuple(sorted(relay.disk.items())))
    again.told.anybody = True
    assert again.shelf.size == relay.shelf.size == len(relay.disk[min(relay.disk)])
    bring(again, good, 7, 4)
    bring(again, good, 6, 4)
    assert besides(again) == [9, 8, 7, 6]
    assert relay.told.kept == [next(iter(world.sealed))]
    assert relay.told.copies


def test_one_source_replaces_only_its_own_copy(world: World) -> None:
    """However many it sends, what others brought stays."""
    relay = Relay(world)
    relay.told.anybody = True
    (good, *_) = commits(world)
    for beside in range(100):
        bring(relay, good, 100 + beside, 66)
        if beside == 10:
            bring(relay, good, 1, 1)
    assert besides(relay) == [100, 1, 199]


def test_many_sources_never_push_out_what_came_first(world: World) -> None:
    """A place of the others is taken by the newest when all are, the first copy stays."""
    relay = Relay(world)
    relay.told.anybody = True
    (good, *_) = commits(world)
    for giver in range(1, 40):
        bring(relay, good, giver, giver)
    assert besides(relay) == [1, *range(41 - shelf.PAIRS_MAX, 40)]
    assert relay.shelf.size == len(relay.disk[min(relay.disk)])


def test_doubts_are_bounded_and_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one source, of all, by time, and when who doubted has stored a copy."""
    monkeypatch.setattr(shelf, "DOUBTS_OF_ONE_MAX", 2)
    monkeypatch.setattr(shelf, "DOUBTS_MAX", 4)
    relay = Relay(world)
    relay.take(*commits(world))
    relay.sync()
    ids = list(world.sealed)
    kept = relay.shelf
    now = Instant(10**12)
    assert not kept.doubt(CommitId(bytes(32)), device(1), now), "it is not held"
    assert [kept.doubt(each, device(1), now) for each in ids[:3]] == [True, True, False]
    assert not kept.doubt(ids[0], device(2), now), "it is being asked for"
    later = after(now, MINUTE)
    assert kept.doubt(ids[0], device(2), later)
    assert doubts(kept) == (ids[1], ids[0])
    kept.stored_by([ids[0], ids[5]], device(1))
    assert doubts(kept) == (ids[1], ids[0])
    kept.stored_by([ids[0]], device(2))
    assert doubts(kept) == (ids[1],)
    for each, giver in zip(ids[2:], (3, 3, 4, 4), strict=True):
        assert kept.doubt(each, device(giver), later)
    assert doubts(kept) == tuple(ids[2:])
    kept.check()
    assert kept.doubt(ids[0], device(5), after(later, HOUR))
    assert doubts(kept) == (ids[0],)
