"""Items: stretches of characters of one fate, in text order, under blocks and groups.

Owns: the list. May not know: events, why an item goes where it goes (`tracker`).

    prepare     0 not inserted yet; 1 there; more: deleted so often, hiding counts as one
    dead        0 in the text; more: deleted so often, hiding counts as one

Blocks and groups add up: they hold how many characters are there in each version,
prepare and effect, so that a position is found in O(n^(1/3)). Items are split, never merged:
pieces are linked.
Source: Gentle & Kleppmann 2024, section 3.4 (the B-tree there).
"""

from __future__ import annotations

from typing import Final

__all__ = ["FANOUT", "Block", "Group", "Item", "Sequence"]

FANOUT: Final = 32
"""Items of a block, blocks of a group: at 16 or 64 a merge is about a tenth slower."""


class Item:
    """A stretch of characters, numbered from `start`."""

    __slots__ = (
        "block",
        "dead",
        "following",
        "left",
        "left_end",
        "length",
        "prepare",
        "right",
        "start",
    )

    def __init__(self, start: int, length: int, left: Item | None, left_end: int) -> None:
        """Make a piece that is there and not deleted, and stands in no block yet.

        left, left_end: the item and the number of the character that stood left of it when
        it was inserted; right: the item that stood right of it. None for the ends of the text.
        """
        self.start = start
        self.length = length
        self.prepare = 1
        self.dead = 0
        self.left = left
        self.left_end = left_end
        self.right: Item | None = None
        self.following: Item | None = None
        self.block: Block


class Block:
    """Neighbouring items. prepare, effect: how many characters are there in each version."""

    __slots__ = ("effect", "group", "items", "prepare")

    def __init__(self, group: Group) -> None:
        self.group = group
        self.items: list[Item] = []
        self.prepare = 0
        self.effect = 0


class Group:
    """Neighbouring blocks, with the same sums."""

    __slots__ = ("blocks", "effect", "prepare")

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.prepare = 0
        self.effect = 0


class Sequence:
    """All items of a tracker."""

    __slots__ = ("count", "groups")

    def __init__(self, first: Item | None) -> None:
        """Start with one item or none. The item's block is set here."""
        group = Group()
        block = Block(group)
        group.blocks.append(block)
        self.groups = [group]
        self.count = 0
        if first is not None:
            first.block = block
            block.items.append(first)
            block.prepare = block.effect = group.prepare = group.effect = first.length
            self.count = 1

    def length(self) -> int:
        """Return how many characters the prepare version has."""
        length = 0
        for group in self.groups:
            length += group.prepare
        return length

    def order(self, item: Item) -> tuple[int, int, int]:
        """Return what compares as items stand: group, block, item."""
        block = item.block
        group = block.group
        return (
            self.groups.index(group),
            group.blocks.index(block),
            block.items.index(item),
        )

    def after(self, block: Block) -> Item | None:
        """Return the first item after a block."""
        group = block.group
        blocks = group.blocks
        if block is not blocks[-1]:
            return blocks[blocks.index(block) + 1].items[0]
        groups = self.groups
        if group is not groups[-1]:
            return groups[groups.index(group) + 1].blocks[0].items[0]
        return None

    def split(self, item: Item, index: int, offset: int) -> None:
        """Cut an item in two; the second stands at `index` of its block, which may overflow."""
        block = item.block
        start = item.start + offset
        second = Item(start, item.length - offset, item, start - 1)
        second.right = item.right
        second.block = block
        second.prepare = item.prepare
        second.dead = item.dead
        second.following = item.following
        item.following = second
        item.length = offset
        block.items.insert(index, second)
        self.count += 1

    def split_block(self, block: Block) -> None:
        """Cut a block in two, and its group too if that overflows."""
        group = block.group
        second = Block(group)
        half = len(block.items) >> 1
        second.items = block.items[half:]
        del block.items[half:]
        prepare = effect = 0
        for item in second.items:
            item.block = second
            if item.prepare == 1:
                prepare += item.length
            if not item.dead:
                effect += item.length
        second.prepare = prepare
        second.effect = effect
        block.prepare -= prepare
        block.effect -= effect
        blocks = group.blocks
        blocks.insert(blocks.index(block) + 1, second)
        if len(blocks) > FANOUT:
            self._split_group(group)

    def _split_group(self, group: Group) -> None:
        second = Group()
        half = len(group.blocks) >> 1
        second.blocks = group.blocks[half:]
        del group.blocks[half:]
        for block in second.blocks:
            block.group = second
            second.prepare += block.prepare
            second.effect += block.effect
        group.prepare -= second.prepare
        group.effect -= second.effect
        self.groups.insert(self.groups.index(group) + 1, second)

    def effect_of(self, item: Item) -> int:
        """Return where an item stands, or would, in the effect version."""
        block = item.block
        group = block.group
        position = 0
        for each in self.groups:
            if each is group:
                break
            position += each.effect
        for other in group.blocks:
            if other is block:
                break
            position += other.effect
        for one in block.items:
            if one is item:
                break
            if not one.dead:
                position += one.length
        return position

    def check(self) -> None:
        """Assert that sums and links follow from the items."""
        count = 0
        for group in self.groups:
            for block in group.blocks:
                assert block.group is group
                assert block.items or self.count == 0
                assert len(block.items) <= FANOUT + 1
                count += len(block.items)
                assert all(item.block is block for item in block.items)
                alive = [item.length for item in block.items if not item.dead]
                there = [item.length for item in block.items if item.prepare == 1]
                assert block.effect == sum(alive)
                assert block.prepare == sum(there)
            assert group.effect == sum(block.effect for block in group.blocks)
            assert group.prepare == sum(block.prepare for block in group.blocks)
        assert count == self.count
