"""What all hosts of one dispatcher share: its services and its measures.

Owns: the shape, and the constants of hosting. May not know: cells, threads.
Source: API 'Time, failure, limits'; decision 0009.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from comity.actor.actor import Actor
from comity.actor.fold import CellEvent
from comity.actor.message import Message
from comity.actor.randomness import Randomness
from comity.base.clock import MILLISECOND, Duration, Moment
from comity.base.ids import Topic
from comity.drivers.dispatch.alarms import Alarms
from comity.drivers.dispatch.dead_letters import DeadLetters
from comity.drivers.dispatch.doorway import Doorway
from comity.drivers.dispatch.outside import Outside
from comity.drivers.dispatch.pool import Job

if TYPE_CHECKING:
    from comity.drivers.dispatch.host import CellHost

__all__ = ["BATCH_BUDGET", "MAILBOX_BYTES_MAX", "STOP_GRACE", "Hosting"]

MAILBOX_BYTES_MAX: Final = 16 * 1024 * 1024
"""Bytes in the arguments of the messages that wait for one actor: a few hundred pictures. Half
refuses a page of them, twice is felt where a hundred actors are slow at the same time."""

STOP_GRACE: Final = 1.0
"""Seconds that an open handler of a stopping actor has to end: enough for what another actor
is asked; one that sleeps or waits for the world is cut off."""

BATCH_BUDGET: Final = Duration(2 * MILLISECOND)
"""Time that an actor has before others get their turn. A count of messages would not do: a
hundred that sleep 20 ms each delay the rest by 2 s. Half costs throughput where handlers
are short, twice is felt by others where they are long."""


@dataclass(frozen=True, slots=True)
class Hosting:
    """What all hosts of one dispatcher share.

    submit: has a worker run a batch of a host.
    emit: takes each cell event, in the order of that cell's turns; cheap, from any worker.
    on_failure: is told what a message raised that nobody awaits, or what stopped an actor.
    forget: is called once when a stopped host has given its last reply.
    renew: has the log of a host's actor fed to its new, empty cell.
    adopt: hosts a child of a host; returns it and its ref. find: returns the host behind a ref.
    follow: returns what carries messages to what a field refers to.
    dead_letters: keeps what is taken and never handled.
    mailbox_max: messages that may wait in one mailbox, if the actor's class does not say.
    alarms, outside: who keeps time, and whatever else handlers await.
    doorway: where messages from other devices come from.
    moment, randomness: what actors get as `self.now` and `self.random`.
    """

    submit: Callable[[Job], None]
    emit: Callable[[CellEvent], None]
    on_failure: Callable[[Topic, BaseException, Message], None]
    forget: Callable[[CellHost], None]
    renew: Callable[[CellHost], None]
    adopt: Callable[[CellHost, type[Actor]], tuple[CellHost, object]]
    find: Callable[[object], CellHost | None]
    follow: Callable[[object], object]
    dead_letters: DeadLetters
    mailbox_max: int
    alarms: Alarms
    doorway: Doorway
    outside: Outside
    moment: Callable[[], Moment]
    randomness: Randomness
