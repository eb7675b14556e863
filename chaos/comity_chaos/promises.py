"""The named scenarios: one for each promise of a system without a centre.

Owns: their names, what each puts an app through, and the promise that it tries, in words. May
not know: how plans are drawn, how faults work. A scenario only chooses: faults of the
catalogue, and a world. The lab's oracles judge every promise in each.

What is missing here cannot be said honestly yet: `rolling-upgrade` needs two versions of an app
in one world.
Source: CHAOS 'Named scenarios'.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from comity.base.errors import UsageError

__all__ = ["PROMISES", "Promise", "promise_named", "promises_told"]


@dataclass(frozen=True, slots=True)
class Promise:
    """A scenario. says: what it tries. faults: as `kinds_named` reads them.

    relays: how many, at most. byzantine: how many nodes lie, at most.
    """

    says: str
    faults: str
    relays: int = 0
    byzantine: int = 0


PROMISES: Final[Mapping[str, Promise]] = {
    "outage": Promise(
        "the network fails, and the power of all at once: everybody goes on alone, and nothing "
        "is lost when it is back",
        "partition, isolate, silence, half-open, power-of-all",
    ),
    "server-failure": Promise(
        "a relay is there or is not, and nodes die for good hours: nobody waits for a server",
        "kill, power, crash-loop, disk-full, isolate, no-answer",
        relays=1,
    ),
    "intermittent": Promise(
        "phones that sleep, move and lose their network in the middle of a frame: what was "
        "written arrives",
        "suspend, flap, isolate, reset, new-address, clock-drift",
        relays=1,
    ),
    "censorship": Promise(
        "somebody in between, and one of the members, keep back what they choose: the others "
        "have it from each other",
        "one-way, silence, no-answer, partition, withhold, no-receipt",
        relays=1,
        byzantine=1,
    ),
    "denial-of-service": Promise(
        "a member floods, and links are slow: the others are served",
        "garbage, orphans, slow-link, slow-node, duplicate, replay",
        byzantine=1,
    ),
    "surveillance": Promise(
        "a relay and the network keep every byte that they see: no word of the app is in them",
        "duplicate, replay, reset, new-address, delay",
        relays=2,
    ),
    "untrusted": Promise(
        "a member forks, forges, lies about what it has and what it got: honest devices agree, "
        "and nothing of theirs is hidden",
        "byzantine",
        byzantine=1,
    ),
    "stolen-device": Promise(
        "a thief writes with a member's keys, also from a copy of its disk, and it is removed: "
        "what he writes after that does not count",
        "remove, clone, fork-chain, impersonate",
        byzantine=1,
    ),
    "restore-from-backup": Promise(
        "an old disk is put back, or loses what was not synced: the device starts anew, and "
        "never says two things with one number",
        "rollback, clone, power, lost-unsynced",
    ),
}
"""The scenarios by name."""


def promise_named(name: str) -> Promise:
    """Return a scenario. Raises: UsageError that lists them all."""
    found = PROMISES.get(name)
    if found is None:
        raise UsageError(f"there is no scenario {name!r}. There are:\n{promises_told()}")
    return found


def promises_told() -> str:
    """Return all scenarios, one a line, each with what it tries."""
    return "\n".join(f"  {name:<20} {each.says}" for name, each in PROMISES.items())
