"""What a node knows of an actor class: its schema and its messages.

Owns: the check of a class at first use, with every error reported together, and the table
that makes a method its own selector. May not know: instances, cells, nodes.
Selectors resolve by identity: only a function that the class (or a base of it below `Actor`)
defines, and whose name does not start with '_', can be sent.
Source: API 'A whole application', 'Capabilities' (an allow-list).
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any, ClassVar, cast

from comity.actor.actor import Actor
from comity.actor.changes import REACTS_TO
from comity.actor.message import Message
from comity.actor.reminding import Reminders
from comity.actor.supervision import Supervise
from comity.base.errors import UsageError
from comity.crdt.schema import FieldOptions, Schema

__all__ = ["ActorType"]

_HOOKS = frozenset(name for name in vars(Actor) if name.startswith("on_"))
_SERVICES = frozenset(
    name
    for name, value in vars(Actor).items()
    if not name.startswith(("__", "on_")) and isinstance(value, FunctionType | property)
)


class ActorType:
    """A checked actor class. Made once per class by `ActorType.of`."""

    __slots__ = (
        "_functions", "cls", "methods", "name", "reactions", "reminders", "schema",
    )  # fmt: skip

    _made: ClassVar[dict[type[Actor], ActorType]] = {}

    def __init__(self, cls: type[Actor]) -> None:
        """Check the class and install the descriptors of its fields.

        Raises: UsageError naming every wrong annotation and method, with the fix of each.
        """
        self.cls = cls
        self.name = cls.comity_name
        wrong = _misuses(cls)
        try:
            self.schema = Schema.from_hints(cls.__qualname__, _field_hints(cls), _options(cls))
        except UsageError as error:
            raise UsageError("\n  ".join((str(error), *wrong))) from None
        wrong += _misplaced_reactions(cls, [each.name for each in self.schema.fields])
        if wrong:
            raise UsageError(f"{cls.__qualname__} cannot run:\n  " + "\n  ".join(wrong))
        self.schema.install(cls)
        self.reminders = _reminders(_field_hints(cls))
        self._functions = _message_functions(cls)
        self.reactions = _reactions(cls)
        self.methods: Mapping[str, FunctionType] = dict(self._functions.values())

    @classmethod
    def of(cls, actor_class: type[Actor]) -> ActorType:
        """Return the type of a class, checked at its first use."""
        made = cls._made.get(actor_class)
        if made is None:
            if not _is_actor_class(actor_class):
                raise UsageError(
                    f"{actor_class!r} is not an actor class: derive it from comity.Actor"
                )
            made = cls._made[actor_class] = cls(actor_class)
        return made

    def message(
        self,
        selector: Callable[..., Any],
        arguments: tuple[Any, ...],
        keywords: Mapping[str, Any],
    ) -> Message:
        """Make a message from a method of the class and its arguments.

        Raises: UsageError if `selector` is not a message of this class, or the arguments do
        not fit its signature.
        """
        found = self._functions.get(selector) if isinstance(selector, FunctionType) else None
        if found is None:
            raise UsageError(self._not_a_message(selector))
        name, _ = found
        try:
            _signature(self.methods[name]).bind(None, *arguments, **keywords)
        except TypeError as error:
            raise UsageError(f"{self.name}.{name}: {error}") from None
        return Message(name, arguments, keywords) if keywords else Message(name, arguments)

    def parameters(self, method: str) -> list[inspect.Parameter]:
        """Return the parameters of a message, without self.

        Raises: UsageError if the actor has no such message; it lists those that exist.
        """
        function = self.methods.get(method)
        if function is None:
            names = ", ".join(sorted(self.methods)) or "none"
            raise UsageError(
                f"{self.name} has no message {method!r}; its messages are: {names}"
            )
        return list(_signature(function).parameters.values())[1:]

    def check_child(self) -> None:
        """Raise if the class cannot be a child. Raises: UsageError with the fix."""
        if self.schema.fields:
            names = ", ".join(each.name for each in self.schema.fields)
            raise UsageError(
                f"a child lives on this device only, and {self.name} has replicated fields "
                f"({names}): make it with node.create({self.name}) and give its ref to the "
                "actor, or keep plain attributes"
            )

    def _not_a_message(self, selector: object) -> str:
        if isinstance(selector, str) and selector in self.methods:
            own = f"{self.cls.__name__}.{selector}"
            return f"{selector!r} is a text: pass a method of the class itself, such as {own}"
        name = getattr(selector, "__qualname__", None) or repr(selector)
        fix = f"pass a method of the class itself, such as {self.cls.__name__}.{self._any()}"
        if getattr(selector, "__name__", "").startswith("_"):
            return f"{name} is private and cannot be sent: {fix}"
        return f"{name} is not a message of {self.cls.__name__}: {fix}"

    def _any(self) -> str:
        return min(self.methods, default="method")


def _is_actor_class(candidate: object) -> bool:
    return inspect.isclass(candidate) and issubclass(candidate, Actor)


_signatures: dict[FunctionType, inspect.Signature] = {}


def _signature(function: FunctionType) -> inspect.Signature:
    found = _signatures.get(function)
    if found is None:
        found = _signatures[function] = inspect.signature(function)
    return found


def _field_hints(cls: type[Actor]) -> dict[str, Any]:
    """Resolve the annotations of the class and its bases below Actor, in order of bases."""
    hints: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if base is Actor or not issubclass(base, Actor):
            continue
        own = inspect.get_annotations(base)
        if not own:
            continue
        try:
            resolved = typing.get_type_hints(base, include_extras=True)
        except (AttributeError, NameError) as error:
            raise UsageError(
                f"{base.__qualname__}: an annotation names something unknown ({error}): "
                "import it at the top of the module, not under TYPE_CHECKING"
            ) from None
        except (SyntaxError, TypeError) as error:
            raise UsageError(
                f"{base.__qualname__}: an annotation is not a type ({error}): write it like "
                "Register[str]"
            ) from None
        hints.update({name: resolved[name] for name in own if not _is_plain(resolved[name])})
    return hints


def _is_plain(hint: object) -> bool:
    return typing.get_origin(hint) is ClassVar or hint is ClassVar


def _options(cls: type[Actor]) -> dict[str, FieldOptions]:
    return {
        name: value
        for base in reversed(cls.__mro__)
        for name, value in vars(base).items()
        if isinstance(value, FieldOptions)
    }


def _reminders(hints: Mapping[str, Any]) -> str:
    """Return the name of the field that keeps reminders, empty if there is none."""
    found = [name for name, hint in hints.items() if hint is Reminders]
    if len(found) > 1:
        raise UsageError(f"{found[0]} and {found[1]} are both Reminders: one keeps them all")
    return found[0] if found else ""


def _message_functions(cls: type[Actor]) -> dict[FunctionType, tuple[str, FunctionType]]:
    """Map every function that may select a message to its name and what runs for it."""
    found: dict[FunctionType, tuple[str, FunctionType]] = {}
    for base in cls.__mro__:
        if base is Actor or not issubclass(base, Actor):
            continue
        for name, value in vars(base).items():
            if name.startswith("_") or not isinstance(value, FunctionType):
                continue
            runs = getattr(cls, name)
            if name not in _HOOKS and isinstance(runs, FunctionType):
                found[value] = (name, runs)
    return found


_TAKEN = "every actor has something of this name already (see help(Actor)): take another"


def _reacting(cls: type[Actor]) -> list[tuple[str, FunctionType]]:
    """Return the methods of a class that `on_change` marked, in the order of their names."""
    found = [(name, getattr(cls, name)) for name in sorted(dir(cls))]
    return [(name, each) for name, each in found if hasattr(each, REACTS_TO)]


def _reactions(cls: type[Actor]) -> dict[str, list[tuple[str, bool]]]:
    """Map each field to the methods that react to it, and whether they take the change."""
    found: dict[str, list[tuple[str, bool]]] = {}
    for name, function in _reacting(cls):
        takes_change = len(_signature(function).parameters) > 1
        for field in getattr(function, REACTS_TO):
            found.setdefault(field, []).append((name, takes_change))
    return found


def _misplaced_reactions(cls: type[Actor], fields: list[str]) -> list[str]:
    """Say which methods react to what is no field, or cannot be called with a change."""
    wrong: list[str] = []
    for name, function in _reacting(cls):
        unknown = [each for each in getattr(function, REACTS_TO) if each not in fields]
        if unknown:
            known = ", ".join(fields) or "none"
            wrong.append(f"{name}: {unknown[0]!r} is no field; the fields are: {known}")
        try:
            parameters = len(_signature(function).parameters)
            _signature(function).bind(*(None,) * min(parameters, 2))
        except TypeError:
            wrong.append(f"{name}: it reacts to a change, so it takes self and the change")
        if inspect.iscoroutinefunction(function):
            wrong.append(f"{name}: write 'def', not 'async def': tell a message that waits")
    return wrong


def _misuses(cls: type[Actor]) -> list[str]:
    """Say what would be dropped or would never run: values of fields, handlers that wait."""
    wrong: dict[str, str] = {}
    for base in cls.__mro__:
        if base is Actor or not issubclass(base, Actor):
            continue
        hints = inspect.get_annotations(base)
        wrong.update({name: _TAKEN for name in hints if name in _SERVICES})
        for name, value in vars(base).items():
            if name.startswith("__") or isinstance(value, FieldOptions):
                continue
            if name in _SERVICES:
                wrong.setdefault(name, _TAKEN)
            elif name in hints and not _is_class_variable(hints[name]):
                wrong.setdefault(name, _shadowed(value))
            elif name not in hints and (fix := _not_annotated(name, value)):
                wrong.setdefault(name, fix)
            elif isinstance(value, FunctionType) and getattr(cls, name) is value:
                fix = _endless(value, is_hook=name in _HOOKS)
                if fix is not None and (name in _HOOKS or not name.startswith("_")):
                    wrong.setdefault(name, fix)
    policy = cast("object", cls.supervise)
    if policy is not None and not isinstance(policy, Supervise):
        wrong["supervise"] = f"{policy!r} is no policy: use Restart(), Stop() or Escalate()"
    return [f"{name}: {fix}" for name, fix in wrong.items()]


def _is_class_variable(hint: object) -> bool:
    """Tell by an annotation that may still be text; if it does not resolve, it fails later."""
    return "ClassVar" in hint if isinstance(hint, str) else _is_plain(hint)


def _not_annotated(name: str, value: object) -> str | None:
    """Say what a value in the class body was probably meant to be, if it looks like a field."""
    origin = typing.get_origin(value) or value
    if isinstance(origin, type) and origin.__module__.startswith("comity.crdt."):
        return f"write `{name}: {origin.__name__}`, with a colon"
    kind = type(value).__name__
    if kind in {"list", "dict", "set", "bytearray"}:
        return (
            f"a {kind} here would be one for all actors, and of this device only: declare a "
            "field, annotate it ClassVar, or set it in on_start"
        )
    return None


def _shadowed(value: object) -> str:
    if isinstance(value, FunctionType):
        return "is a field and a method: give one of them another name"
    return f"a field takes no plain value: write field(default={value!r}), or leave it out"


def _endless(function: FunctionType, *, is_hook: bool) -> str | None:
    """Say why a function does not run to its end when it is called, if it does not."""
    if is_hook and inspect.iscoroutinefunction(function):
        return "write 'def', not 'async def': a hook waits for nothing; tell a message from it"
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        return "nothing would run it to its end: return a list, do not yield"
    return None
