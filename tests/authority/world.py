"""What the authority tests share: stories in lines, random graphs, one replica that eats them.

A story has one commit a line: name, author, grant (`r0`, or the name of an add), parents, what:

    a   R0  r0  g       add M writer
    m1  M   a   a       data
    r   R0  r0  m1,a    remove M
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from typing import Final, Protocol

from comity.authority.authority import Authority
from comity.authority.claim import Change, Standing, claim_of
from comity.base.clock import Wall
from comity.base.errors import Reason, Rejected
from comity.base.ids import CommitId, DeviceId
from comity.log.entries import (
    AddEntry,
    AdoptEntry,
    AuthorityEntry,
    Entry,
    GenesisEntry,
    PrekeyEntry,
    RemoveEntry,
    Role,
    TurnEntry,
)
from comity.log.graph import Graph
from comity.log.inner import CommitGrant, Grant, Inner, RootGrant
from tests.authority.naive import Commit, Naive, Result

__all__ = [
    "GENESIS",
    "Pick",
    "Replica",
    "SetGraph",
    "Story",
    "byzantine",
    "commit_id",
    "device_id",
    "extend",
    "founding",
    "names",
    "shuffled",
]

_NAMES: dict[bytes, str] = {}
_ROLES: Final = {role.name.lower(): role for role in Role}

Pick = Callable[[int], int]
"""Draws a number below its argument: from a seed, or from Hypothesis."""


def commit_id(name: str) -> CommitId:
    """Return a 32-byte id that a failing test can be read by."""
    made = blake2b(name.encode(), digest_size=32, person=b"commit").digest()
    _NAMES[made] = name
    return CommitId(made)


def device_id(name: str) -> DeviceId:
    """Return a 32-byte device likewise."""
    made = blake2b(name.encode(), digest_size=32, person=b"device").digest()
    _NAMES[made] = name
    return DeviceId(made)


def names(ids: Iterable[bytes]) -> str:
    """Return names in alphabetical order, separated by spaces."""
    return " ".join(sorted(_NAMES[each] for each in ids))


GENESIS: Final = commit_id("g")


def founding(roots: Sequence[DeviceId]) -> Commit:
    """Return the genesis by names."""
    return Commit(GENESIS, roots[0], RootGrant(0), (), None, None, Role.WRITER)


class _Graph(Protocol):
    def insert(self, commit: CommitId, inner: Inner, *, gen: int) -> int: ...
    def is_before(self, a: int, b: int, /) -> bool: ...
    def id_of(self, index: int, /) -> CommitId: ...
    def index_of(self, commit: CommitId, /) -> int | None: ...


class SetGraph:
    """A graph that knows every commit's whole past: simple, fast while small."""

    def __init__(self) -> None:
        """Start empty."""
        self.ids: list[CommitId] = []
        self.indexes: dict[CommitId, int] = {}
        self.pasts: list[int] = []

    def insert(self, commit: CommitId, inner: Inner, *, gen: int) -> int:
        """Append a commit."""
        assert gen >= 0
        past = 0
        for parent in inner.parents:
            index = self.indexes[parent]
            past |= self.pasts[index] | 1 << index
        self.indexes[commit] = len(self.ids)
        self.ids.append(commit)
        self.pasts.append(past)
        return len(self.ids) - 1

    def is_before(self, a: int, b: int, /) -> bool:
        """Look into the past of `b`."""
        return bool(self.pasts[b] >> a & 1)

    def id_of(self, index: int, /) -> CommitId:
        """Return an id."""
        return self.ids[index]

    def index_of(self, commit: CommitId, /) -> int | None:
        """Return an index."""
        return self.indexes.get(commit)


