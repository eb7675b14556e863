"""The open session: messages arrive whole and in order, or the session ends in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.base.clock import Duration, Instant, after
from comity.base.errors import Reason
from comity.base.limits import FRAME_BYTES_MAX, MESSAGE_BYTES_MAX
from comity.protocol.session import (
    PART_BYTES_MAX,
    REKEY_AGE,
    REKEY_FRAMES,
    Received,
    SendFrame,
    Session,
    SessionEvent,
)
from tests.protocol.sessions import (
    NOW,
    TOPIC,
    carry,
    connected,
    dial,
    each_port,
    endpoint,
    handshake,
    refusal,
)

if TYPE_CHECKING:
    from comity.crypto.port import Crypto


# ---------------------------------------------------------------------- messages

SIZES: Final = st.one_of(
    st.integers(0, 300),
    st.sampled_from([1, 2, 3]).flatmap(
        lambda n: st.integers(n * PART_BYTES_MAX - 2, n * PART_BYTES_MAX + 2)
    ),
)


@given(st.lists(st.tuples(st.booleans(), SIZES, st.binary(min_size=1, max_size=4)), max_size=8))
def test_messages_arrive_whole_and_in_order(script: list[tuple[bool, int, bytes]]) -> None:
    """Any messages in any interleaving arrive as sent: the twin is a list per direction."""
    alice, bob = connected()
    sent: dict[bool, list[SessionEvent]] = {True: [], False: []}
    frames: dict[bool, list[bytes]] = {True: [], False: []}
    for forward, size, pattern in script:
        plain = (pattern * (size // len(pattern) + 1))[:size]
        sent[forward].append(Received(plain))
        frames[forward].extend((alice if forward else bob).seal(plain))
    for forward, target in ((True, bob), (False, alice)):
        events = [event for frame in frames[forward] for event in target.receive(frame, NOW)]
        assert events == sent[forward]
        assert target.established


@each_port
@pytest.mark.parametrize("size", [PART_BYTES_MAX, PART_BYTES_MAX + 1, MESSAGE_BYTES_MAX])
def test_big_messages(crypto: Crypto, size: int) -> None:
    """Messages up to the limit arrive, in as few frames as there can be."""
    alice, bob = connected(crypto)
    plain = (bytes(range(256)) * 4096)[:size]
    frames = alice.seal(plain)
    assert len(frames) == -(-size // PART_BYTES_MAX)
    assert all(len(frame) == FRAME_BYTES_MAX for frame in frames[:-1])
    events = [event for frame in frames for event in bob.receive(frame, NOW)]
    assert events == [Received(plain)]


def test_a_message_over_the_limit_is_our_mistake() -> None:
    """One byte more than 1 MiB asserts, and nothing was sent or counted."""
    alice, bob = connected()
    with pytest.raises(AssertionError):
        alice.seal(bytes(MESSAGE_BYTES_MAX + 1))
    assert carry(alice, bob, b"after") == [Received(b"after")]


def test_a_message_that_never_ends_is_cut_off() -> None:
    """Parts beyond 1 MiB end the session; what was gathered is let go."""
    alice, bob = connected()
    events: tuple[SessionEvent, ...] = ()
    for _ in range(MESSAGE_BYTES_MAX // PART_BYTES_MAX + 1):
        assert events == ()
        events = bob.receive(alice._seal_part(1, bytes(PART_BYTES_MAX)), NOW)
    assert refusal(events) is Reason.TOO_BIG
    assert bob._parts == []


@pytest.mark.parametrize(
    ("kind", "part", "reason"),
    [
        (3, b"part", Reason.MALFORMED),
        (255, b"", Reason.MALFORMED),
        (2, b"x", Reason.MALFORMED),
        (1, b"short", Reason.NOT_CANONICAL),
        (1, b"", Reason.NOT_CANONICAL),
    ],
)
def test_bad_frames_of_a_peer_with_the_keys(kind: int, part: bytes, reason: Reason) -> None:
    """Frames that open but do not follow the format end the session with a reason."""
    alice, bob = connected()
    assert refusal(bob.receive(alice._seal_part(kind, part), NOW)) is reason


def test_an_empty_last_part_is_not_canonical() -> None:
    """There is one way to cut a message: the last of several parts holds something."""
    alice, bob = connected()
    assert bob.receive(alice._seal_part(1, bytes(PART_BYTES_MAX)), NOW) == ()
    assert refusal(bob.receive(alice._seal_part(0, b""), NOW)) is Reason.NOT_CANONICAL


def test_a_frame_without_a_kind_is_malformed() -> None:
    """An authenticated frame of nothing at all is refused."""
    alice, bob = connected()
    assert refusal(bob.receive(alice._send.encrypt(b"", b""), NOW)) is Reason.MALFORMED


@each_port
def test_the_first_bad_frame_ends_the_session(crypto: Crypto) -> None:
    """Altered anywhere, cut, lengthened, repeated, reordered, reflected, lost: all end it."""
    size = len(connected(crypto)[0].seal(b"plain")[0])
    for position in range(size):
        alice, bob = connected(crypto) if position % 8 == 0 else connected()
        (frame,) = alice.seal(b"plain")
        altered = frame[:position] + bytes([frame[position] ^ 4]) + frame[position + 1 :]
        for bad in (altered, frame[:position]):
            assert refusal(bob.receive(bad, NOW)) in {Reason.WRONG_KEY, Reason.OUT_OF_TURN}
        assert refusal(bob.receive(frame, NOW)) is Reason.OUT_OF_TURN
    for order in ((0, 0), (1,), (0, 2)):
        alice, bob = connected(crypto)
        frames = [alice.seal(bytes([n]))[0] for n in range(3)]
        for index in order[:-1]:
            assert bob.receive(frames[index], NOW) == (Received(bytes([index])),)
        assert refusal(bob.receive(frames[order[-1]], NOW)) is Reason.WRONG_KEY
    alice, bob = connected(crypto)
    (frame,) = alice.seal(b"plain")
    assert refusal(alice.receive(frame, NOW)) is Reason.WRONG_KEY
    alice, bob = connected(crypto)
    assert refusal(bob.receive(alice.seal(b"plain")[0] + b"\0", NOW)) is Reason.WRONG_KEY


def test_frames_of_another_session_are_refused() -> None:
    """The same two processes, another session: its frames do not fit."""
    ends = endpoint(b"alice"), endpoint(b"bob")
    pairs: list[tuple[Session, Session]] = []
    for _ in range(2):
        alice = Session(ends[0], initiator=True, now=NOW)
        bob = Session(ends[1], initiator=False, now=NOW)
        handshake(alice, bob)
        pairs.append((alice, bob))
    (frame,) = pairs[0][0].seal(b"plain")
    assert refusal(pairs[1][1].receive(frame, NOW)) is Reason.WRONG_KEY


def test_an_ended_session_stays_ended() -> None:
    """After a failure every frame is out of turn, there is no deadline, nothing is sealed."""
    alice, bob = connected()
    bob.receive(b"bad", NOW)
    (frame,) = alice.seal(b"plain")
    for _ in range(3):
        assert refusal(bob.receive(frame, NOW)) is Reason.OUT_OF_TURN
    assert bob.deadline is None
    assert bob.advance(after(NOW, Duration(2 * REKEY_AGE))) == ()
    assert not bob.established
    with pytest.raises(AssertionError):
        bob.seal(b"plain")


def test_nothing_is_sealed_before_the_session_is_open() -> None:
    """Sealing or naming topics too early is our own mistake."""
    for session in dial():
        with pytest.raises(AssertionError):
            session.seal(b"plain")
        with pytest.raises(AssertionError):
            session.tag(TOPIC)


# ---------------------------------------------------------------------- time


def test_a_key_in_use_is_replaced_after_an_hour() -> None:
    """The side that sent announces its next key; both then go on, in both directions."""
    alice, bob = connected()
    carry(alice, bob, b"before")
    later = NOW
    for _ in range(3):
        due = alice.deadline
        assert due is not None
        assert due == after(later, REKEY_AGE)
        assert alice.advance(Instant(due - 1)) == ()
        key = alice._send._key
        (event,) = alice.advance(due)
        assert isinstance(event, SendFrame)
        assert alice._send._key != key
        assert bob.receive(event.frame, due) == ()
        assert alice._send._key == bob._receive._key
        assert carry(alice, bob, b"after") == [Received(b"after")]
        assert carry(bob, alice, b"back") == [Received(b"back")]
        later = due


def test_an_unused_key_is_kept() -> None:
    """A side that sent nothing has nothing to announce, and wakes an hour later."""
    alice, _ = connected()
    due = alice.deadline
    assert due is not None
    assert alice.advance(due) == ()
    assert alice.deadline == after(due, REKEY_AGE)


def test_a_rekey_between_the_parts_of_a_message() -> None:
    """A message whose parts are under two keys arrives whole."""
    alice, bob = connected()
    alice._sent_frames = REKEY_FRAMES - 2
    bob._received_frames = REKEY_FRAMES - 2
    plain = bytes(range(200)) * 1000
    frames = alice.seal(plain)
    assert len(frames) == -(-len(plain) // PART_BYTES_MAX) + 1
    assert [e for frame in frames for e in bob.receive(frame, NOW)] == [Received(plain)]


def test_a_key_is_replaced_after_65536_frames() -> None:
    """Counted from the first frame: frame 65,536 announces, and the next one opens."""
    alice, bob = connected()
    key = alice._send._key
    for _ in range(REKEY_FRAMES - 1):
        (frame,) = alice.seal(b"")
        assert bob.receive(frame, NOW) == (Received(b""),)
    assert alice._send._key == key
    frames = alice.seal(b"next")
    assert len(frames) == 2
    assert bob.receive(frames[0], NOW) == ()
    assert alice._send._key == bob._receive._key != key
    assert bob.receive(frames[1], NOW) == (Received(b"next"),)


def test_a_peer_that_does_not_rekey_is_refused() -> None:
    """The frame that should have announced the next key, and did not, ends the session."""
    alice, bob = connected()
    bob._received_frames = REKEY_FRAMES - 1
    assert refusal(bob.receive(alice.seal(b"")[0], NOW)) is Reason.OUT_OF_TURN
