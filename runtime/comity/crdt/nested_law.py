"""A map whose values are replicated types: each key has a state of its own.

Owns: the operations of such a map and their bytes, the states under the keys, the changes
that this device makes after deleting a key. May not know: what the values are (`Maker`).

    turn    runs: varint(count << 2 | kind), then entries by the order of their bytes
    kind    0 key: it is there    1 key: deleted    2 key, blob: written
            3 key, blob: deleted, then written; the blob may be empty
    blob    varint length | operations of the value, as its type writes them

A key is there while some turn that writes it is not deleted by one that saw it: an update
wins over a concurrent deletion, and of what is under the key a deletion removes what it saw.

    real --this device deletes--> aside --the turn has its commit--> real

What a deletion of this device takes away depends on its commit, which is not there yet: so
until then reads and writes go to an empty state aside, and are folded once it is.
Source: PROTOCOL section 2, decision 16.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol

from comity.base.canonical import Malformed, Reader, varint
from comity.base.errors import UsageError
from comity.crdt.causality import Causality
from comity.crdt.codec import Value, ValueType
from comity.crdt.freezing import Freezer, Thawer, freeze_law, thaw_law
from comity.crdt.laws import Law, give
from comity.crdt.scope import Scope
from comity.crdt.writer import GROUP_BYTES_MAX, Entrant, OpenTurn
from comity.crdt.writes import ABSENT, Key, Writes

__all__ = ["Entry", "Maker", "NestedLaw"]

_OUT: Final = -2
"""The turn of a field that has not entered one; no writer's turn is ever this."""

_TOUCH: Final = 0
_DELETE: Final = 1
_WRITE: Final = 2
_RENEW: Final = 3
_KIND_BITS: Final = 2


class Maker(Protocol):
    """The type of the values."""

    @property
    def is_replaced(self) -> bool:
        """Whether assigning puts a new value in the place of the present one."""
        ...

    def make(
        self, label: str, tag: bytes, writer: OpenTurn, causality: Causality, hidden: set[int]
    ) -> tuple[Law, object]:
        """Return an empty state, and the view of it."""
        ...


class Entry(NamedTuple):
    """What a turn does to one key."""

    kind: int
    parsed: Value

    @property
    def deletes(self) -> bool:
        """Whether what was there goes."""
        return self.kind in {_DELETE, _RENEW}

    @property
    def writes(self) -> bool:
        """Whether something is written to the value."""
        return self.parsed is not None


class _Part:
    """One state under a key. Implements `writer.OpenTurn` for it."""

    __slots__ = ("_key", "_nest", "entered", "law", "scope", "view")

    law: Law
    view: object

    def __init__(self, nest: NestedLaw, key: Key, scope: Scope) -> None:
        self._nest = nest
        self._key = key
        self.scope = scope
        self.entered = False

    @property
    def turn(self) -> int:
        return self._nest.writer.turn

    @property
    def bytes_left(self) -> int:
        return self._nest.writer.bytes_left

    @bytes_left.setter
    def bytes_left(self, size: int) -> None:
        self._nest.writer.bytes_left = size

    def enter(self, field: Entrant) -> None:
        self._nest.admit(self._key, self)
        field.enter(self.turn)
        self.entered = True

    def charge(self, field: Entrant, size: int) -> None:
        self._nest.writer.charge(field, size)


class _Slot:
    """What is under a key. waiting: turns of this device that the real state has not got."""

    __slots__ = ("aside", "real", "waiting")

    def __init__(self, real: _Part) -> None:
        self.real = real
        self.aside: _Part | None = None
        self.waiting: list[tuple[int, Entry]] = []

    @property
    def part(self) -> _Part:
        """The state that this device reads and writes."""
        return self.aside or self.real


class _Draft:
    """What the open turn has done to a key. before: the state aside that it found."""

    __slots__ = ("before", "deleted", "present")

    def __init__(self, before: _Part | None) -> None:
        self.before = before
        self.deleted = False
        self.present = False


