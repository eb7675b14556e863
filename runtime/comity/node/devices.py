"""Which device this node is, which it was, and what a former one left unsent.

Owns: the keys of a store that begins, and the change to a new device where a store turned out
to be a copy. May not know: how a copy is recognised (`drivers.generation`, `node.replica`).

    nothing --first start--> a device --copied, or superseded--> a new device
                                                                  | the former one: named in
                                                                  | the rows, never used again

The log, the content keys and the addresses stay: what could be read can be read. Invites that
were open go, since the new device can let nobody in, and messages to other devices that were
not acknowledged: the former device, or its copy, may have sent them. Drafts are stranded: they
mean what they say on a frontier where the new device has no grant, so only the former one
could seal them, and it may have done so already. They are kept until its commit that holds
them comes.
Source: PROTOCOL section 1; decision 12.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from comity.base.clock import Wall
from comity.base.ids import ID_BYTES, CommitId, DeviceId, Topic
from comity.base.ports import Entropy
from comity.crypto.keys import KeyPair
from comity.crypto.port import KEY_BYTES, Crypto
from comity.log.build import Signer
from comity.log.graph import Graph
from comity.node import rows
from comity.node.commands import UnsentTurn
from comity.node.effects import Table
from comity.node.prekeys import OwnPrekeys
from comity.node.step import Rows, Step

__all__ = ["COPIED", "Begun", "Former", "Keys", "Stranded", "formers_of", "take_up"]

COPIED = "the store was restored from a backup, or copied"
"""Why a device ended whose store is not the one that ran last."""

_STORE_BYTES = 16


@dataclass(frozen=True, slots=True)
class Keys:
    """What makes a device. store: 16 bytes, the name of its store. seed: secret."""

    store: bytes
    seed: bytes = field(repr=False)
    prekeys: OwnPrekeys


@dataclass(frozen=True, slots=True)
class Former:
    """A device that this node was. wall: when it ended. why: a sentence."""

    device: DeviceId
    wall: Wall
    why: str


@dataclass(frozen=True, slots=True)
class Begun:
    """What a start goes on from: the keys, and the rows as they are for this device."""

    keys: Keys
    found: Mapping[Table, Rows]


class Stranded:
    """The turns that former devices left unsent, in the order in which they ran."""

    __slots__ = ("_left",)

    def __init__(self, found: Rows) -> None:
        """Take them from their rows."""
        self._left: dict[bytes, rows.DraftRow] = {
            key: rows.decode_draft(value) for key, value in found
        }

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._left)

    def count(self, device: DeviceId, topic: Topic) -> int:
        """Return how many of these turns one device left in one actor."""
        return len(self._of(device, topic))

    def turns(self, topic: Topic) -> tuple[UnsentTurn, ...]:
        """Return the turns of one actor."""
        return tuple(
            UnsentTurn(DeviceId(key[:ID_BYTES]), row.parents, row.wall, row.operations)
            for key, row in self._left.items()
            if key[ID_BYTES : 2 * ID_BYTES] == topic
        )

    def forget(self, topic: Topic, step: Step) -> int:
        """Let go of the turns of one actor; return how many there were."""
        gone = [key for key in self._left if key[ID_BYTES : 2 * ID_BYTES] == topic]
        for key in gone:
            del self._left[key]
            step.drop(Table.STRANDED, key)
        return len(gone)

    def awaits(self, topic: Topic, graph: Graph, index: int) -> bool:
        """Tell whether an accepted commit may hold some of these turns, as far as it shows."""
        return bool(self._matching(topic, graph, index))

    def seen(
        self, step: Step, topic: Topic, graph: Graph, index: int, turns: Sequence[bytes]
    ) -> None:
        """Let go of what an accepted commit holds: its author has sent it after all."""
        waiting = list(turns)
        for key, row in self._matching(topic, graph, index):
            if row.operations in waiting:
                waiting.remove(row.operations)
                del self._left[key]
                step.drop(Table.STRANDED, key)

    def _matching(
        self, topic: Topic, graph: Graph, index: int
    ) -> list[tuple[bytes, rows.DraftRow]]:
        """Return the author's turns on the parents of its commit, or of the epoch before it."""
        author = graph.author_of(index)
        left = self._of(author, topic)
        if not left:
            return []
        places = [_ids(graph, index)]
        if len(places[0]) == 1:
            (only,) = graph.parents_of(index)
            if graph.author_of(only) == author:
                places.append(_ids(graph, only))
        return [(key, row) for key, row in left if row.parents in places]

    def _of(self, device: DeviceId, topic: Topic) -> list[tuple[bytes, rows.DraftRow]]:
        prefix = device + topic
        return [(key, row) for key, row in self._left.items() if key.startswith(prefix)]


