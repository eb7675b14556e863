"""A second reader, written from docs/reference/commit-format.md alone, takes the vectors."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from nacl.bindings import (
    crypto_aead_chacha20poly1305_ietf_encrypt,
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_scalarmult,
    crypto_scalarmult_base,
    crypto_sign_open,
)

from tests.log.vectors import FILE

VECTORS: Final[dict[str, Any]] = json.loads(FILE.read_text())
TOPIC: Final = bytes.fromhex(VECTORS["topic"])


def blake(bits: int, data: bytes, person: bytes, key: bytes = b"") -> bytes:
    """Hash as the reference writes it."""
    return hashlib.blake2b(data, digest_size=bits // 8, person=person, key=key).digest()


def number(data: bytes, at: int) -> tuple[int, int]:
    """Read a varint; return it and where it ends."""
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:
            return value, at


def clear_end(sealed: bytes) -> int:
    """Return where the nonce starts."""
    if sealed[2] == 1:
        return 28
    return 94 + 56 * int.from_bytes(sealed[92:94], "little")


def read_inner(inner: bytes) -> dict[str, Any]:
    """Read the fields of an inner as they stand."""
    chain, grant, at = inner[0] & 3, inner[0] >> 2, 1
    out: dict[str, Any] = {"stated": b"", "grant": None}
    if chain in {0, 2}:
        out["stated"], at = inner[at : at + 32], at + 32
    if grant:
        size = (1, 32)[grant - 1]
        out["grant"], at = inner[at : at + size], at + size
    count, at = inner[at], at + 1
    out["parents"] = [inner[at + 32 * n : at + 32 * n + 32] for n in range(count)]
    at += 32 * count
    if chain == 1:
        index = 0
        if count > 1:
            index, at = inner[at], at + 1
        out["backlink"] = out["parents"][index]
    else:
        out["backlink"] = out["stated"] if chain == 2 else None
    out["wall"], at = number(inner, at)
    length, at = number(inner, at)
    assert not any(inner[at + length :])
    entries: list[tuple[int, bytes]] = []
    out["entries"], end = entries, at + length
    while at < end:
        kind, at = number(inner, at)
        size, at = number(inner, at)
        entries.append((kind, inner[at : at + size]))
        at += size
    assert at == end
    return out


def test_every_commit_is_read_by_the_reference() -> None:
    """Ids, nonces, ciphertexts, signatures, chains and entries, with hashes and AEAD alone."""
    facts: dict[bytes, tuple[bytes, int, bytes]] = {}
    for case in VECTORS["commits"]:
        key, sealed = bytes.fromhex(case["key"]), bytes.fromhex(case["sealed"])
        commit = blake(256, TOPIC + sealed, b"comity/commit")
        assert commit.hex() == case["id"]
        end = clear_end(sealed)
        clear, nonce, cipher = sealed[:end], sealed[end : end + 24], sealed[end + 28 :]
        assert int.from_bytes(sealed[end + 24 : end + 28], "little") == len(cipher)
        sealing = blake(256, b"", b"comity/seal", key)
        inner = crypto_aead_xchacha20poly1305_ietf_decrypt(
            cipher, TOPIC + clear, nonce, sealing
        )
        assert nonce == blake(192, TOPIC + clear + inner, b"comity/nonce", key)
        assert inner.hex() == case["encoded"]
        read, told = read_inner(inner), case["inner"]
        assert [parent.hex() for parent in read["parents"]] == told["parents"]
        assert read["wall"] == told["wall"]
        assert len(read["entries"]) == len(told["entries"])
        if not read["parents"]:
            assert blake(256, inner, b"comity/topic") == TOPIC
            kind, founding = read["entries"][0]
            assert kind == 1
            assert founding[32:64] == sealed[60:92] == blake(256, b"", b"comity/kcommit", key)
            skip = 65 + founding[64]
            author, seq, grant = founding[skip + 1 : skip + 33], 0, b"\x00"
        elif read["backlink"] is None:
            author, seq, grant = read["stated"], 0, read["grant"]
        else:
            author, before, implied = facts[read["backlink"]]
            seq, grant = before + 1, read["grant"] or implied
        facts[commit] = author, seq, grant
        assert (author.hex(), seq) == (told["author"], told["seq"])
        named = told["auth"]
        shown = bytes([named["root"]]) if "root" in named else bytes.fromhex(named["commit"])
        assert grant == shown
        mask = blake(512, commit, b"comity/sig", key)
        pairs = zip(bytes.fromhex(case["beside"]), mask, strict=True)
        signature = bytes(left ^ right for left, right in pairs)
        crypto_sign_open(signature + b"comity/commit/1" + commit, author)


def test_the_wraps_are_those_of_the_reference() -> None:
    """Recomputed from e and the prekeys: entries, dummies and their order."""
    (case,) = [each for each in VECTORS["commits"] if each["name"] == "epoch"]
    key, sealed = bytes.fromhex(case["key"]), bytes.fromhex(case["sealed"])
    _, payload = read_inner(bytes.fromhex(case["encoded"]))["entries"][0]
    e, public = payload[:32], crypto_scalarmult_base(payload[:32])
    assert sealed[28:60] == public
    entries: list[bytes] = []
    for secret in VECTORS["prekey_secrets"]:
        prekey = crypto_scalarmult_base(bytes.fromhex(secret))
        share = crypto_scalarmult(e, prekey)
        wrapping = blake(256, public + prekey + TOPIC, b"comity/wrap", share)
        wrap = crypto_aead_chacha20poly1305_ietf_encrypt(key, sealed[:94], bytes(12), wrapping)
        entries.append(blake(64, TOPIC, b"comity/rid", share) + wrap)
    entries.append(blake(448, TOPIC + b"\x00\x00", b"comity/dummy", e))
    assert sealed[92:94] == b"\x04\x00"
    assert sealed[94 : clear_end(sealed)] == b"".join(sorted(entries))
