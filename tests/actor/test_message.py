"""Messages are values: equal by what they say, and nobody changes one on its way."""

from __future__ import annotations

import dataclasses

import pytest

from comity.actor.message import Message, Outcome


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
