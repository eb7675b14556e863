"""Supervision: how often, how soon, and what is refused at class definition."""

from __future__ import annotations

import pytest

from comity import Actor, Counter, Escalate, Restart, Stop, UsageError
from comity.actor.actor_type import ActorType
from comity.actor.supervision import GoOn, Rest, Supervisor
from comity.base.clock import SECOND, Duration, Instant


def at(seconds: float) -> Instant:
    """Return an instant."""
    return Instant(int(seconds * SECOND))


def test_the_rest_doubles_up_to_the_most() -> None:
    """0.1, 0.2, 0.4 and then no more than 0.5 seconds."""
    supervisor = Supervisor(Restart(max=10, within=60, backoff=(0.1, 0.5)))
    rests = [supervisor.failed(at(0)) for _ in range(5)]
    assert [rest.wait / SECOND for rest in rests if isinstance(rest, Rest)] == [
        0.1,
        0.2,
        0.4,
        0.5,
        0.5,
    ]


def test_too_many_restarts_stop_it() -> None:
    """More than `max` within the window; those before the window do not count."""
    supervisor = Supervisor(Restart(max=2, within=10, backoff=(0, 0)))
    verdicts = [type(supervisor.failed(at(second))) for second in (0, 1, 2, 12, 13, 14)]
    assert verdicts == [Rest, Rest, Stop, Rest, Rest, Stop]


def test_other_policies_decide_at_once() -> None:
    """None goes on."""
    assert Supervisor(None).failed(at(0)) == GoOn()
    assert Supervisor(Stop()).failed(at(0)) == Stop()
    assert Supervisor(Escalate()).failed(at(0)) == Escalate()


def test_many_failures_do_not_overflow() -> None:
    """A window of thousands of restarts rests for its longest."""
    supervisor = Supervisor(Restart(max=5000, within=60, backoff=(0.1, 10)))
    last = [supervisor.failed(at(0)) for _ in range(5000)][-1]
    assert last == Rest(Duration(10 * SECOND))


@pytest.mark.parametrize(
    "wrong", [{"max": 0}, {"within": 0}, {"backoff": (2, 1)}, {"backoff": (-1, 1)}]
)
def test_numbers_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    """With what to give."""
    with pytest.raises(UsageError):
        Restart(**wrong)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_what_is_no_policy_is_refused() -> None:
    """The class Restart is no policy, an instance is."""
    made = type("Wrong", (Actor,), {"supervise": Restart, "__qualname__": "Wrong"})
    with pytest.raises(UsageError, match=r"use Restart\(\)"):
        ActorType.of(made)


def test_a_child_has_no_fields() -> None:
    """They would be written nowhere."""
    made = type("Kid", (Actor,), {"__annotations__": {"total": Counter}})
    with pytest.raises(UsageError, match=r"node\.create\(Kid\)"):
        ActorType.of(made).check_child()


@pytest.mark.parametrize("wrong", [{"mailbox": 0}, {"mailbox_bytes": -1}, {"on_full": "drop"}])
def test_mailboxes_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    """When the class is defined."""
    with pytest.raises(UsageError):
        type("Wrong", (Actor,), {}, **wrong)
