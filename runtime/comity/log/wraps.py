"""A fresh key for many readers: the wraps of an epoch commit.

Owns: how a key is wrapped to prekeys, found, unwrapped, and how an opener checks that the
wraps are what the readers in its past require. May not know: who the readers are.

    rid_i  = BLAKE2b-64(X25519(e, prekey_i), `comity/rid`, topic)
    wrap_i = ChaCha20-Poly1305(BLAKE2b(X25519(e, prekey_i), `comity/wrap`, E || prekey_i ||
             topic), nonce 0, K; aad = the clear bytes before the wraps)
    dummy_j = BLAKE2b-448(key e, `comity/dummy`, topic || j u16), j from 0

A wrap's key is used once, hence nonce 0. One entry for each distinct prekey that is not of low
order; dummies to the next power of two, at least one entry; entries ascending by their bytes,
so that their order tells nothing and two openers compute the same table. n entries cost n
exchanges: 3-8 ms at n = 100.
Source: PROTOCOL section 4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from comity.base.errors import Reason, Rejected
from comity.crypto.hashing import PERSON_DUMMY, PERSON_RID, PERSON_WRAP, blake2b
from comity.crypto.port import KEY_BYTES, NONCE_SHORT_BYTES, Crypto
from comity.log.seal import ContentKey, kcommit_of
from comity.log.sealed import RID_BYTES, WRAP_BYTES, Sealed, Wraps, clear_epoch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from comity.base.ids import Topic

__all__ = ["check_wraps", "unwrap_key", "wrap_key"]

_NONCE: Final = bytes(NONCE_SHORT_BYTES)


def wrap_key(
    crypto: Crypto, key: ContentKey, *, gen: int, ephemeral: bytes, prekeys: Iterable[bytes]
) -> Wraps:
    """Wrap a content key to every prekey. Deterministic; the order of prekeys is no input.

    gen: of the epoch commit. ephemeral: the secret e, 32 fresh bytes. prekeys: 32 bytes each.
    """
    public = crypto.exchange_public(ephemeral)
    shares: list[tuple[bytes, bytes]] = []
    for prekey in dict.fromkeys(prekeys):
        share = crypto.exchange(ephemeral, prekey)
        if share is not None:
            shares.append((prekey, share))
    count = 1
    while count < len(shares):
        count *= 2
    kcommit = kcommit_of(key.key)
    clear = clear_epoch(gen, ephemeral=public, kcommit=kcommit, count=count)
    entries = [
        _rid(share, key.topic)
        + crypto.seal_short(_wrapping(share, public, prekey, key.topic), _NONCE, key.key, clear)
        for prekey, share in shares
    ]
    entries += [_dummy(ephemeral, key.topic, j) for j in range(count - len(entries))]
    entries.sort()
    return Wraps(public, kcommit, b"".join(entries))


def unwrap_key(crypto: Crypto, topic: Topic, sealed: Sealed, secret: bytes) -> bytes | Rejected:
    """Return the key that an epoch commit wraps to the prekey of this secret, 32 bytes.

    Rejected: NO_KEY if there is no wrap for it; WRONG_KEY if there is one that does not open or
    holds another key than the commit commits to. Either way: ask another member.
    """
    wraps = sealed.wraps
    assert wraps is not None, "only epoch commits carry keys"
    share = crypto.exchange(secret, wraps.ephemeral)
    found = () if share is None else wraps.find(_rid(share, topic))
    if share is None or not found:
        return Rejected(Reason.NO_KEY, f"none of {wraps.count} wraps is for this prekey")
    wrapping = _wrapping(share, wraps.ephemeral, crypto.exchange_public(secret), topic)
    clear = sealed.clear[: len(sealed.clear) - len(wraps.table)]
    for wrapped in found:
        key = crypto.open_short(wrapping, _NONCE, wrapped, clear)
        if key is not None and kcommit_of(key) == wraps.kcommit:
            return key
    return Rejected(Reason.WRONG_KEY, "the wrap does not hold the key that it commits to")


def check_wraps(
    crypto: Crypto,
    key: ContentKey,
    sealed: Sealed,
    *,
    ephemeral: bytes,
    prekeys: Iterable[bytes],
) -> Rejected | None:
    """Recompute all wraps of an opened epoch commit; None if they are right.

    ephemeral: what its inner part says. prekeys: of the readers in its past. A commit that
    fails stands, but nothing is sealed under its epoch: Rejected BAD_EPOCH says why.
    """
    wraps = sealed.wraps
    assert wraps is not None, "only epoch commits carry keys"
    ours = wrap_key(crypto, key, gen=sealed.gen, ephemeral=ephemeral, prekeys=prekeys)
    if ours.ephemeral != wraps.ephemeral:
        return Rejected(Reason.BAD_EPOCH, "its ephemeral secret and public key do not match")
    if ours.kcommit != wraps.kcommit:
        return Rejected(Reason.BAD_EPOCH, "it commits to another key")
    if ours.table != wraps.table:
        return Rejected(Reason.BAD_EPOCH, f"{wraps.count} wraps, {ours.count} expected")
    return None


def _rid(share: bytes, topic: Topic) -> bytes:
    return blake2b(topic, size=RID_BYTES, key=share, person=PERSON_RID)


def _wrapping(share: bytes, public: bytes, prekey: bytes, topic: Topic) -> bytes:
    return blake2b(public + prekey + topic, size=KEY_BYTES, key=share, person=PERSON_WRAP)


def _dummy(ephemeral: bytes, topic: Topic, number: int) -> bytes:
    data = topic + number.to_bytes(2, "little")
    return blake2b(data, size=WRAP_BYTES, key=ephemeral, person=PERSON_DUMMY)
