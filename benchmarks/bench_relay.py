"""What a relay costs that keeps 10,000 mailboxes and has 1,000 live sessions.

Owns: the figures. The relay is a process of its own (`comity relay`), its store on this disk;
all sessions come from this process. A mail is timed from its writer's word to the receipt, that
it is durable, and to the arrival at its owner, who is linked. Figures are of this
machine as it is: say its load beside them. Linux only (`/proc`). Run as
`python benchmarks/bench_relay.py [SESSIONS] [MAILBOXES] [MAILS A SECOND]`.
"""

from __future__ import annotations

import logging
import os
import queue
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from comity.base.clock import Instant
from comity.base.errors import Rejected
from comity.base.ids import DeviceId, LinkId
from comity.crypto.keys import Identity
from comity.crypto.sodium import Sodium
from comity.drivers.grpc_link import GrpcLinks
from comity.drivers.system import SystemClock, SystemEntropy
from comity.node.events import FrameArrived, LinkDown, LinkDrained, LinkUp
from comity.protocol.route import Writer, post_id
from comity.protocol.session import Endpoint, Established, Failed, Received, SendFrame, Session
from comity.wire.codec import ProtobufCodec
from comity.wire.records import Collected, Mailboxes, Post, Posted, Record

SECONDS: Final = 20
MAIL: Final = 512
DIALS: Final = 24
"""Handshakes at a time: a relay allows 32 of one address."""

CRYPTO: Final = Sodium()
CODEC: Final = ProtobufCodec()
_TICKS: Final = os.sysconf("SC_CLK_TCK")

Event = LinkUp | LinkDown | LinkDrained | FrameArrived


@dataclass(slots=True)
class Client:
    """One device with a session."""

    device: DeviceId
    session: Session
    boxes: list[Writer] = field(default_factory=list)


class Crowd:
    """All clients, and what they heard."""

    def __init__(self) -> None:
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.links = GrpcLinks(self.events.put, lambda: LinkId(1))
        self.clients: dict[LinkId, Client] = {}
        self.relay: DeviceId | None = None
        self.open = 0
        self.receipts: dict[bytes, float] = {}
        self.arrivals: dict[bytes, float] = {}
        self.refused: dict[str, int] = {}
        self.links.start(None)

    def now(self) -> Instant:
        """Return the present."""
        return SystemClock().moment().instant

    def dial(self, count: int, address: str, boxes: int) -> None:
        """Open so many sessions, each of a device of its own with so many mailboxes."""
        entropy = SystemEntropy()
        for number in range(1, count + 1):
            identity = Identity(CRYPTO, entropy.draw(32))
            endpoint = Endpoint(
                crypto=CRYPTO,
                entropy=entropy,
                identity=identity,
                static_secret=entropy.draw(32),
            )
            session = Session(endpoint, initiator=True, now=self.now())
            client = Client(identity.device, session)
            client.boxes = [
                Writer(CRYPTO, identity.device, entropy.draw(32)) for _ in range(boxes)
            ]
            self.clients[LinkId(2 * number)] = client
            self.links.dial(LinkId(2 * number), address)
            while number - self.open >= DIALS:
                self.take()
        while self.open < count:
            self.take()

    def take(self, wait: float = 30.0) -> None:
        """Take one event."""
        event = self.events.get(timeout=wait)
        client = self.clients.get(event.link)
        assert client is not None
        if isinstance(event, LinkUp):
            for frame in client.session.start():
                self.links.send(event.link, frame)
        elif isinstance(event, FrameArrived):
            for each in client.session.receive(event.frame, self.now()):
                self._follow(event.link, client, each)
        elif isinstance(event, LinkDown):
            sys.exit(f"a session is gone: {event.why}")

    def _follow(
        self, link: LinkId, client: Client, each: SendFrame | Established | Received | Failed
    ) -> None:
        match each:
            case SendFrame(frame):
                self.links.send(link, frame)
            case Established():
                self.relay = each.peer
                self.open += 1
                keys = tuple(writer.public for writer in client.boxes)
                self.say(link, Mailboxes(keys, more=False))
            case Failed(refusal):
                raise AssertionError(str(refusal))
            case Received(plain):
                heard = CODEC.decode(plain)
                assert not isinstance(heard, Rejected)
                for record in heard:
                    self._hear(link, record)

    def _hear(self, link: LinkId, record: Record) -> None:
        at = time.perf_counter()
        if isinstance(record, Posted):
            name = "durable" if record.refusal is None else record.refusal.name
            self.refused[name] = self.refused.get(name, 0) + 1
            if record.refusal is None:
                self.receipts[record.ids[0]] = at
        elif isinstance(record, Post):
            post = post_id(record.sealed)
            self.arrivals[post] = at
            self.say(link, Collected(record.mailbox, (post,)))

    def say(self, link: LinkId, record: Record) -> None:
        """Say a record over a link."""
        for frame in self.clients[link].session.seal(CODEC.encode((record,))):
            self.links.send(link, frame)

    def drain(self, until: float) -> None:
        """Take what comes until a moment."""
        while (left := until - time.perf_counter()) > 0:
            try:
                self.take(left)
            except queue.Empty:
                return


