"""Authority: whether a commit may enter the log, and whether it counts there.

Owns: STATIC, decided on before(c) alone and never again, and the bookkeeping that makes both
decisions cheap. May not know: keys, signatures, operations, who is online, what time it is.

    judge(claim) -- Rejected --> refused for ever, with all that descends from it
                 -- None -----> the graph takes it -> admit(index, claim) -> Change

What a version says about anybody's standing depends only on the removals in it, so versions
that hold the same removals share one `View`. A data commit inherits its parents' view and
costs a few look-ups; ancestry is asked only where a grant or an epoch is used for the first
time, or where a removal kills.
Source: PROTOCOL section 3; decision 0010 where the text leaves a choice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, assert_never

from comity.authority.claim import Ancestry, Change, Claim, Standing
from comity.authority.explanation import Finding, name_grant, tell
from comity.authority.hindsight import Hindsight
from comity.authority.ledger import GENESIS, Grant, Ledger, Removal
from comity.authority.present import Present
from comity.authority.roll import NO_BACKLINK, Roll
from comity.authority.view import CLEAR, View
from comity.base.errors import Reason, Rejected
from comity.base.ids import CommitId, DeviceId, short
from comity.log.entries import AddEntry, AdoptEntry, RemoveEntry, Role
from comity.log.inner import Grant as GrantName

__all__ = ["Authority"]

_PLAIN: Final = {standing: Change(standing) for standing in Standing}


class Authority:
    """Who counts in one actor's log; fed its commits in the order of the graph."""

    __slots__ = (
        "_epochs",
        "_graph",
        "_hindsight",
        "_ledger",
        "_present",
        "_roll",
        "_views",
        "_views_known",
    )

    def __init__(self, graph: Ancestry, roots: Sequence[DeviceId]) -> None:
        """Begin with the genesis, commit 0 of the graph.

        roots: its devices in order of rank, no duplicates.
        """
        self._graph = graph
        self._ledger = Ledger(graph, roots)
        self._roll = Roll(graph)
        self._views_known: dict[int, View] = {}
        first = self._view(0)
        self._views = [first]
        self._epochs = [GENESIS]
        self._roll.enter(0, NO_BACKLINK, is_act=False)
        self._present = Present(graph, self._ledger, self._roll, first)
        self._hindsight = Hindsight(graph, self._ledger, self._roll, self._views)

    def __len__(self) -> int:
        """Return how many commits are admitted: the index of the next one."""
        return len(self._views)

    # ---------------------------------------------------------------- STATIC

    def judge(self, claim: Claim) -> Rejected | None:
        """Decide STATIC for a commit whose parents are admitted. Changes nothing.

        Rejected: NO_GRANT, GRANT_NOT_YOURS, GRANT_NOT_EFFECTIVE, GRANT_KILLED, ROLE_TOO_LOW,
        BAD_ADD, BAD_REMOVE, BAD_ADOPT, EPOCH_UNKNOWN. The answer is the same at any time and
        on every replica.
        """
        grant = self._ledger.find(claim.auth)
        if grant is None or not self._has_grant(claim, grant):
            return Rejected(Reason.NO_GRANT, name_grant(claim.auth))
        if grant.device != claim.author:
            owner = f"{name_grant(claim.auth)} is device {short(grant.device)}'s"
            return Rejected(Reason.GRANT_NOT_YOURS, f"{owner}, not {short(claim.author)}'s")
        view = self._view_before(claim.parents)
        state = view.state(grant.number)
        if state is not CLEAR:
            if not state.effective:
                return Rejected(Reason.GRANT_NOT_EFFECTIVE, name_grant(claim.auth))
            killer = self._short(state.killers[0].commit)
            return Rejected(Reason.GRANT_KILLED, f"removed in {killer}, which it had seen")
        if claim.needs > grant.role:
            return _too_low(claim.needs, grant)
        if claim.entry is not None:
            refusal = self._judge_entry(claim, grant, view)
            if refusal is not None:
                return refusal
        if claim.epoch is not None and not self._has_epoch(claim, claim.epoch):
            return Rejected(Reason.EPOCH_UNKNOWN, self._short(claim.epoch))
        return None

    def _judge_entry(self, claim: Claim, grant: Grant, view: View) -> Rejected | None:
        entry = claim.entry
        assert entry is not None
        if isinstance(entry, RemoveEntry) and entry.device == claim.author:
            return None  # it kills the live grant that it is made under
        if grant.role < Role.ADMIN:
            return _too_low(Role.ADMIN, grant)
        match entry:
            case AddEntry():
                return self._judge_add(entry, grant)
            case RemoveEntry():
                return self._judge_remove(claim, entry.device, grant, view)
            case AdoptEntry():
                return self._judge_adopt(claim, entry.commit, grant, view)
            case _:
                assert_never(entry)

    def _judge_add(self, entry: AddEntry, grant: Grant) -> Rejected | None:
        if entry.device == grant.device:
            return Rejected(Reason.BAD_ADD, "its author lets itself in")
        if self._ledger.is_root_device(entry.device):
            return Rejected(Reason.BAD_ADD, f"device {short(entry.device)} is a founder")
        if entry.role > grant.role:
            return Rejected(Reason.BAD_ADD, "it gives a higher role than its author has")
        return None

    def _judge_remove(
        self, claim: Claim, device: DeviceId, grant: Grant, view: View
    ) -> Rejected | None:
        for given in self._ledger.grants_of(device):
            if (
                view.is_live(given.number)
                and self._ledger.is_above(grant.number, given.number)
                and self._in_before(claim.parents, given.commit)
            ):
                return None
        who = f"device {short(device)} takes no part, or was not let in through its author"
        return Rejected(Reason.BAD_REMOVE, who)

    def _judge_adopt(
        self, claim: Claim, commit: CommitId, grant: Grant, view: View
    ) -> Rejected | None:
        target = self._graph.index_of(commit)
        if target is None or not self._in_before(claim.parents, target):
            return Rejected(Reason.BAD_ADOPT, f"its author had not seen {short(commit)}")
        hiders = view.hiders(target, self._roll.grants[target])
        if not hiders:
            return Rejected(Reason.BAD_ADOPT, f"nothing hides {short(commit)}")
        if any(self._may_undo(grant, hider) for hider in hiders):
            return None
        by = ", ".join(self._short(hider.commit) for hider in hiders[:3])
        return Rejected(
            Reason.BAD_ADOPT,
            f"{short(commit)} is hidden by who stands above its author, in {by}",
        )

    def _may_undo(self, grant: Grant, hider: Removal) -> bool:
        # Whoever left cannot come here: seeing that removal, its grant is refused as killed.
        return grant.number == hider.grant or self._ledger.is_above(grant.number, hider.grant)

    def _has_grant(self, claim: Claim, grant: Grant) -> bool:
        back = claim.backlink
        if back is not None and self._roll.grants[back] == grant.number:
            return True  # it was in before(backlink)
        return self._in_before(claim.parents, grant.commit)

    def _has_epoch(self, claim: Claim, epoch: int) -> bool:
        back = claim.backlink
        if back is not None and self._epochs[back] == epoch:
            return True  # it was in before(backlink)
        return self._in_before(claim.parents, epoch)

    def _in_before(self, heads: Sequence[int], commit: int) -> bool:
        if commit == GENESIS:
            return True
        return any(commit == head or self._graph.is_before(commit, head) for head in heads)

    # ---------------------------------------------------------------- DYNAMIC

    def admit(self, index: int, claim: Claim) -> Change:
        """Take in a commit that was judged, after the graph took it as `index`."""
        assert index == len(self._views), "commits are admitted in the order of the graph"
        grant = self._ledger.find(claim.auth)
        assert grant is not None, "judged: the grant exists"
        view = self._view_before(claim.parents)
        entry = claim.entry
        back = NO_BACKLINK if claim.backlink is None else claim.backlink
        self._roll.enter(grant.number, back, is_act=entry is not None)
        self._epochs.append(index if claim.epoch is None else claim.epoch)
        if entry is None:
            self._hindsight.enter(claim.parents, view, view)
            self._views.append(view)
            # It lies in the past of nothing: whatever kills its grant hides it.
            is_live = self._present.view.is_live(grant.number)
            return _PLAIN[Standing.EFFECTIVE if is_live else Standing.QUARANTINED]
        act = self._ledger.record(index, grant, entry)
        everything, before = self._present.view, view
        if isinstance(act.says, Removal):
            bit = 1 << act.says.number
            view = self._view(view.removals | bit)
            everything = self._view(everything.removals | bit)
        self._hindsight.enter(claim.parents, before, view)
        self._views.append(view)
        return self._present.take(act, everything)

    def standing(self, index: int) -> Standing:
        """Tell how an admitted commit stands in the present."""
        return self._present.standing(index)

    def effective(self, index: int) -> bool:
        """Tell whether a commit counts in the present; an adopted one is visible, not this."""
        return self._present.standing(index) is Standing.EFFECTIVE

    def removals(self) -> tuple[int, ...]:
        """Return the commits of the effective removals of the present, ascending.

        An epoch to seal under has all of them in its past (PROTOCOL section 4).
        """
        return tuple([each.commit for each in self._present.view.in_force()])

    def adopter(self, index: int) -> int | None:
        """Return a commit that adopts this one in the present; None if none does."""
        return self._present.adopted.get(index)

    def hidden_in(self, heads: Sequence[int]) -> tuple[int, ...]:
        """Return the commits, ascending, that are not visible in a version.

        heads: graph indexes, at least one; their past and they themselves make up the version.
        The same object for most versions that hide the same.
        """
        return self._hindsight.before(heads, self._view_before(heads))

    # ---------------------------------------------------------------- members

    def members(self) -> dict[DeviceId, Role]:
        """Return who is a member in the present, with the highest live role, ascending."""
        return self._present.members()

    def role_of(self, device: DeviceId) -> Role | None:
        """Return a device's role in the present; None for who is no member."""
        return self._present.role_of(device)

    def grant_for(self, device: DeviceId) -> GrantName | None:
        """Return the grant to act under now: the highest live one, then nearest the top.

        It holds on parents that cover every commit that is not quarantined. None: no member.
        """
        best = self._present.best_grant(device)
        return None if best is None else best.name

    def role_under(self, name: GrantName) -> Role | None:
        """Return the role that a grant gives, live or not; None for one that is not known."""
        grant = self._ledger.find(name)
        return None if grant is None else grant.role

    def preferring(self, role: Role | None, grants: Iterable[GrantName]) -> list[GrantName]:
        """Return grants in the same order, but those for a role first; None for no role."""
        found = list(grants)
        if role is not None:
            found.sort(key=lambda grant: self.role_under(grant) is not role)
        return found

    def role_in(self, index: int) -> Role:
        """Return the role of the grant that an admitted commit was made under."""
        return self._ledger.grants[self._roll.grants[index]].role

    def grants_of(self, device: DeviceId) -> tuple[GrantName, ...]:
        """Return every grant that a device was ever given, newest first, live or not."""
        return tuple([grant.name for grant in reversed(self._ledger.grants_of(device))])

    def members_at(self, heads: Sequence[int]) -> dict[DeviceId, Role]:
        """Return who is a member in a version, ascending. Cost: one question a grant.

        heads: graph indexes, their past and they themselves make up the version.
        """
        view = self._view_before(heads)
        members: dict[DeviceId, Role] = {}
        for grant in self._ledger.grants:
            if view.is_live(grant.number) and self._in_before(heads, grant.commit):
                members[grant.device] = max(grant.role, members.get(grant.device, grant.role))
        return {device: members[device] for device in sorted(members)}

    # ---------------------------------------------------------------- explanation

    def why(self, index: int) -> str:
        """Explain in a sentence how an admitted commit stands in the present, and why."""
        grant = self._ledger.grants[self._roll.grants[index]]
        hiders = self._present.view.hiders(index, grant.number)
        adoption = self.adopter(index)
        by = None
        if adoption is not None:
            by = self._ledger.grants[self._roll.grants[adoption]], adoption
        return tell(self._graph, self._ledger, Finding(index, grant, hiders, by))

    # ---------------------------------------------------------------- views

    def _view_before(self, heads: Sequence[int]) -> View:
        views = self._views
        view = views[heads[0]]
        if len(heads) == 1 or all(views[head] is view for head in heads):
            return view
        removals = 0
        for head in heads:
            removals |= views[head].removals
        return self._view(removals)

    def _view(self, removals: int) -> View:
        view = self._views_known.get(removals)
        if view is None:
            view = self._views_known[removals] = View(self._graph, self._ledger, removals)
        return view

    def _short(self, index: int) -> str:
        return short(self._graph.id_of(index))

    def check(self) -> None:
        """Rebuild what is derived and compare; for tests and the simulator."""
        assert len(self._views) == len(self._epochs) == len(self._roll.grants)
        self._ledger.check()
        self._roll.check()
        self._present.check()
        self._hindsight.check()


def _too_low(needed: Role, grant: Grant) -> Rejected:
    detail = f"it takes the role {needed.name.lower()}, its author is {grant.role.name.lower()}"
    return Rejected(Reason.ROLE_TOO_LOW, detail)
