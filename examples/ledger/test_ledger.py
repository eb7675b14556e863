"""What the ledger promises, whatever happens to devices and network."""

from collections.abc import Mapping
from typing import Any, cast

import pytest

from comity_chaos import Sim, SimRef, chaos
from examples.ledger.ledger import Ledger, Line, balances, settlements


def lines_of(state: Mapping[str, object]) -> dict[str, Line]:
    """Return what counts of the entries of a state."""
    entries = cast("Mapping[str, Any]", state["entries"])
    return {
        key: (each.kind, each.cents, tuple(sorted(each.among)), each.struck)
        for key, each in entries.items()
    }


def what_is_given_is_in_the_purse_or_was_for_somebody(state: Mapping[str, object]) -> bool:
    """Every cent is counted once for who gave it and once against whom it was for."""
    return sum(balances(lines_of(state)).values()) == state["purse"]


def the_purse_is_never_overdrawn(state: Mapping[str, object]) -> bool:
    """Nobody spends what is not there, however long the two were apart."""
    return cast("int", state["purse"]) >= 0


def entries_are_of_who_made_them(state: Mapping[str, object]) -> bool:
    """A key begins with the device that made it, and there are no others."""
    return all(len(key.partition("/")[0]) == 64 for key in lines_of(state))


class Pointing(Ledger):
    """The ledger of people who point at entries and at one another, by number."""

    def repay(self, to: int, cents: int) -> str:  # type: ignore[override]
        """Pay somebody back."""
        return super().repay(self._anybody(to), cents)

    def hand_on(self, to: int, cents: int) -> None:  # type: ignore[override]
        """Let somebody spend."""
        super().hand_on(self._anybody(to), cents)

    def change(self, number: int, what: str, cents: int) -> None:  # type: ignore[override]
        """Correct an entry."""
        super().change(self._entry(number), what, cents)

    def strike(self, number: int) -> None:  # type: ignore[override]
        """Strike an entry."""
        super().strike(self._entry(number))

    def _anybody(self, number: int) -> str:
        people = sorted(self.people)
        return people[number % len(people)]

    def _entry(self, number: int) -> str:
        entries = sorted(self.entries)
        return entries[number % len(entries)]


@chaos(nodes=3, faults="all", seeds=5)
def test_every_cent_is_counted_once(sim: Sim) -> None:
    """On every replica, at any time: after cuts, crashes, broken disks, in whatever order."""
    sim.always(what_is_given_is_in_the_purse_or_was_for_somebody)
    sim.always(the_purse_is_never_overdrawn)
    sim.always(entries_are_of_who_made_them)
    for number, ref in enumerate(sim.share(Pointing)):
        ref.tell(Pointing.call_me, f"p{number}")
        ref.tell(Pointing.fill, 1_000 * (number + 1))


def named(sim: Sim, *names: str) -> list[SimRef[Ledger]]:
    """Let everybody have a name."""
    refs = sim.share(Ledger)
    for ref, name in zip(refs, names, strict=True):
        ref.tell(Ledger.call_me, name)
    sim.settle()
    return list(refs)


def by_name(ref: SimRef[Ledger]) -> dict[str, int]:
    """Return the balances of a replica, by name."""
    people = cast("Mapping[str, str]", ref.state["people"])
    owed = balances(lines_of(ref.state))
    return {people[device]: cents for device, cents in owed.items()}


def test_two_who_are_apart_pay_and_both_count() -> None:
    """What each paid while cut off is shared among all; nothing is counted twice."""
    with Sim(seed=8, nodes=3) as sim:
        ann, bob, eve = named(sim, "ann", "bob", "eve")
        sim.cut([ann], [bob, eve])
        ann.tell(Ledger.pay, "dinner", 3_000)
        bob.tell(Ledger.pay, "tickets", 1_000)
        sim.run(5)
        sim.heal()
        sim.settle()
        assert by_name(ann) == by_name(eve)
        assert sum(by_name(ann).values()) == 0
        assert by_name(ann)["ann"] in {3_000 - 1_000 - 333, 3_000 - 1_000 - 334}


