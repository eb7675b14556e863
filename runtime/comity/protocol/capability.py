"""Links to actors: what one person hands to another so that messages can be sent.

Owns: the text form of a link to an actor that is elsewhere, and its bytes. May not know: what
the secret in it lets through; the device that gave it out does (`comity.node.grants`).
Form: `comity:` followed by base64url without padding of
    version 2 | device 32 | topic 32 | grant 16 | addresses | check 4
    version 3 | device 32 | topic 32 | grant 16 | addresses | prekey 32 | relays | check 4
where addresses and relays = count u8 | count x (length u8 | address), at most 8, and check =
BLAKE2b-32 of all before. Version 3 is given out by who uses relays: there messages wait while
the device is off, sealed to the prekey. Version 1 is an invite (`protocol.invite`), which lets
a device in; a link lets messages through, for as long as its giver does not take it back.
Source: API 'Capabilities'; decision 27.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import Final

from comity.base.canonical import Malformed, Reader
from comity.base.errors import UsageError
from comity.base.ids import ID_BYTES, DeviceId, Topic, short
from comity.crypto.hashing import PERSON_REF, blake2b
from comity.crypto.port import KEY_BYTES
from comity.protocol.envelope import GRANT_BYTES
from comity.protocol.route import (
    ROUTE_RELAYS_MAX,
    Route,
    read_addresses,
    seed_of_link,
    write_addresses,
)

__all__ = [
    "LINK_BYTES_MAX",
    "RefLink",
    "encode_link",
    "format_link",
    "link_name",
    "parse_link",
    "read_link",
]

_SCHEME: Final = "comity:"
_VERSION: Final = 2
_WITH_RELAYS: Final = 3
_INVITE: Final = 1
_CHECK_BYTES: Final = 4
_ADDRESSES_MAX: Final = 8

LINK_BYTES_MAX: Final = 4211
"""Bytes of the largest link, all its addresses and relays 255 long: there is no larger one."""


@dataclass(frozen=True, slots=True)
class RefLink:
    """Which actor, on which device, where that may be, and the secret that lets messages in.

    relays: where messages wait while that device is off, sealed to its prekey; may be none.
    """

    device: DeviceId
    topic: Topic
    grant: bytes = field(repr=False)
    addresses: tuple[str, ...]
    prekey: bytes = b""
    relays: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Hold to the widths that the text form has."""
        assert len(self.device) == len(self.topic) == ID_BYTES
        assert len(self.grant) == GRANT_BYTES
        assert len(self.addresses) <= _ADDRESSES_MAX
        assert len(self.relays) <= ROUTE_RELAYS_MAX
        assert len(self.prekey) == (KEY_BYTES if self.relays else 0)

    @property
    def route(self) -> Route | None:
        """Where messages wait while the device is off; None if nowhere."""
        if not self.relays:
            return None
        return Route(seed_of_link(link_name(self.grant)), self.prekey, self.relays)

    def __str__(self) -> str:
        """Name the actor and the device; never the secret."""
        return f"link to {short(self.topic)} on {short(self.device)}"


def format_link(link: RefLink) -> str:
    """Write a link to an actor as text."""
    return _text(encode_link(link))


def encode_link(link: RefLink) -> bytes:
    """Write a link as bytes, as fields hold it: its text form without the check."""
    body = bytearray((_WITH_RELAYS if link.relays else _VERSION,))
    body += link.device + link.topic + link.grant + write_addresses(link.addresses)
    if link.relays:
        body += link.prekey + write_addresses(link.relays)
    return bytes(body)


def read_link(data: bytes) -> RefLink:
    """Read what `encode_link` wrote. Raises: Malformed."""
    return _decode(Reader(data))


def link_name(grant: bytes) -> bytes:
    """Return what the secret of a link is known by, 16 bytes: it lets nobody in."""
    return blake2b(grant, size=GRANT_BYTES, person=PERSON_REF)


def parse_link(text: str) -> RefLink:
    """Read a link that `format_link` wrote; white space around and inside is ignored.

    Raises: UsageError that says what is wrong with the text and what to do.
    """
    compact = "".join(text.split())
    payload = compact.removeprefix(_SCHEME)
    try:
        data = base64.b64decode(
            payload + "=" * (-len(payload) % 4), altchars=b"-_", validate=True
        )
    except (binascii.Error, ValueError):
        data = b""
    if not compact.startswith(_SCHEME) or not data:
        raise UsageError(
            "this is no link to an actor: a link starts with 'comity:'; copy it whole from "
            "where ref.link() printed it"
        )
    if data[0] == _INVITE:
        raise UsageError("this is an invite, which lets a device in: use node.open(..., link)")
    body = data[:-_CHECK_BYTES]
    if compact != _text(body):
        raise UsageError("the link is incomplete or mistyped: copy it again, whole")
    try:
        return _decode(Reader(body))
    except Malformed as error:
        raise UsageError(
            f"the link cannot be read ({error}); it may come from a newer version: upgrade "
            "with 'pip install --upgrade comity'"
        ) from None


def _text(body: bytes) -> str:
    """Return the one way to write these bytes."""
    check = blake2b(body, size=_CHECK_BYTES, person=PERSON_REF)
    return _SCHEME + base64.urlsafe_b64encode(body + check).decode().rstrip("=")


def _decode(reader: Reader) -> RefLink:
    version = reader.u8()
    if version not in {_VERSION, _WITH_RELAYS}:
        raise Malformed(f"version {version}, known are {_VERSION} and {_WITH_RELAYS}")
    device, topic = DeviceId(reader.take(ID_BYTES)), Topic(reader.take(ID_BYTES))
    grant = reader.take(GRANT_BYTES)
    addresses = read_addresses(reader, _ADDRESSES_MAX)
    prekey: bytes = b""
    relays: tuple[str, ...] = ()
    if version == _WITH_RELAYS:
        prekey = reader.take(KEY_BYTES)
        relays = read_addresses(reader, ROUTE_RELAYS_MAX)
        if not relays:
            raise Malformed("a link with relays that names none")
    reader.finish()
    return RefLink(device, topic, grant, addresses, prekey, relays)
