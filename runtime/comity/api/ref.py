"""`Ref`: how an application speaks to an actor.

Owns: the typed surface of tell, ask and what an owner asks of one actor. May not know: how a
message travels. Methods are the selectors: `todo.ask(Todo.add, "milk")` knows that it takes a
string and brings back an int, and both mypy and pyright know it too.
Source: API 'A whole application'.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    NoReturn,
    ParamSpec,
    TypeVar,
    cast,
    overload,
)

from comity.actor.actor import Actor
from comity.actor.actor_type import ActorType
from comity.actor.edits import RULES
from comity.actor.facet import Facet, Interface
from comity.actor.message import Message
from comity.actor.parcel import Parcels
from comity.actor.restoring import RESTORE
from comity.actor.timers import nanoseconds
from comity.api.changes import Changes, Feed
from comity.api.held import actor_class, held_type
from comity.api.history import (
    Branch,
    Difference,
    Turn,
    Version,
    cell_of,
    differences,
    fields_at,
    turns_of,
)
from comity.api.joining import Form
from comity.api.proxy import Proxy
from comity.api.remote import RemoteRef
from comity.api.unsent import Unsent, unsent_turns
from comity.base.errors import ComityError, UsageError
from comity.base.ids import Topic, short
from comity.crdt.codec import ValueType
from comity.crdt.rules import Rule
from comity.drivers.dispatch.host import CellHost
from comity.drivers.dispatch.pool import worker_here
from comity.node.commands import TurnId
from comity.protocol.capability import RefLink, format_link, parse_link

if TYPE_CHECKING:
    from collections.abc import Mapping

    from comity.api.node import Node
    from comity.drivers.dispatch.future import Future
    from comity.node.commands import Member

__all__ = ["INVITE_LIFETIME", "HeldRef", "Ref"]

A = TypeVar("A", bound=Actor)
A_co = TypeVar("A_co", bound=Actor, covariant=True)
I = TypeVar("I", bound=Interface)  # noqa: E741  (of Interface)
R = TypeVar("R")
P = ParamSpec("P")

INVITE_LIFETIME = timedelta(days=7)
"""How long an invite stays open unless it says otherwise: a week, then the link is waste."""


class Ref(Generic[A_co]):
    """An actor that this node holds a replica of. Made by `Node.create` and `Node.open`."""

    __slots__ = ("_deadline", "_given", "_node", "_type", "topic")

    @classmethod
    def comity_value(cls, parameters: tuple[object, ...]) -> ValueType:
        """Return how refs are written into fields, of `Ref[A]`. Raises: UsageError."""
        actor = actor_class(parameters)
        return held_type(actor, partial(HeldRef, actor), partial(_held, actor))

    def __init__(
        self, node: Node, actor_type: ActorType, topic: Topic, *, deadline: float | None = None
    ) -> None:
        """Only nodes make refs. deadline: of each ask, in seconds."""
        self._deadline = deadline
        self._given: HeldRef[Any] | None = None
        self._node = node
        self._type = actor_type
        self.topic = topic

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            """Say how to get at what the actor has: a ref is no actor."""
            made = self._type.name
            if name in self._type.methods:
                fix = f"send it: ref.ask({made}.{name}, ...).get() or ref.tell(...)"
                raise AttributeError(f"{made}.{name} is a message: {fix}")
            if name in {each.name for each in self._type.schema.fields}:
                fix = "read it in a method, or in ref.snapshot()"
                raise AttributeError(f"{made}.{name} is a field: {fix}")
            raise AttributeError(f"a ref to {made} has no {name!r}, and {made} neither")

    def __repr__(self) -> str:
        """Show the type and the beginning of the actor's id."""
        return f"<{self._type.name} {short(self.topic)}>"

    @property
    def actor_type(self) -> ActorType:
        """The checked class of the actor: its name, its messages."""
        return self._type

    @overload
    def ask(
        self: Ref[A],
        method: Callable[Concatenate[A, P], Coroutine[Any, Any, R]],
        /,
        *arguments: P.args,
        **keywords: P.kwargs,
    ) -> Future[R]: ...

    @overload
    def ask(
        self: Ref[A],
        method: Callable[Concatenate[A, P], R],
        /,
        *arguments: P.args,
        **keywords: P.kwargs,
    ) -> Future[R]: ...

    def ask(
        self, method: Callable[..., Any], /, *arguments: Any, **keywords: Any
    ) -> Future[Any]:
        """Send a message; the future is its reply, once its effect is durable.

        `.get(timeout=2)` waits in a thread, `await` in asyncio and in the handlers of actors.
        If the method raises, so does the future, and nothing that the method wrote remains; of
        an `async def` method nothing since its last await.

        A full mailbox holds the sender up, for as long as it takes and at most half a minute.

        Raises: UsageError if `method` is not a message of this actor; MailboxFull (a
            WorldError) if there is no room in time, or at once within an asyncio loop.
        """
        message = self._message(method, arguments, keywords)
        return self._node.deliver(self.topic, message, deadline=self._deadline)

    def options(self, *, deadline: float | None = None) -> Ref[A_co]:
        """Return a ref whose asks have options: `todo.options(deadline=2).ask(Todo.add, "x")`.

        deadline: seconds after which the reply is an `Unknown`. A message that has not begun
        by then is not begun; of one that has nothing is known.

        Raises: UsageError if the time is negative.
        """
        if deadline is not None:
            nanoseconds(deadline)
        return Ref(self._node, self._type, self.topic, deadline=deadline)

    def proxy(self) -> Proxy:
        """Return what is called like an object: `proxy.add("x")` is an ask.

        `proxy.add.defer("x")` is a tell. Without types, which `ask` and `tell` know.
        """
        return Proxy(self)

    def facet(self, interface: type[I], /) -> Facet[I]:
        """Return a ref that lets only the messages of an interface through.

        Raises: UsageError that lists which methods of the interface the actor does not have.
        """
        return Facet(self, interface)

    def tell(
        self: Ref[A],
        method: Callable[Concatenate[A, P], Any],
        /,
        *arguments: P.args,
        **keywords: P.kwargs,
    ) -> None:
        """Send a message and do not wait. If the method raises, `on_failure` runs.

        Raises: UsageError and MailboxFull, as `ask`.
        """
        self._node.drop_in(self.topic, self._message(method, arguments, keywords))

    def send_by_name(self, method: str, *arguments: Any) -> Future[Any]:
        """Ask by the name of a message: for tools that learn names at run time.

        Raises: UsageError that lists the messages if there is none of this name.
        """
        self._type.parameters(method)
        return self._node.deliver(
            self.topic, self._type.message(self._type.methods[method], arguments, {})
        )

    def link(self) -> str:
        """Return a link by which other devices send any message to this actor: `Node.ref`.

        It reaches the actor on this device, while it is open here, and lets nobody in: give
        an `invite` for that. For fewer messages: `ref.facet(...).link()`.
        """
        return self.link_for(tuple(self._type.methods))[0]

    def held(self) -> HeldRef[Any]:
        """Return what stands for this ref in fields and messages: a link, made once."""
        if self._given is None:
            self._given = HeldRef(self._type.cls, parse_link(self.link()))
        return self._given

    def link_for(self, methods: Sequence[str]) -> tuple[str, Callable[[], None]]:
        """Return a link for some messages, and what takes it back."""
        for name in methods:
            Parcels.of(self._type.methods[name])  # what cannot travel is said now
        found = self._node.give_link(self.topic, methods)
        return format_link(found), partial(self._node.take_back, found.grant)

    def close(self) -> None:
        """Stop hosting the actor in this process, after the messages that wait already.

        What it wrote goes on to others as long as the node runs; `Node.open` hosts it again.
        """
        self._node.put_to_sleep(self.topic)

    def snapshot(self) -> Mapping[str, object]:
        """Return all fields as plain immutable values, as of now and durable."""
        return self._node.look(self.topic, lambda cell: cell.snapshot()).get()

    def undo(self, turn: TurnId | None = None) -> TurnId:
        """Hide a turn, whatever others wrote since; return which it was.

        turn: one of `history()`, this device's own or, for an admin, anybody's; the newest
        visible one of this device if none is given, so that further calls go further back.
        What others wrote into it stays, and whatever it replaced shows again.

        Raises: UsageError if nothing is left to undo, or this device may not.
        """
        return self._node.undo(self.topic, turn)

    def redo(self, turn: TurnId | None = None) -> TurnId:
        """Take an undo back; return the turn that shows again, if nothing else hides it.

        turn: one that is undone; this device's newest undo if none is given, unless it wrote
        something since.

        Raises: UsageError if there is nothing to redo, or this device may not.
        """
        return self._node.redo(self.topic, turn)

    def history(self, newest: int = 100) -> tuple[Turn, ...]:
        """Return the newest turns, in the order of the log; hidden ones too."""
        return turns_of(self._node.past(self.topic, newest=newest), self._type)

    def unsent(self) -> tuple[Unsent, ...]:
        """Return the turns that a former device of this node acknowledged and did not send.

        There are some only where a store that was copied or restored from a backup began anew
        as another device: what they did is on no other device, unless the copy sent it since.
        """
        found = self._node.unsent(self.topic)
        return unsent_turns(
            found, lambda version: self._node.past(self.topic, version=version),
            self._type, self.topic,
        )  # fmt: skip

    def forget_unsent(self) -> int:
        """Let go of those turns, for they were done again or nobody wants them."""
        return self._node.forget_unsent(self.topic)

    def version(self) -> Version:
        """Return the present version, for `at` and `diff`: ids of the newest commits."""
        (status,) = [t for t in self._node.status().topics if t.topic == self.topic]
        return status.heads

    def at(self, version: Version | TurnId) -> Mapping[str, object]:
        """Return the fields as they were in a version, or just after a turn.

        What was hidden then is, whatever happened since. Cost: all turns of the version.

        Raises: UsageError if it is not here.
        """
        turn = version if isinstance(version, TurnId) else None
        heads = (version.commit,) if isinstance(version, TurnId) else version
        past = self._node.past(self.topic, version=heads)
        return fields_at(past, self._type, self.topic, turn=turn)

    def diff(
        self, before: Version | TurnId, after: Version | TurnId | None = None
    ) -> dict[str, Difference]:
        """Return what differs between two versions, by field; the present is the default."""
        new = self.snapshot() if after is None else self.at(after)
        return differences(self.at(before), new)

    def restore(self, version: Version | TurnId) -> tuple[str, ...]:
        """Write the fields back to what they were; return the names of those that differed.

        It is one turn: others see it as an edit, and `undo` takes it back. The rights of a
        `BoundedCounter` are not written back, nor the marks of a `Text`.

        Raises: UsageError if the version is not here, or this device may not write.
        """
        message = Message(RESTORE, (self.at(version),))
        names: tuple[str, ...] = self._node.deliver(self.topic, message).get()
        return names

    def fork(self) -> Branch[A_co]:
        """Return a branch of the present version, to try messages on before they are sent."""
        cell = cell_of(
            self._node.past(self.topic), self._type, self.topic, device=self._node.device
        )
        return Branch(cell, lambda message: self._node.deliver(self.topic, message).get())

    def adopt(self, commit: str) -> None:
        """Let a commit count that a removal hides, with all that its author made before.

        commit: its id, 8 hexadecimal digits or more; `Node.why` tells who may adopt it.

        Raises: UsageError if nothing hides it, or this device may not.
        """
        self._node.adopt(self.topic, commit)

    def changes(self) -> Changes:
        """Return a stream of what changes from now on, from here or elsewhere, for ever.

        `for` takes from it in a thread, `async for` in asyncio. It tells which field, where in
        it and by whom, once that is durable; read the values in a `snapshot()`. What is not
        taken in time is joined with what comes after: it never falls behind.
        """
        changes = Changes(self._ignore)
        self._node.look(self.topic, lambda cell: cell.listen(changes.feed)).get()
        return changes

    def _ignore(self, feed: Feed) -> None:
        with suppress(ComityError):  # it is closed already: then it has forgotten the feed
            self._node.look(self.topic, lambda cell: cell.ignore(feed)).get()

    def state_bytes(self) -> bytes:
        """Return the canonical bytes of the state: equal on devices with the same log."""
        return self._node.look(self.topic, lambda cell: cell.state_bytes()).get()

    def invite(
        self,
        role: str = "writer",
        *,
        lifetime: timedelta = INVITE_LIFETIME,
        form: Form = "link",
    ) -> str:
        """Return an invite that lets one device in, as 'reader', 'writer' or 'admin'.

        Hand it over in private: whoever has it first can use it, once. form: 'link'; 'words',
        twelve of them, to be read out or written down; 'code', two words and a number, which
        works for ten minutes and three tries, whatever `lifetime` says.

        Raises: UsageError for another role or form, or if this device is no admin.
        """
        return self._node.invite(self.topic, role, lifetime, form)

    def members(self) -> tuple[Member, ...]:
        """Return who may take part: device, role, and whether it is connected now."""
        return self._node.members(self.topic)

    def remove(self, device: bytes) -> None:
        """Take a device's rights away, and move to a key that it does not have.

        What it wrote before stays; what it wrote without knowing of this is hidden.

        Raises: UsageError if this device may not remove that one.
        """
        self._node.remove(self.topic, device)

    def rules(self) -> Mapping[str, tuple[Rule | None, ...]]:
        """Return the field rules in force, by field; those that every replica judges by.

        Several of one field were made at the same time, and all hold. None stands for a rule
        that this version of Comity cannot read; nothing is written to such a field here.
        """
        return self._node.look(self.topic, lambda cell: cell.rules()).get()

    def enforce_rules(self) -> None:
        """Make the rules that the class declares those in force, for all and from now on.

        A new actor has them; this is for actors that an older version of the class made.

        Raises: UsageError if this device is no admin.
        """
        self._node.deliver(self.topic, Message(RULES)).get()

    def _message(
        self, method: Callable[..., Any], arguments: tuple[Any, ...], keywords: dict[str, Any]
    ) -> Message:
        return self._type.message(method, arguments, keywords)


