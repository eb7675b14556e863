"""Mallory: a member with a modified program, who may read and wants to write.

Owns: what she takes out of her own store, three commits that must be refused, and the session
by which she hands them over. May not know: how they are refused. All of it is made with the
layers that an honest node uses; only the asserts that keep a node honest are gone around.

    tampered    a real commit of the log with one bit of its sealed part flipped
    forged      sealed with the real key, continuing Ana's chain in her name; Mallory signs
    overreach   sealed with the real key, in Mallory's own name, under her grant to read

Source: PROTOCOL section 2 'Acceptance', sections 3 and 12.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from comity.base.ids import CommitId, DeviceId, Topic
from comity.cli.demo.visit import Visit
from comity.crypto.keys import Identity, KeyPair
from comity.crypto.port import KEY_BYTES
from comity.crypto.sodium import Sodium
from comity.drivers.sqlite_store import SqliteStore
from comity.drivers.store import STORE_FILE, VAULT_FILE
from comity.drivers.system import SystemClock, SystemEntropy
from comity.drivers.vault import Vault
from comity.log.build import Signer
from comity.log.entries import TurnEntry
from comity.log.inner import CommitGrant, Inner, encode_inner
from comity.log.seal import seal, sign_beside
from comity.log.sealed import clear_data, commit_id
from comity.node import rows
from comity.node.effects import Table
from comity.node.journal import Checked, Hand, Journal
from comity.node.prekeys import OwnPrekeys
from comity.protocol.session import Endpoint
from comity.wire.records import Commit, Refusal

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Attack", "Mallory"]

_SECONDS: Final = 10.0
_ALL: Final = 1 << 40


@dataclass(frozen=True, slots=True)
class Attack:
    """One commit that must be refused. id: what the victim will know it by."""

    name: str
    id: CommitId
    commit: Commit


class Mallory:
    """What a reader can take out of her own store, and do with it."""

    def __init__(self, store: Path, passphrase: str) -> None:
        """Open the store of a device that does not run, and read the log with its keys."""
        crypto, entropy = Sodium(), SystemEntropy()
        key = Vault(store / VAULT_FILE, crypto, entropy).open(passphrase=passphrase)
        database = SqliteStore(store / STORE_FILE, key, crypto, entropy)
        try:
            found = {table: database.read(table, b"", b"\xff" * 80, _ALL) for table in Table}
        finally:
            database.close()
        secrets = dict(found[Table.SECRET])
        self._entropy = entropy
        self.signer = Signer(crypto, secrets[rows.SECRET_DEVICE])
        self._log = tuple(rows.decode_commit(value) for _, value in found[Table.COMMIT])
        ((topic, row),) = ((Topic(k), rows.decode_topic(v)) for k, v in found[Table.TOPIC])
        self.grant = CommitId(row.grant)
        prekey = KeyPair(crypto, secrets[rows.SECRET_PREKEY])
        self.journal = Journal(
            topic,
            Hand(self.signer, OwnPrekeys(prekey), entropy),
            actor_type=row.actor_type,
            grant=row.grant,
            on_insert=lambda _inserted, _step: None,
        )
        for name, value in found[Table.EPOCH]:
            self.journal.learn_key(rows.split_epoch_key(name)[1], value, None)
        for commit in self._log:
            checked = self.journal.examine(commit, trusted=True)
            assert isinstance(checked, Checked), checked
            self.journal.insert(checked, None)

    @property
    def device(self) -> DeviceId:
        """Her own device."""
        return self.signer.device

    def attacks(self, victim: DeviceId) -> tuple[Attack, ...]:
        """Make the three commits. victim: in whose name the forged one is written."""
        return self._tampered(), self._forged(victim), self._overreach()

    def hand_over(self, attacks: tuple[Attack, ...], address: str, victim: DeviceId) -> int:
        """Push them to a device over a real session; return how many it says it refused."""
        refused: dict[CommitId, None] = {}

        def all_refused() -> bool:
            for record in visit.heard:
                if isinstance(record, Refusal):
                    refused.update(dict.fromkeys(record.ids))
            return len(refused) >= len(attacks)

        with Visit(self.endpoint(), self.journal.topic, address, victim) as visit:
            if visit.level(_SECONDS):
                for attack in attacks:
                    visit.push(attack.commit)
                visit.until(all_refused, _SECONDS)
        return len(refused)

    def endpoint(self) -> Endpoint:
        """Return what her sessions begin with: her real key."""
        return Endpoint(
            crypto=self.signer.crypto,
            entropy=self._entropy,
            identity=Identity(self.signer.crypto, self.signer.seed),
            static_secret=self._entropy.draw(KEY_BYTES),
        )

    def _tampered(self) -> Attack:
        real = self._log[-1]
        sealed = bytearray(real.sealed)
        sealed[-20] ^= 1  # within the cipher: its last 16 bytes are the tag
        altered = Commit(bytes(sealed), real.beside)
        return Attack("tampered", commit_id(self.journal.topic, altered.sealed), altered)

    def _forged(self, victim: DeviceId) -> Attack:
        graph = self.journal.graph
        own = [index for index in range(len(graph)) if graph.author_of(index) == victim]
        last = max(own, key=graph.seq_of)
        inner = replace(
            self._base(),
            author=victim,
            seq=graph.seq_of(last) + 1,
            backlink=graph.id_of(last),
            auth=graph.auth_of(last),
        )
        return self._seal("forged", inner)

    def _overreach(self) -> Attack:
        return self._seal("overreach", self._base())

    def _base(self) -> Inner:
        """Return an inner on top of all heads, in her own name, with somebody's real turn."""
        turns = next(t for each in reversed(self._log) if (t := self.journal.turns_of(each)))
        return Inner(
            author=self.device,
            seq=0,
            backlink=None,
            auth=CommitGrant(self.grant),
            parents=self.journal.graph.heads,
            wall=SystemClock().moment().wall,
            entries=(TurnEntry(turns[0]),),
        )

    def _seal(self, name: str, inner: Inner) -> Attack:
        """Seal under the real key, sign with Mallory's: `log.build` would refuse to."""
        graph = self.journal.graph
        heads = [index for each in inner.parents if (index := graph.index_of(each)) is not None]
        epoch = self.journal.choose_epoch(heads)
        assert epoch is not None
        key = self.journal.epochs.key(epoch)
        assert key is not None
        clear = clear_data(1 + max(graph.gen_of(head) for head in heads), epoch)
        sealed = seal(self.signer.crypto, key, clear, encode_inner(inner, graph.facts))
        identifier = commit_id(self.journal.topic, sealed)
        beside = sign_beside(self.signer.crypto, key, self.signer.seed, identifier)
        return Attack(name, identifier, Commit(sealed, beside))
