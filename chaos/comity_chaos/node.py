"""A simulated node: what survives a crash, and the life that it is living.

Owns: one node's disk, clock, address and answers, and the core and cells of its present life.
May not know: the world around it.

    off --switch on--> up --crash, stop--> off        a life; only the disk goes on
    up --hold--> suspended --resume--> up             events wait in its inbox
Source: CHAOS 'Architecture', World.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from comity.base.errors import UsageError
from comity.base.ids import Token
from comity.node.core import Core, Local
from comity.node.effects import Report
from comity.wire.records import Codec
from comity_chaos.cells import Cells
from comity_chaos.clock import NodeClock
from comity_chaos.disk import Disk

__all__ = ["FOREVER", "SimNode"]

FOREVER: Final = 1 << 62
"""An instant that never comes: a node that is held until then is suspended."""


class SimNode:
    """One node.

    held_until: no event reaches it before. lag: nanoseconds that each event keeps it busy.
    codec: what it speaks with, if not honestly. answers: of commands that are awaited.
    """

    __slots__ = (
        "address",
        "answers",
        "awaited",
        "cells",
        "clock",
        "codec",
        "core",
        "disk",
        "held_until",
        "inbound",
        "inbox",
        "index",
        "lag",
        "life",
        "local",
        "reports",
        "synced_at",
        "syncs",
        "up",
        "woken_at",
        "working",
    )

    def __init__(self, index: int, local: Local) -> None:
        """Start switched off, with an empty disk."""
        self.index = index
        self.local = local
        self.address = f"node-{index}"
        self.disk = Disk()
        self.clock = NodeClock()
        self.codec: Codec | None = None
        self.life = 0
        self.up = False
        self.lag = 0
        self.answers: dict[Token, object] = {}
        self.awaited: dict[Token, None] = {}
        self.reports: list[Report] = []
        self.syncs = 0
        self.switch_off()

    def switch_off(self) -> None:
        """Lose everything that is not on the disk."""
        self.core: Core | None = None
        self.cells: Cells | None = None
        self.held_until = 0
        self.inbox: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self.inbound = 1
        self.synced_at = 0
        self.woken_at: int | None = None
        self.working = False

    def running(self) -> tuple[Core, Cells]:
        """Return the core and cells of a node that is up."""
        assert self.core is not None
        assert self.cells is not None
        return self.core, self.cells

    def require_up(self) -> None:
        """Hold who calls to a node that is on. Raises: UsageError."""
        if not self.up:
            raise UsageError(f"node {self.index} is off: restart it first")
