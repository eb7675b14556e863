"""A list of values that several write at once: what each operation did, and what counts.

Owns: elements, the writes to them, two versions of both. May not know: bytes, users' types.

    element    what an insertion made; named by its slot
    content    insertion, sets and deletions of an element: it is there while one that nothing
               later replaced is no deletion; of concurrent sets the larger tie counts
    place      the slot of its insertion, or that of the move that counts: of concurrent moves
               the larger tie does, so none is lost and none is there twice

So a set wins over a concurrent deletion, and a move follows whatever becomes of its element.
Positions of operations count in the version that their turn was made on. That version differs
from the list as it is by the turns that count in one and not in the other (`_out`); only
what these touched is decided anew, and nothing while all are made one after another.
A turn that does not fit the list it was made on is no-op, as a whole.
About 60 bytes and a value for each element; more for those that were set, moved or deleted.
Source: PROTOCOL section 2 (visible, ties); Kleppmann 2020, Moving Elements in List CRDTs.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from itertools import chain
from typing import Any, Final, Protocol

from comity.crdt.causality import Causality
from comity.crdt.element_columns import Kept, Write
from comity.crdt.operation import DELETE, INSERT, MOVE, SET, UNDER, Done, Operation, touched
from comity.crdt.slots import NOWHERE, Slots

__all__ = [
    "DELETE",
    "INSERT",
    "MOVE",
    "SET",
    "UNDER",
    "Elements",
    "Guest",
    "Operation",
    "fits",
]

Value = Any

_NOBODY: Final[frozenset[int]] = frozenset()


class Guest(Protocol):
    """Who is told of slots as they are made; `forest.Forest` is one."""

    def under(self, element: int) -> None:
        """Learn what `UNDER` names; NOWHERE for none."""
        ...

    def placed(self, count: int, *, moves: bool) -> None:
        """Learn that slots were made, at the end of all; before a move is recorded."""
        ...

    def cut(self, first: int) -> None:
        """Learn that the slots from `first` on are taken back."""
        ...


def fits(operations: Iterable[Operation], length: int) -> bool:
    """Tell whether all operations lie within a list of `length`, one after another."""
    for kind, position, count, _ in operations:
        if kind == UNDER:
            if position >= length:
                return False
        elif kind == INSERT:
            if position > length:
                return False
            length += count
        elif kind == MOVE:
            if max(position, count) >= length:
                return False
        elif position + count > length:
            return False
        elif kind == DELETE:
            length -= count
    return True


class Elements:
    """All that was ever done to one list."""

    __slots__ = (
        "_causality",
        "_contents",
        "_critical",
        "_hidden",
        "_is_open",
        "_missing",
        "_moved",
        "_newest",
        "_out",
        "_places",
        "_settled",
        "_slot_turns",
        "_touches",
        "_turns",
        "_unbound",
        "_values",
        "guest",
        "judge",
        "slots",
        "tag",
    )

    def __init__(self, tag: bytes, causality: Causality) -> None:
        """Start empty. tag: of the field, for ties."""
        self.tag = tag
        self.guest: Guest | None = None
        self.slots = Slots()
        self._causality = causality
        self._settled = -1
        self._turns = array("q")
        self._critical = bytearray()
        self._slot_turns = array("q")
        self._values: list[Value] = []
        self._newest: dict[int, Value] = {}
        self._contents: dict[int, list[Write]] = {}
        self._places: dict[int, list[Write]] = {}
        self._moved: dict[int, int] = {}
        self._touches: dict[int, list[int]] = {}
        self._hidden: set[int] = set()
        self._out: frozenset[int] = _NOBODY
        self._missing: frozenset[int] = _NOBODY
        self._is_open = False
        self._unbound: list[tuple[int, Sequence[Operation]]] = []
        self.judge: Callable[[int, Sequence[Done]], str] | None = None

    def __len__(self) -> int:
        """Return how many elements are there."""
        return self.slots.length

    # ------------------------------------------------------------------ reading

    def value(self, position: int) -> Value:
        """Return the value at a position below the length."""
        return self._read(self.slots.shown_at(position))

    def values(self) -> list[Value]:
        """Return all values, in order. O(n)."""
        if not self._newest and not self._moved:
            return [self._values[slot] for slot in self.slots.taken()]
        return [self._read(slot) for slot in self.slots.taken()]

    # ------------------------------------------------------------------ for trees

    @property
    def version(self) -> AbstractSet[int]:
        """The turns that do not count in the version that positions count in."""
        return self._hidden if self.slots.seen is None else self._out

    @property
    def hidden(self) -> AbstractSet[int]:
        """The turns that do not count now."""
        return self._hidden

    def moved(self) -> Iterable[int]:
        """Return the elements that were ever moved."""
        return self._places

    def element(self, slot: int) -> int:
        """Return which element a slot is of."""
        return self._moved.get(slot, slot)

    def read(self, element: int) -> Value:
        """Return the value of an element that is there."""
        return self._read(element)

    def turn(self, slot: int) -> int:
        """Return the turn that made a slot."""
        return self._slot_turns[slot]

    def place(self, element: int, out: AbstractSet[int], without: Iterable[int]) -> int:
        """Return the slot of an element where some turns and some moves do not count.

        Whether it is deleted is not asked for, nor whether its insertion counts.
        """
        places = self._places.get(element)
        if places:
            if without:
                places = [each for each in places if each.value not in without]
            if heads := self._heads(places, out):
                return int(self._winner(heads).value)
        return element

    def shown(self, element: int) -> int:
        """Return the slot in which an element is there; NOWHERE if it is not."""
        return self._outcome(element, self._hidden)[0]

    def replaces(self, a: int, b: int) -> bool:
        """Tell whether the turn of slot `b` was made on that of `a`; of one turn, the later."""
        one, other = self._slot_turns[a], self._slot_turns[b]
        return a < b if one == other else one < other and self._before(one, other)

    def tie(self, slot: int) -> tuple[bytes, int]:
        """Return what orders slots that do not replace each other; the larger wins."""
        return self._causality.tie(self.tag, self._slot_turns[slot]), slot

    # ------------------------------------------------------------------ turns of this device

    def begin(self) -> None:
        """Begin a turn of this device: positions count in the list as it is."""
        if self._is_open:
            self._close()

    def insert(self, turn: int, position: int, value: Value) -> None:
        """Insert one value as the first operation of the open turn; faster than `write`."""
        if self.judge is not None:
            self._refused(turn, (Operation(INSERT, position, 1, (value,)),))
        self._turns.append(turn)
        self._critical.append(1)
        slots = self.slots
        if position == slots.length and slots.push():
            self._slot_turns.append(turn)
            self._values.append(value)
        else:
            self._insert(turn, slots.at(position - 1), (value,))

    def write(self, turn: int, operation: Operation) -> None:
        """Do one operation that fits in the open turn.

        Raises: what `judge` raises, if one is set.
        """
        if self.judge is not None:
            self._refused(turn, (operation,))
        turns = self._turns
        if not turns or turns[-1] != turn:
            turns.append(turn)
            self._critical.append(1)
        if not self._push(turn, operation):
            self._apply(turn, operation)

    def commit(self, turn: int, operations: Sequence[Operation]) -> None:
        """Keep what the open turn did."""
        if self._hidden:  # what hides it may lie outside the past of the turn, see `bound`
            self._unbound.append((turn, operations))

    def rollback(self, turn: int) -> None:
        """Take back what a turn did, the newest that did anything."""
        if not self._turns or self._turns[-1] != turn:
            return
        self._turns.pop()
        self._critical.pop()
        first = bisect_left(self._slot_turns, turn)
        touched = self._touches.pop(turn, [])
        for element in touched:
            for writes in (self._contents, self._places):
                mine = writes.get(element)
                while mine and mine[-1].turn == turn:
                    mine.pop()
                if mine is not None and not mine:
                    del writes[element]
        for element in touched:
            if element < first:
                self._decide(element)
            else:
                self._newest.pop(element, None)
        for slot in range(first, len(self.slots)):
            self._moved.pop(slot, None)
        self.slots.cut(first)
        del self._slot_turns[first:], self._values[first:]
        if self.guest is not None:
            self.guest.cut(first)

    def bound(self, turn: int) -> None:
        """Learn the place of a turn of this device: it may not stand on all that is here.

        Where it does not, it is done anew, as every other device does it.
        """
        if not self._unbound or self._unbound[0][0] != turn:
            return
        later = self._unbound
        self._unbound = []
        missing = self._missing_from(turn)
        if not missing and not self._hidden_in(turn) ^ self._hidden:
            self._unbound = later[1:]
            return
        self._close()
        for each, _ in reversed(later):
            self.rollback(each)
        self.fold(turn, later[0][1])
        self._close()
        for each, operations in later[1:]:
            for operation in operations:
                self.write(each, operation)
            self.commit(each, operations)

    # ------------------------------------------------------------------ turns of the log

    def fold(self, turn: int, operations: Sequence[Operation]) -> bool:
        """Apply a turn on the version that it was made on; tell whether it fitted."""
        self._settled = turn
        if self._unbound and self._unbound[0][0] < turn:
            self._unbound.clear()
        turns, causality = self._turns, self._causality
        if turns and self._critical[-1] and causality.before(turns[-1], turn):  # as mostly
            missing = _NOBODY
        else:
            missing = self._missing_from(turn)
        if missing or self._hidden or causality.hidden_before(turn):
            self._open(missing, missing | self._hidden_in(turn))
        elif self._is_open:
            self._close()
        turns.append(turn)
        self._critical.append(not missing)
        judged = self.judge is not None
        if not judged and len(operations) == 1 and self._push(turn, operations[0]):
            return True
        slots = self.slots
        length = slots.length if slots.seen is None else slots.seen_length
        if not fits(operations, length) or (judged and self._refused(turn, operations)):
            return False
        for operation in operations:
            if not self._push(turn, operation):
                self._apply(turn, operation)
        return True

    def look(self, turn: int, *, hidden: bool) -> bool:
        """Count a turn no longer, or again; tell whether it is in here."""
        index = bisect_left(self._turns, turn)
        if index == len(self._turns) or self._turns[index] != turn:
            return False
        if hidden:
            self._hidden.add(turn)
        else:
            self._hidden.discard(turn)
        for element in self._touched(turn):
            self._decide(element)
        return True

    def check(self) -> None:
        """Assert that all derived state follows from what was done. O(n^2)."""
        self.slots.check()
        assert self._is_open or not (self._missing or self._out or self.slots.seen is not None)
        assert len(self._slot_turns) == len(self._values) == len(self.slots)
        assert list(self._turns) == sorted(set(self._turns))
        assert len(self._critical) == len(self._turns)
        assert all(hidden in self._turns for hidden in sorted(self._hidden))
        taken: dict[int, int] = {}
        for slot in range(len(self.slots)):
            if slot not in self._moved:
                place, value = self._outcome(slot, self._hidden)
                if place != NOWHERE:
                    taken[place] = slot
                    assert self._read(place) is value
        assert sorted(self.slots.taken()) == sorted(taken)
        assert all(self._element(slot) == element for slot, element in taken.items())

    # ------------------------------------------------------------------ frozen

    def kept(self) -> Kept:
        """Return all that was done, beside `slots`; no turn is open."""
        self.begin()
        return Kept(
            [*self._turns],
            bytes(self._critical),
            self._settled,
            sorted(self._hidden),
            [*self._slot_turns],
            self._values,
            self._contents,
            self._places,
        )

    def take(self, kept: Kept) -> None:
        """Go on from what `kept` gave, while empty; `slots` has its part already."""
        self._turns = array("q", kept.turns)
        self._critical = bytearray(kept.critical)
        self._settled = kept.settled
        self._hidden = set(kept.hidden)
        self._slot_turns = array("q", kept.slots)
        self._values = kept.values
        self._contents, self._places = {**kept.contents}, {**kept.places}
        for element, writes in chain(self._contents.items(), self._places.items()):
            for each in writes:
                self._touches.setdefault(each.turn, []).append(element)
        for element, writes in self._places.items():
            self._moved.update(dict.fromkeys([each.value for each in writes], element))
        for element in self._contents:
            place, value = self._outcome(element, self._hidden)
            if place != NOWHERE and value is not self._values[element]:
                self._newest[element] = value

    # ------------------------------------------------------------------ operations

    def _refused(self, turn: int, operations: Sequence[Operation]) -> bool:
        """Ask whether a turn may do this. Cost of more than one operation: that of the list."""
        assert self.judge is not None
        slots, at = self.slots, self.slots.at
        length = slots.length if slots.seen is None else slots.seen_length

        def made(place: int) -> int:
            return self._slot_turns[self._element(at(place))]

        return bool(self.judge(turn, touched(turn, operations, made, length)))

    def _push(self, turn: int, operation: Operation) -> bool:
        """Append one value, as most turns do, if nothing else needs a look; tell if so."""
        kind, position, number, values = operation
        slots = self.slots
        if kind != INSERT or number != 1 or position != slots.length or self._missing:
            return False
        if self.guest is not None or slots.seen is not None or not slots.push():
            return False
        self._slot_turns.append(turn)
        self._values.append(values[0])
        return True

    def _apply(self, turn: int, operation: Operation) -> None:
        """Do one operation at its positions in the version at hand."""
        kind, position, count, values = operation
        at = self.slots.at
        if kind == INSERT:
            self._insert(turn, at(position - 1), values)
            if self.guest is not None:
                self.guest.placed(len(values), moves=False)
        elif kind == UNDER:
            assert self.guest is not None
            self.guest.under(NOWHERE if position < 0 else self._element(at(position)))
        elif kind == MOVE:
            element = self._element(at(position))
            left = at(count - 1 if count <= position else count)
            slot = self._insert(turn, left, (None,))[0]
            self._moved[slot] = element
            if self.guest is not None:
                self.guest.placed(1, moves=True)
            self._record(self._places, element, turn, MOVE, slot)
        elif kind == SET:
            for place, value in enumerate(values, position):
                self._record(self._contents, self._element(at(place)), turn, SET, value)
        else:
            found = [self._element(at(place)) for place in range(position, position + count)]
            for element in found:
                self._record(self._contents, element, turn, DELETE, None)

    def _insert(self, turn: int, left: int, values: Sequence[Value]) -> range:
        slots, missing = self.slots, self._missing
        turns = self._slot_turns

        def is_known(slot: int) -> bool:
            return turns[slot] not in missing

        def goes_before(other: int) -> bool:
            tie = self._causality.tie
            return tie(self.tag, turn) < tie(self.tag, turns[other])

        gap = slots.gap(left, is_known if missing else None)
        made = slots.append(left, gap, len(values), goes_before)
        self._slot_turns.extend([turn] * len(values))
        self._values.extend(values)
        return made

    def _record(
        self, writes: dict[int, list[Write]], element: int, turn: int, kind: int, value: Value
    ) -> None:
        missing = self._missing
        mine = writes.setdefault(element, [])
        alone = not missing or not any(each.turn in missing for each in mine)
        mine.append(Write(turn, kind, value, alone))
        self._touches.setdefault(turn, []).append(element)
        self._decide(element)

    def _element(self, slot: int) -> int:
        return self._moved.get(slot, slot)

    def _read(self, slot: int) -> Value:
        element = self._moved.get(slot, slot)
        newest = self._newest
        return newest[element] if element in newest else self._values[element]

    # ------------------------------------------------------------------ what counts

    def _decide(self, element: int) -> None:
        """Decide where an element is and what it reads, in both versions."""
        place, value = self._outcome(element, self._hidden)
        if value is self._values[element]:
            self._newest.pop(element, None)
        elif place != NOWHERE:
            self._newest[element] = value
        mine = [element, *(each.value for each in self._places.get(element, ()))]
        for slot in mine:
            self.slots.show(slot, taken=slot == place)
        if self.slots.seen is not None:
            place, _ = self._outcome(element, self._out)
            for slot in mine:
                self.slots.see(slot, taken=slot == place)

    def _outcome(self, element: int, out: AbstractSet[int]) -> tuple[int, Value]:
        """Return slot and value of an element where some turns do not count."""
        value = self._values[element]
        if self._slot_turns[element] in out:
            return NOWHERE, value
        contents = self._contents.get(element)
        if contents and (heads := self._heads(contents, out)):
            sets = [each for each in heads if each.kind == SET]
            if not sets:
                return NOWHERE, value
            value = self._winner(sets).value
        places = self._places.get(element)
        if places and (heads := self._heads(places, out)):
            return self._winner(heads).value, value
        return element, value

    def _heads(self, writes: list[Write], out: AbstractSet[int]) -> list[Write]:
        """Return the writes that count and that no later one that counts replaces."""
        heads: list[Write] = []
        for each in reversed(writes):
            if each.turn not in out:
                if not any(self._before(each.turn, head.turn) for head in heads):
                    heads.append(each)
                if each.alone:
                    break
        return heads

    def _winner(self, heads: list[Write]) -> Write:
        if len(heads) == 1:
            return heads[0]
        return max(heads, key=lambda each: self._causality.tie(self.tag, each.turn))

    def _before(self, a: int, b: int) -> bool:
        """Tell whether a write is replaced by a later one of turn `b`."""
        return a == b or b > self._settled or self._causality.before(a, b)

    # ------------------------------------------------------------------ versions

    def _missing_from(self, turn: int) -> frozenset[int]:
        """Return the turns of the list that a turn does not have in its past."""
        turns = self._turns
        index = len(turns) - 1
        while index >= 0 and turns[index] >= turn:
            index -= 1
        before = self._causality.before
        found: list[int] = []
        while index >= 0:
            each = turns[index]
            if not before(each, turn):
                found.append(each)
            elif self._critical[index]:
                break
            index -= 1
        return frozenset(found) if found else _NOBODY

    def _hidden_in(self, turn: int) -> frozenset[int]:
        """Return the turns of the list that did not count where a turn was made."""
        turns = self._turns
        found: list[int] = []
        for each in self._causality.hidden_before(turn):
            index = bisect_left(turns, each)
            if index < len(turns) and turns[index] == each:
                found.append(each)
        return frozenset(found)

    def _open(self, missing: frozenset[int], out: frozenset[int]) -> None:
        """Make the version without some turns the one that positions count in."""
        self._missing = missing
        self._is_open = True
        if not out ^ self._hidden:
            self._close()
            self._missing = missing
            self._is_open = bool(missing)
            return
        if self.slots.seen is None:
            self.slots.fork()
            self._out = frozenset(self._hidden)
        turned = out ^ self._out
        self._out = out
        touched = {element: None for each in sorted(turned) for element in self._touched(each)}
        for element in touched:
            place, _ = self._outcome(element, out)
            for slot in (element, *(each.value for each in self._places.get(element, ()))):
                self.slots.see(slot, taken=slot == place)

    def _close(self) -> None:
        """Make the list as it is the version that positions count in."""
        self.slots.join()
        self._missing = self._out = _NOBODY
        self._is_open = False

    def _touched(self, turn: int) -> Iterable[int]:
        """Return the elements that a turn made, set, deleted or moved."""
        index = bisect_left(self._slot_turns, turn)
        found = dict.fromkeys(self._touches.get(turn, ()))
        while index < len(self._slot_turns) and self._slot_turns[index] == turn:
            found[self._element(index)] = None
            index += 1
        return found
