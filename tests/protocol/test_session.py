"""Handshakes: two honest sides always meet; whatever else happens is refused in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.base.clock import SECOND, Instant, after
from comity.base.errors import Reason
from comity.base.ids import DeviceId
from comity.base.limits import FRAME_BYTES_MAX, HANDSHAKE_TIMEOUT
from comity.crypto.keys import KeyPair
from comity.crypto.noise import HandshakeKeys, HandshakeState
from comity.crypto.sodium import Sodium
from comity.crypto.symbolic import Symbolic
from comity.protocol.session import (
    Established,
    Failed,
    Received,
    SendFrame,
    Session,
    SessionEvent,
    invite_id,
)
from tests.protocol.sessions import (
    NOW,
    SEED,
    TOPIC,
    carry,
    connected,
    dial,
    each_pattern,
    each_port,
    endpoint,
    handshake,
    open_invite,
    refusal,
)

if TYPE_CHECKING:
    from comity.crypto.port import Crypto


# ---------------------------------------------------------------------- handshake


@each_port
@each_pattern
def test_two_honest_sides_meet(crypto: Crypto, seed: bytes | None) -> None:
    """Both learn the other's device, one hash and one version, and can talk both ways."""
    alice, bob = dial(crypto, seed)
    _, events = handshake(alice, bob)
    at_alice, at_bob = events
    assert isinstance(at_alice, Established)
    assert isinstance(at_bob, Established)
    assert at_alice.peer == endpoint(b"bob", crypto).identity.device
    assert at_bob.peer == endpoint(b"alice", crypto).identity.device
    assert at_alice.handshake_hash == at_bob.handshake_hash
    assert len(at_alice.handshake_hash) == 64
    assert at_alice.version == at_bob.version == 1
    joined = None if seed is None else invite_id(seed)
    assert at_alice.joined_by == at_bob.joined_by == joined
    assert carry(alice, bob, b"hello") == [Received(b"hello")]
    assert carry(bob, alice, b"") == [Received(b"")]
    assert alice.tag(TOPIC) == bob.tag(TOPIC)
    assert len(alice.tag(TOPIC)) == 16


@each_pattern
def test_frames_have_the_sizes_of_the_law(seed: bytes | None) -> None:
    """Frame sizes are those that the module's docstring promises."""
    frames, _ = handshake(*dial(seed=seed))
    assert [len(frame) for frame in frames] == [68 if seed else 36, 195, 160]


def test_the_same_entropy_gives_the_same_frames() -> None:
    """A session is a function of what is passed in."""
    assert handshake(*dial()) == handshake(*dial())


def test_sessions_differ() -> None:
    """With other ephemerals hash, tags and invite tags differ: sightings do not link."""
    alice, bob = endpoint(b"alice"), endpoint(b"bob")
    hashes: set[bytes] = set()
    invites: set[bytes] = set()
    for _ in range(5):
        ours = Session(alice, initiator=True, now=NOW, secret=SEED)
        theirs = Session(bob, initiator=False, now=NOW, secret_for=open_invite)
        frames, _ = handshake(ours, theirs)
        invites.add(frames[0][4:20])
        hashes.add(ours.tag(TOPIC))
    assert len(hashes) == len(invites) == 5
    assert invite_id(SEED) not in invites


@each_port
@each_pattern
def test_every_altered_byte_is_refused(crypto: Crypto, seed: bytes | None) -> None:
    """A flipped bit anywhere in any handshake frame: no side opens that would be misled."""
    sizes = [len(frame) for frame in handshake(*dial(crypto, seed))[0]]
    for number, size in enumerate(sizes):
        for position in range(size):
            _altered(crypto, seed, number, position)


