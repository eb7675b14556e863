"""Orphans: bounded for each peer, found by what they wait for, given up after a while."""

from __future__ import annotations

from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from comity.base.clock import Duration, Instant, after
from comity.base.errors import Reason
from comity.base.ids import CommitId, DeviceId, LinkId
from comity.base.limits import (
    COMMIT_BYTES_MAX,
    ORPHAN_AGE_MAX,
    ORPHANS_BYTES_MAX,
    ORPHANS_COUNT_MAX,
)
from comity.node.orphans import Orphans
from comity.wire.records import Commit

NOW: Final = Instant(1_000)
PEER, OTHER = DeviceId(b"p" * 32), DeviceId(b"o" * 32)
LINK: Final = LinkId(3)
SMALL: Final = Commit(bytes(10), b"")
PARENT, EPOCH = CommitId(b"P" * 32), b"E" * 16


def name(number: int) -> CommitId:
    """Return the id of a commit."""
    return CommitId(number.to_bytes(32, "big"))


def park(
    orphans: Orphans,
    number: int,
    *,
    wants: bytes = PARENT,
    peer: DeviceId = PEER,
    body: Commit = SMALL,
    now: Instant = NOW,
) -> Reason | None:
    """Park one commit; return why not, if so."""
    refusal = orphans.park(name(number), body, (LINK, peer), wants, now)
    orphans.check()
    return None if refusal is None else refusal.reason


def test_they_come_out_by_what_they_wait_for() -> None:
    """An id or the prefix of an epoch: in the order they came, once, and no others."""
    orphans = Orphans()
    for number in (3, 1, 2):
        park(orphans, number)
    park(orphans, 4, wants=EPOCH)
    park(orphans, 5, wants=name(9))
    found = orphans.wanted(PARENT)
    assert [orphan.id for orphan in found] == [name(3), name(1), name(2)]
    assert {(orphan.link, orphan.source) for orphan in found} == {(LINK, PEER)}
    assert orphans.wanted(PARENT) == ()
    assert [orphan.id for orphan in orphans.wanted(EPOCH)] == [name(4)]
    assert len(orphans) == 1
    orphans.check()


def test_two_copies_with_other_signatures_are_both_kept() -> None:
    """The first may be bad, and whoever sends it must not keep the right one out."""
    orphans = Orphans()
    park(orphans, 1, body=Commit(b"x", b"bad"))
    park(orphans, 1, body=Commit(b"x", b"good"))
    assert park(orphans, 1, body=Commit(b"x", b"good")) is None, "the same again is free"
    assert len(orphans) == 2
    assert [orphan.commit.beside for orphan in orphans.wanted(PARENT)] == [b"bad", b"good"]


def test_two_peers_pay_each_for_themselves() -> None:
    """The same commit from another peer is kept too: either of them may go."""
    orphans = Orphans()
    park(orphans, 1, peer=PEER)
    park(orphans, 1, peer=OTHER)
    assert len(orphans) == 2
    assert orphans.missing_of(OTHER) == (PARENT,)
    assert [orphan.source for orphan in orphans.wanted(PARENT)] == [PEER, OTHER]
    assert orphans.missing_of(OTHER) == ()


def test_a_peer_has_room_for_so_many() -> None:
    """At the bound its newest is refused, what waits stays, and others notice nothing."""
    orphans = Orphans()
    for number in range(ORPHANS_COUNT_MAX):
        orphans.park(name(number), Commit(b"x", b""), (LINK, PEER), PARENT, NOW)
    assert park(orphans, ORPHANS_COUNT_MAX) is Reason.BUFFER_FULL
    assert park(orphans, ORPHANS_COUNT_MAX, peer=OTHER) is None
    assert park(orphans, 0, body=Commit(b"x", b"")) is None, (
        "what is parked already is free, also when full"
    )
    assert len(orphans) == ORPHANS_COUNT_MAX + 1
    assert len(orphans.wanted(PARENT)) == ORPHANS_COUNT_MAX + 1
    assert park(orphans, ORPHANS_COUNT_MAX) is None, "room came back"


