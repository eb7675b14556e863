"""Real nodes on loopback: real keys, SQLite, gRPC. What the simulator shows holds here too."""

from __future__ import annotations

import asyncio
import os
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from comity import Actor, LinkError, Map, Node, Ref, StoreError, UsageError
from comity.drivers.dispatch.errors import ActorStopped
from tests.node.ledger import Ledger

_SECONDS = 20.0


class Loser(Actor):
    """Another type."""

    lines: Map[str, int]

    def lose(self, name: str) -> None:
        """Write."""
        self.lines[name] = 1


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Close every node in the end."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def open_node(stack: ExitStack, tmp_path: Path) -> Callable[[str], Node]:
    """Open a node by name, in a store of its own."""
    return lambda name: stack.enter_context(Node(tmp_path / name, insecure_store=True))


def _until(reached: Callable[[], bool]) -> None:
    """Wait for something that other threads bring about."""
    end = time.monotonic() + _SECONDS
    while not reached():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.01)


def _lines(ref: Ref[Ledger]) -> Mapping[str, int]:
    return cast("Mapping[str, int]", ref.snapshot()["lines"])


def test_two_devices_share_an_actor_through_an_invite(
    open_node: Callable[[str], Node],
) -> None:
    """Both write, both see both, and their states are equal to the byte."""
    alice, bob = open_node("alice"), open_node("bob")
    hers = alice.create(Ledger)
    assert hers.ask(Ledger.enter, "milk", 1).get(timeout=_SECONDS) == 1
    his = bob.open(Ledger, hers.invite("writer"))
    _until(lambda: "milk" in _lines(his))
    his.tell(Ledger.enter, "eggs", 2)
    _until(lambda: "eggs" in _lines(hers))
    _until(lambda: hers.state_bytes() == his.state_bytes())
    assert sorted(member.role.name for member in hers.members()) == ["ADMIN", "WRITER"]


def test_who_joins_may_write_at_once(open_node: Callable[[str], Node]) -> None:
    """Opening an invite waits for the rights that it brings, also for more of them."""
    alice, bob = open_node("alice"), open_node("bob")
    hers = alice.create(Ledger)
    his = bob.open(Ledger, hers.invite("reader"))
    with pytest.raises(UsageError, match="it is a reader"):
        his.ask(Ledger.enter, "eggs", 1).get(timeout=_SECONDS)
    assert bob.open(Ledger, hers.invite("writer")) is his
    assert his.ask(Ledger.enter, "eggs", 2).get(timeout=_SECONDS) == 1


def test_two_that_were_both_off_find_each_other_again(tmp_path: Path) -> None:
    """Each is where it was the last time."""
    with (
        Node(tmp_path / "alice", insecure_store=True) as alice,
        Node(tmp_path / "bob", insecure_store=True) as bob,
    ):
        topic = bob.open(Ledger, alice.create(Ledger).invite("writer")).topic
        before = (alice.address, bob.address)
    with (
        Node(tmp_path / "bob", insecure_store=True) as bob,
        Node(tmp_path / "alice", insecure_store=True) as alice,
    ):
        assert (alice.address, bob.address) == before
        hers, his = alice.open(Ledger, topic), bob.open(Ledger, topic)
        his.tell(Ledger.enter, "eggs", 2)
        _until(lambda: "eggs" in _lines(hers))


def test_a_port_that_somebody_else_took_is_given_up(tmp_path: Path) -> None:
    """The node starts at another one."""
    with Node(tmp_path / "alice", insecure_store=True) as alice:
        before = str(alice.address)
    with socket.socket() as other:
        other.bind(("127.0.0.1", int(before.rpartition(":")[2])))
        other.listen()
        with Node(tmp_path / "alice", insecure_store=True) as alice:
            assert alice.address != before
            now = alice.address
    with Node(tmp_path / "alice", insecure_store=True) as alice:
        assert alice.address == now


def test_an_invite_for_oneself_is_told_so(open_node: Callable[[str], Node]) -> None:
    """Nobody joins what he has."""
    alice = open_node("alice")
    with pytest.raises(UsageError, match="this very device"):
        alice.join(alice.create(Ledger).invite())


