"""A session that nobody's node keeps: for whoever wants to say to a device what no node says.

Owns: the dialling, the handshake and the records of one session over a real connection. May
not know: what is said. It answers a summary with itself, so that the other side believes that
both hold the same and takes what is pushed.

    dialled --frames--> established --tags--> announced --summary--> level: say anything

Source: PROTOCOL sections 5 and 6.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from typing import Final, Self

from comity.base.errors import Rejected
from comity.base.ids import DeviceId, LinkId, Topic
from comity.drivers.grpc_link import GrpcLinks
from comity.drivers.system import SystemClock
from comity.node.events import FrameArrived, LinkDown, LinkDrained, LinkUp
from comity.protocol.session import Endpoint, Established, Failed, Received, SendFrame, Session
from comity.wire.codec import ProtobufCodec
from comity.wire.records import Announce, Commit, Commits, Record, Summary

__all__ = ["Visit"]

_LINK: Final = LinkId(2)


class Visit:
    """One session. A context: leaving it hangs up.

    heard: every record that came. frames: as they came. over: why the session ended; empty
    while it goes on. answer: what is said to the first summary; itself, unless changed before.
    """

    def __init__(self, endpoint: Endpoint, topic: Topic, address: str, host: DeviceId) -> None:
        """Dial. topic: the actor to talk about. host: whom to meet there, or nobody."""
        self._topic = topic
        self._codec = ProtobufCodec()
        self._events: queue.SimpleQueue[LinkUp | LinkDown | LinkDrained | FrameArrived] = (
            queue.SimpleQueue()
        )
        self._links = GrpcLinks(self._events.put, lambda: LinkId(1))
        self._clock = SystemClock()
        self._session = Session(
            endpoint, initiator=True, now=self._clock.moment().instant, expected=host
        )
        self._level = False
        self.answer: Callable[[Summary], Record] = lambda summary: summary
        self.heard: list[Record] = []
        self.frames: list[bytes] = []
        self.over = ""
        self._links.start(None)
        self._links.dial(_LINK, address)

    def __enter__(self) -> Self:
        """Return the visit itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Hang up."""
        self._links.close()

    def until(self, reached: Callable[[], bool], seconds: float) -> bool:
        """Listen until something is reached, or the session or the time is over."""
        end = time.monotonic() + seconds
        while not reached():
            if self.over or time.monotonic() > end:
                return False
            try:
                event = self._events.get(timeout=0.1)
            except queue.Empty:
                continue
            self._follow(event)
        return True

    def level(self, seconds: float) -> bool:
        """Listen until the host believes that both sides hold the same."""
        return self.until(lambda: self._level, seconds)

    def push(self, *commits: Commit) -> None:
        """Say one record of commits, as if they were news."""
        self.say(Commits(self.tag, commits, arrival=0, last=True))

    def say(self, record: Record) -> None:
        """Say a record."""
        self.say_raw(self._codec.encode((record,)))

    def say_raw(self, plain: bytes) -> None:
        """Say bytes, which may be no record."""
        for frame in self.seal_raw(plain):
            self.send(frame)

    def seal_raw(self, plain: bytes) -> tuple[bytes, ...]:
        """Return the frames that would say bytes; they are due now, in this order."""
        return tuple(self._session.seal(plain))

    def send(self, frame: bytes) -> None:
        """Send a frame as it is."""
        self._links.send(_LINK, frame)

    @property
    def tag(self) -> bytes:
        """The name of the actor in this session."""
        return self._session.tag(self._topic)

    def _follow(self, event: LinkUp | LinkDown | LinkDrained | FrameArrived) -> None:
        match event:
            case LinkUp():
                for frame in self._session.start():
                    self._links.send(_LINK, frame)
            case LinkDown(_, why):
                self.over = why
            case FrameArrived(_, frame):
                self._receive(frame)
            case LinkDrained():
                pass

    def _receive(self, frame: bytes) -> None:
        self.frames.append(frame)
        for said in self._session.receive(frame, self._clock.moment().instant):
            match said:
                case SendFrame(answer):
                    self._links.send(_LINK, answer)
                case Established():
                    self.say(Announce((self._session.tag(self._topic),)))
                case Received(plain):
                    records = self._codec.decode(plain)
                    assert not isinstance(records, Rejected), records
                    for record in records:
                        self._hear(record)
                case Failed(refusal):
                    self.over = str(refusal)
                    self._links.hangup(_LINK, "over")

    def _hear(self, record: Record) -> None:
        self.heard.append(record)
        if isinstance(record, Summary) and not self._level:
            self._level = True
            self.say(self.answer(record))
