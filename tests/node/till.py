"""An actor that counts under names, and a node that has a link to it and no replica."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, cast

from comity import Actor, Map
from comity.actor.actor_type import ActorType
from comity.actor.parcel import Parcels
from comity.base.clock import Wall
from comity.base.ids import Token
from comity.node import commands
from comity.node.effects import Stage, Table
from comity.node.events import Post
from comity.protocol.capability import RefLink
from comity.protocol.envelope import CallHead
from comity_chaos.sim import Sim
from comity_chaos.world import SimNode


class Till(Actor):
    """Takes each amount under a name of its own: what is counted twice is seen."""

    taken: Map[str, int]

    def take(self, name: str, amount: int) -> int:
        """Add an amount; return how many there are."""
        self.taken[name] = self.taken.get(name, 0) + amount
        return len(self.taken)

    def count(self) -> int:
        """Return how many there are."""
        return len(self.taken)

    def fail(self) -> None:
        """Raise what nobody declared, after a write."""
        self.taken["never"] = 1
        raise ValueError("a secret of this device")

    async def slowly(self, name: str) -> str:
        """Write, wait, write."""
        self.taken[name] = 1
        await self.sleep(5)
        self.taken[name] = 2
        return name


class Far:
    """A till on one node, and another node that has a link to it and no replica."""

    actor: ClassVar[type[Actor]] = Till
    methods: ClassVar[tuple[str, ...]] = ("take", "count", "fail", "slowly")

    def __init__(self, sim: Sim) -> None:
        (self.till,) = sim.share(self.actor, on=1)
        self.sim = sim
        self.world = sim.world
        self.here, self.there = sim.world.nodes[1], sim.world.nodes[0]
        self.tokens = 1000
        self.link = self.give(*self.methods)
        self.reach()

    def command(self, node: SimNode, make: Callable[[Token], commands.Command]) -> object:
        """Have a node do something; return its answer."""
        token = self.world.command(node, make)
        while token not in node.answers:
            assert self.world.run_one()
        return node.answers.pop(token)

    def give(self, *methods: str) -> RefLink:
        """Have the till's node give a link out."""
        topic = self.till.topic
        found = self.command(self.there, lambda token: commands.GiveLink(token, topic, methods))
        assert isinstance(found, RefLink)
        return found

    def reach(self) -> None:
        """Have the sender's node call the till's."""
        device, addresses, route = self.link.device, (self.there.address,), self.link.route
        self.command(self.here, lambda token: commands.Reach(token, device, addresses, route))

    def post(
        self,
        method: str,
        *arguments: object,
        ask: bool = False,
        grant: bytes | None = None,
        deadline: int = 0,
    ) -> Token:
        """Send a message; return its token."""
        parcels = Parcels.of(ActorType.of(self.actor).methods[method])
        secret = self.link.grant if grant is None else grant
        head = CallHead(secret, method, parcels.shape, ask, Wall(deadline))
        self.tokens += 1
        letter = (head, parcels.pack(arguments, {})), Token(self.tokens)
        self.world.post(self.here, Post(self.link.device, (letter,)))
        return Token(self.tokens)

    def ask(self, method: str, *arguments: object, seconds: float = 5.0) -> object:
        """Ask, let time pass, return the value or the error."""
        token = self.post(method, *arguments, ask=True)
        self.sim.run(seconds)
        return self.reply(method, token)

    def reply(self, method: str, token: Token) -> object:
        """Return how an ask ended."""
        ends = [
            each
            for each in self.here.progress
            if each.token == token and each.stage is Stage.ENDED
        ]
        assert len(ends) == 1, ends
        parcels = Parcels.of(ActorType.of(self.actor).methods[method])
        value, error = parcels.open_reply(ends[0].ending, ends[0].body)
        return value if error is None else error

    def stages(self, token: Token) -> list[Stage]:
        """Return what was told of a message."""
        return [each.stage for each in self.here.progress if each.token == token]

    @property
    def taken(self) -> Mapping[str, int]:
        """What the till has."""
        return cast("Mapping[str, int]", self.till.state["taken"])

    def check(self) -> None:
        """Assert the invariants of both nodes."""
        for node in (self.here, self.there):
            if node.core is not None:
                node.core.check()

    @property
    def unsent(self) -> int:
        """Envelopes in the sender's outbox."""
        return len(self.here.disk.rows()[Table.OUTBOX])