def _altered(crypto: Crypto, seed: bytes | None, number: int, position: int) -> None:
    alice, bob = dial(crypto, seed)
    (frame,) = alice.start()
    receiver, other = bob, alice
    events: list[SessionEvent] = []
    for index in range(3):
        if index == number:
            bit = 0x80 >> position % 8
            frame = frame[:position] + bytes([frame[position] ^ bit]) + frame[position + 1 :]
        events = list(receiver.receive(frame, NOW))
        first = events[0]
        if isinstance(first, Failed):
            break
        assert isinstance(first, SendFrame)
        frame = first.frame
        receiver, other = other, receiver
    assert isinstance(events[0], Failed), (number, position)
    assert not bob.established
    # The initiator opens by sending frame 3; only that one may be lost on it.
    assert alice.established == (number == 2)


@each_pattern
@pytest.mark.parametrize("number", [0, 1, 2])
def test_cut_off_and_longer_frames_are_refused(seed: bytes | None, number: int) -> None:
    """Each handshake frame, at every shorter length or a byte longer, is refused."""
    size = len(handshake(*dial(seed=seed))[0][number])
    for cut in [*range(size), size + 1]:
        alice, bob = dial(seed=seed)
        (frame,) = alice.start()
        receiver, other = bob, alice
        for _ in range(number):
            first = receiver.receive(frame, NOW)[0]
            assert isinstance(first, SendFrame)
            frame = first.frame
            receiver, other = other, receiver
        answer = receiver.receive((frame + b"\0")[:cut], NOW)
        assert refusal(answer) in {Reason.MALFORMED, Reason.HANDSHAKE_FAILED}, cut
        assert not receiver.established


def test_handshake_frames_cannot_be_replayed() -> None:
    """Frames of an earlier handshake do not open a new one with a fresh responder."""
    alice, bob = endpoint(b"alice"), endpoint(b"bob")
    frames, _ = handshake(
        Session(alice, initiator=True, now=NOW), Session(bob, initiator=False, now=NOW)
    )
    again = Session(bob, initiator=False, now=NOW)
    (second,) = again.receive(frames[0], NOW)
    assert isinstance(second, SendFrame)
    assert second.frame != frames[1]
    assert refusal(again.receive(frames[2], NOW)) is Reason.HANDSHAKE_FAILED
    dialling = Session(alice, initiator=True, now=NOW)
    dialling.start()
    assert refusal(dialling.receive(frames[1], NOW)) is Reason.HANDSHAKE_FAILED


def test_reflected_and_repeated_handshake_frames_are_refused() -> None:
    """A side that gets its own frame, or the same frame twice, refuses it."""
    alice, bob = dial()
    (first,) = alice.start()
    (second,) = bob.receive(first, NOW)
    assert isinstance(second, SendFrame)
    assert refusal(alice.receive(first, NOW)) is Reason.HANDSHAKE_FAILED
    assert refusal(bob.receive(second.frame, NOW)) is Reason.HANDSHAKE_FAILED
    alice, bob = dial()
    (first,) = alice.start()
    bob.receive(first, NOW)
    assert refusal(bob.receive(first, NOW)) is Reason.HANDSHAKE_FAILED


def test_a_frame_before_the_start_is_out_of_turn() -> None:
    """An initiator that has not begun expects nothing."""
    alice, _ = dial()
    assert refusal(alice.receive(bytes(36), NOW)) is Reason.OUT_OF_TURN


def test_a_responder_starts_with_nothing() -> None:
    """The responder waits for the other side."""
    _, bob = dial()
    assert bob.start() == ()


# ---------------------------------------------------------------------- who


def test_the_dialled_device_must_answer() -> None:
    """The expected device opens; any other is refused, and learns nothing of the dialler."""
    bob = endpoint(b"bob")
    for expected, opens in ((bob.identity.device, True), (DeviceId(bytes(32)), False)):
        alice = Session(endpoint(b"alice"), initiator=True, now=NOW, expected=expected)
        frames, events = handshake(alice, Session(bob, initiator=False, now=NOW))
        assert alice.established == opens
        if not opens:
            assert refusal(events) is Reason.WRONG_DEVICE
            assert len(frames) == 2


def test_a_session_with_oneself_is_refused() -> None:
    """A device that dials itself is told so."""
    alice = Session(endpoint(b"alice"), initiator=True, now=NOW)
    _, events = handshake(alice, Session(endpoint(b"alice"), initiator=False, now=NOW))
    assert refusal(events) is Reason.WRONG_DEVICE


