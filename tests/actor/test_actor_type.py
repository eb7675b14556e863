"""An actor class is checked at its first use: each misuse has an error that names the fix."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, ClassVar, Final, cast

import pytest

from comity import Actor, Counter, Map, Register, Set
from comity.actor.actor_type import ActorType
from comity.actor.message import Message
from comity.base.errors import UsageError
from comity.crdt.schema import field


class Todo(Actor):
    """What the tests send messages to."""

    kinds: ClassVar[tuple[str, ...]] = ("home", "work")
    items: Map[str, bool]
    done: Counter

    def add(self, what: str, *, urgent: bool = False) -> int:
        """Add an item."""
        self.items[what] = urgent
        return len(self.items)

    def finish(self, what: str) -> None:
        """Finish one."""
        self._count(what)

    def _count(self, what: str) -> None:
        del self.items[what]
        self.done += 1

    @staticmethod
    def version() -> int:
        """Belong to the class, not to an actor."""
        return 1

    @property
    def left(self) -> int:
        """Be read, not sent."""
        return len(self.items)


class Urgent(Todo):
    """Overrides one message, adds one, and a field."""

    flags: Set[str]

    def add(self, what: str, *, urgent: bool = True) -> int:
        """Add and flag an item."""
        self.flags.add(what)
        return super().add(what, urgent=urgent)

    def flag(self, what: str) -> None:
        """Flag one."""
        self.flags.add(what)


def misuse(cls: type[Actor]) -> str:
    """Return what a class is refused with."""
    with pytest.raises(UsageError) as caught:
        ActorType.of(cls)
    return str(caught.value)


def declare(hints: dict[str, object], **body: object) -> type[Actor]:
    """Make the class `Wrong` that a class statement with these annotations would make.

    Hints that are text stand for those of a module with postponed annotations.
    """
    names = {"__module__": __name__, "__qualname__": "Wrong", "__annotations__": hints}
    return type("Wrong", (Actor,), {**names, **body})


async def wait(_self: Actor) -> None:
    """Wait for something."""
    await asyncio.sleep(0)


async def wait_for_each(_self: Actor) -> AsyncIterator[int]:
    """Wait, and yield."""
    yield 1


def give_each(_self: Actor) -> Iterator[int]:
    """Yield."""
    yield 1


NAMELESS: Final[Callable[[Todo], int]] = lambda actor: actor.left  # noqa: E731  (it is one)


# ---------------------------------------------------------------------------- fields

WRONG_FIELDS: Final[list[tuple[type[Actor], str]]] = [
    (
        declare({"tags": list[str]}),
        "tags: list[str] is not a replicated type: use comity's List[T], or Register[tuple",
    ),
    (declare({"tags": "set[str]"}), "tags: set[str] is not a replicated type: use Set[T]"),
    (
        declare({"total": int}),
        "total: int is not a replicated type: use Counter if it is added",
    ),
    (
        declare({"lines": "dict[str, int]"}),
        "lines: dict[str, int] is not a replicated type: use",
    ),
    (declare({"title": Register}), "title: Register must say what is in it: Register[T]"),
    (declare({"tags": "Set"}), "tags: Set must say what is in it: Set[T]"),
    (declare({"items": "Map[str]"}), "items: Map must say what is in it: Map[K, V]"),
    (
        declare({"owner": "Register[Unseen]"}),
        "(name 'Unseen' is not defined): import it at the top of the module, not under TYPE_CH",
    ),
    (
        declare({"owner": "Register[inspect.Missing]"}),
        "has no attribute 'Missing'): import it at the top of the module",
    ),
    (declare({"owner": "Register["}), "): write it like Register[str]"),
    (declare({"owner": "Map[str, 3 + None]"}), "): write it like Register[str]"),
    (
        declare({"title": "Register[str]"}, title="untitled"),
        "title: a field takes no plain value: write field(default='untitled'), or leave it out",
    ),
    (
        declare({"total": Counter}, total=give_each),
        "total: is a field and a method: give one of them another name",
    ),
    (declare({}, total=Counter), "total: write `total: Counter`, with a colon"),
    (declare({}, tags=Set[str]), "tags: write `tags: Set`, with a colon"),
    (declare({}, seen=[]), "seen: a list here would be one for all actors"),
    (
        declare({}, title=field(default="x")),
        "title: has options but no annotation: write title: Register[...] = field(...)",
    ),
]


@pytest.mark.parametrize(("cls", "text"), WRONG_FIELDS)
def test_a_wrong_field_is_named_with_its_fix(cls: type[Actor], text: str) -> None:
    """The error names the class, the field, what it says and what it should; twice the same."""
    said = misuse(cls)
    assert said.startswith("Wrong")
    assert text in said
    assert misuse(cls) == said


# ---------------------------------------------------------------------------- methods


ENDLESS: Final = "nothing would run it to its end: return a list, do not yield"
WAITLESS: Final = ("on_create", "on_start", "on_stop", "on_failure")


@pytest.mark.parametrize(
    ("name", "function", "fix"),
    [
        *[(name, wait_for_each, ENDLESS) for name in ("fetch", *WAITLESS)],
        *[(name, give_each, ENDLESS) for name in ("fetch", *WAITLESS)],
        *[(name, wait, "write 'def', not 'async def': a hook waits") for name in WAITLESS],
    ],
)
def test_what_would_never_run_is_refused(
    name: str, function: Callable[..., object], fix: str
) -> None:
    """A handler whose call only makes a generator is refused, and a hook that waits."""
    said = misuse(declare({}, **{name: function}))
    assert said.startswith(f"Wrong cannot run:\n  {name}: {fix}")


def test_a_handler_may_wait() -> None:
    """`async def` makes a message like any other."""
    assert "fetch" in ActorType.of(declare({}, fetch=wait)).methods


@pytest.mark.parametrize(
    "name", ["now", "random", "sleep", "run", "io", "after", "every", "_own"]
)
def test_what_every_actor_has_is_not_redefined(name: str) -> None:
    """A field or a method that hides a service is refused, with the reason."""
    taken = f"{name}: every actor has something of this name already"
    assert taken in misuse(declare({name: Counter}))
    assert taken in misuse(declare({}, **{name: Todo.add}))


def test_all_errors_come_together() -> None:
    """One look tells every wrong field and every wrong method, of a class and its bases."""
    base = declare({"tags": list[str]}, load=give_each)
    wrong = type(
        "Worse",
        (base,),
        {
            "__annotations__": {"title": Register, "size": Counter},
            "__qualname__": "Worse",
            "size": 3,
            "fetch": give_each,
        },
    )
    lines = misuse(wrong).splitlines()
    assert [line.strip().partition(":")[0] for line in lines] == [
        "Worse cannot be replicated",
        "tags",
        "title",
        "size",
        "fetch",
        "load",
    ]


def test_only_what_runs_is_judged() -> None:
    """A private helper may yield; what a subclass replaced does not count against it."""
    base = declare({}, load=give_each)

    def load(_self: Actor) -> None:
        """Replace it."""

    fine = type("Fine", (base,), {"load": load, "_pieces": give_each, "_wait": wait})
    assert list(ActorType.of(fine).methods) == ["load"]
    assert "load: nothing would run it" in misuse(base)


# ---------------------------------------------------------------------------- classes and names


def test_a_type_is_made_once() -> None:
    """Every use of one class gets the same checked type; a subclass has its own."""
    assert ActorType.of(Todo) is ActorType.of(Todo)
    assert ActorType.of(Todo).cls is Todo
    assert ActorType.of(Urgent) is not ActorType.of(Todo)


@pytest.mark.parametrize(
    "wrong", [3, None, "Todo", int, Todo()], ids=["3", "None", "str", "int", "instance"]
)
def test_only_actor_classes_have_a_type(wrong: object) -> None:
    """A value, another class, or an instance is refused with the fix."""
    with pytest.raises(
        UsageError, match=r"is not an actor class: derive it from comity\.Actor"
    ):
        ActorType.of(cast("type[Actor]", wrong))


def test_a_type_is_named_by_its_class_or_by_keyword() -> None:
    """`name=` is what other devices know; a subclass does not inherit it."""

    class Shopping(Actor, name="org.example.shopping"):
        pass

    class Groceries(Shopping):
        pass

    assert ActorType.of(Shopping).name == "org.example.shopping"
    assert ActorType.of(Groceries).name == "Groceries"
    assert ActorType.of(Todo).name == "Todo"


@pytest.mark.parametrize("name", ["", "x" * 256, "é" * 128])
def test_a_name_has_1_to_255_bytes(name: str) -> None:
    """Another length, counted in UTF-8, is refused when the class is made."""
    with pytest.raises(UsageError, match=rf"Bad.* 1 to 255 bytes, not {len(name.encode())}$"):
        type("Bad", (Actor,), {}, name=name)
    assert ActorType.of(type("Good", (Actor,), {}, name=name[1:] or "x")).name


def test_other_class_keywords_go_on() -> None:
    """A mixin's own keyword reaches it; an unknown one is Python's TypeError."""
    seen: list[str] = []

    class Mixin:
        def __init_subclass__(cls, *, colour: str = "", **keywords: Any) -> None:
            super().__init_subclass__(**keywords)
            seen.append(colour)

    class Mixed(Actor, Mixin, name="mixed", colour="red"):
        def look(self) -> None:
            """Be a message."""

    assert seen == ["red"]
    assert list(ActorType.of(Mixed).methods) == ["look"]
    with pytest.raises(TypeError, match="takes no keyword arguments"):
        type("Wrong", (Actor,), {}, colour="red")


def test_an_instance_outside_a_cell_has_no_fields() -> None:
    """Calling the class makes no actor: reading and writing a field say what does."""
    ActorType.of(Todo)
    with pytest.raises(UsageError, match=r"node\.create\(Todo\)"):
        len(Todo().items)
    with pytest.raises(UsageError, match=r"node\.create\(Todo\)"):
        Todo().add("milk")
    with pytest.raises(UsageError, match=r"node\.create\(Todo\)"):
        setattr(Todo(), "items", {})  # noqa: B010  (the field's own setter)


def test_class_variables_are_not_replicated() -> None:
    """The schema has the fields alone, those of the bases first."""
    assert [each.name for each in ActorType.of(Todo).schema.fields] == ["items", "done"]
    names = [each.name for each in ActorType.of(Urgent).schema.fields]
    assert names == ["items", "done", "flags"]


# ---------------------------------------------------------------------------- messages


def message(
    selector: Callable[..., Any], *arguments: Any, cls: type[Actor] = Todo, **keywords: Any
) -> Message:
    """Make a message of a class."""
    return ActorType.of(cls).message(selector, arguments, keywords)


def test_a_method_is_its_own_selector() -> None:
    """Arguments and keywords are kept as they were given."""
    assert message(Todo.add, "milk") == Message("add", ("milk",))
    assert message(Todo.add, "milk", urgent=True) == Message("add", ("milk",), {"urgent": True})
    assert message(Todo.finish, what="milk") == Message("finish", (), {"what": "milk"})


@pytest.mark.parametrize(
    ("selector", "name"),
    [
        (NAMELESS, "<lambda> is not a message of Todo"),
        (len, "len is not a message of Todo"),
        (misuse, "misuse is not a message of Todo"),
        (Urgent.flag, "Urgent.flag is not a message of Todo"),
        (Todo.on_start, "Actor.on_start is not a message of Todo"),
        (Todo.version, "Todo.version is not a message of Todo"),
        (Todo().add, "Todo.add is not a message of Todo"),
        (functools.partial(Todo.add, what="x"), "is not a message of Todo"),
        ("add", "'add' is a text"),
        ("ad", "'ad' is not a message of Todo"),
        (Todo.left, "is not a message of Todo"),
        (Todo._count, "Todo._count is private and cannot be sent"),
        (Todo.__init__, "Actor.__init__ is private and cannot be sent"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_anything_else_is_no_message(selector: object, name: str) -> None:
    """A lambda, a foreign or bound or private function, a hook: refused, with an example."""
    with pytest.raises(UsageError) as caught:
        message(cast("Callable[..., object]", selector))
    said = str(caught.value)
    assert name in said
    assert said.endswith(": pass a method of the class itself, such as Todo.add")


@pytest.mark.parametrize(
    ("arguments", "keywords", "text"),
    [
        ((), {}, "missing a required argument: 'what'"),
        (("milk", "eggs"), {}, "too many positional arguments"),
        (("milk",), {"soon": True}, "got an unexpected keyword argument 'soon'"),
        (("milk",), {"what": "eggs"}, "multiple values for argument 'what'"),
    ],
)
def test_wrong_arguments_are_told_to_the_sender(
    arguments: tuple[Any, ...], keywords: dict[str, Any], text: str
) -> None:
    """They do not fit the signature: the sender learns it, not the actor."""
    with pytest.raises(UsageError, match=rf"^Todo\.add: {text}$"):
        ActorType.of(Todo).message(Todo.add, arguments, keywords)


def test_an_override_runs_whichever_class_is_named() -> None:
    """As with any method call, the class of the actor decides what runs."""
    urgent = ActorType.of(Urgent)
    for selector in (Todo.add, Urgent.add):
        assert message(selector, "milk", cls=Urgent) == Message("add", ("milk",))
    assert urgent.methods["add"] is Urgent.add
    assert urgent.methods["finish"] is Todo.finish
    assert sorted(urgent.methods) == ["add", "finish", "flag"]
    assert ActorType.of(Todo).methods["add"] is Todo.add


def test_an_override_decides_which_arguments_fit() -> None:
    """The signature that counts is that of what will run."""

    class Wider(Todo):
        def add(self, what: str, *, urgent: bool = False, where: str = "") -> int:
            """Take one more."""
            return super().add(what + where, urgent=urgent)

    made = message(Todo.add, "milk", cls=Wider, where="shop")
    assert made.keywords == {"where": "shop"}


def test_what_a_subclass_takes_away_cannot_be_sent() -> None:
    """A message that a subclass replaced by something else is none of its messages."""
    less = type("Less", (Todo,), {"finish": None})
    assert sorted(ActorType.of(less).methods) == ["add"]
    with pytest.raises(UsageError, match=r"Todo\.finish is not a message of Less"):
        message(Todo.finish, "milk", cls=less)


def test_a_mixin_gives_no_messages() -> None:
    """Only what is defined on an Actor subclass can be sent: an allow-list, not a search."""

    class Mixin:
        def wipe(self) -> None:
            """Be anything."""

    class Mixed(Mixin, Actor):
        pass

    assert dict(ActorType.of(Mixed).methods) == {}
    with pytest.raises(UsageError, match=r"such as Mixed\.method$"):
        message(Mixed.wipe, cls=Mixed)


def test_parameters_are_told_by_name() -> None:
    """A command line asks by name; an unknown one is answered with those that exist."""
    found = ActorType.of(Todo).parameters("add")
    assert [(each.name, each.default) for each in found] == [
        ("what", inspect.Parameter.empty),
        ("urgent", False),
    ]
    with pytest.raises(
        UsageError, match="Todo has no message '_count'; its messages are: add, finish"
    ):
        ActorType.of(Todo).parameters("_count")

    class Empty(Actor):
        pass

    with pytest.raises(UsageError, match="its messages are: none"):
        ActorType.of(Empty).parameters("add")


HOOKS: Final = ("on_create", "on_failure", "on_start", "on_stop")


@pytest.mark.parametrize("hook", HOOKS)
def test_hooks_are_not_messages(hook: str) -> None:
    """Neither Actor's own nor an override of one can be sent."""

    def override(_self: Actor, *_: object) -> None:
        """Do nothing."""

    cls: type[Actor] = type("Hooked", (Actor,), {hook: override})
    assert hook not in ActorType.of(cls).methods
    with pytest.raises(UsageError, match="is not a message"):
        message(override, cls=cls)
