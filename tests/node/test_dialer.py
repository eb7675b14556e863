"""The dialer: nobody is called twice at once; each failure costs a longer wait, to a bound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.base.clock import MINUTE, SECOND, Duration, Instant, after
from comity.base.ids import DeviceId, LinkId
from comity.node.dialer import TARGETS_MAX, Dialer, Purpose, Target

DEVICE: Final = DeviceId(b"d" * 32)
START: Final = Instant(5 * MINUTE)


class Share:
    """Entropy that always draws the same share: 0 for the shortest wait, 1 for the longest."""

    def __init__(self, share: float) -> None:
        """Take a number of 0..1."""
        self.share = share

    def draw(self, count: int) -> bytes:
        """Return a fraction of the largest number of so many bytes."""
        return int(self.share * ((1 << 8 * count) - 1)).to_bytes(count, "big")


def one(share: float = 1.0) -> tuple[Dialer, Target]:
    """Make a dialer with one target that is due."""
    dialer = Dialer(Share(share))
    assert dialer.add("here:1", DEVICE, Purpose.PEER, START)
    (target,) = dialer.targets
    return dialer, target


def fail(dialer: Dialer, target: Target, link: int, *, lasted: int | None = None) -> int:
    """Call when it is due; let the call fail or the link break. Return the wait after it."""
    assert target.due is not None
    now = target.due
    assert dialer.due(now) == (target,)
    dialer.called(target, LinkId(link))
    if lasted is not None:
        dialer.worked(LinkId(link), now)
        now = after(now, Duration(lasted))
    dialer.ended(LinkId(link), now)
    due = dialer.deadline
    assert due is not None
    return due - now


def test_a_target_is_called_once_and_at_once() -> None:
    """It is due when it is added; while a link is made or stands, it is not."""
    dialer, target = one()
    later = Instant(9 * START)
    deadlines = [dialer.deadline]
    assert dialer.due(Instant(START - 1)) == ()
    assert dialer.due(START) == (target,)
    dialer.called(target, LinkId(2))
    deadlines.append(dialer.deadline)
    assert dialer.due(later) == ()
    dialer.worked(LinkId(2), START)
    deadlines.append(dialer.deadline)
    assert dialer.due(later) == ()
    assert deadlines == [START, None, None]


def test_waits_double_to_a_minute() -> None:
    """1, 2, 4 ... 32, 60, 60 seconds at most, and half of each at least."""
    longest = [min(1 << fails, 60) * SECOND for fails in range(9)]
    dialer, target = one(1.0)
    assert [fail(dialer, target, 2 * n) for n in range(9)] == longest
    dialer, target = one(0.0)
    assert [fail(dialer, target, 2 * n) for n in range(9)] == [each // 2 for each in longest]


@given(st.floats(0, 1), st.integers(1, 200))
def test_no_wait_leaves_its_bounds(share: float, fails: int) -> None:
    """Whatever is drawn and however often it failed: from half a second to a minute."""
    dialer, target = one(share)
    waits = [fail(dialer, target, n) for n in range(fails)]
    assert min(waits) >= SECOND // 2
    assert max(waits) <= MINUTE
    assert waits == sorted(waits)


def test_a_crowd_that_was_cut_off_together_comes_back_spread() -> None:
    """Equal histories with other entropy give other waits, across half of the wait."""
    waits: list[int] = []
    for tenth in range(11):
        dialer, target = one(tenth / 10)
        for n in range(7):
            fail(dialer, target, n)
        waits.append(fail(dialer, target, 7))
    assert len(dict.fromkeys(waits)) == 11
    assert max(waits) - min(waits) == MINUTE // 2


@pytest.mark.parametrize(
    ("lasted", "expected"), [(MINUTE, 1), (90 * SECOND, 1), (MINUTE - 1, 8), (None, 8)]
)
def test_only_a_link_that_lasted_forgives(lasted: int | None, expected: int) -> None:
    """A minute of talk starts again at one second; a link that breaks at once does not."""
    dialer, target = one()
    for n in range(3):
        fail(dialer, target, n)
    assert fail(dialer, target, 3, lasted=lasted) == expected * SECOND
    assert fail(dialer, target, 4) == 2 * expected * SECOND


def test_a_handshake_that_lasts_is_no_talk() -> None:
    """Time before the peer proved who it is does not count."""
    dialer, target = one()
    for n in range(3):
        fail(dialer, target, n)
    dialer.called(target, LinkId(9))
    dialer.ended(LinkId(9), Instant(START + 10 * MINUTE))
    assert dialer.deadline == START + 10 * MINUTE + 8 * SECOND


def test_whoever_is_reached_another_way_is_looked_at_again_later() -> None:
    """Postponing is no failure: the next look is a minute away, the next wait one second."""
    dialer, target = one()
    dialer.postpone(target, START)
    assert dialer.deadline == START + MINUTE
    assert dialer.due(Instant(START + MINUTE - 1)) == ()
    assert fail(dialer, target, 2) == SECOND


def test_what_was_forgotten_is_called_no_more() -> None:
    """It can be added again as new; others stay; an unknown link forgets nobody."""
    dialer, target = one()
    dialer.add("there:1", None, Purpose.RELAY, START)
    dialer.called(target, LinkId(2))
    dialer.forget(LinkId(4))
    assert len(dialer.targets) == 2
    dialer.forget(LinkId(2))
    assert [each.address for each in dialer.targets] == ["there:1"]
    dialer.ended(LinkId(2), START)
    assert [each.address for each in dialer.due(START)] == ["there:1"]
    assert dialer.add("here:1", DEVICE, Purpose.PEER, START)


def test_a_target_is_an_address_and_a_device() -> None:
    """The same pair again is no news; another device at an address is, and a relay is."""
    dialer, _ = one()
    assert not dialer.add("here:1", DEVICE, Purpose.RELAY, START)
    assert dialer.add("here:1", DeviceId(b"e" * 32), Purpose.PEER, START)
    assert dialer.add("here:1", None, Purpose.RELAY, START)
    assert dialer.add("there:1", DEVICE, Purpose.PEER, START)
    assert [each.purpose.value for each in dialer.targets] == ["peer", "peer", "relay", "peer"]


def test_there_is_room_for_so_many() -> None:
    """Beyond the bound an address is not taken; one that is forgotten makes room."""
    dialer = Dialer(Share(0))
    for n in range(TARGETS_MAX):
        assert dialer.add(f"here:{n}", DEVICE, Purpose.PEER, START)
    assert not dialer.add("one:more", DEVICE, Purpose.PEER, START)
    assert len(dialer.due(START)) == TARGETS_MAX
    dialer.called(dialer.targets[7], LinkId(2))
    dialer.forget(LinkId(2))
    assert dialer.add("one:more", DEVICE, Purpose.PEER, START)


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from("dwe"), st.integers(0, 100))))
def test_the_deadline_is_when_the_first_is_due(
    script: Sequence[tuple[int, str, int]],
) -> None:
    """After any history: nothing is due before the deadline, and something is at it."""
    dialer = Dialer(Share(0.5))
    for n in range(3):
        dialer.add(f"here:{n}", None, Purpose.RELAY, START)
    now = START
    for number, (who, what, pause) in enumerate(script):
        now = after(now, Duration(pause * SECOND))
        target = dialer.targets[who]
        if what == "d" and target in dialer.due(now):
            dialer.called(target, LinkId(number + 1))
        elif target.link is not None and what == "w":
            dialer.worked(target.link, now)
        elif target.link is not None:
            dialer.ended(target.link, now)
        due = dialer.deadline
        assert (due is None) == all(each.link is not None for each in dialer.targets)
        if due is not None:
            assert dialer.due(Instant(due - 1)) == ()
            assert dialer.due(due) != ()


def test_a_device_that_is_lost_is_called_soon_though_it_was_postponed() -> None:
    """Both sides may have postponed each other: nobody would call for a minute."""
    dialer, target = one()
    dialer.postpone(target, START)
    assert dialer.due(after(START, Duration(59 * SECOND))) == ()
    lost = after(START, Duration(10 * SECOND))
    dialer.lost(DeviceId(b"e" * 32), lost)
    assert dialer.due(after(lost, Duration(5 * SECOND))) == ()
    dialer.lost(DEVICE, lost)
    assert dialer.due(after(lost, Duration(SECOND))) == (target,)


def test_losing_a_device_makes_no_call_later_and_no_call_twice() -> None:
    """A target that is being called stays so, and one that is due earlier stays due."""
    dialer, target = one()
    dialer.lost(DEVICE, START)
    assert dialer.due(START) == (target,)
    dialer.called(target, LinkId(2))
    dialer.lost(DEVICE, START)
    assert dialer.deadline is None
    dialer.check()
