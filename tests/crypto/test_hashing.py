"""Hashing: purposes are apart, and the primitive is RFC 7693's."""

from __future__ import annotations

from comity.crypto import hashing
from comity.crypto.hashing import PERSON_BYTES_MAX, PERSONS, blake2b


def test_persons_are_apart() -> None:
    """All persons fit, differ after padding with zeros, and the list is complete."""
    assert len({person.rstrip(b"\0") for person in PERSONS}) == len(PERSONS)
    assert all(len(person) <= PERSON_BYTES_MAX for person in PERSONS)
    named = [n for n in vars(hashing) if n.startswith("PERSON_") and n != "PERSON_BYTES_MAX"]
    assert {getattr(hashing, name) for name in named} == set(PERSONS)


def test_another_purpose_gives_another_digest() -> None:
    """The same input under two persons, keys or sizes never gives the same digest."""
    digests = [blake2b(b"data", person=person) for person in PERSONS]
    digests += [blake2b(b"data", person=person, key=b"key") for person in PERSONS]
    digests += [blake2b(b"data", person=person, size=33)[:32] for person in PERSONS]
    assert len(set(digests)) == 3 * len(PERSONS)


def test_golden_digests() -> None:
    """Digests of two purposes, so that a changed person or parameter is noticed."""
    commit = blake2b(b"abc", person=hashing.PERSON_COMMIT)
    assert commit.hex() == "c9626f63593d4b0046ff1f757f6bc2dd5f17ded98a7e7ca654f660ef9e2939d4"
    nonce = blake2b(b"abc", size=24, person=hashing.PERSON_NONCE, key=bytes(32))
    assert nonce.hex() == "aaabf77332a7dd8f883fd368c88005b926dd39724b633643"
