"""What an inspector is told of classes and logs, and what its edits do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from comity import Actor, Counter, Flag, List, Map, Node, Register, Set, Text, UsageError
from comity.actor.message import Message
from comity.api.control import Control
from comity.base.clock import Wall
from comity.drivers.dispatch.dead_letters import DeadLetter

Ask = Callable[..., dict[str, Any]]


class Everything(Actor):
    """One field of each kind."""

    title: Register[str | None]
    done: Flag
    hits: Counter
    tags: Set[str]
    seats: Map[int, str]
    steps: List[str]
    plan: Text

    def hit(self, times: int = 1) -> int:
        """Count."""
        self.hits += times
        return int(self.hits)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """Return a node with one actor."""
    with Node(tmp_path / "ann", insecure_store=True) as node:
        node.create(Everything)
        yield node


@pytest.fixture
def ask(node: Node) -> Ask:
    """Return what asks the node."""
    control = Control(node)

    def send(what: str, **fields: object) -> dict[str, Any]:
        return control.handle({"do": what, **fields})

    return send


def test_a_class_is_described(ask: Ask) -> None:
    """Every field with its kind, what it is of and its edits; every message."""
    told = ask("describe")
    kinds = {each["name"]: (each["kind"], each["of"], each["edits"]) for each in told["fields"]}
    assert kinds == {
        "title": ("Register", ["str | None"], ["set"]),
        "done": ("Flag", [], ["set"]),
        "hits": ("Counter", [], ["set"]),
        "tags": ("Set", ["str"], ["add", "drop"]),
        "seats": ("Map", ["int", "str"], ["put", "drop"]),
        "steps": ("List", ["str"], ["put", "add", "drop"]),
        "plan": ("Text", [], ["set"]),
    }
    assert told["messages"] == ["hit(times: int = 1) -> int"]


EDITS: list[tuple[dict[str, Any], object]] = [
    ({"field": "title", "action": "set", "value": "x"}, "x"),
    ({"field": "title", "action": "set", "value": None}, None),
    ({"field": "done", "action": "set", "value": True}, True),
    ({"field": "hits", "action": "set", "value": 7}, 7),
    ({"field": "hits", "action": "set", "value": 3}, 3),
    ({"field": "tags", "action": "add", "value": "a"}, ["a"]),
    ({"field": "tags", "action": "drop", "key": "a"}, []),
    ({"field": "seats", "action": "put", "key": "1", "value": "ann"}, {"1": "ann"}),
    ({"field": "seats", "action": "drop", "key": "1"}, {}),
    ({"field": "steps", "action": "add", "value": "a"}, ["a"]),
    ({"field": "steps", "action": "put", "key": "0", "value": "b"}, ["b"]),
    ({"field": "steps", "action": "drop", "key": "0"}, []),
    ({"field": "plan", "action": "set", "value": "a\nb"}, "a\nb"),
]


def test_each_field_takes_its_edits(ask: Ask) -> None:
    """One after the other, each is seen in the next snapshot, and is a turn in the log."""
    for edit, expected in EDITS:
        before = len(ask("log", count=100)["commits"])
        ask("edit", **edit)
        assert ask("snapshot")["state"][edit["field"]] == expected
        assert len(ask("log", count=100)["commits"]) >= before


@pytest.mark.parametrize(
    "edit",
    [
        {"field": "nothing", "action": "set", "value": 1},
        {"field": "on_start", "action": "set", "value": 1},
        {"field": "hits", "action": "put", "key": "1", "value": 1},
        {"field": "hits", "action": "set", "value": "7"},
        {"field": "hits", "action": "set", "value": True},
        {"field": "hits", "action": "set"},
        {"field": "title", "action": "set", "value": 1},
        {"field": "seats", "action": "put", "key": "one", "value": "ann"},
        {"field": "seats", "action": "put", "value": "ann"},
        {"field": "done", "action": "__class__", "value": 1},
    ],
)
def test_an_edit_that_does_not_fit_changes_nothing(ask: Ask, edit: dict[str, Any]) -> None:
    """It is refused before it is a turn."""
    before = ask("snapshot")
    with pytest.raises(UsageError):
        ask("edit", **edit)
    assert ask("snapshot") == before


def test_an_edit_that_raises_leaves_nothing(ask: Ask) -> None:
    """What is not there cannot be dropped; the error is the view's own."""
    with pytest.raises(KeyError):
        ask("edit", field="seats", action="drop", key="9")
    assert ask("snapshot")["state"]["seats"] == {}


def test_dead_letters_are_told(ask: Ask, node: Node) -> None:
    """Each with whom it was for, what it asked, and why nobody handled it."""
    (ref,) = node.refs
    assert ask("dead_letters") == {"letters": []}
    letter = DeadLetter(ref.topic, "Everything", Message("hit", ()), "it stopped", Wall(5))
    node._dispatcher.dead_letters.add(letter)
    assert ask("dead_letters")["letters"] == [
        {
            "actor": ref.topic.hex(),
            "type": "Everything",
            "method": "hit",
            "reason": "it stopped",
            "at": 5,
        }
    ]


def test_the_log_is_told_with_its_parents(ask: Ask, node: Node) -> None:
    """Newest last, each with author, time, whether it counts and why; as many as asked for."""
    (ref,) = node.refs
    for _ in range(3):
        ref.ask(Everything.hit).get(timeout=5)
        ask("snapshot")
    commits = ask("log", count=100)["commits"]
    assert commits[0]["parents"] == []
    seen: set[str] = set()
    for each in commits:
        assert {*each["parents"]} <= seen
        seen.add(each["id"])
        assert each["author"] == node.device.hex()
        assert each["counts"] is True
        assert each["why"]
    assert ask("log", count=1)["commits"] == commits[-1:]
    for wrong in (0, 1001, "x"):
        with pytest.raises(UsageError):
            ask("log", count=wrong)
