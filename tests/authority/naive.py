"""The naive twin: PROTOCOL section 3 read aloud over sets, sharing no code with the runtime.

Everything is recomputed from the set of commits that a version holds. Only the names of roles
and entries are the runtime's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from comity.log.entries import AddEntry, AdoptEntry, AuthorityEntry, RemoveEntry, Role
from comity.log.inner import CommitGrant, Grant, RootGrant

__all__ = ["Commit", "Naive", "Result"]


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit by names. The genesis has no parents and no entry.

    turn: the operations of the one turn of a commit that has no entry and needs a writer.
    """

    name: bytes
    author: bytes
    auth: Grant
    parents: tuple[bytes, ...]
    backlink: bytes | None
    entry: AuthorityEntry | None
    needs: Role = Role.READER
    turn: bytes = b"x"

    @property
    def leaves(self) -> bool:
        """Whether it is a self-removal."""
        return isinstance(self.entry, RemoveEntry) and self.entry.device == self.author


@dataclass(frozen=True, slots=True)
class Result:
    """What every replica must agree on."""

    members: Mapping[bytes, Role]
    effective: frozenset[bytes]
    adopted: frozenset[bytes]
    quarantined: frozenset[bytes]
    rejected: frozenset[bytes]


class Naive:
    """The rules over a known set of commits, parents first."""

    def __init__(self, roots: Sequence[bytes], commits: Iterable[Commit]) -> None:
        """Take in a graph; the genesis is the first commit."""
        self.roots = roots
        self.commits: dict[bytes, Commit] = {}
        self.past: dict[bytes, frozenset[bytes]] = {}
        self.rejected: set[bytes] = set()
        for commit in commits:
            self.take(commit)

    def take(self, commit: Commit) -> None:
        """Take in one more commit, its parents known."""
        parents = commit.parents
        self.past[commit.name] = frozenset(parents).union(*(self.past[p] for p in parents))
        self.commits[commit.name] = commit
        if not self.rejected.isdisjoint(parents) or not self.static(commit):
            self.rejected.add(commit.name)

    def result(self) -> Result:
        """Evaluate DYNAMIC on everything that was not rejected."""
        version = frozenset(self.commits) - self.rejected
        effective = self.dynamic(version)
        adopted = self.adopted(version) - effective
        return Result(
            self.members(version),
            effective,
            adopted,
            version - effective - adopted,
            frozenset(self.rejected),
        )

    # chain(grant) = the grant, the grant its issuer acted under, .. root_i, .. root_0
    def chain(self, grant: Grant) -> list[Grant]:
        """Return a grant and all above it."""
        chain = [grant]
        while not isinstance(chain[-1], RootGrant):
            chain.append(self.commits[chain[-1].commit].auth)
        bottom = chain[-1]
        assert isinstance(bottom, RootGrant)
        return chain + [RootGrant(index) for index in range(bottom.index - 1, -1, -1)]

    def device(self, grant: Grant) -> bytes:
        """Return whom a grant names."""
        if isinstance(grant, RootGrant):
            return self.roots[grant.index]
        entry = self.commits[grant.commit].entry
        assert isinstance(entry, AddEntry)
        return entry.device

    def role(self, grant: Grant) -> Role:
        """Return what a grant permits."""
        if isinstance(grant, RootGrant):
            return Role.ADMIN
        entry = self.commits[grant.commit].entry
        assert isinstance(entry, AddEntry)
        return entry.role

    def grants(self, version: frozenset[bytes]) -> list[Grant]:
        """Return every grant of a version."""
        adds = [n for n in version if isinstance(self.commits[n].entry, AddEntry)]
        roots: list[Grant] = [RootGrant(index) for index in range(len(self.roots))]
        return roots + [CommitGrant(name) for name in adds]  # type: ignore[arg-type]

    def kills(self, removal: bytes, grant: Grant) -> bool:
        """Tell whether a removal kills a grant, if it is effective."""
        commit = self.commits[removal]
        assert isinstance(commit.entry, RemoveEntry)
        if commit.entry.device != self.device(grant):
            return False
        if commit.leaves:
            return grant == commit.auth
        seen = isinstance(grant, CommitGrant) and removal in self.past[grant.commit]
        return commit.auth in self.chain(grant)[1:] and not seen

    def dynamic(self, version: frozenset[bytes]) -> frozenset[bytes]:
        """Return the effective commits of a version, from the top of the chains downward."""
        genesis = next(iter(self.commits))
        effective = {genesis} & version
        layers: dict[int, list[Commit]] = {}
        for name in version - {genesis}:
            commit = self.commits[name]
            layers.setdefault(len(self.chain(commit.auth)), []).append(commit)
        for length in sorted(layers):
            settled = frozenset(effective)
            leaving = [c for c in layers[length] if c.leaves]
            effective |= {c.name for c in leaving if self._counts(c, settled)}
            settled = frozenset(effective)
            rest = [c for c in layers[length] if not c.leaves]
            effective |= {c.name for c in rest if self._counts(c, settled)}
        return frozenset(effective)

    def _counts(self, commit: Commit, effective: frozenset[bytes]) -> bool:
        return self._given(commit.auth, effective) and not self._direct(commit, effective)

    def _given(self, grant: Grant, effective: frozenset[bytes]) -> bool:
        return isinstance(grant, RootGrant) or grant.commit in effective

    def _direct(self, commit: Commit, effective: frozenset[bytes]) -> set[bytes]:
        """Return the effective removals that kill a commit's grant and had not seen it."""
        return {
            removal
            for removal in effective
            if isinstance(self.commits[removal].entry, RemoveEntry)
            and self.kills(removal, commit.auth)
            and not (commit.leaves and self.commits[removal].leaves)
            and commit.name not in self.past[removal]
        }

    def live(self, grant: Grant, effective: frozenset[bytes]) -> bool:
        """Tell whether a grant is effective and not killed."""
        return self._given(grant, effective) and not any(
            isinstance(self.commits[name].entry, RemoveEntry) and self.kills(name, grant)
            for name in effective
        )

    def members(self, version: frozenset[bytes]) -> dict[bytes, Role]:
        """Return who holds a live grant, with the highest role."""
        effective = self.dynamic(version)
        found: dict[bytes, Role] = {}
        for grant in self.grants(version):
            if self.live(grant, effective):
                device = self.device(grant)
                found[device] = max(self.role(grant), found.get(device, Role.READER))
        return found

    def hiders(self, name: bytes, effective: frozenset[bytes]) -> set[bytes]:
        """Return the effective removals that hide a commit, or the add that it rests on."""
        commit = self.commits[name]
        found = self._direct(commit, effective) if commit.parents else set[bytes]()
        if isinstance(commit.auth, CommitGrant) and commit.auth.commit not in effective:
            found |= self.hiders(commit.auth.commit, effective)
        return found

    def adopted(self, version: frozenset[bytes]) -> frozenset[bytes]:
        """Return what the effective adoptions of a version un-hide."""
        found: set[bytes] = set()
        for name in self.dynamic(version):
            entry = self.commits[name].entry
            if isinstance(entry, AdoptEntry):
                target: bytes | None = entry.commit
                while target is not None:
                    found.add(target)
                    target = self.commits[target].backlink
        return frozenset(found)

    def static(self, commit: Commit) -> bool:
        """Decide STATIC on before(c) alone."""
        if not commit.parents:
            return True
        before = self.past[commit.name]
        grant = commit.auth
        if grant not in self.grants(before) or self.device(grant) != commit.author:
            return False
        effective = self.dynamic(before)
        if not self.live(grant, effective) or self.role(grant) < commit.needs:
            return False
        entry = commit.entry
        is_admin = self.role(grant) == Role.ADMIN
        match entry:
            case None:
                return True
            case AddEntry():
                barred = [commit.author, *self.roots]
                return is_admin and entry.device not in barred and entry.role <= Role.ADMIN
            case RemoveEntry():
                return (is_admin or commit.leaves) and any(
                    self.kills(commit.name, each) and self.live(each, effective)
                    for each in self.grants(before)
                )
            case AdoptEntry():
                return entry.commit in before and any(
                    self._may_adopt(grant, self.commits[hider])
                    for hider in self.hiders(entry.commit, effective)
                )

    def _may_adopt(self, grant: Grant, hider: Commit) -> bool:
        chain = self.chain(hider.auth)
        return grant in (chain[1:] if hider.leaves else chain)
