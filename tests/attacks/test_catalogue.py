"""Every attack of the protocol's list has a test that bears its number, and fails undefended.

Source: PROTOCOL section 12. An attack that is missing here is listed in `_MISSING`, with what
it waits for; a number cannot be in both.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import Final

import pytest

_ATTACKS: Final = range(1, 31)

_ELSEWHERE: Final = {25: "tests/attacks/test_pairing.py"}
"""Attacks that fill a file of their own."""

_MISSING: Final[dict[int, str]] = {}

_TWINLESS: Final = {
    "test_01_equivocation_in_a_thousand_variants": "the larger run of one that has a twin",
    "test_06_ten_thousand_orphans": "the larger run of one that has a twin",
    "test_14_random_byzantine_graphs": "honest runs; `test_14_what_was_shown...` is the twin",
    "test_14_many_random_byzantine_graphs": "the larger run of the same",
    "test_20_bombs": "refused by form: without that nothing is left to run",
    "test_20_ping_pong": "a bound, which is shown to hold",
    "test_21_lying_summaries": "a liar deceives himself alone: there is nothing to take out",
    "test_22_a_relay_that_keeps_mails_back_delays_and_no_more": "its twin is one relay alone",
    "test_24_a_node_that_is_no_relay_keeps_no_mail": "refused by what the node is",
    "test_26_a_run_in_anothers_name_is_refused": "see `test_26_fails_without_...`, the twin",
    "test_26_a_run_that_lies_is_refused_whole": "see `test_26_fails_without_...`, the twin",
    "test_26_fails_without_the_last_signature": "is the twin of the two before",
    "test_30_junk_at_a_relay_makes_nobody_guilty": "its twin would be a relay without bounds",
}
"""Numbered tests that are not run undefended, and why."""

_BOUNDS: Final = (20, 21, 30)
"""Attacks on bounds: tests show that they hold; there is nothing else to take out."""

_LIVE: Final = (4, 6, 19, 20, 21, 24)
"""Those of the list's starred ones that are played against live nodes."""


@cache
def _numbered(project: Path) -> dict[int, list[tuple[Path, ast.FunctionDef]]]:
    found: dict[int, list[tuple[Path, ast.FunctionDef]]] = {}
    for path in sorted(project.glob("tests/**/test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef):
                match = re.match(r"test_(\d\d)_", node.name)
                if match:
                    found.setdefault(int(match[1]), []).append((path, node))
    return found


def _has_twin(test: ast.FunctionDef) -> bool:
    marks = [ast.unparse(mark) for mark in test.decorator_list]
    return "both" in marks or any("without" in mark for mark in marks)


@pytest.mark.parametrize("number", _ATTACKS)
def test_each_attack_is_played(project: Path, number: int) -> None:
    """There is a test of that number, with a twin; or a file; or it is known to be missing."""
    found = _numbered(project).get(number, [])
    places = (bool(found), number in _ELSEWHERE, number in _MISSING)
    assert sum(places) == 1, f"attack {number}: {places}"
    if number in _ELSEWHERE:
        assert (project / _ELSEWHERE[number]).is_file()
    if found and number not in _BOUNDS:
        assert any(_has_twin(test) for _, test in found)


def test_what_has_no_twin_is_known(project: Path) -> None:
    """The list of the twinless is exact: neither too short nor too long."""
    tests = [test for found in _numbered(project).values() for _, test in found]
    assert {test.name for test in tests if not _has_twin(test)} == set(_TWINLESS)


def test_starred_attacks_are_played_against_live_nodes(project: Path) -> None:
    """Those that can be are."""
    live = project / "tests" / "attacks" / "test_live.py"
    found = _numbered(project)
    for number in _LIVE:
        assert any(path == live for path, _ in found[number])
