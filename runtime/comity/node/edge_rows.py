"""An edge of a node, both directions, and how it is found again after a start.

Owns: what is held of one other device, and its rows. May not know: what is done with it
(`node.delivery`).

    EDGE    s | device             next number varint | hash: written when nothing waits
            r | device             `ReceiverRow`
            o | device | number    an ask whose handler is open
    OUTBOX  device | first         an envelope
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from comity.actor.fold import Call
from comity.base.canonical import Reader
from comity.base.clock import Instant
from comity.base.errors import Rejected
from comity.base.ids import ID_BYTES, DeviceId, Token, Topic
from comity.node.effects import Table
from comity.node.rows import decode_number
from comity.node.step import Rows
from comity.protocol.edge import Enclosed, Receiver, ReceiverRow, Sender
from comity.protocol.envelope import Letter, decode_envelope, envelope_hash

__all__ = ["Edge", "restore_edges"]


class Edge:
    """Both directions between this device and another.

    is_known: it may send here: it showed a grant, or this device wrote to it. pending: letters
    for the next envelope, and who waits for what becomes of them. asks, sends: who waits, by
    number. unqueued: sends not on the disk yet. durable: our letters up to here are. asleep:
    errands of actors that are not awake. open: asks whose handlers await something. cut_off:
    those that a crash ended. acknowledged: what may be said of their edge; told: what was.
    taken_there: up to where the other end has our letters. is_marked: the row is to be written;
    is_touched: with the next write. late: when it is, at the latest. gone: envelopes whose rows
    go then. mailed: what was said of their edge by any way, as far as we know; is_asked_again:
    their letters come again, so they may not have heard it. is_route_told: in this session.
    """

    __slots__ = (
        "acknowledged",
        "asks",
        "asleep",
        "cut_off",
        "device",
        "durable",
        "gone",
        "is_asked_again",
        "is_full",
        "is_known",
        "is_marked",
        "is_route_told",
        "is_touched",
        "late",
        "mailed",
        "open",
        "pending",
        "receiver",
        "sender",
        "sends",
        "taken_there",
        "told",
        "unqueued",
    )

    def __init__(
        self,
        device: DeviceId,
        sender: Sender | None = None,
        receiver: Receiver | None = None,
    ) -> None:
        """Begin, or go on from what the rows say."""
        self.device = device
        self.sender = sender or Sender()
        self.receiver = receiver or Receiver()
        self.is_known = sender is not None or receiver is not None
        self.pending: list[tuple[Letter, Token | None]] = []
        self.asks: dict[int, Token] = {}
        self.sends: deque[tuple[int, Token]] = deque()
        self.unqueued: deque[tuple[int, Token]] = deque()
        self.durable = self.sender.next_number - 1
        self.asleep: dict[Topic, list[tuple[int, Call, bytes]]] = {}
        self.open: dict[int, None] = {}
        self.cut_off: list[int] = []
        self.acknowledged = self.receiver.acknowledged
        self.told: tuple[int, int] = (0, 0)
        self.mailed = self.acknowledged
        self.is_asked_again = False
        self.is_route_told = False
        self.taken_there = 0
        self.is_full = False
        self.is_marked = False
        self.is_touched = False
        self.late: Instant | None = None
        self.gone: list[int] = []


def restore_edges(device: DeviceId, found: Mapping[Table, Rows]) -> dict[DeviceId, Edge]:
    """Rebuild all edges of a device from its rows."""
    senders: dict[DeviceId, Sender] = {}
    receivers: dict[DeviceId, Receiver] = {}
    cut_off: dict[DeviceId, list[int]] = {}
    for key, value in found.get(Table.EDGE, ()):
        kind, other = key[:1], DeviceId(key[1 : 1 + ID_BYTES])
        if kind == b"s":
            reader = Reader(value)
            senders[other] = Sender(reader.varint(), reader.rest())
        elif kind == b"r":
            receivers[other] = Receiver(ReceiverRow.decode(value))
        else:
            cut_off.setdefault(other, []).append(decode_number(key[1 + ID_BYTES :]))
    boxes: dict[DeviceId, list[bytes]] = {}
    for key, value in found.get(Table.OUTBOX, ()):
        boxes.setdefault(DeviceId(key[:ID_BYTES]), []).append(value)
    for other, box in boxes.items():
        senders[other] = _sender(device, other, box)
    edges = {
        other: Edge(other, senders.get(other), receivers.get(other))
        for other in sorted({**senders, **receivers})
    }
    for other, numbers in cut_off.items():
        edges[other].cut_off = numbers
    return edges


def _sender(device: DeviceId, other: DeviceId, box: list[bytes]) -> Sender:
    enclosed: list[Enclosed] = []
    for data in box:
        envelope = decode_envelope(data)
        assert not isinstance(envelope, Rejected), f"a stored envelope is refused: {envelope}"
        digest = envelope_hash(device, other, data)
        enclosed.append(Enclosed(envelope.first, envelope.last, data, digest))
    sender = Sender(enclosed[-1].last + 1, enclosed[-1].hash)
    for each in enclosed:
        sender.restore(each)
    return sender
