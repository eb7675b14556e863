"""Undos: which turns are taken back, now and in any earlier version.

Owns: every undo that may be obeyed, and what each names. May not know: whether a commit
counts; it is told.

    turn <--undo: hidden-- <--undo of the undo: shown again      and nothing deeper

An undo is obeyed if its author made the turn, or acts under an admin's grant, and if the turn
lies in its past; so it is decided once, alike everywhere, and else it is no-op. An undo of an
undo takes back that one: who redoes what he undid does not redo what an admin undid.
A turn is hidden while at least one undo of it is in force: its commit counts, and no undo of
it does. Which undos a version holds is a number with a bit for each.
Source: PROTOCOL section 2, `visible(turn, V)`; decision 17.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from comity.authority.claim import Ancestry
from comity.base.ids import DeviceId
from comity.log.entries import UndoEntry

__all__ = ["Place", "Undo", "Undos"]

Place = tuple[int, int]
"""A turn: the number of its commit, and its index among the turns there."""


@dataclass(frozen=True, slots=True)
class Undo:
    """One that is obeyed.

    place: its commit, and the index by which another undo names it there.
    takes_back: number of the undo that it names, if it names one.
    """

    number: int
    place: Place
    author: DeviceId
    turn: Place
    takes_back: int | None

    @property
    def commit(self) -> int:
        """The number of its commit."""
        return self.place[0]


@dataclass(slots=True)
class _Tally:
    """What is in force in one version: how many undos hide a turn, how many take one back."""

    bits: int
    hidden: tuple[int, ...]
    hiding: dict[Place, int] = field(default_factory=dict[Place, int])
    backs: dict[int, int] = field(default_factory=dict[int, int])
    counting: dict[int, None] = field(default_factory=dict[int, None])

    def set(self, number: int, undo: Undo, *, counts: bool) -> None:
        """Let an undo count, or count no longer."""
        if counts == (number in self.counting):
            return
        if counts:
            self.counting[number] = None
        else:
            del self.counting[number]
        change = 1 if counts else -1
        if undo.takes_back is None:
            if not self.backs.get(number):
                self._hide(undo.turn, change)
            return
        before = self.backs.get(undo.takes_back, 0)
        self.backs[undo.takes_back] = before + change
        if undo.takes_back in self.counting and not (before and before + change):
            self._hide(undo.turn, -change)

    def _hide(self, turn: Place, change: int) -> None:
        left = self.hiding.get(turn, 0) + change
        assert left >= 0
        if left:
            self.hiding[turn] = left
        else:
            del self.hiding[turn]


class Undos:
    """The undos of one actor; append-only."""

    __slots__ = (
        "_author_of",
        "_bits",
        "_counts",
        "_graph",
        "_last",
        "_named",
        "_now",
        "_of",
        "all",
    )

    def __init__(self, graph: Ancestry, author_of: Callable[[int], DeviceId]) -> None:
        """Begin before the genesis. author_of: of an admitted commit."""
        self._graph = graph
        self._author_of = author_of
        self.all: list[Undo] = []
        self._named: dict[Place, int | None] = {}
        self._of: dict[int, list[int]] = {}
        self._counts: list[int] = []
        self._bits: list[int] = []
        self._now = _Tally(0, ())
        self._last = _Tally(0, ())

    def enter(
        self,
        parents: Sequence[int],
        author: DeviceId,
        entries: Sequence[UndoEntry],
        *,
        turns: int,
        is_admin: bool,
    ) -> None:
        """Enter the next commit, which does not count yet. turns: how many it has."""
        commit = len(self._bits)
        bits = self.held(parents)
        self._counts.append(turns)
        for place, entry in enumerate(entries, turns):
            undo = self._read(parents, (commit, place), author, entry, is_admin=is_admin)
            self._named[commit, place] = None if undo is None else len(self.all)
            if undo is not None:
                bits |= 1 << len(self.all)
                self._of.setdefault(commit, []).append(len(self.all))
                self.all.append(undo)
        self._bits.append(bits)

    def held(self, heads: Sequence[int]) -> int:
        """Return the undos that a version holds, a bit for each."""
        bits = 0
        for head in heads:
            own = self._bits[head]
            bits = own if not bits else bits if own is bits else bits | own
        return bits

    def made_in(self, commit: int) -> tuple[Undo, ...]:
        """Return the undos of a commit that are obeyed, in order."""
        return tuple([self.all[number] for number in self._of.get(commit, ())])

    def turn_count(self, commit: int) -> int:
        """Return the number of turns in a commit."""
        return self._counts[commit]

    # ---------------------------------------------------------------- the present

    def count(self, commit: int, *, counts: bool) -> None:
        """Learn that a commit counts from now on, or does not."""
        for number in self._of.get(commit, ()):
            self._now.set(number, self.all[number], counts=counts)

    def hides(self, turn: Place) -> bool:
        """Tell whether an undo that is in force now hides a turn."""
        return turn in self._now.hiding

    def counts(self, undo: Undo) -> bool:
        """Tell whether the commit of an undo counts now."""
        return undo.number in self._now.counting

    def in_force(self, undo: Undo) -> bool:
        """Tell whether it hides a turn: it counts now and is not taken back."""
        now = self._now
        is_back = undo.takes_back is not None or now.backs.get(undo.number)
        return undo.number in now.counting and not is_back

    # ---------------------------------------------------------------- earlier versions

    def hidden_in(self, bits: int, hidden: tuple[int, ...]) -> tuple[Place, ...]:
        """Return the turns, ascending, that undos hide in a version.

        bits: the undos that it holds. hidden: commits that do not count in it, ascending; the
        same object as last time is faster, and costs what came since.
        """
        last = self._last
        if last.hidden is not hidden or last.bits & bits != last.bits:
            last = self._last = _Tally(0, hidden)
        new, last.bits = bits ^ last.bits, bits
        out = dict.fromkeys(hidden)
        while new:
            number = (new & -new).bit_length() - 1
            new &= new - 1
            undo = self.all[number]
            if undo.commit not in out:
                last.set(number, undo, counts=True)
        return tuple(sorted(last.hiding))

    def check(self) -> None:
        """Count everything again and compare."""
        again = _Tally(0, ())
        for number in self._now.counting:
            again.set(number, self.all[number], counts=True)
        assert again.hiding == self._now.hiding
        for undo in self.all:
            assert self.all[undo.number] is undo
            assert undo.turn[1] < self._counts[undo.turn[0]]
            assert undo.takes_back is None or self.all[undo.takes_back].turn == undo.turn

    def _read(
        self,
        parents: Sequence[int],
        place: Place,
        author: DeviceId,
        entry: UndoEntry,
        *,
        is_admin: bool,
    ) -> Undo | None:
        """Return what an entry undoes; None if it is not to be obeyed."""
        target = self._graph.index_of(entry.commit)
        if target is None or not any(
            target == parent or self._graph.is_before(target, parent) for parent in parents
        ):
            return None
        turn, number = (target, entry.turn), None
        maker = self._author_of(target)
        if entry.turn >= self._counts[target]:
            number = self._named.get(turn)
            if number is None or self.all[number].takes_back is not None:
                return None
            turn = self.all[number].turn
        if maker != author and not is_admin:
            return None
        return Undo(len(self.all), place, author, turn, number)
