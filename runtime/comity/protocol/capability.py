"""Links to actors: what one person hands to another so that messages can be sent.

Owns: the text form of a link to an actor that is elsewhere, and its bytes. May not know: what
the secret in it lets through; the device that gave it out does (`comity.node.grants`).
Form: `comity:` followed by base64url without padding of
    version 2 | device 32 | topic 32 | grant 16 | count u8 | count x (length u8 | address)
    | check 4
where check = BLAKE2b-32 of all before. Version 1 is an invite (`protocol.invite`), which lets a
device in; a link lets messages through, for as long as its giver does not take it back.
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
from comity.protocol.envelope import GRANT_BYTES

__all__ = ["RefLink", "format_link", "parse_link"]

_SCHEME: Final = "comity:"
_VERSION: Final = 2
_INVITE: Final = 1
_CHECK_BYTES: Final = 4
_ADDRESSES_MAX: Final = 8
_ADDRESS_BYTES_MAX: Final = 255


@dataclass(frozen=True, slots=True)
class RefLink:
    """Which actor, on which device, where that may be, and the secret that lets messages in."""

    device: DeviceId
    topic: Topic
    grant: bytes = field(repr=False)
    addresses: tuple[str, ...]

    def __post_init__(self) -> None:
        """Hold to the widths that the text form has."""
        assert len(self.device) == len(self.topic) == ID_BYTES
        assert len(self.grant) == GRANT_BYTES
        assert len(self.addresses) <= _ADDRESSES_MAX

    def __str__(self) -> str:
        """Name the actor and the device; never the secret."""
        return f"link to {short(self.topic)} on {short(self.device)}"


def format_link(link: RefLink) -> str:
    """Write a link to an actor as text."""
    body = bytearray((_VERSION,))
    body += link.device + link.topic + link.grant
    body.append(len(link.addresses))
    for address in link.addresses:
        encoded = address.encode()
        assert 0 < len(encoded) <= _ADDRESS_BYTES_MAX
        body.append(len(encoded))
        body += encoded
    return _text(bytes(body))


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
    if version != _VERSION:
        raise Malformed(f"version {version}, known is {_VERSION}")
    device, topic = DeviceId(reader.take(ID_BYTES)), Topic(reader.take(ID_BYTES))
    grant = reader.take(GRANT_BYTES)
    count = reader.u8()
    if count > _ADDRESSES_MAX:
        raise Malformed(f"{count} addresses where {_ADDRESSES_MAX} is the most")
    addresses: list[str] = []
    for _ in range(count):
        try:
            addresses.append(reader.take(reader.u8()).decode())
        except UnicodeDecodeError as error:
            raise Malformed("an address is not UTF-8") from error
    if not all(addresses):
        raise Malformed("an address is empty")
    reader.finish()
    return RefLink(device, topic, grant, tuple(addresses))
