"""Golden vectors of the run format: how `tests/vectors/run_format.json` is made.

Owns: the cases. Bytes are hex. What DEFLATE makes of columns differs between its
implementations, so a run in the file is to be opened, not to be made again; its columns are.
Rewrite the file, when the format has a new version: `python -m tests.log.run_vectors`.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any, Final

from comity.base.ids import CommitId
from comity.crypto.sodium import Sodium
from comity.log.entries import (
    Cause,
    Entry,
    PrekeyEntry,
    RemoveEntry,
    TurnEntry,
    UndoEntry,
    UnknownEntry,
)
from comity.log.runs import Member, SealedRun, make_run, parse_run
from comity.log.seal import open_sealed, seal
from comity.log.sealed import Sealed
from tests.log.world import World, parsed

FILE: Final = Path(__file__).parent.parent / "vectors" / "run_format.json"
CRYPTO: Final = Sodium()


def member_of(world: World, commit: CommitId) -> Member:
    """Return a commit of a world as `cut` takes it."""
    sealed = world.sealed[commit].sealed
    plain = open_sealed(world.crypto, world.key, parsed(sealed))
    assert isinstance(plain, bytes)
    return Member(commit, sealed, plain)


def stretch(world: World, author: int, bodies: list[tuple[Entry, ...]]) -> list[Member]:
    """Let a device commit on the heads, one after another."""
    return [member_of(world, world.commit(author, body)) for body in bodies]


def beside(world: World, members: list[Member]) -> bytes:
    """Return what stands beside the last."""
    return world.sealed[members[-1].id].beside


def plain_of(world: World, data: bytes) -> bytes:
    """Return what a run seals."""
    run = parse_run(data)
    assert isinstance(run, SealedRun)
    whole = Sealed(run.gen, run.epoch, None, run.clear, run.nonce, run.cipher)
    plain = open_sealed(world.crypto, world.key, whole)
    assert isinstance(plain, bytes)
    return plain


def forged(world: World, data: bytes, columns: bytes, after: bytes = b"") -> bytes:
    """Return a run like this one with other columns, as whoever holds the key can make it."""
    packed = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    plain = plain_of(world, data)[:64] + packed.compress(columns) + packed.flush() + after
    return seal(world.crypto, world.key, data[:28], plain)


def columns_of(world: World, data: bytes) -> bytes:
    """Return the columns of a run."""
    return zlib.decompress(plain_of(world, data)[64:], -zlib.MAX_WBITS)


def build() -> dict[str, Any]:
    """Return the whole file as values."""
    world = World(CRYPTO, device_count=2)
    device = world.signers[1].device
    cause = Cause(world.signers[0].device, device, 300, b"hand-over")
    short: list[tuple[Entry, ...]] = [
        (TurnEntry(b"one"),),
        (TurnEntry(b""), TurnEntry(b"two")),
        (TurnEntry(b"three", cause),),
        (),
        (PrekeyEntry(bytes(32)), UndoEntry(world.epoch, 0), UnknownEntry(99, b"later")),
    ]
    found = [_case(world, "all forms, from a first commit", stretch(world, 1, short))]
    alike: list[tuple[Entry, ...]] = [(TurnEntry(b"word " * (i % 9)),) for i in range(20)]
    found.append(_case(world, "twenty alike", stretch(world, 0, alike)))
    last = stretch(world, 1, [(TurnEntry(bytes(1000)),)])
    found.append(_case(world, "one, after the other author", last))
    return {
        "topic": world.topic.hex(),
        "key": world.key.key.hex(),
        "authors": [signer.device.hex() for signer in world.signers],
        "runs": found,
        "refused": _refused(world, bytes.fromhex(found[0]["run"])),
    }


def _case(world: World, name: str, members: list[Member]) -> dict[str, Any]:
    data = make_run(CRYPTO, world.key, members, beside(world, members))
    return {
        "name": name,
        "author": world.inners[members[0].id].author.hex(),
        "gen": world.gen(world.inners[members[0].id].parents),
        "columns": columns_of(world, data).hex(),
        "beside": beside(world, members).hex(),
        "commits": [{"id": each.id.hex(), "sealed": each.sealed.hex()} for each in members],
        "run": data.hex(),
    }


def _refused(world: World, good: bytes) -> list[dict[str, str]]:
    """Return runs that must be refused, with the reason."""
    columns = columns_of(world, good)
    head = columns[2 : 2 + columns[1]]
    rest = columns[2 + columns[1] :]
    alone = member_of(world, world.commit(1, (RemoveEntry(world.signers[0].device),)))
    one = make_run(CRYPTO, world.key, [alone], beside(world, [alone]))
    late = good[:4] + (2**64 - 3).to_bytes(8, "little") + good[12:28]
    cases = {
        "another version": (good[:1] + b"\x02" + good[2:], "UNSUPPORTED"),
        "a commit's magic": (b"\xc1" + good[1:], "MALFORMED"),
        "flags": (good[:3] + b"\x01" + good[4:], "MALFORMED"),
        "generation 0": (good[:4] + bytes(8) + good[12:], "MALFORMED"),
        "no epoch": (good[:12] + bytes(16) + good[28:], "MALFORMED"),
        "cut off": (good[:-1], "MALFORMED"),
        "one byte more": (good + b"\0", "MALFORMED"),
        "an altered byte": (good[:-1] + bytes((good[-1] ^ 1,)), "WRONG_KEY"),
        "no commits": (forged(world, good, b"\0"), "MALFORMED"),
        "129 commits": (forged(world, good, b"\x81\x01" + columns[1:]), "MALFORMED"),
        "a form 2": (
            forged(world, good, columns[: 2 + len(head)] + b"\x02" + rest[1:]),
            "MALFORMED",
        ),
        "a byte after the bodies": (forged(world, good, columns + b"\0"), "MALFORMED"),
        "a byte after the columns": (forged(world, good, columns, b"\0"), "MALFORMED"),
        "columns of 2 MiB": (forged(world, good, bytes(2 << 20)), "TOO_BIG"),
        "no generation left": (
            seal(CRYPTO, world.key, late, plain_of(world, good)),
            "MALFORMED",
        ),
        "a removal": (one, "MALFORMED"),
        "an unknown head": (
            forged(world, good, columns[:2] + b"\xff" + columns[3:]),
            "MALFORMED",
        ),
    }
    return [
        {"name": name, "bytes": data.hex(), "reason": reason}
        for name, (data, reason) in cases.items()
    ]


if __name__ == "__main__":
    FILE.write_text(json.dumps(build(), indent=1) + "\n")
