"""The same seed gives the same trace in any process, whatever its hash seed or allocator."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_RUN = """
from comity_chaos.sim import Sim
from tests.node.ledger import Ledger

with Sim(seed=5, nodes=3, relay=True) as sim:
    a, b, c = sim.share(Ledger)
    sim.cut(a, [b, c])
    for number in range(30):
        a.tell(Ledger.enter, f"a{number}", number)
        b.tell(Ledger.enter, f"b{number % 7}", number)
        c.tell(Ledger.rename, f"title {number}")
        sim.run(0.03)
    sim.crash(c)
    sim.run(3)
    sim.heal()
    sim.remove(a, c)
    sim.run(30)
    print(sim.trace, a.state_bytes.hex(), b.state_bytes.hex())
"""


def _trace(project: Path, **surroundings: str) -> str:
    path = os.pathsep.join(str(project / part) for part in ("runtime", "chaos", "."))
    done = subprocess.run(
        [sys.executable, "-c", _RUN],
        env={"PYTHONPATH": path, "PATH": os.environ["PATH"], **surroundings},
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_traces_are_equal_under_two_hash_seeds(project: Path) -> None:
    """Another hash seed, another allocator, another time zone: the same run, to the byte."""
    first = _trace(project, PYTHONHASHSEED="1")
    second = _trace(project, PYTHONHASHSEED="2", PYTHONMALLOC="malloc", TZ="Asia/Tokyo")
    assert len(first.split()) == 3
    assert first == second
