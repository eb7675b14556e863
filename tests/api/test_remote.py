"""Actors on another device: live nodes on loopback, a link, and no replica."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from comity import (
    Actor,
    Facet,
    Interface,
    Map,
    Node,
    Ref,
    RemoteError,
    RemoteRef,
    Unknown,
    UsageError,
    message,
)
from comity.actor.parcel import Refused


class SoldOut(Exception):
    """Nothing is left: senders can choose something else."""


class Gone(SoldOut):
    """Nothing ever will be."""


class Shop(Actor):
    """Sells, and asks others."""

    sold: Map[str, int]

    def sell(self, what: str, count: int = 1) -> int:
        """Sell something; return how often it was sold."""
        self.sold[what] = self.sold.get(what, 0) + count
        return self.sold[what]

    def titles(self) -> list[str]:
        """Return what was sold."""
        return sorted(self.sold)

    @message(raises=(SoldOut,))
    def order(self, what: str, count: int) -> int:
        """Raise what is declared, or what is not."""
        self.sold[what] = count
        if what == "tea":
            raise SoldOut(what, count)
        if what == "fax":
            raise Gone(what)
        raise LookupError("not for others")

    def fail(self) -> None:
        """Raise."""
        raise ValueError("not for others")

    async def wait(self, seconds: float) -> str:
        """Take a while."""
        await self.sleep(seconds)
        return "done"


class Reader(Interface):
    """What may be read."""

    def titles(self) -> list[str]:
        """Return what was sold."""
        raise NotImplementedError


class East(Actor):
    """Asks West."""

    async def ask(self, depth: int) -> int:
        """Ask the other side, which asks this one."""
        return 1 + await WEST[0].ask(West.ask, depth - 1) if depth else 0


class West(Actor):
    """Asks East."""

    async def ask(self, depth: int) -> int:
        """Ask the other side, which asks this one."""
        return 1 + await EAST[0].ask(East.ask, depth - 1) if depth else 0


EAST: list[RemoteRef[East]] = []
WEST: list[RemoteRef[West]] = []


class Pair:
    """Two nodes and a shop on the first."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.there = Node(path / "there", insecure_store=True)
        self.here = Node(path / "here", insecure_store=True)
        self.shop: Ref[Shop] = self.there.create(Shop)

    def close(self) -> None:
        """Stop both."""
        self.here.close()
        self.there.close()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """Two nodes that know nothing of each other."""
    made = Pair(tmp_path)
    yield made
    made.close()


def test_tell_ask_and_send_by_a_link(pair: Pair) -> None:
    """The types are those of the method; the receipt says where it is."""
    far = pair.here.ref(Shop, pair.shop.link())
    assert far.ask(Shop.sell, "milk").get(timeout=10) == 1
    far.tell(Shop.sell, "milk", count=2)
    receipt = far.send(Shop.sell, "eggs")
    receipt.settled(timeout=10)
    receipt.delivered(on={far.device}).get(timeout=1)
    assert far.ask(Shop.titles).get(timeout=10) == ["eggs", "milk"]
    assert pair.shop.snapshot()["sold"] == {"milk": 3, "eggs": 1}
    with pytest.raises(UsageError, match="goes to device"):
        receipt.delivered(on={bytes(32)}).get()


def test_a_facet_goes_by_a_link_too_and_is_checked_over_there(pair: Pair) -> None:
    """What it does not name is refused by both sides; taken back, it opens nothing."""
    reader: Facet[Reader] = pair.shop.facet(Reader)
    own, revoke = reader.revocable()
    link = own.link()
    far = pair.here.ref(Reader, link)
    assert far.ask(Reader.titles).get(timeout=10) == []
    with pytest.raises(UsageError, match="not of Reader"):
        far.ask(Shop.sell, "milk")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    cheat = pair.here.ref(Shop, link)
    with pytest.raises(Refused, match="does not let 'sell' through"):
        cheat.ask(Shop.sell, "milk").get(timeout=10)
    revoke()
    with pytest.raises(Refused, match="taken back"):
        far.ask(Reader.titles).get(timeout=10)
    assert pair.shop.snapshot()["sold"] == {}


