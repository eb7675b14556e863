"""What a commit carries: a sequence of entries, one encoding each.

Owns: the closed union of entries, their kinds and bytes. May not know: who may write them
(`comity.authority`), what a turn's operations mean (`comity.crdt`), where they are sealed.

    entry = varint kind (> 0) | varint length | payload
    a kind that is not known here is kept byte for byte, relayed, and means nothing

Kinds are for good: append-only, never renumbered. Decoders answer `Rejected`, constructors
assert: a value that exists can be encoded, and its bytes decode to an equal value.
Source: PROTOCOL sections 2, 3, 4, 7.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, unique
from typing import TYPE_CHECKING, Final, assert_never

from comity.base.canonical import Malformed, Reader, varint
from comity.base.errors import Reason, Rejected
from comity.base.ids import ID_BYTES, CommitId, DeviceId
from comity.base.limits import COMMIT_BYTES_MAX, ROOTS_MAX
from comity.base.values import made_fast

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "ACTOR_TYPE_BYTES_MAX",
    "ENTRIES_MAX",
    "HANDOVER_BYTES_MAX",
    "AddEntry",
    "AdoptEntry",
    "AuthorityEntry",
    "Cause",
    "Entry",
    "EpochEntry",
    "GenesisEntry",
    "PrekeyEntry",
    "RemoveEntry",
    "Role",
    "TurnEntry",
    "UndoEntry",
    "UnknownEntry",
    "decode_entries",
    "encode_entries",
]

ENTRIES_MAX: Final = 1024
"""Entries of a commit: four full drafts; an empty entry costs its sender 2 bytes and us 100."""

ACTOR_TYPE_BYTES_MAX: Final = 256
"""UTF-8 bytes of an actor type's name: a dotted path, not a document."""

HANDOVER_BYTES_MAX: Final = 512
"""A signed hand-over: two devices, a cause and a signature need under 200."""

_U64: Final = 1 << 64

_GENESIS: Final = 1
_TURN: Final = 2
_ADD: Final = 3
_REMOVE: Final = 4
_ADOPT: Final = 5
_PREKEY: Final = 6
_EPOCH: Final = 7
_UNDO: Final = 8

_NO_CAUSE: Final = 0
_CAUSE: Final = 1


@unique
class Role(IntEnum):
    """What a grant permits; each includes the ones before it. The numbers are on the wire."""

    READER = 0
    WRITER = 1
    ADMIN = 2


@dataclass(frozen=True, slots=True)
class GenesisEntry:
    """The founding of an actor: first entry of the first commit, nowhere else.

    salt: 32 random bytes. actor_type: 1..256 bytes of UTF-8. roots: 1..16 devices, in order
    of rank, no duplicates. kcommit: 32 bytes, the commitment to the first epoch key.
    """

    salt: bytes
    actor_type: str
    roots: tuple[DeviceId, ...]
    kcommit: bytes

    def __post_init__(self) -> None:
        """Hold the widths and bounds of the format."""
        assert len(self.salt) == ID_BYTES
        assert len(self.kcommit) == ID_BYTES
        assert 0 < len(self.actor_type.encode()) <= ACTOR_TYPE_BYTES_MAX
        assert 0 < len(self.roots) <= ROOTS_MAX
        assert all(len(root) == ID_BYTES for root in self.roots)
        assert len(dict.fromkeys(self.roots)) == len(self.roots)


@dataclass(frozen=True, slots=True)
class Cause:
    """The envelope that a turn answers: only the recipient's turn counts under it.

    edge_seq: 0..2^64-1. handover: signed by the sender, opaque here, empty if there is none.
    Source: PROTOCOL section 7.
    """

    sender: DeviceId
    recipient: DeviceId
    edge_seq: int
    handover: bytes = b""

    def __post_init__(self) -> None:
        """Hold the widths and bounds of the format."""
        assert len(self.sender) == ID_BYTES
        assert len(self.recipient) == ID_BYTES
        assert 0 <= self.edge_seq < _U64
        assert len(self.handover) <= HANDOVER_BYTES_MAX


@made_fast
@dataclass(frozen=True, slots=True)
class TurnEntry:
    """One turn: its encoded operations, and the envelope that caused it, if one did."""

    operations: bytes
    cause: Cause | None = None


