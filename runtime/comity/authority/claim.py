"""What a commit claims towards authority, and what came of admitting it: plain values.

Owns: the vocabulary between the log, the authority and the node: `Claim` in, `Change` and
`Standing` out, and the little that authority asks of a graph (`Ancestry`). May not know: how
anything is decided, or how a commit is encoded.

    judge(claim)         -> Rejected | None      STATIC: for ever
    admit(index, claim)  -> Change               DYNAMIC: what is hidden, what is shown

Source: PROTOCOL section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Protocol

from comity.base.ids import CommitId, DeviceId
from comity.base.values import made_fast
from comity.log.entries import AuthorityEntry, Entry, EpochEntry, Role, TurnEntry, UndoEntry
from comity.log.inner import Grant as GrantName
from comity.log.inner import Inner

__all__ = ["Ancestry", "Change", "Claim", "MemberChange", "Standing", "claim_of", "least_role"]


class Ancestry(Protocol):
    """The part of the causal graph that authority reads; `comity.log.graph.Graph` is one.

    Commits are ints from 0 (the genesis), each larger than its parents.
    """

    def is_before(self, a: int, b: int, /) -> bool:
        """Tell whether `a` is a strict ancestor of `b`."""
        ...

    def id_of(self, index: int, /) -> CommitId:
        """Return the id of a known commit."""
        ...

    def index_of(self, commit: CommitId, /) -> int | None:
        """Return the index of a commit, None where it is not known."""
        ...


@made_fast
@dataclass(frozen=True, slots=True)
class Claim:
    """What authority must know of a commit to judge it.

    parents: graph indexes, all admitted, at least one.
    backlink: the author's previous commit in before(c), None for the first one; the log has
    checked that it lies there.
    epoch: the commit whose key seals this one; None in an epoch commit.
    needs: the least role for all in the commit that is not the authority entry: WRITER for
    turns, undos and epochs, READER for the rest.
    """

    author: DeviceId
    auth: GrantName
    parents: tuple[int, ...]
    backlink: int | None
    epoch: int | None
    needs: Role
    entry: AuthorityEntry | None = None


def claim_of(graph: Ancestry, inner: Inner, epoch: int | None) -> Claim:
    """Return what an opened commit claims. Its parents and backlink must be known.

    epoch: index of the commit whose key opened it, None for an epoch commit.
    """
    assert not inner.is_genesis, "the genesis claims nothing: the topic names it"
    entry: AuthorityEntry | None = None
    for each in inner.entries:
        if not isinstance(each, TurnEntry) and isinstance(each, AuthorityEntry):
            entry = each  # turns first: most are
    needs = least_role(inner.entries)
    parents = tuple([_known(graph, parent) for parent in inner.parents])
    if inner.backlink == inner.parents[0]:  # as most are
        backlink: int | None = parents[0]
    else:
        backlink = None if inner.backlink is None else _known(graph, inner.backlink)
    return Claim(inner.author, inner.auth, parents, backlink, epoch, needs, entry)


def least_role(entries: Sequence[Entry]) -> Role:
    """Return the least role for all in a commit that is not the authority entry."""
    for each in entries:
        if isinstance(each, TurnEntry | UndoEntry | EpochEntry):
            return Role.WRITER
    return Role.READER


def _known(graph: Ancestry, commit: CommitId) -> int:
    index = graph.index_of(commit)
    assert index is not None, "acceptance asks for the parents before authority"
    return index


@unique
class Standing(IntEnum):
    """How a commit stands in the present view."""

    EFFECTIVE = 0
    QUARANTINED = 1
    ADOPTED = 2

    @property
    def visible(self) -> bool:
        """Whether its turns count."""
        return self is not Standing.QUARANTINED


@dataclass(frozen=True, slots=True)
class MemberChange:
    """A device's role changed in the present view; None means no member."""

    device: DeviceId
    before: Role | None
    after: Role | None


@made_fast
@dataclass(frozen=True, slots=True)
class Change:
    """What admitting one commit did to the present view.

    standing: of the commit itself. hidden, shown: EARLIER commits whose visibility changed,
    ascending graph indexes; an adopted commit is shown. members: ascending by device.
    """

    standing: Standing
    hidden: tuple[int, ...] = ()
    shown: tuple[int, ...] = ()
    members: tuple[MemberChange, ...] = ()
