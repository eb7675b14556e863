"""The commit format is for good: golden vectors, checked both ways."""

from __future__ import annotations

import json

from comity.base.errors import Rejected
from comity.base.ids import CommitId, DeviceId, Topic
from comity.log.entries import EpochEntry, decode_entries, encode_entries
from comity.log.graph import Graph
from comity.log.inner import decode_inner, encode_inner, padded_bytes
from comity.log.seal import (
    ContentKey,
    kcommit_of,
    open_sealed,
    seal,
    sign_beside,
    verify_beside,
)
from comity.log.sealed import commit_id, topic_of
from comity.log.structure import check_structure
from comity.log.wraps import check_wraps, unwrap_key
from tests.log import vectors
from tests.log.vectors import CRYPTO, FILE, Json, entry_json, entry_of, inner_json, inner_of
from tests.log.world import parsed

VECTORS: Json = json.loads(FILE.read_text())
TOPIC = Topic(bytes.fromhex(VECTORS["topic"]))


def test_the_file_is_what_this_code_makes() -> None:
    """A change of any byte of the format shows here first."""
    assert vectors.build() == VECTORS


def test_padding() -> None:
    """Lengths before and after."""
    for length, padded in VECTORS["padding"]:
        assert padded_bytes(length) == padded


def test_entries_both_ways() -> None:
    """Each entry alone."""
    for case in VECTORS["entries"]:
        data = bytes.fromhex(case["bytes"])
        shown = {name: value for name, value in case.items() if name != "bytes"}
        entry = entry_of(shown)
        assert entry_json(entry) == shown
        assert encode_entries((entry,)) == data
        assert decode_entries(data) == (entry,)


def test_commits_from_bytes_to_values() -> None:
    """Every commit is taken in order, as a receiver does, and says what is written."""
    graph = Graph()
    for case in VECTORS["commits"]:
        data = bytes.fromhex(case["sealed"])
        sealed, commit = parsed(data), CommitId(bytes.fromhex(case["id"]))
        key = ContentKey(TOPIC, bytes.fromhex(case["key"]))
        assert commit_id(TOPIC, data) == commit
        encoded = open_sealed(CRYPTO, key, sealed)
        assert isinstance(encoded, bytes)
        assert encoded.hex() == case["encoded"]
        inner = decode_inner(encoded, graph.facts)
        assert not isinstance(inner, Rejected)
        assert inner_json(inner) == case["inner"]
        assert sealed.gen == case["gen"]
        assert check_structure(graph, inner, sealed) is None
        beside = bytes.fromhex(case["beside"])
        assert verify_beside(CRYPTO, key, inner.author, commit, beside) is None
        graph.insert(commit, inner, gen=sealed.gen)
    graph.check()


def test_commits_from_values_to_bytes() -> None:
    """Every commit, encoded, sealed and signed again from what is written, is the same."""
    seeds = {
        DeviceId(CRYPTO.sign_public(bytes.fromhex(seed))): bytes.fromhex(seed)
        for seed in VECTORS["seeds"]
    }
    graph = vectors.graph_of(VECTORS)
    for case in VECTORS["commits"]:
        inner, commit = inner_of(case["inner"]), CommitId(bytes.fromhex(case["id"]))
        encoded = encode_inner(inner, graph.facts)
        assert encoded.hex() == case["encoded"]
        if inner.is_genesis:
            assert topic_of(encoded) == TOPIC
        key = ContentKey(TOPIC, bytes.fromhex(case["key"]))
        data = bytes.fromhex(case["sealed"])
        assert seal(CRYPTO, key, parsed(data).clear, encoded) == data
        assert sign_beside(CRYPTO, key, seeds[inner.author], commit).hex() == case["beside"]


def test_the_epoch_is_wrapped_to_its_readers() -> None:
    """Each prekey secret finds the key; the wraps are exactly the expected ones."""
    (case,) = [each for each in VECTORS["commits"] if each["name"] == "epoch"]
    sealed = parsed(bytes.fromhex(case["sealed"]))
    assert sealed.wraps is not None
    key = bytes.fromhex(case["key"])
    assert sealed.wraps.kcommit == kcommit_of(key)
    secrets = [bytes.fromhex(secret) for secret in VECTORS["prekey_secrets"]]
    for secret in secrets:
        assert unwrap_key(CRYPTO, TOPIC, sealed, secret) == key
    entry = inner_of(case["inner"]).entries[0]
    assert isinstance(entry, EpochEntry)
    prekeys = [CRYPTO.exchange_public(secret) for secret in secrets]
    content, e = ContentKey(TOPIC, key), entry.ephemeral
    assert check_wraps(CRYPTO, content, sealed, ephemeral=e, prekeys=prekeys) is None


def test_what_must_be_refused_is() -> None:
    """With the reason that is written."""
    key = ContentKey(TOPIC, bytes.fromhex(VECTORS["commits"][0]["key"]))
    for case in VECTORS["refused"]:
        refused = vectors.refuse(case["form"], bytes.fromhex(case["bytes"]), key, VECTORS)
        assert isinstance(refused, Rejected), case
        assert refused.reason.name == case["reason"], case