def take_up(
    found: Mapping[Table, Rows], step: Step, crypto: Crypto, entropy: Entropy, *, copied: bool
) -> Begun:
    """Go on as the device of these rows; become one if there is none, or it may not go on."""
    meta = dict(found.get(Table.META, ()))
    if rows.META_FORMAT not in meta:
        step.put(Table.META, rows.META_FORMAT, rows.FORMAT)
        return Begun(_draw(step, crypto, entropy), found)
    assert meta[rows.META_FORMAT] == rows.FORMAT, "the driver checks the format"
    superseded = meta.get(rows.META_SUPERSEDED)
    why = COPIED if copied else None if superseded is None else superseded.decode()
    secrets = dict(found.get(Table.SECRET, ()))
    seed = secrets[rows.SECRET_DEVICE]
    if why is None:
        prekeys = OwnPrekeys.load(crypto, secrets)
        return Begun(Keys(meta[rows.META_STORE], seed, prekeys), found)
    former = Former(Signer(crypto, seed).device, step.now.wall, why)
    for key in secrets:
        if key.startswith(rows.SECRET_OLD_PREKEY):
            step.drop(Table.SECRET, key)
    keys = _draw(step, crypto, entropy)
    step.drop(Table.META, rows.META_SUPERSEDED)
    step.put(Table.SECRET, rows.former_key(former.device), seed)
    return Begun(keys, _leave(found, former, step))


def formers_of(found: Rows) -> tuple[Former, ...]:
    """Return the devices that rows of `Table.META` name as former ones, the oldest first."""
    named = [
        Former(device, *rows.decode_former(value))
        for key, value in found
        if (device := rows.former_of_key(key)) is not None
    ]
    return tuple(sorted(named, key=lambda former: (former.wall, former.device)))


def _draw(step: Step, crypto: Crypto, entropy: Entropy) -> Keys:
    draw = entropy.draw
    store, seed, prekey = draw(_STORE_BYTES), draw(KEY_BYTES), draw(KEY_BYTES)
    step.put(Table.META, rows.META_STORE, store)
    step.put(Table.SECRET, rows.SECRET_DEVICE, seed)
    step.put(Table.SECRET, rows.SECRET_PREKEY, prekey)
    step.put(Table.SECRET, rows.SECRET_PREKEY_SINCE, rows.encode_number(step.now.wall))
    return Keys(store, seed, OwnPrekeys(KeyPair(crypto, prekey), step.now.wall))


def _leave(found: Mapping[Table, Rows], former: Former, step: Step) -> Mapping[Table, Rows]:
    """Write down that a device ended; return the rows as they are for the one that follows."""
    key, value = rows.former_key(former.device), rows.encode_former(former.wall, former.why)
    step.put(Table.META, key, value)
    topics: list[tuple[bytes, bytes]] = []
    for topic, row in found.get(Table.TOPIC, ()):
        before = rows.decode_topic(row)
        after = rows.encode_topic(rows.TopicRow(before.actor_type, b"", shelf=before.shelf))
        step.put(Table.TOPIC, topic, after)
        topics.append((topic, after))
    stranded = list(found.get(Table.STRANDED, ()))
    for draft, row in found.get(Table.DRAFT, ()):
        step.drop(Table.DRAFT, draft)
        step.put(Table.STRANDED, former.device + draft, row)
        stranded.append((former.device + draft, row))
    for handle, _ in found.get(Table.INVITE, ()):
        step.drop(Table.INVITE, handle)
    for table in (Table.EDGE, Table.OUTBOX, Table.ROUTE):  # they are of the device that was
        for key_of_edge, _ in found.get(table, ()):
            step.drop(table, key_of_edge)
    return {
        **found,
        Table.META: (*found[Table.META], (key, value)),
        Table.TOPIC: tuple(topics),
        Table.STRANDED: tuple(stranded),
        Table.DRAFT: (),
        Table.INVITE: (),
        Table.EDGE: (),
        Table.OUTBOX: (),
        Table.ROUTE: (),
    }


def _ids(graph: Graph, index: int) -> tuple[CommitId, ...]:
    return tuple(sorted(graph.id_of(parent) for parent in graph.parents_of(index)))
