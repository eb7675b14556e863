"""What a test holds of a shared actor: one node's replica of it, and what all agreed on.

Owns: `SimRef` and `Settled`. May not know: how the simulation runs; messages go to `Host`.
Source: API 'Testing, the same classes'.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, overload

from comity.actor.actor import Actor
from comity.actor.actor_type import ActorType
from comity.actor.changes import FieldChange, Pending
from comity.actor.facet import Facet, Interface
from comity.base.ids import CommitId, Topic
from comity_chaos.node import SimNode
from comity_chaos.replies import Reply
from comity_chaos.scene import Part

__all__ = ["Heard", "Host", "Settled", "SimRef"]

A = TypeVar("A", bound=Actor)
A_co = TypeVar("A_co", bound=Actor, covariant=True)
I = TypeVar("I", bound=Interface)  # noqa: E741  (of Interface)
R = TypeVar("R")
P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Settled:
    """What all replicas agree on once nothing is left to say.

    state: the fields as plain values. state_bytes: the same, canonical. heads: of the log.
    """

    state: Mapping[str, object]
    state_bytes: bytes
    heads: tuple[CommitId, ...]
    commits: int


class Host(Protocol):
    """What carries messages of refs: `Sim`."""

    def post(
        self,
        ref: SimRef[Any],
        method: Callable[..., Any],
        arguments: tuple[Any, ...],
        keywords: Mapping[str, Any],
        reply: Reply[Any] | None,
    ) -> None:
        """Put a message into the mailbox of a replica."""
        ...


class Heard:
    """The changes of one replica that a test has not taken yet."""

    __slots__ = ("_pending", "ended")

    def __init__(self) -> None:
        """Start with nothing heard."""
        self._pending = Pending()
        self.ended = False

    def take(self) -> tuple[FieldChange, ...]:
        """Return what changed since the last time, at most one change of a field."""
        return self._pending.take()

    @property
    def wanted(self) -> bool:
        """Whether it is listened to: as long as the node runs."""
        return True

    def tell(self, changes: Sequence[FieldChange]) -> None:
        """Take changes from the cell."""
        self._pending.add(changes)

    def end(self) -> None:
        """Learn that the cell is gone."""
        self.ended = True


class SimRef(Generic[A_co]):
    """One node's replica of the shared actor."""

    __slots__ = ("_host", "deadline", "part")

    def __init__(self, host: Host, part: Part, *, deadline: float | None = None) -> None:
        """Only `Sim` makes these. deadline: of each ask, in simulated seconds."""
        self._host = host
        self.deadline = deadline
        self.part = part

    def __repr__(self) -> str:
        """Show the type and the node."""
        return f"<{self.actor_type.name} on node {self.node.index}>"

    @property
    def node(self) -> SimNode:
        """The node that holds this replica."""
        return self.part.node

    @property
    def topic(self) -> Topic:
        """The identity of the actor."""
        return self.part.topic

    @property
    def actor_type(self) -> ActorType:
        """The checked class of the actor."""
        return self.part.actor_type

    def tell(
        self: SimRef[A],
        method: Callable[Concatenate[A, P], Any],
        /,
        *arguments: P.args,
        **keywords: P.kwargs,
    ) -> None:
        """Send a message; it is handled as the simulation runs."""
        self._host.post(self, method, arguments, keywords, None)

    @overload
    def ask(
        self: SimRef[A],
        method: Callable[Concatenate[A, P], Coroutine[Any, Any, R]],
        /,
        *arguments: P.args,
        **keywords: P.kwargs,
    ) -> Reply[R]: ...

    @overload
    def ask(
        self: SimRef[A],
        method: Callable[Concatenate[A, P], R],
        /,
        *arguments: P.args,
        **keywords: P.kwargs,
    ) -> Reply[R]: ...

    def ask(
        self, method: Callable[..., Any], /, *arguments: Any, **keywords: Any
    ) -> Reply[Any]:
        """Send a message; the reply has its `value` once the simulation ran far enough."""
        reply: Reply[Any] = Reply()
        self._host.post(self, method, arguments, keywords, reply)
        return reply

    def changes(self) -> Heard:
        """Listen to this replica from now on, as long as its node runs.

        Raises: UsageError if the node is off.
        """
        self.node.require_up()
        heard = Heard()
        self.part.cell.listen(heard)
        return heard

    def options(self, *, deadline: float | None = None) -> SimRef[A_co]:
        """Return a ref whose asks have a deadline, in simulated seconds."""
        return SimRef(self._host, self.part, deadline=deadline)

    def facet(self, interface: type[I], /) -> Facet[I]:
        """Return a ref that lets only the messages of an interface through."""
        return Facet(self, interface)

    @property
    def state(self) -> Mapping[str, object]:
        """The fields on this node now, as plain values. Raises: UsageError if it is off."""
        self.node.require_up()
        return self.part.cell.snapshot()

    @property
    def state_bytes(self) -> bytes:
        """The same as canonical bytes. Raises: UsageError if the node is off."""
        self.node.require_up()
        return self.part.cell.state_bytes()
