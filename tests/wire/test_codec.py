"""The codec: what is said is what is heard, and no bytes of a peer do more than be refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.base.errors import Reason, Rejected
from comity.base.ids import CommitId, DeviceId, Topic
from comity.base.limits import (
    ANNOUNCE_TAGS_MAX,
    COMMIT_BYTES_MAX,
    COMMITS_COUNT_MAX,
    COMMITS_RECORD_BYTES_MAX,
    ENVELOPE_BYTES_MAX,
    HEADS_SAID_MAX,
    KEYS_ASKED_MAX,
    MAILBOXES_OF_ONE_MAX,
    MESSAGE_BYTES_MAX,
    PEERS_RECORD_MAX,
    POST_BYTES_MAX,
    POSTS_SAID_MAX,
    RECEIPT_IDS_MAX,
    RECONCILE_BYTES_MAX,
    RECORDS_MAX,
    ROUTE_BYTES_MAX,
    TEXT_BYTES_MAX,
    TOPICS_SAID_MAX,
    WANT_IDS_MAX,
    WELCOME_ADDRESSES_MAX,
    WELCOME_KEYS_MAX,
)
from comity.wire import records
from comity.wire.codec import ProtobufCodec
from comity.wire.records import Record
from comity.wire.v1 import wire_pb2 as pb

CODEC = ProtobufCodec()

tags = st.binary(min_size=16, max_size=16)
words = st.binary(min_size=32, max_size=32)
ids = words.map(CommitId)
u64 = st.integers(0, 2**64 - 1)
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
places = st.lists(st.tuples(words.map(DeviceId), names), max_size=4).map(tuple)
commits = st.builds(
    records.Commit, st.binary(min_size=1, max_size=200), st.binary(min_size=64, max_size=64)
)


def some(each: st.SearchStrategy[bytes], most: int = 6) -> st.SearchStrategy[tuple[bytes, ...]]:
    """Return tuples without duplicates, ascending."""
    return st.lists(each, max_size=most, unique=True).map(lambda found: tuple(sorted(found)))


some_posts = st.lists(words, min_size=1, max_size=4).map(tuple)
KINDS: dict[str, st.SearchStrategy[Record]] = {
    "Announce": st.builds(records.Announce, some(tags)),
    "Subscribe": st.builds(records.Subscribe, some(words.map(Topic))),
    "Summary": st.builds(records.Summary, tags, u64, tags, some(ids), tags, u64),
    "Since": st.builds(records.Since, tags, u64),
    "Reconcile": st.builds(records.Reconcile, tags, st.binary(max_size=200)),
    "Want": st.builds(records.Want, tags, some(ids)),
    "Commits": st.builds(
        records.Commits, tags, st.lists(commits, max_size=4).map(tuple), u64, st.booleans()
    ),
    "Runs": st.builds(
        records.Runs,
        tags,
        st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=4).map(tuple),
    ),
    "Receipt": st.builds(records.Receipt, tags, some(ids)),
    "KeyRequest": st.builds(records.KeyRequest, tags, some(ids)),
    "Keys": st.builds(
        records.Keys, tags, st.lists(st.tuples(ids, words), max_size=4).map(tuple)
    ),
    "JoinRequest": st.builds(records.JoinRequest, words),
    "Welcome": st.builds(
        records.Welcome,
        words.map(Topic),
        names,
        ids,
        st.lists(st.tuples(ids, words), max_size=4).map(tuple),
        st.lists(names, max_size=4).map(tuple),
        places,
    ),
    "Peers": st.builds(records.Peers, places),
    "Refusal": st.builds(
        records.Refusal, st.sampled_from(Reason), names, st.just(b"") | tags, some(ids)
    ),
    "PairShare": st.builds(records.PairShare, words),
    "PairAnswer": st.builds(records.PairAnswer, words, tags),
    "Mail": st.builds(records.Mail, st.binary(max_size=300), st.binary(max_size=90)),
    "Acknowledge": st.builds(records.Acknowledge, u64, u64, st.binary(max_size=90)),
    "Mailboxes": st.builds(records.Mailboxes, some(words), st.booleans()),
    "Post": st.builds(
        records.Post,
        words,
        st.binary(min_size=1, max_size=600),
        st.just(b"") | st.binary(min_size=64, max_size=64),
    ),
    "Posted": st.builds(records.Posted, words, some_posts, st.none() | st.sampled_from(Reason)),
    "Collected": st.builds(records.Collected, words, some_posts),
}
batches = st.lists(st.one_of(*KINDS.values()), max_size=6).map(tuple)


def test_every_kind_of_record_is_tried_here() -> None:
    """A kind that is added to the union is added to these tests."""
    assert sorted(KINDS) == sorted(kind.__name__ for kind in Record.__args__)


@pytest.mark.parametrize("kind", sorted(KINDS))
@given(data=st.data())
def test_what_is_said_is_heard(kind: str, data: st.DataObject) -> None:
    """Each kind comes back equal, and its bytes are the same each time."""
    record = data.draw(KINDS[kind])
    encoded = CODEC.encode((record,))
    assert CODEC.decode(encoded) == (record,)
    assert CODEC.encode((record,)) == encoded


@given(batches)
def test_a_batch_keeps_its_order(batch: tuple[Record, ...]) -> None:
    """Records are heard in the order in which they were said."""
    assert CODEC.decode(CODEC.encode(batch)) == batch


@given(st.binary(max_size=300))
def test_no_bytes_raise(data: bytes) -> None:
    """Whatever comes is records or a refusal."""
    assert isinstance(CODEC.decode(data), tuple | Rejected)


@given(batches, st.data())
def test_no_damage_raises(batch: tuple[Record, ...], data: st.DataObject) -> None:
    """Cut, overwritten or continued bytes are records or a refusal, and say no more."""
    encoded = bytearray(CODEC.encode(batch))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(encoded)))
        encoded[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    heard = CODEC.decode(bytes(encoded))
    if not isinstance(heard, Rejected):
        assert CODEC.decode(CODEC.encode(heard)) == heard


@given(batches)
def test_a_batch_cut_anywhere_is_refused_or_a_beginning_of_itself(
    batch: tuple[Record, ...],
) -> None:
    """Truncation loses whole records at the end, or is noticed."""
    encoded = CODEC.encode(batch)
    for size in range(len(encoded)):
        heard = CODEC.decode(encoded[:size])
        assert isinstance(heard, Rejected) or heard == batch[: len(heard)]


@given(batches, batches)
def test_what_trails_is_more_records(
    first: tuple[Record, ...], second: tuple[Record, ...]
) -> None:
    """Batches joined are one batch; rubbish behind one is refused."""
    joined = CODEC.encode(first) + CODEC.encode(second)
    assert CODEC.decode(joined) == first + second
    assert isinstance(CODEC.decode(CODEC.encode(first) + b"\x0a\x05"), Rejected)


def test_unknown_kinds_and_fields_are_skipped() -> None:
    """A newer peer may say more than this side knows."""
    known = CODEC.encode((records.Since(bytes(16), 7),))
    kind_40 = b"\x0a\x05\xc2\x02\x02\x08\x01"
    field_9 = b"\x4a\x03abc"
    assert CODEC.decode(kind_40 + known + kind_40) == (records.Since(bytes(16), 7),)
    assert CODEC.decode(field_9 + known) == (records.Since(bytes(16), 7),)
    assert CODEC.decode(b"\x0a\x00") == ()


def test_an_unknown_reason_is_still_a_refusal() -> None:
    """Reasons are append-only: an older node reads a newer one as unsupported."""
    said = pb.Batch(records=[pb.Record(refusal=pb.Refusal(reason=4_000_000_000, detail="x"))])
    heard = CODEC.decode(said.SerializeToString())
    assert heard == (records.Refusal(Reason.UNSUPPORTED, "x"),)


def test_a_detail_is_shortened_not_fatal() -> None:
    """A detail may quote what a peer sent: it never stops the node that repeats it."""
    for detail in ("x" * 5000, "é" * 5000, "\ud800" * 3):
        heard = CODEC.decode(CODEC.encode((records.Refusal(Reason.QUOTA, detail),)))
        assert isinstance(heard, tuple)
        assert isinstance(heard[0], records.Refusal)
        assert 0 < len(heard[0].detail.encode()) <= TEXT_BYTES_MAX


def many(count: int, size: int = 32) -> list[bytes]:
    """Return different words, ascending."""
    return [number.to_bytes(size, "big") for number in range(count)]


def commit(size: int) -> pb.Commit:
    """Return a commit of this size."""
    return pb.Commit(sealed=bytes(size), beside=bytes(64))


T = bytes(16)
PAGE = 128
AT_THE_LIMIT: dict[str, Callable[[int], pb.Record]] = {
    "tags": lambda more: pb.Record(
        announce=pb.Announce(tags=many(ANNOUNCE_TAGS_MAX + more, 16))
    ),
    "topics": lambda more: pb.Record(
        subscribe=pb.Subscribe(topics=many(TOPICS_SAID_MAX + more))
    ),
    "heads": lambda more: pb.Record(
        summary=pb.Summary(tag=T, digest=T, store=T, heads=many(HEADS_SAID_MAX + more))
    ),
    "body": lambda more: pb.Record(
        reconcile=pb.Reconcile(tag=T, body=bytes(RECONCILE_BYTES_MAX + more))
    ),
    "wants": lambda more: pb.Record(want=pb.Want(tag=T, ids=many(WANT_IDS_MAX + more))),
    "receipt": lambda more: pb.Record(
        receipt=pb.Receipt(tag=T, ids=many(RECEIPT_IDS_MAX + more))
    ),
    "refused": lambda more: pb.Record(
        refusal=pb.Refusal(reason=1, ids=many(RECEIPT_IDS_MAX + more))
    ),
    "detail": lambda more: pb.Record(
        refusal=pb.Refusal(reason=1, detail="x" * (TEXT_BYTES_MAX + more))
    ),
    "one commit": lambda more: pb.Record(
        commits=pb.Commits(tag=T, commits=[commit(COMMIT_BYTES_MAX + more)])
    ),
    "bytes of commits": lambda more: pb.Record(
        commits=pb.Commits(
            tag=T,
            commits=[commit(COMMITS_RECORD_BYTES_MAX // 2 - 64 + each) for each in (0, more)],
        )
    ),
    "commits": lambda more: pb.Record(
        commits=pb.Commits(tag=T, commits=[commit(1)] * (COMMITS_COUNT_MAX + more))
    ),
    "keys": lambda more: pb.Record(
        welcome=pb.Welcome(
            topic=bytes(32),
            grant=bytes(32),
            keys=[
                pb.EpochKey(epoch=bytes(32), key=bytes(32))
                for _ in range(WELCOME_KEYS_MAX + more)
            ],
        )
    ),
    "keys asked for": lambda more: pb.Record(
        key_request=pb.KeyRequest(tag=T, epochs=many(KEYS_ASKED_MAX + more))
    ),
    "keys told": lambda more: pb.Record(
        keys=pb.Keys(
            tag=T,
            keys=[pb.EpochKey(epoch=bytes(32), key=bytes(32))] * (KEYS_ASKED_MAX + more),
        )
    ),
    "relays": lambda more: pb.Record(
        welcome=pb.Welcome(
            topic=bytes(32), grant=bytes(32), relays=["x"] * (WELCOME_ADDRESSES_MAX + more)
        )
    ),
    "peers": lambda more: pb.Record(
        peers=pb.Peers(
            peers=[pb.Peer(device=bytes(32), address="x")] * (PEERS_RECORD_MAX + more)
        )
    ),
    "envelope": lambda more: pb.Record(mail=pb.Mail(envelope=bytes(ENVELOPE_BYTES_MAX + more))),
    "route": lambda more: pb.Record(mail=pb.Mail(route=bytes(ROUTE_BYTES_MAX + more))),
    "route told": lambda more: pb.Record(
        acknowledge=pb.Acknowledge(route=bytes(ROUTE_BYTES_MAX + more))
    ),
    "mailboxes": lambda more: pb.Record(
        mailboxes=pb.Mailboxes(keys=many(MAILBOXES_OF_ONE_MAX + more))
    ),
    "mail": lambda more: pb.Record(
        post=pb.Post(mailbox=bytes(32), sealed=bytes(POST_BYTES_MAX + more))
    ),
    "posted": lambda more: pb.Record(
        posted=pb.Posted(mailbox=bytes(32), ids=many(POSTS_SAID_MAX + more))
    ),
    "collected": lambda more: pb.Record(
        collected=pb.Collected(mailbox=bytes(32), ids=many(POSTS_SAID_MAX + more))
    ),
    "address": lambda more: pb.Record(
        peers=pb.Peers(
            peers=[pb.Peer(device=bytes(32), address="x" * (TEXT_BYTES_MAX // 4 + more))]
        )
    ),
}


@pytest.mark.parametrize("limit", sorted(AT_THE_LIMIT))
def test_limits_hold_to_the_unit(limit: str) -> None:
    """What is at a limit is heard; one more is refused."""
    at, over = (
        CODEC.decode(pb.Batch(records=[AT_THE_LIMIT[limit](more)]).SerializeToString())
        for more in (0, 1)
    )
    assert isinstance(at, tuple), at
    assert len(at) == 1
    assert isinstance(over, Rejected)


@pytest.mark.parametrize(
    "record",
    [
        pb.Record(since=pb.Since(tag=bytes(15))),
        pb.Record(since=pb.Since()),
        pb.Record(announce=pb.Announce(tags=[T, T])),
        pb.Record(announce=pb.Announce(tags=[b"b" * 16, b"a" * 16])),
        pb.Record(announce=pb.Announce(tags=[bytes(17)])),
        pb.Record(summary=pb.Summary(tag=T, digest=T, store=bytes(17))),
        pb.Record(summary=pb.Summary(tag=T, digest=b"", store=T)),
        pb.Record(summary=pb.Summary(tag=T, digest=T, store=T, heads=many(2)[::-1])),
        pb.Record(want=pb.Want(tag=T, ids=[bytes(32), bytes(32)])),
        pb.Record(want=pb.Want(tag=T, ids=[bytes(31)])),
        pb.Record(receipt=pb.Receipt(tag=T, ids=many(2)[::-1])),
        pb.Record(commits=pb.Commits(tag=T, commits=[pb.Commit(beside=bytes(64))])),
        pb.Record(commits=pb.Commits(tag=T, commits=[pb.Commit(sealed=b"x")])),
        pb.Record(key_request=pb.KeyRequest(tag=T, epochs=many(2)[::-1])),
        pb.Record(key_request=pb.KeyRequest(tag=T, epochs=[bytes(16)])),
        pb.Record(keys=pb.Keys(tag=T, keys=[pb.EpochKey(epoch=bytes(32))])),
        pb.Record(join_request=pb.JoinRequest(prekey=bytes(33))),
        pb.Record(welcome=pb.Welcome(topic=bytes(32))),
        pb.Record(refusal=pb.Refusal(reason=1, tag=bytes(3))),
    ],
    ids=lambda record: record.WhichOneof("kind"),
)
def test_a_wrong_field_refuses_the_batch(record: pb.Record) -> None:
    """Lengths, order and duplicates are checked for every field; nothing before it counts."""
    good = pb.Record(since=pb.Since(tag=T, arrival=1))
    heard = CODEC.decode(pb.Batch(records=[good, record]).SerializeToString())
    assert isinstance(heard, Rejected)
    assert heard.reason is Reason.MALFORMED


def test_bulk_is_refused_before_it_is_built() -> None:
    """A batch over its bytes, or of empty records by the hundred thousand, is too big."""
    for data in (bytes(MESSAGE_BYTES_MAX + 1), b"\x0a\x00" * (RECORDS_MAX + 1)):
        heard = CODEC.decode(data)
        assert isinstance(heard, Rejected)
        assert heard.reason is Reason.TOO_BIG


def test_nesting_is_refused() -> None:
    """Unknown groups inside groups do not exhaust the stack."""
    assert isinstance(CODEC.decode(b"\x7b" * 200_000), Rejected)


@pytest.mark.parametrize(
    "record",
    [
        records.Since(b"short", 1),
        records.Announce((bytes(16), bytes(16))),
        records.Want(bytes(16), tuple(CommitId(each) for each in many(WANT_IDS_MAX + 1))),
    ],
    ids=["tag", "order", "count"],
)
def test_what_peers_would_refuse_is_never_said(record: Record) -> None:
    """A record that breaks a limit is our own fault, and stops here."""
    with pytest.raises(AssertionError):
        CODEC.encode((record,))
