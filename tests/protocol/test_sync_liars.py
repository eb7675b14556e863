"""Liars can only waste, within bounds: sync with peers that keep to nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comity.base.clock import MINUTE, Instant
from comity.base.errors import Reason
from comity.base.ids import CommitId
from comity.base.limits import (
    PASSES_A_MINUTE_MAX,
    RECONCILE_MESSAGES_MAX,
    WANT_IDS_MAX,
    WANTS_OPEN_MAX,
)
from comity.protocol.sync_port import (
    Fail,
    Output,
    Phase,
    Say,
    Serve,
    SyncRecord,
)
from comity.wire.records import (
    Commits,
    Receipt,
    Reconcile,
    Since,
    Summary,
    Want,
)
from tests.protocol.topics import (
    TAG,
    End,
    Log,
    View,
    lie,
    make,
    some_log,
)

NOW = Instant(0)


class Liar:
    """A machine whose peer is the test."""

    def __init__(self, log: Log, *, initiator: bool, opening: Summary | None = None) -> None:
        self.end = End(log, "liar", initiator=initiator)
        self.end.start()
        if opening is not None:
            self.say(opening)

    def say(self, *records: SyncRecord) -> None:
        """Say these, and let the host do its work."""
        for record in records:
            self.end.do(self.end.machine.receive(record, self.end.now))
            while self.end.jobs:
                self.end.work()

    @property
    def reason(self) -> Reason | None:
        """Why the session was ended."""
        return self.end.failed[0].reason if self.end.failed else None


def truth(log: Log) -> Summary:
    """Return the summary of a log."""
    view = View(log, "")
    return Summary(TAG, view.count, view.digest(), (), b"s" * 16, view.arrival)


OUT_OF_TURN: dict[str, Callable[[Log], Sequence[SyncRecord]]] = {
    "commits first": lambda _: [Commits(TAG, (), 1, last=True)],
    "since first": lambda _: [Since(TAG, 1)],
    "want first": lambda _: [Want(TAG, ())],
    "since of an equal": lambda log: [truth(log), Since(TAG, 1)],
    "two sinces": lambda _: [lie(0, 0), Since(TAG, 1), Since(TAG, 1)],
    "reconcile of an equal": lambda log: [truth(log), Reconcile(TAG, b"\1")],
    "broken reconcile": lambda _: [lie(), Reconcile(TAG, b"\2")],
    "empty reconcile": lambda _: [lie(), Reconcile(TAG, b"")],
}


@pytest.mark.parametrize("initiator", [True, False])
@pytest.mark.parametrize("case", sorted(OUT_OF_TURN))
def test_what_is_out_of_turn_ends_the_session(case: str, *, initiator: bool) -> None:
    """A reason is given, and after that nothing is done for this peer any more."""
    log = some_log()
    liar = Liar(log, initiator=initiator)
    liar.say(*OUT_OF_TURN[case](log))
    assert liar.reason in {Reason.OUT_OF_TURN, Reason.UNSUPPORTED, Reason.MALFORMED}
    said = len(liar.end.sent.records)
    liar.say(lie(), Since(TAG, 0), Want(TAG, (log.order[0],)))
    log.write(b"more")
    assert len(liar.end.sent.records) == said
    assert liar.end.machine.phase is Phase.OVER


def test_an_initiator_is_not_reconciled_with() -> None:
    """Only one side begins; when the other does, it is out of turn."""
    liar = Liar(some_log(), initiator=True, opening=lie(0, 0))
    liar.say(Reconcile(TAG, b"\1"))
    assert liar.reason is Reason.OUT_OF_TURN


def test_summaries_are_answered_eight_times_a_minute() -> None:
    """More are refused; a minute later they are welcome again."""
    log = some_log()
    for seconds, reason in ((0, Reason.RATE), (31, None)):
        liar = Liar(log, initiator=False, opening=truth(log))
        for _ in range(2 * PASSES_A_MINUTE_MAX + 1):
            liar.end.now = Instant(liar.end.now + seconds * MINUTE // 60)
            liar.say(truth(log))
        assert liar.reason is reason


def test_a_liar_never_makes_a_loop() -> None:
    """Summaries that always differ cost the passes that a minute allows, and no more."""
    liar = Liar(some_log(), initiator=True, opening=lie())
    body = b"\1" + bytes((0x40 | 63,)) + bytes(16)
    says: dict[Phase, SyncRecord] = {
        Phase.RECONCILING: Reconcile(TAG, body),
        Phase.EXCHANGING: Commits(TAG, (), 10, last=True),
        Phase.LIVE: lie(),
    }
    for _ in range(1_000):
        if liar.end.machine.phase not in says:
            break
        liar.say(says[liar.end.machine.phase])
    assert liar.reason is Reason.RATE
    said = [each for each in liar.end.sent.records if isinstance(each, Reconcile)]
    passes = 1 + 2 * PASSES_A_MINUTE_MAX
    assert len(said) <= passes * RECONCILE_MESSAGES_MAX // 2


def test_own_comparisons_are_four_a_minute() -> None:
    """The host may ask for more; nothing is said."""
    log = some_log()
    liar = Liar(log, initiator=True, opening=truth(log))
    for _ in range(10):
        liar.end.do(liar.end.machine.compare(liar.end.now))
        liar.say(truth(log)) if liar.end.machine.phase is Phase.COMPARING else None
    assert len(liar.end.sent.records) == PASSES_A_MINUTE_MAX
    later = Instant(liar.end.now + MINUTE)
    assert liar.end.machine.compare(later)


def test_ids_that_nobody_has_are_wanted_once_a_pass() -> None:
    """A list of inventions costs one want, which the liar may leave unanswered for ever."""
    liar = Liar(some_log(5), initiator=True, opening=lie())
    invented = b"".join(bytes((number,)) * 32 for number in range(1, 32))
    liar.say(Reconcile(TAG, b"\1" + bytes((0x80 | 63, 31)) + invented))
    wants = [each for each in liar.end.sent.records if isinstance(each, Want)]
    assert [len(each.ids) for each in wants] == [31]
    phases = [liar.end.machine.phase]
    liar.say(Commits(TAG, (), 0, last=True), Commits(TAG, (), 10, last=True))
    phases.append(liar.end.machine.phase)
    assert phases == [Phase.EXCHANGING, Phase.LIVE]
    assert liar.reason is None


def test_cursors_that_lie_are_harmless() -> None:
    """A cursor beyond the end, and a claim beyond it, only make reconciliation necessary."""
    log = some_log()
    liar = Liar(log, initiator=False, opening=lie(1, 5))
    liar.say(Since(TAG, 2**64 - 1))
    ends = [each for each in liar.end.sent.records if isinstance(each, Commits)]
    assert ends == [Commits(TAG, (), log.arrivals[log.order[-1]], last=True)]
    liar.say(Commits(TAG, (), 2**64 - 1, last=True))
    assert log.cursors["liar", b"s" * 16] == 2**64 - 1
    again = Liar(log, initiator=True, opening=lie())
    assert isinstance(again.end.sent.records[-1], Reconcile)


def test_wants_are_bounded() -> None:
    """Four may be open while the host is slow; the fifth ends the session."""
    log = some_log()
    liar = Liar(log, initiator=False, opening=truth(log))
    machine = liar.end.machine
    outputs: list[Output] = []
    for _ in range(WANTS_OPEN_MAX + 2):
        outputs += machine.receive(Want(TAG, (log.order[0], CommitId(bytes(32)))), NOW)
    assert [type(each) for each in outputs] == [Serve, Fail]


def test_parents_without_end_are_asked_for_within_bounds() -> None:
    """A peer that only sends orphans gets four wants of bounded size, whatever it names."""
    log = some_log()
    liar = Liar(log, initiator=True, opening=truth(log))
    names = [CommitId(number.to_bytes(32, "big")) for number in range(100_000)]
    outputs = liar.end.machine.want(names, NOW)
    wants = [each.record for each in outputs if isinstance(each, Say)]
    assert len(wants) == WANTS_OPEN_MAX
    assert all(isinstance(each, Want) and len(each.ids) == WANT_IDS_MAX for each in wants)
    for _ in range(1_000):
        outputs += liar.end.machine.receive(Commits(TAG, (), 0, last=True), NOW)
    assert len(outputs) < 20


RECORDS: st.SearchStrategy[SyncRecord] = st.one_of(
    st.builds(
        Summary,
        st.just(TAG),
        st.integers(0, 9),
        st.sampled_from([bytes(16), b"d" * 16]),
        st.just(()),
        st.just(b"s" * 16),
        st.integers(0, 2**64 - 1),
    ),
    st.builds(Since, st.just(TAG), st.integers(0, 2**64 - 1)),
    st.builds(
        Reconcile,
        st.just(TAG),
        st.sampled_from([b"", b"\1", b"\1\xbf\0", b"\1\x7f" + bytes(16)]),
    ),
    st.builds(Want, st.just(TAG), st.sampled_from([(), (CommitId(bytes(32)),)])),
    st.builds(
        Commits,
        st.just(TAG),
        st.sampled_from([(), (make([], b"x"),), (make([make([], b"y")], b"z"),)]),
        st.integers(0, 3),
        st.booleans(),
    ),
    st.builds(Receipt, st.just(TAG), st.just(())),
)


@settings(max_examples=300)
@given(
    initiator=st.booleans(),
    talk=st.lists(RECORDS, max_size=25),
    agrees=st.booleans(),
    writes=st.integers(0, 3),
)
def test_no_talk_breaks_a_machine(
    *, initiator: bool, talk: list[SyncRecord], agrees: bool, writes: int
) -> None:
    """Any records in any order: invariants hold, and it comes to rest, failed at most once."""
    log = some_log(3)
    liar = Liar(log, initiator=initiator, opening=truth(log) if agrees else None)
    for record in talk:
        liar.say(record)
        liar.end.machine.check()
    for number in range(writes):
        log.write(bytes((number,)))
    while liar.end.jobs:
        liar.end.work()
    assert len(liar.end.failed) <= 1
    assert bool(liar.end.failed) == (liar.end.machine.phase is Phase.OVER)
