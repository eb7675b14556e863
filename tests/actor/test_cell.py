"""A cell: a turn or a fold is whole or nothing, and the log alone is the state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comity import Actor, Counter
from comity.actor.actor_type import ActorType
from comity.actor.cell import Cell, Phase
from comity.actor.fold import BeatClosed, Fold, Folded, TurnEnded
from comity.actor.message import Message
from comity.base.errors import UsageError
from comity.base.ids import CommitId, Topic
from comity.crdt.state import ChangeKind
from comity.log.graph import Graph
from tests.actor.hosts import Host, Hosts, Place
from tests.node.ledger import Ledger, consistent

TOPIC: Final = Topic(bytes(32))


class Interrupted(BaseException):
    """What is not an Exception: Ctrl-C, the end of the process."""


class Hooked(Actor):
    """Tells which of its hooks ran, and fails where it is told to."""

    total: Counter

    def __init__(self) -> None:
        """Begin with no traces."""
        self.ran: list[str] = []
        self.fails = ""

    def on_create(self) -> None:
        """Write."""
        self._run("create")
        self.total += 1

    def on_start(self) -> None:
        """Leave a trace."""
        self._run("start")

    def on_stop(self) -> None:
        """Leave a trace."""
        self._run("stop")

    def on_failure(self, error: Exception) -> None:
        """Leave a trace of the error."""
        self._run(f"failure {error}")

    def stop_the_process(self) -> None:
        """Write, then leave in a way that no handler may swallow."""
        self.total += 5
        self.ran.append("interrupted")
        raise Interrupted

    def traces(self) -> list[str]:
        """Return what ran."""
        return list(self.ran)

    def fail_in(self, hook: str) -> None:
        """Fail in one hook from now on."""
        self.fails = hook

    def write_from(self) -> None:
        """Write in a hook: what `on_start` and `on_stop` may not."""
        self.total += 1

    def _run(self, what: str) -> None:
        self.ran.append(what)
        if self.fails == what:
            raise ValueError(what)


class WritesAtStart(Actor):
    """Does in a hook what only a turn may do."""

    total: Counter

    def on_start(self) -> None:
        """Write outside of a turn."""
        self.total += 1


class Misspelt(Actor):
    """Writes to its field, and beside it."""

    total: Counter

    def on_start(self) -> None:
        """Set a plain attribute, which turns may set again."""
        self.runs = 0

    def add(self, number: int) -> None:
        """Misspell the field."""
        self.total += number
        self.totl = number

    def leak(self) -> Counter:
        """Return the field itself."""
        return self.total

    def copy(self) -> int:
        """Return what is in it."""
        return int(self.total)

    def count(self) -> int:
        """Write plain state."""
        self.runs += 1
        return self.runs


def started(cls: type[Actor]) -> Cell:
    """Return a running cell of a class, over an empty log."""
    cell = Cell(ActorType.of(cls), TOPIC)
    cell.fold(Fold(TOPIC, 1, 0, Graph()))
    return cell


def place(commit: CommitId | None, index: int = 0) -> Place:
    """Name a turn of a commit that was sealed."""
    assert commit is not None
    return commit, index


# ---------------------------------------------------------------------------- turns


def test_turns_are_numbered_as_they_write() -> None:
    """Writing turns are 1, 2, 3 without gaps; readers show the number of what they saw."""
    (host, *_) = Hosts().all
    first = host.run(Ledger.enter, "a", 1)
    read = host.run(Ledger.count)
    second = host.run(Ledger.enter, "b", 2)
    assert [first.serial, read.serial, second.serial] == [1, 1, 2]
    assert (first.value, read.value, second.value) == (1, 1, 2)
    assert read.operations == b""
    assert [ended.serial for ended in host.draft] == [1, 2]
    assert [ended.operations for ended in host.draft] == [first.operations, second.operations]
    assert {ended.beat for ended in host.draft} == {host.cell.beat}
    assert {ended.topic for ended in host.draft} == {host.world.topic}


def test_a_misspelt_field_is_refused_and_undone() -> None:
    """An attribute that no `on_start` has set is no place to write: it would be lost."""
    cell = started(Misspelt)
    assert cell.start() is None
    outcome, ended = cell.run(Message("add", (5,)))
    assert isinstance(outcome.error, UsageError)
    assert "no field 'totl', did you mean 'total'?" in str(outcome.error)
    assert ended is None
    assert cell.snapshot() == {"total": 0}
    again, _ = cell.run(Message("add", (5,)))
    assert str(again.error) == str(outcome.error)
    known, _ = cell.run(Message("count", ()))
    assert known.value == 1


def test_a_field_is_not_returned() -> None:
    """Its reader would hold it beside later turns; a copy is fine."""
    cell = started(Misspelt)
    returned, _ = cell.run(Message("leak"))
    assert "return a plain copy" in str(returned.error)
    copied, _ = cell.run(Message("copy"))
    assert copied.value == 0


def test_a_turn_that_raises_leaves_nothing() -> None:
    """Its writes are gone, its error is the outcome, and no event tells of it."""
    (host, *_) = Hosts().all
    host.run(Ledger.enter, "a", 1)
    before = host.cell.state_bytes()
    outcome, ended = host.cell.run(Message("enter_and_fail", ("b",)))
    assert isinstance(outcome.error, ValueError)
    assert (outcome.value, outcome.serial, outcome.operations, ended) == (None, 1, b"", None)
    assert host.cell.state_bytes() == before
    assert host.run(Ledger.enter, "b", 2).serial == 2
    host.cell.check()


def test_an_interrupt_rolls_back_and_goes_on_up() -> None:
    """What is no Exception is not swallowed, and yet the turn is gone and the cell whole."""
    cell = started(Hooked)
    with pytest.raises(Interrupted):
        cell.run(Message("stop_the_process"))
    assert cell.snapshot() == {"total": 0}
    assert (cell.serial, cell.state_bytes()) == (0, b"")
    cell.check()
    outcome, _ = cell.run(Message("traces"))
    assert outcome.value == ["interrupted"], "plain attributes do not roll back"
    _, ended = cell.create()
    assert ended is not None
    assert (ended.serial, cell.snapshot()) == (1, {"total": 1})


def test_a_message_that_a_newer_version_knows() -> None:
    """An unknown name is the sender's error, an outcome like any other."""
    cell = started(Hooked)
    for name in ("finish", "_run", "on_create"):
        outcome, ended = cell.run(Message(name))
        assert ended is None
        assert isinstance(outcome.error, UsageError)
        assert str(outcome.error) == f"Hooked has no message {name!r}"


