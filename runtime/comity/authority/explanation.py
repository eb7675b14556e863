"""Why a commit counts, or does not: a sentence for a person.

Owns: the words. May not know: how anything was decided; it is handed the findings.
Source: ARCHITECTURE invariant 4; PROTOCOL section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from comity.authority.claim import Ancestry
from comity.authority.ledger import GENESIS, Grant, Ledger, Removal
from comity.base.ids import short
from comity.log.inner import Grant as GrantName
from comity.log.inner import RootGrant

__all__ = ["Finding", "name_grant", "tell"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What is known of one commit's standing.

    grant: what it is made under. hiders: the effective removals that hide it, nearest first.
    adopted_by: the author's grant and the commit of an adoption in force, None without one.
    """

    commit: int
    grant: Grant
    hiders: Sequence[Removal]
    adopted_by: tuple[Grant, int] | None


def name_grant(name: GrantName) -> str:
    """Name the right that a commit claims, as a person sees it."""
    if isinstance(name, RootGrant):
        return f"the right of founder {name.index + 1}"
    return f"the right given in {short(name.commit)}"


def tell(graph: Ancestry, ledger: Ledger, finding: Finding) -> str:
    """Say how a commit stands, which removal or adoption did it, and what would help."""
    if finding.commit == GENESIS:
        return f"Commit {_commit(graph, GENESIS)} counts: it founded the actor."
    grant = finding.grant
    what = f"Commit {_commit(graph, finding.commit)} of device {short(grant.device)}"
    if not finding.hiders:
        return f"{what} counts: its author {_right(graph, ledger, grant)}."
    hidden = _hidden(graph, ledger, finding)
    if finding.adopted_by is None:
        return f"{what} is hidden: {hidden}. {_remedy(ledger, finding.hiders[0])}"
    adopter, adoption = finding.adopted_by
    by = f"device {short(adopter.device)} adopted it in {_commit(graph, adoption)}"
    return f"{what} is shown: {by}. Without that it would be hidden: {hidden}."


def _right(graph: Ancestry, ledger: Ledger, grant: Grant) -> str:
    """Say what let its author make it, and who gave him that."""
    if grant.is_root:
        return "is a founder of the actor"
    host = short(ledger.grants[grant.above].device)
    return (
        f"was let in as {grant.role.name.lower()} by {host}, in {_commit(graph, grant.commit)}"
    )


def _hidden(graph: Ancestry, ledger: Ledger, finding: Finding) -> str:
    hider = finding.hiders[0]
    gone = short(hider.device)
    where = f"in {_commit(graph, hider.commit)}, without having seen"
    if hider.is_self:
        event = f"device {gone} left {where}"
    else:
        remover = short(ledger.grants[hider.grant].device)
        event = f"device {remover} removed {gone} {where}"
    more = len(finding.hiders) - 1
    others = f" (and {more} more removal{'s' if more > 1 else ''})" if more else ""
    if ledger.kills(hider, finding.grant):
        return f"{event} it{others}"
    return (
        f"{event} that its author was let in by {gone}, or by who came through {gone}{others}"
    )


def _remedy(ledger: Ledger, hider: Removal) -> str:
    remover = ledger.grants[hider.grant]
    named = [] if hider.is_self else [short(remover.device)]
    while not remover.is_root:
        remover = ledger.grants[remover.above]
        named.append(short(remover.device))
    able = list(dict.fromkeys(named))
    if not able:
        return "Nobody can bring it back: who left was a founder."
    return f"{' or '.join(able)} can bring it back, with `comity adopt`."


def _commit(graph: Ancestry, index: int) -> str:
    return short(graph.id_of(index))
