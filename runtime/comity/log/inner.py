"""The inner part of a commit: what its seal hides from whoever holds no key.

Owns: who wrote it, where it hangs in its author's chain and in the graph, and its one
encoding. May not know: the seal around it, the graph, whether its grant exists.

    inner = flags u8 | [author 32] | [backlink 32] | [auth: root u8, or commit 32]
          | parents u8 | parent 32 x parents | [index of the backlink u8]
          | wall varint | body length varint | body | zeros

    flags  bits 0-1 chain   0 FIRST     author stated, no backlink, seq 0
                            1 PARENT    backlink is a parent (index stated if there are more)
                            2 STATED    backlink stated, it is not a parent
                            3 GENESIS   no parents; author is the first root, seq 0, root 0
           bits 2-3 auth    0 implied: that of the backlink commit; 1 root; 2 commit
           bits 4-7 zero

What can be implied must be: author and seq always follow from the backlink; a backlink that is
a parent is an index; a grant equal to the backlink commit's is left out. So decoding needs
three facts of one known commit (`Past`). Zeros: to a multiple of 32 up to 256 bytes in all,
Padme above (at most 12 % more, log log n bits told).
Source: PROTOCOL section 2; Padme: Nikitin et al. 2019, "Reducing metadata leakage", 3.1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from comity.base.canonical import Malformed, Reader, varint
from comity.base.clock import Wall
from comity.base.errors import Reason, Rejected
from comity.base.ids import ID_BYTES, CommitId, DeviceId, short
from comity.base.limits import COMMIT_BYTES_MAX, PARENTS_MAX, ROOTS_MAX
from comity.base.values import made_fast
from comity.log.entries import (
    AuthorityEntry,
    Entry,
    EpochEntry,
    GenesisEntry,
    TurnEntry,
    UndoEntry,
    decode_entries,
    encode_entries,
)

__all__ = [
    "ChainFacts",
    "CommitGrant",
    "Grant",
    "Inner",
    "Parts",
    "Past",
    "Peeked",
    "RootGrant",
    "decode_inner",
    "encode_inner",
    "following_head",
    "join_parts",
    "padded_bytes",
    "peek_parents",
    "split_inner",
]

_FIRST: Final = 0
_PARENT: Final = 1
_STATED: Final = 2
_GENESIS: Final = 3

_AUTH_SHIFT: Final = 2
_AUTH_IMPLIED: Final = 0
_AUTH_ROOT: Final = 1
_AUTH_COMMIT: Final = 2

_FOLLOWING: Final = bytes((_PARENT | _AUTH_IMPLIED << _AUTH_SHIFT, 1))
_FOLLOWING_BYTES: Final = len(_FOLLOWING) + ID_BYTES

_PADDING_STEP: Final = 32
_PADDING_STEPPED_MAX: Final = 256
_SEQ_MAX: Final = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class RootGrant:
    """The grant that the genesis gives to its root number `index`."""

    index: int

    def __post_init__(self) -> None:
        """Hold the bound of the roots."""
        assert 0 <= self.index < ROOTS_MAX


@made_fast
@dataclass(frozen=True, slots=True)
class CommitGrant:
    """The grant that a commit gives by adding a device."""

    commit: CommitId

    def __post_init__(self) -> None:
        """Hold the width of an id."""
        assert len(self.commit) == ID_BYTES


Grant = RootGrant | CommitGrant
"""What a commit is made under; whether it exists is for `comity.authority` to say."""


@made_fast
@dataclass(frozen=True, slots=True)
class ChainFacts:
    """What a commit's successor in its author's chain takes from it."""

    author: DeviceId
    seq: int
    auth: Grant


Past = Callable[[CommitId], ChainFacts | None]
"""Looks up a commit that is known; None if it is not."""


@made_fast
@dataclass(frozen=True, slots=True)
class Inner:
    """A commit as its author meant it.

    seq: 0 without a backlink, else one more than the backlink commit's.
    parents: 0 (genesis only) to 16, strictly ascending. wall: ms, not negative, advisory.
    entries: a genesis starts with its `GenesisEntry`, an epoch commit with its `EpochEntry`,
    and these stand nowhere else; at most one authority entry.
    """

    author: DeviceId
    seq: int
    backlink: CommitId | None
    auth: Grant
    parents: tuple[CommitId, ...]
    wall: Wall
    entries: tuple[Entry, ...]

    def __post_init__(self) -> None:
        """Hold what the encoding cannot say otherwise."""
        assert len(self.author) == ID_BYTES
        assert 0 <= self.seq <= _SEQ_MAX
        assert (self.backlink is None) == (self.seq == 0)
        assert 0 <= self.wall <= _SEQ_MAX
        assert len(self.parents) <= PARENTS_MAX
        assert _ascending(self.parents)
        assert _misplaced(self.entries, genesis=not self.parents) == ""
        if not self.parents:
            genesis = self.entries[0]
            assert isinstance(genesis, GenesisEntry)
            assert self.author == genesis.roots[0]
            assert self.auth == RootGrant(0)

    @property
    def is_genesis(self) -> bool:
        """Whether this founds an actor."""
        return not self.parents

    @property
    def is_epoch(self) -> bool:
        """Whether this is sealed as kind 0: it brings a new key, as the genesis does."""
        return not self.parents or (
            len(self.entries) > 0 and isinstance(self.entries[0], EpochEntry)
        )


@dataclass(frozen=True, slots=True)
class Peeked:
    """What an inner names, as far as can be told without its past.

    backlink: only if it is stated; else it is a parent, or there is none.
    """

    parents: tuple[CommitId, ...]
    backlink: CommitId | None


@dataclass(frozen=True, slots=True)
class Parts:
    """An encoded inner taken apart: its columns in a run.

    head: all that stands before the wall time. follows: the only parent, if it is the backlink
    and the grant is implied, so that the head follows from it; else None.
    """

    head: bytes
    wall: Wall
    body: bytes
    follows: CommitId | None


def padded_bytes(length: int) -> int:
    """Return the length to which an inner of `length` bytes is padded. Idempotent."""
    assert length > 0
    if length <= _PADDING_STEPPED_MAX:
        return -(-length // _PADDING_STEP) * _PADDING_STEP
    exponent = length.bit_length() - 1
    mask = (1 << (exponent - exponent.bit_length())) - 1
    return (length + mask) & ~mask


def encode_inner(inner: Inner, past: Past) -> bytes:
    """Return the one encoding, padded.

    The caller answers for the chain: a backlink must be known, of the same author, one lower.
    """
    return join_parts(_encode_head(inner, past), inner.wall, encode_entries(inner.entries))


def _encode_head(inner: Inner, past: Past) -> bytes:
    count = len(inner.parents)
    if inner.backlink is None:
        chain = _FIRST if count else _GENESIS
        implied: Grant | None = None if count else RootGrant(0)
        stated = inner.author if count else b""
        index = b""
    else:
        facts = past(inner.backlink)
        assert facts is not None, "an author knows its own chain"
        assert facts.author == inner.author
        assert facts.seq + 1 == inner.seq
        implied = facts.auth
        if inner.backlink in inner.parents:
            chain, stated = _PARENT, b""
            index = bytes((inner.parents.index(inner.backlink),)) if count > 1 else b""
        else:
            chain, stated, index = _STATED, inner.backlink, b""
    if inner.auth == implied:
        form, auth = _AUTH_IMPLIED, b""
    elif isinstance(inner.auth, RootGrant):
        form, auth = _AUTH_ROOT, bytes((inner.auth.index,))
    else:
        form, auth = _AUTH_COMMIT, inner.auth.commit
    flags = bytes((chain | form << _AUTH_SHIFT,))
    return b"".join((flags, stated, auth, bytes((count,)), *inner.parents, index))


@made_fast
@dataclass(frozen=True, slots=True)
class _Head:
    """The part before the wall time, as it stands in the bytes."""

    chain: int
    author: DeviceId | None
    backlink: CommitId | None
    auth: Grant | None
    parents: tuple[CommitId, ...]


def peek_parents(data: bytes) -> Peeked | Rejected:
    """Return what an inner names, without knowing any of it: what is missing can be fetched.

    Rejected: MALFORMED or NOT_CANONICAL in the part that was read.
    """
    try:
        head = _read_head(Reader(data))
    except Malformed as error:
        return Rejected(Reason.MALFORMED, str(error))
    if isinstance(head, Rejected):
        return head
    return Peeked(head.parents, head.backlink if head.chain == _STATED else None)


def split_inner(data: bytes) -> Parts | Rejected:
    """Take an encoded inner apart, without its past. `join_parts` puts it together again.

    Rejected: MALFORMED, NOT_CANONICAL. What the body says is not looked at.
    """
    reader = Reader(data)
    try:
        head = _read_head(reader)
        if isinstance(head, Rejected):
            return head
        stop = reader.position
        wall = Wall(reader.varint())
        body = reader.blob(COMMIT_BYTES_MAX)
        if padded_bytes(reader.position) != len(data) or reader.rest().strip(b"\0"):
            return Rejected(Reason.NOT_CANONICAL, "the padding is not the one permitted")
    except Malformed as error:
        return Rejected(Reason.MALFORMED, str(error))
    follows = None
    if head.chain == _PARENT and head.auth is None and len(head.parents) == 1:
        follows = head.parents[0]
    return Parts(data[:stop], wall, body, follows)


def following_head(parent: CommitId) -> bytes:
    """Return the head of a commit whose only parent is its backlink, its grant implied."""
    return _FOLLOWING + parent


def join_parts(head: bytes, wall: Wall, body: bytes) -> bytes:
    """Return an encoded inner, padded."""
    raw = b"".join((head, varint(wall), varint(len(body)), body))
    return raw + bytes(padded_bytes(len(raw)) - len(raw))


def decode_inner(data: bytes, past: Past) -> Inner | Rejected:
    """Return the commit that these bytes mean.

    Rejected: MALFORMED; TOO_BIG (entries); NOT_CANONICAL; PARENT_UNKNOWN if the backlink is
    not known and a parent is missing, so that it may come; WRONG_BACKLINK if none is missing.
    """
    follows = len(data) >= _FOLLOWING_BYTES and data.startswith(_FOLLOWING)  # as most do
    reader = Reader(data, _FOLLOWING_BYTES if follows else 0)
    try:
        head = _following(data) if follows else _read_head(reader)
        if isinstance(head, Rejected):
            return head
        wall = Wall(reader.varint())
        body = reader.blob(COMMIT_BYTES_MAX)
        if padded_bytes(reader.position) != len(data) or reader.rest().strip(b"\0"):
            return Rejected(Reason.NOT_CANONICAL, "the padding is not the one permitted")
    except Malformed as error:
        return Rejected(Reason.MALFORMED, str(error))
    entries = decode_entries(body)
    if isinstance(entries, Rejected):
        return entries
    misplaced = _misplaced(entries, genesis=head.chain == _GENESIS)
    if misplaced:
        return Rejected(Reason.MALFORMED, misplaced)
    facts = _imply(head, entries, past)
    if isinstance(facts, Rejected):
        return facts
    return Inner(
        facts.author, facts.seq, head.backlink, facts.auth, head.parents, wall, entries
    )


def _following(data: bytes) -> _Head:
    """Return what `_read_head` finds in a head that `following_head` made."""
    parent = CommitId(data[len(_FOLLOWING) : _FOLLOWING_BYTES])
    return _Head(_PARENT, None, parent, None, (parent,))


def _read_head(reader: Reader) -> _Head | Rejected:
    flags = reader.u8()
    chain = flags & 3
    form = flags >> _AUTH_SHIFT
    author = DeviceId(reader.take(ID_BYTES)) if chain == _FIRST else None
    backlink = CommitId(reader.take(ID_BYTES)) if chain == _STATED else None
    auth: Grant | None = None
    if form == _AUTH_ROOT:
        index = reader.u8()
        if index >= ROOTS_MAX:
            raise Malformed(f"root {index} of at most {ROOTS_MAX}")
        auth = RootGrant(index)
    elif form == _AUTH_COMMIT:
        auth = CommitGrant(CommitId(reader.take(ID_BYTES)))
    elif form != _AUTH_IMPLIED:
        raise Malformed(f"flags {flags:#04x}")
    count = reader.u8()
    if count > PARENTS_MAX:
        raise Malformed(f"{count} parents where {PARENTS_MAX} is the most")
    if (count == 0) != (chain == _GENESIS):
        raise Malformed(f"{count} parents in a commit with flags {flags:#04x}")
    if (chain == _GENESIS and auth) or (chain == _FIRST and auth is None):
        raise Malformed(f"flags {flags:#04x}: a genesis implies its grant, a first cannot")
    parents = tuple([CommitId(reader.take(ID_BYTES)) for _ in range(count)])
    if not _ascending(parents):
        return Rejected(Reason.NOT_CANONICAL, "its parents are not strictly ascending")
    if chain == _PARENT:
        index = reader.u8() if count > 1 else 0
        if index >= count:
            raise Malformed(f"parent {index} of {count} as backlink")
        backlink = parents[index]
    elif backlink in parents:
        return Rejected(Reason.NOT_CANONICAL, "a backlink is stated that is a parent")
    return _Head(chain, author, backlink, auth, parents)


def _imply(head: _Head, entries: tuple[Entry, ...], past: Past) -> ChainFacts | Rejected:
    if head.chain == _GENESIS:
        genesis = entries[0]
        assert isinstance(genesis, GenesisEntry), "it was checked to stand first"
        return ChainFacts(genesis.roots[0], 0, RootGrant(0))
    if head.backlink is None:
        assert head.author is not None
        assert head.auth is not None
        return ChainFacts(head.author, 0, head.auth)
    before = past(head.backlink)
    if before is None:
        missing = [parent for parent in head.parents if past(parent) is None]
        if missing:
            return Rejected(Reason.PARENT_UNKNOWN, f"{short(missing[0])} and others, if any")
        return Rejected(Reason.WRONG_BACKLINK, f"{short(head.backlink)} is not in its past")
    if before.seq == _SEQ_MAX:
        return Rejected(Reason.WRONG_SEQ, "no number is left in its author's chain")
    if head.auth == before.auth:
        return Rejected(Reason.NOT_CANONICAL, "a grant is stated that its backlink implies")
    return ChainFacts(before.author, before.seq + 1, head.auth or before.auth)


def _ascending(parents: tuple[CommitId, ...]) -> bool:
    if len(parents) < 2:
        return True
    return all(parents[i - 1] < parents[i] for i in range(1, len(parents)))


def _misplaced(entries: tuple[Entry, ...], *, genesis: bool) -> str:
    """Say which entry stands where it may not; '' if none does."""
    if len(entries) == 1 and type(entries[0]) is TurnEntry and not genesis:
        return ""  # as most are
    authority = 0
    for place, entry in enumerate(entries):
        if type(entry) is TurnEntry:  # most entries are: they may stand anywhere
            continue
        if isinstance(entry, GenesisEntry) and (place or not genesis):
            return "a founding entry that is not the first of a genesis"
        if isinstance(entry, EpochEntry) and (place or genesis):
            return "an epoch entry that is not the first of an epoch commit"
        if isinstance(entry, AuthorityEntry):
            authority += 1
        if genesis and isinstance(entry, AuthorityEntry | UndoEntry):
            return "a genesis that changes or hides something"
    if genesis and not (entries and isinstance(entries[0], GenesisEntry)):
        return "a genesis without a founding entry"
    return "more than one authority entry" if authority > 1 else ""
