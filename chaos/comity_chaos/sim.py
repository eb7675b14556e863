"""`Sim`: a few nodes that share an actor, in a world that can be cut, crashed and lied to.

Owns: the surface that tests are written against, and the phases of a run. May not know: how
the world works, what each oracle promises.

    def test_converges():
        with Sim(seed=7, nodes=3) as sim:
            a, b, c = sim.share(Todo)
            a.tell(Todo.add, "milk"); sim.cut(a, b, c); b.tell(Todo.add, "eggs"); sim.heal()
            assert sorted(sim.settle().state["items"]) == ["eggs", "milk"]

Phases: calm --share--> under faults, if there is a plan --heal--> healed --settle--> agreed
Source: API 'Testing, the same classes'; CHAOS 'Phases'.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from comity.actor.actor import Actor
from comity.actor.actor_type import ActorType
from comity.actor.cell import Cell
from comity.api.history import Turn as PastTurn
from comity.api.history import fields_at, turns_of
from comity.base.clock import HOUR, MILLISECOND, MINUTE, SECOND, Duration, Instant, Wall
from comity.base.errors import UsageError
from comity.base.ids import CommitId, Token, Topic
from comity.crypto.port import Crypto
from comity.crypto.sodium import Sodium
from comity.crypto.symbolic import Symbolic
from comity.log.entries import Role
from comity.node import commands
from comity.node.commands import TurnId
from comity.node.core import Local
from comity.protocol.invite import Invite
from comity.protocol.pairing import Code, slot_secret
from comity_chaos.clockwork import fake_key
from comity_chaos.faults.kind import Stage
from comity_chaos.nemesis import Nemesis
from comity_chaos.network import NOTICE
from comity_chaos.node import SimNode
from comity_chaos.oracles.agreement import Invariant, difference
from comity_chaos.oracles.judge import Judge
from comity_chaos.oracles.liveness import REACH_MAX
from comity_chaos.oracles.oracle import Violation
from comity_chaos.plan import Plan, Turn
from comity_chaos.recall import RecallingCodec
from comity_chaos.refs import Settled, SimRef
from comity_chaos.replies import Reply
from comity_chaos.scene import Part, Scene
from comity_chaos.treason import Traitor
from comity_chaos.workload import resolve
from comity_chaos.world import World

__all__ = ["Settled", "Sim", "SimRef"]

A = TypeVar("A", bound=Actor)

_HOUR_MS: Final = HOUR // MILLISECOND
_COMMAND_MAX: Final = Duration(10 * MINUTE)
_SAMPLE: Final = Duration(500 * MILLISECOND)
_AGREE_MAX: Final = Duration(10 * MINUTE)
"""How long after healing until all agree: backoff, handshakes and a full reconciliation."""

_CHECK_EVERY: Final = 16
"""Events between two looks at whether all agree."""


class Sim:
    """A simulated deployment. Everything in it is a function of `seed`.

    nodes: how many, reachable from one another unless cut. crypto: 'symbolic' for speed,
    'sodium' for the real thing. relay: add a relay that every node uses. plan: what goes wrong,
    from the first `share` on; seed, nodes, crypto and relays are its own then. keep: notes of
    the trace to keep as lines. complete: draws the rest of the plan when an actor is shared.
    """

    def __init__(
        self,
        seed: int = 0,
        nodes: int = 3,
        *,
        crypto: str = "symbolic",
        relay: bool = False,
        plan: Plan | None = None,
        keep: tuple[int, int] = (0, 0),
    ) -> None:
        """Switch the nodes on."""
        if plan is None:
            plan = Plan(seed=seed, nodes=nodes, crypto=crypto, relays=int(relay))
        kinds: dict[str, Callable[[], Crypto]] = {"symbolic": Symbolic, "sodium": Sodium}
        if plan.crypto not in kinds:
            raise UsageError(
                f"{plan.crypto!r} is no crypto profile: use 'symbolic' or 'sodium'"
            )
        if plan.nodes < 1:
            raise UsageError(f"{plan.nodes} nodes are too few: use at least 1")
        self.plan = plan
        self.complete: Callable[[ActorType], Plan] | None = None
        self.world = World(plan.seed, kinds[plan.crypto](), RecallingCodec(), keep=keep)
        self.world.network.calm = plan.calm
        self.world.started = self._host
        self.world.refer = self._refer
        self.scene = Scene(self.world)
        self.world.forgiven = lambda node: not self.scene.trusted(node)
        self.judge = Judge(self.scene)
        self.nemesis: Nemesis | None = None
        self.replies: list[tuple[Turn, Reply[Any]]] = []
        self._refs: list[SimRef[Any]] = []
        self._began = Instant(0)
        self._healed = False
        self._concluded = False
        self.nodes: list[SimNode] = []
        for index in range(plan.nodes):
            lies = index in plan.byzantine
            if lies:
                self.scene.byzantine[index] = "the plan says so"
            self.nodes.append(self.world.add(wrap=Traitor if lies else None))
        relays = [self.world.add(Local(relay=True)) for _ in range(plan.relays)]
        self.relay = relays[0] if relays else None
        for relay_node in relays:
            for node in self.nodes:
                self._command(node, partial(commands.UseRelay, address=relay_node.address))

    def __enter__(self) -> Self:
        """Return the simulation."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let a plan run to its end, and check every invariant, unless the test failed."""
        if kind is None:
            planned = self.nemesis is not None or self.complete is not None or self.plan.size
            if planned and not self._concluded:
                self.survive()
            self.check()

    # Sharing

    def share(
        self, actor_class: type[A], *, on: int | None = None, roles: Sequence[Role] = ()
    ) -> list[SimRef[A]]:
        """Found an actor on the first node and let the others in; then a plan's faults begin.

        on: how many nodes take part, all if not given. roles: of the second node and those
        after it; writers where none is given.
        """
        actor_type = ActorType.of(actor_class)
        founder = self.nodes[0]
        topic = self._command(founder, lambda t: commands.Create(t, actor_type.name))
        assert isinstance(topic, bytes)
        part = Part(founder, Topic(topic), actor_type)
        first: SimRef[A] = SimRef(self, part)
        self._open(first, create=True)
        refs = [first]
        for place, node in enumerate(self.nodes[1:on]):
            role = roles[place] if place < len(roles) else Role.WRITER
            joined = self.join(node, self.invite(first, role))
            assert joined == topic
            ref: SimRef[A] = SimRef(self, Part(node, Topic(topic), actor_type))
            self._open(ref, create=False)
            refs.append(ref)
        self.settle()
        for ref in refs:
            self.scene.devices[ref.node.running()[0].device] = ref.node.index
        if self.nemesis is None and self.complete is not None:
            self.plan = self.complete(actor_type)
        if self.plan.size and self.nemesis is None:
            self._begin()
        return refs

    def invite(self, host: SimRef[Any], role: Role = Role.WRITER) -> Invite:
        """Open an invite on a node."""
        expires = Wall(self.world.moment(host.node).wall + _HOUR_MS)
        invite = self._command(
            host.node, lambda token: commands.OfferInvite(token, host.topic, role, expires)
        )
        assert isinstance(invite, Invite)
        return invite

    def code(self, host: SimRef[Any], role: Role = Role.WRITER) -> Code:
        """Open a short code on a node. Pairing needs a world with crypto 'sodium'."""
        code = self._command(
            host.node, lambda token: commands.OfferCode(token, host.topic, role)
        )
        assert isinstance(code, Code)
        return code

    def pair(self, node: SimNode, host: SimRef[Any], code: Code) -> Topic:
        """Let a node join by a code that it was told. Raises: UsageError; LinkError."""
        invite = Invite(None, slot_secret(code.slot), (host.node.address,))
        topic = self._command(node, lambda token: commands.Join(token, invite, code))
        assert isinstance(topic, bytes)
        return Topic(topic)

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
        self.scene.removed[member.node.index] = f"node {host.node.index} removed it"
        return CommitId(removal)

    def undo(self, host: SimRef[Any], turn: TurnId | None = None) -> TurnId:
        """Let a node hide a turn, its newest if none is named. Raises: UsageError."""
        found = self._command(host.node, lambda t: commands.Undo(t, host.topic, turn))
        assert isinstance(found, TurnId)
        return found

    def redo(self, host: SimRef[Any], turn: TurnId | None = None) -> TurnId:
        """Let a node take an undo back, its newest if no turn is named. Raises: UsageError."""
        found = self._command(host.node, lambda t: commands.Redo(t, host.topic, turn))
        assert isinstance(found, TurnId)
        return found

    def history(self, host: SimRef[Any], newest: int = 100) -> tuple[PastTurn, ...]:
        """Return the newest turns that a node holds."""
        past = self._command(host.node, lambda t: commands.ReadPast(t, host.topic, newest))
        assert isinstance(past, commands.Past)
        return turns_of(past, host.actor_type)

    def at(self, host: SimRef[Any], version: tuple[CommitId, ...]) -> Mapping[str, object]:
        """Return the fields of a version, as a node folds it. Raises: UsageError."""
        read = partial(commands.ReadPast, topic=host.topic, version=version)
        past = self._command(host.node, read)
        assert isinstance(past, commands.Past)
        return fields_at(past, host.actor_type, host.topic)

    def adopt(self, host: SimRef[Any], commit: CommitId) -> None:
        """Let a node adopt a hidden commit. Raises: UsageError."""
        self._command(host.node, lambda t: commands.Adopt(t, host.topic, commit))

    # Faults by hand

    def cut(self, *sides: SimRef[Any] | list[SimRef[Any]]) -> None:
        """Let nothing pass between these sides, each a ref or a list of refs.

        Whoever is not named stays with all of them.
        """
        groups = [side if isinstance(side, list) else [side] for side in sides]
        self.world.cut([[ref.node.index for ref in group] for group in groups])

    def crash(self, ref: SimRef[Any]) -> None:
        """Cut a node's power."""
        self.world.crash(ref.node)

    def restart(self, ref: SimRef[Any]) -> None:
        """Switch a node on again; it finds what was durable."""
        self.world.start(ref.node)

    def fake(self, function: Callable[..., Any], stand_in: Callable[..., Any]) -> None:
        """Say what stands for a function that handlers give to `self.run` and `self.io`.

        stand_in: a plain function of the same arguments; what it returns or raises comes back
        after a simulated while.
        """
        self.world.fakes[fake_key(function)] = stand_in

    # A plan

    @property
    def began(self) -> int:
        """When the plan began, in simulated nanoseconds."""
        return self._began

    def always(self, invariant: Invariant) -> None:
        """Judge a promise of the app whenever a replica is at rest, and at the end.

        invariant: takes the fields as plain values; false, or an assert in it, breaks it.
        """
        self.judge.always(invariant)

    def survive(self) -> Settled:
        """Let the plan happen, heal everything, settle, and let every oracle judge the run.

        Raises: Violation, in plain words; UsageError if no actor is shared.
        """
        if not self._refs:
            raise UsageError("nothing is shared: call sim.share(YourActor) first")
        if self.nemesis is None:
            self._begin()
        left = self._began + self.plan.span_ms * MILLISECOND - self.world.now
        if left > 0:
            self.world.run_for(Duration(left))
        self._concluded = True
        if self.plan.beyond:
            self.judge.conclude(safety_only=True)
            return Settled({}, b"", (), 0)
        self.heal()
        settled = self.settle()
        reach, end = self.judge.reach, self.world.now + REACH_MAX
        self.world.run_for(NOTICE)  # until then links may be dead, and nobody knows
        while self.world.now < end:
            self._wait(lambda: reach.missing() is None, Duration(end - self.world.now))
            settled = self.settle()
            if reach.missing() is None:
                break
        self.judge.sample()
        self.judge.conclude(safety_only=False)
        return settled

    def _begin(self) -> None:
        """Begin the plan: arm its faults, send its work, let the oracles look now and then."""
        self._began = self.world.now
        self.nemesis = Nemesis(Stage(self.scene), self.plan.faults)
        for turn in self.plan.turns:
            self.world.time.after(turn.ms * MILLISECOND, self._work, turn)
        self.nemesis.arm()
        self._sample()

    def _sample(self) -> None:
        self.judge.sample()
        if not self._concluded:
            self.world.time.after(_SAMPLE, self._sample)

    def _work(self, turn: Turn) -> None:
        """Send one message of the plan, if the node is up to take it."""
        ref = next((ref for ref in self._refs if ref.node.index == turn.node), None)
        if ref is None or not ref.node.up:
            return
        method = ref.actor_type.methods.get(turn.method)
        if method is None:
            raise UsageError(f"{ref.actor_type.name} has no message {turn.method!r}")
        arguments = resolve(self.world.keyed, ref.actor_type, turn)
        reply: Reply[Any] = Reply()
        self.replies.append((turn, reply))
        self.post(ref, method, arguments, {}, reply)

    def heal(self) -> None:
        """Let everything pass again, undo a plan's faults, switch on whoever is off."""
        if self.nemesis is not None:
            self.nemesis.heal()
        self.world.heal()
        for node in self.world.nodes:
            if not node.up:
                self.world.start(node)

    # Time

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.world.run_for(Duration(int(seconds * SECOND)))

    def settle(self, *, minutes: int = _AGREE_MAX // MINUTE) -> Settled:
        """Let time pass until all replicas agree, then return what they agree on.

        Raises: Violation that names the nodes that differ, if they do not agree in time.
        """
        found = [ref.part for ref in self._refs if ref.node.up and self._judged(ref.part)]
        self.run(1)

        def parts() -> list[Part]:
            """Who meets its own later commits becomes a new device, and no member, by now."""
            return [part for part in found if self._judged(part)]

        if not parts():
            return Settled({}, b"", (), 0)
        if not self._wait(lambda: _agree(parts()), Duration(minutes * MINUTE)):
            raise Violation("liveness", f"after {minutes} minutes {_disagreement(parts())}")
        if not parts():
            return Settled({}, b"", (), 0)
        first = parts()[0]
        replica = first.replica
        assert replica is not None
        graph = replica.journal.graph
        return Settled(first.cell.snapshot(), first.cell.state_bytes(), graph.heads, len(graph))

    def check(self) -> None:
        """Assert the invariants of every running cell."""
        for node in self.world.nodes:
            if node.up:
                node.running()[1].check()

    @property
    def worked(self) -> Mapping[str, int]:
        """Return how often each message of the plan was handled without an error."""
        found = {turn.method: 0 for turn, _ in self.replies}
        for turn, reply in self.replies:
            found[turn.method] += reply.done and reply.error is None
        return found

    @property
    def raised(self) -> Mapping[str, str]:
        """Return what each message of the plan raised that was never handled without."""
        worked = self.worked
        return {
            turn.method: f"{type(reply.error).__name__}: {reply.error}"
            for turn, reply in self.replies
            if not worked[turn.method] and reply.error is not None
        }

    @property
    def elapsed_ms(self) -> int:
        """Simulated milliseconds since the plan began; 0 before that."""
        return (self.world.now - self._began) // MILLISECOND if self.nemesis else 0

    @property
    def trace(self) -> str:
        """The digest of all that happened: equal for equal seeds."""
        return self.world.trace

    def _judged(self, part: Part) -> bool:
        index = part.node.index
        return self.scene.trusted(part.node) and index not in self.scene.removed

    def _wait(self, ready: Callable[[], bool], limit: Duration) -> bool:
        """Let time pass until something is so, looking now and then."""
        end = self.world.now + limit
        while not ready():
            for _ in range(_CHECK_EVERY):
                if self.world.now > end or not self.world.run_one():
                    return ready()
        return True

    # For refs

    def post(
        self,
        ref: SimRef[Any],
        method: Callable[..., Any],
        arguments: tuple[Any, ...],
        keywords: Mapping[str, Any],
        reply: Reply[Any] | None,
    ) -> None:
        """Put a message into the mailbox of a replica. Raises: UsageError if it is off."""
        ref.node.require_up()
        _, cells = ref.node.running()
        message = ref.actor_type.message(method, arguments, keywords)
        cells.post(ref.topic, message, reply, deadline=ref.deadline)
        self.world.poke(ref.node)

    def _refer(self, node: SimNode, actor_type: ActorType, topic: Topic) -> SimRef[Actor]:
        return SimRef(self, Part(node, topic, actor_type))

    def _open(self, ref: SimRef[Any], *, create: bool) -> None:
        _, cells = ref.node.running()
        cells.activate(Cell(ref.actor_type, ref.topic), create=create)
        self._refs.append(ref)
        self.scene.parts.append(ref.part)
        opened = self._command(ref.node, lambda t: commands.Activate(t, ref.topic))
        assert opened == ref.actor_type.name, opened

    def _host(self, node: SimNode) -> None:
        """Do what a host does with a core that has started: listen, and open what was open."""
        if node.local.relay:
            return
        if self.scene.devices.get(node.running()[0].device) != node.index and any(
            index == node.index for index in self.scene.devices.values()
        ):
            self.scene.removed[node.index] = "it has become a new device"
        address, life = node.address, node.life
        self.world.command(node, lambda t: commands.Listening(t, address), awaited=False)
        for ref in self._refs:
            if ref.node is not node or node.life != life or not node.up:
                continue
            _, cells = node.running()
            if ref.topic in cells.topics():
                continue  # it listens anew, and hosts its actors already
            cells.activate(Cell(ref.actor_type, ref.topic), create=False)
            activate = partial(commands.Activate, topic=ref.topic)
            self.world.command(node, activate, awaited=False)

    def _command(self, node: SimNode, make: Callable[[Token], commands.Command]) -> object:
        token = self.world.command(node, make)
        answered = self.world.wait_for(lambda: token in node.answers, _COMMAND_MAX)
        assert answered, "a command was never answered"
        answer = node.answers.pop(token)
        if isinstance(answer, Exception):
            raise answer
        return answer


def _agree(parts: Sequence[Part]) -> bool:
    heads: tuple[CommitId, ...] | None = None
    for part in parts:
        replica = part.replica
        if replica is None:
            return False
        own = replica.journal.graph.heads
        if heads is not None and own != heads:
            return False
        heads = own
    return all(part.idle for part in parts)


def _disagreement(parts: Sequence[Part]) -> str:
    """Say who has not got what others have, or what keeps a replica from resting."""
    lines: list[str] = []
    for part in parts:
        replica = part.replica
        if replica is None:
            lines.append(f"node {part.node.index} does not hold the actor")
            continue
        status = replica.status()
        rest = "" if part.idle else ", still busy"
        lines.append(
            f"node {part.node.index} has {status.commits} commits"
            + (f" and {status.orphans} that it cannot check" if status.orphans else "")
            + rest
        )
    first, last = parts[0], parts[-1]
    if first.node.up and last.node.up and first.cell.state_bytes() != last.cell.state_bytes():
        lines.append(difference(first.cell.snapshot(), last.cell.snapshot()))
    return "the replicas do not agree: " + "; ".join(lines)
