"""What the list promises, whatever happens to devices and network."""

from collections.abc import Mapping
from typing import cast

from comity_chaos import Sim, chaos
from examples.todo.todo import Todo


def ticks_are_counted(state: Mapping[str, object]) -> bool:
    """No tick without its count: both are written in one turn."""
    items = cast("Mapping[str, bool]", state["items"])
    return sum(items.values()) <= cast("int", state["done"])


@chaos(nodes=3, faults="all", seeds=5)
def test_every_tick_is_counted(sim: Sim) -> None:
    """Also after cuts, crashes and broken disks; nothing acknowledged is lost."""
    sim.always(ticks_are_counted)
    sim.share(Todo)


def test_what_is_added_on_both_sides_of_a_cut_is_there() -> None:
    """Nobody's thing is lost, and a tick stays one though the other side renamed the list."""
    with Sim(seed=8, nodes=3) as sim:
        ann, bob, eve = sim.share(Todo)
        ann.tell(Todo.add, "milk")
        sim.settle()
        sim.cut([ann], [bob, eve])
        ann.tell(Todo.add, "eggs")
        ann.tell(Todo.rename, "Saturday")
        bob.tell(Todo.finish, "milk")
        eve.tell(Todo.add, "tea")
        sim.run(5)
        sim.heal()
        state = sim.settle().state
        assert state["items"] == {"eggs": False, "milk": True, "tea": False}
        assert state["title"] == "Saturday"
        assert state["done"] == 1


def test_a_thing_that_is_dropped_and_ticked_at_once_is_kept_ticked() -> None:
    """A write wins over a concurrent delete: what somebody did is not thrown away unseen."""
    with Sim(seed=9, nodes=2) as sim:
        ann, bob = sim.share(Todo)
        ann.tell(Todo.add, "milk")
        sim.settle()
        sim.cut([ann], [bob])
        ann.tell(Todo.drop, "milk")
        bob.tell(Todo.finish, "milk")
        sim.heal()
        assert sim.settle().state["items"] == {"milk": True}
