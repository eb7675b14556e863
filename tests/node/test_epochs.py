"""Epochs: which key seals next, what a history hands on, and what a liar about keys gains."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comity.base.ids import CommitId
from comity.base.limits import WELCOME_KEYS_MAX
from comity.crypto.symbolic import Symbolic
from comity.log.entries import AddEntry, Entry, PrekeyEntry, Role, TurnEntry
from comity.log.seal import kcommit_of
from comity.node.epochs import Epochs, Prekeys
from tests.log.world import World, flipped

PREFIX_BYTES: Final = 16


def key(number: int) -> bytes:
    """Return a content key."""
    return number.to_bytes(32, "big")


def epoch(number: int, prefix: int = 0) -> CommitId:
    """Return the id of an epoch commit."""
    return CommitId(prefix.to_bytes(16, "big") + number.to_bytes(16, "big"))


class Case:
    """A graph in which some commits are epochs; `Epochs` and a naive twin choose one."""

    def __init__(self) -> None:
        """Begin with the founding, whose epoch is accepted and held."""
        self.world = World(Symbolic())
        self.epochs = Epochs(self.world.crypto, self.world.topic)
        self.accepted: list[int] = []
        self.held: list[int] = []
        self.removals: list[int] = []
        self.hidden: list[int] = []
        self.epoch(self.world.epoch)

    def commit(self, *parents: CommitId) -> CommitId:
        """Make a commit on these parents; on all heads if none are given."""
        count = len(self.world.graph)
        return self.world.commit(count % 3, (TurnEntry(b"%d" % count),), parents or None)

    def epoch(self, commit: CommitId, *, held: bool = True) -> CommitId:
        """Let a commit be an epoch that was accepted."""
        number = self.world.number(commit)
        if held:
            self.epochs.learn(commit, key(number))
            self.held.append(number)
        self.epochs.accept(number, commit)
        self.accepted.append(number)
        return commit

    def rotate(self, *parents: CommitId, held: bool = True) -> CommitId:
        """Make an epoch commit."""
        return self.epoch(self.commit(*parents), held=held)

    def remove(self, *parents: CommitId) -> CommitId:
        """Make a commit that is an effective removal."""
        commit = self.commit(*parents)
        self.removals.append(self.world.number(commit))
        return commit

    def hide(self, commit: CommitId) -> None:
        """Let a commit not be effective."""
        self.hidden.append(self.world.number(commit))

    def past(self, heads: Iterable[int]) -> set[int]:
        """Return these commits and all before them, by walking every path."""
        found: set[int] = set()
        waiting = list(heads)
        while waiting:
            number = waiting.pop()
            found.add(number)
            waiting += self.world.graph.parents_of(number)
        return found

    def choose(self, *heads: CommitId) -> CommitId | None:
        """Return the epoch to seal under on top of these; all heads by default."""
        version = [self.world.number(head) for head in heads or self.world.graph.heads]
        past = self.past(version)
        return self.epochs.choose(
            self.world.graph,
            within=lambda commit: commit in past,
            effective=lambda commit: commit not in self.hidden,
            removals=[each for each in self.removals if each in past],
        )

    def twin(self, version: Sequence[int]) -> CommitId | None:
        """Say the rule of PROTOCOL section 4 word by word."""
        view = self.past(version)
        removals = {each for each in self.removals if each in view}
        such = [
            each
            for each in self.accepted
            if each in view
            and each in self.held
            and each not in self.hidden
            and removals <= self.past([each]) - {each}
        ]
        last = [
            each
            for each in such
            if not any(each in self.past([other]) - {other} for other in such)
        ]
        return min((self.world.graph.id_of(each) for each in last), default=None)


# ---------------------------------------------------------------------------- the rotation rule


def test_the_newest_epoch_seals() -> None:
    """An epoch replaces those in its past, on top of it; on an older version it is unknown."""
    case = Case()
    before = case.commit()
    newer = case.rotate()
    assert case.choose() == newer
    assert case.choose(before) == case.world.epoch
    case.commit()
    assert case.choose() == newer


def test_after_a_removal_nobody_seals_under_what_the_removed_reads() -> None:
    """The remover must make an epoch first; then that is the one."""
    case = Case()
    removal = case.remove()
    assert case.choose() is None
    assert case.choose(case.world.epoch) == case.world.epoch, "who has not seen it goes on"
    rotated = case.rotate(removal)
    assert case.choose() == rotated


def test_after_two_concurrent_removals_the_next_writer_rotates() -> None:
    """Neither remover's epoch has the other removal in its past."""
    case = Case()
    start = case.commit()
    tips = [case.rotate(case.remove(start)) for _ in range(2)]
    assert [case.choose(tip) for tip in tips] == tips
    assert case.choose(*tips) is None
    merged = case.rotate(*tips)
    assert case.choose() == merged