def test_the_only_admin_cannot_leave(open_node: Callable[[str], Node]) -> None:
    """Without one nobody can be let in or removed any more; a second one makes it possible."""
    alice, bob = open_node("alice"), open_node("bob")
    hers = alice.create(Ledger)
    with pytest.raises(UsageError, match="the only admin"):
        hers.remove(alice.device)
    hers.tell(Ledger.enter, "milk", 1)
    his = bob.open(Ledger, hers.invite("admin"))
    _until(lambda: len(hers.members()) == 2)
    hers.remove(alice.device)
    _until(lambda: [member.device for member in his.members()] == [bob.device])


def test_an_invite_to_another_type_is_told_so(open_node: Callable[[str], Node]) -> None:
    """The device takes part by then: the class that opens it is named."""
    alice, bob = open_node("alice"), open_node("bob")
    with pytest.raises(UsageError, match=r"is a 'Ledger', not a 'Loser'.*takes part"):
        bob.open(Loser, alice.create(Ledger).invite("writer"))
    assert bob.open(Ledger).ask(Ledger.enter, "milk", 1).get(timeout=_SECONDS) == 1


@pytest.mark.parametrize("hours", [0, 0.001, 8785, 1e5])
def test_an_invite_has_a_lifetime_in_reason(
    open_node: Callable[[str], Node], hours: float
) -> None:
    """A second is over before anybody has read the link; a century is for finders."""
    ref = open_node("alice").create(Ledger)
    with pytest.raises(UsageError, match="a minute to a year"):
        ref.invite(lifetime=timedelta(hours=hours))


def test_a_ref_is_not_the_actor(open_node: Callable[[str], Node]) -> None:
    """What a newcomer types first is answered with what to type."""
    ref: Any = open_node("alice").create(Ledger)
    with pytest.raises(AttributeError, match=r"a message: send it: ref\.ask\(Ledger\.enter"):
        _ = ref.enter
    with pytest.raises(AttributeError, match="a field: read it in a method"):
        _ = ref.lines
    assert not hasattr(ref, "nothing")


class Unstarted(Actor):
    """Cannot be hosted."""

    lines: Map[str, int]

    def on_start(self) -> None:
        """Fail."""
        raise ValueError("no socket")


def test_an_actor_that_cannot_start_is_not_handed_out(open_node: Callable[[str], Node]) -> None:
    """Whoever opens it hears why."""
    with pytest.raises(ActorStopped, match="no socket"):
        open_node("alice").create(Unstarted)


def test_the_one_actor_of_a_class_is_opened_or_made(open_node: Callable[[str], Node]) -> None:
    """Made at the first time, opened at every other; several must be told apart."""
    alice = open_node("alice")
    first = alice.open_or_create(Ledger)
    assert alice.open_or_create(Ledger) is first
    alice.create(Loser)
    assert alice.open_or_create(Ledger) is first
    alice.create(Ledger)
    with pytest.raises(UsageError, match="holds 2 actors of type 'Ledger'"):
        alice.open_or_create(Ledger)


def test_what_another_version_wrote_is_told_of(
    open_node: Callable[[str], Node], caplog: pytest.LogCaptureFixture
) -> None:
    """An empty field that was full yesterday has a reason, and the reason is said."""
    alice = open_node("alice")
    first = alice.create(Loser)
    for name in ("milk", "eggs"):
        assert first.ask(Loser.lose, name).get(timeout=_SECONDS) is None
    first.close()
    assert "does not have" not in caplog.text

    class Retyped(Actor, name="Loser"):
        lines: Map[str, str]

    assert alice.open(Retyped).snapshot() == {"lines": {}}
    assert "holds 2 changes of 1 fields that this version of the class" in caplog.text


def test_what_is_no_device_or_address_is_refused(open_node: Callable[[str], Node]) -> None:
    """By name, before anything is written, and the node goes on."""
    alice = open_node("alice")
    ref = alice.create(Ledger)
    with pytest.raises(UsageError, match="is no device"):
        ref.remove(b"x")
    with pytest.raises(UsageError, match="not an address"):
        alice.use_relay("nonsense")
    assert ref.ask(Ledger.enter, "milk", 1).get(timeout=_SECONDS) == 1


