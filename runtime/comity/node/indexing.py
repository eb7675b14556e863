"""Indexing: the index of a log is written behind what is durable, and turns are read by it.

Owns: which commits the index covers, when the next piece is written, and the reading of turns.
May not know: what the bytes of a piece are (`node.index`), cells.

    INDEX_PIECE commits beyond the index --nothing came for COLD_WAIT, or COLD_BACKLOG wait-->
    their rows are read --> one row of the index

The genesis is not in it: every opening reads it, and with it the first key.
Source: issue 3 item 5; decision 0026.
"""

from __future__ import annotations

from collections.abc import Callable

from comity.base.clock import Instant, after
from comity.base.ids import CommitId
from comity.base.limits import COLD_BACKLOG, COLD_WAIT, INDEX_PIECE
from comity.log.inner import Inner, decode_inner
from comity.node import rows
from comity.node.cold import Cold
from comity.node.effects import Table
from comity.node.index import Line, Piece, encode_piece, line_of, open_piece
from comity.node.journal import Journal, turns_in
from comity.node.step import Rows, Step
from comity.wire.records import Commit

__all__ = ["Indexing"]

Then = Callable[[Step, dict[int, tuple[bytes, ...]]], None]


class Indexing:
    """The index of one actor's log."""

    __slots__ = ("_busy", "_cold", "_due", "_journal", "_last", "upto")

    def __init__(self, journal: Journal, cold: Cold, upto: int) -> None:
        """Go on behind what the index covers. upto: the number of its last commit, or 1."""
        self._journal = journal
        self._cold = cold
        self._due: Instant | None = None
        self._busy = False
        self._last: tuple[int, tuple[tuple[bytes, ...], ...]] = 0, ()
        self.upto = upto

    @property
    def deadline(self) -> Instant | None:
        """When `tick` is due."""
        return self._due

    def grown(self, count: int, step: Step) -> None:
        """Learn how many commits are durable: wait until no more come."""
        behind = count - self.upto
        if self._busy or behind < INDEX_PIECE:
            return
        if self._due is None or behind < COLD_BACKLOG:
            self._due = after(step.instant, COLD_WAIT)
            step.touch(self._journal.topic)

    def tick(self, count: int, step: Step) -> None:
        """Write a piece if it is time. count: of durable commits."""
        if self._due is None or self._due > step.instant:
            return
        self._due = None
        step.touch(self._journal.topic)
        first = self.upto + 1
        if count - self.upto < INDEX_PIECE:
            return
        self._busy = True

        def arrived(later: Step, found: dict[int, Commit]) -> None:
            self._write(later, first, found)
            self._busy = False
            self.upto += len(found)
            self.grown(count, later)

        self._cold.read(step, first, first + INDEX_PIECE - 1, arrived)

    def read_turns(self, step: Step, first: int, last: int, then: Then) -> None:
        """Read the turns of the commits with these numbers, and go on with them by number."""

        def from_rows(later: Step, found: dict[int, Commit]) -> None:
            turns = {number: self._journal.turns_of(each) for number, each in found.items()}
            then(later, turns)

        if last > self.upto or first < 2:
            self._cold.read(step, first, last, from_rows)
            return
        start = first - (first - 2) % INDEX_PIECE
        topic = self._journal.topic

        def from_index(later: Step, found: Rows) -> None:
            turns: dict[int, tuple[bytes, ...]] = {}
            for key, value in found:
                number = rows.number_of(key)
                turns.update(enumerate(self._turns(number, value), start=number))
            chosen = {each: turns[each] for each in range(first, last + 1) if each in turns}
            if len(chosen) <= last - first:
                self._cold.read(later, first, last, from_rows)
            else:
                then(later, chosen)

        keys = rows.commit_key(topic, start), rows.commit_key(topic, last + 1)
        step.read(Table.INDEX, keys, (last - start) // INDEX_PIECE + 1, from_index)

    def _turns(self, first: int, row: bytes) -> tuple[tuple[bytes, ...], ...]:
        """Return the turns of a piece; the last one is remembered, for spans end within it."""
        if self._last[0] != first:
            piece = open_piece(self._journal, first, row, INDEX_PIECE)
            self._last = first, () if piece is None else piece.turns
        return self._last[1]

    def _write(self, step: Step, first: int, found: dict[int, Commit]) -> None:
        journal = self._journal
        graph = journal.graph
        ids: list[CommitId] = []
        lines: list[Line | None] = []
        turns: list[tuple[bytes, ...]] = []
        for number, commit in found.items():
            opened = journal.reopen(commit)
            inner = decode_inner(opened.plain, graph.facts)
            assert isinstance(inner, Inner)
            epoch = None if opened.epoch is None else graph.index_of(opened.epoch)
            ids.append(opened.id)
            lines.append(line_of(journal, number - 1, inner, epoch))
            turns.append(turns_in(inner))
        piece = Piece(graph.id_of(first - 2), tuple(ids), tuple(lines), tuple(turns))
        row = encode_piece(journal, first, self._newest_epoch(first), piece)
        self._last = 0, ()
        step.put(Table.INDEX, rows.commit_key(journal.topic, first), row)

    def _newest_epoch(self, first: int) -> CommitId:
        """Return the newest epoch before a number: who opens the piece has its key by then."""
        graph = self._journal.graph
        held = [graph.index_of(epoch) for epoch, _ in self._journal.epochs.held]
        return graph.id_of(max(each for each in held if each is not None and each < first - 1))
