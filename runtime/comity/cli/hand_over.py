"""Whether what one message wrote has left: for a node that lives for that message only.

Owns: the wait. May not know: what was written. A node that stops at once after its turn has
told nobody; it is durable here, and the user should know whether it is anywhere else.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from comity.api.node import Node
    from comity.api.ref import Ref
    from comity.base.ids import CommitId
    from comity.node.effects import Report

__all__ = ["HandOver"]

_SECONDS: Final = 3.0
"""Somebody who is there has the change by then, also over a slow line."""

_SECONDS_ALONE: Final = 1.0
"""Who refuses to be dialled has done so by then."""

_LOOK_SECONDS: Final = 0.1


class HandOver:
    """Begin before the message is sent; `done` closes the actor."""

    __slots__ = ("_before", "_even", "_given", "_heard", "_node", "_ref")

    def __init__(self, node: Node, ref: Ref[Any]) -> None:
        """Watch who is given what."""
        self._node = node
        self._ref = ref
        self._before = self._held()[1]
        self._even = 0
        self._given: dict[CommitId, None] = {}
        self._heard = threading.Event()
        node.on_report(self._hear)

    def done(self) -> bool:
        """Wait until somebody has what was written; True also if nobody else takes part."""
        self._ref.close()
        count, heads = self._held()
        wanted = heads - self._before
        if not wanted or self._is_alone():
            return True
        started = time.monotonic()
        while not (wanted <= self._given.keys() or self._even >= count):
            patience = _SECONDS if self._node.status().links else _SECONDS_ALONE
            if time.monotonic() > started + patience:
                return False
            self._heard.wait(_LOOK_SECONDS)
            self._heard.clear()
        return True

    def _is_alone(self) -> bool:
        return len(self._ref.members()) == 1 and not self._node.status().links

    def _held(self) -> tuple[int, set[CommitId]]:
        """Return how many commits of the actor are here, and the newest."""
        (found,) = [t for t in self._node.status().topics if t.topic == self._ref.topic]
        return found.commits, set(found.heads)

    def _hear(self, report: Report) -> None:
        if report.what == "delivered" and report.commit is not None:
            self._given[report.commit] = None
            self._heard.set()
        elif report.what == "even" and report.topic == self._ref.topic:
            self._even = max(self._even, int(report.detail))
            self._heard.set()
