"""`Sim`: a few nodes that share an actor, in a world that can be cut and crashed.

Owns: the surface that tests are written against. May not know: how the world works.

    def test_converges():
        with Sim(seed=7, nodes=3) as sim:
            a, b, c = sim.share(Todo)
            a.tell(Todo.add, "milk"); sim.cut(a, b, c); b.tell(Todo.add, "eggs"); sim.heal()
            assert sorted(sim.settle().state["items"]) == ["eggs", "milk"]

Source: API 'Testing, the same classes'.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar

from comity.actor.actor import Actor
from comity.actor.actor_type import ActorType
from comity.actor.cell import Cell
from comity.base.clock import HOUR, MILLISECOND, MINUTE, SECOND, Duration, Wall
from comity.base.errors import UsageError
from comity.base.ids import CommitId, Token, Topic
from comity.crypto.port import Crypto
from comity.crypto.sodium import Sodium
from comity.crypto.symbolic import Symbolic
from comity.log.entries import Role
from comity.node import commands
from comity.node.core import Local
from comity.protocol.invite import Invite
from comity.wire.codec import ProtobufCodec
from comity_chaos.cells import Reply
from comity_chaos.world import SimNode, World

__all__ = ["Settled", "Sim", "SimRef"]

A = TypeVar("A", bound=Actor)
A_co = TypeVar("A_co", bound=Actor, covariant=True)
R = TypeVar("R")
P = ParamSpec("P")


_HOUR_MS = HOUR // MILLISECOND


@dataclass(frozen=True, slots=True)
class Settled:
    """What all replicas agree on once nothing is left to say.

    state: the fields as plain values. state_bytes: the same, canonical. heads: of the log.
    """

    state: Mapping[str, object]
    state_bytes: bytes
    heads: tuple[CommitId, ...]
    commits: int


class SimRef(Generic[A_co]):
    """One node's replica of the shared actor."""

    __slots__ = ("_sim", "actor_type", "node", "topic")

    def __init__(self, sim: Sim, node: SimNode, actor_type: ActorType, topic: Topic) -> None:
        """Only `Sim` makes these."""
        self._sim = sim
        self.node = node
        self.actor_type = actor_type
        self.topic = topic

    def __repr__(self) -> str:
        """Show the type and the node."""
        return f"<{self.actor_type.name} on node {self.node.index}>"

    def tell(
        self: SimRef[A],
        method: Callable[Concatenate[A, P], Any],
        /,
        *arguments: P.args,
        **keywords: P.kwargs,
    ) -> None:
        """Send a message; it is handled as the simulation runs."""
        self._sim.post(self, method, arguments, keywords, None)

    def ask(
        self: SimRef[A],
        method: Callable[Concatenate[A, P], R],
        /,
        *arguments: P.args,
        **keywords: P.kwargs,
    ) -> Reply[R]:
        """Send a message; the reply has its `value` once the simulation ran far enough."""
        reply: Reply[R] = Reply()
        self._sim.post(self, method, arguments, keywords, reply)
        return reply

    @property
    def state(self) -> Mapping[str, object]:
        """The fields on this node now, as plain values."""
        return self._sim.cell(self).snapshot()

    @property
    def state_bytes(self) -> bytes:
        """The same as canonical bytes."""
        return self._sim.cell(self).state_bytes()


