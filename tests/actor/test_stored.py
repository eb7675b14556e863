"""A cell that begins from a stored state is the cell that it was made from."""

from __future__ import annotations

import zlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comity.actor import stored
from comity.actor.actor_type import ActorType
from comity.actor.cell import Cell, Phase
from comity.actor.fold import Fold, FoldCommit, Folded
from comity.actor.places import Places
from comity.authority.visibility import WHOLE
from comity.base.canonical import Malformed
from comity.base.errors import Reason, Rejected
from comity.crdt.state import State
from tests.actor.hosts import Host, Hosts
from tests.node.ledger import Ledger

KIND = ActorType.of(Ledger)


def busy() -> Host:
    """Return a host that has seen the turns of three devices, some of them hidden."""
    hosts = Hosts()
    for number in range(8):
        for author, host in enumerate(hosts.all):
            host.run(Ledger.enter, f"{author}{number % 3}", number)
            if number % 2:
                host.run(Ledger.rename, f"{author} {number}")
        if number % 3 == 2:
            hosts.sync()
    hosts.sync()
    host = hosts.all[0]
    host.fold(hide=[(hosts.log()[5], 0), (hosts.log()[7], 0)])
    return host


def frozen(host: Host) -> bytes:
    """Return what a cell answers that is asked for its state."""
    event, _ = host.cell.fold(replace(host.offer(), freeze=True))
    host.fed()
    assert isinstance(event, Folded)
    assert event.frozen is not None
    return event.frozen


def beginning(host: Host, data: bytes) -> Fold:
    """Return the fold that gives a new cell a stored state, and what is hidden."""
    hide = tuple([(host.number(commit), index) for commit, index in host.hidden])
    topic = host.world.topic
    return Fold(topic, 1, 0, host.graph, hide=hide, frozen=data)


def test_a_cell_goes_on_where_another_was() -> None:
    """It shows the same, and takes further turns, hiding and showing as that one does."""
    host = busy()
    data = frozen(host)
    cell = Cell(KIND, host.world.topic)
    event, changes = cell.fold(beginning(host, data))
    assert event == Folded(host.world.topic, 1)
    assert changes == ()
    assert cell.phase is Phase.RUNNING
    assert cell.snapshot() == host.cell.snapshot()
    assert cell.state_bytes() == host.cell.state_bytes()
    cell.check()
    host.run(Ledger.enter, "new", 5)
    commit = host.seal()
    assert commit is not None
    number = host.number(commit)
    shown = next(iter(host.hidden))
    more = Fold(
        host.world.topic,
        2,
        0,
        host.graph,
        commits=(FoldCommit(number, host.turns(commit)),),
        show=((host.number(shown[0]), shown[1]),),
        freeze=True,
    )
    event, _ = cell.fold(more)
    host.show(shown)
    assert cell.snapshot() == host.cell.snapshot()
    assert cell.state_bytes() == host.cell.state_bytes()
    cell.check()
    assert isinstance(event, Folded)
    again = Cell(KIND, host.world.topic)
    assert event.frozen is not None
    again.fold(beginning(host, event.frozen))
    assert again.state_bytes() == host.cell.state_bytes()


def test_what_is_hidden_is_what_is_hidden_now() -> None:
    """Turns that were hidden, shown or removed since are so in the cell that begins."""
    host = busy()
    data = frozen(host)
    numbers = sorted([host.number(commit) for commit in host.shown])
    turns = [number for number in numbers if host.graph.parents_of(number)]
    for hide in ((), ((turns[3], 0),), ((turns[2], 0), (turns[4], WHOLE), (turns[4], 0))):
        cell, fresh = Cell(KIND, host.world.topic), Cell(KIND, host.world.topic)
        cell.fold(replace(beginning(host, data), hide=hide))
        commits = [
            FoldCommit(number, host.turns(host.graph.id_of(number))) for number in numbers
        ]
        fresh.fold(Fold(host.world.topic, 1, 0, host.graph, commits=tuple(commits), hide=hide))
        assert cell.snapshot() == fresh.snapshot()
        assert cell.state_bytes() == fresh.state_bytes()
        cell.check()


HOST = busy()
DATA = frozen(HOST)
PLAIN = zlib.decompress(DATA, -zlib.MAX_WBITS)


@given(st.integers(0, len(PLAIN) - 1), st.integers(1, 255))
@settings(max_examples=300, deadline=None)
def test_damaged_bytes_are_said_to_be_so_or_are_a_state(at: int, noise: int) -> None:
    """The cell is empty then, says so, and can be given the whole log."""
    damaged = bytearray(PLAIN)
    damaged[at] ^= noise
    packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    cell = Cell(KIND, HOST.world.topic)
    event, _ = cell.fold(beginning(HOST, packer.compress(bytes(damaged)) + packer.flush()))
    assert isinstance(event, Folded)
    if event.thawed:
        return
    assert cell.phase is Phase.STARTING
    numbers = sorted([HOST.number(commit) for commit in HOST.shown])
    commits = [FoldCommit(n, HOST.turns(HOST.graph.id_of(n))) for n in numbers]
    hide = beginning(HOST, b"").hide
    whole = Fold(HOST.world.topic, 2, 0, HOST.graph, commits=tuple(commits), hide=hide)
    cell.fold(whole)
    assert cell.state_bytes() == HOST.cell.state_bytes()


@pytest.mark.parametrize(
    "data", [b"", b"\x03\x00", DATA[:-1], DATA + b"\0", DATA[:40], bytes(100)]
)
def test_what_does_not_unpack_is_malformed(data: bytes) -> None:
    """Nothing is taken of what is cut, longer than it says, or something else."""
    places = Places()
    places.graph = HOST.graph
    with pytest.raises(Malformed):
        stored.thaw(data, places, State(KIND.schema, places))


def test_what_unpacks_to_too_much_is_malformed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small row cannot fill the memory; a state that is too large is not stored."""
    monkeypatch.setattr(stored, "STATE_BYTES_MAX", len(PLAIN) - 1)
    places = Places()
    places.graph = HOST.graph
    with pytest.raises(Malformed):
        stored.thaw(DATA, places, State(KIND.schema, places))
    empty = Places()
    assert stored.freeze(empty, (), State(KIND.schema, empty)) is not None
    monkeypatch.setattr(stored, "STATE_BYTES_MAX", 3)
    assert stored.freeze(empty, (), State(KIND.schema, empty)) is None


def test_places_and_broken_rules_are_kept() -> None:
    """Roles, what each commit did not see, and what broke a rule are answered as before."""
    places = Places()
    places.graph = HOST.graph
    for commit in range(1, 6):
        hidden = ((1, WHOLE), (1, 0), (2, 1)) if commit > 3 else ((1, 0),) * (commit > 1)
        places.hide_before(commit, hidden)
        places.learn_role(commit, commit % 3)
        places.append(commit, 0)
        places.append(commit, 1)
    broken = [(2, Rejected(Reason.RULE_BROKEN, "not his"))]
    state = State(KIND.schema, places)
    data = stored.freeze(places, broken, state)
    assert data is not None
    again = Places()
    again.graph = HOST.graph
    assert stored.thaw(data, again, State(KIND.schema, again)) == broken
    for turn in range(10):
        for name in ("hidden_before", "withdrawn_before", "role", "parents_of", "author"):
            assert getattr(again, name)(turn) == getattr(places, name)(turn)
    assert again.turns_of(3) == places.turns_of(3)
