"""Builders of sessions for tests: processes and devices that a name fixes."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import pytest

from comity.base.clock import Instant
from comity.base.ids import Topic
from comity.base.limits import FRAME_BYTES_MAX
from comity.crypto.keys import Identity
from comity.crypto.sodium import Sodium
from comity.crypto.symbolic import Symbolic
from comity.protocol.session import (
    Endpoint,
    Failed,
    SendFrame,
    Session,
    SessionEvent,
    invite_tag,
)

if TYPE_CHECKING:
    from comity.base.errors import Reason
    from comity.crypto.port import Crypto

NOW: Final = Instant(1_000)
SEED: Final = bytes(range(16))
TOPIC: Final = Topic(bytes(range(32)))
PORTS: Final[list[Crypto]] = [Sodium(), Symbolic()]
each_port = pytest.mark.parametrize("crypto", PORTS, ids=lambda port: port.name)
each_pattern = pytest.mark.parametrize("seed", [None, SEED], ids=["XX", "XXpsk3"])


class Counted:
    """Bytes that depend on a name and on how many were drawn: an `Entropy` to repeat."""

    __slots__ = ("_count", "_name")

    def __init__(self, name: bytes) -> None:
        self._name = name
        self._count = 0

    def draw(self, count: int) -> bytes:
        """Return the next `count` bytes."""
        self._count += 1
        return hashlib.shake_256(self._name + self._count.to_bytes(4, "big")).digest(count)


def endpoint(
    name: bytes, crypto: Crypto | None = None, versions: tuple[int, ...] = (1,)
) -> Endpoint:
    """Make the process of a device that the name fixes."""
    crypto = crypto or Symbolic()
    return Endpoint(
        crypto=crypto,
        entropy=Counted(name),
        identity=Identity(crypto, hashlib.sha256(b"device" + name).digest()),
        static_secret=hashlib.sha256(b"static" + name).digest(),
        versions=versions,
    )


def open_invite(tag: bytes, ephemeral: bytes) -> bytes | None:
    """Know one invite."""
    return SEED if tag == invite_tag(SEED, ephemeral) else None


def dial(crypto: Crypto | None = None, seed: bytes | None = None) -> tuple[Session, Session]:
    """Make both sides of a session: alice dials bob."""
    alice = Session(endpoint(b"alice", crypto), initiator=True, now=NOW, secret=seed)
    bob = Session(endpoint(b"bob", crypto), initiator=False, now=NOW, secret_for=open_invite)
    return alice, bob


def handshake(alice: Session, bob: Session) -> tuple[list[bytes], list[SessionEvent]]:
    """Carry frames to and fro until nothing is sent; return them and all other events."""
    frames: list[bytes] = []
    events: list[SessionEvent] = []
    waiting = list(alice.start())
    receiver, other = bob, alice
    while waiting:
        frame = waiting.pop()
        frames.append(frame)
        for event in receiver.receive(frame, NOW):
            if isinstance(event, SendFrame):
                waiting.append(event.frame)
            else:
                events.append(event)
        receiver, other = other, receiver
    return frames, events


def connected(
    crypto: Crypto | None = None, seed: bytes | None = None
) -> tuple[Session, Session]:
    """Return both sides of an open session."""
    alice, bob = dial(crypto, seed)
    handshake(alice, bob)
    assert alice.established
    assert bob.established
    return alice, bob


def carry(source: Session, target: Session, plain: bytes) -> list[SessionEvent]:
    """Send one message and return what the other side says."""
    events: list[SessionEvent] = []
    for frame in source.seal(plain):
        assert len(frame) <= FRAME_BYTES_MAX
        events.extend(target.receive(frame, NOW))
    return events


def refusal(events: tuple[SessionEvent, ...] | list[SessionEvent]) -> Reason:
    """Return the reason of what must be a single failure."""
    (event,) = events
    assert isinstance(event, Failed)
    return event.refusal.reason
