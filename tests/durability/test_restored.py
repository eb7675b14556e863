"""A store that was put back, or copied, is never the old device again. PROTOCOL section 1.

Each test is run with the guard and without it; without it, a named claim breaks.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from comity.base.errors import UsageError
from comity.base.ids import DeviceId
from comity.log.entries import Role
from comity.node import commands
from comity.node.devices import COPIED
from comity.node.effects import Table
from comity.node.generation import Generation
from comity.node.links import Link
from comity.node.syncing import Syncing
from comity_chaos import node as node_module
from comity_chaos.scene import Part
from comity_chaos.sim import Sim, SimRef
from tests.attacks.claims import agree, always, attack, both, claim, command, journal_of, lines
from tests.node.ledger import Ledger


def _device(ref: SimRef[Any]) -> DeviceId:
    return ref.node.running()[0].device


def _status(sim: Sim, ref: SimRef[Any]) -> commands.NodeStatus:
    found = command(sim, ref, commands.DescribeNode)
    assert isinstance(found, commands.NodeStatus)
    return found


def _written_by(ref: SimRef[Any], device: DeviceId) -> int:
    graph = journal_of(ref).graph
    return sum(graph.author_of(index) == device for index in range(len(graph)))


def _no_fork(*refs: SimRef[Any]) -> None:
    found = [len(journal_of(ref).graph.forks) for ref in refs]
    claim(not any(found), "no evidence of a fork arises")


def _rejoin(sim: Sim, admin: SimRef[Any], ref: SimRef[Any]) -> None:
    """Let an admin admit the new device, as anybody new."""
    invite = sim.invite(admin)
    assert command(sim, ref, partial(commands.Join, invite=invite)) == ref.topic


def _with_draft(sim: Sim, ref: SimRef[Ledger]) -> None:
    """Have two turns acknowledged, of which the second is a draft."""
    ref.tell(Ledger.enter, "one", 1)
    sim.run(0.02)
    reply = ref.ask(Ledger.enter, "two", 2)
    sim.run(0.01)
    assert reply.done
    assert ref.node.disk.table(Table.DRAFT)


def _unguard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let copies run as what they were copied from, and go on when they find out."""
    monkeypatch.setattr(node_module, "compare", always(answer=Generation.SAME))
    monkeypatch.setattr(Syncing, "superseded", always(answer=None))


