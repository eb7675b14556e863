"""What users declare and hold: `Register`, `Counter`, `Set`, `Map`, `Text`.

Owns: the Python face of each type. May not know: causality, bytes, turns; a view hands every
write to its law, which refuses it outside a turn.

A class body declares `items: Map[str, bool]`. At run time the class attribute is a
`FieldOptions` descriptor, which returns the view of the instance at hand and takes what is
assigned; `__get__` and `__set__` below only tell type checkers so.
All views read like the Python type they stand for. Keys come in their order ('<' where they
have one, else that of their bytes), so that every replica with the same state reads the same.
Source: API 'Replicated types'.
"""

from __future__ import annotations

from collections.abc import (
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
    MutableSet,
    Sequence,
)
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, Generic, Self, SupportsIndex, TypeVar, overload

from comity.base.errors import UsageError
from comity.crdt.laws import CounterLaw, KeyedLaw, RegisterLaw
from comity.crdt.text.law import TextLaw
from comity.crdt.text.marks import Mark, Span

if TYPE_CHECKING:
    from comity.crdt.descriptor import FieldOptions
    from comity.crdt.flag import Flag
    from comity.crdt.list_view import List

__all__ = ["Counter", "Map", "Register", "Set", "Text"]

T = TypeVar("T")
S = TypeVar("S")
K = TypeVar("K")
V = TypeVar("V")


class Register(Generic[T]):
    """One value; the last write wins, and of concurrent ones the same one everywhere.

    `self.title = "x"` writes, `self.title.value` reads. A register compares, tests and prints
    as its value does. `conflicts` shows what was written concurrently and did not win.
    """

    __slots__ = ("_law",)
    __hash__ = None  # type: ignore[assignment]  # its value changes

    def __init__(self, law: RegisterLaw) -> None:
        """Show the state of one field."""
        self._law = law

    if TYPE_CHECKING:

        @overload
        def __get__(self, instance: None, owner: type) -> FieldOptions: ...
        @overload
        def __get__(self, instance: object, owner: type) -> Self: ...
        def __get__(self, instance: object, owner: type) -> Any: ...
        def __set__(self, instance: object, value: T) -> None: ...

    @property
    def value(self) -> T:
        """The value; the field's default if none was ever written."""
        value: T = self._law.read()
        return value

    @property
    def conflicts(self) -> tuple[T, ...]:
        """The other values written concurrently, distinct; empty after the next write."""
        return self._law.conflicts()

    def set(self, value: T) -> None:
        """Write; the same as assigning to the field."""
        self._law.assign(value)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Register):
            return bool(self._law.read() == other._law.read())
        return bool(self._law.read() == other)

    def __bool__(self) -> bool:
        return bool(self._law.read())

    def __str__(self) -> str:
        return str(self._law.read())

    def __format__(self, spec: str) -> str:
        return format(self._law.read(), spec)

    def __repr__(self) -> str:
        return f"Register({self._law.read()!r})"


class Counter:
    """A whole number that is added to: concurrent increments all count.

    `self.done += 1` writes. It reads like an int: compare it, add to it, int() it.
    """

    __slots__ = ("_law",)
    __hash__ = None  # type: ignore[assignment]  # its value changes

    def __init__(self, law: CounterLaw) -> None:
        """Show the state of one field."""
        self._law = law

    if TYPE_CHECKING:

        @overload
        def __get__(self, instance: None, owner: type) -> FieldOptions: ...
        @overload
        def __get__(self, instance: object, owner: type) -> Self: ...
        def __get__(self, instance: object, owner: type) -> Any: ...
        def __set__(self, instance: object, value: Counter) -> None: ...

    @property
    def value(self) -> int:
        """The sum of all increments."""
        return self._law.tally.total

    def add(self, increment: int) -> None:
        """Add a number, which may be negative; the same as `+=`."""
        self._law.add(increment)

    def __iadd__(self, increment: int | Counter) -> Self:
        self._law.add(increment)
        return self

    def __isub__(self, decrement: int | Counter) -> Self:
        self._law.add(-decrement)
        return self

    def __int__(self) -> int:
        return self._law.tally.total

    def __index__(self) -> int:
        return self._law.tally.total

    def __bool__(self) -> bool:
        return self._law.tally.total != 0

    def __add__(self, other: int | Counter) -> int:
        return self._law.tally.total + int(other)

    __radd__ = __add__

    def __sub__(self, other: int | Counter) -> int:
        return self._law.tally.total - int(other)

    def __rsub__(self, other: int) -> int:
        return other - self._law.tally.total

    def __neg__(self) -> int:
        return -self._law.tally.total

    def __eq__(self, other: object) -> bool:
        return self._law.tally.total == _plain(other)

    def __lt__(self, other: float | Counter) -> bool:
        return self._law.tally.total < _number(other)

    def __le__(self, other: float | Counter) -> bool:
        return self._law.tally.total <= _number(other)

    def __gt__(self, other: float | Counter) -> bool:
        return self._law.tally.total > _number(other)

    def __ge__(self, other: float | Counter) -> bool:
        return self._law.tally.total >= _number(other)

    def __str__(self) -> str:
        return str(self._law.tally.total)

    def __format__(self, spec: str) -> str:
        return format(self._law.tally.total, spec)

    def __repr__(self) -> str:
        return f"Counter({self._law.tally.total})"