def inner_of(commit: Commit, seq: int) -> Inner:
    """Return the commit as the log would hand it over."""
    entries: tuple[Entry, ...]
    if commit.entry is not None:
        entries = (commit.entry,)
    else:
        entries = (TurnEntry(commit.turn) if commit.needs else PrekeyEntry(bytes(32)),)
    backlink = None if commit.backlink is None else CommitId(commit.backlink)
    parents = tuple(CommitId(parent) for parent in sorted(commit.parents))
    author = DeviceId(commit.author)
    return Inner(author, seq, backlink, commit.auth, parents, Wall(0), entries)


class Replica:
    """One replica: feeds its graph and authority, and believes every change it is told of."""

    def __init__(self, roots: Sequence[DeviceId], graph: _Graph | None = None) -> None:
        """Found the actor."""
        self.graph: _Graph = SetGraph() if graph is None else graph
        entry = GenesisEntry(bytes(32), "t", tuple(roots), bytes(32))
        founder = Inner(roots[0], 0, None, RootGrant(0), (), Wall(0), (entry,))
        self.graph.insert(GENESIS, founder, gen=0)
        self.authority = Authority(self.graph, roots)
        self.gens = {bytes(GENESIS): 0}
        self.seqs = {bytes(GENESIS): 0}
        self.refusals: dict[bytes, Reason] = {}
        self.details: dict[bytes, Rejected] = {}
        self.visible = {0}
        self.members: dict[bytes, Role] = dict.fromkeys(roots, Role.ADMIN)

    def take(self, commit: Commit) -> Change | None:
        """Judge and admit; None if it was refused, or descends from what was."""
        if any(parent in self.refusals for parent in commit.parents):
            self.refusals[commit.name] = Reason.PARENT_REJECTED
            return None
        seq = 0 if commit.backlink is None else self.seqs[commit.backlink] + 1
        inner = inner_of(commit, seq)
        claim = claim_of(self.graph, inner, 0)
        refusal = self.authority.judge(claim)
        if refusal is not None:
            self.refusals[commit.name] = refusal.reason
            self.details[commit.name] = refusal
            return None
        gen = 1 + max(self.gens[parent] for parent in commit.parents)
        self.gens[commit.name] = gen
        self.seqs[commit.name] = seq
        index = self.graph.insert(CommitId(commit.name), inner, gen=gen)
        change = self.authority.admit(index, claim)
        self._believe(index, change)
        return change

    def _believe(self, index: int, change: Change) -> None:
        if change.standing.visible:
            self.visible.add(index)
        assert self.visible.issuperset(change.hidden), "what is hidden was visible"
        self.visible.difference_update(change.hidden)
        assert self.visible.isdisjoint(change.shown), "what is shown was hidden"
        self.visible.update(change.shown)
        for each in change.members:
            assert self.members.get(each.device) == each.before
            if each.after is None:
                del self.members[each.device]
            else:
                self.members[each.device] = each.after

    def result(self) -> Result:
        """Return how everything stands, after comparing it with what was told."""
        found: dict[Standing, list[bytes]] = {standing: [] for standing in Standing}
        for index in range(len(self.authority)):
            standing = self.authority.standing(index)
            assert standing.visible == (index in self.visible)
            found[standing].append(self.graph.id_of(index))
        members = self.authority.members()
        assert members == self.members
        return Result(
            {bytes(device): role for device, role in members.items()},
            frozenset(found[Standing.EFFECTIVE]),
            frozenset(found[Standing.ADOPTED]),
            frozenset(found[Standing.QUARANTINED]),
            frozenset(self.refusals),
        )


def shuffled(commits: Sequence[Commit], pick: Pick, /) -> list[Commit]:
    """Return some order in which parents come before children; the genesis stays out."""
    waiting = list(commits[1:])
    known = {commits[0].name}
    order: list[Commit] = []
    while waiting:
        ready = [each for each in waiting if known.issuperset(each.parents)]
        chosen = ready[pick(len(ready))]
        waiting.remove(chosen)
        known.add(chosen.name)
        order.append(chosen)
    return order


