"""Images: what a disk may hold after the power went away at some point of a record.

Owns: the model of the disk. May not know: what the files mean.

    a file     synced bytes, and since then writes in order: any of them may be on the disk,
               whole, in part, or not at all
    names      made, renamed and removed in order: any first part of what came since the
               last sync may be on the disk; a sync of any file keeps all that came before

A part of a write is some of the sectors it touches; what it does not touch stays as it is.
Of two writes to one place the later one is kept or the earlier shows: this is every order in
which a disk may carry them out, without the ones that a page cache never lets it see.
Source: Pillai et al. 2014, 'All File Systems Are Not Created Equal', for what systems keep
apart; ext4 in its default mode for names; sqlite.org/psow.html for sectors.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.durability.record import Entry, Kind

__all__ = ["Disk", "Image", "lay_out"]

Image = dict[str, bytes]
"""The contents of a directory: file names to bytes."""

_SECTOR_BYTES: Final = (512, 4096)
_NAMES: Final = (Kind.MAKE, Kind.RENAME, Kind.REMOVE)


class _File:
    """What was done to one file, whatever its name is."""

    __slots__ = ("pending", "synced")

    def __init__(self) -> None:
        self.synced = bytearray()
        self.pending: list[Entry] = []

    def sync(self) -> None:
        for entry in self.pending:
            _change(self.synced, entry)
        self.pending.clear()


class Disk:
    """Follows a record and says at each point what may be left of it."""

    __slots__ = ("_files", "_named", "_names", "_synced_names")

    def __init__(self) -> None:
        """Start with an empty directory."""
        self._files: list[_File] = []
        self._names: dict[str, int] = {}
        self._synced_names: dict[str, int] = {}
        self._named: list[dict[str, int]] = []

    def take(self, entry: Entry) -> None:
        """Let one more thing happen; what is no matter of the disk is passed over."""
        if entry.kind in _NAMES:
            self._named.append(self._names)
            self._names = self._renamed(entry)
        elif entry.kind in (Kind.WRITE, Kind.CUT):
            self._files[self._names[entry.name]].pending.append(entry)
        elif entry.kind is Kind.SYNC:
            self._synced_names = self._names
            self._named.clear()
            if entry.name in self._names:
                self._files[self._names[entry.name]].sync()

    @property
    def unsynced(self) -> int:
        """Number of things that a loss of power may take back."""
        return len(self._named) + sum(len(self._files[i].pending) for i in self._reachable())

    def kept(self) -> Image:
        """Everything reached the disk: what a process that was killed leaves behind."""
        return self._image(self._names, lambda _: True)

    def dropped(self) -> Image:
        """Nothing reached the disk but what was synced."""
        return self._image(self._synced_names, lambda _: False)

    def torn(self, chance: random.Random) -> Image:
        """Some of it reached the disk, by sectors of one size."""
        names = chance.choice([self._synced_names, *self._named, self._names])
        sector = chance.choice(_SECTOR_BYTES)
        share = chance.random()

        def keep(content: bytearray, entry: Entry) -> None:
            if chance.random() < share:
                _change(content, entry)
            elif entry.kind is Kind.WRITE and chance.random() < share:
                for piece in _sectors(entry, sector):
                    if chance.random() < share:
                        _change(content, piece)

        return {name: self._content(index, keep) for name, index in names.items()}

    def _image(self, names: dict[str, int], keep: Callable[[Entry], bool]) -> Image:
        def change(content: bytearray, entry: Entry) -> None:
            if keep(entry):
                _change(content, entry)

        return {name: self._content(index, change) for name, index in names.items()}

    def _content(self, index: int, change: Callable[[bytearray, Entry], None]) -> bytes:
        file = self._files[index]
        content = bytearray(file.synced)
        for entry in file.pending:
            change(content, entry)
        return bytes(content)

    def _renamed(self, entry: Entry) -> dict[str, int]:
        names = dict(self._names)
        match entry.kind:
            case Kind.MAKE:
                names[entry.name] = len(self._files)
                self._files.append(_File())
            case Kind.RENAME:
                names[entry.data.decode()] = names.pop(entry.name)
            case _:
                names.pop(entry.name, None)
        return names

    def _reachable(self) -> list[int]:
        return sorted({*self._names.values(), *self._synced_names.values()})


def lay_out(image: Image, directory: Path) -> None:
    """Write an image into an empty directory, made here."""
    directory.mkdir(mode=0o700)
    for name, content in image.items():
        (directory / name).write_bytes(content)


def _change(content: bytearray, entry: Entry) -> None:
    """Carry out a write or a cut; what lies between the old end and a write reads as zeros."""
    if entry.kind is Kind.CUT:
        del content[entry.number :]
        content.extend(bytes(entry.number - len(content)))
    else:
        content.extend(bytes(max(0, entry.number - len(content))))
        content[entry.number : entry.number + len(entry.data)] = entry.data


def _sectors(entry: Entry, sector: int) -> list[Entry]:
    """Cut a write where sectors of the disk begin."""
    pieces: list[Entry] = []
    at, left = entry.number, entry.data
    while left:
        count = sector - at % sector
        pieces.append(Entry(Kind.WRITE, entry.name, at, left[:count]))
        at, left = at + count, left[count:]
    return pieces
