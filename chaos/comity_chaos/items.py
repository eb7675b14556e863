"""What waits in the mailbox of a simulated cell, and how it is begun.

Owns: one piece of work, and the opening of what came from another device. May not know: whose
turn it is (`comity_chaos.cells`).
"""

from __future__ import annotations

from typing import Any

from comity.actor.actor_type import ActorType
from comity.actor.cell import Cell
from comity.actor.clerk import open_errand
from comity.actor.errand import Batch, Errand
from comity.actor.fold import Handled, TurnEnded
from comity.actor.message import Message, Outcome
from comity.actor.timers import Timer
from comity.base.endings import Ending
from comity_chaos.replies import Reply

__all__ = ["Item"]


class Item:
    """One piece of work of a cell: a message, the first turn of its life, a timer's ring.

    Or a message of another device, unopened as a `Batch` of one, and opened as an `Errand`.
    """

    __slots__ = ("is_asleep", "pauses", "reply", "work")

    def __init__(
        self, work: Message | Timer | Batch | Errand | None, reply: Reply[Any] | None
    ) -> None:
        self.work = work
        self.reply = reply
        self.pauses = 0
        self.is_asleep = False

    @property
    def name(self) -> str:
        """What the trace calls it."""
        match self.work:
            case None:
                return "create"
            case Timer():
                return str(getattr(self.work.function, "__name__", "timer"))
            case Message(method):
                return method
            case Errand():
                return self.work.message.method
            case Batch():
                return self.work.left[0][1].method

    def open(self, actor_type: ActorType) -> Handled | None:
        """Read a message of another device; return its answer if it cannot be."""
        batch = self.work
        if not isinstance(batch, Batch):
            return None
        ((number, call, body),) = batch.left
        message = open_errand(actor_type, call, body)
        if isinstance(message, str):
            ending = Ending.REFUSED if call.wants_reply else None
            result = (number, None, ending, message.encode())
            return Handled(batch.topic, batch.sender, (result,))
        self.work = Errand(batch.topic, batch.sender, number, call, message)
        return None

    def begin(self, cell: Cell) -> tuple[Outcome, TurnEnded | None]:
        """Run its turn, or its first stretch."""
        match self.work:
            case None:
                return cell.create()
            case Timer():
                return cell.ring(self.work)
            case Message():
                return cell.run(self.work)
            case Errand():
                return cell.run(self.work.message)
            case Batch():
                raise AssertionError("it is opened first")
