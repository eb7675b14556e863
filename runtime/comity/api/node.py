"""`Node`: a device's place among its peers, as applications see it.

Owns: the assembly of store, core, dispatcher and links, and the life of all of them. May not
know: what any of them decides.

    with Node("~/.todo") as node:
        todo = node.create(Todo)

opens the store, or makes it, listens for peers, and stops everything at the end of the block.
Source: API 'A whole application'.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast, get_args

from comity.actor.actor import Actor
from comity.actor.actor_type import ActorType
from comity.actor.cell import Cell
from comity.actor.message import Message
from comity.api.control import Control
from comity.api.finding import check_type, find_actor, id_prefix
from comity.api.joining import Form, invite_text, read_invite
from comity.api.opening import Protection, listen_at, open_store, tell_of_copy
from comity.api.ref import HeldRef, Ref
from comity.api.remote import RemoteRef
from comity.base.clock import SECOND, Wall
from comity.base.errors import UsageError
from comity.base.ids import ID_BYTES, CommitId, DeviceId, Topic, short
from comity.drivers.control import ControlServer
from comity.drivers.dispatch.dispatcher import Dispatcher
from comity.drivers.dispatch.errors import ActorStopped
from comity.drivers.figures import Figures, LinkTally
from comity.drivers.grpc_link import GrpcLinks, check_free, parse_address
from comity.drivers.host import LinkDriver
from comity.drivers.no_links import NoLinks
from comity.drivers.store import CONTROL_FILE, STORE_FILE
from comity.drivers.system import SystemClock
from comity.log.entries import Role
from comity.node import commands
from comity.protocol.capability import RefLink, parse_link
from comity.protocol.invite import Invite
from comity.protocol.pairing import Code

if TYPE_CHECKING:
    from types import TracebackType

    from comity.base.errors import ComityError
    from comity.drivers.dispatch.dead_letters import DeadLetter
    from comity.drivers.dispatch.future import Future
    from comity.drivers.mailroom import Mailroom
    from comity.node.commands import Member, NodeStatus, Past, TurnId
    from comity.node.effects import Report

__all__ = ["CATCH_UP_SECONDS", "Node"]

A = TypeVar("A", bound=Actor)
S = TypeVar("S")
T = TypeVar("T")

_ANSWER_SECONDS = 30.0
"""A command that the core answers by itself: a disk that takes longer is as good as broken."""

_STOP_SECONDS = 5.0
"""A handler that is still running then keeps its thread, but not the process."""

_JOIN_SECONDS = 60.0
"""Joining waits for the inviter, who may have to be dialled several times."""

_LIFETIME_MIN = timedelta(minutes=1)
_LIFETIME_MAX = timedelta(days=366)
"""Of an invite: who waits longer asks for another; a link that lies about gets found."""

CATCH_UP_SECONDS = 15.0
"""A newcomer has the history by then, or goes on without: a long one over a slow line."""

_SAME_ROLE_SECONDS = 3.0
"""For a member who used another invite: its new role comes with one commit, if at all."""

_LOOK_SECONDS = 0.2

_READ_SECONDS = 600.0
"""A long log is opened commit by commit: some 20,000 a second."""

_UNKNOWN_FIELDS = (
    "%s %s holds %d changes of %d fields that this version of the class does not have: they "
    "are kept and passed on, not shown; a field that was renamed keeps its contents with "
    "field(id='old name'), one of another type begins anew"
)

_logger = logging.getLogger("comity")


class Node:
    """One device: its key, its store, its actors, its links.

    path: the directory of the store; made, with mode 0700, if it is not there.
    passphrase: protects the keys in it; without one the OS keyring does.
    insecure_store: leave the keys readable to whoever reads the disk: for experiments.
    listen: 'host:port' to take connections at; None for none. Port 0 is a free one, and the
        same again at the next start, so that others find this node. A pair
        adds the address that others reach it at, where that differs: behind a forwarder.
    relays: addresses of relays that keep this node's actors available while it is offline.
    relay: be a relay: keep sealed commits for others, host no actors.
    online: False to call nobody and take no calls, for a look at the store.

    Raises: UsageError with the fix, for what cannot work; StoreError, LinkError.
    """

    def __init__(  # noqa: PLR0913  (one for each option)
        self,
        path: str | Path,
        *,
        passphrase: str | None = None,
        insecure_store: bool = False,
        listen: str | tuple[str, str] | None = "127.0.0.1:0",
        relays: Sequence[str] = (),
        relay: bool = False,
        online: bool = True,
    ) -> None:
        """Open the store, start the node, take connections."""
        at, known_as = listen if isinstance(listen, tuple) else (listen, None)
        if not online:
            at, known_as = None, None
        if at is not None:
            check_free(at)  # before a store is made for nothing
        self.path = Path(path).expanduser()
        self.address: str | None = None
        self._refs: dict[Topic, Ref[Any]] = {}
        self._link_tally = LinkTally()
        with ExitStack() as undo:
            protection = Protection(passphrase, insecure_store)
            opened = open_store(self.path, undo, protection, relay=relay)
            self._host = opened.host
            self._dispatcher = Dispatcher(
                emit=self._host.emit,
                on_failure=_log_failure,
                may_wait=lambda: not self._host.is_here,
            )
            self._dispatcher.on_renew = self._feed_anew
            self._dispatcher.refer, self._dispatcher.follow = self._refer, self._follow
            undo.callback(self._dispatcher.close, _STOP_SECONDS)
            links: LinkDriver = NoLinks(self._host.emit)
            if online:
                links = grpc = GrpcLinks(
                    self._host.emit, self._host.next_link, self._link_tally
                )
                self.address = listen_at(grpc, opened.ports, at)
                undo.callback(grpc.close)
            self._host.start(self._dispatcher, links, copied=opened.copied)
            undo.callback(self._host.close)
            if opened.copied and self._host.failure is None:
                opened.begin()
                tell_of_copy(self.path, self.status(), self.members)
            opened.making.end()
            if at is not None and self.address is not None:
                opened.ports.note(at, self.address)  # the store is one, now that it has begun
            address = known_as or self.address
            if address is not None:
                self._command(lambda token: commands.Listening(token, address))
            for known in relays:
                self.use_relay(known)
            self._device = self._dispatcher.doorway.device = self.device
            self._control = Control(self)
            server = ControlServer(
                self.path.absolute() / CONTROL_FILE, self._control.handle, opened.lock
            )
            undo.callback(server.close)
            self._undo = undo.pop_all()

    def __enter__(self) -> Self:
        """Return the node itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the node."""
        self.close()

    def __repr__(self) -> str:
        """Show where the store lies."""
        return f"<Node {str(self.path)!r}>"

    def close(self) -> None:
        """Stop the actors, hang up, write what is to be written; safe to repeat."""
        for topic in list(self._refs):
            self.put_to_sleep(topic)
        self._undo.close()

    # Actors

    def create(self, actor_class: type[A]) -> Ref[A]:
        """Found a new actor, with this device as its only root, and run its `on_create`."""
        actor_type = ActorType.of(actor_class)
        topic = self._command(lambda token: commands.Create(token, actor_type.name))
        assert isinstance(topic, bytes)
        return cast("Ref[A]", self._activate(actor_type, Topic(topic), new=True))

    def open_or_create(self, actor_class: type[A]) -> Ref[A]:
        """Open the one actor of this class in the store; found it at the first time.

        Raises: UsageError that names them, if the store holds several.
        """
        name = ActorType.of(actor_class).name
        held = any(topic.actor_type == name for topic in self.status().topics)
        return self.open(actor_class) if held else self.create(actor_class)

    def open(self, actor_class: type[A], link: str | bytes | None = None) -> Ref[A]:
        """Open an actor of this class.

        link: an invite's link, which joins and then opens; or the actor's id, or the
        beginning of its hexadecimal form; or nothing, if this node holds one actor of
        the class only.

        Raises: UsageError that says which actors there are; LinkError if an invite's host
        cannot be reached.
        """
        actor_type = ActorType.of(actor_class)
        if isinstance(link, str) and link.strip().startswith("comity:"):
            topic = self.join(link)
        else:
            topic = find_actor(self.path, self.status().topics, actor_type, link)
        found = self._refs.get(topic)
        if found is None:
            found = self._activate(actor_type, topic)
        return cast("Ref[A]", found)

    def ref(self, interface: type[S], link: str) -> RemoteRef[S]:
        """Return a ref to an actor on another device, by a link that its owner gave out.

        interface: the actor's class, or an `Interface` with the methods that are to be sent.

        Raises: UsageError for a link that is none, or of this very device.
        """
        found = parse_link(link)
        if found.device == self._device:
            raise UsageError("this link was given out by this very device: use node.open(...)")
        device, addresses, route = found.device, found.addresses, found.route
        self._command(lambda token: commands.Reach(token, device, addresses, route))
        return RemoteRef(self, interface, found)

    def follow(self, ref: Ref[A]) -> Ref[A] | RemoteRef[A]:
        """Return what carries messages of this node to what a field refers to.

        The actor itself if it is open here, else a ref over the link that the field holds.
        Nothing is opened. Within messages of actors refs follow themselves.

        Raises: UsageError if this device gave the ref out, and has the actor not open.
        """
        found = self._refs.get(ref.topic)
        if found is not None:
            return cast("Ref[A]", found)
        held: HeldRef[Any] = ref.held()
        if held.held_link.device == self._device:
            name = ref.actor_type.name
            raise UsageError(
                f"{ref!r} is not open here: node.open({name}, {short(ref.topic)!r}) first"
            )
        return held.reach(self)

    def join(
        self, link: str, *, at: str | None = None, catch_up: float = CATCH_UP_SECONDS
    ) -> Topic:
        """Use an invite and return the id of the actor; nothing is opened yet.

        link: a link, twelve words or a short code. at: where the inviter is, 'host:port';
        words and codes need it.
        catch_up: seconds to wait for the history up to this device's own rights. When they
        are over it goes on coming, and until it is here this device can only read.

        Raises: UsageError for an invite that is none, wrong, used or expired; LinkError.
        """
        if at is not None:
            parse_address(at)
        invite, code = read_invite(link, at)
        if invite.inviter == self.device:
            raise UsageError(
                "this invite was given by this very device: use it on another one, or with "
                "another store"
            )
        before = {topic.topic: self._own_role(topic.topic) for topic in self.status().topics}
        found = self._command(lambda token: commands.Join(token, invite, code), _JOIN_SECONDS)
        assert isinstance(found, bytes)
        topic = Topic(found)
        role = before.get(topic)
        if role is not None:  # it may be the same again: then there is nothing to wait for
            catch_up = min(catch_up, _SAME_ROLE_SECONDS)
        if not self._wait_until(lambda: self._own_role(topic) != role, catch_up) and not role:
            _logger.warning("actor %s is joined, its history is still coming", short(topic))
        return topic

    def _own_role(self, topic: Topic) -> Role | None:
        own = self.device
        return next((m.role for m in self.members(topic) if m.device == own), None)

    def _wait_until(self, reached: Callable[[], bool], seconds: float) -> bool:
        """Wait for something that comes with a report."""
        clock = SystemClock()
        ends = clock.moment().instant + int(seconds * SECOND)
        heard = threading.Event()

        def hear(_: Report) -> None:
            heard.set()

        self._host.listen(hear)
        try:
            while not reached():
                if clock.moment().instant >= ends:
                    return False
                heard.wait(_LOOK_SECONDS)
                heard.clear()
        finally:
            self._host.ignore(hear)
        return True

    def status(self) -> NodeStatus:
        """Return the node at a glance."""
        status = self._command(commands.DescribeNode)
        assert isinstance(status, commands.NodeStatus)
        return status

    def figures(self) -> Figures:
        """Return what the node has counted since it started; asks nothing of its thread."""
        files = (self.path / STORE_FILE, self.path / f"{STORE_FILE}-wal")
        return Figures(
            host=replace(self._host.tally),
            links=replace(self._link_tally),
            events_waiting=self._host.waiting,
            store_bytes=sum(each.stat().st_size for each in files if each.exists()),
            dead_letters=self._dispatcher.dead_letters.count,
        )

    def why(self, commit: str) -> str:
        """Say why a commit counts, is hidden, or was refused. commit: 8 hex digits or more.

        Raises: UsageError if the text is no id, or nothing is known of it.
        """
        prefix = id_prefix(commit, "commit id")
        answer = self._command(lambda token: commands.ExplainCommit(token, prefix))
        assert isinstance(answer, str)
        return answer

    def use_relay(self, address: str) -> None:
        """Keep this node's actors on the relay at 'host:port', from now on.

        Raises: UsageError for an address that is none.
        """
        parse_address(address)
        self._command(lambda token: commands.UseRelay(token, address))

    def forget_relay(self, address: str) -> None:
        """Use the relay at 'host:port' no more; what it keeps stays there.

        Raises: UsageError if this node does not use it.
        """
        if not self._command(lambda token: commands.ForgetRelay(token, address)):
            known = ", ".join(each.address for each in self.status().relays) or "none"
            raise UsageError(f"this node uses no relay at {address!r}; it uses: {known}")

    def on_report(self, listener: Callable[[Report], None]) -> None:
        """Call `listener` for everything the owner should know; it must return at once."""
        self._host.listen(listener)

    def on_shutdown(self, callback: Callable[[], None]) -> None:
        """Call `callback`, in another thread, when a command asks this node to stop.

        Until this is set such commands are told to stop the program instead.
        """
        self._control.on_shutdown = callback

    @property
    def failure(self) -> ComityError | None:
        """Why the node stopped by itself, if it did: its disk failed, or it has a bug."""
        return self._host.failure

    @property
    def dead_letters(self) -> tuple[DeadLetter, ...]:
        """Messages that were taken and never handled, each with the reason; the last 1000."""
        return self._dispatcher.dead_letters.all()

    @property
    def refs(self) -> tuple[Ref[Any], ...]:
        """The actors that are open, in the order in which they were opened."""
        return tuple(self._refs.values())

    @property
    def device(self) -> DeviceId:
        """This device's id."""
        return self.status().device

    # For refs

    @property
    def mailroom(self) -> Mailroom:
        """Takes messages to other devices."""
        return self._host.mailroom

    def chain_here(self) -> tuple[bytes, ...]:
        """Return which actors wait for what is asked on this thread."""
        return self._dispatcher.chain_here()

    def expire_after(self, seconds: float, expire: Callable[[], None]) -> None:
        """Call back after a while, on another thread."""
        self._dispatcher.after(seconds, expire)

    def give_link(self, topic: Topic, methods: Sequence[str]) -> RefLink:
        """Let whoever has a link send these messages to an actor."""
        names = tuple(methods)
        found = self._command(lambda token: commands.GiveLink(token, topic, names))
        assert isinstance(found, RefLink)
        return found

    def take_back(self, grant: bytes) -> None:
        """Let a link through no more."""
        self._command(lambda token: commands.TakeBack(token, grant))

    def deliver(
        self, topic: Topic, message: Message, *, deadline: float | None = None
    ) -> Future[Any]:
        """Send a message to an actor that is open here; the future is its reply."""
        return self._dispatcher.ask(topic, message, deadline=deadline)

    def drop_in(self, topic: Topic, message: Message) -> None:
        """Send a message to an actor that is open here, and do not wait."""
        self._dispatcher.tell(topic, message)

    def put_to_sleep(self, topic: Topic) -> None:
        """Stop the cell of an actor; what its last turns wrote is sealed."""
        self._refs.pop(topic, None)
        if self._host.failure is None:
            self._dispatcher.deactivate(topic).get(timeout=_ANSWER_SECONDS)
            self._command(lambda token: commands.Deactivate(token, topic))

    def look(self, topic: Topic, view: Callable[[Cell], T]) -> Future[T]:
        """Call `view` with the cell of an actor, between its turns; it must only read."""
        return self._dispatcher.call(topic, view)

    def invite(self, topic: Topic, role: str, lifetime: timedelta, form: Form) -> str:
        """Open an invite and return it as a link, words or a code."""
        try:
            wanted = Role[role.upper()]
        except KeyError:
            raise UsageError(
                f"{role!r} is not a role: use 'reader', 'writer' or 'admin'"
            ) from None
        if form not in get_args(Form):
            raise UsageError(f"{form!r} is no form of an invite: use one of {get_args(Form)}")
        if not _LIFETIME_MIN <= lifetime <= _LIFETIME_MAX:
            raise UsageError(
                f"an invite cannot stay open for {lifetime}: give a minute to a year"
            )
        if form == "code":
            code = self._command(lambda token: commands.OfferCode(token, topic, wanted))
            assert isinstance(code, Code)
            return invite_text(code, form)
        now = SystemClock().moment().wall
        expires = Wall(now + int(lifetime.total_seconds() * 1000))
        invite = self._command(
            lambda token: commands.OfferInvite(token, topic, wanted, expires)
        )
        assert isinstance(invite, Invite)
        return invite_text(invite, form)

    def members(self, topic: Topic) -> tuple[Member, ...]:
        """Return who takes part in an actor."""
        found = self._command(lambda token: commands.DescribeMembers(token, topic))
        return cast("tuple[Member, ...]", found)

    def log(self, topic: Topic, count: int) -> tuple[commands.LogCommit, ...]:
        """Return the newest commits of an actor, at most `count`, parents before children."""
        found = self._command(lambda token: commands.DescribeLog(token, topic, count))
        return cast("tuple[commands.LogCommit, ...]", found)

    def remove(self, topic: Topic, device: bytes) -> None:
        """Remove a device from an actor; this device leaves by removing itself.

        Who leaves runs no turn after it, so the actor is closed here first.

        Raises: UsageError if this device may not, or is the only admin and would leave an
            actor that nobody can let anyone into or out of again.
        """
        if len(device) != ID_BYTES:
            raise UsageError(
                f"{device!r} is no device: give the {ID_BYTES} bytes of a member's `device`"
            )
        if device == self.device:
            admins = [each for each in self.members(topic) if each.role is Role.ADMIN]
            if [each.device for each in admins] == [device]:
                raise UsageError(
                    "this device is the only admin, and without one nobody can ever be let in "
                    "or removed: make somebody else admin first, with an invite for an 'admin'"
                )
            self.put_to_sleep(topic)
        self._command(lambda token: commands.Remove(token, topic, DeviceId(device)))

    def undo(self, topic: Topic, turn: TurnId | None) -> TurnId:
        """Hide a turn of an actor."""
        found = self._command(lambda token: commands.Undo(token, topic, turn))
        return cast("TurnId", found)

    def redo(self, topic: Topic, turn: TurnId | None) -> TurnId:
        """Take an undo back."""
        found = self._command(lambda token: commands.Redo(token, topic, turn))
        return cast("TurnId", found)

    def past(
        self, topic: Topic, *, newest: int | None = None, version: tuple[CommitId, ...] = ()
    ) -> Past:
        """Read the newest turns of an actor, or all of a version."""
        found = self._command(
            lambda token: commands.ReadPast(token, topic, newest, version), _READ_SECONDS
        )
        return cast("Past", found)

    def unsent(self, topic: Topic) -> tuple[commands.UnsentTurn, ...]:
        """Return what former devices of this node left unsent of an actor, as it was kept."""
        found = self._command(lambda token: commands.DescribeUnsent(token, topic))
        return cast("tuple[commands.UnsentTurn, ...]", found)

    def forget_unsent(self, topic: Topic) -> int:
        """Let go of what former devices of this node left unsent of an actor."""
        found = self._command(lambda token: commands.ForgetUnsent(token, topic))
        return cast("int", found)

    def adopt(self, topic: Topic, commit: str) -> None:
        """Let a hidden commit count."""
        prefix = id_prefix(commit, "commit id")
        self._command(lambda token: commands.Adopt(token, topic, prefix))

    def _activate(self, actor_type: ActorType, topic: Topic, *, new: bool = False) -> Ref[Any]:
        cell = Cell(actor_type, topic)
        self._dispatcher.activate(cell)
        created = self._dispatcher.run_create(topic) if new else None
        started = self.look(topic, lambda cell: cell.unknown_writes())
        try:
            name = self._command(lambda token: commands.Activate(token, topic))
            check_type(topic, name, actor_type)
            if created is not None:
                created.get(timeout=_ANSWER_SECONDS)
            fields, writes = started.get(timeout=_ANSWER_SECONDS)
            if writes:
                _logger.warning(_UNKNOWN_FIELDS, actor_type.name, short(topic), writes, fields)
        except BaseException:
            self.put_to_sleep(topic)
            raise
        ref: Ref[Any] = Ref(self, actor_type, topic)
        self._refs[topic] = ref
        return ref

    def _refer(self, actor_type: ActorType, topic: Topic) -> Ref[Actor]:
        return Ref(self, actor_type, topic)

    def _follow(self, ref: object) -> object:
        assert isinstance(ref, Ref)
        return self.follow(cast("Ref[Actor]", ref))

    def _feed_anew(self, topic: Topic) -> None:
        """Have the core forget the cell of an actor, and feed its log to a new one."""
        self._host.ask(lambda token: commands.Deactivate(token, topic))
        self._host.ask(lambda token: commands.Activate(token, topic))

    def _command(
        self, make: Callable[[Any], commands.Command], seconds: float = _ANSWER_SECONDS
    ) -> object:
        return self._host.call(make, seconds=seconds)


def _log_failure(topic: Topic, error: BaseException, message: Message) -> None:
    if isinstance(error, ActorStopped):
        _logger.info("%s to actor %s was dropped: %s", message.method, short(topic), error)
        return
    _logger.error(
        "%s of actor %s raised; its writes are undone",
        message.method,
        short(topic),
        exc_info=error,
    )
