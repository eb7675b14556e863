"""The record of a run: what a process did to the files of one directory, in order.

Owns: the shape of an entry, and its form as text. May not know: who made it
(`recorder`), what a disk may do with it (`images`), what it must add up to (`verdict`).

    on the disk      make, write, cut, sync, rename, remove    as the file system saw them
    said beside it   founded, sent, told, left                 what others rely on by then

Only the order of entries counts. A promise stands behind every write that it leans on, if
the node keeps its word.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum, unique
from pathlib import Path

__all__ = ["Entry", "Kind", "load", "save"]


@unique
class Kind(StrEnum):
    """What happened."""

    MAKE = "make"
    """A file came to be, empty."""
    WRITE = "write"
    """`data` was written at offset `number`."""
    CUT = "cut"
    """The file was cut to, or grew to, `number` bytes."""
    SYNC = "sync"
    """Everything before it in this file, and every name in the directory, is on the disk."""
    RENAME = "rename"
    """The file got the name in `data`, taking it from whoever had it."""
    REMOVE = "remove"
    """The name was taken away."""

    SENT = "sent"
    """Entry `name` was asked for; its order among those of one client is that of sending."""
    TOLD = "told"
    """The asker of entry `name` was told that it is the `number`th."""
    LEFT = "left"
    """The commit with the id in `data` was in another device's hands."""
    FOUNDED = "founded"
    """The actor exists, its owner was told."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened. name: of a file, relative to the directory, or of an entry."""

    kind: Kind
    name: str
    number: int = 0
    data: bytes = b""


def save(entries: Iterable[Entry], path: Path) -> None:
    """Write a record as lines of JSON."""
    with path.open("w", encoding="ascii") as file:
        for entry in entries:
            line = (entry.kind.value, entry.name, entry.number, entry.data.hex())
            file.write(json.dumps(line) + "\n")


def load(path: Path) -> list[Entry]:
    """Read what `save` wrote."""
    entries: list[Entry] = []
    with path.open(encoding="ascii") as file:
        for line in file:
            kind, name, number, data = json.loads(line)
            entries.append(Entry(Kind(kind), name, number, bytes.fromhex(data)))
    return entries
