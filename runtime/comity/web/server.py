"""The server of a page: one socket on loopback, one thread, one token.

Owns: the socket, the thread, the token, and the address that holds it. May not know: what is
served.

    made: the port is taken -> serving -> `close`: listeners are let go, the thread ends

Source: decision 21.
"""

from __future__ import annotations

import secrets
import socket
import threading
from typing import TYPE_CHECKING, Final, Self

import uvicorn

from comity.base.errors import LinkError
from comity.web.gate import TOKEN_BYTES, Gate

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from starlette.types import ASGIApp

__all__ = ["Server"]

_LOOPBACK: Final = "127.0.0.1"
_STOP_SECONDS: Final = 2
"""Requests that are under way have as long to end."""


class Server:
    """Serves one app behind a `Gate`, from its own thread. A context manager.

    Raises: LinkError if the port is taken.
    """

    __slots__ = ("_on_close", "_server", "_thread", "port", "token")

    def __init__(
        self, app: ASGIApp, *, port: int = 0, on_close: Callable[[], None] | None = None
    ) -> None:
        """Take the port, 0 for a free one, and serve. on_close: ends what streams."""
        taken = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind((_LOOPBACK, port))
            taken.listen(64)
        except (OSError, OverflowError) as error:
            taken.close()
            raise LinkError(
                f"a page cannot be served at {_LOOPBACK}:{port}: {error}", retry=True
            ) from error
        self.port: int = taken.getsockname()[1]
        self.token = secrets.token_urlsafe(TOKEN_BYTES)
        self._on_close = on_close
        self._server = uvicorn.Server(
            uvicorn.Config(
                Gate(app, token=self.token, port=self.port),
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                ws="none",
                timeout_graceful_shutdown=_STOP_SECONDS,
            )
        )
        self._thread = threading.Thread(
            target=self._serve, args=(taken,), name="comity-page", daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """The address to open: whoever has it may do what the page may."""
        return f"http://{_LOOPBACK}:{self.port}/#{self.token}"

    def close(self) -> None:
        """Stop serving; safe to repeat."""
        self._server.should_exit = True
        if self._on_close is not None:
            self._on_close()
        self._thread.join(2 * _STOP_SECONDS)

    def __enter__(self) -> Self:
        """Return the server itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the server."""
        self.close()

    def _serve(self, taken: socket.socket) -> None:
        with taken:
            self._server.run(sockets=[taken])
