"""Mailing: letters to a device that is off are left at its relays, and fetched from one's own.

Owns: where others take letters, what was left where, and when it is left again. May not know:
the order of letters (`protocol.edge`), what a relay keeps (`node.mailboxes`).

    no link to the device, a moment later --its relay linked--> asked --Posted--> left
        --refused: no room, too fast--> waits, twice as long each time --> asked
        left, and not acknowledged by the device itself for long --> asked
    acknowledged --> nothing is left to do: the relays of others are hung up on

A letter goes to every relay of its route; the edge takes it once. That a relay keeps it only
ends the hurry: the outbox keeps it until the device itself has acknowledged it, by the same way
if there is no other. Every mail tells where its sender takes answers.
Source: PROTOCOL sections 7 and 8; decision 38.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from comity.base.canonical import Reader
from comity.base.clock import (
    HOUR,
    MILLISECOND,
    SECOND,
    Duration,
    Instant,
    after,
    earliest,
)
from comity.base.errors import Reason, Rejected
from comity.base.ids import DeviceId, short
from comity.base.limits import (
    MAIL_AHEAD_BYTES,
    MAIL_AHEAD_COUNT,
    MAIL_BURST,
    MAIL_RATE,
    MAIL_WAIT,
    MAIL_WAIT_MAX,
    ROUTES_CALLED_MAX,
)
from comity.base.ports import Entropy
from comity.crypto.hashing import PERSON_MAIL, blake2b
from comity.crypto.keys import Identity
from comity.node.dialer import Purpose
from comity.node.edge_rows import Edge
from comity.node.effects import Table
from comity.node.journal import Hand
from comity.node.links import Link, Links
from comity.node.own_mailboxes import OwnMailboxes
from comity.node.relays import Relays
from comity.node.step import Rows, Step
from comity.protocol.bucket import Bucket
from comity.protocol.envelope import decode_envelope
from comity.protocol.mail import Mail, Opened, Sealer, decode_mail, open_mail
from comity.protocol.route import Route, Writer, decode_route, encode_route, post_id
from comity.wire.records import Post, Posted

if TYPE_CHECKING:
    from comity.node.delivery import Delivery

__all__ = ["Mailing"]

_THEIRS: Final = b"t"
_TOLD: Final = b"e"
"""How keys of `Table.ROUTE` begin: a device's route, and the digest of ours that it was told.

The first byte of a device's route says who told it: 1 the device itself, 0 a link.
"""

_MOMENT: Final = Duration(250 * MILLISECOND)
"""What is to be left waits so long: a link may come up, and more may come to leave."""

_AGAIN: Final = Duration(6 * HOUR)
"""After which what a relay said it keeps is left there again, if nobody acknowledged it."""

_AHEAD: Final = MAIL_AHEAD_COUNT, MAIL_AHEAD_BYTES

_ANSWER: Final = Duration(30 * SECOND)
"""So long an answer of a relay is waited for; then it is asked again."""

_IDLE: Final = Duration(10 * SECOND)
"""So long a relay of somebody else's stays linked with nothing to leave there."""


@dataclass(slots=True)
class _Way:
    """One relay of one device's route.

    left: envelopes by their first letter, since when; said: which word of ours lies there.
    asked: mails without an answer, by id: which envelope, or what word; since: when the last
    one was. until: it rests;
    fails: refusals in a row. needs: there is more to leave.
    """

    bucket: Bucket
    left: dict[int, Instant] = field(default_factory=dict)
    said: bytes = b""
    asked: dict[bytes, int | bytes] = field(default_factory=dict)
    since: Instant = Instant(0)  # noqa: RUF009  (a number)
    until: Instant = Instant(0)  # noqa: RUF009
    fails: int = 0
    needs: bool = False


