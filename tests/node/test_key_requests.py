"""Asking for keys: when, how often, and which answers count."""

from __future__ import annotations

from itertools import pairwise

from comity.base.clock import Instant, after
from comity.base.ids import CommitId, DeviceId
from comity.base.limits import KEY_ASK_WAIT, KEY_ASK_WAIT_MAX, KEYS_ASKED_MAX
from comity.log.seal import kcommit_of
from comity.log.sealed import assemble, clear_epoch
from comity.node.key_requests import KeyRequests

NOW = Instant(1_000)
ALICE, BOB = DeviceId(b"a" * 32), DeviceId(b"b" * 32)
KEY = b"k" * 32
CLEAR = clear_epoch(7, ephemeral=b"e" * 32, kcommit=kcommit_of(KEY), count=1) + bytes(56)
SEALED = assemble(CLEAR, bytes(24), bytes(32 + 16))


def _id(number: int) -> CommitId:
    return CommitId(number.to_bytes(32, "big"))


def _all(_epoch: CommitId) -> bool:
    return True


def test_a_key_is_asked_for_less_and_less_often() -> None:
    """At once, then after twice as long each time, up to a longest wait."""
    asked = KeyRequests()
    asked.want(_id(1), SEALED, ALICE, NOW)
    waits: list[int] = []
    now = NOW
    assert asked.deadline == NOW
    while not waits or waits[-1] < KEY_ASK_WAIT_MAX:
        assert asked.due(now, _all) == (_id(1),)
        assert asked.due(now, _all) == ()
        assert asked.deadline is not None
        waits.append(asked.deadline - now)
        now = asked.deadline
    assert waits[0] == KEY_ASK_WAIT
    assert all(b in (2 * a, KEY_ASK_WAIT_MAX) for a, b in pairwise(waits))
    asked.hasten(now)
    assert asked.due(now, _all) == (_id(1),)
    assert asked.deadline == after(now, KEY_ASK_WAIT)


def test_only_the_key_that_the_commit_commits_to_counts() -> None:
    """Another key, or another epoch, changes nothing; the right one ends the asking."""
    asked = KeyRequests()
    asked.want(_id(1), SEALED, ALICE, NOW)
    assert not asked.answered(_id(1), bytes(32))
    assert not asked.answered(_id(2), KEY)
    assert len(asked) == 1
    assert asked.answered(_id(1), KEY)
    assert not asked.answered(_id(1), KEY)
    assert asked.deadline is None


def test_what_waits_no_more_is_forgotten() -> None:
    """An orphan that expired, or was accepted by another way, is not asked for."""
    asked = KeyRequests()
    for number in range(4):
        asked.want(_id(number), SEALED, ALICE, NOW)
    assert asked.due(NOW, lambda epoch: epoch != _id(2)) == (_id(0), _id(1), _id(3))
    assert len(asked) == 3


def test_one_peer_takes_no_room_from_another() -> None:
    """Each has its own share; wanting the same again is free."""
    asked = KeyRequests()
    for number in range(2 * KEYS_ASKED_MAX):
        asked.want(_id(number), SEALED, ALICE, NOW)
    assert len(asked) == KEYS_ASKED_MAX
    asked.want(_id(10_000), SEALED, BOB, NOW)
    asked.want(_id(0), SEALED, BOB, NOW)
    assert len(asked) == KEYS_ASKED_MAX + 1
