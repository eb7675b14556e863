"""Packing: single commits that have become cold are turned into runs, a piece at a time.

Owns: what counts as cold, when a piece is packed, and the one transaction that does it. May
not know: how runs are read or served (`node.cold`), links.

    more than COLD_TAIL + COLD_PIECE commits beyond what was packed
      --nothing came for COLD_WAIT, or COLD_BACKLOG wait--> the oldest COLD_PIECE are read
      --> cut by author and key; each stretch of RUN_COMMITS_MIN or more: one Put of the run
          and a Drop of every commit in it, in the same transaction

A commit in a run has no signature of its own any more: this device can make its own again, of
others it can serve the run only, and never a part of it. So a relay that is new to a topic is
given the cold commits of this device by this device, and of others by them.
Source: PROTOCOL section 2 'Runs'; decision 0025.
"""

from __future__ import annotations

from typing import Final

from comity.base.clock import Instant, after
from comity.base.ids import CommitId, DeviceId
from comity.base.limits import COLD_BACKLOG, COLD_PIECE, COLD_TAIL, COLD_WAIT
from comity.log.runs import Member, cut, make_run
from comity.log.seal import ContentKey
from comity.node import rows
from comity.node.cold import Cold
from comity.node.effects import Table
from comity.node.journal import Journal
from comity.node.step import Step
from comity.wire.records import Commit

__all__ = ["RUN_COMMITS_MIN", "Packing"]

RUN_COMMITS_MIN: Final = 4
"""Commits of the shortest run that is made: it saves a third of their bytes; one of two saves
less than the row that names it."""


class Packing:
    """The packing of one actor's cold history."""

    __slots__ = ("_busy", "_cold", "_due", "_journal", "_upto")

    def __init__(self, journal: Journal, cold: Cold) -> None:
        """Go on behind the newest run."""
        self._journal = journal
        self._cold = cold
        self._upto = cold.upto
        self._due: Instant | None = None
        self._busy = False

    @property
    def deadline(self) -> Instant | None:
        """When `tick` is due."""
        return self._due

    def grown(self, count: int, step: Step) -> None:
        """Learn how many commits are durable: wait until no more come."""
        self._upto = max(self._upto, self._cold.upto)
        behind = count - self._upto
        if self._busy or behind < COLD_TAIL + COLD_PIECE:
            return
        if self._due is None or behind < COLD_BACKLOG:
            self._due = after(step.instant, COLD_WAIT)
            step.touch(self._journal.topic)

    def tick(self, count: int, step: Step) -> None:
        """Pack a piece if it is time. count: of durable commits."""
        if self._due is None or self._due > step.instant:
            return
        self._due = None
        step.touch(self._journal.topic)
        first = self._upto + 1
        last = self._upto + COLD_PIECE
        if count - self._upto < COLD_TAIL + COLD_PIECE:
            return
        self._busy = True

        def arrived(later: Step, found: dict[int, Commit]) -> None:
            self._pack(later, found)
            self._busy = False
            self._upto = max(last, self._cold.upto)
            self.grown(count, later)

        self._cold.read(step, first, last, arrived)

    def single(self, number: int, commit: Commit) -> Commit | None:
        """Return a commit with its own signature; None if only a run vouches for it.

        number: of arrival. This device signs its own commits again, with the same bytes.
        """
        journal = self._journal
        index = number - 1
        if commit.beside:
            return commit
        if journal.graph.author_of(index) != journal.device:
            return None
        return Commit(commit.sealed, journal.sign_again(commit))

    def _pack(self, step: Step, found: dict[int, Commit]) -> None:
        """Put runs in the place of the commits that fit in some."""
        journal, topic = self._journal, self._journal.topic
        stretches: dict[tuple[DeviceId, CommitId], list[Member]] = {}
        keys: dict[CommitId, ContentKey] = {}
        numbers: dict[CommitId, int] = {}
        for number, commit in found.items():
            if self._cold.run_of(number):
                continue
            opened = journal.reopen(commit)
            if opened.epoch is None:
                continue
            author = journal.graph.author_of(number - 1)
            keys[opened.epoch] = opened.key
            numbers[opened.id] = number
            stretch = stretches.setdefault((author, opened.epoch), [])
            stretch.append(Member(opened.id, commit.sealed, opened.plain))
        for (_, epoch), stretch in stretches.items():
            for piece in cut(stretch):
                if len(piece) < RUN_COMMITS_MIN:
                    continue
                at = tuple([numbers[member.id] for member in piece])
                run = make_run(journal.crypto, keys[epoch], piece, found[at[-1]].beside)
                step.put(Table.RUN, rows.run_key(topic, at[0]), rows.encode_run(at, run))
                for number in at:
                    step.drop(Table.COMMIT, rows.commit_key(topic, number))
                self._cold.note(at)
