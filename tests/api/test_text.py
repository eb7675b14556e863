"""Words become arguments by annotation, values become JSON, and what does not fit says so."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity import Actor, Counter, UsageError
from comity.actor.actor_type import ActorType
from comity.api.text import message_from_words, plain, signatures

SOME_ID = UUID("12345678123456781234567812345678")


@dataclass(frozen=True, slots=True)
class Point:
    """A value that no word can say."""

    x: int
    y: int


class Every(Actor):
    """One message for each kind of parameter."""

    count: Counter

    def whole(self, value: int) -> None:
        """Take a number."""

    def broken(self, value: float) -> None:
        """Take a fraction."""

    def text(self, value: str) -> None:
        """Take a text."""

    def truth(self, value: bool) -> None:  # noqa: FBT001
        """Take a truth value."""

    def raw(self, value: bytes) -> None:
        """Take bytes."""

    def when(self, value: datetime) -> None:
        """Take a time."""

    def name(self, value: UUID) -> None:
        """Take a name."""

    def maybe(self, value: int | None) -> None:
        """Take a number or nothing."""

    def either(self, value: str | int) -> None:
        """Take a number if it looks like one."""

    def choice(self, value: Literal["red", "blue"]) -> None:
        """Take one of two."""

    def pair(self, value: tuple[int, str]) -> None:
        """Take two of different types."""

    def many(self, value: tuple[int, ...]) -> None:
        """Take any number."""

    def point(self, value: Point) -> None:
        """Take what cannot be typed."""

    def free(self, value) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001  # pyright: ignore[reportUnknownParameterType, reportMissingParameterType]
        """Take anything as text."""

    def several(self, first: int, second: str = "x", *rest: int, flag: bool = False) -> None:
        """Take all kinds of parameters."""


EVERY = ActorType.of(Every)


def parsed(method: str, *words: str) -> tuple[Any, ...]:
    """Return the arguments that words become."""
    return message_from_words(EVERY, method, words).arguments


@pytest.mark.parametrize(
    ("method", "word", "value"),
    [
        ("whole", "-12", -12),
        ("broken", "2.5", 2.5),
        ("broken", "3", 3.0),
        ("text", "3", "3"),
        ("text", "", ""),
        ("truth", "yes", True),
        ("truth", "OFF", False),
        ("raw", "00ff", b"\x00\xff"),
        ("when", "2030-01-31T12:00", datetime(2030, 1, 31, 12)),  # noqa: DTZ001
        ("name", str(SOME_ID), SOME_ID),
        ("maybe", "none", None),
        ("maybe", "7", 7),
        ("either", "7", 7),
        ("either", "seven", "seven"),
        ("choice", "red", "red"),
        ("pair", '[1, "a"]', (1, "a")),
        ("pair", "[1, 2]", (1, "2")),
        ("many", "[]", ()),
        ("many", "[1, 2, 3]", (1, 2, 3)),
        ("free", "anything", "anything"),
    ],
)
def test_a_word_becomes_a_value_of_the_type(method: str, word: str, value: object) -> None:
    """By the annotation of the parameter, and of exactly that type."""
    (found,) = parsed(method, word)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("method", "word", "fits"),
    [
        ("whole", "2.5", "give a whole number"),
        ("broken", "much", "give a number"),
        ("truth", "perhaps", "give 'true' or 'false'"),
        ("raw", "0", "hexadecimal"),
        ("when", "tomorrow", "give a time"),
        ("name", "bob", "give a UUID"),
        ("maybe", "x", "give 'none' or a whole number"),
        ("choice", "green", "give 'red' or 'blue'"),
        ("pair", "[1]", "a JSON list"),
        ("many", "1", "a JSON list"),
        ("many", "[1", "a JSON list"),
        ("many", '["x"]', "give a whole number"),
        ("point", "1,2", "cannot be typed as a word"),
    ],
)
def test_a_word_that_does_not_fit_says_what_would(method: str, word: str, fits: str) -> None:
    """The error names what was typed, or the type that cannot be."""
    with pytest.raises(UsageError) as caught:
        parsed(method, word)
    assert fits in str(caught.value)


def test_all_kinds_of_parameters() -> None:
    """Defaults, the rest, and keyword-only ones as name=value."""
    assert parsed("several", "1") == (1,)
    assert parsed("several", "1", "a=b", "2", "3") == (1, "a=b", 2, 3)
    message = message_from_words(EVERY, "several", ["1", "flag=yes"])
    assert (message.arguments, dict(message.keywords)) == ((1,), {"flag": True})
    with pytest.raises(UsageError, match="'flag'"):
        parsed("several", "1", "flag=perhaps")


def test_too_few_too_many_and_unknown_show_the_signature() -> None:
    """Whoever typed it sees how it is meant."""
    with pytest.raises(
        UsageError, match=r"'b' is one argument too many: .* text\(value: str\)"
    ):
        parsed("text", "a", "b")
    with pytest.raises(UsageError, match=r"missing a required argument.* text\(value: str\)"):
        parsed("text")
    with pytest.raises(UsageError, match=r"has no message 'texts'; its messages are\n"):
        parsed("texts")


def test_a_signature_reads_as_it_is_declared() -> None:
    """Without self; types by name, defaults as written."""
    shown = signatures(EVERY)
    assert shown == tuple(sorted(shown))
    assert (
        "several(first: int, second: str = 'x', *rest: int, flag: bool = False) -> None"
        in shown
    )
    assert "maybe(value: int | None) -> None" in shown
    assert "free(value) -> None" in shown


@given(st.integers())
def test_every_whole_number_can_be_typed(number: int) -> None:
    """What `str` writes, the parser reads."""
    assert parsed("whole", str(number)) == (number,)


values: st.SearchStrategy[object] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.datetimes(timezones=st.just(UTC))
    | st.uuids()
    | st.builds(Point, st.integers(), st.integers()),
    lambda inner: (
        st.lists(inner).map(tuple)
        | st.dictionaries(st.text() | st.integers() | st.binary(), inner)
    ),
)


@given(values)
def test_every_value_has_a_plain_form(value: object) -> None:
    """It is JSON as the standard has it, and making it plain again changes nothing."""
    found = plain(value)
    assert plain(json.loads(json.dumps(found, allow_nan=False))) == found


@given(st.lists(st.text() | st.integers()))
def test_a_set_reads_the_same_however_it_came_about(members: list[str | int]) -> None:
    """Its members in one order, whichever was put in first."""
    assert plain(frozenset(members)) == plain(frozenset(reversed(members)))
    assert len(plain(frozenset(members))) == len(set(members))  # type: ignore[arg-type]
