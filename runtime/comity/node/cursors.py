"""Cursors: how far the store of each peer was read, by topic.

Owns: their rows. May not know: what is read (`protocol.sync`).
Source: PROTOCOL section 6 'Since'.
"""

from __future__ import annotations

from comity.base.ids import DeviceId, Topic
from comity.node import rows
from comity.node.effects import Table
from comity.node.step import Rows, Step

__all__ = ["Cursors"]


class Cursors:
    """The cursors of one node."""

    __slots__ = ("_known", "_unsaved")

    def __init__(self, found: Rows) -> None:
        """Start with the rows of the store."""
        self._known: dict[tuple[Topic, DeviceId], dict[bytes, int]] = {}
        self._unsaved: dict[bytes, int] = {}
        for key, value in found:
            topic, peer, store = rows.split_cursor_key(key)
            self.of(topic, peer)[store] = rows.decode_number(value)

    def of(self, topic: Topic, peer: DeviceId) -> dict[bytes, int]:
        """Return the cursors into the stores of a peer, which later notes change."""
        return self._known.setdefault((topic, peer), {})

    def note(self, topic: Topic, peer: DeviceId, store: bytes, arrival: int) -> None:
        """Remember how far a store was read."""
        self.of(topic, peer)[store] = arrival
        self._unsaved[rows.cursor_key(topic, peer, store)] = arrival

    def save(self, step: Step) -> None:
        """Write them beside something else that is to be written.

        Whoever has lost the last of it asks again for what came since: for a page at most, as
        the next page brings a write. So no commit costs a sync of the disk for this alone.
        """
        for key, arrival in self._unsaved.items():
            step.put(Table.CURSOR, key, rows.encode_number(arrival))
        self._unsaved.clear()
