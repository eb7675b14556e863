"""The vocabulary of field rules: bytes, meaning, and which field may have which."""

from __future__ import annotations

import math
import struct
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity import (
    Actor,
    AppendOnly,
    Between,
    BoundedCounter,
    Counter,
    Flag,
    List,
    Map,
    MaxLength,
    OneOf,
    Owner,
    OwnKey,
    Record,
    Register,
    Role,
    Set,
    Text,
    UsageError,
    field,
)
from comity.actor.actor_type import ActorType
from comity.base.canonical import Malformed
from comity.base.ids import DeviceId
from comity.crdt.rules import Act, Rule, Touch, decode_rule, encode_rule, rule_of

ME = DeviceId(b"m" * 32)
OTHER = DeviceId(b"o" * 32)

_numbers = st.none() | st.integers(-(1 << 70), 1 << 70) | st.floats(allow_nan=False)
_scalars = st.none() | st.booleans() | _numbers | st.text(max_size=5) | st.binary(max_size=5)
_plain = st.one_of(
    st.sampled_from([Owner, OwnKey, AppendOnly, Role("reader"), Role("writer"), Role("admin")]),
    st.integers(0, (1 << 32) - 1).map(MaxLength),
    st.builds(Between, _numbers, _numbers),
    st.lists(_scalars, min_size=1, max_size=4).map(lambda values: OneOf(*values)),
)


def _joined(rules: st.SearchStrategy[Rule]) -> st.SearchStrategy[Rule]:
    pairs = st.tuples(rules, rules)
    return pairs.map(lambda pair: pair[0] & pair[1]) | pairs.map(lambda pair: pair[0] | pair[1])


_rules: st.SearchStrategy[Rule] = _plain | _joined(_plain) | _joined(_plain | _joined(_plain))


@given(_rules)
def test_rules_come_back_from_their_bytes(rule: Rule) -> None:
    """Encoding and decoding gives an equal rule; cut short or trailed by more it is refused."""
    data = encode_rule(rule)
    assert decode_rule(data) == rule
    for end in range(len(data)):
        with pytest.raises(Malformed):
            decode_rule(data[:end])
    with pytest.raises(Malformed):
        decode_rule(data + b"\0")


@given(st.binary(max_size=40))
def test_any_bytes_are_a_rule_or_malformed(data: bytes) -> None:
    """Nothing else is raised, whatever a peer sends; what decodes is a rule again."""
    try:
        rule = decode_rule(data)
    except Malformed:
        return
    assert decode_rule(encode_rule(rule)) == rule


def _act(*touches: Touch, values: tuple[object, ...] = (), role: int = 1) -> Act:
    return Act(ME, role, touches, values, takes=False)


def test_who_may() -> None:
    """Owner, OwnKey and Role look at the author."""
    assert not Owner.broken(_act(Touch("k", (), takes=False), Touch("l", (ME,), takes=True)))
    assert Owner.broken(_act(Touch("k", (OTHER,), takes=False)))
    assert Owner.broken(_act(Touch("k", (ME, OTHER), takes=True)))
    for key in (ME, ME + b"x", ME.hex(), ME.hex() + "/7", (ME, 1), (ME.hex(), 1)):
        assert not OwnKey.broken(_act(Touch(key, (), takes=False)))
    for odd in (OTHER, ME.hex() + "7", ME.hex()[:-1], (1, ME), 7, None, ()):
        assert OwnKey.broken(_act(Touch(odd, (), takes=False)))
    assert Role("admin").broken(_act())
    assert not Role("admin").broken(_act(role=2))
    assert not Role("writer").broken(_act(role=2))
    assert not (Owner | Role("admin")).broken(_act(Touch("k", (OTHER,), takes=True), role=2))
    assert (Owner & Role("admin")).broken(_act(Touch("k", (OTHER,), takes=True), role=2))


