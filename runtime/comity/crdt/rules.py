"""Field rules: what may be written to a field, and by whom; a closed, declarative vocabulary.

Owns: the rules that users declare, their bytes, and what each forbids of one act. May not
know: where an act comes from, who counts in a log, which rules are in force (`verdict`).

    class Expenses(Actor):
        entries: Map[str, Expense] = field(rule=(OwnKey, Between(0, 1_000_000)))
        notice: Register[str] = field(rule=Role("admin") & MaxLength(200))
        log: List[str] = field(rule=AppendOnly)
        posts: List[str] = field(rule=Owner | Role("admin"))

A rule is data and runs no code of the app's, so that every version of the app and every
replica decides alike. Several in a tuple, or joined by `&`, must all hold; of those joined by
`|` one must. The bytes go into the log; kinds are for good: append-only, never renumbered.

    rule = varint kind | what follows     1 Owner  2 OwnKey  3 AppendOnly
    4 Role: u8    5 MaxLength: varint    6 Between: number number    7 OneOf: count scalars
    8 all of: count rules    9 any of: count rules
    scalar, number = u8 type (0 none 1 bool 2 int 3 float 4 str 5 bytes) | value, never NaN

Source: API 'A method is not a security boundary', decision 37.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Final, NamedTuple, cast

from comity.base.canonical import Malformed, Reader, varint
from comity.base.errors import UsageError
from comity.base.ids import DeviceId
from comity.crdt.codec import NONE, SCALARS, ValueType
from comity.crdt.writes import Key

__all__ = [
    "ADMIN",
    "Act",
    "AllOf",
    "AnyOf",
    "AppendOnly",
    "Between",
    "MaxLength",
    "OneOf",
    "OwnKey",
    "Owner",
    "Role",
    "Rule",
    "Touch",
    "decode_rule",
    "encode_rule",
    "rule_of",
]

_DEPTH_MAX: Final = 4
"""Rules within rules: more than anybody reads, little for the stack."""

_PARTS_MAX: Final = 64
"""Rules or values that one rule lists."""

_ROLES: Final = ("reader", "writer", "admin")
ADMIN: Final = 2
"""The role of who may change rules, as a number: as in the log's grants."""

_OWNER: Final = 1
_OWN_KEY: Final = 2
_APPEND_ONLY: Final = 3
_ROLE: Final = 4
_MAX_LENGTH: Final = 5
_BETWEEN: Final = 6
_ONE_OF: Final = 7
_ALL: Final = 8
_ANY: Final = 9


class Touch(NamedTuple):
    """One entry that an act writes or deletes.

    makers: who made what is there in the version that the act was made on, ascending; none if
    nothing is there. takes: whether the act replaces or deletes what is there.
    """

    key: Key
    makers: tuple[DeviceId, ...]
    takes: bool


class Act(NamedTuple):
    """What one turn does to one field, as far as rules ask.

    role: of the author, as a number. values: what is written, and added to counters.
    takes: whether it takes away something that is no entry, such as by a counter that falls.
    """

    author: DeviceId
    role: int
    touches: tuple[Touch, ...]
    values: tuple[object, ...]
    takes: bool


@dataclass(frozen=True, slots=True)
class Rule:
    """What may be done to a field. Joined by `&` both must hold, by `|` one of them."""

    def broken(self, act: Act) -> str:
        """Say how an act breaks the rule; empty if it keeps to it."""
        raise NotImplementedError

    def __and__(self, other: Any) -> AllOf:  # noqa: ANN401  (a rule, or its class)
        """Return the rule that both hold."""
        return AllOf((self, rule_of(other)))

    def __or__(self, other: Any) -> AnyOf:  # noqa: ANN401  (a rule, or its class)
        """Return the rule that one of them holds."""
        return AnyOf((self, rule_of(other)))

    def __rand__(self, other: Any) -> AllOf:  # noqa: ANN401  (the class of a rule)
        """Return the rule that both hold."""
        return AllOf((rule_of(other), self))

    def __ror__(self, other: Any) -> AnyOf:  # noqa: ANN401  (the class of a rule)
        """Return the rule that one of them holds."""
        return AnyOf((rule_of(other), self))


@dataclass(frozen=True, slots=True)
class _OwnerRule(Rule):
    def broken(self, act: Act) -> str:
        for touch in act.touches:
            if touch.makers and touch.makers != (act.author,):
                where = "" if touch.key is None else f" {touch.key!r}"
                return f"the entry{where} is somebody else's: only who made it may change it"
        return ""


@dataclass(frozen=True, slots=True)
class _OwnKeyRule(Rule):
    def broken(self, act: Act) -> str:
        for touch in act.touches:
            if not _names(touch.key, act.author):
                return (
                    f"the key {touch.key!r} is not its author's own: it must be self.device, "
                    "or begin with it"
                )
        return ""


