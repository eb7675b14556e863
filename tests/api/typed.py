"""What both type checkers must infer and refuse; read by test_typing.py, never run."""

from typing import assert_type

from comity import (
    Actor,
    Counter,
    Flag,
    Interface,
    List,
    Map,
    Node,
    Register,
    Set,
    Text,
)
from comity.drivers.dispatch.future import Future


class Todo(Actor):
    """The ten lines of the README."""

    title: Register[str]
    tags: Set[str]
    items: Map[str, bool]
    done: Counter

    def add(self, what: str) -> int:
        """Write a map."""
        self.items[what] = False
        return len(self.items)

    def finish(self, what: str) -> None:
        """Write a map and a counter."""
        self.items[what] = True
        self.done += 1
        self.title = "x"
        self.tags.add(what)

    async def fetch(self, what: str) -> bytes:
        """Wait."""
        await self.sleep(1)
        text = await self.run(str.upper, what)
        self.every(1, self.finish, text)
        self.after(1, self.finish, what=text)
        return text.encode()


class Reader(Interface):
    """What a holder may call."""

    def add(self, what: str) -> int:
        """Add."""
        raise NotImplementedError


def use(node: Node) -> None:
    """Every call is typed by the method itself."""
    todo = node.create(Todo)
    added = todo.ask(Todo.add, "milk")
    _ = assert_type(added, Future[int])
    assert_type(added.get(timeout=2), int)
    finished = node.open(Todo).ask(Todo.finish, what="milk")
    _ = assert_type(finished, Future[None])
    todo.tell(Todo.add, "milk")
    fetched = todo.ask(Todo.fetch, "milk")
    _ = assert_type(fetched, Future[bytes])
    todo.tell(Todo.fetch, "milk")
    reader = todo.options(deadline=2).facet(Reader)
    through = reader.ask(Reader.add, "milk")
    _ = assert_type(through, Future[int])


class Team(Actor):
    """Replicated values in maps."""

    scores: Map[str, Counter]
    pages: Map[str, Text]
    tags: Map[str, Set[str]]
    done: Map[str, Flag]
    rows: Map[str, List[int]]
    deep: Map[str, Map[int, Counter]]

    def play(self, who: str) -> int:
        """Write each in its place, and assign what its field would take."""
        self.scores[who] += 1
        self.pages[who].insert(0, "x")
        self.pages[who] = "plain"
        self.tags[who].add("new")
        self.tags[who] = {"a"}
        self.done[who] = True
        self.rows[who] = [1, 2]
        self.deep[who][3] += 1
        del self.deep[who]
        return int(self.scores[who])
