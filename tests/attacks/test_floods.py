"""Members who flood: orphans, deep parents, wide graphs. PROTOCOL 12: 6, 7, 8, 29."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Final

import pytest

from comity.base.ids import CommitId
from comity.base.limits import ORPHANS_BYTES_MAX, ORPHANS_COUNT_MAX, WANTS_OPEN_MAX
from comity.log.build import SealedCommit
from comity.log.chains import Chains
from comity.log.entries import Role, TurnEntry, UnknownEntry
from comity.log.graph import Graph
from comity.log.inner import ChainFacts
from comity.node import beats as beats_module
from comity.node import orphans as orphans_module
from comity.node import pacing
from comity.node import serving as serving_module
from comity.node.beats import Beats
from comity.node.journal import Journal
from comity.node.replica import Replica, Source
from comity.node.step import Step
from comity.wire import records
from comity.wire.records import Commit
from comity_chaos.sim import Sim
from tests.attacks.attacker import Attacker, stage
from tests.attacks.claims import (
    agree,
    always,
    attack,
    both,
    claim,
    enter,
    journal_of,
    lines,
    replica_of,
)
from tests.node.ledger import Ledger

_LONG: Final = int(os.environ.get("COMITY_LONG_LOG", "1500"))
"""Commits of a long log; the protocol names 100,000."""


def _orphan(mallory: Attacker, number: int, size: int) -> SealedCommit:
    """Make a commit whose parent nobody has."""
    parent = CommitId(number.to_bytes(32, "big"))
    mallory._facts[parent] = ChainFacts(mallory.device, 0, mallory.draft().auth)
    mallory._gens[parent] = 7
    filler = UnknownEntry(99, bytes(size))
    draft = mallory.draft(filler, parents=(parent,), backlink=None)
    return mallory.make(draft, keep=False)


def _flood(seed: int, count: int, size: int) -> None:
    with stage(seed) as (sim, refs, mallory):
        a, b, c = refs
        mallory.library.clear()
        orphans = [_orphan(mallory, number, size) for number in range(1, count + 1)]
        mallory.library.clear()
        mallory.push(a, map(mallory.sent, orphans))
        sim.run(1)
        b.tell(Ledger.enter, "b", 1)
        c.tell(Ledger.enter, "c", 1)
        sim.run(2)
        claim(set(lines(a)) == {"b", "c"}, "the others are not delayed")
        parked = replica_of(a)._orphans._accounts
        claim(list(parked) == [mallory.device], "the flood is charged to who delivered it")
        account = parked[mallory.device]
        held = sum(len(o.commit.sealed) + 64 for o in account.parked.values())
        claim(len(account.parked) <= ORPHANS_COUNT_MAX, "at most 1000 orphans are kept")
        claim(held <= ORPHANS_BYTES_MAX, "at most 4 MiB of orphans are kept")
        for other in (b, c):
            claim(len(replica_of(other)._orphans) == 0, "an orphan is not passed on")
        trent = Attacker(sim, "trent")
        trent.join(a)
        trent.connect(a)
        child = trent.turn("child")
        grandchild = trent.turn("grandchild", parents=(child.id,))
        trent.push(a, [trent.sent(grandchild)])
        sim.run(0.5)
        trent.push(a, [trent.sent(child)])
        agree(sim, refs)
        claim("grandchild" in lines(b), "another peer's orphans are kept and tried again")
        sim.run(11 * 60)
        claim(len(replica_of(a)._orphans) == 0, "orphans are forgotten after ten minutes")


@both
@pytest.mark.parametrize(("count", "size"), [(1500, 100), (90, 60_000)], ids=["many", "large"])
def test_06_orphans(
    count: int, size: int, *, defended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Orphans are bounded by count and bytes for each peer, and nobody else notices."""
    if not defended:
        monkeypatch.setattr(orphans_module, "ORPHANS_COUNT_MAX", 1 << 30)
        monkeypatch.setattr(orphans_module, "ORPHANS_BYTES_MAX", 1 << 40)
    with attack(defended=defended, breaks="at most|the invariants hold"):
        _flood(201, count, size)


