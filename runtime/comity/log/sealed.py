"""The outer layout of a commit: all that whoever holds no key can see and check.

Owns: the bytes of the sealed form, the commit's id, the topic's. May not know: keys, what is
inside. Numbers are little-endian and of fixed width.

    sealed = head 28 | [kind 0: keys] | nonce 24 | length u32 | cipher
    head   = 0xC1 | version 1 | kind (0 epoch, the genesis too; 1 data) | flags 0
           | gen u64 | epoch 16 (zero in kind 0)
    keys   = E 32 | kcommit 32 | n u16 | n x (rid 8 | wrap 48)
             n = 0 and E = 0 in the genesis, else a power of two
    cipher = a padded inner and 16 bytes of tag

`parse` refuses every other form, so that two different bytes never mean one commit.
Source: PROTOCOL section 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from comity.base.errors import Reason, Rejected
from comity.base.ids import ID_BYTES, ZERO_ID, CommitId, Topic
from comity.base.limits import COMMIT_BYTES_MAX
from comity.base.values import made_fast
from comity.crypto.hashing import PERSON_COMMIT, PERSON_TOPIC, blake2b
from comity.crypto.port import KEY_BYTES, NONCE_LONG_BYTES, TAG_BYTES
from comity.log.inner import padded_bytes

__all__ = [
    "EPOCH_PREFIX_BYTES",
    "RID_BYTES",
    "WRAPPED_BYTES",
    "WRAP_BYTES",
    "Sealed",
    "Wraps",
    "assemble",
    "clear_data",
    "clear_epoch",
    "commit_id",
    "parse",
    "topic_of",
]

EPOCH_PREFIX_BYTES: Final = 16
"""Of an epoch commit's id: two with one prefix cost 2^64 work, and every match is tried."""

RID_BYTES: Final = 8
"""Recipient id: finds one's own wrap among thousands without trying each."""

WRAPPED_BYTES: Final = KEY_BYTES + TAG_BYTES
"""A wrapped epoch key."""

WRAP_BYTES: Final = RID_BYTES + WRAPPED_BYTES
"""One entry of the wraps."""

_MAGIC: Final = 0xC1
_VERSION: Final = 1
_KIND_EPOCH: Final = 0
_KIND_DATA: Final = 1
_HEAD_BYTES: Final = 28
_KEYS_BYTES: Final = 2 * KEY_BYTES + 2
_LENGTH_BYTES: Final = 4
_ZERO_EPOCH: Final = bytes(EPOCH_PREFIX_BYTES)
_DATA_HEAD: Final = bytes((_MAGIC, _VERSION, _KIND_DATA, 0))
_EPOCH_HEAD: Final = bytes((_MAGIC, _VERSION, _KIND_EPOCH, 0))


@dataclass(frozen=True, slots=True)
class Wraps:
    """A fresh key for many readers.

    ephemeral: E, 32 bytes. kcommit: 32 bytes. table: n entries of rid 8 | wrap 48.
    """

    ephemeral: bytes
    kcommit: bytes
    table: bytes

    def __post_init__(self) -> None:
        """Hold the layout."""
        count = len(self.table) // WRAP_BYTES
        assert len(self.table) == count * WRAP_BYTES
        assert len(self.ephemeral) == KEY_BYTES
        assert len(self.kcommit) == ID_BYTES
        assert count & (count - 1) == 0
        assert (count == 0) == (self.ephemeral == ZERO_ID)

    @property
    def count(self) -> int:
        """Number of entries, the padding included."""
        return len(self.table) // WRAP_BYTES

    def find(self, rid: bytes) -> tuple[bytes, ...]:
        """Return the wraps under this recipient id, 48 bytes each; usually one or none."""
        table = self.table
        return tuple(
            table[start + RID_BYTES : start + WRAP_BYTES]
            for start in range(0, len(table), WRAP_BYTES)
            if table.startswith(rid, start)
        )


@made_fast
@dataclass(frozen=True, slots=True)
class Sealed:
    """A commit whose layout is right; nothing else about it is known.

    gen: a claim. epoch: 16 bytes, zero in kind 0. clear: all bytes before the nonce.
    wraps: of an epoch commit, else None. cipher: with its tag.
    """

    gen: int
    epoch: bytes
    wraps: Wraps | None
    clear: bytes
    nonce: bytes
    cipher: bytes

    @property
    def is_epoch(self) -> bool:
        """Whether it brings a key of its own (kind 0); the genesis does."""
        return self.wraps is not None

    @property
    def is_genesis(self) -> bool:
        """Whether it claims to found an actor."""
        return self.wraps is not None and not self.wraps.table


def commit_id(topic: Topic, sealed: bytes) -> CommitId:
    """Return the id of a sealed commit."""
    return CommitId(blake2b(topic + sealed, person=PERSON_COMMIT))


