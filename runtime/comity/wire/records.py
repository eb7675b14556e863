"""Records: what two nodes say to each other inside a session, as plain values.

Owns: the closed union of records. May not know: protobuf (`wire.codec` turns records into
bytes and back) or what a record makes a node do (`comity.protocol`).
A batch of records is the plaintext of one session message. Topics are named inside a session
by a `tag` = BLAKE2b-128(handshake hash, topic), so that a peer learns only topics that it
knows already; a relay is told the topic itself by `Subscribe`.
Source: PROTOCOL sections 5 to 9.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from comity.base.errors import Reason, Rejected
from comity.base.ids import CommitId, DeviceId, Topic
from comity.base.values import made_fast

__all__ = [
    "Acknowledge",
    "Announce",
    "Codec",
    "Collected",
    "Commit",
    "Commits",
    "JoinRequest",
    "KeyRequest",
    "Keys",
    "Mail",
    "Mailboxes",
    "PairAnswer",
    "PairShare",
    "Peers",
    "Post",
    "Posted",
    "Receipt",
    "Reconcile",
    "Record",
    "Refusal",
    "Since",
    "Subscribe",
    "Summary",
    "Want",
    "Welcome",
]


@dataclass(frozen=True, slots=True)
class Announce:
    """Topics that this side has a replica of; the other side answers the ones it has too.

    tags: each 16 bytes, sorted, no duplicates, at most 1,024.
    """

    tags: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Tell a relay which topics to keep and serve; it learns their names."""

    topics: tuple[Topic, ...]


@made_fast
@dataclass(frozen=True, slots=True)
class Summary:
    """What this side holds of a topic.

    count: number of accepted commits. digest: 16 bytes, BLAKE2b over the sorted ids.
    heads: members only, sorted; empty from a relay. store: 16 bytes, the store instance.
    arrival: the number of the newest commit in that store.
    """

    tag: bytes
    count: int
    digest: bytes
    heads: tuple[CommitId, ...]
    store: bytes
    arrival: int


@made_fast
@dataclass(frozen=True, slots=True)
class Since:
    """Ask for every commit that arrived at the other store after number `arrival`."""

    tag: bytes
    arrival: int


@dataclass(frozen=True, slots=True)
class Reconcile:
    """One message of range-based set reconciliation. body: opaque to all but its machine."""

    tag: bytes
    body: bytes


@made_fast
@dataclass(frozen=True, slots=True)
class Want:
    """Ask for commits by id, at most 1,024."""

    tag: bytes
    ids: tuple[CommitId, ...]


@made_fast
@dataclass(frozen=True, slots=True)
class Commit:
    """One sealed commit and what stands beside it (the masked signature, 64 bytes).

    On the way to and from `Runs` also a whole run, which has nothing beside it.
    """

    sealed: bytes
    beside: bytes

    @property
    def is_run(self) -> bool:
        """Whether it is a run: a commit always has something beside it."""
        return not self.beside


@made_fast
@dataclass(frozen=True, slots=True)
class Commits:
    """Commits of one topic, parents before children as far as the sender can tell.

    arrival: number of the last of them in the sender's store; 0 if they were asked for by id.
    last: the answer to a `Since` or `Want` ends here; always True for live pushes.
    """

    tag: bytes
    commits: tuple[Commit, ...]
    arrival: int
    last: bool


@dataclass(frozen=True, slots=True)
class Runs:
    """Stretches of cold history, each whole; members only. What they claim, a `Commits` says.

    runs: at most 64, parents before children as far as the sender can tell.
    """

    tag: bytes
    runs: tuple[bytes, ...]


