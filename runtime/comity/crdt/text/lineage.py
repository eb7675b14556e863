"""From turns to events: what an event was made on, and what was hidden from it.

Owns: the port `Past`, the floor below which there is no history. May not know: operations.

Turns of other fields are not events here; what a turn was made on is looked for through
them, and remembered. A text that was opened without its history stands on a floor: a turn that
was made without all that the floor holds, or that sees other turns of it hidden, is too old.
Source: PROTOCOL section 2 (versions, visible).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from comity.crdt.text.events import EventLog

__all__ = ["Floor", "Lineage", "Past"]


class Past(Protocol):
    """What a text asks about the turns of its actor."""

    def parents_of(self, turn: int) -> tuple[int, ...]:
        """Return the turns that a turn was made directly on, none an ancestor of another.

        Of turns in one commit, each is made on the one before.
        """
        ...

    def before(self, a: int, b: int) -> bool:
        """Tell whether turn `a` is in the past of turn `b`."""
        ...

    def tie(self, field_tag: bytes, turn: int) -> bytes:
        """Return bytes that order concurrent turns on one field, smaller first."""
        ...

    def hidden_before(self, turn: int) -> tuple[int, ...]:
        """Return the turns that are not visible in the version a turn was made on, ascending.

        Turns of other fields may be among them. The same object for the same turns is faster.
        """
        ...


@dataclass(frozen=True, slots=True)
class Floor:
    """Where a text without its history starts.

    heads: the turns of its version, ascending; empty if the text starts empty.
    spans: first and last of the turns that it takes the place of, ascending. Not all need be
        in the past of the heads: on those that are not nothing visible was made.
    hidden: those in the past of the heads that are not visible, ascending.
    """

    heads: tuple[int, ...] = ()
    spans: tuple[tuple[int, int], ...] = ()
    hidden: tuple[int, ...] = ()

    def __contains__(self, turn: int) -> bool:
        at = bisect_right(self.spans, (turn, turn))
        if at < len(self.spans) and self.spans[at][0] == turn:
            return True
        return at > 0 and turn <= self.spans[at - 1][1]


class Lineage:
    """Finds the parents and the context of turns. Remembers turns of other fields."""

    __slots__ = ("_context", "_floor", "_found", "_given", "_log", "_past")

    def __init__(self, log: EventLog, past: Past, floor: Floor) -> None:
        """Serve one log."""
        self._log = log
        self._past = past
        self._floor = floor
        self._found: dict[int, tuple[int, ...]] = {}
        self._given: tuple[int, ...] = ()
        self._context: tuple[int, ...] | None = () if not floor.hidden else None

    def parents(self, turn: int, given: tuple[int, ...]) -> tuple[int, ...] | None:
        """Return the events that a turn was made on, ascending; None if it is too old.

        given: the turns that it was made on.
        """
        log = self._log
        if len(given) == 1 and log.count and given[0] == log.turns.last:
            return (log.count - 1,)
        parents = self._events(given, turn)
        if parents == (-1,) and not self._stands_on_floor(turn):
            return None
        return parents

    def context(self, given: tuple[int, ...]) -> tuple[int, ...] | None:
        """Return the events among turns that are hidden; None if that is too old."""
        known = self._given
        if given is known:
            return self._context
        floor = self._floor
        find = self._log.turns.find
        self._given = given
        if self._context is not None and given[: len(known)] == known and not floor.spans:
            found = [find(each) for each in given[len(known) :]]  # most only add to the last
            self._context += tuple([event for event in found if event >= 0])
            return self._context
        found = [find(each) for each in given]
        events = tuple([event for event in found if event >= 0])
        below = tuple([each for each in given if each in floor]) if floor.spans else ()
        self._context = events if below == floor.hidden else None
        return self._context

    def without(
        self, aside: frozenset[int], heads: tuple[int, ...], hidden: tuple[int, ...]
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the last events, and what is hidden in their past, but for some events.

        aside: hidden events that no event but these was made on.
        """
        if not aside:
            return heads, hidden
        found = list(heads)
        while any(event in aside for event in found):
            latest = max(event for event in found if event in aside)
            found.remove(latest)
            found = list(self._last((*found, *self._log.parents_of(latest))))
        return tuple(found), tuple([event for event in hidden if event not in aside])

    def hidden_below(self, turn: int) -> bool:
        """Tell whether a turn that the floor takes the place of does not count in it."""
        heads = self._floor.heads
        before = self._past.before
        there = turn in heads or any(before(turn, head) for head in heads)
        return not there or turn in self._floor.hidden

    def _stands_on_floor(self, turn: int) -> bool:
        before = self._past.before
        return all(before(head, turn) for head in self._floor.heads)

    def _events(self, given: tuple[int, ...], turn: int) -> tuple[int, ...]:
        """Return the last events in the past of `turn`, which was made on the turns given."""
        log = self._log
        if not given or not log.count:
            return (-1,)
        found: dict[int, None] = {}
        others: list[int] = []
        for each in given:
            event = log.turns.find(each)
            if event >= 0:
                found[event] = None
            else:
                others.append(each)
        if not others:
            return tuple(sorted(found))
        before, turns = self._past.before, log.turns
        if all(before(turns[head], turn) for head in log.heads):
            return log.heads
        for each in others:
            found.update(dict.fromkeys(self._through(each)))
        return self._last(found)

    def _through(self, turn: int) -> tuple[int, ...]:
        """Return the last events in the past of a turn of another field."""
        log, found = self._log, self._found
        first = log.turns[0]
        waiting = [turn]
        while waiting:
            current = waiting[-1]
            events: dict[int, None] = {}
            missing: list[int] = []
            if current > first and current not in found:
                for parent in self._past.parents_of(current):
                    event = log.turns.find(parent)
                    if event >= 0:
                        events[event] = None
                    elif parent in found:
                        events.update(dict.fromkeys(found[parent]))
                    elif parent > first:
                        missing.append(parent)
            if missing:
                waiting += missing
                continue
            waiting.pop()
            if current not in found:
                found[current] = self._last(events)
        return found[turn]

    def _last(self, events: Iterable[int]) -> tuple[int, ...]:
        """Return those events that are in the past of no other; -1 if there are none."""
        turns, before = self._log.turns, self._past.before
        ordered = sorted(event for event in events if event >= 0)
        if len(ordered) > 1:
            ordered = [
                event
                for place, event in enumerate(ordered)
                if not any(before(turns[event], turns[each]) for each in ordered[place + 1 :])
            ]
        return tuple(ordered) or (-1,)
