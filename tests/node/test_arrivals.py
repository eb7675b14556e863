"""Signatures checked elsewhere: in whatever order, the outcome is that of one by one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comity.base.clock import Instant, Moment, Wall
from comity.base.errors import Rejected
from comity.base.ids import CommitId, DeviceId, LinkId, Topic
from comity.base.limits import VERIFY_AHEAD_MAX, VERIFY_BATCH_MIN
from comity.crypto.keys import KeyPair
from comity.crypto.symbolic import Symbolic
from comity.log.build import Signer, make_commit
from comity.log.entries import TurnEntry
from comity.log.graph import Graph
from comity.log.inner import Inner, RootGrant, decode_inner
from comity.log.seal import ContentKey, open_sealed
from comity.log.sealed import Sealed, parse
from comity.node import arrivals, rows
from comity.node.effects import Effect, VerifyBatch, Write
from comity.node.journal import Hand, Journal
from comity.node.prekeys import OwnPrekeys
from comity.node.replica import Replica, Saved, Source
from comity.node.step import Step, Waiting
from comity.wire.records import Commit
from comity_chaos.keyed import SimEntropy

WALL: Final = Wall(1_700_000_000_000)
NOW: Final = Moment(Instant(0), WALL)
CRYPTO: Final = Symbolic()
PEER: Final = (LinkId(1), DeviceId(bytes(32)))
COMMITS: Final = 6 * VERIFY_BATCH_MIN


class Author:
    """A founder who writes a long log: mostly a chain, here and there a branch and a merge."""

    def __init__(self) -> None:
        """Write it."""
        entropy = SimEntropy(1, 1, 1)
        signer = Signer(CRYPTO, entropy.draw(32))
        self.hand = Hand(signer, OwnPrekeys(KeyPair(CRYPTO, entropy.draw(32))), entropy)
        self.topic, self.genesis, self.content = Journal.found(self.hand, "Test", WALL)
        self.key = ContentKey(self.topic, self.content)
        self.graph = Graph()
        sealed = parse(self.genesis.sealed)
        assert isinstance(sealed, Sealed)
        plain = open_sealed(CRYPTO, self.key, sealed)
        assert isinstance(plain, bytes)
        inner = decode_inner(plain, self.graph.facts)
        assert isinstance(inner, Inner)
        self.graph.insert(self.genesis.id, inner, gen=0)
        self.commits: list[Commit] = []
        last = self.genesis.id
        for number in range(COMMITS):
            if number % 10 == 5:
                self._write(last, (last,))  # a branch: the next goes on from beside it
            last = self._write(last, self.graph.heads if number % 10 == 9 else (last,))

    def _write(self, last: CommitId, parents: tuple[CommitId, ...]) -> CommitId:
        facts = self.graph.facts(last)
        assert facts is not None
        turn = TurnEntry(len(self.commits).to_bytes(4, "little"))
        device = self.hand.signer.device
        inner = Inner(device, facts.seq + 1, last, RootGrant(0), parents, WALL, (turn,))
        numbers = [self.graph.index_of(parent) for parent in parents]
        gen = 1 + max(self.graph.gen_of(number) for number in numbers if number is not None)
        made = make_commit(
            self.hand.signer,
            self.key,
            epoch=self.genesis.id,
            gen=gen,
            inner=inner,
            past=self.graph.facts,
        )
        self.graph.insert(made.id, inner, gen=gen)
        self.commits.append(Commit(made.sealed, made.beside))
        return made.id


AUTHOR: Final = Author()


class Heard:
    """What a replica told its node."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.ids: list[CommitId] = []
        self.refusals: list[tuple[CommitId, str]] = []

    def stored(
        self, step: Step, topic: Topic, ids: tuple[CommitId, ...], source: Source | None
    ) -> None:
        """Keep them."""
        assert (step.now, topic, source) == (NOW, AUTHOR.topic, PEER)
        self.ids += ids

    def lacking(
        self, step: Step, topic: Topic, parents: tuple[CommitId, ...], source: Source
    ) -> None:
        """Nobody else is there to be asked."""

    def refused(
        self, step: Step, topic: Topic, commit: CommitId, refusal: Rejected, source: Source
    ) -> None:
        """Keep it."""
        assert (step.now, topic, source) == (NOW, AUTHOR.topic, PEER)
        self.refusals.append((commit, str(refusal)))

    def superseded(self, commit: CommitId) -> None:
        """Nobody else writes as this device."""
        raise AssertionError(commit)

    def keyless(self, step: Step, topic: Topic, epochs: tuple[CommitId, ...]) -> None:
        """The key of the one epoch is here."""
        raise AssertionError((step, topic, epochs))

    def renewed(self, step: Step, topic: Topic, commit: CommitId) -> None:
        """No copy of a commit is better than another."""
        raise AssertionError((step, topic, commit))

    def members_changed(
        self,
        step: Step,
        topic: Topic,
        commit: CommitId,
        joined: Iterable[DeviceId],
        left: Iterable[DeviceId],
    ) -> None:
        """Nobody joins or leaves."""
        raise AssertionError((step, topic, commit, joined, left))


