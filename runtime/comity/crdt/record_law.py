"""The merge law of a record: several fields in one place, each under its own law.

Owns: the operations of a record and their bytes. May not know: users' classes (`record`),
what the fields are.

    turn    groups of: field tag 4 | varint length | operations of that field; tags ascend
    state   the same, of what is there

As a turn of an actor is written, so that records can grow and lose fields as actors can:
what a newer version writes to a field that this one has not is kept in the log and skipped.
A record has no presence of its own: it is there where the field or the key is that holds it.
Source: decision 31; PROTOCOL section 2 (turn).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import Final

from comity.base.canonical import Malformed, Reader, varint
from comity.crdt.codec import Value
from comity.crdt.freezing import Freezer, Thawer, freeze_law, thaw_law
from comity.crdt.laws import Law, give
from comity.crdt.upgrade import Parse
from comity.crdt.writer import GROUP_BYTES_MAX, Entrant, OpenTurn

__all__ = ["RecordLaw"]

_OUT: Final = -2
"""The turn of a field that has not entered one; no writer's turn is ever this."""

_TAG_BYTES: Final = 4
_BY_TAG: Final = attrgetter("tag")


class _Inside:
    """What the fields of a record write through. Implements `writer.OpenTurn`."""

    __slots__ = ("_record", "_writer")

    def __init__(self, record: RecordLaw, writer: OpenTurn) -> None:
        self._record = record
        self._writer = writer

    @property
    def turn(self) -> int:
        return self._writer.turn

    @property
    def bytes_left(self) -> int:
        return self._writer.bytes_left

    @bytes_left.setter
    def bytes_left(self, size: int) -> None:
        self._writer.bytes_left = size

    def enter(self, field: Entrant) -> None:
        self._record.admit(field)

    def charge(self, field: Entrant, size: int) -> None:
        self._writer.charge(field, size)