@made_fast
@dataclass(frozen=True, slots=True)
class Receipt:
    """These commits are durable here. ids: sorted, no duplicates."""

    tag: bytes
    ids: tuple[CommitId, ...]


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """Ask a member for the keys of epochs whose commits are here and do not open.

    epochs: ids of epoch commits, sorted, no duplicates, at most 64.
    """

    tag: bytes
    epochs: tuple[CommitId, ...]


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys that were asked for: (epoch commit id, key), at most 64.

    The id fixes the commitment to the key, so that whoever asked can tell a wrong one.
    """

    tag: bytes
    keys: tuple[tuple[CommitId, bytes], ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """Ask to be admitted by the invite whose seed this session was made with.

    prekey: 32 bytes, X25519, of the joining device.
    """

    prekey: bytes


@dataclass(frozen=True, slots=True)
class Welcome:
    """Admission: what a newcomer needs to read and sync.

    grant: the commit that added the newcomer. keys: (epoch commit id, key), oldest first.
    relays: addresses. peers: addresses of members that may be dialled.
    """

    topic: Topic
    actor_type: str
    grant: CommitId
    keys: tuple[tuple[CommitId, bytes], ...] = field(repr=False)
    relays: tuple[str, ...]
    peers: tuple[tuple[DeviceId, str], ...]


@dataclass(frozen=True, slots=True)
class PairShare:
    """Try a short code, in a session keyed by the public secret of its number.

    share: 32 bytes, of CPace.
    """

    share: bytes


@dataclass(frozen=True, slots=True)
class PairAnswer:
    """The inviter's side of a try: one of three. share: 32 bytes. proof: 16 bytes."""

    share: bytes
    proof: bytes


@dataclass(frozen=True, slots=True)
class Peers:
    """Where members may be dialled: hints, never authority. At most 256.

    A wrong address costs its reader one dial: the handshake proves who answers.
    """

    peers: tuple[tuple[DeviceId, str], ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the other side sent was not taken. ids: which commits, if commits."""

    reason: Reason
    detail: str
    tag: bytes = b""
    ids: tuple[CommitId, ...] = ()


@made_fast
@dataclass(frozen=True, slots=True)
class Mail:
    """One envelope of the edge from who says this to who hears it, as `protocol.envelope`.

    route: where who says this takes letters while it is off (`protocol.route`); empty if that
    was said in this session, or is nowhere.
    """

    envelope: bytes
    route: bytes = field(default=b"", repr=False)


@made_fast
@dataclass(frozen=True, slots=True)
class Acknowledge:
    """How far the edge from who hears this to who says it has come.

    handled: every letter up to here is, durably. received: every one up to here has come.
    route: as in `Mail`.
    """

    handled: int
    received: int
    route: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Mailboxes:
    """To a relay: these mailboxes are mine; send me what lies in them.

    keys: the public halves of their write keys, all different, at most 4,096. more: beside
    those that were named before; else there are no others any more.
    """

    keys: tuple[bytes, ...]
    more: bool


@made_fast
@dataclass(frozen=True, slots=True)
class Post:
    """A sealed mail for a mailbox: to a relay with a signature, from a relay to its owner.

    signature: 64 bytes, by the write key (`protocol.route`); empty from a relay.
    """

    mailbox: bytes
    sealed: bytes
    signature: bytes


@made_fast
@dataclass(frozen=True, slots=True)
class Posted:
    """From a relay: these mails are durable in a mailbox, or why they were not taken.

    ids: of the mails, at most 1,024. refusal: None if they are durable.
    """

    mailbox: bytes
    ids: tuple[bytes, ...]
    refusal: Reason | None


@made_fast
@dataclass(frozen=True, slots=True)
class Collected:
    """To a relay: these mails of mine are handled, durably; let go of them. At most 1,024."""

    mailbox: bytes
    ids: tuple[bytes, ...]


Record = (
    Announce
    | Subscribe
    | Summary
    | Since
    | Reconcile
    | Want
    | Commits
    | Runs
    | Receipt
    | KeyRequest
    | Keys
    | JoinRequest
    | Welcome
    | Peers
    | Refusal
    | Mail
    | Acknowledge
    | PairShare
    | PairAnswer
    | Mailboxes
    | Post
    | Posted
    | Collected
)
"""Everything that one node can say to another."""


class Codec(Protocol):
    """Turns batches of records into bytes and back. `wire.codec` implements it."""

    def encode(self, batch: tuple[Record, ...]) -> bytes:
        """Encode a batch; the order is kept."""
        ...

    def decode(self, data: bytes) -> tuple[Record, ...] | Rejected:
        """Decode a batch from a peer; unknown kinds of record are skipped, never fatal."""
        ...
