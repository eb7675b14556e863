"""Golden vectors of the commit format: how `tests/vectors/commit_format.json` is made.

Owns: the cases, and how values are written as JSON: bytes as hex, entries by class name and
fields. May not know: whether the bytes are right; `test_vectors.py` compares both ways.
Rewrite the file, when the format has a new version: `python -m tests.log.vectors`.
"""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any, Final, cast

from comity.base.clock import Wall
from comity.base.errors import Rejected
from comity.base.ids import CommitId, DeviceId, Topic
from comity.crypto.sodium import Sodium
from comity.log.build import SealedCommit, Signer, make_commit, make_epoch, make_genesis
from comity.log.entries import (
    AddEntry,
    AdoptEntry,
    Cause,
    Entry,
    EpochEntry,
    GenesisEntry,
    PrekeyEntry,
    RemoveEntry,
    Role,
    TurnEntry,
    UndoEntry,
    UnknownEntry,
    decode_entries,
    encode_entries,
)
from comity.log.graph import Graph
from comity.log.inner import (
    CommitGrant,
    Grant,
    Inner,
    RootGrant,
    decode_inner,
    encode_inner,
    padded_bytes,
)
from comity.log.seal import ContentKey, kcommit_of, open_sealed
from comity.log.sealed import Sealed, assemble, parse

Json = dict[str, Any]

FILE: Final = Path(__file__).resolve().parents[1] / "vectors" / "commit_format.json"
CRYPTO: Final = Sodium()
KEYS: Final = (bytes([0x4B]) * 32, bytes([0x4C]) * 32)
SECRETS: Final = tuple(bytes([0x90 + n]) * 32 for n in range(3))
SIGNERS: Final = tuple(Signer(CRYPTO, bytes([n + 1]) * 32) for n in range(3))
CLASSES: Final[dict[str, type[Entry]]] = {
    each.__name__: each
    for each in (
        GenesisEntry, TurnEntry, AddEntry, RemoveEntry, AdoptEntry, PrekeyEntry, EpochEntry,
        UndoEntry, UnknownEntry,
    )
}  # fmt: skip


def entry_json(entry: Entry) -> Json:
    """Write an entry: its class, then its fields."""
    return {"entry": type(entry).__name__, **_fields_json(entry)}


def _fields_json(value: Entry | Cause) -> Json:
    return {each.name: _json(getattr(value, each.name)) for each in fields(value)}


def _json(value: object) -> object:
    match value:
        case bytes():
            return value.hex()
        case Role():
            return value.name
        case tuple():
            return [_json(each) for each in cast("tuple[object, ...]", value)]
        case Cause():
            return _fields_json(value)
        case _:
            return value


def entry_of(shown: Json) -> Entry:
    """Read what `entry_json` wrote."""
    values = {name: value for name, value in shown.items() if name != "entry"}
    for name, value in values.items():
        if name == "roots":
            values[name] = tuple(bytes.fromhex(root) for root in value)
        elif name == "role":
            values[name] = Role[value]
        elif name == "cause" and value is not None:
            parts = {part: bytes.fromhex(value[part]) for part in value if part != "edge_seq"}
            values[name] = Cause(edge_seq=value["edge_seq"], **parts)  # type: ignore[arg-type]
        elif isinstance(value, str) and name != "actor_type":
            values[name] = bytes.fromhex(value)
    return CLASSES[shown["entry"]](**values)


def inner_json(inner: Inner) -> Json:
    """Write an inner."""
    auth = inner.auth
    named = (
        {"root": auth.index} if isinstance(auth, RootGrant) else {"commit": auth.commit.hex()}
    )
    return {
        "author": inner.author.hex(),
        "seq": inner.seq,
        "backlink": None if inner.backlink is None else inner.backlink.hex(),
        "auth": named,
        "parents": [parent.hex() for parent in inner.parents],
        "wall": inner.wall,
        "entries": [entry_json(entry) for entry in inner.entries],
    }


def inner_of(shown: Json) -> Inner:
    """Read what `inner_json` wrote."""
    named, backlink = shown["auth"], shown["backlink"]
    auth: Grant = (
        RootGrant(named["root"])
        if "root" in named
        else CommitGrant(CommitId(bytes.fromhex(named["commit"])))
    )
    return Inner(
        DeviceId(bytes.fromhex(shown["author"])),
        shown["seq"],
        None if backlink is None else CommitId(bytes.fromhex(backlink)),
        auth,
        tuple(CommitId(bytes.fromhex(parent)) for parent in shown["parents"]),
        Wall(shown["wall"]),
        tuple(entry_of(entry) for entry in shown["entries"]),
    )


