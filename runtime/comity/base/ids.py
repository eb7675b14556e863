"""Names of things: devices, topics, commits, links.

Owns: the types of identifiers and how a person sees them. May not know: how an identifier
is computed (`comity.log`, `comity.crypto`). Identifiers are plain bytes with a NewType, so
that they cost nothing and sort canonically.
Source: PROTOCOL sections 1 and 2.
"""

from __future__ import annotations

from typing import Final, NewType

__all__ = [
    "ID_BYTES",
    "ZERO_ID",
    "CommitId",
    "DeviceId",
    "LinkId",
    "Token",
    "Topic",
    "short",
]

DeviceId = NewType("DeviceId", bytes)
"""Ed25519 public key of a device, 32 bytes."""

Topic = NewType("Topic", bytes)
"""Identity of an actor instance: hash of its genesis inner, 32 bytes."""

CommitId = NewType("CommitId", bytes)
"""Hash of a commit's sealed bytes under its topic, 32 bytes."""

LinkId = NewType("LinkId", int)
"""A connection of this process, numbered by the host, never reused within a process."""

Token = NewType("Token", int)
"""Ties an answer (`Stored`, `ReadDone`, `Answered`) to what asked for it."""

ID_BYTES: Final = 32
"""Length of every identifier: 256 bits, so that collisions are out of anybody's reach."""

ZERO_ID: Final = bytes(ID_BYTES)
"""Stands for 'none' where a fixed-width field must hold an identifier."""


def short(identifier: bytes) -> str:
    """Show the first 4 bytes as 8 hex digits: enough for a person, never for a decision."""
    return identifier[:4].hex()
