"""The content keys of one actor: which are held, which opens a commit, which seals the next.

Owns: keys by epoch, the epochs that were accepted and whether their wraps were right, and the
rotation rule. May not know: commits' other contents, stores. Keys are secrets: nothing here
shows one.

    a key that somebody gave --an epoch commit that commits to it is accepted--> held

What a welcome or the history of an epoch says that a key is for, anybody can say. So a key that
was given is found again by its own commitment only, and opens nothing before an accepted commit
has shown that it is its own: whoever lies about keys wastes his breath.
Source: PROTOCOL section 4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from comity.base.canonical import Malformed, Reader
from comity.base.clock import MILLISECOND, Wall
from comity.base.ids import ID_BYTES, CommitId, DeviceId, Topic
from comity.base.limits import EPOCH_AGE_MAX, EPOCH_COMMITS_MAX, WELCOME_KEYS_MAX
from comity.crypto.hashing import PERSON_HISTORY, blake2b
from comity.crypto.port import KEY_BYTES, Crypto
from comity.log.entries import AddEntry, Entry, PrekeyEntry
from comity.log.graph import Graph
from comity.log.seal import ContentKey, kcommit_of
from comity.log.sealed import EPOCH_PREFIX_BYTES

__all__ = ["Epochs", "Prekeys", "is_worn"]

_NONCE: Final = bytes(24)
"""The key of a history seals one thing once."""

_GIVEN_MAX: Final = 2 * WELCOME_KEYS_MAX
"""Keys from histories whose epochs are not here: a whole welcome, twice; 600 KiB of lies."""


class Epochs:
    """The epochs of one actor."""

    __slots__ = ("_accepted", "_by_prefix", "_crypto", "_given", "_keys", "_stored", "_topic")

    def __init__(self, crypto: Crypto, topic: Topic) -> None:
        """Start without a key."""
        self._crypto = crypto
        self._topic = topic
        self._keys: dict[CommitId, ContentKey] = {}
        self._by_prefix: dict[bytes, list[CommitId]] = {}
        self._accepted: dict[int, CommitId] = {}
        self._given: dict[bytes, bytes] = {}
        self._stored: dict[CommitId, bytes] = {}

    def __len__(self) -> int:
        """Return how many keys are held."""
        return len(self._keys)

    @property
    def held(self) -> tuple[tuple[CommitId, bytes], ...]:
        """Every key that is held, by epoch, ascending: what a newcomer is given."""
        return tuple((epoch, self._keys[epoch].key) for epoch in sorted(self._keys))

    def give(self, epoch: CommitId, key: bytes) -> bool:
        """Take a key that is said to be of this epoch; tell whether to store it as such.

        The first one that is named for an epoch is stored, so that a later liar cannot take
        its place before the commit is here. There is an end to what is taken unproven.
        """
        kcommit = kcommit_of(key)
        if len(self._given) >= _GIVEN_MAX and kcommit not in self._given:
            return False
        self._given[kcommit] = key
        if epoch in self._stored:
            return False
        self._stored[epoch] = key
        return True

    def prove(self, epoch: CommitId, key: bytes) -> bool:
        """Take the key that the commit of this epoch, which waits, commits to.

        Tells whether to store it: in the place of whatever was said before.
        """
        self._given[kcommit_of(key)] = key
        stored, self._stored[epoch] = self._stored.get(epoch), key
        return stored != key

    def given(self, kcommit: bytes) -> ContentKey | None:
        """Return the key that was given and has this commitment."""
        key = self._given.get(kcommit)
        return None if key is None else ContentKey(self._topic, key)

    def learn(self, epoch: CommitId, key: bytes) -> bool:
        """Hold the key that opened an accepted commit; tell whether to store it."""
        self._given.pop(kcommit_of(key), None)
        self._keys[epoch] = ContentKey(self._topic, key)
        self._by_prefix.setdefault(epoch[:EPOCH_PREFIX_BYTES], []).append(epoch)
        stored, self._stored[epoch] = self._stored.get(epoch), key
        return stored != key

    def key(self, epoch: CommitId) -> ContentKey | None:
        """Return the key of an epoch, if it is held."""
        return self._keys.get(epoch)

    def matching(self, prefix: bytes) -> tuple[tuple[CommitId, ContentKey], ...]:
        """Return the epochs whose id begins with these 16 bytes and whose key is held."""
        return tuple((epoch, self._keys[epoch]) for epoch in self._by_prefix.get(prefix, ()))

    def accept(self, commit: int, epoch: CommitId) -> None:
        """Let an accepted epoch commit, whose wraps are right, be sealed under."""
        self._accepted[commit] = epoch

    def choose(
        self,
        graph: Graph,
        *,
        within: Callable[[int], bool],
        effective: Callable[[int], bool],
        removals: Sequence[int],
    ) -> CommitId | None:
        """Return the epoch to seal under in a version; None if one must be made first.

        within: whether a commit lies in the version. removals: effective ones within it.
        """
        fit = [
            commit
            for commit, epoch in self._accepted.items()
            if epoch in self._keys
            and within(commit)
            and effective(commit)
            and all(graph.is_before(removal, commit) for removal in removals)
        ]
        newest = [
            self._accepted[commit]
            for commit in fit
            if not any(graph.is_before(commit, other) for other in fit)
        ]
        return min(newest, default=None)

    def history(self, key: bytes) -> bytes:
        """Seal the newest keys held, for the inside of a new epoch commit with this key."""
        newest = list(self._keys.items())[-WELCOME_KEYS_MAX:]
        plain = b"".join(epoch + held.key for epoch, held in newest)
        return self._crypto.seal(self._history_key(key), _NONCE, plain, self._topic)

    def read_history(self, key: bytes, sealed: bytes) -> tuple[CommitId, ...]:
        """Return the older keys inside an epoch commit that are not held, by their epochs.

        None if it was made wrongly. They are given from now on, as far as there is room.
        """
        plain = self._crypto.open(self._history_key(key), _NONCE, sealed, self._topic)
        if plain is None or len(plain) % (ID_BYTES + KEY_BYTES):
            return ()
        reader = Reader(plain)
        found: list[tuple[CommitId, bytes]] = []
        try:
            while reader.left:
                found.append((CommitId(reader.take(ID_BYTES)), reader.take(KEY_BYTES)))
        except Malformed as error:  # the length was checked
            raise AssertionError(str(error)) from error
        room = max(0, _GIVEN_MAX - len(self._given))
        fresh = [pair for pair in found if pair[0] not in self._keys][:room]
        self._given.update((kcommit_of(held), held) for _, held in fresh)
        return tuple(epoch for epoch, _ in fresh)

    def _history_key(self, key: bytes) -> bytes:
        return blake2b(b"", key=key, person=PERSON_HISTORY)


def is_worn(graph: Graph, epoch: CommitId, wall: Wall) -> bool:
    """Tell whether so much was sealed under a key that there should be another.

    wall: now, by this device's clock; that of the epoch's author says how old it is. A clock
    that is wrong makes a key change too soon or, until it has sealed its share of commits,
    too late; nobody's commits depend on it.
    """
    index = graph.index_of(epoch)
    assert index is not None
    age = (wall - graph.wall_of(index)) * MILLISECOND
    return age >= EPOCH_AGE_MAX or len(graph) - index > EPOCH_COMMITS_MAX


class Prekeys:
    """Where to wrap a key for each device: its own newest prekey in a version.

    A device gives one with its first commit. Until then that counts which came with its oldest
    `add`: a later one, by whomever, must not turn its keys away from it.
    """

    __slots__ = ("_added", "_own")

    def __init__(self) -> None:
        """Know no device."""
        self._added: dict[DeviceId, list[tuple[int, bytes]]] = {}
        self._own: dict[DeviceId, list[tuple[int, bytes]]] = {}

    def note(self, commit: int, author: DeviceId, entries: Sequence[Entry]) -> None:
        """Take the prekeys that an accepted commit gives."""
        for entry in entries:
            if isinstance(entry, PrekeyEntry):
                self._own.setdefault(author, []).append((commit, entry.public))
            elif isinstance(entry, AddEntry):
                self._added.setdefault(entry.device, []).append((commit, entry.prekey))

    def given_by(self, device: DeviceId, within: Callable[[int], bool]) -> bytes | None:
        """Return the newest prekey that a device has given itself, within a version."""
        given = reversed(self._own.get(device, ()))
        return next((public for commit, public in given if within(commit)), None)

    def of(
        self, devices: Iterable[DeviceId], graph: Graph, within: Callable[[int], bool]
    ) -> tuple[bytes, ...]:
        """Return the prekeys of these devices within a version, in the order of devices.

        A device's own word counts before that of whoever added it; of several words of its
        own the one that no other follows, of several adds the one that follows no other; of
        several such, the one whose commit has the smallest id.
        """
        found: list[bytes] = []
        for device in devices:
            own = [pair for pair in self._own.get(device, ()) if within(pair[0])]
            added = [pair for pair in self._added.get(device, ()) if within(pair[0])]
            best = [
                (graph.id_of(commit), public)
                for commit, public in own
                if not any(graph.is_before(commit, other) for other, _ in own)
            ] or [
                (graph.id_of(commit), public)
                for commit, public in added
                if not any(graph.is_before(other, commit) for other, _ in added)
            ]
            found += [public for _, public in sorted(best)[:1]]
        return tuple(found)
