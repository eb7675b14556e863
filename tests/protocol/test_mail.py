"""Mails: only who sealed one can have, only the recipient opens it, and all look alike."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.base.canonical import Malformed, Reader
from comity.base.errors import Reason, Rejected
from comity.base.ids import DeviceId
from comity.base.limits import ENVELOPE_BYTES_MAX, POST_BYTES_MAX, ROUTE_BYTES_MAX
from comity.crypto.keys import Identity, KeyPair
from comity.crypto.port import Crypto
from comity.crypto.sodium import Sodium
from comity.crypto.symbolic import Symbolic
from comity.protocol.mail import Mail, Opened, Sealer, decode_mail, is_padded, open_mail

BOB: Final = DeviceId(bytes([7]) * 32)
both = pytest.mark.parametrize("crypto", [Sodium(), Symbolic()], ids=["sodium", "symbolic"])
mails = st.builds(
    Mail,
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**64 - 1),
    st.binary(max_size=300),
    st.binary(max_size=3000),
)


def sealer(crypto: Crypto, seed: int = 1) -> tuple[Sealer, DeviceId]:
    """Return a device's hand for mail, and its name."""
    identity = Identity(crypto, bytes([seed]) * 32)
    return Sealer(crypto, identity, bytes([seed + 100]) * 32), identity.device


def prekey(crypto: Crypto, seed: int = 50) -> KeyPair:
    """Return a prekey of the recipient."""
    return KeyPair(crypto, bytes([seed]) * 32)


@both
@given(mail=mails)
def test_what_is_sealed_is_opened(crypto: Crypto, mail: Mail) -> None:
    """By any prekey that is still held; sealed twice it is the same, of one of few sizes."""
    hand, device = sealer(crypto)
    old, new = prekey(crypto), prekey(crypto, 51)
    sealed = hand.seal(mail, BOB, old.public)
    assert sealed is not None
    assert is_padded(len(sealed))
    assert open_mail(crypto, BOB, (new, old), sealed) == Opened(device, mail, old.public)
    assert hand.seal(mail, BOB, old.public) == sealed


@both
def test_what_differs_looks_different_from_the_first_byte(crypto: Crypto) -> None:
    """Another letter, recipient, prekey or sender: no ephemeral key is used twice."""
    hand, _ = sealer(crypto)
    other, _ = sealer(crypto, 2)
    key, mail = prekey(crypto).public, Mail(0, 0, b"", b"letter")
    sealed = [
        hand.seal(mail, BOB, key),
        hand.seal(Mail(0, 0, b"", b"lettes"), BOB, key),
        hand.seal(mail, DeviceId(bytes([8]) * 32), key),
        hand.seal(mail, BOB, prekey(crypto, 51).public),
        other.seal(mail, BOB, key),
    ]
    assert len({each[:32] for each in sealed if each is not None}) == len(sealed)


@both
def test_only_the_recipient_opens_it_and_no_byte_may_change(crypto: Crypto) -> None:
    """Another device, another prekey, a flipped bit, a cut: refused, nothing raised."""
    hand, _ = sealer(crypto)
    key = prekey(crypto)
    sealed = hand.seal(Mail(1, 2, b"route", bytes(700)), BOB, key.public)
    assert sealed is not None
    assert isinstance(open_mail(crypto, DeviceId(bytes(32)), [key], sealed), Rejected)
    assert isinstance(open_mail(crypto, BOB, [prekey(crypto, 51)], sealed), Rejected)
    assert isinstance(open_mail(crypto, BOB, [], sealed), Rejected)
    for at in range(0, len(sealed), 7):
        changed = bytearray(sealed)
        changed[at] ^= 1
        assert isinstance(open_mail(crypto, BOB, [key], bytes(changed)), Rejected), at
    for size in (0, 1, 191, 192, 512, len(sealed) - 1):
        assert isinstance(open_mail(crypto, BOB, [key], sealed[:size]), Rejected), size
    for more in (b"\0", bytes(len(sealed)), bytes(POST_BYTES_MAX)):
        assert isinstance(open_mail(crypto, BOB, [key], sealed + more), Rejected)


def test_a_mail_in_anothers_name_is_refused() -> None:
    """The static key is signed by the device that it says; a proof of another key is none."""
    crypto = Sodium()
    hand, _ = sealer(crypto)
    other, device = sealer(crypto, 2)
    hand._proof = other._proof  # what the other one says to everybody it writes to
    key = prekey(crypto)
    sealed = hand.seal(Mail(0, 0, b"", b""), BOB, key.public)
    assert sealed is not None
    found = open_mail(crypto, BOB, [key], sealed)
    assert isinstance(found, Rejected)
    assert found.reason is Reason.BAD_SIGNATURE
    assert device.hex() not in str(found)


def test_a_prekey_of_low_order_is_not_sealed_to() -> None:
    """Zeros and one: everybody knows what comes of them."""
    hand, _ = sealer(Sodium())
    for point in (bytes(32), b"\1" + bytes(31)):
        assert hand.seal(Mail(0, 0, b"", b""), BOB, point) is None


def test_the_largest_fits() -> None:
    """An envelope and a route at their limits, both of them."""
    crypto = Sodium()
    hand, _ = sealer(crypto)
    mail = Mail(2**64 - 1, 2**64 - 1, bytes(ROUTE_BYTES_MAX), bytes(ENVELOPE_BYTES_MAX))
    key = prekey(crypto)
    sealed = hand.seal(mail, BOB, key.public)
    assert sealed is not None
    assert len(sealed) == POST_BYTES_MAX
    found = open_mail(crypto, BOB, [key], sealed)
    assert isinstance(found, Opened)
    assert found.mail == mail


@given(st.binary(max_size=300))
def test_the_inside_is_read_whole_or_refused(data: bytes) -> None:
    """Whatever a sender puts inside is a mail or malformed; padding is zeros."""
    try:
        found = decode_mail(Reader(data))
    except Malformed:
        return
    assert data.rstrip(b"\0") == found.encode().rstrip(b"\0")


def test_sizes() -> None:
    """Doubles of 512 up to 256 KiB, and one more."""
    assert [n for n in range(POST_BYTES_MAX + 1) if is_padded(n)] == [
        *(512 << k for k in range(10)),
        POST_BYTES_MAX,
    ]
