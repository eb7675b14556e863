"""Messages are values: equal by what they say, and nobody changes one on its way."""

from __future__ import annotations

import dataclasses
from typing import Any, cast

import pytest

from comity.actor.message import RAISES, Message, Outcome, message
from comity.base.errors import UsageError


def test_a_message_without_keywords_shares_an_empty_mapping() -> None:
    """The mapping that all such messages share cannot be written to."""
    first, second = Message("add", ("milk",)), Message("add")
    assert first.keywords is second.keywords
    assert dict(first.keywords) == {}
    with pytest.raises(TypeError):
        first.keywords["what"] = 1  # type: ignore[index]  # pyright: ignore[reportIndexIssue]


def test_messages_are_equal_by_what_they_say() -> None:
    """A mapping of the same keywords is the same, whatever its type."""
    assert Message("add", ("a",)) == Message("add", ("a",), {})
    assert Message("add", ("a",)) != Message("add", ("b",))
    assert Message("add", ("a",)) != Message("adds", ("a",))
    assert Message("add", (), {"x": 1}) != Message("add", (), {"x": 2})


@pytest.mark.parametrize(
    ("value", "name"),
    [(Message("add"), "method"), (Outcome(1, None, 0, b""), "value")],
)
def test_neither_message_nor_outcome_changes(value: object, name: str) -> None:
    """What was sent and how it ended stays so."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, name, "other")
    with pytest.raises((AttributeError, TypeError)):
        setattr(value, "other", 1)  # noqa: B010  (no type knows it)


def test_a_declaration_leaves_the_method_as_it_is() -> None:
    """Only the mark is added: the method stays its own selector."""

    def join() -> int:
        return 1

    assert message(raises=(LookupError, OSError))(join) is join
    assert getattr(join, RAISES) == (LookupError, OSError)


@pytest.mark.parametrize(
    ("raises", "text"),
    [
        ((), "one error or more"),
        ((LookupError, LookupError), "each name once"),
        ((LookupError, type("LookupError", (Exception,), {})), "each name once"),
        ((Exception,), "every fault of this device"),
        ((KeyboardInterrupt,), "KeyboardInterrupt is no class of errors"),
        ((ValueError("x"),), "is no class of errors"),
        (("Full",), "is no class of errors"),
        ("Full", "is no class of errors"),
        (3, "3 is no class of errors"),
    ],
)
def test_what_cannot_be_declared_is_refused_at_once(raises: object, text: str) -> None:
    """With the way to write it, before the class that holds the method exists."""
    with pytest.raises(UsageError, match=text):
        message(raises=cast("Any", raises))


def test_one_error_need_no_brackets() -> None:
    """What is meant by `raises=Full` is plain."""
    given: Any = LookupError

    def join() -> None:
        """Join."""

    assert getattr(message(raises=given)(join), RAISES) == (LookupError,)


def test_what_is_no_message_declares_nothing() -> None:
    """Private methods cannot be sent."""

    def _join() -> None:
        """Join."""

    with pytest.raises(UsageError, match="_join cannot be sent"):
        message(raises=(LookupError,))(_join)
