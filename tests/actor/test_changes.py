"""Changes: every field that changed is told, once, where it changed and by whom."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity import Actor, Counter, FieldChange, List, Map, Range, Text, UsageError, on_change
from comity.actor.actor_type import ActorType
from comity.actor.changes import Pending, difference
from comity.crdt.state import ChangeKind
from comity_chaos import Sim

_TEXTS = st.text(alphabet="ab", max_size=12)


class Page(Actor):
    """A field of each kind, and methods that react."""

    title: Text
    points: List[str]
    items: Map[str, int]
    done: Counter

    def on_start(self) -> None:
        """Remember what was told."""
        self.told: list[FieldChange] = []
        self.times = 0

    def add(self, *names: str) -> None:
        """Write keys."""
        for name in names:
            self.items[name] = 1

    def write(self, text: str) -> None:
        """Write a text."""
        self.title = text

    def point(self, at: int, what: str) -> None:
        """Insert into a list."""
        self.points.insert(at, what)

    def finish(self) -> None:
        """Count and drop an item, or do nothing at all."""
        self.done += 1

    def fail(self) -> None:
        """Write, then raise."""
        self.done += 1
        raise ValueError

    def heard(self) -> tuple[object, ...]:
        """Return the keys that were told."""
        return tuple(key for change in self.told for key in change.keys)

    def counted(self) -> int:
        """Return how often the counter was said to have changed."""
        return self.times

    @on_change("items", "title")
    def notice(self, change: FieldChange) -> None:
        """Keep what was told."""
        self.told.append(change)

    @on_change("done")
    def _count(self) -> None:
        self.times += 1
        self.done += 1  # which a reaction may not


def _apply(before: str, place: Range, after: str) -> str:
    return (
        before[: place.start]
        + after[place.start : place.start + place.inserted]
        + before[place.start + place.removed :]
    )


@given(_TEXTS, _TEXTS)
def test_a_range_leads_from_before_to_after(before: str, after: str) -> None:
    """Outside of the range nothing differs, and a range is told exactly when something does."""
    found = difference(before, after)
    assert (found is None) == (before == after)
    if found is not None:
        assert _apply(before, found, after) == after
        assert len(before) - found.removed + found.inserted == len(after)


@given(_TEXTS, _TEXTS, _TEXTS)
def test_two_ranges_become_one_that_covers_both(a: str, b: str, c: str) -> None:
    """What one range of two covers leads from the first text to the last."""
    first, second = difference(a, b), difference(b, c)
    if first is not None and second is not None:
        joined = first.then(second)
        assert joined.start >= 0
        assert joined.removed >= 0
        assert joined.inserted >= 0
        assert _apply(a, joined, c) == c
        assert len(a) - joined.removed + joined.inserted == len(c)


def test_what_is_not_taken_is_joined() -> None:
    """A listener who is slow finds one change of a field, with all keys and all authors."""
    pending = Pending()
    one, other = b"1" * 32, b"2" * 32
    pending.add([FieldChange("items", ChangeKind.WRITTEN, (one,), ("a",))])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    pending.add([FieldChange("done", ChangeKind.WRITTEN, (one,))])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    pending.add([FieldChange("items", ChangeKind.HIDDEN, (other,), ("b", "a"))])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert len(pending) == 2
    first = pending.pop()
    assert (first.field, first.keys, first.by) == ("items", ("a", "b"), (one, other))
    assert first.what is ChangeKind.WRITTEN
    assert [each.field for each in pending.take()] == ["done"]
    assert not pending.take()


def test_too_many_keys_mean_the_whole_field() -> None:
    """A change never grows without bound: beyond a thousand keys it names none."""
    pending = Pending()
    for start in range(0, 2000, 500):
        keys = tuple(range(start, start + 500))
        pending.add([FieldChange("items", ChangeKind.WRITTEN, (), keys)])
    assert pending.pop().keys == ()


def test_every_replica_hears_where_a_field_changed_and_by_whom() -> None:
    """Keys of a map, the range of a text and of a list; a turn that raised is not told."""
    with Sim(seed=3, nodes=2) as sim:
        a, b = sim.share(Page)
        heard = a.changes(), b.changes()
        writer = a.node.running()[0].device
        a.tell(Page.add, "milk", "eggs")
        a.tell(Page.write, "to do")
        a.tell(Page.point, 0, "one")
        a.tell(Page.fail)
        sim.settle()
        for each in heard:
            told = {change.field: change for change in each.take()}
            assert sorted(told) == ["items", "points", "title"]
            assert set(told["items"].keys) == {"milk", "eggs"}
            assert told["title"].range == Range(0, 0, 5)
            assert told["points"].range == Range(0, 0, 1)
            assert all(change.by == (writer,) for change in told.values())
        b.tell(Page.write, "to do now")
        sim.settle()
        (change,) = heard[0].take()
        assert (change.field, change.range) == ("title", Range(5, 0, 4))
        assert change.by == (b.node.running()[0].device,)


def test_a_removed_author_is_told_as_hidden() -> None:
    """What an admin's removal hides changes the fields that it was written to."""
    with Sim(seed=4, nodes=3) as sim:
        a, b, c = sim.share(Page)
        removed = b.node.running()[0].device
        sim.cut(a, [b, c])
        b.tell(Page.add, "late")
        sim.run(5)
        assert c.state["items"] == {"late": 1}
        sim.remove(a, b)
        heard = c.changes()
        sim.heal()
        sim.settle()
        assert c.state["items"] == {}
        (change,) = heard.take()
        assert (change.field, change.what, change.keys) == (
            "items",
            ChangeKind.HIDDEN,
            ("late",),
        )
        assert change.by == (removed,)


def test_methods_react_to_changes_from_here_and_elsewhere() -> None:
    """They run once for each turn, with the change, and what they raise goes to on_failure."""
    with Sim(seed=5, nodes=2) as sim:
        a, b = sim.share(Page)
        a.tell(Page.add, "milk")
        sim.settle()
        b.tell(Page.add, "eggs")
        sim.settle()
        for ref in (a, b):
            told = ref.ask(Page.heard)
            sim.run(1)
            assert told.value == ("milk", "eggs")


def test_a_reaction_writes_nothing_and_is_told_what_to_do() -> None:
    """The write raises with the fix; the field is as the turn left it."""
    with Sim(seed=6, nodes=1) as sim:
        (a,) = sim.share(Page)
        a.tell(Page.finish)
        settled = sim.settle()
        assert settled.state["done"] == 1
        times = a.ask(Page.counted)
        sim.run(1)
        assert times.value == 1
        news = FieldChange("done", ChangeKind.WRITTEN)
        ((name, error),) = a.part.cell.react([news])
        assert name == "_count"
        assert "tell a message" in str(error)


def test_a_reaction_to_what_is_no_field_is_refused_with_the_class() -> None:
    """So is one that cannot take a change; both are said at once."""

    class Wrong(Actor):
        done: Counter

        @on_change("dnoe")
        def one(self) -> None: ...

        @on_change("done")
        def two(self, change: FieldChange, more: int) -> None: ...

    with pytest.raises(UsageError, match="'dnoe' is no field") as caught:
        ActorType.of(Wrong)
    assert "two: it reacts" in str(caught.value)
    with pytest.raises(UsageError, match="name the fields"):
        on_change()
