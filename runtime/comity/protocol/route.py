"""Routes: where letters for a device may be left while it is off, and by what right.

Owns: the names of mailboxes, what is signed to put something into one, and the bytes of a
route. May not know: relays' stores, what lies in a mailbox (`protocol.mail`).

    seed      32 bytes, secret of owner and writer: of an Ed25519 key, the *write key*
    mailbox   BLAKE2b-256(owner's device | write public key, `comity/mailbox`)
    post      BLAKE2b-256(what is left there, `comity/mail`): its id
    route     1 | seed 32 | prekey 32 | count u8 | count x (length u8 | address of a relay)

The name binds the owner: nobody can take a mailbox of another's, whatever he knows of it. The
seeds of one device come from a secret of its own: of an edge, by the device at its other end;
of a link to an actor by the name of the link's secret, so that who holds the link has it too.
Source: PROTOCOL section 8; decision 38.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from comity.base.canonical import Malformed, Reader
from comity.base.errors import Reason, Rejected
from comity.base.ids import DeviceId
from comity.crypto.hashing import PERSON_MAIL, PERSON_MAILBOX, blake2b
from comity.crypto.port import KEY_BYTES, Crypto

__all__ = [
    "ADDRESS_BYTES_MAX",
    "ROUTE_RELAYS_MAX",
    "Route",
    "Writer",
    "decode_route",
    "encode_route",
    "mailbox_name",
    "post_id",
    "read_addresses",
    "seed_of_edge",
    "seed_of_link",
    "write_addresses",
    "write_claim",
]

ROUTE_RELAYS_MAX: Final = 8
"""Relays of one route: two are needed, eight addresses fit beside a letter."""

ADDRESS_BYTES_MAX: Final = 255
"""An address in a route or a link: a name of DNS and a port fit."""

_VERSION: Final = 1
_CLAIM: Final = b"comity/post/1"


@dataclass(frozen=True, slots=True)
class Route:
    """A mailbox of somebody's. seed: of its write key. prekey: X25519, what to seal to."""

    seed: bytes = field(repr=False)
    prekey: bytes
    relays: tuple[str, ...]

    def __post_init__(self) -> None:
        """Hold to the widths of the format."""
        assert len(self.seed) == len(self.prekey) == KEY_BYTES
        assert 0 < len(self.relays) <= ROUTE_RELAYS_MAX


def encode_route(route: Route) -> bytes:
    """Write a route."""
    head = bytes((_VERSION,)) + route.seed + route.prekey
    return head + write_addresses(route.relays)


def decode_route(data: bytes) -> Route | Rejected:
    """Read a route that a peer told. Rejected: MALFORMED, UNSUPPORTED."""
    reader = Reader(data)
    try:
        if reader.u8() != _VERSION:
            return Rejected(Reason.UNSUPPORTED, "a route of another version")
        return _decode(reader)
    except Malformed as error:
        return Rejected(Reason.MALFORMED, str(error))


def _decode(reader: Reader) -> Route:
    seed, prekey = reader.take(KEY_BYTES), reader.take(KEY_BYTES)
    relays = read_addresses(reader, ROUTE_RELAYS_MAX)
    if not relays:
        raise Malformed("a route without relays")
    reader.finish()
    return Route(seed, prekey, relays)


def write_addresses(addresses: tuple[str, ...]) -> bytes:
    """Write addresses: count u8 | count x (length u8, not 0 | UTF-8)."""
    out = bytearray((len(addresses),))
    for address in addresses:
        encoded = address.encode()
        assert 0 < len(encoded) <= ADDRESS_BYTES_MAX
        out.append(len(encoded))
        out += encoded
    return bytes(out)


def read_addresses(reader: Reader, most: int) -> tuple[str, ...]:
    """Read what `write_addresses` wrote. Raises: Malformed, also for more than that."""
    count = reader.u8()
    if count > most:
        raise Malformed(f"{count} addresses where {most} is the most")
    addresses: list[str] = []
    for _ in range(count):
        try:
            address = reader.take(reader.u8()).decode()
        except UnicodeDecodeError as error:
            raise Malformed("an address is not UTF-8") from error
        if not address:
            raise Malformed("an empty address")
        addresses.append(address)
    return tuple(addresses)


def seed_of_edge(secret: bytes, other: DeviceId) -> bytes:
    """Return the seed of the mailbox that a device has for another. secret: 32 bytes, its own.

    Deterministic: nothing is stored of it.
    """
    return blake2b(other, person=PERSON_MAILBOX, key=secret)


def seed_of_link(name: bytes) -> bytes:
    """Return the seed of the mailbox of a link to an actor, by the name of its secret."""
    return blake2b(name, person=PERSON_MAILBOX)


def mailbox_name(owner: DeviceId, public: bytes) -> bytes:
    """Return the name of a mailbox, 32 bytes. public: the public half of its write key."""
    return blake2b(owner + public, person=PERSON_MAILBOX)


def post_id(sealed: bytes) -> bytes:
    """Return the id of what is left in a mailbox, 32 bytes."""
    return blake2b(sealed, person=PERSON_MAIL)


def write_claim(relay: DeviceId, mailbox: bytes, post: bytes) -> bytes:
    """Return what the write key signs: that this post may lie in this mailbox at this relay."""
    return _CLAIM + relay + mailbox + post


class Writer:
    """The right to leave something in one mailbox."""

    __slots__ = ("_crypto", "_seed", "mailbox", "public")

    def __init__(self, crypto: Crypto, owner: DeviceId, seed: bytes) -> None:
        """Derive the key and the name; 25 us."""
        self._crypto = crypto
        self._seed = seed
        self.public = crypto.sign_public(seed)
        self.mailbox = mailbox_name(owner, self.public)

    def __repr__(self) -> str:
        """Show the mailbox, never the key."""
        return f"Writer({self.mailbox.hex()[:8]})"

    def sign(self, relay: DeviceId, post: bytes) -> bytes:
        """Return the 64 bytes that a relay asks for."""
        return self._crypto.sign(self._seed, write_claim(relay, self.mailbox, post))