@dataclass(frozen=True, slots=True)
class AddEntry:
    """Grant a role to a device, whose first prekey is 32 bytes of X25519."""

    device: DeviceId
    role: Role
    prekey: bytes

    def __post_init__(self) -> None:
        """Hold the widths of the format."""
        assert len(self.device) == ID_BYTES
        assert len(self.prekey) == ID_BYTES


@dataclass(frozen=True, slots=True)
class RemoveEntry:
    """Take a device's grants away."""

    device: DeviceId

    def __post_init__(self) -> None:
        """Hold the width of the format."""
        assert len(self.device) == ID_BYTES


@dataclass(frozen=True, slots=True)
class AdoptEntry:
    """Let a quarantined commit count after all."""

    commit: CommitId

    def __post_init__(self) -> None:
        """Hold the width of the format."""
        assert len(self.commit) == ID_BYTES


@dataclass(frozen=True, slots=True)
class PrekeyEntry:
    """The author's newest prekey: 32 bytes of X25519."""

    public: bytes

    def __post_init__(self) -> None:
        """Hold the width of the format."""
        assert len(self.public) == ID_BYTES


@dataclass(frozen=True, slots=True)
class EpochEntry:
    """The inside of an epoch commit, its first entry.

    ephemeral: the secret e, 32 bytes, so that whoever opens it can recompute the wraps.
    history: older epoch keys, opaque here.
    """

    ephemeral: bytes
    history: bytes = b""

    def __post_init__(self) -> None:
        """Hold the width of the format."""
        assert len(self.ephemeral) == ID_BYTES


@dataclass(frozen=True, slots=True)
class UndoEntry:
    """Hide a turn; an even number of undos shows it again. turn: its index among the turns."""

    commit: CommitId
    turn: int

    def __post_init__(self) -> None:
        """Hold the widths of the format."""
        assert len(self.commit) == ID_BYTES
        assert 0 <= self.turn < _U64


@dataclass(frozen=True, slots=True)
class UnknownEntry:
    """An entry of a later version: kept byte for byte, relayed, ignored."""

    kind: int
    payload: bytes

    def __post_init__(self) -> None:
        """Never stand for a kind that has its own class."""
        assert 0 < self.kind < _U64
        assert self.kind not in _DECODERS


AuthorityEntry = AddEntry | RemoveEntry | AdoptEntry
"""What changes who counts: at most one in a commit."""

Entry = (
    GenesisEntry
    | TurnEntry
    | AddEntry
    | RemoveEntry
    | AdoptEntry
    | PrekeyEntry
    | EpochEntry
    | UndoEntry
    | UnknownEntry
)
"""Everything that a commit can carry."""


def encode_entries(entries: tuple[Entry, ...]) -> bytes:
    """Return the body of a commit. `decode_entries` returns the same entries."""
    assert len(entries) <= ENTRIES_MAX
    parts: list[bytes] = []
    for entry in entries:
        kind, payload = _encode(entry)
        parts += (varint(kind), varint(len(payload)), payload)
    return b"".join(parts)


def decode_entries(body: bytes) -> tuple[Entry, ...] | Rejected:
    """Return the entries of a body, in their order.

    Rejected: MALFORMED by layout, TOO_BIG above 1024 entries, NOT_CANONICAL for a value that
    another encoding stands for.
    """
    size = len(body) - 2
    if 0 < size < 0x80 and body[0] == _TURN and body[1] == size and body[2] == _NO_CAUSE:
        return (TurnEntry(body[3:]),)  # as most are
    reader = Reader(body)
    entries: list[Entry] = []
    try:
        while reader.left:
            if len(entries) == ENTRIES_MAX:
                return Rejected(Reason.TOO_BIG, f"more than {ENTRIES_MAX} entries")
            kind = reader.varint()
            payload = reader.blob(COMMIT_BYTES_MAX)
            decode = _DECODERS.get(kind)
            if decode is not None:
                entries.append(decode(payload))
            elif kind:
                entries.append(UnknownEntry(kind, payload))
            else:
                return Rejected(Reason.MALFORMED, "an entry of kind 0")
    except Malformed as error:
        return Rejected(Reason.MALFORMED, str(error))
    return tuple(entries)


