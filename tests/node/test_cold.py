"""Cold history becomes runs, and nobody who reads, restarts or joins can tell; no run lies."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comity.base.errors import Reason
from comity.base.limits import COLD_WAIT
from comity.log.build import Signer
from comity.log.runs import Member
from comity.log.seal import seal, sign_beside
from comity.node import packing, rebuilding, rows
from comity.node.effects import Table
from comity.wire.records import Commit
from comity_chaos.keyed import SimEntropy
from tests.node.shelving import CRYPTO, Holder, Log

TAIL = 20
PIECE = 50
LOG = Log(240)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make history cold early."""
    monkeypatch.setattr(packing, "COLD_TAIL", TAIL)
    monkeypatch.setattr(packing, "COLD_PIECE", PIECE)


def packed(log: Log = LOG) -> Holder:
    """Return a holder of the whole log, packed."""
    holder = Holder(log)
    for start in range(0, len(log.commits), 31):
        holder.deliver(log.commits[start : start + 31])
    holder.rest()
    return holder


def test_what_is_cold_lies_in_runs_and_reads_as_before() -> None:
    """Each number is in one place; every span reads the bytes that came; it takes less room."""
    holder = packed()
    holder.replica.check()
    disk = holder.disk
    alone = [rows.number_of(key) for key in disk[Table.COMMIT]]
    inside = [n for value in disk[Table.RUN].values() for n in rows.decode_run(value)[0]]
    assert sorted(alone + inside) == list(range(1, len(LOG.commits) + 2))
    assert len(inside) > len(LOG.commits) // 2
    assert min(n for n in range(1, len(LOG.commits) + 2) if n > max(inside)) > PIECE
    assert len(LOG.commits) + 1 - max(inside) >= TAIL
    for first, last in ((2, 2), (3, 40), (100, 131), (2, len(LOG.commits) + 1)):
        found = holder.read(first, last)
        assert list(found) == list(range(first, last + 1))
        for number, commit in found.items():
            came = LOG.commits[number - 2]
            assert commit.sealed == came.sealed
            assert commit.beside in {b"", came.beside}
    plain = Holder(LOG)
    plain.deliver(LOG.commits)
    cold = range(2, max(inside) + 1)
    before = sum(len(plain.disk[Table.COMMIT][rows.commit_key(LOG.topic, n)]) for n in cold)
    after = sum(len(value) for value in disk[Table.RUN].values())
    after += sum(len(v) for k, v in disk[Table.COMMIT].items() if rows.number_of(k) in cold)
    assert after < before * 0.6


def test_who_never_rests_packs_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """With more than a backlog behind, packing waits for no pause."""
    monkeypatch.setattr(packing, "COLD_BACKLOG", 100)
    holder = Holder(LOG)
    replica = holder.replica
    for start in range(0, len(LOG.commits), 10):
        holder.deliver(LOG.commits[start : start + 10])
        holder.now += COLD_WAIT // 3
        deadline = replica.packing.deadline
        if deadline is not None and deadline <= holder.now:
            holder.do(lambda step: replica.packing.tick(replica.beats.durable, step))
    assert holder.replica.cold.run_count > 0
    assert len(LOG.commits) - holder.replica.cold.upto < 100 + PIECE


def test_a_restart_finds_the_same_log() -> None:
    """Rows and runs together give the commits in their order, and packing goes on behind."""
    holder = packed()
    again = Holder(LOG, holder.disk)
    again.replica.check()
    assert again.ids == holder.ids == LOG.ids
    assert again.replica.holdings.items() == holder.replica.holdings.items()
    assert again.replica.cold.run_count == holder.replica.cold.run_count > 5
    again.rest()
    assert again.images == []


def test_whatever_write_was_the_last_the_store_opens() -> None:
    """Every state between two writes holds the beginning of the log, without a gap."""
    holder = packed()
    packings = 0
    for before, after in zip(holder.images, holder.images[1:], strict=False):
        found = Holder(LOG, {table: dict(kept) for table, kept in after.items()})
        assert found.ids == LOG.ids[: len(found.ids)]
        if before[Table.RUN] != after[Table.RUN]:
            packings += 1
            assert found.ids == Holder(LOG, before).ids
            found.rest()
            assert found.disk[Table.RUN].items() >= after[Table.RUN].items()
    assert packings >= 3


@given(start=st.integers(0, len(LOG.commits)), page=st.integers(1, 200))
@settings(max_examples=25, deadline=None)
def test_a_joiner_takes_runs_for_commits(start: int, page: int) -> None:
    """Whatever he has and however he is served, he ends with the log; what is here is kept."""
    holder, joiner = _served(), Holder(LOG)
    joiner.deliver(LOG.commits[:start])
    numbers = list(range(2, len(LOG.commits) + 2))
    for place in range(max(0, start - page), len(numbers), page):
        joiner.deliver(holder.serve(numbers[place : place + page]))
    assert joiner.ids == LOG.ids or sorted(joiner.ids) == sorted(LOG.ids)
    assert joiner.heard.refusals == []
    assert sorted(joiner.heard.ids) == sorted(LOG.ids)
    joiner.replica.check()
    again = Holder(LOG, joiner.disk)
    assert again.ids == joiner.ids
    for number, commit in again.read(2, len(LOG.commits) + 1).items():
        assert commit.sealed == LOG.commits[LOG.ids.index(joiner.ids[number - 2])].sealed


