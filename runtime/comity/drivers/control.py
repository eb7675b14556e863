"""Commands to a running node: JSON lines over a Unix socket in the store directory.

Owns: the socket file, its framing and who may connect. May not know: what commands mean.

    request  = one JSON object in one line, at most `LINE_BYTES_MAX` with its newline
    response = {"ok": {...}} or {"error": text, "kind": "usage" | "world" | "internal",
               "retry": bool} in one line; a connection takes any number of requests in turn

The socket is 0600 in a 0700 directory, and the kernel's word on the peer's user id is
checked besides (SO_PEERCRED, unix(7)). A socket file that a crash left behind is replaced
only by the process that holds the store lock: nobody else can know that it is stale.
Bounds: `CONNECTIONS_MAX` at once, further ones are told so and closed; a line that is too
long is answered and closes the connection; one that is silent for `IDLE_SECONDS` is closed.
Source: ARCHITECTURE 'Who owns what' (commands talk to a running node).
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import selectors
import socket
import struct
import sys
import threading
from typing import TYPE_CHECKING, Any, Final, cast

from comity.base.clock import SECOND, Duration
from comity.base.errors import (
    ComityError,
    DeadlineError,
    LinkError,
    UsageError,
    WorldError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from comity.drivers.store import Held

__all__ = ["CONNECTIONS_MAX", "LINE_BYTES_MAX", "ControlServer", "control_call"]

LINE_BYTES_MAX: Final = 1024 * 1024
"""A request or a response: room for a long history in one answer, none for an attachment."""

CONNECTIONS_MAX: Final = 16
"""Commands at one time, a thread each: a person has two or three terminals open."""

IDLE_SECONDS: Final = 60.0
"""A connection that says nothing for so long is closed: it holds one of few places."""

_PATH_BYTES_MAX: Final = 107
"""Room for a path in sockaddr_un on Linux, 108 bytes with its NUL; see unix(7)."""

_CLOSE_SECONDS: Final = 5.0
"""How long closing waits for commands that are being carried out."""

_log = logging.getLogger("comity.control")


class ControlServer:
    """Listens at a path from construction until `close`, in threads of its own."""

    __slots__ = ("_closing", "_handle", "_held", "_listener", "_lock", "_running", "_thread",
                 "_waker", "_woken", "path")  # fmt: skip

    def __init__(
        self, path: Path, handle: Callable[[dict[str, Any]], dict[str, Any]], held: Held
    ) -> None:
        """Bind the socket and start to answer with what `handle` returns for a request.

        `handle` runs in several threads at once. Its `UsageError` and `WorldError` reach the
        caller as they are; any other exception is logged here, and there called internal.

        Raises: `UsageError` for a path that is too long where that cannot be helped;
        `LinkError` if the socket cannot be bound.
        """
        assert held.held, "a stale socket is known as stale only under the store lock"
        self.path = path
        self._handle = handle
        self._held = held
        self._lock = threading.Lock()
        self._closing = False
        self._running: dict[threading.Thread, socket.socket] = {}
        self._listener = _listen(path)
        self._woken, self._waker = socket.socketpair()
        self._thread = threading.Thread(target=self._accept, name="comity-control", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening, end what is idle, wait up to 5 s for the rest; safe to repeat."""
        with self._lock:
            if self._closing:
                return
            self._closing = True
            running = dict(self._running)
        self._waker.send(b"\0")
        self._thread.join()
        for connection in running.values():
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RD)  # wakes a reader, lets an answer out
        for thread in running:
            thread.join(_CLOSE_SECONDS)
        for end in (self._listener, self._woken, self._waker):
            end.close()
        if self._held.held:  # otherwise the file may be the next owner's
            self.path.unlink(missing_ok=True)

    def _accept(self) -> None:
        """Give every connection a thread, until `close`."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while True:
                ready = [key.fileobj for key, _ in selector.select()]
                if self._woken in ready:
                    return
                try:
                    connection, _ = self._listener.accept()
                except OSError as error:  # the peer left, or no descriptor is free
                    _log.warning("a command could not connect: %s", error)
                    continue
                self._admit(connection)

    def _admit(self, connection: socket.socket) -> None:
        """Start to serve a connection, or say why not."""
        connection.settimeout(IDLE_SECONDS)
        with self._lock:
            user = _peer_user(connection)
            if user != os.geteuid():
                refusal = f"this node belongs to user {os.geteuid()}, not to you ({user})"
            elif len(self._running) >= CONNECTIONS_MAX:
                refusal = f"{CONNECTIONS_MAX} commands are running: try again later"
            elif self._closing:
                refusal = "the node is stopping: start it again"
            else:
                thread = threading.Thread(
                    target=self._serve, args=(connection,), name="comity-command", daemon=True
                )
                self._running[thread] = connection
                thread.start()
                return
        _log.warning("a command was refused: %s", refusal)
        with connection, contextlib.suppress(OSError):
            connection.settimeout(0)
            connection.sendall(_encode(_error(refusal, "world", retry=True)))

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, contextlib.suppress(OSError):
                for line in _lines(connection):
                    connection.sendall(self._answer(line))
                    if not line.endswith(b"\n"):
                        return
        finally:
            with self._lock:
                del self._running[threading.current_thread()]

    def _answer(self, line: bytes) -> bytes:
        """Return the response line for a request line; never raises."""
        if not line.endswith(b"\n"):
            return _encode(
                _error(f"the request is cut off or over {LINE_BYTES_MAX} bytes", "usage")
            )
        try:
            return _encode({"ok": self._handle(_decode(line))})
        except UsageError as error:
            return _encode(_error(str(error), "usage"))
        except WorldError as error:
            return _encode(_error(str(error), "world", retry=error.retry))
        except ComityError as error:  # the node has stopped, and says why
            return _encode(_error(str(error), "internal"))
        except Exception as error:  # noqa: BLE001  (a bug in a command must not end others)
            _log.exception("a command failed inside the node")
            return _encode(
                _error(
                    f"the command failed inside the node ({type(error).__name__}), which goes "
                    "on; its log has the trace if it runs with `comity --debug run`",
                    "internal",
                )
            )


def control_call(path: Path, request: dict[str, Any], timeout: Duration) -> dict[str, Any]:
    """Send one request to the node whose socket is at `path` and return its response.

    Raises: `LinkError` if no node listens there; `DeadlineError` after `timeout`, when the
    effect is not known; and what the node's handler raised, `UsageError` or `WorldError`.
    """
    line = _encode(request)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout / SECOND)
        try:
            with _reachable(path) as address:
                connection.connect(address)
            user = _peer_user(connection)
            if user != os.geteuid():
                raise UsageError(
                    f"the node at {path} belongs to user {user}: run the command as that user"
                )
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(line)  # whoever refuses us answers before he has read it
            answer = next(_lines(connection), b"")
        except TimeoutError:
            raise DeadlineError(
                f"the node at {path} did not answer within {timeout / SECOND:g} s: "
                f"the command may or may not have taken effect"
            ) from None
        except OSError as error:
            raise LinkError(
                f"no node answers at {path} ({error.strerror}): start it with `comity run`",
                retry=True,
            ) from error
    if not answer.endswith(b"\n"):
        raise LinkError(
            f"the node at {path} hung up in mid-answer: look at its log", retry=True
        )
    return _result(_decode(answer))


def _result(answer: dict[str, Any]) -> dict[str, Any]:
    """Return what the handler returned, or raise what it raised."""
    if isinstance(answer.get("ok"), dict):
        return cast("dict[str, Any]", answer["ok"])
    text = str(answer.get("error", "the node's answer cannot be read"))
    if answer.get("kind") == "usage":
        raise UsageError(text)
    if answer.get("kind") == "world":
        raise WorldError(text, retry=answer.get("retry") is True)
    raise ComityError(text)


def _error(text: str, kind: str, *, retry: bool = False) -> dict[str, Any]:
    return {"error": text, "kind": kind, "retry": retry}


def _encode(value: dict[str, Any]) -> bytes:
    """Write one line. Raises: `UsageError` if it is over the bound or no JSON."""
    try:
        line = json.dumps(value, separators=(",", ":"), allow_nan=False).encode() + b"\n"
    except (TypeError, ValueError) as error:
        raise UsageError(f"a command cannot carry this value: {error}") from error
    if len(line) > LINE_BYTES_MAX:
        raise UsageError(
            f"{len(line)} bytes are over the {LINE_BYTES_MAX} of a command: ask for less"
        )
    return line


def _decode(line: bytes) -> dict[str, Any]:
    """Read one line. Raises: `UsageError` if it is no JSON object."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the line is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise UsageError("the line is not a JSON object")
    return cast("dict[str, Any]", value)


