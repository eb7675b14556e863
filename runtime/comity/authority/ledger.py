"""The ledger: every grant and removal that was ever accepted, and which can kill which.

Owns: the facts that never change once their commit is accepted. May not know: which of them
are effective; that depends on a view (`comity.authority.view`).

    chain(e) = e, the grant its issuer acted under, .. , root_i, root_i-1, .. , root_0

Chains form one tree with root_0 on top. Each grant keeps the one above it and a jump to one
far above (skew-binary jump pointers), so 'g stands strictly above e' takes O(log depth).
Source: PROTOCOL section 3; Myers 1983, "An applicative random-access stack", for the jumps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, assert_never

from comity.authority.claim import Ancestry
from comity.base.ids import DeviceId
from comity.log.entries import AddEntry, AdoptEntry, AuthorityEntry, RemoveEntry, Role
from comity.log.inner import CommitGrant, RootGrant
from comity.log.inner import Grant as GrantName

__all__ = ["GENESIS", "TOP", "Act", "Grant", "Ledger", "Removal"]

GENESIS: Final = 0
"""Graph index of the genesis, in every commit's past."""

TOP: Final = -1
"""What stands above root_0: nothing."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A role given to a device, by the genesis list or by an `add`.

    name: what commits write as their `auth`. commit: the `add`, or the genesis. above: number
    of the grant that its issuer acted under. depth: how many stand above it. jump: number of
    some grant above, see the module.
    """

    number: int
    name: GrantName
    device: DeviceId
    role: Role
    commit: int
    above: int
    depth: int
    jump: int

    @property
    def is_root(self) -> bool:
        """Whether the genesis gave it: then it is effective in every view."""
        return self.commit == GENESIS


@dataclass(frozen=True, slots=True)
class Removal:
    """An accepted `remove`. grant: number of the one it was made under."""

    number: int
    commit: int
    device: DeviceId
    grant: int
    is_self: bool


@dataclass(frozen=True, slots=True)
class Act:
    """An accepted commit that says something about authority.

    says: the grant it gives, the removal it makes, or the graph index that it adopts.
    """

    commit: int
    grant: int
    says: Grant | Removal | int

    @property
    def leaves(self) -> bool:
        """Whether it is a self-removal."""
        return isinstance(self.says, Removal) and self.says.is_self


class Ledger:
    """Grants, removals and acts of one actor; append-only."""

    __slots__ = (
        "_acts_of_grant",
        "_grants_of_device",
        "_graph",
        "_names",
        "_removals_of_device",
        "acts",
        "grants",
        "removals",
    )

    def __init__(self, graph: Ancestry, roots: Sequence[DeviceId]) -> None:
        """Open with the genesis list: root_0 first, each under the one before."""
        assert roots, "a genesis names at least one root"
        self._graph = graph
        self.grants: list[Grant] = []
        self.removals: list[Removal] = []
        self.acts: dict[int, Act] = {}
        self._names: dict[GrantName, Grant] = {}
        self._grants_of_device: dict[DeviceId, list[Grant]] = {}
        self._removals_of_device: dict[DeviceId, list[Removal]] = {}
        self._acts_of_grant: dict[int, list[Act]] = {}
        for index, device in enumerate(roots):
            self._give(RootGrant(index), device, Role.ADMIN, GENESIS, index - 1)

    def find(self, name: GrantName) -> Grant | None:
        """Return the grant of that name."""
        return self._names.get(name)

    def grants_of(self, device: DeviceId) -> Sequence[Grant]:
        """Return every grant that a device was ever given, oldest first."""
        return self._grants_of_device.get(device, ())

    def removals_of(self, device: DeviceId) -> Sequence[Removal]:
        """Return every removal that names a device, in order of arrival."""
        return self._removals_of_device.get(device, ())

    def acts_under(self, grant: int) -> Sequence[Act]:
        """Return the acts made under a grant, in order of arrival."""
        return self._acts_of_grant.get(grant, ())

    def is_root_device(self, device: DeviceId) -> bool:
        """Tell whether the genesis names the device."""
        given = self._grants_of_device.get(device)
        return given is not None and given[0].is_root

    def is_above(self, high: int, low: int) -> bool:
        """Tell whether grant `high` stands strictly above grant `low` in its chain."""
        grants = self.grants
        depth = grants[high].depth
        node = grants[low]
        if depth >= node.depth:
            return False
        while node.depth > depth:
            jump = grants[node.jump]
            node = jump if jump.depth >= depth else grants[node.above]
        return node.number == high

    def kills(self, removal: Removal, grant: Grant) -> bool:
        """Tell whether a removal, if it is effective, kills a grant.

        A self-removal kills the grant it is made under. Another kills the grants of its
        device that stand below its own, but for those given by a commit that had seen it.
        """
        if removal.device != grant.device:
            return False
        if removal.is_self:
            return removal.grant == grant.number
        return self.is_above(removal.grant, grant.number) and not self._graph.is_before(
            removal.commit, grant.commit
        )

    def record(self, commit: int, under: Grant, entry: AuthorityEntry, /) -> Act:
        """Enter what an accepted commit says, and return it with its numbers."""
        says: Grant | Removal | int
        match entry:
            case AddEntry():
                name = CommitGrant(self._graph.id_of(commit))
                says = self._give(name, entry.device, entry.role, commit, under.number)
            case RemoveEntry():
                says = self._strike(commit, entry.device, under)
            case AdoptEntry():
                target = self._graph.index_of(entry.commit)
                assert target is not None, "judged: the target lies in the past"
                says = target
            case _:
                assert_never(entry)
        act = Act(commit, under.number, says)
        self.acts[commit] = act
        self._acts_of_grant.setdefault(under.number, []).append(act)
        return act

    def _give(
        self, name: GrantName, device: DeviceId, role: Role, commit: int, above: int
    ) -> Grant:
        number = len(self.grants)
        depth, jump = 0, number
        if above != TOP:
            parent = self.grants[above]
            middle = self.grants[parent.jump]
            far = self.grants[middle.jump]
            is_even = parent.depth - middle.depth == middle.depth - far.depth
            depth, jump = parent.depth + 1, (far.number if is_even else above)
        grant = Grant(number, name, device, role, commit, above, depth, jump)
        self.grants.append(grant)
        self._names[name] = grant
        self._grants_of_device.setdefault(device, []).append(grant)
        return grant

    def _strike(self, commit: int, device: DeviceId, under: Grant) -> Removal:
        is_self = device == under.device
        removal = Removal(len(self.removals), commit, device, under.number, is_self)
        self.removals.append(removal)
        self._removals_of_device.setdefault(device, []).append(removal)
        return removal

    def check(self) -> None:
        """Rebuild depths, jumps and indexes by walking, and compare."""
        for grant in self.grants:
            path: list[int] = []
            above = grant.above
            while above != TOP:
                path.append(above)
                above = self.grants[above].above
            assert grant.depth == len(path)
            assert grant.jump in (path or [grant.number])
            assert self.find(grant.name) is grant
            assert grant in self.grants_of(grant.device)
        for removal in self.removals:
            assert self.acts[removal.commit].says is removal