class Reader:
    """A replica that has the genesis and its key, and what its steps asked to be checked."""

    def __init__(self) -> None:
        """Start."""
        self.heard = Heard()
        self.waiting = Waiting()
        self.asked: list[VerifyBatch] = []
        self.settled: list[int] = []
        entropy = SimEntropy(2, 1, 1)
        signer = Signer(CRYPTO, entropy.draw(32))
        genesis = rows.encode_commit(Commit(AUTHOR.genesis.sealed, AUTHOR.genesis.beside))
        self.replica = Replica(
            AUTHOR.topic,
            Hand(signer, OwnPrekeys(KeyPair(CRYPTO, entropy.draw(32))), entropy),
            self.heard,
            row=rows.TopicRow("Test", b"", shelf=False),
            store=bytes(16),
            saved=Saved(
                ((AUTHOR.genesis.id, AUTHOR.content),),
                ((rows.commit_key(AUTHOR.topic, 1), genesis),),
            ),
        )

    def one_by_one(self, commits: Iterable[Commit]) -> None:
        """Take commits as if each had come alone."""
        for commit in commits:
            step = Step(NOW, self.waiting)
            self.replica.take(step, commit, PEER)
            self._follow(step.finish())

    def deliver(self, number: int, commits: Sequence[Commit]) -> None:
        """Take commits that come together; note when they are settled."""
        step = Step(NOW, self.waiting)
        self.replica.deliver(step, commits, PEER, lambda _: self.settled.append(number))
        self._follow(step.finish())

    def answer(self, place: int, *, rightly: bool = True) -> None:
        """Answer one of the questions that are open."""
        batch = self.asked.pop(place)
        valid = tuple(CRYPTO.verify(*claim) and rightly for claim in batch.claims)
        step = Step(NOW, self.waiting)
        self.waiting.take_check(batch.token)(step, valid)
        self._follow(step.finish())

    def _follow(self, effects: list[Effect]) -> None:
        later = Step(NOW, self.waiting)
        for effect in effects:
            if isinstance(effect, VerifyBatch):
                self.asked.append(effect)
            elif isinstance(effect, Write):
                for then in self.waiting.take_write(effect.token):
                    then(later)
        later.finish()

    @property
    def log(self) -> tuple[CommitId, ...]:
        """The accepted commits in their order."""
        graph = self.replica.journal.graph
        return tuple(graph.id_of(number) for number in range(len(graph)))


def forged(commit: Commit) -> Commit:
    """Return a commit with another signature."""
    return Commit(commit.sealed, bytes(64))