def test_both_cannot_spend_the_same_money() -> None:
    """The purse has 10.00; of two who are apart only who may spend it can."""
    with Sim(seed=9, nodes=2) as sim:
        ann, bob = named(sim, "ann", "bob")
        ann.tell(Ledger.fill, 1_000)
        sim.settle()
        sim.cut(ann, bob)
        mine = ann.ask(Ledger.spend, "cake", 800)
        his = bob.ask(Ledger.spend, "wine", 800)
        sim.run(1)
        assert mine.value
        assert "RightsError" in repr(his.error)
        sim.heal()
        state = sim.settle().state
        assert state["purse"] == 200
        assert what_is_given_is_in_the_purse_or_was_for_somebody(state)


def test_what_was_handed_on_can_be_spent_offline() -> None:
    """Rights travel: who got them needs nobody."""
    with Sim(seed=10, nodes=2) as sim:
        ann, bob = named(sim, "ann", "bob")
        ann.tell(Ledger.fill, 1_000)
        people = cast("Mapping[str, str]", sim.settle().state["people"])
        (to,) = [device for device, name in people.items() if name == "bob"]
        ann.tell(Ledger.hand_on, to, 600)
        sim.settle()
        sim.cut(ann, bob)
        bob.tell(Ledger.spend, "wine", 600)
        sim.run(1)
        sim.heal()
        state = sim.settle().state
        assert state["purse"] == 400
        assert by_name(ann) == {"ann": 700, "bob": -300}


class Forging(Ledger):
    """The same actor, as somebody with a program of his own might have it: it asks nobody."""

    def forge(self, key: str) -> None:
        """Write into somebody else's entry."""
        self.entries[key].cents = 1


def test_nobody_changes_what_another_wrote() -> None:
    """The message says no; a message that does not ask is stopped by the rule of the field."""
    with Sim(seed=11, nodes=2) as sim:
        ann, bob = sim.share(Forging)
        for ref, name in ((ann, "ann"), (bob, "bob")):
            ref.tell(Forging.call_me, name)
        sim.settle()
        made = ann.ask(Forging.pay, "dinner", 3_000)
        sim.settle()
        refusals = [
            bob.ask(Forging.change, made.value, "free", 1),
            bob.ask(Forging.strike, made.value),
            bob.ask(Forging.forge, made.value),
        ]
        sim.run(1)
        said = [repr(each.error) for each in refusals]
        assert ["somebody else's entry" in each for each in said] == [True, True, False]
        assert "is not its author's own" in said[2]
        assert lines_of(sim.settle().state)[made.value][1] == 3_000


def test_a_struck_entry_counts_no_more_and_gives_the_money_back() -> None:
    """From the purse, or to who put it there; what is spent cannot be taken out again."""
    with Sim(seed=12, nodes=1) as sim:
        (ann,) = named(sim, "ann")
        filled = ann.ask(Ledger.fill, 1_000)
        spent = ann.ask(Ledger.spend, "cake", 800)
        sim.run(1)
        refused = ann.ask(Ledger.strike, filled.value)
        sim.run(1)
        assert "RightsError" in repr(refused.error)
        ann.tell(Ledger.strike, spent.value)
        ann.tell(Ledger.strike, filled.value)
        sim.run(1)
        assert ann.state["purse"] == 0
        assert balances(lines_of(ann.state)) == {}


@pytest.mark.parametrize("count", range(1, 9))
def test_shares_are_whole_cents_and_none_is_lost(count: int) -> None:
    """Shares differ by one cent at most, and sum up to the amount."""
    people = tuple(f"{n:064}" for n in range(count))
    for cents in (1, 7, 100, 9_999):
        owed = balances({f"{'f' * 64}/000000": ("paid", cents, people, False)})
        shares = [-owed.get(each, 0) for each in people]
        assert sum(shares) == cents
        assert max(shares) - min(shares) <= 1


def test_settling_leaves_nobody_owing() -> None:
    """Who pays what is proposed ends with everybody at nothing."""
    owed = {"a": 700, "b": -300, "c": -401, "d": 1}
    for debtor, creditor, cents in settlements(owed):
        owed[debtor] += cents
        owed[creditor] -= cents
    assert set(owed.values()) == {0}
    assert settlements({}) == []
