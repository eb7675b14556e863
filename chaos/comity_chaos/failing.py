"""What a world does about nodes until it is told otherwise, and the error of a node that fails.

Owns: `NodeFailed`, defaults, and what a witness sees of an event. May not know: worlds.
"""

from __future__ import annotations

from collections.abc import Sequence

from comity.actor.fold import CellEvent, Handled
from comity_chaos.node import SimNode

__all__ = ["NodeFailed", "never", "nothing", "seen"]


class NodeFailed(AssertionError):
    """A node's core or cell raised what it never may: our own error, with its cause."""

    def __init__(self, node: int, error: Exception) -> None:
        """Name the node."""
        super().__init__(f"node {node} failed: {type(error).__name__}: {error}")
        self.node = node


def never(_node: SimNode) -> bool:
    """Forgive nobody."""
    return False


def nothing(_node: SimNode) -> None:
    """Do nothing: a node without a host."""


def seen(event: CellEvent) -> Sequence[CellEvent]:
    """Return an event as its parts: the turns of what was handled, or the event itself."""
    if isinstance(event, Handled):
        return [turn for _, turn, _, _ in event.results if turn is not None]
    return (event,)