@each_port
@pytest.mark.parametrize("liar", [b"alice", b"bob"])
def test_a_borrowed_identity_is_refused(crypto: Crypto, liar: bytes) -> None:
    """Another's device id, another's proof for another static, and the wrong role all fail."""
    honest = endpoint(liar, crypto)
    carol = endpoint(b"carol", crypto)
    signed = [proof[32:] for proof in honest.proofs]
    for proofs in (
        [carol.identity.device + signature for signature in signed],
        list(carol.proofs),
        list(reversed(honest.proofs)),
    ):
        lying = endpoint(liar, crypto)
        lying.proofs = tuple(proofs)
        ends = {name: endpoint(name, crypto) for name in (b"alice", b"bob")} | {liar: lying}
        alice = Session(ends[b"alice"], initiator=True, now=NOW)
        bob = Session(ends[b"bob"], initiator=False, now=NOW)
        _, events = handshake(alice, bob)
        assert refusal(events[-1:]) is Reason.BAD_SIGNATURE
        assert not bob.established


def test_real_and_symbolic_nodes_do_not_meet() -> None:
    """The port's name is in the prologue: the two never take each other for real."""
    alice, _ = dial(Symbolic())
    _, bob = dial(Sodium())
    _, events = handshake(alice, bob)
    assert refusal(events) is Reason.HANDSHAKE_FAILED


def second_frame(first: bytes, payload: bytes) -> bytes:
    """Answer frame 1 as bob's keys can, with any payload."""
    bob = endpoint(b"bob")
    state = HandshakeState(
        bob.crypto,
        "Noise_XX_25519_ChaChaPoly_BLAKE2b",
        initiator=False,
        keys=HandshakeKeys(static=bob.static, ephemeral=KeyPair(bob.crypto, bytes(32))),
        prologue=b"comity/session/1\x08symbolic" + first[:4],
    )
    assert state.read(first[4:]) == b""
    second = state.write(payload)
    assert isinstance(second, bytes)
    return second


@pytest.mark.parametrize(
    ("hello", "cut", "reason"),
    [
        (b"\xc0\x01\x01", 96, None),
        (b"\xc0\x01\x02", 96, Reason.UNSUPPORTED),
        (b"\xc0\x00", 96, Reason.MALFORMED),
        (b"\xc0\x01\x01", 95, Reason.MALFORMED),
        (b"\xc0\x01\x01", 97, Reason.MALFORMED),
        (b"", 0, Reason.MALFORMED),
    ],
)
def test_bad_payloads_of_a_peer_with_the_keys(
    hello: bytes, cut: int, reason: Reason | None
) -> None:
    """A frame 2 that decrypts but says something wrong is refused with a reason."""
    alice, _ = dial()
    (first,) = alice.start()
    payload = hello + (endpoint(b"bob").proofs[1] + b"\0")[:cut]
    events = alice.receive(second_frame(first, payload), NOW)
    assert alice.established == (reason is None)
    if reason is not None:
        assert refusal(events) is reason


# ---------------------------------------------------------------------- invites


def any_invite(_tag: bytes, _ephemeral: bytes) -> bytes | None:
    """Take every tag for the same wrong seed."""
    return bytes(16)


def test_an_unknown_invite_is_refused() -> None:
    """A seed that the responder does not hold, or a responder without invites: unknown."""
    for secret, secret_for in ((bytes(16), open_invite), (SEED, None)):
        alice = Session(endpoint(b"alice"), initiator=True, now=NOW, secret=secret)
        bob = Session(endpoint(b"bob"), initiator=False, now=NOW, secret_for=secret_for)
        frames, events = handshake(alice, bob)
        assert refusal(events) is Reason.INVITE_UNKNOWN
        assert len(frames) == 1


