"""`@chaos`: a pytest test that is run under many seeds, shrunk and told when it fails.

Owns: the decorator. May not know: pytest (`comity_chaos.pytest_plugin`); a decorated test is a
plain function without parameters and can be called.

    @chaos(nodes=5, faults="all", byzantine=2, seeds=200)
    def test_survives(sim):
        sim.always(my_promise)
        sim.share(Todo)

The faults begin when the test shares an actor, and messages of that actor are sent; when the
test returns, everything is healed, and every oracle judges the run. Whatever it asserts after
`sim.survive()` or `sim.settle()` is shrunk and told just the same.
Source: API 'Testing, the same classes'.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from comity.base.errors import UsageError
from comity_chaos.campaign import Campaign, Verdict, search
from comity_chaos.faults.catalogue import kinds_named
from comity_chaos.generate import Shape
from comity_chaos.runner import Scenario, name_of
from comity_chaos.sim import Sim

__all__ = ["ATTRIBUTE", "Broken", "ChaosTest", "chaos"]

ATTRIBUTE: Final = "comity_chaos_test"
"""Where a decorated function keeps its `ChaosTest`."""


class Broken(AssertionError):
    """A promise was broken; the text is the story and the line that repeats it."""


class ChaosTest:
    """A test under chaos."""

    __slots__ = ("scenario", "seeds", "shape")

    def __init__(self, scenario: Scenario, shape: Shape, seeds: int) -> None:
        """Keep what is run and how often."""
        self.scenario = scenario
        self.shape = shape
        self.seeds = seeds

    def search(self, seeds: int | None = None) -> Campaign:
        """Run the test under so many seeds, its own number if not given."""
        count = self.seeds if seeds is None else seeds
        return search(range(count), self.shape, self.scenario, None)

    def run(self, seeds: int | None = None) -> Campaign:
        """Run the test. Raises: Broken, if a promise was broken or nothing could be judged."""
        __tracebackhide__ = True
        campaign = self.search(seeds)
        if campaign.verdict is Verdict.PASS:
            return campaign
        first = campaign.first
        raise Broken(str(campaign)) from (None if first is None else first.error)


def chaos(
    *,
    nodes: int = 4,
    faults: str = "all",
    byzantine: int = 0,
    seeds: int = 25,
    turns: int = 40,
    relays: int = 0,
) -> Callable[[Callable[[Sim], Any]], Callable[[], None]]:
    """Run a test that takes a `Sim` under many seeds.

    nodes: at most so many. faults: groups or kinds, with commas; 'none' for none. byzantine:
    at most so many nodes lie. turns: messages that are sent beside the test's own; 0 for none.
    Raises: UsageError, at once, for faults that do not exist and for numbers too small.
    """
    kinds = kinds_named(faults, byzantine=byzantine > 0)
    for name, number, least in (
        ("nodes", nodes, 1),
        ("seeds", seeds, 1),
        ("byzantine", byzantine, 0),
        ("turns", turns, 0),
        ("relays", relays, 0),
    ):
        if number < least:
            raise UsageError(f"@chaos({name}={number}): at least {least} is needed")

    def decorate(function: Callable[[Sim], Any]) -> Callable[[], None]:
        shape = Shape(
            scenario=name_of(function),
            nodes=nodes,
            relays=relays,
            turns=turns,
            kinds=kinds,
            byzantine=byzantine,
        )
        test = ChaosTest(function, shape, seeds)

        def run() -> None:
            __tracebackhide__ = True
            test.run()

        run.__name__ = function.__name__
        run.__qualname__ = function.__qualname__
        run.__doc__ = function.__doc__
        run.__module__ = function.__module__
        setattr(run, ATTRIBUTE, test)
        return run

    return decorate
