"""Wires record what passes to the byte, know who connects, and can be cut."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from comity.cli.demo.wires import Wires

SECONDS = 20.0


@pytest.fixture
def wires() -> Iterator[Wires]:
    """Give wires on which this process is 'here'."""
    with Wires() as wires:
        wires.register(os.getpid(), "here")
        yield wires


def echo(wires: Wires, place: str) -> str:
    """Serve one place that answers in capitals; return the address of its wire."""
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(SECONDS)

    def serve() -> None:
        with (
            server,
            suppress(OSError),
        ):  # a test may end without a call, or in the middle of one
            connection, _ = server.accept()
            with connection:
                while data := connection.recv(1000):
                    connection.sendall(data.upper())

    threading.Thread(target=serve, daemon=True).start()
    address = wires.add(place)
    wires.connect(place, f"127.0.0.1:{server.getsockname()[1]}")
    return address


def dial(address: str) -> socket.socket:
    """Connect to a wire."""
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), SECONDS)


def test_every_byte_is_recorded_with_its_ends(wires: Wires) -> None:
    """Both directions, and who spoke to whom."""
    with dial(echo(wires, "there")) as line:
        for said in (b"hello", b"again"):
            line.sendall(said)
            assert line.recv(100) == said.upper()
        (found,) = wires.recordings()
    assert (found.source, found.place) == ("here", "there")
    assert (bytes(found.there), bytes(found.back)) == (b"helloagain", b"HELLOAGAIN")
    assert found.size == 20


@pytest.mark.parametrize("place", ["here", "there"])
def test_a_cut_ends_what_is_open_and_refuses_more(wires: Wires, place: str) -> None:
    """It does not matter which of the two ends is isolated."""
    address = echo(wires, "there")
    with dial(address) as line:
        line.sendall(b"x")
        assert line.recv(10) == b"X"
        wires.isolate(place)
        assert _is_dead(line)
    with dial(address) as line:
        assert _is_dead(line)
    assert sum(each.size for each in wires.recordings()) == 2


def test_a_stranger_is_refused(wires: Wires) -> None:
    """A process that nobody registered reaches no place."""
    address = echo(wires, "there")
    code = (
        "import socket,sys; s=socket.create_connection((sys.argv[1],int(sys.argv[2])))\n"
        "try: s.sendall(b'x'); print(s.recv(1))\n"
        "except OSError: print(b'')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *address.split(":")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "b''\n"
    assert wires.recordings() == ()


def test_a_place_that_is_down_is_not_reached_and_may_come_back(wires: Wires) -> None:
    """The wire's address outlives the place's own."""
    address = wires.add("there")
    with dial(address) as line:
        assert _is_dead(line)
    with socket.create_server(("127.0.0.1", 0)) as server:
        wires.connect("there", f"127.0.0.1:{server.getsockname()[1]}")
        with dial(address) as line:
            connection, _ = server.accept()
            with connection:
                line.sendall(b"now")
                assert connection.recv(10) == b"now"


def _is_dead(line: socket.socket) -> bool:
    """Tell whether the other end is gone, whichever way it shows."""
    try:
        return line.recv(10) == b""
    except OSError:
        return True