def test_hooks_run_outside_of_turns() -> None:
    """They get their errors returned; only `on_create` is a turn and may write."""
    cell = started(Hooked)
    assert cell.start() is None
    outcome, ended = cell.create()
    assert isinstance(ended, TurnEnded)
    assert outcome.error is None
    assert cell.failed(ValueError("x")) is None
    assert cell.stop() is None
    traces, _ = cell.run(Message("traces"))
    assert traces.value == ["start", "create", "failure x", "stop"]
    for hook, call in (
        ("start", cell.start),
        ("stop", cell.stop),
        ("failure y", lambda: cell.failed(KeyError("y"))),
    ):
        cell.run(Message("fail_in", (hook.replace("y", "'y'"),)))
        assert isinstance(call(), ValueError)
    cell.run(Message("fail_in", ("create",)))
    assert isinstance(cell.create()[0].error, ValueError)
    assert cell.snapshot() == {"total": 1}


def test_a_hook_may_not_write() -> None:
    """A write in `on_start` is refused and changes nothing."""
    cell = started(WritesAtStart)
    error = cell.start()
    assert isinstance(error, UsageError)
    assert cell.snapshot() == {"total": 0}
    cell.check()


def test_a_device_without_the_role_may_not_write() -> None:
    """The fold says so; a later one may say otherwise."""
    (host, *_) = Hosts().all
    host.cell.fold(host.offer(may_write=False))
    outcome = host.run(Ledger.enter, "a", 1)
    assert isinstance(outcome.error, UsageError)
    assert host.run(Ledger.count).value == 0
    host.cell.fold(host.offer(may_write=True))
    assert host.run(Ledger.enter, "a", 1).value == 1


# ---------------------------------------------------------------------------- folds


def test_a_cell_runs_nothing_before_its_history_is_whole() -> None:
    """It starts with the fold that is the last; before that a turn is our own mistake."""
    hosts = Hosts()
    source = hosts.all[0]
    for name in "abc":
        source.run(Ledger.enter, name, 1)
        source.seal()
    cell = Host(hosts.world, 1)
    for last in (False, False, True):
        assert cell.cell.phase is Phase.STARTING
        with pytest.raises(AssertionError):
            cell.run(Ledger.count)
        cell.learn(hosts.log()[: len(cell.graph) + 2])
        assert cell.fold(last=last) == Folded(hosts.world.topic, cell.cell.beat)
    assert cell.cell.phase is Phase.RUNNING
    assert cell.cell.state_bytes() == source.cell.state_bytes() != b""


