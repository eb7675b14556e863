"""Causal histories of texts: devices that write, undo and sync, and whatever a peer may send.

A history is a list of turns with their parents. A device delivers them to its document in an
order of its own, under numbers of its own, and tells it what each turn's author saw hidden:
an undo is a turn of another field, so hiding is a function of the version, as in a real log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from random import Random

from comity.base.canonical import Reader
from comity.crdt.text.document import Document, Outcome
from comity.crdt.text.marks import Mark
from comity.crdt.text.operations import (
    ANCHOR_LENGTH,
    DELETE,
    INSERT,
    MARK,
    Operation,
    anchor,
    anchor_code,
    decode,
    encode,
)
from tests.crdt.text.twin import Event, Twin

TAG = b"text"
BOLD = Mark("bold")
LINK = Mark("link", grows=False)
COMMENT = Mark("comment", grows=False, overlaps=True)


@dataclass(frozen=True)
class Turn:
    """A turn of a history, by its place in it.

    data: its operations on the text, empty if it has none. undoes: a turn of its past, or -1.
    removes: a turn that is hidden unless it is in the past of this one, or -1.
    """

    number: int
    parents: tuple[int, ...]
    past: frozenset[int]
    tie: bytes
    data: bytes = b""
    undoes: int = -1
    removes: int = -1


@dataclass
class History:
    """All turns of one actor, in an order that agrees with causality."""

    turns: list[Turn] = field(default_factory=list)

    def add(
        self,
        parents: Iterable[int],
        tie: bytes,
        data: bytes = b"",
        *,
        undoes: int = -1,
        removes: int = -1,
    ) -> int:
        """Add a turn and return its number."""
        heads = tuple(sorted(set(parents)))
        past = frozenset(heads).union(*(self.turns[each].past for each in heads))
        heads = tuple(p for p in heads if not any(p in self.turns[q].past for q in heads))
        number = len(self.turns)
        self.turns.append(Turn(number, heads, past, tie, data, undoes, removes))
        return number

    def quarantined(self, version: Iterable[int]) -> frozenset[int]:
        """Return the turns of a version that another one removes, without having seen them."""
        there = frozenset(version)
        removals = [self.turns[number] for number in sorted(there)]
        gone = frozenset(r.removes for r in removals if r.removes not in r.past) & there
        return frozenset(each for each in gone if self.turns[each].removes < 0)

    def hidden(self, version: Iterable[int]) -> frozenset[int]:
        """Return the turns of a version that are removed, or undone an odd number of times."""
        there = frozenset(version)
        gone = self.quarantined(there)
        odd: frozenset[int] = frozenset()
        for number in sorted(there - gone):
            odd ^= {self.turns[number].undoes}
        return gone | (odd & there)

    def twin(self, turns: Iterable[int] | None = None) -> Twin:
        """Return a twin that has applied some of the turns, or all."""
        twin = Twin()
        for number in range(len(self.turns)) if turns is None else turns:
            turn = self.turns[number]
            if turn.data:
                operations = with_anchors(decode(Reader(turn.data)))
                hidden = self.hidden(turn.past)
                twin.apply(Event(number, turn.past, operations, turn.tie, hidden))
        return twin

    def order(self, random: Random) -> list[int]:
        """Return all turns, parents first, otherwise as chance has it."""
        waiting = [turn.number for turn in self.turns]
        done: set[int] = set()
        order: list[int] = []
        while waiting:
            ready = [each for each in waiting if self.turns[each].past <= done]
            chosen = random.choice(ready[-2:] if random.random() < 0.5 else ready)
            waiting.remove(chosen)
            done.add(chosen)
            order.append(chosen)
        return order


class Device:
    """A document, and the history as one device has it. Implements `Past`."""

    def __init__(
        self, history: History, make: Callable[[Device], Document] | None = None
    ) -> None:
        self.history = history
        self.arrived: list[int] = []
        self.places: dict[int, int] = {}
        self.document = make(self) if make is not None else Document(TAG, self)
        self.hidden: frozenset[int] = frozenset()

    # ------------------------------------------------------------------ Past

    def parents_of(self, turn: int) -> tuple[int, ...]:
        """Return the parents of a turn, under this device's numbers."""
        parents = self.history.turns[self.arrived[turn]].parents
        return tuple(self.places[each] for each in parents)

    def before(self, a: int, b: int) -> bool:
        """Tell whether a turn is in the past of another."""
        return self.arrived[a] in self.history.turns[self.arrived[b]].past

    def tie(self, field_tag: bytes, turn: int) -> bytes:
        """Return what orders a turn among concurrent ones."""
        assert field_tag == TAG
        return self.history.turns[self.arrived[turn]].tie

    def hidden_before(self, turn: int) -> tuple[int, ...]:
        """Return what the author of a turn did not see."""
        hidden = self.history.hidden(self.history.turns[self.arrived[turn]].past)
        return tuple(sorted(self.places[each] for each in hidden))

    # ------------------------------------------------------------------ what happens

    def arrive(self, number: int) -> None:
        """Take a turn into the numbering, without telling the document."""
        turn = self.history.turns[number]
        assert all(each in self.places for each in turn.past)
        self.places[number] = len(self.arrived)
        self.arrived.append(number)

    def deliver(self, numbers: Iterable[int]) -> None:
        """Fold turns, then hide and show what they undo."""
        for number in numbers:
            if number in self.places:
                continue
            self.arrive(number)
            turn = self.history.turns[number]
            if turn.data:
                operations = decode(Reader(turn.data))
                outcome = self.document.fold(self.places[number], operations)
                assert outcome in (Outcome.TAKEN, Outcome.REFUSED)
        self.look()

    def look(self) -> None:
        """Hide and show what the version here says."""
        hidden = self.history.hidden(self.places)
        for number in sorted(self.hidden ^ hidden):
            change = self.document.hide if number in hidden else self.document.show
            assert change(self.places[number]) in (Outcome.TAKEN, Outcome.ELSEWHERE)
        self.hidden = hidden

    def write(self, tie: bytes, edit: Callable[[Document], None]) -> int:
        """Run a local turn; return its number, -1 if it did nothing."""
        document = self.document
        place = len(self.arrived)
        document.begin(place)
        edit(document)
        data = document.commit()
        if not data:
            return -1
        number = self.history.add(self.version(), tie, data)
        self.arrive(number)
        return number

    def version(self) -> frozenset[int]:
        """Return what a turn is made on here: what is not quarantined, and its past."""
        there = frozenset(self.arrived) - self.history.quarantined(self.arrived)
        return there.union(*(self.history.turns[each].past for each in there))

    def undo(self, tie: bytes, target: int) -> None:
        """Run a turn that undoes another of its past, or redoes it."""
        version = self.version()
        if target in version:
            self.arrive(self.history.add(version, tie, undoes=target))
            self.look()

    def remove(self, tie: bytes, target: int) -> None:
        """Run a turn that hides another one, wherever that is, unless it was made on that."""
        self.arrive(self.history.add(self.version(), tie, removes=target))
        self.look()

    def text(self) -> str:
        """Return what the twin makes of all that is here."""
        return "".join(each for each, _ in self.marked())

    def marked(self) -> list[tuple[str, dict[str, tuple[str, ...]]]]:
        """Return each character with its marks, as the twin has them."""
        history, hidden = self.history, self.history.hidden(self.arrived)
        twin = history.twin(self.arrived)
        marks: dict[int, list[MarkOf]] = {}
        for number in self.arrived:
            if number not in hidden and number not in twin.refused:
                data = history.turns[number].data
                for place, each in enumerate(decode(Reader(data)) if data else []):
                    if each[0] == MARK:
                        of = MarkOf(history.turns[number], place, each[3][ANCHOR_LENGTH:])
                        marks.setdefault(anchor_code(each[3][:ANCHOR_LENGTH]), []).append(of)
        return naive_marks(twin.text(hidden), marks)

    def flat(self) -> list[tuple[str, dict[str, tuple[str, ...]]]]:
        """Return each character with its marks, as the document has them."""
        found: list[tuple[str, dict[str, tuple[str, ...]]]] = [
            (each, {}) for each in str(self.document)
        ]
        for span in self.document.spans():
            for at in range(span.start, span.stop):
                found[at][1].update(span.marks)
        return found