def test_what_may() -> None:
    """Values are looked at as deep as they go; bounds are allowed themselves."""
    assert not MaxLength(2).broken(_act(values=("ab", b"ab", 123, ("cd", ("ef",)))))
    assert MaxLength(2).broken(_act(values=(("cd", ("efg",)),)))
    assert not Between(0, 2).broken(_act(values=(0, 2, True, "x", (1,), None)))
    assert Between(0, 2).broken(_act(values=((1, (3,)),)))
    assert Between(0).broken(_act(values=(-0.5,)))
    assert Between(0, 2).broken(_act(values=(float("nan"),)))
    assert not Between(None, 2).broken(_act(values=(-99,)))
    assert not OneOf(1, "a").broken(_act(values=(1, "a")))
    for odd in (True, 1.0, "b", None, (1,)):
        assert OneOf(1, "a").broken(_act(values=(odd,)))


_ODD = cast("list[Rule]", [7, ()])


class _Inner(Record):
    name: Text
    amount: Register[int]


@pytest.mark.parametrize(
    ("hint", "rule", "said"),
    [
        (Counter, Owner, "Owner is of entries"),
        (Text, Owner, "Owner is of entries"),
        (List[str], OwnKey, "OwnKey is of keys"),
        (Map[int, str], OwnKey, "keys that can hold a device"),
        (Text, AppendOnly, "AppendOnly cannot be judged"),
        (BoundedCounter, AppendOnly, "AppendOnly cannot be judged"),
        (Map[str, Register[int]], AppendOnly, "AppendOnly cannot be judged"),
        (Text, MaxLength(3), "use Register"),
        (Map[str, _Inner], Between(0), "use Register"),
        (BoundedCounter, Between(0), "no value can be judged"),
        (Register[int], _ODD[0], "is no field rule"),
        (Register[int], _ODD[1], "is no field rule"),
    ],
)
def test_a_rule_that_a_field_cannot_have_is_refused(
    hint: object, rule: Rule, said: str
) -> None:
    """At the first use of the class, with the fix."""
    cls = type("Odd", (Actor,), {"__annotations__": {"f": hint}, "f": field(rule=rule)})
    with pytest.raises(UsageError, match=said):
        ActorType.of(cls)


@pytest.mark.parametrize(
    ("hint", "rule"),
    [
        (Text, Role("admin")),
        (BoundedCounter, Role("writer")),
        (Flag, Owner & AppendOnly),
        (Map[str, Counter], (OwnKey, AppendOnly, Between(0, 5))),
        (Set[str], Owner | Role("admin")),
        (Map[tuple[bytes, int], str], OwnKey),
    ],
)
def test_a_rule_that_fits_is_taken(hint: object, rule: Rule) -> None:
    """And stands in the schema."""
    cls = type("Fine", (Actor,), {"__annotations__": {"f": hint}, "f": field(rule=rule)})
    (stored,) = ActorType.of(cls).schema.rules.values()
    assert decode_rule(stored) == rule_of(rule)


def test_a_rule_inside_a_record_says_where_it_belongs() -> None:
    """Rules stand on fields of actors."""
    inner = type(
        "Ruled", (Record,), {"__annotations__": {"n": Register[int]}, "n": field(rule=Owner)}
    )
    cls = type("Outer", (Actor,), {"__annotations__": {"f": Map[str, inner]}})  # type: ignore[valid-type]
    with pytest.raises(UsageError, match="on a field of the actor"):
        ActorType.of(cls)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Role("king"),
        lambda: MaxLength(-1),
        lambda: Between("a"),  # type: ignore[arg-type]
        lambda: Between(math.nan),
        lambda: Between(0, math.nan),
        OneOf,
        lambda: OneOf(1.0, math.nan),
        lambda: OneOf((1, 2)),
        lambda: Owner | 3,
    ],
)
def test_a_rule_with_odd_arguments_is_refused(make: object) -> None:
    """Where it is written, not on other devices."""
    assert callable(make)
    with pytest.raises(UsageError):
        make()


@pytest.mark.parametrize("rule", [Between(0, 1.5), Between(1.5), OneOf("a", 1.5)])
def test_bytes_that_hold_nan_are_no_rule(rule: Rule) -> None:
    """NaN lies nowhere and is not equal to itself: what it permits is not left to a program."""
    written = encode_rule(rule)
    one, nan = struct.pack("<d", 1.5), struct.pack("<d", math.nan)
    assert written.count(one) == 1
    with pytest.raises(Malformed, match="NaN"):
        decode_rule(written.replace(one, nan))