class RecordLaw:
    """The fields of one record; `join` gives it these, once."""

    __slots__ = (
        "_blank",
        "_by_tag",
        "_entered",
        "_former",
        "_freeze",
        "_given",
        "_names",
        "_within",
        "_writer",
        "inside",
        "label",
        "laws",
        "tag",
        "views",
    )

    def __init__(
        self,
        label: str,
        tag: bytes,
        writer: OpenTurn,
        given: Callable[[object, str], Mapping[str, object]],
        freeze: Callable[[tuple[object, ...]], object],
    ) -> None:
        """Start without fields.

        given: of a record that is assigned under a label, what it holds for the fields that
        it was given; raises UsageError for what is no such record. freeze: makes an immutable
        record of the values of all fields.
        """
        self.label = label
        self.tag = tag
        self.inside: OpenTurn = _Inside(self, writer)
        self._writer = writer
        self._given = given
        self._freeze = freeze
        self._blank: tuple[object, ...] = ()
        self._former: Mapping[bytes, tuple[str, Parse]] = {}
        self._within: list[Entrant] = []
        self._entered = _OUT
        self._names: tuple[str, ...] = ()
        self._by_tag: dict[bytes, tuple[str, Law]] = {}
        self.laws: tuple[Law, ...] = ()
        self.views: tuple[object, ...] = ()

    def join(
        self,
        names: tuple[str, ...],
        fields: Iterable[tuple[Law, object]],
        blank: tuple[object, ...],
        former: Mapping[bytes, tuple[str, Parse]],
    ) -> None:
        """Take the fields, which write through `inside`: state and view of each.

        blank: what each reads while nothing is in it. former: by tag, which field older
        versions wrote, and what reads it.
        """
        assert not self.laws
        made = tuple(fields)
        self._names = names
        self._blank = blank
        self._former = former
        self.laws = tuple([law for law, _ in made])
        self.views = tuple([view for _, view in made])
        tagged = sorted(zip(names, self.laws, strict=True), key=lambda pair: pair[1].tag)
        self._by_tag = {law.tag: (name, law) for name, law in tagged}

    def assign(self, value: object) -> None:
        """Make the fields read as those of `value`; what it leaves out becomes empty.

        Raises: UsageError if it is no record of the class, or a counter would be set.
        """
        given = self._given(value, self.label)
        for name, law, blank in zip(self._names, self.laws, self._blank, strict=True):
            if name in given:
                give(law, given[name])
            elif law.snapshot() != blank:
                law.assign(blank)

    # ------------------------------------------------------------------ turns

    def enter(self, turn: int) -> None:
        """Join a turn."""
        self._entered = turn

    def admit(self, field: Entrant) -> None:
        """Let a field of the record join the open turn."""
        if self._entered != self._writer.turn:
            self._writer.enter(self)
        elif self._writer.bytes_left < GROUP_BYTES_MAX:
            self._writer.charge(self, GROUP_BYTES_MAX)  # raises
        self._writer.bytes_left -= GROUP_BYTES_MAX
        field.enter(self._entered)
        self._within.append(field)

    def commit(self) -> bytes:
        """Keep the turn's writes."""
        self._entered = _OUT
        self._within.sort(key=_BY_TAG)
        parts: list[bytes] = []
        for field in self._within:
            operations = field.commit()
            if operations:
                parts += (field.tag, varint(len(operations)), operations)
        self._within.clear()
        return b"".join(parts)

    def pending(self) -> list[tuple[str, Law]]:
        """Return the fields that the open turn wrote."""
        pairs = zip(self._names, self.laws, strict=True)
        return [(name, law) for name, law in pairs if any(law is each for each in self._within)]

    def rollback(self) -> None:
        """Take back the turn's writes."""
        self._entered = _OUT
        for field in self._within:
            field.rollback()
        self._within.clear()

    def parse(self, reader: Reader) -> dict[str, Value]:
        """Read what a turn does to each known field."""
        found: dict[str, Value] = {}
        upgraded: dict[str, Value] = {}
        tag_before = b""
        while True:
            tag = reader.take(_TAG_BYTES)
            if tag <= tag_before:
                raise Malformed(f"the tags of a record do not ascend at {reader.position}")
            tag_before = tag
            inner = Reader(reader.take(reader.varint()))
            known = self._by_tag.get(tag)
            if known is not None:
                name, law = known
                found[name] = law.parse(inner)
                inner.finish()
            elif tag in self._former:
                name, parse = self._former[tag]
                upgraded.setdefault(name, parse(inner))
                inner.finish()
            if not reader.left:
                return upgraded | found if upgraded else found

    def fold(self, turn: int, parsed: dict[str, Value]) -> tuple[str, ...]:
        """Apply it; return the names of the fields that it wrote."""
        for name, law in zip(self._names, self.laws, strict=True):
            if name in parsed:
                law.fold(turn, parsed[name])
        return tuple(parsed)

    def bound(self, turn: int) -> None:
        """Learn that causality knows the place of a turn of this device."""
        for law in self.laws:
            law.bound(turn)

    def changed(self, turn: int) -> tuple[str, ...] | None:
        """Count a turn or no longer; return the names of the fields that it wrote."""
        pairs = zip(self._names, self.laws, strict=True)
        names = tuple([name for name, law in pairs if law.changed(turn) is not None])
        return names or None

    # ------------------------------------------------------------------ what is there

    def encode(self) -> bytes:
        """Return tag, length and state of each field that is not empty; tags ascend."""
        parts: list[bytes] = []
        for tag, (_, law) in self._by_tag.items():
            data = law.encode()
            if data:
                parts += (tag, varint(len(data)), data)
        return b"".join(parts)

    def snapshot(self) -> object:
        """Return an immutable record of the same class."""
        return self._freeze(tuple([law.snapshot() for law in self.laws]))

    def freeze(self, out: Freezer) -> None:
        """Write all fields; tags ascend."""
        for name, law in self._by_tag.values():
            freeze_law(law, f"{self.label}.{name}", out)

    def thaw(self, data: Thawer) -> None:
        """Take what `freeze` wrote. Raises: Malformed."""
        for _, law in self._by_tag.values():
            thaw_law(law, data)

    def check(self, settled: int) -> None:
        """Assert the invariants of all fields."""
        assert list(self._by_tag) == sorted(self._by_tag)
        assert self._entered != _OUT or not self._within
        for law in self.laws:
            law.check(settled)