def test_a_removal_beside_an_epoch_asks_for_another() -> None:
    """An epoch that somebody made while another removed is not enough."""
    case = Case()
    start = case.commit()
    removal, other = case.remove(start), case.rotate(start)
    assert case.choose(removal) is None
    assert case.choose(other) == other
    assert case.choose(removal, other) is None


def test_of_concurrent_epochs_all_choose_the_same() -> None:
    """The smallest id, whatever order they arrived in; on one branch its own."""
    case = Case()
    start = case.commit()
    some = [case.rotate(start) for _ in range(4)]
    assert case.choose() == min(some)
    assert [case.choose(each) for each in some] == some


def test_an_epoch_that_does_not_count_is_not_used() -> None:
    """Hidden, or without its key here: the one before it serves; never none for that."""
    for how in ("hidden", "not held"):
        case = Case()
        newer = case.rotate(held=how != "not held")
        if how == "hidden":
            case.hide(newer)
        assert case.choose() == case.world.epoch
        newest = case.rotate()
        assert case.choose() == newest


@settings(max_examples=60)
@given(st.data())
def test_the_rule_is_that_of_the_protocol(data: st.DataObject) -> None:
    """On random graphs, for any version and whatever counts, the naive reading agrees."""
    case = Case()
    for _ in range(data.draw(st.integers(1, 12))):
        count = len(case.world.graph)
        numbers = data.draw(st.sets(st.integers(0, count - 1), min_size=1, max_size=3))
        past = {each: case.past([each]) for each in numbers}
        minimal = [a for a in numbers if not any(a in past[b] for b in numbers if b != a)]
        commit = case.commit(*map(case.world.graph.id_of, minimal))
        match data.draw(st.sampled_from(["turn", "epoch", "epoch", "unheld", "remove"])):
            case "epoch":
                case.epoch(commit)
            case "unheld":
                case.epoch(commit, held=False)
            case "remove":
                case.removals.append(case.world.number(commit))
            case _:
                pass
        if toss(data):
            case.hide(commit)
    count = len(case.world.graph)
    for _ in range(4):
        version = sorted(data.draw(st.sets(st.integers(0, count - 1), min_size=1, max_size=3)))
        heads = map(case.world.graph.id_of, version)
        assert case.choose(*heads) == case.twin(version)


def toss(data: st.DataObject) -> bool:
    """Draw yes, one time in five."""
    return data.draw(st.integers(0, 4)) == 0


# ---------------------------------------------------------------------------- keys and liars


@pytest.fixture
def epochs() -> Epochs:
    """Make an actor's epochs without a key."""
    world = World(Symbolic())
    return Epochs(world.crypto, world.topic)


def test_a_key_that_somebody_gave_opens_nothing(epochs: Epochs) -> None:
    """It is found by its own commitment only, until an accepted commit shows it is its own."""
    assert epochs.give(epoch(1), key(1))
    assert len(epochs) == 0
    assert epochs.key(epoch(1)) is None
    assert epochs.matching(epoch(1)[:PREFIX_BYTES]) == ()
    assert epochs.held == ()
    given_key = epochs.given(kcommit_of(key(1)))
    assert given_key is not None
    assert given_key.key == key(1)
    assert epochs.given(kcommit_of(key(2))) is None


def test_the_first_key_named_for_an_epoch_is_stored(epochs: Epochs) -> None:
    """A later liar does not take its place, and yet the true one is found if it comes later."""
    assert epochs.give(epoch(1), key(666))
    assert not epochs.give(epoch(1), key(1)), "the row on disk stays"
    true = epochs.given(kcommit_of(key(1)))
    assert true is not None
    assert epochs.learn(epoch(1), true.key), "now the true one must be stored over the lie"
    found = epochs.key(epoch(1))
    assert found is not None
    assert found.key == key(1)
    assert not epochs.give(epoch(1), key(666))
    assert epochs.held == ((epoch(1), key(1)),)


