"""Describing: what an owner is told of members, commits and former devices.

Owns: the words and values of those answers. May not know: links beyond who is connected, how
commands come. Nothing is changed here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from comity.actor.fold import Folded
from comity.base.errors import Rejected, UsageError
from comity.base.ids import CommitId, DeviceId, Topic, short
from comity.node import commands
from comity.node.devices import Former, Stranded
from comity.node.journal import Journal
from comity.node.links import Links
from comity.node.refusals import Refusals
from comity.node.replica import Replica

__all__ = ["breaches", "explain", "formers", "members"]


def members(replica: Replica, own: DeviceId, links: Links) -> tuple[commands.Member, ...]:
    """Return who takes part in an actor, sorted by device."""
    authority = replica.journal.authority
    found = {} if authority is None else authority.members()
    return tuple(
        commands.Member(device, role, device == own or links.to(device) is not None)
        for device, role in sorted(found.items())
    )


def breaches(
    event: Folded, journal: Journal, refusals: Refusals
) -> Iterator[tuple[CommitId, Rejected, DeviceId]]:
    """Yield the commits of a fold that broke a rule, how, and by whom; each only once."""
    for commit, refusal in event.refused:
        identifier = journal.graph.id_of(commit)
        if refusals.find(identifier) is None:
            yield identifier, refusal, journal.graph.author_of(commit)


def explain(replicas: Iterable[Replica], refusals: Refusals, prefix: bytes) -> str | UsageError:
    """Say why the commit whose id begins like this counts, is hidden, or was refused."""
    refused = refusals.find(prefix)
    for replica in replicas:
        found = replica.journal.explain(prefix)
        if found and refused is not None:
            return f"{found} Some of what it wrote does nothing: {refused.refusal}."
        if found:
            return found
    if refused is not None:
        source = (
            "" if refused.source is None else f", brought by device {short(refused.source)},"
        )
        return f"Commit {prefix[:4].hex()}{source} was refused: {_said(refused.refusal)}"
    return UsageError(
        f"nothing is known here of a commit {prefix.hex()}: it has not arrived, or its id "
        "is mistyped"
    )


def _said(refusal: Rejected) -> str:
    """Say why, what follows, and what was seen; in the words of the format only at the end."""
    reason, detail = refusal.reason, refusal.detail
    if not reason.is_deceit:
        return f"{refusal}. {reason.meaning}."
    seen = f" In the words of the commit format: {detail}." if detail else ""
    return f"{reason.text}. {reason.meaning}.{seen}"


def formers(
    found: Iterable[Former], stranded: Stranded, topics: Iterable[Topic]
) -> tuple[commands.FormerDevice, ...]:
    """Return the devices that this node was, with what they left unsent."""
    held = tuple(topics)
    return tuple(
        commands.FormerDevice(
            former.device,
            former.wall,
            former.why,
            tuple(
                (topic, count)
                for topic in held
                if (count := stranded.count(former.device, topic))
            ),
        )
        for former in found
    )
