"""Noise: every public vector to the byte, and nothing but the sender's bytes is taken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.base.errors import Reason, Rejected
from comity.crypto.keys import KeyPair
from comity.crypto.noise import (
    MESSAGE_BYTES_MAX,
    PATTERNS,
    CipherState,
    Finished,
    HandshakeKeys,
    HandshakeState,
)
from comity.crypto.sodium import Sodium
from comity.crypto.symbolic import Symbolic

VECTORS: Final = Path(__file__).resolve().parents[3] / "shared" / "vectors"
SUFFIX: Final = "25519_ChaChaPoly_BLAKE2b"
VARIANTS: Final = [
    *PATTERNS,
    "Npsk0",
    "Xpsk1",
    "NNpsk0",
    "NNpsk0+psk2",
    "XXpsk3",
    "XXpsk0+psk1+psk2+psk3",
    "IKpsk2",
]


def vectors(file: str) -> list[dict[str, Any]]:
    """Read the vectors of a file that this module speaks; skip where there is no file."""
    path = VECTORS / file
    if not path.exists():
        pytest.skip(f"public vectors are absent: {file}")
    every = json.loads(path.read_text())["vectors"]
    return [v for v in every if "_25519_ChaChaPoly_" in v["protocol_name"]]


def side(vector: dict[str, Any], role: str) -> HandshakeState:
    """Make one side of a vector's handshake."""

    def pair(name: str) -> KeyPair | None:
        secret = vector.get(f"{role}_{name}")
        return KeyPair(Sodium(), bytes.fromhex(secret)) if secret else None

    remote = vector.get(f"{role}_remote_static")
    return HandshakeState(
        Sodium(),
        vector["protocol_name"],
        initiator=role == "init",
        keys=HandshakeKeys(
            static=pair("static"),
            ephemeral=pair("ephemeral"),
            remote_static=bytes.fromhex(remote) if remote else None,
            psks=tuple(bytes.fromhex(psk) for psk in vector.get(f"{role}_psks", ())),
        ),
        prologue=bytes.fromhex(vector[f"{role}_prologue"]),
    )


def replay(vector: dict[str, Any]) -> None:
    """Check every message of a vector in both directions, and its handshake hash."""
    sides = [side(vector, "init"), side(vector, "resp")]
    messages = [
        (bytes.fromhex(m["payload"]), bytes.fromhex(m["ciphertext"]))
        for m in vector["messages"]
    ]
    turn = 0
    while not sides[0].done:
        payload, ciphertext = messages.pop(0)
        assert sides[turn].write(payload) == ciphertext
        assert sides[1 - turn].read(ciphertext) == payload
        turn = 1 - turn
    assert sides[1].done
    initiator, responder = (each.finish() for each in sides)
    assert initiator.handshake_hash == responder.handshake_hash
    if "handshake_hash" in vector:
        assert initiator.handshake_hash.hex() == vector["handshake_hash"]
    one_way = vector["protocol_name"].split("_")[1].partition("psk")[0] in {"N", "K", "X"}
    for index, (payload, ciphertext) in enumerate(messages):
        ours, theirs = initiator, responder
        if not one_way and (turn + index) % 2:
            ours, theirs = responder, initiator
        assert ours.send.encrypt(b"", payload) == ciphertext
        assert theirs.receive.decrypt(b"", ciphertext) == payload


@pytest.mark.parametrize(
    ("file", "count_min"), [("noise_cacophony.json", 24), ("noise_snow_psk.json", 16)]
)
def test_public_vectors(file: str, count_min: int) -> None:
    """Handshake and transport messages of all public vectors come out to the byte."""
    found = vectors(file)
    assert len(found) >= count_min
    for vector in found:
        replay(vector)


def make(name: str, *, psk: bytes = bytes(32)) -> tuple[HandshakeState, HandshakeState]:
    """Make both sides of a handshake of any pattern, with fixed keys."""
    crypto = Symbolic()
    statics = [KeyPair(crypto, bytes([n]) * 32) for n in (1, 2)]
    ephemerals = [KeyPair(crypto, bytes([n]) * 32) for n in (3, 4)]
    pattern = PATTERNS[name.partition("psk")[0]]
    known = [pattern.responder_known, pattern.initiator_known]
    sides = [
        HandshakeState(
            crypto,
            f"Noise_{name}_{SUFFIX}",
            initiator=index == 0,
            keys=HandshakeKeys(
                static=statics[index],
                ephemeral=ephemerals[index],
                remote_static=statics[1 - index].public if known[index] else None,
                psks=(psk,) * name.count("psk"),
            ),
            prologue=b"p",
        )
        for index in (0, 1)
    ]
    return sides[0], sides[1]


def run(writer: HandshakeState, reader: HandshakeState) -> tuple[Finished, Finished]:
    """Run a handshake to its end."""
    first, second = writer, reader
    payload = 0
    while not writer.done:
        message = writer.write(bytes([payload])) if writer.may_write else b""
        assert isinstance(message, bytes)
        assert reader.read(message) == bytes([payload])
        payload += 1
        writer, reader = reader, writer
    return first.finish(), second.finish()


