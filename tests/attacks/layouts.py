"""Layouts that no encoder writes: what a member with a modified program can send.

Owns: the lists. May not know: how they are sent, or judged. PROTOCOL 12: 4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from comity.base.canonical import varint
from comity.base.ids import CommitId, DeviceId
from comity.log.entries import AddEntry, RemoveEntry, Role, TurnEntry, encode_entries
from comity.log.graph import Graph
from comity.log.inner import padded_bytes
from tests.attacks.claims import enter

__all__ = ["OUTER", "inner_layouts"]

OUTER: Final[dict[str, Callable[[bytes], bytes]]] = {
    "cut": lambda data: data[:-1],
    "head only": lambda data: data[:28],
    "trailing": lambda data: data + b"\0",
    "magic": lambda data: b"\xc2" + data[1:],
    "version": lambda data: data[:1] + b"\x02" + data[2:],
    "kind": lambda data: data[:2] + b"\x02" + data[3:],
    "epoch without wraps": lambda data: data[:2] + b"\x00" + data[3:],
    "flags": lambda data: data[:3] + b"\x01" + data[4:],
    "generation 0": lambda data: data[:4] + bytes(8) + data[12:],
    "no epoch": lambda data: data[:12] + bytes(16) + data[28:],
    "length": lambda data: data[:52] + b"\xff\xff\xff\xff" + data[56:],
}


def inner_layouts(device: DeviceId, grant: CommitId, graph: Graph) -> dict[str, bytes]:
    """Return inner parts that no encoder writes, each wrong in one way.

    device: whose first commit it would be. grant: what lets it write.
    """
    one, two = sorted([graph.heads[0], graph.id_of(0)])
    first = bytes((0 | 2 << 2,)) + device + grant
    turn = encode_entries((TurnEntry(enter("never")),))
    head = graph.heads[0]

    def whole(start: bytes, body: bytes = turn) -> bytes:
        raw = start + varint(0) + varint(len(body)) + body
        return raw + bytes(padded_bytes(len(raw)) - len(raw))

    good = first + b"\x01" + head
    raw = good + varint(0) + varint(len(turn)) + turn
    two_acts = (AddEntry(device, Role.READER, bytes(32)), RemoveEntry(device))
    act = [encode_entries((each,)) for each in two_acts]
    return {
        "parents descend": whole(first + b"\x02" + two + one),
        "a parent twice": whole(first + b"\x02" + one + one),
        "seventeen parents": whole(
            first + b"\x11" + b"".join(bytes([n]) * 32 for n in range(17))
        ),
        "no parents": whole(first + b"\x00"),
        "unknown flags": whole(b"\xf0" + good[1:]),
        "grant of form 3": whole(bytes((3 << 2,)) + good[1:]),
        "no grant": whole(bytes((0,)) + device + b"\x01" + head),
        "root 200": whole(bytes((1 << 2,)) + device + b"\xc8\x01" + head),
        "padding of ones": raw + b"\x01" * (padded_bytes(len(raw)) - len(raw)),
        "too much padding": whole(good) + bytes(32),
        "length beyond the end": good + varint(0) + varint(1 << 20) + bytes(40),
        "a long varint": whole(good + b"\x80\x00"),
        "entry of kind 0": whole(good, b"\x00\x00"),
        "an entry cut short": whole(good, b"\x02\x7f\x00"),
        "a turn of form 9": whole(good, b"\x02\x01\x09"),
        "a role of 9": whole(good, b"\x03\x41" + bytes(32) + b"\x09" + bytes(32)),
        "two acts": whole(good, b"".join(act)),
        "an epoch in data": whole(good, b"\x07\x20" + bytes(32)),
        "a founding": whole(good, b"\x01\x62" + bytes(64) + b"\x01x\x01" + bytes(32)),
        "a short removal": whole(good, b"\x04\x1f" + bytes(31)),
        "many entries": whole(good, b"\x63\x00" * 1025),
    }
