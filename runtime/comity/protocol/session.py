"""A session: who is at the other end of a link, and a private channel to it.

Owns: the handshake of one link, the cutting of messages into frames, rekeying, and the end of
all that. May not know: records, actors, who is allowed what, sockets; time and entropy are
passed in. Noise_XX_25519_ChaChaPoly_BLAKE2b, or XXpsk3 when a newcomer joins by an invite.

    state         input            next          says
    READY         start            WAIT_SECOND   frame 1                      (initiator)
    WAIT_FIRST    frame 1          WAIT_THIRD    SendFrame(frame 2)           (responder)
    WAIT_SECOND   frame 2          OPEN          SendFrame(frame 3), Established
    WAIT_THIRD    frame 3          OPEN          Established
    OPEN          a frame          OPEN          Received; nothing for a part or a rekey
    OPEN          an hour passed   OPEN          SendFrame(rekey), if anything was sent
    not OPEN      10 s passed      OVER          Failed
    any           a bad frame      OVER          Failed
    OVER          any frame        OVER          Failed(OUT_OF_TURN)

    frame 1   hello | e                 36 bytes; joining: 68 (tag 16, AEAD tag 16)
    frame 2   e, ee, s, es | hello | device 32 | signature 64             195 bytes
    frame 3   s, se [, psk] | device 32 | signature 64                    160 bytes
    hello     0xC0 | count u8 | versions u8 ascending; the initiator's also
              pattern u8 (0 XX, 1 XXpsk3) | tag 16 if 1
    later     kind u8 (0 last part, 1 more follows, 2 rekey) | part, all of it inside the AEAD

The initiator's hello is in the prologue, the responder's in frame 2's encrypted payload: who
alters the offer of versions breaks the handshake, and both sides take the highest common one.
The signature is over `comity/noise/1` || noise static || role (0 initiator, 1 responder).
In XXpsk3 the responder has proven the invite's seed only with the first `Received`; whatever
is sealed before that can be read by nobody who lacks it.
Source: PROTOCOL sections 5 and 9; Noise revision 34 sections 7.5, 9, 11.3.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, unique
from itertools import pairwise
from typing import TYPE_CHECKING, Final, final

from comity.base.canonical import Malformed, Reader
from comity.base.clock import HOUR, Duration, Instant, after
from comity.base.errors import Reason, Rejected
from comity.base.ids import ID_BYTES, DeviceId, Topic, short
from comity.base.limits import FRAME_BYTES_MAX, HANDSHAKE_TIMEOUT, MESSAGE_BYTES_MAX
from comity.base.values import made_fast
from comity.crypto.hashing import (
    PERSON_INVITE,
    PERSON_PSK,
    PERSON_SIGHTING,
    PERSON_TAG,
    blake2b,
)
from comity.crypto.keys import Identity, KeyPair
from comity.crypto.noise import CipherState, HandshakeKeys, HandshakeState
from comity.crypto.port import KEY_BYTES, SIGNATURE_BYTES, TAG_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from comity.base.ports import Entropy
    from comity.crypto.port import Crypto

__all__ = [
    "PART_BYTES_MAX",
    "REKEY_AGE",
    "REKEY_FRAMES",
    "SEED_BYTES",
    "SESSION_TAG_BYTES",
    "VERSIONS",
    "Endpoint",
    "Established",
    "Failed",
    "Received",
    "SendFrame",
    "Session",
    "SessionEvent",
    "invite_id",
    "invite_tag",
]

VERSIONS: Final = (1,)
"""Protocol versions that this code speaks, ascending."""

VERSIONS_MAX: Final = 16
"""Versions in one hello."""

REKEY_FRAMES: Final = 1 << 16
"""Frames under one key, the announcement of the next included: what a stolen key opens."""

REKEY_AGE: Final = Duration(HOUR)
"""Age of a key that was used; half would double the wakings of a quiet link."""

PART_BYTES_MAX: Final = FRAME_BYTES_MAX - TAG_BYTES - 1
"""What one frame carries of a message. Parts that are not the last have exactly this size."""

SEED_BYTES: Final = 16
"""The seed of an invite: 128 random bits, short enough for a link or twelve words."""

SESSION_TAG_BYTES: Final = 16
"""A topic's or an invite's name inside one session."""

_SECRET_BYTES_MAX: Final = 64  # the longest key of BLAKE2b
_HELLO: Final = 0xC0
_PATTERNS: Final = ("XX", "XXpsk3")
_PLAIN, _JOINING = 0, 1
_INITIATOR, _RESPONDER = 0, 1
_LAST, _MORE, _REKEY = 0, 1, 2
_PROLOGUE: Final = b"comity/session/1"
_PROOF: Final = b"comity/noise/1"


@final
class Endpoint:
    """What all sessions of one process share; made once, it spares 55 us a handshake.

    static_secret: 32 fresh bytes of this process, X25519. versions: ascending, in 1..255.
    """

    __slots__ = ("crypto", "entropy", "identity", "proofs", "static", "versions")

    def __init__(
        self,
        *,
        crypto: Crypto,
        entropy: Entropy,
        identity: Identity,
        static_secret: bytes,
        versions: tuple[int, ...] = VERSIONS,
    ) -> None:
        """Sign the static key in both roles."""
        assert versions == tuple(sorted({*versions}))
        assert 1 <= len(versions) <= VERSIONS_MAX
        self.crypto = crypto
        self.entropy = entropy
        self.identity = identity
        self.versions = versions
        self.static = KeyPair(crypto, static_secret)
        self.proofs = tuple(
            identity.device + identity.sign(_proof(self.static.public, role))
            for role in (_INITIATOR, _RESPONDER)
        )


@made_fast
@dataclass(frozen=True, slots=True)
class SendFrame:
    """Send this frame over the link."""

    frame: bytes


@dataclass(frozen=True, slots=True)
class Established:
    """The handshake verified: the channel is open.

    handshake_hash: 64 bytes, the same on both sides, never seen before. version: of the
    protocol. joined_by: `invite_id` of the seed, 16 bytes, if the session was made with one.
    """

    peer: DeviceId
    handshake_hash: bytes
    version: int
    joined_by: bytes | None = None


@made_fast
@dataclass(frozen=True, slots=True)
class Received:
    """The peer sent this message."""

    plain: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Failed:
    """The session is over: hang up."""

    refusal: Rejected


SessionEvent = SendFrame | Established | Received | Failed
"""Everything that a session can say."""


@unique
class _State(Enum):
    READY = "not started"
    WAIT_FIRST = "waiting for frame 1"
    WAIT_SECOND = "waiting for frame 2"
    WAIT_THIRD = "waiting for frame 3"
    OPEN = "open"
    OVER = "over"


@final
class Session:
    """One side of one session. Not used again after `Failed`."""

    __slots__ = (
        "_endpoint",
        "_expected",
        "_handshake",
        "_handshake_hash",
        "_joined_by",
        "_parts",
        "_parts_bytes",
        "_receive",
        "_received_frames",
        "_secret",
        "_secret_for",
        "_send",
        "_sent_frames",
        "_state",
        "_version",
        "_wake",
    )

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        initiator: bool,
        now: Instant,
        expected: DeviceId | None = None,
        secret: bytes | None = None,
        secret_for: Callable[[bytes, bytes], bytes | None] | None = None,
    ) -> None:
        """Begin; the handshake must be done 10 s from `now`.

        expected: the device that was dialled. secret: an initiator's invite seed, 16 bytes,
        or another secret of at most 64. secret_for: a responder's look-up of the same by
        (tag, the initiator's ephemeral); it compares with `invite_tag` of each open invite.
        """
        assert secret is None or initiator
        assert secret_for is None or not initiator
        assert secret is None or SEED_BYTES <= len(secret) <= _SECRET_BYTES_MAX
        self._endpoint = endpoint
        self._expected = expected
        self._secret = secret
        self._secret_for = secret_for
        self._state = _State.READY if initiator else _State.WAIT_FIRST
        self._wake = after(now, HANDSHAKE_TIMEOUT)
        self._joined_by = None if secret is None else invite_id(secret)
        self._version = 0
        self._handshake: HandshakeState | None = None
        self._handshake_hash = b""
        self._send = self._receive = CipherState(endpoint.crypto)
        self._sent_frames = self._received_frames = 0
        self._parts: list[bytes] = []
        self._parts_bytes = 0

    def __repr__(self) -> str:
        """Show the state and nothing else."""
        return f"Session({self._state.value})"

    @property
    def established(self) -> bool:
        """Whether `seal` and `tag` may be called."""
        return self._state is _State.OPEN

    @property
    def deadline(self) -> Instant | None:
        """When `advance` must be called: the handshake's end, or the next rekey."""
        return None if self._state is _State.OVER else self._wake

    def start(self) -> tuple[bytes, ...]:
        """Return the frames that this side begins with: one, or none for a responder."""
        if self._state is _State.WAIT_FIRST:
            return ()
        assert self._state is _State.READY
        ephemeral = self._draw()
        tag = b"" if self._secret is None else invite_tag(self._secret, ephemeral.public)
        hello = _hello(self._endpoint.versions)
        hello += bytes((_PLAIN if self._secret is None else _JOINING,)) + tag
        handshake = self._begin(hello, ephemeral, self._secret, initiator=True)
        message = handshake.write(b"")
        assert isinstance(message, bytes)
        self._state = _State.WAIT_SECOND
        return (hello + message,)

    def receive(self, frame: bytes, now: Instant) -> tuple[SessionEvent, ...]:
        """Take one frame from the link and say what follows, in order."""
        if len(frame) > FRAME_BYTES_MAX and self._state is not _State.OVER:
            return self._fail(Reason.TOO_BIG, f"a frame of {len(frame)} bytes")
        if self._state is _State.OPEN:
            return self._take(frame)
        if self._state is _State.OVER:
            return (Failed(Rejected(Reason.OUT_OF_TURN, "the session is over")),)
        if now >= self._wake:
            return self.advance(now)
        try:
            match self._state:
                case _State.READY:
                    return self._fail(Reason.OUT_OF_TURN, "a frame before the first")
                case _State.WAIT_FIRST:
                    return self._take_first(frame)
                case _State.WAIT_SECOND:
                    return self._take_second(frame, now)
                case _State.WAIT_THIRD:
                    return self._take_third(frame, now)
        except Malformed as error:
            return self._fail(Reason.MALFORMED, str(error))

    def seal(self, plain: bytes) -> tuple[bytes, ...]:
        """Return the frames that carry a message, to be sent in order. At most 1 MiB."""
        assert self._state is _State.OPEN
        size = len(plain)
        assert size <= MESSAGE_BYTES_MAX
        if size <= PART_BYTES_MAX and self._sent_frames < REKEY_FRAMES - 1:
            return (self._seal_part(_LAST, plain),)
        frames: list[bytes] = []
        for start in range(0, max(size, 1), PART_BYTES_MAX):
            if self._sent_frames == REKEY_FRAMES - 1:
                frames.append(self._seal_rekey())
            stop = start + PART_BYTES_MAX
            kind = _MORE if stop < size else _LAST
            frames.append(self._seal_part(kind, plain[start:stop]))
        return tuple(frames)

    def advance(self, now: Instant) -> tuple[SessionEvent, ...]:
        """Do what is due: give a handshake up, or change the sending key."""
        if self._state is _State.OVER or now < self._wake:
            return ()
        if self._state is not _State.OPEN:
            return self._fail(Reason.HANDSHAKE_FAILED, f"{self._state.value} for too long")
        self._wake = after(now, REKEY_AGE)
        return (SendFrame(self._seal_rekey()),) if self._sent_frames else ()

    def tag(self, topic: Topic) -> bytes:
        """Name a topic inside this session, 16 bytes, the same for both sides."""
        assert self._handshake_hash
        return blake2b(
            topic, size=SESSION_TAG_BYTES, person=PERSON_TAG, key=self._handshake_hash
        )

    # ------------------------------------------------------------------ handshake

    def _draw(self) -> KeyPair:
        return KeyPair(self._endpoint.crypto, self._endpoint.entropy.draw(KEY_BYTES))

    def _begin(
        self, hello: bytes, ephemeral: KeyPair, secret: bytes | None, *, initiator: bool
    ) -> HandshakeState:
        """Make the Noise state that both hellos and the port's name are bound into."""
        endpoint = self._endpoint
        port = endpoint.crypto.name.encode("ascii")
        psks = () if secret is None else (blake2b(secret, person=PERSON_PSK),)
        pattern = _PATTERNS[_PLAIN if secret is None else _JOINING]
        self._handshake = HandshakeState(
            endpoint.crypto,
            f"Noise_{pattern}_25519_ChaChaPoly_BLAKE2b",
            initiator=initiator,
            keys=HandshakeKeys(static=endpoint.static, ephemeral=ephemeral, psks=psks),
            prologue=_PROLOGUE + bytes((len(port),)) + port + hello,
        )
        return self._handshake

    def _take_first(self, frame: bytes) -> tuple[SessionEvent, ...]:
        """Answer an initiator's hello and ephemeral with our static and identity."""
        reader = Reader(frame)
        if not self._agree(_read_hello(reader)):
            return self._fail(Reason.UNSUPPORTED, "no common protocol version")
        pattern = reader.u8()
        if pattern >= len(_PATTERNS):
            return self._fail(Reason.UNSUPPORTED, f"handshake pattern {pattern}")
        tag = reader.take(SESSION_TAG_BYTES) if pattern == _JOINING else b""
        hello = frame[: reader.position]
        ephemeral = reader.take(KEY_BYTES)
        message = ephemeral + reader.rest()
        secret = None
        if pattern == _JOINING:
            secret = self._secret_for and self._secret_for(tag, ephemeral)
            if secret is None:
                return self._fail(Reason.INVITE_UNKNOWN, f"tag {short(tag)}")
            self._joined_by = invite_id(secret)
        handshake = self._begin(hello, self._draw(), secret, initiator=False)
        payload = handshake.read(message)
        if isinstance(payload, Rejected):
            return self._fail(payload.reason, payload.detail)
        if payload:
            return self._fail(Reason.MALFORMED, f"{len(payload)} bytes after frame 1")
        answer = _hello(self._endpoint.versions) + self._endpoint.proofs[_RESPONDER]
        second = handshake.write(answer)
        if isinstance(second, Rejected):
            return self._fail(second.reason, second.detail)
        self._state = _State.WAIT_THIRD
        return (SendFrame(second),)

    def _take_second(self, frame: bytes, now: Instant) -> tuple[SessionEvent, ...]:
        """Check the responder, then show our identity."""
        handshake = self._handshake
        assert handshake is not None
        payload = handshake.read(frame)
        if isinstance(payload, Rejected):
            return self._fail(payload.reason, payload.detail)
        reader = Reader(payload)
        if not self._agree(_read_hello(reader)):
            return self._fail(Reason.UNSUPPORTED, "no common protocol version")
        peer = self._peer(reader, _RESPONDER)
        if isinstance(peer, Rejected):
            return self._fail(peer.reason, peer.detail)
        third = handshake.write(self._endpoint.proofs[_INITIATOR])
        if isinstance(third, Rejected):
            return self._fail(third.reason, third.detail)
        return (SendFrame(third), self._open(peer, now))

    def _take_third(self, frame: bytes, now: Instant) -> tuple[SessionEvent, ...]:
        """Check the initiator."""
        handshake = self._handshake
        assert handshake is not None
        payload = handshake.read(frame)
        if isinstance(payload, Rejected):
            return self._fail(payload.reason, payload.detail)
        peer = self._peer(Reader(payload), _INITIATOR)
        if isinstance(peer, Rejected):
            return self._fail(peer.reason, peer.detail)
        return (self._open(peer, now),)

    def _agree(self, theirs: tuple[int, ...]) -> bool:
        """Take the highest version that both sides speak; False if there is none."""
        self._version = max((v for v in self._endpoint.versions if v in theirs), default=0)
        return self._version > 0

    def _peer(self, reader: Reader, role: int) -> DeviceId | Rejected:
        """Read and check which device the other side is."""
        device = DeviceId(reader.take(ID_BYTES))
        signature = reader.take(SIGNATURE_BYTES)
        reader.finish()
        if self._expected is not None and device != self._expected:
            detail = f"{short(device)} where {short(self._expected)} was called"
            return Rejected(Reason.WRONG_DEVICE, detail)
        if device == self._endpoint.identity.device:
            return Rejected(Reason.WRONG_DEVICE, "it is this device itself")
        assert self._handshake is not None
        static = self._handshake.remote_static
        assert static is not None
        if not self._endpoint.crypto.verify(device, _proof(static, role), signature):
            return Rejected(Reason.BAD_SIGNATURE, f"handshake of {short(device)}")
        return device

    def _open(self, peer: DeviceId, now: Instant) -> Established:
        assert self._handshake is not None
        self._send, self._receive, self._handshake_hash = self._handshake.finish()
        self._handshake = self._secret = self._secret_for = None
        self._state = _State.OPEN
        self._wake = after(now, REKEY_AGE)
        return Established(peer, self._handshake_hash, self._version, self._joined_by)

    def _fail(self, reason: Reason, detail: str) -> tuple[SessionEvent, ...]:
        """End the session and forget its keys."""
        self._state = _State.OVER
        self._handshake = self._secret = self._secret_for = None
        self._send = self._receive = CipherState(self._endpoint.crypto)
        self._parts = []
        self._parts_bytes = 0
        return (Failed(Rejected(reason, detail)),)

    # ------------------------------------------------------------------ frames

    def _seal_part(self, kind: int, part: bytes) -> bytes:
        self._sent_frames += 1
        frame = self._send.encrypt(b"", bytes((kind,)) + part)
        assert len(frame) <= FRAME_BYTES_MAX
        return frame

    def _seal_rekey(self) -> bytes:
        """Announce the next sending key, and take it."""
        frame = self._seal_part(_REKEY, b"")
        assert self._sent_frames <= REKEY_FRAMES
        self._send.rekey()
        self._sent_frames = 0
        return frame

    def _take(self, frame: bytes) -> tuple[SessionEvent, ...]:
        """Open a frame; a message is said once its last part is here."""
        opened = self._receive.decrypt(b"", frame)
        if opened is None:
            return self._fail(Reason.WRONG_KEY, f"a frame of {len(frame)} bytes")
        if not opened:
            return self._fail(Reason.MALFORMED, "a frame without a kind")
        self._received_frames += 1
        kind, part = opened[0], opened[1:]
        if kind == _REKEY:
            if part:
                return self._fail(Reason.MALFORMED, f"{len(part)} bytes after a rekey")
            self._receive.rekey()
            self._received_frames = 0
            return ()
        if self._received_frames >= REKEY_FRAMES:
            return self._fail(Reason.OUT_OF_TURN, f"no rekey in {REKEY_FRAMES} frames")
        if kind == _LAST and not self._parts:
            return (Received(part),)
        return self._gather(kind, part)

    def _gather(self, kind: int, part: bytes) -> tuple[SessionEvent, ...]:
        """Put a message together that came in several parts."""
        size = len(part)
        if kind not in {_LAST, _MORE}:
            return self._fail(Reason.MALFORMED, f"a frame of kind {kind}")
        if size == 0 or (kind == _MORE and size != PART_BYTES_MAX):
            return self._fail(Reason.NOT_CANONICAL, f"a part of {size} bytes")
        self._parts_bytes += size
        if self._parts_bytes > MESSAGE_BYTES_MAX:
            return self._fail(Reason.TOO_BIG, f"a message of {self._parts_bytes} bytes or more")
        self._parts.append(part)
        if kind == _MORE:
            return ()
        plain = b"".join(self._parts)
        self._parts = []
        self._parts_bytes = 0
        return (Received(plain),)


def invite_id(secret: bytes) -> bytes:
    """Name an invite for stores and people, 16 bytes; tells nothing of the secret."""
    return blake2b(b"", size=SESSION_TAG_BYTES, person=PERSON_INVITE, key=secret)


def invite_tag(secret: bytes, ephemeral: bytes) -> bytes:
    """Name an invite in one hello, 16 bytes: another each time, so sightings do not link."""
    return blake2b(ephemeral, size=SESSION_TAG_BYTES, person=PERSON_SIGHTING, key=secret)


def _proof(static: bytes, role: int) -> bytes:
    """Return what a device signs to own a Noise static key in a role."""
    return _PROOF + static + bytes((role,))


def _hello(versions: tuple[int, ...]) -> bytes:
    """Encode the part of a hello that every version of the protocol can read."""
    return bytes((_HELLO, len(versions), *versions))


def _read_hello(reader: Reader) -> tuple[int, ...]:
    """Decode what `_hello` made. Raises: Malformed."""
    mark = reader.u8()
    if mark != _HELLO:
        raise Malformed(f"a hello that begins with {mark:#04x}")
    count = reader.u8()
    if not 1 <= count <= VERSIONS_MAX:
        raise Malformed(f"{count} versions in a hello")
    versions = tuple(reader.take(count))
    if versions[0] == 0 or any(first >= second for first, second in pairwise(versions)):
        raise Malformed("versions that do not ascend")
    return versions
