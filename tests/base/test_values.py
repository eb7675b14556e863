"""Values that are made fast are the same values, made in the same ways."""

from __future__ import annotations

import inspect
import pickle
from dataclasses import FrozenInstanceError, dataclass, field, fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.base.values import made_fast


@dataclass(frozen=True, slots=True)
class Plain:
    """A value as `dataclasses` makes it."""

    first: int
    second: bytes
    third: tuple[int, ...] = ()
    fourth: str | None = None

    def __post_init__(self) -> None:
        """Hold a bound."""
        assert self.first >= 0


@made_fast
@dataclass(frozen=True, slots=True)
class Fast:
    """The same one, made fast."""

    first: int
    second: bytes
    third: tuple[int, ...] = ()
    fourth: str | None = None

    def __post_init__(self) -> None:
        """Hold a bound."""
        assert self.first >= 0


NAMES = ["first", "second", "third", "fourth", "fifth"]


def outcome(cls: type[Any], *given_: Any, **named: Any) -> object:
    """Return the fields of what is made, or the kind of error."""
    try:
        made = cls(*given_, **named)
    except (TypeError, AssertionError) as error:
        return type(error)
    return {each.name: getattr(made, each.name) for each in fields(made)}


@given(
    given_=st.lists(st.integers(-1, 3), max_size=5),
    named=st.dictionaries(st.sampled_from(NAMES), st.integers(-1, 3)),
)
def test_it_is_made_as_any_dataclass(given_: list[int], named: dict[str, int]) -> None:
    """In order, by name, by default, too few, too many, against a bound: all the same."""
    assert outcome(Fast, *given_, **named) == outcome(Plain, *given_, **named)


def test_it_is_the_same_kind_of_value() -> None:
    """Equality, hash, order of a match, repr, replacement, pickles, signature: as they were."""
    one = Fast(1, b"x")
    assert one == Fast(1, b"x", ()) != Fast(2, b"x")
    assert hash(one) == hash(Plain(1, b"x"))
    assert repr(one) == repr(Plain(1, b"x")).replace("Plain", "Fast")
    assert replace(one, first=3) == Fast(3, b"x")
    assert pickle.loads(pickle.dumps(one)) == one  # noqa: S301  (our own bytes)
    assert str(inspect.signature(Fast)) == str(inspect.signature(Plain))
    match one:
        case Fast(1, second, fourth=None):
            assert second == b"x"
        case _:
            raise AssertionError(one)
    with pytest.raises(FrozenInstanceError):
        one.first = 2  # type: ignore[misc]


def test_what_it_cannot_do_is_refused() -> None:
    """A class with fields that are not given when it is made is refused when it is defined."""

    @dataclass(frozen=True, slots=True)
    class Late:
        early: int
        late: int = field(init=False)

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Named:
        name: int

    @dataclass(frozen=True, slots=True)
    class Filled:
        some: list[int] = field(default_factory=list[int])

    for cls in (Late, Named, Filled):
        with pytest.raises(AssertionError):
            made_fast(cls)
