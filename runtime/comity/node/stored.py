"""Stored states: what a cell had folded lies on disk, so the next one folds only what is new.

Owns: the row of one actor: when a cell is asked for a state, how it is sealed, whether what is
found stands for the log that is here. May not know: what is in it (`actor.stored`), cells.

    turns enough since the last --nothing came for COLD_WAIT, or far too many wait--> wanted
    wanted --the cell shows the whole log, all of it durable--> it is asked --> one row

    row   = clear | nonce | length | cipher        sealed as a commit is, under a key of the log
    clear = 0xC5 | version | epoch 32 | count of commits u64 | digest of their ids 32

It decides nothing and proves nothing. A row that cannot be opened, is of another version, or
stands for commits that are not those here in just this order, is left out and said, and the log
is folded. So a store that lost rows, or was put back from a copy, is as good as without it.
Source: issue 3 item 5; decision 35.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from comity.base.clock import Instant, after
from comity.base.errors import Rejected
from comity.base.ids import ID_BYTES, CommitId
from comity.base.limits import COLD_WAIT, STATE_SHARE, STATE_TURNS
from comity.crypto.hashing import PERSON_STATE, blake2b
from comity.crypto.port import NONCE_LONG_BYTES
from comity.log.seal import ContentKey, open_sealed, seal
from comity.log.sealed import Sealed
from comity.node.effects import Table
from comity.node.journal import Journal
from comity.node.step import Rows, Step

__all__ = ["Frozen", "Stored"]

_PATIENCE: Final = 4
"""So many times what is worth storing, and no pause is waited for: who never rests has a
quarter of all turns to fold at most."""

_MAGIC: Final = 0xC5
_VERSION: Final = 1
_HEAD: Final = bytes((_MAGIC, _VERSION))
_DIGEST_BYTES: Final = 32
_CLEAR_BYTES: Final = len(_HEAD) + ID_BYTES + 8 + _DIGEST_BYTES
_START: Final = _CLEAR_BYTES + NONCE_LONG_BYTES + 4

Frozen = tuple[int, bytes]
"""How many commits a state stands for, from the first; what the cell made of it."""


class Stored:
    """The stored state of one actor."""

    __slots__ = ("_counted", "_due", "_journal", "_kept", "_refused", "_turns", "wanted")

    def __init__(self, journal: Journal) -> None:
        """Begin without knowing what the store has. wanted: the cell is to be asked now."""
        self._journal = journal
        self._due: Instant | None = None
        self._counted = self._turns = 0
        self._kept = 0
        self._refused = False
        self.wanted = False

    @property
    def deadline(self) -> Instant | None:
        """When `tick` is due."""
        return self._due

    def read(
        self, step: Step, durable: int, then: Callable[[Step, Frozen | None], None]
    ) -> None:
        """Read what the store has, if the log is long enough for it, and go on with it."""
        self._kept = 0
        self._due = None
        self.wanted = self._refused = False
        if self._count(durable) < STATE_TURNS:
            then(step, None)
            return
        topic = self._journal.topic

        def arrived(later: Step, found: Rows) -> None:
            frozen = None
            for key, row in found:
                if key == topic:
                    frozen = self._open(row, durable)
                    if frozen is None:
                        self.refuse(later, "it does not stand for the log that is here")
            if frozen is not None:
                self._kept = self._turns_of(frozen[0])
            then(later, frozen)

        step.read(Table.STATE, (topic, topic + b"\0"), 1, arrived)

    def refuse(self, step: Step, why: str) -> None:
        """Leave out what the store has: all is folded, and stored anew."""
        self._kept = 0
        step.drop(Table.STATE, self._journal.topic)
        step.report("stored state left out", topic=self._journal.topic, detail=why)

    def grown(self, durable: int, step: Step) -> None:
        """Learn how many commits are durable, while a cell shows them: wait for more."""
        behind = self._count(durable) - self._kept
        if self._refused or self.wanted or behind < self._least:
            return
        if self._due is None or behind < _PATIENCE * self._least:
            self._due = after(step.instant, COLD_WAIT)
            step.touch(self._journal.topic)

    def tick(self, step: Step) -> bool:
        """Want a state if it is time; tell if so."""
        if self._due is None or self._due > step.instant:
            return False
        self._due = None
        self.wanted = True
        step.touch(self._journal.topic)
        return True

    def is_far_behind(self, durable: int) -> bool:
        """Tell whether a cell that has just loaded had to fold more than it should."""
        return not self._refused and self._count(durable) - self._kept >= self._least

    def keep(self, step: Step, count: int, data: bytes | None) -> None:
        """Store what a cell made of the first `count` commits, all durable; None: it cannot."""
        self.wanted = False
        self._due = None
        step.touch(self._journal.topic)
        if data is None:
            self._refused = True
            return
        self._kept = self._turns_of(count)
        index_of = self._journal.graph.index_of
        held = [epoch for epoch, _ in self._journal.epochs.held]
        epoch = max(held, key=lambda each: index_of(each) or 0)
        key = self._journal.epochs.key(epoch)
        assert key is not None
        row = seal(self._journal.crypto, key, self._clear(epoch, count), data)
        step.put(Table.STATE, self._journal.topic, row)

    def forget(self) -> None:
        """No cell shows the actor any more."""
        self._due = None
        self.wanted = False

    @property
    def _least(self) -> int:
        """Turns beyond the last state that make another one worth its cost."""
        return max(STATE_TURNS, self._turns // STATE_SHARE)

    def _count(self, durable: int) -> int:
        """Return the number of turns of the first commits."""
        if durable > self._counted:
            count = self._journal.turn_count
            self._turns += sum([count(commit) for commit in range(self._counted, durable)])
            self._counted = durable
        return self._turns

    def _turns_of(self, count: int) -> int:
        """Return the number of turns of commits that a state stands for."""
        later = [self._journal.turn_count(commit) for commit in range(count, self._counted)]
        return self._turns - sum(later)

    def _clear(self, epoch: CommitId, count: int) -> bytes:
        id_of = self._journal.graph.id_of
        ids = b"".join([id_of(commit) for commit in range(count)])
        digest = blake2b(ids, person=PERSON_STATE)
        return _HEAD + epoch + count.to_bytes(8, "little") + digest

    def _open(self, row: bytes, durable: int) -> Frozen | None:
        """Open a row; None if it is damaged, of another version, or of another log."""
        if len(row) < _START or row[:2] != _HEAD:
            return None
        epoch = CommitId(row[2 : 2 + ID_BYTES])
        count = int.from_bytes(row[2 + ID_BYTES : 10 + ID_BYTES], "little")
        key = self._journal.epochs.key(epoch)
        length = int.from_bytes(row[_START - 4 : _START], "little")
        if key is None or not 0 < count <= durable or _START + length != len(row):
            return None
        if row[:_CLEAR_BYTES] != self._clear(epoch, count):
            return None
        plain = self._unseal(key, row)
        return None if isinstance(plain, Rejected) else (count, plain)

    def _unseal(self, key: ContentKey, row: bytes) -> bytes | Rejected:
        clear, nonce = row[:_CLEAR_BYTES], row[_CLEAR_BYTES : _START - 4]
        sealed = Sealed(1, b"", None, clear, nonce, row[_START:])
        return open_sealed(self._journal.crypto, key, sealed)
