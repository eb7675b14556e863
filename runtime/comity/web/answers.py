"""Answers in JSON, and requests in it, as every page speaks them.

Owns: the shapes. May not know: what is asked.

    200 {"value": ...}
    400 {"error": {"kind": "usage", "text": ...}}      the request is wrong, and how to mend it
    409 {"error": {"kind": "raised", "type", "text"}}  a message raised; its writes are gone
    503 {"error": {"kind": "world", "text", "retry"}}  the environment failed
    event streams: "data: JSON" and an empty line, for each state

Source: the HTML standard, 'Server-sent events' (the format); decision 21.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from starlette.responses import FileResponse, JSONResponse, StreamingResponse
from starlette.routing import Route

from comity.base.errors import UsageError, WorldError
from comity.web.feed import Feed

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

__all__ = ["file", "live", "posted"]

_BODY_BYTES_MAX: Final = 1 << 20
"""A request: five times what one turn may write, so that the turn says that it is too long."""


Carry = Callable[[dict[str, Any]], Awaitable[object]]
"""Carries out a request, the fields of its body, and returns what JSON can say."""


def posted(path: str, carry_out: Carry) -> Route:
    """Return the route of a request; whatever it raises is its answer."""

    async def endpoint(request: Request) -> Response:
        try:
            return JSONResponse({"value": await carry_out(await _fields(request))})
        except Exception as error:  # noqa: BLE001  (methods are the app's: told, not dropped)
            return _refusal(error)

    return Route(path, endpoint, methods=["POST"])


async def _fields(request: Request) -> dict[str, Any]:
    """Return the body of a request, a JSON object. Raises: UsageError if it is none."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _BODY_BYTES_MAX:
            raise UsageError(f"the request is longer than {_BODY_BYTES_MAX} bytes")
    try:
        found: object = json.loads(bytes(body))
    except (ValueError, RecursionError):
        raise UsageError("the request is not JSON") from None
    if not isinstance(found, dict):
        raise UsageError("the request is JSON, and no object")
    return cast("dict[str, Any]", found)


def _refusal(error: Exception) -> JSONResponse:
    told: dict[str, Any] = {"kind": "raised", "type": type(error).__name__, "text": str(error)}
    status = 409
    if isinstance(error, UsageError):
        told, status = {"kind": "usage", "text": str(error)}, 400
    elif isinstance(error, WorldError):
        told, status = {"kind": "world", "text": str(error), "retry": error.retry}, 503
    return JSONResponse({"error": told}, status)


def file(path: str, found: Path) -> Route:
    """Return the route of one file."""

    async def endpoint(_: Request) -> Response:
        return FileResponse(found)

    return Route(path, endpoint)


def live(path: str, feed: Feed) -> Route:
    """Return the route of a stream of states."""

    async def endpoint(_: Request) -> Response:
        return StreamingResponse(_events(feed), media_type="text/event-stream")

    return Route(path, endpoint)


async def _events(feed: Feed) -> AsyncGenerator[str]:
    states = feed.listen()
    try:
        async for state in states:
            yield f"data: {state}\n\n"
    finally:
        await states.aclose()
