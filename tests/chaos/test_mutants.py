"""Each planted bug is killed, by an oracle that is expected to; without it nothing is seen."""

from __future__ import annotations

from statistics import median

import pytest

from tests.chaos.mutants import MUTANTS, Mutant, first_failure, planted, score


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_each_planted_bug_is_seen_by_who_must_see_it(mutant: Mutant) -> None:
    """One seed shows it, and the oracle that breaks is one of those that are named."""
    outcome = first_failure(mutant, mutant.seed)
    assert outcome.failed
    assert outcome.oracle in mutant.oracles, outcome.text


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_bug_is_gone_when_it_is_pulled_out(mutant: Mutant) -> None:
    """Planting leaves the runtime as it was."""
    places = mutant.patches()
    before = [getattr(where, name) for where, name, _ in places]
    with planted(mutant):
        during = [getattr(where, name) for where, name, _ in places]
    assert [getattr(where, name) for where, name, _ in places] == before
    assert all(one is not other for one, other in zip(before, during, strict=True))


def test_names_are_told_apart() -> None:
    """Every bug has a name and at least one oracle of its own."""
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 20
    assert all(mutant.oracles for mutant in MUTANTS)


@pytest.mark.soak
def test_the_mutation_score_is_full_and_stories_are_short() -> None:
    """From several first seeds on every bug is killed, in three things as a rule."""
    scores = [score(mutant) for mutant in MUTANTS]
    assert [str(each) for each in scores if not each.killed] == []
    assert median(size for each in scores for size in each.things) <= 3