@pytest.mark.soak
def test_06_ten_thousand_orphans() -> None:
    """The same with the number that the protocol names."""
    _flood(202, 10_000, 1_000)


# Floods of valid commits, and of requests


@pytest.mark.parametrize(("count", "size"), [(700, 10), (40, 60_000)], ids=["many", "large"])
@both
def test_a_flood_of_one_author_is_taken_at_a_pace(
    count: int, size: int, *, defended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Valid, signed, and more than a minute holds: it comes later, and nobody else waits."""
    if not defended:
        _unpaced(monkeypatch)
    breaks = "are taken in a minute"
    with attack(defended=defended, breaks=breaks), stage(207) as (sim, refs, mallory):
        a, b, c = refs
        before = len(journal_of(a).graph)
        made: list[SealedCommit] = []
        for number in range(count):
            parents = (made[-1].id,) if made else journal_of(a).graph.heads
            entry = TurnEntry(enter(f"{number}" + "x" * size))
            made.append(mallory.make(mallory.draft(entry, parents=parents)))
        mallory.push(a, map(mallory.sent, made))
        sim.run(10)
        b.tell(Ledger.enter, "honest", 1)
        sim.run(10)
        limit = min(256, 1024 * 1024 // size)
        for ref in refs:
            taken = len(journal_of(ref).graph) - before - 1
            claim(taken <= limit, f"at most {limit} are taken in a minute, not {taken}")
            claim("honest" in lines(ref), "nobody else is delayed")
        a.node.running()[0].check()
        sim.run(5 * 60)
        agree(sim, refs)
        claim(len(lines(c)) == count + 1, "all of it is taken in the end")


@both
def test_history_that_was_asked_for_has_no_pace(
    *, defended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was away catches up at once, with more of one author than a minute holds."""
    if not defended:
        deliver = Replica.deliver

        def unasked(
            self: Replica,
            step: Step,
            commits: Sequence[Commit],
            source: Source,
            then: Callable[[Step], None],
            *,
            asked: bool,
        ) -> None:
            deliver(self, step, commits, source, then, asked=asked and False)

        monkeypatch.setattr(Replica, "deliver", unasked)
    breaks = "it catches up at once"
    with attack(defended=defended, breaks=breaks), Sim(seed=208, nodes=2) as sim:
        refs = sim.share(Ledger)
        a, b = refs
        sim.crash(b)
        for number in range(400):
            a.tell(Ledger.enter, str(number), 1)
            sim.run(0.3)
        sim.restart(b)
        sim.run(5)
        claim(len(journal_of(a).graph) > 300, "the author wrote many commits")
        claim(len(lines(b)) == 400, "it catches up at once")


@both
def test_served_bytes_have_a_pace(*, defended: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks for one commit over and over gets what the bucket holds, and then waits."""
    at_once, rate = 256 * 1024, 16 * 1024
    if defended:
        monkeypatch.setattr(serving_module, "SERVED_BYTES_AT_ONCE", at_once)
        monkeypatch.setattr(serving_module, "SERVED_BYTES_A_SECOND", rate)
    breaks = "no more than"
    with attack(defended=defended, breaks=breaks), stage(209) as (sim, refs, mallory):
        a, b, _ = refs
        a.tell(Ledger.enter, "x" * 50_000, 1)
        agree(sim, refs)
        large = max(mallory.library, key=lambda each: len(mallory.library[each].sealed))
        line = mallory.line_to(a)
        before = len(mallory.heard)
        seconds, asked, answered = 30, 0, 0
        for _ in range(seconds * 10):
            heard = [record for on, record in mallory.heard[before:] if on is line]
            answered = sum(isinstance(each, records.Commits) and each.last for each in heard)
            if asked - answered < WANTS_OPEN_MAX:  # one more ends the link
                asked += 1
                mallory.say(line, records.Want(mallory.tag(line), (large,)))
            sim.run(0.1)
            claim(line.open, "the link stays")
        served = sum(
            len(commit.sealed)
            for on, record in mallory.heard[before:]
            if on is line and isinstance(record, records.Commits)
            for commit in record.commits
        )
        most = at_once + seconds * rate + len(mallory.library[large].sealed)
        claim(served <= most, f"no more than {most} bytes are served, not {served}")
        claim(served >= at_once, "what is served is only delayed")
        b.tell(Ledger.enter, "honest", 1)
        sim.run(1)
        claim("honest" in lines(a), "nobody else is delayed")


def _long_log(mallory: Attacker, width: int, count: int) -> list[list[SealedCommit]]:
    """Make `width` branches of one forker's commits, side by side."""
    first = mallory.turn("first")
    branches: list[list[SealedCommit]] = [[first] for _ in range(width)]
    for number in range(count):
        branch = branches[number % width]
        back = branch[-1].id
        draft = mallory.draft(parents=(back,), backlink=back, wall=number)
        branch.append(mallory.make(draft, keep=False))
    return branches


def _unpaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take all that an author pushes at once: for attacks that do not lie in the pace."""
    monkeypatch.setattr(pacing, "LIVE_COMMITS_MAX", 1 << 32)
    monkeypatch.setattr(pacing, "LIVE_BYTES_MAX", 1 << 48)


class _Effort:
    """Counts the questions about ancestry and what each cost: a chain or a commit looked at."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, naive: bool) -> None:
        self.visits = 0
        known = Chains._known

        def counted(chains: Chains, chain: int, number: int, position: int) -> int:
            self.visits += 1
            return known(chains, chain, number, position)

        def walk(graph: Graph, first: int, second: int) -> bool:
            seen = {second}
            waiting = [second]
            while waiting:
                self.visits += 1
                for parent in graph.parents_of(waiting.pop()):
                    if parent == first:
                        return True
                    if parent > first and parent not in seen:
                        seen.add(parent)
                        waiting.append(parent)
            return False

        def minimal(graph: Graph, commits: Sequence[int]) -> bool:
            return not any(
                walk(graph, a, b) or a == b for a in commits for b in commits if a < b
            )

        monkeypatch.setattr(Chains, "_known", counted)
        if naive:
            monkeypatch.setattr(Graph, "is_before", walk)
            monkeypatch.setattr(Graph, "is_minimal", minimal)


@both
def test_07_deep_parents(*, defended: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit that merges old ends of a long log takes as few steps as in a short one."""
    breaks = "a deep merge is cheap to check"
    _unpaced(monkeypatch)  # the log is long, not fast
    with attack(defended=defended, breaks=breaks), stage(203) as (sim, refs, mallory):
        a, _, c = refs
        branches = _long_log(mallory, 16, _LONG)
        mallory.push(a, [mallory.sent(branches[0][0])])
        for branch in branches:
            mallory.push(a, map(mallory.sent, branch[1:]))
        sim.world.wait_for(lambda: len(journal_of(c).graph) > _LONG, 10**11)  # type: ignore[arg-type]
        effort = _Effort(monkeypatch, naive=not defended)
        for depth in (3, 9, 17):
            parents = tuple(branch[-depth].id for branch in branches)
            draft = mallory.draft(parents=parents, backlink=branches[0][-depth].id)
            merge = mallory.make(draft, keep=False)
            before = effort.visits
            checked = journal_of(a).examine(mallory.sent(merge))
            spent = effort.visits - before
            claim(not isinstance(checked, tuple), "it was examined")
            claim(spent <= 16 * 16 * 8, f"a deep merge is cheap to check: {spent} steps")
            mallory.push(a, [mallory.sent(merge)])
        refs[1].tell(Ledger.enter, "honest", 1)
        sim.run(3)
        claim("honest" in lines(a), "nobody else is delayed")


def _heads(seed: int, count: int) -> None:
    with stage(seed) as (sim, refs, mallory):
        for ref in refs:
            ref.tell(Ledger.enter, f"own {ref.node.index}", 1)
        agree(sim, refs)
        base = mallory.turn("base")
        refs[1].tell(Ledger.enter, "beside it", 1)
        made = [
            mallory.make(
                mallory.draft(TurnEntry(enter(f"m{n}")), parents=(base.id,), backlink=base.id),
                keep=False,
            )
            for n in range(count)
        ]
        mallory.push(refs[0], map(mallory.sent, [base, *made]))
        sim.run(3)
        claim(len(journal_of(refs[2]).graph.heads) >= count, "the heads are everywhere")
        sim.run(3 * 60)
        left = [len(journal_of(ref).graph.heads) for ref in refs]
        claim(left == [1, 1, 1], f"all heads are merged within three rounds: {left}")
        merges = len(journal_of(refs[0]).graph) - count
        claim(merges < count // 4 + 40, f"{merges} other commits are few")
        agree(sim, refs)
        for ref in refs:
            ref.tell(Ledger.enter, f"after {ref.node.index}", 1)
        agree(sim, refs)
        claim(len(lines(refs[0])) == count + 7 + 1, "every turn shows")


@both
def test_08_many_heads(*, defended: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of heads are merged by those who are idle, within three rounds of 30 to 60 s."""
    _unpaced(monkeypatch)  # many, not fast
    if not defended:
        monkeypatch.setattr(Beats, "_merge_due", None)
    with attack(defended=defended, breaks="within three rounds"):
        _heads(204, 500 if defended else 60)


@both
def test_08_a_writer_merges_many_heads(
    *, defended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever writes on top of many heads stays in his own chain, and is understood."""
    if not defended:
        none: list[int] = []
        monkeypatch.setattr(Journal, "anchors", always(answer=none))
    breaks = "only the forker is called one"
    with attack(defended=defended, breaks=breaks), stage(205) as (sim, refs, mallory):
        base = mallory.turn("base")
        made = [
            mallory.make(
                mallory.draft(parents=(base.id,), backlink=base.id, wall=n), keep=False
            )
            for n in range(40)
        ]
        b = refs[1]
        b.tell(Ledger.enter, "before", 1)
        sim.run(0.01)
        b.tell(Ledger.enter, "in the open beat", 1)
        mallory.push(b, map(mallory.sent, [base, *made]))
        sim.run(1)
        sim.crash(b)
        sim.restart(b)
        for number in range(3):
            b.tell(Ledger.enter, str(number), 1)
            sim.run(1)
        agree(sim, refs)
        claim(len(lines(refs[0])) == 6, "every turn shows")
        forkers = [list(journal_of(ref).graph.forks) for ref in refs]
        claim(forkers == [[mallory.device]] * 3, "only the forker is called one")


@both
def test_29_a_sole_writer(*, defended: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """One writer among readers, one of whom floods with what readers may say, never stalls."""
    if not defended:
        monkeypatch.setattr(beats_module, "PARENTS_MAX", 1 << 20)
    roles = [Role.READER, Role.READER]
    breaks = "the writer does not stall|node . failed"
    with attack(defended=defended, breaks=breaks), Sim(seed=206) as sim:
        refs = sim.share(Ledger, roles=roles)
        a, b, c = refs
        mallory = Attacker(sim)
        mallory.join(a, Role.READER)
        mallory.connect(a, b, c)
        agree(sim, refs)
        base = mallory.make(mallory.draft())
        mallory.push(a, [mallory.sent(base)])
        for wave in range(4):
            made = [
                mallory.make(
                    mallory.draft(parents=(base.id,), backlink=base.id, wall=40 * wave + n),
                    keep=False,
                )
                for n in range(40)
            ]
            mallory.push((a, b, c, a)[wave], map(mallory.sent, made))
            reply = a.ask(Ledger.enter, f"line {wave}", 1)
            sim.run(2)
            claim(reply.done, "the writer does not stall")
            claim(len(lines(b)) == len(lines(c)) == wave + 1, "readers see it at once")
        sim.run(180)
        agree(sim, refs)
        claim(len(journal_of(b).graph.heads) == 1, "heads are merged")
