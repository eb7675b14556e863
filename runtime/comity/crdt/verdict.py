"""The verdict on a turn: whether what it does to a field keeps to the rules in force there.

Owns: the rules in force (a map from a field's tag to a rule, in the log like all else), who
made which entry. May not know: commits, grants, keys: roles and authors are asked of
`Causality`.

    a turn is judged on the version that it was made on, before(c): the same for ever, and on
    every replica, in whatever order things arrive
    operations on a field that break a rule are no-op for that field; the commit stands
    rules are written by admins only; several concurrent ones for one field must all hold
    a rule that this version cannot read holds the field as it is, until it can

An entry belongs to who wrote it where nothing was, and stays his when others may write to it,
too. A turn of this device is judged before it is kept, by the same code, and raises.
Source: API 'A method is not a security boundary', decision 37.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from comity.base.canonical import Malformed, Reader
from comity.base.errors import UsageError
from comity.base.ids import ID_BYTES, DeviceId
from comity.crdt.causality import Causality
from comity.crdt.codec import SCALARS
from comity.crdt.flag import Flag, FlagLaw
from comity.crdt.freezing import Freezer, Thawer
from comity.crdt.laws import CounterLaw, KeyedLaw, Law, RegisterLaw
from comity.crdt.list_law import ListLaw
from comity.crdt.list_view import List
from comity.crdt.nested_law import Entry, NestedLaw
from comity.crdt.operation import INSERT, SET, Done
from comity.crdt.record_law import RecordLaw
from comity.crdt.rules import ADMIN, Act, Rule, Touch, decode_rule
from comity.crdt.shape import Shape
from comity.crdt.views import Counter, Map, Register, Set
from comity.crdt.writer import Writer
from comity.crdt.writes import ABSENT, Key, Writes

__all__ = ["RULES_TAG", "Judged", "Verdicts"]

RULES_TAG: Final = bytes(4)
"""The tag of the rules themselves, in turns: no field's."""

Value = Any
Has = Callable[[int], bool]

_UNREADABLE: Final = "a newer version of Comity made its rule: update to write here"
_NOTHING: Final = object()
"""Stands for what an open turn wrote where it wrote nothing after all."""

_NOT_ADMIN: Final = "only an admin changes the rules"


class Judged(NamedTuple):
    """One field, as verdicts need it. tag: 4 bytes."""

    name: str
    tag: bytes
    shape: Shape
    law: Law


