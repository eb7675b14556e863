"""This device's own mailboxes: which it has at its relays, and what is taken out of them.

Owns: their names and keys, the words by which relays are told of them, and what has come and
is not handled yet. May not know: edges, what a letter does (`node.delivery`).

    an edge is known, a link is given out --> a mailbox of its own, at every relay in use
    Post --opened--> pending --handled, durably--> Collected
    pending for long --> the relay is asked for everything again

Keys are derived, so nothing is stored but the prekey that a link was given out with: it is kept
for as long as the link stands.
Source: PROTOCOL section 8; decision 38.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from comity.base.clock import MINUTE, SECOND, Duration, Instant, after, earliest
from comity.base.ids import DeviceId
from comity.base.limits import MAILBOXES_OF_ONE_MAX, POSTS_SAID_MAX
from comity.crypto.hashing import PERSON_MAILBOX, blake2b
from comity.node.dialer import Purpose
from comity.node.effects import Table
from comity.node.journal import Hand
from comity.node.links import Link, Links
from comity.node.relays import Relays
from comity.node.step import Rows, Step
from comity.protocol.route import (
    ADDRESS_BYTES_MAX,
    ROUTE_RELAYS_MAX,
    Route,
    encode_route,
    mailbox_name,
    seed_of_edge,
    seed_of_link,
)
from comity.wire.records import Collected, Mailboxes

__all__ = ["LINK_ROW", "OwnMailboxes"]

LINK_ROW: Final = b"g"
"""How the keys of those rows of `Table.ROUTE` begin that hold a link's prekey."""

_ASK_AGAIN: Final = Duration(30 * SECOND)
"""Before a relay is asked again for what came and was not handled; then twice as long."""

_ASK_AGAIN_MAX: Final = Duration(16 * MINUTE)

_ASK_ALL: Final = Duration(10 * MINUTE)
"""Between two times that relays are asked for all that lies there, whatever they sent."""


@dataclass(frozen=True, slots=True)
class _Own:
    """A mailbox. writer: who alone may write to it; None for that of a link."""

    public: bytes
    writer: DeviceId | None


_Place = tuple[DeviceId, bytes, bytes]
"""Where a mail lies: relay, mailbox, its id."""


