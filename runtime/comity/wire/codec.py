"""The codec: batches of records as protobuf, and back.

Owns: the one place that reads and writes protobuf, and every limit on what a peer may say.
May not know: what a record makes a node do. Pure: no state, no I/O.
Decoding answers `Rejected` for whatever does not keep the limits of `wire.records`; kinds of
record that are not known are skipped, so that newer peers can be talked to. Encoding asserts
the same limits: what this node says, every node accepts.
Source: protos/comity/wire/v1/wire.proto; PROTOCOL sections 5 and 6.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final, cast

from google.protobuf.message import DecodeError

from comity.base.canonical import Malformed
from comity.base.errors import Reason, Rejected
from comity.base.ids import ID_BYTES, CommitId, DeviceId, Topic
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
    RUNS_COUNT_MAX,
    TEXT_BYTES_MAX,
    TOPICS_SAID_MAX,
    WANT_IDS_MAX,
    WELCOME_ADDRESSES_MAX,
    WELCOME_KEYS_MAX,
)
from comity.crypto.port import KEY_BYTES, SIGNATURE_BYTES
from comity.wire import records
from comity.wire.records import Record
from comity.wire.v1 import wire_pb2 as pb

__all__ = ["ProtobufCodec"]

_TAG_BYTES: Final = 16
_NAME_BYTES_MAX: Final = TEXT_BYTES_MAX // 4


class ProtobufCodec:
    """Implements `wire.records.Codec`. 10 us a commit in all, 35 us a record of one commit."""

    __slots__ = ()

    def encode(self, batch: tuple[Record, ...]) -> bytes:
        """Encode a batch; the order is kept. At most 1 MiB."""
        assert len(batch) <= RECORDS_MAX
        data = pb.Batch(records=[_write(record) for record in batch]).SerializeToString(
            deterministic=True
        )
        assert len(data) <= MESSAGE_BYTES_MAX, len(data)
        assert self.decode(data) == tuple(map(_as_heard, batch)), "peers would refuse this"
        return data

    def decode(self, data: bytes) -> tuple[Record, ...] | Rejected:
        """Decode a batch from a peer. Rejected: TOO_BIG, MALFORMED."""
        if len(data) > MESSAGE_BYTES_MAX:
            return Rejected(Reason.TOO_BIG, f"a batch of {len(data)} bytes")
        try:
            batch = pb.Batch.FromString(data)
        except DecodeError:
            return Rejected(Reason.MALFORMED, "not a batch of records")
        if len(batch.records) > RECORDS_MAX:
            return Rejected(Reason.TOO_BIG, f"{len(batch.records)} records in a batch")
        found: list[Record] = []
        try:
            for each in batch.records:
                kind = each.WhichOneof("kind")
                if kind is not None:
                    found.append(_READERS[kind](getattr(each, kind)))
        except Malformed as error:
            return Rejected(Reason.MALFORMED, str(error))
        return tuple(found)


def _write(record: Record) -> pb.Record:
    match record:
        case records.Announce(tags):
            return pb.Record(announce=pb.Announce(tags=tags))
        case records.Subscribe(topics):
            return pb.Record(subscribe=pb.Subscribe(topics=topics))
        case records.Summary(tag, count, digest, heads, store, arrival):
            summary = pb.Summary(
                tag=tag, count=count, digest=digest, heads=heads, store=store, arrival=arrival
            )
            return pb.Record(summary=summary)
        case records.Since(tag, arrival):
            return pb.Record(since=pb.Since(tag=tag, arrival=arrival))
        case records.Reconcile(tag, body):
            return pb.Record(reconcile=pb.Reconcile(tag=tag, body=body))
        case records.Want(tag, ids):
            return pb.Record(want=pb.Want(tag=tag, ids=ids))
        case records.Commits() | records.Runs():
            return _write_history(record)
        case records.Receipt(tag, ids):
            return pb.Record(receipt=pb.Receipt(tag=tag, ids=ids))
        case records.KeyRequest(tag, epochs):
            return pb.Record(key_request=pb.KeyRequest(tag=tag, epochs=epochs))
        case records.Keys(tag, keys):
            return pb.Record(keys=pb.Keys(tag=tag, keys=_write_keys(keys)))
        case records.Peers(peers):
            return pb.Record(peers=pb.Peers(peers=_write_peers(peers)))
        case records.Refusal(reason, detail, tag, ids):
            text = _shortened(detail)
            refusal = pb.Refusal(reason=int(reason), detail=text, tag=tag, ids=ids)
            return pb.Record(refusal=refusal)
        case records.Mail() | records.Acknowledge():
            return _write_delivery(record)
        case records.Mailboxes() | records.Post() | records.Posted() | records.Collected():
            return _write_mailbox(record)
        case (
            records.JoinRequest()
            | records.Welcome()
            | records.PairShare()
            | records.PairAnswer()
        ):
            return _write_joining(record)


def _write_history(record: records.Commits | records.Runs) -> pb.Record:
    if isinstance(record, records.Runs):
        return pb.Record(runs=pb.Runs(tag=record.tag, runs=record.runs))
    inside = [pb.Commit(sealed=c.sealed, beside=c.beside) for c in record.commits]
    said = pb.Commits(tag=record.tag, commits=inside, arrival=record.arrival, last=record.last)
    return pb.Record(commits=said)


def _write_delivery(record: records.Mail | records.Acknowledge) -> pb.Record:
    if isinstance(record, records.Mail):
        return pb.Record(mail=pb.Mail(envelope=record.envelope, route=record.route))
    said = pb.Acknowledge(handled=record.handled, received=record.received, route=record.route)
    return pb.Record(acknowledge=said)


def _write_mailbox(
    record: records.Mailboxes | records.Post | records.Posted | records.Collected,
) -> pb.Record:
    match record:
        case records.Mailboxes(keys, more):
            return pb.Record(mailboxes=pb.Mailboxes(keys=keys, more=more))
        case records.Post(mailbox, sealed, signature):
            said = pb.Post(mailbox=mailbox, sealed=sealed, signature=signature)
            return pb.Record(post=said)
        case records.Posted(mailbox, ids, refusal):
            code = 0 if refusal is None else int(refusal)
            return pb.Record(posted=pb.Posted(mailbox=mailbox, ids=ids, refusal=code))
        case records.Collected(mailbox, ids):
            return pb.Record(collected=pb.Collected(mailbox=mailbox, ids=ids))


def _write_joining(
    record: records.JoinRequest | records.Welcome | records.PairShare | records.PairAnswer,
) -> pb.Record:
    match record:
        case records.JoinRequest(prekey):
            return pb.Record(join_request=pb.JoinRequest(prekey=prekey))
        case records.Welcome():
            return pb.Record(welcome=_write_welcome(record))
        case records.PairShare(share):
            return pb.Record(pair_share=pb.PairShare(share=share))
        case records.PairAnswer(share, proof):
            return pb.Record(pair_answer=pb.PairAnswer(share=share, proof=proof))


def _shortened(detail: str) -> str:
    """Return what a record has room for: a detail may quote what a peer sent."""
    return detail.encode("utf-8", "replace")[:TEXT_BYTES_MAX].decode("utf-8", "ignore")


def _as_heard(record: Record) -> Record:
    """Return the record as the peer will read it."""
    if isinstance(record, records.Refusal):
        return replace(record, detail=_shortened(record.detail))
    return record


def _write_welcome(welcome: records.Welcome) -> pb.Welcome:
    return pb.Welcome(
        topic=welcome.topic,
        actor_type=welcome.actor_type,
        grant=welcome.grant,
        keys=_write_keys(welcome.keys),
        relays=welcome.relays,
        peers=_write_peers(welcome.peers),
    )


def _write_keys(keys: Iterable[tuple[CommitId, bytes]]) -> list[pb.EpochKey]:
    return [pb.EpochKey(epoch=epoch, key=key) for epoch, key in keys]


def _write_peers(peers: Iterable[tuple[DeviceId, str]]) -> list[pb.Peer]:
    return [pb.Peer(device=device, address=address) for device, address in peers]


# Reading: every field is checked before it becomes part of a value.


def _fixed(value: bytes, length: int, what: str) -> bytes:
    if len(value) != length:
        raise Malformed(f"{what} of {len(value)} bytes where {length} are due")
    return value


def _many(values: Sequence[bytes], length: int, most: int, what: str) -> tuple[bytes, ...]:
    if len(values) > most:
        raise Malformed(f"{len(values)} {what} where {most} are the most")
    return tuple(_fixed(value, length, what) for value in values)


def _ascending(values: tuple[bytes, ...], what: str) -> tuple[bytes, ...]:
    if any(values[i - 1] >= values[i] for i in range(1, len(values))):
        raise Malformed(f"{what} not in ascending order")
    return values


def _text(value: str, most: int, what: str) -> str:
    if len(value.encode()) > most:
        raise Malformed(f"{what} of {len(value.encode())} bytes where {most} are the most")
    return value


def _tag(value: bytes) -> bytes:
    return _fixed(value, _TAG_BYTES, "a tag")


def _ids(values: Sequence[bytes], most: int) -> tuple[CommitId, ...]:
    return cast("tuple[CommitId, ...]", _many(values, ID_BYTES, most, "ids"))


def _read_announce(said: pb.Announce) -> Record:
    tags = _many(said.tags, _TAG_BYTES, ANNOUNCE_TAGS_MAX, "tags")
    return records.Announce(_ascending(tags, "tags"))


def _read_subscribe(said: pb.Subscribe) -> Record:
    topics = _many(said.topics, ID_BYTES, TOPICS_SAID_MAX, "topics")
    return records.Subscribe(tuple(Topic(topic) for topic in topics))


def _read_summary(said: pb.Summary) -> Record:
    heads = _ids(said.heads, HEADS_SAID_MAX)
    _ascending(heads, "heads")
    return records.Summary(
        _tag(said.tag),
        said.count,
        _fixed(said.digest, _TAG_BYTES, "a digest"),
        heads,
        _fixed(said.store, _TAG_BYTES, "a store"),
        said.arrival,
    )


def _read_since(said: pb.Since) -> Record:
    return records.Since(_tag(said.tag), said.arrival)


def _read_reconcile(said: pb.Reconcile) -> Record:
    if len(said.body) > RECONCILE_BYTES_MAX:
        raise Malformed(f"{len(said.body)} bytes of reconciliation")
    return records.Reconcile(_tag(said.tag), said.body)


def _read_want(said: pb.Want) -> Record:
    ids = _ids(said.ids, WANT_IDS_MAX)
    if len(dict.fromkeys(ids)) != len(ids):
        raise Malformed("an id is wanted twice")
    return records.Want(_tag(said.tag), ids)


def _read_commits(said: pb.Commits) -> Record:
    if len(said.commits) > COMMITS_COUNT_MAX:
        raise Malformed(f"{len(said.commits)} commits in a record")
    size = 0
    found: list[records.Commit] = []
    for commit in said.commits:
        if not 0 < len(commit.sealed) <= COMMIT_BYTES_MAX:
            raise Malformed(f"a commit of {len(commit.sealed)} bytes")
        _fixed(commit.beside, SIGNATURE_BYTES, "what stands beside a commit")
        size += len(commit.sealed) + SIGNATURE_BYTES
        found.append(records.Commit(commit.sealed, commit.beside))
    if size > COMMITS_RECORD_BYTES_MAX and len(found) > 1:
        raise Malformed(f"{size} bytes of commits in a record")
    return records.Commits(_tag(said.tag), tuple(found), said.arrival, said.last)


def _read_runs(said: pb.Runs) -> Record:
    if not 0 < len(said.runs) <= RUNS_COUNT_MAX:
        raise Malformed(f"{len(said.runs)} runs in a record")
    if any(not 0 < len(run) <= COMMIT_BYTES_MAX for run in said.runs):
        raise Malformed("a run that is empty or too large")
    size = sum(map(len, said.runs))
    if size > COMMITS_RECORD_BYTES_MAX and len(said.runs) > 1:
        raise Malformed(f"{size} bytes of runs in a record")
    return records.Runs(_tag(said.tag), tuple(said.runs))


def _read_receipt(said: pb.Receipt) -> Record:
    ids = _ids(said.ids, RECEIPT_IDS_MAX)
    _ascending(ids, "ids")
    return records.Receipt(_tag(said.tag), ids)


def _read_key_request(said: pb.KeyRequest) -> Record:
    epochs = _ids(said.epochs, KEYS_ASKED_MAX)
    _ascending(epochs, "epochs")
    return records.KeyRequest(_tag(said.tag), epochs)


def _read_keys(said: pb.Keys) -> Record:
    return records.Keys(_tag(said.tag), _keys(said.keys, KEYS_ASKED_MAX))


def _keys(said: Sequence[pb.EpochKey], most: int) -> tuple[tuple[CommitId, bytes], ...]:
    if len(said) > most:
        raise Malformed(f"{len(said)} keys where {most} are the most")
    return tuple(
        (CommitId(_fixed(k.epoch, ID_BYTES, "an epoch")), _fixed(k.key, KEY_BYTES, "a key"))
        for k in said
    )


def _read_join(said: pb.JoinRequest) -> Record:
    return records.JoinRequest(_fixed(said.prekey, KEY_BYTES, "a prekey"))


def _read_welcome(said: pb.Welcome) -> Record:
    if len(said.relays) > WELCOME_ADDRESSES_MAX:
        raise Malformed("a welcome with too many relays")
    return records.Welcome(
        Topic(_fixed(said.topic, ID_BYTES, "a topic")),
        _text(said.actor_type, _NAME_BYTES_MAX, "an actor type"),
        CommitId(_fixed(said.grant, ID_BYTES, "a grant")),
        _keys(said.keys, WELCOME_KEYS_MAX),
        tuple(_text(relay, _NAME_BYTES_MAX, "an address") for relay in said.relays),
        _peers(said.peers, WELCOME_ADDRESSES_MAX),
    )


def _read_peers(said: pb.Peers) -> Record:
    return records.Peers(_peers(said.peers, PEERS_RECORD_MAX))


def _peers(said: Sequence[pb.Peer], most: int) -> tuple[tuple[DeviceId, str], ...]:
    if len(said) > most:
        raise Malformed(f"{len(said)} peers where {most} are the most")
    return tuple(
        (
            DeviceId(_fixed(peer.device, ID_BYTES, "a device")),
            _text(peer.address, _NAME_BYTES_MAX, "an address"),
        )
        for peer in said
    )


def _read_refusal(said: pb.Refusal) -> Record:
    return records.Refusal(
        _reason(said.reason),
        _text(said.detail, TEXT_BYTES_MAX, "a detail"),
        _tag(said.tag) if said.tag else b"",
        _ids(said.ids, RECEIPT_IDS_MAX),
    )


def _read_mail(said: pb.Mail) -> Record:
    if len(said.envelope) > ENVELOPE_BYTES_MAX:
        raise Malformed(f"an envelope of {len(said.envelope)} bytes")
    return records.Mail(said.envelope, _route(said.route))


def _route(value: bytes) -> bytes:
    if len(value) > ROUTE_BYTES_MAX:
        raise Malformed(f"a route of {len(value)} bytes")
    return value


def _read_acknowledge(said: pb.Acknowledge) -> Record:
    return records.Acknowledge(said.handled, said.received, _route(said.route))


def _mailbox(value: bytes) -> bytes:
    return _fixed(value, ID_BYTES, "a mailbox")


def _posts(values: Sequence[bytes]) -> tuple[bytes, ...]:
    if not values:
        raise Malformed("no mail is named")
    return _many(values, ID_BYTES, POSTS_SAID_MAX, "mails")


def _read_mailboxes(said: pb.Mailboxes) -> Record:
    keys = _many(said.keys, KEY_BYTES, MAILBOXES_OF_ONE_MAX, "mailboxes")
    if len(dict.fromkeys(keys)) != len(keys):
        raise Malformed("a mailbox is named twice")
    return records.Mailboxes(keys, said.more)


def _read_post(said: pb.Post) -> Record:
    if not 0 < len(said.sealed) <= POST_BYTES_MAX:
        raise Malformed(f"a mail of {len(said.sealed)} bytes")
    if said.signature:
        _fixed(said.signature, SIGNATURE_BYTES, "a signature")
    return records.Post(_mailbox(said.mailbox), said.sealed, said.signature)


def _read_posted(said: pb.Posted) -> Record:
    refusal = _reason(said.refusal) if said.refusal else None
    return records.Posted(_mailbox(said.mailbox), _posts(said.ids), refusal)


def _read_collected(said: pb.Collected) -> Record:
    return records.Collected(_mailbox(said.mailbox), _posts(said.ids))


def _reason(code: int) -> Reason:
    try:
        return Reason(code)
    except ValueError:
        return Reason.UNSUPPORTED


def _read_pair_share(said: pb.PairShare) -> Record:
    return records.PairShare(_fixed(said.share, KEY_BYTES, "a share"))


def _read_pair_answer(said: pb.PairAnswer) -> Record:
    share = _fixed(said.share, KEY_BYTES, "a share")
    return records.PairAnswer(share, _fixed(said.proof, _TAG_BYTES, "a proof"))


_READERS: Final = cast(
    "dict[str, Callable[[object], Record]]",
    {
        "announce": _read_announce,
        "subscribe": _read_subscribe,
        "summary": _read_summary,
        "since": _read_since,
        "reconcile": _read_reconcile,
        "want": _read_want,
        "commits": _read_commits,
        "runs": _read_runs,
        "receipt": _read_receipt,
        "key_request": _read_key_request,
        "keys": _read_keys,
        "join_request": _read_join,
        "welcome": _read_welcome,
        "peers": _read_peers,
        "refusal": _read_refusal,
        "mail": _read_mail,
        "acknowledge": _read_acknowledge,
        "pair_share": _read_pair_share,
        "pair_answer": _read_pair_answer,
        "mailboxes": _read_mailboxes,
        "post": _read_post,
        "posted": _read_posted,
        "collected": _read_collected,
    },
)
