"""Loading: a journal from what the store holds of it, in the order in which it came.

Owns: the way from rows to a journal, through commits of their own and through runs. May not
know: drafts, cells, links; what arrives later (`node.replica`).
Source: decisions 5 and 25.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from comity.base.errors import Rejected
from comity.base.ids import CommitId, Topic
from comity.base.limits import INDEX_PIECE
from comity.log.inner import Inner, decode_inner
from comity.node import rows
from comity.node.cold import Cold
from comity.node.holdings import Holdings
from comity.node.index import Piece, open_piece, reinsert
from comity.node.journal import Journal
from comity.node.rebuilding import reopen_run
from comity.node.step import Rows
from comity.node.verdicts import Ahead, Checked, Missing, Opened
from comity.wire.records import Commit

__all__ = ["Saved", "by_topic", "load", "read_back"]


@dataclass(frozen=True, slots=True)
class Saved:
    """What the store holds of an actor. keys: by epoch; the others: rows in key order."""

    keys: tuple[tuple[CommitId, bytes], ...] = field(default=(), repr=False)
    commits: Rows = ()
    runs: Rows = ()
    index: Rows = ()


def by_topic(found: Rows) -> dict[Topic, list[tuple[bytes, bytes]]]:
    """Sort rows whose keys begin with a topic by it; their order stays."""
    sorted_out: dict[Topic, list[tuple[bytes, bytes]]] = {}
    for key, value in found:
        sorted_out.setdefault(rows.topic_of_key(key), []).append((key, value))
    return sorted_out


def load(journal: Journal, cold: Cold, holdings: Holdings, saved: Saved) -> int:
    """Fill an empty journal, and tell which commits lie in runs.

    Returns the number of the last commit that the index covers; 1 if it covers none.
    Raises: AssertionError if the rows are not what this layer once wrote.
    """
    for epoch, key in saved.keys:
        journal.learn_key(epoch, key, None)
    source = _Source(journal, cold, saved)
    pieces = {rows.number_of(key): value for key, value in saved.index}
    upto = number = 1
    while number <= source.count:
        piece = _piece(journal, source, number, pieces.pop(number, None))
        if piece is None:
            journal.insert(source.examine(number), None)
            number += 1
            pieces = pieces if number == 2 else {}
            continue
        for identifier, line, turns in zip(piece.ids, piece.lines, piece.turns, strict=True):
            if line is None:
                checked = source.examine(number)
                assert checked.id == identifier, "the index is of another log"
                journal.insert(checked, None)
            else:
                reinsert(journal, holdings, identifier, line, len(turns))
            number += 1
        upto = number - 1
    return upto


def _piece(journal: Journal, source: _Source, number: int, row: bytes | None) -> Piece | None:
    """Return the piece of the index that begins here, if it fits what is here."""
    if row is None or number + INDEX_PIECE - 1 > source.count:
        return None
    piece = open_piece(journal, number, row, INDEX_PIECE)
    fits = (
        piece is not None
        and piece.before == journal.graph.id_of(number - 2)
        and source.may_be(number + INDEX_PIECE - 1, piece.ids[-1])
    )
    return piece if fits else None


class _Source:
    """The commits of a store by number. Runs are rebuilt when one of them is asked for."""

    def __init__(self, journal: Journal, cold: Cold, saved: Saved) -> None:
        """Find out which numbers there are. Raises: AssertionError if they have gaps."""
        self._journal = journal
        self._alone = {rows.number_of(key): value for key, value in saved.commits}
        self._runs: dict[int, tuple[tuple[int, ...], bytes]] = {}
        self._of: dict[int, int] = {}
        self._rebuilt: dict[int, tuple[Commit, Opened]] = {}
        for key, value in saved.runs:
            first = rows.number_of(key)
            numbers, data = rows.decode_run(value)
            cold.note(numbers, self._alone)
            self._runs[first] = numbers, data
            self._of.update(dict.fromkeys(numbers, first))
        self.count = len(self._alone) + sum(each not in self._alone for each in self._of)
        last = max((*self._alone, *self._of), default=0)
        assert last == self.count, "the commits of a store are without gaps"

    def may_be(self, number: int, identifier: CommitId) -> bool:
        """Tell whether a commit has this id, as far as that is seen at a glance."""
        value = self._alone.get(number)
        return value is None or self._journal.name(rows.decode_commit(value)) == identifier

    def examine(self, number: int) -> Checked:
        """Return a commit for insertion, when all before it have been inserted."""
        value = self._alone.get(number)
        if value is not None:
            checked = self._journal.examine(rows.decode_commit(value), trusted=True)
        else:
            if number not in self._rebuilt:
                numbers, data = self._runs[self._of[number]]
                inside = reopen_run(self._journal, data)
                self._rebuilt.update(zip(numbers, inside, strict=True))
            checked = _reread(self._journal, *self._rebuilt.pop(number))
        assert isinstance(checked, Checked), f"a stored commit is refused: {checked}"
        return checked


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
