"""Houses for tests, and the proof that none leaves anything behind."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.drivers.dispatch.house import PATIENCE, House


def threads_of_ours() -> list[str]:
    """Name the threads that the package started and that go on living.

    One that ends by itself, because it is not needed any more, may be at its last instruction.
    """
    threads = [each for each in threading.enumerate() if each.name.startswith("comity-")]
    for thread in threads:
        thread.join(1.0)
    return [each.name for each in threads if each.is_alive()]


@pytest.fixture
def build() -> Iterator[Callable[..., House]]:
    """Return a maker of houses; each is checked and closed, and leaves no thread behind."""
    houses: list[House] = []

    def make(**options: Any) -> House:
        houses.append(House(**options))
        return houses[-1]

    yield make
    for each in houses:
        each.dispatcher.check()
        each.dispatcher.close(0.0 if not each.releases else PATIENCE)
    assert threads_of_ours() == []


@pytest.fixture
def house(build: Callable[..., House]) -> House:
    """Return a house of two workers where every turn is durable at once."""
    return build()
