"""An actor with field rules, and the same without: what a replica that skips them can write.

Owns: both classes, and the bytes of turns that break rules. May not know: who sends them.
"""

from __future__ import annotations

from collections.abc import Callable

from comity import (
    Actor,
    AppendOnly,
    Between,
    Counter,
    List,
    Map,
    MaxLength,
    OneOf,
    Owner,
    OwnKey,
    Register,
    Role,
    Set,
    field,
)
from comity.actor.actor_type import ActorType
from comity.actor.cell import Cell
from comity.actor.fold import Fold
from comity.base.ids import DeviceId, Topic
from comity.log.graph import Graph

__all__ = ["Club", "Lawless", "forged"]


class Club(Actor):
    """Every kind of rule."""

    posts: List[str] = field(rule=Owner | Role("admin"))
    cards: Map[str, str] = field(rule=(OwnKey, MaxLength(20)))
    notes: Map[str, str] = field(rule=Owner)
    notice: Register[str] = field(rule=Role("admin"))
    visits: Counter = field(rule=AppendOnly)
    points: Map[str, Counter] = field(rule=Owner & Between(0, 10))
    states: Register[str] = field(rule=OneOf("", "open", "closed"))
    marks: Set[str] = field(rule=AppendOnly)
    free: Map[str, int]

    def post(self, text: str) -> None:
        """Add at the end."""
        self.posts.append(text)

    def strike(self, place: int) -> None:
        """Take a post away."""
        del self.posts[place]

    def note(self, key: str, text: str) -> None:
        """Write under a key."""
        self.notes[key] = text

    def drop(self, key: str) -> None:
        """Delete a key."""
        del self.notes[key]

    def greet(self, text: str) -> None:
        """Write one's own card, and a free field with it."""
        self.cards[self.device.hex()] = text
        self.free[text] = 1

    def announce(self, text: str) -> None:
        """Set the notice."""
        self.notice = text

    def score(self, key: str, count: int) -> None:
        """Count points, and a visit."""
        self.points[key] += count
        self.visits += 1
        self.marks.add(key)


class Lawless(Actor):
    """The fields of `Club`, of the same names and types: the same tags, and no rules."""

    posts: List[str]
    cards: Map[str, str]
    notes: Map[str, str]
    notice: Register[str]
    visits: Counter
    points: Map[str, Counter]
    states: Register[str]
    marks: Set[str]
    free: Map[str, int]

    def seed(self, device: bytes) -> None:
        """Have what the honest have written, so that there is something to harm."""
        self.posts.extend(["first", "second"])
        self.cards[device.hex()] = "hello"
        self.notes["mine"] = "alice's"
        self.points["alice"] += 1
        self.marks.add("alice")

    def overwrite_post(self) -> None:
        """Set another's element."""
        self.posts[0] = "forged"

    def delete_posts(self) -> None:
        """Delete all elements, after one of one's own."""
        self.posts.append("own")
        self.posts.clear()

    def move_post(self) -> None:
        """Move another's element."""
        self.posts.insert(0, self.posts.pop(1))

    def write_card(self, device: bytes) -> None:
        """Write under another's key."""
        self.cards[device.hex()] = "forged"

    def delete_card(self, device: bytes) -> None:
        """Delete another's key."""
        del self.cards[device.hex()]

    def overwrite_note(self) -> None:
        """Write over another's entry."""
        self.notes["mine"] = "forged"

    def delete_note(self) -> None:
        """Delete another's entry."""
        del self.notes["mine"]

    def set_notice(self) -> None:
        """Do what admins do."""
        self.notice = "forged"

    def shrink(self) -> None:
        """Count down what only grows."""
        self.visits -= 100

    def touch_points(self) -> None:
        """Count in another's entry."""
        self.points["alice"] += 1

    def many_points(self) -> None:
        """Count more in one's own than is allowed."""
        self.points["mallory"] += 11

    def odd_state(self) -> None:
        """Write what is not among the values."""
        self.states = "burnt"

    def unmark(self) -> None:
        """Take away what is only added to."""
        self.marks.discard("alice")


def forged(method: Callable[..., object], alice: DeviceId) -> bytes:
    """Return the operations of a lawless turn, made where the honest content is."""
    actor_type = ActorType.of(Lawless)
    cell = Cell(actor_type, Topic(bytes(32)))
    cell.fold(Fold(cell.topic, 1, 0, Graph()))
    cell.run(actor_type.message(Lawless.seed, (alice,), {}))
    takes = len(actor_type.parameters(method.__name__))
    outcome, _ = cell.run(actor_type.message(method, (alice,)[:takes], {}))
    assert outcome.error is None, outcome.error
    return outcome.operations
