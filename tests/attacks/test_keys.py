"""Lies about keys: wraps, histories, epochs after removals. PROTOCOL 12: 17, 18."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

from comity.base.clock import Instant, Wall
from comity.base.errors import Reason
from comity.base.ids import CommitId, DeviceId, Topic
from comity.base.limits import KEYS_A_MINUTE_MAX, KEYS_ASKED_MAX
from comity.log.build import SealedCommit
from comity.log.entries import AddEntry, EpochEntry, Role, TurnEntry
from comity.log.graph import Graph
from comity.log.inner import Inner, encode_inner
from comity.log.seal import ContentKey, seal, sign_beside
from comity.log.sealed import EPOCH_PREFIX_BYTES, Sealed, commit_id, parse
from comity.node import admission as admission_module
from comity.node import journal as journal_module
from comity.node import syncing as syncing_module
from comity.node.epochs import Epochs, Prekeys
from comity.node.key_requests import KeyRequests
from comity.node.replica import Replica
from comity.node.step import Step
from comity.node.syncing import Syncing
from comity.wire import codec as codec_module
from comity.wire import records
from comity.wire.records import Commit
from comity_chaos.sim import Sim
from tests.attacks.attacker import Attacker, accomplice, stage
from tests.attacks.claims import (
    agree,
    always,
    attack,
    both,
    claim,
    enter,
    epoch_of,
    epochs_of,
    expel,
    journal_of,
    lines,
    refusal_of,
    replica_of,
)
from tests.node.ledger import Ledger


@both
@pytest.mark.parametrize("lie", ["an outsider", "a removed device", "another secret"])
def test_17_wrong_wraps(lie: str, *, defended: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """An epoch whose wraps are not those of its readers stands, and is not sealed under."""
    if not defended:
        monkeypatch.setattr(journal_module, "check_wraps", always(answer=None))
    breaks = "nothing is sealed under it"
    with attack(defended=defended, breaks=breaks), stage(401) as (sim, refs, mallory):
        a, b, c = refs
        trent = accomplice(sim, a, refs, "trent")
        expel(sim, a, trent.device)
        agree(sim, refs)
        good = mallory.prekeys_at()
        extra = {
            "an outsider": (mallory.crypto.exchange_public(bytes([7]) * 32),),
            "a removed device": (trent.prekey.public,),
        }
        if lie in extra:
            made = mallory.rotate(prekeys=good + extra[lie])
        else:
            made = _other_secret(mallory)
        for ref in refs:
            mallory.push(ref, [mallory.sent(made)])
        agree(sim, refs)
        for ref in (b, c, a):
            ref.tell(Ledger.enter, f"by {ref.node.index}", 1)
            sim.run(1)
        agree(sim, refs)
        graph = journal_of(a).graph
        first = graph.index_of(made.id)
        claim(first is not None, "the commit stands")
        for commit in range((first or 0) + 1, len(graph)):
            claim(epoch_of(a, commit) != made.id, "nothing is sealed under it")
        claim("bad epoch" in [report.what for report in a.node.reports], "its owner is told")


def _other_secret(mallory: Attacker) -> SealedCommit:
    """Make an epoch whose inner secret is not the one that made its wraps."""
    assert mallory.topic is not None
    key = ContentKey(mallory.topic, mallory.entropy.draw(32))
    entry = EpochEntry(mallory.entropy.draw(32))
    draft = mallory.draft(entry, key=key.key, epoch=None, prekeys=mallory.prekeys_at())
    outside = parse(mallory.make(draft, keep=False).sealed)
    assert isinstance(outside, Sealed)
    inside = Inner(
        author=mallory.device,
        seq=0,
        backlink=None,
        auth=draft.auth,
        parents=tuple(sorted(draft.parents)),
        wall=Wall(draft.wall),
        entries=(EpochEntry(bytes(32)),),
    )
    plain = encode_inner(inside, mallory.facts)
    sealed = seal(mallory.crypto, key, outside.clear, plain)
    commit = commit_id(mallory.topic, sealed)
    return SealedCommit(commit, sealed, sign_beside(mallory.crypto, key, mallory.seed, commit))


@both
def test_17_an_epoch_nobody_can_open_stops_nobody(
    *, defended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wraps that hold another key than the one committed to: the commit waits, others go on.

    Who believes the wrap refuses the commit for good, also where it opens for others.
    """
    if not defended:
        monkeypatch.setattr(journal_module, "unwrap_key", always(answer=bytes(32)))
    breaks = "it waits, bounded"
    with attack(defended=defended, breaks=breaks), stage(402) as (sim, refs, mallory):
        made = mallory.rotate()
        broken = bytearray(made.sealed)
        broken[28 + 32] ^= 1
        for ref in refs:
            mallory.push(ref, [Commit(bytes(broken), made.beside)])
            ref.tell(Ledger.enter, f"by {ref.node.index}", 1)
        agree(sim, refs)
        claim(len(lines(refs[0])) == 3, "the others go on")
        claim(all(len(replica_of(ref)._orphans) == 1 for ref in refs), "it waits, bounded")


