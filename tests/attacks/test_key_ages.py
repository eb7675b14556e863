"""Keys that are worn, readers beyond room, newcomers who ask: PROTOCOL 12, 17."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from comity.base.clock import HOUR
from comity.crypto.hashing import blake2b
from comity.crypto.keys import Identity, KeyPair
from comity.crypto.symbolic import Symbolic
from comity.log import build as build_module
from comity.log.entries import AddEntry, Role
from comity.node import epochs as epochs_module
from comity.node import journal as journal_module
from comity.node import replica as replica_module
from comity.wire import records
from comity_chaos.sim import Sim, SimRef
from tests.attacks.attacker import Attacker, accomplice, stage
from tests.attacks.claims import (
    agree,
    always,
    attack,
    both,
    claim,
    epoch_of,
    epochs_of,
    expel,
    journal_of,
    lines,
)
from tests.node.ledger import Ledger


@both
@pytest.mark.parametrize("worn", ["an hour", "its share of commits"])
def test_a_worn_key_is_replaced(
    worn: str, *, defended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever writes next makes another, once; whoever was away reads both; nobody stalls."""
    if not defended:
        monkeypatch.setattr(journal_module, "is_worn", always(answer=False))
    if worn == "an hour":
        monkeypatch.setattr(epochs_module, "EPOCH_AGE_MAX", HOUR)
    else:
        monkeypatch.setattr(epochs_module, "EPOCH_COMMITS_MAX", 12)
    with attack(defended=defended, breaks="another key"), Sim(seed=411, nodes=3) as sim:
        refs = sim.share(Ledger, roles=[Role.ADMIN, Role.WRITER, Role.READER])
        a, b, _ = refs
        graph = journal_of(a).graph
        first = epoch_of(a, 0)
        _write(sim, refs, 2)
        claim(epoch_of(b, len(graph) - 1) == first, "a fresh key stays")
        for _ in range(4):
            sim.run(1000)
            _write(sim, refs, 1)
        made = [each for each in range(len(graph)) if epoch_of(a, each) == graph.id_of(each)]
        claim(len(made) > 1, "another key")
        assert len(made) == 2
        assert epoch_of(a, len(graph) - 1) == graph.id_of(made[1])


def _write(sim: Sim, refs: Sequence[SimRef[Ledger]], count: int) -> None:
    """Let both writers enter lines in turn, each after it has seen the one before."""
    for number in range(count):
        for writer in refs[:2]:
            name = f"{len(journal_of(writer).graph)}.{number}"
            writer.tell(Ledger.enter, name, number)
            agree(sim, refs)


@both
def test_17_more_readers_than_an_epoch_has_room_for(
    *, defended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An admin adds so many devices that no commit holds a wrap for each; all read on.

    The bounds are those of the tests: of 4 readers, and of as many bytes as 16 wraps take.
    """
    monkeypatch.setattr(build_module, "COMMIT_BYTES_MAX", 1300)
    monkeypatch.setattr(journal_module, "READERS_MAX", 4 if defended else 1 << 20)
    with (
        attack(defended=defended, breaks="the caller bounds drafts and readers"),
        stage(412, role=Role.ADMIN, roles=[Role.ADMIN, Role.WRITER]) as (sim, refs, mallory),
    ):
        a = refs[0]
        trent = accomplice(sim, a, refs, "trent")
        for number in range(20):
            mallory.push(a, [mallory.sent(mallory.make(mallory.draft(_stranger(number))))])
            agree(sim, refs)
        expel(sim, a, trent.device)
        agree(sim, refs)
        for ref in refs:
            ref.tell(Ledger.enter, f"after, by {ref.node.index}", 1)
            agree(sim, refs)
        claim(all(len(lines(ref)) == 3 for ref in refs), "every member reads on")
        graph = journal_of(a).graph
        assert epoch_of(a, len(graph) - 1) != epoch_of(a, 0)


def _stranger(number: int) -> AddEntry:
    secret = blake2b(b"%d" % number, person=b"stranger")
    crypto = Symbolic()
    prekey = KeyPair(crypto, secret).public
    return AddEntry(Identity(crypto, secret).device, Role.READER, prekey)


@both
def test_17_a_newcomer_asks_somebody_else(
    *, defended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not its host tells it keys before two others are heard: one may know of a removal."""
    if not defended:
        monkeypatch.setattr(replica_module, "_HEARD_MIN", 0)
    breaks = "nobody else tells a newcomer keys at once"
    with attack(defended=defended, breaks=breaks), Sim(seed=413, nodes=4) as sim:
        refs = sim.share(Ledger)
        agree(sim, refs)
        trent = Attacker(sim, "trent")
        trent.join(refs[0])
        trent.connect(*refs)
        agree(sim, refs)
        asked = trent.line_to(refs[1])
        trent.say(asked, records.KeyRequest(trent.tag(asked), epochs_of(refs[1])))
        sim.run(2)
        told = [line for line, r in trent.heard if isinstance(r, records.Keys)]
        claim(asked not in told, "nobody else tells a newcomer keys at once")
        sim.run(120)
        asked = trent.line_to(refs[1])
        trent.say(asked, records.KeyRequest(trent.tag(asked), epochs_of(refs[1])))
        sim.run(2)
        told = [line for line, r in trent.heard if isinstance(r, records.Keys)]
        assert asked in told, "it is told when they have been heard"
