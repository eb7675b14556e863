"""The crypto port: one suite for every implementation, and public vectors for the real one."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.crypto.port import KEY_BYTES, SIGNATURE_BYTES, TAG_BYTES
from comity.crypto.sodium import EXPANDED_KEPT_MAX, Sodium
from comity.crypto.symbolic import Symbolic

if TYPE_CHECKING:
    from collections.abc import Callable

    from comity.crypto.port import Crypto

VECTORS: Final = Path(__file__).resolve().parents[3] / "shared" / "vectors"
PORTS: Final[list[Crypto]] = [Sodium(), Symbolic()]
LOW_ORDER: Final = [bytes(32), bytes([1]) + bytes(31)]
each_port = pytest.mark.parametrize("crypto", PORTS, ids=lambda port: port.name)
keys = st.binary(min_size=32, max_size=32)
texts = st.binary(max_size=300)


def ciphers(crypto: Crypto) -> list[tuple[Callable[..., bytes], Callable[..., Any], int]]:
    """List both AEADs: seal, open, nonce bytes."""
    return [(crypto.seal, crypto.open, 24), (crypto.seal_short, crypto.open_short, 12)]


def load(file: str) -> Any:  # noqa: ANN401 - the shape is the vector's
    """Read a file of public vectors; skip where there is none."""
    path = VECTORS / file
    if not path.exists():
        pytest.skip(f"public vectors are absent: {file}")
    return json.loads(path.read_text())


def flipped(data: bytes, position: int, bit: int = 0) -> bytes:
    """Return `data` with one bit changed."""
    out = bytearray(data)
    out[position] ^= 1 << bit
    return bytes(out)


@each_port
@given(keys, texts)
def test_signatures_verify(crypto: Crypto, seed: bytes, message: bytes) -> None:
    """A signature is deterministic, 64 bytes, and verifies under the seed's public key."""
    public = crypto.sign_public(seed)
    signature = crypto.sign(seed, message)
    assert (len(public), len(signature)) == (KEY_BYTES, SIGNATURE_BYTES)
    assert signature == crypto.sign(seed, message)
    assert crypto.verify(public, message, signature)


@each_port
def test_altered_signatures_fail(crypto: Crypto) -> None:
    """Another message, key or signature by one bit anywhere does not verify."""
    seed, message = bytes(range(32)), b"message"
    public, signature = crypto.sign_public(seed), crypto.sign(seed, message)
    for position in range(SIGNATURE_BYTES):
        assert not crypto.verify(public, message, flipped(signature, position))
    for position in range(KEY_BYTES):
        assert not crypto.verify(flipped(public, position), message, signature)
    for position in range(len(message)):
        assert not crypto.verify(public, flipped(message, position), signature)
    assert not crypto.verify(public, message + b"\0", signature)


@each_port
@given(st.binary(max_size=70), texts, st.binary(max_size=130))
def test_verify_takes_any_bytes(
    crypto: Crypto, public: bytes, message: bytes, signature: bytes
) -> None:
    """Bytes of any length are a plain False."""
    assert crypto.verify(public, message, signature) is False


@each_port
@given(keys, keys)
def test_exchange_is_commutative(crypto: Crypto, first: bytes, second: bytes) -> None:
    """Both sides come to the same 32 bytes, which are neither's public key."""
    ours, theirs = crypto.exchange_public(first), crypto.exchange_public(second)
    shared = crypto.exchange(first, theirs)
    assert shared == crypto.exchange(second, ours)
    assert shared is not None
    assert len(shared) == KEY_BYTES
    assert shared not in {ours, theirs, first, second}


@each_port
@pytest.mark.parametrize("public", [*LOW_ORDER, b"", bytes(31), bytes(33)])
def test_exchange_refuses(crypto: Crypto, public: bytes) -> None:
    """A public key of low order or of the wrong length gives None."""
    assert crypto.exchange(bytes([7]) * 32, public) is None


@each_port
def test_exchange_differs_by_peer(crypto: Crypto) -> None:
    """Another peer, another shared secret."""
    publics = [crypto.exchange_public(bytes([n]) * 32) for n in range(10)]
    assert len(set(publics)) == 10
    shared = {crypto.exchange(bytes([99]) * 32, public) for public in publics}
    assert len(shared) == 10


@each_port
@given(keys, keys, texts, texts)
def test_seals_open(crypto: Crypto, key: bytes, nonce: bytes, plain: bytes, aad: bytes) -> None:
    """What was sealed opens, and is 16 bytes longer."""
    for seal, unseal, size in ciphers(crypto):
        sealed = seal(key, nonce[:size], plain, aad)
        assert len(sealed) == len(plain) + TAG_BYTES
        assert unseal(key, nonce[:size], sealed, aad) == plain


