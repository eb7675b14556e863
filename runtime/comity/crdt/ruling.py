"""Which rules a field may have: those that its type lets every replica judge.

Owns: the check of declared rules against the types of their fields, all errors at once. May
not know: how rules are judged (`verdict`), logs.
Source: API 'A method is not a security boundary', decision 37.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

from comity.base.canonical import Malformed
from comity.base.errors import UsageError
from comity.crdt.bounded import BoundedCounter
from comity.crdt.flag import Flag
from comity.crdt.list_view import List
from comity.crdt.rules import (
    AllOf,
    AnyOf,
    AppendOnly,
    Owner,
    OwnKey,
    Role,
    Rule,
    decode_rule,
    encode_rule,
)
from comity.crdt.shape import Shape
from comity.crdt.views import Counter, Map, Register, Set, Text

__all__ = ["check_rules"]

_ENTRIES: Final = (Map, Set, List, Register, Flag)
"""What has entries that somebody made."""

_GROWING: Final = (Map, Set, List, Register, Flag, Counter)
"""What can be told to grow only."""

_GROWING_INSIDE: Final = (Counter, Set, Flag)
"""The same under a key: what a turn takes away there is seen from the turn alone."""

_VALUED: Final = (Register, Map, Set, List, Counter, Flag)
"""What values are written to, one by one."""

_NO_KEYS: Final = (int, bool)


class Ruled(Protocol):
    """A field as it was declared."""

    @property
    def name(self) -> str:
        """The attribute."""
        ...

    @property
    def shape(self) -> Shape:
        """The type."""
        ...

    @property
    def rule(self) -> Rule | None:
        """The rule, if it has one."""
        ...


def check_rules(said: str, fields: Iterable[Ruled]) -> None:
    """Check the rules of all fields. said: what an error begins with.

    Raises: UsageError with one line for each rule that its field cannot have.
    """
    wrong: list[str] = []
    for field in fields:
        if field.rule is None:
            continue
        wrong += [
            f"{field.name}: {why}"
            for each in _parts(field.rule)
            if (why := _unfit(each, field.shape))
        ]
        try:
            decode_rule(encode_rule(field.rule))
        except (Malformed, UsageError) as error:
            wrong.append(f"{field.name}: {error}")
    if wrong:
        raise UsageError(f"{said}:\n  " + "\n  ".join(wrong))


def _parts(rule: Rule) -> list[Rule]:
    if isinstance(rule, AllOf | AnyOf):
        return [part for each in rule.rules for part in _parts(each)]
    return [rule]


def _unfit(rule: Rule, shape: Shape) -> str:
    """Say why a field of this type cannot have a rule; empty if it can."""
    name = shape.kind.__name__
    if isinstance(rule, Role):
        return ""
    if rule is Owner:
        if shape.kind in _ENTRIES:
            return ""
        return f"Owner is of entries, and a {name} has none: use Role(...), or a Map"
    if rule is OwnKey:
        if shape.kind not in (Map, Set):
            return f"OwnKey is of keys, and a {name} has none: use Owner or Role(...)"
        if shape.key is not None and shape.key.python in _NO_KEYS:
            return "OwnKey needs keys that can hold a device: str, bytes or a tuple"
        return ""
    if rule is AppendOnly:
        fits = shape.kind in _GROWING and all(
            each.kind in _GROWING_INSIDE for each in _leaves(shape) if each is not shape
        )
        if fits:
            return ""
        return (
            f"AppendOnly cannot be judged of {shape.law}: use List, Map or Set of plain values"
        )
    odd = [each.kind.__name__ for each in _leaves(shape) if each.kind not in _VALUED]
    if not odd:
        return ""
    fix = "use Register[str]" if Text.__name__ in odd else "use Counter or Register[int]"
    if BoundedCounter.__name__ not in odd and Text.__name__ not in odd:
        fix = "use Role(...)"
    return f"a {odd[0]} grows by what several write at once, so no value can be judged: {fix}"


def _leaves(shape: Shape) -> list[Shape]:
    """Return the types that a field comes down to: itself, or those of its values."""
    if shape.inner is not None:
        return _leaves(shape.inner)
    if shape.members:
        return [leaf for each in shape.members for leaf in _leaves(each.shape)]
    return [shape]
