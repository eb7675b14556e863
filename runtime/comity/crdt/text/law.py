"""The merge law of a text field: an open turn's edits, and the bytes of a turn.

Owns: what a text costs of a turn's size, and the smallest edit from one text to another. May
not know: users' classes (`views`), how edits merge (`document`).

    text    the operations of `operations.encode`; what does not fit is no-op, as a whole turn

Source: PROTOCOL section 2, API 'Replicated types'.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from comity.base.canonical import Reader
from comity.base.errors import UsageError
from comity.crdt.causality import Causality
from comity.crdt.text.document import Document, Outcome
from comity.crdt.text.marks import Mark, Span
from comity.crdt.text.operations import MARK_BYTES_MAX, RUN_BYTES_MAX, Operation, decode
from comity.crdt.writer import OpenTurn

if TYPE_CHECKING:
    from comity.crdt.freezing import Freezer, Thawer

__all__ = ["TextLaw"]

_OUT: Final = -2
"""The turn of a field that has not entered one; no writer's turn is ever this."""


class TextLaw:
    """A text: concurrent edits all count, and words typed at one place stay whole."""

    __slots__ = ("_causality", "_document", "_entered", "_hidden", "_writer", "label", "tag")

    def __init__(
        self, label: str, tag: bytes, writer: OpenTurn, causality: Causality, hidden: set[int]
    ) -> None:
        """Start empty."""
        self.label = label
        self.tag = tag
        self._causality = causality
        self._document = Document(tag, causality)
        self._hidden = hidden
        self._writer = writer
        self._entered = _OUT

    # ------------------------------------------------------------------ reading

    def __len__(self) -> int:
        return len(self._document)

    def __str__(self) -> str:
        return str(self._document)

    def spans(self) -> list[Span]:
        """Return the marked stretches, ascending."""
        return self._document.spans()

    def slice(self, start: int, stop: int) -> str:
        """Return a stretch of the text; both ends lie in 0..length."""
        return self._document.slice(start, stop)

    # ------------------------------------------------------------------ writing

    def insert(self, position: int, text: object) -> None:
        """Insert in the open turn, before the character at `position`."""
        if not isinstance(text, str):
            raise UsageError(
                f"{self.label}: {text!r} ({type(text).__name__}) is not text: pass str(value)"
            )
        document = self._join_turn()
        if not text:
            return
        size = len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
        self._writer.charge(self, RUN_BYTES_MAX + size)
        count = document.run_count
        try:
            document.insert(position, text)
        except UsageError as error:
            self._writer.charge(self, -RUN_BYTES_MAX - size)
            raise UsageError(f"{self.label}: {error}") from None
        if document.run_count == count:
            self._writer.charge(self, -RUN_BYTES_MAX)

    def delete(self, start: int, stop: int) -> None:
        """Delete in the open turn what stands from `start` to before `stop`."""
        document = self._join_turn()
        if start >= stop:
            return
        runs = document.pieces(start, stop)
        self._writer.charge(self, runs * RUN_BYTES_MAX)
        count = document.run_count
        document.delete(start, stop - start)
        self._writer.charge(self, (document.run_count - count - runs) * RUN_BYTES_MAX)

    def replace(self, start: int, stop: int, text: object) -> None:
        """Put `text` in the place of a stretch; what both have at their ends stays as it is.

        So what others write into those ends at the same time stays too.
        """
        if not isinstance(text, str):
            self.insert(start, text)  # which refuses it
            return
        before = self.slice(start, stop)
        head = _shared(before, text)
        tail = _shared(before[head:][::-1], text[head:][::-1])
        self.delete(start + head, stop - tail)
        self.insert(start + head, text[head : len(text) - tail])

    def mark(self, start: int, stop: int, mark: object, *, clears: bool) -> None:
        """Mark a stretch in the open turn, or clear a mark on it."""
        if not isinstance(mark, Mark):
            raise UsageError(f"{self.label}: {mark!r} is no mark: pass Mark('bold')")
        document = self._join_turn()
        if start >= stop:
            return
        size = MARK_BYTES_MAX + len((mark.name + mark.value).encode("utf-8", "replace"))
        self._writer.charge(self, size)
        try:
            document.mark(start, stop, mark, clears=clears)
        except UsageError as error:
            self._writer.charge(self, -size)
            raise UsageError(f"{self.label}: {error}") from None

    def assign(self, value: object) -> None:
        """Make the text read as `value` does, by the smallest single edit.

        value: a str, or the view of a field that has one.
        Raises: UsageError if it is neither.
        """
        self.replace(0, len(self), getattr(value, "value", value))

    def _join_turn(self) -> Document:
        if self._entered != self._writer.turn:
            self._writer.enter(self)
        return self._document

    # ------------------------------------------------------------------ turns

    def enter(self, turn: int) -> None:
        """Join a turn."""
        self._entered = turn
        self._document.begin(turn)

    def commit(self) -> bytes:
        """Keep the turn's edits."""
        self._entered = _OUT
        return self._document.commit()

    def rollback(self) -> None:
        """Take back the turn's edits."""
        self._entered = _OUT
        self._document.rollback()

    def parse(self, reader: Reader) -> list[Operation]:
        """Read the edits of a turn."""
        return decode(reader)

    def fold(self, turn: int, parsed: list[Operation]) -> tuple[()]:
        """Take a turn; if it does not fit the text it was made on, it is no-op everywhere."""
        outcome = self._document.fold(turn, parsed)
        assert outcome in (Outcome.TAKEN, Outcome.REFUSED), "a field has all its history"
        return ()

    def bound(self, turn: int) -> None:
        """Learn the place of a turn of this device: the text asks itself."""

    def changed(self, turn: int) -> tuple[()] | None:
        """Count a turn or no longer."""
        document = self._document
        change = document.hide if turn in self._hidden else document.show
        return None if change(turn) is Outcome.ELSEWHERE else ()

    def encode(self) -> bytes:
        """Return the canonical bytes of the text."""
        return self._document.encode_state()

    def snapshot(self) -> str:
        """Return the text."""
        return str(self._document)

    def freeze(self, out: Freezer) -> None:
        """Write the text with its events."""
        out.blob(self._document.save(history=True))

    def thaw(self, data: Thawer) -> None:
        """Take what `freeze` wrote. Raises: Malformed."""
        self._document = Document.load(data.blob(), self.tag, self._causality)

    def check(self, settled: int) -> None:
        """Assert that the text follows from its history. O(n^2)."""
        assert settled >= -1
        if self._entered == _OUT:
            self._document.check()


def _shared(a: str, b: str) -> int:
    """Return how many first characters two texts share. O(n log n), most of it in C."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
