"""The replicated state of one actor: all its fields, one turn at a time.

Owns: the encoding of a turn, the open turn, which turns are hidden. May not know: why a turn
is hidden, what a commit is, how turns are numbered beyond `Causality`.

    idle --begin--> turn open --commit or rollback--> idle
    idle --fold, hide, show--> idle

    turn = groups of: field tag 4 | varint length | operations of that field; tags ascend

The state is a pure function of the turns, their causal order and which are visible. A group
with an unknown tag is skipped: a newer version's. Operations of a known field that are
malformed are no-op for that field on every replica, and said so in the result; if the groups
themselves cannot be told apart, the whole turn is. So are operations on a field that break
a rule of it (`verdict`); the rules themselves are a field with the tag 0.
Source: PROTOCOL section 2, ARCHITECTURE invariant 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from enum import StrEnum, unique
from operator import attrgetter
from types import MappingProxyType
from typing import Final, NamedTuple

from comity.base.canonical import Malformed, Reader, varint
from comity.base.errors import Reason, Rejected
from comity.base.ids import DeviceId
from comity.base.limits import TURN_BYTES_MAX
from comity.crdt.bounded import BoundedLaw
from comity.crdt.causality import Causality
from comity.crdt.codec import BadValue
from comity.crdt.freezing import Freezer, Thawer, freeze_law, thaw_law
from comity.crdt.laws import KeyedLaw, Law
from comity.crdt.nested_law import NestedLaw
from comity.crdt.record_law import RecordLaw
from comity.crdt.rules import Rule
from comity.crdt.schema import TAG_BYTES, Schema
from comity.crdt.upgrade import Parse
from comity.crdt.verdict import RULES_TAG, Judged, Verdicts
from comity.crdt.writer import Writer

__all__ = ["Change", "ChangeKind", "State", "fields_in"]


_UNKNOWN_MAX: Final = 256
"""Unknown fields that are counted apart: more than any class has; a hostile writer makes up
as many as it likes."""

_BY_TAG: Final = attrgetter("tag")

_NESTED: Final = NestedLaw | RecordLaw
"""Laws with states inside, which may have to learn the place of any turn."""

_WITH_KEYS: Final = KeyedLaw | NestedLaw | RecordLaw
"""Laws whose changes say where: keys, or names of fields."""


@unique
class ChangeKind(StrEnum):
    """What happened to a field."""

    WRITTEN = "written"
    HIDDEN = "hidden"
    SHOWN = "shown"
    REFUSED = "refused"


_WRITTEN: Final = ChangeKind.WRITTEN


class Change(NamedTuple):
    """What one turn did to one field; the values are to be read from the field.

    A named tuple because one is made for every turn of every replica: a quarter of the cost.
    field: name of the attribute, empty if a refusal concerns the whole turn.
    keys: of a map or set, those that the turn wrote; of a record, names of fields; else empty.
    refusal: why the operations are no-op, for REFUSED; else None.
    """

    field: str
    kind: ChangeKind
    turn: int
    keys: tuple[object, ...] = ()
    refusal: Rejected | None = None


_change: Final[Callable[[type[Change], tuple[object, ...]], Change]] = tuple.__new__  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
"""Makes a named tuple in half the time: one is made for every turn of every replica."""


_NOTHING_UNKNOWN: Final[dict[bytes, int]] = {}
"""What most actors have, shared by all and never written."""


class State:
    """All fields of one actor on one device."""

    __slots__ = (
        "_causality",
        "_hidden",
        "_last",
        "_nested",
        "_settled",
        "_undone",
        "_verdicts",
        "_withdrawn",
        "laws",
        "schema",
        "unknown",
        "views",
        "writer",
    )

    def __init__(self, schema: Schema, causality: Causality) -> None:
        """Start with every field empty."""
        self.schema = schema
        self.writer = Writer()
        self._hidden: set[int] = set()
        self._undone: set[int] | None = None
        self._withdrawn: set[int] | None = set() if schema.heeds_withdrawn else None
        self.unknown = _NOTHING_UNKNOWN
        self._last = -1
        self._settled = -1
        self._causality = causality
        self._verdicts: Verdicts | None = None
        made = [
            each.make(self.writer, causality, self._hidden, self._withdrawn)
            for each in schema.fields
        ]
        self.laws: tuple[Law, ...] = tuple(law for law, _ in made)
        self.views: tuple[object, ...] = tuple(view for _, view in made)
        self._nested = tuple([law for law in self.laws if isinstance(law, _NESTED)])

    @property
    def may_write(self) -> bool:
        """Whether turns of this device may write."""
        return self.writer.may_write

    @may_write.setter
    def may_write(self, may_write: bool) -> None:
        self.writer.may_write = may_write

    @property
    def hint(self) -> str:
        """What an error says to whoever writes while no turn is open."""
        return self.writer.hint

    @hint.setter
    def hint(self, hint: str) -> None:
        self.writer.hint = hint

    @property
    def device(self) -> DeviceId:
        """The device whose turns are run here; known before the first of them."""
        return self.writer.device

    @device.setter
    def device(self, device: DeviceId) -> None:
        self.writer.device = device

    @property
    def role(self) -> int:
        """The role under which turns are run here: 0 reader, 1 writer, 2 admin."""
        return self.writer.role

    @role.setter
    def role(self, role: int) -> None:
        self.writer.role = role

    @property
    def rules(self) -> Mapping[str, tuple[Rule | None, ...]]:
        """The rules in force, by field; several if admins wrote them at the same time.

        None stands for one that this version cannot read: nothing is written to that field.
        """
        verdicts = self._verdicts
        return MappingProxyType({} if verdicts is None else verdicts.in_force())

    # ------------------------------------------------------------------ turns of this device

    def publish_rules(self) -> None:
        """Make the rules of the class those in force, in the open turn."""
        rules = self.schema.rules
        if rules or self._verdicts is not None:
            self._with_rules().publish(rules)

    def judge(self) -> None:
        """Judge the open turn by the rules in force. Raises: UsageError if it breaks one."""
        if self._verdicts is not None:
            self._verdicts.judge_open()

    def begin(self, turn: int) -> None:
        """Open a local turn. turn: the next number of the cell."""
        assert turn > self._last
        self.writer.begin(turn)

    def commit(self) -> bytes:
        """Close the turn, keep its writes and return them encoded; empty if there are none.

        A turn without operations leaves its number to the next one.
        """
        writer = self.writer
        encoded = b""
        entered = writer.entered
        if not entered:
            writer.end()
            return encoded
        if len(entered) > 1:
            entered.sort(key=_BY_TAG)
        for field in entered:
            operations = field.commit()
            if operations:
                encoded += field.tag + varint(len(operations)) + operations
        assert len(encoded) <= TURN_BYTES_MAX
        if encoded:
            self._last = writer.turn
        writer.end()
        if self._verdicts is not None and encoded.startswith(RULES_TAG):
            self._verdicts.watch()
        return encoded

    def rollback(self) -> None:
        """Close the turn and take back all its writes."""
        for field in self.writer.entered:
            field.rollback()
        self.writer.end()

    def told(self, turn: int, operations: bytes) -> tuple[Change, ...]:
        """Return what a turn of this device did, from what `commit` returned. Changes nothing.

        A turn of the log is told of by `fold`.
        """
        changes: list[Change] = []
        for law, name, reader, _, _ in self._groups(operations):
            if not name:  # the rules
                continue
            keys = tuple(law.parse(reader)) if isinstance(law, _WITH_KEYS) else ()
            changes.append(Change(name, ChangeKind.WRITTEN, turn, keys))
        return tuple(changes)

    # ------------------------------------------------------------------ turns of the log

    def fold(self, turn: int, operations: bytes) -> tuple[Change, ...]:
        """Apply a turn of the log, visible at first; each turn once, in causal order.

        Never fails on a peer's bytes: what is malformed is reported as REFUSED.
        """
        assert turn > self._last
        assert self.writer.turn < 0
        self._last = self._settled = turn
        if 5 < len(operations) == 5 + operations[4] < 0x85:  # one small group, as most turns
            tag = operations[:TAG_BYTES]
            place = self.schema.places.get(tag)
            if place is None:
                if tag == RULES_TAG:
                    return self._fold_rules(turn, Reader(operations, 5))
                return self._fold_former(turn, tag, Reader(operations, 5))
            index, name = place
            group = _Group(self.laws[index], name, Reader(operations, 5), None, tag)
            return (self._fold(turn, group),)
        try:
            groups = self._groups(operations)
        except Malformed as error:
            refusal = Rejected(Reason.MALFORMED, f"turn {turn}: {error}")
            return (Change("", ChangeKind.REFUSED, turn, (), refusal),)
        if groups and not groups[0].name:
            changes = self._fold_rules(turn, groups[0].reader)
            return (*changes, *[self._fold(turn, group) for group in groups[1:]])
        return tuple([self._fold(turn, group) for group in groups])

    def bound(self, turn: int) -> None:
        """Learn that causality knows the place of a turn of this device; in their order."""
        assert turn <= self._last
        if self._hidden and turn > self._settled:
            self._settled = turn
            if self._verdicts is not None:
                self._verdicts.book.bound(turn)
            for law in self.laws:
                law.bound(turn)
        else:
            for law in self._nested:
                law.bound(turn)

    def hide(self, turn: int, *, undone: bool = False) -> tuple[Change, ...]:
        """Stop counting a turn that was folded or committed; hidden already is fine.

        undone: because its author or an admin took it back, which a bounded counter does not
        heed. A turn may be hidden for both reasons, and is visible when neither is left.
        """
        reasons = self._reasons(undone=undone)
        if turn in reasons:
            return ()
        reasons.add(turn)
        is_new = turn not in self._hidden
        self._hidden.add(turn)
        return self._changed(turn, ChangeKind.HIDDEN, most=is_new, bounded=not undone)

    def show(self, turn: int, *, undone: bool = False) -> tuple[Change, ...]:
        """Take back a reason to hide a turn; one that was never given is fine."""
        reasons = self._reasons(undone=undone)
        if turn not in reasons:
            return ()
        reasons.remove(turn)
        is_visible = turn not in self._reasons(undone=not undone)
        if is_visible:
            self._hidden.remove(turn)
        return self._changed(turn, ChangeKind.SHOWN, most=is_visible, bounded=not undone)

    # ------------------------------------------------------------------ reading

    def snapshot(self) -> Mapping[str, object]:
        """Return the fields by name as immutable plain values. O(size).

        A Register gives its value, a Counter an int, a Set a frozenset, a Map a mapping, a
        Text a str, a Flag a bool, a List a tuple, a Record an immutable one of its class.
        """
        names = (each.name for each in self.schema.fields)
        return MappingProxyType(
            {name: law.snapshot() for name, law in zip(names, self.laws, strict=True)}
        )

    def encode_state(self) -> bytes:
        """Return canonical bytes: equal on replicas with the same visible log. O(n log n)."""
        parts: list[bytes] = []
        rules = b"" if self._verdicts is None else self._verdicts.book.encode()
        if rules:
            parts += (RULES_TAG, varint(len(rules)), rules)
        for tag, (index, _) in self.schema.places.items():
            data = self.laws[index].encode()
            if data:
                parts += (tag, varint(len(data)), data)
        return b"".join(parts)

    def check(self) -> None:
        """Assert that all derived state follows from what was folded."""
        assert -1 <= self._settled <= self._last
        assert all(turn <= self._last for turn in self._hidden)
        assert self._hidden == (self._undone or set()) | (self._withdrawn or set())
        assert list(self.schema.places) == sorted(self.schema.places)
        if self._verdicts is not None:
            self._verdicts.book.check(self._settled)
        for law in self.laws:
            law.check(self._settled)

    # ------------------------------------------------------------------ frozen

    def freeze(self, out: Freezer) -> None:
        """Write all that later turns, hiding and showing may ask for; each turn has its place.

        Refuses if the type of some field, or what its class declares, cannot be frozen.
        """
        assert self.writer.turn < 0
        layout = self.schema.layout
        if layout is None:
            out.refused = "an upgrade"
            return
        out.blob(layout)
        out.number(self._last + 1)
        out.number(self._settled + 1)
        out.ascending(sorted(self._undone or ()))
        out.ascending(sorted(self._withdrawn or ()))
        out.number(len(self.unknown))
        for tag, count in self.unknown.items():
            out.blob(tag)
            out.number(count)
        out.flags(bytes((self._verdicts is not None,)))
        if self._verdicts is not None:
            self._verdicts.freeze(out)
        for index, name in self.schema.places.values():
            freeze_law(self.laws[index], name, out)

    def thaw(self, data: Thawer) -> None:
        """Take what `freeze` wrote, while empty; causality knows the place of each turn.

        Raises: Malformed, and is good for nothing then.
        """
        assert self._last < 0
        if data.blob() != self.schema.layout:
            raise Malformed("the fields are declared otherwise")
        self._last, self._settled = data.number() - 1, data.number() - 1
        if not self._settled <= self._last < data.turns:
            raise Malformed(f"turn {self._last} of {data.turns}")
        for undone in (True, False):
            hidden = data.ascending(strictly=True)
            if hidden:
                self._reasons(undone=undone).update(hidden)
                self._hidden.update(hidden)
        for _ in range(data.number()):
            if self.unknown is _NOTHING_UNKNOWN:
                self.unknown = {}
            tag = data.blob()
            self.unknown[tag] = data.number()
        if data.flags(1)[0]:
            self._with_rules().thaw(data)
        for index, _ in self.schema.places.values():
            thaw_law(self.laws[index], data)

    def hidden_for(self, *, undone: bool) -> AbstractSet[int]:
        """Return the turns that are hidden for one of the reasons; see `hide`."""
        return (self._undone if undone else self._withdrawn) or frozenset()

    # ------------------------------------------------------------------ inside

    def _reasons(self, *, undone: bool) -> set[int]:
        """Return the turns that are hidden for one of the reasons; most actors have none."""
        if undone:
            if self._undone is None:
                self._undone = set()
            return self._undone
        if self._withdrawn is None:
            self._withdrawn = set()
        return self._withdrawn

    def _not_known(self, tag: bytes) -> None:
        """Count what is written to a field that this version of the class does not have."""
        if self.unknown is _NOTHING_UNKNOWN:
            self.unknown = {}
        if tag in self.unknown or len(self.unknown) < _UNKNOWN_MAX:
            self.unknown[tag] = self.unknown.get(tag, 0) + 1

    def _fold_former(self, turn: int, tag: bytes, reader: Reader) -> tuple[Change, ...]:
        """Apply a group of a field as an older version declared it, or of none."""
        former = self.schema.former.get(tag)
        if former is None:
            self._not_known(tag)
            return ()
        index, name, parse = former
        group = _Group(self.laws[index], name, reader, parse, tag)
        return (self._fold(turn, group),)

    def _groups(self, operations: bytes) -> list[_Group]:
        """Cut a turn into the groups of known fields, at most one for each."""
        reader = Reader(operations)
        groups: list[_Group] = []
        older: list[_Group] = []
        tag_before = b""
        while reader.left:
            tag = reader.take(TAG_BYTES)
            if tag <= tag_before:
                raise Malformed(f"the tags do not ascend at {reader.position}")
            tag_before = tag
            size = reader.varint()
            start = reader.position
            reader.take(size)
            place = self.schema.places.get(tag)
            inner = Reader(operations, start, start + size)
            if tag == RULES_TAG:
                groups.append(_Group(self._with_rules().book, "", inner, None, tag))
            elif place is not None:
                index, name = place
                groups.append(_Group(self.laws[index], name, inner, None, tag))
            elif tag in self.schema.former:
                index, name, parse = self.schema.former[tag]
                older.append(_Group(self.laws[index], name, inner, parse, tag))
            else:
                self._not_known(tag)
        for each in older:  # a turn writes a field once: what is newer counts
            if all(each.law is not other.law for other in groups):
                groups.append(each)
        return groups

    def _with_rules(self) -> Verdicts:
        """Return what judges, made when the first rule comes: most actors have none."""
        if self._verdicts is None:
            pairs = zip(self.schema.fields, self.laws, strict=True)
            judged = [Judged(each.name, each.tag, each.shape, law) for each, law in pairs]
            self._verdicts = Verdicts(self.writer, self._causality, self._hidden, judged)
        return self._verdicts

    def _fold_rules(self, turn: int, reader: Reader) -> tuple[Change, ...]:
        """Take what a turn does to the rules: told only if it is refused."""
        verdicts = self._with_rules()
        change = self._fold(turn, _Group(verdicts.book, "", reader, None, RULES_TAG))
        verdicts.watch()
        return (change,) if change.kind is ChangeKind.REFUSED else ()

    def _fold(self, turn: int, group: _Group) -> Change:
        """Apply what a turn does to one field, unless it is malformed or breaks a rule."""
        law, name, reader, parse, tag = group
        try:
            parsed = law.parse(reader) if parse is None else parse(reader)
            reader.finish()
        except Malformed as error:
            reason = Reason.BAD_VALUE if isinstance(error, BadValue) else Reason.MALFORMED
            refusal = Rejected(reason, f"field {name!r} in turn {turn}: {error}")
            return Change(name, ChangeKind.REFUSED, turn, (), refusal)
        verdicts = self._verdicts
        if verdicts is None:
            return _change(Change, (name, _WRITTEN, turn, law.fold(turn, parsed), None))
        why, keys = verdicts.judge(turn, law.tag, parsed, tag), ()
        if not why:
            verdicts.broken = ""
            keys = law.fold(turn, parsed)
            why = verdicts.broken
        if not why:
            return _change(Change, (name, _WRITTEN, turn, keys, None))
        detail = f"field {name!r}: {why}" if name else why
        return Change(name, ChangeKind.REFUSED, turn, (), Rejected(Reason.RULE_BROKEN, detail))

    def _changed(
        self, turn: int, kind: ChangeKind, *, most: bool, bounded: bool
    ) -> tuple[Change, ...]:
        """Decide anew. most, bounded: whether most fields, and bounded counters, have to."""
        assert 0 <= turn <= self._last
        assert self.writer.turn < 0
        changes: list[Change] = []
        if most and self._verdicts is not None:
            self._verdicts.book.changed(turn)
        for each, law in zip(self.schema.fields, self.laws, strict=True):
            if not (bounded if isinstance(law, BoundedLaw) else most):
                continue
            keys = law.changed(turn)
            if keys is not None:
                changes.append(Change(each.name, kind, turn, keys))
        return tuple(changes)


class _Group(NamedTuple):
    """What a turn does to one field; the rules have no name.

    parse: reads what an older version wrote, else None. tag: that stands in the turn.
    """

    law: Law
    name: str
    reader: Reader
    parse: Parse | None
    tag: bytes


def fields_in(schema: Schema, operations: bytes) -> tuple[str, ...]:
    """Return the fields that a turn wrote, of those that the schema has; none if malformed."""
    names = {each.tag: each.name for each in schema.fields}
    names.update({tag: name for tag, (_, name, _) in schema.former.items()})
    reader = Reader(operations)
    found: list[str] = []
    try:
        while reader.left:
            name = names.get(reader.take(TAG_BYTES))
            reader.take(reader.varint())
            if name is not None and name not in found:
                found.append(name)
    except Malformed:
        return ()
    return tuple(found)