def main(sessions: int, mailboxes: int, rate: int) -> None:
    """Measure and print."""
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as path:
        command = [
            *(sys.executable, "-m", "comity", "relay", "--insecure-store"),
            *("--store", str(Path(path) / "relay"), "--listen", "127.0.0.1:0"),
        ]
        relay = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        try:
            assert relay.stdout is not None
            address = relay.stdout.readline().split()[2].rstrip(",")
            _measure(relay.pid, address, sessions, mailboxes, rate)
        finally:
            relay.terminate()
            relay.communicate(timeout=60)


def _measure(pid: int, address: str, sessions: int, mailboxes: int, rate: int) -> None:
    crowd = Crowd()
    time.sleep(1)
    empty = _memory(pid)
    began, work = time.perf_counter(), _work(pid)
    crowd.dial(sessions, address, mailboxes // sessions)
    crowd.drain(time.perf_counter() + 3)
    took = time.perf_counter() - began
    print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} processors")
    print(
        f"{sessions} sessions and {mailboxes} mailboxes opened in {took:.0f} s, "
        f"relay CPU {_work(pid) - work:.1f} s"
    )
    full = _memory(pid)
    each = (full - empty) * 1024 / sessions
    print(
        f"memory: empty {empty:.0f} MiB, with them {full:.0f} MiB, "
        f"{each:.0f} KiB a session with its mailboxes"
    )
    work, began = _work(pid), time.perf_counter()
    crowd.drain(began + 10)
    share = (_work(pid) - work) / (time.perf_counter() - began) * 100
    print(f"idle: {share:.1f} % of a processor")
    work, began = _work(pid), time.perf_counter()
    sent = _send(crowd, rate)
    used, spent = _work(pid) - work, time.perf_counter() - began
    crowd.drain(time.perf_counter() + 3)
    print(
        f"{len(sent)} mails of {MAIL} bytes in {spent:.0f} s: "
        f"{used / len(sent) * 1e3:.2f} ms of CPU each, {used / spent * 100:.0f} % of one"
    )
    for name, found in (("durable", crowd.receipts), ("at its owner", crowd.arrivals)):
        times = sorted((found[p] - at) * 1e3 for p, at in sent.items() if p in found)
        print(
            f"{name}: {len(times)} of {len(sent)}, p50 {statistics.median(times):.1f} ms, "
            f"p99 {times[int(len(times) * 0.99)]:.1f} ms, worst {times[-1]:.1f} ms"
        )
    print(f"answers: {crowd.refused}; memory {_memory(pid):.0f} MiB")


def _send(crowd: Crowd, rate: int) -> dict[bytes, float]:
    """Leave mails at a steady rate, each from one device for the next; return when."""
    assert crowd.relay is not None
    links = list(crowd.clients)
    sent: dict[bytes, float] = {}
    began = time.perf_counter()
    for number in range(rate * SECONDS):
        crowd.drain(began + number / rate)
        link, target = links[number % len(links)], links[(number + 1) % len(links)]
        boxes = crowd.clients[target].boxes
        writer = boxes[number // len(links) % len(boxes)]
        sealed = os.urandom(MAIL)
        post = post_id(sealed)
        signature = writer.sign(crowd.relay, post)
        sent[post] = time.perf_counter()
        crowd.say(link, Post(writer.mailbox, sealed, signature))
    return sent


def _memory(pid: int) -> float:
    """Return the resident memory of a process, MiB."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no VmRSS")


def _work(pid: int) -> float:
    """Return the processor time of a process, seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


if __name__ == "__main__":
    given = [int(each) for each in sys.argv[1:]]
    main(*(given or [1000, 10_000, 100]))
