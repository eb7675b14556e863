"""Edits on what a removed device wrote: read by every node as their author meant them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest

from comity import Actor, List, Text
from comity.authority.authority import Authority
from comity_chaos.sim import Sim, SimRef


class Draft(Actor):
    """Two fields in which positions count."""

    text: Text
    steps: List[str]

    def type(self, at: int, what: str) -> None:
        """Type what is said, and note it in the same place among the steps."""
        self.text.insert(at, what)
        self.steps.insert(at, what)

    def erase(self, at: int) -> None:
        """Take a letter and a step away."""
        del self.text[at : at + 1]
        del self.steps[at]


def _shown(ref: SimRef[Draft]) -> tuple[str, tuple[str, ...]]:
    state = ref.state
    return str(state["text"]), tuple(cast("Sequence[str]", state["steps"]))


def _nothing(_authority: Authority, _heads: Sequence[int]) -> tuple[int, ...]:
    return ()


@pytest.mark.parametrize("told", [True, False])
def test_edits_beside_what_is_hidden(*, told: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who merged what a removal hides counts positions without it, on every node.

    With cells that are not told, the second half of the test fails.
    """
    if not told:
        monkeypatch.setattr(Authority, "hidden_in", _nothing)
    with Sim(seed=11, nodes=3) as sim:
        a, b, c = sim.share(Draft)
        for place, letter in enumerate("abcdef"):
            a.tell(Draft.type, place, letter)
        sim.settle()
        sim.cut(a, [b, c])
        for _ in range(3):
            b.tell(Draft.type, 2, "X")  # abXXXcdef
        sim.run(30)
        c.tell(Draft.type, 8, "y")  # abXXXcdeyf, not knowing of the removal
        sim.remove(a, b)
        sim.run(30)
        sim.heal()
        sim.run(60)
        assert _shown(a) == _shown(c) == ("abcdeyf", tuple("abcdeyf"))
        c.tell(Draft.type, 6, "z")  # between y and f
        c.tell(Draft.erase, 3)  # d
        sim.run(60)
        again = ("abceyzf", tuple("abceyzf"))
        good = _shown(a) == _shown(c) == again
        assert good == told
