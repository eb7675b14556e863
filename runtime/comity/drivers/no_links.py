"""Links for a node that only looks at its store: it calls nobody and nobody can call it.

Owns: nothing; every call ends before it began. May not know: gRPC.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from comity.node.events import LinkDown

if TYPE_CHECKING:
    from collections.abc import Callable

    from comity.base.ids import LinkId

__all__ = ["NoLinks"]


class NoLinks:
    """Implements `drivers.host.LinkDriver`."""

    __slots__ = ("_emit",)

    def __init__(self, emit: Callable[[LinkDown], None]) -> None:
        """Tell the core through `emit` that what it dials is down."""
        self._emit = emit

    def dial(self, link: LinkId, address: str) -> None:
        """Say that the link is down."""
        del address
        self._emit(LinkDown(link, "this node only looks at its store"))

    def send(self, link: LinkId, frame: bytes) -> None:
        """Send nothing: no link is up."""

    def await_room(self, link: LinkId) -> None:
        """Wait for nothing: no link is up."""

    def hangup(self, link: LinkId, why: str) -> None:
        """End nothing: no link is up."""

    def pause(self) -> None:
        """Read nothing, as ever."""

    def resume(self) -> None:
        """Read nothing, as ever."""
