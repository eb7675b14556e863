"""A view: which grants and commits are effective, given one set of removals.

Owns: DYNAMIC as a pure function of the set of removals that a version holds. Adds, adopts and
data change nobody's standing, so versions with the same removals share a view, and a view
never changes once it is made: what it found out is kept for ever. May not know: the present,
devices' roles, or what was reported to whom.

    a removal is effective  <=  the grant it is made under is effective,
                                and every effective killer of that grant had seen it
    a grant is effective    <=  its `add` is effective, by the same rule, one grant up

Well-founded: a killer's grant stands above what it kills, so walking a chain from the top
meets each question after its answers. A self-removal is looked at after the other killers of
its grant, and spares other self-removals.
Source: PROTOCOL section 3, DYNAMIC.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from comity.authority.claim import Ancestry
from comity.authority.ledger import TOP, Grant, Ledger, Removal

__all__ = ["CLEAR", "GrantState", "View"]


@dataclass(frozen=True, slots=True)
class GrantState:
    """What a view knows of a grant. killers: the effective ones, in order of arrival."""

    effective: bool
    killers: tuple[Removal, ...]


CLEAR: Final = GrantState(effective=True, killers=())
"""An effective grant that nothing kills; this one object, so that `is` can ask for it."""


class View:
    """Effectiveness under one set of removals, found out when asked and then kept."""

    __slots__ = ("_graph", "_ledger", "_states", "removals")

    def __init__(self, graph: Ancestry, ledger: Ledger, removals: int) -> None:
        """Look from a version that holds the removals whose bits are set."""
        self._graph = graph
        self._ledger = ledger
        self._states: dict[int, GrantState] = {}
        self.removals = removals

    def state(self, grant: int) -> GrantState:
        """Return a grant's state; the grant need not lie in the version itself."""
        known = self._states.get(grant)
        if known is not None:
            return known
        path: list[Grant] = []
        number = grant
        while number != TOP and number not in self._states:
            path.append(self._ledger.grants[number])
            number = path[-1].above
        for each in reversed(path):
            self._states[each.number] = self._settle(each)
        return self._states[grant]

    def is_live(self, grant: int) -> bool:
        """Tell whether a device may act under a grant: effective, and not killed."""
        return self.state(grant) is CLEAR

    def is_effective(self, commit: int, grant: int) -> bool:
        """Tell whether a commit of the version counts, made under that grant."""
        state = self.state(grant)
        return state is CLEAR or (
            state.effective and all(self._outlives(commit, killer) for killer in state.killers)
        )

    def hiders(self, commit: int, grant: int) -> list[Removal]:
        """Return the effective removals that hide a commit, nearest first; none if it counts.

        They hide it itself, or the `add` that its author's grant comes from, and so on up.
        """
        found: list[Removal] = []
        while True:
            state = self.state(grant)
            found += [each for each in state.killers if not self._outlives(commit, each)]
            if state.effective:
                return found
            origin = self._ledger.grants[grant]
            commit, grant = origin.commit, origin.above

    def in_force(self) -> list[Removal]:
        """Return every effective removal of the version, in order of arrival."""
        return [
            each
            for each in self._ledger.removals
            if self._holds(each) and self.is_effective(each.commit, each.grant)
        ]

    def _holds(self, removal: Removal) -> bool:
        return bool(self.removals >> removal.number & 1)

    def _settle(self, grant: Grant) -> GrantState:
        # All grants above are settled, so nothing asked here comes back to this grant.
        ledger = self._ledger
        effective = grant.is_root or self.is_effective(grant.commit, grant.above)
        candidates = [
            each
            for each in ledger.removals_of(grant.device)
            if self._holds(each) and ledger.kills(each, grant)
        ]
        if not candidates:
            return CLEAR if effective else GrantState(effective=False, killers=())
        others = [
            each
            for each in candidates
            if not each.is_self and self.is_effective(each.commit, each.grant)
        ]
        leavings = [
            each
            for each in candidates
            if each.is_self
            and effective
            and all(self._outlives(each.commit, other) for other in others)
        ]
        killers = sorted(others + leavings, key=lambda each: each.number)
        if effective and not killers:
            return CLEAR
        return GrantState(effective=effective, killers=tuple(killers))

    def _outlives(self, commit: int, killer: Removal) -> bool:
        if killer.is_self:
            act = self._ledger.acts.get(commit)
            if act is not None and act.leaves:
                return True  # never another self-removal under that grant, nor itself
        return self._graph.is_before(commit, killer.commit)
