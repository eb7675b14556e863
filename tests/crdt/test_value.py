"""Values: what is written is read again, the same everywhere; nothing else is decoded."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum, Flag, IntEnum
from typing import Annotated, Any, ClassVar, Literal, NewType
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comity.base.canonical import Malformed, Reader
from comity.base.errors import UsageError
from comity.base.limits import VALUE_BYTES_MAX
from comity.crdt.codec import INT_BYTES_MAX
from comity.crdt.value import NO_ZERO, ValueType, value_type


class Colour(Enum):
    """An Enum whose names are not in the order of its values."""

    RED = 3
    GREEN = 1
    BLUE = 2


class Level(IntEnum):
    """Members that equal ints."""

    LOW = 1


class Bits(Flag):
    """Members that combine."""

    A = 1


@dataclass(frozen=True)
class Point:
    """A record as most are."""

    x: int
    y: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A record of records."""

    start: Point
    stops: tuple[Point, ...] = ()


@dataclass(frozen=True)
class Loop:
    """A record that cannot be finite."""

    again: Loop | None


@dataclass
class Loose:
    """A record that can change."""

    x: int


@dataclass(frozen=True)
class Busy:
    """A record with code of its own."""

    x: int

    def __post_init__(self) -> None:
        """Run at every construction."""
        raise AssertionError("never on a peer's bytes")


@dataclass(frozen=True)
class Partly:
    """A record of which not all takes part in equality."""

    x: int
    note: str = dataclasses.field(default="", compare=False)


class Config:
    """What msgspec says of a struct."""

    frozen = True
    eq = True


class Struct:
    """What a msgspec struct looks like from outside."""

    __struct_fields__ = ("x", "y")
    __struct_config__: ClassVar[type] = Config
    x: int
    y: str

    def __init__(self, x: int, y: str) -> None:
        """Take the fields."""
        self.x, self.y = x, y

    def __eq__(self, other: object) -> bool:
        """Compare by fields."""
        return isinstance(other, Struct) and (self.x, self.y) == (other.x, other.y)

    def __hash__(self) -> int:
        """Agree with equality."""
        return hash((self.x, self.y))


UserId = NewType("UserId", int)

ints = st.one_of(
    st.integers(),
    st.integers(-(1 << 70), 1 << 70),
    st.sampled_from([s * (1 << 63) + d for s in (-1, 1) for d in (-2, -1, 0, 1, 2)]),
)
texts = st.text(max_size=20)
points = st.builds(Point, ints, st.none() | st.floats())
times = st.datetimes(
    min_value=datetime(2, 1, 1),  # noqa: DTZ001  (Hypothesis adds the zone)
    max_value=datetime(9998, 1, 1),  # noqa: DTZ001  (as above)
    timezones=st.integers(-720, 720).map(lambda m: timezone(timedelta(minutes=m))),
)

CASES: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "none": (None, st.none()),
    "bool": (bool, st.booleans()),
    "int": (int, ints),
    "float": (float, st.floats() | st.integers(-(1 << 53), 1 << 53)),
    "str": (str, texts),
    "bytes": (bytes, st.binary(max_size=20)),
    "datetime": (datetime, times),
    "uuid": (UUID, st.uuids()),
    "optional": (str | None, st.none() | texts),
    "union": (int | str | None, st.none() | texts | ints),
    "numbers": (int | float | bool, ints | st.floats() | st.booleans()),
    "pair": (tuple[int, str], st.tuples(ints, texts)),
    "many": (tuple[float, ...], st.lists(st.floats(), max_size=5).map(tuple)),
    "nested": (
        tuple[tuple[int, ...], ...],
        st.lists(st.lists(ints, max_size=3).map(tuple), max_size=3).map(tuple),
    ),
    "literal": (Literal["a", 1, True] | None, st.sampled_from(["a", 1, True, None])),
    "enum": (Colour, st.sampled_from(Colour)),
    "record": (Point, points),
    "records": (
        Line,
        st.builds(Line, start=points, stops=st.lists(points, max_size=3).map(tuple)),
    ),
    "struct": (Struct, st.builds(Struct, ints, texts)),
    "new": (UserId, ints),
    "annotated": (Annotated[int, "seconds"], ints),
}


