"""A codec that decodes the same bytes once.

Owns: what bytes were found to mean. May not know: who sends or hears them. In a world all nodes
share one codec, and `ProtobufCodec.encode` decodes what it made to check itself; so what an
honest node says was decoded, whole, before it is heard. Decoding is a pure function of bytes:
altered bytes are other bytes, and are decoded.
Source: CHAOS 'Architecture', World.
"""

from __future__ import annotations

from typing import Final

from comity.base.errors import Rejected
from comity.wire.codec import ProtobufCodec
from comity.wire.records import Record

__all__ = ["RecallingCodec"]

_KEPT_MAX: Final = 4096
"""Batches that are remembered: more than are on their way in a world of a hundred nodes; with
half as many, some of a larger one are decoded again."""


class RecallingCodec(ProtobufCodec):
    """The codec of the wire, with a memory. Implements `wire.records.Codec`."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        """Start without a memory."""
        self._known: dict[bytes, tuple[Record, ...] | Rejected] = {}

    def decode(self, data: bytes) -> tuple[Record, ...] | Rejected:
        """Decode a batch, or remember what it was decoded to."""
        found = self._known.get(data)
        if found is None:
            found = super().decode(data)
            if len(self._known) >= _KEPT_MAX:
                del self._known[next(iter(self._known))]
            self._known[data] = found
        return found
