"""A traitor: the mouth of a Byzantine node, between its honest core and its sessions.

Owns: what becomes of the records that the core says. May not know: what is a lie
(`faults.byzantine` gives the lies). A session's tag stands in most records, so a lie can tell
one peer this and another that.
Source: CHAOS 'Faults', Byzantine peer.
"""

from __future__ import annotations

from collections.abc import Callable

from comity.base.errors import Rejected
from comity.wire.records import Codec, Record

__all__ = ["Lie", "Traitor"]

Lie = Callable[[tuple[Record, ...]], tuple[Record, ...] | bytes]
"""Turns what was to be said into what is said; bytes are sent as they are."""


class Traitor:
    """A codec that lies. Implements `wire.records.Codec`."""

    __slots__ = ("_codec", "lies")

    def __init__(self, codec: Codec) -> None:
        """Speak the truth by `codec` until a lie is added."""
        self._codec = codec
        self.lies: list[Lie] = []

    def encode(self, batch: tuple[Record, ...]) -> bytes:
        """Encode what the lies leave of a batch."""
        for lie in tuple(self.lies):
            said = lie(batch)
            if isinstance(said, bytes):
                return said
            batch = said
        return self._codec.encode(batch)

    def decode(self, data: bytes) -> tuple[Record, ...] | Rejected:
        """Hear as everybody does."""
        return self._codec.decode(data)
