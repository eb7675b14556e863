"""The machine's clocks and entropy."""

from __future__ import annotations

from comity.drivers.system import SystemClock, SystemEntropy


def test_instants_never_go_back_and_the_wall_is_in_milliseconds() -> None:
    """Later moments are not earlier; the wall is after 2020 and before 2200."""
    clock = SystemClock()
    moments = [clock.moment() for _ in range(100)]
    instants = [moment.instant for moment in moments]
    assert instants == sorted(instants)
    assert 1_577_836_800_000 < moments[0].wall < 7_258_118_400_000


def test_entropy_has_the_length_asked_for_and_is_fresh() -> None:
    """As many bytes as asked for, other ones each time."""
    entropy = SystemEntropy()
    assert [len(entropy.draw(count)) for count in (0, 1, 32)] == [0, 1, 32]
    assert len({entropy.draw(16) for _ in range(100)}) == 100
