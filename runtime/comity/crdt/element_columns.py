"""The bytes of a frozen list: what was done to each element, in columns.

Owns: the columns. May not know: which version positions count in, what counts (`elements`).

    list     turns | critical | last settled | hidden | slots | of each slot: turn | values
             | contents: elements, sizes, turns, alone, is it a set, values
             | places: elements, sizes, turns, alone, slots

Source: `crdt.freezing`; decision 35.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from comity.base.canonical import Malformed
from comity.crdt.operation import DELETE, MOVE, SET

if TYPE_CHECKING:
    from comity.crdt.codec import Value, ValueType
    from comity.crdt.freezing import Freezer, Thawer

__all__ = ["Kept", "Write", "freeze_elements", "thaw_elements"]


class Write(NamedTuple):
    """A set, deletion or move of an element. alone: all earlier ones are in its past."""

    turn: int
    kind: int
    value: Any
    alone: bool


class Kept(NamedTuple):
    """What a list keeps, of which all else follows.

    critical: of each turn, whether all before it are in its past. slots: the turn of each.
    values: of each slot; None of one that a move made. contents, places: by element.
    """

    turns: list[int]
    critical: bytes
    settled: int
    hidden: list[int]
    slots: list[int]
    values: list[Value]
    contents: Mapping[int, list[Write]]
    places: Mapping[int, list[Write]]


def freeze_elements(kept: Kept, value_type: ValueType, out: Freezer) -> None:
    """Write what a list keeps."""
    out.ascending(kept.turns)
    out.flags(kept.critical)
    out.number(kept.settled + 1)
    out.ascending(kept.hidden)
    out.ascending(kept.slots)
    writes = _freeze_writes(kept.places, out)
    made = [int(each.value) for each in writes]
    out.numbers(made)
    moves = dict.fromkeys(made)
    values = [value for slot, value in enumerate(kept.values) if slot not in moves]
    out.values(value_type, values)
    writes = _freeze_writes(kept.contents, out)
    out.flags(bytes([each.kind == SET for each in writes]))
    out.values(value_type, [each.value for each in writes if each.kind == SET])


def thaw_elements(value_type: ValueType, data: Thawer) -> Kept:
    """Read what `freeze_elements` wrote. Raises: Malformed."""
    turns = data.ascending(strictly=True)
    critical = data.flags(len(turns))
    settled = data.number() - 1
    hidden = data.ascending(strictly=True)
    slots = data.ascending()
    known = dict.fromkeys(turns)
    if any(turn not in known for turn in chain(hidden, slots)):
        raise Malformed("a turn that did nothing to the list")
    count = len(slots)
    moved, sizes, times, alone = _thaw_writes(data, count)
    made = data.numbers(len(times), count)
    moves = dict.fromkeys(made)
    if len(moves) != len(made) or any(each in moves for each in moved):
        raise Malformed("a slot of two moves")
    given = iter(data.values(value_type, count - len(moves)))
    values = [None if slot in moves else next(given) for slot in range(count)]
    writes = [Write(*each) for each in zip(times, [MOVE] * len(made), made, alone, strict=True)]
    places = _by_element(moved, sizes, writes)
    changed, sizes, times, alone = _thaw_writes(data, count)
    if any(each in moves for each in changed):
        raise Malformed("a slot that a move made is no element")
    sets = data.flags(len(times))
    news = iter(data.values(value_type, sum(sets)))
    writes = [
        Write(turn, SET if each else DELETE, next(news) if each else None, flag)
        for turn, each, flag in zip(times, sets, alone, strict=True)
    ]
    contents = _by_element(changed, sizes, writes)
    return Kept(turns, critical, settled, hidden, slots, values, contents, places)


def _freeze_writes(found: Mapping[int, list[Write]], out: Freezer) -> list[Write]:
    writes = [each for mine in found.values() for each in mine]
    out.numbers([*found])
    out.numbers([len(mine) for mine in found.values()])
    out.numbers([each.turn for each in writes])
    out.flags(bytes([each.alone for each in writes]))
    return writes


def _thaw_writes(
    data: Thawer, slots: int
) -> tuple[list[int], list[int], list[int], list[bool]]:
    elements = data.numbers(None, slots)
    sizes = data.numbers(len(elements))
    if len(dict.fromkeys(elements)) != len(elements) or 0 in sizes:
        raise Malformed("an element stands twice")
    turns = data.numbers(sum(sizes), data.turns)
    alone = [bool(each) for each in data.flags(len(turns))]
    return elements, sizes, turns, alone


def _by_element(
    elements: list[int], sizes: list[int], writes: list[Write]
) -> dict[int, list[Write]]:
    found: dict[int, list[Write]] = {}
    start = 0
    for element, size in zip(elements, sizes, strict=True):
        found[element] = writes[start : start + size]
        start += size
    return found
