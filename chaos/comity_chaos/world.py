"""The world: real node cores in simulated time, on simulated disks and links.

Owns: the heap of what happens next, the lives of the nodes, and the trace. May not know: what
is being tested (`comity_chaos.sim`), real time, entropy or files. Everything that can happen
is an entry of one heap, ordered by time and then by the order of its making; all randomness
is keyed. So a seed is a run: same seed, same trace, in any process.
Source: CHAOS 'Architecture', World.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable
from typing import Final, assert_never

from comity.actor.fold import Fold
from comity.base.clock import MILLISECOND, Duration, Instant, Moment, Wall
from comity.base.ids import LinkId, Token
from comity.crypto.port import Crypto
from comity.node.commands import Command
from comity.node.core import Core, Event, Local, Ports
from comity.node.effects import (
    Answer,
    AwaitRoom,
    Dial,
    Effect,
    Hangup,
    Read,
    Release,
    Report,
    Send,
    Write,
)
from comity.node.events import (
    FrameArrived,
    LinkDown,
    LinkDrained,
    LinkUp,
    ReadDone,
    Stored,
    Woke,
)
from comity.wire.records import Codec
from comity_chaos.cells import Cells
from comity_chaos.disk import Disk
from comity_chaos.keyed import Keyed, SimEntropy
from comity_chaos.network import NOTICE, Network, Wire

__all__ = ["SimNode", "World"]

_EPOCH: Final = Wall(1_700_000_000_000)
"""Wall clock at the beginning of every world: a date in the past, the same for all."""

_SYNC_MIN: Final = Duration(200_000)
_SYNC_SPREAD: Final = 800_000
"""A sync of a disk takes 0.2 to 1 ms, keyed."""

_REPORTS_MAX: Final = 10_000


class SimNode:
    """One node: what survives a crash, and the life it is living."""

    __slots__ = ("answers", "cells", "core", "disk", "inbound", "index", "life", "local",
                 "reports", "skew", "synced_at", "syncs", "up", "woken_at")  # fmt: skip

    def __init__(self, index: int, local: Local) -> None:
        """Start switched off, with an empty disk."""
        self.index = index
        self.local = local
        self.disk = Disk()
        self.life = 0
        self.up = False
        self.skew = 0
        self.answers: dict[Token, object] = {}
        self.reports: list[Report] = []
        self.switch_off()

    def switch_off(self) -> None:
        """Lose everything that is not on the disk."""
        self.core: Core | None = None
        self.cells: Cells | None = None
        self.inbound = 1
        self.synced_at = Instant(0)
        self.syncs = 0
        self.woken_at: Instant | None = None

    def running(self) -> tuple[Core, Cells]:
        """Return the core and cells of a node that is up."""
        assert self.core is not None
        assert self.cells is not None
        return self.core, self.cells


class World:
    """All nodes of one run."""

    def __init__(self, seed: int, crypto: Crypto, codec: Codec) -> None:
        """Make an empty world. Cost of a run: some 20 us an event with symbolic crypto."""
        self.seed = seed
        self.keyed = Keyed(seed)
        self.network = Network(self.keyed)
        self.nodes: list[SimNode] = []
        self.now = Instant(0)
        self.events = 0
        self._crypto = crypto
        self._codec = codec
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._made = 0
        self._tokens = 0
        self._trace = hashlib.blake2b(digest_size=16)

    # Nodes

    def add(self, local: Local | None = None) -> SimNode:
        """Add a node and switch it on."""
        node = SimNode(len(self.nodes), Local() if local is None else local)
        self.nodes.append(node)
        self.start(node)
        return node

    def start(self, node: SimNode) -> None:
        """Switch a node on: it finds what is durable on its disk."""
        assert not node.up
        node.up = True
        node.life += 1
        entropy = SimEntropy(self.seed, node.index, node.life)
        node.core = Core(Ports(self._crypto, self._codec, entropy), node.local)
        node.cells = Cells(
            emit=lambda event: self._step(node, event),
            on_failure=lambda topic, error: node.reports.append(
                Report("handler failed", topic, detail=repr(error))
            ),
        )
        self._note("start", node.index, b"")
        effects = node.core.start(node.disk.rows(), self.moment(node))
        self._perform(node, effects)

    def crash(self, node: SimNode) -> None:
        """Cut a node's power: a keyed prefix of what was on its way reaches the disk."""
        assert node.up
        pending = node.disk.pending
        kept = self.keyed.below(pending + 1, "kept", node.index, node.life, self.events)
        node.disk.crash(kept)
        node.up = False
        self._note("crash", node.index, bytes((kept & 0xFF,)))
        for wire in self.network.wires_of(node.index):
            self._break(wire, NOTICE, "the other side is gone")
        node.switch_off()

    def command(self, node: SimNode, make: Callable[[Token], Command]) -> Token:
        """Give a node a command; its answer comes to `node.answers`."""
        self._tokens += 1
        token = Token(self._tokens)
        self._step(node, make(token))
        return token

    def moment(self, node: SimNode) -> Moment:
        """Return the present as a node sees it."""
        return Moment(self.now, Wall(_EPOCH + self.now // MILLISECOND + node.skew))

    # Time

    def at(self, when: Instant, action: Callable[[], None]) -> None:
        """Do something at an instant, after all that was planned for it before."""
        self._made += 1
        heapq.heappush(self._heap, (max(when, self.now), self._made, action))

    def after(self, wait: Duration, action: Callable[[], None]) -> None:
        """Do something after a wait."""
        self.at(Instant(self.now + wait), action)

    def run_one(self) -> bool:
        """Let the next thing happen; False if nothing ever will."""
        if not self._heap:
            return False
        when, _, action = heapq.heappop(self._heap)
        self.now = Instant(when)
        action()
        return True

    def run_for(self, wait: Duration) -> None:
        """Let time pass."""
        end = self.now + wait
        while self._heap and self._heap[0][0] <= end:
            self.run_one()
        self.now = Instant(end)

    @property
    def trace(self) -> str:
        """The digest of everything that has happened: equal runs have equal ones."""
        return self._trace.hexdigest()

    # Links

    def cut(self, groups: list[list[int]]) -> None:
        """Let nothing pass between different groups of nodes."""
        self._note("cut", 0, repr(groups).encode())
        for wire in self.network.cut(groups):
            self._break(wire, NOTICE, "no answer")

    def heal(self) -> None:
        """Let everything pass again."""
        self._note("heal", 0, b"")
        self.network.heal()

    def _dial(self, node: SimNode, dial: Dial) -> None:
        target = self._node_at(dial.address)
        life = node.life

        def arrive() -> None:
            if not (node.up and node.life == life):
                return
            if target is None or not target.up:
                self._step(node, LinkDown(dial.link, "connection refused"))
            elif not self.network.reachable(node.index, target.index):
                self._step(node, LinkDown(dial.link, "no answer"))
            else:
                self._connect(node, target, dial)

        self.after(Duration(2 * MILLISECOND), arrive)

    def _connect(self, node: SimNode, target: SimNode, dial: Dial) -> None:
        inbound = LinkId(target.inbound)
        target.inbound += 2
        self.network.connect(
            (node.index, node.life, dial.link), (target.index, target.life, inbound)
        )
        self._step(target, LinkUp(inbound, inbound=True, address=f"node-{node.index}"))
        self._step(node, LinkUp(dial.link, inbound=False, address=dial.address))

    def _send(self, node: SimNode, send: Send) -> None:
        wire = self.network.wire(node.index, send.link)
        if wire is None:
            return
        side = 1 if wire.ends[0][0] == node.index and wire.ends[0][2] == send.link else 0
        index, life, link = wire.ends[side]
        target = self.nodes[index]

        def arrive() -> None:
            if wire.open and target.up and target.life == life:
                self._step(target, FrameArrived(link, send.frame))

        self.at(self.network.arrival(wire, node.index, len(send.frame), self.now), arrive)

    def _await_room(self, node: SimNode, link: LinkId) -> None:
        """Tell a node that a link has room once its last frame has arrived."""
        wire = self.network.wire(node.index, link)
        life = node.life
        if wire is None:
            return

        def drained() -> None:
            if wire.open and node.up and node.life == life:
                self._step(node, LinkDrained(link))

        side = 0 if (wire.ends[0][0], wire.ends[0][2]) == (node.index, link) else 1
        self.at(Instant(max(self.now, wire.clear_at[side])), drained)

    def _break(self, wire: Wire, wait: Duration, why: str) -> None:
        """End a link; both sides notice after a wait, unless they are gone by then."""
        self.network.close(wire)
        for index, life, link in wire.ends:
            self._notice(self.nodes[index], life, LinkDown(link, why), wait)

    def _notice(self, node: SimNode, life: int, event: LinkDown, wait: Duration) -> None:
        def notice() -> None:
            if node.up and node.life == life:
                self._step(node, event)

        self.after(wait, notice)

    def _node_at(self, address: str) -> SimNode | None:
        index = int(address.removeprefix("node-"))
        return self.nodes[index] if index < len(self.nodes) else None

    # Steps

    def _step(self, node: SimNode, event: Event) -> None:
        core, _ = node.running()
        self.events += 1
        detail = event.frame if isinstance(event, FrameArrived) else b""
        self._note(type(event).__name__, node.index, detail)
        self._perform(node, core.step((event,), self.moment(node)))

    def _perform(self, node: SimNode, effects: list[Effect]) -> None:
        _, cells = node.running()
        for effect in effects:
            match effect:
                case Write():
                    self._write(node, effect)
                case Read():
                    self._read(node, effect)
                case Dial():
                    self._dial(node, effect)
                case Send():
                    self._send(node, effect)
                case AwaitRoom(link):
                    self._await_room(node, link)
                case Hangup(link, why):
                    wire = self.network.wire(node.index, link)
                    if wire is not None:
                        self._break(wire, Duration(20 * MILLISECOND), why)
                case Fold():
                    cells.fold(effect)
                case Release(topic, serial):
                    cells.release(topic, serial)
                case Answer(token, result):
                    node.answers[token] = result
                case Report():
                    if len(node.reports) < _REPORTS_MAX:
                        node.reports.append(effect)
                case _:
                    assert_never(effect)
        self.poke(node)

    def poke(self, node: SimNode) -> None:
        """Plan what a node has to do next: work of its cells, its core's deadline."""
        core, cells = node.running()
        life = node.life
        if cells.ready():
            self.after(Duration(10_000), lambda: self._work(node, life))
        deadline = core.deadline
        if deadline is not None and (node.woken_at is None or deadline < node.woken_at):
            node.woken_at = deadline
            self.at(deadline, lambda: self._wake(node, life))

    def _work(self, node: SimNode, life: int) -> None:
        """Let one cell do one item of work."""
        if not (node.up and node.life == life):
            return
        _, cells = node.running()
        ready = cells.ready()
        if ready:
            chosen = self.keyed.below(len(ready), "cell", node.index, self.events)
            what = cells.run(ready[chosen])
            self.events += 1
            self._note(what, node.index, ready[chosen])
            self.poke(node)

    def _wake(self, node: SimNode, life: int) -> None:
        if node.up and node.life == life:
            node.woken_at = None
            core, _ = node.running()
            if core.deadline is not None and core.deadline <= self.now:
                self._step(node, Woke())
            else:
                self.poke(node)

    def _write(self, node: SimNode, write: Write) -> None:
        node.disk.write(write)
        node.syncs += 1
        spread = self.keyed.below(_SYNC_SPREAD, "sync", node.index, node.life, node.syncs)
        node.synced_at = Instant(max(node.synced_at, self.now) + _SYNC_MIN + spread)
        life = node.life

        def durable() -> None:
            if node.up and node.life == life:
                self._step(node, Stored(node.disk.sync().token))

        self.at(node.synced_at, durable)

    def _read(self, node: SimNode, read: Read) -> None:
        life = node.life

        def arrived() -> None:
            if node.up and node.life == life:
                self._step(node, ReadDone(read.token, node.disk.read(read)))

        self.after(Duration(50_000), arrived)

    def _note(self, what: str, node: int, detail: bytes) -> None:
        """Add to the trace."""
        line = f"{self.now} {node} {what} ".encode()
        self._trace.update(line + detail)

    def wait_for(self, ready: Callable[[], bool], limit: Duration) -> bool:
        """Let time pass until something is so; False if it is not within the limit."""
        end = self.now + limit
        while not ready():
            if not self._heap or self._heap[0][0] > end:
                return False
            self.run_one()
        return True
