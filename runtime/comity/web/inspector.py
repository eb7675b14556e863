"""`Inspector`: a page that shows all of a node, and lets its owner act on it.

Owns: what the page may ask. May not know: whether the node runs in this process; it speaks
the requests of the control socket (`api.control`, `api.inspection`), as every command does.

    GET  /, /inspect.js ...   the page
    GET  /comity/live         a stream of the node's status
    POST /comity/ask          one request of `ALLOWED`; an invite comes with its QR code

Source: issue 8, item 2; decision 22.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Self

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from comity.base.errors import UsageError
from comity.web import answers
from comity.web.feed import Feed
from comity.web.server import Server
from comity.web.site import SHARED, STATIC, qr_svg

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["ALLOWED", "Inspector"]

ALLOWED: Final = frozenset(
    {"adopt", "at", "dead_letters", "describe", "edit", "history", "invite", "log", "members"}
    | {"message", "redo", "remove", "restore", "snapshot", "undo", "why"}
)
"""What the page may ask: to look, to act as the owner; not to join, nor to stop the node."""

_ACTS: Final = frozenset({"adopt", "edit", "message", "redo", "remove", "restore", "undo"})
"""What changes something, so that the page is told at once."""

Ask = Callable[[dict[str, Any]], dict[str, Any]]


class Inspector:
    """The page of a node, from now until `close`. A context manager.

    ask: sends a request to the node and returns its answer; called from several threads.

    Raises: LinkError if the port is taken.
    """

    __slots__ = ("_ask", "_feed", "_server")

    def __init__(self, ask: Ask, *, port: int = 0) -> None:
        """Begin to serve, at a port of 127.0.0.1; 0 is a free one."""
        self._ask = ask
        self._feed = Feed(lambda: ask({"do": "status"}))
        routes = [
            answers.live("/comity/live", self._feed),
            answers.posted("/comity/ask", self._answer),
            *(answers.file(f"/{name}", STATIC / name) for name in SHARED),
            Mount("/", StaticFiles(directory=STATIC / "inspect", html=True)),
        ]
        self._server = Server(Starlette(routes=routes), port=port, on_close=self._feed.close)

    @property
    def url(self) -> str:
        """The address to open: whoever has it acts as the owner of the node."""
        return self._server.url

    def close(self) -> None:
        """Stop serving; safe to repeat."""
        self._server.close()

    def __enter__(self) -> Self:
        """Return the inspector itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the inspector."""
        self.close()

    async def _answer(self, asked: dict[str, Any]) -> object:
        what = asked.get("do")
        if not isinstance(what, str) or what not in ALLOWED:
            raise UsageError(f"the page may not ask {what!r}; it may: {sorted(ALLOWED)}")
        found = await asyncio.to_thread(self._ask, asked)
        if what == "invite":
            found = {**found, "qr": qr_svg(found["link"])}
        if what in _ACTS:
            self._feed.poke()
        return found
