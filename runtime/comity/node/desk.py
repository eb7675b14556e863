"""The desk: what a node holds, and who speaks for it.

Owns: the replicas and shelves of a node, and what their parts tell each other. May not know:
events of the driver (`node.core`), how commands are answered (`node.answers`), bytes on links
(`node.links`), the sync of one topic (`node.syncing`).
Source: ARCHITECTURE 'Layers'.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from comity.actor.fold import Folded
from comity.base.errors import Reason, Rejected
from comity.base.ids import CommitId, DeviceId, LinkId, Topic, short
from comity.base.limits import WELCOME_ADDRESSES_MAX
from comity.node import describing, rows
from comity.node.admission import Admission
from comity.node.answers import Answers
from comity.node.beats import Phase
from comity.node.commands import Command
from comity.node.delivery import Delivery
from comity.node.devices import Stranded, formers_of
from comity.node.dialer import Purpose
from comity.node.effects import Table
from comity.node.journal import Hand
from comity.node.links import Link, Links
from comity.node.loading import Saved, by_topic
from comity.node.mailboxes import MailboxKeeper
from comity.node.mailing import Mailing
from comity.node.refusals import Refusals, Refused
from comity.node.relays import Relays
from comity.node.replica import Replica
from comity.node.shelf import Shelf
from comity.node.step import Rows, Step
from comity.node.syncing import Syncing
from comity.node.whereabouts import Whereabouts
from comity.protocol.session import Endpoint
from comity.wire.records import (
    Acknowledge,
    Codec,
    Collected,
    Commit,
    JoinRequest,
    Mail,
    Mailboxes,
    PairAnswer,
    PairShare,
    Peers,
    Post,
    Posted,
    Record,
    Refusal,
    Welcome,
)

__all__ = ["Desk"]


class Desk:
    """Everything a node holds. Implements `links.Conversation` and `replica.Listener`."""

    __slots__ = (
        "_answers",
        "_replicas",
        "_shelves",
        "_store",
        "admission",
        "delivery",
        "device",
        "formers",
        "hand",
        "is_relay",
        "links",
        "mailboxes",
        "refusals",
        "relays",
        "stranded",
        "superseded",
        "syncing",
        "where",
    )

    def __init__(
        self,
        hand: Hand,
        endpoint: Endpoint,
        codec: Codec,
        *,
        store: bytes,
        relay: bool,
        found: Mapping[Table, Rows],
    ) -> None:
        """Rebuild everything from the rows of the store."""
        self.device = hand.signer.device
        self.formers = formers_of(found.get(Table.META, ()))
        self.superseded: CommitId | None = None
        self.stranded = Stranded(found.get(Table.STRANDED, ()))
        self.links = Links(endpoint, codec, self)
        self.where = Whereabouts(self.device, self.links)
        self.relays = Relays(self.links)
        self.hand = hand
        self._store = store
        self.is_relay = relay
        self.refusals = Refusals()
        self._replicas: dict[Topic, Replica] = {}
        self._shelves: dict[Topic, Shelf] = {}
        self.syncing = Syncing(self.links, self, hand.entropy, found.get(Table.CURSOR, ()))
        self.admission = Admission(hand, found.get(Table.INVITE, ()), self._founded)
        mailing = Mailing(hand, self.links, self.relays, found.get(Table.ROUTE, ()))
        self.delivery = Delivery(self.device, self.links, self.replica, found, mailing)
        self.mailboxes = (
            MailboxKeeper(self.device, hand.crypto, self.links, found.get(Table.MAILBOX, ()))
            if relay
            else None
        )
        self._answers = Answers(self)
        self._rebuild(found)

    # What is held

    def replica(self, topic: Topic) -> Replica | None:
        """Return the replica of an actor, if this node holds one."""
        return self._replicas.get(topic)

    def replica_awake(self, topic: Topic) -> Replica:
        """Return the replica whose cell spoke."""
        replica = self._replicas[topic]
        assert replica.beats.phase is not Phase.ASLEEP
        return replica

    def holding(self, topic: Topic) -> Replica | Shelf | None:
        """Return what this node holds of a topic."""
        return self._replicas.get(topic) or self._shelves.get(topic)

    @property
    def replicas(self) -> tuple[Replica, ...]:
        """All replicas, in the order in which they came."""
        return tuple(self._replicas.values())

    @property
    def shelves(self) -> tuple[Shelf, ...]:
        """All shelves, in the order in which they came."""
        return tuple(self._shelves.values())

    @property
    def actors(self) -> tuple[Topic, ...]:
        """The actors that this node has replicas of, in the order in which they came."""
        return tuple(self._replicas)

    def trusts(self, topic: Topic, peer: DeviceId) -> bool:
        """Whether to sync a topic with a peer: on a relay with all, else with members."""
        replica = self._replicas.get(topic)
        if replica is None:
            return topic in self._shelves
        authority = replica.journal.authority
        return authority is None or authority.role_of(peer) is not None

    def shelve(self, topic: Topic, step: Step) -> Shelf | None:
        """Begin to keep a topic for others; None if this node is no relay."""
        if not self.is_relay:
            return None
        shelf = self._shelves.get(topic)
        if shelf is None:
            shelf = Shelf(topic, self.syncing, store=self._store, found=())
            self._shelves[topic] = shelf
            row = rows.TopicRow("", b"", shelf=True)
            step.put(Table.TOPIC, topic, rows.encode_topic(row))
        return shelf

    def refused(
        self,
        step: Step,
        topic: Topic | None,
        commit: CommitId | None,
        refusal: Rejected,
        source: DeviceId | None,
    ) -> None:
        """Remember and report a refusal."""
        self.refusals.note(Refused(topic, commit, source, refusal, step.now.wall))
        step.report("refused", topic=topic, commit=commit, device=source, refusal=refusal)

    def folded(self, event: Folded, step: Step) -> None:
        """A cell applied a fold; what in it broke a rule is counted, each commit once."""
        replica = self.replica_awake(event.topic)
        replica.folded(event, step)
        for commit, refusal, author in describing.breaches(
            event, replica.journal, self.refusals
        ):
            self.refused(step, event.topic, commit, refusal, author)

    def _rebuild(self, found: Mapping[Table, Rows]) -> None:
        """Make replicas and shelves from their rows."""
        keys: dict[Topic, list[tuple[CommitId, bytes]]] = {}
        for key, value in found.get(Table.EPOCH, ()):
            topic, epoch = rows.split_epoch_key(key)
            keys.setdefault(topic, []).append((epoch, value))
        logs = by_topic(found.get(Table.COMMIT, ()))
        runs, indexes = (by_topic(found.get(each, ())) for each in (Table.RUN, Table.INDEX))
        for key, value in found.get(Table.TOPIC, ()):
            topic, row = Topic(key), rows.decode_topic(value)
            log = tuple(logs.get(topic, ()))
            if row.shelf:
                self._shelves[topic] = Shelf(topic, self.syncing, store=self._store, found=log)
            else:
                packed, index = (tuple(each.get(topic, ())) for each in (runs, indexes))
                saved = Saved(tuple(keys.get(topic, ())), log, packed, index)
                replica = Replica(
                    topic, self.hand, self.syncing, row=row, store=self._store, saved=saved
                )
                replica.stranded = self.stranded
                self._replicas[topic] = replica

    def recover(self, found: Mapping[Table, Rows], step: Step) -> None:
        """Finish what a crash interrupted, then call whom this node knows."""
        drafts: dict[Topic, list[tuple[bytes, bytes]]] = {}
        for key, value in found.get(Table.DRAFT, ()):
            drafts.setdefault(rows.topic_of_key(key), []).append((key, value))
        for topic in self._replicas:
            step.touch(topic)
        if self.stranded:
            self._recall(step)
        for topic, left in drafts.items():
            self._replicas[topic].beats.recover(tuple(left), step)
        self.where.recover(found.get(Table.PEER, ()), step)
        for key, _ in found.get(Table.RELAY, ()):
            self.relays.use(key.decode(), step)
        self.delivery.recover(step)

    def _recall(self, step: Step) -> None:
        """Let go of stranded turns that the log holds: what ended their device brought them."""

        def seen(replica: Replica, later: Step, found: Mapping[int, Commit]) -> None:
            for number, commit in found.items():
                turns = replica.journal.turns_of(commit)
                graph = replica.journal.graph
                self.stranded.seen(later, replica.topic, graph, number - 1, turns)

        for topic, replica in self._replicas.items():
            journal = replica.journal
            for index in range(len(journal.graph)):
                if self.stranded.awaits(topic, journal.graph, index):
                    replica.cold.read(step, index + 1, index + 1, partial(seen, replica))

    def check(self) -> None:
        """Assert the invariants of everything that is held."""
        self.links.check()
        self.relays.check()
        for replica in self._replicas.values():
            replica.check()
        for shelf in self._shelves.values():
            shelf.check()
        if self.mailboxes is not None:
            self.mailboxes.check()

    # Conversation: what is said over links

    def opened(self, link: Link, step: Step) -> None:
        """A link is open: join by it, or say what this side has."""
        if link.purpose is Purpose.JOIN:
            self.admission.opened(link, step, self.links)
        if self.where.here:
            self.links.say(link, Peers(((self.device, self.where.here),)), step)
        self.syncing.opened(link, step)
        self.delivery.opened(link, step)
        for topic, replica in self._replicas.items():
            if link.purpose is not Purpose.RELAY and _has_removed(replica, link.peer):
                tag = link.open_session().tag(topic)
                self.links.say(link, Refusal(Reason.NO_GRANT, "removed", tag), step)

    def heard(self, link: Link, record: Record, step: Step) -> Rejected | None:
        """A record came."""
        if self.superseded is not None:
            return None  # it came with the news; nobody is answered any more
        match record:
            case JoinRequest():
                return self._admit(link, record, step)
            case Welcome():
                link.admitted = True
                return self.admission.welcomed(link, record, step)
            case PairShare():
                self.admission.pair(link, record, step, self.links)
            case PairAnswer():
                return self.admission.paired(link, record, step, self.links)
            case Peers():
                assert link.peer is not None
                self.where.hear(link.peer, record.peers, self._shares, step)
            case Mail():
                return self.delivery.heard_mail(link, record, step)
            case Acknowledge():
                return self.delivery.heard_acknowledge(link, record, step)
            case Mailboxes() | Post() | Posted() | Collected():
                return self._heard_mailbox(link, record, step)
            case Refusal(reason, detail, tag) if not tag:
                link.admitted = True
                self.admission.refused(link, Rejected(reason, detail), step)
                step.report("told", device=link.peer, refusal=Rejected(reason, detail))
            case Refusal(Reason.NO_GRANT, _, tag, ()) if topic := self._named(link, tag):
                said = f"this device was removed from actor {short(topic)} while it was away"
                step.report("told", topic=topic, device=link.peer, detail=said)
            case _:
                return self.syncing.heard(link, record, step)
        return None

    def _heard_mailbox(
        self, link: Link, record: Mailboxes | Post | Posted | Collected, step: Step
    ) -> Rejected | None:
        """A record between a relay and those who use its mailboxes came."""
        match record:
            case Posted():
                self.delivery.mailing.posted(link, record, step)
                return None
            case Post() if self.mailboxes is None:
                return self.delivery.mailing.heard_post(link, record, step)
            case _ if self.mailboxes is None:
                return Rejected(Reason.UNSUPPORTED, "this node is no relay")
            case Post():
                return self.mailboxes.post(link, record, step)
            case Mailboxes():
                return self.mailboxes.asked(link, record, step)
            case Collected():
                return self.mailboxes.collected(link, record, step)

    def has_room(self, link: LinkId, step: Step) -> None:
        """What was sent over a link has left: go on with what waited for that."""
        self.syncing.has_room(link, step)
        if self.mailboxes is not None:
            self.mailboxes.has_room(link, step)

    def _named(self, link: Link, tag: bytes) -> Topic | None:
        """Return the actor held here that a tag names on a link."""
        session = link.open_session()
        return next((topic for topic in self._replicas if session.tag(topic) == tag), None)

    def closed(self, link: Link, why: str, step: Step) -> None:
        """A link is gone."""
        self.syncing.closed(link)
        self.relays.closed(link)
        self.delivery.closed(link, step)
        if self.mailboxes is not None:
            self.mailboxes.closed(link)
        self.admission.closed(link, why, step, self.links)

    def synced(self, topic: Topic, peer: DeviceId | None, step: Step) -> None:
        """All that a peer has of an actor is here: the time to replace prekeys, if ever."""
        prekeys = self.hand.prekeys
        prekeys.renew(step, self.hand.crypto, self.hand.entropy)
        replica = self._replicas.get(topic)
        if replica is not None:
            if peer is not None:
                replica.compared_with(peer)
            replica.name_prekey(step)
        held = self._replicas.values()
        own = self.delivery.mailing.own
        prekeys.erase(
            step,
            lambda old: (
                own.names_prekey(old) or any(r.journal.named_prekey() == old for r in held)
            ),
        )

    def secret_for(self, tag: bytes, ephemeral: bytes) -> bytes | None:
        """Return the seed of the invite that a newcomer shows."""
        return self.admission.secret_for(tag, ephemeral)

    def _admit(self, link: Link, request: JoinRequest, step: Step) -> Rejected | None:
        """Answer a newcomer: a welcome once the grant is durable, or why not."""
        admitted = self.admission.admit(link, request, step, self.replica)
        assert link.peer is not None
        if isinstance(admitted, Rejected):
            self.refused(step, None, None, admitted, link.peer)
            self.links.say(link, Refusal(admitted.reason, admitted.detail), step)
            link.admitted = True
            return None
        replica, grant = admitted
        journal = replica.journal
        trusted = partial(self.trusts, replica.topic)
        welcome = Welcome(
            topic=replica.topic,
            actor_type=journal.actor_type,
            grant=grant,
            keys=journal.epochs.held,
            relays=self.relays.addresses[:WELCOME_ADDRESSES_MAX],
            peers=self.where.of(trusted)[:WELCOME_ADDRESSES_MAX],
        )

        def answer(later: Step) -> None:
            self.links.say(link, welcome, later)
            link.admitted = True
            self.syncing.announce(replica.topic, later)

        step.when_durable(answer)
        return None

    def _founded(self, step: Step, welcome: Welcome) -> None:
        """Make the replica that a welcome describes; its log comes by sync."""
        if welcome.topic not in self._replicas:
            row = rows.TopicRow(welcome.actor_type, welcome.grant, shelf=False)
            self.add_replica(welcome.topic, row, step)
        self._replicas[welcome.topic].keys_learned(step, welcome.keys)
        for address in welcome.relays:
            self.relays.use(address, step)
        self.where.welcome(welcome.peers, step)
        step.when_durable(lambda later: self.syncing.announce(welcome.topic, later))

    def _shares(self, device: DeviceId) -> bool:
        """Tell whether a device is known to be a member of an actor that is held here."""
        found = [replica.journal.authority for replica in self._replicas.values()]
        return any(each is not None and each.role_of(device) is not None for each in found)

    def command(self, command: Command, step: Step) -> None:
        """Carry out what the owner asks, and answer it."""
        self._answers.command(command, step)

    def add_replica(self, topic: Topic, row: rows.TopicRow, step: Step) -> Replica:
        """Begin to hold an actor."""
        step.put(Table.TOPIC, topic, rows.encode_topic(row))
        replica = Replica(
            topic, self.hand, self.syncing, row=row, store=self._store, saved=Saved()
        )
        self._replicas[topic] = replica
        return replica


def _has_removed(replica: Replica, device: DeviceId | None) -> bool:
    """Tell whether a device took part in an actor once, and does no more."""
    authority = replica.journal.authority
    if device is None or authority is None or authority.role_of(device) is not None:
        return False
    return bool(authority.grants_of(device))
