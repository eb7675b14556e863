"""The forger: commits that an honest node would not make, made with what a traitor holds.

Owns: hostile commits, from nothing but a node's own disk: its key, the content keys that it
was given, the log. May not know: how they are sent (`faults.byzantine`).
Everything here opens and looks like a commit; exactly one thing is wrong with each.
Source: PROTOCOL section 2 'Acceptance', section 12 'Attack tests'.
"""

from __future__ import annotations

from dataclasses import dataclass

from comity.base.clock import Wall
from comity.base.errors import Rejected
from comity.base.ids import ID_BYTES, CommitId, DeviceId, Topic
from comity.crypto.port import KEY_BYTES, NONCE_LONG_BYTES, SIGNATURE_BYTES, TAG_BYTES, Crypto
from comity.log.build import Signer
from comity.log.entries import TurnEntry
from comity.log.graph import Graph
from comity.log.inner import CommitGrant, Grant, Inner, decode_inner, encode_inner, padded_bytes
from comity.log.runs import open_run, parse_run
from comity.log.seal import ContentKey, open_sealed, seal, sign_beside
from comity.log.sealed import assemble, clear_data, commit_id, parse
from comity.node import rows
from comity.node.effects import Table
from comity.wire.records import Commit
from comity_chaos.disk import Disk
from comity_chaos.keyed import SimEntropy

__all__ = ["Forged", "Forger"]

_NOISE_BYTES = 64
_UNKNOWN_FIELD = b"\xff\xff\xff\xff\x00"
"""A turn of a field that no class has: it changes nothing, and everybody carries it."""


@dataclass(frozen=True, slots=True)
class Forged:
    """One hostile commit. wrong: what is wrong with it; '' if it may be accepted."""

    id: CommitId
    commit: Commit
    wrong: str


