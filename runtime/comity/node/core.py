"""The core: one pure state machine per node.

Owns: the composition of a node's parts and the dispatch of events to them. May not know:
clocks, sockets, files, threads, the insides of cells.

    rows --start--> effects          once, with what the store holds
    events --step--> effects         for ever after; `deadline` says when `Woke` is due
    a later commit of our own comes  the core stops; its next start begins a new device

Everything that a step decides is persisted before it is released (`node.step`). The same
events in the same order give the same effects, to the byte.
Source: ARCHITECTURE 'Layers', 'Who owns what'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

from comity.actor.fold import BeatClosed, Folded, Handled, Returned, TurnEnded
from comity.base.clock import Instant, Moment, earliest
from comity.base.ids import CommitId, DeviceId, Topic, short
from comity.base.ports import Entropy
from comity.crypto.keys import Identity
from comity.crypto.port import KEY_BYTES, Crypto
from comity.log.build import Signer
from comity.node import devices, rows
from comity.node.commands import Command
from comity.node.desk import Desk
from comity.node.effects import Effect, Stop, Table
from comity.node.events import (
    FrameArrived,
    LinkDown,
    LinkDrained,
    LinkUp,
    Post,
    ReadDone,
    Stored,
    Verified,
    Woke,
    WriteFailed,
)
from comity.node.journal import Hand
from comity.node.replica import Replica
from comity.node.step import Rows, Step, Waiting
from comity.protocol.session import Endpoint
from comity.wire.records import Codec

__all__ = ["Core", "Event", "Local", "Ports"]

Event = (
    TurnEnded
    | BeatClosed
    | Folded
    | Handled
    | Returned
    | Post
    | LinkUp
    | LinkDown
    | LinkDrained
    | FrameArrived
    | Stored
    | WriteFailed
    | ReadDone
    | Verified
    | Woke
    | Command
)
"""Everything that can happen to a node."""


@dataclass(frozen=True, slots=True)
class Ports:
    """What a core is given from outside."""

    crypto: Crypto
    codec: Codec
    entropy: Entropy


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    """What this device alone decides.

    relay: keep sealed commits of topics for anybody who names them, and read none. A node is
        a relay or a member of actors, not both: who attacks one gains nothing of the other.
    """

    relay: bool = False


class Core:
    """One node."""

    __slots__ = (
        "_deadline",
        "_desk",
        "_due",
        "_is_due_known",
        "_local",
        "_ports",
        "_stopped",
        "_waiting",
    )

    def __init__(self, ports: Ports, local: Local) -> None:
        """Keep what is given from outside; `start` comes next, once."""
        self._ports = ports
        self._local = local
        self._waiting = Waiting()
        self._desk: Desk | None = None
        self._due: dict[Topic, Instant] = {}
        self._stopped = False
        self._deadline: Instant | None = None
        self._is_due_known = False

    @property
    def deadline(self) -> Instant | None:
        """When `Woke` is due; None while nothing is awaited."""
        if not self._is_due_known:  # it changes in steps only
            self._deadline = self._find_deadline()
            self._is_due_known = True
        return self._deadline

    def _find_deadline(self) -> Instant | None:
        if self._desk is None or self._stopped:
            return None
        due = earliest(min(self._due.values(), default=None), self._desk.links.deadline)
        due = earliest(due, self._desk.delivery.deadline)
        if self._desk.mailboxes is not None:
            due = earliest(due, self._desk.mailboxes.deadline)
        return earliest(due, self._desk.syncing.deadline)

    @property
    def device(self) -> DeviceId:
        """This device, once started."""
        assert self._desk is not None
        return self._desk.device

    def heads(self, topic: Topic) -> tuple[CommitId, ...]:
        """Return the newest commits of an actor, ascending; none if it is not held."""
        assert self._desk is not None
        replica = self._desk.replica(topic)
        return () if replica is None else replica.journal.graph.heads

    def replica(self, topic: Topic) -> Replica | None:
        """Return what is held of an actor: for the lab's oracles to read, never to change."""
        assert self._desk is not None
        return self._desk.replica(topic)

    def check(self) -> None:
        """Assert the invariants of everything that is held. Slow: for tests and the lab."""
        assert self._desk is not None
        self._desk.check()

    def start(
        self, found: Mapping[Table, Rows], now: Moment, *, copied: bool = False
    ) -> list[Effect]:
        """Take up from what the store holds, or begin a new device if it holds nothing.

        copied: the store is not the one that ran last: its device may never write again, so
        another one begins, which keeps all that was here.
        """
        assert self._desk is None
        step = Step(now, self._waiting)
        crypto, entropy = self._ports.crypto, self._ports.entropy
        begun = devices.take_up(found, step, crypto, entropy, copied=copied)
        seed = begun.keys.seed
        hand = Hand(Signer(crypto, seed), begun.keys.prekeys, entropy)
        endpoint = Endpoint(
            crypto=crypto,
            entropy=entropy,
            identity=Identity(crypto, seed),
            static_secret=entropy.draw(KEY_BYTES),
        )
        self._desk = Desk(
            hand,
            endpoint,
            self._ports.codec,
            store=begun.keys.store,
            relay=self._local.relay,
            found=begun.found,
        )
        self._desk.recover(begun.found, step)
        return self._finish(step)

    def step(self, events: Sequence[Event], now: Moment) -> list[Effect]:
        """Take events in order and say what they lead to; one transaction for all of them."""
        assert self._desk is not None, "start comes first"
        if self._stopped:
            return []
        step = Step(now, self._waiting)
        for event in events:
            self._take(event, step)
            if self._desk.superseded is not None:
                return self._stop(self._desk.superseded, step)
        return self._finish(step)

    def _stop(self, commit: CommitId, step: Step) -> list[Effect]:
        """End this device: somebody else writes in its name, on a copy of this store."""
        assert self._desk is not None
        why = f"commit {short(commit)}, which was not made here, has its signature"
        step.report("superseded", commit=commit, device=self._desk.device, detail=why)
        step.put(Table.META, rows.META_SUPERSEDED, why.encode())
        for link in self._desk.links.all:
            self._desk.links.hang_up(link, "it begins anew as another device", step)
        effects = self._finish(step)
        self._stopped = True
        return [
            *effects,
            Stop(
                f"a copy of this store writes as device {short(self._desk.device)} too: {why}. "
                "Start again: it will be a new device, for an admin of each actor to invite"
            ),
        ]

    def _take(self, event: Event, step: Step) -> None:
        assert self._desk is not None
        desk = self._desk
        match event:
            case TurnEnded():
                desk.replica_awake(event.topic).turn_ended(event, step)
            case Folded():
                desk.folded(event, step)
            case BeatClosed():
                desk.replica_awake(event.topic).beat_closed(event, step)
            case Handled() | Returned() | Post():
                self._deliver(event, step)
            case FrameArrived():
                desk.links.frame(event, step)
            case LinkUp():
                desk.links.up(event, step)
            case LinkDown():
                desk.links.down(event, step)
            case LinkDrained(link):
                desk.has_room(link, step)
            case Stored(token):
                for then in self._waiting.take_write(token):
                    then(step)
            case ReadDone(token, found):
                self._waiting.take_read(token)(step, found)
            case Verified(token, valid):
                self._waiting.take_check(token)(step, valid)
            case WriteFailed():
                self._stopped = True
            case Woke():
                self._wake(step)
            case _:
                desk.command(event, step)

    def _deliver(self, event: Handled | Returned | Post, step: Step) -> None:
        """Take what leaves, what was not begun, and what errands did: one write with that."""
        assert self._desk is not None
        match event:
            case Post():
                self._desk.delivery.post(event, step)
            case Returned():
                self._desk.delivery.returned(event)
            case Handled():
                turns = [turn for _, turn, _, _ in event.results if turn is not None]
                if turns:
                    self._desk.replica_awake(event.topic).turns_ended(turns, step)
                self._desk.delivery.handled(event, step)
            case _:
                assert_never(event)

    def _wake(self, step: Step) -> None:
        """Do what is due."""
        assert self._desk is not None
        for topic, due in list(self._due.items()):
            if due <= step.instant:
                replica = self._desk.replica(topic)
                if replica is not None:
                    replica.tick(step)
                step.touch(topic)
        self._desk.links.tick(step)
        self._desk.delivery.tick(step)
        self._desk.syncing.tick(step)
        if self._desk.mailboxes is not None:
            self._desk.mailboxes.tick(step)

    def _finish(self, step: Step) -> list[Effect]:
        """Send what was said, note what is due, close the step."""
        assert self._desk is not None
        self._is_due_known = False
        self._desk.delivery.finish(step)
        step.settle()
        self._desk.links.flush(step)
        for topic in step.touched:
            replica = self._desk.replica(topic)
            due = None if replica is None else replica.deadline
            if due is None:
                self._due.pop(topic, None)
            else:
                self._due[topic] = due
        if step.writes:
            self._desk.syncing.cursors.save(step)
        return step.finish()
