"""The past of an actor, read from its rows: the newest turns, or all turns of one version.

Owns: which commits are wanted and the reading of them, `_ROWS_MAX` rows at a time. May not
know: what turns say; fields are folded by whoever asked.
Source: API 'A whole application' (`history`, `at`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final

from comity.actor.fold import FoldCommit
from comity.base.errors import UsageError
from comity.base.ids import CommitId, short
from comity.node.commands import Past
from comity.node.replica import Replica
from comity.node.step import Step
from comity.wire.records import Commit

__all__ = ["read_newest", "read_version"]

_ROWS_MAX: Final = 512
"""Rows of one read: some milliseconds of opening commits."""

Then = Callable[[object, Step], None]


def read_newest(replica: Replica, turns: int, step: Step, then: Then) -> None:
    """Go on with the newest turns, `turns` of them or all that there are. Hidden ones count."""
    replica.beats.seal(step)
    journal = replica.journal
    wanted: list[int] = []
    left = turns
    for commit in reversed(range(len(journal.graph))):
        if left <= 0:
            break
        if journal.turn_count(commit):
            wanted.append(commit)
            left -= journal.turn_count(commit)
    shows = journal.visibility.shows
    hidden = tuple(
        (commit, index)
        for commit in reversed(wanted)
        for index in range(journal.turn_count(commit))
        if not shows((commit, index))
    )
    _Reading(replica, wanted[::-1], hidden, then).begin(step)


def read_version(
    replica: Replica, version: Sequence[CommitId], step: Step, then: Then
) -> UsageError | None:
    """Go on with all turns of a version, and which of them it hides; or say why not.

    version: ids of its newest commits; none means the present one.
    """
    replica.beats.seal(step)
    journal = replica.journal
    graph = journal.graph
    heads: list[int] = []
    for commit in version or graph.heads:
        index = graph.index_of(commit)
        if index is None:
            return UsageError(f"no commit {short(commit)} is here: the version names it")
        heads.append(index)
    hidden = journal.visibility.hidden_in(heads)
    version_commits = graph.difference(before=(), after=heads)
    wanted = [each for each in version_commits if journal.turn_count(each)]
    _Reading(replica, wanted, hidden, then).begin(step)
    return None


class _Reading:
    """One reading under way."""

    __slots__ = ("_commits", "_hidden", "_replica", "_then", "_wanted")

    def __init__(
        self,
        replica: Replica,
        wanted: Sequence[int],
        hidden: tuple[tuple[int, int], ...],
        then: Then,
    ) -> None:
        """Want these commits, ascending."""
        self._replica = replica
        self._wanted = dict.fromkeys(wanted)
        self._hidden = hidden
        self._commits: list[FoldCommit] = []
        self._then = then

    def begin(self, step: Step) -> None:
        """Read once all is on disk."""
        step.when_durable(self._read)

    def _read(self, step: Step) -> None:
        if not self._wanted:
            graph = self._replica.journal.graph
            self._then(Past(graph, tuple(self._commits), self._hidden), step)
            return
        first = next(iter(self._wanted))
        last = [each for each in islice(self._wanted, _ROWS_MAX) if each < first + _ROWS_MAX][
            -1
        ]
        self._replica.cold.read(step, first + 1, last + 1, self._arrived)

    def _arrived(self, step: Step, found: dict[int, Commit]) -> None:
        journal = self._replica.journal
        for number, sealed in found.items():
            commit = number - 1
            if commit in self._wanted:
                del self._wanted[commit]
                turns = journal.turns_of(sealed)
                hidden = journal.visibility.hidden_before(commit)
                self._commits.append(
                    FoldCommit(commit, turns, hidden, journal.visibility.role_in(commit))
                )
        self._read(step)
