"""What is under what in a tree: parents, who loses where moves make a cycle, what is shown.

Owns: the parent of each slot, which moves count. May not know: bytes, users' types, turns
beyond what `Elements` tells.

    element    a node; all nodes of a tree are the elements of one list, which orders siblings
    slot       a place of it: that of its insertion, or of a move; each has a parent
    structure  parents of all elements, of those that are not there as well; without cycles
    shown      the elements that are there, each under the nearest parent that is there

Moves that were made at the same time may make a cycle: each is right by itself, and all of
them cannot be. Then one of the cycle does not count, and its element stands where it would
without it. It is one that somebody saw lose who made another move of the cycle; else, of the
moves of the cycle that none of the others was made on, that of the smallest tie. When all
cycles are gone, those that lost and would make none any more count again, by their ties.
So a move loses only to moves with which it makes a cycle, and what people saw lose stays so
for what they do next. All of it is a function of what counts, the same on every replica.
Source: decision 32; Kleppmann et al. 2021, A highly-available move operation for trees.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Final

from comity.base.canonical import Malformed
from comity.crdt.elements import Elements
from comity.crdt.slots import NOWHERE

if TYPE_CHECKING:
    from comity.crdt.freezing import Freezer, Thawer

__all__ = ["TOP", "Forest"]

TOP: Final = NOWHERE
"""The parent of what stands at the top."""

_NONE: Final[frozenset[int]] = frozenset()


class Forest:
    """Parents of the elements of one list. Implements `elements.Guest` for it."""

    __slots__ = ("_children", "_elements", "_losers", "_lost", "_parents", "_under", "_up")

    def __init__(self, elements: Elements) -> None:
        """Start without elements."""
        elements.guest = self
        self._elements = elements
        self._parents = array("q")
        self._lost: dict[int, frozenset[int]] = {}
        self._under = TOP
        self._losers: frozenset[int] = _NONE
        self._children: dict[int, list[int]] | None = None
        self._up: dict[int, int] = {}

    # ------------------------------------------------------------------ as a guest

    def under(self, element: int) -> None:
        """Learn under what the next slots are made."""
        self._under = element

    def placed(self, count: int, *, moves: bool) -> None:
        """Learn that slots were made."""
        if moves and self._concurrent():
            losers = self._losers  # as shown, if that is known: a turn of this device
            if self._children is None:
                losers = self._resolved(self._elements.version)[1]
            if losers:
                self._lost[len(self._parents)] = losers
        self._parents.extend([self._under] * count)

    def cut(self, first: int) -> None:
        """Learn that slots are taken back."""
        for slot in range(first, len(self._parents)):
            self._lost.pop(slot, None)
        del self._parents[first:]
        self.forget()

    # ------------------------------------------------------------------ frozen

    def freeze(self, out: Freezer) -> None:
        """Write the parents of all slots, and which moves were seen to lose."""
        out.numbers([each + 1 for each in self._parents])
        out.numbers([*self._lost])
        out.groups([sorted(each) for each in self._lost.values()])

    def thaw(self, data: Thawer) -> None:
        """Take what `freeze` wrote. Raises: Malformed."""
        count = len(self._elements.slots)
        self._parents = array("q", [each - 1 for each in data.numbers(count, count + 1)])
        if any(parent >= slot for slot, parent in enumerate(self._parents)):
            raise Malformed("a node under a later one")
        slots = data.numbers(None, count)
        lost = data.groups(count, len(slots))
        self._lost = dict(zip(slots, map(frozenset, lost), strict=True))
        self.forget()

    # ------------------------------------------------------------------ what is shown

    def forget(self) -> None:
        """Learn that something changed which was not told by `added`, `moved`, `gone`."""
        self._children = None

    def children(self, element: int) -> list[int]:
        """Return what is shown under an element, in order; of TOP, what stands at the top."""
        return self._shown().get(element, [])

    def parent(self, element: int) -> int:
        """Return what a shown element is shown under."""
        self._shown()
        return self._up[element]

    def is_shown(self, element: int) -> bool:
        """Tell whether an element is there."""
        self._shown()
        return element in self._up

    def within(self, element: int) -> Iterator[tuple[int, int]]:
        """Return what is shown under an element at any depth, and how deep below it."""
        shown = self._shown()
        waiting = [(each, 0) for each in reversed(shown.get(element, ()))]
        while waiting:
            each, depth = waiting.pop()
            yield each, depth
            waiting += [(below, depth + 1) for below in reversed(shown.get(each, ()))]

    def is_within(self, element: int, around: int) -> bool:
        """Tell whether a shown element is another one, or below it."""
        self._shown()
        while element != TOP:
            if element == around:
                return True
            element = self._up[element]
        return False

    def added(self, element: int, parent: int, index: int) -> None:
        """Show a new element, which the open turn made."""
        if self._losers:  # beside one that stands where it is not listed, it may come elsewhere
            self.forget()
        elif self._children is not None:
            self._children.setdefault(parent, []).insert(index, element)
            self._up[element] = parent

    def moved(self, element: int, parent: int, index: int) -> None:
        """Show an element elsewhere, which the open turn moved."""
        if self._losers:
            self.forget()
        elif self._children is not None:
            self._children[self._up[element]].remove(element)
            self.added(element, parent, index)

    def gone(self, element: int, below: Iterable[int]) -> None:
        """Show an element and all that is below it no longer: the open turn deleted it."""
        if self._losers:
            self.forget()
        elif self._children is not None:
            self._children[self._up[element]].remove(element)
            for each in (element, *below):
                del self._up[each]
                self._children.pop(each, None)

    def check(self) -> None:
        """Assert that what is shown follows from the structure. O(n)."""
        assert len(self._parents) == len(self._elements.slots)
        if self._children is None:
            return
        children = {each: below for each, below in self._children.items() if below}
        up = self._up
        self.forget()
        self._shown()
        assert self._children is not None
        assert children == {each: below for each, below in self._children.items() if below}
        assert up == self._up
        assert len(list(self.within(TOP))) == len(up)

    # ------------------------------------------------------------------ structure

    def _shown(self) -> dict[int, list[int]]:
        if self._children is not None:
            return self._children
        elements = self._elements
        places, losers = _NOTHING, _NONE
        if self._concurrent():
            places, losers = self._resolved(elements.hidden)
        self._losers = losers
        slots: Iterable[int] = elements.slots.taken()
        if losers:
            taken = {elements.element(slot) for slot in slots}
            slots = [
                slot
                for slot in elements.slots.order()
                if elements.element(slot) in taken
                and self._place(elements.element(slot), places) == slot
            ]
        else:
            slots = list(slots)
        there = {elements.element(slot): slot for slot in slots}
        children: dict[int, list[int]] = {}
        up: dict[int, int] = {}
        for element, slot in there.items():
            parent = self._parents[slot]
            while parent != TOP and parent not in there:
                parent = self._parents[self._place(parent, places)]
            up[element] = parent
            children.setdefault(parent, []).append(element)
        self._children, self._up = children, up
        return children

    def _concurrent(self) -> bool:
        """Tell whether anything was ever moved, so that cycles may be."""
        return any(True for _ in self._elements.moved())

    def _place(self, element: int, places: Mapping[int, int]) -> int:
        return places.get(element, element)

    def _resolved(self, out: AbstractSet[int]) -> tuple[dict[int, int], frozenset[int]]:
        """Return where each moved element stands, and the moves that lose.

        out: the turns that do not count.
        """
        elements = self._elements
        places = {each: elements.place(each, out, ()) for each in elements.moved()}
        losers: dict[int, None] = {}
        while cycles := self._cycles(places):
            for cycle in cycles:
                loser = self._loser([places[each] for each in cycle if each in places])
                losers[loser] = None
            for cycle in cycles:
                for each in cycle:
                    if each in places:
                        places[each] = elements.place(each, out, losers)
        again = list(losers)
        if len(again) > 1:
            again.sort(key=elements.tie, reverse=True)
        for loser in again:
            element = elements.element(loser)
            rest = [each for each in losers if each != loser]
            before = places[element]
            places[element] = elements.place(element, out, rest)
            if self._is_in_cycle(element, places):
                places[element] = before
            else:
                del losers[loser]
        return places, frozenset(losers)

    def _loser(self, moves: list[int]) -> int:
        """Return the move of a cycle that does not count. moves: slots, some insertions."""
        elements, lost = self._elements, self._lost
        moves = [slot for slot in moves if elements.element(slot) != slot]
        seen = [slot for slot in moves if any(slot in lost.get(each, ()) for each in moves)]
        if not seen:
            replaces = elements.replaces
            seen = [slot for slot in moves if not any(replaces(slot, each) for each in moves)]
        return seen[0] if len(seen) == 1 else min(seen, key=elements.tie)

    def _cycles(self, places: Mapping[int, int]) -> list[list[int]]:
        """Return the cycles of parents, each by its elements."""
        found: list[list[int]] = []
        passed: dict[int, int] = {}
        for number, start in enumerate(places):
            path: list[int] = []
            element = start
            while element != TOP and element not in passed:
                passed[element] = number
                path.append(element)
                element = self._parents[self._place(element, places)]
            if element != TOP and passed[element] == number:
                found.append(path[path.index(element) :])
        return found

    def _is_in_cycle(self, element: int, places: Mapping[int, int]) -> bool:
        at = self._parents[self._place(element, places)]
        while at not in {TOP, element}:
            at = self._parents[self._place(at, places)]
        return at == element


_NOTHING: Final[dict[int, int]] = {}