_HOLDERS: list[Holder] = []


def _served() -> Holder:
    """Return one packed holder for many examples: serving changes nothing."""
    if not _HOLDERS:
        _HOLDERS.append(packed())
    return _HOLDERS[0]


def test_a_run_is_served_whole_and_once() -> None:
    """Whoever asks for one of its commits gets all of it; whoever asks for all, one run."""
    holder = packed()
    value = max(holder.disk[Table.RUN].values(), key=len)
    numbers, run = rows.decode_run(value)
    for asked in ([numbers[0]], [numbers[-1]], list(numbers), [numbers[3], numbers[1]]):
        assert holder.serve(asked) == [Commit(run, b"")]
    tail = len(LOG.commits) + 1
    assert holder.serve([tail, numbers[0]]) == [LOG.commits[tail - 2], Commit(run, b"")]
    assert holder.serve([]) == []


def test_a_relay_is_served_single_commits_with_their_own_signatures() -> None:
    """This device signs its own again; of others' it gives what still has its own."""
    holder = _own()
    numbers = list(range(2, len(LOG.commits) + 2))
    served = holder.serve_relay(numbers)
    assert all(commit in LOG.commits for commit in served)
    own = [c for c, n in zip(LOG.commits, numbers, strict=True) if _author(n) == 0]
    assert [each for each in served if each in own] == own
    inside = {n for v in holder.disk[Table.RUN].values() for n in rows.decode_run(v)[0]}
    assert len(served) < len(numbers)
    assert all(LOG.commits[n - 2] in served for n in numbers if n not in inside)


def _own() -> Holder:
    """Return a packed holder that is the founder, who wrote a part of the log."""
    holder = Holder(LOG, hand=LOG.hand)
    holder.deliver(LOG.commits)
    holder.rest()
    return holder


def _author(number: int) -> int:
    device = LOG.graph.author_of(number - 1)
    return [signer.device for signer in LOG.signers].index(device)


def test_a_read_that_meets_the_packing_finds_all() -> None:
    """What was on its way into a run while it was read is read from the run."""
    holder = Holder(LOG)
    holder.deliver(LOG.commits)
    replica = holder.replica
    deadline = replica.packing.deadline
    assert deadline is not None
    holder.now = deadline
    found: list[dict[int, Commit]] = []
    served: list[list[Commit]] = []
    last = len(LOG.commits) + 1

    def both(step: object) -> None:
        replica.packing.tick(replica.beats.durable, step)  # type: ignore[arg-type]
        cold = replica.cold
        cold.read(step, 2, last, lambda _, read: found.append(read))  # type: ignore[arg-type]
        cold.serve(step, range(2, last), lambda _, r: served.append(r))  # type: ignore[arg-type]

    holder.do(both)
    assert [commit.sealed for commit in found[0].values()] == [c.sealed for c in LOG.commits]
    assert any(commit.is_run for commit in served[0])
    assert holder.replica.cold.run_count > 0


# ---------------------------------------------------------------- attacks


def before_of(members: Sequence[Member]) -> list[Commit]:
    """Return what the log holds before a stretch."""
    return LOG.commits[: LOG.ids.index(members[0].id)]


def stretch() -> tuple[Member, ...]:
    """Return a long stretch of the second author."""
    found = LOG.longest(1)
    assert len(found) >= 6
    return found


