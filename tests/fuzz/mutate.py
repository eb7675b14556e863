"""A structured mutation fuzzer of our own: small, deterministic, and without coverage.

Owns: the mutations, chosen by a seeded source. May not know: what reads the bytes.
It stands in where atheris cannot be installed, and makes the short run that every change
passes: its inputs are a function of a name, so that a failure there is a failure everywhere.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Final

__all__ = ["INPUT_BYTES_MAX", "inputs"]

INPUT_BYTES_MAX: Final = 8192
"""Longer inputs find little that shorter ones do not, and take their time."""

_NUMBERS: Final = (
    b"\0", b"\x01", b"\x7f", b"\x80", b"\xff", b"\xff\xff", b"\0\0\0\x80", b"\xff" * 4,
    b"\xff" * 8, b"\x80\x01", b"\xff" * 9 + b"\x01", b"\xff" * 9 + b"\x02", b"\xff" * 11,
    b"\x80" * 9 + b"\x01", b"\x80\x80\x80\x80\x10", bytes(32), b"\xc3\x28", b"\xed\xa0\x80",
)  # fmt: skip
"""Ends of ranges, varints that are too long or padded, and text that is none."""


def inputs(name: str, corpus: Sequence[bytes], count: int) -> Iterator[bytes]:
    """Yield the corpus, its truncations, then mutations: `count` inputs in all.

    One input in four is mutated further instead of a seed: changes add up.
    """
    rng = random.Random(name)
    pool = [seed[:INPUT_BYTES_MAX] for seed in corpus] or [b""]
    yield from pool[:count]
    made = len(pool)
    for seed in pool:
        for size in range(0, len(seed), 1 + len(seed) // 24):
            if made >= count:
                return
            made += 1
            yield seed[:size]
    last = pool[0]
    while made < count:
        made += 1
        base = last if rng.randrange(4) == 0 else rng.choice(pool)
        last = base
        for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
            last = _mutated(rng, last, pool)[:INPUT_BYTES_MAX]
        yield last


def _mutated(rng: random.Random, data: bytes, pool: Sequence[bytes]) -> bytes:
    at = rng.randrange(len(data) + 1)
    to = min(len(data), at + rng.choice((1, 1, 2, 4, 8, 32, 64)))
    match rng.randrange(9):
        case 0:  # a bit
            flipped = bytes(each ^ 1 << rng.randrange(8) for each in data[at : at + 1])
            return data[:at] + flipped + data[at + 1 :]
        case 1:  # a byte
            return data[:at] + bytes((rng.randrange(256),)) + data[at + 1 :]
        case 2:  # a small step, up or down
            step = rng.choice((1, 255, 16, 240))
            stepped = bytes((each + step) & 255 for each in data[at : at + 1])
            return data[:at] + stepped + data[at + 1 :]
        case 3:
            return data[:at] + data[to:]
        case 4:  # twice, or very often
            return data[:at] + data[at:to] * rng.choice((2, 3, 100)) + data[to:]
        case 5:
            number = rng.choice(_NUMBERS)
            return data[:at] + number + data[at + len(number) * rng.randrange(2) :]
        case 6:  # the head of one and the tail of another
            other = rng.choice(pool)
            return data[:at] + other[rng.randrange(len(other) + 1) :]
        case 7:  # a piece elsewhere
            place = rng.randrange(len(data) + 1)
            return data[:place] + data[at:to] + data[place:]
        case _:
            return data[:at] + rng.randbytes(rng.randrange(40)) + data[to:]
