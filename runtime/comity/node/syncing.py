"""Syncing: which topics are synced over which links, and the bytes for it.

Owns: the sync machines of all links, by topic, and the way from their words to rows, records
and replicas. May not know: how one topic is brought into step (`protocol.sync`), who counts
(`Desk.trusts`).

    a link opens   -> each side announces its topics (tags); a relay is told their names
    a tag matches, and the peer is trusted with the topic -> both sides start a machine
    an announcement of a tag that runs already -> the machine starts over

A topic that becomes known, or a peer that becomes a member, later is announced then.
Source: PROTOCOL sections 5, 6, 8.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, assert_never

from comity.base.errors import Reason, Rejected
from comity.base.ids import CommitId, DeviceId, LinkId, Topic
from comity.base.limits import ANNOUNCE_TAGS_MAX, COMMITS_RECORD_BYTES_MAX, TOPICS_SAID_MAX
from comity.node import rows
from comity.node.dialer import Purpose
from comity.node.effects import Table
from comity.node.links import Link, Links
from comity.node.replica import Source
from comity.node.step import Rows, Step
from comity.protocol.pull_sync import (
    SaveCursor,
    Say,
    Serve,
    Synced,
    SyncOutput,
    Take,
    TopicSync,
)
from comity.wire.records import (
    Announce,
    Commit,
    Commits,
    JoinRequest,
    Peers,
    Receipt,
    Reconcile,
    Record,
    Refusal,
    Since,
    Subscribe,
    Summary,
    Want,
    Welcome,
)

if TYPE_CHECKING:
    from comity.node.desk import Desk

__all__ = ["Syncing"]


class _Table:
    """What one open link has to do with topics."""

    __slots__ = ("announced", "machines", "tags")

    def __init__(self) -> None:
        self.announced: dict[bytes, None] = {}
        self.machines: dict[Topic, TopicSync] = {}
        self.tags: dict[bytes, Topic] = {}


class Syncing:
    """The sync of everything a node holds. Implements `replica.Listener`."""

    __slots__ = ("_cursors", "_desk", "_links", "_tables")

    def __init__(self, links: Links, desk: Desk, cursors: Rows) -> None:
        """Start with the cursors of the store."""
        self._links = links
        self._desk = desk
        self._tables: dict[LinkId, _Table] = {}
        self._cursors: dict[Topic, dict[bytes, int]] = {}
        for key, value in cursors:
            topic, store = rows.split_cursor_key(key)
            self._cursors.setdefault(topic, {})[store] = rows.decode_number(value)

    # Links

    def opened(self, link: Link, step: Step) -> None:
        """Say what this node holds; tell a relay what to keep."""
        self._tables[link.id] = _Table()
        topics = [holding.topic for holding in self._desk.holdings]
        if link.purpose is Purpose.RELAY:
            for start in range(0, len(topics), TOPICS_SAID_MAX):
                chosen = tuple(topics[start : start + TOPICS_SAID_MAX])
                self._links.say(link, Subscribe(chosen), step)
            for topic in topics:
                self._start(link, topic, step)
        self._announce(link, topics, step)

    def closed(self, link: Link) -> None:
        """Forget a link."""
        self._tables.pop(link.id, None)

    def announce(self, topic: Topic, step: Step) -> None:
        """A topic is held, or has other members, from now on: say so on every link."""
        for link in self._links.open:
            table = self._tables[link.id]
            if link.purpose is Purpose.RELAY and topic not in table.machines:
                self._links.say(link, Subscribe((topic,)), step)
                self._start(link, topic, step)
            self._announce(link, [topic], step)

    def _announce(self, link: Link, topics: Sequence[Topic], step: Step) -> None:
        """Announce topics; start those that the peer has announced."""
        assert link.peer is not None
        table = self._tables[link.id]
        session = link.open_session()
        tags: list[bytes] = []
        for topic in topics:
            tag = session.tag(topic)
            table.tags[tag] = topic
            if self._desk.trusts(topic, link.peer):
                tags.append(tag)
                if tag in table.announced and topic not in table.machines:
                    self._start(link, topic, step)
        tags.sort()
        for start in range(0, len(tags), ANNOUNCE_TAGS_MAX):
            chosen = tuple(tags[start : start + ANNOUNCE_TAGS_MAX])
            self._links.say(link, Announce(chosen), step)

    def _start(self, link: Link, topic: Topic, step: Step) -> None:
        """Start, or start over, the sync of a topic over a link."""
        holding = self._desk.holding(topic)
        assert holding is not None
        table = self._tables[link.id]
        tag = link.open_session().tag(topic)
        table.tags[tag] = topic
        machine = table.machines[topic] = TopicSync(
            holding.holdings,
            tag=tag,
            key=link.key,
            initiator=not link.inbound,
            cursors=self._cursors.setdefault(topic, {}),
        )
        self._do(link, topic, machine.start(), step)

    # Records

    def heard(self, link: Link, record: Record, step: Step) -> Rejected | None:
        """A record about topics came."""
        match record:
            case Announce(tags):
                return self._hear_announce(link, tags, step)
            case Subscribe(topics):
                return self._hear_subscribe(link, topics, step)
            case Refusal(reason, detail, tag, ids):
                topic = self._tables[link.id].tags.get(tag)
                for commit in ids:
                    step.report(
                        "told",
                        topic=topic,
                        commit=commit,
                        device=link.peer,
                        refusal=Rejected(reason, detail),
                    )
            case Summary() | Since() | Reconcile() | Want() | Commits() | Receipt():
                return self._hear_topic(link, record, step)
            case JoinRequest() | Welcome() | Peers():
                return Rejected(Reason.OUT_OF_TURN, type(record).__name__)
            case _:
                assert_never(record)
        return None

    def _hear_announce(self, link: Link, tags: Iterable[bytes], step: Step) -> Rejected | None:
        assert link.peer is not None
        table = self._tables[link.id]
        for tag in tags:
            if len(table.announced) >= ANNOUNCE_TAGS_MAX:
                return Rejected(Reason.QUOTA, "more topics announced than are kept")
            table.announced[tag] = None
            topic = table.tags.get(tag)
            if topic is not None and self._desk.trusts(topic, link.peer):
                self._start(link, topic, step)
        return None

    def _hear_subscribe(
        self, link: Link, topics: Iterable[Topic], step: Step
    ) -> Rejected | None:
        for topic in topics:
            if self._desk.shelve(topic, step) is None:
                return Rejected(Reason.UNSUPPORTED, "this node is no relay")
            self._start(link, topic, step)
        return None

    def _hear_topic(
        self,
        link: Link,
        record: Summary | Since | Reconcile | Want | Commits | Receipt,
        step: Step,
    ) -> Rejected | None:
        assert link.peer is not None
        table = self._tables[link.id]
        topic = table.tags.get(record.tag)
        if topic is None or not self._allowed(link, topic):
            # Not an offence: a member may know of this topic what we do not know yet.
            step.report("unmatched", device=link.peer, detail=type(record).__name__)
            return None
        if topic not in table.machines:
            self._start(link, topic, step)
        machine = table.machines[topic]
        return self._do(link, topic, machine.receive(record, step.instant), step)

    def _allowed(self, link: Link, topic: Topic) -> bool:
        assert link.peer is not None
        return link.purpose is Purpose.RELAY or self._desk.trusts(topic, link.peer)

    # What machines want

    def _do(
        self, link: Link, topic: Topic, outputs: Sequence[SyncOutput], step: Step
    ) -> Rejected | None:
        assert link.peer is not None
        holding = self._desk.holding(topic)
        assert holding is not None
        for output in outputs:
            match output:
                case Say(record):
                    self._say(link, record, step)
                case Serve():
                    self._serve(link, topic, output, step)
                case Take(commits):
                    for commit in commits:
                        holding.take(step, commit, (link.id, link.peer))
                case SaveCursor(store, arrival):
                    key = rows.cursor_key(topic, store)
                    step.put(Table.CURSOR, key, rows.encode_number(arrival))
                case Synced(count):
                    step.report("synced", topic=topic, device=link.peer, detail=str(count))
                case Rejected():
                    return output
                case _:
                    assert_never(output)
        return None

    def _say(self, link: Link, record: Record, step: Step) -> None:
        """Say a record; a summary says what is durable, so it waits for what was just taken."""
        if not isinstance(record, Summary):
            self._links.say(link, record, step)
            return

        def later(durable: Step) -> None:
            table = self._tables.get(link.id)
            topic = None if table is None else table.tags.get(record.tag)
            machine = None if table is None or topic is None else table.machines.get(topic)
            if machine is not None:
                self._links.say(link, machine.summary(), durable)

        step.when_durable(later)

    def _serve(self, link: Link, topic: Topic, serve: Serve, step: Step) -> None:
        """Read commits from the store and send them in records of bounded size."""
        holding = self._desk.holding(topic)
        assert holding is not None
        if not serve.ids:
            self._links.say(link, self._commits(link, topic, (), serve), step)
            return
        numbers = [holding.holdings.arrival_of(commit) for commit in serve.ids]
        wanted = [number for number in numbers if number is not None]
        found: dict[int, Commit] = {}
        spans = _spans(sorted(wanted))
        left = len(spans)

        def arrived(later: Step, read: Rows) -> None:
            nonlocal left
            left -= 1
            for key, value in read:
                found[rows.number_of(key)] = rows.decode_commit(value)
            if left == 0:
                self._send(link, topic, [found[number] for number in wanted], serve, later)

        for first, last in spans:
            keys = rows.commit_key(topic, first), rows.commit_key(topic, last + 1)
            step.read(Table.COMMIT, keys, last - first + 1, arrived)

    def _send(
        self, link: Link, topic: Topic, commits: list[Commit], serve: Serve, step: Step
    ) -> None:
        page: list[Commit] = []
        size = 0
        for commit in commits:
            bulk = len(commit.sealed) + len(commit.beside)
            if page and size + bulk > COMMITS_RECORD_BYTES_MAX:
                record = Commits(
                    link.open_session().tag(topic), tuple(page), arrival=0, last=False
                )
                self._links.say(link, record, step)
                page, size = [], 0
            page.append(commit)
            size += bulk
        self._links.say(link, self._commits(link, topic, tuple(page), serve), step)

    def _commits(
        self, link: Link, topic: Topic, commits: tuple[Commit, ...], serve: Serve
    ) -> Commits:
        tag = link.open_session().tag(topic)
        return Commits(tag, commits, serve.arrival, serve.last)

    # What replicas and shelves tell (`replica.Listener`)

    def stored(
        self, step: Step, topic: Topic, ids: tuple[CommitId, ...], source: Source | None
    ) -> None:
        """Commits are durable: push them on, acknowledge them to who brought them."""
        for link in self._links.open:
            machine = self._tables[link.id].machines.get(topic)
            if machine is not None:
                mine = source is not None and source[0] == link.id
                self._do(link, topic, machine.stored(ids, from_peer=mine), step)

    def lacking(
        self, step: Step, topic: Topic, parents: tuple[CommitId, ...], source: Source
    ) -> None:
        """Parents are missing: ask who brought the child."""
        link = self._links.get(source[0])
        if link is not None:
            machine = self._tables[link.id].machines.get(topic)
            if machine is not None:
                self._do(link, topic, machine.missing(parents), step)

    def refused(
        self, step: Step, topic: Topic, commit: CommitId, refusal: Rejected, source: Source
    ) -> None:
        """A commit was refused: remember why, and tell who brought it."""
        self._desk.refused(step, topic, commit, refusal, source[1])
        link = self._links.get(source[0])
        if link is not None:
            tag = link.open_session().tag(topic)
            said = Refusal(refusal.reason, refusal.detail, tag, (commit,))
            self._links.say(link, said, step)

    def members_changed(self, step: Step, topic: Topic, joined: Iterable[DeviceId]) -> None:
        """Devices became members: sync with those that are connected already."""
        for device in joined:
            link = self._links.to(device)
            if link is not None and topic not in self._tables[link.id].machines:
                self._announce(link, [topic], step)


def _spans(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Join ascending numbers into ranges without gaps."""
    spans: list[tuple[int, int]] = []
    for number in numbers:
        if spans and spans[-1][1] == number - 1:
            spans[-1] = spans[-1][0], number
        else:
            spans.append((number, number))
    return spans
