"""The targets of `tests.fuzz` that read links, texts of people, and files.

Owns: as `tests.fuzz.targets`, whose list it adds to. Import it for that effect.
"""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

from comity.base.canonical import Malformed, Reader
from comity.base.clock import Instant, Wall
from comity.base.errors import ComityError, Reason, Rejected, UsageError
from comity.base.ids import CommitId, DeviceId, Topic
from comity.crdt.text.columns import (
    decode_deleted,
    decode_log,
    encode_deleted,
    encode_log,
    read_spans,
)
from comity.crypto import cpace
from comity.crypto.hashing import PERSON_INVITE, blake2b
from comity.crypto.sodium import Sodium
from comity.drivers import control, vault
from comity.log.entries import Role
from comity.node import rows
from comity.protocol.invite import Invite, format_invite, parse_invite
from comity.protocol.reconcile import Outcome, Reconciler
from comity.protocol.session import Established, SendFrame, Session
from comity.wire import records
from comity.wire.codec import ProtobufCodec
from comity_chaos import plan_file
from comity_chaos.plan import Plan
from tests.crdt.text.histories import ramble
from tests.fuzz.targets import target
from tests.protocol import sessions, topics

TOPIC: Final = Topic(bytes(32))
CODEC: Final = ProtobufCodec()


@cache
def _records() -> tuple[records.Record, ...]:
    tag, one, two = topics.TAG, CommitId(bytes([1]) * 32), CommitId(bytes([2]) * 32)
    device = DeviceId(bytes([3]) * 32)
    commit = records.Commit(b"\xc1" * 40, bytes(64))
    return (
        records.Announce((tag,)),
        records.Subscribe((TOPIC,)),
        records.Summary(tag, 3, bytes(16), (one, two), b"s" * 16, 3),
        records.Since(tag, 1),
        records.Reconcile(tag, _bodies_of_reconcile()[0]),
        records.Want(tag, (one, two)),
        records.Commits(tag, (commit, commit), 2, last=True),
        records.Receipt(tag, (one, two)),
        records.KeyRequest(tag, (one, two)),
        records.Keys(tag, ((one, bytes(32)),)),
        records.JoinRequest(bytes(32)),
        records.Welcome(TOPIC, "t", one, ((one, bytes(32)),), ("r",), ((device, "p"),)),
        records.Peers(((device, "host:1"),)),
        records.Refusal(Reason.TOO_BIG, "x", tag, (one,)),
    )


@target(lambda: [CODEC.encode((each,)) for each in _records()] + [CODEC.encode(_records())])
def wire(data: bytes) -> object:
    """`ProtobufCodec.decode`; what it takes it can say again."""
    found = CODEC.decode(data)
    if isinstance(found, Rejected):
        return found
    assert CODEC.decode(CODEC.encode(found)) == found
    return None


@cache
def _log() -> topics.Log:
    return topics.some_log(20)


def _talks() -> list[bytes]:
    log = _log()
    ids = tuple(sorted(log.order))[:3]
    commits = tuple(log.commits[each] for each in log.order[:2])
    said = (
        topics.lie(),
        records.Since(topics.TAG, 1),
        records.Reconcile(topics.TAG, _bodies_of_reconcile()[0]),
        records.Want(topics.TAG, ids),
        records.Commits(topics.TAG, commits, 2, last=True),
        records.Receipt(topics.TAG, ids),
        records.Refusal(Reason.TOO_BIG, "x", topics.TAG, ids),
    )
    return [CODEC.encode(said[:1] + said[n : n + 3]) for n in range(len(said))]


_PLANS: Final = Path(__file__).resolve().parents[1] / "chaos" / "corpus"
_SYNC: Final = (
    records.Summary, records.Since, records.Reconcile, records.Want, records.Commits,
    records.Receipt, records.Refusal,
)  # fmt: skip


@target(_talks)
def sync(data: bytes) -> object:
    """`TopicSync.receive`, begun, of any records in any order: it checks, and never raises."""
    found = CODEC.decode(data)
    if isinstance(found, Rejected):
        return found
    end = topics.End(_log().copy("fuzz"), "liar", initiator=len(data) % 2 == 0)
    end.start()
    for record in found[:20]:
        if isinstance(record, _SYNC) and _has_whole_parents(record):
            end.do(end.machine.receive(record, Instant(0)))
            for _ in range(min(4, len(end.jobs))):
                end.work()
    end.machine.check()
    return end.failed


