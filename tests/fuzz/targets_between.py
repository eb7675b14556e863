"""The targets of `tests.fuzz` that read what goes between actors: letters, links, rules.

Owns: as `tests.fuzz.targets`, whose list it adds to. Import it for that effect.
"""

from __future__ import annotations

import contextlib
from functools import cache
from typing import Final

from comity.actor.actor import Actor
from comity.api.joining import read_invite
from comity.api.ref import HeldRef, Ref
from comity.base.canonical import Malformed, Reader, varint
from comity.base.clock import Wall
from comity.base.endings import Ending
from comity.base.errors import Rejected, UsageError
from comity.base.ids import DeviceId, Topic
from comity.base.limits import BLOB_BYTES_MAX, BLOB_LEAF_BYTES
from comity.crdt import rules
from comity.crdt.value import value_type
from comity.crypto.keys import Identity, KeyPair
from comity.crypto.symbolic import Symbolic
from comity.node import rows
from comity.protocol.blob import (
    Assembler,
    Blob,
    Cutter,
    decode_blob,
    encode_blob,
    piece_id,
)
from comity.protocol.capability import RefLink, format_link, parse_link
from comity.protocol.envelope import (
    CHAIN_BYTES,
    GRANT_BYTES,
    SHAPE_BYTES,
    CallHead,
    Letter,
    ReplyHead,
    decode_envelope,
    encode_envelope,
)
from comity.protocol.mail import Mail, Sealer, decode_mail, open_mail
from comity.protocol.route import Route, decode_route, encode_route
from tests.fuzz.targets import target

_WORDS: Final = "legal winner thank year wave sausage worth useful legal winner thank yellow"


@cache
def _envelopes() -> tuple[bytes, ...]:
    grant, shape, link = bytes(GRANT_BYTES), bytes(range(SHAPE_BYTES)), bytes(CHAIN_BYTES)
    tell = CallHead(grant, "add", shape)
    ask = CallHead(
        grant, "add", shape, wants_reply=True, deadline=Wall(1 << 41), chain=(link, link)
    )
    letters: tuple[Letter, ...] = (
        (tell, b"milk"), (tell, b""), (ask, bytes(200)), (ReplyHead(7, Ending(0)), b"x"),
    )  # fmt: skip
    return (
        encode_envelope(1, bytes(32), 0, letters[:1]),
        encode_envelope(9, bytes(range(32)), 300, letters),
    )


@target(lambda: list(_envelopes()))
def envelope(data: bytes) -> object:
    """Letters of a peer: `Rejected`, or what is written back as it came."""
    found = decode_envelope(data)
    if isinstance(found, Rejected):
        return found
    written = encode_envelope(found.first, found.prev, found.ack, found.letters)
    again = decode_envelope(written)
    assert again == found
    return None


def _links() -> list[bytes]:
    device, topic = DeviceId(bytes(range(32))), Topic(bytes(32))
    plain = RefLink(device, topic, bytes(16), ())
    far = RefLink(device, topic, bytes(range(16)), ("127.0.0.1:1", "host.example:65535"))
    kept = RefLink(
        device, topic, bytes(16), (), bytes(range(32)), ("relay.example:7400", "b:2")
    )
    return [format_link(each).encode() for each in (plain, far, kept)]


@target(_links)
def link(data: bytes) -> object:
    """A link to an actor, as somebody typed it: `UsageError`, or the one way to write it."""
    text = data.decode("utf-8", "replace")
    try:
        found = parse_link(text)
    except UsageError as error:
        return error
    assert format_link(found) == "".join(text.split())
    return None


@target(lambda: [encode_route(Route(bytes(32), bytes(range(32)), ("a:1", "b.example:22")))])
def route(data: bytes) -> object:
    """Where a peer takes letters: `Rejected`, or the one way to write it."""
    found = decode_route(data)
    if isinstance(found, Rejected):
        return found
    assert encode_route(found) == data
    return None


_RECIPIENT: Final = DeviceId(bytes([7]) * 32)


@cache
def _mails() -> tuple[bytes, ...]:
    crypto = Symbolic()
    sealer = Sealer(crypto, Identity(crypto, bytes(32)), bytes(range(32)))
    prekey = KeyPair(crypto, bytes([5]) * 32).public
    mails = (Mail(0, 0, b"", b""), Mail(1 << 40, 7, bytes(90), bytes(400)))
    sealed = [sealer.seal(each, _RECIPIENT, prekey) for each in mails]
    return tuple(each for each in sealed if each is not None)


