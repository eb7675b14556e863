"""Pacing: a minute of one author holds so much, and the rest comes later, in order."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.base.clock import MINUTE, SECOND, Duration, Instant, Wall, after
from comity.base.ids import CommitId, DeviceId, LinkId, Topic
from comity.crypto.symbolic import Symbolic
from comity.log.entries import TurnEntry
from comity.log.inner import Inner, RootGrant
from comity.log.seal import ContentKey
from comity.log.sealed import Sealed, parse
from comity.node import pacing
from comity.node.journal import Checked
from comity.node.pacing import Pacing
from comity.wire.records import Commit
from tests.log.world import World

_WORLD = World(Symbolic())
_WORLD.commit(0, (TurnEntry(b"0"),))
_KEY = ContentKey(Topic(bytes(32)), bytes(32))


def _checked(number: int, author: int, size: int) -> Checked:
    """Make a commit of an author, of a size, that was found good."""
    sealed = parse(next(iter(_WORLD.sealed.values())).sealed)
    assert isinstance(sealed, Sealed)
    inner = Inner(
        author=DeviceId(bytes([author]) * 32),
        seq=0,
        backlink=None,
        auth=RootGrant(0),
        parents=(CommitId(bytes(32)),),
        wall=Wall(0),
        entries=(),
    )
    identifier = CommitId(number.to_bytes(32, "big"))
    return Checked(identifier, Commit(bytes(size), b""), sealed, inner, None, _KEY)


def _source(number: int) -> tuple[LinkId, DeviceId]:
    return LinkId(number), DeviceId(bytes([100 + number]) * 32)


_PUSHES = st.lists(
    st.tuples(
        st.integers(0, 2),  # author
        st.integers(1, 400),  # size
        st.integers(0, 1),  # who delivers
        st.integers(0, 40),  # seconds since the one before
    ),
    max_size=60,
)


@given(_PUSHES)
def test_no_minute_holds_more_and_each_author_keeps_its_order(
    pushes: list[tuple[int, int, int, int]],
) -> None:
    """Against a list: all is taken once, in order, within the limits, or was left out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pacing, "LIVE_COMMITS_MAX", 5)
        patch.setattr(pacing, "LIVE_BYTES_MAX", 1_000)
        patch.setattr(pacing, "PACED_COUNT_MAX", 7)
        patch.setattr(pacing, "PACED_BYTES_MAX", 2_000)
        pace, now = Pacing(), Instant(10**12)
        taken: list[tuple[Instant, Checked]] = []
        left_out: list[Checked] = []
        everything: list[Checked] = []
        for number, (author, size, source, seconds) in enumerate(pushes):
            now = after(now, Duration(seconds * SECOND))
            due = pace.deadline
            if due is not None and due <= now:
                taken += [(now, checked) for checked, _ in pace.release(now)]
            checked = _checked(number, author, size)
            everything.append(checked)
            if pace.admits(checked, now):
                taken.append((now, checked))
            elif not pace.hold(checked, _source(source)):
                left_out.append(checked)
                assert pace.is_late(checked.id)
            pace.check()
        for _ in range(200):
            due = pace.deadline
            if due is None:
                break
            taken += [(due, checked) for checked, _ in pace.release(due)]
            pace.check()
        assert len(pace) == 0
        for author in range(3):
            device = DeviceId(bytes([author]) * 32)
            own = [(when, each) for when, each in taken if each.inner.author == device]
            wanted = [e for e in everything if e.inner.author == device and e not in left_out]
            assert [each for _, each in own] == wanted
            window: deque[tuple[Instant, Checked]] = deque()
            for when, each in own:
                window.append((when, each))
                while window[0][0] + MINUTE <= when:
                    window.popleft()
                assert len(window) <= 2 * 5, "two of its minutes can meet, no more"


def test_only_what_waits_is_taken_out() -> None:
    """By its id, once; its place is free again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pacing, "LIVE_COMMITS_MAX", 1)
        patch.setattr(pacing, "PACED_COUNT_MAX", 1)
        pace, now = Pacing(), Instant(10**12)
        first, second, third = (_checked(number, 1, 10) for number in range(3))
        assert pace.admits(first, now)
        assert not pace.admits(second, now)
        assert pace.hold(second, _source(0))
        assert not pace.hold(third, _source(0))
        assert pace.take_out(first.id) is None
        assert pace.take_out(second.id) == (second, _source(0))
        assert pace.take_out(second.id) is None
        assert pace.hold(third, _source(0))
        pace.arrived(third.id)
        assert not pace.is_late(third.id)
        pace.check()


def test_a_commit_larger_than_a_minute_is_taken_alone() -> None:
    """Else it would wait for ever."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pacing, "LIVE_BYTES_MAX", 100)
        pace, now = Pacing(), Instant(10**12)
        assert pace.admits(_checked(0, 1, 500), now)
        assert not pace.admits(_checked(1, 1, 1), now)
