"""The journal of one actor: its accepted commits, and the one way to become one of them.

Owns: the graph, the authority and the epochs of a topic, the order of acceptance, and the
making of this device's own commits. May not know: cells and drafts (`node.beats`), commits
that cannot be checked yet (`node.orphans`), links.

    layout -> size -> known? -> open -> parents known -> structure -> STATIC authority
    -> signature -> stored, admitted

Source: PROTOCOL section 2 'Acceptance', sections 3 and 4.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from comity.authority.authority import Authority
from comity.authority.claim import Change, Claim, claim_of
from comity.authority.visibility import Flip, Visibility
from comity.base.clock import Duration, Wall
from comity.base.errors import Reason, Rejected
from comity.base.ids import CommitId, DeviceId, Topic, short
from comity.base.limits import READERS_MAX
from comity.base.ports import Entropy
from comity.crypto.port import KEY_BYTES, Crypto
from comity.log.build import SealedCommit, Signer, make_commit, make_epoch, make_genesis
from comity.log.entries import (
    Entry,
    EpochEntry,
    GenesisEntry,
    PrekeyEntry,
    Role,
    TurnEntry,
)
from comity.log.graph import Graph
from comity.log.inner import (
    CommitGrant,
    Grant,
    Inner,
    Past,
    RootGrant,
    decode_inner,
    peek_parents,
)
from comity.log.seal import ContentKey, kcommit_of, open_sealed, sign_beside, verify_beside
from comity.log.sealed import Sealed, commit_id, parse
from comity.log.structure import check_structure, missing_parents
from comity.log.wraps import check_wraps, unwrap_key
from comity.node import rows
from comity.node.effects import Table
from comity.node.epochs import Epochs, Prekeys, is_worn
from comity.node.prekeys import OwnPrekeys
from comity.node.step import Step
from comity.node.verdicts import Ahead, Checked, Inserted, Missing, Opened
from comity.wire.records import Commit

__all__ = ["Checked", "Hand", "Inserted", "Journal", "Missing", "turns_in"]


@dataclass(frozen=True, slots=True)
class Hand:
    """What this device makes commits with: its signing key, its prekeys, fresh bytes."""

    signer: Signer
    prekeys: OwnPrekeys
    entropy: Entropy

    @property
    def crypto(self) -> Crypto:
        """The crypto library of this node."""
        return self.signer.crypto


class Journal:
    """The accepted commits of one actor on this device."""

    __slots__ = (
        "_hand",
        "_on_insert",
        "_prekeys",
        "actor_type",
        "epochs",
        "grant",
        "graph",
        "own_last",
        "topic",
        "visibility",
    )

    def __init__(
        self,
        topic: Topic,
        hand: Hand,
        *,
        actor_type: str,
        grant: bytes,
        on_insert: Callable[[Inserted, Step | None], None],
    ) -> None:
        """Start empty. grant: the commit that added this device, empty for a founder.

        on_insert: called for every commit that is inserted, ours too, in order.
        """
        self.topic = topic
        self.actor_type = actor_type
        self.grant = grant
        self.graph = Graph()
        self.epochs = Epochs(hand.crypto, topic)
        self.own_last: int | None = None
        self._hand = hand
        self._on_insert = on_insert
        self._prekeys = Prekeys()
        self.visibility = Visibility(self.graph, topic, hand.crypto.verify)

    # What the log says

    @property
    def device(self) -> DeviceId:
        """This device."""
        return self._hand.signer.device

    @property
    def crypto(self) -> Crypto:
        """The crypto library of this node."""
        return self._hand.crypto

    @property
    def authority(self) -> Authority | None:
        """Who counts; None before the genesis is here."""
        return self.visibility.authority

    @property
    def role(self) -> Role | None:
        """This device's role in the present view."""
        if self.authority is None:
            return None
        return self.authority.role_of(self._hand.signer.device)

    @property
    def may_write(self) -> bool:
        """Whether this device's turns may write, in the present view."""
        role = self.role
        return role is not None and role >= Role.WRITER

    def effective(self, commit: int) -> bool:
        """Whether the turns of a commit count in the present view."""
        return self.visibility.counts(commit)

    def hidden_count(self) -> int:
        """Number of quarantined commits. Linear: for status, not for hot paths."""
        return self.visibility.hidden_count()

    def turn_count(self, commit: int) -> int:
        """Number of turns in a commit."""
        return self.visibility.undos.turn_count(commit)

    def join(self, heads: list[int], commit: int) -> list[int]:
        """Return the newest of these heads, none following another, and `commit`."""
        before = self.graph.is_before
        if any(head == commit or before(commit, head) for head in heads):
            return heads
        return [*(head for head in heads if not before(head, commit)), commit]

    def anchors(self) -> list[int]:
        """Return what must lie in the past of any next commit of ours, as far as it is here.

        Our last commit, because of the backlink, and the grant that we act under.
        """
        found = [] if self.own_last is None else [self.own_last]
        if self.authority is not None:
            grant = self.authority.grant_for(self._hand.signer.device)
            index = None
            if isinstance(grant, CommitGrant):
                index = self.graph.index_of(grant.commit)
            found += [] if index is None else [index]
        return found

    def jitter(self, longest: Duration) -> Duration:
        """Draw a wait of at most this length."""
        return Duration(longest * int.from_bytes(self._hand.entropy.draw(2), "big") >> 16)

    def turns_of(self, commit: Commit) -> tuple[bytes, ...]:
        """Open a commit that was accepted before and return its turns' operations."""
        inner = decode_inner(self.reopen(commit).plain, self.graph.facts)
        assert isinstance(inner, Inner)
        return turns_in(inner)

    def reopen(self, commit: Commit) -> Opened:
        """Open a commit that was accepted before."""
        opened = self._open(self.name(commit), commit.sealed)
        assert isinstance(opened, Opened), "an accepted commit opens"
        return opened

    def sign_again(self, commit: Commit) -> bytes:
        """Return what stood beside a commit of this very device: the same bytes."""
        opened = self.reopen(commit)
        assert self.graph.author_of(self._index(opened.id)) == self.device
        signer = self._hand.signer
        return sign_beside(self._hand.crypto, opened.key, signer.seed, opened.id)

    def explain(self, prefix: bytes) -> str:
        """Say how the accepted commit stands whose id begins like this; '' if there is none.

        Linear in the log: for people.
        """
        for index in range(len(self.graph)):
            identifier = self.graph.id_of(index)
            if identifier.startswith(prefix):
                assert self.authority is not None
                return self.authority.why(index) + self.visibility.undone_why(index)
        return ""

    # Foreign commits

    def name(self, commit: Commit) -> CommitId:
        """Return the id of a sealed commit."""
        return commit_id(self.topic, commit.sealed)

    def look_ahead(self, identifier: CommitId, commit: Commit, past: Past) -> Ahead | None:
        """Read a commit whose parents may be on their way; None if that cannot be done yet.

        Changes nothing. past: of what is here and of what is on its way.
        """
        opened = self._open(identifier, commit.sealed)
        if not isinstance(opened, Opened):
            return None
        inner = decode_inner(opened.plain, past)
        return None if isinstance(inner, Rejected) else Ahead(opened, inner)

    def examine(
        self,
        commit: Commit,
        *,
        trusted: bool = False,
        identifier: CommitId | None = None,
        ahead: Ahead | None = None,
    ) -> Checked | Missing | Rejected:
        """Decide whether a commit may be inserted. Changes nothing.

        trusted: its signature is known to be right, for it comes from our own disk, where only
        checked commits are, or was verified before its turn. identifier, ahead: if the caller
        knows them already.
        """
        if identifier is None:
            identifier = commit_id(self.topic, commit.sealed)
        assert self.graph.index_of(identifier) is None, "the caller knows what is known"
        opened = self._open(identifier, commit.sealed) if ahead is None else ahead.opened
        if not isinstance(opened, Opened):
            return opened
        sealed, key = opened.sealed, opened.key
        inner = ahead.inner if ahead else decode_inner(opened.plain, self.graph.facts)
        named = peek_parents(opened.plain) if isinstance(inner, Rejected) else inner
        if isinstance(named, Rejected):
            return named
        missing = missing_parents(self.graph, named.parents)
        if missing:
            return Missing(identifier, missing, b"")
        if isinstance(inner, Rejected):
            return inner
        refusal = check_structure(self.graph, inner, sealed)
        if refusal is not None:
            return refusal
        claim = self._claim(inner, opened.epoch) if inner.parents else None
        if claim is not None:
            assert self.authority is not None, "a parent is known, so the genesis is"
            refusal = self.authority.judge(claim)
            if refusal is not None:
                return refusal
        if not trusted:
            refusal = verify_beside(
                self._hand.crypto, key, inner.author, identifier, commit.beside
            )
            if refusal is not None:
                return refusal
        return Checked(identifier, commit, sealed, inner, claim, key)

    def insert(self, checked: Checked, step: Step | None) -> Inserted:
        """Make a checked commit part of the log. step: None when it is on disk already.

        With nothing beside it, it is part of a run, which the caller stores.
        """
        inner = checked.inner
        forks = len(self.graph.forks)
        index = self.graph.insert(checked.id, inner, gen=checked.sealed.gen)
        if step is not None and len(self.graph.forks) != forks:
            step.report("fork", topic=self.topic, commit=checked.id, device=inner.author)
        change, flips = self._admit(index, checked)
        turns = turns_in(inner)
        if inner.author == self._hand.signer.device:
            self.own_last = index
        self._prekeys.note(index, inner.author, inner.entries)
        opens = self._learn(index, checked, step)
        inserted = Inserted(index, checked.id, checked.commit, turns, change, flips, opens)
        if step is not None and not checked.commit.is_run:
            key = rows.commit_key(self.topic, index + 1)
            step.put(Table.COMMIT, key, rows.encode_commit(checked.commit))
        self._on_insert(inserted, step)
        return inserted

    def learn_key(
        self, epoch: CommitId, key: bytes, step: Step | None, *, proven: bool = False
    ) -> None:
        """Take a content key that somebody gave, durably; see `Epochs` for what it is worth."""
        take = self.epochs.prove if proven else self.epochs.give
        if take(epoch, key) and step is not None:
            step.put(Table.EPOCH, rows.epoch_key(self.topic, epoch), key)

    def check(self) -> None:
        """Assert the invariants of the graph and the authority, and that they agree. Slow."""
        self.graph.check()
        self.visibility.check()

    # Our own commits

    @staticmethod
    def found(hand: Hand, actor_type: str, wall: Wall) -> tuple[Topic, SealedCommit, bytes]:
        """Make a genesis with this device as its only root. Returns its key last."""
        key = hand.entropy.draw(KEY_BYTES)
        founding = GenesisEntry(
            salt=hand.entropy.draw(KEY_BYTES),
            actor_type=actor_type,
            roots=(hand.signer.device,),
            kcommit=kcommit_of(key),
        )
        inner = Inner(
            author=hand.signer.device,
            seq=0,
            backlink=None,
            auth=RootGrant(0),
            parents=(),
            wall=wall,
            entries=(founding, PrekeyEntry(hand.prekeys.newest.public)),
        )
        topic, made = make_genesis(hand.signer, key, inner)
        return topic, made, key

    def append(
        self,
        step: Step,
        *,
        entries: Sequence[Entry],
        parents: tuple[CommitId, ...],
        wall: Wall,
        role: Role | None = None,
    ) -> int | Rejected:
        """Make, sign and insert a commit of this device. Returns its number in the graph.

        Turns under the same parents make the same bytes again: if the commit is known, for a
        copy of this disk made it and a peer brought it, nothing is inserted.

        parents: ascending, minimal, this device's last commit in their past or among them.
        role: of the grant to try first. Makes an epoch commit before if one is due.
        """
        heads = [self._index(parent) for parent in parents]
        epoch = self.choose_epoch(heads)
        if epoch is None or is_worn(self.graph, epoch, wall):
            rotated = self.rotate(step, parents=parents, wall=wall)
            if not isinstance(rotated, Rejected):
                heads, parents = [rotated], (self.graph.id_of(rotated),)
                epoch = parents[0]
            elif epoch is None:
                return rotated  # a worn key will do: whoever may only read makes no other
        key = self.epochs.key(epoch)
        assert key is not None
        prekey = self._hand.prekeys.newest.public
        given = self._prekeys.given_by(self.device, lambda each: self._within(each, heads))
        if given != prekey:
            entries = (*entries, PrekeyEntry(prekey))
        inner = self._inner(entries, parents, wall, epoch, role)
        if isinstance(inner, Rejected):
            return inner
        made = make_commit(
            self._hand.signer,
            key,
            epoch=epoch,
            gen=self._gen(heads),
            inner=inner,
            past=self.graph.facts,
        )
        known = self.graph.index_of(made.id)
        if known is not None:
            return known
        return self._insert_own(made, inner, epoch, key, step)

    def rotate(
        self, step: Step, *, parents: tuple[CommitId, ...], wall: Wall
    ) -> int | Rejected:
        """Make a new epoch for the readers in the past of these parents."""
        heads = [self._index(parent) for parent in parents]
        secret = self._hand.entropy.draw(KEY_BYTES)
        key = ContentKey(self.topic, self._hand.entropy.draw(KEY_BYTES))
        entry = EpochEntry(secret, self.epochs.history(key.key))
        inner = self._inner((entry,), parents, wall, None)
        if isinstance(inner, Rejected):
            return inner
        made = make_epoch(
            self._hand.signer,
            key,
            gen=self._gen(heads),
            inner=inner,
            past=self.graph.facts,
            prekeys=self._readers_prekeys(heads),
        )
        return self._insert_own(made, inner, None, key, step)

    def named_prekey(self) -> bytes | None:
        """Return this device's prekey as the present version names it; None if it has none."""
        found = self._prekeys.of((self.device,), self.graph, lambda _: True)
        return found[0] if found else None

    def names_old_prekey(self) -> bool:
        """Tell whether that is one that this device has replaced."""
        older = self._hand.prekeys.all[1:]
        return bool(older) and self.named_prekey() in [pair.public for pair in older]

    def choose_epoch(self, heads: Sequence[int]) -> CommitId | None:
        """Return the epoch to seal under on top of these commits, by the rotation rule."""

        def within(commit: int) -> bool:
            return self._within(commit, heads)

        assert self.authority is not None
        struck = tuple(filter(within, self.authority.removals()))
        return self.epochs.choose(
            self.graph, within=within, effective=self.effective, removals=struck
        )

    def _inner(
        self,
        entries: Sequence[Entry],
        parents: tuple[CommitId, ...],
        wall: Wall,
        epoch: CommitId | None,
        role: Role | None = None,
    ) -> Inner | Rejected:
        """Build an inner of ours under the first of our grants that holds in this past."""
        device = self._hand.signer.device
        own = self._own_before(parents)
        refusal: Rejected = Rejected(Reason.NO_GRANT, f"device {short(device)}")
        for auth in self._own_grants(role):
            inner = Inner(
                author=device,
                seq=0 if own is None else self.graph.seq_of(own) + 1,
                backlink=None if own is None else self.graph.id_of(own),
                auth=auth,
                parents=parents,
                wall=wall,
                entries=tuple(entries),
            )
            assert self.authority is not None
            judged = self.authority.judge(self._claim(inner, epoch))
            if judged is None:
                return inner
            refusal = judged
        return refusal

    def _own_before(self, parents: tuple[CommitId, ...]) -> int | None:
        """Return our newest commit in the past of these, or among them.

        Not always our last: a draft keeps its parents, and a copy of this disk that runs
        elsewhere may have made commits in our name since.
        """
        own = self.own_last
        heads = [self._index(parent) for parent in parents]
        if own is None or self._within(own, heads):
            return own
        ends = self.graph.last_of(self._hand.signer.device, heads)
        return ends[-1] if ends else None

    def _own_grants(self, role: Role | None) -> list[Grant]:
        """Our grants: those for a role, then the present best, our last, all others.

        A draft may be older than what is known now: any of them may be the one it needs.
        """
        found: list[Grant] = []
        assert self.authority is not None
        best = self.authority.grant_for(self._hand.signer.device)
        if best is not None:
            found.append(best)
        if self.own_last is not None:
            found.append(self.graph.auth_of(self.own_last))
        if self.grant:
            found.append(CommitGrant(CommitId(self.grant)))
        found += self.authority.grants_of(self._hand.signer.device)
        return self.authority.preferring(role, dict.fromkeys(found))

    def _insert_own(
        self,
        made: SealedCommit,
        inner: Inner,
        epoch: CommitId | None,
        key: ContentKey,
        step: Step,
    ) -> int:
        sealed = parse(made.sealed)
        assert isinstance(sealed, Sealed)
        claim = self._claim(inner, epoch)
        commit = Commit(made.sealed, made.beside)
        return self.insert(Checked(made.id, commit, sealed, inner, claim, key), step).index

    # Parts

    def _open(self, identifier: CommitId, data: bytes) -> Opened | Missing | Rejected:
        """Take a sealed commit apart and open it."""
        sealed = parse(data)
        if isinstance(sealed, Rejected):
            return sealed
        crypto = self._hand.crypto
        if sealed.is_epoch:
            assert sealed.wraps is not None
            key = self.epochs.key(identifier) or self.epochs.given(sealed.wraps.kcommit)
            if key is None and not sealed.is_genesis:
                key = self._unwrap(sealed)
            if key is None:
                return Missing(identifier, (), identifier[:16])
            plain = open_sealed(crypto, key, sealed)
            if isinstance(plain, Rejected):
                return plain
            return Opened(identifier, sealed, plain, key, None)
        refusal: Rejected | None = None
        for epoch, held in self.epochs.matching(sealed.epoch):
            plain = open_sealed(crypto, held, sealed)
            if not isinstance(plain, Rejected):
                return Opened(identifier, sealed, plain, held, epoch)
            refusal = plain
        return refusal if refusal is not None else Missing(identifier, (), sealed.epoch)

    def _unwrap(self, sealed: Sealed) -> ContentKey | None:
        """Return the key that an epoch commit wraps to any prekey of this device."""
        for pair in self._hand.prekeys.all:
            raw = unwrap_key(self._hand.crypto, self.topic, sealed, pair.secret)
            if not isinstance(raw, Rejected):
                return ContentKey(self.topic, raw)
        return None

    def _claim(self, inner: Inner, epoch: CommitId | None) -> Claim:
        return claim_of(self.graph, inner, None if epoch is None else self._index(epoch))

    def _admit(self, index: int, checked: Checked) -> tuple[Change, tuple[Flip, ...]]:
        """Tell of a commit to what knows who counts and what is visible."""
        if checked.claim is not None:
            return self.visibility.admit(index, checked.claim, checked.inner)
        founding = checked.inner.entries[0]
        assert isinstance(founding, GenesisEntry)
        self.actor_type = founding.actor_type
        return self.visibility.found(founding.roots), ()

    def _learn(self, index: int, checked: Checked, step: Step | None) -> tuple[CommitId, ...]:
        """Take the keys that an epoch commit brings, name their epochs, judge its wraps."""
        if not checked.sealed.is_epoch:
            return ()
        key = checked.key.key
        if self.epochs.learn(checked.id, key) and step is not None:
            step.put(Table.EPOCH, rows.epoch_key(self.topic, checked.id), key)
        opens: tuple[CommitId, ...] = (checked.id,)
        entry = checked.inner.entries[0]
        if isinstance(entry, EpochEntry):
            opens += self.epochs.read_history(key, entry.history)
            heads = self.graph.parents_of(index)
            refusal = check_wraps(
                self._hand.crypto,
                checked.key,
                checked.sealed,
                ephemeral=entry.ephemeral,
                prekeys=self._readers_prekeys(heads),
            )
            if refusal is not None:
                if step is not None:
                    step.report(
                        "bad epoch",
                        topic=self.topic,
                        commit=checked.id,
                        device=checked.inner.author,
                        refusal=refusal,
                    )
                return opens
        self.epochs.accept(index, checked.id)
        return opens

    def _readers_prekeys(self, heads: Sequence[int]) -> tuple[bytes, ...]:
        """Return where to wrap a key: for as many readers as have room; others ask for it."""
        assert self.authority is not None
        readers = sorted(self.authority.members_at(tuple(heads)))[:READERS_MAX]
        return self._prekeys.of(readers, self.graph, lambda c: self._within(c, heads))

    def _within(self, commit: int, heads: Sequence[int]) -> bool:
        return self.graph.contains(heads, commit)

    def _index(self, commit: CommitId) -> int:
        index = self.graph.index_of(commit)
        assert index is not None
        return index

    def _gen(self, heads: Sequence[int]) -> int:
        return 1 + max(self.graph.gen_of(head) for head in heads)


def turns_in(inner: Inner) -> tuple[bytes, ...]:
    """Return the operations of a commit's turns."""
    return tuple(entry.operations for entry in inner.entries if isinstance(entry, TurnEntry))
