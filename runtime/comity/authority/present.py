"""The present: what counts now, and what changes when an act arrives.

Owns: the view of everything admitted, who is a member, what is adopted. May not know: whether
a commit may be admitted (`comity.authority.authority` has judged it).

Only a removal can change what counted already. It spreads downward from the grants it kills:
each grant whose state changed changes its commits; of these, an `add` reaches the grant it
gave, a removal the grants it kills, and all of them stand below. States come from two views,
before and after, that are final: so each grant is visited once, in any order, and the cost is
that of what changes.

    removal -> grants it kills -> commits under them -> add -> its grant -> ..
                                                     -> removal -> grants it kills -> ..
                                                     -> adopt -> adopted commits

Source: PROTOCOL section 3.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import assert_never

from comity.authority.claim import Ancestry, Change, MemberChange, Standing
from comity.authority.ledger import Act, Grant, Ledger, Removal
from comity.authority.roll import NO_BACKLINK, Roll
from comity.authority.view import View
from comity.base.ids import DeviceId
from comity.log.entries import Role

__all__ = ["Present"]


@dataclass(slots=True)
class _Spread:
    """What one removal has changed so far. Keys of the dicts are sets in order of finding."""

    lost: list[int] = field(default_factory=list[int])
    gained: list[int] = field(default_factory=list[int])
    devices: dict[DeviceId, None] = field(default_factory=dict[DeviceId, None])
    adopts_changed: bool = False


class Present:
    """The standing of every admitted commit and device."""

    __slots__ = ("_adopts", "_graph", "_ledger", "_members", "_roll", "adopted", "view")

    def __init__(self, graph: Ancestry, ledger: Ledger, roll: Roll, view: View) -> None:
        """Begin with the genesis alone: its roots are the members."""
        self._graph = graph
        self._ledger = ledger
        self._roll = roll
        self._adopts: list[Act] = []
        self._members = {grant.device: grant.role for grant in ledger.grants}
        self.adopted: dict[int, int] = {}
        self.view = view

    def standing(self, index: int) -> Standing:
        """Tell how an admitted commit stands now. O(1) while nobody kills its grant."""
        if self.view.is_effective(index, self._roll.grants[index]):
            return Standing.EFFECTIVE
        return Standing.ADOPTED if index in self.adopted else Standing.QUARANTINED

    def members(self) -> dict[DeviceId, Role]:
        """Return who is a member now, ascending by device."""
        return {device: self._members[device] for device in sorted(self._members)}

    def role_of(self, device: DeviceId) -> Role | None:
        """Return a device's role now; None for who is no member."""
        return self._members.get(device)

    def best_grant(self, device: DeviceId) -> Grant | None:
        """Return the live grant of the highest role, among equals the one nearest the top."""
        live = [each for each in self._ledger.grants_of(device) if self._is_live(each)]
        if not live:
            return None
        return min(live, key=lambda each: (-each.role, each.depth, self._commit_id(each)))

    def take(self, act: Act, view: View) -> Change:
        """Take in an act. view: that of everything admitted, the act included."""
        match act.says:
            case Removal():
                return self._take_removal(act, act.says, view)
            case Grant():
                return self._take_add(act, act.says)
            case int():
                return self._take_adopt(act, act.says)
            case _:
                assert_never(act.says)

    def _take_add(self, act: Act, grant: Grant) -> Change:
        return Change(self.standing(act.commit), members=self._update({grant.device: None}))

    def _take_adopt(self, act: Act, target: int) -> Change:
        self._adopts.append(act)
        standing = self.standing(act.commit)
        if standing is not Standing.EFFECTIVE:
            return Change(standing)
        new = self._adopt_chain(target, act.commit, self.adopted)
        shown = [index for index in new if not self._counts(index)]
        return Change(standing, shown=tuple(sorted(shown)))

    def _take_removal(self, act: Act, removal: Removal, view: View) -> Change:
        before, self.view = self.view, view
        standing = self.standing(act.commit)
        if standing is not Standing.EFFECTIVE:
            return Change(standing)
        spread = self._spread(removal, before)
        hidden, shown = self._visibility(spread)
        return Change(standing, hidden, shown, self._update(spread.devices))

    def _spread(self, removal: Removal, before: View) -> _Spread:
        after = self.view
        spread = _Spread()
        waiting: list[int] = []
        self._reach(removal, waiting)
        seen: dict[int, None] = {}
        while waiting:
            number = waiting.pop()
            if number in seen:
                continue
            seen[number] = None
            if before.state(number) == after.state(number):
                continue
            spread.devices[self._ledger.grants[number].device] = None
            self._spread_plain(number, before, spread)
            for act in self._ledger.acts_under(number):
                did, does = (view.is_effective(act.commit, number) for view in (before, after))
                if did == does:
                    continue
                (spread.gained if does else spread.lost).append(act.commit)
                match act.says:
                    case Grant():
                        waiting.append(act.says.number)
                    case Removal():
                        self._reach(act.says, waiting)
                    case int():
                        spread.adopts_changed = True
                    case _:
                        assert_never(act.says)
        return spread

    def _reach(self, removal: Removal, waiting: list[int]) -> None:
        ledger = self._ledger
        given = ledger.grants_of(removal.device)
        waiting += [grant.number for grant in given if ledger.kills(removal, grant)]

    def _spread_plain(self, number: int, before: View, spread: _Spread) -> None:
        for branch in self._roll.branches_of(number):
            counts = [0, 0]
            for place, view in enumerate((before, self.view)):
                state = view.state(number)
                if state.effective:
                    counts[place] = self._roll.count_before(branch, state.killers)
            did, does = counts
            spread.lost += branch[does:did]
            spread.gained += branch[did:does]

    def _visibility(self, spread: _Spread) -> tuple[tuple[int, ...], tuple[int, ...]]:
        was, now = self.adopted, self.adopted
        if spread.adopts_changed:
            now = self.adopted = self._all_adopted()
        hidden = [index for index in spread.lost if index not in now]
        shown = [index for index in spread.gained if index not in was]
        if was is not now:
            flipped = dict.fromkeys(spread.lost + spread.gained)
            hidden += [i for i in was if not (i in now or i in flipped or self._counts(i))]
            shown += [i for i in now if not (i in was or i in flipped or self._counts(i))]
        return tuple(sorted(hidden)), tuple(sorted(shown))

    def _all_adopted(self) -> dict[int, int]:
        adopted: dict[int, int] = {}
        for act in self._adopts:
            if self._counts(act.commit):
                assert isinstance(act.says, int)
                self._adopt_chain(act.says, act.commit, adopted)
        return adopted

    def _adopt_chain(self, target: int, by: int, adopted: dict[int, int]) -> list[int]:
        # Below an adopted commit everything is adopted already.
        new: list[int] = []
        while target != NO_BACKLINK and target not in adopted:
            adopted[target] = by
            new.append(target)
            target = self._roll.backlinks[target]
        return new

    def _update(self, devices: dict[DeviceId, None]) -> tuple[MemberChange, ...]:
        changes: list[MemberChange] = []
        for device in sorted(devices):
            before = self._members.pop(device, None)
            roles = [
                each.role for each in self._ledger.grants_of(device) if self._is_live(each)
            ]
            after = max(roles, default=None)
            if after is not None:
                self._members[device] = after
            if after is not before:
                changes.append(MemberChange(device, before, after))
        return tuple(changes)

    def _counts(self, index: int) -> bool:
        return self.view.is_effective(index, self._roll.grants[index])

    def _is_live(self, grant: Grant) -> bool:
        return self.view.is_live(grant.number)

    def _commit_id(self, grant: Grant) -> bytes:
        return self._graph.id_of(grant.commit)

    def check(self) -> None:
        """Rebuild members and adopted from a view that remembers nothing, and compare."""
        fresh = View(self._graph, self._ledger, self.view.removals)
        for grant in self._ledger.grants:
            assert fresh.state(grant.number) == self.view.state(grant.number)
        assert sorted(self._all_adopted()) == sorted(self.adopted)
        members: dict[DeviceId, Role] = {}
        for grant in self._ledger.grants:
            if fresh.is_live(grant.number):
                members[grant.device] = max(grant.role, members.get(grant.device, grant.role))
        assert members == self._members
