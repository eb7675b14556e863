"""What is no fault and still upsets a system: somebody changes who is a member.

Owns: removals in the middle of a run. May not know: what follows from them.
Source: CHAOS 'Faults', People, Keys.
"""

from __future__ import annotations

from typing import Final

from comity.node import commands
from comity_chaos.faults.kind import Bit, FaultKind, Model, Stage, Undo, undone
from comity_chaos.plan import Fault

__all__ = ["OWNER_ACTS"]


def _remove(stage: Stage, fault: Fault, bit: Bit) -> Undo:
    """The founder removes a member, if it is up and the member is another."""
    node, member = stage.world.nodes[0], stage.node(fault)
    part = stage.part(node)
    device = next(
        (device for device, index in stage.scene.devices.items() if index == member.index), None
    )
    if node.up and part is not None and device is not None and member is not node:
        topic = part.topic
        stage.world.command(
            node, lambda token: commands.Remove(token, topic, device), awaited=False
        )
        stage.scene.removed[member.index] = "the founder removed it"
        bit()
    return undone


OWNER_ACTS: Final = (
    FaultKind(
        name="remove",
        model=Model.OWNER,
        work=_remove,
        tells="node 0 removes {a}",
        events=("turn", "ack"),
    ),
)
"""What an admin can do."""