def topic_of(genesis: bytes) -> Topic:
    """Return the topic that a genesis inner (encoded, padded) founds."""
    return Topic(blake2b(genesis, person=PERSON_TOPIC))


def clear_data(gen: int, epoch: CommitId) -> bytes:
    """Return the clear part of a data commit sealed under the key of `epoch`."""
    assert gen > 0
    assert len(epoch) == ID_BYTES
    return _DATA_HEAD + gen.to_bytes(8, "little") + epoch[:EPOCH_PREFIX_BYTES]


def clear_epoch(gen: int, *, ephemeral: bytes, kcommit: bytes, count: int) -> bytes:
    """Return the clear part of an epoch commit before its wraps: what authenticates them."""
    assert (gen == 0) == (count == 0)
    assert len(ephemeral) == KEY_BYTES
    assert len(kcommit) == ID_BYTES
    numbers = gen.to_bytes(8, "little") + _ZERO_EPOCH
    return b"".join((_EPOCH_HEAD, numbers, ephemeral, kcommit, count.to_bytes(2, "little")))


def assemble(clear: bytes, nonce: bytes, cipher: bytes) -> bytes:
    """Return the sealed form. `parse` takes it apart again."""
    assert len(nonce) == NONCE_LONG_BYTES
    return b"".join((clear, nonce, len(cipher).to_bytes(_LENGTH_BYTES, "little"), cipher))


def parse(data: bytes) -> Sealed | Rejected:
    """Take a sealed commit apart. Cost: a few slices; no key is needed.

    Rejected: TOO_BIG, UNSUPPORTED (another version), NOT_CANONICAL (a length that no padding
    has, wraps that are not a power of two), MALFORMED.
    """
    if len(data) > COMMIT_BYTES_MAX:
        return Rejected(
            Reason.TOO_BIG, f"{len(data)} bytes where {COMMIT_BYTES_MAX} is the most"
        )
    if len(data) < _HEAD_BYTES or data[0] != _MAGIC:
        return Rejected(Reason.MALFORMED, "it does not begin like a commit")
    if data[1] != _VERSION:
        return Rejected(Reason.UNSUPPORTED, f"version {data[1]}")
    if data[2] > _KIND_DATA or data[3]:
        return Rejected(Reason.MALFORMED, f"kind {data[2]}, flags {data[3]}")
    gen = int.from_bytes(data[4:12], "little")
    epoch = data[12:_HEAD_BYTES]
    wraps: Wraps | None = None
    position = _HEAD_BYTES
    if (data[2] == _KIND_EPOCH) != (epoch == _ZERO_EPOCH):
        return Rejected(Reason.MALFORMED, "an epoch commit names no epoch, a data commit one")
    if data[2] == _KIND_EPOCH:
        parsed = _parse_wraps(data)
        if isinstance(parsed, Rejected):
            return parsed
        wraps = parsed
        position += _KEYS_BYTES + len(wraps.table)
    if (gen == 0) != (wraps is not None and not wraps.table):
        return Rejected(Reason.MALFORMED, f"generation {gen}: 0 is the genesis', only")
    start = position + NONCE_LONG_BYTES + _LENGTH_BYTES
    length = int.from_bytes(data[position + NONCE_LONG_BYTES : start], "little")
    if start + length != len(data):
        return Rejected(Reason.MALFORMED, f"{len(data)} bytes, its length says {length}")
    if length <= TAG_BYTES or padded_bytes(length - TAG_BYTES) != length - TAG_BYTES:
        return Rejected(Reason.NOT_CANONICAL, f"no padding gives {length} bytes")
    nonce = data[position : position + NONCE_LONG_BYTES]
    return Sealed(gen, epoch, wraps, data[:position], nonce, data[start:])


def _parse_wraps(data: bytes) -> Wraps | Rejected:
    start = _HEAD_BYTES + _KEYS_BYTES
    if len(data) < start:
        return Rejected(Reason.MALFORMED, "it ends before its wraps")
    ephemeral = data[_HEAD_BYTES : _HEAD_BYTES + KEY_BYTES]
    kcommit = data[_HEAD_BYTES + KEY_BYTES : start - 2]
    count = int.from_bytes(data[start - 2 : start], "little")
    table = data[start : start + count * WRAP_BYTES]
    if len(table) != count * WRAP_BYTES:
        return Rejected(Reason.MALFORMED, f"it ends within its {count} wraps")
    if count & (count - 1):
        return Rejected(Reason.NOT_CANONICAL, f"{count} wraps: not a power of two")
    if (count == 0) != (ephemeral == ZERO_ID):
        return Rejected(Reason.MALFORMED, f"{count} wraps do not go with its ephemeral key")
    return Wraps(ephemeral, kcommit, table)
