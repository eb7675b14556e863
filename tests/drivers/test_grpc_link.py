"""Links over real loopback connections: order, bounds, hangups, peers that vanish."""

from __future__ import annotations

import itertools
import queue
import socket
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from comity.base.errors import LinkError, UsageError
from comity.base.ids import LinkId
from comity.base.limits import FRAME_BYTES_MAX
from comity.drivers.grpc_link import QUEUE_BYTES_MAX, ROOM_BYTES, GrpcLinks, parse_address
from comity.node.events import FrameArrived, LinkDown, LinkDrained, LinkUp
from comity.wire.v1.wire_pb2 import Frame

if TYPE_CHECKING:
    from collections.abc import Generator

WAIT = 30.0
METHOD = "/comity.wire.v1.Link/Open"


class Peer:
    """A node's worth of links and the events that they emitted."""

    def __init__(self) -> None:
        numbers = itertools.count(1, 2)
        self.events: queue.SimpleQueue[LinkUp | LinkDown | LinkDrained | FrameArrived] = (
            queue.SimpleQueue()
        )
        self.links = GrpcLinks(self.events.put, lambda: LinkId(next(numbers)))
        self.address = ""
        self.dialled = itertools.count(2, 2)

    def up(self) -> LinkUp:
        """Return the next event, which must be a link that came up."""
        event = self.events.get(timeout=WAIT)
        assert isinstance(event, LinkUp), event
        return event

    def down(self) -> LinkDown:
        """Return the next event, which must be a link that went down."""
        event = self.events.get(timeout=WAIT)
        assert isinstance(event, LinkDown), event
        return event

    def frame(self) -> bytes:
        """Return the frame of the next event, which must be one that arrived."""
        event = self.events.get(timeout=WAIT)
        assert isinstance(event, FrameArrived), event
        return event.frame

    def dial(self, other: Peer) -> tuple[LinkId, LinkId]:
        """Connect to another peer; return the link's number here and there."""
        link = LinkId(next(self.dialled))
        self.links.dial(link, other.address)
        ours, theirs = self.up(), other.up()
        assert (ours.link, ours.inbound, ours.address) == (link, False, other.address)
        assert theirs.inbound
        return link, theirs.link


def call_raw(address: str, message: bytes) -> list[object]:
    """Send one gRPC message, whatever it is; return what comes back until the end."""
    with grpc.insecure_channel(address) as opened:
        channel: Any = opened
        return list(channel.stream_stream(METHOD)(iter([message])))


@pytest.fixture
def peers() -> Generator[tuple[Peer, Peer]]:
    """Start a peer that only dials and one that listens."""
    with ExitStack() as stack:
        dialler, listener = Peer(), Peer()
        assert dialler.links.start(None) is None
        stack.callback(dialler.links.close)
        listener.address = listener.links.start("127.0.0.1:0") or ""
        stack.callback(listener.links.close)
        yield dialler, listener


def test_frames_arrive_as_they_were_sent_in_order_both_ways(peers: tuple[Peer, Peer]) -> None:
    """Every size from empty to the limit, unchanged."""
    dialler, listener = peers
    ours, theirs = dialler.dial(listener)
    frames = [b"", b"\0", bytes(range(256)), b"x" * FRAME_BYTES_MAX, b"last"]
    frames += [b"%d" % number for number in range(200)]
    for frame in frames:
        dialler.links.send(ours, frame)
        listener.links.send(theirs, frame[::-1])
    assert [listener.frame() for _ in frames] == frames
    assert [dialler.frame() for _ in frames] == [frame[::-1] for frame in frames]


def test_a_burst_arrives_whole_and_its_queue_drains(peers: tuple[Peer, Peer]) -> None:
    """16 MiB at once wait in the queue, are counted, and leave."""
    dialler, listener = peers
    ours, _ = dialler.dial(listener)
    count = 16 * 1024 * 1024 // 16_384
    for number in range(count):
        dialler.links.send(ours, number.to_bytes(4, "big") * 4096)
    assert 0 < dialler.links.waiting(ours) <= count * 16_384
    for number in range(count):
        assert listener.frame()[:4] == number.to_bytes(4, "big")
    dialler.links.hangup(ours, "done")
    dialler.down()
    assert dialler.links.waiting(ours) == 0


