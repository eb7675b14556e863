"""The codec of a world remembers; it never says anything else than the codec of the wire."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from comity.base.errors import Rejected
from comity.base.ids import CommitId
from comity.wire.codec import ProtobufCodec
from comity.wire.records import Commit, Commits, Receipt, Since
from comity_chaos import recall
from comity_chaos.recall import RecallingCodec

TAG = bytes(16)


@given(
    arrivals=st.lists(st.integers(0, 5), max_size=30),
    flips=st.lists(st.tuples(st.integers(0, 200), st.integers(1, 255)), max_size=10),
)
def test_it_hears_what_the_wire_hears(
    arrivals: list[int], flips: list[tuple[int, int]]
) -> None:
    """Said, repeated, altered: each batch means what a codec without a memory makes of it."""
    plain, under_test = ProtobufCodec(), RecallingCodec()
    for number in arrivals:
        commit = Commit(bytes([number]) * 40, bytes(64))
        batch = (
            Since(TAG, number),
            Commits(TAG, (commit,) * number, number, last=True),
            Receipt(TAG, (CommitId(bytes([number]) * 32),)),
        )
        data = under_test.encode(batch)
        assert data == plain.encode(batch)
        for place, flip in flips:
            altered = bytearray(data)
            altered[place % len(data)] ^= flip
            heard = plain.decode(bytes(altered))
            for _ in range(2):
                assert under_test.decode(bytes(altered)) == heard
        assert under_test.decode(data) == batch


def test_its_memory_is_bounded() -> None:
    """However much is said, no more is kept than its bound; what is forgotten is decoded."""
    under_test = RecallingCodec()
    said = [under_test.encode((Since(TAG, number),)) for number in range(recall._KEPT_MAX + 9)]
    assert len(under_test._known) == recall._KEPT_MAX
    assert under_test.decode(said[0]) == (Since(TAG, 0),)
    assert isinstance(under_test.decode(b"\xff"), Rejected)
    assert len(under_test._known) == recall._KEPT_MAX
