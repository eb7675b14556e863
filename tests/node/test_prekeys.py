"""Prekeys: replaced in time, named in every log, and gone only when nobody may need them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from comity.base.clock import HOUR, MILLISECOND, Duration, Instant, Moment, Wall
from comity.base.ids import CommitId, Topic
from comity.crypto.keys import KeyPair
from comity.crypto.symbolic import Symbolic
from comity.log.entries import Role
from comity.node import prekeys as prekeys_module
from comity.node import rows
from comity.node.effects import Drop, Put, Table, Write
from comity.node.prekeys import OwnPrekeys
from comity.node.step import Step, Waiting
from comity.node.syncing import Syncing
from comity_chaos.sim import Sim, SimRef
from tests.attacks.attacker import Draws
from tests.attacks.claims import agree, expel, journal_of, lines
from tests.node.ledger import Ledger

DAY = 24 * HOUR // MILLISECOND
CRYPTO = Symbolic()


class Shelf:
    """Prekeys with the rows that they keep, and a clock that is set by hand."""

    def __init__(self) -> None:
        """Begin with one that is fresh."""
        self.wall = 1_000 * DAY
        self.rows = {rows.SECRET_PREKEY: bytes(range(32))}
        self.rows[rows.SECRET_PREKEY_SINCE] = rows.encode_number(self.wall)
        self.entropy = Draws("prekeys")
        self.own = OwnPrekeys.load(CRYPTO, self.rows)

    def sync(self, *named: bytes, days: int = 0) -> list[bytes]:
        """Let days go by, then a sync; return the public halves, the newest first."""
        self.wall += days * DAY
        step = Step(Moment(Instant(0), Wall(self.wall)), Waiting())
        self.own.renew(step, CRYPTO, self.entropy)
        self.own.erase(step, lambda public: public in named)
        for effect in step.finish():
            assert isinstance(effect, Write)
            for change in effect.changes:
                assert change.table is Table.SECRET
                match change:
                    case Put(_, key, value):
                        self.rows[key] = value
                    case Drop(_, key):
                        del self.rows[key]
        found = [pair.public for pair in self.own.all]
        again = OwnPrekeys.load(CRYPTO, self.rows)
        assert [pair.public for pair in again.all] == found
        return found


def test_one_is_replaced_after_a_week() -> None:
    """Not before, and once; the new one is another; what is stored is what is held."""
    shelf = Shelf()
    (first,) = shelf.sync()
    assert shelf.sync(days=6) == [first]
    newest, old = shelf.sync(days=1)
    assert old == first != newest
    assert shelf.sync() == [newest, first]
    assert shelf.sync(days=-400) == [newest, first], "a clock set back changes nothing"


def test_an_old_one_goes_after_30_days_unless_it_is_named() -> None:
    """As long as some log names it, it may be wrapped to: it stays, however old."""
    shelf = Shelf()
    (first,) = shelf.sync()
    (second, _) = shelf.sync(first, days=7)
    found = shelf.sync(first, days=29)
    assert found[1:] == [second, first]
    found = shelf.sync(first, days=31)
    assert (found[1], found[-1]) == (found[1], first)
    assert second not in found, "nothing names it, and it was replaced 31 days ago"
    assert first not in shelf.sync()


def test_nothing_is_shown() -> None:
    """No secret in what is printed of them."""
    pair = KeyPair(CRYPTO, bytes(range(32)))
    assert repr(OwnPrekeys(pair, Wall(5))) == "OwnPrekeys(1)"


# In the simulator, where an hour is what a week is, and three what 30 days are


@pytest.fixture
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prekeys_module, "PREKEY_AGE_MAX", HOUR)
    monkeypatch.setattr(prekeys_module, "OLD_PREKEY_AGE_MIN", Duration(3 * HOUR))


def _publics(ref: SimRef[Any]) -> list[bytes]:
    return [pair.public for pair in journal_of(ref)._hand.prekeys.all]


def _named(refs: Sequence[SimRef[Any]]) -> bool:
    """Tell whether every log names the newest prekey of every device."""
    return all(
        journal_of(other)._prekeys.of([journal_of(ref).device], journal_of(other).graph, _any)
        == (_publics(ref)[0],)
        for ref in refs
        for other in refs
    )


def _any(_: int) -> bool:
    return True


@pytest.mark.usefixtures("_soon")
def test_every_member_renews_and_says_so() -> None:
    """Also one that only reads; once an hour, not with every sync; the old ones go in time."""
    with Sim(seed=601, nodes=3) as sim:
        refs = sim.share(Ledger, roles=(Role.ADMIN, Role.WRITER, Role.READER))
        agree(sim, refs)
        first = [_publics(ref) for ref in refs]
        before = len(journal_of(refs[0]).graph)
        assert _named(refs)
        sim.run(1.5 * 3600)
        agree(sim, refs)
        assert _named(refs)
        for ref, old in zip(refs, first, strict=True):
            assert _publics(ref)[1:] == old
        assert len(journal_of(refs[0]).graph) <= before + 3 + 1, "one each, and a merge"
        sim.run(4 * 3600)
        agree(sim, refs)
        assert _named(refs)
        for ref, old in zip(refs, first, strict=True):
            assert old[0] not in _publics(ref)
            assert 3 <= len(_publics(ref)) <= 5
        refs[1].tell(Ledger.enter, "milk", 1)
        agree(sim, refs)
        assert all(lines(ref) == {"milk": 1} for ref in refs)


@pytest.mark.usefixtures("_soon")
def test_a_restart_finds_them_as_they_were() -> None:
    """The newest and the older ones; what is wrapped to them is opened."""
    with Sim(seed=602, nodes=3) as sim:
        refs = sim.share(Ledger, roles=(Role.ADMIN, Role.WRITER, Role.WRITER))
        sim.run(2.5 * 3600)
        agree(sim, refs)
        known = _publics(refs[1])
        assert len(known) == 3
        sim.crash(refs[1])
        sim.run(5)
        sim.restart(refs[1])
        agree(sim, refs)
        assert _publics(refs[1]) == known


@pytest.mark.usefixtures("_soon")
def test_who_was_away_opens_what_was_wrapped_to_its_old_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its log names that as long as it is away, so it stays; it need not ask for the key."""
    with Sim(seed=603, nodes=4) as sim:
        refs = sim.share(Ledger, roles=[Role.ADMIN, Role.WRITER, Role.WRITER, Role.WRITER])
        agree(sim, refs)
        a, b, c, d = refs
        old = _publics(b)
        ask, away = Syncing.keyless, journal_of(b).device

        def others_ask(
            self: Syncing, step: Step, topic: Topic, epochs: tuple[CommitId, ...]
        ) -> None:
            if self._desk.device != away:
                ask(self, step, topic, epochs)

        monkeypatch.setattr(Syncing, "keyless", others_ask)
        sim.cut([b], [a, c, d])
        expel(sim, a, journal_of(d).device)
        sim.run(10)
        a.tell(Ledger.enter, "while away", 1)
        sim.run(5 * 3600)
        assert _publics(b) == old, "nothing was synced, so nothing is replaced"
        sim.heal()
        agree(sim, [a, b, c], minutes=30)
        assert lines(b) == {"while away": 1}
        sim.run(300)
        agree(sim, [a, b, c])
        assert _named([a, b, c])
