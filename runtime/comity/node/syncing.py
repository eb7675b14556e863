"""Syncing: which topics are synced over which links, and the bytes for it.

Owns: the sync machines of all links, by topic, and the way from their words to records and
replicas. May not know: how one topic is brought into step (`protocol.sync`), how pages are
paced (`node.serving`), who counts (`Desk.trusts`).

    a side that holds a topic and trusts the peer with it announces its tag, once a link
    a relay is told the topic instead, and announces its tag in answer
    said and heard -> both sides start a machine; no record of a topic comes before that

A topic that becomes known, or a peer that becomes a member, later is announced then.
Source: PROTOCOL sections 5, 6, 8.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, assert_never

from comity.base.clock import MINUTE, SECOND, Duration, Instant, after, earliest
from comity.base.errors import Reason, Rejected
from comity.base.ids import CommitId, DeviceId, LinkId, Topic
from comity.base.limits import (
    ANNOUNCE_TAGS_MAX,
    KEYS_A_MINUTE_MAX,
    KEYS_ASKED_MAX,
    REPORTS_KEPT_MAX,
    TOPICS_SAID_MAX,
)
from comity.base.ports import Entropy
from comity.node.coming import Coming
from comity.node.cursors import Cursors
from comity.node.dialer import Purpose
from comity.node.links import Link, Links
from comity.node.peer_view import PeerView
from comity.node.refusals import PASSING
from comity.node.replica import Replica, Source
from comity.node.serving import Serving
from comity.node.shelf import Shelf
from comity.node.step import Rows, Step
from comity.protocol.sync import TopicSync
from comity.protocol.sync_port import (
    Compared,
    Delivered,
    Fail,
    Lacks,
    Output,
    Progress,
    SaveCursor,
    Say,
    Serve,
    Synced,
    SyncRecord,
    Take,
)
from comity.wire.records import (
    Acknowledge,
    Announce,
    Collected,
    Commit,
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

if TYPE_CHECKING:
    from comity.node.desk import Desk

__all__ = ["Syncing"]

_COMPARE_WAIT: Final = Duration(30 * SECOND)
"""Least time between two comparisons of a topic with a peer: a summary each way, 130 bytes."""


class _Table:
    """What one open link has to do with topics."""

    __slots__ = (
        "farewells",
        "heard",
        "keys_told",
        "machines",
        "said",
        "tags",
    )

    def __init__(self) -> None:
        self.said: dict[Topic, bytes] = {}
        self.heard: dict[bytes, None] = {}
        self.tags: dict[bytes, Topic] = {}
        self.machines: dict[Topic, TopicSync] = {}
        self.farewells: dict[CommitId, None] = {}
        self.keys_told: tuple[Instant, int] = Instant(0), 0


class Syncing:
    """The sync of everything a node holds. Implements `replica.Listener`."""

    __slots__ = (
        "_compare_at",
        "_desk",
        "_due",
        "_entropy",
        "_links",
        "_refused",
        "_serving",
        "_tables",
        "coming",
        "cursors",
    )

    def __init__(self, links: Links, desk: Desk, entropy: Entropy, cursors: Rows) -> None:
        """Start with the cursors of the store."""
        self._links = links
        self._desk = desk
        self._entropy = entropy
        self._tables: dict[LinkId, _Table] = {}
        self._due: dict[tuple[LinkId, Topic], Instant] = {}
        self._serving = Serving(links)
        self._compare_at: dict[tuple[LinkId, Topic], Instant] = {}
        self._refused: dict[Topic, dict[CommitId, None]] = {}
        self.coming = Coming()
        self.cursors = Cursors(cursors)

    @property
    def deadline(self) -> Instant | None:
        """When `tick` is due."""
        due = earliest(
            min(self._due.values(), default=None), min(self._compare_at.values(), default=None)
        )
        return earliest(due, self._serving.deadline)

    def tick(self, step: Step) -> None:
        """Do what is due: serve on, another incomplete pass, the regular comparison."""
        self._serving.tick(step)
        for (link_id, topic), due in list(self._due.items()):
            found = self._machine(link_id, topic)
            if due <= step.instant and found is not None:
                self._follow(found[0], topic, found[1].wake(step.instant), step)
        for (link_id, topic), due in list(self._compare_at.items()):
            found = self._machine(link_id, topic)
            if due <= step.instant and found is not None:
                self._plan_comparison(found[0], topic, step)
                self._desk.relays.asked(found[0], topic, step)
                self.cursors.save(step)
                self._follow(found[0], topic, found[1].compare(step.instant), step)

    def _plan_comparison(self, link: Link, topic: Topic, step: Step) -> None:
        """Compare again in 30 to 60 s: what a peer kept back from live pushes shows then."""
        share = int.from_bytes(self._entropy.draw(2), "big") / 0xFFFF
        wait = Duration(_COMPARE_WAIT + int(_COMPARE_WAIT * share))
        self._compare_at[link.id, topic] = after(step.instant, wait)

    # Links

    def opened(self, link: Link, step: Step) -> None:
        """Say which actors this node holds, or tell a relay what to keep."""
        self._tables[link.id] = _Table()
        self._serving.opened(link.id)
        self._announce(link, self._desk.actors, step)

    def closed(self, link: Link) -> None:
        """Forget a link."""
        self._tables.pop(link.id, None)
        self._serving.closed(link.id)
        self.coming.closed(link.id)
        for waiting in (self._due, self._compare_at):
            for name in [name for name in waiting if name[0] == link.id]:
                del waiting[name]

    def announce(self, topic: Topic, step: Step) -> None:
        """A topic is held from now on: say so on every link."""
        for link in self._links.open:
            self._announce(link, [topic], step)

    def members_changed(
        self,
        step: Step,
        topic: Topic,
        commit: CommitId,
        joined: Iterable[DeviceId],
        left: Iterable[DeviceId],
    ) -> None:
        """Sync with members that are connected already; part from removed ones.

        A removed device is told so first: its link ends when it has stored the removal.
        """
        for device in joined:
            link = self._links.to(device)
            if link is not None:
                self._announce(link, [topic], step)
        for device in left:
            link = self._links.to(device)
            if link is not None and topic in self._tables[link.id].machines:
                self._tables[link.id].farewells[commit] = None

    def _announce(self, link: Link, topics: Sequence[Topic], step: Step) -> None:
        """Announce topics to who is trusted with them; start those that the peer announced."""
        assert link.peer is not None
        table, session = self._tables[link.id], link.open_session()
        fresh: list[tuple[bytes, Topic]] = []
        for topic in topics:
            if topic not in table.said and self._allowed(link, topic):
                tag = session.tag(topic)
                table.said[topic] = tag
                table.tags[tag] = topic
                fresh.append((tag, topic))
        if link.purpose is Purpose.RELAY:
            for start in range(0, len(fresh), TOPICS_SAID_MAX):
                chosen = tuple(topic for _, topic in fresh[start : start + TOPICS_SAID_MAX])
                self._links.say(link, Subscribe(chosen), step)
        else:
            tags = sorted(tag for tag, _ in fresh)
            for start in range(0, len(tags), ANNOUNCE_TAGS_MAX):
                chunk = tuple(tags[start : start + ANNOUNCE_TAGS_MAX])
                self._links.say(link, Announce(chunk), step)
        for tag, _ in fresh:
            self._start(link, tag, step)

    def _start(self, link: Link, tag: bytes, step: Step) -> None:
        """Start the sync of a topic over a link, if both sides have announced it."""
        assert link.peer is not None
        table = self._tables[link.id]
        topic = table.tags.get(tag)
        if topic is None or tag not in table.heard or topic in table.machines:
            return
        holding = self._desk.holding(topic)
        assert holding is not None
        view = PeerView(
            holding.holdings,
            holding.heads,
            self.cursors.of(topic, link.peer),
            self._refused.setdefault(topic, {}),
        )
        machine = TopicSync(view, tag=tag, key=link.key, initiator=not link.inbound)
        table.machines[topic] = machine
        self._plan_comparison(link, topic, step)
        self._do(link, topic, machine.start(step.instant), step)
        if isinstance(holding, Replica):
            if link.purpose is not Purpose.RELAY:
                holding.member_met(step)
        elif holding.doubted:
            asked = machine.want_again(holding.doubted, step.instant)
            self._follow(link, topic, asked, step)

    def _allowed(self, link: Link, topic: Topic) -> bool:
        assert link.peer is not None
        return link.purpose is Purpose.RELAY or self._desk.trusts(topic, link.peer)

    # Records

    def heard(self, link: Link, record: Record, step: Step) -> Rejected | None:
        """A record about topics came."""
        match record:
            case Announce(tags):
                return self._hear_announce(link, tags, step)
            case Subscribe(topics):
                return self._hear_subscribe(link, topics, step)
            case KeyRequest() | Keys():
                return self._hear_keys(link, record, step)
            case JoinRequest() | Welcome() | PairShare() | PairAnswer():
                return Rejected(Reason.OUT_OF_TURN, type(record).__name__)
            case (
                Peers() | Mail() | Acknowledge()
                | Mailboxes() | Post() | Posted() | Collected()
            ):  # fmt: skip
                return Rejected(Reason.OUT_OF_TURN, type(record).__name__)
            case Summary() | Since() | Reconcile() | Want() | Commits() | Runs() | Receipt():
                return self._hear_topic(link, record, step)
            case Refusal():
                return self._hear_topic(link, record, step)
            case _:
                assert_never(record)

    def _hear_announce(self, link: Link, tags: Iterable[bytes], step: Step) -> Rejected | None:
        table = self._tables[link.id]
        for tag in tags:
            if len(table.heard) >= ANNOUNCE_TAGS_MAX:
                return Rejected(Reason.QUOTA, "more topics announced than are kept")
            table.heard[tag] = None
            self._start(link, tag, step)
        return None

    def _hear_subscribe(
        self, link: Link, topics: Iterable[Topic], step: Step
    ) -> Rejected | None:
        table, session = self._tables[link.id], link.open_session()
        for topic in topics:
            if self._desk.shelve(topic, step) is None:
                return Rejected(Reason.UNSUPPORTED, "this node is no relay")
            tag = session.tag(topic)
            table.heard[tag] = None
            self._announce(link, [topic], step)
            self._start(link, tag, step)
        return None

    def _hear_topic(self, link: Link, record: SyncRecord, step: Step) -> Rejected | None:
        table = self._tables[link.id]
        topic = table.tags.get(record.tag)
        machine = None if topic is None else table.machines.get(topic)
        if topic is None or machine is None:
            return Rejected(Reason.OUT_OF_TURN, f"{type(record).__name__} of another topic")
        if isinstance(record, Refusal):
            refusal = Rejected(record.reason, record.detail)
            for commit in record.ids:
                step.report("told", topic=topic, commit=commit, device=link.peer,
                            refusal=refusal)  # fmt: skip
            self._desk.relays.refused(link, topic, record.ids)
            if record.reason is Reason.BAD_SIGNATURE:
                self._ask_others(link, topic, record.ids, step)
        return self._do(link, topic, machine.receive(record, step.instant), step)

    def _ask_others(
        self, link: Link, topic: Topic, ids: Sequence[CommitId], step: Step
    ) -> None:
        """Ask for commits whose copies here a member refused: an id does not tell good ones."""
        shelf = self._desk.holding(topic)
        assert link.peer is not None
        if not isinstance(shelf, Shelf):
            return
        doubted = [each for each in ids if shelf.doubt(each, link.peer, step.instant)]
        for other in self._links.open:
            machine = self._tables[other.id].machines.get(topic)
            if machine is not None and other is not link and doubted:
                asked = machine.want_again(doubted, step.instant)
                self._follow(other, topic, asked, step)

    def _hear_keys(self, link: Link, record: KeyRequest | Keys, step: Step) -> Rejected | None:
        """Answer who lacks keys, or take an answer. Relays have no part in this."""
        assert link.peer is not None
        table = self._tables[link.id]
        topic = table.tags.get(record.tag)
        replica = None if topic is None else self._desk.replica(topic)
        if topic not in table.machines or replica is None or link.purpose is Purpose.RELAY:
            return Rejected(Reason.OUT_OF_TURN, f"{type(record).__name__} of another topic")
        if isinstance(record, Keys):
            replica.keys_answered(step, record.keys)
            return None
        begun, told = table.keys_told
        if step.instant >= after(begun, MINUTE):
            begun, told = step.instant, 0
        epochs = record.epochs[: max(0, KEYS_A_MINUTE_MAX - told)]
        table.keys_told = begun, told + len(epochs)
        tables = [(each.peer, self._tables[each.id]) for each in self._links.open]
        others = sum(topic in table.machines and peer != link.peer for peer, table in tables)
        keys = replica.keys_for(link.peer, epochs, others=others)
        if keys:
            self._links.say(link, Keys(record.tag, keys), step)
        return None

    # What machines want

    def _do(
        self, link: Link, topic: Topic, outputs: Sequence[Output], step: Step
    ) -> Rejected | None:
        """Do what a machine says, in order; a refusal is the peer's fault."""
        for output in outputs:
            match output:
                case Say(record):
                    self._links.say(link, record, step)
                case Serve():
                    self._serve(link, topic, output, step)
                case Take():
                    self._take(link, topic, output, step)
                case SaveCursor(store, arrival):
                    assert link.peer is not None
                    self.cursors.note(topic, link.peer, store, arrival)
                case Synced(_, fresh, complete):
                    self.coming.ended(link.id, topic, step)
                    if complete:
                        step.report("synced", topic=topic, device=link.peer,
                                    detail=str(fresh))  # fmt: skip
                        self._desk.synced(topic, link.peer, step)
                case Delivered(ids):
                    self._delivered(link, topic, ids, step)
                case Fail(refusal):
                    return refusal
                case Lacks(ids):
                    self._desk.relays.lacks(link, topic, ids, step)
                case Compared(equal, ours, _):
                    if equal:
                        self._desk.relays.level(link, topic, step)
                        step.report("even", topic=topic, device=link.peer,
                                    detail=str(ours.arrival))  # fmt: skip
                case Progress():
                    self.coming.note(link.id, link.peer, topic, output, step)
                case _:
                    assert_never(output)
        self._note_due(link, topic)
        return None

    def _delivered(self, link: Link, topic: Topic, ids: Sequence[CommitId], step: Step) -> None:
        table = self._tables[link.id]
        holding = self._desk.holding(topic)
        if isinstance(holding, Shelf) and link.peer is not None:
            holding.stored_by(ids, link.peer)
        for commit in ids:
            step.report("delivered", topic=topic, commit=commit, device=link.peer)
        if any(commit in table.farewells for commit in ids):
            self._links.hang_up(link, "removed from an actor that was synced", step)

    def _note_due(self, link: Link, topic: Topic) -> None:
        table = self._tables.get(link.id)
        due = None if table is None else table.machines[topic].deadline
        if due is None:
            self._due.pop((link.id, topic), None)
        else:
            self._due[link.id, topic] = due

    def _follow(self, link: Link, topic: Topic, outputs: Sequence[Output], step: Step) -> None:
        """Do what a machine says outside of any record; its failure ends the link."""
        refusal = self._do(link, topic, outputs, step)
        if refusal is not None:
            self._links.refuse(link, refusal, step)

    def _machine(self, link: LinkId, topic: Topic) -> tuple[Link, TopicSync] | None:
        """Return a machine and its link, if both are still there."""
        found, table = self._links.get(link), self._tables.get(link)
        machine = None if table is None else table.machines.get(topic)
        return None if found is None or machine is None else (found, machine)

    def _take(self, link: Link, topic: Topic, take: Take, step: Step) -> None:
        """Hand commits to the replica; settle once they are durable, refused or parked."""
        assert link.peer is not None
        peer, holding = link.peer, self._desk.holding(topic)
        assert holding is not None

        def settle(later: Step) -> None:
            found = self._machine(link.id, topic)
            if found is not None:
                missing = holding.missing_of(peer)
                settled = found[1].settle(take.number, missing, later.instant)
                self._follow(link, topic, settled, later)

        def taken(later: Step) -> None:
            later.when_durable(settle)

        if isinstance(holding, Shelf):
            holding.deliver(step, take.commits, (link.id, peer), taken)
        else:
            asked = take.asked
            holding.deliver(step, take.commits, (link.id, peer), taken, asked=asked)

    def _serve(self, link: Link, topic: Topic, serve: Serve, step: Step) -> None:
        """Read a page of commits and send it; the next follows when the link can take it."""
        holding = self._desk.holding(topic)
        assert holding is not None

        def send(later: Step, commits: list[Commit]) -> None:
            found = self._machine(link.id, topic)
            if found is None:
                return
            tag = self._tables[link.id].said[topic]
            if self._serving.send(link, topic, tag, serve, commits, later):
                self._follow(link, topic, found[1].served(later.instant), later)

        self._serving.read(link, holding, serve, step, send)

    def has_room(self, link: LinkId, step: Step) -> None:
        """What was sent over a link has left: go on with what waited for that."""
        for topic in self._serving.has_room(link):
            found = self._machine(link, topic)
            if found is not None:
                self._follow(found[0], topic, found[1].served(step.instant), step)

    # What replicas and shelves tell (`replica.Listener`)

    def stored(
        self, step: Step, topic: Topic, ids: tuple[CommitId, ...], source: Source | None
    ) -> None:
        """Commits are durable: push them on, acknowledge them to who brought them."""
        for link in self._links.open:
            machine = self._tables[link.id].machines.get(topic)
            if machine is not None:
                mine = source is not None and source[0] == link.id
                said = machine.stored(ids, step.instant, from_peer=mine)
                self._follow(link, topic, said, step)

    def lacking(
        self, step: Step, topic: Topic, parents: tuple[CommitId, ...], source: Source
    ) -> None:
        """Parents are missing: ask everybody else too, who brought the child may not say."""
        for link in self._links.open:
            machine = self._tables[link.id].machines.get(topic)
            if machine is not None and link.id != source[0]:
                self._follow(link, topic, machine.want(parents, step.instant), step)

    def renewed(self, step: Step, topic: Topic, commit: CommitId) -> None:
        """Another copy of a commit is durable: offer it to who refused the others."""
        for link in self._links.open:
            machine = self._tables[link.id].machines.get(topic)
            if machine is not None:
                self._follow(link, topic, machine.renewed(commit, step.instant), step)

    def superseded(self, commit: CommitId) -> None:
        """Somebody else writes as this device."""
        self._desk.superseded = commit

    def keyless(self, step: Step, topic: Topic, epochs: tuple[CommitId, ...]) -> None:
        """Keys are missing: ask every member in reach; the answer proves itself."""
        for link in self._links.open:
            table = self._tables[link.id]
            if topic in table.machines and link.purpose is not Purpose.RELAY:
                for start in range(0, len(epochs), KEYS_ASKED_MAX):
                    some = epochs[start : start + KEYS_ASKED_MAX]
                    self._links.say(link, KeyRequest(table.said[topic], some), step)

    def refused(
        self, step: Step, topic: Topic, commit: CommitId, refusal: Rejected, source: Source
    ) -> None:
        """A commit was refused: remember why, and tell who brought it."""
        self._desk.refused(step, topic, commit, refusal, source[1])
        if refusal.reason not in PASSING:
            known = self._refused.setdefault(topic, {})
            known[commit] = None
            if len(known) > REPORTS_KEPT_MAX:
                del known[next(iter(known))]
        found = self._machine(source[0], topic)
        if found is not None:
            tag = self._tables[source[0]].said[topic]
            said = Refusal(refusal.reason, refusal.detail, tag, (commit,))
            self._links.say(found[0], said, step)