class HeldRef(Ref[A_co]):
    """A ref that was read from a field or came in a message: it opens nothing, till it is used.

    Where the actor is open on this node, it is as any other ref to it; elsewhere it only takes
    messages. Two are equal if their links are.
    """

    __slots__ = ("_actor", "_far", "held_link")

    def __init__(self, actor: type[A_co], link: RefLink) -> None:
        """Keep the link. actor: the declared class."""
        self._actor = actor
        self._deadline = None
        self._far: RemoteRef[A_co] | None = None
        self.held_link = link
        self.topic = link.topic

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:  # noqa: ANN401
            """Find the node, and the checked class, when they are needed."""
            if name == "_type":
                return ActorType.of(self._actor)
            if name != "_node":
                return super().__getattr__(name)
            near = _follow(self)
            if isinstance(near, RemoteRef):
                raise UsageError(f"{self!r} is not open here: it takes messages, no more")
            return near._node  # noqa: SLF001  (of the same class)

    def __eq__(self, other: object) -> bool:
        """Tell whether the links are the same."""
        return isinstance(other, HeldRef) and self.held_link == other.held_link

    def __hash__(self) -> int:
        """Agree with `==`."""
        return hash(self.held_link)

    def __repr__(self) -> str:
        """Show the type, and the beginnings of the ids; never the secret."""
        device = short(self.held_link.device)
        return f"<{self._actor.__name__} {short(self.topic)} by device {device}>"

    def ask(
        self, method: Callable[..., Any], /, *arguments: Any, **keywords: Any
    ) -> Future[Any]:
        """Send a message; the future is its reply.

        Raises: UsageError outside of an actor's message (use `Node.follow` there), or if this
            device gave the ref out and has the actor not open; and as any ask.
        """
        return _follow(self).ask(method, *arguments, **keywords)

    def tell(self, method: Callable[..., Any], /, *arguments: Any, **keywords: Any) -> None:
        """Send a message and do not wait. Raises: UsageError, as `ask`."""
        _follow(self).tell(method, *arguments, **keywords)

    def options(self, *, deadline: float | None = None) -> Ref[A_co]:
        """Return a ref whose asks have options. Raises: UsageError, as `ask`."""
        return cast("Ref[A_co]", _follow(self).options(deadline=deadline))

    def held(self) -> HeldRef[Any]:
        """Return this."""
        return self

    def link(self) -> str:
        """Return the link that it holds."""
        return format_link(self.held_link)

    def reach(self, node: Node) -> RemoteRef[A_co]:
        """Return the ref by which a node sends over the link; nodes use it."""
        far = self._far
        if far is None or not far.is_of(node):
            far = self._far = node.ref(self._actor, self.link())
        return far


def _follow(ref: HeldRef[A]) -> Ref[A] | RemoteRef[A]:
    """Return what carries messages, on the node whose actor is running."""
    here = worker_here()
    job = None if here is None else here[1]
    if not isinstance(job, CellHost):
        raise UsageError(
            f"{ref!r} was read from a field, and sends within the messages of actors; "
            "elsewhere say from which node: node.follow(ref)"
        )
    return cast("Ref[A] | RemoteRef[A]", job.follow(ref))


def _held(actor: type[Actor], value: object) -> HeldRef[Any]:
    """Return what is kept of a ref that is written. Raises: UsageError if it is none."""
    own: type[object]
    if isinstance(value, Ref):
        own = value.actor_type.cls
    elif isinstance(value, RemoteRef):
        own = cast("RemoteRef[object]", value).interface
    else:
        raise UsageError(f"{value!r} where a ref to {actor.__name__} is declared")
    if not issubclass(own, actor):
        raise UsageError(f"a ref to {own.__name__} where one to {actor.__name__} is declared")
    if isinstance(value, Ref):
        return value.held()
    return HeldRef(actor, parse_link(value.link()))
