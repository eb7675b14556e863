"""A shelf: the sealed commits of one topic on a relay, which can read none of them.

Owns: what a relay checks without a key, the layout and the quota, and what it keeps. May not
know: keys, parents, authors; the order of arrival is all the order it has, and it serves by
generation. To sync it is a `protocol.sync.LogView` like a replica, without heads.
Source: PROTOCOL section 8.
"""

from __future__ import annotations

from typing import Final

from comity.base.errors import Reason, Rejected
from comity.base.ids import CommitId, DeviceId, Topic
from comity.crypto.port import SIGNATURE_BYTES
from comity.log.sealed import commit_id, parse
from comity.node import rows
from comity.node.effects import Table
from comity.node.holdings import Holdings
from comity.node.replica import Listener, Source
from comity.node.step import Rows, Step
from comity.wire.records import Commit

__all__ = ["SHELF_BYTES_MAX", "SHELF_COMMITS_MAX", "Shelf"]

SHELF_BYTES_MAX: Final = 256 * 1024 * 1024
"""Bytes of one topic: years of a large group; 1,000 such topics fill a common disk."""

SHELF_COMMITS_MAX: Final = 1_000_000
"""Commits of one topic: their book in memory costs about 250 bytes each."""


class Shelf:
    """One topic on a relay."""

    __slots__ = ("_expected", "_listener", "_size", "holdings", "topic")

    def __init__(self, topic: Topic, listener: Listener, *, store: bytes, found: Rows) -> None:
        """Rebuild a shelf from its rows."""
        self.topic = topic
        self._listener = listener
        self._size = 0
        self.holdings = Holdings(store)
        for _, value in found:
            commit = rows.decode_commit(value)
            sealed = parse(commit.sealed)
            assert not isinstance(sealed, Rejected), "a stored commit was checked before"
            self.holdings.add(commit_id(topic, commit.sealed), sealed.gen)
            self._size += len(value)
        self._expected: dict[bytes, None] = {}

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self._size

    def heads(self) -> tuple[CommitId, ...]:
        """Return nothing: a relay cannot tell who builds on whom."""
        return ()

    def missing_of(self, _peer: DeviceId) -> tuple[CommitId, ...]:
        """Return nothing: a relay waits for no parents."""
        return ()

    def take(self, step: Step, commit: Commit, source: Source) -> None:
        """Keep a commit, or refuse it with a reason."""
        identifier = commit_id(self.topic, commit.sealed)
        if self.holdings.has(identifier) or identifier in self._expected:
            return
        sealed = parse(commit.sealed)
        value = rows.encode_commit(commit)
        number = self.holdings.count + len(self._expected) + 1
        refusal: Rejected | None = None
        if isinstance(sealed, Rejected):
            refusal = sealed
        elif len(commit.beside) != SIGNATURE_BYTES:
            refusal = Rejected(Reason.MALFORMED, f"{len(commit.beside)} bytes beside it")
        elif self._size + len(value) > SHELF_BYTES_MAX or number > SHELF_COMMITS_MAX:
            refusal = Rejected(Reason.QUOTA, f"{self._size} bytes, {number - 1} commits")
        if refusal is not None or isinstance(sealed, Rejected):
            assert refusal is not None
            self._listener.refused(step, self.topic, identifier, refusal, source)
            return
        gen = sealed.gen
        self._size += len(value)
        self._expected[identifier] = None
        step.put(Table.COMMIT, rows.commit_key(self.topic, number), value)

        def durable(later: Step) -> None:
            del self._expected[identifier]
            self.holdings.add(identifier, gen)
            self._listener.stored(later, self.topic, (identifier,), source)

        step.when_durable(durable)
