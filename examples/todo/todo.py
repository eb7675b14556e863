"""Todo: a list that several people share, with no server behind it."""

from pathlib import Path

from comity import Actor, Counter, Map, Page, Register


class Todo(Actor):
    """What to do, and what is done."""

    title: Register[str]
    items: Map[str, bool]
    done: Counter

    def add(self, what: str) -> int:
        """Put something on the list; return how long the list is now."""
        self.items[what] = False
        return len(self.items)

    def finish(self, what: str) -> bool:
        """Tick something off; return whether it was still open."""
        if self.items.get(what, True):
            return False
        self.items[what] = True
        self.done += 1
        return True

    def reopen(self, what: str) -> None:
        """Say that something is not done after all."""
        if self.items.get(what, False):
            self.items[what] = False

    def drop(self, what: str) -> None:
        """Take something off the list."""
        self.items.pop(what, None)

    def rename(self, title: str) -> None:
        """Give the list a name."""
        self.title = title

    def show(self) -> tuple[str, ...]:
        """Return the list as lines to read."""
        marks = {True: "[x]", False: "[ ]"}
        return tuple(f"{marks[done]} {what}" for what, done in sorted(self.items.items()))


PAGE = Page(
    Path(__file__).with_name("page"),
    calls=(Todo.add, Todo.finish, Todo.reopen, Todo.drop, Todo.rename),
)
"""What a browser shows, and the messages that it may send."""
