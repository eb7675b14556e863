"""kill -9 at any moment, over and over, one store: nothing acknowledged is lost.

What this shows is the order of things inside the process; `test_recorded_writes` shows what
of it would survive a loss of power.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.durability.loads import Loads
from tests.durability.record import Entry, Kind
from tests.durability.verdict import Promises, verdict


def _rounds(loads: Loads, folder: Path, rounds: int, seed: int) -> Promises:
    """Run a node under load on one store and kill it, again and again; judge each time."""
    promises = Promises()
    for number in range(rounds):
        plan = {"role": "storm", "folder": str(folder), "round": str(number), "turns": 1000}
        loads.start(plan)
        for entry in _listen(loads, random.Random(f"{seed}/{number}")):
            promises.take(entry)
        if (folder / "store").exists():
            copy = folder / "copy"  # the store itself is opened next by a node, not by us
            shutil.copytree(folder / "store", copy, ignore=shutil.ignore_patterns("*.sock"))
            wrong = verdict(copy, promises)
            assert not wrong, f"after round {number} of seed {seed}: {wrong}"
            shutil.rmtree(copy)
    return promises


def _listen(loads: Loads, chance: random.Random) -> Iterator[Entry]:
    """Hear a process until a random moment, kill it, hear what it had said by then."""
    if chance.random() < 0.25:
        yield from loads.hear(chance.uniform(0.0, 0.06))  # while it starts and recovers
    else:
        told = chance.randrange(1, 60)
        for entry in loads.hear():
            yield entry
            told -= entry.kind is Kind.TOLD
            if told == 0:
                break
        yield from loads.hear(chance.uniform(0.0, 0.004))
    yield from loads.kill()


def _check(promises: Promises, rounds: int) -> None:
    print(f"{rounds} kills, {len(promises.told)} acknowledged, {len(promises.sent)} sent")  # noqa: T201
    assert len(promises.told) >= 5 * rounds
    assert len(promises.sent) > len(promises.told), "some were killed with asks under way"


def test_twenty_kills_lose_nothing(loads: Loads, tmp_path: Path) -> None:
    """Twenty lives of one store, each ended by SIGKILL at a random moment."""
    _check(_rounds(loads, tmp_path, 20, seed=1), 20)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_two_hundred_kills_lose_nothing(loads: Loads, tmp_path: Path) -> None:
    """The same, two hundred times, at other moments."""
    _check(_rounds(loads, tmp_path, 200, seed=2), 200)