def test_what_was_given_rightly_is_not_stored_again(epochs: Epochs) -> None:
    """Learning it writes nothing new."""
    epochs.give(epoch(1), key(1))
    assert not epochs.learn(epoch(1), key(1))
    assert epochs.given(kcommit_of(key(1))) is None, "it is held now"
    assert epochs.learn(epoch(2), key(2))


def test_epochs_are_found_by_their_beginning(epochs: Epochs) -> None:
    """A commit names 16 bytes; all epochs that share them are tried, in order of learning."""
    for number in (2, 1):
        epochs.learn(epoch(number), key(number))
    epochs.learn(epoch(3, prefix=7), key(3))
    found = epochs.matching(epoch(1)[:PREFIX_BYTES])
    assert [(identifier, held.key) for identifier, held in found] == [
        (epoch(2), key(2)),
        (epoch(1), key(1)),
    ]
    assert epochs.matching(b"x" * PREFIX_BYTES) == ()
    assert [identifier for identifier, _ in epochs.held] == [epoch(1), epoch(2), epoch(3, 7)]
    assert len(epochs) == 3


def test_keys_do_not_show(epochs: Epochs) -> None:
    """No repr holds a key."""
    secret = bytes(range(100, 132))
    epochs.learn(epoch(1), secret)
    shown = repr(epochs) + repr(epochs.key(epoch(1))) + repr(epochs.matching(epoch(1)[:16]))
    assert secret.hex() not in shown
    assert str(secret)[2:-1] not in shown


# ---------------------------------------------------------------------------- histories


def newcomer(epochs: Epochs) -> Epochs:
    """Return the epochs of another device of the same actor, without a key."""
    return Epochs(epochs._crypto, epochs._topic)


def test_a_history_hands_on_every_older_key(epochs: Epochs) -> None:
    """Whoever is given the new key finds the older ones by their commitments."""
    for number in range(1, 6):
        epochs.learn(epoch(number), key(number))
    sealed = epochs.history(key(9))
    other = newcomer(epochs)
    other.learn(epoch(2), key(2))
    assert other.read_history(key(9), sealed) == tuple(epoch(n) for n in (1, 3, 4, 5))
    for number in (1, 3, 4, 5):
        found = other.given(kcommit_of(key(number)))
        assert found is not None
        assert found.key == key(number)
    assert other.given(kcommit_of(key(2))) is None, "held already"
    assert len(other) == 1


def test_an_empty_history_is_none(epochs: Epochs) -> None:
    """The first epoch after a founding that this device cannot read hands on nothing."""
    assert newcomer(epochs).read_history(key(9), epochs.history(key(9))) == ()


def test_a_history_of_another_make_gives_nothing(epochs: Epochs) -> None:
    """Another key or actor, a flipped bit, a cut, an odd length, no bytes: no key, no error."""
    epochs.learn(epoch(1), key(1))
    sealed = epochs.history(key(9))
    other = newcomer(epochs)
    elsewhere = Epochs(Symbolic(), World(Symbolic(), device_count=1).topic)
    assert elsewhere.read_history(key(9), sealed) == ()
    odd = Symbolic().seal(epochs._history_key(key(9)), bytes(24), bytes(65), epochs._topic)
    wrong = [sealed[:cut] for cut in range(len(sealed))]
    wrong += [flipped(sealed, place) for place in range(len(sealed))]
    for each in [*wrong, odd, sealed + b"\0"]:
        assert other.read_history(key(9), each) == ()
    assert other.read_history(key(8), sealed) == ()
    assert other.given(kcommit_of(key(1))) is None
    assert other.read_history(key(9), sealed) == (epoch(1),)


def test_a_history_holds_the_newest_keys_that_a_welcome_may(epochs: Epochs) -> None:
    """Beyond the bound the oldest are left out."""
    for number in range(WELCOME_KEYS_MAX + 2):
        epochs.learn(epoch(number), key(number))
    found = newcomer(epochs).read_history(key(9), epochs.history(key(9)))
    assert found == tuple(epoch(n) for n in range(2, WELCOME_KEYS_MAX + 2))


