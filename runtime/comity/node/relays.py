"""Relays: which ones this node uses, and whether they keep what they are given.

Owns: the addresses of relays, and the watch over each: what it was found to lack, since when.
May not know: sessions, how sets are compared, what commits hold.

    level --lacks a commit--> behind --level, or refuses it with a reason--> level
    behind, for 10 min of which it was offered again and again --> alarmed --level--> level
    asked --no whole comparison for 10 min--> alarmed

Only a link that stands counts: a relay that cannot be reached withholds nothing. Only commits
that were accepted here are compared, so junk at a relay makes nobody guilty; and a relay that
is full, or refuses for another reason, says so and is not alarmed about. One that claims to
hold what it shows to nobody cannot be told from here: that is why there are two.
Source: PROTOCOL section 8, attack 23 and 30; decision 30.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from comity.base.clock import MINUTE, Instant, after
from comity.base.ids import CommitId, Topic
from comity.base.limits import RELAY_LACKING_MAX, RELAY_PATIENCE
from comity.node import commands
from comity.node.dialer import Purpose
from comity.node.effects import Table
from comity.node.links import Link, Links
from comity.node.step import Step

__all__ = ["Relays"]


@dataclass(slots=True)
class _Watch:
    """One topic at one relay. lacking: since when; excused: refused with a reason."""

    lacking: dict[CommitId, Instant] = field(default_factory=dict)
    excused: dict[CommitId, None] = field(default_factory=dict)
    asked: Instant | None = None
    alarm: str = ""


class Relays:
    """The relays of one node."""

    __slots__ = ("_addresses", "_links", "_watches")

    def __init__(self, links: Links) -> None:
        """Start without a relay."""
        self._links = links
        self._addresses: dict[str, None] = {}
        self._watches: dict[str, dict[Topic, _Watch]] = {}

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where they are, in the order in which they were added."""
        return tuple(self._addresses)

    def carry_out(self, command: commands.UseRelay | commands.ForgetRelay, step: Step) -> bool:
        """Use a relay or forget it, and answer."""
        if isinstance(command, commands.ForgetRelay):
            return self.forget(command.address, step)
        self.use(command.address, step)
        return True

    def use(self, address: str, step: Step) -> None:
        """Keep a link to a relay from now on; knowing it already is fine."""
        if address not in self._addresses:
            self._addresses[address] = None
            self._watches[address] = {}
            step.put(Table.RELAY, address.encode(), b"")
            self._links.keep(address, None, Purpose.RELAY, step)

    def forget(self, address: str, step: Step) -> bool:
        """Use a relay no more; tell whether it was used. What it keeps stays there."""
        if address not in self._addresses:
            return False
        del self._addresses[address], self._watches[address]
        step.drop(Table.RELAY, address.encode())
        self._links.forget(address, step)
        return True

    def describe(self) -> tuple[commands.RelayStatus, ...]:
        """Return how each of them does."""
        linked = {
            link.address: link.peer
            for link in self._links.open
            if link.purpose is Purpose.RELAY
        }
        return tuple(
            commands.RelayStatus(
                address=address,
                device=linked.get(address),
                lacking=sum(len(each.lacking) for each in self._watches[address].values()),
                alarm=next((w.alarm for w in self._watches[address].values() if w.alarm), ""),
            )
            for address in self._addresses
        )

    # What comparisons show

    def asked(self, link: Link, topic: Topic, step: Step) -> None:
        """A relay is asked to compare: it has to, some time."""
        watch = self._watch(link, topic)
        if watch is None:
            return
        if watch.asked is None:
            watch.asked = step.instant
        elif after(watch.asked, RELAY_PATIENCE) <= step.instant:
            self._raise(link, topic, watch, None, "has compared nothing to the end", step)

    def lacks(self, link: Link, topic: Topic, ids: Sequence[CommitId], step: Step) -> None:
        """A relay was compared with to the end; it lacks these, and they are offered now."""
        watch = self._watch(link, topic)
        if watch is None:
            return
        watch.asked = None
        known = watch.lacking
        watch.lacking = {
            each: known.get(each, step.instant)
            for each in ids[:RELAY_LACKING_MAX]
            if each not in watch.excused
        }
        late = [
            each
            for each, since in watch.lacking.items()
            if after(since, RELAY_PATIENCE) <= step.instant
        ]
        if late:
            minutes = (step.instant - watch.lacking[late[0]]) // MINUTE
            text = f"lacks {len(late)} commits that it was offered again for {minutes} min"
            self._raise(link, topic, watch, late[0], text, step)
        elif not watch.lacking:
            self._level(link, topic, watch, step)

    def level(self, link: Link, topic: Topic, step: Step) -> None:
        """A relay holds all that is held here."""
        watch = self._watch(link, topic)
        if watch is not None:
            watch.asked = None
            watch.lacking = {}
            self._level(link, topic, watch, step)

    def refused(self, link: Link, topic: Topic, ids: Sequence[CommitId]) -> None:
        """A relay refused commits, and said why."""
        watch = self._watch(link, topic)
        if watch is None:
            return
        for commit in ids:
            watch.lacking.pop(commit, None)
            watch.excused[commit] = None
            if len(watch.excused) > RELAY_LACKING_MAX:
                del watch.excused[next(iter(watch.excused))]

    def closed(self, link: Link) -> None:
        """A link to a relay is gone: nothing can be asked for meanwhile."""
        if link.purpose is Purpose.RELAY:
            for watch in self._watches.get(link.address, {}).values():
                watch.asked = None

    def _watch(self, link: Link, topic: Topic) -> _Watch | None:
        if link.purpose is not Purpose.RELAY or link.address not in self._watches:
            return None
        return self._watches[link.address].setdefault(topic, _Watch())

    def _raise(
        self,
        link: Link,
        topic: Topic,
        watch: _Watch,
        commit: CommitId | None,
        text: str,
        step: Step,
    ) -> None:
        """Tell the owner, once until it is mended."""
        if not watch.alarm:
            step.report(
                "censored",
                topic=topic,
                commit=commit,
                device=link.peer,
                detail=f"relay {link.address} {text}, and gave no reason",
            )
        watch.alarm = text

    def _level(self, link: Link, topic: Topic, watch: _Watch, step: Step) -> None:
        if watch.alarm:
            watch.alarm = ""
            detail = f"relay {link.address} has caught up"
            step.report("uncensored", topic=topic, device=link.peer, detail=detail)

    def check(self) -> None:
        """Assert that every relay is watched, and that the watch is bounded."""
        assert list(self._addresses) == list(self._watches)
        for topics in self._watches.values():
            for watch in topics.values():
                assert len(watch.lacking) <= RELAY_LACKING_MAX
                assert len(watch.excused) <= RELAY_LACKING_MAX
