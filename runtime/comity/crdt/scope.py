"""What one replicated value inside a map or a list stands in: its turns, and which count.

Owns: which turns wrote the value, which deletions saw them, the set of turns that do not
count for it. May not know: keys, bytes, what the value is.

    loose    turns that no deletion has in its past
    own      of a deletion: the turns in its past that no deletion in its past has as well

A deletion takes away what it saw: the turns in its past no longer count for this value, just
as if each had been undone; a turn that it did not see still does. So one mechanism serves
undo, removed authors and deletion, and positions in a text mean what their author saw.
A deletion that is itself hidden takes nothing away.
Implements `causality.Causality` for the value, whose history it is.
Source: PROTOCOL section 2 (visible), decision 16; Baquero et al. 2017 (observed reset).
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple

from comity.base.canonical import Malformed
from comity.base.ids import DeviceId
from comity.crdt.causality import Causality

if TYPE_CHECKING:
    from comity.crdt.freezing import Freezer, Thawer

__all__ = ["Scope"]


class _Deletion(NamedTuple):
    """A deletion of the value.

    before: indexes of the deletions in its past that no other of them has in its past.
    own: the turns that it is the first to take away.
    """

    turn: int
    before: tuple[int, ...]
    own: tuple[int, ...]


class Scope:
    """The turns of one nested value. `hidden`: those that do not count; the value reads it."""

    __slots__ = (
        "_causality",
        "_deletions",
        "_given",
        "_loose",
        "_outer",
        "_tips",
        "_turns",
        "hidden",
    )

    def __init__(self, causality: Causality, outer: set[int]) -> None:
        """Start without turns. outer: those that do not count around here, as they change."""
        self._causality = causality
        self._outer = outer
        self._turns: list[int] = []
        self._loose: list[int] = []
        self._deletions: list[_Deletion] = []
        self._tips: tuple[int, ...] = ()
        self._given: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]] = ((), (), ())
        self.hidden: set[int] = set()

    # ------------------------------------------------------------------ causality, inside

    def before(self, a: int, b: int) -> bool:
        """Tell whether one turn is in the past of another."""
        return self._causality.before(a, b)

    def tie(self, field_tag: bytes, turn: int) -> bytes:
        """Return what orders a turn among concurrent ones."""
        return self._causality.tie(field_tag, turn)

    def parents_of(self, turn: int) -> tuple[int, ...]:
        """Return the turns that a turn was made directly on."""
        return self._causality.parents_of(turn)

    def author(self, turn: int) -> DeviceId:
        """Return whose turn it is."""
        return self._causality.author(turn)

    def role(self, turn: int) -> int:
        """Return the role under which a turn was made."""
        return self._causality.role(turn)

    def hidden_before(self, turn: int) -> tuple[int, ...]:
        """Return the turns that did not count for this value where a turn was made.

        A deletion in the turn itself comes before all else that it does to the value.
        """
        outside = self._causality.hidden_before(turn)
        if not self._deletions:
            return outside
        latest = self._latest(turn, frozenset(outside))
        given, beyond, found = self._given
        if latest != given or outside is not beyond:
            taken = self._taken(latest)
            found = tuple(sorted(taken.union(outside))) if taken else outside
            self._given = latest, outside, found
        return found

    def withdrawn_before(self, turn: int) -> tuple[int, ...]:
        """Return the turns that did not count there, whoever undid them; as around here."""
        return self._causality.withdrawn_before(turn)

    # ------------------------------------------------------------------ turns

    def write(self, turn: int) -> None:
        """Learn that a turn writes the value; the last one so far, visible."""
        turns = self._turns
        if not turns or turns[-1] != turn:
            turns.append(turn)
            self._loose.append(turn)

    def delete(self, turn: int) -> tuple[int, ...]:
        """Learn that a turn, the last one so far, deletes; return what counts no longer."""
        before = self._causality.before
        deletions = self._deletions
        seen = self._latest(turn, frozenset())
        unseen: list[int] = []
        if seen != self._tips:
            past = self._closed(seen)
            unseen = [
                each
                for index, deletion in enumerate(deletions)
                if index not in past
                for each in deletion.own
            ]
        own = [each for each in (*unseen, *self._loose) if each < turn and before(each, turn)]
        self._tips = (*[each for each in self._tips if each not in seen], len(deletions))
        deletions.append(_Deletion(turn, seen, tuple(sorted(own))))
        gone = frozenset(own)
        self._loose = [each for each in self._loose if each not in gone]
        if self._outer:
            return self._look()
        turned = tuple(sorted(gone - self.hidden))
        self.hidden.update(turned)
        return turned

    def changed(self, turn: int) -> tuple[int, ...]:
        """Decide anew after a turn was hidden or shown outside; return what turned, sorted."""
        if any(each.turn == turn for each in self._deletions):
            return self._look()
        index = bisect_left(self._turns, turn)
        if index == len(self._turns) or self._turns[index] != turn:
            return ()
        hides = turn in self._outer or turn in self._taken(self._visible())
        if hides == (turn in self.hidden):
            return ()
        self.hidden ^= {turn}
        return (turn,)

    def wrote(self, turn: int) -> bool:
        """Tell whether a turn writes the value."""
        index = bisect_left(self._turns, turn)
        return index < len(self._turns) and self._turns[index] == turn

    def freeze(self, out: Freezer) -> None:
        """Write turns and deletions."""
        out.ascending(self._turns)
        out.ascending(self._loose)
        out.ascending([each.turn for each in self._deletions])
        out.groups([each.before for each in self._deletions])
        out.groups([each.own for each in self._deletions])
        out.numbers(self._tips)
        out.ascending(sorted(self.hidden))

    def thaw(self, data: Thawer) -> None:
        """Take what `freeze` wrote. Raises: Malformed."""
        self._turns = data.ascending(strictly=True)
        self._loose = data.ascending(strictly=True)
        turns = data.ascending(strictly=True)
        count = len(turns)
        befores, owns = data.groups(count, count), data.groups(data.turns, count)
        for turn, before, own in zip(turns, befores, owns, strict=True):
            if before and max(before) >= len(self._deletions):
                raise Malformed(f"deletion {max(before)} before {len(self._deletions)}")
            self._deletions.append(_Deletion(turn, tuple(before), tuple(own)))
        self._tips = tuple(data.numbers(None, count))
        self.hidden.update(data.ascending(strictly=True))

    def check(self) -> None:
        """Assert that what counts follows from the definition. O(n^2)."""
        before = self._causality.before
        gone = self._outer.intersection(self._turns)
        for each in self._deletions:
            seen = [
                turn for turn in self._turns if turn < each.turn and before(turn, each.turn)
            ]
            if each.turn not in self._outer:
                gone.update(seen)
        assert self.hidden == gone
        assert self._turns == sorted(set(self._turns))

    # ------------------------------------------------------------------ inside

    def _look(self) -> tuple[int, ...]:
        """Decide anew which turns count; return those that turned."""
        gone = self._taken(self._visible())
        if self._outer:
            gone.update([turn for turn in self._turns if turn in self._outer])
        turned = tuple(sorted(gone ^ self.hidden))
        self.hidden.symmetric_difference_update(turned)
        return turned

    def _visible(self) -> tuple[int, ...]:
        """Return the deletions that count, but for those in the past of others."""
        if not self._outer:
            return self._tips
        deletions = self._deletions
        return tuple([i for i, each in enumerate(deletions) if each.turn not in self._outer])

    def _latest(self, turn: int, out: frozenset[int]) -> tuple[int, ...]:
        """Return the latest deletions in a turn or its past, but for hidden ones."""
        before, deletions = self._causality.before, self._deletions
        found: list[int] = []
        passed: dict[int, None] = {}
        waiting = list(self._tips)
        while waiting:
            index = waiting.pop()
            if index in passed:
                continue
            passed[index] = None
            each = deletions[index]
            seen = each.turn == turn or (each.turn < turn and before(each.turn, turn))
            if seen and each.turn not in out:
                found.append(index)
            else:
                waiting += each.before
        if len(found) > 1:
            turns = [deletions[index].turn for index in found]
            found = [
                index
                for index, mine in zip(found, turns, strict=True)
                if not any(mine < each and before(mine, each) for each in turns)
            ]
        return tuple(sorted(found))

    def _closed(self, latest: tuple[int, ...]) -> dict[int, None]:
        """Return deletions and all those in their past."""
        found: dict[int, None] = {}
        waiting = list(latest)
        while waiting:
            index = waiting.pop()
            if index not in found:
                found[index] = None
                waiting += self._deletions[index].before
        return found

    def _taken(self, latest: tuple[int, ...]) -> set[int]:
        """Return the turns that deletions and those in their past take away."""
        taken: set[int] = set()
        for index in self._closed(latest):
            taken.update(self._deletions[index].own)
        return taken
