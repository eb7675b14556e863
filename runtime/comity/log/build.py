"""Making commits: from what an author means to bytes that can be stored and sent.

Owns: the order of the steps, encode, seal, hash, sign. May not know: which parents, grant or
epoch are right; the caller decides these and this module holds it to the format.
Everything is deterministic: after a crash the same draft gives the same commit.
Source: PROTOCOL section 2.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from comity.base.ids import CommitId, DeviceId, Topic
from comity.base.limits import COMMIT_BYTES_MAX
from comity.crypto.port import KEY_BYTES, Crypto
from comity.log.entries import EpochEntry, GenesisEntry
from comity.log.inner import ChainFacts, Inner, Past, encode_inner
from comity.log.seal import ContentKey, kcommit_of, seal, sign_beside
from comity.log.sealed import clear_data, clear_epoch, commit_id, topic_of
from comity.log.wraps import wrap_key

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["SealedCommit", "Signer", "make_commit", "make_epoch", "make_genesis"]


@dataclass(frozen=True, slots=True)
class SealedCommit:
    """A commit as it is stored and sent. beside: the masked signature, 64 bytes."""

    id: CommitId
    sealed: bytes
    beside: bytes

    def __post_init__(self) -> None:
        """Hold the limit that every receiver holds."""
        assert len(self.sealed) <= COMMIT_BYTES_MAX, "the caller bounds drafts and readers"


@dataclass(frozen=True, slots=True)
class Signer:
    """This device's hand: its crypto and its Ed25519 seed, 32 bytes, secret. Never shown."""

    crypto: Crypto
    seed: bytes = field(repr=False)
    device: DeviceId = field(init=False)

    def __post_init__(self) -> None:
        """Derive the public half."""
        assert len(self.seed) == KEY_BYTES
        object.__setattr__(self, "device", DeviceId(self.crypto.sign_public(self.seed)))


def make_genesis(signer: Signer, key: bytes, inner: Inner) -> tuple[Topic, SealedCommit]:
    """Found an actor: return its topic and first commit.

    key: the first content key, 32 fresh bytes; its commitment stands in the founding entry.
    """
    assert inner.is_genesis
    founding = inner.entries[0]
    assert isinstance(founding, GenesisEntry)
    assert founding.kcommit == kcommit_of(key)
    plain = encode_inner(inner, _nothing)
    content = ContentKey(topic_of(plain), key)
    clear = clear_epoch(0, ephemeral=bytes(KEY_BYTES), kcommit=founding.kcommit, count=0)
    return content.topic, _finish(signer, content, clear, inner.author, plain)


def make_commit(
    signer: Signer, key: ContentKey, *, epoch: CommitId, gen: int, inner: Inner, past: Past
) -> SealedCommit:
    """Seal and sign a data commit under the key of `epoch`. gen: 1 + the parents' largest."""
    assert not inner.is_epoch
    clear = clear_data(gen, epoch)
    return _finish(signer, key, clear, inner.author, encode_inner(inner, past))


def make_epoch(
    signer: Signer,
    key: ContentKey,
    *,
    gen: int,
    inner: Inner,
    past: Past,
    prekeys: Iterable[bytes],
) -> SealedCommit:
    """Wrap a fresh key to its readers, and seal the epoch commit under that key itself.

    inner: begins with the `EpochEntry` whose secret e makes the wraps. prekeys: of every
    reader in the commit's past, 32 bytes each.
    """
    assert gen > 0
    secret = inner.entries[0]
    assert isinstance(secret, EpochEntry)
    wraps = wrap_key(signer.crypto, key, gen=gen, ephemeral=secret.ephemeral, prekeys=prekeys)
    clear = clear_epoch(
        gen, ephemeral=wraps.ephemeral, kcommit=wraps.kcommit, count=wraps.count
    )
    plain = encode_inner(inner, past)
    return _finish(signer, key, clear + wraps.table, inner.author, plain)


def _finish(
    signer: Signer, key: ContentKey, clear: bytes, author: DeviceId, plain: bytes
) -> SealedCommit:
    assert author == signer.device, "a device signs for itself alone"
    sealed = seal(signer.crypto, key, clear, plain)
    commit = commit_id(key.topic, sealed)
    return SealedCommit(commit, sealed, sign_beside(signer.crypto, key, signer.seed, commit))


def _nothing(_commit: CommitId) -> ChainFacts | None:
    return None
