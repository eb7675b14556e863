"""Rights that devices hold and hand on: the kernel of bounded counters.

Owns: what each turn did to whose rights, which turns had the rights for it, what everybody has
now. May not know: bytes, names, the floor.

    deed       an increment of the author's own rights, and transfers out of them
    good       the author had the rights for it in the version that its turn was made on. What
               is not good is no-op, on every replica, for ever. A deed that takes nothing away
               is always good
    rights     what the good deeds that count come to; below zero is an overdraft, which only
               two deeds make that do not know of each other, or a deed that was withdrawn
    chain      the deeds of one author that touch one account, each in the past of the next:
               one, unless the author forked; so what a turn knows of it is a bisection

An undone turn counts on: what was spent cannot be had back, and what was given may be spent.
Turns of this device are placed late, before the next fold: nobody may ask about them earlier.
About 100 bytes a turn. A fold costs a question for each author who gave to its author.
Source: O'Neil 1986 (escrow); Balegas et al. 2015 (bounded counters); decision 15.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from comity.base.canonical import Malformed
from comity.base.ids import ID_BYTES, DeviceId
from comity.crdt.causality import Causality

if TYPE_CHECKING:
    from comity.crdt.freezing import Freezer, Thawer

__all__ = ["Deed", "Escrow"]

_NONE: Final[tuple[int, ...]] = ()


class Deed(NamedTuple):
    """What a turn does. transfers: (to whom, how much above 0), one for each device."""

    increment: int
    transfers: tuple[tuple[DeviceId, int], ...] = ()


class _Chain:
    """Deeds in a line. sums: what the deeds up to each did to the account, together."""

    __slots__ = ("sums", "turns")

    def __init__(self) -> None:
        self.turns = array("q")
        self.sums: list[int] = []


class Escrow:
    """Who has which rights. `rights` leaves out those who have none; read it only."""

    __slots__ = (
        "_authors",
        "_causality",
        "_chains",
        "_deeds",
        "_found",
        "_good",
        "_placed",
        "_turns",
        "_withdrawn",
        "_withheld",
        "rights",
        "total",
    )

    def __init__(self, causality: Causality, withdrawn: set[int]) -> None:
        """Start without rights.

        withdrawn: the turns that do not count, other than those that are only undone; owned
        and changed by the caller.
        """
        self._causality = causality
        self._withdrawn = withdrawn
        self._turns = array("q")
        self._authors: list[DeviceId] = []
        self._deeds: list[Deed] = []
        self._good = bytearray()
        self._placed = 0
        self._chains: dict[DeviceId, dict[DeviceId, list[_Chain]]] = {}
        self._withheld: dict[DeviceId, int] = {}
        self._found: tuple[tuple[int, ...], tuple[int, ...]] = (_NONE, _NONE)
        self.rights: dict[DeviceId, int] = {}
        self.total = 0

    def overdrafts(self) -> dict[DeviceId, int]:
        """Return by how much each device is below zero, through its own deeds; sorted.

        What it was given and has since been withdrawn is not held against it.
        """
        found: dict[DeviceId, int] = {}
        for device, amount in sorted(self.rights.items()):
            missing = -amount - self._withheld.get(device, 0)
            if missing > 0:
                found[device] = missing
        return found

    # ------------------------------------------------------------------ turns of this device

    def add(self, device: DeviceId, amount: int) -> None:
        """Change what a device has now, for the open turn, or back."""
        self.total += amount
        _add(self.rights, device, amount)

    def commit(self, turn: int, author: DeviceId, deed: Deed) -> None:
        """Keep what `add` did as the deed of a turn of this device."""
        self._enter(turn, author, deed, good=True)

    def settle(self, last: int | None = None) -> None:
        """Place the turns of this device up to a number: causality knows these by now.

        last: None for all. They had the rights for what they did here; whether the version
        that their commit was made on agrees is asked as every other replica asks.
        """
        while self._placed < len(self._turns):
            index = self._placed
            turn, author = self._turns[index], self._authors[index]
            if last is not None and turn > last:
                return
            assert self._causality.author(turn) == author
            if self._is_good(turn, author, self._deeds[index]):
                self._link(index)
            else:
                self._count(index, sign=-1)
                self._good[index] = 0
            self._placed += 1

    # ------------------------------------------------------------------ turns of the log

    def fold(self, turn: int, deed: Deed) -> bool:
        """Apply a deed of the log; return whether it was good."""
        self.settle()
        author = self._causality.author(turn)
        good = self._is_good(turn, author, deed)
        index = self._enter(turn, author, deed, good=good)
        if good:
            self._link(index)
            self._count(index, sign=1)
        self._placed += 1
        return good

    def changed(self, turn: int) -> bool:
        """Count a turn or no longer, after it was withdrawn or not; tell if it is in here."""
        self.settle()
        index = bisect_left(self._turns, turn)
        if index == len(self._turns) or self._turns[index] != turn:
            return False
        if self._good[index]:
            hidden = turn in self._withdrawn
            for device, amount in self._effects(index):
                self.add(device, -amount if hidden else amount)
            for device, amount in self._deeds[index].transfers:
                _add(self._withheld, device, amount if hidden else -amount)
        return True

    # ------------------------------------------------------------------ frozen

    def freeze(self, out: Freezer) -> None:
        """Write all deeds, and which of them were good."""
        self.settle()
        devices: dict[DeviceId, int] = {}
        for author, deed in zip(self._authors, self._deeds, strict=True):
            devices.setdefault(author, len(devices))
            for device, _ in deed.transfers:
                devices.setdefault(device, len(devices))
        out.blob(b"".join(devices))
        out.ascending(self._turns)
        out.flags(self._good)
        out.numbers([devices[author] for author in self._authors])
        out.signed([deed.increment for deed in self._deeds])
        out.groups([[devices[each] for each, _ in deed.transfers] for deed in self._deeds])
        out.groups([[amount for _, amount in deed.transfers] for deed in self._deeds])

    def thaw(self, data: Thawer) -> None:
        """Take what `freeze` wrote. Raises: Malformed."""
        named = data.blob()
        if len(named) % ID_BYTES:
            raise Malformed(f"devices in {len(named)} bytes")
        devices = [DeviceId(named[at : at + ID_BYTES]) for at in range(0, len(named), ID_BYTES)]
        turns = data.ascending(strictly=True)
        count, known = len(turns), len(devices)
        good = data.flags(count)
        authors = data.numbers(count, known)
        increments = data.signed(count)
        takers, amounts = data.groups(known, count), data.groups(1 << 63, count)
        for index, turn in enumerate(turns):
            if len(takers[index]) != len(amounts[index]):
                raise Malformed("rights for nobody")
            whom = [devices[each] for each in takers[index]]
            transfers = tuple(zip(whom, amounts[index], strict=True))
            deed = Deed(increments[index], transfers)
            self._enter(turn, devices[authors[index]], deed, good=bool(good[index]))
            if good[index]:
                self._link(index)
                self._count(index, sign=1)
        self._placed = count

    # ------------------------------------------------------------------ inside

    def _enter(self, turn: int, author: DeviceId, deed: Deed, *, good: bool) -> int:
        assert not self._turns or self._turns[-1] < turn
        self._turns.append(turn)
        self._authors.append(author)
        self._deeds.append(deed)
        self._good.append(good)
        return len(self._turns) - 1

    def _count(self, index: int, *, sign: int) -> None:
        """Count a deed as it is folded, or one of this device no more."""
        if self._turns[index] not in self._withdrawn:
            for device, amount in self._effects(index):
                self.add(device, sign * amount)
        else:
            for device, amount in self._deeds[index].transfers:
                _add(self._withheld, device, sign * amount)

    def _effects(self, index: int) -> Iterator[tuple[DeviceId, int]]:
        """Return what a deed does to whose rights, what does nothing left out."""
        increment, transfers = self._deeds[index]
        if transfers:
            increment -= sum(amount for _, amount in transfers)
            yield from transfers
        if increment:
            yield self._authors[index], increment

    def _link(self, index: int) -> None:
        """Put a deed at the end of a chain of each account that it touches."""
        before, turn, author = self._causality.before, self._turns[index], self._authors[index]
        for device, amount in self._effects(index):
            chains = self._chains.setdefault(device, {}).setdefault(author, [])
            for chain in chains:
                if before(chain.turns[-1], turn):
                    chain.sums.append(chain.sums[-1] + amount)
                    break
            else:
                chain = _Chain()
                chain.sums.append(amount)
                chains.append(chain)
            chain.turns.append(turn)

    def _is_good(self, turn: int, author: DeviceId, deed: Deed) -> bool:
        """Tell whether an author had the rights for a deed where it was made."""
        increment, transfers = deed
        if transfers:
            if any(device == author for device, _ in transfers):
                return False
            increment -= sum(amount for _, amount in transfers)
        return increment >= 0 or self._known(author, turn) + increment >= 0

    def _known(self, device: DeviceId, turn: int) -> int:
        """Return the rights of a device in the version that a turn was made on."""
        before = self._causality.before
        known = 0
        for chains in self._chains.get(device, {}).values():
            for chain in chains:
                turns, low = chain.turns, len(chain.turns)
                if not before(turns[-1], turn):
                    low, high = 0, low - 1
                    while low < high:
                        middle = (low + high) // 2
                        if before(turns[middle], turn):
                            low = middle + 1
                        else:
                            high = middle
                if low:
                    known += chain.sums[low - 1]
        withdrawn = self._causality.withdrawn_before(turn)
        if withdrawn:
            for index in self._among(withdrawn):
                if self._good[index]:
                    known -= sum(each for who, each in self._effects(index) if who == device)
        return known

    def _among(self, turns: tuple[int, ...]) -> Iterable[int]:
        """Return the places of those turns that are in here; the same turns are found once."""
        if turns is not self._found[0]:
            places: list[int] = []
            for turn in turns:
                index = bisect_left(self._turns, turn)
                if index < len(self._turns) and self._turns[index] == turn:
                    places.append(index)
            self._found = turns, tuple(places)
        return self._found[1]

    def check(self) -> None:
        """Assert that rights are the sum of the good deeds that count. O(n)."""
        count = len(self._turns)
        assert len(self._authors) == len(self._deeds) == len(self._good) == count
        assert self._placed <= count
        assert list(self._turns) == sorted(set(self._turns))
        rights: dict[DeviceId, int] = {}
        withheld: dict[DeviceId, int] = {}
        for index, turn in enumerate(self._turns):
            if self._good[index] and turn not in self._withdrawn:
                for device, amount in self._effects(index):
                    _add(rights, device, amount)
            elif self._good[index]:
                for device, amount in self._deeds[index].transfers:
                    _add(withheld, device, amount)
        assert self.rights == rights
        assert self._withheld == withheld
        assert self.total == sum(rights.values())
        linked = 0
        for lanes in self._chains.values():
            for chain in (each for chains in lanes.values() for each in chains):
                assert len(chain.turns) == len(chain.sums)
                assert list(chain.turns) == sorted(set(chain.turns))
                linked += len(chain.turns)
        good = (index for index in range(self._placed) if self._good[index])
        assert linked == sum(len(list(self._effects(index))) for index in good)


def _add(amounts: dict[DeviceId, int], device: DeviceId, amount: int) -> None:
    """Add to one of several amounts; those that are 0 are left out."""
    changed = amounts.get(device, 0) + amount
    if changed:
        amounts[device] = changed
    else:
        amounts.pop(device, None)
