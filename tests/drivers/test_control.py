"""Commands over the Unix socket: framing, bounds, whose errors arrive as what, who may."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from comity.base.clock import MILLISECOND, SECOND, Duration
from comity.base.errors import ComityError, DeadlineError, LinkError, UsageError, WorldError
from comity.drivers.control import (
    CONNECTIONS_MAX,
    LINE_BYTES_MAX,
    ControlServer,
    control_call,
)
from comity.drivers.lock import StoreLock
from comity.drivers.store import CONTROL_FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

TIMEOUT = Duration(20 * SECOND)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Handle a request as it asks to be handled."""
    match request.get("do"):
        case "usage":
            raise UsageError("no such actor 'x': name one of []")
        case "world":
            raise WorldError("disk full", retry=True)
        case "bug":
            raise ZeroDivisionError("private detail")
        case "large":
            return {"text": "x" * LINE_BYTES_MAX}
        case "unjson":
            return {"value": object()}
        case _:
            return {"echo": request}


@contextmanager
def serving(
    directory: Path, handle: Callable[[dict[str, Any]], dict[str, Any]] = answer
) -> Generator[Path]:
    """Run a server in a store directory that this process has locked."""
    with StoreLock(directory) as lock:
        path = lock.directory / CONTROL_FILE
        server = ControlServer(path, handle, lock)
        try:
            yield path
        finally:
            server.close()
            server.close()
    assert not path.exists()


def converse(path: Path, data: bytes) -> list[bytes]:
    """Send bytes, end the sending side, return the lines that come back."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(str(path))
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        received = bytearray()
        while piece := connection.recv(65_536):
            received += piece
    return bytes(received).splitlines()


def test_a_request_is_answered(tmp_path: Path) -> None:
    """Any JSON object goes there and back, non-ASCII and nested."""
    with serving(tmp_path) as path:
        request = {"do": "echo", "text": "grüße\n\0", "list": [1, None, {"a": 1.5}]}
        assert control_call(path, request, TIMEOUT) == {"echo": request}
        assert path.stat().st_mode & 0o777 == 0o600


def test_errors_arrive_as_the_kind_that_they_are(tmp_path: Path) -> None:
    """Usage and world errors keep kind, text and retry; a bug shows no detail."""
    with serving(tmp_path) as path:
        with pytest.raises(UsageError, match="no such actor 'x': name one of"):
            control_call(path, {"do": "usage"}, TIMEOUT)
        with pytest.raises(WorldError, match="disk full") as world:
            control_call(path, {"do": "world"}, TIMEOUT)
        assert world.value.retry
        with pytest.raises(ComityError, match="its log has the trace") as bug:
            control_call(path, {"do": "bug"}, TIMEOUT)
        assert "private" not in str(bug.value)
        with pytest.raises(UsageError, match="ask for less"):
            control_call(path, {"do": "large"}, TIMEOUT)
        with pytest.raises(UsageError, match="cannot carry this value"):
            control_call(path, {"do": "unjson"}, TIMEOUT)
        assert control_call(path, {}, TIMEOUT) == {"echo": {}}


def test_a_connection_takes_many_requests_however_they_are_cut(tmp_path: Path) -> None:
    """Lines sent at once or byte by byte are answered in order."""
    lines = b"".join(b'{"n":%d}\n' % number for number in range(20))
    wanted = [{"ok": {"echo": {"n": number}}} for number in range(20)]
    with serving(tmp_path) as path:
        assert [json.loads(line) for line in converse(path, lines)] == wanted
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(20)
            connection.connect(str(path))
            for index in range(len(lines)):
                connection.send(lines[index : index + 1])
            with connection.makefile("rb") as file:
                assert [json.loads(file.readline()) for _ in range(20)] == wanted


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"nonsense\n", "not JSON"),
        (b"[" * 100_000 + b"\n", "not JSON"),
        (b"\xff\xfe\n", "not JSON"),
        (b"[]\n", "not a JSON object"),
        (b'{"cut', "cut off"),
        (b"x" * (LINE_BYTES_MAX + 10), "over 1048576 bytes"),
    ],
)
def test_what_is_no_request_is_answered_so(tmp_path: Path, data: bytes, says: str) -> None:
    """Bad, truncated and oversized lines get an error, and the server goes on."""
    with serving(tmp_path) as path:
        (line,) = converse(path, data)
        assert says in json.loads(line)["error"]
        assert json.loads(line)["kind"] == "usage"
        assert control_call(path, {}, TIMEOUT) == {"echo": {}}


def test_the_largest_request_fits(tmp_path: Path) -> None:
    """A line of exactly the bound is taken."""
    line = b'{"x":"' + b"y" * (LINE_BYTES_MAX - 9) + b'"}\n'
    assert len(line) == LINE_BYTES_MAX
    with serving(tmp_path, lambda request: {"size": len(request["x"])}) as path:
        assert converse(path, line) == [b'{"ok":{"size":%d}}' % (LINE_BYTES_MAX - 9)]


def test_no_node_and_no_answer_are_told_apart(tmp_path: Path) -> None:
    """Nobody there: start one. Somebody there but late: the effect is not known."""
    with pytest.raises(LinkError, match=r"no node answers at .*comity run") as absent:
        control_call(tmp_path / CONTROL_FILE, {}, TIMEOUT)
    assert absent.value.retry
    release = threading.Event()

    def wait(_: dict[str, Any]) -> dict[str, Any]:
        release.wait(20)
        return {}

    with serving(tmp_path, wait) as path:
        with pytest.raises(DeadlineError, match="may or may not"):
            control_call(path, {}, Duration(50 * MILLISECOND))
        release.set()


def test_one_too_many_is_told_so(tmp_path: Path) -> None:
    """Beyond the bound a connection gets an answer and is closed; later ones are served."""
    with serving(tmp_path) as path:
        with ExitStack() as idle:
            for _ in range(CONNECTIONS_MAX):
                connection = idle.enter_context(socket.socket(socket.AF_UNIX))
                connection.connect(str(path))
                connection.sendall(b"{}\n")
                assert connection.recv(100)
            with pytest.raises(WorldError, match="commands are running: try again"):
                control_call(path, {}, TIMEOUT)
        served: dict[str, Any] = {}
        while not served:  # until the server has seen that the others left
            with suppress(WorldError):
                served = control_call(path, {}, TIMEOUT)
        assert served == {"echo": {}}


def test_closing_ends_idle_connections(tmp_path: Path) -> None:
    """A silent peer does not hold up the end of the node, and sees it."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        with serving(tmp_path) as path:
            connection.connect(str(path))
            connection.sendall(b"{}\n")
            assert connection.recv(100)
        assert connection.recv(1) == b""