def test_a_relay_hands_over_between_two_that_are_never_online_together(
    stack: ExitStack, open_node: Callable[[str], Node], tmp_path: Path
) -> None:
    """What one wrote before leaving the other finds at a relay that cannot read a word."""
    relay = stack.enter_context(Node(tmp_path / "relay", insecure_store=True, relay=True))
    assert relay.address is not None
    alice = stack.enter_context(
        Node(tmp_path / "alice", insecure_store=True, relays=[relay.address])
    )
    hers = alice.create(Ledger)
    bob = open_node("bob")
    his = bob.open(Ledger, hers.invite())
    _until(lambda: len(his.members()) == 2)
    bob.close()
    hers.ask(Ledger.enter, "CANARY-at-the-relay", 1).get(timeout=_SECONDS)
    _until(lambda: _shelved(relay) == alice.status().topics[0].commits)
    alice.close()
    found = open_node("bob").open(Ledger)
    _until(lambda: "CANARY-at-the-relay" in _lines(found))
    files = sorted((tmp_path / "relay").glob("store.db*"))
    assert files
    assert not any(b"CANARY" in path.read_bytes() for path in files)


def _shelved(relay: Node) -> int:
    return sum(commits for _, commits, _ in relay.status().shelves)


def test_state_survives_a_restart(open_node: Callable[[str], Node]) -> None:
    """What was acknowledged is there again, and the actor goes on."""
    first = open_node("alice")
    ref = first.create(Ledger)
    for number in range(50):
        ref.ask(Ledger.enter, str(number), number).get(timeout=_SECONDS)
    before = ref.state_bytes()
    first.close()
    again = open_node("alice").open(Ledger)
    assert again.state_bytes() == before
    assert again.ask(Ledger.enter, "one more", 1).get(timeout=_SECONDS) == 51


def test_an_ask_can_be_awaited(open_node: Callable[[str], Node]) -> None:
    """From asyncio a reply is awaited without blocking the loop."""
    ref = open_node("alice").create(Ledger)

    async def both() -> list[int]:
        asked = [ref.ask(Ledger.enter, str(number), number) for number in range(2)]
        return [await reply for reply in asked]

    assert asyncio.run(both()) == [1, 2]


def test_an_error_of_a_handler_reaches_its_asker_and_nothing_remains(
    open_node: Callable[[str], Node],
) -> None:
    """The exception itself comes back; the writes before it do not count."""
    ref = open_node("alice").create(Ledger)
    with pytest.raises(ValueError, match="b"):
        ref.ask(Ledger.enter_and_fail, "b").get(timeout=_SECONDS)
    assert ref.ask(Ledger.count).get(timeout=_SECONDS) == 0


# Bad input: an error that names the value and the fix, and nothing is lost.


def test_a_wrong_invite_is_told_from_a_mistyped_one(open_node: Callable[[str], Node]) -> None:
    """Not an invite, incomplete, and used: three different sentences."""
    alice, bob = open_node("alice"), open_node("bob")
    ref = alice.create(Ledger)
    link = ref.invite()
    with pytest.raises(UsageError, match=r"is not an invite.*copy it whole"):
        bob.join("https://example.org")
    with pytest.raises(UsageError, match="incomplete or mistyped"):
        bob.join(link[:-3])
    bob.join(link)
    with pytest.raises(UsageError, match="used already"):
        open_node("carol").join(link)


def test_an_invite_whose_host_is_gone_names_it(open_node: Callable[[str], Node]) -> None:
    """The error says who could not be reached and what to do."""
    alice = open_node("alice")
    link = alice.create(Ledger).invite()
    alice.close()
    with pytest.raises(LinkError, match="must be running while you join"):
        open_node("bob").join(link)


