"""Links: the sessions of a node, from the first frame to the last.

Owns: which links exist, who is at the other end of each, which of two links to one peer
stays, and the batching of records into session messages. May not know: topics, commits,
invites; records go to `Conversation` and come from it.

    dialling --link up--> shaking hands --Established--> open --link down, refusal--> gone
    accepted -----------> shaking hands

Of two links between the same two devices the one stays that the device with the smaller id
dialled; of two in the same direction the newer one, because the older may be half dead; and
always the one by which somebody joins, until that is answered.
Records of one step leave in one message as far as it holds them: flushed at once when idle,
batched under load.
Source: PROTOCOL section 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, assert_never

from comity.base.clock import Instant, earliest
from comity.base.errors import Reason, Rejected
from comity.base.ids import DeviceId, LinkId
from comity.base.limits import HALF_OPEN_MAX
from comity.node.dialer import Dialer, Purpose
from comity.node.effects import Dial, Hangup, Send
from comity.node.events import FrameArrived, LinkDown, LinkUp
from comity.node.step import Step
from comity.protocol.session import (
    Endpoint,
    Established,
    Failed,
    Received,
    SendFrame,
    Session,
    SessionEvent,
)
from comity.wire.records import (
    Acknowledge,
    Announce,
    Codec,
    Collected,
    Commits,
    JoinRequest,
    KeyRequest,
    Keys,
    Mail,
    Mailboxes,
    PairAnswer,
    PairShare,
    Peers,
    Post,
    Posted,
    Receipt,
    Reconcile,
    Record,
    Refusal,
    Runs,
    Since,
    Subscribe,
    Summary,
    Want,
    Welcome,
)

__all__ = ["Conversation", "Link", "Links"]

_RECORDS_MAX: Final = 64
"""Records in one message: what most steps say many times over."""

_BULK_BYTES: Final = 512 * 1024
"""Bytes in one message, after which it is sent: no record has more than 400 kB, so that the
one that passes it still fits a message."""


_ITEM_BYTES: Final = 40
"""An id or a key in a record, with its framing."""

_ADDRESS_BYTES: Final = 320
"""A device and its address, at most."""


@dataclass(slots=True, eq=False)
class Link:
    """One link.

    address: where the other side is, or is dialled. peer: who that is, once it is open.
    seed: of the invite that this side joins by. joined_by: names the invite that the other
    side joins by. admitted: the question of who may join by it has been answered.
    """

    id: LinkId
    address: str
    purpose: Purpose
    inbound: bool = False
    expected: DeviceId | None = None
    seed: bytes | None = field(default=None, repr=False)
    session: Session | None = None
    peer: DeviceId | None = None
    key: bytes = field(default=b"", repr=False)
    joined_by: bytes | None = None
    admitted: bool = False
    outgoing: list[Record] = field(default_factory=list)

    @property
    def joining(self) -> bool:
        """Whether somebody is about to join by this link."""
        invited = self.purpose is Purpose.JOIN or self.joined_by is not None
        return invited and not self.admitted

    def open_session(self) -> Session:
        """Return the session of an open link."""
        assert self.session is not None
        return self.session


class Conversation(Protocol):
    """Who speaks over open links."""

    def opened(self, link: Link, step: Step) -> None:
        """A link is open: say what is to be said first."""
        ...

    def heard(self, link: Link, record: Record, step: Step) -> Rejected | None:
        """A record came; a refusal ends the link."""
        ...

    def closed(self, link: Link, why: str, step: Step) -> None:
        """A link is gone, whether it was open or not."""
        ...

    def secret_for(self, tag: bytes, ephemeral: bytes) -> bytes | None:
        """Return the seed of the open invite that a newcomer shows."""
        ...


class Links:
    """All links of one node."""

    __slots__ = (
        "_codec",
        "_conversation",
        "_dialer",
        "_dirty",
        "_endpoint",
        "_is_wake_known",
        "_links",
        "_next",
        "_peers",
        "_wake",
    )

    def __init__(self, endpoint: Endpoint, codec: Codec, conversation: Conversation) -> None:
        """Start without a link."""
        self._endpoint = endpoint
        self._codec = codec
        self._conversation = conversation
        self._dialer = Dialer(endpoint.entropy)
        self._links: dict[LinkId, Link] = {}
        self._peers: dict[DeviceId, Link] = {}
        self._dirty: dict[LinkId, Link] = {}
        self._next = 2
        self._wake: Instant | None = None
        self._is_wake_known = True

    @property
    def deadline(self) -> Instant | None:
        """When `tick` is due."""
        if not self._is_wake_known:  # of a thousand sessions few change in a step
            self._wake = self._earliest()
            self._is_wake_known = True
        return earliest(self._dialer.deadline, self._wake)

    def _earliest(self) -> Instant | None:
        """Return when the first of the sessions has something to do."""
        due: Instant | None = None
        for link in self._links.values():
            if link.session is not None:
                due = earliest(due, link.session.deadline)
        return due

    @property
    def all(self) -> tuple[Link, ...]:
        """Every link, oldest first."""
        return tuple(self._links.values())

    @property
    def open(self) -> tuple[Link, ...]:
        """Every link whose peer is known, in the order in which they opened."""
        return tuple(self._peers.values())

    def to(self, peer: DeviceId) -> Link | None:
        """Return the open link to a device."""
        return self._peers.get(peer)

    def get(self, link: LinkId) -> Link | None:
        """Return an open link by its number."""
        found = self._links.get(link)
        return found if found is not None and found.peer is not None else None

    # Calling

    def keep(self, address: str, device: DeviceId | None, purpose: Purpose, step: Step) -> None:
        """Keep a link to this address from now on; knowing it already is fine."""
        if purpose is Purpose.RELAY:
            self.forget(address, step, Purpose.POST)  # it serves for mail as well
        if device != self._endpoint.identity.device:
            self._dialer.add(address, device, purpose, step.instant)
            self._call(step)

    def forget(self, address: str, step: Step, purpose: Purpose = Purpose.RELAY) -> None:
        """Call the relay at this address no more, and hang up."""
        self._dialer.remove(address, purpose)
        for link in self.all:
            if link.purpose is purpose and link.address == address:
                self.hang_up(link, "this relay is not used any more", step)

    def join(self, address: str, inviter: DeviceId | None, seed: bytes, step: Step) -> LinkId:
        """Make one link to an inviter, keyed by the seed of the invite.

        inviter: who must answer; None if whoever has the seed may.
        """
        return self._dial(
            step, Link(self._number(), address, Purpose.JOIN, expected=inviter, seed=seed)
        )

    def tick(self, step: Step) -> None:
        """Do what is due: dial, give up handshakes, change keys."""
        for link in self.all:
            session = link.session
            if session is None or session.deadline is None:
                continue
            if session.deadline <= step.instant:
                self._is_wake_known = False
                self._follow(link, session.advance(step.instant), step)
        self._call(step)

    def _call(self, step: Step) -> None:
        for target in self._dialer.due(step.instant):
            if target.device is not None and target.device in self._peers:
                self._dialer.postpone(target, step.instant)
                continue
            expected = None if target.purpose is Purpose.POST else target.device
            link = Link(self._number(), target.address, target.purpose, expected=expected)
            self._dialer.called(target, self._dial(step, link))

    def _dial(self, step: Step, link: Link) -> LinkId:
        self._links[link.id] = link
        step.act(Dial(link.id, link.address))
        return link.id

    def _number(self) -> LinkId:
        """Number a link of ours: even; the driver numbers those of others, odd."""
        link = LinkId(self._next)
        self._next += 2
        return link

    # What the driver says

    def up(self, event: LinkUp, step: Step) -> None:
        """A connection stands: begin the handshake."""
        if event.inbound:
            if self._shaking(event.address) >= HALF_OPEN_MAX:
                step.act(Hangup(event.link, "too many handshakes at once"))
                step.report("refused", refusal=Rejected(Reason.RATE, event.address))
                return
            self._links[event.link] = Link(
                event.link, event.address, Purpose.PEER, inbound=True
            )
        link = self._links.get(event.link)
        if link is None:
            step.act(Hangup(event.link, "it is not wanted any more"))
            return
        link.session = Session(
            self._endpoint,
            initiator=not link.inbound,
            now=step.instant,
            expected=link.expected,
            secret=link.seed,
            secret_for=self._conversation.secret_for if link.inbound else None,
        )
        self._is_wake_known = False
        for frame in link.session.start():
            step.act(Send(link.id, frame))

    def _shaking(self, address: str) -> int:
        """Return how many handshakes the host of this address has begun and not finished."""
        host = _host(address)
        return sum(
            1
            for link in self._links.values()
            if link.inbound and link.peer is None and _host(link.address) == host
        )

    def down(self, event: LinkDown, step: Step) -> None:
        """A connection is gone, or never stood."""
        link = self._links.get(event.link)
        if link is not None:
            self._drop(link, event.why, step)

    def frame(self, event: FrameArrived, step: Step) -> None:
        """A frame came in."""
        link = self._links.get(event.link)
        if link is not None and link.session is not None:
            wake = link.session.deadline
            said = link.session.receive(event.frame, step.instant)
            if link.session.deadline != wake:
                self._is_wake_known = False
            self._follow(link, said, step)

    def _follow(self, link: Link, events: Sequence[SessionEvent], step: Step) -> None:
        """Do what a session says."""
        for event in events:
            if link.id not in self._links:
                return
            match event:
                case SendFrame(frame):
                    step.act(Send(link.id, frame))
                case Established():
                    self._establish(link, event, step)
                case Received(plain):
                    self._hear(link, plain, step)
                case Failed(refusal):
                    self.refuse(link, refusal, step)
                case _:
                    assert_never(event)

    def _establish(self, link: Link, event: Established, step: Step) -> None:
        link.peer = event.peer
        link.key = event.handshake_hash
        link.joined_by = event.joined_by if link.inbound else None
        self._dialer.worked(link.id, step.instant)
        self._dialer.answered(link.id, event.peer)
        rival = self._peers.get(event.peer)
        if rival is not None:
            loser = self._loser(rival, link)
            self.hang_up(loser, "another link to the same device is open", step)
            if loser is link:
                return
        self._peers[event.peer] = link
        step.report("linked", device=event.peer, detail=link.address)
        self._conversation.opened(link, step)

    def _loser(self, older: Link, newer: Link) -> Link:
        """Choose which of two links to one peer goes, as that peer will choose too."""
        assert newer.peer is not None
        if older.joining and not newer.joining:  # it calls a member, whom it was once
            return newer
        if newer.joining or older.inbound == newer.inbound:
            return older
        ours_is_smaller = self._endpoint.identity.device < newer.peer
        stays_inbound = not ours_is_smaller
        return newer if older.inbound == stays_inbound else older

    def _hear(self, link: Link, plain: bytes, step: Step) -> None:
        records = self._codec.decode(plain)
        if isinstance(records, Rejected):
            self.refuse(link, records, step)
            return
        for record in records:
            if link.id not in self._links:
                return
            refusal = self._conversation.heard(link, record, step)
            if refusal is not None:
                self.refuse(link, refusal, step)

    # Speaking

    def say(self, link: Link, record: Record, step: Step) -> None:
        """Send a record with the next flush; dropped if the link is not open."""
        if link.peer is None or self._links.get(link.id) is not link:
            return
        link.outgoing.append(record)
        self._dirty[link.id] = link
        if len(link.outgoing) >= _RECORDS_MAX or _bulk(link.outgoing) >= _BULK_BYTES:
            self._flush(link, step)

    def flush(self, step: Step) -> None:
        """Send what was said in this step."""
        for link in list(self._dirty.values()):
            self._flush(link, step)

    def _flush(self, link: Link, step: Step) -> None:
        self._dirty.pop(link.id, None)
        records, link.outgoing = tuple(link.outgoing), []
        if records:
            for frame in link.open_session().seal(self._codec.encode(records)):
                step.act(Send(link.id, frame))

    # Ending

    def refuse(self, link: Link, refusal: Rejected, step: Step) -> None:
        """End a link because of what came over it."""
        device = link.peer or link.expected
        step.report("refused", device=device, refusal=refusal, detail=link.address)
        if refusal.reason is Reason.WRONG_DEVICE:
            self._dialer.forget(link.id)
        self.hang_up(link, str(refusal), step)

    def hang_up(self, link: Link, why: str, step: Step) -> None:
        """End a link after what was said has left."""
        if link.peer is not None:
            self._flush(link, step)
        step.act(Hangup(link.id, why))
        self._drop(link, why, step)

    def _drop(self, link: Link, why: str, step: Step) -> None:
        if self._links.pop(link.id, None) is None:
            return
        self._is_wake_known = False
        self._dirty.pop(link.id, None)
        self._dialer.ended(link.id, step.instant)
        if link.peer is not None and self._peers.get(link.peer) is link:
            del self._peers[link.peer]
            self._dialer.lost(link.peer, step.instant)
            step.report("unlinked", device=link.peer, detail=why)
        self._conversation.closed(link, why, step)

    def check(self) -> None:
        """Assert that peers have open links, and that nobody to be called is forgotten."""
        self._dialer.check()
        assert not self._is_wake_known or self._wake == self._earliest()
        for peer, link in self._peers.items():
            assert link.peer == peer
            assert self._links.get(link.id) is link
        for target in self._dialer.targets:
            assert target.link is None or target.link in self._links


def _host(address: str) -> str:
    """Return an address without its port."""
    return address.rpartition(":")[0] or address


def _bulk(records: Sequence[Record]) -> int:
    """Return about how many bytes these records have."""
    return sum(map(_size, records))


def _size(record: Record) -> int:
    """Return about how many bytes a record has, not less: what it lists, and a little."""
    match record:
        case Commits(_, commits):
            return sum(len(commit.sealed) + len(commit.beside) + 16 for commit in commits)
        case Runs(_, runs):
            return sum(len(run) + 16 for run in runs)
        case Reconcile(_, body):
            return len(body)
        case Announce(tags):
            return len(tags) * _ITEM_BYTES
        case Subscribe(topics):
            return len(topics) * _ITEM_BYTES
        case Want(_, ids) | Receipt(_, ids) | Refusal(_, _, _, ids) | Summary(_, _, _, ids):
            return len(ids) * _ITEM_BYTES
        case Peers(peers):
            return len(peers) * _ADDRESS_BYTES
        case KeyRequest(_, epochs):
            return len(epochs) * _ITEM_BYTES
        case Keys(_, keys):
            return len(keys) * 2 * _ITEM_BYTES
        case Welcome():
            addresses = len(record.relays) + len(record.peers)
            return len(record.keys) * 2 * _ITEM_BYTES + addresses * _ADDRESS_BYTES
        case Mail(envelope, route):
            return len(envelope) + len(route)
        case Post(_, sealed):
            return len(sealed) + 3 * _ITEM_BYTES
        case Mailboxes(items) | Posted(_, items) | Collected(_, items):
            return (1 + len(items)) * _ITEM_BYTES
        case Acknowledge(_, _, route):
            return _ITEM_BYTES + len(route)
        case Since() | JoinRequest() | PairShare() | PairAnswer():
            return _ITEM_BYTES
        case _:
            assert_never(record)
