"""A survey: many images of one record, each judged by what was promised when it was taken.

Owns: which images are taken, all of them or a sample by seed, and the count of what was found.
May not know: how an image is made (`images`) or judged (`verdict`).

    kept      after every change of the disk: everything written so far is there
    dropped   after every promise and before every sync: nothing is there but what was synced
    torn      after every change, some times: a part of what was not synced is there
"""

from __future__ import annotations

import collections
import random
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.durability.images import Disk, Image, lay_out
from tests.durability.record import Entry, Kind
from tests.durability.verdict import Promises, verdict

__all__ = ["Found", "survey"]

_PROMISES: Final = (Kind.FOUNDED, Kind.TOLD, Kind.LEFT)

_Point = tuple[int, str, int]


@dataclass(slots=True)
class Found:
    """images: by how they were made. bad: by how, and what was wrong with them."""

    images: collections.Counter[str] = field(default_factory=collections.Counter)
    bad: collections.Counter[str] = field(default_factory=collections.Counter)

    @property
    def count(self) -> int:
        """Number of images."""
        return self.images.total()


def survey(
    record: Sequence[Entry],
    place: Path,
    *,
    seed: int,
    each_max: int | None = None,
    torn: int = 1,
    nodes: int = 0,
) -> Found:
    """Judge images of a record.

    each_max: so many of each kind, chosen by the seed; None for all that there are.
    torn: torn images at each point. nodes: so many of all are opened by a whole node.
    """
    chance = random.Random(seed)
    chosen = _choose(record, chance, each_max=each_max, torn=torn)
    whole = dict.fromkeys(chance.sample(chosen, min(nodes, len(chosen))))
    waiting = collections.deque(chosen)
    disk, promises, found = Disk(), Promises(), Found()
    for index, entry in enumerate(record):
        disk.take(entry)
        promises.take(entry)
        while waiting and waiting[0][0] == index:
            point = waiting.popleft()
            _, how, number = point
            lay_out(_image(disk, how, random.Random(f"{seed}/{index}/{number}")), place / "i")
            found.images[how] += 1
            wrong = verdict(place / "i", promises, by_node=point in whole)
            if wrong:
                found.bad[f"{how}: {wrong}"] += 1
            shutil.rmtree(place / "i")
    assert not waiting
    return found


def _choose(
    record: Sequence[Entry], chance: random.Random, *, each_max: int | None, torn: int
) -> list[_Point]:
    """Return the points of a survey, in order: after which entry, which image, which of it."""
    changed = [index for index, entry in enumerate(record) if _changes(entry)]
    promised = [index for index, entry in enumerate(record) if entry.kind in _PROMISES]
    synced = [index - 1 for index in changed if record[index].kind is Kind.SYNC and index]
    by_kind: list[list[_Point]] = [
        [(index, "kept", 0) for index in changed],
        [(index, "dropped", 0) for index in sorted({*promised, *synced})],
        [(index, "torn", number) for index in changed for number in range(torn)],
    ]
    if each_max is not None:
        by_kind = [chance.sample(kind, min(each_max, len(kind))) for kind in by_kind]
    return sorted(point for kind in by_kind for point in kind)


def _changes(entry: Entry) -> bool:
    return entry.kind is not Kind.SENT and entry.kind not in _PROMISES


def _image(disk: Disk, how: str, chance: random.Random) -> Image:
    match how:
        case "kept":
            return disk.kept()
        case "dropped":
            return disk.dropped()
        case _:
            return disk.torn(chance)
