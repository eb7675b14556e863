"""Answers: what the owner of a node may ask of it, and how each command is carried out.

Owns: the answer to every command; it comes once all that the command wrote is durable. May
not know: events of the driver (`node.core`), what comes over links (`node.desk`).
Source: ARCHITECTURE 'Layers'.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from comity.base.errors import Rejected, UsageError
from comity.base.ids import Token, Topic, short
from comity.log.entries import RemoveEntry, Role
from comity.node import commands, describing, past, rows, undoing
from comity.node.beats import Phase
from comity.node.commands import Command
from comity.node.effects import Answer
from comity.node.journal import Journal
from comity.node.step import Step
from comity.wire.records import Commit

if TYPE_CHECKING:
    from comity.node.desk import Desk

__all__ = ["Answers"]


class Answers:
    """The commands of one node."""

    __slots__ = ("_desk",)

    def __init__(self, desk: Desk) -> None:
        """Answer for what a desk holds."""
        self._desk = desk

    def command(self, command: Command, step: Step) -> None:
        """Carry out what the owner asks, and answer it."""
        result = self._carry_out(command, step)
        if result is not None:
            self._answer(command.token, result, step)

    def _answer(self, token: Token, result: object, step: Step) -> None:
        """Answer once all that was written so far is durable."""
        step.when_durable(lambda later: later.act(Answer(token, result)))

    def _carry_out(self, command: Command, step: Step) -> object:
        """Return the answer, or None if it comes later."""
        match command:
            case commands.Create(_, actor_type):
                return self._create(actor_type, step)
            case commands.Activate(_, topic):
                return self._activate(topic, step)
            case commands.Deactivate(_, topic):
                return self._deactivate(topic, step)
            case commands.OfferInvite() | commands.OfferCode():
                return self._offer(command, step)
            case commands.Join():
                self._desk.admission.join(step, command, self._desk.links)
                return None
            case commands.Remove():
                return self._remove(command, step)
            case commands.Undo() | commands.Redo() | commands.Adopt():
                return self._decide(command, step)
            case commands.ReadPast():
                return self._read_past(command, step)
            case commands.ForgetUnsent(_, topic):
                return self._desk.stranded.forget(topic, step)
            case commands.GiveLink() | commands.TakeBack() | commands.Reach():
                return self._link(command, step)
            case commands.UseRelay() | commands.ForgetRelay():
                return self._desk.relays.carry_out(command, step)
            case commands.Listening(_, address):
                self._desk.where.here = address
                return True
            case _:
                return self._describe(command)

    def _describe(self, command: commands.Look) -> object:
        """Return what the owner only wants to know."""
        match command:
            case commands.DescribeLog(_, topic, count):
                replica = self._desk.replica(topic)
                return self._unknown(topic) if replica is None else replica.log(count)
            case commands.DescribeMembers(_, topic):
                return self._members(topic)
            case commands.DescribeUnsent(_, topic):
                return self._desk.stranded.turns(topic)
            case commands.ExplainCommit(_, prefix):
                return describing.explain(self._desk.replicas, self._desk.refusals, prefix)
            case commands.DescribeNode():
                return self._status()
            case _:
                assert_never(command)

    def _create(self, actor_type: str, step: Step) -> object:
        if self._desk.is_relay:
            return UsageError("a relay hosts no actors: create them on a node of your own")
        topic, made, key = Journal.found(self._desk.hand, actor_type, step.now.wall)
        replica = self._desk.add_replica(
            topic, rows.TopicRow(actor_type, b"", shelf=False), step
        )
        replica.keys_learned(step, ((made.id, key),))
        replica.found(step, Commit(made.sealed, made.beside))
        step.when_durable(lambda later: self._desk.syncing.announce(topic, later))
        return topic

    def _activate(self, topic: Topic, step: Step) -> object:
        replica = self._desk.replica(topic)
        if replica is None:
            return self._unknown(topic)
        if replica.beats.phase is not Phase.ASLEEP:
            return UsageError(f"actor {short(topic)} is open already: use the ref you have")
        replica.beats.wake(step)
        self._desk.delivery.woken(topic)
        return replica.journal.actor_type

    def _deactivate(self, topic: Topic, step: Step) -> object:
        replica = self._desk.replica(topic)
        if replica is not None and replica.beats.phase is not Phase.ASLEEP:
            replica.beats.sleep(step)
            step.touch(topic)
        return True

    def _offer(self, command: commands.OfferInvite | commands.OfferCode, step: Step) -> object:
        replica = self._desk.replica(command.topic)
        if replica is None:
            return self._unknown(command.topic)
        role = replica.journal.role
        if role is not Role.ADMIN:
            own = "no member" if role is None else f"a {role.name.lower()}"
            return UsageError(
                f"this device is {own} of actor {short(command.topic)}: only an admin can "
                "invite; ask one for an invite as 'admin'"
            )
        if not self._desk.where.here:
            return UsageError(
                "this node takes no connections, so nobody could use the invite: start it "
                "with an address to listen at"
            )
        if isinstance(command, commands.OfferCode):
            return self._desk.admission.codes.offer(step, command.topic, command.role)
        return self._desk.admission.offer(
            step, command.topic, command.role, command.expires, (self._desk.where.here,)
        )

    def _link(
        self, command: commands.GiveLink | commands.TakeBack | commands.Reach, step: Step
    ) -> object:
        match command:
            case commands.GiveLink():
                return self._give_link(command, step)
            case commands.TakeBack(_, grant):
                self._desk.delivery.take_back(grant, step)
            case commands.Reach(_, device, addresses, route):
                if route is not None:
                    self._desk.delivery.mailing.learn_link(device, route, step)
                for address in addresses:
                    self._desk.where.learn(device, address, step)
            case _:
                assert_never(command)
        return True

    def _give_link(self, command: commands.GiveLink, step: Step) -> object:
        if self._desk.replica(command.topic) is None:
            return self._unknown(command.topic)
        return self._desk.delivery.give(command, self._desk.where.here, step)

    def _remove(self, command: commands.Remove, step: Step) -> object:
        replica = self._desk.replica(command.topic)
        if replica is None:
            return self._unknown(command.topic)
        removal = replica.append(step, RemoveEntry(command.device))
        if isinstance(removal, Rejected):
            return UsageError(f"device {short(command.device)} cannot be removed: {removal}")
        if command.device != self._desk.device:
            refusal = replica.rotate(step)
            assert refusal is None, refusal
        return removal

    def _decide(
        self, command: commands.Undo | commands.Redo | commands.Adopt, step: Step
    ) -> object:
        """Have it decided while no turn runs, and answer when it is durable."""
        replica = self._desk.replica(command.topic)
        if replica is None:
            return self._unknown(command.topic)

        def decide(later: Step) -> None:
            match command:
                case commands.Undo(_, _, turn):
                    result: object = undoing.undo(replica, turn, later)
                case commands.Redo(_, _, turn):
                    result = undoing.redo(replica, turn, later)
                case commands.Adopt(_, _, prefix):
                    result = undoing.adopt(replica, prefix, later)
                case _:
                    assert_never(command)
            self._answer(command.token, result, later)

        replica.decide(step, decide)
        return None

    def _read_past(self, command: commands.ReadPast, step: Step) -> object:
        replica = self._desk.replica(command.topic)
        if replica is None:
            return self._unknown(command.topic)

        def then(found: object, later: Step) -> None:
            self._answer(command.token, found, later)

        if command.newest is not None:
            past.read_newest(replica, command.newest, step, then)
            return None
        return past.read_version(replica, command.version, step, then)

    def _members(self, topic: Topic) -> object:
        replica = self._desk.replica(topic)
        if replica is None:
            return self._unknown(topic)
        return describing.members(replica, self._desk.device, self._desk.links)

    def _status(self) -> commands.NodeStatus:
        desk = self._desk
        links = tuple((link.peer, link.address) for link in desk.links.all)
        return commands.NodeStatus(
            device=desk.device,
            crypto=desk.hand.crypto.name,
            relay=desk.is_relay,
            address=desk.where.here,
            links=links,
            topics=tuple(
                replace(each.status(), coming=desk.syncing.coming.of(each.topic))
                for each in desk.replicas
            ),
            shelves=tuple(
                (shelf.topic, shelf.holdings.count, shelf.size) for shelf in desk.shelves
            ),
            refusals=desk.refusals.counts,
            formers=describing.formers(desk.formers, desk.stranded, desk.actors),
            relays=desk.relays.describe(),
            letters=desk.delivery.describe(),
            mail=commands.NO_MAIL if desk.mailboxes is None else desk.mailboxes.describe(),
        )

    def _unknown(self, topic: Topic) -> UsageError:
        known = ", ".join(short(held) for held in self._desk.actors) or "none"
        return UsageError(f"no actor {short(topic)} is held here; held are: {known}")