@each_port
def test_another_seed_fails_at_the_responder(crypto: Crypto) -> None:
    """A responder that takes the tag for another seed refuses frame 3, and reads nothing."""
    alice = Session(endpoint(b"alice", crypto), initiator=True, now=NOW, secret=SEED)
    bob = Session(endpoint(b"bob", crypto), initiator=False, now=NOW, secret_for=any_invite)
    _, events = handshake(alice, bob)
    assert refusal(events[1:]) is Reason.HANDSHAKE_FAILED
    assert not bob.established
    assert refusal(alice.receive(bytes(40), NOW)) is Reason.WRONG_KEY


def test_a_stripped_invite_is_refused() -> None:
    """Turning a joining hello into a plain one breaks the handshake: no silent downgrade."""
    alice, bob = dial(seed=SEED)
    (first,) = alice.start()
    plain = first[:3] + b"\0" + first[20:52]
    (second,) = bob.receive(plain, NOW)
    assert isinstance(second, SendFrame)
    assert refusal(alice.receive(second.frame, NOW)) is Reason.HANDSHAKE_FAILED


# ---------------------------------------------------------------------- versions


@pytest.mark.parametrize(
    ("ours", "theirs", "common"),
    [((1, 2), (1, 2), 2), ((1, 2), (1,), 1), ((1,), (1, 7, 9), 1), ((2, 3), (1, 2), 2)],
)
def test_the_highest_common_version(
    ours: tuple[int, ...], theirs: tuple[int, ...], common: int
) -> None:
    """Both sides come to the highest version that both speak."""
    alice = Session(endpoint(b"alice", versions=ours), initiator=True, now=NOW)
    bob = Session(endpoint(b"bob", versions=theirs), initiator=False, now=NOW)
    _, events = handshake(alice, bob)
    assert [e.version for e in events if isinstance(e, Established)] == [common, common]


def test_no_common_version_is_unsupported() -> None:
    """Sides that share no version part with that reason."""
    alice = Session(endpoint(b"alice", versions=(2,)), initiator=True, now=NOW)
    bob = Session(endpoint(b"bob"), initiator=False, now=NOW)
    _, events = handshake(alice, bob)
    assert refusal(events) is Reason.UNSUPPORTED


def test_a_shortened_offer_is_noticed() -> None:
    """Who takes the newer version out of the offer breaks the handshake."""
    alice = Session(endpoint(b"alice", versions=(1, 2)), initiator=True, now=NOW)
    bob = Session(endpoint(b"bob", versions=(1, 2)), initiator=False, now=NOW)
    (first,) = alice.start()
    assert first[:4] == b"\xc0\x02\x01\x02"
    (second,) = bob.receive(b"\xc0\x01\x01" + first[4:], NOW)
    assert isinstance(second, SendFrame)
    assert refusal(alice.receive(second.frame, NOW)) is Reason.HANDSHAKE_FAILED


@pytest.mark.parametrize(
    ("hello", "reason"),
    [
        (b"\xc1\x01\x01\0", Reason.MALFORMED),
        (b"\xc0\x00\0", Reason.MALFORMED),
        (b"\xc0\x02\x00\x01\0", Reason.MALFORMED),
        (b"\xc0\x02\x01\x01\0", Reason.MALFORMED),
        (b"\xc0\x02\x02\x01\0", Reason.MALFORMED),
        (b"\xc0\x11" + bytes(range(1, 18)) + b"\0", Reason.MALFORMED),
        (b"\xc0\x01\x02\0", Reason.UNSUPPORTED),
        (b"\xc0\x01\x01\x02", Reason.UNSUPPORTED),
    ],
)
def test_bad_hellos(hello: bytes, reason: Reason) -> None:
    """Each way in which a hello can be wrong has its reason."""
    _, bob = dial()
    assert refusal(bob.receive(hello + bytes([9]) * 32, NOW)) is reason


@pytest.mark.parametrize("low", [bytes(32), bytes([1]) + bytes(31)])
@each_port
def test_low_order_ephemerals_are_refused(crypto: Crypto, low: bytes) -> None:
    """An ephemeral that would fix the shared secret is refused."""
    _, bob = dial(crypto)
    assert refusal(bob.receive(b"\xc0\x01\x01\0" + low, NOW)) is Reason.HANDSHAKE_FAILED


