"""The app of the demonstration: a list that three people keep together."""

from comity import Actor, Counter, Map, Register, Set


class SharedList(Actor):
    """What is needed, and who said so. Every `add` writes three fields in one turn."""

    title: Register[str]
    items: Map[str, str]
    people: Set[str]
    added: Counter

    def add(self, what: str, who: str) -> int:
        """Put something new on the list; return how long the list is now."""
        if what not in self.items:
            self.added += 1
        self.items[what] = who
        self.people.add(who)
        return len(self.items)

    def rename(self, title: str) -> None:
        """Give the list a name."""
        self.title = title

    def show(self) -> tuple[str, ...]:
        """Return the list as lines to read."""
        return tuple(f"{what} ({who})" for what, who in sorted(self.items.items()))