def _lines(connection: socket.socket) -> Iterator[bytes]:
    """Yield lines with their newline; a last one without it was cut off or is too long."""
    buffer = bytearray()
    while True:
        end = buffer.find(b"\n", 0, LINE_BYTES_MAX)
        if end >= 0:
            yield bytes(buffer[: end + 1])
            del buffer[: end + 1]
            continue
        if len(buffer) >= LINE_BYTES_MAX:
            break
        piece = connection.recv(65_536)
        if not piece:
            break
        buffer += piece
    if buffer:
        yield bytes(buffer[:LINE_BYTES_MAX])


def _listen(path: Path) -> socket.socket:
    """Bind a socket of mode 0600, in place of a stale one, and listen."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        os.fchmod(listener.fileno(), 0o600)  # Linux binds with this mode: never open to others
        with _reachable(path) as address:
            listener.bind(address)
        path.chmod(0o600)
        listener.listen(CONNECTIONS_MAX)
    except OSError as error:
        listener.close()
        raise LinkError(
            f"cannot listen for commands at {path}: {error.strerror}; check its directory, "
            f"and that its disk can hold sockets",
            retry=False,
        ) from error
    except BaseException:
        listener.close()
        raise
    return listener


@contextlib.contextmanager
def _reachable(path: Path) -> Generator[str]:
    """Give an address for the socket at `path` that fits, however long the path is."""
    if len(os.fsencode(path)) <= _PATH_BYTES_MAX:
        yield str(path)
        return
    if sys.platform != "linux":
        raise UsageError(
            f"{path} is too long for a socket, {_PATH_BYTES_MAX} bytes: "
            f"name a store directory with a shorter path"
        )
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def _peer_user(connection: socket.socket) -> int:
    """Return the user id of the process at the other end, as the kernel knows it."""
    size = struct.calcsize("3i")
    packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    _, user, _ = struct.unpack("3i", packed)
    return int(user)
