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
from statistics import median
from typing import Any, Final

from comity.actor import places
from comity.actor.actor_type import ActorType
from comity.actor.cell import Cell
from comity.actor.fold import Fold, TurnEnded
from comity.base.clock import Instant, Wall
from comity.base.errors import Reason, Rejected
from comity.base.ids import CommitId, DeviceId, LinkId
from comity.crypto.port import NONCE_LONG_BYTES, Crypto
from comity.log import seal
from comity.log.graph import Graph
from comity.log.inner import Inner
from comity.log.seal import ContentKey
from comity.log.sealed import Sealed
from comity.log.structure import check_structure
from comity.node import journal, orphans, rows
from comity.node.beats import Beats
from comity.node.dialer import Dialer
from comity.node.effects import Effect, Put, Release, Table, Write
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
from comity_chaos.generate import Shape, draw_plan
from comity_chaos.runner import Outcome, name_of, run_plan, standard
from tests.node.ledger import Ledger

__all__ = ["MUTANTS", "Mutant", "first_failure", "hunt", "planted", "score"]

Patch = tuple[object, str, Any]

FIRST_SEEDS: Final = (0, 1_000, 2_000)
"""Where the hunts of the table begin."""

ROW: Final = "{:35} {:>6}  {:38} {:24} {:>5} {:>6}"


@dataclass(frozen=True, slots=True)
class Mutant:
    """One planted bug.

    patches: makes (where, name, what stands there instead), anew for each hunt. faults: what
    it needs. oracles: who must see it, any of them. seeds: within so many. seed: one that shows
    it, for a short test.
    """

    name: str
    patches: Callable[[], tuple[Patch, ...]]
    faults: str
    oracles: tuple[str, ...]
    seeds: int = 40
    byzantine: int = 0
    turns: int = 40
    seed: int = 0


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


def _shape(mutant: Mutant) -> Shape:
    return Shape(
        actor=name_of(Ledger),
        kinds=kinds_named(mutant.faults, byzantine=True),
        byzantine=mutant.byzantine,
        turns=mutant.turns,
    )


def hunt(mutant: Mutant, *, first_seed: int = 0) -> Campaign:
    """Search for a planted bug; the campaign fails when it is killed."""
    actor_type = ActorType.of(Ledger)
    seeds = range(first_seed, first_seed + mutant.seeds)
    with planted(mutant):
        return search(seeds, _shape(mutant), standard(actor_type), actor_type)


def first_failure(mutant: Mutant, seed: int) -> Outcome:
    """Run one seed with a bug planted."""
    actor_type = ActorType.of(Ledger)
    with planted(mutant):
        return run_plan(draw_plan(seed, _shape(mutant), actor_type), standard(actor_type))


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
        self: Journal, commit: Commit, *, trusted: bool = False, **known: Any
    ) -> Checked | Missing | Rejected:
        found = examine(self, commit, trusted=trusted, **known)
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


def _keys_in_memory() -> tuple[Patch, ...]:
    put = Step.put

    def put_no_key(self: Step, table: Table, key: bytes, value: bytes) -> None:
        if table is not Table.EPOCH:
            put(self, table, key, value)

    return ((Step, "put", put_no_key),)


# Agreement and order


def _newest_not_folded() -> tuple[Patch, ...]:
    fold = Cell.fold

    def cut(self: Cell, given: Fold) -> object:
        return fold(
            self, replace(given, commits=given.commits[:-1]) if given.commits[2:] else given
        )

    return ((Cell, "fold", cut),)


def _tie_by_arrival() -> tuple[Patch, ...]:
    def by_turn(_self: object, _tag: bytes, turn: int) -> bytes:
        return turn.to_bytes(32, "big")

    return ((places.Places, "tie", by_turn),)


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


def _children_first() -> tuple[Patch, ...]:
    fold = Cell.fold

    def backwards(self: Cell, given: Fold) -> object:
        return fold(self, replace(given, commits=given.commits[::-1]))

    return ((Cell, "fold", backwards),)


def _still_shown() -> tuple[Patch, ...]:
    def nothing(*_: object, **__: object) -> None: ...

    return ((Beats, "flipped", nothing),)


def _no_order_check() -> tuple[Patch, ...]:
    def lenient(graph: Graph, inner: Inner, sealed: Sealed) -> Rejected | None:
        found = check_structure(graph, inner, sealed)
        return None if found is not None and found.reason is Reason.WRONG_GEN else found

    return ((journal, "check_structure", lenient),)


# Liveness


def _lost_ack() -> tuple[Patch, ...]:
    act = Step.act

    def act_but_eighth(self: Step, effect: Effect) -> None:
        if not isinstance(effect, Release) or effect.serial % 8 != 7:
            act(self, effect)

    return ((Step, "act", act_but_eighth),)


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


