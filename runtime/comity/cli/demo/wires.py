"""Wires: every connection of the demonstration, recorded to the byte, and open to scissors.

Owns: one thread with a TCP forwarder for each place, what passed, and who is cut off. May not
know: what the bytes mean.

    source --connects to the wire's port--> forwarder --> the place's own port
    bytes of either direction are appended to the record of (source, place) as they pass
    isolate(place) aborts all that goes to it or comes from it, and refuses more

Who connects is told by the kernel: the process that holds the other end of the socket, found
in /proc (proc(5)). A connection of an unknown process is refused.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

__all__ = ["Recording", "Wires"]

T = TypeVar("T")

_CHUNK_BYTES: Final = 65_536
_HOST: Final = "127.0.0.1"


@dataclass(slots=True)
class Recording:
    """All that passed between two places on one connection, a direction each."""

    source: str
    place: str
    there: bytearray = field(default_factory=bytearray)
    back: bytearray = field(default_factory=bytearray)

    @property
    def size(self) -> int:
        """Bytes of both directions."""
        return len(self.there) + len(self.back)


class Wires:
    """All wires; a context manager that ends their thread."""

    def __init__(self) -> None:
        """Start the thread; there are no places yet."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="wires", daemon=True
        )
        self._thread.start()
        self._targets: dict[str, int] = {}
        self._processes: dict[int, str] = {}
        self._isolated: dict[str, None] = {}
        self._pipes: dict[asyncio.Task[None], Recording] = {}
        self._recordings: list[Recording] = []
        self._servers: list[asyncio.Server] = []

    def __enter__(self) -> Wires:  # noqa: PYI034  (not meant to be derived from)
        """Return the wires themselves."""
        return self

    def __exit__(self, *_: object) -> None:
        """Cut everything and end the thread."""
        self._run(self._close()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def add(self, place: str) -> str:
        """Make the wire to a place; return the address that the others are to know."""
        port = self._run(self._listen(place)).result()
        return f"{_HOST}:{port}"

    def connect(self, place: str, address: str) -> None:
        """Say at which address the place really listens now."""
        port = int(address.rpartition(":")[2])
        self._call(lambda: self._targets.__setitem__(place, port))

    def register(self, process: int, place: str) -> None:
        """Say which process is whose, before it connects anywhere."""
        self._call(lambda: self._processes.__setitem__(process, place))

    def isolate(self, place: str) -> None:
        """Cut a place off from all others."""

        def cut() -> None:
            self._isolated[place] = None
            for task, recording in list(self._pipes.items()):
                if place in {recording.source, recording.place}:
                    task.cancel()

        self._call(cut)

    def restore(self, place: str) -> None:
        """Mend what `isolate` cut; the devices notice when they dial next."""
        self._call(lambda: self._isolated.pop(place, None))

    def recordings(self) -> tuple[Recording, ...]:
        """Return a copy of what has passed so far, oldest connection first."""
        return self._call(
            lambda: tuple(
                Recording(each.source, each.place, bytearray(each.there), bytearray(each.back))
                for each in self._recordings
            )
        )

    def _call(self, do: Callable[[], T]) -> T:
        """Run something in the thread of the wires and wait for it."""

        async def run() -> T:
            return do()

        return self._run(run()).result()

    def _run(self, work: Coroutine[object, object, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _listen(self, place: str) -> int:
        async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._forward(place, reader, writer)

        server = await asyncio.start_server(accepted, _HOST, 0)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def _forward(
        self, place: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Carry one connection until an end is reached or it is cut."""
        task = asyncio.current_task()
        assert task is not None
        theirs = int(writer.get_extra_info("peername")[1])
        ours = int(writer.get_extra_info("sockname")[1])
        source = _owner(theirs, ours, self._processes)
        target = self._targets.get(place)
        if source is None or target is None or {source, place} & self._isolated.keys():
            writer.transport.abort()
            return
        recording = Recording(source, place)
        self._recordings.append(recording)
        self._pipes[task] = recording
        onward: asyncio.StreamWriter | None = None
        try:
            answers, onward = await asyncio.open_connection(_HOST, target)
            await asyncio.wait(
                (
                    asyncio.create_task(_copy(reader, onward, recording.there)),
                    asyncio.create_task(_copy(answers, writer, recording.back)),
                ),
                return_when=asyncio.FIRST_COMPLETED,
            )
        except (OSError, asyncio.CancelledError):
            pass  # the place is down, or the wire was cut: both ends see a lost connection
        finally:
            del self._pipes[task]
            writer.transport.abort()
            if onward is not None:
                onward.transport.abort()

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        others = [each for each in asyncio.all_tasks() if each is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


async def _copy(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, record: bytearray
) -> None:
    """Pass bytes on until the end, writing each down before it leaves."""
    try:
        while data := await reader.read(_CHUNK_BYTES):
            record += data
            writer.write(data)
            await writer.drain()
    except OSError:
        return  # an end was aborted


def _owner(theirs: int, ours: int, processes: dict[int, str]) -> str | None:
    """Return whose process holds the loopback socket from port `theirs` to port `ours`."""
    inode = _inode(theirs, ours)
    if inode is None:
        return None
    wanted = f"socket:[{inode}]"
    for process, place in processes.items():
        try:
            entries = list(os.scandir(f"/proc/{process}/fd"))
        except OSError:  # it has ended
            continue
        for entry in entries:
            try:
                if str(Path(entry.path).readlink()) == wanted:
                    return place
            except OSError:  # closed meanwhile
                continue
    return None


def _inode(theirs: int, ours: int) -> str | None:
    tables = (Path("/proc/net/tcp6"), Path("/proc/net/tcp"))  # gRPC maps IPv4 into IPv6
    lines = [
        line
        for each in tables
        if each.exists()
        for line in each.read_text(encoding="ascii").splitlines()
    ]
    for columns in map(str.split, lines):
        if ":" not in columns[1]:
            continue  # the heading
        local, remote = (int(each.rpartition(":")[2], 16) for each in columns[1:3])
        if (local, remote) == (theirs, ours):
            return columns[9]
    return None
