"""Causes: of the turns that answer one message, which one counts.

Owns: every turn that names a cause, and the rule by which others of the same cause are hidden.
May not know: whether a commit counts; it is told.

    cause = (sender, recipient, number on their edge), and a hand-over, or none

    original   its author is the recipient, and there is no hand-over
    handed     the sender signed that its author may answer in the recipient's place
    void       anything else: it counts nowhere

    a turn with a turn of the same cause in its past is no-op    decided once, for ever
    a handed one is hidden in a version that holds an original which counts in it

No ids are compared, so nobody can grind another's turn away: whoever names a cause that is not
his is void, and hides nothing. Only the device that the sender chose first can overtake.
A hand-over is the sender's signature over `comity/handover/1` | topic | cause | author.
Source: PROTOCOL section 7 'Cause', attack 27; decision 38.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from comity.authority.claim import Ancestry
from comity.authority.undos import Place
from comity.base.ids import DeviceId, Topic
from comity.log.entries import Cause, Entry, TurnEntry

__all__ = ["Causes", "Verify", "handover_claim"]

Verify = Callable[[bytes, bytes, bytes], bool]
"""Tells whether a public key made a signature: (key, message, signature)."""

_CLAIM: Final = b"comity/handover/1"
_NUMBER_BYTES: Final = 8
_NOTHING: Final[tuple[Place, ...]] = ()
_NOWHERE: Final[Place] = -1, 0
_Key = tuple[DeviceId, DeviceId, int]


def handover_claim(topic: Topic, cause: Cause, author: DeviceId) -> bytes:
    """Return what the sender of a message signs so that another device may answer it."""
    number = cause.edge_seq.to_bytes(_NUMBER_BYTES, "little")
    return _CLAIM + topic + cause.sender + cause.recipient + number + author


@dataclass(slots=True)
class _Answers:
    """The turns of one cause that are not void, and have none of it in their past."""

    originals: list[Place]
    handed: list[Place]


class Causes:
    """The causes of one actor; append-only."""

    __slots__ = (
        "_answers",
        "_bits",
        "_graph",
        "_key_of",
        "_last",
        "_marks",
        "_originals_in",
        "_topic",
        "_verify",
    )

    def __init__(self, graph: Ancestry, topic: Topic, verify: Verify) -> None:
        """Begin before the genesis."""
        self._graph = graph
        self._topic = topic
        self._verify = verify
        self._answers: dict[_Key, _Answers] = {}
        self._key_of: dict[Place, _Key | None] = {}
        self._marks: list[Place] = []
        self._bits: dict[int, int] = {}
        self._originals_in: dict[int, list[_Key]] = {}
        self._last: tuple[int, tuple[Place, ...], tuple[Place, ...]] = 0, _NOTHING, _NOTHING

    def enter(
        self,
        commit: int,
        parents: Sequence[int],
        author: DeviceId,
        entries: Sequence[Entry],
    ) -> tuple[Place, ...]:
        """Enter the next commit; return the turns that it may hide, its own among them."""
        caused: list[tuple[int, Cause]] = []
        number = 0
        for entry in entries:
            if isinstance(entry, TurnEntry):
                if entry.cause is not None:
                    caused.append((number, entry.cause))
                number += 1
        if not caused and not self._marks:
            return ()
        bits = self._held(parents)
        touched: list[Place] = []
        for turn, cause in caused:
            place = commit, turn
            touched += self._note(place, cause, author, parents)
            if place in self._key_of:
                bits |= 1 << len(self._marks)
                self._marks.append(place)
        if bits:
            self._bits[commit] = bits
        return tuple(touched)

    def _note(
        self, place: Place, cause: Cause, author: DeviceId, parents: Sequence[int]
    ) -> list[Place]:
        """Note a turn with a cause; return what it may hide, and itself if it may be hidden."""
        is_original = cause.recipient == author and not cause.handover
        if not is_original and not self._may_answer(cause, author):
            self._key_of[place] = None
            return [place]
        key = cause.sender, cause.recipient, cause.edge_seq
        answers = self._answers.setdefault(key, _Answers([], []))
        first = (*answers.originals, *answers.handed)
        if any(self._is_in(each, place, parents) for each in first):
            self._key_of[place] = None
            return [place]
        if is_original:
            answers.originals.append(place)
            self._originals_in.setdefault(place[0], []).append(key)
            return list(answers.handed)
        answers.handed.append(place)
        self._key_of[place] = key
        return [place]

    def _may_answer(self, cause: Cause, author: DeviceId) -> bool:
        if cause.recipient == author or not cause.handover:
            return False
        claim = handover_claim(self._topic, cause, author)
        return self._verify(cause.sender, claim, cause.handover)

    def _is_in(self, earlier: Place, place: Place, parents: Sequence[int]) -> bool:
        """Tell whether a turn lies in the past of another, which is being entered."""
        commit = earlier[0]
        if commit == place[0]:
            return True
        return any(commit == p or self._graph.is_before(commit, p) for p in parents)

    def rivals_of(self, commit: int) -> list[Place]:
        """Return the handed turns that turns of this commit may hide."""
        found: list[Place] = []
        for key in self._originals_in.get(commit, ()):
            found += self._answers[key].handed
        return found

    def hides(self, turn: Place, counts: Sequence[bool]) -> bool:
        """Tell whether a turn is hidden now. counts: of each commit, whether it counts."""
        if turn not in self._key_of:
            return False
        key = self._key_of[turn]
        return key is None or any(counts[each[0]] for each in self._answers[key].originals)

    def hidden_among(self, count: int, counts: Sequence[bool]) -> list[Place]:
        """Return the turns of the first commits that are hidden now. counts: as in `hides`."""
        return [t for t in self._key_of if t[0] < count and self.hides(t, counts)]

    def hidden_in(self, heads: Sequence[int], hidden: Sequence[int]) -> tuple[Place, ...]:
        """Return the turns that are hidden in a version, each once.

        hidden: the commits that do not count in it. Costs what came since the last version,
        and the handed turns.
        """
        bits = self._held(heads)
        if not bits:
            return _NOTHING
        known, lost, handed = self._last
        if bits != known:
            if known & bits != known:
                known, lost, handed = 0, _NOTHING, _NOTHING
            new = bits ^ known
            more: list[Place] = []
            while new:
                more.append(self._marks[(new & -new).bit_length() - 1])
                new &= new - 1
            lost = (*lost, *[each for each in more if self._key_of[each] is None])
            handed = (*handed, *[each for each in more if self._key_of[each] is not None])
            self._last = bits, lost, handed
        if not handed:
            return lost
        out = dict.fromkeys(hidden)
        return (*lost, *[each for each in handed if self._loses(each, heads, out)])

    def _loses(self, turn: Place, heads: Sequence[int], out: Mapping[int, None]) -> bool:
        """Tell whether a version holds an original of a handed turn's cause that counts."""
        key = self._key_of[turn]
        assert key is not None
        return any(
            each[0] not in out and self._is_in(each, _NOWHERE, heads)
            for each in self._answers[key].originals
        )

    def _held(self, heads: Sequence[int]) -> int:
        bits = 0
        if self._bits:
            for head in heads:
                bits |= self._bits.get(head, 0)
        return bits

    def why(self, turn: Place) -> str:
        """Say why a turn may be hidden; empty if nothing is known against it."""
        if turn not in self._key_of:
            return ""
        if self._key_of[turn] is None:
            return "it answers a message that is not its author's to answer, or was answered"
        return "the device that its message was sent to first answered as well"
