"""What people get wrong at first, on a real node: each is an error that says what to write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from comity import Actor, Counter, List, Map, Node, Ref, UsageError
from comity.actor.actor_type import ActorType

PATIENCE = 30.0


class Clumsy(Actor):
    """Does what one should not."""

    items: Map[str, bool]
    lines: List[str]
    total: Counter

    def on_start(self) -> None:
        """Keep nothing."""
        self.me: Ref[Clumsy] | None = None

    def know(self, me: Ref[Clumsy]) -> None:
        """Remember oneself."""
        self.me = me

    def add(self) -> int:
        """Add."""
        self.total.add(1)
        return int(self.total)

    def count(self) -> int:
        """Return the total."""
        return int(self.total)

    def wait_for_oneself(self) -> int:
        """Block on a message that can only be handled afterwards."""
        assert self.me is not None
        return self.me.ask(Clumsy.count).get()

    def store_anything(self) -> None:
        """Write what no device could read."""
        self.items["x"] = object()  # type: ignore[assignment]  # pyright: ignore[reportArgumentType]

    def misspell(self) -> None:
        """Set what is no field."""
        self.totl = 3

    def give_field(self) -> object:
        """Return what goes on changing."""
        return self.items

    def peek(self) -> Actor:
        """Return oneself, so that a test can reach past the messages."""
        return self

    def take(self, blob: object) -> None:
        """Take what has no form outside of this process."""

    def bare(self):  # type: ignore[no-untyped-def]  # noqa: ANN201
        """Do not say what it returns."""


@pytest.fixture
def clumsy(tmp_path: Path) -> Iterator[Ref[Clumsy]]:
    """Return an actor on a node that is on, which knows itself."""
    with Node(tmp_path / "node", insecure_store=True, listen=None) as node:
        made = node.create(Clumsy)
        made.tell(Clumsy.know, made)
        yield made


def ask(method: Callable[..., object], *arguments: object) -> Callable[[Ref[Clumsy]], object]:
    """Return what asks, and waits."""
    return lambda ref: ref.send_by_name(method.__name__, *arguments).get(timeout=PATIENCE)


def write_outside(ref: Ref[Clumsy]) -> None:
    """Write a field while no turn is open."""
    actor: Any = ref.ask(Clumsy.peek).get(timeout=PATIENCE)
    actor.total.add(1)


def call_ref(ref: Ref[Clumsy]) -> None:
    """Call a method as if a ref were the actor."""
    loose: Any = ref
    loose.add()


def ask_by_text(ref: Ref[Clumsy]) -> None:
    """Name a message instead of giving it."""
    loose: Any = ref
    loose.ask("add")


MISUSES: list[tuple[Callable[[Ref[Clumsy]], object], str]] = [
    (ask(Clumsy.wait_for_oneself), "tell"),
    (ask(Clumsy.store_anything), "bool"),
    (ask(Clumsy.misspell), "did you mean 'total'"),
    (ask(Clumsy.give_field), "return a plain copy"),
    (write_outside, "turn"),
    (call_ref, r"ref\.ask\(Clumsy\.add"),
    (ask_by_text, "method"),
    (lambda ref: ref.link_for(("take",)), "take cannot travel to another device"),
    (lambda ref: ref.link_for(("bare",)), "annotate what it returns"),
]


@pytest.mark.parametrize(("misuse", "fix"), MISUSES)
def test_a_misuse_is_told_with_its_fix(
    clumsy: Ref[Clumsy], misuse: Callable[[Ref[Clumsy]], object], fix: str
) -> None:
    """At once, as an error of use; nothing was written, and the actor goes on."""
    before = clumsy.snapshot()
    with pytest.raises((UsageError, AttributeError, TypeError), match=fix):
        misuse(clumsy)
    assert clumsy.snapshot() == before
    assert clumsy.ask(Clumsy.add).get(timeout=PATIENCE) == 1


def test_a_wrong_class_is_told_before_anything_is_made(tmp_path: Path) -> None:
    """A `list` where a `List` is meant: no actor is founded."""
    wrong = type("Wrong", (Actor,), {"__annotations__": {"lines": list[str]}})
    with Node(tmp_path / "node", insecure_store=True, listen=None) as node:
        with pytest.raises(UsageError, match=r"List\[T\]"):
            node.create(wrong)
        assert node.status().topics == ()
    with pytest.raises(UsageError, match=r"List\[T\]"):
        ActorType.of(wrong)