def test_lies_in_histories_take_bounded_room(epochs: Epochs) -> None:
    """Twice the keys of a welcome are remembered; what is over that is not."""
    liar = newcomer(epochs)
    total = 0
    for batch in range(3):
        for number in range(WELCOME_KEYS_MAX):
            liar.learn(epoch(number, prefix=batch), key(number + batch * WELCOME_KEYS_MAX))
        total += len(epochs.read_history(key(9), liar.history(key(9))))
    assert total == 2 * WELCOME_KEYS_MAX


# ---------------------------------------------------------------------------- prekeys


class Readers:
    """A graph in which commits give prekeys."""

    def __init__(self) -> None:
        """Begin with the founding, which gives none."""
        self.world = World(Symbolic())
        self.prekeys = Prekeys()
        self.device = self.world.signers[1].device

    def commit(self, author: int, entry: Entry, *parents: CommitId) -> CommitId:
        """Make a commit that is accepted."""
        made = self.world.commit(author, (entry,), parents or None)
        number = self.world.number(made)
        self.prekeys.note(number, self.world.signers[author].device, (entry,))
        return made

    def own(self, prekey: int, *parents: CommitId) -> CommitId:
        """Let device 1 give a prekey of its own."""
        return self.commit(1, PrekeyEntry(key(prekey)), *parents)

    def add(self, prekey: int, *parents: CommitId) -> CommitId:
        """Let device 0 add device 1."""
        return self.commit(0, AddEntry(self.device, Role.WRITER, key(prekey)), *parents)

    def of(self, *heads: CommitId) -> int | None:
        """Return the prekey of device 1 on top of these; on all heads by default."""
        version = [self.world.number(head) for head in heads or self.world.graph.heads]
        found = self.prekeys.of(
            (self.device,), self.world.graph, lambda n: self.world.graph.contains(version, n)
        )
        assert len(found) <= 1
        return int.from_bytes(found[0], "big") if found else None


def test_a_devices_own_word_counts_before_that_of_others() -> None:
    """Until it gives a prekey itself, that of its grant serves; a later add changes nothing."""
    readers = Readers()
    assert readers.of() is None
    added = readers.add(1)
    assert readers.of() == 1
    readers.own(2)
    assert readers.of() == 2
    readers.add(3)
    assert readers.of() == 2
    assert readers.of(added) == 1, "on an older version what was known then"


def test_a_later_add_does_not_turn_a_devices_keys_away() -> None:
    """Of adds in a row the first counts; of concurrent ones that with the smallest id."""
    readers = Readers()
    start = readers.world.epoch
    firsts = {readers.add(prekey, start): prekey for prekey in (1, 2, 3)}
    readers.add(9)
    assert readers.of() == firsts[min(firsts)]
    assert [readers.of(each) for each in firsts] == list(firsts.values())
    assert not readers.prekeys.given_by(readers.device, lambda _: True)
    own = readers.world.number(readers.own(5))
    assert readers.prekeys.given_by(readers.device, lambda number: number == own)
    assert not readers.prekeys.given_by(readers.device, lambda number: number < own)
    assert readers.of() == 5


def test_the_newest_word_of_a_device_counts() -> None:
    """Each of its own prekeys replaces those in its past."""
    readers = Readers()
    for prekey in (4, 3, 5):
        readers.own(prekey)
    assert readers.of() == 5


def test_of_concurrent_words_all_choose_the_same() -> None:
    """A device that forked: the commit with the smallest id, whatever arrived first."""
    readers = Readers()
    start = readers.add(1)
    forks = {readers.own(prekey, start): prekey for prekey in (2, 3, 4, 5)}
    assert readers.of() == forks[min(forks)]
    assert [readers.of(each) for each in forks] == list(forks.values())


def test_prekeys_come_in_the_order_of_devices() -> None:
    """One each; whoever has none is left out; other entries give none."""
    readers = Readers()
    readers.add(1)
    readers.commit(2, PrekeyEntry(key(7)))
    readers.commit(0, TurnEntry(b"no prekey"))
    devices = [signer.device for signer in readers.world.signers]
    graph = readers.world.graph
    assert readers.prekeys.of(devices, graph, lambda _: True) == (key(1), key(7))
    assert readers.prekeys.of(devices[::-1], graph, lambda _: True) == (key(7), key(1))
    assert readers.prekeys.of(devices, graph, lambda _: False) == ()
