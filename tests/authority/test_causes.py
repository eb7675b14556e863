"""Causes: an increment at a time they say what the rule says of the whole log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from comity.authority.causes import Causes, handover_claim
from comity.authority.undos import Place
from comity.base.ids import CommitId, DeviceId, Topic
from comity.crypto.symbolic import Symbolic
from comity.log.entries import Cause, TurnEntry

_CRYPTO: Final = Symbolic()
_TOPIC: Final = Topic(bytes([9]) * 32)
_SEEDS: Final = tuple(bytes([n]) * 32 for n in range(1, 4))
_DEVICES: Final = tuple(DeviceId(_CRYPTO.sign_public(seed)) for seed in _SEEDS)
_SENDER_SEED: Final = bytes([50]) * 32
_SENDER: Final = DeviceId(_CRYPTO.sign_public(_SENDER_SEED))


def signed(cause: Cause, author: DeviceId, topic: Topic = _TOPIC) -> Cause:
    """Return a cause that its sender has handed over to another device."""
    claim = handover_claim(topic, cause, author)
    handover = _CRYPTO.sign(_SENDER_SEED, claim)
    return Cause(cause.sender, cause.recipient, cause.edge_seq, handover)


@dataclass(frozen=True)
class _Commit:
    parents: tuple[int, ...]
    author: DeviceId
    causes: tuple[Cause | None, ...]


class _Log:
    """Commits with their ancestry spelt out. An `Ancestry`."""

    def __init__(self, commits: list[_Commit]) -> None:
        self.commits = commits
        self.past: list[frozenset[int]] = []
        for commit in commits:
            own = frozenset(commit.parents)
            self.past.append(own.union(*(self.past[p] for p in commit.parents)))

    def is_before(self, a: int, b: int, /) -> bool:
        return a in self.past[b]

    def id_of(self, index: int, /) -> CommitId:
        return CommitId(index.to_bytes(32, "big"))

    def index_of(self, commit: CommitId, /) -> int | None:
        return int.from_bytes(commit, "big")

    # The rule, looked up in the whole log each time

    def kind(self, place: Place) -> str:
        """Return what a turn with a cause is: original, handed or void; '' without one."""
        commit = self.commits[place[0]]
        cause = commit.causes[place[1]]
        if cause is None:
            return ""
        if cause.recipient == commit.author:
            return "void" if cause.handover else "original"
        claim = handover_claim(_TOPIC, cause, commit.author)
        good = _CRYPTO.verify(cause.sender, claim, cause.handover)
        return "handed" if good else "void"

    def key(self, place: Place) -> tuple[DeviceId, DeviceId, int]:
        """Return the name of a turn's cause."""
        cause = self.commits[place[0]].causes[place[1]]
        assert cause is not None
        return cause.sender, cause.recipient, cause.edge_seq

    def places(self) -> list[Place]:
        """Return all turns with a cause."""
        return [
            (commit, turn)
            for commit, each in enumerate(self.commits)
            for turn, cause in enumerate(each.causes)
            if cause is not None
        ]

    def precedes(self, one: Place, other: Place) -> bool:
        """Tell whether a turn lies in the past of another."""
        same = one[0] == other[0] and one[1] < other[1]
        return same or one[0] in self.past[other[0]]

    def is_late(self, place: Place) -> bool:
        """Tell whether a turn of the same cause, which is not void, is in its past."""
        return any(
            self.kind(each) != "void"
            and self.key(each) == self.key(place)
            and self.precedes(each, place)
            for each in self.places()
        )

    def hides(self, place: Place, counting: frozenset[int]) -> bool:
        """Tell whether a turn is hidden among these commits, which count."""
        kind = self.kind(place)
        if not kind:
            return False
        if kind == "void" or self.is_late(place):
            return True
        return kind == "handed" and any(
            each[0] in counting
            and self.kind(each) == "original"
            and self.key(each) == self.key(place)
            and not self.is_late(each)
            for each in self.places()
        )


