"""Changes: what an app is told when a field changes, from here or from elsewhere.

Owns: the record of a change, how two of them become one, what an actor has to tell since it
was last asked. May not know: why a field changed, who listens, threads.

    quiet --a watched field changes--> news --take--> quiet

Records come from the fold and from the turns of this device alike. They say where to look,
never what was there: values are read from the field, or from a snapshot, and are newer by then.
A map or a set names keys, a text or a list one range from the first to the last place that
differs. What is not taken in time is joined with what comes after, so nothing ever queues.
Source: API 'A whole application' (`changes`, `on_change`); decision 17.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, ParamSpec, Protocol, TypeVar, cast

from comity.base.errors import UsageError
from comity.base.ids import DeviceId
from comity.crdt.laws import Law
from comity.crdt.list_law import ListLaw
from comity.crdt.state import Change, ChangeKind, State
from comity.crdt.text.law import TextLaw

__all__ = [
    "REACTS_TO",
    "FieldChange",
    "Listener",
    "News",
    "Pending",
    "Range",
    "difference",
    "on_change",
]

P = ParamSpec("P")
R = TypeVar("R")

REACTS_TO: Final = "_comity_reacts_to"
"""Where `on_change` leaves the names of fields, for the check of the class."""

_KEYS_MAX: Final = 1024
"""Keys of one change: above it a page draws everything anew faster than it looks them up."""

_BY_MAX: Final = 64
"""Devices that one change names: more than a person reads."""


@dataclass(frozen=True, slots=True)
class Range:
    """Where a text or a list differs from before.

    From `start` on, `removed` characters or elements gave way to `inserted` ones, that is to
    those at start..start + inserted now.
    """

    start: int
    removed: int
    inserted: int

    def then(self, later: Range) -> Range:
        """Return the smallest range that covers this one and one that came after it."""
        start = min(self.start, later.start)
        stop = max(self.start + self.inserted, later.start + later.removed)  # between the two
        return Range(
            start,
            stop - (self.inserted - self.removed) - start,
            stop + (later.inserted - later.removed) - start,
        )


@dataclass(frozen=True, slots=True)
class FieldChange:
    """Something happened to one field; read the field for its values.

    what: 'written', 'hidden' (undone, or of a removed device), 'shown' again; 'written' too
        where several of these were joined.
    by: the devices whose turns these are, the first one first, no duplicates.
    keys: of a map or a set, those that may differ, of a record the names of its fields; empty
        of other types, and where there are more than a thousand: then look at all of it.
    range: of a text or a list; None if only marks differ, and for other types.
    """

    field: str
    what: ChangeKind
    by: tuple[DeviceId, ...] = ()
    keys: tuple[object, ...] = ()
    range: Range | None = None

    def then(self, later: FieldChange) -> FieldChange:
        """Return one change for this one and one that came after it, of the same field."""
        assert self.field == later.field
        keys: tuple[object, ...] = ()
        if self.keys and later.keys:
            keys = tuple(dict.fromkeys((*self.keys, *later.keys)))
        place = self.range or later.range
        if self.range is not None and later.range is not None:
            place = self.range.then(later.range)
        return FieldChange(
            self.field,
            self.what if self.what is later.what else ChangeKind.WRITTEN,
            tuple(dict.fromkeys((*self.by, *later.by)))[:_BY_MAX],
            keys if len(keys) <= _KEYS_MAX else (),
            place,
        )


class Listener(Protocol):
    """Who is told of changes."""

    @property
    def wanted(self) -> bool:
        """Whether anybody would still hear it."""
        ...

    def tell(self, changes: Sequence[FieldChange]) -> None:
        """Take changes, at most one of a field; cheap, from any thread."""
        ...

    def end(self) -> None:
        """Learn that no more will come."""
        ...


class Pending:
    """Changes that nobody has taken yet, at most one of a field, the oldest first."""

    __slots__ = ("_by_field",)

    def __init__(self) -> None:
        """Start with nothing."""
        self._by_field: dict[str, FieldChange] = {}

    def __len__(self) -> int:
        """Return how many fields have changed."""
        return len(self._by_field)

    def add(self, changes: Iterable[FieldChange]) -> None:
        """Take changes in their order."""
        for change in changes:
            known = self._by_field.get(change.field)
            self._by_field[change.field] = change if known is None else known.then(change)

    def pop(self) -> FieldChange:
        """Return the change of the field that has waited longest; there is one."""
        return self._by_field.pop(next(iter(self._by_field)))

    def take(self) -> tuple[FieldChange, ...]:
        """Return all changes."""
        changes = tuple(self._by_field.values())
        self._by_field.clear()
        return changes


class News:
    """What changed in the watched fields of one actor since it was last taken."""

    __slots__ = ("_before", "_pending", "_state")

    def __init__(self, state: State) -> None:
        """Watch nothing yet."""
        self._state = state
        self._before: dict[str, Sequence[object] | None] = {}
        self._pending = Pending()

    def __len__(self) -> int:
        """Return how many fields have news."""
        return len(self._pending)

    def watch(self, fields: Iterable[str]) -> None:
        """Tell of these fields too, from now on. Cost: a copy of each text and list."""
        laws = dict(zip(self._names, self._state.laws, strict=True))
        for name in fields:
            if name not in self._before:
                self._before[name] = _sequence(laws[name])

    def watch_all(self) -> None:
        """Tell of every field, from now on."""
        self.watch(self._names)

    def note(self, change: Change, by: DeviceId | None) -> None:
        """Take what a turn did to a field. by: its author, None if that is not known."""
        if change.kind is ChangeKind.REFUSED or change.field not in self._before:
            return
        authors = () if by is None else (by,)
        keys = change.keys if len(change.keys) <= _KEYS_MAX else ()
        self._pending.add((FieldChange(change.field, change.kind, authors, keys),))

    def take(self) -> tuple[FieldChange, ...]:
        """Return what changed, and say it no more. Cost: the size of texts and lists in it."""
        changes = self._pending.take()
        return tuple([self._placed(change) for change in changes])

    @property
    def _names(self) -> list[str]:
        return [each.name for each in self._state.schema.fields]

    def _placed(self, change: FieldChange) -> FieldChange:
        """Add to a change of a text or list where it is."""
        before = self._before[change.field]
        if before is None:
            return change
        after = _sequence(self._state.laws[self._names.index(change.field)])
        assert after is not None
        self._before[change.field] = after
        return replace(change, range=difference(before, after))


def on_change(*fields: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Run a method of an actor when one of these fields has changed, from here or elsewhere.

        @on_change("items")
        def draw(self, change: FieldChange) -> None: ...

    It runs as a turn of this device after the one that changed the field; it may tell and
    set plain attributes, and may not write fields. The parameter may be left out.

    Raises: UsageError if no field is named. A name that is no field is refused when the class
    is first used.
    """
    if not fields or not all(isinstance(each, str) for each in cast("tuple[object]", fields)):
        raise UsageError('name the fields that a method reacts to: @on_change("items")')

    def mark(function: Callable[P, R]) -> Callable[P, R]:
        setattr(function, REACTS_TO, fields)
        return function

    return mark


def _sequence(law: Law) -> Sequence[object] | None:
    """Return a text or a list as it stands, to compare with later; None for other types."""
    return law.snapshot() if isinstance(law, TextLaw | ListLaw) else None


def difference(before: Sequence[object], after: Sequence[object]) -> Range | None:
    """Return the range outside of which two sequences agree; None if they are equal."""
    if before == after:
        return None
    shortest = min(len(before), len(after))
    head = _shared(before, after, shortest)
    tail = _shared(before[::-1], after[::-1], shortest - head)
    return Range(head, len(before) - head - tail, len(after) - head - tail)


def _shared(a: Sequence[object], b: Sequence[object], most: int) -> int:
    """Return how many first items two sequences share, at most `most`. O(n), mostly in C."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
