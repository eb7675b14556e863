"""Faults of the network: late, lost, cut off, altered on the way.

Owns: what is done to paths and links. May not know: what frames mean. A link is a stream, so
a lost frame is a lost link; frames that vanish on an open one are a silent path.
Source: CHAOS 'Faults', Network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from comity.base.clock import MILLISECOND, SECOND, Duration
from comity_chaos.faults.kind import Bit, FaultKind, Model, Stage, Undo, undone
from comity_chaos.network import NOTICE, Path, Wire
from comity_chaos.node import SimNode
from comity_chaos.plan import Fault

__all__ = ["NETWORK_FAULTS"]

_AT_ONCE: Final = Duration(5 * MILLISECOND)
_LASTS: Final = (500, 2_000, 5_000, 15_000)
_SENDING: Final = ("send", "ack", "fsync", "turn")


def _others(stage: Stage, node: SimNode) -> list[int]:
    return [each.index for each in stage.world.nodes if each is not node]


def _cut(stage: Stage, pairs: Sequence[tuple[int, int]], bit: Bit) -> Undo:
    """Cut these directions until undone; it bit if a link broke, or a call got no answer."""
    if stage.world.cut_pairs(pairs):
        bit()
    left = list(pairs)
    refused = stage.world.network.refused
    before = sum(refused.get(pair, 0) for pair in pairs)

    def undo() -> None:
        if sum(refused.get(pair, 0) for pair in left) > before:
            bit()
        stage.world.network.mend(left)
        left.clear()

    return undo


def _partition(stage: Stage, fault: Fault, bit: Bit) -> Undo:
    side = list(fault.nodes)
    rest = [node.index for node in stage.world.nodes if node.index not in side]
    return _cut(stage, [p for a in side for b in rest for p in ((a, b), (b, a))], bit)


def _isolate(stage: Stage, fault: Fault, bit: Bit) -> Undo:
    node = stage.node(fault)
    pairs = [p for b in _others(stage, node) for p in ((node.index, b), (b, node.index))]
    return _cut(stage, pairs, bit)


def _one_way(stage: Stage, fault: Fault, bit: Bit) -> Undo:
    """From a nothing reaches b: b hears nothing and gives up, a's frames vanish."""
    a, b = fault.nodes[:2]
    return _silence(stage, [(a, b)], bit, notice=True)


def _half_open(stage: Stage, fault: Fault, bit: Bit) -> Undo:
    """The links between a and b end, and only b is told."""
    a, b = fault.nodes[:2]
    wires = stage.world.network.wires_between(a, b)
    for wire in wires:
        stage.world.break_wire(wire, _AT_ONCE, "reset", unaware=a)
        bit()

    def undo() -> None:
        _tell_unaware(stage, wires, a)

    return undo


def _tell_unaware(stage: Stage, wires: list[Wire], node: int) -> None:
    """Let a node learn at last that these links of its own have ended."""
    for wire in wires:
        index, life, link = wire.ends[0 if wire.ends[0][0] == node else 1]
        stage.world.tell_down(stage.world.nodes[index], life, link, "no answer", _AT_ONCE)
    wires.clear()


def _silence(stage: Stage, pairs: Sequence[tuple[int, int]], bit: Bit, *, notice: bool) -> Undo:
    network = stage.world.network
    paths = [network.path(*pair) for pair in pairs]
    for path in paths:
        path.silent = path.deaf = True
    before = sum(path.vanished + path.unanswered for path in paths)
    wires = [wire for pair in pairs for wire in network.wires_between(*pair)]
    unaware: list[Wire] = []

    def undo() -> None:
        for path in paths:
            path.silent = path.deaf = False
        if sum(path.vanished + path.unanswered for path in paths) > before:
            bit()
        for wire in wires:
            if wire.open:  # frames are missing in the stream: it cannot go on
                stage.world.break_wire(wire, _AT_ONCE, "out of step")
        _tell_unaware(stage, unaware, pairs[0][0])

    def give_up() -> None:
        for wire in wires:
            if wire.open and paths[0].silent:
                stage.world.break_wire(wire, _AT_ONCE, "no answer", unaware=pairs[0][0])
                unaware.append(wire)
                bit()

    if notice:
        stage.world.time.after(2 * NOTICE, give_up)
    return undo


def _silent(stage: Stage, fault: Fault, bit: Bit) -> Undo:
    a, b = fault.nodes[:2]
    return _silence(stage, [(a, b), (b, a)], bit, notice=False)


def _flap(stage: Stage, fault: Fault, bit: Bit) -> Undo:
    """Cut a off and let it back, over and over; amount: milliseconds of each."""
    node = stage.node(fault)
    pairs = [p for b in _others(stage, node) for p in ((node.index, b), (b, node.index))]
    state: list[Undo | None] = [None]
    over: list[bool] = []

    def turn() -> None:
        if over:
            return
        if state[0] is None:
            state[0] = _cut(stage, pairs, bit)
        else:
            state[0]()
            state[0] = None
        stage.world.time.after(max(fault.amount, 1) * MILLISECOND, turn)

    def undo() -> None:
        over.append(True)
        if state[0] is not None:
            state[0]()
            state[0] = None

    turn()
    return undo