@target(lambda: list(_mails()))
def mail(data: bytes) -> object:
    """What lay in a mailbox: `Rejected`, or a mail that says what it said."""
    crypto = Symbolic()
    found = open_mail(crypto, _RECIPIENT, [KeyPair(crypto, bytes([5]) * 32)], data)
    if isinstance(found, Rejected):
        return found
    assert decode_mail(Reader(found.mail.encode())) == found.mail
    return None


def _held() -> list[bytes]:
    kind = value_type(Ref[Actor])
    links = [parse_link(each.decode()) for each in _links()]
    return [kind.encode(HeldRef(Actor, each)) for each in links]


@target(_held)
def held_ref(data: bytes) -> object:
    """A ref in a field, as a peer wrote it: `Malformed`, or what is written back as it came."""
    kind = value_type(Ref[Actor])
    reader = Reader(data)
    try:
        found = kind.decode(reader)
    except Malformed as error:
        return error
    assert kind.encode(found) + reader.rest() == data
    return None


_KEY: Final = bytes(range(32))
_TOPIC: Final = Topic(bytes(32))


def _blobs() -> list[bytes]:
    cutter = Cutter(Symbolic(), _TOPIC, _KEY)
    few = list(cutter.feed(bytes(3 * BLOB_LEAF_BYTES)))
    return [
        encode_blob(cutter.finish("image/png")[1]),
        encode_blob(Blob(few[0].id, 0, "", _KEY)),
    ]


@target(_blobs)
def blob(data: bytes) -> object:
    """The name of an attachment: `Malformed`, or what is written back as it came."""
    reader = Reader(data)
    try:
        found = decode_blob(reader)
    except Malformed as error:
        return error
    assert encode_blob(found) + reader.rest() == data
    return None


def _tops() -> list[bytes]:
    top = varint(3 * BLOB_LEAF_BYTES) + b"".join(bytes([n]) * 32 for n in range(3))
    return [top, varint(1) + b"x" + bytes(4095), varint(BLOB_BYTES_MAX) + bytes(1024 * 32)]


@target(_tops)
def blob_top(data: bytes) -> object:
    """A claimed size and the piece on top, of an author who lies: broken, or more is wanted."""
    crypto = Symbolic()
    reader = Reader(data)
    try:
        size = min(reader.varint(), BLOB_BYTES_MAX)
    except Malformed as error:
        return error
    level = sum(size > BLOB_LEAF_BYTES * 1024**each for each in range(3))
    aad = _TOPIC + bytes([level]) + bytes(8)
    sealed = bytes(24) + crypto.seal(_KEY, bytes(24), reader.rest()[:BLOB_LEAF_BYTES], aad)
    root = piece_id(_TOPIC, sealed)
    assembler = Assembler(crypto, _TOPIC, Blob(root, size, "", _KEY))
    assert root in assembler.wanted
    assert assembler.receive(root, sealed) is None
    assembler.check()
    if assembler.broken is None:
        assert level or len(assembler.take() or b"") == size
        assert assembler.finished or assembler.wanted != ()
    return assembler.broken


@target(lambda: [_WORDS.encode(), b"apple-river-42", b"comity:abc", b"lega winn than year"])
def invite_words(data: bytes) -> object:
    """Words or a code in place of a link: `UsageError`, or an invite."""
    with contextlib.suppress(UsageError):
        return read_invite(data.decode("utf-8", "replace"), "127.0.0.1:7400")
    return None


@cache
def _rules() -> tuple[bytes, ...]:
    plain = (rules.Owner, rules.OwnKey, rules.AppendOnly, rules.Role("admin"))
    bounds = (rules.MaxLength(80), rules.Between(0, 10), rules.OneOf("a", 1, None))
    both = rules.AllOf((rules.Owner, rules.AnyOf((rules.MaxLength(3), rules.Role("writer")))))
    return tuple(map(rules.encode_rule, (*plain, *bounds, both)))


@target(lambda: list(_rules()))
def rule(data: bytes) -> object:
    """A field's rule in a genesis: `Malformed`, or one that is written back as it came."""
    try:
        found = rules.decode_rule(data)
    except Malformed as error:
        return error
    assert rules.decode_rule(rules.encode_rule(found)) == found
    return None


@target(lambda: [rows.encode_run((1, 2, 5), b"run"), rows.encode_run((70_000,), bytes(300))])
def run_row(data: bytes) -> object:
    """A row of cold history: `Malformed`, which the store's owner is told of, or numbers."""
    with contextlib.suppress(Malformed):
        return rows.decode_run(data)
    return None
