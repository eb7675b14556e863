"""A second node's side, written from docs/reference/wire-format.md alone, is understood.

It shares no code with the runtime: Noise, frames, records, reconciliation and invites are
done here once more, from the numbers of that page, and tried against the real ones.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from nacl.bindings import (
    crypto_aead_chacha20poly1305_ietf_decrypt,
    crypto_aead_chacha20poly1305_ietf_encrypt,
    crypto_scalarmult,
    crypto_scalarmult_base,
    crypto_sign_open,
)
from nacl.signing import SigningKey

from comity.base.errors import Reason
from comity.base.ids import CommitId, DeviceId, Topic
from comity.crypto.sodium import Sodium
from comity.protocol.invite import Invite, format_invite
from comity.protocol.reconcile import Outcome, Reconciler
from comity.protocol.session import (
    Established,
    Received,
    SendFrame,
    Session,
    SessionEvent,
    invite_id,
)
from comity.wire import records
from comity.wire.codec import ProtobufCodec
from tests.protocol import sessions

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "reference" / "wire-format.md"
SEED: Final = sessions.SEED
SIGNER: Final = SigningKey(bytes([0x77]) * 32)
STATIC: Final = bytes([0x66]) * 32
EPHEMERAL: Final = bytes([0x55]) * 32


def blake(bits: int, data: bytes, person: bytes, key: bytes = b"") -> bytes:
    """Hash as the reference writes it."""
    return hashlib.blake2b(data, digest_size=bits // 8, person=person, key=key).digest()


def varint(data: bytes, at: int) -> tuple[int, int]:
    """Read a varint; return it and where it ends."""
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:
            return value, at


# ---------------------------------------------------------------------------- Noise


class Cipher:
    """A key and a counter."""

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.count = 0

    def nonce(self) -> bytes:
        """Return the next nonce."""
        self.count += 1
        return bytes(4) + (self.count - 1).to_bytes(8, "little")

    def seal(self, plain: bytes, ad: bytes = b"") -> bytes:
        """Encrypt the next message."""
        return crypto_aead_chacha20poly1305_ietf_encrypt(plain, ad, self.nonce(), self.key)

    def open(self, sealed: bytes, ad: bytes = b"") -> bytes:
        """Decrypt the next message."""
        return crypto_aead_chacha20poly1305_ietf_decrypt(sealed, ad, self.nonce(), self.key)

    def rekey(self) -> None:
        """Take the next key; the counter goes on."""
        nonce = bytes(4) + b"\xff" * 8
        self.key = crypto_aead_chacha20poly1305_ietf_encrypt(bytes(32), b"", nonce, self.key)[
            :32
        ]


class Handshake:
    """The symmetric state."""

    def __init__(self, name: bytes, prologue: bytes) -> None:
        self.hash = name.ljust(64, b"\0") if len(name) <= 64 else blake(512, name, b"")
        self.chain = self.hash
        self.cipher: Cipher | None = None
        self.mix_hash(prologue)

    def mix_hash(self, data: bytes) -> None:
        """Take in what was sent."""
        self.hash = blake(512, self.hash + data, b"")

    def keys(self, material: bytes, count: int) -> list[bytes]:
        """Derive keys by HKDF."""
        secret = hmac.digest(self.chain, material, "blake2b")
        found: list[bytes] = []
        last = b""
        for number in range(1, count + 1):
            last = hmac.digest(secret, last + bytes((number,)), "blake2b")
            found.append(last)
        return found

    def mix_key(self, secret: bytes, public: bytes) -> None:
        """Take in an exchange."""
        self.chain, key = self.keys(crypto_scalarmult(secret, public), 2)
        self.cipher = Cipher(key[:32])

    def mix_psk(self, psk: bytes) -> None:
        """Take in a secret that both know."""
        self.chain, mixed, key = self.keys(psk, 3)
        self.mix_hash(mixed)
        self.cipher = Cipher(key[:32])

    def mix_ephemeral(self, public: bytes, *, psk: bool) -> None:
        """Take in an ephemeral; in psk handshakes it is a key, too."""
        self.mix_hash(public)
        if psk:
            self.chain, key = self.keys(public, 2)
            self.cipher = Cipher(key[:32])

    def seal(self, plain: bytes) -> bytes:
        """Encrypt a part of a message."""
        sealed = plain if self.cipher is None else self.cipher.seal(plain, self.hash)
        self.mix_hash(sealed)
        return sealed

    def open(self, sealed: bytes) -> bytes:
        """Decrypt a part of a message."""
        assert self.cipher is not None
        plain = self.cipher.open(sealed, self.hash)
        self.mix_hash(sealed)
        return plain


class Dialler:
    """An initiator of the second implementation."""

    def __init__(self, peer: Session, seed: bytes | None) -> None:
        """Shake hands with a real responder."""
        public = crypto_scalarmult_base(EPHEMERAL)
        hello = b"\xc0\x01\x01" + (b"\0" if seed is None else b"\1")
        if seed is not None:
            hello += blake(128, public, b"comity/sighting", seed)
        pattern = b"XX" if seed is None else b"XXpsk3"
        state = Handshake(
            b"Noise_" + pattern + b"_25519_ChaChaPoly_BLAKE2b",
            b"comity/session/1\x06sodium" + hello,
        )
        psk = seed is not None
        state.mix_ephemeral(public, psk=psk)
        first = hello + public + state.seal(b"")
        assert len(first) == (36 if seed is None else 68)
        (answer,) = peer.receive(first, sessions.NOW)
        assert isinstance(answer, SendFrame)
        second = answer.frame
        assert len(second) == 195
        theirs = second[:32]
        state.mix_ephemeral(theirs, psk=psk)
        state.mix_key(EPHEMERAL, theirs)
        static = state.open(second[32:80])
        state.mix_key(EPHEMERAL, static)
        proof = state.open(second[80:])
        assert proof[:3] == b"\xc0\x01\x01"
        self.peer_device = proof[3:35]
        signed = b"comity/noise/1" + static + b"\1"
        crypto_sign_open(proof[35:] + signed, self.peer_device)
        ours = crypto_scalarmult_base(STATIC)
        third = state.seal(ours)
        state.mix_key(STATIC, theirs)
        if seed is not None:
            state.mix_psk(blake(256, seed, b"comity/psk"))
        signature = SIGNER.sign(b"comity/noise/1" + ours + b"\0").signature
        third += state.seal(bytes(SIGNER.verify_key) + signature)
        assert len(third) == 160
        (self.established,) = peer.receive(third, sessions.NOW)
        out, back = state.keys(b"", 2)
        self.out, self.back, self.hash = Cipher(out[:32]), Cipher(back[:32]), state.hash


@pytest.fixture(params=[None, SEED], ids=["XX", "XXpsk3"])
def dialler(request: pytest.FixtureRequest) -> tuple[Dialler, Session]:
    """Return both ends after the handshake: theirs, ours."""
    _, bob = sessions.dial(Sodium(), request.param)
    return Dialler(bob, request.param), bob


def test_the_handshake(dialler: tuple[Dialler, Session]) -> None:
    """Both sides know each other, the hash, and the name of a topic."""
    other, bob = dialler
    established = other.established
    assert isinstance(established, Established)
    assert established.peer == bytes(SIGNER.verify_key)
    assert other.peer_device == sessions.endpoint(b"bob", Sodium()).identity.device
    assert established.handshake_hash == other.hash
    assert established.joined_by in {None, blake(128, b"", b"comity/invite", SEED)}
    assert invite_id(SEED) == blake(128, b"", b"comity/invite", SEED)
    assert bob.tag(sessions.TOPIC) == blake(128, sessions.TOPIC, b"comity/tag", other.hash)


def test_messages_and_rekeying(dialler: tuple[Dialler, Session]) -> None:
    """Messages of one and of several parts go both ways, before and after a rekey."""
    other, bob = dialler
    long = bytes(range(256)) * 600
    for message in (b"", b"hello", long):
        parts = [message[n : n + 65_518] for n in range(0, max(1, len(message)), 65_518)]
        events: list[SessionEvent] = []
        for index, part in enumerate(parts):
            more = index < len(parts) - 1
            events += bob.receive(other.out.seal(bytes((more,)) + part), sessions.NOW)
            if more:
                assert bob.receive(other.out.seal(b"\2"), sessions.NOW) == ()
                other.out.rekey()
        assert events == [Received(message)]
        opened = [other.back.open(frame) for frame in bob.seal(message)]
        assert b"".join(each[1:] for each in opened) == message
        assert [each[0] for each in opened] == [1] * (len(opened) - 1) + [0]
        deadline = bob.deadline
        assert deadline is not None
        (rekey,) = bob.advance(deadline)
        assert isinstance(rekey, SendFrame)
        assert other.back.open(rekey.frame) == b"\2"
        other.back.rekey()


# ---------------------------------------------------------------------------- records


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Read a protobuf message: numbers and strings of bytes, by field."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        value, at = varint(data, at)
        if key & 7 == 2:
            yield key >> 3, data[at : at + value]
            at += value
        else:
            assert key & 7 == 0
            yield key >> 3, value


TAG: Final = bytes(range(16))
ONE, TWO = CommitId(bytes([1]) * 32), CommitId(bytes([2]) * 32)
DEVICE: Final = DeviceId(bytes([3]) * 32)
SAID: Final[dict[int, tuple[records.Record, list[tuple[int, int | bytes]]]]] = {
    1: (records.Announce((TAG,)), [(1, TAG)]),
    2: (records.Subscribe((Topic(ONE),)), [(1, ONE)]),
    3: (
        records.Summary(TAG, 300, TAG, (ONE, TWO), TAG, 301),
        [(1, TAG), (2, 300), (3, TAG), (4, ONE), (4, TWO), (5, TAG), (6, 301)],
    ),
    4: (records.Since(TAG, 7), [(1, TAG), (2, 7)]),
    5: (records.Reconcile(TAG, b"\1"), [(1, TAG), (2, b"\1")]),
    6: (records.Want(TAG, (TWO, ONE)), [(1, TAG), (2, TWO), (2, ONE)]),
    7: (
        records.Commits(TAG, (records.Commit(b"sealed", bytes(64)),), 9, last=True),
        [(1, TAG), (2, b"\x0a\x06sealed\x12\x40" + bytes(64)), (3, 9), (4, 1)],
    ),
    8: (records.Receipt(TAG, (ONE, TWO)), [(1, TAG), (2, ONE), (2, TWO)]),
    9: (records.KeyRequest(TAG, (ONE, TWO)), [(1, TAG), (2, ONE), (2, TWO)]),
    10: (
        records.Keys(TAG, ((ONE, TWO),)),
        [(1, TAG), (2, b"\x0a\x20" + ONE + b"\x12\x20" + TWO)],
    ),
    11: (records.Runs(TAG, (b"run", b"2")), [(1, TAG), (2, b"run"), (2, b"2")]),
    12: (records.JoinRequest(bytes([7]) * 32), [(1, bytes([7]) * 32)]),
    13: (
        records.Welcome(Topic(ONE), "T", TWO, ((ONE, TWO),), ("r:1",), ((DEVICE, "p:2"),)),
        [
            (1, ONE),
            (2, b"T"),
            (3, TWO),
            (4, b"\x0a\x20" + ONE + b"\x12\x20" + TWO),
            (5, b"r:1"),
            (6, b"\x0a\x20" + DEVICE + b"\x12\x03p:2"),
        ],
    ),
    14: (
        records.Peers(((DEVICE, "p:2"),)),
        [(1, b"\x0a\x20" + DEVICE + b"\x12\x03p:2")],
    ),
    16: (records.Mail(b"sealed", b"r"), [(1, b"sealed"), (2, b"r")]),
    17: (records.Acknowledge(7, 9, b"r"), [(1, 7), (2, 9), (3, b"r")]),
    32: (records.PairShare(ONE), [(1, ONE)]),
    33: (records.PairAnswer(ONE, TAG), [(1, ONE), (2, TAG)]),
    44: (records.Mailboxes((TWO, ONE), more=True), [(1, TWO), (1, ONE), (2, 1)]),
    45: (records.Post(ONE, b"sealed", bytes(64)), [(1, ONE), (2, b"sealed"), (3, bytes(64))]),
    46: (records.Posted(ONE, (TWO,), Reason.QUOTA), [(1, ONE), (2, TWO), (3, 30)]),
    47: (records.Collected(ONE, (TWO,)), [(1, ONE), (2, TWO)]),
    15: (
        records.Refusal(Reason.NO_KEY, "why", TAG, (ONE,)),
        [(1, 4), (2, b"why"), (3, TAG), (4, ONE)],
    ),
}


@pytest.mark.parametrize("kind", SAID)
def test_records(kind: int) -> None:
    """Every record is what the tables say, field by field."""
    record, expected = SAID[kind]
    ((number, inside),) = fields(ProtobufCodec().encode((record,)))
    assert number == 1
    assert isinstance(inside, bytes)
    ((found, body),) = fields(inside)
    assert found == kind
    assert isinstance(body, bytes)
    assert list(fields(body)) == expected


def test_the_tables_name_all_there_is() -> None:
    """Every record has its row and its number, every reason its code, and no other has."""
    page = PAGE.read_text()
    rows = dict(re.findall(r"^\| (\w+) \| (\d+) \| ", page, re.MULTILINE))
    said = {type(record).__name__: str(kind) for kind, (record, _) in SAID.items()}
    assert rows == said
    kinds = records.Record.__args__
    assert sorted(said) == sorted(kind.__name__ for kind in kinds)
    told = page.split("<!-- reasons -->")[1].split("<!-- /reasons -->")[0]
    codes = {name: int(code) for code, name in re.findall(r"\| (\d+) \| `(\w+)`", told)}
    assert codes == {reason.name: int(reason) for reason in Reason}


# ---------------------------------------------------------------------------- reconciliation

Bound = tuple[int, bytes]
Items = list[tuple[int, bytes]]


def ranges(body: bytes) -> Iterator[tuple[Bound | None, int, bytes]]:
    """Read the ranges of a message: upper bound, mode, content."""
    assert body[0] == 1
    at, gen = 1, 0
    while at < len(body):
        mode, size, at = body[at] >> 6, body[at] & 63, at + 1
        bound: Bound | None = None
        if size != 63:
            step, at = varint(body, at)
            gen += step
            bound, at = (gen, body[at : at + size]), at + size
        length = (0, 16, 1 + 32 * body[at] if mode == 2 else 0)[mode]
        yield bound, mode, body[at : at + length]
        at += length


def fingerprint(items: Items, key: bytes) -> bytes:
    """Return the fingerprint of all of these."""
    return blake(128, b"".join(each for _, each in items), b"comity/range", key)


def number(value: int) -> bytes:
    """Write a varint."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def answer(ours: Items, body: bytes, key: bytes, lacks: set[bytes]) -> bytes:
    """Answer in the simplest way that the page permits: with lists, 31 ids at a time."""
    out, gen, skipped = bytearray(b"\1"), 0, None
    lower: Bound = (0, b"")

    def head(bound: Bound | None, mode: int) -> bytes:
        nonlocal gen
        if bound is None:
            return bytes((mode * 64 + 63,))
        step, gen = bound[0] - gen, bound[0]
        return bytes((mode * 64 + len(bound[1]),)) + number(step) + bound[1]

    for bound, mode, content in ranges(body):
        inside = [each for each in ours if lower <= each and (bound is None or each < bound)]
        lower = bound or lower
        if mode == 2:
            theirs = {content[n : n + 32] for n in range(1, len(content), 32)}
            lacks |= theirs - {each for _, each in inside}
        if mode != 1 or content == fingerprint(inside, key):
            skipped = bound
            continue
        if skipped is not None:
            out += head(skipped, 0)
            skipped = None
        for start in range(0, max(1, len(inside)), 31):
            part = inside[start : start + 31]
            last = start + 31 >= len(inside)
            out += head(bound if last else inside[start + 31], 2)
            out += bytes((len(part),)) + b"".join(each for _, each in part)
    return bytes(out)