def same(a: object, b: object) -> bool:
    """Tell whether two values are the same to the bit, in types too."""
    return repr(a) == repr(b) if not isinstance(a, Struct) else a == b


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=50)
@given(data=st.data())
def test_round_trip(name: str, data: st.DataObject) -> None:
    """What `check` returns is what `encode` writes and `decode` reads, and stays so."""
    hint, strategy = CASES[name]
    codec = value_type(hint)
    value = data.draw(strategy)
    written = codec.encode(value)
    kept = codec.check(value)
    assert len(written) >= 1
    reader = Reader(written)
    read = codec.decode(reader)
    reader.finish()
    assert same(read, kept)
    assert codec.encode(read) == written
    assert same(codec.check(read), read)
    if codec.exact:
        assert kept is value


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=50)
@given(noise=st.binary(max_size=60))
def test_any_bytes_are_a_value_or_malformed(name: str, noise: bytes) -> None:
    """A decoder reads no further than its input, and what it takes can be encoded."""
    codec = value_type(CASES[name][0])
    reader = Reader(noise)
    try:
        value = codec.decode(reader)
    except Malformed:
        return
    again = codec.encode(value)
    assert same(codec.decode(Reader(again)), value)
    if "|" not in codec.name:  # a union may know several ways to write one value
        assert again == noise[: reader.position]


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=20)
@given(data=st.data())
def test_every_prefix_is_malformed(name: str, data: st.DataObject) -> None:
    """A value that is cut off is never another value."""
    hint, strategy = CASES[name]
    codec = value_type(hint)
    written = codec.encode(data.draw(strategy))
    for cut in range(len(written)):
        with pytest.raises(Malformed):
            codec.decode(Reader(written[:cut]))


@pytest.mark.parametrize("name", [name for name in CASES if value_type(CASES[name][0]).key])
@settings(max_examples=50)
@given(data=st.data())
def test_keys_are_equal_exactly_if_their_bytes_are(name: str, data: st.DataObject) -> None:
    """A type that may be a key never has two writings of what Python calls equal."""
    hint, strategy = CASES[name]
    codec = value_type(hint)
    a, b = codec.check(data.draw(strategy)), codec.check(data.draw(strategy))
    assert (a == b) == (codec.encode(a) == codec.encode(b))
    assert hash(a) == hash(codec.decode(Reader(codec.encode(a))))
    if codec.ordered:
        assert (a < b) + (b < a) + (a == b) == 1


@pytest.mark.parametrize(
    "hint",
    [
        float,
        int | bool,
        int | float,
        Literal[1, True],
        Partly,
        tuple[float, ...],
        Point,
        Level | int,
        str | Literal["a"],  # noqa: PYI051  (that is the case)
        tuple[int] | tuple[bool],
    ],
    ids=str,
)
def test_types_with_ambiguous_equality_are_no_keys(hint: object) -> None:
    """NaN, -0.0, and values that are equal across types cannot be keys."""
    assert not value_type(hint).key


@pytest.mark.parametrize(
    ("hint", "value", "fix"),
    [
        (int, True, "int(value)"),
        (int, 1.0, "int(value)"),
        (int, Level.LOW, "int(value)"),
        (int, 1 << (8 * INT_BYTES_MAX), "store it as bytes"),
        (bool, 1, "True or False"),
        (str, b"x", "make a text of it"),
        (str, "\ud800", "surrogate"),
        (str, "x" * VALUE_BYTES_MAX, "several values"),
        (bytes, bytearray(b"x"), "bytes(value)"),
        (float, "1", "float(value)"),
        (float, True, "float(value)"),
        (float, (1 << 53) + 1, "float(value)"),
        (datetime, datetime(2020, 1, 1), "tzinfo=UTC"),  # noqa: DTZ001  (that is the error)
        (datetime, datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5))), "years 1 to 9999"),
        (UUID, "00", "UUID(value)"),
        (str | None, 3, "str(value)"),
        (int | str, 1.5, "one of these types"),
        (tuple[int, str], (1,), "2 items"),
        (tuple[int, str], [1, "a"], "2 items"),
        (tuple[int, ...], [1], "tuple(value)"),
        (tuple[str, ...], ("x" * 40_000,) * 2, "several values"),
        (Literal["a", "b"], "c", "one of these"),
        (Literal["a", "b"], ["a"], "one of these"),
        (Colour, "RED", "member of Colour"),
        (Point, (1, None), "instance of Point"),
        (None, 0, "None"),
    ],
    ids=str,
)
def test_wrong_values_are_refused_by_name(hint: object, value: object, fix: str) -> None:
    """The error says the value's type and what to do, from `encode` and `check` alike."""
    codec = value_type(hint)
    calls: tuple[Callable[[Any], object], ...] = (codec.encode, codec.check)
    for call in calls:
        with pytest.raises(UsageError) as caught:
            call(value)
        assert fix in str(caught.value)


