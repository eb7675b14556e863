"""Places in a list, in one order for ever, and which of them are taken in two versions.

Owns: the order of slots, their counts. May not know: elements, operations, causality.

    slot       a place that an insertion or a move made; numbered as they came, never removed,
               except the newest, when a turn is taken back
    shown      taken in the list as it is now
    seen       taken in the version that the operation at hand was made on; only while `fork`ed
    block      up to 512 slots that stand side by side, and how many of each kind are taken

An insertion keeps what its author saw on either side, taken or not. Slots that its author did
not know and that stand between the two are compared (`_place`): runs do not interleave.
Finding costs a walk over the blocks: n / 512, or nothing at the end of the list.
Source: Weidner & Kleppmann 2023, section 5 (the order of YjsMod, which equals FugueMax).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from comity.base.canonical import Malformed

if TYPE_CHECKING:
    from comity.crdt.freezing import Freezer, Thawer

__all__ = ["NOWHERE", "Slots"]

NOWHERE: Final = -1
"""The slot before the first and after the last one."""

_BLOCK: Final = 512
"""Slots in a block: twice as many cost more to insert in, half as many more blocks to pass."""


class _Block:
    """Neighbours in the order."""

    __slots__ = ("seen", "shown", "slots")

    def __init__(self, slots: list[int]) -> None:
        self.slots = slots
        self.shown = 0
        self.seen = 0


class Slots:
    """The slots of one list. `shown` and `seen` are flags by slot; read them only."""

    __slots__ = (
        "_blocks",
        "_left",
        "_right",
        "_where",
        "length",
        "seen",
        "seen_length",
        "shown",
    )

    def __init__(self) -> None:
        """Start without slots."""
        self._blocks = [_Block([])]
        self._where: list[_Block] = []
        self._left = array("q")
        self._right = array("q")
        self.shown = bytearray()
        self.seen: bytearray | None = None
        self.length = 0
        self.seen_length = 0

    def __len__(self) -> int:
        """Return the number of slots, taken or not."""
        return len(self._where)

    # ------------------------------------------------------------------ the second version

    def fork(self) -> None:
        """Begin to count a second version, which is as the list is now."""
        self.seen = bytearray(self.shown)
        self.seen_length = self.length
        for block in self._blocks:
            block.seen = block.shown

    def join(self) -> None:
        """Count the second version no longer."""
        self.seen = None

    # ------------------------------------------------------------------ frozen

    def freeze(self, out: Freezer) -> None:
        """Write the order of all slots, what each stands between, which are shown."""
        out.numbers([*self.order()])
        out.numbers([each + 1 for each in self._left])
        out.numbers([each + 1 for each in self._right])
        out.flags(self.shown)

    def thaw(self, data: Thawer) -> None:
        """Take what `freeze` wrote, while empty. Raises: Malformed."""
        order = data.numbers()
        count = len(order)
        if sorted(order) != [*range(count)]:
            raise Malformed("a slot stands twice")
        self._left = array("q", [each - 1 for each in data.numbers(count, count + 1)])
        self._right = array("q", [each - 1 for each in data.numbers(count, count + 1)])
        self.shown = bytearray(data.flags(count))
        self.length = sum(self.shown)
        (block,) = self._blocks
        self._where = [block] * count
        for start in range(0, count, _BLOCK // 2):
            if start:
                block = _Block([])
                self._blocks.append(block)
            block.slots = order[start : start + _BLOCK // 2]
            block.shown = sum([self.shown[slot] for slot in block.slots])
            for slot in block.slots:
                self._where[slot] = block

    # ------------------------------------------------------------------ reading

    def taken(self) -> Iterator[int]:
        """Return the slots that are shown, in order."""
        shown = self.shown
        for block in self._blocks:
            if block.shown == len(block.slots):
                yield from block.slots
            elif block.shown:
                yield from [slot for slot in block.slots if shown[slot]]

    def order(self) -> Iterator[int]:
        """Return all slots, in order."""
        for block in self._blocks:
            yield from block.slots

    def position(self, slot: int) -> int:
        """Return the position of a slot that is shown."""
        assert self.shown[slot]
        mine, shown = self._where[slot], self.shown
        position = 0
        for block in self._blocks:
            if block is mine:
                break
            position += block.shown
        return position + sum([shown[each] for each in mine.slots[: mine.slots.index(slot)]])

    def at(self, position: int) -> int:
        """Return the slot at a position of the version at hand: the second one if forked.

        NOWHERE for -1. The position is below the length of that version.
        """
        if position < 0:
            return NOWHERE
        seen = self.seen
        if seen is None:
            return self.shown_at(position)
        for block in self._blocks:
            if position < block.seen:
                return _nth(block.slots, seen, position, block.seen)
            position -= block.seen
        raise AssertionError(position)

    def shown_at(self, position: int) -> int:
        """Return the slot at a position of the list as it is now."""
        last = self._blocks[-1]
        rest = position - self.length + last.shown
        if rest >= 0 and last.shown == len(last.slots):
            return last.slots[rest]
        for block in self._blocks:
            if position < block.shown:
                return _nth(block.slots, self.shown, position, block.shown)
            position -= block.shown
        raise AssertionError(position)

    def gap(
        self, left: int, is_known: Callable[[int], bool] | None
    ) -> tuple[dict[int, None], int]:
        """Return the slots behind one that are not known, in order, and the first that is.

        is_known: None if all are. NOWHERE is the start, and the end.
        """
        number, index = self._after(left)
        between: dict[int, None] = {}
        while number < len(self._blocks):
            slots = self._blocks[number].slots
            while index < len(slots):
                if is_known is None or is_known(slots[index]):
                    return between, slots[index]
                between[slots[index]] = None
                index += 1
            number, index = number + 1, 0
        return between, NOWHERE

    # ------------------------------------------------------------------ writing

    def append(
        self,
        left: int,
        gap: tuple[dict[int, None], int],
        count: int,
        goes_before: Callable[[int], bool],
    ) -> range:
        """Make slots behind one, one after another, taken in both versions; return them.

        gap: what `gap` returned for `left`. goes_before: tells whether the new slots go before
        another one that was made between the same two.
        """
        between, right = gap
        first = len(self._where)
        made = range(first, first + count)
        after = self._place(between, left, right, goes_before) if between else left
        number, index = self._after(after)
        block = self._blocks[number]
        if index == len(block.slots):
            block.slots.extend(made)
        else:
            block.slots[index:index] = made
        block.shown += count
        self.length += count
        self.shown += b"\x01" * count
        if self.seen is not None:
            self.seen += b"\x01" * count
            block.seen += count
            self.seen_length += count
        self._left.append(left)
        self._left.extend(made[:-1])
        self._right.extend([right] * count)
        self._where.extend([block] * count)
        if len(block.slots) > _BLOCK:
            self._split(number)
        return made

    def push(self) -> bool:
        """Make a taken slot behind the last one, if that is taken too; tell whether it was.

        The same as `append`, for what most insertions are; without a second version.
        """
        block = self._blocks[-1]
        slots = block.slots
        if not slots or len(slots) == _BLOCK or not self.shown[slots[-1]]:
            return False
        self._left.append(slots[-1])
        self._right.append(NOWHERE)
        slots.append(len(self._where))
        self._where.append(block)
        self.shown.append(1)
        block.shown += 1
        self.length += 1
        return True

    def show(self, slot: int, *, taken: bool) -> None:
        """Say whether a slot is taken in the list as it is now."""
        if self.shown[slot] != taken:
            self.shown[slot] = taken
            change = 1 if taken else -1
            self._where[slot].shown += change
            self.length += change

    def see(self, slot: int, *, taken: bool) -> None:
        """Say whether a slot is taken in the second version."""
        assert self.seen is not None
        if self.seen[slot] != taken:
            self.seen[slot] = taken
            change = 1 if taken else -1
            self._where[slot].seen += change
            self.seen_length += change

    def cut(self, first: int) -> None:
        """Take back the slots from `first` on; none of those that stay has one at its side."""
        assert self.seen is None
        for slot in range(len(self._where) - 1, first - 1, -1):
            self.show(slot, taken=False)
            block = self._where.pop()
            block.slots.remove(slot)
            if not block.slots and len(self._blocks) > 1:
                self._blocks.remove(block)
        del self._left[first:], self._right[first:], self.shown[first:]

    def check(self) -> None:
        """Assert that counts, blocks and columns agree."""
        assert len(self._left) == len(self._right) == len(self.shown) == len(self._where)
        for block in self._blocks:
            assert len(block.slots) <= _BLOCK
            assert block.slots or len(self._blocks) == 1
            assert block.shown == sum(self.shown[slot] for slot in block.slots)
            assert all(self._where[slot] is block for slot in block.slots)
            assert self.seen is None or block.seen == sum(self.seen[s] for s in block.slots)
        order = [slot for block in self._blocks for slot in block.slots]
        assert sorted(order) == list(range(len(self._where)))
        assert self.length == sum(self.shown)
        assert self.seen is None or self.seen_length == sum(self.seen)
        places = {slot: place for place, slot in enumerate(order)}
        for slot, place in places.items():
            assert places.get(self._left[slot], -1) < place
            assert place < places.get(self._right[slot], len(order))

    # ------------------------------------------------------------------ inside

    def _after(self, slot: int) -> tuple[int, int]:
        """Return block number and index just behind a slot; the start for NOWHERE."""
        if slot == NOWHERE:
            return 0, 0
        block = self._where[slot]
        last = len(self._blocks) - 1
        number = last if self._blocks[last] is block else self._blocks.index(block)
        if block.slots[-1] == slot:
            return number, len(block.slots)
        return number, block.slots.index(slot) + 1

    def _place(
        self,
        between: dict[int, None],
        left: int,
        right: int,
        goes_before: Callable[[int], bool],
    ) -> int:
        """Return behind which slot a new one goes among those that stand between its sides.

        What is on the left of one of them is `left`, another of them, or lies before `left`;
        what is on its right is `right`, another of them, or lies behind `right`.
        """
        found = left
        scanning = False
        for other in between:
            other_left, other_right = self._left[other], self._right[other]
            if other_left == left:
                if other_right == right:
                    if goes_before(other):
                        break
                    scanning = False
                else:
                    scanning = other_right in between
            elif other_left not in between:
                break
            if not scanning:
                found = other
        return found

    def _split(self, number: int) -> None:
        """Cut a block that is too large into halves, or more."""
        whole = self._blocks[number]
        size = _BLOCK // 2 if number < len(self._blocks) - 1 else _BLOCK - 1
        parts: list[_Block] = []
        for start in range(0, len(whole.slots), size):
            block = _Block(whole.slots[start : start + size])
            for slot in block.slots:
                self._where[slot] = block
                block.shown += self.shown[slot]
                block.seen += self.seen[slot] if self.seen is not None else 0
            parts.append(block)
        self._blocks[number : number + 1] = parts


def _nth(slots: list[int], flags: bytearray, position: int, count: int) -> int:
    """Return the slot at a position among those of a block that are taken."""
    if count == len(slots):
        return slots[position]
    for slot in slots:
        if flags[slot]:
            if not position:
                return slot
            position -= 1
    raise AssertionError(position)
