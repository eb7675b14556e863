"""The desk: what a node holds, who speaks for it, and what its owner may ask.

Owns: the replicas and shelves of a node, and the answers to commands. May not know: events
of the driver (`node.core`), bytes on links (`node.links`), the sync of one topic
(`node.syncing`).
Source: ARCHITECTURE 'Layers'.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import assert_never

from comity.actor.fold import Folded
from comity.base.errors import Reason, Rejected, UsageError
from comity.base.ids import CommitId, DeviceId, Token, Topic, short
from comity.base.limits import WELCOME_ADDRESSES_MAX
from comity.log.entries import RemoveEntry, Role
from comity.node import commands, describing, past, rows, undoing
from comity.node.admission import Admission
from comity.node.beats import Phase
from comity.node.commands import Command
from comity.node.delivery import Delivery
from comity.node.devices import Stranded, formers_of
from comity.node.dialer import Purpose
from comity.node.effects import Answer, Table
from comity.node.journal import Hand, Journal
from comity.node.links import Link, Links
from comity.node.loading import Saved, by_topic
from comity.node.refusals import Refusals, Refused
from comity.node.relays import Relays
from comity.node.replica import Replica
from comity.node.shelf import Shelf
from comity.node.step import Rows, Step
from comity.node.syncing import Syncing
from comity.protocol.session import Endpoint
from comity.wire.records import (
    Acknowledge,
    Codec,
    Commit,
    JoinRequest,
    Mail,
    PairAnswer,
    PairShare,
    Peers,
    Record,
    Refusal,
    Welcome,
)

__all__ = ["Desk"]


class Desk:
    """Everything a node holds. Implements `links.Conversation` and `replica.Listener`."""

    __slots__ = (
        "_address",
        "_admission",
        "_hand",
        "_peers",
        "_refusals",
        "_relay",
        "_replicas",
        "_shelves",
        "_store",
        "_stranded",
        "delivery",
        "device",
        "formers",
        "links",
        "relays",
        "superseded",
        "syncing",
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
        self._stranded = Stranded(found.get(Table.STRANDED, ()))
        self.links = Links(endpoint, codec, self)
        self.relays = Relays(self.links)
        self._hand = hand
        self._store = store
        self._relay = relay
        self._address = ""
        self._refusals = Refusals()
        self._replicas: dict[Topic, Replica] = {}
        self._shelves: dict[Topic, Shelf] = {}
        self._peers: dict[DeviceId, str] = {}
        self.syncing = Syncing(self.links, self, hand.entropy, found.get(Table.CURSOR, ()))
        self._admission = Admission(hand, found.get(Table.INVITE, ()), self._founded)
        self.delivery = Delivery(self.device, self.links, self.replica, hand.entropy, found)
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
        if not self._relay:
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
        self._refusals.note(Refused(topic, commit, source, refusal, step.now.wall))
        step.report("refused", topic=topic, commit=commit, device=source, refusal=refusal)

    def folded(self, event: Folded, step: Step) -> None:
        """A cell applied a fold; what in it broke a rule is counted, each commit once."""
        replica = self.replica_awake(event.topic)
        replica.folded(event, step)
        for commit, refusal, author in describing.breaches(
            event, replica.journal, self._refusals
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
                    topic, self._hand, self.syncing, row=row, store=self._store, saved=saved
                )
                replica.stranded = self._stranded
                self._replicas[topic] = replica

    def recover(self, found: Mapping[Table, Rows], step: Step) -> None:
        """Finish what a crash interrupted, then call whom this node knows."""
        drafts: dict[Topic, list[tuple[bytes, bytes]]] = {}
        for key, value in found.get(Table.DRAFT, ()):
            drafts.setdefault(rows.topic_of_key(key), []).append((key, value))
        for topic in self._replicas:
            step.touch(topic)
        if self._stranded:
            self._recall(step)
        for topic, left in drafts.items():
            self._replicas[topic].beats.recover(tuple(left), step)
        for key, value in found.get(Table.PEER, ()):
            self._peers[DeviceId(key)] = value.decode()
            self.links.keep(value.decode(), DeviceId(key), Purpose.PEER, step)
        for key, _ in found.get(Table.RELAY, ()):
            self.relays.use(key.decode(), step)
        self.delivery.recover(step)

    def _recall(self, step: Step) -> None:
        """Let go of stranded turns that the log holds: what ended their device brought them."""

        def seen(replica: Replica, later: Step, found: Mapping[int, Commit]) -> None:
            for number, commit in found.items():
                turns = replica.journal.turns_of(commit)
                graph = replica.journal.graph
                self._stranded.seen(later, replica.topic, graph, number - 1, turns)

        for topic, replica in self._replicas.items():
            journal = replica.journal
            for index in range(len(journal.graph)):
                if self._stranded.awaits(topic, journal.graph, index):
                    replica.cold.read(step, index + 1, index + 1, partial(seen, replica))

    def check(self) -> None:
        """Assert the invariants of everything that is held."""
        self.links.check()
        self.relays.check()
        for replica in self._replicas.values():
            replica.check()
        for shelf in self._shelves.values():
            shelf.check()

    # Conversation: what is said over links

    def opened(self, link: Link, step: Step) -> None:
        """A link is open: join by it, or say what this side has."""
        if link.purpose is Purpose.JOIN:
            self._admission.opened(link, step, self.links)
        if self._address:
            self.links.say(link, Peers(((self.device, self._address),)), step)
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
                return self._admission.welcomed(link, record, step)
            case PairShare():
                self._admission.pair(link, record, step, self.links)
            case PairAnswer():
                return self._admission.paired(link, record, step, self.links)
            case Peers():
                self._learn_peers(link, record, step)
            case Mail():
                return self.delivery.heard_mail(link, record, step)
            case Acknowledge():
                return self.delivery.heard_acknowledge(link, record, step)
            case Refusal(reason, detail, tag) if not tag:
                link.admitted = True
                self._admission.refused(link, Rejected(reason, detail), step)
                step.report("told", device=link.peer, refusal=Rejected(reason, detail))
            case Refusal(Reason.NO_GRANT, _, tag, ()) if topic := self._named(link, tag):
                said = f"this device was removed from actor {short(topic)} while it was away"
                step.report("told", topic=topic, device=link.peer, detail=said)
            case _:
                return self.syncing.heard(link, record, step)
        return None

    def _named(self, link: Link, tag: bytes) -> Topic | None:
        """Return the actor held here that a tag names on a link."""
        session = link.open_session()
        return next((topic for topic in self._replicas if session.tag(topic) == tag), None)

    def closed(self, link: Link, why: str, step: Step) -> None:
        """A link is gone."""
        self.syncing.closed(link)
        self.relays.closed(link)
        self.delivery.closed(link)
        self._admission.closed(link, why, step, self.links)

    def synced(self, topic: Topic, peer: DeviceId | None, step: Step) -> None:
        """All that a peer has of an actor is here: the time to replace prekeys, if ever."""
        prekeys = self._hand.prekeys
        prekeys.renew(step, self._hand.crypto, self._hand.entropy)
        replica = self._replicas.get(topic)
        if replica is not None:
            if peer is not None:
                replica.compared_with(peer)
            replica.name_prekey(step)
        held = self._replicas.values()
        prekeys.erase(step, lambda old: any(r.journal.named_prekey() == old for r in held))

    def secret_for(self, tag: bytes, ephemeral: bytes) -> bytes | None:
        """Return the seed of the invite that a newcomer shows."""
        return self._admission.secret_for(tag, ephemeral)

    def _admit(self, link: Link, request: JoinRequest, step: Step) -> Rejected | None:
        """Answer a newcomer: a welcome once the grant is durable, or why not."""
        admitted = self._admission.admit(link, request, step, self.replica)
        assert link.peer is not None
        if isinstance(admitted, Rejected):
            self.refused(step, None, None, admitted, link.peer)
            self.links.say(link, Refusal(admitted.reason, admitted.detail), step)
            link.admitted = True
            return None
        replica, grant = admitted
        journal = replica.journal
        welcome = Welcome(
            topic=replica.topic,
            actor_type=journal.actor_type,
            grant=grant,
            keys=journal.epochs.held,
            relays=self.relays.addresses[:WELCOME_ADDRESSES_MAX],
            peers=self._peers_of(replica)[:WELCOME_ADDRESSES_MAX],
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
            self._add_replica(welcome.topic, row, step)
        self._replicas[welcome.topic].keys_learned(step, welcome.keys)
        for address in welcome.relays:
            self.relays.use(address, step)
        for device, address in welcome.peers:
            if device not in self._peers:
                self._know(device, address, step)
        step.when_durable(lambda later: self.syncing.announce(welcome.topic, later))

    def _learn_peers(self, link: Link, record: Peers, step: Step) -> None:
        """Remember where members are, as members say.

        A peer's word for itself counts over others'; strangers are not listened to.
        """
        assert link.peer is not None
        if not self._shares(link.peer):
            return
        for device, address in record.peers:
            if self._shares(device) and (device == link.peer or device not in self._peers):
                self._know(device, address, step)

    def _shares(self, device: DeviceId) -> bool:
        """Tell whether a device is known to be a member of an actor that is held here."""
        found = [replica.journal.authority for replica in self._replicas.values()]
        return any(each is not None and each.role_of(device) is not None for each in found)

    def _know(self, device: DeviceId, address: str, step: Step) -> None:
        if device == self.device or self._peers.get(device) == address:
            return
        self._peers[device] = address
        step.put(Table.PEER, device, address.encode())
        self.links.keep(address, device, Purpose.PEER, step)

    def _peers_of(self, replica: Replica) -> tuple[tuple[DeviceId, str], ...]:
        """Return where the members of an actor are, this device first."""
        found = [(self.device, self._address)] if self._address else []
        found += [
            (device, address)
            for device, address in self._peers.items()
            if self.trusts(replica.topic, device)
        ]
        return tuple(found)

    # Commands

    def command(self, command: Command, step: Step) -> None:
        """Carry out what the owner asks, and answer it."""
        result = self._carry_out(command, step)
        if result is not None:
            self._answer(command.token, result, step)

    def _answer(self, token: Token, result: object, step: Step) -> None:
        """Answer once all that was written so far is durable."""
        step.when_durable(lambda later: later.act(Answer(token, result)))

    def _carry_out(self, command: Command, step: Step) -> object:
        """Return the answer, or None if it comes later."""
        match command:
            case commands.Create(_, actor_type):
                return self._create(actor_type, step)
            case commands.Activate(_, topic):
                return self._activate(topic, step)
            case commands.Deactivate(_, topic):
                return self._deactivate(topic, step)
            case commands.OfferInvite() | commands.OfferCode():
                return self._offer(command, step)
            case commands.Join():
                self._admission.join(step, command, self.links)
                return None
            case commands.Remove():
                return self._remove(command, step)
            case commands.DescribeLog(_, topic, count):
                replica = self._replicas.get(topic)
                return self._unknown(topic) if replica is None else replica.log(count)
            case commands.Undo() | commands.Redo() | commands.Adopt():
                return self._decide(command, step)
            case commands.ReadPast():
                return self._read_past(command, step)
            case commands.DescribeMembers(_, topic):
                return self._members(topic)
            case commands.ExplainCommit(_, prefix):
                return describing.explain(self._replicas.values(), self._refusals, prefix)
            case commands.DescribeNode():
                return self._status()
            case commands.GiveLink() | commands.TakeBack() | commands.Reach():
                return self._link(command, step)
            case commands.UseRelay() | commands.ForgetRelay():
                return self.relays.carry_out(command, step)
            case commands.Listening(_, address):
                self._address = address
                return True
            case _:
                assert_never(command)

    def _create(self, actor_type: str, step: Step) -> object:
        if self._relay:
            return UsageError("a relay hosts no actors: create them on a node of your own")
        topic, made, key = Journal.found(self._hand, actor_type, step.now.wall)
        replica = self._add_replica(topic, rows.TopicRow(actor_type, b"", shelf=False), step)
        replica.keys_learned(step, ((made.id, key),))
        replica.found(step, Commit(made.sealed, made.beside))
        step.when_durable(lambda later: self.syncing.announce(topic, later))
        return topic

    def _activate(self, topic: Topic, step: Step) -> object:
        replica = self._replicas.get(topic)
        if replica is None:
            return self._unknown(topic)
        if replica.beats.phase is not Phase.ASLEEP:
            return UsageError(f"actor {short(topic)} is open already: use the ref you have")
        replica.beats.wake(step)
        self.delivery.woken(topic)
        return replica.journal.actor_type

    def _deactivate(self, topic: Topic, step: Step) -> object:
        replica = self._replicas.get(topic)
        if replica is not None and replica.beats.phase is not Phase.ASLEEP:
            replica.beats.sleep(step)
            step.touch(topic)
        return True

    def _offer(self, command: commands.OfferInvite | commands.OfferCode, step: Step) -> object:
        replica = self._replicas.get(command.topic)
        if replica is None:
            return self._unknown(command.topic)
        role = replica.journal.role
        if role is not Role.ADMIN:
            own = "no member" if role is None else f"a {role.name.lower()}"
            return UsageError(
                f"this device is {own} of actor {short(command.topic)}: only an admin can "
                "invite; ask one for an invite as 'admin'"
            )
        if not self._address:
            return UsageError(
                "this node takes no connections, so nobody could use the invite: start it "
                "with an address to listen at"
            )
        if isinstance(command, commands.OfferCode):
            return self._admission.codes.offer(step, command.topic, command.role)
        return self._admission.offer(
            step, command.topic, command.role, command.expires, (self._address,)
        )

    def _link(
        self, command: commands.GiveLink | commands.TakeBack | commands.Reach, step: Step
    ) -> object:
        match command:
            case commands.GiveLink():
                return self._give_link(command, step)
            case commands.TakeBack(_, grant):
                self.delivery.grants.revoke(step, grant)
            case commands.Reach(_, device, addresses):
                for address in addresses:
                    self._know(device, address, step)
            case _:
                assert_never(command)
        return True

    def _give_link(self, command: commands.GiveLink, step: Step) -> object:
        if command.topic not in self._replicas:
            return self._unknown(command.topic)
        return self.delivery.give(command, self._address, step)

    def _remove(self, command: commands.Remove, step: Step) -> object:
        replica = self._replicas.get(command.topic)
        if replica is None:
            return self._unknown(command.topic)
        removal = replica.append(step, RemoveEntry(command.device))
        if isinstance(removal, Rejected):
            return UsageError(f"device {short(command.device)} cannot be removed: {removal}")
        if command.device != self.device:
            refusal = replica.rotate(step)
            assert refusal is None, refusal
        return removal

    def _decide(
        self, command: commands.Undo | commands.Redo | commands.Adopt, step: Step
    ) -> object:
        """Have it decided while no turn runs, and answer when it is durable."""
        replica = self._replicas.get(command.topic)
        if replica is None:
            return self._unknown(command.topic)

        def decide(later: Step) -> None:
            match command:
                case commands.Undo(_, _, turn):
                    result: object = undoing.undo(replica, turn, later)
                case commands.Redo(_, _, turn):
                    result = undoing.redo(replica, turn, later)
                case commands.Adopt(_, _, prefix):
                    result = undoing.adopt(replica, prefix, later)
                case _:
                    assert_never(command)
            self._answer(command.token, result, later)

        replica.decide(step, decide)
        return None

    def _read_past(self, command: commands.ReadPast, step: Step) -> object:
        replica = self._replicas.get(command.topic)
        if replica is None:
            return self._unknown(command.topic)

        def then(found: object, later: Step) -> None:
            self._answer(command.token, found, later)

        if command.newest is not None:
            past.read_newest(replica, command.newest, step, then)
            return None
        return past.read_version(replica, command.version, step, then)

    def _members(self, topic: Topic) -> object:
        replica = self._replicas.get(topic)
        if replica is None:
            return self._unknown(topic)
        return describing.members(replica, self.device, self.links)

    def _status(self) -> commands.NodeStatus:
        links = tuple((link.peer, link.address) for link in self.links.all)
        return commands.NodeStatus(
            device=self.device,
            crypto=self._hand.crypto.name,
            relay=self._relay,
            address=self._address,
            links=links,
            topics=tuple(replica.status() for replica in self._replicas.values()),
            shelves=tuple(
                (shelf.topic, shelf.holdings.count, shelf.size)
                for shelf in self._shelves.values()
            ),
            refusals=self._refusals.counts,
            formers=describing.formers(self.formers, self._stranded, self._replicas),
            relays=self.relays.describe(),
        )

    def _add_replica(self, topic: Topic, row: rows.TopicRow, step: Step) -> Replica:
        step.put(Table.TOPIC, topic, rows.encode_topic(row))
        replica = Replica(
            topic, self._hand, self.syncing, row=row, store=self._store, saved=Saved()
        )
        self._replicas[topic] = replica
        return replica

    def _unknown(self, topic: Topic) -> UsageError:
        known = ", ".join(short(held) for held in self._replicas) or "none"
        return UsageError(f"no actor {short(topic)} is held here; held are: {known}")


def _has_removed(replica: Replica, device: DeviceId | None) -> bool:
    """Tell whether a device took part in an actor once, and does no more."""
    authority = replica.journal.authority
    if device is None or authority is None or authority.role_of(device) is not None:
        return False
    return bool(authority.grants_of(device))
