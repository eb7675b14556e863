"""A till, a node that has a link to it, and relays between two that never meet."""

from __future__ import annotations

from functools import partial

from comity.node import commands
from comity.node.core import Core, Local
from comity.node.effects import Report, Table
from comity.node.mailboxes import MailboxKeeper
from comity_chaos.sim import Sim
from comity_chaos.world import SimNode
from tests.node.till import Far


class PostOffice(Far):
    """`Far`, where the till's node uses relays of its own, which the sender's does not.

    replies: relays that the sender's node uses, for what comes back; the till's if None.
    """

    def __init__(self, sim: Sim, relays: int = 2, *, replies: int | None = None) -> None:
        self.relays = [sim.world.add(Local(relay=True)) for _ in range(relays)]
        there, here = sim.world.nodes[0], sim.world.nodes[1]
        mine = self.relays
        if replies is not None:
            mine = [sim.world.add(Local(relay=True)) for _ in range(replies)]
        self.sim, self.world, self.tokens = sim, sim.world, 0
        for node, used in ((there, self.relays), (here, mine)):
            for relay in used:
                self.command(node, partial(commands.UseRelay, address=relay.address))
        sim.run(2)
        super().__init__(sim)
        sim.run(1)

    def part(self) -> None:
        """Let nothing pass between the two ends, ever."""
        self.world.cut([[self.here.index], [self.there.index]])
        self.sim.run(4)

    def off(self, node: SimNode) -> None:
        """Switch a node off; what it wrote is on its disk."""
        self.world.crash(node, kept=10**6)
        self.sim.run(3)

    def on(self, node: SimNode) -> None:
        """Switch a node on."""
        self.world.start(node)

    def keeper(self, relay: int = 0) -> MailboxKeeper:
        """Return the mailboxes of a relay."""
        core = self.relays[relay].core
        assert isinstance(core, Core)
        desk = core._desk
        assert desk is not None
        assert desk.mailboxes is not None
        return desk.mailboxes

    def lying(self, relay: int = 0) -> int:
        """Return how many mails lie at a relay, as its book and its disk say."""
        count = self.keeper(relay).amounts[1]
        disk = self.relays[relay].disk.rows()
        assert len(disk[Table.MAIL]) == count
        return count

    def heard(self, node: SimNode, what: str) -> list[Report]:
        """Return what a node reported."""
        return [each for each in node.reports if each.what == what]

    def check(self) -> None:
        """Assert the invariants of all nodes."""
        for node in self.world.nodes:
            if node.core is not None:
                node.core.check()