@dataclass(frozen=True, slots=True)
class _AppendOnlyRule(Rule):
    def broken(self, act: Act) -> str:
        if act.takes or any(touch.takes for touch in act.touches):
            return "things are only ever added to it: nothing there is changed or removed"
        return ""


Owner: Final = _OwnerRule()
"""Only who made an entry may change or delete it; anybody may make one that is not there."""

OwnKey: Final = _OwnKeyRule()
"""Keys begin with the device of who writes them: nobody can write under another's."""

AppendOnly: Final = _AppendOnlyRule()
"""Nothing is changed or removed once it is there; a counter does not fall."""


@dataclass(frozen=True, slots=True)
class Role(Rule):
    """Only who has this role, or more: "writer" or "admin"."""

    name: str

    def __post_init__(self) -> None:
        """Raise UsageError for what is no role."""
        if self.name not in _ROLES:
            raise UsageError(f"{self.name!r} is no role: write 'admin' or 'writer'")

    def broken(self, act: Act) -> str:
        """Say so if the author has less."""
        if act.role >= _ROLES.index(self.name):
            return ""
        return f"it may be written by an {self.name} only"


@dataclass(frozen=True, slots=True)
class MaxLength(Rule):
    """Each str and bytes that is written has at most so many characters or bytes."""

    length: int

    def __post_init__(self) -> None:
        """Raise UsageError for what is no length."""
        if type(self.length) is not int or not 0 <= self.length < 1 << 32:
            raise UsageError(f"{self.length!r} is no length: give a whole number below 2^32")

    def broken(self, act: Act) -> str:
        """Say which value is longer."""
        for value in _inside(act.values):
            if isinstance(value, str | bytes) and len(value) > self.length:
                return f"{_shown(value)} is longer than {self.length}"
        return ""


@dataclass(frozen=True, slots=True)
class Between(Rule):
    """Each number that is written is `low` to `high`, both allowed; None is no bound."""

    low: int | float | None
    high: int | float | None = None

    def __post_init__(self) -> None:
        """Raise UsageError for what is no number."""
        for bound in (self.low, self.high):
            if (bound is not None and type(bound) not in {int, float}) or _is_nan(bound):
                raise UsageError(f"{bound!r} is no number: give an int, a float or None")

    def broken(self, act: Act) -> str:
        """Say which number lies outside."""
        for value in _inside(act.values):
            if isinstance(value, bool) or not isinstance(value, int | float):
                continue
            above = self.low is None or value >= self.low
            if not (above and (self.high is None or value <= self.high)):
                return f"{value!r} is not between {self.low} and {self.high}"
        return ""


@dataclass(frozen=True, slots=True, init=False)
class OneOf(Rule):
    """Each value that is written is one of these: None, bool, int, float, str, bytes."""

    values: tuple[object, ...]

    def __init__(self, *values: object) -> None:
        """Raise UsageError for what is no plain value, or if there is none."""
        kinds = {type(None), *SCALARS}
        odd = [each for each in values if type(each) not in kinds or type(each) not in _KINDS]
        odd += [each for each in values if _is_nan(each)]
        if odd or not 0 < len(values) <= _PARTS_MAX:
            raise UsageError(
                f"OneOf{values!r}: give 1 to {_PARTS_MAX} of None, bool, int, float (NaN is "
                "equal to nothing), str, bytes"
            )
        object.__setattr__(self, "values", values)

    def broken(self, act: Act) -> str:
        """Say which value is another."""
        allowed = [(type(each), each) for each in self.values]
        for value in act.values:
            if (type(value), value) not in allowed:
                return f"{_shown(value)} is not one of {self.values!r}"
        return ""


@dataclass(frozen=True, slots=True)
class AllOf(Rule):
    """Every one of these rules."""

    rules: tuple[Rule, ...]

    def broken(self, act: Act) -> str:
        """Say how the first that is broken is."""
        return next((why for each in self.rules if (why := each.broken(act))), "")


@dataclass(frozen=True, slots=True)
class AnyOf(Rule):
    """One of these rules."""

    rules: tuple[Rule, ...]

    def broken(self, act: Act) -> str:
        """Say how each is broken, if all are."""
        found = [each.broken(act) for each in self.rules]
        return "; or ".join(found) if all(found) else ""


def rule_of(given: object) -> Rule:
    """Return the rule that `field(rule=...)` was given: one, or a tuple of which all hold.

    Raises: UsageError for anything else.
    """
    if isinstance(given, Rule):
        return given
    if isinstance(given, tuple) and given:
        parts = cast("tuple[object, ...]", given)
        return AllOf(tuple([rule_of(each) for each in parts]))
    raise UsageError(
        f"{given!r} is no field rule: use Owner, OwnKey, AppendOnly, Role(...), "
        "MaxLength(...), Between(...) or OneOf(...), several in a tuple or joined by & and |"
    )