@pytest.mark.parametrize("stage", range(4))
def test_oversized_frames_are_refused(stage: int) -> None:
    """A frame above 65,535 bytes is refused in every state, before anything is computed."""
    alice, bob = dial()
    session = bob if stage in {0, 2} else alice
    if stage == 3:
        handshake(alice, bob)
    elif stage > 0:
        (first,) = alice.start()
        bob.receive(first, NOW)
    assert refusal(session.receive(bytes(FRAME_BYTES_MAX + 1), NOW)) is Reason.TOO_BIG


@given(st.sampled_from(["first", "second", "third", "open"]), st.binary(max_size=300))
def test_foreign_bytes_never_raise(stage: str, frame: bytes) -> None:
    """Whatever bytes come in whatever state, the answer is a value, never an opening."""
    alice, bob = connected() if stage == "open" else dial()
    session = alice if stage == "second" else bob
    if stage in {"second", "third"}:
        (first,) = alice.start()
        if stage == "third":
            bob.receive(first, NOW)
    for event in session.receive(frame, NOW):
        # 32 bytes after a right hello are a key that somebody may hold.
        assert isinstance(event, Failed | SendFrame)
        assert isinstance(event, Failed) or stage == "first"


# ---------------------------------------------------------------------- time


@pytest.mark.parametrize("steps", range(3))
def test_a_slow_handshake_is_given_up(steps: int) -> None:
    """Ten seconds from its beginning, and not before, an unfinished handshake fails."""
    alice, bob = dial()
    if steps > 0:
        (first,) = alice.start()
        if steps > 1:
            bob.receive(first, NOW)
    limit = after(NOW, HANDSHAKE_TIMEOUT)
    for session in (alice, bob):
        assert session.deadline == limit
        assert session.advance(Instant(limit - 1)) == ()
        assert refusal(session.advance(limit)) is Reason.HANDSHAKE_FAILED
        assert session.deadline is None


def test_a_late_frame_does_not_save_a_handshake() -> None:
    """A frame at the deadline fails the handshake, even before `advance` was called."""
    alice, bob = dial()
    (first,) = alice.start()
    late = bob.receive(first, after(NOW, HANDSHAKE_TIMEOUT))
    assert refusal(late) is Reason.HANDSHAKE_FAILED


# ---------------------------------------------------------------------- secrets


@each_pattern
def test_no_secret_shows(seed: bytes | None) -> None:
    """No repr of a session, its endpoint, its Noise state or its events holds a secret."""
    ends = endpoint(b"alice"), endpoint(b"bob")
    alice = Session(ends[0], initiator=True, now=NOW, secret=seed)
    bob = Session(ends[1], initiator=False, now=NOW, secret_for=open_invite)
    (first,) = alice.start()
    assert alice._handshake is not None
    ephemeral = alice._handshake._keys.ephemeral
    assert ephemeral is not None
    shown = [repr(x) for x in (alice, alice._handshake, alice._handshake._keys, *ends)]
    (second,) = bob.receive(first, NOW)
    assert isinstance(second, SendFrame)
    third, established = alice.receive(second.frame, NOW)
    assert isinstance(third, SendFrame)
    shown += [repr(x) for x in (alice, bob, established, *bob.receive(third.frame, NOW))]
    shown += [repr(event) for event in carry(alice, bob, b"a plain text to hide")]
    keys = [alice._send._key, alice._receive._key]
    secrets = [ends[0].static.secret, ephemeral.secret, ends[0].identity._seed, SEED]
    for secret in [*secrets, *(key for key in keys if key), b"a plain text to hide"]:
        for text in shown:
            assert secret.hex() not in text
            assert repr(secret)[2:-1] not in text


def test_keys_are_forgotten() -> None:
    """An open session holds no handshake and no seed; an ended one no key."""
    alice, bob = connected(seed=SEED)
    assert alice._handshake is None
    assert alice._secret is None
    alice.receive(b"bad", Instant(NOW + SECOND))
    assert not alice._send.has_key
    assert not alice._receive.has_key
    assert bob._handshake is None
