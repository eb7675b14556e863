"""Runs on their way into a journal: opened, rebuilt, and judged whole before any of it counts.

Owns: the order of acceptance of a run. May not know: who brought it, where it is kept.

    layout -> open -> rebuild all -> first parents known -> structure -> STATIC authority
    -> the last signature -> every commit that is not here yet is inserted, in order

A commit in a run counts on the word of the last, which is its author's and has his signature;
so nothing of a run is inserted before that is checked. What is here already is a beginning of
the run, since each commit has the one before as its only parent. Nothing in a run changes who
may write, so what authority says of the first that is new it says of the rest, if the role
suffices for all of them.
Source: PROTOCOL section 2, 'Acceptance' and 'Runs'; docs/reference/run-format.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from comity.authority.claim import claim_of, least_role
from comity.base.errors import Rejected
from comity.base.ids import CommitId
from comity.log.inner import Inner, peek_parents
from comity.log.runs import Run, SealedRun, decode_run, open_run, parse_run, verify_run
from comity.log.seal import ContentKey
from comity.log.sealed import Sealed, parse
from comity.log.structure import check_structure, missing_parents
from comity.node.journal import Journal
from comity.node.verdicts import Checked, Missing, Opened
from comity.wire.records import Commit

__all__ = ["Rebuilt", "checked_member", "examine_run", "reopen_run"]


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A run that may be inserted. known: how many of its commits are here already."""

    run: Run
    inners: tuple[Inner, ...]
    epoch: CommitId
    key: ContentKey
    known: int


def examine_run(journal: Journal, name: CommitId, data: bytes) -> Rebuilt | Missing | Rejected:
    """Decide whether a run may be inserted. Changes nothing.

    name: what it is called if it has to wait.
    """
    opened = _open(journal, name, data)
    if not isinstance(opened, tuple):
        return opened
    run, epoch, key = opened
    graph = journal.graph
    inners = decode_run(run, graph.facts)
    named = peek_parents(run.members[0].plain) if isinstance(inners, Rejected) else inners[0]
    if isinstance(named, Rejected):
        return named
    missing = missing_parents(graph, named.parents)
    if missing:
        return Missing(name, missing, b"")
    if isinstance(inners, Rejected):
        return inners
    known = sum(graph.index_of(member.id) is not None for member in run.members)
    rebuilt = Rebuilt(run, inners, epoch, key, known)
    if known == len(inners):
        return rebuilt
    return _judge(journal, rebuilt) or rebuilt


def checked_member(journal: Journal, rebuilt: Rebuilt, place: int) -> Checked:
    """Return a commit of a run for insertion, when those before it have been inserted."""
    member, inner = rebuilt.run.members[place], rebuilt.inners[place]
    epoch = journal.graph.index_of(rebuilt.epoch)
    return Checked(
        member.id,
        Commit(member.sealed, b""),
        _parsed(member.sealed),
        inner,
        claim_of(journal.graph, inner, epoch),
        rebuilt.key,
    )


def reopen_run(journal: Journal, data: bytes) -> list[tuple[Commit, Opened]]:
    """Rebuild the commits of a run that was stored here, in order.

    The last has its signature beside it, the others nothing.
    """
    opened = _open(journal, CommitId(bytes(32)), data)
    assert isinstance(opened, tuple), f"a stored run is refused: {opened}"
    run, epoch, key = opened
    besides = [b""] * (len(run.members) - 1) + [run.beside]
    return [
        (
            Commit(member.sealed, beside),
            Opened(member.id, _parsed(member.sealed), member.plain, key, epoch),
        )
        for member, beside in zip(run.members, besides, strict=True)
    ]


def _judge(journal: Journal, rebuilt: Rebuilt) -> Rejected | None:
    """Judge what is new of a run: its first commit for all, then the last signature."""
    graph, authority = journal.graph, journal.authority
    assert authority is not None, "a parent is known, so the genesis is"
    inner, member = rebuilt.inners[rebuilt.known], rebuilt.run.members[rebuilt.known]
    refusal = check_structure(graph, inner, _parsed(member.sealed))
    if refusal is not None:
        return refusal
    needs = max([least_role(each.entries) for each in rebuilt.inners[rebuilt.known :]])
    claim = claim_of(graph, inner, graph.index_of(rebuilt.epoch))
    refusal = authority.judge(replace(claim, needs=needs))
    if refusal is not None:
        return refusal
    return verify_run(journal.crypto, rebuilt.key, inner.author, rebuilt.run)


def _open(
    journal: Journal, name: CommitId, data: bytes
) -> tuple[Run, CommitId, ContentKey] | Missing | Rejected:
    sealed = parse_run(data)
    if not isinstance(sealed, SealedRun):
        return sealed
    refusal: Rejected | None = None
    for epoch, key in journal.epochs.matching(sealed.epoch):
        run = open_run(journal.crypto, key, sealed)
        if not isinstance(run, Rejected):
            return run, epoch, key
        refusal = run
    return refusal if refusal is not None else Missing(name, (), sealed.epoch)


def _parsed(data: bytes) -> Sealed:
    sealed = parse(data)
    assert isinstance(sealed, Sealed), "it was made here"
    return sealed
