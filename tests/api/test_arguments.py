"""Arguments from JSON fit the annotations exactly, or are refused by name."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Literal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity import Actor, Counter, UsageError
from comity.actor.actor_type import ActorType
from comity.api.arguments import arguments_from_json
from comity.api.text import plain


class Size(Enum):
    """Two sizes."""

    SMALL = "small"
    LARGE = "large"


@dataclass(frozen=True)
class Order:
    """A value with fields."""

    size: Size
    toppings: tuple[str, ...]
    extra: int = 0


class Taker(Actor):
    """One message for each kind of argument."""

    taken: Counter

    def text(self, value: str) -> None:
        """Take a text."""

    def whole(self, value: int) -> None:
        """Take an int."""

    def number(self, value: float) -> None:
        """Take a float."""

    def yes(self, value: bool) -> None:  # noqa: FBT001  (the type is the point)
        """Take a bool."""

    def raw(self, value: bytes) -> None:
        """Take bytes."""

    def time(self, value: datetime) -> None:
        """Take a time."""

    def uuid(self, value: UUID) -> None:
        """Take a UUID."""

    def choice(self, value: Literal["a", 1]) -> None:
        """Take one of two."""

    def perhaps(self, value: int | str | None) -> None:
        """Take one of several."""

    def pair(self, value: tuple[str, int]) -> None:
        """Take two."""

    def many(self, value: tuple[int, ...]) -> None:
        """Take some."""

    def several(self, value: Sequence[str]) -> None:
        """Take some in order."""

    def each(self, value: frozenset[str]) -> None:
        """Take some, each once."""

    def table(self, value: Mapping[str, int]) -> None:
        """Take some by name."""

    def order(self, value: Order) -> None:
        """Take a record."""

    def any(self, value: Any) -> None:  # noqa: ANN401
        """Take anything."""

    def rest(self, first: int, *others: str) -> None:
        """Take one and more."""

    def none(self) -> None:
        """Take nothing."""


TYPE = ActorType.of(Taker)

FITS: list[tuple[str, object, object]] = [
    ("text", "x", "x"),
    ("whole", -7, -7),
    ("number", 2, 2.0),
    ("number", 2.5, 2.5),
    ("yes", True, True),
    ("raw", "00ff", b"\x00\xff"),
    ("time", "2030-01-31T12:00+00:00", datetime(2030, 1, 31, 12, tzinfo=UTC)),
    (
        "uuid",
        "12345678-1234-5678-1234-567812345678",
        UUID(int=0x12345678123456781234567812345678),
    ),
    ("choice", "a", "a"),
    ("choice", 1, 1),
    ("perhaps", None, None),
    ("perhaps", 3, 3),
    ("perhaps", "x", "x"),
    ("pair", ["a", 1], ("a", 1)),
    ("many", [], ()),
    ("many", [1, 2], (1, 2)),
    ("several", ["a"], ("a",)),
    ("each", ["b", "a", "b"], frozenset("ab")),
    ("table", {"a": 1}, {"a": 1}),
    ("order", {"size": "large", "toppings": ["x"]}, Order(Size.LARGE, ("x",))),
    ("any", {"a": [1]}, {"a": [1]}),
]


@pytest.mark.parametrize(("method", "found", "expected"), FITS)
def test_what_fits_is_read(method: str, found: object, expected: object) -> None:
    """Type and value are what the annotation says."""
    (value,) = arguments_from_json(TYPE, method, [found])
    assert value == expected
    assert type(value) is type(expected)


MISFITS: list[tuple[str, object]] = [
    ("text", 1),
    ("text", None),
    ("whole", True),
    ("whole", "1"),
    ("whole", 1.0),
    ("number", True),
    ("number", "2"),
    ("yes", 1),
    ("raw", "0"),
    ("raw", 0),
    ("time", "today"),
    ("uuid", "12"),
    ("choice", "b"),
    ("choice", True),
    ("perhaps", 1.5),
    ("pair", ["a"]),
    ("pair", ["a", 1, 2]),
    ("pair", [1, "a"]),
    ("many", "12"),
    ("many", {"0": 1}),
    ("many", [1, "2"]),
    ("several", "abc"),
    ("each", [1]),
    ("table", [["a", 1]]),
    ("table", {"a": "1"}),
    ("order", {"size": "huge", "toppings": []}),
    ("order", {"size": "small"}),
    ("order", {"size": "small", "toppings": [], "more": 1}),
    ("order", []),
]


@pytest.mark.parametrize(("method", "found"), MISFITS)
def test_what_does_not_fit_is_refused_with_its_name(method: str, found: object) -> None:
    """Nothing is guessed: a bool is no int, a text no list of letters."""
    with pytest.raises(UsageError, match=f"'value' of Taker.{method}"):
        arguments_from_json(TYPE, method, [found])


def test_more_than_a_message_takes_is_refused() -> None:
    """Unless it takes any number; too few are refused where the message is made."""
    with pytest.raises(UsageError, match="takes 0 arguments, not 1"):
        arguments_from_json(TYPE, "none", [1])
    with pytest.raises(UsageError, match="takes 1 arguments, not 2"):
        arguments_from_json(TYPE, "text", ["a", "b"])
    assert arguments_from_json(TYPE, "rest", [1, "a", "b"]) == (1, "a", "b")
    with pytest.raises(UsageError, match="'others'"):
        arguments_from_json(TYPE, "rest", [1, "a", 2])


def test_depth_is_bounded() -> None:
    """A type within a type within a type is read as deep as values may be, and no further."""
    deep: Any = 0
    for _ in range(30):
        deep = [deep]
    with pytest.raises(UsageError, match="does not fit"):
        arguments_from_json(TYPE, "many", [deep])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(method=st.sampled_from(sorted(TYPE.methods)), found=st.lists(JSON, max_size=3))
def test_whatever_a_page_sends_is_read_or_refused(method: str, found: list[object]) -> None:
    """No other error ever comes out, and what is read can be told back."""
    try:
        values = arguments_from_json(TYPE, method, found)
    except UsageError:
        return
    assert len(values) == len(found)
    json.dumps([plain(each) for each in values])


@given(st.text() | st.integers() | st.none())
def test_what_is_told_can_be_sent_back(value: object) -> None:
    """`plain` and this reading are inverse for what a page shows and sends again."""
    assert arguments_from_json(TYPE, "perhaps", [plain(value)]) == (value,)