def _has_whole_parents(record: records.Record) -> bool:
    """Keep from the host of `topics`, which does not look, what its real kin refuses."""
    if not isinstance(record, records.Commits):
        return True
    return all(
        len(each.sealed) > 8 and len(each.sealed) >= 9 + 32 * each.sealed[8]
        for each in record.commits
    )


_EVENTS_MAX: Final = 1 << 16
"""Of a log that is read here: a few bytes can stand for 64 Mi events, each takes a byte."""


def _logs() -> list[bytes]:
    """Return the histories of some texts as this device stores them."""
    found: list[bytes] = []
    for seed in range(6):
        document = ramble(seed, 12)[1][0].document
        str(document)
        log = document._merge.log
        found.append(encode_log(log) + encode_deleted(log))
    return found


@target(_logs)
def text_columns(data: bytes) -> object:
    """The history of a text in a store: `Malformed`, or a log that can be read."""
    reader = Reader(data)
    try:
        spans = read_spans(Reader(data))
        if sum(last - first + 1 for first, last in spans) > _EVENTS_MAX:
            return None
        log = decode_log(reader)
        decode_deleted(reader, log)
        reader.finish()
    except Malformed as error:
        return error
    for event in range(min(log.count, 50)):
        assert log.operations_of(event, event)
    return log