def with_anchors(operations: list[Operation]) -> list[Operation]:
    """Return operations with two insertions for each mark."""
    found: list[Operation] = []
    for kind, position, length, text in operations:
        if kind == MARK:
            start = text[:ANCHOR_LENGTH]
            end = anchor(anchor_code(start) + 1)
            found.append((INSERT, position, ANCHOR_LENGTH, start))
            found.append((INSERT, position + ANCHOR_LENGTH + length, ANCHOR_LENGTH, end))
        else:
            found.append((kind, position, length, text))
    return found


@dataclass(frozen=True)
class MarkOf:
    """A mark by the turn that made it, its place there, and what it says."""

    turn: Turn
    place: int
    text: str

    def seen_by(self, other: MarkOf) -> bool:
        """Tell whether another mark was made on this one."""
        if self.turn is other.turn:
            return self.place < other.place
        return self.turn.number in other.turn.past

    def rivals(self, other: MarkOf) -> bool:
        """Tell whether only one of two marks counts on one character."""
        (name, _, value), (theirs, _, their) = (
            each.text[1:].partition("\0") for each in (self, other)
        )
        overlaps = ord(self.text[0]) & 2
        if name != theirs or overlaps != ord(other.text[0]) & 2:
            return False
        return not overlaps or value == their


