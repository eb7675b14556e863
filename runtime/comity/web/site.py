"""`Site`: the page of one actor, served by its node.

Owns: what the page may ask, and what it is told. May not know: browsers, other actors.

    GET  /, /app.js ...    files of the page's folder
    GET  /comity.js, /comity.css        what every page may use
    GET  /comity/live      a stream of states: fields, members, who this device is
    POST /comity/call      {"method": m, "arguments": [...]}: one message, its reply
    POST /comity/invite    {"role": r}: a link for one device, and its QR code
    POST /comity/past      {"do": "history" | "at" | "undo" | "redo" | "restore", "turn": t}

    with Site(node, todo, PAGE) as site:
        print(site.url)

Source: decision 21; API 'Capabilities' (the callee checks against an allow-list).
"""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, cast

import segno
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from comity.actor.actor import Actor
from comity.api.arguments import arguments_from_json
from comity.api.node import Node
from comity.api.ref import Ref
from comity.api.text import plain
from comity.base.errors import DeadlineError, UsageError
from comity.web import answers
from comity.web.feed import Feed
from comity.web.page import Page
from comity.web.past import Past
from comity.web.server import Server

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["SHARED", "STATIC", "Site", "qr_svg"]

A = TypeVar("A", bound=Actor)

STATIC: Final = Path(__file__).with_name("static")
SHARED: Final = ("comity.js", "comity.css")
"""The files there that every page may use."""

_CALL_SECONDS: Final = 30.0
"""A message that takes longer goes on; its page is told that the effect is not known."""


_STOP_SECONDS: Final = 2.0


def qr_svg(text: str) -> str:
    """Return a QR code as an SVG, black on white in every colour scheme."""
    code = segno.make(text, error="m")
    return code.svg_inline(scale=4, border=4, light="#fff", dark="#000", omitsize=True)


class Site:
    """The page of one actor, from now until `close`. A context manager.

    page: its calls must be messages of the actor.
    port: of 127.0.0.1; 0 is a free one.

    Raises: UsageError for a page that does not fit; LinkError if the port is taken.
    """

    __slots__ = (
        "_calls", "_changes", "_feed", "_node", "_past", "_ref", "_server", "_shares", "_watch",
    )  # fmt: skip

    def __init__(self, node: Node, ref: Ref[A], page: Page, *, port: int = 0) -> None:
        """Begin to serve."""
        self._node = node
        self._ref: Ref[Any] = ref
        self._calls = page.selectors(ref.actor_type)
        self._shares = page.shares
        self._past = Past(ref) if page.past else None
        self._feed = Feed(self._look)
        routes = [
            answers.live("/comity/live", self._feed),
            answers.posted("/comity/call", self._call),
            answers.posted("/comity/invite", self._invite),
            answers.posted("/comity/past", self._look_back),
            *(answers.file(f"/{name}", STATIC / name) for name in SHARED),
            Mount("/", StaticFiles(directory=page.folder, html=True)),
        ]
        self._server = Server(Starlette(routes=routes), port=port, on_close=self._feed.close)
        self._changes = ref.changes()
        self._watch = threading.Thread(target=self._listen, name="comity-changes", daemon=True)
        self._watch.start()

    @property
    def url(self) -> str:
        """The address to open in a browser: whoever has it may do what the page may."""
        return self._server.url

    def close(self) -> None:
        """Stop serving; safe to repeat."""
        self._changes.close()
        self._server.close()
        self._watch.join(_STOP_SECONDS)

    def __enter__(self) -> Self:
        """Return the site itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the site."""
        self.close()

    def __repr__(self) -> str:
        """Show whose page it is; the token is a secret."""
        return f"<Site of {self._ref!r} at port {self._server.port}>"

    def _listen(self) -> None:
        """Look again whenever a field changes, from here or elsewhere; ends with the site."""
        for _ in self._changes:
            self._feed.poke()

    def _look(self) -> dict[str, Any]:
        """Return what the page is told: called in a thread, may wait."""
        status = self._node.status()
        members = self._ref.members()
        own = [each.role.name.lower() for each in members if each.device == status.device]
        return {
            "actor": self._ref.topic.hex(),
            "type": self._ref.actor_type.name,
            "me": status.device.hex(),
            "role": own[0] if own else None,
            "version": [
                head.hex()
                for each in status.topics
                if each.topic == self._ref.topic
                for head in each.heads
            ],
            "links": sum(peer is not None for peer, _ in status.links),
            "members": [
                {
                    "device": each.device.hex(),
                    "role": each.role.name.lower(),
                    "online": each.online,
                }
                for each in members
            ],
            "state": {name: plain(each) for name, each in self._ref.snapshot().items()},
        }

    async def _call(self, asked: dict[str, Any]) -> object:
        reply = await self._send(asked.get("method"), asked.get("arguments", []))
        self._feed.poke()
        return plain(reply)

    async def _send(self, method: object, found: object) -> object:
        selector = self._calls.get(method) if isinstance(method, str) else None
        if selector is None:
            listed = ", ".join(sorted(self._calls)) or "none at all"
            raise UsageError(f"this page may not send {method!r}; it may send: {listed}")
        if not isinstance(found, list):
            raise UsageError(f"'arguments' is {found!r}: give a list")
        actor_type = self._ref.actor_type
        values = arguments_from_json(actor_type, selector.__name__, cast("list[object]", found))
        message = actor_type.message(selector, values, {})
        reply = self._node.deliver(self._ref.topic, message)

        async def wait() -> object:
            return await reply

        try:
            return await asyncio.wait_for(wait(), _CALL_SECONDS)
        except TimeoutError as error:
            if reply.done():
                raise  # it is what the message raised
            raise DeadlineError(
                f"{method} has not ended in {_CALL_SECONDS:g} seconds: whether it takes effect "
                "is not known"
            ) from error

    async def _look_back(self, asked: dict[str, Any]) -> object:
        if self._past is None:
            raise UsageError("this page has no past: its Page says past=False")
        found = await asyncio.to_thread(self._past.answer, asked)
        self._feed.poke()
        return found

    async def _invite(self, asked: dict[str, Any]) -> object:
        if not self._shares:
            raise UsageError("this page may not invite: its Page says shares=False")
        link = await asyncio.to_thread(self._ref.invite, str(asked.get("role", "writer")))
        return {"link": link, "qr": qr_svg(link)}
