"""The class attribute behind a replicated field: options first, then a descriptor.

Owns: `field(...)`, and how `self.items` finds its state. May not know: what a field holds.

An actor instance reaches its fields through what hosts it: `Holder` says how. Which of the
cell's fields is meant is an index that `Schema.install` gives; a subclass gets its own.
Source: API 'A whole application'.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Protocol, Self, TypedDict, Unpack, overload, runtime_checkable

from comity.base.errors import UsageError
from comity.crdt.laws import Law
from comity.crdt.rules import Rule
from comity.crdt.upgrade import Upgrade

__all__ = [
    "UNSET",
    "BareField",
    "FieldOptions",
    "Fields",
    "Holder",
    "Keeper",
    "field",
    "view_of",
]

UNSET: Final = object()
"""No default was given."""


class Fields(Protocol):
    """The fields of one actor, by index; `crdt.state.State` is one."""

    @property
    def views(self) -> tuple[object, ...]:
        """What users read and write."""
        ...

    @property
    def laws(self) -> tuple[Law, ...]:
        """What is behind each view."""
        ...


@runtime_checkable
class Valued(Protocol):
    """A view of one value; `views.Register` is one."""

    @property
    def value(self) -> object:
        """The value."""
        ...


class Keeper(Protocol):
    """What hosts an actor; `actor.cell.Cell` is one."""

    @property
    def comity_state(self) -> Fields:
        """The fields of the actor that it hosts."""
        ...


class Holder(Protocol):
    """An actor instance: its host sets this attribute before any method runs."""

    _comity_cell: Keeper


@dataclass(frozen=True, slots=True, eq=False)
class FieldOptions:
    """What `field` was given; once the class is checked, the descriptor of the field.

    id: the name that other devices know the field by; None for the attribute's own.
    default: what an unset Register reads; UNSET for the zero of its type.
    floor: what a BoundedCounter does not fall below; None where none was given.
    rule: what may be written to it and by whom; None for whatever its type takes.
    index: place among the actor's fields; -1 until the class is checked.
    was: the first name of a renamed field. upgrades: former types of it.
    """

    id: str | None = None
    default: object = UNSET
    index: int = -1
    floor: int | None = None
    rule: object = None
    was: str | None = None
    upgrades: tuple[Upgrade, ...] | Upgrade = ()

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: Holder, owner: type) -> object: ...
    def __get__(self, instance: Holder | None, owner: type) -> object:
        """Return the view of the field, or from the class the descriptor itself."""
        if instance is None:
            return self
        try:
            cell = instance._comity_cell  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        except AttributeError:
            raise _unhosted(owner) from None
        return cell.comity_state.views[self.index]

    def __set__(self, instance: Holder, value: object) -> None:
        """Assign; giving back the view itself, as `+=` and `|=` do, is no assignment."""
        try:
            cell = instance._comity_cell  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        except AttributeError:
            raise _unhosted(type(instance)) from None
        fields = cell.comity_state
        if value is not fields.views[self.index]:
            fields.laws[self.index].assign(value)


@dataclass(frozen=True, slots=True, eq=False)
class BareField(FieldOptions):
    """The descriptor of a register that is read as its value. needed: never as None."""

    needed: bool = False

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: Holder, owner: type) -> object: ...
    def __get__(self, instance: Holder | None, owner: type) -> object:
        """Return the value. Raises: UsageError if it is needed, and was never written."""
        view = FieldOptions.__get__(self, instance, owner)
        if instance is None:
            return view
        assert isinstance(view, Valued)
        if self.needed and view.value is None:
            raise UsageError(
                f"{owner.__name__} has a field that was never written and is not declared "
                "| None: write it in on_create, or declare it | None and ask"
            )
        return view.value

    def __set__(self, instance: Holder, value: object) -> None:
        """Assign. Raises: UsageError for None if it is needed; others may write that."""
        if self.needed and value is None:
            raise UsageError("None where a ref is declared: declare it | None")
        FieldOptions.__set__(self, instance, value)


def view_of(instance: Holder, name: str) -> object:
    """Return the view of a field, also where the attribute reads as its value."""
    found: object = getattr(type(instance), name)
    assert isinstance(found, FieldOptions)
    return FieldOptions.__get__(found, instance, type(instance))


def _unhosted(owner: type) -> UsageError:
    return UsageError(
        f"this {owner.__name__} has no fields here: they are written in on_create, not in "
        f"__init__, and an actor is made with node.create({owner.__name__}) or "
        f"node.open(...), not by calling the class"
    )


class _Options(TypedDict, total=False):
    id: str
    default: object
    floor: int
    rule: Rule | tuple[Rule, ...]
    was: str
    upgrades: tuple[Upgrade, ...] | Upgrade


def field(**options: Unpack[_Options]) -> Any:  # noqa: ANN401  (it stands for any field)
    """Set options of a replicated field; it is what the annotation is assigned.

    id: the name that other devices know the field by. Give the old name when an attribute is
    renamed, and its contents stay. Default: the attribute's name.
    default: what a Register reads before anything was written to it; it is not replicated, so
    give all devices the same. Needed for types without a natural zero, such as an Enum.
    floor: what a BoundedCounter starts at and does not fall below; 0 if it is left out.
    rule: what may be written and by whom, such as Owner or (Role("admin"), MaxLength(80));
    every replica judges by it, whatever the writer's program does. Not inside records.
    was: the name that the field had at first, if the attribute was renamed: its contents stay.
    upgrades: what older versions of the class declared the field as, and what becomes of their
    values: an `Upgrade`, or a tuple of them.
    """
    return FieldOptions(**options)
