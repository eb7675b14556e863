"""A text is a function of its visible history: the same on every device, and the twin's."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comity.base.canonical import Malformed
from comity.base.errors import UsageError
from comity.crdt.text.document import Document, Outcome
from comity.crdt.text.operations import DELETE, INSERT, encode
from tests.crdt.text.histories import TAG, Device, History, ramble

seeds = st.integers(0, 1 << 48)
few = settings(max_examples=50)
"""Each draws whole histories; the long search is the soak at the end."""


def shuffled(history: History, random: Random) -> Device:
    """Return a device that got a history in an order of its own, in pieces."""
    device = Device(history)
    order = history.order(random)
    while order:
        size = random.choice((1, 1, 3, len(order)))
        device.deliver(order[:size])
        del order[:size]
        if random.random() < 0.3:
            assert len(str(device.document)) == len(device.document)
    return device


@few
@given(seeds)
def test_every_device_has_the_text_of_its_history(seed: int) -> None:
    """Writing, undoing, syncing, and whatever peers send: all devices have the twin's text."""
    _, group = ramble(seed, 24)
    for device in group:
        assert str(device.document) == device.text()
        assert device.flat() == device.marked()
        device.document.check()


@few
@given(seeds)
def test_the_order_of_delivery_does_not_show(seed: int) -> None:
    """Any causal order, in any batches, ends in the same text, the naive twin's."""
    history, _ = ramble(seed, 24)
    random = Random(seed)
    devices = [shuffled(history, random) for _ in range(2)]
    expected = devices[0].marked()
    for device in devices:
        assert device.flat() == expected
        device.document.check()
    assert devices[0].document.encode_state() == devices[1].document.encode_state()


@few
@given(seeds)
def test_a_stored_text_goes_on(seed: int) -> None:
    """A device that saves and loads in between ends like one that does not."""
    history, _ = ramble(seed, 24)
    order = history.order(Random(seed))
    cut = seed % (len(order) + 1)
    straight, halting = Device(history), Device(history)
    halting.deliver(order[:cut])
    data = halting.document.save(history=True)
    halting.document = Document.load(data, TAG, halting)
    assert halting.document.save(history=True) == data
    halting.deliver(order)
    straight.deliver(order)
    assert str(halting.document) == str(straight.document)
    assert halting.flat() == straight.flat()
    halting.document.check()


