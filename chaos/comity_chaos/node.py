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

from comity.actor.fold import Errands
from comity.base.errors import UsageError
from comity.base.ids import Token
from comity.base.ports import Entropy
from comity.node.core import Core, Local
from comity.node.effects import Answer, Progress, Report, Throttle, Write
from comity.node.generation import NAME_BYTES, Generation, begin, compare
from comity.wire.records import Codec
from comity_chaos.cells import Cells
from comity_chaos.clock import NodeClock
from comity_chaos.disk import Disk, Image

__all__ = ["FOREVER", "SimNode", "SimWitness"]

FOREVER: Final = 1 << 62
"""An instant that never comes: a node that is held until then is suspended."""


class SimWitness:
    """Tells a disk from its copies, and outlives both. Implements `generation.Witness`."""

    __slots__ = ("_counts", "_tokens")

    def __init__(self) -> None:
        """Remember nothing."""
        self._tokens: dict[bytes, bytes] = {}
        self._counts: dict[bytes, int] = {}

    def recall(self, name: bytes) -> bytes:
        """Return what was kept of a store."""
        return self._tokens.get(name, b"")

    def remember(self, name: bytes, tokens: bytes) -> None:
        """Keep tokens instead of the old ones."""
        self._tokens[name] = tokens

    def counted(self, name: bytes) -> int:
        """Return how many writes of a store are known of."""
        return self._counts.get(name, 0)

    def count(self, name: bytes, writes: int) -> None:
        """Note how many writes of a store are durable."""
        self._counts[name] = writes


class SimNode:
    """One node.

    held_until: no event reaches it before. lag: nanoseconds that each event keeps it busy.
    codec: what it speaks with, if not honestly. answers: of commands that are awaited.
    """

    __slots__ = (
        "_anew",
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
        "progress",
        "reports",
        "synced_at",
        "syncs",
        "up",
        "witness",
        "woken_at",
        "working",
    )

    def __init__(self, index: int, local: Local) -> None:
        """Start switched off, with an empty disk."""
        self.index = index
        self.local = local
        self.address = f"node-{index}"
        self.disk = Disk()
        self.witness = SimWitness()
        self.clock = NodeClock()
        self.codec: Codec | None = None
        self.life = 0
        self.up = False
        self.lag = 0
        self.answers: dict[Token, object] = {}
        self.awaited: dict[Token, None] = {}
        self.reports: list[Report] = []
        self.progress: list[Progress] = []
        self.syncs = 0
        self.switch_off()

    def switch_off(self) -> None:
        """Lose everything that is not on the disk."""
        self._anew: Entropy | None = None
        self.core: Core | None = None
        self.cells: Cells | None = None
        self.held_until = 0
        self.inbox: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self.inbound = 1
        self.synced_at = 0
        self.woken_at: int | None = None
        self.working = False

    def is_copy(self, entropy: Entropy) -> bool:
        """Tell, once a start, whether the disk is not the one that ran last."""
        copied = compare(self.disk, self.witness, entropy) is Generation.COPIED
        self._anew = entropy if copied else None
        return copied

    def sync(self) -> Write:
        """Make a write durable and count it; the first one of a copy makes it a new device."""
        write = self.disk.sync()
        if self._anew is not None:
            begin(self.disk, self.witness, self._anew)
            self._anew = None
        self.witness.count(self.disk.generation[:NAME_BYTES], self.disk.written)
        return write

    def restore(self, image: Image, *, whole: bool) -> None:
        """Put a backup of the disk back. whole: with what tells the disk from its copies."""
        self.disk.restore(image)
        if whole and self.disk.generation:
            found = self.disk.generation
            name, token = found[:NAME_BYTES], found[NAME_BYTES:]
            self.witness.remember(name, token)
            self.witness.count(name, self.disk.written)

    def running(self) -> tuple[Core, Cells]:
        """Return the core and cells of a node that is up."""
        assert self.core is not None
        assert self.cells is not None
        return self.core, self.cells

    def answered(self, token: Token, result: object) -> None:
        """Keep the answer to a command, if anybody waits for it."""
        if token in self.awaited:
            del self.awaited[token]
            self.answers[token] = result

    def pass_on(self, effect: Answer | Errands | Progress | Throttle) -> None:
        """Hand out messages of other devices; keep answers, and what became of those sent."""
        if isinstance(effect, Answer):
            self.answered(effect.token, effect.result)
        elif isinstance(effect, Errands):
            self.running()[1].deliver(effect)
        elif isinstance(effect, Progress):
            self.progress.append(effect)

    def require_up(self) -> None:
        """Hold who calls to a node that is on. Raises: UsageError."""
        if not self.up:
            raise UsageError(f"node {self.index} is off: restart it first")
