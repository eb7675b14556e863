"""What users declare and hold as `List[T]`: a list that several people change at once.

Owns: the Python face of a list. May not know: causality, bytes, turns.
Source: API 'Replicated types'.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableSequence, Sequence
from operator import index as whole
from typing import TYPE_CHECKING, Any, Self, SupportsIndex, TypeVar, overload

from comity.crdt.list_law import ListLaw

if TYPE_CHECKING:
    from comity.crdt.descriptor import FieldOptions

__all__ = ["List"]

T = TypeVar("T")


class List(MutableSequence[T]):
    """A list; every insertion counts, and what one device inserts in one go stays together.

    `self.steps.append(x)`, `self.steps[0] = x`, `del self.steps[1:3]`, `self.steps = [...]` and
    `self.steps.move(3, 0)` write. An element that two devices move at the same time is
    afterwards in one of the two places. A set wins over a concurrent deletion, and a deletion
    over a move.
    """

    __slots__ = ("_law",)
    __hash__ = None  # type: ignore[assignment]  # its elements change

    def __init__(self, law: ListLaw) -> None:
        """Show the state of one field."""
        self._law = law

    if TYPE_CHECKING:

        @overload
        def __get__(self, instance: None, owner: type) -> FieldOptions: ...
        @overload
        def __get__(self, instance: object, owner: type) -> Self: ...
        def __get__(self, instance: object, owner: type) -> Any: ...
        def __set__(self, instance: object, value: Sequence[T]) -> None: ...

    # ------------------------------------------------------------------ reading

    def __len__(self) -> int:
        return len(self._law.elements)

    def __iter__(self) -> Iterator[T]:
        return iter(self._law.elements.values())

    def __contains__(self, value: object) -> bool:
        return value in self._law.elements.values()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, List):
            return self._law.elements.values() == other._law.elements.values()
        if isinstance(other, list | tuple):
            return self._law.elements.values() == [*other]
        return NotImplemented

    def __repr__(self) -> str:
        return f"List({self._law.elements.values()!r})"

    @overload
    def __getitem__(self, index: SupportsIndex) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: SupportsIndex | slice) -> T | list[T]:
        elements = self._law.elements
        if isinstance(index, slice):
            found: list[T] = elements.values()[index]
            return found
        value: T = elements.value(self._at(index))
        return value

    # ------------------------------------------------------------------ writing

    def insert(self, index: SupportsIndex, value: T) -> None:
        """Insert before the element at `index`; one beyond either end means that end."""
        self._law.insert_one(self._gap(index), value)

    def append(self, value: T) -> None:
        """Insert at the end."""
        law = self._law
        law.insert_one(law.elements.slots.length, value)

    def extend(self, values: Iterable[T]) -> None:
        """Insert at the end, in one piece."""
        self._law.insert(len(self._law.elements), list(values))

    def move(self, source: SupportsIndex, target: SupportsIndex) -> None:
        """Move the element at `source`, so that it stands at `target` afterwards.

        It stays the same element: whoever changes or moves it at the same time does not make
        a second one of it. Raises: IndexError if the list has no such positions.
        """
        self._law.move(self._at(source), self._at(target))

    def clear(self) -> None:
        """Delete what is there; what others insert at the same time stays."""
        self._law.delete(0, len(self._law.elements))

    @overload
    def __setitem__(self, index: SupportsIndex, value: T) -> None: ...
    @overload
    def __setitem__(self, index: slice, value: Iterable[T]) -> None: ...
    def __setitem__(self, index: SupportsIndex | slice, value: Any) -> None:
        if not isinstance(index, slice):
            self._law.set(self._at(index), (value,))
            return
        values: list[T] = list(value)
        places = range(*index.indices(len(self)))
        if places.step == 1:
            self._law.delete(places.start, len(places))
            self._law.insert(places.start, values)
            return
        if len(values) != len(places):
            message = f"{len(values)} values for {len(places)} places"
            raise ValueError(message)
        for place, each in zip(places, values, strict=True):
            self._law.set(place, (each,))

    def __delitem__(self, index: SupportsIndex | slice) -> None:
        if not isinstance(index, slice):
            self._law.delete(self._at(index), 1)
            return
        places = range(*index.indices(len(self)))
        if places.step == 1:
            self._law.delete(places.start, len(places))
            return
        for place in sorted(places, reverse=True):
            self._law.delete(place, 1)

    def __iadd__(self, values: Iterable[T]) -> Self:
        self.extend(values)
        return self

    def _at(self, index: SupportsIndex) -> int:
        length = len(self._law.elements)
        position = whole(index)
        if not -length <= position < length:
            message = f"position {position} in a list of {length}"
            raise IndexError(message)
        return position if position >= 0 else position + length

    def _gap(self, index: SupportsIndex) -> int:
        length = len(self._law.elements)
        position = whole(index)
        return max(0, position + length) if position < 0 else min(position, length)