def _encode(entry: Entry) -> tuple[int, bytes]:
    match entry:
        case TurnEntry():
            return _TURN, _encode_cause(entry.cause) + entry.operations
        case AddEntry():
            return _ADD, entry.device + bytes((entry.role,)) + entry.prekey
        case RemoveEntry():
            return _REMOVE, entry.device
        case AdoptEntry():
            return _ADOPT, entry.commit
        case PrekeyEntry():
            return _PREKEY, entry.public
        case EpochEntry():
            return _EPOCH, entry.ephemeral + entry.history
        case UndoEntry():
            return _UNDO, entry.commit + varint(entry.turn)
        case GenesisEntry():
            name = entry.actor_type.encode()
            roots = bytes((len(entry.roots),)) + b"".join(entry.roots)
            return _GENESIS, entry.salt + entry.kcommit + varint(len(name)) + name + roots
        case UnknownEntry():
            return entry.kind, entry.payload
        case _:
            assert_never(entry)


def _encode_cause(cause: Cause | None) -> bytes:
    if cause is None:
        return b"\x00"
    head = bytes((_CAUSE,)) + cause.sender + cause.recipient + varint(cause.edge_seq)
    return head + varint(len(cause.handover)) + cause.handover


def _decode_genesis(payload: bytes) -> GenesisEntry:
    reader = Reader(payload)
    salt = reader.take(ID_BYTES)
    kcommit = reader.take(ID_BYTES)
    actor_type = reader.text(ACTOR_TYPE_BYTES_MAX)
    if not actor_type:
        raise Malformed("a genesis without an actor type")
    count = reader.u8()
    if not 0 < count <= ROOTS_MAX:
        raise Malformed(f"{count} roots where 1 to {ROOTS_MAX} are possible")
    roots = tuple(DeviceId(reader.take(ID_BYTES)) for _ in range(count))
    reader.finish()
    if len(dict.fromkeys(roots)) != count:
        raise Malformed("a root is named twice")
    return GenesisEntry(salt, actor_type, roots, kcommit)


def _decode_turn(payload: bytes) -> TurnEntry:
    if payload and payload[0] == _NO_CAUSE:  # as most turns
        return TurnEntry(payload[1:])
    reader = Reader(payload)
    form = reader.u8()
    if form != _CAUSE:
        raise Malformed(f"a turn of form {form}")
    sender = DeviceId(reader.take(ID_BYTES))
    recipient = DeviceId(reader.take(ID_BYTES))
    cause = Cause(sender, recipient, reader.varint(), reader.blob(HANDOVER_BYTES_MAX))
    return TurnEntry(reader.rest(), cause)


def _decode_add(payload: bytes) -> AddEntry:
    reader = Reader(payload)
    device = DeviceId(reader.take(ID_BYTES))
    role = reader.u8()
    if role > Role.ADMIN:
        raise Malformed(f"a role of number {role}")
    entry = AddEntry(device, Role(role), reader.take(ID_BYTES))
    reader.finish()
    return entry


def _decode_epoch(payload: bytes) -> EpochEntry:
    reader = Reader(payload)
    return EpochEntry(reader.take(ID_BYTES), reader.rest())


def _decode_undo(payload: bytes) -> UndoEntry:
    reader = Reader(payload)
    entry = UndoEntry(CommitId(reader.take(ID_BYTES)), reader.varint())
    reader.finish()
    return entry


def _exactly(payload: bytes) -> bytes:
    if len(payload) != ID_BYTES:
        raise Malformed(f"{len(payload)} bytes where {ID_BYTES} are needed")
    return payload


_DECODERS: Final[dict[int, Callable[[bytes], Entry]]] = {
    _GENESIS: _decode_genesis,
    _TURN: _decode_turn,
    _ADD: _decode_add,
    _REMOVE: lambda payload: RemoveEntry(DeviceId(_exactly(payload))),
    _ADOPT: lambda payload: AdoptEntry(CommitId(_exactly(payload))),
    _PREKEY: lambda payload: PrekeyEntry(_exactly(payload)),
    _EPOCH: _decode_epoch,
    _UNDO: _decode_undo,
}