@st.composite
def _causes(draw: st.DrawFn, author: DeviceId) -> Cause | None:
    what = draw(st.integers(0, 5))
    if what == 0:
        return None
    cause = Cause(_SENDER, draw(st.sampled_from(_DEVICES)), draw(st.integers(1, 2)))
    if what == 1:
        return cause  # somebody's own, or copied
    if what == 2:
        return Cause(cause.sender, author, cause.edge_seq)
    if what == 3:
        return signed(cause, draw(st.sampled_from(_DEVICES)))
    if what == 4:
        return signed(cause, author)
    return signed(cause, author, Topic(bytes(32)))


@st.composite
def _logs(draw: st.DrawFn) -> _Log:
    commits: list[_Commit] = [_Commit((), _DEVICES[0], ())]
    for index in range(1, draw(st.integers(2, 9))):
        parents = draw(st.sets(st.integers(0, index - 1), min_size=1, max_size=3))
        author = draw(st.sampled_from(_DEVICES))
        causes = draw(st.lists(_causes(author), max_size=3))
        commits.append(_Commit(tuple(sorted(parents)), author, tuple(causes)))
    return _Log(commits)


def _entered(log: _Log) -> tuple[Causes, list[tuple[Place, ...]]]:
    causes = Causes(log, _TOPIC, _CRYPTO.verify)
    touched: list[tuple[Place, ...]] = []
    for index, commit in enumerate(log.commits):
        entries = [TurnEntry(b"", cause) for cause in commit.causes]
        touched.append(causes.enter(index, commit.parents, commit.author, entries))
    return causes, touched


@given(_logs(), st.data())
def test_what_is_hidden_now_is_what_the_rule_hides(log: _Log, data: st.DataObject) -> None:
    """Whatever counts, and whatever does not."""
    causes, _ = _entered(log)
    counts = [data.draw(st.booleans()) for _ in log.commits]
    now = frozenset(index for index, each in enumerate(counts) if each)
    for place in log.places():
        assert causes.hides(place, counts) == log.hides(place, now), place
        assert not causes.hides(place, counts) or causes.why(place)


@given(_logs(), st.data())
def test_what_a_version_hides_is_what_the_rule_hides_in_it(
    log: _Log, data: st.DataObject
) -> None:
    """Versions are asked for in any order, with any of their commits not counting."""
    causes, _ = _entered(log)
    indexes = st.integers(0, len(log.commits) - 1)
    for _ in range(data.draw(st.integers(1, 5))):
        heads = sorted(data.draw(st.sets(indexes, min_size=1, max_size=3)))
        version = frozenset(heads).union(*(log.past[head] for head in heads))
        hidden = sorted(data.draw(st.sets(st.sampled_from(sorted(version)))))
        found = causes.hidden_in(heads, hidden)
        expected = {
            place
            for place in log.places()
            if place[0] in version and log.hides(place, version - frozenset(hidden))
        }
        assert len(found) == len(set(found))
        assert set(found) == expected


@given(_logs())
def test_what_a_commit_changes_is_told(log: _Log) -> None:
    """Nothing turns over that was not named when the commit was entered, or is its rival."""
    causes = Causes(log, _TOPIC, _CRYPTO.verify)
    for index, commit in enumerate(log.commits):
        earlier = [place for place in log.places() if place[0] < index]
        counts = [True] * index
        before = {place: causes.hides(place, counts) for place in earlier}
        entries = [TurnEntry(b"", cause) for cause in commit.causes]
        told = causes.enter(index, commit.parents, commit.author, entries)
        counts.append(True)
        changed = {p for p in earlier if causes.hides(p, counts) != before[p]}
        own = {p for p in log.places() if p[0] == index and causes.hides(p, counts)}
        assert changed | own <= set(told)
        counts[index] = False
        back = {p for p in earlier if causes.hides(p, counts) != before[p]}
        assert back == set()
        assert changed <= set(causes.rivals_of(index))


def test_logs_without_causes_cost_nothing() -> None:
    """No row is kept of what has none."""
    log = _Log([_Commit((), _DEVICES[0], ()), _Commit((0,), _DEVICES[0], (None, None))])
    causes, touched = _entered(log)
    assert touched == [(), ()]
    assert causes.hidden_in((1,), ()) == ()
    assert causes._bits == {}
