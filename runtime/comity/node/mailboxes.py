"""Mailboxes: what a relay keeps for devices that are off, which it cannot read.

Owns: which mailboxes there are, what lies in each, and who may put in and take out. May not
know: who sealed what, edges, topics.

    Mailboxes --whoever says it is the owner--> open --the owner says it no more--> closed
    Post --the write key signed it, there is room--> written --durable--> Posted
         --else--> Posted with the reason, and nothing is kept: the sender has it still
    lying --its owner is linked--> on its way, the oldest first --Collected--> gone
          --30 days--> gone

A mailbox is named by its owner and its write key together, so nobody can take another's name.
What lies in one is a matter between it and its writers: its rate and its room are its own, and
who floods one leaves every other alone.
Source: PROTOCOL section 8, attack 24; decision 38.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Final

from comity.base.canonical import Reader, varint
from comity.base.clock import HOUR, MILLISECOND, Duration, Instant, Wall, after
from comity.base.errors import Reason, Rejected
from comity.base.ids import ID_BYTES, DeviceId, LinkId
from comity.base.limits import (
    MAIL_AGE_MAX,
    MAIL_BURST,
    MAIL_BYTES_MAX,
    MAIL_COUNT_MAX,
    MAIL_RATE,
    MAILBOX_BYTES_MAX,
    MAILBOX_COUNT_MAX,
    MAILBOXES_MAX,
    MAILBOXES_OF_ONE_MAX,
)
from comity.crypto.port import KEY_BYTES, Crypto
from comity.node import rows
from comity.node.commands import MailStatus
from comity.node.effects import AwaitRoom, Table
from comity.node.links import Link, Links
from comity.node.step import Rows, Step
from comity.protocol.bucket import Bucket
from comity.protocol.mail import is_padded
from comity.protocol.route import mailbox_name, post_id, write_claim
from comity.wire.records import Collected, Mailboxes, Post, Posted

__all__ = ["MailboxKeeper"]

_SWEEP: Final = Duration(1 * HOUR)
_DAY: Final = 24 * HOUR // MILLISECOND
_GIVEN_UP: Final = 90 * _DAY
"""A mailbox that its owner has not asked for so long is given up: three lives of a mail."""

_AGE_MAX: Final = MAIL_AGE_MAX // MILLISECOND
_ROOM_BYTES: Final = 16 * 1024
"""Mails beyond this wait for room on the owner's link before the next ones are read."""

_PAGE_BYTES: Final = 256 * 1024
"""Mails that are read at a time."""


@dataclass(slots=True)
class _Lying:
    """One mail. number: from 1. left: when, by this relay's clock."""

    number: int
    size: int
    left: Wall


@dataclass(slots=True, eq=False)
class _Box:
    """One mailbox. asked: when its owner last did. link: by which; flying: what it was sent."""

    owner: DeviceId
    public: bytes
    asked: Wall
    lying: dict[bytes, _Lying] = field(default_factory=dict)
    size: int = 0
    last: int = 0
    bucket: Bucket | None = None
    link: LinkId | None = None
    flying: dict[bytes, None] = field(default_factory=dict)


@dataclass(slots=True)
class _Feed:
    """What the owner on one link waits for. busy: until something is read, or has left."""

    queue: dict[bytes, None] = field(default_factory=dict)
    busy: bool = False


