"""Power loss: whatever a disk may keep of the writes that a node made, no promise is broken.

A process with a whole node, several askers and a peer is recorded; images of its disk are
opened again. Killing a process shows none of this: what the kernel has, it will write.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.durability.images import Disk
from tests.durability.loads import Loads
from tests.durability.mutants import MUTANTS
from tests.durability.record import Entry, Kind, load
from tests.durability.recorder import find_sqlite
from tests.durability.survey import Found, survey

_NOT_COMPARED = {"lock": "written by Python and never synced", "control.sock": "no file"}

_SURVEYS_MAX = 6
"""Surveys of one mutant: the rarest shows in 2 to 15 images of 90, and threads differ."""

pytestmark = pytest.mark.skipif(
    isinstance(find_sqlite(), str), reason=f"NOT TESTED, power loss: {find_sqlite()}"
)


def _record(loads: Loads, folder: Path, mutant: str = "", turns: int = 12) -> list[Entry]:
    """Run a load and return the record of its disk."""
    path = folder / "record"
    plan = {"role": "record", "folder": str(folder), "mutant": mutant, "turns": turns}
    loads.run({**plan, "record": str(path)})
    return load(path)


def _say(what: str, found: Found) -> None:
    """Give the figures to who runs pytest with -s or -rP."""
    print(f"{what}: {found.bad.total()} of {found.count} images are bad")  # noqa: T201
    for wrong, count in found.bad.most_common():
        print(f"  {count:4} {wrong:.120}")  # noqa: T201


def test_the_record_is_what_happened(loads: Loads, tmp_path: Path) -> None:
    """All writes of a record, one after another, make the files that the process left."""
    record = _record(loads, tmp_path)
    disk = Disk()
    for entry in record:
        disk.take(entry)
    left = {
        path.name: path.read_bytes()
        for path in (tmp_path / "store").iterdir()
        if path.name not in _NOT_COMPARED
    }
    kept = {name: data for name, data in disk.kept().items() if name not in _NOT_COMPARED}
    assert kept == left
    assert set(left) == {"vault", "store.db", "store.db-wal"}
    with closing(sqlite3.connect(tmp_path / "store" / "store.db")) as database:
        ((runs,),) = database.execute("SELECT count(*) FROM run")
        ((pieces,),) = database.execute("SELECT count(*) FROM log_index")
    assert runs, "a load in which nothing became cold"
    assert pieces, "a load in which nothing was indexed"


def test_the_load_reaches_what_it_is_for(loads: Loads, tmp_path: Path) -> None:
    """Checkpoints, logs begun anew, an orderly end, and commits in a peer's hands."""
    record = _record(loads, tmp_path)
    kinds = [(entry.kind, entry.name) for entry in record]
    assert kinds.count((Kind.SYNC, "store.db")) >= 3
    assert kinds.count((Kind.CUT, "store.db-wal")) >= 1
    assert kinds.count((Kind.MAKE, "store.db-wal")) == 2
    assert sum(kind is Kind.LEFT for kind, _ in kinds) >= 5
    assert sum(kind is Kind.TOLD for kind, _ in kinds) >= 72


def test_no_loss_of_power_breaks_a_promise(loads: Loads, tmp_path: Path, place: Path) -> None:
    """A sample of all images: acknowledged turns are there, none in part, and it goes on."""
    found = survey(_record(loads, tmp_path), place, seed=1, each_max=60, nodes=9)
    _say("as it is", found)
    assert not found.bad
    assert found.count >= 120


@pytest.mark.parametrize("name", ["vault.new", "store.db-wal", "store.db"])
def test_every_file_needs_its_syncs(
    loads: Loads, tmp_path: Path, place: Path, name: str
) -> None:
    """Leave the syncs of one file out of the record, and promises are seen to break."""
    record = _record(loads, tmp_path)
    without = [each for each in record if each.kind is not Kind.SYNC or each.name != name]
    found = survey(without, place, seed=4, each_max=25)
    _say(f"{name} never synced", found)
    assert found.bad


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_no_loss_of_power_anywhere_breaks_a_promise(
    loads: Loads, tmp_path: Path, place: Path
) -> None:
    """Every image of a longer record, torn ones many times."""
    found = survey(_record(loads, tmp_path, turns=24), place, seed=2, torn=4, nodes=100)
    _say("as it is, all", found)
    assert not found.bad
    assert found.count >= 2000


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_planted_bug_is_caught(
    loads: Loads, tmp_path: Path, place: Path, mutant: str
) -> None:
    """The same survey finds each of the bugs that break a promise, and names the promise."""
    record = _record(loads, tmp_path, mutant)
    _, wrong = MUTANTS[mutant]
    for seed in range(_SURVEYS_MAX):
        found = survey(record, place, seed=seed, each_max=30)
        _say(mutant, found)
        if any(wrong in bad for bad in found.bad):
            return
    pytest.fail(f"{mutant!r} broke no promise: {wrong!r} was never found")
