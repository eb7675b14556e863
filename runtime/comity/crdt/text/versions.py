"""Walks over an event graph: from one version to another, and in what order.

Owns: the walks. May not know: operations, text. A unit is a line of events, each made on the
one before and on nothing else, which are applied as one; it is named by its last event.
Source: Gentle & Kleppmann 2024, section 3.7 (sort order) and appendix (diff).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from heapq import heappop, heappush
from itertools import pairwise

__all__ = ["Unit", "branches", "difference", "units"]

Unit = tuple[int, int]
"""First and last event."""

_SOURCE = 1
_TARGET = 2
_BOTH = 3


def difference(
    parents: Mapping[int, tuple[int, ...]], base: int, source: int, target: Sequence[int]
) -> tuple[list[int], list[int]]:
    """Return the units only in the past of `source`, and only in that of `target`, with these.

    parents: of each unit, -1 for the start. Units up to `base` count as one.
    Cost: proportional to what is between the two and the last version that both share.
    """
    flags: dict[int, int] = {}
    heap: list[int] = []
    shared = 0
    if source > base:
        flags[source] = _SOURCE
        heap.append(-source)
    for unit in target:
        if unit <= base:
            continue
        if unit == source:
            flags[unit] = _BOTH
            shared = 1
        else:
            flags[unit] = _TARGET
            heappush(heap, -unit)
    only_source: list[int] = []
    only_target: list[int] = []
    while len(heap) > shared:
        unit = -heappop(heap)
        side = flags.pop(unit)
        if side == _SOURCE:
            only_source.append(unit)
        elif side == _TARGET:
            only_target.append(unit)
        else:
            shared -= 1
        for parent in parents[unit]:
            if parent <= base:
                continue
            known = flags.get(parent, 0)
            if known == 0:
                flags[parent] = side
                heappush(heap, -parent)
                if side == _BOTH:
                    shared += 1
            elif known | side != known:
                flags[parent] = _BOTH
                shared += 1
    return only_source, only_target


def units(
    parents: Mapping[int, tuple[int, ...]],
    made: Sequence[int],
    cuts: Iterable[int],
    start: int,
    stop: int,
    end: int,
) -> list[Unit]:
    """Cut the events start..stop-1 into units, as long as may be.

    made: the events that `parents` has, ascending. cuts: events that stand alone.
    end: no event from here on is made directly on any of these.
    """
    firsts = {start: None, stop: None}
    for event in made[bisect_left(made, start) : bisect_left(made, end)]:
        if event < stop:
            firsts[event] = None
        for parent in parents[event]:
            if start <= parent < stop:
                firsts[parent + 1] = None
    for event in cuts:
        if start <= event < stop:
            firsts[event] = firsts[event + 1] = None
    ordered = sorted(firsts)
    return [(a, b - 1) for a, b in pairwise(ordered)]


def branches(parents: Mapping[int, tuple[int, ...]], found: Sequence[Unit]) -> Sequence[Unit]:
    """Order adjoining units, parents first, staying on a branch while it lasts."""
    if len(found) == 1:
        return found
    start = found[0][0]
    waits: dict[Unit, int] = {}
    children: dict[int, list[Unit]] = {}
    ready: list[Unit] = []
    for unit in reversed(found):
        first = unit[0]
        count = 0
        for parent in parents.get(first, (first - 1,)):
            if parent >= start:
                count += 1
                children.setdefault(parent, []).append(unit)
        if count:
            waits[unit] = count
        else:
            ready.append(unit)
    order: list[Unit] = []
    while ready:
        unit = ready.pop()
        order.append(unit)
        for child in children.get(unit[1], ()):
            left = waits[child] - 1
            if left:
                waits[child] = left
            else:
                ready.append(child)
    assert len(order) == len(found)
    return order
