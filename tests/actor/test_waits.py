"""The walk along the waits: a cycle is named, anything else is not one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.actor.waits import Awaited, DeadlockError, refuse_cycle
from comity.drivers.dispatch.future import Future


class Node:
    """An actor as the walk sees it."""

    def __init__(self, number: int) -> None:
        self.label = f"n{number}"
        self.awaits: Awaited | None = None


def graph(edges: list[int | None]) -> list[Node]:
    """Make nodes where the n-th waits for a future of the node that `edges[n]` numbers."""
    nodes = [Node(number) for number in range(len(edges))]
    for node, target in zip(nodes, edges, strict=True):
        if target is not None:
            node.awaits = Future[object](nodes[target % len(nodes)])
    return nodes


@given(st.lists(st.none() | st.integers(0, 9), min_size=1, max_size=10))
def test_a_cycle_through_the_waiter_is_refused_and_no_other(edges: list[int | None]) -> None:
    """Exactly those nodes that come back to themselves are refused, as a naive walk says."""
    nodes = graph(edges)
    for start, node in enumerate(nodes):
        path = [start]
        while (target := edges[path[-1]]) is not None and len(path) <= len(nodes):
            path.append(target % len(nodes))
            if path[-1] == start:
                break
        if len(path) > 1 and path[-1] == start:
            names = " waits for ".join(f"n{number}" for number in path)
            with pytest.raises(DeadlockError, match=f"^{names}:"):
                refuse_cycle(node)
        else:
            refuse_cycle(node)


def test_a_future_whose_turn_is_over_closes_no_cycle() -> None:
    """It waits for the disk, and the disk waits for no actor."""
    node = Node(0)
    future = Future[object](node)
    node.awaits = future
    future.answerer = None
    refuse_cycle(node)