class Verdicts:
    """The rules of one actor and what they forbid."""

    __slots__ = (
        "_causality",
        "_fields",
        "_hidden",
        "_known",
        "_made",
        "_writer",
        "book",
        "broken",
    )

    def __init__(
        self,
        writer: Writer,
        causality: Causality,
        hidden: set[int],
        fields: Iterable[Judged],
    ) -> None:
        """Start without rules. hidden: the turns that do not count, changed by the caller."""
        self._writer = writer
        self._causality = causality
        self._hidden = hidden
        self._fields = {each.tag: each for each in fields}
        self._known: dict[bytes, Rule | None] = {}
        self._made: dict[tuple[bytes, int, Key], tuple[DeviceId, ...]] = {}
        self.broken = ""
        data = SCALARS[bytes]
        writes = Writes(RULES_TAG, causality, hidden, None)
        self.book = KeyedLaw("the rules", data, data, writer, writes)

    def publish(self, rules: Mapping[bytes, bytes]) -> None:
        """Make these the rules, in the open turn: by tag of the field, encoded."""
        present = self.book.writes.values
        for tag in [*present]:
            if tag not in rules:
                self.book.delete(tag)
        for tag, rule in rules.items():
            if present.get(tag) != rule:
                self.book.put(tag, rule)

    def in_force(self) -> dict[str, tuple[Rule | None, ...]]:
        """Return the rules of the fields that are known; None for one that is not readable."""
        writes = self.book.writes
        return {
            self._fields[tag].name: tuple([self._read(each) for each in writes.rivals(tag)])
            for tag in writes.order()
            if tag in self._fields
        }

    def watch(self) -> None:
        """Have lists ask about their operations: positions do not say what they touch."""
        for field in self._fields.values():
            if isinstance(field.law, ListLaw):
                field.law.elements.judge = partial(self._judge_list, field)

    # ------------------------------------------------------------------ frozen

    def freeze(self, out: Freezer) -> None:
        """Write the rules, and whose entries are others' than their writers'."""
        self.book.freeze(out)
        out.number(len(self._made))
        for (tag, turn, key), makers in self._made.items():
            key_type = self._fields[tag].shape.key
            out.blob(tag)
            out.number(turn)
            out.blob(b"" if key_type is None else key_type.encode(key))
            out.blob(b"".join(makers))

    def thaw(self, data: Thawer) -> None:
        """Take what `freeze` wrote. Raises: Malformed."""
        self.book.thaw(data)
        for _ in range(data.number()):
            tag, turn, name, makers = data.blob(), data.number(), data.blob(), data.blob()
            if tag not in self._fields or len(makers) % ID_BYTES:
                raise Malformed("an entry of no field, or of nobody")
            key_type = self._fields[tag].shape.key
            key: Key = None
            if key_type is not None:
                reader = Reader(name)
                key = key_type.decode(reader)
                reader.finish()
            starts = range(0, len(makers), ID_BYTES)
            found = tuple([DeviceId(makers[at : at + ID_BYTES]) for at in starts])
            self._made[tag, turn, key] = found
        self.watch()

    # ------------------------------------------------------------------ verdicts

    def judge(self, turn: int, tag: bytes, parsed: Value, written: bytes) -> str:
        """Say how a turn of the log breaks a rule with what it does to a field; '' if not.

        written: the tag that stands in the turn: of a field as an older version declared it,
        whose rules hold as well.

        Of a list, the list itself asks when it knows what is at the positions.
        """
        by = self._placed(turn)
        if tag == RULES_TAG:
            return "" if by.role >= ADMIN else _NOT_ADMIN
        field = self._fields[tag]
        if isinstance(field.law, ListLaw):
            return ""
        rules = self._rules(tag, by.has)
        if written != tag:
            rules += self._rules(written, by.has)
        return self._verdict(turn, field, parsed, rules, by) if rules else ""

    def judge_open(self) -> None:
        """Judge what the open turn did so far. Raises: UsageError if it breaks a rule."""
        by = self._open()
        made = dict(self._made)
        for entrant in self._writer.entered:
            why, name = "", ""
            if entrant is self.book:
                why = "" if self._writer.role >= ADMIN else _NOT_ADMIN
            else:
                field = self._fields[entrant.tag]
                name = field.name
                rules = self._rules(field.tag, by.has)
                parsed = _pending(field.law) if rules else _NOTHING
                if parsed is not _NOTHING and not isinstance(field.law, ListLaw):
                    why = self._verdict(self._writer.turn, field, parsed, rules, by)
            if why:
                self._made = made
                raise UsageError(_told(name, why))

    def _judge_list(self, field: Judged, turn: int, done: Sequence[Done]) -> str:
        """Say how a turn breaks a rule with what it does to a list.

        Raises: UsageError instead, if the turn is open here.
        """
        is_open = turn == self._writer.turn
        author, role, has = self._open() if is_open else self._placed(turn)
        rules = self._rules(field.tag, has)
        for operation, turns, at_end in done if rules else ():
            makers = [
                author if each == turn else self._causality.author(each) for each in turns
            ]
            is_new = operation.kind == INSERT
            touches = tuple([Touch(None, (maker,), not is_new) for maker in makers])
            values = tuple(operation.values) if operation.kind in {INSERT, SET} else ()
            act = Act(author, role, touches, values, is_new and not at_end)
            why = _broken(rules, act)
            if why and is_open:
                raise UsageError(_told(field.name, why))
            if why:
                self.broken = why
                return why
        return ""

    # ------------------------------------------------------------------ inside

    def _open(self) -> _By:
        """Return who makes the open turn, and on which turns: all that are visible here."""
        turn, hidden = self._writer.turn, self._hidden

        def has(earlier: int) -> bool:
            return earlier < turn and earlier not in hidden

        return _By(self._writer.device, self._writer.role, has)

    def _placed(self, turn: int) -> _By:
        """Return who made a turn of the log, and on which turns."""
        causality = self._causality
        before, out = causality.before, causality.hidden_before(turn)

        def has(earlier: int) -> bool:
            return earlier not in out and before(earlier, turn)

        return _By(causality.author(turn), causality.role(turn), has)

    def _rules(self, tag: bytes, has: Has) -> list[Rule | None]:
        """Return the rules of a field in a version."""
        writes = self.book.writes
        found = [value for _, value in writes.heads_in(tag, has)]
        return [self._read(data) for data in found if data is not ABSENT]

    def _read(self, data: bytes) -> Rule | None:
        if data not in self._known:
            try:
                self._known[data] = decode_rule(data)
            except Malformed:
                self._known[data] = None
        return self._known[data]

    def _verdict(
        self, turn: int, field: Judged, parsed: Value, rules: Sequence[Rule | None], by: _By
    ) -> str:
        """Judge what a turn does to a field, and remember who made what it writes."""
        touches = tuple(self._touches(field, parsed, by))
        values = tuple(_values(field.shape, parsed))
        act = Act(by.author, by.role, touches, values, _takes(field.shape, parsed))
        why = _broken(rules, act)
        for touch in touches:
            if not why and touch.makers not in {(), (by.author,)}:
                self._made[field.tag, turn, touch.key] = touch.makers
        return why

    def _touches(self, field: Judged, parsed: Value, by: _By) -> Iterator[Touch]:
        """Return the entries that a turn touches, as they were."""
        law = field.law
        if isinstance(law, RegisterLaw | FlagLaw):
            makers = self._makers(field.tag, law.writes, None, by.has)
            takes = bool(makers) and (isinstance(law, RegisterLaw) or not parsed)
            yield Touch(None, makers, takes)
        elif isinstance(law, KeyedLaw):
            for key, value in parsed.items():
                makers = self._makers(field.tag, law.writes, key, by.has)
                replaces = value is ABSENT or field.shape.kind is Map
                yield Touch(key, makers, bool(makers) and replaces)
        elif isinstance(law, NestedLaw):
            for key, entry in parsed.items():
                makers = self._makers(field.tag, law.writes, key, by.has)
                yield Touch(key, makers, bool(makers) and entry.deletes)

    def _makers(self, tag: bytes, writes: Writes, key: Key, has: Has) -> tuple[DeviceId, ...]:
        """Return who made what a version has under a key; none if nothing is there."""
        found: dict[DeviceId, None] = {}
        for turn, value in writes.heads_in(key, has):
            if value is not ABSENT:
                made = self._made.get((tag, turn, key))
                found.update(dict.fromkeys(made or (self._causality.author(turn),)))
        return tuple(sorted(found))