def test_a_role_that_is_none_is_refused(open_node: Callable[[str], Node]) -> None:
    """The roles there are stand in the error."""
    ref = open_node("alice").create(Ledger)
    with pytest.raises(UsageError, match="'owner' is not a role: use 'reader'"):
        ref.invite("owner")


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    """The address and the fix stand in the error, and the store is free again."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(LinkError, match=address):
            Node(tmp_path / "alice", insecure_store=True, listen=address)
    Node(tmp_path / "alice", insecure_store=True).close()


def test_a_store_in_use_names_the_process(
    open_node: Callable[[str], Node], tmp_path: Path
) -> None:
    """One process per store: the second is told which one has it."""
    open_node("alice")
    with pytest.raises(StoreError, match=str(os.getpid())):
        Node(tmp_path / "alice", insecure_store=True)


def test_a_corrupt_store_is_refused_by_name(tmp_path: Path) -> None:
    """Garbage where the database was: nothing is overwritten, the file is named."""
    Node(tmp_path / "alice", insecure_store=True).close()
    damaged = tmp_path / "alice" / "store.db"
    damaged.write_bytes(b"garbage" * 1000)
    with pytest.raises(StoreError, match=str(damaged)):
        Node(tmp_path / "alice", insecure_store=True)
    assert damaged.read_bytes() == b"garbage" * 1000


@pytest.mark.parametrize("loss", ["missing", "empty", "without a single row"])
def test_a_store_that_lost_its_rows_is_not_made_anew(tmp_path: Path, loss: str) -> None:
    """A new device with a new list in its place would hide the loss."""
    rows = tmp_path / "alice" / "store.db"
    with Node(tmp_path / "alice", insecure_store=True) as node:
        node.create(Ledger)
    if loss == "without a single row":
        with closing(sqlite3.connect(rows)) as database:
            database.execute("DELETE FROM meta")
            database.commit()
    else:
        for path in rows.parent.glob("store.db*"):
            path.unlink()
        if loss == "empty":
            rows.touch()
    with pytest.raises(StoreError, match=f"store.db is {loss}"):
        Node(tmp_path / "alice", insecure_store=True)


def test_a_store_whose_making_was_cut_short_is_made(tmp_path: Path) -> None:
    """The vault is there, the rows are not yet: nothing was lost."""
    alice = tmp_path / "alice"
    Node(alice, insecure_store=True).close()
    for path in alice.glob("store.db*"):
        path.unlink()
    (alice / "new").touch()
    with Node(alice, insecure_store=True) as node:
        node.create(Ledger)
    assert not (alice / "new").exists()


def test_keys_are_protected_unless_asked_otherwise(tmp_path: Path) -> None:
    """A passphrase is needed again to open, and the wrong one is refused."""
    path = tmp_path / "alice"
    Node(path, passphrase="correct horse").close()
    with pytest.raises(UsageError, match="passphrase"):
        Node(path, passphrase="wrong horse")
    Node(path, passphrase="correct horse").close()


def test_an_unknown_method_lists_those_that_exist(open_node: Callable[[str], Node]) -> None:
    """By name, as tools send them."""
    ref = open_node("alice").create(Ledger)
    with pytest.raises(UsageError, match="no message 'bogus'; its messages are: count, enter"):
        ref.send_by_name("bogus").get(timeout=_SECONDS)


def test_a_value_that_cannot_be_stored_is_named(open_node: Callable[[str], Node]) -> None:
    """The turn fails, its asker is told the value, and nothing is written."""

    class Box(Actor):
        things: Map[str, int]

        def put(self, name: str, thing: object) -> None:
            self.things["fine"] = 1
            self.things[name] = cast("int", thing)

    ref = open_node("alice").create(Box)
    with pytest.raises(UsageError, match="object"):
        ref.ask(Box.put, "a", object()).get(timeout=_SECONDS)
    assert ref.snapshot()["things"] == {}


def test_opening_what_is_not_there_says_what_is(open_node: Callable[[str], Node]) -> None:
    """No actor, several actors, an id that fits none."""
    node = open_node("alice")
    with pytest.raises(UsageError, match="create one, or join one with an invite"):
        node.open(Ledger)
    node.create(Ledger)
    node.create(Ledger)
    with pytest.raises(UsageError, match=r"2 actors of type 'Ledger'.*name one of them"):
        node.open(Ledger)
    with pytest.raises(UsageError, match="no actor id"):
        node.open(Ledger, "zz")