def _reset(stage: Stage, fault: Fault, bit: Bit) -> Undo:
    """Every link of a ends at once; what was on its way is lost."""
    for wire in stage.world.network.wires_of(fault.nodes[0]):
        stage.world.break_wire(wire, _AT_ONCE, "reset")
        bit()
    return undone


def _worsen(stage: Stage, fault: Fault, bit: Bit, *, delay: int, rate: int) -> Undo:
    node = stage.node(fault)
    paths: list[Path] = []
    for other in _others(stage, node):
        for pair in ((node.index, other), (other, node.index)):
            path = stage.world.network.path(*pair)
            path.delay, path.rate = path.delay + delay, rate or path.rate
            paths.append(path)
    before = sum(path.delayed for path in paths)

    def undo() -> None:
        for path in paths:
            path.delay = max(path.delay - delay, 0)
            path.rate = 0 if rate else path.rate
        if sum(path.delayed for path in paths) > before:
            bit()
        paths.clear()

    return undo


def _delay(stage: Stage, fault: Fault, bit: Bit) -> Undo:
    return _worsen(stage, fault, bit, delay=fault.amount * MILLISECOND, rate=0)


def _slow_link(stage: Stage, fault: Fault, bit: Bit) -> Undo:
    return _worsen(stage, fault, bit, delay=0, rate=max(fault.amount, 1))


def _deaf(stage: Stage, fault: Fault, bit: Bit) -> Undo:
    """Calls of a get no answer."""
    node = stage.node(fault)
    paths = [stage.world.network.path(node.index, other) for other in _others(stage, node)]
    for path in paths:
        path.deaf = True
    before = sum(path.unanswered for path in paths)

    def undo() -> None:
        for path in paths:
            path.deaf = False
        if sum(path.unanswered for path in paths) > before:
            bit()
        paths.clear()

    return undo


def _address(stage: Stage, fault: Fault, bit: Bit) -> Undo:
    """Node a has another address; at the old one nobody answers."""
    node = stage.node(fault)
    old = node.address
    stage.world.move(node, f"node-{node.index}-at-{stage.world.now // SECOND}")
    for wire in stage.world.network.wires_of(node.index):
        stage.world.break_wire(wire, NOTICE, "the address has changed")
        bit()
    if node.up:
        stage.world.started(node)
    back = [old]

    def undo() -> None:
        while back:
            stage.world.move(node, back.pop())
            if node.up:
                stage.world.started(node)

    return undo


NETWORK_FAULTS: Final = (
    FaultKind(
        name="partition",
        model=Model.OMISSION,
        work=_partition,
        tells="{all} cannot reach the others",
        nodes=2,
        fewer=True,
        lasts=_LASTS,
        events=_SENDING,
    ),
    FaultKind(
        name="isolate",
        model=Model.OMISSION,
        work=_isolate,
        tells="{a} can reach nobody",
        lasts=_LASTS,
        events=_SENDING,
    ),
    FaultKind(
        name="one-way",
        model=Model.OMISSION,
        work=_one_way,
        tells="nothing from {a} reaches {b}",
        nodes=2,
        lasts=_LASTS,
        events=_SENDING,
    ),
    FaultKind(
        name="silence",
        model=Model.OMISSION,
        work=_silent,
        tells="frames between {a} and {b} vanish, and their link looks alive",
        nodes=2,
        lasts=_LASTS,
        events=_SENDING,
    ),
    FaultKind(
        name="half-open",
        model=Model.OMISSION,
        work=_half_open,
        tells="the link between {a} and {b} ends, and {a} does not notice",
        nodes=2,
        lasts=_LASTS,
        events=_SENDING,
    ),
    FaultKind(
        name="flap",
        model=Model.OMISSION,
        work=_flap,
        tells="{a} is cut off and let back, again and again, every {amount} ms",
        amounts=(2_000, 500, 100),
        lasts=(2_000, 5_000),
    ),
    FaultKind(
        name="reset",
        model=Model.OMISSION,
        work=_reset,
        tells="all links of {a} end, with what was on its way",
        events=("send", "receive", "fsync", "link"),
        often=True,
    ),
    FaultKind(
        name="delay",
        model=Model.OMISSION,
        work=_delay,
        tells="all that {a} sends or gets is {amount} ms late",
        amounts=(50, 400, 3_000),
        lasts=_LASTS,
    ),
    FaultKind(
        name="slow-link",
        model=Model.OMISSION,
        work=_slow_link,
        tells="the links of {a} carry {amount} bytes a second",
        amounts=(100_000, 10_000, 2_000),
        lasts=_LASTS,
    ),
    FaultKind(
        name="no-answer",
        model=Model.OMISSION,
        work=_deaf,
        tells="calls of {a} get no answer",
        lasts=_LASTS,
        events=("dial", "link"),
    ),
    FaultKind(
        name="new-address",
        model=Model.OMISSION,
        work=_address,
        tells="{a} gets another address",
        lasts=_LASTS,
        events=_SENDING,
    ),
)
"""What a network that nobody attacks can do."""
