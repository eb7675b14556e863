"""The gate before every page: who may ask, and what a browser may do with the answer.

Owns: the checks of each request and the headers of each answer. May not know: pages, nodes.

    name in `Host` is not loopback's   421  a foreign name that resolves to us (DNS rebinding)
    `Origin` or `Sec-Fetch-Site` says another site asks                    403
    below /comity/ without the token                                       401
    else                                                        the app behind the gate

The token is in no cookie: cookies of 127.0.0.1 go to every port, so to every program of this
machine, and go along unasked. It comes in the fragment of the first address, which no browser
sends anywhere, is kept by the page for its own origin, port included, and is said in a header
that another site's page cannot set.
Source: decision 21; the Fetch standard (`Origin`, `Sec-Fetch-Site`); RFC 9110, 7.4 (421).
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["GUARDED", "TOKEN_BYTES", "Gate"]

TOKEN_BYTES: Final = 32
"""Nobody guesses 256 bits; half would do."""

GUARDED: Final = "/comity/"
"""Requests below it act on the node; above it are files that hold nothing secret."""

_POLICY: Final = (
    b"default-src 'self'; img-src 'self' data: blob:; object-src 'none'; "
    b"base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""Pages load nothing from elsewhere, run no script that stands in HTML, and send nowhere."""

_HEADERS: Final = (
    (b"content-security-policy", _POLICY),
    (b"cache-control", b"no-store"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)


class Gate:
    """Stands before an ASGI app and lets through what the owner's own browser asks."""

    __slots__ = ("_app", "_hosts", "_token")

    def __init__(self, app: ASGIApp, *, token: str, port: int) -> None:
        """Guard `app`, which is reached at this port of loopback."""
        self._app = app
        self._token = token.encode("ascii")
        self._hosts = tuple(f"{name}:{port}".encode() for name in ("127.0.0.1", "localhost"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it with the reason as a text."""
        if scope["type"] != "http":
            return  # no websockets, no lifespan: nothing of ours speaks them

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        refusal = self.refuse(scope["path"], scope["headers"])
        if refusal is None:
            await self._app(scope, receive, send_guarded)
            return
        status, why = refusal
        headers = [(b"content-type", b"text/plain; charset=utf-8")]
        await send_guarded(
            {"type": "http.response.start", "status": status, "headers": headers}
        )
        await send_guarded({"type": "http.response.body", "body": why.encode()})

    def refuse(self, path: str, headers: list[tuple[bytes, bytes]]) -> tuple[int, str] | None:
        """Return status and reason if a request is not to be let through.

        headers: names in lower case. One that is there twice counts as wrong.
        """
        hosts = [value for name, value in headers if name == b"host"]
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            return 421, "this page is at 127.0.0.1 and no other name"
        origins = [value for name, value in headers if name == b"origin"]
        if any(origin != b"http://" + hosts[0] for origin in origins):
            return 403, "another site's page may not ask here"
        sites = [value for name, value in headers if name == b"sec-fetch-site"]
        if path.startswith(GUARDED) and any(site != b"same-origin" for site in sites):
            return 403, "another site's page may not ask here"
        if path.startswith(GUARDED) and not self._has_token(headers):
            return 401, "the token is missing or of another run: open the link printed last"
        return None

    def _has_token(self, headers: list[tuple[bytes, bytes]]) -> bool:
        said = [value for name, value in headers if name == b"authorization"]
        if len(said) != 1:
            return False
        return secrets.compare_digest(said[0], b"Bearer " + self._token)
