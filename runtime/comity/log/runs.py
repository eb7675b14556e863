"""Runs: a stretch of one author's commits, kept and sent as one.

Owns: the bytes of a run, which commits can stand in one, and how each commit and its id are
rebuilt. May not know: the graph, who may write, where runs are stored or who asks for them.

    commits  c1 <- c2 <- .. <- cn    cn's signature alone is kept: it signs cn's id, which
                                     fixes the bytes of all before it
    run      = head 28 | nonce 24 | length u32 | cipher
    head     = 0xC2 | version 1 | 0 | 0 | gen u64 of c1 | epoch 16
    cipher   = the plain, sealed as the inner of a commit is
    plain    = beside 64 of cn | columns in raw DEFLATE (RFC 1951)
    columns  = n varint | head of c1, a blob | n x form u8 | n x wall | n x length varint
             | n bodies

From c2 on the only parent of a commit is the one before it, which is also its backlink, and
its grant is implied; none changes authority or makes an epoch, and all are sealed under one
key. So a run is judged whole, before any of it is inserted: what authority says of c1 it says
of all. A run has no id and no canonical form; only what it stands for has.
Source: PROTOCOL section 2, 'Runs'; docs/reference/run-format.md.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from comity.base.canonical import Malformed, Reader, varint, zigzag
from comity.base.clock import Wall
from comity.base.errors import Reason, Rejected
from comity.base.ids import ID_BYTES, CommitId, DeviceId
from comity.base.limits import COMMIT_BYTES_MAX, PARENTS_MAX
from comity.crypto.port import NONCE_LONG_BYTES, SIGNATURE_BYTES, TAG_BYTES, Crypto
from comity.log.entries import (
    AddEntry,
    AdoptEntry,
    EpochEntry,
    GenesisEntry,
    RemoveEntry,
    TurnEntry,
    decode_entries,
    encode_entries,
)
from comity.log.inner import (
    ChainFacts,
    Inner,
    Parts,
    Past,
    decode_inner,
    following_head,
    join_parts,
    split_inner,
)
from comity.log.seal import ContentKey, open_sealed, seal, verify_beside
from comity.log.sealed import EPOCH_PREFIX_BYTES, Sealed, clear_data, commit_id

__all__ = [
    "RUN_BYTES_MAX",
    "RUN_COMMITS_MAX",
    "Member",
    "Run",
    "SealedRun",
    "cut",
    "decode_run",
    "make_run",
    "open_run",
    "parse_run",
    "verify_run",
]

RUN_COMMITS_MAX: Final = 128
"""Commits of a run: a signature costs each half a byte; it is served whole or not at all, so
whoever lacks the last of twice as many is sent twice as much in vain."""

RUN_BYTES_MAX: Final = 512 * 1024
"""Columns of a run before they are compressed, and a run itself: as much as one commit. It is
what a small run can make its receiver allocate."""

_MAGIC: Final = 0xC2
_VERSION: Final = 1
_HEAD: Final = bytes((_MAGIC, _VERSION, 0, 0))
_GEN: Final = slice(4, 12)
_EPOCH: Final = slice(12, 28)
_HEAD_BYTES: Final = 28
_LENGTH_BYTES: Final = 4
_LEAST_BYTES: Final = _HEAD_BYTES + NONCE_LONG_BYTES + _LENGTH_BYTES + TAG_BYTES
_FIRST_HEAD_BYTES_MAX: Final = 4 + (PARENTS_MAX + 2) * ID_BYTES
_COLUMNS_BYTES_MAX: Final = RUN_BYTES_MAX - 1024  # the rest is beside, head, what DEFLATE adds
_MEMBER_BYTES_MAX: Final = 14  # form, wall and length in the columns
_FORM_BODY: Final = 0
_FORM_TURN: Final = 1
_ALONE: Final = (GenesisEntry, EpochEntry, AddEntry, RemoveEntry, AdoptEntry)
_TURN_ENTRY: Final = 2
_NO_CAUSE: Final = b"\x00"
_U64: Final = 1 << 64
_RAW_DEFLATE: Final = -zlib.MAX_WBITS


@dataclass(frozen=True, slots=True)
class Member:
    """One commit of a run. sealed: the whole sealed form. plain: its encoded inner, padded."""

    id: CommitId
    sealed: bytes
    plain: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Run:
    """What a run stands for: 1 to 128 commits in order, and what stands beside the last."""

    gen: int
    members: tuple[Member, ...]
    beside: bytes


@dataclass(frozen=True, slots=True)
class SealedRun:
    """A run whose layout is right; nothing else about it is known.

    gen: of its first commit, a claim. epoch: 16 bytes, never all zero. clear: before the nonce.
    """

    gen: int
    epoch: bytes
    clear: bytes
    nonce: bytes
    cipher: bytes


# ---------------------------------------------------------------- making


def cut(commits: Iterable[Member]) -> Iterator[tuple[Member, ...]]:
    """Cut accepted commits of one author, in the order of its chain, into the longest runs.

    A commit that can stand in no run is left out: it makes an epoch, changes authority, or is
    nearly as large as a run may be.
    """
    piece: list[Member] = []
    size = 0
    for member in commits:
        parts = _fitting(member)
        if parts is None:
            continue
        more = len(parts.head) + len(parts.body) + _MEMBER_BYTES_MAX
        if piece and not (
            parts.follows == piece[-1].id
            and member.sealed[_EPOCH] == piece[-1].sealed[_EPOCH]
            and len(piece) < RUN_COMMITS_MAX
            and size + more <= _COLUMNS_BYTES_MAX
        ):
            yield tuple(piece)
            piece, size = [], 0
        piece.append(member)
        size += more
    if piece:
        yield tuple(piece)


def make_run(
    crypto: Crypto, key: ContentKey, members: Sequence[Member], beside: bytes
) -> bytes:
    """Return the bytes of a run: one that `cut` gave, sealed under the key of its commits.

    beside: the masked signature of the last, 64 bytes.
    """
    assert 0 < len(members) <= RUN_COMMITS_MAX
    assert len(beside) == SIGNATURE_BYTES
    packed = zlib.compressobj(9, zlib.DEFLATED, _RAW_DEFLATE)
    columns = _encode_columns(members)
    assert len(columns) <= _COLUMNS_BYTES_MAX
    plain = beside + packed.compress(columns) + packed.flush()
    first = members[0].sealed
    made = seal(crypto, key, _HEAD + first[_GEN] + first[_EPOCH], plain)
    assert len(made) <= RUN_BYTES_MAX
    return made


def _fitting(member: Member) -> Parts | None:
    """Return the parts of a commit that can stand in a run."""
    parts = split_inner(member.plain)
    assert isinstance(parts, Parts), "it was accepted"
    entries = decode_entries(parts.body)
    assert not isinstance(entries, Rejected), "it was accepted"
    if any(isinstance(entry, _ALONE) for entry in entries):
        return None
    size = len(parts.head) + len(parts.body) + 2 * _MEMBER_BYTES_MAX
    return parts if size <= _COLUMNS_BYTES_MAX else None


def _encode_columns(members: Sequence[Member]) -> bytes:
    split = [split_inner(member.plain) for member in members]
    parts = [each for each in split if isinstance(each, Parts)]
    assert len(parts) == len(members)
    for before, after in zip(members, parts[1:], strict=False):
        assert after.follows == before.id
    forms, bodies = bytearray(), list[bytes]()
    for each in parts:
        operations = _only_turn(each.body)
        forms.append(_FORM_BODY if operations is None else _FORM_TURN)
        bodies.append(each.body if operations is None else operations)
    walls = [each.wall for each in parts]
    head = parts[0].head
    return b"".join(
        (
            varint(len(parts)),
            varint(len(head)) + head,
            forms,
            *map(_difference, [0, *walls], walls),
            *(varint(len(body)) for body in bodies),
            *bodies,
        )
    )


def _difference(before: int, after: int) -> bytes:
    """Write a step between two numbers of 64 bits, the shorter way round."""
    step = (after - before + _U64 // 2) % _U64 - _U64 // 2
    return varint(zigzag(step))


def _only_turn(body: bytes) -> bytes | None:
    """Return the operations of a body that is one turn without cause."""
    reader = Reader(body)
    if not body or reader.varint() != _TURN_ENTRY:
        return None
    payload = reader.blob(COMMIT_BYTES_MAX)
    return payload[1:] if not reader.left and payload.startswith(_NO_CAUSE) else None


# ---------------------------------------------------------------- taking


def parse_run(data: bytes) -> SealedRun | Rejected:
    """Take a run apart, without a key.

    Rejected: TOO_BIG, UNSUPPORTED (another version), MALFORMED.
    """
    if len(data) > RUN_BYTES_MAX:
        return Rejected(Reason.TOO_BIG, f"{len(data)} bytes where {RUN_BYTES_MAX} is the most")
    if len(data) < _LEAST_BYTES or data[0] != _MAGIC:
        return Rejected(Reason.MALFORMED, "it does not begin like a run")
    if data[1] != _VERSION:
        return Rejected(Reason.UNSUPPORTED, f"version {data[1]}")
    gen, epoch = int.from_bytes(data[_GEN], "little"), data[_EPOCH]
    if not data.startswith(_HEAD) or not gen or not any(epoch):
        return Rejected(Reason.MALFORMED, "flags, generation or epoch that no run has")
    start = _HEAD_BYTES + NONCE_LONG_BYTES + _LENGTH_BYTES
    length = int.from_bytes(data[start - _LENGTH_BYTES : start], "little")
    if start + length != len(data):
        return Rejected(Reason.MALFORMED, f"{len(data)} bytes, its length says {length}")
    nonce = data[_HEAD_BYTES : start - _LENGTH_BYTES]
    return SealedRun(gen, epoch, data[:_HEAD_BYTES], nonce, data[start:])


def open_run(crypto: Crypto, key: ContentKey, sealed: SealedRun) -> Run | Rejected:
    """Open a run and rebuild every commit of it, and its id. Nothing is verified yet.

    Rejected: WRONG_KEY, WRONG_NONCE, MALFORMED, TOO_BIG. Cost: some 20 us a commit; memory is
    bounded by `RUN_BYTES_MAX` whatever the columns would grow to.
    """
    whole = Sealed(sealed.gen, sealed.epoch, None, sealed.clear, sealed.nonce, sealed.cipher)
    plain = open_sealed(crypto, key, whole)
    if isinstance(plain, Rejected):
        return plain
    columns = _inflate(plain[SIGNATURE_BYTES:])
    if isinstance(columns, Rejected):
        return columns
    try:
        head, contents = _decode_columns(columns)
    except Malformed as error:
        return Rejected(Reason.MALFORMED, str(error))
    if sealed.gen + len(contents) > _U64:
        return Rejected(Reason.MALFORMED, f"no generation is left after {sealed.gen}")
    members: list[Member] = []
    for gen, (wall, body) in enumerate(contents, start=sealed.gen):
        encoded = join_parts(head, wall, body)
        clear = clear_data(gen, CommitId(sealed.epoch + bytes(ID_BYTES - EPOCH_PREFIX_BYTES)))
        data = seal(crypto, key, clear, encoded)
        if len(data) > COMMIT_BYTES_MAX:
            return Rejected(Reason.TOO_BIG, f"a commit of {len(data)} bytes in a run")
        member = Member(commit_id(key.topic, data), data, encoded)
        members.append(member)
        head = following_head(member.id)
    return Run(sealed.gen, tuple(members), plain[:SIGNATURE_BYTES])


def decode_run(run: Run, past: Past) -> tuple[Inner, ...] | Rejected:
    """Return what the commits of a run mean, in order.

    past: knows what the first builds on. What authority says of the first it says of all,
    provided that the role suffices for all.
    Rejected: as `decode_inner` does, of any of them; MALFORMED if one makes an epoch or changes
    authority.
    """
    facts: dict[CommitId, ChainFacts] = {}
    inners: list[Inner] = []

    def known(commit: CommitId) -> ChainFacts | None:
        found = facts.get(commit)
        return past(commit) if found is None else found

    for member in run.members:
        inner = decode_inner(member.plain, known)
        if isinstance(inner, Rejected):
            return inner
        if any(isinstance(entry, _ALONE) for entry in inner.entries):
            return Rejected(Reason.MALFORMED, "a run with a commit that stands alone")
        inners.append(inner)
        facts = {member.id: ChainFacts(inner.author, inner.seq, inner.auth)}
    return tuple(inners)


def verify_run(crypto: Crypto, key: ContentKey, author: DeviceId, run: Run) -> Rejected | None:
    """Check the signature of the last commit, which speaks for all; None if it is right."""
    return verify_beside(crypto, key, author, run.members[-1].id, run.beside)


def _inflate(data: bytes) -> bytes | Rejected:
    """Return the columns; never more than a run can have, however small `data` is."""
    unpack = zlib.decompressobj(_RAW_DEFLATE)
    try:
        columns = unpack.decompress(data, RUN_BYTES_MAX + 1)
    except zlib.error:
        return Rejected(Reason.MALFORMED, "its columns are not DEFLATE")
    if len(columns) > RUN_BYTES_MAX:
        return Rejected(Reason.TOO_BIG, f"columns of more than {RUN_BYTES_MAX} bytes")
    if not unpack.eof or unpack.unused_data:
        return Rejected(Reason.MALFORMED, "its columns are cut off, or something follows them")
    return columns


def _decode_columns(columns: bytes) -> tuple[bytes, list[tuple[Wall, bytes]]]:
    """Return the head of the first commit, then wall time and body of each."""
    reader = Reader(columns)
    count = reader.varint()
    if not 0 < count <= RUN_COMMITS_MAX:
        raise Malformed(f"{count} commits where 1 to {RUN_COMMITS_MAX} are possible")
    head = reader.blob(_FIRST_HEAD_BYTES_MAX)
    forms = reader.take(count)
    if max(forms) > _FORM_TURN:
        raise Malformed(f"a body of form {max(forms)}")
    walls: list[Wall] = []
    wall = 0
    for _ in range(count):
        wall = (wall + reader.zigzag()) % _U64
        walls.append(Wall(wall))
    lengths = [reader.varint() for _ in range(count)]
    bodies = [reader.take(length) for length in lengths]
    reader.finish()
    for place, form in enumerate(forms):
        if form == _FORM_TURN:
            bodies[place] = encode_entries((TurnEntry(bodies[place]),))
    return head, list(zip(walls, bodies, strict=True))