@both
def test_a_backup_that_is_put_back(*, defended: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads what it held, writes nothing, is let in as a new device, and then goes on."""
    if not defended:
        _unguard(monkeypatch)
    breaks = "no evidence|a new device"
    with attack(defended=defended, breaks=breaks), Sim(seed=701, nodes=3) as sim:
        refs = sim.share(Ledger, roles=[Role.ADMIN])
        b, a, c = refs
        old = _device(a)
        _with_draft(sim, a)
        backup = a.node.disk.image()
        sim.run(1)
        a.tell(Ledger.enter, "three", 3)
        agree(sim, refs)
        sim.crash(a)
        a.node.restore(backup, whole=False)
        sim.cut(a, b, c)
        sim.restart(a)
        sim.run(2)
        reply = a.ask(Ledger.enter, "as nobody", 1)
        sim.run(2)
        sim.heal()
        sim.run(60)
        _no_fork(b, c)
        claim(_device(a) != old, "it is a new device")
        claim(isinstance(reply.error, UsageError), "it may not write before it is let in")
        claim(lines(a) == {"one": 1}, "what the backup held can be read")
        (former,) = _status(sim, a).formers
        assert former.device == old
        assert former.why == COPIED
        assert former.unsent == ((a.topic, 1),)
        _rejoin(sim, b, a)
        agree(sim, refs)
        claim(
            not _status(sim, a).formers[0].unsent, "the draft was sent after all: it is let go"
        )
        again = a.ask(Ledger.enter, "four", 4)
        agree(sim, refs)
        assert again.value == 4
        claim(lines(c) == {"one": 1, "two": 2, "three": 3, "four": 4}, "all of it is there")
        _no_fork(*refs)


@both
def test_a_copy_beside_the_original(*, defended: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The original goes on undisturbed; the copy is another device from its first moment."""
    if not defended:
        _unguard(monkeypatch)
    breaks = "no evidence|one device is one"
    with attack(defended=defended, breaks=breaks), Sim(seed=702, nodes=4) as sim:
        refs = sim.share(Ledger, on=3, roles=[Role.ADMIN])
        b, a, c = refs
        old = _device(a)
        _with_draft(sim, a)
        copy = sim.nodes[3]
        sim.world.crash(copy)
        copy.restore(a.node.disk.image(), whole=False)
        groups = [[copy.index], [ref.node.index for ref in refs]]
        sim.world.cut(groups)
        sim.world.start(copy)
        twin: SimRef[Ledger] = SimRef(sim, Part(copy, a.topic, a.actor_type))
        sim._open(twin, create=False)
        a.tell(Ledger.enter, "three", 3)
        sim.run(1)
        twin.tell(Ledger.enter, "by the copy", 1)
        sim.run(1)
        sim.heal()
        sim.run(30)
        _no_fork(*refs)
        claim(_device(a) == old, "the original is what it was")
        claim(_device(twin) != old, "one device is one device")
        agree(sim, refs)
        _rejoin(sim, b, twin)
        agree(sim, [*refs, twin])
        twin.tell(Ledger.enter, "by the copy", 1)
        a.tell(Ledger.enter, "four", 4)
        agree(sim, [*refs, twin])
        expected = {"one": 1, "two": 2, "three": 3, "four": 4, "by the copy": 1}
        claim(lines(c) == expected, "both go on")
        _no_fork(*refs, twin)


@both
def test_a_machine_that_was_restored_as_a_whole(
    *, defended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guard is put back with its store; at a peer the device meets what it wrote later."""
    if not defended:
        monkeypatch.setattr(Syncing, "superseded", always(answer=None))
    breaks = "writes no more"
    with attack(defended=defended, breaks=breaks), Sim(seed=703, nodes=3) as sim:
        refs = sim.share(Ledger, roles=[Role.ADMIN])
        b, a, c = refs
        old = _device(a)
        _with_draft(sim, a)
        backup = a.node.disk.image()
        sim.run(1)
        a.tell(Ledger.enter, "three", 3)
        agree(sim, refs)
        before = _written_by(c, old)
        sim.crash(a)
        draft = dict(a.node.disk.table(Table.DRAFT))
        assert not draft
        a.node.restore({**backup, Table.DRAFT: {}}, whole=True)
        sim.restart(a)
        sim.run(20)
        reply = a.ask(Ledger.enter, "as nobody", 1)
        sim.run(20)
        claim(_written_by(c, old) == before, "the old device writes no more")
        assert isinstance(reply.error, UsageError)
        (former,) = _status(sim, a).formers
        assert former.device == old
        assert "not made here" in former.why
        _rejoin(sim, b, a)
        a.tell(Ledger.enter, "four", 4)
        agree(sim, refs)
        a.tell(Ledger.enter, "four", 4)
        agree(sim, refs)
        claim(set(lines(c)) == {"one", "two", "three", "four"}, "it goes on")
        _no_fork(*refs)


@both
def test_joining_is_not_cut_short_by_a_call(
    *, defended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new device knows where members are and calls them, while it joins at one of them."""
    if not defended:
        monkeypatch.setattr(Link, "joining", property(always(answer=False)))
    with attack(defended=defended, breaks="it is let in"):
        for seed in range(720, 732):
            with Sim(seed=seed, nodes=2) as sim:
                a, b = sim.share(Ledger)
                backup = b.node.disk.image()
                b.tell(Ledger.enter, "one", 1)
                sim.run(1)
                sim.crash(b)
                b.node.restore(backup, whole=False)
                sim.restart(b)
                invite = sim.invite(a)
                answer = command(sim, b, partial(commands.Join, invite=invite))
                claim(answer == b.topic, f"it is let in: {answer}")


def test_what_was_not_sent_is_kept_until_it_is_seen() -> None:
    """A draft in a backup stays through restarts, and goes when its commit comes by a peer."""
    with Sim(seed=704, nodes=3) as sim:
        refs = sim.share(Ledger, roles=[Role.ADMIN])
        _, a, _ = refs
        _with_draft(sim, a)
        backup = a.node.disk.image()
        sim.run(1)
        sim.crash(a)
        a.node.restore(backup, whole=False)
        for _ in range(2):
            sim.restart(a)
            sim.run(5)
            assert _status(sim, a).formers[0].unsent == ((a.topic, 1),)
            sim.crash(a)
        assert len(a.node.disk.table(Table.STRANDED)) == 1
        secrets = dict(a.node.disk.table(Table.SECRET))
        former = [key for key in secrets if key.startswith(b"former/")]
        own = {b"device", b"prekey", b"prekey-since"}
        assert len(former) == 1, "the former seed is kept beside the keys of the new device"
        assert {*secrets} == {*former, *own}
        sim.restart(a)


def test_a_copy_of_a_copy_knows_all_that_it_was() -> None:
    """Formers add up, the oldest first, and no two devices are the same."""
    with Sim(seed=705, nodes=2) as sim:
        refs = sim.share(Ledger)
        _, a = refs
        devices = [_device(a)]
        for _ in range(3):
            backup = a.node.disk.image()
            sim.crash(a)
            sim.restart(a)
            sim.run(2)
            sim.crash(a)
            a.node.restore(backup, whole=False)
            sim.restart(a)
            sim.run(2)
            devices.append(_device(a))
        assert len(dict.fromkeys(devices)) == 4
        assert [former.device for former in _status(sim, a).formers] == devices[:-1]