@pytest.mark.parametrize(("count", "missing"), [(5, 2), (40, 3), (400, 7), (400, 0), (0, 0)])
def test_reconciliation(count: int, missing: int) -> None:
    """The second implementation learns what it lacks, and so does the first."""
    key = bytes(range(64))
    every = [
        (n // 3, CommitId(blake(256, bytes((n & 255, n >> 8)), b""))) for n in range(count)
    ]
    every.sort()
    theirs: Items = [each for n, each in enumerate(every) if n % 50 or n >= 50 * missing]
    hidden = [each for n, each in enumerate(every) if n % 50 == 9][:missing]
    real = Reconciler([e for e in every if e not in hidden], key, initiator=True)
    body: bytes | None = real.initiate()
    assert body is not None
    kinds = [mode for _, mode, _ in ranges(body)]
    assert kinds == ([2] if count <= 31 else [1] * 16)
    lacks: set[bytes] = set()
    found: set[bytes] = set()
    while body is not None:
        outcome = real.receive(answer(theirs, body, key, lacks))
        assert isinstance(outcome, Outcome)
        found.update(outcome.need)
        body = outcome.reply
        if outcome.done and body is not None:
            assert body == b"\1"
            break
    has = {each for _, each in every} - {each for _, each in hidden}
    mine = {each for _, each in theirs}
    assert lacks | found >= {each for _, each in hidden} & mine
    assert found == mine - has
    # What this side lacks it is told by lists, or the real side offers it.
    assert lacks <= has - mine


def test_invites() -> None:
    """A link is its body, with four bytes of check, in one alphabet."""
    invite = Invite(DEVICE, SEED, ("host:1", "caf\u00e9:2"))
    link = format_invite(invite)
    text = link.removeprefix("comity:")
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    body, check = data[:-4], data[-4:]
    assert check == blake(32, body, b"comity/invite")
    assert body == b"\1" + DEVICE + SEED + b"\2\x06host:1\x07caf\xc3\xa9:2"
    assert "=" not in link
