"""Notes: a page of text that several people type in at the same time, with marks."""

from pathlib import Path

from comity import Actor, Mark, Page, Register, Text


def remark(what: str) -> Mark:
    """Return what a comment is: several may lie over one another, and none grows."""
    return Mark("comment", what, grows=False, overlaps=True)


class Notes(Actor):
    """One note: its title, its text and what is marked in it."""

    title: Register[str]
    text: Text

    def write(self, before: str, after: str) -> str:
        """Make the edit that led from one text to another; return the text as it is now.

        before: what who types was shown. What others typed since is kept: only what differs
        between the two is deleted and inserted, where it stands now.
        """
        start, end, inserted = difference(before, after)
        theirs, gone, fresh = difference(before, str(self.text))
        shift = len(fresh) - (gone - theirs)
        right = max(start, gone)
        if right < end:
            del self.text[right + shift : end + shift]
        if start < min(end, theirs):
            del self.text[start : min(end, theirs)]
        if inserted:
            moved = max(start + shift, theirs + len(fresh)) if start > theirs else start
            self.text.insert(moved, inserted)
        return str(self.text)

    def bold(self, shown: str, start: int, stop: int) -> bool:
        """Make a stretch bold, or no more so if all of it is.

        shown: the text in which the stretch was chosen. Returns whether any of it is left.
        """
        return self._toggle(Mark("bold"), *self._now(shown, start, stop))

    def italic(self, shown: str, start: int, stop: int) -> bool:
        """Make a stretch italic, or no more so if all of it is."""
        return self._toggle(Mark("italic"), *self._now(shown, start, stop))

    def link(self, shown: str, start: int, stop: int, address: str) -> bool:
        """Make a stretch a link, or no more one if the address is empty."""
        if address and not address.startswith(("https://", "http://", "mailto:")):
            if ":" in address:
                raise ValueError(f"{address!r} is no address: begin it with https://")
            address = "https://" + address
        start, stop = self._now(shown, start, stop)
        act = self.text.mark if address else self.text.unmark
        act(start, stop, Mark("link", address, grows=False))
        return start < stop

    def comment(self, shown: str, start: int, stop: int, what: str) -> bool:
        """Say something about a stretch; others' comments on it stay."""
        start, stop = self._now(shown, start, stop)
        self.text.mark(start, stop, remark(what))
        return start < stop

    def resolve(self, what: str) -> None:
        """Take a comment away, wherever it stands."""
        for each in self.text.spans():
            if what in each.marks.get("comment", ()):
                self.text.unmark(each.start, each.stop, remark(what))

    def marked(self) -> list[tuple[int, int, dict[str, list[str]]]]:
        """Return the stretches of the text: from where to where, and the marks of each."""
        return [
            (each.start, each.stop, {name: list(values) for name, values in each.marks.items()})
            for each in self.text.spans()
        ]

    def _toggle(self, mark: Mark, start: int, stop: int) -> bool:
        has = [each for each in self.text.spans() if mark.name in each.marks]
        overlaps = [min(stop, each.stop) - max(start, each.start) for each in has]
        whole = sum(each for each in overlaps if each > 0) == stop - start
        (self.text.unmark if whole else self.text.mark)(start, stop, mark)
        return start < stop

    def _now(self, shown: str, start: int, stop: int) -> tuple[int, int]:
        """Return where a stretch of the text that was shown is now; empty if it is gone."""
        now = str(self.text)
        first = min(max(0, moved(shown, now, start)), len(now))
        last = min(max(first, moved(shown, now, stop)), len(now))
        return first, last

    def rename(self, title: str) -> None:
        """Give the note a title."""
        self.title = title

    def show(self) -> str:
        """Return the text."""
        return str(self.text)


def difference(before: str, after: str) -> tuple[int, int, str]:
    """Return which characters of one text gave way to what in the other: start, end, text."""
    least = min(len(before), len(after))
    start = 0
    while start < least and before[start] == after[start]:
        start += 1
    tail = 0
    while tail < least - start and before[-1 - tail] == after[-1 - tail]:
        tail += 1
    return start, len(before) - tail, after[start : len(after) - tail]


def moved(before: str, after: str, place: int) -> int:
    """Return where a place in one text is in what it became."""
    start, end, inserted = difference(before, after)
    if place <= start:
        return place
    return start + len(inserted) + max(0, place - end)


PAGE = Page(
    Path(__file__).with_name("page"),
    calls=(
        Notes.write,
        Notes.rename,
        Notes.bold,
        Notes.italic,
        Notes.link,
        Notes.comment,
        Notes.resolve,
        Notes.marked,
    ),
)
"""What a browser shows, and the messages that it may send."""
