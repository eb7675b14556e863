"""The bytes of an event log: columns, so that they pack well and load fast.

Owns: the format of a history on this device's disk. May not know: how it is compressed, kept.

    log         events | size of one after another | turns | parents | contexts | void | runs
    sizes       how many operations, of how many events in a row
    turns       spans: distance from the one before, how many in a row
    parents     of each event not just made on the event before it: distance from the one of
                these before, number of parents, distance to each
    contexts    at each change: distance, number of hidden events, distances between these
    runs        length * 3 + kind | position, from the end of the run before | text inserted

    column      varint count | width 1, 2, 4 or 8 | first bytes of all numbers, second bytes ...

Differences that may be negative are zigzagged. `decode_log` trusts no length, order or
reference, so it fails only with Malformed; but its result is a history of texts only if this
device wrote the bytes: positions are not checked against a text. What deletions deleted is
not in it; that of the last ones is stored beside it.
Source: Gentle & Kleppmann 2024, section 3.8.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Final

from comity.base.canonical import Malformed, Reader, varint
from comity.crdt.text.events import ERASE, EventLog
from comity.crdt.text.operations import DELETE, INSERT, POSITION_MAX
from comity.crdt.text.ramps import Span

__all__ = [
    "DELETED_RUNS",
    "EVENTS_MAX",
    "decode_deleted",
    "decode_log",
    "encode_deleted",
    "encode_log",
    "read_column",
    "read_spans",
    "read_turns",
    "write_column",
    "write_spans",
    "write_turns",
]

EVENTS_MAX: Final = 1 << 26
"""Events of a log that loads: a few bytes can stand for many, so memory needs a bound; 2 GB."""

DELETED_RUNS: Final = 128
"""Runs whose deleted text is stored beside a log: of earlier ones it is found by replaying."""

_CODES: Final = {1: "B", 2: "H", 4: "I", 8: "Q"}
_KINDS: Final = 3
_LIMIT: Final = 1 << 60


def encode_log(log: EventLog) -> bytes:
    """Return the bytes of a log."""
    sizes = log.starts.sizes()
    parents: list[int] = []
    before = 0
    for event, made_on in log.parents.items():
        parents += (event - before, len(made_on), *[event - parent for parent in made_on])
        before = event
    contexts: list[int] = []
    before = 0
    for event, hidden in log.contexts():
        contexts += (event - before, len(hidden), *_differences(hidden))
        before = event
    positions: list[int] = []
    lengths: list[int] = []
    end = 0
    kinds = log.run_kind
    for kind, position, length in zip(kinds, log.run_position, log.run_length, strict=True):
        positions.append(_fold(position - end))
        lengths.append(length * _KINDS + kind)
        end = _end(kind, position, length)
    texts = zip(kinds, log.run_text, strict=True)
    inserted = "".join([text for kind, text in texts if kind == INSERT]).encode(
        errors="surrogatepass"
    )
    columns = (
        [size for size, _ in sizes],
        [times for _, times in sizes],
        parents,
        contexts,
        _differences(log.void),
        lengths,
        positions,
    )
    turns = write_spans(log.turns.spans())
    return b"".join((turns, *map(write_column, columns), varint(len(inserted)), inserted))


def decode_log(reader: Reader) -> EventLog:
    """Read a log.

    Raises: Malformed if the bytes are not those of one.
    """
    spans = read_spans(reader)
    sizes, times, parents, contexts, void, lengths, positions = (
        read_column(reader) for _ in range(7)
    )
    try:
        inserted = reader.blob(reader.left).decode(errors="surrogatepass")
    except UnicodeDecodeError as error:
        raise Malformed("inserted text is not UTF-8") from error
    count = sum([last - first + 1 for first, last in spans])
    if count > EVENTS_MAX:
        raise Malformed(f"{count} events, where {EVENTS_MAX} is the most")
    if len(sizes) != len(times) or sum(times) != count or 0 in sizes or 0 in times:
        raise Malformed(f"sizes of {sum(times)} events for {count}")
    log = EventLog()
    size = _read_runs(log, lengths, positions, inserted)
    if sum(map(int.__mul__, sizes, times)) != size:
        raise Malformed("events and runs differ in their size")
    made_on = dict(_groups(iter(parents), count, parents=True))
    hidden = list(_groups(iter(contexts), count, parents=False))
    log.restore(spans, list(zip(sizes, times, strict=True)), made_on, hidden)
    log.void.update(dict.fromkeys(_ascending(void, count)))
    return log


def encode_deleted(log: EventLog) -> bytes:
    """Return what the last runs deleted: hiding the newest turns then costs their size."""
    parts: list[bytes] = []
    kinds, texts = log.run_kind, log.run_text
    for back in range(1, min(DELETED_RUNS, len(kinds)) + 1):
        deleted = texts[-back] if kinds[-back] != INSERT else ""
        data = deleted.encode(errors="surrogatepass")
        parts.append(varint(len(data)) + data)
    return varint(len(parts)) + b"".join(parts)


def decode_deleted(reader: Reader, log: EventLog) -> None:
    """Put back what `encode_deleted` wrote. Raises: Malformed if the bytes are not that."""
    count = reader.varint()
    if count > min(DELETED_RUNS, len(log.run_kind)):
        raise Malformed(f"what {count} runs deleted, of {len(log.run_kind)}")
    for back in range(1, count + 1):
        try:
            deleted = reader.blob(reader.left).decode(errors="surrogatepass")
        except UnicodeDecodeError as error:
            raise Malformed("deleted text is not UTF-8") from error
        if deleted:
            if log.run_kind[-back] == INSERT or len(deleted) > log.run_length[-back]:
                raise Malformed(f"{len(deleted)} characters that run {-back} never deleted")
            log.run_text[-back] = deleted


def write_spans(spans: Sequence[Span]) -> bytes:
    """Return ascending spans as two columns: gaps before them, how many numbers each has."""
    befores = (-1, *[last for _, last in spans])
    gaps = [first - before - 1 for (first, _), before in zip(spans, befores, strict=False)]
    return write_column(gaps) + write_column([last - first + 1 for first, last in spans])


def read_spans(reader: Reader) -> tuple[Span, ...]:
    """Read what `write_spans` wrote. Raises: Malformed if the bytes are not that."""
    gaps, counts = read_column(reader), read_column(reader)
    if len(gaps) != len(counts) or 0 in counts or sum(counts) + sum(gaps) > _LIMIT:
        raise Malformed(f"{sum(counts)} numbers in {len(gaps)} spans")
    spans: list[Span] = []
    before = -1
    for gap, count in zip(gaps, counts, strict=True):
        first = before + 1 + gap
        before = first + count - 1
        spans.append((first, before))
    return tuple(spans)


def write_turns(turns: Sequence[int]) -> bytes:
    """Return ascending numbers as a column of differences."""
    return write_column(_differences(turns))


def read_turns(reader: Reader) -> tuple[int, ...]:
    """Read what `write_turns` wrote. Raises: Malformed if the bytes are not that."""
    return _ascending(read_column(reader), _LIMIT)


def _read_runs(
    log: EventLog, lengths: Sequence[int], positions: Sequence[int], inserted: str
) -> int:
    """Read the runs into a log without events; return the number of operations."""
    if len(lengths) != len(positions):
        raise Malformed(f"{len(lengths)} lengths, {len(positions)} positions")
    end = taken = size = 0
    starts, kinds, texts = log.run_start, log.run_kind, log.run_text
    for head, folded in zip(lengths, positions, strict=True):
        length = head // _KINDS
        kind = head - length * _KINDS
        position = end + (folded >> 1 if not folded & 1 else -((folded + 1) >> 1))
        if not 0 < length <= POSITION_MAX or not 0 <= position <= POSITION_MAX:
            raise Malformed(f"a run of {length} at position {position}")
        text = ""
        if kind == INSERT:
            text = inserted[taken : taken + length]
            taken += length
        starts.append(size)
        kinds.append(kind)
        log.run_position.append(position)
        log.run_length.append(length)
        texts.append(text)
        size += length
        end = _end(kind, position, length)
    if taken != len(inserted) or size > _LIMIT:
        raise Malformed(f"{len(inserted)} characters for insertions of {taken}")
    return size


def _groups(
    numbers: Iterator[int], count: int, *, parents: bool
) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Read (event, its parents or what is hidden from it) with the events ascending."""
    event = 0
    first = True
    for distance in numbers:
        event += distance
        size = next(numbers, 0)
        found = [number for _, number in zip(range(size), numbers, strict=False)]
        if len(found) != size or event >= count or not (first or distance):
            raise Malformed(f"event {event} of {count}")
        first = False
        if not parents:
            yield event, _ascending(found, event)
            continue
        made_on = tuple(event - back for back in found)
        if not made_on or made_on[0] < -1 or made_on[-1] >= event:
            raise Malformed(f"parents of event {event}")
        if any(a >= b for a, b in pairwise(made_on)):
            raise Malformed(f"parents of event {event} do not ascend")
        yield event, made_on


