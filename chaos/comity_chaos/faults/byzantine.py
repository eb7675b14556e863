"""Faults of members who break the protocol: they fork, forge, lie, flood and withhold.

Owns: what a traitor says. May not know: how hostile commits are made (`comity_chaos.forger`).
A lie is told in what the node says anyway, once to each peer where it is a commit; nothing is
expected of the liar, and nothing that it does may hurt who is honest.
Source: CHAOS 'Faults', Byzantine peer; PROTOCOL section 12.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from comity.base.ids import ID_BYTES, CommitId
from comity.wire.records import Commits, Receipt, Record, Since, Summary, Want
from comity_chaos.faults.kind import Bit, FaultKind, Model, Stage, Undo
from comity_chaos.forger import Forged, Forger
from comity_chaos.keyed import SimEntropy
from comity_chaos.plan import Fault
from comity_chaos.treason import Lie, Traitor

__all__ = ["BYZANTINE_FAULTS"]

_LASTS: Final = (2_000, 10_000)
_ENTROPY: Final = 1 << 40
"""Lives from here on are none of a node's own: a forger draws from them."""

_Make = Callable[[Forger, SimEntropy, Fault, Stage], Sequence[Forged]]


def _tell(traitor: Traitor | None, lie: Lie) -> Undo:
    if traitor is None:
        return lambda: None  # the plan says it is honest: an honest node tells no lie
    traitor.lies.append(lie)

    def undo() -> None:
        if lie in traitor.lies:
            traitor.lies.remove(lie)

    return undo


def _tag_of(record: Record) -> bytes:
    if isinstance(record, Summary | Since | Want | Commits | Receipt):
        return record.tag
    return b""


def _forge(make: _Make, stage: Stage, fault: Fault, bit: Bit) -> Undo:
    """Make hostile commits, and slip them to every peer that is told something of the topic."""
    node = stage.node(fault)
    part = stage.part(node)
    traitor = stage.traitors.get(node.index)
    if traitor is None or part is None:
        return lambda: None
    forger = Forger(stage.world.crypto, node.disk, part.topic)
    if not forger.able:
        return lambda: None
    entropy = SimEntropy(stage.world.seed, node.index, _ENTROPY + stage.world.events)
    made = make(forger, entropy, fault, stage)
    for each in made:
        if each.wrong:
            stage.scene.forged[each.id] = each.wrong
    told: dict[bytes, None] = {}
    forks = bool(made) and not made[0].wrong

    def lie(batch: tuple[Record, ...]) -> tuple[Record, ...]:
        tags = [found for found in map(_tag_of, batch) if found]
        tag: bytes = tags[0] if tags else b""
        if not tag or tag in told or not made:
            return batch
        told[tag] = None
        chosen = (made[tag[0] % len(made)],) if forks else made
        bit()
        commits = tuple(each.commit for each in chosen)
        return (*batch, Commits(tag, commits, arrival=0, last=True))

    return _tell(traitor, lie)


def _fork(forger: Forger, _entropy: SimEntropy, _fault: Fault, _stage: Stage) -> list[Forged]:
    return list(forger.fork())


def _unsigned(
    forger: Forger, entropy: SimEntropy, _fault: Fault, _stage: Stage
) -> list[Forged]:
    return [forger.unsigned(entropy)]


def _impersonate(
    forger: Forger, _entropy: SimEntropy, _fault: Fault, stage: Stage
) -> list[Forged]:
    victims = [forger.in_the_name_of(device) for device in stage.scene.devices]
    return [each for each in victims if each is not None]


def _misplace(
    forger: Forger, _entropy: SimEntropy, _fault: Fault, _stage: Stage
) -> list[Forged]:
    return [forger.misplaced()]


def _orphans(forger: Forger, entropy: SimEntropy, fault: Fault, _stage: Stage) -> list[Forged]:
    return [forger.orphan(entropy) for _ in range(max(fault.amount, 1))]


# Lies about what is said anyway


_Change = Callable[[Record, SimEntropy, Fault], Record | None]


