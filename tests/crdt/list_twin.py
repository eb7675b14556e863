"""The naive twin of replicated lists: whole histories, plain lists and sets, O(n^3).

Straight from the definitions: which slots an author saw, which writes replace which, what an
insertion has on either side. It shares nothing with the code that it judges.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from comity.crdt.elements import DELETE, INSERT, MOVE, SET, Operation


@dataclass(eq=False)
class Event:
    """A turn. past: the turns before it; hidden: those of them that its author did not see."""

    turn: int
    past: frozenset[int]
    operations: Sequence[Operation]
    tie: bytes
    hidden: frozenset[int] = frozenset()


@dataclass(eq=False)
class Write:
    """A change of an element, by an event; `number` orders those of one event."""

    event: Event
    number: int
    kind: int
    value: Any


@dataclass(eq=False)
class Slot:
    """A place. element: the slot of the insertion, None if this is it."""

    event: Event
    value: Any
    left: Slot | None
    right: Slot | None
    element: Slot | None = None
    writes: list[Write] = field(default_factory=list)


Counts = Callable[[Event], bool]


class ListTwin:
    """Applies events in any order that agrees with causality."""

    def __init__(self) -> None:
        self.order: list[Slot] = []
        self.refused: list[int] = []

    def values(self, hidden: frozenset[int]) -> list[Any]:
        """Return what is there when some turns are hidden."""

        def counts(event: Event) -> bool:
            return event.turn not in hidden

        return [outcome(slot.element or slot, counts)[1] for slot in self.view(counts)]

    def view(self, counts: Counts) -> list[Slot]:
        """Return the slots that are taken."""
        return [s for s in self.order if outcome(s.element or s, counts)[0] is s]

    def apply(self, event: Event) -> None:
        """Apply an event, or nothing of it if one of its operations does not fit."""

        def counts(other: Event) -> bool:
            known = other.turn in event.past and other.turn not in event.hidden
            return known or other is event

        length = len(self.view(counts))
        for kind, position, number, _ in event.operations:
            room = length - (number if kind in {DELETE, SET} else 0 if kind == INSERT else 1)
            if position > room or (kind == MOVE and number >= length):
                self.refused.append(event.turn)
                return
            length += {INSERT: number, DELETE: -number}.get(kind, 0)
        for place, (kind, position, number, values) in enumerate(event.operations):
            seen = self.view(counts)
            if kind == INSERT:
                left = seen[position - 1] if position else None
                for value in values:
                    left = self.insert(event, left, value)
            elif kind == MOVE:
                moved = seen.pop(position)
                element = moved.element or moved
                slot = self.insert(event, seen[number - 1] if number else None, None)
                slot.element = element
                element.writes.append(Write(event, place, MOVE, slot))
            else:
                for each, slot in enumerate(seen[position : position + number]):
                    value = values[each] if kind == SET else None
                    write = Write(event, place, kind, value)
                    (slot.element or slot).writes.append(write)

    def insert(self, event: Event, left: Slot | None, value: object) -> Slot:
        """Insert a slot after another one, where all who know the same put it."""
        start = self.index(left) + 1
        known = [slot for slot in self.order[start:] if self.knows(event, slot)]
        right = known[0] if known else None
        slot = Slot(event, value, left, right)
        stop = self.order.index(right) if right else len(self.order)
        at = found = start
        scanning = False
        while at < stop:
            other = self.order[at]
            if self.index(other.left) < start - 1:
                break
            if self.index(other.left) == start - 1:
                if other.right is right:
                    if event.tie < other.event.tie:
                        break
                    scanning = False
                else:
                    scanning = self.right_index(other.right) < stop
            at += 1
            if not scanning:
                found = at
        self.order.insert(found, slot)
        return slot

    def knows(self, event: Event, slot: Slot) -> bool:
        """Tell whether an author knew of a slot, taken or not."""
        return slot.event is event or slot.event.turn in event.past

    def index(self, slot: Slot | None) -> int:
        """Return where a slot stands; -1 for the start."""
        return self.order.index(slot) if slot else -1

    def right_index(self, slot: Slot | None) -> int:
        """Return where a slot stands; past all for the end."""
        return self.order.index(slot) if slot else len(self.order)


def outcome(element: Slot, counts: Counts) -> tuple[Slot | None, Any]:
    """Return where an element is and what it reads, to whom certain events count."""
    if not counts(element.event):
        return None, None
    content = top([w for w in element.writes if w.kind != MOVE and counts(w.event)])
    value = element.value
    if content:
        sets = [write for write in content if write.kind == SET]
        if not sets:
            return None, None
        value = max(sets, key=lambda write: write.event.tie).value
    moves = top(
        [write for write in element.writes if write.kind == MOVE and counts(write.event)]
    )
    slot = max(moves, key=lambda write: write.event.tie).value if moves else element
    return slot, value


def top(writes: list[Write]) -> list[Write]:
    """Return the writes that no other one replaces."""
    return [w for w in writes if not any(replaces(other, w) for other in writes)]


def replaces(later: Write, earlier: Write) -> bool:
    """Tell whether a write was made with another one in its past."""
    if later.event is earlier.event:
        return later.number > earlier.number
    return earlier.event.turn in later.event.past
