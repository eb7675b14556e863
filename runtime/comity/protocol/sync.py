"""The sync of one topic over one session: both sides end up with all that either had.

Owns: the order of summary, cursor, reconciliation and live push. May not know: what commits
hold, who may see them, disks, links. It names ids; its host reads and sends them (`Serve`),
checks and stores them (`Take`), and says when that is done.

    phase         input                     next          does
    READY         start                     OPENING       says a summary
    OPENING       summary, equal            LIVE
                  cursor, or nothing here   PULLING       says Since
                  initiator, nothing there  COMPARING     says a summary
                  initiator, else           RECONCILING   begins to reconcile
                  responder, else           COMPARING
    PULLING       last answer, all durable  COMPARING     the initiator says a summary
                  Reconcile, responder      RECONCILING   answers it; the pull is off
    COMPARING     summary, equal            LIVE
                  summary, initiator        RECONCILING   begins to reconcile
                  summary, responder        COMPARING     answers a summary with one
                  Reconcile, responder      RECONCILING   answers it
    RECONCILING   Reconcile                 RECONCILING   answers it
                  the last Reconcile        EXCHANGING    wants, offers, then says the end
    EXCHANGING    both ends, all durable    LIVE
    LIVE          compare, or summary       COMPARING     says a summary
    any           a peer's fault            OVER          Fail

A summary that answers none is a request; it waits until this side is COMPARING or LIVE. Both
sides judge the same pair, the one said and the one heard, so both know whether it was equal.
Where the initiator reconciles at once it ignores the responder's Since, which is on its way:
the responder sees Reconcile where it expects commits, and knows. The end of an exchange is an
empty Commits that claims what the set held which was reconciled.

`arrival` N > 0 in Commits says: all that arrived here up to N was offered to you, or came from
you. A cursor is a hint: if it is wrong, digests differ and reconciliation finds out. So a lost
session is simply begun again. A lying peer can only omit, or waste what is bounded: one Since
a session, 4 open wants, 16 messages a reconciliation, 8 requests to compare a minute.
Source: PROTOCOL section 6; `protocol.reconcile`, `protocol.supply`, `protocol.intake`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, assert_never

from comity.base.clock import MINUTE, Instant, after
from comity.base.errors import Reason, Rejected
from comity.base.limits import HEADS_SAID_MAX, PASSES_A_MINUTE_MAX
from comity.protocol.intake import Intake
from comity.protocol.reconcile import Reconciler
from comity.protocol.supply import Supply
from comity.protocol.sync_port import (
    Compared,
    Delivered,
    Fail,
    Lacks,
    LogView,
    Output,
    Phase,
    Say,
    Synced,
    SyncRecord,
)
from comity.wire.records import (
    Commit,
    Commits,
    Receipt,
    Reconcile,
    Refusal,
    Runs,
    Since,
    Summary,
    Want,
)

if TYPE_CHECKING:
    from comity.base.ids import CommitId

__all__ = ["TopicSync"]

_UNWELCOME_MAX: Final = 4096
"""Commits that the peer refused, kept out of what is offered to it in this session."""


class _Rate:
    """How often something happened in the last minute, against a limit."""

    __slots__ = ("_limit", "_times")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._times: list[Instant] = []

    def allows(self, now: Instant) -> bool:
        """Count one more and return True, or return False."""
        if self.free_at(now) > now:
            return False
        self._times = [*self._times[-self._limit + 1 :], now]
        return True

    def free_at(self, now: Instant) -> Instant:
        """Return when one more is allowed: `now`, or later."""
        if len(self._times) < self._limit:
            return now
        return max(now, after(self._times[-self._limit], MINUTE))


class _Exchange:
    """What follows a reconciliation: each side gives what it found the other to lack.

    arrival: the newest commit of the set that is reconciled. have: what only this side has, as
    far as it was this side that found out; asked: what the peer wants.
    """

    __slots__ = ("arrival", "asked", "complete", "end_heard", "end_said", "have", "need")

    def __init__(self, arrival: int) -> None:
        self.arrival = arrival
        self.asked: dict[CommitId, None] = {}
        self.have: dict[CommitId, None] = {}
        self.need: dict[CommitId, None] = {}
        self.complete = False
        self.end_said = False
        self.end_heard = False


class TopicSync:
    """One side of the sync of one topic over one session.

    Every input returns what is to be done, in order; after `Fail` all of them return nothing.
    """

    __slots__ = (
        "_again_at",
        "_exchange",
        "_initiator",
        "_intake",
        "_key",
        "_out",
        "_passes",
        "_phase",
        "_pulled",
        "_reconciler",
        "_request",
        "_requests",
        "_said",
        "_since_answered",
        "_supply",
        "_tag",
        "_unwelcome",
        "_view",
    )

    def __init__(self, view: LogView, *, tag: bytes, key: bytes, initiator: bool) -> None:
        """Prepare. tag: 16 bytes. key: the session's handshake hash.

        view: its `cursor_of` must know this peer's stores only, or a liar borrows a cursor.
        """
        self._view = view
        self._tag = tag
        self._key = key
        self._initiator = initiator
        self._phase = Phase.READY
        self._supply = Supply(view, tag)
        self._intake = Intake(view, tag)
        self._said: Summary | None = None
        self._request: Summary | None = None
        self._since_answered = True
        self._pulled = False
        self._reconciler: Reconciler | None = None
        self._exchange: _Exchange | None = None
        self._unwelcome: dict[CommitId, None] = {}
        self._passes = _Rate(PASSES_A_MINUTE_MAX)
        self._requests = _Rate(2 * PASSES_A_MINUTE_MAX)
        self._again_at: Instant | None = None
        self._out: list[Output] = []

    @property
    def phase(self) -> Phase:
        """Where this side stands."""
        return self._phase

    @property
    def deadline(self) -> Instant | None:
        """When `wake` is due; None unless an incomplete pass is to be followed by another."""
        return self._again_at if self._phase is Phase.LIVE else None

    # What the host says

    def start(self, now: Instant) -> tuple[Output, ...]:
        """Begin: both sides do, as soon as the topic is matched.

        Raises: AssertionError if it was begun before.
        """
        assert self._phase is Phase.READY, "begun twice"
        allowed = self._passes.allows(now)
        assert allowed
        self._ask(heads=False)
        self._phase = Phase.OPENING
        return self._done(now)

    def receive(self, record: SyncRecord, now: Instant) -> tuple[Output, ...]:
        """Take a record of this topic."""
        assert self._phase is not Phase.READY, "not begun"
        if self._phase is Phase.OVER:
            return ()
        if self._phase is Phase.OPENING and not isinstance(record, Summary | Refusal):
            self._fail(Reason.OUT_OF_TURN, f"{type(record).__name__} before a summary")
            return self._done(now)
        match record:
            case Summary():
                self._hear_summary(record, now)
            case Since(_, arrival):
                self._hear_since(arrival)
            case Reconcile(_, body):
                self._hear_reconcile(body)
            case Want(_, ids):
                if self._exchange is not None:
                    self._exchange.asked.update(dict.fromkeys(ids))
                refusal = self._supply.request(ids)
                if refusal is not None:
                    self._fail(refusal.reason, refusal.detail)
            case Commits():
                self._hear_commits(record)
            case Runs(tag, runs):
                inside = tuple([Commit(run, b"") for run in runs])
                self._hear_commits(Commits(tag, inside, 0, last=False))
            case Receipt(_, ids):
                self._out.append(Delivered(ids))
            case Refusal():
                room = _UNWELCOME_MAX - len(self._unwelcome)
                self._unwelcome.update(dict.fromkeys(record.ids[:room]))
            case _:
                assert_never(record)
        return self._done(now)

    def stored(
        self, ids: Sequence[CommitId], now: Instant, *, from_peer: bool
    ) -> tuple[Output, ...]:
        """Commits became durable here: those of this session are acknowledged, others pushed.

        from_peer: this session brought them. Call it before any later commit is told of.
        """
        if from_peer:
            for each in ids:
                arrival = self._view.arrival_of(each)
                assert arrival is not None, "told of before it was durable"
                self._supply.came_from_peer(arrival)
            # The summary that ends a pull says it for all of them.
            self._intake.stored(ids, receipt=self._phase is not Phase.PULLING)
        return self._done(now)

    def settle(
        self, number: int, missing: Sequence[CommitId], now: Instant
    ) -> tuple[Output, ...]:
        """Everything of `Take` `number` is durable, known before, refused, or an orphan.

        missing: all parents that commits of this peer wait for now; empty if none wait.
        Raises: AssertionError if there was no such Take, or it was settled.
        """
        if self._phase is not Phase.OVER:
            self._intake.settle(number, missing)
        return self._done(now)

    def served(self, now: Instant) -> tuple[Output, ...]:
        """The records of the last `Serve` were handed to a session that has room for more.

        Raises: AssertionError if nothing was being served.
        """
        if self._phase is not Phase.OVER:
            self._supply.served()
        return self._done(now)

    def want(self, ids: Sequence[CommitId], now: Instant) -> tuple[Output, ...]:
        """Ask the peer for commits that something else here waits for; each once a session."""
        self._intake.want_missing(ids)
        return self._done(now)

    def want_again(self, ids: Sequence[CommitId], now: Instant) -> tuple[Output, ...]:
        """Ask the peer for its copies of commits that are here, but perhaps not whole."""
        self._intake.want_again(ids)
        return self._done(now)

    def renewed(self, commit: CommitId, now: Instant) -> tuple[Output, ...]:
        """Offer a commit that the peer refused: there is another copy of it now."""
        if commit in self._unwelcome:
            del self._unwelcome[commit]
            self._supply.offer((commit,))
        return self._done(now)

    def compare(self, now: Instant) -> tuple[Output, ...]:
        """Compare again, for whoever does so regularly; nothing if it is not the time."""
        if self._phase is Phase.LIVE and self._passes.allows(now):
            self._compare()
        return self._done(now)

    def wake(self, now: Instant) -> tuple[Output, ...]:
        """Do what `deadline` asked for; a no-op before it."""
        return self._done(now)

    def check(self) -> None:
        """Assert the invariants of phase and parts."""
        self._supply.check()
        self._intake.check()
        reconciling = self._phase is Phase.RECONCILING
        assert (self._reconciler is not None) == reconciling or self._phase is Phase.OVER
        exchanging = reconciling or self._phase is Phase.EXCHANGING
        assert (self._exchange is not None) == exchanging or self._phase is Phase.OVER

    # Summaries

    def _ask(self, *, heads: bool) -> None:
        """Say a summary that the peer answers with one."""
        self._said = self._summary(heads=heads)
        self._out.append(Say(self._said))

    def _compare(self) -> None:
        self._again_at = None
        self._ask(heads=True)
        self._phase = Phase.COMPARING

    def _summary(self, *, heads: bool) -> Summary:
        view = self._view
        # Most openings find nothing to do, so they stay under 100 bytes.
        said = view.heads() if heads else ()
        if len(said) > HEADS_SAID_MAX:
            said = ()
        return Summary(self._tag, view.count, view.digest(), said, view.store, view.arrival)

    def _hear_summary(self, theirs: Summary, now: Instant) -> None:
        if self._said is not None:
            ours, self._said = self._said, None
            self._judge(ours, theirs)
        elif self._request is not None:
            self._fail(Reason.OUT_OF_TURN, "a second summary before the first was answered")
        elif not self._requests.allows(now):
            self._fail(Reason.RATE, "more summaries in a minute than are answered")
        else:
            self._request = theirs

    def _answer_request(self, theirs: Summary) -> None:
        self._request = None
        ours = self._summary(heads=True)
        self._out.append(Say(ours))
        self._judge(ours, theirs)

    def _judge(self, ours: Summary, theirs: Summary) -> None:
        """Compare the pair that the peer compares too."""
        opening = self._phase is Phase.OPENING
        equal = ours.digest == theirs.digest
        if opening:
            cursor = self._view.cursor_of(theirs.store)
            if cursor is not None and cursor > theirs.arrival:
                cursor = None  # that store is not what it was
            self._intake.reads(theirs.store, cursor)
            self._since_answered = equal
        self._out.append(Compared(equal, ours, theirs))
        if equal:
            self._intake.claim(theirs.arrival)
            self._go_live(ours.arrival, complete=True)
        elif opening:
            self._open(ours, theirs)
        elif self._initiator:
            self._begin_reconciling()
        else:
            self._phase = Phase.COMPARING

    def _open(self, ours: Summary, theirs: Summary) -> None:
        """Choose how to get level with a peer whose set differs."""
        cursor = self._view.cursor_of(theirs.store)
        if cursor is None and not ours.count:
            cursor = 0
        known = cursor is not None and cursor <= theirs.arrival
        if cursor is not None and cursor < theirs.arrival and theirs.count:
            self._out.append(Say(Since(self._tag, cursor)))
            to_go = theirs.arrival - cursor
            self._out.append(self._intake.expect(to_go, until=theirs.arrival))
            self._phase = Phase.PULLING
        elif not self._initiator:
            self._phase = Phase.COMPARING
        elif known or not theirs.count:
            self._phase = Phase.COMPARING
            self._ask(heads=True)
        else:
            self._since_answered = True
            self._begin_reconciling()

    # Cursors

    def _hear_since(self, arrival: int) -> None:
        if self._supply.position is None and not self._since_answered:
            self._since_answered = True
            self._supply.answer(arrival)
        elif not (self._initiator and self._exchange is not None):
            self._fail(Reason.OUT_OF_TURN, "a cursor that nobody waits for")

    # Reconciliation

    def _begin_reconciling(self) -> None:
        reconciler = self._reconcile()
        self._out.append(Say(Reconcile(self._tag, reconciler.initiate())))

    def _reconcile(self) -> Reconciler:
        view = self._view
        made = Reconciler(view.items(), self._key, initiator=self._initiator)
        self._reconciler = made
        self._exchange = _Exchange(view.arrival)
        self._phase = Phase.RECONCILING
        return made

    def _hear_reconcile(self, body: bytes) -> None:
        begins = self._phase in {Phase.COMPARING, Phase.PULLING} and self._said is None
        if self._reconciler is None and begins and not self._initiator:
            self._reconcile()
        if self._reconciler is None or self._exchange is None:
            self._fail(Reason.OUT_OF_TURN, "reconciliation that nobody began")
            return
        outcome = self._reconciler.receive(body)
        if isinstance(outcome, Rejected):
            self._fail(outcome.reason, outcome.detail)
            return
        if outcome.reply is not None:
            self._out.append(Say(Reconcile(self._tag, outcome.reply)))
        exchange = self._exchange
        exchange.have.update(dict.fromkeys(outcome.have))
        exchange.need.update(dict.fromkeys(outcome.need))
        if outcome.done:
            exchange.complete = outcome.complete
            self._reconciler = None
            self._begin_exchange(exchange)

    def _begin_exchange(self, exchange: _Exchange) -> None:
        """Want what was found missing here, offer what was found missing there."""
        view = self._view
        need = [each for each in exchange.need if not view.refused(each)]
        have = ((view.arrival_of(each) or 0, each) for each in exchange.have)
        self._intake.want(need)
        self._out.append(self._intake.expect(len(need)))
        position = self._supply.position  # what lies behind it, the pump brings anyhow
        self._supply.offer(
            each
            for number, each in sorted(have)
            if each not in self._unwelcome and (position is None or number <= position)
        )
        self._phase = Phase.EXCHANGING

    # Commits

    def _hear_commits(self, record: Commits) -> None:
        asked = self._phase in {Phase.PULLING, Phase.EXCHANGING}
        self._out += self._intake.take(record, asked=asked)
        if not record.last:
            return
        if not record.arrival and self._intake.answered():
            return
        if self._exchange is not None and not record.commits:
            self._exchange.end_heard = True
        elif self._phase is Phase.PULLING:
            self._pulled = True

    # Moving on

    def _done(self, now: Instant) -> tuple[Output, ...]:
        """Move as far as possible and return what is to be done."""
        before: Phase | None = None
        while self._phase is not before and self._moves:
            before = self._phase
            self._out += self._intake.next()
            self._out += self._supply.next()
            self._advance(now)
        if self._moves:
            self._out += self._intake.next()
            self._out += self._supply.next()
            if self._phase is Phase.LIVE and not self._intake.storing:
                self._out += self._supply.notice()
        out, self._out = tuple(self._out), []
        return out

    @property
    def _moves(self) -> bool:
        return self._phase is not Phase.READY and self._phase is not Phase.OVER

    def _advance(self, now: Instant) -> None:
        """Make one transition that no record asks for, if its time has come."""
        match self._phase:
            case Phase.PULLING:
                self._advance_pull()
            case Phase.EXCHANGING:
                self._advance_exchange(now)
            case Phase.COMPARING | Phase.LIVE if self._request is not None:
                self._answer_request(self._request)
            case Phase.LIVE if self._again_at is not None and self._again_at <= now:
                if self._passes.allows(now):
                    self._compare()
            case _:
                pass

    def _advance_pull(self) -> None:
        if self._pulled and not self._intake.wanting and not self._intake.storing:
            self._phase = Phase.COMPARING
            if self._initiator and self._request is None:
                self._ask(heads=True)

    def _advance_exchange(self, now: Instant) -> None:
        exchange = self._exchange
        assert exchange is not None
        if self._intake.wanting or self._supply.offering:
            return
        if not exchange.end_said:
            exchange.end_said = True
            position = self._supply.position
            reached = exchange.arrival if position is None else position
            self._out.append(Say(Commits(self._tag, (), reached, last=True)))
        if exchange.end_heard and not self._intake.storing:
            moved = bool(exchange.have or exchange.need)
            if self._initiator and not exchange.complete and moved:
                self._again_at = self._passes.free_at(now)
            if exchange.complete:
                self._out.append(Lacks(self._lacked(exchange)))
            self._go_live(exchange.arrival, complete=exchange.complete)

    def _lacked(self, exchange: _Exchange) -> tuple[CommitId, ...]:
        """Return what the peer had not, by its own words or by ours."""
        asked = [each for each in exchange.asked if self._view.arrival_of(each) is not None]
        return tuple(dict.fromkeys([*exchange.have, *asked]))

    def _go_live(self, position: int, *, complete: bool) -> None:
        self._exchange = None
        self._phase = Phase.LIVE
        self._supply.open(position)
        self._out.append(Synced(self._intake.received, self._intake.fresh, complete))

    def _fail(self, reason: Reason, detail: str) -> None:
        self._phase = Phase.OVER
        self._out.append(Fail(Rejected(reason, detail)))
