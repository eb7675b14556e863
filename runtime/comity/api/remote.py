"""`RemoteRef`: how an application speaks to an actor of which this node holds no replica.

Owns: the typed surface of tell, ask and send to another device, and receipts. May not know: how
a message travels. What may be sent is a method of the interface, or of the actor's class, that
the link was made for; the device that has the actor checks it again.
Source: API 'Capabilities'; PROTOCOL section 7; decision 27.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from collections.abc import Set as AbstractSet
from functools import partial
from types import FunctionType
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from comity.actor.awaiting import Unknown
from comity.actor.parcel import Parcels
from comity.actor.timers import nanoseconds
from comity.base.clock import MILLISECOND, Wall
from comity.base.endings import Ending
from comity.base.errors import UsageError
from comity.base.ids import DeviceId, short
from comity.drivers.dispatch.doorway import chain_name
from comity.drivers.dispatch.future import Future
from comity.drivers.dispatch.pool import worker_here
from comity.drivers.mailroom import settle
from comity.drivers.system import SystemClock
from comity.node.effects import Progress, Stage
from comity.protocol.capability import format_link
from comity.protocol.envelope import NO_DEADLINE, CallHead

if TYPE_CHECKING:
    from comity.api.node import Node
    from comity.protocol.capability import RefLink

__all__ = ["FarFuture", "Receipt", "RemoteRef"]

S = TypeVar("S")
S_co = TypeVar("S_co", covariant=True)
R = TypeVar("R")
P = ParamSpec("P")


class FarFuture(Future[Any]):
    """The reply of an actor on another device. far: what it is called in chains of waits."""

    __slots__ = ("_parcels", "far")

    def __init__(self, parcels: Parcels, far: bytes) -> None:
        """Read the reply by the declaration of the message."""
        super().__init__()
        self._parcels = parcels
        self.far = far

    def progressed(self, progress: Progress) -> bool:
        """Take the reply."""
        if progress.stage is not Stage.ENDED:
            return False
        if progress.ending is Ending.LATE:
            late: Exception = Unknown(f"no reply to {self.subject}: it came after its deadline")
            settle(self, None, late)
        else:
            settle(self, *self._parcels.open_reply(progress.ending, progress.body))
        return True


class Receipt:
    """How far a message has come that was sent with `send`."""

    __slots__ = ("_device", "_queued", "_taken")

    def __init__(self, device: DeviceId) -> None:
        """Wait for news."""
        self._device = device
        self._queued: Future[None] = Future()
        self._taken: Future[None] = Future()

    def queued(self) -> Future[None]:
        """Return the future of the moment when it is durable here: it cannot be lost then."""
        return self._queued

    def delivered(self, on: AbstractSet[bytes] | None = None) -> Future[None]:
        """Return the future of the moment when its effect is durable on the other device.

        on: devices; the one that the message goes to, if given.

        Raises: UsageError for any other device.
        """
        if on is not None and {*on} != {self._device}:
            raise UsageError(
                f"the message goes to device {short(self._device)} alone: name that, or none"
            )
        return self._taken

    def settled(self, *, timeout: float | None = None) -> None:
        """Wait until its effect is durable. timeout: seconds.

        Raises: ReplyTimeout; why the node stopped.
        """
        self._taken.get(timeout=timeout)

    def progressed(self, progress: Progress) -> bool:
        """Take news."""
        if not self._queued.done():
            settle(self._queued, None, None)
        if progress.stage is Stage.TAKEN:
            settle(self._taken, None, None)
        return progress.stage is Stage.TAKEN

    def fail(self, error: Exception) -> None:
        """The node has stopped."""
        settle(self._queued, None, error)
        settle(self._taken, None, error)


class RemoteRef(Generic[S_co]):
    """An actor, or what a facet lets through of one, on another device. Made by `Node.ref`."""

    __slots__ = ("_deadline", "_heads", "_interface", "_link", "_node")

    def __init__(
        self,
        node: Node,
        interface: type[S_co],
        link: RefLink,
        *,
        deadline: float | None = None,
    ) -> None:
        """Only nodes make refs. deadline: of each ask, in seconds."""
        self._node = node
        self._interface = interface
        self._link = link
        self._deadline = deadline
        self._heads: dict[Callable[..., Any], tuple[Parcels, CallHead, CallHead]] = {}

    def __repr__(self) -> str:
        """Show what it is, and where."""
        device = short(self._link.device)
        return f"<{self._interface.__name__} {short(self._link.topic)} on device {device}>"

    @property
    def topic(self) -> bytes:
        """The actor's id."""
        return self._link.topic

    @property
    def device(self) -> DeviceId:
        """The device that has the actor."""
        return self._link.device

    @property
    def interface(self) -> type[S_co]:
        """What may be sent: the actor's class or an `Interface`."""
        return self._interface

    def link(self) -> str:
        """Return the link that it was made from."""
        return format_link(self._link)

    def is_of(self, node: Node) -> bool:
        """Tell whether it sends from this node."""
        return self._node is node

    @overload
    def ask(
        self: RemoteRef[S],
        method: Callable[Concatenate[S, P], Coroutine[Any, Any, R]],
        /,
        *arguments: P.args,
        **keywords: P.kwargs,
    ) -> Future[R]: ...

    @overload
    def ask(
        self: RemoteRef[S],
        method: Callable[Concatenate[S, P], R],
        /,
        *arguments: P.args,
        **keywords: P.kwargs,
    ) -> Future[R]: ...

    def ask(
        self, method: Callable[..., Any], /, *arguments: Any, **keywords: Any
    ) -> Future[Any]:
        """Send a message; the future is its reply.

        The message is stored first, and sent until it is handled, once. The future ends as the
        value; as an error that the message declares; as RemoteError for any other; as Unknown
        if a deadline passed (`options`).

        Raises: UsageError if the method is none of the interface, or an argument is not as
            declared; MailboxFull if more waits for the other device than may.
        """
        parcels, _, asking = self._head(method)
        body = parcels.pack(arguments, keywords)
        head = asking
        chain = self._node.chain_here()
        deadline = self._deadline
        if chain or deadline is not None:
            wall = NO_DEADLINE if deadline is None else _wall_in(deadline)
            head = CallHead(asking.grant, asking.method, asking.shape, True, wall, chain)  # noqa: FBT003
        future = FarFuture(parcels, chain_name(self._link.device, self._link.topic))
        future.subject = asking.method
        if deadline is not None:
            late = Unknown(f"no reply to {asking.method} within {deadline:g} seconds")
            self._node.expire_after(deadline, partial(future.expire, late))
        self._node.mailroom.post(self._link.device, head, body, future)
        return future

    def tell(
        self: RemoteRef[S],
        method: Callable[Concatenate[S, P], Any],
        /,
        *arguments: P.args,
        **keywords: P.kwargs,
    ) -> None:
        """Send a message and do not wait: it is stored soon, and then sent until it is handled.

        Raises: as `ask`.
        """
        parcels, telling, _ = self._head(method)
        body = parcels.pack(arguments, keywords)
        self._node.mailroom.post(self._link.device, telling, body)

    def send(
        self: RemoteRef[S],
        method: Callable[Concatenate[S, P], Any],
        /,
        *arguments: P.args,
        **keywords: P.kwargs,
    ) -> Receipt:
        """Send a message; return its receipt once it is stored, so that it cannot be lost.

        In an actor or an asyncio loop it returns at once: await `receipt.queued()` there.

        Raises: as `ask`.
        """
        parcels, telling, _ = self._head(method)
        body = parcels.pack(arguments, keywords)
        receipt = Receipt(self._link.device)
        self._node.mailroom.post(self._link.device, telling, body, receipt)
        if worker_here() is None and self._node.mailroom.may_wait():
            receipt.queued().get()
        return receipt

    def options(self, *, deadline: float | None = None) -> RemoteRef[S_co]:
        """Return a ref whose asks have a deadline, in seconds; then their reply is Unknown.

        A message that has not begun by then, by the clocks of both devices, is not begun.

        Raises: UsageError if the time is negative.
        """
        if deadline is not None:
            nanoseconds(deadline)
        return RemoteRef(self._node, self._interface, self._link, deadline=deadline)

    def _head(self, method: Callable[..., Any]) -> tuple[Parcels, CallHead, CallHead]:
        found = self._heads.get(method)
        if found is None:
            found = self._heads[method] = self._new_head(method)
        return found

    def _new_head(self, method: Callable[..., Any]) -> tuple[Parcels, CallHead, CallHead]:
        name = getattr(method, "__name__", "")
        declared = getattr(self._interface, name, None) if name[:1] != "_" else None
        if not isinstance(method, FunctionType) or declared is not method:
            own = self._interface.__name__
            raise UsageError(
                f"{getattr(method, '__qualname__', repr(method))} is not of {own}: pass a "
                f"method of {own} itself"
            )
        parcels = Parcels.of(method)
        grant, shape = self._link.grant, parcels.shape
        return (
            parcels,
            CallHead(grant, name, shape),
            CallHead(grant, name, shape, wants_reply=True),
        )


def _wall_in(seconds: float) -> Wall:
    now = SystemClock().moment().wall
    return Wall(now + max(1, nanoseconds(seconds) // MILLISECOND))
