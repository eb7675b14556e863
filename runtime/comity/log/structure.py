"""Does a commit fit where it says it hangs? What its past alone decides, before authority.

Owns: the checks of shape against the graph. May not know: grants, signatures, operations.
Every answer but PARENT_UNKNOWN is final: it depends on the sealed bytes and their past only, so
it is the same on every replica and may be remembered by id.
Source: PROTOCOL section 2, 'Acceptance'.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from comity.base.errors import Reason, Rejected
from comity.base.ids import CommitId, short
from comity.log.entries import GenesisEntry

if TYPE_CHECKING:
    from comity.log.graph import Graph
    from comity.log.inner import Inner
    from comity.log.sealed import Sealed

__all__ = ["check_structure", "missing_parents"]


def missing_parents(graph: Graph, parents: tuple[CommitId, ...]) -> tuple[CommitId, ...]:
    """Return those that the graph lacks: what to wait for, or ask for."""
    return tuple([parent for parent in parents if graph.index_of(parent) is None])


def check_structure(graph: Graph, inner: Inner, sealed: Sealed) -> Rejected | None:
    """Check kind, parents, gen and the author's chain; None if all fit.

    Rejected: MALFORMED, GENESIS_MISMATCH, PARENT_UNKNOWN, PARENTS_NOT_MINIMAL, WRONG_GEN,
    WRONG_BACKLINK, WRONG_SEQ.
    """
    if sealed.is_epoch != inner.is_epoch or sealed.is_genesis != inner.is_genesis:
        return Rejected(Reason.MALFORMED, "inside it is of another kind than outside")
    if inner.is_genesis:
        return _check_genesis(graph, inner, sealed)
    found = [graph.index_of(parent) for parent in inner.parents]
    parents = [number for number in found if number is not None]
    if len(parents) != len(inner.parents):
        missing = missing_parents(graph, inner.parents)
        return Rejected(Reason.PARENT_UNKNOWN, f"{short(missing[0])}, {len(missing)} in all")
    if len(parents) > 1 and not graph.is_minimal(parents):
        return Rejected(Reason.PARENTS_NOT_MINIMAL)
    gen = 1 + max([graph.gen_of(parent) for parent in parents])
    if sealed.gen != gen:
        return Rejected(Reason.WRONG_GEN, f"{sealed.gen}, {gen} expected")
    return _check_chain(graph, inner, parents)


def _check_genesis(graph: Graph, inner: Inner, sealed: Sealed) -> Rejected | None:
    genesis = inner.entries[0]
    assert isinstance(genesis, GenesisEntry)
    assert sealed.wraps is not None
    if genesis.kcommit != sealed.wraps.kcommit:
        return Rejected(Reason.GENESIS_MISMATCH, "it commits to two different keys")
    if len(graph):
        return Rejected(Reason.GENESIS_MISMATCH, "this actor has been founded")
    return None


def _check_chain(graph: Graph, inner: Inner, parents: list[int]) -> Rejected | None:
    if inner.backlink is None:
        return None
    backlink = graph.index_of(inner.backlink)
    if backlink is None or not (backlink in parents or graph.contains(parents, backlink)):
        return Rejected(Reason.WRONG_BACKLINK, f"{short(inner.backlink)} is not in its past")
    if graph.author_of(backlink) != inner.author:
        return Rejected(Reason.WRONG_BACKLINK, f"{short(inner.backlink)} has another author")
    seq = graph.seq_of(backlink) + 1
    if inner.seq != seq:
        return Rejected(Reason.WRONG_SEQ, f"{inner.seq}, {seq} expected")
    return None
