"""Routes and mailboxes: what is written is read, and nobody can take another one's name."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from comity.base.errors import Rejected
from comity.base.ids import DeviceId
from comity.crypto.symbolic import Symbolic
from comity.protocol.route import (
    ROUTE_RELAYS_MAX,
    Route,
    Writer,
    decode_route,
    encode_route,
    mailbox_name,
    seed_of_edge,
    seed_of_link,
)

words = st.binary(min_size=32, max_size=32)
addresses = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)
routes = st.builds(
    Route,
    words,
    words,
    st.lists(addresses, min_size=1, max_size=ROUTE_RELAYS_MAX).map(tuple),
)


@given(routes)
def test_what_is_written_is_read(route: Route) -> None:
    """Whole; cut anywhere, or with something behind it, it is refused."""
    data = encode_route(route)
    assert decode_route(data) == route
    assert isinstance(decode_route(data + b"\0"), Rejected)
    for size in range(len(data)):
        assert isinstance(decode_route(data[:size]), Rejected)


@given(st.binary(max_size=200))
def test_no_bytes_raise(data: bytes) -> None:
    """Whatever a peer says is a route that is written so, or a refusal."""
    found = decode_route(data)
    if not isinstance(found, Rejected):
        assert encode_route(found) == data


def test_a_route_shows_no_seed() -> None:
    """What a log may hold lets nobody write."""
    seed = b"s" * 32
    assert "ssss" not in repr(Route(seed, bytes(32), ("a:1",)))
    assert "ssss" not in repr(Writer(Symbolic(), DeviceId(bytes(32)), seed))


def test_names_are_apart() -> None:
    """Each edge and each link has its own; a name binds its owner and its key."""
    one, two = DeviceId(bytes([1]) * 32), DeviceId(bytes([2]) * 32)
    secret = bytes([3]) * 32
    seeds = [seed_of_edge(secret, one), seed_of_edge(secret, two)]
    seeds += [seed_of_edge(bytes(32), one), seed_of_link(bytes(16)), seed_of_link(bytes(15))]
    assert len(set(seeds)) == len(seeds)
    key = bytes([4]) * 32
    names = {mailbox_name(one, key), mailbox_name(two, key), mailbox_name(one, secret)}
    assert len(names) == 3