class OwnMailboxes:
    """All of one device's."""

    __slots__ = (
        "_ask_all_at",
        "_ask_at",
        "_ask_wait",
        "_hand",
        "_known",
        "_link_prekeys",
        "_links",
        "_pending",
        "_relays",
        "_secret",
    )

    def __init__(self, hand: Hand, links: Links, relays: Relays, found: Rows) -> None:
        """Take the prekeys of links from their rows."""
        self._hand = hand
        self._links = links
        self._relays = relays
        self._secret = blake2b(b"", person=PERSON_MAILBOX, key=hand.signer.seed)
        self._known: dict[bytes, _Own] = {}
        self._link_prekeys = {
            key[len(LINK_ROW) :]: value for key, value in found if key.startswith(LINK_ROW)
        }
        self._pending: dict[DeviceId, dict[_Place, int]] = {}
        self._ask_at: Instant | None = None
        self._ask_all_at: Instant | None = None
        self._ask_wait = _ASK_AGAIN

    # Which there are

    @property
    def relays(self) -> tuple[str, ...]:
        """The relays where they are: as many of those in use as a route holds."""
        fit = [a for a in self._relays.addresses if 0 < len(a.encode()) <= ADDRESS_BYTES_MAX]
        return tuple(fit[:ROUTE_RELAYS_MAX])

    def writer_of(self, mailbox: bytes) -> tuple[bool, DeviceId | None]:
        """Tell whether a mailbox is this device's, and who alone may write to it."""
        own = self._known.get(mailbox)
        return own is not None, None if own is None else own.writer

    def route_for(self, device: DeviceId) -> bytes:
        """Return where this device takes what another writes to it; empty if nowhere."""
        relays = self.relays
        if not relays:
            return b""
        seed = seed_of_edge(self._secret, device)
        return encode_route(Route(seed, self._hand.prekeys.newest.public, relays))

    def names_prekey(self, public: bytes) -> bool:
        """Tell whether a link that was given out says to seal to this prekey."""
        return public in self._link_prekeys.values()

    def give(self, name: bytes, step: Step) -> tuple[bytes, tuple[str, ...]]:
        """A link is given out: return the prekey and the relays that stand in it."""
        relays = self.relays
        if not relays:
            return b"", ()
        prekey = self._hand.prekeys.newest.public
        self._link_prekeys[name] = prekey
        step.put(Table.ROUTE, LINK_ROW + name, prekey)
        self._tell(self._add_link(name), step)
        return prekey, relays

    def take_back(self, name: bytes, step: Step) -> None:
        """A link lets nothing in any more: its mailbox is closed."""
        if self._link_prekeys.pop(name, None) is None:
            return
        step.drop(Table.ROUTE, LINK_ROW + name)
        self._known.pop(self._mailbox(seed_of_link(name))[0], None)
        for link in self._links.open:
            if link.purpose is Purpose.RELAY:
                self._ask(link, step)

    def meet(self, device: DeviceId, step: Step) -> None:
        """There is an edge with a device: it has a mailbox from now on."""
        if self.relays:
            self._tell(self._add_edge(device), step)

    def _mailbox(self, seed: bytes) -> tuple[bytes, bytes]:
        signer = self._hand.signer
        public = signer.crypto.sign_public(seed)
        return mailbox_name(signer.device, public), public

    def _add_edge(self, device: DeviceId) -> bytes | None:
        return self._add(seed_of_edge(self._secret, device), device)

    def _add_link(self, name: bytes) -> bytes | None:
        return self._add(seed_of_link(name), None)

    def _add(self, seed: bytes, writer: DeviceId | None) -> bytes | None:
        """Return the key of a mailbox that is new."""
        if len(self._known) >= MAILBOXES_OF_ONE_MAX:
            return None
        name, public = self._mailbox(seed)
        if name in self._known:
            return None
        self._known[name] = _Own(public, writer)
        return public

    def _tell(self, public: bytes | None, step: Step) -> None:
        """Tell the relays of one more."""
        if public is None:
            return
        for link in self._links.open:
            if link.purpose is Purpose.RELAY:
                self._links.say(link, Mailboxes((public,), more=True), step)

    def opened(self, link: Link, devices: Iterable[DeviceId], step: Step) -> None:
        """A relay is linked: tell it of all. devices: those with whom there are edges."""
        for name in self._link_prekeys:
            self._add_link(name)
        for device in devices:
            self._add_edge(device)
        if self._known:
            self._ask(link, step)

    def _ask(self, link: Link, step: Step) -> None:
        self._ask_all_at = after(step.instant, _ASK_ALL)
        keys = tuple(own.public for own in self._known.values())
        self._links.say(link, Mailboxes(keys, more=False), step)

    # What came

    def hold(
        self, link: Link, mailbox: bytes, post: bytes, sender: DeviceId, last: int
    ) -> None:
        """A mail is here and its letters, up to number `last`, are not handled yet."""
        assert link.peer is not None
        self._pending.setdefault(sender, {})[link.peer, mailbox, post] = last

    def let_go(self, link: Link, mailbox: bytes, post: bytes, step: Step) -> None:
        """A mail needs nothing to be handled."""
        self._links.say(link, Collected(mailbox, (post,)), step)

    def handled(self, sender: DeviceId, up_to: int, step: Step) -> None:
        """Letters of a device up to this number are handled, durably: their mails may go."""
        waiting = self._pending.get(sender)
        if not waiting:
            return
        gone: dict[tuple[DeviceId, bytes], list[bytes]] = {}
        for (relay, mailbox, post), last in list(waiting.items()):
            if last <= up_to:
                del waiting[relay, mailbox, post]
                gone.setdefault((relay, mailbox), []).append(post)
        if not waiting:
            del self._pending[sender]
        for (relay, mailbox), posts in gone.items():
            link = self._links.to(relay)
            for start in range(0, len(posts) if link else 0, POSTS_SAID_MAX):
                assert link is not None
                some = tuple(posts[start : start + POSTS_SAID_MAX])
                self._links.say(link, Collected(mailbox, some), step)
        if gone:
            self._ask_at, self._ask_wait = None, _ASK_AGAIN

    def closed(self, link: Link) -> None:
        """A relay is gone: what came from it comes again."""
        for waiting in self._pending.values():
            for place in [place for place in waiting if place[0] == link.peer]:
                del waiting[place]
        for device in [device for device, waiting in self._pending.items() if not waiting]:
            del self._pending[device]

    @property
    def deadline(self) -> Instant | None:
        """When `tick` is due."""
        return earliest(self._ask_all_at, self._ask_at if self._pending else None)

    def tick(self, step: Step) -> None:
        """Ask again for what came and was not handled: there may have been no room for it."""
        if self._ask_all_at is not None and self._ask_all_at <= step.instant:
            self._ask_all_at = None
            for link in self._links.open:
                if link.purpose is Purpose.RELAY:
                    self._ask(link, step)
        if not self._pending:
            self._ask_at = None
            return
        if self._ask_at is None:
            self._ask_at = after(step.instant, self._ask_wait)
        if self._ask_at > step.instant:
            return
        self._ask_wait = Duration(min(2 * self._ask_wait, _ASK_AGAIN_MAX))
        self._ask_at = after(step.instant, self._ask_wait)
        wanted: dict[DeviceId, dict[bytes, None]] = {}
        for waiting in self._pending.values():
            for relay, mailbox, _ in waiting:
                own = self._known.get(mailbox)
                if own is not None:
                    wanted.setdefault(relay, {})[own.public] = None
        for relay, keys in wanted.items():
            found = self._links.to(relay)
            if found is not None:
                self._links.say(found, Mailboxes(tuple(keys), more=True), step)