def test_errors_over_there_are_told_by_an_id(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    """The log of the other device has it, with the trace."""
    far = pair.here.ref(Shop, pair.shop.link())
    with pytest.raises(RemoteError) as caught:
        far.ask(Shop.fail).get(timeout=10)
    assert "not for others" not in str(caught.value)
    assert caught.value.id in caplog.text


def test_declared_errors_arrive_as_they_are(pair: Pair) -> None:
    """With their arguments, as what is declared; nothing of the turn remains."""
    far = pair.here.ref(Shop, pair.shop.link())
    with pytest.raises(SoldOut) as caught:
        far.ask(Shop.order, "tea", 3).get(timeout=10)
    assert (type(caught.value), caught.value.args) == (SoldOut, ("tea", 3))
    with pytest.raises(SoldOut) as caught:
        far.ask(Shop.order, "fax", 1).get(timeout=10)
    assert (type(caught.value), caught.value.args) == (SoldOut, ("fax",))
    with pytest.raises(RemoteError) as hidden:
        far.ask(Shop.order, "ink", 1).get(timeout=10)
    assert "not for others" not in str(hidden.value)
    assert pair.shop.snapshot()["sold"] == {}


def test_a_deadline_makes_it_unknown(pair: Pair) -> None:
    """Nobody waits for ever for a device that is slow, or gone."""
    far = pair.here.ref(Shop, pair.shop.link())
    assert far.ask(Shop.wait, 0.01).get(timeout=10) == "done"
    with pytest.raises(Unknown):
        far.options(deadline=0.2).ask(Shop.wait, 3.0).get(timeout=10)


def test_a_message_waits_for_a_device_that_is_away(pair: Pair) -> None:
    """It is stored before `send` returns, and survives this node's own restart."""
    link = pair.shop.link()
    far = pair.here.ref(Shop, link)
    assert far.ask(Shop.titles).get(timeout=10) == []
    pair.there.close()
    for number in range(50):
        far.send(Shop.sell, f"{number}")
    pair.here.close()
    pair.here = Node(pair.path / "here", insecure_store=True)
    pair.there = Node(pair.path / "there", insecure_store=True)
    shop = pair.there.open(Shop)
    far = pair.here.ref(Shop, link)
    assert len(far.ask(Shop.titles).get(timeout=30)) == 50
    sold = shop.snapshot()["sold"]
    assert sold == {f"{number}": 1 for number in range(50)}


def test_a_stream_keeps_its_order_and_none_is_doubled(pair: Pair) -> None:
    """Thousands of tells, and an ask behind them that sees them all."""
    far = pair.here.ref(Shop, pair.shop.link())
    for number in range(3000):
        far.tell(Shop.sell, f"{number % 7}")
    assert far.ask(Shop.sell, "last").get(timeout=60) == 1
    sold = pair.shop.snapshot()["sold"]
    assert isinstance(sold, dict) or sold
    assert sum(sold[f"{number}"] for number in range(7)) == 3000  # type: ignore[index]


def test_an_ask_is_awaited_in_asyncio(pair: Pair) -> None:
    """As any other."""
    far = pair.here.ref(Shop, pair.shop.link())

    async def ask() -> int:
        return await far.ask(Shop.sell, "milk")

    assert asyncio.run(ask()) == 1


def test_a_cycle_over_two_devices_is_an_error_and_not_a_hang(pair: Pair) -> None:
    """Who is asked waits for who asks: by the chain that travels with the ask."""
    one, two = pair.here.create(East), pair.there.create(West)
    WEST[:] = [pair.here.ref(West, two.link())]
    EAST[:] = [pair.there.ref(East, one.link())]
    assert one.ask(East.ask, 1).get(timeout=10) == 1
    with pytest.raises(RemoteError):  # West got a DeadlockError, which it does not declare
        one.ask(East.ask, 2).get(timeout=10)
    with pytest.raises(RemoteError):
        two.ask(West.ask, 2).get(timeout=10)


def test_a_link_of_this_device_and_an_invite_are_told_from_a_link(pair: Pair) -> None:
    """Each error says what to do instead."""
    with pytest.raises(UsageError, match="this very device"):
        pair.there.ref(Shop, pair.shop.link())
    with pytest.raises(UsageError, match="invite"):
        pair.here.ref(Shop, pair.shop.invite())
    with pytest.raises(UsageError, match="incomplete or mistyped"):
        pair.here.ref(Shop, pair.shop.link()[:-1])
