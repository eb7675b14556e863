"""Beats: from the turns of a cell to sealed commits, and from accepted commits to its folds.

Owns: the open draft of one actor, the frontier that its cell shows, and the fold that is
under way. May not know: how a commit is sealed or checked (`node.journal`), or links.

    asleep --wake--> loading --fold with `last` applied--> awake --sleep--> asleep

A draft is the turns of one beat: all read the same frontier, which becomes the parents of the
commit. It is sealed when its beat is over: at once if the actor was quiet, else `BEAT_MAX`
after the last seal, when it is full, and always before anything is folded. One fold is under
way at a time; the cell acknowledges it with `Folded` or refuses it with `BeatClosed`.
Commits reach the cell only when they are durable here, in the order of the graph.
More than `HEADS_LEFT_MAX` heads that nobody's turn merges for a while are merged without one.
Source: ARCHITECTURE 'Who owns what'; PROTOCOL section 2 'Beats and drafts'.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum, unique
from typing import Final

from comity.actor.fold import BeatClosed, Binding, Fold, FoldCommit, Folded, TurnEnded
from comity.authority.undos import Place
from comity.authority.visibility import WHOLE, Flip
from comity.base.clock import Duration, Instant, after, earliest
from comity.base.errors import Rejected
from comity.base.ids import CommitId
from comity.base.limits import (
    BEAT_MAX,
    DRAFT_BYTES_MAX,
    HEADS_LEFT_MAX,
    MERGE_WAIT,
    PARENTS_MAX,
)
from comity.log.entries import AdoptEntry, Entry, Role, TurnEntry
from comity.node import rows
from comity.node.draft import Draft
from comity.node.effects import Release, Table
from comity.node.indexing import Indexing
from comity.node.journal import Journal
from comity.node.offering import Hold, Offer, gathered
from comity.node.step import Rows, Step
from comity.node.stored import Frozen, Stored

__all__ = ["Beats", "Phase"]

_FOLD_COMMITS_MAX: Final = 512
"""Commits in one fold: a cell is held for some milliseconds, not for its whole history."""

_BOUND_MAX: Final = 64
"""Own commits sealed since the last fold; then the cell is told, to forget their turns."""


@unique
class Phase(Enum):
    """Whether a cell shows the actor."""

    ASLEEP = "asleep"
    LOADING = "loading"
    AWAKE = "awake"


class Beats:
    """The drafts and folds of one actor."""

    __slots__ = (
        "_beat",
        "_bound",
        "_decisions",
        "_draft",
        "_durable",
        "_fed",
        "_flips",
        "_frontier",
        "_frozen",
        "_generation",
        "_hold",
        "_indexing",
        "_journal",
        "_merge_at",
        "_offer",
        "_own",
        "_phase",
        "_reading",
        "_recent",
        "_restood",
        "_role",
        "_rows",
        "_sealed_at",
        "_sealed_serial",
        "_stored",
    )

    def __init__(self, journal: Journal, indexing: Indexing) -> None:
        """Start asleep over a journal, all of whose commits are durable.

        indexing: reads their turns.
        """
        self._journal = journal
        self._indexing = indexing
        self._stored = Stored(journal)
        self._phase = Phase.ASLEEP
        self._draft: Draft | None = None
        self._rows = 0
        self._sealed_at: Instant | None = None
        self._merge_at: Instant | None = None
        self._durable = len(journal.graph)
        self._generation = 0
        self._forget()

    def _forget(self) -> None:
        """Start over without a cell: nothing fed, nothing bound, nothing under way."""
        self._beat = 0
        self._fed = 0
        self._sealed_serial = 0
        self._role: Role | None = None
        self._offer: Offer | None = None
        self._reading = False
        self._frozen: Frozen | None = None
        self._recent: dict[int, tuple[bytes, ...]] = {}
        self._bound: list[Binding] = []
        self._own: dict[int, None] = {}
        self._flips: dict[Place, bool] = {}
        self._restood = False
        self._hold = Hold.NONE
        self._decisions: list[Callable[[Step], None]] = []
        self._frontier: list[int] = self._journal.visibility.heads(range(self._durable))

    @property
    def phase(self) -> Phase:
        """Whether a cell shows the actor."""
        return self._phase

    @property
    def durable(self) -> int:
        """Number of commits, counted from the first, that are on disk."""
        return self._durable

    @property
    def idle(self) -> bool:
        """Whether the cell shows the whole log: nothing is unsealed, unfed or under way."""
        return (
            self._phase is Phase.AWAKE
            and self._draft is None
            and self._offer is None
            and not self._reading
            and not self._flips
            and not self._decisions
            and self._hold is Hold.NONE
            and self._fed == len(self._journal.graph)
        )

    @property
    def deadline(self) -> Instant | None:
        """When `tick` is due: to seal a draft that is durable, to merge heads, to store."""
        return earliest(earliest(self._beat_over, self._merge_due), self._stored.deadline)

    @property
    def _beat_over(self) -> Instant | None:
        if self._draft is None or not self._draft.durable:
            return None
        if self._sealed_at is None or self._draft.full:
            return Instant(0)
        return after(self._sealed_at, BEAT_MAX)

    @property
    def _merge_due(self) -> Instant | None:
        """When to merge, or, if that is not settled yet, now: `tick` will settle it."""
        if len(self._frontier) <= HEADS_LEFT_MAX or self._journal.role is None:
            return None
        return self._merge_at or Instant(0)

    # The life of the cell

    def wake(self, step: Step) -> None:
        """Begin to feed a new cell."""
        assert self._phase is Phase.ASLEEP
        assert self._draft is None
        self._phase = Phase.LOADING
        self._generation += 1
        self._reading = True
        generation = self._generation

        def arrived(later: Step, frozen: Frozen | None) -> None:
            if generation == self._generation:
                self._reading, self._frozen = False, frozen
                self.feed(later)

        self._stored.read(step, self._durable, arrived)

    def sleep(self, step: Step) -> None:
        """Take leave of the cell: seal what it left; the log itself is the frontier again."""
        self.seal(step)
        self._phase = Phase.ASLEEP
        self._generation += 1
        self._stored.forget()
        decisions = self._decisions
        self._forget()
        for decision in decisions:
            decision(step)

    # Decisions: what hides or shows turns, and is made while the cell runs none

    def decide(self, step: Step, decision: Callable[[Step], None]) -> None:
        """Have a decision made between two folds, without a turn between them.

        A turn that ran after the commit that hides another, and before the cell has heard of
        it, would count positions that nobody else counts.
        """
        if self._phase is Phase.ASLEEP:
            decision(step)
            return
        self._decisions.append(decision)
        self.feed(step)

    def adopt(self, step: Step, commit: int) -> int | Rejected:
        """Make a commit that adopts another, on top of that and of the frontier."""
        if len(self._frontier) >= PARENTS_MAX:
            merged = self.append(step)
            if isinstance(merged, Rejected):
                return merged
        self._frontier = self._journal.join(self._frontier, commit)
        return self.append(step, AdoptEntry(self._journal.graph.id_of(commit)))

    def _decide(self, step: Step) -> None:
        """Make the decisions, and let the cell go on when they are durable."""
        decisions, self._decisions = self._decisions, []
        generation, self._hold = self._generation, Hold.KEPT
        for decision in decisions:
            decision(step)

        def durable(later: Step) -> None:
            if generation == self._generation:
                self._hold = Hold.OVER
                self.feed(later)

        step.when_durable(durable)

    # Turns become drafts, drafts become commits

    def turn_ended(self, turn: TurnEnded, step: Step) -> None:
        """Make a turn durable as part of the open draft; its reply waits for that."""
        self.turns_ended((turn,), step)

    def turns_ended(self, turns: Sequence[TurnEnded], step: Step) -> None:
        """Make turns durable, in their order; those that fill a draft need no rows of it."""
        assert self._phase is Phase.AWAKE
        fresh: list[bytes] = []
        for turn in turns:
            assert turn.beat == self._beat
            draft = self._draft
            if draft is not None and draft.size + len(turn.operations) > DRAFT_BYTES_MAX:
                self._end_draft(fresh, step)
                draft = None
            if draft is None:
                parents = self._parents(step)
                assert not isinstance(parents, Rejected), f"own merge refused: {parents}"
                draft = self._draft = Draft(
                    parents, step.now.wall, turn.serial, role=self._role
                )
            draft.turns.append(turn.operations)
            draft.size += len(turn.operations) + 8
            draft.serial = turn.serial
            fresh.append(turn.operations)
            if draft.full:
                self._end_draft(fresh, step)
        draft = self._draft
        if draft is None or not fresh:
            return
        for operations in fresh:
            self._rows += 1
            key = rows.draft_key(self._journal.topic, self._rows)
            draft.keys.append(key)
            row = rows.DraftRow(draft.parents, draft.wall, operations)
            step.put(Table.DRAFT, key, rows.encode_draft(row))
        serial = draft.serial
        step.when_durable(lambda later: self._turn_durable(serial, draft, later))

    def _end_draft(self, fresh: list[bytes], step: Step) -> None:
        """Seal a draft that is full; its turns are durable with the commit."""
        draft = self._draft
        assert draft is not None
        fresh.clear()
        step.when_durable(lambda later: self._turn_durable(draft.serial, draft, later))
        self.seal(step)

    def _turn_durable(self, serial: int, draft: Draft, step: Step) -> None:
        step.act(Release(self._journal.topic, serial))
        if draft is self._draft:
            draft.durable = True
            self.tick(step)

    def tick(self, step: Step) -> None:
        """Seal the draft if its beat is over, merge heads, store; safe to call at any time."""
        over = self._beat_over
        if over is not None and over <= step.instant:
            self.seal(step)
        self._merge_heads(step)
        if self._stored.tick(step):
            self.feed(step)
        step.touch(self._journal.topic)

    def _merge_heads(self, step: Step) -> None:
        """Merge heads that have stood long enough; forget the wait if a turn merged them."""
        if self._merge_due is None:
            self._merge_at = None
        elif self._merge_at is None:
            wait = Duration(MERGE_WAIT + self._journal.jitter(MERGE_WAIT))
            self._merge_at = after(step.instant, wait)
        elif self._merge_at <= step.instant:
            self._merge_at = None
            # A reader who would have to make a new epoch first may not: a writer will merge.
            self.append(step)

    def seal(self, step: Step) -> None:
        """Turn the open draft, if there is one, into a commit of this device."""
        draft, self._draft = self._draft, None
        if draft is None:
            return
        entries = tuple(TurnEntry(operations) for operations in draft.turns)
        made = self._journal.append(
            step, entries=entries, parents=draft.parents, wall=draft.wall, role=draft.role
        )
        # The turns ran under a grant that held at their frontier: sealing cannot be refused
        # unless our own bookkeeping is wrong. Stop before anything is lost.
        assert not isinstance(made, Rejected), f"own draft refused: {made}"
        for key in draft.keys:
            step.drop(Table.DRAFT, key)
        self._sealed_at = step.instant
        self._made(made)
        if draft.first:
            last = draft.first + len(draft.turns) - 1
            self._bound.append(
                Binding(
                    draft.first,
                    last,
                    made,
                    self._journal.visibility.hidden_before(made),
                    self._journal.visibility.role_in(made),
                )
            )
            self._sealed_serial = last
            if not self._journal.effective(made):
                # A removal came in while the draft was open: the cell shows it, and may not.
                self._restood = True
                for index in (WHOLE, *range(len(draft.turns))):
                    self._flip((made, index), shown=False)
            if len(self._bound) >= _BOUND_MAX:
                step.when_durable(self.feed)

    def recover(self, found: Rows, step: Step) -> None:
        """Seal the drafts that a crash left, before anything else happens to the actor."""
        for key, value in found:
            row = rows.decode_draft(value)
            self._rows = max(self._rows, rows.number_of(key))
            if self._draft is None or self._draft.parents != row.parents:
                self.seal(step)
                self._draft = Draft(row.parents, row.wall, 0)
            self._draft.turns.append(row.operations)
            self._draft.keys.append(key)
        self.seal(step)

    def append(self, step: Step, *entries: Entry) -> int | Rejected:
        """Make a commit of this device that no turn made: a grant, a removal, a merge."""
        self.seal(step)
        parents = self._parents(step)
        if isinstance(parents, Rejected):
            return parents
        made = self._journal.append(step, entries=entries, parents=parents, wall=step.now.wall)
        if not isinstance(made, Rejected):
            self._made(made)
        return made

    def rotate(self, step: Step) -> Rejected | None:
        """Make a new epoch on top of the frontier, if the rotation rule asks for one."""
        self.seal(step)
        parents = self._parents(step)
        if isinstance(parents, Rejected):
            return parents
        if self._journal.choose_epoch(self._frontier) is not None:
            return None
        made = self._journal.rotate(step, parents=parents, wall=step.now.wall)
        if isinstance(made, Rejected):
            return made
        self._made(made)
        return None

    def _made(self, commit: int) -> None:
        """A commit of our own stands on all of the frontier, so it is the frontier now."""
        self._frontier = [commit]
        if self._phase is Phase.AWAKE:
            self._own[commit] = None

    def _parents(self, step: Step) -> tuple[CommitId, ...] | Rejected:
        """Return what the next commit builds on, ascending: the frontier and our own last."""
        graph = self._journal.graph
        own = self._journal.own_last
        if own is not None:
            self._frontier = self._journal.join(self._frontier, own)
        while len(self._frontier) > PARENTS_MAX:
            # Each merge goes on from the one before, as commits of one author must.
            first = [
                next(head for head in self._frontier if graph.contains((head,), anchor))
                for anchor in self._journal.anchors()
                if graph.contains(self._frontier, anchor)
            ]
            heads = list(dict.fromkeys((*first, *self._frontier)))
            some = tuple(sorted(map(graph.id_of, heads[:PARENTS_MAX])))
            merged = self._journal.append(step, entries=(), parents=some, wall=step.now.wall)
            if isinstance(merged, Rejected):
                return merged
            self._frontier = [merged, *heads[PARENTS_MAX:]]
            if self._phase is Phase.AWAKE:
                self._own[merged] = None
        return tuple(sorted(map(graph.id_of, self._frontier)))

    # Commits become folds

    def commits_durable(self, count: int, step: Step) -> None:
        """Learn that the first `count` commits are on disk; show the new ones."""
        first, self._durable = self._durable, max(self._durable, count)
        if self._phase is Phase.ASLEEP:
            for commit in range(first, self._durable):
                self._extend(commit)
        else:
            self._stored.grown(self._durable, step)
            self.feed(step)
        step.touch(self._journal.topic)

    def keep_turns(self, commit: int, turns: tuple[bytes, ...]) -> None:
        """Keep the turns of a commit that will be fed soon, to spare a read."""
        if self._phase is not Phase.ASLEEP:
            self._recent[commit] = turns

    def flipped(self, flips: Sequence[Flip], *, restood: bool) -> None:
        """Learn that turns became visible or hidden.

        restood: whole commits count now or do not, so the frontier may be another.
        """
        offered = self._fed if self._offer is None else self._offer.fed
        for commit, index, shown in flips:
            if commit < offered or commit in self._own:
                self._flip((commit, index), shown=shown)
        self._restood = self._restood or restood
        if self._phase is Phase.ASLEEP and restood:
            self._frontier = self._journal.visibility.heads(range(self._durable))

    def _flip(self, turn: Place, *, shown: bool) -> None:
        """Remember a change to tell the cell; two changes cancel out."""
        if self._flips.pop(turn, None) is None:
            self._flips[turn] = shown

    def folded(self, event: Folded, step: Step) -> None:
        """The cell applied what was offered."""
        offer, self._offer = self._offer, None
        assert offer is not None
        self._beat += 1
        assert event.beat == self._beat
        if not event.thawed:
            self._stored.refuse(step, "it is damaged, or of another version of the class")
            self.feed(step)
            return
        if offer.freeze:
            self._stored.keep(step, offer.fed, event.frozen)
        fed, self._fed = self._fed, offer.fed
        del self._bound[: offer.bound]
        if self._phase is Phase.LOADING:
            if offer.last:
                self._phase = Phase.AWAKE
                self._frontier = self._journal.visibility.heads(range(self._fed))
        elif offer.restood:
            shown = [*range(self._fed), *(c for c in self._own if c >= self._fed)]
            self._frontier = self._journal.visibility.heads(shown)
        else:
            for commit in range(fed, self._fed):
                self._extend(commit)
        for commit in [commit for commit in self._own if commit < self._fed]:
            del self._own[commit]
        if offer.hold:
            self._decide(step)
        self.feed(step)
        step.touch(self._journal.topic)

    def beat_closed(self, event: BeatClosed, step: Step) -> None:
        """The cell had run further: seal what it ran and offer the fold again."""
        offer, self._offer = self._offer, None
        assert offer is not None
        assert event.beat == self._beat
        self._restood = self._restood or offer.restood
        for turn, shown in offer.flips.items():
            self._flip(turn, shown=shown)
        for turn in [t for t in self._flips if t[0] >= self._fed and t[0] not in self._own]:
            del self._flips[turn]
        self.seal(step)
        assert self._sealed_serial == event.serial
        self.feed(step)

    def feed(self, step: Step) -> None:
        """Offer the cell what it has not seen, unless it is still busy with an offer."""
        if self._phase is Phase.ASLEEP or self._offer is not None or self._reading:
            return
        if self._hold is Hold.KEPT:
            return
        loading = self._phase is Phase.LOADING
        role = self._journal.role
        news = self._fed < self._durable or self._flips or len(self._bound) >= _BOUND_MAX
        news = news or (self._stored.wanted and self._durable == len(self._journal.graph))
        held = self._decisions or self._hold is Hold.OVER
        if not (news or loading or held or role is not self._role):
            return
        self.seal(step)  # first: what is about to be fed may be our own draft, sealed elsewhere
        if self._frozen is not None:
            stop = self._frozen[0]
            commits: list[FoldCommit] = []
            hide = self._journal.visibility.hidden_among(stop)
        else:
            stop = min(self._durable, self._fed + _FOLD_COMMITS_MAX)
            found = gathered(self._journal, range(self._fed, stop), self._own, self._recent)
            if isinstance(found, int):
                self._read(found, stop, step)
                return
            commits, hide = found
        own_last = self._journal.own_last
        last = stop == self._durable and (own_last is None or own_last < stop or not loading)
        if loading and not (last or commits or self._frozen):
            return  # our own newest commit is on its way to the disk
        self._offer_fold(step, stop, commits, hide, last=last)

    def _offer_fold(
        self,
        step: Step,
        stop: int,
        commits: list[FoldCommit],
        hide: list[tuple[int, int]],
        *,
        last: bool,
    ) -> None:
        show: list[tuple[int, int]] = []
        for turn, shown in self._flips.items():
            (show if shown else hide).append(turn)
        self._role = self._journal.role
        hold = bool(self._decisions) and last and self._phase is Phase.AWAKE
        freeze = last and stop == len(self._journal.graph) and self._wants_state(stop)
        self._offer = Offer(
            stop, self._flips, self._restood, len(self._bound), last, hold, freeze
        )
        frozen, self._frozen = self._frozen, None
        self._hold = Hold.NONE
        self._flips, self._restood = {}, False
        for commit in range(self._fed, stop):
            self._recent.pop(commit, None)
        step.act(
            Fold(
                topic=self._journal.topic,
                beat=self._beat + 1,
                serial=self._sealed_serial,
                graph=self._journal.graph,
                bindings=tuple(self._bound),
                commits=tuple(commits),
                hide=tuple(hide),
                show=tuple(show),
                may_write=self._journal.may_write,
                last=last,
                hold=hold,
                device=self._journal.device,
                role=self._role or Role.READER,
                frozen=None if frozen is None else frozen[1],
                freeze=freeze,
            )
        )

    def _wants_state(self, stop: int) -> bool:
        """Whether a cell that shows all commits is asked for its state."""
        if self._phase is Phase.LOADING:
            return self._stored.is_far_behind(stop)
        return self._stored.wanted

    def _read(self, first: int, stop: int, step: Step) -> None:
        """Fetch the turns of commits that are only on disk."""
        generation = self._generation
        self._reading = True

        def arrived(later: Step, found: dict[int, tuple[bytes, ...]]) -> None:
            if generation != self._generation:
                return
            self._reading = False
            for number, turns in found.items():
                self._recent[number - 1] = turns
            self.feed(later)

        self._indexing.read_turns(step, first + 1, stop, arrived)

    def _extend(self, commit: int) -> None:
        """Move the frontier over one further commit, if it counts."""
        if self._journal.effective(commit):
            self._frontier = self._journal.join(self._frontier, commit)
