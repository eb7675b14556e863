"""A plan: everything that is done to a world in one run, as plain data.

Owns: the shape of plans. May not know: how work is done or faults are worked
(`comity_chaos.faults`), files (`comity_chaos.plan_file`). A run is a plan, its seed in it, and
the versions of the code: nothing else decides what happens.
Source: CHAOS 'Architecture', Plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = [
    "EVENTS",
    "At",
    "Buggify",
    "Drawn",
    "Fault",
    "Plan",
    "Trigger",
    "Turn",
    "When",
]

EVENTS: Final = (
    "start",
    "turn",
    "fold",
    "write",
    "fsync",
    "ack",
    "send",
    "receive",
    "dial",
    "link",
)
"""What a trigger may wait for, each at one node (`World.watch`)."""


@dataclass(frozen=True, slots=True)
class At:
    """At a time: milliseconds after the faults began."""

    ms: int


@dataclass(frozen=True, slots=True)
class When:
    """At the nth time, from 1, that something happens to a node after `after_ms`."""

    event: str
    node: int
    nth: int
    after_ms: int = 0


@dataclass(frozen=True, slots=True)
class Buggify:
    """Each time that something happens to a node, by a keyed chance of so many in 1000."""

    event: str
    node: int
    permille: int
    after_ms: int = 0


Trigger = At | When | Buggify
"""What sets a fault off."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """An argument that has no plain form: drawn by this key from the parameter's type."""

    key: int


@dataclass(frozen=True, slots=True)
class Turn:
    """One message to the actor on one node, so many milliseconds after the faults began.

    arguments: None, bool, int, float, str, bytes, tuples of these, or `Drawn`.
    """

    ms: int
    node: int
    method: str
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: what, when, to whom, how much, for how long.

    kind: a name of the catalogue. nodes: whom it hits, the one that counts first. amount: in
    the unit that the catalogue gives. ms: until its inverse; 0 until everything is healed.
    """

    kind: str
    trigger: Trigger
    nodes: tuple[int, ...]
    amount: int = 0
    ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One run.

    actor: 'module:Class' or 'path/file.py:Class'. scenario: what drives the run, in the same
    form; the lab's own if empty. promises: of the app, in the same form. relays: numbered after
    the nodes. span_ms: how long faults last. byzantine: nodes that may break the protocol.
    beyond: more than the model allows is done and never healed, so only safety is judged. calm:
    every latency is the same.
    """

    seed: int
    nodes: int
    actor: str = ""
    scenario: str = ""
    promises: tuple[str, ...] = ()
    relays: int = 0
    span_ms: int = 0
    turns: tuple[Turn, ...] = ()
    faults: tuple[Fault, ...] = ()
    byzantine: tuple[int, ...] = ()
    crypto: str = "symbolic"
    beyond: bool = False
    calm: bool = False
    notes: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def repeatable(self) -> bool:
        """Whether another process finds by name all that this plan needs."""
        return not any("<" in name for name in (self.actor, self.scenario, *self.promises))

    @property
    def size(self) -> int:
        """How many things are done."""
        return len(self.turns) + len(self.faults)
