"""Perturbed twins: the same plan in two processes that differ in all that must not matter.

Owns: the comparison, and the search for where two runs part. May not know: what a plan does.
The second process has another hash seed, allocator, time zone and locale. Both print a digest
of their run every 256 notes; where these first differ, both run again and keep that stretch
as lines, and the first line that differs is shown.
Source: CHAOS 'What was measured' (twins find 26 of 32 probes, one process 17), 'Determinism'.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from comity_chaos.plan import Plan
from comity_chaos.plan_file import to_word
from comity_chaos.timeline import CHECKPOINT_NOTES

__all__ = ["PERTURBED", "Divergence", "compare", "traced"]

PERTURBED: Final[Mapping[str, str]] = {
    "PYTHONHASHSEED": "4242",
    "PYTHONMALLOC": "malloc",
    "TZ": "Pacific/Chatham",
    "LC_ALL": "C",
}
"""The surroundings of the second twin."""

_PLAIN: Final[Mapping[str, str]] = {"PYTHONHASHSEED": "1"}
_SECONDS_MAX: Final = 600


@dataclass(frozen=True, slots=True)
class Divergence:
    """Where two runs of one plan part. note: which. ours, theirs: the lines, '' for none."""

    note: int
    ours: str
    theirs: str

    def __str__(self) -> str:
        """Say it in words."""
        return (
            f"the same plan ran differently in another process, from note {self.note} on: "
            f"{self.ours or 'nothing'!r} here, {self.theirs or 'nothing'!r} there"
        )


def traced(
    plan: Plan, surroundings: Mapping[str, str], keep: tuple[int, int] = (0, 0)
) -> dict[str, Any]:
    """Run a plan in a process of its own; return its trace, checkpoints and lines.

    Raises: AssertionError with what the process said, if it fails.
    """
    environment = {**os.environ, **surroundings}
    environment["PYTHONPATH"] = os.pathsep.join(
        [str(Path(__file__).parent.parent), *filter(None, sys.path)]
    )
    first, last = keep
    command = [sys.executable, "-m", "comity_chaos", "trace", "--keep", f"{first}:{last}", "-"]
    done = subprocess.run(  # noqa: S603  (our own command)
        command,
        env=environment,
        input=to_word(plan),
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS_MAX,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def compare(plan: Plan) -> Divergence | None:
    """Run a plan in twin processes; None if they are equal to the last byte of their traces."""
    ours, theirs = traced(plan, _PLAIN), traced(plan, PERTURBED)
    if ours["trace"] == theirs["trace"]:
        return None
    start = _last_equal(ours["checkpoints"], theirs["checkpoints"])
    keep = start, start + 2 * CHECKPOINT_NOTES
    lines = traced(plan, _PLAIN, keep)["lines"], traced(plan, PERTURBED, keep)["lines"]
    for place in range(max(map(len, lines))):
        one, other = (each[place] if place < len(each) else "" for each in lines)
        if one != other:
            return Divergence(start + place, one, other)
    return Divergence(start, "", "")


def _last_equal(ours: Sequence[Sequence[Any]], theirs: Sequence[Sequence[Any]]) -> int:
    """Return the notes at the last checkpoint up to which the two agree, by bisection."""
    low, high = 0, min(len(ours), len(theirs))
    while low < high:
        middle = (low + high) // 2
        if ours[middle] == theirs[middle]:
            low = middle + 1
        else:
            high = middle
    return int(ours[low - 1][0]) if low else 0
