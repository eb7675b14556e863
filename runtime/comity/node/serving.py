"""Serving: pages of commits, read from the store and sent when a link has room and is due.

Owns: what waits for room on a link, what waits for a peer's share of this node's bandwidth,
and which runs a peer has been sent whole. May not know: which commits a peer asked for
(`protocol.sync`), what records mean.

    asked --read, said--> sent --little--> the next page
                          sent --much--> waits for room --LinkDrained--> the next page
                          sent --beyond its share--> rests --due--> waits for room

Source: PROTOCOL section 6; PERFORMANCE 'Slow peers'.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from comity.base.clock import Instant
from comity.base.ids import LinkId, Topic
from comity.base.limits import SERVED_BYTES_A_SECOND, SERVED_BYTES_AT_ONCE
from comity.node.dialer import Purpose
from comity.node.effects import AwaitRoom
from comity.node.links import Link, Links
from comity.node.replica import Replica
from comity.node.shelf import Shelf
from comity.node.step import Step
from comity.protocol.bucket import Bucket
from comity.protocol.sync_port import Serve, records_of
from comity.wire.records import Commit

__all__ = ["Serving"]

_ROOM_BYTES: Final = 16 * 1024
"""A page of commits beyond this waits for room on its link before the next one is read."""


class _Counter:
    """What one link is being served."""

    __slots__ = ("bucket", "served", "straddling")

    def __init__(self) -> None:
        self.served: list[Topic] = []
        self.straddling: dict[Topic, tuple[int, ...]] = {}
        self.bucket = Bucket(at_once=SERVED_BYTES_AT_ONCE, rate=SERVED_BYTES_A_SECOND)


class Serving:
    """What a node serves over all its links."""

    __slots__ = ("_counters", "_links", "_rest_until")

    def __init__(self, links: Links) -> None:
        """Start without a link."""
        self._links = links
        self._counters: dict[LinkId, _Counter] = {}
        self._rest_until: dict[tuple[LinkId, Topic], Instant] = {}

    @property
    def deadline(self) -> Instant | None:
        """When `tick` is due."""
        return min(self._rest_until.values(), default=None)

    def tick(self, step: Step) -> None:
        """Wait for room for what has rested."""
        for (link, topic), due in list(self._rest_until.items()):
            if due <= step.instant:
                del self._rest_until[link, topic]
                self._counters[link].served.append(topic)
                step.act(AwaitRoom(link))

    def opened(self, link: LinkId) -> None:
        """A link is open."""
        self._counters[link] = _Counter()

    def closed(self, link: LinkId) -> None:
        """Forget a link."""
        self._counters.pop(link, None)
        for name in [name for name in self._rest_until if name[0] == link]:
            del self._rest_until[name]

    def has_room(self, link: LinkId) -> list[Topic]:
        """What was sent over a link has left: return whose next pages may be asked for."""
        counter = self._counters.get(link)
        if counter is None:
            return []
        waiting, counter.served = counter.served, []
        return waiting

    def read(
        self,
        link: Link,
        holding: Replica | Shelf,
        serve: Serve,
        step: Step,
        then: Callable[[Step, list[Commit]], None],
    ) -> None:
        """Read the commits of a page from the store."""
        holdings = holding.holdings
        numbers = [holdings.arrival_of(commit) for commit in serve.ids]
        wanted = [number for number in numbers if number is not None]
        if isinstance(holding, Shelf):
            holding.read(step, wanted, then)
        elif link.purpose is Purpose.RELAY:
            holding.read_singles(step, wanted, then)
        else:
            if serve.arrival:
                # Page follows page: what the last one sent whole is not sent again.
                straddling = self._counters[link.id].straddling
                sent = straddling.get(holding.topic, ())
                straddling[holding.topic] = holding.cold.beyond(wanted)
                wanted = holding.cold.without(wanted, sent)
            holding.cold.serve(step, wanted, then)

    def send(
        self, link: Link, topic: Topic, tag: bytes, serve: Serve, commits: list[Commit],
        step: Step,
    ) -> bool:  # fmt: skip
        """Send a page. Tells whether the next one may be asked for at once."""
        for record in records_of(tag, serve, commits):
            self._links.say(link, record, step)
        counter = self._counters[link.id]
        size = sum(len(commit.sealed) for commit in commits)
        ready = counter.bucket.spend(size, step.instant)
        if ready > step.instant:
            self._rest_until[link.id, topic] = ready
        elif size < _ROOM_BYTES:
            return True
        else:
            counter.served.append(topic)
            self._links.flush(step)
            step.act(AwaitRoom(link.id))
        return False