def test_a_cell_that_ran_further_refuses_and_takes_the_second_offer() -> None:
    """A fold that does not bind all turns changes nothing; the cell waits for one that does."""
    hosts = Hosts()
    host, other, _ = hosts.all
    other.run(Ledger.enter, "theirs", 2)
    other.seal()
    host.run(Ledger.enter, "a", 1)
    first = host.seal()
    host.learn(hosts.log())
    early = host.offer()
    host.run(Ledger.enter, "b", 1)
    assert host.refused(early) == BeatClosed(hosts.world.topic, host.cell.beat, 2)
    phases = [host.cell.phase]
    assert host.cell.snapshot()["names"] == {"a", "b"}
    with pytest.raises(AssertionError):
        host.run(Ledger.count)
    host.refused(early)
    second = host.seal()
    assert first is not None
    assert second is not None
    event, changes = host.cell.fold(host.offer())
    assert isinstance(event, Folded)
    assert {change.kind for change in changes} == {ChangeKind.WRITTEN}
    phases.append(host.cell.phase)
    assert phases == [Phase.WAITING, Phase.RUNNING]
    host.fed()
    assert host.run(Ledger.count).value == 3
    hosts.sync()
    assert len({each.cell.state_bytes() for each in hosts.all}) == 1


@pytest.mark.parametrize("wrong", ["topic", "beat", "again", "serial", "binding", "open"])
def test_a_fold_out_of_place_is_our_own_mistake(wrong: str) -> None:
    """Another actor's, out of order, twice, of turns that never ran, or unbound: an assert."""
    (host, *_) = Hosts().all
    host.run(Ledger.enter, "a", 1)
    host.seal()
    fold = host.offer()
    changed = {
        "topic": replace(fold, topic=TOPIC),
        "beat": replace(fold, beat=fold.beat + 1),
        "again": replace(fold, beat=fold.beat - 1),
        "serial": replace(fold, serial=2),
        "binding": replace(fold, bindings=fold.bindings * 2),
        "open": replace(fold, bindings=()),
    }[wrong]
    with pytest.raises(KeyError if wrong == "binding" else AssertionError):
        host.cell.fold(changed)


def test_bindings_place_turns_where_their_commits_are() -> None:
    """Turns of one draft are hidden and shown one by one, by commit and index."""
    hosts = Hosts()
    host = hosts.all[0]
    for name in "abc":
        host.run(Ledger.enter, name, 1)
    one = host.seal()
    host.run(Ledger.enter, "d", 1)
    two = host.seal()
    host.fold(hide=[place(one, 1), place(two)])
    assert host.cell.snapshot()["names"] == {"a", "c"}
    assert consistent(host.cell.snapshot())
    host.cell.check()
    host.show(place(one, 1))
    assert host.cell.snapshot()["names"] == {"a", "b", "c"}
    host.show(place(two))
    assert host.cell.snapshot()["total"] == 4


def test_changes_say_what_a_fold_did() -> None:
    """Each change names its field and keys: written by others, hidden, shown; not our own."""
    hosts = Hosts()
    host, other, _ = hosts.all
    other.run(Ledger.enter, "a", 1)
    theirs = place(other.seal())
    host.run(Ledger.rename, "ours")
    host.seal()
    host.learn(hosts.log())
    _, changes = host.cell.fold(host.offer(hide=[theirs]))
    host.fed()
    kinds = [(change.field, change.kind, change.keys) for change in changes]
    written, hidden = ChangeKind.WRITTEN, ChangeKind.HIDDEN
    assert sorted(kinds) == sorted(
        [("names", each, ("a",)) for each in (written, hidden)]
        + [("lines", each, ("a",)) for each in (written, hidden)]
        + [("total", each, ()) for each in (written, hidden)]
    )
    _, changes = host.cell.fold(host.offer(show=[theirs]))
    assert {change.kind for change in changes} == {ChangeKind.SHOWN}


