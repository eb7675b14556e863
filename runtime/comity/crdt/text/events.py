"""The event graph of one text: what each turn did, on top of which others.

Owns: events, their parents, their runs of operations, heads, critical versions. May not know:
the text, ties, bytes. An event is what one turn does; events are numbered as they come, which
agrees with causality, and -1 is where the log starts: empty, or a text without its history.

    event       turn | first operation | parents, where they are not just the event before
    operation   one character inserted or deleted, numbered through; runs of them in columns:
                first operation | kind | position | length | text
    kind        INSERT   one piece, or typed on at its end
                DELETE   one stretch, or deleted on at its place
                ERASE    single characters, each the one before the last: backspaces
    context     which earlier events are hidden from an event, in the version it was made on

    sequential  made on all events before it: its positions are those of the whole text
    critical    sequential, and in the past of all events after it: what lies before a
                critical event can have no conflict with what lies after

A run of deletions also keeps the text that it deleted, as far as it was applied as it stands
from its start: what hides it puts that back. An event takes a byte or so where they come one
after another, 200 bytes where not; a run 40, and its text.
Source: Gentle & Kleppmann 2024, sections 3.3 (critical versions) and 3.8 (columns).
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Final

from comity.crdt.text.operations import DELETE, INSERT, Operation
from comity.crdt.text.ramps import Ramp, Steps

__all__ = ["ERASE", "Context", "EventLog"]

ERASE: Final = 2
"""Kind of a run in the log; on the wire it is a deletion."""

RUN_LENGTH_MAX: Final = 4096
"""Longest run that is typed onto in place: each character copies its text."""

Context = tuple[int, ...]
"""Events that are hidden, ascending."""


class EventLog:
    """Columns of events and runs. Rows are appended, never changed; read it from outside."""

    __slots__ = (
        "_context_at",
        "_contexts",
        "_critical_firsts",
        "_critical_lasts",
        "branches",
        "context",
        "count",
        "heads",
        "parents",
        "run_kind",
        "run_length",
        "run_position",
        "run_start",
        "run_text",
        "sequential",
        "starts",
        "turns",
        "void",
    )

    def __init__(self) -> None:
        """Start without events."""
        self.count = 0
        self.turns = Steps()
        self.starts = Ramp()
        self.parents: dict[int, tuple[int, ...]] = {}
        self.branches = array("q")
        self.sequential = bytearray()
        self.void: dict[int, None] = {}
        self.heads: tuple[int, ...] = (-1,)
        self.context: Context = ()
        self._context_at = array("q", [0])
        self._contexts: list[Context] = [()]
        self._critical_firsts = array("q")
        self._critical_lasts = array("q")
        self.run_start = array("q")
        self.run_kind = bytearray()
        self.run_position = array("q")
        self.run_length = array("q")
        self.run_text: list[str] = []

    # ------------------------------------------------------------------ appending

    def append(
        self,
        turn: int,
        operations: Sequence[Operation],
        parents: tuple[int, ...],
        context: Context,
    ) -> None:
        """Add an event.

        parents: ascending, none an ancestor of another, (-1,) for the start.
        context: ascending. operations: not empty, within `operations.POSITION_MAX`.
        """
        event = self.count
        linear = parents == (event - 1,)
        joins = linear and event > 0 and context == self.context
        if context != self.context:
            self._context_at.append(event)
            self._contexts.append(context)
            self.context = context
        self._place(event, parents, linear=linear)
        self.count = event + 1
        self.turns.append(turn)
        if joins and self.sequential[-1] == self.sequential[-2]:
            kind, position, length, text = operations[0]
            if self._join(kind, position, length, text):
                self._add(operations[1:], length)
                return
        self._add(operations, 0)

    def follow(self, turn: int, operations: Sequence[Operation]) -> None:
        """Add an event on the one before, the only head, in its context: as most are."""
        event = self.count
        sequential = self.sequential
        lasts = self._critical_lasts
        if event and sequential[-1] and lasts[-1] == event - 1:
            lasts[-1] = event
            sequential.append(1)
            self.heads = (event,)
        else:
            self._place(event, (event - 1,), linear=True)
        self.count = event + 1
        turns, starts = self.turns, self.starts
        if turn == turns.last + 1 and event:  # `turns.append`, inline: this is each keystroke
            turns.last = turn
            turns.count += 1
        else:
            turns.append(turn)
        if event and sequential[-2]:
            kind, position, length, text = operations[0]
            if self._join(kind, position, length, text):
                if len(operations) > 1:
                    self._add(operations[1:], length)
                elif length == starts.size:  # `starts.append`, inline
                    starts.count += 1
                    starts.end += length
                else:
                    starts.append(length)
                return
        self._add(operations, 0)

    def _place(self, event: int, parents: tuple[int, ...], *, linear: bool) -> None:
        """Work out heads, sequential and critical events with a further event."""
        if not linear:
            self.parents[event] = parents
            self.branches.append(event)
        firsts, lasts = self._critical_firsts, self._critical_lasts
        sequential = parents == self.heads
        self.sequential.append(sequential)
        if sequential:
            self.heads = (event,)
            if lasts and lasts[-1] == event - 1:
                lasts[-1] = event
            else:
                firsts.append(event)
                lasts.append(event)
            return
        self.heads = (*[head for head in self.heads if head not in parents], event)
        newest = parents[-1]
        while firsts and firsts[-1] > newest:
            firsts.pop()
            lasts.pop()
        if lasts and lasts[-1] > newest:
            lasts[-1] = newest

    def _add(self, operations: Sequence[Operation], joined: int) -> None:
        """Add the runs of an event, of which a run before has taken `joined` operations."""
        start = self.starts.end
        size = joined
        for kind, position, length, text in operations:
            self.run_start.append(start + size)
            self.run_kind.append(kind)
            self.run_position.append(position)
            self.run_length.append(length)
            self.run_text.append(text)
            size += length
        self.starts.append(size)

    def _join(self, kind: int, position: int, length: int, text: str) -> bool:
        """Extend the last run by an operation, if that continues it."""
        last = self.run_kind[-1]
        before = self.run_length[-1]
        start = self.run_position[-1]
        if kind == INSERT:
            if last != INSERT or position != start + before or before > RUN_LENGTH_MAX:
                return False
            self.run_text[-1] += text
        elif last == INSERT or before > RUN_LENGTH_MAX:
            return False
        elif position == start and (last == DELETE or before == 1):
            self.run_kind[-1] = DELETE
        elif length == 1 and position == start - before and (last == ERASE or before == 1):
            self.run_kind[-1] = ERASE
        else:
            return False
        self.run_length[-1] = before + length
        return True

    def refuse(self, event: int) -> None:
        """Make an event no-op: its operations do not fit the text that it was made on."""
        self.void[event] = None
        stop = self.starts[event + 1]
        run = self.run_at(self.starts[event])
        while run < len(self.run_start) and self.run_start[run] < stop:
            if self.run_kind[run] != INSERT:
                self.run_text[run] = ""
            run += 1

    def restore(
        self,
        spans: Sequence[tuple[int, int]],
        sizes: Sequence[tuple[int, int]],
        parents: dict[int, tuple[int, ...]],
        contexts: Sequence[tuple[int, Context]],
    ) -> None:
        """Take all events of another log at once; their runs are there already.

        spans, sizes: as `turns` and `starts` give them. parents: of each event that was not
        just made on the one before it, ascending. contexts: as `contexts` gives them.
        """
        assert not self.count
        self.turns = Steps(spans)
        for size, times in sizes:
            self.starts.append(size, times)
        self.count = self.turns.count
        for event, context in contexts:
            self._context_at.append(event)
            self._contexts.append(context)
        self.context = self._contexts[-1]
        done = 0
        for event in (*parents, self.count):
            if event > done:  # a line of events, each made on the one before
                self._place(done, (done - 1,), linear=True)
                more = event - done - 1
                self.sequential += self.sequential[-1:] * more
                self.heads = (*self.heads[:-1], event - 1)
                if self.sequential[-1]:
                    self._critical_lasts[-1] += more
            if event < self.count:
                self._place(event, parents[event], linear=False)
            done = event + 1

    # ------------------------------------------------------------------ reading

    def critical_before(self, event: int) -> int:
        """Return the last critical event before one, -1 if there is none."""
        firsts = self._critical_firsts
        at = bisect_left(firsts, event) - 1
        return min(self._critical_lasts[at], event - 1) if at >= 0 else -1

    def critical_from(self, event: int) -> int:
        """Return the first critical event from one on, the number of events if none is."""
        at = bisect_left(self._critical_lasts, event)
        if at == len(self._critical_lasts):
            return self.count
        return max(self._critical_firsts[at], event)

    def is_critical(self, event: int) -> bool:
        """Tell whether an event is critical; the start always is."""
        return event < 0 or self.critical_before(event + 1) == event

    def parents_of(self, event: int) -> tuple[int, ...]:
        """Return the events that an event was made on, ascending."""
        parents = self.parents.get(event)
        return (event - 1,) if parents is None else parents

    def has_contexts(self) -> bool:
        """Tell whether any event was made on a version that hid something."""
        return len(self._contexts) > 1

    def context_of(self, event: int) -> Context:
        """Return the events that were hidden from an event."""
        contexts = self._contexts
        if len(contexts) == 1:
            return contexts[0]
        return contexts[bisect_right(self._context_at, event) - 1]

    def contexts_within(self, start: int, stop: int) -> list[Context]:
        """Return the contexts of events start..stop-1, neighbours that are equal once."""
        first = bisect_right(self._context_at, start) - 1
        return self._contexts[first : bisect_left(self._context_at, stop)]

    def contexts(self) -> list[tuple[int, Context]]:
        """Return from which event on, and what, where it changes after the start."""
        return list(zip(self._context_at, self._contexts, strict=True))[1:]

    def run_at(self, operation: int) -> int:
        """Return the run that holds an operation."""
        return bisect_right(self.run_start, operation) - 1

    def operations_of(self, first: int, last: int) -> list[Operation]:
        """Return what events first..last did, in order, runs as one, erasures as deletions."""
        start, stop = self.starts[first], self.starts[last + 1]
        found: list[Operation] = []
        run = bisect_right(self.run_start, start) - 1
        while start < stop:
            offset = start - self.run_start[run]
            length = min(self.run_length[run] - offset, stop - start)
            position, kind = self.run_position[run], self.run_kind[run]
            if kind == INSERT:
                text = self.run_text[run]
                if length != len(text):
                    text = text[offset : offset + length]
                found.append((INSERT, position + offset, length, text))
            elif kind == DELETE:
                found.append((DELETE, position, length, ""))
            else:
                found.append((DELETE, position - offset - length + 1, length, ""))
            start += length
            run += 1
        return found

    def text_of(self, operation: int, length: int) -> str:
        """Return what a stretch of insertions of one run inserted."""
        run = self.run_at(operation)
        offset = operation - self.run_start[run]
        return self.run_text[run][offset : offset + length]

    def undoing(self, event: int) -> list[Operation] | None:
        """Return operations that undo an event; None if what it deleted was not kept."""
        start, stop = self.starts[event], self.starts[event + 1]
        found: list[Operation] = []
        run = self.run_at(start)
        while start < stop:
            offset = start - self.run_start[run]
            length = min(self.run_length[run] - offset, stop - start)
            position, kind = self.run_position[run], self.run_kind[run]
            text = self.run_text[run]
            if kind == INSERT:
                found.append((DELETE, position + offset, length, ""))
            elif len(text) < offset + length:
                return None
            elif kind == DELETE:
                found.append((INSERT, position, length, text[offset : offset + length]))
            else:
                end = len(text) - offset
                place = position - offset - length + 1
                found.append((INSERT, place, length, text[end - length : end]))
            start += length
            run += 1
        found.reverse()
        return found

    # ------------------------------------------------------------------ checking

    def check(self) -> None:
        """Rebuild heads, sequential and critical events from the parents. O(n^2)."""
        count = self.count
        assert self.turns.count == self.starts.count == len(self.sequential) == count
        assert sorted(self.parents) == list(self.parents) == list(self.branches)
        heads: tuple[int, ...] = (-1,)
        pasts: list[int] = []  # bit sets
        for event in range(count):
            parents = self.parents_of(event)
            assert all(-1 <= a < event for a in parents)
            assert list(parents) == sorted(parents)
            past = 0
            for parent in parents:
                if parent >= 0:
                    past |= pasts[parent] | 1 << parent
            pasts.append(past)
            assert self.sequential[event] == (parents == heads) == (past == (1 << event) - 1)
            heads = (*[head for head in heads if head not in parents], event)
            assert all(a < event for a in self.context_of(event))
            assert self.turns.find(self.turns[event]) == event
            assert self.starts.find(self.starts[event]) == event
        assert heads == self.heads
        for event in range(count):
            after = all(past >> event & 1 for past in pasts[event + 1 :])
            assert self.is_critical(event) == (self.sequential[event] and after)
        self._check_runs()

    def _check_runs(self) -> None:
        count = len(self.run_start)
        assert len(self.run_kind) == len(self.run_position) == count
        assert len(self.run_length) == len(self.run_text) == count
        size = 0
        for run in range(count):
            length, kind = self.run_length[run], self.run_kind[run]
            assert self.run_start[run] == size
            assert length > 0
            assert kind in (INSERT, DELETE, ERASE)
            if kind == INSERT:
                assert length == len(self.run_text[run])
            else:
                assert len(self.run_text[run]) <= length
            size += length
        assert size == self.starts.end
