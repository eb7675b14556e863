"""Wraps: every reader finds the key, nobody else, and openers notice wrong ones."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.base.errors import Reason, Rejected
from comity.base.ids import Topic
from comity.log.seal import ContentKey, kcommit_of
from comity.log.sealed import Sealed, clear_epoch
from comity.log.wraps import check_wraps, unwrap_key, wrap_key
from tests.log.world import each_port, flipped

if TYPE_CHECKING:
    from comity.crypto.port import Crypto

TOPIC = Topic(b"t" * 32)
KEY = ContentKey(TOPIC, b"k" * 32)
E = b"e" * 32


def secrets(count: int) -> list[bytes]:
    """Return so many different prekey secrets."""
    return [bytes([n, 7]) * 16 for n in range(count)]


def wrap(crypto: Crypto, prekeys: list[bytes], key: ContentKey = KEY) -> Sealed:
    """Wrap to these prekeys and put the clear part around it."""
    wraps = wrap_key(crypto, key, gen=3, ephemeral=E, prekeys=prekeys)
    clear = clear_epoch(3, ephemeral=wraps.ephemeral, kcommit=wraps.kcommit, count=wraps.count)
    return Sealed(3, bytes(16), wraps, clear + wraps.table, b"", b"")


def table(sealed: Sealed, changed: bytes) -> Sealed:
    """Return the same epoch commit with another table."""
    assert sealed.wraps is not None
    clear = sealed.clear[: -len(sealed.wraps.table)] + changed
    return replace(sealed, wraps=replace(sealed.wraps, table=changed), clear=clear)


@each_port
@pytest.mark.parametrize(
    ("count", "padded"), [(0, 1), (1, 1), (2, 2), (3, 4), (5, 8), (16, 16), (17, 32)]
)
def test_every_reader_finds_the_key(crypto: Crypto, count: int, padded: int) -> None:
    """And a stranger does not; the count shows only its next power of two."""
    ours = secrets(count)
    prekeys = [crypto.exchange_public(secret) for secret in ours]
    sealed = wrap(crypto, prekeys)
    assert sealed.wraps is not None
    assert sealed.wraps.count == padded
    assert [unwrap_key(crypto, TOPIC, sealed, secret) for secret in ours] == [KEY.key] * count
    refused = unwrap_key(crypto, TOPIC, sealed, b"z" * 32)
    assert isinstance(refused, Rejected)
    assert refused.reason is Reason.NO_KEY
    assert check_wraps(crypto, KEY, sealed, ephemeral=E, prekeys=prekeys) is None


@each_port
@given(st.permutations(range(7)))
def test_the_order_of_readers_is_no_input(crypto: Crypto, order: list[int]) -> None:
    """Two openers that list the readers differently compute the same table."""
    prekeys = [crypto.exchange_public(secret) for secret in secrets(7)]
    shuffled = [prekeys[n] for n in order]
    assert wrap(crypto, shuffled) == wrap(crypto, prekeys + prekeys[:3])
    wraps = wrap(crypto, shuffled).wraps
    assert wraps is not None
    entries = [wraps.table[n : n + 56] for n in range(0, len(wraps.table), 56)]
    assert entries == sorted(entries)


@each_port
def test_recipient_ids_differ_between_topics(crypto: Crypto) -> None:
    """The same readers, key and ephemeral in another topic share no entry."""
    prekeys = [crypto.exchange_public(secret) for secret in secrets(4)]
    first = wrap(crypto, prekeys).wraps
    second = wrap(crypto, prekeys, ContentKey(Topic(b"u" * 32), KEY.key)).wraps
    assert first is not None
    assert second is not None
    rids = [wraps.table[n : n + 8] for wraps in (first, second) for n in range(0, 224, 56)]
    assert len(dict.fromkeys(rids)) == 8


@each_port
def test_a_prekey_of_low_order_gets_no_wrap(crypto: Crypto) -> None:
    """It is left out by everyone alike; the others are served."""
    prekey = crypto.exchange_public(b"a" * 32)
    with_low = [bytes(32), prekey, b"\x01" + bytes(31)]
    assert wrap(crypto, with_low) == wrap(crypto, [prekey])


@each_port
def test_wrong_wraps_are_noticed(crypto: Crypto) -> None:
    """A reader left out, one too many, a changed byte, another e or key."""
    prekeys = [crypto.exchange_public(secret) for secret in secrets(5)]
    sealed = wrap(crypto, prekeys)
    assert sealed.wraps is not None
    wrong = [
        check_wraps(crypto, KEY, sealed, ephemeral=E, prekeys=prekeys[1:]),
        check_wraps(crypto, KEY, sealed, ephemeral=E, prekeys=[*prekeys, prekeys[0][::-1]]),
        check_wraps(crypto, KEY, sealed, ephemeral=b"f" * 32, prekeys=prekeys),
        check_wraps(crypto, ContentKey(TOPIC, b"l" * 32), sealed, ephemeral=E, prekeys=prekeys),
    ]
    for place in range(0, len(sealed.wraps.table), 5):
        changed = table(sealed, flipped(sealed.wraps.table, place))
        wrong.append(check_wraps(crypto, KEY, changed, ephemeral=E, prekeys=prekeys))
    assert all(refused and refused.reason is Reason.BAD_EPOCH for refused in wrong)


@each_port
def test_a_wrap_that_holds_no_right_key_is_told_from_none(crypto: Crypto) -> None:
    """WRONG_KEY: altered, moved under another generation, or against the commitment."""
    secret = b"a" * 32
    sealed = wrap(crypto, [crypto.exchange_public(secret)])
    assert sealed.wraps is not None
    altered = table(sealed, flipped(sealed.wraps.table, 8))
    moved = replace(sealed, clear=flipped(sealed.clear, 4))
    other = replace(sealed.wraps, kcommit=kcommit_of(b"l" * 32))
    clear = clear_epoch(3, ephemeral=other.ephemeral, kcommit=other.kcommit, count=1)
    lying = replace(sealed, wraps=other, clear=clear + other.table)
    for wrong in (altered, moved, lying):
        refused = unwrap_key(crypto, TOPIC, wrong, secret)
        assert isinstance(refused, Rejected)
        assert refused.reason is Reason.WRONG_KEY
    assert unwrap_key(crypto, TOPIC, sealed, secret) == KEY.key


@each_port
def test_a_genesis_wraps_to_nobody(crypto: Crypto) -> None:
    """Its roots get the key by welcome."""
    clear = clear_epoch(0, ephemeral=bytes(32), kcommit=b"K" * 32, count=0)
    wraps = wrap(crypto, []).wraps
    assert wraps is not None
    empty = replace(wraps, ephemeral=bytes(32), table=b"")
    refused = unwrap_key(crypto, TOPIC, Sealed(0, bytes(16), empty, clear, b"", b""), b"a" * 32)
    assert isinstance(refused, Rejected)
    assert refused.reason is Reason.NO_KEY
