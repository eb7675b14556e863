"""The naive twin of replicated values inside others: whole histories, sets, the definition.

A deletion takes away the turns in its past: they are hidden for what stood under the key. The
rest is each type's own definition. It shares nothing with the code that it judges but the
decoders of operations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from comity.crdt.flag import Flag
from comity.crdt.list_view import List
from comity.crdt.shape import Member, Shape
from comity.crdt.tree_view import Tree
from comity.crdt.views import Counter, Map, Set, Text
from comity.crdt.writes import ABSENT
from tests.crdt import list_twin
from tests.crdt.histories import tie
from tests.crdt.text import twin as text_twin
from tests.crdt.tree_twin import TreeTwin

DELETES = (1, 3)
PRESENT = (0, 2, 3)


@dataclass(frozen=True)
class Act:
    """What a turn does to one value. hidden: what did not count for its author, of its past."""

    serial: int
    past: frozenset[int]
    hidden: frozenset[int]
    tag: bytes
    commit: int
    parsed: Any

    @property
    def tie(self) -> bytes:
        """What orders it among concurrent ones: of the field, or of the record's field."""
        return tie(self.tag, self.commit)


def value(shape: Shape, acts: Sequence[Act], hidden: frozenset[int]) -> object:
    """Return what a value comes to where some turns do not count."""
    visible = [act for act in acts if act.serial not in hidden]
    if shape.kind is Counter:
        return sum(act.parsed for act in visible)
    if shape.kind is Flag:
        on = [act for act in visible if act.parsed]
        off = [act for act in visible if not act.parsed]
        return any(not any(a.serial in b.past for b in off) for a in on)
    if shape.kind is Text:
        text = text_twin.Twin()
        for act in acts:
            text.apply(text_twin.Event(act.serial, act.past, act.parsed, act.tie, act.hidden))
        return text.text(hidden)
    if shape.kind is List:
        row = list_twin.ListTwin()
        for act in acts:
            row.apply(list_twin.Event(act.serial, act.past, act.parsed, act.tie, act.hidden))
        return tuple(row.values(hidden))
    if shape.record is not None:
        return {
            each.name: value(
                each.shape,
                [_inside(act, each) for act in acts if each.name in act.parsed],
                hidden,
            )
            for each in shape.members
        }
    if shape.kind is Tree:
        tree = TreeTwin()
        for act in acts:
            tree.apply(list_twin.Event(act.serial, act.past, act.parsed, act.tie, act.hidden))
        return tuple(tree.outline(hidden))
    assert shape.kind in {Set, Map}
    keys = list(dict.fromkeys(key for act in acts for key in act.parsed))
    if shape.inner is not None:
        found = {key: under(shape.inner, acts, key, hidden) for key in keys}
        return {key: found[key][1] for key in sorted(found) if found[key][0]}
    assert shape.kind is Set
    return frozenset(
        key
        for key in keys
        if any(
            act.parsed.get(key) is True
            and not any(
                other.parsed.get(key) is ABSENT and act.serial in other.past
                for other in visible
            )
            for act in visible
        )
    )


def _inside(act: Act, member: Member) -> Act:
    """Return what a turn does to one field of a record."""
    return replace(act, tag=member.tag, parsed=act.parsed[member.name])


def under(
    shape: Shape, acts: Sequence[Act], key: object, hidden: frozenset[int]
) -> tuple[bool, object]:
    """Tell whether a key is present, and what is under it."""
    mine = [act for act in acts if key in act.parsed]
    deletions = [act for act in mine if act.parsed[key].kind in DELETES]

    def gone(seen: frozenset[int] | None, out: frozenset[int]) -> frozenset[int]:
        """Return what deletions took away in a version: all, or what was seen."""
        counting = [
            each
            for each in deletions
            if each.serial not in out and (seen is None or each.serial in seen)
        ]
        return frozenset[int]().union(*(each.past for each in counting))

    inside = [
        Act(
            act.serial,
            act.past,
            act.hidden | gone(act.past | {act.serial}, act.hidden),
            act.tag,
            act.commit,
            act.parsed[key].parsed,
        )
        for act in mine
        if act.parsed[key].parsed is not None
    ]
    out = hidden | gone(None, hidden)
    there = any(act.parsed[key].kind in PRESENT and act.serial not in out for act in mine)
    return there, value(shape, inside, out)