@pytest.mark.parametrize(
    ("hint", "fix"),
    [
        (list[int], "tuple[T, ...]"),
        (dict[str, int], "Map field"),
        (set[int], "Set field"),
        (bytearray, "use bytes"),
        (Any, "int | str"),
        (object, "int | str"),
        (tuple, "tuple[int, ...]"),
        (tuple[()], "use None"),
        (timedelta, "frozen dataclass"),
        (Loop, "refers to itself"),
        (Loose, "frozen=True"),
        (Busy, "__post_init__"),
        (Bits, "combine"),
        (Literal[Colour.RED], "Enum itself"),
        ([int], "use None, bool"),
        ("int", "use None, bool"),
        (tuple[list[int], ...] | None, "tuple[T, ...]"),
    ],
    ids=str,
)
def test_unsupported_hints_name_the_fix(hint: object, fix: str) -> None:
    """A type that cannot be replicated is refused when it is declared."""
    with pytest.raises(UsageError) as caught:
        value_type(hint)
    assert fix in str(caught.value)


def test_depth_is_bounded() -> None:
    """A type nested too deep is refused; the stack never decides."""
    hint: Any = int
    for _ in range(30):
        hint = tuple[hint, ...]
    with pytest.raises(UsageError, match="flatten"):
        value_type(hint)


def test_counts_that_lie_are_refused_before_anything_is_built() -> None:
    """A count is never larger than the bytes that follow it."""
    codec = value_type(tuple[tuple[None, ...], ...])
    with pytest.raises(Malformed, match="items in"):
        codec.decode(Reader(b"\xff\xff\xff\xff\x0f"))


def test_a_value_is_bounded_on_both_sides() -> None:
    """What no encoder writes for its size, no decoder takes."""
    codec = value_type(tuple[str, str])
    half = b"\xc0\xb8\x02" + b"x" * 40_000
    with pytest.raises(Malformed, match="a value of"):
        codec.decode(Reader(half + half))


@pytest.mark.parametrize(
    ("hint", "name"),
    [
        (str | int, "(int|str)"),
        (int | str, "(int|str)"),
        (Colour, "enum<BLUE,GREEN,RED>"),
        (Point, "{x:int,y:float|none}"),
        (tuple[int, ...], "tuple<int,...>"),
        (Literal["b", "a"], "literal<'a','b'>"),
        (UserId, "int"),
    ],
    ids=str,
)
def test_names_are_for_good(hint: object, name: str) -> None:
    """A name is part of a field's tag: it does not depend on how the type was spelled."""
    assert value_type(hint).name == name


GOLDEN: list[tuple[Any, Any, str]] = [
    (int, 0, "00"),
    (int, -1, "01"),
    (int, 300, "d804"),
    (int, 1 << 63, "ffffffffffffffffff0109000000000000008000"),
    (int, -(1 << 63), "ffffffffffffffffff01080000000000000080"),
    (float, 1, "000000000000f03f"),
    (float, -math.nan, "000000000000f87f"),
    (str, "é", "02c3a9"),
    (str | None, None, "00"),
    (str | int, 1, "0002"),
    (datetime, datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), "80897a"),
    (Colour, Colour.GREEN, "01"),
    (Point, Point(1), "0200"),
    (tuple[bool, ...], (True, False), "020100"),
]


@pytest.mark.parametrize(("hint", "value", "written"), GOLDEN, ids=str)
def test_bytes_are_for_good(hint: object, value: object, written: str) -> None:
    """Encodings that stand in logs never change."""
    assert value_type(hint).encode(value).hex() == written


def test_zeros() -> None:
    """A type with a natural first value has it; one without says so."""
    zeros = {hint: value_type(hint).zero for hint in (bool, int, str, bytes, float)}
    assert zeros == {bool: False, int: 0, str: "", bytes: b"", float: 0.0}
    assert value_type(UUID | None).zero is None
    assert value_type(tuple[int, ...]).zero == ()
    none_of: list[Any] = [UUID, datetime, Colour, Point, int | str, tuple[int, int]]
    assert all(value_type(hint).zero is NO_ZERO for hint in none_of)


def test_a_record_is_made_without_its_own_code() -> None:
    """A peer's bytes never run a constructor, not even one that was written by hand."""

    @dataclass(frozen=True)
    class Guarded:
        x: int

        def __init__(self, x: int) -> None:
            raise AssertionError(x)

    codec: ValueType = value_type(dataclasses.make_dataclass("P", [("x", int)], frozen=True))
    assert codec.decode(Reader(b"\x02")).x == 1
    Guarded.__annotations__["x"] = int
    assert value_type(Guarded).decode(Reader(b"\x02")).x == 1
