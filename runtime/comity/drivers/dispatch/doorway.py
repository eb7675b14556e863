"""The doorway: where messages from other devices come to the actors of this node.

Owns: which of them wait for room in a mailbox, and the cycles of waiting actors that pass
through other devices. May not know: links, edges, what a turn does.

    deliver --room--> mailbox --a turn each--> Handled
    deliver --mailbox full--> waiting --room--> mailbox   unacknowledged: the sender keeps them
    deliver --not hosted--> Returned

A chain names the actors that wait for an ask, on whatever device. Whoever is asked, and waits
himself for one of them, would wait for ever: the ask is refused instead.
Source: API 'Time, failure, limits' (a cycle does not hang); decision 27.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from comity.actor.errand import Batch, Errand
from comity.actor.fold import Call, CellEvent, Errands, Handled, Result
from comity.actor.waits import WALK_MAX, Answerer
from comity.base.endings import Ending
from comity.base.ids import DeviceId, Topic
from comity.base.limits import CHAIN_MAX
from comity.crypto.hashing import PERSON_ACTOR, blake2b
from comity.drivers.dispatch.errors import MailboxFull

if TYPE_CHECKING:
    from comity.drivers.dispatch.host import CellHost

__all__ = ["Doorway", "chain_name", "refused"]

_NAME_BYTES: Final = 16


def chain_name(device: DeviceId, topic: Topic) -> bytes:
    """Return what an actor on a device is called in chains."""
    return blake2b(device + topic, size=_NAME_BYTES, person=PERSON_ACTOR)


class Doorway:
    """One of each node. device: this one, which is known once the node runs."""

    __slots__ = ("_emit", "_find", "_lock", "_open", "_waiting", "device")

    def __init__(
        self, find: Callable[[Topic], CellHost | None], emit: Callable[[CellEvent], None]
    ) -> None:
        """Let in by `find`; tell the core by `emit`."""
        self._find = find
        self._emit = emit
        self._lock = threading.Lock()
        self._waiting: dict[Topic, deque[Batch]] = {}
        self._open: dict[CellHost, Errand] = {}
        self.device: DeviceId | None = None

    def deliver(self, errands: Errands) -> None:
        """Bring messages of one device to an actor, behind those that wait already."""
        batch = self._without_cycles(Batch(errands))
        if not batch.left:
            return
        with self._lock:
            queue = self._waiting.get(errands.topic)
            if queue is not None:
                queue.append(batch)
                return
        if not self._put(batch):
            with self._lock:
                self._waiting[errands.topic] = deque((batch,))
            self._await_room(errands.topic)

    def _put(self, batch: Batch) -> bool:
        """Put a batch into its mailbox, or give it back; False if there is no room."""
        host = self._find(batch.topic)
        try:
            if host is None or not host.post(batch, None):
                self._emit(batch.returned())
        except MailboxFull:
            return False
        return True

    def _await_room(self, topic: Topic) -> None:
        host = self._find(topic)
        if host is None:
            self._let_in(topic)
        else:
            host.room().follow(lambda _: self._let_in(topic))

    def _let_in(self, topic: Topic) -> None:
        """Put what waits into the mailbox, as far as there is room."""
        while True:
            with self._lock:
                queue = self._waiting.get(topic)
                if not queue:
                    self._waiting.pop(topic, None)
                    return
                batch = queue[0]
            if not self._put(batch):
                self._await_room(topic)
                return
            with self._lock:
                queue.popleft()

    # ----------------------------------------------------------------- cycles

    def began(self, host: CellHost, errand: Errand) -> None:
        """An actor handles a message of another device that wants a reply."""
        self._open[host] = errand

    def ended(self, host: CellHost) -> None:
        """It has ended, or was cut off."""
        self._open.pop(host, None)

    def chain_of(self, host: CellHost) -> tuple[bytes, ...]:
        """Return who waits, on any device, for what an actor asks now; itself last."""
        found: dict[bytes, None] = {}
        for asked, errand in list(self._open.items()):
            if any(each is host for each in _waits(asked)):
                found.update(dict.fromkeys(errand.call.chain))
                found[self._name(asked.topic)] = None
        found.pop(self._name(host.topic), None)
        return (*found, self._name(host.topic))[-CHAIN_MAX:]

    def _without_cycles(self, batch: Batch) -> Batch:
        """Answer the asks that would wait for themselves, before they wait in a mailbox."""
        if not any(call.chain for _, call, _ in batch.left):
            return batch
        host = self._find(batch.topic)
        for item in list(batch.left):
            number, call, _ = item
            why = None if host is None else self.refuse(host, call)
            if why is not None:
                batch.left.remove(item)
                self._emit(refused(batch, number, call, Ending.DEADLOCK, why))
        return batch

    def refuse(self, host: CellHost, call: Call) -> str | None:
        """Say why an ask would wait for itself; None if it would not."""
        if not call.chain:
            return None
        for waiting in _waits(host):
            far = getattr(waiting.awaits, "far", None)
            if self._name(waiting.topic) in call.chain or far in call.chain:
                return (
                    f"{host.label} waits for who asks it: use tell, or have it tell the reply"
                )
        return None

    def _name(self, topic: Topic) -> bytes:
        assert self.device is not None
        return chain_name(self.device, topic)


def _waits(host: CellHost) -> Iterator[CellHost]:
    """Walk from an actor to whom it waits for, as far as that is on this node."""
    current: Answerer | None = host
    for _ in range(WALK_MAX):
        if not isinstance(current, type(host)):
            return
        yield current
        awaited = current.awaits
        current = None if awaited is None else awaited.answerer


def refused(batch: Batch, number: int, call: Call, ending: Ending, why: str) -> Handled:
    """Return what the core is told of an errand that is not begun."""
    told = ending if call.wants_reply else None
    result: Result = (number, None, told, why.encode())
    return Handled(batch.topic, batch.sender, (result,))
