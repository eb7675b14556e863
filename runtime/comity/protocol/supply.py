"""The supply: what one side of a sync sends of its log, in which order, one piece at a time.

Owns: the requests, the offers and the pump of one topic on one session. May not know: phases,
what this side lacks (`protocol.intake`).

    offers     ids that reconciliation found missing at the peer
    requests   ids that the peer wants, first come first served. They may build on offers, so
               these go first
    pump       every commit after a position, in the order of arrival, and from then on live;
               closed until the position is known

Each call of `next` takes a piece of the first of these that has one, unless a piece is still
on its way. Commits that came from the peer are left out of the pump; where only such ones
follow, a notice tells how far it has come, so that the peer's cursor does not fall behind.
Source: PROTOCOL section 6.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from comity.base.errors import Reason, Rejected
from comity.base.limits import SERVE_COUNT_MAX, WANTS_OPEN_MAX
from comity.protocol.sync_port import Say, Serve
from comity.wire.records import Commits

if TYPE_CHECKING:
    from comity.base.ids import CommitId
    from comity.protocol.sync_port import LogView

__all__ = ["Spans", "Supply"]


class Spans:
    """A set of numbers as ranges: small where the numbers are dense. O(log n) a call."""

    __slots__ = ("_starts", "_stops")

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []

    def __contains__(self, number: int) -> bool:
        """Tell whether a number was added and not dropped."""
        place = bisect_right(self._starts, number) - 1
        return place >= 0 and number < self._stops[place]

    def __len__(self) -> int:
        """Return the number of ranges."""
        return len(self._starts)

    def add(self, number: int) -> None:
        """Add a number; again is fine."""
        place = bisect_right(self._starts, number)
        if place and number < self._stops[place - 1]:
            return
        joins_before = bool(place) and self._stops[place - 1] == number
        joins_after = place < len(self._starts) and self._starts[place] == number + 1
        if joins_before and joins_after:
            self._stops[place - 1] = self._stops.pop(place)
            del self._starts[place]
        elif joins_before:
            self._stops[place - 1] = number + 1
        elif joins_after:
            self._starts[place] = number
        else:
            self._starts.insert(place, number)
            self._stops.insert(place, number + 1)

    def drop_through(self, number: int) -> None:
        """Forget every number up to and with this one."""
        place = bisect_right(self._stops, number + 1)
        del self._starts[:place]
        del self._stops[:place]
        if self._starts and self._starts[0] <= number:
            self._starts[0] = number + 1

    def check(self) -> None:
        """Assert that the ranges are not empty, ascend, and do not touch."""
        assert len(self._starts) == len(self._stops)
        edges = [edge for pair in zip(self._starts, self._stops, strict=True) for edge in pair]
        assert all(before < behind for before, behind in pairwise(edges))


class Supply:
    """What is yet to be sent of one log to one peer."""

    __slots__ = (
        "_from_peer",
        "_notice",
        "_offers",
        "_out",
        "_position",
        "_requests",
        "_tag",
        "_target",
        "_view",
    )

    def __init__(self, view: LogView, tag: bytes) -> None:
        """Start with nothing to send and the pump closed."""
        self._view = view
        self._tag = tag
        self._requests: deque[deque[CommitId]] = deque()
        self._offers: deque[CommitId] = deque()
        self._position: int | None = None
        self._target: int | None = None
        self._from_peer = Spans()
        self._notice = False
        self._out = False

    @property
    def position(self) -> int | None:
        """Number up to which the pump has come; None while it is closed."""
        return self._position

    @property
    def busy(self) -> bool:
        """Tell whether a piece is on its way."""
        return self._out

    @property
    def offering(self) -> bool:
        """Tell whether offers are waiting or a piece is on its way."""
        return bool(self._offers) or self._out

    def request(self, ids: Sequence[CommitId]) -> Rejected | None:
        """Queue what the peer wants. Rejected: RATE, more requests than it may leave open."""
        if len(self._requests) >= WANTS_OPEN_MAX:
            return Rejected(Reason.RATE, f"more than {WANTS_OPEN_MAX} open wants")
        held = (each for each in ids if self._view.arrival_of(each) is not None)
        self._requests.append(deque(held))
        return None

    def offer(self, ids: Iterable[CommitId]) -> None:
        """Queue what the peer lacks, parents first."""
        self._offers.extend(ids)

    def answer(self, position: int) -> None:
        """Open the pump behind the peer's cursor; the answer ends with what is here now."""
        assert self._position is None
        self._target = self._view.arrival
        self.open(min(position, self._target))

    def open(self, position: int) -> None:
        """Open the pump: nothing up to `position` is missing at the peer. Open: no change."""
        if self._position is None:
            self._position = position
            self._from_peer.drop_through(position)

    def came_from_peer(self, arrival: int) -> None:
        """Leave this commit of ours out of the pump."""
        if self._position is None or arrival > self._position:
            self._from_peer.add(arrival)

    def served(self) -> None:
        """Note that the piece which was on its way has left."""
        assert self._out, "nothing was being served"
        self._out = False

    def notice(self) -> tuple[Say, ...]:
        """Tell the peer how far the pump has come, where commits of its own moved it."""
        if not self._notice or self._out:
            return ()
        assert self._position is not None
        self._notice = False
        return (Say(Commits(self._tag, (), self._position, last=True)),)

    def next(self) -> tuple[Serve | Say, ...]:
        """Return what to send next, at most one piece; nothing while one is on its way."""
        said: list[Serve | Say] = []
        if not self._out and self._offers:
            said.append(self._serve(self._cut(self._offers), 0, last=False))
        while not self._out and self._requests:
            said.append(self._next_request())
        if not self._out and self._position is not None:
            said += self._pump(self._position)
        return tuple(said)

    def _next_request(self) -> Serve | Say:
        ids = self._cut(self._requests[0])
        last = not self._requests[0]
        if last:
            self._requests.popleft()
        if not ids:
            return Say(Commits(self._tag, (), 0, last=True))
        return self._serve(ids, 0, last=last)

    def _pump(self, position: int) -> list[Serve | Say]:
        """Go on from the position until something is to be sent, or to the end."""
        view = self._view
        while view.arrival > position:
            found = view.arrivals_after(position, SERVE_COUNT_MAX)
            ids = tuple(each for number, each in found if number not in self._from_peer)
            self._position = position = found[-1][0]
            self._from_peer.drop_through(position)
            if not ids:
                self._notice = True
                continue
            self._notice = False
            last = self._target is None or position >= self._target
            if last:
                self._target = None
            return [self._serve(ids, position, last=last)]
        if self._target is None:
            return []
        self._target = None
        self._notice = False
        return [Say(Commits(self._tag, (), position, last=True))]

    def _serve(self, ids: tuple[CommitId, ...], arrival: int, *, last: bool) -> Serve:
        self._out = True
        return Serve(ids, arrival, last)

    def _cut(self, queue: deque[CommitId]) -> tuple[CommitId, ...]:
        return tuple(queue.popleft() for _ in range(min(SERVE_COUNT_MAX, len(queue))))

    def check(self) -> None:
        """Assert the invariants of the queues."""
        self._from_peer.check()
        assert len(self._requests) <= WANTS_OPEN_MAX
        assert self._target is None or self._position is not None
