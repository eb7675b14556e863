"""Every effect is there exactly once, whatever relays lose and whoever is killed."""

from __future__ import annotations

import os

import pytest

from tests.node.mail_soak import run


@pytest.mark.parametrize("seed", range(2))
def test_letters_through_two_lossy_relays_and_kills(seed: int) -> None:
    """Two ends that never meet, and both die in the middle of things."""
    outcome = run(360, 6, seed)
    assert outcome.good, outcome
    assert outcome.kills == 6
    assert min(outcome.lost, outcome.repeated, outcome.late) > 50


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_a_million_envelopes_and_fifty_kills() -> None:
    """`COMITY_ENVELOPES` of them; a million take one and a half hours."""
    envelopes = int(os.environ.get("COMITY_ENVELOPES", "1000000"))
    outcome = run(envelopes, 50, 7, tell=True)
    assert outcome.good, outcome
