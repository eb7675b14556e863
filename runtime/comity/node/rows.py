"""Rows: how a node's durable state is laid out as keys and values of a store.

Owns: the bytes of every key and value. May not know: when they are written. Keys order rows
the way they are read back: commits of a topic by arrival, drafts by the order of turns.
The formats are for good; `META['format']` names their version.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from comity.base.canonical import Malformed, Reader, varint
from comity.base.clock import Wall
from comity.base.ids import ID_BYTES, CommitId, DeviceId, Topic
from comity.crypto.port import SIGNATURE_BYTES
from comity.log.entries import ACTOR_TYPE_BYTES_MAX, Role
from comity.wire.records import Commit

__all__ = [
    "FORMAT",
    "META_FORMAT",
    "META_STORE",
    "META_SUPERSEDED",
    "SECRET_DEVICE",
    "SECRET_OLD_PREKEY",
    "SECRET_PREKEY",
    "SECRET_PREKEY_SINCE",
    "DraftRow",
    "InviteRow",
    "TopicRow",
    "commit_key",
    "cursor_key",
    "decode_commit",
    "decode_draft",
    "decode_former",
    "decode_invite",
    "decode_number",
    "decode_pairs",
    "decode_run",
    "decode_topic",
    "draft_key",
    "edge_key",
    "encode_commit",
    "encode_draft",
    "encode_former",
    "encode_invite",
    "encode_number",
    "encode_pairs",
    "encode_run",
    "encode_topic",
    "epoch_key",
    "former_key",
    "former_of_key",
    "mail_key",
    "number_of",
    "outbox_key",
    "run_key",
    "split_cursor_key",
    "split_epoch_key",
    "topic_of_key",
]

FORMAT: Final = b"1"
"""Version of these layouts."""

META_FORMAT: Final = b"format"
META_STORE: Final = b"store"
META_SUPERSEDED: Final = b"superseded"
SECRET_DEVICE: Final = b"device"
SECRET_PREKEY: Final = b"prekey"
SECRET_PREKEY_SINCE: Final = b"prekey-since"
SECRET_OLD_PREKEY: Final = b"prekey/"
"""How the keys of those rows begin that hold prekeys which were replaced."""

_FORMER: Final = b"former/"
_BLOB_BYTES_MAX: Final = 1 << 20
_NUMBER_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class TopicRow:
    """What is remembered of an actor besides its log.

    grant: the commit that added this device; empty for a founder and on a relay.
    shelf: this node only keeps the sealed commits, as a relay.
    """

    actor_type: str
    grant: bytes
    shelf: bool


@dataclass(frozen=True, slots=True)
class DraftRow:
    """One turn that is durable and not yet sealed.

    parents: ids that its commit will carry; the same in every row of one draft.
    wall: when it ended, milliseconds.
    """

    parents: tuple[CommitId, ...]
    wall: Wall
    operations: bytes


@dataclass(frozen=True, slots=True)
class InviteRow:
    """An invite until it expires.

    spent_by, grant: the device that used it and the commit that added it; empty while open.
    """

    topic: Topic
    role: Role
    seed: bytes = field(repr=False)
    expires: Wall
    spent_by: bytes = b""
    grant: bytes = b""


def encode_number(number: int) -> bytes:
    """Write a number so that bytes order as numbers do: 8 bytes, big-endian."""
    return number.to_bytes(_NUMBER_BYTES, "big")


def decode_number(value: bytes) -> int:
    """Read what `encode_number` wrote."""
    return int.from_bytes(value, "big")


def old_prekey(public: bytes) -> bytes:
    """Key of a prekey that was replaced: its secret half, then when that was, a number."""
    return SECRET_OLD_PREKEY + public


def commit_key(topic: Topic, arrival: int) -> bytes:
    """Key of a commit: its topic, then its number of arrival, from 1."""
    return topic + encode_number(arrival)


draft_key = commit_key

run_key = commit_key
"""Key of a run: its topic, then the number of its first commit."""


def outbox_key(device: DeviceId, first: int) -> bytes:
    """Key of an envelope: its recipient, then the number of its first letter."""
    return device + encode_number(first)


def mail_key(mailbox: bytes, number: int) -> bytes:
    """Key of a mail on a relay: its mailbox, then its number there."""
    return mailbox + encode_number(number)


def edge_key(kind: bytes, device: DeviceId, number: int | None = None) -> bytes:
    """Key of a row of an edge (`node.edge_rows`)."""
    return kind + device + (b"" if number is None else encode_number(number))


def epoch_key(topic: Topic, epoch: CommitId) -> bytes:
    """Key of a content key: its topic, then the commit that made the epoch."""
    return topic + epoch


def cursor_key(topic: Topic, peer: DeviceId, store: bytes) -> bytes:
    """Key of how far this node has read in the store of a peer."""
    return topic + peer + store


def split_cursor_key(key: bytes) -> tuple[Topic, DeviceId, bytes]:
    """Take apart what `cursor_key` made."""
    topic, peer = Topic(key[:ID_BYTES]), DeviceId(key[ID_BYTES : 2 * ID_BYTES])
    return topic, peer, key[2 * ID_BYTES :]


def former_key(device: DeviceId) -> bytes:
    """Key of a device that this node was: in META when and why it ended, in SECRET its seed."""
    return _FORMER + device


def former_of_key(key: bytes) -> DeviceId | None:
    """Return the device of what `former_key` made; None for any other key."""
    return DeviceId(key[len(_FORMER) :]) if key.startswith(_FORMER) else None


def topic_of_key(key: bytes) -> Topic:
    """Return the topic at the beginning of a key."""
    return Topic(key[:ID_BYTES])


def number_of(key: bytes) -> int:
    """Return the number at the end of a key that `commit_key` made."""
    return decode_number(key[ID_BYTES:])


def split_epoch_key(key: bytes) -> tuple[Topic, CommitId]:
    """Take apart what `epoch_key` made."""
    return Topic(key[:ID_BYTES]), CommitId(key[ID_BYTES:])


def encode_commit(commit: Commit) -> bytes:
    """Value of a commit row."""
    return varint(len(commit.sealed)) + commit.sealed + commit.beside


def decode_commit(value: bytes) -> Commit:
    """Read what `encode_commit` wrote."""
    reader = Reader(value)
    sealed = reader.blob(_BLOB_BYTES_MAX)
    return Commit(sealed, reader.rest())


def encode_pairs(sealed: bytes, besides: Sequence[bytes]) -> bytes:
    """Value of a commit row on a relay, which keeps all that came beside it."""
    return encode_commit(Commit(sealed, b"".join(besides)))


def decode_pairs(value: bytes) -> tuple[Commit, ...]:
    """Read a commit row as what is sent of it: one commit, on a relay one for each pair."""
    found = decode_commit(value)
    size = SIGNATURE_BYTES
    starts = range(0, len(found.beside), size)
    return tuple(Commit(found.sealed, found.beside[at : at + size]) for at in starts)


def encode_run(numbers: Sequence[int], run: bytes) -> bytes:
    """Value of a run row. numbers: of arrival, of each commit of the run, ascending."""
    assert numbers
    first = [varint(len(numbers)), varint(numbers[0])]
    steps = [varint(after - before) for before, after in pairwise(numbers)]
    return b"".join((*first, *steps, run))


def decode_run(value: bytes) -> tuple[tuple[int, ...], bytes]:
    """Read what `encode_run` wrote."""
    reader = Reader(value)
    count = reader.varint()
    number = reader.varint()
    numbers = [number]
    for _ in range(count - 1):
        number += reader.varint()
        numbers.append(number)
    return tuple(numbers), reader.rest()


def encode_topic(row: TopicRow) -> bytes:
    """Value of a topic row."""
    name = row.actor_type.encode()
    return (
        bytes((int(row.shelf),)) + varint(len(name)) + name + varint(len(row.grant)) + row.grant
    )


def decode_topic(value: bytes) -> TopicRow:
    """Read what `encode_topic` wrote."""
    reader = Reader(value)
    shelf = reader.u8() == 1
    actor_type = reader.text(ACTOR_TYPE_BYTES_MAX)
    grant = reader.blob(ID_BYTES)
    reader.finish()
    return TopicRow(actor_type, grant, shelf)


def encode_draft(row: DraftRow) -> bytes:
    """Value of a draft row."""
    parents = b"".join(row.parents)
    return varint(len(row.parents)) + parents + varint(row.wall) + row.operations


def decode_draft(value: bytes) -> DraftRow:
    """Read what `encode_draft` wrote."""
    reader = Reader(value)
    count = reader.varint()
    parents = tuple(CommitId(reader.take(ID_BYTES)) for _ in range(count))
    return DraftRow(parents, Wall(reader.varint()), reader.rest())


def encode_former(wall: Wall, why: str) -> bytes:
    """Value of a former device's META row."""
    return varint(wall) + why.encode()


def decode_former(value: bytes) -> tuple[Wall, str]:
    """Read what `encode_former` wrote."""
    reader = Reader(value)
    return Wall(reader.varint()), reader.rest().decode()


def encode_invite(row: InviteRow) -> bytes:
    """Value of an invite row."""
    head = row.topic + bytes((row.role,)) + row.seed + varint(row.expires)
    return head + row.spent_by + row.grant


def decode_invite(value: bytes) -> InviteRow:
    """Read what `encode_invite` wrote."""
    reader = Reader(value)
    topic = Topic(reader.take(ID_BYTES))
    role = reader.u8()
    if role > Role.ADMIN:
        raise Malformed(f"a role of number {role}")
    seed = reader.take(16)
    expires = Wall(reader.varint())
    spent = reader.left > 0
    spent_by = reader.take(ID_BYTES) if spent else b""
    return InviteRow(topic, Role(role), seed, expires, spent_by, reader.rest())