@each_port
@given(keys, keys, st.text(st.characters(codec="ascii"), min_size=8, max_size=100))
def test_text_does_not_show(crypto: Crypto, key: bytes, nonce: bytes, text: str) -> None:
    """No stretch of 8 characters of a text is found in what was sealed."""
    plain = text.encode("ascii")
    for seal, _, size in ciphers(crypto):
        sealed = seal(key, nonce[:size], plain, b"")
        for start in range(len(plain) - 7):
            assert plain[start : start + 8] not in sealed


@each_port
def test_altered_seals_do_not_open(crypto: Crypto) -> None:
    """Any bit of the ciphertext, key, nonce or associated data that differs is noticed."""
    key, plain, aad = bytes(range(32)), b"some plain text", b"associated"
    for seal, unseal, size in ciphers(crypto):
        nonce = bytes(size)
        sealed = seal(key, nonce, plain, aad)
        for bit in range(8):
            for at in range(len(sealed)):
                assert unseal(key, nonce, flipped(sealed, at, bit), aad) is None
            for at in range(KEY_BYTES):
                assert unseal(flipped(key, at, bit), nonce, sealed, aad) is None
            for at in range(size):
                assert unseal(key, flipped(nonce, at, bit), sealed, aad) is None
            for at in range(len(aad)):
                assert unseal(key, nonce, sealed, flipped(aad, at, bit)) is None
        for at in range(len(sealed)):
            assert unseal(key, nonce, sealed[:at], aad) is None
        assert unseal(key, nonce, sealed + b"\0", aad) is None
        assert unseal(key, nonce, sealed, aad + b"\0") is None


@each_port
@given(texts)
def test_open_takes_any_bytes(crypto: Crypto, sealed: bytes) -> None:
    """Foreign bytes of any length are a plain None."""
    for _, unseal, size in ciphers(crypto):
        assert unseal(bytes(32), bytes(size), sealed, b"") is None


@each_port
def test_the_two_ciphers_are_apart(crypto: Crypto) -> None:
    """What one AEAD sealed the other does not open, even under the same key."""
    sealed = crypto.seal(bytes(32), bytes(24), b"plain", b"")
    assert crypto.open_short(bytes(32), bytes(12), sealed, b"") is None


@each_port
def test_our_own_mistakes_assert(crypto: Crypto) -> None:
    """Keys and nonces of the wrong length are ours, and stop the node."""
    mistakes: list[Callable[[], object]] = [
        lambda: crypto.sign_public(bytes(31)),
        lambda: crypto.sign(bytes(33), b""),
        lambda: crypto.exchange_public(bytes(31)),
        lambda: crypto.exchange(bytes(31), bytes(32)),
    ]
    for seal, unseal, size in ciphers(crypto):
        for call in (seal, unseal):
            mistakes.append(partial(call, bytes(31), bytes(size), bytes(20), b""))
            mistakes.append(partial(call, bytes(32), bytes(size - 1), bytes(20), b""))
    for mistake in mistakes:
        with pytest.raises(AssertionError):
            mistake()


def test_expanded_keys_are_bounded() -> None:
    """The memory for expanded keys keeps its bound, and forgetting changes no signature."""
    crypto = Sodium()
    seeds = [n.to_bytes(32, "big") for n in range(EXPANDED_KEPT_MAX + 10)]
    before = [crypto.sign(seed, b"m") for seed in seeds]
    assert len(crypto._expanded) == EXPANDED_KEPT_MAX
    assert before == [crypto.sign(seed, b"m") for seed in seeds]


def test_ports_are_told_apart() -> None:
    """The names differ, so that a real and a symbolic node never mistake one another."""
    assert [port.name for port in PORTS] == ["sodium", "symbolic"]


def test_wycheproof_ed25519() -> None:
    """Every case of Wycheproof for Ed25519 is answered as it says."""
    crypto = Sodium()
    count = 0
    for group in load("wycheproof_ed25519_test.json")["testGroups"]:
        public = bytes.fromhex(group["publicKey"]["pk"])
        for case in group["tests"]:
            answer = crypto.verify(
                public, bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"])
            )
            assert answer == (case["result"] == "valid"), case["tcId"]
            count += 1
    assert count >= 150


def test_wycheproof_x25519() -> None:
    """Every case of Wycheproof for X25519: the shared secret, or None where it is zero."""
    crypto = Sodium()
    count = 0
    for group in load("wycheproof_x25519_test.json")["testGroups"]:
        for case in group["tests"]:
            shared = crypto.exchange(
                bytes.fromhex(case["private"]), bytes.fromhex(case["public"])
            )
            if "ZeroSharedSecret" in case["flags"]:
                assert shared is None, case["tcId"]
            else:
                assert shared == bytes.fromhex(case["shared"]), case["tcId"]
            count += 1
    assert count >= 500


def test_speccheck_row() -> None:
    """The twelve cases on which verifiers differ: libsodium's row, which is the protocol's."""
    crypto = Sodium()
    row = "".join(
        "V"
        if crypto.verify(*(bytes.fromhex(case[k]) for k in ("pub_key", "message", "signature")))
        else "X"
        for case in load("ed25519_speccheck.json")
    )
    assert row == "XXXVXXXXXXXX"
