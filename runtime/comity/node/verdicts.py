r"""What becomes of a commit on its way into a journal: plain values.

Owns: the vocabulary between `node.journal`, which decides, and those who bring it commits or
hear of them. May not know: how anything is decided.

    sealed bytes --open--> Opened --decode--> Ahead --examine--> Checked --insert--> Inserted
                 \-- Missing: a parent or a key is not here yet
Source: PROTOCOL section 2 'Acceptance'.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from comity.authority.claim import Change, Claim
from comity.authority.visibility import Flip
from comity.base.ids import CommitId
from comity.base.values import made_fast
from comity.log.inner import Inner
from comity.log.seal import ContentKey
from comity.log.sealed import Sealed
from comity.wire.records import Commit

__all__ = ["Ahead", "Checked", "Inserted", "Missing", "Opened"]


@made_fast
@dataclass(frozen=True, slots=True)
class Opened:
    """A commit whose seal is off. plain: its encoded inner. epoch: None if it makes one."""

    id: CommitId
    sealed: Sealed
    plain: bytes = field(repr=False)
    key: ContentKey
    epoch: CommitId | None


@made_fast
@dataclass(frozen=True, slots=True)
class Ahead:
    """A commit that was read before its turn, while those it builds on were on their way.

    Ids are hashes, so what it says is the same when its turn comes.
    """

    opened: Opened
    inner: Inner


@dataclass(frozen=True, slots=True)
class Missing:
    """A commit that cannot be checked yet. parents: not known here; none if it is the key."""

    id: CommitId
    parents: tuple[CommitId, ...]
    epoch: bytes


@made_fast
@dataclass(frozen=True, slots=True)
class Checked:
    """A commit that may be inserted."""

    id: CommitId
    commit: Commit
    sealed: Sealed
    inner: Inner
    claim: Claim | None
    key: ContentKey


@made_fast
@dataclass(frozen=True, slots=True)
class Inserted:
    """A commit that has become part of the log. index: its number in the graph.

    flips: earlier turns that are visible now and were not, or the other way round.
    opens: epochs whose keys it may have brought; what waits for them can be tried again.
    """

    index: int
    id: CommitId
    commit: Commit
    turns: tuple[bytes, ...]
    change: Change
    flips: tuple[Flip, ...]
    opens: tuple[CommitId, ...]
