"""Planted bugs: what each breaks, the faults that it needs, and the oracle that must see it.

Owns: the bugs, planted by replacing functions of the runtime for the time of a run; the
runtime has no switch for any of them. `python -m tests.chaos.mutants` prints the table.
Source: CHAOS 'Mutation score'.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from comity.actor import cell
from comity.actor.actor_type import ActorType
from comity.actor.cell import Cell
from comity.actor.fold import Fold, TurnEnded
from comity.base.clock import Instant, Wall
from comity.base.errors import Reason, Rejected
from comity.base.ids import CommitId, DeviceId, LinkId
from comity.crypto.port import Crypto
from comity.log import seal
from comity.log.graph import Graph
from comity.log.inner import Inner
from comity.log.seal import ContentKey
from comity.log.sealed import Sealed
from comity.log.structure import check_structure
from comity.node import journal, orphans, rows
from comity.node.beats import Beats
from comity.node.dialer import Dialer
from comity.node.effects import Put, Release, Table, Write
from comity.node.epochs import Epochs
from comity.node.holdings import Holdings
from comity.node.journal import Checked, Inserted, Journal, Missing
from comity.node.orphans import Orphans
from comity.node.replica import Replica
from comity.node.rows import DraftRow
from comity.node.step import Rows, Step
from comity.wire.records import Commit
from comity_chaos.campaign import Campaign, search
from comity_chaos.disk import Disk
from comity_chaos.faults.catalogue import kinds_named
from comity_chaos.generate import Shape
from comity_chaos.runner import name_of, standard
from tests.node.ledger import Ledger

__all__ = ["MUTANTS", "Mutant", "hunt", "planted"]

Patch = tuple[object, str, Any]


@dataclass(frozen=True, slots=True)
class Mutant:
    """One planted bug.

    patches: makes (where, name, what stands there instead), anew for each hunt. faults: what
    it needs. oracles: who must see it, any of them. seeds: within so many.
    """

    name: str
    patches: Callable[[], tuple[Patch, ...]]
    faults: str
    oracles: tuple[str, ...]
    seeds: int = 40
    byzantine: int = 0
    turns: int = 40


@contextmanager
def planted(mutant: Mutant) -> Generator[None]:
    """Plant a bug for a while."""
    saved: list[Patch] = []
    try:
        for where, name, instead in mutant.patches():
            saved.append((where, name, getattr(where, name)))
            setattr(where, name, instead)
        yield
    finally:
        for where, name, original in reversed(saved):
            setattr(where, name, original)


def hunt(mutant: Mutant, *, first_seed: int = 0, seeds: int | None = None) -> Campaign:
    """Search for a planted bug; the campaign fails when it is killed."""
    actor_type = ActorType.of(Ledger)
    shape = Shape(
        actor=name_of(Ledger),
        kinds=kinds_named(mutant.faults, byzantine=True),
        byzantine=mutant.byzantine,
        turns=mutant.turns,
    )
    count = mutant.seeds if seeds is None else seeds
    with planted(mutant):
        chosen = range(first_seed, first_seed + count)
        return search(chosen, shape, standard(actor_type), actor_type)


# Integrity


def _skip_signature() -> tuple[Patch, ...]:
    def accept(*_: object) -> None: ...

    return ((journal, "verify_beside", accept),)


def _any_signer() -> tuple[Patch, ...]:
    verify = seal.verify_beside
    known: dict[DeviceId, None] = {}

    def verify_any(
        crypto: Crypto, key: ContentKey, author: DeviceId, *rest: Any
    ) -> Rejected | None:
        known[author] = None
        refusals = [verify(crypto, key, each, *rest) for each in known]
        return None if None in refusals else refusals[0]

    return ((journal, "verify_beside", verify_any),)


def _present_authority() -> tuple[Patch, ...]:
    examine = Journal.examine

    def examine_now(
        self: Journal, commit: Commit, *, trusted: bool = False
    ) -> Checked | Missing | Rejected:
        found = examine(self, commit, trusted=trusted)
        if not isinstance(found, Checked) or trusted or self.authority is None:
            return found
        if self.authority.role_of(found.inner.author) is None:
            return Rejected(Reason.GRANT_KILLED, "judged by the present")
        return found

    return ((Journal, "examine", examine_now),)


def _first_of_fork() -> tuple[Patch, ...]:
    def one_each(graph: Graph, inner: Inner, sealed: Sealed) -> Rejected | None:
        for known in range(len(graph)):
            if (graph.author_of(known), graph.seq_of(known)) == (inner.author, inner.seq):
                return Rejected(Reason.WRONG_SEQ, "another came first")
        return check_structure(graph, inner, sealed)

    return ((journal, "check_structure", one_each),)


# Durability


def _drafts_stay() -> tuple[Patch, ...]:
    drop = Step.drop

    def keep_drafts(self: Step, table: Table, key: bytes) -> None:
        if table is not Table.DRAFT:
            drop(self, table, key)

    decode = rows.decode_draft

    def now(value: bytes) -> DraftRow:
        row = decode(value)
        return replace(row, wall=Wall(row.wall + 1))  # so that it is not sealed alike

    return ((Step, "drop", keep_drafts), (rows, "decode_draft", now))


def _ack_first() -> tuple[Patch, ...]:
    turn_ended = Beats.turn_ended

    def released(self: Beats, turn: TurnEnded, step: Step) -> None:
        step.act(Release(turn.topic, turn.serial))
        turn_ended(self, turn, step)

    return ((Beats, "turn_ended", released),)


def _expose_first() -> tuple[Patch, ...]:
    inserted, when_durable = Replica._inserted, Step.when_durable

    def at_once(self: Step, then: Callable[[Step], None]) -> None:
        then(self)

    def exposed(self: Replica, made: Inserted, step: Step | None) -> None:
        Step.when_durable = at_once  # type: ignore[method-assign]
        try:
            inserted(self, made, step)
        finally:
            Step.when_durable = when_durable  # type: ignore[method-assign]

    return ((Replica, "_inserted", exposed),)


def _numbers_restart() -> tuple[Patch, ...]:
    insert = Journal.insert

    def forget(self: Journal, checked: Checked, step: Step | None) -> Inserted:
        done = insert(self, checked, step)
        if step is None:
            self.own_last = None
        return done

    return ((Journal, "insert", forget),)


def _torn_write() -> tuple[Patch, ...]:
    crash = Disk.crash

    def torn(self: Disk, kept: int) -> None:
        half: Write | None = None
        if kept < self.pending:
            write = self._pending[kept]
            half = replace(write, changes=write.changes[len(write.changes) // 2 :])
        crash(self, kept)
        if half is not None:
            self.write(half)
            self.sync()

    return ((Disk, "crash", torn),)


def _lost_draft() -> tuple[Patch, ...]:
    put = Step.put

    def skip_later_drafts(self: Step, table: Table, key: bytes, value: bytes) -> None:
        if table is not Table.DRAFT or not any(
            isinstance(change, Put) and change.table is Table.DRAFT for change in self._changes
        ):
            put(self, table, key, value)

    recover = Beats.recover

    def recover_but_last(self: Beats, found: Rows, step: Step) -> None:
        recover(self, found[:-1], step)

    return ((Step, "put", skip_later_drafts), (Beats, "recover", recover_but_last))


# Agreement and order


def _tie_by_arrival() -> tuple[Patch, ...]:
    def by_turn(_self: object, _tag: bytes, turn: int) -> bytes:
        return turn.to_bytes(32, "big")

    return ((cell._Places, "tie", by_turn),)


def _applied_twice() -> tuple[Patch, ...]:
    fold = Cell.fold

    def again(self: Cell, given: Fold) -> object:
        done = fold(self, given)
        if given.commits and self.beat % 5 == 4:
            for operations in given.commits[-1].turns:
                turn = self._places.append(given.commits[-1].commit, 1)
                self._state.fold(turn, operations)
        return done

    return ((Cell, "fold", again),)


# Liveness


def _orphans_stay() -> tuple[Patch, ...]:
    def nothing(_self: Orphans, _wants: bytes) -> tuple[()]:
        return ()

    return ((Orphans, "wanted", nothing),)


def _false_have() -> tuple[Patch, ...]:
    def same(_self: Holdings) -> bytes:
        return bytes(16)

    return ((Holdings, "digest", same),)


def _no_second_call() -> tuple[Patch, ...]:
    def gone(self: Dialer, link: LinkId, now: Instant) -> None:
        del now
        for target in self._targets.values():
            if target.link == link:
                target.link = None

    return ((Dialer, "ended", gone),)


def _no_backoff() -> tuple[Patch, ...]:
    def at_once(self: Dialer, link: LinkId, now: Instant) -> None:
        for target in self._targets.values():
            if target.link == link:
                target.link, target.due = None, now

    return ((Dialer, "ended", at_once),)


def _no_bound() -> tuple[Patch, ...]:
    return (
        (orphans, "ORPHANS_COUNT_MAX", 1 << 60),
        (orphans, "ORPHANS_BYTES_MAX", 1 << 60),
    )


# Secrecy


def _no_rotation() -> tuple[Patch, ...]:
    choose = Epochs.choose

    def any_epoch(
        self: Epochs,
        graph: Graph,
        *,
        within: Callable[[int], bool],
        effective: Callable[[int], bool],
        removals: Sequence[int],
    ) -> CommitId | None:
        del removals
        return choose(self, graph, within=within, effective=effective, removals=())

    return ((Epochs, "choose", any_epoch),)


def _plain_report() -> tuple[Patch, ...]:
    turn_ended = Beats.turn_ended

    def told(self: Beats, turn: TurnEnded, step: Step) -> None:
        step.report("turn", topic=turn.topic, detail=repr(turn.operations))
        turn_ended(self, turn, step)

    return ((Beats, "turn_ended", told),)


MUTANTS = (
    Mutant("skip signature", _skip_signature, "bad-signature", ("integrity",), byzantine=1),
    Mutant("signer is not author", _any_signer, "impersonate", ("integrity",), byzantine=1),
    Mutant(
        "authority against current state",
        _present_authority,
        "remove,partition,isolate",
        ("liveness", "authority"),
    ),
    Mutant(
        "fork: first kept", _first_of_fork, "fork-chain", ("liveness", "structure"), byzantine=1
    ),
    Mutant("dedup only in memory", _drafts_stay, "process", ("durability", "numbering")),
    Mutant("ack before fsync", _ack_first, "power,lost-unsynced", ("durability",)),
    Mutant(
        "expose before fsync",
        _expose_first,
        "power,power-of-all,crash-loop,lost-unsynced",
        ("numbering", "crash", "durability", "liveness"),
    ),
    Mutant("seq restarts after restart", _numbers_restart, "kill,power", ("numbering",)),
    Mutant("torn record accepted", _torn_write, "power,lost-unsynced", ("crash", "durability")),
    Mutant("last draft dropped in recovery", _lost_draft, "process", ("durability",)),
    Mutant(
        "wrong tie-break", _tie_by_arrival, "partition,isolate", ("convergence", "recovery")
    ),
    Mutant(
        "duplicate applied by a fold",
        _applied_twice,
        "network",
        ("convergence", "recovery", "crash"),
    ),
    Mutant("orphans never tried again", _orphans_stay, "network", ("bounds", "liveness")),
    Mutant("false 'already have'", _false_have, "network", ("liveness",)),
    Mutant("gossip stops: no second call", _no_second_call, "network", ("liveness", "reach")),
    Mutant("no backoff", _no_backoff, "process", ("mechanisms",)),
    Mutant("unbounded buffer", _no_bound, "orphans", ("bounds",), byzantine=1),
    Mutant("key not rotated on removal", _no_rotation, "remove", ("readers",)),
    Mutant("plaintext in a report", _plain_report, "none", ("confidentiality",)),
)
"""The planted bugs."""


def main() -> int:
    """Hunt every mutant and print the table; return how many survived."""
    survived = 0
    row = "{:34} {:>8} {:>16} {:>6} {:>6} {:>5}\n"
    sys.stdout.write(row.format("planted bug", "killed", "by", "seeds", "things", "runs"))
    for mutant in MUTANTS:
        found = hunt(mutant)
        if found.failure is None:
            survived += 1
            sys.stdout.write(row.format(mutant.name, "NO", "", found.runs, "", ""))
            continue
        oracle = found.failure.outcome.oracle
        right = "yes" if oracle in mutant.oracles else "WRONGLY"
        survived += oracle not in mutant.oracles
        shrunk = found.failure
        sys.stdout.write(
            row.format(mutant.name, right, oracle, found.runs, shrunk.plan.size, shrunk.runs)
        )
    sys.stdout.write(f"{len(MUTANTS) - survived} of {len(MUTANTS)} killed\n")
    return survived


if __name__ == "__main__":
    sys.exit(main())
