"""Notes: a page of text that several people type in at the same time."""

from pathlib import Path

from comity import Actor, Page, Register, Text


class Notes(Actor):
    """One note: its title, its text."""

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


PAGE = Page(Path(__file__).with_name("page"), calls=(Notes.write, Notes.rename))
"""What a browser shows, and the messages that it may send."""
