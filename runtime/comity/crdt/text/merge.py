"""From events to text: which are done, what is hidden, when a tracker is needed.

Owns: the rope, as far as turns that are over made it; trackers; checkpoints. May not know: the
open turn, bytes, users' classes, why a turn is hidden; it asks `Past` what a version knew.

    events     | done, in the rope | done, not yet in the rope | waiting |
    fold       a sequential event is done at once: its length is checked, its text comes later;
               any other waits, and so do all that come after it
    settle     waiting events are applied, and what is to be hidden is hidden: when the text,
               its length or a local turn asks

Sequential events never touch a tracker: they are positions in the whole text. Any other is
applied through one that starts at the last critical event before it, and is dropped when the
stretch is over. Hiding the newest visible event undoes it; any other is hidden in a tracker
that starts before it, with the text that was then: from a checkpoint.
The text is a function of the events, their order, and which are visible; and what an event's
positions mean is one of the version that it was made on, hidden events of that version too.
Source: PROTOCOL section 2; Gentle & Kleppmann 2024, section 3.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from enum import Enum, unique
from typing import Final

from comity.crdt.text.events import ERASE, Context, EventLog
from comity.crdt.text.lineage import Floor, Lineage, Past
from comity.crdt.text.operations import INSERT, Operation, fitted
from comity.crdt.text.rope import Rope
from comity.crdt.text.tracker import Tracker
from comity.crdt.text.versions import Unit, branches, units

__all__ = ["Merge", "Outcome", "perform"]

_CHECKPOINT_EVENTS: Final = 1024
"""Events between checkpoints: at half, twice the memory; at twice, hiding replays twice."""

_CHECKPOINTS_MAX: Final = 16
"""Checkpoints kept: of the older half, every other one goes when there are more."""

_TRACKER_IDLE_EVENTS: Final = 256
"""A tracker that is this far behind is dropped: to catch up costs more than it may save."""

_GROUPED_EVENTS_MIN: Final = 16
"""Stretches this long are applied in units; a shorter one is one of many, live, and what comes
next may be made on the middle of a unit, which costs starting again."""


@unique
class Outcome(Enum):
    """What became of a turn that was folded, hidden or shown."""

    TAKEN = "taken"
    REFUSED = "refused: it does not fit the text that it was made on"
    ELSEWHERE = "it did nothing here"
    TOO_OLD = "the history that it refers to is not here"


class Merge:
    """One text, as the events make it."""

    __slots__ = (
        "_applied",
        "_aside",
        "_checkpoints",
        "_done",
        "_guessed",
        "_guessing",
        "_lengths",
        "_lengths_from",
        "_lineage",
        "_own",
        "_past",
        "_tag",
        "_tracker",
        "_wanted",
        "dirty",
        "floor",
        "length",
        "log",
        "rope",
        "shown",
        "start",
    )

    def __init__(self, tag: bytes, past: Past, text: str, floor: Floor) -> None:
        """Start with a text and without events. floor: what the text stands for."""
        self.floor = floor
        self.start = text
        self.log = EventLog()
        self.rope = Rope(text)
        self.length = len(text)
        self.shown: Context = ()
        self.dirty = False
        self._tag = tag
        self._past = past
        self._lineage = Lineage(self.log, past, floor)
        self._lengths = array("I")
        self._lengths_from = 0
        self._done = 0
        self._applied = 0
        self._own = False
        self._aside: Context = ()
        self._guessing = False
        self._guessed: list[int] = []
        self._wanted: Context = ()
        self._tracker: Tracker | None = None
        self._checkpoints: list[tuple[int, Rope]] = []

    def adopt(self, log: EventLog, shown: Context, text: str) -> None:
        """Take a log of which all is done, and the text that it comes to."""
        self.log = log
        self._lineage = Lineage(log, self._past, self.floor)
        self.rope = Rope(text)
        self.length = len(text)
        self._done = self._lengths_from = log.count
        self._applied = log.starts.end
        self.shown = self._wanted = shown
        self._keep(log.count - 1)

    # ------------------------------------------------------------------ events

    def extend(self, turn: int, operations: Sequence[Operation], length: int) -> None:
        """Add a turn of this device, made on all that is visible here and on its past.

        length: of the text after it.
        """
        log = self.log
        heads, shown = log.heads, self.shown
        if self._own:  # all since then was made on the one before
            heads, shown = (log.count - 1,), log.context
        elif shown:
            self._guessing = True
            heads, shown = self._lineage.without(self._set_aside(), heads, shown)
        if self._guessing:
            self._guessed.append(log.count)
        self._own = True
        if len(log.heads) == 1 and heads == log.heads and shown == log.context:
            log.follow(turn, operations)
        else:
            log.append(turn, operations, heads, shown)
        self.length = length
        self._lengths.append(length)
        self._done += 1

    def fold(self, turn: int, operations: Sequence[Operation]) -> Outcome:
        """Add a turn of the log, visible; see `Document.fold`."""
        if self._own:
            self.close_beat()
        log, past = self.log, self._past
        given = past.parents_of(turn)
        hidden = past.hidden_before(turn)
        if (
            not hidden
            and not self.shown
            and not log.context
            and self._done == log.count
            and len(given) == len(log.heads) == 1
            and given[0] == log.turns.last
            and not self.floor.hidden
        ):  # it simply goes on from the last one, as most do
            length = fitted(operations, self.length)
            if length < 0:
                return Outcome.REFUSED
            log.follow(turn, operations)
            self.length = length
            self._lengths.append(length)
            self._done += 1
            return Outcome.TAKEN
        parents = self._lineage.parents(turn, given)
        context = self._lineage.context(hidden)
        if parents is None or context is None:
            return Outcome.TOO_OLD
        if parents == log.heads and self._done == log.count and context == self.shown:
            length = fitted(operations, self.length)
            if length < 0:
                return Outcome.REFUSED
            log.append(turn, operations, parents, context)
            self.length = length
            self._lengths.append(length)
            self._done += 1
            return Outcome.TAKEN
        log.append(turn, operations, parents, context)
        self.dirty = True
        return Outcome.TAKEN

    def look(self, turn: int, *, hidden: bool) -> Outcome:
        """Stop counting a turn, or count it again; so already is fine."""
        if self._own:
            self.close_beat()
        event = self.log.turns.find(turn)
        if event < 0:
            if turn not in self.floor:
                return Outcome.ELSEWHERE
            same = self._lineage.hidden_below(turn) == hidden
            return Outcome.TAKEN if same else Outcome.TOO_OLD
        self._wanted = _changed(self._wanted, event, hidden=hidden)
        self.dirty = self._done < self.log.count or self._wanted != self.shown
        return Outcome.TAKEN

    def _set_aside(self) -> frozenset[int]:
        """Return the hidden events that are known not to be in the version of this device."""
        if not self._aside:
            return frozenset()
        find, shown = self.log.turns.find, frozenset(self.shown)
        found = [find(turn) for turn in self._aside]
        return frozenset([event for event in found if event in shown])

    def close_beat(self) -> None:
        """Compare what turns of this device were made on with what their commits say by now.

        What is undone is in the past of what undoes it, and so of what is written then. What an
        authority hides, nobody makes a commit on, and that does not show before there is one:
        then what was guessed is put right, all is done anew, and the next guess knows.
        """
        self._own = self._guessing = False
        log, past, lineage = self.log, self._past, self._lineage
        wrong: dict[int, tuple[tuple[int, ...], Context]] = {}
        for event in self._guessed:
            turn = log.turns[event]
            parents = lineage.parents(turn, past.parents_of(turn))
            context = lineage.context(past.hidden_before(turn))
            assert parents is not None
            assert context is not None
            if (parents, context) != (log.parents_of(event), log.context_of(event)):
                wrong[event] = parents, context
            if context is not self.shown and event == self._guessed[-1]:
                there = frozenset(context)
                outside = [each for each in self.shown if each not in there]
                self._aside = tuple([log.turns[each] for each in outside])
        self._guessed.clear()
        if wrong:
            self._redo(wrong)

    def next_floor(self) -> Floor:
        """Return what the text stands for, now that all is done; there are events."""
        log, below = self.log, self.floor
        heads, hidden = self._lineage.without(self._set_aside(), log.heads, self.shown)
        turns = log.turns
        return Floor(
            tuple([turns[head] for head in heads if head >= 0]) or below.heads,
            below.spans + turns.spans(),
            (*below.hidden, *[turns[event] for event in hidden]),
        )

    def _redo(self, right: dict[int, tuple[tuple[int, ...], Context]]) -> None:
        """Start again with other parents and contexts of some events."""
        old, log = self.log, EventLog()
        for event in range(old.count):
            made_on = right.get(event, (old.parents_of(event), old.context_of(event)))
            log.append(old.turns[event], old.operations_of(event, event), *made_on)
        self.log = log
        self._lineage = Lineage(log, self._past, self.floor)
        self.rope = Rope(self.start)
        self.length = len(self.start)
        self._lengths = array("I")
        self._lengths_from = self._done = self._applied = 0
        self.shown = ()
        self._tracker = None
        self._checkpoints = []
        self.dirty = True

    def counts(self, turn: int) -> bool:
        """Tell whether a turn is done, visible, and fits."""
        event = self.log.turns.find(turn)
        if event < 0:
            return turn in self.floor and not self._lineage.hidden_below(turn)
        return event not in self.log.void and event not in self.shown

    # ------------------------------------------------------------------ settling

    def settle(self) -> None:
        """Do what waits, hide and show what is wanted."""
        if self._done < self.log.count:
            self._merge()
        if self._wanted != self.shown:
            self._look(self._wanted)
        self.dirty = False
        tracker = self._tracker
        if tracker is not None and self._done - tracker.upto > _TRACKER_IDLE_EVENTS:
            self._tracker = None

    def materialize(self) -> None:
        """Bring the rope up to what is done, with checkpoints on the way."""
        log, done = self.log, self._done
        if self._applied == log.starts[done]:
            return
        last = self._checkpoints[-1][0] if self._checkpoints else -1
        while done - last > _CHECKPOINT_EVENTS:
            last += _CHECKPOINT_EVENTS
            if self._applied <= log.starts[last + 1]:
                self._play(log.starts[last + 1])
                self._keep(last)
        self._play(log.starts[done])

    def _play(self, stop: int) -> None:
        """Apply the operations up to `stop` to the rope, as they stand."""
        log, rope, start = self.log, self.rope, self._applied
        if start == stop:
            return
        run = log.run_at(start)
        texts, positions = log.run_text, log.run_position
        while start < stop:
            offset = start - log.run_start[run]
            length = min(log.run_length[run] - offset, stop - start)
            text, kind = texts[run], log.run_kind[run]
            if kind == INSERT:
                if length != len(text):
                    text = text[offset : offset + length]
                rope.insert(positions[run] + offset, text)
            elif kind == ERASE:
                gone = rope.delete(positions[run] - offset - length + 1, length)
                if len(text) == offset:
                    texts[run] = gone + text
            else:
                gone = rope.delete(positions[run], length)
                if len(text) == offset:
                    texts[run] = text + gone
            start += length
            run += 1
        self._applied = stop

    def _keep(self, event: int) -> None:
        """Make a checkpoint, if this is a place for one: it holds the context of its event."""
        log, checkpoints = self.log, self._checkpoints
        if event < 0 or not log.is_critical(event) or self.shown != log.context_of(event):
            return
        checkpoints.append((event, self.rope.copy()))
        if len(checkpoints) > _CHECKPOINTS_MAX:
            del checkpoints[: _CHECKPOINTS_MAX // 2 : 2]

    def _merge(self) -> None:
        """Do all waiting events."""
        log = self.log
        while self._done < log.count:
            event = self._done
            if not log.sequential[event]:
                stop = log.sequential.find(1, event)
                self._merge_stretch(event, stop if stop >= 0 else log.count)
                continue
            context = log.context_of(event)
            if context != self.shown:
                self._look(context)
            length = fitted(log.operations_of(event, event), self.length)
            if length >= 0:
                self.length = length
            else:
                self.materialize()
                log.refuse(event)
                self._applied = log.starts[event + 1]
            self._lengths.append(self.length)
            self._done = event + 1

    def _merge_stretch(self, start: int, stop: int) -> None:
        """Do events start..stop-1, none sequential; all before are done."""
        self.materialize()
        log, rope = self.log, self.rope
        grouped = stop - start >= _GROUPED_EVENTS_MIN
        tracker = self._tracker_for(start, stop, grouped=grouped)
        for unit in self._units(tracker, start, stop, grouped=grouped):
            first, last = unit
            length = tracker.move(first)
            operations = log.operations_of(first, last)
            if fitted(operations, length) >= 0:
                tracker.apply(unit, operations, rope, hidden=False)
                continue
            for event in range(first, last + 1):
                length = tracker.move(event)
                operations = log.operations_of(event, event)
                if fitted(operations, length) < 0:
                    log.refuse(event)
                    operations = []
                tracker.apply((event, event), operations, rope, hidden=False)
        tracker.upto = stop
        self._lengths.extend([0] * (stop - start))
        self._done = stop
        self._applied = log.starts[stop]
        self.length = rope.length

    # ------------------------------------------------------------------ hiding and showing

    def _look(self, wanted: Context) -> None:
        """Make the text that of what is done without the events in `wanted`."""
        self.materialize()
        before, after = frozenset(self.shown), frozenset(wanted)
        for event in sorted(after - before, reverse=True):
            self._toggle(event, hidden=True)
        for event in sorted(before - after):
            self._toggle(event, hidden=False)
        assert self.shown == wanted
        self.length = self.rope.length

    def _toggle(self, event: int, *, hidden: bool) -> None:
        """Hide or show one event that is done; the rope is up to date."""
        log, rope = self.log, self.rope
        others = _changed(self.shown, event, hidden=False)
        below = bisect_left(others, event)
        operations: list[Operation] | None = None
        if event in log.void:
            operations = []
        elif (
            len(others) - below == self._done - 1 - event  # all that came later are hidden
            and log.sequential[event]
            and others[:below] == log.context_of(event)
        ):
            operations = log.undoing(event) if hidden else log.operations_of(event, event)
        if operations is None:
            self._tracker_below(event).look(event, rope, hidden=hidden)
        else:
            perform(operations, rope)
            tracker = self._tracker
            if tracker is not None and event < tracker.upto:
                if event > tracker.base and not tracker.grouped:
                    tracker.look(event, None, hidden=hidden)
                else:
                    self._tracker = None
        self.shown = _changed(self.shown, event, hidden=hidden)

    # ------------------------------------------------------------------ trackers

    def _tracker_for(self, start: int, stop: int, *, grouped: bool) -> Tracker:
        """Return a tracker that has all events before `start`, for start..stop-1."""
        base = self._agreed(self.log.critical_before(start), stop)
        if 0 <= base < self._lengths_from:
            base = -1
        tracker = self._tracker
        if (
            tracker is None
            or tracker.base > base
            or base + 1 >= tracker.upto
            or (base > tracker.base and len(tracker) > self._worth(base))
            or not self._serves(tracker, stop)
        ):
            if tracker is not None and tracker.grouped:
                grouped = False
            length = self._lengths[base - self._lengths_from] if base >= 0 else len(self.start)
            tracker = Tracker(self.log, self._rank, base, length, None)
            self._tracker = tracker
        self._catch_up(tracker, start, grouped=grouped)
        return tracker

    def _serves(self, tracker: Tracker, stop: int) -> bool:
        """Tell whether a tracker can go on with what is not in it yet, up to `stop`."""
        log = self.log
        if (
            not log.is_critical(tracker.base)
            or self._agreed(tracker.base, stop) != tracker.base
        ):
            return False
        if not tracker.grouped:
            return True
        if self.shown or log.has_contexts():
            return False
        first = bisect_left(log.branches, tracker.upto)
        return all(
            parent >= tracker.upto or tracker.knows(parent)
            for event in log.branches[first : bisect_left(log.branches, stop, first)]
            for parent in log.parents[event]
        )

    def _worth(self, base: int) -> int:
        """Return how many items a tracker may have before a new one at `base` is cheaper."""
        log = self.log
        return 8 * (len(log.run_start) - log.run_at(log.starts[base + 1] - 1)) + 512

    def _tracker_below(self, event: int) -> Tracker:
        """Return a tracker that has all that is done, from before `event`, and the text."""
        log, done = self.log, self._done
        tracker = self._tracker
        if (
            tracker is None
            or tracker.grouped
            or tracker.text is None
            or tracker.base >= event
            or not self._serves(tracker, done)
        ):
            base, text = -1, self.start
            for each, rope in reversed(self._checkpoints):
                if each < event and log.is_critical(each) and self._agreed(each, done) == each:
                    base, text = each, str(rope)
                    break
            tracker = Tracker(log, self._rank, base, len(text), text)
            self._tracker = tracker
        self._catch_up(tracker, done, grouped=False)
        return tracker

    def _catch_up(self, tracker: Tracker, stop: int, *, grouped: bool) -> None:
        """Apply the events before `stop`, which are in the rope already."""
        log, shown = self.log, frozenset(self.shown)
        if tracker.upto < stop:
            for unit in self._units(tracker, tracker.upto, stop, grouped=grouped):
                first, last = unit
                tracker.move(first)
                operations = log.operations_of(first, last) if first not in log.void else []
                tracker.apply(unit, operations, None, hidden=last in shown)
            tracker.upto = stop

    def _units(
        self, tracker: Tracker, start: int, stop: int, *, grouped: bool
    ) -> Sequence[Unit]:
        """Return the units in which to apply events, in order."""
        log = self.log
        if not grouped or self.shown or log.has_contexts() or tracker.text is not None:
            found = [(event, event) for event in range(start, stop)]
        else:
            end = min(log.critical_from(stop) + 1, log.count)
            found = units(log.parents, log.branches, log.void, start, stop, end)
        return branches(log.parents, found)

    def _agreed(self, base: int, stop: int) -> int:
        """Return the last critical event up to `base` that hiding lets a tracker start at.

        What is hidden up to there must be the same for the text and for all events after.
        """
        log, shown = self.log, self.shown
        if not shown and not log.has_contexts():
            return base
        while base >= 0:
            context = log.context_of(base)
            differing = base + 1
            for other in (*log.contexts_within(base + 1, stop), shown):
                if other is not context:
                    differing = min(differing, _first_difference(other, context, differing))
            if differing > base:
                break
            base = log.critical_before(differing)
        return base

    def _rank(self, event: int) -> bytes:
        return self._past.tie(self._tag, self.log.turns[event])

    # ------------------------------------------------------------------ checking

    def check(self) -> None:
        """Assert that text, length and parts follow from the events. Replays all of them."""
        assert not self.dirty
        log = self.log
        self.rope.check()
        log.check()
        assert self.length == self.rope.length
        assert self._applied == log.starts.end
        assert self._lengths_from + len(self._lengths) == self._done == log.count
        if self._tracker is not None:
            self._tracker.check()
        tracker = Tracker(log, self._rank, -1, len(self.start), self.start)
        rope = Rope(self.start)
        for event in range(self._done):
            length = tracker.move(event)
            operations = log.operations_of(event, event)
            assert (fitted(operations, length) < 0) == (event in log.void)
            if event in log.void:
                operations = []
            tracker.apply((event, event), operations, rope, hidden=event in self.shown)
        tracker.check()
        assert str(rope) == str(self.rope)


def perform(operations: Sequence[Operation], rope: Rope) -> None:
    """Apply operations to a text that they were made on."""
    for kind, position, length, text in operations:
        if kind == INSERT:
            rope.insert(position, text)
        else:
            rope.delete(position, length)


def _first_difference(a: Context, b: Context, stop: int) -> int:
    """Return the first event below `stop` that is in one and not in the other, else `stop`."""
    for one, other in zip(a, b, strict=False):
        if one != other:
            return min(one, other, stop)
    rest = a[len(b) :] or b[len(a) :]
    return min(rest[0], stop) if rest else stop


def _changed(events: Context, event: int, *, hidden: bool) -> Context:
    """Return ascending events with or without one."""
    at = bisect_left(events, event)
    there = at < len(events) and events[at] == event
    if there == hidden:
        return events
    return (*events[:at], event, *events[at:]) if hidden else events[:at] + events[at + 1 :]