@cache
def _items() -> tuple[tuple[int, CommitId], ...]:
    return tuple((n // 3, CommitId(blake2b(bytes([n]), person=b"fuzz"))) for n in range(200))


@cache
def _bodies_of_reconcile() -> tuple[bytes, ...]:
    ours = Reconciler(_items(), topics.KEY, initiator=True)
    theirs = Reconciler(_items()[::2], topics.KEY, initiator=False)
    body: bytes | None = ours.initiate()
    said: list[bytes] = []
    sides = [theirs, ours]
    while body is not None:
        said.append(body)
        outcome = sides[0].receive(body)
        assert isinstance(outcome, Outcome)
        body, sides = outcome.reply, sides[::-1]
    return tuple(said)


@target(_bodies_of_reconcile)
def reconcile(data: bytes) -> object:
    """`Reconciler.receive`, on both sides."""
    first = Reconciler(_items()[:90], topics.KEY, initiator=True)
    first.initiate()
    second = Reconciler(_items()[:90], topics.KEY, initiator=False)
    return [side.receive(data) for side in (first, second)]


_STATES: Final = 5


@cache
def _frames() -> tuple[bytes, ...]:
    found: list[bytes] = []
    for state, seed in enumerate((None, sessions.SEED)):
        frames, _ = sessions.handshake(*sessions.dial(seed=seed))
        found += [bytes((n + 2 * state * (n == 0),)) + each for n, each in enumerate(frames)]
    found += [bytes((3, kind)) + b"part" for kind in range(4)]
    return tuple(found)


@target(_frames)
def session(data: bytes) -> object:
    """`Session.receive` in every state; the first byte chooses it.

    In state 3 the peer is a proven device: what follows is sealed, kind and part.
    """
    if not data:
        return None
    state, frame = data[0] % _STATES, data[1:]
    alice, bob = sessions.dial(seed=sessions.SEED if state == 4 else None)
    if state in {0, 2, 4}:
        return _hear(bob, frame)
    (first,) = alice.start()
    if state == 1:
        return _hear(alice, frame)
    (answer,) = bob.receive(first, sessions.NOW)
    assert isinstance(answer, SendFrame)
    third, *_ = alice.receive(answer.frame, sessions.NOW)
    assert isinstance(third, SendFrame)
    bob.receive(third.frame, sessions.NOW)
    return _hear(bob, alice._send.encrypt(b"", frame[:60_000]))


def _hear(side: Session, frame: bytes) -> object:
    events = side.receive(frame, sessions.NOW)
    if any(isinstance(each, Established) for each in events):
        assert frame in [each[1:] for each in _frames()], "nobody is established by noise"
    return events


@target(lambda: [bytes(32), b"\x09" + bytes(31), b"code"])
def pairing(data: bytes) -> object:
    """`cpace`: any bytes as a share, as a code and as a label."""
    cpace.generator(data, channel=data[:9], session=b"")
    return cpace.secret_point(Sodium(), bytes([7]) * 32, data)


# ---------------------------------------------------------------------------- people and disks


def _invites() -> list[bytes]:
    device = DeviceId(bytes(range(32)))
    texts = [
        format_invite(Invite(device, bytes(16), addresses))
        for addresses in ((), ("host:1",), ("a:1", "caf\u00e9:2"))
    ]
    bodies = [base64.urlsafe_b64decode(each[7:] + "==")[:-4] for each in texts]
    return [b"\0" + each.encode() for each in texts] + [b"\1" + each for each in bodies]


@target(_invites)
def invite(data: bytes) -> object:
    """`parse_invite`: a link, or, after a first byte that is odd, its body with a good check.

    `UsageError` is its answer to a person.
    """
    body = data[1:]
    link = body.decode("utf-8", "replace")
    if data[:1] and data[0] % 2:
        whole = body + blake2b(body, size=4, person=PERSON_INVITE)
        link = "comity:" + base64.urlsafe_b64encode(whole).decode().rstrip("=")
    try:
        found = parse_invite(link)
    except UsageError as error:
        return error
    assert format_invite(found) == "".join(link.split())
    return None


def _row_values() -> list[bytes]:
    device, commit = DeviceId(bytes([1]) * 32), CommitId(bytes([2]) * 32)
    return [
        b"\0" + rows.encode_commit(records.Commit(b"\xc1" * 40, bytes(64))),
        b"\1" + rows.encode_topic(rows.TopicRow("t", commit, shelf=False)),
        b"\2" + rows.encode_draft(rows.DraftRow((commit,), Wall(3), b"x")),
        b"\3" + rows.encode_invite(rows.InviteRow(TOPIC, Role.ADMIN, bytes(16), Wall(300))),
        b"\3"
        + rows.encode_invite(
            rows.InviteRow(TOPIC, Role.READER, bytes(16), Wall(300), device, commit)
        ),
    ]


_ROWS: Final[tuple[Callable[[bytes], object], ...]] = (
    rows.decode_commit, rows.decode_topic, rows.decode_draft, rows.decode_invite,
)  # fmt: skip


@target(_row_values)
def row(data: bytes) -> object:
    """The rows of our own store; the first byte chooses which. `Malformed` stops the node."""
    if not data:
        return None
    with contextlib.suppress(Malformed):
        return _ROWS[data[0] % len(_ROWS)](data[1:])
    return None


@target(
    lambda: [b'{"do":"status"}', b'{"ok":{"a":[1,null,"x"]}}', b'{"error":"e","kind":"usage"}']
)
def control_line(data: bytes) -> object:
    """A line on the control socket, as a request and as an answer.

    `UsageError`, and what an answer stands for, are what a person is told.
    """
    try:
        return control._result(control._decode(data))
    except ComityError as error:
        return str(error)


@target(
    lambda: (
        [each.read_bytes() for each in sorted(_PLANS.glob("*.toml"))]
        + [plan_file.to_word(Plan(seed=1, nodes=2)).encode()]
    )
)
def plan(data: bytes) -> object:
    """`plan_file.load`, in both forms; `UsageError` is its answer to a person."""
    try:
        found = plan_file.load(data.decode("utf-8", "replace"))
    except UsageError as error:
        return error
    assert plan_file.load(plan_file.dump(found)) == found
    return None


def _vaults() -> list[bytes]:
    fields = {
        "format": vault._FORMAT,
        "instance": bytes(16).hex(),
        "protection": "insecure",
        "beside": bytes(32).hex(),
        "passes": 3,
        "memory_bytes": 1 << 26,
        "wrapped": bytes(64).hex(),
    }
    return [json.dumps(fields).encode()]


@target(_vaults)
def vault_file(data: bytes) -> object:
    """The file that holds a store's key: the errors that `Vault` turns into `StoreError`."""
    with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
        return vault._parse(data)
    return None