def test_a_peer_has_room_for_so_many_bytes() -> None:
    """Sealed bytes and those beside them count; exactly the bound fits."""
    orphans = Orphans()
    full = ORPHANS_BYTES_MAX // COMMIT_BYTES_MAX
    for number in range(full - 1):
        assert park(orphans, number, body=Commit(bytes(COMMIT_BYTES_MAX), b"")) is None
    assert (
        park(orphans, full, body=Commit(bytes(COMMIT_BYTES_MAX - 64), bytes(65)))
        is Reason.BUFFER_FULL
    )
    assert park(orphans, full, body=Commit(bytes(COMMIT_BYTES_MAX - 64), bytes(64))) is None
    assert park(orphans, full + 1, body=Commit(b"x", b"")) is Reason.BUFFER_FULL
    assert park(orphans, full + 1, body=Commit(b"x", b""), peer=OTHER) is None


def test_missing_parents_are_named_once_in_order() -> None:
    """Epochs are not asked for, nor what other peers' commits wait for."""
    orphans = Orphans()
    for number, wants in enumerate((name(9), EPOCH, name(7), name(9))):
        park(orphans, number, wants=wants)
    park(orphans, 5, wants=name(8), peer=OTHER)
    assert orphans.missing_of(PEER) == (name(9), name(7))
    assert orphans.missing_of(DeviceId(bytes(32))) == ()


def test_what_waited_too_long_is_given_up() -> None:
    """The deadline is that of the oldest of any peer; what is younger stays."""
    orphans = Orphans()
    park(orphans, 1, peer=OTHER, now=Instant(NOW + 5))
    park(orphans, 2, now=NOW)
    park(orphans, 3, now=Instant(NOW + 9))
    due = after(NOW, ORPHAN_AGE_MAX)
    deadlines = [Orphans().deadline, orphans.deadline]
    assert orphans.expire(Instant(due - 1)) == ()
    assert [orphan.id for orphan in orphans.expire(due)] == [name(2)]
    deadlines.append(orphans.deadline)
    assert [orphan.id for orphan in orphans.expire(Instant(due + 5))] == [name(1)]
    assert orphans.missing_of(OTHER) == ()
    assert [orphan.id for orphan in orphans.wanted(PARENT)] == [name(3)]
    deadlines.append(orphans.deadline)
    assert deadlines == [None, due, due + 5, None]
    orphans.check()


steps = st.lists(
    st.tuples(
        st.sampled_from(["park", "wanted", "expire"]),
        st.integers(0, 5),
        st.sampled_from([PEER, OTHER]),
        st.sampled_from([b"", b"x"]),
        st.sampled_from([PARENT, EPOCH, name(1)]),
    ),
    max_size=40,
)


@given(steps)
def test_any_history_is_that_of_a_plain_list(
    script: list[tuple[str, int, DeviceId, bytes, bytes]],
) -> None:
    """Parking, taking out and expiring agree with a list that is searched from end to end."""
    orphans = Orphans()
    twin: list[tuple[CommitId, DeviceId, bytes, bytes, Instant]] = []
    now = NOW
    for what, number, peer, beside, wants in script:
        now = after(now, Duration(ORPHAN_AGE_MAX // 8))
        if what == "park":
            park(orphans, number, wants=wants, peer=peer, body=Commit(b"x", beside), now=now)
            if not any(each[:3] == (name(number), peer, beside) for each in twin):
                expires = after(now, ORPHAN_AGE_MAX)
                twin.append((name(number), peer, beside, wants, expires))
            continue
        if what == "wanted":
            found = orphans.wanted(wants)
            gone = [each for each in twin if each[3] == wants]
        else:
            found = orphans.expire(now)
            gone = [each for each in twin if each[4] <= now]
        assert sorted((o.id, o.source, o.commit.beside, o.wants, o.expires) for o in found) == (
            sorted(gone)
        )
        twin = [each for each in twin if each not in gone]
        assert len(orphans) == len(twin)
        assert orphans.deadline == min((each[4] for each in twin), default=None)
        orphans.check()
