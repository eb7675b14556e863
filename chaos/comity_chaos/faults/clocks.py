"""Faults of clocks: wrong, fast, slow, jumping, standing still, in another century.

Owns: what is done to a node's clock. May not know: who reads it.
Source: CHAOS 'Faults', Clock.
"""

from __future__ import annotations

from typing import Final

from comity_chaos.clock import WALL_MAX
from comity_chaos.faults.kind import Bit, FaultKind, Model, Stage, Undo
from comity_chaos.plan import Fault

__all__ = ["CLOCK_FAULTS"]

_HOUR: Final = 3_600_000
_LASTS: Final = (1_000, 10_000)


def _jump(stage: Stage, fault: Fault, bit: Bit) -> Undo:
    node = stage.node(fault)
    node.clock.jump(fault.amount)
    bit()
    return node.clock.mend


def _drift(stage: Stage, fault: Fault, bit: Bit) -> Undo:
    """Both clocks run fast or slow; amount: parts in a million."""
    node = stage.node(fault)
    node.clock.drift(stage.world.now, fault.amount)
    if node.up:
        bit()
        node.woken_at = None
        stage.world.poke(node)

    def undo() -> None:
        node.clock.drift(stage.world.now, 0)
        if node.up:
            node.woken_at = None
            stage.world.poke(node)

    return undo


def _freeze(stage: Stage, fault: Fault, bit: Bit) -> Undo:
    node = stage.node(fault)
    node.clock.freeze(stage.world.now)
    bit()
    return node.clock.mend


CLOCK_FAULTS: Final = (
    FaultKind(
        name="clock-jump",
        model=Model.CLOCK,
        work=_jump,
        tells="the wall clock of {a} jumps by {amount} ms",
        amounts=(-2_000, 2_000, -30 * 24 * _HOUR, 30 * 24 * _HOUR),
        lasts=_LASTS,
        events=("turn", "fsync"),
    ),
    FaultKind(
        name="clock-year",
        model=Model.CLOCK,
        work=_jump,
        tells="the wall clock of {a} jumps by {amount} ms: to the first year, or the last",
        amounts=(-WALL_MAX, WALL_MAX),
        lasts=_LASTS,
        events=("turn", "fsync"),
    ),
    FaultKind(
        name="clock-drift",
        model=Model.CLOCK,
        work=_drift,
        tells="the clocks of {a} run wrong by {amount} millionths",
        amounts=(1_000, -1_000, 300_000, -300_000),
        lasts=_LASTS,
    ),
    FaultKind(
        name="clock-freeze",
        model=Model.CLOCK,
        work=_freeze,
        tells="the wall clock of {a} stands still",
        lasts=_LASTS,
        events=("turn",),
    ),
)
"""What can be wrong with a clock."""
