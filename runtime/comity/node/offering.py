"""Offers: what a cell is given of the log, and what becomes true when it has applied that.

Owns: the gathering of commits for one fold. May not know: drafts, phases, what is under way
(`node.beats`).
Source: ARCHITECTURE 'Who owns what'.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, unique

from comity.actor.fold import FoldCommit
from comity.authority.undos import Place
from comity.authority.visibility import WHOLE
from comity.node.journal import Journal

__all__ = ["Hold", "Offer", "gathered"]


@unique
class Hold(Enum):
    """Whether the cell waits because something is being decided."""

    NONE = 0
    KEPT = 1
    OVER = 2


@dataclass(frozen=True, slots=True)
class Offer:
    """A fold under way: what becomes true when the cell has applied it.

    freeze: the cell answers with its state, to be stored.
    """

    fed: int
    flips: dict[Place, bool]
    restood: bool
    bound: int
    last: bool
    hold: bool
    freeze: bool


def gathered(
    journal: Journal,
    commits: Sequence[int],
    own: Container[int],
    recent: Mapping[int, tuple[bytes, ...]],
) -> tuple[list[FoldCommit], list[Place]] | int:
    """Return commits for a fold, and what of them is hidden now, as flips say it.

    Or the first one whose turns are not at hand. own: those that the cell made itself.
    recent: the turns of commits that are at hand.
    """
    found: list[FoldCommit] = []
    hide: list[Place] = []
    visibility = journal.visibility
    for commit in commits:
        if commit in own:
            continue
        turns = recent.get(commit)
        if turns is None:
            return commit
        hidden = visibility.hidden_before(commit)
        found.append(FoldCommit(commit, turns, hidden, visibility.role_in(commit)))
        places = [(commit, index) for index in range(len(turns))]
        hide += [place for place in places if not visibility.shows(place)]
        if not journal.effective(commit):
            hide.append((commit, WHOLE))
    return found, hide
