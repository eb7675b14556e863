"""The world: real node cores in simulated time, on simulated disks and links.

Owns: the lives of the nodes, what passes between them, and who is told of it. May not know:
what is being tested (`comity_chaos.sim`), plans, real time, entropy or files. Everything that
can happen is an entry of one heap; all randomness is keyed. So a seed is a run: same seed,
same trace, in any process.

    effect of a core --> disk, network, cells --after a while--> event of a core
Source: CHAOS 'Architecture', World.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, assert_never

from comity.actor.actor_type import ActorType
from comity.actor.fold import CellEvent, Errands, Fold
from comity.base.clock import MILLISECOND, Duration, Instant, Moment, after
from comity.base.ids import LinkId, Token, Topic
from comity.crypto.port import Crypto
from comity.node.commands import Command
from comity.node.core import Core, Event, Local, Ports
from comity.node.effects import (
    Answer,
    AwaitRoom,
    Dial,
    Effect,
    Hangup,
    Progress,
    Read,
    Release,
    Report,
    Send,
    Stop,
    Throttle,
    VerifyBatch,
    Write,
)
from comity.node.events import (
    FrameArrived,
    LinkDown,
    LinkDrained,
    LinkUp,
    Post,
    ReadDone,
    Stored,
    Verified,
    Woke,
    WriteFailed,
)
from comity.wire.records import Codec
from comity_chaos.cells import Cells
from comity_chaos.clockwork import NodeClockwork, no_refs
from comity_chaos.failing import NodeFailed, never, nothing, seen
from comity_chaos.keyed import Keyed, SimEntropy
from comity_chaos.network import NOTICE, Network, Wire
from comity_chaos.node import FOREVER, SimNode
from comity_chaos.timeline import Timeline, Trace
from comity_chaos.witness import Witness

__all__ = ["NodeFailed", "SimNode", "World"]

_SYNC_MIN: Final = Duration(200_000)
_SYNC_SPREAD: Final = 800_000
"""A sync of a disk takes 0.2 to 1 ms, keyed."""

_DIAL: Final = Duration(2 * MILLISECOND)
_CLOSE: Final = Duration(20 * MILLISECOND)
_READ: Final = Duration(50_000)
_TURN: Final = Duration(10_000)
_VERIFY_SPREAD: Final = 8 * MILLISECOND
"""Half of the batches of signatures are checked at once, half take up to so long, keyed."""

_DIAL_UNANSWERED: Final = Duration(5_000 * MILLISECOND)
"""How long a dial waits for an answer that is kept from it."""

_BEGIN_ANEW: Final = Duration(1_000 * MILLISECOND)
"""How long a node that has stopped by itself is off."""

_GUARDING: Final = 1 << 33
"""Lives whose entropy goes to the guard against copies, so that the core's stays its own."""

_UPTIME_SPREAD: Final = 1 << 50
"""Nanoseconds, 13 days: where the monotonic clock of a life begins, keyed."""

_REPORTS_MAX: Final = 10_000


