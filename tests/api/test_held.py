"""Refs in fields and messages: live nodes on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity import Actor, Interface, List, Map, Node, Record, Ref, Register, Set, UsageError
from comity.api.ref import HeldRef
from comity.base.canonical import Malformed
from comity.base.canonical import Reader as Bytes
from comity.base.ids import DeviceId, Topic
from comity.crdt.schema import Schema
from comity.crdt.value import value_type
from comity.protocol.capability import RefLink


class Worker(Actor):
    """Counts."""

    done: Map[str, int]

    def work(self, what: str) -> int:
        """Do something; return how often it was done."""
        self.done[what] = self.done.get(what, 0) + 1
        return self.done[what]


class Other(Actor):
    """Is no Worker."""

    def idle(self) -> None:
        """Do nothing."""


class Boss(Actor):
    """Has workers."""

    helper: Ref[Worker] | None
    chief: Ref[Worker]
    team: Map[str, Ref[Worker]]
    queue: List[Ref[Worker]]
    spare: Register[Ref[Worker] | None]

    def hire(self, who: Ref[Worker]) -> None:
        """Keep a ref, everywhere."""
        self.helper = who
        self.chief = who
        self.team["first"] = who
        self.queue.append(who)
        self.spare.set(who)

    def misplace(self, who: object) -> None:
        """Write what is no ref to a Worker."""
        self.helper = who  # type: ignore[assignment]

    def clear_chief(self) -> None:
        """Write None where it is not declared."""
        self.chief = None  # type: ignore[assignment]

    def fire(self) -> None:
        """Forget."""
        self.helper = None

    def state(self) -> bool:
        """Tell whether there is a helper."""
        return self.helper is not None

    def ask_chief(self) -> int:
        """Ask one that may never have been written."""
        return self.chief.ask(Worker.work, "chief").get(timeout=20)

    async def delegate(self, what: str) -> int:
        """Ask the helper."""
        assert self.helper is not None
        self.helper.tell(Worker.work, what)
        self.team["first"].tell(Worker.work, what)
        self.queue[0].tell(Worker.work, what)
        spare = self.spare.value
        assert spare is not None
        spare.tell(Worker.work, what)
        return await self.helper.ask(Worker.work, what)

    def look_into(self) -> None:
        """Ask of the helper what only a replica has."""
        assert self.helper is not None
        self.helper.snapshot()

    async def pass_on(self, who: Ref[Worker]) -> int:
        """Use a ref that came in a message."""
        return await who.ask(Worker.work, "passed")


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Node, Node]]:
    """Two nodes."""
    with (
        Node(tmp_path / "a", insecure_store=True) as there,
        Node(tmp_path / "b", insecure_store=True) as here,
    ):
        yield there, here


def test_a_ref_in_a_field_is_asked_where_the_actor_is_open(pair: tuple[Node, Node]) -> None:
    """A handler reads a typed ref and sends with it; the actor itself runs, here."""
    node = pair[0]
    boss, worker = node.create(Boss), node.create(Worker)
    assert boss.snapshot()["helper"] is None
    assert not boss.ask(Boss.state).get(timeout=20)
    boss.ask(Boss.hire, worker).get(timeout=20)
    assert boss.ask(Boss.state).get(timeout=20)
    assert boss.ask(Boss.delegate, "x").get(timeout=20) == 5
    assert boss.ask(Boss.ask_chief).get(timeout=20) == 1
    assert boss.ask(Boss.pass_on, worker).get(timeout=20) == 1
    boss.ask(Boss.fire).get(timeout=20)
    assert boss.snapshot()["helper"] is None
    boss.undo()
    held = helper_of(boss)
    assert held == boss.snapshot()["chief"]


def test_a_member_elsewhere_sends_over_the_ref_in_the_field(pair: tuple[Node, Node]) -> None:
    """Who reads the field may send to the actor, without being a member of it."""
    there, here = pair
    boss, worker = there.create(Boss), there.create(Worker)
    boss.ask(Boss.hire, worker).get(timeout=20)
    far = here.open(Boss, boss.invite("writer", lifetime=timedelta(hours=1)))
    assert far.ask(Boss.delegate, "x").get(timeout=20) == 5
    assert worker.snapshot()["done"] == {"x": 5}
    held = helper_of(far)
    assert [each.topic for each in here.refs] == [far.topic], "nothing was opened"
    assert here.follow(held).ask(Worker.work, "y").get(timeout=20) == 1
    assert there.follow(held) is worker
    remote = here.ref(Worker, held.link())
    far.ask(Boss.hire, there_is(remote)).get(timeout=20)
    assert far.snapshot()["helper"] == held
    assert far.ask(Boss.pass_on, there_is(held)).get(timeout=20) == 1
    with pytest.raises(UsageError, match="it takes messages, no more"):
        far.ask(Boss.look_into).get(timeout=20)


def helper_of(boss: Ref[Boss]) -> HeldRef[Worker]:
    """Return what a snapshot shows."""
    held: object = boss.snapshot()["helper"]
    assert isinstance(held, HeldRef)
    return cast("HeldRef[Worker]", held)


def there_is(ref: object) -> Ref[Worker]:
    """Say that it is a ref, as `node.ref` cannot."""
    found: Ref[Worker] = ref  # type: ignore[assignment]
    return found


def test_a_ref_that_this_device_gave_and_closed_is_not_opened(
    pair: tuple[Node, Node],
) -> None:
    """Using it says how to open the actor; outside of messages it says `follow`."""
    node = pair[0]
    boss, worker = node.create(Boss), node.create(Worker)
    boss.ask(Boss.hire, worker).get(timeout=20)
    held = helper_of(boss)
    with pytest.raises(UsageError, match=r"node\.follow"):
        held.tell(Worker.work, "x")
    worker.close()
    with pytest.raises(UsageError, match=r"node\.open"):
        boss.ask(Boss.delegate, "x").get(timeout=20)
    with pytest.raises(UsageError, match=r"node\.open"):
        node.follow(held)
    assert node.open(Worker).ask(Worker.work, "x").get(timeout=20) == 1


def test_a_ref_in_a_field_outlives_the_node(tmp_path: Path) -> None:
    """After a restart it is read from the log, and finds the actor once that is open."""
    with Node(tmp_path / "a", insecure_store=True) as node:
        boss, worker = node.create(Boss), node.create(Worker)
        boss.ask(Boss.hire, worker).get(timeout=20)
        held = helper_of(boss)
    with Node(tmp_path / "a", insecure_store=True) as node:
        again = node.open(Boss)
        assert helper_of(again) == held
        with pytest.raises(UsageError, match="not open here"):
            again.ask(Boss.delegate, "x").get(timeout=20)
        opened = node.open(Worker)
        assert again.ask(Boss.delegate, "x").get(timeout=20) == 5
        assert node.follow(helper_of(again)) is opened


def test_what_is_no_ref_of_that_actor_is_refused(pair: tuple[Node, Node]) -> None:
    """Neither other actors, nor other values, nor None where it was not declared."""
    node = pair[0]
    boss, other = node.create(Boss), node.create(Other)
    for wrong in (other, 1, "comity:", b"", boss):
        with pytest.raises(UsageError, match="a ref"):
            boss.ask(Boss.misplace, wrong).get(timeout=20)
    with pytest.raises(UsageError, match="a ref"):
        boss.ask(Boss.clear_chief).get(timeout=20)
    with pytest.raises(UsageError, match="never written"):
        boss.ask(Boss.ask_chief).get(timeout=20)
    assert boss.snapshot()["chief"] is None


def test_what_others_leave_out_is_read_as_never_written(pair: tuple[Node, Node]) -> None:
    """Where None is declared it may be written: the state stands, with it, everywhere."""
    node = pair[0]
    boss, worker = node.create(Boss), node.create(Worker)
    boss.ask(Boss.hire, worker).get(timeout=20)
    before = boss.version()
    boss.undo()
    boss.restore(before)
    assert helper_of(boss) == boss.snapshot()["chief"]
    boss.undo()
    empty = boss.version()
    boss.redo()
    boss.restore(empty)  # which writes None into both
    assert boss.snapshot()["chief"] is None
    assert boss.state_bytes()
    with pytest.raises(UsageError, match="never written"):
        boss.ask(Boss.ask_chief).get(timeout=20)


def test_a_secret_is_not_shown(pair: tuple[Node, Node]) -> None:
    """Neither repr nor str of a ref in a field tells its link."""
    boss, worker = pair[0].create(Boss), pair[0].create(Worker)
    boss.ask(Boss.hire, worker).get(timeout=20)
    held = helper_of(boss)
    assert held.held_link.grant.hex() not in f"{held!r} {held} {held.held_link!r}"


class Reader(Interface):
    """No actor."""


class Nested(Record):
    """Has a ref without a register."""

    helper: Ref[Worker] | None


@pytest.mark.parametrize(
    ("hint", "said"),
    [
        (Ref, "Ref must say"),
        (Ref[Reader], "no actor"),  # type: ignore[type-var]
        (Set[Ref[Worker]], "cannot be a key"),
        (Map[Ref[Worker], int], "cannot be a key"),
        (Map[str, Nested], "write Register"),
    ],
)
def test_a_wrong_declaration_says_the_fix(hint: object, said: str) -> None:
    """At the first use of the class."""
    with pytest.raises(UsageError, match=said):
        Schema.from_hints("Boss", {"helper": hint}, {})


def test_optional_and_needed_are_one_field() -> None:
    """Whether None is declared is of this device; the law, and so the tag, is the same."""
    needed = Schema.from_hints("Boss", {"helper": Ref[Worker]}, {}).fields[0]
    optional = Schema.from_hints("Boss", {"helper": Ref[Worker] | None}, {}).fields[0]
    spelt = Schema.from_hints("Boss", {"helper": Register[Ref[Worker] | None]}, {}).fields[0]
    assert needed.tag == optional.tag == spelt.tag
    assert needed.law == "register<ref<Worker>|none>"


_ADDRESSES = st.lists(st.text(min_size=1, max_size=20), max_size=8).map(tuple)


@given(st.binary(min_size=80, max_size=80), _ADDRESSES, _ADDRESSES, st.binary(max_size=3))
def test_values_read_back_whole_only(
    ids: bytes, addresses: tuple[str, ...], relays: tuple[str, ...], more: bytes
) -> None:
    """What is written is read; what is cut short is malformed; what follows is left."""
    kind = value_type(Ref[Worker])
    prekey = bytes(32) if relays else b""
    link = RefLink(DeviceId(ids[:32]), Topic(ids[32:64]), ids[64:], addresses, prekey, relays)
    held: HeldRef[Worker] = HeldRef(Worker, link)
    data = kind.encode(held)
    reader = Bytes(data + more)
    assert kind.decode(reader) == held
    assert reader.rest() == more
    assert hash(kind.decode(Bytes(data))) == hash(held)
    for cut in range(0, len(data), 7):
        with pytest.raises(Malformed):
            kind.decode(Bytes(data[:cut]))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_ref_or_malformed(data: bytes) -> None:
    """A peer's bytes end as a value or as Malformed; the class is not even looked at."""
    kind = value_type(Ref[Worker])
    try:
        found = kind.decode(Bytes(data))
    except Malformed:
        return
    assert kind.decode(Bytes(kind.encode(found))) == found
