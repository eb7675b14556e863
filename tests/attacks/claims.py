"""What attacks are judged by: claims about what honest nodes hold, show and refuse.

Owns: the claims, and the look into honest nodes that they need. May not know: attackers.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar, cast

import pytest

from comity.actor.actor_type import ActorType
from comity.actor.cell import Cell
from comity.actor.fold import Fold
from comity.base.clock import MINUTE, Duration
from comity.base.errors import Reason
from comity.base.ids import CommitId, DeviceId, Token, Topic
from comity.log.graph import Graph
from comity.node import commands
from comity.node.journal import Journal
from comity.node.replica import Replica
from comity_chaos.sim import Sim, SimRef
from comity_chaos.world import NodeFailed
from tests.node.ledger import Ledger

__all__ = [
    "Broken",
    "agree",
    "always",
    "attack",
    "both",
    "claim",
    "command",
    "enter",
    "epoch_of",
    "epochs_of",
    "expel",
    "journal_of",
    "lines",
    "refusal_of",
    "replica_of",
]

T = TypeVar("T")

_WAIT: Final = Duration(2 * MINUTE)

both = pytest.mark.parametrize("defended", [True, False], ids=["defended", "patched_out"])
"""Run an attack with its defence, and without it: then a named claim must break."""


class Broken(AssertionError):
    """A claim that a defence makes does not hold."""


def claim(holds: object, what: str) -> None:
    """Raise `Broken` unless something holds."""
    if not holds:
        raise Broken(what)


def always(*, answer: T) -> Callable[..., T]:
    """Return a function that answers this, whatever it is asked: a defence patched out."""

    def reply(*_: object, **__: object) -> T:
        return answer

    return reply


@contextmanager
def attack(*, defended: bool, breaks: str) -> Generator[None, None, None]:
    """Expect every claim to hold, or, without the defence, the one that matches to break."""
    if defended:
        yield
        return
    with pytest.raises((Broken, NodeFailed), match=breaks):
        yield


# What honest nodes hold, and are told by their owners


def command(sim: Sim, ref: SimRef[Any], make: Callable[[Token], commands.Command]) -> object:
    """Give a node a command and return its answer, an exception too."""
    token = sim.world.command(ref.node, make)
    assert sim.world.wait_for(lambda: token in ref.node.answers, _WAIT)
    return ref.node.answers.pop(token)


def expel(sim: Sim, host: SimRef[Any], device: DeviceId) -> CommitId:
    """Let an honest node remove a device; return the removal."""
    removal = command(sim, host, lambda token: commands.Remove(token, host.topic, device))
    assert isinstance(removal, bytes), removal
    return CommitId(removal)


def replica_of(ref: SimRef[Any]) -> Replica:
    """Return a node's replica of the shared actor."""
    desk = ref.node.running()[0]._desk
    assert desk is not None
    replica = desk.replica(ref.topic)
    assert replica is not None
    return replica


def journal_of(ref: SimRef[Any]) -> Journal:
    """Return a node's journal of the shared actor."""
    return replica_of(ref).journal


def refusal_of(ref: SimRef[Any], commit: CommitId) -> Reason | None:
    """Return why a node refused a commit, if it did."""
    desk = ref.node.running()[0]._desk
    assert desk is not None
    found = desk.refusals.find(commit)
    return None if found is None else found.refusal.reason


def agree(sim: Sim, refs: Sequence[SimRef[Any]], *, minutes: int = 3) -> None:
    """Let time pass until these replicas hold the same log and state, then check them."""

    def same() -> bool:
        one = refs[0]
        ids = [sorted(journal_of(ref).graph._ids) for ref in refs]
        return all(found == ids[0] for found in ids) and all(
            ref.state_bytes == one.state_bytes for ref in refs
        )

    sim.run(1)
    claim(sim.world.wait_for(same, Duration(minutes * MINUTE)), "the honest replicas agree")
    sim.run(1)  # until it is durable and folded everywhere
    members = [journal_of(ref).authority for ref in refs]
    for ref, authority in zip(refs, members, strict=True):
        assert authority is not None
        assert members[0] is not None
        claim(authority.members() == members[0].members(), "they name the same members")
        try:
            ref.node.running()[0].check()
        except AssertionError as error:
            raise Broken("the invariants hold") from error


def lines(ref: SimRef[Any]) -> Mapping[str, int]:
    """Return the lines that a node's `Ledger` shows."""
    return cast("Mapping[str, int]", ref.state["lines"])


def enter(name: str, amount: int = 1) -> bytes:
    """Return the operations of a turn that enters a line into an empty `Ledger`."""
    actor_type = ActorType.of(Ledger)
    cell = Cell(actor_type, Topic(bytes(32)))
    cell.fold(Fold(cell.topic, 1, 0, Graph()))
    outcome, _ = cell.run(actor_type.message(Ledger.enter, (name, amount), {}))
    return outcome.operations


def epoch_of(ref: SimRef[Any], commit: int) -> CommitId:
    """Return the epoch that an accepted commit is sealed under, or makes."""
    journal = journal_of(ref)
    assert journal.authority is not None
    return journal.graph.id_of(journal.authority._epochs[commit])


def epochs_of(ref: SimRef[Any]) -> tuple[CommitId, ...]:
    """Return the epochs whose keys a node holds, ascending."""
    return tuple(epoch for epoch, _ in journal_of(ref).epochs.held)