class _Log:
    """The commits of the vectors, one after the other."""

    def __init__(self) -> None:
        self.graph = Graph()
        self.cases: list[Json] = []
        self.topic = Topic(b"")
        self.epoch = (CommitId(b""), KEYS[0])

    def found(self) -> CommitId:
        """Make the genesis."""
        roots = (SIGNERS[0].device, SIGNERS[1].device)
        entry = GenesisEntry(bytes([0x53]) * 32, "example.Todo", roots, kcommit_of(KEYS[0]))
        prekey = PrekeyEntry(CRYPTO.exchange_public(SECRETS[0]))
        inner = Inner(
            roots[0], 0, None, RootGrant(0), (), Wall(1_790_000_000_000), (entry, prekey)
        )
        self.topic, made = make_genesis(SIGNERS[0], KEYS[0], inner)
        self.epoch = (made.id, KEYS[0])
        return self._keep("genesis", 0, inner, made)

    def add(
        self, name: str, author: int, inner: Inner, prekeys: tuple[bytes, ...] = ()
    ) -> CommitId:
        """Make a commit; an epoch commit if it begins with an `EpochEntry`."""
        numbers = [self.graph.index_of(parent) for parent in inner.parents]
        gen = 1 + max(self.graph.gen_of(number) for number in numbers if number is not None)
        past, signer = self.graph.facts, SIGNERS[author]
        if inner.is_epoch:
            key = ContentKey(self.topic, KEYS[1])
            made = make_epoch(signer, key, gen=gen, inner=inner, past=past, prekeys=prekeys)
            self.epoch = (made.id, KEYS[1])
        else:
            key = ContentKey(self.topic, self.epoch[1])
            made = make_commit(
                signer, key, epoch=self.epoch[0], gen=gen, inner=inner, past=past
            )
        return self._keep(name, gen, inner, made)

    def _keep(self, name: str, gen: int, inner: Inner, made: SealedCommit) -> CommitId:
        self.cases.append(
            {
                "name": name,
                "inner": inner_json(inner),
                "gen": gen,
                "key": self.epoch[1].hex(),
                "encoded": encode_inner(inner, self.graph.facts).hex(),
                "sealed": made.sealed.hex(),
                "id": made.id.hex(),
                "beside": made.beside.hex(),
            }
        )
        self.graph.insert(made.id, inner, gen=gen)
        return made.id


def _commits() -> Json:
    log = _Log()
    one, two, three = (signer.device for signer in SIGNERS)
    root_0, root_1 = RootGrant(0), RootGrant(1)
    wall = Wall(1_790_000_000_500)
    genesis = log.found()
    turn = TurnEntry(b"milk")
    a1 = log.add("chain", 0, Inner(one, 1, genesis, root_0, (genesis,), wall, (turn,)))
    b0 = log.add(
        "first of a root", 1, Inner(two, 0, None, root_1, (genesis,), wall, (turn, turn))
    )
    both = (a1, b0) if a1 < b0 else (b0, a1)
    grown = AddEntry(three, Role.WRITER, CRYPTO.exchange_public(SECRETS[2]))
    a2 = log.add("merge, adds", 0, Inner(one, 2, a1, root_0, both, wall, (grown,)))
    c0 = log.add(
        "first of a member", 2, Inner(three, 0, None, CommitGrant(a2), (a2,), wall, (turn,))
    )
    cause = Cause(one, three, 300, b"hand-over")
    c1 = log.add(
        "caused, padded by Padme",
        2,
        Inner(three, 1, c0, CommitGrant(a2), (c0,), wall, (TurnEntry(bytes(300), cause),)),
    )
    b1 = log.add(
        "stated backlink, undoes",
        1,
        Inner(two, 1, b0, root_1, (c1,), wall, (UndoEntry(c0, 0),)),
    )
    epoch = EpochEntry(bytes([0xE0]) * 32, b"older keys")
    prekeys = tuple(CRYPTO.exchange_public(secret) for secret in SECRETS)
    a3 = log.add("epoch", 0, Inner(one, 3, a2, root_0, (b1,), wall, (epoch,)), prekeys)
    changed = Inner(three, 2, c1, root_1, (a3,), wall, (UnknownEntry(77, b"later"),))
    log.add("new epoch, another grant, later kind", 2, changed)
    return {"topic": log.topic.hex(), "prekey_secrets": [s.hex() for s in SECRETS],
            "seeds": [s.seed.hex() for s in SIGNERS], "commits": log.cases}  # fmt: skip


