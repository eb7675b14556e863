"""The replicated fields of one actor class, from its annotations.

Owns: which fields an actor has, how each is reached.
May not know: actors, cells, how annotations are collected.

A field's tag is the first 4 bytes of BLAKE2b(name || 0 || law): the law names the type and
its parameters ('map<str,bool>'), so devices whose declarations merge differently never mix
operations; they keep and relay what they do not know.
Source: PROTOCOL section 2 (field id), API 'A whole application'.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, replace

from comity.base.canonical import varint
from comity.crdt.bounded import BoundedCounter, BoundedLaw
from comity.crdt.causality import Causality
from comity.crdt.descriptor import BareField, FieldOptions, field
from comity.crdt.escrow import Escrow
from comity.crdt.laws import Law
from comity.crdt.rules import Rule, encode_rule
from comity.crdt.ruling import check_rules
from comity.crdt.shape import TAG_BYTES, Shape, members_of
from comity.crdt.upgrade import Parse
from comity.crdt.writer import Writer

__all__ = ["TAG_BYTES", "Field", "FieldOptions", "Schema", "field"]


@dataclass(frozen=True, slots=True)
class Field:
    """One replicated field.

    name: the attribute. tag: 4 bytes, in every operation. shape: what it was declared as.
    rule: what may be written to it and by whom; None for no rule.
    former: by tag, what reads the operations of older versions. label: what errors call it.
    """

    name: str
    tag: bytes
    shape: Shape
    rule: Rule | None = None
    former: Mapping[bytes, Parse] = dataclasses.field(default_factory=dict[bytes, Parse])
    label: str = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        """Make the label once: there may be a million actors of a class."""
        object.__setattr__(self, "label", f"{self.shape.kind.__name__} {self.name!r}")

    @property
    def law(self) -> str:
        """The type and its parameters."""
        return self.shape.law

    def make(
        self, writer: Writer, causality: Causality, hidden: set[int], withdrawn: set[int] | None
    ) -> tuple[Law, object]:
        """Return the empty state of the field in one actor, and the view of it.

        hidden, withdrawn: as in `State`; the latter matters to those that heed it only.
        """
        label = self.label
        if self.shape.kind is BoundedCounter:
            assert isinstance(self.shape.default, int)
            assert withdrawn is not None
            escrow = Escrow(causality, withdrawn)
            bounded = BoundedLaw(label, self.tag, self.shape.default, writer, escrow)
            return bounded, BoundedCounter(bounded)
        return self.shape.make(label, self.tag, writer, causality, hidden)


class Schema:
    """The fields of one actor class, in the order of their declaration.

    places: where each is among them, and its name, by tag; tags ascend. former: the same of
    what older versions wrote, and what reads it.
    heeds_withdrawn: whether some field asks which turns authority hid, undone or not.
    """

    __slots__ = ("_options", "fields", "former", "heeds_withdrawn", "owner", "places")

    def __init__(
        self, owner: str, fields: tuple[Field, ...], options: dict[str, FieldOptions]
    ) -> None:
        """Keep checked fields; see `from_hints`."""
        self.owner = owner
        self.fields = fields
        self._options = options
        self.heeds_withdrawn = any(each.shape.kind is BoundedCounter for each in fields)
        numbered = sorted(enumerate(fields), key=lambda pair: pair[1].tag)
        self.places = {each.tag: (index, each.name) for index, each in numbered}
        self.former: dict[bytes, tuple[int, str, Parse]] = {
            tag: (index, each.name, parse)
            for index, each in enumerate(fields)
            for tag, parse in each.former.items()
        }

    @classmethod
    def from_hints(
        cls, owner: str, hints: Mapping[str, object], options: Mapping[str, FieldOptions]
    ) -> Schema:
        """Check resolved annotations and make their schema.

        owner: name of the class, for errors.
        Raises: UsageError with one line for each wrong field, and the fix of each.
        """
        members = members_of(f"{owner} cannot be replicated", hints, options)
        fields = [
            Field(each.name, each.tag, each.shape, each.rule, each.former) for each in members
        ]
        check_rules(f"{owner} cannot be replicated", fields)
        return cls(owner, tuple(fields), dict(options))

    @property
    def rules(self) -> dict[bytes, bytes]:
        """The rules that the class declares, as they stand in the log, by tag of the field."""
        return {
            each.tag: encode_rule(each.rule) for each in self.fields if each.rule is not None
        }

    @property
    def layout(self) -> bytes | None:
        """What a frozen state depends on; None if it depends on code, which says no version.

        What upgrades of older declarations make of old turns is such code.
        """
        found = b"".join([tag for tag, _ in sorted(self.places.items())])
        parts = [found]
        for each in sorted(self.fields, key=lambda field: field.tag):
            inner = _layout(each.shape)
            if each.former or inner is None:
                return None
            parts.append(inner)
        return b"".join(parts)

    def install(self, owner: type) -> None:
        """Make each field a descriptor of the class; doing it again is fine."""
        for index, each in enumerate(self.fields):
            given = replace(self._options.get(each.name, FieldOptions()), index=index)
            if each.shape.bare:
                named = [one.name for one in dataclasses.fields(FieldOptions)]
                options = {name: getattr(given, name) for name in named}
                given = BareField(**options, needed=each.shape.needed)
            setattr(owner, each.name, given)


def _layout(shape: Shape) -> bytes | None:
    """Return what of a type is not in the name of its law: the fields of records in it."""
    if shape.inner is not None:
        return _layout(shape.inner)
    parts: list[bytes] = []
    for each in sorted(shape.members, key=lambda member: member.tag):
        inner = _layout(each.shape)
        if each.former or inner is None:
            return None
        parts += (each.tag, inner)
    return varint(len(shape.members)) + b"".join(parts)
