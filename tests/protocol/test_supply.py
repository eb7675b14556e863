"""Ranges of numbers behave as the set that they stand for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from comity.protocol.supply import Spans

steps = st.lists(st.tuples(st.sampled_from(["add", "drop"]), st.integers(0, 40)), max_size=60)


@given(steps)
def test_spans_are_a_set_of_numbers(script: list[tuple[str, int]]) -> None:
    """Adding and dropping do what a plain set does, in as few ranges as there are gaps."""
    spans, twin = Spans(), set[int]()
    for verb, number in script:
        if verb == "add":
            spans.add(number)
            twin.add(number)
        else:
            spans.drop_through(number)
            twin = {each for each in twin if each > number}
        spans.check()
        assert [each for each in range(-1, 43) if each in spans] == sorted(twin)
        assert len(spans) == sum(each - 1 not in twin for each in twin)