class Forger:
    """What one member can make of one actor's log."""

    __slots__ = ("_crypto", "_given", "_keys", "_signer", "_topic", "_turns", "graph")

    def __init__(self, crypto: Crypto, disk: Disk, topic: Topic) -> None:
        """Read the member's own disk as its core would."""
        secrets = dict(disk.table(Table.SECRET))
        self._crypto = crypto
        self._signer = Signer(crypto, secrets[rows.SECRET_DEVICE])
        self._topic = topic
        self._keys: dict[CommitId, ContentKey] = {}
        for key, value in disk.table(Table.EPOCH):
            owner, epoch = rows.split_epoch_key(key)
            if owner == topic:
                self._keys[epoch] = ContentKey(topic, value)
        given = dict(disk.table(Table.TOPIC)).get(topic)
        self._given = CommitId(b"" if given is None else rows.decode_topic(given).grant)
        self._turns: list[bytes] = []
        self.graph = Graph()
        found = {
            rows.number_of(key): rows.decode_commit(value)
            for key, value in disk.table(Table.COMMIT)
            if rows.topic_of_key(key) == topic
        }
        for key, value in disk.table(Table.RUN):
            if rows.topic_of_key(key) == topic:
                found |= self._rebuilt(value)
        for _, commit in sorted(found.items()):
            self._read(commit)

    @property
    def device(self) -> DeviceId:
        """The member's device."""
        return self._signer.device

    @property
    def able(self) -> bool:
        """Whether there is a log to forge on, and a grant and a key to do it with."""
        return bool(self._keys) and len(self.graph) > 0 and self._grant() is not None

    def fork(self) -> tuple[Forged, Forged]:
        """Make two commits with one number in the member's chain. Both may be accepted."""
        first = self._make(wall=1)
        second = self._make(wall=2)
        return first, second

    def unsigned(self, entropy: SimEntropy) -> Forged:
        """Make a commit of its own with a signature that is noise."""
        made = self._make(wall=3)
        commit = Commit(made.commit.sealed, entropy.draw(SIGNATURE_BYTES))
        return Forged(made.id, commit, "its signature is noise")

    def in_the_name_of(self, victim: DeviceId) -> Forged | None:
        """Make a commit that names another author, who has some, signed by this member."""
        last = self.graph.last_of(victim, self.graph.version)
        if not last or victim == self.device:
            return None
        made = self._make(wall=4, author=victim)
        return Forged(made.id, made.commit, "it names an author who did not sign it")

    def misplaced(self) -> Forged:
        """Make a commit whose generation is a lie."""
        made = self._make(wall=5, gen_added=7)
        return Forged(made.id, made.commit, "its generation is not one more than its parents'")

    def orphan(self, entropy: SimEntropy) -> Forged:
        """Make a commit under an epoch that nobody knows."""
        gen = len(self.graph) + 1
        clear = clear_data(gen, CommitId(entropy.draw(ID_BYTES)))
        size = padded_bytes(_NOISE_BYTES) + TAG_BYTES
        sealed = assemble(clear, entropy.draw(NONCE_LONG_BYTES), entropy.draw(size))
        commit = Commit(sealed, entropy.draw(SIGNATURE_BYTES))
        return Forged(commit_id(self._topic, sealed), commit, "its epoch does not exist")

    # Parts

    def _rebuilt(self, row: bytes) -> dict[int, Commit]:
        """Return the commits of a run of the member's own disk, by number."""
        numbers, data = rows.decode_run(row)
        sealed = parse_run(data)
        assert not isinstance(sealed, Rejected)
        for key in self._keys.values():
            run = open_run(self._crypto, key, sealed)
            if not isinstance(run, Rejected):
                inside = [Commit(member.sealed, run.beside) for member in run.members]
                return dict(zip(numbers, inside, strict=True))
        raise AssertionError("a run on a member's own disk opens")

    def _make(self, *, wall: int, author: DeviceId | None = None, gen_added: int = 0) -> Forged:
        """Make a commit on top of everything that does once more what the last turn did."""
        author = self.device if author is None else author
        heads = self.graph.version
        last = self.graph.last_of(author, heads)
        backlink = last[-1] if last else None
        auth = self._grant() if backlink is None else self.graph.auth_of(backlink)
        assert auth is not None
        epoch = max(self._keys, key=self._gen_of)
        inner = Inner(
            author=author,
            seq=0 if backlink is None else self.graph.seq_of(backlink) + 1,
            backlink=None if backlink is None else self.graph.id_of(backlink),
            auth=auth,
            parents=self.graph.heads[:16],
            wall=Wall(wall),
            entries=(TurnEntry(self._turns[-1] if self._turns else _UNKNOWN_FIELD),),
        )
        gen = 1 + max(map(self.graph.gen_of, heads)) + gen_added
        key = self._keys[epoch]
        plain = encode_inner(inner, self.graph.facts)
        sealed = seal(self._crypto, key, clear_data(gen, epoch), plain)
        identifier = commit_id(self._topic, sealed)
        beside = sign_beside(self._crypto, key, self._signer.seed, identifier)
        return Forged(identifier, Commit(sealed, beside), "")

    def _gen_of(self, epoch: CommitId) -> tuple[int, CommitId]:
        number = self.graph.index_of(epoch)
        return (-1 if number is None else self.graph.gen_of(number)), epoch

    def _grant(self) -> Grant | None:
        last = self.graph.last_of(self.device, self.graph.version)
        if last:
            return self.graph.auth_of(last[-1])
        return CommitGrant(self._given) if self._given else None

    def _read(self, commit: Commit) -> None:
        sealed = parse(commit.sealed)
        assert not isinstance(sealed, Rejected)
        identifier = commit_id(self._topic, commit.sealed)
        keys = [self._keys[identifier]] if identifier in self._keys else []
        keys += [key for epoch, key in self._keys.items() if epoch.startswith(sealed.epoch)]
        for key in keys:
            assert len(key.key) == KEY_BYTES
            plain = open_sealed(self._crypto, key, sealed)
            if isinstance(plain, Rejected):
                continue
            inner = decode_inner(plain, self.graph.facts)
            assert not isinstance(inner, Rejected)
            self.graph.insert(identifier, inner, gen=sealed.gen)
            self._turns += [e.operations for e in inner.entries if isinstance(e, TurnEntry)]
            return
        raise AssertionError("a commit on a member's own disk opens")
