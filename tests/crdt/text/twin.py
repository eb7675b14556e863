"""The naive twin of replicated text: one character, one entry, one list; O(n^2) everywhere.

Straight from the definitions: what an operation means is worked out on the whole history, what
is in whose past is asked of sets. It shares nothing with the code that it judges.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from comity.crdt.text.operations import INSERT, Operation


@dataclass
class Event:
    """A turn of the history.

    past: all turns before it. hidden: those of them that its author did not see.
    """

    turn: int
    past: frozenset[int]
    operations: Sequence[Operation]
    tie: bytes
    hidden: frozenset[int] = frozenset()


@dataclass
class Entry:
    """A character that was ever inserted. left, right: its neighbours when it was."""

    text: str
    event: int
    left: Entry | None
    right: Entry | None
    deleted: list[int] = field(default_factory=list)


class Twin:
    """Applies events in any order that agrees with causality."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.events: dict[int, Event] = {}
        self.refused: list[int] = []

    def apply(self, event: Event) -> None:
        """Apply an event, or none of it if one of its operations does not fit."""
        self.events[event.turn] = event
        length = len(self.seen(event))
        for kind, position, count, _ in event.operations:
            if position > length or (kind != INSERT and position + count > length):
                self.refused.append(event.turn)
                return
            length += count if kind == INSERT else -count
        for kind, position, count, text in event.operations:
            if kind == INSERT:
                self.insert(event, position, text)
            else:
                for entry in self.seen(event)[position : position + count]:
                    entry.deleted.append(event.turn)

    def there(self, entry: Entry, event: Event) -> bool:
        """Tell whether an author knew of a character, deleted or not."""
        return entry.event == event.turn or entry.event in event.past

    def seen(self, event: Event) -> list[Entry]:
        """Return the text that an author has before him."""
        return [
            entry
            for entry in self.entries
            if self.there(entry, event)
            and entry.event not in event.hidden
            and not any(
                each == event.turn or (each in event.past and each not in event.hidden)
                for each in entry.deleted
            )
        ]

    def insert(self, event: Event, position: int, text: str) -> None:
        """Insert characters one after another; each has the one before on its left."""
        seen = self.seen(event)
        left = seen[position - 1] if position else None
        start = self.index(left) + 1
        known = [e for e in self.entries[start:] if self.there(e, event)]
        right = known[0] if known else None
        for character in text:
            entry = Entry(character, event.turn, left, right)
            self.entries.insert(self.place(entry, event), entry)
            left = entry

    def index(self, entry: Entry | None) -> int:
        """Return where an entry stands; -1 for the start."""
        return next((i for i, each in enumerate(self.entries) if each is entry), -1)

    def right_index(self, entry: Entry | None) -> int:
        """Return where an entry stands; past all for the end."""
        return len(self.entries) if entry is None else self.index(entry)

    def place(self, entry: Entry, event: Event) -> int:
        """Return where an entry goes among those that its author did not know."""
        left, right = self.index(entry.left), self.right_index(entry.right)
        at = found = left + 1
        scanning = False
        while at < right:
            other = self.entries[at]
            assert not self.there(other, event)
            other_left = self.index(other.left)
            other_right = self.right_index(other.right)
            if other_left < left:
                break
            if other_left == left:
                if other_right == right:
                    if event.tie < self.events[other.event].tie:
                        break
                    scanning = False
                else:
                    scanning = other_right < right
            at += 1
            if not scanning:
                found = at
        return found

    def text(self, hidden: frozenset[int] = frozenset()) -> str:
        """Return the text without what the hidden turns did."""
        return "".join(
            entry.text
            for entry in self.entries
            if entry.event not in hidden and all(each in hidden for each in entry.deleted)
        )


def text_of(
    events: Mapping[int, Event] | Sequence[Event], hidden: frozenset[int] = frozenset()
) -> str:
    """Return what a whole history comes to."""
    twin = Twin()
    for event in events.values() if isinstance(events, Mapping) else events:
        twin.apply(event)
    return twin.text(hidden)
