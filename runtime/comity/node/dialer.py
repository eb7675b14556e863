"""Whom this node calls, when, and how long it waits after a failure.

Owns: the targets and their backoff. May not know: sessions or topics.

    idle --due--> calling --link up--> connected --link down--> idle, due later
                  calling --link down--> idle, due twice as late
    idle, postponed since the device called us --it is lost--> idle, due after its wait

The wait doubles from 1 s to 60 s, with half of it at random, so that a crowd cut off together
does not come back together. A connection that lasted 60 s starts again at 1 s; one that breaks
sooner does not, or two nodes that refuse each other would dial for ever.
Source: PROTOCOL sections 5 and 10.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, unique
from typing import Final

from comity.base.clock import SECOND, Duration, Instant, after
from comity.base.ids import DeviceId, LinkId
from comity.base.ports import Entropy

__all__ = ["Dialer", "Purpose", "Target"]

_WAIT_MIN: Final = Duration(1 * SECOND)
"""First wait: a peer that restarts is back by then."""

_WAIT_MAX: Final = Duration(60 * SECOND)
"""Longest wait: an hour offline costs a peer 60 dials, and it is found within a minute."""

TARGETS_MAX: Final = 256
"""Targets of one node: more than a full mesh of 32 members and their relays needs."""


@unique
class Purpose(Enum):
    """What a link is for.

    RELAY: a relay that this node uses. POST: one where somebody else's mailbox is.
    """

    PEER = "peer"
    RELAY = "relay"
    JOIN = "join"
    POST = "post"


@dataclass(slots=True)
class Target:
    """One address and what is known of it. device: who must answer; None for a relay.

    At a relay of somebody else's (POST) it is who answered last.
    """

    address: str
    device: DeviceId | None
    purpose: Purpose
    due: Instant | None
    link: LinkId | None = None
    open_since: Instant | None = None
    fails: int = 0


class Dialer:
    """The targets of one node."""

    __slots__ = ("_entropy", "_targets")

    def __init__(self, entropy: Entropy) -> None:
        """Start with nobody to call."""
        self._entropy = entropy
        self._targets: dict[tuple[str, DeviceId | None], Target] = {}

    @property
    def deadline(self) -> Instant | None:
        """When the next call is due."""
        due: Instant | None = None
        for target in self._targets.values():
            first = target.due
            if first is not None and target.link is None and (due is None or first < due):
                due = first
        return due

    @property
    def targets(self) -> tuple[Target, ...]:
        """All targets, in the order in which they were added."""
        return tuple(self._targets.values())

    def add(
        self, address: str, device: DeviceId | None, purpose: Purpose, now: Instant
    ) -> bool:
        """Call this address from now on; tell whether it is new and there was room."""
        name = address, device
        if name in self._targets or len(self._targets) >= TARGETS_MAX:
            return False
        self._targets[name] = Target(address, device, purpose, now)
        return True

    def due(self, now: Instant) -> tuple[Target, ...]:
        """Return the targets to call now."""
        return tuple(
            target
            for target in self._targets.values()
            if target.link is None and target.due is not None and target.due <= now
        )

    def called(self, target: Target, link: LinkId) -> None:
        """Note that a link to this target is being made."""
        target.link = link
        target.due = None

    def postpone(self, target: Target, now: Instant) -> None:
        """Look again after the longest wait: the device is connected some other way."""
        target.due = after(now, _WAIT_MAX)

    def worked(self, link: LinkId, now: Instant) -> None:
        """Note that the peer on this link proved who it is."""
        for target in self._targets.values():
            if target.link == link:
                target.open_since = now

    def ended(self, link: LinkId, now: Instant) -> None:
        """Note that a link is gone; its target is due again after a wait."""
        for target in self._targets.values():
            if target.link == link:
                lasted = 0 if target.open_since is None else now - target.open_since
                target.fails = 0 if lasted >= _WAIT_MAX else target.fails
                target.link = target.open_since = None
                target.due = self._later(target, now)
                target.fails += 1

    def lost(self, device: DeviceId, now: Instant) -> None:
        """Note that a device is not connected any more: what was postponed for it is due."""
        for target in self._targets.values():
            if target.device == device and target.due is not None:
                target.due = min(target.due, self._later(target, now))

    def _later(self, target: Target, now: Instant) -> Instant:
        wait = min(_WAIT_MIN << min(target.fails, 6), _WAIT_MAX)
        share = int.from_bytes(self._entropy.draw(2), "big") / 0xFFFF
        return after(now, Duration(wait // 2 + int(wait // 2 * share)))

    def remove(self, address: str, purpose: Purpose) -> None:
        """Call a relay at this address no more."""
        for name, target in list(self._targets.items()):
            if target.address == address and target.purpose is purpose:
                del self._targets[name]

    def answered(self, link: LinkId, device: DeviceId) -> None:
        """Note who answers where a mailbox is: while it is linked otherwise, do not call."""
        for target in self._targets.values():
            if target.link == link and target.purpose is Purpose.POST:
                target.device = device

    def forget(self, link: LinkId) -> None:
        """Drop the target behind a link: whoever answered is not who was called."""
        for name, target in list(self._targets.items()):
            if target.link == link:
                del self._targets[name]

    def check(self) -> None:
        """Assert that every target has a link or an hour at which it is called, not both."""
        for target in self._targets.values():
            assert (target.link is None) != (target.due is None)
            assert target.open_since is None or target.link is not None
