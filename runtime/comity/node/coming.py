"""Coming: how much of each actor is still on its way here.

Owns: the newest word of every sync machine about that, and how often the owner is told. May
not know: how it was estimated (`protocol.intake`).

    a pass with at least `_WORTH_TELLING` commits to go is told of, every `_TELL_WAIT` at most
    and once more when nothing is to go; what is smaller is over before anybody reads of it
"""

from __future__ import annotations

from typing import Final

from comity.base.clock import MILLISECOND, Duration, Instant, after
from comity.base.ids import DeviceId, LinkId, Topic
from comity.node.effects import NONE_TO_GO, Amount, Report
from comity.node.step import Step
from comity.protocol.sync_port import Progress

__all__ = ["Coming"]

_WORTH_TELLING: Final = 200
"""Commits: about a tenth of a second of work."""

_TELL_WAIT: Final = Duration(100 * MILLISECOND)
"""A bar that moves ten times a second looks smooth."""


class Coming:
    """What comes to one node."""

    __slots__ = ("_told", "_under_way")

    def __init__(self) -> None:
        """Nothing is under way."""
        self._under_way: dict[tuple[LinkId, Topic], Amount] = {}
        self._told: dict[tuple[LinkId, Topic], Instant] = {}

    def of(self, topic: Topic) -> Amount:
        """Return what is to go of an actor: of several peers that give it the most."""
        found = [amount for (_, each), amount in self._under_way.items() if each == topic]
        return max(found, key=lambda each: each.commits, default=NONE_TO_GO)

    def note(
        self, link: LinkId, peer: DeviceId | None, topic: Topic, progress: Progress, step: Step
    ) -> None:
        """Learn how far the sync of a topic with a peer is."""
        name = link, topic
        amount = Amount(progress.commits_to_go, progress.bytes_to_go, progress.bytes_received)
        if amount.commits:
            self._under_way[name] = amount
        else:
            self._under_way.pop(name, None)
        told = self._told.get(name)
        if told is None and amount.commits < _WORTH_TELLING:
            return
        if amount.commits and told is not None and step.instant < after(told, _TELL_WAIT):
            return
        if amount.commits:
            self._told[name] = step.instant
        else:
            del self._told[name]
        step.act(Report("coming", topic, device=peer, amount=amount))

    def ended(self, link: LinkId, topic: Topic, step: Step) -> None:
        """Both sides are level, or will be by another pass."""
        amount = self._under_way.pop((link, topic), None)
        if self._told.pop((link, topic), None) is not None and amount is not None:
            step.act(Report("coming", topic, amount=Amount(0, 0, amount.received)))

    def closed(self, link: LinkId) -> None:
        """Nothing more comes over a link."""
        for name in [name for name in self._under_way if name[0] == link]:
            del self._under_way[name]
        for name in [name for name in self._told if name[0] == link]:
            del self._told[name]