def _names(key: Key, device: DeviceId) -> bool:
    """Tell whether a key is a device, or begins with it."""
    if isinstance(key, tuple):
        parts = cast("tuple[object, ...]", key)
        return bool(parts) and parts[0] in (device, device.hex())
    if isinstance(key, str):
        return key == device.hex() or key.startswith(device.hex() + "/")
    return isinstance(key, bytes) and key.startswith(device)


def _inside(values: tuple[object, ...]) -> Iterator[object]:
    """Yield values and what tuples and records among them hold."""
    waiting: list[object] = [*reversed(values)]
    while waiting:
        value = waiting.pop()
        if isinstance(value, tuple):
            waiting += reversed(cast("tuple[object, ...]", value))
        elif is_dataclass(value):
            waiting += [getattr(value, each.name) for each in reversed(fields(value))]
        elif hasattr(value, "__struct_fields__"):
            names: tuple[str, ...] = vars(type(value))["__struct_fields__"]
            waiting += [getattr(value, name) for name in reversed(names)]
        else:
            yield value


def _is_nan(value: object) -> bool:
    """Tell whether a value is no number: it lies nowhere, and is not even equal to itself."""
    return isinstance(value, float) and math.isnan(value)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


# Bytes

_KINDS: Final[tuple[type, ...]] = (type(None), bool, int, float, str, bytes)


def _type_at(kind: int) -> ValueType:
    if kind >= len(_KINDS):
        raise Malformed(f"a scalar of kind {kind}")
    return SCALARS[_KINDS[kind]] if kind else NONE


def _scalar(value: object) -> bytes:
    kind = _KINDS.index(type(value))
    return bytes((kind,)) + _type_at(kind).encode(value)


def _read_scalar(reader: Reader) -> Any:  # noqa: ANN401  (one of `_KINDS`)
    value = _type_at(reader.u8()).decode(reader)
    if _is_nan(value):
        raise Malformed("NaN in a rule")
    return value


def encode_rule(rule: Rule) -> bytes:
    """Return the bytes of a rule."""
    match rule:
        case _OwnerRule():
            return varint(_OWNER)
        case _OwnKeyRule():
            return varint(_OWN_KEY)
        case _AppendOnlyRule():
            return varint(_APPEND_ONLY)
        case Role(name):
            return varint(_ROLE) + bytes((_ROLES.index(name),))
        case MaxLength(length):
            return varint(_MAX_LENGTH) + varint(length)
        case Between(low, high):
            return varint(_BETWEEN) + _scalar(low) + _scalar(high)
        case OneOf():
            listed = b"".join([_scalar(each) for each in rule.values])
            return varint(_ONE_OF) + varint(len(rule.values)) + listed
        case AllOf(rules) | AnyOf(rules):
            kind = _ALL if isinstance(rule, AllOf) else _ANY
            return varint(kind) + varint(len(rules)) + b"".join(map(encode_rule, rules))
        case _:
            raise UsageError(f"{rule!r} is no field rule: the vocabulary is closed")


def decode_rule(data: bytes) -> Rule:
    """Return the rule that stands in some bytes.

    Raises: Malformed, also for a kind of rule that this version does not know.
    """
    reader = Reader(data)
    rule = _decode(reader, 0)
    reader.finish()
    return rule


def _decode(reader: Reader, depth: int) -> Rule:
    if depth > _DEPTH_MAX:
        raise Malformed(f"rules within rules, deeper than {_DEPTH_MAX}")
    kind = reader.varint()
    plain = {_OWNER: Owner, _OWN_KEY: OwnKey, _APPEND_ONLY: AppendOnly}.get(kind)
    if plain is not None:
        return plain
    if kind == _ROLE:
        role = reader.u8()
        if role >= len(_ROLES):
            raise Malformed(f"a role of {role}")
        return Role(_ROLES[role])
    if kind == _MAX_LENGTH:
        length = reader.varint()
        if length >= 1 << 32:
            raise Malformed(f"a length of {length}")
        return MaxLength(length)
    if kind == _BETWEEN:
        low, high = _read_scalar(reader), _read_scalar(reader)
        if any(type(each) not in {type(None), int, float} for each in (low, high)):
            raise Malformed("a bound that is no number")
        return Between(low, high)
    count = reader.varint()
    if not 0 < count <= min(_PARTS_MAX, reader.left):
        raise Malformed(f"a rule of {count} parts")
    if kind == _ONE_OF:
        return OneOf(*[_read_scalar(reader) for _ in range(count)])
    if kind not in {_ALL, _ANY}:
        raise Malformed(f"a rule of kind {kind}")
    parts = tuple([_decode(reader, depth + 1) for _ in range(count)])
    return AllOf(parts) if kind == _ALL else AnyOf(parts)