class Story:
    """A graph told in lines, played on a replica, on others in other orders, on the twin."""

    def __init__(self, text: str, roots: str = "R0 R1") -> None:
        """Play all lines; all must agree."""
        self.roots = [device_id(root) for root in roots.split()]
        self.commits = [founding(self.roots)]
        self.twin = Naive(self.roots, self.commits)
        self.replica = Replica(self.roots, Graph())
        self.changes: dict[str, Change | None] = {}
        self.tell(text)

    def tell(self, text: str) -> None:
        """Play further lines."""
        for line in text.splitlines():
            if line.strip():
                self._line(*line.split(maxsplit=4))
        self.outcome = self.replica.result()
        assert self.outcome == self.twin.result()
        for seed in range(3):
            other = Replica(self.roots)
            for commit in shuffled(self.commits, random.Random(seed).randrange):
                other.take(commit)
            assert other.result() == self.outcome
        self.replica.authority.check()

    def _line(self, name: str, author: str, auth: str, parents: str, what: str) -> None:
        past = [commit_id(parent) for parent in parents.split(",")]
        before = frozenset(past).union(*(self.twin.past[parent] for parent in past))
        own = [each for each in self.commits if each.name in before]
        own = [each for each in own if each.author == device_id(author)]
        backlink = own[-1].name if own else None
        grant = (
            RootGrant(int(auth[1:])) if auth in {"r0", "r1"} else CommitGrant(commit_id(auth))
        )
        entry, needs = _say(what)
        self.commits.append(
            Commit(
                commit_id(name), device_id(author), grant, tuple(past), backlink, entry, needs
            )
        )
        self.twin.take(self.commits[-1])
        self.changes[name] = self.replica.take(self.commits[-1])

    @property
    def members(self) -> str:
        """Members by name."""
        return names(self.outcome.members)

    @property
    def effective(self) -> str:
        """Effective commits by name, but for the genesis."""
        return names(self.outcome.effective - {GENESIS})

    @property
    def quarantined(self) -> str:
        """Quarantined commits by name."""
        return names(self.outcome.quarantined)

    @property
    def adopted(self) -> str:
        """Adopted commits by name."""
        return names(self.outcome.adopted)

    @property
    def rejected(self) -> dict[str, Reason]:
        """Refused commits by name."""
        return {_NAMES[name]: reason for name, reason in self.replica.refusals.items()}

    def role(self, device: str) -> Role | None:
        """Return a device's role."""
        return self.replica.authority.role_of(device_id(device))

    def index(self, name: str) -> int:
        """Return a commit's number."""
        index = self.replica.graph.index_of(commit_id(name))
        assert index is not None
        return index

    def why(self, name: str) -> str:
        """Return the explanation, with names for short ids."""
        text = self.replica.authority.why(self.index(name))
        for made, known in _NAMES.items():
            text = text.replace(made[:4].hex(), known)
        return text


def _say(what: str) -> tuple[AuthorityEntry | None, Role]:
    match what.split():
        case ["add", device, role]:
            return AddEntry(device_id(device), _ROLES[role], bytes(32)), Role.READER
        case ["remove", device]:
            return RemoveEntry(device_id(device)), Role.READER
        case ["adopt", target]:
            return AdoptEntry(commit_id(target)), Role.READER
        case ["prekey"]:
            return None, Role.READER
        case _:
            assert what == "data"
            return None, Role.WRITER


def byzantine(pick: Pick, devices: Sequence[DeviceId], count: int) -> Naive:
    """Return a random graph in which anybody does anything, often something permitted.

    The first two devices are the roots.
    """
    naive = Naive(devices[:2], [founding(devices[:2])])
    for _ in range(count):
        naive.take(extend(pick, devices, naive))
    return naive