@pytest.mark.parametrize("name", VARIANTS)
def test_every_pattern_agrees(name: str) -> None:
    """Both sides of every pattern end with the same hash and with crossed ciphers."""
    initiator, responder = run(*make(name))
    assert initiator.handshake_hash == responder.handshake_hash
    for ours, theirs in ((initiator, responder), (responder, initiator)):
        for plain in (b"", b"one", bytes(1000)):
            sealed = ours.send.encrypt(b"aad", plain)
            assert theirs.receive.decrypt(b"aad", sealed) == plain


@pytest.mark.parametrize("name", VARIANTS)
def test_altered_messages_are_refused(name: str) -> None:
    """A flipped bit of any byte of any message is refused, by its reader or by the next one.

    A message that is not keyed yet only changes the hash: then the next message fails. The
    last message of every pattern is keyed.
    """
    pattern = PATTERNS[name.partition("psk")[0]]
    for flipped in range(len(pattern.messages)):
        position = 0
        while True:
            outcome, size = _with_flip(name, flipped, position)
            assert outcome is None or outcome.reason is Reason.HANDSHAKE_FAILED
            assert outcome is not None, (name, flipped, position)
            position += 1
            if position == size:
                break


def _with_flip(name: str, flipped: int, position: int) -> tuple[Rejected | None, int]:
    writer, reader = make(name)
    size = 0
    index = 0
    while not writer.done:
        message = writer.write(b"payload")
        if isinstance(message, Rejected):
            return message, size
        if index == flipped:
            size = len(message)
            altered = bytearray(message)
            altered[position] ^= 1
            message = bytes(altered)
        payload = reader.read(message)
        if isinstance(payload, Rejected):
            return payload, size
        writer, reader = reader, writer
        index += 1
    return None, size


@pytest.mark.parametrize("name", VARIANTS)
def test_cut_off_messages_are_refused(name: str) -> None:
    """Every proper prefix of a first message is refused."""
    message = make(name)[0].write(b"")
    assert isinstance(message, bytes)
    for size in range(len(message)):
        answer = make(name)[1].read(message[:size])
        assert isinstance(answer, Rejected)
        assert answer.reason is Reason.HANDSHAKE_FAILED


@given(st.binary(max_size=300), st.sampled_from(VARIANTS))
def test_foreign_bytes_never_raise(message: bytes, name: str) -> None:
    """Whatever bytes come, `read` answers with a value."""
    assert isinstance(make(name)[1].read(message), bytes | Rejected)


def test_a_refusal_spends_the_state() -> None:
    """After a refusal neither reading nor writing goes on."""
    _, responder = make("XX")
    assert isinstance(responder.read(b"short"), Rejected)
    assert not responder.may_read
    assert not responder.may_write
    assert not responder.done
    with pytest.raises(AssertionError):
        responder.read(bytes(32))


@pytest.mark.parametrize("low", [bytes(32), bytes([1]) + bytes(31)])
def test_low_order_keys_are_refused(low: bytes) -> None:
    """A peer whose ephemeral fixes the shared secret is refused where it is first used."""
    _, responder = make("XX")
    assert responder.read(low) == b""
    answer = responder.write(b"")
    assert isinstance(answer, Rejected)
    assert not responder.may_write


def test_oversized_messages_are_refused() -> None:
    """One byte above the limit is refused before anything is computed."""
    _, responder = make("XX")
    assert isinstance(responder.read(bytes(MESSAGE_BYTES_MAX + 1)), Rejected)


def test_another_psk_or_prologue_fails() -> None:
    """Sides that disagree on the psk end in a refusal at the message that mixes it."""
    initiator, _ = make("XXpsk3", psk=bytes([1]) * 32)
    _, responder = make("XXpsk3", psk=bytes([2]) * 32)
    first = initiator.write(b"")
    assert isinstance(first, bytes)
    assert responder.read(first) == b""
    second = responder.write(b"")
    assert isinstance(second, bytes)
    assert initiator.read(second) == b""
    third = initiator.write(b"")
    assert isinstance(third, bytes)
    assert isinstance(responder.read(third), Rejected)


def test_a_failed_decryption_is_not_counted() -> None:
    """A refused message leaves the counter: the right one still opens. Section 5.1."""
    sender, receiver = (CipherState(Sodium(), bytes(32)) for _ in range(2))
    sealed = sender.encrypt(b"", b"plain")
    assert receiver.decrypt(b"", sealed[:-1] + bytes([sealed[-1] ^ 1])) is None
    assert receiver.decrypt(b"", sealed) == b"plain"
    assert receiver.decrypt(b"", sealed) is None


def test_rekey_changes_both_sides_alike() -> None:
    """After a rekey on both sides they agree; on one side only, they do not."""
    sender, receiver = (CipherState(Sodium(), bytes(32)) for _ in range(2))
    sender.rekey()
    sealed = sender.encrypt(b"", b"plain")
    assert receiver.decrypt(b"", sealed) is None
    receiver.rekey()
    assert receiver.decrypt(b"", sealed) == b"plain"
