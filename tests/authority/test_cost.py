"""What decisions cost, in questions about ancestry: counted, so that no clock is needed."""

from __future__ import annotations

from comity.authority.authority import Authority
from comity.authority.claim import Change, Claim
from comity.base.ids import CommitId
from comity.log.entries import AddEntry, AuthorityEntry, RemoveEntry, Role
from comity.log.inner import CommitGrant, Grant, RootGrant
from tests.authority.world import device_id

ROOT, MEMBER, OTHER = (device_id(name) for name in ("R0", "M", "N"))
COMMITS = 4096


class Line:
    """A graph with one parent a commit, which counts what it is asked."""

    def __init__(self) -> None:
        """Start with the genesis, and an authority that reads this graph."""
        self.parents = [-1]
        self.asked = 0
        self.authority = Authority(self, [ROOT])

    def is_before(self, a: int, b: int, /) -> bool:
        """Walk, and count."""
        self.asked += 1
        while b > a:
            b = self.parents[b]
        return a == b

    def id_of(self, index: int, /) -> CommitId:
        """Return the index in 32 bytes."""
        return CommitId(index.to_bytes(32, "big"))

    def index_of(self, commit: CommitId, /) -> int | None:
        """Return the index."""
        return int.from_bytes(commit, "big")

    def append(self, auth: Grant, parent: int, entry: AuthorityEntry | None = None) -> Change:
        """Judge and admit a commit of whom the grant names."""
        known = self.authority._ledger.find(auth)
        assert known is not None
        own = parent if parent and self.authority._roll.grants[parent] == known.number else None
        claim = Claim(known.device, auth, (parent,), own, 0, Role.READER, entry)
        assert self.authority.judge(claim) is None
        self.parents.append(parent)
        return self.authority.admit(len(self.parents) - 1, claim)


def test_data_asks_nothing_and_a_removal_little() -> None:
    """4,096 commits by one member: no question each; a removal of him bisects them."""
    line = Line()
    line.append(RootGrant(0), 0, AddEntry(MEMBER, Role.WRITER, bytes(32)))
    auth = CommitGrant(line.id_of(1))
    line.append(auth, 1)
    line.asked = 0
    for index in range(2, COMMITS):
        line.append(auth, index)
    assert line.asked == 0
    change = line.append(RootGrant(0), 100, RemoveEntry(MEMBER))
    assert change.hidden == tuple(range(101, COMMITS + 1))
    assert line.asked < 40


def test_a_removal_does_not_look_at_others() -> None:
    """The log of another member adds no question to it."""
    line = Line()
    line.append(RootGrant(0), 0, AddEntry(MEMBER, Role.WRITER, bytes(32)))
    line.append(RootGrant(0), 1, AddEntry(OTHER, Role.WRITER, bytes(32)))
    other = CommitGrant(line.id_of(2))
    for index in range(2, COMMITS):
        line.append(other, index)
    line.append(CommitGrant(line.id_of(1)), COMMITS)
    line.asked = 0
    change = line.append(RootGrant(0), COMMITS, RemoveEntry(MEMBER))
    assert change.hidden == (COMMITS + 1,)
    assert line.asked < 10


def test_many_adds_after_one_another_stay_cheap() -> None:
    """A chain of admins, each added by the one before: an add costs the same at any depth."""
    line = Line()
    auth: Grant = RootGrant(0)
    asked: list[int] = []
    for index in range(512):
        device = device_id(f"d{index}")
        before = line.asked
        line.append(auth, index, AddEntry(device, Role.ADMIN, bytes(32)))
        asked.append(line.asked - before)
        auth = CommitGrant(line.id_of(index + 1))
    assert max(asked[1:]) <= 2
    line.authority.check()