def extend(
    pick: Pick, devices: Sequence[DeviceId], naive: Naive, by: bytes | None = None
) -> Commit:
    """Return one more random commit, by any device, or by a given one that means harm.

    An attacker mostly stands where its grant is alive, however far back, and half of what
    it says is the removal of somebody else.
    """
    wild = pick(12) == 0
    names_known = [name for name in naive.commits if wild or name not in naive.rejected]
    # Half of the time something recent, so that graphs grow deep as well as wide.
    window = names_known[-4:] if pick(2) else names_known
    if by is not None and pick(8):
        window = [name for name in names_known if _may_act(naive, name, by)] or window
    chosen = {window[pick(len(window))] for _ in range((1, 2, 2, 3)[pick(4)])}
    parents = {p for p in chosen if not any(p in naive.past[other] for other in chosen)}
    before = parents.union(*(naive.past[parent] for parent in parents))
    known = [commit for name, commit in naive.commits.items() if name in before]
    accepted = frozenset(before - naive.rejected)
    effective = naive.dynamic(accepted)
    grants = [
        each
        for each in naive.grants(accepted)
        if (wild or naive.live(each, effective)) and by in {None, naive.device(each)}
    ]
    grants.sort(key=repr)
    nonsense = pick(24) == 0 or not grants
    if nonsense:  # another's grant, or no grant at all
        grants = [CommitGrant(CommitId(names_known[pick(len(names_known))]))]
    entry, needs, auth = _say_anything(pick, devices, naive, grants, accepted)
    if by is None:
        author = devices[pick(len(devices))] if nonsense else naive.device(auth)
    else:
        author = by
        others = [device for device in devices if device != by]
        leaves = isinstance(entry, RemoveEntry) and entry.device == by
        if leaves or pick(2):  # who leaves can do nothing any more
            entry, needs = RemoveEntry(others[pick(len(others))]), Role.READER
    own = [commit.name for commit in known if commit.author == author]
    tips = [one for one in own if not any(one in naive.past[other] for other in own)]
    if pick(12) == 0:  # a lie that the log lets pass: it forks its own chain in its past
        tips = own
    backlink = tips[pick(len(tips))] if tips else None
    name = commit_id(f"c{len(naive.commits)}")
    return Commit(name, author, auth, tuple(sorted(parents)), backlink, entry, needs)


def _may_act(naive: Naive, name: bytes, device: bytes) -> bool:
    version = (naive.past[name] | {name}) - naive.rejected
    effective = naive.dynamic(version)
    own = [each for each in naive.grants(version) if naive.device(each) == device]
    return any(naive.live(each, effective) for each in own)


def _say_anything(
    pick: Pick,
    devices: Sequence[DeviceId],
    naive: Naive,
    grants: Sequence[Grant],
    version: frozenset[bytes],
) -> tuple[AuthorityEntry | None, Role, Grant]:
    """Return what a commit says, the role it needs, and the grant it is made under."""
    auth = grants[pick(len(grants))]
    anybody = devices[pick(len(devices))]
    kind = pick(20)
    if kind < 6:
        role = Role(pick(3)) if kind == 0 else Role.ADMIN
        return AddEntry(anybody, role, bytes(32)), Role.READER, auth
    if kind == 6:
        return RemoveEntry(anybody), Role.READER, auth
    if 7 <= kind < 10:
        pairs = [
            (high, naive.device(low))
            for low in sorted(naive.grants(version), key=repr)
            for high in grants
            if high in naive.chain(low) and (high != low or high != RootGrant(0))
        ]
        if pairs:
            auth, target = pairs[pick(len(pairs))]
            return RemoveEntry(DeviceId(target)), Role.READER, auth
    if 10 <= kind < 15:
        effective = naive.dynamic(version)
        pairs_hidden = [
            (high, name)
            for name in sorted(version)
            for hider in sorted(naive.hiders(name, effective))
            for high in grants
            if high in naive.chain(naive.commits[hider].auth)
        ]
        if pairs_hidden:
            auth, hidden = pairs_hidden[pick(len(pairs_hidden))]
            return AdoptEntry(CommitId(hidden)), Role.READER, auth
        if pick(8) == 0:
            return AdoptEntry(CommitId(sorted(version)[pick(len(version))])), Role.READER, auth
    return None, Role.WRITER if kind % 4 else Role.READER, auth
