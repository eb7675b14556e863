"""A mail sealed from docs/reference/wire-format.md alone is opened, and the reverse."""

from __future__ import annotations

from typing import Final

import pytest
from nacl.bindings import crypto_scalarmult_base, crypto_sign_open

from comity.base.errors import Rejected
from comity.base.ids import DeviceId, Topic
from comity.crypto.keys import Identity, KeyPair
from comity.crypto.sodium import Sodium
from comity.protocol.capability import RefLink, link_name
from comity.protocol.mail import Mail, Sealer, open_mail
from comity.protocol.route import (
    Route,
    Writer,
    encode_route,
    mailbox_name,
    post_id,
    write_claim,
)
from tests.wire.test_reference import (
    EPHEMERAL,
    SIGNER,
    STATIC,
    Cipher,
    Handshake,
    blake,
    number,
    varint,
)

SODIUM: Final = Sodium()
PREKEY: Final = bytes([0x44]) * 32
RECIPIENT: Final = DeviceId(bytes([9]) * 32)
SIZES: Final = (0, 200, 600, 70_000, 262_144)


def state_of(prekey: bytes) -> Handshake:
    """Begin Noise X to a prekey."""
    state = Handshake(
        b"Noise_X_25519_ChaChaPoly_BLAKE2b", b"comity/mail/1\x06sodium" + RECIPIENT
    )
    state.mix_hash(prekey)
    return state


def inside_of(envelope: bytes, route: bytes) -> bytes:
    """Write what a mail says."""
    blobs = number(len(route)) + route + number(len(envelope)) + envelope
    return number(7) + number(300) + blobs


def room(size: int) -> int:
    """Return how much fits a mail of this size."""
    chunks = -(-(size - 192) // 65_535)
    return size - 192 - 16 * chunks


@pytest.mark.parametrize("length", SIZES)
def test_a_mail_of_another_program_is_opened(length: int) -> None:
    """Noise X, the payload, chunks and padding are what the page says."""
    envelope, route = bytes(range(256)) * (length // 256 + 1), b"route"
    envelope = envelope[:length]
    inside = inside_of(envelope, route)
    sizes = [512 << k for k in range(10)] + [393_216]
    size = next(each for each in sizes if room(each) >= len(inside))
    inside += bytes(room(size) - len(inside))
    public, theirs = crypto_scalarmult_base(EPHEMERAL), crypto_scalarmult_base(PREKEY)
    state = state_of(theirs)
    state.mix_ephemeral(public, psk=False)
    state.mix_key(EPHEMERAL, theirs)
    ours = crypto_scalarmult_base(STATIC)
    sealed = public + state.seal(ours)
    state.mix_key(STATIC, theirs)
    signature = SIGNER.sign(b"comity/mail/1" + ours).signature
    sealed += state.seal(bytes(SIGNER.verify_key) + signature)
    assert len(sealed) == 192
    cipher = Cipher(state.keys(b"", 2)[0][:32])
    for at in range(0, len(inside), 65_519):
        sealed += cipher.seal(inside[at : at + 65_519])
    assert len(sealed) == size
    found = open_mail(SODIUM, RECIPIENT, [KeyPair(SODIUM, PREKEY)], sealed)
    assert not isinstance(found, Rejected), found
    assert found.sender == bytes(SIGNER.verify_key)
    assert found.mail == Mail(7, 300, route, envelope)
    assert post_id(sealed) == blake(256, sealed, b"comity/mail")


@pytest.mark.parametrize("length", SIZES)
def test_another_program_opens_a_mail(length: int) -> None:
    """What this one seals is what the page says, and shows nothing of its own length."""
    identity = Identity(SODIUM, bytes([5]) * 32)
    sealer = Sealer(SODIUM, identity, bytes([6]) * 32)
    theirs = crypto_scalarmult_base(PREKEY)
    sealed = sealer.seal(Mail(7, 300, b"route", bytes(length)), RECIPIENT, theirs)
    assert sealed is not None
    size = len(sealed)
    assert size in {512 << k for k in range(10)} | {393_216}
    state = state_of(theirs)
    state.mix_ephemeral(sealed[:32], psk=False)
    state.mix_key(PREKEY, sealed[:32])
    static = state.open(sealed[32:80])
    state.mix_key(PREKEY, static)
    payload = state.open(sealed[80:192])
    assert payload[:32] == identity.device
    crypto_sign_open(payload[32:] + b"comity/mail/1" + static, payload[:32])
    cipher = Cipher(state.keys(b"", 2)[0][:32])
    inside = b"".join(cipher.open(sealed[n : n + 65_535]) for n in range(192, size, 65_535))
    handled, at = varint(inside, 0)
    received, at = varint(inside, at)
    assert (handled, received) == (7, 300)
    assert inside[at:].rstrip(b"\0") == inside_of(bytes(length), b"route")[3:].rstrip(b"\0")


def test_names_signatures_routes_and_links() -> None:
    """What is hashed and signed, and the bytes of a route and of a link with relays."""
    seed = bytes(SIGNER)
    public = bytes(SIGNER.verify_key)
    mailbox = blake(256, RECIPIENT + public, b"comity/mailbox")
    writer = Writer(SODIUM, RECIPIENT, seed)
    assert writer.mailbox == mailbox == mailbox_name(RECIPIENT, public)
    relay, post = DeviceId(bytes([2]) * 32), bytes([3]) * 32
    claim = b"comity/post/1" + relay + mailbox + post
    assert write_claim(relay, mailbox, post) == claim
    assert crypto_sign_open(writer.sign(relay, post) + claim, public) == claim
    route = Route(seed, bytes([4]) * 32, ("a:1", "b:22"))
    assert encode_route(route) == b"\1" + seed + bytes([4]) * 32 + b"\2\3a:1\4b:22"
    grant = bytes(range(16))
    link = RefLink(RECIPIENT, Topic(bytes(32)), grant, (), bytes([4]) * 32, ("a:1",))
    name = blake(128, grant, b"comity/ref")
    assert link_name(grant) == name
    expected = Route(blake(256, name, b"comity/mailbox"), bytes([4]) * 32, ("a:1",))
    assert link.route == expected
