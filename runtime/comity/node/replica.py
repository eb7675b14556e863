"""A replica: everything this device holds of one actor.

Owns: the composition of journal, beats and orphans of a topic, and what follows when a commit
arrives or becomes durable. May not know: links and sessions; it tells its owner through
`Listener`. To sync it is a `protocol.sync.LogView`.
Source: ARCHITECTURE 'The way of a message'.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Final, Protocol

from comity.actor.fold import BeatClosed, Folded, TurnEnded
from comity.base.clock import Instant, earliest
from comity.base.errors import Reason, Rejected
from comity.base.ids import CommitId, DeviceId, LinkId, Topic, short
from comity.base.limits import REPORTS_KEPT_MAX
from comity.log.entries import Entry
from comity.log.inner import CommitGrant
from comity.log.sealed import EPOCH_PREFIX_BYTES
from comity.node import rows
from comity.node.arrivals import Arrival, Arrivals
from comity.node.beats import Beats, Phase
from comity.node.cold import Cold, spans
from comity.node.commands import LogCommit, TopicStatus
from comity.node.devices import Stranded
from comity.node.effects import Table
from comity.node.holdings import Holdings
from comity.node.indexing import Indexing
from comity.node.journal import Hand, Journal
from comity.node.key_requests import KeyRequests
from comity.node.loading import Saved, load
from comity.node.orphans import Orphan, Orphans
from comity.node.pacing import Pacing
from comity.node.packing import Packing
from comity.node.rebuilding import Rebuilt, checked_member, examine_run, reopen_run
from comity.node.refusals import PASSING
from comity.node.step import Step
from comity.node.verdicts import Checked, Inserted, Missing
from comity.wire.records import Commit

__all__ = ["Listener", "Replica", "Saved", "Source"]

_HEARD_MIN: Final = 2
"""Members or relays heard since a newcomer was added, before others than its host give keys."""

Source = tuple[LinkId, DeviceId]
"""The link that brought a commit, and the peer at its other end."""


class Listener(Protocol):
    """What a replica or a shelf tells its node."""

    def stored(
        self, step: Step, topic: Topic, ids: tuple[CommitId, ...], source: Source | None
    ) -> None:
        """These commits are durable; they came over this link, or were made here."""
        ...

    def lacking(
        self, step: Step, topic: Topic, parents: tuple[CommitId, ...], source: Source
    ) -> None:
        """A commit from this link waits for these parents."""
        ...

    def keyless(self, step: Step, topic: Topic, epochs: tuple[CommitId, ...]) -> None:
        """The keys of these epochs are lacking."""
        ...

    def refused(
        self, step: Step, topic: Topic, commit: CommitId, refusal: Rejected, source: Source
    ) -> None:
        """A commit from this link was refused."""
        ...

    def renewed(self, step: Step, topic: Topic, commit: CommitId) -> None:
        """Another copy of a commit, with the same id, is durable."""
        ...

    def superseded(self, commit: CommitId) -> None:
        """A commit of this very device that was not made here has been accepted."""
        ...

    def members_changed(
        self,
        step: Step,
        topic: Topic,
        commit: CommitId,
        joined: Iterable[DeviceId],
        left: Iterable[DeviceId],
    ) -> None:
        """By this commit these devices have become members, or are members no more."""
        ...


class Replica:
    """One actor on this device."""

    __slots__ = (
        "_arrivals",
        "_arriving",
        "_compared",
        "_fresh",
        "_key_requests",
        "_listener",
        "_orphans",
        "_pacing",
        "_refused",
        "beats",
        "cold",
        "holdings",
        "indexing",
        "journal",
        "packing",
        "stranded",
        "topic",
    )

    def __init__(
        self,
        topic: Topic,
        hand: Hand,
        listener: Listener,
        *,
        row: rows.TopicRow,
        store: bytes,
        saved: Saved,
    ) -> None:
        """Rebuild a replica from its rows; all of them may be empty for a new one.

        Raises: AssertionError if the rows are not what this class once wrote.
        """
        self.topic = topic
        self.stranded: Stranded | None = None
        self._listener = listener
        self._orphans = Orphans()
        self._key_requests = KeyRequests()
        self._pacing = Pacing()
        self._compared: dict[DeviceId, int] = {}
        self._arriving: Source | None = None
        self._fresh: tuple[Step, list[tuple[Inserted, Source | None]]] | None = None
        self._refused: dict[CommitId, None] = {}
        self.holdings = Holdings(store)
        self.journal = Journal(
            topic,
            hand,
            actor_type=row.actor_type,
            grant=row.grant,
            on_insert=self._inserted,
        )
        self.cold = Cold(topic, self._rebuild)
        upto = load(self.journal, self.cold, self.holdings, saved)
        self.packing = Packing(self.journal, self.cold)
        self.indexing = Indexing(self.journal, self.cold, upto)
        self.beats = Beats(self.journal, self.indexing)
        self._arrivals = Arrivals(self.journal, self._arrived)

    @property
    def deadline(self) -> Instant | None:
        """When `tick` is due."""
        waiting = earliest(self._orphans.deadline, self._key_requests.deadline)
        waiting = earliest(waiting, self._pacing.deadline)
        waiting = earliest(waiting, self.packing.deadline)
        waiting = earliest(waiting, self.indexing.deadline)
        return earliest(self.beats.deadline, waiting)

    def tick(self, step: Step) -> None:
        """Do what time asks for: seal a draft, take what waited, ask for keys."""
        self.beats.tick(step)
        self.packing.tick(self.beats.durable, step)
        self.indexing.tick(self.beats.durable, step)
        for entry in self._pacing.release(step.instant):
            self._take_all(step, self._accept_late(step, entry), asked=False)
        for orphan in self._orphans.expire(step.instant):
            step.report(
                "orphan expired",
                topic=self.topic,
                commit=orphan.id,
                device=orphan.source,
                detail=orphan.wants.hex()[:8],
            )
        epochs = self._key_requests.due(
            step.instant, lambda epoch: self._orphans.awaits(epoch[:EPOCH_PREFIX_BYTES])
        )
        if epochs:
            self._listener.keyless(step, self.topic, epochs)
            step.touch(self.topic)

    def deliver(
        self,
        step: Step,
        commits: Sequence[Commit],
        source: Source,
        then: Callable[[Step], None],
        *,
        asked: bool = True,
    ) -> None:
        """Take commits that came together, in their order, and after all that came before.

        then: called in the step in which the last of them was taken, now or later.
        asked: this replica wanted them; else they are taken at the pace of their authors.
        """
        self._arrivals.deliver(step, commits, source, then, asked=asked)

    def take(self, step: Step, commit: Commit, source: Source) -> None:
        """Accept, park or refuse a commit that a peer delivered, and all that waited for it."""
        self._arrived(step, Arrival(commit, self.journal.name(commit)), source)

    def _arrived(self, step: Step, arrival: Arrival, source: Source) -> None:
        self._take_all(step, [(arrival, source)], asked=arrival.asked)

    def _take_all(
        self, step: Step, queue: list[tuple[Arrival, Source]], *, asked: bool
    ) -> None:
        for arrived, origin in queue:
            if self.journal.graph.index_of(arrived.id) is not None:
                continue
            if arrived.commit.is_run and not arrived.asked:
                self._report_run(step, arrived.id, origin)
                continue
            checked = self._examine(arrived)
            if isinstance(checked, Missing):
                checked = self._orphaned(checked)
            if isinstance(checked, Missing) and asked:
                late = self._late_parents(step, checked)
                if late:
                    queue += [*late, (arrived, origin)]
                    continue
            if isinstance(checked, Missing):
                self._park(step, checked, arrived.commit, origin)
                continue
            if isinstance(checked, Rejected):
                ready = self._refuse(step, arrived.id, checked, origin)
            elif isinstance(checked, Rebuilt):
                ready = self._accept_run(step, checked, arrived.commit.sealed, origin)
            elif not (asked or self._paced(checked, step)):
                self._delay(checked, origin, step)
                continue
            else:
                ready = self._accept(step, checked, origin)
            queue += _again(ready)

    def _examine(self, arrived: Arrival) -> Checked | Rebuilt | Missing | Rejected:
        if arrived.commit.is_run:
            return examine_run(self.journal, arrived.id, arrived.commit.sealed)
        return self.journal.examine(
            arrived.commit,
            identifier=arrived.id,
            ahead=arrived.ahead,
            trusted=arrived.is_verified,
        )

    def heads(self) -> tuple[CommitId, ...]:
        """Return the commits that none builds on, ascending."""
        return self.journal.graph.heads

    def missing_of(self, peer: DeviceId) -> tuple[CommitId, ...]:
        """Return the parents that commits of this peer wait for."""
        missing = self._orphans.missing_of(peer)
        return tuple(each for each in missing if not self._pacing.is_late(each))

    def keys_learned(self, step: Step, keys: Sequence[tuple[CommitId, bytes]]) -> None:
        """Hold keys that a member handed over, and try what waited for them."""
        for epoch, key in keys:
            self.journal.learn_key(epoch, key, step)
            self._retry(step, epoch)

    def member_met(self, step: Step) -> None:
        """A member is in reach from now on: it may know keys that are lacking."""
        if len(self._key_requests):
            self._key_requests.hasten(step.instant)
            step.touch(self.topic)

    def compared_with(self, peer: DeviceId) -> None:
        """All that a member or a relay has is here, as of now."""
        self._compared[peer] = len(self.journal.graph)

    def keys_for(
        self, peer: DeviceId, epochs: Sequence[CommitId], *, others: int
    ) -> tuple[tuple[CommitId, bytes], ...]:
        """Return the keys that a peer asks for, of those held that it may know.

        Whoever is a member now may know all: either its grant was in the past of the epoch, or
        it came later, and newcomers read all history. Whoever was removed is none: a key is
        held only with its epoch accepted, so the removals before it are known here.

        others: members and relays in reach besides it. Two of them, or all that there are, have
        to be heard since somebody else added it: one of them may know that he was removed.
        """
        authority, graph = self.journal.authority, self.journal.graph
        if authority is None or authority.role_of(peer) is None:
            return ()
        grant = authority.grant_for(peer)
        added = graph.index_of(grant.commit) if isinstance(grant, CommitGrant) else None
        if added is not None and graph.author_of(added) != self.journal.device:
            heard = sum(size > added for by, size in self._compared.items() if by != peer)
            if heard < min(_HEARD_MIN, others):
                return ()  # it will ask again
        held = [(epoch, self.journal.epochs.key(epoch)) for epoch in epochs]
        return tuple([(epoch, key.key) for epoch, key in held if key is not None])

    def keys_answered(self, step: Step, keys: Sequence[tuple[CommitId, bytes]]) -> None:
        """A peer answered: take the keys that were asked for and prove themselves."""
        for epoch, key in keys:
            if self._key_requests.answered(epoch, key):
                self.journal.learn_key(epoch, key, step, proven=True)
                self._retry(step, epoch)
        step.touch(self.topic)

    def found(self, step: Step, commit: Commit) -> None:
        """Insert the genesis that this device made."""
        checked = self.journal.examine(commit)
        assert isinstance(checked, Checked), checked
        self.journal.insert(checked, step)

    def read_singles(
        self,
        step: Step,
        numbers: Sequence[int],
        then: Callable[[Step, list[Commit]], None],
    ) -> None:
        """Read commits by number, each with its own signature, and go on with them in order.

        For a relay. Those that only a run vouches for are left out: their author has them.
        """
        found: dict[int, Commit] = {}
        wanted = spans(sorted(numbers))
        left = len(wanted)

        def arrived(later: Step, read: dict[int, Commit]) -> None:
            nonlocal left
            left -= 1
            found.update(read)
            if left == 0:
                singles = [self.packing.single(each, found[each]) for each in numbers]
                then(later, [each for each in singles if each is not None])

        if not wanted:
            then(step, [])
        for first, last in wanted:
            self.cold.read(step, first, last, arrived)

    def status(self) -> TopicStatus:
        """Return the replica at a glance."""
        return TopicStatus(
            topic=self.topic,
            actor_type=self.journal.actor_type,
            commits=len(self.journal.graph),
            hidden=self.journal.hidden_count(),
            orphans=len(self._orphans),
            heads=self.journal.graph.heads,
            active=self.beats.phase is not Phase.ASLEEP,
        )

    def log(self, count: int) -> tuple[LogCommit, ...]:
        """Return the newest commits, parents before children."""
        graph, authority = self.journal.graph, self.journal.authority
        if authority is None:
            return ()
        return tuple(
            LogCommit(
                id=graph.id_of(index),
                author=graph.author_of(index),
                wall=graph.wall_of(index),
                parents=tuple(map(graph.id_of, graph.parents_of(index))),
                turns=self.journal.turn_count(index),
                counts=authority.standing(index).visible,
                why=authority.why(index),
            )
            for index in range(max(0, len(graph) - count), len(graph))
        )

    def turns_ended(self, turns: Sequence[TurnEnded], step: Step) -> None:
        """Turns of this actor's cell wrote something, in this order."""
        self.beats.turns_ended(turns, step)

    def turn_ended(self, turn: TurnEnded, step: Step) -> None:
        """A turn of this actor's cell wrote something."""
        self.beats.turn_ended(turn, step)

    def folded(self, event: Folded, step: Step) -> None:
        """The cell applied a fold."""
        self.beats.folded(event, step)

    def beat_closed(self, event: BeatClosed, step: Step) -> None:
        """The cell refused a fold."""
        self.beats.beat_closed(event, step)

    def append(self, step: Step, *entries: Entry) -> CommitId | Rejected:
        """Make a commit of this device that no turn made."""
        made = self.beats.append(step, *entries)
        return made if isinstance(made, Rejected) else self.journal.graph.id_of(made)

    def name_prekey(self, step: Step) -> None:
        """Name this device's newest prekey in the log, if that names one that was replaced."""
        journal = self.journal
        if journal.role is not None and journal.names_old_prekey():
            self.append(step)

    def decide(self, step: Step, decision: Callable[[Step], None]) -> None:
        """Have something decided while the cell shows exactly what the next commit builds on.

        decision: makes commits by `append` or `adopt`. What they hide or show, the cell has
        seen before it runs another turn. Called at once if no cell shows the actor.
        """
        self.beats.decide(step, decision)

    def adopt(self, step: Step, commit: int) -> CommitId | Rejected:
        """Let a quarantined commit count, and what its author made before it."""
        made = self.beats.adopt(step, commit)
        return made if isinstance(made, Rejected) else self.journal.graph.id_of(made)

    def rotate(self, step: Step) -> Rejected | None:
        """Make a new epoch if the rotation rule asks for one on top of the frontier."""
        return self.beats.rotate(step)

    def check(self) -> None:
        """Assert the invariants of graph, authority, orphans and holdings. Slow."""
        self.journal.check()
        self._orphans.check()
        self._arrivals.check()
        self._pacing.check()
        self.holdings.check()
        self.cold.check()
        assert self.holdings.count <= len(self.journal.graph)
        for awaited in self._orphans.awaited:  # nothing waits for what is here
            assert self.journal.graph.index_of(CommitId(awaited)) is None

    def _rebuild(self, data: bytes) -> list[Commit]:
        """Return the commits of a run of our own disk, in order."""
        return [commit for commit, _ in reopen_run(self.journal, data)]

    def _retry(self, step: Step, epoch: CommitId) -> None:
        """Try what waited for the key of an epoch."""
        for orphan in self._orphans.wanted(epoch[:EPOCH_PREFIX_BYTES]):
            self.take(step, orphan.commit, (orphan.link, orphan.source))

    def _park(self, step: Step, missing: Missing, commit: Commit, source: Source) -> None:
        late = [each for each in missing.parents if self._pacing.is_late(each)]
        wants = (late or missing.parents)[0] if missing.parents else missing.epoch
        refusal = self._orphans.park(missing.id, commit, source, wants, step.instant)
        step.touch(self.topic)
        if late:
            self._pacing.late(missing.id)
            if refusal is not None:
                self._report_delay(step, "left out", missing.id, source[1])
        elif refusal is not None:
            self._listener.refused(step, self.topic, missing.id, refusal, source)
        elif missing.parents:
            # One at a time: whoever makes up parents would else use up what is asked of others.
            self._listener.lacking(step, self.topic, missing.parents[:1], source)
        elif missing.epoch == missing.id[:EPOCH_PREFIX_BYTES]:
            # What is sealed under an epoch waits for its commit; only that is asked a key for.
            self._key_requests.want(missing.id, commit.sealed, source[1], step.instant)

    def _paced(self, checked: Checked, step: Step) -> bool:
        """Tell whether a pushed commit is taken at once; one in our own name is, to be seen."""
        own = checked.inner.author == self.journal.device
        return own or self._pacing.admits(checked, step.instant)

    def _delay(self, checked: Checked, source: Source, step: Step) -> None:
        held = self._pacing.hold(checked, source)
        step.touch(self.topic)
        what = "delayed" if held else "left out"
        self._report_delay(step, what, checked.id, checked.inner.author)

    def _report_delay(self, step: Step, what: str, commit: CommitId, device: DeviceId) -> None:
        detail = "its author writes faster than it is heard"
        step.report(what, topic=self.topic, commit=commit, device=device, detail=detail)

    def _late_parents(self, step: Step, missing: Missing) -> list[tuple[Arrival, Source]]:
        """Take the parents that wait for their author's next minute; return what follows."""
        found = [self._pacing.take_out(parent) for parent in missing.parents]
        waiting = [entry for entry in found if entry is not None]
        return [ready for entry in waiting for ready in self._accept_late(step, entry)]

    def _orphaned(self, missing: Missing) -> Missing | Rejected:
        """Refuse what builds on what was refused for good: it waits for nothing."""
        for parent in missing.parents:
            if parent in self._refused:
                return Rejected(Reason.PARENT_REJECTED, short(parent))
        return missing

    def _refuse(
        self, step: Step, commit: CommitId, refusal: Rejected, source: Source
    ) -> Sequence[Orphan]:
        """Refuse a commit and return the orphans that are refused because of it."""
        self._listener.refused(step, self.topic, commit, refusal, source)
        if refusal.reason in PASSING:
            return ()
        self._refused[commit] = None
        if len(self._refused) > REPORTS_KEPT_MAX:
            del self._refused[next(iter(self._refused))]
        return self._orphans.wanted(commit)

    def _accept(self, step: Step, checked: Checked, source: Source) -> Sequence[Orphan]:
        """Insert a commit and return the orphans that can be tried again because of it."""
        self._pacing.arrived(checked.id)
        self._arriving = source
        inserted = self.journal.insert(checked, step)
        self._arriving = None
        if checked.inner.author == self.journal.device:
            self._listener.superseded(checked.id)
        ready: list[Orphan] = list(self._orphans.wanted(checked.id))
        for epoch in inserted.opens:
            ready += self._orphans.wanted(epoch[:EPOCH_PREFIX_BYTES])
        return ready

    def _accept_run(
        self, step: Step, rebuilt: Rebuilt, data: bytes, source: Source
    ) -> list[Orphan]:
        """Insert what is new of a run, keep it as it came; return what can be tried again."""
        members = rebuilt.run.members
        ready: list[Orphan] = []
        if rebuilt.known == len(members):
            return ready
        for place in range(rebuilt.known, len(members)):
            checked = checked_member(self.journal, rebuilt, place)
            ready += self._accept(step, checked, source)
        found = [self.journal.graph.index_of(member.id) for member in members]
        numbers = tuple([index + 1 for index in found if index is not None])
        key = rows.run_key(self.topic, numbers[0])
        step.put(Table.RUN, key, rows.encode_run(numbers, data))
        self.cold.note(numbers, numbers[: rebuilt.known])
        return ready

    def _report_run(self, step: Step, name: CommitId, source: Source) -> None:
        detail = "a run that nobody asked for"
        step.report("left out", topic=self.topic, commit=name, device=source[1], detail=detail)

    def _accept_late(
        self, step: Step, entry: tuple[Checked, Source]
    ) -> list[tuple[Arrival, Source]]:
        """Insert what has waited, unless it came some other way."""
        checked, origin = entry
        if self.journal.graph.index_of(checked.id) is not None:
            return []
        ready = self._accept(step, checked, origin)
        return [*_again(ready), (Arrival(checked.commit, checked.id), origin)]

    def _inserted(self, inserted: Inserted, step: Step | None) -> None:
        """A commit of ours or of a peer has become part of the log."""
        graph = self.journal.graph
        if step is None:
            self.holdings.add(inserted.id, graph.gen_of(inserted.index))
            return
        if self.stranded:
            self.stranded.seen(step, self.topic, graph, inserted.index, inserted.turns)
        restood = bool(inserted.change.hidden or inserted.change.shown)
        self.beats.flipped(inserted.flips, restood=restood)
        source = self._arriving
        if source is not None:
            self.beats.keep_turns(inserted.index, inserted.turns)
        for change in inserted.change.members:
            step.report(
                "member",
                topic=self.topic,
                commit=inserted.id,
                device=change.device,
                detail="removed" if change.after is None else change.after.name.lower(),
            )
        if self._fresh is None or self._fresh[0] is not step:
            fresh: list[tuple[Inserted, Source | None]] = []
            self._fresh = step, fresh
            step.when_durable(lambda later: self._durable(later, fresh))
        self._fresh[1].append((inserted, source))
        members = inserted.change.members
        joined = [each.device for each in members if each.before is None]
        left = [each.device for each in members if each.after is None]
        if members:
            step.when_durable(
                lambda later: self._listener.members_changed(
                    later, self.topic, inserted.id, joined, left
                )
            )

    def _durable(self, step: Step, fresh: list[tuple[Inserted, Source | None]]) -> None:
        """The commits of one step are on disk: tell of those that came together at once."""
        if self._fresh is not None and self._fresh[1] is fresh:
            self._fresh = None
        self.beats.commits_durable(fresh[-1][0].index + 1, step)
        for source, group in groupby(fresh, key=itemgetter(1)):
            ids = tuple([inserted.id for inserted, _ in group])
            for each in ids:  # no later ones: who brought those would be given them back
                index = self.journal.graph.index_of(each)
                assert index is not None
                self.holdings.add(each, self.journal.graph.gen_of(index))
            self._listener.stored(step, self.topic, ids, source)
        self.packing.grown(self.beats.durable, step)
        self.indexing.grown(self.beats.durable, step)


def _again(ready: Sequence[Orphan]) -> list[tuple[Arrival, Source]]:
    """Return orphans as they came, to be tried again."""
    return [(Arrival(each.commit, each.id), (each.link, each.source)) for each in ready]