def _ascending(differences: Sequence[int], limit: int) -> tuple[int, ...]:
    numbers = tuple(accumulate(differences))
    if numbers and (0 in differences[1:] or numbers[-1] >= limit):
        raise Malformed("numbers do not ascend to a limit")
    return numbers


def _differences(numbers: Iterable[int]) -> list[int]:
    return [b - a for a, b in pairwise((0, *sorted(numbers)))]


def _end(kind: int, position: int, length: int) -> int:
    if kind == INSERT:
        return position + length
    if kind == ERASE:
        return position - length
    assert kind == DELETE
    return position


def _fold(number: int) -> int:
    return number << 1 if number >= 0 else (-number << 1) - 1


def write_column(numbers: Sequence[int]) -> bytes:
    """Return numbers from 0 to 2^64 - 1 as a column."""
    largest = max(numbers, default=0)
    width = next(width for width in _CODES if largest < 1 << 8 * width)
    column = array(_CODES[width], numbers)
    if sys.byteorder == "big":
        column.byteswap()
    data = column.tobytes()
    planes = [data[plane::width] for plane in range(width)]
    return b"".join((varint(len(numbers)), bytes((width,)), *planes))


def read_column(reader: Reader) -> list[int]:
    """Read what `write_column` wrote. Raises: Malformed if the bytes are not that."""
    count = reader.varint()
    width = reader.u8()
    code = _CODES.get(width)
    if code is None or count * width > reader.left:
        raise Malformed(f"a column of {count} numbers of {width} bytes")
    planes = reader.take(count * width)
    data = bytearray(count * width)
    for plane in range(width):
        data[plane::width] = planes[plane * count : (plane + 1) * count]
    column = array(code, bytes(data))
    if sys.byteorder == "big":
        column.byteswap()
    return column.tolist()
