"""Delivery: messages to actors that are elsewhere, and from elsewhere to actors here.

Owns: the edges of a node, its outbox, and what is promised about both. May not know: sessions
(`node.links`), turns (`actor.errand`), how a message is written (`actor.parcel`).

    Post --one envelope a step and edge, durable--> outbox --link open--> Mail
         --Acknowledge--> out of the outbox
    Post --no link to the device--> left at its relays (`node.mailing`)
    Mail --next in its chain--> grant found, its actor awake --> Errands --> Handled
         --its effect, its mark and its reply are one write--> Acknowledge, Mail with the reply
         --its actor asleep--> kept, unacknowledged, until it wakes

What waits when a step ends goes into one envelope: the busier, the larger; nothing waits for a
clock. The reply to an ask is a letter of the opposite edge, so it is stored, sent again and
taken once by the same means, and a request that comes again finds it there.
Of a handler that awaits, the mark is written with its first stretch, and that it is open
beside it: after a crash its asker gets `INTERRUPTED`.
Source: PROTOCOL section 7; ARCHITECTURE 'The way of a message (hold a ref only)'; decision 27.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from comity.actor.fold import Call, Errands, Handled, Returned
from comity.base.canonical import varint
from comity.base.clock import MILLISECOND, Duration, Instant, after, earliest
from comity.base.endings import Ending
from comity.base.errors import Reason, Rejected, UsageError
from comity.base.ids import DeviceId, Topic
from comity.base.limits import (
    ENVELOPE_BYTES_MAX,
    ENVELOPE_COUNT_MAX,
    OUTBOX_BYTES_MAX,
    OUTBOX_COUNT_MAX,
)
from comity.node.beats import Phase
from comity.node.commands import GiveLink, LettersStatus
from comity.node.dialer import Purpose
from comity.node.edge_rows import Edge, restore_edges
from comity.node.effects import Progress, Stage, Table, Throttle
from comity.node.events import Post
from comity.node.grants import Grants
from comity.node.links import Link, Links
from comity.node.mailing import Mailing
from comity.node.replica import Replica
from comity.node.rows import edge_key, outbox_key
from comity.node.step import Rows, Step
from comity.protocol.capability import RefLink, link_name
from comity.protocol.edge import Enclosed
from comity.protocol.envelope import (
    CallHead,
    Envelope,
    Letter,
    ReplyHead,
    decode_envelope,
    encode_envelope,
    envelope_hash,
    letter_size,
)
from comity.wire.records import Acknowledge, Mail, Refusal

__all__ = ["Delivery"]

_HEADROOM = 64
"""Bytes of an envelope beside its letters."""

_LATE = Duration(100 * MILLISECOND)
"""What need not be durable now, and is with the next write, waits so long for one: replies that
were given to who asked, and what was acknowledged. After a crash both just come again."""


class Delivery:
    """All edges of one node."""

    __slots__ = (
        "_batches",
        "_calls",
        "_device",
        "_dirty",
        "_edges",
        "_entropy",
        "_links",
        "_replica",
        "grants",
        "mailing",
    )

    def __init__(
        self,
        device: DeviceId,
        links: Links,
        replica: Callable[[Topic], Replica | None],
        found: Mapping[Table, Rows],
        mailing: Mailing,
    ) -> None:
        """Take edges, outbox and grants from their rows; `recover` comes next."""
        entropy = mailing.entropy
        self._device = device
        self._links = links
        self._replica = replica
        self._entropy = entropy
        self.grants = Grants(entropy, found.get(Table.GRANT, ()))
        self._edges = restore_edges(device, found)
        self._dirty: dict[DeviceId, Edge] = {}
        self._batches: dict[tuple[Topic, DeviceId], list[tuple[int, Call, bytes]]] = {}
        self._calls: tuple[CallHead, Call] | None = None
        self.mailing = mailing
        mailing.begin(self._edges, self)

    @property
    def deadline(self) -> Instant | None:
        """When `tick` is due."""
        due = self.mailing.deadline
        for edge in self._edges.values():
            due = earliest(due, edge.receiver.deadline)
            due = earliest(due, edge.late)
            if self._links.to(edge.device) is not None:
                due = earliest(due, edge.sender.deadline)
        return due

    def recover(self, step: Step) -> None:
        """Tell the askers of handlers that a crash cut off."""
        for edge in list(self._edges.values()):
            for number in edge.cut_off:
                self._reply(edge, number, Ending.INTERRUPTED, varint(1))
                step.drop(Table.EDGE, edge_key(b"o", edge.device, number))
            edge.cut_off.clear()
            self.mailing.attend(edge, step)

    def check(self) -> None:
        """Assert the invariants of every edge."""
        for edge in self._edges.values():
            edge.sender.check()
            edge.receiver.check()

    def waiting(self, device: DeviceId) -> int:
        """Return how many letters to a device are not acknowledged."""
        edge = self._edges.get(device)
        return 0 if edge is None else edge.sender.count + len(edge.pending)

    def describe(self) -> tuple[LettersStatus, ...]:
        """Return for whom letters wait."""
        return tuple(
            LettersStatus(device, count, self.mailing.relays_with(device))
            for device in self._edges
            if (count := self.waiting(device))
        )

    def _edge(self, device: DeviceId) -> Edge:
        edge = self._edges.get(device)
        if edge is None:
            edge = self._edges[device] = Edge(device)
        return edge

    def give(self, command: GiveLink, address: str, step: Step) -> RefLink | UsageError:
        """Give a link to an actor that is held here."""
        secret = self.grants.give(step, command.topic, command.methods)
        if isinstance(secret, UsageError):
            return secret
        prekey, relays = self.mailing.own.give(link_name(secret), step)
        addresses = (address,) if address else ()
        return RefLink(self._device, command.topic, secret, addresses, prekey, relays)

    def take_back(self, grant: bytes, step: Step) -> None:
        """Take a link to an actor back, and its mailbox."""
        self.grants.revoke(step, grant)
        self.mailing.own.take_back(link_name(grant), step)

    def _know(self, edge: Edge, step: Step) -> None:
        """Let a device send here from now on; there is a mailbox for it."""
        if not edge.is_known:
            edge.is_known = True
            self.mailing.own.meet(edge.device, step)

    def _is_awake(self, topic: Topic) -> bool:
        replica = self._replica(topic)
        return replica is not None and replica.beats.phase is not Phase.ASLEEP

    # What leaves

    def post(self, event: Post, step: Step) -> None:
        """Take messages for a device into the next envelope."""
        if not event.letters:
            return
        edge = self._edge(event.device)
        self._know(edge, step)
        edge.pending += event.letters
        self._dirty[edge.device] = edge

    def _reply(self, edge: Edge, to: int, ending: Ending, body: bytes) -> None:
        edge.pending.append(((ReplyHead(to, ending), body), None))
        self._dirty[edge.device] = edge

    def finish(self, step: Step) -> None:
        """Enclose what waits, write down what was handled, hand out what came."""
        for edge in self._dirty.values():
            self._enclose(edge, step)
            if edge.is_marked:
                edge.late = step.instant
        self._dirty.clear()
        for edge in self._edges.values():
            due = edge.late
            if due is not None and (step.writes or due <= step.instant):
                self._write_down(edge, step)
        for (topic, sender), items in self._batches.items():
            step.act(Errands(topic, sender, tuple(items)))
        self._batches.clear()

    def _write_down(self, edge: Edge, step: Step) -> None:
        """Write what was handled, and let go of what was acknowledged, with the step."""
        edge.late = None
        for first in edge.gone:
            step.drop(Table.OUTBOX, outbox_key(edge.device, first))
        if edge.gone and not edge.sender.count:
            row = varint(edge.sender.next_number) + edge.sender.last_hash
            step.put(Table.EDGE, edge_key(b"s", edge.device), row)
        edge.gone.clear()
        if edge.is_marked or edge.is_touched:
            edge.is_marked = edge.is_touched = False
            row = edge.receiver.row().encode()
            step.put(Table.EDGE, edge_key(b"r", edge.device), row)
        self._plan_flush(edge, step)

    def _later(self, edge: Edge, step: Step) -> None:
        """Have something written with the next write: it costs nobody a wait of his own."""
        if edge.late is None:
            edge.late = after(step.instant, _LATE)

    def _enclose(self, edge: Edge, step: Step) -> None:
        pending, edge.pending = edge.pending, []
        at = 0
        while at < len(pending):
            size, start = _HEADROOM, at
            while at < len(pending) and at - start < ENVELOPE_COUNT_MAX:
                size += letter_size(pending[at][0])
                if size > ENVELOPE_BYTES_MAX and at > start:
                    break
                at += 1
            self._enclose_some(edge, [letter for letter, _ in pending[start:at]], step)
            number = edge.sender.next_number - (at - start)
            for (head, _), token in pending[start:at]:
                if token is not None and isinstance(head, CallHead):
                    if head.wants_reply:
                        edge.asks[number] = token
                    else:
                        edge.sends.append((number, token))
                        edge.unqueued.append((number, token))
                number += 1

    def _enclose_some(self, edge: Edge, letters: Sequence[Letter], step: Step) -> None:
        sender = edge.sender
        first = sender.next_number
        handled = edge.receiver.acknowledged
        edge.mailed = max(edge.mailed, handled)
        data = encode_envelope(first, sender.last_hash, handled, letters)
        digest = envelope_hash(self._device, edge.device, data)
        sender.enclosed(Enclosed(first, first + len(letters) - 1, data, digest))
        step.put(Table.OUTBOX, outbox_key(edge.device, first), data)
        edge.late = step.instant
        self._throttle(edge, step)

    def _throttle(self, edge: Edge, step: Step) -> None:
        """Have senders wait while much is not acknowledged, until half of it is."""
        count, size = edge.sender.count, edge.sender.size
        if not edge.is_full and (count > OUTBOX_COUNT_MAX or size > OUTBOX_BYTES_MAX):
            edge.is_full = True
        elif edge.is_full and 2 * count < OUTBOX_COUNT_MAX and 2 * size < OUTBOX_BYTES_MAX:
            edge.is_full = False
        else:
            return
        step.act(Throttle(edge.device, edge.is_full))

    def _plan_flush(self, edge: Edge, step: Step) -> None:
        """Send once durable: what is enclosed, and how far the other edge has come."""
        last, acknowledged = edge.sender.next_number - 1, edge.receiver.acknowledged
        step.when_durable(lambda later: self._flush(edge, last, acknowledged, later))

    def _flush(self, edge: Edge, last: int, acknowledged: int, step: Step) -> None:
        edge.durable = max(edge.durable, last)
        while edge.unqueued and edge.unqueued[0][0] <= last:
            step.act(Progress(edge.unqueued.popleft()[1], Stage.QUEUED))
        edge.acknowledged = max(edge.acknowledged, acknowledged)
        self._fly(edge, step)
        self._acknowledge(edge, step)
        self.mailing.own.handled(edge.device, edge.acknowledged, step)
        self.mailing.attend(edge, step)

    def _fly(self, edge: Edge, step: Step) -> None:
        link = self._links.to(edge.device)
        if link is None:
            return
        for data in edge.sender.fly(step.instant, up_to=edge.durable):
            self._links.say(link, Mail(data, self.mailing.told(edge, step)), step)

    def _acknowledge(self, edge: Edge, step: Step, *, again: bool = False) -> None:
        """Say how far the other edge has come, if that is news or asked for again."""
        link = self._links.to(edge.device)
        news = edge.acknowledged, edge.receiver.received
        if link is None or not edge.is_known or (news == edge.told and not again):
            return
        if news[0] == edge.told[0] and not again:
            return  # what has merely come is told when it matters
        edge.told = news
        edge.mailed = max(edge.mailed, news[0])
        self._links.say(link, Acknowledge(*news, self.mailing.told(edge, step)), step)

    # What comes

    def opened(self, link: Link, step: Step) -> None:
        """A session is open: send what waits for its other end."""
        assert link.peer is not None
        edge = self._edges.get(link.peer)
        if edge is not None:
            edge.told = (0, 0)
            edge.is_route_told = False
            edge.sender.grounded()
            self._fly(edge, step)
            self._acknowledge(edge, step)
            self.mailing.met(edge.device, step)
        if link.purpose in {Purpose.RELAY, Purpose.POST}:
            self.mailing.opened(link, step)

    def closed(self, link: Link, step: Step) -> None:
        """A session is gone."""
        edge = None if link.peer is None else self._edges.get(link.peer)
        if edge is not None and self._links.to(edge.device) is None:
            edge.sender.grounded()
            self.mailing.attend(edge, step)
        self.mailing.closed(link)

    def tick(self, step: Step) -> None:
        """Send again what is not acknowledged; tell of gaps that stand."""
        now = step.instant
        self.mailing.tick(step)
        for edge in self._edges.values():
            gap = edge.receiver.overdue(now)
            if gap is not None:
                self._alarm(edge, step, f"messages {gap[0]} to {gap[1]} have not come")
            due, link = edge.sender.deadline, self._links.to(edge.device)
            if due is None or due > now or link is None:
                continue
            share = int.from_bytes(self._entropy.draw(2), "big")
            jitter = (edge.sender.wait // 4 * share) >> 16
            for data in edge.sender.resend(now, jitter, received=edge.taken_there):
                self._links.say(link, Mail(data, self.mailing.told(edge, step)), step)

    def _alarm(self, edge: Edge, step: Step, detail: str) -> None:
        step.report(
            "edge broken",
            device=edge.device,
            detail=f"{detail}: somebody on the way drops them, or one of both devices goes on "
            "from an older copy of its store",
        )

    def heard_mail(self, link: Link, record: Mail, step: Step) -> Rejected | None:
        """An envelope came over a session."""
        assert link.peer is not None
        envelope = decode_envelope(record.envelope)
        if isinstance(envelope, Rejected):
            return envelope
        self.arrived(link.peer, record.envelope, envelope, step)
        edge = self._edges.get(link.peer)
        if edge is None or not edge.is_known:
            return None
        return self.mailing.learn(link.peer, record.route, step)

    def arrived(self, sender: DeviceId, data: bytes, envelope: Envelope, step: Step) -> bool:
        """An envelope of a device came, by whatever way.

        Tells whether its letters are handled, or will be: it is of an edge, and fits it.
        """
        edge = self._edges.get(sender)
        if edge is None or not edge.is_known:
            if not self._is_welcome(envelope):
                self._unwelcome(sender, step)
                return False
            edge = self._edge(sender)
            self._know(edge, step)
        digest = envelope_hash(sender, self._device, data)
        fresh = edge.receiver.arrive(envelope, digest, step.instant)
        if isinstance(fresh, Rejected):
            self._alarm(edge, step, fresh.detail)
            return False
        self._take_all(edge, fresh, step)
        self.acknowledged(edge, envelope.ack, step)
        if not fresh:
            self._acknowledge(edge, step, again=True)
            if envelope.last <= edge.acknowledged and self._links.to(sender) is None:
                edge.is_asked_again = True
                self.mailing.attend(edge, step)
        return True

    def _is_welcome(self, envelope: Envelope) -> bool:
        """Whether a stranger shows that somebody here gave it a link."""
        heads = [head for head, _ in envelope.letters]
        return all(
            isinstance(head, CallHead) and self.grants.find(head.grant) is not None
            for head in heads
        )

    def _unwelcome(self, sender: DeviceId, step: Step) -> None:
        detail = "it names no link that this device gave out"
        refusal = Rejected(Reason.NO_GRANT, detail)
        step.report("refused", device=sender, refusal=refusal)
        link = self._links.to(sender)
        if link is not None:
            self._links.say(link, Refusal(refusal.reason, detail), step)

    def heard_acknowledge(self, link: Link, record: Acknowledge, step: Step) -> Rejected | None:
        """The other end says how far our edge has come."""
        edge = None if link.peer is None else self._edges.get(link.peer)
        if edge is None:
            return Rejected(Reason.OUT_OF_TURN, "an acknowledgement of nothing")
        edge.taken_there = record.received
        refusal = self.mailing.learn(edge.device, record.route, step)
        return refusal or self.acknowledged(edge, record.handled, step)

    def acknowledged(self, edge: Edge, handled: int, step: Step) -> Rejected | None:
        """The other end has handled every letter up to here, it says, by whatever way."""
        gone = edge.sender.acknowledged(handled, step.instant)
        if gone is None:
            return Rejected(Reason.OUT_OF_TURN, f"letter {handled} was never sent")
        if not gone:
            return None
        edge.gone += [enclosed.first for enclosed in gone]
        self._later(edge, step)
        while edge.sends and edge.sends[0][0] <= gone[-1].last:
            step.act(Progress(edge.sends.popleft()[1], Stage.TAKEN))
        self._throttle(edge, step)
        self._fly(edge, step)
        return None

    def _take_all(self, edge: Edge, fresh: Sequence[tuple[int, Letter]], step: Step) -> None:
        """Take letters in order; of those that share a head all but the first cost little."""
        known: CallHead | None = None
        into: list[tuple[int, Call, bytes]] = []
        call: Call | None = None
        for number, (head, body) in fresh:
            if head is known and call is not None:
                into.append((number, call, body))
                continue
            self._take(edge, number, head, body, step)
            known = None
            if isinstance(head, CallHead):
                found = self._call_of(head, step)
                if not isinstance(found, str):
                    known, (topic, call) = head, found
                    into = self._queue_of(edge, topic)

    def _queue_of(self, edge: Edge, topic: Topic) -> list[tuple[int, Call, bytes]]:
        """Return where errands of an actor wait: for this step to end, or for it to wake."""
        if self._is_awake(topic):
            return self._batches.setdefault((topic, edge.device), [])
        return edge.asleep.setdefault(topic, [])

    def _take(
        self, edge: Edge, number: int, head: CallHead | ReplyHead, body: bytes, step: Step
    ) -> None:
        if isinstance(head, ReplyHead):
            token = edge.asks.pop(head.to, None)
            if token is not None:
                step.act(Progress(token, Stage.ENDED, head.ending, body))
            edge.receiver.done((number,))
            edge.is_touched = True
            self._later(edge, step)
            return
        found = self._call_of(head, step)
        if isinstance(found, str):
            ending = Ending.REFUSED if found else Ending.LATE
            self._done(edge, number)
            if head.wants_reply:
                self._reply(edge, number, ending, found.encode())
            else:
                refusal = Rejected(Reason.NO_GRANT, found or "its deadline had passed")
                step.report("refused", device=edge.device, refusal=refusal)
            return
        topic, call = found
        self._queue_of(edge, topic).append((number, call, body))

    def _call_of(self, head: CallHead, step: Step) -> tuple[Topic, Call] | str:
        """Return what a letter may do, or why it may not; nothing said if it is late."""
        grant = self.grants.find(head.grant)
        if grant is None:
            return "no such link was given out"
        if grant.is_revoked:
            return "the link was taken back by who gave it"
        if head.method not in grant.methods:
            return f"the link does not let {head.method!r} through"
        if self._replica(grant.topic) is None:
            return "the actor is not held on this device any more"
        if head.deadline and head.deadline < step.now.wall:
            return ""
        if self._calls is None or self._calls[0] is not head:
            made = Call(head.method, head.shape, head.wants_reply, head.chain)
            self._calls = head, made
        return grant.topic, self._calls[1]

    def _done(self, edge: Edge, number: int) -> None:
        edge.receiver.done((number,))
        edge.is_marked = True
        self._dirty[edge.device] = edge

    # What was handled

    def handled(self, event: Handled, step: Step) -> None:
        """Errands have had their turns, whose writes are in this very step."""
        edge = self._edges[event.sender]
        edge.receiver.done([number for number, _, _, _ in event.results])
        edge.is_marked = True
        self._dirty[edge.device] = edge
        for number, _, ending, body in event.results:
            if ending is None:
                continue
            if ending is Ending.INTERRUPTED and not body:
                edge.open[number] = None
                step.put(Table.EDGE, edge_key(b"o", edge.device, number), b"")
                continue
            if number in edge.open:
                del edge.open[number]
                step.drop(Table.EDGE, edge_key(b"o", edge.device, number))
            self._reply(edge, number, ending, body)

    def returned(self, event: Returned) -> None:
        """Errands were not begun: keep them, or hand them out anew if their actor woke."""
        edge = self._edges[event.sender]
        edge.asleep.setdefault(event.topic, []).extend(event.items)
        if self._is_awake(event.topic):
            self.woken(event.topic)

    def woken(self, topic: Topic) -> None:
        """An actor is hosted from now on: hand out what waits for it."""
        for edge in self._edges.values():
            items = edge.asleep.pop(topic, None)
            if items:
                self._batches.setdefault((topic, edge.device), []).extend(
                    sorted(items, key=lambda item: item[0])
                )