def test_a_stale_socket_is_replaced_only_under_the_lock(tmp_path: Path) -> None:
    """The file that a crash left is in nobody's way, and without the lock nobody takes it."""
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(tmp_path / CONTROL_FILE))
    stale.close()
    lock = StoreLock(tmp_path)
    lock.release()
    with pytest.raises(AssertionError):
        ControlServer(tmp_path / CONTROL_FILE, answer, lock)
    with serving(tmp_path) as path:
        assert control_call(path, {}, TIMEOUT) == {"echo": {}}


def test_a_path_longer_than_a_socket_address_works(tmp_path: Path) -> None:
    """108 bytes are the system's limit, not ours."""
    long = tmp_path / ("d" * 100) / ("e" * 100)
    with serving(long) as path:
        assert len(os.fsencode(path)) > 200
        assert control_call(path, {"a": 1}, TIMEOUT) == {"echo": {"a": 1}}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_is_refused_by_both_sides(tmp_path: Path) -> None:
    """Though modes are opened up, the kernel's word on who connects decides."""
    program = """
import os, socket, sys
os.chdir(sys.argv[1])
os.setuid(65534)
connection = socket.socket(socket.AF_UNIX)
connection.connect("control.sock")
print(connection.makefile().readline())
"""
    with serving(tmp_path / "store") as path:
        path.chmod(0o777)
        path.parent.chmod(0o755)
        ended = subprocess.run(
            [sys.executable, "-I", "-S", "-c", program, str(path.parent)],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=60,
        )
        assert "this node belongs to user 0, not to you (65534)" in ended.stdout
    impostor = """
import os, socket, sys
os.chdir(sys.argv[1])
os.setuid(65534)
listener = socket.socket(socket.AF_UNIX)
listener.bind("control.sock")
listener.listen()
print("up", flush=True)
connection, _ = listener.accept()
print(connection.recv(100) == b"", flush=True)
"""
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", impostor, str(open_to_all)],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        with pytest.raises(UsageError, match="belongs to user 65534"):
            control_call(open_to_all / CONTROL_FILE, {"secret": 1}, TIMEOUT)
        assert process.stdout.readline() == "True\n"