def test_a_peer_that_does_not_read_is_hung_up_on_at_the_bound(
    peers: tuple[Peer, Peer],
) -> None:
    """The queue never holds more than its bound; the reason names the bytes."""
    dialler, listener = peers
    ours, theirs = dialler.dial(listener)
    listener.links.pause()
    frame = b"z" * 60_000
    most = 0
    for _ in range(2 * QUEUE_BYTES_MAX // len(frame)):
        dialler.links.send(ours, frame)
        most = max(most, dialler.links.waiting(ours))
    assert QUEUE_BYTES_MAX // 2 < most <= QUEUE_BYTES_MAX
    down = dialler.down()
    assert down.link == ours
    assert "too slow" in down.why
    listener.links.resume()
    while isinstance(event := listener.events.get(timeout=WAIT), FrameArrived):
        assert event.frame == frame
    assert isinstance(event, LinkDown)
    assert event.link == theirs


def test_pausing_stops_reading_and_resuming_loses_nothing(peers: tuple[Peer, Peer]) -> None:
    """While paused at most the frame that was being read arrives; then all, in order."""
    dialler, listener = peers
    ours, theirs = dialler.dial(listener)
    dialler.links.send(ours, b"first")
    assert listener.frame() == b"first"  # now the next read is under way
    listener.links.pause()
    listener.links.send(theirs, b"paused")  # leaves after the pause has been carried out
    assert dialler.frame() == b"paused"
    for number in range(1000):
        dialler.links.send(ours, b"%04d" % number * 1000)
    arrived = [listener.frame()]  # the read that was under way
    assert dialler.links.waiting(ours) > 0
    with pytest.raises(queue.Empty):
        listener.events.get(timeout=0.05)
    listener.links.resume()
    arrived += [listener.frame() for _ in range(999)]
    assert arrived == [b"%04d" % number * 1000 for number in range(1000)]


def test_room_is_told_of_once_for_each_time_it_is_awaited(peers: tuple[Peer, Peer]) -> None:
    """At once while little waits, else when enough has left; never for a link that is down."""
    one, other = peers
    here, _ = one.dial(other)
    one.links.await_room(here)
    assert one.events.get(timeout=WAIT) == LinkDrained(here)
    other.links.pause()
    big = bytes(FRAME_BYTES_MAX)
    sent = 0
    while one.links.waiting(here) <= ROOM_BYTES:
        one.links.send(here, big)
        sent += 1
        assert sent < 2_000, "the other side does not read"
    one.links.await_room(here)
    assert one.events.empty()
    other.links.resume()
    assert one.events.get(timeout=WAIT) == LinkDrained(here)
    assert [other.frame() == big for _ in range(sent)] == [True] * sent
    one.links.hangup(here, "enough")
    one.down()
    one.links.await_room(here)
    assert one.events.empty()


@pytest.mark.parametrize("from_dialler", [True, False])
def test_what_was_sent_before_a_hangup_leaves_first(
    peers: tuple[Peer, Peer], *, from_dialler: bool
) -> None:
    """Whoever hangs up, the other gets all frames and then the end; later sends are void."""
    dialler, listener = peers
    ours, theirs = dialler.dial(listener)
    source, target, link = (
        (dialler, listener, ours) if from_dialler else (listener, dialler, theirs)
    )
    frames = [b"%d" % number * 5000 for number in range(300)]
    for frame in frames:
        source.links.send(link, frame)
    source.links.hangup(link, "because")
    source.links.send(link, b"too late")
    source.links.hangup(link, "again")
    assert [target.frame() for _ in frames] == frames
    assert target.down().why == "the other side hung up"
    assert source.down() == LinkDown(link, "because")
    source.links.send(link, b"too late")
    source.links.hangup(link, "too late")
    dialler.dial(listener)  # and nothing else was emitted


def test_nothing_is_emitted_after_a_hangup_but_its_end(peers: tuple[Peer, Peer]) -> None:
    """Frames that come in after it are not the caller's business any more."""
    dialler, listener = peers
    ours, theirs = dialler.dial(listener)
    dialler.links.hangup(ours, "enough")
    for _ in range(100):
        listener.links.send(theirs, b"more")
    assert dialler.down() == LinkDown(ours, "enough")
    assert listener.down().link == theirs


def test_a_closed_port_is_a_link_that_went_down(peers: tuple[Peer, Peer]) -> None:
    """The reason names the address and what the system said; dialling again is fresh."""
    dialler, listener = peers
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    for link in (LinkId(100), LinkId(102)):
        dialler.links.dial(link, address)
        down = dialler.down()
        assert down.link == link
        assert f"cannot reach {address}" in down.why
        assert "refused" in down.why
    again = Peer()
    again.address = again.links.start(address) or ""
    try:
        dialler.dial(again)  # at once: no back-off is left over
    finally:
        again.links.close()
    assert dialler.down().why
    assert listener.events.empty()


def test_hanging_up_while_dialling_ends_the_dial(peers: tuple[Peer, Peer]) -> None:
    """A peer that takes connections and never answers does not hold the link."""
    dialler, _ = peers
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        dialler.links.dial(LinkId(100), f"127.0.0.1:{silent.getsockname()[1]}")
        dialler.links.hangup(LinkId(100), "changed my mind")
        assert dialler.down() == LinkDown(LinkId(100), "changed my mind")


def test_a_peer_that_vanishes_is_noticed(peers: tuple[Peer, Peer]) -> None:
    """After kill -9 of the other process the link goes down, with a reason."""
    _, listener = peers
    program = """
import sys
from comity.base.ids import LinkId
from comity.drivers.grpc_link import GrpcLinks
links = GrpcLinks(lambda event: print(type(event).__name__, flush=True), lambda: LinkId(1))
links.start(None)
links.dial(LinkId(2), sys.argv[1])
links.send(LinkId(2), b"hello")
sys.stdin.readline()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program, listener.address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        link = listener.up().link
        assert listener.frame() == b"hello"
        process.kill()
        down = listener.down()
    assert down.link == link
    assert down.why


def test_a_listener_that_vanishes_is_noticed(peers: tuple[Peer, Peer]) -> None:
    """The dialling side hears of the end too."""
    dialler, _ = peers
    program = """
import sys
from comity.base.ids import LinkId
from comity.drivers.grpc_link import GrpcLinks
links = GrpcLinks(lambda event: None, lambda: LinkId(1))
print(links.start("127.0.0.1:0"), flush=True)
sys.stdin.readline()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        dialler.links.dial(LinkId(100), process.stdout.readline().strip())
        assert dialler.up().link == 100
        process.kill()
        down = dialler.down()
    assert down.link == 100
    assert down.why


def test_closing_hangs_up_on_everybody_and_ends_the_thread(peers: tuple[Peer, Peer]) -> None:
    """Queued frames leave, every link ends once on both sides, later calls do nothing."""
    dialler, listener = peers
    pairs = [dialler.dial(listener) for _ in range(3)]
    for ours, _ in pairs:
        dialler.links.send(ours, b"last words")
    dialler.links.close()
    dialler.links.close()
    ended = [dialler.down() for _ in pairs]
    assert sorted(down.link for down in ended) == [ours for ours, _ in pairs]
    assert {down.why for down in ended} == {"this node is stopping"}
    heard = [listener.events.get(timeout=WAIT) for _ in range(6)]
    for _, theirs in pairs:
        mine = [event for event in heard if event.link == theirs]
        assert [type(event) for event in mine] == [FrameArrived, LinkDown]
    dialler.links.dial(LinkId(100), listener.address)
    dialler.links.send(LinkId(100), b"void")
    dialler.links.hangup(LinkId(100), "void")
    assert dialler.events.empty()


def test_a_hundred_links(peers: tuple[Peer, Peer]) -> None:
    """They carry frames side by side, each its own."""
    dialler, listener = peers
    links = [LinkId(number) for number in range(1000, 1200, 2)]
    for link in links:
        dialler.links.dial(link, listener.address)
    for link in links:
        dialler.links.send(link, b"%d" % link)  # queued until the link is up
    assert {dialler.up().link for _ in links} == set(links)
    heard = [listener.events.get(timeout=WAIT) for _ in range(200)]
    for event in heard:
        if isinstance(event, FrameArrived):
            listener.links.send(event.link, event.frame + b"!")
    echoed: dict[LinkId, bytes] = {}
    for _ in links:
        event = dialler.events.get(timeout=WAIT)
        assert isinstance(event, FrameArrived)
        echoed[event.link] = event.frame
    assert echoed == {link: b"%d!" % link for link in links}


def test_an_oversized_frame_from_a_peer_ends_its_link_only(peers: tuple[Peer, Peer]) -> None:
    """The limit is the receiver's: nothing larger reaches the session."""
    dialler, listener = peers
    ours, theirs = dialler.dial(listener)
    large = Frame(body=b"x" * (FRAME_BYTES_MAX + 1)).SerializeToString()
    assert call_raw(listener.address, large) == []
    refused = listener.up().link
    assert listener.down() == LinkDown(refused, "a frame of 65536 bytes is over 65535")
    dialler.links.send(ours, b"alive")
    assert listener.events.get(timeout=WAIT) == FrameArrived(theirs, b"alive")
    with pytest.raises(AssertionError):
        dialler.links.send(ours, b"x" * (FRAME_BYTES_MAX + 1))


def test_bytes_that_are_no_frame_end_their_link_only(peers: tuple[Peer, Peer]) -> None:
    """Garbage inside gRPC's own framing is the peer's fault, and his link's end."""
    dialler, listener = peers
    ours, theirs = dialler.dial(listener)
    assert call_raw(listener.address, b"\xff" * 50) == []
    refused = listener.up().link
    assert listener.down() == LinkDown(refused, "what came in is no frame")
    dialler.links.send(ours, b"alive")
    assert listener.events.get(timeout=WAIT) == FrameArrived(theirs, b"alive")


def test_a_stranger_that_speaks_no_grpc_does_no_harm(peers: tuple[Peer, Peer]) -> None:
    """Garbage on the port makes no link, and the next peer is served."""
    dialler, listener = peers
    host, port = parse_address(listener.address)
    with socket.create_connection((host, port)) as stranger:
        stranger.settimeout(WAIT)
        stranger.sendall(b"GET / HTTP/1.1\r\n\r\n" * 100)
        while stranger.recv(4096):
            pass
    dialler.dial(listener)
    assert listener.events.empty()


def test_a_taken_port_is_named_with_the_fix(peers: tuple[Peer, Peer]) -> None:
    """Two nodes never share a port in silence; nothing is left of the attempt."""
    _, listener = peers
    second = Peer()
    for _ in range(2):
        with pytest.raises(
            LinkError, match=rf"{listener.address} .Address already in use"
        ) as e:
            second.links.start(listener.address)
        assert "name another address" in str(e.value)
    with pytest.raises(LinkError, match=r"cannot listen at 192\.0\.2\.1:0"):
        second.links.start("192.0.2.1:0")
    second.address = second.links.start("127.0.0.1:0") or ""
    second.links.close()


BAD = ["", "host", ":1", "host:", "host:x", "host:65536", "host:-1", "::1:80", "[::1]",
       "[host]:1", "unix:/tmp/x", "dns:///host:1", "a b:1", "host:٣", "[]:1", "ho/st:1",
       "127.0.0.1:80:90"]  # fmt: skip


@pytest.mark.parametrize("address", BAD)
def test_what_is_no_address_is_named_with_the_form(
    peers: tuple[Peer, Peer], address: str
) -> None:
    """Whoever listens gets a `UsageError`; whoever dials a link that went down."""
    dialler, _ = peers
    with pytest.raises(UsageError, match="is not an address: write 'host:port'"):
        Peer().links.start(address)
    dialler.links.dial(LinkId(100), address)
    assert "is not an address" in dialler.down().why


def test_addresses_have_a_host_and_a_port() -> None:
    """Names, IPv4 and bracketed IPv6."""
    assert parse_address("127.0.0.1:80") == ("127.0.0.1", 80)
    assert parse_address("[::1]:0") == ("::1", 0)
    assert parse_address("relay.example.org:65535") == ("relay.example.org", 65_535)


def test_names_and_ipv6_are_reached(peers: tuple[Peer, Peer]) -> None:
    """`localhost` and `[::1]` work where the machine has them."""
    dialler, listener = peers
    _, port = parse_address(listener.address)
    dialler.links.dial(LinkId(100), f"localhost:{port}")
    assert dialler.up().link == 100
    sixth = Peer()
    try:
        sixth.address = sixth.links.start("[::1]:0") or ""
    except LinkError as error:
        pytest.skip(str(error))
    try:
        assert sixth.address.startswith("[::1]:")
        dialler.dial(sixth)
    finally:
        sixth.links.close()
