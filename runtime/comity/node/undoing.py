"""Undoing: which turn an `undo` of this device means, and the commit that says so.

Owns: the choice of a turn and of what takes it back, and the reasons why not. May not know:
cells, links; when it may be decided (`Beats.decide` sees to that).

    undo   the newest visible turn of this device      -> an undo that names it
    redo   this device's newest undo that is in force,
           unless a turn was made since                -> an undo of that undo

The choice is made from the log alone, so it is the same after a restart.
Source: API 'A whole application'; decision 17.
"""

from __future__ import annotations

from comity.authority.undos import Place, Undo
from comity.base.errors import Rejected, UsageError
from comity.base.ids import CommitId, short
from comity.log.entries import Role, UndoEntry
from comity.node.commands import TurnId
from comity.node.journal import Journal
from comity.node.replica import Replica
from comity.node.step import Step

__all__ = ["adopt", "redo", "undo"]


def undo(replica: Replica, turn: TurnId | None, step: Step) -> TurnId | UsageError:
    """Hide a turn, the newest of this device if none is named; return which it was."""
    journal = replica.journal
    place = _newest(journal) if turn is None else _named(journal, turn)
    if place is None:
        return UsageError("nothing is left to undo: this device made no turn that is visible")
    if isinstance(place, UsageError):
        return place
    if not journal.visibility.shows(place):
        return UsageError(f"turn {turn} is hidden already: comity why tells by whom")
    author = journal.graph.author_of(place[0])
    if author != journal.device and journal.role is not Role.ADMIN:
        return UsageError(
            f"turn {turn} is of device {short(author)}: its author can undo it, or an admin"
        )
    return _append(replica, place, (_entry(journal, place),), step)


def redo(replica: Replica, turn: TurnId | None, step: Step) -> TurnId | UsageError:
    """Take back this device's newest undo, or what it may take back of a turn's undos."""
    journal = replica.journal
    if turn is None:
        newest = _newest_undo(journal)
        if newest is None:
            return UsageError(
                "there is nothing to redo: this device undid nothing, or went on since"
            )
        return _append(replica, newest.turn, (_entry(journal, newest.place),), step)
    place = _named(journal, turn)
    if isinstance(place, UsageError):
        return place
    undos = journal.visibility.undos
    found = [each for each in undos.all if each.turn == place and undos.in_force(each)]
    is_admin = journal.role is Role.ADMIN
    mine = [each for each in found if is_admin or _made(journal, each)]
    if not mine:
        by = ", ".join(short(each.author) for each in found[:3])
        return UsageError(f"turn {turn} was undone by {by}" if by else f"{turn} is not undone")
    entries = tuple([_entry(journal, each.place) for each in mine])
    return _append(replica, place, entries, step)


def adopt(replica: Replica, prefix: bytes, step: Step) -> CommitId | UsageError:
    """Let a hidden commit count, with what its author made before. prefix: of its id."""
    graph = replica.journal.graph
    found = [each for each in range(len(graph)) if graph.id_of(each).startswith(prefix)]
    if len(found) != 1:
        what = f"{len(found)} commits" if found else "no commit"
        return UsageError(f"{what} of actor {short(replica.topic)} begin with {prefix.hex()}")
    if replica.journal.visibility.counts(found[0]):
        return UsageError(f"commit {short(graph.id_of(found[0]))} counts already")
    made = replica.adopt(step, found[0])
    if isinstance(made, Rejected):
        return UsageError(f"this device cannot adopt {prefix.hex()}: {made}")
    return graph.id_of(found[0])


def _append(
    replica: Replica, place: Place, entries: tuple[UndoEntry, ...], step: Step
) -> TurnId | UsageError:
    made = replica.append(step, *entries)
    if isinstance(made, Rejected):
        return UsageError(f"this device may not undo: {made}")
    return TurnId(replica.journal.graph.id_of(place[0]), place[1])


def _entry(journal: Journal, place: Place) -> UndoEntry:
    return UndoEntry(journal.graph.id_of(place[0]), place[1])


def _named(journal: Journal, turn: TurnId) -> Place | UsageError:
    commit = journal.graph.index_of(turn.commit)
    if commit is None or turn.index >= journal.turn_count(commit):
        return UsageError(f"there is no turn {turn} here: take one of history()")
    return commit, turn.index


def _newest(journal: Journal) -> Place | None:
    """Return this device's newest visible turn. Cost: the hidden ones after it."""
    commit = journal.own_last
    while commit is not None:
        for index in reversed(range(journal.turn_count(commit))):
            if journal.visibility.shows((commit, index)):
                return commit, index
        commit = journal.graph.backlink_of(commit)
    return None


def _newest_undo(journal: Journal) -> Undo | None:
    """Return this device's newest undo in force, if no turn of it came after."""
    undos = journal.visibility.undos
    commit = journal.own_last
    while commit is not None and not journal.turn_count(commit):
        for undone in reversed(undos.made_in(commit)):
            if undos.in_force(undone):
                return undone
        commit = journal.graph.backlink_of(commit)
    return None


def _made(journal: Journal, undone: Undo) -> bool:
    return undone.author == journal.device
