"""The naive twin of replicated trees: whole histories, sets, the definitions, O(n^4).

Nodes stand in the list of `list_twin`. Who loses in a cycle is searched for among all moves,
for every version anew. It shares nothing with the code that it judges.
"""

from __future__ import annotations

from collections.abc import Iterable

from comity.crdt.elements import DELETE, INSERT, MOVE, SET, UNDER
from tests.crdt.list_twin import Counts, Event, ListTwin, Slot, Write, outcome, replaces, top


class TreeTwin:
    """Applies events in any order that agrees with causality."""

    def __init__(self) -> None:
        self.row = ListTwin()
        self.parents: dict[Slot, Slot | None] = {}
        self.moves: dict[Slot, Write] = {}
        self.lost: dict[Slot, frozenset[Slot]] = {}

    def apply(self, event: Event) -> None:
        """Apply an event, or nothing of it if one of its operations does not fit."""

        def counts(other: Event) -> bool:
            known = other.turn in event.past and other.turn not in event.hidden
            return known or other is event

        length = len(self.row.view(counts))
        for kind, position, number, _ in event.operations:
            if position > room(length, kind, number) or (kind == MOVE and number >= length):
                return
            length += {INSERT: number, DELETE: -number}.get(kind, 0)
        under: Slot | None = None
        for place, (kind, position, number, values) in enumerate(event.operations):
            seen = self.row.view(counts)
            if kind == UNDER:
                under = element_of(seen[position]) if position >= 0 else None
            elif kind == INSERT:
                left = seen[position - 1] if position else None
                for value in values:
                    left = self.row.insert(event, left, value)
                    self.parents[left] = under
            elif kind == MOVE:
                losers = self.resolve(counts)[1]
                element = element_of(seen.pop(position))
                slot = self.row.insert(event, seen[number - 1] if number else None, None)
                slot.element = element
                self.parents[slot], self.lost[slot] = under, losers
                self.moves[slot] = Write(event, place, MOVE, slot)
                element.writes.append(self.moves[slot])
            else:
                for each, slot in enumerate(seen[position : position + number]):
                    value = values[each] if kind == SET else None
                    element_of(slot).writes.append(Write(event, place, kind, value))

    def outline(self, hidden: frozenset[int]) -> list[tuple[int, object]]:
        """Return depth and value of each node where some turns are hidden."""

        def counts(event: Event) -> bool:
            return event.turn not in hidden

        places, _ = self.resolve(counts)
        there = [
            slot
            for slot in self.row.order
            if places[element_of(slot)] is slot
            and outcome(element_of(slot), counts)[0] is not None
        ]
        elements = [element_of(slot) for slot in there]

        def shown_under(slot: Slot) -> Slot | None:
            parent = self.parents[slot]
            while parent is not None and parent not in elements:
                parent = self.parents[places[parent]]
            return parent

        found: list[tuple[int, object]] = []

        def collect(parent: Slot | None, depth: int) -> None:
            for slot in there:
                if shown_under(slot) is parent:
                    found.append((depth, outcome(element_of(slot), counts)[1]))
                    collect(element_of(slot), depth + 1)

        collect(None, 0)
        assert len(found) == len(there)
        return found

    def resolve(self, counts: Counts) -> tuple[dict[Slot, Slot], frozenset[Slot]]:
        """Return the place of every element, and the moves that lose."""
        losers: set[Slot] = set()
        while cycles := self.cycles(self.places(counts, losers)):
            losers |= {self.loser(cycle) for cycle in cycles}
        for loser in sorted(losers, key=self.rank, reverse=True):
            places = self.places(counts, losers)
            places[element_of(loser)] = self.place(element_of(loser), counts, losers - {loser})
            if not any(element_of(loser) in map(element_of, c) for c in self.cycles(places)):
                losers.discard(loser)
        return self.places(counts, losers), frozenset(losers)

    def places(self, counts: Counts, without: Iterable[Slot]) -> dict[Slot, Slot]:
        """Return where each element stands if some moves do not count."""
        elements = [slot for slot in self.row.order if slot.element is None]
        return {each: self.place(each, counts, without) for each in elements}

    def place(self, element: Slot, counts: Counts, without: Iterable[Slot]) -> Slot:
        """Return where one stands."""
        moves = [
            write
            for slot, write in self.moves.items()
            if slot.element is element and counts(write.event) and slot not in without
        ]
        last = top(moves)
        slot: Slot = max(last, key=lambda write: write.event.tie).value if last else element
        return slot

    def cycles(self, places: dict[Slot, Slot]) -> set[frozenset[Slot]]:
        """Return the cycles, each by the places of its elements."""
        found: set[frozenset[Slot]] = set()
        for element in places:
            chain: list[Slot] = []
            at: Slot | None = element
            while at is not None and places[at] not in chain:
                chain.append(places[at])
                at = self.parents[places[at]]
            if at is element:
                found.add(frozenset(chain))
        return found

    def loser(self, cycle: frozenset[Slot]) -> Slot:
        """Return which move of a cycle does not count."""
        moves = [slot for slot in cycle if slot in self.moves]
        candidates = [slot for slot in moves if any(slot in self.lost[m] for m in moves)]
        if not candidates:
            candidates = [
                slot
                for slot in moves
                if not any(replaces(self.moves[other], self.moves[slot]) for other in moves)
            ]
        return min(candidates, key=self.rank)

    def rank(self, slot: Slot) -> tuple[bytes, int, int]:
        """Order moves: by tie, and within one commit as they were made."""
        write = self.moves[slot]
        return write.event.tie, write.event.turn, write.number


def room(length: int, kind: int, number: int) -> int:
    """Return the last position at which an operation fits."""
    return length - {INSERT: 0, UNDER: 1, MOVE: 1}.get(kind, number)


def element_of(slot: Slot) -> Slot:
    """Return the element that has a place."""
    return slot.element or slot
