"""Invites: what is handed on comes back whole, a slip is told, and the secret does not show."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.base.errors import UsageError
from comity.base.ids import DeviceId
from comity.crypto.hashing import PERSON_INVITE, blake2b
from comity.protocol.invite import Invite, format_invite, parse_invite

LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
OTHERS: Final = LETTERS + "+/=.:~%#é€\0"

addresses = st.lists(
    st.text(min_size=1, max_size=60).filter(lambda each: len(each.encode()) <= 255),
    max_size=8,
).map(tuple)
invites = st.builds(
    Invite,
    st.binary(min_size=32, max_size=32).map(DeviceId),
    st.binary(min_size=16, max_size=16),
    addresses,
)
INVITE: Final = Invite(
    DeviceId(bytes(range(200, 232))), bytes(range(100, 116)), ("192.0.2.7:4711", "[::1]:1")
)


def link_of(body: bytes, check: bytes | None = None) -> str:
    """Write a body with its checksum as a link, as any other program could."""
    if check is None:
        check = blake2b(body, size=4, person=PERSON_INVITE)
    return "comity:" + base64.urlsafe_b64encode(body + check).decode().rstrip("=")


def body_of(invite: Invite, *, version: int = 1) -> bytes:
    """Lay an invite out by hand, as the module's docstring says."""
    hosts = [address.encode() for address in invite.addresses]
    tail = b"".join(bytes((len(host),)) + host for host in hosts)
    assert invite.inviter is not None
    return bytes((version,)) + invite.inviter + invite.seed + bytes((len(hosts),)) + tail


def refused(text: str) -> str:
    """Return what a text is refused with."""
    with pytest.raises(UsageError) as caught:
        parse_invite(text)
    return str(caught.value)


@given(invites)
def test_an_invite_comes_back_as_it_was(invite: Invite) -> None:
    """Parsing is the inverse of formatting, and the layout is the one that is documented."""
    link = format_invite(invite)
    assert link == link_of(body_of(invite))
    found = parse_invite(link)
    assert (found.inviter, found.seed, found.addresses) == (
        invite.inviter,
        invite.seed,
        invite.addresses,
    )


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_every_change_of_one_character_is_refused(count: int) -> None:
    """At every place, of every length: another letter, or what no link has, is told."""
    invite = Invite(INVITE.inviter, INVITE.seed, ("h" * (count + 1),) * count)
    link = format_invite(invite)
    for place, character in enumerate(link):
        for other in OTHERS:
            if other != character:
                with pytest.raises(UsageError):
                    parse_invite(link[:place] + other + link[place + 1 :])


def test_every_cut_and_every_addition_is_refused() -> None:
    """A link that was not copied whole, or was copied with more, is told."""
    link = format_invite(INVITE)
    for place in range(len(link)):
        refused(link[:place])
        refused(link[:place] + link[place + 1 :])
        for more in ("A", "=", "-", "AAAA"):
            refused(link[:place] + more + link[place:])
    for more in ("A", "AA", "AAA", "AAAA", "=", "=="):
        assert "copy it again" in refused(link + more)


@given(st.data())
def test_white_space_does_not_matter(data: st.DataObject) -> None:
    """Mail programs break lines: blanks around and inside are ignored."""
    link = format_invite(INVITE)
    for _ in range(data.draw(st.integers(0, 4))):
        place = data.draw(st.integers(0, len(link)))
        link = (
            link[:place] + data.draw(st.sampled_from([" ", "\n", "\t", "\r\n"])) + link[place:]
        )
    assert parse_invite(link) == INVITE


@given(st.text(max_size=80))
def test_any_text_is_an_invite_or_told_why_not(text: str) -> None:
    """Nothing but UsageError comes of any text, with the scheme or without."""
    for candidate in (text, "comity:" + text):
        assert refused(candidate)


@given(st.binary(max_size=120))
def test_any_bytes_with_a_right_checksum_are_read_or_told(noise: bytes) -> None:
    """Whoever computes the checksum gets no further: what parses is written back the same."""
    link = link_of(b"\x01" + noise)
    try:
        invite = parse_invite(link)
    except UsageError:
        return
    assert format_invite(invite) == link


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "'' is not an invite: an invite starts with 'comity:'; copy it whole"),
        ("https://comity", "'https://comity' is not an invite"),
        ("COMITY:abc", "is not an invite"),
        ("comity:", "is incomplete or mistyped"),
        ("comity:AQ*A", "holds a character that no invite has; copy it again"),
        ("comity:AQÄA", "holds a character that no invite has; copy it again"),
        ("comity:AQIDBAUGBwgJ", "its checksum does not match"),
    ],
)
def test_a_slip_is_told_by_kind(text: str, why: str) -> None:
    """No invite at all, a strange character, and a mistyped one each say what to do."""
    assert why in refused(text)


@pytest.mark.parametrize("version", [0, 2, 255])
def test_another_version_asks_for_an_upgrade(version: int) -> None:
    """A link from the future is not called mistyped."""
    said = refused(link_of(body_of(INVITE, version=version)))
    assert f"version {version}, known is 1" in said
    assert "upgrade with" in said


def crowd(body: bytes) -> bytes:
    """Claim nine addresses."""
    return body[:49] + b"\x09" + b"\x01h" * 9


MALFORMED: Final[dict[str, tuple[Callable[[bytes], bytes], str]]] = {
    "empty": (lambda _: b"", "a byte wanted"),
    "no addresses": (lambda body: body[:49], "a byte wanted"),
    "half an address": (lambda body: body[:-1], "bytes wanted"),
    "more than it says": (lambda body: body + b"x", "1 bytes too many"),
    "nine addresses": (crowd, "9 addresses where 8 is the most"),
    "an empty address": (lambda body: body[:49] + b"\x01\x00", "an address is empty"),
    "not UTF-8": (lambda body: body[:49] + b"\x01\x01\xff", "an address is not UTF-8"),
}


@pytest.mark.parametrize(("change", "why"), MALFORMED.values(), ids=MALFORMED)
def test_what_a_checksum_does_not_cure(change: Callable[[bytes], bytes], why: str) -> None:
    """A layout that no version writes is refused, though its checksum is right."""
    assert why in refused(link_of(change(body_of(INVITE))))


def test_the_seed_does_not_show() -> None:
    """Neither text form of an invite, nor the errors about its link, hold any of the seed."""
    link = format_invite(INVITE)
    shown = [str(INVITE), repr(INVITE), f"{INVITE}"]
    shown += [refused(link[:-1]), refused(link + "A"), refused(link[:20] + "*" + link[21:])]
    shown += [refused(link_of(body_of(INVITE, version=2)))]
    seed_letters = link[7 + 44 : 7 + 65]
    for text in shown:
        for start in range(len(INVITE.seed) - 3):
            part = INVITE.seed[start : start + 4]
            assert part.hex() not in text
            assert str(part)[2:-1] not in text
        for start in range(len(seed_letters) - 4):
            assert seed_letters[start : start + 5] not in text
    assert str(INVITE) == "invite of c8c9cacb"


def test_widths_are_our_own_to_keep() -> None:
    """An invite of other widths, or with more addresses, cannot be made."""
    for inviter, seed, hosts in (
        (bytes(31), bytes(16), ()),
        (bytes(32), bytes(15), ()),
        (bytes(32), bytes(16), ("h",) * 9),
    ):
        with pytest.raises(AssertionError):
            Invite(DeviceId(inviter), seed, hosts)
    for address in ("", "x" * 256):
        with pytest.raises(AssertionError):
            format_invite(Invite(INVITE.inviter, INVITE.seed, (address,)))