def lies() -> Iterator[tuple[str, Commit, Reason]]:
    """Yield what a member who holds the key can make of another's stretch."""
    members = stretch()
    good = LOG.run(members)
    beside = LOG.commits[LOG.ids.index(members[-1].id)].beside
    yield "garbage for a signature", LOG.run(members, bytes(64)), Reason.BAD_SIGNATURE
    yield "the first part, the whole's word", LOG.run(members[:4], beside), Reason.BAD_SIGNATURE
    flipped = bytearray(good.sealed)
    flipped[len(flipped) // 2] ^= 1
    yield "a byte in its middle", Commit(bytes(flipped), b""), Reason.WRONG_KEY
    middle = members[len(members) // 2]
    forged = Member(middle.id, middle.sealed, _other_turn(middle.plain))
    altered = [forged if each is middle else each for each in members]
    yield "another turn in its middle", LOG.run(altered, beside), Reason.BAD_SIGNATURE
    yield "a bomb", Commit(_bomb(good.sealed), b""), Reason.TOO_BIG
    yield "cut off", Commit(good.sealed[:-1], b""), Reason.MALFORMED


def _other_turn(plain: bytes) -> bytes:
    changed = plain.rstrip(b"\0")
    changed = changed[:-1] + bytes((changed[-1] ^ 1 or 2,))
    return changed + bytes(len(plain) - len(changed))


def _bomb(good: bytes) -> bytes:
    """Return a run that is well sealed and grows to ten megabytes."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    columns = packer.compress(bytes(10_000_000)) + packer.flush()
    return seal(CRYPTO, LOG.key, good[:28], bytes(64) + columns)


@pytest.mark.parametrize("lie", [name for name, _, _ in lies()])
def test_26_a_run_that_lies_is_refused_whole(lie: str) -> None:
    """Nothing of it is accepted, charged or remembered, and the right one is taken later."""
    run, reason = next((run, reason) for name, run, reason in lies() if name == lie)
    members = stretch()
    holder = Holder(LOG)
    holder.deliver(before_of(members))
    had = holder.ids
    holder.deliver([run])
    assert holder.ids == had
    assert [refusal.reason for refusal in holder.heard.refusals] == [reason]
    assert not holder.replica.journal.graph.forks
    assert holder.replica.status().orphans == 0
    holder.deliver([LOG.run(members)])
    assert holder.ids == [*had, *(member.id for member in members)]
    holder.deliver(LOG.commits)
    assert sorted(holder.ids) == sorted(LOG.ids)


def test_26_fails_without_the_last_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the signature of the last that keeps unsigned commits out."""

    def believe(*_: object) -> None:
        return None

    monkeypatch.setattr(rebuilding, "verify_run", believe)
    members = stretch()
    holder = Holder(LOG)
    holder.deliver(before_of(members))
    had = holder.ids
    holder.deliver([LOG.run(members, bytes(64))])
    assert len(holder.ids) == len(had) + len(members)


def test_26_a_run_in_anothers_name_is_refused() -> None:
    """A member writes a stretch as another, signs it himself: nothing comes of it."""
    log = Log(60, seed=3)
    holder = Holder(log)
    holder.deliver(log.commits)
    had = holder.ids
    for _ in range(5):
        last = log.lasts[1]
        assert last is not None
        log.write(1, parents=(last,))
    forged = log.members(1)[-5:]
    seed = log.signers[2].seed
    for part in (forged[1:], forged):
        holder.deliver([log.run(part, sign_beside(CRYPTO, log.key, seed, part[-1].id))])
    assert holder.replica.status().orphans == 1  # a part whose first parent was never given
    assert holder.ids == had
    assert [each.reason for each in holder.heard.refusals] == [Reason.BAD_SIGNATURE]
    assert not holder.replica.journal.graph.forks


def test_a_writer_cannot_smuggle_turns_of_a_removed_role() -> None:
    """Authority judges a run as it would each commit: a stranger's stretch is refused."""
    log = Log(60, seed=4)
    stranger = Signer(CRYPTO, SimEntropy(9, 1, 1).draw(32))
    log.signers[1] = stranger
    log.lasts[1] = None
    for _ in range(5):
        last = log.lasts[1]
        log.write(1, parents=None if last is None else (last,))
    holder = Holder(log)
    holder.deliver(log.commits[:-5])
    had = holder.ids
    holder.deliver([log.run(log.members(1))])
    assert holder.ids == had
    assert [each.reason for each in holder.heard.refusals] == [Reason.GRANT_NOT_YOURS]


def test_a_run_waits_for_its_parents() -> None:
    """It is an orphan, bounded like a commit, and is taken when they come."""
    members = stretch()
    holder = Holder(LOG)
    missing = before_of(members)
    holder.deliver(missing[:-30])
    holder.deliver([LOG.run(members)])
    assert holder.replica.status().orphans == 1
    holder.replica.check()
    holder.deliver(missing[-30:])
    assert holder.replica.status().orphans == 0
    assert holder.ids[-len(members) :] == [member.id for member in members]
    holder.replica.check()


def test_a_run_that_was_not_asked_for_is_left_out() -> None:
    """Nobody goes around the pace of pushes by pushing runs."""
    members = stretch()
    holder = Holder(LOG)
    holder.deliver(before_of(members))
    had = holder.ids
    holder.deliver([LOG.run(members)], asked=False)
    assert holder.ids == had
    assert holder.heard.refusals == []


def test_runs_in_any_order_end_in_one_log() -> None:
    """Orders, doubles and overlaps of runs and single commits come to the same."""
    holder = packed()
    served = holder.serve(range(2, len(LOG.commits) + 2))
    members = stretch()
    chance = random.Random(7)
    for _ in range(3):
        mixed = [*served, LOG.run(members[:3]), LOG.run(members[2:]), *LOG.commits[40:70]]
        chance.shuffle(mixed)
        joiner = Holder(LOG)
        for each in mixed:
            joiner.deliver([each])
        joiner.replica.check()
        assert sorted(joiner.ids) == sorted(LOG.ids)
        assert Holder(LOG, joiner.disk).ids == joiner.ids