class Mailing:
    """The mail of one node."""

    __slots__ = (
        "_at",
        "_called",
        "_crypto",
        "_delivery",
        "_device",
        "_due",
        "_edges",
        "_hand",
        "_links",
        "_relays",
        "_routes",
        "_sealer",
        "_told",
        "_ways",
        "_words",
        "own",
    )

    def __init__(self, hand: Hand, links: Links, relays: Relays, found: Rows) -> None:
        """Take routes from their rows; `begin` comes next."""
        signer = hand.signer
        self._hand = hand
        self._crypto = signer.crypto
        self._device = signer.device
        self._links = links
        self._relays = relays
        secret = blake2b(b"", person=PERSON_MAIL, key=signer.seed)
        self._sealer = Sealer(signer.crypto, Identity(signer.crypto, signer.seed), secret)
        self.own = OwnMailboxes(hand, links, relays, found)
        self._routes = {
            DeviceId(key[1:]): value for key, value in found if key.startswith(_THEIRS)
        }
        self._told = {DeviceId(key[1:]): value for key, value in found if key.startswith(_TOLD)}
        self._ways: dict[DeviceId, dict[str, _Way]] = {}
        self._words: dict[DeviceId, bytes] = {}
        self._due: dict[DeviceId, Instant] = {}
        self._called: dict[str, Instant | None] = {}
        self._at: dict[str, DeviceId] = {}
        self._edges: Mapping[DeviceId, Edge] = {}
        self._delivery: Delivery | None = None

    def begin(self, edges: Mapping[DeviceId, Edge], delivery: Delivery) -> None:
        """Know the edges, and who takes what comes."""
        self._edges = edges
        self._delivery = delivery

    @property
    def entropy(self) -> Entropy:
        """Where randomness comes from."""
        return self._hand.entropy

    @property
    def deadline(self) -> Instant | None:
        """When `tick` is due."""
        due = earliest(min(self._due.values(), default=None), self.own.deadline)
        for since in self._called.values():
            if since is not None:
                due = earliest(due, after(since, _IDLE))
        return due

    # Routes

    def told(self, edge: Edge, step: Step) -> bytes:
        """Return what to tell a device in this session of where we take letters, once."""
        if edge.is_route_told:
            return b""
        edge.is_route_told = True
        route = self.own.route_for(edge.device)
        self._note_told(edge.device, route, step)
        return route

    def _note_told(self, device: DeviceId, route: bytes, step: Step) -> None:
        digest = _digest(route)
        if route and self._told.get(device) != digest:
            self._told[device] = digest
            step.put(Table.ROUTE, _TOLD + device, digest)

    def learn(self, device: DeviceId, route: bytes, step: Step) -> Rejected | None:
        """A device says where it takes letters."""
        found = decode_route(route) if route else None
        if isinstance(found, Rejected):
            return found
        if found is not None and self._routes.get(device) != b"\x01" + route:
            self._keep(device, b"\x01" + route, step)
        return None

    def learn_link(self, device: DeviceId, route: Route, step: Step) -> None:
        """A link says where a device takes letters: what it said itself counts more."""
        value = b"\x00" + encode_route(route)
        known = self._routes.get(device, b"")
        if device != self._device and known[:1] != b"\x01" and known != value:
            self._keep(device, value, step)

    def _keep(self, device: DeviceId, value: bytes, step: Step) -> None:
        self._routes[device] = value
        step.put(Table.ROUTE, _THEIRS + device, value)
        self._ways.pop(device, None)  # what was left elsewhere may not be found
        edge = self._edges.get(device)
        if edge is not None:
            self.attend(edge, step)

    def _route(self, device: DeviceId) -> Route | None:
        value = self._routes.get(device)
        if value is None:
            return None
        route = decode_route(value[1:])
        assert not isinstance(route, Rejected), "a stored route was checked before"
        return route

    # What is left at relays

    def attend(self, edge: Edge, step: Step) -> None:
        """There may be something to leave for a device."""
        if edge.device in self._routes and self._links.to(edge.device) is None:
            due = after(step.instant, _MOMENT)
            self._due[edge.device] = min(self._due.get(edge.device, due), due)

    def relays_with(self, device: DeviceId) -> int:
        """Return how many relays have all that may be left for a device by now."""
        ways = self._ways.get(device, {}).values()
        return sum(bool(way.left) and not way.needs for way in ways)

    def met(self, device: DeviceId, step: Step) -> None:
        """A device is linked: what waits for it goes to itself."""
        if device in self._ways:
            self._due[device] = step.instant

    def tick(self, step: Step) -> None:
        """Do what is due."""
        self.own.tick(step)
        for device, due in list(self._due.items()):
            if due <= step.instant:
                del self._due[device]
                edge = self._edges.get(device)
                if edge is not None:
                    self._leave(edge, step)
        self._rest(step)

    def _leave(self, edge: Edge, step: Step) -> None:
        """Leave what is not acknowledged, and what the device is to know, at its relays."""
        route = self._route(edge.device)
        if route is None or self._links.to(edge.device) is not None:
            self._ways.pop(edge.device, None)
            self._words.pop(edge.device, None)
            return
        ways = self._ways.setdefault(edge.device, {})
        kept = edge.sender.kept(up_to=edge.durable, most=_AHEAD)
        word = self._word(edge)
        due: Instant | None = None
        for address in route.relays:
            way = ways.get(address)
            if way is None:
                bucket = Bucket(at_once=MAIL_BURST, rate=MAIL_RATE // 60)
                way = ways[address] = _Way(bucket)
            for first in [first for first in way.left if first not in kept]:
                del way.left[first]
            lost = [f for f, since in way.left.items() if after(since, _AGAIN) <= step.instant]
            for first in lost:
                del way.left[first]
            due = earliest(due, self._leave_at(edge, address, way, (route, kept, word), step))
        if due is not None:
            self._due[edge.device] = due

    def _word(self, edge: Edge) -> bytes:
        """Return what a device is to know beside letters: how far its own came, our route."""
        route = self.own.route_for(edge.device)
        moved = route and self._told.get(edge.device) != _digest(route)
        alone = moved and not edge.sender.count  # else its letters tell it
        if alone or edge.is_asked_again or edge.acknowledged > edge.mailed:
            said = Mail(edge.acknowledged, edge.receiver.received, route, b"")
            self._words[edge.device] = said.encode()
            if edge.is_asked_again:
                for way in self._ways[edge.device].values():
                    way.said = b""
            edge.mailed = max(edge.mailed, edge.acknowledged)
            edge.is_asked_again = False
        return self._words.get(edge.device, b"")

    def _leave_at(
        self,
        edge: Edge,
        address: str,
        way: _Way,
        what: tuple[Route, Mapping[int, bytes], bytes],
        step: Step,
    ) -> Instant | None:
        """Leave what is missing at one relay; return when to look again."""
        route, kept, word = what
        if way.asked and after(way.since, _ANSWER) <= step.instant:
            way.asked.clear()
        asked = [each for each in way.asked.values() if isinstance(each, int)]
        missing: list[int | bytes] = []
        if word and way.said != word and word not in way.asked.values():
            missing.append(word)
        missing += [f for f in kept if f not in way.left and f not in asked]
        way.needs = bool(missing or way.asked)
        oldest = min(way.left.values(), default=None)
        again = None if oldest is None else after(oldest, _AGAIN)
        if way.asked:
            again = earliest(again, after(way.since, _ANSWER))
        if not missing:
            return again
        link = self._link_at(address)
        if link is None:
            self._call(address, step)
            return again
        if way.until > step.instant:
            return earliest(again, way.until)
        assert link.peer is not None
        writer = Writer(self._crypto, edge.device, route.seed)
        ours = self.own.route_for(edge.device)
        for each in missing:
            if len(way.asked) >= MAIL_BURST:
                return again  # the answers bring the next
            if not way.bucket.has(1, step.instant):
                return after(step.instant, SECOND)
            mail = Mail(0, 0, ours, kept[each]) if isinstance(each, int) else _read(each)
            sealed = self._sealer.seal(mail, edge.device, route.prekey)
            if sealed is None:
                step.report("refused", device=edge.device, refusal=_LOW_ORDER)
                return None
            way.bucket.spend(1, step.instant)
            post = post_id(sealed)
            way.asked[post] = each
            way.since = step.instant
            signature = writer.sign(link.peer, post)
            self._links.say(link, Post(writer.mailbox, sealed, signature), step)
        return earliest(again, after(step.instant, _ANSWER))

    def posted(self, link: Link, record: Posted, step: Step) -> None:
        """A relay says what became of mails."""
        for device, ways in list(self._ways.items()):
            for address, way in ways.items():
                if self._at.get(address) != link.peer:
                    continue
                for post in record.ids:
                    each = way.asked.pop(post, None)
                    if each is not None:
                        self._answered(device, address, way, each, record.refusal, step)

    def _answered(
        self,
        device: DeviceId,
        address: str,
        way: _Way,
        each: int | bytes,
        refusal: Reason | None,
        step: Step,
    ) -> None:
        self._due[device] = min(self._due.get(device, step.instant), step.instant)
        if refusal is not None:
            wait = min(MAIL_WAIT << min(way.fails, 12), MAIL_WAIT_MAX)
            way.until = after(step.instant, Duration(wait))
            way.fails += 1
            if way.fails == 1:
                step.report("told", device=device, refusal=Rejected(refusal, address))
            return
        way.fails = 0
        if isinstance(each, int):
            way.left[each] = step.instant
            step.report("left", device=device, detail=address)
            self._note_told(device, self.own.route_for(device), step)
            return
        way.said = each
        self._note_told(device, _read(each).route, step)

    # Relays

    def _link_at(self, address: str) -> Link | None:
        device = self._at.get(address)
        link = None if device is None else self._links.to(device)
        at_relay = link is not None and link.purpose in {Purpose.RELAY, Purpose.POST}
        return link if at_relay else None

    def _call(self, address: str, step: Step) -> None:
        """Have a relay called, if it is not one of ours, which is called anyway."""
        if address in self._relays.addresses:
            return
        if address not in self._called and len(self._called) < ROUTES_CALLED_MAX:
            self._links.keep(address, None, Purpose.POST, step)
            self._called[address] = None
        elif address in self._called:
            self._called[address] = None

    def _rest(self, step: Step) -> None:
        """Hang up on relays of others where there was nothing to leave for a while."""
        needed = {
            address: None
            for ways in self._ways.values()
            for address, way in ways.items()
            if way.needs
        }
        for address, since in list(self._called.items()):
            if address in needed:
                self._called[address] = None
            elif since is None:
                self._called[address] = step.instant
            elif after(since, _IDLE) <= step.instant:
                del self._called[address]
                self._links.forget(address, step, Purpose.POST)

    def opened(self, link: Link, step: Step) -> None:
        """A relay is linked: ours is told of our mailboxes; what waits for it is left."""
        assert link.peer is not None
        self._at[link.address] = link.peer
        if link.purpose is Purpose.RELAY:
            known = [edge for edge in self._edges.values() if edge.is_known]
            self.own.opened(link, [edge.device for edge in known], step)
            for edge in known:
                if self._told.get(edge.device) != _digest(self.own.route_for(edge.device)):
                    self.attend(edge, step)
        for device, ways in self._ways.items():
            if any(self._at.get(address) == link.peer for address in ways):
                self._due[device] = step.instant

    def closed(self, link: Link) -> None:
        """A link is gone; if it was to a relay, nobody knows what became of the last mails."""
        if link.purpose not in {Purpose.RELAY, Purpose.POST} or link.peer is None:
            return
        if link.purpose is Purpose.RELAY:
            self.own.closed(link)
        for ways in self._ways.values():
            for address, way in ways.items():
                if self._at.get(address) == link.peer:
                    way.asked.clear()

    # What comes

    def heard_post(self, link: Link, record: Post, step: Step) -> Rejected | None:
        """A relay sends what lay in a mailbox of ours."""
        if link.purpose is not Purpose.RELAY:
            return Rejected(Reason.OUT_OF_TURN, "a mail from no relay of this device")
        post = post_id(record.sealed)
        ours, writer = self.own.writer_of(record.mailbox)
        if not ours:
            self.own.let_go(link, record.mailbox, post, step)
            return None
        prekeys = self._hand.prekeys.all
        opened = open_mail(self._crypto, self._device, prekeys, record.sealed)
        if not isinstance(opened, Rejected) and writer not in {None, opened.sender}:
            name = short(opened.sender)
            opened = Rejected(Reason.NO_GRANT, f"device {name} wrote to another's mailbox")
        last = opened if isinstance(opened, Rejected) else self._take(opened, step)
        if isinstance(last, Rejected):
            step.report("refused", device=link.peer, refusal=last)
        if isinstance(last, Rejected) or last == 0 or isinstance(opened, Rejected):
            self.own.let_go(link, record.mailbox, post, step)
            return None
        self.own.hold(link, record.mailbox, post, opened.sender, last)
        edge = self._edges[opened.sender]
        self.own.handled(edge.device, edge.acknowledged, step)
        return None

    def _take(self, opened: Opened, step: Step) -> int | Rejected:
        """Take a mail; return up to which letter it is to be handled first, 0 for none."""
        assert self._delivery is not None
        mail, sender, last = opened.mail, opened.sender, 0
        if mail.envelope:
            envelope = decode_envelope(mail.envelope)
            if isinstance(envelope, Rejected):
                return envelope
            if self._delivery.arrived(sender, mail.envelope, envelope, step):
                last = envelope.last
        edge = self._edges.get(sender)
        if edge is None or not edge.is_known:
            return 0
        refusal = self.learn(sender, mail.route, step)
        if refusal is None and mail.handled:
            edge.taken_there = max(edge.taken_there, mail.received)
            refusal = self._delivery.acknowledged(edge, mail.handled, step)
        if refusal is not None:
            step.report("refused", device=sender, refusal=refusal)
        return last


_LOW_ORDER: Final = Rejected(Reason.MALFORMED, "a route with a prekey of low order")


def _read(word: bytes) -> Mail:
    """Return what `Mailing._word` made."""
    return decode_mail(Reader(word))


def _digest(route: bytes) -> bytes:
    """Return 8 bytes by which a route is told from an older one."""
    return blake2b(route, size=8, person=PERSON_MAIL)