def _distort(change: _Change, stage: Stage, fault: Fault, bit: Bit) -> Undo:
    """Change, or leave out, records on their way."""
    node = stage.node(fault)
    entropy = SimEntropy(stage.world.seed, node.index, _ENTROPY + stage.world.events)

    def lie(batch: tuple[Record, ...]) -> tuple[Record, ...]:
        said = [change(record, entropy, fault) for record in batch]
        if any(one is not other for one, other in zip(said, batch, strict=True)):
            bit()
        return tuple(record for record in said if record is not None)

    return _tell(stage.traitors.get(node.index), lie)


def _lie_in_summary(record: Record, entropy: SimEntropy, fault: Fault) -> Record | None:
    if not isinstance(record, Summary):
        return record
    arrival = record.arrival + fault.amount
    return replace(record, digest=entropy.draw(16), arrival=arrival, count=record.count + 1)


def _lie_in_cursor(record: Record, _entropy: SimEntropy, fault: Fault) -> Record | None:
    if isinstance(record, Commits) and record.arrival:
        return replace(record, arrival=record.arrival + fault.amount)
    return record


def _withhold(record: Record, entropy: SimEntropy, _fault: Fault) -> Record | None:
    if not isinstance(record, Commits):
        return record
    kept = tuple(commit for commit in record.commits if entropy.draw(1)[0] & 1)
    return record if len(kept) == len(record.commits) else replace(record, commits=kept)


def _reorder(record: Record, _entropy: SimEntropy, _fault: Fault) -> Record | None:
    if isinstance(record, Commits) and len(record.commits) > 1:
        return replace(record, commits=record.commits[::-1])
    return record


def _false_receipt(record: Record, entropy: SimEntropy, _fault: Fault) -> Record | None:
    if isinstance(record, Receipt):
        return replace(record, ids=(CommitId(entropy.draw(ID_BYTES)),))
    return record


def _no_receipt(record: Record, _entropy: SimEntropy, _fault: Fault) -> Record | None:
    return None if isinstance(record, Receipt) else record


def _garbage(stage: Stage, fault: Fault, bit: Bit) -> Undo:
    """Say bytes that are no records; amount: how many of them."""
    node = stage.node(fault)
    entropy = SimEntropy(stage.world.seed, node.index, _ENTROPY + stage.world.events)

    def lie(_batch: tuple[Record, ...]) -> bytes:
        bit()
        return entropy.draw(max(fault.amount, 1))

    return _tell(stage.traitors.get(node.index), lie)


def _forging(name: str, make: _Make, tells: str, amounts: tuple[int, ...] = ()) -> FaultKind:
    return FaultKind(
        name=name,
        model=Model.BYZANTINE,
        work=partial(_forge, make),
        tells=tells,
        amounts=amounts,
        lasts=_LASTS,
        events=("turn", "fsync", "link"),
    )


def _lying(name: str, change: _Change, tells: str, amounts: tuple[int, ...] = ()) -> FaultKind:
    return FaultKind(
        name=name,
        model=Model.BYZANTINE,
        work=partial(_distort, change),
        tells=tells,
        amounts=amounts,
        lasts=_LASTS,
        events=("link", "send"),
    )


BYZANTINE_FAULTS: Final = (
    _forging("fork-chain", _fork, "{a} signs two commits with one number, one for each half"),
    _forging("bad-signature", _unsigned, "{a} makes a commit with a signature that is noise"),
    _forging("impersonate", _impersonate, "{a} makes commits in the names of the others"),
    _forging("wrong-generation", _misplace, "{a} makes a commit with a wrong generation"),
    _forging("orphans", _orphans, "{a} sends {amount} commits of no known epoch", (20, 1_000)),
    _lying("lying-summary", _lie_in_summary, "{a} lies about what it has", (0, 1, 1_000)),
    _lying("lying-cursor", _lie_in_cursor, "{a} claims {amount} commits too many", (1, 1_000)),
    _lying("withhold", _withhold, "{a} leaves out half of the commits that it should send"),
    _lying("reorder", _reorder, "{a} sends children before parents"),
    _lying("false-receipt", _false_receipt, "{a} acknowledges what it was never sent"),
    _lying("no-receipt", _no_receipt, "{a} acknowledges nothing"),
    FaultKind(
        name="garbage",
        model=Model.BYZANTINE,
        work=_garbage,
        tells="{a} says {amount} bytes that mean nothing",
        amounts=(1, 40, 5_000),
        lasts=(200, 1_000),
        events=("link", "send"),
    ),
)
"""What a member can do who is not honest."""