def _asks_nobody(
    _syncing: Syncing, _step: Step, _topic: Topic, _epochs: tuple[CommitId, ...]
) -> None:
    """Patch out that keys are asked for."""


@both
@pytest.mark.parametrize("lies", [False, True])
def test_17_who_gets_no_wrap_reads_on(
    *, lies: bool, defended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A member left out of an epoch learns its key from another member, beside any lies."""
    if not defended:
        monkeypatch.setattr(Syncing, "keyless", _asks_nobody)
    with attack(defended=defended, breaks="b reads on"), stage(403) as (sim, refs, mallory):
        a, b, c = refs
        device = b.node.running()[0].device
        journal = journal_of(a)
        of_b = journal._prekeys.of([device], journal.graph, lambda _: True)
        made = mallory.rotate(prekeys=[k for k in mallory.prekeys_at() if k not in of_b])
        for ref in refs:
            mallory.push(ref, [mallory.sent(made)])
        if lies:
            line = mallory.line_to(b)
            wrong = ((made.id, bytes(32)), (CommitId(bytes(32)), bytes(32)))
            mallory.say(line, records.Keys(mallory.tag(line), wrong))
        under = mallory.make(
            mallory.draft(
                TurnEntry(enter("after")),
                epoch=made.id,
                key=mallory.keys[made.id],
                parents=(made.id,),
            )
        )
        for ref in refs:
            mallory.push(ref, [mallory.sent(under)])
        agree(sim, [a, c])
        sim.run(10)
        claim(lines(b) == {"after": 1}, "b reads on")
        sim.crash(b)
        sim.restart(b)
        agree(sim, refs)
        claim(lines(b) == {"after": 1}, "b reads on")


@both
def test_17_keys_that_nobody_asked_for(
    *, defended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flood of answers takes no room, and costs its sender more than its victim."""
    if not defended:
        monkeypatch.setattr(KeyRequests, "answered", always(answer=True))
    breaks = "nothing is kept of it"
    with attack(defended=defended, breaks=breaks), stage(410) as (sim, refs, mallory):
        line = mallory.line_to(refs[0])
        for _ in range(200):
            draw = mallory.entropy.draw
            keys = tuple((CommitId(draw(32)), draw(32)) for _ in range(64))
            mallory.say(line, records.Keys(mallory.tag(line), keys))
        agree(sim, refs)
        claim(not journal_of(refs[0]).epochs._given, "nothing is kept of it")


@both
def test_17_a_removed_device_asks(*, defended: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is no member is told no key, on a session that is still open either."""
    if not defended:
        monkeypatch.setattr(Replica, "keys_for", _tells_all)
    breaks = "no key is told to who was removed"
    with attack(defended=defended, breaks=breaks), stage(411) as (sim, refs, mallory):
        a = refs[0]
        asked = mallory.line_to(a)
        expel(sim, a, mallory.device)
        mallory.say(asked, records.KeyRequest(mallory.tag(asked), epochs_of(a)))
        sim.run(5)
        told = [r for _, r in mallory.heard if isinstance(r, records.Keys)]
        claim(not told, "no key is told to who was removed")


def _tells_all(
    self: Replica, _peer: DeviceId, epochs: Sequence[CommitId], **_: object
) -> tuple[tuple[CommitId, bytes], ...]:
    held = dict(self.journal.epochs.held)
    return tuple((epoch, held[epoch]) for epoch in epochs)


@both
def test_17_a_member_is_told_what_it_asks_for(
    *, defended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the epochs asked for, those that are held; so many a minute, and no more."""
    if not defended:
        monkeypatch.setattr(syncing_module, "KEYS_A_MINUTE_MAX", 1 << 20)
    breaks = "no more than a share"
    with attack(defended=defended, breaks=breaks), stage(412) as (sim, refs, mallory):
        line = mallory.line_to(refs[0])
        (held, *_) = epochs_of(refs[0])
        lacking = [CommitId(number.to_bytes(32, "big")) for number in range(KEYS_ASKED_MAX - 1)]
        ask = records.KeyRequest(mallory.tag(line), (*lacking, held))
        for _ in range(KEYS_A_MINUTE_MAX // KEYS_ASKED_MAX + 3):
            mallory.say(line, ask)
        sim.run(5)
        told = [r for _, r in mallory.heard if isinstance(r, records.Keys)]
        claim(len(told) == KEYS_A_MINUTE_MAX // KEYS_ASKED_MAX, "no more than a share")
        claim(all([epoch for epoch, _ in r.keys] == [held] for r in told), "what is held")
        sim.run(61)
        mallory.say(line, ask)
        sim.run(5)
        claim(len([r for _, r in mallory.heard if isinstance(r, records.Keys)]) == 5, "again")


def _ask_without_accounts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patch out that every peer has a share of its own in what is asked for."""
    want = KeyRequests.want

    def crowded(
        self: KeyRequests, epoch: CommitId, sealed: bytes, source: DeviceId, now: Instant
    ) -> None:
        if len(self) < KEYS_ASKED_MAX:
            want(self, epoch, sealed, source, now)

    monkeypatch.setattr(KeyRequests, "want", crowded)


@both
def test_17_junk_epochs_crowd_out_no_other(
    *, defended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Epochs that nobody can open, by the hundred, do not keep b from asking for a good one."""
    if not defended:
        _ask_without_accounts(monkeypatch)
    breaks = "b asked for the good one"
    with attack(defended=defended, breaks=breaks), stage(413) as (sim, refs, mallory):
        a, b, c = refs
        made = mallory.rotate()
        for number in range(3 * KEYS_ASKED_MAX):
            broken = bytearray(made.sealed)
            broken[28 + 32] ^= 1
            broken[28 + 33 : 28 + 35] = number.to_bytes(2, "big")
            mallory.push(b, [Commit(bytes(broken), made.beside)])
        sim.run(2)
        asked = replica_of(b)._key_requests
        claim(len(asked) == KEYS_ASKED_MAX, "it asks for so many of one peer")
        other = Attacker(sim, "other")
        other.join(a)
        other.connect(*refs)
        device = b.node.running()[0].device
        journal = journal_of(a)
        of_b = journal._prekeys.of([device], journal.graph, lambda _: True)
        good = other.rotate(prekeys=[k for k in other.prekeys_at() if k not in of_b])
        for ref in (a, c, b):
            other.push(ref, [other.sent(good)])
        sim.run(20)
        claim(journal_of(b).graph.index_of(good.id) is not None, "b asked for the good one")


@both
def test_17_a_prekey_put_in_anothers_place(
    *, defended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An admin who adds a silent member again, with his own prekey, takes no key from it."""
    if not defended:
        monkeypatch.setattr(Prekeys, "of", _newest_add)
        monkeypatch.setattr(Syncing, "keyless", _asks_nobody)
    breaks = "the honest replicas agree"
    with (
        attack(defended=defended, breaks=breaks),
        stage(408, role=Role.ADMIN) as (sim, refs, mallory),
    ):
        a, b, _ = refs
        trent = accomplice(sim, a, refs, "trent")
        add = AddEntry(b.node.running()[0].device, Role.READER, mallory.prekey.public)
        made = mallory.make(mallory.draft(add))
        mallory.push(a, [mallory.sent(made)])
        agree(sim, refs)
        expel(sim, a, trent.device)
        a.tell(Ledger.enter, "after", 1)
        agree(sim, refs)
        claim("after" in lines(b), "the silent member reads on")
        b.tell(Ledger.enter, "no more silent", 1)
        agree(sim, refs)
        for ref in refs:
            own = journal_of(ref)._prekeys._own
            claim(b.node.running()[0].device in own, "its first commit gives its prekey")


def _newest_add(
    self: Prekeys, devices: Iterable[DeviceId], _graph: Graph, within: Callable[[int], bool]
) -> tuple[bytes, ...]:
    """Prefer the newest add, which anybody who may add can make."""
    found: list[bytes] = []
    for device in devices:
        for known in (self._own, self._added):
            seen = [pair for pair in known.get(device, ()) if within(pair[0])]
            if seen:
                found.append(max(seen)[1])
                break
    return tuple(found)


@both
def test_18_two_removals_at_once(*, defended: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """After two concurrent removals meet, nothing is sealed under the epoch of either."""
    if not defended:
        choose = Epochs.choose

        def careless(self: Epochs, graph: Graph, **rule: Any) -> CommitId | None:
            rule["removals"] = ()
            return choose(self, graph, **rule)

        monkeypatch.setattr(Epochs, "choose", careless)
    breaks = "nobody who was removed reads"
    with attack(defended=defended, breaks=breaks), Sim(seed=404) as sim:
        refs = sim.share(Ledger, roles=[Role.ADMIN, Role.WRITER])
        a, b, c = refs
        one, other = Attacker(sim, "one"), Attacker(sim, "other")
        one.join(a)
        agree(sim, refs)
        other.join(b)
        agree(sim, refs)
        sim.cut(a, [b, c])
        expel(sim, a, one.device)
        expel(sim, b, other.device)
        sim.run(3)
        sim.heal()
        agree(sim, refs)
        graph = journal_of(a).graph
        merged = len(graph)
        authority = journal_of(a).authority
        assert authority is not None
        removals = authority.removals()
        claim(len(removals) == 2, "both removals are in force")
        for writer in (c, b):
            writer.tell(Ledger.enter, f"after, by {writer.node.index}", 1)
            agree(sim, refs)
        rotated = 0
        for commit in range(merged, len(graph)):
            epoch = graph.index_of(epoch_of(a, commit))
            assert epoch is not None
            rotated += epoch == commit
            past = all(graph.is_before(removal, epoch) for removal in removals)
            claim(past, "nobody who was removed reads what comes after")
            key = journal_of(a).epochs.key(graph.id_of(epoch))
            held = [k for each in (one, other) for k in each.keys.values()]
            claim(key is not None and key.key not in held, "the removed hold no key of it")
        claim(rotated == 1, "the next writer rotates, once")


@both
@pytest.mark.parametrize("wrapped", ["to all", "to all but himself"])
@pytest.mark.parametrize("when", ["before his removal", "beside it"])
def test_18_an_epoch_of_who_is_removed_later(
    when: str, wrapped: str, *, defended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """He knows its key whether it is wrapped to him or not: it ends with his removal."""
    if not defended:
        choose = Epochs.choose

        def by_wraps(self: Epochs, graph: Graph, **rule: Any) -> CommitId | None:
            rule |= {"removals": (), "effective": always(answer=True)}
            return choose(self, graph, **rule)

        monkeypatch.setattr(Epochs, "choose", by_wraps)
        monkeypatch.setattr(journal_module, "check_wraps", always(answer=None))
    breaks = "he cannot read what comes after"
    with attack(defended=defended, breaks=breaks), stage(414) as (sim, refs, mallory):
        a, b, c = refs
        trent = accomplice(sim, a, refs, "trent")
        readers = mallory.prekeys_at()
        others = tuple(key for key in readers if key != mallory.prekey.public)
        assert len(others) == len(readers) - 1
        made = mallory.rotate(prekeys=readers if wrapped == "to all" else others)
        if when == "before his removal":
            mallory.push(a, [mallory.sent(made)])
            agree(sim, refs)
            b.tell(Ledger.enter, "before", 1)
            agree(sim, refs)
            used = epoch_of(a, len(journal_of(a).graph) - 1) == made.id
            claim(used or wrapped != "to all", "until then it is an epoch like another")
            claim(not (used and defended) or wrapped == "to all", "his own wrap is missed")
        expel(sim, a, mallory.device)
        if when == "beside it":
            trent.push(b, [mallory.sent(made)])
        agree(sim, refs)
        graph = journal_of(a).graph
        claim(graph.index_of(made.id) is not None, "the commit stands")
        removed = len(graph)
        for writer in (c, b, a):
            writer.tell(Ledger.enter, f"after, by {writer.node.index}", 1)
            agree(sim, refs)
        assert len(graph) >= removed + 3
        for commit in range(removed, len(graph)):
            key = journal_of(a).epochs.key(epoch_of(a, commit))
            known = key is None or key.key in mallory.keys.values()
            claim(not known, "he cannot read what comes after")


def _history(mallory: Attacker, key: bytes, named: dict[CommitId, bytes]) -> bytes:
    """Return the history of an epoch that names these keys."""
    assert mallory.topic is not None
    epochs = Epochs(mallory.crypto, mallory.topic)
    for epoch, named_key in named.items():
        epochs.learn(epoch, named_key)
    return epochs.history(key)


def _lying_epoch(mallory: Attacker, named: dict[CommitId, bytes]) -> SealedCommit:
    """Make an epoch with right wraps whose history names these keys."""
    key = mallory.entropy.draw(32)
    entry = EpochEntry(mallory.entropy.draw(32), _history(mallory, key, named))
    draft = mallory.draft(entry, key=key, epoch=None, prekeys=mallory.prekeys_at())
    return mallory.make(draft)


def believe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patch out that a key is its epoch's only if an accepted commit says so."""
    read = Epochs.read_history

    def give(self: Epochs, epoch: CommitId, key: bytes) -> bool:
        self._keys.setdefault(epoch, ContentKey(self._topic, key))
        self._by_prefix.setdefault(epoch[:EPOCH_PREFIX_BYTES], []).append(epoch)
        return True

    def believing(self: Epochs, key: bytes, sealed: bytes) -> tuple[CommitId, ...]:
        plain = self._crypto.open(self._history_key(key), bytes(24), sealed, self._topic) or b""
        for start in range(0, len(plain), 64):
            give(self, CommitId(plain[start : start + 32]), plain[start + 32 : start + 64])
        return read(self, key, sealed)

    monkeypatch.setattr(Epochs, "give", give)
    monkeypatch.setattr(Epochs, "read_history", believing)


@both
def test_17_a_history_that_lies(*, defended: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong key named for an honest epoch, before it arrives, does not keep it out."""
    if not defended:
        believe(monkeypatch)
    breaks = "the honest replicas agree"
    with attack(defended=defended, breaks=breaks), stage(405) as (sim, refs, mallory):
        a, b, c = refs
        trent = accomplice(sim, a, refs, "trent")
        sim.cut(a, [b, c])
        expel(sim, a, trent.device)
        a.tell(Ledger.enter, "under the new key", 1)
        sim.run(2)
        honest = journal_of(a).choose_epoch(journal_of(a).graph.version)
        assert honest is not None
        mallory.spy = b
        made = _lying_epoch(mallory, {honest: bytes(32)})
        mallory.push(b, [mallory.sent(made)])
        mallory.push(c, [mallory.sent(made)])
        sim.run(1)
        claim(journal_of(b).graph.index_of(made.id) is not None, "the liar came first")
        sim.heal()
        agree(sim, refs)
        claim("under the new key" in lines(b), "the honest epoch opens")
        sim.crash(b)
        sim.restart(b)
        agree(sim, refs)


@both
def test_17_a_key_of_no_epoch(*, defended: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit under an epoch that is not in the log waits for it; it stops no node."""
    if not defended:
        believe(monkeypatch)
    with attack(defended=defended, breaks="failed"), stage(406) as (sim, refs, mallory):
        ghost = CommitId(mallory.entropy.draw(32))
        made = _lying_epoch(mallory, {ghost: bytes(32)})
        under = mallory.make(
            mallory.draft(
                TurnEntry(enter("ghost")), epoch=ghost, key=bytes(32), parents=(made.id,)
            )
        )
        for ref in refs:
            mallory.push(ref, map(mallory.sent, (made, under)))
            ref.tell(Ledger.enter, f"by {ref.node.index}", 1)
        agree(sim, refs)
        claim(len(lines(refs[0])) == 3, "nobody is stopped")
        claim(refusal_of(refs[0], under.id) is None, "it only waits")


@both
def test_17_more_epochs_than_a_welcome_holds(
    *, defended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where too many keys would have to be handed over, a newcomer is refused and told why."""
    monkeypatch.setattr(codec_module, "WELCOME_KEYS_MAX", 8)
    monkeypatch.setattr(admission_module, "WELCOME_KEYS_MAX", 8 if defended else 1 << 20)
    with attack(defended=defended, breaks="failed"), stage(407) as (sim, refs, mallory):
        for _ in range(12):
            parents = (mallory.last,) if mallory.last else mallory.journal.graph.heads
            made = mallory.rotate(prekeys=mallory.prekeys_at(), parents=parents)
            mallory.push(refs[0], [mallory.sent(made)])
        agree(sim, refs)
        trent = Attacker(sim, "trent")
        line = trent.use(sim.invite(refs[0]), refs[0])
        (answer,) = trent.answers(line)
        claim(isinstance(answer, records.Refusal), "it is refused")
        claim(answer.reason is Reason.QUOTA, "it is told why")  # type: ignore[union-attr]
        refs[0].tell(Ledger.enter, "on", 1)
        agree(sim, refs)