def _entries() -> list[Json]:
    one, two = SIGNERS[0].device, SIGNERS[1].device
    commit = CommitId(bytes(range(32)))
    cases: tuple[Entry, ...] = (
        GenesisEntry(bytes(32), "T", (one, two), bytes(range(32))),
        TurnEntry(b""),
        TurnEntry(b"op", Cause(one, two, 0)),
        TurnEntry(b"", Cause(one, two, (1 << 64) - 1, b"\x01\x02")),
        AddEntry(one, Role.READER, bytes(range(32))),
        AddEntry(one, Role.ADMIN, bytes(range(32))),
        RemoveEntry(two),
        AdoptEntry(commit),
        PrekeyEntry(bytes(range(32))),
        EpochEntry(bytes(range(32)), b""),
        UndoEntry(commit, 300),
        UnknownEntry((1 << 64) - 1, b"later"),
    )
    return [{**entry_json(entry), "bytes": encode_entries((entry,)).hex()} for entry in cases]


def _refused(commits: Json) -> list[Json]:
    """Bytes that every implementation refuses, with the reason."""
    sealed = bytes.fromhex(commits["commits"][1]["sealed"])
    epoch = bytes.fromhex(commits["commits"][7]["sealed"])
    encoded = bytes.fromhex(commits["commits"][1]["encoded"])
    merge = bytes.fromhex(commits["commits"][3]["encoded"])
    key = ContentKey(Topic(bytes.fromhex(commits["topic"])), KEYS[0])
    chosen = bytes(24)
    cipher = CRYPTO.seal(key.sealing, chosen, encoded, key.topic + sealed[:28])
    cases = [
        ("entries", "kind 0", b"\x00\x00"),
        ("entries", "long varint", b"\x82\x00\x01\x00"),
        ("entries", "cut", b"\x02\x05\x00"),
        ("entries", "role 3", b"\x03\x41" + bytes(32) + b"\x03" + bytes(32)),
        ("inner", "flag", bytes((encoded[0] | 0x10,)) + encoded[1:]),
        ("inner", "grant stated", b"\x05\x00" + encoded[1:-1]),
        ("inner", "padding not zero", encoded[:-1] + b"\x01"),
        ("inner", "padding too long", encoded + bytes(32)),
        ("inner", "parents descend", merge[:2] + merge[34:66] + merge[2:34] + merge[66:]),
        ("sealed", "magic", b"\xc0" + sealed[1:]),
        ("sealed", "version", b"\xc1\x02" + sealed[2:]),
        ("sealed", "kind", b"\xc1\x01\x02" + sealed[3:]),
        ("sealed", "generation 0", sealed[:4] + bytes(8) + sealed[12:]),
        ("sealed", "no epoch", sealed[:12] + bytes(16) + sealed[28:]),
        ("sealed", "cut", sealed[:-1]),
        ("sealed", "trailing", sealed + b"\x00"),
        ("sealed", "three wraps", epoch[:92] + b"\x03\x00" + epoch[94:262] + epoch[318:]),
        ("open", "nonce chosen freely", assemble(sealed[:28], chosen, cipher)),
        ("open", "nonce altered", sealed[:28] + bytes(24) + sealed[52:]),
        ("open", "generation altered", sealed[:4] + b"\x02" + sealed[5:]),
        ("open", "last byte altered", sealed[:-1] + bytes((sealed[-1] ^ 1,))),
    ]
    shown: list[Json] = []
    for form, why, data in cases:
        refused = refuse(form, data, key, commits)
        assert isinstance(refused, Rejected), (form, why)
        shown.append(
            {"form": form, "why": why, "bytes": data.hex(), "reason": refused.reason.name}
        )
    return shown


def refuse(form: str, data: bytes, key: ContentKey, commits: Json) -> object:
    """Decode bytes as what they claim to be; every commit of the vectors is known."""
    if form == "entries":
        return decode_entries(data)
    if form == "inner":
        return decode_inner(data, graph_of(commits).facts)
    sealed = parse(data)
    if form == "sealed" or not isinstance(sealed, Sealed):
        return sealed
    return open_sealed(CRYPTO, key, sealed)


def graph_of(commits: Json) -> Graph:
    """Return a graph of all commits of the vectors."""
    graph = Graph()
    for case in commits["commits"]:
        commit = CommitId(bytes.fromhex(case["id"]))
        graph.insert(commit, inner_of(case["inner"]), gen=case["gen"])
    return graph


def build() -> Json:
    """Make all vectors anew."""
    commits = _commits()
    return {
        "format": "Comity commit format, version 1: see docs/reference/commit-format.md",
        "padding": [[length, padded_bytes(length)] for length in
                    (1, 32, 33, 255, 256, 257, 1000, 4097, 100_000, 400_000)],
        "entries": _entries(),
        **commits,
        "refused": _refused(commits),
    }  # fmt: skip


if __name__ == "__main__":
    FILE.write_text(json.dumps(build(), indent=1) + "\n")