class World:
    """All nodes of one run.

    events: steps of cores and items of cells' work. turns: messages that cells ran. started:
    called when a node has been switched on, to do what a host does. fakes: what stands for
    functions that handlers run outside (`clockwork`). forgiven: asked whether a node may fail,
    because it is not honest; then it is only switched off. passed: told of each frame, by
    source, target, when it left, when it arrives (once, never, more often), and its size.
    """

    def __init__(
        self, seed: int, crypto: Crypto, codec: Codec, *, keep: tuple[int, int] = (0, 0)
    ) -> None:
        """Make an empty world. keep: the stretch of its trace to keep as lines."""
        self.seed = seed
        self.keyed = Keyed(seed)
        self.time = Timeline()
        self.log = Trace(keep)
        self.network = Network(self.keyed)
        self.nodes: list[SimNode] = []
        self.witness: Witness | None = None
        self.events = 0
        self.turns = 0
        self.fakes: dict[object, Callable[..., object]] = {}
        self.refer: Callable[[SimNode, ActorType, Topic], object] = no_refs
        self.started: Callable[[SimNode], None] = nothing
        self.forgiven: Callable[[SimNode], bool] = never
        self.passed: Callable[[int, int, int, Sequence[int], int], None] | None = None
        self.crypto = crypto
        self._codec = codec
        self._addresses: dict[str, SimNode] = {}
        self._watched: dict[tuple[int, str], list[Callable[[], None]]] = {}
        self._tokens = 0

    # Nodes

    def add(
        self, local: Local | None = None, wrap: Callable[[Codec], Codec] | None = None
    ) -> SimNode:
        """Add a node and switch it on. wrap: puts something between it and what it says."""
        node = SimNode(len(self.nodes), Local() if local is None else local)
        node.codec = None if wrap is None else wrap(self._codec)
        self.nodes.append(node)
        self._addresses[node.address] = node
        self.start(node)
        return node

    def start(self, node: SimNode) -> None:
        """Switch a node on: it finds what is durable on its disk."""
        assert not node.up
        node.up = True
        node.life += 1
        node.clock.begin(
            self.now, self.keyed.below(_UPTIME_SPREAD, "uptime", node.index, node.life)
        )
        node.core = Core(self.ports(node, life=node.life), node.local)
        node.cells = Cells(
            emit=lambda event: self._spoke(node, event),
            on_failure=lambda topic, error: self._report(
                node, Report("handler failed", topic, detail=repr(error))
            ),
            clockwork=NodeClockwork(node, self),
        )
        self.log.note(self.now, node.index, "start")
        if self.witness is not None:
            self.witness.started(node)
        copied = node.is_copy(SimEntropy(self.seed, node.index, _GUARDING + node.life))
        try:
            effects = node.core.start(node.disk.rows(), self.moment(node), copied=copied)
        except Exception as error:  # noqa: BLE001  (whatever it is, it is ours)
            self._failed(node, error)
            return
        self._perform(node, effects)
        if node.up:
            self._fire("start", node)
        if node.up:
            self.started(node)

    def ports(self, node: SimNode, *, life: int) -> Ports:
        """Return what a life of a node is given from outside."""
        entropy = SimEntropy(self.seed, node.index, life)
        return Ports(self.crypto, node.codec or self._codec, entropy)

    def crash(self, node: SimNode, *, kept: int | None = None) -> None:
        """End a node's life without warning.

        kept: how many of the writes on their way reach the disk; a keyed number if not given,
        as when the power goes. All of them do when only the process is killed.
        """
        assert node.up
        if self.witness is not None:
            self.witness.stopped(node)
        pending = node.disk.pending
        if kept is None:
            kept = self.keyed.below(pending + 1, "kept", node.index, node.life)
        node.disk.crash(kept)
        node.up = False
        node.life += 1
        self.log.note(self.now, node.index, "crash", bytes((kept & 0xFF,)))
        if node.cells is not None:
            node.cells.cut_off()
        for wire in self.network.wires_of(node.index):
            self.break_wire(wire, NOTICE, "the other side is gone")
        node.switch_off()

    def command(
        self, node: SimNode, make: Callable[[Token], Command], *, awaited: bool = True
    ) -> Token:
        """Give a node a command; its answer comes to `node.answers` if it is awaited."""
        self._tokens += 1
        token = Token(self._tokens)
        if awaited:
            node.awaited[token] = None
        self._deliver(node, node.life, make(token))
        return token

    def post(self, node: SimNode, post: Post) -> None:
        """Give a node messages for others; `node.progress` tells what becomes of them."""
        self._deliver(node, node.life, post)

    def moment(self, node: SimNode) -> Moment:
        """Return the present as a node sees it."""
        return node.clock.moment(self.now)

    def hold(self, node: SimNode, until: int = FOREVER) -> None:
        """Let nothing reach a node before an instant; what comes waits in its inbox."""
        node.held_until = until
        if until < FOREVER:
            self.time.at(until, self._drain, node, node.life)

    def resume(self, node: SimNode) -> None:
        """Let a suspended node go on with what came in the meantime."""
        self.hold(node, self.now)

    def move(self, node: SimNode, address: str, *, keep: bool = False) -> None:
        """Give a node another address; the old one leads nowhere, unless it is kept."""
        if not keep:
            self._addresses.pop(node.address, None)
        self._addresses[address] = node
        node.address = address

    def watch(self, node: SimNode, what: str, then: Callable[[], None]) -> None:
        """Call back whenever something happens to a node.

        what: 'start', 'turn', 'fold', 'write', 'fsync', 'ack', 'send', 'receive', 'dial' or
        'link'; the call comes right after it, before anything follows from it.
        """
        self._watched.setdefault((node.index, what), []).append(then)

    def unwatch(self, node: SimNode, what: str, then: Callable[[], None]) -> None:
        """Take a callback out."""
        self._watched[node.index, what].remove(then)

    def _fire(self, what: str, node: SimNode) -> None:
        watching = self._watched.get((node.index, what))
        if watching:
            for then in tuple(watching):
                then()

    # Time

    @property
    def now(self) -> Instant:
        """The present of the world, nanoseconds since it began."""
        return self.time.now

    def run_one(self) -> bool:
        """Let the next thing happen; False if nothing ever will."""
        return self.time.run_one()

    def run_for(self, wait: Duration) -> None:
        """Let time pass."""
        self.time.run_until(Instant(self.now + wait))

    def wait_for(self, ready: Callable[[], bool], limit: Duration) -> bool:
        """Let time pass until something is so; False if it is not within the limit."""
        return self.time.wait_for(ready, limit)

    @property
    def trace(self) -> str:
        """The digest of everything that has happened: equal runs have equal ones."""
        return self.log.digest

    # Links

    def cut(self, groups: Sequence[Sequence[int]]) -> tuple[tuple[int, int], ...]:
        """Let nothing pass between different groups of nodes; return the directions cut."""
        pairs = tuple(
            pair
            for place, group in enumerate(groups)
            for other in groups[:place]
            for a in group
            for b in other
            for pair in ((a, b), (b, a))
        )
        self.cut_pairs(pairs)
        return pairs

    def cut_pairs(self, pairs: Sequence[tuple[int, int]]) -> int:
        """Let nothing pass in these directions; return how many links that broke."""
        self.log.note(self.now, 0, "cut", repr(pairs).encode())
        broken = self.network.cut(pairs)
        for wire in broken:
            self.break_wire(wire, NOTICE, "no answer")
        return len(broken)

    def heal(self) -> None:
        """Let everything pass again."""
        self.log.note(self.now, 0, "heal")
        self.network.heal()

    def break_wire(
        self, wire: Wire, wait: Duration, why: str, *, unaware: int | None = None
    ) -> None:
        """End a link; both sides notice after a wait, unless they are gone by then.

        unaware: the node that is not told, which goes on believing that the link is there.
        """
        self.network.close(wire)
        for index, life, link in wire.ends:
            if index != unaware:
                self.tell_down(self.nodes[index], life, link, why, wait)

    def tell_down(
        self, node: SimNode, life: int, link: LinkId, why: str, wait: Duration
    ) -> None:
        """Let a node learn after a wait that a link is gone."""
        self.time.after(wait, self._deliver, node, life, LinkDown(link, why))

    def _dial(self, node: SimNode, dial: Dial) -> None:
        if self.witness is not None:
            self.witness.dialled(node)
        self.time.after(_DIAL, self._dialled, node, node.life, dial)
        self._fire("dial", node)

    def _dialled(self, node: SimNode, life: int, dial: Dial) -> None:
        if not (node.up and node.life == life):
            return
        target = self._addresses.get(dial.address)
        if target is None or not target.up:
            self._deliver(node, life, LinkDown(dial.link, "connection refused"))
        elif not self.network.answers(node.index, target.index):
            self.tell_down(node, life, dial.link, "no answer", _DIAL_UNANSWERED)
        else:
            inbound = LinkId(target.inbound)
            target.inbound += 2
            self.network.connect(
                (node.index, life, dial.link), (target.index, target.life, inbound)
            )
            self._deliver(
                target, target.life, LinkUp(inbound, inbound=True, address=node.address)
            )
            self._deliver(node, life, LinkUp(dial.link, inbound=False, address=dial.address))
            self._fire("link", node)

    def _send(self, node: SimNode, send: Send) -> None:
        if self.witness is not None:
            self.witness.sent(node, send.frame)
        wire = self.network.wire(node.index, send.link)
        if wire is None:
            return
        side = wire.side_of(node.index, send.link)
        passed = self.network.pass_on(wire, side, send.frame, self.now)
        if self.passed is not None:
            arrivals = [when for when, _ in passed]
            self.passed(node.index, wire.ends[1 - side][0], self.now, arrivals, len(send.frame))
        for when, frame in passed:
            self.time.at(when, self._arrive, wire, 1 - side, frame)
        self._fire("send", node)

    def _await_room(self, node: SimNode, link: LinkId) -> None:
        """Say that a link has room once all that was sent over it has arrived."""
        wire = self.network.wire(node.index, link)
        if wire is not None:
            clear = wire.clear_at[wire.side_of(node.index, link)]
            self.time.at(clear, self._deliver, node, node.life, LinkDrained(link))

    def _arrive(self, wire: Wire, side: int, frame: bytes) -> None:
        if wire.open:
            index, life, link = wire.ends[side]
            self._deliver(self.nodes[index], life, FrameArrived(link, frame))
            self._fire("receive", self.nodes[index])

    # Steps

    def _deliver(self, node: SimNode, life: int, event: Event) -> None:
        """Let an event reach a node, when it can take it."""
        if not node.up or node.life != life:
            return
        if node.held_until > self.now or node.inbox:
            node.inbox.append((self._step, (node, event)))
            return
        self._step(node, event)

    def _drain(self, node: SimNode, life: int) -> None:
        """Give a node the next event of its inbox, if it can take it."""
        if not node.up or node.life != life or node.held_until > self.now:
            return
        while node.inbox and node.held_until <= self.now and node.life == life:
            act, arguments = node.inbox.popleft()
            act(*arguments)

    def _step(self, node: SimNode, event: Event) -> None:
        self.events += 1
        detail = event.frame if isinstance(event, FrameArrived) else b""
        self.log.note(self.now, node.index, type(event).__name__, detail)
        assert node.core is not None
        try:
            effects = node.core.step((event,), node.clock.moment(self.now))
        except Exception as error:  # noqa: BLE001  (whatever it is, it is ours)
            self._failed(node, error)
            return
        if node.lag:
            self.hold(node, self.now + node.lag)
        self._perform(node, effects)

    def _failed(self, node: SimNode, error: Exception) -> None:
        """Stop a node whose core or cell raised what it never may."""
        if not self.forgiven(node):
            raise NodeFailed(node.index, error) from error
        if node.up:
            self.crash(node)

    def _spoke(self, node: SimNode, event: CellEvent) -> None:
        """Take what a cell says to its core; they share a process, so it comes at once."""
        if self.witness is not None:
            for each in seen(event):
                self.witness.ran(node, each)
        self._step(node, event)

    def _perform(self, node: SimNode, effects: list[Effect]) -> None:
        life, cells = node.life, node.cells
        assert cells is not None
        for effect in effects:
            match effect:
                case Write():
                    self._write(node, effect)
                case Send():
                    self._send(node, effect)
                case Read():
                    self.time.after(_READ, self._read, node, life, effect)
                case VerifyBatch():
                    self._verify(node, effect)
                case Fold():
                    cells.fold(effect)
                case Release(topic, serial):
                    self._release(node, topic, serial)
                case Answer() | Errands() | Progress() | Throttle():
                    node.pass_on(effect)
                case Dial():
                    self._dial(node, effect)
                case Hangup(link, why):
                    wire = self.network.wire(node.index, link)
                    if wire is not None:
                        self.break_wire(wire, _CLOSE, why)
                case AwaitRoom(link):
                    self._await_room(node, link)
                case Report():
                    self._report(node, effect)
                case Stop():
                    self._stopped(node)
                case _:
                    assert_never(effect)
            if node.life != life:
                return  # power was lost in the middle of it
        self.poke(node)

    def _stopped(self, node: SimNode) -> None:
        """End a life that its core has ended; who watches over it begins the next one."""
        self.crash(node, kept=node.disk.pending)
        self.time.after(_BEGIN_ANEW, self._begin_anew, node, node.life)

    def _begin_anew(self, node: SimNode, life: int) -> None:
        if not node.up and node.life == life:
            self.start(node)

    def poke(self, node: SimNode) -> None:
        """Plan what a node has to do next: work of its cells, its core's deadline."""
        core, cells = node.core, node.cells
        assert core is not None
        assert cells is not None
        if not node.working and cells.busy:
            node.working = True
            self.time.after(_TURN, self._work, node, node.life)
        deadline = core.deadline
        if deadline is not None:
            due = node.clock.when(deadline)
            if node.woken_at is None or due < node.woken_at:
                node.woken_at = due
                self.time.at(due, self._wake, node, node.life)

    def _work(self, node: SimNode, life: int) -> None:
        """Let one cell do one item of work."""
        if not node.up or node.life != life:
            return
        if node.held_until > self.now:
            node.inbox.append((self._work, (node, life)))
            return
        node.working = False
        cells = node.cells
        assert cells is not None
        ready = cells.ready()
        if not ready:
            return
        chosen = ready[0]
        if len(ready) > 1:
            chosen = ready[self.keyed.below(len(ready), "cell", node.index, self.events)]
        try:
            what = cells.run(chosen)
        except NodeFailed:
            raise
        except Exception as error:  # noqa: BLE001  (whatever it is, it is ours)
            self._failed(node, error)
            return
        if node.life != life:
            return
        self.events += 1
        self.log.note(self.now, node.index, what, chosen)
        if what == "fold":
            self._fire("fold", node)
        else:
            self.turns += 1
            self._fire("turn", node)
        if node.life == life:
            self.poke(node)

    def later(self, node: SimNode, life: int, wait: Duration, act: Callable[[], None]) -> None:
        """Do something to a life of a node after a while by its clock."""
        when = node.clock.when(after(self.moment(node).instant, wait))
        self.time.at(when, self._do_later, node, life, act)

    def _do_later(self, node: SimNode, life: int, act: Callable[[], None]) -> None:
        if not node.up or node.life != life:
            return
        if node.held_until > self.now:
            node.inbox.append((self._do_later, (node, life, act)))
            return
        act()
        self.poke(node)

    def _wake(self, node: SimNode, life: int) -> None:
        if not node.up or node.life != life or node.woken_at is None:
            return
        if node.held_until > self.now:
            node.inbox.append((self._wake, (node, life)))
            return
        if node.woken_at > self.now:
            return
        node.woken_at = None
        assert node.core is not None
        deadline = node.core.deadline
        if deadline is not None and deadline <= node.clock.moment(self.now).instant:
            self._step(node, Woke())
        else:
            self.poke(node)

    def _release(self, node: SimNode, topic: Topic, serial: int) -> None:
        assert node.cells is not None
        if self.witness is not None:
            self.witness.released(node, topic, serial)
        if node.cells.release(topic, serial):
            self._fire("ack", node)

    def _report(self, node: SimNode, report: Report) -> None:
        if len(node.reports) < _REPORTS_MAX:
            node.reports.append(report)
        if self.witness is not None:
            self.witness.reported(node, report)

    # Disks

    def _write(self, node: SimNode, write: Write) -> None:
        node.disk.write(write)
        node.syncs += 1
        spread = self.keyed.below(_SYNC_SPREAD, "sync", node.index, node.syncs)
        syncing = (_SYNC_MIN + spread) * node.disk.slowness
        node.synced_at = max(node.synced_at, self.now) + syncing
        self.time.at(node.synced_at, self._durable, node, node.life)
        self._fire("write", node)

    def _durable(self, node: SimNode, life: int) -> None:
        if not node.up or node.life != life or not node.disk.pending:
            return
        if node.disk.full:
            failed = node.disk.fail()
            self._deliver(node, life, WriteFailed(failed.token, "no space left"))
            self._fire("full", node)
            return
        token = node.sync().token
        self._fire("fsync", node)
        self._deliver(node, life, Stored(token))

    def _verify(self, node: SimNode, batch: VerifyBatch) -> None:
        """Check signatures, and answer in an order of the seed's own."""
        valid = tuple([self.crypto.verify(*claim) for claim in batch.claims])
        spread = self.keyed.below(2 * _VERIFY_SPREAD, "verify", node.index, batch.token)
        wait = Duration(max(0, spread - _VERIFY_SPREAD))
        self.time.after(wait, self._deliver, node, node.life, Verified(batch.token, valid))

    def _read(self, node: SimNode, life: int, read: Read) -> None:
        if node.up and node.life == life:
            self._deliver(node, life, ReadDone(read.token, node.disk.read(read)))
