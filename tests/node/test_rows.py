"""Rows: what is written is read back, keys order rows, and formats are for good."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comity.base.canonical import Malformed
from comity.base.clock import Wall
from comity.base.ids import CommitId, DeviceId, Topic
from comity.log.entries import ACTOR_TYPE_BYTES_MAX, Role
from comity.node import rows
from comity.node.rows import DraftRow, InviteRow, TopicRow
from comity.wire.records import Commit

U64_MAX: Final = (1 << 64) - 1
numbers = st.one_of(st.integers(0, 300), st.integers(0, U64_MAX))
ids = st.binary(min_size=32, max_size=32)
topics = ids.map(Topic)
walls = numbers.map(Wall)
names = st.text(max_size=60).filter(lambda each: len(each.encode()) <= ACTOR_TYPE_BYTES_MAX)

commit_rows = st.builds(Commit, st.binary(max_size=300), st.binary(max_size=64))
topic_rows = st.builds(TopicRow, names, st.just(b"") | ids, st.booleans())
draft_rows = st.builds(
    DraftRow, st.lists(ids.map(CommitId), max_size=16).map(tuple), walls, st.binary(max_size=99)
)
seeds = st.binary(min_size=16, max_size=16)
invite_rows = st.one_of(
    st.builds(InviteRow, topics, st.sampled_from(Role), seeds, walls),
    st.builds(InviteRow, topics, st.sampled_from(Role), seeds, walls, ids, ids),
)

Coder = tuple[st.SearchStrategy[Any], Callable[[Any], bytes], Callable[[bytes], Any]]
CODERS: Final[dict[str, Coder]] = {
    "commit": (commit_rows, rows.encode_commit, rows.decode_commit),
    "topic": (topic_rows, rows.encode_topic, rows.decode_topic),
    "draft": (draft_rows, rows.encode_draft, rows.decode_draft),
    "invite": (invite_rows, rows.encode_invite, rows.decode_invite),
    "number": (numbers, rows.encode_number, rows.decode_number),
}


@pytest.mark.parametrize("coder", CODERS.values(), ids=CODERS)
@settings(max_examples=30)
@given(data=st.data())
def test_rows_come_back_as_they_were(coder: Coder, data: st.DataObject) -> None:
    """Decoding is the inverse of encoding, and equal bytes mean equal rows."""
    strategy, encode, decode = coder
    first, second = data.draw(strategy), data.draw(strategy)
    assert decode(encode(first)) == first
    assert (encode(first) == encode(second)) == (first == second)


@pytest.mark.parametrize("coder", CODERS.values(), ids=CODERS)
@settings(max_examples=30)
@given(data=st.data())
def test_a_row_that_was_cut_is_never_taken_for_whole(coder: Coder, data: st.DataObject) -> None:
    """Any part of a row is malformed, or reads as another one: it is never the same row."""
    strategy, encode, decode = coder
    row = data.draw(strategy)
    encoded = encode(row)
    if strategy is numbers:
        return
    for cut in range(len(encoded)):
        try:
            assert decode(encoded[:cut]) != row
        except (Malformed, ValueError):
            continue


def test_a_topic_row_ends_where_it_ends() -> None:
    """Bytes after it are malformed."""
    row = rows.encode_topic(TopicRow("Todo", bytes(32), shelf=False))
    with pytest.raises(Malformed, match="1 bytes too many"):
        rows.decode_topic(row + b"\0")


def test_the_longest_names_are_read_back() -> None:
    """A name as long as a genesis and a welcome may hold does not stop the next start."""
    for name in ("x" * ACTOR_TYPE_BYTES_MAX, "é" * (ACTOR_TYPE_BYTES_MAX // 2), ""):
        row = TopicRow(name, bytes(32), shelf=False)
        assert rows.decode_topic(rows.encode_topic(row)) == row


@given(topics, topics, numbers, numbers)
def test_commits_and_drafts_are_read_by_topic_and_arrival(
    topic: Topic, other: Topic, first: int, second: int
) -> None:
    """Keys sort as (topic, number) does, and give both back."""
    for key_of in (rows.commit_key, rows.draft_key):
        one, two = key_of(topic, first), key_of(other, second)
        assert (one < two) == ((topic, first) < (other, second))
        assert (rows.topic_of_key(one), rows.number_of(one)) == (topic, first)


@given(topics, ids, st.binary(min_size=16, max_size=16))
def test_keys_of_two_parts_come_apart(topic: Topic, other: bytes, store: bytes) -> None:
    """Epoch and cursor keys begin with the topic and give their parts back."""
    epoch = CommitId(other)
    assert rows.split_epoch_key(rows.epoch_key(topic, epoch)) == (topic, epoch)
    cursor = rows.cursor_key(topic, DeviceId(other), store)
    assert rows.split_cursor_key(cursor) == (topic, DeviceId(other), store)
    assert rows.topic_of_key(cursor) == rows.topic_of_key(rows.epoch_key(topic, epoch)) == topic


def test_formats_are_for_good() -> None:
    """A store of this version 1 is read by every later one: its bytes are written down here."""
    topic, device = Topic(b"t" * 32), b"d" * 32
    assert rows.FORMAT == b"1"
    assert rows.commit_key(topic, 258) == topic + b"\0\0\0\0\0\0\1\2"
    assert rows.encode_commit(Commit(b"sealed", b"beside")) == b"\x06sealedbeside"
    assert rows.encode_topic(TopicRow("Todo", device, shelf=False)) == b"\0\4Todo " + device
    assert rows.encode_topic(TopicRow("", b"", shelf=True)) == b"\1\0\0"
    draft = DraftRow((CommitId(device),), Wall(300), b"ops")
    assert rows.encode_draft(draft) == b"\1" + device + b"\xac\x02ops"
    invite = InviteRow(topic, Role.WRITER, b"s" * 16, Wall(300))
    opened = topic + b"\1" + b"s" * 16 + b"\xac\x02"
    assert rows.encode_invite(invite) == opened
    spent = InviteRow(topic, Role.WRITER, b"s" * 16, Wall(300), device, b"g" * 32)
    assert rows.encode_invite(spent) == opened + device + b"g" * 32


def test_an_invite_row_for_no_role_is_malformed() -> None:
    """As every other byte that was not written: not an error of the enumeration."""
    row = rows.encode_invite(InviteRow(Topic(bytes(32)), Role.ADMIN, bytes(16), Wall(0)))
    with pytest.raises(Malformed, match="role"):
        rows.decode_invite(row[:32] + b"\xfc" + row[33:])