def _number(other: float | Counter) -> float:
    return other.value if isinstance(other, Counter) else other


def _plain(other: object) -> object:
    return other.value if isinstance(other, Counter) else other


class Set(MutableSet[T]):
    """A set; of a concurrent add and remove of one element, the add wins.

    `self.tags.add("x")`, `self.tags |= {...}`, `self.tags = {...}` write.
    """

    __slots__ = ("_law",)
    __hash__ = None  # type: ignore[assignment]  # its elements change

    def __init__(self, law: KeyedLaw) -> None:
        """Show the state of one field."""
        self._law = law

    if TYPE_CHECKING:

        @overload
        def __get__(self, instance: None, owner: type) -> FieldOptions: ...
        @overload
        def __get__(self, instance: object, owner: type) -> Self: ...
        def __get__(self, instance: object, owner: type) -> Any: ...
        def __set__(self, instance: object, value: AbstractSet[T]) -> None: ...

    @classmethod
    def _from_iterable(cls, elements: Iterable[S]) -> set[S]:
        """Make what operators such as `&` return: a plain set."""
        return set(elements)

    def __eq__(self, other: object) -> bool:
        return super().__eq__(other)  # said here so that checkers accept a plain set

    def __contains__(self, element: object) -> bool:
        return element in self._law.writes.values

    def __iter__(self) -> Iterator[T]:
        return iter(self._law.writes.order())

    def __len__(self) -> int:
        return len(self._law.writes.values)

    def add(self, value: T) -> None:
        """Add an element; adding a present one again guards it against concurrent removal."""
        self._law.put(value, True)  # noqa: FBT003  (what stands under the keys of a set)

    def discard(self, value: T) -> None:
        """Remove an element if it is there."""
        if value in self._law.writes.values:
            self._law.delete(value)

    def update(self, *others: Iterable[T]) -> None:
        """Add all elements."""
        for other in others:
            for value in other:
                self._law.put(value, True)  # noqa: FBT003  (as in add)

    def clear(self) -> None:
        """Remove what is there; what others add concurrently stays."""
        self._law.clear()

    def __repr__(self) -> str:
        return f"Set({list(self)!r})"


class Map(MutableMapping[K, V]):
    """A mapping; each key is for itself, and a write wins over a concurrent delete.

    `self.items[key] = value`, `del self.items[key]`, `self.items = {...}` write. Of values
    written concurrently under one key the same one wins everywhere; `conflicts` has the rest.
    """

    __slots__ = ("_law",)

    def __init__(self, law: KeyedLaw) -> None:
        """Show the state of one field."""
        self._law = law

    if TYPE_CHECKING:

        @overload
        def __get__(self, instance: None, owner: type) -> FieldOptions: ...
        @overload
        def __get__(self, instance: object, owner: type) -> Self: ...
        def __get__(self, instance: object, owner: type) -> Any: ...
        def __set__(self, instance: object, value: Mapping[K, V]) -> None: ...

    def conflicts(self, key: K) -> tuple[V, ...]:
        """Return the other values written concurrently under a key; empty if there are none."""
        return self._law.rivals(key)

    def __getitem__(self, key: K) -> V:
        value: V = self._law.writes.values[key]
        return value

    if TYPE_CHECKING:  # a value that is a replicated type takes what its field takes

        @overload
        def __setitem__(self: Map[K, Text], key: K, value: str | Text) -> None: ...
        @overload
        def __setitem__(self: Map[K, Flag], key: K, value: bool | Flag) -> None: ...
        @overload
        def __setitem__(self: Map[K, Set[S]], key: K, value: AbstractSet[S]) -> None: ...
        @overload
        def __setitem__(self: Map[K, List[S]], key: K, value: Sequence[S]) -> None: ...
        @overload
        def __setitem__(self, key: K, value: V) -> None: ...
        def __setitem__(self, key: K, value: Any) -> None: ...

    else:

        def __setitem__(self, key: K, value: V) -> None:
            self._law.put(key, value)

    def __delitem__(self, key: K) -> None:
        if key not in self._law.writes.values:
            raise KeyError(key)
        self._law.delete(key)

    def __contains__(self, key: object) -> bool:
        return key in self._law.writes.values

    def __iter__(self) -> Iterator[K]:
        return iter(self._law.writes.order())

    def __len__(self) -> int:
        return len(self._law.writes.values)

    def clear(self) -> None:
        """Delete what is there; what others write concurrently stays."""
        self._law.clear()

    def __repr__(self) -> str:
        return f"Map({dict(self)!r})"


