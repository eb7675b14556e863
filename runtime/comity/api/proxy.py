"""`Proxy`: an actor that is called like an object, as pykka has it; within this process only.

Owns: nothing; each call is an `ask`. May not know: attributes. Unlike pykka's it reaches
messages alone: no fields, no private names, nothing can be set.
Source: API 'A whole application' (pykka's names and habits).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from comity.base.errors import UsageError

if TYPE_CHECKING:
    from types import FunctionType

    from comity.api.ref import Ref
    from comity.drivers.dispatch.future import Future

__all__ = ["CallableProxy", "Proxy"]


class CallableProxy:
    """One message of one actor: call it to ask, `defer` to tell."""

    __slots__ = ("_method", "_ref")

    def __init__(self, ref: Ref[Any], method: FunctionType) -> None:
        """Only proxies make these."""
        self._ref = ref
        self._method = method

    def __call__(self, *arguments: Any, **keywords: Any) -> Future[Any]:
        """Ask: return the future of the reply."""
        return self._ref.ask(self._method, *arguments, **keywords)

    def defer(self, *arguments: Any, **keywords: Any) -> None:
        """Tell: do not wait for a reply."""
        self._ref.tell(self._method, *arguments, **keywords)


class Proxy:
    """What `Ref.proxy` returns: `proxy.add("milk")` is `ref.ask(Todo.add, "milk")`."""

    __slots__ = ("_ref",)

    _ref: Ref[Any]

    def __init__(self, ref: Ref[Any]) -> None:
        """Only refs make these."""
        object.__setattr__(self, "_ref", ref)

    def __repr__(self) -> str:
        """Show the actor."""
        return f"<Proxy of {self._ref!r}>"

    def __getattr__(self, name: str) -> CallableProxy:
        """Return a message. Raises: AttributeError that lists those there are."""
        actor_type = self._ref.actor_type
        method = actor_type.methods.get(name)
        if method is None:
            names = ", ".join(sorted(actor_type.methods)) or "none"
            raise AttributeError(
                f"{actor_type.name} has no message {name!r}; its messages are: {names}"
            )
        return CallableProxy(self._ref, method)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        """Refuse: what belongs to an actor is set in its turns."""
        raise UsageError(f"{name} cannot be set from outside: send a message that sets it")
