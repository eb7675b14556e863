"""A draft: turns of this device that are durable, or will be, and not sealed yet.

Owns: the value. May not know: when it is sealed (`beats`), its bytes on disk (`rows`).
Source: decision 6, PROTOCOL section 2 'Beats and drafts'.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from comity.base.clock import Wall
from comity.base.ids import CommitId
from comity.base.limits import DRAFT_BYTES_MAX, DRAFT_TURNS_MAX
from comity.log.entries import Role

__all__ = ["Draft"]


@dataclass(slots=True)
class Draft:
    """The turns of the open beat, as they will be sealed.

    first, serial: of the first and the last turn, or 0 if no living cell ran it. keys: of rows.
    role: that under which the cell ran them, None if none did.
    """

    parents: tuple[CommitId, ...]
    wall: Wall
    first: int
    role: Role | None = None
    turns: list[bytes] = field(default_factory=list)
    keys: list[bytes] = field(default_factory=list)
    size: int = 0
    serial: int = 0
    durable: bool = False

    @property
    def full(self) -> bool:
        """Whether no turn has room in it."""
        return len(self.turns) >= DRAFT_TURNS_MAX or self.size >= DRAFT_BYTES_MAX
