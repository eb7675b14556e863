"""Stored histories: what is saved is loaded, and bad bytes are Malformed."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from comity.base.canonical import Malformed, Reader
from comity.crdt.text.columns import (
    EVENTS_MAX,
    decode_log,
    encode_log,
    read_spans,
    read_turns,
    write_spans,
    write_turns,
)
from comity.crdt.text.events import EventLog
from tests.crdt.text.histories import Device, ramble


def stored(seed: int) -> tuple[Device, EventLog, bytes]:
    """Return a device with a random history, its log and the log's bytes."""
    _, group = ramble(seed, 30)
    device = group[0]
    str(device.document)
    log = device.document._merge.log
    return device, log, encode_log(log)


@settings(max_examples=50)
@given(st.integers(0, 1 << 32))
def test_a_log_is_loaded_as_it_was(seed: int) -> None:
    """All that is not derived, and all that is, comes back."""
    _, log, data = stored(seed)
    reader = Reader(data)
    loaded = decode_log(reader)
    reader.finish()
    loaded.check()
    assert encode_log(loaded) == data
    assert loaded.parents == log.parents
    assert loaded.heads == log.heads
    assert loaded.contexts() == log.contexts()
    assert loaded.void == log.void
    for event in range(log.count):
        assert loaded.operations_of(event, event) == log.operations_of(event, event)
        assert loaded.turns[event] == log.turns[event]


@settings(max_examples=40)
@given(st.integers(0, 1 << 32), st.integers(0, 1 << 32))
def test_damaged_bytes_are_malformed_or_a_log(seed: int, damage: int) -> None:
    """Cut, flipped or prolonged bytes load as some log that can be read, or are Malformed."""
    _, _, data = stored(seed % 64)
    random = Random(damage)
    for _ in range(20):
        bad = bytearray(data)
        for _ in range(random.choice((1, 1, 3))):
            bad[random.randrange(len(bad))] = random.choice((0, 1, 255, random.randrange(256)))
        if random.random() < 0.5:
            del bad[random.randrange(len(bad)) :]
        try:
            reader = Reader(bytes(bad))
            loaded = decode_log(reader)
            reader.finish()
        except Malformed:
            continue
        assert loaded.count <= EVENTS_MAX
        for event in range(min(loaded.count, 100)):
            assert loaded.operations_of(event, event)
        assert loaded.count == 0 or loaded.heads


@given(st.lists(st.integers(0, 1 << 40), unique=True, max_size=20))
def test_turns_and_spans(numbers: list[int]) -> None:
    """Ascending numbers and spans come back."""
    turns = tuple(sorted(numbers))
    assert read_turns(Reader(write_turns(turns))) == turns
    spans = tuple((3 * each, 3 * each + each % 2) for each in turns)
    assert read_spans(Reader(write_spans(spans))) == spans