class Sim:
    """A simulated deployment. Everything in it is a function of `seed`.

    nodes: how many, reachable from one another unless cut. crypto: 'symbolic' for speed,
    'sodium' for the real thing. relay: add a relay that every node uses.
    """

    def __init__(
        self, seed: int = 0, nodes: int = 3, *, crypto: str = "symbolic", relay: bool = False
    ) -> None:
        """Switch the nodes on."""
        kinds: dict[str, Callable[[], Crypto]] = {"symbolic": Symbolic, "sodium": Sodium}
        if crypto not in kinds:
            raise UsageError(f"{crypto!r} is no crypto profile: use 'symbolic' or 'sodium'")
        if nodes < 1:
            raise UsageError(f"{nodes} nodes are too few: use at least 1")
        self.world = World(seed, kinds[crypto](), ProtobufCodec())
        self._refs: list[SimRef[Any]] = []
        self.nodes = [self.world.add() for _ in range(nodes)]
        self.relay: SimNode | None = None
        for node in self.nodes:
            self._command(node, partial(commands.Listening, address=_address(node)))
        if relay:
            self.relay = self.world.add(Local(relay=True))
            for node in self.nodes:
                self._use_relay(node)

    def __enter__(self) -> Self:
        """Return the simulation."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Check every invariant once more, unless the test failed already."""
        if kind is None:
            self.check()

    # Sharing

    def share(
        self, actor_class: type[A], *, on: int | None = None, roles: Sequence[Role] = ()
    ) -> list[SimRef[A]]:
        """Found an actor on the first node and let the others in.

        on: how many nodes take part, all if not given. roles: of the second node and those
        after it; writers where none is given.
        """
        actor_type = ActorType.of(actor_class)
        founder = self.nodes[0]
        topic = self._command(founder, lambda t: commands.Create(t, actor_type.name))
        assert isinstance(topic, bytes)
        first: SimRef[A] = SimRef(self, founder, actor_type, Topic(topic))
        self._open(first, create=True)
        refs = [first]
        for place, node in enumerate(self.nodes[1:on]):
            role = roles[place] if place < len(roles) else Role.WRITER
            joined = self.join(node, self.invite(first, role))
            assert joined == topic
            ref: SimRef[A] = SimRef(self, node, actor_type, Topic(topic))
            self._open(ref, create=False)
            refs.append(ref)
        self._refs += refs
        self.settle()
        return refs

    def invite(self, host: SimRef[Any], role: Role = Role.WRITER) -> Invite:
        """Open an invite on a node."""
        expires = Wall(self.world.moment(host.node).wall + _HOUR_MS)
        invite = self._command(
            host.node, lambda token: commands.OfferInvite(token, host.topic, role, expires)
        )
        assert isinstance(invite, Invite)
        return invite

    def join(self, node: SimNode, invite: Invite) -> Topic:
        """Let a node use an invite. Raises: UsageError if refused; LinkError."""
        topic = self._command(node, lambda token: commands.Join(token, invite))
        assert isinstance(topic, bytes)
        return Topic(topic)

    def remove(self, host: SimRef[Any], member: SimRef[Any]) -> CommitId:
        """Let one node remove another."""
        core, _ = member.node.running()
        device = core.device
        removal = self._command(
            host.node, lambda token: commands.Remove(token, host.topic, device)
        )
        assert isinstance(removal, bytes)
        return CommitId(removal)

    # Faults

    def cut(self, *sides: SimRef[Any] | list[SimRef[Any]]) -> None:
        """Let nothing pass between these sides, each a ref or a list of refs.

        Whoever is not named stays with all of them.
        """
        groups = [side if isinstance(side, list) else [side] for side in sides]
        self.world.cut([[ref.node.index for ref in group] for group in groups])

    def heal(self) -> None:
        """Let everything pass again, and switch on whoever is off."""
        self.world.heal()
        for node in self.world.nodes:
            if not node.up:
                self._restart(node)

    def crash(self, ref: SimRef[Any]) -> None:
        """Cut a node's power."""
        self.world.crash(ref.node)

    def restart(self, ref: SimRef[Any]) -> None:
        """Switch a node on again; it finds what was durable."""
        self._restart(ref.node)

    # Time

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.world.run_for(Duration(int(seconds * SECOND)))

    def settle(self, *, minutes: int = 10) -> Settled:
        """Let time pass until all replicas agree, then return what they agree on.

        Raises: AssertionError that names the nodes that differ, if they do not agree in time.
        """
        limit = Duration(minutes * MINUTE)
        refs = [ref for ref in self._refs if ref.node.up]
        if not refs:
            self.run(1)
            return Settled({}, b"", (), 0)
        self.run(1)
        agreed = self.world.wait_for(lambda: self._agree(refs), limit)
        assert agreed, self._difference(refs)
        first = refs[0]
        status = self._status(first)
        return Settled(first.state, first.state_bytes, status.heads, status.commits)

    def check(self) -> None:
        """Assert the invariants of every running cell."""
        for node in self.world.nodes:
            if node.up:
                node.running()[1].check()

    @property
    def trace(self) -> str:
        """The digest of all that happened: equal for equal seeds."""
        return self.world.trace

    # For refs

    def post(
        self,
        ref: SimRef[Any],
        method: Callable[..., Any],
        arguments: tuple[Any, ...],
        keywords: Mapping[str, Any],
        reply: Reply[Any] | None,
    ) -> None:
        """Put a message into the mailbox of a replica."""
        if not ref.node.up:
            raise UsageError(f"node {ref.node.index} is off: restart it first")
        _, cells = ref.node.running()
        cells.post(ref.topic, ref.actor_type.message(method, arguments, keywords), reply)
        self.world.poke(ref.node)

    def cell(self, ref: SimRef[Any]) -> Cell:
        """Return the cell of a replica."""
        if not ref.node.up:
            raise UsageError(f"node {ref.node.index} is off: restart it first")
        return ref.node.running()[1].cell(ref.topic)

    def _open(self, ref: SimRef[Any], *, create: bool) -> None:
        _, cells = ref.node.running()
        cells.activate(Cell(ref.actor_type, ref.topic), create=create)
        opened = self._command(ref.node, lambda t: commands.Activate(t, ref.topic))
        assert opened == ref.actor_type.name, opened

    def _restart(self, node: SimNode) -> None:
        self.world.start(node)
        if node is not self.relay:
            self._command(node, lambda t: commands.Listening(t, _address(node)))
        for ref in self._refs:
            if ref.node is node:
                self._open(ref, create=False)

    def _use_relay(self, node: SimNode) -> None:
        assert self.relay is not None
        address = _address(self.relay)
        self._command(node, lambda t: commands.UseRelay(t, address))

    def _command(self, node: SimNode, make: Callable[[Token], commands.Command]) -> object:
        token = self.world.command(node, make)
        answered = self.world.wait_for(lambda: token in node.answers, Duration(10 * MINUTE))
        assert answered, "a command was never answered"
        answer = node.answers.pop(token)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _status(self, ref: SimRef[Any]) -> commands.TopicStatus:
        status = self._command(ref.node, commands.DescribeNode)
        assert isinstance(status, commands.NodeStatus)
        return next(topic for topic in status.topics if topic.topic == ref.topic)

    def _agree(self, refs: list[SimRef[Any]]) -> bool:
        heads = [ref.node.running()[0].heads(ref.topic) for ref in refs]
        if any(head != heads[0] for head in heads):
            return False
        return all(ref.state_bytes == refs[0].state_bytes for ref in refs)

    def _difference(self, refs: list[SimRef[Any]]) -> str:
        lines = ["the replicas do not agree:"]
        for ref in refs:
            status = self._status(ref)
            heads = ", ".join(head.hex()[:8] for head in status.heads)
            lines.append(f"  node {ref.node.index}: {status.commits} commits, heads {heads},")
            lines.append(f"    state {dict(ref.state)}")
        return "\n".join(lines)


def _address(node: SimNode) -> str:
    return f"node-{node.index}"
