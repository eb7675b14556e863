"""The transient list CRDT: what concurrent positions mean, over one concurrent stretch.

Owns: the order of characters inserted at the same time, and two versions of the text at once.
May not know: why an event is hidden, when a tracker is made or dropped (`merge`).

    prepare version   where the event being applied was made: its positions count there
    effect version    all that was applied, without what is hidden now: the text
    unit              events that are applied as one, a line: named by the last of them
    touch             what a unit inserted or deleted: an item and the pieces split from it

Before the first event there is one item, the text at `base`, a critical version: nothing
before it can matter. Moving the prepare version changes counts only.
Where several insert at one place, each character keeps what its author saw on either side;
whoever stands between them is compared (`_place`): runs do not interleave, in typing order
or backwards. Ties of the same gap go by the rank of the event, smaller first.
Source: Gentle & Kleppmann 2024, sections 3.1 to 3.5; Weidner & Kleppmann 2023, section 5
(the order of YjsMod, which equals FugueMax).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from comity.crdt.text.events import EventLog
from comity.crdt.text.items import FANOUT, Block, Item, Sequence
from comity.crdt.text.operations import INSERT, Operation
from comity.crdt.text.rope import Rope
from comity.crdt.text.versions import Unit, difference

__all__ = ["Tracker"]

_ABSENT: Final = 0
_VISIBLE: Final = 1
_HIDDEN: Final = 2
"""Status of a unit in the prepare version; for what it inserted also the level."""

_BASE: Final = 1 << 62
"""Number of the first character of the base text: above those of all operations."""

_Touch = tuple[Item, int, bool]
"""First item, the number after the last character, whether it was deleted."""

_Place = tuple[Block, int, int]
"""A block, an index in it, and the position in the effect version."""


class Tracker:
    """Applies units on any version to a text; each once, parents first."""

    __slots__ = (
        "_context",
        "_hidden",
        "_items",
        "_log",
        "_parents",
        "_rank",
        "_status",
        "_touches",
        "_version",
        "base",
        "grouped",
        "text",
        "upto",
    )

    def __init__(
        self,
        log: EventLog,
        rank: Callable[[int], bytes],
        base: int,
        length: int,
        text: str | None,
    ) -> None:
        """Start at a critical event, -1 for the start.

        rank: orders events that insert at the same place, smaller first.
        length, text: of the text at `base`; without the text, nothing can be shown again.
        """
        assert text is None or len(text) == length
        self.base = base
        self.text = text
        self.upto = base + 1
        self.grouped = False
        self._log = log
        self._rank = rank
        self._version = base
        self._context = log.context_of(base) if base >= 0 else ()
        self._hidden = frozenset(self._context)
        self._parents: dict[int, tuple[int, ...]] = {}
        self._status: dict[int, int] = {}
        self._touches: dict[int, list[_Touch]] = {}
        self._items = Sequence(Item(_BASE, length, None, -1) if length else None)

    def __len__(self) -> int:
        """Return the number of items: what it costs to keep; finding one costs its root."""
        return self._items.count

    def knows(self, event: int) -> bool:
        """Tell whether something may be made on an applied event: it ends a unit."""
        return event <= self.base or event in self._parents

    # ------------------------------------------------------------------ units

    def move(self, event: int) -> int:
        """Make the version that an event was made on the prepare version; return its length.

        Its parents end units that were applied.
        """
        log = self._log
        parents = log.parents.get(event)
        if parents is None:
            parents = (event - 1,)
        leave: list[int] = []
        join: list[int] = []
        if parents != (self._version,):
            leave, join = difference(self._parents, self.base, self._version, parents)
        for each in leave:
            self._set(each, _ABSENT)
        hidden = self._hidden
        if log.has_contexts() and (context := log.context_of(event)) != self._context:
            self._context = context
            self._hidden = frozenset(context)
            status = self._status
            turned = hidden ^ self._hidden
            join += sorted(each for each in turned if status.get(each, _ABSENT) != _ABSENT)
            hidden = self._hidden
        for each in join:
            self._set(each, _HIDDEN if hidden and each in hidden else _VISIBLE)
        return self._items.length()

    def apply(
        self, unit: Unit, operations: list[Operation], rope: Rope | None, *, hidden: bool
    ) -> None:
        """Apply a unit on the prepare version, which then contains it.

        operations: they fit; empty if the unit is one event that is no-op. rope: where the
        effect goes, None if it is there already. hidden: whether it has none in the text.
        """
        touches: list[_Touch] = []
        log = self._log
        first, last = unit
        start = log.starts[first]
        for kind, position, length, text in operations:
            if kind == INSERT:
                at = self._insert(start, position, length, touches, hidden=hidden)
                if rope is not None and not hidden:
                    rope.insert(at, text)
            else:
                self._delete(position, length, touches, rope, hidden=hidden)
            start += length
        parents = log.parents.get(first)
        self._parents[last] = (first - 1,) if parents is None else parents
        self._touches[last] = touches
        self._status[last] = _VISIBLE
        self._version = last
        if first != last:
            self.grouped = True

    def look(self, event: int, rope: Rope | None, *, hidden: bool) -> None:
        """Hide or show an applied event in the effect version; it was not so before.

        It is a unit by itself: this tracker is not `grouped`.

        rope: where the effect goes, None if it is there already; needs the text of `base`.
        """
        assert not self.grouped
        assert rope is None or self.text is not None
        for first, end, deleted in self._touches[event]:
            down = hidden != deleted
            item: Item | None = first
            while item is not None:
                item.dead += 1 if down else -1
                if item.dead == (1 if down else 0):
                    size = -item.length if down else item.length
                    if rope is not None:
                        at = self._items.effect_of(item)
                        if down:
                            rope.delete(at, item.length)
                        else:
                            rope.insert(at, self._content(item))
                    item.block.effect += size
                    item.block.group.effect += size
                item = item.following if item.start + item.length < end else None

    # ------------------------------------------------------------------ the prepare version

    def _set(self, unit: int, status: int) -> None:
        """Give a unit another status in the prepare version."""
        before = self._status[unit]
        self._status[unit] = status
        inserted = status - before
        deleted = (status == _VISIBLE) - (before == _VISIBLE)
        for first, end, is_deletion in self._touches[unit]:
            change = deleted if is_deletion else inserted
            if not change:
                continue
            item = first
            while True:
                old = item.prepare
                new = item.prepare = old + change
                if old == 1:
                    block = item.block
                    block.prepare -= item.length
                    block.group.prepare -= item.length
                elif new == 1:
                    block = item.block
                    block.prepare += item.length
                    block.group.prepare += item.length
                if item.start + item.length >= end:
                    break
                following = item.following
                assert following is not None
                item = following

    # ------------------------------------------------------------------ inserting

    def _insert(
        self, start: int, position: int, length: int, touches: list[_Touch], *, hidden: bool
    ) -> int:
        """Insert characters at a position of the prepare version; return that of the effect."""
        found, index, effect, left = self._find_gap(position)
        block = found
        items = block.items
        following = items[index] if index < len(items) else self._items.after(block)
        right = following
        left_end = left.start + left.length - 1 if left is not None else -1
        item = Item(start, length, left, left_end)
        item.block = block
        if following is not None and not following.prepare:
            right = item.right = self._next_there(following)
            block, index, effect = self._place(item, (block, index, effect))
            item.block = block
            items = block.items
            if block is not found and len(found.items) > FANOUT:
                self._items.split_block(found)
        item.right = right
        items.insert(index, item)
        self._items.count += 1
        group = block.group
        block.prepare += length
        group.prepare += length
        if hidden:
            item.dead = 1
        else:
            block.effect += length
            group.effect += length
        touches.append((item, start + length, False))
        if len(items) > FANOUT:
            self._items.split_block(block)
        return effect

    def _find_gap(self, position: int) -> tuple[Block, int, int, Item | None]:
        """Return the place just after the character before `position`, and its item.

        That item then ends there.
        """
        group = self._items.groups[0]
        block = group.blocks[0]
        if not position:
            return block, 0, 0, None
        left = position - 1
        effect = 0
        for group in self._items.groups:
            if left < group.prepare:
                break
            left -= group.prepare
            effect += group.effect
        for block in group.blocks:
            if left < block.prepare:
                break
            left -= block.prepare
            effect += block.effect
        for index, item in enumerate(block.items, 1):
            if item.prepare == 1:
                if left < item.length:
                    left += 1
                    if not item.dead:
                        effect += left
                    if left < item.length:
                        self._items.split(item, index, left)
                    return block, index, effect, item
                left -= item.length
            if not item.dead:
                effect += item.length
        raise AssertionError(position)

    def _place(self, item: Item, place: _Place) -> _Place:
        """Return where an item goes among those that its author did not see.

        place: just after what stands left of it. Cost: what was inserted there concurrently.
        """
        block, index, effect = place
        left, right = item.left, item.right
        scanning = False
        at = index
        items = block.items
        while True:
            if at >= len(items):
                following = self._items.after(items[-1].block)
                if following is None:
                    break
                items = following.block.items
                at = 0
            other = items[at]
            if other.prepare:
                break
            other_left = self._left_of(other)
            if other_left is left:
                if other.right is right:
                    if self._rank_of(item) < self._rank_of(other):
                        break
                    scanning = False
                else:
                    scanning = self._stands_before(other.right, right)
            elif other_left is None or (
                left is not None and self._items.order(other_left) < self._items.order(left)
            ):
                break
            at += 1
            if not other.dead:
                effect += other.length
            if not scanning:
                place = other.block, at, effect
        return place

    def _rank_of(self, item: Item) -> bytes:
        return self._rank(self._log.starts.find(item.start))

    def _left_of(self, item: Item) -> Item | None:
        """Return the item that now holds the character left of an item when it was made."""
        left = item.left
        while left is not None and left.start + left.length <= item.left_end:
            left = left.following
        return left

    def _stands_before(self, a: Item | None, b: Item | None) -> bool:
        """Tell whether an item stands before another; None is the end."""
        return a is not None and (b is None or self._items.order(a) < self._items.order(b))

    def _next_there(self, item: Item) -> Item | None:
        """Return the first item from this one on that the prepare version knows."""
        block = item.block
        index = block.items.index(item)
        while True:
            items = block.items
            for each in items[index:]:
                if each.prepare:
                    return each
            following = self._items.after(block)
            if following is None:
                return None
            block = following.block
            index = 0

    # ------------------------------------------------------------------ deleting

    def _delete(
        self,
        position: int,
        length: int,
        touches: list[_Touch],
        rope: Rope | None,
        *,
        hidden: bool,
    ) -> None:
        """Delete characters of the prepare version, and from the rope what is still there."""
        while length:
            block, index, effect = self._find(position)
            items = block.items
            deleted = removed = 0
            while length and index < len(items):
                item = items[index]
                index += 1
                if item.prepare != 1:
                    if not item.dead:
                        effect += item.length
                    continue
                if item.length > length:
                    self._items.split(item, index, length)
                size = item.length
                item.prepare = 2
                deleted += size
                length -= size
                touches.append((item, item.start + size, True))
                if hidden:
                    if not item.dead:
                        effect += size
                    continue
                item.dead += 1
                if item.dead == 1:
                    removed += size
                    if rope is not None:
                        rope.delete(effect, size)
            block.prepare -= deleted
            block.effect -= removed
            block.group.prepare -= deleted
            block.group.effect -= removed
            if len(items) > FANOUT:
                self._items.split_block(block)

    def _find(self, position: int) -> _Place:
        """Return the place of the character at a position; an item then starts there."""
        group = self._items.groups[0]
        block = group.blocks[0]
        effect = 0
        for group in self._items.groups:
            if position < group.prepare:
                break
            position -= group.prepare
            effect += group.effect
        for block in group.blocks:
            if position < block.prepare:
                break
            position -= block.prepare
            effect += block.effect
        index = 0
        for item in block.items:
            if item.prepare == 1:
                if position < item.length:
                    break
                position -= item.length
            if not item.dead:
                effect += item.length
            index += 1
        if position:
            item = block.items[index]
            if not item.dead:
                effect += position
            index += 1
            self._items.split(item, index, position)
        return block, index, effect

    # ------------------------------------------------------------------ the effect version

    def _content(self, item: Item) -> str:
        if item.start >= _BASE:
            assert self.text is not None
            start = item.start - _BASE
            return self.text[start : start + item.length]
        return self._log.text_of(item.start, item.length)

    def check(self) -> None:
        """Assert that sums, links and counts follow from items and touches."""
        self._items.check()
        for touches in self._touches.values():
            for first, end, _ in touches:
                item: Item = first
                while item.start + item.length < end:
                    assert item.following is not None
                    assert item.following.start == item.start + item.length
                    item = item.following
                assert item.start + item.length == end
