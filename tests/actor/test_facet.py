"""Facets: an allow-list that can only shrink, and can be taken back."""

from __future__ import annotations

from typing import Any

import pytest

from comity import Actor, Counter, Facet, Interface, Revoked, UsageError
from comity.actor.actor_type import ActorType


class Shelf(Actor):
    """What is offered in part."""

    count: Counter

    def add(self, number: int, *, twice: bool = False) -> int:
        """Write."""
        raise NotImplementedError

    def read(self) -> int:
        """Read."""
        raise NotImplementedError

    async def fetch(self, what: str = "") -> str:
        """Wait."""
        raise NotImplementedError


class Reader(Interface):
    """Reads."""

    def read(self) -> int:
        """Read."""
        raise NotImplementedError


class Editor(Reader):
    """Reads and writes."""

    def add(self, number: int) -> int:
        """Write, never twice."""
        raise NotImplementedError

    async def fetch(self, what: str = "") -> str:
        """Wait."""
        raise NotImplementedError


class Carried:
    """A carrier that keeps what it is given."""

    actor_type = ActorType.of(Shelf)

    def __init__(self) -> None:
        self.sent: list[tuple[str, tuple[Any, ...]]] = []

    def ask(self, method: Any, /, *arguments: Any, **_: Any) -> Any:  # noqa: ANN401
        """Keep."""
        self.sent.append((method.__qualname__, arguments))
        return len(self.sent)

    def tell(self, method: Any, /, *arguments: Any, **_: Any) -> None:  # noqa: ANN401
        """Keep."""
        self.sent.append((method.__qualname__, arguments))


@pytest.fixture
def carried() -> Carried:
    """Return a carrier."""
    return Carried()


def test_what_the_interface_names_passes(carried: Carried) -> None:
    """As a message of the actor, inherited methods too."""
    facet = Facet(carried, Editor)
    _ = facet.ask(Editor.add, 3)
    facet.tell(Editor.read)
    facet.tell(Reader.read)
    assert carried.sent == [("Shelf.add", (3,)), ("Shelf.read", ()), ("Shelf.read", ())]
    assert facet.names == ("add", "fetch", "read")


@pytest.mark.parametrize("method", [Shelf.add, Shelf.read, Editor.add, len])
def test_what_it_does_not_name_is_refused(carried: Carried, method: Any) -> None:  # noqa: ANN401
    """Also the actor's own method, and one of another interface."""
    facet = Facet(carried, Reader)
    with pytest.raises(UsageError, match=r"not of this facet.*Reader\.read"):
        facet.tell(method)
    assert carried.sent == []


def test_a_facet_of_a_facet_can_only_do_less(carried: Carried) -> None:
    """More is refused by name."""
    assert Facet(carried, Editor).facet(Reader).names == ("read",)
    with pytest.raises(UsageError, match="add, fetch"):
        Facet(carried, Reader).facet(Editor)


def test_what_is_revoked_is_revoked_for_all_that_came_of_it(carried: Carried) -> None:
    """And for nothing else."""
    facet = Facet(carried, Editor)
    lent, revoke = facet.revocable()
    passed_on = lent.facet(Reader)
    again, revoke_again = passed_on.revocable()
    revoke_again()
    with pytest.raises(Revoked):
        again.tell(Reader.read)
    passed_on.tell(Reader.read)
    revoke()
    revoke()
    for each in (lent, passed_on, again):
        with pytest.raises(Revoked) as caught:
            each.tell(Reader.read)
        assert not caught.value.retry
    facet.tell(Reader.read)
    assert len(carried.sent) == 2


class NoSuch(Interface):
    """Names what the actor does not have."""

    def burn(self) -> None:
        """Burn."""


class OtherName(Interface):
    """Calls a parameter by another name."""

    def add(self, amount: int) -> int:
        """Add."""
        raise NotImplementedError


class TooMany(Interface):
    """Has a parameter more."""

    def read(self, where: str) -> int:
        """Read."""
        raise NotImplementedError


class MoreOptional(Interface):
    """Leaves out what the actor needs."""

    def add(self, number: int = 1) -> int:
        """Add."""
        raise NotImplementedError


class Empty(Interface):
    """Lets nothing through."""


@pytest.mark.parametrize(
    ("interface", "text"),
    [
        (NoSuch, "burn: Shelf has no such message"),
        (OtherName, r"Shelf\.add has other parameters"),
        (TooMany, r"Shelf\.read has other parameters"),
        (MoreOptional, r"Shelf\.add has other parameters"),
        (Empty, "no methods"),
    ],
)
def test_an_interface_that_does_not_fit_is_refused(
    carried: Carried, interface: type[Interface], text: str
) -> None:
    """When the facet is made, not when it is used."""
    with pytest.raises(UsageError, match=text):
        Facet(carried, interface)