class Text(Sequence[str]):
    """A text that several people type in at once: every edit counts, words stay whole.

    `self.note.insert(3, "abc")`, `del self.note[0:3]`, `self.note[2:4] = "x"`,
    `self.note += "!"` write; `self.note = "new"` changes what differs, and only that. It reads
    like a str, to compare, slice, search and print; positions count code points, from the end
    if negative. Reading a character or a slice costs its size, `str(self.note)` the text's.
    """

    __slots__ = ("_law",)
    __hash__ = None  # type: ignore[assignment]  # its characters change

    def __init__(self, law: TextLaw) -> None:
        """Show the state of one field."""
        self._law = law

    if TYPE_CHECKING:

        @overload
        def __get__(self, instance: None, owner: type) -> FieldOptions: ...
        @overload
        def __get__(self, instance: object, owner: type) -> Self: ...
        def __get__(self, instance: object, owner: type) -> Any: ...
        def __set__(self, instance: object, value: str | Text) -> None: ...

    # ------------------------------------------------------------------ reading

    @property
    def value(self) -> str:
        """The whole text."""
        return str(self._law)

    def __str__(self) -> str:
        return str(self._law)

    def __repr__(self) -> str:
        return f"Text({str(self._law)!r})"

    def __format__(self, spec: str) -> str:
        return format(str(self._law), spec)

    def __len__(self) -> int:
        return len(self._law)

    def __bool__(self) -> bool:
        return len(self._law) > 0

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str | Text):
            return str(self) == str(other)
        return NotImplemented

    def __iter__(self) -> Iterator[str]:
        return iter(str(self._law))

    def __contains__(self, part: object) -> bool:
        return isinstance(part, str) and part in str(self._law)

    def __add__(self, other: str | Text) -> str:
        return str(self) + str(other)

    def __radd__(self, other: str) -> str:
        return other + str(self)

    def __getitem__(self, where: SupportsIndex | slice) -> str:
        law = self._law
        if isinstance(where, slice):
            start, stop, step = where.indices(len(law))
            if step == 1:
                return law.slice(start, max(start, stop))
            return str(law)[where]
        at = self._at(where)
        return law.slice(at, at + 1)

    def find(self, part: str, start: int = 0) -> int:
        """Return where `part` first stands from `start` on, -1 if it does not."""
        return str(self._law).find(part, start)

    def index(self, value: str, start: int = 0, stop: int | None = None) -> int:
        """Return where a part first stands. Raises: ValueError if it does not."""
        return str(self._law).index(value, start, stop)

    def count(self, value: str) -> int:
        """Return how often a part stands there, not overlapping itself."""
        return str(self._law).count(value)

    def spans(self) -> list[Span]:
        """Return the marked stretches, ascending, each with the marks that count on it."""
        return self._law.spans()

    # ------------------------------------------------------------------ writing

    def mark(self, start: int, stop: int, mark: Mark) -> None:
        """Mark a stretch: `self.note.mark(0, 4, Mark("bold"))`; positions as in a slice.

        Of marks of one name on one character the latest counts, of concurrent ones the same
        one everywhere; see `Mark` for those that grow or overlap.
        """
        self._law.mark(*self._span(slice(start, stop)), mark, clears=False)

    def unmark(self, start: int, stop: int, mark: Mark) -> None:
        """Clear a stretch of marks of that name; if they may overlap, of that value only."""
        self._law.mark(*self._span(slice(start, stop)), mark, clears=True)

    def insert(self, index: int, value: str) -> None:
        """Insert before the character at `index`; one beyond either end means that end."""
        length = len(self._law)
        self._law.insert(max(0, index + length) if index < 0 else min(index, length), value)

    def delete(self, start: int, stop: int) -> None:
        """Delete what stands from `start` to before `stop`; the same as `del text[a:b]`."""
        del self[start:stop]

    def append(self, value: str) -> None:
        """Insert at the end."""
        self._law.insert(len(self._law), value)

    def extend(self, values: Iterable[str]) -> None:
        """Insert at the end; a str, or strings one after another."""
        self._law.insert(len(self._law), "".join(values))

    def __iadd__(self, value: Iterable[str]) -> Self:
        self.extend(value)
        return self

    def clear(self) -> None:
        """Delete what is there; what others type at the same time stays."""
        self._law.delete(0, len(self._law))

    def __setitem__(self, where: SupportsIndex | slice, value: Iterable[str]) -> None:
        law = self._law
        if isinstance(where, slice):
            start, stop = self._span(where)
            if not isinstance(value, str):
                value = "".join(value)
            law.replace(start, stop, value)
        else:
            at = self._at(where)
            law.replace(at, at + 1, value)

    def __delitem__(self, where: SupportsIndex | slice) -> None:
        if isinstance(where, slice):
            self._law.delete(*self._span(where))
        else:
            at = self._at(where)
            self._law.delete(at, at + 1)

    def _at(self, where: SupportsIndex) -> int:
        at, length = where.__index__(), len(self._law)
        if not -length <= at < length:
            raise IndexError(f"character {at} of a text of {length}")
        return at + length if at < 0 else at

    def _span(self, where: slice) -> tuple[int, int]:
        start, stop, step = where.indices(len(self._law))
        if step != 1:
            raise UsageError(f"{self._law.label}: write a stretch at a time, without a step")
        return start, max(start, stop)
