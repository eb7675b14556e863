"""Invite links: what one person hands to another to be let in.

Owns: the text form of an invite and its bytes. May not know: sessions or admission, which
happens over Noise XXpsk3 keyed by the seed (`comity.protocol.session`).
Form: `comity:` followed by base64url without padding of
    version 1 | inviter 32 | seed 16 | count u8 | count x (length u8 | address) | check 4
where check = BLAKE2b-32 of all before, so that a mistyped link is told from a wrong one.
The seed is the right to join: whoever reads the link can use it once.
Source: PROTOCOL section 9.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import Final

from comity.base.canonical import Malformed, Reader
from comity.base.errors import UsageError
from comity.base.ids import DeviceId, short
from comity.crypto.hashing import PERSON_INVITE, blake2b
from comity.protocol.session import SEED_BYTES

__all__ = ["Invite", "format_invite", "parse_invite"]

_SCHEME: Final = "comity:"
_VERSION: Final = 1
_CHECK_BYTES: Final = 4
_ADDRESSES_MAX: Final = 8
_ADDRESS_BYTES_MAX: Final = 255


@dataclass(frozen=True, slots=True)
class Invite:
    """Who invites, where they can be reached, and the secret that proves the invitation.

    inviter: None where only the seed was said: then whoever has it may answer.
    """

    inviter: DeviceId | None
    seed: bytes = field(repr=False)
    addresses: tuple[str, ...]

    def __post_init__(self) -> None:
        """Hold to the widths that the text form has."""
        assert self.inviter is None or len(self.inviter) == 32
        assert len(self.seed) == SEED_BYTES
        assert len(self.addresses) <= _ADDRESSES_MAX

    def __str__(self) -> str:
        """Name the inviter; never the seed."""
        return "invite" if self.inviter is None else f"invite of {short(self.inviter)}"


def format_invite(invite: Invite) -> str:
    """Write an invite as a link."""
    assert invite.inviter is not None, "a link names who must answer"
    body = bytearray((_VERSION,))
    body += invite.inviter + invite.seed
    body.append(len(invite.addresses))
    for address in invite.addresses:
        encoded = address.encode()
        assert 0 < len(encoded) <= _ADDRESS_BYTES_MAX
        body.append(len(encoded))
        body += encoded
    body += blake2b(bytes(body), size=_CHECK_BYTES, person=PERSON_INVITE)
    return _link(bytes(body))


def parse_invite(text: str) -> Invite:
    """Read a link that `format_invite` wrote; white space around and inside is ignored.

    Raises: UsageError that says what is wrong with the text and what to do.
    """
    compact = "".join(text.split())
    if not compact.startswith(_SCHEME):
        raise UsageError(
            f"{_shown(compact)} is not an invite: an invite starts with '{_SCHEME}'; "
            "copy it whole from 'comity invite'"
        )
    payload = compact[len(_SCHEME) :]
    try:
        data = base64.b64decode(
            payload + "=" * (-len(payload) % 4), altchars=b"-_", validate=True
        )
    except (binascii.Error, ValueError):
        raise UsageError(
            f"the invite {_shown(compact)} holds a character that no invite has; copy it again"
        ) from None
    body, check = data[:-_CHECK_BYTES], data[-_CHECK_BYTES:]
    expected = blake2b(body, size=_CHECK_BYTES, person=PERSON_INVITE)
    if check != expected or compact != _link(data):
        raise UsageError(
            f"the invite {_shown(compact)} is incomplete or mistyped (its checksum does not "
            "match); copy it again, whole"
        )
    try:
        return _decode(Reader(body))
    except Malformed as error:
        raise UsageError(
            f"the invite {_shown(compact)} cannot be read ({error}); it may come from a newer "
            "version: upgrade with 'pip install --upgrade comity'"
        ) from None


def _link(data: bytes) -> str:
    """Return the one way to write these bytes: base64 alone has several for some."""
    return _SCHEME + base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decode(reader: Reader) -> Invite:
    version = reader.u8()
    if version != _VERSION:
        raise Malformed(f"version {version}, known is {_VERSION}")
    inviter = DeviceId(reader.take(32))
    seed = reader.take(SEED_BYTES)
    count = reader.u8()
    if count > _ADDRESSES_MAX:
        raise Malformed(f"{count} addresses where {_ADDRESSES_MAX} is the most")
    addresses: list[str] = []
    for _ in range(count):
        try:
            address = reader.take(reader.u8()).decode()
        except UnicodeDecodeError as error:
            raise Malformed("an address is not UTF-8") from error
        if not address:
            raise Malformed("an address is empty")
        addresses.append(address)
    reader.finish()
    return Invite(inviter, seed, tuple(addresses))


def _shown(text: str) -> str:
    """Show enough to recognise and too little to use."""
    return repr(text if len(text) <= 16 else text[:12] + "…")
