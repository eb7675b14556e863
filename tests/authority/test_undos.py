"""Undos: an increment at a time they say what the rule says of the whole log."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from comity.authority.undos import Place, Undos
from comity.base.ids import CommitId, DeviceId
from comity.log.entries import UndoEntry

_AUTHORS = tuple(DeviceId(bytes([n]) * 32) for n in range(3))
_ADMIN = _AUTHORS[0]


@dataclass
class _Commit:
    parents: tuple[int, ...]
    author: DeviceId
    turns: int
    undos: tuple[Place, ...]


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
        index = int.from_bytes(commit, "big")
        return index if index < len(self.commits) else None

    def author_of(self, index: int) -> DeviceId:
        return self.commits[index].author

    # The rule, looked up in the whole log each time

    def target(self, commit: int, number: int) -> Place | None:
        """Return what an undo names, if it is to be obeyed."""
        own = self.commits[commit]
        target, place = own.undos[number]
        if target not in self.past[commit]:
            return None
        if own.author not in {self.commits[target].author, _ADMIN}:
            return None
        named = self.commits[target]
        if place < named.turns:
            return target, place
        inner = place - named.turns
        if inner >= len(named.undos):
            return None
        deeper = self.target(target, inner)
        if deeper is None or deeper[1] >= self.commits[deeper[0]].turns:
            return None
        return target, place

    def in_force(self, place: Place, counting: frozenset[int]) -> bool:
        """Tell whether something that counts names a turn or an undo, and is not undone."""
        for commit in sorted(counting):
            own = self.commits[commit]
            for number in range(len(own.undos)):
                if self.target(commit, number) == place and not self.in_force(
                    (commit, own.turns + number), counting
                ):
                    return True
        return False


@st.composite
def _logs(draw: st.DrawFn) -> _Log:
    commits: list[_Commit] = [_Commit((), _ADMIN, 0, ())]
    for index in range(1, draw(st.integers(2, 9))):
        parents = draw(st.sets(st.integers(0, index - 1), min_size=1, max_size=3))
        places = st.tuples(st.integers(0, index + 1), st.integers(0, 3))
        undos = draw(st.lists(places, max_size=3))
        commits.append(
            _Commit(
                tuple(sorted(parents)),
                draw(st.sampled_from(_AUTHORS)),
                draw(st.integers(0, 2)),
                tuple(undos),
            )
        )
    return _Log(commits)


def _entered(log: _Log) -> Undos:
    undos = Undos(log, log.author_of)
    for index, commit in enumerate(log.commits):
        entries = [
            UndoEntry(log.id_of(min(target, 2**16)), place) for target, place in commit.undos
        ]
        undos.enter(
            commit.parents,
            commit.author,
            entries,
            turns=commit.turns,
            is_admin=commit.author == _ADMIN,
        )
        assert len(undos.made_in(index)) <= len(entries)
    return undos


@given(_logs(), st.data())
def test_what_is_hidden_now_is_what_the_rule_hides(log: _Log, data: st.DataObject) -> None:
    """Whatever counts, and however often that changed before."""
    undos = _entered(log)
    counting: dict[int, bool] = {}
    for index in range(len(log.commits)):
        counting[index] = True
        undos.count(index, counts=True)
    for index in data.draw(st.lists(st.sampled_from(range(len(log.commits))), max_size=6)):
        counting[index] = not counting[index]
        undos.count(index, counts=counting[index])
    undos.check()
    now = frozenset(index for index, counts in counting.items() if counts)
    for index, commit in enumerate(log.commits):
        for turn in range(commit.turns):
            assert undos.hides((index, turn)) == log.in_force((index, turn), now)


@given(_logs(), st.data())
def test_what_a_version_hides_is_what_the_rule_hides_in_it(
    log: _Log, data: st.DataObject
) -> None:
    """Versions are asked for in any order, with any of their commits not counting."""
    undos = _entered(log)
    indexes = st.sampled_from(range(len(log.commits)))
    for head in data.draw(st.lists(indexes, min_size=1, max_size=8)):
        version = log.past[head] | {head}
        out = tuple(sorted(data.draw(st.frozensets(indexes, max_size=2)) & version))
        expected = [
            (index, turn)
            for index in sorted(version)
            for turn in range(log.commits[index].turns)
            if log.in_force((index, turn), version - frozenset(out))
        ]
        assert undos.hidden_in(undos.held((head,)), out) == tuple(expected)