class _By(NamedTuple):
    """Who made a turn, as what, and the test for what the version had that it was made on."""

    author: DeviceId
    role: int
    has: Has


def _broken(rules: Sequence[Rule | None], act: Act) -> str:
    """Say which of the rules an act breaks."""
    for rule in rules:
        why = _UNREADABLE if rule is None else rule.broken(act)
        if why:
            return why
    return ""


def _told(name: str, why: str) -> str:
    """Say to whoever wrote it what was refused."""
    where = f"by a rule of {name!r}, " if name else ""
    return f"nothing of this turn is kept: {where}{why}"


def _pending(law: Law) -> Value:
    """Return what the open turn did to a field, as `parse` would read it."""
    if isinstance(law, KeyedLaw):
        return dict(law.writes.written())
    if isinstance(law, RegisterLaw):
        return dict(law.writes.written()).get(None, _NOTHING)
    if isinstance(law, FlagLaw):
        setting = dict(law.writes.written()).get(None, _NOTHING)
        return setting if setting is _NOTHING else setting is not ABSENT
    if isinstance(law, CounterLaw):
        return law.tally.pending
    if isinstance(law, ListLaw):
        return law.pending()
    if isinstance(law, NestedLaw):
        return {
            key: Entry(kind, None if inner is None else _pending(inner))
            for key, kind, inner in law.pending()
        }
    if isinstance(law, RecordLaw):
        return {name: _pending(inner) for name, inner in law.pending()}
    return None


def _values(shape: Shape, parsed: Value) -> Iterator[object]:
    """Yield the values that a turn writes."""
    if _is_nothing(shape, parsed):
        return
    if shape.kind in {Register, Counter}:
        yield parsed
    elif shape.kind is Set:
        yield from [key for key, value in parsed.items() if value is not ABSENT]
    elif shape.kind is List:
        for operation in parsed:
            yield from operation.values
    elif shape.inner is not None:
        for entry in parsed.values():
            if entry.writes:
                yield from _values(shape.inner, entry.parsed)
    elif shape.kind is Map:
        yield from [value for value in parsed.values() if value is not ABSENT]
    for member in shape.members:
        if member.name in parsed:
            yield from _values(member.shape, parsed[member.name])


def _is_nothing(shape: Shape, parsed: Value) -> bool:
    """Tell whether nothing was written to what a record or a map holds."""
    return parsed is _NOTHING or (parsed is None and shape.kind is not Register)


def _takes(shape: Shape, parsed: Value) -> bool:
    """Tell whether a turn takes away something that is no entry of the field itself."""
    if parsed is None:
        return False
    if shape.kind is Counter:
        return bool(parsed < 0)
    if shape.inner is not None:
        return any(_inside(shape.inner, entry.parsed) for entry in parsed.values())
    return any(_inside(each.shape, parsed.get(each.name)) for each in shape.members)


def _inside(shape: Shape, parsed: Value) -> bool:
    """Tell whether a turn takes away something of a value in a field."""
    if parsed is None:
        return False
    if shape.kind is Flag:
        return not parsed
    if shape.kind is Set:
        return any(value is ABSENT for value in parsed.values())
    if shape.inner is not None and any(entry.deletes for entry in parsed.values()):
        return True
    return _takes(shape, parsed)