def naive_marks(
    text: str, marks: dict[int, list[MarkOf]]
) -> list[tuple[str, dict[str, tuple[str, ...]]]]:
    """Return the characters of a text with anchors, each with the marks that count on it."""
    found: list[tuple[str, list[MarkOf]]] = []
    opened: dict[int, int] = {}
    at = 0
    while at < len(text):
        kinds = [ord(each) >> 10 for each in text[at : at + 3]]
        if kinds == [0x36, 0x37, 0x37]:
            code = anchor_code(text[at : at + 3])
            if not code & 1:
                opened.setdefault(code, len(found))
            else:
                for _, those in found[opened.pop(code - 1, len(found)) :]:
                    those.extend(marks.get(code - 1, []))
            at += 3
            continue
        if kinds[0] not in {0x36, 0x37}:
            found.append((text[at], []))
        at += 1
    return [(character, counting(those)) for character, those in found]


def counting(marks: list[MarkOf]) -> dict[str, tuple[str, ...]]:
    """Return what counts: of rivals the one that saw the others, with the largest tie."""
    found: dict[str, tuple[str, ...]] = {}
    for mark in marks:
        rivals = [each for each in marks if each.rivals(mark)]
        last = [a for a in rivals if not any(a.seen_by(b) for b in rivals)]
        if max(last, key=lambda each: each.turn.tie) is mark and not ord(mark.text[0]) & 4:
            name, _, value = mark.text[1:].partition("\0")
            found[name] = tuple(sorted((*found.get(name, ()), value)))
    return found


def scribble(document: Document, random: Random) -> None:
    """Do a few edits, most at one place."""
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        length = len(document)
        if length and random.random() < 0.4:
            start = random.randrange(length)
            document.delete(start, min(length - start, random.choice((1, 1, 2, 4))))
        elif length and random.random() < 0.2:
            start = random.randrange(length)
            stop = min(length, start + random.choice((1, 2, 5)))
            mark = random.choice((BOLD, LINK, COMMENT))
            value = random.choice("xyz") if mark is not BOLD else ""
            document.mark(start, stop, replace(mark, value=value), clears=random.random() < 0.3)
        else:
            text = "".join(random.choice("abcdefgh") for _ in range(random.choice((1, 1, 3))))
            place = random.randrange(length + 1) if random.random() < 0.5 else min(2, length)
            document.insert(place, text)


def junk(random: Random) -> bytes:
    """Return operations that decode, and most likely do not fit."""
    operations: list[Operation] = []
    for _ in range(random.choice((1, 1, 2))):
        place = random.choice((0, 1, 5, 100, (1 << 31)))
        if random.random() < 0.5:
            operations.append((INSERT, place, 2, "!?"))
        elif random.random() < 0.5:
            text = anchor(2 * random.choice((5, 1 << 20))) + "\1bold\0"
            operations.append((MARK, min(place, 5), random.choice((1, 3)), text))
        else:
            operations.append((DELETE, place, random.choice((1, 3, 1 << 30)), ""))
    return encode(operations)


def ramble(
    seed: int, turns: int, devices: int = 3, *, removals: bool = True
) -> tuple[History, list[Device]]:
    """Return a random history, and the devices that made it, each somewhere in it."""
    random = Random(seed)
    history = History()
    group = [Device(history) for _ in range(devices)]
    hostile, undoes, others = (random.choice((0.0, 0.1, 0.3)) for _ in range(3))
    syncs = random.choice((0.1, 0.3, 0.6))
    removals = removals and random.random() < 0.5
    while len(history.turns) < turns:
        device = random.choice(group)
        tie = random.randbytes(8)
        if random.random() < syncs:
            device.deliver(random.choice(group).arrived)
        elif random.random() < hostile:
            number = history.add(device.version(), tie, junk(random))
            device.deliver([number])
        elif device.arrived and random.random() < undoes:
            near = device.arrived[-4:] if random.random() < 0.7 else range(len(history.turns))
            device.undo(tie, random.choice(near))
        elif random.random() < others:
            device.arrive(history.add(device.version(), tie))
        elif removals and random.random() < 0.05:
            device.remove(tie, random.randrange(len(history.turns) + 1))
        elif random.random() < 0.03:
            history.add((), tie, encode([(INSERT, 0, 3, "***")]))
            device.deliver([len(history.turns) - 1])
        else:
            device.write(tie, lambda document: scribble(document, random))
        if random.random() < 0.3:
            assert len(str(device.document)) == len(device.document)
    return history, group
