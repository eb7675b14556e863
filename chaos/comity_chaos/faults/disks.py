"""Faults of disks: full, failing, slow, put back, copied.

Owns: what is done to what a node has stored. May not know: what the rows mean. A core that
learns of a failed write stops; its host ends the process, and here starts it again later.
A disk that is put back or copied comes with what tells it from a copy, as when a machine is
restored or cloned as a whole: its device forks, until it meets what it wrote elsewhere. It is
`tainted` from then on.
Source: CHAOS 'Faults', Disk, People; PROTOCOL section 1.
"""

from __future__ import annotations

from typing import Final

from comity.base.clock import MILLISECOND
from comity_chaos.faults.kind import Bit, FaultKind, Model, Stage, Undo
from comity_chaos.node import SimNode
from comity_chaos.plan import Fault

__all__ = ["DISK_FAULTS"]

_LASTS: Final = (500, 5_000, 20_000)
_WRITING: Final = ("write", "fsync", "ack", "turn")


def _unsynced(stage: Stage, fault: Fault, bit: Bit) -> Undo:
    """Power is lost, and with it everything that was not synced."""
    node = stage.node(fault)
    if node.disk.pending:
        bit()
    stage.stop(node, 0)
    return lambda: stage.start(node)


def _full(stage: Stage, fault: Fault, bit: Bit) -> Undo:
    """The disk takes nothing more until undone."""
    return _failing(stage, stage.node(fault), bit, once=False)


def _broken_write(stage: Stage, fault: Fault, bit: Bit) -> Undo:
    """One write fails, the ones after the restart do not."""
    return _failing(stage, stage.node(fault), bit, once=True)


def _failing(stage: Stage, node: SimNode, bit: Bit, *, once: bool) -> Undo:
    node.disk.full = True
    watching = [True]
    failed_lives: list[int] = []

    def end(life: int) -> None:
        if node.life == life:
            stage.stop(node, 0)

    def failed() -> None:
        bit()
        if once:
            node.disk.full = False
        failed_lives.append(node.life)
        stage.world.time.after(10 * MILLISECOND, end, node.life)

    stage.world.watch(node, "full", failed)

    def undo() -> None:
        node.disk.full = False
        if watching:
            watching.clear()
            stage.world.unwatch(node, "full", failed)
        if node.life in failed_lives:
            stage.stop(node, 0)
        stage.start(node)

    return undo


def _slow(stage: Stage, fault: Fault, bit: Bit) -> Undo:
    node = stage.node(fault)
    node.disk.slowness = max(fault.amount, 1)
    before = node.disk.writes

    def undo() -> None:
        node.disk.slowness = 1
        if node.disk.writes > before:
            bit()

    return undo


def _rollback(stage: Stage, fault: Fault, bit: Bit) -> Undo:
    """The node comes back with the disk that it had when the faults began."""
    node = stage.node(fault)
    if stage.stop(node):
        stage.scene.tainted[node.index] = "its disk was put back"
        node.restore(stage.backups[node.index], whole=True)
        bit()
    return lambda: stage.start(node)


def _clone(stage: Stage, fault: Fault, bit: Bit) -> Undo:
    """Node b comes back with a copy of a's disk: one device twice, until it is undone."""
    original, copy = stage.node(fault), stage.node(fault, 1)
    if copy.index in stage.scene.tainted or original.index in stage.scene.tainted:
        return lambda: None
    stage.stop(copy)
    own = copy.disk.image()
    copy.restore(original.disk.image(), whole=True)
    stage.scene.tainted[original.index] = "its disk was copied"
    stage.scene.tainted[copy.index] = "it ran on a copy of another's disk"
    stage.start(copy)
    bit()
    over: list[bool] = []

    def undo() -> None:
        if over:
            return
        over.append(True)
        stage.stop(copy)
        copy.restore(own, whole=True)
        stage.start(copy)

    return undo


DISK_FAULTS: Final = (
    FaultKind(
        name="lost-unsynced",
        model=Model.DISK,
        work=_unsynced,
        tells="{a} loses power, and all that it had not synced",
        lasts=_LASTS,
        events=_WRITING,
    ),
    FaultKind(
        name="disk-full",
        model=Model.DISK,
        work=_full,
        tells="the disk of {a} is full",
        lasts=_LASTS,
        events=_WRITING,
    ),
    FaultKind(
        name="broken-write",
        model=Model.DISK,
        work=_broken_write,
        tells="a write to the disk of {a} fails, and its process ends",
        lasts=_LASTS,
        events=_WRITING,
    ),
    FaultKind(
        name="slow-disk",
        model=Model.DISK,
        work=_slow,
        tells="the disk of {a} is {amount} times as slow",
        amounts=(10, 200, 2_000),
        lasts=_LASTS,
        events=_WRITING,
    ),
    FaultKind(
        name="rollback",
        model=Model.AMNESIA,
        work=_rollback,
        tells="{a} loses power and comes back with an old backup of its disk",
        lasts=_LASTS,
        events=_WRITING,
    ),
    FaultKind(
        name="clone",
        model=Model.AMNESIA,
        work=_clone,
        tells="a copy of the disk of {a} runs on {b}",
        nodes=2,
        lasts=(5_000, 20_000),
    ),
)
"""What can happen to a disk."""
