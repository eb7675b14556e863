"""Loading: a journal from what the store holds of it, in the order in which it came.

Owns: the way from rows to a journal, through commits of their own and through runs. May not
know: drafts, cells, links; what arrives later (`node.replica`).
Source: decisions 5 and 25.
"""

from __future__ import annotations

from dataclasses import dataclass

from comity.base.errors import Rejected
from comity.base.ids import CommitId
from comity.log.inner import Inner, decode_inner
from comity.node import rows
from comity.node.cold import Cold
from comity.node.journal import Journal
from comity.node.rebuilding import reopen_run
from comity.node.step import Rows
from comity.node.verdicts import Ahead, Checked, Missing, Opened
from comity.wire.records import Commit

__all__ = ["Saved", "load", "read_back"]


@dataclass(frozen=True, slots=True)
class Saved:
    """What the store holds of an actor. keys: by epoch. commits, runs: rows in key order."""

    keys: tuple[tuple[CommitId, bytes], ...] = ()
    commits: Rows = ()
    runs: Rows = ()


def load(journal: Journal, cold: Cold, saved: Saved) -> None:
    """Fill an empty journal, and tell which commits lie in runs.

    Raises: AssertionError if the rows are not what this layer once wrote.
    """
    for epoch, key in saved.keys:
        journal.learn_key(epoch, key, None)
    alone = {rows.number_of(key): value for key, value in saved.commits}
    runs = {rows.number_of(key): value for key, value in saved.runs}
    rebuilt: dict[int, tuple[Commit, Opened]] = {}
    number = 1
    while True:
        if number in runs:
            numbers, data = rows.decode_run(runs.pop(number))
            cold.note(numbers, alone)
            for place, each in zip(numbers, reopen_run(journal, data), strict=True):
                rebuilt.setdefault(place, each)
        value, packed = alone.pop(number, None), rebuilt.pop(number, None)
        if value is not None:
            checked = journal.examine(rows.decode_commit(value), trusted=True)
        elif packed is not None:
            checked = _reread(journal, *packed)
        else:
            break
        assert isinstance(checked, Checked), f"a stored commit is refused: {checked}"
        journal.insert(checked, None)
        number += 1
    left = len(alone) + len(runs) + len(rebuilt)
    assert left == 0, "the commits of a store are without gaps"


def read_back(journal: Journal, commits: Rows, runs: Rows) -> dict[int, Commit]:
    """Return what rows of one actor hold, by number, ascending: for whoever looks at a disk.

    journal: that of the same actor, with the keys of all of it.
    """
    found: dict[int, Commit] = {}
    for _, value in runs:
        numbers, data = rows.decode_run(value)
        inside = [commit for commit, _ in reopen_run(journal, data)]
        found.update(zip(numbers, inside, strict=True))
    for key, value in commits:
        found[rows.number_of(key)] = rows.decode_commit(value)
    return dict(sorted(found.items()))


def _reread(journal: Journal, commit: Commit, opened: Opened) -> Checked | Missing | Rejected:
    """Examine a commit that was rebuilt from our own disk."""
    inner = decode_inner(opened.plain, journal.graph.facts)
    assert isinstance(inner, Inner), f"a stored commit is refused: {inner}"
    ahead = Ahead(opened, inner)
    return journal.examine(commit, trusted=True, identifier=opened.id, ahead=ahead)
