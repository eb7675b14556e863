"""Faults of processes and machines: killed, suspended, slow, together, again and again.

Owns: what is done to the life of a node. May not know: what is on its disk.
Source: CHAOS 'Faults', Process and actor.
"""

from __future__ import annotations

from typing import Final

from comity.base.clock import MILLISECOND
from comity_chaos.faults.kind import Bit, FaultKind, Model, Stage, Undo
from comity_chaos.node import FOREVER
from comity_chaos.plan import EVENTS, Fault

__all__ = ["PROCESS_FAULTS"]

_ALL: Final = 1 << 30
"""More writes than can be on their way: all of them reach the disk."""

_LASTS: Final = (200, 1_000, 5_000, 20_000)


def _stop(stage: Stage, fault: Fault, bit: Bit, kept: int | None) -> Undo:
    stopped = [stage.world.nodes[index] for index in fault.nodes]
    for node in stopped:
        if stage.stop(node, kept):
            bit()

    def undo() -> None:
        for node in stopped:
            stage.start(node)

    return undo


def _kill(stage: Stage, fault: Fault, bit: Bit) -> Undo:
    return _stop(stage, fault, bit, _ALL)


def _power(stage: Stage, fault: Fault, bit: Bit) -> Undo:
    return _stop(stage, fault, bit, None)


def _loop(stage: Stage, fault: Fault, bit: Bit) -> Undo:
    """The node loses power, and again soon after each start; amount: how many times."""
    node = stage.node(fault)
    left = [max(fault.amount, 1)]

    def again() -> None:
        if left[0] <= 0:
            return
        left[0] -= 1
        pause = stage.world.keyed.below(300, "loop", node.index, left[0]) * MILLISECOND
        if stage.stop(node):
            bit()
        stage.world.time.after(20 * MILLISECOND, stage.start, node)
        stage.world.time.after(20 * MILLISECOND + pause + 1, again)

    def undo() -> None:
        left[0] = 0
        stage.start(node)

    again()
    return undo


def _suspend(stage: Stage, fault: Fault, bit: Bit) -> Undo:
    node = stage.node(fault)
    life = node.life
    if node.up:
        stage.world.hold(node, FOREVER)
        bit()

    def undo() -> None:
        if node.life == life and node.held_until == FOREVER:
            stage.world.resume(node)

    return undo


def _slow(stage: Stage, fault: Fault, bit: Bit) -> Undo:
    """Each event keeps the node busy; amount: microseconds."""
    node = stage.node(fault)
    node.lag = fault.amount * 1_000
    before = stage.world.events

    def undo() -> None:
        node.lag = 0
        if stage.world.events > before:
            bit()

    return undo


PROCESS_FAULTS: Final = (
    FaultKind(
        name="kill",
        model=Model.CRASH,
        work=_kill,
        tells="the process of {a} is killed",
        lasts=_LASTS,
        events=EVENTS,
    ),
    FaultKind(
        name="power",
        model=Model.CRASH,
        work=_power,
        tells="{a} loses power",
        lasts=_LASTS,
        events=EVENTS,
        often=True,
    ),
    FaultKind(
        name="power-of-all",
        model=Model.CRASH,
        work=_power,
        tells="{all} lose power at once",
        nodes=3,
        fewer=True,
        lasts=_LASTS,
        events=("ack", "fsync", "write", "send"),
    ),
    FaultKind(
        name="crash-loop",
        model=Model.CRASH,
        work=_loop,
        tells="{a} loses power {amount} times, each time soon after it has started",
        amounts=(2, 4),
        lasts=(2_000,),
        events=("fsync", "write", "send"),
    ),
    FaultKind(
        name="suspend",
        model=Model.CRASH,
        work=_suspend,
        tells="{a} is suspended",
        lasts=(500, 5_000, 60_000),
        events=EVENTS,
    ),
    FaultKind(
        name="slow-node",
        model=Model.CRASH,
        work=_slow,
        tells="{a} takes {amount} us for each event",
        amounts=(500, 5_000, 40_000),
        lasts=(1_000, 5_000),
    ),
)
"""What can happen to a process, and to the machine that it runs on."""
