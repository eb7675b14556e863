"""What one step of the core brings together before anything leaves it.

Owns: the order 'decide first, act after; persist, then release': changes of a step become one
`Write`, and what must wait for it is kept under its token until `Stored` comes; likewise for
reads. May not know: what the changes mean.
Source: STYLE 'State machines', ARCHITECTURE invariant 3.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from comity.actor.fold import Errands
from comity.base.clock import Instant, Moment
from comity.base.errors import Rejected
from comity.base.ids import CommitId, DeviceId, Token, Topic
from comity.node.effects import (
    Answer,
    Drop,
    Effect,
    Progress,
    Put,
    Read,
    Release,
    Report,
    Table,
    VerifyBatch,
    Write,
)

__all__ = ["Rows", "Step", "Waiting"]

_REPLIES: Final = (Answer, Release, Progress, Errands)
"""Effects that wait for no write of their step: commands answer and turns are released when
they are durable already, senders are told of what is, and what comes in promises nothing."""

Rows = tuple[tuple[bytes, bytes], ...]
"""Keys and values in key order."""


class Waiting:
    """What waits: writes in the order they were asked for, reads and checks by token."""

    __slots__ = ("_checks", "_next", "_reads", "_writes")

    def __init__(self) -> None:
        """Start with nothing outstanding."""
        self._next = 1
        self._writes: deque[tuple[Token, list[Callable[[Step], None]]]] = deque()
        self._reads: dict[Token, Callable[[Step, Rows], None]] = {}
        self._checks: dict[Token, Callable[[Step, tuple[bool, ...]], None]] = {}

    @property
    def idle(self) -> bool:
        """Whether all that was written is on disk."""
        return not self._writes

    def add_write(self, then: list[Callable[[Step], None]]) -> Token:
        """Number a new `Write` and keep what waits for it."""
        token = self._token()
        self._writes.append((token, then))
        return token

    def join(self, then: list[Callable[[Step], None]]) -> None:
        """Wait for the newest outstanding `Write`."""
        self._writes[-1][1].extend(then)

    def take_write(self, token: Token) -> list[Callable[[Step], None]]:
        """Return what waited for `token`, which must be the oldest outstanding."""
        oldest, then = self._writes.popleft()
        assert oldest == token
        return then

    def add_read(self, then: Callable[[Step, Rows], None]) -> Token:
        """Number a new `Read` and keep who wants the rows."""
        token = self._token()
        self._reads[token] = then
        return token

    def take_read(self, token: Token) -> Callable[[Step, Rows], None]:
        """Return who wanted the rows of `token`."""
        return self._reads.pop(token)

    def add_check(self, then: Callable[[Step, tuple[bool, ...]], None]) -> Token:
        """Number a new `VerifyBatch` and keep who wants to know."""
        token = self._token()
        self._checks[token] = then
        return token

    def take_check(self, token: Token) -> Callable[[Step, tuple[bool, ...]], None]:
        """Return who wanted to know what `token` asks."""
        return self._checks.pop(token)

    def _token(self) -> Token:
        token = Token(self._next)
        self._next += 1
        return token


class Step:
    """The collector of one call of `Core.step`."""

    __slots__ = ("_changes", "_effects", "_then", "_touched", "_waiting", "now")

    def __init__(self, now: Moment, waiting: Waiting) -> None:
        """Start empty, at the present that the driver told."""
        self.now = now
        self._waiting = waiting
        self._changes: list[Put | Drop] = []
        self._then: list[Callable[[Step], None]] = []
        self._effects: list[Effect] = []
        self._touched: dict[Topic, None] = {}

    @property
    def instant(self) -> Instant:
        """The present, monotonic."""
        return self.now.instant

    @property
    def writes(self) -> bool:
        """Whether anything is to be written: then more of it costs next to nothing."""
        return bool(self._changes)

    @property
    def touched(self) -> tuple[Topic, ...]:
        """Topics whose deadline may have moved in this step."""
        return tuple(self._touched)

    def touch(self, topic: Topic) -> None:
        """Say that the topic's deadline may have moved."""
        self._touched[topic] = None

    def put(self, table: Table, key: bytes, value: bytes) -> None:
        """Set a row in this step's transaction."""
        self._changes.append(Put(table, key, value))

    def drop(self, table: Table, key: bytes) -> None:
        """Delete a row in this step's transaction."""
        self._changes.append(Drop(table, key))

    def read(
        self,
        table: Table,
        keys: tuple[bytes, bytes],
        rows_max: int,
        then: Callable[[Step, Rows], None],
    ) -> None:
        """Read rows with keys[0] <= key < keys[1] and go on with them in a later step."""
        token = self._waiting.add_read(then)
        self.act(Read(token, table, keys[0], keys[1], rows_max))

    def verify(
        self,
        claims: tuple[tuple[bytes, bytes, bytes], ...],
        then: Callable[[Step, tuple[bool, ...]], None],
    ) -> None:
        """Have signatures checked and go on, in a later step, with which are right."""
        self.act(VerifyBatch(self._waiting.add_check(then), claims))

    def when_durable(self, then: Callable[[Step], None]) -> None:
        """Go on, in a later step, once everything written so far is on disk."""
        self._then.append(then)

    def act(self, effect: Effect) -> None:
        """Do something that promises nothing about what is on disk."""
        self._effects.append(effect)

    def report(
        self,
        what: str,
        *,
        topic: Topic | None = None,
        commit: CommitId | None = None,
        device: DeviceId | None = None,
        refusal: Rejected | None = None,
        detail: str = "",
    ) -> None:
        """Tell the owner."""
        self.act(Report(what, topic, commit, device, refusal, detail))

    def settle(self) -> None:
        """Let what waits go on at once where nothing is outstanding to wait for."""
        while self._then and not self._changes and self._waiting.idle:
            ready, self._then = self._then, []
            for then in ready:
                then(self)

    def finish(self) -> list[Effect]:
        """Close the step: what earlier transactions allow, its own one, its other effects.

        Replies go out before the transaction: they rest on earlier ones only, and whoever
        waits for one should not wait for a second sync of the disk. What waits without
        anything written in this step waits for the newest transaction.
        """
        self.settle()
        if self._changes:
            token = self._waiting.add_write(self._then)
            replies = [each for each in self._effects if isinstance(each, _REPLIES)]
            others = [each for each in self._effects if not isinstance(each, _REPLIES)]
            return [*replies, Write(token, tuple(self._changes)), *others]
        if self._then:
            self._waiting.join(self._then)
        return self._effects