@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_the_outcome_is_that_of_one_by_one(data: st.DataObject) -> None:
    """Same log, same refusals, same order, for all cuts, forgeries, repeats and answers."""
    commits = list(AUTHOR.commits)
    for place in data.draw(st.lists(st.integers(0, COMMITS - 1), max_size=3), label="bad"):
        bad = forged(commits[place]) if place % 2 else Commit(commits[place].sealed, b"short")
        commits.insert(data.draw(st.integers(0, COMMITS - 1), label="at"), bad)
    for place in data.draw(st.lists(st.integers(0, COMMITS - 1), max_size=3), label="move"):
        commits.append(commits.pop(place))
    cuts = data.draw(st.lists(st.integers(0, len(commits)), max_size=9), label="cuts")
    twin = Reader()
    twin.one_by_one(commits)
    reader = Reader()
    batches = [commits[a:b] for a, b in pairwise((0, *sorted(cuts), len(commits)))]
    for number, batch in enumerate(batches):
        reader.deliver(number, batch)
        while len(reader.asked) > data.draw(st.integers(0, 2), label="left"):
            place = data.draw(st.integers(0, len(reader.asked) - 1), label="which")
            reader.answer(place, rightly=data.draw(st.booleans(), label="rightly"))
    while reader.asked:
        reader.answer(data.draw(st.integers(0, len(reader.asked) - 1), label="last"))
    reader.replica.check()
    assert reader.log == twin.log
    assert reader.heard.ids == twin.heard.ids
    assert reader.heard.refusals == twin.heard.refusals
    assert reader.settled == list(range(len(batches)))


def test_a_lone_commit_is_taken_at_once() -> None:
    """Nobody is asked about what comes in small numbers, and nothing is put off."""
    reader = Reader()
    few = AUTHOR.commits[: VERIFY_BATCH_MIN - 1]
    reader.deliver(0, few)
    assert not reader.asked
    assert len(reader.log) == 1 + len(few)
    assert reader.settled == [0]


def test_what_comes_later_waits_for_its_turn() -> None:
    """A lone commit behind a batch is taken after it, in order."""
    reader = Reader()
    first, more = AUTHOR.commits[:VERIFY_BATCH_MIN], AUTHOR.commits[VERIFY_BATCH_MIN:]
    reader.deliver(0, first)
    reader.deliver(1, more[:1])
    assert len(reader.log) == 1
    assert not reader.settled
    reader.answer(0)
    assert len(reader.log) == 2 + len(first)
    assert reader.settled == [0, 1]


def test_a_right_answer_spares_the_second_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was verified elsewhere is not verified here."""
    reader = Reader()
    reader.deliver(0, AUTHOR.commits[:VERIFY_BATCH_MIN])
    asked: list[bytes] = []

    def counted(_self: Symbolic, public: bytes, _message: bytes, _signature: bytes) -> bool:
        asked.append(public)
        return True

    batch = reader.asked[0]
    valid = tuple(CRYPTO.verify(*claim) for claim in batch.claims)
    monkeypatch.setattr(Symbolic, "verify", counted)
    step = Step(NOW, reader.waiting)
    reader.waiting.take_check(batch.token)(step, valid)
    assert all(valid)
    assert not asked
    assert len(reader.log) == 1 + VERIFY_BATCH_MIN


def test_the_queue_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond its bound everything is taken at once; answers that come later change nothing."""
    assert VERIFY_AHEAD_MAX >= 4 * VERIFY_BATCH_MIN
    monkeypatch.setattr(arrivals, "VERIFY_AHEAD_MAX", 2 * VERIFY_BATCH_MIN)
    reader = Reader()
    for number in range(3):
        start = number * VERIFY_BATCH_MIN
        reader.deliver(number, AUTHOR.commits[start : start + VERIFY_BATCH_MIN])
    assert len(reader.log) == 1 + 3 * VERIFY_BATCH_MIN
    assert reader.settled == [0, 1, 2]
    assert len(reader.asked) == 2
    reader.answer(1)
    reader.answer(0, rightly=False)
    assert len(reader.log) == 1 + 3 * VERIFY_BATCH_MIN
    assert reader.settled == [0, 1, 2]
