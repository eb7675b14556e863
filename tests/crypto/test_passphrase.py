"""Argon2id: a known answer, and what makes two keys differ."""

from __future__ import annotations

from comity.crypto.passphrase import COST_MAX, COST_MIN, MODERATE, Cost, argon2id

SALT = bytes(range(16))


def test_a_known_answer() -> None:
    """Three passes over 64 KiB give what OpenSSL's Argon2id (one lane, RFC 9106) gives."""
    key = argon2id("gr\u00fc\u00dfe", SALT, Cost(passes=3, memory_bytes=64 * 1024))
    assert key.hex() == "256dedb36403bb3253676115d3465e6e7e2f90f3c68e571f97bab45c521eff1c"


def test_every_input_counts() -> None:
    """Another passphrase, salt or cost gives another key; the same gives the same."""
    keys = [
        argon2id("word", SALT, COST_MIN),
        argon2id("Word", SALT, COST_MIN),
        argon2id("word", SALT[::-1], COST_MIN),
        argon2id("word", SALT, Cost(2, 8192)),
        argon2id("word", SALT, Cost(1, 16_384)),
    ]
    assert len(set(keys)) == len(keys)
    assert argon2id("word", SALT, COST_MIN) == keys[0]
    assert {len(key) for key in keys} == {32}


def test_a_keyboard_that_composes_differently_gives_the_same_key() -> None:
    """An accent typed as one character or as two is the same passphrase."""
    assert argon2id("caf\u00e9", SALT, COST_MIN) == argon2id("cafe\u0301", SALT, COST_MIN)


def test_costs_are_ordered() -> None:
    """What new vaults use lies between what is taken at all."""
    assert COST_MIN.passes <= MODERATE.passes <= COST_MAX.passes
    assert COST_MIN.memory_bytes <= MODERATE.memory_bytes <= COST_MAX.memory_bytes
