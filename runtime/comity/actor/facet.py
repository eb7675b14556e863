"""Facets: a ref that can do less, and one that can be taken back.

Owns: which messages a facet lets through, and whether it still does. May not know: how a
message travels; a `Carrier` brings it to the actor. An allow-list: what the interface does not
name is refused, also to who holds the method of the actor itself.

    open --revoke--> revoked: it, and every facet that was made from it, for good

Within one process this holds against mistakes and for order; code that wants to can reach
around it, as around anything in Python. What comes by a link is checked by who gave it out.
Source: API 'Capabilities'.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Mapping, Sequence
from types import FunctionType
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    ParamSpec,
    Protocol,
    TypeVar,
    overload,
    runtime_checkable,
)

from comity.actor.actor_type import ActorType
from comity.base.errors import UsageError, WorldError

if TYPE_CHECKING:
    from comity.drivers.dispatch.future import Future

__all__ = ["Carrier", "Facet", "Interface", "Revoked"]


class Interface:
    """Base of what a holder may call: methods with the signatures of the actor's.

    class Reader(Interface):
        def titles(self) -> list[str]: raise NotImplementedError
    """


I = TypeVar("I", bound=Interface)  # noqa: E741  (of Interface)
I_co = TypeVar("I_co", bound=Interface, covariant=True)
J = TypeVar("J", bound=Interface)
R = TypeVar("R")
P = ParamSpec("P")


class Revoked(WorldError):
    """The facet was taken back by who gave it; the message was not sent."""

    def __init__(self, message: str) -> None:
        """Another attempt will not do."""
        super().__init__(message, retry=False)


class Carrier(Protocol):
    """What brings messages to an actor: a ref."""

    @property
    def actor_type(self) -> ActorType:
        """The checked class of the actor."""
        ...

    def ask(
        self,
        method: Any,  # noqa: ANN401  (a ref's own overloads know more)
        /,
        *arguments: Any,
        **keywords: Any,
    ) -> Any:  # noqa: ANN401
        """Send a message; return the future of its reply."""
        ...

    def tell(
        self,
        method: Any,  # noqa: ANN401
        /,
        *arguments: Any,
        **keywords: Any,
    ) -> None:
        """Send a message and do not wait."""
        ...


@runtime_checkable
class Giver(Protocol):
    """A carrier that gives out links."""

    def link_for(self, methods: Sequence[str]) -> tuple[str, Callable[[], None]]:
        """Return a link for some messages, and what takes it back."""
        ...


class _Gate:
    """Whether messages pass."""

    __slots__ = ("is_open", "outer", "told")

    def __init__(self, outer: _Gate | None) -> None:
        self.is_open = True
        self.outer = outer
        self.told: list[Callable[[], None]] = []

    def on_revoke(self, take_back: Callable[[], None]) -> None:
        gate: _Gate | None = self
        while gate is not None:
            gate.told.append(take_back)
            gate = gate.outer

    def revoke(self) -> None:
        self.is_open = False
        told, self.told = self.told, []
        for take_back in told:
            take_back()

    def passes(self) -> bool:
        gate: _Gate | None = self
        while gate is not None:
            if not gate.is_open:
                return False
            gate = gate.outer
        return True


class Facet(Generic[I_co]):
    """A ref that lets only the messages of an interface through. Made by `Ref.facet`."""

    __slots__ = ("_allowed", "_carrier", "_gate", "_interface")

    def __init__(
        self, carrier: Carrier, interface: type[I_co], *, within: Facet[Any] | None = None
    ) -> None:
        """Check the interface against the actor, and against the facet it is made from.

        Raises: UsageError that lists what does not fit.
        """
        self._carrier = carrier
        self._interface = interface
        self._allowed = _allowed(interface, carrier.actor_type)
        if within is not None:
            self._require(within)
        self._gate = _Gate(None if within is None else within.gate)

    def __repr__(self) -> str:
        """Show the interface and the actor."""
        return f"<{self._interface.__name__} of {self._carrier!r}>"

    @overload
    def ask(
        self: Facet[I],
        method: Callable[Concatenate[I, P], Coroutine[Any, Any, R]],
        /,
        *arguments: P.args,
        **keywords: P.kwargs,
    ) -> Future[R]: ...

    @overload
    def ask(
        self: Facet[I],
        method: Callable[Concatenate[I, P], R],
        /,
        *arguments: P.args,
        **keywords: P.kwargs,
    ) -> Future[R]: ...

    def ask(
        self, method: Callable[..., Any], /, *arguments: Any, **keywords: Any
    ) -> Future[Any]:
        """Send a message of the interface; the future is its reply, as `Ref.ask`.

        Raises: UsageError if the interface has no such method; Revoked.
        """
        found: Future[Any] = self._carrier.ask(self._passed(method), *arguments, **keywords)
        return found

    def tell(
        self: Facet[I],
        method: Callable[Concatenate[I, P], Any],
        /,
        *arguments: P.args,
        **keywords: P.kwargs,
    ) -> None:
        """Send a message of the interface and do not wait, as `Ref.tell`.

        Raises: UsageError and Revoked, as `ask`.
        """
        self._carrier.tell(self._passed(method), *arguments, **keywords)

    def facet(self, interface: type[J], /) -> Facet[J]:
        """Return one that can do less still. Raises: UsageError if it could do more."""
        return Facet(self._carrier, interface, within=self)

    def revocable(self) -> tuple[Facet[I_co], Callable[[], None]]:
        """Return one that can be taken back, and what takes it back, at once and for good."""
        made = Facet(self._carrier, self._interface, within=self)
        return made, made.gate.revoke

    def link(self) -> str:
        """Return a link by which other devices send these messages: see `Node.ref`.

        Taking the facet back, or what it was made from, takes the link back.

        Raises: UsageError if a message has arguments that cannot travel; Revoked.
        """
        if not self._gate.passes():
            raise Revoked(f"{self!r} was taken back: ask its giver for another")
        if not isinstance(self._carrier, Giver):
            raise UsageError(f"{self!r} has no link: only actors of a live node do")
        text, take_back = self._carrier.link_for(self.names)
        self._gate.on_revoke(take_back)
        return text

    @property
    def gate(self) -> _Gate:
        """Whether messages pass."""
        return self._gate

    @property
    def names(self) -> tuple[str, ...]:
        """The messages that pass, sorted."""
        return tuple(sorted(function.__name__ for function in self._allowed))

    def _passed(self, method: Callable[..., Any]) -> FunctionType:
        found = self._allowed.get(method) if isinstance(method, FunctionType) else None
        if found is None:
            name = getattr(method, "__qualname__", repr(method))
            own = self._interface.__name__
            raise UsageError(
                f"{name} is not of this facet: pass a method of {own} itself, such as "
                f"{own}.{self.names[0]}"
            )
        if not self._gate.passes():
            raise Revoked(f"{self!r} was taken back: ask its giver for another")
        return found

    def _require(self, within: Facet[Any]) -> None:
        more = sorted({*self.names} - {*within.names})
        if more:
            raise UsageError(
                f"{self._interface.__name__} lets through what the facet it is made from does "
                f"not: {', '.join(more)}"
            )


def _allowed(
    interface: type[Interface], actor_type: ActorType
) -> Mapping[FunctionType, FunctionType]:
    """Map the methods of an interface to the messages of an actor."""
    wrong: list[str] = []
    found: dict[FunctionType, FunctionType] = {}
    for base in interface.__mro__:
        if base is Interface or not issubclass(base, Interface):
            continue
        for name, value in vars(base).items():
            if name.startswith("_") or not isinstance(value, FunctionType):
                continue
            message = actor_type.methods.get(name)
            if message is None:
                wrong.append(f"{name}: {actor_type.name} has no such message")
            elif not _fits(value, message):
                wrong.append(f"{name}: {actor_type.name}.{name} has other parameters")
            else:
                found[value] = message
    if wrong or not found:
        what = "\n  ".join(wrong) or "it has no methods: give it those that may pass"
        raise UsageError(
            f"{interface.__qualname__} is no facet of {actor_type.name}:\n  {what}"
        )
    return found


def _fits(wanted: FunctionType, message: FunctionType) -> bool:
    """Tell whether whatever fits one signature fits the other, names and kinds included."""
    asked = list(inspect.signature(wanted).parameters.values())[1:]
    given = list(inspect.signature(message).parameters.values())[1:]
    pairs = zip(asked, given, strict=False)
    same = all((a.name, a.kind) == (b.name, b.kind) for a, b in pairs)
    optional = all(
        a.default is a.empty or b.default is not b.empty
        for a, b in zip(asked, given, strict=False)
    )
    rest = given[len(asked) :]
    return (
        same
        and optional
        and len(asked) <= len(given)
        and all(each.default is not each.empty for each in rest)
    )