def test_what_was_concurrent_is_ordered_by_commits_not_by_arrival() -> None:
    """A turn that this cell ran first does not win for that: both sides show the same value."""
    for first, second in (("x", "y"), ("y", "x"), ("left", "right"), ("right", "left")):
        hosts = Hosts()
        one, two, _ = hosts.all
        one.run(Ledger.rename, first)
        two.run(Ledger.rename, second)
        hosts.sync()
        titles = [host.cell.snapshot()["title"] for host in hosts.all]
        assert titles[0] in {first, second}
        assert titles == [titles[0]] * 3
        one.run(Ledger.rename, "settled")
        hosts.sync()
        assert hosts.all[2].cell.snapshot()["title"] == "settled"


# ---------------------------------------------------------------------------- the whole

NAMES: Final = ("a", "b", "c")
messages = st.one_of(
    st.tuples(st.just("enter"), st.sampled_from(NAMES), st.integers(-3, 3)),
    st.tuples(st.just("strike"), st.sampled_from(NAMES), st.just(0)),
    st.tuples(st.just("rename"), st.sampled_from(NAMES), st.just(0)),
    st.tuples(st.just("enter_and_fail"), st.sampled_from(NAMES), st.just(0)),
)
steps = st.one_of(
    st.tuples(st.just("run"), st.integers(0, 2), messages),
    st.tuples(st.just("seal"), st.integers(0, 2), st.none()),
    st.tuples(st.just("sync"), st.integers(0, 2), st.integers(0, 2)),
    st.tuples(st.just("offer too early"), st.integers(0, 2), messages),
)


def play(hosts: Hosts, script: Sequence[tuple[str, int, object]]) -> None:
    """Let the devices run, seal and sync as a script says."""
    for what, who, detail in script:
        host = hosts.all[who]
        if what == "run":
            run(host, detail)
        elif what == "seal":
            host.seal()
        elif what == "sync":
            assert isinstance(detail, int)
            source = hosts.all[detail]
            source.seal()
            seen = [each for each in hosts.log() if source.graph.index_of(each) is not None]
            host.learn(seen)
            host.fold()
        else:
            host.seal()
            fold = host.offer()
            run(host, detail)
            if host.draft:
                host.refused(fold)
                host.fold()
        host.cell.check()


def run(host: Host, message: object) -> None:
    """Run one of the messages above; some of them fail."""
    name, entry, amount = cast("tuple[str, str, int]", message)
    if name == "enter":
        host.run(Ledger.enter, entry, amount)
    else:
        host.run(getattr(Ledger, name), entry)


def toss(data: st.DataObject) -> bool:
    """Draw yes or no."""
    return data.draw(st.booleans())


def feed_at_random(hosts: Hosts, final: Sequence[Place], data: st.DataObject) -> Host:
    """Feed the whole log to a new cell in a random legal order, hiding on the way."""
    reader = Host(hosts.world, 2)
    waiting = list(hosts.log())
    while waiting:
        ready = [
            each
            for each in waiting
            if all(
                reader.graph.index_of(p) is not None for p in hosts.world.inners[each].parents
            )
        ]
        chosen = data.draw(st.sampled_from(ready))
        waiting.remove(chosen)
        reader.learn([chosen])
        if toss(data):
            reader.fold(last=False, hide=[p for p in final if p[0] == chosen])
            if reader.hidden and toss(data):
                reader.show(data.draw(st.sampled_from(list(reader.hidden))))
            reader.cell.check()
    reader.fold(hide=[p for p in final if p not in reader.hidden])
    return reader


@settings(max_examples=60)
@given(st.lists(steps, max_size=25), st.data())
def test_the_log_alone_is_the_state(
    script: list[tuple[str, int, object]], data: st.DataObject
) -> None:
    """Cells that ran turns and cells fed in any legal order, whatever is hidden, are equal."""
    hosts = Hosts()
    play(hosts, script)
    hosts.sync()
    host = hosts.all[0]
    turns = [
        (commit, index) for commit in hosts.log() for index in range(len(host.turns(commit)))
    ]
    final = data.draw(st.lists(st.sampled_from(turns), unique=True)) if turns else []
    for each in hosts.all:
        each.fold(hide=data.draw(st.permutations(final)))
        each.cell.check()
    readers = [feed_at_random(hosts, final, data) for _ in range(2)]
    expected = host.cell.state_bytes()
    for each in [*hosts.all, *readers]:
        assert each.cell.state_bytes() == expected
        assert each.cell.snapshot() == host.cell.snapshot()
        each.cell.check()
    if len(final) == len(turns):
        assert expected == b""