@few
@given(seeds)
def test_a_text_without_its_history_goes_on(seed: int) -> None:
    """On a snapshot, what was made on all of it folds to the same text."""
    history, group = ramble(seed, 16, removals=False)
    first = group[0]
    for device in group:
        first.deliver(device.arrived)
    data = first.document.save(history=False)
    writer = shuffled(history, Random(seed))
    reader = Device(history)
    reader.deliver(first.arrived)
    reader.document = Document.load(data, TAG, reader)
    assert str(reader.document) == str(first.document)
    for number in range(6):
        tie = bytes((number,))
        before = len(history.turns)
        if number == 3:
            writer.undo(tie, before - 1)
        else:
            writer.write(tie, lambda document: document.insert(len(document) // 2, "new"))
        reader.deliver(range(before, len(history.turns)))
        assert reader.flat() == writer.flat()
        reader.document.check()


def test_what_refers_below_a_snapshot_is_too_old() -> None:
    """A turn made without all of the snapshot is not guessed at, nor is hiding inside it."""
    history = History()
    a, b = Device(history), Device(history)
    first = a.write(b"1", lambda document: document.insert(0, "abc"))
    b.deliver([first])
    second = a.write(b"2", lambda document: document.insert(3, "def"))
    other = b.write(b"3", lambda document: document.insert(0, "xyz"))
    a.document = Document.load(a.document.save(history=False), TAG, a)
    a.arrive(other)
    operations = [(INSERT, 0, 3, "xyz")]
    assert a.document.fold(a.places[other], operations) is Outcome.TOO_OLD
    assert a.document.hide(a.places[second]) is Outcome.TOO_OLD
    assert a.document.show(a.places[second]) is Outcome.TAKEN
    assert str(a.document) == "abcdef"


def test_hiding_the_latest_turn_costs_its_size() -> None:
    """No history is replayed for it: not live, and not after a load."""
    one = Device(History())
    for number in range(200):
        one.write(bytes((number,)), lambda document: document.insert(len(document), "word "))
    latest = one.write(b"x", lambda document: document.delete(100, 300))
    text = str(one.document)
    one.document.hide(one.places[latest])
    assert len(one.document) == 1000
    one.document.show(one.places[latest])
    assert str(one.document) == text
    loaded = Document.load(one.document.save(history=True), TAG, one)
    loaded.hide(one.places[latest])
    assert str(loaded) == "word " * 200
    loaded.show(one.places[latest])
    assert str(loaded) == text
    assert one.document._merge._tracker is loaded._merge._tracker is None
    loaded.check()


def test_words_typed_at_one_place_do_not_interleave() -> None:
    """Runs typed concurrently at one place stand one after another, forwards or backwards."""
    for backwards in (False, True):
        history = History()
        group = [Device(history) for _ in range(3)]
        for number, device in enumerate(group):
            for at in range(8):
                place = 0 if backwards else at
                letter = "abc"[number]
                device.write(
                    bytes((number, at)),
                    lambda document, p=place, t=letter: document.insert(p, t),  # type: ignore[misc]
                )
        for device in group:
            for other in group:
                device.deliver(list(other.arrived))
        texts = [str(device.document) for device in group]
        assert texts[0] == texts[1] == texts[2]
        assert sorted(texts[0][at : at + 8] for at in (0, 8, 16)) == ["a" * 8, "b" * 8, "c" * 8]


def test_hidden_characters_are_still_places() -> None:
    """Who had not seen an undo types inside what it hid: the words stand where they stood."""
    history = History()
    a, b = Device(history), Device(history)
    base = a.write(b"1", lambda document: document.insert(0, "start end"))
    middle = a.write(b"2", lambda document: document.insert(6, "of the "))
    b.deliver([base, middle])
    a.undo(b"3", middle)
    b.write(b"4", lambda document: document.insert(10, "very "))
    for device, other in ((a, b), (b, a)):
        device.deliver(list(other.arrived))
        assert str(device.document) == "start very end"
    a.undo(b"5", middle)
    assert str(a.document) == a.text()
    b.deliver(list(a.arrived))
    assert str(a.document) == str(b.document) == b.text()


@pytest.mark.parametrize("place", [4, 1 << 31])
def test_what_does_not_fit_is_no_op_everywhere(place: int) -> None:
    """A turn beyond the text that its author saw changes nothing, whatever the order."""
    history = History()
    a, b = Device(history), Device(history)
    first = a.write(b"1", lambda document: document.insert(0, "abc"))
    bad = history.add([first], b"2", encode([(INSERT, 0, 1, "x"), (DELETE, place, 9, "")]))
    after = history.add([bad], b"4", encode([(INSERT, 3, 1, "!")]))
    aside = a.write(b"3", lambda document: document.insert(3, "de"))
    for device, order in ((a, [bad, after]), (b, [first, aside, bad, after])):
        device.deliver(order)
        assert str(device.document) in {"abcde!", "abc!de"}
        device.document.check()
    assert str(a.document) == str(b.document) == a.text()


def test_a_turn_is_taken_back() -> None:
    """A rollback leaves no trace, whether the open turn was read or not."""
    device = Device(History())
    device.write(b"1", lambda document: document.insert(0, "abc"))
    document = device.document
    for read in (False, True):
        document.begin(9)
        document.insert(1, "xx")
        document.delete(0, 2)
        assert not read or str(document) == "xbc"
        assert document.slice(0, 1) == "x"
        document.rollback()
        assert (str(document), len(document)) == ("abc", 3)
    document.begin(9)
    assert document.commit() == b""


def test_misuse_names_the_fix() -> None:
    """Writes outside a turn or the text, and what is not text, are the caller's fault."""
    document = Device(History()).document
    with pytest.raises(UsageError, match="outside a turn"):
        document.insert(0, "a")
    document.begin(0)
    with pytest.raises(UsageError, match=r"position 1 is not in 0\.\.0"):
        document.insert(1, "a")
    with pytest.raises(UsageError, match="cannot be deleted"):
        document.delete(0, 1)
    with pytest.raises(UsageError, match="surrogate"):
        document.insert(0, "\ud800")
    assert document.commit() == b""


@given(st.binary(max_size=60))
def test_a_damaged_store_is_malformed(noise: bytes) -> None:
    """Bytes that nobody saved do not load."""
    device = Device(History())
    with pytest.raises(Malformed):
        Document.load(b"\x07" + noise, TAG, device)


@pytest.mark.soak
@settings(settings.get_profile("soak"), max_examples=1_000)
@given(seeds)
def test_every_order_at_length(seed: int) -> None:
    """The same properties on longer histories, searched for minutes."""
    history, group = ramble(seed, 80, 4)
    for device in group:
        assert str(device.document) == device.text()
    random = Random(seed)
    for _ in range(2):
        device = shuffled(history, random)
        assert device.flat() == device.marked()
        device.document.check()