class NestedLaw:
    """A map of replicated values."""

    __slots__ = (
        "_causality",
        "_drafts",
        "_entered",
        "_hidden",
        "_key_type",
        "_maker",
        "_sample",
        "_slots",
        "_waiting",
        "label",
        "tag",
        "writer",
        "writes",
    )

    def __init__(
        self,
        label: str,
        key_type: ValueType,
        maker: Maker,
        writer: OpenTurn,
        writes: Writes,
        scope: tuple[Causality, set[int]],
    ) -> None:
        """Start empty. writes: of the presence of keys. scope: order and hidden turns."""
        self.label = label
        self.tag = writes.tag
        self.writer = writer
        self.writes = writes
        self._causality, self._hidden = scope
        self._key_type = key_type
        self._maker = maker
        self._entered = _OUT
        self._slots: dict[Key, _Slot] = {}
        self._drafts: dict[Key, _Draft] = {}
        self._waiting: dict[Key, None] = {}
        self._sample: Law | None = None

    # ------------------------------------------------------------------ reading and writing

    def view(self, key: Key) -> Any:  # noqa: ANN401  (the view of any type)
        """Return the view of what is under a key; empty if nothing is; it may be written."""
        return self._slot(self._checked(key)).part.view

    def put(self, key: Key, value: object) -> None:
        """Do what `map[key] = value` stands for: assign to what is under the key."""
        key = self._checked(key)
        slot = self._slot(key)
        if value is not slot.part.view:
            if self._maker.is_replaced and key in self.writes.values:
                self.renew(key)
            slot.part.law.assign(value)
        self.touch(key)

    def touch(self, key: Key) -> None:
        """Make a key present in the open turn."""
        draft = self._draft(self._checked(key))
        draft.present = True
        self.writes.put(self._entered, key, value=True)

    def renew(self, key: Key) -> None:
        """Delete what is under a key in the open turn; the key is present and empty."""
        if self._checked(key) in self._slots:
            self.delete(key)
        self.touch(key)

    def delete(self, key: Key) -> None:
        """Delete a key in the open turn."""
        draft, slot = self._draft(self._checked(key)), self._slots[key]
        part = slot.part
        if part.entered:
            part.law.rollback()
            part.entered = False
        slot.aside = self._part(key, set())
        draft.deleted, draft.present = True, False
        self.writes.put(self._entered, key, ABSENT)

    def clear(self) -> None:
        """Delete all that is present."""
        for key in self.writes.order():
            self.delete(key)

    def assign(self, value: object) -> None:
        """Make it hold the keys of `value`, each with what `put` makes of it."""
        if not isinstance(value, Mapping):
            raise UsageError(f"{self.label} cannot be set to {value!r}: assign a mapping")
        entries: dict[Key, object] = {**value}  # pyright: ignore[reportUnknownArgumentType]
        for key in self.writes.order():
            if key not in entries:
                self.delete(key)
        for key, each in entries.items():
            if key in self.writes.values:
                self.put(key, each)
            else:
                self.touch(key)
                give(self._slot(key).part.law, each)

    def admit(self, key: Key, part: _Part) -> None:
        """Let what is under a key join the open turn."""
        slot = self._slots[key]
        if part is not slot.part:
            raise UsageError(
                f"{self.label}[{key!r}] was deleted after it was looked up: look it up again"
            )
        self.touch(key)

    # ------------------------------------------------------------------ turns

    def enter(self, turn: int) -> None:
        """Join a turn."""
        self._entered = turn
        self.writes.begin()

    def commit(self) -> bytes:
        """Keep the turn's writes."""
        turn, self._entered = self._entered, _OUT
        runs: tuple[list[bytes], ...] = ([], [], [], [])
        for key, draft in self._drafts.items():
            slot = self._slots[key]
            part, operations = slot.part, b""
            if part.entered:
                part.entered = False
                operations = part.law.commit()
            kind = _kind(draft, wrote=bool(operations))
            data = self._key_type.encode(key)
            if kind >= _WRITE:
                data += varint(len(operations)) + operations
            runs[kind].append(data)
            if slot.aside is not None:
                parsed = part.law.parse(Reader(operations)) if operations else None
                slot.waiting.append((turn, Entry(kind, parsed)))
                self._waiting[key] = None
            elif operations:
                part.scope.write(turn)
        self._drafts.clear()
        self.writes.commit()
        return b"".join(
            varint(len(run) << _KIND_BITS | kind) + b"".join(sorted(run))
            for kind, run in enumerate(runs)
            if run
        )

    def pending(self) -> list[tuple[Key, int, Law | None]]:
        """Return what the open turn did: key, kind, and the value if it was written to."""
        found: list[tuple[Key, int, Law | None]] = []
        for key, draft in self._drafts.items():
            part = self._slots[key].part
            kind = _kind(draft, wrote=part.entered)
            found.append((key, kind, part.law if part.entered else None))
        return found

    def rollback(self) -> None:
        """Take back the turn's writes."""
        self._entered = _OUT
        for key, draft in self._drafts.items():
            slot = self._slots[key]
            if slot.part.entered:
                slot.part.entered = False
                slot.part.law.rollback()
            slot.aside = draft.before
        self._drafts.clear()
        self.writes.rollback()

    def parse(self, reader: Reader) -> dict[Key, Entry]:
        """Read what a turn does to each key."""
        found: dict[Key, Entry] = {}
        kind_before = -1
        while True:
            head = reader.varint()
            count, kind = head >> _KIND_BITS, head & (1 << _KIND_BITS) - 1
            if kind <= kind_before:
                raise Malformed(f"a run of kind {kind} after {kind_before}")
            if not 0 < count <= reader.left:
                raise Malformed(f"a run of {count} entries in {reader.left} bytes")
            kind_before = kind
            for _ in range(count):
                key = self._key_type.decode(reader)
                if key in found:
                    raise Malformed(f"a key stands twice, at {reader.position}")
                found[key] = Entry(kind, self._inner(reader, kind))
            if not reader.left:
                return found

    def fold(self, turn: int, parsed: dict[Key, Entry]) -> tuple[Key, ...]:
        """Write all entries."""
        for key, entry in parsed.items():
            self.writes.fold(turn, key, ABSENT if entry.kind == _DELETE else True)
            self._apply(turn, self._slot(key).real, entry)
        return tuple(parsed)

    def bound(self, turn: int) -> None:
        """Learn that causality knows the place of a turn of this device."""
        if self._hidden:
            self.writes.bound(turn)
        for key in self.writes.keys_of(turn):
            slot = self._slots[key]
            if slot.waiting and slot.waiting[0][0] == turn:
                self._apply(turn, slot.real, slot.waiting.pop(0)[1])
                if not slot.waiting:
                    slot.aside = None
                    del self._waiting[key]
            elif slot.real.scope.wrote(turn):
                slot.real.law.bound(turn)

    def changed(self, turn: int) -> tuple[Key, ...] | None:
        """Count a turn or no longer."""
        keys = self.writes.changed(turn)
        for key in keys:
            part = self._slots[key].real
            for each in part.scope.changed(turn):
                part.law.changed(each)
        return keys or None

    # ------------------------------------------------------------------ what is there

    def encode(self) -> bytes:
        """Return the entries by their keys' bytes: key, length, state of the value."""
        entries: list[bytes] = []
        for key in self.writes.values:
            state = self._slots[key].part.law.encode()
            entries.append(self._key_type.encode(key) + varint(len(state)) + state)
        return b"".join(sorted(entries))

    def snapshot(self) -> Mapping[Key, object]:
        """Return a read-only mapping in the order of its keys."""
        slots = self._slots
        return MappingProxyType(
            {key: slots[key].part.law.snapshot() for key in self.writes.order()}
        )

    def freeze(self, out: Freezer) -> None:
        """Write presence, then what is or was under each key."""
        assert not self._waiting, "each turn has its place"
        self.writes.freeze(out, self._key_type, None)
        for key in self.writes.ever:
            part = self._slots[key].real
            part.scope.freeze(out)
            freeze_law(part.law, f"{self.label}[...]", out)

    def thaw(self, data: Thawer) -> None:
        """Take what `freeze` wrote. Raises: Malformed."""
        self.writes.thaw(data, self._key_type, None)
        for key in self.writes.ever:
            part = self._slot(key).real
            part.scope.thaw(data)
            thaw_law(part.law, data)

    def check(self, settled: int) -> None:
        """Assert the invariants of presence and of all values."""
        self.writes.check(settled)
        for key, slot in self._slots.items():
            assert (key in self._waiting) == bool(slot.waiting)
            if self._entered == _OUT:
                assert (slot.aside is not None) == bool(slot.waiting)
                slot.part.law.check(settled)
                if not slot.waiting:
                    slot.real.scope.check()

    # ------------------------------------------------------------------ inside

    def _checked(self, key: Key) -> Key:
        key_type = self._key_type
        try:
            return key_type.check(key)
        except UsageError as error:
            raise UsageError(f"{self.label}: {error}") from None

    def _draft(self, key: Key) -> _Draft:
        if self._entered != self.writer.turn:
            self.writer.enter(self)
        draft = self._drafts.get(key)
        if draft is None:
            size = len(self._key_type.encode(key))
            self.writer.charge(self, size + GROUP_BYTES_MAX)
            draft = self._drafts[key] = _Draft(self._slot(key).aside)
        return draft

    def _slot(self, key: Key) -> _Slot:
        slot = self._slots.get(key)
        if slot is None:
            slot = self._slots[key] = _Slot(self._part(key, self._hidden))
        return slot

    def _part(self, key: Key, hidden: set[int]) -> _Part:
        scope = Scope(self._causality, hidden)
        part = _Part(self, key, scope)
        label = f"{self.label}[{key!r}]"
        part.law, part.view = self._maker.make(label, self.tag, part, scope, scope.hidden)
        return part

    def _inner(self, reader: Reader, kind: int) -> Value:
        """Read the operations of a value, of which there need be none if it is renewed."""
        if kind < _WRITE:
            return None
        size = reader.varint()
        if not size:
            if kind == _WRITE:
                raise Malformed(f"nothing is written, at {reader.position}")
            return None
        if self._sample is None:
            self._sample = self._part(None, self._hidden).law
        inner = Reader(reader.take(size))
        parsed = self._sample.parse(inner)
        inner.finish()
        return parsed

    def _apply(self, turn: int, part: _Part, entry: Entry) -> None:
        """Do to the state under a key what a placed turn does."""
        if entry.kind in {_DELETE, _RENEW}:
            for each in part.scope.delete(turn):
                part.law.changed(each)
        if entry.parsed is not None:
            part.scope.write(turn)
            part.law.fold(turn, entry.parsed)


def _kind(draft: _Draft, *, wrote: bool) -> int:
    if draft.deleted:
        return _RENEW if draft.present else _DELETE
    return _WRITE if wrote else _TOUCH