def _one_nonce() -> tuple[Patch, ...]:
    def constant(*_: object) -> bytes:
        return bytes(NONCE_LONG_BYTES)

    return ((seal, "_nonce", constant),)


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
        seed=17,
    ),
    Mutant(
        "fork: first kept",
        _first_of_fork,
        "fork-chain",
        ("liveness", "structure"),
        byzantine=1,
        seed=13,
    ),
    Mutant(
        "dedup only in memory", _drafts_stay, "process", ("durability", "numbering", "recovery")
    ),
    Mutant("ack before fsync", _ack_first, "power,lost-unsynced", ("durability",), seed=2),
    Mutant(
        "expose before fsync",
        _expose_first,
        "power,power-of-all,crash-loop,lost-unsynced",
        ("numbering", "crash", "durability", "liveness"),
        seed=1000,
    ),
    Mutant(
        "seq restarts after restart", _numbers_restart, "kill,power", ("numbering",), seed=2000
    ),
    Mutant(
        "torn record accepted",
        _torn_write,
        "power,lost-unsynced",
        ("crash", "durability"),
        seed=1,
    ),
    Mutant("last draft dropped in recovery", _lost_draft, "process", ("durability",), seed=1),
    Mutant("keys of epochs only in memory", _keys_in_memory, "kill,power", ("crash",)),
    Mutant(
        "wrong tie-break",
        _tie_by_arrival,
        "partition,isolate",
        ("convergence", "recovery"),
        seed=1000,
    ),
    Mutant(
        "duplicate applied by a fold",
        _applied_twice,
        "network",
        ("convergence", "recovery", "crash"),
    ),
    Mutant(
        "delivered before what it depends on",
        _children_first,
        "partition,isolate",
        ("convergence", "recovery", "structure", "crash"),
    ),
    Mutant(
        "the newest of several not folded",
        _newest_not_folded,
        "partition,isolate",
        ("convergence",),
    ),
    Mutant(
        "removed, and still shown",
        _still_shown,
        "remove,isolate",
        ("convergence", "crash"),
        seed=26,
    ),
    Mutant(
        "order check skipped", _no_order_check, "wrong-generation", ("integrity",), byzantine=1
    ),
    Mutant(
        "orphans never tried again",
        _orphans_stay,
        "reorder,withhold,isolate",
        ("structure", "bounds", "liveness"),
        byzantine=1,
        seed=37,
    ),
    Mutant("false 'already have'", _false_have, "network", ("liveness",)),
    Mutant(
        "gossip stops: no second call",
        _no_second_call,
        "reset,flap",
        ("structure", "reach"),
        seed=8,
    ),
    Mutant("acknowledgement lost", _lost_ack, "none", ("liveness",), seed=1002),
    Mutant("no backoff", _no_backoff, "process", ("mechanisms", "structure")),
    Mutant("unbounded buffer", _no_bound, "orphans", ("bounds",), byzantine=1),
    Mutant("key not rotated on removal", _no_rotation, "remove", ("readers",), seed=1000),
    Mutant("nonce used twice", _one_nonce, "none", ("nonces",)),
    Mutant("plaintext in a report", _plain_report, "none", ("confidentiality",)),
)
"""The planted bugs."""


@dataclass(frozen=True, slots=True)
class Score:
    """What several hunts of one bug showed. seeds: of each hunt; things: of each least plan."""

    mutant: Mutant
    oracles: tuple[str, ...]
    seeds: tuple[int, ...]
    things: tuple[int, ...]

    @property
    def killed(self) -> bool:
        """Whether every hunt killed it, each by an oracle that may."""
        allowed = set(self.oracles) <= set(self.mutant.oracles)
        return allowed and len(self.seeds) == len(FIRST_SEEDS)

    def __str__(self) -> str:
        """Say it in one row."""
        seen = ", ".join(dict.fromkeys(self.oracles)) or "-"
        seeds = f"{median(self.seeds):g}" if self.seeds else "-"
        things = f"{median(self.things):g}" if self.things else "-"
        verdict = "yes" if self.killed else f"{len(self.seeds)} of {len(FIRST_SEEDS)}"
        return ROW.format(
            self.mutant.name, verdict, ", ".join(self.mutant.oracles), seen, seeds, things
        )


def score(mutant: Mutant) -> Score:
    """Hunt a bug from several first seeds on."""
    found = [hunt(mutant, first_seed=first) for first in FIRST_SEEDS]
    failures = [(each.runs, each.failure) for each in found if each.failure is not None]
    return Score(
        mutant,
        tuple(failure.outcome.oracle for _, failure in failures),
        tuple(runs for runs, _ in failures),
        tuple(failure.plan.size for _, failure in failures),
    )


def main() -> int:
    """Hunt every bug and print the table; return how many survived."""
    sys.stdout.write(
        ROW.format("planted bug", "killed", "expected", "observed", "seeds", "things") + "\n"
    )
    scores: list[Score] = []
    for mutant in MUTANTS:
        scores.append(score(mutant))
        sys.stdout.write(f"{scores[-1]}\n")
        sys.stdout.flush()
    killed = sum(each.killed for each in scores)
    things = [size for each in scores for size in each.things]
    sys.stdout.write(
        f"{killed} of {len(scores)} killed by an oracle that may, from each of "
        f"{len(FIRST_SEEDS)} first seeds; median plan {median(things):g} things\n"
    )
    return len(scores) - killed


if __name__ == "__main__":
    sys.exit(main())