class MailboxKeeper:
    """All mailboxes of one relay."""

    __slots__ = (
        "_boxes",
        "_count",
        "_crypto",
        "_device",
        "_feeds",
        "_links",
        "_owned",
        "_size",
        "_sweep",
    )

    def __init__(self, device: DeviceId, crypto: Crypto, links: Links, found: Rows) -> None:
        """Take them from their rows; what lies in them stays on the disk."""
        self._device = device
        self._crypto = crypto
        self._links = links
        self._boxes: dict[bytes, _Box] = {}
        self._owned: dict[DeviceId, dict[bytes, None]] = {}
        self._feeds: dict[LinkId, _Feed] = {}
        self._count = self._size = 0
        self._sweep: Instant | None = None
        for key, value in found:
            name = key[:ID_BYTES]
            if len(key) == ID_BYTES:
                reader = Reader(value)
                owner, public = DeviceId(reader.take(ID_BYTES)), reader.take(KEY_BYTES)
                self._add(name, _Box(owner, public, Wall(reader.varint())))
            else:
                reader = Reader(value)
                identifier, size = reader.take(ID_BYTES), reader.varint()
                lying = _Lying(rows.number_of(key), size, Wall(reader.varint()))
                self._lay(self._boxes[name], identifier, lying)

    def _add(self, name: bytes, box: _Box) -> None:
        self._boxes[name] = box
        self._owned.setdefault(box.owner, {})[name] = None

    def _lay(self, box: _Box, identifier: bytes, lying: _Lying) -> None:
        box.lying[identifier] = lying
        box.last = lying.number
        box.size += lying.size
        self._size += lying.size
        self._count += 1

    @property
    def deadline(self) -> Instant | None:
        """When `tick` is due; nothing is while there is no mailbox."""
        if not self._boxes:
            return None
        return self._sweep or Instant(0)

    @property
    def amounts(self) -> tuple[int, int, int]:
        """How many mailboxes there are, and how many mails of how many bytes lie in them."""
        return len(self._boxes), self._count, self._size

    def describe(self) -> MailStatus:
        """Return how much is kept."""
        return MailStatus(*self.amounts)

    # Owners

    def asked(self, link: Link, record: Mailboxes, step: Step) -> Rejected | None:
        """An owner says which mailboxes it has, and wants what lies in them."""
        assert link.peer is not None
        named: dict[bytes, bytes] = {}
        for public in record.keys:
            named[mailbox_name(link.peer, public)] = public
        owned = self._owned.get(link.peer, {})
        if not record.more:
            for name in [name for name in owned if name not in named]:
                self._close(name, step)
        fresh = sum(name not in owned for name in named)
        if len(owned) + fresh > MAILBOXES_OF_ONE_MAX:
            return Rejected(Reason.QUOTA, f"{len(owned) + fresh} mailboxes of one device")
        if len(self._boxes) + fresh > MAILBOXES_MAX:
            return Rejected(Reason.QUOTA, f"{len(self._boxes)} mailboxes at this relay")
        feed = self._feeds.setdefault(link.id, _Feed())
        for name, public in named.items():
            box = self._boxes.get(name)
            is_new = box is None
            if box is None:
                box = _Box(link.peer, public, step.now.wall)
                self._add(name, box)
            if is_new or step.now.wall - box.asked > _DAY:
                box.asked = step.now.wall
                row = box.owner + box.public + varint(box.asked)
                step.put(Table.MAILBOX, name, row)
            box.link = link.id
            box.flying.clear()
            if box.lying:
                feed.queue[name] = None
        self._feed(link, feed, step)
        return None

    def _close(self, name: bytes, step: Step) -> None:
        """Give a mailbox up, and what lies in it."""
        box = self._boxes.pop(name)
        owned = self._owned[box.owner]
        del owned[name]
        if not owned:
            del self._owned[box.owner]
        step.drop(Table.MAILBOX, name)
        for identifier in list(box.lying):
            self._remove(name, box, identifier, step)

    def _remove(self, name: bytes, box: _Box, identifier: bytes, step: Step) -> None:
        lying = box.lying.pop(identifier)
        box.flying.pop(identifier, None)
        box.size -= lying.size
        self._size -= lying.size
        self._count -= 1
        key = rows.mail_key(name, lying.number)
        step.drop(Table.MAILBOX, key)
        step.drop(Table.MAIL, key)

    def collected(self, link: Link, record: Collected, step: Step) -> Rejected | None:
        """An owner has taken mails, and what they did is durable there."""
        box = self._boxes.get(record.mailbox)
        if box is None:
            return None  # it was closed meanwhile
        if box.owner != link.peer:
            return Rejected(Reason.OUT_OF_TURN, "a mailbox of another device")
        for identifier in record.ids:
            if identifier in box.lying:
                self._remove(record.mailbox, box, identifier, step)
        feed = self._feeds.get(link.id)
        if feed is not None and len(box.lying) > len(box.flying):
            feed.queue[record.mailbox] = None
            self._feed(link, feed, step)
        return None

    def closed(self, link: Link) -> None:
        """A link is gone: what was on its way by it lies still."""
        if self._feeds.pop(link.id, None) is None or link.peer is None:
            return
        for name in self._owned.get(link.peer, {}):
            box = self._boxes[name]
            if box.link == link.id:
                box.link = None
                box.flying.clear()

    # Writers

    def post(self, link: Link, record: Post, step: Step) -> Rejected | None:
        """Keep a mail, or say why not. Rejected, and the link ends: no key of the mailbox."""
        identifier = post_id(record.sealed)
        box = self._boxes.get(record.mailbox)
        if box is not None:
            claim = write_claim(self._device, record.mailbox, identifier)
            if not self._crypto.verify(box.public, claim, record.signature):
                return Rejected(Reason.BAD_SIGNATURE, "a mail without the key of its mailbox")
            if identifier in box.lying:
                self._answer(link, record.mailbox, identifier, step)
                return None
        refusal = self._check(box, len(record.sealed), step.instant)
        if refusal is not None or box is None:
            assert refusal is not None
            step.report("refused", device=link.peer, refusal=refusal)
            said = Posted(record.mailbox, (identifier,), refusal.reason)
            self._links.say(link, said, step)
            return None
        if box.bucket is None:
            box.bucket = Bucket(at_once=MAIL_BURST, rate=MAIL_RATE // 60)
        box.bucket.spend(1, step.instant)
        lying = _Lying(box.last + 1, len(record.sealed), step.now.wall)
        self._lay(box, identifier, lying)
        key = rows.mail_key(record.mailbox, lying.number)
        row = identifier + varint(lying.size) + varint(lying.left)
        step.put(Table.MAILBOX, key, row)
        step.put(Table.MAIL, key, record.sealed)
        self._answer(link, record.mailbox, identifier, step)
        step.when_durable(partial(self._pass_on, record, identifier))
        return None

    def _answer(self, link: Link, mailbox: bytes, identifier: bytes, step: Step) -> None:
        """Say that a mail is durable, once it is."""
        said = Posted(mailbox, (identifier,), None)
        step.when_durable(lambda later: self._links.say(link, said, later))

    def _check(self, box: _Box | None, size: int, now: Instant) -> Rejected | None:
        """Find out whether a mail may be kept."""
        if box is None:
            return Rejected(Reason.NO_MAILBOX)
        if not is_padded(size):
            return Rejected(Reason.MALFORMED, f"a mail of {size} bytes")
        if box.bucket is not None and not box.bucket.has(1, now):
            return Rejected(Reason.RATE, f"more than {MAIL_RATE} mails a minute")
        if len(box.lying) >= MAILBOX_COUNT_MAX or box.size + size > MAILBOX_BYTES_MAX:
            return Rejected(Reason.QUOTA, f"{len(box.lying)} mails of {box.size} bytes")
        if self._count >= MAIL_COUNT_MAX or self._size + size > MAIL_BYTES_MAX:
            return Rejected(Reason.QUOTA, "this relay is full")
        return None

    # What lies here goes to its owner

    def _pass_on(self, record: Post, identifier: bytes, step: Step) -> None:
        """A mail is durable: if its owner is linked, and nothing is before it, it goes on."""
        box = self._boxes.get(record.mailbox)
        if box is None or box.link is None or identifier not in box.lying:
            return
        link, feed = self._links.get(box.link), self._feeds.get(box.link)
        if link is None or feed is None or identifier in box.flying:
            return
        waits = feed.busy or feed.queue or len(box.lying) > len(box.flying) + 1
        if waits:
            feed.queue[record.mailbox] = None
            self._feed(link, feed, step)
            return
        box.flying[identifier] = None
        self._links.say(link, record, step)

    def has_room(self, link: LinkId, step: Step) -> None:
        """What an owner was sent has left: go on."""
        feed, found = self._feeds.get(link), self._links.get(link)
        if feed is not None and found is not None and feed.busy:
            feed.busy = False
            self._feed(found, feed, step)

    def _feed(self, link: Link, feed: _Feed, step: Step) -> None:
        """Read the next mails for an owner: the oldest of one mailbox that are not flying."""
        while feed.queue and not feed.busy:
            name = next(iter(feed.queue))
            box = self._boxes.get(name)
            chosen = {} if box is None else _next_of(box)
            if box is None or not chosen:
                del feed.queue[name]
                continue
            box.flying |= dict.fromkeys(chosen)
            feed.busy = True
            numbers = [lying.number for lying in chosen.values()]
            keys = rows.mail_key(name, numbers[0]), rows.mail_key(name, numbers[-1] + 1)
            then = partial(self._read, link, name, chosen)
            step.read(Table.MAIL, keys, MAILBOX_COUNT_MAX, then)

    def _read(
        self, link: Link, name: bytes, chosen: dict[bytes, _Lying], step: Step, found: Rows
    ) -> None:
        """Send what was read, and go on when it has left."""
        feed, box = self._feeds.get(link.id), self._boxes.get(name)
        if feed is None:
            return
        sealed = {rows.number_of(key): value for key, value in found}
        size = 0
        for identifier, lying in chosen.items():
            if box is not None and identifier in box.lying and lying.number in sealed:
                self._links.say(link, Post(name, sealed[lying.number], b""), step)
                size += lying.size
        if size < _ROOM_BYTES:
            feed.busy = False
            self._feed(link, feed, step)
        else:
            self._links.flush(step)
            step.act(AwaitRoom(link.id))

    # Time

    def tick(self, step: Step) -> None:
        """Let go of what is too old, once an hour."""
        if self._sweep is not None and step.instant < self._sweep:
            return
        self._sweep = after(step.instant, _SWEEP)
        for name, box in list(self._boxes.items()):
            if box.link is None and step.now.wall - box.asked > _GIVEN_UP:
                self._close(name, step)
                continue
            for identifier, lying in list(box.lying.items()):
                if step.now.wall - lying.left <= _AGE_MAX:
                    break  # they lie in the order in which they came
                self._remove(name, box, identifier, step)

    def check(self) -> None:
        """Assert that the sums are right, and that every bound is kept."""
        boxes = self._boxes.values()
        assert self._count == sum(len(box.lying) for box in boxes)
        assert self._size == sum(box.size for box in boxes)
        assert sum(map(len, self._owned.values())) == len(self._boxes)
        for name, box in self._boxes.items():
            assert mailbox_name(box.owner, box.public) == name
            assert len(box.lying) <= MAILBOX_COUNT_MAX
            assert box.size == sum(each.size for each in box.lying.values())
            assert box.flying.keys() <= box.lying.keys()


def _next_of(box: _Box) -> dict[bytes, _Lying]:
    """Return the oldest mails that are not on their way, as many as may be."""
    chosen: dict[bytes, _Lying] = {}
    size = 0
    for identifier, lying in box.lying.items():
        if size >= _PAGE_BYTES:
            break
        if identifier not in box.flying:
            chosen[identifier] = lying
            size += lying.size
    return chosen
