"""Links on gRPC: opaque frames between this process and others, both ways.

Owns: one thread with one asyncio loop, the server, a channel for each link that was dialled,
queues of frames that wait to leave. May not know: what is in a frame, who the peer is, when
to dial again; the session inside the frames and the core decide that.

    dial --> dialling --connected--> up --hangup, all sent--> ending --> down
                 | refused, slow          | peer gone, peer's hangup, queue full
                 +------> down <----------+

Every link ends in exactly one `LinkDown`; nothing of it is emitted later. Events are emitted
from the loop's thread, in order for each link.
Bounds: a frame is at most `FRAME_BYTES_MAX`; a longer one from a peer ends its link. Frames
that a slow peer does not take wait in the link's queue; at `QUEUE_BYTES_MAX` or
`QUEUE_FRAMES_MAX` the link ends with a reason, since what was queued is in the log and sync
brings it later, while dropping single frames would break the session. What comes in is
bounded by `pause`: nothing more is read from any link, HTTP/2 windows fill, peers wait.
Half-open sessions are counted by the session layer, connections here: `INBOUND_MAX`.
After `hangup` the frames that were sent before leave first; what still comes in is not
emitted: whoever hung up has said that he is done with the link.
Addresses are 'host:port' and '[ipv6]:port' only; other gRPC schemes are not reachable.
Proxies of the environment are not used. Reconnecting is the core's decision.
Source: PROTOCOL section 5; grpc.io 'keepalive' and the channel arguments in grpc_types.h.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import threading
from collections import deque
from concurrent.futures import Future
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import unquote

import grpc.aio

from comity.base.errors import LinkError, UsageError
from comity.base.limits import FRAME_BYTES_MAX, TEXT_BYTES_MAX
from comity.drivers.figures import LinkTally
from comity.node.events import FrameArrived, LinkDown, LinkDrained, LinkUp
from comity.wire.v1.wire_pb2 import Frame
from comity.wire.v1.wire_pb2_grpc import LinkStub, add_LinkServicer_to_server

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from comity.base.ids import LinkId
    from comity.wire.v1.wire_pb2_grpc import LinkServicer

__all__ = [
    "INBOUND_MAX",
    "QUEUE_BYTES_MAX",
    "QUEUE_FRAMES_MAX",
    "GrpcLinks",
    "check_free",
    "parse_address",
]

QUEUE_BYTES_MAX: Final = 32 * 1024 * 1024
"""Frames of one link that wait to leave: 32 session messages. The core sends a whole answer
at once, so half would cut off peers that sync a long history over a slow line."""

QUEUE_FRAMES_MAX: Final = 65_536
"""The same as a count: an empty frame costs memory too."""

ROOM_BYTES: Final = 256 * 1024
"""A link has room while fewer wait: enough to keep a fast line busy until more is read."""

INBOUND_MAX: Final = 1024
"""Links that others opened; further ones are refused by gRPC as RESOURCE_EXHAUSTED."""

CONNECT_SECONDS: Final = 10.0
"""Until a dialled peer must have accepted; as long as a handshake may take."""

LINGER_SECONDS: Final = 5.0
"""How long what was sent before a hangup may take to leave."""

_OPTIONS: Final = (
    ("grpc.max_receive_message_length", 2 * FRAME_BYTES_MAX),  # up to there we say why
    ("grpc.max_send_message_length", FRAME_BYTES_MAX + 4),  # a byte of tag, three of length
    ("grpc.keepalive_time_ms", 30_000),  # a peer that vanished is noticed within 40 s
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),  # an idle link is normal
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    ("grpc.so_reuseport", 0),  # otherwise a second process shares the port in silence
    ("grpc.use_local_subchannel_pool", 1),  # a connection, and a fresh try, for each dial
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_concurrent_streams", 16),  # of one connection; we open one
    ("grpc.server_handshake_timeout_ms", 10_000),
)

_GRPC_ERRORS: Final = (grpc.aio.AioRpcError, grpc.aio.BaseError, asyncio.InvalidStateError)
"""What gRPC raises when a call is over, one way or another."""

_HOST: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252})?")


class _Link:
    """One link's queue and fate.

    `frames`, `queued_bytes`, `ending` and `woken` belong to the lock of `GrpcLinks`, the rest
    to the loop's thread.
    """

    __slots__ = ("awaited", "cut", "ending", "frames", "identity", "queued_bytes", "ready",
                 "up", "why", "woken")  # fmt: skip

    def __init__(self, identity: LinkId) -> None:
        self.identity = identity
        self.frames: deque[bytes] = deque()
        self.queued_bytes = 0
        self.awaited = False
        self.ending = False
        self.woken = False
        self.up = False
        self.why = ""
        self.ready = asyncio.Event()
        self.cut = asyncio.Event()


class GrpcLinks:
    """All links of a node. Every method but `start` and `close` returns at once."""

    __slots__ = ("_closing", "_commands", "_emit", "_links", "_lock", "_loop", "_may_read",
                 "_next_link", "_scheduled", "_stopping", "_tally", "_tasks",
                 "_thread")  # fmt: skip

    def __init__(
        self,
        emit: Callable[[LinkUp | LinkDown | LinkDrained | FrameArrived], None],
        next_link: Callable[[], LinkId],
        tally: LinkTally | None = None,
    ) -> None:
        """Give events to `emit`, number what others open by `next_link`, count in `tally`.

        Both are called from the loop's thread and must not block it; they never raise.
        """
        self._tally = tally or LinkTally()
        self._emit = emit
        self._next_link = next_link
        self._lock = threading.Lock()
        self._links: dict[LinkId, _Link] = {}
        self._commands: deque[Callable[[], object]] = deque()
        self._scheduled = False
        self._stopping = False
        self._tasks: dict[LinkId, asyncio.Task[None]] = {}
        self._may_read = asyncio.Event()
        self._may_read.set()
        self._closing = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def start(self, listen: str | None) -> str | None:
        """Start the thread; listen at 'host:port' if given, and return it with the real port.

        Port 0 takes a free one. Raises: `UsageError` for an address that is none;
        `LinkError` if it cannot be bound, for example because the port is taken.
        """
        assert self._thread is None, "started twice"
        if listen is not None:
            check_free(listen)
        started: Future[str | None] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run(listen, started)),
            name="comity-links",
            daemon=True,
        )
        self._thread.start()
        try:
            return started.result()
        except LinkError:
            self._thread.join()
            self._thread = None
            raise

    def dial(self, link: LinkId, address: str) -> None:
        """Connect to 'host:port' as `link`; `LinkUp` or `LinkDown` says what came of it."""
        new = _Link(link)
        with self._lock:
            if self._stopping:
                return  # nobody listens any more
            assert link not in self._links, link
            self._links[link] = new
        self._command(lambda: self._spawn(new, address))

    def send(self, link: LinkId, frame: bytes) -> None:
        """Queue one frame; dropped if the link is down or hung up, as the session expects."""
        assert len(frame) <= FRAME_BYTES_MAX, len(frame)
        with self._lock:
            target = self._links.get(link)
            if target is None or target.ending:
                return
            queued = target.queued_bytes + len(frame)
            full = queued > QUEUE_BYTES_MAX or len(target.frames) >= QUEUE_FRAMES_MAX
            if full:
                target.ending = True
                target.frames.clear()
            else:
                target.frames.append(frame)
                self._tally.frames_sent += 1
                self._tally.bytes_sent += len(frame)
                target.queued_bytes = queued
                if target.woken:
                    return
                target.woken = True
        if full:
            why = f"the other side is too slow: {queued} bytes waited for it"
            self._command(lambda: self._cut(target, why))
        else:
            self._command(lambda: self._wake(target))

    def hangup(self, link: LinkId, why: str) -> None:
        """End a link once what was sent before has left, within `LINGER_SECONDS`."""
        with self._lock:
            target = self._links.get(link)
            if target is None or target.ending:
                return
            target.ending = True
        self._command(lambda: self._hang_up(target, why))

    def await_room(self, link: LinkId) -> None:
        """Emit `LinkDrained` when fewer than `ROOM_BYTES` wait; never if the link goes down."""
        with self._lock:
            target = self._links.get(link)
            if target is None or target.ending:
                return
            target.awaited = target.queued_bytes > ROOM_BYTES
            if target.awaited:
                return
        self._command(lambda: self._emit(LinkDrained(link)))

    def waiting(self, link: LinkId) -> int:
        """Return how many bytes sent over a link have not left; 0 if it is down."""
        with self._lock:
            target = self._links.get(link)
            return 0 if target is None else target.queued_bytes

    def pause(self) -> None:
        """Read nothing more from any link, until `resume`: the host's queue is full."""
        self._command(self._may_read.clear)

    def resume(self) -> None:
        """Read again."""
        self._command(self._may_read.set)

    def close(self) -> None:
        """Hang up on everybody, stop listening, end the thread; safe to repeat."""
        thread = self._thread
        if thread is None or not thread.is_alive():
            return
        with self._lock:
            self._stopping = True
            links = list(self._links)
        for link in links:
            self.hangup(link, "this node is stopping")
        self._command(self._closing.set)
        thread.join()

    def _command(self, command: Callable[[], object]) -> None:
        """Run `command` in the loop's thread, after all earlier ones."""
        assert self._thread is not None, "not started"
        with self._lock:
            self._commands.append(command)
            if self._scheduled or self._loop is None:
                return
            self._scheduled = True
            self._loop.call_soon_threadsafe(self._drain)

    def _drain(self) -> None:
        with self._lock:
            commands, self._commands = self._commands, deque()
            self._scheduled = False
        for command in commands:
            command()

    def _spawn(self, link: _Link, address: str) -> None:
        self._tasks[link.identity] = asyncio.create_task(self._dialled(link, address))

    def _wake(self, link: _Link) -> None:
        with self._lock:
            link.woken = False
        link.ready.set()

    def _cut(self, link: _Link, why: str) -> None:
        """End a link at once."""
        link.why = link.why or why
        link.cut.set()

    def _hang_up(self, link: _Link, why: str) -> None:
        if link.up:
            link.why = link.why or why
            link.ready.set()
            asyncio.get_running_loop().call_later(LINGER_SECONDS, link.cut.set)
        else:
            self._cut(link, why)

    async def _run(self, listen: str | None, started: Future[str | None]) -> None:
        """Serve until `close`; the body of the thread."""
        server: grpc.aio.Server | None = None
        address = None
        try:
            if listen is not None:
                server, address = await self._listen(listen)
        except LinkError as error:
            started.set_exception(error)
            return
        with self._lock:
            self._loop = asyncio.get_running_loop()
        started.set_result(address)
        try:
            await self._closing.wait()
        finally:
            if server is not None:
                await server.stop(LINGER_SECONDS)
            if self._tasks:
                await asyncio.wait(self._tasks.values())
            with self._lock:
                self._loop = None

    async def _listen(self, listen: str) -> tuple[grpc.aio.Server, str]:
        host, _ = parse_address(listen)
        server = grpc.aio.server(  # pyright: ignore[reportUnknownMemberType]  (their stubs)
            options=_OPTIONS, maximum_concurrent_rpcs=INBOUND_MAX
        )
        # a coroutine with `context.read` and `write`, which the generated type does not know
        service = cast("LinkServicer", SimpleNamespace(Open=self._accepted))
        add_LinkServicer_to_server(service, server)
        try:
            port = server.add_insecure_port(listen)
        except RuntimeError as error:
            await server.stop(None)
            raise _not_bound(listen, "gRPC cannot bind it") from error
        await server.start()
        return server, f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    async def _dialled(self, link: _Link, address: str) -> None:
        """Carry a link that this side opened."""
        try:
            target = _target(address)
        except UsageError as error:
            self._end(link, str(error))
            return
        channel = grpc.aio.insecure_channel(target, options=_OPTIONS)
        call = LinkStub(channel).Open(cast("Any", None))  # frames are written one by one
        why = ""
        try:
            connected = asyncio.create_task(call.wait_for_connection())
            cut = asyncio.create_task(link.cut.wait())
            await asyncio.wait(
                {connected, cut}, timeout=CONNECT_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            cut.cancel()
            if link.cut.is_set():
                connected.cancel()
            elif not connected.done():
                connected.cancel()
                why = f"{address} did not answer within {CONNECT_SECONDS:g} s"
            elif connected.cancelled() or connected.exception():
                why = f"cannot reach {address}: {_failure(connected) or 'cancelled'}"
            else:
                self._up(link, inbound=False, address=address)
                why = await self._carry(link, call.read, call.write, call.done_writing)
        finally:
            call.cancel()
            await channel.close(None)
            self._end(link, why)

    async def _accepted(
        self, _: object, context: grpc.aio.ServicerContext[Frame, Frame]
    ) -> None:
        """Carry a link that the other side opened."""
        address = unquote(context.peer()).partition(":")[2]
        with self._lock:
            if self._stopping:
                return
            link = _Link(self._next_link())
            self._links[link.identity] = link
        why = "the other side went away"
        try:
            await context.send_initial_metadata(())
            self._up(link, inbound=True, address=address)
            why = await self._carry(link, context.read, context.write, None)
        finally:
            self._end(link, why)

    async def _carry(
        self,
        link: _Link,
        read: Callable[[], Awaitable[object]],
        write: Callable[[Frame], Awaitable[None]],
        done_writing: Callable[[], Awaitable[None]] | None,
    ) -> str:
        """Move frames both ways until the link ends; return why, by the other side's doing."""
        sender = asyncio.create_task(self._send_all(link, write, done_writing))
        receiver = asyncio.create_task(self._receive(link, read))
        cut = asyncio.create_task(link.cut.wait())
        tasks = {sender, receiver, cut}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if done_writing is not None and sender.done() and not _failure(sender):
                # gRPC has it all; the other side ends the call once it has it too
                await asyncio.wait({receiver, cut}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        return _failure(receiver) or _failure(sender) or "the other side hung up"

    async def _send_all(
        self,
        link: _Link,
        write: Callable[[Frame], Awaitable[None]],
        done_writing: Callable[[], Awaitable[None]] | None,
    ) -> None:
        """Write what is queued until the link is hung up and its queue is empty."""
        while True:
            with self._lock:
                frame = link.frames.popleft() if link.frames else None
                ending = link.ending
            if frame is not None:
                await write(Frame(body=frame))
                with self._lock:
                    link.queued_bytes -= len(frame)
                    drained = link.awaited and link.queued_bytes <= ROOM_BYTES
                    link.awaited = link.awaited and not drained
                if drained:
                    self._emit(LinkDrained(link.identity))
            elif ending:
                break
            else:
                link.ready.clear()
                await link.ready.wait()
        if done_writing is not None:
            await done_writing()

    async def _receive(self, link: _Link, read: Callable[[], Awaitable[object]]) -> None:
        """Emit what comes in until the other side ends."""
        while True:
            await self._may_read.wait()
            try:
                frame = await read()
            except _GRPC_ERRORS:
                raise
            except Exception:  # noqa: BLE001  (protobuf's, which only the codec may name)
                frame = None
            if frame is None:  # on a client gRPC itself swallows the error
                self._cut(link, "what came in is no frame")
                return
            if not isinstance(frame, Frame):  # gRPC's EOF
                return
            if len(frame.body) > FRAME_BYTES_MAX:
                self._cut(link, f"a frame of {len(frame.body)} bytes is over {FRAME_BYTES_MAX}")
                return
            self._tally.frames_received += 1
            self._tally.bytes_received += len(frame.body)
            if not link.ending:
                self._emit(FrameArrived(link.identity, frame.body))

    def _up(self, link: _Link, *, inbound: bool, address: str) -> None:
        link.up = True
        self._emit(LinkUp(link.identity, inbound, address))

    def _end(self, link: _Link, why: str) -> None:
        """Forget a link and tell so, once."""
        self._tasks.pop(link.identity, None)
        with self._lock:
            del self._links[link.identity]
        self._emit(LinkDown(link.identity, link.why or why))


def parse_address(text: str) -> tuple[str, int]:
    """Return host and port of 'host:port' or '[ipv6]:port'.

    Raises: `UsageError` that names the text and shows the form.
    """
    host, _, digits = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    port = int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 5 else -1
    known = _version(bare) == 6 if bare != host else _HOST.fullmatch(host) is not None
    if not known or not 0 <= port <= 65_535:
        raise UsageError(
            f"{text!r} is not an address: write 'host:port' or '[ipv6]:port', "
            f"for example '127.0.0.1:7400'"
        )
    return bare, port


def _version(host: str) -> int:
    """Return 4 or 6 for an IP address, 0 for a name."""
    try:
        return ipaddress.ip_address(host).version
    except ValueError:
        return 0


def _target(address: str) -> str:
    """Return gRPC's name of an address: numbers are never looked up, names only in DNS."""
    host, port = parse_address(address)
    match _version(host):
        case 4:
            return f"ipv4:{host}:{port}"
        case 6:
            return f"ipv6:[{host}]:{port}"
        case _:
            return f"dns:///{host}:{port}"


def check_free(listen: str) -> None:
    """Bind the address for a moment: gRPC does not say why it cannot."""
    host, port = parse_address(listen)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, where in found:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family is socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(where)
    except OSError as error:
        raise _not_bound(listen, error.strerror or str(error)) from error


def _not_bound(listen: str, why: str) -> LinkError:
    return LinkError(
        f"cannot listen at {listen} ({why}): stop what uses the port, or name another "
        f"address; port 0 takes a free one",
        retry=True,
    )


def _failure(task: asyncio.Task[Any]) -> str:
    """Say how a task of ours lost its call; empty if it ended well or we ended it.

    Raises: what is no failure of gRPC, for that is ours.
    """
    if task.cancelled():
        return ""
    error = task.exception()
    return "" if error is None else _text(error)


def _text(error: BaseException) -> str:
    """Say what gRPC has to say about a lost call, in at most `TEXT_BYTES_MAX` characters."""
    if isinstance(error, grpc.aio.AioRpcError):
        said = error.details() or error.code().name
        _, is_last, cause = said.partition("last error:")
        if is_last:  # the rest repeats the address: "... UNKNOWN: ipv4:...: Connection refused"
            said = cause.rpartition(": ")[2].lower()
        return said[:TEXT_BYTES_MAX]
    if isinstance(error, _GRPC_ERRORS):
        return "the connection was lost"
    raise error
